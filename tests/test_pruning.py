"""Growth and pruning of synapses, kernels and weights. Whole searches are in test_golden."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import lively

from cplab import models
from cplab.labs import lab05_growth as growth
from cplab.labs import lab05_nets
from cplab.labs import lab05b_nets as nets
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import make_control
from cplab.labs.lab05b_pruning import prune_weights
from cplab.runs.tasks import Classification

SHORT = {"n": 60, "gamma": 2.0}  # of 85 steps, at most 80 % dense

pytestmark = pytest.mark.usefixtures("small_mnist")


@pytest.mark.parametrize(("output", "optimizer"), [("dense", "adam"), ("pruned", "sgd")])
def test_at_every_step_the_weakest_die_and_dead_ones_are_zero(monkeypatch, output, optimizer):
    seen, step = [], lab05_nets.take_step

    def look(net, *batch):
        alive = [each[:, :-1] > 0 for each in net.alive]
        step(net, *batch)
        seen.append(([w[:, :-1].clone() for w in net.weights], alive))

    monkeypatch.setattr(lab05_nets, "take_step", look)
    search.compute(**SHORT, output=output, optimizer=optimizer)
    changes = growth.draw_changes(**SHORT, output=output)
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
    cpu = torch.device("cpu")
    net = lab05_nets.build_net(growth.dense(), 0, "adam", lab05_nets.EVERY_PIXEL, cpu)
    own = [w.clone() for w in net.weights]
    optimizer = torch.optim.Adam(own, 0.001, eps=1e-7)
    x, y = torch.rand(50, 784) * 255, torch.arange(50) % 10
    for _ in range(5):
        lab05_nets.take_step(net, x, y)
        for weight, gradient in zip(own, autograd(own, x, y), strict=True):
            weight.grad = gradient
        optimizer.step()
    for ours, theirs in zip(net.weights, own, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-3)
    double = [w.double() for w in own]
    ours = lab05_nets.written_gradients(double, x.double(), y)
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


@pytest.mark.parametrize("pixels", [17, 32])
def test_the_smaller_network_gives_what_the_masked_one_gives(pixels):
    """Whose other kernels' outputs are set to zero after batch norm."""
    torch.manual_seed(0)
    net = lively(nets.kernel_net((6, 10), (12, 8), pixels=pixels)).double().eval()
    x = masked = torch.randn(5, 3, pixels, pixels, dtype=torch.double)
    kept = {3: torch.tensor([0, 2, 5]), 7: torch.tensor([1, 2, 3, 9])}
    for i, layer in enumerate(net):
        masked = layer(masked)
        if i in kept:
            gone = torch.ones(masked.shape[1], dtype=torch.bool)
            gone[kept[i]] = False
            masked[:, gone] = 0
    nets.keep_kernels(net, *kept.values())
    torch.testing.assert_close(net(x), masked)


def test_fisher_saliency_is_the_weights_square_times_its_squared_gradients():
    torch.manual_seed(0)
    net = lively(models.build("allcnn-4", channels=2, size=8, classes=3)).double().eval()
    x = torch.randn(4, 2, 8, 8, dtype=torch.float64)
    weights = [layer.weight for layer in nets.ranked_layers(net).values()]
    expected = torch.zeros(sum(w.numel() for w in weights), dtype=torch.float64)
    for log_p in net(x).log_softmax(1).flatten():
        grads = torch.autograd.grad(log_p, weights, retain_graph=True)
        parts = [(w * g).square().flatten() for w, g in zip(weights, grads, strict=True)]
        expected += (torch.cat(parts) * log_p.exp() / len(x)).detach()
    found = [part.flatten() for part in nets.weight_saliency(net, x, "fisher").values()]
    torch.testing.assert_close(torch.cat(found), expected, rtol=1e-9, atol=0)


def test_pruned_weights_stay_0_and_the_rest_learn(monkeypatch):
    """As a test after each epoch finds it."""
    seen, test = [], Classification.test

    def look(task, net, images):
        layers = nets.ranked_layers(net).values()
        seen.append(torch.cat([layer.weight.flatten() for layer in layers]).detach())
        return test(task, net, images)

    monkeypatch.setattr(Classification, "test", look)
    how = {"training": 1, "retraining": 1, "length": 1, "recovery": 1, "device": "cpu"}
    prune_weights.compute("ci", "fisher", 0.3, "blur", **how)
    trained, *_, pruned, retrained, _, blurred, end, _ = seen
    assert trained.all()
    for before, after in pairwise((pruned, retrained, blurred, end)):
        assert (after != 0).double().mean() == pytest.approx(0.3, abs=0.001)
        assert torch.equal(after == 0, before == 0)
        assert not torch.equal(after, before)
