"""Results: kept, found, trained once; what is damaged or cannot be written costs one warning."""

import hashlib
import threading
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import one_line, reported

import cplab
from cplab import quantities
from cplab.base.errors import Cancelled, CplabError, Diverged
from cplab.results import api, duration, store
from cplab.results.result import without_times
from cplab.runs import Run
from cplab.specs.profiles import PROFILES
from reproduction import __main__ as reproduction
from reproduction import shipping

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")

RUN = Run("blur", 1, 2, 1, profile="ci", dataset="mnist", model="fc-20")
RUNS = [RUN, RUN.equal_training(), replace(RUN, deficit="noise", seed=1)]
HOW = {"device": "cpu"}
SWEEP = {"progress": False, "workers": 1, "device": "cpu"}
NORMS = "weight_norms"


@pytest.fixture(scope="session")
def trained_once(elsewhere):
    """Results of RUNS."""
    results, _ = elsewhere(lambda: cplab.sweep(RUNS, **SWEEP))
    return results


@pytest.fixture
def made(trained_once, small_mnist, nothing_shipped):
    """Results of RUNS, where nothing is kept or shipped yet."""
    return trained_once


@pytest.fixture
def trainings(epochs_trained):
    """A function that gives the specs whose first epoch was trained in this process."""
    return lambda: [spec for spec, epoch in epochs_trained if epoch == 0]


def files():
    return sorted(path.name for path in store.live_folder().iterdir())


def changed(result, **last):
    """A result whose last epoch has other numbers."""
    curve = [*result.curve[:-1], {**result.curve[-1], **last}]
    return replace(result, values={"accuracy": curve[-1]["test_accuracy"], "curve": curve})


def normed(result, epochs):
    """A result with made-up norms, {epoch: norm}."""
    return replace(result, measured={NORMS: epochs})


def same(first, second):
    """Whether two results are of bit-equal trainings."""
    return without_times(first.values) == without_times(second.values)


# What is shipped ----------------------------------------------------------------------------------


def test_a_shipped_result_is_found(made, nothing_shipped):
    path = shipping.ship(made[:2], "some")
    assert path == nothing_shipped / "some.parquet"
    assert store.find(RUN) == replace(made[0], source="shipped")


def test_a_shipped_result_is_never_contradicted(made):
    path = shipping.ship(made[:2], "some")
    content = path.read_bytes()
    other = changed(made[0], train_loss=1.0)
    for name in ("some", "others"):
        again = partial(shipping.ship, [made[2], other], name)
        one_line(again, RUN.key, "some.parquet")
    assert [*path.parent.glob("*.parquet")] == [path]
    assert path.read_bytes() == content


def test_a_file_that_is_shipped_again_keeps_what_it_had(made):
    shipping.ship(made[:2], "some")
    shipping.ship([made[2]], "some")
    assert all(store.find(run) for run in RUNS)


def test_the_last_shipped_of_equal_trainings_is_found(made):
    later = replace(made[0], commit="later")
    shipping.ship([made[0]], "some")
    shipping.ship([normed(later, {0: 1.5})], "others")
    shipping.ship([later], "some")
    assert store.find(RUN).commit == "later"


# Training once ------------------------------------------------------------------------------------


def test_a_run_is_trained_once_also_if_it_is_written_as_arguments(trainings):
    first = cplab.run(RUN, **HOW)
    assert cplab.run(RUN, **HOW) == first
    arguments = {field.name: getattr(RUN, field.name) for field in fields(RUN)}
    assert cplab.run(RUN.newborn(), **(arguments | HOW)) == first
    assert trainings() == [RUN]


def test_a_sweep_trains_only_what_is_missing_and_gives_it_in_the_order_asked_for(trainings):
    cplab.run(RUN, **HOW)
    wanted = [RUNS[2], RUN, RUNS[1], RUN]
    assert [result.spec for result in api.sweep(wanted, **SWEEP)] == wanted
    assert trainings()[0] == RUN
    assert {*trainings()[1:]} == {*RUNS[1:]}


