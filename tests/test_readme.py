"""The README says what the shipped records say."""

import re
from pathlib import Path

from cplab import intervals, records
from cplab.experiment import Run

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_its_figures_are_those_of_the_shipped_records():
    points = intervals.summary(intervals.select(records.table(), Run()))
    rows = [
        (-points.gain, points.gain_half, ("blur", 0, 16)),
        (points.gain, points.gain_half, ("flip", 0, 16)),
        (points.loss, points.loss_half, ("blur", 0, 8)),
        (points.loss, points.loss_half, ("blur", 24, 8)),
    ]
    measured = [intervals.percent(mean[at], half[at]) for mean, half, at in rows]
    said = re.findall(r"\*\*(\d+\.\d ± \d+\.\d)", README)
    assert said == measured
    assert {int(points.pairs[at]) for _, _, at in rows} == {10}
