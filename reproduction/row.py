"""A row of rows.csv: a number of ours, where it lies if a source is right, and the verdict."""

from dataclasses import dataclass
from math import inf, isfinite
from typing import NamedTuple

from cplab.estimates import Estimate, detectable, sides

Range = tuple[float, float]
ABOVE, BELOW, LEVEL = (0.0, inf), (-inf, 0.0), (-1.0, 1.0)
FOUND = ("reproduced", "unaffected", "not harmed", "contradicted", "undecided")
FEWEST = 3  # seeds of a verdict
KINDS = (*FOUND, "in part", "out of range", "no test", "few seeds", "missing")


class Verdict(NamedTuple):
    """A verdict. kind: one or two words; why: details, if any."""

    kind: str
    why: str = ""


@dataclass(frozen=True, eq=False)
class Row:
    """A number of ours, and where it lies if a source is right.

    answers: statements that it answers, `paper 3, paper 4*`; of rows of one size a star marks the
    one whose conditions are nearest to the source's.
    what: the number in words. size: a profile, or what is trained. between: its bounds if the
    source is right. other: the number against the control with the other clock of the learning
    rate. limit: why this size cannot answer. idle: why the row cannot fail. part: why it tests a
    part of the statement alone. harmless: the source states no effect of a deficit, and less harm
    than that is not against it.
    early: of a harm at an onset, whether nine tenths of what is learned without a deficit are still
    to come; then it has to lie above 0, and later within a point of it. looked: whether the row was
    asked once its number was known.
    """

    answers: str
    what: str
    size: str
    number: Estimate
    between: Range
    digits: int = 1
    other: Estimate | None = None
    limit: str = ""
    idle: str = ""
    part: str = ""
    harmless: bool = False
    early: bool | None = None
    looked: bool = False

    @property
    def mixed(self) -> bool:
        """Whether networks of one seed in it were trained on different kinds of machine."""
        kinds: dict[int, set[str]] = {}  # of machines, by seed
        for term in self.number.terms:
            for seed, machine in term.machines.items():
                kinds.setdefault(seed, set()).add(machine)
        return any(len(machines) > 1 for machines in kinds.values())

    def verdict(self) -> Verdict:
        """Where the interval lies, or why that says nothing."""
        plain = verdict(self.number, self.between, self.harmless)
        if not self.number.seeds:
            return plain
        limit, idle = self.limit, self.idle
        if self.other is not None and not limit:
            if not self.other.seeds:
                limit = "the rate falls, and the control of the other clock is missing"
            elif verdict(self.other, self.between, self.harmless).kind != plain.kind:
                limit = f"by the other clock it is {in_words(self.other, self.digits)}"
        if limit:
            return Verdict("out of range", limit)
        if self.early is not None and all(
            verdict(self.number, side).kind == "reproduced" for side in (ABOVE, LEVEL)
        ):
            idle = "above 0 and within a point of it, so that it passes early and late"
        if idle:
            return Verdict("no test", idle)
        if self.part and plain.kind == "reproduced":
            return Verdict("in part", self.part)
        return plain


def verdict(number: Estimate, between: Range, harmless: bool = False) -> Verdict:
    """Judge the prediction that an estimate lies between two bounds; harmless: see `Row`."""
    low, high = between
    if not number.seeds:
        return Verdict("missing")
    if number.same:
        return Verdict("out of range", "in every seed both sides are the same network")
    if number.seeds < FEWEST:
        return Verdict("few seeds", "other test images may move it more than its interval says")
    least, most = number.mean - number.half, number.mean + number.half
    if low < least and most < high:
        return Verdict("unaffected" if harmless else "reproduced")
    if harmless and most < high:
        return Verdict("not harmed")
    if most < low or least > high:
        return Verdict("contradicted")
    effect = detectable(number.half, number.freedom + 1)
    return Verdict("undecided", f"{effect:.2g} would show in four of five")


def in_words(number: Estimate, digits: int = 1) -> str:
    """An estimate as text, `−2.3 ± 1.9 (5 seeds)`; a dash if it has no seeds."""
    counts = f" ({sides(number.counts)})" if isfinite(number.half) else ""
    return f"{number:.{digits}f}{counts}" if number.seeds else "–"
