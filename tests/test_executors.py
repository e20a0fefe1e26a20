"""Somebody else's executor, such as Dask's, and processes that are killed."""

import multiprocessing
import os
import random
import signal
import warnings
from multiprocessing import forkserver
from typing import NamedTuple

import pytest
from conftest import FRAGILE, a_run, cell, four_seeds, grown, one_line, outcome, seeds_kept

import cplab
from cplab.base.errors import CplabError
from cplab.engine import sweep
from cplab.results import Request, Result
from cplab.runs import Run

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")


class Fault(NamedTuple):
    """What a sweep of four seeds comes to, one of which fails: its error, and the seeds that have
    results."""

    error: CplabError
    kept: list[int]


def sweep_with_a_fault(executor, profile):
    runs = four_seeds(cell(FRAGILE)["fragile"], profile)
    with pytest.raises(CplabError) as failed:
        cplab.sweep(runs, executor=executor, progress=False, device="cpu")
    return Fault(failed.value, seeds_kept(runs))


def assert_one_run_alone_ended(fault):
    def end():
        raise fault.error

    one_line(end, "fragile fails: ValueError: no more", "epoch 3 of seed 2")
    assert fault.kept == [0, 1, 3]


# Processes that have torch at once, since they are copies of one that has loaded it.
FORKS = multiprocessing.get_context("forkserver")
LOADED = ["pytest", "hypothesis.strategies", "IPython.core.compilerop", "distributed.nanny"]
FORKS.set_forkserver_preload([*LOADED, "cplab.results.api", "cplab.engine.sweep"])


class Killing:
    """Reports of two runs on a cluster, whose only worker is killed when both have five epochs."""

    def __init__(self, client):
        self.client = client
        self.epochs = []  # (seed, epoch, seconds)
        self.is_done = False

    def __call__(self, request, news):
        for run, row in news:
            if not isinstance(row, Result):
                self.epochs.append((run.seed, row["epoch"], row["seconds"]))
        reached = {(seed, epoch) for seed, epoch, _ in self.epochs}
        if not self.is_done and {(0, 5), (1, 5)} <= reached:
            self.is_done = True
            [worker] = self.client.run(os.getpid).values()
            os.kill(worker, signal.SIGKILL)


TWO = [a_run("blur", 10, 2, seed=seed) for seed in (0, 1)]


class WithDask(NamedTuple):
    """What a cluster gives: where one run fails; of two runs, when its worker is killed half-way,
    which epochs it reports, and the results."""

    fault: Fault
    epochs: list
    results: dict


@pytest.fixture(scope="module")
def with_dask(elsewhere, tmp_path_factory):
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    folder = str(tmp_path_factory.mktemp("dask"))
    quiet = {"dashboard_address": ":0", "silence_logs": 50, "threads_per_worker": 1}

    def collect():
        forkserver.ensure_running()  # before Dask says what it loads
        here = {"local_directory": folder, "env": {**os.environ}}
        with (
            dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}),
            distributed.LocalCluster(n_workers=1, **here, **quiet) as cluster,
            distributed.Client(cluster) as client,
        ):
            executor = client.get_executor(pure=False)
            fault = sweep_with_a_fault(executor, "tiny")
            killing = Killing(client)
            request = Request(TWO, executor=executor, device="cpu").listen(killing)
            results = dict(request.train())
        assert killing.is_done
        return WithDask(fault, killing.epochs, results)

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dask's own
        patch.setattr(sweep, "STRETCH", 0.1)
        return elsewhere(collect)[0]


def test_on_dask_a_fault_ends_one_run_alone(with_dask):
    assert_one_run_alone_ended(with_dask.fault)


def test_a_dask_worker_that_is_killed_half_way_costs_no_epoch_that_was_reported(with_dask):
    trained = set()
    for run, result in with_dask.results.items():
        trained.update((run.seed, row["epoch"], row["seconds"]) for row in result.curve)
    assert {*with_dask.epochs} == trained
    assert len(with_dask.epochs) == 2 * 14


def test_a_dask_worker_that_is_killed_half_way_changes_no_bit(with_dask):
    outcomes = {run: outcome(result) for run, result in with_dask.results.items()}
    assert outcomes == grown(TWO)


TREE = [a_run("blur", 2, n, seed=s) for s in (0, 1) for n in (0, 6)]
TINY = {"profile": "tiny", "dataset": "mnist", "images": 50}
TREE += [Run("mosaic", 2, n, 4, seed=s, **TINY) for s in (0, 1, 2) for n in (0, 6)]


def collect(environment, runs, pipe):
    """Sweep, and tell of each epoch, of each result, and at the end None."""
    os.environ |= environment

    def report(request, news):
        for _, row in news:
            if not isinstance(row, Result):
                pipe.send("epoch")

    for run, result in Request(runs, workers=1, device="cpu").listen(report).train():
        pipe.send((run.key, result.seconds))
    pipe.send(None)


class Sweeping:
    """Another process that sweeps, and tells of it."""

    def __init__(self, runs):
        self.pipe, other_end = FORKS.Pipe(duplex=False)
        arguments = ({**os.environ}, runs, other_end)
        self.process = FORKS.Process(target=collect, args=arguments)
        self.process.start()
        other_end.close()

    def first(self, count):
        """The first things that it tells."""
        return [self.pipe.recv() for _ in range(count)]

    def rest(self):
        """All that it tells until its end."""
        return list(iter(self.pipe.recv, None))

    def kill(self):
        self.process.kill()
        self.process.join()


@pytest.fixture
def swept_in_the_end(small_mnist, nothing_shipped):
    """A sweep that was killed twice at random moments, and ended."""
    random_moments = random.Random(0)
    kills = 0
    while kills < 2:
        sweeping = Sweeping(TREE)
        told = sweeping.first(random_moments.randrange(1, 4))
        if set(told) == {"epoch"}:
            kills += 1
        sweeping.kill()
    assert Sweeping(TREE).rest()


@pytest.mark.usefixtures("swept_in_the_end")
def test_a_sweep_that_was_killed_ends_as_an_undisturbed_one():
    assert {run: outcome(cplab.find(run)) for run in TREE} == grown(TREE)
