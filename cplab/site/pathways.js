/* Lab 08's network, live: simulate, halfTime and KINDS are of two_pathways.js, which stands above. */
{
const {make, movable, view} = cplab.kit;
const node = document.getElementById("pathways"), box = make("div", {class: "view"});
const update = view(box);
const steps = (last, step) => Array.from({length: Math.round(last / step) + 1}, (_, i) => `${+(i * step).toFixed(2)}`);
const slider = (name, words, values, value) =>
  ({name, words, kind: "range", labels: values, values, at: values.indexOf(value)});
const controls = [
  {name: "kind", words: "deficit of one eye", kind: "radio", labels: KINDS, values: KINDS, at: 0},
  slider("depth", "layers", ["1", "2", "3", "4", "5"], "2"),
  slider("onset", "onset", steps(4, 0.1), "0"),
  slider("length", "length", steps(6, 0.1), "1"),
  slider("recovery", "recovery", steps(30, 1), "10"),
];
const axis = (words, ends, more) => ({words, ends, padding: 0.1, ...more});
const line = (x, y, colour, more) => ({kind: "line", x: [...x], y: [...y], line_color: colour, line_width: 2, ...more});
const span = (at) => ({kind: "span", height: at, line_color: "black", line_dash: "dashed"});
const plot = (title, x, y, glyphs, marks, words) => ({fig: {title, source: "", width: 420, height: 280, x, y, glyphs, marks,
  key: words.map((one, i) => ({words: one, glyphs: [i], at: 0}))}});
const show = (state) => {
  const given = Object.fromEntries(controls.map((one, i) => [one.name, one.values[state[i]]]));
  const life = {kind: given.kind, depth: +given.depth, onset: +given.onset, length: +given.length, recovery: +given.recovery};
  const {phases, modes: [{t, a, b, share}]} = simulate(life);
  const shades = phases.filter((one) => one.kind !== "clear").map((one) =>
    ({kind: "box", left: one.from, right: one.to, bottom: null, top: null, fill_color: "#E69F00", fill_alpha: 0.15}));
  const lengths = steps(6, 0.2).map(Number);
  const shares = lengths.map((length) => simulate({...life, length, points: 2}).modes[0].share);
  update([
    {html: `The deprived eye ends with <b>${(100 * share).toFixed(1)} %</b> of what both eyes carry; ` +
      "half would be its fair share. Times are in half-learning times."},
    plot("strength of each eye", axis("time", [null, null]), axis("strength", [0, null]),
      [line(t, a, "#0072B2"), line(t, b, "#E69F00", {line_dash: "dashed"})], shades, ["open eye", "deprived eye"]),
    plot("what the deprived eye ends with", axis("length of the deficit", [0, 6]), axis("share of both", [0, 1.05 * Math.max(0.5, ...shares)], {percent: 1}),
      [line(lengths, shares, "#E69F00", {line_dash: "dashed"})], [span(life.length)], ["share"]),
  ]);
};
node.append(make("h2", {}, "Live in this page"));
movable({controls, note: "", play: 0}, node, "pathways", box, show);
}
