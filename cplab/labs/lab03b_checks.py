"""The answers to lab 03b's exercises."""

from cplab.lab.questions.checks import Answer, exercise
from cplab.labs import lab00, lab03b
from cplab.quantities import harm
from cplab.runs import Run

BLURRED = Run(
    "blur", length=480, profile="paper", dataset="mnist", model="fc-1250", schedule="fixed"
)


@exercise("03b-1", "clear epochs", tolerance=2)
def first_crossing() -> Answer:
    """The clear epochs after which the twins are first above, on average."""
    crossing = lab03b.passed(BLURRED)
    flipped_crossing = lab03b.passed(BLURRED.replace(deficit="flip"))
    epochs = range(lab03b.STEP, BLURRED.recovery + 1)
    not_above = [epoch for epoch in epochs if not harm(BLURRED, epoch).mean > 0]
    last_crossing = max(not_above, default=0)
    mistakes = {
        "From then on they stay above: when are they above for the first time?": last_crossing,
        "Count the clear epochs alone, without those of the blur": BLURRED.length + crossing,
        "That is with a flip instead of the blur": flipped_crossing,
    }
    return Answer(crossing, mistakes)


@exercise("03b-2", "harm in points", tolerance=0.06, own_training=True)
def tiny_networks() -> Answer:
    """The harm of 200 epochs of blur in lab 00's networks."""
    points = harm(Run("blur", length=200, profile="tiny"))
    mistakes = {
        "That is one network: give the mean of the ten": points.values,
        "That is lab 00's own blur, a mosaic: take `blur`": harm(lab00.childhood()),
        "That is half of the interval, not the mean": points.half,
    }
    return Answer(points, mistakes)
