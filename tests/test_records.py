"""Records: kept and found as they were, damage noticed, one training for all who ask."""

import json
import random
import shutil
import subprocess
import threading
import time
import warnings
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from filelock import FileLock

import cplab
from cplab import devices, experiment, records, train
from cplab.experiment import PROFILES, CplabError, Run
from cplab.records import RecordWarning

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped", "one_thread")

RUN = Run(profile="ci", dataset="mnist", deficit="blur", onset=1, length=2, recovery=1)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Records of three runs, trained once for all tests."""
    from conftest import digits

    folder, threads = tmp_path_factory.mktemp("trained"), torch.get_num_threads()
    np.savez(folder / "mnist.npz", **digits(), copy="small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPLAB_CACHE", str(folder))
        patch.setenv("CPLAB_DATA", str(folder))
        patch.setattr(records, "SHIPPED", folder)
        torch.set_num_threads(1)
        runs = [RUN, RUN.equal_training(), replace(RUN, deficit="noise", seed=1)]
        found = records.sweep(runs, progress=False, workers=1, device="cpu")
        torch.set_num_threads(threads)
    return found


@pytest.fixture
def record(trained):
    return trained[0]


@pytest.fixture
def trainings(monkeypatch):
    """A list that grows by each run whose first epoch is trained in this process."""
    begun, train_epoch = [], train.train_epoch

    def spy(run, epoch, *rest):
        if epoch == 0:
            begun.append(run)
        return train_epoch(run, epoch, *rest)

    monkeypatch.setattr(train, "train_epoch", spy)
    return begun


def files(pattern="*"):
    return sorted(path.name for path in records.live_path("").parent.glob(pattern))


def plain_curve(record):
    varied = ("seconds", "trace_seconds")
    return [{n: v for n, v in row.items() if n not in varied} for row in record.curve]


# There and back -----------------------------------------------------------------------------------


def test_a_live_record_is_found_as_it_was_kept(trained):
    for record in trained:
        assert records.find(record.run) is None
        records.keep(record)
        assert records.find(record.run) == record
    assert list(records.live()) == sorted(trained, key=lambda r: r.key)


def test_a_shipped_record_is_found_as_it_was_shipped(trained, nothing_shipped):
    assert records.ship(trained, "some") == nothing_shipped / "some.parquet"
    for record in trained:
        assert records.find(record.run) == replace(record, source="shipped")


def test_shipping_adds_to_what_was_shipped_and_replaces_the_same_run(trained):
    one, two, three = trained
    records.ship([one, two], "some")
    records.ship([three, replace(one, commit="later")], "some")
    assert [records.find(r.run).commit for r in trained] == ["later", two.commit, three.commit]
    assert len(records.table()) == 3


def test_nothing_cannot_be_shipped():
    with pytest.raises(CplabError, match="nothing to ship"):
        records.ship([], "none")


def test_a_shipped_record_stands_for_a_live_one(record):
    records.keep(replace(record, commit="mine"))
    records.ship([replace(record, commit="yours")], "some")
    assert records.find(RUN).commit == "yours"
    assert records.table()["source"].tolist() == ["shipped"]


def test_a_run_is_trained_once_and_looked_up_from_then_on(trainings):
    first = cplab.run(RUN, device="cpu")
    second = cplab.run(RUN, device="cpu")
    by_fields = cplab.run(
        profile="ci", dataset="mnist", deficit="blur", onset=1, length=2, recovery=1
    )
    assert first == second == by_fields
    assert trainings == [RUN]
    assert files() == [f"{RUN.key}.json"]  # no lock, no part of a file


def test_fresh_trains_again_and_replaces_the_record(record, trainings):
    records.keep(replace(record, commit="old"))
    again = cplab.run(RUN, fresh=True, device="cpu")
    assert trainings == [RUN]
    assert plain_curve(again) == plain_curve(record)
    assert records.find(RUN).commit == again.commit != "old"


def test_changes_to_a_run_are_by_name():
    assert cplab.run(RUN, onset=0, length=0, device="cpu").run == RUN.newborn()


def test_a_sweep_gives_the_records_in_the_order_of_the_runs(trained, trainings):
    records.keep(trained[1])
    runs = [trained[2].run, trained[1].run, RUN, trained[1].run]
    found = records.sweep(runs, progress=False, workers=1, device="cpu")
    assert [r.run for r in found] == runs
    assert set(trainings) == {RUN, trained[2].run}
    assert [plain_curve(r) for r in found] == [plain_curve(trained[i]) for i in (2, 1, 0, 1)]


def test_progress_counts_every_epoch_that_is_missing(trained, capsys):
    records.keep(trained[1])
    records.sweep([r.run for r in trained], workers=1, device="cpu")
    # 4 epochs of a blurred run, and 4 of another seed
    assert "8/8" in capsys.readouterr().err
    records.sweep([r.run for r in trained], workers=1, device="cpu")
    assert capsys.readouterr().err == ""


def test_a_diverged_run_has_no_record_and_is_named_after_the_others_are_done(monkeypatch):
    monkeypatch.setitem(PROFILES, "ci", replace(PROFILES["ci"], recovery_lr=1e30))
    absurd, sound = (replace(RUN, schedule=schedule) for schedule in ("recovery", "fixed"))
    with pytest.raises(train.Diverged, match="schedule=recovery"):
        records.sweep([absurd, sound], progress=False, workers=1, device="cpu")
    assert records.find(absurd) is None
    assert records.find(sound).run == sound
    with pytest.raises(train.Diverged):
        cplab.run(absurd, device="cpu")


def test_a_cancelled_run_has_no_record_and_leaves_no_lock():
    stop = threading.Event()
    with pytest.raises(train.Cancelled):
        cplab.run(RUN, stop=stop, report=lambda *_: stop.set(), device="cpu")
    assert files() == []


# Traces -------------------------------------------------------------------------------------------

MEASURED = [
    replace(RUN, trace="every"),
    replace(RUN, trace="0,2", optimizer="adam"),
    replace(RUN, trace="9", model="fc-20"),  # at its end alone, and without filters
]


@pytest.fixture(scope="session")
def traced(tmp_path_factory):
    """Records of runs with a trace, trained once for all tests."""
    from conftest import digits

    folder, threads = tmp_path_factory.mktemp("traced"), torch.get_num_threads()
    np.savez(folder / "mnist.npz", **digits(), copy="small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPLAB_CACHE", str(folder))
        patch.setenv("CPLAB_DATA", str(folder))
        patch.setattr(records, "SHIPPED", folder)
        torch.set_num_threads(1)
        found = records.sweep(MEASURED, progress=False, workers=1, device="cpu")
        torch.set_num_threads(threads)
    return found


def test_a_record_of_a_trace_has_it_at_its_epochs(traced, record):
    for one in traced:
        epochs = [row["epoch"] for row in one.curve if "trace" in row]
        assert epochs == [e for e in range(one.run.epochs) if one.run.traced(e)]
        assert one.final["layers"]
        layers = {len(row["trace"]) for row in one.curve if "trace" in row}
        assert layers <= {len(one.final["layers"])}
        assert ("filters" in one.final) == (one.run.model != "fc-20")
    assert record.final is None
    losses = [[row["train_loss"] for row in one.curve] for one in (record, traced[0])]
    assert losses[0] == losses[1]


def test_a_live_record_of_a_trace_is_found_as_it_was_kept(traced):
    for one in traced:
        records.keep(one)
        assert records.find(one.run) == one
    assert records.verify() == ({"shipped": 0, "live": 3}, [])


def test_records_with_and_without_a_trace_are_shipped_together(trained, traced):
    """In any order: a table has one set of columns, and None where a record says nothing."""
    for i, some in enumerate(([*trained, *traced], [*traced[::-1], *trained])):
        records.ship(some, f"table{i}")
        for one in some:
            assert records.find(one.run) == replace(one, source="shipped")
        rows = records.table()
        assert rows[records.RUN_FIELDS].notna().all(axis=None)
        assert {*rows["key"]} == {one.key for one in some}
        for one in some:
            [row] = rows[rows["key"] == one.key].to_dict("records")
            assert {name: row[name] for name in records.RUN_FIELDS} == vars_of(one.run)
    assert records.verify() == ({"shipped": 12, "live": 0}, [])
    assert len(records.table(trace="every")) == len(records.table(optimizer="adam")) == 1


@pytest.mark.parametrize("first", ["trained", "traced"])
def test_a_trace_is_added_to_a_table_that_had_none_and_the_other_way_round(trained, traced, first):
    one, other = (trained, traced) if first == "trained" else (traced, trained)
    records.ship(one, "some")
    records.ship(other, "some")
    for record in (*one, *other):
        assert records.find(record.run) == replace(record, source="shipped")
    assert records.verify() == ({"shipped": 6, "live": 0}, [])


def test_a_record_whose_trace_is_missing_is_damaged(traced):
    plain = traced[0].plain()
    bare = {name: value for name, value in plain.items() if name != "final"}
    path = records.live_path(traced[0].key)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**bare, "checksum": records.checksum(bare)}))
    with pytest.warns(RecordWarning, match="Fisher information"):
        assert records.find(traced[0].run) is None


def test_a_traced_record_trained_again_is_equal(traced):
    outcome, again = records.retrain(traced[1], "cpu")
    assert outcome == "equal"
    assert plain_curve(again) == plain_curve(traced[1])
    without = [{n: v for n, v in r.final.items() if n != "seconds"} for r in (again, traced[1])]
    assert without[0] == without[1]


# What a record says -------------------------------------------------------------------------------


def test_a_record_says_truly_how_it_was_trained(monkeypatch):
    monkeypatch.setattr(devices, "has_bf16", lambda device: False)
    seen = []
    began = time.perf_counter()
    record = cplab.run(RUN, device="cpu", report=lambda run, row: seen.append(row))
    took = time.perf_counter() - began
    assert (record.copy, record.threads, record.precision) == ("small", 1, "float32")
    assert record.device.startswith("cpu")
    assert record.torch == torch.__version__
    assert record.commit == records.commit()
    assert record.source == "live"
    assert record.key == RUN.key
    assert 0 < record.seconds == sum(row["seconds"] for row in seen) < took
    assert record.accuracy == seen[-1]["test_accuracy"]


def test_a_curve_has_a_row_for_each_epoch_with_its_phase_and_rate(trained):
    for record in trained:
        run = record.run
        assert [row["epoch"] for row in record.curve] == list(range(run.epochs))
        assert [row["phase"] for row in record.curve] == [run.phase(e) for e in range(run.epochs)]
        assert [row["lr"] for row in record.curve] == [step.lr for step in run.steps]
        assert record.curve[-1]["test_accuracy"] == record.accuracy


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_that_of_the_source_with_a_plus_if_it_was_changed(tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / "cplab").mkdir(parents=True)
    source = home / "cplab" / "records.py"
    source.write_text("pass\n")
    monkeypatch.setattr(records, "__file__", str(source))

    def git(*words):
        name = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        result = subprocess.run(
            ("git", *name, "-C", home, *words), capture_output=True, text=True, check=True
        )
        return result.stdout.strip()

    commit = records.commit.__wrapped__
    assert commit() == f"version {cplab.__version__}"  # not in git
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "one")
    assert commit() == git("rev-parse", "--short=12", "HEAD")
    (home / "notes.txt").touch()
    assert not commit().endswith("+")
    source.write_text("changed = True\n")
    assert commit() == git("rev-parse", "--short=12", "HEAD") + "+"
    inner = home / "venv" / "cplab"  # installed inside of somebody's repository
    inner.mkdir(parents=True)
    monkeypatch.setattr(records, "__file__", str(inner / "records.py"))
    assert commit() == f"version {cplab.__version__}"


# Damage -------------------------------------------------------------------------------------------


def test_any_changed_byte_of_a_live_record_is_noticed(record):
    """Or else changes nothing, as e-05 for E-05."""
    records.keep(record)
    path = records.live_path(record.key)
    content, rng, noticed = path.read_bytes(), random.Random(0), 0
    for place in rng.sample(range(len(content)), 300):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = records.find(RUN)
        if found is None:
            noticed += 1
            assert [w.category for w in said] == [RecordWarning]
            assert files() == [f"{record.key}.json.damaged"]
        else:
            assert found == record
    assert noticed > 290


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"3", b'"text"', b"{}", b"\xff\xfe", b'{"checksum": 1}'],
    ids=repr,
)
def test_a_file_that_is_no_record_is_set_aside(content):
    path = records.live_path(RUN.key)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.warns(RecordWarning, match="set aside"):
        assert records.find(RUN) is None
    assert path.with_suffix(".json.damaged").read_bytes() == content


@pytest.mark.parametrize(
    "change",
    [
        {"accuracy": 0.99},
        {"seed": 3},
        {"key": "0" * 16},
        {"curve": []},
        {"deficit": "deaf"},
        {"onset": -1},
    ],
    ids=str,
)
def test_a_record_that_contradicts_itself_is_set_aside_whatever_its_checksum(record, change):
    write_live(record, **change)
    with pytest.warns(RecordWarning, match="set aside"):
        assert records.find(RUN) is None


def write_live(record, **change):
    """A record's file with other values and a checksum that fits."""
    plain = {**record.plain(), **change}
    path = records.live_path(record.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**plain, "checksum": records.checksum(plain)}))
    return path


