/* Two eyes as two pathways of a deep linear network: cplab/linear/pathways.py for a page, which it
 * equals to a millionth. An ES module without dependencies, without a page and without a state:
 *
 *     import {simulate} from "./two_pathways.js";
 *     const {modes} = simulate({depth: 2, length: 1});   // modes[0].share is 0.029...
 *
 * simulate({...}) takes, all of them with a default; times are in half-learning times:
 *   depth     2        layers of each eye, 1 to 8
 *   onset     0        when the deficit of eye b begins
 *   length    1        how long it lasts
 *   kind      "blank"  one of KINDS: blank, noise, weak, both blank, both noise
 *   patch     0        how long eye a is covered after it (reverse occlusion)
 *   recovery  10       how long both eyes are open then
 *   rho       1        correlation of what the eyes see, 0 to 1
 *   start     0.01     strength of each eye in each mode at birth, below a quarter of each mode
 *   modes     [1]      strengths to be learned, each above 0
 *   points    400      the longest that a returned curve may be; Infinity: every step
 * and returns
 *   unit      a half-learning time, in units of 1 / learning rate (halfTime(depth, 1, start))
 *   phases    [{kind, from, to}], kind "clear", the deficit's or "patch"; those of no length left out
 *   modes     for each mode {mode, t, a, b, share}: times and the strengths of both eyes, Float64Array
 *             of one length, for drawing; share, what eye b has of both in the end
 * It throws a RangeError that names what is not allowed.
 *
 * halfTime(depth, mode, start): the time until two eyes that see the same know half of a mode.
 */
export const KINDS = ["blank", "noise", "weak", "both blank", "both noise"];
const CLARITY = 0.5; // correlation of what a weak eye sees with what there is to see
const CAREFUL = 4e-7; // bound of a step's error, by the difference of its four slopes
const STABLE = 2; // step, in times of the quickest decay
const REST = 1e-13; // slopes below it, as parts of the largest, have ended

/* The covariances of what the eyes see: target_a, power_a, target_b, power_b, cross. */
function view(kind, rho) {
  return {
    "clear": [1, 1, 1, 1, rho],
    "blank": [1, 1, 0, 0, 0],
    "noise": [1, 1, 0, 1, 0],
    "weak": [1, 1, CLARITY, 1, CLARITY * rho],
    "patch": [0, 0, 1, 1, 0],
    "both blank": [0, 0, 0, 0, 0],
    "both noise": [0, 1, 0, 1, 0],
  }[kind];
}

/* u to a small whole power: quicker than ** */
function raise(u, power) {
  let value = 1;
  for (let i = 0; i < power; i++) value *= u;
  return value;
}

export function halfTime(depth, mode = 1, start = 0.01) {
  const low = Math.log(start) / depth, high = Math.log(mode / 4) / depth, parts = 800;
  let sum = 0; // Simpson's rule in log u
  for (let i = 0; i <= parts; i++) {
    const u = Math.exp(low + ((high - low) * i) / parts);
    const weight = i === 0 || i === parts ? 1 : i % 2 ? 4 : 2;
    sum += (weight * u ** (2 - depth)) / (mode - 2 * raise(u, depth));
  }
  return (sum * (high - low)) / parts / 3;
}

/* Go on from the last of the rows (time, u_a, u_b) for some time of one view. */
function integrate(rows, depth, mode, [toA, powerA, toB, powerB, cross], time) {
  const targetA = toA * mode, targetB = toB * mode, power = depth - 1;
  let [t, a, b] = rows.map((column) => column[column.length - 1]);
  let slopeA, slopeB;
  const slopes = (a, b) => {
    const aboveA = raise(a, power), aboveB = raise(b, power), pA = aboveA * a, pB = aboveB * b;
    slopeA = aboveA * (targetA - powerA * pA - cross * pB);
    slopeB = aboveB * (targetB - powerB * pB - cross * pA);
  };
  const end = t + time;
  const longest = STABLE / (Math.max(2, depth) * mode ** (2 - 2 / depth)); // beyond it nothing is stable
  const rest = REST * Math.max(1, mode ** (2 - 1 / depth));
  let step = longest / 4;
  const [times, as, bs] = rows;
  while (t < end) {
    slopes(a, b);
    const a1 = slopeA, b1 = slopeB;
    if (Math.max(Math.abs(a1), Math.abs(b1)) < rest) {
      times.push(end), as.push(a), bs.push(b);
      return;
    }
    const h = Math.min(step, end - t);
    slopes(a + (h / 2) * a1, b + (h / 2) * b1);
    const a2 = slopeA, b2 = slopeB;
    slopes(a + (h / 2) * a2, b + (h / 2) * b2);
    const a3 = slopeA, b3 = slopeB;
    slopes(a + h * a3, b + h * b3);
    const apart = Math.max(Math.abs(a1 - a2 - a3 + slopeA), Math.abs(b1 - b2 - b3 + slopeB));
    const error = h * apart;
    const grown = Math.min(3, Math.max(0.2, 0.9 * Math.cbrt(CAREFUL / (error + 1e-30))));
    if (h === step || grown < 1) step = Math.min(longest, h * grown);
    if (error > 2 * CAREFUL) continue;
    t = h === end - t ? end : t + h;
    a += (h / 6) * (a1 + 2 * a2 + 2 * a3 + slopeA);
    b += (h / 6) * (b1 + 2 * b2 + 2 * b3 + slopeB);
    times.push(t), as.push(a), bs.push(b);
  }
}

/* So many of the points of a curve, the first and the last among them. */
function thin(column, points, change) {
  const count = Math.min(column.length, points), last = column.length - 1;
  return Float64Array.from({length: count}, (_, i) =>
    change(column[count < 2 ? last : Math.round((i * last) / (count - 1))]));
}

function check(held, what, value, allowed) {
  if (!held) throw new RangeError(`${what} ${value} is not allowed: give ${allowed}`);
}

export function simulate({
  depth = 2, onset = 0, length = 1, kind = "blank", patch = 0, recovery = 10, rho = 1,
  start = 0.01, modes = [1], points = 400,
} = {}) {
  check(Number.isInteger(depth) && depth >= 1 && depth <= 8, "depth", depth, "1 to 8");
  check(KINDS.includes(kind), "kind", kind, KINDS.join(", "));
  check(rho >= 0 && rho <= 1, "rho", rho, "0 to 1");
  check(start > 0 && modes.every((mode) => start < mode / 4), "start", start,
    "more than 0 and less than a quarter of each mode");
  for (const [name, time] of Object.entries({onset, length, patch, recovery}))
    check(time >= 0 && time <= 1e4, name, time, "0 to 10000 half-learning times");
  const unit = halfTime(depth, 1, start);
  const phases = [];
  let from = 0;
  for (const [seen, time] of [
    ["clear", onset], [kind, length], ["patch", patch], ["clear", recovery],
  ]) {
    if (time > 0) phases.push({kind: seen, from, to: from + time});
    from += time;
  }
  const grown = modes.map((mode) => {
    const u = start ** (1 / depth), rows = [[0], [u], [u]];
    for (const phase of phases)
      integrate(rows, depth, mode, view(phase.kind, rho), (phase.to - phase.from) * unit);
    const [t, a, b] = rows.map((column, i) =>
      thin(column, points, i ? (u) => raise(u, depth) : (t) => t / unit));
    return {mode, t, a, b, share: b[b.length - 1] / (a[a.length - 1] + b[b.length - 1])};
  });
  return {unit, phases, modes: grown};
}
