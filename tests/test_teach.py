"""What a teacher is given: two copies of each lab, checks, and the labs as pages."""

import importlib
import json
import os
import re
import subprocess
import sys
from base64 import b64decode
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT, one_line

import cplab
from cplab import cli, teach
from cplab.teach import copies as copies_module
from cplab.teach import site

EXERCISE = re.compile(r"\*\*Exercise (\d+)\.\*\*")
SOURCES = {path.name: nbformat.reads(teach.portable(path), as_version=4) for path in teach.labs()}


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """The notebooks of each kind by name of the lab, as the command writes them."""
    every = {}
    for kind in teach.KINDS:
        folder = tmp_path_factory.mktemp(kind)
        assert cli.main(["teach", "build", str(folder), f"--{kind}"]) == 0
        paths = folder.rglob("*.ipynb")
        every[kind] = {path.name: nbformat.read(path, as_version=4) for path in paths}
    return every


def prose(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def whole(notebook):
    return "\n".join(cell.source for cell in notebook.cells)


def blocks(notebook):
    """The Python of all solutions of a lab as it is stored."""
    hidden = re.findall(r"<details><summary>Solution</summary>.*?</details>", prose(notebook), re.S)
    return [block for one in hidden for block in re.findall(r"```python\n(.*?)```", one, re.S)]


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


@pytest.mark.parametrize("kind", teach.KINDS)
def test_a_copy_keeps_all_else_of_a_lab_in_order(copies, kind):
    assert copies[kind].keys() == SOURCES.keys()
    for name, notebook in copies[kind].items():
        nbformat.validate(notebook)
        assert EXERCISE.findall(whole(notebook)) == EXERCISE.findall(prose(SOURCES[name]))
        left = iter([cell.source for cell in notebook.cells])
        kept = [c.source for c in SOURCES[name].cells if "**Exercise" not in c.source]
        assert all(source in left for source in kept)  # an iterator goes on from there


@pytest.mark.parametrize("name", SOURCES)
def test_students_have_room_for_each_answer_and_nothing_of_a_solution(copies, name):
    student = copies["student"][name]
    assert not re.search("S(olution|OLUTION)", whole(student))
    assert not [block for block in blocks(SOURCES[name]) if block.strip() in whole(student)]
    assert len(tagged(student, "answer")) == len(EXERCISE.findall(whole(student))) > 1


@pytest.mark.parametrize("name", SOURCES)
def test_a_check_stands_below_its_exercise_in_a_cell_of_its_own(copies, name):
    text = {
        cell.id.replace("check-", "check exercise-"): cell.source
        for cell in copies["student"][name].cells
    }
    checks = [f"`{text[cell]}`" in text[cell[6:]] for cell in text if cell[:6] == "check "]
    assert checks == [True] * whole(copies["student"][name]).count("`lab.check(") != []


@pytest.mark.parametrize("kind", ["instructor", "nbgrader", "otter"])
def test_those_who_teach_have_each_solution_once(copies, kind):
    for name, notebook in copies[kind].items():
        solutions = tagged(notebook, "solution")
        for block in blocks(SOURCES[name]):
            assert sum(block.strip() in cell.source for cell in solutions) == 1


# nbgrader itself ---------------------------------------------------------------------------------


def only_exercises(notebook):
    """Leave the exercises of lab 06, and the cells that set the lab up."""
    begin = next(i for i, cell in enumerate(notebook.cells) if "06-1" in cell.id)
    end = max(i for i, cell in enumerate(notebook.cells) if "06-4" in cell.id)
    start = [cell for cell in notebook.cells[:4] if cell.cell_type != "markdown"]
    notebook.cells = [*start, *notebook.cells[begin : end + 1]]
    return notebook


@pytest.fixture(scope="module")
def course(copies, tmp_path_factory):
    """The folder of a course whose one assignment is the exercises of lab 06, without the lab."""
    folder = tmp_path_factory.mktemp("course")
    teach.build_copies(folder, "nbgrader")
    [source] = folder.glob("source/06*/*.ipynb")
    notebook = only_exercises(nbformat.read(source, as_version=4))
    nbformat.write(notebook, source)
    return folder


def nbgrader(course, *words):
    """Run nbgrader in a course's folder."""
    command = [sys.executable, "-m", "nbgrader", *words]
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=course, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


ANSWERS = {"06-1": 11_141_290, "06-3": 5, "06-4": "..."}  # right, wrong, not solved


def hand_in(course, student):
    """A student's copy of what was released, with answers."""
    [released] = course.glob("release/06*/*.ipynb")
    notebook = nbformat.read(released, as_version=4)
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if name == "exercise-06-2":
            cell.source = "# deep ones lose most, in points"
        if name.startswith("answer-"):
            cell.source = f"answer = {ANSWERS[name.removeprefix('answer-')]}"
    place = course / "submitted" / student / released.parent.name / released.name
    place.parent.mkdir(parents=True)
    nbformat.write(notebook, place)


@pytest.fixture(scope="module")
def grades(course):
    """nbgrader's grades of what a student handed in, by exercise."""
    nbgrader_api = pytest.importorskip("nbgrader.api")
    [source] = course.glob("source/06*")
    nbgrader(course, "generate_assignment", source.name)
    hand_in(course, "ada")
    nbgrader(course, "autograde", source.name)
    nbgrader(course, "generate_feedback", source.name)
    with nbgrader_api.Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        [submission] = book.assignment_submissions(source.name)
        [notebook] = submission.notebooks
        yield {grade.name.removeprefix("exercise-"): grade for grade in notebook.grades}


@pytest.mark.usefixtures("grades")
def test_what_nbgrader_releases_has_nothing_of_a_solution(course):
    [released] = course.glob("release/06*/*.ipynb")
    hidden = "SOLUTION|HIDDEN|is_right|ASSIGNMENT|BEGIN"
    assert not re.search(hidden, released.read_text("utf-8"))


def test_nbgrader_gives_a_point_for_a_right_answer(grades):
    assert grades["06-1"].auto_score == 1


@pytest.mark.parametrize("key", ["06-3", "06-4"], ids=["wrong", "not solved"])
def test_nbgrader_gives_no_point_for_another_answer(key, grades):
    assert grades[key].auto_score == 0


def test_nbgrader_leaves_to_a_person_what_was_trained(grades):
    assert [key for key, grade in grades.items() if grade.needs_manual_grade] == ["06-2"]


@pytest.mark.usefixtures("grades")
def test_nbgrader_tells_a_student_of_each_exercise(course):
    [page] = course.glob("feedback/ada/*/*.html")
    assert "06-1, parameters" in page.read_text("utf-8")


def test_an_exercise_says_who_gives_its_point(copies):
    """What the student trains, a grader's machine does not have: somebody reads it."""
    texts = {cell.id: cell.source for n in copies["nbgrader"].values() for cell in n.cells}
    by_hand = {key for key, text in texts.items() if "given by a person" in text}
    assert by_hand > {f"exercise-{key}" for key in ("00-1", "02-2", "06-2", "03b-2", "07-1")}
    by_check = {key for key, text in texts.items() if "its check gives it" in text}
    assert by_check > {f"exercise-{key}" for key in ("02-1", "02-3", "06-1", "08-3")}


# otter-grader itself ------------------------------------------------------------------------------


def otter(folder, *words):
    """Run otter-grader in a folder."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "otter", *words],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def assigned(copies, tmp_path_factory):
    """A folder with the students' copy and the autograder that otter makes of lab 06's exercises.
    Nothing else needs otter, so this is tried where it is installed: `pip install otter-grader`."""
    pytest.importorskip("otter")
    folder = tmp_path_factory.mktemp("otter")
    [name] = [name for name in copies["otter"] if name.startswith("06_")]
    nbformat.write(only_exercises(deepcopy(copies["otter"][name])), folder / "06.ipynb")
    otter(folder, "assign", "06.ipynb", "dist")
    return folder


def otters_points(folder, answers):
    """The points that otter gives to a student's copy with these answers, by exercise."""
    notebook = nbformat.read(folder / "dist/student/06.ipynb", as_version=4)
    for cell in notebook.cells:
        key = cell.get("id", "").removeprefix("solution-")
        if key in answers:
            cell.source = f"answer = {answers[key]}"
    nbformat.write(notebook, folder / "ada.ipynb")
    [autograder] = folder.glob("dist/autograder/*.zip")
    otter(folder, "run", "-a", str(autograder), "ada.ipynb")
    tests = json.loads((folder / "results.json").read_text("utf-8"))["tests"]
    return {test["name"].removeprefix("exercise-"): test.get("score") for test in tests}


def test_otter_gives_a_point_for_a_right_answer_alone(assigned):
    points = otters_points(assigned, ANSWERS)
    assert (points["06-1"], points["06-3"], points["06-4"]) == (1, 0, 0)


def test_what_otter_releases_has_nothing_of_a_solution(assigned):
    released = (assigned / "dist/student/06.ipynb").read_text("utf-8")
    assert not re.search("SOLUTION|HIDDEN|is_right|ASSIGNMENT|BEGIN TESTS", released)


def test_otter_reads_each_question_with_its_solution_and_its_test(copies):
    """As otter-grader wants them."""
    for notebook in copies["otter"].values():
        marks = [c.source.splitlines()[0] for c in notebook.cells if c.cell_type == "raw"]
        asked = "# BEGIN QUESTION # BEGIN SOLUTION # END SOLUTION "
        rest = "(# BEGIN TESTS # END TESTS )?# END QUESTION "
        assert re.fullmatch(f"# ASSIGNMENT CONFIG ({asked}{rest})+", " ".join(marks) + " ")


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
    for kind in teach.KINDS:
        text = nbformat.writes(teach.copy_for(deepcopy(notebook), path.stem, kind))
        assert not re.search('my answer|2026-11-27|"execution_count": 7', text)


def test_the_planning_page_says_of_labs_and_exercises_what_they_are():
    """If it fails: python docs/planning_table.py"""
    sys.path.insert(0, str(ROOT / "docs"))
    planning_table = importlib.import_module("planning_table")
    assert planning_table.page() == planning_table.PAGE.read_text("utf-8")


@pytest.fixture
def changed(tmp_path, monkeypatch):
    """Two labs in a folder of their own, which a test changes; and where copies of them go."""
    source = tmp_path / "repository" / "labs"
    source.mkdir(parents=True)
    pictures = source.parent / "docs" / "pictures"
    pictures.mkdir(parents=True)
    for path in teach.labs()[:2]:
        (source / path.name).write_bytes(path.read_bytes())
    for picture in (teach.CLONE.parent / "docs/pictures").glob("lab0*.png"):
        (pictures / picture.name).write_bytes(picture.read_bytes())
    monkeypatch.setattr(copies_module, "CLONE", source)
    return source, tmp_path / "cplab-labs"


def write_anew(path):
    """Change what a lab says."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].source += "  # new"
    nbformat.write(notebook, path)


def test_beside_a_copy_of_an_earlier_text_stands_a_fresh_one_and_the_old_one_stays(changed):
    source, home = changed
    assert teach.copy_labs(home).stay == 0
    mine = home / teach.labs()[0].name
    mine.write_text(mine.read_text("utf-8").replace("Sources", "My notes"), "utf-8")
    mine_before = mine.read_text("utf-8")
    assert teach.copy_labs(home) == ([], [], 2)  # one's own changes are no other text of the lab
    write_anew(source / mine.name)
    done = teach.copy_labs(home)
    assert (done.fresh, done.stay) == ([f"{mine.stem}-2.ipynb"], 1)
    assert mine.read_text("utf-8") == mine_before
    assert "# new" in (home / done.fresh[0]).read_text("utf-8")
    assert teach.copy_labs(home) == ([], [], 2)


def test_a_copy_says_in_its_first_cell_that_its_lab_has_changed(changed, capsys):
    _, home = changed
    teach.copy_labs(home)
    copy = nbformat.read(home / teach.labs()[0].name, as_version=4)
    first = next(cell for cell in copy.cells if cell.cell_type == "code")
    exec(first.source, {})
    assert capsys.readouterr().out == ""
    write_anew(teach.labs()[0])
    exec(first.source, {})
    assert "lab 00 has changed since" in (said := capsys.readouterr().out)
    assert "cplab lab --copy" in said


@pytest.mark.parametrize("size", [0, 1, 5000])
def test_a_half_copy_is_not_taken_for_a_whole_one(changed, size):
    _, home = changed
    teach.copy_labs(home)
    half = home / teach.labs()[1].name
    half.write_bytes(half.read_bytes()[:size])
    assert teach.copy_labs(home).fresh == [f"{half.stem}-2.ipynb"]


def test_a_folder_that_is_called_like_a_lab_leaves_room_for_the_others(changed):
    _, home = changed
    first, second = (path.name for path in teach.labs())
    (home / first).mkdir(parents=True)
    copied = teach.copy_labs(home)
    assert copied.new == [second]
    assert copied.fresh == [first.replace(".ipynb", "-2.ipynb")]


def test_a_copy_is_written_whole_or_not_at_all_and_the_error_names_the_option(changed, monkeypatch):
    _, home = changed
    write = Path.write_text

    def full(path, text, *how):
        write(path, text[:1000], *how)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    one_line(lambda: teach.copy_labs(home), "No space left", "--folder")
    assert [*home.iterdir()] == []


def test_names_and_pictures_have_their_places_on_pages_that_the_menu_leads_to(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(site, "run_cells", lambda notebook, folder: notebook)
    pages = {page.name: page.read_text("utf-8") for page in site.build_site(tmp_path, "03b")}
    assert all('href="reference.html"' in text for text in pages.values())
    links = re.findall(r'"(reference/[\w/]+\.html)#(\w+)"', pages["reference.html"])
    assert {name for _, name in links} >= {*cplab.__all__}
    for page, name in links:
        assert f'id="{name}"' in (tmp_path / page).read_text("utf-8"), (page, name)
    readme = (ROOT / "README.md").read_text("utf-8")
    [asked] = re.findall(r"03b_digits\.ipynb\) \| (.*?) \|", readme)
    assert asked in pages["index.html"]
    _, lab = pages["03b_digits.html"].split("</h1>", 1)
    assert f"<em>{asked}</em>" in lab.partition("</p>")[0]
    assert not re.search(r'class="jp-[^>]*tabindex="0"', "".join(pages.values()))
    beside = re.findall(r'href="((?!https?:|data:)[^"#]+)', "".join(pages.values()))
    assert "reproduction/rows.csv" in beside
    assert all((tmp_path / link).exists() for link in beside)
    sources = re.findall(r'<img[^>]* src="(?!data:)([^"]+)"', "".join(pages.values()))
    assert "pictures/lab03b.png" in sources
    assert all((tmp_path / source).exists() and ".." not in source for source in sources)


def test_a_page_says_what_exercises_need_and_not_how_far_a_cell_was():
    counted = nbformat.v4.new_output("stream", name="stderr", text="2551 of 3000 epochs\n")
    printed = nbformat.v4.new_output("stream", name="stdout", text="99 %\n")
    cells = [
        nbformat.v4.new_markdown_cell("## 8 · Exercises\n\n**Exercise 1.** Train one."),
        nbformat.v4.new_markdown_cell(
            "Run the cell.", metadata={"page": "In a notebook, run the cell."}
        ),
        nbformat.v4.new_code_cell("train()", outputs=[counted, printed]),
    ]
    exercises, instead, trained = site.without_widgets(nbformat.v4.new_notebook(cells=cells)).cells
    assert "Python" in exercises.source.partition("**Exercise 1.**")[0]
    assert instead.source == "In a notebook, run the cell."
    assert trained.outputs == [printed]


def test_a_kernel_of_the_site_warns_of_nothing(capfd):
    site.run_cells(nbformat.v4.new_notebook(), teach.CLONE)
    assert "WARNING" not in capfd.readouterr().err
