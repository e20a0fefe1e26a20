"""Layers from which the papers' networks are built."""

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

# A plan of convolutions. Each is a triple: output channels in widths, kernel size, stride
Plan = list[tuple[int, int, int]]
# The paper's All-CNN: its first three layers, and the rest
STEM: Plan = [(1, 3, 1), (1, 3, 1), (2, 3, 2)]
REST: Plan = [(2, 3, 1), (2, 3, 1), (2, 3, 2), (2, 3, 1), (2, 1, 1)]


def stacked(plan: Plan, width: int, channels: int, classes: int) -> nn.Sequential:
    """A network with the layers of a plan, a 1×1 convolution to the classes, and average pooling.

    Arguments: plan; width, channels of a layer that the plan gives one; channels, of the images;
        classes, how many.
    """
    layers = hidden(plan, width, channels)  # first, since their weights are drawn first
    times, _, _ = plan[-1]
    logits = nn.Conv2d(times * width, classes, 1)
    return nn.Sequential(*layers, logits, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def hidden(plan: Plan, width: int, channels: int) -> list[nn.Module]:
    """The convolutions of a plan, each followed by batch norm and ReLU."""
    layers: list[nn.Module] = []
    for times, kernel, stride in plan:
        layers += [*normed(channels, times * width, kernel, stride), nn.ReLU(inplace=True)]
        channels = times * width
    return layers


def normed(channels: int, out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A convolution that keeps the size of images, except for its stride, and its batch norm."""
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
        left = nn.Sequential(*hidden(STEM, half, channels))
        right = nn.Sequential(*hidden(STEM, half, channels))
        self.eyes = nn.ModuleList([left, right])
        self.field = field
        self.shared = stacked(REST, width, 4 * half, classes)

    def look(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The feature maps of each eye, (N, C', H', W'), of two views, (N, 2, C, H, W)."""
        columns = max(1, round(self.field * x.shape[-1]))
        views = (x[:, 0, ..., :columns], x[:, 1, ..., -columns:])
        maps = []
        for eye, view in zip(self.eyes, views, strict=True):
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
    strided = [layer for layer in layers if max(getattr(layer, "stride", (1,))) > 1]
    is_convolutional = any(isinstance(layer, nn.Conv2d) for layer in layers)
    parts: list[list[nn.Module]] = [[]]
    is_complete = False  # whether nothing but batch norm can still belong to the current block
    for layer in layers:
        is_norm = isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
        if is_complete and not is_norm:
            parts.append([])
            is_complete = False
        parts[-1].append(layer)
        if not is_norm:
            is_complete = layer in strided[:-1] or not is_convolutional
    return parts


@torch.no_grad()
def rescale_layers(net: nn.Module, norms: list[torch.Tensor]) -> list[torch.Tensor]:
    """Scale each layer under batch norm to a norm, and the running statistics with it.

    Arguments: net; norms, one for each of `normalised_layers`.

    Returns: the factors.
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
