"""What the labs claim of the shipped records, held against them with scipy's own interval."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from scipy import stats

from cplab import Run, records

LAB = Path(__file__).parent.parent / "labs" / "03_high_level_deficits.ipynb"
SEEDS, LENGTH = range(10), 16
CLAIMS = {"flip": "above", "permute": "above", "blur": "below"}


def gains(deficit, length):
    """Final accuracy minus that of the newborn of the same seed, of the shipped records."""
    pairs = [
        (run, run.newborn())
        for seed in SEEDS
        for run in [Run(deficit=deficit, length=length, profile="course", seed=seed)]
    ]
    found = [[records.find(run) for run in pair] for pair in pairs]
    assert all(r and r.source == "shipped" for pair in found for r in pair), "seeds are missing"
    return [a.accuracy - b.accuracy for a, b in found]


@pytest.mark.parametrize(("deficit", "side"), CLAIMS.items())
def test_lab_03_after_flip_and_permuted_labels_above_the_newborn_after_blur_below(deficit, side):
    d = gains(deficit, LENGTH)
    assert len(d) >= 10
    low, high = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert low > 0 if side == "above" else high < 0, (low, high)


def test_lab_03_claims_what_is_tested_here():
    """Under the same length and seeds."""
    source = "\n".join(c.source for c in nbformat.read(LAB, as_version=4).cells)
    [claims] = re.findall(r"^claims = (\{.*\})$", source, re.M)
    assert ast.literal_eval(claims) == CLAIMS
    [settled] = re.findall(r"^seeds, lengths, long = (.*), \(.*\), (\d+)$", source, re.M)
    assert settled == (f"range({len(SEEDS)})", str(LENGTH))
