"""REPRODUCTION.md says what the shipped results say; everything shipped has a recipe."""

import csv
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cplab import quantities as q
from cplab import results
from cplab.labs import lab02, lab04_trace
from cplab.runs import Run
from cplab.statistics import Estimate, Interval, estimate
from reproduction import numbers, recipes, report, rows
from reproduction.__main__ import main
from reproduction.row import ABOVE, LEVEL, Row, verdict

ROOT = Path(__file__).parent.parent
SURE = [2, 2.1, 1.9]  # 2 ± 0.25


@pytest.fixture(scope="module")
def judged():
    return report.judged()


@pytest.mark.parametrize(
    ("values", "between", "kind"),
    [
        (SURE, ABOVE, "reproduced"),
        (SURE, (3, 4), "contradicted"),
        (SURE, (2.1, 3), "undecided"),
        ([1, 3], ABOVE, "undecided"),
        ([5], ABOVE, "one seed"),
        ([], ABOVE, "missing"),
    ],
)
def test_the_verdict_is_where_the_interval_lies(values, between, kind):
    assert verdict(estimate(values), between).kind == kind


@pytest.mark.parametrize(
    ("mean", "kind"),
    [(-0.1, "unaffected"), (-6, "not harmed"), (6, "contradicted"), (0.9, "undecided")],
)
def test_not_harmed_and_unaffected_are_two_verdicts(mean, kind):
    assert verdict(estimate([mean - 0.1, mean, mean + 0.1]), LEVEL, harmless=True).kind == kind


def made_up(mean, half, between=ABOVE, **how):
    number = Estimate(given=Interval(mean, half, (5,), 4.0, {}))
    return Row("", "points", "course", number, between, **how).verdict()


def test_a_row_that_cannot_answer_or_cannot_fail_says_why():
    assert made_up(2, 0.5, idle="it cannot fail") == ("no test", "it cannot fail")
    assert made_up(2, 0.5, limit="no clock") == ("out of range", "no clock")
    assert made_up(2, 0.5, other=estimate([-2, -2.1])).kind == "out of range"  # by the other clock
    one = estimate([1.0, 2.0])
    assert verdict(one - one, LEVEL).kind == "out of range"  # both sides are the same networks
    for mean, kind in ((0.5, "no test"), (2.0, "reproduced"), (0.1, "undecided")):
        assert made_up(mean, 0.3, early=True).kind == kind


def test_harm_in_clear_epochs_is_a_ratio_of_means():
    """Its interval is that of resampled seeds, up to the delta method."""
    run = Run("blur", 24, 8)
    with q.shipped_only():
        found = numbers.in_clear_epochs(run)
        both = [of(run).by_seed for of in (q.harm, q.lost_time)]
    seeds = sorted(both[0].keys() & both[1].keys())
    harm, lost = (np.array([part[seed] for seed in seeds]) for part in both)
    drawn = np.random.default_rng(0).integers(len(seeds), size=(4000, len(seeds)))
    ratios = 8 * harm[drawn].mean(1) / lost[drawn].mean(1)
    assert found.mean == pytest.approx(8 * harm.mean() / lost.mean())
    assert found.half == pytest.approx(2.3 * ratios.std(), rel=0.5)


def test_an_exponential_of_the_sensitivity_explains_the_trace_that_follows_it(monkeypatch):
    cost = np.array([0.5, 1.0, 3.0, 2.0])
    for sign, share in ((1, 1), (-1, 0)):
        trace = 2 + sign * np.exp(0.8 * cost)
        monkeypatch.setattr(
            lab04_trace, "trace_at", lambda run, epoch, of=trace: estimate([of[epoch]])
        )
        windows = [Run("blur", onset, 4) for onset in range(5)]
        of = lambda run: estimate([cost[run.onset - 1]])  # noqa: E731
        found = numbers.trace_match(windows, Run(), of, fit=True)
        assert found.mean == pytest.approx(share, abs=1e-3)


