// Small networks that grow up while one looks on. With Python, in a notebook, Python trains them; on a
// page without it the browser does, in workers (`networks.js`). `Nursery` is what one sees.

const LEAPS = {PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity};
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const show = (value) => value.toFixed(1).replace("-", "−").replace(/^−0\.0$/, "0.0");

// A figure over the epochs of a life, as SVG, on the scale of the line of time above it.
class Plot {
  constructor(place, last, [low, high], room) {
    const width = place.offsetWidth || 300, bottom = (place.offsetHeight || 190) - 20, clip = `cplab-t${Math.random()}`, parts = [];
    const x = (age) => 40 + (age / last) * (width - 40 - room);
    const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - 8);
    const area = (from, to) => `<rect class="window" x="${x(from)}" y="8" width="${x(to) - x(from)}" height="${bottom - 8}"/>`;
    const line = (points) => points.map(([age, value]) => `${x(age).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
    this.path = (points, className) => points.length > 1 && parts.push(
      `<path class="${className}" clip-path="url(#${clip})" d="M${line(points)}"/>`);
    this.text = (age, value, words, className, right = 0, down = 0) => parts.push(
      `<text class="${className}" x="${x(age) + right}" y="${y(value) + down}">${words}</text>`);
    this.shade = (from, to) => parts.unshift(`<clipPath id="${clip}">${area(0, last)}</clipPath>`, area(from, to));
    this.end = (ariaLabel) => Object.assign(place, {
      ariaLabel, innerHTML: `<svg width="100%" height="100%" aria-hidden="true">${parts.join("")}</svg>`});
    for (let value = low; value <= high; value += high - low > 60 ? 20 : 10) {
      this.path([[0, value], [last, value]], "grid");
      this.text(0, value, value, "end", -6, 4);
    }
    const step = [50, 100, 200, 500].find((step) => (step / last) * width > 56);
    for (let age = 0; age <= last; age += step) this.text(age, low, age || "epoch 0", "middle", 0, 16);
  }

  // All networks, thin, and their mean in front. The control, in grey, waits while the window lasts.
  curves(lives, {onset, length}, column) {
    const means = {};
    for (const arm of ["control", "spoilt"]) {
      const tests = lives.map((life) => life[arm].tests.map((test) => [test[0], test[column]]));
      const ages = (tests[0] ?? []).filter((_, i) => tests.every((one) => one[i]));
      means[arm] = ages.map(([age], i) => [age, mean(tests.map((one) => one[i][1]))]);
      const parts = arm === "spoilt" ? [() => true] : [([age]) => age <= onset, ([age]) => age > onset];
      for (const part of parts) for (const one of tests) this.path(one.filter(part), `${arm} thin`);
      for (const part of parts) this.path(means[arm].filter(part), arm);
    }
    this.shade(onset, onset + length);
    return means;
  }
}

// The screen: digits, a line of time, a button, the figures. `known` holds what was trained,
// by point; the page keeps it when a cell is run again.
customElements.define("cplab-nursery", class extends Improved {
  async begin() {
    const content = JSON.parse(this.querySelector("script").textContent), {place} = content;
    const known = (globalThis.cplabKnown ??= {})[JSON.stringify(content.fixed)] ??= new Map();
    Object.assign(this, {content, place, key: JSON.stringify(place), tools: engine(), known, last: content.window + place.recovery});
    const root = this.root = furnish(this, content.html);
    this.why.parentElement.hidden = !content.why;
    this.knobs.parentElement.hidden = !content.knobs;
    this.digits = await unpack(content.digits, this.tools);
    for (const {value, textContent} of root.querySelectorAll("[name=kind]")) content.kinds[value].label = textContent;
    root.onclick = ({target: {name, value}}) => void (name === "kind" && this.choose({kind: value}));  // false would stop a fold
    root.onchange = ({target}) => this.choose({[target.name]: +target.value});
    this.line.onkeydown = (event) => {
      const {grip} = event.target.dataset, step = STEPS[event.key] ?? LEAPS[event.key];
      if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.choose({[grip]: positions(this.place)[grip] + 5 * step});
    };
    dragAlong(this.line, (grip) => {
      const from = positions(this.place)[grip];
      return (part) => this.choose({[grip]: 5 * Math.round((from + part * this.last) / 5)});
    });
    this.start.onclick = ({detail}) => detail < 2 && (this.task ? this.halt("stopped") : this.train());
    new ResizeObserver(() => this.draw()).observe(root);
    this.connect();
  }

  follow(model) {
    model.on("msg:custom", (message) => this.hear(message));
    model.send({hello: true});
  }

  get seeds() {  // what was trained at the chosen point, by seed: {control, spoilt}, each {tests, answers}
    if (!this.known.has(this.key)) this.known.set(this.key, {place: this.place, seeds: new Map()});
    return this.known.get(this.key).seeds;
  }

  choose({begin, ...change}) {  // begin and length move one side of the window, and onset the whole
    const {place, content: {window}} = this, now = {...place, ...change}, until = place.onset + place.length;
    if (begin !== undefined) now.onset = within(0, begin, until - 1);
    if (begin !== undefined) now.length = until - now.onset;
    now.length = within(1, Math.round(now.length), "onset" in change ? window : window - now.onset);
    now.onset = within(0, Math.round(now.onset), window - now.length);
    const key = JSON.stringify(now);
    if (key !== this.key) this.halt("");
    Object.assign(this, {place: now, key});
    this.draw();
  }

  train() {  // the next seeds, each with its control, the same network without the window
    const {key, seeds, place, content} = this, {kind, onset, length, recovery} = place, plans = [];
    for (let seed = content.seed; plans.length < 2 * content.networks; seed++)
      for (const arm of this.complete(seed) ? [] : ["spoilt", "control"]) {
        const phases = [["clear", onset], ...(arm === "spoilt" ? [[kind, length]] : []), ["clear", recovery]];
        plans.push({...content.fixed, ...place, seed, arm, phases, epochs: onset + recovery + length * (arm === "spoilt")});
      }
    for (const {seed} of plans) seeds.set(seed, {spoilt: {tests: []}, control: {tests: []}});
    this.task = {key, plans, began: performance.now()};
    this.status.textContent = "";
    this.scrollIntoView({block: "nearest"});
    if (content.python) this.tell({train: place, key, words: this.words, seeds: [...new Set(plans.map(({seed}) => seed))]});
    else this.training = grow(this.digits, plans, (message) => this.hear({key, ...message}));
    this.draw();
  }

  halt(why) {  // and forget what is not complete
    this.status.textContent = why;
    if (!this.task) return;
    this.task = null;
    this.training?.stop();
    for (const seed of this.seeds.keys()) if (!this.complete(seed)) this.seeds.delete(seed);
    if (this.content.python) this.tell({stop: true});
    this.draw();
  }

  complete(seed) {
    return Boolean(this.seeds.get(seed)?.spoilt.answers && this.seeds.get(seed).control.answers);
  }

  tell(message) {
    try {
      this.model.send(message);
    } catch {  // its kernel was restarted
      this.halt(GONE);
    }
  }

  // A message of a worker or of Python: what Python offers, tests of networks, or why it failed.
  hear({offers, key, tests = [], note, failed}) {
    Object.assign(this.content, offers);
    if (failed) this.halt(failed);
    if (key && key !== this.task?.key) return;
    if (note) this.status.textContent = note;
    for (const {seed, arm, epoch, right, own, answers} of tests) {
      const one = this.seeds.get(seed)[arm], {onset, length} = this.place;
      if (!(epoch <= one.epoch)) one.tests.push([arm === "control" && epoch > onset ? epoch + length : epoch, right, own]);
      Object.assign(one, {epoch: Math.max(epoch, one.epoch ?? 0)}, answers && {answers});
    }
    if (this.task?.plans.every(({seed, arm}) => this.seeds.get(seed)[arm].answers)) {
      this.status.textContent = `${Math.round((performance.now() - this.task.began) / 1000)} s`;
      this.task = null;
    }
    this.due ??= requestAnimationFrame(() => this.draw());
  }

  // Harm of complete seeds, in points, by the last five epochs: mean, half of the interval by Student's t.
  estimate(seeds) {
    const end = (tests) => mean(tests.filter(([age]) => age > tests.at(-1)[0] - 5).map(([, right]) => right));
    const complete = [...seeds.values()].filter(({spoilt, control}) => spoilt.answers && control.answers);
    const values = complete.map(({spoilt, control}) => end(control.tests) - end(spoilt.tests)), n = values.length;
    const middle = mean(values), spread = Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (n - 1));
    const half = (this.content.t[n - 2] * spread) / Math.sqrt(n);
    return {complete, n, middle, half, words: n > 1 ? `${show(middle)} ± ${show(half)}` : n ? `${show(middle)} (1 network)` : ""};
  }

  draw() {
    this.due = null;
    const {place, content, seeds, task, last} = this, look = content.kinds[place.kind], room = seeds.size ? 96 : 16;  // beside the figure
    this.root.style.cssText = `--deficit: ${look.colour}; --on-deficit: ${look.ink}; --room: ${room}px`;
    for (const button of this.root.querySelectorAll("[name=kind]")) button.ariaPressed = button.value === place.kind;
    for (const field of this.root.querySelectorAll("input, select")) field.value = place[field.name];
    drawLine(this.line, last, place, ["clear", look.label, "clear"]);
    this.start.textContent = task ? "Stop" : `Train ${content.networks} ${seeds.size ? "more" : "networks"}`;
    const done = (plan) => (seeds.get(plan.seed)[plan.arm].epoch ?? 0) / plan.epochs;
    Object.assign(this.progress, {hidden: !task, value: task ? mean(task.plans.map(done)) : 0});
    this.drawCurves(look, this.estimate(seeds), room);
    this.drawPictures(this.estimate(seeds));
    const changed = (to) => [...this.root.querySelectorAll("select")].filter(({name}) => to[name] !== content.place[name]);
    const words = (to) => [content.kinds[to.kind].label, `${to.onset} to ${to.onset + to.length}`, ...changed(to).map(({name, title}) => `${title} ${to[name]}`)].join(", ");
    this.words = words(place);
    const tried = [...this.known.values()].filter(({seeds}) => this.estimate(seeds).n);
    this.tried.replaceChildren(...tried.map(({place, seeds}) => make("button", {type: "button", onclick: () => this.choose(place),
      textContent: `${words(place)}: ${this.estimate(seeds).words}`})));
  }

  drawCurves(look, {n, middle, half, words}, room) {
    const {place, seeds, last, content, task} = this, {onset, length, recovery} = place, end = onset + length;
    const lives = [...seeds].filter(([seed]) => task || this.complete(seed)).map(([, life]) => life);
    const large = new Plot(this.large, last, content.range, room), means = large.curves(lives, place, 1);
    const why = new Plot(this.why, last, [0, 100], 20), own = why.curves(lives, place, 2);
    const [a, b] = [means.control.at(-1)?.[1], means.spoilt.at(-1)?.[1]], known = own.spoilt.find(([age]) => age === end)?.[1];
    const when = onset ? `from epoch ${onset} to ${end}` : `for their first ${length} epochs`;
    this.head.textContent = !lives.length ? content.begin : task || !n ? "They grow up …"
      : n < 2 ? "One network has no interval, and is no verdict: train more"
      : Math.abs(middle) > half ? `${look.words} ${when}, they end ${words.replace("−", "")} points ${middle > 0 ? "behind" : "ahead of"} their twins`
      : `${look.words} ${when}, they end level with their twins, as far as ${n} can tell (${words} points)`;
    if (!lives.length) large.text(last / 2, mean(content.range), "Here they will grow up", "harm middle");
    if (!task && n) {
      large.path([[end + recovery, a], [end + recovery, b]], "bracket");
      large.text(end + recovery, (a + b) / 2, words, "harm", 8, 0);
      large.text(end + recovery, (a + b) / 2, n > 1 ? "points of harm" : "no interval yet", "", 8, 15);
    }
    if (known !== undefined) why.text(end, known, `${Math.round(known)} %`, "harm middle", 0, known > 60 ? 22 : -10);
    large.end(`Test images right, by epoch. ${this.head.textContent}`);
    why.end(`Own training digits right when clear, by epoch${known === undefined ? "" : `: ${Math.round(known)} % at epoch ${end}`}`);
  }

  // Digits, clear and as the network sees them: some, or those that only the deprived networks get wrong.
  drawPictures({complete, n}) {
    if (this.pictured === (this.pictured = `${this.key} ${n}`)) return;
    const {content, digits: {test}} = this, {kind} = this.place, {PIXELS, SIDE, image, spoil, generator} = this.tools;
    const wrong = (arm, i) => complete.map((life) => life[arm].answers[i]).filter((answer) => answer !== test.labels[i]);
    const score = Array.from(test.labels, (_, i) => (wrong("control", i).length ? 0 : wrong("spoilt", i).length));
    const found = [...score.keys()].filter((i) => !n || score[i] > 0).sort((i, j) => score[j] - score[i]).slice(0, 8);
    const clear = Float32Array.from(found.flatMap((i) => [...image(test.images, i)]));
    const seen = spoil(clear, kind, this.place, generator(0)), {average, deviation} = content.digits;
    const paint = (images) => {  // ink as black that is more or less opaque
      const width = images.length / SIDE, canvas = make("canvas", {width, height: SIDE}), pen = canvas.getContext("2d");
      images.forEach((value, at) => {
        pen.fillStyle = `rgb(0 0 0 / ${value * deviation + average})`;
        pen.fillRect(SIDE * Math.floor(at / PIXELS) + (at % SIDE), Math.floor(at / SIDE) % SIDE, 1, 1);
      });
      return canvas;
    };
    this.pictures.replaceChildren(...found.map((i, at) => {
      const given = wrong("spoilt", i), often = (answer) => given.filter((one) => one === answer).length;
      const [taken] = given.sort((a, b) => often(b) - often(a)), textContent = n ? `${test.labels[i]}, taken for ${taken}` : "";
      return make("figure", {}, paint(image(clear, at)), paint(image(seen, at)), make("figcaption", {textContent}));
    }));
    this.about.textContent = !n ? "Digits, and what the network sees of them"
      : found.length ? "Only the deprived get these wrong" : "No digit that only the deprived get wrong";
    const some = image(test.images, 0, 10), strip = (images) => `url(${paint(images).toDataURL()})`;
    for (const part of [this.before, this.during, this.after])
      part.lastElementChild.style.backgroundImage = strip(part === this.during ? spoil(some, kind, this.place, generator(0)) : some);
  }
});
