"""What a deficit is, what it may know about a batch, and how one is added."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from cplab.base import palette
from cplab.base.errors import CplabError, explain, quote
from cplab.base.late import Tensor, torch
from cplab.specs import mix_seeds, spec_class
from cplab.specs.digest import Definition
from cplab.specs.own import CLASSES, TABLES, Registered, entry_decorator
from cplab.specs.profiles import PROFILES

Colour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]
Dash = Literal["solid", "dashed", "dotted", "dashdot", "dotdash"]
OWN_DASHES = get_args(Dash)[1:]
Marker = Literal[
    "circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "star", "plus", "cross"
]
OWN_MARKERS = get_args(Marker)[1:]
VIEWS = ("left", "right")
PIXELS = ", ".join(str(size) for size in sorted({profile.size for profile in PROFILES.values()}))


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
    colour: Colour = field(default=palette.PLAIN, compare=False)
    dash: Dash = field(default="solid", compare=False)
    marker: Marker = field(default="circle", compare=False)
    view: str | None = field(default=None, compare=False)
    parts: tuple[Deficit, ...] = field(default=(), compare=False)

    def __repr__(self) -> str:
        return f"Deficit({self.name!r})"

    def __call__(self, x: Tensor, y: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Apply the deficit to a batch.

        Arguments:
            x: images (N, C, H, W), or two views of each, (N, 2, C, H, W); it acts on both
                unless its name names one.
            y: labels (N,).
            batch: where the images stand in the training.

        Returns:
            images and labels of the same shapes.
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

        Raises:
            CplabError: if it is not defined here, and for an error in a student's own.

        A student's own gets copies, which it may change in place. It may draw from torch without a
        generator: it then gets random numbers that the batch decides.

        Arguments:
            deficits_before: how many deficits act before it: each draws other random numbers.
        """
        if self.apply is None:
            raise CplabError(
                f"deficit {self.name} is not defined here: run the cell that defines it first"
            )
        extras = self.extras(batch, deficits_before)
        if not self.own:
            return self.apply(x, y, **extras)
        from cplab.base.seeding import seeded

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

        Arguments:
            batch: the batch.
            deficits_before: as for `use`.
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
        count = sum(entry.colour in palette.OWN for entry in DEFICITS.values())
        return {
            "colour": palette.OWN[count % len(palette.OWN)],
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

    Raises:
        CplabError.
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

    Raises:
        CplabError.
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


def batch_seed(batch: Batch, deficits_before: int) -> int:
    """The seed of what a deficit draws for a batch, if so many deficits act before it."""
    first = int(batch.index[0]) if len(batch.index) else 0
    return mixed_seed(batch.seed, batch.epoch, first, deficits_before)


def mixed_seed(*numbers: int) -> int:
    """Mix several numbers into one seed from 2**31 to 2**32, which is no run's seed."""
    return 2**31 + (mix_seeds(*numbers) >> 24) % 2**31
