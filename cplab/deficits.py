"""Deficits change images or labels while they last. To add one, decorate a function.

A deficit's name (`Run.deficit`) may have several parts. A number after a dash is its strength, as
in blur-2, or the fields that it covers (cover-…, see `mask_name`). A colon names the view that it
acts on, if there are two, as in blur:left. A plus joins deficits that act in turn, as in blur+flip.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from cplab.errors import CplabError, explain, quote
from cplab.late import F, Tensor, torch
from cplab.specs import mix_seeds, spec_class
from cplab.specs.digest import Definition
from cplab.specs.own import CLASSES, TABLES, Registered, add_entry, entry_decorator, full_name
from cplab.specs.profiles import PROFILES

# A student's own deficit takes the next of these colours, dashes and markers. The colours are Tol's
# muted set, without those that the package's deficits have.
OWN_COLOURS = ("#CC6677", "#117733", "#882255", "#44AA99", "#999933", "#AA4499", "#DDCC77")
Colour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]
Dash = Literal["solid", "dashed", "dotted", "dashdot", "dotdash"]
OWN_DASHES = get_args(Dash)[1:]
Marker = Literal[
    "circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "star", "plus", "cross"
]
OWN_MARKERS = get_args(Marker)[1:]
VIEWS = ("left", "right")
PIXELS = ", ".join(str(size) for size in sorted({profile.size for profile in PROFILES.values()}))
GRID = 12  # fields a side of a mask; a row is three hexadecimal digits of its name
# Masks that have a name, row by row from above; a bit that is set is a field that is covered
MASKS = {
    "right half": "03f" * 12,
    "frame": "fff" * 2 + "c03" * 8 + "fff" * 2,
    "centre": "000" * 3 + "1f8" * 6 + "000" * 3,
    "stripes": "ccc" * 12,
}
MASK_DIGITS = GRID * GRID // 4  # hexadecimal, of a mask
# A part of a name: kind with its digest, strength or mask, view
PART = re.compile(
    r"([^\W\d]\w*(@[0-9a-f]{8})?)(?:-([1-9][0-9]{0,8}|[0-9a-f]{36}))?(?::(left|right))?"
)


@dataclass(frozen=True)
class Batch:
    """What a deficit may know about the batch that it changes.

    Attributes:
        index: of each image among the training images, (N,).
        seed: the run's.
        epoch: from 0.
        images: the number of training images.
        classes: the number of classes in the data set.
    """

    index: Tensor
    seed: int = 0
    epoch: int = 0
    images: int = 0
    classes: int = CLASSES


@spec_class
class Deficit(Registered):
    """What happens to each batch while a deficit lasts. Deficits of the same name are equal.

    Attributes:
        name: as `Run.deficit` has it.
        apply: the decorated function; None for a student's own that is not defined here.
        label: its name in words.
        own: the definition of a student's own; None for one of the package's.
        colour, dash, marker: in figures, as Bokeh names them.
        view: "left" or "right" if it acts on one view of two.
        parts: the deficits that act one after another, if there are several.

    >>> x, y = torch.ones(2, 1, 4, 4), torch.tensor([0, 1])
    >>> seen, labels = DEFICITS["blank"](x, y, Batch(torch.arange(2)))
    >>> seen.sum(), labels
    (tensor(0.), tensor([0, 1]))
    """

    name: str
    apply: Any = field(compare=False)
    label: str = field(compare=False)
    own: Definition | None = field(default=None, compare=False)
    colour: Colour = field(default="#555555", compare=False)
    dash: Dash = field(default="solid", compare=False)
    marker: Marker = field(default="circle", compare=False)
    view: str | None = field(default=None, compare=False)
    parts: tuple[Deficit, ...] = field(default=(), compare=False)

    def __repr__(self) -> str:
        return f"Deficit({self.name!r})"

    def __call__(self, x: Tensor, y: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Apply the deficit to a batch.

        Arguments:
            x: images (N, C, H, W), or two views of each, (N, 2, C, H, W), on both of which it acts
                unless its name names one.
            y: labels (N,).
            batch: where the images stand in the training.

        Returns: images and labels of the same shapes.
        """
        for deficits_before, part in enumerate(self.components):
            if x.ndim == 5:
                x, y = part.use_on_views(x, y, batch, deficits_before)
            elif part.view is None:
                x, y = part.use(x, y, batch, deficits_before)
            else:
                raise CplabError(f"{self.name} needs two views: give (N, 2, C, H, W)")
        return x, y

    @property
    def components(self) -> tuple[Deficit, ...]:
        """The deficits that act one after another: its parts, or only itself."""
        return self.parts or (self,)

    def use_on_views(
        self, x: Tensor, y: Tensor, batch: Batch, deficits_before: int
    ) -> tuple[Tensor, Tensor]:
        """Apply its function to one view or both of each image, (N, 2, C, H, W).

        Both views have the same labels (N,), which change once.
        """
        views = list(x.unbind(1))  # two of (N, C, H, W)
        labels = y
        for number, name in enumerate(VIEWS):
            if self.view in (None, name):
                views[number], labels = self.use(views[number], y, batch, deficits_before)
        return torch.stack(views, 1), labels

    def use(
        self, x: Tensor, y: Tensor, batch: Batch, deficits_before: int
    ) -> tuple[Tensor, Tensor]:
        """Apply its function to images (N, C, H, W) and labels (N,).

        Raises: CplabError if it is not defined here, and for an error in a student's own.

        A student's own gets copies, which it may change in place. It may draw from torch without a
        generator: it then gets random numbers that the batch decides.

        Arguments: deficits_before, how many deficits act before it: each draws other random
            numbers.
        """
        if self.apply is None:
            raise CplabError(
                f"deficit {self.name} is not defined here: run the cell that defines it first"
            )
        extras = self.extras(batch, deficits_before)
        if not self.own:
            return self.apply(x, y, **extras)
        from cplab.seeding import seeded

        circumstances = (
            f" at epoch {batch.epoch} of seed {batch.seed}, on images {tuple(x.shape)}; "
            f"profiles have images of {PIXELS} pixels a side"
        )
        seed = mix_seeds(batch_seed(batch, deficits_before), "torch")
        with explain(self.name, circumstances), seeded(seed):
            result = self.apply(x.clone(), y.clone(), **extras)
        check_result(self.name.partition("@")[0], result, x, y, batch.classes)
        return result

    def extras(self, batch: Batch, deficits_before: int) -> dict[str, Batch | torch.Generator]:
        """The further arguments that its function takes: context and generator.

        Arguments: batch; deficits_before, as for `use`.
        """
        extras: dict[str, Batch | torch.Generator] = {}
        if "context" in self.parameters:
            extras["context"] = batch
        if "generator" in self.parameters:
            extras["generator"] = torch.Generator().manual_seed(batch_seed(batch, deficits_before))
        return extras

    @property
    def of_each_image(self) -> bool:
        """Whether it is certain to change each image by itself, and in the same way at each epoch.

        This is so if it is the package's, and takes neither a generator nor a context.
        """
        for part in self.components:
            if not part.apply or part.own:
                return False
            if "context" in part.parameters or "generator" in part.parameters:
                return False
        return True

    @property
    def is_own(self) -> bool:
        """Whether it is a student's own, or has a part that is."""
        return any(part.own for part in self.components)

    @property
    def may_change(self) -> bool:
        """Whether it is a student's own that asks for its Batch, and so for the epoch."""
        return any(part.own and "context" in part.parameters for part in self.components)

    @staticmethod
    def next_style() -> dict[str, str]:
        """The colour, dash and marker of the next deficit of the gallery or of a student."""
        count = sum(entry.colour in OWN_COLOURS for entry in DEFICITS.values())
        return {
            "colour": OWN_COLOURS[count % len(OWN_COLOURS)],
            "dash": OWN_DASHES[count % len(OWN_DASHES)],
            "marker": OWN_MARKERS[count % len(OWN_MARKERS)],
        }

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The parameters of its function besides images and labels, with their defaults."""
        parameters = {}
        with suppress(ValueError):  # functions written in C may not say which they have
            for parameter in [*inspect.signature(self.apply).parameters.values()][2:]:
                parameters[parameter.name] = parameter.default
        return parameters

    @property
    def strength_parameter(self) -> str:
        """The name of the parameter that a number in the deficit's name sets: the first whose
        default is a whole number.

        "" if there is none.
        """
        for name, default in self.parameters.items():
            if type(default) is int:
                return name
        return ""


def check_result(name: str, result: object, x: Tensor, y: Tensor, classes: int) -> None:
    """Check that a deficit returned images like x, (N, C, H, W), and labels like y, (N,).

    Arguments:
        name: the deficit's.
        result: what it returned.
        classes: the number of allowed labels.

    Raises: CplabError.
    """
    if not isinstance(result, tuple) or len(result) != 2:
        raise CplabError(f"{name} returns a {type(result).__name__}: end it with return x, y")
    images, labels = result
    check_kept(name, "images", images, x)
    check_kept(name, "labels", labels, y)
    if not images.sum().isfinite():  # the sum takes a tenth of the time
        raise CplabError(f"{name} returns images that are not finite: check for divisions by 0")
    if not ((labels >= 0) & (labels < classes)).all():
        allowed = f"they go from 0 to {classes - 1}"
        raise CplabError(f"{name} returns values that are not labels: {allowed}")


def check_kept(name: str, part: str, after: Any, before: Tensor) -> None:
    """Check that a deficit kept the shape and type of images or labels.

    Arguments:
        name: the deficit's.
        part: "images" or "labels".
        after: what the deficit returned.
        before: the tensor that it was given.

    Raises: CplabError.
    """
    is_tensor = isinstance(after, torch.Tensor)
    if not is_tensor or after.shape != before.shape or after.dtype != before.dtype:
        kept = f"keep them a {quote(before)}"
        raise CplabError(f"{name} returns other {part}, {quote(after)}: {kept}")


DEFICITS: dict[str, Deficit] = {}
TABLES[Deficit] = DEFICITS


def deficit(function: Callable | None = None, **options: Any) -> Any:
    """Make a function a deficit: a decorator, with or without options.

    The function takes images (N, C, H, W), normalised to mean 0 and deviation 1, and labels (N,)
    from 0. It returns new ones of the same shapes and types. It may have more parameters:
    `generator`, a torch.Generator for each seed, epoch and batch; `context`, a Batch; and any with
    a default: the first whole number among these is the deficit's strength.

    Random numbers that it draws from torch without a generator depend on seed, epoch and batch too.
    Its key is made of its code, and of the own functions and values that it reads. If anything else
    has changed, such as a file that it reads, version=2 gives another key.

    Options: label, colour, dash, marker, version.

    >>> import cplab, torch
    >>> @cplab.deficit(label="lower part covered")
    ... def hide(x, y, rows: int = 4):
    ...     x = x.clone()
    ...     x[..., -rows:, :] = 0
    ...     return x, y
    >>> seen, labels = cplab.apply_deficit(torch.ones(1, 3, 8, 8), torch.tensor([0]), hide)
    >>> seen.mean()
    tensor(0.5000)
    """
    return entry_decorator(Deficit, function, options)


@deficit(label="no deficit")
def none(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Leave images and labels as they are."""
    return x, y


