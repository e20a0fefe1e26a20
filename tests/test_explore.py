"""The explorer and its parts, driven from Python, on results that were trained here."""

import asyncio
import html
import itertools
import json
import math
import re
import threading
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from bokeh.core.validation import check_integrity
from bokeh.document import Document
from bokeh.events import DoubleTap, PressUp, Tap
from bokeh.models import ColumnDataSource
from cplab.engine.lives import plan
from labs_by_hand import accuracies, difference, interval, said, text

import cplab
from cplab import CplabError, Run, results, show, windows
from cplab.checks import Diverged
from cplab.engine import checkpoints, tasks, train
from cplab.lab import Plots, Points, explorer, verdict
from cplab.lab import points as points_module
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


def find(run, seed=0):
    return results.find(replace(run, seed=seed))


def stretched(run, seed, accuracy, **changes):
    """Keep a made-up result of another life: any accuracies, of which the last is given."""
    run = replace(run, seed=seed, **changes)
    rng = np.random.default_rng([seed, run.epochs])
    rows = [
        {**find(LIKE).curve[-1], "epoch": epoch, "test_accuracy": rng.uniform(), "lr": step.lr}
        for epoch, step in enumerate(run.life)
    ]
    rows[-1]["test_accuracy"] = accuracy
    values = {"accuracy": accuracy, "curve": [{**r, "phase": run.phase(r["epoch"])} for r in rows]}
    return results.keep(replace(find(LIKE), spec=run, values=values))


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
    found = check_integrity(plots.panels.references())
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
        curve = np.mean([find(run, seed).series("test_accuracy") for seed in (0, 1)], axis=0)
        assert points.curve(run)["mean"] == pytest.approx(curve)
    assert blur(1, 3) not in points
    assert points.run_at("blur", 3, 0) == Run(onset=3, profile="ci")


def test_a_training_counts_whether_something_was_measured_on_it_or_not(grid):
    run = blur(6, 2)
    cplab.run(run, measure="weight_norms")
    cplab.run(replace(run, seed=1))
    assert Points(LIKE).mean(run).seeds == 2


def test_the_last_point_of_all_is_where_sliders_end(grid):
    assert Points(LIKE).last() == 8
    stretched(blur(20, 4), 0, 0.5)
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
        run = points.run_at(deficit, onset, length)
        plots.show(points, run, deficit, beside or (run if run in points else None))
        assert_whole(plots)
        return plots

    return at


def curve_of(run):
    """Mean and half its interval after each epoch, of both seeds."""
    curves = [find(run, seed).series("test_accuracy") for seed in (0, 1)]
    return np.array([interval(pair) for pair in zip(*curves, strict=True)])


@pytest.mark.parametrize("place", PLACES)
def test_the_curves_of_a_point_are_those_of_its_results(draw, place):
    plots, run = draw(*place), blur(*place)
    without = run.without_window()
    for name, life, begin, place in (
        ("this", run, 0, 0),
        ("equal", run.equal_training(), 0, 0),
        ("control", without, run.onset, run.end),  # where this one recovers
        ("pair", run, run.end, 0),
        ("other", without, run.onset, 0),
    ):
        expected, got = curve_of(life)[begin:], shown(plots, name)
        assert got["epoch"] == [place + 1 + e for e in range(len(expected))]
        assert got["mean"] == pytest.approx(expected[:, 0])
        assert got["high"] == pytest.approx(expected.sum(1))
    assert (plots.shade.left, plots.shade.right) == (run.onset + 0.5, run.end + 0.5)


def made_up_curve(*values, half=0.01):
    mean = np.array(values, dtype=float)
    return {
        "epoch": np.arange(1, 1 + len(mean)),
        "mean": mean,
        "low": mean - half,
        "high": mean + half,
    }


@pytest.mark.parametrize(
    ("ours", "other", "at"),
    [
        ((0.4, 0.5, 0.5, 0.5), (0.2, 0.4, 0.6, 0.8), [2.5]),
        ((0.2, 0.4, 0.6, 0.8), (0.4, 0.5, 0.5, 0.5), [2.5]),
        ((0.4, 0.5, 0.6, 0.7), (0.2, 0.4, 0.5, 0.6), []),  # never
        ((0.400, 0.51, 0.500), (0.405, 0.50, 0.505), []),  # within the intervals
        ((0.4, 0.5, 0.500, 0.50), (0.2, 0.4, 0.495, 0.51), []),  # after it they are not apart
        ((0.4, 0.5, 0.4, 0.6, 0.5), (0.2, 0.6, 0.3, 0.5, 0.6), [4.5]),  # the last of three
        ((0.4, 0.5), (), []),
        ((), (), []),
    ],
)
def test_a_crossing_is_marked_where_curves_cross_beyond_their_intervals(ours, other, at):
    found = points_module.curve_crossing(made_up_curve(*ours), made_up_curve(*other))
    assert found["epoch"] == pytest.approx(at)
    assert found["mean"] == pytest.approx([np.interp(x, range(1, 1 + len(ours)), ours) for x in at])
    assert found["text"] == [f"epoch {x:.0f}" for x in at]


