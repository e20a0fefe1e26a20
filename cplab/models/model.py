"""What a model is: one decorated function that builds a network, with the width and the rates that
the paper gives it. The papers' networks are in `families`; a student's own are registered beside
them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import Field

from cplab.errors import CplabError, explain, installed, quote
from cplab.late import F, Tensor, nn, torch
from cplab.specs import Positive, spec_class
from cplab.specs.own import CLASSES, TABLES, entry_decorator, full_name
from cplab.specs.profiles import Profile, ProfileName
from cplab.specs.steady import frozen

NAME = re.compile(r"([^\W\d]\w*(@[0-9a-f]{8})?)(?:-([1-9][0-9]{0,8}))?")
WIDEST = 20_000
# Pixels a side, and channels, on which a student's own is tried until it fits one
TRIED = ((16, 3), (12, 1), (12, 3), (8, 3), (32, 3), (32, 1))
FEW, PLENTY = 4, 128  # images on which it is tried, as many as a whole batch has
DRAWS = "{} draws random numbers when it is used: leave out dropout and the like"
KEEPS = (
    "{} keeps something from one pass to the next, as a counter does: let its logits follow from "
    "images, weights and buffers"
)


@spec_class
class Model:
    """A kind of network. Its function takes (width, channels, size, classes) and returns a network
    from images to logits."""

    name: str  # before its width; a student's own ends in @ and a digest of its source
    apply: Any
    label: str
    source: str = ""  # of a student's own
    width: Annotated[int, Field(ge=1, le=WIDEST)] = 96  # of the first layer in the paper
    lr: Positive = 1  # a factor of the profile's, where the rate falls
    weight_decay: Positive = 1  # a factor as well
    fixed_lr: Positive | None = None  # the rate where it stays; the profile's if None
    profiles: tuple[ProfileName, ...] = ()  # where these three hold; everywhere if empty
    views: Annotated[int, Field(ge=1, le=2)] = 1  # of an image
    apart: bool = False  # whether each view is shifted on its own
    random: ClassVar = "draw weights with torch alone, and nothing afterwards"
    in_digest: ClassVar = ("lr", "weight_decay", "fixed_lr", "profiles", "views", "apart")

    def make(self, width: int, channels: int, size: int, classes: int) -> nn.Module:
        """Build a network, its initial weights from torch's generator, or under `Seeded` from that
        one. A student's own sees two black images, so that layers which its first pass makes are
        the seed's as well, and known to the optimiser."""
        net = self.apply(width, channels, size, classes)
        if self.source:
            if not isinstance(net, torch.nn.Module):
                name = self.name.partition("@")[0]
                raise CplabError(f"{name} does not return a network: return a torch.nn.Module")
            with torch.no_grad():
                net.eval()(torch.zeros(2, *self.seen(channels, size)))
            net.train()
        return net

    def seen(self, channels: int, size: int) -> tuple[int, ...]:
        """The shape of what the network sees of one image, of one or of two views."""
        return (*[self.views] * (self.views > 1), channels, size, size)

    def trial(self, backwards: bool = False) -> list[tuple[str, Any]]:
        """What a student's own model gives: its weights at birth, and its logits for a few images,
        in training and in a test. It is tried on images of the sizes that profiles have, until one
        fits it.

        Raises: CplabError if it returns anything but logits (N, 10), draws random numbers or counts
        when it is used, or has a weight that does not learn.
        """
        failures = []
        for size, channels in TRIED:
            try:
                in_training = self.try_on(size, channels, training=True)
                in_a_test = self.try_on(size, channels, training=False)
            except CplabError as error:
                if error.__cause__ is None:  # which is no matter of size
                    raise
                failures.append(error)
                continue
            answers = [("in training", in_training), ("in a test", in_a_test)]
            return answers[::-1] if backwards else answers
        raise failures[0]

    def try_on(self, size: int, channels: int, training: bool) -> list[Tensor]:
        """Build it for images of a size, and use it twice, on few images and on a whole batch.
        Returns: logits for the few, then weights."""
        from cplab.seeding import Seeded

        name = self.name.partition("@")[0]
        shape = self.seen(channels, size)
        numbers = torch.arange(PLENTY * math.prod(shape), dtype=torch.float32)
        x = torch.sin(numbers).reshape(PLENTY, *shape)
        with explain(name, f" (images {shape})"):
            with Seeded(0):
                net = self.make(8, channels, size, CLASSES).train(training)
            weights = dict(net.named_parameters())
            born = [weight.detach().clone() for weight in weights.values()]
            empty = [key for key, weight in weights.items() if not weight.isfinite().all()]
            if empty:
                how = "fill what torch.empty and torch.Tensor make"
                raise CplabError(f"{name} has weights without numbers, {', '.join(empty)}: {how}")
            for images in (x, x[:FEW]):
                check_passes(name, net, images)
            with Seeded(0):
                logits = net(x[:FEW])
            if logits.shape != (FEW, CLASSES):
                found = (*logits.shape,)
                raise CplabError(f"{name} gives {found}: return logits ({FEW}, {CLASSES})")
            F.cross_entropy(logits, torch.arange(FEW)).backward()
        unused = [k for k, w in weights.items() if w.requires_grad and w.grad is None]
        if unused:
            raise CplabError(f"{name} has weights that do not learn: {', '.join(unused)}")
        return [logits.detach(), *born]


