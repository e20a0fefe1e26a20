"""Runs: schedules, phases, controls, windows, keys; and specs of other kinds."""

import hashlib
import pickle
from dataclasses import asdict, fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import runs
from hypothesis import assume, given

from cplab.runs import Run
from cplab.specs.profiles import PROFILES


def rates(run):
    return [step.lr for step in run.timeline]


def deficits_of(run):
    return [step.deficit.name for step in run.timeline]


# Rates --------------------------------------------------------------------------------------------

PAPER = {"profile": "paper", "schedule": "paper", "recovery": 50}
EPOCHS = np.arange(50)
SCHEDULES = [
    pytest.param({**PAPER, "onset": 4, "recovery": 46}, 0.05 * 0.97**EPOCHS, id="paper"),
    pytest.param({**PAPER, "model": "resnet18"}, 0.1 * 0.97**EPOCHS, id="resnet"),
    pytest.param({**PAPER, "pace": 2.5}, 0.05 * 0.97 ** (2.5 * EPOCHS), id="pace"),
    pytest.param({**PAPER, "schedule": "fixed", "model": "fc"}, [0.005] * 50, id="fixed"),
    pytest.param(
        {"onset": 5, "recovery": 4}, [0.02] * 5 + [0.02, 0.015, 0.01, 0.005], id="recovery"
    ),
    pytest.param({"onset": 3, "recovery": 0}, [0.02] * 3, id="no recovery"),
]


@pytest.mark.parametrize(("fields", "expected"), SCHEDULES)
def test_rates_are_the_paper_s_or_fall_linearly_over_the_recovery_epochs(fields, expected):
    assert rates(Run(**fields)) == pytest.approx(expected, rel=1e-12)


@given(runs())
def test_adam_has_a_fiftieth_of_sgd_s_rates_and_a_run_s_rate_multiplies_all(run):
    sgd = rates(replace(run, optimizer="sgd", rate=1))
    adam = rates(replace(run, optimizer="adam", rate=3))
    assert adam == pytest.approx([3 * rate / 50 for rate in sgd])


# Windows ------------------------------------------------------------------------------------------


@given(runs())
def test_each_epoch_has_the_deficits_of_the_windows_around_it(run):
    windows = [*run.windows, (run.deficit, run.onset, run.length)]
    for epoch, names in enumerate(deficits_of(run)):
        around = []
        for name, first, length in windows:
            if first <= epoch < first + length:
                around.append(name)
        assert sorted(names.split("+")) == sorted(around or ["none"])


# Controls -----------------------------------------------------------------------------------------


@given(runs())
def test_equal_training_has_the_run_s_rates_and_never_a_deficit(run):
    control = run.equal_training()
    assert rates(control) == rates(run)
    assert {*deficits_of(control)} == {"none"}
    assert control.equal_training() == control


@given(runs())
def test_a_newborn_recovers_clear_for_as_long_as_the_run_and_at_its_rates(run):
    """Those of a run, of its control and of a newborn are one."""
    assume(run.recovery)
    newborn = run.newborn()
    assert deficits_of(newborn) == ["none"] * run.recovery
    assert newborn == newborn.newborn() == run.equal_training().newborn()
    run = run.replace(schedule="recovery")
    assert rates(run.newborn()) == rates(run)[run.end :]


@given(runs())
def test_while_the_clock_runs_a_cut_out_window_leaves_all_other_rates(run):
    assume(run.onset + run.recovery)
    cut = run.without_window("running")
    assert rates(cut) == rates(run)[: run.onset] + rates(run)[run.end :]


@given(runs())
def test_a_cut_out_window_moves_the_paper_s_later_rates_up(run):
    assume(run.onset + run.recovery)
    run = run.replace(schedule="paper")
    cut = run.without_window()
    assert rates(cut) == rates(run)[: run.epochs - run.length]


@given(runs())
def test_schedules_that_know_no_epochs_have_one_run_without_the_window(run):
    assume(run.onset + run.recovery and run.schedule != "paper")
    cut = run.without_window()
    running = run.without_window("running")
    assert cut == running
    assert running == replace(running, skipped=7)


