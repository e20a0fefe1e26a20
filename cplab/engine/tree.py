"""Plans of training: runs as trees, in which each beginning that several have in common is once.
An experiment is a tree of its own, of one part.

Nothing here needs torch, so that the time of training can be estimated without it.
"""

from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Event as Flag
from typing import NamedTuple

from cplab.base.errors import CplabError, one_of, quote, whole
from cplab.runs import DEVICES, Run
from cplab.runs.steps import Event
from cplab.specs.experiments import Experiment


@dataclass
class Context:
    """How specs are trained.

    Attributes:
        device: auto, cuda, mps or cpu.
        executor: any of concurrent.futures whose workers have cplab; None for workers of this
            process.
        workers: how many jobs may run at a time; None for as many as there are cores.
        stop: an Event that ends training.
    """

    device: str = "auto"
    executor: Executor | None = None
    workers: int | None = None
    stop: Flag = field(default_factory=Flag)  # which nobody sets

    def __post_init__(self) -> None:
        one_of("device", str(self.device).partition(":")[0], DEVICES)
        if not isinstance(self.executor, Executor | None):
            problem = f"executor {quote(self.executor)} is not an Executor"
            raise CplabError(f"{problem}: give one, such as Dask's client.get_executor()")
        if self.workers is not None:
            self.workers = whole("workers", self.workers, 1, 1000)


@dataclass(eq=False)
class Segment:
    """A stretch of training without branches: parts of a timeline that some runs share."""

    spec: Run | Experiment  # one of those that it belongs to
    begin: int  # the number of its first part in the timeline
    end: int  # the number of the first part after it
    parent: "Segment | None" = None  # the segment that it branches from
    ends: list[Run | Experiment] = field(default_factory=list)  # those that end with it
    branches: list["Segment"] = field(default_factory=list)
    # While it is trained:
    told: int = 0  # how many parts have had their rows told
    alone: bool = False  # whether it must be trained by itself, since one of several failed
    content: bytes | None = None  # its latest checkpoint
    files: set[Path] = field(default_factory=set)  # its checkpoints on disk

    def subtree(self) -> list["Segment"]:
        """This segment and all segments that branch from it, at any distance."""
        segments = [self]
        for segment in segments:  # the list grows while the loop goes through it
            segments += segment.branches
        return segments

    @cached_property
    def alike(self) -> tuple:
        """A value that is the same for segments that differ only in their seeds, which can be
        trained side by side."""
        spec = self.spec.with_seed(0)
        return spec.prefix_key, self.begin, spec.timeline[: self.end]

    @property
    def own_epochs(self) -> int:
        """The number of epochs in this segment alone; an experiment is one."""
        parts = self.spec.timeline[self.begin : self.end]
        return sum(not isinstance(part, Event) for part in parts)

    @property
    def epochs(self) -> int:
        """The number of epochs in this segment and in all that branch from it."""
        return sum(segment.own_epochs for segment in self.subtree())

    @property
    def longest(self) -> int:
        """The most of these epochs that follow on one another, which no number of cores shares."""
        return self.own_epochs + max((branch.longest for branch in self.branches), default=0)


class Fork(NamedTuple):
    """Where runs begin, or branch from the end of a segment."""

    runs: list[Run | Experiment]
    begin: int  # the part of their timelines with which they branch
    parent: Segment | None


def plan(specs: Iterable[Run | Experiment]) -> list[Segment]:
    """Arrange runs as trees in which each common beginning is once, and return the roots.

    Runs are in one tree if they agree in all but their timelines. At each fork they are divided by
    the next part, and what each division has in common from there on is a segment.

    >>> from cplab import Run
    >>> [root] = plan([Run("blur", 0, length) for length in (2, 4)])
    >>> root.epochs, len(root.branches)  # 2 epochs of blur together; then 15, and 2 + 15
    (34, 2)
    """
    trees = defaultdict(list)
    for spec in dict.fromkeys(specs):  # each once
        trees[spec.prefix_key].append(spec)
    roots: list[Segment] = []
    forks = [Fork(runs, 0, None) for runs in trees.values()]
    for fork in forks:  # the list grows while the loop goes through it
        branches = defaultdict(list)
        for spec in fork.runs:
            branches[spec.timeline[fork.begin]].append(spec)
        for members in branches.values():
            end = common_end(members, fork.begin + 1)
            segment = Segment(members[0], fork.begin, end, fork.parent, told=fork.begin)
            segment.ends = [spec for spec in members if len(spec.timeline) == end]
            siblings = fork.parent.branches if fork.parent else roots
            siblings.append(segment)
            longer = [spec for spec in members if len(spec.timeline) > end]
            if longer:
                forks.append(Fork(longer, end, segment))
    return roots


def common_end(runs: list[Run | Experiment], end: int) -> int:
    """The number of the first part that some runs do not have in common.

    Arguments:
        runs: the runs.
        end: before which they have all parts in common.
    """
    shortest = min(len(run.timeline) for run in runs)
    first = runs[0].timeline
    while end < shortest and all(run.timeline[end] == first[end] for run in runs):
        end += 1
    return end
