// `<cplab-nursery>`: small networks that grow up in the browser while you watch, under one window or
// two, beside their twins. This file has what the screen knows, what a person does, and when it is
// drawn. The other files, each of which begins with what it is for, are joined in this order:
//
//   page.js          elements that improve HTML, such as `make` and `Improved`
//   unzip.js         bytes from text
//   screen.js        what all screens share, such as `say`
//   bar.js           the line of life, and `within`
//   words.js         sentences, as the explorer has them, too
//   labels.js        labels of a figure that give way to one another
//   networks.js      trains
//   cohort.js   what one press trains; the shapes of windows, pairs and lives
//   numbers.js  the harm
//   verdict.js  sentences that only this screen says
//   mask.js     the mask that covers a part of each digit
//   figure.js   the figures
//   inside.js   a look inside one network and its twin
//   pictures.js digits as networks see them
//   digit.js    a digit that is drawn by hand
//   nursery.js  this file
//
// What the screen knows: `windows` and `knobs`, which a person moves; `trained`, all that has grown
// up; `training`, the cohort that grows now. Whatever changes one of them then calls `draw`, which
// reads them anew. `content` is what Python sends, see NurseryContent in nursery.py. An element of
// nursery.html with `data-is=NAME` is the property of that name, such as `this.bar`.

// Milliseconds
const REDRAWN = 150; // between two drawings, while networks grow
const FIRST_DRAWN = 30; // the same until there are first lines
const SETTLED = 400; // until a notebook has placed a new output

const STRIDE = 5; // epochs by which grips move

// What is said on the screen
const PAINT = "Paint what they may not see.";
const BARE = "Nothing is covered yet: paint at least one field.";
const CLEAR_AND_SEEN = "Digits, and what the network sees of them";
const NONE_WRONG = "There is no digit that only these networks get wrong";
const NO_NETWORK = "No network has grown up here yet: press Train.";
const PAINTED = "cover"; // the deficit whose strength is a mask, which is painted
const NO_ENGINE =
  "Your browser cannot train here, for lack of WebAssembly: these networks came with the lab.";

// The latest screen of each content, so that a cell which is run again goes on with what has grown.
const screens = new Map();

// A window after a grip was moved to some epochs: `onset` moves all of it, `length` its end. latest:
// the epoch by which it has to end.
function moved({kind, onset, length}, grip, epochs, latest) {
  if (grip === "onset") return {kind, onset: within(0, epochs, latest - length), length};
  return {kind, onset, length: within(1, epochs, latest - onset)};
}

class Nursery extends Improved {
  trained = new Map(); // the condition of each point, by `key`
  training = null;
  seenEpoch = null; // at which a network is looked into, once somebody has chosen one

  async begin() {
    const text = this.querySelector("script").textContent;
    const content = JSON.parse(text);
    this.innerHTML = content.html;
    this.root = collect(this);
    this.content = content;
    this.windows = content.windows;
    this.knobs = content.knobs;
    this.last = content.latest + content.knobs.recovery; // the epoch at the right end
    this.succeed(screens.get(text));
    screens.set(text, this);
    this.tools = engine();
    // the arithmetic of networks, or null where the browser cannot train
    this.arithmetic = await this.tools.loadArithmetic(moduleBytes()).catch(() => null);
    if (!this.arithmetic) this.showShipped();
    const digits = await unpack(content.digits, this.tools);
    if (content.own) digits.own = await unpackOwn(content.own, this.tools);
    this.digits = digits;
    this.addControls();
    new ResizeObserver(() => this.draw()).observe(this.root);
    this.connect();
  }

  // Go on with what an earlier screen of this content has, if that one has left the page.
  succeed(earlier) {
    if (!earlier || earlier.isConnected) return;
    const {windows, knobs, trained, training} = earlier;
    Object.assign(this, {windows, knobs, trained, training});
    earlier.training = null;
    if (training) training.onNews = (news) => this.hear(news);
  }

  // Python is there: it gets what has grown up, and what will. JupyterLab scrolls to the next cell
  // before there is an output, so the screen of a cell that has just run comes into sight by itself,
  // once; after a reload the page stays where it is.
  follow(model) {
    if (this.trained.size) this.tell();
    if (model.get("state").seen) return;
    model.set("state", {seen: true});
    model.save_changes();
    setTimeout(() => this.comeIntoSight(), SETTLED);
  }

