// What the elements of a page share. Each script of cplab.lab begins with it; STYLE is its style
// sheet.

globalThis.cplabLinks ??= {}; // models of hidden widgets that connect elements to Python, by name

const make = (tag, traits = {}, ...parts) => {
  const node = Object.assign(document.createElement(tag), traits);
  node.append(...parts);
  return node;
};

document.head.append(make("style", {textContent: STYLE}));

// An element that begins when what is inside has been read.
class Improved extends HTMLElement {
  connectedCallback() {
    if (document.readyState === "loading")
      return document.addEventListener("DOMContentLoaded", () => this.connectedCallback(), {
        once: true,
      });
    if (this.begun) return;
    this.begun = true;
    this.addEventListener("keydown", (event) => this.onKey(event));
    this.attempt();
  }

  // Begin, or say why that cannot be.
  async attempt() {
    try {
      await this.begin();
    } catch (error) {
      console.error(error);
      const textContent = `This part does not work in your browser (${error.message}). Another one may.`;
      this.prepend(make("p", {role: "alert", textContent}));
    }
  }

  // A notebook acts on single keys, as on arrows: they are ours. What runs a cell is the
  // notebook's. A key that is held presses a button once.
  onKey(event) {
    const {key, shiftKey, ctrlKey, altKey, metaKey} = event;
    if (event.repeat && key === "Enter" && event.target.closest("button, summary"))
      event.preventDefault();
    if (key === "Enter" && shiftKey)
      globalThis.Jupyter?.keyboard_manager?.enable(); // the classic one
    else if (!ctrlKey && !altKey && !metaKey && key !== "Escape") event.stopPropagation();
  }

  // Call `follow` with the model of the hidden widget, as soon as that is there.
  connect() {
    const find = () => {
      if (this.model || !cplabLinks[this.dataset.link]) return;
      this.model = cplabLinks[this.dataset.link];
      this.follow(this.model);
    };
    addEventListener("cplab-link", find);
    find();
  }
}

// A box that scrolls where the page is narrow: then keys reach it.
class Wide extends HTMLElement {
  connectedCallback() {
    new ResizeObserver(() => {
      if (this.scrollWidth > this.clientWidth) this.tabIndex = 0;
      else this.removeAttribute("tabindex");
    }).observe(this);
  }
}

if (!customElements.get("cplab-wide")) customElements.define("cplab-wide", Wide);
