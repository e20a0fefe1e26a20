// Trains small networks in the browser, in WebAssembly (networks.c). `tiny.js` shows them.
//
// A screen uses:
//
//   tools = engine()            pictures of deficits, and the arithmetic: its last lines say which
//   digits = await unpack(content.digits, tools)
//   training = grow(digits, plans, hear)
//   training.stop()
//   training.hold()             where it is
//   training.goOn()             with the same numbers
//
// A plan is all networks of one seed: {seed, windows: [{kind, onset, length}, …], recovery, block,
// mask, names, digits, layers, width, scale, rate, every, look}. Under each window one network grows
// up. Their twin is the same network without a window; it is as old as one of them when it has had
// as many clear epochs. What networks of a seed have in common is trained once. A kind is the name
// of a student's own deficit, `own` of the digits, or one of:
//
//   mosaic    the mean of each square of `block` × `block` pixels
//   flip      upside down
//   noise     noise, different for each image
//   permute   the label y becomes `names[y]`
//   cover     grey where `mask` has a bit: 36 hexadecimal digits, three a row of 12 pixels
//
// `hear` is called with one of:
//
//   {tests: [{seed, window, age, right, own}]}   after each test of a network, of which `window` is
//                                                the place, or -1 for the twin: percent of the test
//                                                images, and of its own training images, clear, that
//                                                it gets right. A test also has
//       answers, network, where a life ends: its answer to each test image, (count,), and its weights
//       look, now and then: what its first units look for, see `lookAt`
//   {note}     how it trains, if not as usual; training goes on
//   {failed}   why it has stopped
//
// Equal plans give equal numbers, alone and side by side.

