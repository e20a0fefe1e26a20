// What the first screen alone says of its windows and of what has grown up; words.js has what the
// explorer says as well.

const ONE_NETWORK = "One network has no interval and gives no verdict: train more";

const LEVEL = 1; // points to each side of a mean, as in cplab.estimates

// What the networks of a window went through, and when.
function stateOf(window, kinds) {
  return `${kinds[window.kind].words} ${timeOf(window)}`;
}

// How much harm there is, once all networks have grown up. harms: of each window, see `harmOf` in
// numbers.js.
function verdict(windows, harms, kinds) {
  if (harms.some(({n}) => n === 1)) return ONE_NETWORK;
  if (windows.length > 1) return verdictOfTwo(windows, harms, kinds);
  return verdictOfOne(windows[0], harms[0], kinds);
}

function verdictOfOne({kind, onset, length}, {n, middle, half, words}, kinds) {
  const time = onset
    ? `from epoch ${onset} to ${onset + length}`
    : `for their first ${countOf(length)}`;
  const childhood = `${capital(kinds[kind].words)} ${time}`;
  const holdsZero = Math.abs(middle) <= half; // the interval
  if (holdsZero && half > LEVEL)
    return `${childhood}: whether they end level, ${n} seeds cannot tell (${words} points)`;
  if (holdsZero)
    return `${childhood}, they end level with their twins (${words} points, ${n} seeds)`;
  const side = middle > 0 ? "behind" : "ahead of";
  return `${childhood}, they end ${words.replace("−", "")} points ${side} their twins`;
}

// The function behind a student's own deficit, whose name is such as `low@1a2b3c4d-2`.
const functionOf = (name) => name.replace(/@.*/, "");

// The line of Python that makes a point. Arguments: point, a window and the knobs; usual, knobs that
// are left out; dataset, if it is another one.
function runOf(point, usual, dataset) {
  const {kind, strength, onset, length, recovery, digits, layers, scale, rate} = point;
  const name = strength === usual.strengths[kind] ? kind : `${kind}-${strength}`;
  const deficit = kind.includes("@") ? functionOf(kind) : `"${name}"`;
  const weights = {0.1: "_tenth", 1: "_he"}[scale] ?? ""; // of the models in models/families.py
  const model = `mlp${layers}${weights}`;
  const parts = [deficit, `onset=${onset}`, `length=${length}`, 'profile="tiny"'];
  if (dataset) parts.push(`dataset="${dataset}"`);
  if (model !== "mlp2") parts.push(`model="${model}"`);
  if (recovery !== usual.recovery) parts.push(`recovery=${recovery}`);
  if (digits !== usual.digits) parts.push(`images=${digits}`);
  if (rate !== usual.rate) parts.push(`rate=${Math.round((100 * rate) / usual.rate) / 100}`);
  return `cplab.Run(${parts.join(", ")})`;
}
