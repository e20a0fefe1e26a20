// A cohort, which a press on Train begins: networks of some seeds grow up, each beside its twin, and
// are added to the places of their windows. A place is {window, pairs: {seed: pair}}.

const newLife = () => ({tests: [], looks: []});
const newPair = () => ({spoilt: newLife(), control: newLife()});

// Add a test to a life; `ends` if its answers and weights are those of the life's end.
function addTest(life, {age, right, own, look, answers, network}, ends) {
  life.tests.push([age, right, own]);
  if (look) life.looks.push([age, look]);
  if (ends) Object.assign(life, {answers, network});
}

// Add a test to the pair of a window: to one of its networks, or to both where they are still one.
function addToPair({spoilt, control}, test, {onset}, recovery) {
  const isTwin = test.window < 0;
  if (!isTwin) return addTest(spoilt, test, test.answers);
  if (test.age <= onset) addTest(spoilt, test, false);
  const end = onset + recovery;
  if (test.age <= end) addTest(control, test, test.age === end);
}

class Cohort {
  began = performance.now();
  note = ""; // how it trains, if not as usual
  paused = 0; // since when, in milliseconds of the page
  ahead = 0; // tests until it is held again, after a step

  // Arguments: digits, as the engine takes them; common, what all plans have in common; places, of
  // the windows; seeds; told, is called with nothing when there is more to see, with {note} or with
  // {ended, failed}, why.
  constructor(digits, common, places, seeds, told) {
    const windows = places.map(({window}) => window);
    const plans = seeds.map((seed) => ({...common, seed, windows}));
    for (const {pairs} of places) for (const seed of seeds) pairs.set(seed, newPair());
    Object.assign(this, {places, plans, told});
    this.growing = grow(digits, plans, (message) => this.hear(message));
  }

  hear({tests = [], note, failed}) {
    if (note) this.note = note;
    if (note) this.told({note});
    for (const test of tests) this.take(test);
    if (this.ahead) {
      this.ahead = Math.max(0, this.ahead - tests.length);
      if (!this.ahead) this.pause(true);
    }
    const seconds = Math.round((performance.now() - this.began) / 1000);
    if (failed) this.end(failed, true);
    else if (this.places.every(({pairs}) => [...pairs.values()].every(isComplete)))
      this.end(`${this.note} took ${seconds} s`.trim());
    else this.told({});
  }

  take(test) {
    const [{recovery}] = this.plans;
    for (const [number, {window, pairs}] of this.places.entries())
      if (test.window < 0 || test.window === number)
        addToPair(pairs.get(test.seed), test, window, recovery);
  }

  // End it; pairs that are complete stay.
  end(why, failed = false) {
    this.growing.stop();
    for (const {pairs} of this.places)
      for (const [seed, pair] of pairs) if (!isComplete(pair)) pairs.delete(seed);
    this.told({ended: why, failed});
  }

  // Hold it where it is, or let it go on. A pause does not count as time of training.
  pause(paused) {
    const now = performance.now();
    if (this.paused) this.began += now - this.paused;
    this.paused = paused ? now : 0;
    this.growing.pause(paused);
    this.told({note: paused ? "paused" : ""});
  }

  // Let it go on until there are as many tests as networks, and hold it again.
  step() {
    this.ahead = this.plans.length;
    this.pause(false);
  }
}