  // Scroll as little as shows all from the words to the figure; without room for that, the words.
  comeIntoSight() {
    for (const part of [this.large, this.head]) part.scrollIntoView({block: "nearest"});
  }

  addControls() {
    const {content, root} = this;
    this.choices = [...root.querySelectorAll("select:is(.w0, .w1)")]; // of a deficit
    this.lanes = this.choices.map((choice, index) => {
      for (const [value, {label}] of Object.entries(content.kinds))
        choice.append(make("option", {value, textContent: label}));
      choice.onchange = () => this.choose(index, choice.value);
      const current = () => this.windows[index];
      const move = (grip, epochs) =>
        this.change(index, moved(current(), grip, epochs, content.latest));
      return addLane(this.bar, index, () => this.last, current, {
        drag: (grip, epochs, from) =>
          move(grip, STRIDE * Math.round((from[grip] + epochs) / STRIDE)),
        leap: (grip, strides) => move(grip, current()[grip] + STRIDE * strides),
      });
    });
    for (const knob of root.querySelectorAll("select[name]"))
      knob.onchange = () => this.turn({[knob.name]: +knob.value});
    for (const [kind, {knob}] of Object.entries(content.kinds))
      if (knob && kind !== PAINTED) this.strengths.append(this.strengthKnob(kind, knob));
    for (const [textContent, value] of Object.entries({...content.masks, nothing: NOTHING})) {
      const onclick = () => this.setStrength(PAINTED, value);
      this.masks.append(make("button", {type: "button", value, textContent, onclick}));
    }
    furnishMask(
      this.grid,
      () => this.mask,
      (mask) => this.setStrength(PAINTED, mask),
    );
    furnishSheet(this.sheet, () => this.ask());
    this.wipe.onclick = () => this.wipeSheet();
    this.start.onclick = () => this.press();
    this.compare.onclick = () => this.toggleSecond();
    this.clear.onclick = () => this.clearEarlier();
    this.hold.onclick = () => (this.training.isHeld ? this.training.goOn() : this.training.hold());
    this.forward.onclick = () => this.training.step();
    furnishMoment(this.moment, () => this.chosenPair().pair.spoilt.tests);
    this.moment.oninput = () => {
      this.seenEpoch = +this.moment.value;
      this.drawInside();
    };
    this.chosen.onchange = () => this.drawInside();
    this.more.ontoggle = this.inside.ontoggle = () => this.draw();
    say(this.note, content.note);
    say(this.enough, content.enough);
  }

  // The knob of a deficit's strength, with its words.
  strengthKnob(kind, {words, options}) {
    const choices = options.map((value) => make("option", {value, textContent: value}));
    const select = make("select", {title: words}, ...choices);
    select.dataset.strength = kind;
    select.onchange = () => this.setStrength(kind, +select.value);
    return make("label", {}, `${words} `, select);
  }

  // Where the browser cannot train, show what came with the lab: means, which stand for one pair.
  showShipped() {
    const {shipped} = this.content;
    this.windows = shipped.slice(0, this.windows.length).map(({window}) => window);
    const lifeOf = (tests) => ({tests: tests.map(([age, right]) => ({age, right}))});
    for (const {window, harm, spoilt, control} of shipped) {
      const pair = {spoilt: lifeOf(spoilt), control: lifeOf(control)};
      this.trained.set(this.key(window), {window, harm, pairs: new Map([[0, pair]])});
    }
    this.inside.hidden = true;
    say(this.status, NO_ENGINE);
  }

  // What was trained ------------------------------------------------------------------------------

  // All that decides what networks become under a window.
  point(window) {
    const {strengths, ...knobs} = this.knobs;
    return {...window, ...knobs, strength: strengths[window.kind]};
  }

  // The name of that point in `trained`.
  key(window) {
    return JSON.stringify(this.point(window));
  }

  conditionOf(window) {
    return this.trained.get(this.key(window)) ?? {window, pairs: new Map()};
  }

  // The harm of a condition; one that came with the lab has its own.
  harmAt({window, pairs, harm}) {
    return harm ?? harmOf([...pairs.values()], window, this.content.t);
  }

  // What is drawn of each window of the screen, see figure.js.
  get views() {
    const {content, training, windows} = this;
    return windows.map((window, index) => {
      const condition = this.conditionOf(window);
      const pairs = [...condition.pairs.values()];
      const name = windows.length > 1 ? nameOf(windows, index, content.kinds) : "";
      const grows = Boolean(training?.conditions.includes(condition));
      return {window, pairs, harm: this.harmAt(condition), name, grows};
    });
  }

