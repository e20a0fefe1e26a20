// Questions, predictions, slides, switches and hand-ins: elements of a page that improve the plain
// HTML within them. questions.py writes that HTML, which does without scripts as well:
//
//   <cplab-question data-key="1a2b3c4d5e6f">                             or cplab-prediction
//     <p>How does it end?</p>
//     <ul data-right="1"><li>behind</li><li>level</li></ul>
//     <details class="cplab-covered"><summary>Choose first, then unfold the answer</summary>
//       <div class="cplab-verdict"><p>It was: level</p>
//         <p class="cplab-feedback" data-answer="0">Then …</p></div>     one for each wrong answer
//       and a picture, a finding, more numbers
//     </details>
//   </cplab-question>
//
//   <cplab-slide data-key="…">                                           or cplab-switch
//     <details open><summary>epoch 1</summary>a picture</details>
//     <details><summary>epoch 4</summary>another one</details>
//   </cplab-slide>
//
//   <cplab-hand-in><p>…</p><p class="cplab-note">…</p><ul data-content="{…}"></ul></cplab-hand-in>
//
// A prediction's list has data-scale, as JSON: {low, high, unit, digits, known: [mean, …], asked:
// [{name, mean, half}, …]}, of which a mean is null where nothing was trained, and half of its
// interval where there is one seed. Its verdict has a paragraph for each of those that are asked.
//
// link.py puts page.js before this file. From it come `make`, which makes an element of the page,
// and `Improved`, the element that calls `begin` once, and `onKey` for each key. Every output
// brings this script; link.py sees to it that a page runs it once.

const TEXT = {
  unanswered: "Covered until you have answered.",
  unmoved: "Covered until you have moved every slider.",
  opensLater: "It will then open by itself.",
  nothingAsked: "Run the cells of the lab first, and then this one again.",
  downloaded: "It is in your downloads folder. If nothing came, copy it.",
  checksForgotten: "run their cells again after a restart",
  copyYourself: "Copy the marked text yourself.",
  lostWithTab: "Answers stay in this tab of the browser, and are lost when you close it.",
};
const NEAR = 0.03; // of the scale: a guess that is off by less is near, however small the interval
const KNOB = 16; // pixels of a slider's knob, in browsers' own sliders
const BARS = 160; // pixels of the window that a notebook's own bars may take
const FRAME_TIME = 700; // milliseconds for which a slide that plays shows a frame

const button = (text, onclick, className = "") =>
  make("button", {type: "button", textContent: text, onclick, className});

// What elements remember, by their data-key. The browser's tab keeps it over a reload, if it may.
const memory = {};
const storage = {
  read(key) {
    try {
      return JSON.parse(sessionStorage.getItem(`cplab-${key}`)) ?? memory[key];
    } catch {
      return memory[key];
    }
  },
  write(key, value) {
    memory[key] = value;
    try {
      sessionStorage.setItem(`cplab-${key}`, JSON.stringify(value));
    } catch {
      /* memory has it */
    }
    dispatchEvent(new CustomEvent("cplab-answered"));
  },
};

// Questions and predictions -----------------------------------------------------------------------

// What both have in common: controls in place of the list, Reveal, and the covered part that opens.
// `state` is remembered: {answer, first, open}, of which `first` is the answer with which the
// student pressed Reveal for the first time, and is handed in. A subclass has
//
//   furnish(list)     puts its controls, made from the list, into `this.controls`; they call `answer`
//   missing()         a sentence on what is still to be answered, or ""
//   remark(index)     what stands behind a paragraph of the verdict, once it is open
//   update()          to which it may add: it is called after every change
class Exercise extends Improved {
  begin() {
    this.classList.add("cplab-ready");
    this.state = storage.read(this.dataset.key) ?? {};
    this.wantsReveal = false; // whether Reveal was pressed before all was answered
    this.covered = this.querySelector("details.cplab-covered");
    this.covered.open = true; // from now on it is hidden instead
    this.verdict = this.querySelector(".cplab-verdict");
    Object.assign(this.verdict, {tabIndex: -1, ariaLive: "polite"});
    const paragraphs = [...this.verdict.querySelectorAll("p:not(.cplab-feedback)")];
    this.remarks = paragraphs.map((paragraph) => paragraph.appendChild(make("span")));

    const list = this.querySelector("ul");
    this.controls = make("div", {className: "cplab-controls"});
    this.furnish(list);
    list.replaceWith(this.controls);

    this.reveal = button("Reveal", () => this.open(), "cplab-main");
    this.again = button("answer again", () => this.close(), "cplab-again");
    this.status = make("span", {ariaLive: "polite"});
    this.covered.before(
      make("div", {className: "cplab-row"}, this.reveal, this.again, this.status),
    );
    this.update();
    this.skipOutput();
  }

