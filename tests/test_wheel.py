"""The wheel, built and installed where nothing of the clone is in reach."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from fnmatch import fnmatch
from pathlib import Path

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
    kept = (".py", ".csv", ".css", ".js", ".wasm", ".parquet")
    here = [path for path in ROOT.glob("cplab/**/*") if path.suffix in kept]
    assert files >= {path.relative_to(ROOT).as_posix() for path in here} > {"cplab/__init__.py"}
    assert not [name for name in files if "checkpoint" in name and name.endswith(".ipynb")]


CODE = """
import importlib.util, cplab
result = cplab.run(deficit="blur", length=8)
print(cplab.__file__, result.source, len(result.curve))
print([name for name in ("reproduction", "benchmarks") if importlib.util.find_spec(name)])
"""


def test_outside_the_clone_it_finds_a_shipped_result_and_brings_the_labs(wheel, tmp_path):
    """The libraries are those that these tests have; -S leaves out the clone beside them."""
    home = tmp_path / "home"
    install = ("install", "--quiet", "--no-deps", "--no-index", "--target", home)
    run("-m", "pip", *install, wheel, cwd=tmp_path)
    paths = dict.fromkeys([home, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    there = {"cwd": tmp_path, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    first, second = run("-S", "-c", CODE, **there).splitlines()
    place, *said = first.split()
    assert Path(place).is_relative_to(home)
    assert (said, second) == (["shipped", "23"], "[]")
    [command] = home.glob("*/cplab*")
    assert run("-S", command, "--version", **there).startswith("cplab 0.")
    run("-S", command, "lab", "--copy", **there)
    assert fnmatch(wheel.name, "cplab-*.whl")  # for which the labs' first cells look
    for path in ROOT.glob("labs/*.ipynb"):
        assert (tmp_path / "cplab-labs" / path.name).read_text("utf-8") == teach.portable(path)
