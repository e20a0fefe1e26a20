"""Deficits: what is done to images and labels. One decorated function is all that a deficit takes.

Where a deficit is written (`Run.deficit`), a number after a dash is its strength (blur-2), a colon
names the one view of two that it acts on (blur:left), and a plus puts one after another
(blur+flip). A student's own is named with a digest of what it does (occlude@1a2b3c4d).

torch is imported where it is used, so that names and colours cost nothing.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any

from cplab.errors import CplabError, one_of, quote, require, whole
from cplab.own import (
    CLASSES,
    TABLES,
    add_entry,
    check_result,
    entry_decorator,
    explain,
    try_deficit,
)
from cplab.specs import mix_seeds

if TYPE_CHECKING:
    from torch import Tensor

# A student's own takes the next colour of Tol's muted set, which no deficit of the package has, and
# the next dash: 28 looks in all. Markers go along.
OWN_COLOURS = ("#CC6677", "#117733", "#882255", "#44AA99", "#999933", "#AA4499", "#DDCC77")
OWN_DASHES = ("dashed", "dotted", "dashdot", "dotdash")
OWN_MARKERS = ("square", "triangle", "diamond", "inverted_triangle", "hex", "star", "plus", "cross")
GREY = "#555555"
VIEWS = ("left", "right")
IMAGES = 200_000  # of a training set, at most
PARTS = 16  # one after the other, at most
STRONGEST = 10_000  # where neither the deficit nor the image says
PART = re.compile(r"([^\W\d]\w*(@[0-9a-f]{8})?)(?:-([1-9][0-9]{0,8}))?(?::(\w+))?")


@dataclass(frozen=True)
class Batch:
    """What a deficit may know about its batch: which training images these are, (N,); the run's
    seed; the epoch, from 0; how many images and classes the data set has."""

    index: Tensor
    seed: int = 0
    epoch: int = 0
    images: int = 0
    classes: int = CLASSES


@dataclass(frozen=True)
class Deficit:
    """What is done to a batch while the deficit lasts: call it with images, labels and a Batch.

    Deficits of one name are equal, whatever their labels and looks.

    name: as it is written; a student's own ends in @ and a digest of its source.
    apply: (images (N, C, H, W), labels (N,), **parameters) -> images and labels of these shapes;
        None of a student's own that is not defined here.
    label: in words. reference: where it is described.
    source: the text of a student's own, else empty.
    colour, dash, marker: of its curves and points, as Bokeh names them.
    strengths: the least and the greatest; 0 for as many as an image has pixels a side.
    view: the one of two that it acts on; none for both.
    parts: of one deficit after another, each.
    """

    name: str
    apply: Any = field(compare=False)
    label: str = field(compare=False)
    source: str = field(default="", compare=False)
    colour: str = field(default=GREY, compare=False)
    dash: str = field(default="solid", compare=False)
    marker: str = field(default="circle", compare=False)
    reference: str = field(default="", compare=False)
    strengths: tuple[int, int] = field(default=(1, STRONGEST), compare=False)
    view: str | None = field(default=None, compare=False)
    parts: tuple[Deficit, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        fine = re.fullmatch("#[0-9a-fA-F]{6}", str(self.colour))
        require(fine, f"colour {quote(self.colour)} is not allowed: write it like {GREY}")
        one_of("dash", self.dash, ("solid", *OWN_DASHES))
        one_of("marker", self.marker, ("circle", *OWN_MARKERS))
        words = isinstance(self.label, str) and isinstance(self.reference, str)
        require(words, f"label {quote(self.label)} is not allowed: give texts")
        both = isinstance(self.strengths, tuple) and [type(n) for n in self.strengths] == [int, int]
        pair = "give the least and the greatest whole number"
        require(both, f"strengths {quote(self.strengths)} are not allowed: {pair}")

    def __repr__(self) -> str:
        return f"Deficit({self.name!r})"

    def __call__(self, x: Tensor, y: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """What a network is given in place of the images and labels of a batch.

        Arguments: x, images (N, C, H, W), or two views of each (N, 2, C, H, W), each of which a
            deficit that names no view acts on; y, labels (N,).
        """
        parts = self.parts or (self,)
        if not all(part.apply for part in parts):  # perhaps it is defined by now
            return find_deficit(self.name)(x, y, batch)
        for place, part in enumerate(parts):
            x, y = part.change(x, y, batch, place)
        return x, y

    def change(self, x: Tensor, y: Tensor, batch: Batch, place: int) -> tuple[Tensor, Tensor]:
        """This deficit alone; `place` counts those before it, so that each draws its own."""
        import torch

        if self.view and x.ndim == 4:
            raise CplabError(f"deficit {self.name!r} needs two views: give images (N, 2, C, H, W)")
        views, labels = [*x.unbind(1)] if x.ndim == 5 else [x], y
        for v, seen in enumerate(views):
            if self.view and VIEWS.index(self.view) != v:
                continue
            tools: dict[str, Any] = {"context": batch} if "context" in self.parameters else {}
            if "generator" in self.parameters:
                first = int(batch.index[0]) if len(x) else 0
                chance = mixed_seed(batch.seed, batch.epoch, first, place)
                tools["generator"] = torch.Generator().manual_seed(chance)
            with explain(self.name) if self.source else nullcontext():
                views[v], labels = given = self.apply(seen, y, **tools)
            if self.source:
                check_result(self.name.partition("@")[0], given, seen, y, batch.classes)
        return (torch.stack(views, 1) if x.ndim == 5 else views[0]), labels

    def try_out(self) -> None:
        """Try it on four images of a run."""
        import torch

        try_deficit(self, Batch(torch.arange(4), images=4))

    @staticmethod
    def next_style() -> dict[str, str]:
        """Colour, dash and marker for another deficit of a student."""
        count = sum(bool(known.source) for known in DEFICITS.values())
        looks = {"colour": OWN_COLOURS, "dash": OWN_DASHES, "marker": OWN_MARKERS}
        return {name: values[count % len(values)] for name, values in looks.items()}

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The parameters beside images and labels, and their defaults."""
        found = list(inspect.signature(self.apply).parameters.values())[2:]
        return {p.name: p.default for p in found}

    @property
    def strength(self) -> str | None:
        """The parameter that a strength sets, the first whose default is a whole number."""
        return next((k for k, v in self.parameters.items() if type(v) is int), None)


