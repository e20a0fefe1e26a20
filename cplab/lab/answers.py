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
    "05-1": Check(
        "the density at which it peaks, in percent", 30 + 0.05 * 4000 / 4, 0.5, "search.peak"
    ),
}


def check_answer(exercise: str, answer: Any) -> bool:
    """Print whether an answer is right, and nothing else about it.

    Arguments: exercise, number of the lab and of the exercise; answer, a number.
    Returns: whether it is right.
    Raises: CplabError for an exercise that has no check.

    >>> check_answer("05-1", 42)
    Exercise 05-1: not yet. Asked for: the density at which it peaks, in percent.
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
