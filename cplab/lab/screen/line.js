// The line of time of the explorer and the nursery: clear epochs, the deficit's window, and clear
// epochs again, with two grips for the window. It is an element with three parts and its grips, each
// of which has data-grip, `onset` or `length`. `make` is in page.js.

// The three parts; in each a span for its name.
const PARTS = ["before", "during", "after"]
  .map((name) => `<div data-is="${name}"><span></span></div>`)
  .join("");
const STEPS = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1}; // of a key on a grip

const within = (low, value, high) => Math.max(low, Math.min(value, high));

// Let the grips of a line be dragged: `onset` moves the window, `length` its end. `begin` is called
// with the name of a grip, and returns a function that is called with the distance which the grip has
// moved since, as a part of the line.
function dragAlong(line, begin) {
  line.onpointerdown = (event) => {
    const grip = event.target.closest("[role=slider]");
    const {width} = line.getBoundingClientRect();
    if (!grip || event.button) return;
    event.preventDefault();
    grip.focus({preventScroll: true});
    const move = begin(grip.dataset.grip);
    line.setPointerCapture(event.pointerId);
    line.classList.add("dragged");
    line.onpointermove = ({clientX}) => move((clientX - event.clientX) / width);
    line.onpointerup = line.onpointercancel = () => {
      line.onpointermove = null;
      line.classList.remove("dragged");
    };
  };
}

// Draw what is seen in a part of a line.
function drawStrip(part, picture) {
  const strip = make("i", {});
  strip.style.backgroundImage = `url(${picture})`;
  part.replaceChildren(part.firstElementChild, strip);
}

// Draw a line of so many epochs: its three parts, {onset, length, recovery} epochs long, with a name
// for each, and the grips.
function drawLine(line, last, {onset, length, recovery}, names) {
  const percent = (epochs) => `${(100 * epochs) / last}%`;
  const parts = [
    {begin: 0, epochs: onset},
    {begin: onset, epochs: length},
    {begin: onset + length, epochs: recovery},
  ];
  for (const [i, {begin, epochs}] of parts.entries()) {
    const part = line.children[i];
    Object.assign(part.style, {left: percent(begin), width: percent(epochs)});
    writePart(part, names[i], epochs);
  }
  for (const grip of line.querySelectorAll("[role=slider]"))
    drawGrip(grip, last, {onset, length}, percent);
}

// Write the name of a part of a line and its epochs; only these if there is no room for both, and
// nothing if there is none for them either.
function writePart(part, name, epochs) {
  const words = part.firstElementChild;
  const isCut = () => words.scrollWidth > part.clientWidth + 1;
  words.textContent = `${name} ${epochs}`;
  if (isCut()) words.textContent = epochs;
  words.style.visibility = isCut() ? "hidden" : "";
}

// Put a grip on a line of so many epochs, and say where it is; `percent` turns epochs into a part of
// the line.
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
