"""The widgets, driven from Python as a hand would drive them, on records that were trained here."""

import html
import itertools
import math
import re
import shutil
import sys
import threading
from dataclasses import replace

import ipywidgets
import numpy as np
import pandas as pd
import pytest
from bokeh.core.validation import check_integrity
from bokeh.events import DoubleTap, PressUp, Tap

import cplab
from cplab import Run, explore, figures, records, train, tree, widgets
from cplab.experiment import CplabError

pytestmark = pytest.mark.usefixtures("nothing_shipped", "one_thread", "errors_raise")

PLACES = [(0, 2), (0, 4), (2, 2), (2, 4)]  # where blur was trained in the small grid


@pytest.fixture
def errors_raise(monkeypatch):
    """What a button's callback raises reaches the test. ipywidgets only logs it."""

    def call(dispatcher, *arguments, **more):
        for callback in dispatcher.callbacks:
            callback(*arguments, **more)

    monkeypatch.setattr(ipywidgets.CallbackDispatcher, "__call__", call)


@pytest.fixture
def grid(small_grid, own_cache):
    """The small grid's records in this test's cache."""
    shutil.copytree(small_grid / "records", own_cache / "records")


@pytest.fixture
def lab(grid):
    """An explorer of the small grid."""
    return cplab.Explorer(profile="ci", length=2)


def choose(lab, onset, length, deficit="blur"):
    lab.deficit.value, lab.onset.value, lab.length.value = deficit, onset, length
    return Run(deficit, onset, length, profile="ci")


def text(widget):
    """What an HTML widget says."""
    return html.unescape(re.sub(r"<[^>]*>", "", widget.value))


def click_and_wait(lab):
    lab.train.click()
    lab._worker.join(60)
    assert not lab._worker.is_alive()


def accuracies(run):
    """Of both seeds, from their records."""
    return np.array([records.find(replace(run, seed=seed)).accuracy for seed in range(2)])


def interval(pair):
    """Mean of two seeds and half its 95 % interval: Student's t of one degree is a tangent."""
    return np.mean(pair), math.tan(0.475 * math.pi) * abs(pair[0] - pair[1]) / 2


def said(mean, half):
    digits = 0 if half >= 0.1 else 1
    return f"{100 * mean:.{digits}f} ± {100 * half:.{digits}f}"


def shown(lab, name):
    """The columns of a source as lists."""
    return {column: list(values) for column, values in lab._plots.sources[name].data.items()}


def assert_whole(lab):
    """Bokeh finds nothing wrong with what the explorer shows."""
    for layout in (lab._plots.time_line, lab._plots.panels):
        found = check_integrity(layout.references())
        assert (found.error, found.warning) == ([], [])


# Choosing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["onset", "length"])
def test_slider_and_number_box_are_one(lab, name):
    bar, box = getattr(lab, name), getattr(lab, f"{name}_box")
    bar.value = 3
    assert box.value == 3
    box.value = 4
    assert bar.value == 4
    assert getattr(lab.run, name) == 4


def test_sliders_reach_from_zero_to_the_last_trained_point_and_to_where_they_begin(grid, own_cache):
    def ends(**how):
        lab = cplab.Explorer(profile="ci", **how)
        return [
            (bar.min, bar.max) for bar in (lab.onset, lab.length, lab.onset_box, lab.length_box)
        ]

    assert ends() == [(0, 8)] * 4
    lab = cplab.Explorer(profile="ci", onset=11, length=9)
    assert (lab.onset.value, lab.length.value) == (11, 9)
    far = records.find(Run("blur", 0, 4, profile="ci"))
    run = Run("blur", 20, 4, profile="ci")
    curve = [far.curve[0]] * (run.epochs - 1) + [far.curve[-1]]
    records.keep(replace(far, run=run, curve=curve))
    assert ends() == [(0, 20)] * 4


@pytest.mark.parametrize(
    ("deficit", "place"), [*(("blur", place) for place in PLACES), ("flip", (0, 4))]
)
def test_the_read_out_of_a_trained_point_is_what_its_records_say(lab, deficit, place):
    run = choose(lab, *place, deficit)
    ours, born, equal = map(accuracies, (run, run.newborn(), run.equal_training()))
    name = {"blur": "Blur", "flip": "Vertical flip"}[deficit]
    words = [
        f"{name} from epoch {run.onset} to {run.end} ends at {said(*interval(ours))} % (2 seeds)"
    ]
    for control, values in (("a newborn", born), ("equal training", equal)):
        mean, half = interval(ours - values)
        words.append(f"{said(abs(mean), half)} {'below' if mean < 0 else 'above'} {control}")
    begin, rest = f"{words[0]}: {', '.join(words[1:])}. ", text(lab.readout)
    assert rest.startswith(begin)
    gain, loss = interval(ours - born), interval(equal - ours)
    point = pd.Series(
        {"gain": gain[0], "gain_half": gain[1], "loss": loss[0], "loss_half": loss[1]}
    )
    assert rest.removeprefix(begin) == explore.verdict(point)
    assert lab.train.description == "Train it again"


