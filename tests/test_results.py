"""Results: kept, found, trained once; what is damaged or cannot be written costs one warning."""

import hashlib
import threading
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import one_line

import cplab
from cplab.errors import Cancelled, CplabError, Diverged
from cplab.results import api, store
from cplab.results.result import without_times
from cplab.runs import Run
from cplab.treatments import TREATMENTS

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")

RUN = Run("blur", 1, 2, 1, profile="ci", dataset="mnist", model="fc-20")
RUNS = [RUN, RUN.equal_training(), replace(RUN, deficit="noise", seed=1)]
HOW = {"device": "cpu"}
SWEEP = {"progress": False, "workers": 1, "device": "cpu"}
NORMS = "weight_norms"


@pytest.fixture(scope="session")
def made(elsewhere):
    """Results of RUNS, which were trained once."""
    return elsewhere(lambda: cplab.sweep(RUNS, **SWEEP))[0]


@pytest.fixture
def trainings(epochs_trained):
    """A function that gives the specs whose first epoch was trained in this process."""
    return lambda: [spec for spec, epoch in epochs_trained if epoch == 0]


def files():
    return sorted(path.name for path in store.live_path("").parent.iterdir())


def changed(result, **last):
    """A result whose last epoch has other numbers."""
    curve = [*result.curve[:-1], {**result.curve[-1], **last}]
    return replace(result, values={"accuracy": curve[-1]["test_accuracy"], "curve": curve})


def normed(result, epochs):
    """A result with made-up norms, {epoch: norm}."""
    return replace(result, measured={NORMS: epochs})


def same(one, other):
    """Whether two results are of bit-equal trainings."""
    return without_times(one.values) == without_times(other.values)


def test_what_is_shipped_is_added_to_and_never_contradicted(made, nothing_shipped):
    one, two, three = made
    path = store.ship([one, two], "some")
    assert path == nothing_shipped / "some.parquet"
    assert store.find(one.spec) == replace(one, source="shipped")
    before = path.read_bytes()
    for name in ("some", "others"):
        twice = [three, changed(one, train_loss=1.0)]
        one_line(lambda name=name, twice=twice: store.ship(twice, name), RUN.key, "some.parquet")
    assert [*path.parent.glob("*.parquet")] == [path]
    assert path.read_bytes() == before
    store.ship([normed(replace(one, commit="later"), {0: 1.5})], "others")
    store.ship([three, replace(one, commit="later")], "some")
    assert [store.find(r.spec).commit for r in made] == ["later", two.commit, three.commit]


def test_a_run_is_trained_once_and_says_truly_how(trainings):
    seen, said = [], {f.name: getattr(RUN, f.name) for f in fields(RUN)}
    first = cplab.run(RUN, report=lambda run, row: seen.append(row), **HOW)
    assert cplab.run(RUN, **HOW) == cplab.run(RUN.newborn(), **(said | HOW)) == first
    wanted = [RUNS[2], RUN, RUNS[1], RUN]
    assert [result.spec for result in api.sweep(wanted, **SWEEP)] == wanted
    assert trainings()[0] == RUN
    assert {*trainings()[1:]} == {*RUNS[1:]}
    assert same(cplab.run(RUN, fresh=True, **HOW), first)
    assert trainings()[3:] == [RUN]
    assert (first.copy, first.threads, first.device[:3], first.key) == ("small", 1, "cpu", RUN.key)
    assert (first.torch, first.commit) == (torch.__version__, store.commit())
    assert 0 < first.seconds == sum(row["seconds"] for row in seen)
    assert first.accuracy == seen[-1]["test_accuracy"]


def test_what_diverged_or_was_stopped_has_no_result_and_all_else_is_trained():
    absurd = [replace(RUN, rate=5e5, seed=seed) for seed in (0, 1)]
    wanted = [absurd[0], RUNS[1], absurd[1], RUNS[2]]
    error = one_line(lambda: api.sweep(wanted, **SWEEP), "rate=500000.0", "(and 1 more)")
    assert isinstance(error, Diverged)
    stop = threading.Event()
    with pytest.raises(Cancelled):
        cplab.run(RUN, stop=stop, report=lambda *_: stop.set(), **HOW)
    assert files() == sorted(f"{run.key}.json" for run in RUNS[1:])


