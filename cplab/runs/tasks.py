"""Tasks: the images and batches that a network learns from, its loss, and how it is tested.

A run's task is `run.task`. Another task is a subclass of `Classification`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from inspect import unwrap
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplab import models
from cplab.base import devices
from cplab.base.errors import CplabError
from cplab.base.seeding import seeded
from cplab.deficits import Batch
from cplab.models.layers import layer_weights, normalised_layers
from cplab.pictures import data
from cplab.pictures.data import Images
from cplab.runs.steps import Step
from cplab.specs import mix_seeds
from cplab.specs.profiles import PROFILES, Profile


class TaskRun(Protocol):
    """The fields of a run that its task reads.

    This is cplab.runs.Run, which cannot be imported here, since it imports this module.
    """

    @property
    def seed(self) -> int: ...
    @property
    def profile(self) -> str: ...
    @property
    def dataset(self) -> str: ...
    @property
    def images(self) -> int | None: ...
    @property
    def model(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def views(self) -> int: ...
    @property
    def optimizer(self) -> str: ...
    @property
    def arithmetic(self) -> str: ...
    @property
    def settings(self) -> Profile: ...


# Optimisers ---------------------------------------------------------------------------------------


@dataclass
class TrainState:
    """What an epoch hands on to the next: a network, its optimiser, the rows of the curve, one for
    each step and event, and the layers' weights at birth and when the latest deficit ended."""

    net: nn.Module
    optimizer: torch.optim.Optimizer
    rows: list[dict] = field(default_factory=list)
    origins: dict[str, list[Tensor]] = field(default_factory=dict)


@cache
def uncompiled(optimizer_class: type[torch.optim.Optimizer]) -> Any:
    """A class like one of torch's optimisers, with the same arguments, but without the hooks of
    torch's compiler, which takes longer to load than twenty small networks take to train."""
    methods = {}
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        methods[name] = unwrap(getattr(optimizer_class, name))
    methods["step"] = torch.no_grad()(unwrap(optimizer_class.step))
    return type(optimizer_class.__name__, (optimizer_class,), methods)


def make_optimizer(
    net: nn.Module, name: str = "sgd", momentum: float = 0.0, weight_decay: float = 0.0
) -> torch.optim.Optimizer:
    """Make torch's SGD or Adam for a network. Adam takes no momentum.

    `set_rates` sets the learning rate of each epoch. Fused steps take a fraction of the time, and
    SGD's have the same bits.

    >>> optimizer = make_optimizer(nn.Linear(2, 3), momentum=0.9, weight_decay=1e-3)
    >>> set_rates(optimizer, lr=0.1, decay=0.5)
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.1]
    """
    weights = net.parameters()
    if name == "adam":
        adam = uncompiled(torch.optim.Adam)
        return adam(weights, weight_decay=weight_decay, fused=True)
    sgd = uncompiled(torch.optim.SGD)
    return sgd(weights, lr=0.0, momentum=momentum, weight_decay=weight_decay, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, lr: float, decay: float) -> None:
    """Set an optimiser's learning rate, and multiply its weight decay by `decay`, for an epoch."""
    for group in optimizer.param_groups:
        group["lr"] = lr
        group["weight_decay"] = decay * optimizer.defaults["weight_decay"]


@torch.no_grad()
def scale_gradients(weights: Iterable[Tensor], norm: float, networks: int = 1) -> None:
    """Scale the gradient of each network, over all its weights together, to a norm. A gradient of 0
    stays 0.

    Arguments:
        weights: whose `.grad` is scaled, of one network, or of several with a row for each.
        norm: that the gradient gets.
        networks: how many they are.

    >>> weight = torch.zeros(2, requires_grad=True)
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> scale_gradients([weight], norm=2)
    >>> weight.grad
    tensor([1.2000, 1.6000])
    """
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    squares = [gradient.reshape(networks, -1).square().sum(1) for gradient in gradients]
    norms = torch.stack(squares).sum(0).sqrt()  # (networks,)
    factors = norm / norms.clamp(min=1e-18)  # below which squares are 0 in float32
    for gradient in gradients:
        gradient.mul_(factors.view(-1, *[1] * (gradient.ndim - 1)))


