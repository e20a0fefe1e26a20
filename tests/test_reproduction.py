"""REPRODUCTION.md says what the shipped results say; everything shipped has a recipe."""

from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cplab import quantities as q
from cplab import results
from cplab.labs import lab02
from cplab.runs import Run
from cplab.statistics import Estimate, Interval, estimate
from reproduction import numbers, pictures, recipes, report
from reproduction.claims import CLAIMS, QUESTIONS, Claim, read_file, shipped

FILE = Path(__file__).parent.parent / "REPRODUCTION.md"
SURE = [2, 2.1, 1.9]  # 2 ± 0.25


@pytest.mark.parametrize(
    ("values", "low", "high", "kind"),
    [
        (SURE, 0, inf, "reproduced"),
        (SURE, -inf, 0, "contradicted"),
        (SURE, 1, 3, "reproduced"),
        (SURE, 3, 4, "contradicted"),
        (SURE, 2.1, 3, "undecided"),
        ([1, 3], 0, inf, "undecided"),
        ([0, 0.1, 0.1], -1, inf, "reproduced"),
        ([5], 0, inf, "one seed"),
        ([], 0, inf, "missing"),
    ],
)
def test_the_verdict_is_where_the_interval_lies(values, low, high, kind):
    found = report.verdict(estimate(values), low, high)
    assert found.kind == kind
    assert found.words.startswith(kind)


def test_the_same_networks_on_both_sides_answer_nothing():
    one = estimate([1.0, 2.0])
    assert report.verdict(one - one, -1, 1).kind == "out of range"


def test_not_harmed_and_unaffected_are_two_verdicts():
    for values, kind in (
        ([0.1, 0.2, 0.0], "unaffected"),
        ([6.0, 6.2, 6.1], "not harmed"),
        ([-6.0, -6.2, -6.1], "contradicted"),
        ([-3.0, 3.0, 0.0], "undecided"),
    ):
        found = report.verdict(estimate(values), -1, 1, unaffected=True)
        assert found.kind == kind
        assert found.words.startswith(kind)


def made_up(mean, half, **how):
    """A claim about a number with this interval at the size course."""

    class MadeUp(Claim):
        def estimate(self, size):
            return Estimate(given=Interval(mean, half, (5,), 4.0, {}))

    return MadeUp("Age", "A figure", "Somebody", "…", "points", {"course": ()}, numbers.mean, **how)


def test_a_row_that_cannot_answer_or_cannot_fail_leaves_the_count():
    fine, idle = made_up(2, 0.5, low=0), made_up(2, 0.5, low=0, idle="it cannot fail")
    beyond = made_up(2, 0.5, low=0, beyond={"course": "no clock"})
    rows = [(claim, "course") for claim in (fine, idle, beyond)]
    assert report.tally(rows) == "1 reproduced, 1 out of range"
    assert report.judge(idle, "course")[1].words == "no test: it cannot fail"
    assert report.judge(beyond, "course")[1].words == "out of range: no clock"


def test_where_the_rate_falls_both_controls_have_to_agree():
    late = {"deficit": "flip", "schedule": "paper", "pace": 1, "recovery": 160}
    [claim] = [
        claim
        for claim in CLAIMS
        if isinstance(claim.of, partial)
        and (claim.of.func, claim.of.keywords) == (numbers.newborn_gain, late)
    ]
    with q.shipped_only():
        stopped = claim.estimate("course")
        running = report.other_clock(claim, "course")
    assert stopped.mean * running.mean < 0  # a flip until 140 is worse, and better
    assert report.judge(claim, "course")[1].kind == "out of range"
    assert report.other_clock(made_up(2, 1, low=0), "course") is None


def test_every_claim_stands_under_one_question_and_no_two_rows_are_alike():
    asked = [name for question in QUESTIONS for name in question.claims]
    assert len(asked) == len(set(asked))
    rest = {claim.question for claim in CLAIMS} - set(asked)
    assert rest <= {"Accuracy"}  # of the paper's size
    rows = [(c.exhibit, c.what.format(*c.at[s]), s) for c in CLAIMS for s in c.at]
    assert len(rows) == len(set(rows))
    drawn = [question.picture for question in QUESTIONS]
    assert sorted(["example", *drawn]) == sorted(pictures.FIGURES)


def test_seeds_pair_only_lives_that_share_training():
    for shared, number in (
        (1, numbers.window_cost("course", 8, 8, of=q.harm)),
        (2, numbers.newborn_gain("course", 16)),
        (2, numbers.advantage_over_blur("course", 16, "flip")),
        (1, numbers.architecture_gain("thesis", 0.05)),  # of one search
        (2, numbers.transfer_gain("thesis", 0.05, "fashion", "digits")),
        (1, numbers.saliency_gain("course", 0.1, "magnitude", "retrained")),  # of one net
        (2, numbers.given_back("course", 16, "blur")),  # trained on different machines
    ):
        assert len(number.counts) == shared


