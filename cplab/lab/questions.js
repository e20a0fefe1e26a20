// Questions, predictions, slides and switches: elements that improve the plain HTML within them,
// which cplab/lab/questions.py writes. Every output brings this file, after page.js; the first one
// on a page acts.

// What is said on the page
const CHOOSE = "Covered until you have answered.";
const MOVE = "Covered until you have moved every slider.";
const NOTHING_ASKED = "Run the cells of the lab first, and then this one again.";
const DOWNLOADED = "It is in your downloads folder. If nothing came, copy it.";
const COPY_YOURSELF = "Copy the marked text yourself.";
const CLOSING = "Answers stay in this tab of the browser, and are lost when you close it.";

const button = (text, onclick, className = "") =>
  make("button", {type: "button", textContent: text, onclick, className});

// What was answered, by the digest of the question. The browser's tab keeps it, if it may.
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

// An element that keeps a state.
class Kept extends Improved {
  begin() {
    this.classList.add("cplab-ready");
    this.state = storage.read(this.dataset.key) ?? {};
    this.improve();
  }

  keep(change) {
    Object.assign(this.state, change);
    storage.write(this.dataset.key, this.state);
  }
}

// A question or a prediction: controls, Reveal, and what was covered.
class Asking extends Kept {
  improve() {
    // In a notebook Tab also stops at the output around it, which is one stop too many.
    this.closest(
      ".jp-OutputArea-output[tabindex], .jp-OutputArea-child[tabindex]",
    )?.removeAttribute("tabindex");
    this.list = this.querySelector("ul");
    this.covered = this.querySelector("details.cplab-covered");
    this.verdict = Object.assign(this.querySelector(".cplab-verdict"), {
      tabIndex: -1,
      ariaLive: "polite",
    });
    const lines = [...this.verdict.querySelectorAll("p:not(.cplab-feedback)")];
    this.notes = lines.map((line) => line.appendChild(make("span")));
    this.note = make("span", {ariaLive: "polite"});
    this.reveal = button("Reveal", () => this.open(), "cplab-main");
    this.again = button("answer again", () => this.close(), "cplab-again");
    this.row = make("div", {className: "cplab-row"}, this.reveal, this.again, this.note);
    this.controls = make("div", {className: "cplab-controls"});
    this.build();
    this.list.replaceWith(this.controls);
    this.covered.before(this.row);
    this.update();
  }

  onKey(event) {
    super.onKey(event);
    if (event.repeat) return; // a key that is held
    const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
    if (event.key === "Enter" && plain && event.target.tagName === "INPUT") this.open();
  }

  answered(change) {
    this.keep(change);
    if (this.asked && !this.missing()) this.open();
    else this.update();
  }

  open() {
    this.asked = true;
    if (this.missing()) return this.update();
    this.keep({open: true, first: this.state.first ?? this.given()});
    this.update();
    this.verdict.focus({preventScroll: true}); // so that the notebook hears the next key
    this.look();
  }

  close() {
    this.asked = false;
    this.keep({open: false});
    this.update();
    this.controls.querySelector("input").focus();
  }

  update() {
    const {open} = this.state;
    const missing = this.missing();
    this.covered.open = Boolean(open);
    this.covered.style.display = open ? "" : "none";
    this.reveal.hidden = open;
    this.reveal.tabIndex = missing ? -1 : 0; // so that Tab leads to what is to be answered
    this.again.hidden = !open;
    let note = open ? "" : missing;
    if (note && this.asked) note += " It will then open by itself.";
    this.note.textContent = note;
    for (const input of this.controls.querySelectorAll("input")) input.disabled = Boolean(open);
    this.notes.forEach((note, place) => (note.textContent = open ? this.judge(place) : ""));
  }

  // Bring the question and its picture onto one screen.
  async look() {
    await Promise.allSettled(
      [...this.covered.querySelectorAll("img")].map((picture) => picture.decode?.()),
    );
    this.scrollIntoView({block: this.offsetHeight < innerHeight - 160 ? "nearest" : "start"});
  }
}

class Question extends Asking {
  build() {
    const name = `cplab${Math.random()}`;
    this.answers = [...this.list.children].map((item) => item.textContent);
    this.controls.role = "radiogroup";
    this.controls.ariaLabel = this.querySelector("p").textContent;
    this.answers.forEach((text, value) => {
      const radio = make("input", {type: "radio", name, checked: this.state.answer === value});
      radio.onchange = () => this.answered({answer: value});
      this.controls.append(make("label", {}, radio, make("span", {textContent: text})));
    });
  }

  missing() {
    return this.state.answer === undefined ? CHOOSE : "";
  }

