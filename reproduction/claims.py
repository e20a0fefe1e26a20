"""The claims of claims.toml (what sources state, and where our numbers lie if they are right), and
the questions and texts of report.toml."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from cplab import quantities as q
from cplab.labs import lab07
from cplab.statistics import SEEDS, Estimate
from reproduction import linear, numbers

COSTS: dict[str, Callable[..., Estimate]] = {  # costs of a window that a row may name
    "acuity_of_both": partial(lab07.acuity, eye="both"),
    "equal_training_loss": q.equal_training_loss,
    "harm": q.harm,
    "lost_time": q.lost_time,
    "percent_share": numbers.percent_share,
}


# Bounds of the harm of a window that begins early in training, and of one that begins later
SIDES = {True: (0.0, inf), False: (-1.0, 1.0)}


@dataclass(frozen=True, eq=False)
class Claim:
    """A statement of a source, and a number of ours that speaks for or against it.

    question: the question that it belongs to. exhibit: the figure or experiment. source, says: the
    source, and what it states, with its own number. what: our number in words, with {0}, {1} … for
    the values in `at`: by size (a profile, or `thesis`, the dense model's own) what the number is
    taken at, such as epochs, densities, kernels. of: the function of a size and these values. low,
    high: bounds of the number if the source is right. digits: its decimals. beyond: by size, why
    that cannot answer. idle: why the row cannot fail, in which case it is not counted. unaffected:
    whether the source states no effect: a number above the bound is then not harmed, and only one
    within a point of 0 unaffected. early: for harm at an onset, whether most learning without a
    deficit (nine tenths of the way from chance to the highest mean of five epochs) is still to
    come; low and high follow from it. seeds: the seeds that count. answers: the statements of
    coverage.toml that it answers.
    """

    question: str
    exhibit: str
    source: str
    says: str
    what: str
    at: Mapping[str, tuple]
    of: Callable[..., Estimate]
    low: float = -inf
    high: float = inf
    digits: int = 1
    beyond: Mapping[str, str] = field(default_factory=dict)
    idle: str = ""
    unaffected: bool = False
    early: bool | None = None
    seeds: Iterable[int] = SEEDS
    answers: Iterable[str] = ()

    def estimate(self, size: str) -> Estimate:
        """Our number at a size, from the shipped results."""
        with q.shipped_only():
            number = self.of(size, *self.at[size])
        return number if self.seeds == SEEDS else number.only(self.seeds)


@dataclass(frozen=True)
class Question:
    """A question of the report. picture: a name of pictures.FIGURES. claims: the `question` of its
    claims. found: plain sentences with {}. numbers: for each {} a function of numbers.py, a size,
    and what it is taken at."""

    name: str
    picture: str
    claims: list[str]
    found: str
    numbers: list[tuple]


def shipped(of: Callable[..., Estimate], *at: Any) -> Estimate:
    """Estimate a function of numbers.py from the shipped results."""
    with q.shipped_only():
        return of(*at)


def read_file(name: str) -> dict[str, Any]:
    """Read a TOML file of this folder."""
    return tomllib.loads(Path(__file__).with_name(name).read_text("utf-8"))


def read_claims() -> list[Claim]:
    """The claims of claims.toml, in its order: each row with the fields of its statement."""
    file, claims = read_file("claims.toml"), []
    reasons = file["reasons"]
    for statement in file["statement"]:
        for fields in statement.pop("rows"):
            row = statement | fields
            row["of"] = number_of(row)
            row["low"], row["high"] = SIDES.get(
                row.get("early"), (row.get("low", -inf), row.get("high", inf))
            )
            row["at"] = {size: as_tuple(place) for size, place in row["at"].items()}
            row["seeds"] = range(*row["seeds"]) if "seeds" in row else SEEDS
            row["idle"] = reasons.get(row.get("idle", ""), row.get("idle", ""))
            row["beyond"] = {s: reasons.get(why, why) for s, why in row.get("beyond", {}).items()}
            claims.append(Claim(**row))
    return claims


def read_question(question: dict[str, Any]) -> Question:
    """Make a Question from a table of report.toml."""
    numbers = [
        (number_of(row), row.get("size", "course"), *as_tuple(row["at"]))
        for row in question.pop("numbers")
    ]
    return Question(**question, numbers=numbers)


def number_of(row: dict[str, Any]) -> Callable[..., Estimate]:
    """The function that a row names as `of` (with a minus: its negative), with the options of its
    `how`, `cost` and `number`, which are removed from the row."""
    room, _, name = row["of"].removeprefix("-").rpartition(".")
    of, how = getattr(linear if room else numbers, name), row.pop("how", {})
    if cost := row.pop("cost", ""):
        how["of"] = COSTS[cost]
    if number := row.pop("number", ""):
        how["number"] = getattr(numbers, number)
    number_at = partial(of, **how) if how else of
    return (lambda *at: -number_at(*at)) if row["of"][0] == "-" else number_at


def as_tuple(value: Any) -> Any:
    """Turn lists into tuples, at any depth."""
    return tuple(map(as_tuple, value)) if isinstance(value, list) else value


CLAIMS = read_claims()
TEXTS = read_file("report.toml")
QUESTIONS = [*map(read_question, TEXTS["question"])]
