"""Figures: what is drawn against a plain computation of the same, looks that differ, polls."""

import html
import io
import re
import subprocess
import sys
from dataclasses import replace
from itertools import combinations, cycle
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import one_line
from PIL import Image

import cplab
from cplab import quantities, show, statistics
from cplab.errors import CplabError
from cplab.results import Result, keep
from cplab.runs import Run
from cplab.show import base, styles
from cplab.show.previews import preview

# What is left of red, green and blue light for protanopes, deuteranopes and tritanopes (Machado,
# Oliveira & Fernandes 2009, severity 1)
BLIND = [
    [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
]
DEFICITS = ("blur", "flip", "permute", "noise", "fresh_noise", "stripes", "blank")
CI = Run(profile="ci")
BLUR = Run("blur", length=16, schedule="fixed", model="depth3", recovery=60)


def kept(deficit, onset, length, seed, accuracy):
    """A result that was kept, of a run of such an end."""
    run = Run(deficit, onset, length, profile="ci", seed=seed)
    row = {"lr": 0.1, "train_loss": 1.0, "test_accuracy": accuracy, "seconds": 1.0}
    values = run.values([row | {"epoch": epoch} for epoch in range(run.epochs)])
    return keep(Result(run, values, 1.0, "practice", "cpu", "float32", 1, "2", ""))


def lines(fig):
    """What has a name: {label: (x, y)}."""
    named = {
        line.get_label(): line for line in fig.ax.get_lines() if line.get_label()[:1] not in "_"
    }
    return {
        text: [list(map(float, row)) for row in line.get_data()] for text, line in named.items()
    }


def bands(fig):
    """The height of each band at its first place."""
    paths = [band.get_paths()[0].vertices for band in fig.ax.collections]
    return [float(np.ptp(path[path[:, 0] == path[:, 0].min(), 1])) for path in paths]


def words(fig):
    """All text of a figure."""
    return [text.get_text() for text in fig.findobj(matplotlib.text.Text) if text.get_text()]


# Looks --------------------------------------------------------------------------------------------


def cielab(colour, eye):
    rgb = [[0.4339, 0.3763, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1095, 0.8728]]
    f = np.cbrt(np.array(rgb) @ np.clip(eye @ light(colour), 0, 1))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def light(colour):
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrasts(colour):
    """With white and with black, as the Web Content Accessibility Guidelines define it."""
    luminance = light(colour) @ [0.2126, 0.7152, 0.0722]
    return 1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05


@pytest.mark.parametrize("eye", [np.eye(3), *map(np.array, BLIND)], ids=lambda eye: eye[0][0])
def test_no_eye_takes_the_colour_of_one_deficit_for_another(eye):
    for a, b in combinations((*DEFICITS, "live"), 2):
        apart = cielab(show.colour(a), eye) - cielab(show.colour(b), eye)
        assert np.linalg.norm(apart) > 15, (a, b)


def test_words_are_legible_on_white_and_on_black_and_lines_are_seen():
    fig = show.bars({("a", "blur"): [1.0, 2.0], ("a", "flip"): [1.0]}, "harm, points", "Blur harms")
    for text in fig.findobj(matplotlib.text.Text):
        assert not text.get_text() or min(contrasts(text.get_color())) > 4.5
    looks = [*styles.LOOKS.values(), *map(styles.style, (*DEFICITS, "strabismus"))]
    for look in looks:
        assert contrasts(look.colour)[0] > 2.2, look
        assert contrasts(look.colour)[1] > 3, look


def test_every_deficit_has_words_and_a_second_cue_beside_colour():
    looks = [*map(styles.style, (*DEFICITS, "live")), styles.EQUAL, styles.NEWBORN]
    assert len({look.label for look in looks}) == len(looks)
    assert len({(look.dash, look.marker) for look in looks}) == len(looks)
    drawn = [base.line_look(look, points=True) for look in looks]
    assert len({(str(look["linestyle"]), look["marker"]) for look in drawn}) == len(looks)


# A figure shows itself ----------------------------------------------------------------------------


@pytest.mark.parametrize("width", [760, 1100, 300])
def test_a_figure_is_a_picture_that_scrolls_before_its_words_are_too_small(width):
    fig = show.curves({'"a" < b': ([1, 2], [3, 4])}, "batches", "trace", width=width, source="one")
    page = fig._repr_html_()
    assert html.unescape(re.search('alt="(.*?)"', page)[1]) == repr(fig)
    assert repr(fig) == 'trace against batches: "a" < b'
    least, most = (int(re.search(rf"{side}-width:(\d+)px", page)[1]) for side in ("min", "max"))
    smallest = min(text.get_fontsize() for text in fig.findobj(matplotlib.text.Text))
    assert 11 <= least / width * smallest * 96 / 72 < 11.2
    assert "overflow-x:auto" in page
    with Image.open(io.BytesIO(fig.png())) as image:
        assert image.size[0] == 2 * most == 2 * width
        assert image.convert("RGBA").getpixel((0, 0))[3] == 0  # transparent


def test_a_figure_is_the_same_whatever_other_code_has_told_matplotlib():
    def drawn():
        return show.means({"blur": {1: [0.5, 0.6], 2: [0.6, 0.7]}}, ("epochs", "harm")).png()

    usual = drawn()
    assert drawn() == usual
    with matplotlib.rc_context({"text.usetex": True, "font.size": 30, "axes.facecolor": "black"}):
        assert drawn() == usual
        assert matplotlib.rcParams["font.size"] == 30


def test_figures_need_no_pyplot_and_names_no_pandas():
    code = "import sys, cplab.show as show; show.label('blur'); early = {*sys.modules}\n"
    code += "show.bars({'blur': [1.0, 2.0]}, 'harm')._repr_html_()\n"
    code += "print('matplotlib.pyplot' in sys.modules, 'matplotlib' in early, 'pandas' in early)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False"] * 3


