// The explorer: chooses among the points that Python wrote once, and draws them with BokehJS.
//
// With Python the default export is anywidget's module; without it, in a saved notebook or on a page,
// it is given a model that only keeps values. All that is said stands in the data: nothing is computed
// from results here.

const STEPS = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1};
const INKS = {day: ["#222222", "#E3E3E3", "#FFFFFF"], night: ["#E6E6E6", "#4A4A4A", "#111111"]};

export default {
  async render({model, el}) {
    const view = new View(model, el);
    await view.begin();
    return () => view.end();
  },
};

function dashes({dash}) {  // a piece of the line that a deficit has, in the colour of the text
  const gaps = {dashed: "6", dotted: "2 4", dotdash: "2 4 6 4", dashdot: "6 4 2 4"}[dash] ?? "none";
  const place = make("i", {ariaHidden: true});
  place.innerHTML = `<svg width="22" height="8"><path d="M0 4h22" stroke="currentColor" stroke-width="3" stroke-dasharray="${gaps}"/></svg>`;
  return place;
}

class View {
  constructor(model, el) {
    Object.assign(this, {model, el, alive: false, handlers: [], loose: [], drawn: new WeakMap()});
    this.read();
  }

  read() {
    this.data = JSON.parse(this.model.get("knowledge"));
    this.looks = Object.fromEntries(this.data.deficits.map((look) => [look.name, look]));
    this.points = Object.keys(this.data.points).map((key) => {
      const [deficit, onset, length] = key.split(",");
      return {deficit, onset: +onset, length: +length};
    });
  }

  learn() {  // what was trained by now
    this.read();
    const {x_range, y_range} = this.figures?.[2].figure ?? {x_range: {}, y_range: {}};
    [x_range.factors, y_range.factors] = [this.data.axes.onset, this.data.axes.length];
    this.draw();
  }

  get state() {
    return this.model.get("place");
  }

  get known() {
    const {deficit, onset, length} = this.state;
    return this.data.points[[deficit, onset, length]];
  }

  async begin() {
    const {model} = this;
    this.build();
    const listen = (name, task) => {
      model.on(name, task);
      this.handlers.push([name, task]);
    };
    listen("change:place", () => this.draw());
    listen("change:live", () => this.drawLive());
    listen("change:knowledge", () => this.learn());
    listen("msg:custom", (message) => this.hear(message));
    model.send({hello: true});
    this.drawWords();
    this.watchTheme();
    const Bokeh = await bokeh(model), {data, places} = this;
    this.figures = await Promise.all(data.figures.map((item, i) => embed(Bokeh, item, places[i])));
    for (const one of this.figures) {
      Object.assign(one, {figure: one.model, sources: {}, renderers: one.model.renderers});
      for (const {data_source} of one.renderers) one.sources[data_source.name] = data_source;
    }
    this.theme();
    this.draw();
  }

  end() {
    for (const [name, task] of this.handlers) this.model.off(name, task);
    for (const stop of this.loose) stop();
    this.figures?.forEach(free);
  }

  // The screen -----------------------------------------------------------------------------------

