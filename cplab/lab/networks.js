// Small networks that the browser trains: a page without Python needs no more. `tiny.js` beside
// this file is what one sees of them.
//
// What a screen uses:
//
//   tools = engine()            pictures of deficits and of networks, and answers: see its last
//                               lines
//   digits = await unpack(content.digits, tools)
//   training = grow(digits, plans, hear)
//   training.stop()
//   training.pause(true)        holds it where it is; pause(false) goes on, to the same numbers
//   await mostNetworks(20)      how many networks a press had better train here: 20, or 5
//   keep(version, key, value), for (const [key, value] of kept(version))
//                               what is kept in the tab, over a reload
//
// A plan is one network: {seed, arm, phases: [[kind, epochs], …], block, mask, names, digits,
// layers, width, scale, rate, every, look}. A kind is "clear" or a deficit:
//
//   mosaic    the mean of each square of `block` × `block` pixels
//   flip      upside down
//   noise     a pattern of its own for each image
//   permute   the label y becomes `names[y]`
//   cover     grey where `mask` has a bit: 36 hexadecimal digits, three a row of 12 pixels
//
// `hear` is called with one of:
//
//   {tests: [{seed, arm, epoch, right, own}]}   after each test: percent of the test images and of
//                                               its own training images, clear, that a network gets
//                                               right
//       at the end of a network with `answers`, its answer to each test image, (count,)
//       at the first test, each `look` epochs and where a phase ends with `network`, all its
//       weights: tools.pictures(network) are those of the first layer, (64, 144), and
//       tools.chances(network, image) what it gives each class;
//       with the first test `birth`, all its weights before it has learned anything
//   {note}     words on how it trains, where that is other than usual; it goes on
//   {failed}   words on why it has stopped
//
// Equal plans give equal numbers, alone and side by side. What WebAssembly computes (networks.c)
// differs from what JavaScript does by rounding.

