// The line of life on the first screen: a lane for each window, with two grips. PARTS, STEPS, within
// and dragAlong are in screen.js, and make is in page.js.

const LEAPS = {PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity};
const GRIPS = {
  onset: "when it begins; its length stays",
  length: "when it ends",
};

// A window after a grip was moved so far: `onset` moves all of it, `length` its end. latest: the
// epoch by which it has ended.
function moved({kind, onset, length}, grip, epochs, latest) {
  if (grip === "onset") return {kind, onset: within(0, epochs, latest - length), length};
  return {kind, onset, length: within(1, epochs, latest - onset)};
}

// Add a lane to the bar. Arguments: number, of its window; last, the epoch at its right end; current,
// gives its window; move, is called with a grip and the epochs to which it is moved.
function addLane(bar, number, last, current, move) {
  const ariaLabel = number ? "second window" : "window";
  const lane = make("div", {className: `w${number}`, role: "group", ariaLabel});
  lane.dataset.is = "line";
  lane.innerHTML = PARTS;
  for (const [grip, ariaLabel] of Object.entries(GRIPS)) {
    const slider = make("span", {role: "slider", tabIndex: 0, ariaLabel});
    slider.dataset.grip = grip;
    lane.append(slider);
  }
  dragAlong(lane, (grip) => {
    const from = current()[grip];
    return (part) => move(grip, 5 * Math.round((from + part * last) / 5));
  });
  lane.onkeydown = (event) => {
    const {grip} = event.target.dataset;
    const step = STEPS[event.key] ?? LEAPS[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move(grip, current()[grip] + 5 * step);
  };
  bar.append(lane);
  return lane;
}