def test_a_measurement_is_added_later_without_a_new_key(made, trainings):
    store.keep(made[0])
    first = cplab.run(RUN, measure={NORMS: (0,)}, **HOW)
    assert first.key == RUN.key
    assert same(first, made[0])
    assert store.find(RUN, {NORMS: [0]}) == first
    assert store.find(RUN, NORMS) is None
    second = cplab.run(RUN, measure={NORMS: "end"}, **HOW)
    assert {*second.measured[NORMS]} == {0, 3}  # with what was measured before
    third = cplab.run(RUN, measure=NORMS, **HOW)
    assert {*third.measured[NORMS]} == {*range(4)}
    for less in ((), NORMS, {NORMS: (1, 2)}, {NORMS: "end"}, {NORMS: (2, 99)}):
        assert store.find(RUN, less) == third
    assert trainings() == [RUN] * 3


def test_measurements_are_joined_live_and_shipped_but_not_those_of_other_bits(made):
    store.ship([normed(made[0], {3: 1.0})], "some")
    store.keep(normed(made[0], {0: 0.5}))
    for epochs, source in (("end", "shipped"), ((0,), "live"), ((0, 3), "live")):
        assert store.find(RUN, {NORMS: epochs}).source == source
    assert store.find(RUN, {NORMS: (0, 2)}) is None
    store.ship([store.find(RUN, {NORMS: (0, 3)})], "some")
    assert store.find(RUN) == replace(normed(made[0], {0: 0.5, 3: 1.0}), source="shipped")
    other = replace(changed(made[0], train_loss=1e-9), measured={"answers": {3: "3"}})
    assert store.keep(other).measured == other.measured


def test_results_of_another_version_are_ignored_and_left_where_they_are(made, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Run, "version", 0)
        old = [replace(r, spec=replace(r.spec)) for r in made]
        assert {r.key for r in old}.isdisjoint(r.key for r in made)
        store.keep(old[0])
        store.ship(old[1:], "old")
        assert all(store.find(r.spec) for r in old)
    store.read_cached.cache_clear()  # as in the next session
    assert cplab.table().empty
    assert not [r for r in (*store.every_result(), *map(store.find, RUNS)) if r]
    assert files() == [f"{old[0].key}.json"]


def test_training_a_result_again_tells_equal_other_and_off(made):
    loss = made[0].curve[-1]["train_loss"]

    def told(last=(), **change):
        return api.retrain(replace(changed(made[0], **dict(last)), **change), "cpu")[0]

    assert told() == told(measured={NORMS: {0: 1}}, commit="another", seconds=9.0) == "equal"
    assert told({"train_loss": 1.0}) == "off"  # on the same machine, every bit counts
    assert told({"train_loss": 1.0}, device="cpu of another kind") == "other"
    assert told({"train_loss": loss * (1 + 2e-6)}, commit="another") == "off"
    assert store.find(RUN) is None  # nothing was kept


def test_results_of_another_cache_are_taken_in_and_what_is_there_stays(made, tmp_path, monkeypatch):
    other = tmp_path / "other"
    with monkeypatch.context() as patch:
        patch.setenv("CPLAB_CACHE", str(other))
        store.keep(normed(made[0], {0: 1.5}))
        store.keep(normed(changed(made[1], train_loss=1.0), {0: 1.5}))
        store.live_path(made[2].key).write_text(changed(made[2], train_loss="0.5").text())
    store.keep(made[1])  # trained to other bits elsewhere
    new, old, [refused] = store.merge([other])
    assert (new, old) == (1, 1)
    assert f"{made[2].key}.json" in refused
    assert {*store.find(RUN).measured} == {NORMS}
    assert store.find(made[1].spec) == made[1]
    assert store.merge(str(other / "results" / f"{RUN.key}.json")) == (0, 1, [])


def test_another_s_code_stays_text_and_files_are_named_by_keys(made, tmp_path, monkeypatch):
    mark = tmp_path / "mark"
    evil = f"open({str(mark)!r}, 'w').close()\ndef occlude(x, y):\n    return x, y\n"
    name = f"occlude@{hashlib.sha256(evil.encode()).hexdigest()[:8]}"
    with monkeypatch.context() as patch:
        patch.setenv("CPLAB_CACHE", str(tmp_path / "theirs"))
        theirs = replace(made[0], spec=replace(RUN, deficit=name), own={name: evil})
        there = store.live_path(store.keep(theirs).key).parent
        (there / "..%2f..%2fx.json").write_text(made[1].text())
    assert store.merge([tmp_path / "theirs"])[0] == 1
    assert files() == [f"{theirs.key}.json"]
    assert store.find(theirs.spec).own == {name: evil}
    assert cplab.table()["deficit"].tolist() == [name]
    with pytest.raises(CplabError, match="not defined here"):
        api.retrain(theirs, "cpu")
    assert not mark.exists()


