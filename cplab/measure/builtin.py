"""The built-in measurements: functions of a network and images that return plain data.

Their names in MEASUREMENTS are those of the functions without measure_.
"""

from __future__ import annotations

import base64
import copy
import math
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, cast

from cplab.errors import CplabError
from cplab.late import F, Tensor, nn, torch
from cplab.measure.measurements import AT_BIRTH, measurement

if TYPE_CHECKING:
    from cplab.data import Images
    from cplab.models.layers import TwoEyes

FACTORED = 50  # images from which the Kronecker factors are computed
CURVED = 200  # images from which the Hessian is computed
SIDES = (2, 3, 4, 6)  # sides of the squares of a mosaic, pixels

# Fisher information -------------------------------------------------------------------------------


@measurement(label="Fisher trace")
def measure_trace(net: nn.Module, images: Images) -> dict:
    """The exact Fisher trace.

    Returns: trace, a list by layer; log_det, log |F / DAMPING + I|, which is 0 for a network
        without information.
    """
    from cplab.measure.fisher import DAMPING, counted_layers, log_determinant, trace

    x = images.normal(images.train_x)
    traces = trace(net, x)
    log_det = log_determinant(net, x[:FACTORED]).total  # log |F + DAMPING · I|
    weights = sum(layer.weight.numel() for layer in counted_layers(net, x).values())
    return {
        "trace": list(traces.layers.values()),
        "log_det": log_det - weights * math.log(DAMPING),
    }


@measurement(label="squared Jacobian")
def measure_jacobian(net: nn.Module, images: Images) -> dict:
    """The squared Jacobian of the logits, E ‖∂ logits / ∂ weights‖²: like the trace, but whatever
    the certainty of the softmax.

    Returns: layers, their names; jacobian, a list by layer.
    """
    from cplab.measure.fisher import jacobian

    layers = jacobian(net, images.normal(images.train_x)).layers
    return {"layers": list(layers), "jacobian": list(layers.values())}


