"""Files: the folders for them, writing them whole or not at all, and tidying up."""

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from glob import escape, glob  # which find nothing in a directory that may not be read
from pathlib import Path

NOWHERE = "none"  # a value of $CPLAB_DATA: there are no images
WEEK = 7 * 86400  # seconds, for which the files of an interrupted training are kept
PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)  # seconds between attempts to replace a file


def folder_in(variable: str) -> Path | None:
    """The directory that an environment variable names; None if it is not set. Quotes are removed,
    and ~ and variables in the path are replaced."""
    text = os.environ.get(variable, "").strip(" \"'“”")
    if text in ("", NOWHERE):
        return None
    text = os.path.expanduser(os.path.expandvars(text))
    if not os.path.isabs(text):
        text = os.path.join(os.getcwd(), text)
    return as_path(text)


def settle_folders() -> None:
    """Make the folders that environment variables name absolute, so that another working directory
    changes nothing later."""
    for variable in ("CPLAB_CACHE", "CPLAB_DATA"):
        if folder := folder_in(variable):
            os.environ[variable] = str(folder)


@lru_cache(maxsize=2**15)
def as_path(*parts: str) -> Path:
    """The path of some parts, the same object each time, so that its hash is computed once."""
    return Path(*parts)


def cache_dir() -> Path:
    """The directory for downloads and results: $CPLAB_CACHE, or else the user's cache directory."""
    if folder := folder_in("CPLAB_CACHE"):
        return folder
    import platformdirs

    return platformdirs.user_cache_path("cplab")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A context with a path to write to. At its end the file replaces `path`, so that nobody ever
    reads half a file."""
    partial = path.with_suffix(f".{uuid.uuid4().hex[:12]}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        replace_patiently(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def replace_patiently(new: Path, old: Path) -> None:
    """Replace an old file by a new one.

    Windows refuses while another process reads the old one, so this tries again for some seconds.

    Raises:
        OSError.
    """
    for pause in PAUSES:
        try:
            new.replace(old)
            return
        except PermissionError:
            time.sleep(pause)
    new.replace(old)


def tidy() -> None:
    """Remove what interruptions left behind more than a week ago: parts of files, downloads,
    and checkpoints. A process that still needs one makes it anew."""
    folder = escape(str(cache_dir()))
    for pattern in ("*/*.partial", "data/tmp*", "checkpoints/*"):
        for path in glob(f"{folder}/{pattern}"):
            with suppress(OSError):
                if time.time() - os.path.getmtime(path) < WEEK:
                    continue
                if os.path.isdir(path):
                    shutil.rmtree(path)
                else:
                    os.unlink(path)
