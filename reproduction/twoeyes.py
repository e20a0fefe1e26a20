"""What the paper tells of animals with one closed eye, and networks with two (see claims.py)."""

from dataclasses import replace
from functools import partial

from cplab.runs import Run
from cplab.studies import eyes
from reproduction.questions import EYES
from reproduction.statement import above, below, statement

NO_GRADIENT = "through BatchNorm a blank image gives no gradient: a newborn by construction"
ONE_CLOSED, COMPETING = "One eye closed", "One eye or both"


def closed(size, length, onset, seed, deficit="blank:right") -> Run:
    """A life in which the right eye is closed, or worse off, for a while."""
    return Run(deficit, onset, length, profile=size, model="eyes", seed=seed)


def percent_share(run: Run) -> float:
    return 100 * eyes.eye_share(run)


def gain(size, length, onset, seed, deficit="blank:right", of=eyes.acuity) -> float:
    """What an eye is worth that was worse off, above the same life without the window; or another
    number of it."""
    run = closed(size, length, onset, seed, deficit)
    return of(run) - of(run.without_window())


def later_gain(size, length, onset, seed, of=percent_share) -> float:
    """What a late window takes, below what one at birth does."""
    late, early = (gain(size, length, at, seed, of=of) for at in (onset, 0))
    return late - early


def both_gain(size, length, seed, kind="blur") -> float:
    """What the right eye is worth after both had a deficit, above where it had it alone."""
    alone = closed(size, length, 0, seed, f"{kind}:right")
    return eyes.acuity(replace(alone, deficit=kind)) - eyes.acuity(alone)


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
