"""Events: what is done to a network between two epochs, mostly to open it again.

shrink: Ash & Adams 2020, 'On Warm-Starting Neural Network Training'. renorm: under batch norm the
answers do not depend on the norm of a layer's weights, while the steps relative to it do (van
Laarhoven 2017, 'L2 Regularization versus Batch and Weight Normalization').
"""

import copy
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from cplab import data, devices
from cplab.engine.tasks import TASKS, Classification, Learner, event, task

OTHER = 1000  # further is the seed whose newborn a network is mixed with
FIRST = "first."  # begins the names of the first network's weights


def normalised_layers(net: nn.Module) -> list[tuple[Any, Any]]:
    """The layers without a bias that batch norm follows, each with it, in the order of modules."""
    kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d)
    layers = [module for module in net.modules() if isinstance(module, kinds)]
    return [
        (layer, norm)
        for layer, norm in pairwise(layers)
        if isinstance(layer, kinds[:2]) and layer.bias is None and isinstance(norm, kinds[2:])
    ]


def newborn(spec: Any, net: nn.Module, seed: int) -> nn.Module:
    """The network of a life at birth, where `net` is."""
    return TASKS[spec.task].start(replace(spec, seed=seed), next(net.parameters()).device).net


def birth_norms(spec: Any, net: nn.Module) -> list[Tensor]:
    """The norm that each layer under batch norm had at birth."""
    born = newborn(spec, net, spec.seed)
    return [layer.weight.detach().norm() for layer, _ in normalised_layers(born)]


@torch.no_grad()
def rescale_layers(net: nn.Module, norms: list[Tensor]) -> list[Tensor]:
    """Scale each layer under batch norm to a norm, its outputs' statistics too; the factors."""
    factors = []
    for (layer, after), norm in zip(normalised_layers(net), norms, strict=True):
        factors.append(factor := norm / layer.weight.norm())
        layer.weight.mul_(factor)
        for statistic, scale in ((after.running_mean, factor), (after.running_var, factor**2)):
            if statistic is not None:
                statistic.mul_(scale)
    return factors


@event
def renorm(learner: Learner, spec: Any, images: data.Images) -> dict:
    """Each layer under batch norm back to the norm it had at birth, which changes no answer but
    that batch norm adds a small number to variances; momentum starts again from nothing."""
    factors = rescale_layers(learner.net, birth_norms(spec, learner.net))
    learner.optimizer.state.clear()
    return {"factors": [*map(float, factors)]}


@event
@torch.no_grad()
def shrink(learner: Learner, spec: Any, images: data.Images, kept: float) -> dict:
    """All weights kept · old + (1 − kept) · those of another newborn, statistics of batch norm as
    well; momentum starts again from nothing."""
    other = newborn(spec, learner.net, spec.seed + OTHER).state_dict()
    for name, value in learner.net.state_dict().items():
        if value.is_floating_point():
            value.mul_(kept).add_(other[name], alpha=1 - kept)
    learner.optimizer.state.clear()
    return {}


# The straight line between the weights of two lives -----------------------------------------------


@task("linear_path")
class TwoLives(Classification):
    """The second life has the epochs of the first: the same order, crops and flips."""

    def batches(self, spec: Any, epoch: int, step: Any, images: data.Images) -> Iterator[tuple]:
        return super().batches(spec, epoch % spec.run.epochs, step, images)


@event
def begin_again(learner: Learner, spec: Any, images: data.Images, version: int) -> dict:
    """Keep the weights, and be a newborn. The version is there for the names of checkpoints."""
    kept = {FIRST + name: w.detach().clone() for name, w in learner.net.named_parameters()}
    new = TASKS[spec.task].start(spec, images.train_x.device)
    learner.net, learner.optimizer, learner.extra = new.net, new.optimizer, kept
    return {}


@event
@torch.no_grad()
def walk(learner: Learner, spec: Any, images: data.Images, points: int) -> dict:
    """Test loss and accuracy at equal steps from the kept weights to the network's own."""
    found: dict[str, list[float]] = {"loss": [], "accuracy": []}
    for part in torch.linspace(0, 1, points).tolist():
        net = copy.deepcopy(learner.net)
        for name, weight in net.named_parameters():
            weight.mul_(part).add_(learner.extra[FIRST + name], alpha=1 - part)
        total, right = 0.0, 0
        with devices.autocast(images.train_x.device, spec.arithmetic):
            update_bn(map(images.normal, images.train_x.split(500)), net.train())
            net.eval()
            for x, y in zip(images.test_x.split(500), images.test_y.split(500), strict=True):
                logits = net(images.normal(x)).float()
                total += F.cross_entropy(logits, y, reduction="sum").item()
                right += int((logits.argmax(1) == y).sum())
        found["loss"].append(total / len(images.test_y))
        found["accuracy"].append(right / len(images.test_y))
    return found
