"""Figures and their statistics: every number against a plain computation of the same."""

import base64
import html
import io
import math
import re
import sys
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from bokeh.core.validation import check_integrity
from bokeh.models import ColumnDataSource, Line, Span
from PIL import Image
from scipy import stats

from cplab import biology, figures, intervals
from cplab.data import images
from cplab.experiment import DEFICITS, Run
from cplab.records import Record

# Okabe and Ito's colour-blind-safe set, and indigo of Paul Tol's muted one
SAFE = {"#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#000000"}
SAFE |= {"#332288"}
# What is left of red, green and blue light for protanopes, deuteranopes and tritanopes (Machado,
# Oliveira & Fernandes 2009, severity 1)
BLIND = [
    [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
]


def row(deficit, onset, length, seed, accuracy=0.5, source="live", copy="practice", **setting):
    """One line of a table of records."""
    run = Run(deficit, onset, length, profile=setting.pop("profile", "ci"), seed=seed, **setting)
    fields = {n: getattr(run, n) for n in intervals.SETTING}
    fields |= {"deficit": run.deficit, "onset": onset, "length": length, "seed": seed}
    return {**fields, "accuracy": accuracy, "source": source, "copy": copy}


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
    """A summary by loops over the rows: {(deficit, onset, length): {column: value}}."""
    accuracy = {(r.deficit, r.onset, r.length, r.seed): r.accuracy for r in table.itertuples()}
    expected = {}
    for deficit, onset, length in {key[:3] for key in accuracy}:
        ours, loss, gain = [], [], []
        for (*point, seed), value in accuracy.items():
            if point == [deficit, onset, length]:
                ours.append(value)
                loss.append(accuracy.get(("none", onset + length, 0, seed), math.nan) - value)
                gain.append(value - accuracy.get(("none", 0, 0, seed), math.nan))
        columns = {"seeds": len(ours), "pairs": sum(not math.isnan(v) for v in loss)}
        for name, values in (("accuracy", ours), ("loss", loss), ("gain", gain)):
            columns[name], columns[f"{name}_half"] = interval(values)
        expected[deficit, onset, length] = columns
    return expected


# Statistics -------------------------------------------------------------------------------------


def test_half_width_has_its_closed_form_for_two_and_three_seeds():
    """Student's t of one degree of freedom is a tangent, of two an algebraic function."""
    assert intervals.half_width(1, 2) == pytest.approx(math.tan(0.475 * math.pi) / math.sqrt(2))
    assert intervals.half_width(1, 3) == pytest.approx(0.95 * math.sqrt(2 / (1 - 0.95**2) / 3))


@pytest.mark.parametrize("count", [2, 3, 5, 30])
def test_half_width_is_that_of_scipys_interval(count):
    sample = np.random.default_rng(count).normal(size=count)
    assert intervals.half_width(sample.std(ddof=1), count) == pytest.approx(interval(sample)[1])


def test_the_interval_covers_the_mean_in_95_of_100_cases():
    samples = np.random.default_rng(0).normal(3, 2, (20_000, 5))
    half = intervals.half_width(samples.std(1, ddof=1), 5)
    assert np.mean(abs(samples.mean(1) - 3) < half) == pytest.approx(0.95, abs=0.005)


def test_half_width_takes_columns_and_knows_no_interval_of_one_seed():
    got = intervals.half_width(pd.Series([1.0, np.nan, 2.0]), pd.Series([2, 1, 3]))
    assert np.isnan(got[1])
    assert got[[0, 2]] == pytest.approx([intervals.half_width(1, 2), intervals.half_width(2, 3)])
    assert np.isnan(intervals.half_width(1.0, 1))


@pytest.mark.parametrize("seeds", [(0, 1, 4), (0, 1, 4, 7, 9), (0,)])
def test_summary_is_what_loops_over_the_records_give(seeds):
    table = made_up(seeds)
    expected = the_slow_way(table)
    got = intervals.summary(table)
    assert {*got.index} == {*expected}
    assert len(got) == len(expected)
    assert {*got.columns} == {*next(iter(expected.values()))}
    for point, columns in expected.items():
        assert got.loc[point].to_dict() == pytest.approx(columns, nan_ok=True), point


def test_summary_pairs_each_record_with_the_controls_of_its_own_seed():
    """Seeds that differ by much, and a deficit that costs each of them exactly as much."""
    rows = []
    for seed, level in enumerate((0.2, 0.5, 0.9)):
        rows += [row("blur", 1, 2, seed, level - 0.1), row("none", 3, 0, seed, level)]
        rows += [row("none", 0, 0, seed, level - 0.15)]
    point = intervals.summary(pd.DataFrame(rows)).loc["blur", 1, 2]
    assert point[["loss", "loss_half", "gain", "gain_half"]].to_list() == pytest.approx(
        [0.1, 0, 0.05, 0]
    )
    assert point.accuracy_half > 0.5


def test_summary_of_one_seed_has_no_interval():
    point = intervals.summary(made_up(seeds=(0,))).loc["blur", 0, 2]
    assert np.isnan(point[["accuracy_half", "loss_half", "gain_half"]].to_list()).all()
    assert np.isfinite(point[["accuracy", "loss", "gain"]].to_list()).all()


def test_summary_without_any_control_knows_accuracies_alone():
    table = made_up()
    got = intervals.summary(table[table.deficit != "none"])
    assert got[["loss", "gain", "loss_half", "gain_half"]].isna().all(axis=None)
    assert (got.pairs == 0).all()
    assert got.accuracy.notna().all()


def test_summary_of_no_records_is_empty():
    assert intervals.summary(made_up()[:0]).empty


@pytest.mark.parametrize(
    "other",
    [{"profile": "course"}, {"dataset": "mnist"}, {"model": "allcnn-8"}, {"schedule": "fixed"},
     {"recovery": 4}, {"optimizer": "adam"}, {"trace": "every"}, {"momentum": 0.0},
     {"arithmetic": "float32"}],
)  # fmt: skip
def test_select_keeps_the_rows_of_one_setting(other):
    table = pd.DataFrame(
        [
            row("blur", 0, 2, 0, 0.1),
            row("blur", 0, 2, 0, 0.2, **other),
            row("none", 3, 0, 5, 0.3),
        ]
    )
    like = Run("flip", 1, 1, profile="ci", seed=3)
    assert intervals.select(table, like).accuracy.to_list() == [0.1, 0.3]
    assert intervals.select(table, replace(like, **other)).accuracy.to_list() in ([0.2], [])


def record(accuracies, seed=0):
    run = Run(onset=len(accuracies) - 1, recovery=1, profile="ci", seed=seed)
    curve = [{"epoch": e, "test_accuracy": value} for e, value in enumerate(accuracies)]
    return Record(run, accuracies[-1], curve, 1.0, "", "cpu", "float32", 1, "", "")


def test_mean_curve_has_mean_and_interval_of_each_epoch():
    curves = [[0.1, 0.4, 0.5], [0.2, 0.3, 0.9], [0.3, 0.2, 0.1]]
    got = intervals.mean_curve([record(c, seed) for seed, c in enumerate(curves)])
    assert got["epoch"].tolist() == [1, 2, 3]
    for epoch in range(3):
        mean, half = interval([curve[epoch] for curve in curves])
        assert got["mean"][epoch] == pytest.approx(mean)
        assert got["low"][epoch] == pytest.approx(mean - half)
        assert got["high"][epoch] == pytest.approx(mean + half)


def test_mean_curve_of_one_seed_has_no_band():
    got = intervals.mean_curve([record([0.1, 0.4])])
    assert got["mean"].tolist() == got["low"].tolist() == got["high"].tolist() == [0.1, 0.4]


def test_mean_curve_of_no_records_is_empty():
    assert {name: len(got) for name, got in intervals.mean_curve([]).items()} == dict.fromkeys(
        ("epoch", "mean", "low", "high"), 0
    )


# Words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0.55123, 0.00712), "55.1 ± 0.7"),
        ((0.55123,), "55.1"),
        ((0.55123, math.nan), "55.1"),
        ((0.55123, 0.1), "55 ± 10"),
        ((0.55123, 0.0999), "55.1 ± 10.0"),
        ((1, 0), "100.0 ± 0.0"),
        ((0.021, 0.01, True), "+2.1 ± 1.0"),
        ((-0.021, 0.01, True), "-2.1 ± 1.0"),
        ((-0.021, 0.2), "-2 ± 20"),
    ],
)
def test_percent(arguments, text):
    assert intervals.percent(*arguments) == text


