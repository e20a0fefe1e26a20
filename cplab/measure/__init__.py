"""Measurements of a network: Fisher information, sharpness, filters, norms, and a student's own.

A measurement is a function (net, images) -> plain data, which a run takes along the way and keeps
under the measurement's name. It is no part of what is trained. In a cell:

    @cplab.measurement(when="end")
    def dead_units(net, images): ...

    cplab.run(deficit="blur", length=8, measure=("trace", dead_units))

This module does not import torch; the functions below are loaded when they are first used.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cplab import registry
from cplab.checks import CplabError, one_of, whole
from cplab.lazy import load_late

if TYPE_CHECKING:
    from torch import nn

    from cplab.data import Images

__all__, __getattr__, __dir__ = load_late(
    __name__,
    fisher="trace diagonal sampled_trace log_determinant information sharpness",
    filters="orientation power_spectrum",
)
__all__ += ["MEASUREMENTS", "Measurement", "measurement"]

WHEN = ("every", "end")
When = str | tuple[int, ...]
FEW = 500  # where a measurement does not say


@dataclass(frozen=True)
class Measurement:
    """Something to measure on a network; call it with a network and a data.Images.

    name: under which a result keeps it; one of a student's own ends in @ and a digest of its
        source.
    apply: (net, images) -> numbers, texts, lists and dicts; the network comes in eval mode.
    label: in words. about: the first line of the docstring.
    source: the text of a student's own, else empty.
    images: how many of the training images, and of the test images, it is given; None for all.
    when: "every" epoch or at the "end", where a run does not say.

    >>> MEASUREMENTS["weight_norms"].about
    "Frobenius norm of each layer's weight."
    """

    name: str
    apply: Callable[[Any, Any], Any]
    label: str
    about: str = ""
    source: str = ""
    images: int | None = FEW
    when: str = "every"

    def __call__(self, net: nn.Module, images: Images) -> Any:
        """Plain data; the network's modes and gradients are put back.

        Raises: CplabError for weights or buffers that have changed, numbers that are not finite,
            and other than plain data.
        """
        from cplab.measure.passes import eval_mode

        parts = ("train_x", "train_y", "test_x", "test_y")
        few = replace(images, **{name: getattr(images, name)[: self.images] for name in parts})
        gradients = [(weight, weight.grad) for weight in net.parameters()]
        before = versions(net)
        try:
            for weight, _ in gradients:
                weight.grad = None
            with eval_mode(net):
                found = self.apply(net, few)
        finally:
            for weight, gradient in gradients:
                weight.grad = gradient
        if versions(net) != before:
            raise CplabError(
                f"measurement {self.name!r} changes the network, which trains on: let it work on "
                "copy.deepcopy(net)"
            )
        check_plain(self.name, found)
        return found


def versions(net: nn.Module) -> list[tuple[int, int]]:
    """Which tensors a network has, and how often each was changed in place."""
    return [(id(tensor), tensor._version) for tensor in (*net.parameters(), *net.buffers())]


def check_plain(name: str, value: Any) -> None:
    """Raises: CplabError for what JSON cannot hold, and for numbers that are not finite."""
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        value = [*value.values()]
    if isinstance(value, list):
        for each in value:
            check_plain(name, each)
    elif not isinstance(value, (int, float, str, type(None))):
        raise CplabError(
            f"measurement {name!r} gives a {type(value).__name__}: return numbers, texts, lists "
            "and dicts by text (tensors have .item() and .tolist())"
        )
    elif isinstance(value, float) and not math.isfinite(value):
        raise CplabError(f"measurement {name!r} is not finite: the network has diverged")


def built_in(name: str, net: nn.Module, images: Images) -> dict:
    home = importlib.import_module("cplab.measure.builtin")
    return getattr(home, f"measure_{name}")(net, images)


MEASUREMENTS: dict[str, Measurement] = {
    name: Measurement(name, partial(built_in, name), label, about, when=when)
    for name, when, label, about in (
        ("trace", "every", "Fisher trace", "Fisher trace by layer, and its log-determinant."),
        ("ending", "end", "information", "Information by layer, first filters and sharpness."),
        ("weight_norms", "every", "weight norms", "Frobenius norm of each layer's weight."),
    )
}
registry.TABLES[Measurement] = MEASUREMENTS


def measurement(
    function: Callable[[Any, Any], Any] | None = None,
    *,
    images: int | None = FEW,
    when: str = "every",
    label: str | None = None,
) -> Any:
    """Make a function a measurement: a decorator, with or without arguments.

    Arguments:
        function: (net, images) -> numbers, texts, lists and dicts, of a network in eval mode and a
            data.Images, and of nothing else; it leaves the network as it is.
        images, when, label: see Measurement.
    Returns: the function itself, to be given to `measure=` of run and sweep.
    Raises: CplabError for a function whose meaning its source does not tell, or that does not do
        as is said above when it is tried on a network of two convolutions and four images.

    >>> @measurement(when="end")
    ... def weights(net, images):
    ...     return sum(weight.numel() for weight in net.parameters())
    >>> list(parse_measures(weights).values())
    ['end']
    """
    if function is None:
        return partial(measurement, images=images, when=when, label=label)
    register_measurement(function, images, when, label)
    return function


def register_measurement(
    function: Any, images: int | None = FEW, when: str = "every", label: str | None = None
) -> Measurement:
    """A student's function as a measurement; the number of images is part of its name."""
    from cplab.measure.trial import try_measurement

    one_of("when", when, WHEN)
    images = None if images is None else whole("images", images, least=1)
    digest, source = registry.meaning(function)
    word = function.__name__ if images == FEW else f"{function.__name__}-{images or 'all'}"
    name, label = f"{word}@{digest}", label or function.__name__.replace("_", " ")
    made = MEASUREMENTS.get(name)
    if made is None:
        about = (function.__doc__ or "").strip().partition("\n")[0]
        apply = registry.rebuild(source, name)
        made = Measurement(name, apply, label, about, source, images, when)
        try_measurement(made)
    MEASUREMENTS[name] = replace(made, when=when, label=label)
    registry.DECORATED[function] = {"images": images, "when": when, "label": label}
    return MEASUREMENTS[name]


