"""A set of runs as a tree of trajectories that share their beginnings, trained side by side.

A run that branches from a checkpoint equals the same run trained alone, bit for bit on one machine
at one number of threads: every random number and learning rate is a function of (seed, epoch).
"""

import multiprocessing
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import torch

from cplab import devices
from cplab.checkpoints import forget, forget_old
from cplab.experiment import CplabError, Run, whole
from cplab.train import (
    Cancelled,
    Diverged,
    Trajectory,
    advance,
    seconds_per_end,
    seconds_per_epoch,
    seconds_per_trace,
)


@dataclass(eq=False)
class Segment:
    """A stretch of training between two branchings, or a branching and the end of a run."""

    run: Run  # one of those that go through it
    begin: int
    end: int
    done: list[Run] = field(default_factory=list)  # the runs that end here
    branches: list["Segment"] = field(default_factory=list)
    parent: "Segment | None" = None
    checkpoint: Path | None = None  # of its end, while branches need it

    def below(self) -> list["Segment"]:
        """This segment and all that branch from it."""
        return [self, *(s for branch in self.branches for s in branch.below())]

    @property
    def epochs(self) -> int:
        """Of this segment and of all that branch from it."""
        return sum(s.end - s.begin for s in self.below())

    @property
    def traces(self) -> int:
        """How often the Fisher information is measured in this segment and below."""
        return sum(s.run.traced(e) for s in self.below() for e in range(s.begin, s.end))

    @property
    def ends(self) -> int:
        """How often more is measured, since a run ends there."""
        return sum(bool(s.done) for s in self.below())

    def leave(self) -> None:
        """Begun and done with: the last to branch off removes the parent's checkpoint."""
        if self.parent:
            self.parent.branches.remove(self)
            if not self.parent.branches:
                forget(self.parent.checkpoint)


def by_size(segments: list[Segment], falling: bool = False) -> list[Segment]:
    return sorted(segments, key=lambda s: s.epochs, reverse=falling)


def plan(runs: list[Run]) -> list[Segment]:
    """A set of runs as a forest in which common beginnings stand once. Returns its roots."""
    forest = defaultdict(list)
    for run in dict.fromkeys(runs):
        forest[run.origin].append(run)
    return [root for tree in forest.values() for root in grow(tree, 0, None)]


def grow(runs: list[Run], begin: int, parent: Segment | None) -> list[Segment]:
    """The segments that begin at an epoch up to which all `runs` have the same steps."""
    ways = defaultdict(list)
    for run in runs:
        ways[run.steps[begin]].append(run)
    segments = []
    for together in ways.values():
        end = begin + 1
        while all(r.epochs > end and r.steps[end] == together[0].steps[end] for r in together):
            end += 1
        segment = Segment(together[0], begin, end, parent=parent)
        segment.done = [r for r in together if r.epochs == end]
        going_on = [r for r in together if r.epochs > end]
        segment.branches = grow(going_on, end, segment) if going_on else []
        segments.append(segment)
    return segments


def estimate(runs: list[Run], device: str = "auto") -> float:
    """Seconds that training these runs one after another in this process would take, from a few
    steps and, for traces, a few measurements timed on random images."""
    where, seconds = str(devices.pick(device)), 0.0
    for root in plan(runs):
        seconds += seconds_per_epoch(root.run, where) * root.epochs
        if root.run.trace != "none":
            seconds += seconds_per_trace(root.run, where) * root.traces
            seconds += seconds_per_end(root.run, where) * root.ends
    return seconds


