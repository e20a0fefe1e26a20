/* A page of cplab: chooses among what Python drew and said in each state, and draws it as SVG.
 *
 * cplab({pool, widgets}) is called by the data files. In the pool each content stands once, and ¤5
 * stands for what has the number 5. A figure here is what cplab/site/plots.py made of Bokeh's. */
"use strict";
(() => {
const SVG = "http://www.w3.org/2000/svg", LETTER = 6.1; // pixels of a letter of an axis
const at = (value, i) => (Array.isArray(value) ? value[i] : value);
const safe = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const round = (value) => Math.round(value * 10) / 10;

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "html") node.innerHTML = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/* A function from a mark (¤5, or 5) to what it stands for. */
function reader(pool) {
  const known = [];
  const whole = (value) => {
    if (typeof value === "string") return value[0] === "¤" ? get(+value.slice(1)) : value;
    if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map(whole);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, whole(one)]));
  };
  const get = (number) => (known[number] ??= whole(pool[number]));
  return (mark) => (typeof mark === "number" ? get(mark) : whole(mark));
}

// Figures -----------------------------------------------------------------------------------------

const INKS = { // of lines and words that have to be seen on a dark page as well
  "black": "currentColor", "#000000": "currentColor", "#333333": "currentColor",
  "#555555": "var(--equal)", "#999999": "var(--newborn)", "#777777": "var(--newborn)",
  "#332288": "var(--indigo)", "#0072B2": "var(--blue)",
};
const ink = (colour) => (colour === null ? "none" : INKS[colour] ?? colour);
const MARKERS = {
  circle: (r) => `M${-r},0a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0z`,
  square: (r) => `M${-r},${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  triangle: (r) => `M0,${-r}L${r},${r}L${-r},${r}z`,
  inverted_triangle: (r) => `M0,${r}L${r},${-r}L${-r},${-r}z`,
  diamond: (r) => `M0,${-1.2 * r}L${r},0L0,${1.2 * r}L${-r},0z`,
  hex: (r) => `M${r},0L${r / 2},${r}L${-r / 2},${r}L${-r},0L${-r / 2},${-r}L${r / 2},${-r}z`,
  star: (r) => `M0,${-1.3 * r}L${0.4 * r},${-0.4 * r}L${1.3 * r},${-0.3 * r}L${0.6 * r},${0.4 * r}` +
    `L${0.8 * r},${1.2 * r}L0,${0.7 * r}L${-0.8 * r},${1.2 * r}L${-0.6 * r},${0.4 * r}` +
    `L${-1.3 * r},${-0.3 * r}L${-0.4 * r},${-0.4 * r}z`,
  plus: (r) => `M${-r},0H${r}M0,${-r}V${r}`,
  x: (r) => `M${-r},${-r}L${r},${r}M${r},${-r}L${-r},${r}`,
};
MARKERS.cross = MARKERS.plus;
MARKERS.square_x = (r) => MARKERS.square(r) + MARKERS.x(r);
MARKERS.diamond_cross = (r) => MARKERS.diamond(r) + MARKERS.plus(r);
const LINES = ["plus", "cross", "x", "square_x", "diamond_cross"]; // are drawn, not filled
const DASHES = {solid: "", dashed: "6", dotted: "2 4", dotdash: "2 4 6 4", dashdot: "6 4 2 4"};
const dash = (value) => (Array.isArray(value) ? value.join(" ") : DASHES[value] ?? value ?? "");

/* The lines of a glyph that has several, each as a glyph; any other glyph as it is. */
const apart = (g) => (g.kind !== "lines" ? [g] : g.xs.map((x, i) =>
  ({...g, kind: "line", x, y: g.ys[i], line_color: at(g.line_color, i)})));

/* What a glyph takes along an axis, for each of its rows: [low, high]. */
function extent(glyph, axis, i) {
  const g = glyph, v = (name) => at(g[name], i), half = (name, by) =>
    typeof v(name) === "number" ? [v(name) - v(by) / 2, v(name) + v(by) / 2] : [v(name), v(name)];
  const x = axis === "x";
  switch (g.kind) {
    case "area": return x ? [v("x"), v("x")] : [v("y1"), v("y2")];
    case "segment": return x ? [v("x0"), v("x1")] : [v("y0"), v("y1")];
    case "quad": return x ? [v("left"), v("right")] : [v("bottom"), v("top")];
    case "vbar": return x ? half("x", "width") : [v("bottom"), v("top")];
    case "hbar": return x ? [v("left"), v("right")] : half("y", "height");
    case "rect": return x ? half("x", "width") : half("y", "height");
    case "ring": return [v(axis) - v("radius"), v(axis) + v("radius")];
    case "whisker":
      return !!g.across === x ? [v("lower"), v("upper")] : [v("base"), v("base")];
    default: return [v(axis), v(axis)];
  }
}
const rows = (glyph) =>
  Math.max(1, ...Object.values(glyph).map((value) => (Array.isArray(value) ? value.length : 1)));
const isEmpty = (glyph) =>
  Object.entries(glyph).some(([n, value]) => n !== "line_dash" && Array.isArray(value) && !value.length);

/* The ends of an axis: given, or of what is drawn. */
function ends(fig, name) {
  const axis = fig[name];
  if (axis.factors) return [0, axis.factors.length];
  let [low, high] = axis.ends;
  if (low !== null && high !== null) return [low, high];
  let least = Infinity, most = -Infinity;
  for (const glyph of [...fig.glyphs.flatMap(apart), ...fig.marks.filter((one) => one.kind === "whisker")]) {
    if (isEmpty(glyph) || name !== "x" && !!glyph.second !== (name === "second")) continue;
    for (let i = rows(glyph) - 1; i >= 0; i--)
      for (const value of extent(glyph, name === "x" ? "x" : "y", i))
        if (typeof value === "number") { least = Math.min(least, value); most = Math.max(most, value); }
  }
  if (least > most) [least, most] = axis.log ? [1, 10] : [0, 1];
  const [go, back] = axis.log ? [Math.log, Math.exp] : [(v) => v, (v) => v];
  const from = go(least), to = go(most), pad = ((to - from) * (axis.padding ?? 0.1)) / 2 || 0.5;
  return [low ?? back(from - pad), high ?? back(to + pad)];
}

function nice(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= step * 0.99);
}

/* The ticks of an axis that has so many pixels: [value, words]. Names in groups, of which the key says
 * the rest, have one for a group where all have no room. */
function ticks(axis, [low, high], pixels, level, key = []) {
  const write = (value, digits) => axis.labels?.[value] ?? (axis.percent
    ? `${(100 * value).toFixed(Math.max(0, digits - 2))} %`
    : value.toLocaleString("en", {maximumFractionDigits: digits}).replace("-", "−"));
  let found, digits = 6;
  if (axis.factors) {
    found = axis.factors.map((words, i) => [i + 0.5, words]);
    const head = (words) => words.split(", ")[0], places = (group) =>
      found.filter(([, words]) => head(words) === group).map(([place]) => place);
    if (key.length && axis.factors.join("").length * LETTER > pixels)
      found = [...new Set(axis.factors.map(head))].map((group) =>
        [(places(group)[0] + places(group).at(-1)) / 2, group]);
  } else if (axis.ticks) found = axis.ticks.map((value) => [value, write(value, 6)]);
  else if (axis.log) {
    found = [];
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++)
      for (const n of [1, 2, 5]) found.push([n * 10 ** power, write(n * 10 ** power, 9)]);
    const inside = found.filter(([v]) => v >= low && v <= high);
    found = inside.length > 7 ? inside.filter((_, i) => i % 3 === 0) : inside;
  } else {
    const step = nice((high - low) / Math.min(6, Math.max(2, pixels / 50)));
    digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    found = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * step; n++)
      found.push([n * step, write(n ? n * step : 0, digits)]);
  }
  found = found.filter(([v]) => v >= Math.min(low, high) && v <= Math.max(low, high));
  if (!level) return found;
  const widest = Math.max(0, ...found.map(([, words]) => words.length)) * LETTER + 6;
  const every = axis.factors && !found.every(([, words]) => words.length < 5)
    ? 1 : Math.ceil((widest * found.length) / pixels) || 1;
  return found.filter((_, i) => i % every === 0);
}

/* Words in lines of at most so many pixels, and no more than `most` of them. */
function wrap(words, pixels, most) {
  const lines = [], room = Math.max(3, Math.floor(pixels / LETTER));
  for (const word of String(words).split(" ")) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && longer.length <= room) lines[lines.length - 1] = longer; else lines.push(word);
  }
  const kept = lines.slice(0, Math.max(1, most));
  const cut = (line, last) => (line.length > room || last ? `${line.slice(0, room - 1)}…` : line);
  return kept.map((line, i) => cut(line, i === kept.length - 1 && lines.length > kept.length));
}
const spans = (lines, x) => lines.map((line, i) => `<tspan x="${x}" dy="${i && 12}">${safe(line)}</tspan>`).join("");

/* A figure as SVG, so many pixels wide. */
function svg(fig, width) {
  if (fig.x.hidden && fig.y.hidden) width = Math.min(width, fig.width); // as high as it is wide
  const height = Math.max(150, fig.height - 20), [x, y] = [ends(fig, "x"), ends(fig, "y")];
  const right = fig.second ? 52 : 12, top = 8;
  const up = ticks(fig.y, y, 1.5 * (height - 50));
  const names = fig.y.hidden ? 0 : Math.max(0, ...up.map(([, words]) => words.length)) * LETTER;
  const room = Math.min(names, width * 0.42);
  const own = fig.y.hidden ? 8 : room + (fig.y.words ? 30 : 12);
  const left = Math.max(own, Math.min(fig.left ?? 0, width / 3)), w = width - left - right;
  const along = ticks(fig.x, x, w, true, fig.key);
  const longest = Math.max(0, ...along.map(([, words]) => words.length)) * LETTER;
  const slanted = fig.x.factors && longest * along.length > w;
  const across = wrap(fig.x.words, width, 3);
  const below = fig.x.hidden ? 8 : 20 + (slanted ? longest * 0.5 : 0) + (fig.x.words ? 6 + 12 * across.length : 0);
  const h = height - top - below;
  const place = (axis, [low, high], from, to) => {
    const index = axis.factors && new Map(axis.factors.map((name, i) => [name, i + 0.5]));
    const [a, b] = axis.log ? [Math.log(low), Math.log(high)] : [low, high];
    return (value) => {
      if (typeof value === "string") value = index?.get(value) ?? NaN;
      return from + (((axis.log ? Math.log(value) : value) - a) / (b - a)) * (to - from);
    };
  };
  const X = place(fig.x, x, 0, w), Y1 = place(fig.y, y, h, 0);
  const Y2 = fig.second && place(fig.second, ends(fig, "second"), h, 0);
  const out = [], push = (text) => out.push(text);
  push(`<svg x="${left}" y="${top}" width="${w}" height="${h}">`);
  if (!fig.x.bare) for (const [v] of along) push(`<path class="grid" d="M${round(X(v))},0V${h}"/>`);
  if (!fig.y.bare) for (const [v] of up) push(`<path class="grid" d="M0,${round(Y1(v))}H${w}"/>`);
  for (const one of fig.marks) if (one.kind === "box") drawMark(one, X, Y1, w, h, push);
  for (const glyph of fig.glyphs.flatMap(apart))
    if (!isEmpty(glyph)) drawGlyph(glyph, X, glyph.second ? Y2 : Y1, push);
  for (const one of fig.marks) if (one.kind !== "box") drawMark(one, X, Y1, w, h, push);
  push("</svg>");
  if (!fig.y.hidden) {
    push(`<path class="axis" d="M${left},${top}V${top + h}"/>`);
    for (const [v, words] of up) {
      const lines = words.length * LETTER > room + 1 ? wrap(words, room, h / up.length / 12) : [words];
      push(`<text y="${round(top + Y1(v) + 10 - 6 * lines.length)}" text-anchor="end">${spans(lines, left - 6)}</text>`);
    }
    push(`<text class="words" transform="translate(12,${top + h / 2})rotate(-90)">${safe(fig.y.words)}</text>`);
  }
  if (fig.second) {
    for (const [v, words] of ticks(fig.second, ends(fig, "second"), h))
      push(`<text x="${left + w + 6}" y="${round(top + Y2(v) + 4)}">${safe(words)}</text>`);
    push(`<text class="words" transform="translate(${width - 8},${top + h / 2})rotate(-90)">${safe(fig.second.words)}</text>`);
  }
  if (!fig.x.hidden) {
    push(`<path class="axis" d="M${left},${top + h}h${w}"/>`);
    for (const [v, words] of along) push(slanted
      ? `<text text-anchor="end" transform="translate(${round(left + X(v) + 4)},${top + h + 14})rotate(-30)">${safe(words)}</text>`
      : `<text x="${round(left + X(v))}" y="${top + h + 15}" text-anchor="middle">${safe(words)}</text>`);
    const widest = Math.max(...across.map((line) => line.length)) * LETTER;
    const middle = Math.max(widest / 2, Math.min(left + w / 2, width - widest / 2));
    push(`<text class="words" y="${height + 7 - 12 * across.length}">${spans(across, round(middle))}</text>`);
  }
  return `<svg xmlns="${SVG}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    `role="img" aria-label="${safe(alt(fig))}">${out.join("")}</svg>`;
}

