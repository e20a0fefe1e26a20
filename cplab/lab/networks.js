// Trains small networks in the browser, for pages without Python. `tiny.js` shows them.
//
// A screen uses:
//
//   tools = engine()            pictures of deficits and networks, and answers: its last lines say
//                               which
//   digits = await unpack(content.digits, tools)
//   training = grow(digits, plans, hear)
//   training.stop()
//   training.pause(true)        holds it where it is; pause(false) goes on, with the same numbers
//   await mostNetworks(20)      how many networks one press should train here: 20, or 5
//   keep(version, key, value), for (const [key, value] of kept(version))
//                               what the tab keeps over a reload
//
// A plan is one network: {seed, arm, phases: [[kind, epochs], …], block, mask, names, digits,
// layers, width, scale, rate, every, look}. A kind is "clear" or a deficit:
//
//   mosaic    the mean of each square of `block` × `block` pixels
//   flip      upside down
//   noise     noise, different for each image
//   permute   the label y becomes `names[y]`
//   cover     grey where `mask` has a bit: 36 hexadecimal digits, three a row of 12 pixels
//
// `hear` is called with one of:
//
//   {tests: [{seed, arm, epoch, right, own}]}   after each test: percent of the test images, and of
//                                               its own training images, clear, that a network gets
//                                               right. A test also has
//       answers, at the end: the network's answer to each test image, (count,)
//       network, at the first test, every `look` epochs and where a phase ends: all its weights.
//           tools.pictures(network) are those of the first layer, (64, 144), and
//           tools.chances(network, image) is what it gives each class
//       birth, at the first test: all its weights before it learned anything
//   {note}     how it trains, if not as usual; training goes on
//   {failed}   why it has stopped
//
// Equal plans give equal numbers, alone and side by side. WebAssembly (networks.c) and JavaScript
// differ by rounding alone.

