"""Students' answers: reads the lines that `lab.hand_in` writes, draws a slide of a question, and
lists who has passed which checks. `cplab/output/answers.py` has the type of a line.
"""

from __future__ import annotations

import re
import textwrap
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from matplotlib.ticker import MaxNLocator

from cplab.base import palette
from cplab.base.errors import CplabError, whole
from cplab.estimates import estimate
from cplab.output.answers import LINE_BEGIN, Guess, Line, Prediction, Question, from_json
from cplab.output.styles import LIVE
from cplab.show.base import Figure, figure, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MEASURED_COLOUR = palette.BLUE
SLIDE = (752, 423)  # its size in pixels of a page, 16 to 9
COLUMN = 36  # letters of a line of an answer, beside its bar
FEWEST_ROWS = 4  # the fewest on a slide: bars of two answers are no wider than those of four
QUOTED = re.compile(r"^[> \t]+", re.M)  # what a mail writes before each line of another mail

Asked = TypeVar("Asked", Question, Prediction)


class HandedIn(NamedTuple):
    """A line, and the file in which it stands."""

    line: Line
    file: str

    @property
    def student(self) -> str:
        """Who handed it in: the name that was typed, or else the tab of the browser."""
        return self.line.name.casefold() or self.line.tab


# Reading -----------------------------------------------------------------------------------------


def read_handed_in(source: str | Path) -> list[HandedIn]:
    """Read what was handed in, and print what does not count.

    Lines of another lab than most are left out. Of lines with one name, or without a name from one
    tab of a browser, the last counts.

    Arguments:
        source: a file of lines, or a folder; folders in it are read as well.

    Returns:
        one line for each student.

    Raises:
        CplabError: if there is no line.
    """
    found = list[HandedIn]()
    unread = list[str]()
    for path, name in files_in(Path(source)):
        if path.suffix.lower() == ".zip":
            unread.append(f"{name} (unpack it first)")
            continue
        good, bad = read_lines(path)
        found.extend(HandedIn(line, name) for line in good)
        if good:
            unread.extend(f"{name}, line {number}" for number in bad)
        else:
            unread.append(name)
    if unread:
        print(f"Not read: {'; '.join(unread)}")
    if not found:
        raise CplabError(
            f"{source} holds nothing that was handed in: give a folder or a file with lines that "
            'begin with {"cplab", as `lab.hand_in` writes them; unpack a ZIP first'
        )
    return last_of_each(lines_of_one_lab(found))


def lines_of_one_lab(found: list[HandedIn]) -> list[HandedIn]:
    """The lines of the lab that most lines are of. The files of the others are printed."""
    counts = Counter(one.line.lab for one in found)
    most, _ = max(sorted(counts.items()), key=lambda count: count[1])
    for lab in sorted(counts.keys() - {most}):
        files = sorted({one.file for one in found if one.line.lab == lab})
        print(f"Left out, of lab {lab}: {', '.join(files)}")
    return [one for one in found if one.line.lab == most]


def last_of_each(found: list[HandedIn]) -> list[HandedIn]:
    """The last line of each student. The files of those with several lines are printed."""
    students = dict[str, list[HandedIn]]()
    for one in sorted(found, key=lambda one: (one.line.at, one.file)):
        # What was handed in from this tab before there was a name
        nameless = students.pop(one.line.tab, [])
        students.setdefault(one.student, []).extend([*nameless, one])
    last = []
    for *before, one in students.values():
        last.append(one)
        if before:
            files = ", ".join(earlier.file for earlier in before)
            print(f"Of one student: {files} and {one.file}, which is the last and counts")
    return sorted(last, key=lambda one: (one.line.name, one.file))


def files_in(source: Path) -> list[tuple[Path, str]]:
    """The files that a class handed in, each with its name within the source.

    Files and folders whose names begin with a dot, which the operating system and JupyterLab make,
    are left out.

    Raises:
        CplabError: if there is no such file or folder.
    """
    if source.is_file():
        return [(source, source.name)]
    if not source.is_dir():
        raise CplabError(f"{str(source)!r} is not there: give a folder or a file that is")
    files = []
    for path in sorted(source.rglob("*")):
        inner = path.relative_to(source)
        if path.is_file() and not any(part.startswith(".") for part in inner.parts):
            files.append((path, inner.as_posix()))
    return files


