"""The straight line from a network that had a deficit to its twin that had none."""

import copy
from typing import Annotated, Any

from pydantic import Field

from cplab.errors import Failed, require
from cplab.results.experiments import Stop, experiment
from cplab.runs import DeficitName, Epochs, ProfileName, Run
from cplab.specs import Count, Seed


@experiment(
    version=1,
    shares=lambda profile, deficit, onset, **_: ("linear_path", profile, "" if onset else deficit),
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
    """Train a run with a deficit and its equal training, and test networks between their weights,
    with batch norm's statistics measured anew on clear training images (Frankle et al. 2020,
    'Linear Mode Connectivity and the Lottery Ticket Hypothesis'). points: networks from end to end.

    Returns: test loss (nats) and accuracy at each point, from the run with a deficit to its twin.

    >>> len(linear_path.compute(length=1, profile="ci", points=3)["loss"])
    3
    """
    require(length, "length 0 is not allowed: without a deficit there is one run")
    import torch
    import torch.nn.functional as F
    from torch.optim.swa_utils import update_bn

    from cplab import devices
    from cplab.engine import checkpoints
    from cplab.engine.train import train

    run, place = Run(deficit, onset, length, profile=profile, seed=seed), devices.pick(device)
    nets = []
    for each in (run, run.equal_training()):  # the same order, crops and flips
        [found] = train([each], each.epochs, device=device, threads=1, stop=stop)
        if isinstance(found, Failed):
            raise found
        state: Any = checkpoints.loads(found.content, each.task, place, found.provenance)
        nets.append(state.net)
    (first, last), images = nets, run.task.images(place)
    losses, accuracies = list[float](), list[float]()
    for part in torch.linspace(0, 1, points, dtype=torch.float32).tolist():
        net, total, right = copy.deepcopy(last), 0.0, 0
        with torch.no_grad(), devices.autocast(place, run.arithmetic):
            for weight, other in zip(net.parameters(), first.parameters(), strict=True):
                weight.mul_(part).add_(other, alpha=1 - part)
            update_bn(map(images.normal, images.train_x.split(500)), net.train())
            net.eval()
            for x, y in zip(images.test_x.split(500), images.test_y.split(500), strict=True):
                logits = net(images.normal(x)).float()
                total += F.cross_entropy(logits, y, reduction="sum").item()
                right += int((logits.argmax(1) == y).sum())
        losses.append(total / len(images.test_y))
        accuracies.append(right / len(images.test_y))
    return {"loss": losses, "accuracy": accuracies, "copy": images.copy}