function stroke(g, i) {
  const colour = ink(at(g.line_color, i) ?? null), dashes = dash(g.line_dash);
  return `style="stroke:${colour}" stroke-width="${g.line_width ?? 1}"` +
    (dashes ? ` stroke-dasharray="${dashes}"` : "") +
    (at(g.line_alpha, i) === undefined ? "" : ` stroke-opacity="${at(g.line_alpha, i)}"`);
}
const fill = (g, i) => `style="fill:${ink(at(g.fill_color, i) ?? null)}"` +
  (at(g.fill_alpha, i) === undefined ? "" : ` fill-opacity="${at(g.fill_alpha, i)}"`);

function drawGlyph(g, X, Y, push) {
  const count = rows(g), v = (name, i) => at(g[name], i);
  if (g.kind === "line") {
    let path = "", pen = "M";
    for (let i = 0; i < count; i++) {
      const [px, py] = [X(v("x", i)), Y(v("y", i))];
      if (v("y", i) === null || !isFinite(px + py)) { pen = "M"; continue; }
      path += `${pen}${round(px)},${round(py)}`;
      pen = "L";
    }
    push(`<path fill="none" d="${path}" ${stroke(g, 0)}/>`);
  } else if (g.kind === "area") {
    const there = [...Array(count).keys()].filter((i) => v("y1", i) !== null && v("y2", i) !== null);
    const edge = (name, list) => list.map((i) => `${round(X(v("x", i)))},${round(Y(v(name, i)))}`);
    const all = [...edge("y1", there), ...edge("y2", there.reverse())];
    if (all.length) push(`<path d="M${all.join("L")}z" ${fill(g, 0)}/>`);
  } else for (let i = 0; i < count; i++) {
    const [left, right] = extent(g, "x", i), [bottom, top] = extent(g, "y", i);
    let [x0, x1, y0, y1] = [X(left), X(right), Y(bottom), Y(top)];
    if ([left, right, bottom, top].includes(null) || !isFinite(x0 + x1 + y0 + y1)) continue;
    if (g.kind === "segment") {
      push(`<path d="M${round(x0)},${round(y0)}L${round(x1)},${round(y1)}" ${stroke(g, i)}/>`);
    } else if (g.kind === "dots") {
      const marker = v("marker", i) ?? "circle", hollow = LINES.includes(marker);
      const look = hollow ? 'fill="none"' : fill(g, i);
      const lines = stroke(hollow ? {...g, line_dash: "", line_width: 1.5} : {...g, line_dash: ""}, i);
      push(`<g ${lines}><path transform="translate(${round(x0)},${round(y0)})" ` +
        `d="${(MARKERS[marker] ?? MARKERS.circle)(v("size", i) / 2)}" ${look}/></g>`);
    } else if (g.kind === "ring") {
      push(`<g ${stroke(g, i)}><ellipse cx="${(x0 + x1) / 2}" cy="${(y0 + y1) / 2}" rx="${(x1 - x0) / 2}" ` +
        `ry="${Math.abs(y1 - y0) / 2}" ${fill(g, i)}/></g>`);
    } else if (g.kind === "text") {
      const [ax, dy] = [{left: "start", center: "middle", right: "end"}[g.text_align ?? "left"],
        {top: 9, middle: 4, bottom: -2}[g.text_baseline ?? "bottom"] ?? 0];
      const colour = Array.isArray(g.text_color) ? g.text_color[i] : ink(g.text_color ?? "black");
      push(`<text x="${round(x0 + (g.x_offset ?? 0))}" y="${round(y0 + dy + (g.y_offset ?? 0))}" text-anchor="${ax}" ` +
        `style="fill:${colour};font-size:${g.text_font_size ?? "16px"}">${safe(v("text", i))}</text>`);
    } else {
      const wide = {vbar: "width", rect: "width"}[g.kind], high = {hbar: "height", rect: "height"}[g.kind];
      const grow = (name, a, b) => { // on an axis of names a width is part of a name's room
        const size = (Math.abs((name === wide ? X(1) - X(0) : Y(1) - Y(0))) * v(name, i)) / 2;
        return [(a + b) / 2 - size, (a + b) / 2 + size];
      };
      if (wide && typeof v("x", i) === "string") [x0, x1] = grow(wide, x0, x1);
      if (high && typeof v("y", i) === "string") [y0, y1] = grow(high, y0, y1);
      push(`<g ${g.line_color ? stroke(g, i) : ""}><rect x="${round(Math.min(x0, x1))}" y="${round(Math.min(y0, y1))}" ` +
        `width="${round(Math.abs(x1 - x0))}" height="${round(Math.abs(y1 - y0))}" ${fill(g, i)}/></g>`);
    }
  }
}

