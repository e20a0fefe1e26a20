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

import nbformat
import pytest
from conftest import ROOT, cell
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import cplab
from cplab import cli, results
from cplab.teach.site import PUBLIC

README = (ROOT / "README.md").read_text()
PAGES = "\n".join(path.read_text() for path in [ROOT / "README.md", ROOT / "docs/reference.md"])
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGES, re.S | re.M)
LINES = [line for language, text in BLOCKS if not language for line in text.splitlines()]
COMMANDS = [line.partition(" #")[0].strip() for line in LINES if line.strip()]


def test_it_is_short_and_its_numbers_are_those_of_the_shipped_results():
    assert len(README.split()) <= 900
    script = runpy.run_path(str(ROOT / "docs/page_numbers.py"))
    for page in script["PAGES"]:  # else: python docs/page_numbers.py
        assert script["written"](page) == script["numbers"](page)


def test_each_of_its_intervals_says_which_number_it_is():
    bare = re.sub(r"± \d+\.\d+<!--[\w.-]+-->", "", README)
    assert "±" not in bare  # else: name it, and yield it in docs/page_numbers.py


def test_its_python_runs_and_trains_nothing_long():
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.S | re.M)
    less = "\n".join(blocks).replace("range(20)", "range(1)").replace("length=200", "length=9")
    cell(less)
    trained = [found.spec for found in results.every_result("Run", "live")]
    assert {spec.profile for spec in trained} == {"tiny"}


def test_the_reference_measures_own_networks_and_has_a_row_for_each_call_of_an_experiment():
    reference = (ROOT / "docs/reference.md").read_text()
    own = reference.partition("## Functions of your own")[2]
    names = cell(re.search(r"```python\n(.*?)^```", own, re.S | re.M)[1])
    assert sorted(cplab.results_table(names["growth"]).length) == [1, 2]
    assert (
        cplab.results_table(profile="ci", measure=names["norm"])
        .filter(like="norm")
        .notna()
        .all()
        .all()
    )


@pytest.mark.parametrize("line", COMMANDS)
def test_its_commands_can_be_given(line):
    program, *words = shlex.split(line)
    if program == "cplab":
        assert callable(cli.parse_words(words))
    elif program == "python":
        plain = words[: next((i for i, w in enumerate(words) if w[:2] == "--"), len(words))]
        subprocess.run([sys.executable, *plain, "--help"], cwd=ROOT, check=True, timeout=100)
    elif program == "make" and shutil.which("make"):
        subprocess.run(["make", "--dry-run", *words], cwd=ROOT, check=True, timeout=100)
    else:
        assert program in ("make", "conda", "pip", "git", "docker")


def test_links_lead_somewhere():
    for page in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", page.read_text()):
            assert (page.parent / link).exists() or (ROOT / link).exists(), (page.name, link)


def test_a_lab_of_five_cells_asks_shows_and_checks():
    cells = nbformat.read(ROOT / "docs" / "your_own_lab.ipynb", as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    code[-1] = code[-1].replace("...", "(harm - quantities.harm(flip)).mean")
    shell, shown = InteractiveShell.instance(), []
    for source in code:
        with capture_output() as output:
            done = shell.run_cell(source)
        assert done.success
        shown += [done.result, *output.outputs]
    assert "<img" in shown[0]._repr_html_()
    assert 'data-right="2"' in shown[1]._repr_html_()  # behind: five seeds can tell
    assert output.stdout.endswith(": right.\n")


MODULES = ["cplab", *(m.name for m in pkgutil.walk_packages(cplab.__path__, "cplab."))]
Returned = (tuple, Exception)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "cplab.__main__"])
def test_its_examples_give_what_they_say(name, capsys):
    typed = {"__name__": "__main__"}  # as by a student
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs=typed, optionflags=doctest.ELLIPSIS)
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