DEFICITS: dict[str, Deficit] = {}
TABLES[Deficit] = DEFICITS


def deficit(function: Callable | None = None, **options: Any) -> Any:
    """Make a function a deficit: a decorator, with or without options.

    Arguments:
        function: (x, y, ...) -> (x, y), of images (N, C, H, W), normalised to mean 0 and deviation
            1, and labels (N,) from 0; what it returns has the same shapes and types, and what
            it is given stays as it is. Other parameters have plain defaults; the first whole number
            among them is the strength. Parameters without a default may be named `generator` (a
            torch.Generator on the CPU, another for each seed, epoch and batch) and `context` (a
            Batch).
        options: label, colour (#rrggbb), dash, marker, reference and strengths, as of a `Deficit`.
    Returns: the function itself, to be given to `Run`, `cplab.run` and `Explorer`.
    Raises: CplabError for a function whose meaning its source does not tell, or that does not do
        as is said above when it is tried on four images.

    >>> @deficit(label="lower part covered")
    ... def cover(x, y, rows: int = 4):
    ...     x = x.clone()
    ...     x[..., -rows:, :] = 0
    ...     return x, y
    >>> find_deficit(cover).label
    'lower part covered'
    """
    return entry_decorator(Deficit, function, options)


@deficit(label="no deficit")
def none(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Images and labels as they are."""
    return x, y


@deficit(colour="#0072B2", strengths=(2, 0))
def blur(x: Tensor, y: Tensor, strength: int = 4) -> tuple[Tensor, Tensor]:
    """Images shrunk by `strength` and enlarged again, both bilinear (the paper's: 32 to 8 to 32).

    Section 'Deep Artificial Neural Networks exhibit critical periods'.
    """
    from torch.nn.functional import interpolate

    size = x.shape[-2:]
    small = [max(1, round(s / strength)) for s in size]
    x = interpolate(x, size=small, mode="bilinear", align_corners=False, antialias=True)
    return interpolate(x, size=size, mode="bilinear", align_corners=False), y


@deficit(label="vertical flip", colour="#E69F00", dash="dashed", marker="triangle")
def flip(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Images turned upside down (figure 2, left)."""
    return x.flip(-2), y


@deficit(label="permuted labels", colour="#009E73", dash="dotdash", marker="square")
def permute(x: Tensor, y: Tensor, *, context: Batch) -> tuple[Tensor, Tensor]:
    """Labels under one fixed permutation that leaves none in place (figure 2, right)."""
    return x, permutation(context.classes, str(y.device))[y]


@lru_cache
def permutation(classes: int, device: str = "cpu") -> Tensor:
    """The new label of each old one, (classes,)."""
    import torch

    require(classes > 1, "labels of one class cannot be permuted: give images of two or more")
    generator = torch.Generator().manual_seed(classes)
    while True:
        order = torch.randperm(classes, generator=generator)
        if not (order == torch.arange(classes)).any():
            return order.to(device)


@deficit(colour="#CC79A7", dash="dotted", marker="diamond")
def noise(x: Tensor, y: Tensor, *, context: Batch) -> tuple[Tensor, Tensor]:
    """One fixed pattern of Gaussian noise in place of each image (figure 2, bottom)."""
    return noise_for(x, context, context.seed), y


# Indigo of Tol's muted set, which no grey resembles
@deficit(label="fresh noise", colour="#332288", dash="dashdot", marker="inverted_triangle")
def fresh_noise(x: Tensor, y: Tensor, *, context: Batch) -> tuple[Tensor, Tensor]:
    """Another pattern of Gaussian noise in place of each image at each epoch."""
    return noise_for(x, context, mixed_seed(context.seed, context.epoch)), y


def noise_for(x: Tensor, context: Batch, seed: int) -> Tensor:
    """The noise of the images of a batch."""
    require(context.images > 0, "noise needs the number of training images: give images=")
    patterns = noise_patterns(context.images, tuple(x.shape[1:]), seed, str(x.device))
    return patterns[context.index].to(x.dtype)


@lru_cache(maxsize=2)
def noise_patterns(images: int, shape: tuple[int, ...], seed: int, device: str = "cpu") -> Tensor:
    """Standard Gaussian noise for each training image, (images, *shape) in half precision."""
    import torch

    generator = torch.Generator().manual_seed(2**40 + seed)
    patterns = torch.empty(images, *shape, dtype=torch.float16)
    for chunk in patterns.split(4096):  # float32 noise of a chunk at a time, to spare memory
        chunk.copy_(torch.randn(chunk.shape, generator=generator))
    return patterns.to(device, memory_format=torch.channels_last)


def mixed_seed(*numbers: int) -> int:
    """One seed out of several numbers: 2**31 or more, as no run's is. torch's generator on a CPU
    takes no more than the low 32 bits of a seed."""
    return 2**31 + (mix_seeds(*numbers) >> 24) % 2**31


@deficit(label="vertical stripes", colour="#56B4E9", dash="dashed", marker="hex",
         reference="Blakemore and Cooper 1970")  # fmt: skip
def stripes(x: Tensor, y: Tensor, half_angle: float = 22.5) -> tuple[Tensor, Tensor]:
    """Only the vertical structure of images, as of a kitten reared in a cylinder of stripes.

    Of each image's Fourier components those are left whose stripes stand within `half_angle`
    degrees of the vertical, and the mean; the filter falls to 0 over another `half_angle`, as a
    raised cosine.
    """
    import torch

    factor = upright(*x.shape[-2:], half_angle, str(x.device))
    return torch.fft.irfft2(torch.fft.rfft2(x) * factor, s=x.shape[-2:]), y


@lru_cache
def upright(height: int, width: int, half_angle: float, device: str = "cpu") -> Tensor:
    """The filter: a factor 0 to 1 for each of rfft2's components, (H, W // 2 + 1)."""
    import torch

    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    tilt = torch.rad2deg(torch.atan2(down.abs(), across))  # 0: changes sideways, so stands upright
    factor = (1 + torch.cos(torch.pi * ((tilt - half_angle) / half_angle).clamp(0, 1))) / 2
    factor[0, 0] = 1
    return factor.to(device)


@deficit(label="blank images", colour="#000000", dash="dotdash", marker="star")
def blank(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """An even grey, the mean of all images.

    In a network without convolutions (fc) all images of a batch are then alike, and the gradients
    of hidden weights are 0; but BatchNorm divides by √ε, rounding errors grow 316-fold a layer, and
    after clear epochs the run may end as diverged.
    """
    import torch

    return torch.zeros_like(x), y


@deficit(label="strabismus", colour="#661100", dash="dashed", marker="plus",
         reference="Hubel and Wiesel 1965")  # fmt: skip
def strabismus(x: Tensor, y: Tensor, *, context: Batch) -> tuple[Tensor, Tensor]:
    """Another image of the batch, as to an eye that looks elsewhere.

    The label is that of one of the two, at random: of two eyes either may be the one that is asked,
    and what they see has nothing in common.
    """
    import torch

    chance = noise_for(x[:, :1, :1, :1], context, mixed_seed(context.seed, context.epoch))
    return x.roll(1, 0), torch.where(chance.flatten() > 0, y, y.roll(1))


NONE = DEFICITS["none"]


def parse_deficit(name: Any, size: int = 0, strict: bool = True) -> list[Deficit]:
    """The parts of a written name, in the order in which they act.

    Arguments: size, pixels a side, which limit a strength; strict, whether a student's own that is
        not defined here is an error, or something grey under the name of its function.
    """
    what, given = f"deficit {quote(name)}", ", ".join(n for n in DEFICITS if "@" not in n)
    require(isinstance(name, str), f"{what} is not allowed: give a name, {given}")
    return [read_part(text, what, given, size, strict) for text in name.split("+")]


def read_part(text: str, what: str, given: str, size: int, strict: bool) -> Deficit:
    """One part of a written name. For messages: `what`, the whole; `given`, the package's names."""
    found = PART.fullmatch(text)
    kind, own, strength, view = found.groups() if found else (re.split("[-:]", text)[0], "", "", "")
    if own and kind not in DEFICITS:
        there = f"{what} is somebody's own and not defined here: run the cell that defines it first"
        require(not strict, there)
        return Deficit(text, None, text.replace(own, ""), dash="dotted")
    # a student's own without its digest: the last that was defined
    own_ones = (known for known in reversed(DEFICITS) if known.startswith(f"{kind}@"))
    kind = kind if kind in DEFICITS else next(own_ones, kind)
    require(kind in DEFICITS, f"unknown {what}: choose one of {given}, or define your own")
    require(found, f"{what} is not allowed: write it like blur, blur-2, blur:left")
    part = DEFICITS[kind]
    name, label, apply = part.name, part.label, part.apply
    if strength:
        parameter, (least, most) = part.strength or "", part.strengths
        most = most or size or STRONGEST
        able = ", ".join(each.name for each in DEFICITS.values() if each.strength)
        why = f"only {able} can have a strength, such as blur-2"
        require(parameter, f"{what} is not allowed: {why}")
        fits = least <= int(strength) <= most
        require(fits, f"{what} is not allowed: give {name}-{least} to {name}-{most}")
        if int(strength) != part.parameters[parameter]:
            words = f"{strength}×" if parameter == "strength" else f"{parameter} {strength}"
            name, label = f"{name}-{strength}", f"{label} ({words})"
            apply = partial(apply, **{parameter: int(strength)})
    if view:
        one_of(f"view of {what}", view, VIEWS)
        name, label = f"{name}:{view}", f"{label}, {view} view"
    same = name == part.name
    return part if same else replace(part, name=name, label=label, apply=apply, view=view)


def canonical_name(given: object, size: int = 0) -> str:
    """The one way to write a deficit, as `Run` keeps it.

    Arguments:
        given: a written name, or a function, which is registered on the way.
        size: pixels a side, which limit a strength; 0 for no limit.
    Raises: CplabError for a deficit that is not allowed. A student's own that is not defined here
        passes, so that other sessions' results can be read; `find_deficit` and training refuse it.

    >>> canonical_name("none+blur-4+flip", 16)
    'blur+flip'
    """
    if isinstance(given, str) and given in DEFICITS:
        return given
    if isinstance(given, Deficit):
        given = given.name
    if callable(given):
        return add_entry(Deficit, given).name
    parts = parse_deficit(given, size, strict=False)
    few = f"deficit {quote(given)} is not allowed: give at most {PARTS} parts"
    require(len(parts) <= PARTS, few)
    # `none` does nothing, to one view or to all
    return "+".join(p.name for p in parts if p.name.partition(":")[0] != "none") or "none"


def find_deficit(name: object, strict: bool = True) -> Deficit:
    """A deficit by any written name, with its label and look.

    A strength keeps the colour; one view has another dash, and so has one deficit after another,
    which has the colour of the first.

    Arguments: a written name or a function; strict, as of `parse_deficit`.

    >>> find_deficit("blur-2").label, find_deficit("blur").colour
    ('blur (2×)', '#0072B2')
    >>> find_deficit("blur:left+flip").label
    'blur, left view, then vertical flip'
    """
    name = canonical_name(name)
    if name in DEFICITS:
        return DEFICITS[name]
    parts = tuple(parse_deficit(name, strict=strict))
    first, *others = parts
    one, other, *_ = (dash for dash in OWN_DASHES if dash != first.dash)
    dash = one if others else other if first.view else first.dash
    if not others:
        return replace(first, dash=dash)
    label = ", then ".join(part.label for part in parts)
    return replace(first, name=name, label=label, dash=dash, parts=parts)


def apply_deficit(
    x: Tensor,
    y: Tensor,
    name: object,
    *,
    index: Tensor | None = None,
    seed: int = 0,
    images: int = 0,
    epoch: int = 0,
    classes: int = CLASSES,
) -> tuple[Tensor, Tensor]:
    """What a network with this deficit is given in place of (x, y).

    Arguments:
        x: images (N, C, H, W), normalised to mean 0 and deviation 1, or two views of each, the left
            one first, (N, 2, C, H, W). A deficit that names no view acts on each alike.
        y: labels (N,).
        name: a deficit as it is written (blur, blur-2, blur:left, blur+flip), or a function.
        index: which training images these are, (N,); 0 to N-1 if not given.
        seed, images: the run's seed and the size of the training set. epoch: from 0.
        classes: how many the data set has; labels go from 0 to one less.
    Returns: (images, labels) of the same shapes.
    Raises: CplabError for an unknown deficit, or what are no such images.

    >>> import torch
    >>> seen, labels = apply_deficit(torch.randn(2, 3, 8, 8), torch.tensor([0, 1]), "blank")
    >>> seen.abs().max().item(), labels.tolist()
    (0.0, [0, 1])
    """
    import torch

    from cplab.devices import torch_defaults

    tensor = isinstance(x, torch.Tensor)
    was = f"{x.dtype} {tuple(x.shape)}" if tensor else quote(x)
    fine = tensor and x.ndim in (4, 5) and x.is_floating_point()
    require(fine, f"images {was} are not allowed: give normalised ones (N, C, H, W)")
    deficit = find_deficit(canonical_name(name, x.shape[-1]))
    for what, each in (("labels", y), ("indices", y if index is None else index)):
        whole_ones = isinstance(each, torch.Tensor) and each.dtype == torch.long
        fine = whole_ones and each.shape == x.shape[:1]
        require(fine, f"{what} {quote(each)} are not allowed: give a whole one for each image")
    seed, epoch = whole("seed", seed), whole("epoch", epoch)
    images, classes = whole("images", images, most=IMAGES), whole("classes", classes, 2, 1000)
    if index is None:
        named = not len(y) or 0 <= y.min() <= y.max() < classes
        require(named, f"labels {quote(y)} are not allowed: they go from 0 to {classes - 1}")
        index, images = torch.arange(len(x), device=x.device), max(images, len(x))
    with torch_defaults():
        return deficit(x, y, Batch(index, seed, epoch, images, classes))
