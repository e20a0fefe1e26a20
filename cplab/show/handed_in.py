"""Students' answers: reads the lines that `lab.hand_in` writes, draws a slide of a question, and
lists who has passed which checks.

A line is JSON and holds everything that is drawn: the question, the first answer, and what is right
or was measured. Nothing else is needed, and no lab has to be run.
"""

from __future__ import annotations

import textwrap
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from matplotlib.ticker import MaxNLocator
from pydantic import TypeAdapter

from cplab.errors import CplabError, whole
from cplab.show.base import Figure, figure, styled
from cplab.styles import LIVE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

TRUTH = "#0072B2"
BEGIN = '{"cplab"'  # of a line
SLIDE = (752, 423)  # its size in pixels of a page, 16 to 9
COLUMN = 36  # letters of a line of an answer, beside its bar
ROWS = 4  # the fewest on a slide: bars of two answers are no wider than those of four


@dataclass(frozen=True)
class FirstAnswer:
    """The first answer to a question, and the right one, None where nothing decides."""

    asked: str
    said: str
    right: str | None


@dataclass(frozen=True)
class Guess:
    """A guess with a slider, and what was measured, with half of its interval."""

    asked: str
    of: str  # the words for what is guessed
    said: float
    measured: float | None
    half: float | None
    unit: str


@dataclass(frozen=True)
class Line:
    """What one student hands in for a lab."""

    cplab: str
    lab: str
    answers: list[FirstAnswer]
    guesses: list[Guess]
    passed: list[str]
    name: str = ""


AnswerOrGuess = TypeVar("AnswerOrGuess", FirstAnswer, Guess)


class HandedIn(NamedTuple):
    """What students handed in for one lab.

    Attributes:
        lines: a line for each student.
        files: the file of each line.
        unread: files without a line, and places of lines that cannot be read.
    """

    lines: list[Line]
    files: list[str]
    unread: list[str]


# Reading -----------------------------------------------------------------------------------------


def read_handed_in(source: str | Path) -> HandedIn:
    """Read what was handed in, and print what could not be read.

    Arguments: source, a file of lines, or a folder; folders in it are read as well. Each line is a
        student, whatever name it has.
    Raises: CplabError if there is no line, or there are lines of several labs.
    """
    handed_in = HandedIn([], [], [])
    for path, name in files_in(Path(source)):
        good, bad = read_lines(path)
        handed_in.lines.extend(good)
        handed_in.files.extend([name] * len(good))
        handed_in.unread.extend([f"{name}, line {number}" for number in bad] if good else [name])
    if not handed_in.lines:
        raise CplabError(
            f"{source} holds nothing that was handed in: give a folder or a file with lines that "
            f"begin with {BEGIN}, as `lab.hand_in` writes them"
        )
    labs = sorted({line.lab for line in handed_in.lines})
    if len(labs) > 1:
        raise CplabError(f"{source} holds lines of labs {', '.join(labs)}: give lines of one lab")
    if handed_in.unread:
        print(f"Not read: {'; '.join(handed_in.unread)}")
    return handed_in


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
    a_line = TypeAdapter(Line)
    good = list[Line]()
    bad = list[int]()
    content = path.read_bytes()
    # PowerShell, which may have put all lines into one file, writes UTF-16
    encoding = "utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    for number, row in enumerate(content.decode(encoding, "replace").splitlines(), 1):
        if not row.strip():
            continue
        try:
            good.append(a_line.validate_json(row.lstrip("> ")))  # as a mail quotes it
        except ValueError:
            bad.append(number)
    return good, bad


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
        rows.append(
            {
                "name": line.name,
                "checks passed": ", ".join(sorted(line.passed)),
                "questions answered": len({answer.asked for answer in line.answers + line.guesses}),
                "file": file,
            }
        )
    return pd.DataFrame(rows).sort_values(["name", "file"], ignore_index=True)


# Drawing -----------------------------------------------------------------------------------------


