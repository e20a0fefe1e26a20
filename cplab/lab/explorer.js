// `<cplab-explorer>`: selects among the points that Python sent once, and draws them with BokehJS.
// All numbers and sentences come from Python: nothing is computed from results here.
//
// The element holds its content as JSON, and BokehJS. It works without Python, too.

// Run BokehJS from its compressed code, once for each page and version.
async function loadBokeh(packed, version) {
  if (!globalThis.Bokeh?.[version])
    document.head.append(make("script", {text: new TextDecoder().decode(await unzip(packed))}));
  return globalThis.Bokeh[version];
}

// What stays where it is while a grip moves, if possible
const STAYS = {onset: "length", begin: "end", length: "onset"};

// The places of the figures: test accuracy by clear epochs; harm by onset, or by length; the map
const LIFE = 0;
const AGES = 1;
const MAP = 2;

// Half the width of a cap of the bracket of harm, as a part of the axis
const CAP = 0.006;

const {abs, max, min} = Math;

class Explorer extends Training {
  async begin() {
    const [data, bokeh] = [...this.querySelectorAll("script")].map((part) => part.textContent);
    const {content, state, version, html} = JSON.parse(data);
    this.root = furnish(this, html);
    Object.assign(this, {state, version, filled: new WeakMap()});
    this.linked = document.body.matches(".jp-Notebook");
    this.readContent(content);
    this.titles = [...this.querySelectorAll("h4 span")];
    this.values = [...this.querySelectorAll("h4 small")]; // what is read under the pointer
    this.usual = this.values.map(({textContent}) => textContent); // what stands there otherwise
    this.looked = []; // the place that is read, in each figure
    this.places = [this.life, this.ages, this.map];
    for (const look of content.deficits) {
      const traits = {type: "button", name: "deficit", value: look.name};
      this.deficits.append(make("button", traits, dashes(look), look.label));
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

  // Act on buttons, fields, keys, grips, and on a new size of the page.
  listen() {
    this.root.onclick = ({target}) => {
      const {name, value} = target.closest("button") ?? {};
      if (name) this.choose({[name]: value});
    };
    this.root.onchange = ({target: {name, type, value, checked}}) =>
      this.choose({[name]: type === "checkbox" ? checked : value});
    this.root.onkeydown = (event) => this.key(event);
    this.start.onclick = (event) => this.ask(event);
    dragAlong(this.line, (name) => {
      const from = {...this.state};
      const begin = positions(from)[name];
      return (part) => this.choose(this.nearest(from, name, begin + part * this.data.last));
    });
    new ResizeObserver(() => this.draw()).observe(this.plots);
  }

  // Make the figures, whose axes are those of the content.
  async embed() {
    this.removeFigures();
    const roots = [lifeFigure, agesFigure, mapFigure].map((figure) => figure(this.data));
    const embedded = roots.map((root, i) => this.embedFigure(root, this.places[i]));
    this.figures = await Promise.all(embedded);
    this.along = along(this.data);
    this.listenToFigures();
    this.draw();
  }

  // Remove the figures, and Bokeh's documents of them, if there are any.
  removeFigures() {
    const {documents} = this.Bokeh;
    for (const model of this.figures ?? []) documents.splice(documents.indexOf(model.document), 1);
    this.places.forEach((place) => place.replaceChildren());
  }

  // Show a figure, and return its model with the sources of its glyphs by name.
  async embedFigure(root, place) {
    const {Bokeh, version} = this;
    const item = {doc: {version, title: "", roots: [root]}, root_id: root.id};
    const [{model, canvas_view}] = await Bokeh.embed.embed_item(item, place);
    canvas_view.events_el.tabIndex = -1;
    model.sources = {};
    for (const {data_source} of model.renderers) model.sources[data_source.name] = data_source;
    return model;
  }

  // Read what is under a pointer, and choose what is pressed.
  listenToFigures() {
    this.figures.forEach((figure, i) => {
      for (const gesture of ["mousemove", "tap", "pressup"])
        figure.on_event(gesture, (at) => this.lookAt(i, this.near(i, at)));
      figure.on_event("tap", () => (this.tapped = Date.now()));
      figure.on_event("mouseleave", () => {
        // a finger leaves as soon as it has tapped, and what it read stays
        if (Date.now() > (this.tapped ?? 0) + DOUBLE) this.lookAt(i);
      });
    });
    const [, ages, map] = this.figures;
    for (const gesture of ["tap", "doubletap", "pressup"]) {
      ages.on_event(gesture, (at) => this.chooseByHarm(at, ages));
      map.on_event(gesture, ({x, y}) => {
        const {onset, length} = this.data.axes;
        const chosen = [onset[Math.floor(x)], length[Math.floor(y)]];
        if (!chosen.includes(undefined)) this.choose({onset: +chosen[0], length: +chosen[1]});
      });
    }
  }

  // On a page the address keeps the point, explorer.html#deficit=blur&onset=24&length=16, so that a
  // link shows others the same. In JupyterLab the address belongs to the notebook.
  followLink() {
    const read = () => {
      const {state} = this;
      const link = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
      const {deficit, onset = state.onset, length = state.length, recovery = state.recovery} = link;
      if (this.looks[deficit]) this.choose({deficit, onset, length, recovery});
    };
    if (this.linked) addEventListener("hashchange", read);
    if (this.linked) read();
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
    this.points = Object.keys(data.points).map((key) => {
      const [deficit, onset, length] = key.split(",");
      return {deficit, onset: +onset, length: +length};
    });
  }

  get point() {
    const {deficit, onset, length} = this.state;
    return this.data.points[[deficit, onset, length]];
  }

  // Actions --------------------------------------------------------------------------------------

  choose(change) {
    const place = {...this.state, ...change};
    const {data} = this;
    const whole = (low, value, high) => within(low, Math.round(value) || 0, high);
    place.onset = whole(0, place.onset, data.last - 1);
    place.length = whole(1, place.length, data.last);
    place.recovery = whole(1, place.recovery, data.recoveries.at(-1));
    place.count = +place.count;
    if (!this.model) place.recovery = this.nearest(place, "recovery", place.recovery).recovery;
    if (Object.entries(place).every(([name, value]) => this.state[name] === value))
      return this.drawWords(); // what was typed may be no number
    this.state = place;
    for (const figure of [AGES, MAP]) this.lookAt(figure);
    this.draw();
    const {deficit, onset, length, recovery} = place;
    if (this.linked)
      history.replaceState(null, "", `#${new URLSearchParams({deficit, onset, length, recovery})}`);
    clearTimeout(this.saving);
    if (this.model) this.saving = setTimeout(() => this.tell(), 120);
  }

  ask(event) {
    clearTimeout(this.saving);
    this.press(event);
  }

  // The place with a result at which a number or a grip (`name`) is nearest to a value, of those
  // allowed. What stays, if possible, where it was in `from` counts half.
  nearest(from, name, value, allowed = () => true) {
    const stays = STAYS[name]; // nothing if the recovery moves
    const {points, data} = this;
    const trained = stays
      ? points.filter(({deficit}) => deficit === from.deficit)
      : data.recoveries.map((recovery) => ({...from, recovery}));
    const distance = (place) => {
      const missed = abs(positions(place)[name] - value);
      if (!stays) return missed;
      return missed + abs(positions(place)[stays] - positions(from)[stays]) / 2;
    };
    const [best = {}] = trained.filter(allowed).sort((a, b) => distance(a) - distance(b));
    return best;
  }

  // Write what a figure shows at a place: an epoch, a point of the lines, or a cell of the map.
  lookAt(figure, place) {
    this.looked[figure] = place;
    let words;
    if (place) words = figure === LIFE ? this.readLife(place) : this.readPoint(place);
    say(this.values[figure], words ?? this.usual[figure]);
    this.values[figure].parentElement.classList.toggle("read", Boolean(words));
    if (figure === LIFE) this.markLooked();
  }

  // The place that is nearest to a pointer, in a figure's coordinates.
  near(figure, {x, y}) {
    if (figure === LIFE) return {epoch: within(1, Math.round(x), this.data.longest)};
    if (figure === AGES) return this.nearestByHarm({x, y}, this.figures[AGES]);
    const {onset, length} = this.data.axes;
    const cell = {onset: +onset[Math.floor(x)], length: +length[Math.floor(y)]};
    const isOutside = isNaN(cell.onset + cell.length);
    return isOutside ? undefined : {deficit: this.state.deficit, ...cell};
  }

  // Arrow keys go on from the place that was read last, and begin at the chosen point.
  walk(figure, event) {
    const {data, state} = this;
    const {key} = event;
    const step = STEPS[key];
    event.preventDefault();
    if (figure === LIFE) {
      const from = this.looked[LIFE]?.epoch ?? state.onset + state.recovery;
      const epochs = event.shiftKey ? 10 : 1;
      return this.lookAt(LIFE, {epoch: within(1, from + step * epochs, data.longest)});
    }
    const {onset, length} = this.looked[figure] ?? state;
    const place = {onset, length};
    let axis = /Left|Right/.test(key) ? "onset" : "length";
    if (figure === AGES) [axis] = this.along;
    const values = data.axes[axis].map(Number);
    const last = values.length - 1;
    const from = values.findIndex((value) => value >= place[axis]);
    place[axis] = values[within(0, (from < 0 ? last : from) + step, last)];
    this.lookAt(figure, {deficit: state.deficit, ...place});
  }

  // Both lines after so many clear epochs, each with its interval and its seeds.
  readLife({epoch}) {
    const parts = this.linesAt(epoch).map(({name, mean, half, seeds}) => {
      const interval = seeds > 1 ? ` ± ${half.toFixed(1)}` : "";
      return `${name} ${mean.toFixed(1)}${interval} % (${inSeeds(seeds)})`;
    });
    return parts.length ? `after ${epoch} clear epochs: ${parts.join(", ")}` : undefined;
  }

  // The lines at an epoch, in percent: [{name, mean, half, seeds}].
  linesAt(epoch) {
    const {
      data,
      point,
      state: {onset, length, recovery},
    } = this;
    const own = point?.bands.find(({upto}) => upto >= recovery);
    const numbers = (name, band, place) => ({
      name,
      mean: band.mean[place] / 10,
      half: band.half[place] / 10,
      seeds: Object.values(band.seeds).filter((curve) => curve.length > place).length,
    });
    const lines = [];
    if (own && epoch > onset && epoch <= onset + recovery)
      lines.push(numbers("this one", own, epoch + length - 1));
    if (data.grey && epoch <= data.grey.mean.length)
      lines.push(numbers("clear", data.grey, epoch - 1));
    return lines;
  }

  markLooked() {
    const epoch = this.looked[LIFE]?.epoch;
    const lines = epoch ? this.linesAt(epoch) : [];
    this.fill(LIFE, "looked", {x: lines.map(() => epoch), y: lines.map(({mean}) => mean)});
  }

  readPoint(place) {
    const {label} = this.looks[place.deficit];
    const end =
      this.data.points[[place.deficit, place.onset, place.length]]?.at[this.state.recovery];
    const harm = end?.harm ? `${this.harmInWords(end)} (${end.seeds})` : "no result";
    return `${label}, onset ${place.onset}, length ${place.length}: ${harm}`;
  }

  // Harm at the end of a recovery, with its interval, in the chosen unit.
  harmInWords(end) {
    if (this.state.unit === "points") {
      const [harm, half] = end.harm;
      const interval = half === null ? "" : ` ± ${half.toFixed(1)}`;
      return `${harm.toFixed(1).replace("-", "−")}${interval} points`;
    }
    const [, words] = end.tags;
    if (!words) return "level with no epoch of the clear curve";
    const [, low, high] = end.back;
    if (words === "level" || low === null || high === null) return words;
    return `${words}, ${Math.abs(low).toFixed(0)} to ${Math.abs(high).toFixed(0)}`;
  }

  key(event) {
    const {key, target} = event;
    const step = STEPS[key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    const figure = this.places.indexOf(target);
    if (figure >= 0) return this.walk(figure, event);
    const name = target.dataset.grip ?? target.name;
    if (target.closest("[role=toolbar]")) {
      const next = step > 0 ? target.nextElementSibling : target.previousElementSibling;
      next?.focus();
      next?.click();
    }
    const from = positions(this.state)[name];
    if (from === undefined || (target.type === "number" && /Left|Right/.test(key))) return;
    event.preventDefault();
    const isAhead = (place) => step * (positions(place)[name] - from) > 0;
    this.choose(this.nearest(this.state, name, from, isAhead));
  }

  chooseByHarm(at, figure) {
    const best = this.nearestByHarm(at, figure);
    const [axis] = this.along;
    if (best) this.choose({deficit: best.deficit, [axis]: best[axis]});
  }

  // The point that is drawn nearest to a place in a figure; undefined if none is drawn.
  nearestByHarm({x, y}, {x_range, y_range}) {
    const [axis, fixed] = this.along;
    const distance = (point) => {
      const value = point[fixed] === this.state[fixed] ? this.harm(point)?.value : undefined;
      const across = (point[axis] - x) / (x_range.end - x_range.start);
      const up = ((value ?? Infinity) - y) / (y_range.end - y_range.start);
      return Math.hypot(across, up);
    };
    const best = this.points.reduce((a, b) => (distance(b) < distance(a) ? b : a), this.points[0]);
    return best && distance(best) < Infinity ? best : undefined;
  }

  // Drawing --------------------------------------------------------------------------------------

  draw() {
    this.drawWords();
    if (!this.figures) return;
    const {colour} = this.looks[this.state.deficit];
    for (const {name, glyph} of this.figures[LIFE].renderers)
      for (const part of ["line_color", "fill_color", "text_color"])
        if (name === "own" && part in glyph.properties) glyph.setv({[part]: colour});
    this.drawLife();
    // The small figures follow once the large one is painted
    this.due ??= requestAnimationFrame(() => setTimeout(() => this.drawSmallFigures()));
  }

  drawSmallFigures() {
    this.due = undefined;
    this.drawAges();
    this.drawMap();
    this.places.forEach((place, i) => {
      place.ariaLabel = `${this.titles[i].textContent}: ${this.head.textContent}`;
    });
  }

  // Draw all but the figures: sentences, buttons and fields, the line of time, the line of Python.
  drawWords() {
    const {state, data, root} = this;
    const {deficit, onset, length, recovery} = state;
    const look = this.looks[deficit];
    root.style.cssText = `--deficit: ${look.colour}; --on-deficit: ${look.ink}`;
    const {head, small} = this.point?.at[recovery] ?? this.wordsWithoutResult();
    say(this.head, head);
    say(this.small, small);
    for (const button of root.querySelectorAll("[role=toolbar] button")) {
      // Tab finds the pressed one, arrows the others
      button.ariaPressed = state[button.name] === button.value;
      button.tabIndex = button.ariaPressed === "true" ? 0 : -1;
    }
    for (const field of root.querySelectorAll("input, select"))
      field[field.type === "checkbox" ? "checked" : "value"] = state[field.name];
    drawLine(this.line, data.last, state, ["clear", look.label, "recovery"]);
    const seen = stagesAtEnds(look.stages, state);
    drawStrips(this.before, [data.clear]);
    drawStrips(
      this.during,
      seen.map(({picture}) => picture),
    );
    drawStrips(this.after, [data.clear]);
    this.code.textContent = data.call
      .replace("'deficit'", `'${deficit}'`)
      .replace("1111", onset)
      .replace("2222", length)
      .replace("3333", recovery);
    this.drawTicks();
    this.drawLive();
  }

  // What is said of the chosen point as long as it has no result.
  wordsWithoutResult() {
    const {deficit, onset, length} = this.state;
    const chosen = String([deficit, onset, length]);
    const points = (this.alive && this.live.busy && this.live.points) || [];
    if (points.some((point) => String(point) === chosen))
      return {
        head: "This point is being trained now, for the first time here.",
        small: "Its test accuracy grows in orange, one line a seed.",
      };
    return {
      head: this.data.untrained,
      small: "Points with a result are on the map, and have a tick below the bar.",
    };
  }

  // Ticks below the line of time, where a grip finds a result: other onsets, ends and recoveries.
  drawTicks() {
    const {last, recoveries} = this.data;
    const {deficit, onset, length} = this.state;
    const tick = (epoch, className) =>
      make("b", {className, style: `left:${(100 * epoch) / last}%`});
    const ticks = [];
    const points = this.points.filter((point) => point.deficit === deficit);
    for (const point of points) if (point.length === length) ticks.push(tick(point.onset, "own"));
    for (const point of points)
      if (point.onset === onset) ticks.push(tick(onset + point.length, "own"));
    for (const recovery of recoveries) ticks.push(tick(onset + length + recovery, ""));
    this.ticks.replaceChildren(...ticks);
  }

  // The large figure: accuracy after each clear epoch.
  drawLife() {
    const {state, data, point} = this;
    const {onset, length, recovery} = state;
    const after = onset + length;
    const end = point?.at[recovery];
    const band = end && point.bands.find(({upto}) => upto >= recovery);
    const own = {from: after, until: after + recovery, shift: length};
    this.drawBand("grey", data.grey, {from: 0, until: data.longest, shift: 0});
    this.drawBand("own", band, own);
    this.drawDip(band);
    this.nameGrey();
    this.drawBracket(end);
    this.drawTag(end, bandRows(band, own));
    this.titles[LIFE].textContent = `Test accuracy${end ? `: ${end.name}` : ""}`;
    this.lookAt(LIFE, this.looked[LIFE]);
  }

  // A mean with its band and, if they are wanted, a line for each seed; see `bandRows`.
  drawBand(name, band, range) {
    this.fill(LIFE, name, bandRows(band, range));
    const curves = this.state.seeds && band ? Object.values(band.seeds) : [];
    const rows = curves.map((curve) => lineRows(curve, range));
    this.fill(LIFE, `${name} seeds`, {xs: rows.map(({x}) => x), ys: rows.map(({y}) => y)});
  }

  // The fall of the mean during the deficit, in which no clear epoch passes, until the first one
  // after it; and how low it falls, if that is below the axis.
  drawDip(band) {
    const {onset, length} = this.state;
    const mean = band ? band.mean.slice(max(0, onset - 1), onset + length + 1) : [];
    const dip = mean.map((thousandths) => thousandths / 10);
    const x = dip.map((_, i) => (i === dip.length - 1 ? onset + 1 : onset));
    this.fill(LIFE, "dip", {x, mean: dip});
    const floor = this.figures[LIFE].y_range.start;
    const lowest = min(...dip);
    const words = lowest < floor ? `▾ ${lowest.toFixed(0)} %` : "";
    this.fill(LIFE, "below", textRows(words, onset, floor, "left"));
  }

  // The name of the grey line, above its end.
  nameGrey() {
    const {grey, longest} = this.data;
    const last = min(grey?.mean.length ?? 0, longest);
    const top = last && (grey.mean[last - 1] + grey.half[last - 1]) / 10;
    const align = last > 0.4 * longest ? "right" : "left";
    this.fill(LIFE, "greyName", textRows(last && "clear from birth", last, top, align));
  }

  // The bracket of harm at the end of the line: upright for points, level for clear epochs.
  drawBracket(end) {
    const {onset, recovery, unit} = this.state;
    const {x_range} = this.figures[LIFE];
    const last = onset + recovery;
    const cap = CAP * (x_range.end - x_range.start);
    const pieces = []; // [x0, y0, x1, y1]: the bracket, and a cap at both ends
    if (end?.harm && unit === "points") {
      const [harm] = end.harm;
      const ends = [end.level, end.level + harm];
      const x = last + 2 * cap;
      pieces.push([x, ends[0], x, ends[1]], ...ends.map((y) => [x - cap, y, x + cap, y]));
    } else if (end?.sign && end.back[0] !== null) {
      const [back] = end.back;
      const ends = [last - back, last];
      const y = end.level;
      pieces.push([ends[0], y, ends[1], y], ...ends.map((x) => [x, y - 0.7, x, y + 0.7]));
    }
    const columns = {};
    ["x0", "y0", "x1", "y1"].forEach((name, i) => {
      columns[name] = pieces.map((piece) => piece[i]);
    });
    this.fill(LIFE, "bracket", columns);
  }

  // The words at the bracket: beside it or, if there is no room, below the line, up to the edge.
  drawTag(end, own) {
    const {onset, recovery, unit} = this.state;
    const {x_range} = this.figures[LIFE];
    const wide = x_range.end - x_range.start;
    const words = end?.tags[unit === "points" ? 0 : 1] ?? "";
    const room = (9.2 * words.length * wide) / (this.places[LIFE].clientWidth - 60);
    const left = onset + recovery + 4 * CAP * wide;
    const isBeside = x_range.end - left > room;
    const above = isBeside ? [] : own.low.filter((_, i) => own.x[i] > x_range.end - room);
    const harm = end?.harm?.[0] ?? 0;
    const y = end && min(end.level, end.level + harm, ...above);
    const rows = isBeside
      ? textRows(words, left, y, "left")
      : textRows(words, x_range.end, y, "right");
    this.fill(LIFE, "tag", rows);
  }

  // Harm of a point, with the ends of its interval, in the chosen unit. `sign`: 0 if it is level.
  harm({deficit, onset, length}) {
    const end = this.data.points[[deficit, onset, length]]?.at[this.state.recovery];
    if (!end?.harm) return null;
    const [harm, half] = end.harm;
    const [back, low, high] = end.back;
    const {sign} = end;
    const single = half === null;
    if (this.state.unit === "points")
      return {value: harm, low: harm - half, high: harm + half, sign, single};
    // No number of clear epochs stands for a level harm.
    if (!sign) return {value: null, sign, single};
    return back === null ? null : {value: back, low: low ?? back, high: high ?? back, sign, single};
  }

  drawAges() {
    const {state, data} = this;
    const [axis, fixed] = this.along;
    const window = fixed === "length" ? `of ${state.length} epochs` : `from onset ${state.onset}`;
    this.titles[AGES].textContent = `Harm ${window}, by ${axis}, ${state.unit}`;
    const [start, end] = data.reach[state.unit === "points" ? 0 : 1];
    const model = this.figures[AGES];
    model.y_range.setv({start, end});
    for (const {name, label, colour} of data.deficits) {
      const rows = {x: [], y: [], low: [], high: [], fill: []};
      const chosen = name === state.deficit;
      for (const point of this.points) {
        const harm = point.deficit === name && point[fixed] === state[fixed] && this.harm(point);
        if (!harm || harm.value === null) continue;
        const row = {x: point[axis], y: harm.value, low: harm.low, high: harm.high};
        for (const [column, value] of Object.entries(row)) rows[column].push(value);
        rows.fill.push(harm.sign ? colour : "#FFFFFF");
      }
      this.fill(AGES, `ages ${name}`, rows);
      for (const renderer of model.renderers)
        if (renderer.name === name)
          renderer.glyph.setv({line_alpha: chosen ? 1 : 0.45, line_width: chosen ? 2.5 : 1.5});
    }
    const value = this.harm(state)?.value ?? null;
    const isDrawn = value !== null;
    this.fill(AGES, "here", {x: isDrawn ? [state[axis]] : [], y: isDrawn ? [value] : []});
  }

  drawMap() {
    const {state, data} = this;
    const inPoints = state.unit === "points";
    const most = data.most[inPoints ? 0 : 1];
    this.titles[MAP].textContent = `By onset and length, ${state.unit}`;
    const alone = data.axes.onset.length < 2; // a map of one column repeats the lines
    this.map.parentElement.hidden = alone;
    this.places[AGES].style.height = alone ? "350px" : "";
    const rows = {onset: [], length: [], value: [], text: [], hue: [], alpha: [], hatch: []};
    for (const point of this.points.filter(({deficit}) => deficit === state.deficit)) {
      const harm = this.harm(point);
      const value = harm?.value ?? NaN; // hatched cells have no colour
      const row = {
        onset: `${point.onset}`,
        length: `${point.length}`,
        value: value / most,
        text: inWords(harm, inPoints ? 1 : 0),
        alpha: harm?.sign ? 1 : 0,
        hatch: harm?.sign === 0 && !harm.single ? 0.35 : 0,
        hue: harm?.sign && abs(value) > 0.55 * most ? "#FFFFFF" : "#111111",
      };
      for (const [column, cell] of Object.entries(row)) rows[column].push(cell);
    }
    this.fill(MAP, "cells", rows);
    const [onset, length] = [`${state.onset}`, `${state.length}`];
    const inMap = data.axes.onset.includes(onset) && data.axes.length.includes(length);
    this.fill(MAP, "mark", {onset: inMap ? [onset] : [], length: inMap ? [length] : []});
  }

  drawLive() {
    super.drawLive();
    const {busy, live} = this;
    const can = this.alive && !this.why;
    this.start.textContent = busy ? "Stop" : "Train";
    this.todo.hidden = !can || busy;
    if (!this.figures) return;
    const {deficit, onset, length} = this.state;
    const curves = (can && live.curves?.[[deficit, onset, length]]) || [];
    // Clear epochs after each epoch: none passes during the deficit
    const clearEpochs = (i) => (i < onset ? i + 1 : max(onset, i + 1 - length));
    const xs = curves.map((curve) => curve.map((_, i) => clearEpochs(i)));
    this.fill(LIFE, "live", {xs, ys: curves});
  }

  // Give a source of a figure its columns, unless it has them: each assignment paints.
  fill(figure, name, columns) {
    const source = this.figures[figure].sources[name];
    const text = JSON.stringify(columns);
    if (this.filled.get(source) !== text) source.data = columns;
    this.filled.set(source, text);
  }
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

// The same part of a band, if there is one, with its low and high ends.
function bandRows(band, {from, until, shift}) {
  const rows = {x: [], mean: [], low: [], high: []};
  const {mean = [], half = []} = band ?? {};
  for (let i = from; i < min(until, mean.length); i++) {
    rows.x.push(i + 1 - shift);
    rows.mean.push(mean[i] / 10);
    rows.low.push(max(0, (mean[i] - half[i]) / 10));
    rows.high.push(min(100, (mean[i] + half[i]) / 10));
  }
  return rows;
}

// A text at a place, if there are words.
function textRows(words, x, y, align) {
  if (!words) return {x: [], y: [], text: [], align: []};
  return {x: [x], y: [y], text: [words], align: [align]};
}

// Empty figures as Bokeh documents, which the explorer fills --------------------------------------

const INK = "#222222"; // of texts and lines
const CLEAR = "#666666"; // of runs without a deficit
const REDS = [
  "#053061",
  "#2166ac",
  "#4393c3",
  "#92c5de",
  "#d1e5f0",
  "#f7f7f7",
  "#fddbc7",
  "#f4a582",
  "#d6604d",
  "#b2182b",
  "#67001f",
]; // ColorBrewer's RdBu
let count = 0;
const part = (name, attributes = {}) => ({
  type: "object",
  name,
  id: `cplab-x-${(count += 1)}`,
  attributes,
});
const column = (field, more = {}) => ({type: "field", field, ...more});

// A figure. Axes are pairs [label, range], the lower one first; glyphs are lists [kind, source,
// {property: column}, look, name]; those with the name `own` have the colour of the deficit.
function plot(axes, glyphs, more = []) {
  const named = axes[0][1].name === "FactorRange";
  const kind = named ? "Categorical" : "Linear";
  const [below, left] = axes.map(([axis_label], i) =>
    part(`${kind}Axis`, {
      axis_label,
      axis_label_text_font_style: "normal",
      axis_label_text_font_size: "11px",
      major_label_text_font_size: "11px",
      minor_tick_line_color: null,
      major_label_policy: part("AllLabels"),
      axis_label_text_color: INK,
      major_label_text_color: INK,
      formatter: part(`${named ? kind : "Basic"}TickFormatter`),
      ticker: named
        ? part("CategoricalTicker")
        : part("BasicTicker", {desired_num_ticks: 6 - 2 * i, mantissas: [1, 2, 5]}),
    }),
  );
  const columns = {}; // of each source, those that its glyphs draw
  for (const [, source, fields] of glyphs) {
    columns[source] ??= new Set();
    for (const field of Object.values(fields)) columns[source].add(field);
  }
  const sources = {}; // the glyphs of a source share it: after the first one they name its id
  const renderers = glyphs.map(([glyph, source, fields, look = {}, name = ""]) => {
    let data_source = {id: sources[source]?.id};
    if (!sources[source]) {
      const data = {type: "map", entries: [...columns[source]].map((field) => [field, []])};
      data_source = part("ColumnDataSource", {name: source, data});
      sources[source] = data_source;
    }
    const properties = {};
    for (const [property, field] of Object.entries(fields)) properties[property] = column(field);
    return part("GlyphRenderer", {name, data_source, glyph: part(glyph, {...properties, ...look})});
  });
  const grids = [below, left].map((axis, dimension) =>
    part("Grid", {
      dimension,
      axis: {id: axis.id},
      grid_line_alpha: 0.35,
      visible: !named,
    }),
  );
  return part("Figure", {
    sizing_mode: "stretch_both",
    min_width: 200,
    x_range: axes[0][1],
    y_range: axes[1][1],
    x_scale: part(`${kind}Scale`),
    y_scale: part(`${kind}Scale`),
    toolbar_location: null,
    toolbar: part("Toolbar"),
    outline_line_color: null,
    background_fill_alpha: 0,
    border_fill_alpha: 0,
    min_border: 4,
    below: [below],
    left: [left],
    center: [...grids, ...more],
    renderers,
  });
}

const range = (start, end) => part("Range1d", {start, end});
const words = (size, look) => ({text_font_size: size, ...look});

// Test accuracy against clear epochs seen: without a deficit, at the point, its dip, and its harm.
function lifeFigure({accuracy: [low, high], longest}) {
  const band = {x: "x", y1: "low", y2: "high"};
  const line = {x: "x", y: "mean"};
  const seeds = {xs: "xs", ys: "ys"};
  const text = {x: "x", y: "y", text: "text", text_align: "align"};
  const white = {background_fill_color: "#FFFFFF", background_fill_alpha: 0.75};
  const lives = [
    ["grey", CLEAR],
    ["own", INK],
  ].flatMap(([name, hue]) => [
    ["VArea", name, band, {fill_color: hue, fill_alpha: 0.2}, name],
    ["MultiLine", `${name} seeds`, seeds, {line_color: hue, line_alpha: 0.5}, name],
    ["Line", name, line, {line_color: hue, line_width: 2.5}, name],
  ]);
  return plot(
    [
      ["clear epochs seen", range(-1, 1.16 * longest)],
      ["test accuracy, %", range(low - 3, high + 4)],
    ],
    [
      ...lives,
      ["Line", "dip", line, {line_width: 1.5, line_dash: [2, 4]}, "own"],
      ["Scatter", "dip", line, {size: 3}, "own"],
      ["MultiLine", "live", seeds, {line_color: "#D55E00", line_width: 2}],
      [
        "Scatter",
        "looked",
        {x: "x", y: "y"},
        {size: 9, line_color: INK, fill_alpha: 0, line_width: 2},
      ],
      [
        "Segment",
        "bracket",
        {x0: "x0", y0: "y0", x1: "x1", y1: "y1"},
        {line_color: INK, line_width: 2.5},
      ],
      [
        "Text",
        "tag",
        text,
        words("15px", {
          ...white,
          text_font_style: "bold",
          text_color: INK,
          text_baseline: "top",
          y_offset: 5,
        }),
      ],
      [
        "Text",
        "greyName",
        text,
        words("12px", {...white, text_color: CLEAR, text_baseline: "bottom", y_offset: -3}),
      ],
      ["Text", "below", text, words("12px", {...white, x_offset: 5, y_offset: -3}), "own"],
    ],
  );
}

// The field along which harm is drawn as lines, and the fixed one: by onset, unless there is only
// one.
const along = ({axes}) => (axes.onset.length > 1 ? ["onset", "length"] : ["length", "onset"]);

// Harm by onset, or by length, one line a deficit.
function agesFigure({axes, deficits}) {
  const [by] = along({axes});
  const last = max(8, ...axes[by]);
  const zero = part("Span", {dimension: "width", location: 0, line_color: "#888888"});
  const lines = deficits.flatMap(({name, colour, dash, marker}) => [
    [
      "Segment",
      `ages ${name}`,
      {x0: "x", y0: "low", x1: "x", y1: "high"},
      {line_color: colour},
      name,
    ],
    [
      "Line",
      `ages ${name}`,
      {x: "x", y: "y"},
      {line_color: colour, line_dash: DASHES[dash] ?? []},
      name,
    ],
    [
      "Scatter",
      `ages ${name}`,
      {x: "x", y: "y", fill_color: "fill"},
      {line_color: colour, size: 8, marker: {type: "value", value: marker}},
      name,
    ],
  ]);
  return plot(
    [
      [by, range(-0.04 * last, 1.04 * last)],
      ["harm", range(0, 1)],
    ],
    [
      ...lines,
      [
        "Scatter",
        "here",
        {x: "x", y: "y"},
        {size: 16, line_color: INK, fill_alpha: 0, line_width: 2},
      ],
    ],
    [zero],
  );
}

// Harm by onset and length; hatched where it is level.
function mapFigure({axes}) {
  const factors = (name) => part("FactorRange", {factors: axes[name]});
  const at = {x: "onset", y: "length"};
  const cell = {width: 0.94, height: 0.9};
  const transform = part("LinearColorMapper", {palette: REDS, low: -1, high: 1});
  const look = {
    ...cell,
    fill_color: column("value", {transform}),
    line_color: "#888888",
    hatch_pattern: "/",
    hatch_color: "#888888",
    hatch_scale: 16,
  };
  return plot(
    [
      ["onset", factors("onset")],
      ["length", factors("length")],
    ],
    [
      [
        "Rect",
        "cells",
        {...at, fill_color: "value", fill_alpha: "alpha", hatch_alpha: "hatch"},
        look,
      ],
      [
        "Text",
        "cells",
        {...at, text: "text", text_color: "hue"},
        words("13px", {text_align: "center", text_baseline: "middle"}),
      ],
      ["Rect", "mark", at, {...cell, line_color: INK, line_width: 3, fill_alpha: 0}],
    ],
  );
}

const DASHES = {dashed: [6], dotted: [2, 4], dotdash: [2, 4, 6, 4], dashdot: [6, 4, 2, 4]};

// A piece of a deficit's line, on a button, which names it.
function dashes({dash, colour}) {
  const gaps = DASHES[dash]?.join(" ") ?? "none";
  const line = `<path d="M0 4h22" stroke="${colour}" stroke-width="3" stroke-dasharray="${gaps}"/>`;
  return make("i", {ariaHidden: true, innerHTML: `<svg width="22" height="8">${line}</svg>`});
}

const inSeeds = (count) => `${count} seed${count === 1 ? "" : "s"}`;

// A harm for a cell of the map; without a harm, a question mark.
function inWords(harm, digits) {
  if (!harm) return "?";
  if (harm.value === null) return harm.single ? "(1)" : "≈ 0";
  const number = harm.value
    .toFixed(digits)
    .replace("-", "−")
    .replace(/^−(0|0\.0)$/, "$1");
  return harm.single ? `${number} (1)` : number;
}

customElements.define("cplab-explorer", Explorer);
