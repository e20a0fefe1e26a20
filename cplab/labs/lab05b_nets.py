"""Networks that lose whole kernels (the thesis's convolutional model, section 3), or single weights
by a saliency.

The weights of a trained network's convolutions and linear layers are ranked together. The last
layer stays whole, because each class has its evidence there.
"""

import math
from collections.abc import Iterable
from functools import lru_cache, partial
from threading import Event

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from cplab import data, deficits, devices
from cplab.engine.train import train_epoch
from cplab.engine.training import begin
from cplab.errors import Cancelled, CplabError, Diverged
from cplab.measure import fisher
from cplab.runs import Run, Step
from cplab.runs.tasks import evaluate, make_optimizer
from cplab.seeding import seeded
from cplab.specs import mix_seeds
from cplab.specs.profiles import PROFILES

Ranked = nn.Conv2d | nn.Linear

MEASURED_IMAGES = 500  # training images, the first ones, that measure the Fisher information


# Kernels ------------------------------------------------------------------------------------------


def kernel_net(
    kernels: tuple[int, int], units: tuple[int, int], channels: int = 3, pixels: int = 32
) -> nn.Sequential:
    """Build the thesis's version of AlexNet: 5×5 convolution, 3×3 pooling and batch norm, twice;
    then three dense layers; ReLU after all but the last. The thesis gives neither padding nor the
    stride of its pools: as in AlexNet, the convolutions keep the size and the pools halve it.

    Arguments: kernels of the convolutions; units of the hidden dense layers; channels and pixels a
        side of the images.

    >>> kernel_net((4, 8), (16, 8), pixels=8)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 10])
    """
    layers: list[nn.Module] = []
    for count in kernels:
        layers.append(nn.Conv2d(channels, count, 5, padding=2))
        layers.append(nn.ReLU())
        layers.append(nn.MaxPool2d(3, 2))
        layers.append(nn.BatchNorm2d(count))
        channels = count
        pixels = (pixels - 3) // 2 + 1  # a side, after the pool
    layers.append(nn.Flatten())
    inputs = channels * pixels**2
    for width in units:
        layers.append(nn.Linear(inputs, width))
        layers.append(nn.ReLU())
        inputs = width
    layers.append(nn.Linear(inputs, 10))
    return nn.Sequential(*layers)


def kernel_norms(net: nn.Sequential) -> list[Tensor]:
    """The L2 norm of each kernel's weights, for its activity (section 3.2): (first,), (second,).

    >>> [len(norms) for norms in kernel_norms(kernel_net((4, 8), (16, 8), pixels=8))]
    [4, 8]
    """
    norms = []
    for convolution in (net[0], net[4]):
        weights = convolution.get_parameter("weight").detach()
        norms.append(weights.flatten(1).norm(dim=1))
    return norms


def kernels_to_keep(
    net: nn.Sequential, count: int, random: torch.Generator | None = None
) -> list[Tensor]:
    """Choose the kernels to keep when `count` of both layers together are removed. These are the
    ones of smallest norm, or random ones if `random` is given. Each layer keeps at least one.

    Returns: the sorted indices of the first layer's, and of the second layer's.

    >>> first, second = kernels_to_keep(kernel_net((4, 8), (16, 8), pixels=8), 5)
    >>> len(first) + len(second)
    7
    """
    layers = kernel_norms(net)
    sizes = [len(norms) for norms in layers]
    removable = sum(sizes) - 2
    if not 0 <= count <= removable:
        raise CplabError(f"{count} kernels cannot be taken out: take {removable} or fewer")
    scores = []  # of the kernels of each layer: the lowest go first
    for norms in layers:
        score = norms.clone()
        if random:
            drawn = torch.rand(len(norms), generator=random, dtype=torch.float32)
            score = drawn.to(norms)
        score[score.argmax()] = math.inf  # never removed
        scores.append(score)
    order = torch.cat(scores).argsort(stable=True).cpu()
    kept = torch.ones(sum(sizes), dtype=torch.bool)
    kept[order[:count]] = False
    return [part.nonzero().flatten() for part in kept.split(sizes)]


def keep_kernels(net: nn.Sequential, first: Tensor, second: Tensor) -> None:
    """Take all kernels but `first` and `second` (indices) out of a network, with what is attached
    to them: its logits are then those with the others' outputs, after batch norm, set to zero."""

    def keep(layer: nn.Module, index: Tensor, dim: int = 0) -> None:
        """Keep these entries of a layer's parameters and buffers, along a dimension."""
        for name, value in [*layer.named_parameters(), *layer.named_buffers()]:
            if value.ndim > dim:
                kept = value.detach().index_select(dim, index.to(value.device))
                setattr(layer, name, nn.Parameter(kept) if value.requires_grad else kept)

    convolution1 = net[0]  # the places are those of kernel_net
    norm1 = net[3]
    convolution2 = net[4]
    norm2 = net[7]
    dense = net[9]
    assert isinstance(dense, nn.Linear)
    area = dense.in_features // len(convolution2.get_parameter("weight"))  # inputs a kernel
    keep(convolution1, first)
    keep(norm1, first)
    keep(convolution2, second)
    keep(norm2, second)
    keep(convolution2, first, dim=1)
    inputs = second[:, None] * area + torch.arange(area)  # (kernels, area)
    keep(dense, inputs.flatten(), dim=1)
    dense.in_features = area * len(second)


