"""The page that trains lab 00's networks from nothing: of the package it takes the digits alone, so
that it can contradict all the rest."""

import math
import re

import nbformat
import pytest
from conftest import ROOT
from without_torch import run

from cplab.estimates import estimate
from cplab.labs import lab00
from cplab.quantities import harm

PAGE = nbformat.read(ROOT / "docs" / "from_nothing.ipynb", as_version=4)
CODE = [cell.source for cell in PAGE.cells if cell.cell_type == "code"]


def test_it_takes_the_digits_alone():
    assert re.findall(r"cplab\.\w+.*", "\n".join(CODE)) == ['cplab.images("drawn", "tiny")']


@pytest.fixture(scope="module")
def harms():
    """The harm of each of four seeds that the page trains, after all its cells."""
    space = {"__name__": "__main__"}
    for source in CODE:
        run(source.replace("range(100, 120)", "range(100, 104)"), space)
    return space["harms"].tolist()


def test_its_harm_agrees_with_the_package_s_within_their_intervals(harms):
    found = estimate(harms)
    assert found.seeds == 4
    stored = harm(lab00.childhood())
    assert abs(found.mean - stored.mean) <= math.hypot(found.half, stored.half)
