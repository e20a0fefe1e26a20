"""REPRODUCTION.md says what the shipped results say, by one rule; and everything shipped has a
recipe."""

import re
from collections import Counter
from itertools import takewhile
from math import inf
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import cplab
from cplab import Run
from cplab import quantities as q
from cplab.checks import CplabError
from cplab.measure import parse_measures
from cplab.results import find, store
from cplab.specs import key
from reproduction import __main__ as commands
from reproduction import campaign, numbers, pictures, recipes, report, statement
from reproduction.claims import CLAIMS
from reproduction.statement import Claim

FILE = Path(__file__).parent.parent / "REPRODUCTION.md"
SURE = [2, 2.1, 1.9]  # 2 ± 0.25
COULD = "which would have shown a difference of"


def test_the_file_is_what_the_command_writes():
    figs = pictures.draw()
    assert FILE.read_text() == report.text(figs), "write it anew: python -m reproduction report"
    linked = re.findall(r"!\[(.+)\]\((.+)\)", FILE.read_text())
    assert [name for name, _ in linked] == [n for n in report.exhibits() if n in figs]
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
        (SURE, 2.1, 3, f"undecided with 3 seeds, {COULD} 0.2"),
        (SURE, 1, 2.1, f"undecided with 3 seeds, {COULD} 0.2"),
        ([1, 3], 0, inf, f"undecided with 2 seeds, {COULD} 12.7"),
        ([0, 0], 0, inf, "undecided with 2 seeds, all of them the same"),
        ([0, 0], -1, inf, "undecided with 2 seeds, all of them the same"),
        ([0, 0], -inf, -1, "undecided with 2 seeds, all of them the same"),
        ([0, 0], -1, 1, "reproduced"),
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


def made_up(values, **how):
    """A claim whose numbers these are, one a seed, at the sizes paper and course."""

    def of(size, seed):
        if seed >= len(values):
            raise q.Missing
        return values[seed]

    return Claim("A figure", "Somebody", "…", "points", {"paper": (), "course": ()}, of, **how)


def test_a_row_compares_with_the_source_at_its_own_size_alone():
    claim = made_up([-1.0, -1.2], high=0, number=-1.5)
    said, middle = f"undecided with 2 seeds, {COULD} 1.3", "−1.1 ± 1.3 (2 seeds)"
    assert report.row(claim, "paper") == f"| points | below 0 | paper | {middle} | +0.4 | {said} |"
    assert report.row(claim, "course") == (
        f"| points | below 0 | course | {middle} | another size | {said} |"
    )
    assert report.row(made_up([3.0], low=-1), "paper") == (
        "| points | above −1 | paper | 3.0 (1 seed) | no number given | one seed, no interval |"
    )
    assert report.row(made_up([], low=1, high=2, number=1.5), "paper") == (
        "| points | between 1 and 2 | paper | – | – | missing |"
    )
    assert report.tally([claim], "paper".__eq__) == "1 undecided"


def test_numbers_are_those_of_the_labs_figures():
    points = q.point_means(q.same_setting(cplab.table(), Run()))
    for what, deficit, name in (
        ("{0} epochs of flip, minus the newborn, points", "flip", "gain"),
        ("points lost to a window of {0} at onset {1}", "blur", "loss"),
        ("harm of a window of {0} at onset {1}, points", "blur", "harm"),
    ):
        claim = next(c for c in CLAIMS if c.what == what and "course" in c.at)
        length, onset = (*claim.at["course"], 0)[:2]
        mean = np.mean(claim.values("course"))
        assert mean == pytest.approx(100 * points.loc[(deficit, onset, length), name])


def test_without_results_all_is_missing_and_nothing_is_drawn(nothing_shipped):
    assert pictures.draw() == {}
    rows = [row.split(" | ") for row in report.text({}).splitlines()]
    verdicts = Counter(row[-1] for row in rows if len(row) == 6)
    del verdicts["verdict |"], verdicts["--- |"]
    assert verdicts == {"missing |": sum(len(claim.at) for claim in CLAIMS)}


def test_only_shipped_results_count(monkeypatch, tmp_path):
    pair = [find(Run("blur", 0, 16)), find(Run())]
    gain = 100 * (pair[0].accuracy - pair[1].accuracy)
    monkeypatch.setattr(store, "SHIPPED", tmp_path / "shipped")
    store.shipped_index.cache_clear()
    for result in pair:
        store.keep(result)
    assert q.gain_over_newborn(pair[0].spec) == pytest.approx(gain)
    assert statement.shipped_values(numbers.newborn_gain, "course", 16) == []
    store.ship(pair, "some")
    assert statement.shipped_values(numbers.newborn_gain, "course", 16) == pytest.approx([gain])


@pytest.mark.filterwarnings("ignore:invalid value")  # a correlation of constants
def test_the_campaign_trains_every_run_of_the_papers_size(monkeypatch):
    asked = {}

    def trained(spec, measure=()):
        if not isinstance(spec, Run):
            return None
        asked.setdefault(spec, set()).update(parse_measures(measure))
        layers = [1.0, 2.0] * 4
        return SimpleNamespace(
            source="shipped",
            precision="bf16",
            accuracy=0.5,
            series=lambda name: np.arange(1.0, 1 + spec.epochs),
            final=lambda name: {"information": layers},
            measured={"trace": {e: {"trace": layers} for e in range(spec.epochs)}},
        )

    monkeypatch.setattr(q, "find", trained)
    monkeypatch.setattr(statement, "SEEDS", range(1))
    for claim in CLAIMS:
        if "paper" in claim.at:
            claim.values("paper")
    listed = {}
    for exhibit, _, specs in takewhile(lambda group: group[1] == 0, campaign.groups("paper")):
        for spec in specs:
            listed.setdefault(spec, set()).update(exhibit.measure)
    assert len(asked) > 50
    assert not {spec for spec, names in asked.items() if not names <= listed.get(spec, {None})}


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


def test_without_a_browser_the_text_is_written_and_pictures_are_left(
    tmp_path, monkeypatch, nothing_shipped, capsys
):
    monkeypatch.setattr(pictures, "BROWSER", tmp_path / "browser.py")  # as outside of a clone
    assert commands.main(["report", "--out", str(tmp_path / "file.md")]) == 0
    assert "pictures were left as they are" in capsys.readouterr().out
    assert (tmp_path / "file.md").read_text() == report.text({})
    assert not (tmp_path / "docs").exists()


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
