"""What a class handed in: files that a page has saved, in folders, and as a figure.

Students play a page in a browser, and their files are what it downloads.
"""

import html
import re
import shutil
import textwrap
import zipfile
from typing import NamedTuple

import pytest
from browser import open_anew, plain_page
from conftest import one_line
from matplotlib.text import Text
from PIL import Image

from cplab import lab, show
from cplab.estimates import estimate
from cplab.lab.questions import checks, questions

HEALS = "Who heals?"
ENDS = "Beside it, the first one ends …"
MANY = "How many?"


@lab.exercise("class-1", "legs of six kittens")
def legs():
    return 24


def lab_page(path, number, passed=False, networks=None):
    """Write a page of a lab: two questions, a prediction, and what hands them in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(questions, "ASKED", {})
        patch.setattr(checks, "VERDICTS", {})
        patch.setattr(questions, "VERDICTS", checks.VERDICTS)
        if passed:
            lab.check("class-1", 24)
        shown = [
            lab.question(HEALS, ["both", "none", "one"]),
            lab.question(ENDS, ["behind", "level, as before"], right="behind"),
            lab.Prediction({}, {"after blur": [60.8, 61.6, 62.4]}, question=MANY),
            lab.hand_in(number, networks=networks),
        ]
    bodies = "\n".join(one._repr_html_() for one in shown)
    path.write_text(f"<!doctype html><meta charset='utf-8'><body>{bodies}", "utf-8")
    return path.as_uri()


class Play(NamedTuple):
    """What a student does in a page: the answers, the guess and the name, as far as there are any;
    `again`, the later guess of one who hands in twice from a tab of the browser."""

    page: str = "02"
    heals: str = ""
    ends: str = ""
    guess: float | None = None
    name: str = ""
    later: str = ""


STUDENTS = {
    "ada": Play(ends="behind", guess=61.5, name="Ada"),
    "anonymous": Play(ends="level, as before", guess=58),
    "ben": Play("02, passed", ends="level, as before", guess=70, name="Ben/ 2"),
    "other lab": Play("03", ends="behind"),
    "copied": Play(ends="behind", guess=61.5, name="Eve"),
    "both": Play(heals="both", ends="behind"),
    "none": Play(heals="none", ends="behind"),
    "one": Play(heals="one", ends="behind"),
    "nothing": Play(),
    "ada again": Play("02, passed", ends="level, as before", guess=61.5, name="Ada"),
    "twice": Play(ends="behind", later="none", name=""),
}


def choose(page, question, answer):
    asked = page.locator("cplab-question").filter(has_text=question)
    asked.get_by_label(answer, exact=True).check()
    asked.get_by_role("button", name="Reveal").click()


def save(page):
    """Press Download. Returns: the name of the file, and its text."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    saved = download.value
    return saved.suggested_filename, saved.path().read_text("utf-8")


def play(page, address, student):
    """Do what a student does. Returns: the files that were saved, [(name, text)]."""
    open_anew(page, address)
    if student.heals:
        choose(page, HEALS, student.heals)
    if student.ends:
        choose(page, ENDS, student.ends)
    if student.guess is not None:
        slider = page.locator("cplab-prediction input")
        slider.fill(str(student.guess))
        slider.press("Enter")
    page.get_by_label("Name").fill(student.name)
    files = [save(page)]
    if student.later:
        choose(page, HEALS, student.later)
        page.get_by_label("Name").fill("Zoe")
        files.append(save(page))
    return files


@pytest.fixture(scope="module")
def handed_in(chromium, tmp_path_factory):
    """What each student's browser has saved, {student: [(name, text)]}."""
    folder = tmp_path_factory.mktemp("pages")
    pages = {}
    for name, number in {"02": "02", "02, passed": "02", "03": "03"}.items():
        pages[name] = lab_page(folder / f"{name}.html", number, passed="passed" in name)
    with plain_page(chromium) as page:
        return {
            name: play(page, pages[student.page], student) for name, student in STUDENTS.items()
        }


@pytest.fixture
def line(handed_in):
    """The line of a student."""
    return lambda student: handed_in[student][0][1].strip()


CLASS = ["ada", "anonymous", "ben"]


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


def mails(path, texts):
    """As a mail programme wraps and quotes them, between a greeting and a name."""
    quoted = []
    for text in texts:
        wrapped = textwrap.fill(text, 78, break_long_words=False, break_on_hyphens=False)
        quoted.append(textwrap.indent(wrapped, "> "))
    (path / "mail.txt").write_text("\n\n".join(["Dear Ada,", *quoted, "Yours, Ben"]), "utf-8")
    return path


def cut_at_80(path, texts):
    """As a terminal or an old form cuts a text, in the middle of its words."""
    cut = [re.sub("(.{80})", r"\1\n", text) for text in texts]
    (path / "all.txt").write_text("\n".join(cut), "utf-8")
    return path


