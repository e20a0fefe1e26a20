"""What labs ask with, driven from Python as a hand would drive it."""

import html
import re
import sys

import ipywidgets
import numpy as np
import pandas as pd
import pytest
from labs_by_hand import accuracies, interval, said, text

from cplab import CplabError, Run, lab, results, show, statistics
from cplab.lab.surface import Frame, Throttle, height, surface
from cplab.show.theme import plain_figure

pytestmark = pytest.mark.usefixtures("nothing_shipped", "one_thread", "errors_raise")

BLUR = Run("blur", 0, 4, profile="ci")


def answered(question, choice="that"):
    question.controls["answer"].value = choice
    return question


# Covers -------------------------------------------------------------------------------------------


def question(made=lambda: ["the truth"]):
    return lab.choice("Which?", ["this", "that"], made)


def test_an_answer_and_reveal_open_it_in_any_order():
    """A click on Reveal counts at any time: also before the answer has reached Python."""
    first, second = question(), question()
    answered(first).reveal.click()
    second.reveal.click()
    assert not second.revealed
    answered(second)
    for one in (first, second):
        assert one.revealed
        assert [text(part) for part in one.figure.children] == ["You said: that", "the truth"]


def test_reveal_can_always_be_clicked_and_says_what_is_missing():
    one = question()
    assert not one.reveal.disabled
    assert text(one.cover) == "Covered until you have answered. "
    one.reveal.click()
    assert not one.reveal.disabled
    assert text(one.cover).endswith("It opens by itself then.")
    assert "cplab-asking" not in one.reveal._dom_classes  # nobody waits for Python any more


def test_nothing_is_computed_before_it_is_asked_for():
    made = []
    one = question(lambda: made.append(1) or [])
    answered(one)
    assert made == []
    one.reveal.click()
    assert made == [1]


def test_a_later_answer_changes_nothing_until_reveal_is_clicked_again():
    one = answered(question())
    one.reveal.click()
    answered(one, "this")
    assert text(one.figure.children[0]) == "You said: that"
    one.reveal.click()
    assert text(one.figure.children[0]) == "You said: this"


def test_what_cannot_be_shown_is_said_and_can_be_asked_for_again():
    state = {"there": False}

    def make():
        if not state["there"]:
            raise CplabError("no <luck>")
        return ["the truth"]

    one = answered(question(make))
    one.reveal.click()
    assert "no &lt;luck&gt;" in one.figure.children[0].value
    state["there"] = True
    one.reveal.click()
    assert one.revealed


def test_figures_in_a_list_stand_side_by_side():
    made = [plain_figure(str(i), "", "") for i in range(2)]
    one = answered(question(lambda: [made, "words"]))
    one.reveal.click()
    assert one.figure.children[1].page.children == made


# Predictions --------------------------------------------------------------------------------------


def prediction():
    return lab.Prediction(
        given={"newborn": Run(profile="ci"), "noise": Run("noise", 0, 4, profile="ci")},
        asked={"blur of 4": BLUR, "noise of 2": Run("noise", 0, 2, profile="ci")},
    )


def test_a_prediction_tells_what_is_given(grid):
    born = said(*interval(accuracies(Run(profile="ci"))))
    known = [text(part) for part in prediction().children if isinstance(part, ipywidgets.HTML)]
    assert f"Known: newborn: {born} %noise: not trained yet" in known


def test_a_prediction_stays_covered_until_every_slider_was_moved(grid):
    guess = prediction()
    truth = said(*interval(accuracies(BLUR)))
    guess.reveal.click()
    for bar in guess.guesses.values():
        assert not guess.revealed
        assert truth not in str([child.get_state() for child in guess.children])
        bar.value = 42.5
    assert guess.revealed


def test_a_prediction_then_shows_guess_and_truth(grid):
    guess = prediction()
    for bar, value in zip(guess.guesses.values(), (42.5, 30), strict=True):
        bar.value = value
    guess.reveal.click()
    picture, words = guess.figure.children
    mean, half = interval(accuracies(BLUR))
    assert text(words).startswith(
        f"blur of 4: you 42.5, measured {said(mean, half)} %; noise of 2: you 30.0, "
        "measured nothing yet"
    )
    assert text(words).endswith("2 seeds")
    items = {item.label.value: item.renderers for item in picture.page.legend[0].items}
    assert items["your guess"][0].data_source.data["x"] == [0.425, 0.3]
    measured = items["measured"][0].data_source.data
    assert list(measured["y"]) == ["blur of 4"]
    assert list(measured["mean"]) == pytest.approx([mean])
    assert list(measured["high"]) == pytest.approx([mean + half])


def test_a_prediction_can_be_of_any_numbers():
    guess = lab.Prediction({"dense": [0.9]}, {"sparse": [0.8, 0.9], "none": []}, source="digits")
    for bar in guess.guesses.values():
        bar.value += 1
    guess.reveal.click()
    words = text(guess.figure.children[1])
    assert words.startswith("sparse: you 51.0, measured 85 ± 64 %; none: you 51.0, measured no")
    assert words.endswith("digits")


