"""Two eyes as a student meets them: the quantities, the figures and the clinic."""

import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from conftest import one_line

from cplab import Run, quantities
from cplab.results import sweep
from cplab.studies import eyes
from cplab.studies.eyes import bench as lab07

CI = {"profile": "ci", "model": "eyes"}
LIFE = Run("blank:right", length=2, **CI)
PATCHED = eyes.patch(1, LIFE)


@pytest.fixture(scope="module")
def trained(elsewhere):
    """A closed right eye, its controls, and a patch of the left one; two seeds."""
    lives = [LIFE, LIFE.newborn(), PATCHED]
    wanted = [replace(life, seed=seed) for life in lives for seed in range(2)]
    how = {"progress": False, "workers": 1, "device": "cpu"}
    return elsewhere(lambda: sweep(wanted, eyes.MEASURES, **how))[1]


@pytest.fixture
def there(trained, own_cache):
    shutil.copytree(trained / "results", own_cache / "results")


def each(of, *lives, **how):
    return quantities.each_seed(of, *lives, **how)


@pytest.mark.usefixtures("there")
def test_shares_of_a_life_are_those_that_were_measured():
    shares, found = eyes.neuron_shares(LIFE), quantities.result(LIFE).measured["eye_shares"]
    assert shares.tolist() == found[4]
    assert eyes.neuron_shares(LIFE, epoch=1).tolist() == found[1]
    assert float(eyes.eye_share(LIFE)) == pytest.approx(np.mean(found[4]))
    curve = eyes.share_curve(LIFE)
    assert curve.tolist() == pytest.approx([np.mean(found[epoch]) for epoch in range(5)])
    one_line(lambda: eyes.neuron_shares(LIFE, epoch=9), "epoch 9")


def by_hand(shares):
    """Counts of seven equal classes by comparing with their ends."""
    ends = [*(n / 7 for n in range(7)), 2]
    return [sum(low <= s < high for s in shares) for low, high in pairwise(ends)]


def test_classes_are_sevenths_of_the_share():
    random = np.random.default_rng(0)
    for shares in (random.random(1000), random.beta(0.2, 0.2, 500), [0.0, 0.5, 1.0]):
        expected = 100 * np.array(by_hand(shares)) / len(shares)
        np.testing.assert_allclose(eyes.classes(shares), expected)
    assert eyes.classes([0.0, 0.1, 0.5, 1.0]).tolist() == [50, 0, 0, 25, 0, 0, 25]
    assert eyes.classes([]).tolist() == [0] * 7


def test_a_patch_is_a_window_on_the_other_eye():
    assert eyes.patch(0, LIFE) == LIFE
    shown = [step.deficit.name for step in eyes.patch(2, LIFE).timeline]
    assert shown[2:] == ["blank:left"] * 2 + ["none"]
    assert eyes.patch(1, LIFE, onset=4).windows == (("blank:left", 4, 1),)
    for given, words in (((9, LIFE), ["epoch 5"]), ((1, LIFE, "third"), ["third", "left"])):
        one_line(lambda given=given: eyes.patch(*given), *words)


# What is seen -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("there")
def test_a_histogram_shows_the_mean_over_seeds():
    [figure] = lab07.histogram({"closed": LIFE})
    columns = figure.select_one({"name": "classes"}).data
    expected = each(eyes.dominance, LIFE).mean(0)
    np.testing.assert_allclose(columns["mean"], expected)
    assert any("2 seeds" in getattr(part, "text", "") for part in figure.below)
    [figure] = lab07.histogram({"never": Run("blank:left", length=3, seed=7, **CI)})
    assert not any(figure.select_one({"name": "classes"}).data["mean"])


@pytest.mark.usefixtures("there")
def test_a_film_shows_each_epoch_and_stays_at_the_end_of_a_short_life():
    slide = lab07.film({"newborn": LIFE.newborn(), "closed": LIFE})
    source = slide.drawn.select_one({"name": "neurons closed"})
    short = slide.drawn.select_one({"name": "neurons newborn"})
    for epoch in range(5):
        slide.index = epoch
        assert sorted(source.data["y"]) == sorted(eyes.neuron_shares(LIFE, epoch))
        newborn = eyes.neuron_shares(LIFE.newborn(), min(epoch, 2))
        assert sorted(short.data["y"]) == sorted(newborn)
    assert (np.diff(source.data["y"]) >= 0).all()  # in the order of the end
    assert f"{eyes.eye_share(LIFE):.2f}" in slide.words


def set_controls(clinic, **values):
    for name, value in values.items():
        clinic.controls[name].value = value


@pytest.mark.usefixtures("there")
def test_the_clinic_shows_what_is_known_of_the_run_that_its_controls_say():
    clinic = lab07.Clinic(profile="ci")
    assert clinic.asked == LIFE.newborn()
    set_controls(clinic, length=2, patch=1)
    assert clinic.asked == PATCHED
    shown = clinic.sources["share"].data["mean"]
    np.testing.assert_allclose(shown, each(eyes.share_curve, PATCHED).mean(0))
    worth = [each(eyes.acuity, PATCHED, eye=eye).mean() for eye in ("both", "left", "right")]
    np.testing.assert_allclose(clinic.sources["worth"].data["mean"], worth)
    without = each(eyes.acuity, LIFE.newborn(), eye="right").mean()
    assert clinic.sources["without"].data["mean"][2] == pytest.approx(without)
    share = each(eyes.eye_share, PATCHED).mean()
    assert f"has {share:.2f} of the neurons" in clinic.readout.value
    clinic.controls["eye"].value = "left"
    assert [w.deficit for w in clinic.asked.windows] == ["blank:right"]
    assert "Nobody has trained" in clinic.readout.value
    clinic.controls["eye"].value = "both"
    assert (clinic.asked.deficit, clinic.asked.windows) == ("blank", ())


@pytest.mark.usefixtures("errors_raise")
def test_the_clinic_trains_a_run_and_shows_it_as_it_grows():
    clinic = lab07.Clinic(profile="ci", seed=3)
    clinic.controls["length"].value = 1
    clinic.job.start.click()
    assert clinic.job.wait(200)
    assert "live, seed 3: share" in clinic.job.message.value
    live = clinic.sources["live"].data["mean"]
    assert eyes.share_curve(clinic.asked).tolist() == pytest.approx(live)
    assert len(clinic.sources["share"].data["mean"]) == len(live) == 4


@pytest.mark.usefixtures("there")
def test_cats_stand_beside_networks_and_each_row_is_a_whole():
    moments = {"born": (LIFE.newborn(), None), "opened": (LIFE, 1), "never": (PATCHED, 99)}
    figure = lab07.compare_with_kittens(moments)
    rows = figure.y_range.factors[::-1]
    assert rows == [*lab07.KITTENS, "born", "opened"]
    sources = [glyph.data_source.data for glyph in figure.renderers]
    widths = np.array([np.subtract(data["right"], data["left"]) for data in sources])
    assert widths.sum(0)[1:] == pytest.approx(100)  # of the normal cat "about" is said of each
    left = each(eyes.dominance, LIFE, epoch=1)[:, 0].mean()
    assert widths[0][rows.index("opened")] == pytest.approx(left)
