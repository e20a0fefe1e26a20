"""What a student hands in: one line of JSON with first answers, guesses and passed checks.

`lab.hand_in` writes it, the page adds what the student has done there, and `show.class_table` reads
it: all by the types below. It holds everything that is drawn, so no lab has to be run.
"""

import html
import json
import re
from contextlib import suppress
from dataclasses import dataclass, field

from pydantic import ConfigDict, TypeAdapter

# The beginning of a line: as it is written, and as HTML and word processors change its quotes
LINE_BEGIN = re.compile(r'\{\s*(?:["“”„]|&#?\w+;)cplab')
CURLY = re.compile("[“”„]")
DECODER = json.JSONDecoder()
EXACT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Question:
    """A question, and the answer that was given first.

    Attributes:
        asked: its text.
        answers: the answers to choose from.
        right: the place of the right one, None where nothing decides.
        first: the place of the first answer, which the page adds.
    """

    __pydantic_config__ = EXACT

    asked: str
    answers: list[str]
    right: int | None
    first: int | None = None

    def __post_init__(self) -> None:
        for place in (self.right, self.first):
            if place is not None and not 0 <= place < len(self.answers):
                raise ValueError(f"there is no answer {place}")


@dataclass(frozen=True)
class Guess:
    """A guess with a slider, and what was measured, with half of its interval.

    Attributes:
        of: the words for what is guessed.
        said: the guess, in the unit.
        measured, half: None where nothing was trained.
    """

    of: str
    said: float
    measured: float | None
    half: float | None
    unit: str


@dataclass(frozen=True)
class Prediction:
    """Numbers to guess, and the first guess of each.

    Attributes:
        asked: the text above the sliders.
        of: the words for what is guessed, one for each slider.
        measured: the mean of each, and half of its interval.
        unit: of all of them.
        first: the first guesses by their places, which the page adds.
    """

    __pydantic_config__ = EXACT

    asked: str
    of: list[str]
    measured: list[tuple[float | None, float | None]]
    unit: str
    first: dict[int, float] | None = None

    def __post_init__(self) -> None:
        if len(self.measured) != len(self.of):
            raise ValueError("something else was measured")
        if self.first is not None and {*self.first} != {*range(len(self.of))}:
            raise ValueError("not each number was guessed")

    @property
    def guesses(self) -> list[Guess]:
        """The first guess of each number; none if there are no guesses yet."""
        guesses = []
        for place, said in sorted((self.first or {}).items()):
            mean, half = self.measured[place]
            guesses.append(Guess(self.of[place], said, mean, half, self.unit))
        return guesses


@dataclass(frozen=True, kw_only=True)
class Line:
    """What one student hands in for a lab.

    Attributes:
        cplab: the version of the line.
        lab: the lab's number.
        asked: the questions and predictions, by the digest that names an answer in the page. The
            page leaves out those that were not answered.
        passed: the checks that were passed.
        networks: numbers of the student's own networks, by their words, such as the harm of each.
        name: of the student, if one was typed in the page.
        at: when the page last changed the line.
        tab: a random number, which the page draws, that two lines of one tab share.
    """

    __pydantic_config__ = EXACT

    cplab: int = 1
    lab: str
    asked: dict[str, Question | Prediction]
    passed: list[str]
    networks: dict[str, list[float]] = field(default_factory=dict)
    name: str = ""
    at: str = ""
    tab: str = ""

    def __post_init__(self) -> None:
        for digest in self.asked:
            if not digest.isalnum():
                raise ValueError(f"{digest!r} is no digest")

    @property
    def answers(self) -> int:
        """The number of questions that were answered."""
        return sum(isinstance(asked, Question) for asked in self.asked.values())

    @property
    def guesses(self) -> int:
        """The number of guesses, one for each slider."""
        predictions = [asked for asked in self.asked.values() if isinstance(asked, Prediction)]
        return sum(len(prediction.guesses) for prediction in predictions)


LINE = TypeAdapter(Line)


def as_json(line: Line) -> str:
    """Write a line as JSON.

    >>> as_json(Line(lab="02", asked={}, passed=[]))
    '{"cplab":1,"lab":"02","asked":{},"passed":[],"networks":{},"name":"","at":"","tab":""}'
    """
    return LINE.dump_json(line).decode()


def from_json(text: str) -> Line | None:
    """Read a line, which stands at the beginning of a text: as it was written, wrapped, in HTML, or
    with the quotes of a word processor. None if it cannot be read.

    >>> from_json('{“cplab”: 1, “lab”: “02”, “asked”: {},\\n“passed”: []}').lab
    '02'
    """
    rows = text.splitlines()
    for wrapped_at in (" ", ""):  # at a blank, which is gone, or within a word
        unwrapped = wrapped_at.join(rows)
        plain = html.unescape(unwrapped)
        for version in (unwrapped, plain, CURLY.sub('"', plain)):
            with suppress(ValueError, RecursionError):
                content, _ = DECODER.raw_decode(version)
                return LINE.validate_python(content)
    return None
