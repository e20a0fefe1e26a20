"""The files that set a machine up: they agree with each other, and say what is missing."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml

from cplab.errors import BROUGHT

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments):
    """The result of make, free of the settings of a make that may have started these tests."""
    own = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "VENV", "LAB", "ARGS", "UV"}
    environment = {key: value for key, value in os.environ.items() if key not in own}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )


def split(requirement):
    """`"numpy >=1.26"` as `("numpy", ">=1.26")`."""
    name, bound = re.fullmatch(r"([\w-]+)\s*(.*)", requirement).groups()
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


def test_the_commands_for_conda_name_the_environment_that_there_is():
    reference = (ROOT / "docs" / "reference.md").read_text()
    name = yaml.safe_load((ROOT / "environment.yml").read_text())["name"]
    assert f"conda env create -f environment.yml\nconda activate {name}\n" in reference


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
    for library, extra in BROUGHT.items():
        assert library in brought(extra)
        assert library not in {split(one)[0] for one in PROJECT["dependencies"]}


def test_no_dependency_has_an_upper_bound():
    for name, bound in [
        *map(split, PROJECT["dependencies"]),
        *chain(*(brought(one).items() for one in EXTRAS)),
    ]:
        assert re.fullmatch(r">=[\d.]+", bound), name


def test_citation_has_what_the_format_requires_and_names_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"]
    assert citation["title"] == PROJECT["name"]
    assert citation["authors"] == [{"name": author["name"]} for author in PROJECT["authors"]]
    assert citation["version"] == PROJECT["version"]
    assert " AND ".join(citation["license"]) == PROJECT["license"]
    for name in PROJECT["license-files"]:
        assert (ROOT / name).exists()
    [paper] = citation["references"]
    assert paper["title"] == "Critical Learning Periods in Deep Networks"
    assert len(paper["authors"]) == 3


@needs_make
def test_make_lab_opens_the_first_lab_on_this_machine_alone():
    labs = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("labs/*.ipynb"))
    opening = make("--dry-run", "lab").stdout.splitlines()[-1]
    assert " --ServerApp.ip=127.0.0.1 " in opening
    assert f"--LabApp.default_url=/lab/tree/{labs[0]}" in opening.split()
    assert not re.search("token|password", opening)
    assert ("--allow-root" in opening) == (os.getuid() == 0)


@needs_make
def test_a_second_make_installs_nothing(tmp_path):
    for stamp in (".installed", ".installed-test"):
        (tmp_path / stamp).touch()
    assert "pip install" not in make("--dry-run", "test", f"VENV={tmp_path}").stdout
    old = (ROOT / "pyproject.toml").stat().st_mtime - 1
    os.utime(tmp_path / ".installed", (old, old))
    again = make("--dry-run", "test", f"VENV={tmp_path}").stdout
    assert again.count("pip install --editable") == 2


@needs_make
@pytest.mark.parametrize("uv", ["works", "reaches no builds", "fails", "comes by pip", "unwanted"])
def test_uv_takes_the_build_of_torch_that_fits_and_else_pip_installs(tmp_path, uv):
    """With programs that only say what they were asked for."""
    said, venv = tmp_path / "said", tmp_path / "venv"
    place = venv / "bin" / "uv" if uv == "comes by pip" else tmp_path / "uv"
    fails = {"reaches no builds": "exit 1", "fails": 'case "$*" in *dry-run*) ;; *) exit 1;; esac'}
    tell = f'echo {{}} "$@" >> "{said}"\n'
    (venv / "bin").mkdir(parents=True)
    script = f"#!/bin/sh\n{tell.format('uv')}{fails.get(uv, '')}\n"
    (tmp_path / "made").write_text(script)
    (tmp_path / "made").chmod(0o755)
    if uv != "comes by pip":
        shutil.copy(tmp_path / "made", place)
    python = venv / "bin" / "python"
    brings = f'case "$*" in *uv) cp "{tmp_path / "made"}" "{venv / "bin" / "uv"}";; esac\n'
    python.write_text(f"#!/bin/sh\n{tell.format('python')}{brings}")
    python.chmod(0o755)
    system = tmp_path / "python3"
    system.write_text("#!/bin/sh\n")
    system.chmod(0o755)
    given = f"UV={'' if uv == 'unwanted' else place}"
    done = make("install", f"PYTHON={system}", f"VENV={venv}", given)
    assert done.returncode == 0, done.stderr
    asked = said.read_text().splitlines()
    by_pip = "python -m pip install --editable .[lab]"
    real = f"uv pip install --python {python} --torch-backend auto --editable .[lab]"
    assert (asked[-1] == real) == (uv in ("works", "comes by pip"))
    assert (asked[-1] == by_pip) == (uv not in ("works", "comes by pip"))
    assert ("pip takes the usual build of torch" in done.stdout) == (asked[-1] == by_pip)
    assert ("python -m pip install --quiet uv" in asked) == (uv == "comes by pip")


@needs_make
@pytest.mark.parametrize("kind", ["older", "missing"])
def test_a_python_that_will_not_do_is_named_in_one_line(tmp_path, kind):
    python = tmp_path / "python3.8"
    if kind == "older":
        pretend = "import sys; sys.version_info = (3, 8, 20); exec(sys.argv[1])"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{pretend}" "$2"\n')
        python.chmod(0o755)
    result = make("lab", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}")
    assert result.returncode != 0
    line, failed = result.stderr.splitlines()
    assert "Python 3.11 or newer" in line
    assert str(python) in line
    assert failed.startswith("make")
    assert not (tmp_path / "venv").exists()
