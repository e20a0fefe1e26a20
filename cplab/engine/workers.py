"""Worker processes of this machine."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from tempfile import TemporaryDirectory

MPS = "nvidia-cuda-mps-control"


@contextmanager
def shared_gpu() -> Iterator[dict[str, str]]:
    """Start NVIDIA's multi-process service, without which the processes of a GPU take turns.

    Yields: the environment of processes that use it, empty where it cannot be had.
    """
    with TemporaryDirectory(prefix="cplab-mps-", ignore_cleanup_errors=True) as folder:
        names = dict.fromkeys(("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"), folder)

        def control(*options: str, order: str = "") -> bool:
            quiet: dict = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
            how: dict = {"env": os.environ | names, "input": order, "text": True, **quiet}
            return subprocess.run([MPS, *options], check=False, **how).returncode == 0

        if not shutil.which(MPS) or not control("-d"):
            yield {}
            return
        try:
            uid = os.getuid() if os.name == "posix" else 0
            yield names if control(order=f"start_server -uid {uid}\n") else {}
        finally:
            control(order="quit\n")


@contextmanager
def processes(
    workers: int, threads: int, environment: dict[str, str] | None = None
) -> Iterator[Executor]:
    """Start loky's worker processes, each with `threads` of torch and with these further variables
    of the environment; in the end they are killed."""
    from multiprocessing import resource_tracker

    from loky import ProcessPoolExecutor

    initial = os.getpid(), [*sys.path], threads
    how: dict = {"initializer": begin_worker, "initargs": initial, "env": environment or {}}
    pool = ProcessPoolExecutor(workers, **how)
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
