"""Lab 02b: steps under a falling rate."""

import pytest

from cplab import Run
from cplab.labs import lab02b

FALLING = Run("blur", length=140, profile="slim")


def test_the_steps_left_are_the_area_under_the_rate():
    area = 391 * sum(0.05 * 0.97**epoch for epoch in range(140, 300))
    assert lab02b.steps_left(FALLING) == pytest.approx(area)
