"""What is claimed of two sources and one network, and our networks with two eyes (see claims.py).

Source: M. Kleinman, A. Achille, S. Soatto, Critical Learning Periods for Multisensory Integration
in Deep Networks, CVPR 2023. Its networks are ResNets with two halves of an image.
"""

from functools import partial

from cplab.studies import eyes
from reproduction.questions import EYES
from reproduction.statement import below, statement
from reproduction.twoeyes import closed, gain, percent_share

SQUINT = "right eye sees another image for {0} epochs: both eyes, minus the newborn's, points"
BLURRED = "right eye blurred for {0} epochs: its share of the neurons, minus the newborn's, percent"
LONGER = "right eye closed for {0} epochs: its share, minus that after {1}, percent"


def longer_gain(size: str, long: int, short: int, seed: int) -> float:
    """An eye's share after a long closure, above that after a short one."""
    after, before = (closed(size, length, 0, seed) for length in (long, short))
    return percent_share(after) - percent_share(before)


INTEGRATION = [
    *statement(
        EYES,
        "Kleinman 2023: two sources",
        "Abstract",
        "How well a network integrates sources hinges on properly correlated signals early in "
        "training; interfering with that impairs it for good.",
        below(
            SQUINT,
            {"course": (8, 0)},
            partial(gain, deficit="strabismus:right", of=partial(eyes.acuity, eye="both")),
        ),
    ),
    *statement(
        EYES,
        "Kleinman 2023, figure 4",
        "Caption",
        "After a deficit of one pathway (blur) that lasts long enough, units stay sensitive to the "
        "other one alone; the longer it lasts, the more so.",
        below(
            BLURRED,
            {"course": (8, 0)},
            partial(gain, deficit="blur:right", of=percent_share),
        ),
        below(LONGER, {"course": (16, 4)}, longer_gain),
    ),
]
