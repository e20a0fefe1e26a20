// What the first screen computes from networks and their twins, which are a pair for each seed:
// {spoilt, control}. Each life has `tests`, [age, % of test images right, % of its own training
// images right]; once it has ended also `answers` to the test images, and its weights, `network`.

const isComplete = ({spoilt, control}) => Boolean(spoilt.answers && control.answers);

// The mean of the last five epochs, in percent of test images right.
function finalAccuracy({tests}) {
  const [last] = tests.at(-1);
  const lastFive = tests.filter(([age]) => age > last - 5);
  return mean(lastFive.map(([, right]) => right));
}

// The harm of complete pairs, in points: its mean over pairs, and half of its interval by Student's
// t. factors: for half an interval, by degrees of freedom from 1; the last one is their limit.
function harmOf(pairs, factors) {
  const complete = pairs.filter(isComplete);
  const values = complete.map((pair) => finalAccuracy(pair.control) - finalAccuracy(pair.spoilt));
  const n = values.length;
  const middle = mean(values);
  const squares = values.map((value) => (value - middle) ** 2);
  const spread = Math.sqrt(squares.reduce((a, b) => a + b, 0) / (n - 1));
  const half = (studentFactor(factors, n - 1) * spread) / Math.sqrt(n);
  const words = n > 1 ? `${show(middle)} ± ${show(half)}` : show(middle);
  return {n, middle, half, words};
}

// Beyond the table Student's factor nears its limit as 1 / freedom.
function studentFactor(factors, freedom) {
  const most = factors.length - 1;
  const limit = factors[most];
  return freedom <= most
    ? factors[freedom - 1]
    : limit + ((factors[most - 1] - limit) * most) / freedom;
}

// The wrong answers to a test image, by the networks of an arm.
const wrongAnswers = (labels, pairs, arm, image) =>
  pairs.map((pair) => pair[arm].answers[image]).filter((answer) => answer !== labels[image]);

// The places of test images that deprived networks get wrong, and neither their twins nor others:
// first those that most of them get wrong. others: pairs of another window.
function onlyDeprivedWrong(labels, pairs, others) {
  const score = (image) => {
    const spared = [
      ...wrongAnswers(labels, pairs, "control", image),
      ...wrongAnswers(labels, others, "spoilt", image),
    ];
    return spared.length ? 0 : wrongAnswers(labels, pairs, "spoilt", image).length;
  };
  const scores = Array.from(labels, (_, image) => score(image));
  const places = [...scores.keys()].filter((image) => scores[image]);
  return places.sort((i, j) => scores[j] - scores[i]);
}

// The value that occurs most often; of several, the one that comes first.
function mostFrequent(values) {
  const count = (value) => values.filter((other) => other === value).length;
  return [...values].sort((a, b) => count(b) - count(a))[0];
}
