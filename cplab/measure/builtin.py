"""The built-in measurements: (net, images) -> plain data, kept in MEASUREMENTS under the names of
their functions without measure_."""

from __future__ import annotations

import base64
import copy
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cplab.errors import CplabError
from cplab.late import F, Tensor, nn, torch
from cplab.measure.measurements import AT_BIRTH, measurement

if TYPE_CHECKING:
    from cplab.data import Images

FACTORED, CURVED = 50, 200  # how many images give the Kronecker factors, and the Hessian
FEW = 8  # units of a first layer that are looked at
MOST_WEIGHTS = 100_000  # of a network that is kept whole


@measurement(label="Fisher trace")
def measure_trace(net: nn.Module, images: Images) -> dict:
    """Fisher trace, exact, a list by layer; log_det, log |F / DAMPING + I|, 0 for a network without
    information; seconds."""
    from cplab.measure.fisher import DAMPING, counted_layers, log_determinant, trace

    began, x = time.perf_counter(), images.normal(images.train_x)
    traces, logs = trace(net, x), log_determinant(net, x[:FACTORED])
    count = sum(layer.weight.numel() for layer in counted_layers(net, x).values())
    return {
        "trace": list(traces.layers.values()),
        "log_det": logs.total - count * math.log(DAMPING),
        "seconds": time.perf_counter() - began,
    }


@measurement(label="squared Jacobian")
def measure_jacobian(net: nn.Module, images: Images) -> dict:
    """Squared Jacobian of the logits, E ‖∂ logits / ∂ weights‖², by layer: the trace without the
    softmax's certainty. Names of layers; a list by layer; seconds."""
    from cplab.measure.fisher import jacobian

    began = time.perf_counter()
    layers = jacobian(net, images.normal(images.train_x)).layers
    seconds = time.perf_counter() - began
    return {"layers": list(layers), "jacobian": list(layers.values()), "seconds": seconds}


@measurement(label="single connections", when="end")
def measure_connections(net: nn.Module, images: Images) -> dict:
    """Fisher information of single weights, a hundred of each layer, evenly spread, by its name:
    whether the same connections are strong at two ages."""
    from cplab.measure.fisher import diagonal

    rows = {}
    for name, found in diagonal(net, images.normal(images.train_x)).items():
        values = found.flatten()[:: max(1, found.numel() // 100)][:100]
        rows[name] = [float(f"{value:.4g}") for value in values.tolist()]
    return rows


@measurement(label="information", when="end")
def measure_ending(net: nn.Module, images: Images) -> dict:
    """Names of layers; information, of the noise estimator, by layer, with its errors; filters of
    the first convolution (out, in, H, W); sharpness where Lanczos' method converges; seconds."""
    from cplab.measure.fisher import information, sharpness

    began = time.perf_counter()
    x = images.normal(images.train_x)
    trial = len(x) <= AT_BIRTH  # before training, to see whether it can be measured
    draws, batch = (4, AT_BIRTH) if trial else (50, 100)
    noisy, _ = information(net, x, draws=draws, batch=batch)
    row = {
        "layers": list(noisy.layers),
        "information": list(noisy.layers.values()),
        "information_error": list(noisy.errors.values()),
    }
    first = next(layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear)))
    if isinstance(first, nn.Conv2d):
        row["filters"] = first.weight.tolist()
    with suppress(ImportError, CplabError):
        if not trial:
            row["sharpness"] = sharpness(net, x[:CURVED], images.train_y[:CURVED])
    return {**row, "seconds": time.perf_counter() - began}


SIDES = (2, 3, 4, 6)  # of the squares of a mosaic, pixels


@measurement(label="detail share", when="end", images=1, copied=False, from_birth=True)
def measure_detail_share(net: nn.Module, birth: nn.Module, images: Images) -> dict:
    """Of the squared change of the first layer's weights since birth, the part in the detail that a
    mosaic removes: all that is not constant on its squares. By the side of the squares; the first
    layer must take all pixels.

    A weight that has only ever seen a mosaic changes by whole squares, so that its share is 0; a
    change in a random direction has the share of the dimensions, 8/9 for 3 × 3 squares."""
    change, images_shape = weight_change(net, birth, images)
    pictures = change.reshape(-1, *images_shape)  # (units, C, H, W)
    return {str(side): round(detail_share(pictures, side), 6) for side in SIDES}


