"""The answers to lab 00's exercises, all about the student's own twenty networks."""

from cplab.lab.questions.checks import Answer, exercise
from cplab.labs import lab00
from cplab.quantities import harm

EARLY = lab00.childhood()


@exercise("00-1", "the mean harm of your twenty, in points", tolerance=0.06, own_training=True)
def mean_harm() -> Answer:
    """The mean harm of the student's own networks, blurred from birth."""
    points = lab00.own_twenty(EARLY)
    shipped = harm(EARLY)
    mistakes = {
        "That is one of the twenty networks: give the mean of all": points.values,
        "That is the mean of the networks that came with the lab: give that of your own": shipped,
        "That is half of the interval, not the mean": points.half,
    }
    return Answer(points, mistakes)


@exercise("00-2", "networks", tolerance=2, own_training=True)
def networks_needed() -> Answer:
    """How many networks give an interval of ± 0.5 points, if they spread like the student's own."""
    shrinkage = lab00.own_twenty(EARLY).half / 0.5  # how many times narrower it has to be
    networks = 20 * shrinkage**2  # since its width goes with 1/√n
    mistakes = {
        "Half of an interval falls as 1/√n, so the number grows with the square": 20 * shrinkage,
        "± 0.5 is half of an interval, as `half` is": 4 * networks,
        "That is a factor: multiply the twenty networks by it": shrinkage**2,
    }
    return Answer(networks, mistakes)


@exercise("00-3", "harm of both together, in points", tolerance=0.06, own_training=True)
def both_deficits() -> Answer:
    """The mean harm of the student's own networks, blurred and upside down."""
    together = lab00.own_twenty(lab00.childhood("mosaic+flip"))
    blurred = lab00.own_twenty(lab00.childhood("mosaic"))
    flipped = lab00.own_twenty(lab00.childhood("flip"))
    mistakes = {
        "That is what the blur alone leaves": blurred,
        "That is what the upside-down world alone leaves": flipped,
        "That is the sum of the two harms, but two deficits need not add up: train them": (
            blurred.mean + flipped.mean
        ),
    }
    return Answer(together, mistakes)
