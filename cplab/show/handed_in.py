"""Students' answers: reads the lines that `lab.hand_in` writes, draws a slide of a question, and
lists who has passed which checks.

A line is JSON and holds everything that is drawn: the question, the first answer, and what is right
or was measured. Nothing else is needed, and no lab has to be run.
"""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NotRequired, TypedDict

import numpy as np

from cplab.errors import CplabError, whole
from cplab.show.base import Figure, figure, styled, whole_numbers
from cplab.styles import LIVE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

TRUTH = "#0072B2"
BEGIN = '{"cplab"'  # of a line
SLIDE = (752, 423)  # its size in pixels of a page, 16 to 9
COLUMN = 36  # letters of a line of an answer, beside its bar
ROWS = 4  # the fewest on a slide: bars of two answers are no wider than those of four


class FirstAnswer(TypedDict):
    """The first answer to a question, and the right one, None where nothing decides."""

    asked: str
    said: str
    right: str | None


class Guess(TypedDict):
    """A guess with a slider, and what was measured, with half of its interval."""

    asked: str
    of: str  # the words for what is guessed
    said: float
    measured: float | None
    half: float | None
    unit: str


class Line(TypedDict):
    """What one student hands in for a lab."""

    cplab: str
    lab: str
    name: NotRequired[str]
    answers: list[FirstAnswer]
    guesses: list[Guess]
    passed: list[str]


class Choices(NamedTuple):
    """How often each answer to a question was the first one given; and the right answer."""

    counts: Counter[str]
    right: str | None

    @property
    def agreement(self) -> float:
        """The share of the class that gave the most frequent answer."""
        return max(self.counts.values()) / self.counts.total()


class MeasuredValue(NamedTuple):
    """What was measured, with half of its interval."""

    mean: float
    half: float


class Guesses(NamedTuple):
    """All guesses of one number, their unit, and what was measured."""

    values: list[float]
    unit: str
    measured: MeasuredValue | None


@dataclass(frozen=True)
class HandedIn:
    """What students handed in for one lab.

    Attributes:
        lab: its number.
        lines: a line for each student.
        unread: files without a line, and places of lines that cannot be read.
        files: the file of each line.
    """

    lab: str
    lines: list[Line]
    unread: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def choices(self) -> dict[str, Choices]:
        """The first answers, by question, the one that split the class most first."""
        counts: dict[str, Counter[str]] = {}
        right: dict[str, str | None] = {}
        for line in self.lines:
            for answer in line["answers"]:
                question = answer["asked"]
                counts.setdefault(question, Counter())[answer["said"]] += 1
                # None in lines of students who ran the lab before its networks were trained
                if right.get(question) is None:
                    right[question] = answer["right"]
        choices = [(question, Choices(counts[question], right[question])) for question in counts]
        return dict(sorted(choices, key=lambda entry: entry[1].agreement))

    def guesses(self) -> dict[str, dict[str, Guesses]]:
        """The guesses, by question and by the words for what is guessed."""
        guesses: dict[str, dict[str, Guesses]] = {}
        for line in self.lines:
            for guess in line["guesses"]:
                by_words = guesses.setdefault(guess["asked"], {})
                before = by_words.get(guess["of"], Guesses([], guess["unit"], None))
                values = [*before.values, float(guess["said"])]
                measured = measured_for(guess) or before.measured
                by_words[guess["of"]] = Guesses(values, guess["unit"], measured)
        return guesses

    def passed(self) -> Counter[str]:
        """How many students have passed each check."""
        counts = Counter[str]()
        for line in self.lines:
            counts.update(line["passed"])
        return counts


def measured_for(guess: Guess) -> MeasuredValue | None:
    """What was measured of what is guessed, None if nothing was."""
    mean = guess["measured"]
    half = guess["half"]
    return None if mean is None else MeasuredValue(mean, half or 0.0)


# Reading -----------------------------------------------------------------------------------------