def test_whatever_holds_a_figure_is_saved(tmp_path):
    fig = show.figure("a title", width=400, height=200)
    holder = SimpleNamespace(figure=[fig, [fig, fig], "words"])
    shapes = {}
    for name, thing in (("one", fig), ("several", holder), ("below", [fig, fig])):
        with Image.open(show.save(thing, tmp_path / f"{name}.png", width=800)) as image:
            shapes[name] = image.size
    assert shapes == {"one": (800, 400), "several": (800, 600), "below": (800, 800)}
    for ending in ("svg", "pdf"):
        files = [show.save(fig, tmp_path / f"{name}.{ending}").read_bytes() for name in "ab"]
        assert files[0].startswith((b"<?xml", b"%PDF"))
        assert b"CreationDate" not in files[0]


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (7, "a.png"),
        (matplotlib.figure.Figure(), "a.png"),
        (show.figure(), "a.docx"),
        (show.figure(), "none/a.png"),
        ([show.figure()] * 2, "a.svg"),
    ],
)
def test_what_cannot_be_saved_is_said_in_one_line(thing, name, tmp_path):
    one_line(lambda: show.save(thing, tmp_path / name))


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


@pytest.mark.parametrize("onset", [0, 2])
def test_removal_shows_each_number_where_it_belongs(onset, made_up):
    shown = lines(show.removal(replace(CI, onset=onset), ("blur", "flip")))
    wanted = {
        "blur": [("none", onset, 0), ("blur", onset, 2), ("blur", onset, 4)],
        "vertical flip": [("none", onset, 0), ("flip", onset, 2), ("flip", onset, 4)],
        "equal training": [("none", onset + n, 0) for n in (0, 2, 4)],
        "newborn": [("none", 0, 0)] * 2,
    }
    assert set(shown) == {*wanted}
    for text, points in wanted.items():
        x, y = shown[text]
        assert x == ([0, 4] if text == "newborn" else [0, 2, 4])
        each = [[100 * v for at, v in made_up.items() if at[:3] == point] for point in points]
        assert y == pytest.approx([np.mean(one) for one in each])


