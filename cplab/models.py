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
    return AllCNN(int(width), channels, classes).to(memory_format=torch.channels_last)
