"""What lab 09 alone shows: weights that grow, what a treatment leaves, barriers."""

from dataclasses import replace

import numpy as np
import pytest

from cplab.labs import lab09
from cplab.results import sweep
from cplab.runs import Run
from cplab.statistics import estimate

SMALL = {"profile": "ci", "dataset": "mnist", "recovery": 2}

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")


def test_growth_is_the_norm_as_a_part_of_that_at_birth():
    run = Run(**SMALL, model="fc-20", rate=1e-6)  # it stays as it was born
    fast = replace(run, rate=1)
    results = sweep([run, fast], {"gauges": (0, 1)}, progress=False)
    assert lab09.growth_by_layer(run, 1) == pytest.approx(1, rel=1e-3)
    norms = np.array(results[1].measured["gauges"][1]["norms"])
    assert lab09.growth_by_layer(fast, 1) == pytest.approx(norms / lab09.norms_at_birth(fast))
    assert lab09.gauge(fast, "norms", 1).mean == pytest.approx(norms.mean())


def test_a_treated_run_stands_beside_controls_treated_alike():
    run = Run("blur", length=2, treatments="rate-3@2", **SMALL)
    treated, untreated, newborn, equal = lab09.with_controls(run).values()
    assert (treated, untreated.treatments) == (run, ())
    assert newborn.treatments == (("rate", 3, 0, 2),)
    assert equal.treatments == (("rate", 3, 2, 2),)
    assert equal.length == 0


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ([0.1, 0.2], "hardly anything"),
        ([1.9, 2.0], "a part of it"),
        ([4.2, 4.3], "all of it"),
        ([0.0, 4.0], None),  # its interval spans all
        ([2.0], None),
        ([], None),
    ],
)
def test_what_a_treatment_leaves(left, words):
    assert lab09.what_is_left(estimate([4.0, 4.2]), estimate(left)) == words
    assert lab09.what_is_left(estimate([]), estimate(left)) is None
