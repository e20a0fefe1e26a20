// Of both screens, the explorer and the nursery: their parts and a line of time.

const PARTS = ["before", "during", "after"].map((name) => `<div data-is="${name}"><span></span><i></i></div>`).join("");

// Fill an element with HTML, and its line of time with the three parts; each part with `data-is`
// becomes the element's property. Returns its root.
function furnish(element, html) {
  element.innerHTML = html;
  element.querySelector("[data-is=line]").insertAdjacentHTML("afterbegin", PARTS);
  for (const part of element.querySelectorAll("[data-is]")) element[part.dataset.is] = part;
  return element.firstElementChild;
}

const GONE = "Python was restarted: run this cell again";
const within = (low, value, high) => Math.max(low, Math.min(value, high));
const STEPS = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1};

// What the numbers and the grips of a line of time are at a place: `onset` moves a deficit, `begin` and
// `length` its sides, and `rest` the end of the recovery.
const positions = ({onset, length, recovery}) => ({
  onset, length, recovery, begin: onset, end: onset + length, rest: onset + length + recovery});

// Let grips of a line be dragged. `begin`, of a grip's name, gives what is called with the part of the
// line by which it has moved since.
function dragAlong(line, begin) {
  line.onpointerdown = (event) => {
    const grip = event.target.closest("[role=slider]"), {width} = line.getBoundingClientRect();
    if (!grip || event.button) return;
    event.preventDefault();
    grip.focus({preventScroll: true});
    const move = begin(grip.dataset.grip);
    line.setPointerCapture(event.pointerId);
    line.classList.add("dragged");
    line.onpointermove = (now) => move((now.clientX - event.clientX) / width);
    line.onpointerup = line.onpointercancel = () => {
      line.onpointermove = null;
      line.classList.remove("dragged");
    };
  };
}

// Draw a place on a line of so many epochs: its three parts, by their names, and the grips.
function drawLine(line, last, place, names) {
  const {onset, length, recovery, end} = positions(place), left = (epoch) => `${(100 * epoch) / last}%`;
  [[0, onset], [onset, length], [end, recovery]].forEach(([begin, epochs], i) => {
    const part = line.children[i], said = part.firstElementChild;
    Object.assign(part.style, {left: left(begin), width: left(epochs)});
    said.textContent = `${names[i]} ${epochs}`;
    said.style.visibility = said.scrollWidth > part.clientWidth + 1 ? "hidden" : "";  // it would be cut
  });
  for (const grip of line.querySelectorAll("[role=slider]")) {
    const {grip: name} = grip.dataset, ariaValueNow = positions(place)[name], window = `epochs ${onset} to ${end}`;
    const words = {onset: window, begin: window, length: `${length} epochs`, rest: `${recovery} clear epochs`};
    Object.assign(grip, {ariaValueNow, ariaValueMin: 0, ariaValueMax: last, ariaValueText: words[name]});
    Object.assign(grip.style, {left: left(name === "length" ? end : ariaValueNow), width: name === "onset" ? left(length) : ""});
  }
}