def test_the_file_of_another_run_is_not_taken_for_this_one(trained):
    records.keep(trained[1])
    records.live_path(trained[1].key).rename(records.live_path(RUN.key))
    with pytest.warns(RecordWarning, match=trained[1].key):
        assert records.find(RUN) is None


def test_a_damaged_record_is_trained_again(record, trainings):
    write_live(record, accuracy=0.99)
    with pytest.warns(RecordWarning):
        again = cplab.run(RUN, device="cpu")
    assert trainings == [RUN]
    assert plain_curve(again) == plain_curve(record)
    assert records.find(RUN) == again
    assert files() == [f"{RUN.key}.json", f"{RUN.key}.json.damaged"]


def test_a_damaged_record_is_in_no_table(trained):
    for record in trained:
        records.keep(record)
    write_live(trained[0], accuracy=0.99)
    with pytest.warns(RecordWarning):
        assert len(records.table()) == 2


def change_shipped(path, **values):
    """Change values of the first shipped record and leave its checksum."""
    rows = pq.read_table(path).to_pylist()
    rows[0] |= values
    pq.write_table(pa.Table.from_pylist(rows), path)
    records.shipped.cache_clear()
    records.shipped_rows.cache_clear()
    return Run(**{name: v for name, v in rows[0].items() if name in records.RUN_FIELDS})


