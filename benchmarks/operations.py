"""Floating-point operations of a network, counted by torch and not measured."""

from functools import cache

import torch

from cplab import models
from cplab.data import channels
from cplab.runs import Run


def training(run: Run) -> int:
    """Operations of a training step for each image, forward and backward; a multiply-add is two."""
    return count(run.model, channels(run.dataset), run.settings.size, backward=True)


def testing(run: Run) -> int:
    """Operations of the output for an image."""
    return count(run.model, channels(run.dataset), run.settings.size, backward=False)


@cache
def count(model: str, colours: int, size: int, backward: bool) -> int:
    """Count the operations for an image, on torch's meta device, so that nothing is computed."""
    from torch.utils.flop_counter import FlopCounterMode

    views = models.MODELS[model.rpartition("-")[0]].views
    shape = (2, colours, size, size) if views == 1 else (2, views, colours, size, size)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        answers = models.build(model, colours, size)(torch.empty(shape))
        if backward:
            answers.sum().backward()
    return counter.get_total_flops() // 2
