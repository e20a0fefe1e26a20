"""Convolutional networks that lose kernels or weights.

The thesis's convolutional model (section 3) loses whole kernels, with all that is attached to them.
Of any other network single weights are pruned: all weights of convolutions and linear layers are
ranked together, but for the last layer's, which stays whole: each class has its evidence there. How
many a layer keeps is up to the metric.
"""

import math
from collections.abc import Iterable
from functools import lru_cache
from threading import Event
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from cplab import data, deficits, devices
from cplab.errors import Cancelled, CplabError, Diverged
from cplab.labs.lab05b_pruning import KernelSize
from cplab.measure import fisher
from cplab.runs.tasks import TrainState, evaluate, make_optimizer, seeded
from cplab.specs import mix_seeds
from cplab.specs.profiles import PROFILES

MEASURED_IMAGES = 500  # training images, the first ones, that measure the Fisher information


# Kernels ------------------------------------------------------------------------------------------


class KernelNet(nn.Sequential):
    """The thesis's version of AlexNet: 5×5 convolution, 3×3 pooling and batch norm, twice; then
    three dense layers; ReLU after all but the last. The thesis gives neither padding nor the stride
    of its pools: as in AlexNet, the convolutions keep the size and the pools halve it.

    Arguments: kernels of the convolutions; units of the hidden dense layers; channels and pixels a
    side of the images; classes.

    >>> KernelNet((4, 8), (16, 8), pixels=8)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        kernels: tuple[int, int],
        units: tuple[int, int],
        channels: int = 3,
        pixels: int = 32,
        classes: int = 10,
    ):
        layers: list[nn.Module] = []
        for k in kernels:
            layers += [nn.Conv2d(channels, k, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
            layers += [nn.BatchNorm2d(k)]
            channels, pixels = k, (pixels - 3) // 2 + 1
        layers += [nn.Flatten(), nn.Linear(channels * pixels**2, units[0]), nn.ReLU()]
        layers += [nn.Linear(units[0], units[1]), nn.ReLU(), nn.Linear(units[1], classes)]
        super().__init__(*layers)

    @property
    def kernels(self) -> tuple[int, int]:
        return self[0].out_channels, self[4].out_channels  # type: ignore[return-value]


def kernel_norms(net: KernelNet) -> list[Tensor]:
    """The L2 norm of each kernel's weights, for its activity (section 3.2): (first,), (second,).

    >>> [len(norms) for norms in kernel_norms(KernelNet((4, 8), (16, 8), pixels=8))]
    [4, 8]
    """
    return [net[i].weight.detach().flatten(1).norm(dim=1) for i in (0, 4)]  # type: ignore[operator]


def kernels_to_keep(
    net: KernelNet, count: int, choice: str = "activity", generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Choose the kernels to keep, sorted indices of both layers, when `count` of both together are
    removed: those of smallest norm (activity), or random ones. Each layer keeps at least one.

    >>> first, second = kernels_to_keep(KernelNet((4, 8), (16, 8), pixels=8), 5)
    >>> len(first) + len(second)
    7
    """
    measured, (a, b) = kernel_norms(net), net.kernels
    if not 0 <= count <= a + b - 2:
        why = f"one is left in each layer, so take {a + b - 2} or fewer"
        raise CplabError(f"{count} kernels cannot be taken out of {a} + {b}: {why}")
    if choice == "random":
        measured = [torch.rand(len(norms), generator=generator).to(norms) for norms in measured]
    for scores in measured:
        scores[scores.argmax()] = math.inf  # never removed
    kept = torch.ones(a + b, dtype=torch.bool)
    kept[torch.cat(measured).argsort(stable=True)[:count].cpu()] = False
    first, second = (part.nonzero().flatten() for part in kept.split(net.kernels))
    return first, second


def keep_kernels(net: KernelNet, first: Tensor, second: Tensor) -> KernelNet:
    """Build a smaller network with the kernels `first` and `second` (indices) of this one: its
    logits are those of this one with the other kernels' outputs, after batch norm, set to zero."""
    layers: Any = net
    area = layers[9].in_features // net.kernels[1]
    pixels = 4 * math.isqrt(area) + 3  # the fewest that two pools reduce to this area
    units = layers[9].out_features, layers[11].out_features
    kept = len(first), len(second)
    small = KernelNet(kept, units, layers[0].in_channels, pixels, layers[13].out_features)
    state = net.state_dict()
    for i, rows in ((0, first), (3, first), (4, second), (7, second)):
        for name in net[i].state_dict():
            value = state[f"{i}.{name}"]
            state[f"{i}.{name}"] = value[rows] if value.ndim else value
    state["4.weight"] = state["4.weight"][:, first]
    columns = (second[:, None] * area + torch.arange(area)).flatten()
    state["9.weight"] = state["9.weight"][:, columns]
    small.to(layers[0].weight.device).load_state_dict(state)
    return small.train(net.training)