def test_a_damaged_shipped_record_is_left_out_and_the_live_one_stands_in(trained):
    path = records.ship(trained, "some")
    damaged = change_shipped(path, accuracy=0.99)
    with pytest.warns(RecordWarning, match=damaged.key):
        assert records.find(damaged) is None
    with pytest.warns(RecordWarning, match=damaged.key):
        rows = records.table()
    assert len(rows) == 2
    assert 0.99 not in rows["accuracy"].tolist()
    [own] = [record for record in trained if record.run == damaged]
    records.keep(own)
    with pytest.warns(RecordWarning, match=damaged.key):
        assert records.find(damaged) == own
    assert sorted(records.table()["source"]) == ["live", "shipped", "shipped"]


@pytest.mark.parametrize("part", [0, 0.5, 0.99])
def test_a_truncated_shipped_file_is_left_out(trained, part):
    path = records.ship(trained, "some")
    records.ship(trained[:1], "whole")
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    records.shipped.cache_clear()
    with pytest.warns(RecordWarning, match=r"some\.parquet"):
        assert records.find(trained[0].run) == replace(trained[0], source="shipped")
    assert records.find(trained[1].run) is None
    assert records.table()["key"].tolist() == [trained[0].key]


def test_no_changed_byte_of_a_shipped_file_is_ever_shown(trained):
    path = records.ship(trained, "some")
    good, rng, noticed = path.read_bytes(), random.Random(0), 0
    whole = records.table()
    for place in rng.sample(range(len(good)), 200):
        damaged = bytearray(good)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        records.shipped.cache_clear()
        records.shipped_rows.cache_clear()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            rows = records.table()
            found = [record for r in trained if (record := records.find(r.run))]
        assert {w.category for w in said} <= {RecordWarning}
        shown = whole[whole["key"].isin(rows["key"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, shown, check_dtype=False)
        for record in found:
            assert replace(record, source="live") in trained
        noticed += bool(said)
    assert noticed > 100  # the others change nothing, such as a column's statistics


def test_records_of_an_old_protocol_are_ignored_and_left_where_they_are(trained, monkeypatch):
    with monkeypatch.context() as patch:
        for module in (experiment, records):
            patch.setattr(module, "PROTOCOL", 0)
        old = [
            replace(r, run=Run(**{n: getattr(r.run, n) for n in records.RUN_FIELDS}))
            for r in trained
        ]
        assert {r.key for r in old}.isdisjoint(r.key for r in trained)
        records.keep(old[0])
        records.ship(old[1:], "old")
    before = files()
    assert records.table().empty
    assert list(records.live()) == []
    assert all(records.find(r.run) is None for r in trained)
    assert files() == before
    records.ship(trained[2:], "old")  # drops the old ones
    assert pq.read_table(records.SHIPPED / "old.parquet")["key"].to_pylist() == [trained[2].key]


def test_verify_names_what_is_damaged_and_changes_nothing(trained, nothing_shipped):
    path = records.ship(trained, "some")
    records.keep(trained[0])
    assert records.verify() == ({"shipped": 3, "live": 1}, [])
    damaged = change_shipped(path, accuracy=0.99)
    live = write_live(trained[1], accuracy=0.99)
    (nothing_shipped / "none.parquet").write_bytes(b"PAR1")
    good, bad = records.verify()
    assert good == {"shipped": 2, "live": 1}
    assert len(bad) == 3
    for word in (damaged.key, live.name, "none.parquet"):
        assert sum(word in line for line in bad) == 1
    assert live.exists()


def test_training_a_record_again_tells_equal_near_and_off(record):
    def outcome(**change):
        one = replace(record, **change)
        return records.retrain(one, "cpu")[0]

    assert outcome() == "equal"
    off_by_little = [*record.curve[:-1], {**record.curve[-1], "train_loss": 1.0}]
    assert outcome(curve=off_by_little) == "off"  # on the same machine, every bit counts
    assert outcome(curve=off_by_little, device="cpu of another kind") == "near"
    wrong = {"accuracy": record.accuracy + 0.1, "curve": off_by_little}
    assert outcome(**wrong, torch="0.1") == "off"
    assert torch.get_num_threads() == 1
    assert records.find(RUN) is None  # nothing was kept


def test_a_sample_is_of_shipped_records_and_the_same_each_time(trained):
    with pytest.raises(CplabError, match="no records"):
        records.sample(2)
    records.ship(trained[:2], "some")
    records.keep(trained[2])
    assert {r.key for r in records.sample(10)} == {r.key for r in trained[:2]}
    assert records.sample(1, seed=4) == records.sample(1, seed=4)
    assert {records.sample(1, seed=s)[0].key for s in range(20)} == {r.key for r in trained[:2]}
    assert len(records.sample(1, profile="ci")) == 1
    with pytest.raises(CplabError, match="paper"):
        records.sample(1, profile="paper")


# Tables -------------------------------------------------------------------------------------------

COLUMNS = [
    *("key", "deficit", "onset", "length", "recovery", "profile", "schedule", "dataset", "model"),
    *(
        "seed",
        "optimizer",
        "trace",
        "momentum",
        "arithmetic",
        "accuracy",
        "seconds",
        "copy",
        "device",
    ),
    *("precision", "threads", "torch", "commit", "source"),
]


def test_a_table_has_one_row_for_each_record_shipped_or_live(trained):
    records.ship(trained[:2], "some")
    records.ship(trained[1:2], "others")  # the same record in two files
    for record in trained[1:]:
        records.keep(record)
    rows = records.table()
    assert list(rows.columns) == COLUMNS
    assert sorted(rows["key"]) == sorted(record.key for record in trained)
    for record in trained:
        [row] = rows[rows["key"] == record.key].to_dict("records")
        assert {name: row[name] for name in records.RUN_FIELDS} == vars_of(record.run)
        assert row["source"] == ("live" if record is trained[2] else "shipped")
        for field in fields(record)[1:-1]:
            if field.name not in ("curve", "final"):
                assert row[field.name] == getattr(record, field.name)


def vars_of(run):
    return {name: getattr(run, name) for name in records.RUN_FIELDS}


def test_a_table_of_nothing_has_the_same_columns():
    rows = records.table()
    assert list(rows.columns) == COLUMNS
    assert rows.empty


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"deficit": "blur"}, [0]),
        ({"deficit": "none"}, [1]),
        ({"length": 2}, [0, 2]),
        ({"length": 2, "seed": 1}, [2]),
        ({"onset": 3, "length": 0}, [1]),
        ({"recovery": 0}, []),
    ],
    ids=str,
)
def test_a_table_of_some_records_has_those_with_the_wanted_fields(trained, wanted, found):
    for record in trained:
        records.keep(record)
    keys = sorted(trained[i].key for i in found)
    assert sorted(records.table(**wanted)["key"]) == keys


