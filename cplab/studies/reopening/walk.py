"""The straight line between the weights of two runs, trained one after the other."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import update_bn

from cplab import data, devices
from cplab.runs.tasks import Classification, TrainState

FIRST = "first."  # begins the names of the first network's weights


class TwoRuns(Classification):
    """A task of two runs, the second with the batches of the first: same order, crops and flips."""

    def batches(
        self, epoch: int, step: Any, images: data.Images
    ) -> Iterator[tuple[Tensor, Tensor]]:
        return super().batches(epoch % self.run.epochs, step, images)


def begin_again(state: TrainState, task: Any, images: data.Images, version: int) -> dict:
    """Keep the weights aside, and start from new ones. Checkpoints' names hold the version."""
    kept = {FIRST + name: w.detach().clone() for name, w in state.net.named_parameters()}
    new = task.birth(images.train_x.device)
    state.net, state.optimizer, state.extra = new.net, new.optimizer, kept
    return {}


@torch.no_grad()
def walk(state: TrainState, task: Any, images: data.Images, points: int) -> dict:
    """Test loss (nats) and accuracy at equal steps from the kept weights to the current ones."""
    values: dict[str, list[float]] = {"loss": [], "accuracy": []}
    for part in torch.linspace(0, 1, points).tolist():
        net = copy.deepcopy(state.net)
        for name, weight in net.named_parameters():
            weight.mul_(part).add_(state.extra[FIRST + name], alpha=1 - part)
        total, right = 0.0, 0
        with devices.autocast(images.train_x.device, task.run.arithmetic):
            update_bn(map(images.normal, images.train_x.split(500)), net.train())
            net.eval()
            for x, y in zip(images.test_x.split(500), images.test_y.split(500), strict=True):
                logits = net(images.normal(x)).float()
                total += F.cross_entropy(logits, y, reduction="sum").item()
                right += int((logits.argmax(1) == y).sum())
        values["loss"].append(total / len(images.test_y))
        values["accuracy"].append(right / len(images.test_y))
    return values
