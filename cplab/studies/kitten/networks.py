"""Lab 01's networks: reared on stripes, and beside a kitten on one axis."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.plotting import figure

from cplab import quantities, show, statistics
from cplab.lab.widgets import Slide
from cplab.measure import orientation
from cplab.results import at_hand
from cplab.runs import Run
from cplab.show import removal
from cplab.show.theme import colour
from cplab.statistics import Contrast
from cplab.studies.kitten.animals import statements
from cplab.studies.kitten.figures import compare_with_animals, orientation_figure
from cplab.studies.sentences import rounded, spread

GUESSING = 10  # percent right, of ten classes
DAYS = (6, 8, 10, 12, 14, 16, 20, 24, 30, 40, 60)  # that one epoch may stand for


# Reared on stripes -------------------------------------------------------------------------------


def reared(kind: str, length: int, profile: str, **fields: Any) -> Run:
    """A run from birth with a deficit, or with as many clear epochs of `none`."""
    when = {"onset": length} if kind == "none" else {"deficit": kind, "length": length}
    return Run(**when, profile=profile, **fields)


def filters(run: Run) -> np.ndarray:
    """The first layer's filters in the end, (filters, colours, 3, 3)."""
    return np.array(quantities.result(run, "ending").final("ending")["filters"])


def lean(run: Run) -> float:
    """How far the first layer's filters lean to vertical stripes: 1 all, −1 to horizontal ones."""
    return float(orientation(filters(run)).real.mean())


def leans_more(run: Run, other: Run) -> Contrast:
    """By how much the filters of one run lean more than those of another."""
    return quantities.reading(run, lean) - quantities.reading(other, lean)


def fans(kinds: Sequence[str], length: int, profile: str, **fields: Any) -> Any:
    """Each filter as a line along the stripes that it answers to best, a circle for each kind."""
    hues = {show.label(kind): colour(kind) for kind in kinds}
    networks = {
        show.label(kind): quantities.each_seed(filters, reared(kind, length, profile, **fields))
        for kind in kinds
    }
    return orientation_figure(
        {words: [*map(orientation, some)] for words, some in networks.items()}, hues
    )


def stripes_left(length: int, profile: str) -> np.ndarray:
    """Of the lean that stripes leave, what is there after the recovery, in percent, one a seed."""
    first, last = (
        [reared(kind, length, profile, **fields) for kind in ("stripes", "none")]
        for fields in ({"recovery": 0}, {})
    )

    def part(one: Run, clear: Run, later: Run, control: Run) -> float:
        return 100 * (lean(later) - lean(control)) / (lean(one) - lean(clear))

    return quantities.each_seed(part, *first, *last)


def mark_of_stripes(length: int, profile: str) -> str:
    """What of filters and accuracy comes back, in one sentence."""
    run = reared("stripes", length, profile)
    gain = quantities.gain_over_newborn(run)
    return (
        f"After the recovery {spread(stripes_left(length, profile), 0)} % of the lean is still "
        f"there, while the network sees {rounded(gain)} points better than a newborn."
    )


def stripes_removal(profile: str) -> figure:
    """Accuracy after stripes and after blur, by their length."""
    fig = removal(Run(profile=profile), ("stripes", "blur"), width=700, height=340)
    fig.title.text = "Stripes teach something, blur costs"
    return fig


def train_small(lengths: Sequence[int], profile: str) -> None:
    """Train two seeds of the runs of lab 01 where the profile is `ci`, which takes seconds."""
    if profile != "ci":
        return
    both: list[dict[str, Any]] = [{"seed": seed, "profile": profile} for seed in (0, 1)]
    whens: tuple[dict[str, Any], ...] = ({}, {"recovery": 0})
    striped = [
        reared(kind, lengths[-1], **fields, **when)
        for kind in ("stripes", "none")
        for fields in both
        for when in whens
    ]
    at_hand(striped, measure="ending")
    blurred = [reared("blur", n, **fields) for n in lengths for fields in both]
    at_hand([one for run in blurred for one in (run, run.equal_training(), run.newborn())])