# The task -----------------------------------------------------------------------------------------


class Classification:
    """The task of naming what an image shows.

    A network with two eyes gets two views of each image. They are alike, unless the model has each
    view augmented by itself, or a deficit acts on one view.
    """

    def __init__(self, run: TaskRun) -> None:
        self.run = run

    def images(self, device: torch.device, part: int = 1) -> Images:
        """The images of the run, on a device.

        Arguments:
            device: the device.
            part: 2 for as many other training images, which are normalised alike.
        """
        run = self.run
        profile = PROFILES[run.profile]
        if profile.own_images:
            count = run.images or profile.train_images
            return data.images_of_seed(run.dataset, run.profile, run.seed, count, str(device), part)
        images = data.shared_images(run.dataset, run.profile, str(device))
        if part == 1:
            return images
        other = data.shared_images(run.dataset, run.profile, str(device), part)
        return replace(images, train_x=other.train_x, train_y=other.train_y)

    def birth(self, device: torch.device, seed: int | None = None) -> TrainState:
        """The state before epoch 0. All runs of a seed have the same initial weights.

        Arguments:
            device: the device.
            seed: if it is not the run's.
        """
        run = self.run
        settings = run.settings
        if seed is None:
            seed = run.seed
        images = self.images(device)
        with seeded(mix_seeds(seed)):
            net = models.build(run.model, len(images.mean), settings.size, images.classes)
        net = net.to(device, memory_format=devices.memory_format(device))  # type: ignore[call-overload]
        optimizer = make_optimizer(net, run.optimizer, settings.momentum, settings.weight_decay)
        at_birth = [weight.clone() for weight in layer_weights(net)]
        return TrainState(net, optimizer, origins={"birth": at_birth})

    def birth_norms(self, device: torch.device) -> list[Tensor]:
        """The norm at birth of each layer under batch norm."""
        layers = normalised_layers(self.birth(device).net)
        return [layer.weight.detach().norm() for layer, _ in layers]

    def batches(self, epoch: int, step: Step, images: Images) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield an epoch's batches, shuffled, shifted and mirrored, before any deficit.

        Arguments:
            epoch: from 0.
            step: of the timeline.
            images: the data set.

        Yields:
            the indices of the training images, (batch,), and the normalised images, (batch, C, H,
            W), or two views of each, (batch, 2, C, H, W).
        """
        run = self.run
        batches = shuffled(run, epoch, step, images)
        if run.views == 1 or not models.MODELS[run.family].apart:
            for index, x in batches:
                yield index, self.views(x)
            return
        right_batches = shuffled(run, epoch, step, images, second=True)
        for (index, left), (_, right) in zip(batches, right_batches, strict=True):
            yield index, torch.stack([left, right], 1)

    def describe_batch(self, index: Tensor, epoch: int, images: Images) -> Batch:
        """What a deficit may know about a batch, besides its images and labels.

        Arguments:
            index: of its training images, (batch,).
            epoch: of the training.
            images: the data set.
        """
        return Batch(index, self.run.seed, epoch, len(images.train_y), images.classes)

    def loss(self, output: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """The loss that is minimised, a mean over the batch.

        Arguments:
            output: logits (N, classes).
            y: labels (N,).
            reduction: "none" for the loss of each image, (N,).
        """
        return F.cross_entropy(output, y, reduction=reduction)

    def tempered_loss(
        self, output: Tensor, y: Tensor, temperature: float, reduction: str = "mean"
    ) -> Tensor:
        """The loss at a temperature T: T times that of the logits / T.

        The larger T is, the more alike all images pull, right or wrong.

        Arguments:
            output, y, reduction: as of `loss`.
            temperature: T.

        >>> from cplab import Run
        >>> logits = torch.tensor([[4.0, 0.0]])
        >>> Run().task.tempered_loss(logits, torch.tensor([0]), temperature=4)
        tensor(1.2530)
        """
        return temperature * self.loss(output.float() / temperature, y, reduction)

    def test(self, net: nn.Module, images: Images) -> dict:
        """Test a network after an epoch, and return further columns for its row of the curve."""

        def normal(x: Tensor) -> Tensor:
            return self.views(images.normal(x))

        fraction = evaluate(net, images.test_x, images.test_y, normal, self.run.arithmetic)
        return {"test_accuracy": fraction}

    def views(self, x: Tensor) -> Tensor:
        """Give a network as many views of normalised images (N, C, H, W) as it takes: the images as
        they are, or two equal views of each, (N, 2, C, H, W)."""
        if self.run.views == 1:
            return x
        return x.unsqueeze(1).expand(-1, 2, -1, -1, -1)


# Batches ------------------------------------------------------------------------------------------

CPU_VALUES = 100_000  # numbers that a CPU crops at a time; it crops a batch at least
GPU_BATCHES = 32  # batches that a GPU crops at a time


def shuffled(
    run: TaskRun, epoch: int, step: Step, images: Images, second: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield an epoch's batches, as `Classification.batches` does for one view.

    The run's seed and the epoch decide all random numbers.

    Arguments:
        run: the run.
        epoch: from 0.
        step: of the timeline.
        images: the data set.
        second: whether to shift as for the second view.
    """
    settings = augmentation(run.settings, step)
    batch = settings.batch
    order, generator = draw_order(run, epoch, step, images)
    changes = draw_changes(settings, step, images, generator, second)
    crops = every_crop(images.train_x, settings.shift, settings.size)
    # The images of several batches are changed at once: index is (images,)
    for index in order.split(batch * batches_at_once(batch, images)):
        x = crops[index, changes.down[index], changes.across[index]]  # (images, H, W, C)
        x = torch.where(changes.mirrored[index, None, None, None], x.flip(2), x)
        x = images.normal(x)  # (images, C, H, W)
        if changes.centre is not None:
            x = cut_out(x, changes.centre[:, index], int(step.cutout))
        yield from zip(index.split(batch), x.split(batch), strict=True)


