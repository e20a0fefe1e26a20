"""Exercises with one answer: the right one, and what to say about common mistakes.

An exercise is known by its key, `02-1` for exercise 1 of lab 02. Those of the labs stand in
`cplab/labs/labNN_checks.py`; `exercise` adds one, in a notebook or in a file that it imports.
"""

import importlib.util
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from cplab.base.errors import CplabError, quote
from cplab.estimates import Estimate
from cplab.pictures import datasets

Solution = Estimate | float  # of an Estimate the mean is meant
Solve = TypeVar("Solve", bound=Callable[[], "Answer | Solution"])


@dataclass(frozen=True)
class Answer:
    """The right answer of an exercise, and common wrong ones.

    Arguments:
        right: a number, or an Estimate, whose mean is meant.
        mistakes: {what to say of it: a wrong answer, several in a list, or all seeds' in an array}.
    """

    right: Solution
    mistakes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Exercise:
    """An exercise with one answer.

    Attributes:
        key: its name, such as 02-1.
        asked: what it asks for.
        tolerance: how far from the right answer an answer may be.
        solve: computes the right answer, called when a student has answered.
        own_training: whether the student trains the networks, which a grader's machine does not
            have.
        images: the data set without which a mistake would pass for the right answer.
    """

    key: str
    asked: str
    tolerance: float
    solve: Callable[[], Answer | Solution]
    own_training: bool = False
    images: str = "practice"

    def answer(self) -> Answer:
        """Work out the right answer and the mistakes.

        Raises:
            CplabError: without its images, or without torch where it needs it.
        """
        if not datasets.is_here(self.images):
            raise CplabError(f"{self.images} is not here: `{datasets.to_fetch(self.images)}`")
        solution = self.solve()
        return solution if isinstance(solution, Answer) else Answer(solution)


EXERCISES: dict[str, Exercise] = {}
VERDICTS: dict[str, bool] = {}  # by key, whether the answer that was last checked was right


def exercise(
    key: str,
    asked: str,
    tolerance: float = 0.0,
    own_training: bool = False,
    images: str = "practice",
) -> Callable[[Solve], Solve]:
    """Make a function the answer of an exercise, for `check`. If the function is defined again, it
    replaces the earlier one.

    Arguments:
        key: a name that no other exercise has.
        asked: what is asked for, and in which unit.
        tolerance: how far from the right answer an answer may be.
        own_training: whether the answer is about networks that the student trains.
        images: the data set that it cannot be checked without.

    Returns:
        a decorator of a function without arguments, which returns a number, an Estimate, or an
        `Answer` with mistakes.

    >>> @exercise("mine-1", "legs of six kittens")
    ... def legs():
    ...     return Answer(6 * 4, {"That is one kitten: count all six": 4})
    >>> check("mine-1", 4)
    mine-1, legs of six kittens: not yet. That is one kitten: count all six.
    """

    def keep(solve: Solve) -> Solve:
        EXERCISES[key] = Exercise(key, asked, tolerance, solve, own_training, images)
        return solve

    return keep


def check(key: str, answer: object, *more: object) -> None:
    """Print whether an answer to an exercise is right and, if it is a common mistake, which one.
    The right answer is never printed.

    Arguments:
        key: of the exercise, as its text names it.
        answer: a number or an Estimate.

    Raises:
        CplabError: for a key that no exercise has.

    >>> check("06-4", 20)
    06-4, seeds: not yet. Four times as many would do if Student's factor stayed; it falls too.
    """
    exercise = find_exercise(key)
    # With a decimal comma, 4,2 are two numbers
    verdict = judge(exercise, [answer, *more] if more else answer)
    VERDICTS[key] = verdict == "right"
    print(f"{exercise.key}, {exercise.asked}: {verdict}.")


def is_right(key: str, answer: object) -> bool:
    """Whether an answer to an exercise is right, for a test of a grader.

    >>> is_right("06-4", 20), is_right("06-4", "twenty")
    (False, False)
    """
    return judge(find_exercise(key), answer) == "right"


def find_exercise(key: str) -> Exercise:
    """The exercise with a key. A lab's exercises are loaded when the first of them is asked for.

    Raises:
        CplabError: if there is none.
    """
    number, _, _ = str(key).partition("-")  # of the lab
    module = f"cplab.labs.lab{number}_checks"
    if key not in EXERCISES and number.isalnum() and importlib.util.find_spec(module):
        importlib.import_module(module)
    if key not in EXERCISES:
        keys = sorted(name for name in EXERCISES if name.startswith(f"{number}-"))
        if keys:
            remedy = f"lab {number} has {', '.join(keys)}"
        else:
            remedy = "write the lab first, as in '02-1'"
        raise CplabError(f"no exercise {quote(key)}: {remedy}; @lab.exercise adds your own")
    return EXERCISES[key]


def judge(exercise: Exercise, answer: object) -> str:
    """Say whether an answer is right, without a full stop."""
    try:
        solution = exercise.answer()
    except CplabError as error:  # no torch, or no images
        return f"it cannot be checked here. {error}"
    right = as_number(solution.right)
    if not math.isfinite(right):
        return "there is nothing to compare with yet. Train its networks first"
    number = as_number(answer)
    if math.isnan(number):
        return "not yet: give one number, with a decimal point"
    if abs(number - right) <= exercise.tolerance:
        return "right"
    mistakes = {**solution.mistakes, **usual_mistakes(right)}
    for words, wrong in mistakes.items():
        if is_one_of(number, wrong, exercise.tolerance):
            return f"not yet. {words}"
    return "not yet"


def usual_mistakes(right: float) -> dict[str, object]:
    """Mistakes that are made in any exercise, with what to say about them."""
    hundred_times = [100 * right, right / 100]
    rounded = [float(round(right)), float(f"{right:.1g}")]
    return {
        "Its sign is wrong": -right,
        "Look at the unit: it is a hundred times too large or too small": hundred_times,
        "It is rounded too far: give one more digit": rounded,
    }


def is_one_of(number: float, wrong: object, tolerance: float) -> bool:
    """Whether a number is one of some wrong ones: as close as the exercise allows, and within two
    percent. A wide tolerance alone would call many numbers this mistake. Seeds are so many that
    one more digit has to agree."""
    if isinstance(wrong, np.ndarray):
        tolerance = tolerance / 10
    points = wrong.mean if isinstance(wrong, Estimate) else wrong
    values = np.asarray(points, dtype=float).ravel().tolist()
    rounding = 1e-9
    for value in values:
        farthest = min(tolerance, 0.02 * abs(value))
        if abs(number - value) <= farthest + rounding:
            return True
    return False


def as_number(value: object) -> float:
    """A number, or the mean of an Estimate, as a float; NaN for what is neither."""
    if isinstance(value, Estimate):
        return value.mean
    with suppress(TypeError, ValueError, OverflowError):  # three dots, or a list
        return float(value)  # type: ignore[arg-type]
    return math.nan