def test_a_fresh_run_is_trained_again_to_the_same_bits(trainings):
    first = cplab.run(RUN, **HOW)
    assert same(cplab.run(RUN, fresh=True, **HOW), first)
    assert trainings() == [RUN, RUN]


def test_a_result_says_how_it_came_about_and_holds_what_was_reported():
    rows = []
    result = reported(RUN, lambda run, row: rows.append(row))
    assert result.key == RUN.key
    assert result.copy == "small"  # of the images
    assert result.threads == 1
    assert result.device.startswith("cpu")
    assert result.torch == torch.__version__
    assert result.commit == store.commit()
    assert result.accuracy == rows[-1]["test_accuracy"]
    assert result.seconds == sum(row["seconds"] for row in rows) > 0


def test_a_run_that_diverges_is_said_in_a_short_line_and_those_beside_it_are_trained():
    absurd = [replace(RUN, rate=5e5, seed=seed) for seed in (0, 1)]
    wanted = [absurd[0], RUNS[1], absurd[1], RUNS[2]]
    error = one_line(lambda: api.sweep(wanted, **SWEEP), "under blur", "(and 1 more)")
    assert isinstance(error, Diverged)
    assert len(str(error)) < 130
    assert files() == sorted(f"{run.key}.json" for run in RUNS[1:])


def test_a_run_that_is_stopped_has_no_result():
    stop = threading.Event()
    with pytest.raises(Cancelled):
        reported(RUN, lambda *_: stop.set(), stop=stop)
    assert store.find(RUN) is None


# Measurements -------------------------------------------------------------------------------------


def test_a_measurement_that_is_added_later_leaves_key_and_bits_and_is_found(made):
    store.keep(made[0])
    assert store.find(RUN, NORMS) is None
    result = cplab.run(RUN, measure={NORMS: (0,)}, **HOW)
    assert result.key == RUN.key
    assert same(result, made[0])
    assert store.find(RUN, {NORMS: [0]}) == result
    assert store.find(RUN, NORMS) is None  # after each epoch


def test_an_earlier_measurement_is_kept():
    cplab.run(RUN, measure={NORMS: (0,)}, **HOW)
    result = cplab.run(RUN, measure={NORMS: "end"}, **HOW)
    assert {*result.measured[NORMS]} == {0, 3}


def test_a_result_with_every_epoch_measured_serves_all_that_ask_for_less(trainings):
    result = cplab.run(RUN, measure=NORMS, **HOW)
    assert {*result.measured[NORMS]} == {0, 1, 2, 3}
    for measure in ((), NORMS, {NORMS: (1, 2)}, {NORMS: "end"}, {NORMS: (2, 99)}):
        assert cplab.run(RUN, measure=measure, **HOW) == result
    assert trainings() == [RUN]


def test_a_live_result_is_joined_with_the_shipped_one_and_can_be_shipped(made):
    shipping.ship([normed(made[0], {3: 1.0})], "some")
    store.keep(normed(made[0], {0: 0.5}))
    for epochs, source in (("end", "shipped"), ((0,), "live"), ((0, 3), "live")):
        assert store.find(RUN, {NORMS: epochs}).source == source
    assert store.find(RUN, {NORMS: (0, 2)}) is None
    shipping.ship([store.find(RUN, {NORMS: (0, 3)})], "some")
    assert store.find(RUN) == replace(normed(made[0], {0: 0.5, 3: 1.0}), source="shipped")


def test_measurements_of_trainings_to_other_bits_are_not_joined(made):
    store.keep(normed(made[0], {0: 0.5}))
    other = replace(changed(made[0], train_loss=1e-9), measured={"answers": {3: "3"}})
    assert store.keep(other).measured == other.measured


# Other versions, other machines, other people -----------------------------------------------------


