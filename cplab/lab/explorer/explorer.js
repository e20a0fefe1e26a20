// `<cplab-explorer>`: selects among the points that Python sent once, and fills the figures that
// Python made with Bokeh. All numbers and sentences come from Python: nothing is computed from
// results here. It works without Python, too.
//
// The element holds two scripts: as JSON {content, state, version, html}, and BokehJS of that version.
//
//   content   all points with a result, and what is said and drawn of them: see ExplorerContent in
//             explorer.py, and Description in points.py for a point
//   state     what is chosen: a place, and {recovery, seeds, count, where}, see State in explorer.py
//   place     {deficit, onset, length} of a point; `keyOf` is its name in content.points
//   other     the key of the place with which the chosen one is compared, as a pale curve
//
// Whatever changes one of them then calls `draw`, which fills the figures' sources, `this.sources`,
// which figures.py names. An element of explorer.html with `data-is=NAME` is the property of
// that name. These files come before: page.js (`make`), unzip.js, screen.js (`say`, `collect`),
// training.js (`Training`, which lets Python train) and line.js (the line of time).

const SLIDERS = ["onset", "length", "recovery"];
const STAYS = {onset: "length", length: "onset"}; // what a grip leaves where it is, if possible
const GESTURE = 1000; // milliseconds in which moves belong together
const SAVED = 120; // milliseconds after a choice until Python is told
const NEAR = 3; // points that are offered where there is no result
const LETTER = 8; // pixels of a letter in the large figure, about
const AXIS = 60; // pixels left of that figure's epochs
const GAP = 2; // epochs between the end of a curve and its words
const NAMED = 0.26; // of the grey line's epochs, above which its name stands

const {abs, max, min} = Math;
const keyOf = ({deficit, onset, length}) => `${deficit},${onset},${length}`;

// Run BokehJS from its compressed code, once for each page and version.
async function loadBokeh(packed, version) {
  if (!globalThis.Bokeh?.[version]) {
    const text = new TextDecoder().decode(await unzip(packed));
    document.head.append(make("script", {text}));
  }
  return globalThis.Bokeh[version];
}

class Explorer extends Training {
  isHeld = false; // whether the pale curve stays, whatever is chosen
  movedAt = 0; // when another point was last chosen
  filled = new WeakMap(); // what each source of a figure holds, as JSON

  async begin() {
    const [data, bokeh] = [...this.querySelectorAll("script")].map((part) => part.textContent);
    const {content, state, version, html} = JSON.parse(data);
    this.innerHTML = html;
    this.querySelector("[data-is=line]").insertAdjacentHTML("afterbegin", PARTS);
    this.root = collect(this);
    this.state = state;
    this.first = state; // what a link does not say is as here
    this.other = content.other;
    this.hasAddress = document.body.matches(".jp-Notebook"); // a page of its own, not JupyterLab
    this.readContent(content);
    for (const {name, label} of content.deficits) {
      const properties = {type: "button", name: "deficit", value: name};
      this.deficits.append(make("button", properties, label));
    }
    this.source.textContent = content.source;
    this.listen();
    this.followLink();
    this.drawWords();
    globalThis.cplabLoading ??= loadBokeh(bokeh, version);
    this.Bokeh = await globalThis.cplabLoading;
    await this.embed();
    this.connect();
  }

  readContent(content) {
    this.content = content;
    this.looks = Object.fromEntries(content.deficits.map((look) => [look.name, look]));
  }