def test_the_removal_figure_goes_through_the_point(draw):
    plots, run = draw(2, 4), blur(2, 4)
    got = shown(plots, "by_length")
    assert got["length"] == [0, 2, 4]
    clear, mean = accuracies(Run(onset=2, profile="ci")).mean(), accuracies(run).mean()
    assert got["mean"][::2] == pytest.approx([clear, mean])
    assert shown(plots, "clear")["length"] == [0, 2, 4]
    chosen = shown(plots, "chosen")
    assert (chosen["length"], chosen["mean"]) == ([4], pytest.approx([mean]))
    assert shown(draw(1, 3), "chosen")["mean"] == []


def test_the_longest_harmless_window_stands_in_the_removal_figure(grid):
    for seed, harms in enumerate(([0.00, 0.02], [0.01, 0.04])):  # on average 0.5 and 3 points
        for length, harm in zip((4, 8), harms, strict=True):
            stretched(blur(9, length), seed, 0.5 - harm)
        stretched(Run(onset=9, profile="ci"), seed, 0.5)
    points, plots = Points(LIKE), Plots()
    run = blur(9, 4)
    plots.show(points, run, "blur", run)
    found = windows.longest_harmless_window(points.means, "blur", 9)
    assert plots.longest.location == found.epochs == pytest.approx(4.8)
    assert plots.longest.visible
    assert (plots.reach.left, plots.reach.right) == (found.low, 8.5)  # two seeds leave it open
    assert f"4.8 ({found.low:.1f} to 8+)" in plots.removal.xaxis.axis_label
    plots.show(points, Run("noise", 9, 4, profile="ci"), "noise", None)
    assert not plots.longest.visible
    assert not plots.reach.visible


@pytest.mark.parametrize("place", PLACES)
def test_cost_is_harm_and_on_it_lost_time_each_with_its_interval(draw, place):
    plots, run = draw(*place), blur(*place)
    costs = pd.DataFrame(shown(plots, "by_onset")).set_index("onset")
    assert [*costs.index] == ["0", "2"]
    for onset, cost in costs.iterrows():
        one = replace(run, onset=int(onset))
        ours, without, equal = map(accuracies, (one, one.without_window(), one.equal_training()))
        harm, harm_half = (100 * value for value in difference(one, ours, without))
        lost, lost_half = interval(100 * (equal - without))
        assert cost.harm == pytest.approx(harm)
        assert [cost.harm_low, cost.harm_high] == pytest.approx(
            [harm - harm_half, harm + harm_half]
        )
        assert cost.top - cost.base == pytest.approx(lost)
        assert cost.base == pytest.approx(max(harm, 0))
        assert cost.lost_time_high - cost.top == pytest.approx(lost_half)
        assert (cost.alpha == 1) == (int(onset) == run.onset)  # the others are faint
    whole = plots.sensitivity.y_range
    assert whole.start <= min(0, costs.harm_low.min(), costs.lost_time_low.min())
    assert whole.end >= max(costs.harm_high.max(), costs.lost_time_high.max())
    assert not plots.healing.visible  # one recovery


def test_the_maps_show_both_parts_of_the_cost_at_each_point_and_mark_the_chosen_one(draw):
    for what, control in (("harm", "without_window"), ("lost_time", "equal_training")):
        plots = draw(2, 4)
        chart = {"harm": plots.map, "lost_time": plots.lost_time_map}[what]
        assert (chart.x_range.factors, chart.y_range.factors) == (["0", "2"], ["2", "4"])
        cells = pd.DataFrame(shown(plots, "cells"))
        assert sorted(zip(cells.onset, cells.length, strict=True)) == [
            (str(onset), str(length)) for onset, length in PLACES
        ]
        for cell in cells.to_dict("records"):
            run = blur(int(cell["onset"]), int(cell["length"]))
            other = accuracies(getattr(run, control)())
            least = run.without_window() if what == "lost_time" else run
            own = accuracies(least)
            mean, half = (100 * value for value in difference(least, own, other))
            assert cell[what] == pytest.approx(mean)
            number = f"{mean:.1f}".replace("-0.0", "0.0").replace("-", "−")
            assert cell[f"{what}_text"] == number
            assert cell[f"{what}_reach"] == f"± {half:.1f}"
    assert shown(plots, "mark") == {"onset": ["2"], "length": ["4"]}
    assert shown(draw(1, 4), "mark") == {"onset": [], "length": []}


