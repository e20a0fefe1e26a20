"""Every notebook in labs/ is played to its end where torch is missing; what else there is then."""

import nbformat
import pytest
from conftest import ROOT
from kernel import kernel_of_forks
from plays import LABS, named, play, texts

from cplab import teach


@pytest.fixture(scope="module")
def forks(tmp_path_factory):
    """The variable by which the usual kernel is a fork that has no torch."""
    folder = tmp_path_factory.mktemp("kernel")
    with kernel_of_forks(folder, "--without-torch") as folder:
        if folder is None:
            pytest.skip("a kernel without torch is a fork")
        yield {"JUPYTER_PATH": folder}


@pytest.fixture(scope="module", params=named(LABS))
def played(request, forks, tmp_path_factory):
    """A lab, played as on a Mac with an Intel chip, or a small hub, without a network."""
    folder = tmp_path_factory.mktemp("without_torch")
    lab = nbformat.read(request.param, as_version=4)
    return play(lab, folder, CPLAB_CACHE=folder, **forks)


def test_a_cell_that_takes_torch_says_what_is_left_out(played):
    for cell in played.cells:
        if "with lab.if_possible()" in cell.source and "import torch" in cell.source:
            assert "Left out: torch is not installed" in texts(cell, "stdout")


# Beside the labs ----------------------------------------------------------------------------------

BEGIN = """import importlib, pkgutil
import cplab
from cplab import cli, labs
def line(call):
    try:
        call()
    except cplab.CplabError as error:
        print(error)"""
CELLS = {
    "explorer": """explorer = cplab.Explorer()
explorer.choose(onset=24)
explorer.train()
assert explorer.wait(60)
print(explorer.link.live["message"])""",
    "images": 'line(lambda: cplab.images("drawn", "ci"))',
    "network": 'line(lambda: cplab.models.build("allcnn"))',
    "permutation": "line(lambda: cplab.deficits.permutation(3))",
    "nursery": "cplab.lab.Nursery()",
    "checks": """modules = [module.name for module in pkgutil.iter_modules(labs.__path__)]
checks = [name for name in modules if name.endswith("_checks")]
for name in checks:
    importlib.import_module(f"cplab.labs.{name}")
print(len(checks))""",
    "found": 'print(cli.main("run --deficit blur --length 8".split()))',
    "trained": 'print(cli.main("run --profile ci --onset 3".split()))',
    "copied": 'print(cli.main("teach build copies --nbgrader".split()))',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("without_torch")


@pytest.fixture(scope="module")
def tried(forks, folder):
    """What a student and a teacher try: the cell of each, which has ended."""
    lab = nbformat.v4.new_notebook()
    lab.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    for name, source in {"begin": BEGIN, **CELLS}.items():
        lab.cells.append(nbformat.v4.new_code_cell(source, id=name))
    return {cell.id: cell for cell in play(lab, folder, CPLAB_CACHE=folder, **forks).cells}


@pytest.mark.parametrize("name", ["explorer", "images", "network", "permutation"])
def test_a_call_that_needs_torch_says_what_to_install(name, tried):
    assert "pip install 'cplab[train]'" in texts(tried[name], "stdout")


def test_networks_may_grow_up_in_the_browser(tried):
    assert "<cplab-nursery" in tried["nursery"].outputs[0].data["text/html"]


def test_the_checks_of_exercises_load_without_torch(tried):
    assert int(texts(tried["checks"], "stdout")) == len([*ROOT.glob("cplab/labs/*_checks.py")])


def test_a_command_finds_a_shipped_result_without_torch(tried):
    assert "shipped" in texts(tried["found"], "stdout")


def test_a_command_that_trains_says_what_to_install(tried):
    assert texts(tried["trained"], "stdout") == "2\n"
    assert "pip install 'cplab[train]'" in texts(tried["trained"], "stderr")


def test_a_teacher_builds_copies_without_torch(tried, folder):
    """Which exercises a grader can tell is known before any answer is worked out."""
    assert texts(tried["copied"], "stdout").endswith("\n0\n")
    assert texts(tried["copied"], "stderr") == ""
    assert len([*folder.glob("copies/source/*/*.ipynb")]) == len(teach.labs())
