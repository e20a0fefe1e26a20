"""What a network learns: its images, its batches, what is minimised and what is reported.

A run names its task by an object, `run.task`. Another task is a subclass of Classification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from inspect import unwrap
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplab import data, devices, models
from cplab.data import Images
from cplab.deficits import Batch
from cplab.errors import CplabError
from cplab.models.layers import normalised_layers
from cplab.seeding import Seeded
from cplab.specs import mix_seeds
from cplab.specs.profiles import PROFILES, Profile, split_part

# Both are of cplab.runs.run, which makes tasks and can therefore not be imported here
Run = Any
Step = Any

# Optimisers ---------------------------------------------------------------------------------------


@dataclass
class TrainState:
    """All that an epoch hands on to the next: network, optimiser, a row for each step and event."""

    net: nn.Module
    optimizer: torch.optim.Optimizer
    rows: list[dict] = field(default_factory=list)


@cache
def uncompiled(kind: type[torch.optim.Optimizer]) -> Any:
    """An optimiser of torch without the hooks of its compiler, which takes longer to load than
    twenty small networks to train. Returns: a class with the same arguments."""
    methods = {}
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        methods[name] = unwrap(getattr(kind, name))
    methods["step"] = torch.no_grad()(unwrap(kind.step))
    return type(kind.__name__, (kind,), methods)


def make_optimizer(
    net: nn.Module, kind: str = "sgd", momentum: float = 0.0, weight_decay: float = 0.0
) -> torch.optim.Optimizer:
    """Make torch's SGD or Adam (without momentum) for a network; each step of a run sets the rate.
    Fused steps take a fraction of the time, SGD's with the same bits.

    >>> optimizer = make_optimizer(nn.Linear(2, 3), momentum=0.9, weight_decay=1e-3)
    >>> set_rates(optimizer, lr=0.1, decay=0.5)
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.1]
    """
    weights = net.parameters()
    if kind == "adam":
        adam = uncompiled(torch.optim.Adam)
        return adam(weights, weight_decay=weight_decay, fused=True)
    sgd = uncompiled(torch.optim.SGD)
    return sgd(weights, lr=0.0, momentum=momentum, weight_decay=weight_decay, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, lr: float, decay: float) -> None:
    """Give an optimiser the learning rate of an epoch, and a factor on its weight decay."""
    for group in optimizer.param_groups:
        group["lr"] = lr
        group["weight_decay"] = decay * optimizer.defaults["weight_decay"]


# The task -----------------------------------------------------------------------------------------


class Classification:
    """The task of naming what an image shows, to one eye or to two, whose views are alike but for
    separate augmentation where the model asks for it, and for deficits of one view."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def images(self, device: torch.device, part: int = 1) -> Images:
        """The images of the run, on its device. `part`: 2 for other training images, as many, that
        are normalised alike."""
        run = self.run
        profile = PROFILES[run.profile]
        if profile.own_images:
            count = run.images or profile.train_images
            return data.own_images(run.dataset, run.profile, run.seed, count, str(device), part)
        images = data.shared_images(run.dataset, run.profile, str(device))
        if part == 1:
            return images
        name, first = split_part(run.dataset)
        other = data.shared_images(f"{name}-part{first + part - 1}", run.profile, str(device))
        return replace(images, train_x=other.train_x, train_y=other.train_y)

    def birth(self, device: torch.device, seed: int | None = None) -> TrainState:
        """The state at epoch 0, with the same initial weights for all runs of a seed."""
        run = self.run
        settings = run.settings
        channels = len(self.images(device).mean)
        classes = data.classes(run.dataset)
        with Seeded(mix_seeds(run.seed if seed is None else seed)):
            net = models.build(run.model, channels, settings.size, classes)
        net = net.to(device, memory_format=devices.memory_format(device))  # type: ignore[call-overload]
        optimizer = make_optimizer(net, run.optimizer, settings.momentum, settings.weight_decay)
        return TrainState(net, optimizer)

    def birth_norms(self, device: torch.device) -> list[Tensor]:
        """The norm at birth of each layer under batch norm."""
        layers = normalised_layers(self.birth(device).net)
        return [layer.weight.detach().norm() for layer, _ in layers]

    def batches(self, epoch: int, step: Step, images: Images) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield an epoch's batches, shuffled, shifted and mirrored, before any deficit: the indices
        of the training images, (batch,), and the normalised images, (batch, C, H, W), or two views
        of each, (batch, 2, C, H, W)."""
        run = self.run
        batches = shuffled(run, epoch, step, images)
        if run.views == 2 and models.MODELS[run.family].apart:  # each view has shifts of its own
            right_batches = shuffled(run, epoch, step, images, second=True)
            for (index, left), (_, right) in zip(batches, right_batches, strict=True):
                yield index, torch.stack([left, right], 1)
        else:
            for index, x in batches:
                yield index, self.views(x)

    def batch(self, index: Tensor, epoch: int, images: Images) -> Batch:
        """What a deficit may know about a batch of these training images, (batch,)."""
        classes = data.classes(self.run.dataset)
        return Batch(index, self.run.seed, epoch, len(images.train_y), classes)

    def loss(self, output: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """The loss that is minimised, a mean over the batch, or with reduction `none` that of each
        image, (N,)."""
        return F.cross_entropy(output, y, reduction=reduction)

    def test(self, net: nn.Module, images: Images) -> dict:
        """Test the network after an epoch: the columns that a row of the curve gains."""

        def normal(x: Tensor) -> Tensor:
            return self.views(images.normal(x))

        fraction = evaluate(net, images.test_x, images.test_y, normal, self.run.arithmetic)
        return {"test_accuracy": fraction}

    def views(self, x: Tensor) -> Tensor:
        """Turn normalised images (N, C, H, W) into what the network takes: as they are, or two
        views that are alike, (N, 2, C, H, W)."""
        if self.run.views == 1:
            return x
        return x.unsqueeze(1).expand(-1, 2, -1, -1, -1)


# Batches ------------------------------------------------------------------------------------------

CPU_VALUES = 100_000  # of images, that a CPU cuts out at a time, a batch at least
GPU_BATCHES = 32  # that a GPU cuts out at a time


def shuffled(
    run: Run, epoch: int, step: Step, images: Images, second: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield an epoch's batches, see Classification.batches. Seed and epoch decide every random
    number. `second`: with the shifts of a second view, all else alike."""
    settings = augmentation(run.settings, step)
    device = images.train_x.device
    count = len(images.train_y)
    order, generator = draw_order(run, epoch, step, images)
    # Drawn on the CPU, in this order, so that every device shows the same images
    shift = draw_shifts(count, settings.shift, generator).to(device)
    chance = torch.rand(count, generator=generator, dtype=torch.float32)
    mirrored = (chance < 0.5 * settings.mirror).to(device)
    if second:
        shift = draw_shifts(count, settings.shift, generator).to(device)
    centre = None  # of the square that is blanked, (2, count)
    if step.cutout:
        centre = torch.randint(settings.size, (2, count), generator=generator).to(device)
    down, across = shift
    crops = every_crop(images.train_x, settings.shift, settings.size)
    for index in order.split(settings.batch * batches_at_once(settings.batch, images)):
        x = crops[index, down[index], across[index]]  # (batches, H, W, C)
        x = torch.where(mirrored[index, None, None, None], x.flip(2), x)
        x = images.normal(x)  # (batches, C, H, W)
        if centre is not None:
            x = cut_out(x, centre[:, index], int(step.cutout))
        yield from zip(index.split(settings.batch), x.split(settings.batch), strict=True)


