"""The networks against the sentences of the paper that describe them."""

import re
from functools import partial

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

import cplab
from cplab import PROFILES, gallery, models

# Achille, Rovere & Soatto, Materials and Methods; conv 96 - [conv 96·2^(i-1) - conv 96·2^i s2] for
# i = 1 … n - conv 96·2^n - conv1 96·2^n - conv1 10, written out; softmax is in the loss
PAPER = {
    "allcnn": "conv 96 - conv 96 - conv 192 s2 - conv 192 - conv 192 - conv 192 s2 - conv 192 - "
    "conv1 192 - conv1 10",
    "depth1": "conv 96 - conv 96 - conv 192 s2 - conv 192 - conv1 192 - conv1 10",
    "depth2": "conv 96 - conv 96 - conv 192 s2 - conv 192 - conv 384 s2 - conv 384 - conv1 384 - "
    "conv1 10",
    "depth3": "conv 96 - conv 96 - conv 192 s2 - conv 192 - conv 384 s2 - conv 384 - conv 768 s2 - "
    "conv 768 - conv1 768 - conv1 10",
}


def written_out(words, width):
    """As the paper writes it: 3×3 convolution (conv1: 1×1), batch norm, ReLU; a bias at the end."""
    layers, channels = [], 3
    for block in (blocks := words.split(" - ")):
        one, out, two = re.fullmatch(r"conv(1?) (\d+)( s2)?", block).groups()
        kernel, last = 1 if one else 3, block is blocks[-1]
        out = 10 if last else int(out) * width // 96
        conv = nn.Conv2d(channels, out, kernel, 2 if two else 1, kernel // 2, bias=last)
        layers += [conv] if last else [conv, nn.BatchNorm2d(out), nn.ReLU()]
        channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def full(width):
    """2500, 2000, 1500, 1000, and 500 hidden units, of the same section, or as many parts of it."""
    layers, inputs = [nn.Flatten()], 3 * 32 * 32
    for out in [width * part // 5 for part in (5, 4, 3, 2, 1)]:
        layers += [nn.Linear(inputs, out, bias=False), nn.BatchNorm1d(out), nn.ReLU()]
        inputs = out
    return nn.Sequential(*layers, nn.Linear(inputs, 10))


NETS = {family: partial(written_out, words) for family, words in PAPER.items()} | {"fc": full}


@pytest.mark.parametrize("family", NETS)
@pytest.mark.parametrize("width", [5, 12])
def test_layers_and_initial_weights_are_those_of_the_paper_in_its_order(family, width):
    """Checkpoints and shipped results rest on the names of weights as well."""
    torch.manual_seed(3)
    expected = NETS[family](width).eval()
    torch.manual_seed(3)
    net, x = models.build(f"{family}-{width}").eval(), torch.randn(2, 3, 32, 32)
    weights = expected.state_dict()
    assert list(net.state_dict()) == list(weights)
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())
    assert [type(layer) for layer in net] == [type(layer) for layer in expected]
    assert torch.allclose(net(x), expected(x), atol=1e-6)


def test_the_resnet_is_torchvision_s_with_another_stem():
    torch.manual_seed(0)
    theirs = resnet18(num_classes=10)
    theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    ours, x = models.build("resnet18-64"), torch.randn(2, 3, 32, 32)
    theirs(x)  # statistics that are not 0 and 1
    names, values = ours.state_dict(), theirs.state_dict().values()
    ours.load_state_dict(dict(zip(names, values, strict=True)))
    assert torch.allclose(*(net.eval()(x) for net in (ours, theirs)), atol=1e-4)
    for output in [net.train()(x) for net in (ours, theirs)]:
        output.square().mean().backward()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=0.01 * other.grad.abs().max())


class Own(nn.Linear):
    def __init__(self, width, channels, size, classes):
        super().__init__(channels * size * size, classes)

    def forward(self, x):
        return super().forward(x.flatten(1))


def test_rates_of_an_own_network_are_part_of_what_it_means_and_its_label_is_not():
    names = []
    for options in ({}, {"lr": 1, "label": "plain"}, {"lr": 2}, {"lr": 2, "profiles": ("ci",)}):
        cplab.model(width=48, **options)(Own)
        names.append(models.model_name(Own))
    assert names[0] == names[1]
    assert len({*names}) == 3
    assert cplab.Run(model=Own).model == f"{names[-1]}-8"  # a sixth, as course has
    assert models.suited_profile(PROFILES["ci"], names[-1]).recovery_lr == 0.04
    whole = cplab.Run(model=gallery.plain).model  # which a word and a width name, too
    assert models.model_name("plain-8") == f"{whole.partition('-')[0]}-8"
