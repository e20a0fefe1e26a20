// A digit that is drawn by hand on the first screen, and what networks take it for.

const SHEET = 132; // pixels of the sheet's side
const PEN = 12; // pixels of the pen
const STROKE = 6; // pixels that an arrow key moves the pen
// The longer side of a drawn digit, as a part of the image's side, as the package draws digits
const LONG = 0.675;
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

// Let a digit be drawn on a sheet, a canvas, by mouse, finger or keys; `ask` is called after each
// stroke.
function furnishSheet(sheet, ask) {
  const pen = sheet.getContext("2d", {willReadFrequently: true});
  Object.assign(pen, {lineWidth: PEN, lineCap: "round", lineJoin: "round", strokeStyle: "#000"});
  const tip = {x: SHEET / 2, y: SHEET / 2, down: false}; // of the pen
  const line = (x, y) => {
    pen.beginPath();
    pen.moveTo(tip.x, tip.y);
    pen.lineTo(x + 0.01, y); // so that a dot is drawn too
    pen.stroke();
    Object.assign(tip, {x, y});
  };
  const at = ({clientX, clientY}) => {
    const {left, top, width} = sheet.getBoundingClientRect();
    return [clientX - left, clientY - top].map((value) => (SHEET * value) / width);
  };
  sheet.onpointerdown = (event) => {
    event.preventDefault();
    sheet.focus({preventScroll: true});
    sheet.setPointerCapture(event.pointerId);
    [tip.x, tip.y] = at(event);
    line(tip.x, tip.y);
    sheet.onpointermove = (move) => line(...at(move));
    sheet.onpointerup = sheet.onpointercancel = () => {
      sheet.onpointermove = null;
      ask();
    };
  };
  sheet.onkeydown = (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow && event.key !== " ") return;
    event.preventDefault();
    if (!arrow && event.repeat) return; // a key that is held
    if (!arrow) tip.down = !tip.down;
    const [right, down] = arrow ?? [0, 0];
    const x = within(PEN, tip.x + STROKE * right, SHEET - PEN);
    const y = within(PEN, tip.y + STROKE * down, SHEET - PEN);
    if (tip.down) line(x, y);
    else Object.assign(tip, {x, y});
    sheet.style.setProperty("--x", `${(100 * x) / SHEET}%`);
    sheet.style.setProperty("--y", `${(100 * y) / SHEET}%`);
    if (tip.down) ask();
  };
}

// What is drawn on a sheet, as the package draws digits: centred, its longer side LONG of the
// image's, ink from 0 to 1, (side · side,); null if nothing is drawn.
function drawnDigit(sheet, side) {
  const {data} = sheet.getContext("2d").getImageData(0, 0, SHEET, SHEET);
  let left = SHEET;
  let top = SHEET;
  let right = -1;
  let bottom = -1;
  for (let at = 0; at < SHEET * SHEET; at++) {
    if (data[4 * at + 3] < 128) continue;
    const x = at % SHEET;
    const y = Math.floor(at / SHEET);
    left = Math.min(left, x);
    top = Math.min(top, y);
    right = Math.max(right, x);
    bottom = Math.max(bottom, y);
  }
  if (right < 0) return null;
  const wide = right - left + 1;
  const high = bottom - top + 1;
  const fine = 8; // points a side in each pixel, whose mean is its ink
  const size = fine * side;
  const scale = (LONG * size) / Math.max(wide, high);
  const pen = make("canvas", {width: size, height: size}).getContext("2d");
  const w = wide * scale;
  const h = high * scale;
  pen.drawImage(sheet, left, top, wide, high, (size - w) / 2, (size - h) / 2, w, h);
  const ink = pen.getImageData(0, 0, size, size).data;
  const digit = new Float32Array(side * side);
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++)
      digit[Math.floor(y / fine) * side + Math.floor(x / fine)] +=
        ink[4 * (y * size + x) + 3] / 255 / fine ** 2;
  return digit;
}

// Draw ink on a canvas of as many pixels.
function drawInk(canvas, digit) {
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  digit.forEach((ink, at) => {
    pen.fillStyle = `rgb(0 0 0 / ${ink})`;
    pen.fillRect(at % canvas.width, Math.floor(at / canvas.width), 1, 1);
  });
}

// What networks give the classes of a digit, in the mean. Arguments: digit, ink from 0 to 1; plan, of
// the networks.
function meanChances({computing, content, tools}, networks, digit, plan) {
  const {average, deviation} = content.digits;
  const image = digit.map((ink) => (ink - average) / deviation);
  const all = networks.map((network) => tools.chances(computing, network, image, plan));
  return all[0].map((_, label) => mean(all.map((chances) => chances[label])));
}

// The likeliest classes of each group of networks, as bars. Arguments: groups, {name, className,
// chances} each, of which chances are by class.
function drawOpinions(place, groups) {
  const percent = (chance) => `${Math.round(100 * chance)} %`;
  const bars = groups.map(({name, className, chances}) => {
    const likeliest = [...chances.entries()].sort(([, a], [, b]) => b - a).slice(0, 2);
    const rows = likeliest.map(([label, chance]) => {
      const bar = make("i", {});
      bar.style.width = `${Math.round(70 * chance)}px`;
      return make("div", {}, make("span", {textContent: label}), bar, percent(chance));
    });
    return make("div", {className}, make("b", {textContent: name}), ...rows);
  });
  place.replaceChildren(...bars);
}

function opinionsInWords(groups) {
  const said = groups.map(({name, chances}) => {
    return `${name}: ${chances.indexOf(Math.max(...chances))}`;
  });
  return `They take it for … ${said.join(", ")}.`;
}