function drawMark(one, X, Y, w, h, push) {
  if (one.kind === "span") {
    const line = one.width === undefined ? `M${round(X(one.height))},0V${h}` : `M0,${round(Y(one.width))}H${w}`;
    push(`<path fill="none" d="${line}" ${stroke(one, 0)}/>`);
  } else if (one.kind === "box") {
    const [a, b] = [one.left === null ? 0 : X(one.left), one.right === null ? w : X(one.right)];
    const [c, d] = [one.top === null ? 0 : Y(one.top), one.bottom === null ? h : Y(one.bottom)];
    push(`<rect x="${round(a)}" y="${round(c)}" width="${round(Math.max(0, b - a))}" ` +
      `height="${round(Math.max(0, d - c))}" ${fill(one, 0)}/>`);
  } else if (!isEmpty(one)) for (let i = 0; i < rows(one); i++) {
    const [low, high, base] = [at(one.lower, i), at(one.upper, i), at(one.base, i)];
    if (low === null || high === null) continue;
    const path = one.across
      ? `M${X(low)},${Y(base)}H${X(high)}M${X(low)},${Y(base) - 4}v8M${X(high)},${Y(base) - 4}v8`
      : `M${X(base)},${Y(low)}V${Y(high)}M${X(base) - 4},${Y(low)}h8M${X(base) - 4},${Y(high)}h8`;
    push(`<path class="whisker" d="${path}"/>`);
  }
}

