"""Networks of lab 01: filters after rearing on stripes, and a network beside a kitten."""

from collections.abc import Mapping, Sequence
from operator import truediv
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource

from cplab import quantities, show, statistics
from cplab.lab.widgets import Slide
from cplab.measure import orientation
from cplab.runs import Run
from cplab.show.theme import EQUAL, Style, band, place_legend, plain_figure, reference_line, style
from cplab.statistics import Estimate
from cplab.studies.kitten.animals import statements
from cplab.studies.kitten.figures import orientation_figure

GUESSING = 10  # percent right, of ten classes
DAYS = (6, 8, 10, 12, 14, 16, 20, 24, 30, 40, 60)  # that one epoch may stand for
NEAR = 0.1  # of the normal: points that are nearer to a curve on average lie on it
View = tuple[pd.DataFrame, pd.DataFrame]  # a network and a kitten: x, mean, low, high


def filters(run: Run) -> np.ndarray:
    """The first layer's filters in the end, (filters, colours, 3, 3). Raises: Missing."""
    return np.array(quantities.result(run, "ending").final("ending")["filters"])


def fans(runs: Mapping[str, Run]) -> Any:
    """Each filter as a line along the stripes that it answers to best, in a circle by deficit."""
    hues = {show.label(kind): show.colour(kind) for kind in runs}
    networks = [map(orientation, quantities.each_seed(filters, run)) for run in runs.values()]
    return orientation_figure(dict(zip(hues, map(list, networks), strict=True)), hues)


def above_chance(run: Run, normal: Run) -> Estimate:
    """The accuracy above guessing, as a fraction of that of a normal run."""
    both = (quantities.accuracy(each) - GUESSING for each in (run, normal))
    return statistics.seed_by_seed(truediv, *both)


def shares(lengths: Sequence[int], profile: str) -> View:
    """Fractions of the normal: of a network after blur of each length, against equal training; and
    of a kitten, by the age at which its eye was opened."""
    runs = [Run("blur", length=n, profile=profile) for n in lengths]
    left = {r.length: above_chance(r, r.equal_training()) for r in runs}
    rows = statements("recovered_acuity").query("kind == 'point'")
    normal = statements("normal_acuity").query("age_text == 'not stated'").value.item()
    points = rows[["value", "value_low", "value_high"]].div(normal)
    points.columns = ["mean", "low", "high"]
    ages = {"x": (rows.age_low + rows.age_high) / 2, "left": rows.age_low, "right": rows.age_high}
    curve = pd.DataFrame(statistics.mean_columns(left), dtype=float)
    if curve.empty:  # nobody has trained these
        curve.loc[0] = np.nan
    return curve, points.assign(**ages)


def distance(view: View, days: int) -> tuple[float, int]:
    """The root mean square distance of a kitten's points from a network's curve, over the points
    within its epochs, and the number of these; days, the length of an epoch."""
    curve, animal = view
    epochs = animal.x / days
    inside = epochs.between(curve.x.min(), curve.x.max())
    gaps = animal["mean"] - np.interp(epochs, curve.x, curve["mean"])
    return float(np.sqrt(np.mean(gaps[inside] ** 2))) if inside.any() else np.nan, inside.sum()


def closest(view: View) -> float:
    """The least distance over all of DAYS: see `distances`."""
    return min(distances(view))


def distances(view: View) -> list[float]:
    """The distance at each of DAYS; infinite where more than one point lies outside the curve."""
    pairs = [distance(view, days) for days in DAYS]
    return [gap if count >= max(1, len(view[1]) - 1) else np.inf for gap, count in pairs]


def in_silico(views: Sequence[View]) -> Slide:
    """A network's curve with its band and a kitten's points with their ranges on one axis, and a
    slider for the days that an epoch stands for."""
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

    def columns(days: int) -> Mapping[str, Mapping]:
        scaled = [rows.assign(**rows[["x", "left", "right"]] / days) for _, rows in views]
        return {f"animal{i}": dict(animal) for i, animal in enumerate(scaled)}

    def caption(days: int) -> str:
        parts = [f"1 epoch = {days} days"]
        for where, view in zip(("left", "right"), views, strict=True):
            parts.append("distance {} {:.2f} ({} points)".format(where, *distance(view, days)))
        return " · ".join(parts)

    slide = Slide(figs, DAYS, columns, caption, "days")
    slide.index = int(np.argmin(distances(views[-1])))
    return slide