  // The conditions that were trained before, at other points.
  get earlier() {
    const current = this.windows.map((window) => this.key(window));
    const others = [...this.trained].filter(([key]) => !current.includes(key));
    return others.map(([, condition]) => condition);
  }

  // The pairs of a view that have grown up in this browser.
  grownPairs(view) {
    return this.arithmetic && view ? view.pairs.filter(isComplete) : [];
  }

  // Whether a mask, if one is needed, covers anything.
  get isMaskReady() {
    return this.mask !== NOTHING || !this.hasMask;
  }

  get hasMask() {
    return this.windows.some(({kind}) => kind === PAINTED);
  }

  get mask() {
    return this.knobs.strengths[PAINTED];
  }

  // What a person does ----------------------------------------------------------------------------

  change(index, change) {
    this.windows = this.windows.with(index, {...this.windows[index], ...change});
    this.refresh();
  }

  // Choose a deficit. The second window follows the first, unless it has another one.
  choose(index, kind) {
    const [{kind: before}] = this.windows;
    this.windows = this.windows.map((window, i) => {
      const follows = index === 0 && window.kind === before;
      return i === index || follows ? {...window, kind} : window;
    });
    this.refresh();
  }

  turn(knobs) {
    this.knobs = {...this.knobs, ...knobs};
    this.refresh();
  }

  setStrength(kind, strength) {
    this.turn({strengths: {...this.knobs.strengths, [kind]: strength}});
  }

  toggleSecond() {
    const [first, second] = this.windows;
    this.windows = second ? [first] : [first, {...first, ...this.content.second}];
    this.refresh();
  }

  clearEarlier() {
    for (const {window} of this.earlier) this.trained.delete(this.key(window));
    this.refresh();
  }

  refresh() {
    if (this.arithmetic && !this.training) say(this.status, "");
    this.draw();
    this.ask();
  }

  // Train, or stop; the second of two quick presses does not count.
  press() {
    const {training} = this;
    if (!training) this.train();
    else if (performance.now() > training.began + DOUBLE) training.end("stopped");
  }

  // Train the next seeds under those windows that have the fewest.
  train() {
    const {content, digits, knobs, windows} = this;
    const all = windows.map((window) => this.conditionOf(window));
    const fewest = Math.min(...all.map(({pairs}) => pairs.size));
    const conditions = all.filter(({pairs}) => pairs.size === fewest);
    const seeds = [];
    for (let seed = content.seed; seeds.length < content.networks; seed++)
      if (!conditions.some(({pairs}) => pairs.has(seed))) seeds.push(seed);
    for (const condition of conditions) this.trained.set(this.key(condition.window), condition);
    this.comeIntoSight();
    say(this.status, "");
    const common = {...content.fixed, ...knobs};
    this.training = new Cohort(digits, common, conditions, seeds, (news) => this.hear(news));
    this.draw();
  }

  // The news of a cohort: {} when there is more to draw, {note}, or {ended, failed}.
  hear({note, ended, failed}) {
    if (ended !== undefined) {
      this.end(ended, failed);
    } else if (note !== undefined) {
      say(this.status, note);
      this.draw();
    } else {
      this.drawSoon();
    }
  }

  end(how, failed) {
    this.training = null;
    for (const [key, {pairs}] of this.trained) if (!pairs.size) this.trained.delete(key);
    say(this.status, how);
    this.status.classList.toggle("error", failed);
    this.draw();
    this.ask();
    this.tell();
  }

  // Python gets the accuracies of what has grown up under the windows of the screen. The picture
  // below the screen, which a saved notebook has, then shows the same, and is hidden.
  tell() {
    const {content, windows} = this;
    const accuracies = ({tests}) => tests.map(({age, right}) => [age, right]);
    const grown = windows.map((window, index) => {
      const complete = [...this.conditionOf(window).pairs].filter(([, pair]) => isComplete(pair));
      const seeds = complete.map(([seed, {spoilt, control}]) => ({
        seed,
        spoilt: accuracies(spoilt),
        control: accuracies(control),
      }));
      return {name: nameOf(windows, index, content.kinds), window, seeds};
    });
    try {
      this.model?.send({grown, headline: this.headline(this.views)});
    } catch {
      return; // its kernel was restarted: the page knows all the same
    }
    const textContent = `[data-still="${this.dataset.link}"] { display: none }`;
    this.append(make("style", {textContent}));
  }