// All that a worker runs: its text is the worker's program, so it uses nothing from outside.
function engine() {
  const SIDE = 12;
  const PIXELS = SIDE * SIDE;
  const CLASSES = 10;
  const OUTPUTS = 16; // of the last layer: those beyond the classes stay 0, for vectors of eight
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

  // What a network sees of images: a new array. Arguments: images (count, PIXELS); kind; block and
  // mask, of the deficits that need them; random, a generator, of the noise.
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

  // The mean of the square that pixel (x, y) lies in, of the image whose first pixel is `first`. A
  // square at the edge may be smaller.
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

  // Two ways to compute the same: `epoch(network, sizes, images, labels, order, rate)` changes a
  // network by an epoch of stochastic gradient descent on the cross-entropy, in batches of BATCH,
  // and `score(network, sizes, images)` gives what it says of images, (count, OUTPUTS), before the
  // softmax.

  // In JavaScript, which every browser has.
  function plain() {
    // Up to BATCH rows of images x through all layers; gives each layer's outputs. Sums of four,
    // which take half the time.
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

    // The errors of scores: the gradients of the mean cross-entropy, times the rate.
    function compare(scores, labels, rows, rate) {
      const error = new Float32Array(scores.length);
      for (let r = 0; r < rows; r++) {
        const at = r * OUTPUTS;
        const row = scores.subarray(at, at + CLASSES);
        const most = Math.max(...row);
        let sum = 0;
        for (let j = 0; j < CLASSES; j++) sum += error[at + j] = Math.exp(row[j] - most);
        for (let j = 0; j < CLASSES; j++)
          error[at + j] = ((error[at + j] / sum - (labels[r] === j)) * rate) / rows;
      }
      return error;
    }

    // The errors of the layer below, whose outputs are given, from the errors of a layer.
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

    // Change a layer, which was given x; rows beyond the batch have error 0.
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

  // In WebAssembly, from the bytes of networks.wasm: what is computed is written into its memory,
  // and read again. Fails where a browser has no vectors of 128 bits, or a page's policy forbids
  // it.
  async function vectors(bytes) {
    const {exports} = (await WebAssembly.instantiate(bytes)).instance;
    const view = (Type, {value}) => new Type(exports.memory.buffer, value);
    const there = {
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
          there[name].set(values);
        exports.epoch(order.length, sizes.length - 1, rate);
        network.set(there.network.subarray(0, network.length));
      },
      score(network, sizes, images) {
        const count = images.length / PIXELS;
        for (const [name, values] of Object.entries({network, sizes, images}))
          there[name].set(values);
        exports.score(count, sizes.length - 1);
        return there.scores.slice(0, count * OUTPUTS);
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

  // The class that a network takes each image for, (count,): that of the highest score.
  function answers(score, network, sizes, images) {
    const scores = score(network, sizes, images);
    const given = new Uint8Array(images.length / PIXELS);
    for (let i = 0; i < given.length; i++)
      for (let label = 1; label < CLASSES; label++)
        if (scores[i * OUTPUTS + label] > scores[i * OUTPUTS + given[i]]) given[i] = label;
    return given;
  }

  function percent(given, labels) {
    return (100 * given.filter((answer, i) => answer === labels[i]).length) / given.length;
  }

  // Train one network: a generator that yields after each epoch, a test where there is one.
  // Arguments: train and test, {images, labels}; plan, see above; how, an arithmetic.
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
      const named = kind === "permute" ? labels.map((label) => plan.names[label]) : labels;
      for (let now = 1; now <= epochs; now++) {
        epoch(network, sizes, seen, named, shuffled(index.length, turn), plan.rate);
        age++;
        if (age % plan.every && now < epochs) {
          yield null;
          continue;
        }
        const given = answers(score, network, sizes, test.images);
        const own = percent(answers(score, network, sizes, images), labels);
        const {seed, arm} = plan;
        const result = {seed, arm, epoch: age, right: percent(given, test.labels), own};
        if (birth || age % plan.look === 0 || now === epochs) result.network = network.slice();
        if (birth) result.birth = birth;
        birth = null;
        if (age === last) result.answers = given;
        yield result;
      }
    }
  }

  // Train several networks by turns, from a test to the next: a generator like `life`.
  function* lives(digits, plans, how) {
    let growing = plans.map((plan) => life(digits, plan, how));
    while (growing.length) {
      const left = [];
      for (const one of growing) {
        let {value, done} = one.next();
        while (!done && !value) {
          yield null;
          ({value, done} = one.next());
        }
        if (done) continue;
        yield value;
        left.push(one);
      }
      growing = left;
    }
  }

  // Wait until a page, or a worker, has done what else there is, and read its messages.
  function nextTurn() {
    return new Promise((resolve) => {
      const {port1, port2} = new MessageChannel();
      port1.onmessage = resolve;
      port2.postMessage(null);
    });
  }

  // What holds training while it is shut: `await gate.open`.
  function makeGate() {
    let release = () => {};
    const gate = {open: Promise.resolve()};
    gate.shut = (shut) => {
      release();
      if (shut) gate.open = new Promise((resolve) => (release = resolve));
    };
    return gate;
  }

  // The program of a worker, when it gets a message: what to train, and then whether to pause.
  const gate = makeGate();
  async function serve({data: {digits, plans, bytes, paused}}) {
    if (paused !== undefined) return gate.shut(paused);
    const how = await arithmetic(bytes);
    let until = performance.now() + LISTENS;
    for (const test of lives(digits, plans, how)) {
      if (test) postMessage(test);
      if (performance.now() < until) continue;
      await nextTurn();
      await gate.open;
      until = performance.now() + LISTENS;
    }
  }

  // The weights of a network's first layer, one picture after the other, (units, PIXELS).
  function pictures(network, units = 64) {
    return Float32Array.from(
      {length: units * PIXELS},
      (_, at) => network[(at % PIXELS) * units + Math.floor(at / PIXELS)],
    );
  }

  // The part of 1 that a network gives each class for an image, (PIXELS,).
  function chances(network, image, {layers = 2, width = 64} = {}) {
    const scores = plain().score(network, sizesOf({layers, width}), image).subarray(0, CLASSES);
    const most = Math.max(...scores);
    const parts = Array.from(scores, (score) => Math.exp(score - most));
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

// The digits of a page: gzip and base64 of two pixels a byte, in 16 greys, and then a label a byte.
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

// What WebAssembly runs; nothing, where a page has no WebAssembly.
const moduleBytes = () => Uint8Array.from(atob(WASM), (letter) => letter.charCodeAt(0));

const HERE =
  "Your browser starts no workers on this page: it trains in the page itself, more slowly.";
const SLOW = "Your browser takes long to start its workers.";
const LONG_START = 1500; // milliseconds until it is said that workers take long
const GIVEN_UP = 6000; // and until the page itself trains

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

  // A worker is there, or sends a test.
  function receive({data}) {
    begun = true;
    timers.forEach(clearTimeout);
    if (data.seed !== undefined) hear({tests: [data]});
  }

  // A worker has failed: at its start, the page trains; later there is a fault in what it does.
  function mourn({message = ""}) {
    if (stopped || !workers.length) return;
    dismiss();
    if (begun) hear({failed: `Training has stopped: ${message || "a worker has failed"}.`});
    else trainHere();
  }

  // Train in the page, in slices of time, so that it stays alive.
  async function trainHere() {
    hear({note: HERE});
    const how = await tools.arithmetic(bytes);
    let until = performance.now() + 12;
    for (const test of tools.lives(digits, plans, how)) {
      if (stopped) return;
      if (test) hear({tests: [test]});
      if (performance.now() < until) continue;
      await tools.nextTurn();
      await gate.open;
      until = performance.now() + 12;
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

// Share plans among so many workers, at most, so that all have about as many epochs.
function share(plans, most) {
  const shares = Array.from({length: Math.min(most, plans.length)}, () => ({epochs: 0, plans: []}));
  const epochsOf = ({phases}) => phases.reduce((sum, [, epochs]) => sum + epochs, 0);
  for (const plan of [...plans].sort((a, b) => epochsOf(b) - epochsOf(a))) {
    const least = shares.reduce((a, b) => (b.epochs < a.epochs ? b : a));
    least.epochs += epochsOf(plan);
    least.plans.push(plan);
  }
  return shares.map(({plans}) => plans);
}

// How many networks a press should train: as many as wanted where the browser has vectors, else
// five.
async function mostNetworks(wanted) {
  const {fast} = await engine().arithmetic(moduleBytes());
  return fast ? wanted : Math.min(wanted, 5);
}

// What was trained on a page is there after a reload, in the browser's tab, as answers are. It is
// kept by the version of what trained it; what other versions trained is forgotten.
const KEPT = "cplab-grown";

// Keep a value: plain data, Maps and arrays of numbers. Where there is no room, the oldest make
// some.
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
    // a page that may keep nothing works without
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
  const since = new Map(names.map((name) => [name, readKept(name).since]));
  return names.sort((a, b) => since.get(a) - since.get(b));
}

// What JSON has no words for: a Map as its entries, an array of numbers as base64 of its bytes.
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
