// The line of life, a bar above the figures of the first screen and of the explorer: a lane for each
// window. A lane is an element with three parts, clear epochs, the window, and clear epochs again, and
// with two grips for the window, which have data-grip, `onset` or `length`. `make` is in page.js.

// The three parts; in each a span for its name.
const PARTS = ["before", "during", "after"]
  .map((name) => `<div data-is="${name}"><span></span></div>`)
  .join("");
const GRIPS = {
  onset: "when it begins; its length stays",
  length: "when it ends",
};
// By how many strides keys move a grip
const STRIDES = {
  ArrowLeft: -1,
  ArrowDown: -1,
  ArrowRight: 1,
  ArrowUp: 1,
  PageDown: -10,
  PageUp: 10,
  Home: -Infinity,
  End: Infinity,
};

const within = (low, value, high) => Math.max(low, Math.min(value, high));

// The strides of a key; 0 where it is none, or the browser's own.
function stridesOf({key, ctrlKey, metaKey, altKey}) {
  return ctrlKey || metaKey || altKey ? 0 : (STRIDES[key] ?? 0);
}

// Add a lane to a bar. Arguments: index, of its window; last, gives the epoch at the bar's right end;
// current, gives its window, which has an onset and a length; moves, what its grips do, or null for a
// lane without any:
//   drag(grip, epochs, from)   a grip was dragged by so many epochs since the window was `from`
//   leap(grip, strides)        a key moves a grip by so many strides
function addLane(bar, index, last, current, moves) {
  const ariaLabel = index ? "second window" : "window";
  const lane = make("div", {className: `w${index}`, role: "group", ariaLabel});
  lane.dataset.is = "line";
  lane.innerHTML = PARTS;
  bar.append(lane);
  if (!moves) return lane;
  for (const [grip, ariaLabel] of Object.entries(GRIPS)) {
    const slider = make("span", {role: "slider", tabIndex: 0, ariaLabel});
    slider.dataset.grip = grip;
    lane.append(slider);
  }
  dragAlong(lane, (grip) => {
    const from = {...current()};
    return (part) => moves.drag(grip, part * last(), from);
  });
  lane.onkeydown = (event) => {
    const {grip} = event.target.dataset;
    const strides = stridesOf(event);
    if (!grip || !strides) return;
    event.preventDefault();
    moves.leap(grip, strides);
  };
  return lane;
}

// Let the grips of a lane be dragged: `onset` moves the window, `length` its end. `begin` is called
// with the name of a grip, and returns a function that is called with the distance which the grip has
// moved since, as a part of the lane.
function dragAlong(lane, begin) {
  lane.onpointerdown = (event) => {
    const grip = event.target.closest("[role=slider]");
    const {width} = lane.getBoundingClientRect();
    if (!grip || event.button) return;
    event.preventDefault();
    grip.focus({preventScroll: true});
    const move = begin(grip.dataset.grip);
    lane.setPointerCapture(event.pointerId);
    lane.classList.add("dragged");
    lane.onpointermove = ({clientX}) => move((clientX - event.clientX) / width);
    lane.onpointerup = lane.onpointercancel = () => {
      lane.onpointermove = null;
      lane.classList.remove("dragged");
    };
  };
}

// Draw what is seen in a part of a lane.
function drawStrip(part, picture) {
  const strip = make("i", {});
  strip.style.backgroundImage = `url(${picture})`;
  part.replaceChildren(part.firstElementChild, strip);
}

// Draw a lane of so many epochs: its three parts, {onset, length, recovery} epochs long, with a name
// for each, and the grips.
function drawLane(lane, last, {onset, length, recovery}, names) {
  const percent = (epochs) => `${(100 * epochs) / last}%`;
  const parts = [
    {begin: 0, epochs: onset},
    {begin: onset, epochs: length},
    {begin: onset + length, epochs: recovery},
  ];
  for (const [i, {begin, epochs}] of parts.entries()) {
    const part = lane.children[i];
    Object.assign(part.style, {left: percent(begin), width: percent(epochs)});
    writePart(part, names[i], epochs);
  }
  for (const grip of lane.querySelectorAll("[role=slider]"))
    drawGrip(grip, last, {onset, length}, percent);
}

// Write the name of a part of a lane and its epochs; only these if there is no room for both, and
// nothing if there is none for them either.
function writePart(part, name, epochs) {
  const words = part.firstElementChild;
  const isCut = () => words.scrollWidth > part.clientWidth + 1;
  words.textContent = `${name} ${epochs}`;
  if (isCut()) words.textContent = epochs;
  words.style.visibility = isCut() ? "hidden" : "";
}

// Put a grip on a lane of so many epochs, and say where it is; `percent` turns epochs into a part of
// the lane.
function drawGrip(grip, last, {onset, length}, percent) {
  const end = onset + length;
  const isWindow = grip.dataset.grip === "onset";
  Object.assign(grip, {
    ariaValueNow: isWindow ? onset : length,
    ariaValueMin: 0,
    ariaValueMax: last,
    ariaValueText: isWindow ? `epochs ${onset} to ${end}` : `${length} epochs`,
  });
  Object.assign(grip.style, {
    left: percent(isWindow ? onset : end),
    width: isWindow ? percent(length) : "",
  });
}
