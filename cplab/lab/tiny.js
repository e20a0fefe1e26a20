// `<cplab-nursery>`: small networks that grow up in the browser while you watch, under one window or
// two, beside their twins. This file has what the screen knows and when it is drawn.
//
// What the screen knows: `windows` and `knobs`, which a person moves; `trained`, all that has grown
// up, by the point at which it did; `training`, the cohort that grows now. Whatever changes one of
// them then calls `draw`, which reads them anew. An element of tiny.html with `data-is=NAME` is the
// property of that name, such as `this.bar`.
//
// The parts that are drawn: tiny_bar.js has the line of life, tiny_mask.js the mask,
// tiny_figure.js both figures, tiny_pictures.js digits and first units, tiny_digit.js a digit that
// is drawn by hand. tiny_words.js has the sentences, tiny_numbers.js the harm. tiny_cohort.js asks
// networks.js to train. screen.js and page.js have what other elements use as well, such as `say`
// and `make`.

const REDRAWN = 150; // milliseconds between two drawings, while networks grow
const FIRST_DRAWN = 30; // and until there are first lines

const SETTLED = 400; // until a notebook has placed a new output

// What is said on the screen
const PAINT = "Paint what they may not see.";
const BARE = "Nothing is covered yet: paint at least one field.";
const CLEAR_AND_SEEN = "Digits, and what the network sees of them";
const NONE_WRONG = "There is no digit that only these networks get wrong";
const UNITS_LATER = "Once they grow, this shows where their first units look for ink.";
const NO_NETWORK = "No network has grown up here yet: press Train.";
const NO_ENGINE =
  "Your browser cannot train here, for lack of WebAssembly: these networks came with the lab.";

// The latest screen of each content, so that a cell which is run again goes on with what has grown.
const screens = new Map();

