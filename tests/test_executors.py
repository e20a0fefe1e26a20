"""Side by side: worker processes, threads, Dask, several that ask for the same; their deaths."""

import multiprocessing
import os
import random
import signal
from pathlib import Path

import pytest
from conftest import a_run, cell, grown, one_line, outcome

import cplab
from cplab.engine import sweep, workers
from cplab.engine.gpu import cards
from cplab.engine.tree import plan
from cplab.labs.lab05b_pruning import prune_kernels
from cplab.runs import Run

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")


SOME = [a_run("blur", 0, n, seed=seed) for n in (1, 3) for seed in (0, 1)]
SOME += [a_run("noise", 1, 1, optimizer="adam"), a_run(schedule="fixed", recovery=0, onset=1)]
LONG = [a_run(onset=900, seed=seed) for seed in (0, 1)]
SEARCH = "@cplab.experiment(version=1)\ndef search(seed: int = 0):\n    return {'at': K * seed}\n"
DARKER = "def darker(x, y, by: int = 2):\n    return x / (by * K), y\n"


def test_worker_processes_give_the_same_and_the_death_of_one_is_one_clear_line(monkeypatch):
    """Each epoch is reported once; a deficit and experiments of one's own are there, too."""
    monkeypatch.setattr(sweep, "STRETCH", 0)
    some, reports = [*SOME, a_run(cell(DARKER, K=1.5)["darker"], 0, 2)], []
    expected = grown(some)
    how = {"progress": False, "fresh": True, "device": "cpu"}
    with workers.processes(2, threads=1, environment={"OF": "workers"}) as executor:
        assert executor.submit(os.getenv, "OF").result() == "workers"
        told = {"report": lambda spec, row: reports.append((spec, row["epoch"]))}
        assert grown(some, executor=executor, **told) == expected
        assert len(reports) == sum(root.epochs for root in plan(some))
        specs = [prune_kernels.spec("ci")]
        [away], [here] = (cplab.sweep(specs, executor=at, **how) for at in (executor, None))
        assert outcome(away) == outcome(here)
        own = cell(SEARCH, cplab=cplab, K=3)["search"]
        [found] = cplab.sweep([own.spec(seed=2)], executor=executor, **how)
        assert found.values == own(seed=2) == {"at": 6}
        told = {"report": lambda *_: [c.terminate() for c in multiprocessing.active_children()]}
        words = "worker", "workers=1", "--device cpu"
        one_line(lambda: grown(LONG, executor=executor, **told), *words)


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
    assert {run: outcome(found[run]) for run in runs} == grown(runs)


# Processes that have torch at once.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["pytest", "conftest", "cplab.results.api", "cplab.engine.sweep"])

TREE = [a_run("blur", 2, n, seed=s) for s in (0, 1) for n in (0, 6)]
TINY = {"profile": "tiny", "dataset": "mnist", "images": 50}
TREE += [Run("mosaic", 2, n, 4, seed=s, **TINY) for s in (0, 1, 2) for n in (0, 6)]


def collect(environment, runs, told):
    """Sweep, and tell of each epoch, of each result, and at the end None."""
    os.environ |= environment
    report = {"report": lambda *row: told.send("epoch")}
    for run, result in cplab.results.collect(runs, workers=1, device="cpu", **report):
        told.send((run.key, result.seconds))
    told.send(None)


def start(runs):
    """Start a process that sweeps; give it and where it tells of it."""
    ours, theirs = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=collect, args=({**os.environ}, runs, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def test_a_sweep_killed_at_random_moments_ends_as_an_undisturbed_one(own_cache):
    rng, kills = random.Random(0), 0
    while kills < 2:
        process, told = start(TREE)
        epochs = [told.recv() for _ in range(rng.randrange(1, 4))]
        kills += {*epochs} == {"epoch"}
        process.kill()
        process.join()
    assert [*iter(start(TREE)[1].recv, None)]
    assert {run: outcome(cplab.find(run)) for run in TREE} == grown(TREE)
    assert not [*own_cache.rglob("*.partial")]


def test_of_three_that_ask_for_the_same_one_trains_and_all_get_the_same_bits():
    pipes = [start(TREE[:1])[1] for _ in range(3)]
    said = [[*iter(told.recv, None)] for told in pipes]
    assert sum("epoch" in lines for lines in said) == 1
    assert len({lines[-1] for lines in said}) == 1  # with the seconds of one training


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
