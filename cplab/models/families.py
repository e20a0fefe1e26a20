"""The papers' networks, described as the papers do: conv w is a 3×3 convolution to w channels with
batch norm and ReLU, conv1 is a 1×1 convolution, and s2 is a stride of 2."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

from cplab.base.late import nn
from cplab.models.model import model

# The scales of mlp's initial weights, with the ends of names: mlp2_tenth, mlp2 and mlp2_he
HE = {0.1: "_tenth", 0.3: "", 1.0: "_he"}


@model(label="All-CNN", width=96)
def allcnn(width: int, channels: int, size: int, classes: int) -> nn.Module:
    """The paper's convolutional network (Materials and Methods, after Springenberg et al.): conv w
    - conv w - conv 2w s2 - conv 2w - conv 2w - conv 2w s2 - conv 2w - conv1 2w - conv1 10 - average
    pooling. The last convolution gives the logits, and has a bias instead of batch norm and ReLU.
    """
    from cplab.models.layers import REST, STEM, convolutional_net

    return convolutional_net([*STEM, *REST], width, channels, classes)


@model(label="fully connected", width=2500, weight_decay=0, fixed_lr=0.005,
       profiles=("mnist", "slim", "paper"))  # fmt: skip
def fc(width: int, channels: int, size: int, classes: int) -> nn.Module:
    """The paper's fully connected network (Materials and Methods): five hidden layers of w, 4w/5,
    3w/5, 2w/5 and w/5 units, each with batch norm and ReLU."""
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = channels * size * size
    for part in (5, 4, 3, 2, 1):
        out = max(1, width * part // 5)
        layers += [nn.Linear(inputs, out, bias=False), nn.BatchNorm1d(out), nn.ReLU(True)]
        inputs = out
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


@model(label="ResNet-18", width=64, lr=2, weight_decay=0.5)
def resnet18(width: int, channels: int, size: int, classes: int) -> nn.Module:
    """The ResNet-18 of He et al. 2016 (the paper's reference 57), as usual for images of 32 pixels:
    conv w without stride or pooling - 2 blocks of w - 2 of 2w s2 - 2 of 4w s2 - 2 of 8w s2 -
    average pooling - linear. The paper gives it twice the All-CNN's learning rate, and half its
    weight decay."""
    from cplab.models.layers import ResidualBlock, conv_and_norm

    layers = [*conv_and_norm(channels, width, 3), nn.ReLU(inplace=True)]
    channels = width
    for stage in range(4):
        out = width * 2**stage
        stride = 1 if stage == 0 else 2
        layers += [ResidualBlock(channels, out, stride), ResidualBlock(out, out, 1)]
        channels = out
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    return nn.Sequential(*layers, *head)


def deep(n: int) -> Callable:
    """The paper's network of variable depth (Materials and Methods; figure 3, bottom right): conv w
    - [conv w·2^(i-1) - conv w·2^i s2] for i = 1 … n - conv w·2^n - conv1 w·2^n - conv1 10. The
    layers are those of allcnn. The average pooling at the end is not mentioned in the paper.

    Arguments:
        n: how often the image is halved.

    Returns:
        a function for `model`.
    """

    def build_deep(width: int, channels: int, size: int, classes: int) -> nn.Module:
        from cplab.models.layers import Convolution, convolutional_net

        plan = [Convolution(1, 3)]
        for i in range(n):
            plan += [Convolution(2**i, 3), Convolution(2 ** (i + 1), 3, stride=2)]
        plan += [Convolution(2**n, 3), Convolution(2**n, 1)]
        return convolutional_net(plan, width, channels, classes)

    build_deep.__name__ = f"depth{n}"
    build_deep.__doc__ = f"The paper's network of variable depth, halving the image {n} times."
    return build_deep


for depth in (1, 2, 3):
    model(deep(depth), label=f"depth {depth}", width=96)


def mlp(hidden: int, scale: float = 0.3) -> Callable:
    """A fully connected network with hidden layers of w ReLU units, without batch norm.

    Initial weights have `scale` times the standard deviation of He et al. 2015, √(2 / inputs), and
    biases are 0. Networks that begin small learn features (Chizat, Oyallon & Bach 2019).

    Arguments:
        hidden: the number of these layers.
        scale: one of HE.

    Returns:
        a function for `model`.
    """

    def build_mlp(width: int, channels: int, size: int, classes: int) -> nn.Module:
        layers: list[nn.Module] = [nn.Flatten()]
        inputs = channels * size * size
        for outputs in [width] * hidden + [classes]:
            layer = nn.Linear(inputs, outputs)
            nn.init.normal_(layer.weight, std=scale * math.sqrt(2 / inputs))
            nn.init.zeros_(layer.bias)
            layers += [layer, nn.ReLU()]
            inputs = outputs
        return nn.Sequential(*layers[:-1])  # no ReLU after the logits

    build_mlp.__name__ = f"mlp{hidden}{HE[scale]}"
    build_mlp.__doc__ = f"{hidden} hidden layers of ReLU, initial weights at {scale:g} of He's."
    return build_mlp


for hidden, scale in product((1, 2, 3), HE):
    words = f"{hidden} hidden layer{'s' if hidden > 1 else ''}"
    if HE[scale]:
        words += f", {scale:g} He"
    model(mlp(hidden, scale), width=64, label=words)


@model(label="two eyes", width=96, views=2)
def eyes(width: int, channels: int, size: int, classes: int) -> nn.Module:
    """The All-CNN with two eyes. The first three layers are there twice, each with half the width,
    for the left and the right five eighths of an image. Their outputs are joined for the fourth
    layer. The network is ours; Kleinman, Achille & Soatto 2023 study competing pathways."""
    from cplab.models.layers import TwoEyes

    return TwoEyes(width, channels, classes, 5 / 8)


@model(label="two eyes, whole image", width=96, views=2, apart=True)
def eyes_whole(width: int, channels: int, size: int, classes: int) -> nn.Module:
    """Like `eyes`, but each eye sees the whole image, shifted by itself."""
    from cplab.models.layers import TwoEyes

    return TwoEyes(width, channels, classes, 1)