def parse_measures(measure: Any) -> dict[str, When]:
    """What to measure and when, out of all ways to say it.

    Arguments: measure, a name of MEASUREMENTS, a Measurement, a student's own function, several of
        these, or a dict from these to "every", "end" or epochs, from 0; None or () for nothing.
    Raises: CplabError for an unknown measurement, or a time that is none.

    >>> parse_measures(("trace", "ending"))
    {'trace': 'every', 'ending': 'end'}
    >>> parse_measures({"trace": [0, 3]})
    {'trace': (0, 3)}
    """
    if isinstance(measure, Mapping):
        return {find_measurement(each).name: parse_when(when) for each, when in measure.items()}
    if measure is None or isinstance(measure, str) or not isinstance(measure, Iterable):
        measure = () if measure is None else (measure,)
    return {one.name: one.when for one in map(find_measurement, measure)}


def find_measurement(measure: Any) -> Measurement:
    if isinstance(measure, Measurement):
        return MEASUREMENTS.setdefault(measure.name, measure)
    if callable(measure):
        return register_measurement(measure, **registry.DECORATED.get(measure, {}))
    return MEASUREMENTS[one_of("measurement", measure, MEASUREMENTS)]


def parse_when(when: Any) -> When:
    if isinstance(when, str) and when in WHEN:
        return when
    epochs = [*when] if isinstance(when, Iterable) else [when]
    if isinstance(when, str) or not epochs:
        raise CplabError(f"{when!r} is no time to measure: give every, end or a tuple of epochs")
    return tuple(sorted({whole("epoch", epoch) for epoch in epochs}))
