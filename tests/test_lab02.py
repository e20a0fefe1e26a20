"""Lab 02: accuracies by image, and what a student's own photographs tell."""

import html
import re

import pytest
from conftest import one_line

from cplab import Run, quantities
from cplab.estimates import estimate
from cplab.labs import lab02

EARLY = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)


def test_the_mean_accuracy_by_image_is_that_of_the_network():
    """Of the two seeds that were measured, over the last five epochs, up to some images."""
    by_seed = quantities.accuracy(EARLY).by_seed
    by_image = lab02.image_accuracies(EARLY).deprived
    assert by_image.mean(1) == pytest.approx([by_seed[5], by_seed[6]], abs=0.1)


# Four of one's own --------------------------------------------------------------------------------

BRIEF = Run("blur", length=1, recovery=2, profile="ci", schedule="fixed")
AGES = [BRIEF, BRIEF.replace(onset=1)]
MINE = {"from birth": [4.0, 3.0, 5.0, 4.5], "at epoch 24": [1.0, 0.5, 1.5, 1.6]}
THEIRS = {"from birth": [2.0, 3.5, 6.0, 1.0], "at epoch 24": [1.0, -1.5, 2.5, 1.2]}


def pressed(number):
    """The button of somebody's four networks of each age, which has trained them."""
    button = lab02.grow(AGES, number)
    button.press()
    assert button.wait(100)
    return button


def test_what_the_button_trains_is_told_and_a_neighbour_reads_it():
    """Each network beside its own twin. Who has number 9 copies the line that number 7 shows."""
    mine = pressed(7)
    harms = lab02.own_harms(AGES, 7)
    for run, values in zip(AGES, harms.values(), strict=True):
        alone = [quantities.harm(run, seeds=[seed]).mean for seed in lab02.seeds_of(7)]
        assert values == pytest.approx(alone, abs=0.006)
        assert lab02.harm_of_four(run, 7).mean == pytest.approx(sum(alone) / 4)
    assert html.escape(lab02.verdict([harms])) in mine.picture
    assert mine.picture.count("<img") == 2  # lines and dots
    line = html.unescape(re.search("<code>(.*)</code>", lab02.together(AGES, 7).page)[1])
    pressed(9)
    both = lab02.together(AGES, 9, [line])
    assert repr(both) == lab02.verdict([lab02.own_harms(AGES, number) for number in (9, 7)])
    assert "8 networks of each" in repr(both)


def test_a_number_has_seeds_that_no_other_number_has():
    seeds = [seed for number in (1, 2, 999) for seed in lab02.seeds_of(number)]
    assert len({*seeds}) == 12
    one_line(lambda: lab02.seeds_of(1000), "1000", "999")


def test_before_all_four_are_trained_nothing_is_told():
    assert lab02.own_harms(AGES, 8) == {}
    assert "not trained yet" in repr(lab02.together(AGES, 8, ["from birth: 1.0; at epoch 1: 2.0"]))


def test_networks_of_neighbours_are_paired_by_seed_and_added_up():
    pairs = zip(
        MINE["from birth"] + THEIRS["from birth"],
        MINE["at epoch 24"] + THEIRS["at epoch 24"],
        strict=True,
    )
    points = estimate([early - late for early, late in pairs])
    said = lab02.verdict([MINE, THEIRS])
    assert f"{points} points (8 networks of each)" in said
    assert ("the age tells" in said) == (points.sign == 1)


def test_a_line_for_a_neighbour_can_be_read():
    assert lab02.read_line(lab02.as_line(MINE)) == MINE


@pytest.mark.parametrize("line", ["", "from birth", "from birth: four", 7])
def test_what_is_no_line_is_refused_in_one_line(line):
    one_line(lambda: lab02.read_line(line), "neighbour")