@pytest.fixture
def outdated(made, monkeypatch):
    """The results as an earlier version of the package kept and shipped them."""
    with monkeypatch.context() as patch:
        patch.setattr(Run, "version", 0)
        results = [replace(result, spec=replace(result.spec)) for result in made]
        store.keep(results[0])
        shipping.ship(results[1:], "old")
        assert all(store.find(result.spec) for result in results)
    store.read_cached.cache_clear()  # as in the next session
    return results


def test_results_of_another_version_are_ignored_and_left_where_they_are(outdated, made):
    assert {result.key for result in outdated}.isdisjoint(result.key for result in made)
    assert cplab.results_table().empty
    assert not [*store.every_result()]
    assert not any(store.find(run) for run in RUNS)
    assert files() == [f"{outdated[0].key}.json"]


def retrained(result):
    """What training a result again says of it."""
    verdict, *_ = shipping.train_again(result, "cpu")
    return verdict


def test_training_again_compares_every_bit_on_the_same_machine_and_keeps_nothing(made):
    result = made[0]
    assert retrained(result) == "equal"
    for other in ({"measured": {NORMS: {0: 1}}}, {"commit": "another"}, {"seconds": 9.0}):
        assert retrained(replace(result, **other)) == "equal"  # no number of its training
    loss = result.curve[-1]["train_loss"]
    off = replace(changed(result, train_loss=loss * (1 + 2e-6)), commit="another")
    assert retrained(off) == "off"
    elsewhere = replace(changed(result, train_loss=1.0), device="cpu of another kind")
    assert retrained(elsewhere) == "other"
    assert store.find(RUN) is None


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """A function that does something with another cache, whose folder it gives."""
    folder = tmp_path / "theirs"

    def work(function):
        with monkeypatch.context() as patch:
            patch.setenv("CPLAB_CACHE", str(folder))
            function()
        return folder

    return work


def test_results_of_another_cache_are_taken_in(made, theirs):
    folder = theirs(lambda: store.keep(normed(made[0], {0: 1.5})))
    assert shipping.merge([folder]) == (1, 0, [])
    assert {*store.find(RUN).measured} == {NORMS}
    single = theirs(lambda: store.keep(made[1])) / "results" / f"{made[1].key}.json"
    assert shipping.merge(str(single)) == (1, 0, [])


def test_a_result_stays_when_other_bits_are_taken_in(made, theirs):
    folder = theirs(lambda: store.keep(normed(changed(made[1], train_loss=1.0), {0: 1.5})))
    store.keep(made[1])
    assert shipping.merge([folder]) == (0, 1, [])
    assert store.find(made[1].spec) == made[1]


@pytest.fixture
def foreign(made, theirs, tmp_path):
    """A result with a deficit of somebody else's, which would leave a mark if it were run."""
    code = f"open({str(tmp_path / 'mark')!r}, 'w').close()\ndef occlude(x, y):\n    return x, y\n"
    name = f"occlude@{hashlib.sha256(code.encode()).hexdigest()[:8]}"
    result = replace(made[0], spec=replace(RUN, deficit=name), own={name: code})
    shipping.merge([theirs(lambda: store.keep(result))])
    yield result
    assert not (tmp_path / "mark").exists()


def test_somebody_else_s_code_stays_text_and_is_not_trained_with(foreign):
    assert store.find(foreign.spec).own == foreign.own
    assert cplab.results_table()["deficit"].tolist() == [foreign.spec.deficit]
    with pytest.raises(CplabError, match="not defined here"):
        shipping.train_again(foreign, "cpu")


# Tables -------------------------------------------------------------------------------------------


@pytest.fixture
def kept_twice(made):
    """Results: the first is shipped, the second shipped in two files and live as well, the
    third live alone."""
    shipping.ship(made[:2], "some")
    shipping.ship(made[1:2], "others")
    store.keep(made[1])
    store.keep(made[2])
    return made


