"""Runs: schedules, phases, controls, keys, and what is refused."""

import hashlib
import pickle
from dataclasses import FrozenInstanceError, astuple, fields, replace
from types import SimpleNamespace

import numpy as np
import pytest

from cplab.experiment import DEFICITS, LATER, PROFILES, PROTOCOL, CplabError, Run

BUMP = (
    "the same fields now mean another training: if that is on purpose, raise experiment.PROTOCOL "
    "by one, train and ship the records again, and pin the new value here"
)


def rates(**fields):
    return [step.lr for step in Run(**fields).steps]


# Schedules --------------------------------------------------------------------------------------


def test_paper_schedule_decays_by_3_percent_in_each_of_the_papers_epochs():
    got = rates(profile="paper", deficit="blur", onset=40, length=60, recovery=300)
    assert got == pytest.approx([0.05 * 0.97**epoch for epoch in range(400)], rel=1e-12)


@pytest.mark.parametrize(("profile", "pace"), [("paper", 1), ("colab", 5), ("course", 10)])
def test_one_epoch_of_a_small_profile_decays_like_several_of_the_papers(profile, pace):
    got = rates(profile=profile, schedule="paper", onset=3, recovery=3)
    assert got == pytest.approx([0.05 * 0.97 ** (pace * epoch) for epoch in range(6)], rel=1e-12)


def test_fixed_schedule_has_the_papers_fixed_rate():
    assert rates(profile="paper", schedule="fixed", deficit="flip", length=2, recovery=3) == (
        [0.001] * 5
    )


def test_recovery_schedule_is_constant_and_then_falls_linearly_over_the_recovery_epochs():
    got = rates(profile="course", deficit="blur", onset=2, length=3, recovery=4)
    assert got == pytest.approx([0.02] * 5 + [0.02, 0.015, 0.01, 0.005], rel=1e-12)


def test_recovery_schedule_without_recovery_epochs_is_constant():
    assert rates(profile="course", onset=3, recovery=0) == [0.02] * 3


def test_unsaid_schedule_is_the_profiles():
    assert Run(profile="paper").schedule == "paper"
    assert Run(profile="course").schedule == "recovery"


def test_adam_s_rates_are_a_fiftieth_of_the_schedule_s(random_runs):
    assert Run(profile="paper", optimizer="adam").steps[0].lr == pytest.approx(0.001)
    for run in random_runs[:200]:
        sgd, adam = (replace(run, optimizer=name) for name in ("sgd", "adam"))
        assert [s.lr for s in adam.steps] == pytest.approx([s.lr / 50 for s in sgd.steps])
        assert [s.deficit for s in adam.steps] == [s.deficit for s in sgd.steps]


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        ({"profile": "course"}, "allcnn-16"),
        ({"profile": "mnist"}, "fc-500"),
        ({"profile": "paper"}, "allcnn-96"),
        ({"profile": "paper", "model": "fc"}, "fc-2500"),
        ({"profile": "course", "model": "fc"}, "fc-417"),  # 16 / 96 · 2500
        ({"profile": "mnist", "model": "allcnn"}, "allcnn-19"),  # 500 / 2500 · 96
        ({"profile": "mnist", "model": "fc-2500"}, "fc-2500"),
        ({"profile": "paper", "model": "resnet18"}, "resnet18-64"),
        ({"profile": "course", "model": "resnet18"}, "resnet18-11"),
        ({"profile": "paper", "model": "depth3"}, "depth3-96"),
        ({"profile": "course", "model": "depth1"}, "depth1-16"),
        ({"profile": "course", "model": "depth2-24"}, "depth2-24"),
    ],
    ids=str,
)
def test_a_model_is_as_wide_as_the_profile_is_in_proportion_to_the_paper_s(fields, model):
    assert Run(**fields).model == model


@pytest.mark.parametrize(
    ("model", "schedule", "rate", "weight_decay"),
    [
        ("allcnn", "paper", 0.05, 0.001),
        ("allcnn", "fixed", 0.001, 0.001),
        ("resnet18", "paper", 0.1, 0.0005),
        ("depth1", "fixed", 0.001, 0.001),
        ("depth3", "fixed", 0.001, 0.001),
        ("fc", "fixed", 0.005, 0),
    ],
)
def test_rates_and_weight_decay_of_each_model_are_the_papers(model, schedule, rate, weight_decay):
    run = Run(profile="paper", model=model, schedule=schedule, onset=2, recovery=2)
    factor = 0.97 if schedule == "paper" else 1
    assert [s.lr for s in run.steps] == pytest.approx([rate * factor**e for e in range(4)])
    assert run.settings.weight_decay == weight_decay


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("schedule", ["paper", "recovery"])
def test_a_resnet_has_twice_the_rate_and_half_the_weight_decay_in_every_profile(profile, schedule):
    wide, other = (
        Run(profile=profile, model=model, schedule=schedule, deficit="blur", length=3)
        for model in ("resnet18", "allcnn")
    )
    assert [s.lr for s in wide.steps] == pytest.approx([2 * s.lr for s in other.steps])
    assert wide.settings.weight_decay == other.settings.weight_decay / 2


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("model", ["allcnn", "fc", "depth2"])
def test_models_that_have_records_keep_the_profile_s_values(profile, model):
    if model != "fc" or profile not in ("colab", "paper"):
        assert Run(profile=profile, model=model).settings == PROFILES[profile]


