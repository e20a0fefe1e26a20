"""Lab 04b: where harm is largest, and what sharpness goes with."""

import numpy as np
import pytest

from cplab import Run, quantities
from cplab.estimates import estimate
from cplab.labs import lab04b

CLEAR = Run(onset=24, profile="fit")
BLURRED = Run("blur", length=24, profile="fit")
FLIPPED = Run("flip", length=24, profile="fit")


@pytest.mark.parametrize(
    ("later", "peaks"),
    [([9.0, 9.1], 1), ([1.0, 1.1], 0), ([], None)],
    ids=["higher", "as high", "not trained"],
)
def test_where_harm_is_largest_is_said_by_intervals_alone(later, peaks):
    harms = {0: estimate([1.0, 1.1]), 8: estimate(later)}
    assert lab04b.peaks_together(harms, 9) == peaks


RUNS = [CLEAR, BLURRED, FLIPPED]
SEEDS = range(5)


def by_run(of):
    """A quantity of each run and seed, (runs, seeds)."""
    return np.array([[of(run).by_seed[seed] for seed in SEEDS] for run in RUNS])


def deviations(rows):
    """What is left of each run's values without its mean."""
    return rows - rows.mean(1, keepdims=True)


def test_an_overall_correlation_is_over_each_seed_of_all_runs():
    sharp = np.log(by_run(lab04b.final_sharpness))
    right = by_run(quantities.accuracy)
    expected = np.corrcoef(sharp.flat, right.flat)[0, 1]
    assert lab04b.overall(lab04b.final_sharpness, RUNS) == pytest.approx(expected)


def test_correlations_within_a_run_leave_out_what_runs_differ_in():
    sharp = deviations(np.log(by_run(lab04b.final_sharpness)))
    right = deviations(by_run(quantities.accuracy))
    expected = np.corrcoef(sharp.flat, right.flat)[0, 1]
    assert lab04b.within(lab04b.final_sharpness, RUNS).mean == pytest.approx(expected)
