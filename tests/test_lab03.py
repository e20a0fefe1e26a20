"""What labs 03 and 03b need: what they compute, against counts and readings by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import cplab
from cplab import Run, quantities
from cplab.labs import lab02, lab03, lab03b

NOISE, BLUR = (Run(kind, length=16) for kind in ("noise", "blur"))
EARLY = Run("blur", length=16, **lab03.LAB_02)


def test_the_training_loss_is_that_of_the_deficits_last_epoch():
    by_hand = cplab.find(replace(NOISE, seed=3)).curve[15]
    assert by_hand["phase"] == "deficit"
    assert lab03.train_loss(NOISE, NOISE.end - 1).by_seed[3] == by_hand["train_loss"]


def test_blurred_test_images_are_read_in_the_last_epoch():
    fraction = cplab.find(BLUR, {"blurred": (30,)}).measured["blurred"][30]["adapted"]
    assert lab03.blurred_accuracy(BLUR, "adapted").by_seed[0] == pytest.approx(100 * fraction)


@pytest.mark.parametrize(("fields", "more"), [({}, 1), (lab03.LAB_02, -1)])
def test_what_is_said_of_noise_beside_blur_has_the_sign_of_the_difference(fields, more):
    noise, blur = (replace(run, **fields) for run in (NOISE, BLUR))
    assert (quantities.harm(noise) - quantities.harm(blur)).sign == more
    assert ("more" in lab03.beside_blur(noise, blur)) == (more == 1)
    assert ("less" in lab03.beside_blur(noise, blur)) == (more == -1)


def test_exchanged_images_explain_what_accuracy_loses():
    """Lost minus regained is the difference of what is named rightly; noise is not measured."""
    clear, own = (rows > 50 for rows in lab02.rightly(EARLY))
    lost, regained = lab03.exchanged(EARLY)["with the deficit"]
    assert lost - regained == pytest.approx(clear.sum(1).mean() - own.sum(1).mean())
    with_noise = lab03.exchanged(replace(EARLY, deficit="noise"))
    assert np.isnan(with_noise["with the deficit"]).all()


def test_the_factor_makes_three_statements_as_certain_as_one():
    """By Bonferroni, each is wrong a third as often."""
    assert 2 * stats.t.sf(lab03.factor(3, 5), 4) == pytest.approx(0.05 / 3)


def test_newborns_pass_the_blurred_where_harm_begins():
    crossing = lab03b.passed(EARLY)
    assert quantities.harm(EARLY, int(crossing)).mean > 0
    assert all(quantities.harm(EARLY, n).mean <= 0 for n in range(5, int(crossing)))


def test_every_network_of_a_long_life_is_a_line_of_means_of_five_epochs():
    run = Run(
        "blur", length=480, profile="paper", dataset="mnist", model="fc-1250", schedule="fixed"
    )
    fig = lab03b.lives({"blur": run, "flip": replace(run, deficit="flip")})
    ends = [line.get_ydata()[-1] for line in fig.ax.get_lines() if len(line.get_ydata()) == 60]
    accuracies = [
        100 * each.accuracy
        for kind in ("blur", "flip")
        for each in quantities.each_result(replace(run, deficit=kind))
    ]
    assert ends == pytest.approx(accuracies)
