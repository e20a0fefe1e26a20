"""Disks that are full, read-only or gone: one clear line, and the result still in hand."""

import json
import os
import resource
import shutil
import subprocess
import time
from dataclasses import replace

import pytest

import cplab
from cplab import cli
from cplab.checks import CplabError
from cplab.engine import checkpoints
from cplab.results import ask, store, tables
from cplab.results.store import ResultWarning, without_times
from cplab.runs import Run

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped", "one_thread")

RUN = Run("blur", 1, 2, 1, profile="ci", dataset="mnist", model="fc-20")
RUNS = [RUN, RUN.equal_training(), replace(RUN, deficit="noise", seed=1)]
SWEEP = {"progress": False, "workers": 1, "device": "cpu"}


@pytest.fixture(scope="session")
def made(elsewhere):
    """Results of three runs, trained once for all tests."""
    return elsewhere(lambda: ask.sweep(RUNS, **SWEEP))[0]


def same(one, other):
    return without_times(one.values) == without_times(other.values)


@pytest.fixture
def disk(tmp_path):
    """A function that gives a directory on a disk of its own, of a size and with other options."""
    places = []

    def mount(size, *options):
        place = tmp_path / f"disk{len(places)}"
        place.mkdir()
        how = ",".join((f"size={size}", *options))
        done = subprocess.run(("mount", "-t", "tmpfs", "-o", how, "tmpfs", place), check=False)
        if done.returncode:
            pytest.skip("no disk can be mounted here")
        places.append(place)
        return place

    if os.name != "posix" or os.geteuid() or not shutil.which("mount"):
        pytest.skip("no disk can be mounted here")
    yield mount
    for place in places:
        subprocess.run(("umount", "-l", place), check=True)


