// `<cplab-explorer>`: selects among the points that Python sent once, and fills the figures that
// Python made with Bokeh. All numbers and sentences come from Python: nothing is computed from
// results here.
//
// The element holds its content as JSON, and BokehJS. It works without Python, too.
//
// What the explorer knows: `state`, the chosen point; `data`, all points with a result; `other`, the
// key of the point that it is compared with. Whatever changes one of them then calls `draw`, which
// fills the figures' sources, `this.sources`. An element of explorer.html with `data-is=NAME` is the
// property of that name. `Training`, which asks Python to train, and the line of time are in
// screen.js; `make` is in page.js.

// Run BokehJS from its compressed code, once for each page and version.
async function loadBokeh(packed, version) {
  if (!globalThis.Bokeh?.[version]) {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const code = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    document.head.append(make("script", {text: await new Response(code).text()}));
  }
  return globalThis.Bokeh[version];
}

const SLIDERS = ["onset", "length", "recovery"];
const STAYS = {onset: "length", length: "onset"}; // what a grip leaves where it is, if possible
const GESTURE = 1000; // milliseconds in which moves belong together
const NEAR = 3; // points that are offered where there is no result

const {abs, max, min} = Math;
const keyOf = ({deficit, onset, length}) => `${deficit},${onset},${length}`;

