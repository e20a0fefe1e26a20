// The two figures of the first screen: curves over the epochs of a life, as SVG, on the scale of the
// line of life above them. `drawLives` draws the large one, `drawTrainingAccuracy` the one in the
// fold. tiny_cohort.js describes windows, pairs, lives and tests, tiny_numbers.js a harm; classes,
// such as "faint" or "w1" for the second window, have their looks from tiny.css.
//
// A point is [epoch, percent]. A view is what is drawn of a window of the screen: {window, pairs: a
// list of them, harm: {n, words, ...}, name, grows}, of which `name` sets it apart where there are
// two, and `grows` says that more is to come.

// Pixels
const LEFT = 40; // for the numbers on the left of a figure
const RIGHT = 52; // for half of a harm on its right
const TOP = 8;
const BELOW = 20; // for the numbers below
const NUMBER_WIDTH = 56; // of an epoch below, with its distance to the next one
const HARM_WIDTH = 96; // two harms nearer than this would lie on each other:
const HARM_SHIFT = 36; // then the second one stands lower

class Plot {
  parts = []; // elements of SVG, the foremost last

  // Arguments: element, which `finish` fills; last, the epoch at the right end.
  constructor(element, last) {
    const width = element.offsetWidth || 300;
    const height = element.offsetHeight || 190;
    this.element = element;
    this.last = last;
    this.width = width;
    this.axisWidth = width - LEFT - RIGHT;
    this.bottom = height - BELOW;
    this.drawAxes();
  }

  drawAxes() {
    const {last, width} = this;
    for (let percent = 0; percent <= 100; percent += 20) {
      const ends = [
        [0, percent],
        [last, percent],
      ];
      this.path(ends, "grid");
      this.text(ends[0], percent, "end", {right: -6, down: 4});
    }
    const step = [50, 100, 200, 500].find((epochs) => (epochs / last) * width > NUMBER_WIDTH);
    for (let epoch = 0; epoch <= last; epoch += step)
      this.text([epoch, 0], epoch || "epoch 0", "middle", {down: 16});
  }

  x(epoch) {
    return LEFT + (epoch / this.last) * this.axisWidth;
  }

  y(percent) {
    return this.bottom - (percent / 100) * (this.bottom - TOP);
  }

  // A line through points.
  path(points, className) {
    if (points.length < 2) return;
    const corners = points.map(([epoch, percent]) => {
      return `${this.x(epoch).toFixed(1)} ${this.y(percent).toFixed(1)}`;
    });
    this.parts.push(`<path class="${className}" d="M${corners.join("L")}"/>`);
  }

  // Words at a point, or so many pixels beside it.
  text([epoch, percent], words, className, {right = 0, down = 0} = {}) {
    this.textAt(this.x(epoch) + right, this.y(percent) + down, words, className);
  }

  // Words at pixels of the figure.
  textAt(x, y, words, className) {
    this.parts.push(`<text class="${className}" x="${x}" y="${y}">${words}</text>`);
  }

  dot([epoch, percent], className) {
    const centre = `cx="${this.x(epoch)}" cy="${this.y(percent)}"`;
    this.parts.push(`<circle class="${className}" ${centre} r="4.5"/>`);
  }

  // All that is between two epochs, as a rectangle behind everything else.
  shade(from, to, className) {
    const x = this.x(from);
    const size = `width="${this.x(to) - x}" height="${this.bottom - TOP}"`;
    this.parts.unshift(`<rect class="${className}" x="${x}" y="${TOP}" ${size}/>`);
  }

  // Put all of it on the page. description: for those who do not see it.
  finish(description) {
    const drawing = this.parts.join("");
    this.element.ariaLabel = description;
    this.element.innerHTML = `<svg width="100%" height="100%" aria-hidden="true">${drawing}</svg>`;
  }
}

// Lines -------------------------------------------------------------------------------------------

// The points of a network. quantity: "right" or "own", of its tests.
function pointsOf({tests}, quantity) {
  const known = tests.filter((test) => quantity in test); // those that came with the lab lack "own"
  return known.map((test) => [test.age, test[quantity]]);
}

// The points of a twin. It waits while the window lasts: its points come from where the window
// begins, and are drawn from where it ends.
function twinPoints(life, {onset, length}, quantity) {
  const later = pointsOf(life, quantity).filter(([age]) => age >= onset);
  return later.map(([age, percent]) => [age + length, percent]);
}

// The mean of several lines, at those epochs at which all of them have a point: networks that grew
// up beside other windows were tested at other epochs as well.
function meanLine(lines) {
  const percents = lines.map((line) => new Map(line)); // by epoch
  const points = [];
  for (const epoch of percents[0]?.keys() ?? []) {
    const values = percents.map((line) => line.get(epoch));
    if (!values.includes(undefined)) points.push([epoch, mean(values)]);
  }
  return points;
}