def test_harm_in_clear_epochs_is_a_ratio_of_means():
    """Its interval is that of resampled seeds, up to the delta method."""
    at = ("course", 8, 24)
    found = shipped(numbers.in_clear_epochs, *at)
    with q.shipped_only():
        both = [numbers.window_cost(*at, of=of).by_seed for of in (q.harm, q.lost_time)]
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
        monkeypatch.setattr(q, "trace_at", lambda run, epoch, of=trace: estimate([of[epoch]]))
        cost_of = lambda run: estimate([cost[run.onset - 1]])  # noqa: E731
        found = numbers.trace_match("course", 4, (0, 1, 2, 3, 4), 4, of=cost_of, fit=True)
        assert found.mean == pytest.approx(share, abs=1e-3)


def test_the_flagship_s_harm_is_what_its_curves_say():
    """Read from the curves with numpy and scipy alone."""
    found = shipped(numbers.flagship_harm, "course", 16, 0)
    runs = [r for r in results.every_result("Run", "shipped") if recipes.is_flagship(r.spec)]
    ends = {"none": {}, "blur": {}}
    for result in runs:
        run = result.spec
        if run.treatments:
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


def test_the_file_says_the_numbers_of_today():
    text = FILE.read_text("utf-8")
    for question in QUESTIONS[1:3]:
        assert "\n".join(report.section(question)) in text


def test_everything_shipped_has_a_recipe():
    wanted = recipes.wanted()
    lost = [r.key for r in results.every_result("Run", "shipped") if r.spec not in wanted]
    assert not lost


def test_every_statement_of_a_source_has_rows_or_a_reason():
    parts = read_file("coverage.toml")["part"]
    known = {
        f"{part['name']} {number}": why
        for part in parts
        for number, (_, why) in enumerate(part["statements"], 1)
    }
    answered = {name for claim in CLAIMS for name in claim.answers}
    assert answered <= known.keys()
    assert all(why for name, why in known.items() if name not in answered)
    page = (FILE.parent / "reproduction" / "coverage.md").read_text("utf-8")
    assert "**" not in page
    assert page.count("\n| ") == len(known) + 2 * len(parts)


@pytest.fixture(scope="module")
def clear_runs():
    """All shipped runs without a deficit."""
    every = results.every_result("Run", "shipped")
    return [result.spec for result in every if result.spec.deficit == "none"]


def rise(run, clear_runs):
    """How much of the way from chance to the highest mean of five epochs a run without a deficit
    has gone by an epoch, while its rate is held."""
    alike = [spec for spec in clear_runs if is_clear(spec, run)]
    longest = max(alike, key=lambda spec: (spec.onset, -spec.seed))
    held = longest.epochs if run.schedule != "recovery" else longest.onset
    with q.shipped_only():
        trained = q.each_result(longest)[: 10 if run.schedule == "recovery" else 5]
    curves = [result.series("test_accuracy") for result in trained]
    curve = np.mean(curves, axis=0)[:held]
    top = np.convolve(curve, np.ones(5) / 5, "valid").max()
    return (curve[run.onset - 1] - 0.1) / (top - 0.1)


def is_clear(spec, run):
    same = {"onset": spec.onset, "recovery": spec.recovery, "seed": spec.seed}
    return spec.recovery and spec.onset <= 32 and spec == replace(run.without_window(), **same)


def test_where_later_begins_is_read_off_the_curve_without_a_deficit(clear_runs):
    """One border for all rows: nine tenths of what is learned without a deficit."""
    asked = 0
    for claim in CLAIMS:
        for size, at in claim.at.items():
            if claim.early is None or size == "paper":
                continue
            fields = getattr(claim.of, "keywords", {})
            how = {name: fields[name] for name in fields if name in ("dataset", "schedule", "pace")}
            asked += 1
            run = Run("blur", at[1], at[0], profile=size, **how)
            assert claim.early == (rise(run, clear_runs) < 0.9), at
    assert asked > 15


def test_a_harm_that_passes_on_both_sides_of_the_border_is_no_test():
    for mean, kind in ((0.5, "no test"), (2.0, "reproduced"), (0.1, "undecided")):
        claim = made_up(mean, 0.3, low=0, early=True)
        assert report.judge(claim, "course")[1].kind == kind


def test_other_images_move_harm_by_what_all_seeds_share(monkeypatch):
    """However few seeds there are: what is a seed's own on an image is not counted."""
    draw = np.random.default_rng(1)
    shared, own = draw.normal(0, 30, 4000), draw.normal(0, 20, (4, 4000))

    def named_rightly(run, end):
        if run.seed > 3:
            raise q.Missing("no such seed")
        return np.zeros(4000) if run.deficit == "blur" else shared + own[run.seed]

    monkeypatch.setattr(lab02, "named_rightly", named_rightly)
    run = Run("blur", 0, 16, **recipes.FLAGSHIP)
    found = lab02.half_by_images(run, 24)
    assert found.counts == (4,)
    assert found.mean == pytest.approx(1.96 * np.std(shared) / 4000**0.5, rel=0.02)
