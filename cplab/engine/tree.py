"""Planning: a set of runs as trees in which each common beginning occurs once.

Nothing here needs torch, so that the time of a training can be estimated without it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Event as Flag

from cplab.errors import CplabError, one_of, quote, whole
from cplab.runs import DEVICES, Run, Step
from cplab.specs import Spec


@dataclass
class Context:
    """How specs are trained.

    device: auto, cuda, mps or cpu. executor: any of concurrent.futures whose workers have cplab;
    None for processes of this machine, where they pay. workers: the number of these processes, or
    of jobs that the executor has at a time. threads: of torch on the CPU; None for its usual ones.
    stop: an Event that ends training. report: called with (spec, row) after each epoch.
    """

    device: str = "auto"
    executor: Executor | None = None
    workers: int | None = None
    threads: int | None = None
    stop: Flag = None  # type: ignore[assignment]  # then one that nobody sets
    report: Callable[[Spec, dict], None] = None  # type: ignore[assignment]  # then nobody is told
    # worker processes of this machine that several trainings share, see sweep.open_executor
    pool: Executor | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        one_of("device", str(self.device).partition(":")[0], DEVICES)
        if not isinstance(self.executor, Executor | None):
            what = f"executor {quote(self.executor)} is no Executor"
            raise CplabError(f"{what}: give one, such as Dask's client.get_executor()")
        if self.workers is not None:
            self.workers = whole("workers", self.workers, 1, 1000)
        if self.threads is not None:
            self.threads = whole("threads", self.threads, 1, 1000)
        if self.stop is None:
            self.stop = Flag()
        if self.report is None:
            self.report = lambda spec, row: None


@dataclass(eq=False)
class Segment:
    """The training between two branchings, or between a branching and the end of a run."""

    spec: Run  # one of the runs that go through it
    begin: int  # its first part in the timeline; `end` is exclusive
    end: int
    parent: "Segment | None" = None
    ends: list[Run] = field(default_factory=list)  # the runs that end here
    branches: list["Segment"] = field(default_factory=list)
    # while it is trained:
    reported: int = 0  # parts whose rows were reported
    alone: bool = False  # whether it has to be trained by itself, since one beside it failed
    content: bytes | None = None  # its latest state
    took: float = 0.0  # seconds of writing it
    files: set[Path] = field(default_factory=set)  # checkpoints of that state and of earlier ones

    def subtree(self) -> list["Segment"]:
        """This segment and all segments that branch from it."""
        segments = [self]
        for segment in segments:  # a list that grows
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
        count = 0
        for segment in self.subtree():
            parts = segment.spec.timeline[segment.begin : segment.end]
            count += sum(isinstance(part, Step) for part in parts)
        return count


def plan(specs: Iterable[Run]) -> list[Segment]:
    """Arrange runs as trees in which each common beginning occurs once, and return the roots.

    >>> from cplab import Run
    >>> [root] = plan([Run("blur", 0, length) for length in (2, 4)])
    >>> root.epochs, len(root.branches)  # 2 epochs of blur together; then 15, and 2 + 15
    (34, 2)
    """
    trees = defaultdict(list)
    for spec in dict.fromkeys(specs):
        trees[spec.prefix_key].append(spec)
    roots: list[Segment] = []
    # runs that branch from the end of a segment, or begin: runs, where, and from which segment
    to_grow: list[tuple[list[Run], int, Segment | None]] = []
    for tree in trees.values():
        to_grow.append((tree, 0, None))
    for group, begin, parent in to_grow:  # a list that grows
        branches = defaultdict(list)
        for spec in group:
            branches[spec.timeline[begin]].append(spec)
        for members in branches.values():
            end = common_end(members, begin + 1)
            segment = Segment(members[0], begin, end, parent, reported=begin)
            segment.ends = [spec for spec in members if len(spec.timeline) == end]
            siblings = parent.branches if parent else roots
            siblings.append(segment)
            longer = [spec for spec in members if len(spec.timeline) > end]
            if longer:
                to_grow.append((longer, end, segment))
    return roots


def common_end(runs: list[Run], end: int) -> int:
    """The part up to which runs have all parts in common that are alike before part `end`."""
    shortest = min(len(run.timeline) for run in runs)
    first = runs[0].timeline
    while end < shortest and all(run.timeline[end] == first[end] for run in runs):
        end += 1
    return end
