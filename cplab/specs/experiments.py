"""Experiments: calls of functions whose results are stored beside those of runs.

Such a function is decorated with `experiment` (cplab.results.declare), and registered as
deficits and measurements are (cplab.specs.own).
"""

import importlib
import inspect
import math
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from inspect import Parameter
from typing import Any, get_type_hints

import numpy as np

from cplab.base.errors import CplabError, quote
from cplab.specs import Spec, spec_class
from cplab.specs.own import TABLES, Registered


@dataclass(frozen=True)
class ExperimentFunction(Registered):
    """The function of an experiment.

    Attributes:
        module: where it is defined.
        version: of one of the package, raised whenever a change alters the values of the same
            arguments; that of a student's own is a part of its digest.
        shares, check, table: as for `experiment`.
    """

    module: str = ""
    version: int = 1
    shares: Callable[..., Hashable] | None = None
    check: Callable[..., object] | None = None
    table: bool = False

    @property
    def address(self) -> str:
        """Where it is, module:name."""
        return f"{self.module}:{self.name}"

    @property
    def defaults(self) -> dict[str, Any]:
        """The names of its arguments, with their defaults or Parameter.empty."""
        return defaults_of(self.apply)

    def spec(self, *args: Any, **kwargs: Any) -> "Experiment":
        """Describe a call without computing it.

        Raises:
            CplabError: for what is not allowed.
        """
        checked = class_of_arguments(self.apply)(*args, **kwargs)
        values = {name: without_numpy(getattr(checked, name)) for name in self.defaults}
        different = []
        for name, value in values.items():
            if value == self.defaults[name]:
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


FUNCTIONS: dict[str, ExperimentFunction] = {}  # of all modules that were imported, by name
TABLES[ExperimentFunction] = FUNCTIONS


@lru_cache(maxsize=1000)
def defaults_of(function: Callable) -> dict[str, Any]:
    """A function's arguments and their defaults, or Parameter.empty, without those that only say
    how it is computed."""
    defaults = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            defaults[name] = parameter.default
    return defaults


@lru_cache(maxsize=1000)  # it takes long to make
def class_of_arguments(function: Callable) -> type:
    """A class whose fields are a function's arguments, which checks them as a Run does its
    fields."""
    hints: dict[str, Any] = {}
    with suppress(NameError):  # types that a copy of a student's own does not need
        hints = get_type_hints(function, include_extras=True)
    defaults = defaults_of(function)
    types = {name: hints.get(name, Any) for name in defaults}
    fields = {name: value for name, value in defaults.items() if value is not Parameter.empty}
    fields |= {"__annotations__": types, "__module__": __name__}
    return spec_class(type(function.__name__, (), fields))


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


@dataclass(frozen=True, repr=False)
class Experiment(Spec):
    """A call of an experiment's function. Each argument is also an attribute, as in `spec.seed`.

    Attributes:
        address: module:name of the function; a student's own ends in @ and a digest.
        version: the function's.
        given: the arguments that differ from their defaults, (name, value), in the function's
            order.
    """

    address: str
    version: int
    given: tuple[tuple[str, Any], ...] = ()

    def __getattr__(self, name: str) -> Any:
        # While pickle makes a copy, it asks for methods such as __setstate__: no field is set yet
        if name.startswith("_"):
            raise AttributeError(name)
        arguments = self.arguments
        if name in arguments:
            return arguments[name]
        raise AttributeError(f"{self.name} has no argument {name!r}")

    def __repr__(self) -> str:
        return f"{self.short_name}.spec({self.written_arguments})"

    @property
    def name(self) -> str:
        """The function's name; for a student's own with the digest."""
        return self.address.rpartition(":")[2]

    @property
    def short_name(self) -> str:
        """The function's name without a digest."""
        return self.name.partition("@")[0]

    @property
    def written_arguments(self) -> str:
        """The given arguments as they are written in a call."""
        return ", ".join(f"{name}={value!r}" for name, value in self.given)

    @property
    def function(self) -> ExperimentFunction:
        """Its function.

        Raises:
            CplabError: if that is not defined here.
        """
        module = self.address.partition(":")[0]
        if self.name not in FUNCTIONS and module.startswith("cplab."):
            with suppress(ImportError):
                importlib.import_module(module)  # which registers the functions that it defines
        if self.name not in FUNCTIONS:
            raise CplabError(
                f"the experiment {self.address!r:.80} is not defined here: import its module"
            )
        return FUNCTIONS[self.name]

    @property
    def arguments(self) -> dict[str, Any]:
        """All arguments by name, those that are not given with their defaults."""
        return self.function.defaults | dict(self.given)

    @property
    def seed(self) -> int:  # type: ignore[override]
        """The argument called seed; else the seed of the first argument that is itself a spec, such
        as a run; else 0."""
        arguments = self.arguments
        if "seed" in arguments:
            return arguments["seed"]
        for value in arguments.values():
            if isinstance(value, Spec):
                return value.seed
        return 0

    @property
    def prefix_key(self) -> "Experiment":
        """What it has in common with others that are trained in one tree with it: it has none."""
        return self

    @property
    def timeline(self) -> tuple[str]:
        """Its only part."""
        return ("all of it",)

    @property
    def shares(self) -> Hashable:
        """A value that two experiments have in common if they share training.

        Their numbers are then compared seed by seed.
        """
        shares = self.function.shares
        # An experiment that shares nothing is equal to itself alone
        return (shares and shares(**self.arguments)) or self

    def check_computable(self) -> None:
        """Raise a CplabError if its function cannot be computed here."""
        if self.function.table:
            raise CplabError(
                f"{self.name} is a table of results, and not all are in it: take values that are, "
                f"cplab.results_table({self.name}) shows them"
            )

    def plain(self) -> dict[str, Any]:
        """The arguments that differ from their defaults, by name."""
        return dict(self.given)

    def canonical(self) -> str:
        """One line that holds all that decides the result."""
        parts = [f"{self.name} version={self.version}"]
        for name, value in self.given:
            text = f"({value.canonical()})" if isinstance(value, Spec) else repr(value)
            parts.append(f"{name}={text}")
        return " ".join(parts)

    def call(self) -> str:
        """The line of Python that gives the values."""
        return f"{self.short_name}({self.written_arguments})"

    def replace(self, **changed: Any) -> "Experiment":
        """The same experiment with other arguments."""
        return self.function.spec(**{**self.arguments, **changed})

    def with_seed(self, seed: int) -> "Experiment":
        """The same experiment with another seed, which its arguments that are specs get too."""
        changed: dict[str, Any] = {}
        for name, value in self.arguments.items():
            if isinstance(value, Spec):
                changed[name] = value.with_seed(seed)
            elif name == "seed":
                changed[name] = seed
        return self.replace(**changed)
