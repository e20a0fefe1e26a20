"""Labs are played: a student runs all cells of one, then changes a visible cell, runs a cell again,
or solves an exercise.

A lab's code is run here once on shipped results, and what it showed is kept for the tests that
follow. Nothing is trained or drawn: of a figure its title, its axes and its legend are read.
"""

import ast
import html
import io
import json
import re
from collections.abc import Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import nbformat
import pytest
from conftest import ROOT, forget_lookups
from IPython.core.compilerop import CachingCompiler

import cplab
from cplab import show, teach
from cplab.deficits import DEFICITS
from cplab.estimates import lacking_in
from cplab.lab.checks import find_exercise
from cplab.lab.questions import NOT_TRAINED
from cplab.show import Figure

LABS = sorted(ROOT.glob("labs/*.ipynb"))


class Change(NamedTuple):
    """What a student changes in a visible cell of a lab: a line of its file in tests/changes."""

    old: str
    new: str
    stays: Sequence[str] = ()  # words with the old value that are about something else


# What trains, and what only a person moves, is not shown.
BY_HAND = re.compile(r"lab\.live\(|\.grow\(|grow_and_prune\(|Nursery\(|Explorer\(|clinic\(waiting")
PARAMETER = re.compile(r'\b(onset|length|deficit|days|long|left|half|lengths|ends)\b ?= ?[\d"(]')
LIST = re.compile(r"(?:(?<=in )|(?<== ))\((\d+(?:, \d+){2,})\)")  # of numbers


def words_of(shown):
    """What a student reads in an output: all but a fold with more numbers, and figures' words."""
    if shown is None:
        return ""
    if not hasattr(shown, "_repr_html_"):
        return re.sub(r" at 0x\w+", "", repr(shown))
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", shown._repr_html_(), flags=re.S)
    check_sentences(page)
    # what is said to be missing is offered below: `lab.question` may have to be told `of=`
    assert NOT_TRAINED not in page or lacking_in(shown), page
    page = re.sub(r"<details><summary>more numbers.*?</details>", " ", page, flags=re.S)
    page = re.sub(r'<img [^>]*alt="([^"]*)"[^>]*>', r" \1 ", page)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def check_sentences(page):
    """Assert that the sentences about what was found can be read, and say what is missing."""
    for sentence in re.findall('<p class="cplab-found">.*?</p>', page):
        assert sentence.count("±") <= 3, f"too many numbers for one sentence: {sentence}"
        assert "trained" in sentence or "measured <b>not trained yet" not in page, sentence
        assert not re.search(r"(?<!\d)1 epochs", page), page
        undecided = "Not all of these" in sentence
        assert not (undecided and "It was: " in page), "verdict without results"


# Playing a lab ------------------------------------------------------------------------------------


class Cell(NamedTuple):
    """A cell of code in a lab."""

    source: str
    visible: bool


def run(source, space):
    """Run a cell's source. Returns: the words that it prints, and those of what it ends with."""
    file = CachingCompiler().cache(source)
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    words = ""
    with redirect_stdout(printed):
        exec(compile(tree, file, "exec"), space)
        if last is not None and not BY_HAND.search(ast.unparse(last)):
            words = words_of(eval(compile(ast.Expression(last.value), file, "eval"), space))
    return f"{printed.getvalue()} {words}".strip()


class Section(NamedTuple):
    """A section of a lab, from one heading to the next, and what its cells showed."""

    prose: list[str]
    cells: list[Cell]
    before: list[dict]  # the names that stood when each cell was run
    words: list[str]  # what each cell showed

    @property
    def visible_sources(self):
        return [cell.source for cell in self.cells if cell.visible]

    def run(self, space):
        """Run its cells one after another, and keep what they show."""
        for cell in self.cells:
            self.before.append(dict(space))
            self.words.append(run(cell.source, space))


