"""The answers to lab 00b's exercises."""

from cplab.lab.questions.checks import Answer, exercise
from cplab.labs import lab00, lab00b
from cplab.quantities import behind

BLURRED = lab00.childhood()


@exercise("00b-1", "points behind those that were upside down", tolerance=0.06)
def handwritten() -> Answer:
    """What other digits leave of the harm where digits are handwritten."""
    blurred = lab00.childhood(dataset="mnist")
    exchanged = lab00b.treated(blurred, "other")
    mistakes = {
        "That is with their own digits": behind(blurred, "flip"),
        "That is behind equal training": behind(exchanged, "equal training"),
        "That is with drawn digits": behind(lab00b.treated(BLURRED, "other"), "flip"),
    }
    return Answer(behind(exchanged, "flip"), mistakes)


@exercise("00b-2", "points left beside equal training", tolerance=0.06, own_training=True)
def left_by_a_shrink() -> Answer:
    """The harm that is left after all weights × 0.7, in the student's own networks."""
    shrunk = lab00b.treated(BLURRED, "scale-0.7")
    left = behind(shrunk, "equal training", seeds=lab00.SEEDS)
    mistakes = {
        "That is half of the interval, not the mean": left.half,
        "That is what the blur leaves without a shrink": lab00.own_twenty(BLURRED),
        "That is what × 0.4 leaves": behind(lab00b.treated(BLURRED, "scale-0.4"), "equal training"),
    }
    return Answer(left, mistakes)
