"""The answers to lab 02's exercises."""

from cplab.lab.questions.checks import Answer, exercise
from cplab.labs import lab02
from cplab.quantities import harm, lost_time
from cplab.runs import Run


@exercise("02-1", "the mean harm of your seeds, in points", tolerance=0.06, own_training=True)
def mean_harm() -> Answer:
    """The mean harm of the seeds that the student has trained."""
    points = lab02.own_harm()
    mistakes = {
        "That is one network: give the mean of all twenty": points.values,
        "That is half of the interval, not the mean": points.half,
        "That is the harm of the networks that came with the lab: train your own seeds": harm(
            lab02.BLURRED_DIGITS
        ),
    }
    return Answer(points, mistakes)


@exercise(
    "02-2", "the mean harm of a blur half as strong, in points", tolerance=0.06, own_training=True
)
def weaker_blur() -> Answer:
    """The harm of a blur that is half as strong, in the student's four networks."""
    points = lab02.harm_of_four(lab02.small("blur-2"))
    mistakes = {
        "That is one network: give the mean of all four": points.values,
        "That is half of the interval, not the mean": points.half,
        "That is the harm of the stronger blur": lab02.harm_of_four(lab02.small()),
    }
    return Answer(points, mistakes)


@exercise("02-3", "harm over lost time at onset 24", tolerance=0.005)
def ratio_at_the_end() -> Answer:
    """The sceptic's ratio at the last onset, in lab 03's smaller setting."""
    early = Run("blur", onset=0, length=8)
    late = Run("blur", onset=24, length=8)
    early_ratio = harm(early).mean / lost_time(early).mean
    points = harm(late).mean
    time = lost_time(late).mean
    # At this age the lost time is nearly one point, so that the harm itself is close to the ratio
    mistakes = {
        "That is the harm: divide it by the lost time": points,
        "That is the ratio at onset 0: give the last": early_ratio,
        "That is lost time over harm: divide the other way round": time / points,
        "That is a part of the whole loss: divide by the lost time alone": points / (points + time),
    }
    return Answer(points / time, mistakes)


@exercise("02-4", "points of harm with the higher rate", tolerance=0.06, own_training=True)
def after_strong_steps() -> Answer:
    """The harm that three times the rate leaves, each of the student's four networks beside its
    twin with the same rate."""
    warm = lab02.small().replace(treatments="rate-3@16")
    points = lab02.harm_of_four(warm)
    mistakes = {
        "That is one network: give the mean of all four": points.values,
        "That is half of the interval, not the mean": points.half,
        "That is the harm without the higher rate": lab02.harm_of_four(lab02.small()),
    }
    return Answer(points, mistakes)
