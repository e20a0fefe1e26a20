"""What a teacher is given: two copies of each lab, checks, and the labs as pages."""

import re
from base64 import b64decode
from copy import deepcopy

import nbformat
import pytest

import cplab
from cplab import cli, teach
from cplab.teach import site

EXERCISE = re.compile(r"\*\*Exercise (\d+)\.\*\*")
SOURCES = {path.name: nbformat.reads(teach.portable(path), as_version=4) for path in teach.labs()}


def build(folder, kind):
    """The notebooks of a kind by name of the lab."""
    assert cli.main(["teach", "build", str(folder), f"--{kind}"]) == 0
    return {path.name: nbformat.read(path, as_version=4) for path in folder.glob("*.ipynb")}


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    return {kind: build(tmp_path_factory.mktemp(kind), kind) for kind in ("student", "instructor")}


def blocks(notebook):
    """The Python of all solutions of a lab as it is stored."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    hidden = re.findall(r"<details><summary>Solution</summary>.*?</details>", text, re.S)
    return [block for one in hidden for block in re.findall(r"```python\n(.*?)```", one, re.S)]


@pytest.mark.parametrize("name", SOURCES)
def test_students_get_every_exercise_and_no_solution_and_teachers_get_both(copies, name):
    given, (student, taught) = SOURCES[name], (kind[name] for kind in copies.values())
    for notebook in (student, taught):  # all else of a lab stays, in order
        nbformat.validate(notebook)
        left = iter([cell.source for cell in notebook.cells])
        kept = [cell.source for cell in given.cells if "**Exercise" not in cell.source]
        assert all(source in left for source in kept)  # an iterator goes on from there
    whole = "\n".join(cell.source for cell in student.cells)
    tasks = EXERCISE.findall("\n".join(cell.source for cell in given.cells))
    assert EXERCISE.findall(whole) == tasks
    assert not re.search("S(olution|OLUTION)", whole)
    assert not [block for block in blocks(given) if block.strip() in whole]
    text = {cell.id.replace("check-", "check exercise-"): cell.source for cell in student.cells}
    checks = [f"`{text[cell]}`" in text[cell[6:]] for cell in text if cell[:6] == "check "]
    assert checks == [True] * whole.count("`lab.check(") != []  # each below its exercise
    answers = [c for c in student.cells if "answer" in c.metadata.get("tags", [])]
    assert len(answers) == len(tasks) > 1
    cells = [c for c in taught.cells if "solution" in c.metadata.get("tags", [])]
    assert all(sum(block.strip() in c.source for c in cells) == 1 for block in blocks(given))
    for cell in cells:  # as nbgrader and Otter read them
        first, *_, last = cell.source.splitlines()
        assert [first, last] == ["# BEGIN SOLUTION", "# END SOLUTION"]
        assert cell.metadata.nbgrader["solution"]
    marks = [c.source.splitlines()[0] for c in taught.cells if c.cell_type == "raw"]
    question = ["# BEGIN QUESTION", "# begin solution", "# end solution", "# END QUESTION"]
    assert marks == ["# ASSIGNMENT CONFIG", *question * len(cells)]


def test_a_copy_holds_the_pictures_of_its_texts_so_it_may_lie_anywhere(copies):
    for notebook in (notebook for kind in copies.values() for notebook in kind.values()):
        texts = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
        scrolls = r"overflow-x:auto.+\s+!\[[^]]+\]\(attachment:(.+?)\)\n\n</div></div>"
        shown = [(c, n) for c in texts for n in re.findall(scrolls, c.source)]
        assert shown
        for cell, name in shown:
            there = (teach.CLONE.parent / "docs/pictures" / name).read_bytes()
            assert b64decode(cell.attachments[name]["image/png"]) == there


def test_a_copy_of_a_lab_that_was_run_holds_nothing_of_who_ran_it():
    path = teach.labs()[0]
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["widgets"] = {"state": {"model": {"state": {"value": "my answer"}}}}
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.metadata["execution"] = {"iopub.execute_input": "2026-11-27T09:00"}
        cell.outputs = [nbformat.v4.new_output("display_data", {"text/html": "my answer"})]
        cell.execution_count = 7
    for solutions in (False, True):
        text = nbformat.writes(teach.copy_for(deepcopy(notebook), path.stem, solutions))
        assert not re.search('my answer|2026-11-27|"execution_count": 7', text)


def test_names_and_pictures_have_their_places_on_pages_that_the_menu_leads_to(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(site, "run_cells", lambda notebook, folder: notebook)
    pages = {page.name: page.read_text("utf-8") for page in site.build_site(tmp_path, "05b")}
    assert all('href="reference.html"' in text for text in pages.values())
    links = re.findall(r'"(reference/[\w/]+\.html)#(\w+)"', pages["reference.html"])
    assert {name for _, name in links} >= {*cplab.__all__}
    for page, name in links:
        assert f'id="{name}"' in (tmp_path / page).read_text("utf-8"), (page, name)
    beside = re.findall(r'href="((?!https?:|data:)[^"#]+)', "".join(pages.values()))
    assert "reproduction/rows.csv" in beside
    assert all((tmp_path / link).exists() for link in beside)
    sources = re.findall(r'<img[^>]* src="(?!data:)([^"]+)"', "".join(pages.values()))
    assert "pictures/lab05b.png" in sources
    assert all((tmp_path / source).exists() and ".." not in source for source in sources)


def test_a_kernel_of_the_site_warns_of_nothing(capfd):
    site.run_cells(nbformat.v4.new_notebook(), teach.CLONE)
    assert "WARNING" not in capfd.readouterr().err
