"""REPRODUCTION.md says what the shipped results say; everything shipped has a recipe."""

import csv
import doctest
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

import reproduction
from cplab import quantities as q
from cplab import results
from cplab.labs import lab02
from reproduction import numbers, recipes, report
from reproduction.__main__ import main
from reproduction.claims import ABOVE, Row

MODULES = [module.name for module in pkgutil.iter_modules(reproduction.__path__)]
MODULES.remove("__main__")


@pytest.fixture(scope="module")
def judged():
    return report.rows_by_question()


PAGE = (ROOT / "REPRODUCTION.md").read_text("utf-8")


@pytest.fixture(scope="module")
def statements():
    """How often the page has each statement, by its name."""
    rows = [report.STATEMENT.match(line) for line in PAGE.split("\n")]
    return Counter(row[1] for row in rows if row)


def test_the_page_says_the_numbers_of_today(judged):
    assert report.page(PAGE, judged) == PAGE  # else: python -m reproduction report


def test_the_page_has_all_statements_of_each_source(statements):
    sources = Counter(name.split()[0] for name in statements)
    assert sources == {"paper": 53, "poster": 8, "slides": 9, "page": 4, "thesis": 15}


def test_the_page_has_each_statement_once(statements):
    assert {*statements.values()} == {1}


def test_the_page_names_the_works_of_others(judged, statements):
    for name in report.rows_by_statement(judged).keys() - statements.keys():
        author, year = name.split()
        assert re.fullmatch(r"20\d\d", year)
        assert author in PAGE


def test_the_rows_of_today_are_those_of_rows_csv(judged):
    """To the last digit and on any processor, so that a report on a clean checkout changes none."""
    with (ROOT / "reproduction" / "rows.csv").open(newline="") as file:
        [columns, *before] = csv.reader(file)
    assert columns == report.COLUMNS
    today = []
    for question, group in judged.items():
        for row in group:
            today.append([str(cell) for cell in report.cells(question, row)])
    assert today == before  # else: python -m reproduction report


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_give_what_they_say(name, capsys):
    module = importlib.import_module(f"reproduction.{name}")
    assert doctest.testmod(module).failed == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", ["slim", "course_random", "growth"])
def test_a_shipped_file_is_its_own_recipe(name):
    """What it would train again, and measure, is what it holds."""
    parts = [*recipes.parts_of(name)]
    found = [results.find(spec, part.measure) for part in parts for spec in part.specs]
    places = results.store.archive().places
    assert {r.key for r in found} == {key for key in places if places[key][0] == f"{name}.parquet"}
    assert {r.source for r in found} == {"shipped"}


def test_what_shipped_files_measured_is_known_to_the_reproduction():
    """In a process of its own, where no other test has imported the labs that measured it."""
    code = "import reproduction.recipes, cplab.measure; print(*cplab.measure.MEASUREMENTS)"
    known = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    measured = set()
    for path in results.store.SHIPPED.glob("*.parquet"):
        for text in pq.read_table(path, columns=["measured"])["measured"].unique().to_pylist():
            measured |= set(json.loads(text or "{}"))
    assert "trace" in measured
    assert measured <= set(known.stdout.split())


def test_a_recipe_trains_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(recipes, "SEEDS", range(1))
    shorter = replace(recipes.EXHIBITS["momentum"], lengths=(0, 40))
    monkeypatch.setitem(recipes.EXHIBITS, "momentum", shorter)
    assert main(["train", "momentum", "--profile", "ci"]) == 0
    assert main(["list", "momentum", "--profile", "ci"]) == 0
    _, there, _, of = capsys.readouterr().out.split("\n")[-2].split()
    assert there == of
    assert main(["ship", "nothing"]) == 2


def test_other_images_move_harm_by_what_all_seeds_share(monkeypatch):
    """However few seeds there are: what is a seed's own on an image is not counted."""
    draw = np.random.default_rng(1)
    shared = draw.normal(0, 30, 4000)
    own = draw.normal(0, 20, (4, 4000))

    def accuracy_by_image(run, end):
        if run.seed > 3:
            raise q.Missing("no such seed")
        return np.zeros(4000) if run.deficit == "blur" else shared + own[run.seed]

    monkeypatch.setattr(lab02, "accuracy_by_image", accuracy_by_image)
    found = lab02.half_by_images(numbers.flagship(), 24)
    assert found.mean == pytest.approx(1.96 * np.std(shared) / 4000**0.5, rel=0.02)


def row_of(length, size, **more):
    number = numbers.harm(numbers.run(length, size=size))
    return Row("paper 1", "harm", size, number, ABOVE, **more)


def test_the_nearest_row_with_three_seeds_stands_for_a_statement():
    far, near, two_seeds = row_of(8, "course"), row_of(16, "course"), row_of(140, "slim")
    assert two_seeds.number.seeds == 2
    assert report.nearest("paper 1", [far, near, two_seeds]) == [two_seeds, near]


def test_a_row_that_cannot_decide_or_tests_a_part_stands_back():
    far, part = row_of(8, "course"), row_of(16, "course", part="half of it")
    unable = row_of(16, "course", limit="too short")
    assert report.nearest("paper 1", [part, unable, far])[-1] is far
    assert report.nearest("paper 1", [part, unable])[-1] is part
    seldom = row_of(140, "slim", limit="the rate falls")
    assert report.nearest("paper 1", [unable, seldom]) == [seldom, unable]


def test_the_page_counts_each_statement_once(judged, statements):
    [line] = [line for line in report.page(PAGE, judged).split("\n") if line.startswith("Of ")]
    total, *counts = [int(number) for number in re.findall(r"\d+", line)]
    assert total == sum(counts) == statements.total()
