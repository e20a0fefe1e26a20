"""The claims of claims.toml: what sources state, and where our numbers lie if they are right."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from cplab import quantities as q
from cplab.statistics import SEEDS, Contrast, Estimate, estimate
from cplab.studies import eyes
from reproduction import linear, numbers

FILE = Path(__file__).with_suffix(".toml")
# "Later" begins where a clear run has made nine tenths of its rise above chance, epochs.
RAPID = {"course": 14, "matched": 17, "slim": 60, "paper": 60}
COSTS: dict[str, Callable[..., Contrast]] = {  # of a window, that a row may name
    "acuity_of_both": partial(eyes.acuity, eye="both"),
    "equal_training_loss": q.equal_training_loss,
    "harm": q.harm,
    "lost_time": q.lost_time,
    "percent_share": numbers.percent_share,
}


@dataclass(frozen=True, eq=False)
class Claim:
    """One statement of a source that a number can speak for or against.

    question: under which claims stand together, a name of questions.QUESTIONS.
    exhibit: the figure or experiment.
    source, says: who states what, with the source's own number.
    what: our number in words, with {0}, {1} … for what stands in `at`.
    at: for each size, what the number is taken at (epochs, densities, kernels). A size is a
        profile, or `thesis`, the dense model's own.
    of: a function of numbers.py: of size and what stands in `at`.
    low, high: between these the number lies if the source is right.
    digits: decimals of the number.
    beyond: for each size that cannot answer, why.
    idle: why the row cannot fail, which leaves it out of the count.
    unaffected: whether the source says that there is no effect: above the border the number is
        then not harmed, and only within a point of 0 unaffected.
    seeds: those that count, all that are shipped if not given.
    """

    question: str
    exhibit: str
    source: str
    says: str
    what: str
    at: Mapping[str, tuple]
    of: Callable[..., Contrast | Estimate]
    low: float = -inf
    high: float = inf
    digits: int = 1
    beyond: Mapping[str, str] = field(default_factory=dict)
    idle: str = ""
    unaffected: bool = False
    seeds: Iterable[int] = SEEDS

    def estimate(self, size: str) -> Estimate:
        """Our number, from what is shipped."""
        with q.shipped_only():
            return estimate(self.of(size, *self.at[size]), self.seeds)


def shipped(of: Callable[..., Contrast], *at: Any) -> Estimate:
    """What the shipped results say of a function of numbers.py."""
    with q.shipped_only():
        return estimate(of(*at))


def read_claims() -> list[Claim]:
    """The rows of the file, in its order."""
    file = tomllib.loads(FILE.read_text("utf-8"))
    return [
        read_claim({**statement, **row}, file["reasons"])
        for statement in file["statement"]
        for row in statement["rows"]
    ]


def read_claim(row: dict[str, Any], reasons: dict[str, str]) -> Claim:
    """The claim of a row, with what stands above it."""
    del row["rows"]
    room, _, name = row.pop("of").rpartition(".")
    of, how = getattr(linear if room == "linear" else numbers, name), row.pop("how", {})
    if cost := row.pop("cost", ""):
        how["of"] = COSTS[cost]
    if "seeds" in row:
        row["seeds"] = range(*row["seeds"])
    beyond = {size: reasons.get(why, why) for size, why in row.pop("beyond", {}).items()}
    idle = row.pop("idle", "")
    at = {size: as_tuple(place) for size, place in row.pop("at").items()}
    how = {"idle": reasons.get(idle, idle), "of": partial(of, **how) if how else of}
    return Claim(at=at, beyond=beyond, **how, **row)


def as_tuple(value: Any) -> Any:
    return tuple(map(as_tuple, value)) if isinstance(value, list) else value


CLAIMS = read_claims()