@measurement(label="single connections", when="end")
def measure_connections(net: nn.Module, images: Images) -> dict:
    """The Fisher information of single weights, which tells whether the same connections are strong
    at two ages.

    Returns: by the layer's name, a list for a hundred of its weights, evenly spread.
    """
    from cplab.measure.fisher import diagonal

    rows = {}
    for name, information in diagonal(net, images.normal(images.train_x)).items():
        apart = max(1, information.numel() // 100)
        values = information.flatten()[::apart][:100]
        rows[name] = [float(f"{value:.4g}") for value in values.tolist()]
    return rows


@measurement(label="information", when="end")
def measure_ending(net: nn.Module, images: Images) -> dict:
    """The information in the weights after training, by the noise that they can bear.

    Returns: layers, their names; information and information_error, lists by layer; filters, of a
        first convolution, (out, in, H, W); sharpness, if Lanczos' method converges.
    """
    from cplab.measure.fisher import information, sharpness

    x = images.normal(images.train_x)
    is_trial = len(x) <= AT_BIRTH  # before training, to see whether it can be measured
    if is_trial:
        noisy, _ = information(net, x, draws=4, batch=AT_BIRTH)
    else:
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
        if not is_trial:
            row["sharpness"] = sharpness(net, x[:CURVED], images.train_y[:CURVED])
    return row


def weighted_layers(net: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    """The convolutions and linear layers of a network, in order.

    >>> weighted_layers(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
    [Linear(in_features=2, out_features=3, bias=True)]
    """
    return [layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


# Mosaics and blur ---------------------------------------------------------------------------------


@measurement(label="detail share", when="end", images=1, copied=False, from_birth=True)
def measure_detail_share(net: nn.Module, birth: nn.Module, images: Images) -> dict:
    """The part of the squared change of the first layer's weights since birth that a mosaic
    removes: all detail that is not constant on its squares.

    A unit that has only seen mosaics changes by whole squares, so that its share is 0. A change in
    a random direction has the share of the dimensions, 8/9 for squares of 3 × 3 pixels. The first
    layer must take whole images.

    Returns: the share, by the side of the squares, in pixels.
    """
    change, image_shape = weight_change(net, birth, images)
    pictures = change.reshape(-1, *image_shape)  # (units, C, H, W)
    return {str(side): round(share_in_detail(pictures, side), 6) for side in SIDES}


def weight_change(
    net: nn.Module, birth: nn.Module, images: Images
) -> tuple[Tensor, tuple[int, int, int]]:
    """The change of the first layer's weights since birth, (units, C · H · W), and the shape of an
    image, (C, H, W).

    Raises: CplabError if the layer does not take whole images.
    """
    layer = weighted_layers(net)[0]
    layer_at_birth = weighted_layers(birth)[0]
    channels, height, width = images.normal(images.train_x[:1]).shape[1:]
    if not isinstance(layer, nn.Linear) or layer.in_features != channels * height * width:
        raise CplabError(
            f"the first layer of a {type(net).__name__} does not take a whole image: take mlp2"
        )
    change = (layer.weight - layer_at_birth.weight).detach().double()
    return change, (channels, height, width)


def share_in_detail(pictures: Tensor, side: int) -> float:
    """The part of the sum of squares of pictures, (N, C, H, W), that a mosaic of this side removes;
    0 if they are all 0.

    >>> stripes = torch.tensor([1.0, -1.0]).repeat(6).expand(1, 1, 12, 12)
    >>> share_in_detail(stripes, 2), share_in_detail(torch.ones(1, 1, 12, 12), 2)
    (1.0, 0.0)
    """
    from cplab.deficits import mosaic

    kept, _ = mosaic(pictures, torch.zeros(len(pictures)), side)
    total = float(pictures.square().sum())
    removed = float((pictures - kept).square().sum())
    return removed / total if total else 0.0


@measurement(label="accuracy on mosaics", when="end", images=None, copied=False)
def measure_mosaics(net: nn.Module, images: Images) -> dict:
    """The accuracy on test images: clear, and as mosaics by the side of the squares."""
    from cplab.deficits import mosaic

    clear = images.normal_test
    y = images.test_y
    accuracies = {"clear": fraction_correct(net, clear, y)}
    for side in SIDES:
        squares, _ = mosaic(clear, y, side)
        accuracies[str(side)] = fraction_correct(net, squares, y)
    return accuracies


def fraction_correct(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """The fraction of images that a network classifies correctly.

    Arguments: net; x, normalised images (N, C, H, W); y, labels (N,).
    """
    correct = 0
    with torch.no_grad():
        for part, labels in zip(x.split(2000), y.split(2000), strict=True):
            correct += count_correct(net(part), labels)
    return correct / len(y)


def count_correct(logits: Tensor, labels: Tensor) -> int:
    """How many images have their highest logit, (N, classes), at their label, (N,)."""
    return int((logits.argmax(1) == labels).sum())


@measurement(label="weight norms")
def measure_weight_norms(net: nn.Module, images: Images) -> dict:
    """The Frobenius norms of layers' weights. Under batch norm, a layer's part of the trace and of
    the squared Jacobian falls with norm² while the outputs stay the same.

    Returns: layers, their names; norms, a list by layer.
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

    Returns: clear and blurred, with the network as it is; adapted, on blurred images with batch
        norm on the statistics of 1,000 of them at a time: what is lost then is not due to their
        means and spreads.
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


# Two eyes -----------------------------------------------------------------------------------------


@measurement(label="share of the right eye", images=1000)
def measure_eye_shares(net: nn.Module, images: Images) -> list[float]:
    """The right eye's share in the drive of each neuron of the first layer that both eyes reach.

    It is var z_right / (var z_left + var z_right), over test images and positions, and 0.5 if
    neither eye drives the neuron. Batch norm of the stems has the statistics of these images: an
    eye that was closed is measured as if it had opened and adapted.

    Returns: a list by neuron.
    """
    x = images.normal(images.test_x)
    eyes = with_two_eyes(net.train())
    conv = cast("nn.Conv2d", eyes.shared[0])
    variances = []
    with torch.no_grad():
        maps = eyes.look(torch.stack([x, x], 1))
        weights = conv.weight.split(maps[0].shape[1], 1)  # those for each eye's maps
        for eye_maps, eye_weights in zip(maps, weights, strict=True):
            drive = F.conv2d(eye_maps, eye_weights, None, conv.stride, conv.padding)
            variances.append(drive.cpu().double().var((0, 2, 3)))
    left, right = variances  # (neurons,)
    shares = torch.where(left + right > 0, right / (left + right).clamp(min=1e-300), 0.5)
    return [round(share, 4) for share in shares.tolist()]


@measurement(label="each eye", images=5000, when="end")
def measure_each_eye(net: nn.Module, images: Images) -> dict:
    """The accuracy on test images with both eyes, and with each of them alone.

    A network that has always had two eyes has not learned what to do when one is closed. So the
    open eye is tested in three ways.

    Returns: both, a number, and lists [left alone, right alone]: closed, while the other eye sees
        grey; mean_map, with the mean over images in place of the other eye's maps; adapted, while
        it sees grey, with batch norm of the shared layers on the statistics of 1,000 of these
        images at a time, as for somebody who has got used to a covered eye.
    """
    x = images.normal(images.test_x)
    y = images.test_y
    eyes = with_two_eyes(net)
    correct_both = 0
    correct_alone = {way: {"left": 0, "right": 0} for way in ("closed", "mean_map", "adapted")}
    with torch.no_grad():
        for part, labels in zip(x.split(1000), y.split(1000), strict=True):
            logits = logits_of_eyes(eyes, part)
            correct_both += count_correct(logits.both, labels)
            for way, counts in correct_alone.items():
                for eye in counts:
                    counts[eye] += count_correct(logits.alone[way][eye], labels)
    count = max(1, len(y))
    row: dict[str, float | list[float]] = {"both": correct_both / count}
    for way, counts in correct_alone.items():
        row[way] = [correct / count for correct in counts.values()]
    return row


class EyeLogits(NamedTuple):
    """Logits (N, classes) of a network with two eyes.

    Attributes:
        both: with both eyes.
        alone: with one eye, by what takes the other's place (see `measure_each_eye`), and by the
            open eye, left or right.
    """

    both: Tensor
    alone: dict[str, dict[str, Tensor]]


def logits_of_eyes(net: TwoEyes, x: Tensor) -> EyeLogits:
    """The logits of a network for images (N, C, H, W), with both eyes and with each alone."""
    maps = net.look(torch.stack([x, x], 1))
    grey_views = torch.zeros_like(x[:1]).unsqueeze(1).expand(-1, 2, -1, -1, -1)
    grey = net.look(grey_views)
    mean = [eye_maps.mean(0, keepdim=True) for eye_maps in maps]
    adapted = copy.deepcopy(net.shared).train()
    alone = {
        "closed": logits_of_each_eye(net.shared, maps, grey),
        "mean_map": logits_of_each_eye(net.shared, maps, mean),
        "adapted": logits_of_each_eye(adapted, maps, grey),
    }
    return EyeLogits(net.shared(torch.cat(maps, 1)), alone)


def logits_of_each_eye(
    shared: nn.Module, maps: list[Tensor], absent: list[Tensor]
) -> dict[str, Tensor]:
    """The logits (N, classes) with the left and with the right eye alone.

    Arguments: shared, the layers behind both eyes; maps, of the left and the right eye; absent, the
        maps that take the place of each eye's when it is the other's turn.
    """
    left, right = maps
    absent_left, absent_right = absent
    left_alone = torch.cat([left, absent_right.expand_as(right)], 1)
    right_alone = torch.cat([absent_left.expand_as(left), right], 1)
    return {"left": shared(left_alone), "right": shared(right_alone)}


def with_two_eyes(net: nn.Module) -> TwoEyes:
    """Return a network if it has two eyes; else raise a CplabError."""
    if not hasattr(net, "eyes"):
        raise CplabError(f"a {type(net).__name__} does not have two eyes: take model eyes")
    return cast("TwoEyes", net)


# Plasticity ---------------------------------------------------------------------------------------


@measurement(label="gauges of plasticity", images=512)
def measure_gauges(net: nn.Module, images: Images) -> dict:
    """Signs of how well a network can still learn, on clear training images.

    Returns: layers and norms, as measure_weight_norms; gradient, the norm of the loss's gradient,
        and loss, both averaged over batches, with their statistics in batch norm; dead, the
        fraction of units of each ReLU that are never above 0; rank, the effective rank of the last
        layer's input, averaged over positions (Roy & Vetterli 2007).
    """
    x = images.normal(images.train_x)
    last = weighted_layers(net)[-1]
    activations = activations_of(net, x, last)
    rank = effective_rank(activations.pop(last).mean(2))
    dead = []
    for units in activations.values():
        never_active = units.amax((0, 2)) <= 0  # (units,)
        dead.append(never_active.float().mean().item())
    gradient_norms, losses = norms_and_losses(net.train(), x, images.train_y)
    return {
        **measure_weight_norms(net, images),
        "gradient": sum(gradient_norms) / len(gradient_norms),
        "loss": sum(losses) / len(losses),
        "dead": dead,
        "rank": rank,
    }


def activations_of(net: nn.Module, x: Tensor, last: nn.Module) -> dict[nn.Module, Tensor]:
    """What a network computes on normalised images x, (N, C, H, W).

    Arguments: net, which keeps the hooks that are set here; x; last, its last layer.

    Returns: by layer, the output of each ReLU, and the last layer's input, (N, units, positions).
    """
    activations: dict[nn.Module, Tensor] = {}

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Keep a layer's output, or the last layer's input: a hook for torch."""
        values = inputs[0] if layer is last else output
        activations[layer] = values.detach().clone().unsqueeze(-1).flatten(2)

    for layer in net.modules():
        if layer is last or isinstance(layer, nn.ReLU):
            layer.register_forward_hook(keep)
    net(x)
    return activations


def norms_and_losses(net: nn.Module, x: Tensor, y: Tensor) -> tuple[list[float], list[float]]:
    """The norm of the loss's gradient, and the loss, in each batch of 128 images.

    Arguments: net; x, normalised images (N, C, H, W); y, labels (N,).
    """
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    norms = []
    losses = []
    for part, labels in zip(x.split(128), y.split(128), strict=True):
        loss = F.cross_entropy(net(part), labels)
        gradients = torch.autograd.grad(loss, weights)
        norms.append(torch.stack([gradient.norm() for gradient in gradients]).norm().item())
        losses.append(loss.item())
    return norms, losses


def effective_rank(features: Tensor) -> float:
    """The exponential of the entropy of the singular values of features, (images, units), after
    their means are subtracted.

    >>> round(effective_rank(torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]])), 3)
    2.0
    """
    values = torch.linalg.svdvals(features - features.mean(0))
    fractions = values / values.sum().clamp_min(1e-30)
    entropy = torch.special.entr(fractions).sum()  # entr(p) is −p log p
    return entropy.exp().item()


# Single images ------------------------------------------------------------------------------------


@measurement(label="own training images right", images=None, copied=False)
def measure_own_images_right(net: nn.Module, images: Images) -> float:
    """The fraction of its training images that a network classifies correctly when they are clear.

    After a deficit it tells how much is left to learn: images that are already right have hardly
    any gradient.
    """
    correct = answers_to(net, images, images.train_x) == images.train_y
    return int(correct.sum()) / len(images.train_y)


@measurement(label="test images named correctly", when="end", images=None)
def measure_correct(net: nn.Module, images: Images) -> str:
    """Which test images the network classifies correctly, which tells how much a difference would
    vary with other test images.

    Returns: a bit for each image, packed, as base64.
    """
    import numpy as np

    correct = answers_to(net, images, images.test_x) == images.test_y
    return base64.b64encode(np.packbits(correct.tolist()).tobytes()).decode()


def answers_to(net: nn.Module, images: Images, x: Tensor) -> Tensor:
    """The class that a network takes each image for, (N,). x: uint8 images (N, H, W, C)."""
    with torch.no_grad():
        return torch.cat([net(images.normal(part)).argmax(1) for part in x.split(2000)])
