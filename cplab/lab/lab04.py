"""Figures of lab 04 alone: estimates of the Fisher trace, and the trace beside the sensitivity."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.models import BoxAnnotation, ColumnDataSource, LinearAxis, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from cplab.show import theme
from cplab.show.results import over_epochs


def sampling(
    draws: Sequence[int], estimates: ArrayLike, exact: float, within: float = 0.05, **options: Any
) -> figure:
    """Estimates by sampling (n, repeats) against the number of draws (n,), as parts of the exact
    value; a grey band lies `within` so much of it."""
    words = ("each dot is one estimate", "draws", "estimate / exact trace")
    fig = theme.plain_figure(*words, **{"x_axis_type": "log", **options})
    near = {"bottom": 1 - within, "top": 1 + within, "level": "underlay"}
    fig.add_layout(BoxAnnotation(fill_color=theme.EQUAL.colour, fill_alpha=0.18, **near))
    parts = np.asarray(estimates, dtype=float) / exact
    x = np.repeat(np.asarray(draws, dtype=float), parts.shape[1])
    fig.scatter(x, parts.ravel(), size=6, alpha=0.5, color=theme.colour("blur"))
    theme.reference_line(fig, "width", theme.EQUAL.colour, at=1)
    return fig


def beside_trace(
    clear: Sequence, points: Mapping[str, ArrayLike], at: int = 0, **options: Any
) -> figure:
    """The trace without a deficit (left axis) and the sensitivity to one (right axis), by epoch,
    as in the left part of the paper's figure 4.

    Arguments: clear, results without a deficit; points, the columns onset, mean, low, high of the
        sensitivity in points; at, where in its window a point is drawn, in epochs after the onset.
    """
    fig = over_epochs({"trace, no deficit (left)": clear}, **options)
    fig.title.text = "Fisher trace, and points that a window of blur costs"
    onset, low, high = (np.asarray(points[name], float) for name in ("onset", "low", "high"))
    fig.x_range = Range1d(-1, onset.max(initial=1) + at + 4)
    top, bottom = high.max(initial=0) or 1, low.min(initial=0)
    fig.extra_y_ranges = {"points": Range1d(bottom - 0.05 * top, 1.15 * top)}
    axis = LinearAxis(y_range_name="points", axis_label="points lost")
    theme.plain_axis(axis, fig.height)
    fig.add_layout(axis, "right")
    source = ColumnDataSource({**points, "epoch": onset + at}, name="sensitivity")
    how = {"source": source, "color": theme.colour("blur"), "y_range_name": "points"}
    fig.segment("epoch", "low", "epoch", "high", **how)
    fig.scatter("epoch", "mean", size=8, legend_label="sensitivity to blur (right)", **how)
    return theme.place_legend(fig, "top_right")
