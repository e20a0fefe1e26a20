// What grows up on the first screen. A cohort, which a press on Train begins, has networks of some
// seeds trained by networks.js, each with its twin, and files their tests by the window under which
// they grow up. These are the shapes that all files of the screen use:
//
//   window      {kind, onset, length}: a deficit, and its epochs
//   condition   {window, pairs}: what has grown up under a window; pairs is a Map from seed to pair
//   pair        {spoilt, control}: the life of a network under the window, and that of its twin
//   life        {tests}, and once it has ended {answers, network} as well:
//     tests       [{age, right, own, known, step, distance}, …]: what is known of the network after so
//                 many epochs, see networks.js; distance: since the deficit ended, if it has
//     answers     its answer to each test image
//     network     its weights and biases

const isOfTwin = (test) => test.window < 0;

const newPair = () => ({spoilt: {tests: []}, control: {tests: []}});

// Whether both networks of a pair have grown up.
const isComplete = ({spoilt, control}) => Boolean(spoilt.answers && control.answers);

function addTest(life, {age, right, own, known, step}, distance) {
  life.tests.push({age, right, own, known, step, distance});
}

function endLife(life, {answers, network}) {
  Object.assign(life, {answers, network});
}

// Add a test to the pair of a window, whose place in the plan is `index`. One of the twin belongs to
// both networks until the window begins, since until then they are one.
function addToPair({spoilt, control}, test, {onset}, index, recovery) {
  if (!isOfTwin(test)) {
    addTest(spoilt, test, test.distances[0]);
    if (test.answers) endLife(spoilt, test);
    return;
  }
  const end = onset + recovery; // a twin serves several windows, and ends for each at another age
  if (test.age <= onset) addTest(spoilt, test);
  if (test.age <= end) addTest(control, test, test.distances[index]);
  if (test.age === end) endLife(control, test);
}

class Cohort {
  note = ""; // how it trains, if not as usual
  began = performance.now(); // milliseconds of the page; a pause puts it off
  heldAt = null; // since when it is held, in the same
  testsToHold = 0; // how many tests come, after a step, until it is held again

  // Arguments: digits, as `unpack` gives them; common, what plans of all seeds have in common, see
  // networks.js; conditions, to which pairs of these seeds are added; onNews, is called with {} when
  // there are more tests, with {note} to say, and in the end with {ended, failed}: how it went, and
  // whether that is an error.
  constructor(digits, common, conditions, seeds, onNews) {
    const windows = conditions.map(({window}) => window);
    this.plans = seeds.map((seed) => ({...common, seed, windows}));
    this.recovery = common.recovery;
    this.conditions = conditions;
    this.onNews = onNews;
    for (const {pairs} of conditions) {
      for (const seed of seeds) pairs.set(seed, newPair());
    }
    this.growing = grow(digits, this.plans, (message) => this.hear(message));
  }

  // What networks.js tells.
  hear({tests = [], note, failed}) {
    if (note) {
      this.note = note;
      this.onNews({note});
    }
    for (const test of tests) this.file(test);
    this.countDown(tests.length);
    if (failed) this.end(failed, true);
    else if (this.isGrown()) this.end(`${this.note} took ${this.seconds()} s`.trim());
    else this.onNews({});
  }

  file(test) {
    for (const [index, {window, pairs}] of this.conditions.entries())
      if (isOfTwin(test) || test.window === index)
        addToPair(pairs.get(test.seed), test, window, index, this.recovery);
  }

  isGrown() {
    return this.conditions.every(({pairs}) => [...pairs.values()].every(isComplete));
  }

  seconds() {
    return Math.round((performance.now() - this.began) / 1000);
  }

  // Stop, and drop the pairs that are not complete.
  end(how, failed = false) {
    this.growing.stop();
    for (const {pairs} of this.conditions)
      for (const [seed, pair] of pairs) if (!isComplete(pair)) pairs.delete(seed);
    this.onNews({ended: how, failed});
  }

  get isHeld() {
    return this.heldAt !== null;
  }

  hold() {
    this.heldAt = performance.now();
    this.testsToHold = 0;
    this.growing.hold();
    this.onNews({note: "paused"});
  }

  goOn() {
    this.began += performance.now() - this.heldAt;
    this.heldAt = null;
    this.growing.goOn();
    this.onNews({note: ""});
  }

  // Go on until there are as many tests as seeds, and hold again.
  step() {
    this.testsToHold = this.plans.length;
    this.goOn();
  }

  countDown(tests) {
    if (!this.testsToHold) return;
    this.testsToHold = Math.max(0, this.testsToHold - tests);
    if (!this.testsToHold) this.hold();
  }
}
