// Small networks that grow up while one looks on. With Python, in a notebook, Python trains them; on a
// page without it the browser does, in workers. `engine` trains, and `Nursery` is what one sees.

// Fully connected networks with ReLU, cross-entropy and plain SGD. Its text is a worker's program, so it
// uses nothing from outside. Images are (count, 144), one after the other.
function engine() {
  const SIDE = 12, PIXELS = SIDE * SIDE, CLASSES = 10, BATCH = 32;

  // Random numbers from 0 to 1, the same for the same seed (mulberry32).
  function generator(seed) {
    let state = Math.imul(seed + 1, 0x9e3779b1);
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  const normal = (random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

  // A list in a random order, as a new list.
  const shuffle = (list, random) => list.map((item) => [random(), item]).sort(([a], [b]) => a - b).map(([, item]) => item);

  // What a network sees of images: `mosaic` is the mean of each block of block × block pixels.
  function spoil(images, kind, block, random) {
    return images.map((value, at) => {
      const x = at % SIDE, y = Math.floor(at / SIDE) % SIDE, first = at - SIDE * (y % block) - (x % block);
      if (kind === "noise") return normal(random);
      if (kind === "flip") return images[at + SIDE * (SIDE - 1 - 2 * y)];
      if (kind !== "mosaic") return value;
      let sum = 0;
      for (let i = 0; i < block * block; i++) sum += images[first + SIDE * Math.floor(i / block) + (i % block)];
      return sum / block ** 2;
    });
  }

  // The layers of a network. Arguments: weights, of each layer (inputs × outputs); sizes, of all layers.
  const network = (weights, sizes) => weights.map((values, l) => ({
    inputs: sizes[l], outputs: sizes[l + 1], weights: Float32Array.from(values), bias: new Float32Array(sizes[l + 1]),
    out: new Float32Array(BATCH * sizes[l + 1]), error: new Float32Array(BATCH * sizes[l + 1])}));

  // Up to BATCH rows of images x through all layers. Sums of four, which takes half the time.
  function forward(layers, x, rows) {
    for (const layer of layers) {
      const {inputs, outputs, weights, bias, out} = layer, last = layer === layers.at(-1);
      for (let r = 0; r < rows; r++) {
        const at = r * outputs;
        for (let j = 0; j < outputs; j++) out[at + j] = bias[j];
        for (let i = 0; i < inputs; i += 4) {
          const first = r * inputs + i, a = x[first], b = x[first + 1], c = x[first + 2], d = x[first + 3];
          let w = i * outputs;
          for (let j = 0; j < outputs; j++, w++)
            out[at + j] += a * weights[w] + b * weights[w + outputs] + c * weights[w + 2 * outputs] + d * weights[w + 3 * outputs];
        }
        if (!last) for (let j = 0; j < outputs; j++) if (out[at + j] < 0) out[at + j] = 0;
      }
      x = out;
    }
    return x;
  }

  // One step of SGD on up to BATCH rows of images x. Errors are the gradients times the rate.
  function step(layers, x, labels, rows, rate) {
    const scores = forward(layers, x, rows), {error} = layers.at(-1);
    error.fill(0);
    for (let r = 0; r < rows; r++) {
      const at = r * CLASSES, row = scores.subarray(at, at + CLASSES), most = Math.max(...row);
      let sum = 0;
      for (let j = 0; j < CLASSES; j++) sum += error[at + j] = Math.exp(row[j] - most);
      for (let j = 0; j < CLASSES; j++) error[at + j] = ((error[at + j] / sum - (labels[r] === j)) * rate) / rows;
    }
    for (let l = layers.length - 1; l >= 0; l--) {
      if (l) sendBack(layers[l], layers[l - 1], rows);
      change(layers[l], l ? layers[l - 1].out : x, rows);
    }
  }

  // The errors of the layer below, from the errors of a layer.
  function sendBack({inputs, outputs, weights, error}, below, rows) {
    below.error.fill(0);
    for (let r = 0; r < rows; r++)
      for (let i = 0; i < inputs; i++) {
        if (below.out[r * inputs + i] <= 0) continue;
        let sum = 0, w = i * outputs;
        for (let j = 0; j < outputs; j++, w++) sum += weights[w] * error[r * outputs + j];
        below.error[r * inputs + i] = sum;
      }
  }

  // Change a layer's weights; rows beyond the batch have error 0.
  function change({inputs, outputs, weights, bias, error}, x, rows) {
    for (let r = 0; r < rows; r++)
      for (let j = 0; j < outputs; j++) bias[j] -= error[r * outputs + j];
    for (let r = 0; r < rows; r += 4)
      for (let i = 0; i < inputs; i++) {
        const at = r * inputs + i, a = x[at], b = x[at + inputs], c = x[at + 2 * inputs], d = x[at + 3 * inputs];
        if (a === 0 && b === 0 && c === 0 && d === 0) continue;
        let w = i * outputs, e = r * outputs;
        for (let j = 0; j < outputs; j++, w++, e++)
          weights[w] -= a * error[e] + b * error[e + outputs] + c * error[e + 2 * outputs] + d * error[e + 3 * outputs];
      }
  }

  // Train one epoch, in batches of `order`.
  const batch = new Float32Array(BATCH * PIXELS), image = (images, i, count = 1) => images.subarray(i * PIXELS, (i + count) * PIXELS);
  function epoch(layers, images, labels, order, rate) {
    for (let first = 0; first < order.length; first += BATCH) {
      const chosen = order.slice(first, first + BATCH);
      chosen.forEach((i, row) => batch.set(image(images, i), row * PIXELS));
      step(layers, batch, chosen.map((i) => labels[i]), chosen.length, rate);
    }
  }

  // The class that a network takes each image for, (count,).
  function answers(layers, images) {
    const given = new Uint8Array(images.length / PIXELS), best = (row) => row.indexOf(Math.max(...row));
    for (let first = 0; first < given.length; first += BATCH) {
      const rows = Math.min(BATCH, given.length - first), scores = forward(layers, image(images, first, rows), rows);
      for (let r = 0; r < rows; r++) given[first + r] = best(scores.subarray(r * CLASSES, (r + 1) * CLASSES));
    }
    return given;
  }

  const percent = (given, labels) => (100 * given.filter((one, i) => one === labels[i]).length) / given.length;

  // Train one network, and yield after each test: epoch; percent of test images right; percent of its
  // own training images right, clear; at the end its answers to the test images. Arguments: train and
  // test, {images, labels}; seed, of its weights, images, order and noise; phases, [kind, epochs] each.
  function* life({train, test}, {seed, phases, digits, layers: depth, width, scale, rate, block, every}) {
    const [pick, draw, turn, noise] = [0, 1, 2, 3].map((part) => generator(4 * seed + part));
    const index = shuffle([...train.labels.keys()], pick).slice(0, digits), labels = index.map((i) => train.labels[i]);
    const images = Float32Array.from(index.flatMap((i) => [...image(train.images, i)]));
    const sizes = [PIXELS, ...Array(depth).fill(width), CLASSES];
    const layers = network(sizes.slice(1).map((outputs, l) => Float32Array.from(
      {length: sizes[l] * outputs}, () => scale * Math.sqrt(2 / sizes[l]) * normal(draw))), sizes);
    const last = phases.reduce((sum, [, epochs]) => sum + epochs, 0);
    let age = 0;
    for (const [kind, epochs] of phases) {
      const seen = spoil(images, kind, block, noise), named = labels.map((label) => (label + 3 * (kind === "permute")) % CLASSES);
      for (let now = 1; now <= epochs; now++) {
        epoch(layers, seen, named, shuffle([...index.keys()], turn), rate);
        if (++age % every && now < epochs) continue;
        const given = answers(layers, test.images), own = percent(answers(layers, images), labels);
        yield {epoch: age, right: percent(given, test.labels), own, ...(age === last && {answers: given})};
      }
    }
  }

  // Train several networks in turn, a test each; the program of a worker.
  function serve({data: {digits, plans}}) {
    const lives = new Map(plans.map((plan) => [plan, life(digits, plan)]));
    while (lives.size)
      for (const [plan, one] of lives) {
        const {value, done} = one.next();
        done ? lives.delete(plan) : postMessage({seed: plan.seed, arm: plan.arm, ...value});
      }
  }

  return {PIXELS, SIDE, image, generator, spoil, network, epoch, answers, percent, life, serve};
}

// What one sees --------------------------------------------------------------------------------------

const LEAPS = {PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity};
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const show = (value) => value.toFixed(1).replace("-", "−").replace(/^−0\.0$/, "0.0");

// The digits of a page: gzip and base64 of two pixels a byte, in 16 greys, and then a label a byte.
async function unpack({packed, train, test, average, deviation}, {PIXELS}) {
  const values = new Uint8Array(await unzip(packed).arrayBuffer()), half = ((train + test) * PIXELS) / 2;
  const grey = (i) => (i % 2 ? values[i >> 1] & 15 : values[i >> 1] >> 4) / 15;
  const part = (first, count) => ({
    images: Float32Array.from({length: count * PIXELS}, (_, i) => (grey(first * PIXELS + i) - average) / deviation),
    labels: values.slice(half + first, half + first + count)});
  return {train: part(0, train), test: part(train, test)};
}

// Start workers that train by plans, and call `onTest` after each test of each network.
function hire(digits, plans, onTest) {
  const url = URL.createObjectURL(new Blob([`onmessage = (${engine})().serve`], {type: "text/javascript"}));
  const shares = Array.from({length: navigator.hardwareConcurrency || 2}, () => ({epochs: 0, plans: []}));
  for (const plan of [...plans].sort((a, b) => b.epochs - a.epochs)) {  // the longest first
    const share = shares.reduce((a, b) => (b.epochs < a.epochs ? b : a));
    share.epochs += plan.epochs;
    share.plans.push(plan);
  }
  const workers = shares.filter(({epochs}) => epochs).map(() => Object.assign(new Worker(url), {onmessage: ({data}) => onTest(data)}));
  workers.forEach((worker, i) => worker.postMessage({digits, plans: shares[i].plans}));
  return workers;
}

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
    Object.assign(this, {content, place, key: JSON.stringify(place), tools: engine(), known, workers: [], last: content.window + place.recovery});
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
    else this.workers = hire(this.digits, plans, (test) => this.hear({key, tests: [test]}));
    this.draw();
  }

  halt(why) {  // and forget what is not complete
    this.status.textContent = why;
    if (!this.task) return;
    this.task = null;
    for (const worker of this.workers.splice(0)) worker.terminate();
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
  hear({offers, key, tests = [], failed}) {
    Object.assign(this.content, offers);
    if (failed) this.halt(failed);
    if (key && key !== this.task?.key) return;
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
    const {content, digits: {test}} = this, {kind, block} = this.place, {PIXELS, SIDE, image, spoil, generator} = this.tools;
    const wrong = (arm, i) => complete.map((life) => life[arm].answers[i]).filter((answer) => answer !== test.labels[i]);
    const score = Array.from(test.labels, (_, i) => (wrong("control", i).length ? 0 : wrong("spoilt", i).length));
    const found = [...score.keys()].filter((i) => !n || score[i] > 0).sort((i, j) => score[j] - score[i]).slice(0, 8);
    const clear = Float32Array.from(found.flatMap((i) => [...image(test.images, i)]));
    const seen = spoil(clear, kind, block, generator(0)), {average, deviation} = content.digits;
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
      part.lastElementChild.style.backgroundImage = strip(part === this.during ? spoil(some, kind, block, generator(0)) : some);
  }
});
