"""REPRODUCTION.md says what the shipped results say, by one rule; and everything shipped has a
recipe."""

import re
from collections import Counter
from functools import partial
from itertools import takewhile
from math import inf
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import forget_lookups
from scipy import stats

from cplab import Run, windows
from cplab import quantities as q
from cplab.errors import CplabError
from cplab.measure import parse_measures
from cplab.results import find, store
from cplab.specs import key
from cplab.statistics import PerSeed, interval, mean_and_half
from reproduction import __main__ as commands
from reproduction import (
    campaign,
    ladders,
    numbers,
    pages,
    pictures,
    questions,
    recipes,
    report,
    statement,
)
from reproduction.claims import CLAIMS
from reproduction.statement import Claim

FILE = Path(__file__).parent.parent / "REPRODUCTION.md"
SURE = [2, 2.1, 1.9]  # 2 ± 0.25
SHOW = "which show a difference of"
POWER = "with 80 % power"
SAME = "out of range: in every seed both sides are the same network"


def test_the_file_is_what_the_command_writes():
    figs = pictures.draw()
    assert FILE.read_text() == report.text(figs), "write it anew: python -m reproduction report"
    for name, page in pages.PAGES.items():
        assert (FILE.parent / name).read_text() == page(), "python -m reproduction report"
    linked = re.findall(r"!\[(.+)\]\((.+)\)", FILE.read_text())
    assert [name for name, _ in linked] == [n for n in report.by_question() if n in figs]
    assert len(linked) > 3
    for _, path in linked:
        content = (FILE.parent / path).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) < 60_000


@pytest.mark.parametrize(
    ("values", "low", "high", "words"),
    [
        (SURE, 0, inf, "reproduced"),
        (SURE, -inf, 0, "contradicted"),
        (SURE, 1, 3, "reproduced"),
        (SURE, 3, 4, "contradicted"),
        (SURE, 0, 1, "contradicted"),
        (SURE, 2.1, 3, f"undecided with 3 seeds, {SHOW} 0.3 {POWER}"),
        (SURE, 1, 2.1, f"undecided with 3 seeds, {SHOW} 0.3 {POWER}"),
        ([1, 3], 0, inf, f"undecided with 2 seeds, {SHOW} 16.3 {POWER}"),
        ([0, 0], 0, inf, SAME),
        ([0, 0], -1, 1, SAME),
        (PerSeed([[2, -2], [3, -3]]), 0, inf, SAME),
        ([0, 0.1, 0.1], -1, inf, "reproduced"),
        ([5], 0, inf, "one seed, no interval"),
        ([], 0, inf, "missing"),
    ],
)
def test_the_verdict_is_where_the_interval_lies(values, low, high, words):
    found = report.verdict(values, low, high)
    assert found.words == words
    assert found.kind in report.KINDS
    assert words.startswith(found.kind)


def test_a_size_that_cannot_answer_is_out_of_range_whatever_its_number():
    found = report.verdict(SURE, 0, inf, beyond="no clock")
    assert found == ("out of range", "out of range: no clock")
    assert report.verdict([], 0, inf, beyond="no clock").kind == "missing"
    claim = made_up(SURE, low=0, beyond={"course": "no clock"})
    assert report.tally([claim], lambda size: True) == "1 reproduced, 1 out of range"


def test_intervals_of_parts_are_welch_s_and_of_one_part_student_s():
    random = np.random.default_rng(3)
    ours, theirs = random.normal(5, 1, 8), random.normal(3, 4, 8)
    found = interval(PerSeed(np.column_stack([ours, -theirs])))
    test = stats.ttest_ind(ours, theirs, equal_var=False)
    assert found.freedom == pytest.approx(test.df)
    ends = found.mean - found.half, found.mean + found.half
    assert ends == pytest.approx([*test.confidence_interval()])
    paired = interval(ours - theirs)
    assert (paired.mean, paired.half) == pytest.approx(mean_and_half(ours - theirs))
    assert np.isnan(interval([1.0]).half)


def test_seeds_pair_only_lives_that_share_training():
    for shared, number in (
        (1, numbers.window_cost("course", 8, 8, 0, of=q.harm)),
        (2, numbers.newborn_gain("course", 16, 0)),
        (2, numbers.advantage_over_blur("course", 16, 0, "flip")),
        (1, numbers.architecture_gain("thesis", 0.05, 0)),  # of one search
        (2, numbers.transfer_gain("thesis", 0.05, 0, "fashion", "digits")),
        (1, numbers.float32_gain("course", 16, 0, "blur")),  # the same up to rounding
        (1, numbers.saliency_gain("course", 0.1, 0, "magnitude", "retrained")),  # of one net
        (2, numbers.window_cost("course", 8, (0, 8), 0, of=q.harm)),
    ):
        assert len(number.parts) == shared
        assert sum(number.parts.values()) == pytest.approx(number)


