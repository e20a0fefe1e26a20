// Questions, predictions, slides and switches: elements that improve the plain HTML within them,
// which cplab/lab/questions.py writes. Every output brings it, after page.js; the first one of a
// page acts.

const button = (text, onclick, className = "") =>
  make("button", {type: "button", textContent: text, onclick, className});

// What was answered, by the digest of the question: in the browser's tab, where it allows that.
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
    // In a notebook the output around it is a stop of Tab of its own: one too many.
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
    const {open} = this.state,
      missing = this.missing();
    this.covered.open = Boolean(open);
    this.covered.style.display = open ? "" : "none";
    this.reveal.hidden = open;
    this.reveal.tabIndex = missing ? -1 : 0; // so that Tab leads to what is to be answered
    this.again.hidden = !open;
    this.note.textContent = open
      ? ""
      : missing && this.asked
        ? `${missing} It opens by itself then.`
        : missing;
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
    return this.state.answer === undefined ? "Covered until you have answered." : "";
  }

  // Of wrong answers, what would have to be true: of the chosen one alone.
  update() {
    super.update();
    for (const words of this.verdict.querySelectorAll(".cplab-feedback"))
      words.hidden = +words.dataset.answer !== this.state.answer;
  }

  given() {
    return this.state.answer;
  }

  judge() {
    const {right} = this.list.dataset,
      {answer} = this.state;
    return +right === answer ? " ✓" : `${right ? ". " : ""}You said: ${this.answers[answer]}.`;
  }
}

class Prediction extends Asking {
  build() {
    this.scale = JSON.parse(this.list.dataset.scale);
    this.state.guesses ??= {};
    this.controls.classList.add("cplab-guess");
    this.rows = [...this.list.children].map((item, place) => this.slider(item, place));
  }

  slider({textContent: name, dataset: {mean, half}}, place) {
    const {low, high, digits, known} = this.scale,
      id = `cplab${Math.random()}`,
      guess = this.state.guesses[place];
    const bar = make("input", {
      type: "range",
      id,
      min: low,
      max: high,
      step: (high - low) / 200,
      value: guess ?? (low + high) / 2,
    });
    const track = make("span", {className: "cplab-track"}, bar),
      said = make("output", {htmlFor: id});
    const row = {track, mean: mean === "None" ? NaN : +mean, half: half === "None" ? 0 : +half};
    const show = () => (said.textContent = this.write(+bar.value));
    said.textContent = guess === undefined ? "–" : this.write(guess);
    for (const value of known) if (value !== null) track.prepend(this.mark("", value));
    bar.oninput = show;
    bar.onchange =
      bar.onpointerup =
      bar.onkeyup =
        ({key}) => {
          if (key === "Tab" || bar.disabled) return;
          show();
          this.answered({guesses: {...this.state.guesses, [place]: +bar.value}});
        };
    this.controls.append(make("label", {htmlFor: id, textContent: name}), track, said);
    return row;
  }

  write(value) {
    return `${value.toFixed(this.scale.digits)} ${this.scale.unit}`;
  }

  mark(className, from, to = from) {
    // a slider's knob is 16 pixels wide
    const {low, high} = this.scale,
      at = (value) => Math.min(1, Math.max(0, (value - low) / (high - low)));
    const place = (share) => `calc(8px + (100% - 16px) * ${share})`,
      mark = make("i", {className, ariaHidden: true});
    mark.style.left = place(at(from));
    if (to !== from) mark.style.width = `calc((100% - 16px) * ${at(to) - at(from)})`;
    return mark;
  }

  missing() {
    const all = this.rows.every((_, place) => place in this.state.guesses);
    return all ? "" : "Covered until you have moved every slider.";
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
    const {low, high, digits} = this.scale,
      {mean, half} = this.rows[place];
    const guess = this.state.guesses[place],
      off = guess - mean,
      near = Math.max(half, 0.03 * (high - low));
    const how =
      Math.abs(off) <= near
        ? "near ✓"
        : `${Math.abs(off).toFixed(digits)} too ${off < 0 ? "low" : "high"}`;
    return `, you ${this.write(guess)}${Number.isNaN(mean) ? "" : `: ${how}`}`;
  }
}

// What was answered in a notebook, as one line of text: with a name where one is typed.
class HandIn extends Improved {
  begin() {
    this.content = JSON.parse(this.querySelector("ul").dataset.content);
    this.name = make("input", {type: "text", autocomplete: "off"});
    this.name.oninput = () => this.update();
    this.line = make("textarea", {readOnly: true, rows: 3, ariaLabel: "what is handed in"});
    this.said = make("span", {ariaLive: "polite"});
    const copy = button("Copy", () => this.copy(), "cplab-main"),
      save = button("Download", () => this.save());
    const label = make("label", {textContent: "Name, if you are asked for one: "}, this.name);
    const row = make("div", {className: "cplab-row"}, copy, save, this.said);
    this.querySelector(".cplab-note").replaceWith(
      make("div", {className: "cplab-handed"}, label, this.line, row),
    );
    this.querySelector("ul").remove();
    addEventListener("cplab-answered", () => this.isConnected && this.update());
    this.update();
  }

  update() {
    const collected = this.collect(),
      {answers, guesses, passed} = collected;
    this.line.value = JSON.stringify(collected);
    const count = (list, word, more) => `${list.length} ${list.length === 1 ? word : word + more}`;
    this.said.textContent = Object.keys(this.content.asked).length
      ? `${count(answers, "answer", "s")}, ${count(guesses, "guess", "es")}, ${count(passed, "check", "s")} passed.`
      : "Run the cells of the lab first, and then this one again.";
  }

  // What was answered first, before the answer was seen.
  collect() {
    const {cplab, lab, asked, passed} = this.content,
      answers = [],
      guesses = [];
    for (const [key, {asked: text, answers: texts, right, of, measured, unit}] of Object.entries(
      asked,
    )) {
      const state = storage.read(key) ?? {};
      const first = state.first ?? (state.open ? (state.answer ?? state.guesses) : undefined);
      if (first === undefined) continue;
      if (texts) answers.push({asked: text, said: texts[first], right});
      else
        of.forEach((name, place) =>
          guesses.push({
            asked: text,
            of: name,
            said: first[place],
            measured: measured[place][0],
            half: measured[place][1],
            unit,
          }),
        );
    }
    const name = this.name.value.trim();
    return {cplab, lab, ...(name ? {name} : {}), answers, guesses, passed};
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.line.value);
      this.said.textContent = "Copied.";
    } catch {
      this.line.select();
      this.said.textContent = document.execCommand("copy")
        ? "Copied."
        : "Copy the marked text yourself.";
    }
  }

  save() {
    const file = new Blob([`${this.line.value}\n`], {type: "application/json"});
    const link = make("a", {
      href: URL.createObjectURL(file),
      download: `lab${this.content.lab}-answers.json`,
    });
    link.click();
    URL.revokeObjectURL(link.href);
    this.said.textContent = "It is in your folder of downloads.";
  }
}

// Frames, of which one is seen.
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
    const last = this.frames.length - 1,
      playing = this.timer !== undefined;
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
