"""The benchmarks: that both sides of a ratio do the same, and that every row is made. No speed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import eyes, operations, timing, traces, training
from cplab import models
from cplab.errors import CplabError
from cplab.profiles import PROFILES
from cplab.runs import Run
from cplab.studies import linear

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


@pytest.mark.parametrize(("unit", "value", "baseline"), [("s", 2, 6), ("images/s", 5, 10 / 6)])
def test_a_ratio_is_a_speed_in_multiples_of_the_baseline_s(unit, value, baseline):
    row = timing.row("x", unit, [(1, 4), (2, 6), (3, 6)], "", "", 1 if unit == "s" else 10)
    assert (row.value, row.baseline, row.ratio) == (value, pytest.approx(baseline), 3)


def test_other_ways_to_the_trace_agree_or_their_speed_is_not_told(monkeypatch):
    monkeypatch.setattr(timing, "ROUNDS", 1)
    monkeypatch.setattr(traces, "LIBRARIES", {})
    [row] = traces.rows(CPU, "practice", 4)
    assert row.ratio > 0
    for name, way in {"curvlinops": traces.by_curvlinops, "backpack": traces.by_backpack}.items():
        pytest.importorskip(name)
        assert traces.against(name, way, *traces.network(CPU, "practice", 7))
    monkeypatch.setattr(traces, "by_jacrev", lambda net, x: {"24": 1.0})
    with pytest.raises(CplabError, match="differ"):
        traces.rows(CPU, "practice", 4)


@pytest.mark.parametrize(("width", "size"), [(8, 16), (96, 32)])
def test_operations_are_those_of_the_convolutions(width, size):
    run = Run(profile="paper" if size == 32 else "course", model=f"allcnn-{width}")
    net, forward, both = models.build(run.model, 3, size), 0, 0
    for number, layer in enumerate(m for m in net.modules() if isinstance(m, torch.nn.Conv2d)):
        size //= layer.stride[0]
        one = 2 * layer.weight.numel() * size**2  # a product and a sum for each weight and place
        forward += one
        both += (2 + (number > 0)) * one  # the first layer passes nothing back to the image
    assert operations.testing(run) == forward
    assert operations.training(run) == both
    p = run.settings
    assert operations.epoch(run) == p.train_images * both + p.test_images * forward


def test_operations_of_full_connections_are_their_weights():
    run = Run(profile="mnist")
    layers = [m for m in models.build(run.model, 1, 32).modules() if hasattr(m, "in_features")]
    assert operations.testing(run) == sum(2 * m.in_features * m.out_features for m in layers)


def test_training_has_its_rows(monkeypatch, small_mnist):
    small = replace(PROFILES["ci"], name="paper", train_images=80, batch=16)
    monkeypatch.setitem(PROFILES, "paper", small)
    found = [*training.paper_size(CPU, "practice"), training.pruning_batched(CPU, 3, 2)]
    assert [row.name for row in found] == ["paper_engine", "paper_peak", "pruning_batched"]
    assert all(min(row[2:5]) > 0 for row in found)


def test_scipy_on_the_equations_of_two_eyes_ends_where_the_lab_does(monkeypatch):
    monkeypatch.setattr(timing, "ROUNDS", 1)
    ends = [[course.a[-1], course.b[-1]] for course in linear.grow(eyes.LIFE)]
    assert np.array(eyes.by_scipy()) == pytest.approx(np.array(ends), abs=1e-6)
    assert [row.name for row in eyes.rows()] == ["eyes_move", "eyes_descent"]
