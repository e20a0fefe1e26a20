// Everything that cplab displays: figures by BokehJS, questions, switches and slides.
// One module for a live notebook, a saved one without
// Python, exported HTML, and the pages of the site.
//
// `render({model, el})` is anywidget's: the trait `content` is the text of all that can be shown, sent
// once, and `state` selects from it. `place(page, at, shown)` displays a saved output: without Python by
// the same `render`, with a model made of the output's text; with Python by the view of the real widget,
// as soon as there is one. `page` is an object that the outputs of one page share.

// Figures ------------------------------------------------------------------------------------------

async function draw(Bokeh, item, place) {
  Object.assign(place, {role: "img", ariaLabel: item.alt}).classList.add("cplab-figure");
  if (item.height) place.style.minHeight = `${item.height}px`;
  await onPage(place);
  calm(Bokeh.require?.("core/dom")?.InlineStyleSheet?.prototype);
  const views = await Bokeh.embed.embed_item({...item, doc: JSON.parse(item.doc)}, place);
  const [{model}] = views;
  place.drawn = {Bokeh, views, model, doc: model.document};
  return place.drawn;
}

// BokehJS draws only in an element that is part of the page. Its size is no sign of that: JupyterLab
// gives no size to cells that are out of sight.
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

// At each painting every part of a figure writes its style sheet again, mostly unchanged, and the
// browser recomputes the page's styles: half the time of a painting in JupyterLab.
function calm(sheets) {
  if (!sheets || sheets.calm) return;
  const {replace} = sheets;
  sheets.calm = true;
  sheets.replace = function (css, styles) {
    if (styles || this.css !== css) replace.call(this, css, styles);
  };
}

const figures = (box) => [...box.querySelectorAll(".cplab-figure")].filter((place) => place.drawn);

// Change models of the figures in a box, by name or id. JSON has no NaN: null stands for it in columns.
function fill(box, changes) {
  for (const [key, {data, ...change}] of Object.entries(changes ?? {})) {
    const numbers = ([column, values]) => [column, values.map((value) => value ?? NaN)];
    if (data) change.data = Object.fromEntries(Object.entries(data).map(numbers));
    for (const {drawn} of figures(box))
      for (const model of drawn.doc._all_models.values())
        if (model.id === key || (model.name === key && model.data)) model.setv(change);
  }
}

function free(box) {
  for (const {drawn: {Bokeh, doc, views}} of figures(box)) {
    views.clear();
    doc.clear({sync: false});
    const at = Bokeh.documents.indexOf(doc);
    if (at >= 0) Bokeh.documents.splice(at, 1);
  }
  box.replaceChildren();
}

// Parts of widgets ---------------------------------------------------------------------------------

function make(tag, traits = {}, ...parts) {
  const node = Object.assign(document.createElement(tag), traits);
  node.append(...parts);
  return node;
}

const html = (text, className = "") => make("div", {innerHTML: text, className: `cplab-wide ${className}`});
const safe = (text) => make("p", {textContent: text}).innerHTML;
const button = (text, traits) => make("button", {textContent: text, className: "jupyter-button", ...traits});

// Display parts of content, one below the other: texts, figures, and other widgets.
async function show(parts, box, Bokeh, model) {
  for (const part of parts) {
    const place = make("div");
    box.append(place);
    if (part.doc) await draw(Bokeh, part, place);
    else if (part.html !== undefined) place.replaceWith(html(part.html));
    else if (!(await attach(model.widget_manager, part.model, place))) await revive(part, place);
  }
}

// Render a widget without Python, with a model made of its saved traits.
function revive({traits}, el) {
  const callbacks = {};
  return render({el, model: {
    get: (name) => traits[name],
    set: (name, value) => {
      traits[name] = value;
      for (const callback of callbacks[`change:${name}`] ?? []) callback();
    },
    on: (name, callback) => (callbacks[name] ??= []).push(callback),
    save_changes: () => {},
    send: () => {},
  }});
}

function change(model, state) {
  model.set("state", {...model.get("state"), ...state});
  model.save_changes();
}

// Kinds of widgets ---------------------------------------------------------------------------------

