"""All-CNN against the sentence of the paper that describes it."""

import re

import pytest
import torch
from torch import nn

from cplab import models

# Achille, Rovere & Soatto, Materials and Methods
PAPER = (
    "conv 96 - conv 96 - conv 192 s2 - conv 192 - conv 192 - conv 192 s2 - conv 192 - "
    "conv1 192 - conv1 10 - avg. pooling - softmax"
)


def test_layers_are_those_of_the_paper():
    """Each conv block is a 3×3 convolution, batch normalization and ReLU; conv1 is 1×1."""
    *convolutions, pooling, softmax = PAPER.split(" - ")
    assert (pooling, softmax) == ("avg. pooling", "softmax")  # softmax is in the loss
    layers, channels = list(models.build("allcnn-96")), 3
    for words in convolutions:
        one, out, two = re.fullmatch(r"conv(1?) (\d+)( s2)?", words).groups()
        conv = layers.pop(0)
        assert isinstance(conv, nn.Conv2d)
        assert (conv.in_channels, conv.out_channels) == (channels, int(out))
        assert conv.kernel_size == ((1, 1) if one else (3, 3))
        assert conv.stride == ((2, 2) if two else (1, 1))
        channels = conv.out_channels
        if words is convolutions[-1]:
            assert conv.bias is not None
        else:
            norm, relu = layers.pop(0), layers.pop(0)
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.num_features == channels
            assert isinstance(relu, nn.ReLU)
    assert [type(layer) for layer in layers] == [nn.AdaptiveAvgPool2d, nn.Flatten]


@pytest.mark.parametrize("width", [1, 4, 16, 96])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("classes", [2, 10])
def test_number_of_parameters(width, channels, classes):
    """9·channels·w + 9·w² + 18·w², four of 36·w² and one of 4·w²; scale and shift of two norms of w
    and six of 2w channels; the classes' weights and biases."""
    net = models.build(f"allcnn-{width}", channels, classes)
    w = width
    convolutions = 9 * channels * w + (9 + 18 + 4 * 36 + 4) * w * w
    expected = convolutions + 2 * (2 * w + 6 * 2 * w) + 2 * w * classes + classes
    assert sum(p.numel() for p in net.parameters()) == expected


@pytest.mark.parametrize("size", [8, 16, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_size_give_logits_and_shrink_to_a_quarter_on_the_way(size, channels):
    net = models.build("allcnn-4", channels).eval()
    x = torch.randn(5, channels, size, size)
    assert net(x).shape == (5, 10)
    maps = nn.Sequential(*[*net][:-2])(x)
    assert maps.shape == (5, 10, size // 4, size // 4)
    assert torch.allclose(net(x), maps.mean((2, 3)), atol=1e-6)
    assert (net(x) < 0).any()  # logits: no ReLU after the last convolution


def test_every_parameter_learns():
    net = models.build("allcnn-4")
    nn.functional.cross_entropy(net(torch.randn(8, 3, 16, 16)), torch.arange(8)).backward()
    for name, weight in net.named_parameters():
        assert weight.grad.abs().sum() > 0, name


def test_weights_lie_channels_last_and_so_do_the_maps():
    net = models.build("allcnn-8")
    x = torch.randn(2, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    for layer in [*net][:-2]:
        if isinstance(layer, nn.Conv2d):
            assert layer.weight.is_contiguous(memory_format=torch.channels_last)
        x = layer(x)
        assert x.is_contiguous(memory_format=torch.channels_last)


def test_initial_weights_come_from_torch_s_generator():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in models.build("allcnn-4").parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))
