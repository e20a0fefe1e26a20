"""Every notebook in labs/ is played to its end where torch is missing, and where nothing of it was
trained. Then a student changes a visible cell, or runs a cell again; what else there is without
torch.
"""

import re

import pytest
from conftest import ROOT
from without_torch import BY_HAND, Change, play, process_without_torch, read, run, sections

from cplab.errors import CplabError

LABS = sorted(ROOT.glob("labs/*.ipynb"))

# By the number of a lab.
CHANGES = {
    "00b": [
        Change("length=16", "length=8"),
    ],
    "01": [
        Change("epochs = 16", "epochs = 8"),
        Change("12, 16, 24)", "12, 16)", stays=("an epoch stands for: 24",)),
    ],
    "02": [
        Change(
            '    "blur",', '    "noise",', stays=("clear, 32 pixels: 6 images; blur: 6 images",)
        ),
        Change("onset=24", "onset=8"),
        Change('deficit="flip"', 'deficit="permute"'),
        Change("8, 16, 24, 48)", "8, 12, 16)"),
        Change("4 * early.recovery", "2 * early.recovery"),
    ],
    "02b": [
        Change('Run("flip"', 'Run("permute"'),
        Change('until("flip", 140)', 'until("flip", 60)'),
        Change("end = 140", "end = 60"),
        Change('until("blur", 40)', 'until("noise", 40)'),
        Change('kind in ("blur", "flip")', 'kind in ("blur", "noise")'),
        Change("(0, 20, 40, 80)", "(20, 40, 80)"),
        Change("length=140", "length=60"),
        Change("length=16", "length=8"),
    ],
    "03": [
        Change("long = 16", "long = 8"),
        Change("long = 16", "long = 5"),
        Change('"noise", "permute"]\nnewborn', '"permute"]\nnewborn'),
        Change('"fresh_noise", "blank"', '"blank", "flip"'),
        Change("times = 8", "times = 4", stays=("## 5",)),
        Change("length=200", "length=100"),
    ],
    "03b": [
        Change("length = 32", "length = 1"),
        Change('deficit="blur"', 'deficit="flip"', stays=("newborn, blur, vertical flip",)),
        Change("length=480", "length=240", stays=("up to 480 epochs",)),
    ],
    "04": [
        Change("onset=24", "onset=8"),
        Change('("blur", "flip"):', '("blur", "noise"):'),
        Change('("mosaic", "flip")', '("blur", "flip")'),
    ],
    "04b": [
        Change("onset=24", "onset=8"),
        Change('Run("blur", length=24', 'Run("blur", length=12'),
        Change("length=16", "length=8"),
    ],
    "05": [
        Change("left = 0.05", "left = 0.2"),
    ],
    "05b": [
        Change("left = 25", "left = 50"),
        Change("half = 0.5", "half = 0.2"),
        Change('deficit="blur"', 'deficit="flip"'),
    ],
    "06": [
        Change('Run("blur", length=16, model', 'Run("flip", length=16, model'),
        Change("length=16, profile=size)\nways", "length=8, profile=size)\nways"),
        Change('Run("blur", length=8', 'Run("flip", length=8'),
        Change("length=8, profile=size)\nimages", "length=16, profile=size)\nimages"),
    ],
    "07": [
        Change("days = 8", "days = 4"),
        Change("(4, 8, 16):", "(4, 8):"),
        Change("(0, 4, 8, 12)", "(0, 4, 8)", stays=("from epoch 8 to 12",)),
        Change("length=8, onset=0", "length=4, onset=8"),
    ],
    "08": [
        Change("closed = 1 ", "closed = 3 ", stays=("depth 1", "## 1", "layers 1 %")),
        Change("onset=2)", "onset=1)", stays=("depth 2",)),
        Change("depth = 2", "depth = 3"),
    ],
    "09": [
        Change("harm(Run(deficit, length=16", "harm(Run(deficit, length=8"),
        Change('blurred = Run("blur"', 'blurred = Run("noise"'),
        Change('noisy = Run("noise"', 'noisy = Run("blur"'),
        Change('deprived = Run("blur"', 'deprived = Run("noise"'),
        Change('("noise", "blur")}\ncured', '("flip", "blur")}\ncured'),
        Change('Run("blur", length=16, model', 'Run("noise", length=16, model'),
        Change("onset=8", "onset=4"),
        Change('("blur", "noise", gallery', '("noise", gallery'),
    ],
}
PARAMETER = re.compile(r'\b(onset|length|deficit|days|long|left|half|lengths|ends)\b ?= ?[\d"(]')


def changes_of(path):
    return CHANGES.get(path.name.partition("_")[0], [])


every_lab = {"params": LABS, "ids": [path.stem for path in LABS]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("without_torch")


@pytest.fixture(scope="module")
def process(folder):
    with process_without_torch(folder) as process:
        yield process


@pytest.fixture(scope="module", **every_lab)
def played(request, process):
    """A lab that was run to its end, whose cells were then run again and changed."""
    path = request.param
    return process.submit(play, read(path), changes_of(path)).result()


def test_a_cell_that_takes_torch_says_what_is_left_out(played):
    for source, words in played.shown:
        if "with lab.if_possible()" in source and "import torch" in source:
            assert "Left out: torch is not installed" in words


def test_a_cell_that_is_run_again_after_the_last_shows_what_it_showed(played):
    assert not played.again, "\n\n".join(played.again)


def test_words_follow_what_a_student_changes(played):
    assert not played.wrong, "\n".join(played.wrong)


@pytest.mark.parametrize("path", every_lab["params"], ids=every_lab["ids"])
def test_a_lab_comes_to_its_end_where_nothing_of_it_is_trained(path, process):
    """Of the smallest profile nothing is shipped."""
    process.submit(play, read(path, "ci"), again=False).result()


@pytest.mark.parametrize("path", every_lab["params"], ids=every_lab["ids"])
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
INSTALL = "pip install 'cplab[train]'"
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
    assert len([*folder.glob("copies/source/*/*.ipynb")]) == len(LABS)