async function still({parts, note}, model, box, Bokeh) {
  await show(parts, box, Bokeh, model);
  if (note) box.append(make("small", {textContent: note}));
  fill(box, model.get("state"));
  model.on("msg:custom", (changes) => fill(box, changes));
  model.send({});  // Python answers with all changes so far
}

async function question(content, model, box, Bokeh) {
  const result = make("div", {ariaLive: "polite"}), state = () => model.get("state");
  let clicked = false, open = false;
  const controls = CONTROLS[content.ask](content, state().answer, (answer) => {
    change(model, {answer});
    update();
  });
  const reveal = button("Reveal", {onclick: () => {
    clicked = true;
    update();
  }});
  reveal.classList.add("cplab-reveal");
  const update = async () => {
    const missing = controls.missing(state().answer);
    if (!state().revealed && clicked && !missing) return change(model, {revealed: true});
    if (!state().revealed)
      result.textContent = `${missing || "Click Reveal to see."}${clicked ? " It opens by itself then." : ""}`;
    else if (!open) await uncover();
  };
  const uncover = async () => {
    const {parts, found, more} = content, {answer} = state();
    reveal.disabled = open = true;
    controls.box.querySelectorAll("input").forEach((input) => (input.disabled = true));
    result.replaceChildren(html(controls.verdict(answer), "cplab-verdict"));
    await show(parts, result, Bokeh, model);
    fill(result, controls.sources?.(answer));
    if (found) result.append(html(found, "cplab-found"));
    if (!more.length) return;
    const fold = make("details", {}, make("summary", {textContent: "more numbers"}));
    result.append(fold);
    fold.addEventListener("toggle", () => show(more, fold, Bokeh, model), {once: true});
  };
  box.classList.add("cplab-prediction");
  box.append(html(content.head), controls.box, make("div", {className: "cplab-row"}, reveal), result);
  model.on("change:state", update);
  await update();
}

// Ways to ask. Each returns `box`, the element of its controls, and functions of an answer: `missing`,
// the note while it is incomplete; `verdict`, its comparison with the solution as HTML; `sources`, data
// for the figures.
const CONTROLS = {
  choice({names, verdicts}, first, onAnswer) {
    const name = `cplab${Math.random()}`, box = make("div", {role: "radiogroup"});
    for (const value of names) {
      const radio = make("input", {type: "radio", name, value, checked: value === first});
      radio.onchange = () => onAnswer(value);
      box.append(make("label", {}, radio, value));
    }
    const note = "Covered until you have answered.";
    return {box, missing: (answer) => (answer == null ? note : ""), verdict: (answer) => verdicts[answer]};
  },

  guesses({names, verdicts}, first, onAnswer) {
    const guesses = {...first}, box = make("div", {className: "cplab-guesses"});
    for (const name of names) {
      const bar = make("input", {type: "range", min: 0, max: 100, step: 0.5, value: guesses[name] ?? 50});
      const shown = make("output", {textContent: name in guesses ? `${guesses[name]} %` : "–"});
      const update = () => (shown.textContent = `${(+bar.value).toFixed(1)} %`);
      bar.oninput = update;
      bar.onchange = bar.onpointerup = bar.onkeyup = (event) => {
        if (event.key === "Tab") return;
        update();
        guesses[name] = +bar.value;
        onAnswer({...guesses});
      };
      box.append(make("label", {}, make("span", {textContent: name}), bar, shown));
    }
    const note = "The figure is covered until you have moved every slider.";
    return {
      box,
      missing: (answer) => (names.every((name) => name in (answer ?? {})) ? "" : note),
      verdict: (answer) => names.map((name) =>
        `${safe(name)}: you ${answer[name].toFixed(1)}, measured ${safe(verdicts[name])}`).join("<br>"),
      sources: (answer) => ({guess: {data: {x: names.map((name) => answer[name] / 100), y: names}}}),
    };
  },
};

async function switched({options, states}, model, box, Bokeh) {
  const place = make("div"), row = make("div", {className: "cplab-row", role: "group"});
  let turn = Promise.resolve();
  const choose = () => (turn = turn.then(async () => {
    const {index} = model.get("state");
    [...row.children].forEach((option, i) => (option.ariaPressed = i === index));
    place.style.minHeight = `${place.offsetHeight}px`;  // the page below does not move
    free(place);
    await show(states[index], place, Bokeh, model);
    place.style.minHeight = "";
  }));
  row.append(...options.map((text, index) => button(text, {onclick: () => change(model, {index})})));
  box.append(row, place);
  model.on("change:state", choose);
  await choose();
}

