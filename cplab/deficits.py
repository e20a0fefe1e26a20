"""Deficits: what is done to images and labels. One decorated function is all that a deficit takes.

Where a deficit is written (`Run.deficit`), a number after a dash is its strength (blur-2), or what
is covered (cover-…, see `mask_name`); a colon names the one view of two that it acts on
(blur:left), and a plus puts one after another (blur+flip).
"""

from __future__ import annotations

import hashlib
import inspect
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache, partial
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field

from cplab.errors import CplabError, explain, quote
from cplab.late import F, Tensor, torch
from cplab.specs import mix_seeds, spec_class
from cplab.specs.own import CLASSES, TABLES, add_entry, entry_decorator, full_name
from cplab.specs.profiles import PROFILES, Profile

# A student's own takes the next colour of Tol's muted set, which no deficit of the package has, the
# next dash and the next marker.
OWN_COLOURS = ("#CC6677", "#117733", "#882255", "#44AA99", "#999933", "#AA4499", "#DDCC77")
Colour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]
Dash = Literal["solid", "dashed", "dotted", "dashdot", "dotdash"]
OWN_DASHES = get_args(Dash)[1:]
Marker = Literal[
    "circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "star", "plus", "cross"
]
VIEWS = ("left", "right")
# Profiles, and channels of images, on which a student's own is tried until it fits one
TRIED = [(profile, 3) for profile in ("course", "tiny", "ci", "paper")]
TRIED += [(profile, 1) for profile in ("tiny", "course", "ci", "mnist")]
GRID = 12  # fields a side of a mask; three digits of its name are a row of them
MASKS = {  # with names of their own, row by row from above; a bit that is set is covered
    "right half": "03f" * 12,
    "frame": "fff" * 2 + "c03" * 8 + "fff" * 2,
    "centre": "000" * 3 + "1f8" * 6 + "000" * 3,
    "stripes": "ccc" * 12,
}
MASK_DIGITS = GRID * GRID // 4  # hexadecimal, of a mask
PART = re.compile(
    r"([^\W\d]\w*(@[0-9a-f]{8})?)(?:-([1-9][0-9]{0,8}|[0-9a-f]{36}))?(?::(left|right))?"
)


@dataclass(frozen=True)
class Batch:
    """What a deficit may use of its batch: the indices of its training images, (N,); the run's
    seed; the epoch, from 0; the number of images and of classes in the data set."""

    index: Tensor
    seed: int = 0
    epoch: int = 0
    images: int = 0
    classes: int = CLASSES


@cache
def warn_once(line: str) -> None:
    """Warn the first time that there is this to say, for many epochs may have the same."""
    warnings.warn(line, stacklevel=3)


