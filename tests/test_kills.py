"""Processes that are killed at any moment: nothing is lost, doubled, other than it was, or left.

By hand: `python tests/test_kills.py 200` kills sweeps so often and prints what came of it.
"""

import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
import pytest
from conftest import digits

from cplab.results.result import without_times
from cplab.runs import Run

# Processes that have torch at once.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["pytest", "conftest", "cplab.results.ask", "cplab.engine.lives"])

ONE = [Run("blur", 2, 8, 4, profile="ci", dataset="mnist")]
TREES = [
    Run("blur", 2, n, 4, profile="ci", dataset="mnist", seed=s)
    for s in (0, 1, 2)
    for n in (0, 3, 6)
]


def collect(cache, runs, workers, told):
    """A sweep, at the head of a group of processes; tells each epoch and each result."""
    import torch

    from cplab.checks import tidy
    from cplab.results import collect

    os.setsid()
    os.environ |= {"CPLAB_CACHE": str(cache), "CPLAB_DATA": str(cache.parent)}
    os.environ["LOKY_MAX_CPU_COUNT"] = str(workers)  # one thread for each
    torch.set_num_threads(1)
    how = {"device": "cpu", "workers": workers, "report": lambda *row: told.send("epoch")}
    tidy()  # as a sweep begins
    for run, result in collect(runs, **how):
        told.send((run.key, result.seconds))


@pytest.fixture
def started():
    """A list of processes, of which none lives on."""
    every = []
    yield every
    for process in every:
        process.kill()
        process.join()


def start(started, cache, runs, workers=1):
    """A process that sweeps, and where it tells of it."""
    if not (cache.parent / "mnist.npz").exists():  # others may read it by now
        np.savez(cache.parent / "mnist.npz", **digits(), copy="small")
    ours, theirs = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=collect, args=(cache, runs, workers, theirs))
    process.start()
    started.append(process)
    theirs.close()
    return process, ours


def heard(told):
    """All that a process told until its end."""
    lines = []
    try:
        while True:
            lines.append(told.recv())
    except (EOFError, OSError):
        return lines


def records(cache):
    """The values of all live results by key, without times."""
    found = {}
    for path in (cache / "results").glob("*.json"):
        row = json.loads(path.read_text())
        assert row["key"] == path.stem
        found[row["key"]] = without_times(json.loads(row["json"])["values"])
    return found


def left(cache):
    """Files that are neither results nor checkpoints, of which a kill after the last result may
    leave one, for a week."""
    kept = {*cache.glob("results/*.json"), *cache.glob("checkpoints/*.checkpoint")}
    return [path.name for path in cache.rglob("*") if path.is_file() and path not in kept]


def kill_again_and_again(started, folder, times, workers, seed=0):
    """Kill sweeps at random moments so often; each is asked for again until it is through, and then
    another begins. Returns counts, and what is not as after a sweep that nobody disturbed."""
    rng, count, wrong = random.Random(seed), Counter(), []
    began = time.monotonic()
    heard(start(started, folder / "whole", TREES, workers)[1])
    lasts, expected = time.monotonic() - began, records(folder / "whole")
    assert len(expected) == len(TREES)
    while count["kills"] < times or count["interrupted"]:
        cache = folder / str(count["sweeps"])
        process, told = start(started, cache, TREES, workers)
        process.join(rng.uniform(0, 0.6 * lasts) if count["kills"] < times else None)
        if process.is_alive():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:  # it does not lead a group yet
                process.kill()
            process.join()
            count["kills"] += 1
            count["interrupted"] = 1
            count["while training"] += told.poll()
            count["half-written files"] += len([*cache.rglob("*.partial")])
            continue
        found = records(cache)
        count.update(sweeps=1, records=len(found))
        count["interrupted"] = 0
        wrong += [key for key in expected if found.get(key) != expected[key]]
        wrong += [*(found.keys() - expected.keys()), *left(cache)]
    return count, wrong


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_killed_at_random_moments_ends_as_an_undisturbed_one(started, tmp_path, workers):
    count, wrong = kill_again_and_again(started, tmp_path, 3, workers)
    assert not wrong
    assert count["kills"] == 3
    assert count["records"] == len(TREES) * count["sweeps"] > 0


@pytest.mark.parametrize("killed", [False, True])
def test_of_eight_that_ask_for_the_same_one_trains_and_all_get_the_same_bits(
    started, tmp_path, killed
):
    cache = tmp_path / "cache"
    asking = [start(started, cache, ONE) for _ in range(8)]
    if killed:
        [trains] = wait([told for _, told in asking])
        [process] = [process for process, told in asking if told is trains]
        process.kill()
        asking.remove((process, trains))
    said = [heard(told) for _, told in asking]
    assert sum("epoch" in lines for lines in said) == 1
    results = {line for lines in said for line in lines if line != "epoch"}
    assert len(results) == 1  # with the seconds of one training
    heard(start(started, tmp_path / "whole", ONE)[1])
    assert records(cache) == records(tmp_path / "whole") != {}
    assert not left(cache)


if __name__ == "__main__":
    a_quarter = int(sys.argv[1]) // 4
    for workers, times in ((1, 3 * a_quarter), (2, a_quarter)):
        with tempfile.TemporaryDirectory() as folder:
            count, wrong = kill_again_and_again([], Path(folder), times, workers, seed=workers)
            print(f"{workers} workers: {dict(count)}; lost, other or left: {wrong}", flush=True)