# Orders -------------------------------------------------------------------------------------------


def ranking(*order):
    points = {"blur": ("blur", 0, 4), "upside down": ("flip", 0, 4), "newborn": ("none", 0, 0)}
    made = lab.Ranking({name: Run(*point, profile="ci") for name, point in points.items()})
    for place, name in zip(made.controls, order, strict=False):
        made.controls[place].value = name
    return made


def test_a_ranking_stays_covered_until_each_has_one_place(grid):
    for order, words in (
        (("blur",), "Covered until each has its place."),
        (("blur", "blur"), "One place each: blur."),
        (("blur", "blur", "newborn"), "One place each: blur."),
    ):
        guess = ranking(*order)
        guess.reveal.click()
        assert not guess.revealed
        assert text(guess.cover).startswith(words)
    guess.controls["2"].value = "upside down"
    assert guess.revealed  # it was asked for


def test_a_ranking_then_shows_both_orders(grid):
    guess = ranking("newborn", "blur", "upside down")
    guess.reveal.click()
    picture, words = guess.figure.children
    expected = f"upside down: {said(*interval(accuracies(guess.runs['upside down'])))} %"
    assert expected in str([r.data_source.data for r in picture.page.renderers])
    truth = {name: pd.Series(accuracies(run), index=range(2)) for name, run in guess.runs.items()}
    right, sure, _ = statistics.rank_agreement(guess.order, truth)
    assert text(words).startswith(
        f"Of 3 pairs the seeds tell {sure} apart (95 %); {right} of these"
    )


def test_a_ranking_of_what_nobody_trained_says_so():
    guess = ranking("blur", "upside down", "newborn")
    guess.reveal.click()
    assert "Of 3 pairs the seeds tell 0 apart" in text(guess.figure.children[1])


# Switches and slides ------------------------------------------------------------------------------


def test_a_switch_draws_what_is_chosen():
    drawn = []

    def draw(option):
        drawn.append(option)
        fig = plain_figure(option, "", "")
        return fig if option == "one" else [fig, plain_figure("other", "", "")]

    switch = lab.Switch(["two", "one"], draw)
    assert len(switch.children[1].page.children) == 2
    switch.choice.value = "one"
    assert drawn == ["two", "one"]
    assert switch.children[1].page.title.text == "one"


def test_a_slide_over_two_figures_moves_the_sources_of_both():
    figs = [show.by_layer(["1"], {"blur": [[0.5]]}, {"blur": "red"}, tag) for tag in "ab"]
    slide = lab.Slide(
        figs,
        [0.1, 0.2],
        lambda value: {
            f"{tag}blur": show.layer_columns(["1"], "blur", [[value * k]])
            for k, tag in enumerate("ab", 1)
        },
    )
    slide.slider.value = 1
    means = [
        fig.select_one({"name": f"{tag}blur"}).data["mean"]
        for fig, tag in zip(figs, "ab", strict=True)
    ]
    assert np.ravel(means).tolist() == pytest.approx([0.2, 0.4])


