"""The wheel, built and installed where nothing of the clone is in reach."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import ROOT

from cplab import teach


def run(*words, cwd, **more):
    """What a command prints, free of the settings that these tests run under."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}
    how = {"cwd": cwd, "env": keep | more, "capture_output": True, "text": True, "timeout": 300}
    done = subprocess.run([sys.executable, *map(str, words)], **how)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run("-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    [wheel] = folder.glob("*.whl")
    return wheel


def test_it_holds_the_package_and_nothing_beside_it(wheel):
    files = {*zipfile.ZipFile(wheel).namelist()}
    assert {name.partition("/")[0].partition("-")[0] for name in files} == {"cplab"}
    for kind in ("py", "csv", "css", "js", "wasm", "parquet"):
        paths = {path.relative_to(ROOT).as_posix() for path in ROOT.glob(f"cplab/**/*.{kind}")}
        assert paths
        assert paths <= files
    assert not [name for name in files if "checkpoint" in name and name.endswith(".ipynb")]


def test_it_is_called_as_the_labs_first_cells_look_for_it(wheel):
    assert fnmatch(wheel.name, "cplab-*.whl")


class Home(NamedTuple):
    """Where the wheel is installed, and what Python needs so that it finds this and the libraries
    that these tests have, but not the clone."""

    folder: Path
    settings: dict

    @property
    def command(self):
        [path] = self.folder.glob("*/cplab*")
        return path


@pytest.fixture(scope="module")
def home(wheel, tmp_path_factory):
    around = tmp_path_factory.mktemp("home")
    folder = around / "home"
    options = ("--quiet", "--no-deps", "--no-index", "--target", folder)
    run("-m", "pip", "install", *options, wheel, cwd=around)
    libraries = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    paths = os.pathsep.join([str(folder), *dict.fromkeys(libraries)])
    return Home(folder, {"cwd": around, "PYTHONPATH": paths})


LOOK_UP = """
from importlib.util import find_spec
import cplab
result = cplab.run(deficit="blur", length=8)
print(cplab.__file__)
print(result.source, len(result.curve))
print([name for name in ("reproduction", "benchmarks") if find_spec(name)])
"""


def test_outside_the_clone_it_finds_a_shipped_result_without_what_stands_beside(home):
    place, found, beside = run("-S", "-c", LOOK_UP, **home.settings).splitlines()
    assert Path(place).is_relative_to(home.folder)
    assert found == "shipped 23"
    assert beside == "[]"


def test_its_command_copies_the_labs(home):
    assert run("-S", home.command, "--version", **home.settings).startswith("cplab 0.")
    run("-S", home.command, "lab", "--copy", **home.settings)
    for path in [*ROOT.glob("labs/*.ipynb"), *teach.pages()]:
        copy = teach.folder_of(home.settings["cwd"] / "cplab-labs", path) / path.name
        assert copy.read_text("utf-8") == teach.portable(path)