  listen() {
    this.root.onclick = ({target}) => {
      const {name, value} = target.closest("button") ?? {};
      if (name === "point") this.choose(this.content.points[value].place);
      else if (name) this.choose({[name]: value});
    };
    this.root.onchange = ({target: {name, type, value, checked}}) =>
      this.choose({[name]: type === "checkbox" ? checked : value});
    this.root.onkeydown = (event) => this.moveByKey(event);
    this.start.onclick = (event) => {
      clearTimeout(this.saving); // what is chosen is told with the press
      this.press(event);
    };
    this.compare.onclick = () => this.hold();
    this.more.onclick = () => {
      this.fold.hidden = !this.fold.hidden;
      this.more.ariaExpanded = !this.fold.hidden;
    };
    dragAlong(this.line, (grip) => {
      const from = {...this.state};
      return (part) => {
        const epochs = from[grip] + part * this.content.last;
        this.choose(this.nearest(from, grip, epochs));
      };
    });
    new ResizeObserver(() => this.draw()).observe(this.plots);
  }

  // Show the figures and sliders that Python made, in place of earlier ones.
  async embed() {
    const {documents} = this.Bokeh;
    for (const model of Object.values(this.models ?? {}))
      documents.splice(documents.indexOf(model.document), 1);
    const models = {};
    for (const [name, item] of Object.entries(this.content.figures)) {
      this[name].replaceChildren();
      const [view] = await this.Bokeh.embed.embed_item(item, this[name]);
      models[name] = view.model;
      if (SLIDERS.includes(name)) this.listenToSlider(name, view);
      else view.canvas_view.events_el.tabIndex = -1; // keys do nothing there
    }
    models.map.on_event("tap", ({x, y}) => {
      const {axes} = this.content;
      const onset = axes.onset[Math.floor(x)];
      const length = axes.length[Math.floor(y)];
      if (onset !== undefined && length !== undefined)
        this.choose({onset: +onset, length: +length});
    });
    this.sources = {};
    for (const {renderers} of [models.life, models.map])
      for (const {data_source} of renderers) this.sources[data_source.name] = data_source;
    this.models = models;
    this.draw();
  }

  listenToSlider(name, {model, shadow_el}) {
    model.value = this.state[name];
    model.properties.value.change.connect(() => this.choose({[name]: model.value}));
    shadow_el.querySelector("[role=slider]").ariaLabel = `${name}, epochs`;
  }

  // Python is there: it sends the content anew when something was trained.
  follow(model) {
    this.watch("content", (text) => {
      if (!text) return;
      this.readContent(JSON.parse(text));
      this.embed();
    });
    super.follow(model);
  }

  hear(live) {
    super.hear(live);
    this.drawWords();
  }

  // Links ----------------------------------------------------------------------------------------

  // On a page the address keeps the point, explorer.html#deficit=blur&onset=24&length=16, so that a
  // link shows others the same. In JupyterLab the address belongs to the notebook.
  followLink() {
    if (!this.hasAddress) return;
    const read = () => {
      const {chosen, unread} = readLink(location.hash, this.first, this.content);
      if (chosen) this.choose(chosen);
      say(this.note, unread.length ? `Not understood in the link: ${unread.join(", ")}.` : "");
    };
    addEventListener("hashchange", read);
    read();
  }

  // Actions --------------------------------------------------------------------------------------

  choose(change) {
    const state = {...this.state, ...change};
    state.count = +state.count;
    if (!this.model) state.recovery = nearestOf(this.content.recoveries, state.recovery);
    if (Object.entries(state).every(([name, value]) => this.state[name] === value)) return;
    this.remember(state);
    this.state = state;
    say(this.note, "");
    this.draw();
    const {deficit, onset, length, recovery} = state;
    const link = new URLSearchParams({deficit, onset, length, recovery});
    if (this.hasAddress) history.replaceState(null, "", `#${link}`);
    clearTimeout(this.saving);
    if (this.model) this.saving = setTimeout(() => this.tell(), SAVED);
  }

  // Before another place is chosen: the one before the gesture stays as a pale curve, unless another
  // one is held.
  remember(next) {
    if (keyOf(next) === keyOf(this.state)) return;
    const now = Date.now();
    const isNewGesture = now > this.movedAt + GESTURE;
    if (isNewGesture && !this.isHeld && this.endOf(this.state)) this.other = keyOf(this.state);
    this.movedAt = now;
  }

