// What the first screen computes from pairs of networks, which cohort.js describes: their harm,
// and the images that only deprived ones get wrong. `oneDecimal` is in screen.js.

const sum = (values) => values.reduce((a, b) => a + b, 0);
const mean = (values) => sum(values) / values.length;

// The mean of the last five epochs, in percent of test images right.
function finalAccuracy({tests}) {
  const last = tests.at(-1).age;
  const lastFive = tests.filter(({age}) => age > last - 5);
  return mean(lastFive.map(({right}) => right));
}

// The harm of those pairs that are complete, in points: {n, middle, half, words}, of which n counts
// pairs, middle is their mean, and half the half of its interval. Without a pair only n is a number.
// Twins that were one network until the window began are paired. From birth they share no training:
// then the interval has both spreads (Welch). harm() in quantities.py does the same.
// factors: see `studentFactor`.
function harmOf(pairs, {onset}, factors) {
  const complete = pairs.filter(isComplete);
  const control = complete.map((pair) => finalAccuracy(pair.control));
  const spoilt = complete.map((pair) => finalAccuracy(pair.spoilt));
  const differences = control.map((value, i) => value - spoilt[i]);
  const n = differences.length;
  const middle = mean(differences);
  const samples = onset > 0 ? [differences] : [control, spoilt];
  const squares = samples.map((values) => varianceOfMean(values));
  const total = sum(squares);
  const freedom = ((n - 1) * total ** 2) / sum(squares.map((square) => square ** 2));
  const half = total ? studentFactor(factors, freedom) * Math.sqrt(total) : 0;
  const words = n > 1 ? `${oneDecimal(middle)} ± ${oneDecimal(half)}` : oneDecimal(middle);
  return {n, middle, half, words};
}

// The square of the standard error of a mean.
function varianceOfMean(values) {
  const n = values.length;
  const middle = mean(values);
  return sum(values.map((value) => (value - middle) ** 2)) / (n - 1) / n;
}

// The number of standard errors in half an interval. factors: this number for degrees of freedom
// whose inverse is 0, 1 / steps, 2 / steps, …, 1; between them it is nearly a line.
function studentFactor(factors, freedom) {
  const steps = factors.length - 1;
  const place = steps / freedom;
  const below = Math.min(Math.floor(place), steps - 1);
  return factors[below] + (place - below) * (factors[below + 1] - factors[below]);
}

// The wrong answers to a test image, by the networks of an arm, `spoilt` or `control`.
const wrongAnswers = (labels, pairs, arm, image) =>
  pairs.map((pair) => pair[arm].answers[image]).filter((answer) => answer !== labels[image]);

// The test images, by their place, that deprived networks get wrong, and neither their twins nor
// `others`, pairs of another window: first those that most of them get wrong.
function onlyDeprivedWrong(labels, pairs, others) {
  const errors = Array.from(labels, (_, image) => {
    const byTwins = wrongAnswers(labels, pairs, "control", image);
    const byOthers = wrongAnswers(labels, others, "spoilt", image);
    if (byTwins.length || byOthers.length) return 0;
    return wrongAnswers(labels, pairs, "spoilt", image).length;
  });
  const images = [...errors.keys()].filter((image) => errors[image]);
  return images.sort((a, b) => errors[b] - errors[a]);
}

// The value that occurs most often; of several, the one that comes first.
function mostFrequent(values) {
  const count = (value) => values.filter((other) => other === value).length;
  return [...values].sort((a, b) => count(b) - count(a))[0];
}
