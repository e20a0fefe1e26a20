"""A class's answers, from a poll's table, beside what was measured."""

import io
import re
import unicodedata
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cplab import quantities
from cplab.errors import CplabError, one_of, quote
from cplab.estimates import Estimate
from cplab.show.base import Figure, figure, styled, whole_numbers
from cplab.show.handed_in import draw_guesses, handed_in_figure, read_handed_in
from cplab.styles import LIVE

if TYPE_CHECKING:
    import pandas as pd

MARKS = "\t;|,"  # between a file's columns, in the order in which they are looked for
EMPTY = ["", "-", "–", "—", "?"]  # answers that say nothing, besides what pandas takes for empty
# What stands before a number or behind it
AROUND_NUMBER = r"^(about|ca\.?|~|≈|%)\s*|\s*(%|percent|prozent|points?)$"
PERCENT_SIGN = r"%|percent|prozent"
NOT_A_GUESS = re.compile(  # names of columns that polls add, or teachers, with spaces between words
    r"\b(groups?|gruppe|groupe|grupo|seats?|sitz|platz|row|reihe|fila|team|table|tisch|desk|bench|"
    r"section|id|nr|number|\w*nummer|matric\w*|matrikel\w*|students?|age|edad|alter|semester|"
    r"\w+semester|years?|\w*jahr|time|tiempo|temps|\w*zeit|elapsed|duration|dauer|hours?|stunden?|"
    r"secs?|seconds?|sekunden|minutes?|minuten|points?|punkte|puntos|score|grade|note|nota|feedback|"
    r"gender|sex|respondent|percentile|unnamed|\w+platz)\b|\bno\.?$|"
    r"^(room|raum|hall|course|kurs|klasse|computer|pc|rechner|week|woche|day|tag|month|monat|"
    r"attempts?|versuch|session|plz|postcode|zip|confidence|place|index|rank|total|user|version|"
    r"clicks|progress|ip|n)\b.{0,20}$",  # unless in a question
    re.I,
)
# What a file has above its first line: empty lines, and Excel's sep=;
ABOVE = re.compile(r"(?:\s*\n)?(?:\"?sep=(?P<mark>.)\"?\s*\n)?", re.I)


@styled
def class_figure(
    poll: Any, truth: Mapping[str, Any] | None = None, title: str = "", unit: str = "percent"
) -> Figure:
    """Draw the answers of a whole class beside what was measured.

    Arguments:
        poll: a folder or a file with lines that `lab.hand_in` writes, which hold what was measured;
            or a CSV file from any poll, or a table, with a column for each question and a row for
            each student: numbers in percent, or chosen answers. Separators may be commas,
            semicolons, tabs or |, decimals points or commas. Columns of names and times are left
            out.
        truth: {column: Run, Estimate or numbers in the unit}; these columns are then drawn.
        title: by default the number of answers.
        unit: percent, from 0 to 100, or another one, such as points, which takes any numbers.
    Raises: CplabError for a poll that cannot be read, and for an answer that is not understood.

    >>> import pandas as pd
    >>> class_figure(pd.DataFrame({"blur": ["55", "60 %", "60,5"]}), {"blur": [56, 57]})
    3 answers: percent: answers, measured
    >>> class_figure(pd.DataFrame({"harm": [0.5, -2, 120]}), {"harm": [3, 4]}, unit="points")
    3 answers: points: answers, measured
    >>> class_figure(pd.DataFrame({"ends": ["ahead", "behind", "ahead"], "status": ["done"] * 3}))
    ends: 3 answers: students
    """
    handed_in = read_handed_in(poll)
    if handed_in:
        return handed_in_figure(handed_in, title)
    table = read_poll(poll)
    columns = {casefolded(name): str(name) for name in table}
    truths: dict[str, Any] = {}
    for name, value in (truth or {}).items():
        column = columns[one_of("column of the poll", casefolded(name), columns)]
        truths[column] = value
    asked = [*truths] or [name for name in columns.values() if is_guess(name, table[name])]
    if not asked:
        return choices_figure(table, title)
    measured = {}
    numbers = {}
    for name in asked:
        mean = np.nan  # of what was measured
        if name in truths:
            measured[name] = quantities.measured(truths[name])
            mean = measured[name].mean
        numbers[name] = guesses(name, table[name].dropna(), unit, mean)
    return guesses_figure(numbers, measured, title, unit)