def weight_change(
    net: nn.Module, birth: nn.Module, images: Images
) -> tuple[Tensor, tuple[int, int, int]]:
    """The change of the first layer's weights since birth, (units, pixels), and the shape of what
    it takes, (C, H, W)."""
    kinds = (nn.Conv2d, nn.Linear)
    layer = next(m for m in net.modules() if isinstance(m, kinds))
    layer_at_birth = next(m for m in birth.modules() if isinstance(m, kinds))
    channels, height, width = images.normal(images.train_x[:1]).shape[1:]
    if not isinstance(layer, nn.Linear) or layer.in_features != channels * height * width:
        raise CplabError(
            f"the first layer of a {type(net).__name__} does not take a whole image: take mlp2"
        )
    change = (layer.weight - layer_at_birth.weight).detach().double()
    return change, (channels, height, width)


def detail_share(pictures: Tensor, side: int) -> float:
    """The part of the squares of pictures, (N, C, H, W), that a mosaic of this side removes; 0
    where they are all 0.

    >>> stripes = torch.tensor([1.0, -1.0]).repeat(6).expand(1, 1, 12, 12)
    >>> detail_share(stripes, 2), detail_share(torch.ones(1, 1, 12, 12), 2)
    (1.0, 0.0)
    """
    from cplab.deficits import mosaic

    kept, _ = mosaic(pictures, torch.zeros(len(pictures)), side)
    total = float(pictures.square().sum())
    removed = float((pictures - kept).square().sum())
    return removed / total if total else 0.0


@measurement(label="accuracy on mosaics", when="end", images=None, copied=False)
def measure_mosaics(net: nn.Module, images: Images) -> dict:
    """Accuracy on test images that are clear, and on their mosaics, by the side of the squares."""
    from cplab.deficits import mosaic

    clear, y = images.normal_test, images.test_y
    seen = {"clear": clear} | {str(side): mosaic(clear, y, side)[0] for side in SIDES}
    accuracies = {}
    with torch.no_grad():
        for name, x in seen.items():
            correct = 0
            for part, labels in zip(x.split(2000), y.split(2000), strict=True):
                correct += int((net(part).argmax(1) == labels).sum())
            accuracies[name] = correct / len(y)
    return accuracies


@measurement(label="weight norms")
def measure_weight_norms(net: nn.Module, images: Images) -> dict:
    """Names of layers, and the Frobenius norms of their weights. Under batch norm a layer's part of
    the trace and of the squared Jacobian falls with norm² while the outputs stay the same."""
    norms = {
        name or type(layer).__name__: layer.weight.detach().cpu().double().norm().item()
        for name, layer in net.named_modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    }
    return {"layers": list(norms), "norms": list(norms.values())}


@measurement(label="accuracy on blurred images", images=5000)
def measure_blurred(net: nn.Module, images: Images) -> dict:
    """Accuracy on clear and on blurred test images, the network as it is; adapted, on blurred ones
    with BatchNorm on the statistics of 1,000 of them at a time, so that their means and spreads
    explain none of what is lost."""
    from cplab.deficits import blur

    x, y = images.normal(images.test_x), images.test_y
    correct = {"clear": 0, "blurred": 0, "adapted": 0}
    with torch.no_grad():
        for clear, labels in zip(x.split(1000), y.split(1000), strict=True):
            blurred, adapted = blur(clear, labels)[0], copy.deepcopy(net).train()
            outputs = {"clear": net(clear), "blurred": net(blurred), "adapted": adapted(blurred)}
            for name, logits in outputs.items():
                correct[name] += int((logits.argmax(1) == labels).sum())
    return {name: count / len(y) for name, count in correct.items()}


