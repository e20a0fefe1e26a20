"""The layers from which `models` builds the papers' networks."""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

# Of each layer: channels, as multiples of the width, kernel, stride
Plan = list[tuple[int, int, int]]
STEM: Plan = [(1, 3, 1), (1, 3, 1), (2, 3, 2)]  # of the paper's All-CNN, and its other layers
REST: Plan = [(2, 3, 1), (2, 3, 1), (2, 3, 2), (2, 3, 1), (2, 1, 1)]


def stacked(plan: Plan, width: int, channels: int, classes: int) -> nn.Sequential:
    """The layers of a plan, followed by a 1×1 convolution to the classes and average pooling."""
    layers = hidden(plan, width, channels)  # whose weights are drawn first
    times, _, _ = plan[-1]
    logits = nn.Conv2d(times * width, classes, 1)
    return nn.Sequential(*layers, logits, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def hidden(plan: Plan, width: int, channels: int) -> list[nn.Module]:
    """The layers of a plan, each followed by batch norm and ReLU."""
    layers: list[nn.Module] = []
    for times, kernel, stride in plan:
        layers += [*normed(channels, times * width, kernel, stride), nn.ReLU(inplace=True)]
        channels = times * width
    return layers


def normed(channels: int, out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A convolution that keeps the size, apart from its stride, and its batch norm."""
    kind = Pointwise if kernel == 1 and stride > 1 else nn.Conv2d
    conv = kind(channels, out, kernel, stride, padding=kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(out)]


class Pointwise(nn.Conv2d):
    """A 1×1 convolution with a stride. In float32 on a CPU it first selects the pixels that it
    needs: the gradient of torch's own writes past its memory where channels are few (oneDNN
    #6035)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        down, right = self.stride
        return F.conv2d(x[..., ::down, ::right], self.weight, self.bias)


class Block(nn.Module):
    """Two 3×3 convolutions whose output is added to their input, or to a 1×1 convolution of it
    where the shapes differ (He et al. 2016, figure 2 and option B)."""

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
    """Two stems of three layers, `eyes`, of half the width each, whose maps are put side by side
    for the `shared` layers; the left eye sees the left columns, the right eye the right ones.

    Arguments: width, channels and classes, of an All-CNN; field, the part of the columns, 0 to 1.
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
        """The feature maps of each eye (N, C', H', W'), from both views (N, 2, C, H, W)."""
        columns = max(1, round(self.field * x.shape[-1]))
        views = (x[:, 0, ..., :columns], x[:, 1, ..., -columns:])
        maps = []
        for eye, view in zip(self.eyes, views, strict=True):
            maps.append(eye(view.contiguous(memory_format=torch.channels_last)))
        return maps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shared(torch.cat(self.look(x), 1))


def normalised_layers(net: nn.Module) -> list[tuple[Any, Any]]:
    """The layers without a bias that batch norm follows, paired with it, in the order of
    modules."""
    weighted = nn.Conv2d | nn.Linear
    norms = nn.BatchNorm1d | nn.BatchNorm2d
    layers = [module for module in net.modules() if isinstance(module, weighted | norms)]
    pairs = []
    for layer, follower in pairwise(layers):
        has_no_bias = isinstance(layer, weighted) and layer.bias is None
        if has_no_bias and isinstance(follower, norms):
            pairs.append((layer, follower))
    return pairs


def blocks(net: nn.Module) -> list[list[nn.Module]]:
    """The layers with weights in blocks, from the images to the logits. A block ends with a layer
    that halves the image, and the last one with the logits; without convolutions each layer is a
    block, with the batch norm that follows it."""
    layers = [layer for layer in net.modules() if [*layer.parameters(recurse=False)]]
    strided = [layer for layer in layers if max(getattr(layer, "stride", (1,))) > 1]
    convolutional = any(isinstance(layer, nn.Conv2d) for layer in layers)
    parts: list[list[nn.Module]] = [[]]
    ended = False  # whether the layer before was the last of its block, but for its batch norm
    for layer in layers:
        is_norm = isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
        if ended and not is_norm:
            parts.append([])
            ended = False
        parts[-1].append(layer)
        if not is_norm:
            ended = layer in strided[:-1] if convolutional else True
    return parts


@torch.no_grad()
def rescale_layers(net: nn.Module, norms: list[torch.Tensor]) -> list[torch.Tensor]:
    """Scale each layer under batch norm to a norm, and its running statistics with it. Returns the
    factors."""
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
