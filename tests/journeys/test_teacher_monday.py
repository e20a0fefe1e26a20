"""A teacher's Monday: homework for students, a course of nbgrader with its points, and a class of
twenty-five on lab 02's page.

It takes minutes: `pytest -m journey_long` does it.
"""

import re
import shutil

import pytest
from browser import jupyterlab, open_jupyterlab, open_notebook, plain_page
from person import answer, command, hand_in, run_all

from cplab import show

pytestmark = pytest.mark.journey_long

LAB = "02_blur_critical_period"
OWN_SEEDS = "cplab.sweep(lab02.own_seeds(7))\nanswer = lab02.own_harm().mean"
RIGHT = 'last = Run("blur", 24, 8)\nanswer = harm(last).mean / lost_time(last).mean'
WRONG = "answer = harm(early).mean"
# Type into the cell of an exercise, and save the notebook.
TYPE = """async ([name, text]) => {
  const isIt = ({model}) =>
    model.id === name || model.getMetadata("nbgrader")?.grade_id === name;
  const {content} = jupyterapp.shell.currentWidget;
  content.widgets.find(isIt).model.sharedModel.setSource(text);
  await jupyterapp.commands.execute("docmanager:save");
}"""


# Homework -----------------------------------------------------------------------------------------


@pytest.fixture
def homework(chromium, answers, tmp_path):
    """What a student has handed in, who has solved an exercise in the homework's copy."""
    command(tmp_path, "cplab", "teach", "build", "homework", "--student", "02")
    with jupyterlab(tmp_path) as server, plain_page(chromium) as page:
        open_jupyterlab(page, server)
        notebook = open_notebook(page, f"homework/{LAB}.ipynb")
        page.evaluate(TYPE, ["answer-02-1", OWN_SEEDS])
        run_all(page, notebook)
        return hand_in(page, notebook, "Ada", answers)


def test_a_check_that_passed_in_the_homework_is_in_the_teacher_s_table(homework, answers):
    [row] = show.class_table(answers).to_dict("records")
    assert (row["name"], row["checks passed"]) == ("Ada", "02-1")
    assert homework.checks == 1


# A course of nbgrader -----------------------------------------------------------------------------

# What is typed into which cells: in those of solutions a person reads it
TYPED = {
    "ada": {"answer-02-3": RIGHT, "solution-02-1": "answer = 9.1  # one alone: nothing"},
    "ben": {"answer-02-3": WRONG, "solution-02-2": "1 / 0"},
}


@pytest.fixture(scope="module")
def course(chromium, tmp_path_factory):
    """A course's folder, in which what two students typed in JupyterLab is graded."""
    folder = tmp_path_factory.mktemp("monday")
    command(folder, "cplab", "teach", "build", "course", "--nbgrader", "02")
    course = folder / "course"
    command(course, "nbgrader", "generate_assignment", LAB)
    for student, typed in TYPED.items():
        shutil.copytree(course / "release" / LAB, course / "submitted" / student / LAB)
        with jupyterlab(course) as server, plain_page(chromium) as page:
            open_jupyterlab(page, server)
            open_notebook(page, f"submitted/{student}/{LAB}/{LAB}.ipynb")
            for cell, text in typed.items():
                page.evaluate(TYPE, [cell, text])
    command(course, "nbgrader", "autograde", LAB)
    command(course, "nbgrader", "generate_feedback", LAB)
    return course


@pytest.fixture(scope="module")
def points(course):
    """The points of each student by exercise, and who has to be read by a person."""
    nbgrader = pytest.importorskip("nbgrader.api")
    points = {}
    with nbgrader.Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        for submission in book.assignment_submissions(LAB):
            [notebook] = submission.notebooks
            for grade in notebook.grades:
                score = "read" if grade.needs_manual_grade else grade.auto_score
                key = grade.name.removeprefix("exercise-")
                points.setdefault(submission.student.id, {})[key] = score
    return points


def test_a_right_answer_has_its_point_and_a_person_reads_what_was_trained(points):
    assert points["ada"] == {"02-1": "read", "02-2": 0, "02-3": 1, "02-4": 0}


def test_a_wrong_answer_has_no_point_and_a_cell_that_fails_stops_nothing(points):
    assert points["ben"] == {"02-1": 0, "02-2": "read", "02-3": 0, "02-4": 0}


def test_what_students_get_has_nothing_of_a_solution(course):
    released = (course / "release" / LAB / f"{LAB}.ipynb").read_text("utf-8")
    assert not re.search("SOLUTION|HIDDEN|is_right|ASSIGNMENT|BEGIN", released)


def test_a_student_is_told_of_each_exercise(course):
    [page] = (course / "feedback" / "ada" / LAB).glob("*.html")
    assert "02-3, " in page.read_text("utf-8")


# A class ------------------------------------------------------------------------------------------

NAMES = [f"Student {number}" for number in range(1, 26)]


@pytest.fixture(scope="module")
def answers_of_class(chromium, tmp_path_factory):
    """The folder in which twenty-five have handed in from lab 02's page, and what each page said
    of it."""
    home = tmp_path_factory.mktemp("class")
    command(home, "cplab", "site", "pages", "02_")
    page_file = home / "pages" / f"{LAB}.html"
    folder = home / "answers"
    said = []
    for number, name in enumerate(NAMES):
        with plain_page(chromium) as page:
            page.goto(page_file.as_uri())
            answer(page, choice=number)
            said.append(hand_in(page, page, name, folder))
    return folder, said


def test_a_class_of_25_is_in_the_table(answers_of_class, capsys):
    folder, said = answers_of_class
    table = show.class_table(folder)
    assert sorted(table["name"]) == sorted(NAMES)
    assert table["answers"].sum() == sum(student.answers for student in said)
    assert table["guesses"].sum() == sum(student.guesses for student in said)
    assert "Not read" not in capsys.readouterr().out


def test_a_slide_of_a_class_of_25_has_all_of_them(answers_of_class):
    folder, _ = answers_of_class
    slide = show.class_figure(folder)
    assert sum(bar.get_width() for bar in slide.axes[0].patches) == 25