def check_passes(name: str, net: nn.Module, x: Tensor) -> None:
    """Raise CplabError if a network's logits for images differ from pass to pass. What its state
    holds, as the means of batch norm, is put back before each, for a checkpoint has it."""
    state = {key: value.clone() for key, value in net.state_dict().items()}
    first, kept = seeded_pass(net, x, 0)
    net.load_state_dict(state)
    again, kept_again = seeded_pass(net, x, 1)
    net.load_state_dict(state)
    if kept_again == kept and equal_numbers(first, again):
        return
    same_seed, _ = seeded_pass(net, x, 0)
    net.load_state_dict(state)
    if kept_again == kept and equal_numbers(first, same_seed):
        raise CplabError(DRAWS.format(name))
    raise CplabError(KEEPS.format(name))


def seeded_pass(net: nn.Module, x: Tensor, seed: int) -> tuple[Tensor, Any]:
    """The logits of a network for images, and what it has then besides its state."""
    from cplab.seeding import Seeded

    with torch.no_grad(), Seeded(seed):
        logits = net(x)
    return logits, kept_by(net)


def kept_by(net: nn.Module) -> Any:
    """What a network has besides weights and buffers, as plain data to compare. Buffers that its
    state leaves out are a part of it."""
    state = net.state_dict()
    left_out = {name: value for name, value in net.named_buffers() if name not in state}
    return [frozen(own_attributes(layer)) for layer in net.modules()], frozen(left_out)


def equal_numbers(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors are equal, where NaN equals NaN."""
    return first.shape == second.shape and torch.equal(first.nan_to_num(), second.nan_to_num())


def own_attributes(layer: nn.Module) -> dict[str, Any]:
    """What a layer has besides weights, buffers and what every module of torch has."""
    usual = vars(torch.nn.Module())
    return {name: value for name, value in vars(layer).items() if name not in usual}


MODELS: dict[str, Model] = {}
TABLES[Model] = MODELS


def model(function: Callable | None = None, **options: Any) -> Any:
    """Make a class or function a model: a decorator, with or without options (see `Model`).

    It is called with (width, channels, size, classes), and gives a torch module that takes images
    (N, channels, size, size), or (N, views, channels, size, size), and returns logits (N, classes).
    Its initial weights come from torch's global generator, and it draws nothing afterwards. Its key
    holds its source text, its defaults and the plain values that it reads; for anything else, such
    as a file, version=2 makes another key.

    >>> @model(label="one layer", width=1)
    ... def linear(width, channels, size, classes):
    ...     from torch import nn
    ...     return nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, classes))
    >>> build(model_name(linear), size=8)[1].in_features
    192
    """
    return entry_decorator(Model, function, options)


def model_name(given: object, profile: Profile | None = None) -> str:
    """The one spelling of a model, `allcnn-96`; without a width the profile's is added.

    >>> from cplab.specs.profiles import PROFILES
    >>> model_name("allcnn", PROFILES["course"])
    'allcnn-16'

    Raises: CplabError for an unknown model. A student's own that is not defined here passes, if it
        has a width, so that results of other sessions can be read.
    """
    name = full_name(Model, given)
    match = NAME.fullmatch(name) if isinstance(name, str) else None
    family, digest, width = match.groups() if match else ("", "", "")
    if digest and width and family not in MODELS:
        return f"{family}-{width}"
    family = full_name(Model, family)
    if family not in MODELS or int(width or 1) > WIDEST:
        widths = f"with a width to {WIDEST} or without, like allcnn-96"
        raise CplabError(
            f"unknown model {quote(name)}: choose one of {', '.join(MODELS)}, {widths}"
        )
    if profile and not width:
        share = MODELS[family].width / MODELS[profile.model].width
        width = max(1, round(profile.width * share))
    return f"{family}-{width}" if width else family


def suited_profile(profile: Profile, family: str) -> Profile:
    """A profile with the rates and decay that the paper gives a kind of model (Materials and
    Methods).

    >>> from cplab.specs.profiles import PROFILES
    >>> suited_profile(PROFILES["course"], "resnet18").paper_lr
    0.1
    """
    entry = MODELS.get(family)
    if entry is None or (entry.profiles and profile.name not in entry.profiles):
        return profile
    return replace(
        profile,
        paper_lr=entry.lr * profile.paper_lr,
        recovery_lr=entry.lr * profile.recovery_lr,
        weight_decay=entry.weight_decay * profile.weight_decay,
        fixed_lr=profile.fixed_lr if entry.fixed_lr is None else entry.fixed_lr,
    )


def build(name: str, channels: int = 3, size: int = 32, classes: int = 10) -> nn.Module:
    """Build a network from images (N, channels, size, size) to logits, with random initial weights.

    Arguments: name, with a width (`allcnn-16`) or with the paper's (`allcnn`); channels and pixels
        a side of the images; number of classes.

    >>> build("allcnn-4", channels=1)[0].weight.shape
    torch.Size([4, 1, 3, 3])
    """
    family, _, width = model_name(name).partition("-")
    if family not in MODELS:
        raise CplabError(f"model {name!r} is not defined here: run the cell that defines it")
    entry = MODELS[family]
    with explain(family) if entry.source else installed():
        net = entry.make(int(width or entry.width), channels, size, classes)
    return net.to(memory_format=torch.channels_last)