def web_pages(path, texts):
    """As a learning platform gives what was pasted."""
    for number, text in enumerate(texts):
        page = f"<html><body><p>{html.escape(text)}</p></body></html>"
        (path / f"{number}.html").write_text(page, "utf-8")
    return path


def documents(path, texts):
    """With the quotes of a word processor."""
    (path / "all.txt").write_text("\n".join(re.sub('"', "”", text) for text in texts), "utf-8")
    return path


SOURCES = {
    "a folder": folder,
    "a file": one_file,
    "a file of Windows": windows_file,
    "folders in a folder": folder_for_each,
    "quoted mails": mails,
    "cut at 80": cut_at_80,
    "web pages": web_pages,
    "curly quotes": documents,
}


@pytest.mark.parametrize("source", SOURCES)
def test_what_a_page_has_saved_is_read_wherever_it_stands(source, line, tmp_path):
    texts = [line(student) for student in CLASS]
    table = show.class_table(SOURCES[source](tmp_path, texts))
    columns = table[["name", "checks passed", "answers", "guesses"]].to_numpy().tolist()
    assert columns == [["", "", 1, 1], ["Ada", "", 1, 1], ["Ben/ 2", "class-1", 1, 1]]


def test_a_file_is_called_after_the_lab_and_the_name(handed_in):
    names = [name for name, _ in handed_in["ben"] + handed_in["anonymous"]]
    assert names == ["lab02-Ben-2.json", "lab02-answers.json"]


@pytest.fixture
def class_folder(line, tmp_path):
    """A folder of some students' files."""
    return lambda *students: folder(tmp_path, [line(student) for student in students])


def test_a_figure_has_a_bar_for_each_answer(class_folder):
    [choices] = show.class_figure(class_folder(*CLASS)).axes
    labels = [label.get_text() for label in choices.get_yticklabels()]
    widths = [bar.get_width() for bar in choices.patches]
    assert labels == ["✓ behind", "level, as before"]
    assert widths == [1, 2]


def test_a_figure_has_a_circle_for_each_guess(class_folder):
    [guesses] = show.class_figure(class_folder(*CLASS), question=2).axes
    circles = []
    for dots in guesses.lines:
        if dots.get_label() == "answers":
            circles.extend(dots.get_xdata())
    assert sorted(circles) == [58, 61.5, 70]
    [measured] = [dots.get_xdata() for dots in guesses.lines if dots.get_label() == "measured"]
    assert measured == [pytest.approx(61.6)]


def test_the_right_answer_is_drawn_though_nobody_gave_it(class_folder):
    figure = show.class_figure(class_folder(*CLASS[1:]))
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0, 2]


def test_no_slide_names_a_student(class_folder):
    figure = show.class_figure(class_folder(*CLASS))
    assert "Ada" not in " ".join(text.get_text() for text in figure.findobj(Text))


# A class's own networks ---------------------------------------------------------------------------

NETWORKS = [
    {"from birth": [4.0, 3.0, 5.0, 4.5], "at epoch 24": [1.0, 0.5, 1.5, 1.6]},
    {"from birth": [2.0, 3.5, 6.0, 1.0], "at epoch 24": [1.0, -1.5, 2.5, 1.2]},
    {},
]


@pytest.fixture(scope="module")
def with_networks(chromium, tmp_path_factory):
    """A folder of what three students handed in, of whom one had trained nothing."""
    path = tmp_path_factory.mktemp("networks")
    (path / "answers").mkdir()
    texts = []
    with plain_page(chromium) as page:
        for number, networks in enumerate(NETWORKS):
            address = lab_page(path / f"{number}.html", "02", networks=networks)
            texts.append(play(page, address, Play(ends="behind", name=f"{number}"))[0][1])
    return folder(path / "answers", texts)


def test_a_class_s_networks_are_added_up_each_beside_its_own_seed(with_networks):
    fig = show.class_networks(with_networks)
    first, second = "from birth", "at epoch 24"
    pairs = [zip(one[first], one[second], strict=True) for one in NETWORKS if one]
    points = estimate([early - late for of_one in pairs for early, late in of_one])
    assert f"{points} points" in fig.get_suptitle().replace("\xa0", " ")
    counts = [len(dots.get_xdata()) for dots in fig.axes[0].lines if len(dots.get_xdata()) > 2]
    assert counts == [8, 8]


def test_where_nobody_trained_networks_a_line_says_so(class_folder):
    one_line(lambda: show.class_networks(class_folder(*CLASS)), "networks")


# Who counts, and once ----------------------------------------------------------------------------


def test_of_two_lines_of_one_name_the_last_counts(class_folder, capsys):
    table = show.class_table(class_folder("ada again", "ada"))
    assert table["checks passed"].tolist() == ["class-1"]
    assert "1.json and 0.json, which is the last" in capsys.readouterr().out


