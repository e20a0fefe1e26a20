"""Quantities of networks with two eyes, one number a seed, read from results.

They take a Run of the model `eyes`, whose deficits name the eye they act on (blank:right), and
which was trained with the measurements of MEASURES.
"""

from dataclasses import replace

import numpy as np

from cplab.deficits import VIEWS
from cplab.errors import one_of
from cplab.quantities import quantity, result
from cplab.runs import Run, Window
from cplab.statistics import Estimate

EYES = VIEWS
MEASURES = ("eye_shares", "each_eye")  # measurements that a run has to be trained with
READINGS = ("adapted", "mean_map", "closed")
SEVENTHS = 7  # of ocular dominance, Hubel and Wiesel's: 1 is left alone, 4 both alike


def neuron_shares(run: Run, epoch: int | None = None) -> np.ndarray:
    """The right eye's share of each neuron of the first layer that has both eyes, (neurons,), 0 to
    1, after an epoch (from 0), the last one if not given. Raises: Missing."""
    shares = result(run, "eye_shares").measured["eye_shares"]
    return np.array(shares[run.epochs - 1 if epoch is None else epoch])


@quantity
def eye_share(run: Run) -> float:
    """The right eye's mean share of the neurons in the end, 0 to 1; 0.5 if both eyes are equal.

    >>> eye_share(Run(model="eyes"))
    0.5 ± 0.0 (5 seeds)
    """
    return float(neuron_shares(run).mean())


def share_curve(run: Run) -> np.ndarray:
    """The right eye's share after each epoch, (epochs,); NaN where it was not measured."""
    shares = result(run, "eye_shares").measured["eye_shares"]
    return np.array([np.mean(shares.get(epoch, np.nan)) for epoch in range(run.epochs)])


def dominance(run: Run) -> np.ndarray:
    """Percent of the neurons in each class of ocular dominance in the end, (7,): 1 is driven by the
    left eye (nearly) alone, 4 by both alike, 7 by the right eye alone. Hubel and Wiesel sorted
    cells by ear; here a class is a seventh of the share."""
    classes = np.minimum((SEVENTHS * neuron_shares(run)).astype(int), SEVENTHS - 1)
    return 100 * np.bincount(classes, minlength=SEVENTHS) / len(classes)


@quantity
def acuity(run: Run, eye: str = "right", reading: str = "adapted") -> float:
    """Test accuracy in percent of the left or the right eye in the end, with the other one covered,
    or of both; reading, one of READINGS (see `cplab.measure.two_eyes.each_eye`).

    >>> run = Run(model="eyes")
    >>> acuity(run, "both").mean > acuity(run, "left", "closed").mean
    True
    """
    accuracies = result(run, "each_eye").final("each_eye")
    if one_of("eye", eye, (*EYES, "both")) == "both":
        return 100 * accuracies["both"]
    return 100 * accuracies[one_of("reading", reading, READINGS)][EYES.index(eye)]


def acuity_loss(run: Run, eye: str = "right", reading: str = "adapted") -> Estimate:
    """Points of acuity that an eye lost against the same run without its deficits.

    >>> acuity_loss(Run("blank:right", length=8, model="eyes"))
    9.5 ± 3.0 (5 seeds)
    """
    return acuity(run.without_window(), eye, reading) - acuity(run, eye, reading)


def lost_acuity() -> float:
    """Points of acuity that an eye loses if it is closed for the first 8 epochs."""
    return acuity_loss(Run("blank:right", length=8, model="eyes")).mean


def patch(epochs: int, run: Run, eye: str = "left", onset: int | None = None) -> Run:
    """The same run with an eye covered for some epochs (reverse occlusion), from the epoch `onset`,
    the end of the deficit if not given.

    >>> patch(4, Run("blank:right", length=8, model="eyes")).windows
    (('blank:left', 8, 4),)
    """
    if not epochs:
        return run
    cover = Window(f"blank:{one_of('eye', eye, EYES)}", run.end if onset is None else onset, epochs)
    return replace(run, windows=(*run.windows, cover))
