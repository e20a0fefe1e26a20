"""What a student acts on in the page: questions, predictions, frames under a slider or buttons.

Each is plain HTML that works without scripts: what is covered is a `<details>`, and all frames can
be unfolded. Where scripts run, `questions.js` and `questions.css` beside this file turn it into
radio buttons and sliders. An answer stays in the page, and never reaches Python or the notebook.
"""

import hashlib
import html
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cplab import estimates, quantities
from cplab.base.errors import CplabError, check_dict, quote, whole
from cplab.estimates import Estimate, Lack, lacking_in
from cplab.lab.explorer.explorer import SCRIPT as SCREEN
from cplab.lab.explorer.explorer import Explorer
from cplab.lab.questions.checks import VERDICTS
from cplab.lab.screen.link import WHERE, script
from cplab.lab.screen.numbers import short
from cplab.output import answers as handed
from cplab.output.markup import Bundle, as_html, bundle

SCRIPT = script("cplab-question", "questions/questions")
# What is said of something without results
UNKNOWN = rf"{estimates.NOT_TRAINED}|not compared with|\b(nan|None)\b"
LAB = re.compile(r"\d\d[a-z]?|[^\W\d].*")  # its number, or a name
SOME_NOT_TRAINED = "Not all of these networks are trained yet."


# What this notebook has asked, in order, by the digest that names an answer in the page
ASKED: dict[str, handed.Question | handed.Prediction] = {}


def content_digest(content: object) -> str:
    """The name under which the page keeps what was answered: equal content has an equal one."""
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()[:12]


def element(kind: str, content: object, inner: str) -> str:
    """Write an element that `questions.js` improves, as HTML.

    Arguments:
        kind: question, prediction, slide, switch or hand-in.
        content: what it holds, whose digest names the answer that the page keeps.
        inner: the HTML in it.
    """
    key = content_digest(content)
    inner = re.sub(r"(?<![\w.,])1 (clear )?epochs\b", r"1 \1epoch", inner)  # 1 epochs: 1 epoch
    return f'<cplab-{kind} data-key="{key}">\n{inner}\n</cplab-{kind}>\n<script>{SCRIPT}</script>'


def covered_part(
    summary: str,
    verdict: list[str],
    figure: object,
    finding: str,
    more: object,
    still: str = "",
) -> str:
    """Write the covered part of a question, as HTML.

    If the networks are not trained yet, a sentence says so in place of `finding`.

    Arguments:
        summary: what stands on the fold without scripts.
        verdict: paragraphs of HTML.
        figure, finding, more: see `question`.
        still: HTML that stands there without scripts alone.
    """
    if re.search(UNKNOWN, finding):
        finding = SOME_NOT_TRAINED
    parts = [f"<summary>{summary}</summary>"]
    parts.append(f'<div class="cplab-verdict">{"".join(verdict)}</div>')
    if still:
        parts.append(f'<div class="cplab-still">{still}</div>')
    if figure is not None:
        parts.append(f'<div class="cplab-picture">{as_html(figure)}</div>')
    if finding:
        parts.append(f'<p class="cplab-found"><b>{html.escape(finding)}</b></p>')
    if more is not None:
        parts.append(f"<details><summary>more numbers</summary>\n{as_html(more)}</details>")
    inner = "\n".join(parts)
    return f'<details class="cplab-covered">{inner}</details>'


@dataclass(frozen=True, eq=False)
class Shown:
    """Something that shows itself as HTML.

    Attributes:
        text: what it is, in words.
        figure: its picture.
        page: its HTML.
        lacking: what has to be trained before it shows all its numbers.
    """

    text: str
    figure: object
    page: str
    lacking: tuple[Lack, ...] = ()

    def _repr_html_(self) -> str:
        return self.page

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:
        return bundle(self.text, self.page)

    def __repr__(self) -> str:
        return self.text


