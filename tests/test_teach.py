"""What a teacher is given: two copies of each lab, checks, figures for slides."""

import linecache
import re
from pathlib import Path
from unittest import mock

import nbformat
import pytest

import cplab
from cplab import cli, lab, teach
from cplab.teach import site

ROOT = Path(__file__).parent.parent
EXERCISE = re.compile(r"\*\*Exercise (\d+)\.\*\*")


def run(*words):
    return cli.main([*map(str, words)])


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """The notebooks of both kinds by name of the lab."""
    found = {}
    for kind in ("student", "instructor"):
        folder = tmp_path_factory.mktemp(kind)
        assert run("teach", "build", folder, f"--{kind}") == 0
        found[kind] = {p.name: nbformat.read(p, as_version=4) for p in folder.glob("*.ipynb")}
    return found


def sources():
    return {path.name: nbformat.read(path, as_version=4) for path in teach.labs()}


def blocks(notebook):
    """The Python of all solutions of a lab as it is stored."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    hidden = re.findall(r"<details><summary>Solution</summary>.*?</details>", text, re.S)
    return [block for one in hidden for block in re.findall(r"```python\n(.*?)```", one, re.S)]


def test_students_get_every_exercise_and_no_solution(copies):
    given = sources()
    assert copies["student"].keys() == given.keys()
    for name, notebook in copies["student"].items():
        nbformat.validate(notebook)
        whole = "\n".join(cell.source for cell in notebook.cells)
        tasks = EXERCISE.findall("\n".join(cell.source for cell in given[name].cells))
        assert EXERCISE.findall(whole) == tasks
        assert not [block for block in blocks(given[name]) if block.strip() in whole]
        assert not re.search("S(olution|OLUTION)", whole)
        answers = [c for c in notebook.cells if "answer" in c.metadata.get("tags", [])]
        assert len(answers) == len(tasks) > 1


@pytest.mark.parametrize("kind", ["student", "instructor"])
def test_all_else_of_a_lab_stays_and_in_order(copies, kind):
    for name, notebook in copies[kind].items():
        left = iter([c.source for c in notebook.cells])
        for cell in sources()[name].cells:
            if "**Exercise" not in cell.source:
                assert cell.source in left  # an iterator goes on from there
        assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


def test_solutions_are_cells_that_graders_read(copies):
    for name, notebook in copies["instructor"].items():
        nbformat.validate(notebook)
        cells = [c for c in notebook.cells if "solution" in c.metadata.get("tags", [])]
        given = sources()[name]
        assert all(sum(block.strip() in c.source for c in cells) == 1 for block in blocks(given))
        for cell in cells:
            first, *_, last = cell.source.splitlines()
            assert [first, last] == ["# BEGIN SOLUTION", "# END SOLUTION"]
            assert cell.metadata.nbgrader["solution"]
            compile(cell.source, name, "exec")
        marks = [c.source.splitlines()[0] for c in notebook.cells if c.cell_type == "raw"]
        question = ["# BEGIN QUESTION", "# begin solution", "# end solution", "# END QUESTION"]
        assert marks == ["# ASSIGNMENT CONFIG", *question * len(cells)]
        outside = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
        assert "<summary>Solution" not in outside


def test_a_copy_of_a_lab_that_was_run_holds_nothing_of_who_ran_it(tmp_path, monkeypatch):
    clone = tmp_path / "labs"
    clone.mkdir()
    path = teach.labs()[0]
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["widgets"] = {"state": {"model": {"state": {"value": "my answer"}}}}
    for cell in notebook.cells:
        cell.metadata["execution"] = {"iopub.execute_input": "2026-11-27T09:00"}
        if cell.cell_type == "code":
            page = {"text/html": "It was: behind. You said: my answer.", "image/png": "iVBO"}
            cell.outputs = [nbformat.v4.new_output("display_data", page)]
            cell.execution_count = 7
    nbformat.write(notebook, clone / path.name)
    monkeypatch.setattr(teach, "CLONE", clone)
    for kind in ("student", "instructor"):
        assert run("teach", "build", tmp_path / kind, f"--{kind}") == 0
        text = (tmp_path / kind / path.name).read_text("utf-8")
        assert not [word for word in ("my answer", "iVBO", "2026-11-27") if word in text]
        assert '"execution_count": 7' not in text


# Checks -----------------------------------------------------------------------------------------


def test_a_check_stands_below_its_exercise_and_the_teachers_solution_gives_the_answer(copies):
    count = 0
    for name, notebook in copies["instructor"].items():
        taught = {cell.id: cell.source for cell in notebook.cells}
        given = {cell.id: cell.source for cell in copies["student"][name].cells}
        checks = {cell for cell in given if cell.startswith("check-")}
        assert len(checks) == "".join(given.values()).count("`lab.check(")
        for check in checks:
            key = check.partition("-")[2]
            assert f"`{given[check]}`" in given[f"exercise-{key}"]
            assert taught[check] == given[check]
            if ", answer," in given[check]:
                assert given[f"answer-{key}"].endswith("\nanswer = ...")
                assert re.search(r"\banswer\b[^=]* = ", taught[f"solution-{key}"], re.M)
        count += len(checks)
    assert count > 5


@pytest.mark.parametrize("name", ["08_critical_period_on_paper.ipynb"])
def test_a_check_takes_the_teachers_solution_and_nothing_else(copies, name, monkeypatch, capsys):
    """The cells run as they are stored, without widgets."""
    quiet = mock.MagicMock(__name__="quiet")
    for kind in ("question", "Prediction", "switch", "slide", "live"):
        monkeypatch.setattr(lab, kind, quiet)
    monkeypatch.setattr("cplab.Explorer", quiet)
    student = {cell.id: cell.source for cell in copies["student"][name].cells}
    space, checked = {"__name__": "__main__"}, []
    for cell in copies["instructor"][name].cells:
        kind, _, key = cell.id.partition("-")
        if cell.cell_type != "code" or (kind == "solution" and f"check-{key}" not in student):
            continue
        label = f"<{cell.id}>"  # a student's own function is known by its source
        lines = cell.source.splitlines(keepends=True)
        monkeypatch.setitem(linecache.cache, label, (len(cell.source), None, lines, label))
        if kind != "check":
            exec(compile(cell.source, label, "exec"), space)
            continue
        capsys.readouterr()
        for answer in (space["answer"], ..., None, [1, 1], "much", 10**400):
            eval(cell.source, space | {"answer": answer})
        said = capsys.readouterr().out.splitlines()
        assert said[0].endswith(": right.")
        assert all(line.endswith(": not yet.") for line in said[1:])
        checked.append(key)
    assert checked


def test_what_only_python_can_move_says_so_on_a_page():
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "VBox()"}
    drawn = widget | {"text/html": "<b>a figure</b>"}
    outputs = [nbformat.v4.new_output("display_data", data) for data in (widget, drawn)]
    cell = nbformat.v4.new_code_cell("slider", outputs=outputs)
    first = nbformat.v4.new_markdown_cell("*Shift+Enter, cell by cell.* Look.")
    notebook = nbformat.v4.new_notebook(cells=[cell, first], metadata={"widgets": {"state": {}}})
    alone, figure = (output.data for output in site.without_widgets(notebook).cells[0].outputs)
    assert "needs Python" in alone["text/html"]
    assert figure["text/html"] == "<b>a figure</b>"
    assert "widgets" not in notebook.metadata
    assert first.source == "Look."
    assert not any("widget-view" in kind for kind in (*alone, *figure))


def test_names_and_pictures_have_their_places_on_pages_that_the_menu_leads_to(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(site, "run_cells", lambda notebook, folder: notebook)
    pages = {page.name: page.read_text("utf-8") for page in site.build_site(tmp_path, "06")}
    assert all('href="reference.html"' in text for text in pages.values())
    links = re.findall(r'"(reference/[\w/]+\.html)#(\w+)"', pages["reference.html"])
    assert {name for _, name in links} >= {*cplab.__all__}
    for page, name in links:
        assert f'id="{name}"' in (tmp_path / page).read_text("utf-8"), (page, name)
    sources = re.findall(r'<img[^>]* src="(?!data:)([^"]+)"', "".join(pages.values()))
    assert {"pictures/lab06.png", "pictures/window.png"} <= {*sources}
    assert all((tmp_path / source).exists() and ".." not in source for source in sources)
