"""Two lives one after the other, and the networks on the straight line between their weights."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch.optim.swa_utils import update_bn

from cplab import data, devices
from cplab.engine.lives import trajectories  # noqa: F401  (what trains these)
from cplab.engine.tasks import TASKS, Classification, Learner, event, task

FIRST = "first."  # begins the names of the first network's weights


@task("linear_path")
class TwoLives(Classification):
    """The second life has the epochs of the first: the same order, crops and flips."""

    def batches(self, spec: Any, epoch: int, step: Any, images: data.Images) -> Iterator[tuple]:
        return super().batches(spec, epoch % spec.run.epochs, step, images)


@event
def begin_again(learner: Learner, spec: Any, images: data.Images) -> dict:
    """Keep the weights, and be a newborn."""
    kept = {FIRST + name: w.detach().clone() for name, w in learner.net.named_parameters()}
    new = TASKS[spec.task].start(spec, images.train_x.device)
    learner.net, learner.optimizer, learner.extra = new.net, new.optimizer, kept
    return {}


@event
@torch.no_grad()
def walk(learner: Learner, spec: Any, images: data.Images, points: int) -> dict:
    """From the kept weights to the network's own, in equal steps. Returns loss and accuracy of the
    test images at each."""
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
