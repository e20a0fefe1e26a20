// What all elements of a page share. link.py joins the scripts of an element into one, and writes
// before them what they hold: STYLES, their style sheets by name, and for networks.js WASM. So a
// name at the top of one file is known in all files that are joined with it; this one comes first.
//
// An output brings the HTML of its element, `<cplab-NAME>`, and this script, which acts on the page
// once. Where Python is there, a hidden widget connects it with the element: its model, as ipywidgets
// has it, is kept here by the name that the element's data-link says.

globalThis.cplabLinks ??= {}; // models by name; another script of the page may have begun it

const broken = (reason) => `This part does not work in your browser (${reason}). Another one may.`;

// Make an element of the page, with these properties and with these parts in it, elements or texts.
const make = (tag, properties = {}, ...parts) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...parts);
  return node;
};

// Each sheet comes once. Another script brings some of them again, and then they would come after
// those that refine them.
for (const [name, textContent] of Object.entries(STYLES)) {
  const id = `cplab-style-${name}`;
  if (!document.getElementById(id)) document.head.append(make("style", {id, textContent}));
}

// An element that improves the HTML in it. A subclass has begin(), which is called once when all of
// that HTML has been read; and follow(model), if it calls `connect`.
class Improved extends HTMLElement {
  connectedCallback() {
    if (document.readyState === "loading") {
      const again = () => this.connectedCallback();
      document.addEventListener("DOMContentLoaded", again, {once: true});
      return;
    }
    if (this.hasBegun) return;
    this.hasBegun = true;
    this.addEventListener("keydown", (event) => this.onKey(event));
    this.beginOrSay();
  }

  // Begin, or say why that is not possible.
  async beginOrSay() {
    try {
      await this.begin();
    } catch (error) {
      console.error(error);
      this.prepend(make("p", {role: "alert", textContent: broken(error.message)}));
    }
  }

  // A notebook acts on single keys, such as arrows: here they belong to the element. Keys that run
  // a cell stay the notebook's. A key that is held presses a button once.
  onKey(event) {
    const {key, shiftKey, ctrlKey, altKey, metaKey} = event;
    if (event.repeat && key === "Enter" && event.target.closest("button, summary"))
      event.preventDefault();
    const runsCell = key === "Enter" && shiftKey;
    if (!runsCell && !ctrlKey && !altKey && !metaKey && key !== "Escape") event.stopPropagation();
  }

  // Call `follow` with the model of the hidden widget, as soon as it exists.
  connect() {
    const find = () => {
      if (this.model || !cplabLinks[this.dataset.link]) return;
      this.model = cplabLinks[this.dataset.link];
      this.follow(this.model);
    };
    addEventListener("cplab-link", find); // link.py sends it when there is another model
    find();
  }
}

// A box that scrolls where the page is narrow. Only then does Tab reach it.
class Wide extends HTMLElement {
  connectedCallback() {
    new ResizeObserver(() => {
      if (this.scrollWidth > this.clientWidth) this.tabIndex = 0;
      else this.removeAttribute("tabindex");
    }).observe(this);
  }
}

// Another element's script may have brought it.
if (!customElements.get("cplab-wide")) customElements.define("cplab-wide", Wide);