@pytest.mark.parametrize(
    ("control", "of", "sign"),
    [
        ("newborn", quantities.gain_over_newborn, 1),
        ("equal training", quantities.equal_training_loss, -1),
        ("without window", quantities.harm, -1),
    ],
)
def test_differences_from_a_control_are_those_of_its_quantity(control, of, sign, made_up):
    shown = lines(show.removal(CI, ("blur", "flip"), control))
    for deficit, text in (("blur", "blur"), ("flip", "vertical flip")):
        means = {n: of(Run(deficit, 0, n, profile="ci")) for n in (2, 4)}
        known = {n: sign * mean.mean for n, mean in means.items() if mean.seeds}
        assert dict(zip(*shown[text], strict=True)) == pytest.approx(known)


def test_figures_without_results_say_so(nothing_shipped):
    blur = replace(BLUR, profile="ci")
    for fig in (
        show.removal(CI, ("blur",), control="newborn"),
        show.over_epochs({"missing": blur}),
        show.clear_epochs({"blurred": blur}),
        show.means({}, ("x", "y"), log="x"),
        show.bars({"blur": []}, "harm"),
        show.forest({"blur": []}, "harm"),
        show.by_layer({"blur": np.empty((0, 9))}),
    ):
        assert any("not trained yet" in text for text in words(fig))
        assert fig.png()
    assert show.table({"blur": {"harm": []}}).to_dict("index") == {
        "blur": {"harm": "not trained yet", "seeds": 0}
    }


def test_clear_epochs_show_the_curves_their_gap_and_its_interval():
    late = replace(BLUR, onset=24)
    fig = show.clear_epochs({"early": BLUR, "late": late})
    shown = lines(fig)
    grey, early, after = shown.values()
    assert next(iter(shown)) == "no deficit"
    curves = [r.series("test_accuracy") for r in quantities.each_result(BLUR)]
    assert early[0] == [*range(1, 61)]
    assert early[1] == pytest.approx(100 * np.mean(curves, axis=0)[16:])
    assert after[0][0] == 25
    points = quantities.harm(BLUR)
    assert f"early:\nharm {points.mean:.1f} ± {points.half:.1f}" in shown
    gap = np.mean(grey[1][55:60]) - np.mean(early[1][55:60])
    assert gap == pytest.approx(points.mean, abs=0.3)  # of other seeds in part
    [bracket] = [line for line in fig.ax.get_lines() if len(line.get_xdata()) == 6]
    assert np.ptp(bracket.get_ydata()) == pytest.approx(points.mean)
    assert "Early ends 4.3 points behind; late ends level" in fig.get_suptitle()
    with pytest.raises(CplabError, match="fixed"):
        show.clear_epochs({"paper": Run("blur", length=8, schedule="paper")})


def test_a_quantity_over_epochs_is_its_mean_and_leaves_out_what_is_missing():
    clear = Run(onset=24, profile="fit")
    runs = {"clear": clear, "missing": replace(clear, recovery=1)}
    shown = lines(show.over_epochs(runs))
    rows = np.array([r.series("trace") for r in quantities.each_result(clear, "trace")])
    known = np.flatnonzero(np.isfinite(rows).all(0))
    assert shown.keys() == {"clear"}
    assert shown["clear"][0] == [*known + 1]
    assert shown["clear"][1] == pytest.approx(rows[:, known].mean(0))
    with pytest.raises(CplabError, match="quantity"):
        show.over_epochs(runs, "nothing of the kind")


# Of numbers that are given ------------------------------------------------------------------------


def test_means_bars_and_layers_have_their_numbers_intervals_and_seeds():
    kinds = {"biological": {1.0: [0.8, 0.9], 5.0: []}, "random": {2.0: [0.5]}}
    fig = show.means(kinds, ("density, %", "accuracy"), percent=True, log="x")
    assert lines(fig) == {"grown and pruned": [[1], [pytest.approx(0.85)]], "random": [[2], [0.5]]}
    assert bands(fig)[0] == pytest.approx(2 * 12.706 * 0.05, rel=1e-3)
    assert f"1 to 2 seeds · {statistics.INTERVALS}" in words(fig)
    fig = show.bars({"biological": [0.8, 0.9], "random": []}, "accuracy")
    assert fig.ax.patches[0].get_height() == pytest.approx(0.85)
    whisker, dots = fig.ax.collections[0].get_segments()[0][:, 1], fig.ax.get_lines()[0].get_ydata()
    assert np.ptp(whisker) == pytest.approx(2 * 12.706 * 0.05, rel=1e-3)
    assert [*dots] == [0.8, 0.9]
    assert {"grown and pruned", "random"} <= {*words(fig)}
    seeds = [([1, 2], [0.5, 0.6]), ([1, 3], [0.5, 0.4])]
    fig = show.curves({"seeds": seeds, "one": ([1, 2], [3, 4])}, "step", "density")
    assert lines(fig) == {"seeds": [[1, 2], [0.5, 0.6]], "one": [[1, 2], [3, 4]]}
    fig = show.by_layer({"blur": [[0.25, 0.75], [0.5, 0.5]]})
    assert [bar.get_height() for bar in fig.ax.patches] == [0.375, 0.625]


