"""How a set of runs is trained, and the set as a tree in which what several beginnings have in
common stands once. It needs no torch, so that what a training would take is known without.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag
from typing import Any

from cplab.errors import one_of
from cplab.runs import DEVICES, Step


@dataclass
class Context:
    """How specs are trained.

    device: auto, cuda, mps or cpu. executor: any of concurrent.futures, whose workers have cplab;
    worker processes of this machine where they pay, if None. workers: of these, or jobs at a time
    of an executor. threads: of torch on the CPU, see devices.usual_threads if None. stop: once this
    Event is set, training ends. report: called with (spec, row) after each epoch.
    """

    device: str = "auto"
    executor: Any = None
    workers: int | None = None
    threads: int | None = None
    stop: Any = None
    report: Any = None

    def __post_init__(self) -> None:
        one_of("device", str(self.device).partition(":")[0], DEVICES)
        self.stop = self.stop or Flag()
        self.report = self.report or (lambda spec, row: None)


@dataclass(eq=False)
class Segment:
    """A stretch of training between two branchings, or a branching and the end of a run."""

    spec: Any  # one of those that go through it
    begin: int  # parts of its timeline
    end: int
    parent: "Segment | None" = None
    ends: list = field(default_factory=list)  # the specs that end here
    branches: list["Segment"] = field(default_factory=list)
    # while it is trained:
    reported: int = 0  # parts
    content: bytes | None = None  # the state that its training has come to
    files: set[Path] = field(default_factory=set)  # of that state, and what was left of others

    def subtree(self) -> list["Segment"]:
        """This segment and all that branch from it."""
        segments = [self]
        for segment in segments:
            segments += segment.branches
        return segments

    @property
    def epochs(self) -> int:
        """Of this segment and of all that branch from it."""
        every = (part.spec.timeline[part.begin : part.end] for part in self.subtree())
        return sum(isinstance(part, Step) for parts in every for part in parts)


def plan(specs: Iterable) -> list[Segment]:
    """A set of specs as trees in which common beginnings stand once. Returns their roots.

    >>> from cplab import Run
    >>> [root] = plan([Run("blur", 0, length) for length in (2, 4)])
    >>> root.epochs, len(root.branches)  # 2 epochs of blur together; then 15, and 2 + 15
    (34, 2)
    """
    trees = defaultdict(list)
    for spec in dict.fromkeys(specs):
        trees[spec.trunk_key].append(spec)
    roots: list[Segment] = []
    to_grow: list[tuple[list, int, Segment | None]] = [(tree, 0, None) for tree in trees.values()]
    for alike, begin, parent in to_grow:  # which grows by those that go on beyond a branching
        ways = defaultdict(list)
        for spec in alike:
            ways[spec.timeline[begin]].append(spec)
        for together in ways.values():
            end, timelines = begin + 1, [spec.timeline for spec in together]
            while all(t[end : end + 1] == timelines[0][end : end + 1] != () for t in timelines):
                end += 1
            segment = Segment(together[0], begin, end, parent, reported=begin)
            segment.ends = [spec for spec in together if len(spec.timeline) == end]
            (parent.branches if parent else roots).append(segment)
            if longer := [spec for spec in together if len(spec.timeline) > end]:
                to_grow.append((longer, end, segment))
    return roots
