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


@pytest.mark.parametrize("right", ["behind", 1])
def test_the_right_answer_is_a_value_or_a_text(right):
    asked = lab.question("It ends …", {"ahead": -1, "level": 0, "behind": 1}, right=right)
    assert 'data-right="2"' in asked._repr_html_()
    one_line(lambda: lab.question("So?", ["yes", "no"], right=2), "give one of 'yes', 'no'")


def test_wrong_answers_say_what_would_have_to_be_true_and_the_right_one_does_not():
    answers, words = {"ahead": -1, "level": 0, "behind": 1}, {-1: "Then A.", "behind": "Then B."}
    for right, other in ((1, "Then A."), (-1, "Then B.")):
        shown = text_of(lab.question("It ends …", answers, right=right, feedback=words))
        assert [one for one in words.values() if one in shown] == [other]
    undecided = text_of(lab.question("It ends …", answers, feedback=words))
    assert "Then" not in undecided
    one_line(
        lambda: lab.question("So?", answers, right=1, feedback={7: "Then C."}),
        "feedback 7",
        "'ahead'",
    )


def test_an_answer_belongs_to_its_question_whatever_is_found():
    asked = [
        lab.question("Which?", ["this", "that"], right="this", finding="So.", figure="<p>one</p>"),
        lab.question("Which?", ["this", "that"], right="that", finding="Not so."),
        lab.question("Which?", ["this", "other"]),
        lab.question("Which one?", ["this", "that"]),
    ]
    keys = [re.search(r'data-key="(\w+)"', one._repr_html_())[1] for one in asked]
    assert keys[0] == keys[1]
    assert len({*keys}) == 3


def scale_of(prediction):
    scale = re.search(r"data-scale='([^']+)'", prediction._repr_html_())[1]
    return json.loads(html.unescape(scale))


def test_a_scale_grows_until_a_number_just_beside_it_fits():
    scale = scale_of(lab.Prediction({}, {"newborn": [37.0, 38.6]}, low=40, high=75))
    assert scale["low"] <= 37.8
    assert scale["high"] == 75


def test_a_scale_of_percent_ends_at_a_hundred():
    assert scale_of(lab.Prediction({}, {"all": [99.0]}, low=60, high=98))["high"] == 100


def test_a_number_far_off_a_scale_is_refused():
    one_line(lambda: lab.Prediction({}, {"harm": [900.0]}, unit="points", low=-5, high=15), "unit")


def test_a_prediction_is_of_runs_estimates_or_numbers_in_its_unit():
    run, never = Run("blur", length=16), Run("blur", 77, 7)
    asked = {"blurred": run, "never": never, "given": [55, 56]}
    shown = text_of(lab.Prediction({"newborn": Run()}, asked))
    assert f"blurred: measured {quantities.accuracy(run).mean:.1f} ± " in shown
    assert "never: measured not trained yet" in shown
    assert "given: measured 55.5 ± 6.4 %" in shown
    unsaid = lab.question("When?", ["early", "late"], finding=f"By {quantities.accuracy(never)}.")
    assert "By not trained" not in text_of(unsaid)
    harm = {"harm": estimates.estimate([1, 2, 3])}
    shown = text_of(lab.Prediction({}, harm, unit="points", low=-5, high=15))
    assert "harm: measured 2.0 ± 2.5 points" in shown