// All that a worker runs. Its text is the worker's program, so it uses nothing from outside.
function engine() {
  const SIDE = 12;
  const PIXELS = SIDE * SIDE;
  const CLASSES = 10;
  const OUTPUTS = 16; // of the last layer. Those beyond the classes stay 0: a vector has eight
  const BATCH = 32;
  const LISTENS = 50; // milliseconds after which a worker reads its messages

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

  // A standard normal number (Box and Muller).
  function normal(random) {
    return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  }

  // The numbers from 0 to count - 1 in a random order (Fisher and Yates).
  function shuffled(count, random) {
    const order = Int32Array.from({length: count}, (_, i) => i);
    for (let last = count - 1; last > 0; last--) {
      const chosen = Math.floor((last + 1) * random());
      const moved = order[last];
      order[last] = order[chosen];
      order[chosen] = moved;
    }
    return order;
  }

  // Some images of an array of images, (count, PIXELS).
  function image(images, first, count = 1) {
    return images.subarray(first * PIXELS, (first + count) * PIXELS);
  }

  // Images as a network sees them under a deficit: a new array. Arguments: images (count, PIXELS);
  // kind; block and mask, for the deficits that need them; random, a generator, for the noise.
  function spoil(images, kind, {block, mask}, random) {
    const seen = Float32Array.from(images);
    for (let at = 0; at < seen.length; at++) {
      const x = at % SIDE;
      const y = Math.floor(at / SIDE) % SIDE;
      if (kind === "noise") seen[at] = normal(random);
      if (kind === "flip") seen[at] = images[at + SIDE * (SIDE - 1 - 2 * y)];
      if (kind === "mosaic") seen[at] = squareMean(images, at - SIDE * y - x, x, y, block);
      if (kind === "cover" && covers(mask, x, y)) seen[at] = 0; // the mean of all images
    }
    return seen;
  }

  // The mean of the square around pixel (x, y) in the image whose first pixel is `first`. At the
  // edge a square may be smaller.
  function squareMean(images, first, x, y, block) {
    const left = x - (x % block);
    const top = y - (y % block);
    const right = Math.min(left + block, SIDE);
    const bottom = Math.min(top + block, SIDE);
    let sum = 0;
    for (let row = top; row < bottom; row++)
      for (let column = left; column < right; column++) sum += images[first + SIDE * row + column];
    return sum / ((right - left) * (bottom - top));
  }

  // Whether a mask covers a pixel.
  function covers(mask, x, y) {
    const row = parseInt(mask.slice(3 * y, 3 * y + 3), 16);
    return Boolean((row >> (SIDE - 1 - x)) & 1);
  }

  // A network is one array, layer after layer: weights (inputs, outputs), then biases (outputs).

  // How many units a network's layers have, from its images to its scores.
  function sizesOf({layers, width}) {
    return [PIXELS, ...Array(layers).fill(width), OUTPUTS];
  }

  // The layers of a network: its weights and biases, which are parts of the array.
  function layersOf(network, sizes) {
    let next = 0;
    const take = (count) => network.subarray(next, (next += count));
    return sizes.slice(1).map((outputs, l) => {
      const inputs = sizes[l];
      return {inputs, outputs, weights: take(inputs * outputs), biases: take(outputs)};
    });
  }

  // A network that has learned nothing: weights at `scale` of what He et al. 2015 take, biases 0.
  function newborn(sizes, scale, random) {
    const network = new Float32Array(
      sizes.slice(1).reduce((sum, outputs, l) => sum + (sizes[l] + 1) * outputs, 0),
    );
    for (const {inputs, outputs, weights} of layersOf(network, sizes)) {
      const used = outputs === OUTPUTS ? CLASSES : outputs;
      const deviation = scale * Math.sqrt(2 / inputs);
      for (let i = 0; i < inputs; i++)
        for (let j = 0; j < used; j++) weights[i * outputs + j] = deviation * normal(random);
    }
    return network;
  }

  // There are two ways to compute the same. `epoch(network, sizes, images, labels, order, rate)`
  // changes a network by an epoch of stochastic gradient descent on the cross-entropy, in batches
  // of BATCH. `score(network, sizes, images)` gives its logits, (count, OUTPUTS).

  // In JavaScript, which every browser has.
  function plain() {
    // Send up to BATCH rows of images x through all layers. Returns each layer's outputs. Adding
    // four products at a time takes half the time.
    function forward(layers, x, rows) {
      const last = layers.length - 1;
      return layers.map(({inputs, outputs, weights, biases}, l) => {
        const out = new Float32Array(BATCH * outputs);
        for (let r = 0; r < rows; r++) {
          const at = r * outputs;
          for (let j = 0; j < outputs; j++) out[at + j] = biases[j];
          for (let i = 0; i < inputs; i += 4) {
            const first = r * inputs + i;
            const a = x[first];
            const b = x[first + 1];
            const c = x[first + 2];
            const d = x[first + 3];
            let w = i * outputs;
            for (let j = 0; j < outputs; j++, w++)
              out[at + j] +=
                a * weights[w] +
                b * weights[w + outputs] +
                c * weights[w + 2 * outputs] +
                d * weights[w + 3 * outputs];
          }
          if (l === last) continue;
          for (let j = 0; j < outputs; j++) if (out[at + j] < 0) out[at + j] = 0;
        }
        x = out;
        return out;
      });
    }

    // The errors at the logits: the gradients of the mean cross-entropy, times the rate.
    function compare(scores, labels, rows, rate) {
      const error = new Float32Array(scores.length);
      for (let r = 0; r < rows; r++) {
        const at = r * OUTPUTS;
        const row = scores.subarray(at, at + CLASSES);
        const highest = Math.max(...row);
        let sum = 0;
        for (let j = 0; j < CLASSES; j++) {
          error[at + j] = Math.exp(row[j] - highest);
          sum += error[at + j];
        }
        for (let j = 0; j < CLASSES; j++)
          error[at + j] = ((error[at + j] / sum - (labels[r] === j)) * rate) / rows;
      }
      return error;
    }

    // The errors at the layer below, from those at a layer. Arguments: below, its outputs.
    function sendBack({inputs, outputs, weights}, error, below, rows) {
      const errorBelow = new Float32Array(BATCH * inputs);
      for (let r = 0; r < rows; r++)
        for (let i = 0; i < inputs; i++) {
          if (below[r * inputs + i] <= 0) continue; // a unit that is off
          let sum = 0;
          let w = i * outputs;
          for (let j = 0; j < outputs; j++, w++) sum += weights[w] * error[r * outputs + j];
          errorBelow[r * inputs + i] = sum;
        }
      return errorBelow;
    }

    // Change a layer whose input was x. Rows beyond the batch have error 0.
    function change({inputs, outputs, weights, biases}, x, error, rows) {
      for (let r = 0; r < rows; r++)
        for (let j = 0; j < outputs; j++) biases[j] -= error[r * outputs + j];
      for (let r = 0; r < rows; r += 4)
        for (let i = 0; i < inputs; i++) {
          const at = r * inputs + i;
          const a = x[at];
          const b = x[at + inputs];
          const c = x[at + 2 * inputs];
          const d = x[at + 3 * inputs];
          if (a === 0 && b === 0 && c === 0 && d === 0) continue;
          let w = i * outputs;
          let e = r * outputs;
          for (let j = 0; j < outputs; j++, w++, e++)
            weights[w] -=
              a * error[e] +
              b * error[e + outputs] +
              c * error[e + 2 * outputs] +
              d * error[e + 3 * outputs];
        }
    }

    // One step on up to BATCH rows of images x.
    function step(layers, x, labels, rows, rate) {
      const outs = forward(layers, x, rows);
      let error = compare(outs.at(-1), labels, rows, rate);
      for (let l = layers.length - 1; l >= 0; l--) {
        const errorBelow = l ? sendBack(layers[l], error, outs[l - 1], rows) : null;
        change(layers[l], l ? outs[l - 1] : x, error, rows);
        error = errorBelow;
      }
    }

    return {
      epoch(network, sizes, images, labels, order, rate) {
        const layers = layersOf(network, sizes);
        const batch = new Float32Array(BATCH * PIXELS);
        for (let first = 0; first < order.length; first += BATCH) {
          const chosen = order.slice(first, first + BATCH);
          chosen.forEach((i, row) => batch.set(image(images, i), row * PIXELS));
          step(
            layers,
            batch,
            chosen.map((i) => labels[i]),
            chosen.length,
            rate,
          );
        }
      },
      score(network, sizes, images) {
        const count = images.length / PIXELS;
        const layers = layersOf(network, sizes);
        const scores = new Float32Array(count * OUTPUTS);
        for (let first = 0; first < count; first += BATCH) {
          const rows = Math.min(BATCH, count - first);
          const out = forward(layers, image(images, first, rows), rows).at(-1);
          scores.set(out.subarray(0, rows * OUTPUTS), first * OUTPUTS);
        }
        return scores;
      },
    };
  }

  // In WebAssembly, from the bytes of networks.wasm. Arguments are written into its memory, and
  // results are read from it. This fails where the browser has no vectors of 128 bits, or where the
  // page's policy forbids it.
  async function vectors(bytes) {
    const {exports} = (await WebAssembly.instantiate(bytes)).instance;
    const view = (Type, {value}) => new Type(exports.memory.buffer, value);
    const memory = {
      network: view(Float32Array, exports.network),
      images: view(Float32Array, exports.images),
      labels: view(Uint8Array, exports.labels),
      order: view(Int32Array, exports.order),
      sizes: view(Int32Array, exports.sizes),
      scores: view(Float32Array, exports.scores),
    };
    return {
      epoch(network, sizes, images, labels, order, rate) {
        for (const [name, values] of Object.entries({network, sizes, images, labels, order}))
          memory[name].set(values);
        exports.epoch(order.length, sizes.length - 1, rate);
        network.set(memory.network.subarray(0, network.length));
      },
      score(network, sizes, images) {
        const count = images.length / PIXELS;
        for (const [name, values] of Object.entries({network, sizes, images}))
          memory[name].set(values);
        exports.score(count, sizes.length - 1);
        return memory.scores.slice(0, count * OUTPUTS);
      },
    };
  }

  // The fastest way that this browser and this page allow, and whether it has vectors.
  async function arithmetic(bytes) {
    try {
      return {...(await vectors(bytes)), fast: true};
    } catch {
      return {...plain(), fast: false};
    }
  }

  // The class that a network takes each image for, (count,): the one with the highest score.
  function answers(score, network, sizes, images) {
    const scores = score(network, sizes, images);
    const named = new Uint8Array(images.length / PIXELS);
    for (let i = 0; i < named.length; i++)
      for (let label = 1; label < CLASSES; label++)
        if (scores[i * OUTPUTS + label] > scores[i * OUTPUTS + named[i]]) named[i] = label;
    return named;
  }

  // The percentage of answers that are right.
  function percent(named, labels) {
    return (100 * named.filter((answer, i) => answer === labels[i]).length) / named.length;
  }

  // Train one network: a generator that yields after each epoch, with a test if there is one.
  // Arguments: train and test, {images, labels}; plan, see above; an arithmetic.
  function* life({train, test}, plan, {epoch, score}) {
    const [pick, draw, turn, noise] = [0, 1, 2, 3].map((part) => generator(4 * plan.seed + part));
    const index = shuffled(train.labels.length, pick).subarray(0, plan.digits);
    const labels = Uint8Array.from(index, (i) => train.labels[i]);
    const images = new Float32Array(index.length * PIXELS);
    index.forEach((i, place) => images.set(image(train.images, i), place * PIXELS));
    const sizes = sizesOf(plan);
    const network = newborn(sizes, plan.scale, draw);
    const last = plan.phases.reduce((sum, [, epochs]) => sum + epochs, 0);
    let birth = network.slice();
    let age = 0;
    for (const [kind, epochs] of plan.phases) {
      const seen = spoil(images, kind, plan, noise);
      const taught = kind === "permute" ? labels.map((label) => plan.names[label]) : labels;
      for (let number = 1; number <= epochs; number++) {
        epoch(network, sizes, seen, taught, shuffled(index.length, turn), plan.rate);
        age++;
        if (age % plan.every && number < epochs) {
          yield null;
          continue;
        }
        const named = answers(score, network, sizes, test.images);
        const own = percent(answers(score, network, sizes, images), labels);
        const {seed, arm} = plan;
        const result = {seed, arm, epoch: age, right: percent(named, test.labels), own};
        if (birth || age % plan.look === 0 || number === epochs) result.network = network.slice();
        if (birth) result.birth = birth;
        birth = null;
        if (age === last) result.answers = named;
        yield result;
      }
    }
  }

  // Train several networks in turns, each from one test to the next: a generator like `life`.
  function* lives(digits, plans, arithmetic) {
    let growing = plans.map((plan) => life(digits, plan, arithmetic));
    while (growing.length) {
      const unfinished = [];
      for (const training of growing) {
        let {value, done} = training.next();
        while (!done && !value) {
          yield null;
          ({value, done} = training.next());
        }
        if (done) continue;
        yield value;
        unfinished.push(training);
      }
      growing = unfinished;
    }
  }

  // Wait until the page or the worker has done everything else, and has read its messages.
  function nextTurn() {
    return new Promise((resolve) => {
      const {port1, port2} = new MessageChannel();
      port1.onmessage = resolve;
      port2.postMessage(null);
    });
  }

  // A gate that holds training while it is shut: training awaits `gate.open`.
  function makeGate() {
    let release = () => {};
    const gate = {open: Promise.resolve()};
    gate.shut = (shut) => {
      release();
      if (shut) gate.open = new Promise((resolve) => (release = resolve));
    };
    return gate;
  }

  // What a worker does with a message: the first says what to train, later ones whether to pause.
  const gate = makeGate();
  async function serve({data: {digits, plans, bytes, paused}}) {
    if (paused !== undefined) return gate.shut(paused);
    const fastest = await arithmetic(bytes);
    let until = performance.now() + LISTENS;
    for (const test of lives(digits, plans, fastest)) {
      if (test) postMessage(test);
      if (performance.now() < until) continue;
      await nextTurn();
      await gate.open;
      until = performance.now() + LISTENS;
    }
  }

  // The weights of a network's first layer, one picture after the other, (units, PIXELS).
  function pictures(network, units = 64) {
    const weights = new Float32Array(units * PIXELS);
    for (let unit = 0; unit < units; unit++)
      for (let pixel = 0; pixel < PIXELS; pixel++)
        weights[unit * PIXELS + pixel] = network[pixel * units + unit];
    return weights;
  }

  // The probabilities that a network gives the classes of an image, (PIXELS,).
  function chances(network, image, {layers = 2, width = 64} = {}) {
    const scores = plain().score(network, sizesOf({layers, width}), image).subarray(0, CLASSES);
    const highest = Math.max(...scores);
    const parts = Array.from(scores, (score) => Math.exp(score - highest));
    const sum = parts.reduce((total, part) => total + part);
    return parts.map((part) => part / sum);
  }

  return {
    // for a screen
    ...{SIDE, PIXELS, CLASSES, image, spoil, generator, pictures, chances},
    // for training, and its tests
    ...{arithmetic, plain, vectors, answers, lives, serve, nextTurn, makeGate},
  };
}