def test_percent_says_no_more_digits_than_the_interval_allows():
    rng = np.random.default_rng(0)
    for mean, half in zip(rng.uniform(-1, 1, 2000), 10 ** rng.uniform(-6, 0, 2000), strict=True):
        text = intervals.percent(mean, half)
        numbers = re.fullmatch(r"(-?\d+(?:\.\d)?) ± (\d+(?:\.\d)?)", text)
        assert numbers, text
        assert ("." in text) == (half < 0.1)
        step = 0.1 if half < 0.1 else 1
        for shown, value in zip(numbers.groups(), (mean, half), strict=True):
            assert abs(float(shown) - 100 * value) <= step / 2 + 1e-9


@pytest.mark.parametrize(
    ("sources", "words"),
    [(["live"], "live"), (["shipped"], "cached"), (["live", "shipped"], "cached and live")],
)
def test_label_says_what_is_cached_and_what_is_live(sources, words):
    table = pd.DataFrame([row("blur", 0, 2, s, 0.5, source) for s, source in enumerate(sources)])
    assert figures.label(table).split(" · ")[0] == words


def test_label_says_profile_copy_seeds_and_practice():
    practice = pd.DataFrame([row("blur", 0, 2, s, 0.5) for s in range(3)])
    assert figures.label(practice) == "live · PRACTICE images, ci · practice · seeds: 3"
    real = pd.DataFrame(
        [row("blur", 0, 2, s, 0.5, "shipped", "cifar10-jpeg", profile="course") for s in range(5)]
        + [row("none", 0, 0, s, 0.5, "live", "cifar10-original", profile="course") for s in (0, 1)]
    )
    text = figures.label(real)
    assert "PRACTICE" not in text
    assert text == "cached and live · course · cifar10-jpeg, cifar10-original · seeds: 2 to 5"


