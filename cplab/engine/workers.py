"""Worker processes of this machine."""

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager


@contextmanager
def processes(workers: int, threads: int) -> Iterator[Executor]:
    """Start loky's worker processes, each with `threads` of torch; in the end they are killed."""
    from multiprocessing import resource_tracker

    from loky import ProcessPoolExecutor

    initial = os.getpid(), [*sys.path], threads
    pool = ProcessPoolExecutor(workers, initializer=begin_worker, initargs=initial)
    if os.name == "posix":
        resource_tracker.ensure_running()  # now, for its start unblocks signals
        # Ctrl-C is blocked in the processes that start here: it would end them with a traceback
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        pool.submit(int)  # the first job starts them all
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A worker was restarted", UserWarning)  # it has grown
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, kill_workers=True)


def begin_worker(parent: int, path: list[str], threads: int) -> None:
    """Prepare a worker process; Ctrl-C is the parent's to handle."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with_parent, args=(parent,), daemon=True).start()
    sys.path[:] = path
    torch.set_num_threads(threads)


def leave_with_parent(parent: int) -> None:
    """End this process once its parent is gone; otherwise it would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
