"""Experiments: functions whose values are kept in the store, beside the results of runs.

What one study computes, and the engine does not, is a function that returns plain data:

    @experiment(version=1)
    def search(dataset: str = "mnist", seed: Seed = 0, *, device: str = "auto") -> dict:
        ...

    search(seed=3)                            # its values: looked up, or computed and kept
    cplab.sweep([search.spec(seed=s) for s in range(10)])   # ten results, side by side

The key of a result is made of the function's name, the version and those arguments that differ from
their defaults, so that a new argument leaves all keys as they were; of a student's own function, of
its text as well, see cplab.specs.source. Arguments after the `*` say how it is computed, and are no
part of the key: device, stop (a threading.Event) and report.
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
from cplab.specs.experiments import FUNCTIONS, Experiment
from cplab.specs.source import is_library, is_plain, source_digest

Stop = Event | None  # ends a computation early, once it is set


class Function:
    """A function that was decorated with `experiment`. Called, it returns its values, looked up or
    computed. compute: the function itself, which looks nothing up and keeps nothing."""

    def __init__(self, compute: Callable[..., dict], version: int, shares: Any) -> None:
        update_wrapper(self, compute)
        self.compute, self.version, self.shares = compute, version, shares
        parameters = inspect.signature(compute).parameters.values()
        asked = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
        self.defaults = {p.name: p.default for p in asked if p.default is not p.empty}
        hints = get_type_hints(compute, include_extras=True)
        types = {p.name: hints.get(p.name, Any) for p in asked}
        fields = {"__annotations__": types, "__module__": __name__, **self.defaults}
        self._checked: Any = spec_class(type(compute.__name__, (), fields))
        self.place = f"{compute.__module__}:{compute.__name__}"
        self.digest = ""  # of the text of a student's own
        self.text = ""  # its text, with all that it reads: this is what is computed
        FUNCTIONS[self.place] = self

    @property
    def arguments(self) -> list[str]:
        """The names of what it is asked for, in their order."""
        return [*self._checked.__annotations__]

    @property
    def address(self) -> str:
        """Where it is, module:name; of a student's own with a digest of its text."""
        function = self.as_read_now()
        return f"{self.place}@{function.digest}" if function.digest else self.place

    def as_read_now(self) -> "Function":
        """The function with the values that it reads now. One of a student's own then keeps its
        text: what was described before a constant changed is computed with the old one."""
        if self.digest or is_library(self.compute.__module__):
            return self
        digest, text = source_digest(self.compute)
        address = f"{self.place}@{digest}"
        if address not in FUNCTIONS:
            fixed = copy(self)
            fixed.digest, fixed.text = digest, text
            FUNCTIONS[address] = fixed
        return FUNCTIONS[address]

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        training = {name: kwargs.pop(name) for name in ("device", "stop") if name in kwargs}
        return values_of(self.spec(*args, **kwargs), **training)

    def spec(self, *args: Any, **kwargs: Any) -> Experiment:
        """Describe a call without computing it. Raises CplabError for what is not allowed."""
        checked = self._checked(*args, **kwargs)
        given = []
        for name in checked.__annotations__:
            value = getattr(checked, name)
            if name not in self.defaults or value != self.defaults[name]:
                given.append((name, value))
        for name, value in given:
            if isinstance(value, Spec) or (is_plain(value) and isinstance(value, Hashable)):
                continue
            raise CplabError(
                f"{name} {quote(value)} is not allowed: give a number, a text, a tuple of these, "
                "or a run"
            )
        return Experiment(self.address, self.version, tuple(given))


def experiment(version: int, shares: Callable[..., Hashable] | None = None) -> Any:
    """Keep what a function returns: a decorator, see the module.

    Arguments: version, raised by one whenever a change alters the values of the same arguments;
        shares, a function of the arguments by name that gives what experiments with common training
        have in common, such as the search that they begin from.

    What a student's own function draws from torch without a generator begins with its argument
    `seed`, as after torch.manual_seed(seed), and nobody else draws from the same.

    >>> @experiment(version=1)
    ... def thrown(dice: int, seed: int = 0) -> dict:
    ...     return {"sum": dice * 3.5}
    >>> thrown.spec(2, seed=1), thrown(2)
    (thrown.spec(dice=2, seed=1), {'sum': 7.0})
    """
    version = whole("version", version, 1)
    return lambda function: Function(function, version, shares)