def test_label_of_no_records_says_so():
    assert figures.label(made_up()[:0]) == "no records yet"


def test_every_deficit_has_words_and_a_strength_is_said():
    assert set(figures.NAMES) == set(DEFICITS)
    assert len({*figures.NAMES.values()}) == len(DEFICITS)
    assert figures.name("flip") == "vertical flip"
    assert figures.name("blur-2") == "blur (2×)"


# Colours ----------------------------------------------------------------------------------------


def luminance(colour):
    """Relative luminance (WCAG) of #rrggbb."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return np.dot((0.2126, 0.7152, 0.0722), linear)


def test_every_deficit_has_one_colour_of_the_colour_blind_safe_set():
    assert set(figures.COLOURS) == set(DEFICITS) - {"none"}
    used = [*figures.COLOURS.values(), figures.LIVE]
    assert set(used) <= SAFE
    assert len(set(used)) == len(used)


def cielab(colour, eye):
    light = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    light = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    rgb = [[0.4339, 0.3763, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1095, 0.8728]]
    f = np.cbrt(np.array(rgb) @ np.clip(eye @ light, 0, 1))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eye", [np.eye(3), *map(np.array, BLIND)], ids=lambda eye: eye[0][0])
def test_no_eye_takes_the_colour_of_one_deficit_for_another(eye):
    seen = {c: cielab(c, eye) for c in (*figures.COLOURS.values(), figures.LIVE)}
    for a, b in combinations(seen, 2):
        assert np.linalg.norm(seen[a] - seen[b]) > 15, (a, b)


def test_controls_are_greys_that_can_be_told_apart():
    for grey in (figures.EQUAL, figures.NEWBORN):
        assert grey[1:3] == grey[3:5] == grey[5:7]
    dark, light = sorted(map(luminance, (figures.EQUAL, figures.NEWBORN)))
    assert (light + 0.05) / (dark + 0.05) > 2


def test_a_strength_keeps_the_colour_of_its_deficit():
    assert figures.colour("blur-2") == figures.colour("blur") == figures.COLOURS["blur"]
    assert figures.colour("none") == figures.EQUAL
    for a, b in combinations(figures.COLOURS, 2):
        assert figures.colour(a) != figures.colour(b)


# Whole figures ----------------------------------------------------------------------------------


def parts(fig):
    """What the legend names: {text: renderers}."""
    return {item.label.value: item.renderers for item in fig.legend[0].items}


def numbers(renderer):
    return {name: list(values) for name, values in renderer.data_source.data.items()}


def assert_whole(fig):
    """Bokeh finds no glyph without its column and no factor twice."""
    found = check_integrity(fig.references())
    assert (found.error, found.warning) == ([], [])


def test_removal_shows_each_number_where_it_belongs():
    table = made_up()
    expected = the_slow_way(table)
    fig = figures.removal(Run(profile="ci"), ("blur", "flip"), table=table)
    assert_whole(fig)
    shown = parts(fig)
    assert set(shown) == {"equal training", "newborn", "blur", "vertical flip"}
    for deficit, text in (("blur", "blur"), ("flip", "vertical flip")):
        got = numbers(shown[text][0])
        assert got["length"] == [0, 2, 4]
        points = [("none", 0, 0), (deficit, 0, 2), (deficit, 0, 4)]
        assert_band(got, [expected[p] for p in points])
    got = numbers(shown["equal training"][0])
    assert got["length"] == [0, 2, 4]  # not 1 and 6: no deficit is that long
    assert_band(got, [expected["none", n, 0] for n in got["length"]])
    got = numbers(shown["newborn"][0])
    assert got["length"] == [0, 4]
    assert_band(got, [expected["none", 0, 0]] * 2)


def assert_band(got, expected):
    for mean, low, high, columns in zip(
        got["mean"], got["low"], got["high"], expected, strict=True
    ):
        half = np.nan_to_num(columns["accuracy_half"])
        assert (mean, low, high) == pytest.approx(
            (columns["accuracy"], columns["accuracy"] - half, columns["accuracy"] + half)
        )


def test_removal_at_a_later_onset_compares_with_as_many_clear_epochs():
    table = made_up()
    expected = the_slow_way(table)
    shown = parts(figures.removal(Run(onset=2, profile="ci"), ("blur",), table=table))
    got = numbers(shown["blur"][0])
    assert got["length"] == [0, 2, 4]
    assert_band(got, [expected[p] for p in (("none", 2, 0), ("blur", 2, 2), ("blur", 2, 4))])
    got = numbers(shown["equal training"][0])
    assert got["length"] == [0, 2, 4]
    assert_band(got, [expected["none", 2 + n, 0] for n in (0, 2, 4)])


def test_removal_takes_the_records_of_one_setting_and_titles_them():
    other = [row("blur", 0, 8, s, 0.9, schedule="fixed") for s in range(2)]
    table = pd.concat([made_up(), pd.DataFrame(other)], ignore_index=True)
    fig = figures.removal(Run(profile="ci"), ("blur",), table=table)
    assert numbers(parts(fig)["blur"][0])["length"] == [0, 2, 4]
    assert fig.title.text.startswith("recovery schedule: live · PRACTICE images, ci · practice")
    fig = figures.removal(Run(profile="ci", schedule="fixed"), ("blur",), table=table)
    assert numbers(parts(fig)["blur"][0])["length"] == [8]
    assert fig.title.text == "fixed schedule: live · PRACTICE images, ci · practice · seeds: 2"


def test_removal_labels_the_records_that_it_shows_alone():
    cached = [row("blur", 0, 4, 0, source="shipped")]
    elsewhere = [row("flip", 0, 2, 7), row("blur", 1, 2, 7), row("none", 9, 0, 7)]

    def source(deficits, rows, onset=0):
        like = Run(onset=onset, profile="ci")
        title = figures.removal(like, deficits, table=pd.DataFrame(rows)).title.text
        return title.removeprefix("recovery schedule: ").split(" · ")[0]

    assert source(("blur",), cached + elsewhere) == "cached"
    assert source(("blur", "flip"), cached + elsewhere) == "cached and live"
    assert source(("blur",), [*cached, row("none", 0, 0, 0)]) == "cached and live"
    assert source(("blur",), [*cached, row("none", 4, 0, 0)]) == "cached and live"
    assert source(("blur",), cached + elsewhere, onset=1) == "live"


def test_removal_reads_all_records_where_no_table_is_given(nothing_shipped):
    fig = figures.removal(Run(profile="ci"))
    assert_whole(fig)
    assert "no records yet" in fig.title.text
    assert "newborn" not in parts(fig)


def test_removal_of_one_seed_draws_no_interval():
    shown = parts(figures.removal(Run(profile="ci"), ("blur",), table=made_up(seeds=(0,))))
    got = numbers(shown["blur"][0])
    assert got["mean"] == got["low"] == got["high"]


@pytest.mark.parametrize("deficit", list(figures.COLOURS))
def test_a_deficit_has_its_colour_in_every_figure(deficit):
    table = pd.DataFrame([row(deficit, 0, n, s, 0.5) for n in (2, 4) for s in range(2)])
    renderers = [
        *parts(figures.removal(Run(profile="ci"), (deficit,), table=table))[figures.name(deficit)],
        *parts(figures.rates([Run(deficit, 0, 4)]))[f"{figures.name(deficit)} until 4"],
    ]
    assert renderers
    for renderer in renderers:
        assert renderer.glyph.line_color == figures.COLOURS[deficit]
    fig = figures.removal(Run(profile="ci"), (deficit,), table=table)
    areas = [r for r in fig.renderers if type(r.glyph).__name__ == "VArea"]
    assert [a.glyph.fill_color for a in areas] == [figures.EQUAL, figures.COLOURS[deficit]]


def test_rates_are_those_of_training_and_thick_under_the_deficit():
    runs = [Run("blur", 2, 3, recovery=4, schedule=s) for s in ("paper", "recovery")]
    runs.append(Run(onset=2, recovery=3))
    fig = figures.rates(runs)
    assert_whole(fig)
    lines = fig.renderers
    assert len(lines) == 6
    for run, whole, inside in zip(runs, lines[::2], lines[1::2], strict=True):
        got = numbers(whole)
        assert got == {"x": [*range(run.epochs)], "y": [step.lr for step in run.steps]}
        under = [e for e in range(run.epochs) if run.phase(e) == "deficit"]
        assert numbers(inside) == {"x": under, "y": [run.steps[e].lr for e in under]}
        assert inside.glyph.line_width > 2 * whole.glyph.line_width
    assert set(parts(fig)) == {"blur until 5", "no deficit"}


def test_guesses_shows_each_guess_and_each_truth_on_its_row():
    names = ["first", "second", "third"]
    truth = [(0.5, 0.02), None, (0.3, math.nan)]
    fig = figures.guesses(names, [0.4, 0.6, 0.9], truth)
    assert_whole(fig)
    assert fig.y_range.factors == names[::-1]  # the first on top
    shown = parts(fig)
    assert numbers(shown["your guess"][0]) == {"x": [0.4, 0.6, 0.9], "y": names}
    assert shown["your guess"][0].glyph.fill_alpha == 0
    got = numbers(shown["measured"][0])
    assert got["y"] == ["first", "third"]
    assert got["x"] == [0.5, 0.3]
    assert got["low"] == pytest.approx([0.48, 0.3])
    assert got["high"] == pytest.approx([0.52, 0.3])
    [whisker] = [one for one in fig.center if type(one).__name__ == "Whisker"]
    assert whisker.source is shown["measured"][0].data_source
    assert whisker.dimension == "width"


def test_guesses_without_any_truth_shows_the_guesses():
    fig = figures.guesses(["one"], [0.4], [None])
    assert_whole(fig)
    assert set(parts(fig)) == {"your guess"}


# Pictures ---------------------------------------------------------------------------------------


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [1, 4])
def test_a_strip_holds_every_pixel_of_its_images(channels, scale):
    x = np.random.default_rng(0).integers(0, 256, (3, 5, 4, channels), dtype=np.uint8)
    got = pixels(figures.png(x, scale))
    assert got.shape[:2] == (5 * scale, (3 * 4 + 2) * scale)
    got = got.reshape(*got.shape[:2], channels)
    small = got[::scale, ::scale]
    assert (small.repeat(scale, 0).repeat(scale, 1) == got).all()
    for i, image in enumerate(x):
        assert (small[:, 5 * i : 5 * i + 4] == image).all()
    assert (small[:, 4::5] == 255).all()  # between the images


def test_pixels_come_back_from_normalised_images():
    practice = images("practice", "ci")
    x = practice.test_x[:64]
    assert (figures.to_pixels(practice.normal(x), practice) == x).all()


def test_pixels_beyond_white_and_black_stay_there():
    practice = images("practice", "ci")
    x = practice.normal(practice.test_x[:2])
    assert figures.to_pixels(x + 100, practice).unique().tolist() == [255]
    assert figures.to_pixels(x - 100, practice).unique().tolist() == [0]


def test_strips_show_each_row_under_its_caption():
    x = np.random.default_rng(0).integers(0, 256, (2, 2, 3, 4, 3), dtype=np.uint8)
    page = figures.strips({"clear": x[0], "blur": x[1]}, scale=2).data
    rows = re.findall(
        r'>([^<]+)</td><td><img src="data:image/png;base64,([^"]+)" alt="(\w+)"', page
    )
    assert [(caption, alt) for caption, _, alt in rows] == [("clear", "clear"), ("blur", "blur")]
    for (_, code, _), expected in zip(rows, x, strict=True):
        assert base64.b64decode(code) == figures.png(expected, 2)


# Showing ----------------------------------------------------------------------------------------


@pytest.fixture
def notebook(monkeypatch):
    """A list of what is shown, as if in a notebook whose kernel has just started."""
    did = []
    monkeypatch.setattr(figures, "_loaded", False)
    monkeypatch.setattr("IPython.get_ipython", object)
    monkeypatch.setattr("bokeh.io.output_notebook", lambda source, **_: did.append(source.mode))
    monkeypatch.setattr("bokeh.io.show", did.append)
    return did


def test_bokeh_is_loaded_from_the_package_when_asked_and_once_for_widgets(notebook):
    figures.ready(again=False)
    figures.ready(again=False)
    assert notebook == ["inline"]
    figures.ready()
    assert notebook == ["inline", "inline"]


def test_figures_are_shown_side_by_side(notebook):
    one, other = figures.plain_figure("", "", ""), figures.plain_figure("", "", "")
    figures.show(one)
    figures.show(one, other)
    assert notebook[0] is one
    assert notebook[1].children == [one, other]


def test_on_colab_every_figure_brings_bokeh_from_the_network(notebook, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", object())
    fig = figures.plain_figure("", "", "")
    figures.show(fig)
    figures.show(fig)
    assert notebook == ["cdn", fig, "cdn", fig]


# Without a notebook -----------------------------------------------------------------------------


def test_figures_and_explorer_need_no_running_jupyter(python):
    """In plain Python, where neither JupyterLab nor jupyter_bokeh is installed."""
    code = """
