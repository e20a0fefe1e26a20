"""Errors and checks of input: one clear line each, the same on the command line and in Python."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any


class CplabError(Exception):
    """One clear line: what is wrong, what is allowed, what to do."""

    exit_code = 2  # of the command line


class Cancelled(CplabError):
    """Training was stopped; it goes on from its last checkpoint when asked again."""

    exit_code = 130


class Diverged(CplabError):
    """The loss, or what was to be measured, is no longer finite."""

    exit_code = 1


class Exhausted(CplabError):
    """Memory does not suffice, a worker process died (mostly of that), or the GPU failed."""

    exit_code = 1


def cache_dir() -> Path:
    """Where downloads and results go: $CPLAB_CACHE, else the user's cache directory."""
    if os.environ.get("CPLAB_CACHE"):
        return Path(os.environ["CPLAB_CACHE"]).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("cplab")


def one_of(what: str, value: object, allowed: Iterable) -> Any:
    """`value` if it is in `allowed`, else a CplabError that names both.

    >>> one_of("schedule", "fixed", ("paper", "fixed"))
    'fixed'
    """
    allowed = tuple(allowed)
    if isinstance(value, str) and value in allowed:
        return value
    raise CplabError(f"unknown {what} {value!r}: choose one of {', '.join(map(str, allowed))}")


def whole(what: str, value: object, least: int = 0) -> int:
    """`value` as an int that results and generators can hold, else a CplabError.

    >>> whole("seed", "3")
    3
    """
    with suppress(TypeError, ValueError, OverflowError):
        number = int(value)  # type: ignore[call-overload]
        exact = number == float(value)  # type: ignore[arg-type]
        if exact and least <= number < 2**31 and not isinstance(value, bool):
            return number
    raise CplabError(
        f"{what} {value!r} is not allowed: give a whole number, {least} or more (and below 2**31)"
    )


def number(what: str, value: object, low: float, below: float) -> float:
    """`value` as a float from `low` to less than `below`, else a CplabError."""
    with suppress(TypeError, ValueError, OverflowError):
        if low <= float(value) < below and not isinstance(value, bool):  # type: ignore[arg-type]
            return float(value)  # type: ignore[arg-type]
    raise CplabError(
        f"{what} {value!r} is not allowed: give a number from {low:g} to below {below:g}"
    )


def part(what: str, value: object, whole: int, unit: str) -> float:
    """`value` as a float above 0 and at most `whole`, else a CplabError that names the unit."""
    with suppress(TypeError, ValueError):
        if 0 < float(value) <= whole:  # type: ignore[arg-type]
            return float(value)  # type: ignore[arg-type]
    raise CplabError(
        f"{what} {value!r} is not allowed: give {unit}, above 0 and at most {whole}"
        + (" (0.05 for 5 %)" if whole == 1 else "")
    )


def yes_or_no(what: str, value: object) -> bool:
    """`value` as a truth value, else a CplabError."""
    words = {"yes": True, "true": True, "no": False, "false": False}
    if isinstance(value, bool):
        return value
    return words[one_of(what, str(value).lower(), words)]


def settle(spec: object, **values: object) -> None:
    """Set fields of a frozen dataclass, in its __post_init__."""
    for name, value in values.items():
        object.__setattr__(spec, name, value)
