"""Files: the folders they lie in, written whole or not at all, locked, and tidied away."""

import os
import shutil
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from glob import escape, glob  # for which a closed directory is empty
from pathlib import Path

NOWHERE = "none"  # as $CPLAB_DATA: no images are at hand
WEEK = 7 * 86400  # seconds for which interrupted training may go on
PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)  # seconds between attempts to replace a file


def named_folder(variable: str) -> Path | None:
    """The directory that an environment variable names, with ~ and variables replaced and quotes
    removed; None where it is not set. The variable then holds the absolute path, so that another
    working directory later changes nothing."""
    text = os.environ.get(variable, "").strip(" \"'“”")
    if text in ("", NOWHERE):
        return None
    folder = Path(os.path.expanduser(os.path.expandvars(text))).absolute()
    os.environ[variable] = str(folder)
    return folder


def cache_dir() -> Path:
    """The directory for downloads and results: $CPLAB_CACHE, else the user's cache directory."""
    if folder := named_folder("CPLAB_CACHE"):
        return folder
    import platformdirs

    try:
        return platformdirs.user_cache_path("cplab")
    except RuntimeError:  # a user without a name and a home
        return nobodys_folder()


@cache
def nobodys_folder() -> Path:
    """A folder for downloads and results if the user has no home directory; a warning says so
    once."""
    folder = Path(tempfile.gettempdir()) / f"cplab-{os.getuid()}"
    warnings.warn(
        f"there is no home folder, so that downloads and results are in {folder}, which the "
        "system may empty: set $CPLAB_CACHE to another folder",
        stacklevel=2,
    )
    return folder


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Open a path to write to; the file replaces `path` once it is complete."""
    partial = path.with_suffix(f".{uuid.uuid4().hex[:12]}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        replace_patiently(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def replace_patiently(new: Path, old: Path) -> None:
    """Replace an old file by a new one. Windows refuses while another process reads the old one, so
    try again for some seconds. Raises: OSError."""
    for pause in PAUSES:
        try:
            new.replace(old)
            return
        except PermissionError:
            time.sleep(pause)
    new.replace(old)


@contextmanager
def lock_file(path: Path, wait: bool = True) -> Iterator[bool]:
    """Lock a file, and yield whether this process has the lock; without `wait`, another one may
    have it. On a file system that cannot lock, go on: files are put in place whole, so at worst one
    is made twice."""
    from filelock import FileLock, Timeout

    lock = FileLock(path, thread_local=False)
    locked = True
    try:
        lock.acquire(blocking=wait)
    except (OSError, NotImplementedError) as error:
        locked = not isinstance(error, Timeout)
    try:
        yield locked
    finally:
        lock.release()


def tidy() -> None:
    """Remove leftovers of interruptions that are a week old: parts of files, downloads, checkpoints
    and locks. A process that still needs one makes it anew."""
    folder = escape(str(cache_dir()))
    for pattern in ("*/*.partial", "data/tmp*", "locks/*", "checkpoints/*"):
        for path in glob(f"{folder}/{pattern}"):
            with suppress(OSError):
                if time.time() - os.path.getmtime(path) < WEEK:
                    continue
                if os.path.isdir(path):
                    shutil.rmtree(path)
                else:
                    os.unlink(path)


for _variable in ("CPLAB_CACHE", "CPLAB_DATA"):  # relative to where Python was started
    named_folder(_variable)