@pytest.mark.parametrize("deficit", ["blur", "flip", "permute", "noise"])
def test_a_deficit_brings_its_look(draw, deficit):
    plots = draw(0, 4, deficit)
    look = style(deficit)
    assert plots.shade.fill_color == look.colour
    for fig, source in ((plots.curve, "this"), (plots.sensitivity, "by_onset")):
        [_, first] = [r.glyph for r in fig.renderers if r.data_source is plots.sources[source]][:2]
        assert look.colour in {first.line_color, fig.renderers[0].glyph.fill_color}


def test_a_neighbour_stands_for_a_point_that_nobody_trained(draw):
    plots = draw(1, 3, beside=blur(0, 2))
    assert len(shown(plots, "this")["epoch"]) == blur(0, 2).epochs
    assert plots.curve.title.text.startswith("nearest: ")
    assert not shown(plots, "chosen")["mean"]


def test_nothing_is_live_until_something_is(draw):
    plots = draw(0, 2)
    live = next(i for i in plots.curve.legend.items if plots.growing in i.renderers)
    assert not live.visible
    plots.live([1, 2], [0.1, 0.2])
    assert live.visible
    assert shown(plots, "live")["mean"] == [0.1, 0.2]
    markers = [getattr(one.glyph, "marker", None) for one in live.renderers]
    assert "star" in markers  # beside its colour


# Choosing -----------------------------------------------------------------------------------------


def walk(lab, steps):
    """Move sliders, as a notebook's loop does, with a moment between; what the page heard."""
    heard = []

    async def go():
        lab.children[4].send = heard.append
        for name, epoch in steps:
            getattr(lab, name).value = epoch
            heard.append((name, epoch))
            await asyncio.sleep(0.15)

    asyncio.run(go())
    return heard


def test_the_next_steps_of_both_sliders_are_drawn_in_advance_and_then_drawn_so(lab):
    steps = [("length", 4), ("length", 3), ("length", 2), ("onset", 1), ("onset", 2), ("onset", 1)]
    heard, ahead, met = walk(lab, steps), [], 0
    for i, message in enumerate(heard):
        if isinstance(message, tuple):
            bar, told = getattr(lab, message[0]), heard[i - 1] if i else {}
            found = [one for one in ahead if one["values"].get(bar.model_id) == message[1]]
            if "number" in told and i > 1:
                assert [one["patch"] for one in found if "patch" in one] == [told["patch"]]
                met += 1
            ahead = []
        elif "values" in message:
            ahead.append(message)
    assert met >= 4
    words = {
        k: v
        for one in ahead
        for k, v in one["words"].items()
        if one["values"][lab.onset.model_id] == 2
    }
    lab.onset.value = 2
    assert words[lab.readout.model_id] == {"value": lab.readout.value}
    assert words[lab.code.model_id] == {"value": lab.code.value}


def test_a_move_by_another_thread_while_a_step_is_drawn_in_advance_reaches_the_page(lab):
    """As in JupyterLab, where what a slider says may come in a thread of its own."""
    surface, page, movers = lab.children[4], [], []
    lab.onset.value = 1
    document = Document.from_json(surface.get_state()["item"]["doc"])

    def send(message, buffers=None):
        if "values" in message and not movers:  # in advance, and not yet drawn back
            movers.append(threading.Thread(target=lambda: setattr(lab.onset, "value", 2)))
            movers[0].start()
            while lab.onset.value != 2:
                time.sleep(0.001)
        elif "patch" in message and "number" in message:
            page.append(message["number"])
            document.apply_json_patch(json.loads(message["patch"]))

    async def wait():
        surface.send = send
        lab.deficit.value = "flip"
        await asyncio.sleep(0.15)

    asyncio.run(wait())
    movers[0].join()
    assert page
    for name, source in lab.plots.sources.items():
        theirs = document.select_one({"type": ColumnDataSource, "name": name}).data
        assert {k: [*map(str, v)] for k, v in theirs.items()} == {
            k: [*map(str, v)] for k, v in source.data.items()
        }


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
    loss, harm = (difference(run, ours, other) for other in (equal, without))
    lost = interval(equal - without)
    words = text(lab.readout)
    assert words.startswith(
        f"{ {'blur': 'Blur', 'flip': 'Vertical flip'}[deficit] } from epoch {run.onset} to "
        f"{run.end} ends at {said(*interval(ours))} % (2 seeds) after 3 epochs of recovery: "
        f"harm {said(*harm)} and lost time {said(*lost)}, together "
        f"{said(abs(loss[0]), loss[1])} points {'below' if loss[0] >= 0 else 'above'} equal"
    )
    assert words.endswith(verdict(lab.points.mean(run)))
    assert lab.train.description == "Train it again"