def test_a_table_has_one_row_for_each_run_shipped_or_live_with_the_wanted_fields(made):
    store.ship(made[:2], "some")
    store.ship(made[1:2], "others")  # the same result in two files
    for result in made[1:]:
        store.keep(result)
    rows = cplab.table()
    for result in made:
        [row] = rows[rows["key"] == result.key].to_dict("records")
        assert all(row[f.name] == getattr(result.spec, f.name) for f in fields(Run)[:11])
        assert row["source"] == ("live" if result is made[2] else "shipped")
        assert (row["accuracy"], row["copy"]) == (result.accuracy, "small")
    assert len(cplab.table(pace=10)) == 3
    assert cplab.table(deficit="blur-4", onset="1").key.tolist() == [RUN.key]
    assert cplab.table(made[1:], seed=1).key.tolist() == [made[2].key]
    assert cplab.table([]).columns.equals(rows.columns)


def test_at_hand_gives_what_there_is_and_says_what_would_take_long(made, trainings, capsys):
    store.keep(replace(made[0], seconds=400.0))
    missing = [replace(RUN, seed=seed) for seed in (5, 6)]
    assert [*api.at_hand([RUN, *missing, RUN], seconds=500)] == [RUN]
    assert "2 of 3" in capsys.readouterr().out
    assert trainings() == []
    assert [*api.at_hand([RUN, *missing], seconds=900, **SWEEP)] == [RUN, *missing]
    assert {*trainings()} == {*missing}


def test_a_damaged_file_is_left_out_until_its_run_is_trained_again(made):
    path = store.live_path(store.keep(made[0]).key)
    for damaged in (replace(made[0], spec=RUNS[1]).text(), "[" * 100_000):
        path.write_text(damaged)
        [line] = store.verify()[1]
        assert path.name in line
        with pytest.warns(UserWarning, match="left out"):
            assert cplab.table().empty
        assert store.find(RUN) is None
    store.keep(made[0])
    assert store.find(RUN) == made[0]


def test_a_damaged_shipped_file_is_left_out_and_the_others_are_found(made, nothing_shipped):
    path = store.ship(made[:2], "some")
    store.ship(made[2:], "others")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (nothing_shipped / "foreign.parquet").write_bytes(b"PAR1")  # of which no sum is known
    (sums := nothing_shipped / store.SUMS).write_bytes(b"\xff\n" + sums.read_bytes())
    store.open_archive.cache_clear()  # as in the next session
    with pytest.warns(UserWarning, match="damaged and left out") as said:
        found = [store.find(run) for run in RUNS]
    assert found == [None, None, replace(made[2], source="shipped")]
    assert sorted(str(w.message).split()[2] for w in said) == ["foreign.parquet", "some.parquet"]
    assert len(store.verify()[1]) == 2
    with pytest.raises(CplabError, match="damaged"):
        store.ship(made[:1], "some")  # which would lose the others in it
    assert path.read_bytes() == content


