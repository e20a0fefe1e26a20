"""Experiments as specs: calls of functions whose values are kept (cplab.results.experiments)."""

import importlib
import sys
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cplab.errors import CplabError
from cplab.specs import Spec

# The functions of experiments (cplab.results.experiments.Function) of all modules that were
# imported, by address
EXPERIMENTS: dict[str, Any] = {}


@dataclass(frozen=True, repr=False)
class Experiment(Spec):
    """A call of an experiment's function, whose arguments are attributes of it.

    Attributes:
        address: module:name of its function; for a student's own with a digest of its text.
        version: the function's.
        given: the arguments that differ from their defaults, (name, value), in the function's
            order.
    """

    address: str
    version: int
    given: tuple[tuple[str, Any], ...] = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pickle asks for some before there are fields
            raise AttributeError(name)
        arguments = self.arguments
        if name in arguments:
            return arguments[name]
        raise AttributeError(f"{self.name} has no argument {name!r}")

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.given)
        return f"{self.name.partition('@')[0]}.spec({given})"

    @property
    def name(self) -> str:
        """The function's name; for a student's own with the digest."""
        return self.address.rpartition(":")[2]

    @property
    def arguments(self) -> dict[str, Any]:
        """All arguments by name, those that are not given with their defaults."""
        return find_function(self.address).defaults | dict(self.given)

    @property
    def seed(self) -> int:  # type: ignore[override]
        """The argument called seed, or else that of the spec that this experiment begins with."""
        arguments = self.arguments
        if "seed" in arguments:
            return arguments["seed"]
        for value in arguments.values():
            if isinstance(value, Spec):
                return value.seed
        return 0

    @property
    def shares(self) -> Hashable:
        """What is equal for experiments that share training, whose numbers are paired by seed."""
        shares = find_function(self.address).shares
        if shares is None:
            return self
        return shares(**self.arguments) or self

    def plain(self) -> dict[str, Any]:
        """The arguments that differ from their defaults, by name."""
        return dict(self.given)

    def canonical(self) -> str:
        """One line that holds all that decides the result."""
        parts = []
        for name, value in self.given:
            text = f"({value.canonical()})" if isinstance(value, Spec) else repr(value)
            parts.append(f"{name}={text}")
        # Functions of other packages may have the same name, but for a digest
        is_unique = "@" in self.address or self.address.startswith("cplab.")
        function = self.name if is_unique else self.address
        return " ".join([f"{function} version={self.version}", *parts])

    def call(self) -> str:
        """The line of Python that gives the values."""
        return repr(self).replace(".spec(", "(", 1)

    def replace(self, **changed: Any) -> "Experiment":
        """The same experiment with other arguments."""
        return find_function(self.address).spec(**{**self.arguments, **changed})

    def with_seed(self, seed: int) -> "Experiment":
        """The same experiment with another seed, also of the specs that it begins with."""
        changed: dict[str, Any] = {}
        for name, value in self.arguments.items():
            if isinstance(value, Spec):
                changed[name] = value.with_seed(seed)
            elif name == "seed":
                changed[name] = seed
        return self.replace(**changed)


def find_function(address: str) -> Any:
    """The function of experiments, cplab.results.experiments.Function, at an address.

    Raises: CplabError if it is not defined here.
    """
    place = address.partition("@")[0]
    module = place.partition(":")[0]
    if place not in EXPERIMENTS and module.startswith("cplab.") and module not in sys.modules:
        with suppress(ImportError):
            importlib.import_module(module)
    latest = EXPERIMENTS.get(place)
    if address not in EXPERIMENTS and latest:
        latest.as_read_now()  # which registers its address
    if address not in EXPERIMENTS:
        raise CplabError(f"the experiment {address!r:.80} is not defined here: import its module")
    return EXPERIMENTS[address]
