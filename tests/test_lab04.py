"""Lab 04: what it says of traces that a student computed."""

import numpy as np
import pytest

from cplab.estimates import estimate
from cplab.labs import lab04


def traces_of(last, seeds=3):
    """Traces of some seeds, by epoch, that end near a value."""
    return [np.array([[1.0, 2.0], [1.0, last * (1 + 0.01 * seed)]]) for seed in range(seeds)]


@pytest.mark.parametrize(("last", "alike"), [(40.0, True), (10.0, False)])
def test_your_own_traces_are_compared_with_those_above(last, alike):
    above = {"blur": estimate([1.9, 2.0, 2.1])}  # four times
    lines = {"no deficit": traces_of(10.0), "mosaic": traces_of(last)}
    _, sentence = lab04.own_traces(lines, above)
    assert ("cannot be told apart" in sentence) is alike


def test_nothing_is_said_of_traces_before_all_have_ended():
    lines = {"no deficit": traces_of(10.0), "mosaic": [np.zeros((2, 0))] * 3}
    assert len(lab04.own_traces(lines, {"blur": estimate([2.0, 2.1])})) == 1
