"""Two eyes, in the words of the field: one number a seed, out of results that there are.

A life with two eyes is a Run of the model `eyes`, whose deficits name the eye they act on
(blank:right); its results have the measurements of MEASURES. What has no result raises Missing.
"""

from dataclasses import replace

import numpy as np

from cplab.deficits import VIEWS
from cplab.errors import one_of
from cplab.quantities import contrast, result
from cplab.quantities.statistics import Contrast, estimate
from cplab.runs import Run, Window

EYES = VIEWS
MEASURES = ("eye_shares", "each_eye")  # what a life has to be trained with
READINGS = ("adapted", "mean_map", "closed")
SEVENTHS = 7  # of ocular dominance, Hubel and Wiesel's: 1 is left alone, 4 both alike


def neuron_shares(run: Run, epoch: int | None = None) -> np.ndarray:
    """The right eye's share of each neuron that is the first to have both eyes, (neurons,), 0 to 1,
    after an epoch, from 0; the last one if not given."""
    shares = result(run, "eye_shares").measured["eye_shares"]
    return np.array(shares[run.epochs - 1 if epoch is None else epoch])


@contrast
def eye_share(run: Run) -> float:
    """The right eye's share of the neurons in the end, the mean over them: half if neither eye is
    ahead.

    >>> round(float(eye_share(Run(model="eyes"))), 1)
    0.5
    """
    return float(neuron_shares(run).mean())


def share_curve(run: Run) -> np.ndarray:
    """The right eye's share after each epoch, (epochs,); NaN where it was not measured."""
    known = result(run, "eye_shares").measured["eye_shares"]
    return np.array([np.mean(known.get(epoch, np.nan)) for epoch in range(run.epochs)])


def dominance(run: Run) -> np.ndarray:
    """Percent of the neurons in each class of ocular dominance in the end, (7,): 1 is driven by the
    left eye (nearly) alone, 4 by both alike, 7 by the right eye alone. Hubel and Wiesel sorted
    cells by ear; here a class is a seventh of the share."""
    place = np.minimum((SEVENTHS * neuron_shares(run)).astype(int), SEVENTHS - 1)
    return 100 * np.bincount(place, minlength=SEVENTHS) / len(place)


@contrast
def acuity(run: Run, eye: str = "right", reading: str = "adapted") -> float:
    """What the left or right eye is worth alone in the end, or both: accuracy in percent with the
    other one covered, in one of READINGS (see `cplab.measure.two_eyes.each_eye`).

    >>> run = Run(model="eyes")
    >>> float(acuity(run, "both")) > float(acuity(run, "left", "closed"))
    True
    """
    known = result(run, "each_eye").final("each_eye")
    if one_of("eye", eye, (*EYES, "both")) == "both":
        return 100 * known["both"]
    return 100 * known[one_of("reading", reading, READINGS)][EYES.index(eye)]


def acuity_loss(run: Run, eye: str = "right", reading: str = "adapted") -> Contrast:
    """Points that an eye is worth less, in a reading, than in the same life without the deficits.

    >>> float(acuity_loss(Run("blank:right", length=8, model="eyes"))) > 0
    True
    """
    return acuity(run.without_window(), eye, reading) - acuity(run, eye, reading)


def lost_acuity() -> float:
    """Points that an eye closed for 8 epochs from birth loses against the newborn's."""
    return estimate(acuity_loss(Run("blank:right", length=8, model="eyes"))).mean


def patch(epochs: int, run: Run, eye: str = "left", onset: int | None = None) -> Run:
    """The same life with an eye covered for so many epochs (reverse occlusion), from an onset on:
    the end of the deficit if not given.

    >>> patch(4, Run("blank:right", length=8, model="eyes")).windows
    (('blank:left', 8, 4),)
    """
    if not epochs:
        return run
    cover = Window(f"blank:{one_of('eye', eye, EYES)}", run.end if onset is None else onset, epochs)
    return replace(run, windows=(*run.windows, cover))
