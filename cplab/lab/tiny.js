// `<cplab-nursery>`: small networks that grow up while you watch. In a notebook Python trains
// them; on a page without Python the browser does, in workers (`networks.js`).

const LEAPS = {PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity};
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const show = (value) =>
  value
    .toFixed(1)
    .replace("-", "−")
    .replace(/^−0\.0$/, "0.0");

// A figure over the epochs of a life, as SVG, on the scale of the line of time above it. It is
// written into its place at `end`.
class Plot {
  parts = []; // elements of SVG, the foremost last
  clip = `cplab-t${Math.random()}`; // the name of the rectangle that no line leaves

  // Arguments: place, an element; last, the epoch at its right end; low, high, the ends of its axis
  // of accuracy; room, pixels to the right of the last epoch.
  constructor(place, last, [low, high], room) {
    const width = place.offsetWidth || 300;
    Object.assign(this, {place, last, low, high});
    this.wide = width - LEFT - room; // pixels of the axis of epochs
    this.bottom = (place.offsetHeight || 190) - 20;
    const step = high - low > 60 ? 20 : 10;
    for (let value = low; value <= high; value += step) {
      const ends = [0, last].map((age) => [age, value]);
      this.path(ends, "grid");
      this.text(0, value, value, "end", -6, 4);
    }
    const epochs = [50, 100, 200, 500].find((epochs) => (epochs / last) * width > 56);
    for (let age = 0; age <= last; age += epochs)
      this.text(age, low, age || "epoch 0", "middle", 0, 16);
  }

  x(age) {
    return LEFT + (age / this.last) * this.wide;
  }

  y(value) {
    return this.bottom - ((value - this.low) / (this.high - this.low)) * (this.bottom - 8);
  }

  // A line through points, [epoch, value] each.
  path(points, className) {
    if (points.length < 2) return;
    const places = points.map(([age, value]) => {
      return `${this.x(age).toFixed(1)} ${this.y(value).toFixed(1)}`;
    });
    const line = `clip-path="url(#${this.clip})" d="M${places.join("L")}"`;
    this.parts.push(`<path class="${className}" ${line}/>`);
  }

  // Words at a point, or so many pixels beside it.
  text(age, value, words, className, right = 0, down = 0) {
    const place = `x="${this.x(age) + right}" y="${this.y(value) + down}"`;
    this.parts.push(`<text class="${className}" ${place}>${words}</text>`);
  }

  // All that is between two epochs, as a rectangle.
  area(from, to) {
    const size = `width="${this.x(to) - this.x(from)}" height="${this.bottom - 8}"`;
    return `<rect class="window" x="${this.x(from)}" y="8" ${size}/>`;
  }

  shade(from, to) {
    const whole = `<clipPath id="${this.clip}">${this.area(0, this.last)}</clipPath>`;
    this.parts.unshift(whole, this.area(from, to));
  }

  end(ariaLabel) {
    const drawing = this.parts.join("");
    this.place.ariaLabel = ariaLabel;
    this.place.innerHTML = `<svg width="100%" height="100%" aria-hidden="true">${drawing}</svg>`;
  }

  // All networks, thin, and their means in front, with an edge that sets them off from the lines
  // behind. The control, in grey, waits while the window lasts.
  curves(lives, {onset, length}, column) {
    const means = {};
    const thin = [];
    const edges = [];
    const thick = [];
    for (const arm of ["control", "spoilt"]) {
      const shift = (epoch) => (arm === "control" && epoch > onset ? epoch + length : epoch);
      const lines = lives.map((life) =>
        life[arm].tests.map((test) => [shift(test[0]), test[column]]),
      );
      const ages = (lines[0] ?? []).filter((_, i) => lines.every((line) => line[i]));
      means[arm] = ages.map(([age], i) => [age, mean(lines.map((line) => line[i][1]))]);
      const parts =
        arm === "spoilt" ? [() => true] : [([age]) => age <= onset, ([age]) => age > onset];
      for (const part of parts) {
        for (const line of lines) thin.push([line.filter(part), `${arm} thin`]);
        const line = means[arm].filter(part);
        edges.push([line, "edge"]);
        thick.push([line, arm]);
      }
    }
    for (const [points, className] of [...thin, ...edges, ...thick]) this.path(points, className);
    this.place.style.setProperty("--thin", lineOpacity(lives.length));
    this.shade(onset, onset + length);
    return means;
  }
}

// Draw the harm beside the last epoch, as a bracket between both means.
function drawHarm(plot, age, means, {n, middle, words}) {
  const [control, spoilt] = [means.control.at(-1)?.[1], means.spoilt.at(-1)?.[1]];
  const between = (control + spoilt) / 2;
  const ends = [control, spoilt].map((value) => [age, value]);
  plot.path(ends, "bracket");
  plot.text(age, between, n > 1 ? words : show(middle), "harm", 8, 0);
  plot.text(age, between, n > 1 ? "points of harm" : "no interval yet", "", 8, 15);
}

// How opaque the thin lines of so many networks are: together they stay paler than their mean.
const lineOpacity = (count) => 0.45 * Math.min(1, Math.sqrt(MANY / count));

// The screen --------------------------------------------------------------------------------------

const SIDE = 12; // pixels of an image's side, and fields of a mask's
const MANY = 20; // networks whose thin lines are as opaque as that of one
const FEW = 8; // units of a first layer that are shown
const LEFT = 40; // pixels for the numbers on the left of a figure
const ROOM = 16; // and on its right, at least
const HARM = 112; // and for the harm, beside the last epoch
const SHEET = 168; // pixels of the sheet's side, on which digits are drawn
const PEN = 16; // pixels of the pen
const STROKE = 7; // pixels that an arrow key moves the pen
const AWAY = 1000; // milliseconds off the page, after which a screen is told nothing more
const REDRAWN = 200; // milliseconds between two drawings, while networks grow
const FIRST_DRAWN = 50; // and until there is a first line
// The longer side of a drawn digit, as a part of the image's side, as the package draws digits
const LONG = 0.675;

// What is said on the screen
const BUSY = "Python is busy with another cell: training begins when that cell ends.";
const NEXT = "Other networks are training: these come next.";
const NEEDS_PYTHON = "needs Python: run this cell in a notebook.";
const OTHERS_TRAIN = "The other deficits train here.";
const PAINT = "Paint what they may not see.";
const BARE = "Nothing is covered yet: paint at least one field.";
const GROWING = "They grow up …";
const ONE_NETWORK = "One network has no interval and gives no verdict: train more";
const CLEAR_AND_SEEN = "Digits, and what the network sees of them";
const ONLY_DEPRIVED = "Only the deprived networks get these wrong";
const NONE_WRONG = "There is no digit that only the deprived networks get wrong";
const UNITS_LATER =
  "While they grow, their first units are drawn here: where each one looks for ink.";
const NO_NETWORK = "No network has grown up here yet: press Train.";
const NO_WEIGHTS = "Their weights are not kept: press Train once more.";

const ARMS = ["spoilt", "control"];