  // Hold the chosen point as the pale curve, whatever is chosen later; or compare with nothing.
  hold() {
    this.isHeld = !this.isHeld;
    this.other = this.isHeld ? keyOf(this.state) : undefined;
    this.draw();
  }

  // Arrows move among the deficits, which are a toolbar, and the grip that has the focus.
  moveByKey(event) {
    const {key, target} = event;
    const step = STEPS[key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.closest("[role=toolbar]")) {
      const next = step > 0 ? target.nextElementSibling : target.previousElementSibling;
      next?.focus();
      next?.click();
    }
    const {grip} = target.dataset;
    if (!grip) return;
    event.preventDefault();
    const from = this.state[grip];
    const isAhead = (place) => step * (place[grip] - from) > 0;
    this.choose(this.nearest(this.state, grip, from, isAhead));
  }

  // The places of a deficit that have a result.
  placesOf(deficit) {
    const all = Object.values(this.content.points).map(({place}) => place);
    return all.filter((place) => place.deficit === deficit && this.endOf(place));
  }

  // The place with a result at which a grip is nearest to a value, of those allowed. What stays, if
  // possible, where it was in `from` counts half.
  nearest(from, grip, value, isAllowed = () => true) {
    const stays = STAYS[grip];
    const distance = (place) => abs(place[grip] - value) + abs(place[stays] - from[stays]) / 2;
    const allowed = this.placesOf(from.deficit).filter(isAllowed);
    const [best = {}] = allowed.sort((a, b) => distance(a) - distance(b));
    return best;
  }

  // What Python says of a place at the end of the chosen recovery; undefined without a result.
  endOf(place) {
    return this.content.points[keyOf(place)]?.at[this.state.recovery];
  }

  // The place that the chosen one is compared with; undefined if there is none, or no result.
  compared() {
    const place = this.content.points[this.other]?.place;
    const isOther = place && this.other !== keyOf(this.state);
    return isOther && this.endOf(place) ? place : undefined;
  }

  // Drawing --------------------------------------------------------------------------------------

  draw() {
    this.drawWords();
    if (!this.models) return;
    for (const name of SLIDERS) this.models[name].value = this.state[name];
    this.drawLife();
    this.drawMap();
    this.drawLive();
    for (const figure of [this.life, this.map])
      figure.ariaLabel = `${figure.previousElementSibling.firstChild.data}: ${this.head.textContent}`;
  }

  // Draw all but the figures: sentences, buttons and fields, the line of time, the line of Python.
  drawWords() {
    const {state, content, root} = this;
    const {deficit, onset, length, recovery} = state;
    const look = this.looks[deficit];
    root.style.cssText = `--deficit: ${look.colour}; --on-deficit: ${look.ink}`;
    this.drawSentences();
    for (const button of this.deficits.children) {
      // Tab finds the pressed one, arrows the others
      const isPressed = button.value === deficit;
      button.ariaPressed = isPressed;
      button.tabIndex = isPressed ? 0 : -1;
    }
    this.compare.ariaPressed = this.isHeld;
    for (const field of root.querySelectorAll("select")) field.value = state[field.name];
    root.querySelector("[name=seeds]").checked = state.seeds;
    drawLine(this.line, content.last, state, ["clear", look.label, "recovery"]);
    drawStrip(this.before, content.clear);
    drawStrip(this.during, look.picture);
    drawStrip(this.after, content.clear);
    // In the line of Python, placeholders stand for what is chosen.
    this.code.textContent = content.call
      .replace("'deficit'", `'${deficit}'`)
      .replace("1111", onset)
      .replace("2222", length)
      .replace("3333", recovery);
    this.drawLive();
  }

  drawSentences() {
    const {content, state} = this;
    const end = this.endOf(state);
    if (end) {
      say(this.head, end.head);
      say(this.small, end.small);
    } else {
      say(this.head, this.isInTraining() ? content.training : content.untrained);
      this.offer();
    }
    const other = this.compared();
    let beside = other ? `Pale line – ${this.endOf(other).brief}` : "";
    if (this.isHeld && !other) beside = "This curve is held: choose another point beside it.";
    say(this.beside, beside);
  }

