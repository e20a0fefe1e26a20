"""The names in the expressions of claims.csv and pages.csv: runs, and quantities of them.

Most are of the package. Here are those that only the report needs. Accuracies are percentages,
their differences points.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from cplab import quantities as q
from cplab.deficits import Deficit, canonical_name
from cplab.estimates import Estimate, Interval, estimate, seed_by_seed
from cplab.gallery import gaussian_blur as gaussian_blur
from cplab.gallery import random_labels as random_labels
from cplab.lab.explorer.points import Point, Setting
from cplab.labs import lab03, lab04_trace, lab07
from cplab.labs.lab00 import own_images_right as own_images_right
from cplab.labs.lab02 import half_by_images as half_by_images
from cplab.labs.lab02b import longest_harmless_window
from cplab.labs.lab04 import doubled as doubled
from cplab.labs.lab04_trace import doublings as doublings
from cplab.labs.lab04_trace import information_shift as information_shift
from cplab.labs.lab04_trace import trace_at as trace_at
from cplab.labs.lab04_trace import trace_peak as trace_peak
from cplab.labs.lab04_trace import trace_remaining as trace_remaining
from cplab.labs.lab04b import agreement as agreement
from cplab.labs.lab05 import accuracy_at_density as accuracy_at_density
from cplab.labs.lab05_growth import search as search
from cplab.labs.lab05_retraining import retrain as retrain
from cplab.labs.lab07 import acuity as acuity
from cplab.labs.lab07 import acuity_loss as acuity_loss
from cplab.quantities import accuracy as accuracy
from cplab.quantities import advantage as advantage
from cplab.quantities import behind as behind
from cplab.quantities import equal_training_loss as equal_training_loss
from cplab.quantities import gain_over_newborn as gain_over_newborn
from cplab.quantities import harm as harm
from cplab.quantities import lost_time as lost_time
from cplab.results.result import LAST
from cplab.runs import Run
from cplab.specs.experiments import Experiment
from cplab.specs.profiles import PROFILES
from reproduction import measurements as measurements
from reproduction.linear import eye_share as eye_share
from reproduction.linear import matrix_harm as matrix_harm

HERE = Path(__file__).parent
# Seeds that nobody had looked at when a row was asked
FRESH = range(15, 30)
LATER = range(5, 30)
MORE = range(5, 10)

# Runs ---------------------------------------------------------------------------------------------


def run(
    length: int,
    onset: int = 0,
    size: str = "course",
    deficit: str | Deficit = "blur",
    **conditions: Any,
) -> Run:
    """A run with a deficit, of a profile, and with other fields of a Run if its conditions differ;
    one of length 0 has no deficit.

    >>> run(16, recovery=60).call()
    "cplab.run(deficit='blur', onset=0, length=16, recovery=60, profile='course', seed=0)"
    """
    return Run(canonical_name(deficit), onset, length, profile=size, **conditions)


def flagship(
    length: int = 16, onset: int = 0, deficit: str | Deficit = "blur", **conditions: Any
) -> Run:
    """A run of three blocks at a rate that never changes."""
    usual: dict[str, Any] = {"model": "depth3", "schedule": "fixed", "recovery": 60}
    return Run(canonical_name(deficit), onset, length, **usual | conditions)


# Windows ------------------------------------------------------------------------------------------


def in_clear_epochs(run: Run) -> Estimate:
    """Harm of a window, divided by what a clear epoch in its place would have taught.

    It is the ratio of two means, harm / (lost / length), with the interval of its linear
    approximation at both means (the delta method).
    """
    harm = q.harm(run)
    lost = q.lost_time(run)
    taught = lost.mean / run.length  # by an epoch, in points
    ratio = harm.mean / taught
    return 1 / taught * harm - ratio / taught / run.length * lost + ratio


def longest_harmless(run: Run) -> Interval:
    """Epochs that a deficit from birth may last before its harm is a point."""
    harms = {}
    for shorter in q.every_length(run):
        if shorter.length <= run.length:
            harms[shorter.length] = q.harm(shorter)
    seeds = min(harm.counts[-1] for harm in harms.values() if harm.seeds)
    return with_farther_end(longest_harmless_window(harms), seeds)


def clear_epochs_behind(run: Run) -> Interval:
    """Harm in clear epochs: how many epochs before its end the control was already as good as a run
    is in the end; 0 if the run is not behind. In this unit, windows at any age can be compared. The
    ends of the interval come from those of the harm."""
    setting = Setting(run, [run.deficit])
    last = run.onset + run.recovery
    points = setting.harm(Point(run.deficit, run.onset, run.length), run.recovery)

    def delay(harm: float) -> float:
        """The clear epochs that a harm of so many points stands for; NaN if no epoch does."""
        if harm <= 0:
            return 0
        reached = setting.clear_epochs_to(run.onset, run.recovery, harm)
        return math.nan if reached is None else last - reached

    ends = (points.mean, points.mean - points.half, points.mean + points.half)
    return with_farther_end(tuple(map(delay, ends)), q.harm(run).seeds)


def with_farther_end(interval: tuple[float, ...], seeds: int) -> Interval:
    """A number with its interval, from the number and the interval's two ends: half is to the
    farther end."""
    number, *ends = interval
    half = max(abs(number - end) for end in ends)
    return Interval(number, half, (seeds,), seeds - 1, {0: number})


@q.quantity
def epochs_to_newborn(run: Run) -> float:
    """The clear epochs after its deficit that a run takes to be as good as its newborn in the end,
    minus those that the newborn takes itself. A run that never is takes one more than it has."""
    newborn = q.result(run.newborn()).series("test_accuracy")
    recovery = q.result(run).series("test_accuracy")[run.end :]
    end = float(np.mean(newborn[-LAST:]))
    return epochs_until(end, recovery) - epochs_until(end, newborn)


def epochs_until(level: float, accuracies: np.ndarray) -> float:
    """The epochs that a curve takes to reach a level; one more than it has if it never does.

    >>> epochs_until(0.5, np.array([0.3, 0.6])), epochs_until(0.7, np.array([0.3, 0.6]))
    (2.0, 3.0)
    """
    reached = np.flatnonzero(accuracies >= level)
    return float(reached[0] + 1) if len(reached) else float(len(accuracies) + 1)


def noise_above_blur(blurred: Run) -> Estimate:
    """Points of harm of noise above those of as much blur."""
    return q.harm(replace(blurred, deficit="noise")) - q.harm(blurred)


# Fisher information -------------------------------------------------------------------------------


def trace_match(
    runs: Sequence[Run],
    clear: Run,
    cost_of: Callable[[Run], Estimate] = q.equal_training_loss,
    fit: bool = False,
) -> Estimate:
    """Pearson's correlation, over onsets after birth, of the cost of a window and the trace without
    a deficit at that age (paper, figure 4 left); or, with `fit`, the fraction of the trace's
    variance that F = a·exp(c·S) + b explains, S being the cost, with the best a and c above 0."""
    later = [run for run in runs if run.onset]
    costs = [cost_of(run) for run in later]
    traces = [lab04_trace.trace_at(clear, run.onset - 1) for run in later]

    def match(*numbers: float) -> float:
        cost, trace = np.split(np.array(numbers), 2)  # (onsets,) each, of one seed
        return explained(cost, trace) if fit else correlation(cost, trace)

    return seed_by_seed(match, *costs, *traces)


def explained(cost: np.ndarray, trace: np.ndarray) -> float:
    """The fraction of the variance of a trace, (n,), that a·exp(c·cost) + b explains, with the best
    a and c above 0."""
    scales = np.geomspace(0.01, 10, 200)  # values of c
    grown = np.exp(scales[:, None] * cost)  # (200, n)
    correlations = [correlation(row, trace) for row in grown]
    return max(0, *correlations) ** 2


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's correlation of two rows (n,); NaN if one of them is constant."""
    with np.errstate(invalid="ignore"):
        return np.corrcoef(x, y)[0, 1]


