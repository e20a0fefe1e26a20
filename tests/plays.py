"""What tests that play the labs share: papermill plays a notebook in a kernel that is a fork.

There are two files of such tests, so that two workers share the labs.
"""

import re

import nbformat
import pytest
from conftest import ROOT
from papermill import execute_notebook

LABS = sorted(ROOT.glob("labs/*.ipynb"))


def named(paths):
    """A lab's path as a parameter of tests, shown by its name."""
    return [pytest.param(path, id=path.stem) for path in paths]


def shorten(notebook):
    """Train two of many seeds, for twenty epochs; searches recover for six. Of each run lab 00 has
    four networks of a student's own, whose lives have up to 23 epochs."""
    for cell in notebook.cells:
        source = cell.source.replace("length=200", "length=20, recovery=20")
        source = source.replace("(onset=age)", "(onset=age // 5, length=5, recovery=2)")
        source = source.replace('"recovery": 60', '"recovery": 6')
        source = re.sub(
            "(?m)^from cplab.labs import lab00.*", r"\g<0>\nlab00.SEEDS = range(4)", source
        )
        source = source.replace(
            'childhood("mosaic+flip")', 'childhood("mosaic+flip", length=1, recovery=1)'
        )
        source = source.replace('childhood(), "scale', 'childhood(length=5, recovery=2), "scale')
        source = source.replace("for seed in range(20)", "for seed in range(2)")
        cell.source = re.sub(r"(seeds =|for n in) range\(10\)", r"\1 range(2)", source)
    return notebook


def play(notebook, folder, profile="", kernel="python3", **variables):
    """Have papermill play a notebook in a folder, with variables of the environment, and give what
    it has written. A cell that fails raises its error.

    Arguments: profile, the lab's parameter; kernel, its name.
    """
    given = folder / "given.ipynb"
    done = folder / "done.ipynb"
    nbformat.write(notebook, given)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CPLAB_DATA", raising=False)  # a student begins without images
        for name, value in variables.items():
            patch.setenv(name, str(value))
        execute_notebook(
            given,
            done,
            parameters={"profile": profile} if profile else None,
            kernel_name=kernel,
            cwd=folder,
            start_timeout=300,
            execution_timeout=300,
            progress_bar=False,
            request_save_on_cell_execute=False,
            autosave_cell_every=0,  # but at the end
        )
    played = nbformat.read(done, as_version=4)
    for cell in played.cells:
        if cell.cell_type == "code":
            assert cell.metadata.papermill.status == "completed"
    return played


def texts(cell, stream):
    """What a cell has written to a stream, stdout or stderr."""
    written = [output.text for output in cell.get("outputs", []) if output.get("name") == stream]
    return "".join(written)
