// `<cplab-train>`: a button that lets Python train, and then stop, with menus above it and the
// figure below. Without scripts, or without Python, only the first figure is there.

class Train extends Training {
  begin() {
    const {html} = JSON.parse(this.querySelector("script").textContent);
    const picture = this.querySelector(".cplab-figure");
    picture.nextElementSibling.remove(); // where else it works
    picture.before(make("div", {innerHTML: html}));
    this.root = collect(this);
    this.picture = picture;
    this.start.onclick = (event) => this.press(event);
    this.root.onchange = ({target: {name, value}}) => {
      this.state = {...this.state, [name]: value};
      this.tell();
    };
    this.drawLive();
    this.connect();
  }

  follow(model) {
    super.follow(model);
    this.take("content", (page) => {
      if (page) this.show(page);
    });
  }

  // A new picture; folds that were open stay open.
  show(page) {
    const open = [...this.picture.querySelectorAll("details")].map((fold) => fold.open);
    this.picture.innerHTML = page;
    for (const [i, fold] of this.picture.querySelectorAll("details").entries())
      fold.open ||= Boolean(open[i]);
  }

  draw() {
    for (const menu of this.root.querySelectorAll("select")) menu.value = this.state[menu.name];
    this.drawLive();
  }

  drawLive() {
    super.drawLive();
    const can = this.alive && !this.why;
    this.start.textContent = this.busy ? "Stop" : this.start.dataset.words;
    for (const menu of this.root.querySelectorAll("select")) menu.disabled = !can || this.busy;
  }
}

customElements.define("cplab-train", Train);
