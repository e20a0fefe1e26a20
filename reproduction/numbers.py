"""Quantities that only the report needs: of windows, of Fisher information, and of pruning.

Accuracies are percentages, their differences points.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import spearmanr

from cplab import quantities as q
from cplab.estimates import Estimate, Interval, seed_by_seed
from cplab.labs import lab02, lab04_trace, lab05b, lab07
from cplab.labs.lab02b import longest_harmless_window
from cplab.results.result import LAST
from cplab.runs import Run
from cplab.specs.experiments import Experiment
from cplab.specs.profiles import PROFILES

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


def longest_harmless(run: Run) -> Estimate:
    """Epochs that a deficit from birth may last before its harm is a point."""
    harms = {}
    for shorter in q.every_length(run):
        if shorter.length <= run.length:
            harms[shorter.length] = q.harm(shorter)
    seeds = min(harm.counts[-1] for harm in harms.values() if harm.seeds)
    return with_farther_end(longest_harmless_window(harms), seeds)


def clear_epochs_behind(run: Run) -> Estimate:
    """The clear epochs by which a run is behind one without a deficit."""
    return with_farther_end(lab02.clear_epochs_behind(run), q.harm(run).seeds)


def with_farther_end(interval: tuple[float, ...], seeds: int) -> Estimate:
    """An estimate from a number and the two ends of its interval: half is to the farther end."""
    number, *ends = interval
    half = max(abs(number - end) for end in ends)
    return Estimate(given=Interval(number, half, (seeds,), seeds - 1, {0: number}))


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


# Growth and pruning -------------------------------------------------------------------------------


@q.quantity
def growth_gain(spec: Experiment) -> float:
    """Points of accuracy of a search at its highest density above those at the start."""
    values = q.result(spec).values
    density = values["density"]
    accuracy = values["accuracy"]
    return 100 * (accuracy[int(np.argmax(density))] - accuracy[0])


def bend(net: Experiment, totals: Sequence[int]) -> Estimate:
    """Points by which accuracy in the middle of pruning lies above the straight line between its
    ends; totals, of kernels: before pruning, two in the middle, at the end."""
    accuracies = [lab05b.accuracy_at_moment(net, total) for total in totals]
    whole, earlier, later, last = accuracies
    return 0.5 * (earlier + later - whole - last)


@q.quantity
def straighter_log(net: Experiment) -> float:
    """How much straighter over prunes the logarithm of the number of parameters is than the number
    itself: a difference of squared correlations."""
    parameters = np.unique(q.result(net).values["parameters"])[::-1]
    prunes = np.arange(len(parameters))
    log = np.corrcoef(prunes, np.log(parameters))[0, 1]
    plain = np.corrcoef(prunes, parameters)[0, 1]
    return float(log**2 - plain**2)


@q.quantity
def second_over_first(net: Experiment, total: int) -> float:
    """log₂ of the kernels of the second layer, over those of the first."""
    first, second = lab05b.kernel_split(net, total)
    return float(np.log2(second / first))


def share_gain(run: Run) -> Estimate:
    """Percent of the neurons that the right eye has, above those in the run without the deficit."""
    return 100 * (lab07.eye_share(run) - lab07.eye_share(run.without_window()))
