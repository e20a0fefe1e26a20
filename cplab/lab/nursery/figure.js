// The figures of the first screen: curves over the epochs of a life, as SVG, on the scale of the line
// of life above them. `drawLives` draws the large one, `drawTrainingAccuracy` the one in the fold;
// inside.js has more. cohort.js describes windows, pairs, lives and tests, numbers.js a harm; classes,
// such as "faint" or "w1" for the second window, have their looks from nursery.css.
//
// A point is [epoch, value], of which the value is a percentage unless a figure says otherwise. A view is what is drawn of a window of the screen: {window, pairs: a
// list of them, harm: {n, words, ...}, name, grows}, of which `name` sets it apart where there are
// two, and `grows` says that more is to come.

// Pixels
const LEFT = 40; // for the numbers on the left of a figure
const RIGHT = 52; // for half of a harm on its right
const TOP = 8;
const BELOW = 20; // for the numbers below
const NUMBER_WIDTH = 56; // of an epoch below, with its distance to the next one

const PERCENT = {most: 100, step: 20}; // of a scale: the highest value, and from number to number

// A scale for values up to the highest one, with two to five numbers above 0.
function scaleFor(highest) {
  const power = 10 ** Math.floor(Math.log10(highest || 1));
  const step = [0.2, 0.5, 1, 2].find((part) => highest <= 5 * part * power) * power;
  return {most: step * Math.max(1, Math.ceil(highest / step - 1e-6)), step};
}

class Plot {
  parts = []; // elements of SVG, the foremost last
  labels = []; // the same in front of them, the most important first

  // Arguments: element, which `finish` fills; last, the epoch at the right end; scale, of values.
  constructor(element, last, scale = PERCENT) {
    const width = element.offsetWidth || 300;
    const height = element.offsetHeight || 190;
    this.element = element;
    this.last = last;
    this.scale = scale;
    this.width = width;
    this.height = height;
    this.axisWidth = width - LEFT - RIGHT;
    this.bottom = height - BELOW;
    this.drawAxes();
  }

  drawAxes() {
    const {last, width} = this;
    const {most, step} = this.scale;
    const decimals = Math.max(0, -Math.floor(Math.log10(step)));
    for (let number = 0; number <= Math.round(most / step); number++) {
      const value = number * step;
      const ends = [
        [0, value],
        [last, value],
      ];
      this.path(ends, "grid");
      this.label(ends[0], value.toFixed(decimals), "end", {right: -6, down: 4});
    }
    const apart = [50, 100, 200, 500].find((epochs) => (epochs / last) * width > NUMBER_WIDTH);
    for (let epoch = 0; epoch <= last; epoch += apart)
      this.label([epoch, 0], epoch || "epoch 0", "middle", {down: 16});
  }

  x(epoch) {
    return LEFT + (epoch / this.last) * this.axisWidth;
  }

  y(value) {
    return this.bottom - (value / this.scale.most) * (this.bottom - TOP);
  }

  // A line through points.
  path(points, className) {
    if (points.length < 2) return;
    const corners = points.map(([epoch, value]) => {
      return `${this.x(epoch).toFixed(1)} ${this.y(value).toFixed(1)}`;
    });
    this.parts.push(`<path class="${className}" d="M${corners.join("L")}"/>`);
  }

  // Words at a point, or so many pixels beside it, and others below them.
  label([epoch, value], words, className, {right = 0, down = 0, below} = {}) {
    const x = this.x(epoch) + right;
    const y = this.y(value) + down;
    let lines = `<text class="${className}" x="${x}" y="${y}">${words}</text>`;
    if (below)
      lines += `<text class="${below.className}" x="${x}" y="${y + 15}">${below.words}</text>`;
    this.labels.push(`<g>${lines}</g>`);
  }

  dot([epoch, value], className) {
    const centre = `cx="${this.x(epoch)}" cy="${this.y(value)}"`;
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
    const drawing = [...this.parts, ...this.labels].join("");
    this.element.ariaLabel = description;
    this.element.innerHTML = `<svg width="100%" height="100%" aria-hidden="true">${drawing}</svg>`;
    this.moveLabelsApart();
  }

