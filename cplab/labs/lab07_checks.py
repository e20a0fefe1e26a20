"""The answer to lab 07's exercise 2."""

from cplab.lab.questions.checks import Answer, exercise
from cplab.labs.lab07 import acuity, acuity_loss
from cplab.runs import Run

CLOSED = Run("blank:right", length=8, recovery=15, model="eyes")


@exercise("07-2", "points behind the twin's right eye", tolerance=0.06)
def below_the_newborn() -> Answer:
    """How far the eye that was closed ends behind the twin's, which was open for as long."""
    right_eye = acuity(CLOSED, "right")
    left_eye = acuity(CLOSED, "left")
    other_readings = [
        acuity_loss(CLOSED, "right", "closed").mean,
        acuity_loss(CLOSED, "right", "mean_map").mean,
    ]
    mistakes = {
        "That is how many images it names correctly: how far behind the twin's is it?": right_eye,
        "Read the eye as this lab does, `adapted`": other_readings,
        "Compare with the twin's right eye, not with this network's left one": (
            left_eye - right_eye
        ),
    }
    return Answer(acuity_loss(CLOSED, "right"), mistakes)
