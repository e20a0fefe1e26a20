"""What labs ask with, driven from Python; how the page moves it is tested in test_saved.py."""

import html

import numpy as np
import pytest

from cplab import CplabError, Run, lab, statistics
from cplab.show import theme
from cplab.show.predictions import accuracies
from cplab.studies import kitten

BLUR, FLIP = Run("blur", length=16), Run("flip", length=16)
BAD = '<img src=x onerror="alert(1)">'  # a label that somebody else wrote


def question(shows=lambda: ["the truth"], **more):
    return lab.choice("Which?", ["this", "that"], shows, **more)


def opened(asked, answer):
    asked.answer = answer
    asked.revealed = True
    return asked


# Questions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "answer", "said"),
    [
        ("that", "that", "It was: that ✓"),
        ("that", "this", "It was: that. You said: this."),
        (lambda: "this", "this", "It was: this ✓"),
        (None, "this", "You said: this"),
    ],
)
def test_an_answer_is_judged_in_one_line_before_the_picture_and_the_finding(right, answer, said):
    asked = opened(question(right=right, found=lambda: "That, by 3 points."), answer)
    lines = [line for line in asked.words.splitlines() if line]
    assert lines == ["Which?", said, "the truth", "That, by 3 points."]


def test_it_is_not_opened_before_it_is_answered():
    asked = question()
    with pytest.raises(CplabError):
        asked.revealed = True
    assert not asked.revealed
    assert "You said" not in asked.words


def test_a_right_answer_that_is_none_of_the_answers_is_refused():
    with pytest.raises(CplabError, match="those"):
        question(right="those")


def test_what_cannot_be_looked_up_is_said_in_its_place_and_the_lab_goes_on():
    def missing():
        raise CplabError("no <luck>")

    asked = opened(question(missing, found=missing, right=missing), "this")
    assert asked.words.count("no <luck>") == 2
    assert "You said: this" in asked.words


def test_words_that_somebody_else_wrote_are_no_html():
    asked = opened(lab.choice(BAD, ["this", BAD], list, right=BAD), "this")
    assert html.escape(BAD) in asked.verdict()
    assert BAD not in asked.verdict()
    runs = {BAD: [0.4, 0.5]}
    assert BAD not in lab.Prediction(runs, runs).verdict()


# Predictions --------------------------------------------------------------------------------------


def test_a_prediction_shows_guess_and_truth_beside_what_was_known():
    asked = lab.Prediction({"newborn": Run()}, {"blur": BLUR, "flip": FLIP}, found="So it is.")
    asked.answer = {"blur": 42.5}
    with pytest.raises(CplabError):
        asked.revealed = True
    opened(asked, {"blur": 42.5, "flip": 30})
    mean, half = (getattr(statistics.estimate(accuracies(BLUR)), n) for n in ("mean", "half"))
    measured = f"{100 * mean:.1f} ± {100 * half:.1f} %"
    assert asked.verdict().startswith(f"blur: you 42.5, measured {measured}")
    [picture] = [part for part in asked.seen() if hasattr(part, "renderers")]
    assert list(picture.select_one({"name": "guess"}).data["x"]) == [0.425, 0.3]
    lines = {item.label.value for item in picture.legend[0].items}
    assert lines == {"newborn", "your guess", "measured"}
    drawn = [one.data_source.data["x"] for one in picture.renderers if "x" in one.data_source.data]
    assert any(list(x) == pytest.approx([np.mean(accuracies(Run()))] * 2) for x in drawn)
    assert asked.words.splitlines()[-1] == "So it is."


def test_a_prediction_can_be_of_any_numbers_and_of_what_nobody_has_trained():
    asked = lab.Prediction({"dense": [0.9]}, {"sparse": [0.8, 0.9], "none": []}, source="digits")
    opened(asked, {"sparse": 50, "none": 50})
    assert "sparse: you 50.0, measured 85 ± 64 %" in asked.words
    assert "none: you 50.0, measured nothing yet" in asked.words
    assert "digits" in asked.words


# Switches, slides, fits ---------------------------------------------------------------------------


def test_a_slide_moves_the_sources_of_all_its_figures():
    figs = [theme.by_layer(1, {kind: [[0.5]]}, {kind: "red"}) for kind in "ab"]

    def columns(value):
        means = {"a": value, "b": 2 * value}
        return {kind: theme.layer_columns(kind, [[means[kind]]]) for kind in "ab"}

    slide = lab.Slide(figs, [0.1, 0.2], columns)
    slide.index = 1
    means = [slide.drawn.select_one({"name": kind}).data["mean"] for kind in "ab"]
    assert np.ravel(means).tolist() == pytest.approx([0.2, 0.4])
    assert slide.words == "0.2"


@pytest.fixture
def fitting():
    ends = {"slope": (-5, 5), "height": (-5, 5)}
    start = {"slope": 1, "height": 0}
    line = lambda t, slope, height: slope * t + height  # noqa: E731
    return kitten.Fitting(line, [0, 1, 2, 3], [1, 3, 5, 7.4], start, ends)


def test_a_slider_moves_the_curve_and_its_residuals(fitting):
    fitting.controls["slope"].value = 2
    assert list(fitting.sources["residuals"].data["mean"]) == pytest.approx([1, 1, 1, 1.4])
    assert "squared residuals: 4.960" in fitting.readout.value
    assert fitting.fitted is None


def test_fit_finds_the_curve_with_its_band_and_keeps_it_when_a_page_rounds_it(fitting):
    fitting.job.start.click()
    assert fitting.job.wait(10)
    said = fitting.readout.value
    assert fitting.fitted.parameters["slope"] == pytest.approx(2.12)
    assert "slope = 2.12 ± " in said
    assert (fitting.sources["curve"].data["low"] < fitting.sources["curve"].data["mean"]).all()
    fitting.controls["slope"].value = 2.1
    assert fitting.readout.value == said
    fitting.controls["slope"].value = 3
    assert fitting.readout.value != said
