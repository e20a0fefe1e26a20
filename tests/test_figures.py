"""Figures: what is drawn against a plain computation of the same, looks that differ, polls."""

import html
import importlib
import io
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, one_line
from IPython.core.formatters import DisplayFormatter
from matplotlib.font_manager import fontManager
from nbconvert import LatexExporter, RSTExporter
from PIL import Image

import cplab
from cplab import estimates, lab, previews, quantities, show, styles
from cplab.errors import CplabError
from cplab.previews import pictures, preview, set_to_show
from cplab.runs import Run
from cplab.show import base

DEFICITS = ("blur", "flip", "permute", "noise", "fresh_noise", "stripes", "blank")
BLUR = Run("blur", length=16, schedule="fixed", model="depth3", recovery=60)


def lines(fig):
    """What has a name: {label: (x, y)}."""
    drawn = [(line.get_label(), line.get_data()) for line in fig.ax.get_lines()]
    named = {text: data for text, data in drawn if text[:1] not in "_"}
    return {text: [[*map(float, row)] for row in data] for text, data in named.items()}


def words(fig):
    """All text of a figure."""
    return [text.get_text() for text in fig.findobj(matplotlib.text.Text) if text.get_text()]


def contrasts(colour):
    """With white and with black, as the Web Content Accessibility Guidelines define it."""
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    light = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = light @ [0.2126, 0.7152, 0.0722]
    return 1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05


def test_all_is_seen_on_white_and_on_black_and_no_line_differs_by_colour_alone():
    fig = show.bars({"a": {"blur": [1.0, 2.0], "flip": [1.0]}}, "harm, points", "Blur harms")
    for text in fig.findobj(matplotlib.text.Text):
        assert not text.get_text() or min(contrasts(text.get_color())) > 4.5
    looks = [*map(styles.style, (*DEFICITS, "live")), styles.EQUAL, styles.NEWBORN]
    assert all(np.greater(contrasts(look.colour), (2.2, 3)).all() for look in looks)
    drawn = [base.line_look(look, points=True) for look in looks]
    assert len({(str(look["linestyle"]), look["marker"]) for look in drawn}) == len(looks)


def test_a_figure_is_a_picture_that_scrolls_before_its_words_are_too_small():
    width = 300
    fig = show.curves({'"a" < b': ([1, 2], [3, 4])}, "batches", "trace", width=width, source="one")
    page = fig._repr_html_()
    assert html.unescape(re.search('alt="(.*?)"', page)[1]) == repr(fig)
    assert repr(fig) == 'trace against batches: "a" < b'
    least, most = (int(re.search(rf"{side}-width:(\d+)px", page)[1]) for side in ("min", "max"))
    smallest = min(text.get_fontsize() for text in fig.findobj(matplotlib.text.Text))
    assert 11 <= least / width * smallest * 96 / 72 < 11.2
    with Image.open(io.BytesIO(fig.png())) as image:
        assert image.size[0] == 2 * most == 2 * width
        assert image.convert("RGBA").getpixel((0, 0))[3] == 0  # transparent


def test_a_figure_is_the_same_whatever_other_code_has_told_matplotlib():
    def drawn():
        return show.means({"blur": {1: [0.5, 0.6], 2: [0.6, 0.7]}}, ("epochs", "harm")).png()

    usual = drawn()
    with matplotlib.rc_context({"text.usetex": True, "font.size": 30, "axes.facecolor": "black"}):
        assert drawn() == usual
        assert matplotlib.rcParams["font.size"] == 30


def test_whatever_holds_a_figure_is_saved(tmp_path):
    fig = show.figure("a title", width=400, height=200)
    holder = SimpleNamespace(figure=[fig, [fig, fig], "words"])
    for thing, size in ((fig, (800, 400)), (holder, (800, 600)), ([fig, fig], (800, 800))):
        with Image.open(show.save(thing, tmp_path / "a.png", width=800)) as image:
            assert image.size == size
    for ending in ("svg", "pdf"):
        assert show.save(fig, tmp_path / f"a.{ending}").read_bytes().startswith((b"<?xml", b"%PDF"))


def photographs():
    return show.strips({"clear": np.full((2, 8, 8, 3), 100, dtype=np.uint8)})


def two_figures():
    fig = show.figure("a title", width=400, height=200)
    return lab.question("So?", ["yes", "no"], figure=[fig, fig])


