"""The answers to lab 08's exercises, which need no results: they are computed."""

from cplab.lab.questions.checks import Answer, exercise
from cplab.labs.lab08 import Rearing, kept, rear


@exercise("08-1", "share in percent", tolerance=0.1)
def one_layer() -> Answer:
    """The share, in the end, of an eye of one layer that was blank for the first T."""
    [closed] = rear(Rearing(depth=1, length=1, recovery=0))
    right = kept(depth=1, recovery=50)
    mistakes = {
        "That is the share of the other eye": 100 - right,
        "That is the share when the eye opens: let both learn to the end": 100 * closed.share[-1],
        "That is the share with two layers": kept(recovery=50),
    }
    return Answer(right, mistakes)


@exercise("08-2", "share with the smallest start, in percent", tolerance=0.02)
def smallest_start() -> Answer:
    """The share that three layers keep if they begin at 0.001."""
    right = kept(depth=3, start=0.001)
    mistakes = {
        "That is with the lab's usual start, 0.01": kept(depth=3),
        "That is with the largest start: give the last": kept(depth=3, start=0.1),
        "That is the share of the other eye": 100 - right,
    }
    return Answer(right, mistakes)


@exercise("08-3", "share in percent", tolerance=0.02)
def at_rest() -> Answer:
    """Where three layers come to rest."""
    [closed] = rear(Rearing(depth=3, length=1, recovery=0))
    right = kept(depth=3, recovery=100)
    mistakes = {
        "That is the share when the eye opens: where do both come to rest?": (
            100 * closed.share[-1]
        ),
        "That is with two layers, where the logarithms change alike": kept(recovery=100),
        "That is the share of the other eye": 100 - right,
    }
    return Answer(right, mistakes)
