"""The table of animal data as printed, and the curves of the paper."""

import re

import numpy as np

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


def test_beside_networks_that_nobody_trained_a_kitten_stands_alone():
    view = animals.shares((4, 8), "paper")
    assert animals.closest(view) == np.inf
    assert "0 points" in animals.in_silico([view, view]).words