def a_frame():
    figures = {n: show.figure(f"n is {n}", width=400, height=100 * n) for n in (1, 2, 3)}
    return lab.slide(figures, start=1)


SHOWN = {  # what a cell shows, and the size of its picture
    lambda: show.figure("a title", width=400, height=200): (400, 200),
    photographs: None,
    two_figures: (400, 400),
    a_frame: (400, 200),
    lambda: lab.live({"never": Run(profile="ci")}, draw=lambda lines: "<p></p>"): "no picture",
    lambda: lab.live({"blur": replace(Run(), seed=0)}): None,
    lambda: cplab.Explorer(): None,
}


@pytest.mark.parametrize("exporter", [LatexExporter, RSTExporter])
@pytest.mark.parametrize(("shown", "size"), SHOWN.items())
def test_where_html_is_lost_there_is_a_picture(shown, size, exporter):
    """As in a PDF, which is made of LaTeX. An rst has HTML, and a picture beside it."""
    data, _ = DisplayFormatter().format(shown())
    output = nbformat.v4.new_output("display_data", data)
    cell = nbformat.v4.new_code_cell("shown", outputs=[output])
    page, resources = exporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    if size == "no picture":
        assert not resources["outputs"]
        return
    [(name, content)] = resources["outputs"].items()
    assert (name if exporter is LatexExporter else "raw:: html") in page
    with Image.open(io.BytesIO(content)) as picture:
        assert size in (None, picture.size)
        extremes = picture.convert("RGBA").getextrema()
    assert any(low < high for low, high in extremes)  # something is drawn


def test_a_saved_figure_is_hardly_larger_than_its_picture():
    fig = show.clear_epochs({"early": BLUR, "late": replace(BLUR, onset=24)})
    saved = sum(len(text) for text in DisplayFormatter().format(fig)[0].values())
    assert saved < 1.2 * len(fig.png()) * 4 / 3


HAS_CHINESE = any(base.is_wide(font.name) for font in fontManager.ttflist)


@pytest.mark.skipif(not HAS_CHINESE, reason="no font with Chinese is installed")
@pytest.mark.parametrize("words", ["模糊的网络", "ぼかした網", "흐린 그물", "blur 模糊 ± 0.5 ×"])
def test_chinese_japanese_and_korean_are_drawn_with_a_font_that_has_them(words):
    fig = show.curves({words: ([1, 2], [3, 4])}, words, "trace", words)
    assert fig.png()  # and matplotlib says nothing of glyphs, which would be an error
    [title] = [text for text in fig.findobj(matplotlib.text.Text) if text.get_text() == words][:1]
    assert title.get_fontfamily()[0] == "DejaVu Sans"
    assert any(base.is_wide(family) for family in title.get_fontfamily())


def test_letters_that_no_font_has_are_said_once():
    fig = show.figure("what is \U000f1234 here?")
    with pytest.warns(UserWarning, match="no font of this computer has") as said:
        assert [fig.png() for _ in range(2)]
    assert len(said) == 1


def test_a_band_ends_where_accuracies_do():
    rows = [[90.0, 99.0], [99.0, 100.0]]
    mean, half = estimates.mean_of_curves(rows)
    fig = show.figure()
    base.band(fig.ax, [1, 2], mean, half, styles.EQUAL, ends=(0, 100))
    [drawn] = fig.ax.collections
    heights = drawn.get_paths()[0].vertices[:, 1]
    assert (mean + half).max() > 100
    assert heights.max() == 100


def in_percent(quantity, *runs):
    return pytest.approx([quantity(run).mean for run in runs])


def test_removal_shows_each_number_where_it_belongs():
    shown = lines(show.removal(Run(onset=4), ("blur",)))
    x, y = shown["blur"]
    assert len(x) > 2
    assert y == in_percent(quantities.accuracy, *(Run("blur", 4, int(length)) for length in x))
    assert shown["newborn"][1] == in_percent(quantities.accuracy, *[Run()] * 2)
    equal = [Run(onset=4 + int(length)) for length in shown["equal training"][0]]
    assert shown["equal training"][1] == in_percent(quantities.accuracy, *equal)


LOSSES = {"equal training": quantities.equal_training_loss, "without window": quantities.harm}


