"""Errors in one clear line, on the command line and in Python; and checks of values, which raise
them."""

import math
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from cplab.base.tracebacks import own_lines

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


class CplabError(Exception):
    """An error in one clear line: what is wrong, what is allowed, what to do."""

    exit_code = 2  # of the command line
    # Lines of a student's function in which it arose, which another process may have sent
    student_lines: tuple[str, ...] = ()

    def _render_traceback_(self) -> list[str]:
        """The lines that a notebook shows, which IPython asks for: the error, and the lines of a
        student's own code in which it arose."""
        message = f"{type(self).__name__}: {self}"
        lines = [message, *own_lines(self), *own_lines(self.__cause__), *self.student_lines]
        return [*dict.fromkeys(lines)]  # each once: without another process they are the same


class Cancelled(CplabError):
    """Training was stopped. When it is asked for again, it goes on from its last checkpoint."""

    exit_code = 130  # as of any program that Ctrl+C has stopped

    def __init__(
        self, message: str = "stopped: ask for the same again to go on from its last checkpoint"
    ) -> None:
        super().__init__(message)


class Failed(CplabError):
    """A run or an experiment has failed, for instance in a student's own function. The other runs
    and experiments go on, and their results are kept."""


class Missing(CplabError, LookupError):
    """A result, or a measurement of it, does not exist."""


class Diverged(Failed):
    """The loss or a measurement is no longer finite."""

    exit_code = 1  # what was asked for was allowed


Error = TypeVar("Error", bound=CplabError)


def with_message(error: CplabError, error_class: type[Error], message: str) -> Error:
    """An error like another one, but of this class and with this message."""
    other = error_class(message)
    other.student_lines = error.student_lines
    return other


# Values -------------------------------------------------------------------------------------------


def quote(value: object) -> str:
    """Write a value for an error, on one line. Long ones are cut off, and arrays are described.

    >>> quote([1, 2]), quote("x" * 100)[-5:]
    ('[1, 2]', 'xxx …')
    """
    shape = getattr(value, "shape", ())
    if shape:
        text = f"{type(value).__name__} {shape}"
        if hasattr(value, "dtype"):
            text += f" {value.dtype}"
    else:
        text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]} …"


def one_of(name: str, value: object, allowed: Iterable) -> str:
    """Return a text that is one of the allowed ones; else raise a CplabError that names them.

    Arguments:
        name: of what is checked, for the error.
        value: what is checked.
        allowed: the texts that are.
    """
    choices = tuple(allowed)
    if isinstance(value, str) and value in choices:
        return value
    listed = ", ".join(str(choice) for choice in choices)
    raise CplabError(f"unknown {name} {quote(value)}: choose one of {listed}")


def as_list(value: Any) -> list:
    """One value or several as a list: the words of a text, the entries of a collection, or the
    value alone.

    >>> as_list("blur flip"), as_list((1, 2)), as_list(3)
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


def number(name: str, value: Any, low: float, high: float, *, is_whole: bool = False) -> float:
    """Return a value as a float from `low` to `high`; else raise a CplabError.

    Arguments:
        name: of what is checked, for the error.
        value: a number, or a text that is one.
        low, high: the smallest and the largest number that are allowed.
        is_whole: whether a fraction is not allowed.

    >>> number("rate", "0.5", 0, 1)
    0.5
    """
    try:
        x = float(value)
    except Exception:  # whatever the value's own code raises
        x = math.nan
    is_number = low <= x <= high and not isinstance(value, bool)  # False for NaN
    if is_number and (x.is_integer() or not is_whole):
        return x
    allowed = "whole number" if is_whole else "number"
    raise CplabError(f"{name} {quote(value)} is not allowed: give a {allowed} from {low} to {high}")


def whole(name: str, value: Any, least: int = 0, most: int = 2**31 - 1) -> int:
    """Return a value as an int from `least` to `most`; else raise a CplabError.

    >>> whole("seed", 3.0)
    3
    """
    return int(number(name, value, least, most, is_whole=True))


# Remedies -----------------------------------------------------------------------------------------


def to_install(extra: str) -> str:
    """The line that installs an extra of this package, which can be typed where the reader is: in a
    notebook's cell, or in a terminal, whether its environment is active or not.

    >>> to_install("train").split(" install ")[1].endswith("[train]'")
    True
    """
    pip = "%pip" if in_kernel() else f"{shlex.quote(sys.executable)} -m pip"
    clone = Path(__file__).parents[2]
    if (clone / "pyproject.toml").exists():
        return f"{pip} install -e '{clone}[{extra}]'"
    return f"{pip} install 'cplab[{extra}]'"


def to_type(words: str) -> str:
    """A command of this package, as it can be typed where the reader is.

    >>> to_type("data fetch mnist").endswith("cplab data fetch mnist")
    True
    """
    if in_kernel():
        return f"%run -m cplab {words}"
    found = shutil.which("cplab")
    if found and Path(found).parent == Path(sys.executable).parent:
        return f"cplab {words}"
    return f"{shlex.quote(sys.executable)} -m cplab {words}"


def in_kernel() -> bool:
    """Whether this process is a notebook's."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


# Contexts -----------------------------------------------------------------------------------------


@contextmanager
def installed() -> Iterator[None]:
    """A context in which a missing library raises a CplabError that says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRAS:
            raise
        raise CplabError(why_missing(library)) from error


def why_missing(library: str) -> str:
    """Why a library is missing, and what to do, in one line.

    >>> why_missing("pdoc").endswith("[site]'")
    True
    """
    if library in ("torch", "torchvision") and (reason := why_no_torch()):
        return reason
    return f"{library} is not installed, and this needs it: {to_install(EXTRAS[library])}"


def why_no_torch() -> str:
    """What `start.py` has written where it has not brought torch, or not yet; else nothing."""
    with suppress(OSError):
        return Path(sys.prefix, "torch.txt").read_text("utf-8")
    return ""


@contextmanager
def explain(name: str, circumstances: str = "") -> Iterator[None]:
    """A context that turns an error in a student's own function into a CplabError of one line.

    Arguments:
        name: the function's, which may end in @ and its digest.
        circumstances: words for the end of the line, such as " at epoch 3".
    """
    try:
        yield
    except CplabError:
        raise
    except Exception as error:
        plain_name, _, _ = name.partition("@")
        reason, _, _ = f"{type(error).__name__}: {error}".partition("\n")
        failure = CplabError(f"{plain_name} fails: {reason}{circumstances}")
        failure.student_lines = own_lines(error)
        raise failure from error
