"""Lab 01: what it computes against closed forms, and the table of animal data as printed."""

import re

import numpy as np
import pytest
from scipy.optimize import curve_fit

from cplab.labs import lab01
from cplab.labs.lab01 import statements
from cplab.statistics import estimate


def recovered():
    table = statements("recovered_acuity", "cat").query("kind == 'point'")
    return (table.age_low + table.age_high) / 2, table.value


def test_the_kittens_recovery_is_about_exponential():
    """Mitchell 1988 says so; the other papers' kittens agree."""
    age, values = recovered()
    (tau, normal), _ = curve_fit(lab01.decline, age, values, p0=[60, 6])
    rest = values - lab01.decline(age, tau, normal)
    assert 1 - np.sum(rest**2) / np.sum((values - values.mean()) ** 2) > 0.9
    assert normal == pytest.approx(6.9, abs=1)
    assert lab01.decline(tau, tau, normal) == pytest.approx(normal / np.e)


def test_the_band_of_a_curve_is_by_the_delta_method():
    """With slopes by differences."""
    tau, normal, slack = 136.0, 7.0, np.array([[7000.0, -200], [-200, 8]])
    fig = lab01.through(*recovered(), tau, normal, slack)
    corners = fig.ax.collections[0].get_paths()[0].vertices
    for t in np.unique(corners[:, 0])[[0, 70, 199]]:
        low, high = np.percentile(corners[corners[:, 0] == t, 1], [0, 100])
        steps = [(1e-4, 0), (0, 1e-4)]
        slope = [
            (lab01.decline(t, tau + a, normal + b) - lab01.decline(t, tau, normal)) / 1e-4
            for a, b in steps
        ]
        assert (high - low) / 2 == pytest.approx(np.sqrt(slope @ slack @ slope), rel=1e-3)


def test_a_filter_s_line_lies_along_the_stripes_that_it_prefers():
    for z, along in ((0.8, (0, 0.8)), (-0.8, (0.8, 0)), (0.5j, (0.25**0.5 / 2**0.5,) * 2)):
        line = lab01.orientation_figure("stripes", [np.array([z])]).ax.lines[0]
        assert np.abs(line.get_xydata()[1]) == pytest.approx(along, abs=1e-9)


def test_a_kitten_meets_a_network_that_has_its_curve_and_no_level_one():
    curve, animal = lab01.shares({n: estimate([1.0, 1.0]) for n in (2, 12, 24)})
    assert lab01.meet((curve, animal)) is False
    own = animal.sort_values("x").groupby("x", as_index=False).mean()
    same = own.assign(x=own.x / 20)
    assert lab01.meet((same, animal)) is True
    fallen = lab01.of_the_fall(animal)
    assert (fallen["mean"].min(), fallen["mean"].idxmax()) == (0, animal["mean"].idxmax())


def test_beside_networks_that_nobody_trained_a_kitten_stands_alone():
    view = lab01.shares({4: estimate([]), 8: estimate([])})
    assert lab01.meet(view) is None
    assert "too few points" in lab01.in_silico({"share": view})._repr_html_()


def test_each_statement_with_an_age_is_drawn_once():
    rows = statements("recovered_acuity")
    words, points = lab01.age_figure({"closed": rows}, 600, "cycles/degree").axes
    said = [text.get_text() for text in words.texts]
    assert said == rows[rows.kind == "interval"].words.tolist()
    assert points.lines[0].get_ydata() == pytest.approx(rows.value.dropna())


# The table of animal data as printed --------------------------------------------------------------


DAYS = {"day": 1, "week": 7, "month": 365.25 / 12, "year": 365.25}


def test_every_row_says_what_it_is_and_where_it_is_from():
    table = statements()
    for column in ("quantity", "species", "age_text", "unit", "source", "where"):
        assert table[column].notna().all()
        assert (table[column].str.strip() != "").all()
    assert table.source.str.contains(r"\d{4}").all()  # a year
    assert not table.duplicated(["quantity", "species", "age_text", "value", "words", "note"]).any()


def test_values_are_the_ones_printed():
    for row in statements().query("kind == 'point'").itertuples():
        printed = [float(x) for x in re.findall(r"\d+(?:\.\d+)?", row.value_text)]
        assert [row.value_low, row.value_high] == [printed[0], printed[-1]]
        assert row.value == (row.value_low + row.value_high) / 2


GESTATION = 165  # days of a macaque, from conception


def test_ages_are_the_ones_stated():
    for row in statements().itertuples():
        if row.age_text in ("not stated", "adult"):
            assert np.isnan([row.age_low, row.age_high]).all()
            continue
        assert row.age_low <= row.age_high
        text, stated = row.age_text, []
        for day in re.findall(r"embryonic day (\d+)", text):
            stated.append(int(day) - GESTATION)
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
