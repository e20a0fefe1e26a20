"""Every notebook in labs/: what it is made of."""

import importlib
import re

import nbformat
import pytest
from conftest import ROOT

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
    assert all("lab.Prediction(" in cell or "finding=" in cell for cell in asked)
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