def test_a_cost_over_several_onsets_is_the_mean_of_its_windows():
    def right(**fields):
        return 100 * find(Run(**fields)).accuracy

    blurred = [right(deficit="blur", onset=onset, length=8) for onset in (8, 16)]
    clear = [right(onset=onset) for onset in (8, 16)]
    mean = (sum(clear) - sum(blurred)) / 2
    assert numbers.window_cost("course", 8, (8, 16), 0, of=q.harm) == pytest.approx(mean)
    birth = right() - right(deficit="blur", length=8)
    later = numbers.excess_over_birth("course", 8, (8, 16), 0, of=q.harm)
    assert later == pytest.approx(mean - birth)


def made_up(values, **how):
    """A claim whose numbers these are, one a seed, at the sizes paper and course."""

    def of(size, seed):
        if seed >= len(values):
            raise q.Missing
        return values[seed]

    sizes = {"paper": (), "course": ()}
    return Claim("Age", "A figure", "Somebody", "…", "points", sizes, of, **how)


def test_a_row_compares_with_the_source_at_its_own_size_alone():
    claim = made_up([-1.0, -1.2], high=0, number=-1.5)
    said = f"undecided with 2 seeds, {SHOW} 1.6 {POWER}"
    row = "| A figure | points | {} | {} | {} | {} | {} |".format
    middle = "−1.1 ± 1.3 (2 seeds)"
    assert report.row(claim, "paper") == row("below 0", "paper", middle, "+0.4", said)
    assert report.row(claim, "course") == row("below 0", "course", middle, "another size", said)
    one = ("3.0 (1 seed)", "no number given", "one seed, no interval")
    assert report.row(made_up([3.0], low=-1), "paper") == row("above −1", "paper", *one)
    none = made_up([], low=1, high=2, number=1.5)
    assert report.row(none, "paper") == row("between 1 and 2", "paper", "–", "–", "missing")
    assert report.tally([claim], "paper".__eq__) == "1 undecided"


def test_numbers_are_those_of_the_labs_figures():
    points = windows.point_means(windows.same_setting(Run()))
    for what, deficit, name in (
        ("{0} epochs of flip, minus the newborn, points", "flip", "gain"),
        ("points lost to a window of {0} at onset {1}", "blur", "loss"),
        ("harm of a window of {0} at onset {1}, points", "blur", "harm"),
    ):
        claim = next(c for c in CLAIMS if c.what == what and "course" in c.at)
        length, onset = (*claim.at["course"], 0)[:2]
        mean = claim.values("course").mean()
        assert mean == pytest.approx(100 * points.loc[(deficit, onset, length), name])


def test_without_results_or_browser_all_is_missing_and_nothing_is_drawn(
    tmp_path, monkeypatch, nothing_shipped, capsys
):
    monkeypatch.setattr(pictures, "BROWSER", tmp_path / "browser.py")  # as outside of a clone
    assert commands.main(["report", "--out", str(tmp_path / "file.md")]) == 0
    assert "pictures were left as they are" in capsys.readouterr().out
    assert not (tmp_path / "docs").exists()
    assert pictures.draw() == {}
    rows = [row.split(" | ") for row in (tmp_path / "file.md").read_text().splitlines()]
    rows = [row for row in rows if len(row) == 7 and row[3] != "linear"]  # computed, not shipped
    verdicts = Counter(row[-1].split(":")[0] for row in rows)
    del verdicts["verdict |"], verdicts["--- |"]
    slim = sum("slim" in claim.at for claim in CLAIMS)
    every = sum(len({*claim.at} - {"linear"}) for claim in CLAIMS)
    assert verdicts == {"missing |": every - slim, "not trained yet": slim}
    written = tmp_path / "reproduction"
    assert " 0." not in (written / "decomposition.md").read_text()
    assert "±" not in (written / "ladders.md").read_text().split("## A", 1)[1]


