"""Every notebook in labs/ is played to its end by papermill, as it is, with images, and with the
solutions of its exercises. One is played at the smallest size, and one by nbval, in usual kernels.

With `CPLAB_KERNEL`, the name of a kernel with the versions that Colab has, papermill plays all of
them there: see docs/release.md. A module `google.colab` without anything in it stands for Colab's.
"""

import os
import re
import subprocess
import sys

import nbformat
import pytest
import torch
from conftest import IMAGES, ROOT
from kernel import kernel_of_forks
from plays import LABS, named, play, shorten, texts

from cplab import teach

KERNEL = os.environ.get("CPLAB_KERNEL", "python3")
# How much memory the kernel had at most.
PEAK = """from pathlib import Path
status = Path("/proc/self/status")
lines = status.read_text().splitlines() if status.exists() else ["VmHWM: 0 kB"]
print(*[line for line in lines if line.startswith("VmHWM")])"""


# The solutions that train networks of which nothing is shipped: what they replace in a run.
TRAINED = {"solution-02-2": "early", "solution-02-4": "early", "solution-07-4": "closed"}


def teachers_copy(path):
    """The copy that has the solutions and checks in their places. What three of them train is
    small, and recovers for six epochs."""
    copy = teach.copy_for(nbformat.read(path, as_version=4), path.stem, "instructor")
    for cell in copy.cells:
        if run := TRAINED.get(cell.id):
            small = f'{run}.replace(profile="ci", recovery=6, '
            cell.source = cell.source.replace(f"{run}.replace(", small)
    return shorten(copy)


@pytest.fixture(scope="module")
def forks(tmp_path_factory):
    """The variable by which the usual kernel is a fork."""
    with kernel_of_forks(tmp_path_factory.mktemp("kernel")) as folder:
        yield {"JUPYTER_PATH": folder} if folder else {}


@pytest.fixture(scope="module", params=named(LABS))
def played(request, forks, labs_cache, tmp_path_factory):
    """A lab that was played with images."""
    lab = teachers_copy(request.param)
    lab.cells.append(nbformat.v4.new_code_cell(PEAK))
    folder = tmp_path_factory.mktemp("played")
    return play(lab, folder, CPLAB_CACHE=labs_cache, CPLAB_DATA=IMAGES, **forks)


def test_a_student_with_images_comes_to_the_end_with_the_solutions(played):
    assert played.cells[-1].outputs


def test_an_output_has_words_of_its_own(played):
    """Also in a PDF: no address in memory, no dump of an object."""
    for cell in played.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            words = data.get("text/plain", "")  # none of what a page draws by itself
            assert len(words) < 1000 or len(data) > 1
            assert not re.match(r"<[\w.]+ object|\w+\(id='", words)


def test_no_cell_warns(played):
    """Of progress a cell may tell."""
    for cell in played.cells:
        assert "Warning" not in texts(cell, "stderr")


@pytest.mark.skipif(torch.cuda.is_available(), reason="Binder has no GPU")
def test_it_has_room_on_binder(played):
    """Which has 1 to 2 GB."""
    assert int(texts(played.cells[-1], "stdout").split()[1]) < 1_500_000  # kB


# Usual kernels ------------------------------------------------------------------------------------

STUB = 'import sys, types\nsys.modules["google.colab"] = types.ModuleType("google.colab")\n'


def pretend_to_be_colab(notebook):
    """Let a lab believe that it runs in Colab, where nothing has to be installed."""
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = STUB + first.source.replace("get_ipython().run_line_magic", "print")


SHORTEST = sorted(ROOT.glob("labs/03b_*.ipynb"))


@pytest.mark.parametrize("path", named(SHORTEST if KERNEL == "python3" else LABS))
def test_papermill_runs_it_at_the_smallest_size(path, tmp_path, monkeypatch):
    for name in [*os.environ]:
        if name.startswith(("PYTEST", "JUPYTER")):
            monkeypatch.delenv(name)
    lab = teachers_copy(path)
    if KERNEL != "python3":
        pretend_to_be_colab(lab)
    play(lab, tmp_path, "ci", KERNEL, PYTHONPATH=ROOT, CPLAB_WORKERS=1)


def test_each_cell_is_a_test_for_nbval(tmp_path):
    """As `pytest --nbval-lax` plays a lab in a kernel, cell by cell."""
    [path] = SHORTEST
    nbformat.write(shorten(nbformat.read(path, as_version=4)), tmp_path / path.name)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST")
    }
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=300"]
    played = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, path.name],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert played.returncode == 0, played.stdout[-2000:]
