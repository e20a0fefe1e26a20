"""Experiments: functions whose values are kept in the store, beside the results of runs.

What a study computes beyond the training of runs is written as a function that returns plain data:

    @experiment
    def search(dataset: str = "mnist", seed: Seed = 0, *, device: str = "auto") -> dict:
        ...

    search(seed=3)                            # its values: looked up, or computed and kept
    cplab.sweep([search.spec(seed=s) for s in range(10)])   # ten results, side by side

The key of a result is made of the function's name, its version, and those arguments that differ
from their defaults, so that a new argument leaves all keys as they were. The key of a student's own
is made of its code too (cplab.specs.digest). Arguments after the `*` say how it is computed, and
are not part of the key: device, stop (a threading.Event) and report.
"""

import inspect
import math
from collections.abc import Callable, Hashable
from copy import copy
from functools import update_wrapper
from threading import Event
from typing import Any, get_type_hints

import numpy as np

from cplab.errors import CplabError, quote, whole
from cplab.results.api import values_of
from cplab.specs import Spec, spec_class
from cplab.specs.digest import Definition, Reading, is_own
from cplab.specs.experiments import EXPERIMENTS, Experiment, ExperimentFunction

Stop = Event | None  # ends a computation early once it is set


class Function:
    """A function that `experiment` has decorated. Called, it looks its values up or computes them.

    Attributes:
        compute: the function itself, which looks nothing up and keeps nothing.
        version: raised by one whenever a change alters the values of the same arguments.
        shares, check: as for `experiment`.
        defaults: of its arguments, by name.
        place: module:name.
        own: the definition of a student's own, which is then run; else None.
    """

    def __init__(
        self,
        compute: Callable[..., dict],
        version: int,
        shares: Callable[..., Hashable] | None,
        check: Callable[..., object] | None = None,
    ) -> None:
        update_wrapper(self, compute)
        self.compute = compute
        self.version = version
        self.shares = shares
        self.check = check
        hints = get_type_hints(compute, include_extras=True)
        self.defaults = {}
        types = {}
        for name, parameter in inspect.signature(compute).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:  # it says how, and is not part of the key
                continue
            types[name] = hints.get(name, Any)
            if parameter.default is not parameter.empty:
                self.defaults[name] = parameter.default
        # A class whose fields are the arguments checks them as a Run does its fields
        fields = {"__annotations__": types, "__module__": __name__, **self.defaults}
        self._arguments_class: type = spec_class(type(compute.__name__, (), fields))
        self.place = f"{compute.__module__}:{compute.__name__}"
        self.own: Definition | None = None
        EXPERIMENTS[self.place] = self

    @property
    def arguments(self) -> list[str]:
        """The names of its arguments, in their order."""
        return [*self._arguments_class.__annotations__]

    @property
    def address(self) -> str:
        """Where it is, module:name; for a student's own with its digest."""
        function = self.as_read_now()
        return f"{self.place}@{function.own.digest}" if function.own else self.place

    def as_read_now(self) -> ExperimentFunction:
        """The function with the values that it now reads outside itself.

        A student's own stays what it is then: what was described before a constant changed is
        computed with the old constant.
        """
        if self.own or not is_own(self.compute):
            return self
        reading = Reading(self.compute, versioned=True)
        address = f"{self.place}@{reading.digest}"
        if address not in EXPERIMENTS:
            fixed = copy(self)
            fixed.own = reading.definition()
            EXPERIMENTS[address] = fixed
        return EXPERIMENTS[address]

    def __reduce__(self) -> tuple[Any, ...]:
        # For another process, where its module is not imported
        return Function, (self.compute, self.version, self.shares, self.check)

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        training = {name: kwargs.pop(name) for name in ("device", "stop") if name in kwargs}
        return values_of(self.spec(*args, **kwargs), **training)

    def spec(self, *args: Any, **kwargs: Any) -> Experiment:
        """Describe a call without computing it. Raises: CplabError for what is not allowed."""
        checked = self._arguments_class(*args, **kwargs)
        values = {name: without_numpy(getattr(checked, name)) for name in self.arguments}
        different = []  # from their defaults
        for name, value in values.items():
            if name in self.defaults and value == self.defaults[name]:
                continue
            if not is_plain(value) and not isinstance(value, Spec):
                raise CplabError(
                    f"{name} {quote(value)} is not allowed: give a number, a text, a tuple of "
                    "these, or a run"
                )
            different.append((name, value))
        if self.check:
            self.check(**values)
        return Experiment(self.address, self.version, tuple(different))


def without_numpy(value: Any) -> Any:
    """A number of numpy as one of Python; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def is_plain(value: object) -> bool:
    """Whether a key can hold a value: a finite number, a text, None, or a tuple of these."""
    if isinstance(value, tuple):
        return all(map(is_plain, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, int | str)


def experiment(
    function: Callable[..., dict] | None = None,
    *,
    version: int = 1,
    shares: Callable[..., Hashable] | None = None,
    check: Callable[..., object] | None = None,
) -> Any:
    """Make a function an experiment, whose values are kept: a decorator, with or without options,
    see the module.

    A student's own may draw from torch without a generator. Its argument `seed` then decides the
    random numbers, as after torch.manual_seed(seed), whatever other threads draw. The values and
    functions that it reads are part of its key.

    Arguments: version, raised by one whenever a change alters the values of the same arguments;
        shares, a function that takes the arguments by name, and returns what experiments that share
        training have in common, such as the search that they begin with; check, a function that
        takes them by name too, and raises a CplabError where they do not fit together.

    >>> @experiment
    ... def thrown(dice: int, seed: int = 0) -> dict:
    ...     return {"sum": dice * 3.5}
    >>> thrown.spec(2, seed=1), thrown(2)
    (thrown.spec(dice=2, seed=1), {'sum': 7.0})
    """
    version = whole("version", version, 1)
    if function is None:
        return lambda function: Function(function, version, shares, check)
    return Function(function, version, shares, check)