  build() {
    const {data} = this, choose = (change) => this.choose(change);
    this.head = make("p", {className: "cplab-x-head", ariaLive: "polite"});
    this.small = make("p", {className: "cplab-x-small"});
    this.deficits = data.deficits.map((look) => make("button", {
      type: "button", name: look.name, onclick: () => choose({deficit: look.name})},
      dashes(look), look.label));
    this.fields = Object.fromEntries(["onset", "length", "recovery"].map((name) => [name, make("input", {
      type: "number", min: name === "onset" ? 0 : 1, ariaLabel: `${name}, epochs`,
      className: `cplab-x-${name}`, onkeydown: (event) => this.key(event, name),
      onchange: ({target}) => choose({[name]: Math.round(target.value) || 0})})]));
    this.seeds = make("input", {type: "checkbox", className: "cplab-x-seeds",
                                onchange: ({target}) => choose({seeds: target.checked})});
    this.units = data.units.map((unit) => make("button", {
      type: "button", name: unit, onclick: () => choose({unit})}, unit));
    const group = (words, buttons) => make("span", {role: "group", ariaLabel: words}, ...buttons);
    const controls = make("div", {className: "cplab-x-controls"}, group("deficit", this.deficits),
      ...Object.entries(this.fields).map(([name, field]) => make("label", {}, `${name} `, field)),
      make("label", {}, this.seeds, " seeds"),
      make("span", {className: "cplab-x-units"}, "harm in ", group("harm in", this.units)));
    if (data.units.length < 2) controls.lastChild.hidden = true;

    this.grips = {};
    const grip = (name, words) => (this.grips[name] = make("div", {
      className: `cplab-x-grip cplab-x-${name}`, role: "slider", tabIndex: 0, ariaLabel: words,
      name, ariaValueMin: 0, ariaValueMax: data.last,
      onkeydown: (event) => this.key(event, name)}));
    const part = (name, ...more) => make("div", {className: `cplab-x-part cplab-x-is-${name}`},
                                          make("span"), make("div", {className: "cplab-x-seen"}), ...more);
    this.parts = ["clear", "deficit", "recovery"].map((name) => part(name));
    this.ticks = make("div", {className: "cplab-x-ticks", ariaHidden: "true"});
    this.line = make("div", {className: "cplab-x-line"}, ...this.parts, grip("block", "onset of the deficit"),
      grip("left", "onset, while its end stays"), grip("right", "length of the deficit"),
      grip("rest", "recovery"), this.ticks);
    this.line.addEventListener("pointerdown", (event) => this.grab(event));

    this.places = ["life", "ages", "map"].map((name) => make("div", {className: `cplab-x-${name}-figure`, role: "img"}));
    this.titles = ["Test accuracy against clear epochs seen", "", ""].map((text) => make("h4", {}, text));
    const box = (i) => make("figure", {}, this.titles[i], this.places[i]);
    const figures = make("div", {className: "cplab-x-figures"}, box(0), make("div", {}, box(1), box(2)));

    this.train = make("button", {type: "button", className: "cplab-x-train", onclick: () => this.ask("train")});
    this.stop = make("button", {type: "button", className: "cplab-x-stop", onclick: () => this.ask("stop")}, "Stop");
    this.message = make("span", {className: "cplab-x-message", role: "status"});
    this.progress = make("progress", {ariaLabel: "epochs trained"});
    this.code = make("code", {});
    const copy = make("button", {type: "button", onclick: () =>
      navigator.clipboard?.writeText(this.code.textContent)}, "copy");
    const more = make("details", {}, make("summary", {}, "Python and sources"), this.code, " ", copy,
                      make("p", {}, data.source));
    const foot = make("div", {className: "cplab-x-foot"}, this.train, this.message, this.progress, this.stop,
                      make("small", {}, data.hatched), more);
    this.root = make("div", {className: "cplab-x"}, this.head, this.small, controls, this.line, figures, foot);
    this.el.append(this.root);
  }

  // What happens ---------------------------------------------------------------------------------

  choose(change) {
    const place = {...this.state, ...change}, {data} = this;
    place.onset = Math.max(0, Math.min(place.onset, data.last - 1));
    place.length = Math.max(1, Math.min(place.length, data.last));
    place.recovery = Math.max(1, Math.min(place.recovery, data.recoveries.at(-1)));
    if (Object.entries(place).every(([name, value]) => this.state[name] === value)) return;
    this.model.set("place", place);  // which draws
    clearTimeout(this.saving);
    this.saving = setTimeout(() => this.model.save_changes(), 120);
  }

  // The trained point at which the cost is least.
  nearest(cost, allowed = () => true) {
    let best = null, least = Infinity;
    for (const one of this.points) {
      if (one.deficit !== this.state.deficit || !allowed(one)) continue;
      const now = cost(one);
      if (now < least) [best, least] = [one, now];
    }
    return best ? {onset: best.onset, length: best.length} : {};
  }

