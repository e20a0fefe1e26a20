"""Figures: what is drawn against a plain computation of the same, looks that differ, pictures."""

import html
import importlib
import io
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import NamedTuple

import matplotlib
import nbformat
import numpy as np
import pytest
from conftest import ROOT
from IPython.core.formatters import DisplayFormatter
from nbconvert import LatexExporter
from PIL import Image

import cplab
from cplab import estimates, lab, quantities, show
from cplab.estimates import estimate
from cplab.output import styles
from cplab.runs import Run
from cplab.show import base
from cplab.show.runs import harm_title

DEFICITS = ("blur", "flip", "permute", "noise", "fresh_noise", "stripes", "blank", "cover")
BLUR = Run("blur", length=16, schedule="fixed", model="depth3", recovery=60)
LATE = replace(BLUR, onset=24)


class Line(NamedTuple):
    """A line that is drawn: its places and its heights."""

    x: list[float]
    y: list[float]


def lines(fig):
    """The lines that have a name: {label: Line}."""
    named = {}
    for line in fig.ax.get_lines():
        label = line.get_label()
        if not label.startswith("_"):
            x, y = line.get_data()
            named[label] = Line([float(number) for number in x], [float(number) for number in y])
    return named


def texts(fig):
    """All texts of a figure that are not empty."""
    return [text for text in fig.findobj(matplotlib.text.Text) if text.get_text()]


def says(fig, words):
    """Whether a text of a figure has these words."""
    return any(words in text.get_text() for text in texts(fig))


def picture_of(content):
    """The picture of a file's bytes, with its transparency."""
    with Image.open(io.BytesIO(content)) as picture:
        return picture.convert("RGBA")


# Looks --------------------------------------------------------------------------------------------


def contrasts(colour):
    """With white and with black, as the Web Content Accessibility Guidelines define it."""
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    light = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = light @ [0.2126, 0.7152, 0.0722]
    return 1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05


def test_all_words_are_legible_on_white_and_on_black():
    fig = show.bars({"a": {"blur": [1.0, 2.0], "flip": [1.0]}}, "harm, points", "Blur harms")
    for text in texts(fig):
        assert min(contrasts(text.get_color())) > 4.5


LOOKS = [styles.style(name) for name in (*DEFICITS, "live")] + [styles.EQUAL, styles.TWIN]


def test_all_lines_are_seen_on_white_and_on_black():
    for look in LOOKS:
        on_white, on_black = contrasts(look.colour)
        assert on_white > 2.2
        assert on_black > 3


def test_no_line_differs_by_colour_alone():
    shapes = set()
    for look in LOOKS:
        drawn = base.line_look(look, points=True)
        shapes.add((str(drawn["linestyle"]), drawn["marker"]))
    assert len(shapes) == len(LOOKS)


WIDTH = 300  # pixels


@pytest.fixture
def narrow():
    """A figure whose label has signs that HTML reads otherwise."""
    return show.curves({'"a" < b': ([1, 2], [3, 4])}, "batches", "trace", width=WIDTH, source="one")


def test_a_figure_says_in_words_what_it_shows(narrow):
    """On a page too, for readers who do not see."""
    assert repr(narrow) == 'trace against batches: "a" < b'
    words = re.search('alt="(.*?)"', narrow._repr_html_())[1]
    assert html.unescape(words) == repr(narrow)


def test_a_figure_scrolls_before_its_words_are_too_small(narrow):
    least = int(re.search(r"min-width:(\d+)px", narrow._repr_html_())[1])
    smallest = min(text.get_fontsize() for text in texts(narrow))  # points
    pixels = least / WIDTH * smallest * 96 / 72
    assert 11 <= pixels < 11.2


def test_a_figure_is_drawn_for_fine_screens_and_is_transparent(narrow):
    most = int(re.search(r"max-width:(\d+)px", narrow._repr_html_())[1])
    assert most == WIDTH
    picture = picture_of(narrow.png())
    assert picture.width == 2 * WIDTH
    *_, opacity = picture.getpixel((0, 0))
    assert opacity == 0


def a_few_means():
    return show.means({"blur": {1: [0.5, 0.6], 2: [0.6, 0.7]}}, ("epochs", "harm")).png()


