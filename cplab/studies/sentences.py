"""Runs, figures and tables that several labs share."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from bokeh.plotting import figure

from cplab import results, show, statistics
from cplab.errors import CplabError
from cplab.quantities import each_result
from cplab.runs import Run
from cplab.show.previews import preview
from cplab.show.theme import EQUAL, reference_line
from cplab.specs.profiles import Profile

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


def bars(values: Mapping[str, Any], unit: str, title: str, **size: Any) -> figure:
    """A figure with a bar for each estimate that has seeds, and a line at zero; title, its finding.

    >>> bars({"blur": [1.0, 2.0], "flip": []}, "harm, points", "Blur harms").x_range.factors
    ['blur']
    """
    found = {words: statistics.estimate(points) for words, points in values.items()}
    trained = {words: points for words, points in found.items() if points.seeds}
    size = {"width": 700, "height": 340, "title": title, **size}
    fig = show.bars(trained, unit, percent=False, **size)
    reference_line(fig, "width", EQUAL.colour)
    return fig


def lines(groups: Mapping, axes: tuple[str, str], title: str, **options: Any) -> figure:
    """A figure of estimates against a number, a curve for each group, with a line at zero.

    >>> lines({"blur": {2: [1.0, 2.0]}}, ("epochs", "harm"), "Blur harms").xaxis.axis_label
    'epochs'
    """
    options = {"width": 700, "height": 340, "percent": False, **options}
    fig = show.means(groups, axes, title=title, **options)
    reference_line(fig, "width", EQUAL.colour)
    return fig


def table(rows: Mapping[Any, Mapping[str, Any]], digits: int = 1) -> pd.DataFrame:
    """A table of estimates with their intervals, and the number of seeds of the first in each row;
    rows whose first has none are left out, and text stays.

    >>> table({"blur": {"harm": [1.0, 2.0]}, "flip": {"harm": []}}).to_dict("index")
    {'blur': {'harm': '1.5 ± 6.4', 'seeds': 2}}
    """
    trained = {}
    for words, columns in rows.items():
        found = {c: v if isinstance(v, str) else statistics.estimate(v) for c, v in columns.items()}
        count = next(each.seeds for each in found.values() if not isinstance(each, str))
        if count:
            texts = {c: v if isinstance(v, str) else f"{v:.{digits}f}" for c, v in found.items()}
            trained[words] = texts | {"seeds": count}
    return pd.DataFrame.from_dict(trained, orient="index")


def what_it_sees(profile: Profile, deficits: Sequence[Any], count: int = 8) -> Any:
    """Pictures of some images of a profile, clear and under each deficit, in rows.

    >>> from cplab import PROFILES
    >>> "blur" in what_it_sees(PROFILES["ci"], ["blur"], count=2).data
    True
    """
    rows: dict[str, Any] = {}
    for deficit in deficits:
        seen, _ = preview(profile.dataset, profile.name, deficit, count)
        rows |= {"clear": seen["clear"]}
        if "seen" in seen:
            rows[show.label(deficit)] = seen["seen"]
    return show.strips(rows)


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