  // In JupyterLab Tab also stops at the output around an element, which is one stop too many.
  skipOutput() {
    const output = this.closest(".jp-OutputArea-output[tabindex], .jp-OutputArea-child[tabindex]");
    output?.removeAttribute("tabindex");
  }

  onKey(event) {
    super.onKey(event);
    if (event.repeat) return; // a key that is held
    const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
    if (event.key === "Enter" && plain && event.target.tagName === "INPUT") this.open();
  }

  remember(change) {
    Object.assign(this.state, change);
    storage.write(this.dataset.key, this.state);
  }

  // Take an answer: a place in the list, or of a prediction {place: guess}.
  answer(answer) {
    this.remember({answer});
    if (this.wantsReveal && !this.missing()) this.open();
    else this.update();
  }

  open() {
    this.wantsReveal = true;
    if (this.missing()) {
      this.update();
      return;
    }
    this.remember({open: true, first: this.state.first ?? this.state.answer});
    this.update();
    this.verdict.focus({preventScroll: true}); // so that the notebook hears the next key
    this.scrollIntoSight();
  }

  close() {
    this.wantsReveal = false;
    this.remember({open: false});
    this.update();
    this.controls.querySelector("input").focus();
  }

  update() {
    const isOpen = Boolean(this.state.open);
    const missing = this.missing();
    this.covered.style.display = isOpen ? "" : "none";
    this.classList.toggle("cplab-open", isOpen);
    this.reveal.hidden = isOpen;
    this.reveal.tabIndex = missing ? -1 : 0; // so that Tab leads to what is to be answered
    this.again.hidden = !isOpen;
    this.status.textContent = isOpen ? "" : missing;
    if (this.wantsReveal && missing) this.status.textContent += ` ${TEXT.opensLater}`;
    for (const input of this.controls.querySelectorAll("input")) input.disabled = isOpen;
    for (const [index, span] of this.remarks.entries())
      span.textContent = isOpen ? this.remark(index) : "";
    this.dispatchEvent(new CustomEvent("cplab-update"));
  }

  // Bring the question and its picture onto one screen, once the picture has its size.
  async scrollIntoSight() {
    const pictures = [...this.covered.querySelectorAll("img")];
    await Promise.allSettled(pictures.map((picture) => picture.decode?.()));
    const fits = this.offsetHeight < innerHeight - BARS;
    this.scrollIntoView({block: fits ? "nearest" : "start"});
  }
}

// A question with radio buttons. Its answer is a place in the list.
class Question extends Exercise {
  furnish(list) {
    const name = `cplab${Math.random()}`; // joins the buttons
    this.right = list.dataset.right && +list.dataset.right; // undefined where nothing decides
    this.texts = [...list.children].map((item) => item.textContent);
    this.controls.role = "radiogroup";
    this.controls.ariaLabel = this.querySelector(":scope > p").textContent;
    for (const [place, textContent] of this.texts.entries()) {
      const radio = make("input", {type: "radio", name, checked: this.state.answer === place});
      radio.onchange = () => this.answer(place);
      this.controls.append(make("label", {}, radio, make("span", {textContent})));
    }
  }

  missing() {
    return this.state.answer === undefined ? TEXT.unanswered : "";
  }

  // Show what would have to be true for the wrong answer that was chosen, and for no other.
  update() {
    super.update();
    for (const feedback of this.verdict.querySelectorAll(".cplab-feedback"))
      feedback.hidden = +feedback.dataset.answer !== this.state.answer;
  }

  // The verdict has one paragraph: "It was: level", or an empty one where nothing decides.
  remark() {
    const said = `You said: ${this.texts[this.state.answer]}.`;
    if (this.right === undefined) return said;
    return this.right === this.state.answer ? " ✓" : `. ${said}`;
  }
}

// A prediction with a slider for each number that is asked. Its answer is {place: guess}.
class Prediction extends Exercise {
  furnish(list) {
    this.scale = JSON.parse(list.dataset.scale);
    this.state.answer ??= {};
    this.controls.classList.add("cplab-guess");
    this.tracks = this.scale.asked.map(({name}, place) => {
      const id = `cplab${Math.random()}`; // joins the name, the slider and the number beside it
      const track = make("span", {className: "cplab-track"});
      const output = make("output", {htmlFor: id});
      for (const mean of this.scale.known)
        if (mean !== null) track.append(this.mark("cplab-known", mean));
      track.append(this.slider(id, place, output));
      this.controls.append(make("label", {htmlFor: id, textContent: name}), track, output);
      return track;
    });
  }

