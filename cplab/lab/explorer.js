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
    for (const look of content.deficits)
      this.deficits.append(
        make(
          "button",
          {type: "button", name: "deficit", value: look.name},
          dashes(look),
          look.label,
        ),
      );
    this.source.textContent = content.source;
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
      return (part) =>
        this.choose(this.nearest(from, name, positions(from)[name] + part * this.data.last));
    });
    new ResizeObserver(() => this.draw()).observe(this.plots);
    this.followLink();
    this.drawWords();
    globalThis.cplabLoading ??= loadBokeh(bokeh, version);
    this.Bokeh = await globalThis.cplabLoading;
    await this.embed();
    this.connect();
  }

  // Make the figures, whose axes are those of the content.
  async embed() {
    const {Bokeh, version} = this;
    const {documents} = Bokeh;
    const old = (this.figures ?? []).map((model) => documents.indexOf(model.document));
    for (const at of old.sort((a, b) => b - a)) documents.splice(at, 1);
    this.places.forEach((place) => place.replaceChildren());
    const roots = [lifeFigure, agesFigure, mapFigure].map((figure) => figure(this.data));
    this.figures = await Promise.all(
      roots.map(async (root, i) => {
        const item = {doc: {version, title: "", roots: [root]}, root_id: root.id};
        const [{model, canvas_view}] = await Bokeh.embed.embed_item(item, this.places[i]);
        canvas_view.events_el.tabIndex = -1;
        model.sources = {};
        for (const {data_source} of model.renderers) model.sources[data_source.name] = data_source;
        return model;
      }),
    );
    this.along = along(this.data);
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
    this.draw();
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
    for (const figure of [1, 2]) this.lookAt(figure);
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

  // The point with a result that is nearest to a value of a number or a grip, among those allowed.
  nearest(from, name, value, allowed = () => true) {
    const stays = STAYS[name];
    const {points, data} = this;
    const cost = (p) =>
      abs(positions(p)[name] - value) +
      (stays ? abs(positions(p)[stays] - positions(from)[stays]) / 2 : 0);
    const trained = stays
      ? points.filter(({deficit}) => deficit === from.deficit)
      : data.recoveries.map((recovery) => ({...from, recovery}));
    return trained.filter(allowed).sort((a, b) => cost(a) - cost(b))[0] ?? {};
  }

  // Write what a figure shows at a place: an epoch, a point of the lines, or a cell of the map.
  lookAt(figure, place) {
    this.looked[figure] = place;
    const words =
      place && [this.readLife, this.readPoint, this.readPoint][figure].call(this, place);
    say(this.values[figure], words ?? this.usual[figure]);
    this.values[figure].parentElement.classList.toggle("read", Boolean(words));
    if (figure === 0) this.markLooked();
  }

  // The place that is nearest to a pointer, in a figure's coordinates.
  near(figure, {x, y}) {
    if (figure === 0) return {epoch: within(1, Math.round(x), this.data.longest)};
    if (figure === 1) return this.nearestByHarm({x, y}, this.figures[1]);
    const {onset, length} = this.data.axes;
    const at = {onset: +onset[Math.floor(x)], length: +length[Math.floor(y)]};
    return isNaN(at.onset + at.length) ? undefined : {deficit: this.state.deficit, ...at};
  }

  // Arrow keys go on from the place that was read last, and begin at the chosen point.
  walk(figure, event) {
    const {data, state} = this;
    const {key} = event;
    const step = STEPS[key];
    event.preventDefault();
    if (figure === 0) {
      const from = this.looked[0]?.epoch ?? state.onset + state.recovery;
      return this.lookAt(0, {
        epoch: within(1, from + step * (event.shiftKey ? 10 : 1), data.longest),
      });
    }
    const {onset, length} = this.looked[figure] ?? state;
    const now = {onset, length};
    let axis = /Left|Right/.test(key) ? "onset" : "length";
    if (figure === 1) [axis] = this.along;
    const values = data.axes[axis].map(Number);
    const at = values.findIndex((value) => value >= now[axis]);
    now[axis] = values[within(0, (at < 0 ? values.length - 1 : at) + step, values.length - 1)];
    this.lookAt(figure, {deficit: state.deficit, ...now});
  }

  // Both lines after so many clear epochs, each with its interval and its seeds.
  readLife({epoch}) {
    const parts = this.linesAt(epoch).map(({name, mean, half, seeds}) => {
      const interval = seeds > 1 ? ` ± ${half.toFixed(1)}` : "";
      return `${name} ${mean.toFixed(1)}${interval} % (${inSeeds(seeds)})`;
    });
    return parts.length ? `after ${epoch} clear epochs: ${parts.join(", ")}` : undefined;
  }

  linesAt(epoch) {
    const {
      data,
      point,
      state: {onset, length, recovery},
    } = this;
    const band = point?.bands.find(({upto}) => upto >= recovery);
    const at = (of, name, i) => ({
      name,
      mean: of.mean[i] / 10,
      half: of.half[i] / 10,
      seeds: Object.values(of.seeds).filter((curve) => curve.length > i).length,
    });
    const lines = [];
    if (band && epoch > onset && epoch <= onset + recovery)
      lines.push(at(band, "this one", epoch + length - 1));
    if (data.grey && epoch <= data.grey.mean.length) lines.push(at(data.grey, "clear", epoch - 1));
    return lines;
  }

  markLooked() {
    const epoch = this.looked[0]?.epoch;
    const lines = epoch ? this.linesAt(epoch) : [];
    this.fill(0, "looked", {x: lines.map(() => epoch), y: lines.map(({mean}) => mean)});
  }

  readPoint(place) {
    const end =
      this.data.points[[place.deficit, place.onset, place.length]]?.at[this.state.recovery];
    const where = `onset ${place.onset}, length ${place.length}`;
    if (!end?.harm) return `${where}: no result`;
    const [harm, half] = end.harm;
    const number = (value) => value.toFixed(1).replace("-", "−");
    const interval = half === null ? "" : ` ± ${half.toFixed(1)}`;
    return `${where}: ${number(harm)}${interval} points (${end.seeds})`;
  }

  key(event) {
    const figure = this.places.indexOf(event.target);
    if (figure >= 0 && STEPS[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey)
      return this.walk(figure, event);
    const {key, target} = event;
    const step = STEPS[key];
    const name = target.dataset.grip ?? target.name;
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.closest("[role=toolbar]")) {
      const next = step > 0 ? target.nextElementSibling : target.previousElementSibling;
      next?.focus();
      next?.click();
    }
    const from = positions(this.state)[name];
    if (from === undefined || (target.type === "number" && /Left|Right/.test(key))) return;
    event.preventDefault();
    this.choose(
      this.nearest(this.state, name, from, (p) => step * (positions(p)[name] - from) > 0),
    );
  }

  chooseByHarm(at, figure) {
    const best = this.nearestByHarm(at, figure);
    const [along] = this.along;
    if (best) this.choose({deficit: best.deficit, [along]: best[along]});
  }

  nearestByHarm({x, y}, {x_range, y_range}) {
    const [along, fixed] = this.along;
    const distance = (point) => {
      const value = point[fixed] === this.state[fixed] ? this.harm(point)?.value : undefined;
      const up = ((value ?? Infinity) - y) / (y_range.end - y_range.start);
      return Math.hypot((point[along] - x) / (x_range.end - x_range.start), up);
    };
    const best = this.points.reduce((a, b) => (distance(b) < distance(a) ? b : a), this.points[0]);
    return best && distance(best) < Infinity ? best : undefined;
  }

  // Drawing --------------------------------------------------------------------------------------

  draw() {
    this.drawWords();
    if (!this.figures) return;
    const {colour} = this.looks[this.state.deficit];
    for (const {name, glyph} of this.figures[0].renderers)
      for (const part of ["line_color", "fill_color", "text_color"])
        if (name === "own" && part in glyph.properties) glyph.setv({[part]: colour});
    this.drawLife();
    this.due ??= requestAnimationFrame(() =>
      setTimeout(() => {
        // once the large figure is painted
        this.due = undefined;
        this.drawAges();
        this.drawMap();
        this.places.forEach(
          (place, i) =>
            (place.ariaLabel = `${this.titles[i].textContent}: ${this.head.textContent}`),
        );
      }),
    );
  }

  drawWords() {
    const {state, data, root} = this;
    const {deficit, onset, length, recovery} = state;
    const look = this.looks[deficit];
    const end = this.point?.at[recovery];
    const finish = onset + length;
    const training =
      this.alive &&
      this.live.busy &&
      (this.live.points ?? []).some((p) => `${p}` === `${[deficit, onset, length]}`);
    root.style.cssText = `--deficit: ${look.colour}; --on-deficit: ${look.ink}`;
    say(
      this.head,
      end?.head ??
        (training ? "This point is being trained now, for the first time here." : data.untrained),
    );
    say(
      this.small,
      end?.small ??
        (training
          ? "Its test accuracy grows in orange, one line a seed."
          : "Points with a result are on the map, and have a tick below the bar."),
    );
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
    const mine = this.points.filter((p) => p.deficit === deficit);
    const marks = [
      ...mine.filter((p) => p.length === length).map((p) => [p.onset, "own"]),
      ...mine.filter((p) => p.onset === onset).map((p) => [onset + p.length, "own"]),
      ...data.recoveries.map((r) => [finish + r, ""]),
    ];
    this.ticks.replaceChildren(
      ...marks.map(([at, className]) =>
        make("b", {className, style: `left:${(100 * at) / data.last}%`}),
      ),
    );
    this.drawLive();
  }

  drawLife() {
    const {state, data, point} = this;
    const {onset, length, recovery} = state;
    const after = onset + length;
    const end = point?.at[recovery];
    const band = end && point.bands.find(({upto}) => upto >= recovery);
    const {grey} = data;
    const put = (name, columns) => this.fill(0, name, columns);
    const curve = (of, from, until, shift, half = of?.half) => {
      // thousandths to percent
      const rows = {x: [], mean: [], low: [], high: []};
      const mean = of?.mean ?? [];
      for (let i = from; i < min(until, mean.length); i++) {
        rows.x.push(i + 1 - shift);
        rows.mean.push(mean[i] / 10);
        rows.low.push(max(0, (mean[i] - half[i]) / 10));
        rows.high.push(min(100, (mean[i] + half[i]) / 10));
      }
      return rows;
    };
    const seeds = (of, ...range) => {
      const lives = state.seeds && of ? Object.values(of.seeds) : [];
      const rows = lives.map((mean) => curve({mean}, ...range, mean));
      return {xs: rows.map(({x}) => x), ys: rows.map(({mean}) => mean)};
    };
    for (const [name, of, ...range] of [
      ["grey", grey, 0, data.longest, 0],
      ["own", band, after, after + recovery, length],
    ]) {
      put(name, curve(of, ...range));
      put(`${name} seeds`, seeds(of, ...range));
    }
    const dip = band ? band.mean.slice(max(0, onset - 1), after + 1).map((y) => y / 10) : [];
    put("dip", {x: dip.map((_, i) => (i === dip.length - 1 ? onset + 1 : onset)), mean: dip});
    const {
      y_range: {start: floor},
      x_range,
    } = this.figures[0];
    const lowest = min(...dip);
    const text = (shown, x, y, words, align) =>
      shown ? {x: [x], y: [y], text: [words], align: [align]} : {x: [], y: [], text: [], align: []};
    put("below", text(lowest < floor, onset, floor, `▾ ${lowest.toFixed(0)} %`, "left"));
    const last = min(grey?.mean.length ?? 0, data.longest);
    const side = last > 0.4 * data.longest ? "right" : "left";
    const top = last && (grey.mean[last - 1] + grey.half[last - 1]) / 10;
    put("greyName", text(last, last, top, "clear from birth", side));

    // The bracket of harm at the end of the line, and the text beside it.
    const at = onset + recovery;
    const wide = x_range.end - x_range.start;
    const cap = 0.006 * wide;
    const epochs = state.unit === "clear epochs";
    const harm = end?.harm?.[0] ?? 0;
    const pieces = [];
    if (end?.harm && !epochs) {
      const ends = [end.level, end.level + harm];
      const x = at + 2 * cap;
      pieces.push([x, ends[0], x, ends[1]], ...ends.map((y) => [x - cap, y, x + cap, y]));
    } else if (end?.sign && end.back[0] !== null) {
      const ends = [at - end.back[0], at];
      const y = end.level;
      pieces.push([ends[0], y, ends[1], y], ...ends.map((x) => [x, y - 0.7, x, y + 0.7]));
    }
    const columns = ["x0", "y0", "x1", "y1"].map((name, i) => [
      name,
      pieces.map((piece) => piece[i]),
    ]);
    put("bracket", Object.fromEntries(columns));
    const tag = end?.tags[epochs ? 1 : 0] ?? "";
    const room = (9.2 * tag.length * wide) / (this.places[0].clientWidth - 60);
    const beside = x_range.end - at > room + 4 * cap; // or below the line, up to the edge
    const own = curve(band, after, after + recovery, length);
    const above = beside ? [] : own.low.filter((_, i) => own.x[i] > x_range.end - room);
    const y = end && min(end.level, end.level + harm, ...above);
    put("tag", text(tag, beside ? at + 4 * cap : x_range.end, y, tag, beside ? "left" : "right"));
    this.titles[0].textContent = `Test accuracy${end ? `: ${end.name}` : ""}`;
    this.lookAt(0, this.looked[0]);
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
    const epochs = state.unit === "clear epochs";
    const [along, fixed] = this.along;
    const of = fixed === "length" ? `of ${state.length} epochs` : `from onset ${state.onset}`;
    this.titles[1].textContent = `Harm ${of}, by ${along}, ${state.unit}`;
    const [start, end] = data.reach[epochs ? 1 : 0];
    const [, model] = this.figures;
    model.y_range.setv({start, end});
    for (const {name, label, colour} of data.deficits) {
      const rows = {x: [], y: [], low: [], high: [], fill: []};
      const chosen = name === state.deficit;
      for (const point of this.points) {
        const harm = point.deficit === name && point[fixed] === state[fixed] && this.harm(point);
        if (!harm || harm.value === null) continue;
        const row = {x: point[along], y: harm.value, low: harm.low, high: harm.high};
        for (const [column, value] of Object.entries(row)) rows[column].push(value);
        rows.fill.push(harm.sign ? colour : "#FFFFFF");
      }
      this.fill(1, `ages ${name}`, rows);
      for (const renderer of model.renderers)
        if (renderer.name === name)
          renderer.glyph.setv({line_alpha: chosen ? 1 : 0.45, line_width: chosen ? 2.5 : 1.5});
    }
    const here = this.harm(state);
    const seen = here && here.value !== null;
    this.fill(1, "here", {x: seen ? [state[along]] : [], y: seen ? [here.value] : []});
  }

  drawMap() {
    const {state, data} = this;
    const epochs = state.unit === "clear epochs";
    const most = data.most[epochs ? 1 : 0];
    this.titles[2].textContent = `By onset and length, ${state.unit}`;
    const alone = data.axes.onset.length < 2; // a map of one column repeats the lines
    this.map.parentElement.hidden = alone;
    this.places[1].style.height = alone ? "350px" : "";
    const rows = {onset: [], length: [], value: [], text: [], hue: [], alpha: [], hatch: []};
    for (const point of this.points.filter(({deficit}) => deficit === state.deficit)) {
      const harm = this.harm(point);
      const value = harm?.value ?? NaN; // hatched cells have no colour
      const row = {
        onset: `${point.onset}`,
        length: `${point.length}`,
        value: value / most,
        text: inWords(harm, epochs ? 0 : 1),
        alpha: harm?.sign ? 1 : 0,
        hatch: harm?.sign === 0 && !harm.single ? 0.35 : 0,
        hue: harm?.sign && abs(value) > 0.55 * most ? "#FFFFFF" : "#111111",
      };
      for (const [column, cell] of Object.entries(row)) rows[column].push(cell);
    }
    this.fill(2, "cells", rows);
    const [onset, length] = [`${state.onset}`, `${state.length}`];
    const inMap = data.axes.onset.includes(onset) && data.axes.length.includes(length);
    this.fill(2, "mark", {onset: inMap ? [onset] : [], length: inMap ? [length] : []});
  }

  drawLive() {
    super.drawLive();
    const {busy, live} = this;
    const can = this.alive && !this.why;
    this.start.textContent = busy ? "Stop" : "Train";
    this.todo.hidden = !can || busy;
    if (!this.figures) return;
    const {deficit, onset, length} = this.state;
    const mine = can && live.curves?.[[deficit, onset, length]];
    const xs = (mine || []).map((curve) =>
      curve.map((_, i) => (i < onset ? i + 1 : max(onset, i + 1 - length))),
    );
    this.fill(0, "live", {xs, ys: mine || []});
  }

  fill(figure, name, columns) {
    // only new columns, since each assignment paints
    const source = this.figures[figure].sources[name];
    const text = JSON.stringify(columns);
    if (this.filled.get(source) !== text) source.data = columns;
    this.filled.set(source, text);
  }
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

// Axes are pairs [label, range]; glyphs are lists [kind, source, {property: column}, look, name];
// those with the name `own` have the colour of the deficit.
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
  const columns = {};
  const sources = {};
  for (const [, source, where] of glyphs) Object.assign((columns[source] ??= {}), where);
  const renderers = glyphs.map(([glyph, source, where, look = {}, name = ""]) => {
    const data = {
      type: "map",
      entries: [...new Set(Object.values(columns[source]))].map((name) => [name, []]),
    };
    const data_source = sources[source]
      ? {id: sources[source].id}
      : part("ColumnDataSource", {name: source, data});
    sources[source] ??= data_source;
    const fields = Object.entries(where).map(([place, field]) => [place, column(field)]);
    return part("GlyphRenderer", {
      name,
      data_source,
      glyph: part(glyph, {...Object.fromEntries(fields), ...look}),
    });
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

function dashes({dash, colour}) {
  // a piece of a deficit's line, on a button, which names it
  const gaps = DASHES[dash]?.join(" ") ?? "none";
  const line = `<path d="M0 4h22" stroke="${colour}" stroke-width="3" stroke-dasharray="${gaps}"/>`;
  return make("i", {ariaHidden: true, innerHTML: `<svg width="22" height="8">${line}</svg>`});
}

const inSeeds = (count) => `${count} seed${count === 1 ? "" : "s"}`;

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
