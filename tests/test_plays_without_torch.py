"""Every notebook in labs/ is played to its end where torch is missing, and where nothing of it was
trained. Then a student changes a visible cell, or runs a cell again; what else there is without
torch.
"""

import json
import re

import pytest
from conftest import ROOT
from without_torch import BY_HAND, Change, play, process_without_torch, read, run, sections

from cplab import teach
from cplab.base.errors import CplabError, to_install

LABS = [*sorted(ROOT.glob("labs/*.ipynb")), ROOT / "docs/what_you_know_now.ipynb"]

PARAMETER = re.compile(r'\b(onset|length|deficit|days|long|left|half|lengths|ends)\b ?= ?[\d"(]')


def changes_of(path):
    """What a student changes in a lab: lines of a file in tests/changes."""
    file = ROOT / "tests" / "changes" / f"{path.name.partition('_')[0]}.json"
    lines = json.loads(file.read_text("utf-8")) if file.exists() else []
    return [Change(**line) for line in lines]


every_lab = {"params": LABS, "ids": [path.stem for path in LABS]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("without_torch")


@pytest.fixture(scope="module")
def process(folder):
    with process_without_torch(folder) as process:
        yield process


@pytest.fixture(scope="module", **every_lab)
def path(request):
    return request.param


@pytest.fixture(scope="module")
def played(path, process):
    """A lab that was run to its end, whose cells were then run again and changed."""
    return process.submit(play, read(path), changes_of(path)).result()


def test_each_wrong_answer_of_the_course_is_answered(path, played):
    if teach.in_course(path):
        assert not played.unexplained, "\n".join(played.unexplained)


def test_a_cell_that_takes_torch_says_what_is_left_out(played):
    for source, words in played.shown:
        if "with lab.if_possible()" in source and "import torch" in source:
            assert "Left out: torch is not installed" in words


def test_a_cell_that_is_run_again_after_the_last_shows_what_it_showed(played):
    assert not played.again, "\n\n".join(played.again)


def test_words_follow_what_a_student_changes(played):
    assert not played.wrong, "\n".join(played.wrong)


# All but lab 08, which is the same in every profile, and says so.
TRAINED = [path for path in LABS if "# nothing here depends on it" not in path.read_text("utf-8")]


@pytest.mark.parametrize("path", TRAINED, ids=[path.stem for path in TRAINED])
def test_a_lab_comes_to_its_end_where_nothing_of_it_is_trained(path, process):
    """Of the smallest profile nothing is shipped."""
    process.submit(play, read(path, "ci"), again=False).result()


def test_every_parameter_in_sight_is_changed_here(path):
    for section in sections(read(path)):
        for source in section.visible_sources:
            statements = re.sub(r"^(def|    ).*$", "", source, flags=re.M)
            if PARAMETER.search(statements) and not BY_HAND.search(source):
                assert any(change.old in source for change in changes_of(path)), source


# Beside the labs ----------------------------------------------------------------------------------

BEGIN = """import importlib, pkgutil
import cplab
from cplab import cli, labs
"""
INSTALL = to_install("train")
CHECKS = [path.stem for path in ROOT.glob("cplab/labs/*_checks.py")]
# What a student or a teacher tries, and what it says.
TRIED = {
    "a point is trained": (
        """explorer = cplab.Explorer()
explorer.choose(onset=24)
explorer.train()
assert explorer.wait(60)
print(explorer.link.live["message"])""",
        INSTALL,
    ),
    "images": ('cplab.images("drawn", "ci")', INSTALL),
    "a network": ('cplab.models.build("allcnn")', INSTALL),
    "a permutation": ("cplab.deficits.permutation(3)", INSTALL),
    "the screen": ('print(cplab.lab.Nursery()._repr_mimebundle_()["text/html"])', "<cplab-nursery"),
    "a result is found": ('print(cli.main("run --deficit blur --length 8".split()))', "shipped"),
    "a run is trained": ('print(cli.main("run --profile ci --onset 3".split()))', INSTALL),
    "a site is written": ('print(cli.main("site pages".split()))', INSTALL),
    "networks grow by themselves, and torch is still being installed": (
        """import sys
from pathlib import Path
from unittest.mock import patch
from cplab.labs import lab00
Path("torch.txt").write_text("torch comes")
with patch.object(sys, "prefix", "."):
    growing = lab00.grow([lab00.childhood(onset=3)])
print(growing.words, growing.task.busy)""",
        "Train False",
    ),
    "networks grow by themselves": (
        "from cplab.labs import lab00\nlab00.grow([lab00.childhood(onset=3)])",
        f"{INSTALL}. The browser trains",
    ),
    "checks are loaded": (
        f"""for name in {CHECKS}:
    importlib.import_module(f"cplab.labs.{{name}}")
print("all of them")""",
        "all of them",
    ),
}


@pytest.mark.parametrize("name", TRIED)
def test_what_needs_torch_says_what_to_install_and_all_else_works(name, process):
    source, expected = TRIED[name]
    try:
        words = process.submit(run, BEGIN + source, {}).result()
    except CplabError as error:
        words = str(error)
    assert expected in words


def test_a_teacher_builds_copies_without_torch(process, folder):
    """Which exercises a grader can tell is known before any answer is worked out."""
    build = BEGIN + 'assert cli.main("teach build copies --nbgrader".split()) == 0'
    process.submit(run, build, {}).result()
    assert len([*folder.glob("copies/source/*/*.ipynb")]) == len(teach.labs())
