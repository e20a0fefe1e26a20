"""Checks of exercises that have one answer: they print `right` or `not yet`, and no more."""

from pkgutil import resolve_name
from typing import Any, NamedTuple

from cplab.errors import one_of


class Check(NamedTuple):
    """The check of one exercise. words: what is asked for. right: the answer, a number or, if it
    depends on results, the address of a function that returns it. within: how far off an answer may
    be. expression: the solution's expression for the answer, unless it has `answer = ...`."""

    words: str
    right: float | str
    within: float
    expression: str = ""

    def truth(self) -> float:
        """The right answer."""
        return resolve_name(self.right)() if isinstance(self.right, str) else self.right


CHECKS = {
    "07-2": Check(
        "how far the right eye ends below the newborn's, in points",
        "cplab.studies.eyes.quantities:lost_acuity",
        0.06,
        'lost(closed, "right").mean',
    ),
}


def check_answer(exercise: str, answer: Any) -> bool:
    """Print whether an answer is right, and nothing else about it.

    Arguments: exercise, number of the lab and of the exercise; answer, a number.
    Returns: whether it is right.
    Raises: CplabError for an exercise that has no check.

    >>> check_answer("07-2", 42)
    Exercise 07-2: not yet. Asked for: how far the right eye ends below the newborn's, in points.
    False
    """
    check = CHECKS[one_of("exercise with a check", exercise, CHECKS)]
    try:
        correct = abs(float(answer) - check.truth()) <= check.within
    except (TypeError, ValueError, OverflowError):  # three dots, or a list
        correct = False
    verdict = "right." if correct else f"not yet. Asked for: {check.words}."
    print(f"Exercise {exercise}: {verdict}")
    return correct
