// What the explorer and the button of `lab.live` share: they let Python train. `Improved` is in
// page.js, `say` and DOUBLE are in screen.js.

const GONE = "Python was restarted: run this cell again.";
const WAITING = "Python is busy, or not there: the button appears as soon as it answers.";
const ALONE = "Training needs Python: open this in a notebook and run the cell.";
// Milliseconds
const PATIENCE = 1500; // until the page says that nobody answers
const POLL = 1000; // between two questions on Colab whether there is more

// An element with a button that lets Python train, and then stop. Its parts, see `collect`, are
// `start`, `progress`, `count`, and `message`, which is spoken. Its `state` is what a person has
// chosen, and Python gets it. A subclass has draw(), which is called when Python changes it.
//
// What Python says: that it is `alive`, and if nothing can be trained, `why`; and of the work `live`,
// {busy, done, epochs, count, message, error, colab}, see Live in link.py.
class Training extends Improved {
  live = {};
  alive = false;
  why = "";

  get canTrain() {
    return this.alive && !this.why;
  }

  get busy() {
    return Boolean(this.canTrain && this.live.busy);
  }

  follow(model) {
    this.watch("state", (state) => {
      this.state = {...state};
      this.draw();
    });
    this.watch("live", (live) => this.hear(live));
    model.on("msg:custom", ({alive, why}) => {
      Object.assign(this, {alive, why});
      this.drawLive();
    });
    model.on("comm_live_update", () => {
      // Python was restarted: if it still knows this element, it answers
      Object.assign(this, {alive: false, why: GONE});
      this.greet();
      this.drawLive();
    });
    this.greet();
    this.connectedAt = Date.now();
    setTimeout(() => this.drawLive(), PATIENCE);
  }

  // Call `use` with a value of the model, now and whenever it changes.
  watch(name, use) {
    this.model.on(`change:${name}`, () => use(this.model.get(name)));
    use(this.model.get(name));
  }

  // Ask whether Python is there; it answers with `alive` and `why`.
  greet() {
    try {
      this.model.send({hello: true});
    } catch {
      this.why = GONE;
    }
  }

  hear(live) {
    this.live = live;
    this.drawLive();
    if (live.colab) this.poll();
  }

  // On Colab a page gets messages only as answers to its own. So it asks each second while Python
  // works: an answer that brings no news must not end the asking.
  poll() {
    clearTimeout(this.polling);
    if (!this.live.busy || this.why) return;
    this.attempt(() => this.model.send({wait: true}));
    this.polling = setTimeout(() => this.poll(), POLL);
  }

  // Train, or stop. The second of two quick presses does not count, nor does a key that is held.
  press({detail}) {
    const now = Date.now();
    const isDouble = detail > 1 || now < this.pressed + DOUBLE;
    this.pressed = now;
    if (isDouble) return;
    this.scrollIntoView({block: "nearest"});
    this.isStopping = Boolean(this.live.busy);
    this.tell(this.isStopping ? {stop: true} : {train: true});
    this.drawLive(); // Python may answer late: it ends a batch first
  }

  // Send the state to Python, and a message if there is one.
  tell(message) {
    this.attempt(() => {
      this.model.set("state", this.state);
      this.model.save_changes();
      if (message) this.model.send(message);
    });
  }

  // Send something, or say that Python was restarted.
  attempt(send) {
    try {
      send();
    } catch {
      this.why = GONE;
      this.drawLive();
    }
  }

  // Draw what Python says.
  drawLive() {
    const {busy, canTrain, live} = this;
    this.isStopping &&= busy;
    this.start.hidden = !canTrain;
    Object.assign(this.progress, {hidden: !busy, max: live.epochs || 1, value: live.done || 0});
    say(this.count, (busy && live.count) || "");
    say(this.message, this.sentence());
    this.message.classList.toggle("error", Boolean(canTrain && live.error));
  }

  sentence() {
    if (this.why) return this.why;
    if (!this.model) return ALONE;
    const isLate = Date.now() >= this.connectedAt + PATIENCE;
    if (!this.alive) return isLate ? WAITING : "";
    return this.isStopping ? "stopping …" : (this.live.message ?? "");
  }
}
