"""Checks of exercises that have one answer: right or not yet, and no more is given away."""

import pkgutil
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from cplab.errors import one_of
from cplab.runs import Run


class Check(NamedTuple):
    """What is asked for, in words; what is right; how far beside it an answer may lie; and where
    the solution does not say `answer = ...` itself, its expression for it."""

    words: str
    truth: Callable[[], float]
    within: float
    expression: str = ""


def registered(exercise: str) -> float:
    """What a study says is right in an exercise, see cplab.studies.ANSWERS."""
    return pkgutil.resolve_name(pkgutil.resolve_name("cplab.studies:ANSWERS")[exercise])()


def longest_harmless() -> float:
    """Epochs of blur from birth that cost the small network one point."""
    from cplab import quantities, windows

    harms = {
        run.length: quantities.harm(run) for run in windows.every_length(Run("blur", length=8))
    }
    return windows.longest_harmless_window(harms).epochs


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


def depth_parameters(blocks: int = 3, width: int = 96) -> int:
    """Parameters of a network of the depth family: kernels, two a channel of batch norm, a last
    layer with a bias."""
    widths = [width, *(width * 2 ** (i // 2) for i in range(1, 2 * blocks + 1))]
    outs = [*widths, widths[-1], widths[-1]]
    kernels = [9] * (len(outs) - 1) + [1]
    inputs = [3, *outs[:-1]]
    total = sum(k * a * b + 2 * b for k, a, b in zip(kernels, inputs, outs, strict=True))
    return total + 10 * outs[-1] + 10


CHECKS = {
    "02-1": Check("the mean harm, in points", partial(registered, "02-1"), 0.06),
    "02b-1": Check(
        "the longest blur that costs at most a point, in epochs",
        longest_harmless,
        0.06,
    ),
    "03-2": Check(
        "Student's factor for five seeds and the three statements together",
        lambda: student_t(5, 3),
        0.06,
        "t",
    ),
    "05-1": Check(
        "the density at which it peaks, in percent",
        lambda: 30 + 0.05 * 4000 / 4,
        0.5,
        "search.peak",
    ),
    "06-1": Check("how many parameters depth3-96 has", depth_parameters, 0),
    "06-4": Check(
        "how many seeds halve an interval of five seeds, at the same spread", halving_seeds, 0
    ),
    "07-2": Check(
        "how far the right eye ends below the newborn's, in points",
        partial(registered, "07-2"),
        0.06,
        'statistics.mean_and_half(lost(closed, "right"))[0]',
    ),
    "08-2": Check(
        "the share that is kept at a start of 0.001",
        partial(registered, "08-2"),
        2e-5,
        "kept(depth=3, start=0.001)",
    ),
    "09-2": Check("how many times smaller the effective rate is", lambda: 9.0, 0, "9"),
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
