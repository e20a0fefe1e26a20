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
        layers = []
        for out, kernel, stride in plan:
            conv = nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, bias=False)
            layers += [conv, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
            channels = out
        super().__init__(
            *layers, nn.Conv2d(channels, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )


def build(model: str, channels: int = 3, classes: int = 10) -> nn.Module:
    """A network by name (`allcnn-96`), with random initial weights from torch's generator."""
    width = int(model.partition("-")[2])
    net = AllCNN(width, channels, classes)
    return net.to(memory_format=torch.channels_last)