def test_only_shipped_results_count(monkeypatch, tmp_path):
    pair = [find(Run("blur", 0, 16)), find(Run())]
    gain = 100 * (pair[0].accuracy - pair[1].accuracy)
    monkeypatch.setattr(store, "SHIPPED", tmp_path / "shipped")
    forget_lookups()
    for result in pair:
        store.keep(result)
    assert q.gain_over_newborn(pair[0].spec) == pytest.approx(gain)
    assert not len(statement.shipped_values(numbers.newborn_gain, "course", 16))
    store.ship(pair, "some")
    assert statement.shipped_values(numbers.newborn_gain, "course", 16) == pytest.approx([gain])


@pytest.fixture
def anything_trained(monkeypatch):
    """As if every run had been trained: each ends at an accuracy of its own. Gives what was asked
    for, {run: measurements}."""
    asked = {}

    def trained(spec, measure=()):
        if not isinstance(spec, Run):
            return None
        asked.setdefault(spec, set()).update(parse_measures(measure))
        random = np.random.default_rng(int(spec.key, 16))
        curve, ending = random.uniform(size=spec.epochs), random.uniform(size=8)
        some = {"trace": "trace", "jacobian": "jacobian", "weight_norms": "norms"}
        measured = {
            name: {e: {of: random.uniform(size=8)} for e in range(spec.epochs)}
            for name, of in some.items()
        }
        shares = random.uniform(size=(spec.epochs, 8)).tolist()
        return SimpleNamespace(
            source="shipped",
            precision="bf16",
            accuracy=curve[-1],
            series=lambda name: curve,
            final=lambda name: {"information": ending, "both": curve[-1], "adapted": ending[:2]},
            measured={**measured, "eye_shares": dict(enumerate(shares))},
        )

    monkeypatch.setattr(q, "find", trained)
    monkeypatch.setattr(statement, "over_seeds", partial(q.over_seeds, seeds=range(1)))
    return asked


def test_the_campaign_trains_every_run_of_the_papers_size(anything_trained):
    for claim in CLAIMS:
        if "paper" in claim.at:
            claim.values("paper")
    listed = {}
    for exhibit, _, specs in takewhile(lambda group: group[1] == 0, campaign.groups("paper")):
        for spec in specs:
            listed.setdefault(spec, set()).update(exhibit.measure)
    asked = anything_trained
    assert len(asked) > 50
    assert not {spec for spec, names in asked.items() if not names <= listed.get(spec, {None})}


def test_the_ladders_train_every_run_of_the_slim_paper(anything_trained):
    for claim in CLAIMS:
        if "slim" in claim.at:
            claim.values("slim")
    listed = ladders.LADDERS["C"].specs() | ladders.LADDERS["D"].specs()
    assert len(anything_trained) > 15
    for run, names in anything_trained.items():
        assert names <= {*parse_measures(listed[run])}


def test_no_two_rows_take_the_same_number(anything_trained):
    taken = Counter()
    for claim in CLAIMS:
        for size in claim.at:
            if len(values := claim.values(size)):
                taken[size, abs(round(values.sum(), 9))] += 1
    assert len(taken) > 100
    whole = {number for number in taken if taken[number] > 1 and number[1] % 1}  # onsets may agree
    assert not whole


def test_every_question_has_claims_and_every_claim_a_question():
    assert {claim.question for claim in CLAIMS} == {*questions.QUESTIONS}
    assert all(claims for claims in report.by_question().values())


def test_float32_is_held_against_the_same_runs_in_bfloat16(monkeypatch):
    ends = {"newborn": (0.50, 0.52), "blur": (0.40, 0.41), "equal": (0.60, 0.60)}

    def trained(run, measure=()):
        life = "blur" if run.length else "equal" if run.onset else "newborn"
        exact = run.arithmetic == "float32"
        precision = "float32" if exact else native
        return SimpleNamespace(accuracy=ends[life][exact], precision=precision, source="live")

    monkeypatch.setattr(q, "find", trained)
    native = "bf16"
    assert numbers.float32_gain("course", 16, 0, "newborn") == pytest.approx(2)
    assert numbers.float32_gain("course", 16, 0, *ends) == pytest.approx(1)
    assert numbers.float32_loss_excess("course", 16, 0) == pytest.approx(1)
    native = "float32"  # on a machine without bfloat16 there is nothing to compare
    with pytest.raises(q.Missing):
        numbers.float32_gain("course", 16, 0, "newborn")


