"""What the labs claim of the shipped results, held against them with scipy's own interval."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from scipy import stats

from cplab import Run
from cplab import quantities as q

LAB = Path(__file__).parent.parent / "labs" / "03_high_level_deficits.ipynb"
SEEDS, LENGTH = range(10), 16
CLAIMS = {"flip": "above", "permute": "above", "blur": "below"}


@pytest.mark.parametrize(("deficit", "side"), CLAIMS.items())
def test_lab_03_after_flip_and_permuted_labels_above_the_newborn_after_blur_below(deficit, side):
    with q.shipped_only():
        gains = q.each_seed(q.gain_over_newborn, Run(deficit, 0, LENGTH), seeds=SEEDS)
    assert len(gains) == len(SEEDS)
    low, high = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
    assert low > 0 if side == "above" else high < 0, (low, high)


def test_lab_03_claims_what_is_tested_here():
    """Under the same length and seeds."""
    source = "\n".join(c.source for c in nbformat.read(LAB, as_version=4).cells)
    [claims] = re.findall(r"^claims = (\{.*\})$", source, re.M)
    assert ast.literal_eval(claims) == CLAIMS
    [settled] = re.findall(r"^seeds, lengths, long = (.*), \(.*\), (\d+)$", source, re.M)
    assert settled == (f"range({len(SEEDS)})", str(LENGTH))