def sections(lab):
    """The sections of a notebook, before they are run."""
    parts = [Section([], [], [], [])]
    for cell in lab.cells:
        if cell.cell_type == "code":
            folded = cell.metadata.get("jupyter", {}).get("source_hidden", False)
            parts[-1].cells.append(Cell(cell.source, not folded))
        else:
            before, *headed = re.split(r"^(?=## )", cell.source, flags=re.M)
            parts[-1].prose.append(before)
            for prose in headed:
                parts.append(Section([prose], [], [], []))
    return parts


class Played(NamedTuple):
    """A lab that was run to its end, with the names that stand then."""

    path: Path
    sections: list[Section]
    space: dict

    @property
    def changes(self):
        file = ROOT / "tests" / "changes" / f"{self.path.name.partition('_')[0]}.json"
        lines = json.loads(file.read_text("utf-8")) if file.exists() else []
        return [Change(**line) for line in lines]


def undrawn(figure):
    """The HTML of a figure that is not drawn: its words alone."""
    return f'<img alt="{html.escape(figure.alt)}">'


@contextmanager
def playing(path, folder, profile="auto"):
    """A lab whose cells were all run, in a folder without images or results of one's own."""
    space = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as context, patch.dict(DEFICITS):
        context.setenv("CPLAB_CACHE", str(folder))
        context.delenv("CPLAB_DATA", raising=False)
        forget_lookups()
        context.setattr(Figure, "_repr_html_", undrawn)
        context.setattr(cplab, "sweep", lambda runs, **options: [])
        lab = nbformat.read(path, 4)
        for cell in lab.cells:
            cell.source = cell.source.replace('profile = "auto"', f'profile = "{profile}"')
        parts = sections(lab)
        for section in parts:
            section.run(space)
        yield Played(path, parts, space)
    forget_lookups()


every_lab = {"params": LABS, "ids": [path.stem for path in LABS]}


@pytest.fixture(scope="module", **every_lab)
def played(request, tmp_path_factory):
    with playing(request.param, tmp_path_factory.mktemp("cache")) as lab:
        yield lab


@pytest.mark.parametrize("path", every_lab["params"], ids=every_lab["ids"])
def test_a_lab_comes_to_its_end_where_nothing_of_it_is_trained(path, tmp_path, monkeypatch):
    """Of the smallest profile nothing is shipped, so that sentences are not read."""
    monkeypatch.setitem(globals(), "check_sentences", lambda page: None)
    with playing(path, tmp_path, "ci"):
        pass


def test_a_cell_that_is_run_again_after_the_last_shows_what_it_showed(played):
    different = []
    for section in played.sections:
        for cell, words in zip(section.cells, section.words, strict=True):
            with patch.dict(played.space):
                again = run(cell.source, played.space)
            if again != words:
                different.append(f"{cell.source}\nshowed {words!r}\nand now {again!r}")
    assert not different, "\n\n".join(different)


# A visible cell is changed ------------------------------------------------------------------------


def after_change(played, section, old, new):
    """What a section says once `new` stands for `old` in its visible cells. Cells before stay."""
    changed = [old in cell.source and cell.visible for cell in section.cells]
    first = changed.index(True)
    words = section.words[:first]
    with patch.dict(played.space, section.before[first], clear=True):
        for cell in section.cells[first:]:
            source = cell.source.replace(old, new, 1) if cell.visible else cell.source
            words.append(run(source, played.space))
    return " ".join(words)


def values(code):
    """The numbers and kinds of deficits that stand in code, as a student reads them."""
    read = []
    for match in re.finditer(r'"(\w+)"|(onset=0)\b|(?<![\w.])(\d+(?:\.\d+)?)(?![\w.])', code):
        kind, birth, number = match.groups()
        if birth:
            read.append("from birth")
        elif number:
            read.append(f"{100 * float(number):g}" if "." in number else number)
        elif kind.partition(":")[0] in DEFICITS:
            read.append(show.label(kind))
    return read