@pytest.mark.parametrize("place", PLACES)
def test_the_curves_of_a_trained_point_are_those_of_its_records(lab, place):
    run = choose(lab, *place)
    wanted = {"this": run, "equal": run.equal_training(), "newborn": run.newborn()}
    for name, one in wanted.items():
        curves = [
            [row["test_accuracy"] for row in records.find(replace(one, seed=seed)).curve]
            for seed in range(2)
        ]
        intervals = [interval(pair) for pair in zip(*curves, strict=True)]
        later = run.end if name == "newborn" else 0  # it begins where the others recover
        got = shown(lab, name)
        assert got["epoch"] == [later + 1 + e for e in range(one.epochs)]
        assert got["mean"] == pytest.approx([mean for mean, _ in intervals])
        assert got["low"] == pytest.approx([mean - half for mean, half in intervals])
        assert got["high"] == pytest.approx([mean + half for mean, half in intervals])
    assert (lab._plots._shade.left, lab._plots._shade.right) == (run.onset + 0.5, run.end + 0.5)
    assert lab._plots._legend.label.value == "this net"
    assert_whole(lab)


def test_the_small_figures_go_through_the_chosen_point(lab):
    run = choose(lab, 2, 4)
    mean = accuracies(run).mean()
    loss = 100 * (accuracies(run.equal_training()) - accuracies(run)).mean()
    got = shown(lab, "by_length")
    assert got["length"] == [0, 2, 4]
    assert got["mean"][2] == pytest.approx(mean)
    assert got["mean"][0] == pytest.approx(accuracies(Run(onset=2, profile="ci")).mean())
    assert shown(lab, "clear")["length"] == [0, 2, 4]
    got = shown(lab, "by_onset")
    assert got["onset"] == [0, 2]
    assert got["mean"][1] == pytest.approx(loss)
    assert shown(lab, "chosen") == {"length": [4], "mean": [pytest.approx(mean)]}
    assert shown(lab, "chosen_onset") == {"onset": [2], "mean": [pytest.approx(loss)]}
    assert lab._plots._born.location == pytest.approx(accuracies(Run(profile="ci")).mean())
    titles = [fig.title.text for fig in lab._plots._small]
    assert titles == ["final accuracy · onset 2", "sensitivity · length 4"]


def test_the_map_shows_what_each_point_lost_and_marks_the_chosen_one(lab):
    choose(lab, 2, 4)
    assert (lab._plots.map.x_range.factors, lab._plots.map.y_range.factors) == (
        ["0", "2"],
        ["2", "4"],
    )
    cells = pd.DataFrame(lab._plots.cells.data)
    assert sorted(zip(cells.onset, cells.length, strict=True)) == [
        (str(onset), str(length)) for onset, length in PLACES
    ]
    for cell in cells.itertuples():
        run = Run("blur", int(cell.onset), int(cell.length), profile="ci")
        loss = 100 * (accuracies(run.equal_training()) - accuracies(run)).mean()
        assert cell.loss == pytest.approx(loss)
        assert cell.text == f"{loss:.1f}"
    assert dict(lab._plots._mark.data) == {"onset": ["2"], "length": ["4"]}
    choose(lab, 1, 4)
    assert dict(lab._plots._mark.data) == {"onset": [], "length": []}


def test_a_cell_without_its_control_has_a_question_mark(lab):
    for seed in range(2):
        records.live_path(Run(onset=6, profile="ci", seed=seed).key).unlink()
    lab = cplab.Explorer(profile="ci", onset=2, length=4)
    cells = pd.DataFrame(lab._plots.cells.data).set_index(["onset", "length"])
    assert cells.text["2", "4"] == "?"
    assert "above equal" not in lab.readout.value
    assert "One control is missing: no verdict." in lab.readout.value
    assert "(2 seeds)" in lab.readout.value
    assert "with its missing controls" in lab.estimate.value


def test_the_time_line_shows_the_phases_in_proportion(lab):
    choose(lab, 2, 4)
    phases = pd.DataFrame(lab._plots._phases.data)
    assert phases.text.to_list() == ["clear", "blur", "recovery"]
    assert phases.left.to_list() == [0, 2, 6]
    assert phases.right.to_list() == [2, 6, 9]
    assert phases.colour[1] == figures.COLOURS["blur"]
    assert lab._plots.time_line.x_range.end == 9
    choose(lab, 0, 4)
    assert pd.DataFrame(lab._plots._phases.data).text.to_list() == ["blur", "recovery"]


@pytest.mark.parametrize("deficit", ["blur", "flip", "permute", "noise"])
def test_a_deficit_brings_its_colour_and_its_picture(lab, deficit):
    before = lab.picture.value
    choose(lab, 0, 4, deficit)
    assert lab._plots._shade.fill_color == figures.COLOURS[deficit]
    glyphs = [renderer.glyph for renderer in lab._plots._hued]
    assert {getattr(g, "line_color", figures.COLOURS[deficit]) for g in glyphs} == {
        figures.COLOURS[deficit]
    }
    assert lab.picture.value.count("<img") == 2
    # permuted labels leave the images as they are
    clear, seen = re.findall('base64,([^"]+)"', lab.picture.value)
    assert (clear == seen) == (deficit == "permute")
    assert (lab.picture.value == before) == (deficit == "blur")
    assert_whole(lab)


