"""The networks of the papers, and a student's own. A model is one decorated function, with the
width and the rates that the paper gives it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Annotated, Any, ClassVar

from pydantic import Field

from cplab.errors import CplabError, explain, installed, quote, require
from cplab.late import F, Tensor, nn, torch
from cplab.specs import Positive, spec_class
from cplab.specs.own import CLASSES, TABLES, entry_decorator, full_name
from cplab.specs.profiles import Profile, ProfileName
from cplab.specs.steady import frozen

__all__ = ["Model", "build", "model"]

NAME = re.compile(r"([^\W\d]\w*(@[0-9a-f]{8})?)(?:-([1-9][0-9]{0,8}))?")
WIDEST = 20_000
# Pixels a side, and channels, on which a student's own is tried until it fits one
TRIED = ((16, 3), (12, 1), (12, 3), (8, 3), (32, 3), (32, 1))


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
            how = f"{self.name.partition('@')[0]} gives no network: return a torch.nn.Module"
            require(isinstance(net, torch.nn.Module), how)
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
        failure = None
        for size, channels in TRIED:
            try:
                answers = [("in training", self.try_on(size, channels, training=True))]
                answers.append(("in a test", self.try_on(size, channels, training=False)))
                return answers[::-1] if backwards else answers
            except CplabError as error:
                if error.__cause__ is None:  # which is no matter of size
                    raise
                failure = failure or error
        raise failure or CplabError("there is no size")

    def try_on(self, size: int, channels: int, training: bool) -> list[Tensor]:
        """Build it for images of a size, and use it twice. Returns: logits, then weights."""
        from cplab.seeding import Seeded

        word, of_one = self.name.partition("@")[0], self.seen(channels, size)
        numbers = torch.arange(4 * math.prod(of_one), dtype=torch.float32)
        x = torch.sin(numbers).reshape(4, *of_one)
        how = "leave out dropout and the like"
        with explain(word, f" (images {of_one})"):
            with Seeded(0):
                net = self.make(8, channels, size, CLASSES).train(training)
                weights = dict(net.named_parameters())
                born = [weight.detach().clone() for weight in weights.values()]
                logits = net(x)
                kept = [frozen(own_attributes(layer)) for layer in net.modules()]
                again = net(x)
            if kept != [frozen(own_attributes(layer)) for layer in net.modules()]:
                what = f"{word} keeps something from one pass to the next, as a counter does"
                raise CplabError(f"{what}: let its logits follow from images and weights")
            if not torch.equal(logits, again):
                raise CplabError(f"{word} draws random numbers when it is used: {how}")
            shape = (*logits.shape,)
            if shape != (4, CLASSES):
                raise CplabError(f"{word} gives {shape}: return logits (4, {CLASSES})")
            F.cross_entropy(logits, torch.arange(4)).backward()
        unused = [k for k, w in weights.items() if w.requires_grad and w.grad is None]
        if unused:
            raise CplabError(f"{word} has weights that do not learn: {', '.join(unused)}")
        return [logits.detach(), *born]


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


@model(label="All-CNN", width=96)
def allcnn(width: int, channels: int, size: int, classes: int) -> nn.Module:
    """The paper's convolutional network (Materials and Methods, after Springenberg et al.): conv w
    - conv w - conv 2w s2 - conv 2w - conv 2w - conv 2w s2 - conv 2w - conv1 2w - conv1 10 - average
    pooling. Each conv is a 3×3 convolution (conv1: 1×1) with batch norm and ReLU; the last one
    gives the logits and has a bias instead."""
    from cplab.models.layers import REST, STEM, stacked

    return stacked([*STEM, *REST], width, channels, classes)


@model(label="fully connected", width=2500, weight_decay=0, fixed_lr=0.005,
       profiles=("mnist", "slim", "paper"))  # fmt: skip
def fc(width: int, channels: int, size: int, classes: int) -> nn.Module:
    """The paper's fully connected network (Materials and Methods): five hidden layers of w, 4w/5,
    3w/5, 2w/5 and w/5 units, each with batch norm and ReLU."""
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = channels * size * size
    for part in (5, 4, 3, 2, 1):
        out = max(1, width * part // 5)
        layers += [nn.Linear(inputs, out, bias=False), nn.BatchNorm1d(out), nn.ReLU(True)]
        inputs = out
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


@model(label="ResNet-18", width=64, lr=2, weight_decay=0.5)
def resnet18(width: int, channels: int, size: int, classes: int) -> nn.Module:
    """The ResNet-18 of He et al. 2016 (the paper's reference 57), as is usual for 32 pixels: conv w
    without stride or pooling - 2 blocks of w - 2 of 2w s2 - 2 of 4w s2 - 2 of 8w s2 - average
    pooling - linear. The paper gives it twice the All-CNN's rate and half its weight decay."""
    from cplab.models.layers import Block, normed

    layers = [*normed(channels, width, 3), nn.ReLU(inplace=True)]
    channels = width
    for stage in range(4):
        out = width * 2**stage
        layers += [Block(channels, out, 1 if stage == 0 else 2), Block(out, out, 1)]
        channels = out
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    return nn.Sequential(*layers, *head)


def deep(n: int) -> Callable:
    """The paper's network of variable depth (Materials and Methods; figure 3, bottom right): conv w
    - [conv w·2^(i-1) - conv w·2^i s2] for i = 1 … n - conv w·2^n - conv1 w·2^n - conv1 10. Layers
    as in allcnn; the paper does not mention the average pooling at the end."""

    def build_deep(width: int, channels: int, size: int, classes: int) -> nn.Module:
        from cplab.models.layers import stacked

        halving = [layer for i in range(n) for layer in ((2**i, 3, 1), (2 * 2**i, 3, 2))]
        plan = [(1, 3, 1), *halving, (2**n, 3, 1), (2**n, 1, 1)]
        return stacked(plan, width, channels, classes)

    build_deep.__name__ = f"depth{n}"
    build_deep.__doc__ = f"The paper's network of variable depth, halving the image {n} times."
    return build_deep


for depth in (1, 2, 3):
    model(deep(depth), label=f"depth {depth}", width=96)


def mlp(hidden: int, scale: float = 0.3) -> Callable:
    """A fully connected network of some hidden layers of w ReLU units, without batch norm. Its
    initial weights are drawn at `scale` times the deviation of He et al. 2015, √(2 / inputs), and
    its biases are 0. Networks that begin small learn their features (Chizat, Oyallon & Bach
    2019)."""

    def build_mlp(width: int, channels: int, size: int, classes: int) -> nn.Module:
        layers: list[nn.Module] = [nn.Flatten()]
        inputs = channels * size * size
        for outputs in (*[width] * hidden, classes):
            layer = nn.Linear(inputs, outputs)
            nn.init.normal_(layer.weight, std=scale * math.sqrt(2 / inputs))
            nn.init.zeros_(layer.bias)
            layers += [layer, nn.ReLU()]
            inputs = outputs
        return nn.Sequential(*layers[:-1])

    share = {0.1: "_tenth", 1.0: "_he"}.get(scale, "")
    build_mlp.__name__ = f"mlp{hidden}{share}"
    build_mlp.__doc__ = f"{hidden} hidden layers of ReLU, initial weights at {scale:g} of He's."
    return build_mlp


for hidden, scale in product((1, 2, 3), (0.1, 0.3, 1.0)):
    words = f"{hidden} hidden layer{'s' if hidden > 1 else ''}"
    model(mlp(hidden, scale), width=64, label=words if scale == 0.3 else f"{words}, {scale:g} He")


@model(label="two eyes", width=96, views=2)
def eyes(width: int, channels: int, size: int, classes: int) -> nn.Module:
    """The All-CNN with two eyes. Its first three layers exist twice, at half the width, for the
    left and the right five eighths of an image; their outputs are joined for the fourth layer. The
    network is ours; competing pathways are in Kleinman, Achille & Soatto 2023."""
    from cplab.models.layers import TwoEyes

    return TwoEyes(width, channels, classes, 5 / 8)


@model(label="two eyes, whole image", width=96, views=2, apart=True)
def eyes_whole(width: int, channels: int, size: int, classes: int) -> nn.Module:
    """The same as `eyes`, but each eye sees the whole image, shifted on its own."""
    from cplab.models.layers import TwoEyes

    return TwoEyes(width, channels, classes, 1)


def model_name(given: object, profile: Profile | None = None) -> str:
    """The one spelling of a model, `allcnn-96`; without a width the profile's is added.

    Raises: CplabError for an unknown model. A student's own that is not defined here passes, if it
        has a width, so that results of other sessions can be read.
    """
    given = full_name(Model, given)
    match = NAME.fullmatch(given) if isinstance(given, str) else None
    family, own, width = match.groups() if match else ("", "", "")
    if own and width and family not in MODELS:
        return f"{family}-{width}"
    family = full_name(Model, family)
    allowed = family in MODELS and int(width or 1) <= WIDEST
    how = f"choose one of {', '.join(MODELS)}, with a width to {WIDEST} or without, like allcnn-96"
    require(allowed, f"unknown model {quote(given)}: {how}")
    if profile and not width:
        width = max(1, round(profile.width * MODELS[family].width / MODELS[profile.model].width))
    return f"{family}-{width}" if width else family


def suited_profile(profile: Profile, family: str) -> Profile:
    """A profile with the rates and decay that the paper gives a kind of model (Materials and
    Methods)."""
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
    require(family in MODELS, f"model {name!r} is not defined here: run the cell that defines it")
    entry = MODELS[family]
    with explain(family) if entry.source else installed():
        net = entry.make(int(width or entry.width), channels, size, classes)
    return net.to(memory_format=torch.channels_last)