def said(value, words):
    """Where words name a value, a number alone or a kind of deficit, with what stands around it."""
    number = rf"(?<![\d.,×–−-]){value}(?![\d–]|[.,]\d)"
    named = number if value.isdigit() else rf"\b{re.escape(value)}"
    place = re.search(f".{{,60}}{named}.{{,60}}", words, re.I | re.S)
    return place[0] if place else ""


def complaints(change, before, after, prose):
    """What is wrong with a section's words, and with its text, after a change in it."""
    gone = [value for value in values(change.old) if value not in values(change.new)]
    come = [value for value in values(change.new) if value not in values(change.old)]
    if not any(said(value, before) for value in gone):
        return  # it says nothing of it
    for words in change.stays:
        after = after.replace(words, "")
        prose = prose.replace(words, "")
    for value in gone:
        if place := said(value, after):
            yield f"still says {value!r}: …{place}…"
        if value.isdigit() and (place := said(value, prose)):
            yield f"its text says {value}: …{place}…"
    for value in come:
        if not said(value, after):
            yield f"nothing says {value!r}"


def section_of(played, text):
    """The first section that has a text in a visible cell."""
    for section in played.sections:
        if any(text in source for source in section.visible_sources):
            return section
    raise AssertionError(f"no visible cell has {text!r} any more")


def test_words_follow_what_a_student_changes(played):
    wrong = []
    for change in played.changes:
        section = section_of(played, change.old)
        before = " ".join(section.words)
        prose = "\n".join(section.prose)

        after = after_change(played, section, change.old, change.new)

        for line in complaints(change, before, after, prose):
            wrong.append(f"after {change.old!r} → {change.new!r}, {line}")
    assert not wrong, "\n".join(wrong)


def test_every_parameter_in_sight_is_changed_here(played):
    for section in played.sections:
        for source in section.visible_sources:
            statements = re.sub(r"^(def|    ).*$", "", source, flags=re.M)
            if PARAMETER.search(statements) and not BY_HAND.search(source):
                assert any(change.old in source for change in played.changes), source


def lists_in(section):
    """The lists of numbers in a section's visible cells: each as it stands, and its numbers."""
    lists = {}
    for source in section.visible_sources:
        for match in LIST.finditer(source):
            lists[match[0]] = match[1].split(", ")
    return lists.items()


def sorted_words(text):
    return sorted(re.findall(r"\w+", text))


def test_a_list_that_is_turned_round_changes_no_word(played):
    for section in played.sections:
        before = sorted_words(" ".join(section.words))
        for old, numbers in lists_in(section):
            new = f"({', '.join(reversed(numbers))})"
            after = after_change(played, section, old, new)
            assert sorted_words(after) == before, f"after {old} → {new}"


def test_a_list_of_one_number_alone_raises_nothing(played):
    for section in played.sections:
        for old, numbers in lists_in(section):
            after_change(played, section, old, f"({numbers[0]},)")


# Exercises ----------------------------------------------------------------------------------------


@pytest.fixture
def solutions(played):
    """The sources of the cells of a teacher's copy, by their names, while the lab's names stand."""
    copy = teach.copy_for(nbformat.read(played.path, 4), played.path.stem, "instructor")
    with patch.dict(played.space):
        yield {cell.id: cell.source for cell in copy.cells}


def test_a_check_runs_before_its_exercise_is_solved(played, solutions):
    for name, source in solutions.items():
        if name.startswith("check-"):
            run(source, played.space | {"answer": ...})


def test_solutions_are_right(played, solutions):
    wrong = []
    for name, source in solutions.items():
        exercise = name.removeprefix("check-")
        if name.startswith("check-") and not find_exercise(exercise).own_training:
            run(solutions[f"solution-{exercise}"], played.space)
            if not run(source, played.space).endswith("right."):
                wrong.append(exercise)
    assert not wrong