@lru_cache(maxsize=1)
def make_material(
    profile: str, material: str, seed: int, device: str, labelled: int | None = None
) -> tuple[Tensor, Tensor]:
    """What is learned: normalised images (N, C, H, W) and labels (N,) of a profile's data set, or
    noise in place of the images, or random labels; all of it, or the first `labelled` images."""
    images = data.shared_images(PROFILES[profile].dataset, profile, device)
    x, y = images.normal(images.train_x), images.train_y
    random = torch.Generator().manual_seed(mix_seeds("task", seed))
    if material == "noise":
        x = deficits.noise_patterns(len(x), tuple(x.shape[1:]), seed, device).to(x.dtype)
    if material != "images":
        y = torch.randint(10, y.shape, generator=random).to(y.device)
    return x[:labelled], y[:labelled]


class KernelLearner:
    """A KernelNet that learns a material by plain SGD (the thesis names no augmentation), and loses
    kernels. Arguments: size; kernels of its layers; material and all else as in prune_kernels."""

    def __init__(
        self,
        size: KernelSize,
        kernels: tuple[int, int],
        material: str,
        seed: int,
        device: str,
        stop: Event | None = None,
        labelled: int | None = None,
    ) -> None:
        self.size, self.seed, self.stop, self.place = size, seed, stop, devices.pick(device)
        where = str(self.place)
        self.images = data.shared_images(PROFILES[size.profile].dataset, size.profile, where)
        self.x, self.y = make_material(size.profile, material, seed, where, labelled)
        self.tests_images, self.epochs = material == "images", 0
        with seeded(mix_seeds("kernels", seed)):
            net = KernelNet(kernels, size.units, self.x.shape[1], self.x.shape[-1])
        self.net = net.to(self.place)
        self.random = torch.Generator().manual_seed(mix_seeds("prune", seed))

    def train(self, rate: float) -> float:
        """Train for one epoch, and return the mean loss. Raises: Cancelled, Diverged."""
        random = torch.Generator().manual_seed(mix_seeds("epoch", self.seed, self.epochs))
        order = torch.randperm(len(self.y), generator=random).to(self.place)
        net, optimizer = self.net.train(), make_optimizer(self.net)
        optimizer.param_groups[0]["lr"] = rate
        total = torch.zeros((), device=self.place)
        for index in order.split(self.size.batch):
            if self.stop and self.stop.is_set():
                raise Cancelled
            optimizer.zero_grad()
            with devices.algorithms():
                with devices.autocast(self.place):
                    loss = F.cross_entropy(net(self.x[index]), self.y[index])
                loss.backward()
            optimizer.step()
            total += loss.detach() * len(index)
        self.epochs += 1
        if not total.isfinite():
            raise Diverged(f"the loss is {total.item()} at epoch {self.epochs}: nothing is kept")
        return total.item() / len(order)

    def remove(self, count: int, choice: str) -> None:
        """Remove `count` kernels."""
        self.net = keep_kernels(self.net, *kernels_to_keep(self.net, count, choice, self.random))

    def test(self) -> dict[str, Any]:
        """Kernels in either layer, parameters, and accuracies (0 to 1): see prune_kernels."""
        row: dict[str, Any] = dict(zip(("first", "second"), self.net.kernels, strict=True))
        row["parameters"] = sum(p.numel() for p in self.net.parameters())
        right = evaluate(self.net, self.x, self.y, lambda x: x, "float32")
        row |= {"train_accuracy": right, "accuracy": right}
        if self.tests_images:
            images = self.images
            tested = images.test_x, images.test_y, images.normal
            row["accuracy"] = evaluate(self.net, *tested, "float32")
        return row


# Single weights -----------------------------------------------------------------------------------


def ranked_layers(net: nn.Module) -> dict[str, Any]:
    """The convolutions and linear layers of a network, by name, but for the last one.

    >>> layers = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> list(ranked_layers(layers))
    ['0']
    """
    layers = {n: m for n, m in net.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}
    return dict(list(layers.items())[:-1])


