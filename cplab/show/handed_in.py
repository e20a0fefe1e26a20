"""A class's answers: reads and draws the lines that `lab.hand_in` writes.

A line is JSON and holds everything that is drawn: the question, the first answer, and what is right
or was measured. Nothing else is needed, and no lab has to be run.
"""

import csv
import io
import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.transforms import blended_transform_factory

from cplab.errors import CplabError
from cplab.show.base import GREY, SMALL, Figure, figure, styled
from cplab.styles import LIVE

TRUTH = "#0072B2"
BEGIN = '{"cplab"'  # of a line
COLUMN = 44  # letters of an answer beside its bar
WIDE = 84  # letters of a question above its bars


@dataclass(frozen=True)
class Hands:
    """A class's lines for one lab; and what could not be read, in words."""

    lab: str
    lines: list[dict[str, Any]]
    unread: list[str] = field(default_factory=list)

    def choices(self) -> dict[str, tuple[Counter, str | None]]:
        """How often each answer was the first one given, and the right answer, by question."""
        found: dict[str, tuple[Counter, str | None]] = {}
        for line in self.lines:
            for answer in line["answers"]:
                counts, right = found.setdefault(answer["asked"], (Counter(), answer["right"]))
                counts[answer["said"]] += 1
                if right is None:  # of who ran the lab before its networks were trained
                    found[answer["asked"]] = (counts, answer["right"])
        return found

    def guesses(self) -> dict[str, dict[str, tuple[list[float], tuple[float, float] | None]]]:
        """The guesses, and what was measured with half of its interval, by unit and by words."""
        found: dict[str, dict] = {}
        for line in self.lines:
            for guess in line["guesses"]:
                rows = found.setdefault(guess["unit"], {})
                known = guess["measured"], guess["half"]
                measured = None if known[0] is None else (known[0], known[1] or 0.0)
                said, before = rows.get(guess["of"], ([], None))
                rows[guess["of"]] = ([*said, float(guess["said"])], measured or before)
        return found

    def passed(self) -> Counter:
        """How many students have passed each check."""
        return Counter(key for line in self.lines for key in line["passed"])


# Reading -----------------------------------------------------------------------------------------


def read_hands(source: Any) -> Hands | None:
    """Read what was handed in, or return None if the source is a poll.

    Arguments: source, a folder, whose files hold a line each or many; a file; or a table, one of
        whose columns has the lines. What a student with a name handed in again takes the place of
        what was there.
    Raises: CplabError for a folder without a line, or lines of several labs.
    """
    lines: dict[Any, dict[str, Any]] = {}
    unread = list[str]()
    for place, text in texts_of(source):
        try:
            line = json.loads(text)
            name = line.get("name")
            key = ("name", name) if name else ("line", len(lines))
            Hands("", [line]).choices()  # it has all that is drawn
            Hands("", [line]).guesses()
            Hands("", [line]).passed()
        except (ValueError, KeyError, TypeError, AttributeError):
            unread.append(place)
            continue
        lines.pop(key, None)
        lines[key] = line
    if not lines and not unread:
        if is_folder(source):
            raise CplabError(
                f"{source} holds nothing that was handed in: put files there whose lines begin "
                f"with {BEGIN}, or name a file"
            )
        return None
    labs = sorted({line["lab"] for line in lines.values()})
    if len(labs) != 1:
        found = f"lines of labs {', '.join(labs)}"
        if not labs:
            found = f"nothing that can be read, at {', '.join(unread)}"
        raise CplabError(f"{source} holds {found}: give lines of one lab")
    return Hands(labs[0], [*lines.values()], unread)


def texts_of(source: Any) -> Iterator[tuple[str, str]]:
    """The texts that begin as a line does, each with its place."""
    if is_folder(source):
        for path in sorted(Path(source).iterdir()):
            if path.is_file():
                yield from texts_of(path)
    elif isinstance(source, str | Path):
        yield from texts_in_file(Path(source))
    elif hasattr(source, "columns"):
        for column in source:
            for row, value in enumerate(source[column]):
                if str(value).strip().startswith(BEGIN):
                    yield f"row {row} of the table", str(value).strip()


def texts_in_file(path: Path) -> Iterator[tuple[str, str]]:
    """The lines in a file, one below the other, or as cells of a table with any separator."""
    try:
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except OSError:
        return  # what it is, the poll says
    quoted = BEGIN.replace('"', '""') in text
    for number, line in enumerate(text.splitlines(), 1):
        if not quoted:
            begin = line.find(BEGIN)
            if begin >= 0:
                yield f"{path.name}, line {number}", line[begin:].strip()
            continue
        for mark in ",;\t":
            cells = next(csv.reader(io.StringIO(line), delimiter=mark), [])
            found = [cell.strip() for cell in cells if cell.strip().startswith(BEGIN)]
            if found:
                for cell in found:
                    yield f"{path.name}, line {number}", cell
                break


