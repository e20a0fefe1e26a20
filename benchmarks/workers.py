"""Speed of a sweep: twenty small networks and their newborns, from asking to results; and how soon
a press has its first epoch."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import count

import torch
from loky import ProcessPoolExecutor

import cplab
from benchmarks.timing import Pair, Row, in_turn, make_row, seconds
from cplab.base.errors import Cancelled
from cplab.engine import workers
from cplab.engine.work import do
from cplab.engine.workload import Job
from cplab.lab.buttons.button import greet
from cplab.lab.screen.link import Link
from cplab.results import Request

RUN = cplab.Run("mosaic", length=200, profile="tiny", recovery=100)
KINDS = RUN, RUN.newborn()


def sweep(device: torch.device, dataset: str) -> Iterator[Row]:
    """Measure `cplab.sweep` against the same training straight in as many processes. Workers are
    warm."""
    firsts = count(1000, 20)  # seeds that nobody has trained
    processes = workers.most_workers()
    pool = ProcessPoolExecutor(processes)
    pairs = in_turn(partial(swept, firsts), partial(straight, pool, firsts, processes))
    comparison = "a sweep of 20 seeds of tiny and their newborns / straight in as many processes"
    yield make_row("sweep", "s", pairs, comparison)


def swept(firsts: Iterator[int]) -> None:
    """Train twenty seeds by a sweep."""
    first = next(firsts)
    runs = [run.replace(seed=first + seed) for run in KINDS for seed in range(20)]
    cplab.sweep(runs, progress=False, device="cpu")


def straight(pool: ProcessPoolExecutor, firsts: Iterator[int], processes: int) -> None:
    """Train as many, shared out among processes, and keep nothing."""
    first = next(firsts)
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


def press(device: torch.device, dataset: str) -> Iterator[Row]:
    """Measure the first epoch after a press, with the worker that a screen has started when it was
    shown, against a press without any."""
    firsts = count(10_000, 40)
    workers.end_all()
    cold = seconds(partial(first_epoch, firsts))
    workers.end_all()
    greet(Link(""))  # as a page asks for it that is shown
    while not workers.Workers().device:  # somebody reads
        time.sleep(0.1)
    warm = seconds(partial(first_epoch, firsts))
    comparison = "from a press to the first epoch of forty small networks / without a warm worker"
    yield make_row("press", "s", [Pair(warm, cold)], comparison)


def first_epoch(firsts: Iterator[int]) -> None:
    """Train forty small networks until the first epoch of one is told."""
    first = next(firsts)
    stop = threading.Event()
    request = Request([RUN.replace(seed=first + seed) for seed in range(40)], stop=stop)
    request.listen(lambda request, news: stop.set())
    with suppress(Cancelled):
        for _ in request.train():
            pass