// Draw the networks of a view and their twins: a thin line each, and the means in front, each on an
// edge that sets it off from the lines behind. index: of the window, 0 or 1. Returns: the points of
// both means.
function drawNetworks(plot, {window, pairs}, index, quantity) {
  // A mean over networks that have just begun would go back to the beginning: they wait for theirs.
  const complete = pairs.filter(isComplete);
  const averaged = complete.length ? complete : pairs;
  const deprived = (pair) => pointsOf(pair.spoilt, quantity);
  const spoilt = meanLine(averaged.map(deprived));

  // No line is ahead of it, so that all of them grow together.
  const [front] = spoilt.at(-1) ?? [0];
  const upToFront = (points) => points.filter(([epoch]) => epoch <= front);
  const spoiltLine = (pair) => upToFront(deprived(pair));
  const twinLine = (pair) => upToFront(twinPoints(pair.control, window, quantity));
  const twin = meanLine(averaged.map(twinLine));

  for (const pair of pairs) plot.path(spoiltLine(pair), `spoilt w${index} thin`);
  for (const pair of pairs) plot.path(twinLine(pair), `control w${index} thin`);
  for (const points of [spoilt, twin]) plot.path(points, "edge");
  plot.path(spoilt, `spoilt w${index}`);
  plot.path(twin, `control w${index}`);
  return {spoilt, twin};
}

// One window is shaded; of two, the bar above the figure says where they are.
function shadeWindow(plot, views) {
  const [{window}] = views;
  if (views.length === 1) plot.shade(window.onset, window.onset + window.length, "window w0");
}

// The large figure --------------------------------------------------------------------------------

// Draw all lives of a screen. Arguments: element, which it fills; last, the epoch at its right end;
// views, one for each window; earlier, {pairs, words} for what was trained before at other points;
// description, for those who do not see the figure.
function drawLives(element, last, views, earlier, description) {
  const plot = new Plot(element, last);
  for (const one of earlier) drawEarlier(plot, one);
  shadeWindow(plot, views);
  const means = views.map((view, index) => drawNetworks(plot, view, index, "right"));
  let harmAt = null; // where the other harm stands, in pixels
  for (const [index, {spoilt, twin}] of means.entries()) {
    const {window, harm, name, grows} = views[index];
    if (!spoilt.length) continue;
    nameTwins(plot, twin, window, index);
    if (harm.n && !grows)
      harmAt = drawHarm(plot, spoilt.at(-1), twin.at(-1), {...harm, name, index}, harmAt);
    else plot.text(spoilt.at(-1), name || "deprived", `name w${index}`, {right: 8, down: 14});
  }
  const isEmpty = !earlier.length && means.every(({spoilt}) => !spoilt.length);
  if (isEmpty) plot.text([last / 2, 50], "They will grow up here", "harm middle");
  plot.finish(description);
}

// The mean of networks that were trained before, with their harm.
function drawEarlier(plot, {pairs, words}) {
  const line = meanLine(pairs.map(({spoilt}) => pointsOf(spoilt, "right")));
  if (line.length < 2) return;
  plot.path(line, "pale");
  plot.text(line.at(-1), words, "end faint", {down: 14});
}

// Say on the figure whose twins a line is of, and where they are born, or wait.
function nameTwins(plot, line, {onset, length}, index) {
  if (!line.length) return;
  const [start] = line;
  const [, percent] = start;
  if (onset) {
    plot.path([[onset, percent], start], "waits");
    plot.text([onset + length / 2, percent], "their twins wait", "middle faint", {down: -6});
  } else {
    plot.text(start, "their twins are born here", "faint", {right: 10, down: 4});
  }
  plot.dot(start, `w${index}`);
  if (line.length > 2) plot.text(line.at(-1), "twins", "end faint", {right: -2, down: -8});
}

// Draw the harm between the last points of both means as a bracket, and below it how much it is, and
// whose: lower if it would lie on the other harm. Arguments: words, name, index, of the harm and its
// window; other, what this returned for the other one. Returns: where the words are, in pixels.
function drawHarm(plot, spoilt, twin, {words, name, index}, other) {
  plot.path([twin, spoilt], "bracket");
  const x = plot.x(spoilt[0]);
  let y = plot.y(Math.min(spoilt[1], twin[1])) + 20;
  const isClose = other && Math.abs(x - other.x) < HARM_WIDTH;
  if (isClose) y = Math.max(y, other.y + HARM_SHIFT);
  plot.textAt(x, y, words, "harm middle");
  if (name) plot.textAt(x, y + 15, name, `name middle w${index}`);
  return {x, y};
}

// The figure in the fold --------------------------------------------------------------------------

// Draw how many of their own training digits networks get right. Arguments: as of `drawLives`.
function drawTrainingAccuracy(element, last, views) {
  const plot = new Plot(element, last);
  shadeWindow(plot, views);
  const ends = [];
  for (const [index, view] of views.entries()) {
    const {onset, length} = view.window;
    const {spoilt} = drawNetworks(plot, view, index, "own");
    const atEnd = spoilt.find(([epoch]) => epoch === onset + length); // of the window
    if (!atEnd) continue;
    const percent = `${Math.round(atEnd[1])} %`;
    plot.text(atEnd, percent, "harm end", {right: -4, down: 22});
    ends.push(`${percent} at epoch ${onset + length}`);
  }
  plot.finish(`Own training digits right when clear, by epoch. ${ends.join(", ")}`);
}