  // Whether Python trains the chosen point now.
  isInTraining() {
    const {points = []} = this.live; // [deficit, onset, length] each
    return this.busy && points.some((point) => String(point) === keyOf(this.state));
  }

  // The nearest points with a result, as buttons.
  offer() {
    const {deficit, onset, length} = this.state;
    const distance = (place) => abs(place.onset - onset) + abs(place.length - length);
    const places = this.placesOf(deficit).sort((a, b) => distance(a) - distance(b));
    const near = places.slice(0, NEAR);
    const keys = String(near.map(keyOf));
    if (this.small.dataset.near === keys && this.small.children.length) return; // they stand there
    this.small.dataset.near = keys;
    const buttons = near.map((place) => {
      const properties = {type: "button", name: "point", value: keyOf(place)};
      return make("button", properties, `onset ${place.onset}, length ${place.length}`);
    });
    this.small.replaceChildren(near.length ? "Nearest results: " : "", ...buttons);
  }

  // The large figure: accuracy after each clear epoch.
  drawLife() {
    const {content, state} = this;
    const other = this.compared();
    this.colourCurve("own", state);
    if (other) this.colourCurve("other", other);
    this.drawBand("clear", content.grey, {from: 0, until: content.longest, shift: 0}, "never");
    const harms = [this.drawPoint("own", state), this.drawPoint("other", other)].filter(Boolean);
    const [higher] = harms.toSorted((a, b) => b.level - a.level);
    const tags = harms.map((harm) => this.tag(harm, harms.length > 1 && harm === higher));
    if (content.grey) tags.push(this.greyName());
    this.fill("tag", columnsOf(tags, ["x", "y", "text", "align", "baseline", "offset", "weight"]));
    this.fill("bracket", columnsOf(harms, ["x", "low", "high"]));
  }

  // Give a curve and its band the colour of a place's deficit.
  colourCurve(name, {deficit}) {
    const {colour} = this.looks[deficit];
    for (const renderer of this.models.life.renderers) {
      if (renderer.name !== name) continue;
      for (const property of ["line_color", "fill_color"])
        if (property in renderer.glyph.properties) renderer.glyph.setv({[property]: colour});
    }
  }

  // Draw the curve of a place, if there is one with a result. name: "own" of the chosen place, or
  // "other". Returns where its harm stands, if it has one: {x, level, low, high, text, weight}.
  drawPoint(name, place) {
    const end = place && this.endOf(place);
    if (!end) {
      this.drawBand(name);
      return undefined;
    }
    const {recovery} = this.state;
    const {bands} = this.content.points[keyOf(place)];
    const band = bands.find(({upto}) => upto >= recovery);
    const {onset, length} = place;
    const from = onset + length;
    this.drawBand(name, band, {from, until: from + recovery, shift: length}, end.name, onset);
    if (!end.harm) return undefined;
    const levels = [end.level, end.level + end.harm[0]];
    return {
      x: onset + recovery + 1,
      level: end.level,
      low: min(...levels),
      high: max(...levels),
      text: this.compared() ? `${end.name}: ${end.tag}` : end.tag,
      weight: name === "own" ? "bold" : "normal",
    };
  }

  // Draw a mean with its band and, if they are wanted, a line for each seed; nothing without a band.
  // Arguments: name, of the source; band, range, who, onset, see `bandRows`.
  drawBand(name, band, range, who, onset = 0) {
    this.fill(name, bandRows(band, range, who, onset));
    const hasLines = this.state.seeds && band && name !== "other";
    const curves = hasLines ? Object.values(band.seeds) : [];
    const lines = curves.map((curve) => lineRows(curve, range));
    this.fill(`${name} seeds`, {xs: lines.map(({x}) => x), ys: lines.map(({y}) => y)});
  }