def test_no_deficit_at_length_zero(lab):
    run = choose(lab, 2, 0)
    assert lab.run == replace(run, deficit="none")
    mean, half = interval(accuracies(lab.run))
    assert text(lab.readout) == (
        f"No deficit, 5 clear epochs ends at {said(mean, half)} % (2 seeds). "
        "Now let a deficit last for some epochs."
    )
    assert shown(lab, "chosen")["length"] == [0]
    assert shown(lab, "chosen_onset")["onset"] == []
    assert_whole(lab)


def test_a_point_between_trained_ones_says_so_and_names_its_neighbours(lab):
    choose(lab, 1, 3)
    words = text(lab.readout)
    assert words.startswith("Not trained: Blur from epoch 1 to 4. Its trained neighbours: ")
    for onset, length in PLACES:
        run = Run("blur", onset, length, profile="ci")
        found = f"onset {onset}, length {length}: {said(*interval(accuracies(run)))} % (2 seeds)"
        assert found in words
    assert "Train this point to know." in words
    assert lab.train.description == "Train this point"
    assert not lab.train.disabled
    # what is drawn is a neighbour, and says so
    assert lab._plots._legend.label.value == "its nearest neighbour"
    assert len(shown(lab, "this")["epoch"]) == Run("blur", 0, 2, profile="ci").epochs
    assert (lab._plots._shade.left, lab._plots._shade.right) == (0.5, 2.5)
    assert all(fig.title.text.endswith(", the nearest") for fig in lab._plots._small)
    assert shown(lab, "chosen") == {"length": [], "mean": []}
    assert shown(lab, "chosen_onset") == {"onset": [], "mean": []}


def test_neighbours_are_the_nearest_trained_point_of_each_quarter(lab):
    for onset, length in itertools.product(range(9), range(1, 9)):
        run = Run("blur", onset, length, profile="ci")
        expected = []
        for left, below in itertools.product((True, False), repeat=2):
            quarter = [
                (abs(o - onset) + abs(n - length), o, n)
                for o, n in PLACES
                if (o <= onset if left else o >= onset) and (n <= length if below else n >= length)
            ]
            expected += [min(quarter)[1:]] if quarter else []
        got = [(near.onset, near.length) for near in lab._points.neighbours(run)]
        assert sorted(got) == sorted({*expected}), run
        assert all(near.deficit == "blur" for near in lab._points.neighbours(run))


def test_a_deficit_that_nobody_trained_says_so(lab):
    choose(lab, 1, 3, "noise")
    assert text(lab.readout) == "Nobody has trained Noise from epoch 1 to 4 yet. Train it."
    assert not shown(lab, "this")["epoch"]
    assert [fig.title.text for fig in lab._plots._small] == [
        "final accuracy · onset 1",
        "sensitivity · length 3",
    ]
    assert_whole(lab)


def test_a_click_on_the_map_chooses_the_cell(lab):
    for gesture, (i, j) in itertools.product((Tap, DoubleTap, PressUp), ((0, 1), (1, 0))):
        choose(lab, 1, 1)
        event = gesture(lab._plots.map, x=i + 0.9, y=j + 0.1)  # cell i is from i to i + 1
        lab._plots.map._trigger_event(event)
        assert (lab.onset.value, lab.length.value) == ([0, 2][i], [2, 4][j])


@pytest.mark.parametrize("place", [(-0.1, 0.5), (0.5, 2.1), (7, 7)])
def test_a_click_beside_the_map_chooses_nothing(lab, place):
    choose(lab, 1, 1)
    lab._plots.map._trigger_event(Tap(lab._plots.map, x=place[0], y=place[1]))
    assert (lab.onset.value, lab.length.value) == (1, 1)


@pytest.mark.parametrize("source", ["live", "cached"])
def test_the_status_says_where_the_numbers_come_from(grid, nothing_shipped, source):
    if source == "cached":
        records.ship(records.live(), "grid")
    lab = cplab.Explorer(profile="ci")
    assert text(lab.status) == f"{source} · PRACTICE images, ci · practice · seeds: 2"


def test_the_status_says_when_some_numbers_are_live(grid):
    records.ship([r for r in records.live() if r.run.deficit == "blur"], "grid")
    lab = cplab.Explorer(profile="ci")
    assert text(lab.status).startswith("cached and live · ")


def test_the_line_of_code_is_the_chosen_run(lab, monkeypatch):
    monkeypatch.setattr(cplab, "run", lambda **fields: Run(**fields))
    for place in [*PLACES, (1, 3), (3, 0)]:
        choose(lab, *place)
        code = re.fullmatch("<code>(.*?)</code>.*", lab.code.value)[1]
        assert eval(html.unescape(code)) == lab.run
    other = cplab.Explorer(profile="ci", schedule="fixed", dataset="mnist", seed=3, onset=1)
    code = re.fullmatch("<code>(.*?)</code>.*", other.code.value)[1]
    assert eval(html.unescape(code)) == other.run
    assert other.run == Run("blur", 1, 8, profile="ci", schedule="fixed", dataset="mnist", seed=3)