// The function behind a student's own name, such as `low@1a2b3c4d-2`.
const functionOf = (name) => name.replace(/@.*/, "");
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

// Student's factor for half an interval. Beyond the table it nears its limit, which is the last
// one, as 1 / freedom.
function studentFactor(table, freedom) {
  const most = table.length - 1;
  const limit = table[most];
  return freedom <= most
    ? table[freedom - 1]
    : limit + ((table[most - 1] - limit) * most) / freedom;
}

// A mask is 36 hexadecimal digits, three for each row of twelve fields; a bit that is set is
// covered.
const rowsOf = (mask) =>
  Array.from({length: SIDE}, (_, y) => parseInt(mask.slice(3 * y, 3 * y + 3), 16));
const maskOf = (rows) => rows.map((row) => row.toString(16).padStart(3, "0")).join("");
const bitOf = (x) => 1 << (SIDE - 1 - x);

// How long a training took, after what was noted about it.
function timeTaken({note = "", began}) {
  return `${note} ${Math.round((performance.now() - began) / 1000)} s`.trim();
}

// What is known of networks on this page, for each start of Python that trained them, or for the
// page: {key of a point: {place, seeds: {seed: {spoilt, control}}, shipped}}. A life has `tests`,
// [epoch, % of test images right, % of its training images right] each; `answers` to the test
// images; and `looks`, [epoch, first units] each.
const KNOWN = (globalThis.cplabNurseries ??= new Map());
function knownTo(session) {
  if (!KNOWN.has(session)) KNOWN.set(session, new Map());
  return KNOWN.get(session);
}

// The seeds of all that is known on this page, for Python to leave out: {start of Python: {key of a
// point: seeds}}.
function seedsOnPage() {
  const has = {};
  for (const [session, places] of KNOWN) {
    has[session] = {};
    for (const [key, {seeds}] of places) has[session][key] = [...seeds.keys()];
  }
  return has;
}

// The wrong answers to a test image, by the networks of an arm.
const wrongAnswers = (labels, pairs, arm, image) =>
  pairs.map((pair) => pair[arm].answers[image]).filter((answer) => answer !== labels[image]);

// The places of test images that deprived networks get wrong, and none of their twins: first those
// that most of them get wrong.
function onlyDeprivedWrong(labels, pairs) {
  const score = (image) => {
    const twins = wrongAnswers(labels, pairs, "control", image);
    return twins.length ? 0 : wrongAnswers(labels, pairs, "spoilt", image).length;
  };
  const scores = Array.from(labels, (_, image) => score(image));
  const places = [...scores.keys()].filter((image) => scores[image]);
  return places.sort((i, j) => scores[j] - scores[i]);
}

// The value that occurs most often; of several, the one that comes first.
function mostFrequent(values) {
  const count = (value) => values.filter((other) => other === value).length;
  return [...values].sort((a, b) => count(b) - count(a))[0];
}

// The first units of a network at an age, as they were last looked at.
const unitsAt = ({looks}, age) => looks.filter(([epoch]) => epoch <= age).at(-1)?.[1];

// How much detail first layers have learned, in a sentence; "" where nothing tells.
function detailInWords(block, spoilt, control) {
  const percent = (look) => {
    const share = look?.detail?.[block];
    return share === undefined ? "" : `${Math.round(100 * share)} %`;
  };
  if (!percent(spoilt)) return "";
  const learned = `Of what its first layer has learned, ${percent(spoilt)} is detail`;
  const twin = percent(control) && ` In its twin, ${percent(control)} is.`;
  return `${learned}, finer than ${block} × ${block} pixels.${twin}`;
}

// The mean of the last five epochs, in percent of test images right.
function finalAccuracy({tests}) {
  const [last] = tests.at(-1);
  const lastFive = tests.filter(([epoch]) => epoch > last - 5);
  return mean(lastFive.map(([, right]) => right));
}

// Whether a network and its twin have grown up.
const isComplete = ({spoilt, control}) => Boolean(spoilt.answers && control.answers);

const newLife = () => ({tests: [], epoch: 0, answers: null, looks: []});

// What is kept of a place over a reload: all but what takes much room, which is the looks in
// between, and the weights of all pairs but the first.
function lightened({seeds, ...place}) {
  const life = ({looks, birth, network, ...rest}, first) => ({
    ...rest,
    ...(first && {network}),
    looks: looks.slice(-1),
  });
  const pairs = [...seeds].map(([seed, {spoilt, control}], at) => [
    seed,
    {spoilt: life(spoilt, !at), control: life(control, !at)},
  ]);
  return {...place, seeds: new Map(pairs)};
}

// The weights of first units: as Python packs them, or of a network of the browser's.
function unpackUnits({scale, units, detail}) {
  const bytes = Uint8Array.from(atob(units), (letter) => letter.charCodeAt(0));
  return {pixels: Float32Array.from(bytes, (byte) => ((byte - 128) / 127) * scale), detail};
}

// A life as Python writes it.
function readLife({tests, answers, looks}) {
  return {
    tests,
    answers: readAnswers(answers),
    looks: looks.map(([epoch, units]) => [epoch, unpackUnits(units)]),
  };
}

const readPair = ({spoilt, control}) => ({
  spoilt: readLife(spoilt),
  control: readLife(control),
});

// A digit for each test image, as Python writes them.
const readAnswers = (digits) => Array.from(digits, Number);

// The part of the squared change of weights, (units, 144), that is not constant on squares of
// `side` pixels: what a mosaic of these squares removes.
function detailShare(change, side) {
  let all = 0;
  let kept = 0;
  const sums = new Float64Array(SIDE * SIDE);
  for (let unit = 0; unit < change.length; unit += SIDE * SIDE) {
    sums.fill(0);
    for (let at = 0; at < SIDE * SIDE; at++) {
      const value = change[unit + at];
      const square = Math.floor(at / SIDE / side) * SIDE + Math.floor((at % SIDE) / side);
      all += value * value;
      sums[square] += value;
    }
    for (const sum of sums) kept += (sum * sum) / (side * side);
  }
  return all ? (all - kept) / all : 0;
}

