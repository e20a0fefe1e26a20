"""Every notebook in labs/ is played to its end by a student, with images. One is played in a kernel
by papermill, which gives the parameter, and by nbval.

With `CPLAB_KERNEL`, the name of a kernel with the versions that Colab has, papermill plays all of
them there: see docs/release.md. A module `google.colab` without anything in it stands for Colab's.
"""

import os
import subprocess
import sys

import nbformat
import pytest
from conftest import IMAGES, ROOT
from plays import LABS, errors, named, player, students_copy, teachers_copy

KERNEL = os.environ.get("CPLAB_KERNEL", "python3")


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    with player(tmp_path_factory.mktemp("player")) as function:
        yield function


@pytest.mark.parametrize("path", named(LABS))
def test_a_student_with_images_comes_to_the_end(path, play, labs_cache, tmp_path):
    lab = students_copy(path)
    played = play(lab, tmp_path, CPLAB_CACHE=labs_cache, CPLAB_DATA=str(IMAGES))
    assert errors(played) == {}


# papermill ----------------------------------------------------------------------------------------

STUB = 'import sys, types\nsys.modules["google.colab"] = types.ModuleType("google.colab")\n'


def pretend_to_be_colab(notebook):
    """Let a lab believe that it runs in Colab, where nothing has to be installed."""
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = STUB + first.source.replace("get_ipython().run_line_magic", "print")


SHORTEST = sorted(ROOT.glob("labs/03b_*.ipynb"))


@pytest.mark.parametrize("path", named(SHORTEST if KERNEL == "python3" else LABS))
def test_papermill_runs_it(path, tmp_path, monkeypatch):
    """As its command does, in a folder of its own."""
    from papermill import execute_notebook

    for name in [*os.environ]:
        if name.startswith(("PYTEST", "JUPYTER")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    lab = teachers_copy(path)
    if KERNEL != "python3":
        pretend_to_be_colab(lab)
    given = tmp_path / "given.ipynb"
    done = tmp_path / "done.ipynb"
    nbformat.write(lab, given)
    execute_notebook(
        given,
        done,
        parameters={"profile": "ci"},
        kernel_name=KERNEL,
        cwd=tmp_path,
        execution_timeout=300,
        progress_bar=False,
        request_save_on_cell_execute=False,
        autosave_cell_every=0,  # but at the end
    )
    for cell in nbformat.read(done, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.metadata.papermill.status == "completed"
            assert not [output for output in cell.outputs if output.output_type == "error"]


# nbval --------------------------------------------------------------------------------------------


def test_each_cell_is_a_test_for_nbval(tmp_path):
    """As `pytest --nbval-lax` plays a lab in a kernel, cell by cell."""
    [path] = SHORTEST
    nbformat.write(students_copy(path), tmp_path / path.name)
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
