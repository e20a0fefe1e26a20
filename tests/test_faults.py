"""A fault in one run leaves all others their results, and its line says whose it is and where."""

import sys

import pytest
import torch
from conftest import FRAGILE, a_run, cell, four_seeds, grown, one_line, seeds_kept
from torch import nn

import cplab
from cplab import models
from cplab.base.errors import Failed
from cplab.measure import MEASUREMENTS
from cplab.specs.digest import Reading

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")

SHAPELESS = """def shapeless(x, y, *, context):
    return (x[..., 1:] if context.seed == 2 and context.epoch == 3 else -x), y
"""
PROFILES = {"in a stack": "tiny", "one by one": "ci"}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_deficit_that_raises_for_one_seed_leaves_the_others_their_results(profile):
    runs = four_seeds(cell(FRAGILE)["fragile"], profile)
    words = "fragile fails: ValueError: no more", "epoch 3 of seed 2"
    one_line(lambda: cplab.sweep(runs, progress=False, device="cpu"), *words)
    assert seeds_kept(runs) == [0, 1, 3]


def test_the_others_have_the_bits_of_runs_without_a_fault():
    runs = four_seeds(cell(FRAGILE)["fragile"])
    others = [run for run in runs if run.seed != 2]
    assert grown(runs) == grown(others)


def test_a_deficit_that_gives_other_shapes_for_one_seed_ends_that_one_alone():
    runs = four_seeds(cell(SHAPELESS)["shapeless"])
    words = "shapeless returns other images", "epoch 3 of seed 2"
    one_line(lambda: cplab.sweep(runs, progress=False, device="cpu"), *words)
    assert seeds_kept(runs) == [0, 1, 3]


@pytest.fixture
def brittle(monkeypatch):
    """A network of one's own that fails after some epochs where it was born weak, as one of three
    seeds is."""

    def wear_out(layer, x):
        layer.passes += 1
        if layer.is_weak and layer.passes == 20:
            raise ValueError("worn out")

    def build(width, channels, size, classes):
        net = nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, classes))
        net[0].passes = 0
        net[0].is_weak = torch.rand(()).item() < 0.2
        net[0].register_forward_pre_hook(wear_out)
        return net

    own = Reading(build).definition()
    entry = models.Model("brittle", build, "brittle", own=own)
    monkeypatch.setitem(models.MODELS, "brittle", entry)
    return "brittle-1"


def test_a_students_network_that_fails_ends_only_its_run(brittle):
    runs = [a_run(seed=seed, model=brittle, recovery=12) for seed in range(3)]
    words = "brittle fails: ValueError: worn out", "of seed"
    one_line(lambda: cplab.sweep(runs, progress=False, device="cpu"), *words)
    assert len(seeds_kept(runs)) == 2


def test_a_measurement_that_fails_for_one_run_leaves_the_others_theirs(monkeypatch):
    runs = [a_run(seed=seed) for seed in range(3)]
    norms = MEASUREMENTS["weight_norms"]
    calls = []

    def failing(net, images):
        calls.append(net)
        if len(calls) == 6:
            raise ValueError("no norm")
        return norms.apply(net, images)

    changed = cplab.measure.Measurement("weight_norms", failing, "norms", copied=False)
    monkeypatch.setitem(MEASUREMENTS, "weight_norms", changed)
    with pytest.raises(Failed, match="no norm"):
        cplab.sweep(runs, {"weight_norms": "every"}, progress=False, device="cpu")
    assert len(seeds_kept(runs)) == 2


COUNT = """@cplab.experiment(version=1)
def count(seed: int = 0):
    if seed == 2:
        raise ValueError("lost count")
    return {"at": seed}
"""


def test_an_experiment_that_fails_leaves_the_others_their_values():
    count = cell(COUNT, cplab=cplab)["count"]
    specs = [count.spec(seed=seed) for seed in range(4)]
    words = "count fails: ValueError: lost count", "seed=2"
    one_line(lambda: cplab.sweep(specs, progress=False), *words)
    assert seeds_kept(specs) == [0, 1, 3]


def test_an_error_in_every_run_is_reported_once_with_a_count():
    text = FRAGILE.replace("context.seed == 2 and ", "")
    runs = four_seeds(cell(text)["fragile"])
    one_line(lambda: cplab.sweep(runs, progress=False, device="cpu"), "fragile fails", "3 more")
    assert seeds_kept(runs) == []


def test_a_program_without_a_console_trains(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    runs = [a_run(seed=seed) for seed in range(2)]
    assert len(cplab.sweep(runs, device="cpu")) == 2
