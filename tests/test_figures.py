"""Figures: every number against a plain computation of the same, and looks that differ."""

import base64
import io
import math
import re
from dataclasses import replace
from itertools import combinations

import matplotlib
import numpy as np
import pytest
import torch
from bokeh.core.validation import check_integrity
from bokeh.models import ColumnDataSource, Line, Span, Title
from PIL import Image

import cplab
from cplab import quantities, show, statistics
from cplab.data import images
from cplab.results import Result, keep
from cplab.runs import Run
from cplab.show import pictures, predictions, theme, to_pixels
from cplab.show.previews import preview
from cplab.show.still import still
from cplab.studies import fisher as lab04
from cplab.studies import kitten as lab01
from cplab.studies import paper_schedule
from cplab.studies.kitten import statements

# What is left of red, green and blue light for protanopes, deuteranopes and tritanopes (Machado,
# Oliveira & Fernandes 2009, severity 1)
BLIND = [
    [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
]
DEFICITS = ("blur", "flip", "permute", "noise", "fresh_noise", "stripes", "blank")
CI = Run(profile="ci")


def kept(deficit, onset, length, seed, accuracy=0.5, source="live", copy="practice", **setting):
    """A result that was kept, of a life of such an end."""
    run = Run(deficit, onset, length, profile=setting.pop("profile", "ci"), seed=seed, **setting)
    row = {"lr": 0.1, "train_loss": 1.0, "test_accuracy": accuracy, "seconds": 1.0}
    values = run.values([row | {"epoch": epoch} for epoch in range(run.epochs)])
    made = Result(run, values, 1.0, copy, "cpu", "float32", 1, "2", "")
    return replace(keep(made), source=source)


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


def assert_whole(*figs):
    """Bokeh finds no glyph without its column and no factor twice."""
    for fig in figs:
        found = check_integrity(fig.references())
        assert (found.error, found.warning) == ([], [])


# Looks --------------------------------------------------------------------------------------------


def cielab(colour, eye):
    light = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    light = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    rgb = [[0.4339, 0.3763, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1095, 0.8728]]
    f = np.cbrt(np.array(rgb) @ np.clip(eye @ light, 0, 1))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eye", [np.eye(3), *map(np.array, BLIND)], ids=lambda eye: eye[0][0])
def test_no_eye_takes_the_colour_of_one_deficit_for_another(eye):
    for a, b in combinations((*DEFICITS, "live"), 2):
        apart = cielab(show.colour(a), eye) - cielab(show.colour(b), eye)
        assert np.linalg.norm(apart) > 15, (a, b)


def test_every_deficit_has_words_and_a_second_cue_beside_colour():
    looks = [*map(theme.style, (*DEFICITS, "live")), theme.EQUAL, theme.NEWBORN]
    assert len({look.label for look in looks}) == len(looks)
    assert len({(look.dash, look.marker) for look in looks}) == len(looks)
    assert len({look.dash for look in looks}) > 3


def test_the_source_line_says_profile_copy_seeds_and_practice():
    practice = [kept("blur", 0, 2, s) for s in range(3)]
    assert show.source_line(practice) == "live · profile ci · PRACTICE images · 3 seeds"
    course = {"profile": "course", "source": "shipped", "copy": "cifar10-jpeg"}
    rows = [kept("blur", 0, 2, s, **course) for s in range(5)]
    course |= {"source": "live", "copy": "mnist-0a1b2c3d4e5f"}
    rows += [kept("none", 0, 0, s, **course) for s in (0, 1)]
    parts = show.source_line(rows).split(" · ")
    images = "images CIFAR-10 (JPEG), MNIST"
    assert parts == ["shipped and live", "profile course", images, "2 to 5 seeds"]
    assert "1 seed" in show.source_line([life([1, 2])])


# Of results ---------------------------------------------------------------------------------------


@pytest.fixture
def made_up(nothing_shipped):
    """Accuracies by deficit, onset, length and seed, of which some points have fewer seeds, and
    some lack a control."""
    rng = np.random.default_rng(0)
    kinds = (("none", [0]), ("blur", [2, 4]), ("flip", [2, 4]))
    at = [(name, on, n) for name, lengths in kinds for on in (0, 1, 2, 4, 6) for n in lengths]
    missing = {("none", 4, 0, 1), ("none", 6, 0, 0), ("none", 6, 0, 4), ("none", 0, 0, 4)}
    missing |= {("blur", 2, 4, 0), ("flip", 4, 2, 0), ("flip", 4, 2, 1)}
    places = {(*point, seed) for point in at for seed in (0, 1, 4)} - missing
    return {place: kept(*place, rng.uniform()).accuracy for place in sorted(places)}


def accuracies(made_up, *point):
    return {seed: right for (*place, seed), right in made_up.items() if (*place,) == point}


@pytest.mark.parametrize("onset", [0, 2])
def test_removal_shows_each_number_where_it_belongs(onset, made_up):
    fig = show.removal(replace(CI, onset=onset), ("blur", "flip"))
    assert_whole(fig)
    shown = {text: numbers(renderers[0]) for text, renderers in parts(fig).items()}
    wanted = {
        "blur": [("none", onset, 0), ("blur", onset, 2), ("blur", onset, 4)],
        "vertical flip": [("none", onset, 0), ("flip", onset, 2), ("flip", onset, 4)],
        "equal training": [("none", onset + n, 0) for n in (0, 2, 4)],  # no deficit is 1 or 6 long
        "newborn": [("none", 0, 0)] * 2,
    }
    assert set(shown) == {*wanted}
    for text, points in wanted.items():
        assert shown[text]["x"] == ([0, 4] if text == "newborn" else [0, 2, 4])
        each = [[*accuracies(made_up, *point).values()] for point in points]
        assert shown[text]["mean"] == pytest.approx([np.mean(one) for one in each])
        ends = [statistics.estimate(one).half for one in each]
        high = [np.mean(one) + np.nan_to_num(half) for one, half in zip(each, ends, strict=True)]
        assert shown[text]["high"] == pytest.approx(high)


CONTROLS = {
    "newborn": ("newborn", quantities.gain_over_newborn, 1),
    "equal training": ("equal training", quantities.equal_training_loss, -1),
    "without window": ("the same run without it", quantities.harm, -1),
}


@pytest.mark.parametrize("control", CONTROLS)
def test_differences_from_a_control_are_those_of_its_contrast(control, made_up):
    words, of, sign = CONTROLS[control]
    fig = show.removal(CI, ("blur", "flip"), control)
    assert_whole(fig)
    assert words in fig.title.text.replace("\n", " ")
    for deficit, text in (("blur", "blur"), ("flip", "vertical flip")):
        got = numbers(parts(fig)[text][0])
        means = {n: of(Run(deficit, 0, n, profile="ci")).mean for n in (2, 4)}
        known = {n: sign * mean for n, mean in means.items() if not math.isnan(mean)}
        assert dict(zip(got["x"], got["mean"], strict=True)) == pytest.approx(known)


def test_removal_takes_the_results_of_one_setting_and_says_their_source(made_up):
    kept("blur", 0, 8, 0, schedule="fixed")
    for schedule, lengths in (("recovery", [0, 2, 4]), ("fixed", [8])):
        fig = show.removal(replace(CI, schedule=schedule), ("blur",))
        assert numbers(parts(fig)["blur"][0])["x"] == lengths
        assert schedule in fig.title.text
        assert line_below(fig).startswith("live · ")
    with quantities.shipped_only():
        assert line_below(show.removal(CI)) == "no results yet"


def test_figures_without_any_results_are_whole(nothing_shipped):
    fig = show.removal(CI)
    assert_whole(fig, show.removal(CI, ("blur",), control="newborn"))
    assert "newborn" not in parts(fig)
    assert show.over_epochs({"missing": []}).renderers == []
    assert line_below(show.means({}, ("x", "y"), log=True)) == "not computed yet"


# Against numbers that are given -------------------------------------------------------------------

LIVES = {
    "clear": [life([1, 3, 2], accuracy=0.4), life([1, 3, 4], accuracy=0.5, seed=1)],
    "adam": [life([1, 5, 8], "blur", 2, optimizer="adam")],
    "missing": [],
}
KINDS = {"biological": {1.0: [0.8, 0.9], 5.0: []}, "random": {}}
SEEDS = [([1, 2], [0.5, 0.6]), ([1, 3], [0.5, 0.4])]
GUESSES = {"a": 0.4, "b": 0.6, "c": 0.9}, {"a": (0.5, 0.1), "c": (0.3, math.nan)}, {}
MEASURED = {"mean": [0.5, 0.3], "low": [0.4, 0.3], "high": [0.6, 0.3], "y": ["a", "c"]}
FIGURES = {
    "over epochs": (
        lambda: show.over_epochs(LIVES),
        {"clear": {"x": [1, 2, 3], "y": [1, 3, 3]}, "adam": {"x": [1, 2, 3], "y": [1, 5, 8]}},
    ),
    "means": (
        lambda: show.means(KINDS, ("density, %", "accuracy"), log=True),
        {"grown and pruned": {"x": [1], "mean": [0.85]}, "random": {"x": [], "mean": []}},
    ),
    "seeds": (
        lambda: show.curves({"biological": SEEDS}, "step", "density"),
        {"grown and pruned": {"x": [1, 2], "y": [0.5, 0.6]}},
    ),
    "curves": (
        lambda: show.curves({"a": ([1, 2], [3, 4]), "b": ([1, 2], [5, 6])}, "batches", "trace"),
        {"a": {"x": [1, 2], "y": [3, 4]}, "b": {"x": [1, 2], "y": [5, 6]}},
    ),
    "guesses": (
        lambda: predictions.guess_figure(*GUESSES),
        {"your guess": {"x": [0.4, 0.6, 0.9], "y": ["a", "b", "c"]}, "measured": MEASURED},
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


def test_rates_are_those_of_training_and_thick_under_the_deficit():
    runs = [Run("blur", 2, 3, recovery=4, schedule=s) for s in ("paper", "recovery")]
    lines = paper_schedule.rates(runs).renderers
    for run, whole, inside in zip(runs, lines[::2], lines[1::2], strict=True):
        rate = [step.lr for step in run.timeline]
        assert numbers(whole) == {"x": [*range(run.epochs)], "y": rate}
        assert numbers(inside) == {"x": [2, 3, 4], "y": rate[2:5]}
        assert inside.glyph.line_width > 2 * whole.glyph.line_width


def test_means_bars_and_layers_have_their_intervals_and_seeds():
    fig = show.means(KINDS, ("density, %", "accuracy"), log=True)
    drawn = fig.select_one({"name": "band biological"}).data
    assert drawn["high"][0] - drawn["mean"][0] == pytest.approx(12.706 * 0.05, rel=1e-3)
    assert line_below(fig) == f"2 seeds · {statistics.INTERVALS}"
    fig = show.bars({"biological": [0.8, 0.9], "random": []}, "accuracy")
    drawn = fig.select_one({"name": "bars"}).data
    assert list(drawn["kind"]) == ["grown and pruned", "random"]
    assert drawn["mean"] == pytest.approx([0.85, math.nan], nan_ok=True)  # nothing is no number
    assert drawn["high"][0] - drawn["low"][0] == pytest.approx(2 * 12.706 * 0.05, rel=1e-3)
    assert [dots["y"] for dots in glyphs(fig, "Scatter")] == [[0.8, 0.9], []]
    fig = show.by_layer(2, {"blur": [[0.25, 0.75], [0.5, 0.5]]}, {"blur": "red"})
    assert_whole(fig)
    drawn = fig.select_one({"name": "blur", "type": ColumnDataSource}).data
    assert drawn["mean"].tolist() == [0.375, 0.625]
    assert drawn["layer"] == [("1", "blur"), ("2", "blur")]


# Of labs ------------------------------------------------------------------------------------------


def test_sensitivity_stands_beside_the_trace():
    fig = lab04.compare_with_trace([life([1, 3, 2])], {0: [0.5, 1.5], 2: [3.0, 5.0]}, "found")
    assert_whole(fig, lab04.compare_with_trace([], {}, "nothing"))
    dots = next(r for r in fig.renderers if r.data_source.name == "sensitivity")
    assert dots.y_range_name == "points"
    assert (numbers(dots)["x"], numbers(dots)["mean"]) == ([0, 2], [1, 4])
    assert fig.extra_y_ranges["points"].end > max(numbers(dots)["high"])


def test_statements_are_drawn_as_they_are_printed_and_without_a_curve():
    closed = statements("recovered_acuity")
    words, points = lab01.age_figure({"closed": closed}, "", 600, "cycles/degree", 6.9).children
    assert_whole(words, points)
    assert not [*words.select({"type": Line}), *points.select({"type": Line})]
    assert words.x_range is points.x_range
    stated = closed[closed.kind == "point"]
    drawn = numbers(parts(points)["closed"][0])
    assert drawn["y"] == list(stated.value)
    assert drawn["x"] == list((stated.age_low + stated.age_high) / 2)
    assert points.select_one({"type": Span}).location == 6.9
    drawn, stated = words.select_one({"name": "words"}).data, closed[closed.kind == "interval"]
    for column, of in (("text", "words"), ("first", "age_low"), ("last", "age_high")):
        assert list(drawn[column]) == list(stated[of])
    assert len(set(drawn["lane"])) == len(stated)


def test_fans_draw_each_filter_along_its_stripes():
    z = np.array([0.8, -0.5, 0.3j])  # upright, lying, to one side
    hues = {"a": "#000000", "b": "#ffffff"}
    fans = lab01.orientation_figure({"a": [z, z], "b": []}, hues).children
    assert_whole(*fans)
    drawn = fans[0].select_one({"name": "fan"}).data
    ends = np.array([drawn["x"], drawn["y"]]).T
    assert ends[0] == pytest.approx([0, 0.8])
    assert abs(ends[1]) == pytest.approx([0.5, 0])
    assert abs(ends[2]) == pytest.approx([0.3 / 2**0.5] * 2)
    assert list(drawn["x0"]) == list(-drawn["x"])


# Pictures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "scale"), [(1, 4), (3, 1)])
def test_a_strip_holds_every_pixel_of_its_images(channels, scale):
    x = np.random.default_rng(0).integers(0, 256, (3, 5, 4, channels), dtype=np.uint8)
    got = np.asarray(Image.open(io.BytesIO(pictures.png(x, scale))))
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
    shown = show.strips({"clear": x[0], "blur": x[1]}, scale=2)
    page = shown.data
    rows = re.findall(r'>([^<]+)</td><td><img src="data:image/png;base64,([^"]+)"', page)
    assert [caption for caption, _ in rows] == ["clear", "blur"]
    for (_, code), expected in zip(rows, x, strict=True):
        assert base64.b64decode(code) == pictures.png(expected, 2)
    assert repr(shown).split() == ["clear", "blur"]


def test_a_picture_is_the_same_whatever_other_code_has_told_matplotlib():
    def drawn():
        return still(theme.plain_figure("a title", "x", "y", x_range=(0, 1), y_range=(0, 1)))

    usual = drawn()
    with matplotlib.rc_context({"text.usetex": True, "font.size": 30, "axes.facecolor": "black"}):
        assert drawn() == usual
        assert matplotlib.rcParams["font.size"] == 30


@pytest.mark.parametrize("look", ["scatter", "segment", "vbar"])
def test_a_figure_of_nothing_is_a_picture_without_a_warning(tmp_path, look):
    fig = theme.plain_figure("not trained yet", "x", "y", x_range=(0, 1))
    at = {"segment": ("x", "y", "y", "x"), "vbar": ("x", 0.5, "y")}.get(look, ("x", "y"))
    how = {"line_width": "width"} | ({} if look == "segment" else {"fill_alpha": "alpha"})
    source = ColumnDataSource({column: [] for column in ("x", "y", "width", "alpha")})
    getattr(fig, look)(*at, source=source, **how)
    show.save(fig, tmp_path / "nothing.png")
    assert (tmp_path / "nothing.png").stat().st_size > 1000


def picture(fig):
    return np.asarray(Image.open(io.BytesIO(still(fig))).convert("RGB")).astype(int)


@pytest.mark.parametrize(
    ("look", "at", "how"),
    [
        ("segment", ("x", 0, "x", 3), {}),  # as the residuals of a fit stand
        ("scatter", (2, "x"), {"marker": "x"}),
        ("text", ("x", 2, {"value": "a word"}), {"text_align": "left"}),
    ],
)
def test_one_value_for_all_points_is_drawn(look, at, how):
    """Also a word that is the name of a column."""
    drawn = []
    for row in ([], [1, 2, 3]):
        fig = theme.plain_figure("", "x", "y", x_range=(0, 4), y_range=(0, 4))
        source = ColumnDataSource({"x": row, "left": row})
        getattr(fig, look)(*at, source=source, color="#FF0000", **how)
        drawn.append((picture(fig)[..., 0] - picture(fig)[..., 1] > 100).any(0))
    assert not drawn[0].any()
    assert drawn[1].any()


def test_what_has_its_own_axis_on_the_right_is_drawn_by_it():
    """Points at the top of the right axis stand at the top of the picture."""
    fig = lab04.compare_with_trace([life([900, 900, 900])], {0: [5.0, 5.0], 2: [5.0, 5.0]}, "found")
    red, green, blue = np.moveaxis(picture(fig), 2, 0)
    high = np.flatnonzero(((blue - red > 120) & (green > 60)).any(1)).min()
    assert high < fig.height / 2


# Deficits drawn without torch ---------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["ci", "course", "paper"])
def test_a_preview_is_what_the_network_sees(profile):
    images = cplab.images("practice", profile)
    x, y = images.normal(images.train_x[:3]), images.train_y[:3]
    for name in ("none", "blur-2", "blank", "blur+flip"):
        wanted = to_pixels(cplab.apply_deficit(x, y, name)[0], images).numpy().astype(int)
        rows, shown = preview("practice", profile, name)
        assert shown == "practice"
        assert np.array_equal(rows["clear"], images.train_x[:3])
        # of blank, the middle of fewer images
        assert np.abs(rows["seen"] - wanted).max() <= (5 if name == "blank" else 1), name


def test_noise_is_seen_as_noise_of_that_kind():
    images = cplab.images("practice", "course")
    for name in ("noise", "fresh_noise"):
        rows, _ = preview("practice", "course", name, count=60)
        mean, std = rows["seen"].mean((0, 1, 2)), rows["seen"].std((0, 1, 2))
        assert mean == pytest.approx(images.mean.numpy(), rel=0.05)
        assert std == pytest.approx(images.std.numpy(), rel=0.05)


def test_a_deficit_of_ones_own_is_seen_as_well():
    def covered(x, y):
        x = x.clone()
        x[..., -4:, :] = 0
        return x, y

    rows, _ = preview("practice", "ci", covered)
    mean = torch.round(cplab.images("practice", "ci").mean).byte().numpy()
    assert (rows["seen"][:, -4:] == mean).all()
    assert np.array_equal(rows["seen"][:, :4], rows["clear"][:, :4])