def read_lines(path: Path) -> tuple[list[Line], list[int]]:
    """Read a file: its lines, and the numbers of those that cannot be read, counted from 1.

    A line may be quoted, as in a mail, and wrapped. Whatever else stands there is passed over.
    """
    good = list[Line]()
    bad = list[int]()
    content = path.read_bytes()
    # PowerShell, which may have put all lines into one file, writes UTF-16
    encoding = "utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    text = QUOTED.sub("", content.decode(encoding, "replace"))
    starts = [match.start() for match in LINE_BEGIN.finditer(text)]
    for start, end in pairwise([*starts, len(text)]):
        line = from_json(text[start:end])
        if line:
            good.append(line)
        else:
            bad.append(text.count("\n", 0, start) + 1)
    return good, bad


# Who passed what ---------------------------------------------------------------------------------


def class_table(source: str | Path) -> pd.DataFrame:
    """Make a table of what each student handed in, a row for each: the name, if one was typed, the
    checks passed, how many answers and guesses were given, and the file. Students whose answers are
    all the same are printed.

    Arguments:
        source: as in `class_figure`.

    Raises:
        CplabError: if there is no line.

    >>> class_table("answers")
    Traceback (most recent call last):
    cplab.base.errors.CplabError: 'answers' is not there: give a folder or a file that is
    """
    import pandas as pd

    handed_in = read_handed_in(source)
    say_who_agrees(handed_in)
    rows = []
    for line, file in handed_in:
        rows.append(
            {
                "name": line.name,
                "checks passed": ", ".join(sorted(line.passed)),
                "answers": line.answers,
                "guesses": line.guesses,
                "file": file,
            }
        )
    return pd.DataFrame(rows)


def say_who_agrees(handed_in: Iterable[HandedIn]) -> None:
    """Print which students gave the same answers and guesses, by their files. That may be chance
    where few were asked."""
    same = dict[str, list[str]]()
    for line, file in handed_in:
        if line.asked:
            first = {key: asked.first for key, asked in line.asked.items()}
            same.setdefault(repr(first), []).append(file)
    for files in same.values():
        if len(files) > 1:
            print(f"The same answers: {', '.join(files)}")


# Drawing -----------------------------------------------------------------------------------------


@styled
def class_figure(source: str | Path, question: int = 1) -> Figure:
    """Draw a slide of one question: a bar for each answer that the class gave, the right one
    filled; or its guesses, beside what was measured.

    Arguments:
        source: a folder of students' files, with folders in it or not, or one file; they hold the
            lines that `lab.hand_in` writes. The last line of each student counts.
        question: which one. The first is the one that split the class most, the next ones follow;
            predictions come last.

    Raises:
        CplabError: if there is no line.

    >>> class_figure("answers")
    Traceback (most recent call last):
    cplab.base.errors.CplabError: 'answers' is not there: give a folder or a file that is
    """
    lines = [one.line for one in read_handed_in(source)]
    questions = sorted(by_digest(lines, Question), key=agreement)
    predictions = by_digest(lines, Prediction)
    titles = [first.asked for first, *_ in questions]
    titles += [first.asked for first, *_ in predictions]
    if not titles:
        raise CplabError(f"{source} holds no answers: its students had answered nothing yet")
    place = whole("question", question, 1, len(titles)) - 1
    below = f"Lab {lines[0].lab}, {len(lines)} handed in. Question {question} of {len(titles)}"
    fig = figure(titles[place], width=SLIDE[0], height=SLIDE[1], source=below)
    if place < len(questions):
        draw_choices(fig.ax, questions[place])
    else:
        draw_prediction(fig.ax, predictions[place - len(questions)])
    return fig


