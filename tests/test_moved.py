"""Former names, which copies of labs may still use: each ends in a line that says where it went."""

import ast
import importlib
import json
import subprocess
from types import ModuleType

import pytest
from conftest import ROOT, one_line

from cplab.errors import CplabError
from cplab.moved import MODULES, MOVED


def take(name):
    """What a dotted name means, as a notebook would write it."""
    head, _, last = name.rpartition(".")
    if not head:
        return importlib.import_module(name)
    owner = take(head)
    if isinstance(owner, ModuleType) and not hasattr(owner, last):
        return importlib.import_module(name)  # a module that nobody has imported yet
    return getattr(owner, last)


@pytest.mark.parametrize("name", MOVED)
def test_a_former_name_says_where_it_went(name):
    one_line(lambda: take(name), name, MOVED[name] or "no longer", "cplab lab --copy")


@pytest.mark.parametrize("name", [name for name in MOVED.values() if name])
def test_where_a_former_name_went_there_is_one(name):
    assert take(name) is not None


@pytest.mark.parametrize("name", MODULES)
def test_a_former_module_says_where_it_went(name):
    one_line(lambda: importlib.import_module(name), name, MODULES[name], "cplab lab --copy")


@pytest.mark.parametrize("name", [*MODULES.values()])
def test_where_a_former_module_went_there_is_one(name):
    importlib.import_module(name)


def test_a_name_that_was_never_there_is_no_attribute():
    with pytest.raises(AttributeError, match=r"'cplab\.show' has no attribute 'shwo'"):
        importlib.import_module("cplab.show").shwo  # noqa: B018


def test_a_module_that_was_never_there_is_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("cplab.nowhere")


COPIES = "ca9fba90", "a14eca3a"  # commits of labs whose copies students had


@pytest.mark.parametrize("commit", COPIES)
def test_each_name_in_copies_of_an_earlier_week_is_there_or_says_where_it_went(commit):
    unexplained = []
    for name in {*names_in_labs(commit)}:
        try:
            take(name)
        except CplabError:  # whose line the tests above have read
            continue
        except (AttributeError, ImportError):
            unexplained.append(name)
    assert unexplained == [], "each needs an entry in cplab/moved.py"


def names_in_labs(commit):
    """The dotted names of the package that labs of a commit use."""

    def git(*words):
        done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True)
        if done.returncode:
            pytest.skip("the history is not here")
        return done.stdout

    for path in git("ls-tree", "--name-only", commit, "labs/").splitlines():
        if not path.endswith(".ipynb"):
            continue
        cells = json.loads(git("show", f"{commit}:{path}"))["cells"]
        code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        tree = ast.parse(code)
        known = {"cplab": "cplab"}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("cplab"):
                known |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        yield from {*known.values()} - {"cplab"}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and known.get(getattr(node.value, "id", "")):
                yield f"{known[node.value.id]}.{node.attr}"