@pytest.mark.parametrize("draw", [show.bars, show.forest, show.by_layer, show.means, show.curves])
@pytest.mark.parametrize("rows", [[BLUR, BLUR], "many", [[1, 2], [3]], BLUR])
def test_what_is_no_row_of_numbers_is_refused_in_one_line(draw, rows):
    given = {"blur": {1: rows}} if draw is show.means else {"blur": rows}
    words = {show.by_layer: (), show.means: (("x", "y"),), show.curves: ("x", "y")}.get(draw, "y")
    one_line(lambda: draw(given, *words), "give")


def test_a_forest_has_the_most_harmed_above_and_names_what_is_missing():
    harms = {"flip": [-6.0, -7.0], "noise": [5.0], "noise, renorm": [2.0, 1.0], "blur, held": []}
    fig = show.forest(harms, "harm, points")
    rows = [label.get_text() for label in fig.ax.get_yticklabels()]
    assert rows == ["vertical flip", "noise, renorm", "noise"]  # from below
    means = [line for line in fig.ax.get_lines() if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in means] == [-6.5, 1.5, 5]
    assert any("not trained yet: blur, held" in text for text in words(fig))


def test_bars_of_time_are_the_epochs_of_a_run_and_its_controls():
    run = Run("blur", onset=4, length=8, recovery=20)
    ends = {}
    for bar in show.time_bars(run).ax.patches:
        row = round(bar.get_y() + bar.get_height() / 2)
        ends[row] = max(ends.get(row, 0), bar.get_x() + bar.get_width())
    assert [*ends.values()] == pytest.approx([32, 24, 32], abs=0.1)


# A class ------------------------------------------------------------------------------------------

SAME = (
    "blur,flip\n50.5,60\n61,\n50.5,70\n",
    "blur;flip\n50,5;60\n61;\n50,5;70\n",
    "Blur\tFlip\n50,5\t60 %\n61 %\t-\n50.5\t70\n",
    "Name;blur;flip;Kommentar\nÄnne;50,5;60;ja\nBob;61;;\nCem;50,5;70;\n",
    'Timestamp,Name,blur,flip\n"1/2/24, 9:00",A,"50,5",60\nx,B,61,?\ny,C,50.5,about 70\n',
    "blur;flip\r\n50,5;60\r\n\r\n61;\r\n50,5;70\r\n",
    "id,blur,flip\n1,50.5%,60%\n2,61%,n/a\n3,50.5%,70%\n",
    "blur,flip,\n0.505,0.6,\n0.61,,\n0.505,0.7,\n",
    "Name|blur|flip\nA|50.5|60\nB|61|\nC|50.5|70\n",
    "Name;blur;flip\nA;50,5\u00a0%;60\u00a0%\nB;61\u00a0%;\nC;50,5\u00a0%;70\u00a0%\n",
    "student number;blur;flip\n20231;50,5;60\n20577;61;\n20001;50,5;70\n",
)


def guesses(fig):
    """The answers drawn, by question."""
    rows = {}
    for line in fig.ax.get_lines():
        if line.get_label() == "answers":
            row = round(float(line.get_ydata()[0]) + 0.1)
            rows.setdefault(row, []).extend(map(float, line.get_xdata()))
    names = [label.get_text().lower() for label in fig.ax.get_yticklabels()]
    return {names[row]: sorted(values) for row, values in rows.items()}


