"""Errors, and checks of input: each error is one clear line, on the command line and in Python."""

import os
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

# The extra of this package with which each library is installed
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
LONGEST_QUOTE = 80  # characters of a value in an error
# Folders of Python's own modules and of this package, and the name of those that others are
# installed into
LIBRARIES = (Path(os.__file__).parent, Path(__file__).parent)
INSTALLED = {"site-packages", "dist-packages"}


Kind = TypeVar("Kind", bound="CplabError")


class CplabError(Exception):
    """An error in one clear line: what is wrong, what is allowed, what to do."""

    exit_code = 2  # with which the command line ends
    lines: tuple[
        str, ...
    ] = ()  # of a student's function in which it arose, maybe in another process

    def _render_traceback_(self) -> list[str]:
        """The lines that a notebook shows: the error, and the lines of cells in which it arose."""
        lines = [f"{type(self).__name__}: {self}", *own_lines(self), *own_lines(self.__cause__)]
        return [*dict.fromkeys([*lines, *self.lines])]


class Cancelled(CplabError):
    """Training was stopped. When it is asked for again, it goes on from its last checkpoint."""

    exit_code = 130

    def __init__(
        self, line: str = "stopped: ask for the same again to go on from its last checkpoint"
    ) -> None:
        super().__init__(line)


class Failed(CplabError):
    """A run or an experiment has failed, for instance in a student's own function. All others go
    on, and their results are kept."""


class Diverged(Failed):
    """The loss or a measurement is no longer finite."""

    exit_code = 1


@cache
def in_library(file: str) -> bool:
    """Whether a file is one of Python, of cplab or of an installed package: where it lies decides.

    >>> in_library(os.__file__), in_library("<ipython-input-1>")
    (True, False)
    """
    path = Path(file)
    if file.startswith("<frozen") or INSTALLED & {*path.parts}:
        return True
    return any(path.is_relative_to(folder) for folder in LIBRARIES)


def own_lines(error: BaseException | None) -> tuple[str, ...]:
    """The lines of cells and of a student's own files through which an error has passed."""
    lines = []
    for step in traceback.extract_tb(error.__traceback__) if error else ():
        if step.line and not in_library(step.filename):
            place = step.name.replace("<module>", "the cell")
            lines.append(f"  {place}: {step.line}")
    return tuple(lines)


def renamed(error: CplabError, kind: type[Kind], line: str) -> Kind:
    """Another error in place of one, with the same lines of a student's function."""
    other = kind(line)
    other.lines = error.lines
    return other


@cache
def warn_once(line: str) -> None:
    """Give a warning the first time only: every epoch may have the same reason for it."""
    warnings.warn(line, stacklevel=3)


# Values -------------------------------------------------------------------------------------------


def quote(value: object) -> str:
    """Write a value for an error, on one line. Long ones are cut off, and arrays are described.

    >>> quote([1, 2]), quote("x" * 100)[-5:]
    ('[1, 2]', 'xxx …')
    """
    shape = getattr(value, "shape", ())
    if shape:
        text = f"{type(value).__name__} {shape} {getattr(value, 'dtype', '')}"
    else:
        text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]} …"


def one_of(name: str, value: object, allowed: Iterable) -> str:
    """Return a text that is one of the allowed ones; else raise a CplabError that names them.

    Arguments: name, of what is checked, for the error; value; allowed, texts.
    """
    choices = tuple(allowed)
    if isinstance(value, str) and value in choices:
        return value
    listed = ", ".join(str(choice) for choice in choices)
    raise CplabError(f"unknown {name} {quote(value)}: choose one of {listed}")


def many(value: Any) -> list:
    """Make a list: of the words of a text, of the entries of a collection, or of a single value.

    >>> many("blur flip"), many((1, 2)), many(3)
    (['blur', 'flip'], [1, 2], [3])
    """
    if isinstance(value, str):
        return value.split()
    return list(value) if isinstance(value, Iterable) else [value]


def check_dict(name: str, value: Any, example: str = '{"blur": run}') -> Any:
    """Return a value that is a dict; else raise a CplabError that shows how to write one."""
    if not isinstance(value, Mapping):
        raise CplabError(f"{name} {quote(value)} is not allowed: give a dict, such as {example}")
    return value


def number(name: str, value: Any, low: float, high: float, kind: str = "number") -> float:
    """Return a value as a float from `low` to `high`; else raise a CplabError.

    Arguments: name, of what is checked, for the error; value; low; high; kind, "whole number" if a
        fraction is not allowed.

    >>> number("rate", "0.5", 0, 1)
    0.5
    """
    with suppress(Exception):  # float(value) may raise anything
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
    """Set fields of a frozen dataclass, in its __post_init__."""
    for name, value in values.items():
        object.__setattr__(spec, name, value)


@contextmanager
def installed() -> Iterator[None]:
    """A context in which a missing library raises a CplabError that says what to install."""
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
    """A context that turns an error in a student's own function into a CplabError of one line.

    Arguments: name, the function's; where, with which the line ends.
    """
    try:
        yield
    except CplabError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        failure = CplabError(f"{name.partition('@')[0]} fails: {reason}{where}")
        failure.lines = own_lines(error)
        raise failure from error