def test_a_table_has_one_row_for_each_run_with_its_fields_and_where_it_comes_from(kept_twice):
    table = cplab.results_table().set_index("key")
    assert sorted(table.index) == sorted(result.key for result in kept_twice)
    assert table.source[[run.key for run in RUNS]].tolist() == ["shipped", "shipped", "live"]
    for result in kept_twice:
        assert table.loc[result.key, "accuracy"] == result.accuracy
        for field in fields(Run)[:11]:
            assert table.loc[result.key, field.name] == getattr(result.spec, field.name)


CHOSEN = (
    ({"pace": 10}, RUNS),
    ({"deficit": "blur-4", "onset": "1"}, RUNS[:1]),
    ({"seed": 1}, RUNS[2:]),
)


def test_a_table_has_the_runs_with_the_wanted_fields(kept_twice):
    for wanted, runs in CHOSEN:
        assert {*cplab.results_table(**wanted)["key"]} == {run.key for run in runs}
    assert cplab.results_table([]).columns.equals(cplab.results_table().columns)
    assert cplab.results_table(kept_twice[1:], seed=1)["key"].tolist() == [RUNS[2].key]


# At hand ------------------------------------------------------------------------------------------

UNTRAINED = [replace(RUN, seed=seed) for seed in (5, 6)]


@pytest.fixture
def slow(made, monkeypatch):
    """One result, and a profile whose trainings take 400 seconds each, on one core."""
    store.keep(made[0])
    slowly = replace(PROFILES[RUN.profile], width=20, epoch_seconds=400 / RUN.epochs)
    monkeypatch.setitem(PROFILES, RUN.profile, slowly)
    monkeypatch.setattr(duration, "usable_cores", lambda: 1)


def test_runs_that_would_take_long_are_left_out_and_counted(slow, trainings, capsys):
    results = api.at_hand([RUN, *UNTRAINED, RUN], seconds=500)
    assert [*results] == [RUN]
    assert "2 of 3" in capsys.readouterr().out
    assert trainings() == []
    results = api.at_hand([RUN, *UNTRAINED], seconds=900, **SWEEP)
    assert [*results] == [RUN, *UNTRAINED]


# Damage -------------------------------------------------------------------------------------------

DAMAGES = {
    "of another run": lambda result: replace(result, spec=RUNS[1]).text(),
    "nested without end": lambda result: "[" * 100_000,
}


@pytest.fixture(params=DAMAGES)
def damaged(request, made):
    """The path of a live result that cannot be read."""
    path = store.live_path(store.keep(made[0]).key)
    path.write_text(DAMAGES[request.param](made[0]))
    return path


def test_results_that_are_good_are_counted(made, capsys):
    store.keep(made[0])
    assert reproduction.main(["verify"]) == 0
    assert "0 shipped and 1 live results are good" in capsys.readouterr().out


def test_results_of_some_fields_can_be_shipped(made):
    for result in made:
        store.keep(result)
    assert reproduction.main(["ship", "some", "deficit=noise"]) == 0
    assert {*store.archive().places} == {
        result.key for result in made if result.spec.deficit == "noise"
    }


def test_a_damaged_file_is_named_and_left_out_until_it_is_replaced(damaged, made, capsys):
    assert reproduction.main(["verify"]) == 1
    assert damaged.name in capsys.readouterr().err
    with pytest.warns(UserWarning, match="left out"):
        assert cplab.results_table().empty
    assert store.find(RUN) is None
    store.keep(made[0])
    assert store.find(RUN) == made[0]


