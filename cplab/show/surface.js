// All that cplab shows: figures by BokehJS, questions, switches and slides. One module for a notebook
// with Python, one that was saved and has none, exported HTML, and the pages of the site.
//
// `widget` is one in anywidget's terms, `render({model, el})`, and the default export where Python says
// so; `explorer.js` has another. With Python its model is a real one. `place(page, at, shown)` shows what a saved output holds in an element: without Python
// by the same `render`, with a model that holds the text of the output; with Python by the view of the
// real widget, as soon as there is one. `page` is what the outputs of one page share.

// Figures ------------------------------------------------------------------------------------------

async function draw(Bokeh, item, place) {
  place.classList.add("cplab-figure");
  place.style.minHeight = `${item.height}px`;
  const drawn = await embed(Bokeh, item, place);
  drawn.figures = [...Bokeh.index.query((one) => one.frame && one.model.document === drawn.doc)];
  describe(drawn, item.alt);
  return drawn;
}

async function embed(Bokeh, item, place) {
  await onPage(place);
  calm(Bokeh.require?.("core/dom")?.InlineStyleSheet?.prototype);
  const doc = typeof item.doc === "string" ? JSON.parse(item.doc) : item.doc;  // text, since its order counts
  const views = await Bokeh.embed.embed_item({...item, doc}, place), [view] = views;
  return {Bokeh, item, place, views, model: view.model, doc: view.model.document};
}

// BokehJS draws nothing in an element that the page does not hold yet. Its size says nothing of that:
// JupyterLab lays out no cell that is out of sight.
function onPage(place) {
  return place.isConnected || new Promise((resolve) => {
    const watch = new MutationObserver(() => {
      if (!place.isConnected) return;
      watch.disconnect();
      resolve();
    });
    watch.observe(document, {childList: true, subtree: true});
  });
}

// At each painting every part of a figure writes its style sheet, mostly as it was, and the browser
// computes the page's styles again: half of what painting takes in JupyterLab.
function calm(sheets) {
  if (!sheets || sheets.calm) return;
  const {replace} = sheets;
  sheets.calm = true;
  sheets.replace = function (css, styles) {
    if (styles || this.css !== css) replace.call(this, css, styles);
  };
}

function change({doc, figures}, patch) {
  const rows = () => figures.map(({model}) => model.title?.text?.split?.("\n").length).join();
  const before = rows();
  doc.apply_json_patch(patch);
  if (rows() !== before)  // a title that grows gets no room by itself, and leaves a ghost
    for (const figure of figures) figure.request_layout(true);
}

// New columns for the data sources of a document, by name. JSON has no NaN: null stands for it.
function fill({doc}, sources) {
  for (const [name, columns] of Object.entries(sources)) {
    const known = ([column, values]) => [column, values.map((value) => value ?? NaN)];
    const data = Object.fromEntries(Object.entries(columns).map(known));
    for (const model of doc._all_models.values())
      if (model.name === name && model.data) model.data = data;
  }
}

function describe({place}, words) {
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", words);
}

function free({Bokeh, doc, views, place}) {
  views.clear();
  doc.clear({sync: false});
  const at = Bokeh.documents.indexOf(doc);
  if (at >= 0) Bokeh.documents.splice(at, 1);
  place.remove();
}

// What widgets are made of -------------------------------------------------------------------------

const STYLE = `
.cplab { color: var(--jp-ui-font-color1, inherit); font: 14px/1.4 var(--jp-ui-font-family, sans-serif);
  max-width: 1240px; padding: 4px; }
.cplab p { margin: 6px 0; }
.cplab .cplab-row { display: flex; flex-wrap: wrap; gap: 6px 12px; align-items: center; margin: 6px 0; }
.cplab label { display: flex; gap: 8px; align-items: center; padding: 2px 0; }
.cplab label > span { min-width: 16em; }
.cplab button { font: inherit; padding: 4px 12px; border: 1px solid #8888; border-radius: 3px;
  color: inherit; background: var(--jp-layout-color2, #eee); cursor: pointer; }
.cplab button[aria-pressed=true], .cplab button.cplab-reveal { color: #fff; background: #1565c0; }
.cplab button:disabled { opacity: .5; cursor: default; }
.cplab input[type=range] { width: min(340px, 60vw); accent-color: #1565c0; }
.cplab .cplab-found { font-weight: 600; max-width: 75ch; }
.cplab summary { cursor: pointer; }
.cplab .cplab-wide { overflow-x: auto; }
.cplab table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.cplab :is(th, td) { padding: 2px 0 2px 18px; text-align: right; }
.cplab small { color: var(--jp-ui-font-color2, #666); font-size: 12px; }
:is([data-jp-theme-light=false], .vscode-dark) .cplab-figure { filter: invert(.9) hue-rotate(180deg); }
:is(.jp-OutputArea-child, .output_area):has(.cplab-none) { display: none; }
@media print { .cplab button, .cplab input { display: none } }
`;

