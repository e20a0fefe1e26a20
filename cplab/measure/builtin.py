"""The built-in measurements: functions of a network and images that return plain data.

Their names in MEASUREMENTS are those of the functions without measure_. What `@measurement` takes,
such as `images` and `when`, is explained at `Measurement`. What one lab alone measures is in its
module.
"""

from __future__ import annotations

import copy
import math
from contextlib import suppress
from typing import TYPE_CHECKING

from cplab.base.errors import CplabError
from cplab.base.late import Tensor, nn, torch
from cplab.measure.measurements import measurement

if TYPE_CHECKING:
    from cplab.pictures.data import Images

FACTOR_IMAGES = 50  # from which the Kronecker factors are computed
HESSIAN_IMAGES = 200  # from which the Hessian's sharpness is computed
MOSAIC_SIDES = (2, 3, 4, 6)  # of the squares of a mosaic, pixels


@measurement(label="Fisher trace")
def measure_trace(net: nn.Module, images: Images) -> dict:
    """The exact Fisher trace.

    Returns:
        trace, a list by layer; log_det, log |F / DAMPING + I|, which is 0 for a network without
        information.
    """
    from cplab.measure.fisher import DAMPING, counted_layers, log_determinant, trace

    x = images.normal(images.train_x)
    traces = trace(net, x)
    log_det = log_determinant(net, x[:FACTOR_IMAGES]).total  # log |F + DAMPING · I|
    weights = sum(layer.weight.numel() for layer in counted_layers(net, x).values())
    return {
        "trace": list(traces.layers.values()),
        "log_det": log_det - weights * math.log(DAMPING),
    }


@measurement(label="squared Jacobian")
def measure_jacobian(net: nn.Module, images: Images) -> dict:
    """The squared Jacobian of the logits, E ‖∂ logits / ∂ weights‖²: like the trace, but whatever
    the certainty of the softmax.

    Returns:
        layers, their names; jacobian, a list by layer.
    """
    from cplab.measure.fisher import jacobian

    layers = jacobian(net, images.normal(images.train_x)).layers
    return {"layers": list(layers), "jacobian": list(layers.values())}


@measurement(label="information", when="end")
def measure_ending(net: nn.Module, images: Images) -> dict:
    """The information in the weights after training, by the noise that they can bear.

    Returns:
        layers, their names; information and information_error, lists by layer; filters, of a first
        convolution, (out, in, H, W); sharpness, if Lanczos' method converges.
    """
    from cplab.measure.fisher import information, sharpness

    x = images.normal(images.train_x)
    noisy, _ = information(net, x, draws=50, batch=100)
    row = {
        "layers": list(noisy.layers),
        "information": list(noisy.layers.values()),
        "information_error": list(noisy.errors.values()),
    }
    first = weighted_layers(net)[0]
    if isinstance(first, nn.Conv2d):
        row["filters"] = first.weight.tolist()
    with suppress(ImportError, CplabError):
        row["sharpness"] = sharpness(net, x[:HESSIAN_IMAGES], images.train_y[:HESSIAN_IMAGES])
    return row


def weighted_layers(net: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    """The convolutions and linear layers of a network, in order.

    >>> weighted_layers(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
    [Linear(in_features=2, out_features=3, bias=True)]
    """
    return [layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


@measurement(label="weight norms")
def measure_weight_norms(net: nn.Module, images: Images) -> dict:
    """The Frobenius norms of layers' weights. Under batch norm, a layer's part of the trace and of
    the squared Jacobian falls with norm² while the outputs stay the same.

    Returns:
        layers, their names; norms, a list by layer.
    """
    norms = {}
    for name, layer in net.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            norm = layer.weight.detach().cpu().double().norm()
            norms[name or type(layer).__name__] = norm.item()
    return {"layers": list(norms), "norms": list(norms.values())}


@measurement(label="accuracy on blurred images", images=5000)
def measure_blurred(net: nn.Module, images: Images) -> dict:
    """The accuracy on clear and on blurred test images.

    Returns:
        clear and blurred, with the network as it is; adapted, on blurred images with batch norm on
        the statistics of 1,000 of them at a time: what is lost then is not due to their means and
        spreads.
    """
    from cplab.deficits import blur

    x = images.normal(images.test_x)
    y = images.test_y
    correct = {"clear": 0, "blurred": 0, "adapted": 0}
    with torch.no_grad():
        for clear, labels in zip(x.split(1000), y.split(1000), strict=True):
            blurred, _ = blur(clear, labels)
            adapted = copy.deepcopy(net).train()
            outputs = {"clear": net(clear), "blurred": net(blurred), "adapted": adapted(blurred)}
            for name, logits in outputs.items():
                correct[name] += count_correct(logits, labels)
    return {name: count / len(y) for name, count in correct.items()}


@measurement(label="accuracy on mosaics", when="end", images=None, copied=False)
def measure_mosaics(net: nn.Module, images: Images) -> dict:
    """The accuracy on test images: clear, and as mosaics by the side of the squares."""
    from cplab.deficits import mosaic

    clear = images.normal_test
    y = images.test_y
    accuracies = {"clear": fraction_correct(net, clear, y)}
    for side in MOSAIC_SIDES:
        squares, _ = mosaic(clear, y, side)
        accuracies[str(side)] = fraction_correct(net, squares, y)
    return accuracies


def fraction_correct(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """The fraction of images that a network classifies correctly.

    Arguments:
        net: the network.
        x: normalised images (N, C, H, W).
        y: labels (N,).
    """
    correct = 0
    with torch.no_grad():
        for part, labels in zip(x.split(2000), y.split(2000), strict=True):
            correct += count_correct(net(part), labels)
    return correct / len(y)


@measurement(label="own training images right", images=None, copied=False)
def measure_own_images_right(net: nn.Module, images: Images) -> float:
    """The fraction of its training images that a network classifies correctly when they are clear.

    After a deficit it tells how much is left to learn: images that are already right have hardly
    any gradient.
    """
    correct = answers_to(net, images, images.train_x) == images.train_y
    return int(correct.sum()) / len(images.train_y)


def answers_to(net: nn.Module, images: Images, x: Tensor) -> Tensor:
    """The class that a network takes each image for, (N,). x: uint8 images (N, H, W, C)."""
    with torch.no_grad():
        return torch.cat([net(images.normal(part)).argmax(1) for part in x.split(2000)])


def count_correct(logits: Tensor, labels: Tensor) -> int:
    """How many images have their highest logit, (N, classes), at their label, (N,)."""
    return int((logits.argmax(1) == labels).sum())
