"""Lab 01: kittens beside networks, and the data of the papers as they are printed."""

import re

import pytest

from cplab.estimates import estimate
from cplab.labs import lab01


@pytest.fixture
def kitten():
    """Kittens' points, beside a network that always reaches the normal."""
    _, points = lab01.fractions_of_normal({epochs: estimate([1.0, 1.0]) for epochs in (2, 12, 24)})
    return points


def test_a_kitten_meets_a_network_that_has_its_curve(kitten):
    curve = kitten.sort_values("x").groupby("x", as_index=False).mean()
    assert lab01.meet((curve.assign(x=curve.x / 20), kitten)) is True  # 20 days for an epoch


def test_a_kitten_meets_no_network_that_loses_nothing():
    assert (
        lab01.meet(lab01.fractions_of_normal({n: estimate([1.0, 1.0]) for n in (2, 12, 24)}))
        is False
    )


def test_each_statement_names_its_source():
    table = lab01.statements()
    named = table[["quantity", "species", "unit", "source", "where"]].fillna("")
    assert (named != "").all(axis=None)


POINTS = list(lab01.statements().query("kind == 'point'").itertuples())


@pytest.mark.parametrize("row", POINTS, ids=lambda row: row.value_text)
def test_the_range_of_a_value_is_the_one_printed(row):
    printed = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", row.value_text)]
    assert row.value_low == printed[0]
    assert row.value_high == printed[-1]


@pytest.mark.parametrize("row", POINTS, ids=lambda row: row.value_text)
def test_a_value_is_the_middle_of_its_range(row):
    assert row.value == (row.value_low + row.value_high) / 2