def test_a_broken_callback_turns_this_suite_red():
    switch = lab.Switch([1, 0], lambda n: plain_figure(str(1 // n), "", ""))
    with pytest.raises(ZeroDivisionError):
        switch.choice.value = 0


# Fits ---------------------------------------------------------------------------------------------


def line(t, slope, height):
    return slope * t + height


@pytest.fixture
def fitting():
    ends = {"slope": (-5, 5), "height": (-5, 5)}
    start = {"slope": 1, "height": 0}
    return lab.Fitting(line, [0, 1, 2, 3], [1, 3, 5, 7.4], start, ends)


def test_a_slider_moves_the_curve_and_its_residuals(fitting):
    fitting.sliders["slope"].value = 2
    assert list(fitting.sources["residuals"].data["mean"]) == pytest.approx([1, 1, 1, 1.4])
    assert text(fitting.readout) == "squared residuals: 4.960"
    assert fitting.found is None


def test_fit_finds_the_curve_with_its_band(fitting):
    fitting.fit.click()
    assert fitting.found.parameters["slope"] == pytest.approx(2.12)
    assert fitting.sliders["slope"].value == pytest.approx(2.12)
    assert "slope = 2.12 ± " in text(fitting.readout)
    curve = fitting.sources["curve"].data
    assert (curve["low"] < curve["mean"]).all()


def test_a_curve_that_is_not_finite_is_said():
    fitting = lab.Fitting(lambda t, a: t / a, [1, 2], [1, 2], {"a": 1}, {"a": (-1, 1)})
    fitting.sliders["a"].value = 0
    assert "not finite" in text(fitting.readout)


# Work that one watches ----------------------------------------------------------------------------


@pytest.fixture
def live(grid):
    runs = {"blur": Run("blur", 0, 1, profile="ci"), "flip": Run("flip", 0, 1, profile="ci")}
    return lab.Live(runs, lambda run: {"known": []}, ("trace", "train_loss"))


def test_live_says_what_it_costs_and_grows_its_curves(live):
    assert re.match(r"Blur from epoch 0 to 1, seed 0: 4 epochs, about \d+ s", live.estimate.value)
    live.choice.value = run = Run("flip", 0, 1, profile="ci")
    assert live.estimate.value.startswith("Vertical flip")
    live.train.click()
    assert live.job.wait(60)
    found = results.find(run, "trace")
    assert live.estimate.value.startswith(f"live, seed 0: {100 * found.accuracy:.1f} %")
    for name, source in live.sources.items():
        assert source.data == {"epoch": [1, 2, 3, 4], "mean": list(found.series(name))}
    assert (live.train.disabled, live.stop.disabled, live.choice.disabled) == (False, True, False)


def test_a_time_that_nobody_knows_is_told_after_the_first_epoch(live, monkeypatch):
    monkeypatch.setattr(results, "estimate", lambda *_: None)
    live.choice.value = Run("flip", 0, 1, profile="ci")
    assert "not known yet" in live.estimate.value
    said = []
    live.estimate.observe(lambda change: said.append(change.new), "value")
    live.train.click()
    assert live.job.wait(60)
    assert re.fullmatch(r"epoch 1 of 4: (about \d+ s left|nearly done)", said[0])


def test_a_job_rests_its_controls_and_says_how_it_ended():
    seen, bar = [], lab.Switch([1], lambda n: plain_figure("", "", "")).choice
    ends = iter(["done", CplabError("no <luck>"), "again"])

    def work(stop):
        seen.append((job.start.disabled, job.stop.disabled, bar.disabled))
        end = next(ends)
        if isinstance(end, Exception):
            raise end
        return end

    job = lab.Job("Go", work, [bar])
    for words in ("done", "no &lt;luck&gt;", "again"):
        job.start.click()
        assert job.wait(10)
        assert words in job.said.value
        assert (job.start.disabled, job.stop.disabled, bar.disabled) == (False, True, False)
    assert seen == [(True, False, True)] * 3


def test_a_job_does_not_begin_twice_and_is_stopped():
    from cplab.checks import Cancelled

    began = []

    def work(stop):
        began.append(1)
        assert stop.wait(10)
        raise Cancelled

    job = lab.Job("Go", work, stopped="it was stopped")
    job.start.click()
    job.start.click()
    assert not job.wait(0)
    job.stop.click()
    assert job.wait(10)
    assert (began, job.said.value) == ([1], "it was stopped")


def test_a_throttle_draws_seldom_and_the_last_time():
    drawn = []
    draw = Throttle(lambda: drawn.append(1), seconds=3600)
    for _ in range(5):
        draw()
    draw(last=True)
    assert len(drawn) == 2


# Surfaces -----------------------------------------------------------------------------------------


def test_room_is_kept_for_a_figure_before_it_is_there():
    from bokeh import layouts

    figs = [plain_figure("", "", "", height=h) for h in (100, 200, 300)]
    layout = layouts.row(figs[0], layouts.column(*figs[1:]))
    assert height(layout) == 500
    assert surface(layout).layout.min_height == "500px"


@pytest.fixture(params=["colab", "no jupyter_bokeh"])
def frames(request, monkeypatch):
    """Where Bokeh's figures cannot follow Python."""
    absent = request.param == "no jupyter_bokeh"
    monkeypatch.setitem(
        sys.modules, *(("jupyter_bokeh", None) if absent else ("google.colab", object()))
    )


def page(frame):
    """The page in a frame."""
    return html.unescape(re.fullmatch(r'<iframe srcdoc="([^"]*)" [^<>]*></iframe>', frame.value)[1])


def test_a_frame_holds_a_whole_page_of_bokeh(frames):
    frame = surface(plain_figure("a title", "", ""))
    assert isinstance(frame, Frame)
    frame.draw()
    whole = page(frame).strip()
    assert whole.startswith("<!DOCTYPE html>")
    assert whole.endswith("</html>")
    assert "cdn.bokeh.org" in whole
    assert "a title" in whole


def test_what_stands_in_frames_is_drawn_anew(grid, frames):
    switch = lab.Switch([1, 2], lambda n: plain_figure(f"number {n}", "", ""))
    switch.choice.value = 2
    assert "number 2" in page(switch.children[1])
    guess = prediction()
    for bar in guess.guesses.values():
        bar.value = 10
    guess.reveal.click()
    assert "your guess" in page(guess.figure.children[0])


def test_on_colab_a_job_is_done_at_the_click(grid, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", object())
    run = Run("blur", 0, 1, profile="ci")
    live = lab.Live({"blur": run}, lambda run: {}, ("train_loss",), measure=())
    live.train.click()
    assert live.job.wait(0)
    assert str(results.find(run).curve[-1]["train_loss"]) in page(live.children[-1])