OTHERS = {"text.usetex": True, "font.size": 30, "axes.facecolor": "black"}


def test_a_figure_is_the_same_whatever_other_code_has_told_matplotlib():
    usual = a_few_means()
    with matplotlib.rc_context(OTHERS):
        assert a_few_means() == usual
        assert matplotlib.rcParams["font.size"] == 30  # and settings stay as they are


def test_on_a_page_a_title_is_text(narrow):
    titled = show.curves({"a": ([1, 2], [3, 4])}, "batches", "trace", "Blur <is> bad")
    assert "Blur &lt;is&gt; bad</p>" in titled._repr_html_()
    assert "</p>" not in narrow._repr_html_()


def test_a_band_ends_where_accuracies_do():
    rows = [[90.0, 99.0], [99.0, 100.0]]
    mean, half = estimates.mean_of_curves(rows)
    fig = show.figure()
    base.draw_band(fig.ax, [1, 2], mean, half, styles.EQUAL, ends=(0, 100))
    [drawn] = fig.ax.collections
    heights = drawn.get_paths()[0].vertices[:, 1]
    assert (mean + half).max() > 100
    assert heights.max() == 100


# Files --------------------------------------------------------------------------------------------


def a_figure():
    return show.figure("a title", width=400, height=200)


def in_a_holder():
    fig = a_figure()
    return SimpleNamespace(figure=[fig, [fig, fig], "words"])


def in_a_list():
    fig = a_figure()
    return [fig, fig]


@pytest.mark.parametrize(
    ("make", "size"),
    [(a_figure, (800, 400)), (in_a_holder, (800, 600)), (in_a_list, (800, 800))],
)
def test_a_figure_is_saved_from_whatever_holds_it(make, size, tmp_path):
    path = show.save(make(), tmp_path / "a.png", width=800)
    with Image.open(path) as image:
        assert image.size == size


