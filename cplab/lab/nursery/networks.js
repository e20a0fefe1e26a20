// Trains small networks in the browser, in WebAssembly (networks.c); nursery.js shows them. link.py puts
// two things before this file: WASM, the program of networks.wasm in base64, and `unzip`.
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
// Digits are {train, test, own}. Each of train and test is {images, labels}, of which images are
// (count · PIXELS), normalised. `own`, if a student has a deficit of their own, is {kind, train,
// test, count, low, high, inTurn}, of which train and test are {epochs, images, labels}: what it
// makes of each image in some epochs, as bytes over the range from low to high. It does so for the
// first `count` training images, and no others are then learned from.
//
// A plan is all networks of one seed:
//
//   seed, windows     under each window, {kind, onset, length}, one network grows up
//   recovery          clear epochs after a window
//   digits            how many images they learn from
//   layers, width     hidden layers, and the units of each
//   scale             of the weights at birth, times that of He et al. 2015
//   rate              of learning
//   every             epochs between two tests
//   names             of the classes under `permute`
//   strengths         of the deficits that have one, by kind
//
// The kinds of deficit:
//
//   mosaic     the mean of each square; its strength is the pixels of a side
//   flip       upside down
//   noise      noise, different for each image
//   permute    the label y becomes `names[y]`
//   cover      grey where its strength has a bit: 36 hexadecimal digits, three a row of 12 pixels
//   own.kind   a student's own
//
// Their twin is the same network without a window; it is as old as one of them when it has had as
// many clear epochs. What networks of a seed have in common is trained once.
//
// `hear` is called with one of:
//
//   {tests: [test]}   after each test of a network
//   {note}            how it trains, if not as usual; training goes on
//   {failed}          why it has stopped
//
// A test is {seed, window, age, right, own, known, step, distances}, and at the end of a life {answers,
// network} as well:
//
//   window     its place in the plan; -1 for the twin
//   age        epochs that the network has been trained for
//   right      percent of the test images that it gets right
//   own        percent of its own training images, clear, that it gets right
//   known      for each of these images 1 if it gets it right, or 0, (count,)
//   step       the mean length of its steps in the last epoch; at birth there is none
//   distances  how far it has come since its deficit ended, once it has. A twin has one for each
//              window of the plan, since that began
//   answers    where a life ends: its answer to each test image, (count,)
//   network    where a life ends: its weights and biases
//
// Equal plans give equal numbers, alone and side by side.

