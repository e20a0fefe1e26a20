"""What the paper tells of animals with one closed eye, and networks with two (see claims.py)."""

from functools import partial

from cplab.statistics import Contrast
from cplab.studies import eyes
from reproduction import numbers as n
from reproduction.questions import EYES
from reproduction.statement import above, below, statement

NO_GRADIENT = "through BatchNorm a blank image gives no gradient: a newborn by construction"
ONE_CLOSED, COMPETING = "One eye closed", "One eye or both"


later_gain, gain, both_gain, closed, percent_share = (
    n.later_share,
    n.eye_gain,
    n.both_gain,
    n.closed,
    n.percent_share,
)


def longer_gain(size: str, long: int, short: int) -> Contrast:
    """An eye's share after a long closure, above that after a short one."""
    after, before = (closed(size, length, 0) for length in (long, short))
    return percent_share(after) - percent_share(before)


CLOSED_EYES = [
    *statement(
        EYES,
        ONE_CLOSED,
        "Paper, introduction, of kittens",
        "Kittens whose one eye was closed within the first three months remained blind in it; "
        "adult cats showed no effect.",
        below(
            "right eye closed for {0} epochs: accuracy of it alone, minus the newborn's, points",
            {"course": (8, 0)},
            gain,
        ),
        below(
            "its share of the neurons, minus the newborn's, percent",
            {"course": (8, 0)},
            partial(gain, of=percent_share),
        ),
        above(
            "share lost to {0} closed epochs at birth, minus that lost at onset {1}, percent",
            {"course": (8, 16)},
            later_gain,
        ),
    ),
    *statement(
        EYES,
        COMPETING,
        "Paper, Results, of humans and animals",
        "The effects of binocular cataracts are less severe than those of monocular ones.",
        above(
            "right eye alone after {0} epochs of blur of both, minus blur of it alone, points",
            {"course": (8,)},
            both_gain,
        ),
        above(
            "right eye alone after {0} epochs with both closed, minus with it alone closed, points",
            {"course": (8,)},
            partial(both_gain, kind="blank"),
            beyond={"course": NO_GRADIENT},
        ),
    ),
]

SQUINT = "right eye sees another image for {0} epochs: both eyes, minus the newborn's, points"
BLURRED = "right eye blurred for {0} epochs: its share of the neurons, minus the newborn's, percent"
LONGER = "right eye closed for {0} epochs: its share, minus that after {1}, percent"


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
