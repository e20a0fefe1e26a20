"""The explorer and its parts, driven from Python, on results that were trained here."""

import html
import itertools
import math
import re
import sys
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from bokeh.core.validation import check_integrity
from bokeh.events import DoubleTap, PressUp, Tap
from labs_by_hand import accuracies, interval, said, text

import cplab
from cplab import CplabError, Run, results, show
from cplab.checks import Diverged
from cplab.engine import checkpoints, tasks, train
from cplab.engine.lives import plan
from cplab.lab import Plots, Points, explorer, verdict
from cplab.show.theme import style

pytestmark = pytest.mark.usefixtures("nothing_shipped", "one_thread", "errors_raise")

PLACES = [(0, 2), (0, 4), (2, 2), (2, 4)]  # where blur was trained in the small grid
LIKE = Run(profile="ci")


def blur(onset, length):
    return Run("blur", onset, length, profile="ci")


@pytest.fixture
def lab(grid):
    """An explorer of the small grid."""
    return cplab.Explorer(profile="ci", length=2)


def choose(lab, onset, length, deficit="blur"):
    lab.deficit.value, lab.onset.value, lab.length.value = deficit, onset, length
    return Run(deficit, onset, length, profile="ci")


def click_and_wait(lab):
    lab.train.click()
    assert lab.job.wait(60)


def shown(plots, name):
    """The columns of a source as lists."""
    return {column: list(values) for column, values in plots.sources[name].data.items()}


def assert_whole(plots):
    """Bokeh finds nothing wrong with what is shown."""
    for layout in (plots.time_line, plots.panels):
        found = check_integrity(layout.references())
        assert (found.error, found.warning) == ([], [])


# What is known ------------------------------------------------------------------------------------


def test_points_know_what_was_trained(grid):
    points = Points(LIKE)
    for place in PLACES:
        run = blur(*place)
        assert run in points
        ours, equal = accuracies(run), accuracies(run.equal_training())
        mean = points.mean(run)
        assert (mean.accuracy, mean.loss) == pytest.approx((ours.mean(), (equal - ours).mean()))
        assert points.accuracy(run) == f"{said(*interval(ours))} % (2 seeds)"
        assert [one.spec.seed for one in points.results(run)] == [0, 1]
    assert blur(1, 3) not in points
    assert points.at("blur", 3, 0) == Run(onset=3, profile="ci")


def test_a_training_counts_whether_something_was_measured_on_it_or_not(grid):
    run = blur(6, 2)
    cplab.run(run, measure="weight_norms")
    cplab.run(replace(run, seed=1))
    assert Points(LIKE).mean(run).seeds == 2


def test_the_last_point_of_all_is_where_sliders_end(grid):
    assert Points(LIKE).last() == 8
    far = results.find(blur(0, 4))
    run = blur(20, 4)
    rows = [{**far.curve[-1], "epoch": epoch} for epoch in range(run.epochs)]
    cplab.results.keep(replace(far, spec=run, values={**far.values, "curve": rows}))
    assert Points(LIKE).last() == 20
    lab = cplab.Explorer(profile="ci", onset=23, length=9)
    assert (lab.onset.max, lab.length_box.max, lab.run) == (23, 23, blur(23, 9))


def test_neighbours_are_the_nearest_trained_point_of_each_quarter(grid):
    points = Points(LIKE)
    for onset, length in itertools.product(range(9), range(1, 9)):
        expected = []
        for left, below in itertools.product((True, False), repeat=2):
            quarter = [
                (abs(o - onset) + abs(n - length), o, n)
                for o, n in PLACES
                if (o <= onset if left else o >= onset) and (n <= length if below else n >= length)
            ]
            expected += [min(quarter)[1:]] if quarter else []
        got = points.neighbours(blur(onset, length))
        assert sorted((near.onset, near.length) for near in got) == sorted({*expected})
    assert points.neighbours(Run("noise", 1, 3, profile="ci")) == []


# What is drawn ------------------------------------------------------------------------------------


