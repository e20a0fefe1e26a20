"""Experiments: functions whose values are kept in the store, beside the results of runs.

What one study computes, and the engine does not, is a function that returns plain data:

    @experiment(version=1)
    def search(dataset: str = "mnist", seed: Seed = 0, *, device: str = "auto") -> dict:
        ...

    search(seed=3)                            # its values: looked up, or computed and kept
    cplab.sweep([search.spec(seed=s) for s in range(10)])   # ten results, side by side

The key of a result is made of the function's name, the version and those arguments that differ from
their defaults, so that a new argument leaves all keys as they were. Arguments after the `*` say how
it is computed, and are no part of the key: device, stop (a threading.Event) and report.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, get_type_hints

from cplab.errors import CplabError
from cplab.specs import Spec, spec_class

FUNCTIONS: dict[str, "Function"] = {}  # all that were decorated, by module:name


@dataclass(frozen=True, repr=False)
class Experiment(Spec):
    """One call of an experiment's function: what is looked up, computed and kept. Its arguments are
    attributes.

    address: where its function is, module:name. version: the function's. given: arguments that
    differ from their defaults, by name, in the function's order.
    """

    address: str
    version: int
    given: tuple[tuple[str, Any], ...] = ()

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name in (arguments := self.arguments):
            return arguments[name]
        raise AttributeError(f"{self.name} has no argument {name!r}")

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.given)
        return f"{self.name}.spec({given})"

    @property
    def name(self) -> str:
        """The function's name."""
        return self.address.rpartition(":")[2]

    @property
    def arguments(self) -> dict[str, Any]:
        """All arguments by name, with the defaults of those that are not given."""
        return find_function(self.address).defaults | dict(self.given)

    @property
    def seed(self) -> int:  # type: ignore[override]
        """The argument called seed, or the seed of the experiment that this one begins from."""
        arguments = self.arguments
        inner = (value.seed for value in arguments.values() if isinstance(value, Spec))
        return arguments.get("seed", next(inner, 0))

    @property
    def shares(self) -> Hashable:
        """What is equal for experiments that share training; numbers of theirs can be paired."""
        of = find_function(self.address).shares
        return (of and of(**self.arguments)) or self

    def plain(self) -> dict[str, Any]:
        """The arguments that differ from their defaults, by name."""
        return dict(self.given)

    def canonical(self) -> str:
        """One line that holds all that decides the result."""
        parts = (
            f"{name}=({value.canonical()})" if isinstance(value, Spec) else f"{name}={value!r}"
            for name, value in self.given
        )
        return " ".join([f"{self.name} version={self.version}", *parts])

    def call(self) -> str:
        """The line of Python that gives the values."""
        return repr(self).replace(".spec(", "(", 1)

    def replace(self, **changed: Any) -> "Experiment":
        """The same experiment with other arguments."""
        return find_function(self.address).spec(**{**self.arguments, **changed})

    def with_seed(self, seed: int) -> "Experiment":
        """The same experiment with another seed, which those that it begins from get as well."""
        changed = {n: v.with_seed(seed) for n, v in self.arguments.items() if isinstance(v, Spec)}
        return self.replace(**changed | ({"seed": seed} if "seed" in self.arguments else {}))

    def values(self, **how: Any) -> dict[str, Any]:
        """The values: looked up, or computed and kept. Arguments: as in cplab.run."""
        from cplab.results.api import run

        return run(self, **how).values


class Function:
    """A function that was decorated with `experiment`. Called, it returns its values, looked up or
    computed. compute: the function itself, which looks nothing up and keeps nothing."""

    def __init__(self, compute: Callable[..., dict], version: int, shares: Any) -> None:
        update_wrapper(self, compute)
        self.compute, self.version, self.shares = compute, version, shares
        self.address = f"{compute.__module__}:{compute.__name__}"
        parameters = inspect.signature(compute).parameters.values()
        self.how = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
        asked = [p for p in parameters if p.name not in self.how]
        self.defaults = {p.name: p.default for p in asked if p.default is not p.empty}
        hints = get_type_hints(compute, include_extras=True)
        types = {p.name: hints.get(p.name, Any) for p in asked}
        fields = {"__annotations__": types, "__module__": __name__, **self.defaults}
        self._checked: Any = spec_class(type(compute.__name__, (), fields))
        FUNCTIONS[self.address] = self

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        how = {n: kwargs.pop(n) for n in {*self.how, "fresh"} & {*kwargs}}
        return self.spec(*args, **kwargs).values(**how)

    def spec(self, *args: Any, **kwargs: Any) -> Experiment:
        """Describe a call without computing it. Raises CplabError for what is not allowed."""
        checked = self._checked(*args, **kwargs)
        values = [(name, getattr(checked, name)) for name in checked.__annotations__]
        given = tuple((n, v) for n, v in values if n not in self.defaults or v != self.defaults[n])
        return Experiment(self.address, self.version, given)


def experiment(version: int, shares: Callable[..., Hashable] | None = None) -> Any:
    """Keep what a function returns: a decorator, see the module.

    Arguments: version, raised by one whenever a change alters the values of the same arguments;
        shares, a function of the arguments by name that gives what experiments with common training
        have in common, such as the search that they begin from.
    """
    return lambda function: Function(function, version, shares)


def find_function(address: str) -> Function:
    """The function of experiments at this address, module:name. Raises CplabError."""
    module = address.partition(":")[0]
    if address not in FUNCTIONS and module.startswith("cplab.") and module not in sys.modules:
        with suppress(ImportError):
            importlib.import_module(module)
    if address not in FUNCTIONS:
        raise CplabError(f"the experiment {address!r:.80} is not defined here: import its module")
    return FUNCTIONS[address]
