"""What an experiment is: one call of a function whose values are kept, see cplab.results."""

import importlib
import sys
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cplab.errors import CplabError
from cplab.specs import Spec

FUNCTIONS: dict[str, Any] = {}  # all functions of experiments that were imported, by module:name


@dataclass(frozen=True, repr=False)
class Experiment(Spec):
    """One call of an experiment's function: what is looked up, computed and kept. Its arguments are
    attributes.

    address: where its function is, module:name, of a student's own with a digest of its text.
    version: the function's. given: arguments that differ from their defaults, by name, in the
    function's order.
    """

    address: str
    version: int
    given: tuple[tuple[str, Any], ...] = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # as pickle asks, before there are any fields
            raise AttributeError(name)
        if name in (arguments := self.arguments):
            return arguments[name]
        raise AttributeError(f"{self.name} has no argument {name!r}")

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.given)
        return f"{self.name.partition('@')[0]}.spec({given})"

    @property
    def name(self) -> str:
        """The function's name, with the digest."""
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
        known = "@" in self.address or self.address.startswith("cplab.")
        name = self.name if known else self.address
        return " ".join([f"{name} version={self.version}", *parts])

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


def find_function(address: str) -> Any:
    """The function of experiments at this address, see Experiment. Raises CplabError."""
    place = address.partition("@")[0]
    module = place.partition(":")[0]
    if place not in FUNCTIONS and module.startswith("cplab.") and module not in sys.modules:
        with suppress(ImportError):
            importlib.import_module(module)
    latest = FUNCTIONS.get(place)
    if address not in FUNCTIONS and latest:
        latest.as_read_now()  # which may give it this address
    if address not in FUNCTIONS:
        raise CplabError(f"the experiment {address!r:.80} is not defined here: import its module")
    return FUNCTIONS[address]
