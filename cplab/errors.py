"""Errors and checks of input: one clear line each, the same on the command line and in Python."""

import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

# The extra of this package that installs each library
EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "loky": "train",
    "jupyterlab": "lab",
    "latex2mathml": "site",
    "nbclient": "site",
    "nbconvert": "site",
    "nbformat": "site",
    "pdoc": "site",
}
LONGEST = 80  # characters of a value in an error
CELL = re.compile(r"<(?!frozen)|.*ipykernel_")  # a cell's file; <…> is a student's own function


class CplabError(Exception):
    """An error in one clear line: what is wrong, what is allowed, what to do."""

    exit_code = 2  # of the command line

    def _render_traceback_(self) -> list[str]:
        """The lines that a notebook shows: the error, and where it arose in the cells."""
        lines = [f"{type(self).__name__}: {self}"]
        for error in (self, self.__cause__):
            for step in traceback.extract_tb(error.__traceback__) if error else ():
                if step.line and CELL.match(step.filename):
                    place = step.name.replace("<module>", "the cell")
                    lines.append(f"  {place}: {step.line}")
        return lines


class Cancelled(CplabError):
    """Training was stopped. Asked for again, it goes on from its last checkpoint."""

    exit_code = 130

    def __init__(
        self, line: str = "stopped: ask for the same again to go on from its last checkpoint"
    ) -> None:
        super().__init__(line)


class Disturbed(CplabError):
    """Other code changed, while something trained, a setting that decides its numbers."""


class Failed(CplabError):
    """One run or experiment comes to nothing, as where a student's own function fails in it. All
    others go on, and keep their results."""


class Diverged(Failed):
    """The loss, or a measurement, is no longer finite."""

    exit_code = 1


# Values -------------------------------------------------------------------------------------------


def quote(value: object) -> str:
    """Write a value for an error: on one line, a long one cut off, of an array what it is."""
    shape = getattr(value, "shape", ())
    if shape:
        text = f"{type(value).__name__} {shape} {getattr(value, 'dtype', '')}"
    else:
        text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def one_of(name: str, value: object, allowed: Iterable) -> Any:
    """Return a text that is one of the allowed ones; else raise a CplabError that names both."""
    choices = tuple(allowed)
    if isinstance(value, str) and value in choices:
        return value
    listed = ", ".join(str(choice) for choice in choices)
    raise CplabError(f"unknown {name} {quote(value)}: choose one of {listed}")


def many(value: Any) -> list:
    """Split a text into words, list the entries of a collection, or put one value in a list.

    >>> many("blur flip"), many((1, 2)), many(3)
    (['blur', 'flip'], [1, 2], [3])
    """
    if isinstance(value, str):
        return value.split()
    return list(value) if isinstance(value, Iterable) else [value]


def by_label(name: str, value: Any, example: str = '{"blur": run}') -> Any:
    """Return a dict by label; else raise a CplabError that shows how to write one."""
    if not isinstance(value, Mapping):
        raise CplabError(f"{name} {quote(value)} is not allowed: give a dict, such as {example}")
    return value


def number(name: str, value: Any, low: float, high: float, kind: str = "number") -> float:
    """Return a value as a float from `low` to `high`; else raise a CplabError.

    Arguments: name, of what it is; kind, "whole number" where a fraction is not allowed.

    >>> number("rate", "0.5", 0, 1)
    0.5
    """
    with suppress(Exception):  # of float, which may be given anything
        x = float(value)
        fits = low <= x <= high and (kind == "number" or x.is_integer())
        if fits and not isinstance(value, bool):
            return x
    raise CplabError(f"{name} {quote(value)} is not allowed: give a {kind} from {low} to {high}")


def whole(name: str, value: Any, least: int = 0, most: int = 2**31 - 1) -> int:
    """Return a value as an int from `least` to `most`; else raise a CplabError.

    >>> whole("seed", 3.0)
    3
    """
    return int(number(name, value, least, most, "whole number"))


def assign(spec: object, **values: object) -> None:
    """Set fields of a frozen dataclass, within its __post_init__."""
    for name, value in values.items():
        object.__setattr__(spec, name, value)


@contextmanager
def installed() -> Iterator[None]:
    """Raise a CplabError that says what to install where a library of an extra is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRAS:
            raise
        command = f"pip install 'cplab[{EXTRAS[library]}]'"
        raise CplabError(f"{library} is not installed, and this needs it: {command}") from error


@contextmanager
def explain(name: str, where: str = "") -> Iterator[None]:
    """Turn an error in a student's own function into one line, which ends with where it arose."""
    try:
        yield
    except CplabError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise CplabError(f"{name.partition('@')[0]} fails: {reason}{where}") from error
