"""The answers to lab 09's exercises."""

from cplab.estimates import detectable
from cplab.lab.questions.checks import Answer, exercise
from cplab.quantities import advantage, harm
from cplab.runs import Run

NOISY = Run("noise", length=16)
SHRUNK = Run("blur", length=16).replace(treatments="shrink-0.4@16")


@exercise("09-2", "times", tolerance=0.1)
def effective_rate() -> Answer:
    """How many times the effective rate falls: by the step, and by the weights that it moves."""
    mistakes = {
        "That is how far the step falls. How long are the weights that it moves?": 3,
        "The two act together: multiply them": 6,
        "That is the part that is left: how many times does it fall?": 1 / 9,
    }
    return Answer(3 * 3, mistakes)


@exercise("09-3", "points that the norms alone give back", tolerance=0.06)
def norms_alone() -> Answer:
    """How many points renorm restores after noise, beyond a sham that only clears the momentum."""
    renormed = NOISY.replace(treatments="renorm@16")
    sham = NOISY.replace(treatments="shrink-1@16")
    mistakes = {
        "That is all that renorm gives back: compare with the sham": advantage(renormed, NOISY),
        "That is what the sham gives back": advantage(sham, NOISY),
        "That is the harm that is left after renorm": harm(renormed),
    }
    return Answer(advantage(renormed, sham), mistakes)


@exercise("09-4", "points that would have been found", tolerance=0.06)
def smallest_visible() -> Answer:
    """The harm that so many seeds would have found in four of five experiments."""
    measured = harm(SHRUNK)
    seeds = measured.freedom + 1
    mistakes = {
        "That is the harm that was measured": measured,
        "An effect as large as half of the interval is found once in two, not four in five": (
            measured.half
        ),
        "That is the upper end of the interval": measured.mean + measured.half,
    }
    return Answer(detectable(measured.half, seeds), mistakes)
