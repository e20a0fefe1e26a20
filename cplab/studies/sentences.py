"""Runs, figures, tables and phrases that several labs share. `values` and `points` are a contrast,
or one number for each seed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from cplab import results, show
from cplab.errors import CplabError
from cplab.quantities import each_result, statistics
from cplab.runs import Run
from cplab.show import Figure, bars, table, what_it_sees

__all__ = ["after", "bars", "beside", "each_result", "if_possible", "lines", "rounded", "seeds"]
__all__ += ["side", "spread", "table", "times", "train_small", "what_it_sees"]

T = TypeVar("T")


def after(deficit: str, length: int, profile: str, **fields: Any) -> Run:
    """A run with a deficit from birth, or with as many clear epochs for `none`, and then recovery.

    >>> after("blur", 8, "course").length, after("none", 8, "course").onset
    (8, 8)
    """
    when = {"onset": length} if deficit == "none" else {"deficit": deficit, "length": length}
    return Run(**when, profile=profile, **fields)


def train_small(*runs: Run, measure: Any = ()) -> None:
    """Train two seeds of the runs whose profile is `ci`, and their controls, which takes seconds;
    nothing is done for larger runs."""
    small = [replace(run, seed=seed) for run in runs if run.profile == "ci" for seed in (0, 1)]
    specs = [spec for run in small for spec in (run, run.equal_training())]
    specs += [run.newborn() for run in small if run.recovery]
    if specs:
        results.at_hand(specs, measure)


def side(values: Any, above: T, level: T, below: T) -> T:
    """Choose one of three answers by the side of zero on which the 95 % interval of a mean lies;
    `level` if it holds zero, or if there is none.

    >>> side([1.0, 1.2, 0.9], "more", "as much", "less")
    'more'
    """
    mean, half = statistics.mean_and_half(values)
    return (above if mean > 0 else below) if abs(mean) > half else level


def spread(values: Any, digits: int = 1) -> str:
    """A mean and half its 95 % interval, without the number of seeds, which stands in a caption.

    >>> spread([1.0, 2.0, 4.0])
    '2.3 ± 3.8'
    """
    return statistics.describe(values, digits).partition(" (")[0]


def rounded(values: Any, digits: int = 0) -> str:
    """A mean alone, for a sentence beside a figure with the interval.

    >>> rounded([4.1, 4.4])
    '4'
    """
    return spread(values, digits).partition(" ±")[0]


def times(doublings: Any) -> str:
    """The factor that a number of doublings makes, as text.

    >>> times([2.9, 3.1])
    '8.0'
    """
    return statistics.plain_number(float(np.exp2(statistics.estimate(doublings).mean)))


def seeds(values: Any) -> int:
    """The number of seeds of a contrast or numbers.

    >>> seeds([4.1, 4.4])
    2
    """
    return statistics.estimate(values).seeds


def beside(points: Any, other: str, digits: int = 1) -> str:
    """A difference in points as a phrase, for a sentence beside a figure with the interval; other,
    what it is measured from.

    >>> beside([-2.1, -1.9], "random ones"), beside([-1.0, 1.0], "random ones")
    ('2.0 points below random ones', 'level with random ones')
    """
    if not seeds(points):
        return f"not compared with {other} yet"
    size = f"{abs(statistics.estimate(points).mean):.{digits}f} points"
    return side(points, f"{size} above {other}", f"level with {other}", f"{size} below {other}")


def lines(groups: Mapping, axes: tuple[str, str], title: str, **options: Any) -> Figure:
    """A figure of contrasts against a number, a curve for each group, with a line at zero.

    >>> lines({"blur": {2: [1.0, 2.0]}}, ("epochs", "harm"), "Blur harms").ax.get_xlabel()
    'epochs'
    """
    return show.means(groups, axes, title, zero=True, **options)


@contextmanager
def if_possible() -> Iterator[None]:
    """Skip a block that lacks images, results or torch, and print one line that says why.

    >>> with if_possible():
    ...     raise CplabError("no images here: fetch them")
    Left out: no images here: fetch them
    """
    try:
        yield
    except (ImportError, CplabError) as error:
        print(f"Left out: {error}")
    except NameError as error:  # a name that a skipped block would have defined
        print(f"Left out, as {error.name} was above.")