const alt = (fig) => [fig.title, fig.y.words && fig.x.words && `${fig.y.words} against ${fig.x.words}`,
  fig.key.map((one) => one.words).join(", "), "its numbers are in the table below"].filter(Boolean).join(": ");

/* The legend's picture of some glyphs. */
function swatch(fig, item) {
  const parts = item.glyphs.map((i) => fig.glyphs[i]).map((g) => {
    if (g.kind === "line" || g.kind === "segment")
      return `<path d="M1,6H27" ${stroke(g, item.at)}/>`;
    if (g.kind === "dots") {
      const out = [];
      drawGlyph({...g, x: 14, y: 6, size: 8, line_color: at(g.line_color, item.at), fill_color:
        at(g.fill_color, item.at), marker: at(g.marker, item.at)}, (v) => v, (v) => v, (t) => out.push(t));
      return out.join("");
    }
    return `<rect x="5" y="0" width="18" height="12" ${fill(g, item.at)}/>`;
  });
  return `<svg width="28" height="12" aria-hidden="true">${parts.join("")}</svg>`;
}

/* The numbers of a figure as a table. */
function numbers(fig) {
  const named = (glyph) => fig.key.find((item) => item.glyphs.some((i) => fig.glyphs[i] === glyph))?.words ?? "";
  const write = (value) => (typeof value === "number" ? +value.toPrecision(4) : value ?? "–");
  const found = [], drawn = new Set();
  fig.glyphs.flatMap(apart).forEach((g, place) => {
    if (isEmpty(g) || g.kind === "area" || g.kind === "ring") return;
    const id = JSON.stringify([...Array(rows(g)).keys()].map((i) =>
      [extent(g, "x", i), extent(g, "y", i), g.kind === "text" ? at(g.text, i) : ""]));
    if (drawn.has(id)) return;
    drawn.add(id);
    const band = fig.glyphs.slice(0, place).find((b) => b.kind === "area" && b.x === g.x && g.kind === "line");
    for (let i = 0; i < rows(g); i++) {
      const both = (axis) => [...new Set(extent(g, axis, i).map(write))].join(" to ");
      const text = g.kind === "text" ? at(g.text, i) : "";
      const interval = band ? `${write(at(band.y1, i))} to ${write(at(band.y2, i))}` : "";
      const [x, y] = g.kind === "rect" ? [write(at(g.x, i)), write(at(g.y, i))] : [both("x"), both("y")];
      found.push([named(g), x, y, interval, text]);
    }
  });
  const heads = ["what", fig.x.words || "across", fig.y.words || "up", "95 % interval", "words"];
  const used = heads.map((_, column) => column === 1 || column === 2 || found.some((row) => row[column] !== ""));
  const row = (cells, tag) => `<tr>${cells.filter((_, i) => used[i]).map((cell) =>
    `<${tag}>${safe(cell)}</${tag}>`).join("")}</tr>`;
  return `<table><caption>${safe(fig.title || "figure")}</caption><thead>${row(heads, 'th scope="col"')
    .replaceAll('</th scope="col">', "</th>")}</thead><tbody>${found.slice(0, 1500).map((one) => row(one, "td")).join("")}</tbody></table>`;
}