@pytest.mark.parametrize("control", ["newborn", *LOSSES])
def test_differences_from_a_control_are_those_of_its_quantity(control):
    x, y = lines(show.removal(Run(), ("flip",), control))["vertical flip"]
    of, sign = LOSSES.get(control, quantities.gain_over_newborn), -1 if control in LOSSES else 1
    assert sign * np.array(y) == in_percent(of, *(Run("flip", length=int(n)) for n in x))


def test_figures_without_results_say_so(nothing_shipped):
    for fig in (
        show.removal(Run(profile="ci"), ("blur",), control="newborn"),
        show.clear_epochs({"blurred": replace(BLUR, profile="ci")}),
        show.means({}, ("x", "y"), log="x"),
        show.forest({"blur": []}, "harm"),
        show.by_layer({"blur": np.empty((0, 9))}),
    ):
        assert any("not trained yet" in text for text in words(fig))
        assert fig.png()
    assert {*show.table({"a": {"harm": []}, "b": {"harm": [np.nan]}}).harm} == {"not trained yet"}


def test_clear_epochs_show_the_curves_and_their_gap():
    fig = show.clear_epochs({"early": BLUR, "late": replace(BLUR, onset=24)})
    grey, early, after = lines(fig).values()
    curves = [r.series("test_accuracy") for r in quantities.each_result(BLUR)]
    assert early == [[*range(1, 61)], pytest.approx(100 * np.mean(curves, axis=0)[16:])]
    assert after[0][0] == 25
    harm = quantities.harm(BLUR)
    gap = np.mean(grey[1][55:60]) - np.mean(early[1][55:60])
    assert gap == pytest.approx(harm.mean, abs=0.3)  # of other seeds in part
    [bracket] = [line for line in fig.ax.get_lines() if len(line.get_xdata()) == 6]
    assert np.ptp(bracket.get_ydata()) == pytest.approx(harm.mean)
    one_line(lambda: show.clear_epochs({"paper": Run("blur", length=8)}), "fixed")
    fig = show.clear_epochs({"never": replace(BLUR, length=17)})  # beside clear ones
    assert any("not trained yet: never" in text for text in words(fig))


def test_a_quantity_over_epochs_is_its_mean():
    run = Run(onset=24, profile="fit")
    curves = [result.series("trace") for result in quantities.each_result(run, "trace")]
    shown = lines(show.over_epochs({"clear": run, "missing": replace(run, recovery=1)}))
    assert shown == {"clear": [[*range(1, 45)], pytest.approx(np.mean(curves, axis=0))]}


def test_means_bars_and_layers_have_their_numbers_and_intervals():
    both = 2 * 12.706 * 0.05  # of 0.8 and 0.9, by Student's t
    kinds = {"biological": {1.0: [0.8, 0.9], 5.0: []}, "random": {2.0: [0.5]}}
    fig = show.means(kinds, ("density, %", "accuracy"), percent=True, log="x")
    assert lines(fig) == {"grown and pruned": [[1], [pytest.approx(0.85)]], "random": [[2], [0.5]]}
    corners = fig.ax.collections[0].get_paths()[0].vertices
    assert np.ptp(corners[:, 1]) == pytest.approx(both, rel=1e-3)
    fig = show.bars({"biological": [0.8, 0.9], "random": []}, "accuracy")
    assert fig.ax.patches[0].get_height() == pytest.approx(0.85)
    whisker, dots = fig.ax.collections[0].get_segments()[0][:, 1], fig.ax.get_lines()[0].get_ydata()
    assert np.ptp(whisker) == pytest.approx(both, rel=1e-3)
    assert [*dots] == [0.8, 0.9]
    seeds = [([1, 2], [0.5, 0.6]), ([1, 3], [0.5, 0.4])]
    fig = show.curves({"seeds": seeds, "one": ([1, 2], [3, 4])}, "step", "density")
    assert lines(fig) == {"seeds": [[1, 2], [0.5, 0.6]], "one": [[1, 2], [3, 4]]}
    fig = show.curves({"loss": ([1, 2, 3], [0, 2, 3])}, "step", "loss", log="y")
    assert np.isnan(lines(fig)["loss"][1]).tolist() == [True, False, False]  # 0 has no place there
    fig = show.by_layer({"blur": [[0.25, 0.75], [0.5, 0.5]]})
    assert [bar.get_height() for bar in fig.ax.patches] == [0.375, 0.625]


