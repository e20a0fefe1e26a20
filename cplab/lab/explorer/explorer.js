// `<cplab-explorer>`: selects among the points that Python sent once, and fills the figures that
// Python made with Bokeh. All numbers come from Python: nothing is computed from results here. It
// works without Python, too.
//
// The element holds two scripts: as JSON {content, state, version, html}, and BokehJS of that version.
//
//   content   all points with a result, and what is said and drawn of them: see ExplorerContent in
//             explorer.py, and Description in points.py for a point
//   state     what is chosen: a place, the second one or null, and {recovery, seeds, count, where},
//             see State in explorer.py
//   place     {deficit, onset, length}, a window; `keyOf` is its name in content.points
//
// Whatever changes one of them then calls `draw`, which fills the figures' sources, `this.sources`,
// which figures.py names. An element of explorer.html with `data-is=NAME` is the property of
// that name. These files come before: page.js (`make`), unzip.js, screen.js (`say`, `collect`),
// bar.js (the line of life), words.js (sentences), labels.js, and training.js (`Training`, which lets
// Python train).
//
// In a question, which is the element around it, nothing can be moved, and what is drawn and said is
// covered until the answer is seen.

const SLIDERS = ["onset", "length", "recovery"];
const CURVES = ["own", "other"]; // the source of each window
const STAYS = {onset: "length", length: "onset"}; // what a grip leaves where it is, if possible
const SAVED = 120; // milliseconds after a choice until Python is told
const PLAYED = 2000; // milliseconds in which lives are shown as they grew
const NEAR = 3; // points that are offered where there is no result
const NAMED = 0.26; // of the grey line's epochs, above which its name stands

