"""The networks against the sentences of the paper that describe them."""

import re
from functools import partial

import pytest
import torch
from torch import nn

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
    layers = []
    channels = 3
    for block in (blocks := words.split(" - ")):
        one, out, two = re.fullmatch(r"conv(1?) (\d+)( s2)?", block).groups()
        kernel = 1 if one else 3
        last = block is blocks[-1]
        out = 10 if last else int(out) * width // 96
        conv = nn.Conv2d(channels, out, kernel, 2 if two else 1, kernel // 2, bias=last)
        layers += [conv] if last else [conv, nn.BatchNorm2d(out), nn.ReLU()]
        channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def full(width):
    """2500, 2000, 1500, 1000, and 500 hidden units, of the same section, or as many parts of it."""
    layers = [nn.Flatten()]
    inputs = 3 * 32 * 32
    for out in [width * part // 5 for part in (5, 4, 3, 2, 1)]:
        layers += [nn.Linear(inputs, out, bias=False), nn.BatchNorm1d(out), nn.ReLU()]
        inputs = out
    return nn.Sequential(*layers, nn.Linear(inputs, 10))


NETS = {family: partial(written_out, words) for family, words in PAPER.items()} | {"fc": full}


@pytest.mark.parametrize("width", [5, 12])
@pytest.mark.parametrize("family", NETS)
def test_a_network_has_the_layers_first_weights_and_outputs_of_the_paper_s(family, width):
    """Checkpoints and shipped results rest on the names of weights as well."""
    torch.manual_seed(3)
    papers = NETS[family](width).eval()
    torch.manual_seed(3)
    ours = models.build(f"{family}-{width}").eval()
    assert [type(layer) for layer in ours] == [type(layer) for layer in papers]
    weights = ours.state_dict()
    assert list(weights) == list(papers.state_dict())
    for name, weight in papers.state_dict().items():
        assert torch.equal(weights[name], weight)
    x = torch.randn(2, 3, 32, 32)
    assert torch.allclose(ours(x), papers(x), atol=1e-6)


def test_the_resnet_is_torchvision_s_with_another_stem():
    from torchvision.models import resnet18  # loads torch's compiler, for two seconds

    torch.manual_seed(0)
    theirs = resnet18(num_classes=10)
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    ours = models.build("resnet18-64")
    x = torch.randn(2, 3, 32, 32)
    theirs(x)  # statistics that are not 0 and 1
    names = ours.state_dict()
    values = theirs.state_dict().values()
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


def named(**options):
    """The name of one and the same network that is defined with options."""
    cplab.model(width=48, **options)(Own)
    return models.model_name(Own)


def test_rates_and_profiles_of_an_own_network_are_part_of_what_it_means_but_no_label_is():
    names = [named(), named(lr=2), named(lr=2, profiles=("ci",))]
    assert len({*names}) == 3
    assert named(lr=1, label="plain") == names[0]


def test_an_own_network_has_a_sixth_of_its_width_as_the_profile_has_and_its_own_rate():
    name = named(lr=2, profiles=("ci",))
    assert cplab.Run(model=Own).model == f"{name}-8"
    assert models.suited_profile(PROFILES["ci"], name).recovery_lr == 0.04


def test_a_word_with_a_width_names_an_own_network():
    name, *_ = cplab.Run(model=gallery.plain).model.partition("-")
    assert models.model_name("plain-8") == f"{name}-8"
