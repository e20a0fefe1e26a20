"""Planning: a set of runs as trees in which each common beginning occurs once.

Nothing here needs torch, so that the time of a training can be estimated without it.
"""

from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Event as Flag
from typing import Any

from cplab.errors import one_of, require, whole
from cplab.runs import DEVICES, Step


@dataclass
class Context:
    """How specs are trained.

    device: auto, cuda, mps or cpu. executor: any of concurrent.futures whose workers have cplab;
    None for processes of this machine, where they pay. workers: the number of these processes, or
    of jobs that the executor has at a time. threads: of torch on the CPU; None for its usual ones.
    stop: an Event that ends training. report: called with (spec, row) after each epoch.
    """

    device: str = "auto"
    executor: Any = None
    workers: int | None = None
    threads: int | None = None
    stop: Any = None
    report: Any = None

    def __post_init__(self) -> None:
        one_of("device", str(self.device).partition(":")[0], DEVICES)
        what = "executor {} is no Executor: give one, such as Dask's client.get_executor()"
        require(isinstance(self.executor, Executor | None), what, self.executor)
        for name in ("workers", "threads"):
            if (count := getattr(self, name)) is not None:
                setattr(self, name, whole(name, count, 1, 1000))
        self.stop = self.stop or Flag()
        self.report = self.report or (lambda spec, row: None)


@dataclass(eq=False)
class Segment:
    """The training between two branchings, or between a branching and the end of a run."""

    spec: Any  # one of the specs that go through it
    begin: int  # its first part in the timeline; `end` is exclusive
    end: int
    parent: "Segment | None" = None
    ends: list = field(default_factory=list)  # the specs that end here
    branches: list["Segment"] = field(default_factory=list)
    # while it is trained:
    reported: int = 0  # parts whose rows were reported
    content: bytes | None = None  # its latest state
    took: float = 0.0  # seconds of writing it
    files: set[Path] = field(default_factory=set)  # checkpoints of that state and of earlier ones

    def subtree(self) -> list["Segment"]:
        """This segment and all segments that branch from it."""
        segments = [self]
        for segment in segments:
            segments += segment.branches
        return segments

    @cached_property
    def alike(self) -> tuple:
        """What segments of other seeds have in common that may be trained beside this one."""
        spec = self.spec.with_seed(0)
        return spec.prefix_key, self.begin, spec.timeline[: self.end]

    @property
    def epochs(self) -> int:
        """Epochs of training in this segment and in all that branch from it."""
        timelines = (s.spec.timeline[s.begin : s.end] for s in self.subtree())
        return sum(isinstance(part, Step) for timeline in timelines for part in timeline)


def plan(specs: Iterable) -> list[Segment]:
    """Arrange specs as trees in which each common beginning occurs once, and return the roots.

    >>> from cplab import Run
    >>> [root] = plan([Run("blur", 0, length) for length in (2, 4)])
    >>> root.epochs, len(root.branches)  # 2 epochs of blur together; then 15, and 2 + 15
    (34, 2)
    """
    trees = defaultdict(list)
    for spec in dict.fromkeys(specs):
        trees[spec.prefix_key].append(spec)
    roots: list[Segment] = []
    to_grow: list[tuple[list, int, Segment | None]] = [(tree, 0, None) for tree in trees.values()]
    for group, begin, parent in to_grow:  # grows by the specs that go on after a branching
        branches = defaultdict(list)
        for spec in group:
            branches[spec.timeline[begin]].append(spec)
        for members in branches.values():
            end, timelines = begin + 1, [spec.timeline for spec in members]
            while all(t[end : end + 1] == timelines[0][end : end + 1] != () for t in timelines):
                end += 1
            segment = Segment(members[0], begin, end, parent, reported=begin)
            segment.ends = [spec for spec in members if len(spec.timeline) == end]
            (parent.branches if parent else roots).append(segment)
            if longer := [spec for spec in members if len(spec.timeline) > end]:
                to_grow.append((longer, end, segment))
    return roots