// Pixels of the large figure
const LINE_HEIGHT = 18; // of its labels
const BESIDE = 8; // between the end of a line and its label
const PEN = document.createElement("canvas").getContext("2d"); // measures words
PEN.font = "bold 14px system-ui, sans-serif"; // as in figures.py

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
  age = Infinity; // epochs of life up to which lines are drawn
  filled = new WeakMap(); // what each source of a figure holds, as JSON

  async begin() {
    const [data, bokeh] = [...this.querySelectorAll("script")].map((part) => part.textContent);
    const {content, state, version, html} = JSON.parse(data);
    this.asked = this.closest("cplab-question");
    this.innerHTML = html;
    this.root = collect(this);
    this.state = state;
    this.first = state; // what a link does not say is as here
    this.hasAddress = !this.asked && document.body.matches(".jp-Notebook"); // not JupyterLab
    this.readContent(content);
    this.addControls();
    this.listen();
    this.followLink();
    this.drawWords();
    globalThis.cplabLoading ??= loadBokeh(bokeh, version);
    this.Bokeh = await globalThis.cplabLoading;
    await this.embed();
    if (!this.asked) this.connect();
  }

  readContent(content) {
    this.content = content;
    this.looks = Object.fromEntries(content.deficits.map((look) => [look.name, look]));
  }

  addControls() {
    const {asked, content} = this;
    const select = this.secondKind.querySelector("select");
    for (const {name, label} of content.deficits) {
      this.deficits.append(
        make("button", {type: "button", name: "deficit", value: name, textContent: label}),
      );
      select.append(make("option", {value: name, textContent: label}));
    }
    this.source.textContent = content.source;
    this.lanes = [0, 1].map((index) => {
      const last = () => this.content.last;
      const current = () => this.places[index];
      const moves = {
        drag: (grip, epochs, from) =>
          this.move(index, this.nearest(from, grip, from[grip] + epochs)),
        leap: (grip, strides) => this.move(index, this.leap(current(), grip, strides)),
      };
      return addLane(this.bar, index, last, current, asked ? null : moves);
    });
    if (!asked) return;
    for (const part of [this.deficits, this.compare, this.more, this.overview]) part.hidden = true;
  }

  listen() {
    this.root.onclick = ({target}) => {
      const {name, value} = target.closest("button") ?? {};
      if (name === "point") this.move(+target.dataset.index, this.content.points[value].place);
      else if (name === "deficit") this.chooseDeficit(value);
    };
    this.root.onchange = ({target: {name, type, value, checked}}) => {
      if (name === "secondKind") this.move(1, {deficit: value});
      else this.choose({[name]: type === "checkbox" ? checked : value});
    };
    this.deficits.onkeydown = (event) => this.moveAmongDeficits(event);
    this.start.onclick = (event) => {
      clearTimeout(this.saving); // what is chosen is told with the press
      this.press(event);
    };
    this.play.onclick = () => this.showLives();
    this.compare.onclick = () => this.toggleSecond();
    this.more.onclick = () => {
      this.fold.hidden = !this.fold.hidden;
      this.more.ariaExpanded = !this.fold.hidden;
      this.draw();
    };
    this.asked?.addEventListener("cplab-update", () => this.followQuestion());
    new ResizeObserver(() => this.draw()).observe(this.root);
  }

  // Show the figures and sliders that Python made, in place of earlier ones.
  async embed() {
    const {documents} = this.Bokeh;
    for (const model of Object.values(this.models ?? {}))
      documents.splice(documents.indexOf(model.document), 1);
    const models = {};
    for (const [name, item] of Object.entries(this.content.figures)) {
      if (this.asked && name !== "life") continue;
      this[name].replaceChildren();
      const [view] = await this.Bokeh.embed.embed_item(item, this[name]);
      models[name] = view.model;
      if (SLIDERS.includes(name)) this.listenToSlider(name, view);
      else view.canvas_view.events_el.tabIndex = -1; // keys do nothing there
      if (name === "life") this.lifeView = view;
    }
    for (const side of ["inner_width", "inner_height"])
      models.life.properties[side].change.connect(() => this.drawLife());
    models.map?.on_event("tap", ({x, y}) => {
      const {axes} = this.content;
      const onset = axes.onset[Math.floor(x)];
      const length = axes.length[Math.floor(y)];
      if (onset !== undefined && length !== undefined)
        this.choose({onset: +onset, length: +length});
    });
    this.sources = {};
    for (const {renderers} of [models.life, models.map].filter(Boolean))
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

  // The question around it was answered, or is asked again.
  followQuestion() {
    const wasCovered = this.plots.hidden;
    this.draw();
    if (wasCovered && !this.isCovered) this.showLives();
  }

  // Links ----------------------------------------------------------------------------------------

  // On a page the address keeps what is chosen, explorer.html#deficit=blur&onset=24&length=16, so that
  // a link shows others the same. In JupyterLab the address belongs to the notebook.
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

  writeLink() {
    const {deficit, onset, length, recovery, second} = this.state;
    const link = new URLSearchParams({deficit, onset, length, recovery});
    link.set("second", second ? keyOf(second) : NOTHING);
    if (this.hasAddress) history.replaceState(null, "", `#${link}`);
  }

  // Actions --------------------------------------------------------------------------------------

  choose(change) {
    const state = {...this.state, ...change};
    state.count = +state.count;
    if (!this.model) state.recovery = nearestOf(this.content.recoveries, state.recovery);
    if (JSON.stringify(state) === JSON.stringify(this.state)) return;
    this.state = state;
    this.age = Infinity;
    say(this.note, "");
    this.draw();
    this.writeLink();
    clearTimeout(this.saving);
    if (this.model) this.saving = setTimeout(() => this.tell(), SAVED);
  }

  // Change a window. index: which one it is, 0 or 1.
  move(index, change) {
    this.choose(index ? {second: {...this.state.second, ...change}} : change);
  }

  // Choose a deficit. The second window follows the first, unless it has another one.
  chooseDeficit(deficit) {
    const {deficit: before, second} = this.state;
    const follows = second?.deficit === before;
    this.choose({deficit, second: follows ? {...second, deficit} : second});
  }

  // Put a second window on the line: the same, late, or from birth if the first one is late. Or
  // take it away.
  toggleSecond() {
    const {content, state} = this;
    const {deficit, onset, length} = state;
    if (state.second) {
      this.choose({second: null});
      return;
    }
    const isAnother = (place) => keyOf(place) !== keyOf(state);
    const age = onset < content.late ? content.late : 0;
    const second = this.nearest(state, "onset", age, isAnother) ?? {deficit, onset: age, length};
    this.choose({second});
  }

  // Arrows move among the deficits, which are a toolbar.
  moveAmongDeficits(event) {
    const strides = stridesOf(event);
    const {target} = event;
    const next = strides > 0 ? target.nextElementSibling : target.previousElementSibling;
    if (!strides) return;
    next?.focus();
    next?.click();
  }

  // Show the lives as they grew. Before a question is answered, that reveals the answer.
  showLives() {
    if (this.isCovered) {
      this.asked.open();
      return;
    }
    const end = max(...this.places.map((place) => this.endOfLife(place)));
    const begin = performance.now();
    this.shownSince = begin;
    const draw = () => {
      if (this.age === Infinity || this.shownSince !== begin) return; // it is shown otherwise meanwhile
      const age = (end * (performance.now() - begin)) / PLAYED;
      this.age = age < end ? age : Infinity;
      if (this.age === Infinity) this.draw();
      else this.drawAge();
      requestAnimationFrame(draw);
    };
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.age = isStill ? Infinity : 0;
    draw();
  }

  // The places with a result ----------------------------------------------------------------------

  // What stands on the line: the chosen place, and the second one if there is one.
  get places() {
    const {deficit, onset, length, second} = this.state;
    return [{deficit, onset, length}, second].filter(Boolean);
  }

  // Whether the answer to the question around it is not seen yet.
  get isCovered() {
    return Boolean(this.asked && !this.asked.matches(".cplab-open"));
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
    const [best] = allowed.sort((a, b) => distance(a) - distance(b));
    return best;
  }

  // The place to which a grip comes by so many strides, each to the next one with a result.
  leap(from, grip, strides) {
    let place = from;
    for (let stride = 0; stride < abs(strides); stride++) {
      const here = place[grip];
      const isAhead = (other) => strides * (other[grip] - here) > 0;
      const next = this.nearest(place, grip, here, isAhead);
      if (!next) break;
      place = next;
    }
    return place;
  }

  // What Python says of a place at the end of the chosen recovery; undefined without a result.
  endOf(place) {
    return this.content.points[keyOf(place)]?.at[this.state.recovery];
  }

  // The epoch at which a life with this window ends.
  endOfLife({onset, length}) {
    return onset + length + this.state.recovery;
  }

  // Drawing --------------------------------------------------------------------------------------

  draw() {
    this.drawWords();
    if (!this.models) return;
    for (const name of SLIDERS) if (this.models[name]) this.models[name].value = this.state[name];
    this.drawAge();
    if (this.models.map) this.drawMap();
    this.drawLive();
    for (const figure of [this.life, this.map])
      figure.ariaLabel = `${figure.previousElementSibling.firstChild.data}: ${this.head.textContent}`;
  }

  // Draw all but the figures: sentences, buttons and fields, the line of life, the lines of Python.
  drawWords() {
    const {state, places, root} = this;
    const look = this.looks[state.deficit];
    root.style.cssText = `--deficit: ${look.colour}; --on-deficit: ${look.ink}`;
    root.classList.toggle("two", places.length > 1);
    this.plots.hidden = this.isCovered;
    this.drawSentences();
    for (const button of this.deficits.children) {
      // Tab finds the pressed one, arrows the others
      const isPressed = button.value === state.deficit;
      button.ariaPressed = isPressed;
      button.tabIndex = isPressed ? 0 : -1;
    }
    this.play.disabled = !places.some((place) => this.endOf(place));
    this.compare.ariaPressed = places.length > 1;
    this.secondKind.hidden = places.length < 2;
    for (const field of this.fold.querySelectorAll("select")) field.value = state[field.name];
    if (state.second) this.secondKind.querySelector("select").value = state.second.deficit;
    root.querySelector("[name=seeds]").checked = state.seeds;
    this.drawLanes();
    this.python.hidden = this.fold.hidden;
    say(this.code, places.map((place) => this.callOf(place)).join("\n"));
    this.drawLive();
  }

  drawLanes() {
    const {content, lanes, places} = this;
    const {recovery} = this.state;
    for (const [index, lane] of lanes.entries()) {
      const place = places[index];
      lane.hidden = !place;
      if (!place) continue;
      const {label, picture} = this.looks[place.deficit];
      drawLane(lane, content.last, {...place, recovery}, ["clear", label, "clear"]);
      drawStrip(lane.children[0], content.clear);
      drawStrip(lane.children[1], picture);
      drawStrip(lane.children[2], content.clear);
    }
  }

  // Draw what follows the age up to which lives are shown.
  drawAge() {
    const {age, bar, content} = this;
    bar.classList.toggle("plays", age < Infinity);
    if (age < Infinity) bar.style.setProperty("--now", `${(100 * age) / content.last}%`);
    this.drawSentences();
    this.drawLife();
  }

  // The line of Python of a place: placeholders stand for what is chosen.
  callOf(place) {
    const {deficit, onset, length} = place;
    return this.content.call
      .replace("'deficit'", `'${deficit}'`)
      .replace("1111", onset)
      .replace("2222", length)
      .replace("3333", this.state.recovery)
      .replace("4444", this.seedOf(place));
  }

  // The first seed with a result of a place; without one, the first that is trained.
  seedOf(place) {
    return this.endOf(place) ? Object.keys(this.bandOf(place).seeds)[0] : this.content.seed;
  }

  // The curves of a place with a result.
  bandOf(place) {
    const {bands} = this.content.points[keyOf(place)];
    return bands.find(({upto}) => upto >= this.state.recovery);
  }

  drawSentences() {
    const {content, places, windows} = this;
    const ends = places.map((place) => this.endOf(place));
    if (this.isCovered) {
      say(this.head, places.length > 1 ? WHEN : "");
      for (const part of [this.small, this.beside]) say(part, "");
      return;
    }
    const missing = ends.indexOf(undefined);
    if (missing >= 0) {
      const isInTraining = this.isInTraining(places[missing]);
      say(this.head, isInTraining ? content.training : content.untrained);
      this.offer(missing);
      say(this.beside, "");
      return;
    }
    say(this.head, this.headline(ends));
    const names = windows.map((_, index) => nameOf(windows, index, this.looks));
    const begin = (index) => (ends[1] ? `${capital(names[index])}: ` : "");
    say(this.small, `${begin(0)}${ends[0].small}`);
    say(this.beside, ends[1] ? `${begin(1)}${ends[1].small}` : "");
  }

  // What the explorer says above all of windows that have results. ends: what Python says of each.
  headline(ends) {
    if (this.age < Infinity) return GROWING;
    const harms = ends.map(({harm}) => harm);
    const isClear = ends.length > 1 && harms.every((harm) => harm?.n > 1);
    if (isClear) return verdictOfTwo(this.windows, harms, this.looks);
    return ends.map(({head}) => head).join(" ");
  }

  // The windows as words.js has them.
  get windows() {
    return this.places.map(({deficit, onset, length}) => ({kind: deficit, onset, length}));
  }

  // Whether Python trains a place now.
  isInTraining(place) {
    const {points = []} = this.live; // [deficit, onset, length] each
    return this.busy && points.some((point) => String(point) === keyOf(place));
  }

  // The nearest places with a result, as buttons. index: of the window that has none.
  offer(index) {
    const {deficit, onset, length} = this.places[index];
    const distance = (place) => abs(place.onset - onset) + abs(place.length - length);
    const places = this.placesOf(deficit).sort((a, b) => distance(a) - distance(b));
    const near = places.slice(0, NEAR);
    const keys = `${index}: ${near.map(keyOf)}`;
    if (this.small.dataset.near === keys && this.small.children.length) return; // they stand there
    this.small.dataset.near = keys;
    const buttons = near.map((place) => {
      const properties = {type: "button", name: "point", value: keyOf(place)};
      const button = make("button", properties, `onset ${place.onset}, length ${place.length}`);
      button.dataset.index = index;
      return button;
    });
    this.small.replaceChildren(near.length ? "Nearest results: " : "", ...buttons);
  }

  // The large figure: accuracy after each clear epoch.
  drawLife() {
    if (!this.models || this.isCovered) return;
    const {age, content, places} = this;
    this.colourCurve("own", places[0]);
    const grey = {from: 0, until: min(content.longest, age), shift: 0};
    this.drawBand("clear", content.grey, grey, "twin");
    const drawn = [0, 1].map((index) => this.drawPlace(index));
    const harms = age < Infinity ? [] : drawn.filter(Boolean);
    this.fill("bracket", columnsOf(harms, ["x", "low", "high"]));
    this.drawTags(harms);
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

  // Draw the curve of a window, 0 or 1, if there is one with a result. Returns where its harm stands,
  // if it has one: {x, low, high, text, brief}, of which `brief` is for figures that are narrow.
  drawPlace(index) {
    const {places, windows} = this;
    const name = CURVES[index];
    const place = places[index];
    const end = place && this.endOf(place);
    if (!end) {
      this.drawBand(name);
      return undefined;
    }
    const {recovery} = this.state;
    const band = this.bandOf(place);
    const {onset, length} = place;
    const from = onset + length;
    const until = min(from + recovery, this.age);
    this.drawBand(name, band, {from, until, shift: length}, end.name, onset);
    if (!end.harm) return undefined;
    const levels = [end.level, end.level + end.harm.middle];
    const begin = places[1] ? `${nameOf(windows, index, this.looks)}: ` : "";
    return {
      x: onset + recovery + 1,
      low: min(...levels),
      high: max(...levels),
      text: `${begin}${end.tag}`,
      brief: end.tag,
    };
  }

  // Draw a mean with its band and, if they are wanted, a line for each seed; nothing without a band.
  // Arguments: name, of the source; band, range, who, onset, see `bandRows`.
  drawBand(name, band, range, who, onset = 0) {
    this.fill(name, bandRows(band, range, who, onset));
    const hasLines = this.state.seeds && band;
    const curves = hasLines ? Object.values(band.seeds) : [];
    const lines = curves.map((curve) => lineRows(curve, range));
    this.fill(`${name} seeds`, {xs: lines.map(({x}) => x), ys: lines.map(({y}) => y)});
  }

  // Name the grey line, and what each harm is, where none lies on another one, see labels.js.
  drawTags(harms) {
    const {bbox, x_scale, y_scale} = this.lifeView.frame;
    // Pixels from the upper left corner of the figure
    const toPixels = (x, y) => [x_scale.compute(x) - bbox.left, y_scale.compute(y) - bbox.top];
    const [, higher] = [...harms].sort((a, b) => a.low - b.low);
    const tags = harms.map((harm) => {
      const isAbove = harm === higher;
      const [x, y] = toPixels(harm.x, isAbove ? harm.high : harm.low);
      const text = widthOf(harm.text) < bbox.width ? harm.text : harm.brief;
      const width = widthOf(text);
      const left = within(0, x + BESIDE, bbox.width - width);
      const heights = this.lineHeights(left, left + width, toPixels);
      const top = isAbove ? min(y, ...heights) - LINE_HEIGHT : max(y, ...heights);
      return {text, x: left, y: top, weight: "bold"};
    });
    if (this.content.grey && this.age === Infinity) tags.push(this.greyName(toPixels));
    const boxes = tags.map(({text, x, y}) => {
      return {x, y, width: widthOf(text), height: LINE_HEIGHT};
    });
    const {start} = this.models.life.x_range;
    const {end} = this.models.life.y_range;
    const rows = placeApart(boxes, bbox).flatMap((box, i) => {
      const {text, weight} = tags[i];
      return box ? [{x: start, y: end, text, weight, right: box.x, down: box.y}] : [];
    });
    this.fill("tag", columnsOf(rows, ["x", "y", "text", "right", "down", "weight"]));
  }

  // How high the lines are between two places, in pixels.
  lineHeights(left, right, toPixels) {
    const heights = [];
    for (const {x, mean} of ["clear", ...CURVES].map((name) => this.sources[name].data))
      for (const [i, clear] of x.entries()) {
        const [across, down] = toPixels(clear, mean[i]);
        if (left <= across && across <= right) heights.push(down);
      }
    return heights;
  }

  // The name of the grey line, above its rise: as high as the line is where the name ends.
  greyName(toPixels) {
    const {grey, longest} = this.content;
    const last = min(Math.round(NAMED * longest), grey.mean.length) - 1;
    const [x, y] = toPixels(0, (grey.mean[last] + grey.half[last]) / 10);
    return {x, y: y - LINE_HEIGHT, text: "twin", weight: "normal"};
  }

  // The map: the harm of each place of the first window's deficit, and marks around those that stand
  // on the line.
  drawMap() {
    const {content, places} = this;
    const {deficit} = this.state;
    const cells = this.placesOf(deficit).map((place) => this.cell(place));
    const columns = ["onset", "length", "value", "text", "hue", "alpha", "hatch", "words"];
    this.fill("cells", columnsOf(cells, columns));
    const {axes} = content;
    const marks = places
      .map((place, index) => ({...place, dash: index ? "dashed" : "solid"}))
      .filter((place) => place.deficit === deficit)
      .map(({dash, ...place}) => ({...axisLabels(place), dash}));
    const isInMap = ({onset, length}) => axes.onset.includes(onset) && axes.length.includes(length);
    this.fill("mark", columnsOf(marks.filter(isInMap), ["onset", "length", "dash"]));
  }

  // A cell of the map: coloured by its harm, or hatched where that is level.
  cell(place) {
    const {harm, sign, brief} = this.endOf(place);
    const value = (harm?.middle ?? 0) / this.content.most; // of the colours, from -1 to 1
    const hasInterval = harm && harm.half !== null;
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
    const {busy, canTrain, live, places} = this;
    this.start.textContent = busy ? "Stop" : "Train";
    this.todo.hidden = !canTrain || busy;
    if (this.asked) say(this.message, "");
    if (!this.models) return;
    const rows = [];
    for (const [index, place] of places.entries()) {
      const {onset, length} = place;
      // Clear epochs after each epoch: none passes during the deficit
      const clearEpochs = (i) => (i < onset ? i + 1 : max(onset, i + 1 - length));
      const curves = (canTrain && live.curves?.[keyOf(place)]) || []; // accuracies by epoch
      for (const ys of curves)
        rows.push({xs: ys.map((_, i) => clearEpochs(i)), ys, hue: this.hueOf(index)});
    }
    this.fill("live", columnsOf(rows, ["xs", "ys", "hue"]));
  }

  // The colour of a window's line, as the page has it.
  hueOf(index) {
    return index ? this.content.second : this.looks[this.state.deficit].colour;
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

const NOTHING = "none"; // what stands for no second window

// What a link chooses, such as #deficit=blur&onset=24&length=16&second=blur,0,16: {chosen, unread}.
// `chosen` is a place, the second one or null, and a recovery, with what is missing as in `first`, or
// undefined if the address names none; unread are the parts that were not understood.
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
  const fields = ["deficit", "second", ...SLIDERS];
  const isLink = parts.some(([name]) => fields.includes(fieldOf(name)));
  if (!isLink) return {unread: []}; // of another element, such as a heading
  const {deficit, onset, length, recovery} = first;
  return {chosen: {deficit, onset, length, recovery, second: null, ...chosen}, unread};
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
function readValue(field, text, content) {
  const {deficits, recoveries, sliders} = content;
  const words = fieldOf(text.trim().replace(/[.,;)\]>]+$/, ""));
  if (field === "second") return readPlace(words, content);
  if (field === "deficit") {
    const isMeant = ({name, label}) => [name.toLowerCase(), label.toLowerCase()].includes(words);
    return deficits.find(isMeant)?.name;
  }
  const [low, high] = field === "recovery" ? [1, recoveries.at(-1)] : (sliders[field] ?? []);
  const number = /^\d+$/.test(words) ? +words : NaN;
  return low <= number && number <= high ? number : undefined;
}

// The second window in a link, such as `blur,24,16`: a place, null for none, undefined if it is neither.
function readPlace(words, content) {
  if (words === NOTHING) return null;
  const fields = ["deficit", "onset", "length"];
  const parts = words.split(",");
  const entries = fields.map((field, i) => [field, readValue(field, parts[i] ?? "", content)]);
  const isPlace =
    parts.length === fields.length && entries.every(([, value]) => value !== undefined);
  return isPlace ? Object.fromEntries(entries) : undefined;
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
    rows.words.push(
      `${who}: ${level.toFixed(1)}${interval} % after ${clear} clear ${clear === 1 ? "epoch" : "epochs"}`,
    );
  }
  return rows;
}

// Rows as columns of these names.
function columnsOf(rows, names) {
  return Object.fromEntries(names.map((name) => [name, rows.map((row) => row[name])]));
}

// Where a place is on the axes of the map, which are texts.
const axisLabels = ({onset, length}) => ({onset: `${onset}`, length: `${length}`});

// How wide words are in the large figure, in pixels.
const widthOf = (text) => PEN.measureText(text).width;

const nearestOf = (values, wanted) =>
  values.reduce((a, b) => (abs(b - wanted) < abs(a - wanted) ? b : a));

// A harm for a cell of the map; without a harm, a question mark.
function inWords(harm) {
  if (!harm) return "?";
  const {middle, half} = harm;
  return half === null ? `${oneDecimal(middle)} (1)` : oneDecimal(middle);
}

customElements.define("cplab-explorer", Explorer);
