"""Lab 05b: what its pruning does and refuses, and what its tables lack."""

import doctest
from itertools import pairwise
from typing import NamedTuple

import pytest
import torch
from conftest import lively, one_line

import cplab
from cplab import models, quantities
from cplab.lab import missing
from cplab.labs import lab05b_nets as nets
from cplab.labs.lab05b_pruning import prune_kernels, prune_weights, train_split
from cplab.runs.tasks import Classification
from cplab.specs.experiments import defaults_of
from reproduction.studies import lab05b_pruning

UPSIDE_DOWN = prune_weights.spec(deficit="flip", length=8)


# The tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: prune_weights(density=0.5), "not allowed with metric none"),
        (lambda: prune_weights.spec("tiny"), "profile tiny trains seeds as one"),
        (lambda: cplab.run(UPSIDE_DOWN), "prune_weights is a table"),
    ],
)
def test_what_is_in_no_table_is_refused_in_one_line(call, words):
    one_line(call, words)


def test_what_the_table_lacks_is_not_offered_and_what_it_has_is_named():
    below = missing.offer([quantities.lack(UPSIDE_DOWN)])
    assert "table" in below.page
    assert "deficit = &#x27;blur&#x27;" in below.page


# What made them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [prune_kernels, prune_weights, train_split])
def test_what_made_a_table_takes_its_arguments(table):
    """With the same defaults, which a key leaves out."""
    made_it = getattr(lab05b_pruning, table.__name__)
    assert defaults_of(made_it) == table.entry.defaults


def test_the_examples_of_what_made_them_give_what_they_say(capsys):
    assert doctest.testmod(lab05b_pruning).failed == 0, capsys.readouterr().out


def test_each_layer_keeps_a_kernel():
    network = nets.kernel_net((6, 10), (12, 8))
    one_line(lambda: nets.kernels_to_keep(network, 15), "14")


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
    lab05b_pruning.keep_kernels(net, *kept.values())
    torch.testing.assert_close(net(x), masked)


def test_fisher_saliency_is_the_weight_s_square_times_its_squared_gradients():
    torch.manual_seed(0)
    net = lively(models.build("allcnn-4", channels=2, size=8, classes=3)).double().eval()
    x = torch.randn(4, 2, 8, 8, dtype=torch.float64)
    weights = [layer.weight for layer in nets.ranked_layers(net).values()]
    expected = [torch.zeros_like(weight) for weight in weights]
    for log_p in net(x).log_softmax(1).flatten():
        chance = log_p.exp().detach() / len(x)
        gradients = torch.autograd.grad(log_p, weights, retain_graph=True)
        for total, weight, gradient in zip(expected, weights, gradients, strict=True):
            total += chance * (weight.detach() * gradient).square()
    saliency = lab05b_pruning.weight_saliency(net, x, "fisher").values()
    for ours, theirs in zip(saliency, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=0)


LEFT = 0.3


class Lives(NamedTuple):
    """All prunable weights of a network as tests in an experiment with pruning find them."""

    trained: torch.Tensor
    phases: list[torch.Tensor]  # pruned, retrained, after the blur, and in the end


@pytest.fixture(scope="module")
def lives(elsewhere):
    tested = []
    test = Classification.test

    def look(task, net, images):
        row = test(task, net, images)
        layers = nets.ranked_layers(net).values()
        tested.append(torch.cat([layer.weight.flatten() for layer in layers]).detach())
        return row

    epochs = {"training": 1, "retraining": 1, "length": 1, "recovery": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classification, "test", look)
        elsewhere(
            lambda: lab05b_pruning.prune_weights(
                "ci", "fisher", LEFT, "blur", **epochs, device="cpu"
            )
        )
    trained, *_, pruned, retrained, _, blurred, end, _ = tested
    return Lives(trained, [pruned, retrained, blurred, end])


def test_before_pruning_no_weight_is_0(lives):
    assert lives.trained.all()


def test_pruning_leaves_the_part_of_weights_that_is_asked_for(lives):
    for weights in lives.phases:
        assert (weights != 0).double().mean() == pytest.approx(LEFT, abs=0.001)


def test_pruned_weights_stay_0(lives):
    for before, after in pairwise(lives.phases):
        assert torch.equal(after == 0, before == 0)


def test_weights_that_are_left_go_on_learning(lives):
    for before, after in pairwise(lives.phases):
        assert not torch.equal(after, before)
