"""The convolutional model of growth and pruning: what is taken out, and what is left."""

import pytest
import torch
from torch import nn

from cplab import data
from cplab.labs import lab05b_kernels as kernels
from cplab.labs.lab05b_kernels import KernelNet
from cplab.labs.lab05b_pruning import MATERIALS, SIZES, prune_kernels

pytestmark = pytest.mark.usefixtures("one_thread")


def network(pixels=16):
    torch.manual_seed(0)
    net = KernelNet((6, 10), (12, 8), channels=3, pixels=pixels).double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.normal_()
            module.bias.data.normal_()
    return net.eval()


@pytest.fixture
def net():
    return network()


def masked(net, x, first, second):
    """The whole network with the outputs of all other kernels set to zero after batch norm."""
    for i, layer in enumerate(net):
        x = layer(x)
        for at, kept in ((3, first), (7, second)):
            if i == at:
                keep = torch.zeros(x.shape[1], 1, 1, dtype=x.dtype)
                keep[kept] = 1
                x = x * keep
    return x


@pytest.mark.parametrize("pixels", [16, 17, 18, 32])
def test_the_smaller_network_gives_what_the_masked_one_gives(pixels):
    net, x = network(pixels), torch.randn(5, 3, pixels, pixels, dtype=torch.double)
    first, second = torch.tensor([0, 2, 5]), torch.tensor([1, 2, 3, 9])
    # copied into float32 parameters, so to single precision
    small = kernels.keep_kernels(net, first, second).double()
    assert torch.allclose(small(x), masked(net, x, first, second), atol=1e-5)
    assert (small.kernels, small[4].in_channels) == ((3, 4), 3)


def test_the_weakest_of_both_layers_go_first(net):
    first, second = kernels.kernel_norms(net)
    by_hand = [(n.item(), 0, i) for i, n in enumerate(first)]
    by_hand += [(n.item(), 1, i) for i, n in enumerate(second)]
    gone = {(layer, i) for _, layer, i in sorted(by_hand)[:5]}
    kept = kernels.kernels_to_keep(net, 5)
    left = {(layer, int(i)) for layer, some in enumerate(kept) for i in some}
    assert left == {(layer, i) for _, layer, i in by_hand} - gone
    net[0].weight.data[2] = 0
    assert 2 not in kernels.kernels_to_keep(net, 1)[0]


def test_the_thesis_network_has_the_thesis_layers():
    paper = SIZES["paper"]
    net = KernelNet(paper.kernels, paper.units)
    shapes = [tuple(p.shape) for name, p in net.named_parameters() if p.ndim > 1]
    assert shapes == [(64, 3, 5, 5), (256, 64, 5, 5), (382, 256 * 49), (194, 382), (10, 194)]
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


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


def test_the_materials_are_what_they_are_called():
    images = data.images("practice", "ci")
    for material, pictures, labels in (
        ("images", True, True),
        ("noise", False, False),
        ("random_labels", True, False),
    ):
        x, y = kernels.make_material("ci", material, 0, "cpu")
        assert torch.equal(x, images.normal(images.train_x)) is pictures
        assert torch.equal(y, images.train_y) is labels
        assert abs(x.std() - 1) < 0.05
        assert y.bincount(minlength=10).min() > 10