  // Drawing ---------------------------------------------------------------------------------------

  // While networks grow the page draws a few times a second at most, and when there are some more
  // tests of each: they need the processor. The first lines come as soon as they can.
  drawSoon() {
    const {plans} = this.training;
    this.undrawnTests = (this.undrawnTests ?? 0) + 1;
    const hasLines = this.large.querySelector(".thin");
    if (this.timer || (hasLines && this.undrawnTests < 2 * plans.length)) return;
    const pause = hasLines ? REDRAWN : FIRST_DRAWN;
    const wait = Math.max(0, this.drawnAt + pause - performance.now());
    this.timer = setTimeout(() => requestAnimationFrame(() => this.draw()), wait);
  }

  draw() {
    if (!this.digits) return;
    clearTimeout(this.timer);
    this.timer = null;
    this.undrawnTests = 0;
    this.drawnAt = performance.now();
    const {last, views} = this;
    this.drawControls(views);
    this.drawLanes();
    this.drawPaint();
    const earlier = this.earlier.map(({window, pairs}) => {
      const those = [...pairs.values()];
      return {pairs: those, words: this.earlierWords(window, those)};
    });
    this.clear.hidden = !earlier.length;
    const description = `Test images right, by epoch. ${this.head.textContent}`;
    drawLives(this.large, last, views, earlier, description);
    this.drawPictures(views);
    if (this.more.open) drawTrainingAccuracy(this.why, last, views);
    if (this.inside.open) this.drawInside();
  }

  earlierWords(window, pairs) {
    const {n, words} = harmOf(pairs, window, this.content.t);
    const harm = n ? `: ${words}` : "";
    return `${nameOf([window, this.windows[0]], 0, this.content.kinds)}${harm}`;
  }

  drawControls(views) {
    const {content, knobs, training, windows} = this;
    const {colour, ink} = content.kinds[windows[0].kind];
    this.root.style.setProperty("--deficit", colour);
    this.root.style.setProperty("--on-deficit", ink);
    for (const [index, choice] of this.choices.entries()) {
      if (windows[index]) choice.value = windows[index].kind;
    }
    this.second.hidden = windows.length < 2;
    this.compare.ariaPressed = windows.length > 1;
    for (const knob of this.root.querySelectorAll("select[name]")) knob.value = knobs[knob.name];
    for (const knob of this.strengths.querySelectorAll("select"))
      knob.value = knobs.strengths[knob.dataset.strength];
    const more = views.every(({harm}) => harm.n) ? "more" : "networks";
    say(this.start, training ? "Stop" : `Train ${content.networks} ${more}`);
    this.start.disabled = !training && !(this.arithmetic && this.isMaskReady);
    say(this.hold, training?.isHeld ? "Go on" : "Pause");
    this.hold.disabled = !training;
    this.forward.disabled = !training?.isHeld;
    const lines = windows.map((one) => runOf(this.point(one), content.knobs, content.images));
    say(this.code, lines.join("\n"));
    say(this.head, this.headline(views));
  }

  // What the screen says above all.
  headline(views) {
    const {content, windows} = this;
    const {kinds} = content;
    const harms = views.map(({harm}) => harm);
    if (this.training) return GROWING;
    if (harms.every(({n}) => n)) return verdict(windows, harms, kinds);
    if (windows.length > 1) return `${WHEN} Press Train.`;
    const [{kind}] = windows;
    if (kind === content.windows[0].kind) return content.begin;
    return `Does “${kinds[kind].label}” do harm? Press Train.`;
  }

  drawLanes() {
    const {content, knobs, windows} = this;
    this.bar.classList.toggle("two", windows.length > 1);
    for (const [index, lane] of this.lanes.entries()) {
      const window = windows[index];
      lane.hidden = !window;
      if (!window) continue;
      const names = ["clear", content.kinds[window.kind].label, "clear"];
      drawLane(lane, this.last, {...window, recovery: knobs.recovery}, names);
      const key = this.key(window);
      if (lane.drawnKey !== key) drawLifeStrips(this, lane, window);
      lane.drawnKey = key;
    }
  }

  drawPaint() {
    const {mask} = this;
    this.paint.hidden = !this.hasMask;
    say(this.advice, this.isMaskReady ? PAINT : BARE);
    if (this.drawnMask === mask) return;
    this.drawnMask = mask;
    drawMask(this.grid, mask);
    for (const button of this.masks.children) button.ariaPressed = button.value === mask;
  }

