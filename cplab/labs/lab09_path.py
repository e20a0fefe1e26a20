"""The straight line from a network that had a deficit to its equal training."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cplab.base.errors import CplabError, Failed
from cplab.base.late import F, nn, torch
from cplab.results.declare import Stop, experiment
from cplab.runs import DeficitName, Epochs, ProfileName, Run
from cplab.specs import Count, Seed

if TYPE_CHECKING:
    from cplab.pictures.data import Images


def check_length(length: int, **_: object) -> None:
    """Check that there is a deficit.

    Raises:
        CplabError.
    """
    if not length:
        raise CplabError("length 0 is not allowed: without a deficit there is one run")


@experiment(
    version=1,
    shares=lambda profile, deficit, onset, **_: ("linear_path", profile, "" if onset else deficit),
    check=check_length,
)
def linear_path(
    deficit: DeficitName = "blur",  # of the first run
    onset: Epochs = 0,
    length: Epochs = 0,
    profile: ProfileName = "course",
    points: Annotated[Count, Field(ge=2, le=1000)] = 11,
    seed: Seed = 0,
    *,
    device: str = "auto",
    stop: Stop = None,
) -> dict:
    """Train a run with a deficit and its equal training, and test networks whose weights lie on the
    straight line between theirs, with batch norm's statistics measured anew on clear training
    images (Frankle et al. 2020, 'Linear Mode Connectivity and the Lottery Ticket Hypothesis').

    Arguments:
        points: the number of networks from end to end.

    Returns:
        loss, on test images (nats), and accuracy (0 to 1) at each point, from the run with a
        deficit to its equal training.

    >>> len(linear_path.compute(length=1, profile="ci", points=3)["loss"])
    3
    """
    check_length(length)
    from cplab.base import devices

    torch_device = devices.pick(device)
    deprived = Run(deficit, onset, length, profile=profile, seed=seed)
    first = train_network(deprived, device, stop)
    last = train_network(deprived.equal_training(), device, stop)  # the same order, crops and flips
    images = deprived.task.images(torch_device)
    losses: list[float] = []
    accuracies: list[float] = []
    for part in torch.linspace(0, 1, points, dtype=torch.float32).tolist():
        with torch.no_grad(), devices.autocast(torch_device, deprived.arithmetic):
            loss, accuracy = test_on_images(mix_networks(first, last, part, images), images)
        losses.append(loss)
        accuracies.append(accuracy)
    return {"loss": losses, "accuracy": accuracies, "copy": images.copy}


def train_network(run: Run, device: str, stop: Stop) -> nn.Module:
    """The network of a run, trained to its end."""
    from cplab.base import devices
    from cplab.engine import checkpoints
    from cplab.engine.train import train

    [stretch] = train([run], run.epochs, device=device, stop=stop)
    if isinstance(stretch, Failed):
        raise stretch
    torch_device = devices.pick(device)
    state = checkpoints.loads(stretch.content, run.task, torch_device, stretch.provenance)
    assert state is not None, "training has just written this checkpoint"
    return state.net


def mix_networks(first: nn.Module, last: nn.Module, part: float, images: Images) -> nn.Module:
    """The network on the straight line from the first to the last, `part` of the way along, with
    batch norm's statistics of training images."""
    from torch.optim.swa_utils import update_bn

    net = copy.deepcopy(last)
    for weight, start in zip(net.parameters(), first.parameters(), strict=True):
        weight.mul_(part).add_(start, alpha=1 - part)
    update_bn(map(images.normal, images.train_x.split(500)), net.train())
    return net


def test_on_images(net: nn.Module, images: Images) -> tuple[float, float]:
    """The loss of a network on test images, in nats, and its accuracy, from 0 to 1."""
    net.eval()
    total = 0.0
    right = 0
    for x, y in zip(images.test_x.split(500), images.test_y.split(500), strict=True):
        logits = net(images.normal(x)).float()
        total += F.cross_entropy(logits, y, reduction="sum").item()
        right += int((logits.argmax(1) == y).sum())
    return total / len(images.test_y), right / len(images.test_y)
