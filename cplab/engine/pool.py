"""Where segments of training run: in this process, or in several that share the cores."""

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from cplab import registry
from cplab.checks import CplabError, Exhausted
from cplab.engine.train import Measures, Report, Trajectory, advance


def usable_cores() -> int:
    """The cores that this process may use, by its affinity and its container's quota."""
    import loky

    return loky.cpu_count()


@contextmanager
def crew(
    workers: int, device: torch.device, measures: Measures, stop: threading.Event, report: Report
) -> Iterator[Callable[[Any], Future]]:
    """A function that begins a segment and returns the Future of its Trajectory: in this process
    if `workers` is 1, in one of several otherwise."""

    def begin(segment: Any) -> Future:
        last = {"keep": bool(segment.branches), "ends": bool(segment.ends)}
        how: dict[str, Any] = {"device": device, "measures": measures, **last}
        if pool:
            with without_interrupt():  # a process that starts now inherits this
                return pool.submit(advance_there, segment.spec, segment.end, how)
        job: Future = Future()
        try:
            job.set_result(advance(segment.spec, segment.end, **how, stop=stop, report=report))
        except CplabError as error:
            job.set_exception(error)
        return job

    with processes(workers, report) if workers > 1 else nullcontext() as pool:
        yield begin


@contextmanager
def processes(workers: int, report: Report) -> Iterator[Executor]:
    """Worker processes, which loky starts. A file tells them to stop, and reports come back through
    a queue."""
    from multiprocessing import resource_tracker

    from loky import ProcessPoolExecutor
    from loky.backend import get_context

    if os.name == "posix":  # as it starts it lets signals through again, so it comes first
        resource_tracker.ensure_running()
    reports, over = get_context("loky").SimpleQueue(), threading.Event()
    threads = max(1, usable_cores() // workers)
    failed: list[Exception] = []

    with tempfile.TemporaryDirectory(prefix="cplab-") as folder:
        halt = Path(folder) / "halt"

        def pass_on() -> None:
            ending = False
            while not ending:
                ending = over.wait(0.05)  # and then once more, for the last reports
                while not reports.empty():  # to the end, or workers wait until there is room
                    row = reports.get()
                    try:
                        if not failed:
                            report(*row)
                    except Exception as error:
                        failed.append(error)
                        halt.touch()

        own, parent = registry.dumps_own(), os.getpid()
        initial = (threads, reports, str(halt), own, parent, [*sys.path])
        pool = ProcessPoolExecutor(workers, initializer=join_crew, initargs=initial)
        messenger = threading.Thread(target=pass_on, daemon=True)
        messenger.start()
        try:
            yield pool
        except BrokenProcessPool as error:
            raise Exhausted(
                "a worker process died, mostly for want of memory: what was trained is kept; ask "
                "again with fewer workers (workers=1) or --device cpu"
            ) from error
        finally:
            with suppress(OSError):
                halt.touch()
            pool.shutdown(wait=True)
            over.set()
            messenger.join()
            if failed:  # as in this process, where `report` ends training
                raise failed[0]


@contextmanager
def without_interrupt() -> Iterator[None]:
    """Ctrl-C waits until this is over, where the system can do that."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_worker = SimpleNamespace()  # of a worker process: where reports go, and what tells it to stop


def join_crew(
    threads: int, reports: Any, halt: str, own: bytes, parent: int, path: list[str]
) -> None:
    """Prepare a worker process; Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with_parent, args=(parent,), daemon=True).start()
    sys.path[:] = path
    torch.set_num_threads(threads)
    registry.load_own(own)
    _worker.reports, _worker.stop = reports, SimpleNamespace(is_set=lambda: os.path.exists(halt))


def leave_with_parent(parent: int) -> None:
    """A worker whose parent was killed would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def advance_there(spec: Any, end: int, options: dict[str, Any]) -> Trajectory:
    """`advance` in a worker process."""

    def report(spec: Any, row: dict) -> None:
        _worker.reports.put((spec, row))

    return advance(spec, end, **options, stop=_worker.stop, report=report)
