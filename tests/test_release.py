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

from cplab import teach
from cplab.teach import site

FILES = ("README.md", "pyproject.toml", "CITATION.cff", "cplab/teach/site.py", "docs/release.py")
ADDRESS = "https://github.com/Some-Place/lab.one"


def copied(folder):
    """A copy, in a folder, of what has the address in it."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def copy(tmp_path):
    return copied(tmp_path)


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


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A copy into which one command has written the address; it is only read."""
    folder = copied(tmp_path_factory.mktemp("released"))
    assert release(folder, ADDRESS) == (0, "")
    return folder


@pytest.mark.parametrize(
    "start",
    [
        "https://some-place.github.io/lab.one/",
        "https://colab.research.google.com/github/Some-Place/lab.one/blob/HEAD/labs/00_",
        "https://codespaces.new/Some-Place/lab.one",
        "https://mybinder.org/v2/gh/Some-Place/lab.one/HEAD?urlpath=lab/tree/labs/00_",
    ],
)
def test_the_readme_links_to_the_repository_s_pages(start, released):
    assert f"]({start}" in (released / "README.md").read_text("utf-8")


def project_of(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]


def citation_of(folder):
    return yaml.safe_load((folder / "CITATION.cff").read_text("utf-8"))


def test_the_metadata_has_the_address(released):
    urls = project_of(released)["urls"]
    assert urls["Repository"] == ADDRESS
    assert urls["Issues"] == f"{ADDRESS}/issues"


def test_the_citation_has_the_address(released):
    cited = citation_of(released)
    assert cited["repository-code"] == ADDRESS
    assert cited["url"] == project_of(released)["urls"]["Documentation"]


def test_the_package_has_the_address(released):
    assert f'REPOSITORY = "{ADDRESS}"' in (released / "cplab/teach/site.py").read_text("utf-8")


def test_an_address_that_is_written_twice_changes_nothing(released):
    once = texts(released)
    release(released, ADDRESS)
    assert texts(released) == once


def test_another_address_leaves_nothing_of_the_first(copy):
    release(copy, ADDRESS)
    release(copy, "https://github.com/another/one")
    for path, text in texts(copy).items():
        assert b"ome-" not in text or b"lab.one" not in text, path


def test_without_an_address_all_is_as_it_was(copy):
    release(copy, site.REPOSITORY or "none")
    before = texts(copy)
    release(copy, ADDRESS)
    release(copy, site.REPOSITORY or "none")
    assert texts(copy) == before


def test_one_command_writes_the_version_everywhere(copy):
    assert release(copy, "--version", "0.2.0") == (0, "")
    assert project_of(copy)["version"] == "0.2.0"
    assert citation_of(copy)["version"] == "0.2.0"


NO_ADDRESSES = [("ftp://x",), ("github.com/a/b",), ("--version", "2"), ()]


@pytest.mark.parametrize("words", NO_ADDRESSES)
def test_words_that_are_no_address_are_refused(copy, words):
    code, said = release(copy, *words)
    assert code != 0
    assert "give" in said.splitlines()[-1]


@pytest.mark.parametrize("words", NO_ADDRESSES)
def test_words_that_are_no_address_change_nothing(copy, words):
    before = texts(copy)
    release(copy, *words)
    assert texts(copy) == before


def test_this_repository_says_one_version():
    assert citation_of(ROOT)["version"] == project_of(ROOT)["version"]


WHEEL = "cplab-0.1.0-py3-none-any.whl"


@pytest.fixture(params=teach.labs(), ids=[path.stem[:3] for path in teach.labs()])
def on_colab(request, tmp_path, monkeypatch):
    """A function that runs a lab's first cell as on Colab, and gives what it asked pip for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))

    def run():
        asked = []
        shell = types.SimpleNamespace(run_line_magic=lambda *words: asked.append(words))
        exec(first_cell(request.param), {"get_ipython": lambda: shell})
        return asked

    return run


def test_on_colab_the_first_cell_installs_the_release(on_colab, capsys):
    assert on_colab() == [("pip", "install -q --no-deps cplab loky")]
    assert "cplab comes from cplab" in capsys.readouterr().out


def test_on_colab_the_first_cell_installs_a_wheel_that_was_uploaded(on_colab, tmp_path, capsys):
    (tmp_path / WHEEL).touch()
    assert on_colab() == [("pip", f"install -q --no-deps {WHEEL} loky")]
    assert f"cplab comes from {WHEEL}" in capsys.readouterr().out


WORKFLOW = (ROOT / ".github/workflows/release.yml").read_text("utf-8")
JOBS = yaml.safe_load(WORKFLOW)["jobs"]


def test_a_wheel_is_tried_before_anything_is_released():
    assert JOBS["try"]["needs"] == "wheel"


def test_each_way_out_waits_for_the_trial():
    released = {name for name, job in JOBS.items() if job.get("needs") == "try"}
    assert released == {"publish", "attach", "container"}


def test_a_release_is_published_without_a_password():
    assert JOBS["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in WORKFLOW