# Phases and controls ----------------------------------------------------------------------------


def test_phases_follow_each_other_and_the_deficit_is_in_its_own_alone():
    run = Run(profile="ci", deficit="noise", onset=2, length=3, recovery=4)
    phases = [run.phase(epoch) for epoch in range(run.epochs)]
    assert phases == ["clear"] * 2 + ["deficit"] * 3 + ["recovery"] * 4
    assert [step.deficit for step in run.steps] == ["none"] * 2 + ["noise"] * 3 + ["none"] * 4
    assert (run.end, run.epochs) == (5, 9)


def test_equal_training_has_the_same_rates_and_never_a_deficit(random_runs):
    for run in random_runs:
        control = run.equal_training()
        assert [step.lr for step in control.steps] == [step.lr for step in run.steps]
        assert {step.deficit for step in control.steps} == {"none"}
        assert replace(run, deficit="none", onset=run.end, length=0) == control


def test_newborn_has_the_recovery_epochs_alone(random_runs):
    for run in (run for run in random_runs if run.recovery):
        newborn = run.newborn()
        assert newborn.epochs == run.recovery
        assert (newborn.deficit, newborn.onset, newborn.length) == ("none", 0, 0)
        if run.schedule == "recovery":
            assert newborn.steps == run.steps[run.end :]


def test_a_deficit_of_length_0_is_none_with_the_same_key():
    clear = Run(onset=5)
    for deficit in (*DEFICITS, "blur-2"):
        assert Run(deficit=deficit, onset=5, length=0) == clear
        assert Run(deficit=deficit, onset=5, length=0).key == clear.key


# Keys -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "key"),
    [
        (Run(), "5cedbc4a1b025d84"),
        (Run(deficit="blur", length=8), "06225cfa645809fa"),
        (Run(deficit="flip", length=8), "3bb46bbc948b49d1"),
        (Run(deficit="permute", length=8), "91ed6c31b54e0126"),
        (Run(deficit="noise", onset=4, length=6, seed=3), "64af2c561251cfd0"),
        (Run(deficit="blur-8", length=2, profile="colab"), "6559aecb778b3674"),
        (Run(deficit="blur", length=60, profile="paper"), "490d46f9f079dbcc"),
        (
            Run(
                onset=5,
                recovery=0,
                profile="ci",
                schedule="fixed",
                dataset="mnist",
                model="allcnn-8",
            ),
            "88887f99b47245d5",
        ),
        (Run(profile="mnist"), "6326aede87e21f49"),
        (Run(profile="ci", optimizer="adam", trace="0,4"), "0def13994ed2c5ee"),
        (Run(profile="paper", model="resnet18", deficit="blur", length=40), "77692d79c4a6f7c4"),
        (Run(model="depth2", schedule="fixed"), "a4afc61db19ca832"),
        (Run(profile="paper", momentum=0), "684de40e693b79eb"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.call(),
)
def test_keys_stay_what_they_are(run, key):
    assert run.key == key, f"{run.canonical}: {BUMP}"


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("ci", "f9071cae1fd5"),
        ("course", "7796a7128e43"),
        ("fit", "1233dba375d6"),
        ("mnist", "b14c74a43e28"),
        ("colab", "4c56613ad358"),
        ("paper", "898a203955ec"),
    ],
)
def test_profiles_stay_what_they_are(name, digest):
    """A key names its profile and not the profile's values."""
    values = astuple(PROFILES[name])
    assert hashlib.sha256(repr(values).encode()).hexdigest()[:12] == digest, f"{values}: {BUMP}"


def test_every_profile_is_pinned_above():
    assert [*PROFILES] == ["ci", "course", "fit", "mnist", "colab", "paper"]


def test_paper_profile_has_the_values_of_the_papers_methods_section():
    paper = PROFILES["paper"]
    assert (paper.dataset, paper.size, paper.width) == ("cifar10", 32, 96)
    assert (paper.train_images, paper.test_images) == (50_000, 10_000)
    assert (paper.schedule, paper.paper_lr, paper.pace) == ("paper", 0.05, 1)
    assert (paper.fixed_lr, paper.weight_decay, paper.batch) == (0.001, 0.001, 128)
    assert (paper.shift, paper.mirror, paper.recovery) == (4, True, 300)


