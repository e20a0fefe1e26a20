"""The table of animal data as printed, and the curves of the paper."""

import re
import subprocess
import sys

import numpy as np
import pytest

from cplab.errors import CplabError
from cplab.studies import kitten as animals
from cplab.studies.kitten import statements

DAYS = {"day": 1, "week": 7, "month": 365.25 / 12, "year": 365.25}


def test_every_row_says_what_it_is_and_where_it_is_from():
    table = statements()
    for column in ("quantity", "species", "age_text", "unit", "source", "where"):
        assert table[column].notna().all()
        assert (table[column].str.strip() != "").all()
    assert table.source.str.contains(r"\d{4}").all()  # a year
    assert set(table.species) == {"cat", "macaque", "human"}
    assert not table.duplicated(["quantity", "species", "age_text", "value", "words", "note"]).any()


def test_points_have_numbers_and_intervals_have_words():
    table = statements()
    point = table.kind == "point"
    assert set(table.kind) == {"point", "interval"}
    values = table[["value", "value_low", "value_high"]]
    assert values[point].notna().all(axis=None)
    assert values[~point].isna().all(axis=None)
    assert (table.words[point] == "").all()
    assert (table.words[~point] != "").all()
    assert (table.value_text[~point] == "").all()


def test_values_are_the_ones_printed():
    point = statements().query("kind == 'point'")
    for row in point.itertuples():
        printed = [float(x) for x in re.findall(r"\d+(?:\.\d+)?", row.value_text)]
        assert [row.value_low, row.value_high] == [printed[0], printed[-1]]
        assert row.value == (row.value_low + row.value_high) / 2


def test_ages_are_the_ones_stated():
    table = statements()
    for row in table.itertuples():
        if row.age_text in ("not stated", "adult"):
            assert np.isnan(row.age_low)
            assert np.isnan(row.age_high)
            continue
        assert row.age_low <= row.age_high
        text, stated = row.age_text, []
        for day in re.findall(r"embryonic day (\d+)", text):
            stated.append(int(day) - animals.GESTATION)
        text = re.sub(r"embryonic day \d+", "", text)
        stated += [int(day) for day in re.findall(r"day (\d+)", text)]
        text = re.sub(r"day \d+", "", text)
        for low, high, unit in re.findall(
            r"(\d+)(?:(?:–| to )(\d+))? (day|week|month|year)s?", text
        ):
            stated += [np.floor(int(n) * DAYS[unit] + 0.5) for n in (low, high) if n]
        if re.search("before|first|birth", text):
            stated.append(0)
        assert {row.age_low, row.age_high} == set(stated), row.age_text


def test_the_table_can_be_asked_by_quantity_and_species():
    found = statements("synaptic_density", "macaque")
    assert set(found.quantity) == {"synaptic_density"}
    assert set(found.species) == {"macaque"}
    assert list(found.query("kind == 'point'").value) == [10.9, 63, 37.7]
    assert list(found.index) == list(range(len(found)))
    assert set(statements(species="human").species) == {"human"}


def test_unknown_names_are_one_line():
    for asked, words in (
        (("weight",), "quantity 'weight'.*recovered_acuity"),
        (("recovered_acuity", "human"), "species 'human'.*choose one of cat"),
    ):
        with pytest.raises(CplabError, match=words) as caught:
            statements(*asked)
        assert "\n" not in str(caught.value)


def test_it_needs_neither_pandas_nor_scipy_to_be_imported_and_draws_nothing():
    code = (
        "import sys; from cplab import statistics\n"
        "from cplab.studies import kitten as animals\n"
        "assert not {'scipy', 'pandas', 'torch', 'bokeh', 'lmfit'} & set(sys.modules)\n"
        "animals.statements(); statistics.describe([1, 2])\n"
        "animals.fit(animals.decline, [0, 1, 2], [3, 2, 1], {'normal': 3, 'tau': 2})\n"
        "assert not {'bokeh', 'torch', 'IPython'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