@pytest.fixture
def draw(grid):
    """A function that draws a point and returns the figures."""
    points, plots = Points(LIKE), Plots()

    def at(onset, length, deficit="blur", beside=None):
        run = points.at(deficit, onset, length)
        plots.show(points, run, deficit, beside or (run if run in points else None))
        assert_whole(plots)
        return plots

    return at


@pytest.mark.parametrize("place", PLACES)
def test_the_curves_of_a_point_are_those_of_its_results(draw, place):
    plots, run = draw(*place), blur(*place)
    wanted = {"this": run, "equal": run.equal_training(), "newborn": run.newborn()}
    for name, one in wanted.items():
        curves = [results.find(replace(one, seed=seed)).series("test_accuracy") for seed in (0, 1)]
        pairs = [interval(pair) for pair in zip(*curves, strict=True)]
        later = run.end if name == "newborn" else 0  # it begins where the others recover
        got = shown(plots, name)
        assert got["epoch"] == [later + 1 + e for e in range(one.epochs)]
        assert got["mean"] == pytest.approx([mean for mean, _ in pairs])
        assert got["high"] == pytest.approx([mean + half for mean, half in pairs])
    assert (plots.shade.left, plots.shade.right) == (run.onset + 0.5, run.end + 0.5)
    assert plots.words.label.value == "this net"


def test_the_small_figures_go_through_the_point(draw):
    plots, run = draw(2, 4), blur(2, 4)
    mean = accuracies(run).mean()
    loss = 100 * (accuracies(run.equal_training()) - accuracies(run)).mean()
    got = shown(plots, "by_length")
    assert got["length"] == [0, 2, 4]
    assert got["mean"][::2] == pytest.approx([accuracies(Run(onset=2, profile="ci")).mean(), mean])
    assert shown(plots, "clear")["length"] == [0, 2, 4]
    assert shown(plots, "by_onset")["mean"][1] == pytest.approx(loss)
    assert shown(plots, "chosen") == {"length": [4], "mean": [pytest.approx(mean)]} | {
        name: [] for name in ()
    }
    assert shown(plots, "chosen_onset")["mean"] == [pytest.approx(loss)]
    assert plots.born.location == pytest.approx(accuracies(LIKE).mean())
    titles = [fig.title.text for fig in (plots.removal, plots.sensitivity)]
    assert titles == ["final accuracy · onset 2", "sensitivity · length 4"]


def test_the_map_shows_what_each_point_lost_and_marks_the_chosen_one(draw):
    plots = draw(2, 4)
    assert (plots.map.x_range.factors, plots.map.y_range.factors) == (["0", "2"], ["2", "4"])
    cells = pd.DataFrame(shown(plots, "cells"))
    assert sorted(zip(cells.onset, cells.length, strict=True)) == [
        (str(onset), str(length)) for onset, length in PLACES
    ]
    for cell in cells.itertuples():
        run = blur(int(cell.onset), int(cell.length))
        loss = 100 * (accuracies(run.equal_training()) - accuracies(run)).mean()
        assert cell.loss == pytest.approx(loss)
        assert cell.text == f"{loss:.1f}"
    assert shown(plots, "mark") == {"onset": ["2"], "length": ["4"]}
    assert shown(draw(1, 4), "mark") == {"onset": [], "length": []}


def test_the_time_line_shows_the_phases_in_proportion(draw):
    plots = draw(2, 4)
    phases = pd.DataFrame(shown(plots, "phases"))
    assert phases.text.to_list() == ["clear", "blur", "recovery"]
    assert phases.left.to_list() == [0, 2, 6]
    assert phases.right.to_list() == [2, 6, 9]
    assert phases.colour[1] == show.colour("blur")
    assert plots.time_line.x_range.end == 9
    assert shown(draw(0, 4), "phases")["text"] == ["blur", "recovery"]


@pytest.mark.parametrize("deficit", ["blur", "flip", "permute", "noise"])
def test_a_deficit_brings_its_look(draw, deficit):
    plots = draw(0, 4, deficit)
    look = style(deficit)
    assert plots.shade.fill_color == look.colour
    lines = [r.glyph for r in plots.curve.renderers if r.data_source is plots.sources["this"]]
    assert {line.line_color for line in lines if hasattr(line, "line_dash")} <= {look.colour}