def guesses_figure(
    numbers: Mapping[str, list[float]], measured: Mapping[str, Estimate], title: str, unit: str
) -> Figure:
    """Draw a row of guesses for each column of a poll.

    Arguments: numbers, the guesses, by column; measured, what was measured, by column where it is
        given; title, by default the number of answers; unit.
    """
    title = title or in_answers(max(map(len, numbers.values())))
    scale = (0, 100) if unit == "percent" else None
    fig = figure(title, unit, "", height=120 + 80 * len(numbers), x_range=scale)
    labels = []
    for row, (name, values) in enumerate(numbers.items()):
        points = measured.get(name)
        interval = None
        label = name
        if points is not None and points.seeds:
            interval = (points.mean, points.half)
        elif points is not None:
            label = f"{name}\n{points}"  # which says that it is not trained yet
        draw_guesses(fig.ax, row, values, interval)
        labels.append(label)
    fig.ax.set_yticks(range(len(labels)), labels)
    fig.ax.set_ylim(len(labels) - 0.7, -0.85)
    handles, words = fig.ax.get_legend_handles_labels()
    entries = dict(zip(words, handles, strict=True))  # each once
    fig.ax.legend(entries.values(), entries, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return fig


def choices_figure(table: "pd.DataFrame", title: str) -> Figure:
    """Draw how many students chose each answer, for the column whose answers repeat most."""
    name = most_repeated(table)
    counts = table[name].value_counts(sort=False)
    title = title or f"{name}: {in_answers(counts.sum())}"
    fig = figure(title, "students", "", height=110 + 36 * len(counts))
    places = range(len(counts))
    fig.ax.barh(places, [*counts], 0.6, color=(LIVE.colour, 0.6))
    fig.ax.set_yticks(places, [*counts.index])
    whole_numbers(fig.ax.xaxis)
    fig.ax.invert_yaxis()
    return fig


def most_repeated(table: "pd.DataFrame") -> str:
    """The column whose answers repeat most; of equal ones the last.

    A column in which all students say the same does not count, unless all columns are so.
    """
    varied = table.loc[:, table.nunique() > 1]
    if not varied.size:
        return str(table.columns[-1])
    different = varied.nunique() / varied.count()  # of a column's answers, a fraction
    from_the_last = different.iloc[::-1]
    return str(from_the_last.idxmin())


def in_answers(count: int) -> str:
    """Write a number of answers.

    >>> in_answers(1), in_answers(2)
    ('1 answer', '2 answers')
    """
    return f"{count} answer" if count == 1 else f"{count} answers"


# Reading ------------------------------------------------------------------------------------------


def read_poll(poll: "str | Path | pd.DataFrame") -> "pd.DataFrame":
    """Read a poll (a file or a table) as a table of texts without empty columns, one row a student.
    Raises: CplabError where it cannot be read, or has no answers."""
    import pandas as pd

    table = poll.reset_index(drop=True) if isinstance(poll, pd.DataFrame) else read_file(poll)
    table = table.set_axis([str(name).strip() for name in table], axis=1)
    if not table.columns.map(casefolded).is_unique:
        raise CplabError(f"two columns of {quote([*table])} are alike: rename one")
    table = table.astype("string").apply(plain_texts)
    table = table.mask(table.isin(EMPTY)).dropna(axis=1, how="all")
    if not table.size:
        raise CplabError("the poll has no answers: give a row for each student")
    names = pd.Series([*table], dtype="string")
    unnamed = [*names[read_numbers(names).notna()]]
    if unnamed:
        raise CplabError(
            f"the first line says {quote(unnamed)}: name the columns in a line above it"
        )
    return table


def plain_texts(answers: "pd.Series") -> "pd.Series":
    """A column of texts in the usual letters, with the digits 0 to 9, and without spaces around."""
    stripped = answers.str.normalize("NFKC").str.strip()
    return stripped.map(latin_digits, na_action="ignore").astype("string")


def read_file(path: str | Path) -> "pd.DataFrame":
    """Read a CSV file as spreadsheet programs write it."""
    import pandas as pd

    try:
        text = decode(Path(path).read_bytes())
        if "\0" in text:
            raise CplabError(f"{path} is not a text file: save the table as a CSV file")
        above = ABOVE.match(text)
        assert above, "it matches no lines as well"
        text = text.removeprefix(above[0])
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of a line with more entries than the first
            table = pd.read_csv(
                io.StringIO(text),
                sep=above["mark"] or find_mark(text),
                dtype=str,
                index_col=False,
                skip_blank_lines=False,
                skipinitialspace=True,
            )
    except (OSError, TypeError, ValueError, Warning) as error:
        remedy = "give a CSV file, with quotes around what holds a comma"
        line = f"{path} cannot be read ({error}): {remedy}"
        raise CplabError(" ".join(line.split())) from error
    table.index += above[0].count("\n")  # a row's line in the file
    return table


def decode(data: bytes) -> str:
    """The text of a file, in UTF-16 or UTF-8, or as older spreadsheets of Windows write it."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def find_mark(text: str) -> str:
    """What separates the columns in the first line of a text; a tab where nothing does.

    >>> find_mark('"a, b";c')
    ';'
    """
    first_line = re.sub('"[^"]*"', "", text).partition("\n")[0]  # without what is quoted
    for mark in MARKS:
        if mark in first_line:
            return mark
    return "\t"


def casefolded(name: object) -> str:
    """A name without case and the spaces around it."""
    return str(name).strip().lower()


def latin_digits(text: str) -> str:
    """A text with the digits of every script, such as Arabic ones, as 0 to 9.

    >>> latin_digits("\u0665\u0665 %")
    '55 %'
    """
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(letter, letter)) for letter in text)


def read_numbers(answers: "pd.Series") -> "pd.Series":
    """The numbers in a column of texts, with a point or a comma, in percent or not; else NaN."""
    import pandas as pd

    texts = answers.str.replace(AROUND_NUMBER, "", regex=True, case=False)
    with_points = texts.str.replace(",", ".")
    return pd.to_numeric(with_points, errors="coerce").astype(float)


def is_guess(name: str, answers: "pd.Series") -> bool:
    """Whether the answers in a column are guesses in percent.

    Most of them are then numbers up to 100. They do not count the rows, and the column's name does
    not say that they are something else, such as a seat, a group or seconds.
    """
    numbers = read_numbers(answers).dropna()
    if len(numbers) * 2 <= answers.count() or numbers.median() > 100:
        return False
    grow_by_one = (numbers.diff()[1:] == 1).all()
    counts_rows = len(numbers) > 2 and numbers.iloc[0] in (0, 1) and grow_by_one
    words = spaced(name)
    has_letters = any(letter.isalpha() for letter in words)
    if counts_rows or NOT_A_GUESS.search(words):
        return False
    return has_letters or "%" in name


def spaced(name: str) -> str:
    """A column's name with a space between its words, however a program joined them.

    >>> spaced("group_id"), spaced("StudentID"), spaced("Seat2")
    ('group id', 'Student ID', 'Seat 2')
    """
    bounds = r"_+|(?<=[a-zäöü])(?=[A-Z0-9])"
    return re.sub(bounds, " ", name).strip()


def guesses(name: str, answers: "pd.Series", unit: str, truth: float) -> list[float]:
    """The numbers in a column of answers.

    In percent, a column of fractions, all between 0 and 1, is multiplied by 100, unless it has
    percent signs.

    Raises: CplabError for an answer that is not understood, and names its line; and for a truth
        that is not an accuracy.
    """
    numbers = read_numbers(answers)
    if unit != "percent":
        refuse(name, answers, ~np.isfinite(numbers), "give a number, or nothing")
        return [*map(float, numbers)]
    has_sign = answers.str.contains(PERCENT_SIGN, regex=True, case=False)
    are_fractions = bool(numbers.max() <= 1) and not has_sign.any()
    is_truth_a_fraction = 0 < truth < 1
    if is_truth_a_fraction or (are_fractions and truth < 10):
        raise CplabError(f"{name!r} is {truth:g}: give percent, or its unit, as unit='share'")
    has_ones = (numbers == 1).any()  # 1 % or 100 %
    has_zeros_alone = (numbers == 0).all()
    if are_fractions and (has_ones or has_zeros_alone):
        raise CplabError(
            f"column {name!r} has no number above 1, which may be percent or parts: "
            "write 0.5 % with its sign, or 50 for a half"
        )
    is_wrong = ~numbers.between(0, 100)
    if not are_fractions:
        is_slip = numbers.between(0, 1, "neither") & ~has_sign  # a fraction among percents
        is_wrong |= is_slip
    advice = "give percent from 0 to 100 (50, not 0.5) or nothing, or take unit='points'"
    refuse(name, answers, is_wrong, advice)
    factor = 100 if are_fractions else 1
    return [*map(float, numbers * factor)]


def refuse(name: str, answers: "pd.Series", wrong: "pd.Series", advice: str) -> None:
    """Raise a CplabError that names the first line whose answer is wrong, if there is one."""
    for row in answers.index[wrong]:
        raise CplabError(
            f"line {row + 2} of the poll says {answers[row]!r} in column {name!r}: {advice}"
        )