  // Digits, clear and as the network sees them: any before networks have grown up, and then those
  // that only the deprived networks of the first window get wrong.
  drawPictures([first, second]) {
    const {kinds} = this.content;
    const {labels} = this.digits.test;
    const {window} = first;
    const deprived = this.grownPairs(first);
    const others = this.grownPairs(second);
    const drawn = `${this.key(window)} ${deprived.length} ${others.length} ${second?.name}`;
    if (this.drawnPictures === drawn) return;
    this.drawnPictures = drawn;

    const isGrown = deprived.length > 0;
    const images = isGrown ? onlyDeprivedWrong(labels, deprived, others) : [...labels.keys()];
    const shown = images.slice(0, this.hasMask ? 3 : 6);
    const words = shown.map((image) => {
      if (!isGrown) return "";
      const answer = mostFrequent(wrongAnswers(labels, deprived, "spoilt", image));
      return `${labels[image]}, taken for ${answer}`;
    });
    const epochs = epochsDrawn(this, window);
    this.pictures.classList.toggle("changing", epochs.length > 1);
    this.pictures.replaceChildren(...digitFigures(this, window, shown, epochs, words));

    let about = CLEAR_AND_SEEN;
    const who = others.length ? `those ${stateOf(window, kinds)}` : "the deprived networks";
    if (isGrown) about = shown.length ? `Only ${who} get these wrong` : NONE_WRONG;
    if (epochs.length > 1) about += ` (as in epochs ${epochs.join(" and ")})`;
    say(this.about, about);
  }

  // A look inside one network, see inside.js.
  drawInside() {
    const {last, moment} = this;
    const shown = this.chosenPair();
    this.looking.hidden = !shown;
    if (!shown) {
      say(this.said, NO_NETWORK);
      return;
    }
    const {window, pair, seed} = shown;
    const front = pair.spoilt.tests.at(-1).age;
    const first = isComplete(pair) ? window.onset + window.length : front; // to be seen
    const test = testAt(pair.spoilt, this.seenEpoch ?? first);
    const epoch = test.age;
    const twinTest = testAt(pair.control, ageOfTwin(epoch, window));
    const words = insideInWords(epoch, window, test, twinTest);
    say(this.said, words);
    const end = window.onset + window.length + this.knobs.recovery;
    Object.assign(moment, {max: end, value: epoch, ariaValueText: words});
    moment.style.setProperty("--end", end / last);
    const {train} = this.digits;
    const places = this.tools.chosenDigits(this.digits, {...this.knobs, seed});
    const labels = Array.from(places, (place) => train.labels[place]);
    drawKnown(this.known, shown.index, test, twinTest, labels);
    drawLength(this.steps, last, shown, "step", epoch);
    drawLength(this.distance, last, shown, "distance", epoch);
  }

  // The network that is looked into, with its twin: {window, index, seed, pair}, of which index is the
  // place of its window; nothing if none grows or has grown here.
  chosenPair() {
    const {chosen, content, windows} = this;
    const offered = windows.flatMap((window, index) => {
      const pairs = [...this.conditionOf(window).pairs];
      return pairs.map(([seed, pair]) => ({window, index, seed, pair}));
    });
    const grown = offered.filter(({pair}) => pair.spoilt.tests.length);
    const names = grown.map(
      ({index, seed}) => `network ${seed}, ${nameOf(windows, index, content.kinds)}`,
    );
    const {value} = chosen;
    if (`${names}` !== `${Array.from(chosen.options, ({text}) => text)}`) {
      chosen.replaceChildren(...names.map((textContent) => make("option", {textContent})));
      if (names.includes(value)) chosen.value = value;
    }
    return grown[chosen.selectedIndex];
  }

  // A digit that is drawn by hand -----------------------------------------------------------------

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
    const groups = [];
    const twins = [];
    for (const [index, view] of this.views.entries()) {
      const grown = this.grownPairs(view);
      if (!grown.length) continue;
      const chances = meanChances(this, networksOf(grown, "spoilt"), digit);
      groups.push({name: view.name || "the deprived", className: `w${index}`, chances});
      twins.push(...networksOf(grown, "control"));
    }
    if (twins.length) {
      const chances = meanChances(this, twins, digit);
      groups.push({name: "their twins", className: "", chances});
    }
    drawOpinions(this.answers, groups);
    say(this.opinion, groups.length ? opinionsInWords(groups) : NO_NETWORK);
  }
}

customElements.define("cplab-nursery", Nursery);