customElements.define(
  "cplab-nursery",
  class extends Improved {
    trained = new Map(); // by key of a point: {window, pairs: {seed: pair}}
    training = null;

    async begin() {
      const given = this.querySelector("script").textContent;
      const content = JSON.parse(given);
      this.innerHTML = content.html;
      const root = collect(this);
      const tools = engine();
      const {windows, knobs} = content;
      Object.assign(this, {content, root, tools, windows, knobs});
      this.succeed(screens.get(given));
      screens.set(given, this);
      this.last = content.latest + knobs.recovery;
      this.computing = await tools.arithmetic(moduleBytes()).catch(() => null);
      if (!this.computing) this.showShipped();
      const digits = await unpack(content.digits, tools);
      if (content.own) digits.own = await unpackOwn(content.own, tools);
      this.digits = digits;
      this.furnish();
      new ResizeObserver(() => this.draw()).observe(root);
      this.connect();
    }

    // Go on with what an earlier screen of this content has, if that one has left the page.
    succeed(before) {
      if (!before || before.isConnected) return;
      const {windows, knobs, trained, training} = before;
      Object.assign(this, {windows, knobs, trained, training});
      before.training = null;
      if (training) training.told = (message) => this.hear(message);
    }

    // Python is there: it gets what has grown up, and what will. JupyterLab scrolls to the next cell
    // before there is an output, so the screen of a cell that has just run comes into sight by
    // itself, once; after a reload the page stays where it is.
    follow(model) {
      if (this.trained.size) this.tell();
      if (model.get("state").seen) return;
      model.set("state", {seen: true});
      model.save_changes();
      setTimeout(() => this.scrollIntoView({block: "nearest"}), SETTLED);
    }

    furnish() {
      const {content, last, root} = this;
      this.choices = [...root.querySelectorAll("select:is(.w0, .w1)")];
      this.lanes = this.choices.map((choice, number) => {
        for (const [value, {label}] of Object.entries(content.kinds))
          choice.append(make("option", {value, textContent: label}));
        choice.onchange = () => this.choose(number, choice.value);
        const current = () => this.windows[number];
        return addLane(this.bar, number, last, current, (grip, epochs) =>
          this.change(number, moved(current(), grip, epochs, content.latest)),
        );
      });
      for (const knob of root.querySelectorAll("select[name]"))
        knob.onchange = () => this.turn({[knob.name]: +knob.value});
      for (const [textContent, value] of Object.entries({...content.masks, nothing: NOTHING})) {
        const onclick = () => this.turn({mask: value});
        this.masks.append(make("button", {type: "button", value, textContent, onclick}));
      }
      furnishMask(
        this.grid,
        () => this.knobs.mask,
        (mask) => this.turn({mask}),
      );
      furnishSheet(this.sheet, () => this.ask());
      this.wipe.onclick = () => this.wipeSheet();
      this.start.onclick = () => this.press();
      this.compare.onclick = () => this.toggleSecond();
      this.clear.onclick = () => this.clearPale();
      this.hold.onclick = () => this.training.pause(!this.training.paused);
      this.forward.onclick = () => this.training.step();
      this.moment.oninput = this.chosen.onchange = () => this.drawUnits();
      this.more.ontoggle = () => this.draw();
      say(this.note, content.note);
      say(this.enough, content.enough);
    }

    // Where the browser cannot train, show what came with the lab: means stand for one pair.
    showShipped() {
      const {shipped} = this.content;
      this.windows = shipped.slice(0, this.windows.length).map(({window}) => window);
      for (const {window, harm, spoilt, control} of shipped) {
        const pair = {spoilt: {tests: spoilt, looks: []}, control: {tests: control, looks: []}};
        this.trained.set(this.key(window), {window, harm, pairs: new Map([[0, pair]])});
      }
      say(this.status, NO_ENGINE);
    }

    // What was trained -----------------------------------------------------------------------------

    // All that decides what networks become under a window.
    point(window) {
      const {block, mask, ...knobs} = this.knobs;
      const mosaic = window.kind === "mosaic" && {block};
      const cover = window.kind === "cover" && {mask};
      return {...window, ...knobs, ...mosaic, ...cover};
    }

    key(window) {
      return JSON.stringify(this.point(window));
    }

    placeOf(window) {
      return this.trained.get(this.key(window)) ?? {window, pairs: new Map()};
    }

    harmAt(place) {
      return place.harm ?? harmOf([...place.pairs.values()], this.content.t);
    }

    // What is drawn of each window of the screen.
    get shown() {
      const {content, training, windows} = this;
      return windows.map((window, number) => {
        const place = this.placeOf(window);
        const pairs = [...place.pairs.values()];
        const name = windows.length > 1 ? nameOf(windows, number, content.kinds, true) : "";
        const grows = Boolean(training?.places.includes(place));
        return {window, pairs, harm: this.harmAt(place), name, grows};
      });
    }

    // What was trained before, at other points.
    get pale() {
      const current = this.windows.map((window) => this.key(window));
      return [...this.trained].filter(([key]) => !current.includes(key)).map(([, place]) => place);
    }

    // What a person does ---------------------------------------------------------------------------

    change(number, change) {
      this.windows = this.windows.with(number, {...this.windows[number], ...change});
      this.settle();
    }

    // The second window follows the first, unless it has a deficit of its own.
    choose(number, kind) {
      const [{kind: before}] = this.windows;
      this.windows = this.windows.map((window, i) => {
        const follows = number === 0 && window.kind === before;
        return i === number || follows ? {...window, kind} : window;
      });
      this.settle();
    }

    turn(change) {
      this.knobs = {...this.knobs, ...change};
      this.settle();
    }

    toggleSecond() {
      const [first, second] = this.windows;
      this.windows = second ? [first] : [first, {...first, ...this.content.second}];
      this.settle();
    }

    clearPale() {
      for (const {window} of this.pale) this.trained.delete(this.key(window));
      this.settle();
    }

    settle() {
      if (this.computing && !this.training) say(this.status, "");
      this.draw();
      this.ask();
    }

    press() {
      const {training} = this;
      if (!training) this.train();
      else if (performance.now() > training.began + DOUBLE) training.end("stopped");
    }

    // Train the next seeds under those windows that have the fewest.
    train() {
      const {content, digits, knobs} = this;
      const all = this.windows.map((window) => this.placeOf(window));
      const fewest = Math.min(...all.map(({pairs}) => pairs.size));
      const places = all.filter(({pairs}) => pairs.size === fewest);
      const seeds = [];
      for (let seed = content.seed; seeds.length < content.networks; seed++)
        if (!places.some(({pairs}) => pairs.has(seed))) seeds.push(seed);
      for (const place of places) this.trained.set(this.key(place.window), place);
      this.scrollIntoView({block: "nearest"});
      say(this.status, "");
      const common = {...content.fixed, ...knobs};
      const told = (message) => this.hear(message);
      this.training = new Cohort(digits, common, places, seeds, told);
      this.draw();
    }

    // What the cohort tells: {} when there is more to see, {note}, or {ended, failed}.
    hear({note, ended, failed}) {
      if (ended !== undefined) return this.end(ended, failed);
      if (note === undefined) return this.drawSoon();
      say(this.status, note);
      this.draw();
    }

    end(why, failed = false) {
      this.training = null;
      for (const [key, {pairs}] of this.trained) if (!pairs.size) this.trained.delete(key);
      say(this.status, why);
      this.status.classList.toggle("error", failed);
      this.draw();
      this.ask();
      this.tell();
    }

    // Python gets the accuracies of what has grown up under the windows of the screen. The picture
    // below the screen, which a saved notebook has, then shows the same.
    tell() {
      const {content, dataset, windows} = this;
      const accuracies = ({tests}) => tests.map(([age, right]) => [age, right]);
      const grown = windows.map((window, number) => {
        const complete = [...this.placeOf(window).pairs].filter(([, pair]) => isComplete(pair));
        const seeds = complete.map(([seed, {spoilt, control}]) => ({
          seed,
          spoilt: accuracies(spoilt),
          control: accuracies(control),
        }));
        return {name: nameOf(windows, number, content.kinds), window, seeds};
      });
      try {
        this.model?.send({grown, headline: this.headline(this.shown)});
      } catch {
        return; // its kernel was restarted: the page knows all the same
      }
      const textContent = `[data-still="${dataset.link}"] { display: none }`;
      this.append(make("style", {textContent}));
    }

    // Drawing --------------------------------------------------------------------------------------

    // While networks grow the page draws a few times a second at most, and when there are some more
    // tests of each: they need the processor. The first lines come as soon as they can.
    drawSoon() {
      const {plans} = this.training;
      this.untold = (this.untold ?? 0) + 1;
      const hasLines = this.large.querySelector(".thin");
      if (this.due || (hasLines && this.untold < 2 * plans.length)) return;
      const pause = hasLines ? REDRAWN : FIRST_DRAWN;
      const wait = Math.max(0, this.drewAt + pause - performance.now());
      this.due = setTimeout(() => requestAnimationFrame(() => this.draw()), wait);
    }

    draw() {
      if (!this.digits) return;
      clearTimeout(this.due);
      this.due = null;
      this.untold = 0; // tests that are not drawn
      this.drewAt = performance.now();
      const {last, more, shown} = this;
      this.drawControls(shown);
      this.drawLanes();
      this.drawPaint();
      const pale = this.pale.map((place) => ({...place, pairs: [...place.pairs.values()]}));
      for (const before of pale) before.words = this.paleWords(before);
      this.clear.hidden = !pale.length;
      const words = `Test images right, by epoch. ${this.head.textContent}`;
      drawLives(this.large, last, shown, pale, words);
      this.drawPictures(shown);
      if (!more.open) return;
      drawOwnRight(this.why, last, shown);
      this.drawUnits();
    }

    paleWords({window, pairs}) {
      const {n, words} = harmOf(pairs, this.content.t);
      const isSame = window.kind === this.windows[0].kind;
      const label = isSame ? "" : `${this.content.kinds[window.kind].label} `;
      return `${label}${whenOf(window)}${n ? `: ${words}` : ""}`;
    }

    drawControls(shown) {
      const {content, knobs, training, windows} = this;
      const {colour, ink} = content.kinds[windows[0].kind];
      this.root.style.setProperty("--deficit", colour);
      this.root.style.setProperty("--on-deficit", ink);
      for (const [number, choice] of this.choices.entries()) {
        if (windows[number]) choice.value = windows[number].kind;
      }
      this.second.hidden = windows.length < 2;
      this.compare.ariaPressed = windows.length > 1;
      for (const knob of this.root.querySelectorAll("select[name]")) knob.value = knobs[knob.name];
      const more = shown.every(({harm}) => harm.n) ? "more" : "networks";
      say(this.start, training ? "Stop" : `Train ${content.networks} ${more}`);
      this.start.disabled = !training && !(this.computing && this.covered);
      say(this.hold, training?.paused ? "Go on" : "Pause");
      this.hold.disabled = !training;
      this.forward.disabled = !training?.paused;
      const lines = windows.map((one) => runOf(this.point(one), content.knobs, content.images));
      say(this.code, lines.join("  "));
      say(this.head, this.headline(shown));
    }

    // What the screen says above all.
    headline(shown) {
      const {content, windows} = this;
      const {kinds} = content;
      const harms = shown.map(({harm}) => harm);
      if (this.training) return GROWING;
      if (harms.every(({n}) => n)) return verdict(windows, harms, kinds);
      if (windows.length > 1) return WHEN;
      const [{kind}] = windows;
      if (kind === content.windows[0].kind) return content.begin;
      return `Does “${kinds[kind].label}” leave a mark? Press Train.`;
    }

    drawLanes() {
      const {content, knobs, windows} = this;
      this.bar.classList.toggle("two", windows.length > 1);
      for (const [number, lane] of this.lanes.entries()) {
        const window = windows[number];
        lane.hidden = !window;
        if (!window) continue;
        const names = ["clear", content.kinds[window.kind].label, "clear"];
        drawLine(lane, this.last, {...window, recovery: knobs.recovery}, names);
        const key = this.key(window);
        if (lane.pictured !== key) drawLifeStrips(this, lane, window);
        lane.pictured = key;
      }
    }

    get covered() {
      const covers = this.windows.some(({kind}) => kind === "cover");
      return !covers || this.knobs.mask !== NOTHING;
    }

    drawPaint() {
      const {mask} = this.knobs;
      this.paint.hidden = !this.windows.some(({kind}) => kind === "cover");
      say(this.advice, this.covered ? PAINT : BARE);
      if (this.painted === mask) return;
      this.painted = mask;
      drawMask(this.grid, mask);
      for (const button of this.masks.children) button.ariaPressed = button.value === mask;
    }

    // Digits, clear and as the network sees them: any before networks have grown up, and then those
    // that only the deprived networks of the first window get wrong.
    drawPictures([first, second]) {
      const {window} = first;
      const deprived = this.completePairs(first);
      const others = this.completePairs(second);
      const drawn = `${this.key(window)} ${deprived.length} ${others.length} ${second?.name}`;
      if (this.pictured === drawn) return;
      this.pictured = drawn;
      const {labels} = this.digits.test;
      const isGrown = deprived.length > 0;
      const chosen = isGrown ? onlyDeprivedWrong(labels, deprived, others) : [...labels.keys()];
      const places = chosen.slice(0, this.paint.hidden ? 6 : 3);
      const takenFor = (i) => mostFrequent(wrongAnswers(labels, deprived, "spoilt", i));
      const words = places.map((i) => (isGrown ? `${labels[i]}, taken for ${takenFor(i)}` : ""));
      const epochs = epochsDrawn(this, window);
      this.pictures.classList.toggle("changing", epochs.length > 1);
      this.pictures.replaceChildren(...digitFigures(this, window, places, epochs, words));
      const {kinds} = this.content;
      const who = others.length ? `those ${stateOf(window, kinds)}` : "the deprived networks";
      const about = places.length ? `Only ${who} get these wrong` : NONE_WRONG;
      const when = epochs.length > 1 ? ` (as in epochs ${epochs.join(" and ")})` : "";
      say(this.about, (isGrown ? about : CLEAR_AND_SEEN) + when);
    }

    // The pairs of a window whose answers and weights are known.
    completePairs(shown) {
      return this.computing && shown ? shown.pairs.filter(isComplete) : [];
    }

    // The first units of the networks of a seed, and of their twins, at an epoch.
    drawUnits() {
      const {chosen, content, knobs, moment, windows} = this;
      const places = windows.map((window) => this.placeOf(window));
      const seeds = this.computing ? [...places[0].pairs.keys()] : [];
      this.looking.hidden = !seeds.length;
      if (!seeds.length) return say(this.found, UNITS_LATER);
      if (`${seeds}` !== `${Array.from(chosen.options, ({value}) => value)}`)
        chosen.replaceChildren(...seeds.map((textContent) => make("option", {textContent})));
      const seed = +chosen.value;
      const ages = places[0].pairs.get(seed).spoilt.looks.map(([age]) => age);
      const following = moment.value === moment.max;
      moment.max = Math.max(0, ages.length - 1);
      if (following) moment.value = moment.max;
      const epoch = ages[moment.value] ?? 0;
      say(this.age, `${epoch}`);
      const rows = places.flatMap(({window, pairs}, number) => {
        const pair = pairs.get(seed);
        if (!pair) return [];
        const {onset, length} = window;
        // a twin has no window: it is younger by the part of it that is over
        const twin = epoch <= onset ? epoch : Math.max(onset, epoch - length);
        const name = `network ${seed} ${nameOf(windows, number, content.kinds)}`;
        return [
          unitsRow(this, name, `w${number}`, pair.spoilt, epoch),
          unitsRow(this, "its twin", "", pair.control, twin),
        ];
      });
      this.units.replaceChildren(...rows);
      say(this.found, `Detail is what is finer than ${knobs.block} × ${knobs.block} pixels.`);
    }

    wipeSheet() {
      this.sheet.getContext("2d").clearRect(0, 0, SHEET, SHEET);
      this.answers.replaceChildren();
      this.inked.hidden = true;
      say(this.opinion, "");
    }

    // Ask all networks what the drawn digit is.
    ask() {
      const digit = drawnDigit(this.sheet, this.tools.SIDE);
      if (!digit) return;
      this.inked.hidden = false;
      drawInk(this.shrunk, digit);
      const plan = {...this.content.fixed, ...this.knobs};
      const groups = [];
      const twins = [];
      for (const [number, shown] of this.shown.entries()) {
        const {name} = shown;
        const complete = this.completePairs(shown);
        if (!complete.length) continue;
        const networks = complete.map(({spoilt}) => spoilt.network);
        const chances = meanChances(this, networks, digit, plan);
        groups.push({name: name || "the deprived", className: `w${number}`, chances});
        twins.push(...complete.map(({control}) => control.network));
      }
      if (twins.length) {
        const chances = meanChances(this, twins, digit, plan);
        groups.push({name: "their twins", className: "", chances});
      }
      drawOpinions(this.answers, groups);
      say(this.opinion, groups.length ? opinionsInWords(groups) : NO_NETWORK);
    }
  },
);