def read_handed_in(source: str | Path) -> HandedIn:
    """Read what was handed in.

    Arguments: source, a file of lines, or a folder; folders in it are read as well. Each line is a
        student, whatever name it has.
    Raises: CplabError if there is no line, or there are lines of several labs.
    """
    lines = list[Line]()
    unread = list[str]()
    files = list[str]()
    for path, name in files_in(Path(source)):
        good, bad = read_lines(path)
        lines += good
        files += [name] * len(good)
        if good:
            unread += [f"{name}, line {number}" for number in bad]
        else:
            unread.append(name)
    if not lines:
        raise CplabError(
            f"{source} holds nothing that was handed in: give a folder or a file with lines that "
            f"begin with {BEGIN}, as `lab.hand_in` writes them"
        )
    labs = sorted({line["lab"] for line in lines})
    if len(labs) > 1:
        raise CplabError(f"{source} holds lines of labs {', '.join(labs)}: give lines of one lab")
    return HandedIn(labs[0], lines, unread, files)


def files_in(source: Path) -> list[tuple[Path, str]]:
    """The files that a class handed in, each with its name within the source.

    Files of the operating system, whose names begin with a dot, are left out.
    Raises: CplabError if there is no such file or folder.
    """
    if source.is_file():
        return [(source, source.name)]
    if not source.is_dir():
        raise CplabError(f"{str(source)!r} is not there: give a folder or a file that is")
    paths = [path for path in sorted(source.rglob("[!.]*")) if path.is_file()]
    return [(path, path.relative_to(source).as_posix()) for path in paths]


def read_lines(path: Path) -> tuple[list[Line], list[int]]:
    """Read a file: its lines, and the numbers of those that cannot be read, counted from 1."""
    good = list[Line]()
    bad = list[int]()
    data = path.read_bytes()
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = data.decode(encoding, "replace")
    for number, row in enumerate(text.splitlines(), 1):
        if not row.strip():
            continue
        try:
            line = json.loads(row.lstrip("> "))  # as a mail quotes it
            check_line(line)
            good.append(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            bad.append(number)
    return good, bad


def check_line(line: Line) -> None:
    """Raise a KeyError, TypeError, ValueError or AttributeError if a line lacks what is drawn."""
    alone = HandedIn(line["lab"], [line])
    alone.choices()
    alone.guesses()
    alone.passed()


# Who passed what ---------------------------------------------------------------------------------


def class_table(source: str | Path) -> pd.DataFrame:
    """Make a table of what each student handed in, a row for each line: the name, if one was typed,
    the checks passed, how many questions were answered, and the file.

    Arguments: source, as in `class_figure`.
    Raises: CplabError if there is no line, or there are lines of several labs.

    >>> class_table("answers")
    Traceback (most recent call last):
    cplab.errors.CplabError: 'answers' is not there: give a folder or a file that is
    """
    import pandas as pd

    handed_in = read_handed_in(source)
    rows = []
    for line, file in zip(handed_in.lines, handed_in.files, strict=True):
        answered = {answer["asked"] for answer in [*line["answers"], *line["guesses"]]}
        rows.append(
            {
                "name": line.get("name", ""),
                "checks passed": ", ".join(sorted(line["passed"])),
                "questions answered": len(answered),
                "file": file,
            }
        )
    print(*for_the_teacher(handed_in), sep="", end="")
    return pd.DataFrame(rows).sort_values(["name", "file"], ignore_index=True)


# Drawing -----------------------------------------------------------------------------------------


@styled
def class_figure(source: str | Path, question: int = 1) -> Figure:
    """Draw a slide of one question: a bar for each answer that the class gave, the right one
    filled; or its guesses, beside what was measured. Files that hold no line, and names that occur
    twice, are printed.

    Arguments:
        source: a folder of students' files, with folders in it or not, or one file; they hold the
            lines that `lab.hand_in` writes, one below the other.
        question: which one. The first is the one that split the class most, the next ones follow;
            predictions come last.
    Raises: CplabError if there is no line, or there are lines of several labs.

    >>> class_figure("answers")
    Traceback (most recent call last):
    cplab.errors.CplabError: 'answers' is not there: give a folder or a file that is
    """
    handed_in = read_handed_in(source)
    choices = handed_in.choices()
    guesses = handed_in.guesses()
    asked = [*choices, *guesses]
    if not asked:
        raise CplabError(f"{source} holds no answers: its students had answered nothing yet")
    chosen = asked[whole("question", question, 1, len(asked)) - 1]
    lines = len(handed_in.lines)
    below = [f"Lab {handed_in.lab}, {lines} handed in. Question {question} of {len(asked)}"]
    if passed := handed_in.passed():
        counts = ", ".join(f"{key} by {count}" for key, count in sorted(passed.items()))
        below.append(f"Passed checks: {counts}")
    fig = figure(chosen, width=SLIDE[0], height=SLIDE[1], source=". ".join(below))
    print(*for_the_teacher(handed_in), sep="", end="")
    if chosen in choices:
        draw_choices(fig.ax, choices[chosen])
    else:
        draw_prediction(fig.ax, guesses[chosen])
    return fig


def for_the_teacher(handed_in: HandedIn) -> list[str]:
    """Lines that name students, and so are no part of a slide: what could not be read, and names
    that several lines have, of two students or of one who handed in twice."""
    lines = list[str]()
    if handed_in.unread:
        lines.append(f"Not read: {'; '.join(handed_in.unread)}\n")
    names = Counter(line.get("name", "") for line in handed_in.lines)
    del names[""]
    if shared := [name for name, count in names.items() if count > 1]:
        lines.append(f"More than one line: {'; '.join(shared)}\n")
    return lines


def draw_choices(ax: Axes, answers: Choices) -> None:
    """Draw a bar for each answer to a question; the right answer's is filled."""
    labels = list[str]()
    for place, answer in enumerate(in_order(answers)):
        is_right = answer == answers.right
        draw_answer(ax, place, answers.counts[answer], is_right)
        labels.append(textwrap.fill(("✓ " if is_right else "") + answer, COLUMN))
    ax.set_yticks(range(len(labels)), labels)
    ax.set_xlabel("students")
    ax.set_xlim(0, None)
    ax.set_ylim(max(len(labels), ROWS) - 0.5, -0.5)
    whole_numbers(ax.xaxis)
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)


