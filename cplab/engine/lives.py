"""A set of lives as a tree of trajectories that share their beginnings, trained side by side.

A life that branches from a checkpoint equals the same life trained alone, bit for bit on one
machine at one number of threads: every random number and learning rate is a function of
(seed, epoch).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from cplab import devices
from cplab.checks import Cancelled, Diverged, whole
from cplab.engine.checkpoints import forget, forget_old
from cplab.engine.pool import crew, usable_cores
from cplab.engine.train import Context, Measures, Training, Trajectory
from cplab.runs import Step


@dataclass(eq=False)
class Segment:
    """A stretch of training between two branchings, or a branching and the end of a life."""

    spec: Any  # one of those that go through it
    begin: int  # parts of its life
    end: int
    parent: "Segment | None" = None
    ends: list = field(default_factory=list)  # the specs whose lives end here
    branches: list["Segment"] = field(default_factory=list)

    def below(self) -> list["Segment"]:
        """This segment and all that branch from it."""
        return [self, *(s for branch in self.branches for s in branch.below())]

    @property
    def epochs(self) -> int:
        """Of this segment and of all that branch from it."""
        return sum(isinstance(p, Step) for s in self.below() for p in s.spec.life[s.begin : s.end])


def plan(specs: Iterable) -> list[Segment]:
    """A set of lives as a forest in which common beginnings stand once. Returns its roots.

    >>> from cplab import Run
    >>> [root] = plan([Run("blur", 0, length) for length in (2, 4)])
    >>> root.epochs, len(root.branches)  # 2 epochs of blur together; then 15, and 2 + 15
    (34, 2)
    """
    forest = defaultdict(list)
    for spec in dict.fromkeys(specs):
        forest[spec.trunk_key].append(spec)
    return [root for tree in forest.values() for root in grow(tree, 0, None)]


def grow(specs: list, begin: int, parent: Segment | None) -> list[Segment]:
    """The segments that begin where up to then all `specs` have the same life."""
    ways = defaultdict(list)
    for spec in specs:
        ways[spec.life[begin]].append(spec)
    segments = []
    for alike in ways.values():
        first, end = alike[0], begin + 1
        while all(len(s.life) > end and s.life[end] == first.life[end] for s in alike):
            end += 1
        segment = Segment(first, begin, end, parent)
        segment.ends = [s for s in alike if len(s.life) == end]
        longer = [s for s in alike if len(s.life) > end]
        segment.branches = grow(longer, end, segment) if longer else []
        segments.append(segment)
    return segments


def trajectories(
    specs: Iterable, context: Context | None = None, measures: Measures | None = None
) -> Iterator[tuple[Any, Training]]:
    """Train a set of lives as a tree, several segments side by side where that pays.

    Yields: (spec, its Training) as each life ends.
    Raises: Cancelled, Exhausted; Diverged, after all others are done.
    """
    specs, context = list(specs), context or Context()
    workers = crew_size(specs, context.device) if context.workers is None else context.workers
    workers = whole("workers", workers, least=1)
    device = devices.pick(context.device)
    report = first_of_each(context.report)
    forget_old()
    ready = sorted(plan(specs), key=lambda s: s.epochs)  # the last is next: the largest tree
    open_branches: dict[Segment, int] = {}
    ends: dict[Segment, Trajectory] = {}
    diverged: list[Diverged] = []
    running: dict[Future, Segment] = {}

    with crew(workers, device, measures or {}, context.stop, report) as begin:
        while ready or running:
            if context.stop.is_set():
                raise Cancelled("stopped: ask for the same again to go on where it was")
            while ready and len(running) < workers:
                segment = ready.pop()
                running[begin(segment)] = segment
            for job in wait(running, timeout=0.1, return_when=FIRST_COMPLETED).done:
                segment = running.pop(job)
                try:
                    result = job.result()
                except Diverged as error:
                    diverged.append(error)
                else:
                    yield from ((spec, result.training(spec)) for spec in segment.ends)
                    if segment.branches:
                        ends[segment], open_branches[segment] = result, len(segment.branches)
                        ready += sorted(segment.branches, key=lambda s: s.epochs)
                if parent := segment.parent:
                    open_branches[parent] -= 1
                    if not open_branches[parent]:  # no other branch begins with its checkpoint
                        forget(ends.pop(parent).checkpoint)
    if diverged:
        more = f" (and {len(diverged) - 1} more)" if len(diverged) > 1 else ""
        raise Diverged(f"{diverged[0]}{more}") from diverged[0]


def crew_size(specs: list, device: str = "auto") -> int:
    """How many processes train these lives: one for each core on a CPU; this one alone for a single
    life, on a GPU, and for those of the ci profile, which are over before a process has started."""
    if devices.pick(device).type != "cpu" or all(
        getattr(spec, "profile", "ci") == "ci" for spec in specs
    ):
        return 1
    return max(1, min(usable_cores(), len(specs)))


def first_of_each(report: Callable[[Any, dict], None]) -> Callable[[Any, dict], None]:
    """`report`, called for the first of all lives that share an epoch."""
    seen = set()

    def first(spec: Any, row: dict) -> None:
        stretch = spec.trunk_key, spec.life[: row["part"] + 1]
        if stretch not in seen:
            seen.add(stretch)
            report(spec, row)

    return first