// The digits of a page, from gzip in base64: two pixels a byte, in 16 greys, then a label a byte.
async function unpack({packed, train, test, average, deviation}, {PIXELS}) {
  const values = await unzip(packed);
  const half = ((train + test) * PIXELS) / 2;
  const normalised = Float32Array.from(
    {length: 16},
    (_, grey) => (grey / 15 - average) / deviation,
  );
  const part = (first, count) => {
    const images = new Float32Array(count * PIXELS);
    for (let i = 0; i < images.length; i += 2) {
      const pair = values[(first * PIXELS + i) / 2];
      images[i] = normalised[pair >> 4];
      images[i + 1] = normalised[pair & 15];
    }
    return {images, labels: values.slice(half + first, half + first + count)};
  };
  return {train: part(0, train), test: part(train, test)};
}

// The program of WebAssembly; empty where a page has none.
const moduleBytes = () => Uint8Array.from(atob(WASM), (letter) => letter.charCodeAt(0));

const HERE =
  "Your browser starts no workers on this page: it trains in the page itself, more slowly.";
const SLOW = "Your browser takes long to start its workers.";
const LONG_START = 1500; // milliseconds until it is said that workers take long
const GIVEN_UP = 6000; // and until the page itself trains
const SLICE = 12; // milliseconds that the page trains at a time

