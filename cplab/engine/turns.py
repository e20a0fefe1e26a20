"""Processes that train on one machine's CPU take turns, epoch by epoch.

A network trains with as many threads as the process may use, since its bits depend on that number.
Where several processes do so at once, threads wait for others that have no core: eight of them
take three times as long as one after the other. One of those that wait is first in line, so that
nobody who trains epoch after epoch keeps all others out.
"""

import os
import platform
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event as Flag
from typing import Any

import torch

from cplab.checks import cache_dir
from cplab.devices import usable_cores

PATIENCE = 60.0  # seconds in which nobody's turn came; then whoever waits goes on beside the others


@contextmanager
def core_turn(device: torch.device, stop: Flag | None = None) -> Iterator[None]:
    """Wait for as many idle cores as this process has threads; does nothing on a GPU.

    Arguments: stop, ends the wait.
    """
    with ExitStack() as cores:
        if device.type == "cpu":
            wait_for(cores, stop)
        yield


def wait_for(cores: ExitStack, stop: Flag | None) -> None:
    """Until the stack has the cores, the flag is set, or no turn has begun for too long."""
    folder, last, until = cache_dir() / "locks", -1, 0.0
    mark, began = folder / "turns", time.monotonic()
    with ExitStack() as line:
        first, waited, turns = False, False, 0
        while not (stop and stop.is_set()):
            first = first or take(folder / f"next-{platform.node()}.lock", line)
            if first and take_cores(folder, cores):
                with suppress(OSError):  # its time tells those who wait that turns go on
                    mark.mkdir(exist_ok=True)
                    os.utime(mark)
                return
            if not waited:  # who has just come, perhaps from a turn, lets those be next who wait
                line.close()
                first, waited = False, True
            now = time.monotonic()
            with suppress(OSError):  # there was none yet
                turns = mark.stat().st_mtime_ns
            if turns != last:
                last, until = turns, now + PATIENCE
            elif now > until:
                return
            # seldom after a long wait: whoever looks takes time from the one who trains
            pause = min(0.02, 0.002 + (now - began) / 20) if first else 0.25
            time.sleep(random.uniform(0.3, 1) * pause)


def take_cores(folder: Path, stack: ExitStack) -> bool:
    """Whether there are as many idle cores as this process has threads; the stack keeps them. Cores
    count as busy while some process of this machine and cache has the lock of their number."""
    every = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(usable_cores())
    cores = sorted(every)[: usable_cores()]
    needed = min(torch.get_num_threads(), len(cores))
    idle, busy = 0, 0
    with ExitStack() as taken:
        while idle < needed:
            if take(folder / f"core-{platform.node()}-{cores[idle + busy]}.lock", taken):
                idle += 1
            elif (busy := busy + 1) > len(cores) - needed:
                return False
        stack.enter_context(taken.pop_all())
    return True


def take(path: Path, stack: ExitStack) -> bool:
    """Whether nobody else has a lock (nor can have: nothing can be written); the stack keeps it."""
    from filelock import FileLock, Timeout

    lock = FileLock(path, thread_local=False)  # another thread may release it
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        return False
    except OSError:
        return True
    stack.callback(release, lock)
    return True


def release(lock: Any) -> None:
    """Let the next one have it."""
    with suppress(OSError):  # Windows removes no open file
        os.unlink(lock.lock_file)
    lock.release()
