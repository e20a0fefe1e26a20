"""Processes that train on one machine's CPU take turns, epoch by epoch.

A network trains with as many threads as the process may use, since its bits depend on that number.
Where several processes do so at once, threads wait for others that have no core: eight of them
take three times as long as one after the other.
"""

import os
import platform
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Event as Flag
from typing import Any

import torch

from cplab.checks import cache_dir
from cplab.devices import usable_cores

PATIENCE = 60.0  # seconds; whoever has waited as long goes on beside the others


@contextmanager
def turn(device: torch.device, stop: Flag | None = None) -> Iterator[None]:
    """Wait for as many idle cores as this process has threads; does nothing on a GPU.

    Arguments: stop, ends the wait.
    """
    with ExitStack() as stack:
        until = time.monotonic() + PATIENCE * (device.type == "cpu")
        while time.monotonic() < until and not (stop and stop.is_set()) and not take(stack):
            time.sleep(random.uniform(0.002, 0.02))
        yield


def take(stack: ExitStack) -> bool:
    """Whether there are as many idle cores as this process has threads; the stack keeps them. Cores
    count as busy while some process of this machine and cache has the lock of their number."""
    from filelock import FileLock, Timeout

    every = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(usable_cores())
    cores = sorted(every)[: usable_cores()]
    folder, needed = cache_dir() / "locks", min(torch.get_num_threads(), len(cores))
    with ExitStack() as taken:
        for core in cores:
            lock = FileLock(folder / f"core-{platform.node()}-{core}.lock")
            try:
                folder.mkdir(parents=True, exist_ok=True)
                lock.acquire(blocking=False)
            except Timeout:
                continue
            except OSError:  # a place where nothing can be written
                return True
            taken.callback(release, lock)
            needed -= 1
            if not needed:
                stack.enter_context(taken.pop_all())
                return True
    return False


def release(lock: Any) -> None:
    """Let the next one have a core."""
    with suppress(OSError):  # Windows removes no open file
        os.unlink(lock.lock_file)
    lock.release()
