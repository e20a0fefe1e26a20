"""The built-in measurements: (net, images) -> plain data, kept under their names in MEASUREMENTS,
which are those of the functions without measure_."""

from __future__ import annotations

import base64
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from cplab.errors import CplabError
from cplab.measure.measurements import AT_BIRTH, measurement

if TYPE_CHECKING:
    from torch import nn

    from cplab.data import Images

FACTORED, CURVED = 50, 200  # images of Kronecker factors and of the Hessian, the first so many


@measurement(label="Fisher trace")
def measure_trace(net: nn.Module, images: Images) -> dict:
    """Fisher trace by layer, and its log-determinant.

    trace, exact, a list by layer; log_det, log |F / DAMPING + I|, 0 for a network that knows
    nothing; seconds."""
    from cplab.measure import fisher

    began, x = time.perf_counter(), images.normal(images.train_x)
    traces, logs = fisher.trace(net, x), fisher.log_determinant(net, x[:FACTORED])
    count = sum(layer.weight.numel() for layer in fisher.counted_layers(net, x).values())
    return {
        "trace": list(traces.layers.values()),
        "log_det": logs.total - count * math.log(fisher.DAMPING),
        "seconds": time.perf_counter() - began,
    }


@measurement(label="squared Jacobian")
def measure_jacobian(net: nn.Module, images: Images) -> dict:
    """Squared Jacobian of the logits by layer: the trace without the softmax's certainty.

    layers, their names; jacobian, E ‖∂ logits / ∂ weights‖², a list by layer; seconds."""
    from cplab.measure import fisher

    began = time.perf_counter()
    layers = fisher.jacobian(net, images.normal(images.train_x)).layers
    seconds = time.perf_counter() - began
    return {"layers": list(layers), "jacobian": list(layers.values()), "seconds": seconds}


