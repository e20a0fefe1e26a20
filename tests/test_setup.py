"""What sets a machine up: the files agree with each other, and say what is missing."""

import ast
import re
import shlex
import sys
import tomllib

import pytest
import yaml
from conftest import ROOT
from packaging.requirements import Requirement

from cplab import teach
from cplab.base import errors

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def test_the_layout_of_javascript_is_checked_by_one_version():
    versions = set()
    for name in ("Makefile", ".pre-commit-config.yaml", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text()
        versions |= {*re.findall(r"(?:PRETTIER := |prettier@)(\d[\d.]*\d)", text)}
    assert len(versions) == 1


def asked(lines):
    """What requirements ask for, by name, with bounds; of an extra of the package, what comes."""
    bounds = {}
    for requirement in map(Requirement, lines):
        if requirement.name == "cplab":
            for extra in requirement.extras:
                bounds |= asked(EXTRAS.get(extra, ()))
        else:
            bounds[requirement.name] = requirement.specifier
    return bounds


REQUIRED = asked(PROJECT["dependencies"])


@pytest.mark.parametrize("path", ["environment.yml", "binder/environment.yml"])
def test_conda_environments_list_what_pyproject_lists(path):
    text = (ROOT / path).read_text()
    text = text.replace("pytorch-cpu", "torch").replace("matplotlib-base", "matplotlib")
    listed = yaml.safe_load(text)["dependencies"]
    libraries = [line for line in listed if not re.match("python|pip$", line)]
    assert asked(libraries) == REQUIRED | asked(EXTRAS["lab"])


# psutil comes with Jupyter; without it something else is done
OPTIONAL = {"google", "psutil"}


def imported_by(path):
    """The libraries that a file of Python imports, as they are called when they are installed."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
    libraries = {name.partition(".")[0] for name in names}
    libraries -= {*sys.stdlib_module_names, *OPTIONAL, "cplab"}
    return {"pillow" if library == "PIL" else library.lower() for library in libraries}


def test_the_package_imports_what_it_requires_and_nothing_that_no_extra_brings():
    imported = set()
    for path in ROOT.glob("cplab/**/*.py"):
        imported |= imported_by(path)
    assert imported >= {*REQUIRED}
    assert imported <= {*REQUIRED, *asked(["cplab[lab,cluster,site]"])}


def test_a_remedy_is_a_line_that_installs_this_clone_with_this_python():
    python, *words = shlex.split(errors.to_install("train"))
    assert python == sys.executable
    assert words == ["-m", "pip", "install", "-e", f"{ROOT}[train]"]


def test_an_error_names_an_extra_that_brings_the_library():
    for library, extra in errors.EXTRAS.items():
        assert library in asked(EXTRAS[extra])
        assert library not in REQUIRED


def test_the_container_names_what_there_is():
    docker = (ROOT / "Dockerfile").read_text()
    assert re.search(r"/opt/cplab\[(\w+)\]", docker)[1] in EXTRAS
    assert f"cplab-labs/{teach.labs()[0].name}" in docker