@lru_cache(maxsize=1)
def make_material(
    profile: str, material: str, seed: int, device: str
) -> tuple[Tensor, Tensor, data.Images]:
    """What is learned: normalised images (N, C, H, W) and labels (N,) of a profile's data set, or
    noise in place of the images, or random labels. And the data set."""
    place = str(devices.pick(device))
    images = data.shared_images(PROFILES[profile].dataset, profile, place)
    x = images.normal(images.train_x)
    y = images.train_y
    random = torch.Generator().manual_seed(mix_seeds("task", seed))
    if material == "noise":
        x = deficits.noise_patterns(len(x), tuple(x.shape[1:]), seed, place).to(x.dtype)
    if material != "images":
        y = torch.randint(10, y.shape, generator=random).to(y.device)
    return x, y, images


def newborn_kernels(
    kernels: tuple[int, int], units: tuple[int, int], x: Tensor, seed: int
) -> nn.Sequential:
    """A network for images x (N, C, H, W), with the initial weights of a seed."""
    with seeded(mix_seeds("kernels", seed)):
        return kernel_net(kernels, units, x.shape[1], x.shape[-1]).to(x.device)


def learn_epoch(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    rate: float,
    batch: int,
    seed: int,
    epoch: int,
    stop: Event | None,
) -> float:
    """Train a network for one epoch by plain SGD (the thesis names no augmentation), and return the
    mean loss. Raises: Cancelled, Diverged."""
    random = torch.Generator().manual_seed(mix_seeds("epoch", seed, epoch))
    order = torch.randperm(len(y), generator=random).to(x.device)
    optimizer = make_optimizer(net.train())
    optimizer.param_groups[0]["lr"] = rate
    total = torch.zeros((), device=x.device, dtype=torch.float32)
    for index in order.split(batch):
        if stop and stop.is_set():
            raise Cancelled
        optimizer.zero_grad()
        with devices.algorithms(x.device):
            with devices.autocast(x.device):
                loss = F.cross_entropy(net(x[index]), y[index])
            loss.backward()
        optimizer.step()
        total += loss.detach() * len(index)
    if not total.isfinite():
        raise Diverged(f"the loss is {total.item()} at epoch {epoch + 1}: nothing is kept")
    return total.item() / len(order)


def measure_kernels(net: nn.Sequential, x: Tensor, y: Tensor, test: data.Images | None) -> dict:
    """Kernels in either layer, parameters, and accuracies (0 to 1) on what was learned, and on the
    images of a test if there is one: see prune_kernels."""
    first, second = [len(norms) for norms in kernel_norms(net)]
    right = evaluate(net, x, y, lambda normal: normal, "float32")  # x is normalised already
    tested = right
    if test:
        tested = evaluate(net, test.test_x, test.test_y, test.normal, "float32")
    return {
        "first": first,
        "second": second,
        "parameters": sum(p.numel() for p in net.parameters()),
        "train_accuracy": float(right),
        "accuracy": float(tested),
    }


# Single weights -----------------------------------------------------------------------------------


def ranked_layers(net: nn.Module) -> dict[str, Ranked]:
    """The convolutions and linear layers of a network, by name, but for the last one.

    >>> layers = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> list(ranked_layers(layers))
    ['0']
    """
    layers: dict[str, Ranked] = {}
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layers[name] = layer
    layers.popitem()
    return layers


def weight_saliency(net: nn.Module, x: Tensor, metric: str, seed: int = 0) -> dict[str, Tensor]:
    """The saliency of each weight of the ranked layers, by layer name, shaped like the weights.

    Arguments: x, normalised images (N, C, H, W), for fisher; metric: magnitude, |w|; random; or
        fisher, w² F_ii, twice what removing it adds to the loss (nats), to second order: Optimal
        Brain Damage (LeCun, Denker & Solla 1990) with the exact Fisher information in place of the
        Hessian, as in Theis et al. (2018).
    """
    information = fisher.diagonal(net, x) if metric == "fisher" else {}  # F_ii by layer
    random = torch.Generator().manual_seed(mix_seeds("saliency", seed))
    saliency = {}
    for name, layer in ranked_layers(net).items():
        weight = layer.weight.detach()
        if metric == "magnitude":
            saliency[name] = weight.abs()
        elif metric == "fisher":
            saliency[name] = weight.square() * information[name]
        else:
            drawn = torch.rand(weight.shape, generator=random, dtype=torch.float32)
            saliency[name] = drawn.to(weight)
    return saliency