/* A figure on the page; update draws another one in its place. */
function figure() {
  const [title, source] = [make("strong"), make("small")];
  const keys = make("ul", {class: "key"}), box = make("div", {class: "plot"});
  const table = make("div", {class: "wide", tabindex: 0, role: "group", "aria-label": "table of the figure"});
  const more = make("details", {class: "numbers"}, make("summary", {html: "Table"}), table);
  const node = make("figure", {}, make("figcaption", {}, title), keys, box, source, more);
  let fig = null, width = 0, key = "";
  const draw = () => { if (fig && width > 40) box.innerHTML = svg(fig, width); };
  const fillTable = () => { if (more.open) table.innerHTML = numbers(fig); };
  more.addEventListener("toggle", fillTable);
  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry.contentRect.width);
    if (now !== width) { width = now; draw(); }
  }).observe(box);
  return {node, update(next) {
    if (next === fig) return;
    fig = next;
    title.textContent = fig.title;
    source.textContent = fig.source;
    node.classList.toggle("broad", fig.width >= 560);
    node.style.setProperty("--wide", `${fig.width}px`);
    const items = fig.key.map((item) => `<li>${swatch(fig, item)} ${safe(item.words)}</li>`).join("");
    if (items !== key) keys.innerHTML = key = items;
    width ||= Math.floor(box.clientWidth);
    draw();
    fillTable();
  }};
}

