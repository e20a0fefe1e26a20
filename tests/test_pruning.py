"""Growth and pruning of synapses: counts, masks, gradients, controls, and what is kept of them."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import one_line

from cplab import results
from cplab.labs import lab05_growth as growth
from cplab.labs import lab05_nets as nets
from cplab.labs.lab05_growth import search, unpack_architecture
from cplab.labs.lab05_retraining import ORIGINS, make_control, retrain

SHORT = {"n": 60, "gamma": 2.0}  # of 85 steps, at most 80 % dense

pytestmark = pytest.mark.usefixtures("small_mnist")


def test_the_thesis_numbers():
    assert growth.search_steps() == 13_125
    assert growth.expected_density(5000) == 90
    # of 12,544, all but half of 12,560
    assert (growth.born_synapses(50, 1), growth.born_synapses(50, 2)) == ([6264], [6264, 75])
    grows, changes = growth.draw_changes(seed=3)
    first = np.abs(changes[:9000, 0])  # rounded at random, with the right expectation
    assert {*first.tolist()} == {2, 3}
    assert first.mean() == pytest.approx(2.0096, abs=4 * math.sqrt(0.0096 / 9000))
    assert (np.sign(changes[:9000, 0]) == np.where(grows[:9000], 1, -1)).all()


@pytest.mark.parametrize(("output", "optimizer"), [("dense", "adam"), ("pruned", "sgd")])
def test_at_every_step_the_weakest_die_and_dead_ones_are_zero(monkeypatch, output, optimizer):
    seen, step = [], nets.take_step

    def look(net, *batch):
        alive = [each[:, :-1] > 0 for each in net.alive]
        step(net, *batch)
        seen.append(([w[:, :-1].clone() for w in net.weights], alive))

    monkeypatch.setattr(nets, "take_step", look)
    search.compute(**SHORT, output=output, optimizer=optimizer)
    _, changes = growth.draw_changes(**SHORT, output=output)
    born = [*growth.born_synapses(50, changes.shape[1]), 160][:2]
    counts = born + np.pad(changes, ((0, 0), (0, 2)))[:, :2].cumsum(0)
    previous = None
    for (weights, alive), count in zip(seen, counts, strict=True):
        assert [each.sum() for each in alive] == [*count]
        for layer in range(2):
            assert (weights[layer][~alive[layer]] == 0).all()
            if previous and (gone := previous[1][layer] & ~alive[layer]).any():
                assert not (alive[layer] & ~previous[1][layer]).any()  # none grow meanwhile
                strength = previous[0][layer].abs()
                kept = strength[alive[layer]]
                assert not len(kept) or strength[gone].max() <= kept.min()
        previous = weights, alive


def autograd(weights, x, y):
    """The loss's gradients, by torch."""
    own = [w.clone().requires_grad_() for w in weights]
    hidden = F.linear(x / 255, own[0][:, :-1], own[0][:, -1]).relu()
    loss = F.cross_entropy(F.linear(hidden, own[1][:, :-1], own[1][:, -1]), y)
    return torch.autograd.grad(loss, own)


def test_steps_are_those_of_torchs_adam_and_gradients_those_of_autograd():
    net = nets.build_net(growth.dense(), 0, "adam", nets.EVERY_PIXEL, torch.device("cpu"))
    own = [w.clone() for w in net.weights]
    optimizer = torch.optim.Adam(own, 0.001, eps=1e-7)
    x, y = torch.rand(50, 784) * 255, torch.arange(50) % 10
    for _ in range(5):
        nets.take_step(net, x, y)
        for weight, gradient in zip(own, autograd(own, x, y), strict=True):
            weight.grad = gradient
        optimizer.step()
    for ours, theirs in zip(net.weights, own, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-3)
    double = [w.double() for w in own]
    ours = nets.written_gradients(double, x.double(), y)
    for one, other in zip(ours, autograd(double, x.double(), y), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("kind", ["random", "inked", "per_pixel", "degrees"])
def test_controls_keep_what_they_claim_and_nothing_else(kind):
    random = np.random.default_rng(0)
    # more synapses at some pixels and units than at others
    chance = np.linspace(0, 0.5, 784) * np.linspace(0.2, 1, 16)[:, None]
    found = [random.random((16, 784)) < chance, random.random((10, 16)) < 0.7]
    ink = np.arange(784) >= 100
    other = make_control(kind, found, ink, random)
    for ours, theirs in zip(other, found, strict=True):
        assert ours.sum() == theirs.sum()
        assert (ours != theirs).any()
        per_pixel, per_unit = ((ours.sum(a) == theirs.sum(a)).all() for a in (0, 1))
        assert per_pixel == (kind in ("per_pixel", "degrees"))
        assert per_unit == (kind == "degrees")
    assert kind != "inked" or not other[0][:, ~ink].any()


def test_retrainings_are_kept_with_their_searches():
    source = search.spec(**SHORT, keep=(0.1, 0.2))
    wanted = [retrain.spec(kind, 0.2, source, steps=20) for kind in ORIGINS]
    wanted += [retrain.spec("random", 0.1, source, steps=20), source]
    found = dict(results.collect(wanted, workers=1))
    assert {*found} == {*wanted}  # and not what one of them begins with
    counts = {spec.kind: found[spec].values["counts"] for spec in wanted[:-2]}
    assert counts.pop("dense") == [12_544, 160]
    assert len({*map(tuple, counts.values())}) == 1
    assert dict(results.collect(wanted)) == found
    alive = unpack_architecture(found[source].values["architectures"]["0.2"]["alive"])
    assert [each.sum() for each in alive] == counts["biological"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: search(gamma=0.03), "125 %"),
        (lambda: search("practice", mixed=0.1), "mixed"),
        (lambda: retrain(density=0.5, search=search.spec(**SHORT)), "keep"),
    ],
)
def test_what_is_not_allowed_is_one_clear_line(make, words):
    one_line(make, words)