class Changes(NamedTuple):
    """What an epoch does to each of the N training images."""

    down: Tensor  # (N,) pixels by which it is moved down, from the top left
    across: Tensor  # (N,) pixels by which it is moved to the right
    mirrored: Tensor  # bool (N,)
    centre: Tensor | None  # (2, N) row and column of the square that is blanked, if one is


def draw_changes(
    settings: Profile, step: Step, images: Images, generator: torch.Generator, second: bool
) -> Changes:
    """Draw what an epoch does to each training image. The second of two views is shifted by itself.

    All numbers are drawn on the CPU, and in this order, so that every device shows the same images.
    """
    device = images.train_x.device
    count = len(images.train_y)
    shift = draw_shifts(count, settings.shift, generator)
    chance = torch.rand(count, generator=generator, dtype=torch.float32)
    mirrored = chance < 0.5 * settings.mirror
    if second:
        shift = draw_shifts(count, settings.shift, generator)
    centre = None
    if step.cutout:
        centre = torch.randint(settings.size, (2, count), generator=generator).to(device)
    down, across = shift.to(device)
    return Changes(down, across, mirrored.to(device), centre)


def augmentation(settings: Profile, step: Step) -> Profile:
    """A run's settings with the shifts and the mirroring of a step."""
    if step.augment != 1:
        settings = replace(settings, shift=0, mirror=False)
    if step.shift is not None:
        settings = replace(settings, shift=int(step.shift))
    return settings


def draw_shifts(count: int, most: int, generator: torch.Generator) -> Tensor:
    """Draw by how many pixels each image is moved down and across, counted from the top left.

    Returns:
        whole numbers from 0 to 2 · most, (2, count).

    >>> draw_shifts(3, 0, torch.Generator()).tolist()
    [[0, 0, 0], [0, 0, 0]]
    """
    return torch.randint(2 * most + 1, (2, count), generator=generator)