// What is seen: words, figures, widgets --------------------------------------------------------------

const SAID = ["readout", undefined]; // roles of words that are told when they change

function view(node, get) {
  let kept = [];
  return (parts) => {
    parts.forEach((part, i) => {
      const kind = part.fig ? "fig" : part.widget ? "widget" : `words ${part.as ?? ""}`;
      let old = kept[i];
      if (old?.kind !== kind) {
        const made = part.fig ? figure() : {node: make("div", {class: kind,
          ...(part.html !== undefined && SAID.includes(part.as) ? {"aria-live": "polite"} : {})})};
        if (old) old.node.replaceWith(made.node); else node.append(made.node);
        kept[i] = old = {...made, kind};
      }
      if (part.fig) old.update(part.fig);
      else if (old.part !== part) {
        if (part.widget) { old.node.replaceChildren(); build(part.widget, old.node, "", get); }
        else {
          const html = [].concat(part.html).join("");
          if (old.html !== html) old.node.innerHTML = old.html = html;
        }
        old.part = part;
      }
    });
    kept.splice(parts.length).forEach((old) => old.node.remove());
  };
}

/* A control with native inputs: calls chosen(position). */
let names = 0;
function control(spec, chosen) {
  const name = `c${names++}`, last = spec.labels.length - 1;
  if (spec.kind === "radio") {
    const inputs = spec.labels.map((label, i) => make("input", {type: "radio", name, id: `${name}-${i}`,
      checked: spec.at === i, onchange: () => chosen(i)}));
    const node = make("fieldset", {class: "radio"}, make("legend", {html: safe(spec.words)}),
      ...inputs.map((input, i) => make("label", {for: `${name}-${i}`}, input, " " + spec.labels[i])));
    return {node, put: (i) => { inputs[i].checked = true; }};
  }
  if (spec.kind === "select") {
    const select = make("select", {id: name, onchange: () => chosen(select.selectedIndex)},
      ...spec.labels.map((label, i) => make("option", {selected: spec.at === i}, label)));
    return {node: make("div", {class: "select"}, make("label", {for: name}, spec.words + " "), select),
      put: (i) => { select.selectedIndex = i; }};
  }
  const input = make("input", {type: "range", id: name, min: 0, max: last, step: 1, value: spec.at ?? 0});
  const said = make("output", {for: name});
  const say = () => { said.textContent = spec.labels[input.value]; input.setAttribute("aria-valuetext", said.textContent); };
  input.addEventListener("input", () => { say(); chosen(+input.value); });
  say();
  return {node: make("div", {class: "range"}, make("label", {for: name}, spec.words), input, spec.quiet ? "" : said),
    put: (i) => { input.value = i; say(); }};
}

/* Words before an opening with a button, and what opens. */
function cover(spec, node, controls, missing, show, get) {
  const words = make("div", {class: "words", html: spec.cover, "aria-live": "polite"});
  const box = make("div", {class: "view opened"}), update = view(box, get);
  let open = false, wanted = false;
  const settle = () => {
    const lack = missing();
    if (open || (wanted && !lack)) { open = true; words.replaceChildren(); update(show()); return; }
    update([]);
    words.innerHTML = `<i>${safe(lack || (spec.head || controls.length ? "Click Reveal to see." : ""))} ${wanted ? "It opens by itself then." : ""}</i>`;
  };
  const button = make("button", {type: "button", onclick: () => { wanted = true; open = false; settle(); }}, spec.button);
  node.append(make("div", {class: "words", html: spec.head ?? ""}), ...controls, button, words, box);
  return () => { if (!open) settle(); };
}