  // What moving a grip to an epoch chooses: what was trained, or with `free` every epoch.
  moved(name, from, to, free) {
    const end = from.onset + from.length, {recoveries} = this.data;
    to = Math.round(Math.max(0, to));
    if (name === "rest" || name === "recovery") {
      const wanted = name === "rest" ? to - end : to;
      const near = (a, b) => (Math.abs(b - wanted) < Math.abs(a - wanted) ? b : a);
      return {recovery: free ? wanted : recoveries.reduce(near)};
    }
    if (free) {
      if (name === "left") return {onset: Math.min(to, end - 1), length: Math.max(1, end - to)};
      return name === "right" ? {length: to - from.onset} : {onset: to};
    }
    const {abs} = Math;
    if (name === "left") return this.nearest((p) => abs(p.onset - to) + abs(p.onset + p.length - end) / 2);
    if (name === "right") return this.nearest((p) => abs(p.length + from.onset - to) + abs(p.onset - from.onset));
    return this.nearest((p) => abs(p.onset - to) + abs(p.length - from.length) / 2);
  }

  key(event, name) {
    const step = STEPS[event.key], now = this.state;
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    const field = event.target.tagName === "INPUT";
    if (field && (event.key === "ArrowLeft" || event.key === "ArrowRight")) return;
    event.preventDefault();
    const of = {onset: "block", length: "right", recovery: "rest"}[name] ?? name;
    const edge = {block: now.onset, left: now.onset, right: now.onset + now.length,
                  rest: now.onset + now.length + now.recovery}[of];
    if (event.shiftKey) return this.choose(this.moved(of, now, edge + step, true));
    if (of === "rest") {
      const {recoveries} = this.data, further = recoveries.filter((r) => step * (r - now.recovery) > 0);
      return further.length && this.choose({recovery: step > 0 ? further[0] : further.at(-1)});
    }
    const by = of === "right" ? "length" : "onset", other = of === "right" ? "onset" : "length";
    const end = now.onset + now.length, {abs} = Math;
    const side = of === "left" ? (p) => abs(p.onset + p.length - end) / 2 : (p) => abs(p[other] - now[other]) / 2;
    this.choose(this.nearest((p) => abs(p[by] - now[by]) + side(p), (p) => step * (p[by] - now[by]) > 0));
  }