@measurement(label="single connections", when="end")
def measure_connections(net: nn.Module, images: Images) -> dict:
    """Fisher information of single weights: a hundred of each layer, evenly spread, by its name.

    Whether it is the same connections that are strong at two ages."""
    from cplab.measure import fisher

    every = fisher.diagonal(net, images.normal(images.train_x)).items()
    some = {name: F.flatten()[:: max(1, F.numel() // 100)][:100].tolist() for name, F in every}
    return {name: [float(f"{F:.4g}") for F in found] for name, found in some.items()}


@measurement(label="information", when="end")
def measure_ending(net: nn.Module, images: Images) -> dict:
    """Information by layer, first filters and sharpness.

    Names of layers; information, of the noise estimator, by layer, with its errors; filters of the
    first convolution (out, in, H, W); sharpness where Lanczos' method converges; seconds."""
    from torch import nn

    from cplab.measure import fisher

    began = time.perf_counter()
    x = images.normal(images.train_x)
    quick = len(x) <= AT_BIRTH  # only to see whether it can be measured
    draws, batch = (4, AT_BIRTH) if quick else (50, 100)
    noisy = fisher.information(net, x, draws=draws, batch=batch).trace
    found = {
        "layers": list(noisy.layers),
        "information": list(noisy.layers.values()),
        "information_error": list(noisy.errors.values()),
    }
    first = next(layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear)))
    if isinstance(first, nn.Conv2d):
        found["filters"] = first.weight.tolist()
    with suppress(ImportError, CplabError):
        if not quick:
            found["sharpness"] = fisher.sharpness(net, x[:CURVED], images.train_y[:CURVED])
    return {**found, "seconds": time.perf_counter() - began}


@measurement(label="weight norms")
def measure_weight_norms(net: nn.Module, images: Images) -> dict:
    """Frobenius norm of each layer's weight.

    Names of layers; norms. Under batch norm a layer's part of the trace and of the squared Jacobian
    falls with the square of its norm, while the answers stay: norm² · part does not change."""
    from torch import nn

    norms = {
        name or type(layer).__name__: layer.weight.detach().cpu().double().norm().item()
        for name, layer in net.named_modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    }
    return {"layers": list(norms), "norms": list(norms.values())}


@measurement(label="accuracy on blurred images", images=5000)
def measure_blurred(net: nn.Module, images: Images) -> dict:
    """Accuracy on blurred test images, and on the same ones clear.

    clear and blurred, the network as it is; adapted, blurred ones with BatchNorm on the statistics
    of 1,000 of them at a time, so that what is left is no matter of their means and spreads."""
    import copy

    import torch

    from cplab.deficits import blur

    x, y = images.normal(images.test_x), images.test_y
    right = {"clear": 0, "blurred": 0, "adapted": 0}
    with torch.no_grad():
        for some, labels in zip(x.split(1000), y.split(1000), strict=True):
            dim, adapting = blur(some, labels)[0], copy.deepcopy(net).train()
            answers = {"clear": net(some), "blurred": net(dim), "adapted": adapting(dim)}
            for name, logits in answers.items():
                right[name] += int((logits.argmax(1) == labels).sum())
    return {name: count / len(y) for name, count in right.items()}


@measurement(label="share of the right eye", images=1000)
def measure_eye_shares(net: nn.Module, images: Images) -> list[float]:
    """The right eye's share of each neuron that is the first to have both eyes.

    A list, 0 (left only) to 1 (right only), see two_eyes.right_shares; of test images, with
    BatchNorm on their own statistics, so that an eye that was closed is read as one that has opened
    and got used to it."""
    from cplab.measure import two_eyes

    return [round(share, 4) for share in two_eyes.right_shares(net, images.normal(images.test_x))]


@measurement(label="each eye", images=5000, when="end")
def measure_each_eye(net: nn.Module, images: Images) -> dict:
    """Accuracy with both eyes, and with the left and the right alone, read in three ways.

    both, closed, mean_map and adapted: see two_eyes.each_eye."""
    from cplab.measure import two_eyes

    return two_eyes.each_eye(net, images.normal(images.test_x), images.test_y)


@measurement(label="gauges of plasticity", images=512)
def measure_gauges(net: nn.Module, images: Images) -> dict:
    """Signs of how well a network still learns, on clear training images.

    Names of layers and their weights' norms; gradient, the norm of the loss's gradient, and loss,
    both the mean over batches with batch statistics; dead, the fraction of units of each ReLU that
    are never above 0; rank, the effective rank of what the last layer is given, averaged over
    positions: the exponential of the entropy of its singular values (Roy & Vetterli 2007)."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    x, y = images.normal(images.train_x), images.train_y
    last = [layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))][-1]
    seen: dict[nn.Module, torch.Tensor] = {}  # (images, units, positions)

    def keep(layer: nn.Module, given: tuple, out: torch.Tensor) -> None:
        values = given[0] if layer is last else out
        seen[layer] = values.detach().clone().unsqueeze(-1).flatten(2)

    for layer in net.modules():
        if layer is last or isinstance(layer, nn.ReLU):
            layer.register_forward_hook(keep)
    net(x)
    features = seen.pop(last).mean(2)
    parts = torch.linalg.svdvals(features - features.mean(0))
    entropy = torch.special.entr(parts / parts.sum().clamp_min(1e-30)).sum()
    silent = [units.amax((0, 2)) <= 0 for units in seen.values()]
    net.train()
    norms, losses = [], []
    for some, labels in zip(x.split(128), y.split(128), strict=True):
        loss = F.cross_entropy(net(some), labels)
        slopes = torch.autograd.grad(loss, [w for w in net.parameters() if w.requires_grad])
        norms.append(torch.stack([slope.norm() for slope in slopes]).norm().item())
        losses.append(loss.item())
    return {
        **measure_weight_norms(net, images),
        "gradient": sum(norms) / len(norms),
        "loss": sum(losses) / len(losses),
        "dead": [each.float().mean().item() for each in silent],
        "rank": entropy.exp().item(),
    }


@measurement(label="test images named rightly", when="end", images=None)
def measure_correct(net: nn.Module, images: Images) -> str:
    """Which test images the network names correctly: a bit for each, packed, as base64.

    With it one can ask how much of a difference would be another with other test images."""
    import numpy as np

    parts = images.test_x.split(2000), images.test_y.split(2000)
    right = [net(images.normal(x)).argmax(1) == y for x, y in zip(*parts, strict=True)]
    packed = np.packbits([bit for part in right for bit in part.tolist()])
    return base64.b64encode(packed.tobytes()).decode()
