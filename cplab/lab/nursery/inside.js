// A look inside one of the networks that have grown up on the first screen, beside its twin: which
// of its own digits it gets right, how long its steps are, and how far it has come since its deficit
// ended. A person moves along its epochs. cohort.js describes pairs and tests, figure.js
// the figures; `make` is in page.js, `within` and `stridesOf` in bar.js.

const MOST_IN_ROW = 50; // squares; more digits of a class go on below
const NUMBER = 16; // pixels at the left of the squares, for the name of a class
const GAP = 1; // pixels between squares

// Let keys that move a grip of the bar move a slider from test to test; Home and End it has itself.
// testsOf: gives the tests of the life that is shown.
function furnishMoment(slider, testsOf) {
  slider.onkeydown = (event) => {
    const strides = stridesOf(event);
    if (!strides || !Number.isFinite(strides)) return;
    event.preventDefault();
    const ages = testsOf().map(({age}) => age);
    const place = ages.indexOf(+slider.value) + strides;
    slider.value = ages[within(0, place, ages.length - 1)];
    slider.oninput();
  };
}

// The epochs of its own that a twin has had at an epoch of the screen: it waits while the window lasts.
const ageOfTwin = (epoch, {onset, length}) =>
  epoch <= onset ? epoch : Math.max(onset, epoch - length);

// The latest test of a life that is no older than so many epochs.
const testAt = ({tests}, age) => tests.findLast((test) => test.age <= age);

// How many digits a network gets right: the sum of their marks, 1 or 0.
const count = (known) => known.reduce((sum, one) => sum + one, 0);

// Squares ------------------------------------------------------------------------------------------

// Draw which of its own digits a network gets right, and below it its twin. Arguments: index, of its
// window; test, twinTest, of both; labels, of the digits.
function drawKnown(element, index, test, twinTest, labels) {
  const figures = [
    knownFigure("the network", `w${index}`, test, labels, element.clientWidth),
    knownFigure("its twin", "", twinTest, labels, element.clientWidth),
  ];
  element.replaceChildren(element.firstElementChild, ...figures);
}

function knownFigure(name, className, {known}, labels, width) {
  const textContent = `${name}: ${count(known)} of ${known.length} right`;
  const squares = make("div", {innerHTML: squaresOf(known, labels, width)});
  return make("figure", {className}, make("figcaption", {textContent}), squares);
}

// The places of digits by their class: [class, places] for each class that there is.
function placesByClass(labels) {
  const places = new Map();
  for (const label of [...new Set(labels)].sort()) places.set(label, []);
  for (const [place, label] of labels.entries()) places.get(label).push(place);
  return [...places];
}

// The squares of a network's own digits as SVG, a row or more for each class, filled if it gets the
// digit right. Arguments: known, 1 or 0 for each digit; labels; width, in pixels.
function squaresOf(known, labels, width) {
  const places = placesByClass(labels);
  const columns = Math.min(MOST_IN_ROW, Math.max(...places.map(([, row]) => row.length)));
  const side = within(4, Math.floor((width - NUMBER) / columns), 12);
  const parts = [];
  let top = 0;
  for (const [label, row] of places) {
    parts.push(`<text x="${NUMBER - 5}" y="${top + 10}" class="end">${label}</text>`);
    for (const [i, place] of row.entries()) {
      const x = NUMBER + side * (i % columns);
      const y = top + side * Math.floor(i / columns);
      const className = known[place] ? "right" : "wrong";
      parts.push(
        `<rect class="${className}" x="${x}" y="${y}" width="${side - GAP}" height="${side - GAP}"/>`,
      );
    }
    top += Math.max(side * Math.ceil(row.length / columns), 12); // the number needs as much
  }
  const size = `width="${NUMBER + side * columns}" height="${top}"`;
  return `<svg ${size} aria-hidden="true">${parts.join("")}</svg>`;
}

// Lengths ------------------------------------------------------------------------------------------

// Draw a quantity of a pair over the epochs of the screen, "step" or "distance", and mark an epoch.
function drawLength(element, last, {window, pair, index}, quantity, epoch) {
  const {spoilt, control} = pair;
  const lengths = [spoilt, control].flatMap(({tests}) => tests.map((test) => test[quantity] ?? 0));
  const plot = new Plot(element, last, scaleFor(Math.max(...lengths)));
  plot.shade(window.onset, window.onset + window.length, `window w${index}`);
  plot.path(
    [
      [epoch, 0],
      [epoch, plot.scale.most],
    ],
    "moment",
  );
  const lines = drawNetworks(plot, {window, pairs: [pair]}, index, quantity);
  nameLine(plot, lines.twin, "its twin", "faint middle");
  nameLine(plot, lines.spoilt, "the network", `name middle w${index}`);
  plot.finish(element.parentElement.firstElementChild.textContent);
}

// Write a name at the highest point of a line, if it has any.
function nameLine(plot, line, name, className) {
  const [first, ...others] = line;
  if (!first) return;
  const highest = others.reduce((a, b) => (b[1] > a[1] ? b : a), first);
  plot.label(highest, name, className, {down: -6});
}

// In words -----------------------------------------------------------------------------------------

// What a network is like at a test.
function likeAt({known, step, distance}) {
  const parts = [`${count(known)} of its ${known.length} digits right`];
  if (step !== null) parts.push(`steps of ${step.toFixed(3)}`);
  if (distance !== undefined) parts.push(`distance ${distance.toFixed(2)}`);
  return parts.join(", ");
}

// A pair at an epoch, in words.
function insideInWords(epoch, {onset, length}, test, twinTest) {
  const since = epoch - onset - length; // the deficit ended
  let when = "";
  if (since > 0) when = `, ${since} after the deficit`;
  else if (since === 0) when = ", as the deficit ends";
  else if (epoch > onset) when = ", in the deficit";
  const twin = epoch > onset && since < 0 ? "Its twin waits" : "Its twin";
  return `Epoch ${epoch}${when}. The network: ${likeAt(test)}. ${twin}: ${likeAt(twinTest)}.`;
}
