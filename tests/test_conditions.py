"""A table of conditions: harm, lost time and accuracy of runs beside their controls."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import one_line

import cplab
from cplab import quantities
from cplab.results import store
from cplab.specs.own import plain_name

BLURRED = cplab.Run("blur", length=8)
LATE = cplab.Run("blur", onset=24, length=8)


@pytest.fixture(scope="module")
def table():
    """Two ages of a blur and their controls."""
    runs = [BLURRED, LATE, BLURRED.newborn(), LATE.without_window(), LATE.equal_training()]
    return cplab.harm_table(runs)


@pytest.mark.parametrize(("row", "run"), [(0, BLURRED), (1, LATE)])
def test_a_row_has_what_a_deficit_costs(table, row, run):
    expected = []
    for value in (quantities.harm(run), quantities.lost_time(run), quantities.accuracy(run)):
        expected += [value.mean, value.half]
    columns = ["harm", "harm ±", "lost_time", "lost_time ±", "accuracy", "accuracy ±"]
    assert table.loc[row, columns].tolist() == expected


def test_controls_are_named_and_have_no_harm(table):
    assert table.role.tolist() == ["deficit", "deficit", "twin", "twin", "equal training"]
    assert table.harm.isna().tolist() == [False, False, True, True, True]


def test_a_measurement_has_its_mean_over_seeds():
    clear = cplab.Run(onset=16)
    results = quantities.each_result(clear, {"blurred": "end"})
    each = [result.final("blurred")["clear"] for result in results]
    table = cplab.harm_table([clear], measure="blurred")
    assert table["blurred.clear"][0] == pytest.approx(np.mean(each))
    assert cplab.harm_table([BLURRED], measure="blurred").blurred.isna().all()  # no seed has it


def test_seeds_of_a_run_are_one_condition():
    table = cplab.harm_table(cplab.sweep([BLURRED.with_seed(seed) for seed in range(3)]))
    assert len(table) == 1


def test_functions_of_ones_own_have_plain_names_and_a_column_for_their_digests():
    @cplab.deficit
    def halved(x, y):
        return x / 2, y

    run = cplab.Run(deficit=halved, length=8)
    table = cplab.harm_table([run])
    assert (table.deficit[0], table.digest[0]) == ("halved", run.deficit)
    assert plain_name("pets@317b0f8b91e0") == "pets"  # images of one's own


def test_a_treatment_of_ones_own_is_told_by_its_words():
    @cplab.treatment
    def halve(net, optimizer):
        pass

    treated = replace(BLURRED, treatments=[(halve, 8)])
    table = cplab.harm_table([treated, BLURRED])
    [own] = {name for name, *_ in treated.treatments}
    assert table.treatments.tolist() == ["halve@8", ""]
    assert table.digest.tolist() == [own, ""]


def test_seeds_of_ones_own_are_told_from_shipped_ones():
    own = replace(cplab.find(BLURRED), spec=BLURRED.with_seed(49), source="live")
    store.keep(own)
    assert repr(quantities.accuracy(BLURRED)).endswith("(21 seeds: 1 of yours, 20 shipped)")
    table = cplab.harm_table([BLURRED])
    assert (table.seeds[0], table.shipped[0]) == (21, 20)


def test_what_is_no_run_is_one_line():
    one_line(lambda: cplab.harm_table(["blur"]), "give runs")


def test_a_sweep_adds_both_controls_of_each_run():
    results = cplab.sweep([BLURRED, LATE], controls=True)
    controls = [BLURRED.newborn(), BLURRED.equal_training()]
    controls += [LATE.without_window(), LATE.equal_training()]
    assert [result.spec for result in results] == [BLURRED, LATE, *controls]
