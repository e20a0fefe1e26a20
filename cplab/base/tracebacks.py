"""Tracebacks: the lines of a student's own code through which an error has passed."""

import os
import traceback
from functools import cache
from pathlib import Path

LIBRARIES = (Path(os.__file__).parent, Path(__file__).parents[1])  # of Python, and this package
PACKAGE_FOLDERS = {"site-packages", "dist-packages"}  # names of folders of installed packages


def own_lines(error: BaseException | None) -> tuple[str, ...]:
    """The lines of cells and of a student's own files through which an error has passed."""
    if error is None:
        return ()
    lines = []
    for step in traceback.extract_tb(error.__traceback__):
        if step.line and not in_library(step.filename):
            place = "the cell" if step.name == "<module>" else step.name
            lines.append(f"  {place}: {step.line}")
    return tuple(lines)


@cache
def in_library(file: str) -> bool:
    """Whether a file is one of Python, of cplab or of an installed package.

    >>> in_library(os.__file__), in_library("<ipython-input-1>")
    (True, False)
    """
    if file.startswith("<frozen"):  # a module that Python itself has built in
        return True
    path = Path(file)
    if PACKAGE_FOLDERS & {*path.parts}:
        return True
    return any(path.is_relative_to(folder) for folder in LIBRARIES)
