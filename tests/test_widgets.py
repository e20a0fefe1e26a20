"""Questions, predictions, frames and checks as HTML."""

import html
import json
import re

import pandas as pd
import pytest
from conftest import one_line

from cplab import Run, estimates, lab, quantities

BAD = '</script><b onclick="x">'


def text_of(shown):
    """What a reader without scripts sees, in words."""
    page = shown._repr_html_().partition("<script>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


ELEMENTS = {
    "Explorer": lambda: lab.Explorer("ci"),
    "live": lambda: lab.live({"blur": Run()}),
    "Nursery": lab.Nursery,
}


@pytest.mark.parametrize("name", ELEMENTS)
def test_an_element_says_where_it_works_if_no_script_runs(name):
    output = ELEMENTS[name]()._repr_mimebundle_()
    assert "VS Code" in output["text/html"].split("<script>")[0]


def test_words_that_somebody_else_wrote_are_no_html():
    table = pd.DataFrame({BAD: [BAD]})
    asked = lab.question(
        BAD, {BAD: 1, "other": 2}, right=1, finding=BAD, figure=table, more=[table]
    )
    words = dict.fromkeys(("question", "unit", "quantity", "finding"), BAD)
    guess = lab.Prediction({BAD: [50]}, {BAD: [60]}, **words)
    moved = lab.slide({BAD: "one"}, [BAD], label=BAD), lab.switch({BAD: "one"})
    for shown in (asked, guess, *moved):
        assert BAD not in shown._repr_html_()
        assert '<b onclick="' not in shown._repr_html_()


SIDES = {"ahead": -1, "level": 0, "behind": 1}


@pytest.mark.parametrize("right", ["behind", 1])
def test_the_right_answer_is_a_value_or_a_text(right):
    asked = lab.question("It ends …", SIDES, right=right)
    assert 'data-right="2"' in asked._repr_html_()


def test_a_right_answer_that_is_none_of_the_answers_is_refused():
    one_line(lambda: lab.question("So?", ["yes", "no"], right=2), "give one of 'yes', 'no'")


FEEDBACK = {-1: "Then A.", "behind": "Then B."}


@pytest.mark.parametrize(("right", "others"), [(1, "Then A."), (-1, "Then B.")])
def test_only_wrong_answers_say_what_would_have_to_be_true(right, others):
    shown = text_of(lab.question("It ends …", SIDES, right=right, feedback=FEEDBACK))
    assert [words for words in FEEDBACK.values() if words in shown] == [others]


def test_where_none_is_right_nothing_would_have_to_be_true():
    assert "Then" not in text_of(lab.question("It ends …", SIDES, feedback=FEEDBACK))


def test_feedback_to_what_is_no_answer_is_refused():
    ask = lambda: lab.question("So?", SIDES, right=1, feedback={7: "Then C."})  # noqa: E731
    one_line(ask, "feedback 7", "'ahead'")


def key_of(*asked, **shown):
    """The key under which a page keeps the answer to a question."""
    shown = lab.question(*asked, **shown)._repr_html_()
    return re.search(r'data-key="(\w+)"', shown)[1]


ASKED = "Which?", ["this", "that"]


def test_an_answer_belongs_to_its_question_whatever_is_found():
    first = key_of(*ASKED, right="this", finding="So.", figure="<p>one</p>")
    assert first == key_of(*ASKED, right="that", finding="Not so.")


@pytest.mark.parametrize(
    "other",
    [("Which?", ["this", "other"]), ("Which one?", ["this", "that"])],
    ids=["answers", "question"],
)
def test_an_answer_does_not_belong_to_another_question(other):
    assert key_of(*other) != key_of(*ASKED)


def scale_of(prediction):
    scale = re.search(r"data-scale='([^']+)'", prediction._repr_html_())[1]
    return json.loads(html.unescape(scale))


@pytest.mark.parametrize(("seeds", "low", "high"), [([37.0, 38.6], 37.8, 75), ([99.0], 40, 99.0)])
def test_a_scale_reaches_as_far_as_its_numbers(seeds, low, high):
    scale = scale_of(lab.Prediction({}, {"newborn": seeds}, low=40, high=75))
    assert (scale["low"], scale["high"]) == pytest.approx((low, high))


NEVER = Run("blur", 77, 7)  # nobody has trained it


def test_a_prediction_of_a_run_shows_its_accuracy():
    run = Run("blur", length=16)
    shown = text_of(lab.Prediction({"newborn": Run()}, {"blurred": run}))
    assert f"blurred: measured {quantities.accuracy(run).mean:.1f} ± " in shown


def test_a_prediction_of_a_run_without_results_says_so():
    shown = text_of(lab.Prediction({}, {"never": NEVER}))
    assert "never: measured not trained yet" in shown


def test_a_prediction_of_numbers_shows_their_estimate():
    assert "given: measured 55.5 ± 6.4 %" in text_of(lab.Prediction({}, {"given": [55, 56]}))


def test_a_prediction_of_an_estimate_shows_it_in_its_unit():
    harm = {"harm": estimates.estimate([1, 2, 3])}
    shown = text_of(lab.Prediction({}, harm, unit="points", low=-5, high=15))
    assert "harm: measured 2.0 ± 2.5 points" in shown


def test_a_question_says_nothing_of_what_nobody_trained():
    finding = f"By {quantities.accuracy(NEVER)}."
    assert "By not trained" not in text_of(
        lab.question("When?", ["early", "late"], finding=finding)
    )
