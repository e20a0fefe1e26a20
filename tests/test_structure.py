"""How the package is built: imports run downwards only; four calls from a job to its batch."""

import ast
import inspect
import json
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from conftest import ROOT, one_line
from contributing import places

import cplab
from cplab.base import palette
from cplab.base.errors import CplabError
from cplab.deficits import Deficit

FILES = sorted((ROOT / "cplab").rglob("*.py"))
PATHS = [path.relative_to(ROOT).as_posix() for path in FILES]

# From the bottom to the top: a module imports from its own layer and from those below.
LAYERS = (
    {"base"},
    {"specs"},
    {"deficits", "models"},
    {"gallery", "pictures"},
    {"runs"},
    {"measure"},
    {"engine", "estimates"},
    {"results"},
    {"quantities"},
    {"output"},
    {"show"},
    {"lab"},
    {"teach"},
    {"__init__", "cli", "__main__"},
    {"labs"},  # what one lab alone needs: nothing in core may know it
)


def module_name(path):
    """`results` of `cplab.results.store` or `cplab/results/store.py`."""
    parts = path.removesuffix(".py").replace("/", ".").split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def layer(path):
    found = [i for i, names in enumerate(LAYERS) if module_name(path) in names]
    assert found, f"{path} is in no layer: add it to LAYERS"
    return found[0]


def imported(path):
    """The modules of cplab that a module imports."""
    inner = {path.stem for path in (ROOT / "cplab").iterdir()}
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.partition(".")[0] == "cplab")
        elif isinstance(node, ast.ImportFrom) and node.module == "cplab":
            for name in (alias.name for alias in node.names):
                yield f"cplab.{name}" if name in inner else "cplab"  # a module, or the roof's own
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cplab."):
            yield node.module
            yield from (f"{node.module}.{a.name}" for a in node.names)


@cache
def imports():
    """What each module imports: {path: names}."""
    return {path: {*imported(path)} for path in PATHS}


def test_no_module_imports_from_a_layer_above():
    for path, names in imports().items():
        assert not {name for name in names if layer(name) > layer(path)}, path


def test_no_modules_import_one_another_in_a_circle():
    """Also for the type checker."""
    needs = {}
    for path, names in imports().items():
        name = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        needs[name] = names - {name}
    TopologicalSorter(needs).prepare()  # else: an error that names them


def test_the_core_names_no_module_of_a_lab():
    """Apart from the checks, which look an exercise up by its lab's number."""
    core = [path for path in PATHS if not path.startswith("cplab/labs/")]
    naming = [path for path in core if "cplab.labs" in (ROOT / path).read_text()]
    assert naming == ["cplab/lab/questions/checks.py"]


def test_neither_package_nor_labs_import_what_stands_beside_the_package():
    """In the clone that would work, from the wheel it would not."""
    beside = re.compile(r"\b(from|import) (reproduction|benchmarks)\b")
    files = [*FILES, *(ROOT / "labs").glob("*.ipynb")]
    assert not [path for path in files if beside.search(path.read_text("utf-8"))]


def test_journeys_make_nothing_that_a_page_a_command_or_a_lab_makes():
    made = re.compile(
        r"json\.dump|as_json|nbformat\.(v4|write)|write_notebook|\bLine\(|\{\W*cplab\b"
    )
    for path in (ROOT / "tests/journeys").glob("*.py"):
        assert not made.search(path.read_text("utf-8")), path.name


def test_from_a_job_to_the_batch_are_four_calls(small_mnist, monkeypatch):
    way = []

    def spy(*given):
        package = Path(cplab.__file__).parent
        steps = (step for step in inspect.stack() if package in Path(step.filename).parents)
        way.extend(step.function for step in steps if step.function not in ("<listcomp>", "call"))
        raise CplabError("seen: enough")

    monkeypatch.setattr(Deficit, "__call__", spy)
    one_line(lambda: cplab.run(profile="ci", dataset="mnist", fresh=True), "seen")
    assert way[::-1] == ["do", "train", "train_epoch", "train_alone"]