  grab(event) {
    const name = event.target.closest(".cplab-x-grip")?.name;
    if (!name || event.button) return;
    event.preventDefault();
    this.grips[name].focus({preventScroll: true});
    const {line} = this, from = {...this.state}, {left, width} = line.getBoundingClientRect();
    const edge = {block: from.onset, left: from.onset, right: from.onset + from.length,
                  rest: from.onset + from.length + from.recovery}[name];
    const move = (now) => {
      const to = edge + ((now.clientX - event.clientX) / width) * this.data.last;
      this.choose(this.moved(name, from, to, now.shiftKey));
    };
    const done = () => {
      line.removeEventListener("pointermove", move);
      line.classList.remove("cplab-x-held");
    };
    line.setPointerCapture(event.pointerId);
    line.classList.add("cplab-x-held");
    line.addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) line.addEventListener(name, done, {once: true});
  }

  ask(what) {
    clearTimeout(this.saving);
    this.model.save_changes();
    this.model.send({[what]: true});
  }

  hear({alive, why}) {
    if (alive === undefined) return;
    Object.assign(this, {alive: true, why});
    this.drawLive();
  }

  // What is drawn --------------------------------------------------------------------------------

  draw() {
    this.drawWords();
    if (!this.figures) return;
    const {state, known} = this, end = known?.at[state.recovery];
    for (const {name, glyph} of this.figures[0].renderers) if (name === "own") this.paint(name, glyph, this.inks[0]);
    this.drawLife(known, end);
    this.due ??= requestAnimationFrame(() => setTimeout(() => {  // once the large figure is painted
      this.due = undefined;
      this.drawAges();
      this.drawMap();
      this.places.forEach((place, i) => place.setAttribute("aria-label", `${this.titles[i].textContent}: ${this.head.textContent}`));
    }));
  }

  drawWords() {
    const {state, data, known, fields} = this, {onset, length, recovery} = state;
    const end = known?.at[recovery], look = this.look();
    const [colour, ink] = look[this.night ? "night" : "day"];
    this.root.style.setProperty("--deficit", colour);
    this.root.style.setProperty("--on-deficit", ink);
    this.head.textContent = end?.head ?? data.untrained;
    this.small.textContent = end?.small ?? data.untrainedMore;
    for (const button of [...this.deficits, ...this.units])
      button.setAttribute("aria-pressed", [state.deficit, state.unit].includes(button.name));
    for (const [name, field] of Object.entries(fields))
      if (+field.value !== state[name] || field.value === "") field.value = state[name];
    this.seeds.checked = state.seeds;
    const spans = [[0, onset], [onset, length], [onset + length, recovery]];
    const words = ["clear", look.label, "recovery"], seen = [data.clear, look.picture, data.clear];
    const place = (epoch) => `${(100 * epoch) / data.last}%`;
    this.parts.forEach((part, i) => {
      const [begin, epochs] = spans[i];
      Object.assign(part.style, {left: place(begin), width: place(epochs)});
      part.firstChild.textContent = `${words[i]} ${epochs}`;
      part.lastChild.style.backgroundImage = `url(${seen[i]})`;
    });
    const {block, left, right, rest} = this.grips, finish = onset + length;
    Object.assign(block.style, {left: place(onset), width: place(length)});
    for (const [grip, at] of [[left, onset], [right, finish], [rest, finish + recovery]]) grip.style.left = place(at);
    for (const [grip, value, text] of [[block, onset, `after ${onset} clear epochs`], [left, onset, `from epoch ${onset} to ${finish}`],
                                       [right, length, `${length} epochs`], [rest, recovery, `${recovery} clear epochs`]]) {
      grip.setAttribute("aria-valuenow", value);
      grip.setAttribute("aria-valuetext", text);
    }
    this.code.textContent = data.call.replace("'deficit'", `'${state.deficit}'`)
      .replace("1111", onset).replace("2222", length).replace("3333", recovery);
    const mine = this.points.filter((p) => p.deficit === state.deficit);
    const ticks = [...mine.filter((p) => p.length === length).map((p) => [p.onset, "top"]),
                   ...mine.filter((p) => p.onset === onset).map((p) => [onset + p.length, "low"]),
                   ...data.recoveries.map((r) => [finish + r, "end"])];
    this.ticks.replaceChildren(...ticks.map(([at, kind]) => make("b", {className: kind, style: `left:${place(at)}`})));
    this.drawLive();
  }

  look() {
    return this.looks[this.state.deficit];
  }

  hue(look) {
    return look[this.night ? "night" : "day"][0];
  }

  drawLife(known, end) {
    const {state, data} = this, {onset, length, recovery} = state, {sources} = this.figures[0];
    const band = end && known.bands.find(({upto}) => upto >= recovery), grey = data.grey ?? band?.clear;
    const total = onset + length + recovery, after = onset + length;
    const none = {x: [], mean: [], low: [], high: []};
    const curve = ({mean, half}, from, until, shift) => {
      const rows = {x: [], mean: [], low: [], high: []};
      for (let i = from; i < Math.min(until, mean.length); i++) {
        rows.x.push(i + 1 - shift);
        rows.mean.push(mean[i] / 10);
        rows.low.push((mean[i] - half[i]) / 10);
        rows.high.push((mean[i] + half[i]) / 10);
      }
      return rows;
    };
    const each = (of, from, until, shift) => {
      const lives = state.seeds && of ? Object.values(of.seeds) : [];
      const parts = lives.map((life) => curve({mean: life, half: life}, from, until, shift));
      return {xs: parts.map(({x}) => x), ys: parts.map(({mean}) => mean)};
    };
    this.put(sources.grey, grey ? curve(grey, 0, data.longest, 0) : none);
    this.put(sources["grey seeds"], each(grey, 0, data.longest, 0));
    this.put(sources.own, band ? curve(band, after, total, length) : none);
    this.put(sources["own seeds"], each(band, after, total, length));
    const dip = band ? band.mean.slice(Math.max(0, onset - 1), after + 1).map((y) => y / 10) : [];
    this.put(sources.dip, {x: dip.map((_, i) => (i === dip.length - 1 ? onset + 1 : onset)), mean: dip});
    const lowest = Math.min(...dip), floor = this.figures[0].figure.y_range.start, under = lowest < floor;
    this.put(sources.below, {x: under ? [onset] : [], y: under ? [floor] : [], text: under ? [`▾ ${lowest.toFixed(0)} %`] : []});
    const greyEnd = Math.min(grey?.mean.length ?? 0, data.longest);
    this.put(sources.greyName, {x: greyEnd ? [greyEnd] : [], y: greyEnd ? [(grey.mean[greyEnd - 1] + grey.half[greyEnd - 1]) / 10] : [],
                                text: greyEnd ? [data.clearName] : [], align: greyEnd ? [greyEnd > 0.4 * data.longest ? "right" : "left"] : []});
    this.drawBracket(sources, end, onset + recovery);
  }

  drawBracket(sources, end, at) {
    const {start, end: last} = this.figures[0].figure.x_range, cap = 0.006 * (last - start);
    const epochs = this.state.unit === "clear epochs", harm = end?.harm?.[0], rows = {x0: [], y0: [], x1: [], y1: []};
    const add = (...ends) => Object.keys(rows).forEach((name, i) => rows[name].push(ends[i]));
    if (harm !== undefined && !epochs) {
      const [low, high, x] = [end.level, end.level + harm, at + 2 * cap];
      add(x, low, x, high);
      for (const y of [low, high]) add(x - cap, y, x + cap, y);
    } else if (end?.told && end.back[0] !== null) {
      const stood = at - end.back[0];
      add(stood, end.level, at, end.level);
      for (const x of [stood, at]) add(x, end.level - 0.7, x, end.level + 0.7);
    }
    this.put(sources.bracket, rows);
    const wide = this.places[0].clientWidth - 60, words = (165 / wide) * (last - start), right = last - at < words;
    const {x: when, low: lows} = sources.own.data;  // words to the left of the end stand below the whole line
    const under = right ? [...lows].filter((_, i) => when[i] > at - words) : [];
    const y = end && Math.min(end.level, end.level + (harm ?? 0), ...under);
    const write = (text) => (text ? {x: [at + (right ? cap : 4 * cap)], y: [y], text: [text], align: [right ? "right" : "left"]}
      : {x: [], y: [], text: [], align: []});
    this.put(sources.tag, write(end?.tags[epochs ? 1 : 0]));
    this.put(sources.name, write(end?.name));
  }

  // Harm of a point, with the ends of its interval, in the unit that is chosen.
  cost(point) {
    const end = this.data.points[[point.deficit, point.onset, point.length]].at[this.state.recovery];
    if (!end?.harm) return null;
    const [harm, half] = end.harm, [back, low, high] = end.back;
    const told = end.told;
    if (this.state.unit === "points") return {value: harm, low: harm - (half ?? 0), high: harm + (half ?? 0), told};
    if (!told) return {value: null, told};  // where the clear curve is level no epoch can be told
    return back === null ? null : {value: back, low: low ?? back, high: high ?? back, told};
  }

  drawAges() {
    const {state, data, figures: [, {sources, figure}]} = this, ends = [];
    const epochs = state.unit === "clear epochs", ground = this.inks[2];
    this.titles[1].textContent = `Harm of ${state.length} epochs, by onset, ${state.unit}`;
    const [start, end] = data.reach[epochs ? 1 : 0];
    figure.y_range.setv({start, end});
    for (const look of data.deficits) {
      const rows = {x: [], y: [], low: [], high: [], fill: []}, chosen = look.name === state.deficit;
      for (const point of this.points) {
        const cost = point.deficit === look.name && point.length === state.length && this.cost(point);
        if (!cost || cost.value === null) continue;
        rows.x.push(point.onset);
        rows.y.push(cost.value);
        rows.low.push(cost.low);
        rows.high.push(cost.high);
        rows.fill.push(cost.told ? this.hue(look) : ground);
      }
      this.put(sources[`ages ${look.name}`], rows);
      for (const {name, glyph} of this.figures[1].renderers) {
        if (name !== look.name) continue;
        if (glyph.line_alpha !== undefined) glyph.setv({line_alpha: chosen ? 1 : 0.45, line_width: chosen ? 2.5 : 1.5});
      }
      if (rows.x.length) ends.push({x: rows.x.at(-1), y: rows.y.at(-1), text: look.label, look});
    }
    const apart = (end - start) / 12;  // so that names at one place do not lie on each other
    ends.sort((a, b) => a.y - b.y);
    ends.forEach((one, i) => {
      const below = ends.slice(0, i).filter(({x, text}) => Math.abs(x - one.x) < 3 * text.length);
      one.y = Math.max(one.y, ...below.map(({y}) => y + apart));
    });
    this.put(sources.names, {x: ends.map(({x}) => x), y: ends.map(({y}) => y), text: ends.map(({text}) => text),
                             hue: ends.map(({look}) => this.hue(look))});
    const here = this.known && this.cost(state);
    const seen = here && here.value !== null;
    this.put(sources.here, {x: seen ? [state.onset] : [], y: seen ? [here.value] : []});
  }

  drawMap() {
    const {state, data, figures: [, , {sources, figure}]} = this, [ink] = this.inks;
    const epochs = state.unit === "clear epochs", most = data.most[epochs ? 1 : 0];
    const mine = this.points.filter(({deficit}) => deficit === state.deficit);
    this.titles[2].textContent = `Harm by onset and length, ${state.unit}`;
    const rows = {onset: [], length: [], value: [], text: [], hue: [], alpha: [], hatch: []};
    for (const point of mine) {
      const cost = this.cost(point), value = cost?.value ?? NaN;  // of a hatched cell no colour is seen
      rows.onset.push(`${point.onset}`);
      rows.length.push(`${point.length}`);
      rows.value.push(value / most);
      rows.text.push(this.inWords(cost, epochs ? 0 : 1));
      rows.alpha.push(cost?.told ? 1 : 0);
      rows.hatch.push(cost?.told === 0 ? 0.35 : 0);
      rows.hue.push(cost?.told ? (Math.abs(value) > 0.55 * most ? "#FFFFFF" : "#111111") : ink);
    }
    this.put(sources.cells, rows);
    const on = [state.onset, state.length].map(String), there = data.axes.onset.includes(on[0]) && data.axes.length.includes(on[1]);
    this.put(sources.mark, {onset: there ? [on[0]] : [], length: there ? [on[1]] : []});
    figure.on_event && !this.heard && this.hearClicks();
  }

  inWords(cost, digits) {
    if (!cost) return "?";
    if (cost.value === null) return "≈ 0";
    return cost.value.toFixed(digits).replace("-", "−").replace(/^−(0|0\.0)$/, "$1");
  }

  hearClicks() {
    this.heard = true;
    const [, ages, map] = this.figures, {axes} = this.data;
    for (const gesture of ["tap", "doubletap", "pressup"]) {
      ages.figure.on_event(gesture, ({x, y}) => {
        let best = null, least = Infinity;
        const {x_range, y_range} = ages.figure;
        for (const point of this.points) {
          const cost = point.length === this.state.length && this.cost(point);
          if (!cost || cost.value === null) continue;
          const away = Math.hypot((point.onset - x) / (x_range.end - x_range.start), (cost.value - y) / (y_range.end - y_range.start));
          if (away < least) [best, least] = [point, away];
        }
        if (best) this.choose({deficit: best.deficit, onset: best.onset});
      });
      map.figure.on_event(gesture, ({x, y}) => {
        const onset = axes.onset[Math.floor(x)], length = axes.length[Math.floor(y)];
        if (onset !== undefined && length !== undefined) this.choose({onset: +onset, length: +length});
      });
    }
  }

  drawLive() {
    const {alive, why, known, data} = this, live = this.model.get("live") ?? {};
    const busy = Boolean(alive && live.busy), can = alive && !why;
    this.train.hidden = !can;
    this.stop.hidden = this.progress.hidden = !busy;
    this.train.disabled = busy;
    this.train.textContent = known?.at[this.state.recovery] ? "Train it again" : "Train this point";
    Object.assign(this.progress, {max: live.epochs || 1, value: live.done || 0});
    this.message.textContent = can ? live.message ?? "" : why || data.noPython;
    this.message.classList.toggle("cplab-x-error", Boolean(can && live.error));
    if (!this.figures) return;
    const {deficit, onset, length} = this.state, point = live.point ?? [];
    const mine = can && point[0] === deficit && point[1] === onset && point[2] === length;
    const grown = mine ? live.accuracy : [], x = grown.map((_, i) => (i < onset ? i + 1 : Math.max(onset, i + 1 - length)));
    this.put(this.figures[0].sources.live, {x, mean: grown});
    if (busy && live.colab) this.model.send({wait: true});
  }

  put(source, columns) {
    const text = JSON.stringify(columns);
    if (this.drawn.get(source) === text) return;
    this.drawn.set(source, text);
    source.data = columns;
  }

  // Day and night --------------------------------------------------------------------------------

  get inks() {
    return INKS[this.night ? "night" : "day"];
  }

  watchTheme() {
    const look = () => this.theme(), media = matchMedia("(prefers-color-scheme: dark)");
    const observer = new MutationObserver(look);
    for (const one of [document.body, document.documentElement])
      observer.observe(one, {attributes: true, attributeFilter: ["class", "data-jp-theme-light", "data-theme", "theme"]});
    media.addEventListener("change", look);
    this.loose.push(() => observer.disconnect(), () => media.removeEventListener("change", look));
    requestAnimationFrame(look);
  }

  theme() {  // as what lies behind is bright or dark, whoever chose that
    let behind = this.el, colour = "";
    for (; behind; behind = behind.parentElement ?? behind.getRootNode().host) {
      colour = getComputedStyle(behind).backgroundColor;
      if (!/^(transparent|rgba\(.*, 0\))$/.test(colour)) break;
    }
    const [r, g, b] = behind ? colour.match(/[\d.]+/g).map(Number) : [255, 255, 255];
    this.night = 0.3 * r + 0.6 * g + 0.1 * b < 128;
    this.root.classList.toggle("cplab-x-night", this.night);
    if (!this.figures) return this.drawWords();
    const [ink, faint] = this.inks;
    for (const {figure, renderers} of this.figures) {
      for (const axis of [...figure.below, ...figure.left])
        axis.setv({axis_label_text_color: ink, major_label_text_color: ink, axis_line_color: ink, major_tick_line_color: ink});
      for (const grid of figure.center) if (grid.grid_line_color !== undefined) grid.setv({grid_line_color: faint});
      for (const {name, glyph} of renderers) this.paint(name, glyph, ink);
    }
    this.draw();
  }

  paint(name, glyph, ink) {
    const grey = this.night ? "#AAAAAA" : "#666666";
    const colour = {ink, clear: grey, own: this.hue(this.look())}[name] ?? (name in this.looks && this.hue(this.looks[name]));
    const hues = {background_fill_color: this.inks[2], background_fill_alpha: 0.75};  // of texts
    if (colour) Object.assign(hues, {line_color: colour, text_color: colour});
    if (colour && !(name in this.looks)) hues.fill_color = colour;
    for (const [property, value] of Object.entries(hues))
      if (property in glyph.properties && name) glyph.setv({[property]: value});
  }
}
