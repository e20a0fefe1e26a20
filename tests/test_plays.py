"""Every notebook in labs/ is played to its end by papermill, as it is, with the images that are
here, and with the solutions of its exercises; the shortest one at the smallest size, and by nbval.

With `CPLAB_KERNEL`, the name of a kernel with the versions that Colab has, papermill plays all of
them there at the smallest size: see docs/release.md. A module `google.colab` without anything in it
stands for Colab's.
"""

import os
import re
import subprocess
import sys

import nbformat
import pytest
import torch
from conftest import IMAGES, ROOT, has_images
from kernel import kernel_of_forks
from papermill import execute_notebook

from cplab import teach
from cplab.lab.questions.checks import find_exercise

KERNEL = os.environ.get("CPLAB_KERNEL", "python3")
LABS = sorted(ROOT.glob("labs/*.ipynb"))
SHORTEST = ROOT / "labs/03b_digits.ipynb"  # whose cells are the fewest
# How much memory the kernel had at most.
PEAK = """from pathlib import Path
status = Path("/proc/self/status")
lines = status.read_text().splitlines() if status.exists() else ["VmHWM: 0 kB"]
print(*[line for line in lines if line.startswith("VmHWM")])"""
STUB = 'import sys, types\nsys.modules["google.colab"] = types.ModuleType("google.colab")\n'


# The solutions that train networks of which nothing is shipped: their runs, made smaller, and on
# practice images where there are no photographs.
BRIEF = 'profile="ci", recovery=2, '
if not has_images("cifar10"):
    BRIEF += 'dataset="practice", '
TRAINED = {
    "solution-02-2": ('small("blur-2")', f'small().replace({BRIEF}deficit="blur-2", length=4)'),
    "solution-02-4": (
        'small().replace(treatments="rate-3@16"',
        f'small().replace({BRIEF}length=4, treatments="rate-3@4"',
    ),
    "solution-07-4": ('replace(model="eyes_whole")', f'replace({BRIEF}model="eyes_whole-2")'),
}


def shorten(notebook):
    """Train two seeds of a run, for some epochs; searches recover for six."""
    for cell in notebook.cells:
        source = cell.source.replace("length=200", "length=5, recovery=5")
        source = source.replace("(onset=age)", "(onset=age // 5, length=5, recovery=2)")
        source = source.replace('"recovery": 60', '"recovery": 6')
        source = re.sub(
            "(?m)^from cplab.labs import lab00.*", r"\g<0>\nlab00.SEEDS = range(2)", source
        )
        source = source.replace(
            'childhood("mosaic+flip")', 'childhood("mosaic+flip", length=1, recovery=1)'
        )
        source = source.replace('childhood(), "scale', 'childhood(length=5, recovery=2), "scale')
        source = source.replace("for seed in range(20)", "for seed in range(2)")
        cell.source = re.sub(r"(seeds =|for n in) range\(10\)", r"\1 range(2)", source)
    return notebook


def teachers_copy(path):
    """The copy that has the solutions and checks in their places. What they train is small."""
    copy = teach.copy_for(nbformat.read(path, as_version=4), path.stem, "instructor")
    for cell in copy.cells:
        if cell.id in TRAINED:
            usual, brief = TRAINED[cell.id]
            assert usual in cell.source
            cell.source = cell.source.replace(usual, brief)
    return shorten(copy)


def pretend_to_be_colab(notebook):
    """Let a lab believe that it runs in Colab, where nothing has to be installed."""
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = STUB + first.source.replace("get_ipython().run_line_magic", "print")


@pytest.fixture(scope="module")
def forks(tmp_path_factory):
    """The variable by which the usual kernel is a fork."""
    with kernel_of_forks(tmp_path_factory.mktemp("kernel"), IMAGES) as folder:
        yield {"JUPYTER_PATH": str(folder)} if folder else {}


@pytest.fixture(scope="module", params=LABS, ids=[path.stem for path in LABS])
def played(request, forks, tmp_path_factory):
    """A lab that papermill played. A cell that fails raises its error."""
    lab = teachers_copy(request.param)
    lab.cells.append(nbformat.v4.new_code_cell(PEAK))
    smallest = request.param == SHORTEST or KERNEL != "python3"
    if KERNEL != "python3":
        pretend_to_be_colab(lab)
    folder = tmp_path_factory.mktemp("played")
    nbformat.write(lab, folder / "given.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"CPLAB_CACHE": folder, "CPLAB_DATA": IMAGES, **forks}.items():
            patch.setenv(name, str(value))
        execute_notebook(
            folder / "given.ipynb",
            folder / "done.ipynb",
            parameters={"profile": "ci"} if smallest else None,
            kernel_name=KERNEL,
            cwd=folder,
            start_timeout=300,
            execution_timeout=300,
            progress_bar=False,
            request_save_on_cell_execute=False,
            autosave_cell_every=0,  # but at the end
        )
    return nbformat.read(folder / "done.ipynb", as_version=4)


def texts(cell, stream):
    """What a cell has written to a stream, stdout or stderr."""
    written = [output.text for output in cell.get("outputs", []) if output.get("name") == stream]
    return "".join(written)


def test_a_student_comes_to_the_end_with_the_solutions(played):
    assert played.cells[-1].outputs


def test_solutions_are_right(played):
    for cell in played.cells:
        if cell.id.startswith("check-"):
            exercise = find_exercise(cell.id.removeprefix("check-"))
            if has_images(exercise.images) and not exercise.own_training:
                assert texts(cell, "stdout").endswith("right.\n"), exercise.key


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


def test_each_cell_is_a_test_for_nbval(forks, tmp_path):
    """As `pytest --nbval-lax` plays a lab in a kernel, cell by cell."""
    nbformat.write(shorten(nbformat.read(SHORTEST, as_version=4)), tmp_path / SHORTEST.name)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST")
    }
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=300"]
    played = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, SHORTEST.name],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)} | forks,
        capture_output=True,
        text=True,
    )
    assert played.returncode == 0, played.stdout[-2000:]
