"""Figures: every number against a plain computation of the same, and looks that differ."""

import base64
import html
import io
import math
import re
from dataclasses import fields, replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from bokeh.core.validation import check_integrity
from bokeh.models import ColumnDataSource, Line, Span, Title
from conftest import one_line
from PIL import Image
from scipy import stats

import cplab
from cplab import deficits, show, statistics
from cplab.data import images
from cplab.measure import MEASUREMENTS, Measurement
from cplab.results import Result
from cplab.runs import Run
from cplab.show import pictures, predictions, theme
from cplab.show.still import still
from cplab.studies import fisher as lab04
from cplab.studies import high_level as lab03
from cplab.studies import kitten as lab01
from cplab.studies.kitten import GESTATION, statements

# What is left of red, green and blue light for protanopes, deuteranopes and tritanopes (Machado,
# Oliveira & Fernandes 2009, severity 1)
BLIND = [
    [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
]
DEFICITS = ("blur", "flip", "permute", "noise", "fresh_noise", "stripes", "blank")


def row(deficit, onset, length, seed, accuracy=0.5, source="live", copy="practice", **setting):
    """One line of a table of results."""
    run = Run(deficit, onset, length, profile=setting.pop("profile", "ci"), seed=seed, **setting)
    columns = {f.name: getattr(run, f.name) for f in fields(run)}
    return {**columns, "accuracy": accuracy, "source": source, "copy": copy}


def life(traces, deficit="none", length=0, seed=0, accuracy=0.5, **setting):
    """A result of the fit profile with such a trace after each epoch."""
    when = {"length": length} if length else {"onset": len(traces) - 1}
    recovery = len(traces) - length - when.get("onset", 0)
    run = Run(deficit, profile="fit", recovery=recovery, seed=seed, **when, **setting)
    curve = [{"epoch": i, "train_loss": v, "test_accuracy": v} for i, v in enumerate(traces)]
    measured = {"trace": {i: {"trace": [float(v)]} for i, v in enumerate(traces)}}
    values = {"accuracy": accuracy, "curve": curve}
    return Result(run, values, 1.0, "x", "cpu", "float32", 1, "2", "", measured)


def parts(fig):
    """What the legend names: {text: renderers}."""
    return {item.label.value: item.renderers for item in fig.legend[0].items}


def numbers(renderer):
    return {name: list(values) for name, values in renderer.data_source.data.items()}


def glyphs(fig, kind):
    """The columns of each glyph of a kind."""
    return [numbers(r) for r in fig.renderers if type(r.glyph).__name__ == kind]


def line_below(fig):
    """The small line that says where the numbers are from."""
    return " ".join(one.text for one in fig.below if isinstance(one, Title)).replace("\n", " ")


def assert_whole(fig):
    """Bokeh finds no glyph without its column and no factor twice."""
    found = check_integrity(fig.references())
    assert (found.error, found.warning) == ([], [])


def made_up(seeds=(0, 1, 4), seed=0):
    """A table of two deficits and their controls with any accuracies, in any order, in which some
    points have fewer seeds, and some records lack a control."""
    rng = np.random.default_rng(seed)
    runs = [
        (deficit, onset, length, seed)
        for deficit, lengths in (("none", [0]), ("blur", [2, 4]), ("flip", [2, 4]))
        for onset in (0, 1, 2, 4, 6)
        for length in lengths
        for seed in seeds
    ]
    missing = {("none", 4, 0, 1), ("none", 6, 0, 0), ("none", 6, 0, 4), ("none", 0, 0, 4)}
    missing |= {("blur", 2, 4, 0), ("flip", 4, 2, 0), ("flip", 4, 2, 1)}
    table = pd.DataFrame([row(*run, rng.uniform()) for run in runs if run not in missing])
    return table.sample(frac=1, random_state=seed).reset_index(drop=True)


def interval(values):
    """Mean and half the 95 % interval of the values that are there, by scipy; NaN for one."""
    values = [v for v in values if not math.isnan(v)]
    if len(values) < 2:
        return (*values, math.nan, math.nan)[:2]
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    return np.mean(values), (high - low) / 2


def the_slow_way(table):
    """A summary by loops over the rows: {(deficit, onset, length): {column: (mean, half)}}."""
    accuracy: dict = {}
    for r in table.itertuples():
        accuracy.setdefault((r.deficit, r.onset, r.length), []).append(r.accuracy)
    expected = {}
    for point, ours in accuracy.items():
        others = {"loss": point[1] + point[2], "gain": 0, "harm": point[1]}
        expected[point] = {"accuracy": interval(ours)}
        for name, after in others.items():
            mean, half = difference(ours, accuracy.get(("none", after, 0), []))
            expected[point][name] = (-mean if name == "gain" else mean), half
    return expected


def difference(ours, other):
    """Mean of what others have above runs from birth, and half its interval by Welch, with all
    seeds of each side: what begins with a deficit shares no training with them."""
    if not ours or not other:
        return math.nan, math.nan
    mean = np.mean(other) - np.mean(ours)
    if min(len(ours), len(other)) < 2:
        return mean, math.nan
    low, high = stats.ttest_ind(other, ours, equal_var=False).confidence_interval()
    return mean, (high - low) / 2


def assert_band(got, pairs, scale=1):
    """The columns mean, low and high are those of (mean, half), one width 0 where there is none."""
    mean, half = scale * np.array(pairs).T
    half = abs(np.nan_to_num(half))
    for name, values in (("mean", mean), ("low", mean - half), ("high", mean + half)):
        assert got[name] == pytest.approx(values)


def cielab(colour, eye):
    light = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    light = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    rgb = [[0.4339, 0.3763, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1095, 0.8728]]
    f = np.cbrt(np.array(rgb) @ np.clip(eye @ light, 0, 1))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def looks_of_all():
    return {name: theme.style(name) for name in (*DEFICITS, "live")}


@pytest.mark.parametrize("eye", [np.eye(3), *map(np.array, BLIND)], ids=lambda eye: eye[0][0])
def test_no_eye_takes_the_colour_of_one_deficit_for_another(eye):
    seen = {name: cielab(look.colour, eye) for name, look in looks_of_all().items()}
    for a, b in combinations(seen, 2):
        assert np.linalg.norm(seen[a] - seen[b]) > 15, (a, b)


def test_every_deficit_has_words_and_a_second_cue_beside_colour():
    looks = [*looks_of_all().values(), theme.EQUAL, theme.NEWBORN]
    assert len({look.label for look in looks}) == len(looks)
    assert len({(look.dash, look.marker) for look in looks}) == len(looks)
    assert len({look.dash for look in looks}) > 3


def test_controls_are_greys_that_can_be_told_apart():
    equal, newborn = (cielab(one.colour, np.eye(3)) for one in (theme.EQUAL, theme.NEWBORN))
    assert max(abs(equal[1:])) < 1 > max(abs(newborn[1:]))
    assert abs(equal[0] - newborn[0]) > 20


def test_deficits_look_as_they_say_and_other_kinds_have_a_look_too():
    flip = deficits.find_deficit("flip")
    assert theme.style("flip") == (flip.label, flip.colour, flip.dash, flip.marker)
    assert show.label("blur-2") == "blur (2×)"
    assert show.colour("blur-2") == show.colour("blur")
    assert show.label("occlude@1a2b3c4d") == "occlude"  # somebody's, not defined here
    assert show.label("anything else") == "anything else"
    looks = theme.styles(["n = 1", "blur", "n = 2", "biological"])
    assert looks["blur"] == theme.style("blur")
    assert len({look.colour for look in looks.values()}) == 4
    assert len({(look.dash, look.marker) for look in looks.values()}) == 4
    assert len(theme.styles(map(str, range(30)))) == 30


def test_a_deficit_of_your_own_has_its_look_in_figures():
    @cplab.deficit(label="left half dark", colour="#117733", dash="dotdash", marker="square")
    def half_dark(x, y):
        x = x.clone()
        x[..., : x.shape[-1] // 2] = 0
        return x, y

    name = Run(half_dark, length=2, profile="ci").deficit
    table = pd.DataFrame([row(name, 0, n, s) for n in (2, 4) for s in range(2)])
    shown = parts(show.removal(Run(profile="ci"), ("blur", half_dark), table=table))
    line, points = shown["left half dark"]
    assert numbers(line)["length"] == [2, 4]
    assert line.glyph.line_color == "#117733"
    assert points.glyph.marker == "square"


def test_the_source_line_says_profile_copy_seeds_and_practice():
    practice = pd.DataFrame([row("blur", 0, 2, s) for s in range(3)])
    assert show.source_line(practice) == "live · profile ci · PRACTICE images · 3 seeds"
    course = {"profile": "course", "source": "shipped", "copy": "cifar10-jpeg"}
    rows = [row("blur", 0, 2, s, **course) for s in range(5)]
    course |= {"source": "live", "copy": "mnist-0a1b2c3d4e5f"}
    rows += [row("none", 0, 0, s, **course) for s in (0, 1)]
    text = show.source_line(pd.DataFrame(rows))
    assert text == "shipped and live · profile course · images cifar10-jpeg, mnist · 2 to 5 seeds"
    assert "1 seed" in show.source_line([life([1, 2])])
    assert show.source_line([]) == show.source_line(made_up()[:0])


def test_a_figure_says_the_source_of_what_it_shows_alone():
    cached = [row("blur", 0, 4, 0, source="shipped")]
    elsewhere = [row("flip", 0, 2, 7), row("blur", 1, 2, 7), row("none", 9, 0, 7)]

    def source(names, rows, onset=0):
        like = Run(onset=onset, profile="ci")
        return line_below(show.removal(like, names, table=pd.DataFrame(rows))).split(" · ")[0]

    assert source(("blur",), cached + elsewhere) == "shipped"
    assert source(("blur", "flip"), cached + elsewhere) == "shipped and live"
    assert source(("blur",), [*cached, row("none", 0, 0, 0)]) == "shipped and live"
    assert source(("blur",), cached + elsewhere, onset=1) == "live"


def test_words_and_ticks_have_room_in_small_figures():
    fig = theme.plain_figure(
        "some words of a title " * 6, "x", "y", "and some more " * 9, width=280
    )
    [below] = [one for one in fig.below if isinstance(one, Title)]
    for text, letters in ((fig.title.text, 36), (below.text, 44)):
        assert max(map(len, text.split("\n"))) <= letters
    assert fig.xaxis[0].minor_tick_line_color is None
    small = theme.plain_figure("", "x", "y", height=150)
    assert small.yaxis[0].ticker.desired_num_ticks < fig.yaxis[0].ticker.desired_num_ticks


@pytest.mark.parametrize("onset", [0, 2])
def test_removal_shows_each_number_where_it_belongs(onset):
    table = made_up()
    expected = the_slow_way(table)
    fig = show.removal(Run(onset=onset, profile="ci"), ("blur", "flip"), table=table)
    assert_whole(fig)
    shown = {text: numbers(renderers[0]) for text, renderers in parts(fig).items()}
    assert set(shown) == {"equal training", "newborn", "blur", "vertical flip"}
    for deficit, text in (("blur", "blur"), ("flip", "vertical flip")):
        assert shown[text]["length"] == [0, 2, 4]
        points = [("none", onset, 0), (deficit, onset, 2), (deficit, onset, 4)]
        assert_band(shown[text], [expected[p]["accuracy"] for p in points])
    got = shown["equal training"]
    assert got["length"] == [0, 2, 4]  # not 1 and 6: no deficit is that long
    assert_band(got, [expected["none", onset + n, 0]["accuracy"] for n in got["length"]])
    assert shown["newborn"]["length"] == [0, 4]
    assert_band(shown["newborn"], [expected["none", 0, 0]["accuracy"]] * 2)


def test_removal_takes_the_results_of_one_setting():
    other = [row("blur", 0, 8, s, 0.9, schedule="fixed") for s in range(2)]
    table = pd.concat([made_up(), pd.DataFrame(other)], ignore_index=True)
    for schedule, lengths in (("recovery", [0, 2, 4]), ("fixed", [8])):
        fig = show.removal(Run(profile="ci", schedule=schedule), ("blur",), table=table)
        assert numbers(parts(fig)["blur"][0])["length"] == lengths
        assert schedule in fig.title.text


def test_figures_without_any_results_are_whole(monkeypatch):
    monkeypatch.setattr("cplab.results.table", lambda: made_up()[:0])
    fig = show.removal(Run(profile="ci"))
    assert_whole(fig)
    assert "newborn" not in parts(fig)
    assert_whole(show.compare_with_control(Run(profile="ci"), ("blur",)))
    assert show.over_epochs({"missing": []}).renderers == []
    assert line_below(show.means({}, ("x", "y"), log=True)) == "not computed yet"


def bare(**measured):
    """A clear life of three epochs, on which only this was measured after the first."""
    return replace(life([1, 3, 2]), measured={name: {0: said} for name, said in measured.items()})


def test_over_epochs_refuses_what_nothing_has_and_leaves_out_what_was_not_measured(monkeypatch):
    own = [name for name, one in MEASUREMENTS.items() if one.source]
    for name in own:  # of other tests
        monkeypatch.delitem(MEASUREMENTS, name)
    groups = {"bare": [bare()], "others": [bare(**{"taste@0123abcd": {"salt": 2.0}})]}
    one_line(lambda: show.over_epochs(groups, "tset_accuracy"), "'tset_accuracy'", "test_accuracy")
    one_line(lambda: show.over_epochs({"bare": groups["bare"]}, "salt"), "'salt'")
    assert "bare" in parts(show.over_epochs({"bare": groups["bare"]}, "trace"))
    lines = parts(show.over_epochs(groups, "salt"))  # of another's measurement, unknown here
    assert [list(lines[name][0].data_source.data["y"]) for name in groups] == [[], [2]]
    new = Measurement("own@00000000", lambda net, images: {"x": 1}, "own", source="x")
    monkeypatch.setitem(MEASUREMENTS, new.name, new)
    assert "bare" in parts(show.over_epochs({"bare": groups["bare"]}, "x"))  # not taken yet
    taken = {"a": [bare(**{new.name: {"x": 1.0}})]}
    one_line(lambda: show.over_epochs(taken, "y"), "'y'", "x")


@pytest.mark.parametrize("deficit", DEFICITS)
def test_a_deficit_has_its_look_in_every_figure(deficit):
    table = pd.DataFrame([row(deficit, 0, n, s) for n in (2, 4) for s in range(2)])
    look = theme.style(deficit)
    line, points = parts(show.removal(Run(profile="ci"), (deficit,), table=table))[look.label]
    [rate] = parts(show.rates([Run(deficit, 0, 4)]))[f"{look.label} until 4"]
    assert {one.glyph.line_color for one in (line, points, rate)} == {look.colour}
    assert points.glyph.marker == look.marker


@pytest.mark.parametrize(
    ("control", "column", "sign"),
    [("newborn", "gain", 1), ("equal training", "loss", -1), ("without window", "harm", -1)],
)
def test_against_shows_the_differences_from_a_control(control, column, sign):
    table = made_up()
    expected = the_slow_way(table)
    fig = show.compare_with_control(Run(profile="ci"), ("blur", "flip"), control, table=table)
    assert_whole(fig)
    shown = parts(fig)
    assert set(shown) == {"blur", "vertical flip"}
    for deficit, text in (("blur", "blur"), ("flip", "vertical flip")):
        got = numbers(shown[text][0])
        points = {n: expected[deficit, 0, n][column] for n in (2, 4)}
        points = {n: pair for n, pair in points.items() if not math.isnan(pair[0])}
        assert got["length"] == [*points]
        assert_band(got, [*points.values()], 100 * sign)


LIVES = {
    "clear": [life([1, 3, 2], accuracy=0.4), life([1, 3, 4], accuracy=0.5, seed=1)],
    "adam": [life([1, 5, 8], "blur", 2, optimizer="adam")],
    "missing": [],
}
KINDS = {"biological": {1.0: [0.8, 0.9], 5.0: []}, "random": {}}
SEEDS = [{"steps": [1, 2], "density": [0.5, 0.6]}, {"steps": [1, 3], "density": [0.5, 0.4]}]
POWERS = {"none": [9, 4, 2], "flip": [9, 4, 2], "blank": [0, 0, 0], "blur": [9, 3, 1e-4]}
MARKS = {"blur": {"seen": 0.5, "new": 0.25}, "noise": {"seen": 0.75, "new": 0.1}}
FIGURES = {
    "over epochs": (
        lambda: show.over_epochs(LIVES),
        {"clear": {"x": [1, 2, 3], "y": [1, 3, 3]}, "adam": {"x": [1, 2, 3], "y": [1, 5, 8]}},
    ),
    "minima": (
        lambda: show.minima(LIVES, lambda r: r.series("trace")[-1], "trace"),
        {"clear": {"x": [2, 4], "y": [0.4, 0.5]}, "adam": {"x": [8], "y": [0.5]}},
    ),
    "means": (
        lambda: show.means(KINDS, ("density, %", "accuracy"), log=True),
        {"grown and pruned": {"x": [1], "mean": [0.85]}, "random": {"x": [], "mean": []}},
    ),
    "threads": (
        lambda: show.seed_curves({"biological": SEEDS}, "steps", "density", ("step", "density")),
        {"grown and pruned": {"x": [1, 2], "y": [0.5, 0.6]}},
    ),
    "curves": (
        lambda: show.curves({"a": ([1, 2], [3, 4]), "b": ([1, 2], [5, 6])}, "batches", "trace"),
        {"a": {"x": [1, 2], "y": [3, 4]}, "b": {"x": [1, 2], "y": [5, 6]}},
    ),
    "guesses": (
        lambda: predictions.guess_figure(
            {"a": 0.4, "b": 0.6, "c": 0.9}, {"a": (0.5, 0.1), "c": (0.3, math.nan)}, {}
        ),
        {
            "your guess": {"x": [0.4, 0.6, 0.9], "y": ["a", "b", "c"]},
            "measured": {
                "mean": [0.5, 0.3],
                "low": [0.4, 0.3],
                "high": [0.6, 0.3],
                "y": ["a", "c"],
            },
        },
    ),
    "spectra": (
        lambda: lab03.spectra(POWERS),
        {
            "no deficit": {"x": [1, 2], "y": [4, 2]},
            "vertical flip": {"x": [1, 2], "y": [4, 2]},
            "blur": {"x": [1, 2], "y": [3, 1e-4]},
        },
    ),
    "grouped": (
        lambda: lab03.marks(MARKS, "found"),
        {
            text: {"x": [MARKS[row][text] for row in MARKS], "y": ["blur", "noise"]}
            for text in ("seen", "new")
        },
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_names_what_it_shows_and_has_its_numbers(name):
    draw, expected = FIGURES[name]
    fig = draw()
    assert_whole(fig)
    shown = parts(fig)
    assert list(shown) == [*expected]
    for text, columns in expected.items():
        got = numbers(shown[text][0])
        for column, values in columns.items():
            named = bool(values) and isinstance(values[0], str)
            assert got[column] == (values if named else pytest.approx(values))
    assert len({str(renderers[0].glyph.line_color) for renderers in shown.values()}) == len(shown)


def test_the_end_of_a_deficit_and_networks_of_adam_are_marked():
    ends = [(dots["x"], dots["y"]) for dots in glyphs(show.over_epochs(LIVES), "Scatter")]
    assert ends == [([], []), ([2], [5])]
    shown = parts(show.minima(LIVES, lambda r: 2.0, "sharpness"))
    assert shown["adam"][0].glyph.marker == "triangle" != shown["clear"][0].glyph.marker


def test_rates_are_those_of_training_and_thick_under_the_deficit():
    runs = [Run("blur", 2, 3, recovery=4, schedule=s) for s in ("paper", "recovery")]
    runs.append(Run(onset=2, recovery=3))
    lines = show.rates(runs).renderers
    for run, whole, inside in zip(runs, lines[::2], lines[1::2], strict=True):
        assert numbers(whole) == {
            "x": [*range(run.epochs)],
            "y": [step.lr for step in run.timeline],
        }
        under = [e for e in range(run.epochs) if run.phase(e) == "deficit"]
        assert numbers(inside) == {"x": under, "y": [run.timeline[e].lr for e in under]}
        assert inside.glyph.line_width > 2 * whole.glyph.line_width
    assert len({str(line.glyph.line_dash) for line in lines[::2]}) == 3


def test_means_and_bars_have_their_intervals_and_seeds():
    fig = show.means(KINDS, ("density, %", "accuracy"), log=True)
    drawn = fig.select_one({"name": "band biological"}).data
    assert drawn["high"][0] - drawn["mean"][0] == pytest.approx(12.706 * 0.05, rel=1e-3)
    assert line_below(fig) == f"2 seeds · {statistics.INTERVALS}"
    fig = show.bars({"biological": [0.8, 0.9], "random": []}, "accuracy")
    drawn = fig.select_one({"name": "bars"}).data
    assert list(drawn["kind"]) == ["grown and pruned", "random"]
    assert drawn["mean"][0] == pytest.approx(0.85)
    assert math.isnan(drawn["mean"][1])  # nothing is no number
    assert drawn["high"][0] - drawn["low"][0] == pytest.approx(2 * 12.706 * 0.05, rel=1e-3)
    assert [dots["y"] for dots in glyphs(fig, "Scatter")] == [[0.8, 0.9], []]


def test_two_figures_by_layer_can_be_told_apart_by_their_tags():
    groups = {"blur": np.array([[0.25, 0.75], [0.5, 0.5]])}
    for tag in ("", "other "):
        fig = show.by_layer(["1", "2"], groups, {"blur": "red"}, tag)
        assert_whole(fig)
        source = fig.select_one({"name": f"{tag}blur", "type": ColumnDataSource})
        assert source.data["mean"].tolist() == [0.375, 0.625]
        assert source.data["layer"] == [("1", "blur"), ("2", "blur")]


def test_orders_join_each_name_to_its_measured_place():
    accuracies = {"high": [0.9, 0.91, 0.92], "low": [0.5, 0.52, 0.51], "alone": [0.7], "absent": []}
    truth = {name: np.array(values, dtype=float) for name, values in accuracies.items()}
    order = ["low", "absent", "high", "alone"]
    fig = predictions.order_figure(order, truth, dict.fromkeys(order, "#123456"))
    assert_whole(fig)
    assert fig.select_one({"name": "joined"}).data["ys"] == [[0, 2], [2, 0], [3, 1]]
    words = [text for drawn in glyphs(fig, "Text") for text in drawn["text"]]
    assert f"low: {statistics.percent(*interval(accuracies['low']))} %" in words
    assert "alone: 70.0 %" in words
    assert [word for word in words if word.startswith("absent")] == ["absent"]


def test_estimates_and_sensitivity_stand_beside_the_trace():
    [dots] = glyphs(
        lab04.sampling_figure([10, 100], [[1.0, 3.0], [2.0, 2.2]], exact=2.0), "Scatter"
    )
    assert dots == {"x": [10, 10, 100, 100], "y": pytest.approx([0.5, 1.5, 1.0, 1.1])}
    harms = {0: [0.5, 1.5], 2: [3.0, 5.0]}
    fig = lab04.compare_with_trace([life([1, 3, 2])], harms, "found")
    assert_whole(fig)
    dots = next(r for r in fig.renderers if r.data_source.name == "sensitivity")
    assert dots.y_range_name == "points"
    assert numbers(dots)["x"] == [0, 2]
    assert numbers(dots)["mean"] == [1, 4]
    assert fig.extra_y_ranges["points"].end > max(numbers(dots)["high"])
    assert_whole(lab04.compare_with_trace([], {}, "nothing"))


@pytest.mark.parametrize("place", ["right", "above", "top_left"])
def test_a_legend_stands_in_a_corner_or_outside(place):
    fig = theme.plain_figure("", "", "")
    fig.line([0, 1], [0, 1], legend_label="a line")
    theme.place_legend(fig, place)
    outside = {"right": fig.right, "above": fig.above}
    found = [side for side, items in outside.items() if fig.legend[0] in items]
    assert found == [side for side in outside if side == place]
    assert fig.legend[0].ncols == "auto"  # one row above, whatever its words


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize(
    ("line", "free"),
    [
        ([1, 10, 100, 1000], {"top_left", "bottom_right"}),
        ([1000, 100, 10, 1], {"top_right", "bottom_left"}),
        ([1, 1000, 1], {"top_left", "top_right"}),
        ([1000, 1, 1000], {"bottom_left", "bottom_right"}),
    ],
)
def test_a_legend_hides_no_line_where_a_corner_is_free(scale, line, free):
    """Whichever is asked for; while nothing is drawn it is that one."""
    if scale == "linear":
        line = np.log(line)
    for place in theme.CORNERS:
        for values in (line, [], [np.nan, np.nan]):
            fig = theme.plain_figure("", "", "", y_axis_type=scale)
            fig.line("x", "y", source={"x": range(len(values)), "y": values}, legend_label="line")
            theme.place_legend(fig, place)
            found = fig.legend[0].location
            assert found in free if values is line else found == place
            assert found == place or place not in free


@pytest.mark.parametrize("labels", [["one", "two"], ["words that take most of the room", "two"]])
def test_a_legend_stands_above_where_no_corner_is_free(labels):
    fig = theme.plain_figure("", "", "")
    for label, values in zip(labels, ([1, 0, 1], [0, 1, 0]), strict=True):
        fig.line(range(3), values, legend_label=label)
    legend = theme.place_legend(fig).legend[0]
    assert fig.above[-1] is legend
    assert legend.ncols == (2 if max(map(len, labels)) < 20 else 1)


@pytest.mark.parametrize("count", [1, 3])
def test_figures_beside_each_other_keep_their_size_and_go_below_where_there_is_no_room(count):
    figs = [theme.plain_figure("", "", "", width=400) for _ in range(count)]
    row = theme.side_by_side(figs)
    assert row.children == figs
    assert row.styles["flex-wrap"] == "wrap"
    assert all((fig.width, fig.sizing_mode) == (400, None) for fig in figs)


def test_statements_are_drawn_as_they_are_printed_and_without_a_curve():
    closed = statements("recovered_acuity")
    words, points = lab01.age_figure({"closed": closed}, 600, "cycles/degree", 6.9).children
    for fig in (words, points):
        assert_whole(fig)
        assert not fig.select({"type": Line})
    assert words.x_range is points.x_range
    stated = closed[closed.kind == "point"]
    drawn = numbers(parts(points)["closed"][0])
    assert drawn["y"] == list(stated.value)
    assert drawn["x"] == list((stated.age_low + stated.age_high) / 2)
    assert points.select_one({"type": Span}).location == 6.9
    drawn, stated = words.select_one({"name": "words"}).data, closed[closed.kind == "interval"]
    for column, of in (("text", "words"), ("left", "age_low"), ("right", "age_high")):
        assert list(drawn[column]) == list(stated[of])
    assert len(set(drawn["lane"])) == len(stated)


def test_words_stand_below_each_other_by_what_they_are_about_and_one_without_an_age_in_the_title():
    rows = {"short": statements("sensitivity", "cat"), "long": statements("sensitivity_long")}
    fig = lab01.age_figure(rows, 260)
    assert_whole(fig)
    drawn = fig.select_one({"name": "words"}).data
    assert fig.yaxis[0].major_label_overrides == {0: "short", len(rows["short"]): "long"}
    assert len(drawn["text"]) == len(rows["short"]) + len(rows["long"]) - 1
    assert fig.title.text == "long, adult: none"


def test_the_table_of_statements_gives_each_its_source_and_place():
    rows = statements("recovered_acuity")
    page = lab01.statement_table(rows)
    for one in rows.itertuples():
        stated = one.value_text if one.kind == "point" else one.words
        for text in (one.age_text, stated, one.source, one.where, one.note):
            assert html.escape(text, quote=False) in page


def test_synapses_are_dots_where_numbers_are_and_shades_where_words_are():
    rows = statements("synaptic_density", "macaque")
    fig = lab04.synapses_by_age(rows, GESTATION)
    [dots] = glyphs(fig, "Scatter")
    assert dots["y"] == list(rows.value.dropna())
    [shades] = glyphs(fig, "Quad")
    assert shades["left"] == list(rows.age_low[rows.kind == "interval"] + GESTATION)
    assert fig.select_one({"type": Span}).location == GESTATION
    words = lab04.synapses_by_age(statements("synapse_number", "human"), 266)
    assert not glyphs(words, "Scatter")
    assert not words.yaxis.visible


def test_fans_draw_each_filter_along_its_stripes():
    z = np.array([0.8, -0.5, 0.3j])  # upright, lying, to one side
    fans = lab01.orientation_figure(
        {"a": [z, z], "b": []}, {"a": "#000000", "b": "#ffffff"}
    ).children
    for fig in fans:
        assert_whole(fig)
    drawn = fans[0].select_one({"name": "fan"}).data
    assert len(drawn["x"]) == 6
    ends = np.array([drawn["x"], drawn["y"]]).T[:3]
    assert ends[0] == pytest.approx([0, 0.8])
    assert abs(ends[1]) == pytest.approx([0.5, 0])
    assert abs(ends[2]) == pytest.approx([0.3 / 2**0.5] * 2)
    assert list(drawn["x0"]) == list(-drawn["x"])


def test_a_network_stands_beside_each_animal_that_a_slider_can_move():
    curve = {"x": [1, 2], "mean": [1, 0.5], "low": [0.9, 0.4], "high": [1.1, 0.6]}
    animal = {name: [3, 4] for name in ("x", "left", "right", "mean", "low", "high")}
    figs = lab01.compare_with_animals(
        [curve, curve], [animal, animal], ["one", "two"], "age", "#0072B2"
    )
    for i, fig in enumerate(figs.children):
        assert_whole(fig)
        assert set(parts(fig)) == {"network", "kitten"}
        assert fig.select_one({"name": f"animal{i}"}).data["x"] == [3, 4]


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize(("channels", "scale"), [(1, 1), (3, 1), (1, 4), (3, 4)])
def test_a_strip_holds_every_pixel_of_its_images(channels, scale):
    x = np.random.default_rng(0).integers(0, 256, (3, 5, 4, channels), dtype=np.uint8)
    got = pixels(pictures.png(x, scale))
    assert got.shape[:2] == (5 * scale, (3 * 4 + 2) * scale)
    got = got.reshape(*got.shape[:2], channels)
    small = got[::scale, ::scale]
    assert (small.repeat(scale, 0).repeat(scale, 1) == got).all()
    for i, image in enumerate(x):
        assert (small[:, 5 * i : 5 * i + 4] == image).all()
    assert (small[:, 4::5] == 255).all()  # between the images


def test_pixels_come_back_from_normalised_images_and_stay_between_black_and_white():
    practice = images("practice", "ci")
    x = practice.normal(practice.test_x[:64])
    assert (show.to_pixels(x, practice) == practice.test_x[:64]).all()
    assert show.to_pixels(x + 100, practice).unique().tolist() == [255]
    assert show.to_pixels(x - 100, practice).unique().tolist() == [0]


def test_strips_show_each_row_under_its_caption():
    x = np.random.default_rng(0).integers(0, 256, (2, 2, 3, 4, 3), dtype=np.uint8)
    page = show.strips({"clear": x[0], "blur": x[1]}, scale=2).data
    rows = re.findall(r'>([^<]+)</td><td><img src="data:image/png;base64,([^"]+)"', page)
    assert [caption for caption, _ in rows] == ["clear", "blur"]
    for (_, code), expected in zip(rows, x, strict=True):
        assert base64.b64decode(code) == pictures.png(expected, 2)


def test_every_public_name_is_there():
    for name in show.__all__:
        assert getattr(show, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'figures'"):
        _ = show.figures


@pytest.mark.parametrize("look", ["scatter", "segment", "vbar"])
def test_a_figure_of_nothing_is_a_picture_without_a_warning(tmp_path, look):
    fig, nothing = (
        theme.plain_figure("not trained yet", "x", "y", x_range=(0, 1)),
        {"x": [], "y": []},
    )
    source = ColumnDataSource(nothing | {"width": [], "alpha": []})
    if look == "scatter":
        fig.scatter("x", "y", source=source, fill_alpha="alpha")
    elif look == "segment":
        fig.segment("x", "y", "y", "x", source=source, line_width="width")
    else:
        fig.vbar("x", 0.5, "y", source=source, line_width="width")
    show.save(fig, tmp_path / "nothing.png")
    assert (tmp_path / "nothing.png").stat().st_size > 1000


def test_one_number_for_all_points_is_drawn():
    """A segment from a row of numbers to one number, as the residuals of a fit stand."""
    pictures = []
    for length in (0, 1):
        fig = theme.plain_figure("", "x", "y", x_range=(0, 4), y_range=(0, 4))
        fig.segment([1, 2, 3][: 3 * length], 0, [1, 2, 3][: 3 * length], 3)
        pictures.append(still([fig]))
    assert pictures[0] != pictures[1]
