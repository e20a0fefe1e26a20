"""Lab 01's networks: reared on stripes, and beside a kitten on one axis."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource

from cplab import quantities, show
from cplab.lab.widgets import Slide
from cplab.measure import orientation
from cplab.quantities import statistics
from cplab.runs import Run
from cplab.show.theme import EQUAL, Style, band, place_legend, plain_figure, reference_line, style
from cplab.studies.kitten.animals import statements
from cplab.studies.kitten.figures import orientation_figure

GUESSING = 10  # percent right, of ten classes
DAYS = (6, 8, 10, 12, 14, 16, 20, 24, 30, 40, 60)  # that one epoch may stand for
NEAR = 0.1  # of the normal: how far points lie from a curve on average that they lie on
View = tuple[pd.DataFrame, pd.DataFrame]  # a network and a kitten: x, mean, low, high


def filters(run: Run) -> np.ndarray:
    """The first layer's filters in the end, (filters, colours, 3, 3)."""
    return np.array(quantities.result(run, "ending").final("ending")["filters"])


def fans(runs: Mapping[str, Run]) -> Any:
    """Each filter as a line along the stripes that it answers to best, a circle a deficit."""
    hues = {show.label(kind): show.colour(kind) for kind in runs}
    each = [map(orientation, quantities.each_seed(filters, run)) for run in runs.values()]
    return orientation_figure(dict(zip(hues, map(list, each), strict=True)), hues)


def above_chance(run: Run, normal: Run) -> float:
    """What is left above guessing, as a part of what the normal has."""
    return (quantities.accuracy(run) - GUESSING) / (quantities.accuracy(normal) - GUESSING)


def shares(lengths: Sequence[int], profile: str) -> View:
    """What is left of the normal to a network after blur of each length, beside equal training; and
    to a kitten, by the age at which its eye was opened."""
    runs = [Run("blur", length=n, profile=profile) for n in lengths]
    left = {r.length: quantities.each_seed(above_chance, r, r.equal_training()) for r in runs}
    five = statements("recovered_acuity").query("kind == 'point'")
    normal = statements("normal_acuity").query("age_text == 'not stated'").value.item()
    points = five[["value", "value_low", "value_high"]].div(normal)
    points.columns = ["mean", "low", "high"]
    ages = {"x": (five.age_low + five.age_high) / 2, "left": five.age_low, "right": five.age_high}
    curve = pd.DataFrame(statistics.mean_columns(left), dtype=float)
    if curve.empty:  # nobody has trained these
        curve.loc[0] = np.nan
    return curve, points.assign(**ages)


def distance(view: View, days: int) -> tuple[float, int]:
    """How far a kitten's points are from a network's curve where there is a curve, as the root of
    the mean square; and how many points that are."""
    curve, animal = view
    at = animal.x / days
    inside = at.between(curve.x.min(), curve.x.max())
    off = animal["mean"] - np.interp(at, curve.x, curve["mean"])
    return float(np.sqrt(np.mean(off[inside] ** 2))) if inside.any() else np.nan, inside.sum()


def closest(view: View) -> float:
    """The least distance at any length of an epoch at which all but one point have a curve."""
    return min(distances(view))


def distances(view: View) -> list[float]:
    """The distance at each of DAYS; infinite where more than one point has no curve."""
    known = [distance(view, days) for days in DAYS]
    return [off if count >= max(1, len(view[1]) - 1) else np.inf for off, count in known]


def in_silico(views: Sequence[View]) -> Slide:
    """Network and kitten on one axis, with a slider for the days of an epoch: the network's curve
    with its band, the kitten's points with their ranges."""
    meet = ["they meet" if closest(view) < NEAR else "they never meet" for view in views]
    titles = {
        f"As shares of the normal, {meet[0]}": "share of the normal",
        f"With each lowest value at 0, {meet[1]}": "share of the fall",
    }
    x, network, figs = "length of the deprivation, epochs of the network", style("blur").colour, []
    for i, ((curve, animal), (title, y)) in enumerate(zip(views, titles.items(), strict=True)):
        fig = plain_figure(title, x, y, width=430, height=330)
        band(fig, ColumnDataSource(dict(curve)), "x", Style("network", network), points=True)
        look = {"source": ColumnDataSource(dict(animal), name=f"animal{i}"), "color": "black"}
        fig.segment("left", "mean", "right", "mean", width=1.5, **look)
        fig.segment("x", "low", "x", "high", width=1.5, **look)
        mark = {"fill_color": "white", "size": 10, "marker": "triangle"}
        fig.scatter("x", "mean", legend_label="kitten", **look, **mark)
        reference_line(fig, "width", EQUAL.colour, 1)
        figs.append(place_legend(fig))

    def stretched(days: int) -> Mapping[str, Mapping]:
        moved = [of.assign(**of[["x", "left", "right"]] / days) for _, of in views]
        return {f"animal{i}": dict(animal) for i, animal in enumerate(moved)}

    def words(days: int) -> str:
        parts = [f"1 epoch = {days} days"]
        for where, view in zip(("left", "right"), views, strict=True):
            parts.append("distance {} {:.2f} ({} points)".format(where, *distance(view, days)))
        return " · ".join(parts)

    slide = Slide(figs, DAYS, stretched, words, "days")
    slide.index = int(np.argmin(distances(views[-1])))
    return slide
