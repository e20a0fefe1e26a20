"""REPRODUCTION.md says what the shipped results say; everything shipped has a recipe."""

import csv
import doctest
import importlib
import pkgutil
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT

import reproduction
from cplab import quantities as q
from cplab import results
from cplab.labs import lab02
from reproduction import numbers, recipes, report
from reproduction.__main__ import main

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
    assert sources == {"paper": 52, "poster": 7, "slides": 8, "page": 3, "thesis": 15}


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
    found = [results.find(spec, measure) for specs, measure in parts for spec in specs]
    places = results.store.archive().places
    assert {r.key for r in found} == {key for key in places if places[key][0] == f"{name}.parquet"}
    assert {r.source for r in found} == {"shipped"}


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


def test_of_a_statement_s_rows_of_one_size_at_most_one_has_a_star(judged):
    stars = Counter()
    for group in judged.values():
        for row in group:
            for name in row.answers.split(", "):
                if name.endswith("*") and row.number.seeds:
                    stars[name, row.size] += 1
    assert [place for place, count in stars.items() if count > 1] == []
