"""The answers to lab 02b's exercises."""

from typing import Any

from cplab.estimates import Estimate
from cplab.lab.questions.checks import Answer, exercise
from cplab.labs.lab02b import longest_harmless_window, until
from cplab.quantities import advantage, every_length, harm
from cplab.runs import Run


@exercise("02b-1", "the longest blur without a penalty, in epochs", tolerance=0.5)
def longest_harmless() -> Answer:
    """The length at which the harm of a blur from birth reaches a point, in the small network."""
    harms = {run.length: harm(run) for run in every_length(Run("blur", length=8))}
    longest, low, high = longest_harmless_window(harms)
    unclear = [length for length, points in harms.items() if points.sign != 1]
    longest_unclear = max(unclear, default=0)
    mistakes = {
        "That is an end of the interval: give the length itself": [low, high],
        "That is the longest one whose harm may be zero; the penalty is one point": (
            longest_unclear
        ),
        "That is the longest one that was trained": max(harms),
    }
    return Answer(longest, mistakes)


def flip_above_blur(**fields: Any) -> Estimate:
    """How many points a flip until 140 ends above a blur until 140.

    Arguments:
        fields: of both runs, those that are not the usual ones.
    """
    flipped = until("flip", 140, **fields)
    blurred = until("blur", 140, **fields)
    return advantage(flipped, blurred)


@exercise("02b-2", "points above without momentum", tolerance=0.06)
def without_momentum() -> Answer:
    """How far a flip ends above a blur without momentum."""
    points = flip_above_blur(momentum=0)
    mistakes = {
        "That is with momentum": flip_above_blur(),
        "That is without shifted and mirrored images: take the momentum away instead": (
            flip_above_blur(augment=False)
        ),
        "That is half of the interval, not the mean": points.half,
    }
    return Answer(points, mistakes)