// All that a worker runs. Its text is the worker's program, so it uses nothing from outside.
function engine() {
  const SIDE = 12;
  const PIXELS = SIDE * SIDE;
  const CLASSES = 10;
  const OUTPUTS = 16; // of the last layer. Those beyond the classes stay 0: a vector has eight
  const LISTENS = 50; // milliseconds after which a worker reads its messages
  const FINAL = 5; // last epochs, whose mean is the final accuracy
  const FIRST = 2; // epochs after which the first lines can be drawn
  const FEW = 8; // units of a first layer that are shown

  // Random numbers from 0 to 1, the same for the same seed (mulberry32). `copy` goes on as it does.
  function generator(seed) {
    return from(Math.imul(seed + 1, 0x9e3779b1));
  }

  function from(state) {
    const next = () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
    next.copy = () => from(state);
    return next;
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

  // The arithmetic of networks.wasm, from its bytes. `epoch(network, sizes, images, labels, order,
  // rate)` changes a network by an epoch of stochastic gradient descent on the cross-entropy, in
  // batches of 32. `score(network, sizes, images)` gives its logits, (count, OUTPUTS). Arguments are
  // written into the memory of the program, and results are read from it. This fails where the
  // browser has no vectors of 128 bits, or where the page's policy forbids it.
  async function arithmetic(bytes) {
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

  // The weights of the first layer's first units, one picture after the other, (units, PIXELS).
  function pictures(network, {width}, units = width) {
    const weights = new Float32Array(units * PIXELS);
    for (let unit = 0; unit < units; unit++)
      for (let pixel = 0; pixel < PIXELS; pixel++)
        weights[unit * PIXELS + pixel] = network[pixel * width + unit];
    return weights;
  }

  // The part of the squared change of weights, (units, PIXELS), that is not constant on squares of
  // `side` pixels: what a mosaic of these squares removes.
  function detailShare(change, side) {
    let all = 0;
    let kept = 0;
    const sums = new Float64Array(PIXELS);
    for (let unit = 0; unit < change.length; unit += PIXELS) {
      sums.fill(0);
      for (let at = 0; at < PIXELS; at++) {
        const value = change[unit + at];
        const square = Math.floor(at / SIDE / side) * SIDE + Math.floor((at % SIDE) / side);
        all += value * value;
        sums[square] += value;
      }
      for (const sum of sums) kept += (sum * sum) / (side * side);
    }
    return all ? (all - kept) / all : 0;
  }

  // What first units look for: `units`, the pictures of a few; `detail`, the part of what all have
  // learned since birth that is finer than the squares of the plan's blur.
  function lookAt({network, pupil: {plan, birth}}) {
    const now = pictures(network, plan);
    const change = now.map((weight, i) => weight - birth[i]);
    return {units: now.slice(0, FEW * PIXELS), detail: detailShare(change, plan.block)};
  }

  // What a seed's networks share: the images and labels that are their own, clear and as each window
  // of the plan changes them, and how they are born.
  function makePupil(digits, plan) {
    const [pick, draw, turn, noise] = [0, 1, 2, 3].map((part) => generator(4 * plan.seed + part));
    const {train} = digits;
    const count = digits.own?.count ?? train.labels.length;
    const index = shuffled(count, pick).subarray(0, plan.digits);
    const images = new Float32Array(index.length * PIXELS);
    index.forEach((i, place) => images.set(image(train.images, i), place * PIXELS));
    const labels = Uint8Array.from(index, (i) => train.labels[i]);
    const sizes = sizesOf(plan);
    const network = newborn(sizes, plan.scale, draw);
    const birth = pictures(network, plan);
    const lessons = plan.windows.map(({kind}) => {
      if (digits.own?.kind === kind) return ownLessons(digits.own, index);
      let seen; // not before it is needed: the first lines come sooner
      return () =>
        (seen ??= {
          images: spoil(images, kind, plan, noise.copy()),
          labels: kind === "permute" ? labels.map((label) => plan.names[label]) : labels,
        });
    });
    const clear = {images, labels};
    return {plan, digits, sizes, birth, clear, lessons, newborn: {network, turn}};
  }

  // What a student's own deficit makes of some training images: a function of the epoch.
  function ownLessons({train, ...own}, index) {
    let latest = {};
    return (epoch) => {
      const stage = stageAt(own, train, epoch);
      if (latest.stage === stage) return latest;
      const images = new Float32Array(index.length * PIXELS);
      index.forEach((i, place) => images.set(seenImage(own, train, i, stage), place * PIXELS));
      const labels = Uint8Array.from(index, (i) => train.labels[i * train.epochs.length + stage]);
      latest = {stage, images, labels};
      return latest;
    };
  }

  // Which of its epochs that the page has a student's own deficit shows in an epoch: the last that
  // has begun, or each in turn.
  function stageAt({inTurn}, {epochs}, epoch) {
    if (inTurn) return epoch % epochs.length;
    return epochs.findLastIndex((begun) => begun <= epoch);
  }

  // An image as it is there, from bytes over a range.
  function seenImage({low, high}, {epochs, images}, i, stage) {
    const bytes = image(images, i * epochs.length + stage);
    return Float32Array.from(bytes, (byte) => low + ((high - low) * byte) / 255);
  }

  // A network at an age. It ends after so many epochs, and is tested after some of them.
  function makeLife(pupil, window, {network, turn, age = 0}) {
    const {windows, recovery, every, look} = pupil.plan;
    const isTwin = window < 0;
    const parts = isTwin ? windows.map(({onset}) => ({onset, length: 0})) : [windows[window]];
    const ends = parts.map(({onset, length}) => onset + length + recovery);
    const turns = parts.flatMap(({onset, length}) => [onset, onset + length]);
    const isFinal = (age) => ends.some((end) => age <= end && age > end - FINAL);
    return {
      ...{pupil, window, age},
      ...{network: network.slice(), turn: turn.copy()},
      end: Math.max(...ends),
      ends: (age) => ends.includes(age),
      looks: (age) => age % look === 0 || turns.includes(age) || ends.includes(age),
      tested: (age) => age === FIRST || age % every === 0 || turns.includes(age) || isFinal(age),
    };
  }

  // The epoch of the screen at which a life stands. A twin waits while the windows last.
  function epochOf({window, age, pupil: {plan}}) {
    if (window >= 0) return age;
    const waits = age >= Math.max(...plan.windows.map(({onset}) => onset));
    return age + waits * Math.min(...plan.windows.map(({length}) => length));
  }

  // The lives that begin where a twin stands: those whose window does.
  function branches(twin) {
    if (twin.window >= 0) return [];
    const {windows} = twin.pupil.plan;
    const begin = [...windows.keys()].filter((i) => windows[i].onset === twin.age);
    return begin.map((i) => makeLife(twin.pupil, i, twin));
  }

  // What a network learns in its next epoch: images and labels.
  function lesson({pupil, window, age}) {
    const {onset, length} = pupil.plan.windows[window] ?? {onset: 0, length: 0};
    const isClear = age < onset || age >= onset + length;
    return isClear ? pupil.clear : pupil.lessons[window](age);
  }

  function test(life, {score}) {
    const {pupil, window, age, network} = life;
    const {clear, digits, plan, sizes} = pupil;
    const named = answers(score, network, sizes, digits.test.images);
    const own = percent(answers(score, network, sizes, clear.images), clear.labels);
    const right = percent(named, digits.test.labels);
    const found = {seed: plan.seed, window, age, right, own};
    if (life.looks(age)) found.look = lookAt(life);
    if (life.ends(age)) Object.assign(found, {answers: named, network: network.slice()});
    return found;
  }

  // Train the networks of some plans side by side, always the one that stands at the earliest
  // epoch: a generator that yields after each epoch, with a test if there is one.
  function* lives(digits, plans, arithmetic) {
    let growing = plans.map((plan) => {
      const pupil = makePupil(digits, plan);
      return makeLife(pupil, -1, pupil.newborn);
    });
    for (const twin of [...growing]) {
      yield test(twin, arithmetic);
      growing.push(...branches(twin));
    }
    while (growing.length) {
      const life = growing.reduce((a, b) => (epochOf(b) < epochOf(a) ? b : a));
      const {images, labels} = lesson(life);
      const {sizes, plan} = life.pupil;
      const order = shuffled(labels.length, life.turn);
      arithmetic.epoch(life.network, sizes, images, labels, order, plan.rate);
      life.age++;
      growing.push(...branches(life));
      if (life.age === life.end) growing = growing.filter((one) => one !== life);
      yield life.tested(life.age) ? test(life, arithmetic) : null;
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
    const computing = await arithmetic(bytes);
    let until = performance.now() + LISTENS;
    for (const test of lives(digits, plans, computing)) {
      if (test) postMessage(test);
      if (performance.now() < until) continue;
      await nextTurn();
      await gate.open;
      until = performance.now() + LISTENS;
    }
  }

  // The probabilities that a network gives the classes of an image, (PIXELS,).
  function chances({score}, network, image, plan) {
    const scores = score(network, sizesOf(plan), image).subarray(0, CLASSES);
    const highest = Math.max(...scores);
    const parts = Array.from(scores, (score) => Math.exp(score - highest));
    const sum = parts.reduce((total, part) => total + part);
    return parts.map((part) => part / sum);
  }

  return {
    // for a screen
    ...{SIDE, PIXELS, FEW, arithmetic, image, spoil, generator, chances, stageAt, seenImage},
    // for training, and its tests
    ...{CLASSES, lives, serve, nextTurn, makeGate, pictures, detailShare},
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

// What a student's own deficit makes of digits: for each digit and epoch a byte for each pixel, and
// a label.
async function unpackOwn(own, {PIXELS}) {
  const unpacked = async ({epochs, packed}) => {
    const bytes = await unzip(packed);
    const end = (bytes.length / (PIXELS + 1)) * PIXELS;
    return {epochs, images: bytes.subarray(0, end), labels: bytes.subarray(end)};
  };
  return {...own, train: await unpacked(own.train), test: await unpacked(own.test)};
}

// The program of WebAssembly.
const moduleBytes = () => Uint8Array.from(atob(WASM), (letter) => letter.charCodeAt(0));

const HERE =
  "Your browser starts no workers on this page: it trains in the page itself, more slowly.";
const SLICE = 12; // milliseconds that the page trains at a time

// Train networks by plans, in workers, or in the page itself where it may start none.
function grow(digits, plans, hear) {
  const bytes = moduleBytes();
  const count = Math.min(navigator.hardwareConcurrency || 2, plans.length);
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

  function hold() {
    gate.shut(true);
    for (const worker of workers) worker.postMessage({paused: true});
  }

  function goOn() {
    gate.shut(false);
    for (const worker of workers) worker.postMessage({paused: false});
  }

  function dismiss() {
    for (const worker of workers) worker.terminate();
    workers = [];
  }

  function receive({data}) {
    begun = true;
    hear({tests: [data]});
  }

  // A worker has failed. If none had started, the page trains instead; else training stops.
  function mourn({message}) {
    if (stopped || !workers.length) return;
    dismiss();
    if (begun) hear({failed: `Training has stopped: ${message || "a worker has failed"}.`});
    else trainHere();
  }

  // Train in the page itself, in slices of time, so that it still answers.
  async function trainHere() {
    hear({note: HERE});
    const computing = await tools.arithmetic(bytes);
    let until = performance.now() + SLICE;
    for (const test of tools.lives(digits, plans, computing)) {
      if (stopped) return;
      if (test) hear({tests: [test]});
      if (performance.now() < until) continue;
      await tools.nextTurn();
      await gate.open;
      until = performance.now() + SLICE;
    }
  }

  try {
    const text = `onmessage = (${engine})().serve;`;
    const url = URL.createObjectURL(new Blob([text], {type: "text/javascript"}));
    for (let i = 0; i < count; i++) {
      const worker = Object.assign(new Worker(url), {onmessage: receive, onerror: mourn});
      workers.push(worker);
      worker.postMessage({digits, plans: plans.filter((_, at) => at % count === i), bytes});
    }
  } catch {
    dismiss();
    queueMicrotask(trainHere); // once whoever asked has what is returned
  }
  return {stop, hold, goOn};
}
