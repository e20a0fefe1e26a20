"""Worker processes, which cplab starts and owns: whatever is trained, measured or computed is so in
one of them.

A worker begins clean, whatever a notebook has done to torch or to random numbers: its numbers
depend on what it is asked alone. It does one job after another, and ends once it had nothing to do
for five minutes, or with the process that has started it. Here is how that process sees it, in
which nothing loads torch; `process` has the other side.
"""

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager, suppress
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

from cplab.base.errors import CplabError, installed, whole
from cplab.base.tracebacks import in_library
from cplab.engine.process import Surroundings, do_job, load, serve
from cplab.engine.work import auto_device, current_stop, do, is_doing
from cplab.engine.workload import Job, Note

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

IDLE = 300  # seconds without work after which a worker ends
PATIENCE = 0.5  # seconds that work waits before one more worker is started
MOST_JOBS = 256  # of somebody else's executor at a time
MESSAGES = 30  # that all workers send in a second
Hear = Callable[[list[Note]], object]

_workers = list["Worker"]()  # of this process
_lock = threading.RLock()  # held while these are read or changed


def usable_cores() -> int:
    """The number of cores that this process may use, by its affinity and its container's quota."""
    if find_spec("loky") is None:  # where nothing is trained
        return os.cpu_count() or 1
    import loky

    return loky.cpu_count()


def most_workers() -> int:
    """The largest number of workers: $CPLAB_WORKERS, or else one for each core.

    Raises:
        CplabError.
    """
    if allowed := os.environ.get("CPLAB_WORKERS"):
        return whole("$CPLAB_WORKERS", allowed, 1, 1000)
    return usable_cores()


# Worker processes ---------------------------------------------------------------------------------


class Worker:
    """A worker process. loky starts it again if its memory has grown.

    Attributes:
        executor: of loky, which has this process alone.
        ready: a Future, done once the process has loaded torch: the device that `auto` stands for.
        orders: where the numbers of jobs are sent that are to end.
        notes: (number of a job, what it tells), as they come from the process.
        hear: is called with what the present job tells.
        number: of the latest job.
        busy: whether it has a job, or is to get one.
        ended: whether it gets no job any more.
        idle_since: when the latest job ended, as time.monotonic() has it.
    """

    def __init__(self) -> None:
        from loky import ProcessPoolExecutor
        from loky.backend import get_context

        start_trackers()  # before a queue would, which looks beside the notebook
        context = get_context("loky")
        their_orders, self.orders = context.Pipe(duplex=False)
        self.notes: Queue = context.Queue()
        self.hear: Hear | None = None
        self.number = 0
        self.busy = False
        self.ended = False
        self.idle_since = time.monotonic()
        self.executor = ProcessPoolExecutor(
            1,
            context=context,
            initializer=serve,
            initargs=(their_orders, self.notes),
            # It looks for modules where the process that asks does, and nowhere else
            env={"PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1"},
        )
        with no_interrupt():
            self.ready = self.executor.submit(load)
        threading.Thread(target=self.hear_all, daemon=True).start()

    @property
    def is_free(self) -> bool:
        """Whether it can begin a job at once."""
        return self.device is not None and not self.busy and not self.ended

    @property
    def device(self) -> str | None:
        """The device that `auto` stands for; None if it is not ready yet.

        Raises:
            CplabError: if it could not begin.
        """
        if not self.ready.done():
            return None
        try:
            return self.ready.result()
        except Exception as error:
            self.end()
            raise CplabError(why_not_begun(error)) from error

    def submit(self, job: Job, hear: Hear) -> Future:
        """Have a job done. Its Future has what `work.do` returns, and the notes that `hear`, which
        is called from another thread, was not told."""
        self.number += 1
        self.hear = hear
        self.busy = True
        period = len(_workers) / MESSAGES
        with no_interrupt():  # it may have to begin again
            future = self.executor.submit(do_job, self.number, job, Surroundings.here(), period)
        future.add_done_callback(self.finish)
        return future

    def finish(self, future: Future) -> None:
        """Have no job any more."""
        self.idle_since = time.monotonic()
        self.busy = False
        if isinstance(future.exception(), BrokenExecutor):
            self.end()

    def stop(self) -> None:
        """End its job before the next batch."""
        with suppress(OSError):  # it has died
            self.orders.send(self.number)

    def hear_all(self) -> None:
        """Pass on what the worker tells, and end it once it had nothing to do for long."""
        while not self.ended:
            with suppress(Empty):
                number, notes = self.notes.get(timeout=1)
                if number == self.number and self.hear:
                    self.hear(notes)
            with _lock:
                is_due = not self.busy and time.monotonic() > self.idle_since + IDLE
                self.ended = self.ended or is_due
            if is_due:
                self.end()

    def end(self) -> None:
        """End the process."""
        self.ended = True
        with _lock, suppress(ValueError):
            _workers.remove(self)
        self.executor.shutdown(wait=False, kill_workers=True)


def start() -> Worker:
    """Start a worker. It takes a second or two until it is ready."""
    check_installed()
    # A worker whose memory has grown begins again, which loky would tell the user
    warnings.filterwarnings("ignore", "A worker (stopped|was restarted)", UserWarning)
    with _lock:
        worker = Worker()
        if not _workers:
            end_with_python()
        _workers.append(worker)
    return worker


def warm() -> None:
    """Start a worker if there is none, so that the next training begins at once. This returns
    before it is ready, and loads no torch here."""
    with _lock:
        if not _workers:
            start()


def end_all() -> None:
    """End all workers, whatever they do."""
    for worker in [*_workers]:
        worker.end()


@cache
def end_with_python() -> None:
    """Have all workers end when Python does: loky would wait until their jobs are done."""
    threading._register_atexit(end_all)  # type: ignore[attr-defined]


