"""Exercises with one answer: what is right is right, mistakes are named, and nobody prints it."""

import re

import nbformat
import numpy as np
import pytest
from conftest import IMAGES, ROOT, one_line

import cplab
from cplab import Run, data, lab, teach
from cplab.errors import CplabError
from cplab.estimates import Estimate, estimate
from cplab.lab import checks
from cplab.labs import lab00, lab00_checks
from cplab.quantities import equal_training_loss

OF_IMAGES = {"01-2": "cifar10", "05-2": "mnist"}  # exercises that are answered with images
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
        (4, "one digit more"),
        (..., "give one number"),
        ((4, 2), "give one number"),
        ("4,27", "give one number"),
        (float("inf"), "not yet."),
    ],
)
def test_an_answer_is_right_or_a_known_mistake_or_not_yet(answer, said, twins, capsys):
    lab.check(twins, answer)
    printed = capsys.readouterr().out
    assert printed.startswith("test-1, harm in points: ")
    assert said in printed
    assert printed.count("\n") == 1
    assert lab.is_right(twins, answer) == (said == "right.")


def test_without_networks_there_is_nothing_to_compare_with(capsys):
    lab.check("00-1", 4.2)
    assert "nothing to compare" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "remedies"), [("00-9", ("00-1", "00-2", "lab.exercise")), ("Exercise 1", ("'02-1'",))]
)
def test_an_unknown_key_gets_a_remedy(key, remedies):
    one_line(lambda: lab.check(key, 1), *remedies)


def test_an_outdated_call_gets_a_remedy():
    one_line(lambda: lab.check("Exercise 1", 1, right=2, tolerance=0.1), "cplab lab --copy")


def numbers_of(value):
    values = [value.mean] if isinstance(value, Estimate) else np.ravel(value).tolist()
    return [number for number in values if np.isfinite(number)]


@pytest.mark.parametrize("key", KEYS)
def test_the_right_answer_is_right_and_mistakes_are_called_by_their_names(key, monkeypatch):
    monkeypatch.setenv("CPLAB_DATA", str(IMAGES))
    dataset = OF_IMAGES.get(key)
    if dataset and not data.is_here(dataset):
        pytest.skip(f"cplab data fetch {dataset}: practice images make no mistake plain")
    exercise = checks.find_exercise(key)
    answer = exercise.answer()
    assert len(answer.mistakes) == 3
    for right in numbers_of(answer.right):
        assert lab.is_right(key, right)
        for words, wrong in answer.mistakes.items():
            said = [checks.judge(exercise, number) for number in numbers_of(wrong)]
            assert f"not yet. {words}" in said or not said


def test_answers_on_own_training_use_the_networks_trained_here(monkeypatch):
    """Exercises whose networks a student trains, with few and short ones."""
    short = lab00.childhood(length=2, recovery=2)
    monkeypatch.setattr(lab00_checks, "EARLY", short)
    assert not lab.is_right("00-1", 0)
    cplab.sweep(lab00.twenty(short))
    own = lab00.own_twenty(short)
    assert lab.is_right("00-1", own)
    assert lab.is_right("00-2", 20 * (own.half / 0.5) ** 2)


def test_every_check_of_the_labs_has_an_answer():
    for path in ROOT.glob("cplab/labs/lab*_checks.py"):
        number = re.match(r"lab(\w+)_checks", path.stem)[1]
        with pytest.raises(CplabError):
            checks.find_exercise(f"{number}-0")  # which defines those of the lab
    defined = [key for key in checks.EXERCISES if re.match(r"\d\d", key)]
    assert sorted(defined) == sorted(KEYS)


def test_an_exercise_can_be_defined_again_in_a_notebook():
    for right in (1, 2):
        lab.exercise("test-2", "a number")(lambda right=right: right)
        assert lab.is_right("test-2", right)
    del checks.EXERCISES["test-2"]


def test_a_mistake_is_read_from_the_results_that_the_text_speaks_of():
    early = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)
    said = checks.judge(checks.find_exercise("02-1"), equal_training_loss(early))
    assert "lost time" in said
