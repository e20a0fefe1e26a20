"""Lab 01's networks: reared on stripes, and beside a kitten on one axis."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cplab import quantities, show, statistics
from cplab.lab.widgets import Slide
from cplab.measure import orientation
from cplab.runs import Run
from cplab.statistics import Contrast
from cplab.studies.kitten.animals import statements
from cplab.studies.kitten.figures import compare_with_animals, orientation_figure
from cplab.studies.sentences import after

GUESSING = 10  # percent right, of ten classes
DAYS = (6, 8, 10, 12, 14, 16, 20, 24, 30, 40, 60)  # that one epoch may stand for
View = tuple[pd.DataFrame, pd.DataFrame]  # a network and a kitten: x, mean, low, high


# Reared on stripes -------------------------------------------------------------------------------


def filters(run: Run) -> np.ndarray:
    """The first layer's filters in the end, (filters, colours, 3, 3)."""
    return np.array(quantities.result(run, "ending").final("ending")["filters"])


def mean_lean(run: Run) -> float:
    return float(orientation(filters(run)).real.mean())


def lean(run: Run) -> Contrast:
    """How far the first layer's filters lean to vertical stripes: 1 all, −1 to horizontal ones."""
    return quantities.reading(run, mean_lean)


def fans(runs: Mapping[str, Run]) -> Any:
    """Each filter as a line along the stripes that it answers to best, a circle a deficit."""
    hues = {show.label(kind): show.colour(kind) for kind in runs}
    each = {show.label(kind): quantities.each_seed(filters, run) for kind, run in runs.items()}
    return orientation_figure(
        {words: [*map(orientation, some)] for words, some in each.items()}, hues
    )


def stripes_left(length: int, profile: str) -> np.ndarray:
    """Of the lean that stripes leave, what is there after the recovery, in percent, one a seed."""
    runs = [
        after(kind, length, profile, **fields)
        for fields in ({"recovery": 0}, {})
        for kind in ("stripes", "none")
    ]

    def part(*four: Run) -> float:
        striped, clear, later, control = map(mean_lean, four)
        return 100 * (later - control) / (striped - clear)

    return quantities.each_seed(part, *runs)


# Beside a kitten ---------------------------------------------------------------------------------


def above_chance(run: Run, normal: Run) -> float:
    """What is left above guessing, as a part of what the normal has."""
    left, whole = (float(quantities.accuracy(one)) - GUESSING for one in (run, normal))
    return left / whole


def shares(lengths: Sequence[int], profile: str) -> View:
    """What is left of the normal to a network after blur of each length, beside equal training; and
    to a kitten, by the age at which its eye was opened."""
    runs = {n: Run("blur", length=n, profile=profile) for n in lengths}
    left = {
        n: quantities.each_seed(above_chance, run, run.equal_training()) for n, run in runs.items()
    }
    closed = statements("recovered_acuity")
    five = closed[closed.kind == "point"]
    normal = statements("normal_acuity").query("age_text == 'not stated'").value.item()
    points = pd.DataFrame({"x": (five.age_low + five.age_high) / 2})
    points["left"], points["right"] = five.age_low, five.age_high
    for name, column in (("mean", "value"), ("low", "value_low"), ("high", "value_high")):
        points[name] = five[column] / normal
    return pd.DataFrame(statistics.mean_columns(left)), points


def of_the_fall(rows: pd.DataFrame) -> pd.DataFrame:
    """The same with the lowest mean as 0: what is left of the fall."""
    heights, lowest = ["mean", "low", "high"], rows["mean"].min()
    return rows.assign(**(rows[heights] - lowest) / (1 - lowest))


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
    known = [distance(view, days) for days in DAYS]
    return min((off for off, count in known if count >= len(view[1]) - 1), default=np.inf)


def in_silico(views: Sequence[View]) -> Slide:
    """Network and kitten on one axis, with a slider for the days of an epoch."""

    def stretched(days: int) -> Mapping[str, Mapping]:
        span = ["x", "left", "right"]
        return {
            f"animal{i}": dict(animal.assign(**animal[span] / days))
            for i, (_, animal) in enumerate(views)
        }

    def words(days: int) -> str:
        apart = [distance(view, days) for view in views]
        named = zip(("left", "right"), apart, strict=True)
        parts = [f"distance {where} {off:.2f} ({count} points)" for where, (off, count) in named]
        return " · ".join([f"1 epoch = {days} days", *parts])

    drawn = compare_with_animals(
        [dict(curve) for curve, _ in views],
        [dict(animal) for _, animal in views],
        ["share of the normal", "share of the fall (lowest = 0)"],
        "length of the deprivation, epochs of the network",
        show.colour("blur"),
    )
    return Slide(drawn, DAYS, stretched, words, "days")
