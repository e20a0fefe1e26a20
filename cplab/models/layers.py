"""Layers from which the papers' networks are built."""

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn


class Convolution(NamedTuple):
    """A convolution in the plan of a network."""

    width_factor: int  # output channels, divided by the network's width
    kernel: int  # pixels a side
    stride: int = 1


# The paper's All-CNN: its first three layers, and the rest
STEM = [Convolution(1, 3), Convolution(1, 3), Convolution(2, 3, stride=2)]
REST = [
    Convolution(2, 3),
    Convolution(2, 3),
    Convolution(2, 3, stride=2),
    Convolution(2, 3),
    Convolution(2, 1),
]


def convolutional_net(
    plan: list[Convolution], width: int, channels: int, classes: int
) -> nn.Sequential:
    """A network with the convolutions of a plan, a 1×1 convolution to the classes, and average
    pooling.

    Arguments:
        plan: of the hidden layers, from the first to the last.
        width: by which the plan's factors are multiplied.
        channels: of the images.
        classes: how many.
    """
    # The order in which layers are made decides which random weights each of them gets
    layers = hidden_layers(plan, width, channels)
    logits = nn.Conv2d(plan[-1].width_factor * width, classes, 1)
    return nn.Sequential(*layers, logits, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def hidden_layers(plan: list[Convolution], width: int, channels: int) -> list[nn.Module]:
    """The convolutions of a plan, each followed by batch norm and ReLU. Arguments are those of
    `convolutional_net`."""
    layers: list[nn.Module] = []
    for convolution in plan:
        out_channels = convolution.width_factor * width
        layers += conv_and_norm(channels, out_channels, convolution.kernel, convolution.stride)
        layers.append(nn.ReLU(inplace=True))
        channels = out_channels
    return layers


def conv_and_norm(
    channels: int, out_channels: int, kernel: int, stride: int = 1
) -> list[nn.Module]:
    """A convolution and its batch norm. Images keep their size, unless there is a stride."""
    conv_class = Pointwise if kernel == 1 and stride > 1 else nn.Conv2d
    conv = conv_class(channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(out_channels)]


class Pointwise(nn.Conv2d):
    """A 1×1 convolution with a stride.

    In float32 on a CPU it first selects the pixels that it needs: for few channels, the gradient of
    torch's own convolution writes past its memory (oneDNN #6035).
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        on_cpu = x.device.type == "cpu"
        in_float32 = not torch.is_autocast_enabled("cpu")
        if on_cpu and in_float32:
            down, right = self.stride
            return F.conv2d(x[..., ::down, ::right], self.weight, self.bias)
        return super().forward(x)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions whose output is added to their input, or, if the shapes differ, to a 1×1
    convolution of it (He et al. 2016, figure 2 and option B)."""

    def __init__(self, channels: int, out_channels: int, stride: int):
        super().__init__()
        first = conv_and_norm(channels, out_channels, 3, stride)
        second = conv_and_norm(out_channels, out_channels, 3)
        self.branch = nn.Sequential(*first, nn.ReLU(inplace=True), *second)
        if stride == 1 and channels == out_channels:
            self.shortcut: nn.Module = nn.Identity()
        else:
            self.shortcut = nn.Sequential(*conv_and_norm(channels, out_channels, 1, stride))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.branch(x) + self.shortcut(x))