def test_the_flagship_s_harm_is_what_its_curves_say():
    """Read from the curves with numpy and scipy alone."""
    with q.shipped_only():
        found = q.harm(rows.flagship())
    ends = {"none": {}, "blur": {}}
    for result in results.every_result("Run", "shipped"):
        run = result.spec
        clear = {"deficit": "none", "onset": 0, "length": 0, "seed": 0}
        if run.recovery != 60 or replace(run, **clear) != Run(**rows.FLAGSHIP):
            continue
        if run.deficit == "none" or (run.deficit, run.onset, run.length) == ("blur", 0, 16):
            end = 60 + (run.length if run.deficit == "blur" else 0)
            curve = [row["test_accuracy"] for row in result.curve][end - 5 : end]
            longest = ends[run.deficit].get(run.seed, (-1, 0))
            ends[run.deficit][run.seed] = max(longest, (run.onset, 100 * np.mean(curve)))
    clear, blurred = ([value for _, value in ends[name].values()] for name in ("none", "blur"))
    test = stats.ttest_ind(clear, blurred, equal_var=False)
    assert found.mean == pytest.approx(np.mean(clear) - np.mean(blurred))
    assert found.half == pytest.approx(np.ptp(test.confidence_interval()) / 2)


def test_the_page_says_the_numbers_of_today(judged):
    text = (ROOT / "REPRODUCTION.md").read_text("utf-8")
    assert report.page(text, judged) == text  # else: python -m reproduction report


def test_the_rows_have_the_numbers_that_they_had(judged):
    with (ROOT / "reproduction" / "rows.csv").open(newline="") as file:
        before = [*csv.DictReader(file)]
    pairs = [(question, row) for question, group in judged.items() for row in group]
    now = [dict(zip(report.COLUMNS, report.cells(*pair), strict=True)) for pair in pairs]
    assert len(now) == len(before)
    for one, other in zip(now, before, strict=True):
        for name in ("mean", "half"):
            number = float(one.pop(name))
            assert number == pytest.approx(float(other.pop(name)), 1e-5, 1e-9, nan_ok=True)
        assert {name: str(cell) for name, cell in one.items()} == other


def test_the_page_has_each_statement_once_and_only_their_names_answer(judged):
    text = (ROOT / "REPRODUCTION.md").read_text("utf-8")
    names = Counter(found[1] for found in map(report.STATEMENT.match, text.split("\n")) if found)
    sources = Counter(name.split()[0] for name in names)
    assert sources == {"paper": 52, "poster": 7, "slides": 8, "page": 3, "thesis": 15}
    assert set(names.values()) == {1}
    assert report.best(judged).keys() <= names.keys()
    assert re.findall(r"(?m)^## (.*)$", text) == list(judged)


@pytest.mark.parametrize("name", ["slim", "kernels", "course_random", "growth"])
def test_a_shipped_file_is_its_own_recipe(name):
    """What it would train again, and measure, is what it holds."""
    parts = [*recipes.parts_of(name)]
    found = [results.find(spec, measure) for specs, measure in parts for spec in specs]
    places = results.store.archive().places
    assert {r.key for r in found} == {key for key in places if places[key][0] == f"{name}.parquet"}
    assert {r.source for r in found} == {"shipped"}


def test_an_earlier_version_is_trained_as_of_today(monkeypatch):
    [(before, _)] = recipes.parts_of("practice")
    monkeypatch.setattr(Run, "version", Run.version + 1)
    [(now, _)] = recipes.parts_of("practice")
    assert [replace(run) for run in now] == before
    assert not {run.key for run in now} & {r.key for r in results.every_result("Run", "shipped")}


def test_a_recipe_trains_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(recipes, "SEEDS", range(1))
    assert main(["train", "momentum", "--profile", "ci"]) == 0
    assert main(["list", "momentum", "--profile", "ci"]) == 0
    _, there, _, of = capsys.readouterr().out.split("\n")[-2].split()
    assert there == of
    assert main(["ship", "nothing"]) == 2


def test_other_images_move_harm_by_what_all_seeds_share(monkeypatch):
    """However few seeds there are: what is a seed's own on an image is not counted."""
    draw = np.random.default_rng(1)
    shared, own = draw.normal(0, 30, 4000), draw.normal(0, 20, (4, 4000))

    def named_rightly(run, end):
        if run.seed > 3:
            raise q.Missing("no such seed")
        return np.zeros(4000) if run.deficit == "blur" else shared + own[run.seed]

    monkeypatch.setattr(lab02, "named_rightly", named_rightly)
    found = lab02.half_by_images(rows.flagship(), 24)
    assert found.counts == (4,)
    assert found.mean == pytest.approx(1.96 * np.std(shared) / 4000**0.5, rel=0.02)
