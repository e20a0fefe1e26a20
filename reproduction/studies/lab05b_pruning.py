"""Pruning of convolutional networks: of whole kernels, as in the thesis (section 3), and of single
weights by a saliency. It made the tables that lab05b_pruning of the package declares.

The weights of a trained network's convolutions and linear layers are ranked together.
"""

import math
from collections.abc import Iterable
from functools import lru_cache, partial
from threading import Event

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from cplab import deficits
from cplab.base import devices
from cplab.base.errors import Cancelled, CplabError, Diverged
from cplab.engine.network import begin
from cplab.engine.train import train_epoch
from cplab.labs.lab05_growth import by_column
from cplab.labs.lab05b_nets import (
    kernel_norms,
    kernels_to_keep,
    newborn_kernels,
    ranked_layers,
)
from cplab.labs.lab05b_pruning import PLANS
from cplab.measure import fisher
from cplab.pictures import data
from cplab.runs import Run, Step
from cplab.runs.tasks import evaluate, make_optimizer
from cplab.specs import mix_seeds
from cplab.specs.profiles import PROFILES

MEASURED_IMAGES = 500  # training images, the first ones, that measure the Fisher information


# Kernels ------------------------------------------------------------------------------------------


def prune_kernels(
    size: str = "course",
    material: str = "images",
    choice: str = "activity",
    retrain: bool = True,
    seed: int = 0,
    *,
    device: str = "auto",
    stop: Event | None = None,
) -> dict:
    """Follow a critical period of the thesis; see `cplab.labs.lab05b_pruning.prune_kernels`.

    >>> prune_kernels("ci", retrain=False)["first"][-1] > 0
    True
    """
    plan = PLANS[size]
    random = torch.Generator().manual_seed(mix_seeds("prune", seed))
    x, y, images = make_material(size, material, seed, device)
    net = newborn_kernels(plan.kernels, plan.dense_units, x, seed)
    test = images if material == "images" else None
    chance = random if choice == "random" else None
    rates = plan.learning_rates
    if material == "noise" and plan.noise_rates:
        rates = plan.noise_rates
    retraining_rates = plan.retraining_rates if retrain else ()

    entries: list[dict] = []
    epochs = 0
    for rate in rates:
        loss = learn_epoch(net, x, y, rate, plan.batch, seed, epochs, stop)
        epochs += 1
        entry = {"phase": "training", "epochs": epochs, "loss": loss}
        entries.append(entry | measure_kernels(net, x, y, test))
    for count in plan.removals:
        first, second = kernels_to_keep(net, count, chance)
        keep_kernels(net, first, second)
        last_loss = None
        for rate in retraining_rates:
            last_loss = learn_epoch(net, x, y, rate, plan.batch, seed, epochs, stop)
            epochs += 1
        entry = {"phase": "pruning", "epochs": epochs, "loss": last_loss}
        entries.append(entry | measure_kernels(net, x, y, test))
    return {**by_column(entries), "copy": images.copy}


def train_split(
    size: str,
    first: int,
    second: int,
    seed: int = 0,
    labelled: int | None = None,
    *,
    device: str = "auto",
    stop: Event | None = None,
) -> dict:
    """Train a split of kernels; see `cplab.labs.lab05b_pruning.train_split`.

    >>> len(train_split("ci", 2, 3)["curve"])
    2
    """
    plan = PLANS[size]
    x, y, images = make_material(size, "images", seed, device)
    x = x[:labelled]
    y = y[:labelled]
    net = newborn_kernels((first, second), plan.dense_units, x, seed)
    curve: list[float] = []
    for epoch, rate in enumerate(plan.learning_rates):
        learn_epoch(net, x, y, rate, plan.batch, seed, epoch, stop)
        curve.append(measure_kernels(net, x, y, images)["accuracy"])
    return {"accuracy": curve[-1], "curve": curve, "copy": images.copy}


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
    mean loss.

    Raises:
        Cancelled, Diverged.
    """
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


def prune_weights(
    profile: str = "course",
    metric: str = "none",
    density: float = 1.0,
    deficit: str = "none",
    length: int = 0,
    recovery: int = 10,
    training: int = 20,
    retraining: int = 5,
    seed: int = 0,
    recalibrated: bool = False,
    *,
    device: str = "auto",
    stop: Event | None = None,
) -> dict:
    """Train a network, prune its weights, and train on; see
    `cplab.labs.lab05b_pruning.prune_weights`.

    >>> len(prune_weights("ci", "fisher", 0.5, training=2, retraining=1)["curve"])
    3
    """

    # Each part of the training takes its steps from the last epochs of a run of its own: from that
    # run's recovery, in which the rate falls
    run = partial(Run, profile=profile, schedule="recovery", seed=seed)
    fall = min(PROFILES[profile].recovery, training)  # epochs in which the rate falls
    start = training + retraining  # of the deficit
    first = run(onset=training - fall, recovery=fall)
    again = run(onset=training, recovery=retraining)
    pruned = PrunedTraining(first, devices.pick(device), stop)
    images = pruned.images
    pruned.learn(steps_of(first), "trained")
    batches = pruned.task.batches(training, steps_of(first)[0], images)
    seen = batches if recalibrated else None
    pruning = prune(pruned.net, pruned.masks, images, metric, density, seed, seen)
    pruned.learn((), "pruned")
    pruned.learn(steps_of(again)[training:], "retrained")
    if length:
        if deficit == "none":  # the control, which has as many clear epochs
            last = run(onset=start + length, recovery=recovery)
        else:
            last = run(deficit=deficit, onset=start, length=length, recovery=recovery)
        pruned.learn(steps_of(last)[start:], "end")
    return {
        "curve": pruned.curve,
        "loss": pruned.losses,
        "accuracy": pruned.accuracies,
        "trace": pruned.traces,
        **pruning,
        "copy": images.copy,
        "precision": pruned.training.provenance["precision"],
    }


def steps_of(run: Run) -> list[Step]:
    """The steps of a run, which are all of its timeline if it has no treatments."""
    return [part for part in run.timeline if isinstance(part, Step)]


def weight_saliency(net: nn.Module, x: Tensor, metric: str, seed: int = 0) -> dict[str, Tensor]:
    """The saliency of each weight of the ranked layers, by layer name, shaped like the weights.

    Arguments:
        net: the network.
        x: normalised images (N, C, H, W), for fisher.
        metric: magnitude, |w|; random; or fisher, w² F_ii, twice what removing it adds to the loss
            (nats), to second order: Optimal Brain Damage (LeCun, Denker & Solla 1990) with the
            exact Fisher information in place of the Hessian, as in Theis et al. (2018).
        seed: of a random one.
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
        # pruned weights are 0 whenever the network is used
        self.net.register_forward_pre_hook(lambda *_: enforce_masks(self.net, self.masks))
        self.curve: list[float] = []
        self.losses: list[float] = []
        self.accuracies: dict[str, float] = {}
        self.traces: dict[str, list[float]] = {}

    def learn(self, steps: Iterable[Step], moment: str) -> None:
        """Train for some epochs, then test the network and measure its trace.

        Raises:
            Diverged.
        """
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

    Arguments:
        batches: an epoch of training images, on which BatchNorm's statistics are measured again, if
            given.

    Returns:
        layers, weights, kept, predicted and change: see prune_weights.
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
