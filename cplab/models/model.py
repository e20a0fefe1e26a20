"""Models: a decorated function that builds a network, with the paper's width and rates for it.

The papers' networks are in `families`. A student's own are registered beside them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field

from cplab.base.errors import CplabError, explain, installed, quote
from cplab.base.late import nn, torch
from cplab.specs import NotNegative, spec_class
from cplab.specs.own import TABLES, Registered, entry_decorator, full_name
from cplab.specs.profiles import Profile, ProfileName

# A model's name, such as allcnn, allcnn-96 or mine@1a2b3c4d-16: family, its digest, and width
NAME = re.compile(r"([^\W\d]\w*(@[0-9a-f]{8})?)(?:-([1-9][0-9]{0,8}))?")
MOST_UNITS = 20_000


@spec_class
class Model(Registered):
    """A kind of network, whose function takes (width, channels, size, classes) and returns a
    network from images to logits. Its name stands before the width: allcnn of allcnn-96."""

    in_digest: ClassVar[tuple[str, ...]] = (
        "lr", "weight_decay", "fixed_lr", "profiles", "views", "apart",
    )  # fmt: skip

    width: Annotated[int, Field(ge=1, le=MOST_UNITS)] = 96  # units of the first layer in the paper
    lr: NotNegative = 1  # a factor of the profile's rates that fall
    weight_decay: NotNegative = 1  # a factor of the profile's
    fixed_lr: NotNegative | None = None  # the rate that stays; the profile's if None
    profiles: tuple[ProfileName, ...] = ()  # in which these three values hold; () for in all
    views: Annotated[int, Field(ge=1, le=2)] = 1  # of each image
    apart: bool = False  # whether each view is shifted by itself

    def make(self, width: int, channels: int, size: int, classes: int) -> nn.Module:
        """Build a network, whose initial weights come from torch's generator.

        A student's own sees two black images. Layers that its first pass makes then have weights
        that the seed decides, and that the optimiser gets.
        """
        if not self.own:
            return self.apply(width, channels, size, classes)
        name = self.name.partition("@")[0]
        net = self.apply(width, channels, size, classes)
        if not isinstance(net, torch.nn.Module):
            raise CplabError(f"{name} does not return a network: return a torch.nn.Module")
        shape = (channels, size, size) if self.views == 1 else (2, channels, size, size)
        with torch.no_grad():
            logits = net.eval()(torch.zeros(2, *shape))
        check_logits(name, logits, 2, classes)
        return net.train()


def check_logits(name: str, logits: object, images: int, classes: int) -> None:
    """Check that what a network gives for so many images are logits.

    Raises:
        CplabError.
    """
    shape = getattr(logits, "shape", None)
    if shape == (images, classes):
        return
    answer = quote(logits) if shape is None else str(tuple(shape))
    raise CplabError(
        f"{name} gives {answer} for {images} images of {classes} classes: "
        f"return logits ({images}, {classes})"
    )


MODELS: dict[str, Model] = {}
TABLES[Model] = MODELS


def model(function: Callable | None = None, **options: Any) -> Any:
    """Make a class or function a model: a decorator, with or without options (see `Model`).

    It is called with (width, channels, size, classes), and returns a torch module that maps images
    (N, channels, size, size), or (N, views, channels, size, size), to logits (N, classes). It may
    draw as it likes: the run's seed decides it.

    Its key is made of its code, and of the own functions and values that it reads. If anything else
    has changed, such as a file that it reads, version=2 gives another key.

    >>> import cplab
    >>> @cplab.model(label="one layer", width=1)
    ... def linear(width, channels, size, classes):
    ...     from torch import nn
    ...     return nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, classes))
    >>> cplab.Run(model=linear, profile="ci").model.partition("@")[0]
    'linear'
    """
    return entry_decorator(Model, function, options)


def model_name(given: object, profile: Profile | None = None) -> str:
    """The spelling of a model's name in a `Run`, such as allcnn-96.

    Arguments:
        given: its name with or without a width, or its function.
        profile: whose width is added if there is none.

    >>> from cplab.specs.profiles import PROFILES
    >>> model_name("allcnn", PROFILES["course"])
    'allcnn-16'

    Raises:
        CplabError: for an unknown model. A student's own that is not defined here is allowed if it
            has a width, so that its results can be read.
    """
    name = full_name(Model, given)
    family, digest, width = split_name(name)
    if digest and width and family not in MODELS:
        return f"{family}-{width}"
    family = full_name(Model, family)
    if family not in MODELS or int(width or 1) > MOST_UNITS:
        widths = f"with a width to {MOST_UNITS} or without, like allcnn-96"
        raise CplabError(
            f"unknown model {quote(name)}: choose one of {', '.join(MODELS)}, {widths}"
        )
    if width:
        return f"{family}-{width}"
    if profile is None:
        return family
    scale = MODELS[family].width / MODELS[profile.model].width
    return f"{family}-{max(1, round(profile.width * scale))}"


class NameParts(NamedTuple):
    """The parts of a model's name."""

    family: str  # with its digest, if it is a student's own
    digest: str  # such as @1a2b3c4d
    width: str


def split_name(name: object) -> NameParts:
    """Split a model's name into its parts. A part that is not there is ""; all are for what is no
    name.

    >>> split_name("mine@1a2b3c4d-16")
    NameParts(family='mine@1a2b3c4d', digest='@1a2b3c4d', width='16')
    """
    match = NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        return NameParts("", "", "")
    family, digest, width = match.groups(default="")
    return NameParts(family, digest, width)


def suited_profile(profile: Profile, family: str) -> Profile:
    """A profile with the learning rates and weight decay that the paper gives to a kind of model
    (Materials and Methods).

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
    """Build a network from images (N, channels, size, size) to logits (N, classes), with random
    initial weights.

    Arguments:
        name: with a width (`allcnn-16`) or without, which is the paper's (`allcnn`).
        channels: of the images.
        size: pixels a side of the images.
        classes: how many.

    >>> build("allcnn-4", channels=1)[0].weight.shape
    torch.Size([4, 1, 3, 3])
    """
    family, _, width = model_name(name).partition("-")
    if family not in MODELS:
        raise CplabError(f"model {name!r} is not defined here: run the cell that defines it")
    entry = MODELS[family]
    with explain(family) if entry.own else installed():
        net = entry.make(int(width or entry.width), channels, size, classes)
    return net.to(memory_format=torch.channels_last)
