"""What is loaded when."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

SCREEN = {"anywidget", "bokeh", "ipywidgets", "IPython", "jupyter", "jupyterlab", "matplotlib"}


@pytest.fixture(scope="module")
def loaded():
    """The modules that are loaded after each step of tests/imports.py."""
    program = [sys.executable, ROOT / "tests" / "imports.py"]
    process = subprocess.run(program, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def test_the_package_loads_no_library_before_it_is_needed(loaded):
    assert not {"torch", "torchvision", "pandas", "pyarrow", "scipy", *SCREEN} & {
        *loaded["package"]
    }


def test_a_look_up_loads_neither_torch_nor_what_draws(loaded):
    assert not {"torch", "pandas", *SCREEN} & {*loaded["look-up"]}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it looks in a fork")
def test_looking_at_results_loads_nothing_that_trains(loaded):
    assert "pandas" in loaded["looks"]
    assert not {"torch", "torchvision", "loky"} & {*loaded["looks"]}


def test_a_look_up_does_not_read_all_results(loaded):
    assert loaded["memory"] < 2e7


def test_training_loads_nothing_that_draws(loaded):
    assert "torch" in loaded["training"]
    assert not {"pandas", *SCREEN} & {*loaded["training"]}


def test_training_does_not_load_torch_s_compiler(loaded):
    assert "sympy" not in loaded["training"]