def is_folder(source: Any) -> bool:
    """Whether a source is a folder."""
    return isinstance(source, str | Path) and Path(source).is_dir()


# Drawing -----------------------------------------------------------------------------------------


@styled
def handed_in_figure(hands: Hands, title: str = "") -> Figure:
    """Draw what a class handed in: bars for the answers to each question, the right one filled, and
    guesses beside what was measured, an axis for each unit."""
    choices, guesses = hands.choices(), hands.guesses()
    bars = sum(len(counts) + 1.3 for counts, _ in choices.values())
    heights = [30 * bars] * bool(choices)
    heights += [60 + 62 * len(rows) for rows in guesses.values()]
    title = title or f"Lab {hands.lab}, {len(hands.lines)} handed in"
    fig = figure(title, height=round(110 + sum(heights)), source=words_below(hands))
    fig.delaxes(fig.ax)
    axes = fig.subplots(len(heights), squeeze=False, height_ratios=heights)[:, 0]
    if choices:
        draw_choices(axes[0], choices)
    for ax, (unit, rows) in zip(axes[bool(choices) :], guesses.items(), strict=True):
        for row, (said, measured) in enumerate(rows.values()):
            draw_guesses(ax, row, said, measured)
        ax.set_yticks(range(len(rows)), [textwrap.fill(words, COLUMN) for words in rows])
        ax.margins(x=0.06)
        ax.set(xlabel=unit, ylim=(len(rows) - 0.6, -0.9))
        handles, labels = ax.get_legend_handles_labels()
        entries = dict(zip(labels, handles, strict=True))
        ax.legend(entries.values(), entries, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return fig


def words_below(hands: Hands) -> str:
    """The words below the figure: checks that were passed, and what could not be read."""
    parts = []
    if passed := hands.passed():
        counts = ", ".join(f"{key} {count}" for key, count in sorted(passed.items()))
        parts.append(f"passed checks: {counts}")
    if hands.unread:
        parts.append(f"not read: {'; '.join(hands.unread)}")
    return ". ".join(parts)


def draw_choices(ax: Any, choices: dict[str, tuple[Counter, str | None]]) -> None:
    """Draw a bar for each answer, below its question; the right answer's is filled."""
    place, places, labels = 0.0, list[float](), list[str]()
    for asked, (counts, right) in choices.items():
        text = "\n".join(textwrap.wrap(asked, WIDE)[:2])
        from_the_left = blended_transform_factory(ax.figure.transFigure, ax.transData)
        how = {"transform": from_the_left, "va": "center", "weight": "bold"}
        ax.text(0.01, place, text, **how).set_in_layout(False)
        place += 1
        answers = sorted(counts, key=lambda answer: (answer != right, -counts[answer]))
        if right is not None and right not in counts:
            answers.insert(0, right)
        for answer in answers:
            hue = TRUTH if answer == right else LIVE.colour
            fill = hue if answer == right else "none"
            ax.barh(place, counts[answer], 0.66, facecolor=fill, edgecolor=hue, linewidth=1.5)
            ax.text(counts[answer], place, f" {counts[answer]}", va="center", fontsize=SMALL)
            mark = "✓ " if answer == right else ""
            places.append(place)
            labels.append(mark + textwrap.shorten(answer, COLUMN, placeholder=" …"))
            place += 1
        place += 0.3
    ax.set_yticks(places, labels)
    ax.set(xlabel="students", ylim=(place - 0.5, -0.6), xlim=(0, None))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(False, axis="y")
    ax.axvline(0, color=GREY, linewidth=0.8)


def draw_guesses(
    ax: Any, row: int, values: Sequence[float], measured: tuple[float, float] | None
) -> None:
    """Draw guesses as circles in a row, equal ones above each other, and what was measured: its
    mean and half of its interval, or None."""
    for value, times in Counter(values).items():
        heights = [row - min(0.7, 0.11 * n) for n in range(1, times + 1)]
        how = {"color": LIVE.colour, "fillstyle": "none", "markersize": 7}
        ax.plot([value] * times, heights, "o", **how, label="answers")
    if measured:
        mean, half = measured
        ax.errorbar(mean, row, xerr=np.nan_to_num(half), color=TRUTH)
        ax.plot(mean, row, "s", color=TRUTH, label="measured")