/* Controls whose positions stand in the link, above what show(positions) does with them. */
function movable(spec, node, id, box, show) {
  const state = spec.controls.map((one) => one.at ?? 0);
  const point = () => spec.controls.map((one, i) =>
    `${one.name}=${encodeURIComponent(one.values[state[i]])}`).join("&");
  const call = make("code"), link = make("button", {type: "button", class: "plain", onclick: () => {
    const url = `${location.href.replace(/#.*/, "")}#${id}?${point()}`;
    if (!navigator.clipboard) { prompt("", url); return; }  // on a page without https
    navigator.clipboard.writeText(url).then(() => { link.textContent = "Copied"; });
  }});
  const update = () => {
    show(state);
    call.textContent = (spec.call ?? "").replace("…", point());
    link.textContent = "Copy a link to this point";
  };
  const go = (i, position) => {
    state[i] = position;
    update();
    if (id) history.replaceState(null, "", `#${id}?${point()}`);
  };
  const inputs = spec.controls.map((one, i) => control(one, (position) => go(i, position)));
  const line = make("div", {class: "controls"}, ...inputs.map((one) => one.node));
  if (spec.play) line.append(player(inputs[0], spec.controls[0].labels.length, (i) => go(0, i), () => state[0]));
  node.append(line, box);
  const help = spec.note && document.getElementById("open-notebook");
  const note = make("p", {class: "note"}, spec.note ? `${spec.note} ` : "", help ? make("a", {href: "#open-notebook"}, "In a notebook") : null,
    spec.call ? (help ? ": " : "In a notebook: ") : "", spec.call ? call : "", " ", spec.call && id ? link : "");
  if (note.textContent.trim()) node.append(note);
  const restore = () => {
    const [named, rest] = location.hash.slice(1).split("?");
    if (!id || named !== id || !rest) return false;
    const given = new URLSearchParams(rest);
    spec.controls.forEach((one, i) => {
      const position = one.values.indexOf(given.get(one.name));
      if (position >= 0) { state[i] = position; inputs[i].put(position); }
    });
    update();
    return true;
  };
  if (id) addEventListener("hashchange", restore);
  if (restore()) node.scrollIntoView(); else update();
}