function make(tag, traits = {}, ...parts) {
  const node = Object.assign(document.createElement(tag), traits);
  node.append(...parts);
  return node;
}

function html(text, className = "") {
  return make("div", {innerHTML: text, className: `cplab-wide ${className}`});
}

// Parts of content, one below the other: texts, figures, and widgets within them. Gives what frees them.
async function show(parts, box, Bokeh, model) {
  const drawn = [], manager = model.widget_manager;
  for (const part of parts) {
    const place = make("div");
    box.append(place);
    if (part.item) drawn.push(await draw(Bokeh, part.item, place));
    else if (part.html !== undefined) place.replaceWith(html(part.html));
    else if (!manager || !(await attach(manager, part.model, place))) await revive(part, place);
  }
  return drawn;
}

// A widget without Python: its own module, or this one, with a model that holds its traits.
async function revive({esm, css, traits}, el) {
  const model = plain({...traits, dead: true});
  if (!esm) return build({model, el});
  if (css) el.append(make("style", {textContent: css}));
  const at = make("div"), {default: own} = await import(textURL(esm));
  el.append(at);
  const widget = typeof own === "function" ? await own() : own;
  await widget.initialize?.({model});
  await widget.render({model, el: at});
}

const textURL = (text) => URL.createObjectURL(new Blob([text], {type: "text/javascript"}));

function plain(values) {  // a model without Python
  const heard = {};
  return {
    get: (name) => values[name],
    set: (name, value) => {
      values[name] = value;
      for (const callback of heard[`change:${name}`] ?? []) callback();
    },
    on: (name, callback) => (heard[name] ??= []).push(callback),
    off: () => {},
    save_changes: () => {},
    send: () => {},
  };
}

// Kinds of widgets ---------------------------------------------------------------------------------

const KINDS = {still, question, switched, slide};

async function still({parts, note}, model, box, Bokeh) {
  await show(parts, box, Bokeh, model);
  if (note) box.append(make("small", {textContent: note}));
}

async function question(content, model, box, Bokeh) {
  const {head, ask, reveal = "Reveal"} = content;
  const result = make("div", {ariaLive: "polite"}), state = () => model.get("state");
  let wanted = false, drawn = [], open = false;
  const save = (more) => {
    model.set("state", {...state(), ...more});
    model.save_changes();
  };
  const button = make("button", {textContent: reveal, className: "cplab-reveal jupyter-button"});
  const asked = ASKED[ask.kind](ask, state().answer, (answer) => {
    save({answer});
    settle();
  });
  button.onclick = () => {
    wanted = true;
    settle();
  };
  const settle = async () => {
    const missing = asked.missing(state().answer);
    if (!state().revealed && wanted && !missing) return save({revealed: true});
    if (!state().revealed)
      result.textContent = `${missing || "Click Reveal to see."}${wanted ? " It opens by itself then." : ""}`;
    else if (!open) await uncover();
  };
  const uncover = async () => {
    open = true;
    button.disabled = true;
    asked.close();
    const {parts, found, more, judged} = content, answer = state().answer;
    result.replaceChildren(html(asked.judge(answer, judged), "cplab-judged"));
    drawn = await show(parts, result, Bokeh, model);
    for (const one of drawn) fill(one, asked.sources?.(answer, judged) ?? {});
    if (found) result.append(html(found, "cplab-found"));
    if (more?.length) {
      const fold = make("details", {}, make("summary", {textContent: "more numbers"}));
      result.append(fold);
      fold.addEventListener("toggle", () => show(more, fold, Bokeh, model), {once: true});
    }
  };
  box.classList.add("cplab-prediction");
  box.append(html(head), asked.box, make("div", {className: "cplab-row"}, button), result);
  model.on("change:state", settle);
  await settle();
}

