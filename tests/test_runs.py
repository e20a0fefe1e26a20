"""Runs: schedules, phases, controls, windows, keys; and specs of other kinds."""

import copy
import hashlib
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


PAPER = {"profile": "paper", "schedule": "paper", "recovery": 50}
CASES = (
    ({**PAPER, "onset": 4, "recovery": 46}, [0.05 * 0.97**e for e in range(50)]),
    ({**PAPER, "model": "resnet18"}, [0.1 * 0.97**e for e in range(50)]),
    ({**PAPER, "pace": 2.5}, [0.05 * 0.97 ** (2.5 * e) for e in range(50)]),
    ({**PAPER, "schedule": "fixed", "model": "fc"}, [0.005] * 50),
    ({"onset": 5, "recovery": 4}, [0.02] * 5 + [0.02, 0.015, 0.01, 0.005]),
    ({"onset": 3, "recovery": 0}, [0.02] * 3),
)


@pytest.mark.parametrize(("fields", "expected"), CASES)
def test_rates_are_the_paper_s_or_fall_linearly_over_the_recovery_epochs(fields, expected):
    run = Run(**fields)
    assert rates(run) == pytest.approx(expected, rel=1e-12)
    adam, tripled = replace(run, optimizer="adam"), replace(run, rate=3)
    assert rates(adam) == pytest.approx([rate / 50 for rate in expected])
    assert rates(tripled) == pytest.approx([rate * 3 for rate in expected])


@given(runs())
def test_each_epoch_has_the_deficits_of_the_windows_around_it(run):
    windows = [*run.windows, (run.deficit, run.onset, run.length)]
    for epoch, names in enumerate(deficits_of(run)):
        around = [name for name, first, long in windows if first <= epoch < first + long]
        assert sorted(names.split("+")) == sorted(around or ["none"])


@given(runs())
def test_controls_have_the_run_s_rates_and_never_a_deficit(run):
    control = run.equal_training()
    assert control == control.equal_training()
    assert rates(control) == rates(run)
    assert {*deficits_of(control)} == {"none"}
    if run.recovery:
        newborn = run.newborn()
        assert newborn == newborn.newborn() == control.newborn()
        assert deficits_of(newborn) == ["none"] * run.recovery
        assert run.schedule != "recovery" or rates(newborn) == rates(run)[run.end :]


@given(runs())
def test_without_its_window_a_life_is_the_same_but_for_the_epochs_that_are_cut_out(run):
    assume(run.onset + run.recovery)
    cut, late = run.without_window(), run.without_window("running")
    before, after = rates(run)[: run.onset], rates(run)[run.end :]
    assert cut == cut.without_window()
    assert rates(late) == before + after  # the clock goes on while nothing is trained
    if run.schedule == "paper":
        assert rates(cut) == rates(run)[: run.epochs - run.length]
    else:  # which knows nothing of epochs that pass
        assert cut == late == replace(late, skipped=7)
    assert run.onset or cut == run.newborn()


PINNED = {"ci": "28a9fb801570", "course": "f92d109397ce", "fit": "10265014ad1e"}
PINNED |= {"mnist": "d72aaaa726f0", "matched": "47d228a6cff6", "slim": "095ed9ba6063"}
PINNED |= {"paper": "2c9f0a7a85a0", "tiny": "fea533ce5aac"}


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_stay_what_they_are_and_all_are_pinned(name):
    """A key names its profile and not the profile's values."""
    # what these fields were before
    newer = {"arithmetic": "native", "pad": True, "own_images": 0, "stacked": False}
    pairs = asdict(PROFILES[name]).items()
    values = sorted((k, v) for k, v in pairs if k != "words" and v != newer.get(k))
    digest = hashlib.sha256(repr(values).encode()).hexdigest()[:12]
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
    usual = {"profile": "ci", "deficit": "blur", "onset": 1, "length": 2}
    usual["windows"] = ("flip", 1, 3), ("blank", 4, 1)
    plain, spelled = Run(**usual), Run(**{**usual, **spelling})
    assert (spelled, spelled.key, repr(spelled)) == (plain, plain.key, repr(plain))


OTHER = {"deficit": "flip", "profile": "course", "schedule": "fixed", "dataset": "mnist"}
OTHER |= {"model": "allcnn-8", "optimizer": "adam", "momentum": 0, "arithmetic": "float32"}
OTHER |= {"augment": False, "windows": (("blank", 0, 1),), "treatments": "renorm@1"}


@pytest.mark.parametrize("field", [field.name for field in fields(Run)])
def test_every_field_is_part_of_the_key_and_of_what_is_shared(field):
    profile = "tiny" if field == "images" else "ci"
    run = Run("blur", 1, 2, profile=profile, schedule="paper")
    other = replace(run, **{field: OTHER.get(field, 7)})
    assert other.key != run.key
    assert (other.prefix_key, other.timeline) != (run.prefix_key, run.timeline)


@given(runs(treated=True))
def test_a_run_is_the_same_as_a_call_and_in_another_process(run):
    called = eval(run.call(), {"cplab": SimpleNamespace(run=Run)})
    for other in (called, copy.copy(run)):  # as pickle does it
        assert (other, other.key, other.timeline) == (run, run.key, run.timeline)