// All that a worker runs. Its text is the worker's program, so it uses nothing from outside.
function engine() {
  const SIDE = 12;
  const PIXELS = SIDE * SIDE;
  const CLASSES = 10;
  const OUTPUTS = 16; // of the last layer. Those beyond the classes stay 0: a vector has eight
  const TWIN = -1; // the window of a twin
  const WORKER_SLICE = 50; // milliseconds after which a worker reads its messages
  const FINAL_EPOCHS = 5; // whose mean is the final accuracy
  const FIRST_TEST = 2; // epochs after which the first lines can be drawn
  const BATCH = 32; // images of a step, as in networks.c

  // Random numbers from 0 to 1, the same for the same seed (mulberry32). `copy` gives another
  // generator that goes on as this one does.
  function generator(seed) {
    return generatorAt(Math.imul(seed + 1, 0x9e3779b1));
  }

  function generatorAt(state) {
    const next = () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
    next.copy = () => generatorAt(state);
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

  // Images and deficits ---------------------------------------------------------------------------

  // Some images of an array of images, (count, PIXELS).
  function image(images, first, count = 1) {
    return images.subarray(first * PIXELS, (first + count) * PIXELS);
  }

  // Images as a network sees them under a deficit, a new array; those of `permute` are as before.
  // Arguments: images (count, PIXELS); kind; strength, for a deficit that has one; random, a
  // generator, for the noise.
  function spoil(images, kind, strength, random) {
    const seen = Float32Array.from(images);
    for (let at = 0; at < seen.length; at++) {
      const x = at % SIDE;
      const y = Math.floor(at / SIDE) % SIDE;
      if (kind === "noise") seen[at] = normal(random);
      if (kind === "flip") seen[at] = images[at + SIDE * (SIDE - 1 - 2 * y)];
      if (kind === "mosaic") seen[at] = squareMean(images, at - SIDE * y - x, x, y, strength);
      if (kind === "cover" && covers(strength, x, y)) seen[at] = 0; // the mean of all images
    }
    return seen;
  }

  // The mean of the square around pixel (x, y) in the image whose first pixel is `first`. At the
  // edge a square may be smaller.
  function squareMean(images, first, x, y, side) {
    const left = x - (x % side);
    const top = y - (y % side);
    const right = Math.min(left + side, SIDE);
    const bottom = Math.min(top + side, SIDE);
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

  // A student's own deficit, and a part of it, train or test: the place of the epoch, of those that the
  // page has, which is shown in an epoch. That is the last one that has begun, or each in turn.
  function stageAt({inTurn}, {epochs}, epoch) {
    if (inTurn) return epoch % epochs.length;
    return epochs.findLastIndex((begun) => begun <= epoch);
  }

  // An image of that part at that place, (PIXELS,), from bytes over a range.
  function seenImage({low, high}, {epochs, images}, i, stage) {
    const bytes = image(images, i * epochs.length + stage);
    return Float32Array.from(bytes, (byte) => low + ((high - low) * byte) / 255);
  }

  // Networks --------------------------------------------------------------------------------------

  // A network is one array, layer after layer: weights (inputs, outputs), then biases (outputs).

  // How many units a network's layers have, from its images to its scores.
  function sizesOf({layers, width}) {
    return [PIXELS, ...Array(layers).fill(width), OUTPUTS];
  }

  // The layers of a network: its weights and biases, which are parts of the array.
  function layersOf(network, sizes) {
    const layers = [];
    let start = 0;
    for (let l = 1; l < sizes.length; l++) {
      const [inputs, outputs] = [sizes[l - 1], sizes[l]];
      const weights = network.subarray(start, start + inputs * outputs);
      start += weights.length;
      const biases = network.subarray(start, start + outputs);
      start += biases.length;
      layers.push({inputs, outputs, weights, biases});
    }
    return layers;
  }

  // A network that has learned nothing: weights at `scale` of what He et al. 2015 take, biases 0.
  function newborn(sizes, scale, random) {
    let count = 0;
    for (let l = 1; l < sizes.length; l++) count += (sizes[l - 1] + 1) * sizes[l];
    const network = new Float32Array(count);
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
  async function loadArithmetic(bytes) {
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
  function answersOf(network, sizes, images, {score}) {
    const scores = score(network, sizes, images); // (count · OUTPUTS)
    const answers = new Uint8Array(images.length / PIXELS);
    for (let i = 0; i < answers.length; i++)
      for (let label = 1; label < CLASSES; label++)
        if (scores[i * OUTPUTS + label] > scores[i * OUTPUTS + answers[i]]) answers[i] = label;
    return answers;
  }

  // Whether each answer is right: 1 or 0.
  function marksOf(answers, labels) {
    return answers.map((answer, i) => answer === labels[i]);
  }

  // The percentage of marks that are 1.
  function percentRight(marks) {
    return (100 * marks.reduce((sum, mark) => sum + mark, 0)) / marks.length;
  }

  // The distance between two networks: the length of the difference of their weights and biases.
  function distanceBetween(one, other) {
    let squares = 0;
    for (let i = 0; i < one.length; i++) {
      const difference = one[i] - other[i];
      squares += difference * difference;
    }
    return Math.sqrt(squares);
  }

  // The probabilities that a network gives the classes of an image, (PIXELS,).
  function chances({score}, network, image, plan) {
    const scores = score(network, sizesOf(plan), image).subarray(0, CLASSES);
    const highest = Math.max(...scores);
    const parts = Array.from(scores, (score) => Math.exp(score - highest));
    const sum = parts.reduce((total, part) => total + part);
    return parts.map((part) => part / sum);
  }

  // Lives -----------------------------------------------------------------------------------------

  // What the networks of a seed share:
  //
  //   plan, digits, sizes   as above
  //   clear                 {images, labels}: the digits from which all of them learn
  //   lessons               for each window a function of the epoch: {images, labels}, as changed
  //   newborn               {network, order}, with which all begin: `order` is a generator, for the
  //                         order of images
  function makeFamily(digits, plan) {
    const [weights, order, noise] = [1, 2, 3].map((k) => generator(4 * plan.seed + k));
    const {train, own} = digits;
    const chosen = chosenDigits(digits, plan);
    const images = new Float32Array(chosen.length * PIXELS);
    chosen.forEach((i, place) => images.set(image(train.images, i), place * PIXELS));
    const labels = Uint8Array.from(chosen, (i) => train.labels[i]);
    const clear = {images, labels};
    const lessons = plan.windows.map(({kind}) => {
      if (own?.kind === kind) return ownLessons(own, chosen);
      return lessonsUnder(kind, clear, plan, noise);
    });
    const sizes = sizesOf(plan);
    const network = newborn(sizes, plan.scale, weights);
    return {plan, digits, sizes, clear, lessons, newborn: {network, order}};
  }

  // The places of the digits from which networks of a seed learn, among all that there are.
  function chosenDigits({train, own}, plan) {
    const count = own?.count ?? train.labels.length;
    return shuffled(count, generator(4 * plan.seed)).subarray(0, plan.digits);
  }

  // What a deficit makes of images and labels, in every epoch. It is not computed before it is needed:
  // the first lines come sooner.
  function lessonsUnder(kind, {images, labels}, plan, noise) {
    let lesson;
    return () => {
      lesson ??= {
        images: spoil(images, kind, plan.strengths[kind], noise.copy()),
        labels: kind === "permute" ? labels.map((label) => plan.names[label]) : labels,
      };
      return lesson;
    };
  }

  // What a student's own deficit makes of some training images in an epoch.
  function ownLessons(own, chosen) {
    const {train} = own;
    let latest = {};
    return (epoch) => {
      const stage = stageAt(own, train, epoch);
      if (latest.stage === stage) return latest;
      const images = new Float32Array(chosen.length * PIXELS);
      chosen.forEach((i, place) => images.set(seenImage(own, train, i, stage), place * PIXELS));
      const labels = Uint8Array.from(chosen, (i) => train.labels[i * train.epochs.length + stage]);
      latest = {stage, images, labels};
      return latest;
    };
  }

  // A network of a family as it grows up under a window, or as the twin; it goes on from what another
  // one has become, {network, order, age}. It has {family, window, age, network, order}, the last age
  // to which it grows, and functions of an age: whether it is tested then, or ends. `starts` are the
  // ages from which its distance is measured, and `before` the networks that it was then. A twin has
  // no window: it begins and ends once for each window of the plan.
  function makeLife(family, window, {network, order, age = 0}) {
    const {windows, recovery, every} = family.plan;
    const parts =
      window === TWIN ? windows.map(({onset}) => ({onset, length: 0})) : [windows[window]];
    const starts = parts.map(({onset, length}) => onset + length);
    const ends = starts.map((start) => start + recovery);
    // ages at which what they see changes
    const turns = parts.flatMap(({onset, length}) => [onset, onset + length]);
    const isFinal = (age) => ends.some((end) => age <= end && age > end - FINAL_EPOCHS);
    const isTurn = (age) => turns.includes(age);
    const isEnd = (age) => ends.includes(age);
    return {
      family,
      window,
      age,
      network: network.slice(),
      order: order.copy(),
      starts,
      before: [],
      lastAge: Math.max(...ends),
      isEnd,
      isTested: (age) => age === FIRST_TEST || age % every === 0 || isTurn(age) || isFinal(age),
    };
  }

  // The epoch of the screen at which a life stands. A twin waits while a window lasts: of two, as long
  // as the shorter one, so that it is never behind those that it is compared with.
  function epochOf({window, age, family: {plan}}) {
    if (window !== TWIN) return age;
    const lastOnset = Math.max(...plan.windows.map(({onset}) => onset));
    const shortest = Math.min(...plan.windows.map(({length}) => length));
    return age < lastOnset ? age : age + shortest;
  }

  // The lives that begin where a twin stands: those whose window does.
  function branches({family, window, age, network, order}) {
    if (window !== TWIN) return [];
    const {windows} = family.plan;
    const beginning = [...windows.keys()].filter((i) => windows[i].onset === age);
    return beginning.map((i) => makeLife(family, i, {network, order, age}));
  }

  // What a network learns from in its next epoch: {images, labels}.
  function lessonOf({family, window, age}) {
    if (window === TWIN) return family.clear;
    const {onset, length} = family.plan.windows[window];
    const isClear = age < onset || age >= onset + length;
    return isClear ? family.clear : family.lessons[window](age);
  }

  // Train a life for an epoch. Before a test it goes batch by batch, which changes no number. Returns:
  // the mean length of its steps, which is known before a test alone.
  function trainEpoch(life, {epoch}) {
    const {network, family} = life;
    const {sizes, plan} = family;
    const {images, labels} = lessonOf(life);
    const order = shuffled(labels.length, life.order);
    life.age++;
    if (!life.isTested(life.age)) {
      epoch(network, sizes, images, labels, order, plan.rate);
      return null;
    }
    const before = network.slice();
    let length = 0;
    let steps = 0;
    for (let first = 0; first < order.length; first += BATCH) {
      before.set(network);
      epoch(network, sizes, images, labels, order.subarray(first, first + BATCH), plan.rate);
      length += distanceBetween(before, network);
      steps++;
    }
    return length / steps;
  }

  // How far a life is from where it was at each of its starts that it has reached.
  function distancesOf({age, network, starts, before}) {
    for (const [index, start] of starts.entries())
      if (age === start) before[index] = network.slice();
    return Array.from(before, (then) => then && distanceBetween(then, network));
  }

  function testOf(life, step, arithmetic) {
    const {family, window, age, network} = life;
    const {clear, digits, plan, sizes} = family;
    const answers = answersOf(network, sizes, digits.test.images, arithmetic);
    const ownAnswers = answersOf(network, sizes, clear.images, arithmetic);
    const known = marksOf(ownAnswers, clear.labels);
    const test = {
      seed: plan.seed,
      window,
      age,
      right: percentRight(marksOf(answers, digits.test.labels)),
      own: percentRight(known),
      known,
      step,
      distances: distancesOf(life),
    };
    if (life.isEnd(age)) Object.assign(test, {answers, network: network.slice()});
    return test;
  }

  // Train the networks of some plans side by side, always the one that stands at the earliest
  // epoch: a generator that yields after each epoch, with a test if there is one, or null.
  function* train(digits, plans, arithmetic) {
    let growing = [];
    for (const plan of plans) {
      const family = makeFamily(digits, plan);
      growing.push(makeLife(family, TWIN, family.newborn));
    }
    for (const twin of [...growing]) {
      yield testOf(twin, null, arithmetic);
      growing.push(...branches(twin));
    }
    while (growing.length) {
      const life = growing.reduce((a, b) => (epochOf(b) < epochOf(a) ? b : a));
      const step = trainEpoch(life, arithmetic);
      growing.push(...branches(life));
      if (life.age === life.lastAge) growing = growing.filter((one) => one !== life);
      yield life.isTested(life.age) ? testOf(life, step, arithmetic) : null;
    }
  }

  // On the page, and in a worker ------------------------------------------------------------------

  // Wait until the page or the worker has done everything else, and has read its messages.
  function nextTurn() {
    return new Promise((resolve) => {
      const {port1, port2} = new MessageChannel();
      port1.onmessage = resolve;
      port2.postMessage(null);
    });
  }

  // What holds training, lets it go on, and ends it: training awaits `gate.open` now and then.
  function makeGate() {
    let release = () => {};
    const gate = {open: Promise.resolve(), isEnded: false};
    gate.hold = () => {
      release(); // of an earlier hold
      gate.open = new Promise((resolve) => (release = resolve));
    };
    gate.goOn = () => release();
    gate.end = () => {
      gate.isEnded = true;
      release();
    };
    return gate;
  }

  // Train, and tell each test. After each slice of time, in milliseconds, others have their turn.
  // Arguments: digits, plans; bytes, of networks.wasm; gate, see `makeGate`; slice; tell, is called
  // with a test.
  async function trainInSlices({digits, plans, bytes}, gate, slice, tell) {
    const arithmetic = await loadArithmetic(bytes);
    let until = performance.now() + slice;
    for (const test of train(digits, plans, arithmetic)) {
      if (gate.isEnded) return;
      if (test) tell(test);
      if (performance.now() < until) continue;
      await nextTurn();
      await gate.open;
      until = performance.now() + slice;
    }
  }

  // What a worker does with a message: the first one says what to train, later ones whether to hold.
  const gate = makeGate();
  function serve({data}) {
    if (data.plans) trainInSlices(data, gate, WORKER_SLICE, (test) => postMessage(test));
    else if (data.hold) gate.hold();
    else gate.goOn();
  }

  return {
    // for a screen
    ...{SIDE, PIXELS, loadArithmetic, image, spoil, generator, chances, stageAt, seenImage},
    ...{chosenDigits},
    // for training, and its tests
    ...{CLASSES, shuffled, train, trainInSlices, makeGate, serve},
  };
}

// The digits of a page, from gzip in base64: two pixels a byte, in 16 greys, then a label a byte.
// Arguments: packed; train, test, how many there are of each; average, deviation, of their pixels.
async function unpack({packed, train, test, average, deviation}, {PIXELS}) {
  const bytes = await unzip(packed);
  const labels = bytes.subarray(((train + test) * PIXELS) / 2);
  const normalised = Float32Array.from(
    {length: 16},
    (_, grey) => (grey / 15 - average) / deviation,
  );
  const part = (first, count) => {
    const images = new Float32Array(count * PIXELS);
    for (let i = 0; i < images.length; i += 2) {
      const pair = bytes[(first * PIXELS + i) / 2];
      images[i] = normalised[pair >> 4];
      images[i + 1] = normalised[pair & 15];
    }
    return {images, labels: labels.slice(first, first + count)};
  };
  return {train: part(0, train), test: part(train, test)};
}

// A student's own deficit, with what it makes of digits: for each digit and epoch a byte for each
// pixel, and then the labels, a byte each.
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

const IN_THE_PAGE =
  "Your browser starts no workers on this page: it trains in the page itself, more slowly.";
const PAGE_SLICE = 12; // milliseconds that the page trains at a time

// Train networks by plans, in workers, or in the page itself where it may start none. Returns: {stop,
// hold, goOn}. Arguments: digits, plans, hear, see the top of this file.
function grow(digits, plans, hear) {
  const bytes = moduleBytes();
  const tools = engine();
  const gate = tools.makeGate(); // of what the page itself trains
  let workers = [];
  let hasBegun = false; // whether a worker has told a test

  function stop() {
    gate.end();
    dismiss();
  }

  function hold() {
    gate.hold();
    for (const worker of workers) worker.postMessage({hold: true});
  }

  function goOn() {
    gate.goOn();
    for (const worker of workers) worker.postMessage({hold: false});
  }

  function dismiss() {
    for (const worker of workers) worker.terminate();
    workers = [];
  }

  function receive({data}) {
    hasBegun = true;
    hear({tests: [data]});
  }

  // A worker has failed. If none had begun, the page trains instead; else training stops.
  function fail({message}) {
    if (gate.isEnded || !workers.length) return;
    dismiss();
    if (hasBegun) hear({failed: `Training has stopped: ${message || "a worker has failed"}.`});
    else trainInPage();
  }

  function trainInPage() {
    hear({note: IN_THE_PAGE});
    const tell = (test) => hear({tests: [test]});
    tools.trainInSlices({digits, plans, bytes}, gate, PAGE_SLICE, tell);
  }

  try {
    const program = `onmessage = (${engine})().serve;`;
    const url = URL.createObjectURL(new Blob([program], {type: "text/javascript"}));
    const count = Math.min(navigator.hardwareConcurrency || 2, plans.length);
    for (let i = 0; i < count; i++) {
      const worker = Object.assign(new Worker(url), {onmessage: receive, onerror: fail});
      workers.push(worker);
      worker.postMessage({digits, plans: plans.filter((_, at) => at % count === i), bytes});
    }
  } catch {
    dismiss();
    queueMicrotask(trainInPage); // once whoever asked has what is returned
  }
  return {stop, hold, goOn};
}
