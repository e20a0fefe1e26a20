"""What a class handed in: lines in files and folders, and as a figure."""

import json

import pytest
from conftest import one_line
from matplotlib.text import Text
from PIL import Image

from cplab import show
from cplab.show.handed_in import read_handed_in

ASKED = "Beside it, the first one ends …"


def line(said="behind", guess=61.5, **more):
    answer = {"asked": ASKED, "said": said, "right": "behind"}
    known = {"measured": 61.6, "half": 0.8, "unit": "%"}
    guesses = [{"asked": "How many?", "of": "after blur", "said": guess, **known}]
    content = {"cplab": "0.1.0", "lab": "02", "answers": [answer], "guesses": guesses}
    return json.dumps(content | {"passed": ["02-1"]} | more, ensure_ascii=False)


CLASS = [line(), line("level, as before", 58), line("level, as before", 70, passed=[])]


def folder(path, texts):
    for number, text in enumerate(texts):
        (path / f"{number}.json").write_text(text + "\n", "utf-8")
    return path


def one_file(path, texts):
    (path / "all.txt").write_text("\n".join(texts), "utf-8")
    return path / "all.txt"


def windows_file(path, texts):
    """As PowerShell writes it."""
    (path / "all.txt").write_text("\r\n".join(texts), "utf-16")
    return path / "all.txt"


def folder_for_each(path, texts):
    """As learning platforms give it: a folder for each student, some files beside them."""
    for number, text in enumerate(texts[1:]):
        inner = path / f"Ben {number}_assignsubmission_file"
        inner.mkdir()
        (inner / "lab02-answers.json").write_text(text, "utf-8-sig")
    return folder(path, texts[:1])


SOURCES = {
    "a folder": folder,
    "a file": one_file,
    "a file of Windows": windows_file,
    "folders in a folder": folder_for_each,
}


@pytest.mark.parametrize("source", SOURCES)
def test_all_lines_are_read_wherever_they_stand(source, tmp_path):
    lines = read_handed_in(SOURCES[source](tmp_path, CLASS)).lines
    answers = sorted((line.answers[0].said, line.guesses[0].said, line.passed) for line in lines)
    assert answers == [
        ("behind", 61.5, ["02-1"]),
        ("level, as before", 58, ["02-1"]),
        ("level, as before", 70, []),
    ]


def test_a_figure_has_a_bar_for_each_answer(tmp_path):
    [choices] = show.class_figure(folder(tmp_path, CLASS)).axes
    labels = [label.get_text() for label in choices.get_yticklabels()]
    widths = [bar.get_width() for bar in choices.patches]
    assert labels == ["✓ behind", "level, as before"]
    assert widths == [1, 2]


def test_a_figure_has_a_circle_for_each_guess(tmp_path):
    [guesses] = show.class_figure(folder(tmp_path, CLASS), question=2).axes
    circles = []
    for dots in guesses.lines:
        if dots.get_label() == "answers":
            circles.extend(dots.get_xdata())
    assert sorted(circles) == [58, 61.5, 70]


def test_the_right_answer_is_drawn_though_nobody_gave_it(tmp_path):
    figure = show.class_figure(folder(tmp_path, CLASS[1:]))
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0, 2]


def test_two_students_of_one_name_are_two_and_no_slide_names_them(tmp_path, capsys):
    two = [line(name="Ada"), line("level", name="Ada"), "Ben's thanks"]
    figure = show.class_figure(folder(tmp_path, two))
    assert [bar.get_width() for bar in figure.axes[0].patches] == [1, 1]
    assert "Ada" not in " ".join(text.get_text() for text in figure.findobj(Text))
    assert capsys.readouterr().out == "Not read: 2.json\n"


def test_a_table_says_who_passed_what(tmp_path):
    texts = [line(name="Eve", passed=["02-3", "02-1"]), line(name="Ada", passed=[], answers=[])]
    table = show.class_table(folder(tmp_path, [*texts, line()]))
    assert table.to_numpy().tolist() == [
        ["", "02-1", 2, "2.json"],
        ["Ada", "", 1, "1.json"],
        ["Eve", "02-1, 02-3", 2, "0.json"],
    ]


def test_a_line_that_a_mail_quotes_is_read(tmp_path):
    quoted = f"Dear Ada,\n> {line()}\n>> {line('level')}\n"
    (tmp_path / "mail.txt").write_text(quoted, "utf-8")
    assert len(read_handed_in(tmp_path).lines) == 2


def test_what_is_no_line_is_named(tmp_path):
    texts = f"{line()}\n\nthank you\n{line()[:70]}\n"
    (tmp_path / "forum.txt").write_text(texts, "utf-8")
    (tmp_path / "Ben").mkdir()
    (tmp_path / "Ben" / "essay.pdf").write_bytes(b"%PDF\xff\n\n\xfe\n")
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    handed_in = read_handed_in(tmp_path)
    assert len(handed_in.lines) == 1
    assert handed_in.unread == ["Ben/essay.pdf", "forum.txt, line 3", "forum.txt, line 4"]


@pytest.mark.parametrize(
    "broken",
    [line()[:70], '{"cplab": 1}', line(answers=[7])],
    ids=["half", "without answers", "no answers"],
)
def test_a_broken_line_is_left_out(broken, tmp_path):
    handed_in = read_handed_in(folder(tmp_path, [line(), broken]))
    assert len(handed_in.lines) == 1
    assert handed_in.unread == ["1.json"]


def test_an_empty_folder_is_refused(tmp_path):
    one_line(lambda: show.class_figure(tmp_path), "nothing that was handed in")


def test_lines_of_two_labs_are_refused(tmp_path):
    both = folder(tmp_path, [line(), line(lab="03")])
    one_line(lambda: show.class_figure(both), "02, 03")


def test_the_question_that_split_the_class_most_comes_first(tmp_path):
    split = {"asked": "Who heals?", "right": None}
    agreed = {"asked": "Who sees?", "said": "all", "right": "all"}
    texts = [line(answers=[agreed, split | {"said": said}]) for said in ("both", "none", "one")]
    source = folder(tmp_path, texts)
    titles = [show.class_figure(source, question).get_suptitle() for question in (1, 2, 3)]
    assert titles == ["Who heals?", "Who sees?", "How many?"]


def test_a_slide_is_as_wide_as_a_screen(tmp_path):
    slide = show.class_figure(folder(tmp_path, CLASS))
    with Image.open(show.save(slide, tmp_path / "slide.png")) as picture:
        assert picture.size == (1920, 1080)


def test_a_question_that_is_not_there_is_refused(tmp_path):
    source = folder(tmp_path, CLASS)
    one_line(lambda: show.class_figure(source, question=3), "question 3", "2")