class Explorer extends Training {
  async begin() {
    const [data, bokeh] = [...this.querySelectorAll("script")].map((part) => part.textContent);
    const {content, state, version, html} = JSON.parse(data);
    this.root = furnish(this, html);
    Object.assign(this, {state, first: state, filled: new WeakMap()});
    this.linked = document.body.matches(".jp-Notebook");
    this.readContent(content);
    this.other = content.other; // the point that the chosen one is compared with
    for (const look of content.deficits) {
      const traits = {type: "button", name: "deficit", value: look.name};
      this.deficits.append(make("button", traits, look.label));
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

  listen() {
    this.root.onclick = ({target}) => {
      const {name, value} = target.closest("button") ?? {};
      if (name === "point") this.choose(this.data.points[value].place);
      else if (name) this.choose({[name]: value});
    };
    this.root.onchange = ({target: {name, type, value, checked}}) =>
      this.choose({[name]: type === "checkbox" ? checked : value});
    this.root.onkeydown = (event) => this.key(event);
    this.start.onclick = (event) => this.ask(event);
    this.compare.onclick = () => this.hold();
    this.more.onclick = () => {
      this.fold.hidden = !this.fold.hidden;
      this.more.ariaExpanded = !this.fold.hidden;
    };
    dragAlong(this.line, (grip) => {
      const from = {...this.state};
      const begin = from[grip];
      return (part) => this.choose(this.nearest(from, grip, begin + part * this.data.last));
    });
    new ResizeObserver(() => this.draw()).observe(this.plots);
  }

  // Show the figures and sliders that Python made, in place of earlier ones.
  async embed() {
    const {documents} = this.Bokeh;
    for (const model of Object.values(this.models ?? {}))
      documents.splice(documents.indexOf(model.document), 1);
    const models = {};
    for (const [name, item] of Object.entries(this.data.figures)) {
      this[name].replaceChildren();
      const [view] = await this.Bokeh.embed.embed_item(item, this[name]);
      models[name] = view.model;
      if (SLIDERS.includes(name)) this.listenToSlider(name, view);
      else view.canvas_view.events_el.tabIndex = -1; // keys do nothing there
    }
    models.map.on_event("tap", ({x, y}) => {
      const {onset, length} = this.data.axes;
      const chosen = [onset[Math.floor(x)], length[Math.floor(y)]];
      if (!chosen.includes(undefined)) this.choose({onset: +chosen[0], length: +chosen[1]});
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

  follow(model) {
    this.take("content", (text) => {
      // after training
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

  readContent(data) {
    this.data = data;
    this.looks = Object.fromEntries(data.deficits.map((look) => [look.name, look]));
  }

  // Links ----------------------------------------------------------------------------------------

  // On a page the address keeps the point, explorer.html#deficit=blur&onset=24&length=16, so that a
  // link shows others the same. In JupyterLab the address belongs to the notebook.
  followLink() {
    if (!this.linked) return;
    const read = () => {
      const {place, unread} = readLink(location.hash, this.first, this.data);
      if (place) this.choose(place);
      say(this.note, unread.length ? `Not understood in the link: ${unread.join(", ")}.` : "");
    };
    addEventListener("hashchange", read);
    read();
  }

  // Actions --------------------------------------------------------------------------------------

  choose(change) {
    const place = {...this.state, ...change};
    place.count = +place.count;
    if (!this.model) place.recovery = nearestOf(this.data.recoveries, place.recovery);
    if (Object.entries(place).every(([name, value]) => this.state[name] === value)) return;
    this.remember(place);
    this.state = place;
    say(this.note, "");
    this.draw();
    const {deficit, onset, length, recovery} = place;
    if (this.linked)
      history.replaceState(null, "", `#${new URLSearchParams({deficit, onset, length, recovery})}`);
    clearTimeout(this.saving);
    if (this.model) this.saving = setTimeout(() => this.tell(), 120);
  }

  // The point that was chosen before a gesture stays as a pale curve, unless another one is held.
  remember(place) {
    if (keyOf(place) === keyOf(this.state)) return;
    const now = Date.now();
    if (now > (this.moved ?? 0) + GESTURE && !this.held && this.end(this.state))
      this.other = keyOf(this.state);
    this.moved = now;
  }

  // Hold the chosen point as the pale curve, whatever is chosen later; or compare with nothing.
  hold() {
    this.held = !this.held;
    this.other = this.held ? keyOf(this.state) : undefined;
    this.draw();
  }

  ask(event) {
    clearTimeout(this.saving);
    this.press(event);
  }

  key(event) {
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
    this.choose(this.nearest(this.state, grip, from, (place) => step * (place[grip] - from) > 0));
  }

  // The places of the chosen deficit that have a result.
  places({deficit} = this.state) {
    const all = Object.values(this.data.points).map(({place}) => place);
    return all.filter((place) => place.deficit === deficit && this.end(place));
  }

  // The place with a result at which a grip is nearest to a value, of those allowed. What stays, if
  // possible, where it was in `from` counts half.
  nearest(from, grip, value, allowed = () => true) {
    const stays = STAYS[grip];
    const distance = (place) => abs(place[grip] - value) + abs(place[stays] - from[stays]) / 2;
    const [best = {}] = this.places(from)
      .filter(allowed)
      .sort((a, b) => distance(a) - distance(b));
    return best;
  }

  // What Python says of a place at the end of the chosen recovery; undefined without a result.
  end(place) {
    return this.data.points[keyOf(place)]?.at[this.state.recovery];
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
    const {state, data, root} = this;
    const {deficit, onset, length, recovery} = state;
    const look = this.looks[deficit];
    root.style.cssText = `--deficit: ${look.colour}; --on-deficit: ${look.ink}`;
    this.drawSentences();
    for (const button of this.deficits.children) {
      // Tab finds the pressed one, arrows the others
      button.ariaPressed = button.value === deficit;
      button.tabIndex = button.ariaPressed === "true" ? 0 : -1;
    }
    this.compare.ariaPressed = Boolean(this.held);
    for (const field of root.querySelectorAll("input[name], select"))
      field[field.type === "checkbox" ? "checked" : "value"] = state[field.name];
    drawLine(this.line, data.last, state, ["clear", look.label, "recovery"]);
    drawStrip(this.before, data.clear);
    drawStrip(this.during, look.picture);
    drawStrip(this.after, data.clear);
    this.code.textContent = data.call
      .replace("'deficit'", `'${deficit}'`)
      .replace("1111", onset)
      .replace("2222", length)
      .replace("3333", recovery);
    this.drawLive();
  }

  drawSentences() {
    const {data, state} = this;
    const end = this.end(state);
    const points = (this.alive && this.live.busy && this.live.points) || [];
    const isTrained = points.some((point) => String(point) === keyOf(state));
    say(this.head, end?.head ?? (isTrained ? data.training : data.untrained));
    if (end) say(this.small, end.small);
    else this.offer();
    const other = this.compared();
    let beside = other ? `Pale line – ${this.end(other).brief}` : "";
    if (this.held && !other) beside = "This curve is held: choose another point beside it.";
    say(this.beside, beside);
  }

  // The nearest points with a result, as buttons.
  offer() {
    const {onset, length} = this.state;
    const distance = (place) => abs(place.onset - onset) + abs(place.length - length);
    const places = this.places().sort((a, b) => distance(a) - distance(b));
    const near = places.slice(0, NEAR);
    const words = near.length ? "Nearest results: " : "";
    if (this.small.dataset.near === String(near.map(keyOf)) && this.small.children.length) return;
    this.small.dataset.near = near.map(keyOf);
    const buttons = near.map((place) => {
      const traits = {type: "button", name: "point", value: keyOf(place)};
      return make("button", traits, `onset ${place.onset}, length ${place.length}`);
    });
    this.small.replaceChildren(words, ...buttons);
  }

  // The place that the chosen one is compared with; undefined if there is none, or no result.
  compared() {
    const place = this.data.points[this.other]?.place;
    return place && this.other !== keyOf(this.state) && this.end(place) ? place : undefined;
  }

  // The large figure: accuracy after each clear epoch.
  drawLife() {
    const {data, state} = this;
    const other = this.compared();
    for (const {name, glyph} of this.models.life.renderers) {
      const place = {own: state, other}[name];
      if (!place) continue;
      const {colour} = this.looks[place.deficit];
      for (const part of ["line_color", "fill_color"])
        if (part in glyph.properties) glyph.setv({[part]: colour});
    }
    this.drawBand("clear", data.grey, {from: 0, until: data.longest, shift: 0}, "never");
    const drawn = [state, other].map((place, i) => this.drawPoint(place, i ? "other" : "own"));
    const tags = drawn.filter(Boolean);
    const [higher] = tags.toSorted((a, b) => b.level - a.level);
    const texts = tags.map((tag) => this.tag(tag, tags.length > 1 && tag === higher));
    if (data.grey) texts.push(this.greyName());
    this.fill("tag", columnsOf(texts, ["x", "y", "text", "align", "baseline", "offset", "weight"]));
    this.fill("bracket", columnsOf(tags, ["x", "low", "high"]));
  }

  // Draw the curve of a point. Returns where its harm is written, and how, if it has a result.
  drawPoint(place, name) {
    const end = place && this.end(place);
    const {recovery} = this.state;
    const {bands} = (end && this.data.points[keyOf(place)]) ?? {};
    const band = bands?.find(({upto}) => upto >= recovery);
    const {onset = 0, length = 0} = place ?? {};
    const from = onset + length;
    this.drawBand(name, band, {from, until: from + recovery, shift: length}, end?.name, onset);
    if (!end?.harm) return undefined;
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

  // A mean with its band and, if they are wanted, a line for each seed.
  drawBand(name, band, range, who, onset = 0) {
    this.fill(name, bandRows(band, range, who, onset));
    const curves = this.state.seeds && band && name !== "other" ? Object.values(band.seeds) : [];
    const rows = curves.map((curve) => lineRows(curve, range));
    this.fill(`${name} seeds`, {xs: rows.map(({x}) => x), ys: rows.map(({y}) => y)});
  }

  // The words of a harm: right of the end of its line, or up to the edge if there is no room.
  tag({x, low, high, text, weight}, isAbove) {
    const {start, end} = this.models.life.x_range;
    const room = (8 * text.length * (end - start)) / (this.life.clientWidth - 60);
    const isBeside = x + 2 + room < end;
    return {
      x: isBeside ? x + 2 : end,
      y: isAbove ? high : low,
      text,
      align: isBeside ? "left" : "right",
      baseline: isAbove ? "bottom" : "top",
      offset: isAbove ? -6 : 6,
      weight,
    };
  }

  // The name of the grey line, above its rise.
  greyName() {
    const {grey, longest} = this.data;
    const last = min(Math.round(0.26 * longest), grey.mean.length) - 1;
    const y = (grey.mean[last] + grey.half[last]) / 10;
    const [align, baseline, offset, weight] = ["left", "bottom", -2, "normal"];
    return {x: 0, y, text: "twin", align, baseline, offset, weight};
  }

  drawMap() {
    const {state, data} = this;
    const columns = ["onset", "length", "value", "text", "hue", "alpha", "hatch", "words"];
    const rows = this.places().map((place) => {
      const {harm, sign, brief} = this.end(place);
      const value = (harm?.[0] ?? 0) / data.most;
      const single = harm?.[1] === null;
      return {
        ...inTexts(place),
        value,
        text: inWords(harm),
        alpha: sign ? 1 : 0,
        hatch: harm && !sign && !single ? 0.35 : 0,
        hue: sign && abs(value) > 0.55 ? "#FFFFFF" : "#111111",
        words: brief,
      };
    });
    this.fill("cells", columnsOf(rows, columns));
    const other = this.compared();
    const marks = [{...inTexts(state), alpha: 1}];
    if (other?.deficit === state.deficit) marks.push({...inTexts(other), alpha: 0.4});
    const isInMap = ({onset, length}) =>
      data.axes.onset.includes(onset) && data.axes.length.includes(length);
    this.fill("mark", columnsOf(marks.filter(isInMap), ["onset", "length", "alpha"]));
  }

  drawLive() {
    super.drawLive();
    const {busy, live} = this;
    const can = this.alive && !this.why;
    this.start.textContent = busy ? "Stop" : "Train";
    this.todo.hidden = !can || busy;
    if (!this.models) return;
    const {onset, length} = this.state;
    const curves = (can && live.curves?.[keyOf(this.state)]) || [];
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

// A point in a link, such as #deficit=blur&onset=24&length=16: what is missing is as in `first`.
// Mail programs and course pages write & as &amp; and = as %3D. Returns {place, unread}: no place
// if the address names none, and the parts that were not understood.
function readLink(hash, first, {deficits, recoveries, sliders}) {
  let text = hash.slice(1);
  for (let time = 0; time < 2; time++)
    try {
      text = decodeURIComponent(text);
    } catch {
      break; // a sign of per cent that stands for itself
    }
  const parts = [...new URLSearchParams(text.replaceAll("&amp;", "&"))];
  const place = {};
  const unread = [];
  for (const [name, value] of parts) {
    const field = name.trim().toLowerCase();
    const words = value
      .trim()
      .replace(/[.,;)\]>]+$/, "")
      .toLowerCase();
    const look = deficits.find((look) =>
      [look.name, look.label].some((x) => x.toLowerCase() === words),
    );
    const [low, high] = field === "recovery" ? [1, recoveries.at(-1)] : (sliders[field] ?? []);
    if (field === "deficit" && look) place.deficit = look.name;
    else if (/^\d+$/.test(words) && low <= +words && +words <= high) place[field] = +words;
    else unread.push(value ? `${name}=${value}` : name);
  }
  const known = ["deficit", ...SLIDERS];
  const isLink = parts.some(([name]) => known.includes(name.trim().toLowerCase()));
  if (!isLink) return {unread: []}; // of another element, such as a heading
  const {deficit, onset, length, recovery} = first;
  return {place: {deficit, onset, length, recovery, ...place}, unread};
}

// Rows of the large figure ------------------------------------------------------------------------

// A part of a curve in thousandths, as points in percent. `from` and `until` count its epochs, and
// `shift` of these were not clear.
function lineRows(curve, {from, until, shift}) {
  const shown = curve.slice(from, until);
  return {
    x: shown.map((_, i) => from + i + 1 - shift),
    y: shown.map((thousandths) => thousandths / 10),
  };
}

// The same part of a band, if there is one, with its low and high ends, and in words. It begins at
// the last clear epoch before the deficit, if there was one.
function bandRows(band, {from, until, shift}, who, onset) {
  const rows = {x: [], mean: [], low: [], high: [], words: []};
  const {mean = [], half = [], seeds = {}} = band ?? {};
  const epochs = onset && mean.length ? [onset - 1] : [];
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

const inTexts = ({onset, length}) => ({onset: `${onset}`, length: `${length}`});

const nearestOf = (values, wanted) =>
  values.reduce((a, b) => (abs(b - wanted) < abs(a - wanted) ? b : a));

// A harm for a cell of the map; without a harm, a question mark.
function inWords(harm) {
  if (!harm) return "?";
  const number = harm[0]
    .toFixed(1)
    .replace("-", "−")
    .replace(/^−0\.0$/, "0.0");
  return harm[1] === null ? `${number} (1)` : number;
}

customElements.define("cplab-explorer", Explorer);
