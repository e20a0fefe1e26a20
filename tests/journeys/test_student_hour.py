"""A student's hour: copies of the labs, JupyterLab, lab 00 cell by cell, a file for the teacher.

Another one plays the lab's page, and sends the line by mail.
`test_page_by_file.py` has the file that a page saved.
"""

import textwrap

import pytest
from browser import jupyterlab, open_jupyterlab, open_notebook, plain_page
from person import answer, command, hand_in, run_all, train

from cplab import show

LAB = "cplab-labs/00_a_critical_period_in_a_minute.ipynb"


@pytest.fixture
def notebook_student(chromium, answers, tmp_path):
    """What a student in JupyterLab has handed in."""
    home = tmp_path / "home of Ada"
    home.mkdir()
    command(home, "cplab", "lab", "--copy")
    with jupyterlab(home) as server, plain_page(chromium) as page:
        open_jupyterlab(page, server)
        notebook = open_notebook(page, LAB)
        trained = []
        stopped = []

        def train_once():
            """Press Train when the first screen is there. What trains by itself, for a minute, is
            stopped."""
            if not trained and notebook.locator("cplab-nursery").count():
                trained.append(train(notebook))
            stop = notebook.get_by_role("button", name="Stop", exact=True)
            if not stopped and stop.count():
                stop.dispatch_event("click")  # a real one selects the cell, which then runs again
                stopped.append(stop)

        run_all(page, notebook, train_once)
        assert "points" in trained[0]
        assert stopped
        assert notebook.locator("[data-mime-type$=stderr]").count() == 0
        yield hand_in(page, notebook, "Ada", answers)


@pytest.fixture
def page_student(chromium, site, answers, tmp_path):
    """What a student on the lab's page has handed in by a mail, which was quoted in the answer."""
    with plain_page(chromium) as page:
        page.goto((site / "00_a_critical_period_in_a_minute.html").as_uri())
        answer(page, choice=1)
        said = hand_in(page, page, "Ben", tmp_path)
    wrapped = textwrap.wrap(
        said.file.read_text("utf-8"), 76, break_long_words=False, break_on_hyphens=False
    )
    quoted = "".join(f"> {row}\n" for row in wrapped)
    (answers / "mail.txt").write_text(f"Dear Ben,\nthank you.\n\n{quoted}\nYours\n", "utf-8")
    return said


def test_what_students_hand_in_is_in_the_teacher_s_table_and_on_the_slide(
    notebook_student, page_student, answers, capsys
):
    table = show.class_table(answers)
    assert table["name"].tolist() == ["Ada", "Ben"]
    everyone = [notebook_student, page_student]
    assert table["answers"].tolist() == [said.answers for said in everyone]
    assert table["guesses"].tolist() == [said.guesses for said in everyone]
    assert notebook_student.answers >= 2
    assert notebook_student[:2] == page_student[:2]
    slide = show.class_figure(answers)
    assert sorted(bar.get_width() for bar in slide.axes[0].patches if bar.get_width()) == [1, 1]
    assert "Not read" not in capsys.readouterr().out