def test_no_deficit_at_length_zero(lab):
    run = choose(lab, 2, 0)
    assert lab.run == replace(run, deficit="none")
    assert text(lab.readout) == (
        f"No deficit, 5 clear epochs ends at {said(*interval(accuracies(lab.run)))} % (2 seeds) "
        "after 3 epochs of recovery. "
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
    assert cells.lost_time_text["2", "4"] == "?"
    assert "Its controls are not trained yet." in text(lab.readout)
    assert "with its missing controls" in lab.estimate.value


@pytest.mark.parametrize("name", ["map", "lost_time_map"])
def test_a_click_on_a_map_chooses_the_cell(lab, name):
    chart = getattr(lab.plots, name)
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


def test_the_phases_are_as_wide_as_they_are_long(lab):
    choose(lab, 2, 4)
    assert re.findall(r"flex:(\d+)[^>]*>(\w+)<", lab.phases.value) == [
        ("2", "clear"), ("4", "blur"), ("3", "recovery"),
    ]  # fmt: skip
    assert show.colour("blur") in lab.phases.value
    choose(lab, 0, 4)
    assert "clear" not in lab.phases.value


def test_recovery_is_a_slider_where_there_are_several_and_changes_every_panel(lab):
    assert (lab.recovery.layout.display, text(lab.one_recovery)) == ("none", "3 epochs")
    run = blur(0, 4)
    for seed in range(2):
        for one, accuracy in ((run, 0.5), (run.without_window(), 0.6), (run.equal_training(), 0.8)):
            stretched(one, seed, accuracy + seed / 100, recovery=6)
    harm = said(*difference(run, np.array([0.5, 0.51]), np.array([0.6, 0.61])))
    lab = cplab.Explorer(profile="ci", length=4)
    assert lab.recovery.options == (("3 epochs", 3), ("6 epochs", 6))
    assert (lab.recovery.layout.display, text(lab.one_recovery)) == ("", "")
    assert pd.DataFrame(shown(lab.plots, "by_recovery")).recovery.to_list() == ["3", "6"]
    lab.recovery.value = 6
    assert lab.run == replace(run, recovery=6)
    assert f"after 6 epochs of recovery: harm {harm} and lost time 20.0" in text(lab.readout)
    assert len(shown(lab.plots, "this")["epoch"]) == 10
    assert len(shown(lab.plots, "pair")["epoch"]) == 6
    assert shown(lab.plots, "by_recovery")["harm"][1] == pytest.approx(10)
    costs = pd.DataFrame(shown(lab.plots, "by_onset")).set_index("onset")
    assert costs.harm["0"] == pytest.approx(10)
    assert costs.text["2"] == "?"  # which nobody trained with this recovery
    assert shown(lab.plots, "cells")["harm_text"] == ["10.0"]
    assert lab.plots.map.x_range.factors == ["0", "2"]
    assert_whole(lab.plots)
    choose(lab, 2, 2)
    assert text(lab.readout).startswith("Not trained")
    lab.recovery.value = 3
    assert text(lab.readout).startswith("Blur from epoch 2 to 4 ends at")


def test_without_recovery_nothing_is_asked(grid):
    stretched(Run("blur", 0, 4, profile="ci"), 0, 0.5, recovery=0)  # it has no newborn
    assert Points(LIKE).recoveries == [3]


def test_under_a_schedule_with_a_clock_the_control_comes_twice(lab):
    assert lab.clock.layout.display == "none"
    run = Run("blur", 2, 4, profile="ci", schedule="paper")
    stretched(run, 0, 0.5)
    stretched(run.equal_training(), 0, 0.8)
    stretched(run.without_window(), 0, 0.6)
    lab = cplab.Explorer(profile="ci", schedule="paper", onset=2, length=4)
    assert lab.clock.layout.display == ""
    assert "harm 10.0 and lost time 20.0" in text(lab.readout)
    lab.clock.value = "running"
    assert "30.0 points below equal training" in text(lab.readout)
    assert text(lab.readout).endswith(MISSING)
    assert "with its missing controls" in lab.estimate.value
    for fig in (lab.plots.pair, lab.plots.sensitivity, lab.plots.map):
        assert "clock running" in fig.title.text.replace("\n", " ")
    stretched(run.without_window("running"), 0, 0.55)
    lab = cplab.Explorer(profile="ci", schedule="paper", onset=2, length=4)
    lab.clock.value = "running"
    assert "harm 5.0 and lost time 25.0" in text(lab.readout)
    assert shown(lab.plots, "other")["mean"][-1] == 0.55


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

HARM = "Worse than without these epochs: the deficit did harm, and this recovery left it."
SOME = "Something was learned, less than from clear images."
ONE = "One seed: no interval, no verdict."
MISSING = "One control is missing: no verdict."
NAN = math.nan


def not_seen(half):
    """Two seeds tell a mean from zero 8 times in 10 if it is 1.286 times half the interval."""
    return rf" seen\W+{128.6 * half:.1f} points would be seen 8 times in 10\W+$"


@pytest.mark.parametrize(
    ("harm", "loss", "words"),
    [  # mean and half the interval
        ((0.05, 0.01), (0.09, 0.01), HARM),
        ((0.05, 0.049), (0.09, 0.01), HARM),
        ((0.05, 0.051), (0.09, 0.01), "^Time was lost; no harm is" + not_seen(0.051)),
        ((-0.05, 0.049), (0.04, 0.01), SOME),
        ((-0.05, 0.01), (0.04, 0.041), "^No lasting loss is" + not_seen(0.041)),
        ((-0.05, 0.01), (-0.04, 0.01), "^No lasting loss is" + not_seen(0.01)),
        ((0.05, NAN), (0.09, NAN), ONE),
        ((0.05, 0.01), (0.09, NAN), ONE),
        ((NAN, NAN), (0.09, 0.01), MISSING),
        ((0.05, 0.01), (NAN, NAN), MISSING),
    ],
)
def test_verdict(harm, loss, words):
    names = ("harm", "harm_half", "loss", "loss_half", "pairs")
    point = pd.Series(dict(zip(names, (*harm, *loss, 2), strict=True)))
    assert re.search(words, verdict(point))


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
        f"Blur from epoch 1 to 4 ends at {100 * found.accuracy:.1f} % (1 seed) after "
    )
    assert text(lab.readout).endswith(ONE)
    assert lab.train.description == "Train it again"
    assert lab.plots.map.x_range.factors == ["0", "1", "2"]
    assert_whole(lab.plots)


