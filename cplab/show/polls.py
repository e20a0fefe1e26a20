"""The answers of a class, read from whatever a poll writes, beside what was measured."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from cplab import quantities
from cplab.errors import CplabError, require
from cplab.runs import Run
from cplab.show.base import Figure, figure, styled
from cplab.show.styles import LIVE
from cplab.statistics import estimate

TRUTH = "#0072B2"
EMPTY = {"", "-", "–", "—", "?", "n/a", "na", "nan", "none", "null"}
COUNTED = re.compile(
    r"(row |student |matri\w* ?)?(id|nr\.?|no\.?|number|#)|index|(time ?|zeit)stamp|year"
)
NUMBER = re.compile(r"(about |ca\.? ?|~|≈)?([+−-]?)(\d+(?:[.,]\d*)?|[.,]\d+) ?(%|percent|prozent)?")


@dataclass(frozen=True)
class Answer:
    """What stands in one place of a poll, and in which line of its file."""

    text: str
    line: int

    @property
    def number(self) -> float:
        """Its number, with a point or a comma, with or without a percent sign; NaN without one."""
        match = NUMBER.fullmatch(self.text.lower())
        if match is None:
            return math.nan
        return float(match[3].replace(",", ".")) * (-1 if match[2] in ("-", "−") else 1)


@styled
def class_figure(poll: Any, truth: Mapping[str, Any] | None = None, title: str = "") -> Figure:
    """Draw the answers of a whole class beside what was measured.

    Arguments: poll, a CSV file from any poll, or a table, with a column for each question and a row
        for each student: numbers in percent, or chosen answers. Separators may be commas,
        semicolons, tabs or |, decimals points or commas; columns of names and times are left out.
        truth, {column: Run, Estimate or accuracies in percent}: then these columns are drawn;
        title, by default the number of answers.

    >>> import pandas as pd
    >>> class_figure(pd.DataFrame({"blur": ["55", "60 %", "60,5"]}), {"blur": [56, 57]})
    3 answers: percent: answers, measured
    """
    columns = read_poll(poll)
    asked = [find_column(name, columns) for name in truth or ()]
    numbers = {name: percents(name, columns[name]) for name in asked or numeric(columns)}
    if not numbers:
        return choices_figure(columns, title)
    count = max(map(len, numbers.values()))
    require(count, "the poll has no answers: give a row for each student")
    title = title or f"{count} answer{'s' * (count > 1)}"
    fig = figure(title, "percent", "", height=120 + 80 * len(numbers), x_range=(0, 100))
    for row, (name, values) in enumerate(numbers.items()):
        stacked: Counter[float] = Counter()
        for value in sorted(values):
            stacked[value] += 1
            height = row - min(0.7, 0.11 * stacked[value])
            how = {"color": LIVE.colour, "fillstyle": "none", "markersize": 7}
            fig.ax.plot(value, height, "o", **how, label="answers")
        known = measured(truth, name)
        if known.seeds:
            ends = np.nan_to_num(known.half)
            fig.ax.plot([known.mean - ends, known.mean + ends], [row] * 2, color=TRUTH)
            fig.ax.plot(known.mean, row, "s", color=TRUTH, label="measured")
    fig.ax.set_yticks(range(len(numbers)), [*numbers])
    fig.ax.set_ylim(len(numbers) - 0.7, -0.85)
    handles, labels = fig.ax.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))
    fig.ax.legend(entries.values(), entries, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return fig


def measured(truth: Mapping[str, Any] | None, column: str) -> Any:
    """The Estimate of a column, in percent."""
    of: Any = next((v for n, v in (truth or {}).items() if plain(n) == plain(column)), [])
    return estimate(quantities.accuracy(of) if isinstance(of, Run) else of)


def choices_figure(columns: Mapping[str, Sequence[Answer]], title: str) -> Figure:
    """Draw how many students chose each answer, in the column whose answers repeat most."""
    kinds = {name: Counter(answer.text for answer in of) for name, of in columns.items() if of}
    require(kinds, "the poll has no answers: give a row for each student")
    name = min(reversed(kinds), key=lambda name: len(kinds[name]) / kinds[name].total())
    counts = kinds[name]
    title = title or f"{name}: {counts.total()} answer{'s' * (counts.total() > 1)}"
    fig = figure(title, "students", "", height=110 + 36 * len(counts))
    fig.ax.barh(range(len(counts)), [*counts.values()], 0.6, color=(LIVE.colour, 0.6))
    fig.ax.set_yticks(range(len(counts)), [*counts])
    fig.ax.xaxis.get_major_locator().set_params(integer=True)
    fig.ax.invert_yaxis()
    return fig


# Reading ------------------------------------------------------------------------------------------


def read_poll(poll: Any) -> dict[str, list[Answer]]:
    """Read a poll, a file or a table, as {column: its answers}, without empty ones."""
    if hasattr(poll, "columns"):
        rows = [(i, [str(value) for value in row]) for i, row in enumerate(poll.to_numpy(), 2)]
        heads = [*map(str, poll.columns)]
    else:
        (first, heads), *rows = read_rows(poll)
        unnamed = [*filter(NUMBER.fullmatch, map(str.strip, heads))]
        what = f"line {first} of {poll} says {', '.join(unnamed)}, and no question"
        require(not unnamed, f"{what}: name the columns in a line above the answers")
    columns: dict[str, list[Answer]] = {head.strip(): [] for head in heads}
    require(len(columns) == len(heads), f"the poll's columns {heads} have a name twice: rename one")
    for line, row in rows:
        for name, text in zip(columns, row, strict=True):
            if text.strip().lower() not in EMPTY:
                columns[name].append(Answer(" ".join(text.split()), line))
    return columns


def read_rows(path: Any) -> list[tuple[int, list[str]]]:
    """Read a file's rows, each with the number of its line; the first row has the names."""
    try:
        data = Path(path).read_bytes()
    except (OSError, TypeError) as error:
        raise CplabError(f"{path} cannot be read ({error}): give a CSV file") from error
    text = decode(data)
    first, _, rest = text.partition("\n")
    begin, named = 1, re.fullmatch(r"sep=(.)", first.strip().lower())
    if named:  # as Excel writes it
        text, begin = rest, 2
    lines = text.splitlines()
    require(any(map(str.strip, lines)), f"{path} is empty: give a row for each student")
    head = next(line for line in lines if line.strip())
    present = [mark for mark in "\t;|," if mark in head]
    mark = named[1] if named else next(iter(present), "\t")
    reader = csv.reader(io.StringIO(text), delimiter=mark, skipinitialspace=True)
    rows, line = [], begin
    for row in reader:
        if any(map(str.strip, row)):
            rows.append((line, row))
        line = begin + reader.line_num
    width = max((i for i, name in enumerate(rows[0][1], 1) if name.strip()), default=0)
    table = []
    for line, row in rows:
        what = f"line {line} of {path} has {len(row)} entries, the first line {width}"
        advice = f"{mark.join(row)!r}: put quotes round an entry with {mark!r}"
        require(not any(map(str.strip, row[width:])), f"{what}: {advice}")
        table.append((line, [*row[:width], *[""] * (width - len(row))]))
    return table