@pytest.fixture
def short_files():
    """A function after which no file may grow beyond some bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda most: resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def sweep_that_cannot_keep(made):
    with pytest.warns(ResultWarning, match=r"could not be kept.*\$CPLAB_CACHE") as said:
        found = ask.sweep(RUNS, **SWEEP)
    assert all(map(same, found, made))
    assert {str(w.message).count("\n") for w in said} == {0}


def left(folder, *names):
    """Files below a folder that no reader knows."""
    known = (".json", ".jsonl", ".safetensors", *names)
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix not in known]


def test_files_that_may_not_grow_cost_a_warning(made, own_cache, short_files, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS", -1)
    short_files(300)
    sweep_that_cannot_keep(made)
    assert left(own_cache) == []
    assert store.verify() == ({"shipped": 0, "live": 0}, [])


@pytest.mark.parametrize("size", ["4k", "12k"])
def test_a_full_disk_costs_a_warning(made, disk, size, monkeypatch):
    place = disk(size)
    (place / "full").write_bytes(bytes(4096 if size == "4k" else 8192))
    monkeypatch.setenv("CPLAB_CACHE", str(place / "cache"))
    monkeypatch.setattr(checkpoints, "SECONDS", -1)
    sweep_that_cannot_keep(made)
    assert len(tables.table()) == store.verify()[0]["live"] <= 1
    assert store.verify()[1] == []
    assert left(place / "cache") == []


def test_a_read_only_disk_costs_a_warning(made, disk, monkeypatch, capsys, tmp_path):
    theirs = tmp_path / "theirs"
    with monkeypatch.context() as patch:
        patch.setenv("CPLAB_CACHE", str(theirs))
        store.keep(made[0])
    place = disk("64k")
    (place / "results").mkdir()
    damaged = place / "results" / f"{made[1].key}.json"
    damaged.write_text("{}")
    subprocess.run(("mount", "-o", "remount,ro", place), check=True)
    monkeypatch.setenv("CPLAB_CACHE", str(place))
    with pytest.warns(ResultWarning, match="left out"):
        assert store.find(made[1].spec) is None
    with pytest.warns(ResultWarning):
        sweep_that_cannot_keep(made)
    new, old, [line] = store.merge([theirs])
    assert (new, old) == (0, 0)
    assert RUN.key in line
    assert cli.main(["results", "merge", str(theirs)]) == 2
    assert "0 results taken in" in capsys.readouterr().out


def test_what_is_shipped_stays_whole_on_a_full_disk(made, disk, monkeypatch):
    place = disk("32k")
    monkeypatch.setattr(store, "SHIPPED", place)
    path = store.ship(made[:1], "some")
    good = path.read_bytes()
    (place / "full").write_bytes(bytes(20 * 1024 - len(good) // 4096 * 4096))
    noise = [replace(made[1], measured={"noise": {0: os.urandom(20_000).hex()}})]
    with pytest.raises(CplabError) as error:
        store.ship(noise, "some")
    assert "\n" not in str(error.value)
    assert path.read_bytes() == good
    assert store.verify() == ({"shipped": 1, "live": 0}, [])
    assert left(place, ".parquet") == [place / "full"]


def test_a_damaged_shipped_file_is_not_added_to(made, nothing_shipped):
    path = store.ship(made[:1], "some")
    path.write_bytes(path.read_bytes()[:-20])
    before = path.read_bytes()
    with pytest.raises(CplabError, match=r"some\.parquet"):
        store.ship(made[1:], "some")
    assert path.read_bytes() == before


@pytest.mark.parametrize("epoch", [0, 2, 3])
def test_a_cache_that_is_removed_while_a_run_goes_on_is_made_again(
    made, own_cache, epoch, monkeypatch
):
    monkeypatch.setattr(checkpoints, "SECONDS", -1)

    def remove(run, row):
        if row["epoch"] == epoch:
            shutil.rmtree(own_cache)

    assert same(cplab.run(RUN, device="cpu", report=remove), made[0])
    assert same(store.find(RUN), made[0])
    assert left(own_cache) == []


@pytest.mark.parametrize("part", ["cache", "cache/results", "cache/checkpoints", "cache/locks"])
def test_a_file_where_a_directory_should_be_costs_a_warning(made, tmp_path, part, recwarn):
    path = tmp_path / part
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert all(map(same, ask.sweep(RUNS, **SWEEP), made))
    assert {w.category for w in recwarn} <= {ResultWarning}
    assert len(tables.table()) == (3 if part in ("cache/checkpoints", "cache/locks") else 0)
    assert store.verify()[1] == []
    assert path.is_file()


@pytest.mark.parametrize("now", [-1.0, 0.0, 4e9])
def test_clocks_change_nothing(made, own_cache, monkeypatch, now):
    monkeypatch.setattr(checkpoints, "SECONDS", -1)
    monkeypatch.setattr(time, "time", lambda: now)
    assert all(map(same, ask.sweep(RUNS[:2], **SWEEP), made))
    for path in (own_cache / "results").glob("*.json"):
        os.utime(path, (now, now))
    rows = tables.table()
    assert len(rows) == 2
    other = replace(store.find(RUN), seconds=9.0)
    store.keep(other)
    os.utime(store.live_path(RUN.key), (now, now))
    assert 9.0 in tables.table()["seconds"].tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [({"measured": {"words": {0: "x" * 5000}}}, "5000"), ({"copy": "x" * 300}, "copy")],
    ids=["large", "long name"],
)
def test_a_result_that_could_not_be_read_again_is_not_kept(made, monkeypatch, change, words):
    monkeypatch.setattr(store, "MOST", 5000)
    odd = replace(made[0], **change)
    with pytest.warns(ResultWarning, match=words):
        assert store.keep(odd) == odd
    assert store.find(RUN) is None


def test_a_kill_in_the_middle_of_a_write_leaves_the_result_as_it_was(made, own_cache, python):
    store.keep(made[0])
    code = (
        "import os, sys; from pathlib import Path; from dataclasses import replace\n"
        "from cplab.results import store; from cplab import Run\n"
        f"one = store.live(Path({str(store.live_path(RUN.key))!r}))\n"
        "write = Path.write_text\n"
        "def half(self, text, **how):\n"
        "    write(self, text[: len(text) // 2], **how)\n"
        "    os._exit(9)\n"
        "Path.write_text = half\n"
        "store.keep(replace(one, measured={'norm': {0: 1.0}}))\n"
    )
    process = python(code)
    process.communicate()
    assert process.returncode == 9
    assert store.find(RUN) == made[0]
    assert store.verify() == ({"shipped": 0, "live": 1}, [])


def test_many_processes_write_at_once_and_nothing_is_lost(made, own_cache, python):
    """Four keep results of the same and of other keys, and make tables meanwhile."""
    folder = own_cache.parent / "given"
    folder.mkdir()
    given = [replace(r, spec=replace(r.spec, seed=s)) for r in made for s in range(8)]
    for result in given:
        (folder / f"{result.key}.json").write_text(json.dumps(result.row()))
    code = (
        "import sys; from pathlib import Path; from cplab.results import store, tables\n"
        "for path in sorted(Path(sys.argv[1]).glob('*.json')):\n"
        "    store.keep(store.read_file(path)); tables.table()\n"
        "print((tables.table()['source'] == 'live').sum())"
    )
    asked = [python(code, folder) for _ in range(4)]
    for process in asked:
        out, err = process.communicate()
        assert (out.strip(), err) == ("24", "")
    assert store.verify() == ({"shipped": 0, "live": 24}, [])
    rows = tables.table()
    assert {*rows["key"]} == {result.key for result in given}
    tables.live_entry.cache_clear()
    assert tables.table().equals(rows)
