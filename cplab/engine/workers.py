"""Worker processes of this machine: how many it can hold, and how they begin and end."""

import math
import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from pathlib import Path

from cplab.errors import whole

# Bytes that a worker takes: 340 MB for torch, and the rest for images and a network
MEMORY = 400e6
GROUP = Path("/sys/fs/cgroup")  # where Linux states a container's limits


def most_workers() -> int:
    """The largest number of worker processes: $CPLAB_WORKERS, or else as many as free memory holds;
    at least one. Raises: CplabError."""
    if allowed := os.environ.get("CPLAB_WORKERS"):
        return whole("$CPLAB_WORKERS", allowed, 1, 1000)
    free = free_memory()
    if math.isinf(free):
        return 1000
    return max(1, int(free / MEMORY))


def free_memory() -> float:
    """The bytes that this process, and those that it starts, may still take.

    Machine and container both limit them. The number is infinite if neither states a limit.
    """
    limits = [math.inf]
    with suppress(OSError):  # only Linux has this file
        text = Path("/proc/meminfo").read_text()
        kilobytes = re.search(r"MemAvailable:\s*(\d+)", text)
        if kilobytes:
            limits.append(1024 * int(kilobytes[1]))
    with suppress(ImportError):
        import psutil  # which Jupyter installs, for systems without that file

        limits.append(psutil.virtual_memory().available)
    version_2 = (GROUP / "memory.max", GROUP / "memory.current")
    version_1 = (
        GROUP / "memory/memory.limit_in_bytes",
        GROUP / "memory/memory.usage_in_bytes",
    )
    for limit, used in (version_2, version_1):
        with suppress(OSError, ValueError):  # there is no such file, or its limit is "max"
            limits.append(int(limit.read_text()) - in_use(used))
    return max(0, min(limits))


def in_use(file: Path) -> int:
    """The bytes that a container uses, without parts of files in memory that it could drop.

    Arguments: file, of the container, which states the bytes with these parts.
    """
    used = int(file.read_text())
    with suppress(OSError):
        statistics = file.with_name("memory.stat").read_text()
        droppable = re.search(r"^(?:total_)?inactive_file (\d+)", statistics, re.M)
        if droppable:
            used -= int(droppable[1])
    return used


@contextmanager
def processes(
    workers: int, threads: int, environment: dict[str, str] | None = None
) -> Iterator[Executor]:
    """A context with worker processes of loky, which are killed at its end.

    Arguments: workers, how many; threads, of torch in each; environment, further variables of it.
    """
    from multiprocessing import resource_tracker

    from loky import ProcessPoolExecutor

    pool = ProcessPoolExecutor(
        workers,
        initializer=begin_worker,
        initargs=(os.getpid(), [*sys.path], threads),
        env=environment or {},
    )
    if os.name == "posix":
        resource_tracker.ensure_running()  # here already, since starting it unblocks signals
        # Ctrl-C is blocked in the processes that now start: it would end them with a traceback
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        pool.submit(int)  # the first job starts them all
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with warnings.catch_warnings():
        # loky restarts a worker whose memory has grown
        warnings.filterwarnings("ignore", "A worker was restarted", UserWarning)
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, kill_workers=True)


def begin_worker(parent: int, path: list[str], threads: int) -> None:
    """Prepare a worker process, in which Ctrl-C does nothing: its parent handles it."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with_parent, args=(parent,), daemon=True).start()
    sys.path[:] = path
    torch.set_num_threads(threads)


def leave_with_parent(parent: int) -> None:
    """End this process once its parent is gone: else it would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
