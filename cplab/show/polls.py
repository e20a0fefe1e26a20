"""The answers of a class, read from whatever a poll writes, beside what was measured."""

import csv
import math
import re
from collections import Counter
from collections.abc import Mapping
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
Answers = dict[int, str]  # of one question, by the line of the file


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
    columns, known = read_poll(poll), {plain(name): of for name, of in (truth or {}).items()}
    found = {name: of for name, of in columns.items() if plain(name) in known}
    unknown = known.keys() - map(plain, found)
    have = f"its columns are {', '.join(columns)}; name one of them"
    require(not unknown, f"the poll has no column {', '.join(map(repr, unknown))}: {have}")
    if not truth:
        found = {name: of for name, of in columns.items() if is_guess(name, of)}
    if not found:
        return choices_figure(columns, title)
    numbers = {name: percents(name, of) for name, of in found.items()}
    count = max(map(len, numbers.values()))
    require(count, "the poll has no answers: give a row for each student")
    title = title or f"{count} answer{'s' * (count > 1)}"
    fig = figure(title, "percent", "", height=120 + 80 * len(numbers), x_range=(0, 100))
    for row, (name, values) in enumerate(numbers.items()):
        for value, times in Counter(values).items():  # equal ones above each other
            heights = [row - min(0.7, 0.11 * n) for n in range(1, times + 1)]
            how = {"color": LIVE.colour, "fillstyle": "none", "markersize": 7}
            fig.ax.plot([value] * times, heights, "o", **how, label="answers")
        of = known.get(plain(name), [])
        one = estimate(quantities.accuracy(of) if isinstance(of, Run) else of)
        if one.seeds:
            ends = np.nan_to_num(one.half)
            fig.ax.plot([one.mean - ends, one.mean + ends], [row] * 2, color=TRUTH)
            fig.ax.plot(one.mean, row, "s", color=TRUTH, label="measured")
    fig.ax.set_yticks(range(len(numbers)), [*numbers])
    fig.ax.set_ylim(len(numbers) - 0.7, -0.85)
    handles, labels = fig.ax.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))
    fig.ax.legend(entries.values(), entries, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return fig


def choices_figure(columns: Mapping[str, Answers], title: str) -> Figure:
    """Draw how many students chose each answer, in the column whose answers repeat most."""
    kinds = {name: Counter(of.values()) for name, of in columns.items() if of}
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


def read_poll(poll: Any) -> dict[str, Answers]:
    """Read a poll, a file or a table, as {column: its answers}, without empty ones."""
    if hasattr(poll, "columns"):
        rows = [(1, poll.columns), *enumerate(poll.to_numpy(), 2)]
    else:
        rows = read_rows(poll)
    (first, heads), *rows = [(line, [str(v).strip() for v in row]) for line, row in rows]
    while heads and not heads[-1]:  # a separator at the end of each line
        heads.pop()
    unnamed = [*filter(NUMBER.fullmatch, heads)]
    what = f"line {first} of {poll} says {', '.join(unnamed)}, and no question"
    require(not unnamed, f"{what}: name the columns in a line above the answers")
    columns: dict[str, Answers] = {head: {} for head in heads}
    require(len(columns) == len(heads), f"the poll's columns {heads} have a name twice: rename one")
    for line, row in rows:
        more = f"line {line} of {poll} has {len(row)} entries, the first line {len(heads)}"
        advice = f"{', '.join(row)!r}: put quotes round an entry with a separator"
        require(not any(row[len(heads) :]), f"{more}: {advice}")
        for name, text in zip(heads, row, strict=False):
            if text.lower() not in EMPTY:
                columns[name][line] = " ".join(text.split())
    return columns


def read_rows(path: Any) -> list[tuple[int, list[str]]]:
    """Read a file's rows that are not empty, each with the number of its line."""
    try:
        lines = decode(Path(path).read_bytes()).splitlines(keepends=True)
    except (OSError, TypeError) as error:
        raise CplabError(f"{path} cannot be read ({error}): give a CSV file") from error
    named = re.fullmatch(r"sep=(.)\s*", lines[0].lower()) if lines else None  # as Excel writes it
    head = next(filter(str.strip, lines[bool(named) :]), "")
    require(head, f"{path} is empty: give a row for each student")
    mark = named[1] if named else next((mark for mark in "\t;|," if mark in head), "\t")
    reader = csv.reader(lines, delimiter=mark, skipinitialspace=True)
    rows = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    return rows[bool(named) :]


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


def number(text: str) -> float:
    """The number of an answer, with a point or a comma, in percent or not; NaN without one.

    >>> number("about 55,5 %"), number("many")
    (55.5, nan)
    """
    match = NUMBER.fullmatch(text.lower())
    if match is None:
        return math.nan
    return float(match[3].replace(",", ".")) * (-1 if match[2] in ("-", "−") else 1)


def is_guess(name: str, answers: Answers) -> bool:
    """Whether most answers are numbers in percent, and not a count of rows."""
    numbers = [n for n in map(number, answers.values()) if not math.isnan(n)]
    most = len(numbers) * 2 > len(answers)
    large = sum(n > 100 for n in numbers) * 2 > len(numbers)  # of students, or years
    counted = len(numbers) > 2 and all(b - a == 1 for a, b in pairwise(numbers))
    return most and not large and not counted and not COUNTED.fullmatch(plain(name))


def percents(name: str, answers: Answers) -> list[float]:
    """The numbers of a column in percent; a column of fractions, none above 1, is multiplied.
    Raises: CplabError that names the line that is not understood."""
    numbers = {line: number(text) for line, text in answers.items()}
    fractions = {line for line, n in numbers.items() if 0 < n < 1 and "%" not in answers[line]}
    share = fractions and max(numbers.values()) <= 1 and "%" not in "".join(answers.values())
    for line, n in numbers.items():
        what = f"line {line} of the poll says {answers[line]!r} in column {name!r}"
        require(0 <= n <= 100, f"{what}: give a number from 0 to 100, or nothing")
        among = f"{what}, where others are percents"
        require(share or line not in fractions, f"{among}: write {100 * n:.4g}, or {n:g} %")
    return [100 * n if share else n for n in numbers.values()]
