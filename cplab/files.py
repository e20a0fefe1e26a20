"""Files: the folders they lie in, written whole or not at all, locked, and tidied away."""

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape, glob  # for which a closed directory is empty
from pathlib import Path

NOWHERE = "none"  # as $CPLAB_DATA: no images are at hand
WEEK = 7 * 86400  # seconds for which interrupted training may go on


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

    return platformdirs.user_cache_path("cplab")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Open a path to write to; the file replaces `path` once it is complete."""
    partial = path.with_suffix(f".{uuid.uuid4().hex[:12]}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def lock_file(path: Path, wait: bool = True) -> Iterator[bool]:
    """Lock a file, and yield whether this process has the lock; without `wait`, another one may
    have it. On a file system that cannot lock, go on: files are put in place whole, so at worst one
    is made twice."""
    from filelock import FileLock, Timeout

    lock, locked = FileLock(path, thread_local=False), True
    try:
        lock.acquire(blocking=wait)
    except (OSError, NotImplementedError) as error:
        locked = not isinstance(error, Timeout)
    try:
        yield locked
    finally:
        lock.release()


def tidy() -> None:
    """Remove leftovers of interruptions that are a week old: parts of files, downloads,
    checkpoints, and locks, which whoever still wants one makes anew."""
    for pattern in ("*/*.partial", "data/tmp*", "locks/*", "checkpoints/*"):
        for path in glob(f"{escape(str(cache_dir()))}/{pattern}"):
            with suppress(OSError):
                remove = shutil.rmtree if os.path.isdir(path) else os.unlink
                if time.time() - os.path.getmtime(path) > WEEK:
                    remove(path)


for _variable in ("CPLAB_CACHE", "CPLAB_DATA"):  # relative to where Python was started
    named_folder(_variable)
