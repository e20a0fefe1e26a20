"""Figures on a phone: as narrow as the page, nothing of them cut, and as they were afterwards."""

import io
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from cplab import Run, quantities, show
from cplab.labs import lab01, lab05
from cplab.show import base
from cplab.show.phone import PHONE, narrowed

EARLY = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)
LONG = "Three blocks of layers, blurred from birth for a long time"
FIGURES = {
    "curves with a title": lambda: show.clear_epochs(
        {"blur from birth": EARLY, "blur after 24 clear epochs": EARLY.replace(onset=24)}
    ),
    "points with long names": lambda: show.forest({LONG: quantities.harm(EARLY)}, "harm, points"),
    "bars": lambda: show.bars({LONG: quantities.harm(EARLY), "none": [1.0, 2.0]}, "harm, points"),
    "curves of harm": lambda: show.harm_curves({LONG: EARLY, "none": EARLY.newborn()}),
    "axes side by side": lambda: lab05.draw_maps({LONG: np.eye(28), "b": np.eye(28)}, "Two maps"),
    "means": lambda: show.means({LONG: {1: [1, 2], 2: [3, 4]}, "b": {1: [2], 2: [2]}}, ("x", "y")),
}


def narrow(figure):
    return narrowed(figure, base.wrap, base.TITLE, base.TEXT)


def drawn_box(figure):
    """The box around all that is drawn, in inches."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return figure.get_tightbbox(canvas.get_renderer())


@pytest.mark.parametrize("name", FIGURES)
def test_on_a_phone_no_word_of_a_figure_is_cut(name):
    figure = FIGURES[name]()
    with narrow(figure) as is_narrow:
        assert is_narrow
        across, high = figure.get_size_inches()
        drawn = drawn_box(figure)
        assert across * 96 == pytest.approx(PHONE)
        assert drawn.x0 > -0.02
        assert drawn.x1 < across + 0.02
        assert drawn.y0 > -0.02
        assert drawn.y1 < high + 0.02


@pytest.mark.parametrize("name", FIGURES)
def test_afterwards_a_figure_is_as_it_was(name):
    figure = FIGURES[name]()
    before = figure.png()
    with narrow(figure):
        figure.png()
    assert figure.png() == before


def test_axes_side_by_side_stand_one_below_the_other():
    figure = FIGURES["axes side by side"]()
    with narrow(figure):
        FigureCanvasAgg(figure).draw()
        boxes = [ax.get_position() for ax in figure.axes]
        assert len({round(box.x0, 2) for box in boxes}) == 1
        for upper, lower in pairwise(boxes):
            assert lower.y1 < upper.y0


CAPTIONS = {"clear", "upside down"}


@pytest.fixture
def rows():
    """Two rows of eight photographs."""
    photographs = np.zeros((8, 16, 16, 3), np.uint8)
    return show.strips(dict.fromkeys(sorted(CAPTIONS), photographs))


def test_rows_of_photographs_are_as_wide_as_a_phone(rows):
    with Image.open(io.BytesIO(rows.narrow_png())) as drawn:
        assert drawn.width == 2 * PHONE


def test_rows_of_photographs_have_fewer_on_a_phone(rows):
    assert 2 < len(rows.narrower().artists) < 16


def test_rows_of_photographs_keep_their_captions_on_a_phone(rows):
    assert {text.get_text() for text in rows.narrower().texts} == CAPTIONS


def test_words_of_two_lines_beside_an_axis_do_not_touch():
    figure = show.forest({LONG + str(n): [1.0, 2.0] for n in range(8)}, "harm, points")
    with narrow(figure):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        boxes = [label.get_window_extent() for label in figure.ax.get_yticklabels()]
        boxes.sort(key=lambda box: box.y0)
        for lower, upper in pairwise(boxes):
            assert lower.y1 <= upper.y0


STATEMENTS = {
    "one eye closed": lab01.statements("recovered_acuity"),
    "reared in the dark": lab01.statements("dark_reared_acuity"),
}


@pytest.mark.filterwarnings("error")  # matplotlib's, where words leave the axes no room
def test_statements_of_animal_papers_fit_on_a_phone():
    figure = lab01.age_figure(STATEMENTS, 600, "cycles/degree", 6.9).narrower()
    across, _ = figure.get_size_inches()
    drawn = drawn_box(figure)
    assert across * 96 == pytest.approx(PHONE)
    assert drawn.x0 > -0.02
    assert drawn.x1 < across + 0.02
    for ax in figure.axes:
        assert ax.get_position().width > 0.6


def test_only_pages_have_both_drawings(monkeypatch):
    figure = FIGURES["bars"]()
    assert "<picture" not in figure._repr_html_()
    monkeypatch.setenv(base.PHONES, "1")
    assert figure._repr_html_().count("base64") == 2