const safe = (text) => make("p", {textContent: text}).innerHTML;

// Ways to ask: `box` holds the controls, `missing` says what is not answered, `judge` says in HTML how
// an answer stands beside what was measured, `sources` what of it is drawn.
const ASKED = {
  choice({answers}, answer, say) {
    const name = `cplab${Math.random()}`;
    const radios = answers.map((text) => make("input", {type: "radio", name, value: text}));
    const box = make("div", {role: "radiogroup"});
    for (const radio of radios) {
      radio.checked = radio.value === answer;
      radio.onchange = () => say(radio.value);
      box.append(make("label", {}, radio, radio.value));
    }
    return {
      box,
      missing: (said) => (said == null ? "Covered until you have answered." : ""),
      close: () => radios.forEach((radio) => (radio.disabled = true)),
      judge: (said, right) => right == null ? `You said: <b>${safe(said)}</b>`
        : right === said ? `It was: <b>${safe(right)}</b> ✓`
        : said == null ? `It was: <b>${safe(right)}</b>`
        : `It was: <b>${safe(right)}</b>. You said: ${safe(said)}.`,
    };
  },

  number(ask, answer, say) {
    const field = make("input", {inputMode: "decimal", value: answer ?? "", placeholder: "a number"});
    field.oninput = () => {
      const typed = parseFloat(field.value.replace(",", "."));
      say(Number.isFinite(typed) ? typed : null);
    };
    return {
      box: make("label", {}, field),
      missing: (said) => (said == null ? "Covered until you have typed a number." : ""),
      close: () => (field.disabled = true),
      judge: (said, {truth, within, words}) => said == null ? `It is ${words}.`
        : Math.abs(said - truth) <= within ? `It <b>holds</b>: it is ${words} ✓`
        : `It does <b>not hold</b>. It is ${words}; you said ${said}.`,
    };
  },

  guesses({names}, answer, say) {
    const said = {...answer}, box = make("div");
    const bars = names.map((name) => {
      const bar = make("input", {type: "range", min: 0, max: 100, step: 0.5, value: said[name] ?? 50});
      const shown = make("output", {textContent: name in said ? `${said[name]} %` : "–"});
      const read = () => (shown.textContent = `${(+bar.value).toFixed(1)} %`);
      bar.oninput = read;
      bar.onchange = bar.onpointerup = bar.onkeyup = (event) => {
        if (event.key === "Tab") return;
        read();
        said[name] = +bar.value;
        say({...said});
      };
      box.append(make("label", {}, make("span", {textContent: name}), bar, shown));
      return bar;
    });
    const missing = "The figure is covered until you have moved every slider.";
    return {
      box,
      missing: (now) => (names.every((name) => name in (now ?? {})) ? "" : missing),
      close: () => bars.forEach((bar) => (bar.disabled = true)),
      judge: (now, measured) => names.map((name) =>
        `${safe(name)}: ${name in (now ?? {}) ? `you ${now[name].toFixed(1)}, ` : ""}`
        + `measured ${safe(measured[name])}`).join("<br>"),
      sources: (now) => ({guess: {x: names.map((name) => (now?.[name] ?? NaN) / 100), y: names}}),
    };
  },

  order({names}, answer, say) {
    const said = [...(answer ?? [])];
    const box = make("div", {className: "cplab-row cplab-ranking", role: "group"});
    box.append("Click them, from best to worst:");
    const buttons = names.map((name) => make("button", {className: "jupyter-button"}));
    const label = () => buttons.forEach((button, i) => {
      const place = said.indexOf(names[i]) + 1;
      button.textContent = place ? `${place}. ${names[i]}` : names[i];
      button.ariaPressed = place > 0;
    });
    buttons.forEach((button, i) => (button.onclick = () => {
      const at = said.indexOf(names[i]);
      at >= 0 ? said.splice(at, 1) : said.push(names[i]);
      label();
      say([...said]);
    }));
    label();
    box.append(...buttons);
    const pairs = (now, sure) => sure.filter(([a, b]) => now.indexOf(a) < now.indexOf(b)).length;
    return {
      box,
      missing: (now) => (now?.length === names.length ? "" : "Covered until each has its place."),
      close: () => buttons.forEach((button) => (button.disabled = true)),
      judge: (now, {sure, count}) => `Of ${count} pairs the seeds tell ${sure.length} apart (95 %); `
        + `${pairs(now ?? [], sure)} of these ${sure.length} stand in your order as they were measured.`,
      sources: (now, {measured, hues}) => {
        const known = (now ?? []).filter((name) => measured.includes(name));
        const right = (name) => [0, 0].map((_, i) => (i ? measured.indexOf(name) : now.indexOf(name)));
        const place = (now ?? []).map((_, i) => i);
        return {
          guess: {x: place.map(() => 0), y: place, text: now ?? []},
          joined: {xs: known.map(() => [0, 1]), ys: known.map(right), hue: known.map((name) => hues[name])},
        };
      },
    };
  },
};

