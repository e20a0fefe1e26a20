"""Somebody who has only the wheel: an empty environment, labs 00 and 02 to their end without torch,
and again with it.

It takes minutes and asks the package index: `pytest -m journey_long` does it.
"""

import os
import subprocess
import sys
import venv
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

from cplab import teach

pytestmark = pytest.mark.journey_long

ROOT = Path(__file__).parents[2]
LABS = ("00_a_critical_period_in_a_minute", "02_blur_critical_period")
TRAIN = ["run", "--profile", "ci", "--deficit", "blur", "--length", "2", "--recovery", "1"]
BESIDE = "from importlib.util import find_spec as f; print(f('reproduction'), f('benchmarks'))"


def give(python, *words, folder):
    """Give a command to a Python in a folder, without the settings of these tests; return what it
    prints."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}
    done = subprocess.run(
        [str(python), *map(str, words)], cwd=folder, env=kept, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    give(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, ROOT, folder=folder)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def home(wheel, tmp_path_factory):
    """An empty folder with an environment that has the wheel, and what opens labs."""
    home = tmp_path_factory.mktemp("home")
    venv.create(home / "env", with_pip=True)
    words = ["-m", "pip", "install", "--quiet", wheel, "jupyterlab", "ipywidgets", "papermill"]
    give(python_of(home), *words, folder=home)
    return home


def python_of(home):
    """The Python of the environment."""
    [python] = [*home.glob("env/bin/python"), *home.glob("env/Scripts/python.exe")]
    return python


def play(home, end):
    """Play the labs to their end; what stands in them then, in one text."""
    played = ""
    for lab in LABS:
        done = home / f"{lab}-{end}.ipynb"
        words = ["-m", "papermill", "--no-progress-bar", f"{lab}.ipynb", done]
        give(python_of(home), *words, folder=home / "cplab-labs")
        played += done.read_text("utf-8")
    return played


@pytest.fixture(scope="module")
def without_torch(home):
    """What the labs print, copied and played in the environment as it is."""
    give(python_of(home), "-m", "cplab", "lab", "--copy", folder=home)
    return play(home, "without")


@pytest.fixture(scope="module")
def said(home):
    """What is said to one who trains without torch."""
    words = [str(python_of(home)), "-m", "cplab", *TRAIN]
    done = subprocess.run(words, cwd=home, capture_output=True, text=True)
    assert done.returncode == 2
    return done.stderr


@pytest.fixture(scope="module")
def with_torch(home, without_torch, said):
    """What they print once torch is here, which is shared by the environment of these tests."""
    shared = [path for path in sys.path if Path(path).name == "site-packages"]
    [packages] = home.glob("env/**/site-packages")
    (packages / "shared.pth").write_text("\n".join(shared))
    return play(home, "with")


def test_the_wheel_holds_the_package_and_nothing_beside_it(wheel):
    files = {*zipfile.ZipFile(wheel).namelist()}
    assert [*{name.partition("/")[0].partition("-")[0] for name in files}] == ["cplab"]
    for kind in ("py", "csv", "css", "js", "wasm", "parquet"):
        paths = {path.relative_to(ROOT).as_posix() for path in ROOT.glob(f"cplab/**/*.{kind}")}
        assert paths
        assert paths <= files
    assert not [name for name in files if "checkpoint" in name and name.endswith(".ipynb")]
    assert fnmatch(wheel.name, "cplab-*.whl")  # as the labs' first cells look for it on Colab


@pytest.mark.usefixtures("without_torch")
def test_without_torch_the_labs_come_to_their_end_and_training_says_how_to_bring_it(said):
    assert said.startswith("error: torch is not installed")
    assert said.endswith(" -m pip install 'cplab[train]'\n")


def test_all_labs_are_copied(home, without_torch):
    copied = {path.name for path in home.glob("cplab-labs/**/*.ipynb")}
    assert copied == {path.name for path in [*teach.labs(), *teach.pages()]}


def test_nothing_of_the_clone_is_in_reach(home, without_torch):
    place = give(python_of(home), "-c", "import cplab; print(cplab.__file__)", folder=home)
    assert Path(place).is_relative_to(home / "env")
    assert give(python_of(home), "-c", BESIDE, folder=home).split() == ["None", "None"]


def test_with_torch_the_labs_train(home, with_torch):
    assert "is not installed" not in with_torch
    assert "(live)" in give(python_of(home), "-m", "cplab", *TRAIN, folder=home)