def why_not_begun(error: Exception) -> str:
    """Say why no worker could begin, in one line.

    Arguments:
        error: with which it ended.
    """
    for folder in sys.path:
        if in_library(str(Path(folder, "module.py").resolve())):
            continue
        files = sorted(Path(folder).glob("*.py"))
        packages = [path.parent for path in sorted(Path(folder).glob("*/__init__.py"))]
        for path in files + packages:
            if is_shadow(path):
                return f"{path.absolute()} has the name of a library: rename it"
    line = f"{type(error).__name__}: {error}".partition("\n")[0]
    remedy = "install cplab again" if isinstance(error, ImportError) else "close what needs memory"
    return f"no worker process could begin ({line}): {remedy}"


def is_shadow(path: Path) -> bool:
    """Whether Python finds a file, or a folder that is a package, in place of a library that is
    installed."""
    libraries = [folder for folder in sys.path if in_library(str(Path(folder, "module.py")))]
    module = path / "__init__.py" if path.is_dir() else path
    found = PathFinder.find_spec(path.stem)
    is_first = found is not None and found.origin is not None and module.samefile(found.origin)
    return is_first and PathFinder.find_spec(path.stem, libraries) is not None


def start_trackers() -> None:
    """Start the processes that clean up after workers, unless they run. They look for no module
    beside the notebook either."""
    from loky.backend import resource_tracker as of_loky

    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        of_loky.ensure_running()
        if os.name == "posix":
            from multiprocessing import resource_tracker

            resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONSAFEPATH"]
        if before is not None:
            os.environ["PYTHONSAFEPATH"] = before


@contextmanager
def no_interrupt() -> Iterator[None]:
    """A context in which processes start that ignore Ctrl-C: the process that asks handles it."""
    start_trackers()  # here already, since starting one unblocks signals
    if os.name != "posix":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def check_installed() -> None:
    """Raise a CplabError if a library is missing with which networks are trained."""
    with installed():
        for library in ("torch", "loky"):
            if find_spec(library) is None:
                raise ModuleNotFoundError(name=library)


class Workers:
    """The workers of this process, as one training takes them.

    There is one until work has waited for half a second, and then as many as there is work for. The
    first job of a training waits for no other training's.
    """

    def __init__(self) -> None:
        self.waits_since: float | None = None  # since when work has waited for a worker

    def take(self, running: int, waiting: int, most: int) -> Worker | None:
        """A worker that can begin a job at once, and has to; None if there is none now: then one is
        started, unless enough are starting.

        Arguments:
            running: how many jobs of this training run.
            waiting: how many of its jobs might begin.
            most: how many jobs may run at a time, of all trainings together.
        """
        with _lock:
            busy = sum(worker.busy for worker in _workers)
            if running and busy >= most:
                return None
            for worker in _workers:
                if worker.is_free:
                    worker.busy = True
                    self.waits_since = None
                    return worker
            now = time.monotonic()
            self.waits_since = self.waits_since or now
            wanted = 0 if running else 1  # of workers that start
            if now > self.waits_since + PATIENCE:
                wanted = max(wanted, min(most - busy, waiting))
            starting = len(_workers) - busy
            if starting < wanted:
                start()
        return None

    @property
    def device(self) -> str | None:
        """The device that `auto` stands for; None if no worker is ready yet."""
        for worker in [*_workers]:
            if worker.device:
                return worker.device
        return None


# Other workers ------------------------------------------------------------------------------------


class Others:
    """Workers of somebody else's executor, such as Dask's. They tell nothing while they work."""

    def __init__(self, executor: Executor, most: int) -> None:
        self.executor = executor
        self.most = most
        self.ready = executor.submit(auto_device)
        self.jobs: list[Future] = []

    def take(self, running: int, waiting: int, most: int) -> "Others | None":
        """These workers, if they may have one more job."""
        return self if running < self.most else None

    def submit(self, job: Job, hear: Hear) -> Future:
        """Have a job done by one of them."""
        future = self.executor.submit(do_untold, job)
        self.jobs.append(future)
        return future

    @property
    def device(self) -> str | None:
        """The device that `auto` stands for; None if no worker has said it yet."""
        return self.ready.result() if self.ready.done() else None

    def stop(self) -> None:
        """Cancel the jobs that have not begun."""
        for future in self.jobs:
            future.cancel()

    def end(self) -> None:
        """Nothing: the executor is somebody else's."""


def do_untold(job: Job) -> tuple[Any, list[Note]]:
    """Do a job, and tell nothing of it: the rows are in what it returns."""
    return do(job), []


class ThisThread:
    """The thread that asks, which does each job at once: one that does a job itself, such as an
    experiment that trains networks."""

    def take(self, running: int, waiting: int, most: int) -> "ThisThread":
        """This thread, which always may."""
        return self

    def submit(self, job: Job, hear: Hear) -> Future:
        """Do a job now."""
        future: Future = Future()
        try:
            future.set_result((do(job, hear, current_stop()), []))
        except Exception as error:
            future.set_exception(error)
        return future

    @property
    def device(self) -> str:
        """The device that `auto` stands for."""
        return auto_device()

    def stop(self) -> None:
        """Nothing: its jobs have ended."""

    def end(self) -> None:
        """Nothing: it goes on."""


AnyWorker = Worker | Others | ThisThread  # what does jobs
Pool = Workers | Others | ThisThread  # where a training takes them from


def open_workers(executor: Executor | None, most: int | None) -> Pool:
    """The workers for one training.

    Arguments:
        executor: somebody else's, if one is given.
        most: how many jobs it has at a time.
    """
    if executor is not None:
        return Others(executor, most or MOST_JOBS)
    if is_doing():  # an experiment asks
        return ThisThread()
    return Workers()
