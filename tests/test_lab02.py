"""What labs 02 and 02b need: what they compute, against definitions; what they judge."""

from dataclasses import replace

import numpy as np
import pytest

import cplab
from cplab import Run, quantities
from cplab.labs import lab02

EARLY = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)


def test_harm_is_read_at_as_many_clear_epochs():
    """By hand, of one seed."""
    run = replace(EARLY, seed=7)
    clear, own = ([e["test_accuracy"] for e in cplab.find(r).curve] for r in (run.newborn(), run))
    by_hand = 100 * (np.mean(clear[25:30]) - np.mean(own[41:46]))
    assert quantities.harm(EARLY, 30).by_seed[7] == pytest.approx(by_hand)


def test_what_is_named_rightly_is_the_final_accuracy():
    """Of the two seeds that were measured, over the last five epochs, up to some images."""
    accuracies = quantities.accuracy(EARLY).by_seed
    found = lab02.rightly(EARLY)[1].mean(1)
    assert found == pytest.approx([accuracies[seed] for seed in (5, 6)], abs=0.1)


def test_steps_left_are_the_area_under_the_rate():
    assert lab02.steps_left(EARLY) == pytest.approx(60 * 0.02 * 79)
    falls = Run("blur", length=140, profile="slim")
    area = 391 * sum(0.05 * 0.97**epoch for epoch in range(140, 300))
    assert lab02.steps_left(falls) == pytest.approx(area)
