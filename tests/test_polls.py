"""A class's guesses: files are read as a person reads them, and what cannot be read is named."""

import pandas as pd
import pytest
from conftest import one_line

from cplab import show
from cplab.errors import CplabError


def drawn(figure, label="answers"):
    """All answers that a figure shows, from the lowest to the highest; or what was measured."""
    numbers = []
    for line in figure.ax.get_lines():
        if line.get_label() == label:
            numbers.extend(float(x) for x in line.get_xdata())
    return pytest.approx(sorted(numbers))


# The same answers, twice 50.5 and 61 of the blur, 60 and 70 of the flip, from several programs.
PLAIN = "blur,flip\n50.5,60\n61,\n50.5,70\n"
SEMICOLONS = "Name;blur;Flip;Kommentar\nÄnne;50,5;60;ja\nBob;61;;\nCem;50,5;70;\n"
EXCEL = "\n\nsep=;\nblur;flip\n50,5\u00a0%;60\n61;?\n50,5;ca. 70\n"
FORM = 'Time,"Name; class",blur,flip\n"1/2, 9:00",A,"50,5",60\nx,B,61,\ny,C,50.5,70\n'
FRACTIONS = "blur,flip,\n0.505,0.6,\n0.61,,\n0.505,0.7,\n"


@pytest.fixture(
    params=[
        pytest.param((PLAIN, "utf-8-sig"), id="plain"),
        pytest.param((SEMICOLONS, "cp1252"), id="semicolons"),
        pytest.param((EXCEL, "utf-16"), id="Excel"),
        pytest.param((FORM, "utf-8"), id="a form"),
        pytest.param((FRACTIONS, "utf-8"), id="fractions"),
    ]
)
def poll(request, tmp_path):
    text, encoding = request.param
    path = tmp_path / "poll.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_poll_is_read_as_a_person_reads_it(poll):
    assert drawn(show.class_figure(poll)) == [50.5, 50.5, 60, 61, 70]


def test_answers_stand_beside_what_was_measured(poll):
    figure = show.class_figure(str(poll), {"flip": [66.0, 67.0]})
    assert drawn(figure) == [60, 70]
    assert drawn(figure, "measured") == [66.5]


@pytest.mark.parametrize("column", ["flip", "Flip"])
def test_a_column_is_found_however_its_name_is_written(column):
    table = pd.DataFrame({"blur": [50, 61, 52], column: [60, 70, 65]})
    figure = show.class_figure(table, {"FLIP ": []})
    [row] = figure.ax.get_yticklabels()
    assert row.get_text() == f"{column}\nnot trained yet"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("sep=;\nName;blur\nA;50\nB;a lot\nC;60\n", "line 4.*a lot", id="words"),
        pytest.param("blur\n50\n\n550\n60\n", "line 4.*550", id="too much"),
        pytest.param("Blur;blur\n50;60\n", "alike", id="two columns of one name"),
        pytest.param("PK\0\1", "not a text file", id="an archive"),
    ],
)
def test_unreadable_parts_of_a_poll_are_named(text, named, tmp_path):
    path = tmp_path / "poll.csv"
    path.write_text(text)
    with pytest.raises(CplabError, match=named):
        show.class_figure(path)


@pytest.mark.parametrize(
    "column",
    [
        "Group",
        "Seat no",
        "seconds",
        "Points – What is left of the blur?",
        "Zeit (Sekunden)",
        "Matrikelnummer",
        "Your age",
        "Row",
        "Room",
        "PC",
        "Confidence, 1 to 5",
        "group_id",
        "seat_no",
        "StudentID",
        "Group2",
        "Seats",
        "Gruppennummer",
        "Fachsemester",
        "#",
        "No.",
        "Desk",
        "Unnamed: 0",
        "Attempts",
    ],
)
def test_a_column_of_something_else_is_not_drawn_as_guesses(column):
    table = pd.DataFrame({column: [3, 4, 3], "blur": [55, 61, 60]})
    assert drawn(show.class_figure(table)) == [55, 60, 61]


@pytest.mark.parametrize(
    "column", ["no deficit", "after week 3", "noise_guess", "blurFor8", "Q1", "%"]
)
def test_a_question_is_drawn_as_guesses_however_it_is_called(column):
    table = pd.DataFrame({column: [3, 4, 3], "group": [1, 1, 2]})
    assert drawn(show.class_figure(table)) == [3, 3, 4]


def test_digits_of_another_script_are_digits():
    table = pd.DataFrame({"blur": ["\u0665\u0665", "\u06f6\u06f0 %", "\u096d\u0966"]})
    assert drawn(show.class_figure(table)) == [55, 60, 70]


def test_three_guesses_in_a_row_are_no_row_numbers():
    table = pd.DataFrame({"number": [1, 2, 3], "blur": [55, 56, 57]})
    assert drawn(show.class_figure(table)) == [55, 56, 57]


@pytest.mark.parametrize(
    ("answers", "numbers"),
    [(["1 %", "0.5 %", "0,2%"], [0.2, 0.5, 1]), (["60", "0.5 %", "55"], [0.5, 55, 60])],
    ids=["alone", "among others"],
)
def test_half_a_percent_stays_half_a_percent(answers, numbers):
    assert drawn(show.class_figure(pd.DataFrame({"blur": answers}))) == numbers


@pytest.mark.parametrize("answers", [[1, 0.5, 0], [0, 1, 1], [1, 1, 0.2]])
def test_answers_that_may_be_percent_or_parts_are_asked_about(answers):
    table = pd.DataFrame({"blur": answers})
    one_line(lambda: show.class_figure(table), "may be percent or parts")
