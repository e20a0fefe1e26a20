"""What the README says and shows holds; the lab of docs/your_own_lab.md; every example runs."""

import doctest
import importlib
import inspect
import pkgutil
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from dataclasses import is_dataclass
from importlib.util import find_spec
from typing import NamedTuple

import nbformat
import pytest
from conftest import ROOT, cell
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import cplab
from cplab import cli
from cplab.teach.site import PUBLIC
from reproduction import pages

README = (ROOT / "README.md").read_text()
PAGES = "\n".join(path.read_text() for path in [ROOT / "README.md", ROOT / "docs/reference.md"])
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGES, re.S | re.M)
LINES = [line for language, text in BLOCKS if not language for line in text.splitlines()]
COMMANDS = [line.partition(" #")[0].strip() for line in LINES if line.strip()]


def test_it_is_short():
    without_labs = re.sub(r"^\| \[\d\d.+\n", "", README, flags=re.M)  # so that another has room
    assert len(without_labs.split()) <= 650


def test_the_numbers_of_pages_are_those_of_the_shipped_results():
    for page in {line["page"] for line in pages.read_pages()}:
        assert pages.written(page) == pages.numbers(page)  # else: python -m reproduction pages


def test_each_of_its_intervals_says_which_number_it_is():
    bare = re.sub(r"± \d+\.\d+<!--[\w.-]+-->", "", README)
    assert "±" not in bare  # else: name it, in reproduction/pages.csv


@pytest.mark.parametrize("line", COMMANDS)
def test_its_commands_can_be_given(line, monkeypatch):
    program, *words = shlex.split(line)
    if program == "cplab":
        cli.make_parser().parse_args(words)
    elif program == "python":
        _, module, *rest = words
        monkeypatch.setattr(sys, "argv", [module, *rest, "--help"])
        # As in a Python that has not loaded it
        is_package = bool(find_spec(module).submodule_search_locations)
        main = f"{module}.__main__" if is_package else module
        monkeypatch.delitem(sys.modules, main, raising=False)
        with pytest.raises(SystemExit, match="0"):
            runpy.run_module(module, run_name="__main__")
    elif program == "make" and shutil.which("make"):
        subprocess.run(["make", "--dry-run", *words], cwd=ROOT, check=True, timeout=100)
    else:
        assert program in ("make", "conda", "pip", "git", "docker")


def test_links_lead_somewhere():
    for page in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", page.read_text()):
            assert (page.parent / link).exists() or (ROOT / link).exists(), (page.name, link)


class Taught(NamedTuple):
    """What the lab of docs/your_own_lab.md shows, in order, and what it printed last."""

    shown: list
    printed: str


@pytest.fixture(scope="module")
def own_lab():
    """The lab of five cells, with its exercise solved."""
    cells = nbformat.read(ROOT / "docs" / "your_own_lab.ipynb", as_version=4).cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    sources[-1] = sources[-1].replace("...", "(harm - quantities.harm(flip)).mean")
    shell = InteractiveShell.instance()
    shown = []
    for source in sources:
        with capture_output() as output:
            done = shell.run_cell(source)
        assert done.success
        shown += [done.result, *output.outputs]
    return Taught(shown, output.stdout)


def test_a_lab_of_five_cells_shows_a_figure(own_lab):
    assert "<img" in own_lab.shown[0]._repr_html_()


def test_a_lab_of_five_cells_asks_a_question(own_lab):
    """Behind is right: five seeds can tell."""
    assert 'data-right="2"' in own_lab.shown[1]._repr_html_()


def test_a_lab_of_five_cells_checks_an_answer(own_lab):
    assert own_lab.printed.endswith(": right.\n")


def test_each_figure_that_its_text_names_can_be_typed(own_lab):
    """Beside the run and the imports of the first step."""
    text = (ROOT / "docs/your_own_lab.md").read_text()
    words = re.findall(r"`([^`]+)`", text)
    first_lines = [
        word for word in words if word.startswith(("import cplab", "from cplab", "run = "))
    ]
    names = cell("\n".join(first_lines))
    figures = [word for word in words if re.match(r"show\.(?!save|figure)\w+\(", word)]
    assert len(figures) >= 5
    for figure in figures:
        assert "<img" in eval(figure, names)._repr_html_(), figure


MODULES = ["cplab", *(m.name for m in pkgutil.walk_packages(cplab.__path__, "cplab."))]
Returned = (tuple, Exception)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "cplab.__main__"])
def test_its_examples_give_what_they_say(name, capsys):
    typed = {"__name__": "__main__"}  # as by a student
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs=typed, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0, capsys.readouterr().out


WRITTEN = ["deficit", "measurement", "model", "treatment", "images_from", "apply_deficit"]


@pytest.mark.parametrize("name", WRITTEN)
def test_an_example_of_what_students_write_needs_nothing_but_what_it_imports(name, capsys):
    [example] = doctest.DocTestFinder().find(getattr(cplab, name), name, globs={})
    assert example.examples
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example)
    assert result.failed == 0, capsys.readouterr().out


@pytest.mark.parametrize("module", PUBLIC)
def test_its_public_names_explain_themselves(module):
    """With an example, and the arguments where there are several, but for what others return."""
    module = importlib.import_module(module)
    for name in module.__all__:
        value = getattr(module, name)
        text = inspect.getdoc(value) or ""
        returned = inspect.isclass(value) and (is_dataclass(value) or issubclass(value, Returned))
        assert text, name
        if callable(value) and not returned:
            assert ">>>" in text, name
            assert len(inspect.signature(value).parameters) <= 3 or "Arguments:" in text, name