@pytest.fixture
def full_disk(monkeypatch):
    """Nothing can be written."""

    def fail(self, *_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_text", fail)
        yield patch


# A disk, a clone, a home --------------------------------------------------------------------------


def test_a_result_that_cannot_be_written_lasts_until_it_can(made, full_disk, own_cache):
    result = normed(made[1], {0: 0.5})
    with pytest.warns(UserWarning, match="No space left.*until Python ends"):
        store.keep(result)
    assert store.find(RUNS[1]) == result
    assert [*store.live_results()] == [result]
    assert not [*own_cache.rglob("*.partial")]  # half written
    full_disk.undo()
    store.keep(made[1])
    assert store.read_live(store.live_path(result.key)).measured == {NORMS: {0: 0.5}}


@pytest.mark.parametrize("refusals", [1, 3])
def test_a_file_that_somebody_reads_is_replaced_a_little_later(made, monkeypatch, refusals):
    monkeypatch.setattr("cplab.base.files.PAUSES", (0.0,) * 3)
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


# Tables of measurements and experiments -----------------------------------------------------------


@pytest.fixture
def measured(made):
    """A result with norms after its first and last epoch, and one without."""
    last = RUN.epochs - 1
    norms = {0: {"norms": 1.0}, last: {"norms": 2.0, "layers": ["0"], "seconds": 0.1}}
    store.keep(replace(made[0], measured={NORMS: norms, "own_images_right": {last: 0.5}}))
    store.keep(made[1])


@pytest.mark.usefixtures("measured")
def test_a_table_has_the_last_measurements_that_are_asked_for():
    table = cplab.results_table(measure=(NORMS, "own_images_right")).set_index("key")
    columns = [f"{NORMS}.norms", "own_images_right"]
    assert table.loc[RUN.key, columns].tolist() == [2.0, 0.5]
    assert table.loc[RUNS[1].key, columns].isna().all()  # it has none
    assert f"{NORMS}.seconds" not in table  # how long it took
    assert f"{NORMS}.norms" not in cplab.results_table()
    assert cplab.results_table(measure="trace")["trace"].isna().all()  # which nobody took


@pytest.fixture
def thrown():
    """An experiment."""

    @cplab.experiment(version=1)
    def thrown(dice: int, run: object, seed: int = 0) -> dict:
        return {"sum": np.int64(dice + seed), "all": [1] * dice, "seed": "as given"}

    return thrown


@pytest.fixture
def throws(thrown):
    """Two results of an experiment."""
    return cplab.sweep([thrown.spec(2, RUN), thrown.spec(3, RUN, seed=1)], **SWEEP)


def test_an_experiment_without_an_accuracy_says_which_values_it_has(throws):
    one_line(lambda: quantities.accuracy(throws[0].spec), "no accuracy", "sum, all, seed")


def test_a_table_of_an_experiment_has_its_arguments_and_its_values(thrown, throws):
    table = cplab.results_table(thrown).set_index("key").loc[[result.key for result in throws]]
    assert table["dice"].tolist() == [2, 3]
    assert table["run"].tolist() == [RUN.call()] * 2
    assert table["seed"].tolist() == [0, 1]
    assert table["sum"].tolist() == [2, 4]
    assert "all" not in table  # a list has no place in a cell
    assert table["values.seed"].tolist() == ["as given"] * 2  # named as an argument


def test_results_of_an_experiment_are_chosen_by_an_argument(throws):
    assert cplab.results_table(throws, dice=3)["key"].tolist() == [throws[1].key]


def test_what_a_table_of_an_experiment_cannot_have_is_refused(thrown, throws, made):
    one_line(lambda: cplab.results_table([*throws, made[0]]), "only one kind")
    one_line(lambda: cplab.results_table(thrown, sides=6), "argument of thrown 'sides'", "dice")
    one_line(lambda: cplab.results_table(throws, measure=NORMS), "measured on experiments")


def test_rows_of_an_experiment_stand_in_the_order_of_its_arguments(thrown):
    cplab.sweep([thrown.spec(dice, RUN, seed=seed) for dice in (3, 2) for seed in (1, 0)], **SWEEP)
    table = cplab.results_table(thrown)
    assert table["dice"].tolist() == [2, 2, 3, 3]
    assert table["seed"].tolist() == [0, 1, 0, 1]
