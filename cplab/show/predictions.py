"""The figure of a Prediction of Bokeh; it goes with that."""

from collections.abc import Mapping
from itertools import cycle
from typing import Any

from bokeh.models import ColumnDataSource, DataRange1d, FactorRange
from bokeh.plotting import figure

from cplab import quantities, statistics
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
