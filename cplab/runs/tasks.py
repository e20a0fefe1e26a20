"""What a network learns: its images, its batches, what is minimised and what is reported.

A run names its task by an object, `run.task`. Another task is a subclass of Classification.
"""

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
from cplab.specs.profiles import PROFILES, split_part


@dataclass
class TrainState:
    """All that an epoch hands on to the next: network, optimiser, a row for each step and event."""

    net: nn.Module
    optimizer: torch.optim.Optimizer
    rows: list[dict] = field(default_factory=list)


@cache
def uncompiled(kind: Any) -> Any:
    """An optimiser of torch without the hooks of its compiler, which takes longer to load than
    twenty small networks to train."""
    hooked = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    methods = {name: unwrap(getattr(kind, name)) for name in hooked}
    return type(kind.__name__, (kind,), methods | {"step": torch.no_grad()(unwrap(kind.step))})


def make_optimizer(
    net: nn.Module, kind: str = "sgd", momentum: float = 0.0, weight_decay: float = 0.0
) -> torch.optim.Optimizer:
    """Make torch's SGD or Adam (without momentum) for a network; each step of a run sets the rate.
    Fused steps take a fraction of the time, SGD's with the same bits."""
    weights, options = net.parameters(), {"weight_decay": weight_decay, "fused": True}
    if kind == "adam":
        return uncompiled(torch.optim.Adam)(weights, **options)
    return uncompiled(torch.optim.SGD)(weights, lr=0.0, momentum=momentum, **options)


def set_rates(optimizer: torch.optim.Optimizer, lr: float, decay: float) -> None:
    """Give an optimiser the learning rate of an epoch, and a factor on its weight decay."""
    for group in optimizer.param_groups:
        group["lr"] = lr
        group["weight_decay"] = decay * optimizer.defaults["weight_decay"]


FEW = 100_000  # values of images that a CPU cuts out at a time, a batch at least
TOGETHER = 32  # batches that a GPU cuts out at a time


