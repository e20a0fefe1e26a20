"""REPRODUCTION.md says what the shipped records say, by one rule."""

import re
from collections import Counter
from itertools import takewhile
from math import inf
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cplab import Run, campaign, claims, cli, evidence, intervals, records, reproduction
from cplab.claims import CLAIMS, Claim

FILE = Path(__file__).parent.parent / "REPRODUCTION.md"
SURE = [2, 2.1, 1.9]  # 2 ± 0.25


@pytest.fixture(scope="module")
def drawn():
    return reproduction.drawn()


def test_the_file_is_what_the_command_writes(drawn):
    assert FILE.read_text() == reproduction.text(drawn), "write it anew: cplab reproduction"


def test_each_exhibit_that_can_be_drawn_has_a_small_picture(drawn):
    linked = re.findall(r"!\[(.+)\]\((.+)\)", FILE.read_text())
    assert [name for name, _ in linked] == [n for n in reproduction.exhibits() if n in drawn]
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
        (SURE, 2.1, 3, "undecided with 3 seeds, which would have shown a difference of 0.2"),
        (SURE, 1, 2.1, "undecided with 3 seeds, which would have shown a difference of 0.2"),
        ([1, 3], 0, inf, "undecided with 2 seeds, which would have shown a difference of 12.7"),
        ([0, 0], 0, inf, "undecided with 2 seeds, all of them the same"),
        ([0, 0], -1, inf, "undecided with 2 seeds, all of them the same"),
        ([0, 0], -inf, 1, "undecided with 2 seeds, all of them the same"),
        ([0, 0], -inf, -1, "undecided with 2 seeds, all of them the same"),
        ([0, 0], -1, 1, "reproduced"),
        ([0, 0.1, 0.1], -1, inf, "reproduced"),
        ([12, 12], 0, inf, "reproduced"),
        ([5], 0, inf, "one seed, no interval"),
        ([], 0, inf, "missing"),
    ],
)
def test_the_verdict_is_where_the_interval_lies(values, low, high, words):
    found = reproduction.verdict(values, low, high)
    assert found.words == words
    assert found.kind in reproduction.KINDS
    assert words.startswith(found.kind)


def made_up(values, **how):
    """A claim whose numbers these are, one a seed, at the sizes paper and course."""

    def of(size, seed):
        if seed >= len(values):
            raise evidence.Missing
        return values[seed]

    return Claim("A figure", "Somebody", "…", "points", {"paper": (), "course": ()}, of, **how)


def test_a_row_compares_with_the_source_at_its_own_size_alone():
    claim = made_up([-1.0, -1.2], high=0, stated=-1.5)
    said = "undecided with 2 seeds, which would have shown a difference of 1.3"
    middle = "−1.1 ± 1.3 (2 seeds)"
    assert reproduction.row(claim, "paper") == (
        f"| points | below 0 | paper | {middle} | +0.4 | {said} |"
    )
    assert reproduction.row(claim, "course") == (
        f"| points | below 0 | course | {middle} | another size | {said} |"
    )
    assert reproduction.row(made_up([3.0], low=-1), "paper") == (
        "| points | above −1 | paper | 3.0 (1 seed) | no number given | one seed, no interval |"
    )
    assert reproduction.row(made_up([], low=1, high=2, stated=1.5), "paper") == (
        "| points | between 1 and 2 | paper | – | – | missing |"
    )
    assert reproduction.counted([claim], "paper".__eq__) == "1 undecided"


def test_numbers_are_those_of_the_labs_figures():
    points = intervals.summary(intervals.select(records.table(), Run()))
    some = {c.what: c for c in reversed(CLAIMS) if "course" in c.at}  # the first of each
    for what, deficit, name in (
        ("{0} epochs of blur, minus the newborn, points", "blur", "gain"),
        ("{0} epochs of flip, minus the newborn, points", "flip", "gain"),
        ("points lost to a window of {0} at onset {1}", "blur", "loss"),
    ):
        length, onset = (*some[what].at["course"], 0)[:2]
        mean, half = intervals.mean_half(some[what].numbers("course"))
        row = 100 * points.loc[deficit, onset, length]
        assert (mean, half) == pytest.approx((row[name], row[f"{name}_half"]))


