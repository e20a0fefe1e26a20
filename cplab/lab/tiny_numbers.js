// What the first screen computes from pairs of networks, which tiny_cohort.js describes: their harm,
// and the images that only deprived ones get wrong. `oneDecimal` is in screen.js.

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

// The mean of the last five epochs, in percent of test images right.
function finalAccuracy({tests}) {
  const last = tests.at(-1).age;
  const lastFive = tests.filter(({age}) => age > last - 5);
  return mean(lastFive.map(({right}) => right));
}

// The harm of those pairs that are complete, in points: {n, middle, half, words}, of which n counts
// pairs, middle is their mean, and half the half of its interval by Student's t. Without a pair only
// n is a number. factors: for half an interval, by degrees of freedom from 1; the last is their limit.
function harmOf(pairs, factors) {
  const complete = pairs.filter(isComplete);
  const values = complete.map((pair) => finalAccuracy(pair.control) - finalAccuracy(pair.spoilt));
  const n = values.length;
  const middle = mean(values);
  const squares = values.map((value) => (value - middle) ** 2);
  const deviation = Math.sqrt(squares.reduce((a, b) => a + b, 0) / (n - 1));
  const half = (studentFactor(factors, n - 1) * deviation) / Math.sqrt(n);
  const words = n > 1 ? `${oneDecimal(middle)} ± ${oneDecimal(half)}` : oneDecimal(middle);
  return {n, middle, half, words};
}

// Beyond the table Student's factor nears its limit as 1 / freedom.
function studentFactor(factors, freedom) {
  const most = factors.length - 1;
  if (freedom <= most) return factors[freedom - 1];
  const limit = factors[most];
  return limit + ((factors[most - 1] - limit) * most) / freedom;
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
