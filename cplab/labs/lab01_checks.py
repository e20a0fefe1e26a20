"""The answers to lab 01's exercises."""

from operator import truediv

import numpy as np
import pandas as pd
from scipy.optimize import curve_fit

from cplab import estimates, quantities
from cplab.lab.questions.checks import Answer, exercise
from cplab.labs import lab01
from cplab.quantities import accuracy
from cplab.runs import Run
from cplab.specs.profiles import PROFILES

COURSE = PROFILES["course"]


@exercise("01-1", "τ in days", tolerance=1)
def time_constant() -> Answer:
    """The time constant of the exponential through the five points, from a normal cat's acuity."""
    points = lab01.statements("recovered_acuity").query("kind == 'point'")
    tau = fitted_tau(points, start=[60])
    mistakes = {
        "That is with both numbers free: hold the normal acuity at 6.9": fitted_tau(
            points, start=[60, 6]
        ),
        "That is of the first three points: take all five": fitted_tau(points[:3], start=[60, 6]),
        "After that time half is left; after τ it is 37 %": tau * np.log(2),
    }
    return Answer(tau, mistakes)


def fitted_tau(points: pd.DataFrame, start: list[float]) -> float:
    """τ of the exponential that is nearest to some points, by least squares.

    Arguments:
        points: rows with value, age_low and age_high.
        start: the numbers that are fitted, as the search for them begins: τ alone, or τ and the
            normal acuity.
    """
    age = (points.age_low + points.age_high) / 2
    fitted, _ = curve_fit(lab01.decline, age, points.value, p0=start)
    return fitted[0]


@exercise("01-2", "lean of the images as stripes", tolerance=0.02, images="cifar10")
def lean_of_stripes() -> Answer:
    """How far images lean to the vertical when only stripes are left of them."""
    stripes = lab01.images_lean(COURSE, "stripes")
    clear = lab01.images_lean(COURSE, "none")
    blurred = lab01.images_lean(COURSE, "blur")
    beyond = stripes - clear
    mistakes = {
        "That is how far the clear images lean": clear,
        "That is how far the blurred images lean": blurred,
        "That is how far stripes lean beyond clear images: give the stripes' own lean": beyond,
    }
    return Answer(stripes, mistakes)


@quantities.quantity
def lean(run: Run) -> float:
    """How far the filters of the first layer lean to vertical stripes, -1 to 1."""
    orientations = lab01.orientation(lab01.filters(run))
    return float(orientations.real.mean())


def lean_beyond_clear(epochs: int, **fields: int) -> estimates.Estimate:
    """How much further filters lean after stripes than after as many clear epochs."""
    stripes = lab01.reared("stripes", epochs, **fields)
    clear = lab01.reared("none", epochs, **fields)
    return lean(stripes) - lean(clear)


@exercise("01-3", "lean beyond clear after 16 epochs of stripes and the recovery", tolerance=0.01)
def lean_left() -> Answer:
    """What 16 epochs of stripes leave in the first layer, beside clear images."""
    stripes_alone = lean(lab01.reared("stripes", 16))
    mistakes = {
        "That is their lean alone: subtract that of the networks on clear images": stripes_alone,
        "That is before the recovery": lean_beyond_clear(16, recovery=0),
        "That is after 8 epochs of stripes: give the last": lean_beyond_clear(8),
    }
    return Answer(lean_beyond_clear(16), mistakes)


@exercise("01-4", "percent of what the twin has, after the longest blur", tolerance=0.6)
def share_of_newborn() -> Answer:
    """The share that the longest blur leaves, with the twin as the normal; guessing is 0."""
    longest = Run("blur", length=24)
    shortest = Run("blur", length=2)
    newborn = longest.newborn()
    mistakes = {
        "That is beside as many clear epochs: take the twin, which had fewer": share_of(
            longest.equal_training(), longest
        ),
        "Guessing names one image in ten: count both accuracies from 10 % on": share_of(
            newborn, longest, guessing=0
        ),
        "That is after the shortest blur": share_of(shortest.newborn(), shortest),
    }
    return Answer(share_of(newborn, longest), mistakes)


def share_of(normal: Run, run: Run, guessing: float = 10) -> estimates.Estimate:
    """A run's accuracy above guessing, in percent of that of a normal run, seed by seed."""
    above_guessing = accuracy(run) - guessing
    usual = accuracy(normal) - guessing
    return 100 * estimates.seed_by_seed(truediv, above_guessing, usual)
