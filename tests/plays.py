"""What tests that play the labs share: shorter copies of the notebooks, and a process that plays.

The three files of tests are one for each kind of reader, so that several workers share the labs.
"""

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager

import nbformat
import pytest
from conftest import ROOT

from cplab import teach

LABS = sorted(ROOT.glob("labs/*.ipynb"))


def named(paths):
    """A lab's path as a parameter of tests, shown by its name."""
    return [pytest.param(path, id=path.stem) for path in paths]


# The labs with less to train ----------------------------------------------------------------------


def shorten(notebook):
    """Train two of ten seeds, for twenty epochs; searches recover for six. What lab 00 trains
    meanwhile has lives of up to 23 epochs."""
    for cell in notebook.cells:
        source = cell.source.replace("length=200", "length=20, recovery=20")
        source = source.replace("(onset=age)", "(onset=age // 5, length=5, recovery=2)")
        source = source.replace('"recovery": 60', '"recovery": 6')
        source = source.replace("for seed in lab00.SEEDS", "for seed in lab00.SEEDS[:2]")
        source = source.replace('childhood("mosaic+flip")', 'childhood("mosaic+flip", length=1)')
        cell.source = re.sub(r"(seeds =|for n in) range\(10\)", r"\1 range(2)", source)
    return notebook


def students_copy(path):
    return shorten(nbformat.read(path, as_version=4))


def teachers_copy(path):
    """The copy that has the solutions and checks in their places. What the solutions of lab 02
    train recovers for six epochs: of the smallest profile nothing is shipped anyway."""
    copy = teach.copy_for(nbformat.read(path, as_version=4), path.stem, "instructor")
    if path.stem.startswith("02_"):
        for cell in copy.cells:
            cell.source = cell.source.replace("    recovery=60,", "    recovery=6,")
    return shorten(copy)


def set_profile(notebook, profile):
    """Give the lab its parameter, in a cell below its first one, as papermill does."""
    first = next(n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    cell = nbformat.v4.new_code_cell(f'profile = "{profile}"')
    notebook.cells.insert(first + 1, cell)
    return notebook


# Playing ------------------------------------------------------------------------------------------


@contextmanager
def player(folder, *options):
    """A function that plays notebooks in forks of one process, and gives what was shown."""
    command = [sys.executable, "-X", "faulthandler", str(ROOT / "tests" / "player.py"), *options]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(folder),
        "CPLAB_WORKERS": "1",  # further processes would load torch, for a training of seconds
    }
    environment.pop("CPLAB_DATA", None)  # a student begins without images
    log = folder / "errors.txt"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        log.open("w") as errors,
        subprocess.Popen(command, env=environment, stderr=errors, **pipes) as process,
    ):

        def play(notebook, home, **variables):
            given = home / "given.ipynb"
            nbformat.write(notebook, given)
            process.stdin.write(json.dumps([str(given), str(home), variables]) + "\n")
            process.stdin.flush()
            code = process.stdout.readline()
            assert code == "0\n", (
                f"it ended with {code!r}, and the player with {process.poll()}: {log.read_text()}"
            )
            return json.loads((home / "played.json").read_text("utf-8"))

        yield play
        process.stdin.close()


def errors(played):
    """The cells that failed, with their errors."""
    return {cell["id"]: cell["failed"] for cell in played["cells"] if cell["failed"]}
