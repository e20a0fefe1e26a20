"""A set of lives as a tree of trajectories that share their beginnings, trained side by side.

A life that branches from a checkpoint equals the same life trained alone, bit for bit on one
machine at one number of threads: every random number and learning rate is a function of
(seed, epoch).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cplab import devices
from cplab.checks import Cancelled, Diverged, tidy
from cplab.devices import usable_cores
from cplab.engine import cluster, views  # noqa: F401  a task, found by name
from cplab.engine.checkpoints import forget
from cplab.engine.pool import Crew, here, processes
from cplab.engine.train import STOPPED, Context, Measures, Report, Training
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
    told: int = 0  # the parts that were reported
    open: int = 0  # branches that are not done
    checkpoint: Path | None = None  # with which branches begin

    @property
    def last(self) -> dict[str, bool]:
        """What is to be done at its end."""
        return {"keep": bool(self.branches), "ends": bool(self.ends)}

    def below(self) -> list["Segment"]:
        """This segment and all that branch from it."""
        found = [self]
        for segment in found:
            found += segment.branches
        return found

    def tell(self, report: Report, row: dict) -> None:
        """Report a row, if it is the next one."""
        if row["part"] == self.told:
            self.told += 1
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
    roots: list[Segment] = []
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
                end = agree(life, spec.life, begin + 1, end)
            segment = Segment(alike[0], begin, end, parent, told=begin)
            segment.ends = [s for s in alike if len(s.life) == end]
            segment.epochs = sum(isinstance(part, Step) for part in life[begin:end])
            segments.append(segment)
            (parent.branches if parent else roots).append(segment)
            if longer := [s for s in alike if len(s.life) > end]:
                todo.append((longer, end, segment))
    for segment in reversed(segments):
        if segment.parent:
            segment.parent.epochs += segment.epochs
            segment.parent.open += 1
    return roots


def agree(life: tuple, other: tuple, begin: int, end: int) -> int:
    """Up to which part two lives agree that do so up to `begin`; `end` at most."""
    end = min(end, len(other))
    while begin < end:
        middle = (begin + end + 1) // 2  # slices are compared quickly, part by part is slow
        if life[begin:middle] == other[begin:middle]:
            begin = middle
        else:
            end = middle - 1
    return begin


def trajectories(
    specs: Iterable, context: Context | None = None, measures: Measures | None = None
) -> Iterator[tuple[Any, Training]]:
    """Train a set of lives as a tree, several segments side by side where that pays.

    Yields: (spec, its Training) as each life ends.
    Raises: Cancelled, Exhausted; Diverged, after all others are done.
    """
    specs, context = list(specs), context or Context()
    tidy()
    ready = sorted(plan(specs), key=lambda s: s.epochs)  # the last is next: the largest tree
    found: set[Path] = set()  # checkpoints that were left by others, or at other branchings
    diverged: list[Diverged] = []
    running: dict[Future, Segment] = {}

    with crew_of(specs, context, measures or {}) as crew:
        while ready or running:
            if context.stop.is_set():
                raise Cancelled(STOPPED)
            while ready and len(running) < crew.room():
                segment = ready.pop()
                running[crew.begin(segment)] = segment
            for job in wait(running, timeout=0.1, return_when=FIRST_COMPLETED).done:
                segment = running.pop(job)
                try:
                    result = crew.take(segment, job)
                except Diverged as error:
                    diverged.append(error)
                else:
                    found |= {*result.found}
                    for row in result.rows:
                        segment.tell(context.report, row)
                    if len(result.rows) < segment.end:
                        ready.append(segment)
                        continue
                    yield from ((spec, result.training(spec)) for spec in segment.ends)
                    segment.checkpoint = result.checkpoint
                    if not segment.branches:
                        forget(segment.checkpoint)
                    ready += sorted(segment.branches, key=lambda s: s.epochs)
                if parent := segment.parent:
                    parent.open -= 1
                    if not parent.open:  # no other branch begins with its checkpoint
                        forget(parent.checkpoint)
    for path in found:
        forget(path)
    if diverged:
        more = f" (and {len(diverged) - 1} more)" if len(diverged) > 1 else ""
        raise Diverged(f"{diverged[0]}{more}") from diverged[0]


def crew_of(specs: list, context: Context, measures: Measures) -> AbstractContextManager[Crew]:
    """Who trains these lives: the workers of a cluster, several processes, or this one."""
    if context.client is not None:
        return cluster.crew(context.client, context.device, measures, context.workers)
    workers = context.workers or crew_size(specs, context.device)
    device = devices.pick(context.device)
    if workers > 1:
        return processes(workers, device, measures)
    return here(device, measures, context.stop, context.report)


def crew_size(specs: list, device: str = "auto") -> int:
    """How many processes train these lives: one for each core on a CPU; this one alone for a single
    life, on a GPU, and for those of the ci profile, which are over before a process has started."""
    if devices.pick(device).type != "cpu" or all(
        getattr(spec, "profile", "ci") == "ci" for spec in specs
    ):
        return 1
    return max(1, min(usable_cores(), len(specs)))
