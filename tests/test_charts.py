"""Figures of plain numbers."""

import pytest

from cplab import charts, pruning


def test_bands_are_means_with_intervals_and_leave_out_what_is_missing():
    groups = {"biological": {1.0: [0.8, 0.9], 5.0: []}, "random": {}}
    fig = charts.bands(groups, ("density, %", "accuracy"), log=True)
    drawn = fig.select_one({"name": "band biological"}).data
    assert list(drawn["x"]) == [1.0]
    assert drawn["mean"][0] == pytest.approx(0.85)
    assert drawn["high"][0] - drawn["mean"][0] == pytest.approx(12.706 * 0.05, rel=1e-3)
    assert fig.title.text == "2 seeds"
    assert charts.bands({}, ("x", "y"), log=True).title.text == "not computed yet"


def test_threads_draw_a_line_for_each_seed():
    lives = [{"steps": [1, 2], "density": [0.5, 0.6]}, {"steps": [1, 3], "density": [0.5, 0.4]}]
    fig = charts.threads({"biological": lives}, "steps", "density", ("step", "density"))
    assert len(fig.renderers) == 2
    assert fig.title.text == "2 seeds"
    assert not fig.legend.visible  # one kind needs none


def test_a_difference_is_welchs_in_points():
    ours, theirs = [0.90, 0.91, 0.92], [0.80, 0.81, 0.82]
    test = pruning.compare(ours, theirs)
    words = charts.difference(ours, theirs)
    assert words == f"+10.0 ± {100 * (test.high - test.low) / 2:.1f} (p < 0.001)"
    assert charts.difference(ours, [0.8]) == ""


def test_bars_have_an_interval_and_a_dot_for_each_seed():
    fig = charts.bars({"biological": [0.8, 0.9], "random": []}, "accuracy")
    drawn = fig.select_one({"name": "bars"}).data
    assert list(drawn["kind"]) == ["grown and pruned", "random"]
    assert drawn["mean"][0] == pytest.approx(0.85)
    assert drawn["mean"][1] != drawn["mean"][1]  # nothing is no number
    assert drawn["high"][0] - drawn["low"][0] == pytest.approx(2 * 12.706 * 0.05, rel=1e-3)
    assert fig.title.text == "2 seeds"


def test_colours_and_words_are_those_of_all_labs():
    assert charts.colour("blur") == "#0072B2"
    assert charts.name("flip") == "vertical flip"
    assert charts.name("anything else") == "anything else"
    hues = charts.colours(["n = 1", "blur", "n = 2"])
    assert hues["blur"] == charts.colour("blur")
    assert len({*hues.values()}) == 3