def test_the_line_of_code_gives_the_record_that_is_shown(lab):
    choose(lab, 2, 4)
    code = re.fullmatch("<code>(.*?)</code>.*", lab.code.value)[1]
    assert eval(html.unescape(code)) == records.find(lab.run)


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


def test_a_deficits_other_spelling_finds_its_records(grid):
    lab = cplab.Explorer(profile="ci", deficits=("blur-4", "blur-2"), length=2)
    assert "Blur from epoch 0 to 2 ends at" in lab.readout.value
    lab.deficit.value = "blur-2"
    assert "Nobody has trained Blur (2×) from epoch 0 to 2 yet" in lab.readout.value


# Verdicts ---------------------------------------------------------------------------------------

WORSE = "Worse than never having seen anything: the loss does not heal."
NOTHING = "No lasting loss is seen."
SOME = "Something was learned, less than from clear images."
LESS = "Less than equal training; from a newborn no difference is seen."
ONE = "One seed: no interval, no verdict."
MISSING = "One control is missing: no verdict."
NAN = math.nan


@pytest.mark.parametrize(
    ("gain", "loss", "words"),
    [  # mean and half the interval, against the newborn and against equal training
        ((-0.05, 0.01), (0.09, 0.01), WORSE),
        ((-0.05, 0.049), (0.09, 0.01), WORSE),
        ((-0.05, 0.051), (0.09, 0.01), LESS),  # the interval reaches zero
        ((0.00, 0.01), (0.04, 0.01), LESS),
        ((0.05, 0.051), (0.04, 0.01), LESS),
        ((0.05, 0.049), (0.04, 0.01), SOME),
        ((0.05, 0.01), (0.04, 0.039), SOME),
        ((0.05, 0.01), (0.04, 0.041), NOTHING),
        ((0.05, 0.01), (-0.04, 0.01), NOTHING),
        ((0.00, 0.01), (0.00, 0.01), NOTHING),
        ((-0.05, NAN), (0.09, NAN), ONE),
        ((-0.05, 0.01), (0.09, NAN), ONE),
        ((NAN, NAN), (0.09, 0.01), MISSING),
        ((-0.05, 0.01), (NAN, NAN), MISSING),
    ],
)
def test_verdict(gain, loss, words):
    names = ("gain", "gain_half", "loss", "loss_half")
    assert explore.verdict(pd.Series(dict(zip(names, (*gain, *loss), strict=True)))) == words


@pytest.mark.parametrize(
    ("difference", "half", "words"),
    [
        (-0.042, 0.009, "4.2 ± 0.9 below a newborn"),
        (0.042, 0.2, "4 ± 20 above a newborn"),
        (0.042, NAN, "4.2 above a newborn"),
        (NAN, NAN, ""),
    ],
)
def test_compared(difference, half, words):
    assert explore.compared(difference, half, "a newborn") == words


# Training ---------------------------------------------------------------------------------------


def test_train_trains_the_point_and_the_read_out_then_knows_it(lab):
    run = choose(lab, 1, 3)  # its controls were trained
    assert text(lab.estimate).startswith("live: about ")
    assert "controls" not in text(lab.estimate)
    sizes, states = [], []
    lab._plots.sources["live"].on_change(
        "data", lambda _, old, new: sizes.append(len(new["epoch"]))
    )
    lab.progress.observe(
        lambda change: states.append((lab.train.disabled, lab.stop.disabled)), "value"
    )
    click_and_wait(lab)
    assert states[0] == (True, False)
    assert (lab.train.disabled, lab.stop.disabled) == (False, True)

    grown = [size for size in dict.fromkeys(sizes) if size]
    assert grown == [*range(1, run.epochs + 1)]  # epoch by epoch
    record = records.find(run)
    assert shown(lab, "live")["mean"] == [row["test_accuracy"] for row in record.curve]
    assert shown(lab, "live")["epoch"] == [*range(1, run.epochs + 1)]
    assert lab.progress.value == lab.progress.max == run.epochs

    assert text(lab.estimate) == f"live, seed 0: {100 * record.accuracy:.1f} %"
    assert text(lab.readout).startswith(
        f"Blur from epoch 1 to 4 ends at {100 * record.accuracy:.1f} % (1 seed): "
    )
    assert text(lab.readout).endswith(ONE)
    assert lab.train.description == "Train it again"
    assert lab._plots._legend.label.value == "this net"
    assert (lab._plots.map.x_range.factors, lab._plots.map.y_range.factors) == (
        ["0", "1", "2"],
        ["2", "3", "4"],
    )
    assert dict(lab._plots._mark.data) == {"onset": ["1"], "length": ["3"]}
    assert_whole(lab)


def test_train_trains_the_missing_controls_of_its_own_seed_as_well(grid):
    lab = cplab.Explorer(profile="ci", onset=1, length=4, seed=5)
    run = Run("blur", 1, 4, profile="ci", seed=5)
    assert text(lab.estimate).endswith(" with its missing controls")
    click_and_wait(lab)
    for one in (run, run.newborn(), run.equal_training()):
        assert records.find(one), one
    # epochs that the three share are trained once
    assert (
        lab.progress.value
        == lab.progress.max
        == tree.plan([run, run.newborn(), run.equal_training()])[0].epochs
    )
    assert "a newborn" in lab.readout.value
    assert "equal training" in lab.readout.value
    assert shown(lab, "live")["mean"] == [row["test_accuracy"] for row in records.find(run).curve]


