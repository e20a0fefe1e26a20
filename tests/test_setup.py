"""What sets a machine up: the files agree with each other, and say what is missing."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from conftest import ROOT
from packaging.requirements import Requirement

from cplab import errors, teach

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def asked(lines):
    """What requirements ask for, by name, with bounds; of an extra of the package, what comes."""
    found = {}
    for one in map(Requirement, lines):
        brought = [line for extra in one.extras for line in EXTRAS.get(extra, ())]
        found |= asked(brought) if one.name == "cplab" else {one.name: one.specifier}
    return found


REQUIRED = asked(PROJECT["dependencies"])


@pytest.mark.parametrize("path", ["environment.yml", "binder/environment.yml"])
def test_conda_environments_list_what_pyproject_lists(path):
    text = (ROOT / path).read_text()
    text = text.replace("pytorch-cpu", "torch").replace("matplotlib-base", "matplotlib")
    listed = yaml.safe_load(text)["dependencies"]
    libraries = [line for line in listed if not re.match("python|pip$", line)]
    assert asked(libraries) == REQUIRED | asked(EXTRAS["lab"])


def test_the_package_imports_what_it_requires_and_an_error_names_what_brings_the_rest():
    found = set()
    for path in ROOT.glob("cplab/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            found |= {name.partition(".")[0] for name in names}
    # Triton comes with torch, psutil with Jupyter; without either something else is done
    found -= {*sys.stdlib_module_names, "cplab", "google", "psutil", "triton"}
    named = {{"PIL": "pillow"}.get(name, name.lower()) for name in found}
    more = asked(["cplab[lab,cluster,site]"])
    assert {*REQUIRED} <= named <= {*REQUIRED, *more}
    assert all(library in asked(EXTRAS[extra]) for library, extra in errors.EXTRAS.items())
    assert not {*errors.EXTRAS} & {*REQUIRED}


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(("uv", "system"), [("works", "Linux"), ("fails", "Linux"), ("", "Darwin")])
def test_uv_takes_the_build_of_torch_that_fits_and_else_pip_installs(
    tmp_path, monkeypatch, uv, system
):
    """With programs that only say what they were asked for. Macs with Intel chips have no torch."""
    fails = 'case "$*" in *dry-run*) ;; *) exit 1;; esac' if uv == "fails" else ""
    scripts = {"uv": f'echo uv "$@" >> said\n{fails}', "python": 'echo python "$@" >> said'}
    scripts |= {"python3": "", "uname": f"echo {system} x86_64"}
    (tmp_path / "bin").mkdir()
    for name, script in scripts.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "binder", tmp_path / "binder")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), os.pathsep)
    make = ["make", "-C", tmp_path, "install", "VENV=.", f"UV={uv and 'uv'}"]
    done = subprocess.run(make, capture_output=True, text=True, check=True)
    pip = "python -m pip install --editable .[lab]"
    real = "uv pip install --python ./bin/python --torch-backend auto --editable .[lab]"
    said = (tmp_path / "said").read_text().splitlines()
    assert said[-1] == (real if uv == "works" else pip)
    assert ("torch has no builds for Macs" in done.stdout) == (system == "Darwin")
    assert (tmp_path / "share/jupyter/lab/settings/overrides.json").exists()


def test_the_container_names_what_there_is():
    docker = (ROOT / "Dockerfile").read_text()
    assert re.search(r"/opt/cplab\[(\w+)\]", docker)[1] in EXTRAS
    assert f"cplab-labs/{teach.labs()[0].name}" in docker