def test_without_records_all_is_missing_and_nothing_is_drawn(nothing_shipped):
    assert reproduction.drawn() == {}
    rows = [row.split(" | ") for row in reproduction.text({}).splitlines()]
    verdicts = Counter(row[-1] for row in rows if len(row) == 6)
    del verdicts["verdict |"], verdicts["--- |"]
    assert verdicts == {"missing |": sum(len(claim.at) for claim in CLAIMS)}


def test_only_shipped_records_count(nothing_shipped, tmp_path, monkeypatch):
    run = Run(deficit="blur", length=16)
    with monkeypatch.context() as patch:
        patch.setattr(records, "SHIPPED", Path(records.__file__).parent / "shipped")
        pair = [records.find(run), records.find(run.newborn())]
    records.shipped.cache_clear()
    for record in pair:
        records.keep(record)
    assert records.find(run).source == "live"
    assert claims.each_seed(evidence.gain, "course", 16) == []
    records.ship(pair, "some")
    [gain] = claims.each_seed(evidence.gain, "course", 16)
    assert gain == pytest.approx(100 * (pair[0].accuracy - pair[1].accuracy))


class Trained:
    """A record of a run as it might have come."""

    accuracy, precision = 0.5, "bf16"

    def __init__(self, run):
        self.curve = [{"trace": [1.0, 2.0] * 4}] * run.epochs
        self.final = {"information": [1.0, 2.0] * 4}
        self.epochs = run.epochs

    def series(self, name):
        return np.arange(1.0, 1 + self.epochs)


@pytest.mark.filterwarnings("ignore:invalid value")  # a correlation of constants
def test_the_campaign_trains_every_run_of_the_papers_size(monkeypatch):
    asked = set()

    def trained(spec):
        if not isinstance(spec, Run):
            raise evidence.Missing
        asked.add(spec)
        return Trained(spec)

    monkeypatch.setattr(evidence, "shipped", trained)
    monkeypatch.setattr(claims, "SEEDS", range(1))
    for claim in CLAIMS:
        if "paper" in claim.at:
            claim.numbers("paper")
    first = takewhile(lambda group: group[1] == 0, campaign.groups("paper"))
    listed = {one for _, _, some in first for one in some}
    assert len(asked) > 50
    assert not asked - listed


@pytest.mark.parametrize("where", ["nowhere/file.md", "."])
def test_a_file_that_cannot_be_written_is_one_line_and_exit_2(where, tmp_path, capsys):
    assert cli.main(["reproduction", "--out", str(tmp_path / where)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"error: .+ cannot be written \(.+\): name another file\n", err)


def test_without_a_browser_the_text_is_written_and_pictures_are_left(
    tmp_path, monkeypatch, nothing_shipped, capsys
):
    monkeypatch.setattr(reproduction, "ROOT", tmp_path)  # an installed package has no tests
    assert cli.main(["reproduction", "--out", str(tmp_path / "file.md")]) == 0
    [said] = capsys.readouterr().out.splitlines()
    assert "pictures were left as they are" in said
    assert (tmp_path / "file.md").read_text() == reproduction.text({})
    assert not (tmp_path / "docs").exists()


def test_float32_is_held_against_the_same_runs_in_bfloat16(monkeypatch):
    ends = {"newborn": (0.50, 0.52), "blur": (0.40, 0.41), "equal": (0.60, 0.60)}

    def trained(run):
        life = "blur" if run.length else "equal" if run.onset else "newborn"
        exact = run.arithmetic == "float32"
        return SimpleNamespace(accuracy=ends[life][exact], precision="float32" if exact else native)

    monkeypatch.setattr(evidence, "shipped", trained)
    native = "bf16"
    assert evidence.rounding("course", 16, 0, "newborn") == pytest.approx(2)
    assert evidence.rounding("course", 16, 0, *ends) == pytest.approx(1)
    assert evidence.rounded_loss("course", 16, 0) == pytest.approx(1)
    native = "float32"  # on a machine without bfloat16 there is nothing to compare
    with pytest.raises(evidence.Missing):
        evidence.rounding("course", 16, 0, "newborn")
