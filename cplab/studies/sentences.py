"""Runs, figures and tables that several labs share."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from cplab import results, show, statistics
from cplab.errors import CplabError
from cplab.quantities import each_result
from cplab.runs import Run
from cplab.show import Figure, bars, table, what_it_sees

__all__ = ["after", "bars", "each_result", "if_possible", "lines", "table", "times", "train_small"]
__all__ += ["what_it_sees"]


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


def times(doublings: Any) -> str:
    """The factor that a number of doublings makes, as text.

    >>> times([2.9, 3.1])
    '8.0'
    """
    return statistics.plain_number(float(np.exp2(statistics.estimate(doublings).mean)))


def lines(groups: Mapping, axes: tuple[str, str], title: str, **options: Any) -> Figure:
    """A figure of estimates against a number, a curve for each group, with a line at zero.

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