@deficit(colour="#0072B2")
def blur(x: Tensor, y: Tensor, strength: int = 4) -> tuple[Tensor, Tensor]:
    """Shrink images by `strength` and enlarge them again, both times bilinearly (the paper's go
    from 32 pixels to 8 and back)."""
    size = x.shape[-2:]
    small = [max(1, round(pixels / strength)) for pixels in size]
    x = F.interpolate(x, size=small, mode="bilinear", align_corners=False, antialias=True)
    return enlarge(x, size), y


def enlarge(x: Tensor, size: Sequence[int]) -> Tensor:
    """Enlarge images (N, C, H, W) bilinearly to a size, (height, width)."""
    from cplab import devices

    enlarge_to_size = partial(F.interpolate, size=list(size), mode="bilinear", align_corners=False)
    if not x.is_cuda:
        return enlarge_to_size(x)
    # A GPU takes one image after another, and all at once only if they are the channels of one
    as_one = x.reshape(1, -1, *x.shape[-2:]).contiguous(memory_format=torch.channels_last)
    large = enlarge_to_size(as_one).view(*x.shape[:2], *size)
    return large.contiguous(memory_format=devices.memory_format(x.device))


@deficit(label="blur in squares", colour="#0072B2", dash="dotted", marker="cross")
def mosaic(x: Tensor, y: Tensor, side: int = 3) -> tuple[Tensor, Tensor]:
    """Replace each square of `side` × `side` pixels by its mean, which removes all detail within a
    square, and nothing else."""
    images, channels, height, width = x.shape
    means = F.avg_pool2d(x, side, ceil_mode=True)  # a square at the edge may be smaller
    rows, columns = means.shape[-2:]
    squares = means.view(images, channels, rows, 1, columns, 1)
    squares = squares.expand(images, channels, rows, side, columns, side)
    mosaics = squares.reshape(images, channels, rows * side, columns * side)
    return mosaics[..., :height, :width], y