@spec_class
class Deficit:
    """What happens to each batch while a deficit lasts. Call it with images, labels and a Batch.

    apply: the decorated function, None for a student's own that is not defined here. source: the
    text of a student's own. colour, dash, marker: as Bokeh takes them. view: the one of two views
    that it acts on. parts: deficits that act one after another. Deficits of one name are equal.
    """

    random: ClassVar = "name a parameter `generator`, for torch.rand(..., generator=generator)"

    name: str
    apply: Any = field(compare=False)
    label: str = field(compare=False)
    source: str = field(default="", compare=False)
    colour: Colour = field(default="#555555", compare=False)
    dash: Dash = field(default="solid", compare=False)
    marker: Marker = field(default="circle", compare=False)
    view: str | None = field(default=None, compare=False)
    parts: tuple[Deficit, ...] = field(default=(), compare=False)

    def __repr__(self) -> str:
        return f"Deficit({self.name!r})"

    def __call__(self, x: Tensor, y: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Apply the deficit to images (N, C, H, W), or to two views of each, (N, 2, C, H, W), and
        to labels (N,). Without a view in its name it acts on both views."""
        parts = self.parts or (self,)
        if not all(part.apply for part in parts):  # it may have been defined since
            return find_deficit(self.name)(x, y, batch)
        for place, part in enumerate(parts):
            if x.ndim == 5:
                x, y = part.use_on_views(x, y, batch, place)
            elif part.view is None:
                x, y = part.use(x, y, batch, place)
            else:
                raise CplabError(f"{self.name} needs two views: give (N, 2, C, H, W)")
        return x, y

    def use_on_views(self, x: Tensor, y: Tensor, batch: Batch, place: int) -> tuple[Tensor, Tensor]:
        """Call its function with one view or both of each image, (N, 2, C, H, W). Labels change
        once, though there are two views."""
        views = list(x.unbind(1))
        labels = y
        seen = VIEWS if self.view is None else (self.view,)
        for view in map(VIEWS.index, seen):
            views[view], labels = self.use(views[view], y, batch, place)
        return torch.stack(views, 1), labels

    def use(self, x: Tensor, y: Tensor, batch: Batch, place: int) -> tuple[Tensor, Tensor]:
        """Call its function with images (N, C, H, W). Whatever a student's own draws from torch
        without a generator is the batch's too, and nobody else's: what other threads draw meanwhile
        changes nothing."""
        extras = self.extras(batch, place)
        if not self.source:
            return self.apply(x, y, **extras)
        from cplab.seeding import Seeded

        where = f" at epoch {batch.epoch} of seed {batch.seed}, on images {(*x.shape,)}"
        seed = mix_seeds(batch_seed(batch, place), "torch")
        with explain(self.name, where), Seeded(seed):
            result = self.apply(x, y, **extras)
        check_result(self.name.partition("@")[0], result, x, y, batch.classes)
        return result

    def extras(self, batch: Batch, place: int) -> dict[str, Batch | torch.Generator]:
        """What its function asks for besides images and labels. `place` counts the deficits before
        it, so that each draws its own random numbers."""
        extras: dict[str, Batch | torch.Generator] = {}
        if "context" in self.parameters:
            extras["context"] = batch
        if "generator" in self.parameters:
            extras["generator"] = torch.Generator().manual_seed(batch_seed(batch, place))
        return extras

    @property
    def of_each_image(self) -> bool:
        """Whether it is known to change each image by itself, the same at each epoch: one of the
        package that asks for nothing else."""
        parts = self.parts or (self,)
        return all(
            part.apply and not part.source and not {"context", "generator"} & {*part.parameters}
            for part in parts
        )

    def is_idle(self, before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]) -> bool:
        """Whether the deficit has left these images and labels as they were."""
        pairs = zip(before, after, strict=True)
        return self != NONE and all(a.allclose(b, atol=1e-5) for a, b in pairs)

    def warn_idle(self) -> None:
        """Warn, once a process, that it changes nothing in an epoch, as no colour does to images
        that have none. A batch alone says little: it may lack the one class that a deficit
        concerns."""
        warn_once(f"{self.label} changes nothing on these images: take others, or another deficit")

    def check_again(
        self, x: Tensor, y: Tensor, batch: Batch, answer: tuple[Tensor, Tensor]
    ) -> None:
        """Ask a student's own the same again. Raises: CplabError if it then gives another answer,
        which is images and labels."""
        if not any(part.source for part in self.parts or (self,)):
            return
        again = self(x, y, batch)
        if not all(map(torch.equal, answer, again)):
            what = f"{self.name} gives something else when it is asked again"
            where = f"at epoch {batch.epoch} of seed {batch.seed}"
            raise CplabError(f"{what} {where}: {self.random}, and read nothing that changes")

    def trial(self, backwards: bool = False) -> list[tuple[str, Any]]:
        """What a student's own deficit gives for batches as training has them, and at which epoch.
        It is tried on images of the sizes that profiles have, until one fits it.

        Raises: CplabError if it fails, changes its input, or returns other shapes or types.
        """
        failures = []
        for profile, channels in TRIED:
            try:
                return self.try_on(PROFILES[profile], channels, backwards)
            except CplabError as error:
                if error.__cause__ is None:  # which is no matter of size
                    raise
                failures.append(error)
        raise failures[0]

    def try_on(self, profile: Profile, channels: int, backwards: bool) -> list[tuple[str, Any]]:
        """Try it on images of one profile: whole batches and a short one, from both halves of a
        run."""
        batches = trial_batches(profile, channels)
        answers = []
        for x, y, batch in reversed(batches) if backwards else batches:
            images = x.clone()
            labels = y.clone()
            result = self(images, labels, batch)
            if not (torch.equal(images, x) and torch.equal(labels, y)):
                name = self.name.partition("@")[0]
                raise CplabError(f"{name} changes what it is given: begin with x = x.clone()")
            answers.append((f"at epoch {batch.epoch} for {len(x)} images", list(result)))
        return answers

    @staticmethod
    def next_style() -> dict[str, str]:
        """Colour, dash and marker for a student's next deficit."""
        count = sum(bool(entry.source) for entry in DEFICITS.values())
        looks = {"colour": OWN_COLOURS, "dash": OWN_DASHES, "marker": get_args(Marker)[1:]}
        return {name: values[count % len(values)] for name, values in looks.items()}

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The parameters other than images and labels, with their defaults."""
        parameters = list(inspect.signature(self.apply).parameters.values())[2:]
        return {p.name: p.default for p in parameters}

    @property
    def strength(self) -> str:
        """The parameter that a strength sets, the first whose default is a whole number, or ""."""
        return next((k for k, v in self.parameters.items() if type(v) is int), "")


def trial_batches(profile: Profile, channels: int) -> list[tuple[Tensor, Tensor, Batch]]:
    """Random batches of the first epochs of a run, of its middle and of its end: images, labels,
    and what a deficit may know."""
    random = torch.Generator().manual_seed(0)
    shape = (channels, profile.size, profile.size)
    whole = profile.batch
    short = max(2, profile.train_images % profile.batch)
    middle = profile.recovery
    last = 2 * profile.recovery - 1
    batches = []
    for epoch, seed, count in [
        (0, 0, whole), (1, 0, whole), (middle, 1, whole), (last, 2, whole), (last, 2, short),
    ]:  # fmt: skip
        x = torch.randn(count, *shape, generator=random, dtype=torch.float32)
        y = torch.randint(CLASSES, (count,), generator=random)
        index = torch.randperm(profile.train_images, generator=random)[:count]
        batches.append((x, y, Batch(index, seed, epoch, profile.train_images)))
    return batches


def check_result(name: str, result: object, x: Tensor, y: Tensor, classes: int) -> None:
    """Check that a deficit returned images like x and labels like y. Raises: CplabError."""
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
    """Check that a deficit kept the shape and the type of images or labels. Raises: CplabError."""
    is_tensor = isinstance(after, torch.Tensor)
    if not is_tensor or after.shape != before.shape or after.dtype != before.dtype:
        kept = f"keep them a {quote(before)}"
        raise CplabError(f"{name} returns other {part}, {quote(after)}: {kept}")


DEFICITS: dict[str, Deficit] = {}
TABLES[Deficit] = DEFICITS


def deficit(function: Callable | None = None, **options: Any) -> Any:
    """Make a function a deficit: a decorator, or with options (label, colour, dash, marker).

    The function takes images (N, C, H, W), normalised to mean 0 and deviation 1, and labels (N,)
    from 0, and returns new ones of the same shapes and types. Other parameters have defaults, of
    which the first whole number is the strength, or are named `generator` (a torch.Generator,
    another for each seed, epoch and batch) and `context` (a Batch). What it draws from torch
    without a generator comes from one like that. Its key holds its source text, its defaults and
    the plain values that it reads; for anything else, such as a file, version=2 makes another key.

    >>> @deficit(label="lower part covered")
    ... def hide(x, y, rows: int = 4):
    ...     x = x.clone()
    ...     x[..., -rows:, :] = 0
    ...     return x, y
    >>> find_deficit(hide).label
    'lower part covered'
    """
    return entry_decorator(Deficit, function, options)


@deficit(label="no deficit")
def none(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Leave images and labels as they are."""
    return x, y


@deficit(colour="#0072B2")
def blur(x: Tensor, y: Tensor, strength: int = 4) -> tuple[Tensor, Tensor]:
    """Shrink images by `strength` and enlarge them again, both bilinear (the paper: 32 to 8 to
    32)."""
    size = x.shape[-2:]
    small = [max(1, round(s / strength)) for s in size]
    x = F.interpolate(x, size=small, mode="bilinear", align_corners=False, antialias=True)
    return enlarge(x, size), y


def enlarge(x: Tensor, size: Sequence[int]) -> Tensor:
    """Enlarge images (N, C, H, W) to a size, bilinear. A GPU would take one after the other, unless
    they are the channels of one image and lie last."""
    from cplab import devices

    options: Any = {"size": size, "mode": "bilinear", "align_corners": False}
    if not x.is_cuda:
        return F.interpolate(x, **options)
    as_one = x.reshape(1, -1, *x.shape[-2:]).contiguous(memory_format=torch.channels_last)
    large = F.interpolate(as_one, **options).view(*x.shape[:2], *size)
    return large.contiguous(memory_format=devices.memory_format(x.device))


@deficit(colour="#0072B2", dash="dotted", marker="cross")
def mosaic(x: Tensor, y: Tensor, side: int = 3) -> tuple[Tensor, Tensor]:
    """Replace each square of `side` × `side` pixels by its mean. Exactly the detail within a square
    is lost."""
    height, width = x.shape[-2:]
    means = F.avg_pool2d(x, side, ceil_mode=True)  # a square at the edge may be smaller
    rows, columns = means.shape[-2:]
    squares = means[..., None, :, None].expand(*means.shape[:-1], side, columns, side)
    return squares.reshape(*x.shape[:-2], rows * side, columns * side)[..., :height, :width], y


@deficit(label="vertical flip", colour="#E69F00", dash="dashed", marker="triangle")
def flip(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Turn images upside down (figure 2, left)."""
    return x.flip(-2), y


@deficit(label="permuted labels", colour="#009E73", dash="dotdash", marker="square")
def permute(x: Tensor, y: Tensor, *, context: Batch) -> tuple[Tensor, Tensor]:
    """Rename all classes by one fixed permutation that leaves none in place (figure 2, right)."""
    return x, permutation(context.classes, str(y.device))[y]


@lru_cache
def permutation(classes: int, device: str = "cpu") -> Tensor:
    """The new label of each old label, (classes,)."""
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
    """The noise that replaces the images of a batch."""
    few = context.images * x[0].numel() < 1_000_000
    make = few_patterns if few else noise_patterns
    patterns = make(context.images, tuple(x.shape[1:]), seed, str(x.device))
    return patterns[context.index].to(x.dtype)


@lru_cache(maxsize=2)
def noise_patterns(images: int, shape: tuple[int, ...], seed: int, device: str = "cpu") -> Tensor:
    """Standard Gaussian noise for all training images, (images, *shape), in half precision."""
    generator = torch.Generator().manual_seed(2**40 + seed)
    patterns = torch.empty(images, *shape, dtype=torch.float16)
    for chunk in patterns.split(4096):  # float32 noise of a chunk at a time, to spare memory
        chunk.copy_(torch.randn(chunk.shape, generator=generator, dtype=torch.float32))
    return patterns.to(device, memory_format=torch.channels_last)


few_patterns = lru_cache(maxsize=64)(noise_patterns.__wrapped__)  # of few values, many seeds'


def batch_seed(batch: Batch, place: int) -> int:
    """The seed of what the deficit at a place draws for a batch."""
    first = int(batch.index[0]) if len(batch.index) else 0
    return mixed_seed(batch.seed, batch.epoch, first, place)


def mixed_seed(*numbers: int) -> int:
    """Mix several numbers into one seed of 2**31 or more, which no run's is, within 32 bits."""
    return 2**31 + (mix_seeds(*numbers) >> 24) % 2**31


@deficit(label="vertical stripes", colour="#56B4E9", dash="dashed", marker="hex")
def stripes(x: Tensor, y: Tensor, half_angle: float = 22.5) -> tuple[Tensor, Tensor]:
    """Keep only vertical structure, as seen by a kitten reared among stripes (Blakemore and Cooper
    1970): of the Fourier components, the mean and those whose stripes stand within `half_angle`
    degrees of the vertical. The filter falls to 0 over another `half_angle`, as a raised cosine."""
    factor = upright(*x.shape[-2:], half_angle, str(x.device))
    return torch.fft.irfft2(torch.fft.rfft2(x) * factor, s=x.shape[-2:]), y


@lru_cache
def upright(height: int, width: int, half_angle: float, device: str = "cpu") -> Tensor:
    """The filter of `stripes`: a factor from 0 to 1 for each component of rfft2, (H, W // 2 +
    1)."""
    down = torch.fft.fftfreq(height, dtype=torch.float32)[:, None]
    across = torch.fft.rfftfreq(width, dtype=torch.float32)[None]
    tilt = torch.rad2deg(torch.atan2(down.abs(), across))  # 0: changes sideways, so stands upright
    factor = (1 + torch.cos(torch.pi * ((tilt - half_angle) / half_angle).clamp(0, 1))) / 2
    factor[0, 0] = 1
    return factor.to(device)


@deficit(label="blank images", colour="#885533", dash="dotdash", marker="star")
def blank(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Replace images by an even grey, the mean of all images. In a network without convolutions
    (fc) hidden weights then have gradient 0, but BatchNorm divides by √ε and rounding errors grow
    316-fold a layer: after clear epochs such a run may diverge."""
    return torch.zeros_like(x), y


@deficit(label="cover", colour="#332288", dash="dashdot", marker="cross")
def cover(x: Tensor, y: Tensor, mask: str = MASKS["right half"]) -> tuple[Tensor, Tensor]:
    """Cover a part of every image with grey, the mean of all images, like a patch on the lens. The
    part is painted on a grid of GRID × GRID fields, which images of another size take from the
    nearest field; see `mask_name`."""
    return x.masked_fill(covered(mask, *x.shape[-2:], str(x.device)), 0), y


@lru_cache
def covered(mask: str, height: int, width: int, device: str = "cpu") -> Tensor:
    """Which pixels of an image a mask covers, bool (height, width)."""
    grid = torch.tensor(read_mask(mask))
    rows = torch.arange(height) * GRID // height
    columns = torch.arange(width) * GRID // width
    return grid[rows][:, columns].to(device)


def read_mask(mask: str) -> list[list[bool]]:
    """The fields of a mask that are covered, GRID rows of GRID, from what stands after `cover-`."""
    bits = f"{int(mask, 16):0{GRID * GRID}b}"
    return [[bit == "1" for bit in bits[GRID * row :][:GRID]] for row in range(GRID)]


def mask_name(fields: Sequence[Sequence[bool]]) -> str:
    """Name the deficit that covers these fields, (GRID, GRID) of true and false. A row is three
    hexadecimal digits, so that 03f covers its right half.

    >>> mask_name([[row < 2] * 12 for row in range(12)])
    'cover-ffffff000000000000000000000000000000'
    """
    bits = "".join("1" if field else "0" for row in fields for field in row)
    allowed = len(bits) == GRID * GRID and len(fields) == GRID
    if not allowed:
        raise CplabError(f"these fields are not a mask: give {GRID} rows of {GRID}")
    return f"cover-{int(bits, 2):0{GRID * GRID // 4}x}"


def mask_words(mask: str) -> str:
    """Say in words what a mask covers, so that no two masks are called the same.

    >>> mask_words("03f" * 12), mask_words("800" + "000" * 11)
    ('right half', '1 of 144 fields, b6a5')
    """
    for words, known in MASKS.items():
        if mask == known:
            return words
    digest = hashlib.sha256(mask.encode()).hexdigest()[:4]
    return f"{int(mask, 16).bit_count()} of {GRID**2} fields, {digest}"


@deficit(label="strabismus", colour="#CC0033", dash="dashed", marker="plus")
def strabismus(x: Tensor, y: Tensor, *, context: Batch) -> tuple[Tensor, Tensor]:
    """Show another image of the batch, like an eye that looks elsewhere (Hubel and Wiesel 1965).
    The label is that of one of the two images, at random: either eye may be the one that counts."""
    chance = noise_for(x[:, :1, :1, :1], context, mixed_seed(context.seed, context.epoch))
    return x.roll(1, 0), torch.where(chance.flatten() > 0, y, y.roll(1))


NONE = DEFICITS["none"]


def find_deficit(given: object, strict: bool = True) -> Deficit:
    """Find a deficit by any written name or by its function, with its label and look. A deficit of
    one view has another dash; so have several in turn, in the colour of the first.

    Raises: CplabError for an unknown one, and, if `strict`, for a student's own that is not defined
        here, which is drawn in grey otherwise.

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
    parts = [read_part(text, name, strict) for text in str(name).split("+")]
    # `none` does nothing, to one view or to all
    acting = [part for part in parts if part.name.partition(":")[0] != "none"] or [NONE]
    first = acting[0]
    dashes = [dash for dash in OWN_DASHES if dash != first.dash]
    if len(acting) > 1:
        joined = "+".join(part.name for part in acting)
        label = ", then ".join(part.label for part in acting)
        return replace(first, name=joined, label=label, dash=dashes[0], parts=tuple(acting))
    return replace(first, dash=dashes[1]) if first.view else first


def read_part(text: str, name: object, strict: bool) -> Deficit:
    """Read one part of a written name, such as blur-2:left. Raises: CplabError."""
    match = PART.fullmatch(text) if isinstance(name, str) else None
    kind, digest, strength, view = match.groups() if match else ("", "", "", "")
    if digest and kind not in DEFICITS:
        if strict:
            what = f"deficit {quote(name)} is not defined here"
            raise CplabError(f"{what}: run the cell that defines it first")
        return Deficit(text, None, text.replace(digest, ""), dash="dotted")
    kind = full_name(Deficit, kind)
    if kind not in DEFICITS:
        choices = ", ".join(known for known in DEFICITS if "@" not in known)
        spelling = "written like blur, blur-2, blur:left or cover- and 36 hexadecimal digits"
        raise CplabError(f"unknown deficit {quote(name)}: choose one of {choices}, {spelling}")
    part = DEFICITS[kind]
    if strength and len(strength) == MASK_DIGITS:
        part = with_mask(part, strength, name)
    elif strength:
        part = with_strength(part, int(strength), name)
    if view:
        label = f"{part.label}, {view} view"
        part = replace(part, name=f"{part.name}:{view}", label=label, view=view)
    return part


def with_strength(part: Deficit, strength: int, name: object) -> Deficit:
    """A deficit of another strength; name: as it was written. Raises: CplabError."""
    parameter = part.strength
    if not parameter:
        what = f"deficit {quote(name)} is not allowed"
        raise CplabError(f"{what}: {part.name} has no strength, as blur-2 has")
    if strength == part.parameters[parameter]:
        return part
    words = f"{strength}×" if parameter == "strength" else f"{parameter} {strength}"
    apply = partial(part.apply, **{parameter: strength})
    return replace(
        part, name=f"{part.name}-{strength}", label=f"{part.label} ({words})", apply=apply
    )


def with_mask(part: Deficit, mask: str, name: object) -> Deficit:
    """A deficit that covers other fields; name: as it was written. Raises: CplabError."""
    what = f"deficit {quote(name)}"
    if "mask" not in part.parameters:
        raise CplabError(f"{what} is not allowed: {part.name} has no mask, as cover has")
    if not int(mask, 16):
        raise CplabError(f"{what} covers nothing: cover at least one field, or take none")
    if mask == part.parameters["mask"]:
        return part
    label = f"{part.label} ({mask_words(mask)})"
    apply = partial(part.apply, mask=mask)
    return replace(part, name=f"{part.name}-{mask}", label=label, apply=apply)


def canonical_name(given: object) -> str:
    """The one spelling of a deficit, as `Run` keeps it: blur+flip for none+blur-4+flip. A student's
    own that is not defined here passes, so that results of other processes can be read."""
    return find_deficit(given, strict=False).name


def apply_deficit(x: Tensor, y: Tensor, name: object, **context: Any) -> tuple[Tensor, Tensor]:
    """Apply a deficit to images and labels, as training does.

    Arguments: x, images (N, C, H, W), normalised to mean 0 and deviation 1, or two views of each
        (N, 2, C, H, W), the left one first; y, labels (N,); name, a deficit's name or its function;
        context, fields of a Batch, by default of the first images of a set.

    >>> import torch
    >>> seen, labels = apply_deficit(torch.randn(2, 3, 8, 8), torch.tensor([0, 1]), "blank")
    >>> seen.abs().max().item(), labels.tolist()
    (0.0, [0, 1])
    """
    if not isinstance(x, torch.Tensor) or x.ndim not in (4, 5) or not x.is_floating_point():
        how = "give normalised ones (N, C, H, W)"
        raise CplabError(f"images {quote(x)} are not allowed: {how}")
    deficit = find_deficit(name)
    classes = context.get("classes", CLASSES)
    whole = isinstance(y, torch.Tensor) and y.dtype == torch.long and y.shape == x.shape[:1]
    if not whole or (len(y) and not 0 <= y.min() <= y.max() < classes):
        how = f"give one from 0 to {classes - 1} each"
        raise CplabError(f"labels {quote(y)} are not allowed: {how}")
    usual: dict[str, Any] = {"index": torch.arange(len(x), device=x.device), "images": len(x)}
    from cplab.devices import torch_defaults  # load torch

    with torch_defaults():
        return deficit(x, y, Batch(**usual | context))
