"""What several labs say and show alike: the runs that they compare, figures and tables of a
contrast each, what an estimate allows to say, what a network sees. `values` and `points` are a
contrast, or one number a seed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from bokeh.plotting import figure

from cplab import results, show
from cplab.errors import CplabError
from cplab.quantities import each_result, statistics
from cplab.runs import Run
from cplab.show.previews import preview
from cplab.show.theme import EQUAL, reference_line
from cplab.specs.profiles import Profile

__all__ = ["after", "bars", "beside", "each_result", "if_possible", "lines", "rounded", "seeds"]
__all__ += ["side", "spread", "table", "times", "train_small", "what_it_sees"]

T = TypeVar("T")


def after(deficit: str, length: int, profile: str, **fields: Any) -> Run:
    """A run from birth with a deficit, or with as many clear epochs of `none`, then recovery.

    >>> after("blur", 8, "course").length, after("none", 8, "course").onset
    (8, 8)
    """
    when = {"onset": length} if deficit == "none" else {"deficit": deficit, "length": length}
    return Run(**when, profile=profile, **fields)


def train_small(*runs: Run, measure: Any = ()) -> None:
    """Train two seeds of those runs whose profile is `ci`, and their controls, which takes seconds;
    larger ones stay as they were trained."""
    small = [replace(run, seed=seed) for run in runs if run.profile == "ci" for seed in (0, 1)]
    each = [one for run in small for one in (run, run.equal_training())]
    each += [run.newborn() for run in small if run.recovery]
    if each:
        results.at_hand(each, measure)


def side(values: Any, above: T, level: T, below: T) -> T:
    """One of three answers, by the side of zero on which the 95 % interval of a mean lies: `level`
    where there is no interval or zero lies in it.

    >>> side([1.0, 1.2, 0.9], "more", "as much", "less")
    'more'
    """
    mean, half = statistics.mean_and_half(values)
    return (above if mean > 0 else below) if abs(mean) > half else level


def spread(values: Any, digits: int = 1) -> str:
    """A mean and half its 95 % interval, without the number of seeds, which a caption says.

    >>> spread([1.0, 2.0, 4.0])
    '2.3 ± 3.8'
    """
    return statistics.describe(values, digits).partition(" (")[0]


def rounded(values: Any, digits: int = 0) -> str:
    """A mean alone, for a sentence whose interval stands in the figure.

    >>> rounded([4.1, 4.4])
    '4'
    """
    return spread(values, digits).partition(" ±")[0]


def times(doublings: Any) -> str:
    """How many times as large something is that has doubled so often.

    >>> times([2.9, 3.1])
    '8.0'
    """
    return statistics.plain_number(float(np.exp2(statistics.estimate(doublings).mean)))


def seeds(values: Any) -> int:
    """How many seeds stand behind a contrast or numbers.

    >>> seeds([4.1, 4.4])
    2
    """
    return statistics.estimate(values).seeds


def beside(points: Any, other: str, digits: int = 1) -> str:
    """Where something stands beside another, of which it is so many points above, for a sentence
    whose interval stands in the figure.

    >>> beside([-2.1, -1.9], "random ones"), beside([-1.0, 1.0], "random ones")
    ('2.0 points below random ones', 'level with random ones')
    """
    if not seeds(points):
        return f"not compared with {other} yet"
    size = f"{abs(statistics.estimate(points).mean):.{digits}f} points"
    return side(points, f"{size} above {other}", f"level with {other}", f"{size} below {other}")


def bars(values: Mapping[str, Any], unit: str, title: str, **size: Any) -> figure:
    """A bar for each contrast that is known, from the line of nothing; title, what is found.

    >>> bars({"blur": [1.0, 2.0], "flip": []}, "harm, points", "Blur harms").x_range.factors
    ['blur']
    """
    known = {words: points for words, points in values.items() if seeds(points)}
    size = {"width": 700, "height": 340, "title": title, **size}
    fig = show.bars(known, unit, percent=False, **size)
    reference_line(fig, "width", EQUAL.colour)
    return fig


def lines(groups: Mapping, axes: tuple[str, str], title: str, **options: Any) -> figure:
    """Contrasts against a number, a line for each group, with the line of nothing.

    >>> lines({"blur": {2: [1.0, 2.0]}}, ("epochs", "harm"), "Blur harms").xaxis.axis_label
    'epochs'
    """
    options = {"width": 700, "height": 340, "percent": False, **options}
    fig = show.means(groups, axes, title=title, **options)
    reference_line(fig, "width", EQUAL.colour)
    return fig


def table(rows: Mapping[Any, Mapping[str, Any]], digits: int = 1) -> pd.DataFrame:
    """Contrasts with their intervals, and of how many seeds the first is; rows whose first is not
    known are left out, and text stays.

    >>> table({"blur": {"harm": [1.0, 2.0]}, "flip": {"harm": []}}).to_dict("index")
    {'blur': {'harm': '1.5 ± 6.4', 'seeds': 2}}
    """
    known = {}
    for words, columns in rows.items():
        texts = {c: v if isinstance(v, str) else spread(v, digits) for c, v in columns.items()}
        count = seeds(next(value for value in columns.values() if not isinstance(value, str)))
        if count:
            known[words] = texts | {"seeds": count}
    return pd.DataFrame.from_dict(known, orient="index")


def what_it_sees(profile: Profile, deficits: Sequence[Any], count: int = 8) -> Any:
    """Some images of a profile, clear and as each deficit leaves them, in rows.

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
    """Leave out, with one line that says why, what lacks images, a network or torch.

    >>> with if_possible():
    ...     raise CplabError("no images here: fetch them")
    Left out: no images here: fetch them
    """
    try:
        yield
    except (ImportError, CplabError) as lacking:
        print(f"Left out: {lacking}")
    except NameError as error:  # of what an earlier cell has left out
        print(f"Left out, as {error.name} was above.")
