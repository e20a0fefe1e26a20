// The line of life on the first screen, a bar above the figure: a lane for each window, with a grip
// for its onset and one for its length. From line.js come PARTS, the parts of a line before,
// during and after the window, STEPS of arrow keys, `within`, and `dragAlong`; `make` is in page.js.

const STRIDE = 5; // epochs by which grips move
const LEAPS = {PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity}; // strides
const GRIPS = {
  onset: "when it begins; its length stays",
  length: "when it ends",
};

// A window after a grip was moved to some epochs: `onset` moves all of it, `length` its end. latest:
// the epoch by which it has to end.
function moved({kind, onset, length}, grip, epochs, latest) {
  if (grip === "onset") return {kind, onset: within(0, epochs, latest - length), length};
  return {kind, onset, length: within(1, epochs, latest - onset)};
}

// Add a lane to the bar. Arguments: index, of its window; last, the epoch at its right end; current,
// gives its window; move, is called with a grip and the epochs to which it is moved.
function addLane(bar, index, last, current, move) {
  const ariaLabel = index ? "second window" : "window";
  const lane = make("div", {className: `w${index}`, role: "group", ariaLabel});
  lane.dataset.is = "line";
  lane.innerHTML = PARTS;
  for (const [grip, ariaLabel] of Object.entries(GRIPS)) {
    const slider = make("span", {role: "slider", tabIndex: 0, ariaLabel});
    slider.dataset.grip = grip;
    lane.append(slider);
  }
  dragAlong(lane, (grip) => {
    const from = current()[grip];
    return (part) => move(grip, STRIDE * Math.round((from + part * last) / STRIDE));
  });
  lane.onkeydown = (event) => {
    const {grip} = event.target.dataset;
    const strides = STEPS[event.key] ?? LEAPS[event.key];
    if (!strides || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move(grip, current()[grip] + STRIDE * strides);
  };
  bar.append(lane);
  return lane;
}
