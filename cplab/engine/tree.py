"""A set of lives as a forest: what is common to several beginnings stands in it once. It needs no
torch, so that what a training would take is known without.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import compress, count
from operator import ne
from pathlib import Path
from typing import Any

from cplab.runs import Step


@dataclass(eq=False, slots=True)
class Segment:
    """A stretch of training between two branchings, or a branching and the end of a life."""

    spec: Any  # one of those that go through it
    begin: int  # parts of its life
    end: int
    parent: "Segment | None" = None
    ends: list = field(default_factory=list)  # the specs whose lives end here
    branches: list["Segment"] = field(default_factory=list)
    epochs: int = 0  # of this segment and of all that branch from it
    reported: int = 0  # the parts that were reported
    open: int = 0  # branches that are not done
    checkpoint: Path | None = None  # with which branches begin

    @property
    def last(self) -> dict[str, bool]:
        """What is to be done at its end."""
        return {"keep": bool(self.branches), "ends": bool(self.ends)}

    def subtree(self) -> list["Segment"]:
        """This segment and all that branch from it."""
        found = [self]
        for segment in found:
            found += segment.branches
        return found

    def report_row(self, report: Callable[[Any, dict], None], row: dict) -> None:
        """Report a row, if it is the next one."""
        if row["part"] == self.reported:
            self.reported += 1
            report(self.spec, row)


def plan(specs: Iterable) -> list[Segment]:
    """A set of lives as a forest in which common beginnings stand once. Returns its roots.

    >>> from cplab import Run
    >>> [root] = plan([Run("blur", 0, length) for length in (2, 4)])
    >>> root.epochs, len(root.branches)  # 2 epochs of blur together; then 15, and 2 + 15
    (34, 2)
    """
    trees = defaultdict(list)
    for spec in dict.fromkeys(specs):
        trees[spec.trunk_key].append(spec)
    segments: list[Segment] = []
    todo: list[tuple[list, int, Segment | None]] = [(tree, 0, None) for tree in trees.values()]
    for some, begin, parent in todo:  # which grows: those that go on beyond a branching
        ways = defaultdict(list)
        for spec in some:
            ways[spec.life[begin]].append(spec)
        for alike in ways.values():
            life = alike[0].life
            end = len(life)
            for spec in alike:
                differ = map(ne, life[begin:end], spec.life[begin:end])
                end = next(compress(count(begin), differ), min(end, len(spec.life)))
            segment = Segment(alike[0], begin, end, parent, reported=begin)
            segment.ends = [s for s in alike if len(s.life) == end]
            segment.epochs = sum(isinstance(part, Step) for part in life[begin:end])
            segments.append(segment)
            if parent:
                parent.branches.append(segment)
            if longer := [s for s in alike if len(s.life) > end]:
                todo.append((longer, end, segment))
    for segment in reversed(segments):
        if segment.parent:
            segment.parent.epochs += segment.epochs
            segment.parent.open += 1
    return [segment for segment in segments if not segment.parent]
