// Where labels of a figure stand: none lies on another one, and none is cut.

const FURTHEST = 64; // pixels by which a label moves up or down so as to lie on no other
const NUDGE = 4; // pixels by which it tries
const LEADING = 4; // pixels between lines of words, in their boxes

// Whether words in two boxes, {x, y, width, height}, lie on one another. A box has room around them.
const overlap = (one, other) =>
  one.x < other.x + other.width &&
  other.x < one.x + one.width &&
  one.y < other.y + other.height - LEADING &&
  other.y < one.y + one.height - LEADING;

// The boxes of labels, the most important first, after they have been moved so that none lies on
// another one or beyond the figure's edges, which are {width, height}. One that finds no room near its
// place gives way: it is null.
function placeApart(boxes, figure) {
  const placed = [];
  for (const box of boxes) placed.push(freeBox(box, figure, placed.filter(Boolean)));
  return placed;
}

// The free place that is nearest to a box.
function freeBox({x, y, width, height}, figure, others) {
  const inside = within(0, x, figure.width - width);
  for (let far = 0; far <= FURTHEST; far += NUDGE) {
    for (const down of [far, -far]) {
      const box = {x: inside, y: y + down, width, height};
      const fits = box.y > -LEADING && box.y + height < figure.height + LEADING;
      if (fits && !others.some((other) => overlap(box, other))) return box;
    }
  }
  return null;
}