class TwoEyes(nn.Module):
    """A network with two stems of three layers, `eyes`, each of half the width, whose maps are
    joined for the `shared` layers. The left eye sees the left columns, and the right eye the right.

    Arguments:
        width, channels, classes: as of an All-CNN.
        field_of_view: the part of the columns that each eye sees, from 0 to 1.
    """

    def __init__(self, width: int, channels: int, classes: int, field_of_view: float):
        super().__init__()
        half_width = max(1, width // 2)
        left = nn.Sequential(*hidden_layers(STEM, half_width, channels))
        right = nn.Sequential(*hidden_layers(STEM, half_width, channels))
        self.eyes = nn.ModuleList([left, right])
        self.field_of_view = field_of_view
        maps_of_both = 2 * STEM[-1].width_factor * half_width
        self.shared = convolutional_net(REST, width, maps_of_both, classes)

    def feature_maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The feature maps of each eye, (N, C', H', W'), of two views, (N, 2, C, H, W)."""
        columns = max(1, round(self.field_of_view * x.shape[-1]))
        left = x[:, 0, ..., :columns]  # (N, C, H, columns)
        right = x[:, 1, ..., -columns:]
        maps = []
        for eye, view in zip(self.eyes, (left, right), strict=True):
            # A part of the columns is no whole tensor: convolutions want their own layout again
            maps.append(eye(view.contiguous(memory_format=torch.channels_last)))
        return maps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shared(torch.cat(self.feature_maps(x), 1))


# Layers of any network ----------------------------------------------------------------------------


class LayerAndNorm(NamedTuple):
    """A layer and the batch norm that follows it."""

    layer: nn.Conv2d | nn.Linear
    norm: nn.BatchNorm1d | nn.BatchNorm2d


def normalised_layers(net: nn.Module) -> list[LayerAndNorm]:
    """The layers of a network that have no bias and are followed by batch norm, in their order.

    Their weights can be scaled without any effect on the outputs, which a bias would not allow. A
    network is expected to hold its layers in the order of its computation, as Sequential does.
    """
    layers = []
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d):
            layers.append(module)
    pairs = []
    for layer, follower in pairwise(layers):
        if not isinstance(layer, nn.Conv2d | nn.Linear) or layer.bias is not None:
            continue
        if isinstance(follower, nn.BatchNorm1d | nn.BatchNorm2d):
            pairs.append(LayerAndNorm(layer, follower))
    return pairs


def blocks(net: nn.Module) -> list[list[nn.Module]]:
    """The layers with weights, from the images to the logits, in blocks.

    A block ends with a convolution that halves the image. The last such convolution ends none: its
    block goes on to the logits. In a residual network the convolution of a shortcut halves the
    image as well, so it ends a block too.
    In a network without convolutions each layer is a block. A batch norm belongs to the layer
    before it.
    """
    layers: list[list[nn.Module]] = []  # each with its batch norm, if it has one
    for module in net.modules():
        if not has_weights(module):
            continue
        if layers and isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            layers[-1].append(module)
        else:
            layers.append([module])
    ends = layers
    if any(isinstance(layer, nn.Conv2d) for layer, *_ in layers):
        ends = [layer_and_norm for layer_and_norm in layers if is_halving(layer_and_norm[0])]
    inner_ends = ends[:-1]  # the last one's block goes on to the logits
    layers_by_block: list[list[nn.Module]] = [[]]
    for layer_and_norm in layers:
        layers_by_block[-1] += layer_and_norm
        if layer_and_norm in inner_ends:
            layers_by_block.append([])
    return layers_by_block


def has_weights(module: nn.Module) -> bool:
    """Whether a module has parameters itself, and not only in its parts."""
    return len([*module.parameters(recurse=False)]) > 0


def layer_weights(net: nn.Module) -> list[torch.Tensor]:
    """The weights of a network's layers, without biases and batch norm's scales, as views, which
    change with the network."""
    return [weight.detach() for weight in net.parameters() if weight.ndim > 1]


def is_halving(layer: nn.Module) -> bool:
    """Whether a layer is a convolution with a stride, which makes images smaller."""
    return isinstance(layer, nn.Conv2d) and max(layer.stride) > 1


@torch.no_grad()
def rescale_layers(net: nn.Module, norms: list[torch.Tensor]) -> list[torch.Tensor]:
    """Scale the weights of each layer under batch norm to a given norm.

    The running mean and variance of its batch norm are scaled with it, as if they came from the new
    weights.

    Arguments:
        net: the network, which is changed.
        norms: a scalar for each of its `normalised_layers`.

    Returns:
        the factors by which the weights were multiplied, a scalar for each.
    """
    factors = []
    for (layer, batch_norm), norm in zip(normalised_layers(net), norms, strict=True):
        factor = norm / layer.weight.norm()
        layer.weight.mul_(factor)
        if batch_norm.running_mean is not None:
            batch_norm.running_mean.mul_(factor)
        if batch_norm.running_var is not None:
            batch_norm.running_var.mul_(factor**2)
        factors.append(factor)
    return factors
