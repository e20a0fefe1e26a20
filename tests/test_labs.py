"""Every notebook in labs/: what it is made of, and that all of it runs, the solutions as well."""

import ast
import importlib
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest
from conftest import one_line

from cplab.teach import site

ROOT = Path(__file__).parent.parent
# The last first, so that the rehearsal beside finds trained what it comes to late.
LABS = sorted(ROOT.glob("labs/*.ipynb"), reverse=True)


@pytest.fixture(params=LABS, ids=[path.stem for path in LABS])
def path(request):
    return request.param


@pytest.fixture
def lab(path):
    return nbformat.read(path, as_version=4)


def code(lab):
    return [cell.source for cell in lab.cells if cell.cell_type == "code"]


def prose(lab):
    return "\n\n".join(cell.source for cell in lab.cells if cell.cell_type == "markdown")


def solutions(lab):
    """The Python of each exercise's solution."""
    hidden = re.findall(r"<details>.*?</details>", prose(lab), re.S)
    return [block for one in hidden for block in re.findall(r"```python\n(.*?)```", one, re.S)]


# What it is made of -----------------------------------------------------------------------------


def test_it_is_stored_clean(lab):
    """Valid, without outputs, with the kernel that every Jupyter has."""
    nbformat.validate(lab)
    assert lab.metadata.kernelspec.name == "python3"
    for cell in lab.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None), cell.source
        assert cell.source.strip()
    assert len({cell.id for cell in lab.cells}) == len(lab.cells)


def folded(cell):
    return cell.metadata.get("jupyter", {}).get("source_hidden", False)


def test_it_begins_with_its_parameter_and_what_colab_needs(lab):
    """In one folded cell, which a form shows on Colab."""
    tagged = [cell for cell in lab.cells if "parameters" in cell.metadata.get("tags", [])]
    [first] = tagged
    assert first.id == lab.cells[1].id
    assert folded(first)
    assert folded(lab.cells[2])
    assert first.metadata["cellView"] == "form"
    assert '"google.colab" in sys.modules' in first.source
    assert re.search(r'^profile = "auto"', first.source, re.M)
    assert not any("%pip" in source for source in code(lab))


def test_what_a_student_sees_is_short(lab):
    """12 lines a cell, blank ones as well, and 200 a lab; what is folded may be longer."""
    seen = [c.source.splitlines() for c in lab.cells if c.cell_type == "code" and not folded(c)]
    assert not [lines for lines in seen if len(lines) > 12]
    assert sum(map(len, seen)) <= 200


def test_its_title_has_its_number_and_the_readme_lists_it(path, lab):
    number = path.name.partition("_")[0]
    title = re.match(rf"# Lab {number} · (.+)\n", lab.cells[0].source)
    assert title
    assert f"| [{number} {title[1]}](labs/{path.name}) |" in (ROOT / "README.md").read_text()


def test_it_says_what_one_learns_and_how_long_it_takes(lab):
    begin = lab.cells[0].source
    assert int(re.search(r"About (\d+) minutes", begin)[1]) <= 60
    assert "Shift+Enter" in begin
    assert re.search(r"<summary>.+</summary>\n\n1\. .+\n2\. ", begin)
    for kind in ("animals", "networks", "analogy"):
        assert f"**{kind}**" in begin


def test_all_of_them_are_short():
    """16,000 words, but for what is folded: hints, solutions, sources."""
    texts = [prose(nbformat.read(path, as_version=4)) for path in LABS]
    assert (
        sum(len(re.sub(r"<details>.*?</details>", "", t, flags=re.S).split()) for t in texts)
        <= 16_000
    )


def test_it_asks_before_it_shows(lab):
    asked = [cell for cell in code(lab) if re.search(r"lab\.(choice|question|Prediction)\(", cell)]
    assert len(asked) >= 4
    for cell in asked:  # and says what was found, in one sentence
        assert "lab.Prediction(" in cell or "found=" in cell


def test_every_exercise_has_a_solution(lab):
    exercises = re.split(r"^\*\*Exercise (\d+)\.\*\*", prose(lab), flags=re.M)[1:]
    numbers, texts = exercises[::2], exercises[1::2]
    assert [int(number) for number in numbers] == [*range(1, len(numbers) + 1)]
    assert len(numbers) >= 2
    for text in texts:
        assert (
            len(re.findall("<details><summary>Solution</summary>\n\n.+?</details>", text, re.S))
            == 1
        )
        assert "<details><summary>Stuck?</summary>" in text.partition("Solution</summary>")[0]
    assert solutions(lab)


