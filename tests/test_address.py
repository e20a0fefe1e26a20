"""Where the repository lives is said once, and everything that says it follows."""

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import says

from cplab.errors import CplabError
from reproduction import address

ROOT = Path(__file__).parent.parent
SOMEWHERE = "https://github.com/somebody/some-lab"
HELD = {"torch", "numpy", "ipywidgets", "ipykernel", "torchvision", "pandas", "jupyterlab"}


@pytest.fixture
def copy(tmp_path):
    """What holds the address, in a folder of its own."""
    for name in ("pyproject.toml", "README.md", "CITATION.cff"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    opened = shutil.ignore_patterns(".*")  # what JupyterLab leaves where labs were opened
    shutil.copytree(ROOT / "labs", tmp_path / "labs", ignore=opened)
    address.write(None, tmp_path)
    return tmp_path


def first_code(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return "".join(next(cell for cell in cells if cell["cell_type"] == "code")["source"])


def test_everything_says_what_pyproject_says():
    wrong = [p.name for p, text in address.texts(address.known()).items() if text != p.read_text()]
    assert not wrong, "run: python -m reproduction address"


def test_with_no_address_nothing_claims_one(copy):
    files = [copy / "README.md", copy / "CITATION.cff", *copy.glob("labs/*.ipynb")]
    assert len(files) > 7
    for path in files:
        text = path.read_text("utf-8")
        assert not re.search(
            r"mybinder\.org/v2|colab\.research|github\.com/[\w-]+/[\w-]*cplab", text
        )
        assert (
            "pip install --quiet --no-deps cplab" not in text
        )  # whoever takes the name on an index


def test_an_address_comes_to_all_places_and_goes_again(copy):
    before = {path: path.read_bytes() for path in copy.rglob("*.*")}
    changed = address.write(SOMEWHERE, copy)
    labs = sorted(copy.glob("labs/*.ipynb"))
    assert {*changed} == {
        *labs,
        *(copy / n for n in ("pyproject.toml", "README.md", "CITATION.cff")),
    }
    assert address.known(copy) == SOMEWHERE
    wheel = f"{SOMEWHERE}/releases/download/v0.1.0/cplab-0.1.0-py3-none-any.whl"
    readme = (copy / "README.md").read_text("utf-8")
    assert readme.count(wheel) == 2
    assert "https://mybinder.org/v2/gh/somebody/some-lab/" in readme
    for path in labs:
        assert f" {wheel} " in first_code(path)
        assert f"github/somebody/some-lab/blob/HEAD/labs/{path.name}" in readme
    assert not address.write(SOMEWHERE, copy)
    address.write(None, copy)
    assert {path: path.read_bytes() for path in copy.rglob("*.*")} == before


def test_a_first_cell_moves_nothing_that_colab_has(copy):
    for known in (None, SOMEWHERE):
        address.write(known, copy)
        for path in copy.glob("labs/*.ipynb"):
            [line] = re.findall(r"^    %pip install (.+)$", first_code(path), re.M)
            options, words = re.findall(r"--[\w-]+", line), line.split()
            assert "--no-deps" in options
            assert not {"--upgrade", "--force-reinstall"} & {*options}
            assert not HELD & {re.split(r"[=<>\[]", word)[0] for word in words}


@pytest.mark.parametrize(
    "wrong", ["", "somewhere", "http://github.com/a/b", f"{SOMEWHERE}/x", 'https://github.com/a/"b']
)
def test_what_is_no_address_is_refused_and_nothing_is_written(copy, wrong):
    before = (copy / "pyproject.toml").read_text()
    with pytest.raises(CplabError) as error:
        address.write(wrong, copy)
    says(error, "https://github.com/OWNER/NAME")
    assert (copy / "pyproject.toml").read_text() == before
