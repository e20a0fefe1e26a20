"""Measurements: functions (net, images) -> plain data. They are taken while a run is trained, kept
under their names in its result, and change nothing in the training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from cplab.errors import CplabError, Diverged, Failed, explain, many, one_of, quote, whole
from cplab.late import nn, torch
from cplab.specs import plain_data, spec_class
from cplab.specs.own import CLASSES, TABLES, entry_decorator, full_name

if TYPE_CHECKING:
    from cplab.data import Images
    from cplab.runs import Run

When = str | tuple[int, ...]  # every, end or epochs
Measures = dict[str, When]  # by name
# What may be given for these, see parse_measures
Measured = str | Callable  # by name, or a student's own function
GivenWhen = str | Iterable[int] | None
Measure = Measured | Iterable[Measured] | Mapping[str, GivenWhen] | Mapping[Measured, GivenWhen]
AT_BIRTH = 32  # images on which a newborn is measured before it is trained
PLENTY = 1000  # images on which a measurement is tried that takes all there are


@spec_class
class Measurement:
    """Something to measure on a network. Call it with a network and a data.Images.

    name: under which a result keeps it. label: in words. source: the text of a student's own.
    images: how many training images, and how many test images, it is given; None for all. when:
    "every" epoch or at the "end", unless a run says otherwise.

    >>> MEASUREMENTS["weight_norms"].label
    'weight norms'
    """

    in_digest: ClassVar[tuple[str, ...]] = ("images",)
    random: ClassVar = "draw from a torch.Generator() with a seed of its own, and leave times out"

    name: str
    apply: Any
    label: str
    source: str = ""
    images: Annotated[int, Field(ge=1)] | None = 500
    copied: bool = True  # False for one of the package that only looks
    from_birth: bool = False  # whether its function takes the network at birth as well
    when: Literal["every", "end"] = "every"

    def __call__(
        self,
        net: nn.Module,
        images: Images,
        most: int | None = None,
        birth: Callable[[], nn.Module] | None = None,
    ) -> Any:
        """Measure, on `most` images at most, and return plain data. `birth` makes the network as it
        was at birth, for a measurement that asks for it. The function gets copies, so
        that it cannot change the training. Raises: Diverged for numbers that are not finite;
        CplabError."""
        from cplab.devices import explain_failures
        from cplab.seeding import Seeded

        parts = ("train_x", "train_y", "test_x", "test_y")
        chosen = {name: getattr(images, name)[: self.images][:most] for name in parts}
        chosen |= {"mean": images.mean, "std": images.std}
        if self.copied or self.source:
            net, chosen = copy.deepcopy(net), {name: x.clone() for name, x in chosen.items()}
        # what a student's own draws from torch is the same each time, see `Seeded`
        alone = Seeded(0) if self.source else nullcontext()
        with explain(f"measurement {self.name}"), explain_failures(), alone:
            networks = [net.eval()]
            if self.from_birth:
                networks.append(birth() if birth else net)
            value = self.apply(*networks, replace(images, **chosen))
        return plain_data(f"measurement {self.name!r}", value)

    def trial(self, backwards: bool = False) -> list[tuple[str, Any]]:
        """What it gives for two small networks and images of 8 × 8 pixels, a few and as many as
        training gives it. Raises CplabError if it fails, or returns anything but plain data."""
        answers = []
        cases = [(0, 4), (1, 4), (0, self.images or PLENTY)]
        for seed, count in reversed(cases) if backwards else cases:
            with torch.inference_mode(False), torch.enable_grad():
                net, images = trial_of(seed, count)
                answers.append((f"for {count} images and network {seed}", self(net, images)))
        return answers


def trial_of(seed: int, count: int) -> tuple[nn.Module, Images]:
    """A small network and some images on which a measurement can be tried."""
    from cplab import models
    from cplab.data import Images
    from cplab.seeding import Seeded

    with Seeded(seed):
        net = models.build("depth1-4", 3, 8)
    x = (torch.arange(count * 8 * 8 * 3) * 37 % 256).byte().view(count, 8, 8, 3)
    y = 3 * torch.arange(count) % CLASSES
    middle = torch.full((3,), 128.0, dtype=torch.float32)
    return net, Images("", "", x, y, x, y, middle, middle / 2)


MEASUREMENTS: dict[str, Measurement] = {}
TABLES[Measurement] = MEASUREMENTS


def measurement(function: Callable | None = None, **options: Any) -> Any:
    """Make a function a measurement, for `measure=` of run and sweep: a decorator, with or without
    options (images, when, label, see Measurement).

    The function, (net, images) -> numbers, texts, lists and dicts, gets copies of a network in eval
    mode and of a data.Images. Its key holds its source text, its defaults and the plain values that
    it reads; version=2 makes another key. Results are read by it: `result.final(weights)`.

    >>> @measurement(when="end")
    ... def weights(net, images):
    ...     return sum(weight.numel() for weight in net.parameters())
    >>> list(parse_measures(weights).values())
    ['end']
    """
    return entry_decorator(Measurement, function, options)


def parse_measures(measure: Measure | None) -> Measures:
    """Read what to measure and when: a name of MEASUREMENTS, a student's own function, several of
    these, or a dict from these to "every", "end", epochs from 0, or None for the usual time. None
    or () is nothing. Raises: CplabError for an unknown measurement or time.

    >>> parse_measures(("trace", "ending"))
    {'trace': 'every', 'ending': 'end'}
    >>> parse_measures({"trace": [0, 3]})
    {'trace': (0, 3)}
    """
    times: list[tuple[Measured, GivenWhen]]
    if isinstance(measure, Mapping):
        times = list(measure.items())
    else:
        times = [(measured, None) for measured in many(measure or ())]  # at their usual time
    measures = Measures()
    for measured, when in times:
        name = one_of("measurement", full_name(Measurement, measured), MEASUREMENTS)
        measures[name] = MEASUREMENTS[name].when if when is None else parse_when(when)
    return measures


def parse_when(when: str | Iterable[int]) -> When:
    """Read a time to measure: "every", "end" or epochs from 0. Raises: CplabError."""
    if isinstance(when, str) and when in ("every", "end"):
        return when
    epochs = many(when)
    if isinstance(when, str) or not epochs:
        times = "give every, end or a tuple of epochs"
        raise CplabError(f"{quote(when)} is not a time to measure: {times}")
    return tuple(sorted({whole("epoch", epoch) for epoch in epochs}))


def due_measures(measures: Measures, row: dict) -> list[str]:
    """The measurements that are due after the epoch of a row, apart from those of the end."""
    if "event" in row:
        return []
    due = []
    for name, when in measures.items():
        if when == "every" or (when != "end" and row["epoch"] in when):
            due.append(name)
    return due


def measure_after(
    names: list[str],
    run: Run,
    row: dict,
    net: nn.Module,
    images: Images,
    most: int | None = None,
) -> None:
    """Take measurements, on `most` images at most, and add them to the row of an epoch. Raises:
    Failed; Diverged for numbers that are not finite."""

    def birth() -> nn.Module:
        return run.task.birth(images.train_x.device).net

    for name in names:
        try:
            measured = MEASUREMENTS[name](net, images, most, birth)
        except CplabError as error:
            kind: type[CplabError] = Failed
            remedy = "ask without it"
            if isinstance(error, Diverged):
                kind = Diverged
                remedy += ", or take a smaller learning rate"
            raise kind(
                f"no {name} after epoch {row['epoch']} ({error}): no result is kept of "
                f"{run.canonical()}; {remedy}"
            ) from error.__cause__ or error
        row.setdefault("measured", {})[name] = measured


def try_on_newborn(measures: Measures, run: Run, net: nn.Module, images: Images) -> None:
    """Try measurements on the newborn network before it is trained, a student's own twice. Raises:
    CplabError for one that fails, or that gives something else when it is asked again; it ends all
    trainings, since it would fail in each."""
    for name in measures:
        try:
            first: dict[str, Any] = {"epoch": "0 or later"}
            measure_after([name], run, first, net, images, AT_BIRTH)
            if not MEASUREMENTS[name].source:
                continue
            second: dict[str, Any] = {"epoch": "0 or later"}
            measure_after([name], run, second, net, images, AT_BIRTH)
        except Diverged:
            continue
        except Failed as error:
            raise CplabError(str(error)) from error.__cause__
        if second != first:
            what = f"{name} gives something else when it is asked again"
            raise CplabError(f"{what}: {Measurement.random}")
