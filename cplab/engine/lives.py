"""A set of lives as a tree of trajectories that share their beginnings, trained side by side.

A life that branches from a checkpoint equals the same life trained alone, bit for bit on one
machine at one number of threads: seed and epoch decide every random number and rate.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from cplab import devices
from cplab.checks import Cancelled, Diverged, raise_first, tidy
from cplab.devices import usable_cores
from cplab.engine import cluster
from cplab.engine.checkpoints import forget
from cplab.engine.pool import Crew, processes, this_process
from cplab.engine.train import STOPPED, Context, Measures, Training
from cplab.engine.tree import Segment, plan


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

    with choose_crew(specs, context, measures or {}) as crew:
        while ready or running:
            if context.stop.is_set():
                raise Cancelled(STOPPED)
            while ready and len(running) < crew.room():
                segment = ready.pop()
                running[crew.begin(segment)] = segment
            done = wait(running, timeout=0.1, return_when=FIRST_COMPLETED).done
            while done:
                segment = running.pop(job := done.pop())
                try:
                    result = crew.take(segment, job)
                    del job  # what is held on to, Dask does again if its worker is lost
                except Diverged as error:
                    diverged += [error] * sum(len(part.ends) for part in segment.subtree())
                else:
                    found |= {*result.found}
                    for row in result.rows:
                        segment.report_row(context.report, row)
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
    raise_first(diverged)


def choose_crew(specs: list, context: Context, measures: Measures) -> AbstractContextManager[Crew]:
    """Who trains these lives: the workers of a cluster, several processes, or this one."""
    if context.client is not None:
        return cluster.cluster_crew(context.client, context.device, measures, context.workers)
    device = devices.pick(context.device)
    if (workers := context.workers or crew_size(specs, context.device)) > 1:
        return processes(workers, device, measures)
    return this_process(device, measures, context.stop, context.report)


def crew_size(specs: list, device: str = "auto") -> int:
    """How many processes train these lives: one for each core on a CPU; this one alone for a single
    life, on a GPU, and for those of the ci profile, which are over before a process has started."""
    quick = all(getattr(spec, "profile", "ci") == "ci" for spec in specs)
    if quick or devices.pick(device).type != "cpu":
        return 1
    return max(1, min(usable_cores(), len(specs)))