def test_a_neighbour_stands_for_a_point_that_nobody_trained(draw):
    plots = draw(1, 3, beside=blur(0, 2))
    assert plots.words.label.value == "its nearest neighbour"
    assert len(shown(plots, "this")["epoch"]) == blur(0, 2).epochs
    assert plots.removal.title.text.endswith(", the nearest")
    assert not shown(plots, "chosen")["mean"]


def test_nothing_is_live_until_something_is(draw):
    plots = draw(0, 2)
    live = next(i for i in plots.curve.legend.items if plots.growing in i.renderers)
    assert not live.visible
    plots.live([1, 2], [0.1, 0.2])
    assert live.visible
    assert shown(plots, "live")["mean"] == [0.1, 0.2]


# Choosing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["onset", "length"])
def test_slider_and_number_box_are_one(lab, name):
    bar, box = getattr(lab, name), getattr(lab, f"{name}_box")
    bar.value = 3
    assert box.value == 3
    box.value = 4
    assert getattr(lab.run, name) == bar.value == 4


@pytest.mark.parametrize(
    ("deficit", "place"), [*(("blur", place) for place in PLACES), ("flip", (0, 4))]
)
def test_the_read_out_of_a_point_is_what_its_results_say(lab, deficit, place):
    run = choose(lab, *place, deficit)
    ours, without, equal = map(accuracies, (run, run.without_window(), run.equal_training()))
    loss, harm = interval(equal - ours), interval(without - ours)
    words = text(lab.readout)
    assert words.startswith(
        f"{ {'blur': 'Blur', 'flip': 'Vertical flip'}[deficit] } from epoch {run.onset} to "
        f"{run.end} ends at {said(*interval(ours))} % (2 seeds): "
        f"{said(abs(loss[0]), loss[1])} points {'below' if loss[0] >= 0 else 'above'} equal"
    )
    assert f"{said(*harm)} harm" in words
    assert words.endswith(verdict(lab.points.mean(run)))
    assert lab.train.description == "Train it again"


def test_no_deficit_at_length_zero(lab):
    run = choose(lab, 2, 0)
    assert lab.run == replace(run, deficit="none")
    assert text(lab.readout) == (
        f"No deficit, 5 clear epochs ends at {said(*interval(accuracies(lab.run)))} % (2 seeds). "
        "Now let a deficit last for some epochs."
    )


def test_a_point_between_trained_ones_says_so_and_names_its_neighbours(lab):
    choose(lab, 1, 3)
    words = text(lab.readout)
    assert words.startswith("Not trained: Blur from epoch 1 to 4. Its trained neighbours: ")
    for onset, length in PLACES:
        there = f"{said(*interval(accuracies(blur(onset, length))))} % (2 seeds)"
        assert f"onset {onset}, length {length}: {there}" in words
    assert (lab.train.description, lab.train.disabled) == ("Train this point", False)
    assert lab.plots.words.label.value == "its nearest neighbour"


def test_a_deficit_that_nobody_trained_says_so(lab):
    choose(lab, 1, 3, "noise")
    assert text(lab.readout) == "Nobody has trained Noise from epoch 1 to 4 yet. Train it."
    assert_whole(lab.plots)


def test_a_deficit_is_shown_as_the_network_sees_it(lab):
    for deficit in ("blur", "permute"):
        choose(lab, 0, 4, deficit)
        clear, seen = re.findall('base64,([^"]+)"', lab.picture.value)
        assert (clear == seen) == (deficit == "permute")  # which leaves the images as they are


def test_a_missing_control_is_said_and_trained_too(lab):
    for seed in range(2):
        results.store.live_path(Run(onset=6, profile="ci", seed=seed).key).unlink()
    lab = cplab.Explorer(profile="ci", onset=2, length=4)
    cells = pd.DataFrame(shown(lab.plots, "cells")).set_index(["onset", "length"])
    assert cells.text["2", "4"] == "?"
    assert "Its controls are not trained yet." in text(lab.readout)
    assert "with its missing controls" in lab.estimate.value


