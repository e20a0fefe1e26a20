"""What several labs say and show alike: what an estimate allows to say, what a network sees."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from cplab import statistics
from cplab.errors import CplabError
from cplab.profiles import Profile
from cplab.show import label, strips
from cplab.show.previews import preview

__all__ = ["beside", "if_possible", "rounded", "seeds", "side", "spread"]
__all__ += ["what_it_sees"]

T = TypeVar("T")


def side(values: Any, above: T, level: T, below: T) -> T:
    """One of three answers, by the side of zero on which the 95 % interval of a mean lies.

    Arguments: values, a contrast, or one a seed; above, level, below, the answers; level where
        there is no interval or zero lies in it.

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
    found = statistics.estimate(values)
    return f"{found.mean:.{digits}f}".replace("-", "−") if found.seeds else statistics.MISSING


def seeds(values: Any) -> int:
    """How many seeds stand behind a contrast or numbers.

    >>> seeds([4.1, 4.4])
    2
    """
    return statistics.estimate(values).seeds


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
            rows[label(deficit)] = seen["seen"]
    return strips(rows)


def beside(points: Any, other: str, digits: int = 1) -> str:
    """Where something stands beside another, for a sentence whose interval stands in the figure.

    Arguments: points, by how much it is above, one a seed; other, what it is compared with.

    >>> beside([-2.1, -1.9], "random ones"), beside([-1.0, 1.0], "random ones")
    ('2.0 points below random ones', 'level with random ones')
    """
    found = statistics.estimate(points)
    if not found.seeds:
        return f"not compared with {other} yet"
    size = f"{abs(found.mean):.{digits}f} points"
    return side(points, f"{size} above {other}", f"level with {other}", f"{size} below {other}")


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
