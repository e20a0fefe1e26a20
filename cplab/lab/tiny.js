// `<cplab-nursery>`: small networks that grow up in the browser while you watch, under one window or
// two, beside their twins. The other files of this name hold its parts: the line of life, the
// figure, a mask, a drawn digit, and the numbers.

const REDRAWN = 150; // milliseconds between two drawings, while networks grow
const FIRST_DRAWN = 30; // and until there are first lines

// What is said on the screen
const PAINT = "Paint what they may not see.";
const BARE = "Nothing is covered yet: paint at least one field.";
const WHEN = "The same deficit, early and late: which leaves a mark? Press Train.";
const GROWING = "They grow up …";
const ONE_NETWORK = "One network has no interval and gives no verdict: train more";
const CLEAR_AND_SEEN = "Digits, and what the network sees of them";
const NONE_WRONG = "There is no digit that only these networks get wrong";
const UNITS_LATER = "Once they grow, this shows where their first units look for ink.";
const NO_NETWORK = "No network has grown up here yet: press Train.";
const NO_ENGINE =
  "Your browser cannot train here, for lack of WebAssembly: these networks came with the lab.";

// The function behind a student's own name, such as `low@1a2b3c4d-2`.
const functionOf = (name) => name.replace(/@.*/, "");

const newLife = () => ({tests: [], looks: []});
const newPair = () => ({spoilt: newLife(), control: newLife()});

// Add a test to a life; `ends` if its answers and weights are those of the life's end.
function addTest(life, {age, right, own, look, answers, network}, ends) {
  life.tests.push([age, right, own]);
  if (look) life.looks.push([age, look]);
  if (ends) Object.assign(life, {answers, network});
}

// Add a test to the pair of one window, of which it may be the twin's, or of both where they are
// still one network.
function addToPair({spoilt, control}, test, isTwin, {onset}, recovery) {
  if (!isTwin) return addTest(spoilt, test, test.answers);
  if (test.age <= onset) addTest(spoilt, test, false);
  const end = onset + recovery;
  if (test.age <= end) addTest(control, test, test.age === end);
}

// Networks that came with the lab, as a place that was trained: their means stand for one pair.
function shippedPlace({window, spoilt, control, harm}) {
  const pair = {spoilt: {tests: spoilt, looks: []}, control: {tests: control, looks: []}};
  return {window, pairs: new Map([[0, pair]]), harm};
}

