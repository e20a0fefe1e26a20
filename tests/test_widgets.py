"""What labs ask with, driven from Python as a hand would drive it."""

import gc
import html
import itertools
import re
import resource
import sys
import threading
from dataclasses import replace
from pathlib import Path

import ipywidgets
import numpy as np
import pandas as pd
import pytest
from bokeh.model import Model
from labs_by_hand import accuracies, interval, said, text

import cplab
from cplab import CplabError, Run, lab, results, show, statistics
from cplab.lab import live as live_widget
from cplab.lab.surface import Throttle
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


@pytest.mark.parametrize(
    "alone", ["the truth", pd.DataFrame({"harm": [2.8]})], ids=["text", "table"]
)
def test_what_is_made_may_be_one_part_alone(alone):
    one = answered(question(lambda: alone))
    one.reveal.click()
    _, truth = one.figure.children
    assert ("the truth" if isinstance(alone, str) else "2.8") in truth.value


BAD = '<img src=x onerror="alert(1)">'  # a label that somebody else wrote


def asked(kind):
    """A question of each kind, and the values that answer it, one a control."""
    runs = {"blur": BLUR, BAD: Run("flip", 0, 4, profile="ci")}
    if kind == "choice":
        return lab.choice(BAD, ["this", BAD], lambda: []), [BAD]
    if kind == "prediction":
        return lab.Prediction(runs, runs, source=BAD), [40, 60]
    return lab.Ranking(runs), [BAD, "blur"]


KINDS = ("choice", "prediction", "ranking")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("click", ["first", "between", "last", "twice"])
def test_every_click_on_reveal_counts(grid, kind, click):
    """Whatever is clicked and answered in whatever order: nothing has to be clicked again."""
    one, values = asked(kind)
    last = len(values) - 1
    for i, (control, value) in enumerate(zip(one.controls.values(), values, strict=True)):
        if click == "twice" or (click == "first" and i == 0) or (click == "between" and i == last):
            one.reveal.click()
            assert not one.revealed
            assert not one.reveal.disabled
            assert "It opens by itself then." in text(one.cover)
        control.value = value
    if click == "last":
        one.reveal.click()
    assert one.revealed
    assert one.cover not in one.figure.children


def test_what_is_no_answer_any_more_is_said_and_covered_again(grid):
    one = ranking("blur", "upside down", "newborn")
    one.reveal.click()
    one.controls["best"].value = "newborn"
    assert one.revealed  # until it is asked again
    one.reveal.click()
    assert not one.revealed
    assert [text(part) for part in one.figure.children] == [
        "One place each: newborn. It opens by itself then."
    ]
    one.controls["best"].value = "blur"
    assert one.revealed


def pages(widget):
    """All HTML in a widget and in what is in it."""
    found = [widget.value] if isinstance(widget, ipywidgets.HTML) else []
    return found + [page for part in getattr(widget, "children", ()) for page in pages(part)]


@pytest.mark.parametrize("kind", KINDS)
def test_words_that_somebody_else_wrote_are_no_html(grid, kind):
    one, values = asked(kind)
    shown = pages(one)
    for control, value in zip(one.controls.values(), values, strict=True):
        control.value = value
    one.reveal.click()
    shown += pages(one)
    assert not [page for page in shown if "<img" in page]
    assert kind == "ranking" or [page for page in shown if html.escape(BAD) in page]


def test_the_words_of_slides_jobs_and_fits_are_no_html(grid, monkeypatch):
    slide = lab.Slide(plain_figure("", "", ""), [1], lambda n: {}, lambda n: BAD)
    fitting = lab.Fitting(
        lambda t, **more: t * more[BAD], [1, 2], [1, 2.1], {BAD: 1}, {BAD: (0, 2)}
    )
    fitting.fit.click()

    @cplab.deficit(label=BAD)
    def hostile(x, y):
        return -x, y

    live = lab.Live({"it": Run(hostile, 0, 1, profile="ci")}, lambda run: {}, ("train_loss",))
    for one in (slide, fitting, live):
        assert not [page for page in pages(one) if "<img" in page]
    assert "&lt;img" in pages(live)[0]


def test_what_was_found_waits_for_the_question_before_it_and_then_opens_by_itself():
    question = lab.choice("Which?", ["this", "that"], lambda: ["It is that."])
    found = lab.finding(lambda: "That, by 3 points.")
    found.reveal.click()
    assert not found.revealed
    assert "3 points" not in " ".join(pages(found))
    assert "above" in " ".join(pages(found))
    question.reveal.click()
    assert not found.revealed
    question.controls["answer"].value = "this"
    assert question.revealed
    assert found.revealed
    assert "3 points" in " ".join(pages(found))


def test_what_was_found_is_not_shown_unasked():
    question = lab.choice("Which?", ["this", "that"], lambda: ["It is that."])
    found = lab.finding(lambda: "That, by 3 points.")
    question.controls["answer"].value = "this"
    question.reveal.click()
    assert not found.revealed
    found.reveal.click()
    assert found.revealed


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
    truth = {name: np.array(accuracies(run)) for name, run in guess.runs.items()}
    right, sure, _ = statistics.rank_agreement(guess.order, lambda a, b: truth[a] - truth[b])
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


def test_what_training_costs_is_from_this_machine_or_said_to_be_from_another(grid):
    words = live_widget.describe_cost([BLUR])
    assert re.fullmatch(r"about \d+ s on this machine", words)  # the grid was trained here
    far = replace(BLUR, model="fc")
    assert results.estimate([far]) is not None
    assert "on another machine" in live_widget.describe_cost([far])