def question(
    text: str,
    answers: Mapping[str, object] | Sequence[str],
    right: object = None,
    figure: object = None,
    finding: str = "",
    more: object = None,
    feedback: Mapping[Any, str] | None = None,
    of: object = (),
    screen: Explorer | None = None,
) -> Shown:
    """Ask a question whose answer is covered until the student has chosen one and pressed Reveal.

    Arguments:
        text: the question.
        answers: {text: value}, or texts.
        right: the value or text of the right answer, or None where nothing decides.
        figure: what is uncovered: a figure, a table, HTML or a list of these (an inner list is
            shown side by side).
        finding: what that shows, in one sentence; if it says that results are missing, no answer is
            called right.
        more: a table or figure in a fold.
        feedback: {value or text of an answer: what would have to be true for it}, shown to those
            who chose that answer and were wrong.
        of: estimates that `finding` names and no figure shows: where they are not trained yet, a
            button below the question trains them.
        screen: stands above the question, with the line of life alone; when the answer is
            uncovered, its lives are shown as they grew.

    Raises:
        CplabError: for a right answer, or one with feedback, that is not among the answers.

    >>> question("It ends …", {"behind": 1, "level": 0}, right=1, finding="By 4 points.")
    It ends …
    """
    values = dict(answers) if isinstance(answers, Mapping) else {name: name for name in answers}
    if not values:
        raise CplabError(f"answers {quote(answers)} are not allowed: give one or more")
    texts = [*values]
    decided = right is not None and not re.search(UNKNOWN, finding)
    if decided:
        place = find_answer("right", values, right)
        attribute = f' data-right="{place}"'
        verdict = [f"<p>It was: <b>{html.escape(texts[place])}</b></p>"]
        verdict += wrong_answers(values, feedback or {}, place)
    else:
        place = None
        attribute = ""
        verdict = ["<p></p>"]
    items = "".join(f"<li>{html.escape(name)}</li>" for name in texts)
    above = ""
    still = ""
    shown = figure
    if screen is not None:
        above = f"{screen.page_in_question()}<script>{SCREEN}</script>\n"
        shown = screen.figure
        still = f"<p>{html.escape(screen.words)}</p>{as_html(shown)}"
    inner = f"{above}<p><b>{html.escape(text)}</b></p>\n<ul{attribute}>{items}</ul>\n"
    summary = "Choose first, then unfold the answer"
    inner += covered_part(summary, verdict, figure, finding, more, still)
    ASKED[content_digest([text, texts])] = handed.Question(text, texts, place)
    page = element("question", [text, texts], inner)
    return Shown(text, shown, page, lacking_in(shown, figure, more, of))


def find_answer(name: str, values: Mapping[str, object], sought: object) -> int:
    """The place of an answer, given by its value or its text; name, of the argument."""
    for place, (text, value) in enumerate(values.items()):
        if sought in (value, text):
            return place
    raise CplabError(
        f"{name} {sought!r} is not an answer: give one of {', '.join(map(repr, values))}"
    )


def wrong_answers(
    values: Mapping[str, object], feedback: Mapping[Any, str], right: int
) -> list[str]:
    """Write what is said about each wrong answer, one paragraph each; the page shows the paragraph
    of the chosen answer. right: the place of the right answer, which has none."""
    texts = [*values]
    paragraphs = []
    for sought, words in feedback.items():
        place = find_answer("feedback", values, sought)
        if place != right:
            said = f"<i>{html.escape(texts[place])}: </i>{html.escape(words)}"
            paragraphs.append(f'<p class="cplab-feedback" data-answer="{place}">{said}</p>')
    return paragraphs


def Prediction(
    given: Mapping[str, quantities.Measurable],
    asked: Mapping[str, quantities.Measurable],
    *,
    question: str = "",
    quantity: str = "final test accuracy",
    unit: str = "%",
    low: float = 0,
    high: float = 100,
    figure: object = None,
    finding: str = "",
    more: object = None,
    of: object = (),
) -> Shown:
    """Ask for guesses with sliders. What was measured is covered until every slider has been moved.

    Arguments:
        given: what is shown from the start, {text: Run, whose accuracy it is, or an Estimate, or
            numbers in `unit`, one a seed}.
        asked: what is to be guessed, in the same form.
        question: the text above.
        quantity: the name of what is guessed.
        unit, low, high: the scale.
        figure, finding, more, of: see `question`.

    Raises:
        CplabError: for a scale without a length, or without anything to guess.

    >>> from cplab import Run
    >>> Prediction({"twin": Run()}, {"blurred": Run("blur", length=16)})
    How high is the final test accuracy?
    """
    check_dict("given", given)
    if not check_dict("asked", asked):
        raise CplabError("asked {} is not allowed: give something to guess")
    if not -math.inf < low < high < math.inf:
        raise CplabError(
            f"low {low} and high {high} are not allowed: give a scale from low to high"
        )
    shown = {text: quantities.as_estimate(value) for text, value in given.items()}
    measured = {text: quantities.as_estimate(value) for text, value in asked.items()}
    low, high = scale_for([*shown.values(), *measured.values()], low, high)
    digits = max(0, 3 - math.ceil(math.log10(high - low)))  # decimals of a number on the scale

    text = question or f"How high is the {quantity}?"
    inner = f"<p><b>{html.escape(text)}</b></p>\n"
    if shown:
        rows = numbers_in_words(shown, unit, digits)
        inner += f"<p>Known {html.escape(quantity)}:<br>{'<br>'.join(rows)}</p>\n"
    numbers = [(short(points.mean), short(points.half)) for points in measured.values()]
    asked_rows = []
    for name, (mean, half) in zip(measured, numbers, strict=True):
        asked_rows.append({"name": name, "mean": mean, "half": half})
    scale = {
        "low": low,
        "high": high,
        "unit": unit,
        "digits": digits,
        "known": [short(points.mean) for points in shown.values()],
        "asked": asked_rows,
    }
    items = "".join(f"<li>{html.escape(name)}</li>" for name in measured)
    verdict = [f"<p>{row}</p>" for row in numbers_in_words(measured, unit, digits, ": measured")]
    inner += f"<ul data-scale='{html.escape(json.dumps(scale))}'>{items}</ul>\n"
    inner += covered_part(
        "Guess first, then unfold what was measured", verdict, figure, finding, more
    )
    content = [text, [*given], [*asked], unit]
    ASKED[content_digest(content)] = handed.Prediction(text, [*measured], numbers, unit)
    lacking = lacking_in(shown, measured, figure, more, of)
    return Shown(text, figure, element("prediction", content, inner), lacking)