@given(runs())
def test_without_its_window_a_run_has_none_to_leave_out_and_from_birth_is_a_newborn(run):
    assume(run.onset + run.recovery)
    cut = run.without_window()
    assert cut.without_window() == cut
    if run.recovery:
        from_birth = replace(run, onset=0, windows=(), treatments=())
        assert from_birth.without_window() == from_birth.newborn()


# What stays ---------------------------------------------------------------------------------------

# The digest of each profile's values, which its name stands for in keys.
PINNED = {
    "ci": "28a9fb801570",
    "course": "f92d109397ce",
    "fit": "10265014ad1e",
    "matched": "47d228a6cff6",
    "mnist": "d72aaaa726f0",
    "paper": "2c9f0a7a85a0",
    "slim": "095ed9ba6063",
    "small": "552db9889007",
    "tiny": "fea533ce5aac",
}
# Fields that decide no number
UNTRAINED = ("words", "epoch_seconds", "large", "few")
# Fields that came later, with the values that profiles had before.
NEWER = {"arithmetic": "native", "pad": True, "own_images": 0, "stacked": False}


def test_every_profile_is_pinned():
    assert {*PROFILES} == {*PINNED}


@pytest.mark.parametrize("name", PINNED)
def test_a_profile_stays_what_it_is(name):
    values = []
    for field, value in asdict(PROFILES[name]).items():
        if field not in UNTRAINED and value != NEWER.get(field):
            values.append((field, value))
    digest = hashlib.sha256(repr(sorted(values)).encode()).hexdigest()[:12]
    assert digest == PINNED[name], (
        f"{values}: the same fields now mean another training: if that is on purpose, raise "
        "Run.version by one, train and ship the results again, and pin the new value here"
    )


@pytest.mark.parametrize(
    "spelling",
    [
        {"recovery": 3, "dataset": "practice", "model": "allcnn-4", "deficit": "blur-4"},
        {"onset": 1.0, "length": np.int64(2), "seed": "0", "augment": "yes"},
        {"pace": None, "weight_decay": "0.001", "windows": "flip@1+3 blank@4+1"},
        {"windows": [("blank", 4, 1), ["flip", "1", 3.0]]},
    ],
    ids=str,
)
def test_two_spellings_of_a_run_have_one_key(spelling):
    usual = {
        "profile": "ci",
        "deficit": "blur",
        "onset": 1,
        "length": 2,
        "windows": (("flip", 1, 3), ("blank", 4, 1)),
    }
    plain = Run(**usual)
    spelled = Run(**(usual | spelling))
    assert spelled == plain
    assert spelled.key == plain.key
    assert repr(spelled) == repr(plain)


OTHER = {
    "deficit": "flip",
    "profile": "course",
    "schedule": "fixed",
    "dataset": "mnist",
    "model": "allcnn-8",
    "optimizer": "adam",
    "momentum": 0,
    "arithmetic": "float32",
    "augment": False,
    "windows": (("blank", 0, 1),),
    "treatments": "renorm@1",
}


@pytest.fixture(params=[field.name for field in fields(Run)])
def pair(request):
    """Two runs that differ in one field."""
    profile = "tiny" if request.param == "images" else "ci"
    run = Run("blur", 1, 2, profile=profile, schedule="paper")
    return run, replace(run, **{request.param: OTHER.get(request.param, 7)})


def test_every_field_is_part_of_the_key_and_of_what_runs_share(pair):
    run, other = pair
    assert other.key != run.key
    assert (other.prefix_key, other.timeline) != (run.prefix_key, run.timeline)


@given(runs(treated=True))
def test_a_run_is_the_same_by_its_call_and_in_another_process(run):
    called = eval(run.call(), {"cplab": SimpleNamespace(run=Run)})
    sent = pickle.loads(pickle.dumps(run))
    for same in (called, sent):
        assert same == run
        assert same.timeline == run.timeline
    assert sent.key == run.key
