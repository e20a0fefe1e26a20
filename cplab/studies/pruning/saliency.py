"""Pruning of single weights of a trained network by a saliency, and what it costs.

All weights of convolutions and linear layers are ranked together, but for the last layer's, which
stays whole: each class has its evidence there. How many a layer keeps is up to the metric.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from cplab import data, devices
from cplab.deficits import NONE
from cplab.errors import require
from cplab.measure import fisher
from cplab.runs import Step
from cplab.runs.tasks import Classification, TrainState
from cplab.specs import mix_seeds

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
    empty = ", ".join(repr(name) for name, mask in masks.items() if not mask.any())
    why = "which cuts the network in two: give a larger density or another metric"
    require(not empty, f"density {density:g} leaves no weight in layer {empty}, {why}")
    return masks


class Masked(Classification):
    """Classification with pruned weights; state.extra holds the masks of kept ones, by layer."""

    def after_step(self, state: TrainState) -> None:
        enforce_masks(state)

    def prune_weights(
        self,
        state: TrainState,
        images: data.Images,
        metric: str,
        density: float,
        seed: int,
        recalibrated: bool = False,
    ) -> dict:
        """Prune weights. Returns layers, weights, kept, predicted, change: see PrunedValues."""
        net, x = state.net, probe_images(images)
        before, cost = log_probabilities(net, x), weight_saliency(net, x, "fisher")
        scores = cost if metric in ("fisher", "none") else weight_saliency(net, x, metric, seed)
        state.extra = kept = salient_masks(scores, density)
        enforce_masks(state)
        if recalibrated:  # on an epoch of training images, like the statistics before pruning
            batches = self.batches(self.run.training, Step(NONE, 0.0), images)
            with devices.autocast(x.device, self.run.arithmetic):
                update_bn((x for _, x in batches), net)
        after = log_probabilities(net, x)
        return {
            "layers": list(kept),
            "weights": [mask.numel() for mask in kept.values()],
            "kept": [int(mask.sum()) for mask in kept.values()],
            "predicted": sum(cost[n][~mask].sum().item() for n, mask in kept.items()) / 2,
            "change": F.kl_div(after, before, log_target=True, reduction="batchmean").item(),
        }

    def inspect(self, state: TrainState, images: data.Images, moment: str) -> dict:
        """Measure the network. Returns the moment, test accuracy (0 to 1) and trace, the Fisher
        information (nats) of the weights that are kept, by layer."""
        curvature = fisher.diagonal(state.net, probe_images(images))
        diagonals = {name: curvature[name].flatten() for name in ranked_layers(state.net)}
        kept = {name: mask.flatten() for name, mask in state.extra.items()}
        traces = [f[kept[name]].sum() if kept else f.sum() for name, f in diagonals.items()]
        accuracy = self.test(state.net, images)["test_accuracy"]
        return {"moment": moment, "accuracy": accuracy, "trace": [t.item() for t in traces]}


@torch.no_grad()
def enforce_masks(state: TrainState) -> None:
    """Zero pruned weights and their momentum."""
    for name, mask in state.extra.items():
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