async function switched({options, states}, model, box, Bokeh) {
  const place = make("div"), row = make("div", {className: "cplab-row", role: "group"});
  let drawn = [], turn = Promise.resolve();
  const buttons = options.map((text, i) => make("button", {
    textContent: text,
    className: "jupyter-button",
    onclick: () => {
      model.set("state", {index: i});
      model.save_changes();
    },
  }));
  const choose = () => (turn = turn.then(async () => {
    const {index} = model.get("state");
    buttons.forEach((button, i) => (button.ariaPressed = i === index));
    place.style.minHeight = `${place.offsetHeight}px`;  // what is below stays where it is
    drawn.forEach(free);
    place.replaceChildren();
    drawn = await show(states[index], place, Bokeh, model);
    place.style.minHeight = "";
  }));
  row.append(...buttons);
  box.append(row, place);
  model.on("change:state", choose);
  await choose();
}

async function slide({label, words, data, part}, model, box, Bokeh) {
  const last = words.length - 1;
  const bar = make("input", {type: "range", min: 0, max: last, step: 1, ariaLabel: label});
  const shown = make("b", {className: "cplab-slide-words", ariaLive: "polite"});
  const play = make("button", {textContent: "▶", ariaLabel: "play", className: "jupyter-button"});
  const place = make("div");
  let drawn = [], timer = 0;
  box.append(make("div", {className: "cplab-row cplab-slide"}, play, label, bar, shown), place);
  const look = (index) => {
    bar.value = index;
    shown.textContent = words[index];
    for (const one of drawn) fill(one, data[index]);
  };
  const save = (index) => {
    model.set("state", {index});
    model.save_changes();
  };
  bar.oninput = () => look(+bar.value);  // while it moves; what is kept is where it is let go
  bar.onchange = () => save(+bar.value);
  play.onclick = () => {
    if (timer) return stop();
    play.textContent = "■";
    timer = setInterval(() => {
      look(+bar.value < last && box.isConnected ? +bar.value + 1 : (stop(), +bar.value));
    }, 700);
  };
  const stop = () => {
    timer = clearInterval(timer);
    play.textContent = "▶";
    save(+bar.value);
  };
  model.on("change:state", () => look(model.get("state").index));
  drawn = await show([part], place, Bokeh, model);
  look(model.get("state").index);
}

// The page -----------------------------------------------------------------------------------------

function styled() {
  if (!document.getElementById("cplab-style"))
    document.head.append(make("style", {id: "cplab-style", textContent: STYLE}));
}

// BokehJS out of a compressed text; a page runs it once a version.
export async function load(packed, version) {
  if (!globalThis.Bokeh?.[version]) {
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    document.head.append(make("script", {text: await new Response(unpacked).text()}));
  }
  return globalThis.Bokeh[version];
}

// The BokehJS of a widget: the page's; where no output brought it, from a widget that holds it (on
// Colab, where each output is a page of its own), or from Python.
const loading = (globalThis.cplabLoading ??= {});
async function bokeh(model) {
  const version = model.get("version"), known = globalThis.Bokeh?.[version];
  return known ?? (loading[version] ??= packed(model).then((code) => load(code, version)));
}

