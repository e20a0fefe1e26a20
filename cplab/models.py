"""The networks of the papers. One function builds them by name: a new one is a class here, its
name in `experiment.MODELS` and a line in `build`."""

import torch
from torch import nn


class AllCNN(nn.Sequential):
    """The paper's convolutional network (Materials and Methods, after Springenberg et al.):

    conv w - conv w - conv 2w s2 - conv 2w - conv 2w - conv 2w s2 - conv 2w - conv1 2w - conv1 10 -
    average pooling; w = 96 in the paper. Each conv is a 3×3 convolution (conv1: 1×1) with batch
    norm and ReLU; the last one gives the logits and has a bias instead.

    Arguments: width w, channels of the images, number of classes.
    Takes images (N, channels, H, W), returns logits (N, classes).
    """

    def __init__(self, width: int = 96, channels: int = 3, classes: int = 10):
        w = width
        plan = [  # output channels, kernel, stride
            *((w, 3, 1), (w, 3, 1), (2 * w, 3, 2)),
            *((2 * w, 3, 1), (2 * w, 3, 1), (2 * w, 3, 2)),
            *((2 * w, 3, 1), (2 * w, 1, 1)),
        ]
        super().__init__(*convolutions(plan, channels, classes))


class Depth(nn.Sequential):
    """The paper's network of variable depth (Materials and Methods; figure 3, bottom right):

    conv w - [conv w·2^(i-1) - conv w·2^i s2] for i = 1 … n - conv w·2^n - conv1 w·2^n - conv1 10;
    w = 96 in the paper. Layers as in AllCNN; the average pooling at the end is left unsaid there.

    Arguments: n, how many pairs of layers halve the image; width w, channels of the images, number
        of classes.
    Takes images (N, channels, H, W), returns logits (N, classes).
    """

    def __init__(self, n: int, width: int = 96, channels: int = 3, classes: int = 10):
        w = width
        plan = [(w, 3, 1)]
        for i in range(1, n + 1):
            plan += [(w * 2 ** (i - 1), 3, 1), (w * 2**i, 3, 2)]
        plan += [(w * 2**n, 3, 1), (w * 2**n, 1, 1)]
        super().__init__(*convolutions(plan, channels, classes))


def convolutions(plan: list[tuple[int, int, int]], channels: int, classes: int) -> list[nn.Module]:
    """Layers out of (output channels, kernel, stride), each with batch norm and ReLU; then the
    classes' 1×1 convolution and average pooling."""
    layers = []
    for out, kernel, stride in plan:
        layers += [*normed(channels, out, kernel, stride), nn.ReLU(inplace=True)]
        channels = out
    return [*layers, nn.Conv2d(channels, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]


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


class ResNet18(nn.Sequential):
    """The ResNet-18 of He et al. 2016 (the paper's reference 57), as is usual for images of 32
    pixels: its first layer is a 3×3 convolution without stride and no max-pooling follows.

    conv w - 2 blocks of w - 2 of 2w s2 - 2 of 4w s2 - 2 of 8w s2 - average pooling - linear; w = 64
    in the paper. Initial weights are torch's, as in the other networks.

    Arguments: width w, channels of the images, number of classes.
    Takes images (N, channels, H, W), returns logits (N, classes).
    """

    def __init__(self, width: int = 64, channels: int = 3, classes: int = 10):
        layers = [*normed(channels, width, 3), nn.ReLU(inplace=True)]
        channels = width
        for stage in range(4):
            out = width * 2**stage
            layers += [Block(channels, out, 1 if stage == 0 else 2), Block(out, out, 1)]
            channels = out
        super().__init__(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)
        )


class FC(nn.Sequential):
    """The paper's fully connected network (Materials and Methods): five hidden layers of w, 4w/5,
    3w/5, 2w/5 and w/5 units, w = 2500 in the paper, each with batch norm and ReLU.

    Arguments: width w, numbers that an image has (channels · H · W), number of classes.
    Takes images (N, channels, H, W), returns logits (N, classes).
    """

    def __init__(self, width: int = 2500, inputs: int = 1024, classes: int = 10):
        layers = [nn.Flatten()]
        for part in (5, 4, 3, 2, 1):
            out = max(1, width * part // 5)
            layers += [nn.Linear(inputs, out, bias=False), nn.BatchNorm1d(out), nn.ReLU(True)]
            inputs = out
        super().__init__(*layers, nn.Linear(inputs, classes))


def build(model: str, channels: int = 3, size: int = 32, classes: int = 10) -> nn.Module:
    """A network by name (`allcnn-96`) for images of so many channels and pixels a side, with
    random initial weights from torch's generator."""
    family, _, width = model.partition("-")
    if family == "fc":
        return FC(int(width), channels * size * size, classes)
    if family == "resnet18":
        net = ResNet18(int(width), channels, classes)
    elif family.startswith("depth"):
        net = Depth(int(family.removeprefix("depth")), int(width), channels, classes)
    else:
        net = AllCNN(int(width), channels, classes)
    return net.to(memory_format=torch.channels_last)