  // The words of a harm: right of the end of its line, or up to the edge if there is no room.
  tag({x, low, high, text, weight}, isAbove) {
    const {start, end} = this.models.life.x_range;
    const epochsOfPixel = (end - start) / (this.life.clientWidth - AXIS);
    const width = LETTER * text.length * epochsOfPixel;
    const isBeside = x + GAP + width < end;
    return {
      x: isBeside ? x + GAP : end,
      y: isAbove ? high : low,
      text,
      align: isBeside ? "left" : "right",
      baseline: isAbove ? "bottom" : "top",
      offset: isAbove ? -6 : 6,
      weight,
    };
  }

  // The name of the grey line, above its rise: as high as the line is where the name ends.
  greyName() {
    const {grey, longest} = this.content;
    const last = min(Math.round(NAMED * longest), grey.mean.length) - 1;
    return {
      x: 0,
      y: (grey.mean[last] + grey.half[last]) / 10,
      text: "twin",
      align: "left",
      baseline: "bottom",
      offset: -2,
      weight: "normal",
    };
  }

  // The map: the harm of each place of the chosen deficit, and marks around those that are drawn.
  drawMap() {
    const {state, content} = this;
    const cells = this.placesOf(state.deficit).map((place) => this.cell(place));
    const columns = ["onset", "length", "value", "text", "hue", "alpha", "hatch", "words"];
    this.fill("cells", columnsOf(cells, columns));
    const other = this.compared();
    const marks = [{...axisLabels(state), alpha: 1}];
    if (other?.deficit === state.deficit) marks.push({...axisLabels(other), alpha: 0.4});
    const {axes} = content;
    const isInMap = ({onset, length}) => axes.onset.includes(onset) && axes.length.includes(length);
    this.fill("mark", columnsOf(marks.filter(isInMap), ["onset", "length", "alpha"]));
  }

  // A cell of the map: coloured by its harm, or hatched where that is level.
  cell(place) {
    const {harm, sign, brief} = this.endOf(place);
    const value = (harm?.[0] ?? 0) / this.content.most; // of the colours, from -1 to 1
    const hasInterval = harm && harm[1] !== null;
    return {
      ...axisLabels(place),
      value,
      text: inWords(harm),
      alpha: sign ? 1 : 0,
      hatch: hasInterval && !sign ? 0.35 : 0,
      hue: sign && abs(value) > 0.55 ? "#FFFFFF" : "#111111", // legible on the colour
      words: brief,
    };
  }

  // Draw what Python says of the work, and the curves that it trains now.
  drawLive() {
    super.drawLive();
    const {busy, canTrain, live, state} = this;
    this.start.textContent = busy ? "Stop" : "Train";
    this.todo.hidden = !canTrain || busy;
    if (!this.models) return;
    const {onset, length} = state;
    const curves = (canTrain && live.curves?.[keyOf(state)]) || []; // accuracies after each epoch
    // Clear epochs after each epoch: none passes during the deficit
    const clearEpochs = (i) => (i < onset ? i + 1 : max(onset, i + 1 - length));
    const xs = curves.map((curve) => curve.map((_, i) => clearEpochs(i)));
    this.fill("live", {xs, ys: curves});
  }

  // Give a source its columns, unless it has them: each assignment paints.
  fill(name, columns) {
    const source = this.sources[name];
    const text = JSON.stringify(columns);
    if (this.filled.get(source) !== text) source.data = columns;
    this.filled.set(source, text);
  }
}

// Links -------------------------------------------------------------------------------------------

// What a link chooses, such as #deficit=blur&onset=24&length=16: {chosen, unread}. `chosen` is a place
// and a recovery, with what is missing as in `first`, or undefined if the address names none; unread
// are the parts that were not understood.
function readLink(hash, first, content) {
  const parts = [...new URLSearchParams(decodeLink(hash.slice(1)))];
  const chosen = {};
  const unread = [];
  for (const [name, text] of parts) {
    const field = fieldOf(name);
    const value = readValue(field, text, content);
    if (value !== undefined) chosen[field] = value;
    else unread.push(text ? `${name}=${text}` : name);
  }
  const fields = ["deficit", ...SLIDERS];
  const isLink = parts.some(([name]) => fields.includes(fieldOf(name)));
  if (!isLink) return {unread: []}; // of another element, such as a heading
  const {deficit, onset, length, recovery} = first;
  return {chosen: {deficit, onset, length, recovery, ...chosen}, unread};
}