def weight_saliency(net: nn.Module, x: Tensor, metric: str, seed: int = 0) -> dict[str, Tensor]:
    """The saliency of each weight of the ranked layers, by layer name, shaped like the weights.

    Arguments: x, normalised images (N, C, H, W), for fisher; metric: magnitude, |w|; random; or
        fisher, w² F_ii, twice what removing it adds to the loss (nats), to second order: Optimal
        Brain Damage (LeCun, Denker & Solla 1990) with the exact Fisher information in place of the
        Hessian, as in Theis et al. (2018).
    """
    weights = {name: layer.weight.detach() for name, layer in ranked_layers(net).items()}
    if metric == "magnitude":
        return {name: w.abs() for name, w in weights.items()}
    if metric == "fisher":
        curvature = fisher.diagonal(net, x)
        return {name: w.square() * curvature[name] for name, w in weights.items()}
    random = torch.Generator().manual_seed(mix_seeds("saliency", seed))
    return {name: torch.rand(w.shape, generator=random).to(w) for name, w in weights.items()}


def salient_masks(scores: dict[str, Tensor], density: float) -> dict[str, Tensor]:
    """Boolean masks of the weights to keep: the most salient of all layers together.

    >>> salient_masks({"0": torch.tensor([0.1, 0.3, 0.2, 0.4])}, 0.5)["0"].tolist()
    [False, True, False, True]
    """
    joined = torch.cat([score.flatten() for score in scores.values()])
    kept = torch.zeros(len(joined), dtype=torch.bool, device=joined.device)
    kept[joined.argsort(descending=True, stable=True)[: round(density * len(joined))]] = True
    parts = kept.split([score.numel() for score in scores.values()])
    masks = {n: p.view(s.shape) for (n, s), p in zip(scores.items(), parts, strict=True)}
    if empty := ", ".join(repr(name) for name, mask in masks.items() if not mask.any()):
        why = "which cuts the network in two: give a larger density or another metric"
        raise CplabError(f"density {density:g} leaves no weight in layer {empty}, {why}")
    return masks


def prune(
    state: TrainState,
    masks: dict[str, Tensor],
    images: data.Images,
    metric: str,
    density: float,
    seed: int,
    batches: Iterable | None = None,
) -> dict[str, Any]:
    """Prune weights of a network. `masks` then holds those of kept ones, by layer. batches: an
    epoch of training images on which BatchNorm's statistics are measured again, if given.

    Returns: layers, weights, kept, predicted and change: see prune_weights.
    """
    net, x = state.net, probe_images(images)
    before, cost = log_probabilities(net, x), weight_saliency(net, x, "fisher")
    scores = cost if metric in ("fisher", "none") else weight_saliency(net, x, metric, seed)
    masks |= salient_masks(scores, density)
    enforce_masks(state, masks)
    if batches is not None:
        with devices.autocast(x.device):
            update_bn((x for _, x in batches), net)
    after = log_probabilities(net, x)
    return {
        "layers": list(masks),
        "weights": [mask.numel() for mask in masks.values()],
        "kept": [int(mask.sum()) for mask in masks.values()],
        "predicted": sum(cost[n][~mask].sum().item() for n, mask in masks.items()) / 2,
        "change": F.kl_div(after, before, log_target=True, reduction="batchmean").item(),
    }


def kept_trace(net: nn.Module, masks: dict[str, Tensor], images: data.Images) -> list[float]:
    """The Fisher information (nats) of the weights that are kept, by ranked layer."""
    curvature = fisher.diagonal(net, probe_images(images))
    diagonals = {name: curvature[name].flatten() for name in ranked_layers(net)}
    kept = {name: mask.flatten() for name, mask in masks.items()}
    return [(f[kept[name]] if kept else f).sum().item() for name, f in diagonals.items()]


@torch.no_grad()
def enforce_masks(state: TrainState, masks: dict[str, Tensor]) -> None:
    """Zero pruned weights and their momentum."""
    for name, mask in masks.items():
        weight: Any = state.net.get_submodule(name).weight
        for tensor in (weight, state.optimizer.state[weight].get("momentum_buffer")):
            if tensor is not None:
                tensor.masked_fill_(~mask, 0)


def probe_images(images: data.Images) -> Tensor:
    """The images that the Fisher information is measured on, (MEASURED_IMAGES, C, H, W)."""
    return images.normal(images.train_x[:MEASURED_IMAGES])


@torch.inference_mode()
def log_probabilities(net: nn.Module, x: Tensor) -> Tensor:
    """log p(y|x) of a network in evaluation mode, in nats, (N, classes)."""
    with devices.autocast(x.device, "float32"):
        return net.eval()(x).log_softmax(1)