class Classification:
    """The task of naming what an image shows, to one eye or to two, whose views are alike but for
    separate augmentation where the model asks for it, and for deficits of one view."""

    def __init__(self, run: Any) -> None:
        self.run = run

    def images(self, device: torch.device, part: int = 1) -> Images:
        """The images of the run, on its device. `part`: 2 for other training images, as many, that
        are normalised alike."""
        run, profile = self.run, PROFILES[self.run.profile]
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
        run, settings, images = self.run, self.run.settings, self.images(device)
        with Seeded(mix_seeds(run.seed if seed is None else seed)):
            classes = data.classes(run.dataset)
            net = models.build(run.model, len(images.mean), settings.size, classes)
        net = net.to(device, memory_format=devices.memory_format(device))  # type: ignore[call-overload]
        decay = settings.weight_decay
        return TrainState(net, make_optimizer(net, run.optimizer, settings.momentum, decay))

    def birth_norms(self, device: torch.device) -> list[Tensor]:
        """The norm at birth of each layer under batch norm."""
        layers = normalised_layers(self.birth(device).net)
        return [layer.weight.detach().norm() for layer, _ in layers]

    def batches(self, epoch: int, step: Any, images: Images) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield an epoch's batches, shuffled, shifted and mirrored, before any deficit: the indices
        of the training images, (batch,), and the normalised images, (batch, C, H, W), or two views
        of each, (batch, 2, C, H, W)."""
        apart = self.run.views == 2 and models.MODELS[self.run.family].apart
        rights = shuffled(self.run, epoch, step, images, second=True) if apart else None
        for index, x in shuffled(self.run, epoch, step, images):
            yield index, torch.stack([x, next(rights)[1]], 1) if rights else self.views(x)

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
        x, y, arithmetic = images.test_x, images.test_y, self.run.arithmetic
        right = evaluate(net, x, y, lambda x: self.views(images.normal(x)), arithmetic)
        return {"test_accuracy": right}

    def views(self, x: Tensor) -> Tensor:
        """Turn normalised images (N, C, H, W) into what the network takes: both views alike."""
        return x.unsqueeze(1).expand(-1, 2, -1, -1, -1) if self.run.views == 2 else x


def shuffled(
    run: Any, epoch: int, step: Any, images: Images, second: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield an epoch's batches, see Classification.batches. Seed and epoch decide every random
    number. `second`: with the shifts of a second view, all else alike."""
    settings, device = run.settings, images.train_x.device
    if step.augment != 1:
        settings = replace(settings, shift=0, mirror=False)
    if step.shift is not None:
        settings = replace(settings, shift=int(step.shift))
    count, size = len(images.train_y), settings.size
    order, random = draw_order(run, epoch, step, images)
    shift = torch.randint(2 * settings.shift + 1, (2, count), generator=random).to(device)
    chance = torch.rand(count, generator=random, dtype=torch.float32)
    mirror = (chance < 0.5 * settings.mirror).to(device)
    if second:
        shift = torch.randint(2 * settings.shift + 1, (2, count), generator=random).to(device)
    corner = torch.randint(size, (2, count), generator=random).to(device) if step.cutout else None
    padded = F.pad(images.train_x, (0, 0, *[settings.shift] * 4))
    # every crop of every image, as a view: (images, rows down, columns across, H, W, C)
    crops = padded.unfold(1, size, 1).unfold(2, size, 1).permute(0, 1, 2, 4, 5, 3)
    # several batches are cut out at a time, of large images as many as stay in a core's cache
    together = max(1, FEW // (settings.batch * images.train_x[0].numel()))
    together = TOGETHER if device.type == "cuda" else together
    for several in order.split(settings.batch * together):
        x = crops[several, shift[0, several], shift[1, several]]
        x = images.normal(torch.where(mirror[several, None, None, None], x.flip(2), x))
        if corner is not None:
            x = cut_out(x, corner[:, several], int(step.cutout))
        yield from zip(several.split(settings.batch), x.split(settings.batch), strict=True)


def cut_out(x: Tensor, centre: Tensor, side: int) -> Tensor:
    """Blank a square of each normalised image, (N, C, H, W), around its centre, (2, N); what lies
    beyond the border is cut off."""
    places = torch.arange(x.shape[-1], device=x.device)
    first = centre - side // 2  # (2, N)
    inside = (places >= first[..., None]) & (places < first[..., None] + side)  # (2, N, H)
    square = inside[0, :, :, None] & inside[1, :, None, :]  # (N, H, W)
    return x.masked_fill(square[:, None], 0.0)


def draw_order(run: Any, epoch: int, step: Any, images: Images) -> tuple[Tensor, torch.Generator]:
    """Draw the order of an epoch's images, (N,), by seed and epoch. Returns: the generator too, for
    what is drawn next. Raises: CplabError if the last batch would be one image."""
    count, device = len(images.train_y), images.train_x.device
    random = torch.Generator().manual_seed(mix_seeds(run.seed, epoch))
    order = torch.randperm(count, generator=random).to(device)
    if step.images != 1:  # the same ones in every epoch of a seed
        same = torch.Generator().manual_seed(mix_seeds(run.seed, "images"))
        numbers = torch.rand(count, generator=same, dtype=torch.float32).to(device)
        kept = numbers.argsort(stable=True) < step.images * count
        order = order[kept[order]]
    if len(order) % run.settings.batch == 1:
        why = "would be one image, of which batch norm learns nothing: take another size of batches"
        raise CplabError(f"the last batch of {len(order)} images {why}")
    return order, random


@torch.inference_mode()
def evaluate(net: nn.Module, x: Tensor, y: Tensor, normal: Callable, arithmetic: str) -> Tensor:
    """The fraction of images that a network classifies correctly: a tensor (), so that nothing
    waits for the GPU. Arguments: x, images (N, …) as `normal` takes them; y, labels (N,)."""
    net.eval()
    batch = 10_000 if x.device.type == "cuda" else 500
    correct = torch.zeros((), dtype=torch.long, device=x.device)
    for part, labels in zip(x.split(batch), y.split(batch), strict=True):
        with devices.autocast(x.device, arithmetic):
            logits = net(normal(part))
        correct += (logits.argmax(1) == labels).sum()
    return (correct if x.device.type == "cuda" else correct.cpu()).double() / len(y)
