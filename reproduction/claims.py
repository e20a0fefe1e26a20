"""Claims: a number of ours, where it lies if a source is right, and the verdict.

Each is a line of claims.csv. Nothing there is a result: its number is an expression, which names a
quantity of `reproduction.numbers` and what it is taken of, such as `harm(flagship(onset=24))`. Its
bounds come from what the source says, never from our forecasts; how near "about" or "no effect" is
was our choice. A line that answers nothing is a question of our own, and its bounds are what we
expected. `reproduction.nearness` says how near a line is to its source.
"""

import ast
import csv
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from math import inf, isfinite
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from cplab.estimates import Estimate, Interval, detectable, seeds_of_sides
from reproduction import numbers

CLAIMS = Path(__file__).parent / "claims.csv"
Range = tuple[float, float]  # the lower bound and the upper one
ABOVE: Range = (0.0, inf)
LEVEL: Range = (-1.0, 1.0)
OUTCOMES = ("reproduced", "unaffected", "not harmed", "contradicted", "undecided")
FEWEST = 3  # seeds of a verdict
KINDS = (*OUTCOMES, "in part", "out of range", "no test", "few seeds", "missing")


class Verdict(NamedTuple):
    """A verdict. kind: one or two words; why: details, if any."""

    kind: str
    why: str = ""


@dataclass(frozen=True, eq=False)
class Row:
    """A number of ours, and where it lies if a source is right: a line of claims.csv.

    answers: statements that it answers, `paper 3, paper 4`.
    description: the number in words.
    size: a profile, or what is trained.
    number: the estimate.
    between: its bounds if the source is right; where it answers nothing, what we expected.
    digits: decimals of the number in REPRODUCTION.md.
    other: the number against the control with the other clock of the learning rate.
    limit: why this size cannot answer.
    idle: why the row cannot fail.
    part: why it tests only a part of the statement.
    harmless: the source states no effect of a deficit, and less harm than that is not against it.
    early: for a harm at an onset, whether nine tenths of what is learned without a deficit are
        still to come; it then has to lie above 0, and later within a point of it.
    lost: of a harm that lies below 0, what clear epochs in the deficit's place gain.
    looked: whether the row was asked once its number was known.
    decimals: of the number in rows.csv; None for six significant digits.
    """

    answers: str
    description: str
    size: str
    number: Estimate | Interval
    between: Range
    digits: int = 1
    other: Estimate | Interval | None = None
    limit: str = ""
    idle: str = ""
    part: str = ""
    harmless: bool = False
    early: bool | None = None
    lost: Estimate | Interval | None = None
    looked: bool = False
    decimals: int | None = None

    @property
    def mixed(self) -> bool:
        """Whether networks of one seed in it were trained on different kinds of machine."""
        if isinstance(self.number, Interval):  # computed elsewhere
            return False
        machines_by_seed: dict[int, set[str]] = {}
        for term in self.number.terms:
            for seed, machine in term.machines.items():
                machines_by_seed.setdefault(seed, set()).add(machine)
        return any(len(machines) > 1 for machines in machines_by_seed.values())

    def verdict(self) -> Verdict:
        """Where the interval lies, or why that says nothing."""
        plain = verdict(self.number, self.between, self.harmless)
        if not self.number.seeds:
            return plain
        limit = self.limit or self.limit_by_clock(plain) or self.limit_by_twin()
        if limit:
            return Verdict("out of range", limit)
        idle = self.idle
        if self.passes_at_any_age():
            idle = "above 0 and within a point of it, so that it passes early and late"
        if idle:
            return Verdict("no test", idle)
        if self.part and plain.kind == "reproduced":
            return Verdict("in part", self.part)
        return plain

    def limit_by_clock(self, plain: Verdict) -> str:
        """Why the learning rate's clock decides the verdict `plain`; "" if it does not."""
        if self.other is None:
            return ""
        if not self.other.seeds:
            return "the rate falls, and the control of the other clock is missing"
        if verdict(self.other, self.between, self.harmless).kind != plain.kind:
            return f"by the other clock it is {in_words(self.other, self.digits)}"
        return ""

    def limit_by_twin(self) -> str:
        """Why a harm below 0 says nothing: its twin is not done, since more clear epochs would
        have taught it something as well; "" if that is not so."""
        if self.lost is None or self.lost.seeds < FEWEST or self.lost.mean <= self.lost.half:
            return ""
        gain = in_words(self.lost, self.digits)
        return f"its twin is far from its end: as many clear epochs gain {gain}"

    def passes_at_any_age(self) -> bool:
        """Whether a harm at an onset lies both where an early and where a late one should."""
        if self.early is None:
            return False
        as_if_early = verdict(self.number, ABOVE)
        as_if_late = verdict(self.number, LEVEL)
        return as_if_early.kind == as_if_late.kind == "reproduced"


