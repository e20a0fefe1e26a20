"""A release that needs only a name: one command writes the address everywhere, in a copy here."""

import json
import shutil
import subprocess
import sys
import tomllib
import types

import pytest
import yaml
from conftest import ROOT

from cplab import teach, version

FILES = ("README.md", "pyproject.toml", "CITATION.cff", "cplab/version.py", "docs/release.py")
ADDRESS = "https://github.com/Some-Place/lab.one"


@pytest.fixture
def copy(tmp_path):
    """A copy of what has the address in it."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "labs", tmp_path / "labs")
    return tmp_path


def release(copy, *words):
    """Run the command in a copy, and return how it ended with what it said."""
    command = [sys.executable, copy / "docs" / "release.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=copy)
    return done.returncode, done.stderr


def texts(copy):
    """All files of a copy."""
    paths = (path for path in copy.rglob("*") if path.is_file() and "__pycache__" not in str(path))
    return {path.relative_to(copy): path.read_bytes() for path in paths}


def first_cell(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return next("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def test_one_command_writes_the_address_everywhere(copy):
    assert release(copy, ADDRESS) == (0, "")
    readme = (copy / "README.md").read_text("utf-8")
    for start in (
        "https://some-place.github.io/lab.one/",
        "https://colab.research.google.com/github/Some-Place/lab.one/blob/HEAD/labs/00_",
        "https://codespaces.new/Some-Place/lab.one",
        "https://mybinder.org/v2/gh/Some-Place/lab.one/HEAD?urlpath=lab/tree/labs/00_",
    ):
        assert f"]({start}" in readme
    urls = tomllib.loads((copy / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    assert urls["Repository"] == ADDRESS
    assert urls["Issues"] == f"{ADDRESS}/issues"
    cited = yaml.safe_load((copy / "CITATION.cff").read_text("utf-8"))
    assert (cited["repository-code"], cited["url"]) == (ADDRESS, urls["Documentation"])
    assert f'REPOSITORY = "{ADDRESS}"' in (copy / "cplab/version.py").read_text("utf-8")
    labs = sorted((copy / "labs").glob("[0-9]*.ipynb"))
    assert len(labs) == len(teach.labs())
    assert all(ADDRESS in first_cell(path) for path in labs)


def test_written_twice_or_to_another_place_nothing_of_the_first_is_left(copy):
    release(copy, ADDRESS)
    once = texts(copy)
    release(copy, ADDRESS)
    assert texts(copy) == once
    release(copy, "https://github.com/another/one")
    assert not [
        path for path, text in texts(copy).items() if b"ome-" in text and b"lab.one" in text
    ]


def test_without_an_address_all_is_as_it_was(copy):
    release(copy, version.REPOSITORY or "none")
    before = texts(copy)
    release(copy, ADDRESS)
    release(copy, version.REPOSITORY or "none")
    assert texts(copy) == before


def test_a_version_stands_in_the_package_its_metadata_and_its_citation(copy):
    assert release(copy, "--version", "0.2.0") == (0, "")
    project = tomllib.loads((copy / "pyproject.toml").read_text("utf-8"))["project"]
    cited = yaml.safe_load((copy / "CITATION.cff").read_text("utf-8"))
    assert project["version"] == cited["version"] == "0.2.0"
    assert 'VERSION = "0.2.0"' in (copy / "cplab/version.py").read_text("utf-8")


@pytest.mark.parametrize("words", [("ftp://x",), ("github.com/a/b",), ("--version", "2"), ()])
def test_what_is_no_address_changes_nothing(copy, words):
    before = texts(copy)
    code, said = release(copy, *words)
    assert code != 0
    assert "give" in said.splitlines()[-1]
    assert texts(copy) == before


def test_this_repository_says_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert project["version"] == cited["version"] == version.VERSION


@pytest.mark.parametrize("wheels", [(), ("cplab-0.1.0-py3-none-any.whl",)])
@pytest.mark.parametrize("path", teach.labs(), ids=[path.stem[:3] for path in teach.labs()])
def test_on_colab_the_first_cell_installs_an_uploaded_wheel_or_the_release_and_says_which(
    path, wheels, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for name in wheels:
        (tmp_path / name).touch()
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    asked = []
    shell = types.SimpleNamespace(run_line_magic=lambda *words: asked.append(words))
    exec(first_cell(path), {"get_ipython": lambda: shell})
    source = wheels[0] if wheels else "cplab"
    assert asked == [("pip", f"install -q --no-deps {source} loky")]
    assert f"cplab comes from {source}" in capsys.readouterr().out


def test_a_release_is_built_tried_and_then_published_attached_and_packed():
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text("utf-8"))
    jobs = workflow["jobs"]
    assert jobs["try"]["needs"] == "wheel"
    assert {name for name, job in jobs.items() if job.get("needs") == "try"} == {
        "publish",
        "attach",
        "container",
    }
    assert jobs["publish"]["permissions"] == {"id-token": "write"}  # no password anywhere
    assert "secrets." not in (ROOT / ".github/workflows/release.yml").read_text("utf-8")
    said = subprocess.run(
        [sys.executable, ROOT / "cplab/version.py"], capture_output=True, text=True
    )
    assert said.stdout.strip() == version.VERSION  # with which the tag is compared