def test_a_click_on_the_map_chooses_the_cell(lab):
    chart = lab.plots.map
    for gesture, (i, j) in itertools.product((Tap, DoubleTap, PressUp), ((0, 1), (1, 0))):
        choose(lab, 1, 1)
        chart._trigger_event(gesture(chart, x=i + 0.9, y=j + 0.1))  # cell i is from i to i + 1
        assert (lab.onset.value, lab.length.value) == ([0, 2][i], [2, 4][j])
    choose(lab, 1, 1)
    for x, y in ((-0.1, 0.5), (0.5, 2.1), (7, 7)):  # beside it
        chart._trigger_event(Tap(chart, x=x, y=y))
        assert (lab.onset.value, lab.length.value) == (1, 1)


def test_the_line_of_code_is_the_chosen_run(lab, monkeypatch):
    monkeypatch.setattr(cplab, "run", lambda **fields: Run(**fields))
    other = cplab.Explorer(profile="ci", schedule="fixed", dataset="mnist", seed=3, onset=1)
    for one, place in [*((lab, place) for place in PLACES), (other, (1, 3)), (other, (3, 0))]:
        choose(one, *place)
        code = re.fullmatch("<code>(.*?)</code>.*", one.code.value)[1]
        assert eval(html.unescape(code)) == one.run
    assert other.run == Run(onset=3, profile="ci", schedule="fixed", dataset="mnist", seed=3)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"profile": "big"}, "profile"),
        ({"deficits": ("blurr",)}, "deficit"),
        ({"onset": -1}, "onset"),
        ({"length": 1.5}, "length"),
    ],
)
def test_what_cannot_be_explored_is_said_in_one_line(how, message):
    with pytest.raises(CplabError, match=message):
        cplab.Explorer(**how)


def test_a_deficits_other_spelling_finds_its_results(grid):
    lab = cplab.Explorer(profile="ci", deficits=("blur-4", "blur-2"), length=2)
    assert "Blur from epoch 0 to 2 ends at" in lab.readout.value
    lab.deficit.value = "blur-2"
    assert "Nobody has trained Blur (2×) from epoch 0 to 2 yet" in lab.readout.value


def test_a_students_own_deficit_is_explored_and_trained(grid):
    @cplab.deficit(label="left half covered")
    def cover_left(x, y, columns: int = 4):
        x = x.clone()
        x[..., :columns] = 0
        return x, y

    lab = cplab.Explorer(profile="ci", deficits=("blur", cover_left), length=2)
    assert [words for words, _ in lab.deficit.options] == ["blur", "left half covered"]
    lab.deficit.value = lab.deficit.options[1][1]
    click_and_wait(lab)
    assert text(lab.readout).startswith("Left half covered from epoch 0 to 2 ends at")
    assert results.find(Run(cover_left, 0, 2, profile="ci"))


def test_results_of_the_papers_size_are_a_click_away(lab, monkeypatch):
    """The ci profile in the paper's place, seen from one that has nothing."""
    assert lab.size.layout.display == "none"
    monkeypatch.setattr(explorer, "PAPER", "ci")
    how = {"schedule": "recovery", "dataset": "practice", "model": "allcnn-4"}
    lab = cplab.Explorer(profile="fit", length=4, **how)
    assert (lab.size.options, lab.size.layout.display) == (("fit", "ci"), "")
    lab.size.value = "ci"  # one of its epochs stands for 10 of the paper's, one of fit's for 3
    assert lab.run == blur(0, round(4 * 3 / 10))
    lab.length.value = 4
    assert "Blur from epoch 0 to 4 ends at" in text(lab.readout)
    lab.size.value = "fit"
    assert (lab.run.profile, lab.run.length, lab.length.max) == ("fit", round(4 * 10 / 3), 13)


# Verdicts -----------------------------------------------------------------------------------------