def test_the_canonical_string_says_everything(random_runs):
    for run in random_runs:
        said = dict(part.split("=") for part in run.canonical.split())
        assert said.pop("protocol") == str(PROTOCOL)
        assert Run(**said) == run


@pytest.mark.parametrize("later", LATER)
def test_a_field_that_came_later_is_in_no_name_where_it_changes_nothing(random_runs, later):
    for run in random_runs:
        said = dict(part.split("=") for part in run.canonical.split())
        assert (later in said) == (getattr(run, later) != LATER[later])


def test_keys_are_equal_where_runs_are(random_runs):
    keys = {run: run.key for run in random_runs}
    assert len(set(keys.values())) == len(keys) < len(random_runs)
    assert all(len(key) == 16 and int(key, 16) >= 0 for key in keys.values())


@pytest.mark.parametrize(
    "spelling",
    [
        {"recovery": 3},
        {"schedule": "recovery"},
        {"dataset": "practice"},
        {"model": "allcnn-4"},
        {"deficit": "blur-4"},
        {"onset": 1.0, "length": np.int64(2), "seed": "0"},
        {"optimizer": "sgd", "trace": "none"},
        {"momentum": "0.9"},
    ],
)
def test_two_spellings_of_a_run_have_one_key(spelling):
    plain = Run(profile="ci", deficit="blur", onset=1, length=2)
    spelled = Run(**{"profile": "ci", "deficit": "blur", "onset": 1, "length": 2, **spelling})
    assert spelled == plain
    assert spelled.key == plain.key
    assert type(spelled.onset) is type(spelled.length) is type(spelled.seed) is int


@pytest.mark.parametrize("field", [field.name for field in fields(Run)])
def test_every_field_is_part_of_the_key(field):
    run = Run(profile="ci", deficit="blur", onset=1, length=2)
    other = {
        "deficit": "flip",
        "profile": "course",
        "schedule": "fixed",
        "dataset": "mnist",
        "model": "allcnn-8",
        "optimizer": "adam",
        "trace": "every",
        "momentum": 0,
        "arithmetic": "float32",
    }
    assert replace(run, **{field: other.get(field, 7)}).key != run.key


def test_momentum_is_the_run_s_and_no_beginning_is_shared_with_another():
    plain, other = Run(profile="ci"), Run(profile="ci", momentum=0)
    assert (plain.settings.momentum, other.settings.momentum) == (0.9, 0.0)
    assert plain.origin != other.origin
    assert len(plain.origin) == 7  # as before there was a choice: checkpoints stay valid
    assert "momentum=0.0" in other.canonical


def test_no_beginning_is_shared_with_a_run_of_another_arithmetic():
    plain, other = Run(profile="ci"), Run(profile="ci", arithmetic="float32")
    assert plain.origin != other.origin
    assert "arithmetic" not in plain.canonical
    assert other.canonical.endswith("arithmetic=float32")


def test_call_gives_the_same_run_back(random_runs):
    cplab = SimpleNamespace(run=lambda **fields: Run(**fields))
    for run in random_runs:
        assert eval(run.call(), {"cplab": cplab}) == run


def test_call_says_no_more_than_it_must():
    call = Run(deficit="blur", onset=4, length=12).call()
    assert call == "cplab.run(deficit='blur', onset=4, length=12, profile='course', seed=0)"


def test_a_run_survives_the_way_to_another_process(random_runs):
    for run in random_runs[:50]:
        copy = pickle.loads(pickle.dumps(run))
        assert (copy, copy.key, copy.steps) == (run, run.key, run.steps)
    long = Run(onset=10_000)
    assert long.steps
    assert len(pickle.dumps(long)) < 1000  # every report of a worker takes it along


def test_a_run_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Run().seed = 1


# Traces -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("none", "none"),
        ("every", "every"),
        ("4,0,4", "0,4"),
        ("10, 9 ,100", "9,10,100"),
        ("3", "3"),
        ([9, 4, 0], "0,4,9"),
        ({2, np.int64(1)}, "1,2"),
        (range(0, 7, 3), "0,3,6"),
        ((e for e in (1, 0)), "0,1"),
        (np.arange(3), "0,1,2"),
    ],
    ids=str,
)
def test_epochs_of_a_trace_have_one_spelling(written, normal):
    run = Run(profile="ci", trace=written)
    assert run.trace == normal
    assert run.key == Run(profile="ci", trace=normal).key


@pytest.mark.parametrize(
    "value",
    ["", "x", "all", "0,", ",", "0;4", "-1", "0,-4", "1.5", "every,0", "none,0", "1\n2",
     "2147483648", 3, None, True, [], (), {}, [True], [1.5], ["every"], [[0]], 0.5],
    ids=repr,
)  # fmt: skip
def test_a_trace_that_is_none_is_refused(value):
    with pytest.raises(CplabError) as error:
        Run(trace=value)
    assert says(error, "trace", repr(value), "none, every", "0,4,9")


