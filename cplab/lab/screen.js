// What both screens share, the explorer and the nursery: their parts, and a line of time.

const PARTS = ["before", "during", "after"]
  .map((name) => `<div data-is="${name}"><span></span></div>`)
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

// Write a text if it has changed: screen readers speak whatever is written.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const GONE = "Python was restarted: run this cell again.";
const WAITING = "Python is busy, or not there: the button appears as soon as it answers.";
const ALONE = "Training needs Python: open this in a notebook and run the cell.";
// Milliseconds
const PATIENCE = 1500; // until the screen says that nobody answers
const DOUBLE = 500; // within which a second press does not count
const ASKED = 1000; // between two questions whether there is more

// An element with a button that lets Python train, and then stop. Its parts are `start`,
// `progress`, `count`, and `message`, which is spoken; `live` is what Python says of the work.
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
      // Python was restarted: if it still knows this element, it answers
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

  // On Colab a page gets messages only as answers to its own. So it asks each second while Python
  // works: an answer that brings no news must not end the asking.
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

  // Train, or stop. The second of two quick presses does not count, nor does a key that is held.
  press({detail}) {
    const now = Date.now();
    const again = now < this.pressed + DOUBLE;
    this.pressed = now;
    if (detail > 1 || again) return;
    this.scrollIntoView({block: "nearest"});
    this.stopping = Boolean(this.live.busy);
    this.tell({[this.stopping ? "stop" : "train"]: true});
    this.drawLive(); // a batch may take its time
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
    const {alive, busy, live, model, why} = this;
    const can = alive && !why;
    const late = model && !alive && Date.now() >= this.since + PATIENCE;
    this.start.hidden = !can;
    Object.assign(this.progress, {hidden: !busy, max: live.epochs || 1, value: live.done || 0});
    say(this.count, (busy && live.count) || "");
    this.stopping &&= busy;
    let message = this.stopping ? "stopping …" : (live.message ?? "");
    if (!can) {
      message = model ? "" : ALONE;
      if (late) message = WAITING;
      if (why) message = why;
    }
    say(this.message, message);
    this.message.classList.toggle("error", Boolean(can && live.error));
  }
}

const within = (low, value, high) => Math.max(low, Math.min(value, high));
const STEPS = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1};

// Let the grips of a line be dragged: `onset` moves a deficit, `length` its end. `begin` takes a grip's name, and returns a function that is
// called with the distance that the grip has moved since, as a part of the line.
function dragAlong(line, begin) {
  line.onpointerdown = (event) => {
    const grip = event.target.closest("[role=slider]");
    const {width} = line.getBoundingClientRect();
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

// Draw what is seen in a part of a line.
function drawStrip(part, picture) {
  const strip = make("i", {});
  strip.style.backgroundImage = `url(${picture})`;
  part.replaceChildren(part.firstElementChild, strip);
}

// Draw a place on a line of so many epochs: its three parts, by their names, and the grips.
function drawLine(line, last, place, names) {
  const {onset, length, recovery} = place;
  const percent = (epochs) => `${(100 * epochs) / last}%`;
  const parts = [
    {begin: 0, epochs: onset},
    {begin: onset, epochs: length},
    {begin: onset + length, epochs: recovery},
  ];
  parts.forEach(({begin, epochs}, i) => {
    const part = line.children[i];
    Object.assign(part.style, {left: percent(begin), width: percent(epochs)});
    writePart(part, names[i], epochs);
  });
  for (const grip of line.querySelectorAll("[role=slider]")) drawGrip(grip, last, place, percent);
}

// Write the name of a part of a line and its epochs; only these if there is no room for both, and
// nothing if there is none for them either.
function writePart(part, name, epochs) {
  const words = part.firstElementChild;
  const isCut = () => words.scrollWidth > part.clientWidth + 1;
  words.textContent = `${name} ${epochs}`;
  if (isCut()) words.textContent = epochs;
  words.style.visibility = isCut() ? "hidden" : "";
}

// Put a grip on a line of so many epochs, and say where it is; `percent` turns epochs into a part of
// the line.
function drawGrip(grip, last, {onset, length}, percent) {
  const end = onset + length;
  const isWindow = grip.dataset.grip === "onset";
  Object.assign(grip, {
    ariaValueNow: isWindow ? onset : length,
    ariaValueMin: 0,
    ariaValueMax: last,
    ariaValueText: isWindow ? `epochs ${onset} to ${end}` : `${length} epochs`,
  });
  Object.assign(grip.style, {
    left: percent(isWindow ? onset : end),
    width: isWindow ? percent(length) : "",
  });
}
