"""Layers of the papers' networks; what `models` builds them of."""

import torch
from torch import nn


def stacked(plan: list[tuple[int, int, int]], channels: int, classes: int) -> nn.Sequential:
    """Layers out of (output channels, kernel, stride), each with batch norm and ReLU; then the
    classes' 1×1 convolution and average pooling."""
    layers: list[nn.Module] = []
    for out, kernel, stride in plan:
        layers += [*normed(channels, out, kernel, stride), nn.ReLU(inplace=True)]
        channels = out
    head = [nn.Conv2d(channels, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *head)


def normed(channels: int, out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A convolution that keeps the size, but for its stride, and batch norm."""
    conv = nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(out)]


class Block(nn.Module):
    """Two 3×3 convolutions whose result is added to what they were given; where that has another
    shape, to a 1×1 convolution of it (He et al. 2016, figure 2 and option B)."""

    def __init__(self, channels: int, out: int, stride: int):
        super().__init__()
        self.branch = nn.Sequential(
            *normed(channels, out, 3, stride), nn.ReLU(inplace=True), *normed(out, out, 3)
        )
        same = stride == 1 and channels == out
        self.shortcut = nn.Identity() if same else nn.Sequential(*normed(channels, out, 1, stride))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.branch(x) + self.shortcut(x))
