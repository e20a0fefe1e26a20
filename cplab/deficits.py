"""Deficits: what is done to images and labels. One decorated function is all that a deficit takes.

Where a deficit is written (`Run.deficit`), a number after a dash is its strength (blur-2), a colon
names the one view of two that it acts on (blur:left), and a plus puts one after another
(blur+flip). A student's own is named with a digest of what it does (occlude@1a2b3c4d).

torch is imported where it is used, so that names and colours cost nothing.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any

from cplab import registry
from cplab.checks import CplabError, one_of
from cplab.own.trials import try_deficit

if TYPE_CHECKING:
    from torch import Tensor

# A student's own takes the next colour of Tol's muted set, which no deficit of the package has, and
# the next dash: 28 looks in all. Markers go along.
OWN_COLOURS = ("#CC6677", "#117733", "#882255", "#44AA99", "#999933", "#AA4499", "#DDCC77")
OWN_DASHES = ("dashed", "dotted", "dashdot", "dotdash")
OWN_MARKERS = ("square", "triangle", "diamond", "inverted_triangle", "hex", "star", "plus", "cross")
GREY = "#555555"
VIEWS = ("left", "right")
CLASSES = 10
PART = re.compile(r"([^\W\d]\w*(?:@[0-9a-f]{8})?)(?:-([1-9][0-9]*))?(?::(\w+))?")


@dataclass(frozen=True)
class Deficit:
    """What is done to a batch while the deficit lasts.

    name: as it is written; a student's own ends in @ and a digest of its source.
    apply: (images (N, C, H, W), labels (N,), **parameters) -> images and labels of these shapes.
    label: in words. about: the first line of the docstring. reference: where it is described.
    source: the text of a student's own, else empty.
    colour, dash, marker: of its curves and points, as Bokeh names them.
    strengths: the least and the greatest; 0 for as many as an image has pixels a side.
    view: the one of two that it acts on; none for both.
    """

    name: str
    apply: Callable
    label: str
    about: str = ""
    source: str = ""
    colour: str = GREY
    dash: str = "solid"
    marker: str = "circle"
    reference: str = ""
    strengths: tuple[int, int] = (1, 2**31 - 1)
    view: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch("#[0-9a-fA-F]{6}", self.colour):
            raise CplabError(f"colour {self.colour!r} is not allowed: write it like {GREY}")
        one_of("dash", self.dash, ("solid", *OWN_DASHES))
        one_of("marker", self.marker, ("circle", *OWN_MARKERS))

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The parameters beside images and labels, and their defaults."""
        found = list(inspect.signature(self.apply).parameters.values())[2:]
        return {p.name: p.default for p in found}

    @property
    def strength(self) -> str | None:
        """The parameter that a strength sets, the first whose default is a whole number."""
        return next((k for k, v in self.parameters.items() if type(v) is int), None)


@dataclass(frozen=True)
class BatchContext:
    """What a deficit may know about its batch: which training images these are, (N,); the run's
    seed; the epoch, from 0; how many images the training set has."""

    index: Tensor
    seed: int = 0
    epoch: int = 0
    images: int = 0


DEFICITS: dict[str, Deficit] = {}
registry.TABLES[Deficit] = DEFICITS


def deficit(function: Callable | None = None, **options: Any) -> Any:
    """Make a function a deficit: a decorator, with or without options.

    Arguments:
        function: (x, y, ...) -> (x, y), of images (N, C, H, W), normalised to mean 0 and deviation
            1, and labels (N,) from 0 to 9; what it returns has the same shapes and types, and what
            it is given stays as it is. Other parameters have plain defaults; the first whole number
            among them is the strength. Parameters without a default may be named `generator` (a
            torch.Generator on the CPU, another for each seed, epoch and batch) and `context` (a
            BatchContext).
        options: label, its name in figures; colour (#rrggbb), dash and marker, its look, as Bokeh
            names them; reference, where it is described; strengths, the least and the greatest.
    Returns: the function itself, to be given to `Run`, `cplab.run` and `Explorer`.
    Raises: CplabError for a function whose meaning its source does not tell, or that does not do
        as is said above when it is tried on four images.

    >>> @deficit(label="lower part covered")
    ... def cover(x, y, rows: int = 4):
    ...     x = x.clone()
    ...     x[..., -rows:, :] = 0
    ...     return x, y
    >>> look(cover).label
    'lower part covered'
    """
    if function is None:
        return partial(deficit, **options)
    registry.enter(Deficit, function, options, try_deficit, next_look)
    return function