// Train networks by plans, in workers, or in the page itself where it may start none.
function grow(digits, plans, hear) {
  const bytes = moduleBytes();
  const shares = share(plans, navigator.hardwareConcurrency || 2);
  const timers = [];
  const tools = engine();
  const gate = tools.makeGate(); // of what the page itself trains
  let workers = [];
  let begun = false;
  let stopped = false;

  function stop() {
    stopped = true;
    gate.shut(false);
    dismiss();
  }

  function pause(paused) {
    gate.shut(paused);
    for (const worker of workers) worker.postMessage({paused});
  }

  function dismiss() {
    timers.forEach(clearTimeout);
    for (const worker of workers) worker.terminate();
    workers = [];
  }

  // A worker has started, or sends a test.
  function receive({data}) {
    begun = true;
    timers.forEach(clearTimeout);
    if (data.seed !== undefined) hear({tests: [data]});
  }

  // A worker has failed. If none had started, the page trains instead; else training stops.
  function mourn({message = ""}) {
    if (stopped || !workers.length) return;
    dismiss();
    if (begun) hear({failed: `Training has stopped: ${message || "a worker has failed"}.`});
    else trainHere();
  }

  // Train in the page itself, in slices of time, so that it still answers.
  async function trainHere() {
    hear({note: HERE});
    const fastest = await tools.arithmetic(bytes);
    let until = performance.now() + SLICE;
    for (const test of tools.lives(digits, plans, fastest)) {
      if (stopped) return;
      if (test) hear({tests: [test]});
      if (performance.now() < until) continue;
      await tools.nextTurn();
      await gate.open;
      until = performance.now() + SLICE;
    }
  }

  try {
    const text = `onmessage = (${engine})().serve; postMessage({});`;
    const url = URL.createObjectURL(new Blob([text], {type: "text/javascript"}));
    workers = shares.map(() => new Worker(url));
    workers.forEach((worker, i) => {
      Object.assign(worker, {onmessage: receive, onerror: mourn, onmessageerror: mourn});
      worker.postMessage({digits, plans: shares[i], bytes});
    });
    timers.push(setTimeout(() => hear({note: SLOW}), LONG_START));
    timers.push(setTimeout(mourn, GIVEN_UP, {}));
  } catch {
    dismiss();
    trainHere();
  }
  return {stop, pause};
}

