"""Pruning of kernels and of single weights: what goes, that it stays out, and what comes after."""

import pytest
import torch
from conftest import one_line
from torch import nn

from cplab import models
from cplab.labs import lab05b_nets as nets
from cplab.labs import lab05b_pruning as pruning

CPU = torch.device("cpu")
LIFE = {"profile": "ci", "training": 2, "retraining": 1, "recovery": 1}


def lively(net):
    """The same network, in double precision, with batch norms that do something."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.02, 0.1)  # small enough for all layers to matter
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, 0, 0.5)
    return net.double().eval()


# Kernels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixels", [17, 32])
def test_the_smaller_network_gives_what_the_masked_one_gives(pixels):
    """Whose other kernels' outputs are set to zero after batch norm."""
    torch.manual_seed(0)
    net = lively(nets.kernel_net((6, 10), (12, 8), pixels=pixels))
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


@pytest.mark.parametrize("material", pruning.MATERIALS)
def test_a_critical_period_ends_at_few_kernels_of_what_it_is_called(material):
    found = pruning.prune_kernels("ci", material)
    totals = [a + b for a, b in zip(found["first"], found["second"], strict=True)]
    assert totals == [12, 12, 9, 6, 3]
    assert found["phase"] == ["training"] * 2 + ["pruning"] * 3
    x, y, images = nets.make_material("ci", material, 0, "cpu")
    assert torch.equal(x, images.normal(images.train_x)) is (material != "noise")
    assert torch.equal(y, images.train_y) is (material == "images")
    assert abs(x.std() - 1) < 0.05
    assert y.bincount(minlength=10).min() > 10


# Single weights -----------------------------------------------------------------------------------


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = models.build("allcnn-4", channels=2, size=8, classes=3)
    return lively(net.to(memory_format=torch.contiguous_format))  # so that a flat weight is a view


def flat(tensors):
    return torch.cat([t.flatten() for t in tensors.values()])


@pytest.mark.parametrize("metric", pruning.METRICS[1:])
def test_exactly_so_many_are_kept_and_they_are_the_most_salient(net, metric):
    scores = nets.weight_saliency(net, torch.randn(4, 2, 8, 8, dtype=torch.float64), metric)
    kept, scores = flat(nets.salient_masks(scores, 0.123)), flat(scores)
    assert kept.sum() == round(0.123 * len(scores))
    assert scores[kept].min() >= scores[~kept].max()


def test_fisher_saliency_is_the_weights_square_times_its_squared_gradients(net):
    x = torch.randn(4, 2, 8, 8, dtype=torch.float64)
    weights = [layer.weight for layer in nets.ranked_layers(net).values()]
    expected = torch.zeros(sum(w.numel() for w in weights), dtype=torch.float64)
    for log_p in net(x).log_softmax(1).flatten():
        grads = torch.autograd.grad(log_p, weights, retain_graph=True)
        parts = [(w * g).square().flatten() for w, g in zip(weights, grads, strict=True)]
        expected += (torch.cat(parts) * log_p.exp() / len(x)).detach()
    assert torch.allclose(flat(nets.weight_saliency(net, x, "fisher")), expected, rtol=1e-9, atol=0)


def test_what_is_taken_out_stays_0_and_so_does_its_momentum(monkeypatch):
    seen, enforce = [], nets.enforce_masks

    def look(state, masks):
        enforce(state, masks)
        layers = [layer.weight for layer in nets.ranked_layers(state.net).values()]
        if masks and state.optimizer.state:
            momentum = [state.optimizer.state[weight]["momentum_buffer"] for weight in layers]
            both = [torch.cat([t.detach().flatten() for t in of]) for of in (layers, momentum)]
            seen.append((flat(masks), *both))

    monkeypatch.setattr(nets, "enforce_masks", look)
    pruning.prune_weights.compute(**LIFE, metric="fisher", density=0.3, deficit="blur", length=1)
    assert len(seen) == 1 + 3 * 512 / 128  # when it is pruned, and after each step from then on
    for alive, *both in seen:
        assert not any(each[~alive].any() for each in both)
        assert all(each[alive].any() for each in both)
    assert not torch.equal(seen[0][1], seen[-1][1])  # the others learn


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pruning.prune_weights(density=0.5), ("0.5", "none")),
        (lambda: nets.salient_masks({"a": torch.ones(9), "b": torch.zeros(9)}, 0.5), ("0.5", "b")),
        (lambda: nets.kernels_to_keep(nets.kernel_net((6, 10), (12, 8)), 15), ("15", "14")),
    ],
)
def test_what_is_not_allowed_is_one_clear_line(call, words):
    one_line(call, *words)
