"""A release that needs only a name: one command writes the address everywhere, in a copy here."""

import importlib.util
import json
import shutil
import subprocess
import sys
import tomllib
import types

import pytest
import yaml
from conftest import ROOT

from cplab import teach
from cplab.teach import site

FILES = ("README.md", "pyproject.toml", "CITATION.cff", "cplab/teach/site.py", "docs/release.py")
ADDRESS = "https://github.com/Some-Place/lab.one"


@pytest.fixture
def copy(tmp_path):
    """A folder with a copy of what has the address in it."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
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


LINKS = (
    "https://some-place.github.io/lab.one/",
    "https://colab.research.google.com/github/Some-Place/lab.one/blob/HEAD/labs/00_",
    "https://codespaces.new/Some-Place/lab.one",
    "https://mybinder.org/v2/gh/Some-Place/lab.one/HEAD?urlpath=lab/tree/labs/00_",
)


def project_of(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]


def citation_of(folder):
    return yaml.safe_load((folder / "CITATION.cff").read_text("utf-8"))


def test_one_command_writes_the_address_everywhere(copy):
    assert release(copy, ADDRESS) == (0, "")
    page = (copy / "README.md").read_text("utf-8")
    for start in LINKS:
        assert f"]({start}" in page
    urls = project_of(copy)["urls"]
    assert urls["Repository"] == ADDRESS
    assert urls["Issues"] == f"{ADDRESS}/issues"
    cited = citation_of(copy)
    assert cited["repository-code"] == ADDRESS
    assert cited["url"] == urls["Documentation"]
    assert f'REPOSITORY = "{ADDRESS}"' in (copy / "cplab/teach/site.py").read_text("utf-8")


def test_an_address_can_be_written_twice_changed_and_taken_away(copy):
    release(copy, site.REPOSITORY or "none")
    before = texts(copy)
    release(copy, ADDRESS)
    once = texts(copy)
    release(copy, ADDRESS)
    assert texts(copy) == once
    release(copy, "https://github.com/another/one")
    for path, text in texts(copy).items():
        assert b"ome-" not in text or b"lab.one" not in text, path
    release(copy, site.REPOSITORY or "none")
    assert texts(copy) == before


def test_one_command_writes_the_version_everywhere(copy):
    assert citation_of(ROOT)["version"] == project_of(ROOT)["version"]
    assert release(copy, "--version", "0.2.0") == (0, "")
    assert project_of(copy)["version"] == "0.2.0"
    assert citation_of(copy)["version"] == "0.2.0"


NO_ADDRESSES = [("ftp://x",), ("github.com/a/b",), ("--version", "2"), ()]


@pytest.mark.parametrize("words", NO_ADDRESSES)
def test_words_that_are_no_address_are_refused_and_change_nothing(copy, words):
    before = texts(copy)
    code, said = release(copy, *words)
    assert code != 0
    assert "give" in said.splitlines()[-1]
    assert texts(copy) == before


WHEEL = "cplab-0.1.0-py3-none-any.whl"


def asked_on_colab(path):
    """What a lab's first cell asks pip for."""
    asked = []
    shell = types.SimpleNamespace(run_line_magic=lambda *words: asked.append(words))
    exec(first_cell(path), {"get_ipython": lambda: shell})
    return asked


def test_on_colab_the_first_cell_installs_the_release_or_a_wheel_that_was_uploaded(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    for path in teach.labs():
        (tmp_path / WHEEL).unlink(missing_ok=True)
        assert asked_on_colab(path) == [("pip", "install -q --no-deps cplab loky")]
        assert "cplab comes from cplab" in capsys.readouterr().out
        (tmp_path / WHEEL).touch()
        assert asked_on_colab(path) == [("pip", f"install -q --no-deps {WHEEL} loky")]
        assert f"cplab comes from {WHEEL}" in capsys.readouterr().out
        (tmp_path / WHEEL).unlink()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(importlib.util, "find_spec", lambda name: None)  # as before a release
            asked_on_colab(path)
        assert "There is no release yet" in capsys.readouterr().out


WORKFLOW = (ROOT / ".github/workflows/release.yml").read_text("utf-8")
JOBS = yaml.safe_load(WORKFLOW)["jobs"]


def test_a_wheel_is_tried_before_anything_is_released():
    assert JOBS["try"]["needs"] == "wheel"
    released = {name for name, job in JOBS.items() if job.get("needs") == "try"}
    assert released == {"publish", "attach", "container"}


def test_a_release_is_published_without_a_password():
    assert JOBS["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in WORKFLOW
