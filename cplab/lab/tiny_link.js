// The element of a page, which trains in the browser until a Link to Python of its name comes.

globalThis.cplabLinks ??= {};
customElements.define("cplab-nursery", class extends HTMLElement {
  connectedCallback() {
    if (document.readyState === "loading")  // what is inside has not been read yet
      return document.addEventListener("DOMContentLoaded", () => this.connectedCallback(), {once: true});
    const [place, text] = this.children, name = this.dataset.link;
    if (!text) return;  // moved
    text.remove();
    const model = {get: () => text.textContent, on: (_, hear) => (model.hear = hear), send() {}};
    const connect = () => {
      const link = cplabLinks[name];
      link.on("msg:custom", (message) => model.hear(message));
      model.send = (message) => link.send(message);
      model.send({hello: true});
    };
    this.addEventListener("keydown", (event) => {  // a notebook acts on single keys, which are ours
      const {key, shiftKey, ctrlKey, altKey, metaKey} = event;
      if (!ctrlKey && !altKey && !metaKey && key !== "Escape" && !(key === "Enter" && shiftKey)) event.stopPropagation();
    });
    widget.render({el: place, model}).then(() => {
      if (cplabLinks[name]) connect();
      else addEventListener("cplab-link", ({detail}) => detail === name && connect());
    });
  }
});
