"""Sweeps that are killed at any moment, or asked for by several processes at once."""

import multiprocessing
import os
import random
import signal

import numpy as np
import pytest
from conftest import digits

import cplab
from cplab.results.result import without_times
from cplab.runs import Run

# Processes that have torch at once.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["pytest", "conftest", "cplab.results.ask", "cplab.engine.sweep"])

ONE = [Run("blur", 2, 8, 4, profile="ci", dataset="mnist")]
TREE = [Run("blur", 2, n, 4, profile="ci", dataset="mnist", seed=s) for s in (0, 1) for n in (0, 6)]


def collect(cache, runs, told):
    """A sweep, at the head of a group of processes; tells each epoch and each result."""
    os.setsid()
    os.environ |= {"CPLAB_CACHE": str(cache), "CPLAB_DATA": str(cache.parent)}
    for run, result in cplab.results.collect(
        runs, workers=1, device="cpu", report=lambda *row: told.send("epoch")
    ):
        told.send((run.key, result.seconds))


@pytest.fixture
def start(tmp_path):
    """A function that starts a process that sweeps; gives it and where it tells of it."""
    np.savez(tmp_path / "mnist.npz", **digits(), copy="small")
    started = []

    def begin(name, runs):
        ours, theirs = FORKS.Pipe(duplex=False)
        process = FORKS.Process(target=collect, args=(tmp_path / name, runs, theirs))
        process.start()
        started.append(process)
        theirs.close()
        return process, ours

    yield begin
    for process in started:
        process.kill()
        process.join()


def heard(told):
    """All that a process told until its end."""
    lines = []
    try:
        while True:
            lines.append(told.recv())
    except (EOFError, OSError):
        return lines


def values(cache, runs, monkeypatch):
    monkeypatch.setenv("CPLAB_CACHE", str(cache))
    found = [cplab.find(run) for run in runs]
    return [result and without_times(result.values) for result in found]


def test_a_sweep_killed_at_random_moments_ends_as_an_undisturbed_one(start, tmp_path, monkeypatch):
    heard(start("whole", TREE)[1])
    rng, kills = random.Random(0), 0
    while kills < 3:
        process, told = start("killed", TREE)
        epochs = [told.recv() for _ in range(rng.randrange(1, 4))]
        kills += {*epochs} == {"epoch"}
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
    heard(start("killed", TREE)[1])
    expected = values(tmp_path / "whole", TREE, monkeypatch)
    assert values(tmp_path / "killed", TREE, monkeypatch) == expected
    assert None not in expected
    assert not [*(tmp_path / "killed").rglob("*.partial")]


def test_of_four_that_ask_for_the_same_one_trains_and_all_get_the_same_bits(start):
    asking = [start("cache", ONE) for _ in range(4)]
    said = [heard(told) for _, told in asking]
    assert sum("epoch" in lines for lines in said) == 1
    results = {line for lines in said for line in lines if line != "epoch"}
    assert len(results) == 1  # with the seconds of one training
