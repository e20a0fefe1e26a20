// Of both screens, the explorer and the nursery: their parts and a line of time.

const PARTS = ["before", "during", "after"]
  .map((name) => `<div data-is="${name}"><span></span><i></i></div>`)
  .join("");

// Fill an element with HTML, and its line of time with the three parts; each part with `data-is`
// becomes the element's property. Returns its root.
function furnish(element, html) {
  element.innerHTML = html;
  element.querySelector("[data-is=line]").insertAdjacentHTML("afterbegin", PARTS);
  return collect(element);
}

// Each part with `data-is` becomes the element's property. Returns the root.
function collect(element) {
  for (const part of element.querySelectorAll("[data-is]")) element[part.dataset.is] = part;
  return element.querySelector(".cplab-s");
}
// Write a text, if it is another one: where a screen reader listens, each writing is spoken.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const GONE = "Python was restarted: run this cell again.";
const WAITING = "Python is busy, or not there: the button comes as soon as it answers.";
const ALONE = "Training needs Python: open this in a notebook and run the cell.";
const PATIENCE = 1500,
  DOUBLE = 500, // ms: until it says that nobody answers; of a double press
  ASKED = 1000; // and between two questions whether there is more

// An element with a button that has Python train, and then stop. It has the parts `start`,
// `progress`, `count`, which counts, and `message`, which is spoken; `live` is what Python tells of
// the work.
class Training extends Improved {
  live = {};
  alive = false; // Python has answered
  why = ""; // why nothing can be trained

  get busy() {
    return Boolean(this.alive && !this.why && this.live.busy);
  }

  follow(model) {
    this.take("state", (state) => {
      this.state = {...state};
      this.draw();
    });
    this.take("live", (live) => this.hear(live));
    model.on("msg:custom", ({alive, why}) => {
      Object.assign(this, {alive, why});
      this.drawLive();
    });
    model.on("comm_live_update", () => {
      // a restart; who still lives answers
      Object.assign(this, {alive: false, why: GONE});
      this.greet();
      this.drawLive();
    });
    this.greet();
    setTimeout(() => this.drawLive(), PATIENCE);
    this.since = Date.now();
  }

  // Call `use` with a value of the model, now and whenever it changes.
  take(name, use) {
    this.model.on(`change:${name}`, () => use(this.model.get(name)));
    use(this.model.get(name));
  }

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

  // A page on Colab gets messages only in answer to its own: while Python works, it asks each
  // second, for an answer that says nothing new is none.
  poll() {
    clearTimeout(this.asking);
    if (!this.live.busy || this.why) return;
    try {
      this.model.send({wait: true});
    } catch {
      // its kernel was restarted
      this.why = GONE;
      this.drawLive();
    }
    this.asking = setTimeout(() => this.poll(), ASKED);
  }

  // Train, or stop. The second press of two is none, be it of a mouse or of a key that is held.
  press({detail}) {
    const now = Date.now(),
      again = now < this.pressed + DOUBLE;
    this.pressed = now;
    if (detail > 1 || again) return;
    this.scrollIntoView({block: "nearest"});
    this.tell({[this.live.busy ? "stop" : "train"]: true});
  }

  tell(...messages) {
    try {
      this.model.set("state", this.state);
      this.model.save_changes();
      for (const message of messages) this.model.send(message);
    } catch {
      // its kernel was restarted
      this.why = GONE;
      this.drawLive();
    }
  }

  drawLive() {
    const {alive, busy, live, model, why} = this,
      can = alive && !why;
    const late = model && !alive && Date.now() >= this.since + PATIENCE;
    this.start.hidden = !can;
    Object.assign(this.progress, {hidden: !busy, max: live.epochs || 1, value: live.done || 0});
    say(this.count, (busy && live.count) || "");
    say(this.message, can ? (live.message ?? "") : why || (late ? WAITING : model ? "" : ALONE));
    this.message.classList.toggle("error", Boolean(can && live.error));
  }
}

const within = (low, value, high) => Math.max(low, Math.min(value, high));
const STEPS = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1};

// What the numbers and the grips of a line of time are at a place: `onset` moves a deficit, `begin`
// and `length` its sides, and `rest` the end of the recovery.
const positions = ({onset, length, recovery}) => ({
  onset,
  length,
  recovery,
  begin: onset,
  end: onset + length,
  rest: onset + length + recovery,
});

// Let grips of a line be dragged. `begin`, of a grip's name, gives what is called with the part of
// the line by which it has moved since.
function dragAlong(line, begin) {
  line.onpointerdown = (event) => {
    const grip = event.target.closest("[role=slider]"),
      {width} = line.getBoundingClientRect();
    if (!grip || event.button) return;
    event.preventDefault();
    grip.focus({preventScroll: true});
    const move = begin(grip.dataset.grip);
    line.setPointerCapture(event.pointerId);
    line.classList.add("dragged");
    line.onpointermove = (now) => move((now.clientX - event.clientX) / width);
    line.onpointerup = line.onpointercancel = () => {
      line.onpointermove = null;
      line.classList.remove("dragged");
    };
  };
}

// Draw a place on a line of so many epochs: its three parts, by their names, and the grips.
function drawLine(line, last, place, names) {
  const {onset, length, recovery, end} = positions(place),
    left = (epoch) => `${(100 * epoch) / last}%`;
  [
    [0, onset],
    [onset, length],
    [end, recovery],
  ].forEach(([begin, epochs], i) => {
    const part = line.children[i],
      said = part.firstElementChild;
    Object.assign(part.style, {left: left(begin), width: left(epochs)});
    said.textContent = `${names[i]} ${epochs}`;
    const cut = said.scrollWidth > part.clientWidth + 1;
    said.style.visibility = cut ? "hidden" : "";
  });
  for (const grip of line.querySelectorAll("[role=slider]")) {
    const {grip: name} = grip.dataset,
      ariaValueNow = positions(place)[name],
      window = `epochs ${onset} to ${end}`;
    const words = {
      onset: window,
      begin: window,
      length: `${length} epochs`,
      rest: `${recovery} clear epochs`,
    };
    Object.assign(grip, {
      ariaValueNow,
      ariaValueMin: 0,
      ariaValueMax: last,
      ariaValueText: words[name],
    });
    Object.assign(grip.style, {
      left: left(name === "length" ? end : ariaValueNow),
      width: name === "onset" ? left(length) : "",
    });
  }
}
