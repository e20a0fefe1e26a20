"""An epoch of training on an NVIDIA GPU, for one run or for several seeds side by side."""

from collections.abc import Iterator, Sequence

import torch

from cplab.engine.gpu.graphs import Passes
from cplab.engine.job import Flag
from cplab.engine.stack import is_stacked
from cplab.engine.stack_epoch import (
    Drawn,
    Labelled,
    can_be_kept,
    deprived_batches,
    drawn_batches,
    join_networks,
    kept_batches,
)
from cplab.engine.training import Training
from cplab.errors import Cancelled
from cplab.models.layers import rescale_layers
from cplab.runs import Step
from cplab.runs.tasks import scale_gradients, set_rates


def train_epoch(trainings: Sequence[Training], step: Step, stop: Flag | None = None) -> list[dict]:
    """Train runs that differ only in seed for one epoch.

    Arguments, result and errors are those of `engine.train.train_epoch`.
    """
    first = trainings[0]
    task = first.task
    images = first.images
    device = images.train_x.device
    states = [training.state for training in trainings]
    stacked = is_stacked(first.run, step)
    passes = first.computed_by
    if not isinstance(passes, Passes) or not passes.serve(states, stacked, step.loss):
        passes = Passes(task, states, stacked, step.loss)
        first.computed_by = passes
    passes.load()
    set_rates(passes.optimizer, step.lr, step.decay)
    birth_norms = []
    for training in trainings:
        training.state.net.train()
        if step.fixed_norms:
            birth_norms.append(training.task.birth_norms(device))
    total = torch.zeros(len(trainings), dtype=torch.float32, device=device)  # of all losses
    count = 0  # images of each network
    for x, y in seen_batches(passes, trainings, step):
        if stop and stop.is_set():
            raise Cancelled
        with first.draws(count):
            losses = passes(x, y)
        if step.gradient and passes.stack:
            scale_gradients(passes.weights, step.gradient, len(trainings))
        elif step.gradient:
            for training in trainings:
                scale_gradients(training.state.net.parameters(), step.gradient)
        passes.optimizer.step()
        if step.fixed_norms:
            for training, norms in zip(trainings, birth_norms, strict=True):
                rescale_layers(training.state.net, norms)
        for training in trainings:
            if training.after_step:
                training.after_step()
        total += losses * y.shape[-1]
        count += y.shape[-1]
    with first.draws("test"):
        if passes.stack:
            tests = passes.stack.test(task, images)
        else:
            tests = [task.test(training.state.net, images) for training in trainings]
    passes.write_back()
    rows = []
    for training, loss, test in zip(trainings, total.tolist(), tests, strict=True):
        rows.append(training.row(step, loss / count, test))
    return rows


def seen_batches(passes: Passes, trainings: Sequence[Training], step: Step) -> Iterator[Labelled]:
    """Yield an epoch's batches as the deficit changes them: images (batch, …) for one network, or
    (networks, batch, …) for several or a stack, and their labels."""
    if passes.stack and can_be_kept(trainings[0], step):
        yield from kept_batches(passes.stack, trainings, step)
        return
    if can_be_joined(trainings, step):
        batches = joined_batches(trainings, step)
    else:
        batches = drawn_batches(trainings, step)
    for seen in deprived_batches(step.deficit, batches):
        if passes.stack or len(trainings) > 1:
            yield join_networks(seen, len(trainings))
        else:
            yield seen[0]


def can_be_joined(trainings: Sequence[Training], step: Step) -> bool:
    """Whether the batches of all runs can be one: the runs share their images, and the deficit
    changes each image by itself."""
    images = trainings[0].images
    share_images = all(training.images is images for training in trainings)
    return len(trainings) > 1 and share_images and step.deficit.of_each_image


def joined_batches(trainings: Sequence[Training], step: Step) -> Iterator[list[Drawn]]:
    """Yield an epoch's batches before the deficit, those of all runs as one."""
    epoch = trainings[0].epoch
    task = trainings[0].task
    source = trainings[0].training_images(step)
    batches = []
    for training in trainings:
        batches.append(training.task.batches(epoch, step, training.training_images(step)))
    for pairs in zip(*batches, strict=True):
        index = torch.cat([index for index, _ in pairs])
        x = torch.cat([x for _, x in pairs])
        batch = task.describe_batch(index, epoch, source)
        yield [Drawn(x, source.train_y[index], batch)]
