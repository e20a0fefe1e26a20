"""What sets a machine up, here, in a container or on Binder: the files agree with each other, and
say what is missing."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from cplab import teach
from cplab.errors import EXTRA_OF

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def split(requirement):
    """`"numpy >=1.26; …"` as `("numpy", ">=1.26")`."""
    return re.fullmatch(r"([\w-]+)\s*([^;]*).*", requirement).groups()


def brought(extra):
    """All that an extra brings beside the package, in the form of `split`."""
    found = {}
    for requirement in EXTRAS[extra]:
        if nested := re.fullmatch(r"cplab\[([\w,]+)\]", requirement):
            for one in nested[1].split(","):
                found |= brought(one)
        else:
            found |= dict([split(requirement)])
    return found


REQUIRED = dict(map(split, PROJECT["dependencies"]))


@pytest.mark.parametrize("path", ["environment.yml", "binder/environment.yml"])
def test_conda_environments_list_what_pyproject_lists(path):
    conda = dict(map(split, yaml.safe_load((ROOT / path).read_text())["dependencies"]))
    conda["torch"] = conda.pop("pytorch-cpu")
    conda["matplotlib"] = conda.pop("matplotlib-base")
    assert {n: b for n, b in conda.items() if n not in ("python", "pip")} == REQUIRED | brought(
        "lab"
    )


def test_the_package_imports_what_it_requires_and_an_error_names_what_brings_the_rest():
    found = set()
    for path in ROOT.glob("cplab/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            found |= {name.partition(".")[0] for name in names}
    found -= {*sys.stdlib_module_names, "cplab", "google", "triton"}  # Triton comes with torch
    named = {{"PIL": "pillow"}.get(name, name.lower()) for name in found}
    more = {name for extra in ("lab", "cluster", "site") for name in brought(extra)}
    assert {*REQUIRED} <= named <= {*REQUIRED} | more
    assert all(library in brought(extra) for library, extra in EXTRA_OF.items())
    assert not {*EXTRA_OF} & {*REQUIRED}


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(("uv", "system"), [("works", "Linux"), ("fails", "Linux"), ("", "Darwin")])
def test_uv_takes_the_build_of_torch_that_fits_and_else_pip_installs(tmp_path, uv, system):
    """With programs that only say what they were asked for. Macs with Intel chips have no torch."""
    fails = 'case "$*" in *dry-run*) ;; *) exit 1;; esac' if uv == "fails" else ""
    scripts = {"uv": f'echo uv "$@" >> said\n{fails}', "python": 'echo python "$@" >> said'}
    scripts |= {"python3": "", "uname": f"echo {system} x86_64"}
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, script in scripts.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    env = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    uses = ["VENV=.", f"UV={uv and 'uv'}"]
    how = {"cwd": tmp_path, "env": env, "capture_output": True, "text": True, "check": True}
    done = subprocess.run(["make", "install", *uses], **how)
    pip = "python -m pip install --editable .[lab]"
    real = "uv pip install --python ./bin/python --torch-backend auto --editable .[lab]"
    said = (tmp_path / "said").read_text().splitlines()
    assert said[-1] == (real if uv == "works" else pip)
    assert ("torch has no builds for Macs" in done.stdout) == (system == "Darwin")


def test_the_container_names_what_there_is():
    docker = (ROOT / "Dockerfile").read_text()
    [extra] = re.findall(r"/opt/cplab\[(\w+)\]", docker)
    assert extra in EXTRAS
    [lab] = re.findall(r"cplab-labs/([\w.]+)", docker)
    assert lab == teach.labs()[0].name