  // The slider of a guess, which is written into an output as it moves.
  slider(id, place, output) {
    const {low, high} = this.scale;
    const guess = this.state.answer[place];
    const value = guess ?? (low + high) / 2;
    const step = (high - low) / 200;
    const slider = make("input", {type: "range", id, min: low, max: high, step, value});
    const write = () => (output.textContent = this.inUnits(+slider.value));
    output.textContent = guess === undefined ? "–" : this.inUnits(guess);
    slider.oninput = write;
    // One that is only pressed, and stays where it was, is answered as well, without a change.
    slider.onchange =
      slider.onpointerup =
      slider.onkeyup =
        ({key}) => {
          if (key === "Tab" || slider.disabled) return;
          write();
          this.answer({...this.state.answer, [place]: +slider.value});
        };
    return slider;
  }

  inUnits(value) {
    return `${value.toFixed(this.scale.digits)} ${this.scale.unit}`;
  }

  // A mark on a track, at a value or over a range: where the knob's middle stands at this value.
  mark(className, from, to = from) {
    const {low, high} = this.scale;
    const fraction = (value) => Math.min(1, Math.max(0, (value - low) / (high - low)));
    const mark = make("i", {className, ariaHidden: true});
    mark.style.left = `calc(${KNOB / 2}px + (100% - ${KNOB}px) * ${fraction(from)})`;
    if (to !== from)
      mark.style.width = `calc((100% - ${KNOB}px) * ${fraction(to) - fraction(from)})`;
    return mark;
  }

  missing() {
    const all = this.scale.asked.every((_, place) => place in this.state.answer);
    return all ? "" : TEXT.unmoved;
  }

  // Mark what was measured, where it is known and open.
  update() {
    super.update();
    for (const [place, track] of this.tracks.entries()) {
      const {mean, half} = this.scale.asked[place];
      for (const mark of track.querySelectorAll(".cplab-truth, .cplab-band")) mark.remove();
      if (!this.state.open || mean === null) continue;
      track.append(this.mark("cplab-truth", mean));
      if (half) track.append(this.mark("cplab-band", mean - half, mean + half));
    }
  }

  remark(place) {
    const {low, high, digits, asked} = this.scale;
    const {mean, half} = asked[place];
    const guess = this.state.answer[place];
    const said = `, you ${this.inUnits(guess)}`;
    if (mean === null) return said;
    const error = Math.abs(guess - mean);
    if (error <= Math.max(half, NEAR * (high - low))) return `${said}: near ✓`;
    return `${said}: ${error.toFixed(digits)} too ${guess < mean ? "low" : "high"}`;
  }
}

// Hand-ins ----------------------------------------------------------------------------------------

// What was answered in a notebook, as one line of text. cplab/output/answers.py has the type of the line:
// Python writes it, with all that was asked, by data-key. The page keeps what was answered, adds the
// first answer of each, when it was, the tab, and a name if one is typed.
class HandIn extends Improved {
  begin() {
    const list = this.querySelector("ul");
    this.content = JSON.parse(list.dataset.content);
    this.tab = storage.read("tab") ?? Math.random().toString(36).slice(2);
    storage.write("tab", this.tab);
    this.name = make("input", {type: "text", autocomplete: "off"});
    this.name.oninput = () => this.update();
    this.line = make("textarea", {readOnly: true, rows: 3, ariaLabel: "what is handed in"});
    const summary = make("summary", {textContent: "What is handed in"});
    this.fold = make("details", {}, summary, this.line);
    this.status = make("span", {ariaLive: "polite"});
    const copy = button("Copy", () => this.copy(), "cplab-main");
    const save = button("Download", () => this.save());

    const label = make("label", {textContent: "Name, if you are asked for one: "}, this.name);
    const row = make("div", {className: "cplab-row"}, copy, save, this.status);
    const advice = make("p", {textContent: TEXT.lostWithTab});
    const box = make("div", {className: "cplab-handed"}, label, row, advice, this.fold);
    this.querySelector(".cplab-note").replaceWith(box);
    list.remove();
    addEventListener("cplab-answered", () => this.isConnected && this.update());
    this.update();
  }

