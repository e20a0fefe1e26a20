"""An epoch of training for networks of several seeds, side by side: in a stack, or on a GPU.

`train.train_alone` does the same to one network.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cplab.base.errors import Cancelled
from cplab.deficits import Batch
from cplab.engine.gpu.branches import Branches
from cplab.engine.network import Training
from cplab.engine.passes import Layout, Passes
from cplab.engine.stack import Stack
from cplab.engine.workload import Flag
from cplab.runs import Step
from cplab.runs.tasks import augmentation, draw_order, set_rates

MOST_KEPT = 500_000  # numbers of images that are kept as a deficit changed them


class Labelled(NamedTuple):
    """Images and their labels, of one network, (batch, …) and (batch,), or of several, (networks,
    batch, …) and (networks, batch)."""

    x: Tensor
    y: Tensor


class ClearBatch(NamedTuple):
    """A batch before the deficit: images (batch, …), labels (batch,), what a deficit may know."""

    x: Tensor
    y: Tensor
    batch: Batch


def train_side_by_side(
    trainings: Sequence[Training], layout: Layout, step: Step, stop: Flag | None = None
) -> list[dict]:
    """Train runs that differ only in seed for one epoch, all at the same time.

    Arguments, result and errors are those of `train.train_epoch`; layout, of the networks, from
    `Training.layout`.
    """
    first = trainings[0]
    images = first.images
    passes = passes_for(trainings, layout, step.temper)
    networks = passes.networks
    networks.load()
    set_rates(networks.optimizer, step.lr, step.decay)
    path = networks.path()
    total = torch.zeros(len(trainings), dtype=torch.float32, device=images.train_x.device)
    count = 0  # images of each network
    for training in trainings:
        training.state.net.train()
    for x, y in seen_batches(networks, trainings, step):
        if stop and stop.is_set():
            raise Cancelled
        with first.draws(count):
            losses = passes(x, y)
        if step.gradient:
            networks.scale_gradients(step.gradient)
        networks.optimizer.step()
        for training in trainings:
            training.end_step(step)
        path.add_step()
        total += losses * y.shape[1]
        count += y.shape[1]
    with first.draws("test"):
        tests = networks.test(first.task, images)
    networks.write_back()
    rows = []
    columns = zip(trainings, total.tolist(), tests, path.rows(), strict=True)
    for training, loss, test, distances in columns:
        rows.append(training.row(step, loss / count, test, distances))
    return rows


def passes_for(trainings: Sequence[Training], layout: Layout, temperature: float) -> Passes:
    """The passes of these trainings, at a temperature of the loss: those of their last epoch, if
    they still serve."""
    first = trainings[0]
    states = [training.state for training in trainings]
    passes = first.passes
    if passes is None or not passes.serve(layout, states, temperature):
        passes = Passes(layout, states, first.task, first.images.train_x.device, temperature)
        first.passes = passes
    return passes


# Batches ------------------------------------------------------------------------------------------


def seen_batches(
    networks: Stack | Branches, trainings: Sequence[Training], step: Step
) -> Iterator[Labelled]:
    """Yield an epoch's batches as the deficit changes them, those of all networks side by side."""
    if isinstance(networks, Stack) and can_be_kept(trainings[0], step):
        yield from kept_batches(networks, trainings, step)
        return
    if can_be_joined(trainings, step):
        batches = joined_batches(trainings, step)
    else:
        batches = drawn_batches(trainings, step)
    for drawn in batches:
        seen = [Labelled(*step.deficit(x, y, batch)) for x, y, batch in drawn]
        yield join_networks(seen, len(trainings))


def drawn_batches(trainings: Sequence[Training], step: Step) -> Iterator[list[ClearBatch]]:
    """Yield an epoch's batches before the deficit, one for each network."""
    epoch = trainings[0].epoch
    sources = []
    batches = []
    for training in trainings:
        source = training.training_images(step)
        sources.append(source)
        batches.append(training.task.batches(epoch, step, source))
    for pairs in zip(*batches, strict=True):
        drawn = []
        for training, source, (index, x) in zip(trainings, sources, pairs, strict=True):
            batch = training.task.describe_batch(index, epoch, source)
            drawn.append(ClearBatch(x, source.train_y[index], batch))
        yield drawn


def can_be_joined(trainings: Sequence[Training], step: Step) -> bool:
    """Whether the batches of all runs can be one: the runs share their images, and the deficit
    changes each image by itself."""
    images = trainings[0].images
    share_images = all(training.images is images for training in trainings)
    return len(trainings) > 1 and share_images and step.deficit.of_each_image


def joined_batches(trainings: Sequence[Training], step: Step) -> Iterator[list[ClearBatch]]:
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
        yield [ClearBatch(x, source.train_y[index], batch)]


def can_be_kept(training: Training, step: Step) -> bool:
    """Whether the images can be put under the deficit once, and kept for all epochs.

    They can if the deficit changes each image by itself, if no epoch shifts, mirrors or blanks
    them, and if they are few.
    """
    settings = augmentation(training.run.settings, step)
    if settings.shift or settings.mirror or step.cutout:
        return False
    return step.deficit.of_each_image and training.images.train_x.numel() <= MOST_KEPT


def kept_batches(stack: Stack, trainings: Sequence[Training], step: Step) -> Iterator[Labelled]:
    """Yield an epoch's batches from images that were put under the deficit once, for all epochs."""
    name = (step.deficit.name, step.image_part)
    if name not in stack.seen:
        stack.seen[name] = all_seen(trainings, step)
    x, y = stack.seen[name]  # (networks, images, …), (networks, images)
    epoch = trainings[0].epoch
    batch = trainings[0].run.settings.batch
    orders = []
    for training in trainings:
        order, _ = draw_order(training.run, epoch, step, training.images)
        orders.append(order)
    # Images of all networks are rows of one tensor: x[networks, index] takes five times as long
    all_x = x.flatten(0, 1)  # (networks · images, …)
    all_y = y.flatten()
    first_rows = x.shape[1] * torch.arange(len(trainings), device=x.device)[:, None]
    for index in torch.stack(orders).split(batch, 1):  # (networks, batch)
        rows = (first_rows + index).flatten()
        yield Labelled(
            all_x.index_select(0, rows).unflatten(0, index.shape),
            all_y.index_select(0, rows).unflatten(0, index.shape),
        )


def all_seen(trainings: Sequence[Training], step: Step) -> Labelled:
    """All images of each network as a step's deficit changes them: images (networks, N, C, H, W),
    and labels (networks, N)."""
    epoch = trainings[0].epoch
    images = []
    labels = []
    for training in trainings:
        source = training.training_images(step)
        batch = training.task.describe_batch(torch.arange(len(source.train_y)), epoch, source)
        x, y = step.deficit(source.normal(source.train_x), source.train_y, batch)
        images.append(x)
        labels.append(y)
    return Labelled(torch.stack(images), torch.stack(labels))


def join_networks(seen: Sequence[Labelled], networks: int) -> Labelled:
    """Make one batch of a batch of each network.

    Arguments:
        seen: the batches, or the one that already has the images of all networks, one network after
            another.
        networks: their number.

    Returns:
        images (networks, batch, …), which keep their memory layout, and labels (networks, batch).
    """
    if len(seen) == 1:
        x, y = seen[0]
    else:
        x = torch.cat([labelled.x for labelled in seen])
        y = torch.cat([labelled.y for labelled in seen])
    return Labelled(x.unflatten(0, (networks, -1)), y.unflatten(0, (networks, -1)))
