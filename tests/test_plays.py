"""Every notebook in labs/ is played to its end: by a student, with its solutions, without torch.

One is played in a kernel by papermill, which gives the parameter. With `CPLAB_KERNEL`, the name of
a kernel with the versions that Colab has, papermill plays all of them there: see docs/release.md. A
module `google.colab` without anything in it stands for Colab's own. One is played by nbval, too.
"""

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager

import nbformat
import pytest
import torch
from conftest import IMAGES, ROOT

from cplab import teach

LABS = sorted(ROOT.glob("labs/*.ipynb"))
KERNEL = os.environ.get("CPLAB_KERNEL", "python3")


def named(paths):
    """A lab's path as a parameter of tests, shown by its name."""
    return [pytest.param(path, id=path.stem) for path in paths]


# The labs with less to train ----------------------------------------------------------------------


def shorten(notebook):
    """Train two of ten seeds, for twenty epochs; searches recover for six."""
    for cell in notebook.cells:
        source = cell.source.replace("length=200", "length=20, recovery=20")
        source = source.replace('"recovery": 60', '"recovery": 6')
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
    command = [sys.executable, str(ROOT / "tests" / "player.py"), *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder)}
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
            assert code == "0\n", log.read_text()
            return json.loads((home / "played.json").read_text("utf-8"))

        yield play
        process.stdin.close()


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    with player(tmp_path_factory.mktemp("player")) as function:
        yield function


@pytest.fixture(scope="module")
def play_without_torch(tmp_path_factory):
    with player(tmp_path_factory.mktemp("player"), "--without-torch") as function:
        yield function


def errors(played):
    """The cells that failed, with their errors."""
    return {cell["id"]: cell["failed"] for cell in played["cells"] if cell["failed"]}


@pytest.mark.parametrize("path", named(LABS))
def test_a_student_without_torch_comes_to_the_end(path, play_without_torch, tmp_path):
    """As on a Mac with an Intel chip, or a small hub: what takes torch says so."""
    lab = nbformat.read(path, as_version=4)
    played = play_without_torch(lab, tmp_path, CPLAB_CACHE=str(tmp_path))
    assert errors(played) == {}


@pytest.mark.parametrize("path", named(LABS))
def test_a_student_with_images_comes_to_the_end(path, play, labs_cache, tmp_path):
    lab = students_copy(path)
    played = play(lab, tmp_path, CPLAB_CACHE=labs_cache, CPLAB_DATA=str(IMAGES))
    assert errors(played) == {}


@pytest.fixture(scope="module", params=named(LABS))
def small(request, play, labs_cache, tmp_path_factory):
    """A lab of the smallest profile, with its solutions, that was played without images."""
    lab = set_profile(teachers_copy(request.param), "ci")
    return play(lab, tmp_path_factory.mktemp("small"), CPLAB_CACHE=labs_cache)


def test_a_small_lab_comes_to_the_end_with_its_solutions(small):
    assert errors(small) == {}


def test_an_output_has_words_of_its_own(small):
    """Also in a PDF: no address in memory, no dump of an object."""
    for cell in small["cells"]:
        for output in cell["outputs"]:
            words = output.get("text/plain", "")  # none of what a page draws by itself
            assert len(words) < 1000 or len(output) > 1
            assert not re.match(r"<[\w.]+ object|\w+\(id='", words)


def test_no_cell_warns(small):
    """Of progress a cell may tell."""
    for cell in small["cells"]:
        assert "Warning" not in cell["warned"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="Binder has no GPU")
def test_it_has_room_on_binder(small):
    """Which has 1 to 2 GB."""
    assert small["peak"] < 1_500_000  # kB


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