// Share plans among workers, so that all have about as many epochs. Arguments: plans; workers, how
// many there may be.
function share(plans, workers) {
  const count = Math.min(workers, plans.length);
  const shares = Array.from({length: count}, () => ({epochs: 0, plans: []}));
  const epochsOf = ({phases}) => phases.reduce((sum, [, epochs]) => sum + epochs, 0);
  for (const plan of [...plans].sort((a, b) => epochsOf(b) - epochsOf(a))) {
    const least = shares.reduce((a, b) => (b.epochs < a.epochs ? b : a));
    least.epochs += epochsOf(plan);
    least.plans.push(plan);
  }
  return shares.map(({plans}) => plans);
}

// How many networks one press should train: `count` if the browser has vectors, else five at most.
async function mostNetworks(count) {
  const {fast} = await engine().arithmetic(moduleBytes());
  return fast ? count : Math.min(count, 5);
}

// The browser's tab keeps what was trained on a page over a reload, as it keeps answers: by the
// version of the program that trained it. What other versions trained is forgotten.
const KEPT = "cplab-grown";

// Keep a value, which is plain data, Maps and arrays of numbers. If there is no room, the oldest
// values go.
function keep(version, key, value) {
  const text = JSON.stringify({since: Date.now(), value}, flatten);
  const name = `${KEPT} ${version} ${key}`;
  try {
    for (const old of oldestFirst())
      if (!old.startsWith(`${KEPT} ${version} `)) sessionStorage.removeItem(old);
    sessionStorage.removeItem(name);
    while (!fits(name, text)) {
      const [oldest] = oldestFirst();
      if (!oldest) return;
      sessionStorage.removeItem(oldest);
    }
  } catch {
    // a page that may not keep anything works all the same
  }
}

