"""Measurements: functions of a network and images, which are taken while a run is trained.

They return plain data, which the result keeps under their names, and change nothing in training.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from cplab.base.errors import (
    CplabError,
    Diverged,
    Failed,
    as_list,
    explain,
    one_of,
    quote,
    whole,
    with_message,
)
from cplab.base.late import nn
from cplab.specs import plain_data, spec_class
from cplab.specs.own import TABLES, Registered, entry_decorator, full_name

if TYPE_CHECKING:
    from cplab.pictures.data import Images
    from cplab.runs import Run

When = str | tuple[int, ...]  # "every", "end", or epochs
Measures = dict[str, When]  # when to take each measurement, by its name
# What `parse_measures` reads: a measurement is given by its name or as a student's own function
Measured = str | Callable
GivenWhen = str | Iterable[int] | None
Measure = Measured | Iterable[Measured] | Mapping[str, GivenWhen] | Mapping[Measured, GivenWhen]
AT_BIRTH = 32  # images on which a student's own is tried before a run is trained


@spec_class
class Measurement(Registered):
    """Something to measure on a network. Call it with a network and a data.Images.

    >>> MEASUREMENTS["weight_norms"].label
    'weight norms'
    """

    in_digest: ClassVar[tuple[str, ...]] = ("images",)

    # How many training images, and how many test images, its function gets; None for all
    images: Annotated[int, Field(ge=1)] | None = 500
    copied: bool = True  # whether it gets copies; False for one of the package that changes nothing
    from_birth: bool = False  # whether its function takes the network at birth as well
    when: Literal["every", "end"] = "every"  # epoch, or only the last, unless a run says otherwise

    def __call__(
        self,
        net: nn.Module,
        images: Images,
        most: int | None = None,
        birth: Callable[[], nn.Module] | None = None,
    ) -> Any:
        """Measure a network.

        The function gets copies, so that it cannot change the training.

        Arguments:
            net: the network.
            images: the data set.
            most: a further limit to the number of images.
            birth: makes the network as it was at birth, for a measurement that compares with it.

        Returns:
            plain data.

        Raises:
            Diverged: for numbers that are not finite.
            CplabError: for other failures.
        """
        from cplab.base.devices import explain_failures
        from cplab.base.seeding import seeded

        tensors: dict[str, Any] = {"mean": images.mean, "std": images.std}
        for name in ("train_x", "train_y", "test_x", "test_y"):
            tensors[name] = getattr(images, name)[: self.images][:most]
        if self.copied or self.own:
            net = copy.deepcopy(net)
            tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        # What a student's own draws from torch is the same each time
        draws = seeded(0) if self.own else nullcontext()
        with explain(f"measurement {self.name}"), explain_failures(), draws:
            networks = [net.eval()]
            if self.from_birth:
                networks.append(birth() if birth else net)
            value = self.apply(*networks, replace(images, **tensors))
        return plain_data(f"measurement {self.name!r}", value)


MEASUREMENTS: dict[str, Measurement] = {}
TABLES[Measurement] = MEASUREMENTS


def measurement(function: Callable | None = None, **options: Any) -> Any:
    """Make a function a measurement, for `measure=` of run and sweep: a decorator, with or without
    options (images, when, label: see `Measurement`).

    The function takes copies of a network in eval mode and of a data.Images, whose pixels are bytes
    (N, H, W, C): the network takes images.normal(images.test_x). It returns numbers, texts, lists
    and dicts. A result is asked for them by the function: `result.final(weights)`.

    Its key is made of its code, and of the own functions and values that it reads. If anything else
    has changed, such as a file that it reads, version=2 gives another key.

    >>> import cplab
    >>> @cplab.measurement(when="end")
    ... def certainty(net, images):
    ...     logits = net(images.normal(images.test_x))
    ...     return logits.softmax(1).amax(1).mean().item()
    >>> cplab.run(recovery=1, profile="ci", measure=certainty).final(certainty) > 0.1
    True
    """
    return entry_decorator(Measurement, function, options)


def parse_measures(measure: Measure | None) -> Measures:
    """Read what to measure and when.

    Arguments:
        measure: a name of MEASUREMENTS, a student's own function, several of these, or a dict from
            these to "every", "end", epochs from 0, or None for the usual time.

    Raises:
        CplabError: for an unknown measurement or time.

    >>> parse_measures(("trace", "ending"))
    {'trace': 'every', 'ending': 'end'}
    >>> parse_measures({"trace": [0, 3]})
    {'trace': (0, 3)}
    """
    times: list[tuple[Measured, GivenWhen]]
    if isinstance(measure, Mapping):
        times = list(measure.items())
    else:
        times = [(measured, None) for measured in as_list(measure or ())]
    measures = Measures()
    for measured, when in times:
        name = one_of("measurement", full_name(Measurement, measured), MEASUREMENTS)
        measures[name] = MEASUREMENTS[name].when if when is None else parse_when(when)
    return measures


def parse_when(when: str | Iterable[int]) -> When:
    """Read when to measure: "every", "end" or epochs from 0.

    Raises:
        CplabError.
    """
    if isinstance(when, str) and when in ("every", "end"):
        return when
    epochs = as_list(when)
    if isinstance(when, str) or not epochs:
        times = "give every, end or a tuple of epochs"
        raise CplabError(f"{quote(when)} is not a time to measure: {times}")
    return tuple(sorted({whole("epoch", epoch) for epoch in epochs}))


def due_measures(measures: Measures, row: dict) -> list[str]:
    """The names of measurements that are due after an epoch. Those of the end, which are taken
    once training is over, are not among them.

    row: the epoch's row of the curve; after the row of an event nothing is due.
    """
    if "event" in row:
        return []
    due = []
    for name, when in measures.items():
        if when == "end":
            continue
        if when == "every" or row["epoch"] in when:
            due.append(name)
    return due


def measure_after(
    names: list[str],
    run: Run,
    row: dict,
    net: nn.Module,
    images: Images,
    most: int | None = None,
    birth: Callable[[], nn.Module] | None = None,
) -> None:
    """Take measurements after an epoch, and add them to its row of the curve.

    Arguments:
        names: of the measurements.
        run: that is trained.
        row: of the curve, which is changed.
        net: the network.
        images: the data set.
        most: how many of the images are measured at most.
        birth: makes the network as it was at birth, which is `net` by default.

    Raises:
        Diverged: for numbers that are not finite.
        Failed: for other failures.
    """
    for name in names:
        try:
            measured = MEASUREMENTS[name](net, images, most, birth)
        except CplabError as error:
            failure: type[CplabError] = Failed
            remedy = "ask without it"
            if isinstance(error, Diverged):
                failure = Diverged
                remedy += ", or take a smaller learning rate"
            line = f"no {name} after epoch {row['epoch']} of seed {run.seed} ({error}): {remedy}"
            raise with_message(error, failure, line) from error.__cause__ or error
        row.setdefault("measured", {})[name] = measured


def try_on_newborn(measures: Measures, run: Run, net: nn.Module, images: Images) -> None:
    """Try a student's own measurements on a newborn network before it is trained.

    Raises:
        CplabError: for one that fails. This ends all trainings, since it would fail in each.
    """
    for name in measures:
        if not MEASUREMENTS[name].own:
            continue
        try:
            # A row of no curve, whose epoch stands in the error
            measure_after([name], run, {"epoch": "0 or later"}, net, images, AT_BIRTH)
        except Diverged:
            continue
        except Failed as error:
            raise with_message(error, CplabError, str(error)) from error.__cause__