  // Show what would have to be true for the wrong answer that was chosen, and for no other.
  update() {
    super.update();
    for (const words of this.verdict.querySelectorAll(".cplab-feedback"))
      words.hidden = +words.dataset.answer !== this.state.answer;
  }

  given() {
    return this.state.answer;
  }

  judge() {
    const {right} = this.list.dataset;
    const {answer} = this.state;
    if (+right === answer) return " ✓";
    return `${right ? ". " : ""}You said: ${this.answers[answer]}.`;
  }
}

class Prediction extends Asking {
  build() {
    this.scale = JSON.parse(this.list.dataset.scale);
    this.state.guesses ??= {};
    this.controls.classList.add("cplab-guess");
    this.rows = [...this.list.children].map((item, place) => this.slider(item, place));
  }

  // Make the slider of what is guessed in a list's item; returns its track, and what was measured.
  slider({textContent: name, dataset: {mean, half}}, place) {
    const {low, high, known} = this.scale;
    const id = `cplab${Math.random()}`;
    const guess = this.state.guesses[place];
    const bar = make("input", {
      type: "range",
      id,
      min: low,
      max: high,
      step: (high - low) / 200,
      value: guess ?? (low + high) / 2,
    });
    const track = make("span", {className: "cplab-track"}, bar);
    const said = make("output", {htmlFor: id});
    const show = () => (said.textContent = this.write(+bar.value));
    said.textContent = guess === undefined ? "–" : this.write(guess);
    for (const value of known) if (value !== null) track.prepend(this.mark("", value));
    bar.oninput = show;
    const answer = ({key}) => {
      if (key === "Tab" || bar.disabled) return;
      show();
      this.answered({guesses: {...this.state.guesses, [place]: +bar.value}});
    };
    for (const moved of ["onchange", "onpointerup", "onkeyup"]) bar[moved] = answer;
    this.controls.append(make("label", {htmlFor: id, textContent: name}), track, said);
    return {track, mean: mean === "None" ? NaN : +mean, half: half === "None" ? 0 : +half};
  }

  write(value) {
    return `${value.toFixed(this.scale.digits)} ${this.scale.unit}`;
  }

  // A mark on a slider's track, at a value or over a range. The slider's knob is 16 pixels wide.
  mark(className, from, to = from) {
    const {low, high} = this.scale;
    const at = (value) => Math.min(1, Math.max(0, (value - low) / (high - low)));
    const place = (share) => `calc(8px + (100% - 16px) * ${share})`;
    const mark = make("i", {className, ariaHidden: true});
    mark.style.left = place(at(from));
    if (to !== from) mark.style.width = `calc((100% - 16px) * ${at(to) - at(from)})`;
    return mark;
  }

  missing() {
    const all = this.rows.every((_, place) => place in this.state.guesses);
    return all ? "" : MOVE;
  }

  update() {
    super.update();
    for (const {track, mean, half} of this.rows) {
      track.querySelectorAll(".cplab-truth, .cplab-band").forEach((mark) => mark.remove());
      if (!this.state.open || Number.isNaN(mean)) continue;
      track.append(this.mark("cplab-truth", mean));
      if (half) track.append(this.mark("cplab-band", mean - half, mean + half));
    }
  }

  given() {
    return this.state.guesses;
  }

  judge(place) {
    const {low, high, digits} = this.scale;
    const {mean, half} = this.rows[place];
    const guess = this.state.guesses[place];
    const said = `, you ${this.write(guess)}`;
    if (Number.isNaN(mean)) return said;
    const error = guess - mean;
    if (Math.abs(error) <= Math.max(half, 0.03 * (high - low))) return `${said}: near ✓`;
    const side = error < 0 ? "low" : "high";
    return `${said}: ${Math.abs(error).toFixed(digits)} too ${side}`;
  }
}

// What was answered in a notebook, as one line of text, with a name if one is typed.
class HandIn extends Improved {
  begin() {
    this.content = JSON.parse(this.querySelector("ul").dataset.content);
    this.name = make("input", {type: "text", autocomplete: "off"});
    this.name.oninput = () => this.update();
    this.line = make("textarea", {readOnly: true, rows: 3, ariaLabel: "what is handed in"});
    const summary = make("summary", {textContent: "What is handed in"});
    this.fold = make("details", {}, summary, this.line);
    this.said = make("span", {ariaLive: "polite"});
    const copy = button("Copy", () => this.copy(), "cplab-main");
    const save = button("Download", () => this.save());
    const label = make("label", {textContent: "Name, if you are asked for one: "}, this.name);
    const row = make("div", {className: "cplab-row"}, copy, save, this.said);
    this.querySelector(".cplab-note").replaceWith(
      make(
        "div",
        {className: "cplab-handed"},
        label,
        row,
        make("p", {textContent: CLOSING}),
        this.fold,
      ),
    );
    this.querySelector("ul").remove();
    addEventListener("cplab-answered", () => this.isConnected && this.update());
    this.update();
  }

