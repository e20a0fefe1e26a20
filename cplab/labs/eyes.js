// `<cplab-eyes>`: two eyes as pathways of a deep linear network. At each move of a slider the page
// solves their equations anew, as `rear` in labs/lab08.py does. Without scripts it is a figure that
// stays as it is.

const SVG = "http://www.w3.org/2000/svg";

// The time until two eyes that see the same have learned half of a mode of strength 1, in units of
// 1 / learning rate: Simpson's rule over the logarithm of a layer's weight.
function halfTime(depth, start) {
  const from = Math.log(start) / depth;
  const to = Math.log(1 / 4) / depth;
  const steps = 400;
  const timeByLog = (log) => Math.exp(log * (2 - depth)) / (1 - 2 * Math.exp(log * depth));
  let sum = timeByLog(from) + timeByLog(to);
  for (let i = 1; i < steps; i++) {
    const factor = i % 2 ? 4 : 2;
    sum += factor * timeByLog(from + ((to - from) * i) / steps);
  }
  return (sum * (to - from)) / steps / 3;
}

// The learning of one mode: {t, a, b}, times in half-learning times and the strengths of both eyes.
// Arguments: rearing, as in Python; mode, its strength; covariances, by what the eyes see.
function growMode(rearing, mode, covariances) {
  const {depth, onset, kind, length, patch, recovery, rho, start} = rearing;
  const unit = halfTime(depth, start);
  const phases = [
    ["clear", onset],
    [kind, length],
    ["patch", patch],
    ["clear", recovery],
  ].filter(([, time]) => time);
  const course = {t: [0], a: [start], b: [start]};
  let weights = [start ** (1 / depth), start ** (1 / depth)];
  let begun = 0;
  for (const [seen, time] of phases) {
    const [targetA, powerA, targetB, powerB, agreement] = covariances[seen];
    const cross = agreement * rho;
    // How fast the weights change: the equation at the top of labs/lab08.py
    const slopes = ([weightA, weightB]) => {
      const aboveA = weightA ** (depth - 1);
      const aboveB = weightB ** (depth - 1);
      const a = aboveA * weightA;
      const b = aboveB * weightB;
      return [
        aboveA * (targetA * mode - powerA * a - cross * b),
        aboveB * (targetB * mode - powerB * b - cross * a),
      ];
    };
    weights = solve(slopes, weights, time * unit, (now, [weightA, weightB]) => {
      course.t.push(begun + now / unit);
      course.a.push(weightA ** depth);
      course.b.push(weightB ** depth);
    });
    begun += time;
  }
  return course;
}

// Solve an equation of two numbers over a time by the method of Dormand and Prince, of order 5, and
// return the numbers at its end. Steps are as long as an error of 1e-8 allows; `onStep` is called
// after each with the time so far and the numbers.
function solve(slopes, values, time, onStep) {
  const STAGES = [
    [],
    [1 / 5],
    [3 / 40, 9 / 40],
    [44 / 45, -56 / 15, 32 / 9],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
    [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
  ];
  const FIFTH = [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0];
  const FOURTH = [5179 / 57600, 0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40];
  // The values after a step along the weighted sum of slopes
  const follow = (weights, stageSlopes, step) =>
    values.map((value, i) => {
      const slope = weights.reduce((sum, weight, stage) => sum + weight * stageSlopes[stage][i], 0);
      return value + step * slope;
    });
  let now = 0;
  let step = time / 100;
  while (now < time) {
    step = Math.min(step, time - now);
    const stageSlopes = [];
    for (const weights of STAGES) stageSlopes.push(slopes(follow(weights, stageSlopes, step)));
    const next = follow(FIFTH, stageSlopes, step);
    const fourth = follow(FOURTH, stageSlopes, step);
    const errors = next.map((value, i) => {
      const allowed = 1e-11 + 1e-8 * Math.abs(value);
      return Math.abs(value - fourth[i]) / allowed;
    });
    const error = Math.max(...errors); // as a multiple of what is allowed
    if (error <= 1) {
      const isLast = time - now - step < 1e-12 * time;
      now = isLast ? time : now + step;
      values = next;
      onStep(now, values);
    }
    const factor = 0.9 * error ** -0.2; // for the next step; NaN where this one led to infinity
    step *= factor > 0.2 ? Math.min(4, factor) : 0.2;
  }
  return values;
}

// An element of SVG.
function draw(tag, traits, text = "") {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(traits)) node.setAttribute(name, value);
  node.textContent = text;
  return node;
}

class Eyes extends Improved {
  begin() {
    this.content = JSON.parse(this.querySelector("script").textContent);
    this.rearing = {...this.content.rearing};
    const {sights, ranges} = this.content;
    const options = Object.entries(sights).map(([textContent, value]) =>
      make("option", {textContent, value}),
    );
    const menu = make("select", {name: "kind"}, ...options);
    menu.value = this.rearing.kind;
    menu.onchange = () => this.change("kind", menu.value);
    const controls = Object.entries(ranges).map(([name, range]) => this.makeSlider(name, range));
    const seen = make("label", {}, make("span", {textContent: "eye b sees"}), menu);
    this.headline = make("p", {ariaLive: "polite"});
    this.figure = make("div", {className: "cplab-eyes-figure", role: "img"});
    const row = make("div", {className: "cplab-eyes-controls"}, seen, ...controls);
    this.querySelector("div").replaceWith(row, this.headline, this.figure);
    new ResizeObserver(() => this.draw()).observe(this.figure);
    this.solve();
  }

