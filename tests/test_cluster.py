"""Sweeps on a Dask cluster of real worker processes: killed ones, late ones, ones with a cache
directory of their own."""

import os
import shutil
import signal
import sys
from dataclasses import replace

import pytest
from conftest import cell, says

import cplab
import cplab.engine.cluster
from cplab import engine
from cplab.checks import CplabError
from cplab.results.store import cache_dir, without_times
from cplab.runs import Run

distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.usefixtures("small_mnist", "nothing_shipped", "one_thread"),
    pytest.mark.filterwarnings("ignore"),  # Dask's own
]

LONG = Run("blur", 20, 4, 2, profile="ci", dataset="mnist")
RUNS = [replace(LONG, seed=s, length=n) for s in (0, 1) for n in (0, 4)]
QUIET = {"progress": False, "device": "cpu"}


@pytest.fixture
def cluster(monkeypatch):
    """A function that starts a cluster of processes with one thread each, from what differs from
    worker to worker. Gives it and its client."""
    monkeypatch.setattr(engine.cluster, "STRETCH", 1)
    started = []

    def start(*options):
        quiet = {"dashboard_address": ":0", "dashboard": False}
        workers = {
            number: {"cls": distributed.Nanny, "options": {"nthreads": 1, **more}}
            for number, more in enumerate(options)
        }
        scheduler = {"cls": distributed.Scheduler, "options": quiet}
        late = {"cls": distributed.Nanny, "options": {"nthreads": 1}}
        one = distributed.SpecCluster(workers, scheduler, late, silence_logs=50)
        client = distributed.Client(one)
        started.extend((client, one))
        client.wait_for_workers(len(options))
        return one, client

    yield start
    for each in started:
        each.close()


def serial(runs, monkeypatch, tmp_path):
    """What a sweep in this process gives, in a cache of its own."""
    with monkeypatch.context() as patch:
        patch.setenv("CPLAB_CACHE", str(tmp_path / "serial"))
        return cplab.sweep(runs, workers=1, **QUIET)


def same(found, expected):
    return [without_times(r.values) for r in found] == [without_times(r.values) for r in expected]


def sweep(runs, client, report=lambda spec, row: None):
    """A sweep on a cluster; what was reported comes to `report` as well."""
    found = dict(cplab.results.collect(runs, client=client, device="cpu", report=report))
    return [found[run] for run in runs]


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "apart"])
def test_a_worker_that_is_killed_half_way_costs_no_more_than_a_stretch(
    cluster, tmp_path, monkeypatch, shared
):
    apart = [{"env": {"CPLAB_CACHE": str(tmp_path / name)}} for name in ("one", "two")]
    _, client = cluster(*([{}, {}] if shared else apart))
    monkeypatch.setattr(engine.cluster, "STRETCH", 0.1)  # several until then, on any machine
    runs, told, killed = [replace(LONG, onset=26, seed=s) for s in (0, 1)], [], []

    def report(spec, row):
        told.append((spec.seed, row["epoch"], row["seconds"]))
        if not killed and {(0, 15), (1, 15)} <= {(seed, epoch) for seed, epoch, _ in told}:
            where = client.run(lambda: (os.getpid(), os.environ["CPLAB_CACHE"]))
            killed.extend(where.popitem()[1])
            os.kill(killed[0], signal.SIGKILL)
            if not shared:
                shutil.rmtree(killed[1])  # its machine is gone

    found = sweep(runs, client, report)
    assert killed
    took = {(r.spec.seed, row["epoch"], row["seconds"]) for r in found for row in r.curve}
    # what was reported some time before was not trained again; Dask may do a last stretch twice
    assert {row for row in told if row[1] < 8} <= took
    assert len({(seed, epoch) for seed, epoch, _ in told}) == len(told) == 2 * 32
    assert same(found, serial(runs, monkeypatch, tmp_path))
    # a stretch that is done twice may leave its checkpoint behind, to be tidied away some day
    assert len([*(cache_dir() / "checkpoints").glob("*")]) <= 1


def test_a_tree_on_a_cluster_equals_a_serial_sweep_and_a_late_worker_joins_in(
    cluster, tmp_path, monkeypatch
):
    one, client = cluster({"env": {"CPLAB_CACHE": str(tmp_path / "one")}})

    def report(spec, row):
        if row["epoch"] == 0 and spec.seed == 0:
            one.scale(2)
            client.wait_for_workers(2)  # what is left is for both

    def trained():
        return "cplab.engine.train" in sys.modules

    found = sweep(RUNS, client, report)
    assert same(found, serial(RUNS, monkeypatch, tmp_path))
    assert sorted(client.run(trained).values()) == [True, True]


def test_a_segment_takes_a_card_where_workers_have_cards(cluster):
    _, client = cluster({"resources": {"GPU": 1}}, {})
    sweep([replace(LONG, seed=s, onset=1) for s in range(4)], client)
    trained = client.run(lambda: "cplab.engine.train" in sys.modules)
    names = {a: w["name"] for a, w in client.scheduler_info()["workers"].items()}
    assert {names[address]: said for address, said in trained.items()} == {0: True, 1: False}


OWN = """
import cplab

@cplab.deficit
def upside_down(x, y):
    return x.flip(2), y

@cplab.measurement(when="end")
def size(net, images):
    return sum(w.numel() for w in net.parameters())
"""


def test_a_deficit_and_a_measurement_of_one_s_own_reach_the_workers(cluster, monkeypatch, tmp_path):
    _, client = cluster({})
    own = cell(OWN)
    run = replace(LONG, onset=0, deficit=own["upside_down"])
    [found] = cplab.sweep([run], own["size"], client=client, **QUIET)
    assert run.deficit in found.own
    [(_, size)] = found.measured.items()
    assert [*size.values()] == [found.final(*found.measured)]
    assert same([found], serial([run], monkeypatch, tmp_path))


def test_the_command_line_takes_the_address_of_a_cluster(cluster, capsys):
    from cplab.cli import main

    one, _ = cluster({})
    few = {"recovery": 1, "profile": "ci", "dataset": "mnist"}
    words = "sweep --profile ci --dataset mnist --onset 1 2 --recovery 1 --device cpu --cluster"
    assert main([*words.split(), one.scheduler_address]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3  # the head, and a line for each point
    assert all(cplab.find(Run(onset=n, **few)) for n in (1, 2))


def test_an_address_where_no_scheduler_is_is_one_clear_line(monkeypatch):
    import dask

    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        with pytest.raises(CplabError) as error:
            cplab.sweep([LONG], client="nonsense", **QUIET)
        says(error, "nonsense", "tcp://")


def test_without_dask_a_cluster_is_refused_in_one_line_and_all_else_goes_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(CplabError) as error:
        cplab.sweep([LONG], client="tcp://localhost:8786", **QUIET)
    says(error, "cplab[cluster]")
    assert cplab.sweep([replace(LONG, onset=1)], **QUIET)
