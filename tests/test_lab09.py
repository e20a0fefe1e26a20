"""What lab 09 alone shows: weights that grow, what a treatment leaves, barriers."""

from types import SimpleNamespace

import numpy as np
import pytest

from cplab.labs import lab09
from cplab.results import sweep
from cplab.runs import Run

SMALL = {"profile": "ci", "dataset": "mnist", "recovery": 2}

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped", "one_thread")


def test_norms_at_birth_are_of_the_network_that_is_trained():
    run = Run(**SMALL, model="fc-20", rate=1e-6)  # of grey images; it stays as it was born
    [found] = sweep([run], {"gauges": (0,)}, progress=False)
    norms = found.measured["gauges"][0]["norms"]
    assert lab09.norms_at_birth(run) == pytest.approx(norms, rel=1e-3)


def gauged(norms, **more):
    """A result whose gauges were taken after epochs 0 and 3."""
    said = {0: {"norms": [1.0, 1.0], **more}, 3: {"norms": norms, **more}}
    return SimpleNamespace(measured={"gauges": said})


def test_growth_is_the_norm_as_a_part_of_that_at_birth():
    group = [gauged([2.0, 3.0]), gauged([4.0, 3.0])]
    birth = np.array([1.0, 2.0])
    assert lab09.norm_ratios(group, 0, birth).mean(0) == pytest.approx([1, 0.5])
    assert lab09.norm_ratios(group, 3, birth).mean(0) == pytest.approx([3, 1.5])
    assert [*lab09.growth({"blur": group}, 4, birth)] == [1, 4]


def test_a_treated_run_stands_beside_controls_treated_alike():
    run = Run("blur", length=2, treatments="rate-3@2", **SMALL)
    treated, untreated, newborn, equal = lab09.with_controls(run).values()
    assert (treated, untreated.treatments) == (run, ())
    assert newborn.treatments == (("rate", 3, 0, 2),)
    assert equal.treatments == (("rate", 3, 2, 2),)
    assert equal.length == 0