  // A slider of a field; with `log` it moves over powers of ten.
  makeSlider(name, {low, high, step, log, words}) {
    const value = this.rearing[name];
    const slider = make("input", {type: "range", min: low, max: high, step});
    slider.value = log ? Math.log10(value) : value;
    const output = make("output", {textContent: value});
    slider.oninput = () => {
      const moved = log ? Number((10 ** slider.value).toPrecision(2)) : +slider.value;
      output.textContent = moved;
      this.change(name, moved);
    };
    return make("label", {}, make("span", {textContent: words}), slider, output);
  }

  change(name, value) {
    this.rearing[name] = value;
    this.solve();
  }

  solve() {
    const {modes, covariances} = this.content;
    this.courses = modes.map((mode) => growMode(this.rearing, mode, covariances));
    const missed = modes.map((mode, m) => (mode - this.courses[m].b.at(-1)) ** 2);
    const sum = (values) => values.reduce((total, value) => total + value, 0);
    const wrong = (100 * sum(missed)) / sum(modes.map((mode) => mode ** 2));
    this.headline.textContent = `With eye b alone ${Math.round(wrong)} % of the answer is wrong`;
    this.draw();
  }

  // The share that eye b has of each mode in the end, in percent.
  get shares() {
    return this.courses.map(({a, b}) => (100 * b.at(-1)) / (a.at(-1) + b.at(-1)));
  }

  draw() {
    const {modes} = this.content;
    const wide = this.figure.offsetWidth;
    if (!wide) return;
    const columns = wide < 600 ? 1 : 3;
    const width = wide / columns;
    const panels = [
      this.drawEye("a", "eye a, open", width),
      this.drawEye("b", "eye b, deprived", width),
      this.drawShares(width),
    ];
    this.figure.replaceChildren(...panels);
    const parts = this.shares.map((share, m) => `mode ${modes[m]}: ${share.toFixed(1)} %`);
    this.figure.ariaLabel = `What eye b has in the end: ${parts.join(", ")}`;
  }

  // How much of each mode an eye knows, over time; while it is deprived the panel is shaded.
  drawEye(eye, words, width) {
    const {modes, hues} = this.content;
    const {onset, length, patch, recovery, kind} = this.rearing;
    const panel = draw("svg", {width, height: PANEL, "aria-hidden": true});
    const last = onset + length + patch + recovery;
    const x = (time) => 44 + (time / last) * (width - 60);
    const y = (part) => PANEL - 40 - (part / 1.05) * (PANEL - 50);
    const shade = (from, to, className) => {
      const size = {width: x(to) - x(from), height: y(0) - y(1.05)};
      panel.append(draw("rect", {x: x(from), y: y(1.05), ...size, class: className}));
    };
    if (eye === "b" || kind.startsWith("both")) shade(onset, onset + length, "deprived");
    if (eye === "a") shade(onset + length, onset + length + patch, "patched");
    for (const part of [0, 0.5, 1]) {
      panel.append(draw("path", {d: `M${x(0)} ${y(part)}H${x(last)}`, class: "grid"}));
      panel.append(draw("text", {x: 38, y: y(part) + 4, class: "end"}, part));
    }
    for (const time of ticks(last))
      panel.append(draw("text", {x: x(time), y: y(0) + 16, class: "middle"}, time));
    panel.append(draw("text", {x: x(last / 2), y: PANEL - 6, class: "middle"}, "time, T"));
    const turned = `rotate(-90 12 ${y(0.5)})`;
    const title = {x: 12, y: y(0.5), class: "middle", transform: turned};
    panel.append(draw("text", title, `${words}: part of a mode`));
    this.courses.forEach((course, m) => {
      const points = [];
      let drawn = -1; // pixels up to which there are points: one for each pixel is enough
      course.t.forEach((time, i) => {
        const isLast = i === course.t.length - 1;
        if (x(time) < drawn + 1 && !isLast) return;
        drawn = x(time);
        points.push(`${drawn.toFixed(1)} ${y(course[eye][i] / modes[m]).toFixed(1)}`);
      });
      panel.append(draw("path", {d: `M${points.join("L")}`, stroke: hues[m], class: "line"}));
    });
    return panel;
  }

  drawShares(width) {
    const {modes, hues} = this.content;
    const panel = draw("svg", {width, height: PANEL, "aria-hidden": true});
    const x = (share) => 74 + (share / 125) * (width - 90);
    const high = (PANEL - 50) / modes.length;
    this.shares.forEach((share, m) => {
      const top = 10 + m * high;
      const size = {width: x(share) - x(0), height: 0.7 * high};
      panel.append(draw("rect", {x: x(0), y: top, ...size, fill: hues[m], opacity: 0.7}));
      const middle = top + 0.35 * high + 4;
      panel.append(draw("text", {x: 68, y: middle, class: "end"}, `mode ${modes[m]}`));
      panel.append(draw("text", {x: x(share) + 5, y: middle}, `${share.toFixed(1)} %`));
    });
    panel.append(draw("path", {d: `M${x(50)} 10V${PANEL - 40}`, class: "half"}));
    for (const share of [0, 50, 100])
      panel.append(draw("text", {x: x(share), y: PANEL - 24, class: "middle"}, share));
    const words = "what eye b has in the end, %";
    panel.append(draw("text", {x: x(60), y: PANEL - 6, class: "middle"}, words));
    return panel;
  }
}

const PANEL = 250; // pixels

// Some whole times up to the last.
function ticks(last) {
  const step = [1, 2, 5, 10, 20, 50].find((step) => last / step <= 6) ?? 100;
  return Array.from({length: Math.floor(last / step) + 1}, (_, i) => i * step);
}

customElements.define("cplab-eyes", Eyes);