@pytest.mark.parametrize(
    ("text", "encoding"), [*zip(SAME, cycle(["utf-8-sig", "utf-16", "cp1252"]), strict=False)]
)
def test_a_poll_is_read_as_a_person_reads_it(text, encoding, tmp_path):
    poll = tmp_path / "poll.csv"
    poll.write_bytes(text.encode(encoding))
    answers = guesses(show.class_figure(poll))
    assert answers == {"blur": pytest.approx([50.5, 50.5, 61]), "flip": pytest.approx([60, 70])}
    beside = show.class_figure(str(poll), {"flip": [66.0, 67.0]})
    assert guesses(beside) == {"flip": pytest.approx([60, 70])}
    [measured] = [line for line in beside.ax.get_lines() if line.get_label() == "measured"]
    assert measured.get_xdata()[0] == 66.5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Name,blur\nA,50\nB,50,5\n", "line 3"),
        ("Name;blur\nA;50\nB;a lot\nC;60\n", "line 3.*a lot"),
        ("blur\n50\n\n550\n60\n", "line 4.*550"),
        ("blur\n-5\n60\n", "line 2.*-5"),
        ("blur\n", "no answers"),
        ("", "cannot be read"),
        ("A;50,5\nB;61\nC;7\n", "first line.*50,5"),
        ("flip\n60\n", "unknown column.*blur"),
    ],
)
def test_what_is_not_understood_is_named(text, told, tmp_path):
    poll = tmp_path / "poll.csv"
    poll.write_text(text)
    truth = {"blur": [55.0]} if told.startswith("unknown") else None
    with pytest.raises(CplabError, match=told):
        show.class_figure(poll, truth)


def test_chosen_answers_are_counted():
    table = pd.DataFrame({"name": list("abc"), "lasts": ["yes", "no", "yes"], "why": list("xyz")})
    fig = show.class_figure(table)
    assert [bar.get_width() for bar in fig.ax.patches] == [2, 1]
    assert [label.get_text() for label in fig.ax.get_yticklabels()] == ["yes", "no"]
    with pytest.raises(CplabError, match="cannot be read"):
        show.class_figure("no such file.csv")


# Pictures -----------------------------------------------------------------------------------------


def test_strips_show_every_pixel_of_each_row_under_its_caption():
    x = np.random.default_rng(0).integers(0, 256, (2, 2, 3, 4, 3), dtype=np.uint8)
    fig = show.strips({"clear": x[0], "blur": x[1]})
    shown = [ax.images[0].get_array() for ax in fig.axes]
    assert np.array_equal(shown, np.concatenate(x))
    assert {"clear", "blur"} <= {*words(fig)}
    assert min(ax.get_position().width for ax in fig.axes) * base.WIDTH > 100  # large enough
    assert repr(fig) == "clear: 2 images; blur: 2 images"
    assert show.strips({}).png()
    with pytest.raises(CplabError, match="uint8"):
        show.strips({"clear": x[0] / 255})


@pytest.mark.parametrize("profile", ["ci", "course"])
def test_a_preview_is_what_the_network_sees(profile):
    images = cplab.images("practice", profile)
    x, y = images.normal(images.train_x[:3]), images.train_y[:3]
    for name in ("none", "blur-2", "blank", "blur+flip"):
        seen = cplab.apply_deficit(x, y, name)[0].permute(0, 2, 3, 1) * images.std + images.mean
        rows, shown = preview("practice", profile, name)
        assert shown == "practice"
        assert np.array_equal(rows["clear"], images.train_x[:3])
        # of blank, the middle of fewer images
        apart = np.abs(rows["seen"] - seen.clamp(0, 255).numpy()).max()
        assert apart <= (5 if name == "blank" else 1), name


def test_a_deficit_of_ones_own_is_seen_as_well():
    def covered(x, y):
        x = x.clone()
        x[..., -4:, :] = 0
        return x, y

    rows, _ = preview("practice", "ci", covered)
    mean = torch.round(cplab.images("practice", "ci").mean).byte().numpy()
    assert (rows["seen"][:, -4:] == mean).all()
    assert np.array_equal(rows["seen"][:, :4], rows["clear"][:, :4])
