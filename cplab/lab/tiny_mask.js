// A mask of the first screen, painted field by field: a grid of twelve rows. As a text it has 36
// hexadecimal digits, three for each row; a bit that is set is covered.

const MASK_SIDE = 12; // fields
const NOTHING = "0".repeat(3 * MASK_SIDE);
const rowsOf = (mask) =>
  Array.from({length: MASK_SIDE}, (_, y) => parseInt(mask.slice(3 * y, 3 * y + 3), 16));
const maskOf = (rows) => rows.map((row) => row.toString(16).padStart(3, "0")).join("");
const bitOf = (x) => 1 << (MASK_SIDE - 1 - x);
const isCovered = (mask, {x, y}) => Boolean(rowsOf(mask)[y] & bitOf(x));

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
  for (let y = 0; y < MASK_SIDE; y++) {
    const row = make("div", {role: "row"});
    for (let x = 0; x < MASK_SIDE; x++) {
      const cell = make("span", {
        role: "gridcell",
        tabIndex: x || y ? -1 : 0,
        ariaLabel: `row ${y + 1}, column ${x + 1}`,
      });
      Object.assign(cell.dataset, {x, y});
      row.append(cell);
    }
    grid.append(row);
  }

  const moveTo = (cell) => {
    for (const other of grid.querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus({preventScroll: true});
  };

  grid.onkeydown = (event) => {
    const {x, y} = event.target.dataset;
    const arrow = ARROWS[event.key];
    if (!arrow && event.key !== " ") return;
    event.preventDefault();
    if (arrow) {
      const right = within(0, +x + arrow[0], MASK_SIDE - 1);
      const down = within(0, +y + arrow[1], MASK_SIDE - 1);
      moveTo(grid.children[down].children[right]);
    } else if (!event.repeat) {
      choose(repaint(current(), [[+x, +y]], !isCovered(current(), {x, y})));
    }
  };

  // All fields that the pointer passes, however fast, become what the first one becomes.
  grid.onpointerdown = (event) => {
    const first = event.target.closest("[role=gridcell]");
    if (!first || event.button) return;
    event.preventDefault();
    const covered = !isCovered(current(), first.dataset);
    moveTo(first);
    choose(repaint(current(), [[+first.dataset.x, +first.dataset.y]], covered));
    grid.setPointerCapture(event.pointerId);
    const fieldAt = ({clientX, clientY}) => {
      const {left, top, width} = grid.getBoundingClientRect();
      return [clientX - left, clientY - top].map((at) => (MASK_SIDE * at) / width);
    };
    let [x, y] = fieldAt(event);
    grid.onpointermove = (move) => {
      const [toX, toY] = fieldAt(move);
      const steps = Math.ceil(2 * Math.max(Math.abs(toX - x), Math.abs(toY - y), 0.5));
      const passed = Array.from({length: steps}, (_, i) => (i + 1) / steps);
      const fields = passed.map((part) =>
        [x + part * (toX - x), y + part * (toY - y)].map(Math.floor),
      );
      choose(repaint(current(), fields, covered));
      [x, y] = [toX, toY];
    };
    grid.onpointerup = grid.onpointercancel = () => {
      grid.onpointermove = null;
    };
  };
}

function drawMask(grid, mask) {
  for (const cell of grid.querySelectorAll("[role=gridcell]"))
    cell.ariaSelected = isCovered(mask, cell.dataset);
}
