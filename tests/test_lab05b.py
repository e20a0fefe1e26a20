"""Pruning of kernels and of single weights: what goes, that it stays out, and what comes after."""

import numpy as np
import pytest
import torch
from conftest import one_line, train_epoch
from torch import nn

import cplab
from cplab import data, models
from cplab.deficits import NONE
from cplab.labs import lab05b
from cplab.labs import lab05b_nets as nets
from cplab.labs.lab05b_nets import ranked_layers, salient_masks, weight_saliency
from cplab.labs.lab05b_pruning import (
    MATERIALS,
    METRICS,
    SIZES,
    prune_kernels,
    prune_weights,
    pruning_steps,
    train_split,
)
from cplab.runs import Run, Step
from cplab.statistics import estimate

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


@pytest.mark.parametrize("pixels", [16, 17, 18, 32])
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
    assert [len(norms) for norms in nets.kernel_norms(net)] == [3, 4]


def test_the_weakest_of_both_layers_go_first():
    net = nets.kernel_net((6, 10), (12, 8))
    norms = [
        (n.item(), at, i) for at, of in enumerate(nets.kernel_norms(net)) for i, n in enumerate(of)
    ]
    kept = nets.kernels_to_keep(net, 5)
    assert {(at, int(i)) for at, some in enumerate(kept) for i in some} == {
        (at, i) for _, at, i in sorted(norms)[5:]
    }
    one_line(lambda: nets.kernels_to_keep(net, 15), "15", "14")


def test_the_thesis_network_has_the_thesis_layers():
    net = nets.kernel_net(SIZES["paper"].kernels, SIZES["paper"].units)
    shapes = [tuple(p.shape) for name, p in net.named_parameters() if p.ndim > 1]
    assert shapes == [(64, 3, 5, 5), (256, 64, 5, 5), (382, 256 * 49), (194, 382), (10, 194)]


@pytest.mark.parametrize("material", MATERIALS)
def test_a_critical_period_ends_at_few_kernels_and_passes_all_that_are_kept(material):
    found = prune_kernels("ci", material)
    totals = [a + b for a, b in zip(found["first"], found["second"], strict=True)]
    assert totals == [12, 12, 9, 6, 3]
    assert found["phase"] == ["training"] * 2 + ["pruning"] * 3
    assert found["epochs"] == [1, 2, 3, 4, 5]
    assert found["parameters"] == sorted(found["parameters"], reverse=True)
    if material != "images":  # what it is tested on is what it learned
        assert found["accuracy"] == found["train_accuracy"]


@pytest.mark.parametrize(
    ("material", "pictures", "labels"),
    [("images", True, True), ("noise", False, False), ("random_labels", True, False)],
)
def test_the_materials_are_what_they_are_called(material, pictures, labels):
    x, y, images = nets.make_material("ci", material, 0, "cpu")
    assert torch.equal(x, images.normal(images.train_x)) is pictures
    assert torch.equal(y, images.train_y) is labels
    assert abs(x.std() - 1) < 0.05
    assert y.bincount(minlength=10).min() > 10


def test_splits_are_compared_with_the_old_ratio_seed_by_seed():
    gains = []
    for seed in range(6):
        first, second = lab05b.kernel_split(prune_kernels.spec(seed=seed), 25)
        pair = [train_split.spec("course", *each, seed) for each in ((first, second), (5, 20))]
        found, old = (cplab.find(spec).values["accuracy"] for spec in pair)
        gains.append(100 * (found - old))
    assert str(lab05b.above(prune_kernels.spec(), 25, "ratio")) == str(estimate(gains))


@pytest.mark.parametrize(
    ("rows", "answer"),
    [
        ([[3, 4, 5]], 2),
        ([[3, 4, 5], [-1, 0, 1]], 1),
        ([[-1, 0, 1]], 0),
        ([[-1, 0, 1], [-3, -4, -5]], -1),
        ([[1.0], []], None),
    ],
)
def test_signs_are_counted(rows, answer):
    assert lab05b.tally(map(estimate, rows)) == answer


# Single weights -----------------------------------------------------------------------------------


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = models.build("allcnn-4", channels=2, size=8, classes=3)
    return lively(net.to(memory_format=torch.contiguous_format))  # so that a flat weight is a view


def flat(tensors):
    return torch.cat([t.flatten() for t in tensors.values()])


@pytest.mark.parametrize("metric", METRICS[1:])
def test_exactly_so_many_are_kept_and_they_are_the_most_salient(net, metric):
    scores = weight_saliency(net, torch.randn(4, 2, 8, 8, dtype=torch.float64), metric)
    kept = flat(salient_masks(scores, 0.123))
    scores = flat(scores)
    assert kept.sum() == round(0.123 * len(scores))
    assert scores[kept].min() >= scores[~kept].max()


