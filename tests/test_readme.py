"""The README says what the shipped records say."""

import re
from pathlib import Path

from cplab import figures, records
from cplab.experiment import Run

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_its_figures_are_those_of_the_shipped_records():
    points = figures.summary(figures.select(records.table(), Run()))
    rows = [
        (-points.gain, points.gain_half, ("blur", 0, 16)),
        (points.gain, points.gain_half, ("flip", 0, 16)),
        (points.loss, points.loss_half, ("blur", 0, 8)),
        (points.loss, points.loss_half, ("blur", 24, 8)),
    ]
    measured = [figures.percent(mean[at], half[at]) for mean, half, at in rows]
    said = re.findall(r"\*\*(\d+\.\d ± \d+\.\d)", README)
    assert said == measured
    assert {int(points.pairs[at]) for _, _, at in rows} == {5}
