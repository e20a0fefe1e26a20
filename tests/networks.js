// What the tests of networks ask of a page that has the page's own program before this script.
// Arrays come from Python and go back to it as lists.

let tools; // of the engine
let ways; // to compute, by name: in JavaScript and in WebAssembly

async function startEngine() {
  tools = engine();
  ways = {plain: tools.plain(), vectors: await tools.vectors(moduleBytes())};
}

// A network after an epoch in each of some orders of its images.
function trained(way, network, sizes, images, labels, orders, rate) {
  const parameters = Float32Array.from(network);
  const x = Float32Array.from(images);
  for (const order of orders)
    ways[way].epoch(parameters, sizes, x, labels, Int32Array.from(order), rate);
  return [...parameters];
}

function scores(way, network, sizes, images) {
  return [...ways[way].score(Float32Array.from(network), sizes, Float32Array.from(images))];
}

function chances(network, shape, image) {
  return tools.chances(Float32Array.from(network), Float32Array.from(image), shape);
}

function unitPictures(network) {
  return [...tools.pictures(Float32Array.from(network))];
}

// Images under a deficit.
function imagesUnder(kind, place, images, seed = 0) {
  return [...tools.spoil(Float32Array.from(images), kind, place, tools.generator(seed))];
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

const asLists = ({answers, network, ...test}) => ({
  ...test,
  answers: answers ? [...answers] : [],
  network: network ? [...network] : [],
});

// The tests of the networks of some plans, which are trained beside one another.
function testsOf(way, plans, counts) {
  return [...tools.lives(randomDigits(counts), plans, ways[way])].filter(Boolean).map(asLists);
}

// The first `count` tests that training of a plan tells a screen. With a pause, training is held
// after the third: `before` and `during` are then the tests until it holds, and while it does.
function toldTests(plan, counts, count, pauses) {
  const wait = (time) => new Promise((resolve) => setTimeout(resolve, time));
  return new Promise((resolve) => {
    const told = {tests: []};
    const hold = async () => {
      training.pause(true);
      await wait(200);
      told.before = told.tests.length;
      await wait(200);
      told.during = told.tests.length - told.before;
      training.pause(false);
    };
    const training = grow(randomDigits(counts), [plan], ({tests = []}) => {
      told.tests.push(...tests.map(asLists));
      if (tests.length && told.tests.length === 3 && pauses) hold();
      if (told.tests.length === count) resolve(told);
    });
  });
}

// From now on the page itself trains.
function loseWorkers() {
  globalThis.Worker = null;
}

// Bytes in base64, unpacked.
function inflated(packed) {
  const out = inflate(Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0)));
  return btoa([...out].map((byte) => String.fromCharCode(byte)).join(""));
}

// Keep a pair of lives as a screen does, with its answers as bytes and its looks as floats.
function keepLife({place, seed, answers, looks, tests}) {
  const life = {answers: Uint8Array.from(answers), looks: Float32Array.from(looks), tests};
  keep("one", "here", {place, seeds: new Map([[seed, life]])});
}

// The life that was kept, and the names of its arrays' types.
function keptLife(seed) {
  const [[, {place, seeds}]] = kept("one");
  const {answers, looks, tests} = seeds.get(seed);
  const types = [answers.constructor.name, looks.constructor.name];
  return {life: {place, seed, answers: [...answers], looks: [...looks], tests}, types};
}

// Keep several trainings of so many letters, one after another.
async function keepLong(names, letters) {
  for (const name of names) {
    keep("one", name, "x".repeat(letters));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

// From now on the page may keep nothing.
function forbidKeeping() {
  const get = () => {
    throw new Error("denied");
  };
  Object.defineProperty(globalThis, "sessionStorage", {get});
}
