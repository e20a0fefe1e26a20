// A digit that is drawn by hand on the first screen, and what networks take it for. ARROWS is in
// mask.js, `within` in bar.js, `make` in page.js, `mean` in numbers.js.

// Pixels of the sheet
const SHEET = 132; // its side, as in nursery.html
const PEN = 12; // the width of the pen
const STROKE = 6; // how far an arrow key moves the pen

// The longer side of a drawn digit, as a part of the image's side, as the package draws digits
const LONGER_SIDE = 0.675;
const FINE = 8; // points a side in each pixel of the image, whose mean is its ink

// Let a digit be drawn on a sheet, a canvas, by mouse, finger or keys; `ask` is called after each
// stroke.
function furnishSheet(sheet, ask) {
  const pen = sheet.getContext("2d", {willReadFrequently: true});
  Object.assign(pen, {lineWidth: PEN, lineCap: "round", lineJoin: "round", strokeStyle: "#000"});
  const tip = {x: SHEET / 2, y: SHEET / 2, down: false}; // of the pen; down: for keys
  const drawTo = (x, y) => {
    pen.beginPath();
    pen.moveTo(tip.x, tip.y);
    pen.lineTo(x + 0.01, y); // so that a dot is drawn too
    pen.stroke();
    Object.assign(tip, {x, y});
  };
  const pixelOf = ({clientX, clientY}) => {
    const {left, top, width} = sheet.getBoundingClientRect();
    return [(SHEET * (clientX - left)) / width, (SHEET * (clientY - top)) / width];
  };
  sheet.onpointerdown = (event) => {
    event.preventDefault();
    sheet.focus({preventScroll: true});
    sheet.setPointerCapture(event.pointerId);
    [tip.x, tip.y] = pixelOf(event);
    drawTo(tip.x, tip.y);
    sheet.onpointermove = (move) => drawTo(...pixelOf(move));
    sheet.onpointerup = sheet.onpointercancel = () => {
      sheet.onpointermove = null;
      ask();
    };
  };
  sheet.onkeydown = (event) => {
    const isSpace = event.key === " ";
    const arrow = ARROWS[event.key];
    if (!arrow && !isSpace) return;
    event.preventDefault();
    if (isSpace && event.repeat) return; // a key that is held
    if (isSpace) tip.down = !tip.down;
    const [right, down] = arrow ?? [0, 0];
    const x = within(PEN, tip.x + STROKE * right, SHEET - PEN);
    const y = within(PEN, tip.y + STROKE * down, SHEET - PEN);
    if (tip.down) drawTo(x, y);
    else Object.assign(tip, {x, y});
    sheet.style.setProperty("--x", `${(100 * x) / SHEET}%`);
    sheet.style.setProperty("--y", `${(100 * y) / SHEET}%`);
    if (tip.down) ask();
  };
}

// What is drawn on a sheet, as the package draws digits: centred, its longer side LONGER_SIDE of the
// image's, ink from 0 to 1, (side · side,); null if nothing is drawn.
function drawnDigit(sheet, side) {
  const box = boxOfInk(sheet);
  if (!box) return null;
  const size = FINE * side;
  const scale = (LONGER_SIDE * size) / Math.max(box.width, box.height);
  const width = box.width * scale;
  const height = box.height * scale;
  const pen = make("canvas", {width: size, height: size}).getContext("2d");
  const from = [box.left, box.top, box.width, box.height];
  const to = [(size - width) / 2, (size - height) / 2, width, height];
  pen.drawImage(sheet, ...from, ...to);
  const {data} = pen.getImageData(0, 0, size, size); // red, green, blue and opacity of each point
  const digit = new Float32Array(side * side);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const pixel = Math.floor(y / FINE) * side + Math.floor(x / FINE);
      digit[pixel] += data[4 * (y * size + x) + 3] / 255 / FINE ** 2;
    }
  }
  return digit;
}

// The smallest box around what is drawn on a sheet, in pixels; null if nothing is.
function boxOfInk(sheet) {
  const {data} = sheet.getContext("2d").getImageData(0, 0, SHEET, SHEET);
  let left = SHEET;
  let top = SHEET;
  let right = -1;
  let bottom = -1;
  for (let y = 0; y < SHEET; y++) {
    for (let x = 0; x < SHEET; x++) {
      if (data[4 * (y * SHEET + x) + 3] < 128) continue; // at most half opaque: the edge of a line
      left = Math.min(left, x);
      top = Math.min(top, y);
      right = Math.max(right, x);
      bottom = Math.max(bottom, y);
    }
  }
  if (right < 0) return null;
  return {left, top, width: right - left + 1, height: bottom - top + 1};
}

// Draw ink, (width · height,), on a canvas of as many pixels.
function drawInk(canvas, digit) {
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  for (const [at, ink] of digit.entries()) {
    pen.fillStyle = `rgb(0 0 0 / ${ink})`;
    pen.fillRect(at % canvas.width, Math.floor(at / canvas.width), 1, 1);
  }
}

// The weights of the networks of an arm, "spoilt" or "control".
const networksOf = (pairs, arm) => pairs.map((pair) => pair[arm].network);

// The chances, from 0 to 1, that networks give each class of a digit, in their mean. Arguments: the
// first screen, of which `tools` is the engine of networks.js and `arithmetic` its program; networks,
// the weights of each; digit, its ink.
function meanChances({arithmetic, content, knobs, tools}, networks, digit) {
  const {average, deviation} = content.digits;
  const plan = {...content.fixed, ...knobs};
  const image = digit.map((ink) => (ink - average) / deviation);
  const rows = networks.map((network) => tools.chances(arithmetic, network, image, plan));
  return rows[0].map((_, label) => mean(rows.map((chances) => chances[label])));
}

// The two likeliest classes of each group of networks, as bars. Arguments: element, which is filled;
// groups, {name, className, chances} each, of which chances are by class.
function drawOpinions(element, groups) {
  const boxes = groups.map(({name, className, chances}) => {
    const likeliest = [...chances.entries()].sort(([, a], [, b]) => b - a).slice(0, 2);
    const rows = likeliest.map(([label, chance]) => chanceRow(label, chance));
    return make("div", {className}, make("b", {textContent: name}), ...rows);
  });
  element.replaceChildren(...boxes);
}

function chanceRow(label, chance) {
  const bar = make("i");
  bar.style.width = `${Math.round(70 * chance)}px`;
  const percent = `${Math.round(100 * chance)} %`;
  return make("div", {}, make("span", {textContent: label}), bar, percent);
}

function opinionsInWords(groups) {
  const opinions = groups.map(({name, chances}) => {
    return `${name}: ${chances.indexOf(Math.max(...chances))}`;
  });
  return `They take it for … ${opinions.join(", ")}.`;
}