@measurement(label="share of the right eye", images=1000)
def measure_eye_shares(net: nn.Module, images: Images) -> list[float]:
    """The right eye's share in the drive of each neuron of the first layer that both eyes reach, on
    test images: var z_right / (var z_left + var z_right) over images and positions, 0.5 where
    neither eye drives it. BatchNorm of the stems has the statistics of these images, so that an eye
    that was closed is read as one that has opened and adapted."""
    x, used = images.normal(images.test_x), with_two_eyes(net.train())
    conv = used.shared[0]
    with torch.no_grad():
        maps = used.look(torch.stack([x, x], 1))
        left, right = (
            F.conv2d(h, w, None, conv.stride, conv.padding).cpu().double().var((0, 2, 3))
            for h, w in zip(maps, conv.weight.split(maps[0].shape[1], 1), strict=True)
        )
    shares = torch.where(left + right > 0, right / (left + right).clamp(min=1e-300), 0.5)
    return [round(share, 4) for share in shares.tolist()]


@measurement(label="each eye", images=5000, when="end")
def measure_each_eye(net: nn.Module, images: Images) -> dict:
    """Accuracy with both eyes, and of [left, right] alone, on test images.

    A network that always had two eyes has not learned what to do with one of them closed. So the
    open eye is read in three ways: while the other sees grey (closed); with the mean over images in
    place of the other stem's maps (mean_map); and closed, with BatchNorm of the shared layers on
    the statistics of 1,000 of these very images at a time (adapted), like someone who covers an eye
    and gets used to it.
    """
    x, y, used = images.normal(images.test_x), images.test_y, with_two_eyes(net)
    total = torch.zeros(7, dtype=torch.long)
    for part, labels in zip(x.split(1000), y.split(1000), strict=True):
        with torch.no_grad():
            maps = used.look(torch.stack([part, part], 1))
            grey = used.look(torch.zeros_like(part[:1]).unsqueeze(1).expand(-1, 2, -1, -1, -1))
            mean = [stem_maps.mean(0, keepdim=True) for stem_maps in maps]
            adapted = copy.deepcopy(used.shared).train()
            outputs = [used.shared(torch.cat(maps, 1))]
            for shared, absent in ((used.shared, grey), (used.shared, mean), (adapted, grey)):
                left_alone = torch.cat([maps[0], absent[1].expand_as(maps[1])], 1)
                right_alone = torch.cat([absent[0].expand_as(maps[0]), maps[1]], 1)
                outputs += [shared(left_alone), shared(right_alone)]
        total += torch.stack([(logits.argmax(1) == labels).sum().cpu() for logits in outputs])
    both, *alone = (total.double() / max(1, len(y))).tolist()
    return {"both": both, "closed": alone[:2], "mean_map": alone[2:4], "adapted": alone[4:]}


def with_two_eyes(net: nn.Module) -> Any:
    """Return the network if it has two eyes; else raise a CplabError."""
    if not hasattr(net, "eyes"):
        raise CplabError(f"a {type(net).__name__} does not have two eyes: take model eyes")
    return net


