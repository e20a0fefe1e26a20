"""Times a few steps of a network, to tell how long an epoch takes of which there is no result."""

import math
from collections.abc import Callable
from functools import lru_cache
from timeit import timeit

import torch

from cplab import data, devices, models
from cplab.runs import Run
from cplab.runs.tasks import make_optimizer
from cplab.seeding import Seeded

TIMED = 5  # steps and tests, of which the quickest counts
LONG = 0.5  # seconds of a step that is timed only once


@lru_cache
def epoch_seconds(run: Run, device: str = "auto") -> float:
    """The seconds of an epoch of a run, told by a few steps and tests on random images. Nothing is
    downloaded for it, and no result is kept.

    >>> epoch_seconds(Run(profile="ci")) > 0
    True
    """
    chip = devices.pick(device)
    settings = run.settings
    channels = data.channels(run.dataset)
    classes = data.classes(run.dataset)
    with devices.torch_defaults(1), Seeded(0):
        net = models.build(run.model, channels, settings.size, classes)
        net = net.to(chip, memory_format=devices.memory_format(chip))  # type: ignore[call-overload]
        optimizer = make_optimizer(net, run.optimizer, settings.momentum, settings.weight_decay)
        x = torch.randn(settings.batch, channels, settings.size, settings.size, device=chip)
        x = run.task.views(x.contiguous(memory_format=torch.channels_last))
        y = torch.arange(settings.batch, device=chip) % classes

        def step() -> None:
            optimizer.zero_grad()
            with devices.autocast(chip, run.arithmetic):
                loss = run.task.loss(net(x), y)
            loss.backward()
            optimizer.step()
            loss.item()  # waits for the device

        @torch.inference_mode()
        def test() -> None:
            with devices.autocast(chip, run.arithmetic):
                net(x).sum().item()

        net.train()
        step_seconds = quickest(step)
        net.eval()
        test_seconds = quickest(test)
    steps = math.ceil((run.images or settings.train_images) / settings.batch)
    tests = math.ceil(settings.test_images / settings.batch)
    return steps * step_seconds + tests * test_seconds


def quickest(work: Callable[[], object]) -> float:
    """The seconds of the quickest of several calls, since other work slows some of them. A long one
    is timed only once."""
    seconds = timeit(work, number=1)
    if seconds < LONG:
        seconds = min(timeit(work, number=1) for _ in range(TIMED))
    return seconds