  // Move labels, the most important first, so that none lies on another one, see labels.js.
  moveLabelsApart() {
    const labels = [...this.element.querySelectorAll("g")];
    const boxes = labels.map((label) => label.getBBox());
    const placed = placeApart(boxes, this);
    for (const [i, label] of labels.entries()) {
      if (!placed[i]) {
        label.remove();
        continue;
      }
      const right = placed[i].x - boxes[i].x;
      const down = placed[i].y - boxes[i].y;
      label.setAttribute("transform", `translate(${right} ${down})`);
    }
  }
}

// Lines -------------------------------------------------------------------------------------------

// The points of a network. quantity: "right", "own", "step" or "distance", of those tests that have it.
function pointsOf({tests}, quantity) {
  const known = tests.filter((test) => Number.isFinite(test[quantity]));
  return known.map((test) => [test.age, test[quantity]]);
}

// The points of a twin. It waits while the window lasts: its points come from where the window
// begins, and are drawn from where it ends.
function twinPoints(life, {onset, length}, quantity) {
  const later = pointsOf(life, quantity).filter(([age]) => age >= onset);
  return later.map(([age, value]) => [age + length, value]);
}

// The mean of several lines, at those epochs at which all of them have a point: networks that grew
// up beside other windows were tested at other epochs as well.
function meanLine(lines) {
  const byEpoch = lines.map((line) => new Map(line));
  const points = [];
  for (const epoch of byEpoch[0]?.keys() ?? []) {
    const values = byEpoch.map((line) => line.get(epoch));
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
  const before = earlier.map((one) => drawEarlier(plot, one));
  shadeWindow(plot, views);
  const means = views.map((view, index) => drawNetworks(plot, view, index, "right"));
  const grown = [...means.entries()].filter(([, {spoilt}]) => spoilt.length);
  for (const [index, {spoilt, twin}] of grown) {
    const {harm, name, grows} = views[index];
    if (harm.n && !grows) drawHarm(plot, spoilt.at(-1), twin.at(-1), {...harm, name, index});
    else plot.label(spoilt.at(-1), name || "deprived", `name w${index}`, {right: 8, down: 14});
  }
  for (const [index, {twin}] of grown) nameTwins(plot, twin, views[index].window, index);
  for (const [i, line] of before.entries())
    if (line.length) plot.label(line.at(-1), earlier[i].words, "end faint", {down: 14});
  if (!grown.length && !earlier.length)
    plot.label([last / 2, 50], "They will grow up here", "harm middle");
  plot.finish(description);
}

// Draw the mean of networks that were trained before. Returns: its points.
function drawEarlier(plot, {pairs}) {
  const line = meanLine(pairs.map(({spoilt}) => pointsOf(spoilt, "right")));
  plot.path(line, "pale");
  return line;
}

// Say on the figure whose twins a line is of, and where they are born, or wait.
function nameTwins(plot, line, {onset, length}, index) {
  if (!line.length) return;
  const [start] = line;
  const [, percent] = start;
  if (onset) {
    plot.path([[onset, percent], start], "waits");
    plot.label([onset + length / 2, percent], "their twins wait", "middle faint", {down: -6});
  } else {
    plot.label(start, "their twins are born here", "faint", {right: 10, down: 4});
  }
  plot.dot(start, `w${index}`);
  if (line.length > 2) plot.label(line.at(-1), "twins", "end faint", {right: -2, down: -8});
}

// Draw the harm between the last points of both means as a bracket, and below it how much it is, and
// whose. Arguments: words, name, index, of the harm and its window.
function drawHarm(plot, spoilt, twin, {words, name, index}) {
  plot.path([twin, spoilt], "bracket");
  const lower = spoilt[1] < twin[1] ? spoilt : twin;
  const below = name ? {words: name, className: `name middle w${index}`} : undefined;
  plot.label(lower, words, "harm middle", {down: 20, below});
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
    plot.label(atEnd, percent, "harm end", {right: -4, down: 22});
    ends.push(`${percent} at epoch ${onset + length}`);
  }
  plot.finish(`Own training digits right when clear, by epoch. ${ends.join(", ")}`);
}
