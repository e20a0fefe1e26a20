"""What sets a machine up: the files agree with each other, and say what is missing."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from conftest import ROOT
from packaging.requirements import Requirement

from cplab import errors, teach

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def asked(lines):
    """What requirements ask for, by name, with bounds; of an extra of the package, what comes."""
    bounds = {}
    for requirement in map(Requirement, lines):
        if requirement.name == "cplab":
            for extra in requirement.extras:
                bounds |= asked(EXTRAS.get(extra, ()))
        else:
            bounds[requirement.name] = requirement.specifier
    return bounds


REQUIRED = asked(PROJECT["dependencies"])


@pytest.mark.parametrize("path", ["environment.yml", "binder/environment.yml"])
def test_conda_environments_list_what_pyproject_lists(path):
    text = (ROOT / path).read_text()
    text = text.replace("pytorch-cpu", "torch").replace("matplotlib-base", "matplotlib")
    listed = yaml.safe_load(text)["dependencies"]
    libraries = [line for line in listed if not re.match("python|pip$", line)]
    assert asked(libraries) == REQUIRED | asked(EXTRAS["lab"])


# psutil comes with Jupyter; without it something else is done
OPTIONAL = {"google", "psutil"}


def imported_by(path):
    """The libraries that a file of Python imports, as they are called when they are installed."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
    libraries = {name.partition(".")[0] for name in names}
    libraries -= {*sys.stdlib_module_names, *OPTIONAL, "cplab"}
    return {"pillow" if library == "PIL" else library.lower() for library in libraries}


def test_the_package_imports_what_it_requires_and_nothing_that_no_extra_brings():
    imported = set()
    for path in ROOT.glob("cplab/**/*.py"):
        imported |= imported_by(path)
    assert imported >= {*REQUIRED}
    assert imported <= {*REQUIRED, *asked(["cplab[lab,cluster,site]"])}


def test_an_error_names_an_extra_that_brings_the_library():
    for library, extra in errors.EXTRAS.items():
        assert library in asked(EXTRAS[extra])
        assert library not in REQUIRED


REFUSES = 'case "$*" in *dry-run*) ;; *) exit 1;; esac'
PIP = "python -m pip install --editable .[lab,site]"
UV = "uv pip install --python ./bin/python --torch-backend auto --editable .[lab,site]"


class Installed(NamedTuple):
    """What `make install` printed, what it asked programs for, and the folder it installed into."""

    printed: str
    asked: list[str]
    folder: Path


@pytest.fixture
def make_install(tmp_path, monkeypatch):
    """A function that runs it on a system, with programs that only say what they are asked for.

    Arguments: uv, what uv does beside that, None where there is none.
    """

    def install(system="Linux", uv=None):
        scripts = {
            "python": 'echo python "$@" >> said',
            "python3": "",
            "uname": f"echo {system} x86_64",
            "uv": f'echo uv "$@" >> said\n{uv}',
        }
        (tmp_path / "bin").mkdir()
        for name, script in scripts.items():
            (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / "bin" / name).chmod(0o755)
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(ROOT / name, tmp_path)
        shutil.copytree(ROOT / "binder", tmp_path / "binder")
        monkeypatch.setenv("PATH", str(tmp_path / "bin"), os.pathsep)
        printed = run_make(tmp_path, uv)
        return Installed(printed, (tmp_path / "said").read_text().splitlines(), tmp_path)

    return install


def run_make(folder, uv):
    """What `make install` prints in a folder."""
    words = ["make", "-C", folder, "install", "VENV=.", f"UV={'' if uv is None else 'uv'}"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@needs_make
def test_uv_takes_the_build_of_torch_that_fits(make_install):
    installed = make_install(uv="")
    assert installed.asked[-1] == UV
    overrides = installed.folder / "share/jupyter/lab/settings/overrides.json"
    assert overrides.exists()  # which tells JupyterLab not to ask about news


@needs_make
def test_where_uv_cannot_install_pip_does(make_install):
    assert make_install(uv=REFUSES).asked[-1] == PIP


@needs_make
def test_on_a_mac_with_an_intel_chip_torch_is_said_to_have_no_build(make_install):
    installed = make_install("Darwin")
    assert installed.asked[-1] == PIP
    assert "torch has no builds for Macs" in installed.printed


@needs_make
def test_a_project_that_was_moved_is_installed_anew(make_install, monkeypatch):
    installed = make_install(uv="")
    run_make(installed.folder, uv="")
    said = installed.folder / "said"
    assert said.read_text().splitlines() == installed.asked  # the second run has nothing to do
    moved = installed.folder.rename(installed.folder.with_name("moved here"))
    monkeypatch.setenv("PATH", str(moved / "bin"), os.pathsep)
    assert "was moved here" in run_make(moved, uv="")
    assert (moved / "said").read_text().splitlines() == 2 * installed.asked


def test_the_container_names_what_there_is():
    docker = (ROOT / "Dockerfile").read_text()
    assert re.search(r"/opt/cplab\[(\w+)\]", docker)[1] in EXTRAS
    assert f"cplab-labs/{teach.labs()[0].name}" in docker