const KINDS = {
  moves(spec, node, id, get) {
    const box = make("div", {class: "view"}), update = view(box, get);
    movable(spec, node, id, box, (state) => update(spec.slots.map(({shape, at: table}) => {
      let place = 0;
      shape.forEach((size, i) => { place = place * size + (size === 1 ? 0 : state[i]); });
      return table[place];
    }).filter((number) => number >= 0).map(get)));
  },

  cover(spec, node, id, get) {
    const state = spec.controls.map(() => null);
    const place = () => spec.controls.reduce((sum, one, i) => sum * one.labels.length + state[i], 0);
    const missing = () => (state.includes(null) ? "Covered until you have answered." : "");
    let settle;
    const inputs = spec.controls.map((one, i) => control({...one, words: one.words === "answer" ? "Your answer" : one.words},
      (position) => { state[i] = position; settle(); }).node);
    settle = cover(spec, node, inputs, missing, () => get(spec.views[place()]), get);
  },

  guess(spec, node, id, get) {
    const values = spec.asked.map(() => 50), used = new Set();
    let settle;
    const inputs = spec.asked.map((words, i) => {
      const labels = [...Array(201).keys()].map((n) => (n / 2).toFixed(1));
      return control({kind: "range", words, labels, at: 100}, (n) => { values[i] = n / 2; used.add(i); settle(); }).node;
    });
    const show = () => spec.view.map((part) => {
      if (part.html) return {html: [].concat(part.html).join("").replace(/\{(\d+)\}/g, (_, i) => values[i].toFixed(1))};
      const [first, ...others] = part.fig.glyphs;
      return {fig: {...part.fig, glyphs: [{...first, x: values.map((v) => v / 100)}, ...others]}};
    });
    settle = cover(spec, node, inputs, () => (used.size < values.length ? text(spec.cover) : ""), show, get);
  },

  rank(spec, node, id, get) {
    const order = spec.places.map(() => null), n = spec.names.length;
    let settle;
    const inputs = spec.places.map((words, i) => control({kind: "select", words, at: 0, labels: ["choose", ...spec.names]},
      (position) => { order[i] = position ? position - 1 : null; settle(); }).node);
    const missing = () => {
      const twice = spec.names.filter((_, i) => order.filter((one) => one === i).length > 1).sort();
      if (twice.length) return text(spec.twice).replace("{}", twice.join(" and "));
      return order.includes(null) ? text(spec.cover) : "";
    };
    const place = () => order.reduce((sum, one, i) =>
      sum * (n - i) + one - order.slice(0, i).filter((before) => before < one).length, 0);
    settle = cover(spec, node, inputs, missing, () => get(spec.views[place()]), get);
  },

  fit(spec, node, id, get) {
    const said = make("div", {class: "words", "aria-live": "polite"}), box = make("div", {class: "view stack"}), draw = view(box, get);
    const update = ([first, second, ...rest]) => // the residuals stand below their points
      draw([first, {fig: {...second.fig, x: {...second.fig.x, ends: ends(first.fig, "x")}}}, ...rest]);
    const formula = FORMULAS[spec.formula], values = {};
    const free = (parts, found) => { // the curve and the residuals of these values in the place of Python's
      const of = (t) => formula(t, values), [first, second, ...rest] = parts;
      const line = spec.line.map(of), apart = spec.t.map((t, i) => spec.y[i] - of(t));
      const [area, curve, ...others] = first.fig.glyphs, [sticks, dots, ...more] = second.fig.glyphs;
      const squares = apart.reduce((sum, r) => sum + r * r, 0);
      said.innerHTML = isFinite(squares) ? spec.said.replace(/: .*$/, `: ${plainNumber(squares, 4)}`)
        : "this curve is not finite at the points: move a slider";
      if (!isFinite(squares)) return parts;
      return [{fig: {...first.fig, glyphs: [{...area, x: spec.line, y1: line, y2: line}, {...curve, x: spec.line, y: line}, ...others]}},
        {fig: {...second.fig, glyphs: [{...sticks, x0: spec.t, x1: spec.t, y1: apart}, {...dots, x: spec.t, y: apart}, ...more]}}, ...rest];
    };
    const bars = Object.entries(spec.sliders).map(([name, bar]) => {
      values[name] = bar.value;
      const input = make("input", {type: "range", id: `f${names++}`, min: bar.min, max: bar.max, step: "any", value: bar.value, disabled: !formula});
      const output = make("output", {for: input.id}, plainNumber(bar.value, 3));
      input.step = bar.step;
      input.addEventListener("input", () => { values[name] = +input.value; output.textContent = plainNumber(values[name], 3); update(free(spec.first)); });
      return {name, input, output, node: make("div", {class: "range"}, make("label", {for: input.id}, name), input, output)};
    });
    const fit = make("button", {type: "button", onclick: () => {
      for (const bar of bars) {
        const value = values[bar.name] = spec.values[bar.name];
        bar.input.min = Math.min(bar.input.min, value); bar.input.max = Math.max(bar.input.max, value);
        bar.input.value = value; bar.output.textContent = plainNumber(value, 3);
      }
      said.innerHTML = spec.found;
      update(spec.fit);
    }}, "Fit");
    node.append(make("div", {class: "controls"}, ...bars.map((bar) => bar.node)), fit,
      make("small", {}, " The fit starts from where the sliders stood at first; in a notebook, from where you put them."), said, box);
    said.innerHTML = spec.said;
    update(spec.first);
  },
};

/* cplab.animals has the words for these. */
const FORMULAS = {
  decline: (t, {normal, tau}) => normal * Math.exp(-t / tau),
  critical_period: (t, {d, tau1, tau2, k}) => Math.exp(-(t - d) / tau1) - k * Math.exp(-(t - d) / tau2),
  from_sensitivity: (s, {a, b, c}) => a * Math.exp(c * s) + b,
};

/* cplab.statistics.plain_number */
function plainNumber(value, digits) {
  if (value === 0 || !isFinite(value)) return String(value);
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  if (!(exponent > -6 && exponent < 9)) return `${mantissa} × 10^${+exponent}`;
  const places = Math.max(0, digits - 1 - exponent);
  return (+`${mantissa}e${exponent}`).toLocaleString("en", {minimumFractionDigits: places, maximumFractionDigits: places});
}

const text = (html) => make("div", {html}).textContent.trim().replace(/ It opens by itself then\.$/, "");

/* A button that runs through the positions of a slider. */
function player(input, count, go, now) {
  let timer = 0;
  const stop = () => { clearInterval(timer); timer = 0; button.textContent = "Play"; };
  const button = make("button", {type: "button", class: "plain", onclick: () => {
    if (timer) return stop();
    if (now() === count - 1) { input.put(0); go(0); }
    button.textContent = "Stop";
    timer = setInterval(() => {
      if (now() >= count - 1) return stop();
      const next = now() + 1;
      input.put(next);
      go(next);
    }, 900);
  }}, "Play");
  return button;
}

function build(spec, node, id, get) { KINDS[spec.kind](spec, node, id, get); }

window.cplab = ({pool, widgets}) => {
  const get = reader(pool);
  for (const [id, mark] of Object.entries(widgets)) {
    const node = document.getElementById(id);
    if (node) build(get(mark), node, id, get);
  }
};
cplab.kit = {make, movable, view};
})();
