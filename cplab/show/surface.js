// Draws a Bokeh document. Nothing is built, and nothing is asked of another host.
//
// `draw(Bokeh, item, place)` puts what `cplab.show.surface.as_document` wrote into an element of the
// page and gives what is drawn; `change(drawn, patch)` applies changes that Python wrote;
// `describe(drawn, words)` says them to who does not see it; `free(drawn)` removes it. These four
// need BokehJS and nothing else, so a page without Python can use them as they are. The default
// export below is a notebook's use of them: one widget, in anywidget's terms.

export async function draw(Bokeh, item, place) {
  spare(Bokeh.require?.("core/dom")?.InlineStyleSheet?.prototype);
  const views = await Bokeh.embed.embed_item(item, place);
  const [view] = views;
  const drawn = {doc: view.model.document, views, place, item, Bokeh};
  const ours = (one) => one.frame && one.model.document === drawn.doc;
  drawn.figures = [...Bokeh.index.query(ours)];
  describe(drawn, item.alt);
  return drawn;
}

// At each painting every part of a figure writes its style sheet, mostly as it was, and the browser
// computes the page's styles again: half of what painting takes in JupyterLab.
function spare(sheets) {
  if (!sheets || sheets.spared) return;
  const {replace} = sheets;
  sheets.spared = true;
  sheets.replace = function (css, styles) {
    if (styles || this.css !== css) replace.call(this, css, styles);
  };
}

export function change({doc, figures}, patch) {
  const rows = () => figures.map(({model}) => model.title?.text?.split?.("\n").length).join();
  const before = rows();
  legendsOnce(figures, () => doc.apply_json_patch(patch));
  if (rows() !== before)  // a title that grows gets no room by itself, and leaves a ghost
    for (const figure of figures) figure.request_layout(true);
}

function remember(drawn, {events}) {  // what a patch will change; gives what changes it back
  const before = events.map(({model: {id}, attr}) => {
    const model = drawn.doc.get_model_by_id(id);
    return [model, {[attr]: model[attr]}];
  });
  const alt = drawn.place.getAttribute("aria-label");
  return () => {
    for (const [model, own] of before) model.setv(own);
    describe(drawn, alt);
  };
}

// A legend is built anew at each change of what it names, its data included: here once for all.
function legendsOnce(figures, work) {
  const views = figures.flatMap((figure) => [...(figure.renderer_views?.values() ?? [])]);
  const legends = views.filter((view) => view._render_items), due = new Set();
  for (const one of legends) one._render_items = () => due.add(one);
  try {
    work();
  } finally {
    for (const one of legends) delete one._render_items;
    for (const one of due) one._render_items();
  }
}

export function describe({place}, words) {
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", words);
}

export function free({Bokeh, doc, views, place}) {
  views.clear();
  doc.clear({sync: false});
  const at = Bokeh.documents.indexOf(doc);
  if (at >= 0) Bokeh.documents.splice(at, 1);
  place.remove();
}

// BokehJS is a widget's text, compressed; the page of a notebook runs it once a version. A page that
// has no such widget has loaded it before.
const loading = (globalThis.cplabBokeh ??= {});

function library(model) {
  const {version} = model.get("item");
  return (loading[version] ??= fetchLibrary(model, version).catch((error) => {
    delete loading[version];
    throw error;
  }));
}

