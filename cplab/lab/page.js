// What all elements of a page share. Each script of cplab.lab begins with this file; STYLES are that
// script's style sheets, by name.

// The models of hidden widgets that connect elements to Python, by name
globalThis.cplabLinks ??= {};

const broken = (reason) => `This part does not work in your browser (${reason}). Another one may.`;

const make = (tag, traits = {}, ...parts) => {
  const node = Object.assign(document.createElement(tag), traits);
  node.append(...parts);
  return node;
};

// Each sheet comes once. Another script brings some of them again, and then they would come after
// those that refine them.
for (const [name, textContent] of Object.entries(STYLES)) {
  const id = `cplab-style-${name}`;
  if (!document.getElementById(id)) document.head.append(make("style", {id, textContent}));
}

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

  // Begin, or say why that is not possible.
  async attempt() {
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
    addEventListener("cplab-link", find);
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

if (!customElements.get("cplab-wide")) customElements.define("cplab-wide", Wide);
