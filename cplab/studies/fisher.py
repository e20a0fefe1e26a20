"""Figures of lab 04 alone: Fisher traces, sensitivity beside them, synapses by age."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import BoxAnnotation, ColumnDataSource, LinearAxis, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from cplab.show import theme
from cplab.show.results import over_epochs
from cplab.show.theme import EQUAL, LIVE, plain_figure, reference_line

__all__ = ["compare_with_trace", "sampling_figure", "synapses_by_age"]


def sampling_figure(draws: Sequence[int], estimates: ArrayLike, exact: float) -> figure:
    """Estimates by sampling (n, repeats) against the number of draws (n,), as parts of the exact
    value; a grey band lies within 5 % of it."""
    words = ("each dot is one estimate", "draws", "estimate / exact trace")
    fig = plain_figure(*words, x_axis_type="log", width=620, height=280)
    fig.xaxis.ticker = list(draws)
    near = {"bottom": 0.95, "top": 1.05, "level": "underlay"}
    fig.add_layout(BoxAnnotation(fill_color=EQUAL.colour, fill_alpha=0.18, **near))
    parts = np.asarray(estimates, dtype=float) / exact
    x = np.repeat(np.asarray(draws, dtype=float), parts.shape[1])
    fig.scatter(x, parts.ravel(), size=6, alpha=0.5, color=theme.colour("blur"))
    reference_line(fig, "width", EQUAL.colour, at=1)
    return fig


def compare_with_trace(
    clear: Sequence, points: Mapping[str, ArrayLike], at: int = 0, words: str = "loss", **how: Any
) -> figure:
    """The trace without a deficit (left axis) and the sensitivity to one (right axis), by epoch,
    as in the left part of the paper's figure 4.

    Arguments: clear, results without a deficit; points, the columns onset, mean, low, high of the
        sensitivity in points; at, where in its window a point is drawn, in epochs after the onset;
        words, what the points are: loss against equal training, or harm.
    """
    fig = over_epochs({"trace, no deficit (left)": clear}, **how)
    fig.title.text = f"Fisher trace, and the {words} of a window of blur"
    onset, low, high = (np.asarray(points[name], float) for name in ("onset", "low", "high"))
    fig.x_range = Range1d(-1, onset.max(initial=1) + at + 4)
    top, bottom = high.max(initial=0) or 1, low.min(initial=0)
    fig.extra_y_ranges = {"points": Range1d(bottom - 0.05 * top, 1.15 * top)}
    axis = LinearAxis(y_range_name="points", axis_label=f"{words}, points")
    theme.plain_axis(axis, fig.height)
    fig.add_layout(axis, "right")
    source = ColumnDataSource({**points, "epoch": onset + at}, name="sensitivity")
    how = {"source": source, "color": theme.colour("blur"), "y_range_name": "points"}
    fig.segment("epoch", "low", "epoch", "high", **how)
    fig.scatter("epoch", "mean", size=8, legend_label=f"{words} after blur (right)", **how)
    return theme.place_legend(fig, "above")


def synapses_by_age(rows: pd.DataFrame, born: int) -> figure:
    """What is stated in print about synapses by age: points for numbers, shaded ages for words.

    Arguments: rows of kitten.statements, of one species; born, days from conception to
        birth, since the axis is of the age from conception, as in the paper's figure 4.
    """
    first, last = rows.age_low + born, rows.age_high + born
    rows = rows.assign(first=first, last=last, middle=(first * last) ** 0.5)  # of a log axis
    points, words = rows[rows.value.notna()], rows[rows.kind == "interval"]
    axes = ("days from conception", ", ".join(points.unit.unique()))
    title = f"synapses of the visual cortex, {', '.join(rows.species.unique())}"
    fig = plain_figure(title, *axes, x_axis_type="log", width=425)
    top = 1.25 * points.value_high.max() if len(points) else 1.0
    fig.y_range, fig.x_range = Range1d(0, top), Range1d(0.4 * first.min(), 1.2 * last.max())
    fig.xaxis.ticker = [n * 10**power for power in range(1, 5) for n in (1, 2, 5)]
    fig.yaxis.visible = bool(len(points))
    shade = 0.06 + 0.05 * (np.arange(len(words)) % 2)
    fig.quad(words["first"], words["last"], top, 0, color=EQUAL.colour, alpha=shade)
    heights = top * (0.95 - 0.1 * (np.arange(len(words)) % 6))
    look = {"text_align": "center", "text_baseline": "middle", "text_font_size": "10px"}
    fig.text(words.middle, heights, words.words, **look)
    if len(points):
        how = {"color": LIVE.colour}
        fig.segment(points["first"], points.value, points["last"], points.value, width=2, **how)
        fig.scatter(points.middle, points.value, size=9, **how)
    reference_line(fig, "height", EQUAL.colour, at=born)
    fig.ygrid.visible = False
    return fig