HARM = "Worse than without these epochs: the deficit did harm that does not heal."
NOTHING = "No lasting loss is seen."
SOME = "Something was learned, less than from clear images."
TIME = "Time was lost; harm beyond that is not seen."
ONE = "One seed: no interval, no verdict."
MISSING = "One control is missing: no verdict."
NAN = math.nan


@pytest.mark.parametrize(
    ("harm", "loss", "words"),
    [  # mean and half the interval
        ((0.05, 0.01), (0.09, 0.01), HARM),
        ((0.05, 0.049), (0.09, 0.01), HARM),
        ((0.05, 0.051), (0.09, 0.01), TIME),  # the interval reaches zero
        ((-0.05, 0.049), (0.04, 0.01), SOME),
        ((-0.05, 0.01), (0.04, 0.041), NOTHING),
        ((-0.05, 0.01), (-0.04, 0.01), NOTHING),
        ((0.05, NAN), (0.09, NAN), ONE),
        ((0.05, 0.01), (0.09, NAN), ONE),
        ((NAN, NAN), (0.09, 0.01), MISSING),
        ((0.05, 0.01), (NAN, NAN), MISSING),
    ],
)
def test_verdict(harm, loss, words):
    names = ("harm", "harm_half", "loss", "loss_half")
    assert verdict(pd.Series(dict(zip(names, (*harm, *loss), strict=True)))) == words


# Training -----------------------------------------------------------------------------------------


def test_train_trains_the_point_and_the_read_out_then_knows_it(lab):
    run = choose(lab, 1, 3)
    states, sizes = [], []
    lab.job.progress.observe(
        lambda change: states.append((lab.train.disabled, lab.stop.disabled)), "value"
    )
    lab.plots.sources["live"].on_change("data", lambda _, __, new: sizes.append(len(new["epoch"])))
    click_and_wait(lab)
    assert states[0] == (True, False)
    assert (lab.train.disabled, lab.stop.disabled) == (False, True)
    found = results.find(run)
    assert sizes[-1] == run.epochs
    assert shown(lab.plots, "live")["mean"] == list(found.series("test_accuracy"))
    assert lab.job.progress.value == lab.job.progress.max
    assert text(lab.estimate) == f"live, seed 0: {100 * found.accuracy:.1f} %"
    assert text(lab.readout).startswith(
        f"Blur from epoch 1 to 4 ends at {100 * found.accuracy:.1f} % (1 seed): "
    )
    assert text(lab.readout).endswith(ONE)
    assert lab.train.description == "Train it again"
    assert lab.plots.map.x_range.factors == ["0", "1", "2"]
    assert_whole(lab.plots)


def test_train_trains_the_missing_controls_of_its_own_seed_as_well(grid):
    lab = cplab.Explorer(profile="ci", onset=1, length=4, seed=5)
    run = replace(blur(1, 4), seed=5)
    controls = [run.newborn(), run.without_window(), run.equal_training()]
    click_and_wait(lab)
    assert all(results.find(one) for one in (run, *controls))
    # epochs that they share are trained once
    assert lab.job.progress.max == sum(root.epochs for root in plan([run, *controls]))
    assert shown(lab.plots, "live")["mean"] == list(results.find(run).series("test_accuracy"))


def test_train_it_again_trains_again(lab):
    run = choose(lab, 0, 2)
    before = results.find(run)
    click_and_wait(lab)
    after = results.find(run)
    assert list(after.series("train_loss")) == list(before.series("train_loss"))
    assert list(after.series("seconds")) != list(before.series("seconds"))


def test_train_begins_on_an_empty_map(own_cache):
    lab = cplab.Explorer(profile="ci", length=1)
    assert text(lab.status) == "no results yet"
    assert_whole(lab.plots)
    click_and_wait(lab)
    assert text(lab.status).startswith("live · ")
    assert (lab.plots.map.x_range.factors, lab.plots.map.y_range.factors) == (["0"], ["1"])
    assert_whole(lab.plots)