  update() {
    const {asked, passed} = this.content;
    const collected = this.collect();
    this.line.value = JSON.stringify(collected);
    if (!Object.keys(asked).length) {
      this.status.textContent = TEXT.nothingAsked;
      return;
    }
    const answered = Object.values(collected.asked);
    const guesses = answered.flatMap(({of = []}) => of);
    const answers = answered.filter((question) => question.answers);
    const count = ({length}, one, several) => `${length} ${length === 1 ? one : several}`;
    const counts = [
      count(answers, "answer", "answers"),
      count(guesses, "guess", "guesses"),
      count(passed, "check", "checks"),
    ];
    const advice = passed.length ? "" : ` (${TEXT.checksForgotten})`;
    this.status.textContent = `${counts.join(", ")} passed${advice}.`;
  }

  // What is handed in: of each question what was answered first, before the answer was seen.
  collect() {
    const asked = {};
    for (const [key, question] of Object.entries(this.content.asked)) {
      const {first} = storage.read(key) ?? {};
      if (first !== undefined) asked[key] = {...question, first};
    }
    const name = this.name.value.trim();
    return {...this.content, asked, name, at: new Date().toISOString(), tab: this.tab};
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.line.value);
      this.status.textContent = "Copied.";
    } catch {
      this.fold.open = true;
      this.line.select();
      const isCopied = document.execCommand("copy");
      this.status.textContent = isCopied ? "Copied." : TEXT.copyYourself;
    }
  }

  save() {
    const file = new Blob([`${this.line.value}\n`], {type: "application/json"});
    const name = this.name.value.trim().replace(/[^\p{L}\p{N}]+/gu, "-") || "answers";
    const link = make("a", {
      href: URL.createObjectURL(file),
      download: `lab${this.content.lab}-${name}.json`,
    });
    link.click();
    URL.revokeObjectURL(link.href);
    this.status.textContent = TEXT.downloaded;
  }
}

// Slides and switches -----------------------------------------------------------------------------

// Several frames, of which one is shown; its place is remembered. A subclass has furnish(), which
// puts what chooses a frame into `this.row`, and adds to show(place), which shows one.
class Frames extends Improved {
  begin() {
    this.classList.add("cplab-ready");
    const folds = [...this.children].filter((child) => child.tagName === "DETAILS");
    const opened = folds.findIndex((fold) => fold.open);
    this.names = folds.map((fold) => fold.querySelector("summary").textContent);
    this.frames = folds.map(() => make("div"));
    for (const [place, fold] of folds.entries()) {
      fold.querySelector("summary").remove();
      this.frames[place].append(...fold.childNodes);
      fold.remove();
    }
    this.last = this.frames.length - 1;
    this.row = make("div", {className: "cplab-row"});
    this.append(this.row, make("div", {className: "cplab-frames"}, ...this.frames));
    this.furnish();
    const {place = opened} = storage.read(this.dataset.key) ?? {};
    this.show(Math.min(place, this.last));
  }

  show(place) {
    this.place = place;
    for (const [i, frame] of this.frames.entries())
      frame.classList.toggle("cplab-now", i === place);
    storage.write(this.dataset.key, {place});
  }
}

class Switch extends Frames {
  furnish() {
    this.row.role = "group";
    this.row.append(...this.names.map((name, place) => button(name, () => this.show(place))));
  }

  show(place) {
    super.show(place);
    for (const [i, option] of [...this.row.children].entries())
      option.ariaPressed = `${i === place}`;
  }
}

class Slide extends Frames {
  furnish() {
    const {last} = this;
    this.bar = make("input", {type: "range", min: 0, max: last, step: 1, ariaLabel: "frame"});
    this.bar.oninput = () => this.show(+this.bar.value);
    this.words = make("b");
    this.player = button("", () => (this.isPlaying ? this.stop() : this.play()));
    this.row.append(this.player, this.bar, this.words);
    this.stop();
  }

  show(place) {
    super.show(place);
    this.bar.value = place;
    this.words.textContent = this.bar.ariaValueText = this.names[place];
  }

  // Play from where it stands, or from the beginning if that is the end.
  play() {
    this.isPlaying = true;
    if (this.place === this.last) this.show(0);
    this.timer = setInterval(() => {
      if (this.isConnected && this.place < this.last) this.show(this.place + 1);
      else this.stop();
    }, FRAME_TIME);
    Object.assign(this.player, {textContent: "■", ariaLabel: "stop"});
  }

  stop() {
    this.isPlaying = false;
    clearInterval(this.timer);
    Object.assign(this.player, {textContent: "▶", ariaLabel: "play"});
  }
}

customElements.define("cplab-question", Question);
customElements.define("cplab-prediction", Prediction);
customElements.define("cplab-slide", Slide);
customElements.define("cplab-switch", Switch);
customElements.define("cplab-hand-in", HandIn);
