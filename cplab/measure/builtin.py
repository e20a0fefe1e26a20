"""The built-in measurements, by their names in MEASUREMENTS: (net, images) -> plain data."""

import math
import time
from contextlib import suppress

from torch import nn

from cplab.checks import CplabError
from cplab.data import Images
from cplab.measure import fisher

FACTORED, CURVED = 50, 200  # images of Kronecker factors and of the Hessian, the first so many


def measure_trace(net: nn.Module, images: Images) -> dict:
    """The exact Fisher trace by layer, a list; log_det, log |F / DAMPING + I|, 0 for a network that
    knows nothing; seconds."""
    began = time.perf_counter()
    x = images.normal(images.train_x)
    traces, logs = fisher.trace(net, x), fisher.log_determinant(net, x[:FACTORED])
    count = sum(layer.weight.numel() for layer in fisher.counted_layers(net, x).values())
    return {
        "trace": list(traces.layers.values()),
        "log_det": logs.total - count * math.log(fisher.DAMPING),
        "seconds": time.perf_counter() - began,
    }


def measure_ending(net: nn.Module, images: Images) -> dict:
    """Names of layers; information, of the noise estimator, by layer, with its errors; filters of
    the first convolution (out, in, H, W); sharpness where Lanczos' method converges; seconds."""
    began = time.perf_counter()
    x = images.normal(images.train_x)
    noisy = fisher.information(net, x).trace
    found = {
        "layers": list(noisy.layers),
        "information": list(noisy.layers.values()),
        "information_error": list(noisy.errors.values()),
    }
    first = next(layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear)))
    if isinstance(first, nn.Conv2d):
        found["filters"] = first.weight.tolist()
    with suppress(ImportError, CplabError):
        found["sharpness"] = fisher.sharpness(net, x[:CURVED], images.train_y[:CURVED])
    return {**found, "seconds": time.perf_counter() - began}


def measure_weight_norms(net: nn.Module, images: Images) -> dict:
    """Names of layers; norms, the Frobenius norm of each one's weight. Under batch norm a layer's
    share of the trace falls with the square of its norm, while the answers stay as they are."""
    norms = {
        name or type(layer).__name__: layer.weight.detach().cpu().double().norm().item()
        for name, layer in net.named_modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    }
    return {"layers": list(norms), "norms": list(norms.values())}