def augmentation(settings: Profile, step: Step) -> Profile:
    """The settings of a run, with the shifts and the mirroring that a step asks for."""
    if step.augment != 1:
        settings = replace(settings, shift=0, mirror=False)
    if step.shift is not None:
        settings = replace(settings, shift=int(step.shift))
    return settings


def draw_shifts(count: int, most: int, generator: torch.Generator) -> Tensor:
    """Draw by how many pixels each image is moved down and across, from the top left: (2, count)
    whole numbers from 0 to 2 · most.

    >>> draw_shifts(3, 0, torch.Generator()).tolist()
    [[0, 0, 0], [0, 0, 0]]
    """
    return torch.randint(2 * most + 1, (2, count), generator=generator)


def every_crop(x: Tensor, shift: int, size: int) -> Tensor:
    """All crops of images (N, H, W, C), as a view of them: (N, rows down, columns across, size,
    size, C).

    >>> every_crop(torch.zeros(5, 8, 8, 3), shift=2, size=8).shape
    torch.Size([5, 5, 5, 8, 8, 3])
    """
    padded = F.pad(x, (0, 0, shift, shift, shift, shift))
    return padded.unfold(1, size, 1).unfold(2, size, 1).permute(0, 1, 2, 4, 5, 3)


def batches_at_once(batch: int, images: Images) -> int:
    """How many batches are cut out of the images at a time: few on a CPU, so that they stay in a
    core's cache."""
    if images.train_x.device.type == "cuda":
        return GPU_BATCHES
    values = batch * images.train_x[0].numel()
    return max(1, CPU_VALUES // values)


def cut_out(x: Tensor, centre: Tensor, side: int) -> Tensor:
    """Blank a square of each normalised image, (N, C, H, W), around its centre, (2, N); what lies
    beyond the border is cut off."""
    places = torch.arange(x.shape[-1], device=x.device)
    first = centre - side // 2  # (2, N)
    inside = (places >= first[..., None]) & (places < first[..., None] + side)  # (2, N, H)
    rows, columns = inside
    square = rows[:, :, None] & columns[:, None, :]  # (N, H, W)
    return x.masked_fill(square[:, None], 0.0)


def draw_order(run: Run, epoch: int, step: Step, images: Images) -> tuple[Tensor, torch.Generator]:
    """Draw the order of an epoch's images, (N,), by seed and epoch. Returns: the generator too, for
    what is drawn next. Raises: CplabError if the last batch would be one image."""
    count = len(images.train_y)
    device = images.train_x.device
    generator = torch.Generator().manual_seed(mix_seeds(run.seed, epoch))
    order = torch.randperm(count, generator=generator).to(device)
    if step.images != 1:
        kept = draw_kept(run.seed, count, step.images).to(device)
        order = order[kept[order]]
    if len(order) % run.settings.batch == 1:
        raise CplabError(
            f"the last batch of {len(order)} images would be one image, of which batch norm learns "
            "nothing: take another size of batches"
        )
    return order, generator


def draw_kept(seed: int, count: int, fraction: float) -> Tensor:
    """Draw which of `count` images are seen, a mask (count,): the same in every epoch of a seed.

    >>> int(draw_kept(0, 10, 0.5).sum())
    5
    """
    generator = torch.Generator().manual_seed(mix_seeds(seed, "images"))
    numbers = torch.rand(count, generator=generator, dtype=torch.float32)
    return numbers.argsort(stable=True) < fraction * count


# Tests --------------------------------------------------------------------------------------------


@torch.inference_mode()
def evaluate(
    net: nn.Module, x: Tensor, y: Tensor, normal: Callable[[Tensor], Tensor], arithmetic: str
) -> Tensor:
    """The fraction of images that a network classifies correctly: a tensor (), so that nothing
    waits for the GPU. Arguments: x, images (N, …) as `normal` takes them; y, labels (N,)."""
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
