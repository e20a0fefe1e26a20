"""Every notebook in labs/: what it is made of, and that all of it runs, the solutions as well.

With `CPLAB_KERNEL`, the name of a kernel with the versions that Colab has, it runs there: see
docs/release.md. A module `google.colab` without anything in it stands for Colab's own.
"""

import importlib
import json
import os
import re
import subprocess
import sys

import nbformat
import pytest
import torch
from conftest import ROOT, shorter

from cplab import teach
from cplab.teach import site

LABS = sorted(ROOT.glob("labs/*.ipynb"), reverse=True)
README = (ROOT / "README.md").read_text()


@pytest.fixture(params=LABS, ids=[path.stem for path in LABS])
def path(request):
    return request.param


@pytest.fixture
def lab(path):
    return nbformat.read(path, as_version=4)


@pytest.fixture
def taught(path):
    """The teachers' copy, which has the solutions and checks in their places."""
    return teach.copy_for(nbformat.read(path, as_version=4), path.stem, "instructor")


def code(lab):
    return [cell.source for cell in lab.cells if cell.cell_type == "code"]


def prose(lab):
    return "\n\n".join(cell.source for cell in lab.cells if cell.cell_type == "markdown")


def folded(cell):
    return cell.metadata.get("jupyter", {}).get("source_hidden", False)


def test_it_is_stored_clean_and_begins_with_its_parameter(lab):
    """Without outputs, with the kernel that every Jupyter has; what Colab needs is folded."""
    nbformat.validate(lab)
    assert lab.metadata.kernelspec.name == "python3"
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in lab.cells)
    waits = r"\binteract|\bOutput\("  # papermill may, for ever: jupyter/nbclient#312
    assert not re.search(waits, "\n".join(code(lab)))
    [first] = [cell for cell in lab.cells if "parameters" in cell.metadata.get("tags", [])]
    assert first.id == lab.cells[1].id
    assert folded(first)
    assert folded(lab.cells[2])
    assert '"google.colab" in sys.modules' in first.source
    assert re.search(r'^profile = "auto"', first.source, re.M)
    assert "lab.setting(profile" in code(lab)[1]  # which refuses what is no profile


def test_the_readme_lists_it_and_it_asks_has_exercises_and_ends_with_doubt(path, lab):
    number, text = path.name.partition("_")[0], prose(lab)
    title = re.match(rf"# Lab {number} · (.+)\n", text)[1]
    assert f"| [{number} {title}](labs/{path.name}) |" in README
    asked = [cell for cell in code(lab) if re.search(r"lab\.(question|Prediction)\(", cell)]
    assert len(asked) >= 4
    assert all("lab.Prediction(" in cell or "found=" in cell for cell in asked)
    exercises = re.split(r"^\*\*Exercise (\d+)\.\*\*", text, flags=re.M)[1:]
    assert [*map(int, exercises[::2])] == [*range(1, len(exercises) // 2 + 1)]
    for exercise in exercises[1::2]:
        hint, solution = (exercise.find(f"<summary>{name}<") for name in ("Stuck?", "Solution"))
        assert 0 < hint < solution
    end = text.rpartition("\n## ")[2]
    assert "What would change our mind\n" in end
    assert len(re.findall("^- ", end, re.M)) >= 2


NAMES = [*site.PUBLIC, "cplab.measure.fisher", "cplab.labs"]
NAMES += [f"cplab.labs.{path.stem}" for path in ROOT.glob("cplab/labs/lab*.py")]
MODULES = {name: importlib.import_module(name) for name in NAMES}
PUBLIC = {*MODULES}
for home, of in MODULES.items():
    PUBLIC |= {f"{home}.{name}" for name in getattr(of, "__all__", dir(of))}


def test_it_and_the_readme_use_nothing_but_what_is_public(taught):
    """Of cplab's modules, however they are imported and named."""
    shown = re.findall(r"```python\n(.*?)```", README, re.S)
    source, known = "\n".join([*code(taught), *shown]), {"cplab": "cplab"}
    for home, names in re.findall(r"^ *from (cplab[\w.]*) import (.+)", source, re.M):
        for name, _, other in (each.partition(" as ") for each in names.split(", ")):
            known[other or name] = f"{home}.{name}"
    called = re.findall(r"(?<![\w.\"])(\w+)\.([a-z_]\w*)\(", source)
    used = {f"{known[one]}.{name}" for one, name in called if known.get(one) in MODULES}
    assert {*known.values(), *used} <= PUBLIC


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory):
    """A process without torch that plays labs, each in a fork; libraries are loaded once."""
    command = [sys.executable, str(ROOT / "tests" / "without_torch.py")]
    errors = tmp_path_factory.mktemp("without_torch") / "errors.txt"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("CPLAB_DATA", None)  # a student begins without images
    with (
        errors.open("w") as stderr,
        subprocess.Popen(command, env=environment, stderr=stderr, **pipes) as process,
    ):

        def play(path, folder):
            process.stdin.write(json.dumps([str(path), str(folder)]) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            assert line, errors.read_text()
            return json.loads(line)

        yield play
        process.stdin.close()


def test_it_runs_to_its_end_without_torch(path, without_torch, tmp_path):
    """As on a Mac with an Intel chip, or a small hub: what takes torch says so."""
    played = without_torch(path, tmp_path)
    assert played["failed"] == [], played["printed"]


# Prints the most memory that the kernel had, in kB, where it is Linux, as on Binder.
PEAK = r"""import pathlib, re
status = pathlib.Path("/proc/self/status")
print(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1] if status.exists() else 0)"""
KERNEL = os.environ.get("CPLAB_KERNEL", "python3")
STUB = 'import sys, types\nsys.modules["google.colab"] = types.ModuleType("google.colab")\n'


def test_it_and_its_solutions_run_with_papermill(path, taught, labs_cache, tmp_path, monkeypatch):
    """As papermill's command runs it, in a folder of its own; with room on Binder's 1 to 2 GB."""
    from papermill import execute_notebook

    for name in [name for name in os.environ if name.startswith(("PYTEST", "JUPYTER"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CPLAB_CACHE", labs_cache)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for cell in taught.cells:
        cell.source = shorter(cell.source.replace('"recovery": 60', '"recovery": 6'))
    if KERNEL != "python3":
        first = next(cell for cell in taught.cells if cell.cell_type == "code")
        first.source = STUB + first.source.replace("get_ipython().run_line_magic", "print")
    taught.cells.append(nbformat.v4.new_code_cell(PEAK))
    given, done = tmp_path / "given.ipynb", tmp_path / "done.ipynb"
    nbformat.write(taught, given)
    how = {"cwd": tmp_path, "execution_timeout": 300, "progress_bar": False}
    how |= {"request_save_on_cell_execute": False, "autosave_cell_every": 0}  # but at the end
    how |= {"parameters": {"profile": "ci"}, "kernel_name": KERNEL}
    execute_notebook(given, done, **how)
    cells = [c for c in nbformat.read(done, as_version=4).cells if c.cell_type == "code"]
    assert len(cells) == len(code(taught)) + 1  # that of the parameter
    for output in (output for cell in cells for output in cell.outputs):
        if output.output_type == "execute_result":  # words, also in a PDF
            words = output.data["text/plain"]
            assert len(words) < 1000 or len(output.data) > 1
            assert not re.match(r"<[\w.]+ object|\w+\(id='", words)
        if output.get("name") == "stderr":  # progress is welcome there
            assert "Warning" not in output.text
    peak = float(cells[-1].outputs[0].text)
    assert peak < 1_500_000 or torch.cuda.is_available()  # Binder has no GPU