# Beside a kitten ---------------------------------------------------------------------------------


def above_chance(run: Run, normal: Run) -> float:
    """What is left above guessing, as a part of what the normal has."""
    left, whole = (float(quantities.accuracy(one)) - GUESSING for one in (run, normal))
    return left / whole


def network_points(lengths: Sequence[int], profile: str) -> pd.DataFrame:
    """The share of the normal, equal training, that is left after blur of each length."""
    runs = {n: Run("blur", length=n, profile=profile) for n in lengths}
    left = {
        n: quantities.each_seed(above_chance, run, run.equal_training()) for n, run in runs.items()
    }
    return pd.DataFrame(statistics.mean_columns(left))


def kitten_points() -> pd.DataFrame:
    """The share of a normal cat's acuity that is left, by the age at which the eye was opened."""
    closed = statements("recovered_acuity")
    five = closed[closed.kind == "point"]
    normal = statements("normal_acuity").query("age_text == 'not stated'").value.item()
    points = pd.DataFrame({"x": (five.age_low + five.age_high) / 2})
    points["left"], points["right"] = five.age_low, five.age_high
    for name, column in (("mean", "value"), ("low", "value_low"), ("high", "value_high")):
        points[name] = five[column] / normal
    return points


def of_the_fall(rows: pd.DataFrame) -> pd.DataFrame:
    """The same with the lowest mean as 0: what is left of the fall."""
    heights, lowest = ["mean", "low", "high"], rows["mean"].min()
    return rows.assign(**(rows[heights] - lowest) / (1 - lowest))


def in_silico(lengths: Sequence[int], profile: str) -> Slide:
    """Network and kitten on one axis, with a slider for the days of an epoch."""
    network, kitten = network_points(lengths, profile), kitten_points()
    views = [(network, kitten), (of_the_fall(network), of_the_fall(kitten))]

    def stretched(days: int) -> Mapping[str, Mapping]:
        span = ["x", "left", "right"]
        return {
            f"animal{i}": dict(animal.assign(**animal[span] / days))
            for i, (_, animal) in enumerate(views)
        }

    drawn = compare_with_animals(
        [dict(curve) for curve, _ in views],
        [dict(animal) for _, animal in views],
        ["share of the normal", "share of the fall (lowest = 0)"],
        "length of the deprivation, epochs of the network",
        colour("blur"),
    )
    return Slide(drawn, DAYS, stretched, lambda days: distances(views, days), "days")


def distances(views: Sequence[tuple[pd.DataFrame, pd.DataFrame]], days: int) -> str:
    """How far the kitten's points are from the network's curve, where there is a curve."""
    parts = [f"1 epoch = {days} days"]
    for (curve, animal), where in zip(views, ("left", "right"), strict=True):
        at = animal.x / days
        inside = at.between(curve.x.min(), curve.x.max())
        off = animal["mean"] - np.interp(at, curve.x, curve["mean"])
        apart = np.sqrt(np.mean(off[inside] ** 2)) if inside.any() else np.nan
        parts.append(f"distance {where} {apart:.2f} ({inside.sum()} points)")
    return " · ".join(parts)


def what_a_long_blur_leaves(lengths: Sequence[int], profile: str) -> str:
    """The share that is left to the network and to the kitten, in one sentence."""
    network, kitten = network_points(lengths, profile), kitten_points()
    if not len(network):
        return "These networks have not been trained yet."
    return (
        f"The longest closure leaves a kitten {100 * kitten['mean'].iloc[-1]:.0f} % of the normal, "
        f"the longest blur leaves a network {100 * network['mean'].iloc[-1]:.0f} %."
    )


def how_exact(fit: Any, name: str) -> str:
    """How exactly a fit determines a parameter, as an answer to choose from."""
    part = fit.half[name] / abs(fit.parameters[name])
    if not np.isfinite(part) or part > 1:
        return "not at all"
    limits = {0.05: "within 5 %", 0.2: "within 20 %", 1: "no better than ± half of its value"}
    return next(words for most, words in limits.items() if part <= most)