def test_a_forest_has_the_most_harmed_above_and_names_what_is_missing():
    harms = {"flip": [-6.0, -7.0], "noise": [5.0], "noise, renorm": [2.0, 1.0], "blur, held": []}
    fig = show.forest(harms, "harm, points")
    rows = [label.get_text() for label in fig.ax.get_yticklabels()]
    assert rows == ["vertical flip", "noise, renorm", "noise"]  # from below
    means = [line for line in fig.ax.get_lines() if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in means] == [-6.5, 1.5, 5]
    assert any("not trained yet: blur, held" in text for text in words(fig))


SAME = (
    ("utf-8-sig", "blur,flip\n50.5,60\n61,\n50.5,70\n"),
    ("cp1252", "Name;blur;Flip;Kommentar\nÄnne;50,5;60;ja\nBob;61;;\nCem;50,5;70;\n"),
    ("utf-16", "\n\nsep=;\nblur;flip\n50,5\u00a0%;60\n61;?\n50,5;ca. 70\n"),
    ("utf-8", 'Time,"Name; class",blur,flip\n"1/2, 9:00",A,"50,5",60\nx,B,61,\ny,C,50.5,70\n'),
    ("utf-8", "blur,flip,\n0.505,0.6,\n0.61,,\n0.505,0.7,\n"),  # fractions
)


def guesses(fig, label="answers"):
    """All answers that are drawn, or what was measured."""
    drawn = [line for line in fig.ax.get_lines() if line.get_label() == label]
    return pytest.approx(sorted(float(x) for line in drawn for x in line.get_xdata()))


@pytest.mark.parametrize(("encoding", "text"), SAME)
def test_a_poll_is_read_as_a_person_reads_it(encoding, text, tmp_path):
    (poll := tmp_path / "poll.csv").write_bytes(text.encode(encoding))
    assert guesses(show.class_figure(poll)) == [50.5, 50.5, 60, 61, 70]
    beside = show.class_figure(str(poll), {"flip": [66.0, 67.0]})
    assert guesses(beside) == [60, 70]
    assert guesses(beside, "measured") == [66.5]
    [row] = show.class_figure(poll, {"FLIP ": []}).ax.get_yticklabels()
    assert row.get_text() == ("Flip" if "Flip" in text else "flip") + "\nnot trained yet"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sep=;\nName;blur\nA;50\nB;a lot\nC;60\n", "line 4.*a lot"),
        ("blur\n50\n\n550\n60\n", "line 4.*550"),
        ("Blur;blur\n50;60\n", "alike"),
        ("PK\0\1", "not a text file"),
    ],
)
def test_unreadable_parts_of_a_poll_are_named(text, told, tmp_path):
    poll = tmp_path / "poll.csv"
    poll.write_text(text)
    with pytest.raises(CplabError, match=told):
        show.class_figure(poll)


@pytest.mark.parametrize(
    "other",
    [
        "Group",
        "Seat no",
        "seconds",
        "Points – What is left of the blur?",
        "Zeit (Sekunden)",
        "Matrikelnummer",
        "Your age",
        "Row",
        "Room",
        "PC",
        "Confidence, 1 to 5",
    ],
)
def test_a_column_of_something_else_is_not_drawn_as_guesses(other):
    table = pd.DataFrame({other: [3, 4, 3], "blur": [55, 61, 60]})
    assert guesses(show.class_figure(table)) == [55, 60, 61]


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_a_full_disk_leaves_the_earlier_file_of_a_figure(ending, tmp_path, monkeypatch):
    path = tmp_path / f"a.{ending}"
    path.write_text("earlier")

    def fill(self, content):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill)
    one_line(lambda: show.save(show.figure("a"), path), "No space left", "name another file")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [
        (path.name, "earlier")
    ]


def test_digits_of_another_script_are_digits():
    table = pd.DataFrame({"blur": ["\u0665\u0665", "\u06f6\u06f0 %", "\u096d\u0966"]})
    assert guesses(show.class_figure(table)) == [55, 60, 70]


def test_three_guesses_in_a_row_are_no_row_numbers():
    table = pd.DataFrame({"number": [1, 2, 3], "blur": [55, 56, 57]})
    assert guesses(show.class_figure(table)) == [55, 56, 57]


def test_half_a_percent_stays_half_a_percent():
    table = pd.DataFrame({"blur": ["1 %", "0.5 %", "0,2%"]})
    assert guesses(show.class_figure(table)) == [0.2, 0.5, 1]
    among = pd.DataFrame({"blur": ["60", "0.5 %", "55"]})
    assert guesses(show.class_figure(among)) == [0.5, 55, 60]


