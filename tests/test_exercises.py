"""Exercises with one answer: what is right is right, mistakes are named, and nobody prints it."""

import re
from dataclasses import replace

import nbformat
import numpy as np
import pytest
from conftest import IMAGES, ROOT, needs_images, one_line
from contributing import how_many

import cplab
from cplab import lab, teach
from cplab.base.errors import CplabError
from cplab.estimates import Estimate, estimate
from cplab.lab.questions import checks
from cplab.labs import lab00, lab00_checks, lab02

CALL = re.compile(r'`lab\.check\("(.+?)", answer\)`')
KEYS = [
    key
    for path in teach.labs()
    for cell in nbformat.read(path, as_version=4).cells
    for key in CALL.findall(cell.source)
]


@pytest.fixture
def twins():
    """An exercise whose answer is 4.27, and one mistake."""
    answer = lab.Answer(estimate([4.2, 4.34]), {"That is one seed": np.array([3.1, 5.6])})
    lab.exercise("test-1", "harm in points", tolerance=0.1)(lambda: answer)
    yield "test-1"
    del checks.EXERCISES["test-1"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (4.3, "right."),
        (estimate([4.2]), "right."),
        ("4.27", "right."),
        (4.5, "not yet."),
        (5.6, "not yet. That is one seed."),
        (-4.27, "not yet. Its sign is wrong."),
        (0.0427, "hundred times"),
        (4, "one more digit"),
        (..., "give one number"),
        ((4, 2), "give one number"),
        ("4,27", "give one number"),
        (float("inf"), "not yet."),
    ],
)
def test_an_answer_is_right_or_a_known_mistake_or_not_yet(answer, said, twins, capsys):
    lab.check(twins, answer)
    assert said in capsys.readouterr().out


def test_a_number_is_called_one_seed_only_where_its_digits_agree(twins, capsys):
    """Ten seeds would otherwise cover half of the numbers that one may give."""
    lab.check(twins, 5.65)
    assert "one seed" not in capsys.readouterr().out


@pytest.mark.parametrize("answer", [4.3, 5.6, ..., float("inf")])
def test_a_check_prints_one_line_that_names_its_exercise(answer, twins, capsys):
    lab.check(twins, answer)
    printed = capsys.readouterr().out
    assert printed.startswith("test-1, harm in points: ")
    assert printed.count("\n") == 1


@pytest.mark.parametrize(("answer", "right"), [(4.3, True), (4.5, False), (..., False)])
def test_a_grader_is_told_whether_an_answer_is_right(answer, right, twins):
    assert lab.is_right(twins, answer) is right


@pytest.mark.parametrize("answer", [4.2, ..., float("nan"), "solved"])
def test_without_networks_there_is_nothing_to_compare_with(answer, capsys):
    """Also what a solution gives before its networks are trained."""
    lab.check("00-1", answer)
    assert "Train its networks first" in capsys.readouterr().out


@pytest.mark.parametrize("key", ["01-2", "05-3"])
def test_where_images_are_missing_a_check_says_how_to_fetch_them(key, capsys):
    """Practice images would make a mistake right: their clear images do not lean, and all of their
    pixels have ink."""
    for answer in (0, 0.86, 100):
        lab.check(key, answer)
    said = capsys.readouterr().out
    assert said.count("it cannot be checked here") == 3
    assert said.count(f"cplab data fetch {checks.find_exercise(key).images}") == 3


@pytest.mark.parametrize(
    ("key", "remedies"), [("00-9", ("00-1", "00-2", "lab.exercise")), ("Exercise 1", ("'02-1'",))]
)
def test_an_unknown_key_gets_a_remedy(key, remedies):
    one_line(lambda: lab.check(key, 1), *remedies)


def test_a_decimal_comma_is_two_numbers_and_said_so(twins, capsys):
    lab.check(twins, 4, 2)
    assert "give one number, with a decimal point" in capsys.readouterr().out


def numbers_of(value):
    """The numbers in what an exercise calls right, or a mistake: those that are finite."""
    values = [value.mean] if isinstance(value, Estimate) else np.ravel(value).tolist()
    return [number for number in values if np.isfinite(number)]


@pytest.mark.parametrize("key", KEYS)
def test_an_exercise_tells_its_answer_from_its_mistakes(key, monkeypatch):
    """Solved with the images that it needs. Where its networks are trained by the student, and are
    not here, nothing is right or a mistake."""
    monkeypatch.setenv("CPLAB_DATA", str(IMAGES))
    exercise = checks.find_exercise(key)
    needs_images(exercise.images)
    answer = exercise.answer()
    exercise = replace(exercise, solve=lambda: answer)
    rights = numbers_of(answer.right)
    assert len(answer.mistakes) >= how_many("mistakes")
    assert bool(rights) != exercise.own_training
    for right in rights:
        assert checks.judge(exercise, right) == "right"
    for words, wrong in answer.mistakes.items():
        said = {checks.judge(exercise, number) for number in numbers_of(wrong)}
        if rights:
            assert f"not yet. {words}" in said
            assert "right" not in said
        else:
            assert not said or "Train its networks first" in said.pop()


@pytest.fixture
def brief(monkeypatch):
    """A childhood that is short, for the exercises whose networks a student trains."""
    short = lab00.childhood(length=2, recovery=2)
    monkeypatch.setattr(lab00_checks, "EARLY", short)
    return short


@pytest.mark.usefixtures("brief")
def test_before_networks_are_trained_here_no_number_is_right():
    assert not lab.is_right("00-1", 0)


def test_answers_on_own_training_are_of_the_networks_trained_here(brief):
    cplab.sweep(lab00.twenty(brief))
    own = lab00.own_twenty(brief)
    assert lab.is_right("00-1", own)
    assert lab.is_right("00-2", 20 * (own.half / 0.5) ** 2)


def test_every_check_of_the_labs_has_an_answer():
    for path in ROOT.glob("cplab/labs/lab*_checks.py"):
        number = re.match(r"lab(\w+)_checks", path.stem)[1]
        with pytest.raises(CplabError):
            checks.find_exercise(f"{number}-0")  # which defines those of the lab
    defined = [key for key in checks.EXERCISES if re.match(r"\d\d", key)]
    assert sorted(defined) == sorted(KEYS)


def test_an_exercise_can_be_defined_again_in_a_notebook(twins):
    lab.exercise(twins, "a number")(lambda: 2)
    assert lab.is_right(twins, 2)


def test_own_seeds_are_those_of_the_number_and_nobody_else_s(monkeypatch):
    monkeypatch.setattr(lab02, "BLURRED_DIGITS", lab00.childhood(length=2, recovery=2))
    cplab.sweep(lab02.own_seeds(12))
    own = lab02.own_harm()
    assert sorted(own.by_seed) == list(range(20))
    assert lab.is_right("02-1", own)
    lab02.own_seeds(13)  # which are not trained
    assert not lab.is_right("02-1", own)