def trajectories(
    runs: list[Run],
    *,
    device: str = "auto",
    workers: int | None = None,
    frugal: bool = False,
    stop: threading.Event | None = None,
    report: Callable[[Run, dict], None] = lambda run, row: None,
    claim: Callable[[list[Run]], list[Run] | None] = lambda runs: runs,
) -> Iterator[tuple[Run, Trajectory | Diverged]]:
    """Train a set of runs as a tree, several segments side by side where that pays.

    Arguments:
        runs: what to train.
        workers: processes, crew_size of the runs if not given.
        frugal: begin with the smallest branch instead of the largest, so that few checkpoints are
            kept at a time; for one worker.
        stop: an Event; once it is set, training ends before the next batch with Cancelled.
        report: called in this process with (run, row) after each epoch; an epoch that several
            runs share is reported once.
        claim: asked, with the runs that end there, before a segment is begun: which of them are
            wanted, or None for "ask again later".
    Yields: (run, its Trajectory) as each run ends, or (run, Diverged).
    Raises: Cancelled, devices.Exhausted.
    """
    if workers is None:
        workers = crew_size(runs, device)
    workers = whole("workers", workers, least=1)
    device = devices.pick(device)
    stop = stop or threading.Event()
    report = once(report)
    forget_old()
    ready = by_size(plan(runs), frugal)  # the last is next: the largest tree, depth first
    running: dict[Future, tuple[Segment, list[Run]]] = {}
    with crew(workers, device, stop, report) as begin:
        while ready or running:
            if stop.is_set():
                raise Cancelled("stopped: ask for the same again to go on where it was")
            for segment in reversed(ready[:]):
                if len(running) >= workers:
                    break
                wanted = claim(segment.done) if segment.done else []
                if wanted is None:
                    continue
                ready.remove(segment)
                if wanted or segment.branches:
                    running[begin(segment, bool(wanted))] = segment, wanted
                else:
                    segment.leave()
            if not running:
                time.sleep(0.2)  # others are training all that is left
            for job in wait(running, timeout=0.1, return_when=FIRST_COMPLETED).done:
                segment, wanted = running.pop(job)
                try:
                    result = job.result()
                except Diverged as error:
                    yield from ((run, error) for s in segment.below() for run in s.done)
                else:
                    segment.checkpoint = result.checkpoint
                    yield from ((run, result) for run in wanted)
                    ready += by_size(segment.branches, frugal)
                segment.leave()


def crew_size(runs: list[Run], device: str = "auto") -> int:
    """How many processes train these runs: one for each core on a CPU; this one alone for a single
    run, on a GPU, and for runs of the ci profile, which are over before a process has started."""
    if devices.pick(device).type != "cpu" or all(run.profile == "ci" for run in runs):
        return 1
    return max(1, min(os.cpu_count() or 1, len(runs)))


def once(report: Callable[[Run, dict], None]) -> Callable[[Run, dict], None]:
    """`report`, called for the first of all runs that share an epoch."""
    seen = set()

    def first(run: Run, row: dict) -> None:
        stretch = run.origin, run.steps[: row["epoch"] + 1]
        if stretch not in seen:
            seen.add(stretch)
            report(run, row)

    return first


@contextmanager
def crew(workers: int, device: torch.device, stop: threading.Event, report: Callable):
    """A function that begins a segment, at whose end a run may end, and returns its Future: in
    this process if `workers` is 1, in one of several that share the cores otherwise."""
    if workers == 1:

        def begin_here(segment: Segment, ends: bool = True) -> Future:
            job = Future()
            try:
                job.set_result(
                    advance(segment.run, segment.end, device=device, keep=bool(segment.branches),
                            ends=ends, stop=stop, report=report)
                )  # fmt: skip
            except CplabError as error:
                job.set_exception(error)
            return job

        yield begin_here
        return

    context = multiprocessing.get_context("spawn")
    reports, over = context.SimpleQueue(), threading.Event()
    halt = context.RawValue("b", False)  # an Event's lock may die with a worker that holds it

    def pass_on():
        ending = False
        while not ending:
            ending = over.wait(0.05)  # and then once more, for the last reports
            while not reports.empty():
                report(*reports.get())

    def begin_there(segment: Segment, ends: bool = True) -> Future:
        keep = bool(segment.branches)
        with without_interrupt():  # a process that starts now inherits this
            return pool.submit(advance_there, segment.run, segment.end, str(device), keep, ends)

    threads = max(1, (os.cpu_count() or 1) // workers)
    messenger = threading.Thread(target=pass_on, daemon=True)
    messenger.start()
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=join_crew, initargs=(threads, reports, halt)
    ) as pool:
        try:
            yield begin_there
        except BrokenProcessPool as error:
            raise devices.Exhausted(
                "a worker process died, mostly for want of memory: what was trained is kept; ask "
                "again with fewer workers (workers=1) or --device cpu; a script must start its "
                'sweep under `if __name__ == "__main__":`'
            ) from error
        finally:
            halt.value = True
            pool.shutdown(cancel_futures=True)
            over.set()
            messenger.join()


@contextmanager
def without_interrupt():
    """Ctrl-C waits until this is over, where the system can do that."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def join_crew(threads: int, reports, halt) -> None:
    """Prepare a worker process; Ctrl-C is the parent's to handle."""
    global _reports, _halt
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _reports, _halt = reports, SimpleNamespace(is_set=lambda: bool(halt.value))


def leave_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)


def advance_there(run: Run, end: int, device: str, keep: bool, ends: bool) -> Trajectory:
    """`advance` in a worker process."""
    return advance(
        run,
        end,
        device=torch.device(device),
        keep=keep,
        ends=ends,
        stop=_halt,
        report=lambda run, row: _reports.put((run, row)),
    )