async function fetchLibrary(model, version) {
  const name = model.get("library")?.replace("IPY_MODEL_", "");
  if (!globalThis.Bokeh?.[version] && name) {
    const kept = async () => (await model.widget_manager.get_model(name)).get("code");
    const code = await kept().catch(() => askForLibrary(model));
    const unpacked = new Blob([code]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.text = await new Response(unpacked).text();
    document.head.append(script);
  }
  return globalThis.Bokeh[version];
}

// A page that was opened again, beside a kernel that goes on, may not know the widget (yet).
function askForLibrary(model) {
  return new Promise((resolve) => {
    model.on("msg:custom", ({library}, buffers) => library && resolve(buffers[0]));
    model.send({library: true});
  });
}

export default () => {
  let item = null; // of the document as it was made
  let late = []; // changes of it that came before anything was drawn
  let drawn = []; // one for each place on the page; without a place the first holds what is known
  let turn = Promise.resolve(); // what comes is done in the order in which it came
  const inTurn = (task) => (turn = turn.then(task).catch(console.error));

  let state = 0; // number of what Python has drawn
  let ahead = []; // what it would draw next, if controls had other values
  let guess = null; // the one of these that is drawn, until Python says the same
  const widgets = {}; // models by id

  const apply = ({patch, alt}) => {
    if (alt !== undefined) item.alt = alt;
    const changes = JSON.parse(patch);
    if (!drawn.length) late.push(changes);
    for (const one of drawn) {
      change(one, changes);
      describe(one, item.alt);
    }
  };

  const hear = ({number, patch, alt}) => {
    state = number;
    ahead = [];
    if (patch === undefined) return;
    if (patch !== guess?.patch) {
      undo();
      apply({patch, alt});
    }
    guess = null;
  };

  const undo = () => {
    for (const back of guess?.undo ?? []) back();
    guess = null;
  };

  const foresee = async (model, message) => {
    for (const id of [...Object.keys(message.values), ...Object.keys(message.words)]) {
      if (id in widgets) continue;
      widgets[id] = await model.widget_manager.get_model(id);
      if (id in message.values) widgets[id].on("change:value change:index", () => inTurn(look));
    }
    const at = (values) => Object.entries(message.base).every(([id, v]) => values[id] === v);
    if (guess && at(guess.values)) guess = null;
    else if (guess && !at(guess.base)) undo();  // Python is elsewhere, where the figures are the same
    if (message.after === state) ahead.push(message);
  };

  const look = () => { // whether what the controls say by now was foreseen
    const now = (id) => widgets[id].get("index") ?? widgets[id].get("value");
    const fits = (values) => Object.entries(values).every(([id, value]) => now(id) === value);
    if (guess && fits(guess.base)) undo();  // of two changes at once Python may hear the last alone
    const found = !guess && ahead.find(({values}) => fits(values));
    if (!found) return;
    const {patch, words} = found, alt = item.alt, mine = {...found, undo: [() => (item.alt = alt)]};
    guess = mine;
    if (patch !== undefined) {
      mine.undo.push(...drawn.map((one) => remember(one, JSON.parse(patch))));
      apply(found);
    }
    // once the figures are painted, which else waits for the page to be laid out for the words
    requestAnimationFrame(() => setTimeout(() => guess === mine && say(words)));
  };

  const say = (words) => {
    for (const [id, traits] of Object.entries(words)) {
      for (const [name, value] of Object.entries(traits)) {
        const one = widgets[id], before = one.get(name);
        guess.undo.push(() => one.get(name) === value && one.set(name, before));
        one.set(name, value);
      }
    }
  };

  return {
    initialize({model}) {
      item = {...model.get("item")};
      model.on("msg:custom", (message) => message.library || inTurn(() =>
        message.values ? foresee(model, message) : hear(message)));
      return () => inTurn(() => drawn.splice(0).forEach(free));
    },

    async render({model, el}) {
      const place = document.createElement("div");
      el.append(place);
      let own = null, gone = false;
      await inTurn(async () => {
        const Bokeh = await library(model);
        if (gone) return;
        const known = drawn[0];
        own = await draw(Bokeh, known ? {...item, doc: known.doc.to_json()} : item, place);
        for (const changes of late.splice(0)) change(own, changes);
        drawn = [...drawn.filter((one) => !one.left || free(one)), own];
        own.doc.on_change((event) => {  // what is clicked, and nothing else: no echo
          if (event.kind === "MessageSent" && event.msg_data?.origin)
            model.send(own.doc.create_json_patch([event]));
        });
      });
      return () => inTurn(() => {
        gone = true;
        if (!drawn.includes(own)) return;
        own.left = true;
        if (drawn.length > 1) {
          drawn = drawn.filter((one) => one !== own);
          free(own);
        } else own.place.remove();
      });
    },
  };
};