def test_fisher_saliency_is_the_weights_square_times_its_squared_gradients(net):
    x = torch.randn(4, 2, 8, 8, dtype=torch.float64)
    weights = {name: layer.weight for name, layer in ranked_layers(net).items()}
    expected = {name: torch.zeros_like(w) for name, w in weights.items()}
    for image in x:
        log_p = net(image[None]).log_softmax(1)[0]
        for each in log_p:
            grads = torch.autograd.grad(each, list(weights.values()), retain_graph=True)
            for (name, w), g in zip(weights.items(), grads, strict=True):
                expected[name] += (w.square() * g.square() * each.exp() / len(x)).detach()
    found = weight_saliency(net, x, "fisher")
    assert list(found) == list(expected)
    assert torch.allclose(flat(found), flat(expected), rtol=1e-9, atol=0)


def test_what_is_taken_out_stays_0_and_so_does_its_momentum(monkeypatch):
    seen, enforce = [], nets.enforce_masks

    def look(state, masks):
        enforce(state, masks)
        layers = [layer.weight for layer in ranked_layers(state.net).values()]
        if masks and state.optimizer.state:
            momentum = [state.optimizer.state[weight]["momentum_buffer"] for weight in layers]
            both = [torch.cat([t.detach().flatten() for t in of]) for of in (layers, momentum)]
            seen.append((flat(masks), *both))

    monkeypatch.setattr(nets, "enforce_masks", look)
    prune_weights.compute(**LIFE, metric="fisher", density=0.3, deficit="blur", length=1)
    assert len(seen) == 1 + 3 * 512 / 128  # when it is pruned, and after each step from then on
    for alive, *both in seen:
        for each in both:
            assert not each[~alive].any()
            assert each[alive].any()
    assert not torch.equal(seen[0][1], seen[-1][1])  # the others learn


def test_the_unpruned_network_is_trained_as_any_other():
    """Bit for bit: as three Runs, one after another, with the optimiser that goes on."""
    found = prune_weights.compute(**LIFE, deficit="blur", length=2, seed=3)
    assert found["kept"] == found["weights"]
    images = data.images("practice", "ci")
    first = Run(onset=0, recovery=2, profile="ci", seed=3)
    learner, curve, loss = first.task.birth(CPU), [], []
    second = Run(onset=2, recovery=1, profile="ci", seed=3)
    third = Run(deficit="blur", onset=3, length=2, recovery=1, profile="ci", seed=3)
    for run, epochs in ((first, (0, 1)), (second, (2,)), (third, (3, 4, 5))):
        for epoch in epochs:
            loss.append(train_epoch(run.task, epoch, run.timeline[epoch], learner, images))
            curve.append(run.task.test(learner.net, images)["test_accuracy"])
    assert (found["loss"], found["curve"]) == (loss, curve)


def test_of_a_few_weights_taken_out_the_second_order_says_nearly_all():
    run = Run(profile="ci", recovery=2)
    images, state = run.task.images(CPU), run.task.birth(CPU)
    for epoch in range(8):  # long enough to give answers that differ
        train_epoch(run.task, epoch, Step(NONE, 0.02), state, images)
    x = images.normal(images.train_x[: nets.MEASURED_IMAGES])
    scores, p = weight_saliency(state.net, x, "fisher"), state.net.eval()(x).softmax(1)
    found = nets.prune(state, {}, images, "fisher", 0.7, 0)
    dead = ~flat(salient_masks(scores, 0.7))
    assert found["predicted"] == pytest.approx(flat(scores)[dead].sum().item() / 2)
    q = state.net.eval()(x).softmax(1)
    change = (p * (p / q).log()).sum(1).mean().item()
    assert found["change"] == pytest.approx(change, rel=1e-3)
    assert found["predicted"] == pytest.approx(change, rel=0.5)


def test_rates_begin_anew_after_pruning_and_are_held_during_the_deficit():
    _, *parts = pruning_steps("course", "blur", 8, 10, 20, 5)
    steps = [step for part in parts for step in part]
    falling = [0.02 * (n - np.arange(n)) / n for n in (15, 5, 10)]
    rates = [*[0.02] * 5, *falling[0], *falling[1], *[0.02] * 8, *falling[2]]
    assert [step.lr for step in steps] == pytest.approx(rates)
    assert [s.deficit.name for s in steps] == ["none"] * 25 + ["blur"] * 8 + ["none"] * 10
    _, *control = pruning_steps("course", "none", 8, 10, 20, 5)
    assert [s.lr for part in control for s in part] == [s.lr for s in steps]
    assert {s.deficit.name for part in control for s in part} == {"none"}


def test_what_is_not_allowed_is_one_clear_line():
    one_line(lambda: prune_weights(density=0.5), "0.5", "none")
    one_line(lambda: salient_masks({"a": torch.ones(9), "b": torch.zeros(9)}, 0.5), "0.5", "b")