def next_look() -> dict[str, str]:
    """Colour, dash and marker for another deficit of a student."""
    count = sum(bool(known.source) for known in DEFICITS.values())
    looks = {"colour": OWN_COLOURS, "dash": OWN_DASHES, "marker": OWN_MARKERS}
    return {name: values[count % len(values)] for name, values in looks.items()}


@deficit(label="no deficit", colour=GREY)
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
def permute(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Labels under one fixed permutation that leaves none in place (figure 2, right)."""
    return x, permutation(CLASSES, str(y.device))[y]


@lru_cache
def permutation(classes: int, device: str = "cpu") -> Tensor:
    """The new label of each old one, (classes,)."""
    import torch

    generator = torch.Generator().manual_seed(classes)
    while True:
        order = torch.randperm(classes, generator=generator)
        if classes < 2 or not (order == torch.arange(classes)).any():
            return order.to(device)


@deficit(colour="#CC79A7", dash="dotted", marker="diamond")
def noise(x: Tensor, y: Tensor, *, context: BatchContext) -> tuple[Tensor, Tensor]:
    """One fixed pattern of Gaussian noise in place of each image (figure 2, bottom)."""
    return noise_for(x, context, context.seed), y


# Indigo of Tol's muted set, which no grey resembles
@deficit(label="fresh noise", colour="#332288", dash="dashdot", marker="inverted_triangle")
def fresh_noise(x: Tensor, y: Tensor, *, context: BatchContext) -> tuple[Tensor, Tensor]:
    """Another pattern of Gaussian noise in place of each image at each epoch."""
    return noise_for(x, context, mixed_seed(context.seed, context.epoch)), y


def noise_for(x: Tensor, context: BatchContext, seed: int) -> Tensor:
    """The noise of the images of a batch."""
    if context.images <= 0:
        raise CplabError("noise needs the number of training images: give images=")
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
    digest = hashlib.sha256(repr(numbers).encode()).digest()
    return 2**31 + int.from_bytes(digest[:4], "big") % 2**31


@deficit(
    label="vertical stripes",
    colour="#56B4E9",
    dash="dashed",
    marker="hex",
    reference="Blakemore and Cooper 1970",
)
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
    """An even grey, the mean of all images."""
    import torch

    return torch.zeros_like(x), y


def is_foreign(text: str) -> bool:
    """Whether a part of a name is a student's own that is not defined in this process."""
    found = PART.fullmatch(text)
    return found is not None and "@" in found[1] and found[1] not in DEFICITS


def parts_of(name: str) -> list[Deficit]:
    """The parts of a written name, in the order in which they act."""
    return [read_part(text, name) for text in name.split("+")]


def read_part(text: str, name: str, size: int = 0) -> Deficit:
    if is_foreign(text):
        raise CplabError(
            f"deficit {name!r} is somebody's own and not defined here: run the cell that defines "
            "it first"
        )
    found = PART.fullmatch(text)
    kind = found[1] if found else re.split("[-:]", text)[0]
    if kind not in DEFICITS:
        known = ", ".join(DEFICITS)
        raise CplabError(f"unknown deficit {name!r}: choose one of {known}, or define your own")
    if not found:
        raise CplabError(f"deficit {name!r} is not allowed: write it like blur, blur-2, blur:left")
    part, view = DEFICITS[kind], found[3]
    if found[2]:
        part = with_strength(part, int(found[2]), name, size)
    if view:
        one_of(f"view of deficit {name!r}", view, VIEWS)
        label = f"{part.label}, {view} view"
        part = replace(part, name=f"{part.name}:{view}", label=label, view=view)
    return part


def with_strength(deficit: Deficit, strength: int, name: str, size: int) -> Deficit:
    """The deficit as it is at some strength; name, as it was written."""
    if deficit.strength is None:
        able = ", ".join(known for known, each in DEFICITS.items() if each.strength)
        raise CplabError(
            f"deficit {name!r} is not allowed: only {able} can have a strength, such as blur-2"
        )
    least, most = deficit.strengths
    most = most or size or 2**31 - 1
    if not least <= strength <= most:
        allowed = f"{deficit.name}-{least} to {deficit.name}-{most}"
        raise CplabError(f"deficit {name!r} is not allowed: give {allowed}")
    if strength == deficit.parameters[deficit.strength]:
        return deficit
    words = f"{strength}×" if deficit.strength == "strength" else f"{deficit.strength} {strength}"
    apply = partial(deficit.apply, **{deficit.strength: strength})
    label = f"{deficit.label} ({words})"
    return replace(deficit, name=f"{deficit.name}-{strength}", apply=apply, label=label)


def canonical_name(given: object, size: int = 0) -> str:
    """The one way to write a deficit, as `Run` keeps it.

    Arguments:
        given: a written name, or a function, which is registered on the way.
        size: pixels a side, which limit a strength; 0 for no limit.
    Raises: CplabError for a deficit that is not allowed. A student's own that is not defined here
        passes, so that results of other sessions can be read; `look` and training refuse it.

    >>> canonical_name("none+blur-4+flip", 16)
    'blur+flip'
    """
    if callable(given):
        return registry.enter(Deficit, given, None, try_deficit, next_look).name
    name = given.name if isinstance(given, Deficit) else str(given)
    texts = name.split("+")
    parts = [text if is_foreign(text) else read_part(text, name, size).name for text in texts]
    return "+".join(part for part in parts if part.partition(":")[0] != "none") or "none"


def look(name: object, strict: bool = True) -> Deficit:
    """A deficit by any written name, with its label and look.

    A strength keeps the colour; one view has another dash, and so has one deficit after another,
    which has the colour of the first.

    Arguments: a written name or a function; strict, whether a student's own that is not defined
        here is an error, or grey under the name of its function.

    >>> look("blur-2").label, look("blur").colour
    ('blur (2×)', '#0072B2')
    >>> look("blur:left+flip").label
    'blur, left view, then vertical flip'
    """
    name = canonical_name(name)
    if name in DEFICITS:
        return DEFICITS[name]
    apply = partial(apply_deficit, name=name)
    if not strict and any(map(is_foreign, name.split("+"))):
        return Deficit(name, apply, re.sub("@[0-9a-f]{8}", "", name), dash="dotted")
    parts = parts_of(name)
    one, other, *_ = (dash for dash in OWN_DASHES if dash != parts[0].dash)
    dash = one if len(parts) > 1 else other if parts[0].view else parts[0].dash
    label = ", then ".join(part.label for part in parts)
    return replace(parts[0], name=name, apply=apply, label=label, dash=dash)


def apply_deficit(
    x: Tensor,
    y: Tensor,
    name: object,
    *,
    index: Tensor | None = None,
    seed: int = 0,
    images: int = 0,
    epoch: int = 0,
) -> tuple[Tensor, Tensor]:
    """What a network with this deficit is given in place of (x, y).

    Arguments:
        x: images (N, C, H, W), normalised to mean 0 and deviation 1, or of V views (N, V, C, H, W),
            the first of which is left. A deficit that names no view acts on each alike.
        y: labels (N,).
        name: a deficit as it is written (blur, blur-2, blur:left, blur+flip), or a function.
        index: which training images these are, (N,); 0 to N-1 if not given.
        seed, images: the run's seed and the size of the training set. epoch: from 0.
    Returns: (images, labels) of the same shapes.
    Raises: CplabError for an unknown deficit.

    >>> import torch
    >>> seen, labels = apply_deficit(torch.randn(2, 3, 8, 8), torch.tensor([0, 1]), "blank")
    >>> seen.abs().max().item(), labels.tolist()
    (0.0, [0, 1])
    """
    import torch

    if index is None:
        index, images = torch.arange(len(x), device=x.device), max(images, len(x))
    context = BatchContext(index, seed, epoch, images)
    written = name if isinstance(name, str) else canonical_name(name)
    for place, part in enumerate(parts_of(written)):
        x, y = apply_part(part, x, y, context, place)
    return x, y


def apply_part(part: Deficit, x: Tensor, y: Tensor, context: BatchContext, place: int) -> Any:
    """One part of a name, the `place`-th, on a batch."""
    import torch

    if x.ndim == 5:
        seen, labels = list(x.unbind(1)), y
        for v in range(len(seen)) if part.view is None else [VIEWS.index(part.view)]:
            one = replace(part, view=None)
            seen[v], labels = apply_part(one, seen[v], y, context, place)
        return torch.stack(seen, 1), labels
    if part.view is not None:
        raise CplabError(f"deficit {part.name!r} is for images of two views, and these have one")
    tools: dict[str, Any] = {}
    if "context" in part.parameters:
        tools["context"] = context
    if "generator" in part.parameters:
        first = int(context.index[0]) if len(x) else 0
        seed = mixed_seed(context.seed, context.epoch, first, place)
        tools["generator"] = torch.Generator().manual_seed(seed)
    return part.apply(x, y, **tools)
