// What the tests of networks ask of a page that has the page's own program before this script.
// Arrays come from Python and go back to it as lists.

let tools; // of the engine
let computing; // its arithmetic

async function startEngine() {
  tools = engine();
  computing = await tools.loadArithmetic(moduleBytes());
}

// A network after an epoch in each of some orders of its images.
function trained(network, sizes, images, labels, orders, rate) {
  const parameters = Float32Array.from(network);
  const x = Float32Array.from(images);
  for (const order of orders)
    computing.epoch(parameters, sizes, x, labels, Int32Array.from(order), rate);
  return [...parameters];
}

function scores(network, sizes, images) {
  return [...computing.score(Float32Array.from(network), sizes, Float32Array.from(images))];
}

function chances(network, shape, image) {
  return tools.chances(computing, Float32Array.from(network), Float32Array.from(image), shape);
}

// Images under a deficit.
function imagesUnder(kind, strength, images, seed = 0) {
  return [...tools.spoil(Float32Array.from(images), kind, strength, tools.generator(seed))];
}

// As many random images as asked for, with labels in turn, to train on and to test on.
function randomDigits({train, test}) {
  const random = tools.generator(9);
  const part = (count) => ({
    images: Float32Array.from({length: count * tools.PIXELS}, () => random() - 0.5),
    labels: Uint8Array.from({length: count}, (_, i) => i % tools.CLASSES),
  });
  return {train: part(train), test: part(test)};
}

const asLists = ({answers, network, known, ...test}) => ({
  ...test,
  known: [...known],
  answers: answers ? [...answers] : [],
  network: network ? [...network] : [],
});

// What the networks of a plan learn from, {images, labels}, and in which order in each of so many
// epochs: that is drawn by the third generator of the seed.
function lessons(plan, counts, epochs) {
  const {train} = randomDigits(counts);
  const places = [...tools.chosenDigits({train}, plan)];
  const random = tools.generator(4 * plan.seed + 2);
  return {
    images: places.flatMap((place) => [...tools.image(train.images, place)]),
    labels: places.map((place) => train.labels[place]),
    orders: Array.from({length: epochs}, () => [...tools.shuffled(places.length, random)]),
  };
}

// The tests of the networks of some plans, which are trained beside one another. own: what a
// student's own deficit makes of the images for training.
function testsOf(plans, counts, own) {
  const digits = randomDigits(counts);
  if (own) {
    const {epochs, images, labels} = own.train;
    const train = {epochs, images: Uint8Array.from(images), labels: Uint8Array.from(labels)};
    digits.own = {...own, train};
  }
  return [...tools.train(digits, plans, computing)].filter(Boolean).map(asLists);
}

// The first `count` tests that training of a plan tells a screen. With a pause, training is held
// after the third: `before` and `during` are then the tests until it holds, and while it does.
function toldTests(plan, counts, count, pauses) {
  const wait = (time) => new Promise((resolve) => setTimeout(resolve, time));
  return new Promise((resolve) => {
    const told = {tests: []};
    const hold = async () => {
      training.hold();
      await wait(200);
      told.before = told.tests.length;
      await wait(200);
      told.during = told.tests.length - told.before;
      training.goOn();
    };
    const training = grow(randomDigits(counts), [plan], ({tests = []}) => {
      told.tests.push(...tests.map(asLists));
      if (tests.length && told.tests.length === 3 && pauses) hold();
      if (told.tests.length === count) resolve({...told, tests: [...told.tests]});
    });
  });
}

// From now on the page itself trains.
function loseWorkers() {
  globalThis.Worker = null;
}
