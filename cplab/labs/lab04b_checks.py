"""The answers to lab 04b's exercises."""

import numpy as np
from scipy import stats

from cplab.lab.questions.checks import Answer, exercise
from cplab.labs import lab04_trace, lab04b
from cplab.quantities import equal_training_loss, harm
from cplab.runs import Run

CLEAR = Run(onset=24, profile="fit")
BLURRED = Run("blur", length=24, profile="fit")


@exercise("04b-1", "the correlation of the changes", tolerance=0.02)
def changes() -> Answer:
    """How the changes of harm and of the trace correlate from onset to onset."""
    clear = Run(onset=24, profile="matched")
    harms = {}
    for onset in (0, 4, 8, 16, 24):
        harms[onset] = harm(Run("blur", onset, length=12, profile="matched"))
    later = [onset for onset in harms if onset > 0]  # after an epoch with a trace
    costs = [harms[onset].mean for onset in later]
    traces = [lab04_trace.trace_at(clear, onset - 1).mean for onset in later]
    changes_of_costs, changes_of_traces = np.diff([costs, traces])

    right = lab04b.changes_together(clear, harms)
    of_levels = np.corrcoef(costs, traces)[0, 1]
    of_ranks = stats.spearmanr(changes_of_costs, changes_of_traces).statistic
    mistakes = {
        "That is the correlation of the levels: take `np.diff` of both first": of_levels,
        "That is the square of the correlation": right**2,
        "That is the correlation of their ranks": of_ranks,
    }
    return Answer(right, mistakes)


@exercise("04b-2", "the mean correlation within a seed", tolerance=0.006)
def within_a_seed() -> Answer:
    """How trace and sensitivity go together within each seed."""
    costs = []
    traces = []
    for onset in (2, 4, 6, 8, 12, 16, 20, 24):
        window = Run("blur", onset, length=4, profile="fit")
        costs.append(equal_training_loss(window).mean)
        traces.append(lab04_trace.trace_at(CLEAR, onset - 1).mean)
    within = lab04b.within_seeds(CLEAR)
    of_means = np.corrcoef(costs, traces)[0, 1]
    mistakes = {
        "That is of the means over seeds: correlate within each seed, and then take the mean": (
            of_means
        ),
        "That is one seed: give the mean of all": within.values,
        "That is half of the interval, not the mean": within.half,
    }
    return Answer(within, mistakes)


@exercise("04b-3", "doublings of the total", tolerance=0.06)
def noise_beside_trace() -> Answer:
    """How many doublings lead from the trace to the information by noise, after the blur."""
    doublings = lab04b.by_noise(BLURRED)
    mistakes = {
        "That is a factor: how many doublings is it?": 2**doublings.mean,
        "That is the natural logarithm: take the one to the base 2": doublings.mean * np.log(2),
        "That is the logarithm to the base 10: take the one to the base 2": (
            doublings.mean * np.log10(2)
        ),
    }
    return Answer(doublings, mistakes)


@exercise("04b-4", "the correlation of trace and log-determinant", tolerance=0.02)
def trace_and_determinant() -> Answer:
    """How the two go together over the epochs of the run without a deficit."""
    clear = lab04b.agreement(CLEAR)
    mistakes = {
        "That is of the blurred run": lab04b.agreement(BLURRED),
        "That is of the flipped run": lab04b.agreement(BLURRED.replace(deficit="flip")),
        "That is the square of the correlation": clear.mean**2,
    }
    return Answer(clear, mistakes)