def numbers_in_words(
    numbers: Mapping[str, Estimate], unit: str, digits: int, between: str = ":"
) -> list[str]:
    """Write numbers behind their names, as HTML."""
    rows = []
    for name, points in numbers.items():
        rows.append(f"{html.escape(name)}{between} <b>{with_unit(points, unit, digits)}</b>")
    return rows


def with_unit(points: Estimate, unit: str, digits: int) -> str:
    """Write a measured number with its interval and unit, as HTML; or that it is missing."""
    if not points.seeds:
        return estimates.NOT_TRAINED
    numbers = estimates.mean_in_words(points.mean, points.half, digits)
    return html.escape(f"{numbers} {unit}".strip())


def scale_for(numbers: Iterable[Estimate], low: float, high: float) -> tuple[float, float]:
    """The scale of a prediction, from low to high, made longer where a number does not fit, as when
    a student has changed a lab's values.

    >>> scale_for([estimates.estimate([37.5])], 40, 75)
    (37.5, 75)
    """
    means = [points.mean for points in numbers if points.seeds]
    return min([low, *means]), max([high, *means])


def hand_in(lab: str, networks: Mapping[str, Sequence[float]] | None = None) -> Shown:
    """Let a student hand in what was answered, as one line of text to copy or download.

    The line holds the lab, the answers and guesses that were given first, the checks that this
    notebook has passed, and when; no name, unless one is typed. `show.class_figure` draws a class's
    lines, and `show.class_networks` adds up its networks.

    Arguments:
        lab: its number, such as 02b, or a name of your own.
        networks: numbers of the student's own networks, {words: one a network}, such as
            `lab02.own_harms` gives.

    Raises:
        CplabError: for what is neither.

    >>> hand_in("02"), hand_in("end")
    (Hand in lab 02, Hand in your answers)
    """
    if not isinstance(lab, str) or not LAB.fullmatch(lab):
        raise CplabError(
            f"lab {quote(lab)} is not allowed: give its number as a text of two digits, as in "
            'lab.hand_in("02") or lab.hand_in("02b")'
        )
    passed = sorted(key for key, right in VERDICTS.items() if right)
    own = {words: [*map(float, numbers)] for words, numbers in (networks or {}).items()}
    line = handed.as_json(handed.Line(lab=lab, asked=ASKED, passed=passed, networks=own))
    text = f"Hand in lab {lab}" if lab[0].isdigit() else "Hand in your answers"
    note = f"To hand in what you answered, run this cell. {WHERE}"
    inner = f"<p><b>{html.escape(text)}</b></p><p class='cplab-note'>{note}</p>"
    inner += f"<ul data-content='{html.escape(line)}'></ul>"
    return Shown(text, None, element("hand-in", ["hand-in", lab], inner))


def slide(
    frames: Mapping[Any, object], words: Sequence[str] = (), label: str = "epoch", start: int = 0
) -> Shown:
    """Show one of several pictures, chosen with a slider that can play them.

    Arguments:
        frames: {label: figure}.
        words: a line for each frame.
        label: the name of what the slider moves.
        start: the place of the frame that is seen first, counted from 0.

    >>> slide({1: "<p>one</p>", 4: "<p>four</p>"}, label="epoch")
    epoch 1, 4
    """
    return framed("slide", frames, words, label, start)


def switch(frames: Mapping[Any, object]) -> Shown:
    """Show one of several pictures, {label: figure}, chosen with a row of buttons.

    >>> switch({"blur": "<p>one</p>", "flip": "<p>two</p>"})
    blur, flip
    """
    return framed("switch", frames, (), "", 0)


def framed(
    kind: str, frames: Mapping[Any, object], words: Sequence[str], label: str, start: int
) -> Shown:
    """Write frames, each in a fold; one fold is open."""
    check_dict("frames", frames, '{"blur": figure}')
    if not frames:
        raise CplabError("frames {} are not allowed: give one or more, {label: figure}")
    if len(words) not in (0, len(frames)):
        raise CplabError(
            f"{len(words)} words for {len(frames)} frames: give a line for each, or none"
        )
    whole("start", start, 0, len(frames) - 1)
    inner = ""
    for place, (name, figure) in enumerate(frames.items()):
        line = f"<p>{html.escape(str(words[place]))}</p>" if words else ""
        summary = html.escape(f"{label} {name}".strip())
        opened = " open" if place == start else ""
        inner += f"<details{opened}><summary>{summary}</summary>{line}{as_html(figure)}</details>\n"
    names = [str(name) for name in frames]
    text = f"{label} {', '.join(names)}".strip()
    page = element(kind, [kind, label, names], inner)
    return Shown(text, [*frames.values()][start], page, lacking_in(frames))
