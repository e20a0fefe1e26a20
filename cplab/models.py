"""The networks of the papers, and a student's own. One decorated function is all that one takes,
with the width and the rates that the paper gives it.

torch is imported where a network is built, so that names and widths cost nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from cplab.errors import assign, number, one_of, quote, require, whole
from cplab.own import TABLES, add_entry, entry_decorator, explain, try_model
from cplab.profiles import PROFILES, Profile

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Model", "build", "model"]

NAME = re.compile(r"([^\W\d]\w*(@[0-9a-f]{8})?)(?:-([1-9][0-9]{0,8}))?")
WIDEST = 20_000


@dataclass(frozen=True)
class Model:
    """A kind of network.

    name: as it is written before its width; a student's own ends in @ and a digest of its source.
    apply: (width, channels, size, classes) -> network from images to logits.
    label: in words.
    source: the text of a student's own, else empty.
    width: of the first layer in the paper; a profile's width is for its own model, and others have
        theirs in the same proportion.
    lr, weight_decay: factors of the profile's (lr: where the rate falls).
    fixed_lr: the rate where it stays; the profile's if None.
    profiles: where these three hold; everywhere if empty.
    views: how many views of an image it takes. apart: whether each is shifted on its own.
    """

    name: str
    apply: Callable[[int, int, int, int], Any]
    label: str
    source: str = ""
    width: int = 96
    lr: float = 1
    weight_decay: float = 1
    fixed_lr: float | None = None
    profiles: tuple[str, ...] = ()
    views: int = 1
    apart: bool = False
    telling: ClassVar = ("lr", "weight_decay", "fixed_lr", "profiles", "views", "apart")
    try_out = try_model

    def __post_init__(self) -> None:
        assign(self, width=whole("width", self.width, 1, WIDEST))
        assign(self, views=whole("views", self.views, 1, 2))
        for name in ("lr", "weight_decay", "fixed_lr"):
            if (value := getattr(self, name)) is not None:
                assign(self, **{name: number(name, value, 0, 1e6)})
        text = isinstance(self.label, str)
        require(text, f"label {quote(self.label)} is not allowed: give a text")
        several = isinstance(self.profiles, tuple)
        require(several, f"profiles {quote(self.profiles)} are not allowed: give a tuple of names")
        for name in self.profiles:
            one_of("profile", name, PROFILES)


MODELS: dict[str, Model] = {}
TABLES[Model] = MODELS


def model(function: Callable | None = None, **options: Any) -> Any:
    """Make a class or function a model: a decorator, with or without options.

    Arguments:
        function: (width, channels, size, classes) -> a torch module that takes images (N, channels,
            size, size), or (N, views, channels, size, size), and returns logits (N, classes). Its
            initial weights come from torch's global generator, and it draws nothing afterwards.
        options: label, its name in figures; all others as in `Model`.
    Returns: the class or function itself, to be given to `Run` and `cplab.run`.
    Raises: CplabError for one whose meaning its source does not tell, or that does not do as is
        said above when it is tried on four images.

    >>> @model(label="one layer", width=1)
    ... def linear(width, channels, size, classes):
    ...     from torch import nn
    ...     return nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, classes))
    >>> build(model_name(linear), size=8)[1].in_features
    192
    """
    return entry_decorator(Model, function, options)


@model(label="All-CNN", width=96)
def allcnn(width: int, channels: int, size: int, classes: int) -> nn.Module:
    """The paper's convolutional network (Materials and Methods, after Springenberg et al.).

    conv w - conv w - conv 2w s2 - conv 2w - conv 2w - conv 2w s2 - conv 2w - conv1 2w - conv1 10 -
    average pooling; w = 96 in the paper. Each conv is a 3×3 convolution (conv1: 1×1) with batch
    norm and ReLU; the last one gives the logits and has a bias instead.
    """
    from cplab.layers import stacked

    w = width
    plan = [  # output channels, kernel, stride
        *((w, 3, 1), (w, 3, 1), (2 * w, 3, 2)),
        *((2 * w, 3, 1), (2 * w, 3, 1), (2 * w, 3, 2)),
        *((2 * w, 3, 1), (2 * w, 1, 1)),
    ]
    return stacked(plan, channels, classes)


@model(
    label="fully connected",
    width=2500,
    weight_decay=0,
    fixed_lr=0.005,
    profiles=("mnist", "slim", "paper"),
)
def fc(width: int, channels: int, size: int, classes: int) -> nn.Module:
    """The paper's fully connected network (Materials and Methods).

    Five hidden layers of w, 4w/5, 3w/5, 2w/5 and w/5 units, w = 2500 in the paper, each with batch
    norm and ReLU. Its fixed rate is 0.005 and it has no weight decay.
    """
    from torch import nn

    layers: list[nn.Module] = [nn.Flatten()]
    inputs = channels * size * size
    for part in (5, 4, 3, 2, 1):
        out = max(1, width * part // 5)
        layers += [nn.Linear(inputs, out, bias=False), nn.BatchNorm1d(out), nn.ReLU(True)]
        inputs = out
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


@model(label="ResNet-18", width=64, lr=2, weight_decay=0.5)
def resnet18(width: int, channels: int, size: int, classes: int) -> nn.Module:
    """The ResNet-18 of He et al. 2016 (the paper's reference 57), as is usual for 32 pixels.

    Its first layer is a 3×3 convolution without stride and no max-pooling follows: conv w -
    2 blocks of w - 2 of 2w s2 - 2 of 4w s2 - 2 of 8w s2 - average pooling - linear; w = 64 in the
    paper. Initial weights are torch's, as in the other networks. The paper gives it twice the
    All-CNN's initial rate and half its weight decay.
    """
    from torch import nn

    from cplab.layers import Block, normed

    layers = [*normed(channels, width, 3), nn.ReLU(inplace=True)]
    channels = width
    for stage in range(4):
        out = width * 2**stage
        layers += [Block(channels, out, 1 if stage == 0 else 2), Block(out, out, 1)]
        channels = out
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    return nn.Sequential(*layers, *head)


def deep(n: int) -> Callable:
    """The paper's network of variable depth (Materials and Methods; figure 3, bottom right):

    conv w - [conv w·2^(i-1) - conv w·2^i s2] for i = 1 … n - conv w·2^n - conv1 w·2^n - conv1 10;
    w = 96 in the paper. Layers as in allcnn; the average pooling at the end is left unsaid there.
    """

    def build_deep(width: int, channels: int, size: int, classes: int) -> nn.Module:
        from cplab.layers import stacked

        plan = [(width, 3, 1)]
        for w in (width * 2**i for i in range(n)):
            plan += [(w, 3, 1), (2 * w, 3, 2)]
        return stacked([*plan, (width * 2**n, 3, 1), (width * 2**n, 1, 1)], channels, classes)

    build_deep.__name__ = f"depth{n}"
    build_deep.__doc__ = f"The paper's network of variable depth, halving the image {n} times."
    return build_deep


for depth in (1, 2, 3):
    model(deep(depth), label=f"depth {depth}", width=96)


@model(label="two eyes", width=96, views=2)
def eyes(width: int, channels: int, size: int, classes: int) -> nn.Module:
    """The All-CNN with two eyes: its first three layers twice, each time at half the width.

    The left eye sees the left five eighths of an image, the right eye the right five eighths; what
    the three layers of both give is put side by side, and the fourth layer is the first that has
    both. Ours; two pathways that compete are in Kleinman, Achille & Soatto 2023.
    """
    from cplab.layers import TwoEyes

    return TwoEyes(width, channels, classes, 5 / 8)


@model(label="two eyes, whole image", width=96, views=2, apart=True)
def eyes_whole(width: int, channels: int, size: int, classes: int) -> nn.Module:
    """As `eyes`, but each eye sees the whole image, shifted on its own."""
    from cplab.layers import TwoEyes

    return TwoEyes(width, channels, classes, 1)


def model_name(given: object, profile: Profile | None = None) -> str:
    """The one way to write a model, `allcnn-96`.

    Arguments: such a name, or a class or function, which is registered; profile, for its width.
    Raises: CplabError for an unknown model. A student's own that is not defined here passes, if it
        has a width, so that results of other sessions can be read; building it is refused.

    >>> from cplab import PROFILES
    >>> model_name("allcnn", PROFILES["course"]), model_name("resnet18")
    ('allcnn-16', 'resnet18')
    """
    if callable(given):
        given = add_entry(Model, given)
    given = given.name if isinstance(given, Model) else given
    name = given if isinstance(given, str) else quote(given)
    found = NAME.fullmatch(name)
    family, own, width = found.groups() if found else (name.partition("-")[0], "", "")
    if own and width and family not in MODELS:
        return f"{family}-{width}"
    kind = MODELS[one_of("model", family if name == given else given, MODELS)]
    fine = found and int(width or 1) <= WIDEST
    require(fine, f"model {quote(given)} is not allowed: give {family} or {family}-1 to -{WIDEST}")
    if profile and not width:
        width = max(1, round(profile.width * kind.width / MODELS[profile.model].width))
    return f"{family}-{width}" if width else family


def suited_profile(profile: Profile, family: str) -> Profile:
    """A profile with what the paper gives a kind of model of its own (Materials and Methods).

    >>> from cplab import PROFILES
    >>> suited_profile(PROFILES["paper"], "resnet18").paper_lr
    0.1
    """
    known = MODELS.get(family)
    if known is None or (known.profiles and profile.name not in known.profiles):
        return profile
    return replace(
        profile,
        paper_lr=known.lr * profile.paper_lr,
        recovery_lr=known.lr * profile.recovery_lr,
        weight_decay=known.weight_decay * profile.weight_decay,
        fixed_lr=profile.fixed_lr if known.fixed_lr is None else known.fixed_lr,
    )


def build(name: str, channels: int = 3, size: int = 32, classes: int = 10) -> nn.Module:
    """A network by name, with random initial weights from torch's generator.

    Arguments: name, with a width (`allcnn-16`) or with the paper's (`allcnn`); channels and pixels
        a side of the images; number of classes.
    Returns: a module from images (N, channels, size, size) to logits (N, classes).

    >>> build("allcnn-4", channels=1)[0].weight.shape
    torch.Size([4, 1, 3, 3])
    """
    import torch

    family, _, width = model_name(name).partition("-")
    there = f"model {name!r} is somebody's own and not defined here: run the cell that defines it"
    require(family in MODELS, f"{there} first")
    channels, size = whole("channels", channels, 1, 1024), whole("size", size, 1, 1024)
    classes = whole("classes", classes, 1, 100_000)
    with explain(family) if MODELS[family].source else nullcontext():
        net = MODELS[family].apply(int(width or MODELS[family].width), channels, size, classes)
    return net.to(memory_format=torch.channels_last)
