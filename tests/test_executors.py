"""Side by side: worker processes of this machine, threads, a Dask cluster; and their deaths."""

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
from conftest import a_run, cell, one_line

import cplab
from cplab.engine import sweep, workers
from cplab.engine.sweep import Context, train_all
from cplab.engine.tree import plan
from cplab.errors import Exhausted
from cplab.results.result import without_times

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped", "one_thread")


SOME = [a_run("blur", 0, n, seed=seed) for n in (1, 3) for seed in (0, 1)]
SOME += [a_run("noise", 1, 1, optimizer="adam"), a_run(schedule="fixed", recovery=0, onset=1)]
LONG = [a_run(onset=9_000, seed=seed) for seed in (0, 1)]
DARKER = "def darker(x, y, by: int = 2):\n    return x / (by * K), y\n"


def trained(specs, **context):
    return {
        spec: without_times(one.values) for spec, one in train_all(specs, Context("cpu", **context))
    }


@pytest.fixture
def stretches(monkeypatch):
    """Work goes back after each epoch, so that every part of the way is gone."""
    monkeypatch.setattr(sweep, "STRETCH", 0)


def assert_the_same(executor):
    """Runs side by side equal those in this process, and each epoch is reported once; a deficit of
    one's own too, where nobody saw its cell."""
    some = [*SOME, a_run(cell(DARKER, K=1.5)["darker"], 0, 2)]
    reports = []
    told = {"report": lambda spec, row: reports.append((spec, row["epoch"]))}
    assert trained(some, executor=executor, **told) == trained(some, workers=1)
    assert len(reports) == sum(root.epochs for root in plan(some))


@pytest.mark.usefixtures("stretches")
def test_threads_give_the_same():
    with ThreadPoolExecutor(2) as executor:
        assert_the_same(executor)


@pytest.mark.usefixtures("stretches")
def test_worker_processes_give_the_same_and_the_death_of_one_is_one_clear_line():
    def kill(spec, row):
        for child in multiprocessing.active_children():
            with suppress(ProcessLookupError):  # if it has died already
                os.kill(child.pid, signal.SIGKILL)

    with workers.processes(2, threads=1) as executor:
        assert_the_same(executor)
        long = partial(trained, LONG, executor=executor, report=kill)
        error = one_line(long, "worker", "workers=1", "--device cpu")
    assert isinstance(error, Exhausted)


ORPHANS = """
import time
from cplab.engine.workers import processes

with processes(2, threads=1) as executor:
    executor.submit(int).result()
    print("at work", flush=True)
    time.sleep(900)
"""


def test_workers_leave_when_their_parent_is_killed(python):
    process = python(ORPHANS)
    assert process.stdout.readline() == "at work\n", process.stderr.read()
    process.kill()
    process.stdout.read()  # which ends when nobody holds its other end any more


@pytest.mark.filterwarnings("ignore")  # Dask's own
def test_a_dask_worker_that_is_killed_half_way_costs_no_more_than_a_stretch(monkeypatch, tmp_path):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(sweep, "STRETCH", 0.1)
    runs, told, killed = [a_run("blur", 10, 2, seed=seed) for seed in (0, 1)], [], []

    def report(spec, row):
        told.append((spec.seed, row["epoch"], row["seconds"]))
        if not killed and {(0, 5), (1, 5)} <= {(seed, epoch) for seed, epoch, _ in told}:
            killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    quiet = {"dashboard_address": ":0", "silence_logs": 50, "threads_per_worker": 1}
    with (
        distributed.LocalCluster(n_workers=1, local_directory=str(tmp_path), **quiet) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor = client.get_executor(pure=False)
        found = dict(cplab.results.collect(runs, executor=executor, device="cpu", report=report))
    assert killed
    took = {(run.seed, row["epoch"], row["seconds"]) for run in runs for row in found[run].curve}
    assert {*told} == took  # what was reported was not trained again
    assert len(told) == 2 * 14
    values = {run: without_times(found[run].values) for run in runs}
    assert values == trained(runs, workers=1)