// Mail programs and course pages write & as &amp; and = as %3D, some of them twice.
function decodeLink(text) {
  for (let time = 0; time < 2; time++) {
    try {
      text = decodeURIComponent(text);
    } catch {
      break; // a sign of per cent that stands for itself
    }
  }
  return text.replaceAll("&amp;", "&");
}

const fieldOf = (name) => name.trim().toLowerCase();

// The value of a field in a link, of which a sentence around it may have left its last sign;
// undefined if it is none.
function readValue(field, text, {deficits, recoveries, sliders}) {
  const words = fieldOf(text.trim().replace(/[.,;)\]>]+$/, ""));
  if (field === "deficit") {
    const isMeant = ({name, label}) => [name.toLowerCase(), label.toLowerCase()].includes(words);
    return deficits.find(isMeant)?.name;
  }
  const [low, high] = field === "recovery" ? [1, recoveries.at(-1)] : (sliders[field] ?? []);
  const number = /^\d+$/.test(words) ? +words : NaN;
  return low <= number && number <= high ? number : undefined;
}

// Rows of the figures -----------------------------------------------------------------------------

// A range of a curve is {from, until, shift}: epochs of training, of which the clear ones are drawn.
// `shift` of them were not clear, so the point of epoch i, counted from 0, stands at i + 1 - shift.

// That range of a curve in thousandths, as points in percent.
function lineRows(curve, {from, until, shift}) {
  const part = curve.slice(from, until);
  return {
    x: part.map((_, i) => from + i + 1 - shift),
    y: part.map((thousandths) => thousandths / 10),
  };
}

// The same of a band, {mean, half, seeds}, with its low and high ends, and in words that begin with
// whose it is. It begins at the last clear epoch before the onset, if there was one.
function bandRows(band, range, who, onset) {
  const rows = {x: [], mean: [], low: [], high: [], words: []};
  if (!band) return rows;
  const {mean, half, seeds} = band;
  const {from, until, shift} = range;
  const epochs = onset ? [onset - 1] : [];
  for (let i = from; i < min(until, mean.length); i++) epochs.push(i);
  for (const i of epochs) {
    const [level, reach] = [mean[i] / 10, half[i] / 10];
    const clear = i < onset ? i + 1 : i + 1 - shift;
    const count = Object.values(seeds).filter((curve) => curve.length > i).length;
    const interval = count > 1 ? ` ± ${reach.toFixed(1)}` : "";
    rows.x.push(clear);
    rows.mean.push(level);
    rows.low.push(max(0, level - reach));
    rows.high.push(min(100, level + reach));
    rows.words.push(`${who}: ${level.toFixed(1)}${interval} % after ${clear} clear epochs`);
  }
  return rows;
}

// Rows as columns of these names.
function columnsOf(rows, names) {
  return Object.fromEntries(names.map((name) => [name, rows.map((row) => row[name])]));
}

// Where a place is on the axes of the map, which are texts.
const axisLabels = ({onset, length}) => ({onset: `${onset}`, length: `${length}`});

const nearestOf = (values, wanted) =>
  values.reduce((a, b) => (abs(b - wanted) < abs(a - wanted) ? b : a));

// A harm, [mean, half of its interval], for a cell of the map; without a harm, a question mark.
function inWords(harm) {
  if (!harm) return "?";
  const [mean, half] = harm;
  return half === null ? `${oneDecimal(mean)} (1)` : oneDecimal(mean);
}

customElements.define("cplab-explorer", Explorer);
