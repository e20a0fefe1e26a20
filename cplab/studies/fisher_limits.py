"""Lab 04b: what the trace does not tell: certainty, norms, the rate, age, sharpness, estimators."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.plotting import figure

from cplab import show
from cplab.quantities import quantity, result
from cplab.runs import Run
from cplab.show.theme import percent_axis, place_legend, plain_figure, style
from cplab.studies import sentences
from cplab.studies.sentences import after, each_result

__all__ = ["WITHOUT", "minima", "parts_of_highest", "sharpness"]

WITHOUT: dict[str, Any] = {"of": "jacobian", "scaled": True}  # norms and certainty


def parts_of_highest(curves: Mapping[str, np.ndarray], title: str, **options: Any) -> figure:
    """A figure of traces (seeds, epochs), divided by their highest, over the measured epochs."""
    groups = {}
    for label, traces in curves.items():
        if len(traces):
            epochs = np.flatnonzero(np.isfinite(traces).all(0))
            parts = traces[:, epochs] / traces[:, epochs].max(1, keepdims=True)
            groups[label] = dict(zip((epochs + 1).tolist(), parts.T, strict=True))
    return sentences.lines(groups, ("epoch", "part of the highest"), title, width=820, **options)


@quantity
def sharpness(run: Run) -> float:
    """The largest eigenvalue of the loss's Hessian in the end, on the first 200 training images."""
    return float(result(run, "ending").final("ending")["sharpness"])


def minima(ends: Sequence[int], profile: str) -> figure:
    """A figure of final accuracy against sharpness, a dot for each network."""
    lengths = {"none": ends[-1:], "blur": ends, "flip": ends}
    groups = {
        kind: [result for n in some for result in each_result(after(kind, n, profile), "ending")]
        for kind, some in lengths.items()
    }
    label, title = "largest eigenvalue of the Hessian", "Impaired networks end in sharper minima"
    source = show.source_line([result for group in groups.values() for result in group])
    size: dict[str, Any] = {"width": 700, "height": 360, "x_axis_type": "log"}
    fig = plain_figure(title, label, "final test accuracy", source, **size)
    for kind, group in groups.items():
        x, y = [r.final("ending")["sharpness"] for r in group], [r.accuracy for r in group]
        look, alpha = style(kind), 0.3 if kind == "none" else 0.75
        how = {"color": look.colour, "marker": look.marker, "legend_label": look.label}
        fig.scatter(x, y, size=9, fill_alpha=alpha, **how)
    percent_axis(fig.yaxis)
    return place_legend(fig)