def in_order(answers: Choices) -> list[str]:
    """The answers to a question: the right one, though nobody gave it, and then the others, most
    frequent ones first."""
    by_count = sorted(answers.counts, key=lambda answer: -answers.counts[answer])
    if answers.right is None:
        return by_count
    return [answers.right, *(answer for answer in by_count if answer != answers.right)]


def draw_answer(ax: Axes, place: float, count: int, is_right: bool) -> None:
    """Draw how often an answer was given, as a bar; the right answer's is filled."""
    if is_right:
        colour = fill = TRUTH
    else:
        colour = LIVE.colour
        fill = "none"
    ax.barh(place, count, 0.66, facecolor=fill, edgecolor=colour, linewidth=1.5)
    ax.text(count, place, f" {count}", va="center")


def draw_prediction(ax: Axes, rows: dict[str, Guesses]) -> None:
    """Draw all guesses that answer a question, a row for each number that was guessed."""
    for row, guesses in enumerate(rows.values()):
        draw_guesses(ax, row, guesses.values, guesses.measured)
    [unit, *_] = [guesses.unit for guesses in rows.values()]
    ax.set_yticks(range(len(rows)), [textwrap.fill(words, COLUMN) for words in rows])
    ax.margins(x=0.06)
    ax.set_xlabel(unit)
    ax.set_ylim(len(rows) - 0.6, -0.9)
    handles, labels = ax.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))
    ax.legend(
        entries.values(),
        entries.keys(),
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
    )


def draw_guesses(
    ax: Axes, row: float, values: Sequence[float], measured: tuple[float, float] | None
) -> None:
    """Draw guesses as circles in a row, equal ones above each other, and what was measured: its
    mean and half of its interval, or None."""
    for value, times in Counter(values).items():
        heights = [row - min(0.7, 0.11 * n) for n in range(1, times + 1)]
        ax.plot(
            [value] * times,
            heights,
            "o",
            color=LIVE.colour,
            fillstyle="none",
            markersize=7,
            label="answers",
        )
    if measured:
        mean, half = measured
        ax.errorbar(mean, row, xerr=np.nan_to_num(half), color=TRUTH)
        ax.plot(mean, row, "s", color=TRUTH, label="measured")
