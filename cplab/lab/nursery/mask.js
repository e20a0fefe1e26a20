// The mask of the first screen, which covers a part of each digit and is painted field by field. As
// a text it has 36 hexadecimal digits, three for each of twelve rows; a bit that is set is covered,
// and the first one is on the left. `within` is in bar.js, `make` in page.js.

const MASK_SIDE = 12; // fields
const NOTHING = "0".repeat(3 * MASK_SIDE);
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

// The rows of a mask, as numbers of twelve bits; a mask of such rows; the bit of a column.
const rowsOf = (mask) =>
  Array.from({length: MASK_SIDE}, (_, y) => parseInt(mask.slice(3 * y, 3 * y + 3), 16));
const maskOf = (rows) => rows.map((row) => row.toString(16).padStart(3, "0")).join("");
const bitOf = (x) => 1 << (MASK_SIDE - 1 - x);

const isCovered = (mask, x, y) => Boolean(rowsOf(mask)[y] & bitOf(x));

// A mask in which fields, [x, y] each, are covered or not. Some may lie outside.
function repaint(mask, fields, covered) {
  const rows = rowsOf(mask);
  for (const [x, y] of fields) {
    if (x < 0 || x >= MASK_SIDE || y < 0 || y >= MASK_SIDE) continue;
    rows[y] = covered ? rows[y] | bitOf(x) : rows[y] & ~bitOf(x);
  }
  return maskOf(rows);
}

// Fill an element with the fields, to be painted by mouse and keys. Arguments: current, gives the
// mask; choose, is called with another one.
function furnishMask(grid, current, choose) {
  addFields(grid);

  grid.onkeydown = (event) => {
    const isSpace = event.key === " ";
    const arrow = ARROWS[event.key];
    if (!arrow && !isSpace) return;
    event.preventDefault();
    const [x, y] = placeOf(event.target);
    if (arrow) focusField(grid, x + arrow[0], y + arrow[1]);
    else if (!event.repeat) choose(repaint(current(), [[x, y]], !isCovered(current(), x, y)));
  };

  // All fields that the pointer passes, however fast, become what the first one becomes.
  grid.onpointerdown = (event) => {
    const first = event.target.closest("[role=gridcell]");
    if (!first || event.button) return;
    event.preventDefault();
    const [x, y] = placeOf(first);
    const covered = !isCovered(current(), x, y);
    focusField(grid, x, y);
    choose(repaint(current(), [[x, y]], covered));
    grid.setPointerCapture(event.pointerId);
    let from = pointIn(grid, event);
    grid.onpointermove = (move) => {
      const to = pointIn(grid, move);
      choose(repaint(current(), fieldsBetween(from, to), covered));
      from = to;
    };
    grid.onpointerup = grid.onpointercancel = () => {
      grid.onpointermove = null;
    };
  };
}

function addFields(grid) {
  for (let y = 0; y < MASK_SIDE; y++) {
    const row = make("div", {role: "row"});
    for (let x = 0; x < MASK_SIDE; x++) {
      const field = make("span", {
        role: "gridcell",
        tabIndex: x || y ? -1 : 0, // Tab reaches one of them, arrows the others
        ariaLabel: `row ${y + 1}, column ${x + 1}`,
      });
      Object.assign(field.dataset, {x, y});
      row.append(field);
    }
    grid.append(row);
  }
}

const placeOf = (field) => [+field.dataset.x, +field.dataset.y];

// Focus the field at a place, or the nearest one if it lies outside.
function focusField(grid, x, y) {
  const row = grid.children[within(0, y, MASK_SIDE - 1)];
  const field = row.children[within(0, x, MASK_SIDE - 1)];
  for (const other of grid.querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
  field.tabIndex = 0;
  field.focus({preventScroll: true});
}

// Where a pointer is, in fields from the upper left corner: fractions, and outside as well.
function pointIn(grid, {clientX, clientY}) {
  const {left, top, width} = grid.getBoundingClientRect();
  return [(MASK_SIDE * (clientX - left)) / width, (MASK_SIDE * (clientY - top)) / width];
}

// The fields on the way from one point to another, in steps of half a field.
function fieldsBetween([fromX, fromY], [toX, toY]) {
  const distance = Math.max(Math.abs(toX - fromX), Math.abs(toY - fromY));
  const steps = Math.max(1, Math.ceil(2 * distance));
  const fields = [];
  for (let step = 1; step <= steps; step++) {
    const x = fromX + (step / steps) * (toX - fromX);
    const y = fromY + (step / steps) * (toY - fromY);
    fields.push([Math.floor(x), Math.floor(y)]);
  }
  return fields;
}

function drawMask(grid, mask) {
  for (const field of grid.querySelectorAll("[role=gridcell]"))
    field.ariaSelected = isCovered(mask, ...placeOf(field));
}
