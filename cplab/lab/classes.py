"""A class in one picture: each student's answer as a short code without a name, and all codes of a
class drawn against what was measured. No server, nothing personal; a code holds the answer alone.
"""

import base64
import binascii
import hashlib
import html
import json
import operator
import re
from collections import Counter
from typing import Any, NamedTuple

import ipywidgets as w

from cplab.checks import CplabError, quote, require
from cplab.lab.surface import error_html, replace_last
from cplab.show import predictions

VERSION, LONGEST_CODE, MOST_CODES = 1, 100, 1000
BASE32, CROCKFORD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
READ = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", "–": "", "−": ""})
HALVES = 200  # half percents, of a slider from 0 to 100


class Answer(NamedTuple):
    """What a code holds: which question, as a digest of its words, and a number a control."""

    question: str
    values: tuple[int, ...]


def encode(answer: Answer) -> str:
    """An answer as a code of letters and digits.

    >>> encode(Answer("a1b2c3", (110, 90)))
    '06GV-5GVE-B8JZ-M'
    """
    body = bytes([VERSION, *bytes.fromhex(answer.question), *answer.values])
    # of how much there is as well: else a zero at the end would pass unseen
    check = binascii.crc_hqx(bytes([len(body)]) + body, 0xFFFF).to_bytes(2, "big")
    plain = base64.b32encode(body + check).rstrip(b"=")
    text = plain.translate(bytes.maketrans(BASE32, CROCKFORD)).decode()
    return "-".join(text[i : i + 4] for i in range(0, len(text), 4))


def decode(code: str) -> Answer:
    """What a code holds; small letters, O for 0 and I or L for 1 are read as they are meant.

    Raises: CplabError for what is no code, or one that was not copied whole.

    >>> decode("06gv-5gve-b8jz-m").values
    (110, 90)
    """
    plain = code.strip().upper().translate(READ) if len(code) <= LONGEST_CODE else ""
    fine = re.fullmatch(f"[{CROCKFORD.decode()}]+", plain)
    require(fine, f"code {quote(code)} is not allowed: paste it as the question shows it")
    packed = plain.encode().translate(bytes.maketrans(CROCKFORD, BASE32))
    try:
        body = base64.b32decode(packed + b"=" * (-len(packed) % 8))[:-2]
    except binascii.Error:
        body = b""
    found = Answer(body[1:4].hex(), tuple(body[4:]))
    whole = found.values and encode(found).replace("-", "") == plain  # with its version and check
    require(whole, f"code {quote(code)} is incomplete")
    return found


def question_of(question: Any) -> str:
    """A digest of the words of a question and its controls: the same in every notebook that asks
    it."""
    words: list[Any] = [question.asks] if question.asks else []
    for one in question.controls.values():
        labels = map(str, getattr(one, "_options_labels", ()))
        words.append([type(one).__name__, one.description, *labels])
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:6]


def number_of(control: Any) -> int:
    """What a control says, as a number from 0 to 200: half percents, or the option's place."""
    if hasattr(control, "index"):
        return control.index or 0
    return round(HALVES * (control.value - control.min) / (control.max - control.min))


def code_of(question: Any) -> str:
    """The code of a question's answer, as it stands."""
    values = tuple(map(number_of, question.controls.values()))
    return encode(Answer(question_of(question), values))


def answers_in(pasted: str, question: Any) -> tuple[list[tuple[int, ...]], list[str]]:
    """The answers to a question in a pasted text, and why other words of it are none.

    Raises: CplabError for a text that is too long.
    """
    require(len(pasted) <= LONGEST_CODE * MOST_CODES, f"give at most {MOST_CODES} codes at a time")
    name, controls = question_of(question), question.controls.values()
    most = [len(one.options) - 1 if hasattr(one, "index") else HALVES for one in controls]
    found, refused = [], []
    for word in re.findall(r"[^\s,;]+", pasted):
        try:
            answer = decode(word)
        except CplabError as error:
            refused.append(str(error))
            continue
        fits = answer.question == name and len(answer.values) == len(most)
        if fits and all(map(operator.le, answer.values, most)):
            found.append(answer.values)
        else:
            refused.append(f"code {quote(word)} answers another question")
    return found, refused


def class_picture(question: Any, codes: str) -> Any:
    """The answers of a class, drawn against what was measured.

    Arguments: question, a `Prediction`, a `Ranking` or what `choice` returned; codes, of the class,
        in one text, with anything white between them.
    Returns: a Bokeh figure.
    Raises: CplabError where no code answers this question.

    >>> from cplab import lab
    >>> asked = lab.choice("Does it last?", ["yes", "no"], lambda: ["It does."])
    >>> class_picture(asked, "05VZ-RDR0-ZRMG").title.text
    '1 answer'
    """
    wrong = f"question {quote(question)} is not allowed: give a Prediction, Ranking or choice"
    require(hasattr(question, "controls"), wrong)
    found, refused = answers_in(codes, question)
    require(found, f"no code answers this question: {'; '.join(refused[:2]) or 'paste some'}")
    title = f"{len(found)} answer{'s' * (len(found) > 1)}"
    if hasattr(question, "guesses"):
        names = [*question.guesses]
        values = {name: [row[i] / HALVES for row in found] for i, name in enumerate(names)}
        return predictions.class_guesses(values, question.truth(), title, question.quantity)
    if hasattr(question, "order"):
        names = [*question.runs]
        orders = [[names[i - 1] for i in row if i] for row in found]
        orders = [order for order in orders if sorted(order) == sorted(names)]
        require(orders, "no code gives each its place")
        return predictions.class_orders(orders, question.truth(), title=title)
    [buttons] = question.controls.values()
    counts = Counter(buttons.options[row[0]] for row in found)
    chosen = {name: counts[name] for name in buttons.options}
    return predictions.class_choices(chosen, title=title)


class ClassAnswers(w.Accordion):
    """The code of one's own answer, and a place for those of a class, beneath an answered question.

    `code` says it, `codes` is where a teacher pastes, `picture` the box with the figure.
    """

    def __init__(self, question: Any) -> None:
        self._question = question
        self.code, self.message = w.HTML(), w.HTML()
        calm: Any = {"layout": {"width": "320px"}, "continuous_update": False}
        self.codes = w.Textarea(placeholder="the class's codes, one a line", **calm)
        self.picture = w.VBox([w.HTML()])
        inside = w.VBox([self.code, self.codes, self.message, self.picture])
        super().__init__([inside], selected_index=None, layout={"display": "none"})
        self.set_title(0, "The class")
        self.codes.observe(self._draw, "value")

    def show(self, revealed: bool) -> None:
        """Offer it once the question is revealed, with the code of the answer."""
        self.layout.display = "" if revealed else "none"
        if revealed:
            words = "Your answer, without your name, for your teacher:"
            self.code.value = f"{words} <code>{code_of(self._question)}</code>"

    def _draw(self, change: Any) -> None:
        try:
            drawn = class_picture(self._question, self.codes.value)
        except CplabError as error:
            self.message.value = error_html(error)
            return
        refused = answers_in(self.codes.value, self._question)[1]
        left = f"{len(refused)} left out: {refused[0]}" if refused else ""
        self.message.value = html.escape(left)
        replace_last(self.picture, drawn)