import sys
sys.modules |= {"jupyterlab": None, "jupyter_bokeh": None, "notebook": None}
import cplab
from cplab import Run, figures, widgets
from IPython import get_ipython
assert get_ipython() is None
figures.ready()
figures.removal(Run(profile="ci"))
explorer = cplab.Explorer(profile="ci")
explorer.length.value = 4
print(explorer.readout.value)
"""
    out, err = python(code).communicate(timeout=300)
    assert "Nobody has trained Blur from epoch 0 to 4" in out, err


# Animals, filters, and both ---------------------------------------------------------------------


def known(*rows):
    """Filters of one colour."""
    return np.array(rows, dtype=float)[:, None]


UPRIGHT = [[-1, 2, -1]] * 3


def test_orientation_of_stripes_that_one_knows():
    lying = np.transpose(UPRIGHT)
    rising, falling = np.eye(3)[::-1] * 3 - 1, np.eye(3) * 3 - 1
    z = figures.orientation(known(UPRIGHT, lying, rising, falling))
    assert z[0].real > 0.7
    assert np.isclose(z[1], -z[0])
    assert z[0].imag == pytest.approx(0, abs=1e-12)
    assert z[2:].real == pytest.approx(0, abs=1e-12)
    assert z[3].imag == pytest.approx(-z[2].imag)
    assert abs(z[2].imag) > 0.4


def test_orientation_of_a_grating_is_its_tilt():
    y, x = np.mgrid[:33, :33]
    for down, across in ((0, 5), (5, 0), (4, 4), (3, -6), (2, 7)):
        wave = np.cos(2 * np.pi * (down * y + across * x) / 33)
        [z] = figures.orientation(wave[None, None])
        assert abs(z) == pytest.approx(1)
        assert np.exp(1j * np.angle(z)) == pytest.approx(np.exp(2j * np.arctan2(down, across)))


def test_orientation_takes_strength_and_sign_and_brightness_for_nothing():
    f = np.random.default_rng(0).normal(size=(5, 3, 3, 3))
    z = figures.orientation(f)
    assert figures.orientation(-7 * f) == pytest.approx(z)
    assert figures.orientation(f[..., ::-1]) == pytest.approx(z.conj())  # in a mirror
    assert figures.orientation(np.rot90(f, axes=(2, 3))) == pytest.approx(-z)
    assert figures.orientation(known(np.zeros((3, 3)), np.ones((3, 3)))) == pytest.approx(0)
    assert figures.orientation(known(UPRIGHT)[:, 0]) == figures.orientation(known(UPRIGHT))


def test_orientation_of_many_random_filters_has_no_preference():
    z = figures.orientation(np.random.default_rng(0).normal(size=(4000, 3, 3, 3)))
    assert abs(z.mean()) < 4 * abs(z).std() / 4000**0.5 + 0.01


def test_stated_draws_what_is_printed_and_no_curve():
    closed = biology.animals("recovered_acuity")
    words, numbers_ = figures.stated({"closed": closed}, 600, "cycles/degree", 6.9).children
    for fig in (words, numbers_):
        assert_whole(fig)
        assert not fig.select({"type": Line})
    assert words.x_range is numbers_.x_range
    points = closed[closed.kind == "point"]
    drawn = numbers(parts(numbers_)["closed"][0])
    assert drawn["y"] == list(points.value)
    assert drawn["x"] == list((points.age_low + points.age_high) / 2)
    [line] = numbers_.select({"type": Span})
    assert line.location == 6.9
    stretches = words.select_one({"name": "words"}).data
    told = closed[closed.kind == "interval"]
    assert stretches["text"] == list(told.words)
    assert stretches["left"] == list(told.age_low)
    assert stretches["right"] == list(told.age_high)
    assert len(set(stretches["lane"])) == 2  # they overlap


def test_words_that_follow_each_other_share_a_lane_and_one_without_an_age_is_the_title():
    rows = {
        "short": biology.animals("sensitivity", "cat"),
        "long": biology.animals("sensitivity_long"),
    }
    fig = figures.stated(rows, 260)
    assert_whole(fig)
    drawn = fig.select_one({"name": "words"}).data
    assert drawn["lane"][:3] == ["short"] * 3
    assert drawn["lane"][3] == "long"
    assert len(drawn["text"]) == len(rows["short"]) + len(rows["long"]) - 1
    assert fig.title.text == "long, adult: none"
    assert fig.xaxis.axis_label == "age, days"


def test_statements_give_each_its_source_and_place():
    rows = biology.animals("recovered_acuity")
    page = figures.statements(rows).data
    for row in rows.itertuples():
        stated = row.value_text if row.kind == "point" else row.words
        for text in (row.age_text, stated, row.source, row.where, row.note):
            assert html.escape(text, quote=False) in page


def test_fans_draw_each_filter_along_its_stripes():
    z = figures.orientation(known(UPRIGHT, np.transpose(UPRIGHT), np.eye(3)))
    fans = figures.fans({"a": [z, z], "b": []}, {"a": "#000000", "b": "#ffffff"}).children
    for fig in fans:
        assert_whole(fig)
    drawn = fans[0].select_one({"name": "fan"}).data
    assert len(drawn["x"]) == 6
    ends = np.array([drawn["x"], drawn["y"]]).T[:3]
    assert np.hypot(*ends.T) == pytest.approx(abs(z))
    assert ends[0] == pytest.approx([0, abs(z[0])])  # upright
    assert abs(ends[1]) == pytest.approx([abs(z[1]), 0], abs=1e-9)  # lying
    assert ends[2][0] * ends[2][1] < 0  # from the upper left to the lower right
    assert list(drawn["x0"]) == list(-drawn["x"])


def test_beside_has_a_source_for_each_animal():
    curve = {"x": [1, 2], "mean": [1, 0.5], "low": [0.9, 0.4], "high": [1.1, 0.6]}
    animal = {name: [3, 4] for name in ("x", "left", "right", "mean", "low", "high")}
    row = figures.beside([curve, curve], [animal, animal], ["one", "two"], "age", "#0072B2")
    for i, fig in enumerate(row.children):
        assert_whole(fig)
        assert set(parts(fig)) == {"network", "kitten"}
        assert fig.select_one({"name": f"animal{i}"}).data["x"] == [3, 4]


# High-level deficits ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "column", "sign"), [("newborn", "gain", 1), ("equal training", "loss", -1)]
)
def test_against_shows_the_differences_from_a_control(control, column, sign):
    table = made_up()
    expected = the_slow_way(table)
    fig = figures.against(Run(profile="ci"), ("blur", "flip"), control, table=table)
    assert_whole(fig)
    assert "no records" not in fig.title.text
    shown = parts(fig)
    assert set(shown) == {"blur", "vertical flip"}
    for deficit, text in (("blur", "blur"), ("flip", "vertical flip")):
        got = numbers(shown[text][0])
        lengths = [n for n in (2, 4) if not math.isnan(expected[deficit, 0, n][column])]
        assert got["length"] == lengths
        for i, length in enumerate(lengths):
            point = expected[deficit, 0, length]
            mean, half = 100 * sign * point[column], 100 * np.nan_to_num(point[f"{column}_half"])
            bounds = [got[name][i] for name in ("low", "mean", "high")]
            assert bounds == pytest.approx([mean - half, mean, mean + half])


def test_against_no_records_is_empty(nothing_shipped):
    assert_whole(figures.against(Run(profile="ci"), ("blur",)))


def test_spectra_leave_out_the_mean_and_what_has_no_power():
    powers = {"none": [9, 4, 2], "flip": [9, 4, 2], "blank": [0, 0, 0], "blur": [9, 3, 1e-4]}
    fig = figures.spectra(powers)
    assert_whole(fig)
    shown = parts(fig)
    assert list(shown) == ["no deficit", "vertical flip", "blur"]
    for text, power in (("no deficit", [4, 2]), ("blur", [3, 1e-4])):
        assert numbers(shown[text][0]) == {"x": [1, 2], "y": power}
    dashes = {str(renderers[0].glyph.line_dash) for renderers in shown.values()}
    assert len(dashes) == 2  # what lies on another line is dashed


def test_grouped_marks_every_row_in_every_column():
    columns = {"seen before": [0.5, 0.75], "new": [0.25, 0.1]}
    fig = figures.grouped(["blur", "noise"], columns, chance=0.1)
    assert_whole(fig)
    shown = parts(fig)
    assert list(shown) == list(columns)
    for text, values in columns.items():
        assert numbers(shown[text][0]) == {"x": values, "y": ["blur", "noise"]}
    assert fig.y_range.factors == ["noise", "blur"]  # the first on top
    assert fig.x_range.end > 0.75


def by_seed(*values, first=0):
    return pd.Series(values, index=range(first, first + len(values)), dtype=float)


TRUTH = {
    "high": by_seed(0.9, 0.91, 0.92),
    "low": by_seed(0.5, 0.52, 0.51),
    "near low": by_seed(0.52, 0.50, 0.51),
    "alone": by_seed(0.7),
    "absent": by_seed(),
}


def test_agreement_counts_the_pairs_that_the_seeds_tell_apart():
    names = ["high", "low", "near low", "alone", "absent"]
    assert figures.agreement(names[:3], TRUTH) == (2, 2, 3)
    assert figures.agreement(["low", "high", "near low"], TRUTH) == (1, 2, 3)
    assert figures.agreement(names[2::-1], TRUTH) == (0, 2, 3)
    assert figures.agreement(names, TRUTH) == (2, 2, 10)  # one seed has no interval


def test_agreement_compares_seed_by_seed():
    rng = np.random.default_rng(0)
    luck = rng.uniform(0, 1, 6)
    truth = {"better": by_seed(*(luck + 0.01 + rng.normal(0, 0.001, 6))), "worse": by_seed(*luck)}
    assert figures.agreement(["better", "worse"], truth) == (1, 1, 1)
    shuffled = truth | {"worse": by_seed(*luck[::-1])}
    assert figures.agreement(["better", "worse"], shuffled) == (0, 0, 1)
    apart = truth | {"worse": by_seed(*luck, first=6)}
    assert figures.agreement(["better", "worse"], apart) == (0, 0, 1)


def test_orders_join_each_name_to_its_measured_place():
    order = ["low", "absent", "high", "alone"]
    fig = figures.orders(order, TRUTH, dict.fromkeys(order, "#123456"))
    assert_whole(fig)
    lines = [r.data_source.data for r in fig.renderers if type(r.glyph).__name__ == "Line"]
    assert [list(line["y"]) for line in lines] == [[0, 2], [2, 0], [3, 1]]
    words = [
        text
        for r in fig.renderers
        if type(r.glyph).__name__ == "Text"
        for text in r.data_source.data["text"]
    ]
    mean, half = interval(list(TRUTH["low"]))
    assert f"low: {100 * mean:.1f} ± {100 * half:.1f} %" in words
    assert "alone: 70.0 %" in words
    assert [word for word in words if word.startswith("absent")] == ["absent"]


@pytest.mark.parametrize("place", ["right", "above", "top_left"])
def test_a_legend_stands_in_a_corner_or_outside(place):
    fig = figures.plain_figure("", "", "")
    fig.line([0, 1], [0, 1], legend_label="a line")
    figures.tidy_legend(fig, place)
    [legend] = fig.legend
    outside = {"right": fig.right, "above": fig.above}
    assert [side for side, items in outside.items() if legend in items] == [
        side for side in outside if side == place
    ]
    assert (legend in fig.center) == (place == "top_left")


# Traces, layers, minima -------------------------------------------------------------------------


def traced(traces, deficit="none", length=0, seed=0, accuracy=0.5, **setting):
    """A record of the fit profile with such a trace after each epoch, in two layers."""
    when = {"length": length} if length else {"onset": len(traces) - 1}
    run = Run(deficit, profile="fit", recovery=len(traces) - length - when.get("onset", 0),
              trace="every", seed=seed, **when, **setting)  # fmt: skip
    curve = [
        {
            "epoch": e,
            "train_loss": 1 / (e + 1),
            "test_accuracy": accuracy,
            "trace": [t / 4, t * 3 / 4],
        }
        for e, t in enumerate(traces)
    ]
    provenance = {"copy": "x", "device": "x", "precision": "x", "threads": 1, "torch": "x"}
    return Record(run, accuracy, curve, 1.0, **provenance, commit="x", final={"sharpness": 2.0})


def test_mean_half_and_its_words():
    assert intervals.mean_half([1.0, 2.0, 4.0]) == pytest.approx(interval([1.0, 2.0, 4.0]))
    assert intervals.told([1.0, 2.0, 4.0]) == "2.3 ± 3.8 (3 seeds)"
    assert intervals.told([0.125], 2) == "0.12 (1 seed)"
    assert intervals.told([]) == "not trained yet"
    assert np.isnan(intervals.mean_half([])).all()


def test_a_factor_is_the_geometric_mean_with_an_interval_around_it():
    assert intervals.factor([1.0, 4.0, 16.0]) == "4 × (0.13 to 1.3e+02)"
    mean, half = interval(np.log([1.0, 4.0, 16.0]))
    assert np.exp([mean - half, mean + half]) == pytest.approx([0.128, 125], rel=0.01)
    assert intervals.factor([3.0]) == "3 ×"
    assert intervals.factor([0.0, np.nan]) == intervals.factor([]) == "not trained yet"


def test_over_epochs_sums_the_layers_and_marks_the_end_of_a_deficit():
    groups = {
        "clear": [traced([1, 3, 2], seed=s) for s in range(2)],
        "blurred": [traced([1, 5, 4], "blur", 2)],
        "missing": [],
    }
    fig = figures.over_epochs(groups)
    assert_whole(fig)
    lines = {k: v[0] for k, v in parts(fig).items()}
    assert set(lines) == {"clear", "blurred"}
    assert numbers(lines["clear"])["y"] == [1, 3, 2]
    dots = [r for r in fig.renderers if type(r.glyph).__name__ == "Scatter"]
    ends = [(list(r.data_source.data["x"]), list(r.data_source.data["y"])) for r in dots]
    assert ends == [([], []), ([2], [5])]
    assert figures.over_epochs({"missing": []}).renderers == []


def test_sampling_shows_each_estimate_as_a_part_of_the_exact_value():
    fig = figures.sampling([10, 100], [[1.0, 3.0], [2.0, 2.2]], exact=2.0)
    [dots] = [r for r in fig.renderers if type(r.glyph).__name__ == "Scatter"]
    assert dots.data_source.data["x"].tolist() == [10, 10, 100, 100]
    assert dots.data_source.data["y"].tolist() == pytest.approx([0.5, 1.5, 1.0, 1.1])


def test_sensitivity_stands_beside_the_trace_on_an_axis_of_its_own():
    points = {"onset": [0, 2], "mean": [1.0, 4.0], "low": [0.5, 3.0], "high": [1.5, 5.0]}
    fig = figures.beside_trace([traced([1, 3, 2])], points, at=1)
    assert_whole(fig)
    [dots] = [r for r in fig.renderers if r.data_source.name == "sensitivity" and "size" in
              r.glyph.properties()]  # fmt: skip
    assert dots.y_range_name == "points"
    assert list(dots.data_source.data["epoch"]) == [1, 3]
    assert fig.extra_y_ranges["points"].end > 5
    assert_whole(figures.beside_trace([], {name: [] for name in points}))


def test_synapses_draws_a_dot_for_a_number_and_a_shade_for_words():
    rows = biology.animals("synaptic_density", "macaque")
    fig = figures.synapses(rows, 165)
    kinds = [type(r.glyph).__name__ for r in fig.renderers]
    assert kinds.count("Scatter") == rows.value.notna().sum() == 3
    assert kinds.count("Quad") == (rows.kind == "interval").sum()
    [line] = [one for one in fig.center if isinstance(one, Span)]
    assert line.location == 165
    words = figures.synapses(biology.animals("synapse_number", "human"), 266)
    assert "Scatter" not in [type(r.glyph).__name__ for r in words.renderers]
    assert not words.yaxis.visible


def test_minima_has_a_dot_for_each_network():
    groups = {
        "clear": [traced([1, 2], accuracy=0.4), traced([1, 4], accuracy=0.5, seed=1)],
        "adam": [traced([1, 8], "blur", 1, optimizer="adam")],
        "missing": [],
    }
    fig = figures.minima(groups, lambda r: r.series("trace")[-1], "trace")
    shown = {k: v[0] for k, v in parts(fig).items()}
    assert set(shown) == {"clear", "adam"}
    assert numbers(shown["clear"])["x"] == [2, 4]
    assert numbers(shown["clear"])["y"] == [0.4, 0.5]
    assert shown["adam"].glyph.marker == "triangle"
    assert shown["adam"].glyph.fill_color == figures.COLOURS["blur"]


def test_two_figures_by_layer_can_be_told_apart_by_their_tags():
    groups = {"blur": np.array([[0.25, 0.75], [0.5, 0.5]])}
    figs = [figures.by_layer(["1", "2"], groups, {"blur": "red"}, tag) for tag in ("", "other ")]
    for fig, name in zip(figs, ("blur", "other blur"), strict=True):
        source = fig.select_one({"name": name, "type": ColumnDataSource})
        assert source.data["mean"].tolist() == [0.375, 0.625]
        assert source.data["layer"] == [("1", "blur"), ("2", "blur")]


def test_curves_are_lines_with_their_words():
    fig = figures.curves({"one": ([1, 2], [3, 4]), "other": ([1, 2], [5, 6])}, "batches", "trace")
    assert_whole(fig)
    assert numbers(parts(fig)["other"][0])["y"] == [5, 6]
