"""A class's answers, from a poll's table, beside what was measured."""

import io
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cplab import quantities
from cplab.errors import CplabError, one_of, require
from cplab.show.base import Figure, figure, styled
from cplab.show.handed_in import draw_guesses, handed_in_figure, read_hands
from cplab.styles import LIVE

EMPTY = ["", "-", "–", "—", "?"]  # besides what pandas takes for empty
AROUND = r"^(about|ca\.?|~|≈|%)\s*|\s*(%|percent|prozent|points?)$"  # a number
PERCENT = r"%|percent|prozent"
NOT_A_GUESS = re.compile(  # names of columns that polls add, or teachers
    r"\b(group|gruppe|seat|sitz|platz|row|reihe|team|table|tisch|section|id|nr|no|number|nummer|"
    r"matric\w*|matrikel\w*|student|age|alter|semester|year|jahr|time|zeit|duration|dauer|"
    r"sec|secs|seconds?|sekunden|minutes?|minuten|points?|punkte|score|grade|note|feedback)\b",
    re.I,
)
ABOVE = re.compile(r"(?:\s*\n)?(?:\"?sep=(.)\"?\s*\n)?", re.I)  # empty lines, and Excel's sep=;


@styled
def class_figure(
    poll: Any, truth: Mapping[str, Any] | None = None, title: str = "", unit: str = "percent"
) -> Figure:
    """Draw the answers of a whole class beside what was measured.

    Arguments: poll, a folder or a file with lines that `lab.hand_in` writes, which hold their own
        truth; or a CSV file from any poll, or a table, with a column for each question and a row
        for each student: numbers in percent, or chosen answers. Separators may be commas,
        semicolons, tabs or |, decimals points or commas; columns of names and times are left out.
        truth, {column: Run, Estimate or numbers in the unit}: then these columns are drawn; title,
        by default the number of answers; unit, another one, such as points, takes any numbers.

    >>> import pandas as pd
    >>> class_figure(pd.DataFrame({"blur": ["55", "60 %", "60,5"]}), {"blur": [56, 57]})
    3 answers: percent: answers, measured
    >>> class_figure(pd.DataFrame({"harm": [0.5, -2, 120]}), {"harm": [3, 4]}, unit="points")
    3 answers: points: answers, measured
    >>> class_figure(pd.DataFrame({"ends": ["ahead", "behind", "ahead"], "status": ["done"] * 3}))
    ends: 3 answers: students
    """
    if hands := read_hands(poll):
        return handed_in_figure(hands, title)
    table = read_poll(poll)
    names, given = {plain(name): name for name in table}, (truth or {}).items()
    known = {names[one_of("column of the poll", plain(name), names)]: of for name, of in given}
    asked = known or [name for name in table if is_guess(name, table[name])]
    if not asked:
        return choices_figure(table, title)
    measured = {name: quantities.measured(known.get(name, [])) for name in asked}
    numbers = {n: guesses(n, table[n].dropna(), unit, measured[n].mean) for n in asked}
    count = max(map(len, numbers.values()))
    title = title or f"{count} answer{'s' * (count > 1)}"
    scale = (0, 100) if unit == "percent" else None
    fig = figure(title, unit, "", height=120 + 80 * len(numbers), x_range=scale)
    for row, (name, values) in enumerate(numbers.items()):
        one = measured[name]
        draw_guesses(fig.ax, row, values, (one.mean, one.half) if one.seeds else None)
    untrained = {name: f"{name}\n{measured[name]}" for name in known if not measured[name].seeds}
    fig.ax.set_yticks(range(len(numbers)), [untrained.get(name, name) for name in numbers])
    fig.ax.set_ylim(len(numbers) - 0.7, -0.85)
    handles, labels = fig.ax.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))
    fig.ax.legend(entries.values(), entries, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return fig


def choices_figure(table: Any, title: str) -> Figure:
    """Draw how many students chose each answer, for the column whose answers repeat most."""
    several = table.loc[:, table.nunique() > 1]  # not a column that says the same of all
    shares = several.nunique() / several.count()
    name = shares.iloc[::-1].idxmin() if several.size else table.columns[-1]
    counts = table[name].value_counts(sort=False)
    title = title or f"{name}: {counts.sum()} answer{'s' * (counts.sum() > 1)}"
    fig = figure(title, "students", "", height=110 + 36 * len(counts))
    fig.ax.barh(range(len(counts)), [*counts], 0.6, color=(LIVE.colour, 0.6))
    fig.ax.set_yticks(range(len(counts)), [*counts.index])
    fig.ax.xaxis.get_major_locator().set_params(integer=True)
    fig.ax.invert_yaxis()
    return fig


# Reading ------------------------------------------------------------------------------------------


def read_poll(poll: Any) -> Any:
    """Read a poll (a file or a table) as a table of texts without empty columns, one row a student.
    Raises: CplabError where it cannot be read, or has no answers."""
    import pandas as pd

    table = poll.reset_index(drop=True) if isinstance(poll, pd.DataFrame) else read_file(poll)
    table = table.set_axis([str(name).strip() for name in table], axis=1)
    require(table.columns.map(plain).is_unique, "two columns of {} are alike: rename one", [*table])
    table = table.astype("string").apply(lambda answers: answers.str.normalize("NFKC").str.strip())
    table = table.mask(table.isin(EMPTY)).dropna(axis=1, how="all")
    require(table.size, "the poll has no answers: give a row for each student")
    unnamed = [name for name in table if number(pd.Series([name], dtype="string")).notna().all()]
    require(not unnamed, "the first line says {}: name the columns in a line above it", unnamed)
    return table


def read_file(path: Any) -> Any:
    """Read a CSV file as spreadsheet programs write it."""
    import pandas as pd

    try:
        data = Path(path).read_bytes()
        code = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        try:
            text = data.decode(code)
        except UnicodeDecodeError:
            text = data.decode("cp1252", "replace")
        require("\0" not in text, f"{path} is no text: save the table as a CSV file")
        above, mark = ABOVE.match(text).group(0, 1)  # type: ignore[union-attr]
        text = text.removeprefix(above)
        first = re.sub('"[^"]*"', "", text).partition("\n")[0]  # without what is quoted
        mark = mark or next((mark for mark in "\t;|," if mark in first), "\t")
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of a line with more entries than the first
            how: dict[str, Any] = {"sep": mark, "dtype": str, "index_col": False}
            how |= {"skip_blank_lines": False, "skipinitialspace": True}
            table = pd.read_csv(io.StringIO(text), **how)
        table.index += above.count("\n")  # a row's line in the file
        return table
    except (OSError, TypeError, ValueError, Warning) as error:
        line = f"{path} cannot be read ({error}): give a CSV file, what holds a comma in quotes"
        raise CplabError(" ".join(line.split())) from error


def plain(name: Any) -> str:
    """A name without case and the spaces around it."""
    return str(name).strip().lower()


def number(answers: Any) -> Any:
    """The numbers in a column of texts, with a point or a comma, in percent or not; else NaN."""
    import pandas as pd

    texts = answers.str.replace(AROUND, "", regex=True, case=False).str.replace(",", ".")
    return pd.to_numeric(texts, errors="coerce").astype(float)


def is_guess(name: str, answers: Any) -> bool:
    """Whether most answers are numbers in percent, and neither a count of rows nor what the name of
    the column says, such as a seat, a group or seconds."""
    numbers = number(answers).dropna()
    if len(numbers) * 2 <= answers.count() or numbers.median() > 100:
        return False
    counted = numbers.iloc[0] in (0, 1) and len(numbers) > 2 and (numbers.diff()[1:] == 1).all()
    return not counted and not NOT_A_GUESS.search(name)


def guesses(name: str, answers: Any, unit: str, truth: float) -> list[float]:
    """The numbers of a column. In percent, one of fractions, all between 0 and 1, is multiplied;
    what has a percent sign stays. Raises: CplabError that names the line that is not understood,
    and for a truth that is no accuracy."""
    numbers = number(answers)
    if unit != "percent":
        refuse(name, answers, ~np.isfinite(numbers), "give a number, or nothing")
        return [*map(float, numbers)]
    signed = answers.str.contains(PERCENT, regex=True, case=False)
    fractions = bool(numbers.max() <= 1) and not signed.any()
    small = 0 < truth < 1 or (fractions and truth < 10)
    require(not small, f"{name!r} is {truth:g}: give percent, or its unit, as unit='share'")
    either = fractions and bool(numbers.isin([0, 1]).all() or (numbers == 1).any())
    line = f"column {name!r} has no number above 1, which may be percent or parts"
    require(not either, f"{line}: write 0.5 % with its sign, or 50 for a half")
    slip = numbers.between(0, 1, "neither") & ~signed & (not fractions)  # among percents
    advice = "give percent from 0 to 100 (50, not 0.5) or nothing, or take unit='points'"
    refuse(name, answers, ~numbers.between(0, 100) | slip, advice)
    return [*map(float, numbers * (100 if fractions else 1))]


def refuse(name: str, answers: Any, wrong: Any, advice: str) -> None:
    """Raise a CplabError that names the first line whose answer is wrong, if there is one."""
    for row in answers.index[wrong]:
        what = f"line {row + 2} of the poll says {answers[row]!r} in column {name!r}"
        raise CplabError(f"{what}: {advice}")
