"""Side by side: worker processes, threads, Dask, several that ask for the same; their deaths."""

import multiprocessing
import os
import random
import signal
import warnings
from multiprocessing import forkserver
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import FRAGILE, a_run, cell, four_seeds, grown, one_line, outcome, seeds_kept

import cplab
from cplab.engine import sweep, workers
from cplab.engine.gpu import cards
from cplab.engine.tree import plan
from cplab.errors import CplabError
from cplab.labs import lab05_growth
from cplab.runs import Run

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")


SOME = [a_run("blur", 0, n, seed=seed) for n in (1, 3) for seed in (0, 1)]
SOME += [a_run("noise", 1, 1, optimizer="adam"), a_run(schedule="fixed", recovery=0, onset=1)]
LONG = [a_run(onset=900, seed=seed) for seed in (0, 1)]
SHORT_SEARCH = lab05_growth.search.spec("mnist", n=20, gamma=5, keep=(0.1,))
SEARCH = "@cplab.experiment(version=1)\ndef search(seed: int = 0):\n    return {'at': K * seed}\n"
DARKER = "def darker(x, y, by: int = 2):\n    return x / (by * K), y\n"


# Worker processes ---------------------------------------------------------------------------------


def end_workers(*report):
    for worker in multiprocessing.active_children():
        worker.terminate()


def compute(spec, executor=None):
    """The result of an experiment that nothing has computed before."""
    [result] = cplab.sweep([spec], executor=executor, progress=False, fresh=True, device="cpu")
    return result


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


class WithWorkers(NamedTuple):
    """What worker processes give: of runs, one of which has a deficit of a cell; of an experiment
    of the package, and of one of a cell; where one run fails; when they die."""

    variable: str
    runs: list
    outcomes: dict
    reports: list
    experiment: cplab.results.Result
    from_cell: cplab.results.Result
    fault: Fault
    death: CplabError


@pytest.fixture(scope="module")
def with_workers(elsewhere):
    """Of jobs that are one epoch each."""
    runs = [*SOME, a_run(cell(DARKER, K=1.5)["darker"], 0, 2)]
    search = cell(SEARCH, cplab=cplab, K=3)["search"]
    reports = []

    def report(spec, row):
        reports.append((spec, row["epoch"]))

    def work():
        with workers.processes(2, threads=1, environment={"OF": "workers"}) as executor:
            variable = executor.submit(os.getenv, "OF").result()
            outcomes = grown(runs, executor=executor, report=report)
            experiment = compute(SHORT_SEARCH, executor)
            from_cell = compute(search.spec(seed=2), executor)
            fault = sweep_with_a_fault(executor, "ci")
            with pytest.raises(CplabError) as death:
                grown(LONG, executor=executor, report=end_workers)
        results = variable, runs, outcomes, reports, experiment, from_cell
        return WithWorkers(*results, fault, death.value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "STRETCH", 0)
        return elsewhere(work)[0]


def test_workers_have_the_variables_that_they_are_given(with_workers):
    assert with_workers.variable == "workers"


def test_workers_give_the_same_bits(with_workers):
    assert with_workers.outcomes == grown(with_workers.runs)


def test_workers_report_each_epoch_once(with_workers):
    assert len(with_workers.reports) == sum(root.epochs for root in plan(with_workers.runs))


def test_workers_compute_an_experiment_as_this_process_does(with_workers):
    assert outcome(with_workers.experiment) == outcome(compute(SHORT_SEARCH))


def test_workers_compute_an_experiment_of_a_cell(with_workers):
    assert with_workers.from_cell.values == {"at": 6}


def test_in_worker_processes_a_fault_ends_one_run_alone(with_workers):
    assert_one_run_alone_ended(with_workers.fault)


def test_the_death_of_a_worker_is_one_clear_line(with_workers):
    def end():
        raise with_workers.death

    one_line(end, "worker", "workers=1", "--device cpu")


ORPHANS = """
import time
from cplab.engine.workers import processes

with processes(1, threads=1) as executor:
    executor.submit(int).result()
    print("at work", flush=True)
    time.sleep(900)
"""


def test_workers_leave_when_their_parent_is_killed(python):
    process = python(ORPHANS)
    assert process.stdout.readline() == "at work\n", process.stderr.read()
    process.kill()
    process.communicate(timeout=300)  # ends when nobody holds its other end any more


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

    def __call__(self, run, row):
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
            collected = cplab.results.collect(TWO, executor=executor, device="cpu", report=killing)
            results = dict(collected)
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

    def report(*row):
        pipe.send("epoch")

    for run, result in cplab.results.collect(runs, workers=1, device="cpu", report=report):
        pipe.send((run.key, result.seconds))
    pipe.send(None)


class Sweeping:
    """Another process that sweeps, and tells of it."""

    def __init__(self, runs):
        self.pipe, other_end = FORKS.Pipe(duplex=False)
        arguments = ({**os.environ}, runs, other_end)
        self.process = FORKS.Process(target=collect, args=arguments, daemon=True)
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
def test_a_sweep_that_was_killed_ends_as_an_undisturbed_one(own_cache):
    assert {run: outcome(cplab.find(run)) for run in TREE} == grown(TREE)
    assert not [*own_cache.rglob("*.partial")]


@pytest.fixture(scope="module")
def three(elsewhere):
    """What three processes tell that ask for the same run."""

    def ask():
        processes = [Sweeping(TREE[:1]) for _ in range(3)]
        return [process.rest() for process in processes]

    return elsewhere(ask)[0]


def test_one_of_three_that_ask_for_the_same_trains_it(three):
    assert sum("epoch" in told for told in three) == 1


def test_three_that_ask_for_the_same_get_the_same_bits(three):
    assert len({told[-1] for told in three}) == 1  # with the seconds of one training


MPS = """#!/bin/sh
if [ "$1" = -d ]; then echo began > "$CUDA_MPS_PIPE_DIRECTORY/log"; else cat >> "$MPS_LOG"; fi
"""


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_workers_of_a_gpu_share_it_where_its_service_starts(monkeypatch, tmp_path):
    """The service is a stand-in that writes down what it is told."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("MPS_LOG", str(tmp_path / "orders"))
    control = tmp_path / cards.SERVICE
    control.write_text(MPS)
    control.chmod(0o755)
    with cards.shared_among_processes() as environment:
        assert Path(environment["CUDA_MPS_PIPE_DIRECTORY"], "log").read_text() == "began\n"
    assert (tmp_path / "orders").read_text() == f"start_server -uid {os.getuid()}\nquit\n"
