"""Checks of exercises that have one answer: right or not yet, and no more is given away."""

from collections.abc import Callable
from typing import Any, NamedTuple

from cplab.checks import one_of
from cplab.runs import Run


class Check(NamedTuple):
    """What is asked for, in words; its expression in the names of the solution; what is right, and
    how far beside it an answer may lie."""

    words: str
    expression: str
    truth: Callable[[], float]
    within: float


def harm_of_blur() -> float:
    """Points of harm of 16 epochs of blur from birth in lab 02's network, the mean over seeds."""
    from cplab import quantities, statistics

    run = Run("blur", length=16, recovery=60, model="depth3", schedule="fixed")
    return statistics.estimate(quantities.harm(run)).mean


def longest_blur() -> float:
    """Epochs of blur from birth that cost a point, in lab 02b's small network."""
    from cplab import windows

    points = windows.point_means(windows.same_setting(Run()))
    return windows.longest_harmless_window(points, "blur").epochs


def student_t(seeds: int, statements: int = 1) -> float:
    """Half a 95 % interval of several statements together, by the standard error of each."""
    from scipy import stats

    return float(stats.t.ppf(1 - 0.025 / statements, seeds - 1))


def halving_seeds(seeds: int = 5) -> int:
    """Seeds of which an interval is half as large as one of fewer seeds, at the same spread."""
    wanted, many = 0.5 * student_t(seeds) / seeds**0.5, seeds
    while student_t(many) / many**0.5 > wanted:
        many += 1
    return many


def depth3_parameters() -> int:
    from cplab import models

    return sum(one.numel() for one in models.build("depth3-96").parameters())


CHECKS = {
    "02-1": Check("the mean harm over seeds, in points", "answer", harm_of_blur, 0.06),
    "02b-1": Check("how many epochs the blur may last", "answer", longest_blur, 0.06),
    "03-2": Check(
        "Student's factor for five seeds and the three statements together",
        "t",
        lambda: student_t(5, 3),
        0.06,
    ),
    "05-1": Check(
        "the density at which it peaks, in percent",
        "search.peak",
        lambda: 30 + 0.05 * 4000 / 4,
        0.5,
    ),
    "06-1": Check("how many parameters depth3-96 has", "answer", depth3_parameters, 0),
    "06-4": Check(
        "how many seeds halve an interval of five seeds, at the same spread",
        "answer",
        halving_seeds,
        0,
    ),
}


def check_answer(exercise: str, answer: Any) -> bool:
    """Say at once whether an answer is right, and nothing else about it.

    Arguments: exercise, number of the lab and of the exercise; answer, a number.
    Returns: whether it is right; this is printed as well.
    Raises: CplabError for an exercise that has no check.

    >>> check_answer("05-1", 42)
    Exercise 05-1: not yet. Asked for: the density at which it peaks, in percent.
    False
    """
    asked = CHECKS[one_of("exercise with a check", exercise, CHECKS)]
    try:
        right = abs(float(answer) - asked.truth()) <= asked.within
    except (TypeError, ValueError, OverflowError):  # three dots, or a list
        right = False
    verdict = "right." if right else f"not yet. Asked for: {asked.words}."
    print(f"Exercise {exercise}: {verdict}")
    return right
