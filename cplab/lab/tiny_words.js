// What the first screen says of its windows, {kind, onset, length} each. kinds: by name the label of
// a kind of deficit, and the words with which a sentence about it begins.

const GROWING = "They grow up …";
const WHEN = "The same deficit, early and late: which leaves a mark? Press Train.";
const ONE_NETWORK = "One network has no interval and gives no verdict: train more";

const LEVEL = 1; // points to each side of a mean, as in cplab.estimates

const timeOf = ({onset}) => (onset ? `after ${onset}` : "from birth");

// What sets a window apart from the other one, if there are two. index: which one it is, 0 or 1;
// isShort: for a figure, which has less room.
function nameOf(windows, index, kinds, isShort = false) {
  const window = windows[index];
  const other = windows[1 - index];
  const isSameKind = other?.kind === window.kind;
  if (isSameKind && other.onset === window.onset) return `for ${window.length} epochs`;
  const time = window.onset && !isShort ? `${timeOf(window)} clear epochs` : timeOf(window);
  return other && !isSameKind ? `${kinds[window.kind].label} ${time}` : time;
}

// What the networks of a window went through, and when.
function stateOf(window, kinds) {
  const {words} = kinds[window.kind];
  return `${words[0].toLowerCase()}${words.slice(1)} ${timeOf(window)}`;
}

// How many points are left, once all networks have grown up. harms: of each window, see `harmOf`.
function verdict(windows, harms, kinds) {
  if (harms.some(({n}) => n === 1)) return ONE_NETWORK;
  if (windows.length === 1) return verdictOfOne(windows[0], harms[0], kinds);
  const [first, second] = windows.map((_, index) => nameOf(windows, index, kinds));
  const start = first[0].toUpperCase() + first.slice(1);
  return `${start} ${harms[0].words} points are left, ${second} ${harms[1].words}`;
}

function verdictOfOne({kind, onset, length}, {n, middle, half, words}, kinds) {
  const time = onset
    ? `from epoch ${onset} to ${onset + length}`
    : `for their first ${length} epochs`;
  const childhood = `${kinds[kind].words} ${time}`;
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
  const {kind, onset, length, recovery, digits, layers, scale, rate, block, mask} = point;
  const names = {mosaic: block === 3 ? "mosaic" : `mosaic-${block}`, cover: `cover-${mask}`};
  const deficit = kind.includes("@") ? functionOf(kind) : `"${names[kind] ?? kind}"`;
  const weights = {0.1: "_tenth", 1: "_he"}[scale] ?? "";
  const model = `mlp${layers}${weights}`;
  const parts = [deficit, `onset=${onset}`, `length=${length}`, 'profile="tiny"'];
  if (dataset) parts.push(`dataset="${dataset}"`);
  if (model !== "mlp2") parts.push(`model="${model}"`);
  if (recovery !== usual.recovery) parts.push(`recovery=${recovery}`);
  if (digits !== usual.digits) parts.push(`images=${digits}`);
  if (rate !== usual.rate) parts.push(`rate=${Math.round((100 * rate) / usual.rate) / 100}`);
  return `cplab.Run(${parts.join(", ")})`;
}