def decode(data: bytes) -> str:
    """Decode a file as programs of tables write them."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def plain(name: str) -> str:
    """A name without case and the spaces around it."""
    return str(name).strip().lower()


def find_column(name: str, columns: Mapping[str, Any]) -> str:
    """Find a column by its name, whatever its case."""
    found = [column for column in columns if plain(column) == plain(name)]
    have = f"its columns are {', '.join(columns)}; name one of them"
    require(found, f"the poll has no column {name!r}: {have}")
    return found[0]


def numeric(columns: Mapping[str, Sequence[Answer]]) -> list[str]:
    """The columns with guesses in percent: most answers are numbers, and no count of rows."""
    found = []
    for name, answers in columns.items():
        numbers = [answer.number for answer in answers if not math.isnan(answer.number)]
        most = len(numbers) * 2 > len(answers)
        large = sum(number > 100 for number in numbers) * 2 > len(numbers)  # of students, or years
        counted = len(numbers) > 2 and all(b - a == 1 for a, b in pairwise(numbers))
        if most and not large and not counted and not COUNTED.fullmatch(plain(name)):
            found.append(name)
    return found


def percents(name: str, answers: Sequence[Answer]) -> list[float]:
    """The numbers of a column in percent; a column of fractions, none above 1, is multiplied.
    Raises: CplabError that names the line that is not understood."""
    for answer in answers:
        line = f"line {answer.line} of the poll says {answer.text!r} in column {name!r}"
        require(0 <= answer.number <= 100, f"{line}: give a number from 0 to 100, or nothing")
    numbers = [answer.number for answer in answers]
    signed = any("%" in answer.text for answer in answers)
    fractions = numbers and max(numbers) <= 1 and any(n != int(n) for n in numbers) and not signed
    return [100 * n for n in numbers] if fractions else numbers
