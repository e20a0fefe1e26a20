// `<cplab-train>`: the button of `lab.live`, which lets Python train, and then stop, with menus above
// it and the figure below. button.py writes its HTML: a script with {html}, the button and its menus, a
// `.cplab-figure`, and a sentence on where else it works. Without scripts, or without Python, only the
// first figure is there. `Training` is in training.js, `collect` in screen.js, `make` in page.js.

class TrainButton extends Training {
  begin() {
    const {html} = JSON.parse(this.querySelector("script").textContent);
    this.picture = this.querySelector(".cplab-figure");
    this.picture.nextElementSibling.remove(); // the sentence
    this.picture.before(make("div", {innerHTML: html}));
    this.menus = collect(this).querySelectorAll("select");
    this.start.onclick = (event) => this.press(event);
    for (const menu of this.menus) menu.onchange = () => this.choose(menu.name, menu.value);
    this.drawLive();
    this.connect();
  }

  choose(name, value) {
    this.state = {...this.state, [name]: value};
    this.tell();
  }

  follow(model) {
    super.follow(model);
    this.watch("content", (page) => {
      if (page) this.show(page);
    });
  }

  // Show a new picture, in which folds that were open stay open.
  show(page) {
    const wasOpen = [...this.picture.querySelectorAll("details")].map((fold) => fold.open);
    this.picture.innerHTML = page;
    for (const [i, fold] of this.picture.querySelectorAll("details").entries())
      fold.open ||= Boolean(wasOpen[i]);
  }

  draw() {
    for (const menu of this.menus) menu.value = this.state[menu.name];
    this.drawLive();
  }

  drawLive() {
    super.drawLive();
    this.start.textContent = this.busy ? "Stop" : this.start.dataset.words;
    for (const menu of this.menus) menu.disabled = !this.canTrain || this.busy;
  }
}

customElements.define("cplab-train", TrainButton);