@measurement(label="gauges of plasticity", images=512)
def measure_gauges(net: nn.Module, images: Images) -> dict:
    """Signs of how well a network can still learn, on clear training images.

    Names of layers and their weights' norms; gradient, the norm of the loss's gradient, and loss,
    both the mean over batches with batch statistics; dead, the fraction of units of each ReLU that
    are never above 0; rank, the effective rank of the last layer's input, averaged over positions:
    the exponential of the entropy of its singular values (Roy & Vetterli 2007)."""
    x, y = images.normal(images.train_x), images.train_y
    last = [layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))][-1]
    activations: dict[nn.Module, torch.Tensor] = {}  # (images, units, positions)

    def keep(layer: nn.Module, inputs: tuple, out: torch.Tensor) -> None:
        values = inputs[0] if layer is last else out
        activations[layer] = values.detach().clone().unsqueeze(-1).flatten(2)

    for layer in net.modules():
        if layer is last or isinstance(layer, nn.ReLU):
            layer.register_forward_hook(keep)
    net(x)
    features = activations.pop(last).mean(2)
    singular_values = torch.linalg.svdvals(features - features.mean(0))
    entropy = torch.special.entr(singular_values / singular_values.sum().clamp_min(1e-30)).sum()
    never_active = [units.amax((0, 2)) <= 0 for units in activations.values()]
    net.train()
    norms, losses = [], []
    for part, labels in zip(x.split(128), y.split(128), strict=True):
        loss = F.cross_entropy(net(part), labels)
        gradients = torch.autograd.grad(loss, [w for w in net.parameters() if w.requires_grad])
        norms.append(torch.stack([slope.norm() for slope in gradients]).norm().item())
        losses.append(loss.item())
    return {
        **measure_weight_norms(net, images),
        "gradient": sum(norms) / len(norms),
        "loss": sum(losses) / len(losses),
        "dead": [dead.float().mean().item() for dead in never_active],
        "rank": entropy.exp().item(),
    }


@measurement(label="own training images right", images=None, copied=False)
def measure_own_images_right(net: nn.Module, images: Images) -> float:
    """The fraction of its training images that a network gets right when they are clear. After a
    deficit it tells what is left to learn: images that are right already have hardly a gradient."""
    correct = answers_to(net, images, images.train_x) == images.train_y
    return int(correct.sum()) / len(images.train_y)


@measurement(label="test images named rightly", when="end", images=None)
def measure_correct(net: nn.Module, images: Images) -> str:
    """Which test images the network classifies correctly: a bit for each, packed, as base64. They
    show how much a difference would vary with other test images."""
    import numpy as np

    correct = answers_to(net, images, images.test_x) == images.test_y
    return base64.b64encode(np.packbits(correct.tolist()).tobytes()).decode()


@measurement(label="what test images are taken for", when="end", images=None, copied=False)
def measure_answers(net: nn.Module, images: Images) -> str:
    """The class that the network takes each test image for, a digit each; ten classes at most."""
    return "".join(map(str, answers_to(net, images, images.test_x).tolist()))


def answers_to(net: nn.Module, images: Images, x: Tensor) -> Tensor:
    """The class that a network takes each of these images for, (N,)."""
    with torch.no_grad():
        return torch.cat([net(images.normal(part)).argmax(1) for part in x.split(2000)])


@measurement(label="what the first units look for", images=1, copied=False, from_birth=True)
def measure_first_units(net: nn.Module, birth: nn.Module, images: Images) -> dict:
    """The weights of the first FEW units of a network whose first layer sees all pixels at once,
    as base64 of a byte a weight: 128 + 127 w / `scale`. With them the detail share of the layer's
    change since birth, by the side of the squares. Nothing of other networks."""
    try:
        change, shape = weight_change(net, birth, images)
    except CplabError:
        return {}
    layer = next(layer for layer in net.modules() if isinstance(layer, nn.Linear))
    weights = layer.weight.detach()[:FEW].view(-1, *shape).mean(1).cpu()  # of all colours
    scale = weights.abs().max().item() or 1.0
    grey = (128 + 127 * weights / scale).round().byte().numpy()
    pictures = change.view(-1, *shape)
    shares = {str(side): round(detail_share(pictures, side), 4) for side in SIDES}
    return {"scale": scale, "units": base64.b64encode(grey.tobytes()).decode(), "detail": shares}


@measurement(label="all weights", when="end", images=1, copied=False)
def measure_all_weights(net: nn.Module, images: Images) -> str:
    """All that a small network has learned, in the order of its state, as base64 of half
    precision; "" of one with more than MOST_WEIGHTS."""
    import numpy as np

    values = torch.cat(
        [tensor.detach().float().cpu().flatten() for tensor in net.state_dict().values()]
    )
    if len(values) > MOST_WEIGHTS:
        return ""
    return base64.b64encode(values.numpy().astype(np.float16).tobytes()).decode()