def test_stop_ends_training_and_train_goes_on_from_there(lab, monkeypatch):
    trained, epoch = [], train.train_epoch
    monkeypatch.setattr(checkpoints, "SECONDS", 0)
    monkeypatch.setattr(
        train, "train_epoch", lambda run, e, *rest: (epoch(run, e, *rest), trained.append(e))[0]
    )
    run = choose(lab, 4, 2)
    lab.job.progress.observe(lambda change: change.new == 4 and lab.stop.click(), "value")
    click_and_wait(lab)
    begun = len(trained)
    assert text(lab.estimate) == "stopped: Train goes on from the last checkpoint"
    assert results.find(run) is None
    lab.job.progress.unobserve_all()
    click_and_wait(lab)
    assert text(lab.estimate).startswith("live, seed 0")
    assert 0 not in trained[begun:]
    assert list(results.find(run).series("test_accuracy")) == shown(lab.plots, "live")["mean"]


def test_another_point_can_be_looked_at_while_one_trains(lab, monkeypatch):
    """The training goes on; its curve is in its own place alone."""
    going, may_go_on = threading.Event(), threading.Event()
    evaluate = tasks.evaluate

    def wait_in_the_third(*arguments):
        if lab.job.progress.value == 2 and not going.is_set():
            going.set()
            assert may_go_on.wait(60)
        return evaluate(*arguments)

    monkeypatch.setattr(tasks, "evaluate", wait_in_the_third)
    choose(lab, 1, 3)
    lab.train.click()
    assert going.wait(60)
    elsewhere = choose(lab, 0, 2)
    assert shown(lab.plots, "live")["epoch"] == []
    may_go_on.set()
    assert lab.job.wait(60)
    assert shown(lab.plots, "live")["epoch"] == []
    assert lab.run == elsewhere
    assert "Blur from epoch 0 to 2 ends at" in lab.readout.value
    cells = shown(lab.plots, "cells")
    assert ("1", "3") in set(zip(cells["onset"], cells["length"], strict=True))


def test_a_training_error_is_shown_and_training_can_be_asked_for_again(lab, monkeypatch):
    def diverge(*arguments):
        raise Diverged("the loss is nan at epoch 0 <really>")

    choose(lab, 1, 3)
    with monkeypatch.context() as patch:
        patch.setattr(train, "train_epoch", diverge)
        click_and_wait(lab)
    assert "the loss is nan at epoch 0 &lt;really&gt;" in lab.estimate.value
    assert (lab.train.disabled, lab.stop.disabled) == (False, True)
    click_and_wait(lab)
    assert text(lab.estimate).startswith("live, seed 0")


def broken(*arguments):
    raise ZeroDivisionError("broken")


def test_an_error_that_nobody_foresaw_is_not_hidden(lab, monkeypatch):
    choose(lab, 1, 3)
    monkeypatch.setitem(sys.modules, "google.colab", object())  # where the click itself trains
    monkeypatch.setattr(train, "train_epoch", broken)
    with pytest.raises(ZeroDivisionError):
        lab.train.click()
    assert text(lab.estimate) == "stopped by an error"
    assert (lab.train.disabled, lab.stop.disabled) == (False, True)


def test_a_broken_callback_turns_this_suite_red(lab, monkeypatch):
    monkeypatch.setattr(explorer, "life_in_words", broken)
    for change in (
        lambda: setattr(lab.length, "value", 4),
        lambda: setattr(lab.onset_box, "value", 1),
        lambda: lab.plots.map._trigger_event(Tap(lab.plots.map, x=1.5, y=0.5)),
    ):
        with pytest.raises(ZeroDivisionError, match="broken"):
            change()


def test_seeds_of_a_curve_may_differ_in_number(grid):
    """A third seed of one point alone changes that point alone."""
    run = replace(blur(0, 2), seed=2)
    before = Points(LIKE).mean(blur(0, 4))
    cplab.run(run)
    points = Points(LIKE)
    assert points.mean(run).seeds == 3
    assert points.mean(blur(0, 4)).equals(before)
    assert np.isfinite(points.mean(run).accuracy_half)