def test_no_two_modules_of_the_core_define_a_class_or_a_function_of_one_name():
    """Apart from the command's functions, which have the names that one types."""
    places = {}
    for path in PATHS:
        if path.startswith("cplab/labs/") or path == "cplab/cli.py":
            continue
        for node in ast.parse((ROOT / path).read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                kind = type(node), node.name
                assert kind not in places, (node.name, path, places[kind])
                places[kind] = path


CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def test_contributing_shows_every_module():
    modules = {module_name(path) for path in PATHS} - {"__init__", "__main__"}
    assert not [name for name in modules if not re.search(rf"\b{name}\b", CONTRIBUTING)]


def test_contributing_says_which_file_tests_what():
    _, _, section = CONTRIBUTING.partition("## Which file tests what")
    rows = section.partition("\n## ")[0]
    rooms = {module_name(path) for path in PATHS} - {"__init__", "__main__", "gallery"}
    named = re.findall(r"`(\w+)(?:/|\.py)`", rows)
    assert rooms <= {*named}
    for path in ROOT.glob("tests/test_*.py"):
        of_lab = re.fullmatch(r"test_lab\d\d\w?", path.stem)
        assert of_lab or path.stem in named, path.name


def test_contributing_names_only_files_that_are_there():
    places = [ROOT, ROOT / "tests", ROOT / "cplab", *(ROOT / "cplab").glob("**/")]
    for name in re.findall(r"`([\w/]+(?:\.py|\.md|/))`", CONTRIBUTING):
        assert "NN" in name or any((place / name).exists() for place in places), name


def test_the_walk_of_a_run_names_functions_that_are_there():
    for name, file in re.findall(r"`([\w.]+)` \(`([\w/]+\.py)`\)", CONTRIBUTING):
        code = (ROOT / "cplab" / file).read_text()
        assert re.search(rf"(def|class) {name.rpartition('.')[2]}\b", code), (name, file)


# Of each kind one that no other code has to know
NEW = {
    "deficit": "strabismus",
    "network": "eyes_whole",
    "measurement": "measure_mosaics",
    "profile": '"matched"',
    "treatment": "unaugmented",
    "figure": "forest",
}


@pytest.mark.parametrize("kind", NEW)
def test_what_is_new_has_as_many_places_as_contributing_says(kind):
    core = [path for path in FILES if path.parent.name != "labs"]
    pages = [path for end in ("js", "html", "css") for path in (ROOT / "cplab").rglob(f"*.{end}")]
    name = re.compile(rf"(?<!\w){NEW[kind]}(?!\w)")
    found = [path.name for path in core + pages if name.search(path.read_text("utf-8"))]
    assert len(found) == places(kind), found


# Colours ------------------------------------------------------------------------------------------

PALETTE = ROOT / "cplab" / "base" / "palette.py"


def colours(path):
    """The colours that a module writes down."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and re.fullmatch("#[0-9a-fA-F]{6}", str(node.value)):
            yield f"{path.name}:{node.lineno} {node.value}"


def test_colours_have_names_in_one_file():
    assert [*colours(PALETTE)]
    assert [found for path in FILES if path != PALETTE for found in colours(path)] == []


# Before anything is loaded, another file takes the palette's place
OTHER_SCHEME = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("cplab.base.palette", sys.argv[1])
sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[spec.name])
from cplab import lab, show
from cplab.runs import FLAGSHIP
drawn = show.clear_epochs({"blur": FLAGSHIP.replace(deficit="blur", length=16)})
lines = {line.get_color() for line in drawn.ax.lines}
screen = lab.Nursery()._repr_mimebundle_()["text/html"]
print(json.dumps([sorted(lines), screen]))
"""


def test_another_scheme_of_colours_is_one_file(tmp_path):
    text = PALETTE.read_text("utf-8")
    scheme = tmp_path / "palette.py"
    text = text.replace(palette.BLUE, "#123456").replace(palette.MAIN, "#654321")
    scheme.write_text(text, "utf-8")
    command = [sys.executable, "-c", OTHER_SCHEME, scheme]
    lines, screen = json.loads(subprocess.check_output(command, text=True))
    assert "#123456" in lines
    assert '"colour":"#123456"' in screen
    assert "--cplab-main: #654321" in screen
    assert palette.BLUE not in screen
