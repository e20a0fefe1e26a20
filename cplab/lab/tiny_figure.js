// The figure of the first screen: curves over the epochs of a life, as SVG, on the scale of the
// line of life above it.

const LEFT = 40; // pixels for the numbers on the left of a figure
const RIGHT = 52; // and for half of a harm on its right
const CLOSE = 96; // pixels between two harms, of which one has to stand lower
const LOWER = 36; // so many pixels
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const show = (value) =>
  value
    .toFixed(1)
    .replace("-", "−")
    .replace(/^−0\.0$/, "0.0");

class Plot {
  parts = []; // elements of SVG, the foremost last

  // Arguments: place, an element, into which `end` writes; last, the epoch at its right end.
  constructor(place, last) {
    Object.assign(this, {place, last});
    const width = place.offsetWidth || 300;
    this.wide = width - LEFT - RIGHT; // pixels of the axis of epochs
    this.bottom = (place.offsetHeight || 190) - 20;
    for (let value = 0; value <= 100; value += 20) {
      this.path(
        [0, last].map((epoch) => [epoch, value]),
        "grid",
      );
      this.text(0, value, value, "end", -6, 4);
    }
    const step = [50, 100, 200, 500].find((epochs) => (epochs / last) * width > 56);
    for (let epoch = 0; epoch <= last; epoch += step)
      this.text(epoch, 0, epoch || "epoch 0", "middle", 0, 16);
  }

  x(epoch) {
    return LEFT + (epoch / this.last) * this.wide;
  }

  y(value) {
    return this.bottom - (value / 100) * (this.bottom - 8);
  }

  // A line through points, [epoch, value] each.
  path(points, className) {
    if (points.length < 2) return;
    const places = points.map(([epoch, value]) => {
      return `${this.x(epoch).toFixed(1)} ${this.y(value).toFixed(1)}`;
    });
    this.parts.push(`<path class="${className}" d="M${places.join("L")}"/>`);
  }

  // Words at a point, or so many pixels beside it.
  text(epoch, value, words, className, right = 0, down = 0) {
    const place = `x="${this.x(epoch) + right}" y="${this.y(value) + down}"`;
    this.parts.push(`<text class="${className}" ${place}>${words}</text>`);
  }

  dot([epoch, value], className) {
    const place = `cx="${this.x(epoch)}" cy="${this.y(value)}"`;
    this.parts.push(`<circle class="${className}" ${place} r="4.5"/>`);
  }

  // All that is between two epochs, as a rectangle behind everything else.
  shade(from, to, className) {
    const size = `width="${this.x(to) - this.x(from)}" height="${this.bottom - 8}"`;
    this.parts.unshift(`<rect class="${className}" x="${this.x(from)}" y="8" ${size}/>`);
  }

  end(ariaLabel) {
    const drawing = this.parts.join("");
    this.place.ariaLabel = ariaLabel;
    this.place.innerHTML = `<svg width="100%" height="100%" aria-hidden="true">${drawing}</svg>`;
  }
}

// The points of a network in a figure, [epoch, value] each. A twin waits while the window lasts: its
// points come from where the window begins, and are drawn from where it ends. Arguments: tests,
// [age, % of test images right, % of its own right] each; column, 1 or 2, of what is drawn.
function pointsOf(tests, arm, {onset, length}, column) {
  if (arm === "spoilt") return tests.map((test) => [test[0], test[column]]);
  return tests.filter(([age]) => age >= onset).map((test) => [test[0] + length, test[column]]);
}

// The mean of several lines, as far as all of them go.
function meanLine(lines) {
  const points = (lines[0] ?? []).filter((_, i) => lines.every((line) => line[i]));
  return points.map(([epoch], i) => [epoch, mean(lines.map((line) => line[i][1]))]);
}

// Draw the networks of a window and their twins: thin lines, and their means in front, each on an
// edge that sets it off from the lines behind. Arguments: pairs, {spoilt, control} each; number, of
// the window, 0 or 1. Returns: the means by arm.
function drawWindow(plot, pairs, window, number, column) {
  const means = {};
  const paths = {thin: [], edge: [], thick: []};
  const complete = pairs.filter(isComplete);
  let front = Infinity; // the epoch up to which all deprived networks have come
  for (const arm of ["spoilt", "control"]) {
    const className = `${arm} w${number}`;
    const isPast = ([epoch]) => epoch <= front;
    const lines = (some) =>
      some.map((pair) => pointsOf(pair[arm].tests, arm, window, column).filter(isPast));
    // those that grow later do not take the mean back to its beginning
    means[arm] = meanLine(lines(complete.length ? complete : pairs));
    front = means.spoilt.at(-1)?.[0] ?? 0;
    for (const line of lines(pairs)) paths.thin.push([line, `${className} thin`]);
    paths.edge.push([means[arm], "edge"]);
    paths.thick.push([means[arm], className]);
  }
  for (const [points, className] of Object.values(paths).flat()) plot.path(points, className);
  return means;
}

