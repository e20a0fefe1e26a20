"""Growth and pruning of synapses. Whole searches are in test_golden."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cplab.labs import lab05_growth as growth
from cplab.labs import lab05_nets
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import make_control

SHORT = {"n": 60, "gamma": 2.0}  # of 85 steps, at most 80 % dense


class Moment(NamedTuple):
    """Both layers after a step: which synapses were alive in it, and all weights but biases."""

    alive: list[torch.Tensor]
    weights: list[torch.Tensor]


SEARCHES = [
    {**SHORT, "output": "dense", "optimizer": "adam"},
    {**SHORT, "output": "pruned", "optimizer": "sgd"},
]


@pytest.fixture(scope="module", params=SEARCHES, ids=["dense", "pruned"])
def searched(request, elsewhere):
    """A search, and each of its steps."""
    moments = []
    take_step = lab05_nets.take_step

    def look(net, *batch):
        alive = [layer[:, :-1] > 0 for layer in net.alive]
        take_step(net, *batch)
        moments.append(Moment(alive, [layer[:, :-1].clone() for layer in net.weights]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab05_nets, "take_step", look)
        elsewhere(lambda: search.compute(**request.param))
    return request.param, moments


def test_as_many_synapses_are_alive_as_the_changes_leave(searched):
    fields, moments = searched
    changes = growth.draw_changes(**SHORT, output=fields["output"])  # (steps, layers)
    born = growth.born_synapses(50, changes.shape[1])
    if fields["output"] == "dense":
        born.append(160)  # to which nothing happens
        changes = np.pad(changes, ((0, 0), (0, 1)))
    for moment, count in zip(moments, born + changes.cumsum(0), strict=True):
        assert [layer.sum() for layer in moment.alive] == list(count)


def test_dead_synapses_are_zero_after_every_step(searched):
    _, moments = searched
    for moment in moments:
        for weights, alive in zip(moment.weights, moment.alive, strict=True):
            assert (weights[~alive] == 0).all()


def deaths(moments):
    """Of each layer and step at which synapses die: which are alive before it and after it, and how
    strong all were before."""
    for before, after in pairwise(moments):
        for layer in range(2):
            if (before.alive[layer] & ~after.alive[layer]).any():
                strength = before.weights[layer].abs()
                yield before.alive[layer], after.alive[layer], strength


def test_the_weakest_synapses_die(searched):
    _, moments = searched
    for before, after, strength in deaths(moments):
        kept = strength[after]
        assert not len(kept) or strength[before & ~after].max() <= kept.min()


def test_none_grow_where_others_die(searched):
    _, moments = searched
    for before, after, _ in deaths(moments):
        assert not (after & ~before).any()


def autograd(weights, x, y):
    """The loss's gradients, by torch."""
    first, second = [layer.clone().requires_grad_() for layer in weights]
    hidden = F.linear(x / 255, first[:, :-1], first[:, -1]).relu()
    loss = F.cross_entropy(F.linear(hidden, second[:, :-1], second[:, -1]), y)
    return torch.autograd.grad(loss, [first, second])


@pytest.fixture
def net():
    return lab05_nets.build_net(
        growth.dense(), 0, "adam", lab05_nets.EVERY_PIXEL, torch.device("cpu")
    )


@pytest.fixture
def batch():
    return torch.rand(50, 784) * 255, torch.arange(50) % 10


def test_steps_are_those_of_torch_s_adam(net, batch):
    weights = [layer.clone() for layer in net.weights]
    optimizer = torch.optim.Adam(weights, 0.001, eps=1e-7)
    for _ in range(5):
        lab05_nets.take_step(net, *batch)
        for weight, gradient in zip(weights, autograd(weights, *batch), strict=True):
            weight.grad = gradient
        optimizer.step()
    for ours, theirs in zip(net.weights, weights, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-3)


def test_gradients_are_those_of_autograd(net, batch):
    x, y = batch
    weights = [layer.double() for layer in net.weights]
    written = lab05_nets.written_gradients(weights, x.double(), y)
    for ours, theirs in zip(written, autograd(weights, x.double(), y), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-14)


BLANK = 100  # pixels that are never inked
KINDS = ["random", "inked", "per_pixel", "degrees"]


class Drawn(NamedTuple):
    """A network that a search left, and the control that was drawn for it: both layers' masks."""

    kind: str
    left: list[np.ndarray]
    control: list[np.ndarray]


def draw_control(kind):
    """A control of a network that has more synapses at some pixels and units than at others."""
    random = np.random.default_rng(0)
    chance = np.linspace(0, 0.5, 784) * np.linspace(0.2, 1, 16)[:, None]
    left = [random.random((16, 784)) < chance, random.random((10, 16)) < 0.7]
    inked = np.arange(784) >= BLANK
    return Drawn(kind, left, make_control(kind, left, inked, random))


@pytest.fixture(scope="module", params=KINDS)
def drawn(request):
    return draw_control(request.param)


def test_a_control_has_as_many_synapses_in_each_layer(drawn):
    for control, left in zip(drawn.control, drawn.left, strict=True):
        assert control.sum() == left.sum()


def test_a_control_has_other_synapses(drawn):
    for control, left in zip(drawn.control, drawn.left, strict=True):
        assert (control != left).any()


def test_only_controls_that_say_so_keep_the_synapses_of_each_pixel(drawn):
    for control, left in zip(drawn.control, drawn.left, strict=True):
        kept = (control.sum(0) == left.sum(0)).all()
        assert kept == (drawn.kind in ("per_pixel", "degrees"))


def test_only_the_control_of_degrees_keeps_the_synapses_of_each_unit(drawn):
    for control, left in zip(drawn.control, drawn.left, strict=True):
        kept = (control.sum(1) == left.sum(1)).all()
        assert kept == (drawn.kind == "degrees")


def test_the_control_of_inked_pixels_leaves_blank_ones_out():
    first, _ = draw_control("inked").control
    assert not first[:, :BLANK].any()