def test_a_trace_is_measured_at_its_epochs_alone():
    def epochs(trace):
        run = Run(onset=12, recovery=0, trace=trace)
        return [epoch for epoch in range(run.epochs) if run.traced(epoch)]

    assert epochs("none") == []
    assert epochs("every") == [*range(12)]
    assert epochs("1,11,40") == [1, 11]


def test_controls_are_measured_like_the_run(random_runs):
    for run in (run for run in random_runs if run.recovery):
        for control in (run.equal_training(), run.newborn()):
            assert (control.trace, control.optimizer) == (run.trace, run.optimizer)


# What is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["onset", "length", "recovery", "seed"])
@pytest.mark.parametrize(
    "value",
    [-1, 2.5, "2.5", "x", "", True, False, float("nan"), float("inf"), [3], (), {}, "1\n2", 2**70],
    ids=repr,
)
def test_a_number_that_is_none_is_refused(field, value):
    with pytest.raises(CplabError) as error:
        Run(**{"deficit": "blur", "length": 1, field: value})
    assert says(error, field, repr(value), "whole number")


@pytest.mark.parametrize("field", ["onset", "length", "seed"])
def test_none_is_refused_where_the_profile_has_no_say(field):
    with pytest.raises(CplabError) as error:
        Run(**{field: None})
    assert says(error, field, "None", "whole number")


NAMES = {
    "deficit": DEFICITS,
    "profile": ("ci", "course", "fit", "mnist", "colab", "paper"),
    "schedule": ("paper", "fixed", "recovery"),
    "dataset": ("cifar10", "mnist", "fashion_mnist", "practice"),
    "model": ("allcnn", "fc", "resnet18", "depth1", "depth2", "depth3"),
    "optimizer": ("sgd", "adam"),
}


@pytest.mark.parametrize("field", NAMES)
@pytest.mark.parametrize("value", ["nonsense", "", "two\nlines", 3, ["blur"], {"a": 1}, ()])
def test_an_unknown_name_is_refused_and_the_known_ones_are_named(field, value):
    with pytest.raises(CplabError) as error:
        Run(**{"length": 1, "deficit": "blur", field: value})
    assert says(error, field, str(value).splitlines()[0] if value else "", *NAMES[field])


@pytest.mark.parametrize(
    "deficit", ["blur-", "blur-0", "blur-x", "blur--2", "blur-2.5", "blur-²", "blur-1", "blur-17"]
)
def test_a_strength_that_blur_does_not_have_is_refused(deficit):
    with pytest.raises(CplabError) as error:
        Run(deficit=deficit, length=1)
    assert says(error, repr(deficit), "blur-2")


@pytest.mark.parametrize("deficit", [f"{d}-2" for d in DEFICITS if d != "blur"])
def test_only_blur_has_a_strength(deficit):
    with pytest.raises(CplabError) as error:
        Run(deficit=deficit, length=1)
    assert says(error, repr(deficit), "only blur", "blur-2", "blur-16")


@pytest.mark.parametrize(
    "model", ["allcnn-", "allcnn-0", "allcnn-x", "allcnn--4", "allcnn-²", "fc-"]
)
def test_a_width_that_is_none_is_refused(model):
    with pytest.raises(CplabError) as error:
        Run(model=model)
    assert says(error, repr(model), "allcnn-96")


@pytest.mark.parametrize(
    "value", [-0.1, 1, "x", "", None, True, [], float("nan"), "1\n2"], ids=repr
)
def test_a_momentum_that_is_none_is_refused(value):
    with pytest.raises(CplabError) as error:
        Run(momentum=value)
    assert says(error, "momentum", repr(value), "0 to below 1")


def test_adam_has_no_momentum_to_choose():
    with pytest.raises(CplabError) as error:
        Run(optimizer="adam", momentum=0.5)
    assert says(error, "momentum 0.5", "adam")
    assert Run(optimizer="adam", momentum=0.9) == Run(optimizer="adam")


def test_none_cannot_last():
    with pytest.raises(CplabError) as error:
        Run(deficit="none", length=3)
    assert says(error, "length 3", "onset")


@pytest.mark.parametrize("deficit", ["none", "blur"])
def test_a_run_of_no_epochs_is_refused(deficit):
    with pytest.raises(CplabError) as error:
        Run(deficit=deficit, recovery=0)
    assert says(error, "0 epochs", "onset", "length", "recovery")


def says(error, *words):
    """Whether the error is one line that holds all these words."""
    line = str(error.value)
    assert line
    assert "\n" not in line
    missing = [word for word in words if word not in line]
    assert not missing, f"{line!r} does not say {missing}"
    return True