  update() {
    const collected = this.collect();
    this.line.value = JSON.stringify(collected);
    if (!Object.keys(this.content.asked).length) {
      this.said.textContent = NOTHING_ASKED;
      return;
    }
    const count = (list, one, several) => `${list.length} ${list.length === 1 ? one : several}`;
    const counts = [
      count(collected.answers, "answer", "answers"),
      count(collected.guesses, "guess", "guesses"),
      count(collected.passed, "check", "checks"),
    ];
    this.said.textContent = `${counts.join(", ")} passed.`;
  }

  // What was answered first, before the answer was seen.
  collect() {
    const {cplab, lab, asked, passed} = this.content;
    const answers = [];
    const guesses = [];
    for (const [key, question] of Object.entries(asked)) {
      const {first} = storage.read(key) ?? {};
      if (first === undefined) continue;
      if (question.answers) {
        const said = question.answers[first];
        answers.push({asked: question.asked, said, right: question.right});
        continue;
      }
      question.of.forEach((name, place) => {
        const [measured, half] = question.measured[place];
        guesses.push({
          asked: question.asked,
          of: name,
          said: first[place],
          measured,
          half,
          unit: question.unit,
        });
      });
    }
    const name = this.name.value.trim();
    return {cplab, lab, ...(name ? {name} : {}), answers, guesses, passed};
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.line.value);
      this.said.textContent = "Copied.";
    } catch {
      this.fold.open = true;
      this.line.select();
      this.said.textContent = document.execCommand("copy") ? "Copied." : COPY_YOURSELF;
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
    this.said.textContent = DOWNLOADED;
  }
}

// Several frames, of which one is shown.
class Framed extends Kept {
  improve() {
    this.names = [];
    this.frames = [...this.children]
      .filter((fold) => fold.tagName === "DETAILS")
      .map((fold) => {
        const frame = make("div", {className: fold.open ? "cplab-now" : ""});
        this.names.push(fold.querySelector("summary").textContent);
        fold.querySelector("summary").remove();
        frame.append(...fold.childNodes);
        fold.remove();
        return frame;
      });
    const first = this.frames.findIndex((frame) => frame.className);
    this.row = make("div", {className: "cplab-row"});
    this.append(this.row, make("div", {className: "cplab-frames"}, ...this.frames));
    this.build();
    this.show(Math.min(this.state.place ?? first, this.frames.length - 1));
  }

  show(place) {
    this.place = place;
    this.frames.forEach((frame, i) => frame.classList.toggle("cplab-now", i === place));
    this.keep({place});
  }
}

class Switch extends Framed {
  build() {
    this.row.role = "group";
    this.row.append(...this.names.map((name, place) => button(name, () => this.show(place))));
  }

  show(place) {
    super.show(place);
    [...this.row.children].forEach((option, i) => (option.ariaPressed = `${i === place}`));
  }
}

class Slide extends Framed {
  build() {
    const max = this.frames.length - 1;
    this.bar = make("input", {type: "range", min: 0, max, step: 1, ariaLabel: "frame"});
    this.bar.oninput = () => this.show(+this.bar.value);
    this.words = make("b");
    this.play = button("▶", () => this.toggle());
    this.play.ariaLabel = "play";
    this.row.append(this.play, this.bar, this.words);
  }

  show(place) {
    super.show(place);
    this.bar.value = place;
    this.words.textContent = this.bar.ariaValueText = this.names[place];
  }

  toggle() {
    const last = this.frames.length - 1;
    const playing = this.timer !== undefined;
    this.timer = clearInterval(this.timer);
    if (!playing) {
      if (this.place === last) this.show(0); // start again from the beginning
      this.timer = setInterval(() => {
        if (this.isConnected && this.place < last) this.show(this.place + 1);
        else this.toggle();
      }, 700);
    }
    this.play.textContent = playing ? "▶" : "■";
    this.play.ariaLabel = playing ? "play" : "stop";
  }
}

const kinds = {
  question: Question,
  prediction: Prediction,
  slide: Slide,
  switch: Switch,
  "hand-in": HandIn,
};
for (const [name, kind] of Object.entries(kinds)) customElements.define(`cplab-${name}`, kind);