def every_crop(x: Tensor, shift: int, size: int) -> Tensor:
    """All crops of images (N, H, W, C), as a view that copies nothing.

    Returns:
        (N, pixels moved down, pixels moved across, size, size, C).

    >>> every_crop(torch.zeros(5, 8, 8, 3), shift=2, size=8).shape
    torch.Size([5, 5, 5, 8, 8, 3])
    """
    padded = F.pad(x, (0, 0, shift, shift, shift, shift))
    return padded.unfold(1, size, 1).unfold(2, size, 1).permute(0, 1, 2, 4, 5, 3)


def batches_at_once(batch: int, images: Images) -> int:
    """How many batches are cropped at a time: few on a CPU, so that they stay in a core's cache."""
    if images.train_x.device.type == "cuda":
        return GPU_BATCHES
    values = batch * images.train_x[0].numel()
    return max(1, CPU_VALUES // values)


def cut_out(x: Tensor, centre: Tensor, side: int) -> Tensor:
    """Blank a square of each normalised image, as far as it is inside the image.

    Arguments:
        x: images (N, C, H, W).
        centre: the row and column of each square, (2, N).
        side: in pixels.
    """
    places = torch.arange(x.shape[-1], device=x.device)
    first = centre - side // 2  # (2, N)
    inside = (places >= first[..., None]) & (places < first[..., None] + side)  # (2, N, H)
    rows, columns = inside
    square = rows[:, :, None] & columns[:, None, :]  # (N, H, W)
    return x.masked_fill(square[:, None], 0.0)


def draw_order(
    run: TaskRun, epoch: int, step: Step, images: Images
) -> tuple[Tensor, torch.Generator]:
    """Draw the order of an epoch's images, which the run's seed and the epoch decide.

    Returns:
        the order, (N,), and the generator, from which more is drawn.

    Raises:
        CplabError: if the last batch would be a single image.
    """
    count = len(images.train_y)
    device = images.train_x.device
    generator = torch.Generator().manual_seed(mix_seeds(run.seed, epoch))
    order = torch.randperm(count, generator=generator).to(device)
    if step.images != 1:
        kept = draw_kept(run.seed, count, step.images).to(device)
        order = order[kept[order]]
    if len(order) % run.settings.batch == 1:
        raise CplabError(
            f"the last batch of {len(order)} images would be one image, from which batch norm "
            "learns nothing: take another size of batches"
        )
    return order, generator


def draw_kept(seed: int, count: int, fraction: float) -> Tensor:
    """Draw which images are shown, the same in every epoch of a seed: a mask, bool (count,).

    >>> int(draw_kept(0, 10, 0.5).sum())
    5
    """
    generator = torch.Generator().manual_seed(mix_seeds(seed, "images"))
    numbers = torch.rand(count, generator=generator, dtype=torch.float32)
    order = numbers.argsort(stable=True)  # 0 … count − 1; so many of them are below the bound
    return order < fraction * count


# Tests --------------------------------------------------------------------------------------------


@torch.inference_mode()
def evaluate(
    net: nn.Module, x: Tensor, y: Tensor, normal: Callable[[Tensor], Tensor], arithmetic: str
) -> Tensor:
    """The fraction of images that a network classifies correctly.

    Arguments:
        net: the network.
        x: images (N, …) as `normal` takes them.
        y: labels (N,).
        normal: a function that normalises images.
        arithmetic: "native" or "float32".

    Returns:
        a tensor (): nothing has to wait for the GPU.
    """
    net.eval()
    on_gpu = x.device.type == "cuda"
    batch = 10_000 if on_gpu else 500
    correct = torch.zeros((), dtype=torch.long, device=x.device)
    for part, labels in zip(x.split(batch), y.split(batch), strict=True):
        with devices.autocast(x.device, arithmetic):
            logits = net(normal(part))
        correct += (logits.argmax(1) == labels).sum()
    if not on_gpu:
        correct = correct.cpu()
    return correct.double() / len(y)
