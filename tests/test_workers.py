"""How many worker processes there are: by cores, memory and what the machine's owner allows."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from conftest import a_run, one_line

import cplab
from cplab import devices
from cplab.engine import sweep, workers
from cplab.results import api

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")

LONG = [a_run("blur", 0, 100, seed=seed, profile="course") for seed in range(40)]


@pytest.fixture
def sixteen_cores(monkeypatch):
    monkeypatch.setattr(devices, "usable_cores", lambda: 16)
    monkeypatch.delenv("CPLAB_WORKERS", raising=False)


@pytest.mark.parametrize(("free", "count"), [(64e9, 16), (2e9, 5), (1e8, 1)])
def test_there_are_as_many_workers_as_memory_holds(free, count, sixteen_cores, monkeypatch):
    monkeypatch.setattr(workers, "free_memory", lambda: free)
    assert sweep.usual_workers(LONG, "cpu") == count


def test_a_setting_of_the_machine_s_limits_workers(sixteen_cores, monkeypatch):
    monkeypatch.setenv("CPLAB_WORKERS", "3")
    assert sweep.usual_workers(LONG, "cpu") == 3


def test_a_setting_that_is_no_number_is_one_line(sixteen_cores, monkeypatch):
    monkeypatch.setenv("CPLAB_WORKERS", "few")
    one_line(lambda: sweep.usual_workers(LONG, "cpu"), "$CPLAB_WORKERS 'few'", "from 1 to 1000")


def first_screen(**how):
    """Twenty networks of lab 00's screen, and their twins."""
    runs = [cplab.Run("mosaic", 0, 200, profile="tiny", seed=seed, **how) for seed in range(20)]
    return runs + [run.without_window() for run in runs]


def test_a_press_on_the_first_screen_starts_no_process(sixteen_cores):
    """Its lines would begin when others have started, after seconds."""
    assert sweep.usual_workers(first_screen(), "cpu") == 1


@pytest.mark.parametrize("how", [{"images": 1000}, {"model": "fc"}])
def test_more_digits_or_a_network_that_fits_no_stack_have_several(how, sixteen_cores, monkeypatch):
    monkeypatch.setattr(workers, "free_memory", lambda: 64e9)
    assert sweep.usual_workers(first_screen(**how), "cpu") == 16


VERSIONS = {
    "version 2": ("memory.max", "memory.current", ""),
    "version 1": ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory"),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_container_s_limit_counts_without_what_it_would_give_back(version, tmp_path, monkeypatch):
    limit, used, folder = VERSIONS[version]
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / limit).write_text("1000000\n")
    (tmp_path / folder / used).write_text("700000\n")
    (tmp_path / folder / "memory.stat").write_text("anon 5\ninactive_file 200000\n")
    monkeypatch.setattr(workers, "GROUP", tmp_path)
    assert workers.free_memory() == 500_000


def test_without_a_limit_the_machine_s_memory_counts(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1\n")
    monkeypatch.setattr(workers, "GROUP", tmp_path)
    assert workers.free_memory() > 1e8


def test_processes_start_once_for_a_set_that_is_locked_in_parts(monkeypatch):
    """A thread stands in for them."""
    started = []

    @contextmanager
    def counting(*arguments):
        started.append(arguments)
        with ThreadPoolExecutor(1) as pool:
            yield pool

    monkeypatch.setattr(workers, "processes", counting)
    monkeypatch.setattr(api, "MOST_LOCKS", 2)
    runs = [a_run(seed=seed) for seed in range(5)]
    results = cplab.sweep(runs, progress=False, device="cpu", workers=2)
    assert [result.spec for result in results] == runs
    assert len(started) == 1