@deficit(label="vertical flip", colour="#E69F00", dash="dashed", marker="triangle")
def flip(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Turn images upside down (figure 2, left)."""
    return x.flip(-2), y


@deficit(label="permuted labels", colour="#009E73", dash="dotdash", marker="square")
def permute(x: Tensor, y: Tensor, *, context: Batch) -> tuple[Tensor, Tensor]:
    """Exchange all labels by one fixed permutation that leaves none in place (figure 2, right)."""
    return x, permutation(context.classes, str(y.device))[y]


@lru_cache
def permutation(classes: int, device: str = "cpu") -> Tensor:
    """The new label of each label, (classes,)."""
    if classes < 2:
        raise CplabError("labels of one class cannot be permuted: give images of two or more")
    generator = torch.Generator().manual_seed(classes)
    while True:
        order = torch.randperm(classes, generator=generator)
        if not (order == torch.arange(classes)).any():
            return order.to(device)


@deficit(colour="#CC79A7", dash="dotted", marker="diamond")
def noise(x: Tensor, y: Tensor, *, context: Batch) -> tuple[Tensor, Tensor]:
    """Replace each image by its own fixed pattern of Gaussian noise (figure 2, bottom)."""
    return noise_for(x, context, context.seed), y


# Indigo of Tol's muted set, which no grey resembles
@deficit(label="fresh noise", colour="#7722DD", dash="dashdot", marker="inverted_triangle")
def fresh_noise(x: Tensor, y: Tensor, *, context: Batch) -> tuple[Tensor, Tensor]:
    """Replace each image by Gaussian noise, with a new pattern in each epoch."""
    return noise_for(x, context, mixed_seed(context.seed, context.epoch)), y


def noise_for(x: Tensor, context: Batch, seed: int) -> Tensor:
    """The noise that replaces the images of a batch, (N, C, H, W)."""
    is_small = context.images * x[0].numel() < 1_000_000
    make_patterns = few_patterns if is_small else noise_patterns
    patterns = make_patterns(context.images, tuple(x.shape[1:]), seed, str(x.device))
    return patterns[context.index].to(x.dtype)


@lru_cache(maxsize=2)
def noise_patterns(images: int, shape: tuple[int, ...], seed: int, device: str = "cpu") -> Tensor:
    """Standard Gaussian noise for all training images, (images, *shape), in half precision."""
    generator = torch.Generator().manual_seed(2**40 + seed)
    patterns = torch.empty(images, *shape, dtype=torch.float16)
    for chunk in patterns.split(4096):  # torch draws float32, a chunk at a time to save memory
        chunk.copy_(torch.randn(chunk.shape, generator=generator, dtype=torch.float32))
    return patterns.to(device, memory_format=torch.channels_last)


# The same for small data sets: the patterns of many seeds fit into memory
few_patterns = lru_cache(maxsize=64)(noise_patterns.__wrapped__)


def batch_seed(batch: Batch, deficits_before: int) -> int:
    """The seed of what a deficit draws for a batch, if so many deficits act before it."""
    first = int(batch.index[0]) if len(batch.index) else 0
    return mixed_seed(batch.seed, batch.epoch, first, deficits_before)


def mixed_seed(*numbers: int) -> int:
    """Mix several numbers into one seed from 2**31 to 2**32, which is no run's seed."""
    return 2**31 + (mix_seeds(*numbers) >> 24) % 2**31


@deficit(label="vertical stripes", colour="#56B4E9", dash="dashed", marker="hex")
def stripes(x: Tensor, y: Tensor, half_angle: float = 22.5) -> tuple[Tensor, Tensor]:
    """Keep only vertical structure, as a kitten reared among stripes sees it (Blakemore and Cooper
    1970).

    Of the Fourier components only the mean stays, and those whose stripes are within `half_angle`
    degrees of the vertical. Over another `half_angle` the filter falls to 0, as a raised cosine.
    """
    factor = upright(*x.shape[-2:], half_angle, str(x.device))
    return torch.fft.irfft2(torch.fft.rfft2(x) * factor, s=x.shape[-2:]), y


@lru_cache
def upright(height: int, width: int, half_angle: float, device: str = "cpu") -> Tensor:
    """The filter of `stripes`: a factor from 0 to 1 for each component of rfft2,
    (height, width // 2 + 1)."""
    down = torch.fft.fftfreq(height, dtype=torch.float32)[:, None]
    across = torch.fft.rfftfreq(width, dtype=torch.float32)[None]
    # An angle of 0 is a component that changes sideways only: its stripes are vertical
    angle = torch.rad2deg(torch.atan2(down.abs(), across))
    beyond = ((angle - half_angle) / half_angle).clamp(0, 1)
    factor = (1 + torch.cos(torch.pi * beyond)) / 2
    factor[0, 0] = 1  # the mean
    return factor.to(device)


@deficit(label="blank images", colour="#885533", dash="dotdash", marker="star")
def blank(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Replace images by an even grey, the mean of all images.

    In a network without convolutions (fc), hidden weights then have gradient 0. But BatchNorm
    divides by √ε, so that rounding errors grow 316-fold in each layer: after clear epochs such a
    run may diverge.
    """
    return torch.zeros_like(x), y


@deficit(label="cover", colour="#6655BB", dash="dashdot", marker="cross")
def cover(x: Tensor, y: Tensor, mask: str = MASKS["right half"]) -> tuple[Tensor, Tensor]:
    """Cover a part of every image with grey, the mean of all images, like a patch on the lens.

    The part is painted on a grid of GRID × GRID fields (see `mask_name`). A pixel of an image of
    another size takes the nearest field.
    """
    return x.masked_fill(covered_pixels(mask, *x.shape[-2:], str(x.device)), 0), y


@lru_cache
def covered_pixels(mask: str, height: int, width: int, device: str = "cpu") -> Tensor:
    """Which pixels of an image a mask covers, bool (height, width)."""
    grid = torch.tensor(read_mask(mask))  # (GRID, GRID)
    rows = torch.arange(height) * GRID // height
    columns = torch.arange(width) * GRID // width
    return grid[rows][:, columns].to(device)


def read_mask(mask: str) -> list[list[bool]]:
    """Read which fields a mask covers, GRID rows of GRID, from the digits after `cover-`."""
    bits = f"{int(mask, 16):0{GRID * GRID}b}"
    rows = []
    for start in range(0, GRID * GRID, GRID):
        rows.append([bit == "1" for bit in bits[start : start + GRID]])
    return rows


def mask_name(fields: Sequence[Sequence[bool]]) -> str:
    """Name the deficit that covers these fields, GRID rows of GRID that are true or false.

    Three hexadecimal digits are a row: 03f covers its right half.

    >>> mask_name([[row < 2] * 12 for row in range(12)])
    'cover-ffffff000000000000000000000000000000'
    """
    if len(fields) != GRID or sum(len(row) for row in fields) != GRID * GRID:
        raise CplabError(f"these fields are not a mask: give {GRID} rows of {GRID}")
    bits = ""
    for row in fields:
        for covers in row:
            bits += "1" if covers else "0"
    return f"cover-{int(bits, 2):0{MASK_DIGITS}x}"


def mask_words(mask: str) -> str:
    """Describe what a mask covers, in words that differ for any two masks.

    >>> mask_words("03f" * 12), mask_words("800" + "000" * 11)
    ('right half', '1 of 144 fields, b6a5')
    """
    for words, named_mask in MASKS.items():
        if mask == named_mask:
            return words
    digest = hashlib.sha256(mask.encode()).hexdigest()[:4]
    return f"{int(mask, 16).bit_count()} of {GRID**2} fields, {digest}"


@deficit(label="strabismus", colour="#CC0033", dash="dashed", marker="plus")
def strabismus(x: Tensor, y: Tensor, *, context: Batch) -> tuple[Tensor, Tensor]:
    """Show another image of the batch, as to an eye that looks elsewhere (Hubel and Wiesel 1965).

    Either eye may be the one that counts, so the label is that of one of the two images, at random.
    """
    chance = noise_for(x[:, :1, :1, :1], context, mixed_seed(context.seed, context.epoch))
    return x.roll(1, 0), torch.where(chance.flatten() > 0, y, y.roll(1))


NONE = DEFICITS["none"]


def find_deficit(given: object) -> Deficit:
    """Find a deficit by its name, in any spelling, or by its function.

    A student's own that is not defined here has no function: a figure of stored results draws it in
    grey.

    A deficit of one view has another dash than that of both. Several in turn have the first one's
    colour and another dash.

    Arguments: given, a name, a function or a Deficit.

    Raises: CplabError for an unknown deficit.

    >>> find_deficit("blur-2").label, find_deficit("blur").colour
    ('blur (2×)', '#0072B2')
    >>> find_deficit("blur:left+flip").label
    'blur, left view, then vertical flip'
    """
    if callable(given) and not isinstance(given, Deficit):
        return add_entry(Deficit, given)
    name = given.name if isinstance(given, Deficit) else given
    if isinstance(name, str) and name in DEFICITS:
        return DEFICITS[name]
    acting = []
    for text in str(name).split("+"):
        part = read_part(text, name)
        if part.name.partition(":")[0] != "none":  # `none` and `none:left` do nothing
            acting.append(part)
    if not acting:
        return NONE
    first = acting[0]
    other_dashes = [dash for dash in OWN_DASHES if dash != first.dash]
    if len(acting) > 1:
        joined = "+".join(part.name for part in acting)
        label = ", then ".join(part.label for part in acting)
        return replace(first, name=joined, label=label, dash=other_dashes[0], parts=tuple(acting))
    if first.view:
        return replace(first, dash=other_dashes[1])
    return first


def read_part(text: str, name: object) -> Deficit:
    """Read one part of a name, such as blur-2:left.

    Arguments: text, of the part; name, as it was given, for errors.

    Raises: CplabError.
    """
    match = PART.fullmatch(text) if isinstance(name, str) else None
    if match is None:
        raise unknown_deficit(name)
    kind, digest, strength, view = match.groups()
    if digest and kind not in DEFICITS:
        return Deficit(text, None, text.replace(digest, ""), dash="dotted")
    kind = full_name(Deficit, kind)
    if kind not in DEFICITS:
        raise unknown_deficit(name)
    part = DEFICITS[kind]
    if strength and len(strength) == MASK_DIGITS:
        part = with_mask(part, strength, name)
    elif strength:
        part = with_strength(part, int(strength), name)
    if view:
        label = f"{part.label}, {view} view"
        part = replace(part, name=f"{part.name}:{view}", label=label, view=view)
    return part


def unknown_deficit(name: object) -> CplabError:
    """The error of a name that is no deficit's."""
    own = {name.partition("@")[0]: None for name, entry in DEFICITS.items() if entry.own}
    choices = ", ".join([entry for entry in DEFICITS if "@" not in entry] + [*own])
    spelling = "written like blur, blur-2, blur:left or cover- and 36 hexadecimal digits"
    if re.search(r"-\d*\.\d", str(name)):
        spelling += "; a strength that is no whole number is given as functools.partial(f, k=0.5)"
    return CplabError(f"unknown deficit {quote(name)}: choose one of {choices}, {spelling}")


def with_strength(part: Deficit, strength: int, name: object) -> Deficit:
    """A deficit with another strength. name: as it was given, for errors. Raises: CplabError."""
    parameter = part.strength_parameter
    if not parameter:
        problem = f"deficit {quote(name)} is not allowed"
        raise CplabError(f"{problem}: {part.name} has no strength, as blur-2 has")
    if strength == part.parameters[parameter]:
        return part
    words = f"{strength}×" if parameter == "strength" else f"{parameter} {strength}"
    apply = partial(part.apply, **{parameter: strength})
    return replace(
        part, name=f"{part.name}-{strength}", label=f"{part.label} ({words})", apply=apply
    )


def with_mask(part: Deficit, mask: str, name: object) -> Deficit:
    """A deficit that covers other fields. name: as it was given, for errors. Raises: CplabError."""
    title = f"deficit {quote(name)}"
    if "mask" not in part.parameters:
        raise CplabError(f"{title} is not allowed: {part.name} has no mask, as cover has")
    if not int(mask, 16):
        raise CplabError(f"{title} covers nothing: cover at least one field, or take none")
    if mask == part.parameters["mask"]:
        return part
    label = f"{part.label} ({mask_words(mask)})"
    apply = partial(part.apply, mask=mask)
    return replace(part, name=f"{part.name}-{mask}", label=label, apply=apply)


def canonical_name(given: object) -> str:
    """The spelling of a deficit's name in a `Run`: blur+flip for none+blur-4+flip."""
    return find_deficit(given).name


def apply_deficit(x: Tensor, y: Tensor, name: object, **context: Any) -> tuple[Tensor, Tensor]:
    """Apply a deficit to images and labels, as training does.

    Arguments:
        x: images (N, C, H, W), normalised to mean 0 and deviation 1, or two views of each (N, 2, C,
            H, W), the left one first.
        y: labels (N,).
        name: a deficit's name or its function.
        context: fields of a `Batch`, without which the images are taken for the first training
            images of a data set.

    >>> import cplab, torch
    >>> seen, labels = cplab.apply_deficit(torch.randn(2, 3, 8, 8), torch.tensor([0, 1]), "blank")
    >>> seen.abs().max().item(), labels.tolist()
    (0.0, [0, 1])
    """
    if not isinstance(x, torch.Tensor) or x.ndim not in (4, 5) or not x.is_floating_point():
        remedy = "give a torch tensor of normalised ones (N, C, H, W)"
        raise CplabError(f"images {quote(x)} are not allowed: {remedy}")
    index = torch.arange(len(x), device=x.device)
    batch = Batch(**{"index": index, "images": len(x), **context})
    return find_deficit(name)(x, y, batch)
