"""What sets a machine up, here, in a container or on Binder: the files agree with each other, and
say what is missing."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from cplab import data
from cplab.errors import EXTRA_OF

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments):
    """The result of make, free of the settings of a make that may have started these tests."""
    own = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "VENV", "LAB", "ARGS", "UV"}
    environment = {key: value for key, value in os.environ.items() if key not in own}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )


def split(requirement):
    """`"numpy >=1.26; …"` as `("numpy", ">=1.26")`."""
    name, bound = re.fullmatch(r"([\w-]+)\s*([^;]*).*", requirement).groups()
    return name, bound


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


@pytest.mark.parametrize("path", ["environment.yml", "binder/environment.yml"])
def test_conda_environments_list_what_pyproject_lists(path):
    conda = dict(map(split, yaml.safe_load((ROOT / path).read_text())["dependencies"]))
    python, _ = conda.pop("python"), conda.pop("pip")
    conda["torch"] = conda.pop("pytorch-cpu")
    conda["matplotlib"] = conda.pop("matplotlib-base")
    assert conda == dict(map(split, PROJECT["dependencies"])) | brought("lab")
    oldest = PROJECT["requires-python"].removeprefix(">=").split(".")
    assert python.lstrip(">=").split(".") >= oldest


def test_the_package_imports_what_it_requires_and_nothing_else():
    found = set()
    for path in ROOT.glob("cplab/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            found |= {name.partition(".")[0] for name in names}
    found -= {*sys.stdlib_module_names, "cplab", "google"}
    named = {{"PIL": "pillow"}.get(name, name.lower()) for name in found}
    required = {split(one)[0] for one in PROJECT["dependencies"]}
    more = {name for extra in ("lab", "cluster", "site") for name in brought(extra)}
    assert required <= named <= required | more


def test_an_error_names_the_extra_that_brings_a_library():
    for library, extra in EXTRA_OF.items():
        assert library in brought(extra)
        assert library not in {split(one)[0] for one in PROJECT["dependencies"]}


@needs_make
@pytest.mark.parametrize("uv", ["works", "fails", "is on a Mac with an Intel chip"])
def test_uv_takes_the_build_of_torch_that_fits_and_else_pip_installs(tmp_path, uv, monkeypatch):
    """With programs that only say what they were asked for."""
    said, venv = tmp_path / "said", tmp_path / "venv"
    fails = 'case "$*" in *dry-run*) ;; *) exit 1;; esac' if uv == "fails" else ""
    tell = f'#!/bin/sh\necho {{}} "$@" >> "{said}"\n'
    (venv / "bin").mkdir(parents=True)
    place, python, system = tmp_path / "uv", venv / "bin" / "python", tmp_path / "python3"
    scripts = tell.format("uv") + fails, tell.format("python"), "#!/bin/sh\n"
    for program, script in zip((place, python, system), scripts, strict=True):
        program.write_text(f"{script}\n")
        program.chmod(0o755)
    if "Mac" in uv:
        (tmp_path / "uname").write_text("#!/bin/sh\necho Darwin x86_64\n")
        (tmp_path / "uname").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    done = make("install", f"PYTHON={system}", f"VENV={venv}", f"UV={place}")
    assert done.returncode == 0, done.stderr
    asked = said.read_text().splitlines()
    by_pip = "python -m pip install --editable .[lab]"
    real = f"uv pip install --python {python} --torch-backend auto --editable .[lab]"
    assert asked[-1] == (real if uv == "works" else by_pip)
    assert ("torch has no builds for Macs with Intel" in done.stdout) == ("Mac" in uv)
    assert ("pip takes the usual build of torch" in done.stdout) == (uv == "fails")


# Other machines -----------------------------------------------------------------------------------


def test_binder_fetches_sets_of_images_that_there_are():
    script = (ROOT / "binder" / "postBuild").read_text()
    [named] = re.findall(r"^for images in ([\w ]+)", script, re.M)
    assert {*named.split()} <= {*data.DOWNLOADS}


def test_the_container_installs_an_extra_that_there_is_and_opens_a_lab_that_there_is():
    [version] = re.findall(r"^FROM python:([\d.]+)", DOCKERFILE, re.M)
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert tuple(map(int, version.split("."))) >= tuple(map(int, oldest.split(".")))
    [extra] = re.findall(r"/opt/cplab\[(\w+)\]", DOCKERFILE)
    assert extra in EXTRAS
    command = json.loads(re.search(r"^CMD (.+)$", DOCKERFILE, re.M)[1])
    [lab] = re.findall(r"cplab-labs/(\S+)$", command[-1])
    assert (ROOT / "labs" / lab).exists()