async function packed(model) {
  const name = model.get("library")?.replace("IPY_MODEL_", "");
  const ask = () => new Promise((resolve) => {
    model.on("msg:custom", ({library}, buffers) => library && resolve(buffers[0]));
    model.send({library: true});
  });
  if (!name) return ask();
  return model.widget_manager.get_model(name).then((own) => own.get("code")).catch(ask);
}

// Show in an element what a saved output holds: {id, height, session, model} and what `revive`
// takes.
export async function place(page, at, shown) {
  const {boxes} = page, known = boxes[shown.id];
  at.textContent = "";
  if (known && !known.isConnected) {  // Python wrote the output anew: all is as it was
    at.append(known);
    at.style.minHeight = "";
    if (known.contains(page.focused) && document.activeElement === document.body)
      page.focused.focus({preventScroll: true});
    return;
  }
  const box = (boxes[shown.id] = make("div"));
  box.addEventListener("focusin", ({target}) => (page.focused = target));
  at.append(box);
  await onPage(box);
  const manager = page.managers[shown.session];
  const alive = manager && shown.model && (await attach(manager, shown.model, box));
  if (!alive) await revive(shown, box);
  at.style.minHeight = "";
  if (alive) return;
  if (shown.model)
    (page.waiting[shown.session] ??= []).push((one) => attach(one, shown.model, box));
}

// Put the view of a widget in a box, once it is there. Gives whether there is such a widget.
async function attach(manager, id, box) {
  try {
    const view = await manager.create_view(await manager.get_model(id));
    const own = view.luminoWidget ?? view.pWidget;
    box.replaceChildren();
    own.constructor.attach(own, box);
    return true;
  } catch {
    return false;
  }
}

async function build({model, el}) {
  styled();
  const Bokeh = await bokeh(model);
  const content = JSON.parse(model.get("content")), box = make("div", {className: "cplab"});
  box.dataset.lmSuppressShortcuts = "true";  // JupyterLab's; Notebook's end here as well
  box.addEventListener("keydown", (event) => event.stopPropagation());
  el.append(box);
  await KINDS[content.kind](content, model, box, Bokeh);
}

// A figure that Python changes while it is looked at: what came before it is drawn is kept, and the
// changes of each widget are applied in their order. One for each widget.
class Live {
  constructor(model) {
    Object.assign(this, {item: {...model.get("item")}, late: [], drawn: [], turn: Promise.resolve()});
    model.on("msg:custom", ({patch, alt}) => patch && this.inTurn(() => {
      if (alt !== undefined) this.item.alt = alt;
      const changes = JSON.parse(patch);
      if (!this.drawn.length) this.late.push(changes);
      for (const one of this.drawn) {
        change(one, changes);
        describe(one, this.item.alt);
      }
    }));
  }

  inTurn(task) {
    return (this.turn = this.turn.then(task).catch(console.error));
  }

  close() {
    return this.inTurn(() => this.drawn.splice(0).forEach(free));
  }

  async show(model, el, Bokeh) {
    const at = make("div");
    let own = null;
    el.append(at);
    await this.inTurn(async () => {
      const [known] = this.drawn;
      own = await draw(Bokeh, known ? {...this.item, doc: known.doc.to_json()} : this.item, at);
      for (const changes of this.late.splice(0)) change(own, changes);
      this.drawn = [...this.drawn.filter((one) => !one.left || free(one)), own];
      own.doc.on_change((event) => {  // what is clicked, and nothing else: no echo
        if (event.kind === "MessageSent" && event.msg_data?.origin)
          model.send(own.doc.create_json_patch([event]));
      });
    });
    return () => this.inTurn(() => {
      own.left = true;  // the last one holds what is known, also while it has no place
      if (this.drawn.length > 1) {
        this.drawn = this.drawn.filter((one) => one !== own);
        free(own);
      } else own.place.remove();
    });
  }
}

function widget() {
  let live = null;
  return {
    initialize({model}) {
      if (!model.get("item")) return;
      live = new Live(model);
      return () => live.close();
    },
    async render({model, el}) {
      if (!live) return build({model, el});
      styled();
      return live.show(model, el, await bokeh(model));
    },
  };
}
