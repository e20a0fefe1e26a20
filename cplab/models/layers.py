"""Layers from which the papers' networks are built."""

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn


class Convolution(NamedTuple):
    """A convolution in the plan of a network."""

    widths: int  # output channels, as a multiple of the network's width
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

    Arguments: plan; width, by which the plan's multiples are multiplied; channels, of the images;
        classes, how many.
    """
    layers = hidden_layers(plan, width, channels)  # first, since their weights are drawn first
    logits = nn.Conv2d(plan[-1].widths * width, classes, 1)
    return nn.Sequential(*layers, logits, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def hidden_layers(plan: list[Convolution], width: int, channels: int) -> list[nn.Module]:
    """The convolutions of a plan, each followed by batch norm and ReLU."""
    layers: list[nn.Module] = []
    for part in plan:
        out = part.widths * width
        layers += [*normed(channels, out, part.kernel, part.stride), nn.ReLU(inplace=True)]
        channels = out
    return layers


def normed(channels: int, out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A convolution and its batch norm. Images keep their size, unless there is a stride."""
    kind = Pointwise if kernel == 1 and stride > 1 else nn.Conv2d
    conv = kind(channels, out, kernel, stride, padding=kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(out)]


class Pointwise(nn.Conv2d):
    """A 1×1 convolution with a stride.

    In float32 on a CPU it first selects the pixels that it needs: for few channels, the gradient of
    torch's own convolution writes past its memory (oneDNN #6035).
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        down, right = self.stride
        return F.conv2d(x[..., ::down, ::right], self.weight, self.bias)


class Block(nn.Module):
    """Two 3×3 convolutions whose output is added to their input, or, if the shapes differ, to a 1×1
    convolution of it (He et al. 2016, figure 2 and option B)."""

    def __init__(self, channels: int, out: int, stride: int):
        super().__init__()
        first = normed(channels, out, 3, stride)
        self.branch = nn.Sequential(*first, nn.ReLU(inplace=True), *normed(out, out, 3))
        if stride == 1 and channels == out:
            self.shortcut: nn.Module = nn.Identity()
        else:
            self.shortcut = nn.Sequential(*normed(channels, out, 1, stride))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.branch(x) + self.shortcut(x))


class TwoEyes(nn.Module):
    """A network with two stems of three layers, `eyes`, each of half the width, whose maps are
    joined for the `shared` layers. The left eye sees the left columns, and the right eye the right.

    Arguments: width, channels and classes, as of an All-CNN; field, the part of the columns that
        each eye sees, from 0 to 1.
    """

    def __init__(self, width: int, channels: int, classes: int, field: float):
        super().__init__()
        half = max(1, width // 2)
        left = nn.Sequential(*hidden_layers(STEM, half, channels))
        right = nn.Sequential(*hidden_layers(STEM, half, channels))
        self.eyes = nn.ModuleList([left, right])
        self.field = field
        self.shared = convolutional_net(REST, width, 4 * half, classes)

    def look(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The feature maps of each eye, (N, C', H', W'), of two views, (N, 2, C, H, W)."""
        columns = max(1, round(self.field * x.shape[-1]))
        left = x[:, 0, ..., :columns]  # (N, C, H, columns)
        right = x[:, 1, ..., -columns:]
        maps = []
        for eye, view in zip(self.eyes, (left, right), strict=True):
            maps.append(eye(view.contiguous(memory_format=torch.channels_last)))
        return maps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shared(torch.cat(self.look(x), 1))


class Normalised(NamedTuple):
    """A layer and the batch norm that follows it."""

    layer: nn.Conv2d | nn.Linear
    norm: nn.BatchNorm1d | nn.BatchNorm2d


def normalised_layers(net: nn.Module) -> list[Normalised]:
    """The layers of a network that have no bias and are followed by batch norm, in their order."""
    layers = []
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d):
            layers.append(module)
    pairs = []
    for layer, follower in pairwise(layers):
        if not isinstance(layer, nn.Conv2d | nn.Linear) or layer.bias is not None:
            continue
        if isinstance(follower, nn.BatchNorm1d | nn.BatchNorm2d):
            pairs.append(Normalised(layer, follower))
    return pairs


def blocks(net: nn.Module) -> list[list[nn.Module]]:
    """The layers with weights, from the images to the logits, in blocks.

    A block ends with a layer that halves the image, and the last block with the logits. In a
    network without convolutions each layer is a block, with the batch norm that follows it.
    """
    layers = [layer for layer in net.modules() if [*layer.parameters(recurse=False)]]
    if any(isinstance(layer, nn.Conv2d) for layer in layers):
        halving = [layer for layer in layers if max(getattr(layer, "stride", (1,))) > 1]
        ends = halving[:-1]  # the last one's block goes on to the logits
    else:
        ends = layers
    parts: list[list[nn.Module]] = [[]]
    is_complete = False  # whether nothing but batch norm can still belong to the current block
    for layer in layers:
        is_norm = isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
        if is_complete and not is_norm:
            parts.append([])
        parts[-1].append(layer)
        if not is_norm:
            is_complete = layer in ends
    return parts


@torch.no_grad()
def rescale_layers(net: nn.Module, norms: list[torch.Tensor]) -> list[torch.Tensor]:
    """Scale the weights of each layer under batch norm to a given norm.

    The running mean and variance of its batch norm are scaled with it, as if they came from the new
    weights.

    Arguments: net; norms, one for each of `normalised_layers`.

    Returns: the factors by which the weights were multiplied.
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
