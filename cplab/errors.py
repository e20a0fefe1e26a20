"""Errors and checks of input: one clear line each, the same on the command line and in Python."""

import os
import re
import time
import traceback
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

# The libraries that an extra of the package brings.
BROUGHT = dict.fromkeys(("torch", "torchvision", "loky", "safetensors"), "train")
BROUGHT |= {"jupyterlab": "lab", "latex2mathml": "site", "nbclient": "site", "nbconvert": "site"}
DAYS = 7  # interrupted training may go on for so long


class CplabError(Exception):
    """One clear line: what is wrong, what is allowed, what to do."""

    exit_code = 2  # of the command line

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the line, and where it arose in the cells, not the way there."""
        errors = (self, self.__cause__) if self.__cause__ else (self,)
        steps = [step for error in errors for step in traceback.extract_tb(error.__traceback__)]
        cell = re.compile(r"<(?!frozen)|.*ipykernel_")  # <…> is a function of a student's own, too
        own = [step for step in steps if step.line and cell.match(step.filename)]
        rows = [f"  {step.name.replace('<module>', 'the cell')}: {step.line}" for step in own]
        return [f"{type(self).__name__}: {self}", *rows]


class Cancelled(CplabError):
    """Training was stopped; it goes on from its last checkpoint when asked again."""

    exit_code = 130

    def __init__(
        self, line: str = "stopped: ask for the same again to go on from its last checkpoint"
    ) -> None:
        super().__init__(line)


class Diverged(CplabError):
    """The loss, or what was to be measured, is no longer finite."""

    exit_code = 1


class Exhausted(CplabError):
    """Memory does not suffice, a worker process died (mostly of that), or the GPU failed."""

    exit_code = 1


def named_folder(variable: str) -> Path | None:
    """The directory that an environment variable names; None where it is not set."""
    text = os.environ.get(variable, "").strip().strip("\"'").strip()
    if not text:
        return None
    if (path := os.path.expanduser(text)).startswith("~"):
        raise CplabError(f"${variable} {text!r} is nobody's directory: give its full path")
    return Path(path)


def cache_dir() -> Path:
    """Where downloads and results go: $CPLAB_CACHE, else the user's cache directory."""
    if given := named_folder("CPLAB_CACHE"):
        return given
    import platformdirs

    usual = platformdirs.user_cache_path("cplab")
    require(usual.is_absolute(), "this user has no home directory: set $CPLAB_CACHE to a directory")
    return usual


@contextmanager
def installed() -> Iterator[None]:
    """One clear line where a library is missing that one of the package's extras brings."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in BROUGHT:
            raise
        how = f"pip install 'cplab[{BROUGHT[library]}]'"
        raise CplabError(f"{library} is not installed, and this needs it: {how}") from error


def require(held: object, line: str) -> None:
    if not held:
        raise CplabError(line)


def quote(value: object) -> str:
    """A value as errors show it: on one line, and only the beginning of a long one."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # as of a number of 5,000 digits
        text = f"of type {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:80]} …"


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A file to write to, which takes the place of `path` once it is whole."""
    partial = path.with_suffix(f".{uuid.uuid4().hex[:12]}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def lock_file(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of a file, and say whether it is held: not if another process has it and we do
    not `wait`. Where the file system has no locks, or cannot be written, go on without: what is
    written is put in place whole, and at worst is made twice."""
    from filelock import FileLock, Timeout

    lock, held = FileLock(path, thread_local=False), True
    try:
        lock.acquire(blocking=wait)
    except Timeout:
        held = False
    except (OSError, NotImplementedError):
        pass
    try:
        yield held
    finally:
        lock.release()


def tidy() -> None:
    """Remove from the cache what interruptions left and nobody came back for in a week: parts of
    files, locks, checkpoints."""
    for pattern in ("*/*.partial", "locks/*", "checkpoints/*"):
        for path in cache_dir().glob(pattern):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > DAYS * 86400:
                    path.unlink()


def one_of(what: str, value: object, allowed: Iterable) -> Any:
    """`value` if it is in `allowed`, else a CplabError that names both.

    >>> one_of("schedule", "fixed", ("paper", "fixed"))
    'fixed'
    """
    if isinstance(value, str) and value in (allowed := tuple(allowed)):
        return value
    raise CplabError(f"unknown {what} {quote(value)}: choose one of {', '.join(map(str, allowed))}")


def many(what: str, value: Any, most: int) -> list:
    """The words of a text, the entries of what has some, or the value alone; `most` of them."""
    some = [value := value.split() if isinstance(value, str) else value]
    with suppress(TypeError):  # of what has none, though an array of one number seems to
        some = [*islice(value, most + 1)]
    require(len(some) <= most, f"more than {most} {what} are not allowed: give fewer")
    return some


def whole(what: str, value: object, least: int = 0, most: int = 2**31 - 1) -> int:
    """`value` as an int from `least` to `most`, else a CplabError.

    >>> whole("seed", "3")
    3
    """
    with suppress(Exception):  # of int and float, which may be given anything
        number = int(value)  # type: ignore[call-overload]
        exact = isinstance(value, int) or number == float(value)  # type: ignore[arg-type]
        if exact and least <= number <= most and not isinstance(value, bool):
            return number
    raise CplabError(
        f"{what} {quote(value)} is not allowed: give a whole number from {least} to {most}"
    )


def number(what: str, value: object, low: float, below: float, closed: bool = False) -> float:
    """`value` as a float from `low` to less than `below`, or as much if `closed`, else a
    CplabError."""
    with suppress(Exception):
        x = float(value)  # type: ignore[arg-type]
        if (low <= x < below or (closed and x == below)) and not isinstance(value, bool):
            return x
    most = f"{below:g}" if closed else f"below {below:g}"
    raise CplabError(f"{what} {quote(value)} is not allowed: give a number from {low:g} to {most}")


def assign(spec: object, **values: object) -> None:
    """Set fields of a frozen dataclass, in its __post_init__."""
    for name, value in values.items():
        object.__setattr__(spec, name, value)