@styled
def class_networks(source: str | Path) -> Figure:
    """Draw a slide of the networks that a class has trained: a dot for each, and the mean with its
    interval over all of them together. Where they are of two kinds, the title is the difference,
    of each student's first networks beside their second ones.

    Arguments:
        source: as in `class_figure`.

    Raises:
        CplabError: if there is no line, or none with networks.

    >>> class_networks("answers")
    Traceback (most recent call last):
    cplab.base.errors.CplabError: 'answers' is not there: give a folder or a file that is
    """
    lines = [one.line for one in read_handed_in(source)]
    numbers: dict[str, list[float]] = {}  # of all students, by words
    students = [line.networks for line in lines if line.networks]
    for networks in students:
        for words, values in networks.items():
            numbers.setdefault(words, []).extend(values)
    if not numbers:
        raise CplabError(f"{source} holds no networks: nobody had trained any before handing in")
    title = ""
    if len(numbers) == 2:
        first, second = numbers
        differences = paired_differences(students, first, second)
        title = f"{first.capitalize()} minus {second}: {estimate(differences)} points"
    below = f"Lab {lines[0].lab}, {len(lines)} handed in, {len(students)} with networks"
    fig = figure(title, "harm, points", width=SLIDE[0], height=SLIDE[1], source=below)
    for row, values in enumerate(numbers.values()):
        points = estimate(values)
        heights = row - 0.14 * (1 + np.arange(len(values)) % 4)  # so that dots do not hide others
        fig.ax.plot(values, heights, "o", color=LIVE.colour, fillstyle="none", markersize=7)
        fig.ax.errorbar(
            points.mean, row, xerr=np.nan_to_num(points.half), color=MEASURED_COLOUR, capsize=6
        )
        fig.ax.plot(points.mean, row, "s", color=MEASURED_COLOUR)
    labels = [f"{words}\n{estimate(values)!r}" for words, values in numbers.items()]
    fig.ax.set_yticks(range(len(labels)), labels)
    fig.ax.set_ylim(len(labels) - 0.6, -0.9)
    fig.ax.axvline(0, color=palette.GREY, linewidth=1)
    return fig


def paired_differences(
    students: Iterable[Mapping[str, Sequence[float]]], first: str, second: str
) -> list[float]:
    """The differences between numbers of one kind and of another, of students who have both, in
    their order: a student's networks have the same seeds in both.

    >>> paired_differences([{"early": [3.0, 4.0], "late": [1.0, 1.5]}, {"late": [1.0]}],
    ...                    "early", "late")
    [2.0, 2.5]
    """
    differences = []
    for networks in students:
        for one, other in zip(networks.get(first, ()), networks.get(second, ()), strict=False):
            differences.append(one - other)
    return differences


def by_digest(lines: Iterable[Line], kind: type[Asked]) -> list[list[Asked]]:
    """What the students answered to each question, or to each prediction: a list for each of them.

    Arguments:
        kind: Question or Prediction.
    """
    given: dict[str, list[Asked]] = {}
    for line in lines:
        for digest, asked in line.asked.items():
            if isinstance(asked, kind):
                given.setdefault(digest, []).append(asked)
    return list(given.values())


def agreement(given: Sequence[Question]) -> float:
    """The share of the class that gave the most frequent answer to a question."""
    counts = Counter(question.first for question in given)
    return max(counts.values()) / len(given)


def draw_choices(ax: Axes, given: Sequence[Question]) -> None:
    """Draw a bar for each answer to a question: the right one first, filled, though nobody gave
    it; then the others, most frequent ones first."""
    counts = Counter(question.first for question in given)
    # None in lines of students who ran the lab before its networks were trained
    right = next((question.right for question in given if question.right is not None), None)
    in_order = [answer for answer, _ in counts.most_common() if answer not in (right, None)]
    if right is not None:
        in_order.insert(0, right)
    labels = list[str]()
    for place, answer in enumerate(in_order):
        is_right = answer == right
        draw_answer(ax, place, counts[answer], is_right)
        words = given[0].answers[answer]
        labels.append(textwrap.fill(("✓ " if is_right else "") + words, COLUMN))
    ax.set_yticks(range(len(labels)), labels)
    ax.set_xlabel("students")
    ax.set_xlim(0, None)
    ax.set_ylim(max(len(labels), FEWEST_ROWS) - 0.5, -0.5)
    ax.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True))
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)


def draw_answer(ax: Axes, place: float, count: int, is_right: bool) -> None:
    """Draw how often an answer was given, as a bar; the right answer's is filled."""
    if is_right:
        colour = fill = MEASURED_COLOUR
    else:
        colour = LIVE.colour
        fill = "none"
    ax.barh(place, count, 0.66, facecolor=fill, edgecolor=colour, linewidth=1.5)
    ax.text(count, place, f" {count}", va="center")


def draw_prediction(ax: Axes, given: Sequence[Prediction]) -> None:
    """Draw all guesses of a prediction, a row for each number that was guessed."""
    names = given[0].of
    for row, guesses in enumerate(zip(*[one.guesses for one in given], strict=True)):
        draw_guesses(ax, row, guesses)
    ax.set_yticks(range(len(names)), [textwrap.fill(words, COLUMN) for words in names])
    ax.margins(x=0.06)
    ax.set_xlabel(given[0].unit)
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
            ax.errorbar(
                guess.measured, row, xerr=np.nan_to_num(guess.half or 0.0), color=MEASURED_COLOUR
            )
            ax.plot(guess.measured, row, "s", color=MEASURED_COLOUR, label="measured")
            break
