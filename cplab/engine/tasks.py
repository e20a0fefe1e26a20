"""What a network learns, and what may happen to it between two epochs.

A task says what a batch is, what is minimised and what is reported; an event is a function that a
life names between its steps. Both are found by name, so that a life is plain data.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplab import data, deficits, devices, models
from cplab.checks import require
from cplab.optimizers import Optimizer
from cplab.specs import mix_seeds

TASKS: dict[str, Any] = {}
EVENTS: dict[str, Callable] = {}
Function = TypeVar("Function", bound=Callable)


@dataclass
class Learner:
    """A network on its way: what one epoch passes on to the next.

    extra: further tensors by name, kept in checkpoints (masks, states of generators).
    """

    net: nn.Module
    optimizer: Optimizer
    extra: dict[str, Tensor] = field(default_factory=dict)


def task(name: str) -> Callable[[type], type]:
    """Make a class the task of this name, as a decorator: one object of it serves all lives."""

    def add(cls: type) -> type:
        TASKS[name] = cls()
        return cls

    return add


def event(function: Function) -> Function:
    """Make a function an event, as a decorator: (learner, spec, images, *args) -> a row of plain
    data. It may replace the learner's network and optimiser."""
    EVENTS[function.__name__] = function
    return function


_seeding = threading.Lock()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's own generator, started from `seed` for one thread at a time and put back after."""
    with _seeding, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


@task("classification")
class Classification:
    """To name what an image shows; a task is any class with these methods."""

    def images(self, spec: Any, device: torch.device) -> data.Images:
        """The images of a life, on its device."""
        return data.shared_images(spec.dataset, spec.profile, str(device))

    def start(self, spec: Any, device: torch.device, state: dict | None = None) -> Learner:
        """The learner at epoch 0: the same initial weights for all lives of a seed.

        Arguments: state, tensors of the checkpoint that is loaded next, where shapes may differ.
        """
        p, images = spec.settings, self.images(spec, device)
        with seeded(mix_seeds(spec.seed)):
            classes = data.classes(spec.dataset)
            net = models.build(spec.model, len(images.mean), p.size, classes).to(device)
        return Learner(net, Optimizer(net.parameters(), spec.optimizer, p.momentum, p.weight_decay))

    def batches(self, spec: Any, epoch: int, step: Any, images: data.Images) -> Iterator[tuple]:
        """One epoch of training data on its device: shuffled, shifted, mirrored, under the deficit.

        Yields images (batch, C, H, W), normalised, channels last, and labels (batch,).
        """
        chance = {"seed": spec.seed, "images": len(images.train_y), "epoch": epoch}
        for index, x in shuffled(spec, epoch, step, images):
            y = images.train_y[index]
            yield deficits.apply_deficit(x, y, step.deficit, index=index, **chance)

    def loss(self, output: Tensor, y: Tensor) -> Tensor:
        """What is minimised, the mean over a batch."""
        return F.cross_entropy(output, y)

    def after_step(self, learner: Learner) -> None:
        """What holds after every step of the optimiser."""

    def report(self, spec: Any, net: nn.Module, images: data.Images) -> dict:
        """What is said of the network after an epoch."""
        x, y = images.test_x, images.test_y
        return {"test_accuracy": evaluate(net, x, y, images.normal, spec.arithmetic)}


@task("two views")
class TwoViews(Classification):
    """To name what both views show, as two eyes do. They are alike, but for shifts of their own
    where the model says so, and for deficits of one view."""

    def batches(self, spec: Any, epoch: int, step: Any, images: data.Images) -> Iterator[tuple]:
        """As of a Classification, with images (batch, 2, C, H, W)."""
        chance = {"seed": spec.seed, "images": len(images.train_y), "epoch": epoch}
        apart = models.MODELS[spec.family].apart
        right = shuffled(spec, epoch, step, images, glance=1) if apart else None
        for index, left in shuffled(spec, epoch, step, images):
            x = torch.stack([left, next(right)[1]], 1) if right else duplicate_view(left)
            y = images.train_y[index]
            yield deficits.apply_deficit(x, y, step.deficit, index=index, **chance)

    def report(self, spec: Any, net: nn.Module, images: data.Images) -> dict:
        def normal(x: Tensor) -> Tensor:
            return duplicate_view(images.normal(x))

        x, y = images.test_x, images.test_y
        return {"test_accuracy": evaluate(net, x, y, normal, spec.arithmetic)}


def duplicate_view(x: Tensor) -> Tensor:
    """Images (N, C, H, W) as two views that are alike, (N, 2, C, H, W)."""
    return x.unsqueeze(1).expand(-1, 2, -1, -1, -1)


def shuffled(
    spec: Any, epoch: int, step: Any, images: data.Images, glance: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """The training images of an epoch by batches: which ones, (batch,), and what is seen of them,
    (batch, C, H, W), normalised; a later glance has other shifts and all else alike."""
    p, device = spec.settings, images.train_x.device
    if step.augment != 1:
        p = replace(p, shift=0, mirror=False)
    count, size = len(images.train_y), p.size
    random = torch.Generator().manual_seed(mix_seeds(spec.seed, epoch))
    order = torch.randperm(count, generator=random).to(device)
    shift = torch.randint(2 * p.shift + 1, (2, count), generator=random).to(device)
    mirror = (torch.rand(count, generator=random) < 0.5 * p.mirror).to(device)
    for _ in range(glance):
        shift = torch.randint(2 * p.shift + 1, (2, count), generator=random).to(device)
    padded = F.pad(images.train_x, (0, 0, *[p.shift] * 4))
    # every crop of every image, as a view: (images, rows down, columns across, H, W, C)
    crops = padded.unfold(1, size, 1).unfold(2, size, 1).permute(0, 1, 2, 4, 5, 3)
    if step.images != 1:  # the same ones in every epoch of a seed
        random = torch.Generator().manual_seed(mix_seeds(spec.seed, "images"))
        seen = torch.rand(count, generator=random).to(device).argsort() < step.images * count
        order = order[seen[order]]
        why = "leaves one image in the last batch: take another fraction"
        require(len(order) % p.batch != 1, f"images {step.images:g} {why}")
    for index in order.split(p.batch):
        x = crops[index, shift[0, index], shift[1, index]]
        x = torch.where(mirror[index, None, None, None], x.flip(2), x)
        yield index, images.normal(x)


@torch.inference_mode()
def evaluate(
    net: nn.Module, x: Tensor, y: Tensor, normal: Callable, arithmetic: str, batch: int = 0
) -> float:
    """The fraction of images that the network names rightly.

    Arguments: x, images as `normal` takes them (N, …); y, labels (N,); arithmetic, as of a Run;
        batch, images at a time: if not given, as many as suit the device.
    """
    net.eval()
    batch = batch or (2500 if x.device.type == "cuda" else 500)
    right = torch.zeros((), dtype=torch.long, device=x.device)
    for some, labels in zip(x.split(batch), y.split(batch), strict=True):
        with devices.autocast(x.device, arithmetic):
            logits = net(normal(some))
        right += (logits.argmax(1) == labels).sum()
    return right.item() / len(y)