def test_a_file_that_was_saved_twice_is_of_one_student(class_folder, capsys):
    """By JupyterLab as well, in a hidden folder, of which nothing is said."""
    source = class_folder("anonymous", "anonymous", "ben")
    (source / ".ipynb_checkpoints").mkdir()
    shutil.copy(source / "2.json", source / ".ipynb_checkpoints" / "2-checkpoint.json")
    assert len(show.class_table(source)) == 2
    assert (
        capsys.readouterr().out
        == "Of one student: 0.json and 1.json, which is the last and counts\n"
    )


def test_who_hands_in_twice_from_one_tab_is_one_student(handed_in, tmp_path):
    table = show.class_table(folder(tmp_path, [text for _, text in handed_in["twice"]]))
    assert table[["name", "answers"]].to_numpy().tolist() == [["Zoe", 2]]


def test_two_students_without_a_name_are_two_though_their_answers_are_the_same(
    chromium, tmp_path, capsys
):
    address = lab_page(tmp_path / "page.html", "02")
    (tmp_path / "answers").mkdir()
    with plain_page(chromium) as page:
        texts = [play(page, address, Play(ends="behind"))[0][1] for _ in range(2)]
    assert len(show.class_table(folder(tmp_path / "answers", texts))) == 2
    assert capsys.readouterr().out == "The same answers: 0.json, 1.json\n"


def test_the_same_answers_under_two_names_are_noted_and_count_twice(class_folder, capsys):
    assert len(show.class_table(class_folder(*CLASS, "copied"))) == 4
    assert capsys.readouterr().out == "The same answers: 0.json, 3.json\n"


def test_before_the_class_nothing_is_said_of_who_answered_alike(class_folder, capsys):
    show.class_figure(class_folder(*CLASS, "copied"))
    assert capsys.readouterr().out == ""


def test_a_line_of_another_lab_is_left_out_with_its_file_s_name(class_folder, capsys):
    figure = show.class_figure(class_folder(*CLASS, "other lab"))
    assert sum(bar.get_width() for bar in figure.axes[0].patches) == 3
    assert capsys.readouterr().out == "Left out, of lab 03: 3.json\n"


# What cannot be read -----------------------------------------------------------------------------


def test_what_is_no_line_is_named(line, tmp_path, capsys):
    (tmp_path / "forum.txt").write_text(
        f"{line('ada')}\n\nthank you\n{line('ben')[:70]}\n", "utf-8"
    )
    (tmp_path / "Ben").mkdir()
    (tmp_path / "Ben" / "essay.pdf").write_bytes(b"%PDF\xff\n\n\xfe\n")
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    assert len(show.class_table(tmp_path)) == 1
    assert capsys.readouterr().out == "Not read: Ben/essay.pdf; forum.txt, line 4\n"


def test_a_zip_of_a_learning_platform_has_to_be_unpacked_first(line, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
        packed.writestr("Ben_1/lab02-answers.json", line("ben"))
    one_line(lambda: show.class_table(tmp_path), "unpack")
    folder(tmp_path, [line("ada")])
    assert len(show.class_table(tmp_path)) == 1
    assert "Not read: all.zip (unpack it first)" in capsys.readouterr().out


BROKEN = {
    "half": lambda text: text[:70],
    "without what was asked": lambda text: text.replace('"asked"', '"said"', 1),
    "an answer that is none": lambda text: text.replace('"first":0', '"first":7'),
    "one guess for two": lambda text: text.replace('["after blur"]', '["after blur","noise"]'),
    "brackets": lambda text: text.replace('"passed":[', '"passed":' + "[" * 100_000),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_line_is_left_out(name, line, tmp_path, capsys):
    broken = BROKEN[name](line("ada"))
    assert len(show.class_table(folder(tmp_path, [line("ben"), broken]))) == 1
    assert capsys.readouterr().out == "Not read: 1.json\n"


def test_an_empty_folder_is_refused(tmp_path):
    one_line(lambda: show.class_figure(tmp_path), "nothing that was handed in")


def test_a_class_that_has_answered_nothing_has_no_slide(class_folder):
    one_line(lambda: show.class_figure(class_folder("nothing")), "no answers")


def test_the_question_that_split_the_class_most_comes_first(class_folder):
    source = class_folder("ada", "both", "none", "one")
    titles = [show.class_figure(source, question).get_suptitle() for question in (1, 2, 3)]
    assert titles == [HEALS, ENDS, MANY]


def test_a_slide_is_as_wide_as_a_screen(class_folder, tmp_path):
    slide = show.class_figure(class_folder(*CLASS))
    with Image.open(show.save(slide, tmp_path / "slide.png")) as picture:
        assert picture.size == (1920, 1080)


def test_a_question_that_is_not_there_is_refused(class_folder):
    source = class_folder(*CLASS)
    one_line(lambda: show.class_figure(source, question=3), "question 3", "2")


@pytest.mark.parametrize("number", ["2", "2b", 0, None, ""])
def test_what_is_no_number_of_a_lab_is_refused_before_anything_is_handed_in(number):
    one_line(lambda: lab.hand_in(number), "is not allowed", "02")