@pytest.mark.parametrize("where", ["nowhere/file.md", "."])
def test_a_file_that_cannot_be_written_is_one_line_and_exit_2(where, tmp_path, capsys):
    assert commands.main(["report", "--out", str(tmp_path / where)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"error: .+ cannot be written \(.+\): name another file\n", err)


# Ladders ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ladders.LADDERS)
def test_what_a_ladder_s_tables_read_is_what_it_trains(letter, monkeypatch):
    ladder = ladders.LADDERS[letter]
    specs, asked = ladder.specs(), {}

    def trained(spec, measure=()):
        asked.setdefault(spec, set()).update(parse_measures(measure))
        layers = [1.0, 2.0]
        return SimpleNamespace(
            source="shipped",
            accuracy=0.5,
            series=lambda name: np.ones(spec.epochs),
            measured={"trace": {epoch: {"trace": layers} for epoch in range(spec.epochs)}},
        )

    monkeypatch.setattr(q, "find", trained)
    for table in ladder.tables():
        assert all(len(cells) == len(table.columns) for cells in table.rows.values())
        for cell in (cell for cells in table.rows.values() for cell in cells if cell):
            cell(0)
    assert len(asked) > 5
    for run, names in asked.items():
        if run not in specs:
            assert find(run, tuple(names)), f"nobody trains {run}"
        else:
            assert names <= {*parse_measures(specs[run])}


def test_a_ladder_is_trained_in_parts_and_goes_on(nothing_shipped, monkeypatch, capsys):
    runs = [Run("blur", 0, 1, 1, "ci", seed=seed) for seed in (0, 1)]
    cell = ladders.harm_of(runs[0])

    def parts():
        yield ladders.with_three([runs[0]], [0]), ()
        yield ladders.with_three([runs[1]], [1]), ("weight_norms",)

    tables = [ladders.Table("until", ("1",), {"harm": [cell]})]
    small = ladders.Ladder("small", parts, lambda: tables)
    monkeypatch.setattr(ladders, "LADDERS", {"S": small})
    monkeypatch.setattr(pages, "LADDERS", {"S": small})
    assert commands.main(["ladder"]) == 0
    assert f"{0:>6}{6:>9}" in capsys.readouterr().out
    assert commands.main(["ladder", "S", "--device", "cpu"]) == 0
    assert not ladders.missing(small)
    assert len(ladders.missing(small, live=False)) == 6
    capsys.readouterr()
    assert commands.main(["ladder", "S", "--table"]) == 0
    assert "(2 seeds)" in capsys.readouterr().out
    assert "±" not in pages.ladders().split("## S")[1]  # the page holds what is shipped alone
    assert commands.main(["ladder", "Z"]) == 2


# Recipes ------------------------------------------------------------------------------------------


def test_everything_that_is_shipped_has_a_recipe_and_no_recipe_names_anything_else():
    files = {}
    for path in store.SHIPPED.glob("*.parquet"):
        for name in shipped_keys(path):
            files[name] = path.stem
    wanted = {key(spec): (file, spec, names) for spec, (file, names) in recipes.wanted().items()}
    assert {name: file for name, (file, *_) in wanted.items()} == files
    for name, (_, _, measure) in wanted.items():
        found = store.shipped(name)
        assert found.covers(parse_measures(measure))
        assert {*found.measured} <= {*measure}


def shipped_keys(path):
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=["key"])["key"].to_pylist()


def test_a_recipe_is_computed_in_stages_and_shipped(nothing_shipped, monkeypatch, capsys):
    monkeypatch.setattr(recipes, "prunings", lambda size, seed: campaign.prunings("ci", seed)[:1])
    monkeypatch.setattr(recipes, "splits", lambda size, *rest, **more: campaign.splits("ci", *rest))
    monkeypatch.setattr(recipes, "KERNEL_SEEDS", range(1))
    monkeypatch.setattr(recipes, "RATIO", range(0))
    short = recipes.Recipe("kernels", "", recipes.kernels)
    monkeypatch.setattr(recipes, "RECIPES", {"kernels": short})
    with pytest.raises(CplabError, match="recipes compute kernels"):
        recipes.ship_recipe("kernels")
    first = len(recipes.owned("kernels"))  # what pruning leaves is not known yet
    assert commands.main(["recipes", "compute", "kernels", "--device", "cpu"]) == 0
    assert len(recipes.owned("kernels")) > first
    assert commands.main(["recipes", "ship", "kernels"]) == 0
    assert {*shipped_keys(nothing_shipped / "kernels.parquet")} == {
        key(spec) for spec in recipes.owned("kernels")
    }
    assert commands.main(["recipes", "ship", "nothing"]) == 2
    assert "choose one of kernels" in capsys.readouterr().err
