// Small networks that the browser trains, in workers: a page without Python needs no more. `tiny.js`
// beside this file is what one sees of them.
//
// What the screen uses:
//   tools = engine()                      {spoil, image, generator, …}, for its pictures
//   digits = await unpack(content.digits, tools)
//   workers = hire(digits, plans, onTest)     one plan a network; worker.terminate() stops it
// A plan: {seed, arm, phases: [[deficit, epochs], …], digits, layers, width, scale, rate, block, every}.
// A deficit is "clear", "mosaic" (of `block` pixels a side), "flip", "noise" or "permute".
// onTest: {seed, arm, epoch, right, own}, percents, and at the end `answers`, (test images,).

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