def test_it_ends_with_what_would_change_our_mind(lab):
    headings = re.findall(r"^## (.+)$", prose(lab), re.M)
    assert headings[-1].endswith("What would change our mind")
    end = prose(lab).rpartition("## ")[2]
    assert len(re.findall("^- ", end, re.M)) >= 2
    assert "analogy" in end
    assert "*Sources.*" in end


# What labs and README may use of the package: its public names, and what serves one lab.
NUMBERED = [f"cplab.labs.{path.stem}" for path in ROOT.glob("cplab/labs/lab*.py")]
NAMES = (*site.PUBLIC, "cplab.measure.fisher", "cplab.labs", *NUMBERED)
ALL = {name.partition(".")[2]: importlib.import_module(name) for name in NAMES}
PUBLIC = {room: getattr(module, "__all__", dir(module)) for room, module in ALL.items()}


def outside_the_door(source):
    """The names of the package in some Python that are not public."""
    rooms, found = {"cplab": ""}, []
    tree = ast.parse(re.sub(r"^( *)[%!].*$", r"\1pass", source, flags=re.M))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.startswith("cplab.")]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cplab"):
            room = node.module.partition(".")[2]
            for name in (alias.name for alias in node.names):
                if (inner := f"{room}.{name}".strip(".")) in PUBLIC:
                    rooms[name] = inner
                elif name not in PUBLIC.get(room, ()):
                    found.append(f"{node.module}.{name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            room = rooms.get(node.value.id)
            if room is not None and node.attr not in PUBLIC[room]:
                found.append(f"{node.value.id}.{node.attr}")
    return found


def test_it_uses_nothing_but_what_is_public(lab):
    whole = "\n".join([*code(lab), *solutions(lab)])
    assert not outside_the_door(whole)


def test_the_readme_uses_nothing_but_what_is_public():
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert blocks
    assert not [name for block in blocks for name in outside_the_door(block)]


# That it runs -----------------------------------------------------------------------------------

# The most memory that a process had, in kB, or bytes on a Mac.
PEAK = '__import__("resource").getrusage(0).ru_maxrss'


@cache
def torch_alone():
    """Peak of a process that loads torch and does nothing: Binder's build, for CPUs, takes less
    than one with the libraries of a GPU, which a machine of the tests may have."""
    words = [sys.executable, "-c", f"import torch\nprint({PEAK})"]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def assert_small(peak):
    """That a kernel's peak leaves room on a Binder machine, which has 1 to 2 GB, JupyterLab
    included."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    mine, alone = float(peak) / unit, torch_alone() / unit
    assert mine - alone < 600, f"{mine:.0f} MB, {alone:.0f} of them torch's"


def test_it_and_its_solutions_run_with_papermill(lab, labs_cache, tmp_path, monkeypatch):
    """As papermill's command runs it, in a folder of its own."""
    from papermill import execute_notebook

    for name in [name for name in os.environ if name.startswith(("PYTEST", "JUPYTER"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CPLAB_CACHE", str(labs_cache))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    count, given, done = len(code(lab)), tmp_path / "given.ipynb", tmp_path / "done.ipynb"
    lab.cells += [nbformat.v4.new_code_cell(block) for block in [*solutions(lab), f"print({PEAK})"]]
    nbformat.write(lab, given)
    how = {"cwd": tmp_path, "execution_timeout": 600, "progress_bar": False}
    how |= {"request_save_on_cell_execute": False, "autosave_cell_every": 0}  # but at the end
    execute_notebook(given, done, {"profile": "ci"}, **how)
    cells = [c for c in nbformat.read(done, as_version=4).cells if c.cell_type == "code"]
    assert len(cells) > count
    told = [output.text for output in cells.pop().outputs if output.get("name") == "stdout"]
    assert_small("".join(told))  # a line may come in pieces
    assert any('profile = "ci"' in cell.source for cell in cells)
    for cell in cells:
        assert cell.execution_count, cell.source
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            if output.output_type == "execute_result":  # words, also in a PDF
                words = output.data["text/plain"]
                assert len(words) < 1000 or len(output.data) > 1, cell.source
                assert not re.match(r"<[\w.]+ object|\w+\(id='", words), cell.source
            if output.get("name") == "stderr":  # progress is welcome there
                assert "Warning" not in output.text, cell.source


def test_a_parameter_that_is_no_profile_is_one_clear_line(lab):
    """As with `papermill -p profile CI`: in the first cell that reads it."""
    first, second = code(lab)[:2]
    space = {}
    exec(first, space)
    one_line(lambda: exec(second, space | {"profile": "CI"}), "CI", "auto", "ci")