// Say on the figure whose twin a line is, and where it is born, or waits.
function nameTwin(plot, twin, {onset, length}, number) {
  if (!twin.length) return;
  const [[epoch, value]] = twin;
  if (onset) {
    plot.path([[onset, value], twin[0]], "waits");
    plot.text(onset + length / 2, value, "their twins wait", "middle faint", 0, -6);
  } else plot.text(epoch, value, "their twins are born here", "faint", 10, 4);
  plot.dot(twin[0], `w${number}`);
  if (twin.length > 2) plot.text(...twin.at(-1), "twins", "end faint", -2, -8);
}

// Draw the harm at the end of a window's lines, as a bracket between both means, and below it how
// much it is, and whose: lower if it would lie on the harm before. Arguments: before, what this
// returned. Returns: where the words are, in pixels.
function drawHarm(plot, {control, spoilt}, {words, name, number}, before) {
  const [epoch, low] = spoilt.at(-1);
  const high = control.at(-1)[1];
  plot.path(
    [high, low].map((value) => [epoch, value]),
    "bracket",
  );
  const x = plot.x(epoch);
  const isClose = before && Math.abs(x - before.x) < CLOSE;
  const y = Math.max(plot.y(Math.min(low, high)) + 20, isClose ? before.y + LOWER : 0);
  const down = y - plot.y(low);
  plot.text(epoch, low, words, "harm middle", 0, down);
  if (name) plot.text(epoch, low, name, `name middle w${number}`, 0, down + 15);
  return {x, y};
}

// Draw all lives of a screen. Arguments: place, an element; last, the epoch at its right end; shown,
// {window, pairs, harm, name, grows} for each window, of which `grows` says that more is to come;
// pale, {window, pairs, words} for what was trained before; words, of the figure.
function drawLives(place, last, shown, pale, words) {
  const plot = new Plot(place, last);
  for (const before of pale) drawPale(plot, before);
  const drawn = shown.map(({window, pairs}, number) => {
    if (shown.length < 2) plot.shade(window.onset, window.onset + window.length, "window w0");
    return drawWindow(plot, pairs, window, number, 1);
  });
  let before = null; // where the other harm stands
  for (const [number, means] of drawn.entries()) {
    const {window, harm, name, grows} = shown[number];
    if (!means.spoilt.length) continue;
    nameTwin(plot, means.control, window, number);
    if (harm.n && !grows) before = drawHarm(plot, means, {...harm, name, number}, before);
    else plot.text(...means.spoilt.at(-1), name || "deprived", `name w${number}`, 8, 14);
  }
  const isEmpty = !pale.length && !drawn.some(({spoilt}) => spoilt.length);
  if (isEmpty) plot.text(last / 2, 50, "They will grow up here", "harm middle");
  plot.end(words);
}

// The mean of networks that were trained before, with their harm.
function drawPale(plot, {pairs, words}) {
  const line = meanLine(pairs.map(({spoilt}) => spoilt.tests));
  if (line.length < 2) return;
  plot.path(line, "pale");
  plot.text(...line.at(-1), words, "end faint", 0, 14);
}

// Draw how many of their own digits networks get right; `shown` as in `drawLives`.
function drawOwnRight(place, last, shown) {
  const plot = new Plot(place, last);
  const ends = [];
  for (const [number, {window, pairs}] of shown.entries()) {
    const end = window.onset + window.length;
    if (shown.length < 2) plot.shade(window.onset, end, "window w0");
    const {spoilt} = drawWindow(plot, pairs, window, number, 2);
    const known = spoilt.find(([age]) => age === end)?.[1];
    if (!(known >= 0)) continue;
    plot.text(end, known, `${Math.round(known)} %`, "harm end", -4, 22);
    ends.push(`${Math.round(known)} % at epoch ${end}`);
  }
  plot.end(`Own training digits right when clear, by epoch. ${ends.join(", ")}`);
}
