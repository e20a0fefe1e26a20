// All that cplab shows: figures by BokehJS, questions, switches and slides, and, in explorer.js, which
// is appended to this file, the explorer. One module for a notebook with Python, one that was saved and
// has none, exported HTML, and the pages of the site.
//
// `render({model, el})` is anywidget's: `content` says once, as text, all that can be shown, and `state`
// what is shown. `place(page, at, shown)` shows what a saved output holds: without Python by the same
// `render`, with a model that holds the text of the output; with Python by the view of the real widget,
// as soon as there is one. `page` is what the outputs of one page share.

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

// What widgets are made of -------------------------------------------------------------------------

function make(tag, traits = {}, ...parts) {
  const node = Object.assign(document.createElement(tag), traits);
  node.append(...parts);
  return node;
}

const html = (text, className = "") => make("div", {innerHTML: text, className: `cplab-wide ${className}`});
const safe = (text) => make("p", {textContent: text}).innerHTML;
const button = (text, traits) => make("button", {textContent: text, className: "jupyter-button", ...traits});

// Parts of content, one below the other: texts, figures, and widgets within them.
async function show(parts, box, Bokeh, model) {
  for (const part of parts) {
    const place = make("div");
    box.append(place);
    if (part.doc) await draw(Bokeh, part, place);
    else if (part.html !== undefined) place.replaceWith(html(part.html));
    else if (!(await attach(model.widget_manager, part.model, place))) await revive(part, place);
  }
}

// A widget without Python: the same, with a model that holds its traits.
function revive({traits}, el) {
  const heard = {};
  return render({el, model: {
    get: (name) => traits[name],
    set: (name, value) => {
      traits[name] = value;
      for (const callback of heard[`change:${name}`] ?? []) callback();
    },
    on: (name, callback) => (heard[name] ??= []).push(callback),
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
  model.send({});  // Python answers by what has changed by now
}

async function question(content, model, box, Bokeh) {
  const result = make("div", {ariaLive: "polite"}), state = () => model.get("state");
  let wanted = false, open = false;
  const asked = ASKED[content.ask](content, state().answer, (answer) => {
    change(model, {answer});
    settle();
  });
  const reveal = button("Reveal", {onclick: () => {
    wanted = true;
    settle();
  }});
  reveal.classList.add("cplab-reveal");
  const settle = async () => {
    const missing = asked.missing(state().answer);
    if (!state().revealed && wanted && !missing) return change(model, {revealed: true});
    if (!state().revealed)
      result.textContent = `${missing || "Click Reveal to see."}${wanted ? " It opens by itself then." : ""}`;
    else if (!open) await uncover();
  };
  const uncover = async () => {
    const {parts, found, more} = content, {answer} = state();
    reveal.disabled = open = true;
    asked.box.querySelectorAll("input").forEach((input) => (input.disabled = true));
    result.replaceChildren(html(asked.judge(answer), "cplab-judged"));
    await show(parts, result, Bokeh, model);
    fill(result, asked.sources?.(answer));
    if (found) result.append(html(found, "cplab-found"));
    if (!more.length) return;
    const fold = make("details", {}, make("summary", {textContent: "more numbers"}));
    result.append(fold);
    fold.addEventListener("toggle", () => show(more, fold, Bokeh, model), {once: true});
  };
  box.classList.add("cplab-prediction");
  box.append(html(content.head), asked.box, make("div", {className: "cplab-row"}, reveal), result);
  model.on("change:state", settle);
  await settle();
}

// Ways to ask: `box` holds the controls, `missing` says what is not answered, `judge` says in HTML how
// an answer stands beside what was measured, `sources` what of it is drawn.
const ASKED = {
  choice({names, judged}, answer, say) {
    const name = `cplab${Math.random()}`, box = make("div", {role: "radiogroup"});
    for (const value of names) {
      const radio = make("input", {type: "radio", name, value, checked: value === answer});
      radio.onchange = () => say(value);
      box.append(make("label", {}, radio, value));
    }
    const missing = "Covered until you have answered.";
    return {box, missing: (said) => (said == null ? missing : ""), judge: (said) => judged[said]};
  },

  guesses({names, judged}, answer, say) {
    const said = {...answer}, box = make("div", {className: "cplab-guesses"});
    for (const name of names) {
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
    }
    const missing = "The figure is covered until you have moved every slider.";
    return {
      box,
      missing: (now) => (names.every((name) => name in (now ?? {})) ? "" : missing),
      judge: (now) => names.map((name) =>
        `${safe(name)}: you ${now[name].toFixed(1)}, measured ${safe(judged[name])}`).join("<br>"),
      sources: (now) => ({guess: {data: {x: names.map((name) => now[name] / 100), y: names}}}),
    };
  },
};

async function switched({options, states}, model, box, Bokeh) {
  const place = make("div"), row = make("div", {className: "cplab-row", role: "group"});
  let turn = Promise.resolve();
  const choose = () => (turn = turn.then(async () => {
    const {index} = model.get("state");
    [...row.children].forEach((one, i) => (one.ariaPressed = i === index));
    place.style.minHeight = `${place.offsetHeight}px`;  // what is below stays where it is
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
  bar.oninput = () => look(+bar.value);  // while it moves; what is kept is where it is let go
  bar.onchange = () => change(model, {index: +bar.value});
  play.onclick = () => {
    if (timer) return stop();
    play.textContent = "■";
    if (+bar.value === last) look(0);  // from the end it begins again
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
  box.dataset.lmSuppressShortcuts = "true";  // JupyterLab's; Notebook's end here as well
  box.addEventListener("keydown", (event) => event.stopPropagation());
  el.append(box);
  await {still, question, switched, slide, explorer}[content.kind](content, model, box, Bokeh);
  return () => free(box);
}

export default {render};

// BokehJS out of a compressed text; a page runs it once a version.
export async function load(packed, version) {
  if (!globalThis.Bokeh?.[version]) {
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    document.head.append(make("script", {text: await new Response(unpacked).text()}));
  }
  return globalThis.Bokeh[version];
}

// The BokehJS of a widget: the page's; on Colab, where each output is a page of its own, out of a widget.
const loading = (globalThis.cplabLoading ??= {});
async function bokeh(model) {
  const version = model.get("version"), known = globalThis.Bokeh?.[version];
  const library = () => model.widget_manager.get_model(model.get("library").replace("IPY_MODEL_", ""));
  return known ?? (loading[version] ??= library().then((own) => load(own.get("code"), version)));
}

// Show in an element what a saved output holds: {id, height, session, model, traits}.
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
  if (!(await attach(page.managers[shown.session], shown.model, box))) {
    await revive(shown, box);
    (page.waiting[shown.session] ??= []).push((manager) => attach(manager, shown.model, box));
  }
  at.style.minHeight = "";
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