@q.quantity
def sharpness(run: Run, peak: bool = False) -> float:
    """The final sharpness as a fraction of its highest; or, with `peak`, the epoch of the paper at
    which it is highest."""
    series = q.result(run, {"ending": (0,)}).series("sharpness")
    if peak:
        return PROFILES[run.profile].pace * (np.nanargmax(series) + 1.0)
    return float(series[-1] / np.nanmax(series))


@q.quantity
def kept_ranks(run: Run, early: int, late: int) -> float:
    """The rank correlation between two epochs of single weights' Fisher information, the mean over
    layers."""
    epochs = q.result(run, {"connections": (early, late)}).measured["connections"]
    ranks = []
    for before, after in zip(epochs[early].values(), epochs[late].values(), strict=True):
        ranks.append(spearmanr(before, after).statistic)
    return np.mean(ranks)


@q.quantity
def share_of_layers(run: Run, *layers: int, epoch: int | None = None) -> float:
    """Percent of the information in some layers, from 0, after an epoch, or by noise at the end."""
    shares = lab04_trace.layer_shares(run, epoch)
    return 100 * float(shares[[*layers]].sum()) if len(shares) else np.nan


def error_doublings(run: Run, clock: str = "stopped") -> Estimate:
    """log₂ of the test error after a deficit, over that without it."""
    control = run.without_window(clock)
    return lab04_trace.doublings(100 - q.accuracy(run), 100 - q.accuracy(control))