function fits(name, text) {
  try {
    sessionStorage.setItem(name, text);
    return true;
  } catch {
    return false;
  }
}

// What was kept: [key, value] of each, the oldest first.
function kept(version) {
  const start = `${KEPT} ${version} `;
  try {
    return oldestFirst()
      .filter((name) => name.startsWith(start))
      .map((name) => [name.slice(start.length), readKept(name).value]);
  } catch {
    return [];
  }
}

const readKept = (name) => JSON.parse(sessionStorage.getItem(name), restore);

function oldestFirst() {
  const names = Object.keys(sessionStorage).filter((name) => name.startsWith(`${KEPT} `));
  const begin = /^{"since":(\d+)/; // of what `keep` writes
  const since = new Map(
    names.map((name) => [name, +begin.exec(sessionStorage.getItem(name))?.[1]]),
  );
  return names.sort((a, b) => since.get(a) - since.get(b));
}

// Write what JSON cannot: a Map as its entries, an array of numbers as its bytes in base64.
function flatten(key, value) {
  if (value instanceof Map) return {map: [...value]};
  if (!ArrayBuffer.isView(value)) return value;
  const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  const letters = Array.from(bytes, (byte) => String.fromCharCode(byte));
  return {type: value.constructor.name, bytes: btoa(letters.join(""))};
}

function restore(key, value) {
  if (Array.isArray(value?.map)) return new Map(value.map);
  if (typeof value?.bytes !== "string") return value;
  const bytes = Uint8Array.from(atob(value.bytes), (letter) => letter.charCodeAt(0));
  return new globalThis[value.type](bytes.buffer);
}
