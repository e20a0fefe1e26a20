"""Figures of what a student or a class predicted, beside what was measured."""

from collections import Counter
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, DataRange1d, FactorRange, Range1d
from bokeh.plotting import figure

from cplab import quantities, statistics
from cplab.errors import CplabError, require
from cplab.runs import Run
from cplab.show.theme import DASHES, EQUAL, LIVE, percent_axis, place_legend, plain_figure

TRUTH = "#0072B2"


def guess_figure(
    guess: Mapping[str, float],
    truth: Mapping[str, tuple[float, float]],
    given: Mapping[str, float],
    quantity: str = "final test accuracy",
) -> figure:
    """Draw guesses (hollow) beside what was measured (filled, with its interval).

    Arguments: guess, fractions by name, NaN where there is none; truth, (mean, half) of each name
        that has results; given, fractions that are shown from the start, as lines across.
    The data source of the guesses is called `guess`.
    """
    names = list(guess)
    reach = DataRange1d(range_padding=0.05, range_padding_units="absolute")  # follows later guesses
    high = 110 + 40 * len(names) + 16 * len(given)  # the legend has a row for each of these
    options: dict[str, Any] = {"width": 760, "height": high, "x_range": reach}
    fig = plain_figure("", quantity, "", y_range=FactorRange(*names[::-1]), **options)
    for (text, value), dashes in zip(given.items(), cycle(DASHES[2::-1]), strict=False):
        look: dict[str, Any] = {"color": EQUAL.colour, "line_dash": dashes, "legend_label": text}
        fig.line([value, value], [(names[-1], -0.5), (names[0], 0.5)], width=2, **look)
    columns = {"x": [*guess.values()], "y": names}
    look = {"color": LIVE.colour, "fill_alpha": 0, "line_width": 2, "size": 13}
    fig.scatter(
        "x", "y", source=ColumnDataSource(columns, name="guess"), legend_label="your guess", **look
    )
    if truth:
        band = statistics.band_columns(*zip(*truth.values(), strict=True))
        options = {"source": ColumnDataSource({"y": [*truth], **band}), "color": TRUTH}
        fig.scatter("mean", "y", size=9, marker="square", legend_label="measured", **options)
        fig.segment("low", "y", "high", "y", line_width=2, **options)
    percent_axis(fig.xaxis)
    return place_legend(fig)


def class_figure(guesses: Any, truth: Mapping[str, Any] | None = None) -> figure:
    """Draw the answers of a whole class beside what was measured.

    Arguments: guesses, a table or a CSV file from any poll, with a column for each question and a
        row for each student: numbers in percent, or chosen answers (one column); truth, for
        numbers, {column: Run} or {column: accuracies}.

    >>> class_figure(pd.DataFrame({"blur": [55, 60, 60]}), {"blur": [0.56, 0.57]}).title.text
    '3 answers'
    """
    try:
        table = guesses if isinstance(guesses, pd.DataFrame) else pd.read_csv(Path(guesses))
    except (OSError, ValueError, TypeError) as error:
        raise CplabError(f"{guesses} cannot be read ({error}): give a CSV file") from error
    require(len(table) and len(table.columns), "there are no answers: give a row for each")
    title, names = f"{len(table)} answer{'s' * (len(table) > 1)}", [*map(str, table.columns)]
    if not all(pd.api.types.is_numeric_dtype(table[column]) for column in table):
        counts = Counter(table.iloc[:, -1].dropna().astype(str))
        how: dict[str, Any] = {"width": 760, "height": 80 + 40 * len(counts)}
        fig = plain_figure(title, "students", "", y_range=FactorRange(*counts), **how)
        fig.hbar([*counts], right=[*counts.values()], height=0.6, color=LIVE.colour, alpha=0.6)
        fig.x_range.start = 0
        return fig
    numbers = {name: accuracies(what) for name, what in (truth or {}).items() if name in names}
    known = {n: statistics.estimate(row) for n, row in numbers.items() if len(row)}
    measured = {n: (each.mean, each.half) for n, each in known.items()}
    fig = guess_figure(dict.fromkeys(names, np.nan), measured, {})
    fig.title.text, fig.x_range = title, Range1d(0, 1)
    fig.height += 30 * len(names)
    for name in table:
        stacked, places, values = Counter[float](), [], table[name].dropna() / 100
        for value in values:
            stacked[value] += 1
            places.append((str(name), min(0.45, 0.1 * stacked[value])))
        fig.scatter([*values], places, fill_alpha=0, size=9, color=LIVE.colour)
    return fig


def percent_interval(what: Any, none: str = "not trained") -> str:
    """Write the mean of the accuracies of a Run, or of given ones, with its interval; `none` is the
    word for accuracies that are missing."""
    if len(numbers := accuracies(what)):
        found = statistics.estimate(numbers)
        return f"{statistics.percent(found.mean, found.half)} %"
    return f"{none} yet"


def accuracies(what: Any) -> list[float]:
    """The final accuracies of a run, one a seed, as fractions; or an Estimate's, or numbers'."""
    numbers = quantities.accuracy(what) / 100 if isinstance(what, Run) else what
    return list(statistics.estimate(numbers).values)