def salient_masks(scores: dict[str, Tensor], density: float) -> dict[str, Tensor]:
    """Boolean masks of the weights to keep: the most salient of all layers together.

    >>> salient_masks({"0": torch.tensor([0.1, 0.3, 0.2, 0.4])}, 0.5)["0"].tolist()
    [False, True, False, True]
    """
    joined = torch.cat([score.flatten() for score in scores.values()])
    count = round(density * len(joined))
    order = joined.argsort(descending=True, stable=True)
    kept = torch.zeros(len(joined), dtype=torch.bool, device=joined.device)
    kept[order[:count]] = True
    parts = kept.split([score.numel() for score in scores.values()])
    masks = {}
    for (name, score), part in zip(scores.items(), parts, strict=True):
        masks[name] = part.view(score.shape)
    empty = [name for name, mask in masks.items() if not mask.any()]
    if empty:
        raise CplabError(
            f"density {density:g} leaves no weight in layer {', '.join(empty)}: "
            "give a larger one, or another metric"
        )
    return masks


class PrunedTraining:
    """A network that is trained, pruned and trained on, and what is measured of it on the way.

    Attributes:
        curve, losses: test accuracy and mean training loss after each epoch.
        accuracies, traces: test accuracy, and the Fisher trace of kept weights by layer, by moment.
    """

    def __init__(self, run: Run, device: torch.device, stop: Event | None) -> None:
        self.training = begin(run, device)
        self.task = self.training.task
        self.images = self.training.images
        self.net = self.training.state.net
        self.stop = stop
        self.masks: dict[str, Tensor] = {}  # of the weights that are kept, by layer, once pruned
        self.training.after_step = partial(enforce_masks, self.net, self.masks)
        self.curve: list[float] = []
        self.losses: list[float] = []
        self.accuracies: dict[str, float] = {}
        self.traces: dict[str, list[float]] = {}

    def learn(self, steps: Iterable[Step], moment: str) -> None:
        """Train for some epochs, then test the network and measure its trace. Raises: Diverged."""
        for step in steps:
            [row] = train_epoch([self.training], step, self.stop)
            if not math.isfinite(row["train_loss"]):
                raise Diverged(f"the loss is {row['train_loss']}: nothing is kept")
            self.training.state.rows.append(row)
            self.losses.append(row["train_loss"])
            self.curve.append(row["test_accuracy"])
        self.accuracies[moment] = float(self.task.test(self.net, self.images)["test_accuracy"])
        self.traces[moment] = kept_trace(self.net, self.masks, self.images)


def prune(
    net: nn.Module,
    masks: dict[str, Tensor],
    images: data.Images,
    metric: str,
    density: float,
    seed: int,
    batches: Iterable[tuple[Tensor, Tensor]] | None = None,
) -> dict[str, list | float]:
    """Prune weights of a network, in place, and write the masks of the weights that are kept, by
    layer, into `masks`.

    Arguments: batches, an epoch of training images, on which BatchNorm's statistics are measured
        again, if given.
    Returns: layers, weights, kept, predicted and change: see prune_weights.
    """
    x = probe_images(images)
    old_answers = log_probabilities(net, x)
    cost = weight_saliency(net, x, "fisher")  # also predicts what the removal changes
    by_cost = metric in ("fisher", "none")
    scores = cost if by_cost else weight_saliency(net, x, metric, seed)
    masks |= salient_masks(scores, density)
    enforce_masks(net, masks)
    if batches is not None:
        with devices.autocast(x.device):
            update_bn((inputs for _, inputs in batches), net)
    new_answers = log_probabilities(net, x)
    change = F.kl_div(new_answers, old_answers, log_target=True, reduction="batchmean")
    removed = [cost[name][~mask].sum().item() for name, mask in masks.items()]
    return {
        "layers": list(masks),
        "weights": [mask.numel() for mask in masks.values()],
        "kept": [int(mask.sum()) for mask in masks.values()],
        "predicted": sum(removed) / 2,
        "change": change.item(),
    }


def kept_trace(net: nn.Module, masks: dict[str, Tensor], images: data.Images) -> list[float]:
    """The Fisher information (nats) of the weights that are kept, by ranked layer."""
    curvature = fisher.diagonal(net, probe_images(images))
    traces = []
    for name in ranked_layers(net):
        information = curvature[name].flatten()
        if masks:
            information = information[masks[name].flatten()]
        traces.append(information.sum().item())
    return traces


@torch.no_grad()
def enforce_masks(net: nn.Module, masks: dict[str, Tensor]) -> None:
    """Zero pruned weights."""
    for name, mask in masks.items():
        net.get_submodule(name).get_parameter("weight").masked_fill_(~mask, 0)


def probe_images(images: data.Images) -> Tensor:
    """The images that the Fisher information is measured on, (MEASURED_IMAGES, C, H, W)."""
    return images.normal(images.train_x[:MEASURED_IMAGES])


@torch.inference_mode()
def log_probabilities(net: nn.Module, x: Tensor) -> Tensor:
    """log p(y|x) of a network in evaluation mode, in nats, (N, classes)."""
    with devices.autocast(x.device, "float32"):
        return net.eval()(x).log_softmax(1)