@pytest.mark.parametrize("answers", [[1, 0.5, 0], [0, 1, 1], [1, 1, 0.2]])
def test_what_may_be_percent_or_parts_is_asked_about(answers):
    one_line(lambda: show.class_figure(pd.DataFrame({"blur": answers})), "may be percent or parts")


def covered(x, y):
    """A deficit of one's own."""
    x = x.clone()
    x[..., -4:, :] = 0
    return x, y


@pytest.mark.parametrize(("dataset", "profile"), [("practice", "ci"), ("drawn", "tiny")])
def test_a_preview_is_what_the_network_sees(dataset, profile):
    images = cplab.images(dataset, profile)
    x, y = images.normal(images.train_x[:3]), images.train_y[:3]
    for kind in ("none", "blur-2", "blank", "blur+flip", covered):
        seen = cplab.apply_deficit(x, y, kind)[0].permute(0, 2, 3, 1) * images.std + images.mean
        rows, shown = preview(dataset, profile, kind)
        assert shown == dataset
        assert np.array_equal(rows["clear"], images.train_x[:3])
        # of blank, the middle of fewer images
        apart = np.abs(rows["seen"] - seen.clamp(0, 255).numpy()).max()
        assert apart <= (5 if kind == "blank" else 1.1), kind


def half_blind(x, y):
    """A deficit of one's own that reads labels."""
    x = x.clone()
    x[y >= 5] = 0
    return x, y


@pytest.mark.parametrize(("dataset", "profile"), [("practice", "ci"), ("drawn", "tiny")])
def test_a_deficit_that_reads_labels_is_shown_the_true_ones(dataset, profile):
    labels = cplab.images(dataset, profile).train_y[:12].tolist()
    seen = preview(dataset, profile, half_blind, count=12)[0]["seen"]
    blank = [bool((image == image[0, 0]).all()) for image in seen]
    assert blank == [label >= 5 for label in labels]
    assert len({*blank}) == 2


def test_without_images_a_students_deficit_is_shown_on_labelled_practice_images():
    assert set_to_show("mnist", ["blur", half_blind]) == "practice"
    assert set_to_show("mnist", ["blur"]) == "mnist"  # whose place pictures take


def test_a_deficit_is_shown_a_whole_batch_as_in_training(monkeypatch):
    called = []

    def spy(x, y, name, **batch):
        called.append((x, y, batch))
        return -x, y

    monkeypatch.setattr(previews, "apply_deficit", spy)
    preview("practice", "ci", covered)
    [(x, labels, batch)] = called
    assert len(x) >= 100
    assert batch["index"].tolist() == [*range(len(x))]
    assert (batch["images"], batch["classes"]) == (512, 10)
    assert labels.tolist() == cplab.images("practice", "ci").train_y[: len(x)].tolist()


def test_in_the_place_of_images_that_are_not_here_stand_others_and_a_line_says_so(capsys):
    for dataset, said in (("practice", ""), ("mnist", "mnist is not here: practice images")):
        assert pictures(dataset, "ci").name == "practice"
        assert capsys.readouterr().out.startswith(said)


def grey(path):
    """A picture on white, a quarter as wide, in shades from 0 to 255."""
    with Image.open(path) as picture:
        clear = picture.convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("L")
    return np.asarray(flat.resize((300, 300 * clear.height // clear.width)), float)


def test_the_pictures_under_titles_are_what_results_give_today(tmp_path, monkeypatch):
    """Of another matplotlib letters may differ by a hair."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    first_pictures = importlib.import_module("first_pictures")
    for name, draw in first_pictures.EVERY.items():
        with quantities.shipped_only():
            width = 960 if name == "flagship" else 1200
            figure = draw()
            show.save(figure, tmp_path / f"{name}.png", width)
            (tmp_path / f"{name}-phone.png").write_bytes(figure.narrow_png())
        for file in (f"{name}.png", f"{name}-phone.png"):
            drawn, stored = (grey(folder / file) for folder in (tmp_path, first_pictures.PICTURES))
            assert abs(len(drawn) - len(stored)) < 4, file
            rows = min(len(drawn), len(stored))
            assert (np.abs(drawn[:rows] - stored[:rows]) > 20).mean() < 0.003, file
