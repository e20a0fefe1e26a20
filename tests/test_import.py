"""What is loaded when."""

import json
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
    return {step: {*names} for step, names in json.loads(process.stdout).items()}


def test_the_package_loads_no_library_before_it_is_needed(loaded):
    assert (
        not {"torch", "torchvision", "pandas", "pyarrow", "scipy", *SCREEN} & loaded["use_package"]
    )


def test_a_look_up_loads_neither_torch_nor_what_draws(loaded):
    assert not {"torch", "pandas", *SCREEN} & loaded["look_up"]


def test_training_loads_neither_what_draws_nor_torch_s_compiler(loaded):
    assert "torch" in loaded["train"]
    assert not {"pandas", "sympy", *SCREEN} & loaded["train"]


def test_widgets_load_bokeh_with_the_first_explorer_alone(loaded):
    assert "anywidget" in loaded["use_widgets"]
    assert not {"bokeh", "matplotlib"} & loaded["use_widgets"]
