// What the first screen and the explorer say of their windows, {kind, onset, length} each. kinds: by
// name the label of a kind of deficit, and on the first screen the words that say what a network is
// under it.

const GROWING = "They grow up …";
const WHEN = "The same deficit, early and late: which does more harm?";

const timeOf = ({onset}) => (onset ? `at epoch ${onset}` : "from birth");

const countOf = (count) => (count === 1 ? "1 epoch" : `${count} epochs`);

const capital = (words) => words[0].toUpperCase() + words.slice(1);

// Whether there are two windows, of unlike length.
const areUnlike = ([first, second]) => Boolean(second) && first.length !== second.length;

// What sets a window apart from the other one, if there are two. index: which one it is, 0 or 1.
function nameOf(windows, index, kinds) {
  const window = windows[index];
  const other = windows[1 - index];
  const {onset, length, kind} = window;
  if (other?.kind === kind && other.onset === onset) return `for ${countOf(length)}`;
  const parts = [timeOf(window)];
  if (areUnlike(windows))
    parts[0] = `${countOf(length)} from ${onset ? `epoch ${onset}` : "birth"}`;
  if (other && other.kind !== kind) parts.unshift(kinds[kind].label);
  return parts.join(" ");
}

// How much harm there is under two windows. harms: of each, {words}.
function verdictOfTwo(windows, harms, kinds) {
  const [first, second] = windows.map((_, index) => nameOf(windows, index, kinds));
  const end = areUnlike(windows) ? " (not the same length)" : "";
  return `${capital(first)}: ${harms[0].words} points of harm; ${second}: ${harms[1].words}${end}`;
}
