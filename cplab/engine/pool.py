"""Where segments of training run: in this process, or in several that share the cores."""

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch

from cplab import registry
from cplab.checks import CplabError, Exhausted
from cplab.devices import usable_cores
from cplab.engine.train import Measures, Report, Trajectory, train_to


class Crew(NamedTuple):
    """Who trains segments.

    begin: starts a segment, or goes on with it; take: (segment, what begin gave) -> its Trajectory,
    which may not have come to the segment's end; room: how many segments may be under way.
    """

    begin: Callable[[Any], Future]
    take: Callable[[Any, Future], Trajectory]
    room: Callable[[], int]


@contextmanager
def this_process(
    device: torch.device, measures: Measures, stop: threading.Event, report: Report
) -> Iterator[Crew]:
    """This process, which trains one segment after the other."""

    def begin(segment: Any) -> Future:
        job: Future = Future()
        how = {"device": device, "measures": measures, "stop": stop, **segment.last}
        how["report"] = partial(segment.report_row, report)
        try:
            job.set_result(train_to(segment.spec, segment.end, **how))
        except CplabError as error:
            job.set_exception(error)
        return job

    yield Crew(begin, lambda segment, job: job.result(), lambda: 1)


@contextmanager
def processes(workers: int, device: torch.device, measures: Measures) -> Iterator[Crew]:
    """Worker processes, which loky starts. They train in stretches, from checkpoint to checkpoint,
    so that whoever does not wait for the end of one can kill them."""
    from multiprocessing import resource_tracker

    from loky import ProcessPoolExecutor

    if os.name == "posix":  # as it starts it lets signals through again, so it comes first
        resource_tracker.ensure_running()
    warnings.filterwarnings("ignore", "A worker was restarted", UserWarning)  # one that has grown
    initial = (max(1, usable_cores() // workers), registry.dumps_own(), os.getpid(), [*sys.path])
    before = threading.enumerate()
    with without_interrupt():
        pool = ProcessPoolExecutor(workers, initializer=join_crew, initargs=initial)

    def begin(segment: Any) -> Future:
        how = {"device": device, "measures": measures, "stretch": 0, **segment.last}
        with without_interrupt():  # a process that starts now inherits this
            return pool.submit(train_to, segment.spec, segment.end, **how)

    try:
        yield Crew(begin, lambda segment, job: job.result(), lambda: workers)
    except BrokenProcessPool as error:
        raise Exhausted(
            "a worker process died, mostly for want of memory: what was trained is kept; ask "
            "again with fewer workers (workers=1) or --device cpu"
        ) from error
    finally:
        pool.shutdown(wait=True, kill_workers=True)
        for thread in set(threading.enumerate()).difference(before):
            if thread.name == "QueueFeederThread":  # it frees locks; cut off by an exit, it leaks
                thread.join(timeout=1)


@contextmanager
def without_interrupt() -> Iterator[None]:
    """Ctrl-C waits until this is over, where the system can do that. It is blocked, which a process
    that starts inherits; and put off, since threads that do not block it pass it on."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    came: list[int] = []
    act = signal.getsignal(signal.SIGINT)
    main = act is not None and threading.current_thread() is threading.main_thread()
    if main:
        signal.signal(signal.SIGINT, lambda *_: came.append(1))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if main:
            signal.signal(signal.SIGINT, act)
        if came:
            signal.raise_signal(signal.SIGINT)


def join_crew(threads: int, own: str, parent: int, path: list[str]) -> None:
    """Prepare a worker process; Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with_parent, args=(parent,), daemon=True).start()
    sys.path[:] = path
    torch.set_num_threads(threads)
    registry.load_own(own)


def leave_with_parent(parent: int) -> None:
    """A worker whose parent was killed would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
