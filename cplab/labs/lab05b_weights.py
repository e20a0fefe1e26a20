"""Pruning of single weights of a trained network by a saliency.

All weights of convolutions and linear layers are ranked together, but for the last layer's, which
stays whole: each class has its evidence there. How many a layer keeps is up to the metric.
"""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from cplab import data, devices
from cplab.errors import CplabError
from cplab.measure import fisher
from cplab.runs.tasks import TrainState
from cplab.specs import mix_seeds

__all__ = ["ranked_layers", "salient_masks", "weight_saliency"]

MEASURED_IMAGES = 500  # training images, the first ones, that measure the Fisher information


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