def test_train_trains_the_missing_controls_of_its_own_seed_as_well(grid):
    lab = cplab.Explorer(profile="ci", onset=1, length=4, seed=5)
    run = replace(blur(1, 4), seed=5)
    controls = [run.without_window(), run.equal_training()]
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
    assert text(lab.status).startswith("no results yet")
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
    monkeypatch.setattr(train, "train_epoch", broken)
    seen, told = [], threading.Event()
    hook = lambda about: (seen.append(about.exc_value), told.set())  # noqa: E731
    monkeypatch.setattr(threading, "excepthook", hook)
    click_and_wait(lab)
    assert told.wait(10)
    assert [str(error) for error in seen] == ["broken"]
    assert text(lab.estimate) == "broken"
    assert (lab.train.disabled, lab.stop.disabled) == (False, True)


def test_a_broken_callback_turns_this_suite_red(lab, monkeypatch):
    monkeypatch.setattr(explorer, "describe_life", broken)
    for change in (
        lambda: setattr(lab.length, "value", 4),
        lambda: setattr(lab.onset_box, "value", 1),
        lambda: lab.plots.map._trigger_event(Tap(lab.plots.map, x=1.5, y=0.5)),
    ):
        with pytest.raises(ZeroDivisionError, match="broken"):
            change()


def test_a_point_of_which_any_seed_was_trained_counts_as_trained_in_words_and_in_its_curve(grid):
    run = stretched(blur(1, 3), 30, 0.5).spec
    points = Points(LIKE)
    assert points.accuracy(run) == "50.0 % (1 seed)"
    assert points.curve(run)["mean"] == pytest.approx(find(run, 30).series("test_accuracy"))
    assert points.curve(run)["epoch"].tolist() == [*range(1, run.epochs + 1)]


def test_seeds_of_a_curve_may_differ_in_number(grid):
    """A third seed of one point alone changes that point alone."""
    run = replace(blur(0, 2), seed=2)
    before = Points(LIKE).mean(blur(0, 4))
    cplab.run(run)
    points = Points(LIKE)
    assert points.mean(run).seeds == 3
    assert points.mean(blur(0, 4)).equals(before)
    assert np.isfinite(points.mean(run).accuracy_half)