customElements.define(
  "cplab-nursery",
  class extends Improved {
    async begin() {
      const content = JSON.parse(this.querySelector("script").textContent);
      const root = furnish(this, content.html);
      Object.assign(this, {
        content,
        root,
        place: content.place,
        key: JSON.stringify(content.place),
        tools: engine(),
        known: knownTo(content.version),
        tasks: new Map(), // what grows, by key: {plans, lives, began, waits, mine}
        last: content.window + content.place.recovery,
        touched: false,
        drewAt: 0, // when, in milliseconds of the page
      });
      this.reason.hidden = !content.why;
      this.turning.hidden = !content.knobs;
      this.looking.hidden = Boolean(content.place.model);
      this.offer();
      content.networks = await mostNetworks(content.networks);
      for (const [key, place] of kept(content.version))
        if (!this.known.has(key)) this.known.set(key, place);
      this.digits = await unpack(content.digits, this.tools);
      for (const own of Object.values(content.own ?? {})) own.stages = await this.unpackSeen(own);
      this.furnishPaint();
      this.furnishSheet();
      root.onclick = ({target: {name, value}}) =>
        void (name === "kind" && this.choose({kind: value}));
      root.onchange = ({target}) => target.name && this.choose({[target.name]: +target.value});
      this.line.onkeydown = (event) => this.moveByKey(event);
      dragAlong(this.line, (grip) => {
        const from = positions(this.place)[grip];
        return (part) => this.choose({[grip]: 5 * Math.round((from + part * this.last) / 5)});
      });
      this.start.onclick = () => this.press();
      // the second press of a double-click is meant for Train, whose place this button takes
      this.hold.onclick = ({detail}) => detail > 1 || this.pause();
      this.forward.onclick = () => this.step();
      this.moment.oninput = this.chosen.onchange = () => this.drawUnits();
      this.looking.ontoggle = () => this.drawUnits();
      new ResizeObserver(() => this.draw()).observe(root);
      // a page may be left, or ended while it is hidden, before the last one has grown up
      addEventListener("pagehide", () => this.keepTraining());
      document.addEventListener("visibilitychange", () => document.hidden && this.keepTraining());
      addEventListener("cplab-known", () => this.isConnected && this.drawSoon());
      this.connect();
    }

    // What networks see under a student's own deficit: {epoch, images} for each of some epochs, for
    // one if it does not change.
    async unpackSeen({seen}) {
      const stages = [];
      for (const [epoch, packed] of Object.entries(seen)) {
        const {test} = await unpack({...this.content.digits, packed, train: 0}, this.tools);
        stages.push({epoch: +epoch, images: test.images});
      }
      return stages;
    }

    // A button for each deficit, a student's own first. There is no knob for what their own network
    // or images decide.
    offer() {
      const {content} = this;
      content.kinds = {...content.own, ...content.kinds};
      for (const [value, {label}] of Object.entries(content.kinds))
        this.offered.append(
          make("button", {type: "button", name: "kind", value, textContent: label}),
        );
      if (content.place.model)
        for (const name of ["layers", "scale"])
          this.root.querySelector(`[name=${name}]`).parentElement.remove();
      if (content.place.images) this.root.querySelector("[name=digits]").parentElement.remove();
    }

    // A screen that is off the page for a while, as after its cell was run again, hears and says
    // nothing.
    connectedCallback() {
      super.connectedCallback();
      if (!this.away) return;
      this.away = false;
      this.touched = true; // it stays where it was
      for (const [key, task] of this.tasks) this.keepPairs(key, task);
      this.tasks.clear(); // Python says what grows now
      this.tell({back: true, has: seedsOnPage()});
    }

    disconnectedCallback() {
      setTimeout(() => this.leave(), AWAY);
    }

    leave() {
      if (this.isConnected || this.away || !this.content?.python) return;
      this.away = true;
      const {link} = this.dataset;
      const replaced = document.querySelector(`cplab-nursery[data-link="${link}"]`);
      if (!replaced) this.tell({away: true});
    }

    // Python is there: it trains, and knows what was trained.
    follow(model) {
      model.on("msg:custom", (message) => this.hear(message));
      model.on("comm_live_update", () => this.tasks.size && this.lose()); // a restart
      model.send({hello: true, has: seedsOnPage()});
    }

    get task() {
      return this.tasks.get(this.key);
    }

    // What was trained at the chosen point, by seed; while more grows, that too.
    get lives() {
      return new Map([...(this.known.get(this.key)?.seeds ?? []), ...(this.task?.lives ?? [])]);
    }

    // Why the browser cannot train at the chosen point; "" if it can, or if Python is there.
    get off() {
      const {content, place} = this;
      if (content.python) return "";
      if (place.model) return `Training this network ${NEEDS_PYTHON}`;
      if (place.images) return `Training on these images ${NEEDS_PYTHON}`;
      const own = content.own?.[place.kind]; // the browser trains under one that only covers
      if (own && !own.mask) return `Training under this deficit ${NEEDS_PYTHON} ${OTHERS_TRAIN}`;
      return "";
    }

    get covered() {
      return this.place.kind !== "cover" || /[^0]/.test(this.place.mask);
    }

    // Begin and length move one side of the window, and onset the whole.
    choose({begin, ...change}) {
      const {place} = this;
      const {window} = this.content;
      const now = {...place, ...change};
      const until = place.onset + place.length;
      if (begin !== undefined) {
        now.onset = within(0, begin, until - 1);
        now.length = until - now.onset;
      }
      const longest = "onset" in change ? window : window - now.onset;
      now.length = within(1, Math.round(now.length), longest);
      now.onset = within(0, Math.round(now.onset), window - now.length);
      this.touched = true;
      if (JSON.stringify(now) !== this.key) {
        if (this.task?.mine) this.halt("");
        say(this.status, "");
      }
      this.go(now);
    }

    go(place) {
      Object.assign(this, {place, key: JSON.stringify(place)});
      this.draw();
    }

    moveByKey(event) {
      const {grip} = event.target.dataset;
      const step = STEPS[event.key] ?? LEAPS[event.key];
      if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.choose({[grip]: positions(this.place)[grip] + 5 * step});
    }

    press() {
      const {task} = this;
      if (!task) this.train();
      else if (performance.now() > task.began + DOUBLE) this.halt("stopped");
    }

    // The next seeds, each with its twin, the same network without the window.
    train() {
      const {key, place, content} = this;
      const task = {plans: [], lives: new Map(), began: performance.now(), mine: true};
      this.tasks.set(key, task);
      this.touched = true;
      say(this.status, "");
      this.show();
      if (content.python) {
        this.tell({train: place, key, words: this.words});
        setTimeout(() => this.task === task && !task.plans.length && say(this.status, BUSY), 1500);
        this.beat();
      } else {
        this.fill(task, this.nextPlans());
        task.training = grow(this.digits, task.plans, (message) => this.hear({key, ...message}));
      }
      this.draw();
    }

    nextPlans() {
      const {key, place, content} = this;
      const {kind, onset, length, recovery} = place;
      const mask = content.own?.[kind]?.mask;
      const trained = this.known.get(key)?.seeds ?? new Map();
      const plans = [];
      for (let seed = content.seed; plans.length < 2 * content.networks; seed++) {
        if (trained.has(seed)) continue;
        for (const arm of ARMS) {
          const window = arm === "spoilt" ? [[mask ? "cover" : kind, length]] : [];
          const phases = [["clear", onset], ...window, ["clear", recovery]];
          const epochs = onset + recovery + length * (arm === "spoilt");
          plans.push({...content.fixed, ...place, ...(mask && {mask}), seed, arm, phases, epochs});
        }
      }
      return plans;
    }

    fill(task, plans) {
      task.plans = plans;
      for (const {seed} of plans)
        if (!task.lives.has(seed)) task.lives.set(seed, {spoilt: newLife(), control: newLife()});
    }

    // Hold what grows here where it is, or let it go on.
    pause() {
      const {key, task} = this;
      task.ahead = 0;
      this.setPaused(key, task, !task.paused);
    }

    // Let what is held here go on until there are as many tests as networks, and hold it again.
    step() {
      const {key, task} = this;
      if (!task?.paused) return;
      task.ahead = task.plans.length;
      this.setPaused(key, task, false);
    }

    setPaused(key, task, paused) {
      task.training?.pause(paused);
      if (this.content.python) this.tell({pause: key, paused});
      this.hear({key, paused});
    }

    // Stop what grows here; pairs that are complete stay.
    halt(why, failed = false) {
      const {key, task} = this;
      if (task) this.keepPairs(key, task);
      this.tasks.delete(key);
      if (task?.training) {
        task.training.stop();
        this.keepInTab(key);
      }
      if (task && this.content.python && why !== GONE) this.tell({stop: key});
      this.end(why, failed);
    }

    end(why, failed = false) {
      say(this.status, why);
      this.status.classList.toggle("error", failed);
      this.draw();
    }

    tell(message) {
      try {
        this.model.send(message);
      } catch {
        this.lose();
      }
    }

    // Its kernel was restarted.
    lose() {
      this.tasks.clear();
      this.end(GONE, true);
    }

    // While Python trains, ask each second whether it is there. On Colab its words come as answers
    // only.
    beat() {
      clearTimeout(this.pulse);
      if (!this.tasks.size || !this.content.python || this.away) return;
      this.tell({pulse: true});
      this.pulse = setTimeout(() => this.beat(), 1000);
    }

    // A message of the browser's networks, or of Python.
    hear(message) {
      const {offers, session, known = [], wish, wishes = [], key, ended, opinions} = message;
      if (offers) {
        Object.assign(this.content, offers);
        this.known = knownTo(session);
      }
      if (ended && this.tasks.has(ended)) this.keepPairs(ended, this.tasks.get(ended));
      this.learn(known);
      for (const begun of wish ? [wish] : wishes) this.awaitWish(begun);
      if (offers) this.greet(offers, wishes);
      const task = this.tasks.get(key);
      if (task) this.hearOfTask(key, task, message);
      if (ended) this.endWish(ended, message);
      if (opinions) this.drawOpinions(opinions);
      this.drawSoon();
    }

    // What is said of networks that grow. failed: why the browser cannot go on.
    hearOfTask(key, task, {tests = [], left, note, paused, failed}) {
      for (const test of tests) this.take(task, test);
      if (task.ahead && tests.length) {
        task.ahead = Math.max(0, task.ahead - tests.length);
        if (!task.ahead) this.setPaused(key, task, true);
      }
      if (paused !== undefined) this.holdTask(key, task, paused);
      if (left) task.left = left;
      if (note) {
        task.note = note;
        say(this.status, note);
      }
      if (failed === undefined) this.finishPairs(key, task);
      else this.halt(failed, true);
    }

    // Pause a task, or let it go on. A pause does not count as time of training.
    holdTask(key, task, paused) {
      if (Boolean(task.paused) === paused) return;
      const now = performance.now();
      if (!paused) task.began += now - task.paused;
      task.paused = paused ? now : 0;
      if (key === this.key) say(this.status, paused ? "paused" : (task.note ?? ""));
    }

    // At the first greeting after a cell has run, button and figure are brought into sight. After a
    // reload the screen goes to what grows, or to what was tried last.
    greet({fresh}, wishes) {
      const going = [
        ...wishes.map(({place}) => place),
        ...(fresh ? [] : [...this.known.values()].slice(-1).map(({place}) => place)),
      ];
      const [place] = going.filter((one) => this.offers(one));
      if (place && !this.touched) this.go(place);
      if (fresh) setTimeout(() => this.show(), 400);
    }

    show() {
      this.scrollIntoView({block: "nearest"});
      this.head.scrollIntoView({block: "nearest"}); // where a window is lower than the screen
    }

    // Whether this screen can show a point: its deficit, its network and its images.
    offers(place) {
      const same = (name) => place[name] === this.content.place[name];
      return Boolean(this.content.kinds[place.kind]) && same("model") && same("images");
    }

    // Take what was trained at some points. If this page was told nothing of some pairs, or not
    // all, it asks for them.
    learn(known) {
      let lacks = false;
      for (const {key, place, trained, seeds, shipped} of known) {
        const before = this.known.get(key)?.seeds ?? [];
        const told = seeds.map(([seed, pair]) => [seed, readPair(pair)]);
        const pairs = new Map([...before, ...told]);
        this.known.set(key, {place, shipped, seeds: pairs});
        if (!trained.every((seed) => pairs.has(seed))) lacks = true;
      }
      if (lacks) this.tell({lacks: true, has: seedsOnPage()});
    }

    // Networks that this screen or another one has asked Python to train.
    awaitWish({key, place, plans, waits, paused = false}) {
      const task = this.tasks.get(key) ?? {lives: new Map(), began: performance.now(), mine: false};
      this.tasks.set(key, Object.assign(task, {waits, place}));
      this.fill(task, plans);
      if (key === this.key) say(this.status, waits ? NEXT : "");
      this.holdTask(key, task, paused);
      this.beat();
    }

    endWish(key, {why, failed = false}) {
      const task = this.tasks.get(key);
      this.tasks.delete(key);
      if (key !== this.key) return;
      this.end(why || (task ? timeTaken(task) : ""), failed);
    }

    // A test of a network: percent right, and now and then its answers, its weights, its first
    // units.
    take(task, {seed, arm, epoch, right, own, answers, units, network, birth, end, life}) {
      const pair = task.lives.get(seed);
      if (!pair) return;
      if (life) {
        Object.assign(pair[arm], readLife(life), {epoch});
        return;
      }
      const grown = pair[arm];
      if (epoch > grown.epoch) {
        grown.tests.push([epoch, right, own]);
        grown.epoch = epoch;
      }
      if (units) grown.looks.push([epoch, unpackUnits(units)]);
      if (birth) grown.birth = this.tools.pictures(birth);
      if (network) grown.looks.push([epoch, this.lookAt(network, grown.birth)]);
      if (network) grown.network = network;
      if (answers) grown.answers = answers;
      // a screen that came later has not heard all tests: Python tells it this pair in the end
      if (end?.tests === grown.tests.length) grown.answers = readAnswers(end.answers);
    }

    lookAt(network, birth) {
      const pixels = this.tools.pictures(network);
      const detail = {};
      if (birth) {
        const change = pixels.map((weight, i) => weight - birth[i]);
        for (const side of [2, 3, 4, 6]) detail[side] = detailShare(change, side);
      }
      return {pixels: pixels.slice(0, FEW * SIDE * SIDE), detail};
    }

    // The complete pairs of a task are known to all screens of the page.
    keepPairs(key, task) {
      const complete = [...task.lives].filter(([, pair]) => isComplete(pair));
      if (!complete.length) return;
      const before = this.known.get(key) ?? {place: JSON.parse(key), seeds: new Map(), shipped: ""};
      this.known.set(key, {...before, seeds: new Map([...before.seeds, ...complete])});
    }

    // What the browser has trained is known a pair at a time.
    finishPairs(key, task) {
      if (this.content.python || !task.training) return;
      this.keepPairs(key, task);
      if (![...task.lives.values()].every(isComplete)) return;
      this.tasks.delete(key);
      this.keepInTab(key);
      dispatchEvent(new CustomEvent("cplab-known"));
      if (key === this.key) this.end(timeTaken(task));
    }

    // Let the tab keep what the browser has trained so far.
    keepTraining() {
      for (const [key, {training}] of this.tasks) if (training) this.keepInTab(key);
    }

    // Let the tab keep what the browser has trained at a point.
    keepInTab(key) {
      const known = this.known.get(key);
      if (known) keep(this.content.version, key, lightened(known));
    }

    // The harm of complete pairs, in points, from the mean of the last five epochs: its mean over
    // pairs, and half of the interval by Student's t.
    harm(seeds) {
      const complete = [...seeds.values()].filter(isComplete);
      const values = complete.map(
        (pair) => finalAccuracy(pair.control) - finalAccuracy(pair.spoilt),
      );
      const n = values.length;
      const middle = mean(values);
      const squares = values.map((value) => (value - middle) ** 2);
      const spread = Math.sqrt(squares.reduce((a, b) => a + b, 0) / (n - 1));
      const half = (studentFactor(this.content.t, n - 1) * spread) / Math.sqrt(n);
      let words = "";
      if (n === 1) words = `${show(middle)} (1 network)`;
      if (n > 1) words = `${show(middle)} ± ${show(half)}`;
      return {complete, n, middle, half, words};
    }

    // While networks grow the page draws five times a second at most: they need the processor. The
    // first line comes as soon as it can.
    drawSoon() {
      if (this.due) return;
      const hasLine = [...this.lives.values()].some(({spoilt}) => spoilt.tests.length > 1);
      const pause = hasLine ? REDRAWN : FIRST_DRAWN;
      const wait = this.tasks.size ? Math.max(0, this.drewAt + pause - performance.now()) : 0;
      this.due = setTimeout(() => requestAnimationFrame(() => this.draw()), wait);
    }

    // Pixels beside the figure: for the harm, as far as there is none after the last epoch.
    get room() {
      const {place, last, lives, large} = this;
      if (!lives.size) return ROOM;
      const unused = 1 - (place.onset + place.length + place.recovery) / last;
      const width = (large.offsetWidth || 300) - LEFT;
      return Math.max(ROOM, Math.ceil((HARM - unused * width) / (1 - unused)));
    }

    draw() {
      this.due = null;
      this.drewAt = performance.now();
      if (!this.digits) return;
      const {place, content, task, last, lives} = this;
      const look = content.kinds[place.kind];
      const {room} = this;
      const harm = this.harm(this.known.get(this.key)?.seeds ?? new Map());
      const {style} = this.root;
      style.setProperty("--deficit", look.colour);
      style.setProperty("--on-deficit", look.ink);
      style.setProperty("--room", `${room}px`);
      for (const button of this.offered.children) button.ariaPressed = button.value === place.kind;
      for (const field of this.root.querySelectorAll("input[name], select[name]"))
        field.value = place[field.name];
      drawLine(this.line, last, place, ["clear", look.label, "clear"]);
      say(this.start, task ? "Stop" : `Train ${content.networks} ${harm.n ? "more" : "networks"}`);
      this.start.disabled = !task && Boolean(this.off || !this.covered);
      if ([this.hold, this.forward].includes(document.activeElement) && !task)
        this.start.focus({preventScroll: true});
      this.hold.hidden = !task?.plans.length || Boolean(task.waits);
      this.forward.hidden = this.hold.hidden || !(task.paused || task.ahead);
      say(this.hold, task?.paused ? "Go on" : "Pause");
      const done = ({seed, arm, epochs}) => task.lives.get(seed)[arm].epoch / epochs;
      Object.assign(this.progress, {
        hidden: !task,
        value: task?.plans.length ? mean(task.plans.map(done)) : 0,
      });
      say(this.left, task && !task.paused ? (task.left ?? "") : "");
      this.drawPaint();
      this.drawCurves(look, harm, room);
      this.drawPictures(harm);
      this.drawTried();
      this.drawUnits();
      this.drawWords(harm);
    }

    // What a point is called: its deficit, its epochs, and what else is not as it was.
    wordsOf(to) {
      const changed = [...this.root.querySelectorAll("select[name]")].filter(
        ({name}) => to[name] !== this.content.place[name],
      );
      const fields = to.kind === "cover" ? [this.maskWords(to.mask)] : [];
      const window = `${to.onset} to ${to.onset + to.length}`;
      return [
        this.content.kinds[to.kind].label,
        ...fields,
        window,
        ...changed.map(({name, title}) => `${title} ${to[name]}`),
      ].join(", ");
    }

    maskWords(mask) {
      const named = Object.entries(this.content.masks).find(([, one]) => one === mask);
      const count = rowsOf(mask).reduce(
        (sum, row) => sum + row.toString(2).replaceAll("0", "").length,
        0,
      );
      return named ? named[0] : `${count} of 144 fields`;
    }

    drawTried() {
      this.words = this.wordsOf(this.place);
      const tried = [...this.known.values()].filter(
        ({place, seeds}) => this.offers(place) && this.harm(seeds).n,
      );
      const rows = tried.map(({place, seeds}) => [
        `${this.wordsOf(place)}: ${this.harm(seeds).words}`,
        place,
      ]);
      const line = JSON.stringify(rows);
      if (line === this.rows) return; // the focus stays where it is
      this.rows = line;
      this.tried.replaceChildren(
        ...rows.map(([textContent, place]) =>
          make("button", {type: "button", textContent, onclick: () => this.choose(place)}),
        ),
      );
    }

    // Whose networks these are, the shipped number beside them, what is missing, and the line of
    // Python.
    drawWords({n, words}) {
      const {place, content, task} = this;
      if (this.off) say(this.status, this.off);
      else if (this.status.textContent.includes(NEEDS_PYTHON)) say(this.status, "");
      const known = this.known.get(this.key);
      const seeds = [...(known?.seeds.keys() ?? [])].sort((a, b) => a - b);
      const yours = n
        ? `Your networks ${seeds[0]} to ${seeds.at(-1)}: ${words} points of harm. `
        : "";
      const shipped =
        n && known.shipped ? `Those that came with the lab, from 0 on: ${known.shipped}.` : "";
      say(this.yours, content.python && !task ? yours + shipped : "");
      say(this.code, this.python(place));
    }

    // The line of Python that makes a point.
    python(place) {
      const {usual} = this.content;
      const {kind, onset, length} = place;
      const names = {
        mosaic: place.block === 3 ? "mosaic" : `mosaic-${place.block}`,
        cover: `cover-${place.mask}`,
      };
      const parts = [
        kind.includes("@") ? functionOf(kind) : `"${names[kind] ?? kind}"`,
        `onset=${onset}`,
        `length=${length}`,
        'profile="tiny"',
      ];
      const network = `mlp${place.layers}${{0.1: "_tenth", 1: "_he"}[place.scale] ?? ""}`;
      if (place.model?.includes("@")) parts.push(`model=${functionOf(place.model)}`);
      else if (place.model) parts.push(`model="${place.model}"`);
      else if (network !== "mlp2") parts.push(`model="${network}"`);
      if (place.images) parts.push(`dataset="${place.images}"`);
      if (place.recovery !== usual.recovery) parts.push(`recovery=${place.recovery}`);
      if (place.digits !== usual.digits) parts.push(`images=${place.digits}`);
      if (place.rate !== usual.rate)
        parts.push(`rate=${Math.round((100 * place.rate) / usual.rate) / 100}`);
      return `cplab.Run(${parts.join(", ")})`;
    }

    // How networks end beside their twins, in a sentence.
    verdict(look, {n, middle, half, words}) {
      const {onset, length} = this.place;
      const epochs = onset
        ? `from epoch ${onset} to ${onset + length}`
        : `for their first ${length} epochs`;
      const childhood = `${look.words} ${epochs}`;
      const differs = Math.abs(middle) > half;
      if (!differs) {
        const precision = `at the precision of ${n} seeds (${words} points)`;
        return `${childhood}, they end level with their twins, ${precision}`;
      }
      const side = middle > 0 ? "behind" : "ahead of";
      return `${childhood}, they end ${words.replace("−", "")} points ${side} their twins`;
    }

    drawCurves(look, harm, room) {
      const {place, last, content, task} = this;
      const end = place.onset + place.length;
      const lives = [...this.lives.values()];
      const large = new Plot(this.large, last, content.range, room);
      const means = large.curves(lives, place, 1);
      const sentence = this.headline(look, harm, lives.length);
      say(this.head, sentence);
      if (!lives.length)
        large.text(last / 2, mean(content.range), "They will grow up here", "harm middle");
      if (!task && harm.n) drawHarm(large, end + place.recovery, means, harm);
      large.end(`Test images right, by epoch. ${sentence}`);
      if (content.why) this.drawWhy(lives, end);
    }

    // What the screen says above all, with so many networks that grow or have grown up.
    headline(look, harm, count) {
      const {place, content, task} = this;
      if (count && (task || !harm.n)) return GROWING;
      if (count && harm.n === 1) return ONE_NETWORK;
      if (count) return this.verdict(look, harm);
      if (place.kind === content.place.kind) return content.begin;
      return `Does “${look.label}” leave a mark? Press Train.`;
    }

    drawWhy(lives, end) {
      const why = new Plot(this.why, this.last, [0, 100], 20);
      const own = why.curves(lives, this.place, 2);
      const known = own.spoilt.find(([age]) => age === end)?.[1];
      const side = end < this.last / 5 ? "middle" : "end"; // the twins' curves are on its right
      if (known !== undefined)
        why.text(end, known, `${Math.round(known)} %`, `harm ${side}`, -4, known > 60 ? 22 : -10);
      const ending = known === undefined ? "" : `: ${Math.round(known)} % at epoch ${end}`;
      why.end(`Own training digits right when clear, by epoch${ending}`);
    }

    // What networks see of images. Arguments: images (count, 144); at, their places among test
    // images; epochs, of each image, for a deficit that changes.
    see(images, at, epochs) {
      const {
        place,
        tools: {spoil, generator, image},
      } = this;
      const own = this.content.own?.[place.kind];
      if (!own) return spoil(images, place.kind, place, generator(0));
      if (!own.stages.length) return images; // where nobody could try it
      const seen = at.flatMap((i, n) => [...image(nearestStage(own.stages, epochs[n]).images, i)]);
      return Float32Array.from(seen);
    }

    // The epochs at which the deficit is drawn: near the beginning of its window and near its end;
    // one, if that is the same there; none, if it never changes.
    get epochsDrawn() {
      const stages = this.content.own?.[this.place.kind]?.stages ?? [];
      if (stages.length < 2) return [];
      return stagesAtEnds(stages, this.place).map(({epoch}) => epoch);
    }

    // Images side by side, ink as black that is more or less opaque.
    paintImages(images) {
      const {average, deviation} = this.content.digits;
      const width = images.length / SIDE;
      const ink = new ImageData(width, SIDE); // red, green, blue and opacity of each pixel
      images.forEach((value, at) => {
        const x = SIDE * Math.floor(at / SIDE ** 2) + (at % SIDE);
        const y = Math.floor(at / SIDE) % SIDE;
        ink.data[4 * (width * y + x) + 3] = 255 * (value * deviation + average);
      });
      const canvas = make("canvas", {width, height: SIDE});
      canvas.getContext("2d").putImageData(ink, 0, 0);
      return canvas;
    }

    // Digits, clear and as the network sees them: any before networks have grown up, and then
    // those that only the deprived networks get wrong.
    drawPictures({complete, n}) {
      const drawn = `${this.key} ${n}`;
      if (this.pictured === drawn) return;
      this.pictured = drawn;
      const {test} = this.digits;
      const {image} = this.tools;
      const epochs = this.epochsDrawn;
      const most = this.place.kind === "cover" || epochs.length > 1 ? 4 : 8;
      const chosen = n ? onlyDeprivedWrong(test.labels, complete) : [...test.labels.keys()];
      const places = chosen.slice(0, most);
      const clear = Float32Array.from(places.flatMap((i) => [...image(test.images, i)]));
      const seen = (epochs.length ? epochs : [0]).map((epoch) =>
        this.see(clear, places, Array(places.length).fill(epoch)),
      );
      const figures = places.map((i, at) => {
        const pictures = [clear, ...seen].map((images) => this.paintImages(image(images, at)));
        const wrong = mostFrequent(wrongAnswers(test.labels, complete, "spoilt", i));
        const textContent = n ? `${test.labels[i]}, taken for ${wrong}` : "";
        return make("figure", {}, ...pictures, make("figcaption", {textContent}));
      });
      this.pictures.classList.toggle("changing", epochs.length > 1);
      this.pictures.replaceChildren(...figures);
      const which = epochs.length > 1 ? "epochs" : "epoch";
      const when = epochs.length ? ` (as in ${which} ${epochs.join(" and ")})` : "";
      let about = NONE_WRONG;
      if (!n) about = CLEAR_AND_SEEN + when;
      else if (places.length) about = ONLY_DEPRIVED + when;
      say(this.about, about);
      this.drawLifeStrips();
    }

    // Ten test images along the line of time, as the network sees them in each part of its life.
    drawLifeStrips() {
      const {onset, length} = this.place;
      const ten = [...Array(10).keys()];
      const clear = this.tools.image(this.digits.test.images, 0, 10);
      const epochs = ten.map((i) => onset + (i / ten.length) * length);
      const strip = (images) => this.paintImages(images).toDataURL();
      drawStrips(this.before, [strip(clear)]);
      drawStrips(this.during, [strip(this.see(clear, ten, epochs))]);
      drawStrips(this.after, [strip(clear)]);
    }

    // Paint it ------------------------------------------------------------------------------------

    furnishPaint() {
      for (const [textContent, mask] of Object.entries(this.content.masks))
        this.masks.append(
          make("button", {type: "button", textContent, onclick: () => this.choose({mask})}),
        );
      const nothing = {
        type: "button",
        textContent: "nothing",
        onclick: () => this.choose({mask: "0".repeat(36)}),
      };
      this.masks.append(make("button", nothing));
      for (let y = 0; y < SIDE; y++) {
        const row = make("div", {role: "row"});
        for (let x = 0; x < SIDE; x++) {
          const cell = make("span", {
            role: "gridcell",
            tabIndex: x || y ? -1 : 0,
            ariaLabel: `row ${y + 1}, column ${x + 1}`,
          });
          Object.assign(cell.dataset, {x, y});
          row.append(cell);
        }
        this.grid.append(row);
      }
      this.grid.onkeydown = (event) => this.paintByKey(event);
      this.grid.onpointerdown = (event) => this.paintByPointer(event);
    }

    cell(x, y) {
      return this.grid.children[y].children[x];
    }

    isCovered({x, y}) {
      return Boolean(rowsOf(this.place.mask)[y] & bitOf(x));
    }

    cover({x, y}, covered) {
      this.coverAll([[x, y]], covered);
    }

    // Fields, [x, y] each; some may lie outside.
    coverAll(fields, covered) {
      const rows = rowsOf(this.place.mask);
      for (const [x, y] of fields) {
        if (x < 0 || x >= SIDE || y < 0 || y >= SIDE) continue;
        rows[y] = covered ? rows[y] | bitOf(x) : rows[y] & ~bitOf(x);
      }
      const mask = maskOf(rows);
      if (mask !== this.place.mask) this.choose({mask});
    }

    paintByKey(event) {
      const field = event.target.dataset;
      const arrow = ARROWS[event.key];
      if (!arrow && event.key !== " ") return;
      event.preventDefault();
      if (!arrow) {
        if (!event.repeat) this.cover(field, !this.isCovered(field)); // unless the key is held
        return;
      }
      const {x, y} = field;
      const [right, down] = arrow;
      const next = this.cell(within(0, +x + right, SIDE - 1), within(0, +y + down, SIDE - 1));
      this.moveTo(next);
      next.focus();
    }

    moveTo(next) {
      for (const cell of this.grid.querySelectorAll("[tabindex='0']")) cell.tabIndex = -1;
      next.tabIndex = 0;
    }

    // All fields that the pointer passes, however fast, become what the first one becomes.
    paintByPointer(event) {
      const first = event.target.closest("[role=gridcell]");
      if (!first || event.button) return;
      event.preventDefault();
      const covered = !this.isCovered(first.dataset);
      this.moveTo(first);
      first.focus({preventScroll: true});
      this.cover(first.dataset, covered);
      this.grid.setPointerCapture(event.pointerId);
      const fieldAt = ({clientX, clientY}) => {
        const {left, top, width} = this.grid.getBoundingClientRect();
        return [clientX - left, clientY - top].map((at) => (SIDE * at) / width);
      };
      let [x, y] = fieldAt(event);
      this.grid.onpointermove = (move) => {
        const [toX, toY] = fieldAt(move);
        const steps = Math.ceil(2 * Math.max(Math.abs(toX - x), Math.abs(toY - y), 0.5));
        const passed = Array.from({length: steps}, (_, i) => (i + 1) / steps);
        this.coverAll(
          passed.map((part) => [x + part * (toX - x), y + part * (toY - y)].map(Math.floor)),
          covered,
        );
        [x, y] = [toX, toY];
      };
      this.grid.onpointerup = this.grid.onpointercancel = () => {
        this.grid.onpointermove = null;
      };
    }

    drawPaint() {
      const {kind, mask} = this.place;
      this.paint.hidden = kind !== "cover";
      say(this.advice, this.covered ? PAINT : BARE);
      if (this.painted === mask) return;
      this.painted = mask;
      for (const cell of this.grid.querySelectorAll("[role=gridcell]"))
        cell.ariaSelected = this.isCovered(cell.dataset);
      for (const button of this.masks.children)
        button.ariaPressed = this.content.masks[button.textContent] === mask;
    }

    // What they look for --------------------------------------------------------------------------

    // The pairs that were looked at, [seed, pair] each.
    get watched() {
      return [...this.lives].filter(
        ([, {spoilt, control}]) => spoilt.looks?.length || control.looks?.length,
      );
    }

    // The pair whose first units are shown: the chosen one, at first the first.
    choosePair() {
      const {watched} = this;
      const seeds = watched.map(([seed]) => `${seed}`);
      const before = Array.from(this.chosen.options, ({value}) => value);
      if (`${seeds}` !== `${before}`) {
        const {value} = this.chosen;
        this.chosen.replaceChildren(...seeds.map((seed) => make("option", {textContent: seed})));
        if (seeds.includes(value)) this.chosen.value = value;
      }
      return watched[Math.max(0, this.chosen.selectedIndex)] ?? [];
    }

    drawUnits() {
      const [seed, pair] = this.choosePair();
      this.looking.classList.toggle("empty", !pair);
      if (!this.looking.open) return;
      if (!pair) {
        this.units.replaceChildren();
        return say(this.found, UNITS_LATER);
      }
      const age = this.chooseAge(pair);
      const {onset, length} = this.place;
      // the twin has no window: its age is that of the deprived network, less the window
      const twinAge = age <= onset ? age : Math.max(onset, age - length);
      const spoilt = unitsAt(pair.spoilt, age);
      const control = unitsAt(pair.control, twinAge);
      const row = (textContent, className, look) => {
        const words = make("b", {textContent, className});
        return make("div", {}, words, ...this.unitPictures(look));
      };
      this.units.replaceChildren(
        row(`network ${seed}, deprived`, "spoilt", spoilt),
        row("its twin", "control", control),
      );
      say(this.age, `${age}`);
      say(this.found, detailInWords(this.place.block, spoilt, control));
    }

    // The epoch whose pictures are shown: the chosen one of those at which units were looked at, at
    // first the last.
    chooseAge({spoilt}) {
      const ages = spoilt.looks.map(([epoch]) => epoch);
      const following = this.moment.value === this.moment.max;
      this.moment.max = Math.max(0, ages.length - 1);
      if (following) this.moment.value = this.moment.max;
      return ages[this.moment.value] ?? 0;
    }

    // Weights as pictures: light where a unit looks for ink, dark where it looks for none.
    unitPictures(look) {
      if (!look) return [make("span", {textContent: "not born yet"})];
      const scale = look.pixels.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
      return Array.from({length: FEW}, (_, unit) => {
        const canvas = make("canvas", {width: SIDE, height: SIDE, className: "weights"});
        const pen = canvas.getContext("2d");
        for (let at = 0; at < SIDE ** 2; at++) {
          const grey = Math.round(128 + (127 * look.pixels[unit * SIDE ** 2 + at]) / scale);
          pen.fillStyle = `rgb(${grey} ${grey} ${grey})`;
          pen.fillRect(at % SIDE, Math.floor(at / SIDE), 1, 1);
        }
        return canvas;
      });
    }

    // Ask them ------------------------------------------------------------------------------------

    furnishSheet() {
      const pen = this.sheet.getContext("2d");
      Object.assign(pen, {
        lineWidth: PEN,
        lineCap: "round",
        lineJoin: "round",
        strokeStyle: "#000",
      });
      const tip = {x: SHEET / 2, y: SHEET / 2, down: false}; // of the pen
      const line = (x, y) => {
        pen.beginPath();
        pen.moveTo(tip.x, tip.y);
        pen.lineTo(x + 0.01, y); // so that a dot is drawn too
        pen.stroke();
        Object.assign(tip, {x, y});
      };
      const at = ({clientX, clientY}) => {
        const {left, top, width} = this.sheet.getBoundingClientRect();
        return [clientX - left, clientY - top].map((value) => (SHEET * value) / width);
      };
      this.sheet.onpointerdown = (event) => {
        event.preventDefault();
        this.sheet.focus({preventScroll: true});
        this.sheet.setPointerCapture(event.pointerId);
        [tip.x, tip.y] = at(event);
        line(tip.x, tip.y);
        this.sheet.onpointermove = (move) => line(...at(move));
        this.sheet.onpointerup = this.sheet.onpointercancel = () => {
          this.sheet.onpointermove = null;
          this.ask();
        };
      };
      this.sheet.onkeydown = (event) => {
        const arrow = ARROWS[event.key];
        if (!arrow && event.key !== " ") return;
        event.preventDefault();
        if (!arrow && event.repeat) return; // a key that is held
        if (!arrow) tip.down = !tip.down;
        const [x, y] = arrow
          ? [tip.x + STROKE * arrow[0], tip.y + STROKE * arrow[1]]
          : [tip.x, tip.y];
        const inX = within(PEN, x, SHEET - PEN);
        const inY = within(PEN, y, SHEET - PEN);
        if (tip.down) line(inX, inY);
        else Object.assign(tip, {x: inX, y: inY});
        this.sheet.style.setProperty("--x", `${(100 * inX) / SHEET}%`);
        this.sheet.style.setProperty("--y", `${(100 * inY) / SHEET}%`);
        if (tip.down) this.ask();
      };
      this.wipe.onclick = () => {
        pen.clearRect(0, 0, SHEET, SHEET);
        this.answers.replaceChildren();
        this.shrunk.getContext("2d").clearRect(0, 0, SIDE, SIDE);
        say(this.opinion, "");
      };
    }

    // What is drawn on the sheet, as the package draws digits: centred, its longer side LONG of the
    // image's, ink from 0 to 1, (144,); null if nothing is drawn.
    get drawn() {
      const {data} = this.sheet.getContext("2d").getImageData(0, 0, SHEET, SHEET);
      let left = SHEET;
      let top = SHEET;
      let right = -1;
      let bottom = -1;
      for (let at = 0; at < SHEET * SHEET; at++) {
        if (data[4 * at + 3] < 128) continue;
        const x = at % SHEET;
        const y = Math.floor(at / SHEET);
        left = Math.min(left, x);
        top = Math.min(top, y);
        right = Math.max(right, x);
        bottom = Math.max(bottom, y);
      }
      if (right < 0) return null;
      const wide = right - left + 1;
      const high = bottom - top + 1;
      const fine = 8; // points a side in each pixel, whose mean is its ink
      const size = fine * SIDE;
      const scale = (LONG * size) / Math.max(wide, high);
      const pen = make("canvas", {width: size, height: size}).getContext("2d");
      const w = wide * scale;
      const h = high * scale;
      pen.drawImage(this.sheet, left, top, wide, high, (size - w) / 2, (size - h) / 2, w, h);
      const ink = pen.getImageData(0, 0, size, size).data;
      const image = new Float32Array(SIDE ** 2);
      for (let y = 0; y < size; y++)
        for (let x = 0; x < size; x++)
          image[Math.floor(y / fine) * SIDE + Math.floor(x / fine)] +=
            ink[4 * (y * size + x) + 3] / 255 / fine ** 2;
      return image;
    }

    ask() {
      const image = this.drawn;
      if (!image) return;
      const pen = this.shrunk.getContext("2d");
      pen.clearRect(0, 0, SIDE, SIDE);
      image.forEach((ink, at) => {
        pen.fillStyle = `rgb(0 0 0 / ${ink})`;
        pen.fillRect(at % SIDE, Math.floor(at / SIDE), 1, 1);
      });
      const known = this.known.get(this.key);
      if (!known?.seeds.size) return say(this.opinion, NO_NETWORK);
      if (this.content.python) return this.tell({ask: this.key, image: [...image]});
      const pairs = [...known.seeds.values()].filter(
        ({spoilt, control}) => spoilt.network && control.network,
      );
      if (!pairs.length) return say(this.opinion, NO_WEIGHTS);
      const {average, deviation} = this.content.digits;
      const x = image.map((ink) => (ink - average) / deviation);
      const {layers} = this.place;
      const {width} = this.content.fixed;
      const said = {count: pairs.length};
      for (const arm of ARMS) {
        const given = pairs.map((pair) =>
          this.tools.chances(pair[arm].network, x, {layers, width}),
        );
        said[arm] = given[0].map((_, label) => mean(given.map((parts) => parts[label])));
      }
      this.drawOpinions(said);
    }

    // The five likeliest classes of each arm, as bars, from the chance that each class is given.
    drawOpinions({why, count, spoilt, control}) {
      if (why) {
        this.answers.replaceChildren();
        return say(this.opinion, why);
      }
      const sorted = (parts) =>
        parts
          .map((part, label) => [label, part])
          .sort(([, a], [, b]) => b - a)
          .slice(0, 5);
      const said = {spoilt: sorted(spoilt), control: sorted(control)};
      const bars = (arm, words) =>
        make(
          "div",
          {className: arm},
          make("b", {textContent: words}),
          ...said[arm].map(([label, part]) => {
            const bar = make("i", {});
            bar.style.width = `${Math.round(100 * part)}px`;
            return make(
              "div",
              {},
              make("span", {textContent: label}),
              bar,
              make("span", {textContent: `${Math.round(100 * part)} %`}),
            );
          }),
        );
      const many = count > 1;
      const twins = many ? "their twins" : "its twin";
      this.answers.replaceChildren(bars("spoilt", "the deprived"), bars("control", twins));
      const best = (arm) => `${said[arm][0][0]} (${Math.round(100 * said[arm][0][1])} %)`;
      const who = many
        ? `${count} deprived networks take it for`
        : "The deprived network takes it for";
      say(this.opinion, `${who} ${best("spoilt")}, ${twins} for ${best("control")}.`);
    }
  },
);