@styled
def class_figure(source: str | Path, question: int = 1) -> Figure:
    """Draw a slide of one question: a bar for each answer that the class gave, the right one
    filled; or its guesses, beside what was measured. Files that hold no line are printed.

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
    lines = read_handed_in(source).lines
    answers = by_question(answer for line in lines for answer in line.answers)
    guesses = by_question(guess for line in lines for guess in line.guesses)
    asked = [*sorted(answers, key=lambda question: agreement(answers[question])), *guesses]
    if not asked:
        raise CplabError(f"{source} holds no answers: its students had answered nothing yet")
    chosen = asked[whole("question", question, 1, len(asked)) - 1]
    below = f"Lab {lines[0].lab}, {len(lines)} handed in. Question {question} of {len(asked)}"
    fig = figure(chosen, width=SLIDE[0], height=SLIDE[1], source=below)
    if chosen in answers:
        draw_choices(fig.ax, answers[chosen])
    else:
        draw_prediction(fig.ax, guesses[chosen])
    return fig


def by_question(given: Iterable[AnswerOrGuess]) -> dict[str, list[AnswerOrGuess]]:
    """All answers, or all guesses, by their question."""
    questions = dict[str, list[AnswerOrGuess]]()
    for one in given:
        questions.setdefault(one.asked, []).append(one)
    return questions


def agreement(answers: Sequence[FirstAnswer]) -> float:
    """The share of the class that gave the most frequent answer to a question."""
    counts = Counter(answer.said for answer in answers)
    return max(counts.values()) / len(answers)


def draw_choices(ax: Axes, answers: Sequence[FirstAnswer]) -> None:
    """Draw a bar for each answer to a question: the right one first, filled, though nobody gave
    it; then the others, most frequent ones first."""
    counts = Counter(answer.said for answer in answers)
    # None in lines of students who ran the lab before its networks were trained
    right = next((answer.right for answer in answers if answer.right is not None), None)
    in_order = [answer for answer, _ in counts.most_common() if answer != right]
    if right is not None:
        in_order.insert(0, right)
    labels = list[str]()
    for place, answer in enumerate(in_order):
        is_right = answer == right
        draw_answer(ax, place, counts[answer], is_right)
        labels.append(textwrap.fill(("✓ " if is_right else "") + answer, COLUMN))
    ax.set_yticks(range(len(labels)), labels)
    ax.set_xlabel("students")
    ax.set_xlim(0, None)
    ax.set_ylim(max(len(labels), ROWS) - 0.5, -0.5)
    ax.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True))
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)


def draw_answer(ax: Axes, place: float, count: int, is_right: bool) -> None:
    """Draw how often an answer was given, as a bar; the right answer's is filled."""
    if is_right:
        colour = fill = TRUTH
    else:
        colour = LIVE.colour
        fill = "none"
    ax.barh(place, count, 0.66, facecolor=fill, edgecolor=colour, linewidth=1.5)
    ax.text(count, place, f" {count}", va="center")


def draw_prediction(ax: Axes, guesses: Sequence[Guess]) -> None:
    """Draw all guesses that answer a question, a row for each number that was guessed."""
    names = [*dict.fromkeys(guess.of for guess in guesses)]
    for row, name in enumerate(names):
        draw_guesses(ax, row, [guess for guess in guesses if guess.of == name])
    ax.set_yticks(range(len(names)), [textwrap.fill(words, COLUMN) for words in names])
    ax.margins(x=0.06)
    ax.set_xlabel(guesses[0].unit)
    ax.set_ylim(len(names) - 0.6, -0.9)
    handles, labels = ax.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))
    ax.legend(
        entries.values(),
        entries.keys(),
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
    )


def draw_guesses(ax: Axes, row: float, guesses: Sequence[Guess]) -> None:
    """Draw guesses of one number as circles in a row, equal ones above each other, and what was
    measured, with its interval."""
    for value, times in Counter(guess.said for guess in guesses).items():
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
    for guess in guesses:
        if guess.measured is not None:
            ax.errorbar(guess.measured, row, xerr=np.nan_to_num(guess.half or 0.0), color=TRUTH)
            ax.plot(guess.measured, row, "s", color=TRUTH, label="measured")
            break
