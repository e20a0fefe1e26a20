"""What importing costs, and what there is without torch."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import ROOT

from cplab import teach

SCREEN = {"anywidget", "bokeh", "ipywidgets", "IPython", "jupyter", "jupyterlab", "matplotlib"}


def run_program(name, *arguments, **environment):
    """What a program beside these tests prints as JSON, in a Python of its own."""
    process = subprocess.run(
        [sys.executable, ROOT / "tests" / name, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


# What is loaded when ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loaded():
    """The modules that are loaded after each step of tests/imports.py."""
    return run_program("imports.py")


def test_the_package_loads_no_library_before_it_is_needed(loaded):
    assert not {"torch", "torchvision", "pandas", "pyarrow", "scipy", *SCREEN} & {
        *loaded["package"]
    }


def test_a_look_up_loads_neither_torch_nor_what_draws(loaded):
    assert not {"torch", "pandas", *SCREEN} & {*loaded["look-up"]}


def test_a_look_up_does_not_read_all_results(loaded):
    assert loaded["memory"] < 2e7


def test_training_loads_nothing_that_draws(loaded):
    assert "torch" in loaded["training"]
    assert not {"pandas", *SCREEN} & {*loaded["training"]}


def test_training_does_not_load_torch_s_compiler(loaded):
    assert "sympy" not in loaded["training"]


# Without torch ------------------------------------------------------------------------------------


class WithoutTorch(NamedTuple):
    """What tests/without_torch.py has done, and the folder of its copies."""

    done: dict
    copies: Path


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("without_torch")
    copies = folder / "copies"
    done = run_program("without_torch.py", copies)
    return WithoutTorch(done, copies)


def test_looking_at_results_loads_nothing_that_trains(without_torch):
    assert not {"torch", "torchvision", "loky"} & {*without_torch.done["loaded"]}


def test_the_checks_of_exercises_load_without_torch(without_torch):
    assert without_torch.done["checks"] == len([*ROOT.glob("cplab/labs/*_checks.py")])


@pytest.mark.parametrize("number", range(4), ids=["explorer", "images", "network", "permutation"])
def test_a_call_that_needs_torch_says_what_to_install(number, without_torch):
    assert "pip install 'cplab[train]'" in without_torch.done["lines"][number]


def test_a_command_finds_a_shipped_result_without_torch(without_torch):
    assert "shipped" in without_torch.done["found"]["printed"]


def test_a_command_that_trains_says_what_to_install(without_torch):
    trained = without_torch.done["trained"]
    assert trained["code"] == 2
    assert "pip install 'cplab[train]'" in trained["said"]


def test_a_teacher_builds_copies_without_torch(without_torch):
    """Which exercises a grader can tell is known before any answer is worked out."""
    copied = without_torch.done["copied"]
    assert (copied["code"], copied["said"]) == (0, "")
    assert len([*without_torch.copies.glob("source/*/*.ipynb")]) == len(teach.labs())
