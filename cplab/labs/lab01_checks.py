"""The answers to lab 01's exercises."""

from operator import truediv

import numpy as np
from scipy.optimize import curve_fit

from cplab import estimates, quantities
from cplab.lab.checks import Answer, exercise
from cplab.labs import lab01
from cplab.quantities import accuracy
from cplab.runs import Run
from cplab.specs.profiles import PROFILES

COURSE = PROFILES["course"]


@exercise("01-1", "τ in days", near=1)
def time_constant() -> Answer:
    """The time constant of the exponential through the five points, from a normal cat's acuity."""
    rows = lab01.statements("recovered_acuity").query("kind == 'point'")
    age = (rows.age_low + rows.age_high) / 2
    (alone,), _ = curve_fit(lab01.decline, age, rows.value, p0=[60])
    (free, _), _ = curve_fit(lab01.decline, age, rows.value, p0=[60, 6])
    (three, _), _ = curve_fit(lab01.decline, age[:3], rows.value[:3], p0=[60, 6])
    mistakes = {
        "That is with both numbers free: hold the normal acuity at 6.9": free,
        "That is of the first three points: take all five": three,
        "After that time half is left; after τ it is 37 %": alone * np.log(2),
    }
    return Answer(alone, mistakes)


@exercise("01-2", "lean of the images as stripes", near=0.02)
def lean_of_stripes() -> Answer:
    """How far images lean to the vertical when only stripes are left of them."""
    stripes, clear, blurred = (
        lab01.images_lean(COURSE, deficit) for deficit in ("stripes", "none", "blur")
    )
    mistakes = {
        "That is how far the clear images lean": clear,
        "That is how far the blurred images lean": blurred,
        "That is how far stripes lean beyond clear images: give the stripes' own lean": (
            stripes - clear
        ),
    }
    return Answer(stripes, mistakes)


@quantities.quantity
def lean(run: Run) -> float:
    """How far the filters of the first layer lean to vertical stripes, -1 to 1."""
    return float(lab01.orientation(lab01.filters(run)).real.mean())


def lean_beyond_clear(epochs: int, **fields: int) -> estimates.Estimate:
    """How much further filters lean after stripes than after as many clear epochs."""
    stripes, clear = (lab01.reared(kind, epochs, **fields) for kind in ("stripes", "none"))
    return lean(stripes) - lean(clear)


@exercise("01-3", "lean beyond clear after 16 epochs of stripes and the recovery", near=0.01)
def lean_left() -> Answer:
    """What 16 epochs of stripes leave in the first layer, beside clear images."""
    mistakes = {
        "That is their lean alone: subtract that of the networks on clear images": lean(
            lab01.reared("stripes", 16)
        ),
        "That is before the recovery": lean_beyond_clear(16, recovery=0),
        "That is after 8 epochs of stripes: give the last": lean_beyond_clear(8),
    }
    return Answer(lean_beyond_clear(16), mistakes)


@exercise("01-4", "percent of what a newborn has, after the longest blur", near=0.6)
def share_of_newborn() -> Answer:
    """The share that the longest blur leaves, with the newborn as the normal; guessing is 0."""
    longest = Run("blur", length=24)

    def share(run: Run, normal: Run, guessing: float = 10) -> estimates.Estimate:
        both = (accuracy(one) - guessing for one in (run, normal))
        return 100 * estimates.seed_by_seed(truediv, *both)

    shortest = longest.replace(length=2)
    mistakes = {
        "That is beside as many clear epochs: take the newborn, which had fewer": share(
            longest, longest.equal_training()
        ),
        "Guessing names one image in ten: count both accuracies from 10 % on": share(
            longest, longest.newborn(), guessing=0
        ),
        "That is after the shortest blur": share(shortest, shortest.newborn()),
    }
    return Answer(share(longest, longest.newborn()), mistakes)