customElements.define(
  "cplab-nursery",
  class extends Improved {
    trained = new Map(); // by key of a point: {window, pairs: {seed: pair}}
    training = null; // what grows: {handle, plans, places, began, paused, ahead}

    async begin() {
      const content = JSON.parse(this.querySelector("script").textContent);
      this.innerHTML = content.html;
      const root = collect(this);
      const tools = engine();
      const {windows, knobs} = content;
      Object.assign(this, {content, root, tools, windows, knobs});
      this.last = content.latest + knobs.recovery;
      this.computing = await tools.arithmetic(moduleBytes()).catch(() => null);
      if (!this.computing) this.showShipped();
      this.digits = await unpack(content.digits, tools);
      if (content.own) this.digits.own = await this.unpackOwn(content.own);
      this.furnish();
      new ResizeObserver(() => this.draw()).observe(root);
      this.connect();
    }

    // Python is there: it gets what grows up.
    follow() {}

    // What a student's own deficit makes of all digits: bytes of pixels, and labels.
    async unpackOwn(own) {
      const {train, test} = this.content.digits;
      const end = (train + test) * this.tools.PIXELS;
      const stages = [];
      for (const {epoch, packed} of own.stages) {
        const bytes = await unzip(packed);
        stages.push({epoch, images: bytes.subarray(0, end), labels: bytes.subarray(end)});
      }
      return {...own, stages};
    }

    // Where the browser cannot train, show what came with the lab.
    showShipped() {
      const {shipped} = this.content;
      this.windows = shipped.slice(0, this.windows.length).map(({window}) => window);
      for (const place of shipped) this.trained.set(this.key(place.window), shippedPlace(place));
      say(this.status, NO_ENGINE);
    }

    furnish() {
      const {content, last, root} = this;
      this.choices = [...root.querySelectorAll("[data-is=controls] select")];
      for (const [number, choice] of this.choices.entries()) {
        for (const [value, {label}] of Object.entries(content.kinds))
          choice.append(make("option", {value, textContent: label}));
        choice.onchange = () => this.change(number, {kind: choice.value});
      }
      this.lanes = this.choices.map((_, number) => {
        const current = () => this.windows[number];
        return addLane(this.bar, number, last, current, (grip, epoch) =>
          this.change(number, moved(current(), grip, epoch, content.latest)),
        );
      });
      for (const knob of root.querySelectorAll("[data-is=knobs] select"))
        knob.onchange = () => this.turn({[knob.name]: +knob.value});
      const masks = {...content.masks, nothing: NOTHING};
      for (const [textContent, value] of Object.entries(masks)) {
        const onclick = () => this.turn({mask: value});
        this.masks.append(make("button", {type: "button", value, textContent, onclick}));
      }
      const paint = (mask) => mask !== this.knobs.mask && this.turn({mask});
      furnishMask(this.grid, () => this.knobs.mask, paint);
      furnishSheet(this.sheet, () => this.ask());
      this.wipe.onclick = () => this.wipeSheet();
      this.start.onclick = () => this.press();
      this.compare.onclick = () => this.toggleSecond();
      this.clear.onclick = () => this.clearPale();
      this.hold.onclick = () => this.pause(!this.training.paused);
      this.forward.onclick = () => this.step();
      this.moment.oninput = this.chosen.onchange = () => this.drawUnits();
      this.more.ontoggle = () => this.draw();
      say(this.note, content.note);
      say(this.enough, content.enough);
      if (content.why) {
        this.beside.prepend(this.reason);
        this.more.append(this.asking);
      }
    }

    // Points -------------------------------------------------------------------------------------

    // All that decides what networks become under a window.
    point(window) {
      const {block, mask, ...knobs} = this.knobs;
      return {
        ...window,
        ...knobs,
        ...(window.kind === "mosaic" && {block}),
        ...(window.kind === "cover" && {mask}),
      };
    }

    key(window) {
      return JSON.stringify(this.point(window));
    }

    // What was trained under a window, and what grows there.
    placeOf(window) {
      return this.trained.get(this.key(window)) ?? {window, pairs: new Map()};
    }

    pairsOf(window) {
      return [...this.placeOf(window).pairs.values()];
    }

    harmAt(place) {
      return place.harm ?? harmOf([...place.pairs.values()], this.content.t);
    }

    change(number, change) {
      this.windows = this.windows.with(number, {...this.windows[number], ...change});
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
      const current = this.windows.map((window) => this.key(window));
      for (const key of this.trained.keys()) if (!current.includes(key)) this.trained.delete(key);
      this.settle();
    }

    settle() {
      if (this.computing && !this.training) say(this.status, "");
      this.draw();
      this.ask();
    }

    // Training -----------------------------------------------------------------------------------

    press() {
      const {training} = this;
      if (!training) this.train();
      else if (performance.now() > training.began + DOUBLE) this.end("stopped");
    }

    // The windows that have the fewest networks: these get the next ones.
    get behind() {
      const count = (window) => this.placeOf(window).pairs.size;
      const fewest = Math.min(...this.windows.map(count));
      return this.windows.filter((window) => count(window) === fewest);
    }

    // The next seeds, each with its twin, the same network without the window.
    train() {
      const {content, knobs} = this;
      const places = this.behind.map((window) => this.placeOf(window));
      const windows = places.map(({window}) => window);
      const plans = [];
      for (let seed = content.seed; plans.length < content.networks; seed++) {
        if (places.some(({pairs}) => pairs.has(seed))) continue;
        plans.push({...content.fixed, ...knobs, seed, windows});
        for (const {pairs} of places) pairs.set(seed, newPair());
      }
      for (const place of places) this.trained.set(this.key(place.window), place);
      this.training = {plans, places, began: performance.now(), paused: 0, ahead: 0};
      say(this.status, "");
      this.training.handle = grow(this.digits, plans, (message) => this.hear(message));
      this.draw();
    }

    hear({tests = [], note, failed}) {
      const {training} = this;
      if (!training) return;
      const {plans, places} = training;
      for (const test of tests) {
        const isTwin = test.window < 0;
        for (const [number, {window, pairs}] of places.entries())
          if (isTwin || test.window === number)
            addToPair(pairs.get(test.seed), test, isTwin, window, plans[0].recovery);
      }
      if (training.ahead && tests.length) {
        training.ahead = Math.max(0, training.ahead - tests.length);
        if (!training.ahead) this.pause(true);
      }
      if (note) say(this.status, note);
      if (failed) this.end(failed, true);
      else if (places.every(({pairs}) => [...pairs.values()].every(isComplete)))
        this.end(`took ${Math.round((performance.now() - training.began) / 1000)} s`);
      else this.drawSoon();
    }

    // End training; pairs that are complete stay.
    end(why, failed = false) {
      const {handle, places} = this.training;
      handle.stop();
      this.training = null;
      for (const {window, pairs} of places) {
        for (const [seed, pair] of pairs) if (!isComplete(pair)) pairs.delete(seed);
        if (!pairs.size) this.trained.delete(this.key(window));
      }
      say(this.status, why);
      this.status.classList.toggle("error", failed);
      this.draw();
      this.ask();
      this.tell();
    }

    // Hold what grows where it is, or let it go on. A pause does not count as time of training.
    pause(paused) {
      const {training} = this;
      const now = performance.now();
      if (training.paused) training.began += now - training.paused;
      training.paused = paused ? now : 0;
      training.handle.pause(paused);
      say(this.status, paused ? "paused" : "");
      this.draw();
    }

    // Let what is held go on until there are as many tests as networks, and hold it again.
    step() {
      this.training.ahead = this.training.plans.length;
      this.pause(false);
    }

    // Python gets the accuracies of what has grown up under the windows of the screen.
    tell() {
      const accuracies = ({tests}) => tests.map(([age, right]) => [age, right]);
      const grown = this.windows.map((window, number) => {
        const seeds = [...this.placeOf(window).pairs].map(([seed, {spoilt, control}]) => ({
          seed,
          spoilt: accuracies(spoilt),
          control: accuracies(control),
        }));
        return {name: this.nameOf(number), window, seeds};
      });
      try {
        this.model?.send({grown, headline: this.head.textContent});
        this.hideStill();
      } catch {
        // its kernel was restarted: the page knows all the same
      }
    }

    // The picture below the screen, which a saved notebook has, shows the same.
    hideStill() {
      const {link} = this.dataset;
      const textContent = `[data-still="${link}"] { display: none }`;
      if (this.trained.size) this.append(make("style", {textContent}));
    }

    // Words --------------------------------------------------------------------------------------

    label({kind}) {
      return this.content.kinds[kind].label;
    }

    // What sets a window apart from the other one.
    nameOf(number, isShort = false) {
      const window = this.windows[number];
      const other = this.windows[1 - number];
      const {onset, length} = window;
      let name = onset ? `after ${onset}${isShort ? "" : " clear epochs"}` : "from birth";
      if (other?.kind === window.kind && other.onset === onset) name = `for ${length} epochs`;
      if (other && other.kind !== window.kind) name = `${this.label(window)} ${name}`;
      return name;
    }

    // What its networks went through, and when.
    stateOf(number) {
      const {kind, onset} = this.windows[number];
      const [first, ...rest] = this.content.kinds[kind].words;
      return `${first.toLowerCase()}${rest.join("")} ${onset ? `after ${onset} epochs` : "from birth"}`;
    }

    // What the screen says above all.
    headline(harms) {
      const {content, training, windows} = this;
      if (training) return GROWING;
      const [{kind}] = windows;
      if (harms.some(({n}) => !n)) {
        if (windows.length > 1) return WHEN;
        if (kind === content.windows[0].kind) return content.begin;
        return `Does “${this.label(windows[0])}” leave a mark? Press Train.`;
      }
      if (harms.some(({n}) => n === 1)) return ONE_NETWORK;
      if (windows.length < 2) return this.verdict(windows[0], harms[0]);
      const [early, late] = windows.map((_, number) => this.nameOf(number));
      const start = early[0].toUpperCase() + early.slice(1);
      return `${start} ${harms[0].words} points are left, ${late} ${harms[1].words}`;
    }

    // How networks end beside their twins, in a sentence.
    verdict({kind, onset, length}, {n, middle, half, words}) {
      const epochs = onset
        ? `from epoch ${onset} to ${onset + length}`
        : `for their first ${length} epochs`;
      const childhood = `${this.content.kinds[kind].words} ${epochs}`;
      if (Math.abs(middle) <= half)
        return `${childhood}, they end level with their twins (${words} points, ${n} seeds)`;
      const side = middle > 0 ? "behind" : "ahead of";
      return `${childhood}, they end ${words.replace("−", "")} points ${side} their twins`;
    }

    // The lines of Python that make the points.
    python() {
      return this.windows.map((window) => this.runOf(this.point(window))).join("  ");
    }

    runOf({kind, onset, length, recovery, digits, layers, scale, rate, block, mask}) {
      const usual = this.content.knobs;
      const names = {mosaic: block === 3 ? "mosaic" : `mosaic-${block}`, cover: `cover-${mask}`};
      const network = `mlp${layers}${{0.1: "_tenth", 1: "_he"}[scale] ?? ""}`;
      const parts = [
        kind.includes("@") ? functionOf(kind) : `"${names[kind] ?? kind}"`,
        `onset=${onset}`,
        `length=${length}`,
        'profile="tiny"',
      ];
      if (this.content.images) parts.push(`dataset="${this.content.images}"`);
      if (network !== "mlp2") parts.push(`model="${network}"`);
      if (recovery !== usual.recovery) parts.push(`recovery=${recovery}`);
      if (digits !== usual.digits) parts.push(`images=${digits}`);
      if (rate !== usual.rate) parts.push(`rate=${Math.round((100 * rate) / usual.rate) / 100}`);
      return `cplab.Run(${parts.join(", ")})`;
    }

    // Drawing ------------------------------------------------------------------------------------

    // While networks grow the page draws a few times a second: they need the processor. The first
    // lines come as soon as they can.
    drawSoon() {
      if (this.due) return;
      const hasLine = this.training.places.some(({pairs}) =>
        [...pairs.values()].some(({spoilt}) => spoilt.tests.length > 1),
      );
      const pause = hasLine ? REDRAWN : FIRST_DRAWN;
      const wait = Math.max(0, this.drewAt + pause - performance.now());
      this.due = setTimeout(() => requestAnimationFrame(() => this.draw()), wait);
    }

    draw() {
      if (!this.digits) return;
      clearTimeout(this.due);
      this.due = null;
      this.drewAt = performance.now();
      const harms = this.windows.map((window) => this.harmAt(this.placeOf(window)));
      this.drawControls(harms);
      this.drawLanes();
      this.drawPaint();
      this.drawFigure(harms);
      this.drawPictures(harms);
      if (this.content.why || this.more.open) this.drawWhy();
      if (this.more.open) this.drawUnits();
    }

    drawControls(harms) {
      const {content, knobs, training, windows} = this;
      const {colour, ink} = content.kinds[windows[0].kind];
      this.root.style.setProperty("--deficit", colour);
      this.root.style.setProperty("--on-deficit", ink);
      for (const [number, choice] of this.choices.entries()) {
        choice.hidden = !windows[number];
        if (windows[number]) choice.value = windows[number].kind;
      }
      this.compare.ariaPressed = windows.length > 1;
      for (const knob of this.root.querySelectorAll("[data-is=knobs] select"))
        knob.value = knobs[knob.name];
      const more = harms.every(({n}) => n) ? "more" : "networks";
      say(this.start, training ? "Stop" : `Train ${content.networks} ${more}`);
      this.start.disabled = !training && !(this.computing && this.covered);
      say(this.hold, training?.paused ? "Go on" : "Pause");
      this.hold.disabled = !training;
      this.forward.disabled = !training?.paused;
      say(this.code, this.python());
      say(this.head, this.headline(harms));
    }

    drawLanes() {
      this.bar.classList.toggle("two", this.windows.length > 1);
      for (const [number, lane] of this.lanes.entries()) {
        const window = this.windows[number];
        lane.hidden = !window;
        if (!window) continue;
        const place = {...window, recovery: this.knobs.recovery};
        drawLine(lane, this.last, place, ["clear", this.label(window), "clear"]);
        const key = this.key(window);
        if (lane.pictured === key) continue;
        lane.pictured = key;
        this.drawLifeStrips(lane, window);
      }
    }

    // Ten test images along a lane, as the network sees them in each part of its life.
    drawLifeStrips(lane, window) {
      const ten = [...Array(10).keys()];
      const epochs = ten.map((i) => window.onset + (i / 10) * window.length);
      const clear = this.tools.image(this.digits.test.images, 0, 10);
      const strip = (images) => this.paintImages(images).toDataURL();
      const [before, during, after] = lane.children;
      drawStrips(before, [strip(clear)]);
      drawStrips(during, [strip(this.see(window, ten, epochs))]);
      drawStrips(after, [strip(clear)]);
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

    drawFigure(harms) {
      const {last, training, windows} = this;
      const plot = new Plot(this.large, last);
      const current = windows.map((window) => this.key(window));
      const pale = [...this.trained].filter(([key]) => !current.includes(key));
      this.clear.hidden = !pale.length;
      for (const [, place] of pale) this.drawPale(plot, place);
      const drawn = [];
      for (const [number, window] of windows.entries()) {
        if (windows.length < 2) plot.shade(window.onset, window.onset + window.length, "window w0");
        const pairs = this.pairsOf(window);
        if (!pairs.length) continue;
        const means = drawWindow(plot, pairs, window, number, 1);
        drawn.push({number, means, window, harm: harms[number]});
      }
      let before = null; // where the other harm stands
      for (const {number, means, window, harm} of drawn) {
        nameTwin(plot, means.control, window, number);
        const name = windows.length > 1 ? this.nameOf(number, true) : "";
        const grows = training?.places.some((place) => place.window === window);
        if (harm.n && !grows) before = drawHarm(plot, means, {...harm, name, number}, before);
        else if (means.spoilt.length)
          plot.text(...means.spoilt.at(-1), name || "deprived", `name w${number}`, 8, 14);
      }
      if (!this.trained.size) plot.text(last / 2, 50, "They will grow up here", "harm middle");
      plot.end(`Test images right, by epoch. ${this.head.textContent}`);
    }

    // What was trained before, at another point.
    drawPale(plot, place) {
      const line = meanLine([...place.pairs.values()].map(({spoilt}) => spoilt.tests));
      if (line.length < 2) return;
      plot.path(line, "pale");
      const {onset} = place.window;
      const when = onset ? `after ${onset}` : "from birth";
      const {n, words} = this.harmAt(place);
      const isSame = place.window.kind === this.windows[0].kind;
      const who = isSame ? when : `${this.label(place.window)} ${when}`;
      const said = `${who}${n ? `: ${words}` : ""}`;
      plot.text(...line.at(-1), said, "end faint", 0, 14);
    }

    drawWhy() {
      const why = new Plot(this.why, this.last);
      const ends = [];
      for (const [number, window] of this.windows.entries()) {
        const end = window.onset + window.length;
        if (this.windows.length < 2) why.shade(window.onset, end, "window w0");
        const {spoilt} = drawWindow(why, this.pairsOf(window), window, number, 2);
        const known = spoilt.find(([age]) => age === end)?.[1];
        if (!(known >= 0)) continue;
        why.text(end, known, `${Math.round(known)} %`, "harm end", -4, 22);
        ends.push(`${Math.round(known)} % at epoch ${end}`);
      }
      why.end(`Own training digits right when clear, by epoch. ${ends.join(", ")}`);
    }

    // What networks see of test images under a window. Arguments: places, of the images; epochs,
    // one for each, for a deficit that changes.
    see({kind}, places, epochs) {
      const {digits, knobs, tools} = this;
      const {own, train, test} = digits;
      if (kind !== own?.kind) {
        const clear = Float32Array.from(places.flatMap((i) => [...tools.image(test.images, i)]));
        return tools.spoil(clear, kind, knobs, tools.generator(0));
      }
      const seen = places.flatMap((i, at) => {
        const stage = tools.stageAt(own, Math.floor(epochs[at]));
        return [...tools.seenImage(own, stage, train.labels.length + i)];
      });
      return Float32Array.from(seen);
    }

    // Images side by side, ink as black that is more or less opaque.
    paintImages(images) {
      const {SIDE} = this.tools;
      const {average, deviation} = this.content.digits;
      const width = images.length / SIDE;
      const ink = new ImageData(width, SIDE); // red, green, blue and opacity of each pixel
      images.forEach((value, at) => {
        const x = SIDE * Math.floor(at / SIDE ** 2) + (at % SIDE);
        const y = Math.floor(at / SIDE) % SIDE;
        ink.data[4 * (width * y + x) + 3] = 255 * (value * deviation + average);
      });
      const canvas = make("canvas", {width, height: SIDE});
      canvas.getContext("2d").putImageData(ink, 0, 0);
      return canvas;
    }

    // The epochs at which a deficit of one's own is drawn: where its window begins and where it ends,
    // unless it never changes.
    epochsDrawn({kind, onset, length}) {
      const {own} = this.digits;
      if (kind !== own?.kind || own.stages.length < 2) return [onset];
      const stages = [onset, onset + length - 1].map((epoch) => this.tools.stageAt(own, epoch));
      return [...new Set(stages)].map(({epoch}) => epoch);
    }

    // Digits, clear and as the network sees them: any before networks have grown up, and then those
    // that only the deprived networks of the first window get wrong.
    drawPictures(harms) {
      const [window, second] = this.windows;
      const n = this.computing ? harms[0].n : 0;
      const drawn = [this.key(window), n, second && this.key(second), harms[1]?.n].join(" ");
      if (this.pictured === drawn) return;
      this.pictured = drawn;
      const {test} = this.digits;
      const complete = this.pairsOf(window).filter(isComplete);
      const others = second ? this.pairsOf(second).filter(isComplete) : [];
      const chosen = n ? onlyDeprivedWrong(test.labels, complete, others) : [...test.labels.keys()];
      const places = chosen.slice(0, this.paint.hidden ? 6 : 3);
      const epochs = this.epochsDrawn(window);
      const seen = epochs.map((epoch) =>
        this.see(window, places, Array(places.length).fill(epoch)),
      );
      const {image} = this.tools;
      const figures = places.map((i, at) => {
        const images = [image(test.images, i), ...seen.map((all) => image(all, at))];
        const pictures = images.map((one) => this.paintImages(one));
        const wrong = n && mostFrequent(wrongAnswers(test.labels, complete, "spoilt", i));
        const textContent = n ? `${test.labels[i]}, taken for ${wrong}` : "";
        return make("figure", {}, ...pictures, make("figcaption", {textContent}));
      });
      this.pictures.classList.toggle("changing", epochs.length > 1);
      this.pictures.replaceChildren(...figures);
      const when = epochs.length > 1 ? ` (as in epochs ${epochs.join(" and ")})` : "";
      const who = others.length ? `those ${this.stateOf(0)}` : "the deprived networks";
      const only = places.length ? `Only ${who} get these wrong` : NONE_WRONG;
      say(this.about, (n ? only : CLEAR_AND_SEEN) + when);
    }

    // What they look for -------------------------------------------------------------------------

    // The first units of the network of a seed under each window, and of its twin, at an epoch.
    drawUnits() {
      const seeds = [...this.placeOf(this.windows[0]).pairs.keys()];
      this.looking.hidden = !seeds.length;
      if (!seeds.length) return say(this.found, UNITS_LATER);
      if (`${seeds}` !== `${Array.from(this.chosen.options, ({value}) => value)}`)
        this.chosen.replaceChildren(...seeds.map((textContent) => make("option", {textContent})));
      const seed = +this.chosen.value;
      const ages = this.placeOf(this.windows[0])
        .pairs.get(seed)
        .spoilt.looks.map(([age]) => age);
      const following = this.moment.value === this.moment.max;
      this.moment.max = Math.max(0, ages.length - 1);
      if (following) this.moment.value = this.moment.max;
      const epoch = ages[this.moment.value] ?? 0;
      say(this.age, `${epoch}`);
      const rows = this.windows.flatMap((window, number) => {
        const pair = this.placeOf(window).pairs.get(seed);
        if (!pair) return [];
        const {onset, length} = window;
        // a twin has no window: it is younger by the part of it that is over
        const twin = epoch <= onset ? epoch : Math.max(onset, epoch - length);
        const name = `network ${seed} ${this.nameOf(number)}`;
        return [
          this.unitsRow(name, `w${number}`, pair.spoilt, epoch),
          this.unitsRow("its twin", "", pair.control, twin),
        ];
      });
      this.units.replaceChildren(...rows);
      const {block} = this.knobs;
      say(this.found, `Detail is what is finer than ${block} × ${block} pixels.`);
    }

    unitsRow(textContent, className, {looks}, age) {
      const look = looks.filter(([at]) => at <= age).at(-1)?.[1];
      const name = make("b", {textContent, className});
      if (!look) return make("div", {}, name, "not born yet");
      const share = `${Math.round(100 * look.detail)} % of what it has learned is detail`;
      return make("div", {}, name, ...this.unitPictures(look), share);
    }

    // Weights as pictures: light where a unit looks for ink, dark where it looks for none.
    unitPictures({units}) {
      const {SIDE, PIXELS} = this.tools;
      const scale = units.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
      return Array.from({length: units.length / PIXELS}, (_, unit) => {
        const canvas = make("canvas", {width: SIDE, height: SIDE, className: "weights"});
        const pen = canvas.getContext("2d");
        for (let at = 0; at < PIXELS; at++) {
          const grey = Math.round(128 + (127 * units[unit * PIXELS + at]) / scale);
          pen.fillStyle = `rgb(${grey} ${grey} ${grey})`;
          pen.fillRect(at % SIDE, Math.floor(at / SIDE), 1, 1);
        }
        return canvas;
      });
    }

    // Ask them -----------------------------------------------------------------------------------

    wipeSheet() {
      this.sheet.getContext("2d").clearRect(0, 0, SHEET, SHEET);
      this.shrunk.getContext("2d").clearRect(0, 0, this.tools.SIDE, this.tools.SIDE);
      this.answers.replaceChildren();
      this.wipe.hidden = true;
      say(this.opinion, "");
    }

    ask() {
      const {SIDE} = this.tools;
      const digit = drawnDigit(this.sheet, SIDE);
      if (!digit) return;
      const pen = this.shrunk.getContext("2d");
      pen.clearRect(0, 0, SIDE, SIDE);
      digit.forEach((ink, at) => {
        pen.fillStyle = `rgb(0 0 0 / ${ink})`;
        pen.fillRect(at % SIDE, Math.floor(at / SIDE), 1, 1);
      });
      this.wipe.hidden = false;
      const groups = this.opinions(digit);
      drawOpinions(this.answers, groups);
      const said = groups.map(({name, chances}) => {
        return `${name}: ${chances.indexOf(Math.max(...chances))}`;
      });
      say(this.opinion, said.length ? `They take it for … ${said.join(", ")}.` : NO_NETWORK);
    }

    // What the networks of each window take a digit for, and their twins: mean chances by class.
    opinions(digit) {
      const {average, deviation} = this.content.digits;
      const image = digit.map((ink) => (ink - average) / deviation);
      const plan = {...this.content.fixed, ...this.knobs};
      const ask = (lives) => {
        const all = lives.map(({network}) =>
          this.tools.chances(this.computing, network, image, plan),
        );
        return all[0].map((_, label) => mean(all.map((chances) => chances[label])));
      };
      const groups = [];
      const twins = [];
      for (const [number, window] of this.windows.entries()) {
        const complete = this.computing ? this.pairsOf(window).filter(isComplete) : [];
        if (!complete.length) continue;
        const name = this.windows.length > 1 ? this.nameOf(number, true) : "the deprived";
        const chances = ask(complete.map(({spoilt}) => spoilt));
        groups.push({name, className: `w${number}`, chances});
        twins.push(...complete.map(({control}) => control));
      }
      if (twins.length) groups.push({name: "their twins", className: "", chances: ask(twins)});
      return groups;
    }
  },
);