def test_train_it_again_trains_again(lab):
    run = choose(lab, 0, 2)
    before = records.find(run)
    click_and_wait(lab)
    after = records.find(run)
    assert [row["train_loss"] for row in after.curve] == [row["train_loss"] for row in before.curve]
    assert after.curve != before.curve  # other seconds
    assert text(lab.estimate) == f"live, seed 0: {100 * after.accuracy:.1f} %"


def test_train_begins_on_an_empty_map(nothing_shipped):
    lab = cplab.Explorer(profile="ci", length=1)
    assert text(lab.status) == "no records yet"
    assert lab._plots.map.x_range.factors == []
    assert_whole(lab)
    click_and_wait(lab)
    assert text(lab.status) == "live · PRACTICE images, ci · practice · seeds: 1"
    assert (lab._plots.map.x_range.factors, lab._plots.map.y_range.factors) == (["0"], ["1"])
    assert len(lab._plots.cells.data["loss"]) == 1
    assert_whole(lab)


def test_stop_ends_training_and_train_goes_on_from_there(lab, monkeypatch):
    trained = []
    monkeypatch.setattr(train.checkpoints, "SECONDS", 0)
    epoch = train.train_epoch
    monkeypatch.setattr(
        train, "train_epoch", lambda run, e, *rest: (epoch(run, e, *rest), trained.append(e))[0]
    )
    run = choose(lab, 4, 2)  # its controls were trained

    def stop_at_the_fourth(change):
        if change.new == 4:
            lab.stop.click()

    lab.progress.observe(stop_at_the_fourth, "value")
    click_and_wait(lab)
    assert trained == [0, 1, 2, 3]
    assert text(lab.estimate) == "stopped: Train goes on from the last checkpoint"
    assert (lab.train.disabled, lab.stop.disabled) == (False, True)
    assert records.find(run) is None
    assert lab.train.description == "Train this point"

    lab.progress.unobserve(stop_at_the_fourth, "value")
    click_and_wait(lab)
    assert trained == [*range(run.epochs)]
    assert text(lab.estimate).startswith("live, seed 0")
    assert [row["test_accuracy"] for row in records.find(run).curve] == shown(lab, "live")["mean"]
    assert lab.progress.value == lab.progress.max


def test_another_point_can_be_looked_at_while_one_trains(lab, monkeypatch):
    """The training goes on; its curve is in its own place alone."""
    going, may_go_on = threading.Event(), threading.Event()
    evaluate = train.evaluate

    def wait_in_the_third(*arguments):
        if lab.progress.value == 2 and not going.is_set():
            going.set()
            assert may_go_on.wait(60)
        return evaluate(*arguments)

    monkeypatch.setattr(train, "evaluate", wait_in_the_third)
    choose(lab, 1, 3)
    lab.train.click()
    assert going.wait(60)
    worker = lab._worker
    lab.train.click()  # a second training does not begin
    assert lab._worker is worker
    elsewhere = choose(lab, 0, 2)
    assert shown(lab, "live")["epoch"] == []
    may_go_on.set()
    worker.join(60)
    assert not worker.is_alive()
    assert shown(lab, "live")["epoch"] == []
    assert lab.run == elsewhere
    assert "Blur from epoch 0 to 2 ends at" in lab.readout.value
    assert text(lab.estimate).startswith("live, seed 0")
    cells = pd.DataFrame(lab._plots.cells.data)
    assert ("1", "3") in set(zip(cells.onset, cells.length, strict=True))
    choose(lab, 1, 3)
    assert "Blur from epoch 1 to 3" not in lab.readout.value
    assert "Blur from epoch 1 to 4 ends at" in lab.readout.value


def test_a_training_error_is_shown_and_training_can_be_asked_for_again(lab, monkeypatch):
    def diverge(*arguments):
        raise train.Diverged("the loss is nan at epoch 0 <really>")

    choose(lab, 1, 3)
    with monkeypatch.context() as patch:
        patch.setattr(train, "train_epoch", diverge)
        click_and_wait(lab)
    assert "the loss is nan at epoch 0 &lt;really&gt;" in lab.estimate.value
    assert "color" in lab.estimate.value
    assert (lab.train.disabled, lab.stop.disabled) == (False, True)
    assert lab.readout.value.count("Not trained") == 1
    click_and_wait(lab)
    assert text(lab.estimate).startswith("live, seed 0")


def test_an_error_that_nobody_foresaw_is_not_hidden(lab, monkeypatch):
    def fail(*arguments):
        raise ZeroDivisionError("unforeseen")

    choose(lab, 1, 3)
    lab.synchronous = True
    monkeypatch.setattr(train, "train_epoch", fail)
    with pytest.raises(ZeroDivisionError):
        lab.train.click()
    assert text(lab.estimate) == "stopped by an error"
    assert (lab.train.disabled, lab.stop.disabled) == (False, True)