def test_a_result_of_another_branch_is_unknown_and_not_damaged(made, own_cache, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(TREATMENTS, "jitter", TREATMENTS["renorm"])
        there = replace(made[0], spec=replace(RUN, treatments="jitter@1"))
        store.keep(there)
        store.ship([there], "some")
    assert store.verify() == ({"shipped": 1, "live": 0, "unknown": 1}, [])
    assert [*store.live_results()] == []
    assert cplab.table()["treatments"].tolist() == ["jitter-1@1+0"]
    assert files() == [f"{there.key}.json"]


@pytest.fixture
def full_disk(monkeypatch):
    """Nothing can be written."""

    def fail(self, *_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_text", fail)
        yield patch


def test_a_full_disk_costs_a_warning_and_no_result(made, own_cache, full_disk):
    with pytest.warns(UserWarning, match="No space left.*until Python ends"):
        store.keep(made[1])
    assert store.find(made[1].spec) == made[1]
    assert [*store.live_results()] == [made[1]]
    assert not [*own_cache.rglob("*.partial")]


def test_a_clone_that_belongs_to_somebody_else_is_named_by_its_commit(monkeypatch):
    expected = store.commit()
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # as git itself is tested
    store.commit.cache_clear()
    assert store.commit() == expected
    assert not expected.startswith("version")


def test_what_could_not_be_written_is_written_the_next_time(made, full_disk):
    with pytest.warns(UserWarning, match="No space left"):
        store.keep(normed(made[1], {0: 0.5}))
    full_disk.undo()
    store.keep(made[1])
    assert store.read_file(store.live_path(made[1].key)).measured == {NORMS: {0: 0.5}}


@pytest.mark.parametrize("refusals", [1, 3])
def test_a_file_that_somebody_reads_is_replaced_a_little_later(made, monkeypatch, refusals):
    monkeypatch.setattr("cplab.files.PAUSES", (0.0,) * 3)
    attempts = []
    put_in_place = Path.replace

    def as_on_windows(self, target):
        attempts.append(target)
        if len(attempts) <= refusals:
            raise PermissionError(13, "Access is denied")
        return put_in_place(self, target)

    monkeypatch.setattr(Path, "replace", as_on_windows)
    store.keep(made[0])
    assert files() == [f"{made[0].key}.json"]


def test_without_a_home_folder_results_are_kept_for_now_and_it_is_said(made, monkeypatch, tmp_path):
    def homeless(name):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("CPLAB_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_path", homeless)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    with pytest.warns(UserWarning, match=r"no home folder.*set \$CPLAB_CACHE"):
        store.keep(made[0])
    assert store.find(RUN) == made[0]


def test_results_are_members_of_sets(made):
    assert {made[0], replace(made[0])} == {made[0]}
    assert {made[0]: 1}[made[0]] == 1


def test_a_table_has_the_measurements_that_are_asked_for(made):
    last = RUN.epochs - 1
    measured = {NORMS: {0: {"norms": 1.0}, last: {"norms": 2.0, "layers": ["0"], "seconds": 0.1}}}
    store.keep(replace(made[0], measured=measured | {"answers": {last: "31"}}))
    store.keep(made[1])
    rows = cplab.table(measure=(NORMS, "answers")).set_index("key")
    assert rows.loc[RUN.key, [f"{NORMS}.norms", "answers"]].tolist() == [2.0, "31"]
    assert rows.loc[made[1].key, [f"{NORMS}.norms", "answers"]].isna().all()
    assert f"{NORMS}.seconds" not in rows
    assert NORMS not in cplab.table()


def test_a_measurement_that_nobody_took_is_a_column_without_numbers(made):
    store.keep(made[0])
    assert cplab.table(measure="trace")["trace"].isna().tolist() == [True]


@pytest.fixture
def thrown():
    """An experiment."""

    @cplab.experiment(version=1)
    def thrown(dice: int, run: object, seed: int = 0) -> dict:
        return {"sum": np.int64(dice + seed), "all": [1] * dice, "seed": "as given"}

    return thrown


def test_a_table_of_an_experiment_has_its_arguments_and_values(thrown):
    kept = cplab.sweep([thrown.spec(2, RUN), thrown.spec(3, RUN, seed=1)], **SWEEP)
    rows = cplab.table(thrown).set_index("key").loc[[result.key for result in kept]]
    assert rows["dice"].tolist() == [2, 3]
    assert rows["run"].tolist() == [RUN.call()] * 2
    assert rows["seed"].tolist() == [0, 1]
    assert rows["sum"].tolist() == [2, 4]
    assert rows["values.seed"].tolist() == ["as given"] * 2
    assert "all" not in rows
    assert cplab.table(kept, dice=3)["key"].tolist() == [kept[1].key]


def test_runs_and_experiments_are_no_one_table(made, thrown):
    kept = cplab.sweep([thrown.spec(2, RUN)], **SWEEP)
    one_line(lambda: cplab.table([*kept, made[0]]), "one kind alone")
    one_line(lambda: cplab.table(thrown, sides=6), "argument of thrown 'sides'", "dice")
    one_line(lambda: cplab.table(kept, measure=NORMS), "cannot be measured on experiments")
