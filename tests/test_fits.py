"""Fits against closed forms, simulations and known parameters."""

import re

import numpy as np
import pytest
from conftest import one_line
from scipy import stats

from cplab.studies import kitten as animals
from cplab.studies.kitten import decline, fit, fits, statements


def line(x, slope, height):
    return slope * x + height


def critical_period(t, d, tau1, tau2, k):
    """A rise and a fall, as in the paper's Materials and Methods."""
    return np.exp(-(t - d) / tau1) - k * np.exp(-(t - d) / tau2)


TRUE = {
    "critical_period": (critical_period, {"d": 8.0, "tau1": 45.0, "tau2": 15.0, "k": 1.2}),
    "decline": (decline, {"normal": 6.9, "tau": 110.0}),
}


@pytest.mark.parametrize("name", TRUE)
def test_known_parameters_come_back(name):
    function, true = TRUE[name]
    t = np.linspace(5, 150, 12)
    start = {n: 1.2 * value for n, value in true.items()}
    found = fit(function, t, function(t, **true), start)
    assert found.parameters == pytest.approx(true, rel=1e-4)
    assert list(found.parameters) == list(found.half) == list(start)
    assert all(half < 1e-3 * true[n] for n, half in found.half.items())
    assert found.r2 == pytest.approx(1)
    assert found.n == 12
    np.testing.assert_allclose(
        function(t, **found.parameters), function(t, **true), rtol=1e-4, atol=1e-5
    )


def test_a_straight_line_agrees_with_the_closed_form():
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(0, 20, 9))
    y = 2 - 0.5 * x + rng.normal(size=9)
    found = fit(line, x, y, {"slope": 1, "height": 0})

    design = np.stack([x, np.ones(9)], 1)
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ design.T @ y
    rest = np.sum((y - design @ beta) ** 2)
    half = stats.t.ppf(0.975, 7) * np.sqrt(inverse.diagonal() * rest / 7)
    np.testing.assert_allclose(list(found.parameters.values()), beta, rtol=1e-6)
    np.testing.assert_allclose(list(found.half.values()), half, rtol=1e-5)
    assert found.r2 == pytest.approx(1 - rest / np.sum((y - y.mean()) ** 2))
    # The band of a line is exact.
    grid = np.stack([np.linspace(-5, 25, 4), np.ones(4)], 1)
    width = np.sqrt(np.einsum("ij,jk,ik->i", grid, inverse, grid) * rest / 7)
    np.testing.assert_allclose(found.band(grid[:, 0]), stats.t.ppf(0.975, 7) * width, rtol=1e-5)


def test_intervals_and_band_hold_the_truth_19_times_in_20():
    """5 points and 2 parameters: 1.96 instead of Student's t would hold it 85 times in 100."""
    rng = np.random.default_rng(3)
    t, true = np.array([0, 30, 60, 90, 120.0]), {"normal": 7.0, "tau": 100.0}
    exact, n, inside = decline(t, **true), 250, np.zeros(3)
    for _ in range(n):
        found = fit(decline, t, exact + 0.1 * rng.normal(size=5), {"normal": 6, "tau": 80})
        inside[0] += abs(found.parameters["normal"] - 7) < found.half["normal"]
        inside[1] += abs(found.parameters["tau"] - 100) < found.half["tau"]
        off = decline(75.0, **found.parameters) - decline(75.0, **true)
        inside[2] += abs(off) < found.band(75.0)
    assert (abs(inside / n - 0.95) < 0.04).all(), inside / n


def test_what_the_points_do_not_determine_has_an_infinite_interval():
    def product(x, a, b):
        return a * b * x

    found = fit(product, [1, 2, 3], [2, 4.1, 5.9], {"a": 1, "b": 1})
    assert found.parameters["a"] * found.parameters["b"] == pytest.approx(1.98, abs=0.02)
    assert np.isposinf(list(found.half.values())).all()
    assert np.isposinf(found.band([1, 2])).all()
    idle = fit(lambda x, a, b: a * x, [1, 2, 3], [2, 4.1, 5.9], {"a": 1, "b": 1})
    assert np.isposinf(idle.half["b"])


def test_words_say_what_the_points_determine_and_what_not():
    rng = np.random.default_rng(0)
    t = np.linspace(0, 100, 8)
    y = decline(t, 6.9, 110) + 0.05 * rng.normal(size=8)
    start = {"normal": 6, "tau": 50}
    words = fit(decline, t, y, start).describe()
    assert all("±" in text and "e" not in text for text in words.values())
    assert "no interval: too few points" in fit(decline, t[:2], y[:2], start).describe()["tau"]
    # Two flat points and a fall between them leave k and tau2 to chance.
    found = fit(critical_period, t, 0 * t + rng.normal(size=8), {**TRUE["critical_period"][1]})
    assert "not determined" in " ".join(found.describe().values())


def test_a_number_has_no_more_digits_than_its_interval_leaves_it():
    cases = {
        (136.2, 88.0): "136 ± 88",
        (7.2283, 0.031): "7.228 ± 0.031",
        (0.2, 12345): "0 ± 12,345",
    }
    for (value, half), text in cases.items():
        assert fits.plain_interval(value, half) == text


def test_the_kittens_recovery_is_about_exponential():
    """Mitchell 1988 says so; the other papers' kittens agree."""
    table = statements("recovered_acuity", "cat").query("kind == 'point'")
    age = (table.age_low + table.age_high) / 2
    found = fit(decline, age, table.value, {"normal": 7, "tau": 100})
    assert found.n == 5
    assert found.r2 > 0.9
    assert abs(found.parameters["normal"] - 6.9) < found.half["normal"]


T, Y, START = [0, 1, 2, 3.0], [7, 5, 4, 3.0], {"normal": 7, "tau": 3}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"t": [0], "y": [7]}, ["1 points", "2 parameters", "3 or more"]),
        ({"y": [7, 5, 4]}, ["4 numbers", "3"]),
        ({"y": [7, 5, float("nan"), 3]}, ["y is not a row", "leave out"]),
        ({"start": {"normal": 7}}, ["decline fails", "tau"]),
        ({"start": {"normal": 7, "tau": 0}}, ["tau = 0", "another start"]),
    ],
)
def test_a_fit_that_cannot_be_made_says_so_in_one_line(changed, words):
    arguments = {"t": T, "y": Y, "start": START, **changed}
    one_line(lambda: fit(decline, **arguments), *words)


def broken(t, a):
    """Finite at its start alone."""
    return t * (a if a == 1 else np.nan)


def test_a_fit_that_does_not_converge_is_one_line(monkeypatch):
    one_line(lambda: fit(broken, T, Y, {"a": 1}), "broken does not converge", "another start")
    monkeypatch.setattr(fits, "EVALUATIONS", 3)
    one_line(
        lambda: fit(decline, T, Y, {"normal": 700, "tau": 0.1}),
        "decline does not converge from normal = 700, tau = 0.1",
    )


# The table of animal data as printed --------------------------------------------------------------


DAYS = {"day": 1, "week": 7, "month": 365.25 / 12, "year": 365.25}


def test_every_row_says_what_it_is_and_where_it_is_from():
    table = statements()
    for column in ("quantity", "species", "age_text", "unit", "source", "where"):
        assert table[column].notna().all()
        assert (table[column].str.strip() != "").all()
    assert table.source.str.contains(r"\d{4}").all()  # a year
    assert set(table.species) == {"cat", "macaque", "human"}
    assert not table.duplicated(["quantity", "species", "age_text", "value", "words", "note"]).any()


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