@pytest.mark.parametrize(
    ("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_a_figure_is_saved_as_its_ending_says(ending, begins, tmp_path):
    path = show.save(a_figure(), tmp_path / f"a.{ending}")
    assert path.read_bytes().startswith(begins)


def test_a_title_says_level_of_a_narrow_interval_alone():
    narrow, wide = estimate([-0.5, 0.0, 0.5, 0.1]), estimate([-5.0, 5.0, 0.1])
    title = harm_title({"late": narrow, "early": wide})
    assert title.startswith("Late ends level (± 0.7); how early ends, these seeds cannot tell")


# Where HTML is lost, as in a PDF, which is made of LaTeX.


def photographs():
    return show.strips({"clear": np.full((2, 8, 8, 3), 100, dtype=np.uint8)})


def a_question():
    fig = a_figure()
    return lab.question("So?", ["yes", "no"], figure=[fig, fig])


def a_slide():
    figures = {n: show.figure(f"n is {n}", width=400, height=100 * n) for n in (1, 2, 3)}
    return lab.slide(figures, start=1)


def live_training():
    return lab.live({"blur": replace(Run(), seed=0)})


def live_words():
    return lab.live({"never": Run(profile="ci")}, draw=lambda lines: "<p></p>")


# What has a picture there, as large as its figures
SHOWN = {
    a_figure: (400, 200),
    a_question: (400, 400),
    a_slide: (400, 200),
    photographs: None,
    live_training: None,
    cplab.Explorer: None,
}


def test_where_html_is_lost_there_is_a_picture_but_of_words_alone():
    cells = []
    for make in (*SHOWN, live_words):
        data, _ = DisplayFormatter().format(make())
        output = nbformat.v4.new_output("display_data", data)
        cells.append(nbformat.v4.new_code_cell("shown", outputs=[output]))
    notebook = nbformat.v4.new_notebook(cells=cells)
    page, resources = LatexExporter().from_notebook_node(notebook)
    pictures = resources["outputs"]
    for (name, content), size in zip(pictures.items(), SHOWN.values(), strict=True):
        assert name in page
        picture = picture_of(content)
        assert size in (None, picture.size)
        assert any(low < high for low, high in picture.getextrema())  # something is drawn


# Numbers ------------------------------------------------------------------------------------------


def means_of(quantity, runs):
    return pytest.approx([quantity(run).mean for run in runs])


def test_removal_shows_accuracies_after_each_length_beside_those_of_the_controls():
    removal = lines(show.removal(Run(onset=4), ("blur",)))
    lengths = [int(length) for length in removal["blur"].x]
    assert len(lengths) > 2
    blurs = [Run("blur", 4, length) for length in lengths]
    assert removal["blur"].y == means_of(quantities.accuracy, blurs)
    assert removal["twin"].y == means_of(quantities.accuracy, [Run(), Run()])
    equal = [Run(onset=4 + int(length)) for length in removal["equal training"].x]
    assert removal["equal training"].y == means_of(quantities.accuracy, equal)


@pytest.mark.parametrize(
    ("control", "quantity", "sign"),
    [
        ("newborn", quantities.gain_over_newborn, 1),
        ("equal training", quantities.equal_training_loss, -1),
        ("twin", quantities.harm, -1),
    ],
)
def test_differences_from_a_control_are_those_of_its_quantity(control, quantity, sign):
    drawn = lines(show.removal(Run(), ("flip",), control))["vertical flip"]
    runs = [Run("flip", length=int(length)) for length in drawn.x]
    assert [sign * number for number in drawn.y] == means_of(quantity, runs)


DRAWN = {
    "removal": lambda: show.removal(Run(profile="ci"), ("blur",), control="newborn"),
    "clear_epochs": lambda: show.clear_epochs({"blurred": replace(BLUR, profile="ci")}),
    "means": lambda: show.means({}, ("x", "y"), log="x"),
    "forest": lambda: show.forest({"blur": []}, "harm"),
    "by_layer": lambda: show.by_layer({"blur": np.empty((0, 9))}),
}


@pytest.mark.usefixtures("nothing_shipped")
def test_a_figure_or_a_table_without_results_says_so():
    for name, draw in DRAWN.items():
        fig = draw()
        assert says(fig, "not trained yet"), name
        assert fig.png()
    table = show.table({"a": {"harm": []}, "b": {"harm": [np.nan]}})
    assert [*table.harm] == ["not trained yet"] * 2


CORNERS = 6  # of a bracket


def test_clear_epochs_show_mean_curves_after_the_window_and_end_with_the_harm():
    fig = show.clear_epochs({"early": BLUR, "late": LATE})
    never, early, late = lines(fig).values()
    curves = [result.series("test_accuracy") for result in quantities.each_result(BLUR)]
    assert early.x == [*range(1, 61)]
    assert early.y == pytest.approx(100 * np.mean(curves, axis=0)[16:])
    assert late.x[0] == 25  # epochs before a late window count
    harm = quantities.harm(BLUR).mean
    gap = np.mean(never.y[55:60]) - np.mean(early.y[55:60])
    assert gap == pytest.approx(harm, abs=0.3)  # of other seeds in part
    [bracket] = [line for line in fig.ax.get_lines() if len(line.get_ydata()) == CORNERS]
    assert np.ptp(bracket.get_ydata()) == pytest.approx(harm)


def test_clear_epochs_name_a_run_without_results_beside_its_control():
    fig = show.clear_epochs({"never": replace(BLUR, length=17)})
    assert says(fig, "not trained yet: never")


def test_a_quantity_over_epochs_is_its_mean():
    run = Run(onset=24, profile="fit")
    curves = [result.series("trace") for result in quantities.each_result(run, "trace")]
    shown = lines(show.over_epochs({"clear": run, "missing": replace(run, recovery=1)}))
    assert shown == {"clear": ([*range(1, 45)], pytest.approx(np.mean(curves, axis=0)))}
    figure = show.over_epochs({"clear": run}, "log_det")  # which results with the trace have
    assert len(lines(figure)["clear"].x) > 5


# The 95 % interval of 0.8 and 0.9 is ± 12.706 standard errors, by Student's t.
INTERVAL = 2 * 12.706 * 0.05


def test_means_are_drawn_where_there_are_values_with_their_interval():
    kinds = {"biological": {1.0: [0.8, 0.9], 5.0: []}, "random": {2.0: [0.5]}}
    means = show.means(kinds, ("density, %", "accuracy"), percent=True, log="x")
    assert lines(means) == {
        "grown and pruned": ([1], [pytest.approx(0.85)]),
        "random": ([2], [0.5]),
    }
    [corners] = [path.vertices for path in means.ax.collections[0].get_paths()]
    assert np.ptp(corners[:, 1]) == pytest.approx(INTERVAL, rel=1e-3)


def test_a_bar_has_its_mean_its_interval_and_a_dot_for_each_value():
    bars = show.bars({"biological": [0.8, 0.9], "random": []}, "accuracy")
    assert bars.ax.patches[0].get_height() == pytest.approx(0.85)
    [whisker] = bars.ax.collections[0].get_segments()
    assert np.ptp(whisker[:, 1]) == pytest.approx(INTERVAL, rel=1e-3)
    assert [*bars.ax.get_lines()[0].get_ydata()] == [0.8, 0.9]


def test_each_seed_of_a_curve_is_a_line_under_one_name():
    seeds = [([1, 2], [0.5, 0.6]), ([1, 3], [0.5, 0.4])]
    fig = show.curves({"seeds": seeds, "one": ([1, 2], [3, 4])}, "step", "density")
    drawn = [line.get_ydata().tolist() for line in fig.ax.get_lines()]
    assert drawn == [[0.5, 0.6], [0.5, 0.4], [3, 4]]
    assert [*lines(fig)] == ["seeds", "one"]


def test_zero_has_no_place_on_a_logarithmic_axis_of_curves():
    fig = show.curves({"loss": ([1, 2, 3], [0, 2, 3])}, "step", "loss", log="y")
    assert np.isnan(lines(fig)["loss"].y).tolist() == [True, False, False]


def test_by_layer_has_a_bar_for_each_mean():
    fig = show.by_layer({"blur": [[0.25, 0.75], [0.5, 0.5]]})
    assert [bar.get_height() for bar in fig.ax.patches] == [0.375, 0.625]


def test_a_forest_has_the_most_harmed_above_and_names_what_has_no_results():
    harms = {"flip": [-6.0, -7.0], "noise": [5.0], "noise, renorm": [2.0, 1.0], "blur, held": []}
    forest = show.forest(harms, "harm, points")
    from_below = [label.get_text() for label in forest.ax.get_yticklabels()]
    assert from_below == ["vertical flip", "noise, renorm", "noise"]
    means = [line for line in forest.ax.get_lines() if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in means] == [-6.5, 1.5, 5]
    assert says(forest, "not trained yet: blur, held")


# Pictures under titles ----------------------------------------------------------------------------


def grey(path):
    """A picture on white, a quarter as wide, in shades from 0 to 255."""
    with Image.open(path) as picture:
        clear = picture.convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("L")
    return np.asarray(flat.resize((300, 300 * clear.height // clear.width)), float)


def assert_alike(path, expected):
    """Of another matplotlib letters may differ by a hair."""
    drawn = grey(path)
    stored = grey(expected)
    assert abs(len(drawn) - len(stored)) < 4, expected
    rows = min(len(drawn), len(stored))
    different = np.abs(drawn[:rows] - stored[:rows]) > 20
    assert different.mean() < 0.003, expected


def test_the_pictures_under_titles_are_what_results_give_today(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    first_pictures = importlib.import_module("first_pictures")
    for name, draw in first_pictures.every().items():
        wide = f"{name}.png"
        with quantities.shipped_only():
            figure = draw()
            show.save(figure, tmp_path / wide, 960 if name == "flagship" else 1200)
        assert_alike(tmp_path / wide, first_pictures.PICTURES / wide)


def test_harm_by_a_field_draws_the_harm_of_each_run_at_its_value():
    runs = [Run("blur", onset, 8) for onset in (24, 0, 4)]
    line = show.harm_by("onset", {"blur": runs}).ax.lines[0]
    expected = [(onset, quantities.harm(Run("blur", onset, 8)).mean) for onset in (0, 4, 24)]
    assert line.get_xydata() == pytest.approx(np.array(expected))