def verdict(number: Estimate | Interval, between: Range, harmless: bool = False) -> Verdict:
    """Judge the prediction that an estimate lies between two bounds; harmless: see `Row`.

    >>> from cplab.estimates import estimate
    >>> verdict(estimate([2.0, 2.5, 3.0]), ABOVE).kind
    'reproduced'
    >>> verdict(estimate([2.0, 2.5, 3.0]), LEVEL).kind
    'contradicted'
    """
    if not number.seeds:
        return Verdict("missing")
    if isinstance(number, Estimate) and is_same(number):
        return Verdict("out of range", "in every seed both sides are the same network")
    if number.seeds < FEWEST:
        return Verdict("few seeds", "other test images may move it more than its interval says")
    low, high = between
    least = number.mean - number.half
    most = number.mean + number.half
    if low < least and most < high:
        return Verdict("unaffected" if harmless else "reproduced")
    if harmless and most < high:
        return Verdict("not harmed")
    if most < low or least > high:
        return Verdict("contradicted")
    effect = detectable(number.half, number.freedom + 1)
    return Verdict("undecided", f"{effect:.2g} would show in four of five")


def is_same(number: Estimate) -> bool:
    """Whether a number is a difference that is exactly 0 in every seed, of two or more.

    >>> blurred = numbers.accuracy(numbers.flagship())
    >>> is_same(blurred - blurred)
    True
    """
    weights = number.terms.values()
    is_difference = bool(weights) and abs(sum(weights)) < 1e-9  # other numbers may be 0 as well
    of_all_seeds = 2 <= len(number.by_seed) == max(number.counts)
    return is_difference and of_all_seeds and not any(number.by_seed.values())


def in_words(number: Estimate | Interval, digits: int = 1) -> str:
    """An estimate as text, `−2.3 ± 1.9 (5 seeds)`; a dash if it has no seeds.

    >>> from cplab.estimates import estimate
    >>> in_words(estimate([2.0, 2.5, 3.0]))
    '2.5 ± 1.2 (3 seeds)'
    """
    if not number.seeds:
        return "–"
    text = f"{number:.{digits}f}"
    if isfinite(number.half):
        text += f" ({seeds_of_sides(number.counts)})"
    return text


# Reading ------------------------------------------------------------------------------------------


class Names(dict):
    """Names in an expression, in which modules are imported when they are named, such as a lab's:
    nothing else here knows which labs there are."""

    def __missing__(self, name: str) -> ModuleType:
        for package in ("cplab.labs", "reproduction"):
            if find_spec(f"{package}.{name}"):
                return import_module(f"{package}.{name}")
        raise KeyError(name)


NAMES = Names(vars(numbers))


def evaluate(expression: str) -> Estimate | Interval:
    """The number of an expression of claims.csv or pages.csv.

    >>> in_words(evaluate("harm(flagship()).only(range(5))"))
    '4.2 ± 1.3 (5 seeds)'
    """
    number: Estimate | Interval = eval(expression, vars(numbers), NAMES)
    return number


def read_claims() -> dict[str, list[Row]]:
    """All claims, by question."""
    rows: dict[str, list[Row]] = {}
    with CLAIMS.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            rows.setdefault(line["question"], []).append(read_row(line))
    return rows


def read_row(line: dict[str, str]) -> Row:
    """A line of claims.csv, in which an empty cell says that nothing is to be said."""
    number = evaluate(line["expression"])
    lost = None
    if number.mean + number.half < 0 and is_harm(line["expression"]):
        lost = evaluate("lost_time" + line["expression"].removeprefix("harm"))
    return Row(
        line["answers"],
        line["number"],
        line["size"],
        number,
        (bound(line["low"]), bound(line["high"])),
        digits=int(line["digits"] or 1),
        other=evaluate(line["other"]) if line["other"] else None,
        limit=line["limit"],
        idle=line["idle"],
        part=line["part"],
        harmless=line["harmless"] == "yes",
        early={"early": True, "late": False}.get(line["early"]),
        lost=lost,
        looked=line["looked"] == "yes",
        decimals=int(line["decimals"]) if line["decimals"] else None,
    )


def is_harm(expression: str) -> bool:
    """Whether an expression is a harm, and not computed with one.

    >>> is_harm("harm(run(16))"), is_harm("harm(run(16)) - harm(run(8))")
    (True, False)
    """
    call = ast.parse(expression, mode="eval").body
    return isinstance(call, ast.Call) and ast.unparse(call.func) == "harm"


def bound(text: str) -> float:
    """A bound as it is written.

    >>> bound("16"), bound("0.0"), bound("-inf")
    (16, 0.0, -inf)
    """
    return int(text) if text.lstrip("-").isdigit() else float(text)