def test_a_table_of_what_no_record_can_have_is_refused():
    with pytest.raises(CplabError, match="deaf"):
        records.table(deficit="deaf")


# Several who ask ----------------------------------------------------------------------------------

ASK = """
import sys, time, cplab, torch
from pathlib import Path
from cplab import train, data

torch.set_num_threads(1)
data.images("mnist", "ci")
print("ready", flush=True)
while not Path(sys.argv[1]).exists():
    time.sleep(0.001)
trained = []
record = cplab.run(profile="ci", dataset="mnist", onset=30, recovery=0, seed=12345, device="cpu",
                   report=lambda run, row: trained.append(row))
print(len(trained), record.seconds, flush=True)
"""


def test_two_processes_that_ask_for_the_same_run_train_it_once(python, tmp_path):
    asking = [python(ASK, tmp_path / "go") for _ in range(2)]
    for process in asking:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    (tmp_path / "go").touch()
    answers = []
    for process in asking:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        answers.append(out.split())
    assert sorted(epochs for epochs, _ in answers) == ["0", "30"]
    assert answers[0][1] == answers[1][1]  # the seconds of one and the same training
    assert len(files("*.json")) == 1
    assert files("*.lock") == []


def test_threads_that_ask_for_the_same_run_train_it_once(trainings):
    found = []
    run = replace(RUN, onset=20)
    threads = [
        threading.Thread(target=lambda: found.append(cplab.run(run, device="cpu")))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trainings == [run]
    assert found[0] == found[1] == found[2]


def test_who_waits_for_another_can_be_stopped(trainings):
    path = records.live_path(RUN.key).with_suffix(".lock")
    path.parent.mkdir(parents=True)
    stop = threading.Event()
    timer = threading.Timer(0.5, stop.set)
    with FileLock(path):
        timer.start()
        with pytest.raises(train.Cancelled):
            cplab.run(RUN, stop=stop, device="cpu")
    assert trainings == []


def test_a_lock_whose_holder_died_blocks_nobody(record, trainings):
    path = records.live_path(RUN.key).with_suffix(".lock")
    path.parent.mkdir(parents=True)
    path.touch()
    assert plain_curve(cplab.run(RUN, device="cpu")) == plain_curve(record)
    assert trainings == [RUN]


def test_a_sweep_trains_what_is_free_while_another_trains_the_rest(trained, trainings):
    other = trained[2]
    path = records.live_path(other.key).with_suffix(".lock")
    path.parent.mkdir(parents=True)
    lock = FileLock(path)
    lock.acquire()
    found = []
    for run, result in records.collect([other.run, RUN], workers=1, device="cpu"):
        found.append(run)
        if run == RUN:  # the other one is done, and lets go
            records.keep(other)
            lock.release()
        else:
            assert result == other
    assert found == [RUN, other.run]
    assert trainings == [RUN]


def test_a_run_that_another_trained_meanwhile_is_not_kept_locked(trained, monkeypatch):
    """Two that hold what the other waits for would wait for ever."""
    find, asked = records.find, []

    def find_later(run):
        asked.append(run)
        return find(run) if asked.count(run) > 1 else None

    monkeypatch.setattr(records, "find", find_later)
    meanwhile, last = trained[0], trained[2]
    records.keep(meanwhile)
    done = records.collect([last.run, meanwhile.run], workers=1, device="cpu")
    assert next(done)[0] == last.run
    with FileLock(records.live_path(meanwhile.key).with_suffix(".lock"), blocking=False):
        assert [run for run, _ in done] == [meanwhile.run]


# A cache that cannot be written -------------------------------------------------------------------


@pytest.fixture
def unwritable(tmp_path, monkeypatch):
    """A cache below a regular file, which not even root can write."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("CPLAB_CACHE", str(tmp_path / "file" / "cache"))


@pytest.mark.usefixtures("unwritable")
def test_where_nothing_can_be_written_a_run_has_its_result_and_a_warning(record):
    with pytest.warns(RecordWarning, match=r"\$CPLAB_CACHE"):
        found = cplab.run(RUN, device="cpu")
    assert plain_curve(found) == plain_curve(record)
    assert records.find(RUN) is None
    assert records.table().empty


@pytest.mark.usefixtures("unwritable")
def test_where_nothing_can_be_written_a_sweep_has_its_results_and_warnings(trained):
    runs = [r.run for r in trained]
    with pytest.warns(RecordWarning) as said:
        found = records.sweep(runs, progress=False, workers=1, device="cpu")
    assert [plain_curve(r) for r in found] == [plain_curve(r) for r in trained]
    assert len(said) == 3


def test_a_full_disk_leaves_no_half_record(record, monkeypatch):
    def fill(self, text):
        self.write_bytes(text.encode()[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fill)
    with pytest.warns(RecordWarning, match="No space left"):
        records.keep(record)
    assert records.find(RUN) is None
    assert files("*.json") == []
    assert files("*.partial") == []


# What is shipped with the package -----------------------------------------------------------------


def test_all_shipped_records_are_sound(monkeypatch):
    monkeypatch.setattr(records, "SHIPPED", Path(records.__file__).parent / "shipped")
    _, bad = records.verify()
    assert bad == []


# Without a wait ---------------------------------------------------------------------------------


def test_at_hand_gives_what_there_is_and_says_what_would_take_long(trained, monkeypatch, capsys):
    known, missing = trained[0], replace(trained[0].run, onset=7)
    records.keep(known)
    monkeypatch.setattr("cplab.tree.estimate", lambda runs: 600.0 * len(runs))
    assert records.at_hand([known.run, missing, known.run], seconds=500) == {known.run: known}
    assert capsys.readouterr().out == (
        "Not shown: 1 of 2 runs, which nobody has trained yet (about 10 minutes on this machine).\n"
    )
    monkeypatch.setattr(records, "sweep", lambda runs, **how: [("trained", *runs)])
    found = records.at_hand([known.run, missing], seconds=700)
    assert found == {known.run: known, missing: ("trained", missing)}
    assert records.at_hand([known.run]) == {known.run: known}
    assert capsys.readouterr().out == ""