# Colab ------------------------------------------------------------------------------------------


@pytest.fixture(params=["colab", "no jupyter_bokeh"])
def frames(request, monkeypatch):
    """Where Bokeh's figures cannot follow Python."""
    if request.param == "colab":
        monkeypatch.setitem(sys.modules, "google.colab", object())
    else:
        monkeypatch.setitem(sys.modules, "jupyter_bokeh", None)
    return request.param


def page(frame):
    """The page in a frame."""
    found = re.fullmatch(r'<iframe srcdoc="([^"]*)" [^<>]*></iframe>', frame.value)[1]
    return html.unescape(found).replace(r"\u00b7", "·")


def test_a_frame_holds_a_whole_page_of_bokeh(frames):
    fig = figures.rates([Run("blur", 0, 4)])
    frame = widgets.surface(fig)
    assert isinstance(frame, widgets.Frame)
    frame.draw()
    whole = page(frame)
    assert whole.strip().startswith("<!DOCTYPE html>")
    assert whole.strip().endswith("</html>")
    assert "cdn.bokeh.org" in whole
    assert "learning rate of each epoch" in whole
    assert fig.id in whole


def test_an_explorer_in_frames_draws_anew_when_something_is_chosen(grid, frames):
    lab = cplab.Explorer(profile="ci", length=2)
    assert lab.synchronous == (frames == "colab")
    assert all(isinstance(part, widgets.Frame) for part in lab._surfaces)
    before = page(lab._surfaces[1])
    choose(lab, 2, 4)
    after = page(lab._surfaces[1])
    assert "final accuracy · onset 0" in before
    assert "final accuracy · onset 2" in after
    assert "click to choose" not in after  # a frame passes no click on
    assert_whole(lab)