def on_blurred_images(run: Run) -> Estimate:
    """Percent of blurred test images named correctly in the end."""
    return lab03.blurred_accuracy(run, "blurred")


def detail_below_chance(run: Run, block: int) -> Estimate:
    """Points by which the share of a block's change that is in detail, which blurred images hardly
    reach, lies below that of a change at random. Blocks are counted from 1; the share is measured
    by `measure_block_detail` in reproduction/measurements.py."""
    chance = q.measured(run, "block_detail", "chance", block - 1)
    return 100 * (chance - q.measured(run, "block_detail", "share", block - 1))


@q.quantity
def jacobian_at_peak(run: Run) -> float:
    """The squared Jacobian nearest to the trace's peak, as a fraction of the last."""
    curve = lab04_trace.trace_curve(run, measure="jacobian")
    peak = lab04_trace.peak_of(lab04_trace.trace_curve(run))
    measured = np.flatnonzero(curve > 0)  # epochs
    if peak is None or not len(measured):
        return np.nan
    nearest = measured[np.argmin(np.abs(measured - peak))]
    return curve[nearest] / curve[-1]


# Growth -------------------------------------------------------------------------------------------


@q.quantity
def growth_gain(spec: Experiment) -> float:
    """Points of accuracy of a search at its highest density above those at the start."""
    values = q.result(spec).values
    density = values["density"]
    accuracy = values["accuracy"]
    return 100 * (accuracy[int(np.argmax(density))] - accuracy[0])


def share_gain(run: Run) -> Estimate:
    """Percent of the neurons that the right eye has, above those in the run without the deficit."""
    return 100 * (lab07.eye_share(run) - lab07.eye_share(run.without_window()))


# Studies whose results are tables here -----------------------------------------------------------


def photographs(condition: str, length: int = 16, column: str = "accuracy") -> dict[int, float]:
    """A column of photographs.csv, in percent, by seed.

    Arguments:
        condition: a value of its column `what`.
        length: a value of its column `length`.
        column: the column.
    """
    table = pd.read_csv(HERE / "photographs.csv")
    rows = table[(table.what == condition) & (table.length == length)].dropna(subset=column)
    return dict(zip(rows.seed.tolist(), 100 * rows[column], strict=True))


def own_right(condition: str, length: int = 16) -> Estimate:
    """Percent of their own photographs that networks get right after a deficit."""
    return estimate([*photographs(condition, length, "own_right").values()])