async function slide({label, words, data, parts}, model, box, Bokeh) {
  const last = words.length - 1, place = make("div");
  const bar = make("input", {type: "range", min: 0, max: last, step: 1, ariaLabel: label});
  const shown = make("b", {className: "cplab-slide-words", ariaLive: "polite"});
  const play = button("▶", {ariaLabel: "play"});
  let timer = 0;
  box.append(make("div", {className: "cplab-row cplab-slide"}, play, label, bar, shown), place);
  const look = (index) => {
    bar.value = index;
    shown.textContent = words[index];
    fill(place, data[index]);
  };
  const stop = () => {
    timer = clearInterval(timer);
    play.textContent = "▶";
    change(model, {index: +bar.value});
  };
  bar.oninput = () => look(+bar.value);  // while it moves; the state changes when it is released
  bar.onchange = () => change(model, {index: +bar.value});
  play.onclick = () => {
    if (timer) return stop();
    play.textContent = "■";
    if (+bar.value === last) look(0);  // start again from the beginning
    timer = setInterval(() => (+bar.value < last && box.isConnected ? look(+bar.value + 1) : stop()), 700);
  };
  const follow = () => look(model.get("state").index);
  model.on("change:state", follow);
  await show(parts, place, Bokeh, model);
  follow();
}

// The page -----------------------------------------------------------------------------------------

async function render({model, el}) {
  if (!document.getElementById("cplab-style"))
    document.head.append(make("style", {id: "cplab-style", textContent: STYLE}));
  const Bokeh = await bokeh(model), content = JSON.parse(model.get("content"));
  const box = make("div", {className: "cplab"});
  box.dataset.lmSuppressShortcuts = "true";  // JupyterLab's; the next line is for Notebook's
  box.addEventListener("keydown", (event) => event.stopPropagation());
  el.append(box);
  await {still, question, switched, slide}[content.kind](content, model, box, Bokeh);
  return () => free(box);
}

export default {render};

// Run BokehJS from its compressed code, once a page and version.
export async function load(packed, version) {
  if (!globalThis.Bokeh?.[version]) {
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    document.head.append(make("script", {text: await new Response(unpacked).text()}));
  }
  return globalThis.Bokeh[version];
}

// The BokehJS of a widget: the page's, or on Colab, where each output is a page of its own, a widget's.
const loading = (globalThis.cplabLoading ??= {});
async function bokeh(model) {
  const version = model.get("version"), loaded = globalThis.Bokeh?.[version];
  const library = () => model.widget_manager.get_model(model.get("library").replace("IPY_MODEL_", ""));
  return loaded ?? (loading[version] ??= library().then((widget) => load(widget.get("code"), version)));
}

// Display a saved output, {id, height, session, model, traits}, in an element.
export async function place(page, at, shown) {
  const {boxes} = page, earlier = boxes[shown.id];
  at.textContent = "";
  if (earlier && !earlier.isConnected) {  // Python wrote the output again: its element is still valid
    at.append(earlier);
    at.style.minHeight = "";
    if (earlier.contains(page.focused) && document.activeElement === document.body)
      page.focused.focus({preventScroll: true});
    return;
  }
  const box = (boxes[shown.id] = make("div"));
  box.addEventListener("focusin", ({target}) => (page.focused = target));
  at.append(box);
  await onPage(box);
  if (!(await attach(page.managers[shown.session], shown.model, box))) {
    await revive(shown, box);
    (page.waiting[shown.session] ??= []).push((manager) => attach(manager, shown.model, box));
  }
  at.style.minHeight = "";
}

// Put the view of a widget in a box, as soon as it exists. Returns whether there is such a widget.
async function attach(manager, id, box) {
  try {
    const view = await manager.create_view(await manager.get_model(id));
    const widget = view.luminoWidget ?? view.pWidget;
    box.replaceChildren();
    widget.constructor.attach(widget, box);
    return true;
  } catch {
    return false;
  }
}
