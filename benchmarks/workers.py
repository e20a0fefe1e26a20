"""Twenty small networks and their newborns: `cplab.sweep`, beside the same training straight in as
many processes.

    python -m benchmarks.workers

The first sweep starts the workers; the others find them warm.
"""

import os
import tempfile
import time
from collections.abc import Callable

from loky import ProcessPoolExecutor

import cplab
from cplab.engine import workers
from cplab.engine.job import Job
from cplab.engine.work import do

RUN = cplab.Run("mosaic", length=200, profile="tiny", recovery=100)
KINDS = RUN, RUN.newborn()


def seconds(work: Callable[[], object]) -> float:
    """The seconds that a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def straight(pool: ProcessPoolExecutor, first: int, processes: int) -> None:
    """Train twenty seeds from `first` on, shared out among processes, and keep nothing."""
    futures = []
    for run in KINDS:
        for part in range(processes):
            runs = [run.replace(seed=first + seed) for seed in range(part, 20, processes)]
            last = [True] * len(runs)
            contents: list[list[bytes]] = [[] for _ in runs]
            told = [0] * len(runs)
            job = Job(runs, "cpu", end=len(run.timeline), contents=contents, last=last, told=told)
            futures.append(pool.submit(do, job))
    for future in futures:
        future.result()


def swept(first: int) -> None:
    """Train as many by a sweep."""
    runs = [run.replace(seed=first + seed) for run in KINDS for seed in range(20)]
    cplab.sweep(runs, progress=False, device="cpu")


if __name__ == "__main__":
    os.environ["CPLAB_CACHE"] = tempfile.mkdtemp()
    count = workers.most_workers()
    print(f"cold: {seconds(lambda: swept(1000)):.1f} s")
    pool = ProcessPoolExecutor(count)
    straight(pool, 1100, count)
    for number in range(1, 4):
        own = seconds(lambda first=1100 + 20 * number: swept(first))  # type: ignore[misc]
        plain = seconds(lambda first=1200 + 20 * number: straight(pool, first, count))  # type: ignore[misc]
        print(f"warm: {own:.1f} s, straight in {count} processes {plain:.1f} s: {own / plain:.2f}")