def test_on_colab_the_click_itself_trains(grid, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", object())
    lab = cplab.Explorer(profile="ci")
    run = choose(lab, 1, 3)
    lab.train.click()
    assert lab._worker is None
    assert records.find(run)
    assert text(lab.estimate).startswith("live, seed 0")
    assert len(shown(lab, "live")["epoch"]) == run.epochs
    assert str(records.find(run).curve[-1]["test_accuracy"]) in page(lab._surfaces[1])


# Prediction and switch --------------------------------------------------------------------------


def prediction():
    return widgets.Prediction(
        given={"newborn": Run(profile="ci"), "noise": Run("noise", 0, 4, profile="ci")},
        asked={
            "blur of 4": Run("blur", 0, 4, profile="ci"),
            "noise of 2": Run("noise", 0, 2, profile="ci"),
        },
    )


def test_a_prediction_tells_what_is_given(grid):
    known = text(prediction().children[0])
    born = interval(accuracies(Run(profile="ci")))
    assert known == f"Known: newborn: {said(*born)} %noise: not trained yet"


def test_a_prediction_stays_covered_until_every_slider_was_moved(grid):
    guess = prediction()
    truth = said(*interval(accuracies(Run("blur", 0, 4, profile="ci"))))
    first, second = guess.guesses.values()
    for bar in (first, first):
        assert guess.reveal.disabled
        [cover] = guess.figure.children
        assert "covered" in cover.value
        assert truth not in str([child.get_state() for child in guess.children])
        bar.value += 1
    second.value = 30
    assert not guess.reveal.disabled
    assert len(guess.figure.children) == 1


def test_a_prediction_then_shows_guess_and_truth(grid):
    guess = prediction()
    first, second = guess.guesses.values()
    first.value, second.value = 42.5, 30
    guess.reveal.click()
    picture, words = guess.figure.children
    mean, half = interval(accuracies(Run("blur", 0, 4, profile="ci")))
    assert text(words).startswith(
        f"blur of 4: you 42.5, measured {said(mean, half)} %; noise of 2: you 30.0, "
        "measured nothing yet"
    )
    assert text(words).endswith("live · PRACTICE images, ci · practice · seeds: 2")
    items = {item.label.value: item.renderers for item in picture._model.legend[0].items}
    assert items["your guess"][0].data_source.data["x"] == [0.425, 0.3]
    measured = items["measured"][0].data_source.data
    assert list(measured["y"]) == ["blur of 4"]
    assert list(measured["x"]) == pytest.approx([mean])
    assert list(measured["high"]) == pytest.approx([mean + half])


def test_a_prediction_can_be_of_any_numbers():
    guess = widgets.Prediction(
        {"dense": [0.9]}, {"sparse": [0.8, 0.9], "none": []}, source="digits"
    )
    assert text(guess.children[0]) == "Known: dense: 90.0 %"
    for bar in guess.guesses.values():
        bar.value += 1
    guess.reveal.click()
    words = text(guess.figure.children[1])
    assert words.startswith("sparse: you 51.0, measured 85 ± 64 %; none: you 51.0, measured no")
    assert words.endswith("digits")


def test_a_prediction_in_a_frame_is_drawn(grid, frames):
    guess = prediction()
    for bar in guess.guesses.values():
        bar.value = 10
    guess.reveal.click()
    assert "your guess" in page(guess.figure.children[0])


def test_a_switch_draws_what_is_chosen():
    drawn = []

    def draw(option):
        drawn.append(option)
        fig = figures.rates([Run("blur", 0, 4, schedule=option)])
        return fig if option == "fixed" else [fig, figures.rates([Run("flip", 0, 4)])]

    switch = widgets.Switch(["recovery", "fixed"], draw)
    assert drawn == ["recovery"]
    assert len(switch.children[1]._model.children) == 2
    switch.choice.value = "fixed"
    assert drawn == ["recovery", "fixed"]
    assert switch.children[0] is switch.choice
    line, _ = switch.children[1]._model.renderers
    rates = [step.lr for step in Run("blur", 0, 4, schedule="fixed").steps]
    assert line.data_source.data["y"] == rates


def test_a_switch_in_a_frame_is_drawn(frames):
    switch = widgets.Switch([1, 2], lambda n: figures.plain_figure(f"number {n}", "", ""))
    assert "number 1" in page(switch.children[1])
    switch.choice.value = 2
    assert "number 2" in page(switch.children[1])


# Ranking ----------------------------------------------------------------------------------------


def ranking():
    points = {"blur": ("blur", 0, 4), "upside down": ("flip", 0, 4), "newborn": ("none", 0, 0)}
    return widgets.Ranking({name: Run(*point, profile="ci") for name, point in points.items()})


def test_a_ranking_stays_covered_until_each_has_one_place(grid):
    guess = ranking()
    assert list(guess.controls) == ["best", "2", "worst"]
    truth = said(*interval(accuracies(Run("blur", 0, 4, profile="ci"))))
    for chosen, covered in (
        ({"best": "blur"}, "Covered until each has its place."),
        ({"2": "blur"}, "One place each: blur."),
        ({"worst": "newborn"}, "One place each: blur."),
    ):
        for place, name in chosen.items():
            guess.controls[place].value = name
        assert guess.reveal.disabled
        [cover] = guess.figure.children
        assert text(cover) == covered
        assert truth not in str([child.get_state() for child in guess.children])
    guess.controls["2"].value = "upside down"
    assert not guess.reveal.disabled
    guess.controls["2"].value = None
    assert guess.reveal.disabled


def test_a_ranking_then_shows_both_orders(grid):
    guess = ranking()
    for place, name in zip(guess.controls, ("newborn", "blur", "upside down"), strict=True):
        guess.controls[place].value = name
    assert guess.order == ["newborn", "blur", "upside down"]
    guess.reveal.click()
    picture, words = guess.figure.children
    run = Run("flip", 0, 4, profile="ci")
    expected = f"upside down: {said(*interval(accuracies(run)))} %"
    assert expected in str([r.data_source.data for r in picture._model.renderers])
    truth = {name: pd.Series(accuracies(run), index=range(2)) for name, run in guess.runs.items()}
    right, sure, _ = figures.agreement(guess.order, truth)
    assert text(words).startswith(
        f"Of 3 pairs the seeds tell {sure} apart (95 %); {right} of these"
    )
    assert text(words).endswith("live · PRACTICE images, ci · practice · seeds: 2")


def test_a_ranking_of_what_nobody_trained_says_so(nothing_shipped):
    guess = ranking()
    for place, name in zip(guess.controls, guess.runs, strict=True):
        guess.controls[place].value = name
    guess.reveal.click()
    assert "Of 3 pairs the seeds tell 0 apart" in text(guess.figure.children[1])


# Another network --------------------------------------------------------------------------------


def test_an_explorer_of_another_network_trains_that_network(grid):
    lab = cplab.Explorer(profile="ci", model="fc-10", deficits=("blur", "flip"), length=2)
    assert [deficit for _, deficit in lab.deficit.options] == ["blur", "flip"]
    assert lab.run == Run("blur", 0, 2, profile="ci", model="fc-10")
    assert "Nobody has trained" in text(lab.readout)  # but the other network was
    click_and_wait(lab)
    assert records.find(lab.run).run.model == "fc-10"
    assert text(lab.readout).startswith("Blur from epoch 0 to 2 ends at")
    assert "model='fc-10'" in text(lab.code)


# The paper's size -------------------------------------------------------------------------------


def test_there_is_no_choice_of_size_without_records_of_the_papers(lab):
    assert lab.size.options == ("ci",)
    assert lab.size.layout.display == "none"


def test_records_of_the_papers_size_are_a_click_away(grid, monkeypatch):
    """The ci profile in the paper's place, seen from one that has nothing."""
    monkeypatch.setattr(explore, "PAPER", "ci")
    how = {"schedule": "recovery", "dataset": "practice", "model": "allcnn-4"}
    lab = cplab.Explorer(profile="fit", length=4, **how)
    assert lab.size.options == ("fit", "ci")
    assert lab.size.layout.display == ""
    assert "Nobody has trained" in text(lab.readout)
    lab.size.value = "ci"  # one of its epochs stands for 10 of the paper's, one of fit's for 3
    assert lab.run == Run("blur", 0, round(4 * 3 / 10), profile="ci")
    lab.length.value = 4
    mean, half = interval(accuracies(lab.run))
    assert f"Blur from epoch 0 to 4 ends at {said(mean, half)} %" in text(lab.readout)
    assert lab.length.max == lab.length_box.max == 8
    lab.size.value = "fit"
    assert lab.run.profile == "fit"
    assert lab.run.length == round(4 * 10 / 3)
    assert lab.length.max == 13
    assert_whole(lab)


# A run that is trained while one looks ----------------------------------------------------------


@pytest.fixture
def live(grid):
    runs = {"blur": Run("blur", 0, 1, profile="ci"), "flip": Run("flip", 0, 1, profile="ci")}
    return widgets.Live(runs, lambda run: {"known": []}, ("test_accuracy", "train_loss"))


def test_live_says_what_it_costs_and_grows_its_curves(live):
    assert re.match(r"Blur from epoch 0 to 1, seed 0: 4 epochs, about \d+ s", live.estimate.value)
    live.choice.value = run = Run("flip", 0, 1, profile="ci")
    assert live.estimate.value.startswith("Vertical flip")
    live.train.click()
    live.job._worker.join()
    record = records.find(run)
    assert live.estimate.value.startswith(f"live, seed 0: {100 * record.accuracy:.1f} %")
    for name, source in live.sources.items():
        assert source.data == {"epoch": [1, 2, 3, 4], "mean": list(record.series(name))}
        assert live._picture._model.select_one({"name": f"live {name}"}) is source
    assert (live.train.disabled, live.stop.disabled, live.choice.disabled) == (False, True, False)


def test_live_stops_and_says_what_went_wrong(live, monkeypatch):
    live.job._halt.set()
    live.job._do()
    assert live.estimate.value == "stopped: Train goes on from the last checkpoint"
    monkeypatch.setattr(records, "collect", lambda *_, **__: [(None, CplabError("no <luck>"))])
    live.train.click()
    live.job._worker.join()
    assert "no &lt;luck&gt;" in live.estimate.value
    assert not live.train.disabled


def test_live_on_colab_trains_at_the_click(grid, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", object())
    run = Run("blur", 0, 1, profile="ci")
    live = widgets.Live({"blur": run}, lambda run: {}, ("train_loss",))
    live.train.click()
    assert live.job._worker is None
    assert str(records.find(run).curve[-1]["train_loss"]) in page(live._picture)


def test_a_job_rests_its_controls_and_says_how_it_ended():
    seen, bar = [], explore.w.IntSlider()

    def work(stop):
        seen.append((job.start.disabled, job.stop.disabled, bar.disabled))
        if job.said.value == "again":
            raise CplabError("no <luck>")
        return "done"

    job = widgets.Job("Go", work, [bar])
    for said, ends in (("", "done"), ("again", "no &lt;luck&gt;")):
        job.said.value = said
        job.start.click()
        job._worker.join()
        assert ends in job.said.value
        assert (job.start.disabled, job.stop.disabled, bar.disabled) == (False, True, False)
    assert seen == [(True, False, True)] * 2


def test_figures_in_a_list_stand_side_by_side():
    made = [figures.plain_figure(str(i), "", "") for i in range(2)]
    question = widgets.choice("Which?", ["this", "that"], lambda: [made, "words"])
    question.controls["answer"].value = "that"
    question.reveal.click()
    said, picture, words = question.figure.children
    assert (text(said), text(words)) == ("You said: that", "words")
    assert picture._model.children == made


def test_a_slide_over_two_figures_moves_the_sources_of_both():
    figs = [figures.by_layer(["1"], {"blur": [[0.5]]}, {"blur": "red"}, tag) for tag in "ab"]
    slide = widgets.Slide(figs, [0.1, 0.2], lambda v: {
        f"{tag}blur": figures.layer_columns(["1"], "blur", [[v * k]])
        for k, tag in enumerate("ab", 1)
    })  # fmt: skip
    slide.slider.value = 1
    means = [
        fig.select_one({"name": f"{tag}blur"}).data["mean"]
        for fig, tag in zip(figs, "ab", strict=True)
    ]
    assert np.ravel(means).tolist() == pytest.approx([0.2, 0.4])


# A broken callback ------------------------------------------------------------------------------


def broken(*arguments):
    raise ZeroDivisionError("broken")


def test_a_broken_callback_of_a_slider_turns_this_suite_red(lab, monkeypatch):
    monkeypatch.setattr(explore.Explorer, "_words", broken)
    for change in (
        lambda: setattr(lab.length, "value", 4),
        lambda: setattr(lab.onset_box, "value", 1),
        lambda: setattr(lab.deficit, "value", "flip"),
        lambda: lab._plots.map._trigger_event(Tap(lab._plots.map, x=1.5, y=0.5)),
    ):
        with pytest.raises(ZeroDivisionError, match="broken"):
            change()


def test_a_broken_callback_of_a_button_turns_this_suite_red(lab, monkeypatch):
    monkeypatch.setattr(explore.Explorer, "_todo", broken)
    with pytest.raises(ZeroDivisionError, match="broken"):
        lab.train.click()


def test_a_broken_switch_turns_this_suite_red():
    switch = widgets.Switch([1, 0], lambda n: figures.plain_figure(str(1 // n), "", ""))
    with pytest.raises(ZeroDivisionError):
        switch.choice.value = 0
