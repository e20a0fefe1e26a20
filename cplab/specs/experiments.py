"""Experiments as specs: calls of functions whose results are stored beside those of runs.

Such a function is decorated with `experiment` (cplab.results.experiments).
"""

import importlib
import sys
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from cplab.errors import CplabError
from cplab.specs import Spec
from cplab.specs.digest import Definition


class ExperimentFunction(Protocol):
    """The function of an experiment, as far as its spec and the engine read it.

    This is cplab.results.experiments.Function, which cannot be imported here, since it imports this
    module.
    """

    compute: Callable[..., dict]
    version: int
    shares: Callable[..., Hashable] | None
    defaults: dict[str, Any]
    own: Definition | None

    def as_read_now(self) -> "ExperimentFunction": ...
    def spec(self, *args: Any, **kwargs: Any) -> "Experiment": ...


# The functions of all modules that were imported, by address
EXPERIMENTS: dict[str, ExperimentFunction] = {}


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
    def arguments(self) -> dict[str, Any]:
        """All arguments by name, those that are not given with their defaults."""
        return find_function(self.address).defaults | dict(self.given)

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
    def shares(self) -> Hashable:
        """A value that two experiments have in common if they share training.

        Their numbers are then compared seed by seed.
        """
        shares = find_function(self.address).shares
        if shares is None:
            return self
        shared = shares(**self.arguments)
        return shared or self  # an experiment that shares nothing is equal to itself alone

    def plain(self) -> dict[str, Any]:
        """The arguments that differ from their defaults, by name."""
        return dict(self.given)

    def canonical(self) -> str:
        """One line that holds all that decides the result."""
        # A digest, or the package, makes a name unique. Two modules of others may share a name
        is_unique = "@" in self.address or self.address.startswith("cplab.")
        function = self.name if is_unique else self.address
        parts = [f"{function} version={self.version}"]
        for name, value in self.given:
            text = f"({value.canonical()})" if isinstance(value, Spec) else repr(value)
            parts.append(f"{name}={text}")
        return " ".join(parts)

    def call(self) -> str:
        """The line of Python that gives the values."""
        return f"{self.short_name}({self.written_arguments})"

    def replace(self, **changed: Any) -> "Experiment":
        """The same experiment with other arguments."""
        return find_function(self.address).spec(**{**self.arguments, **changed})

    def with_seed(self, seed: int) -> "Experiment":
        """The same experiment with another seed, which its arguments that are specs get too."""
        changed: dict[str, Any] = {}
        for name, value in self.arguments.items():
            if isinstance(value, Spec):
                changed[name] = value.with_seed(seed)
            elif name == "seed":
                changed[name] = seed
        return self.replace(**changed)


def find_function(address: str) -> ExperimentFunction:
    """The function of experiments at an address.

    Raises: CplabError if it is not defined here.
    """
    place = address.partition("@")[0]
    module = place.partition(":")[0]
    if place not in EXPERIMENTS and module.startswith("cplab.") and module not in sys.modules:
        with suppress(ImportError):
            importlib.import_module(module)  # which registers the functions that it defines
    if address not in EXPERIMENTS and place in EXPERIMENTS:
        # A student's own may not be registered yet as it is now
        EXPERIMENTS[place].as_read_now()
    if address not in EXPERIMENTS:
        raise CplabError(f"the experiment {address!r:.80} is not defined here: import its module")
    return EXPERIMENTS[address]