def test_the_time_that_is_left_is_by_the_clock_and_without_the_start(monkeypatch):
    """Ten seconds pass until the first epoch of 2 s, of which the record says that it took 1 s."""
    now = iter([0, 12, 14, 16])
    monkeypatch.setattr(live_widget.time, "monotonic", lambda: next(now))
    job, run = live_widget.Job("Go", lambda halt: ""), Run(recovery=4, profile="ci")
    clock, said = live_widget.Clock(job, 10), []
    for epoch in range(3):
        clock(run, {"epoch": epoch, "seconds": 1})
        said.append(job.message.value)
    assert said == [
        "epoch 1 of 4: about 108 s left",
        "epoch 2 of 4: about 16 s left",
        "epoch 3 of 4: about 14 s left",
    ]
    assert (clock.seconds, job.progress.value) == (16, 3)


def test_a_job_rests_its_controls_and_says_how_it_ended():
    seen, bar = [], lab.Switch([1], lambda n: plain_figure("", "", "")).choice
    ends = iter(["done", CplabError("no <luck>"), "again"])

    def work(stop):
        seen.append((job.start.disabled, job.stop.disabled, bar.disabled))
        end = next(ends)
        if isinstance(end, Exception):
            raise end
        return end

    job = live_widget.Job("Go", work, [bar])
    for words in ("done", "no &lt;luck&gt;", "again"):
        job.start.click()
        assert job.wait(10)
        assert words in job.message.value
        assert (job.start.disabled, job.stop.disabled, bar.disabled) == (False, True, False)
    assert seen == [(True, False, True)] * 3


def test_a_job_does_not_begin_twice_and_is_stopped():
    from cplab.errors import Cancelled

    began = []

    def work(stop):
        began.append(1)
        assert stop.wait(10)
        raise Cancelled

    job = live_widget.Job("Go", work, stopped="it was stopped")
    job.start.click()
    job.start.click()
    assert not job.wait(0)
    job.stop.click()
    assert job.wait(10)
    assert (began, job.message.value) == ([1], "it was stopped")


def test_on_colab_the_page_asks_for_as_long_as_something_is_under_way(monkeypatch):
    """Python hears it between two answers: Stop gets its turn."""
    monkeypatch.setitem(sys.modules, "google.colab", object())
    began = threading.Event()

    def work(stop):
        began.set()
        assert stop.wait(10)
        return "it was stopped"

    job, answers = live_widget.Job("Go", work), []
    *_, pulse = job.children
    pulse.send = lambda message, buffers=None: answers.append(job.message.value)
    job.start.click()
    assert began.wait(10)
    assert pulse.going
    ask = lambda: pulse._handle_custom_msg({}, [])  # noqa: E731
    ask()
    job.stop.click()
    for _ in range(40):
        if not pulse.going:
            break
        ask()
    assert (answers[0], answers[-1]) == ("", "it was stopped")
    job.start.click()
    assert pulse.going  # again
    job.stop.click()
    assert job.wait(10)


def test_a_throttle_draws_seldom_and_the_last_time():
    drawn = []
    draw = Throttle(lambda: drawn.append(1), seconds=3600)
    for _ in range(5):
        draw()
    draw(last=True)
    assert len(drawn) == 2


# Long sessions ------------------------------------------------------------------------------------


def alive():
    """How many widgets and Bokeh models there are, and threads."""
    gc.collect()
    made = sum(issubclass(type(one), ipywidgets.Widget | Model) for one in gc.get_objects())
    return made, threading.active_count()


def memory():
    """MiB that this process holds, where the system says it, else 0."""
    page = Path("/proc/self/statm")
    pages = int(page.read_text().split()[1]) if page.exists() else 0
    return pages * resource.getpagesize() / 2**20


def figure_of(option):
    return plain_figure(str(option), "", "")


def switched():
    return lab.Switch([0, 1], figure_of), lambda one, i: setattr(one.choice, "index", i % 2)


def slid():
    slide = lab.Slide(figure_of(0), [0, 1], lambda option: {})
    return slide, lambda one, i: setattr(one.slider, "value", i % 2)


def revealed():
    return answered(question(lambda: [figure_of(0), "words"])), lambda one, i: one.reveal.click()


def fitted():
    fitting = lab.Fitting(line, [0, 1, 2], [1, 3, 5.1], {"slope": 1, "height": 0},
                          {"slope": (-5, 5), "height": (-5, 5)})  # fmt: skip
    return fitting, lambda one, i: setattr(one.sliders["slope"], "value", i % 5)


def chosen():
    runs = {kind: Run(kind, 0, 1, profile="ci") for kind in ("blur", "flip")}
    return lab.Live(runs, lambda run: {}), lambda one, i: setattr(one.choice, "index", i % 2)


@pytest.mark.parametrize("make", [switched, slid, fitted, chosen, revealed])
def test_what_is_drawn_again_and_again_leaves_nothing_behind(make):
    one, use = make()
    for i in range(2):
        use(one, i)
    before = alive()
    for i in range(8):
        use(one, i)
    more = [now - then for now, then in zip(alive(), before, strict=True)]
    assert max(more) <= 0  # a thread of an earlier test may end meanwhile


def test_a_long_session_keeps_its_memory_and_threads(grid):
    """300 moves of an explorer and 10 times Train and Stop, after as much as fills the caches."""
    explorer = cplab.Explorer(profile="ci")
    places = itertools.product(range(9), range(9), ("blur", "flip"))

    def move(times):
        for onset, length, deficit in itertools.islice(itertools.cycle(places), times):
            explorer.onset.value, explorer.length.value = onset, length
            explorer.deficit.value = deficit

    def train(times):
        for _ in range(times):
            explorer.train.click()
            explorer.stop.click()
            assert explorer.job.wait(60)

    move(30), train(3)
    before, held = alive(), memory()
    move(100), train(10)  # three controls a time
    assert alive() == before
    assert memory() < held + 30
