"""Errors and checks of input: one clear line each, the same on the command line and in Python."""

import re
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

# The extra of this package that installs each library
EXTRA_OF = dict.fromkeys(("torch", "torchvision", "loky"), "train") | {"jupyterlab": "lab"}
EXTRA_OF |= dict.fromkeys(("latex2mathml", "nbclient", "nbconvert", "nbformat", "pdoc"), "site")


class CplabError(Exception):
    """An error in one clear line: what is wrong, what is allowed, what to do."""

    exit_code = 2  # of the command line

    def _render_traceback_(self) -> list[str]:
        """The lines that a notebook shows: the error, and where it arose in the cells."""
        errors = (self, self.__cause__) if self.__cause__ else (self,)
        steps = [step for error in errors for step in traceback.extract_tb(error.__traceback__)]
        cell = re.compile(r"<(?!frozen)|.*ipykernel_")  # <…> is a function of a student's own, too
        own = [step for step in steps if step.line and cell.match(step.filename)]
        rows = [f"  {step.name.replace('<module>', 'the cell')}: {step.line}" for step in own]
        return [f"{type(self).__name__}: {self}", *rows]


class Cancelled(CplabError):
    """Training was stopped. Asked for again, it goes on from its last checkpoint."""

    exit_code = 130

    def __init__(
        self, line: str = "stopped: ask for the same again to go on from its last checkpoint"
    ) -> None:
        super().__init__(line)


class Diverged(CplabError):
    """The loss, or a measurement, is no longer finite."""

    exit_code = 1


# Values -------------------------------------------------------------------------------------------


def require(condition: object, line: str, *values: object) -> None:
    """Raise a CplabError with this line unless the condition holds. Each {} in it stands for one of
    the values, if there are any, which are quoted only then: a tensor takes milliseconds."""
    if not condition:
        raise CplabError(line.format(*map(quote, values)) if values else line)


def quote(value: object) -> str:
    """Write a value for an error: on one line, a long one cut off, of an array what it is."""
    shape, dtype = getattr(value, "shape", ()), getattr(value, "dtype", "")
    text = f"{type(value).__name__} {shape} {dtype}" if shape else " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:80]} …"


def one_of(what: str, value: object, allowed: Iterable) -> Any:
    """Return `value` if it is in `allowed`; else raise a CplabError that names both."""
    if isinstance(value, str) and value in (allowed := tuple(allowed)):
        return value
    raise CplabError(f"unknown {what} {quote(value)}: choose one of {', '.join(map(str, allowed))}")


def many(value: Any) -> list:
    """Split a text into words, list the entries of a collection, or put one value in a list."""
    value = value.split() if isinstance(value, str) else value
    return list(value) if isinstance(value, Iterable) else [value]


def number(what: str, value: Any, low: float, high: float, kind: str = "number") -> float:
    """Return `value` as a float from `low` to `high`; else raise a CplabError."""
    with suppress(Exception):  # of float, which may be given anything
        x = float(value)
        exact = kind == "number" or x.is_integer()
        if low <= x <= high and exact and not isinstance(value, bool):
            return x
    raise CplabError(f"{what} {quote(value)} is not allowed: give a {kind} from {low} to {high}")


def whole(what: str, value: Any, least: int = 0, most: int = 2**31 - 1) -> int:
    """Return `value` as an int from `least` to `most`; else raise a CplabError."""
    return int(number(what, value, least, most, "whole number"))


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
        if library not in EXTRA_OF:
            raise
        how = f"pip install 'cplab[{EXTRA_OF[library]}]'"
        raise CplabError(f"{library} is not installed, and this needs it: {how}") from error
