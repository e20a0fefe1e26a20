"""Experiments: functions whose values are kept in the store, beside the results of runs.

What a study computes beyond the training of runs is written as a function that returns plain data:

    @experiment(version=1)
    def search(dataset: str = "mnist", seed: Seed = 0, *, device: str = "auto") -> dict:
        ...

    search(seed=3)                            # its values: looked up, or computed and kept
    cplab.sweep([search.spec(seed=s) for s in range(10)])   # ten results, side by side

The key of a result is made of the function's name, its version, and those arguments that differ
from their defaults, so that a new argument leaves all keys as they were. The key of a student's own
is made of its text too (cplab.specs.source). Arguments after the `*` say how it is computed, and
are not part of the key: device, stop (a threading.Event) and report.
"""

import inspect
from collections.abc import Callable, Hashable
from copy import copy
from functools import update_wrapper
from threading import Event
from typing import Any, get_type_hints

from cplab.errors import CplabError, quote, whole
from cplab.results.api import values_of
from cplab.specs import Spec, spec_class
from cplab.specs.experiments import EXPERIMENTS, Experiment, ExperimentFunction
from cplab.specs.source import is_library, is_plain, read_source

Stop = Event | None  # ends a computation early once it is set


class Function:
    """A function that `experiment` has decorated. Called, it looks its values up or computes them.

    Attributes:
        compute: the function itself, which looks nothing up and keeps nothing.
        version: raised by one whenever a change alters the values of the same arguments.
        shares, check: as for `experiment`.
        defaults: of its arguments, by name.
        place: module:name.
        digest: of a student's own text; else "".
        text: a student's own text with all that it reads, which is then run; else "".
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
        self.digest = ""
        self.text = ""
        EXPERIMENTS[self.place] = self

    @property
    def arguments(self) -> list[str]:
        """The names of its arguments, in their order."""
        return [*self._arguments_class.__annotations__]

    @property
    def address(self) -> str:
        """Where it is, module:name; for a student's own with the digest of its text."""
        function = self.as_read_now()
        return f"{self.place}@{function.digest}" if function.digest else self.place

    def as_read_now(self) -> ExperimentFunction:
        """The function with the values that it now reads outside itself.

        A student's own keeps its text from then on: what was described before a constant changed is
        computed with the old constant.
        """
        if self.digest or is_library(self.compute.__module__):
            return self
        digest, text = read_source(self.compute)
        address = f"{self.place}@{digest}"
        if address not in EXPERIMENTS:
            fixed = copy(self)
            fixed.digest = digest
            fixed.text = text
            EXPERIMENTS[address] = fixed
        return EXPERIMENTS[address]

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        training = {name: kwargs.pop(name) for name in ("device", "stop") if name in kwargs}
        return values_of(self.spec(*args, **kwargs), **training)

    def spec(self, *args: Any, **kwargs: Any) -> Experiment:
        """Describe a call without computing it. Raises: CplabError for what is not allowed."""
        checked = self._arguments_class(*args, **kwargs)
        values = {name: getattr(checked, name) for name in self.arguments}
        different = []  # from their defaults
        for name, value in values.items():
            if name in self.defaults and value == self.defaults[name]:
                continue
            is_plain_value = is_plain(value) and isinstance(value, Hashable)
            if not is_plain_value and not isinstance(value, Spec):
                raise CplabError(
                    f"{name} {quote(value)} is not allowed: give a number, a text, a tuple of "
                    "these, or a run"
                )
            different.append((name, value))
        if self.check:
            self.check(**values)
        return Experiment(self.address, self.version, tuple(different))


def experiment(
    version: int,
    shares: Callable[..., Hashable] | None = None,
    check: Callable[..., object] | None = None,
) -> Callable[[Callable[..., dict]], Function]:
    """Make a function an experiment, whose values are kept: a decorator, see the module.

    A student's own may draw from torch without a generator. Its argument `seed` then decides the
    random numbers, as after torch.manual_seed(seed), whatever other threads draw. It may read
    numbers, texts, arrays, runs and functions that are defined above it: they are part of its text,
    so another value makes another key.

    Arguments: version, raised by one whenever a change alters the values of the same arguments;
        shares, a function that takes the arguments by name, and returns what experiments that share
        training have in common, such as the search that they begin with; check, a function that
        takes them by name too, and raises a CplabError where they do not fit together.

    >>> @experiment(version=1)
    ... def thrown(dice: int, seed: int = 0) -> dict:
    ...     return {"sum": dice * 3.5}
    >>> thrown.spec(2, seed=1), thrown(2)
    (thrown.spec(dice=2, seed=1), {'sum': 7.0})
    """
    version = whole("version", version, 1)
    return lambda function: Function(function, version, shares, check)
