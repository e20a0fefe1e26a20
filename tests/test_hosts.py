"""What other machines are set up from: Binder, a container, Codespaces."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_postbuild_installs_and_says_what_could_not_be_fetched(tmp_path):
    """With programs that only say what they were asked for; without a network."""
    for name, ending in (("python", 0), ("cplab", 2)):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@"\nexit {ending}\n')
        program.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    script = ROOT / "binder" / "postBuild"
    assert os.access(script, os.X_OK)
    done = subprocess.run(
        ["bash", script],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    first, *fetched = done.stdout.splitlines()
    assert re.fullmatch(r"python -m pip install .*--no-deps \.", first)
    asked = [line for line in fetched if line.startswith("cplab")]
    assert asked == ["cplab data fetch mnist", "cplab data fetch cifar10"]
    failed = [line for line in fetched if line.startswith("postBuild: no")]
    assert [line.split()[2] for line in failed] == ["mnist", "cifar10"]


def test_the_container_installs_an_extra_that_there_is_and_opens_a_lab_that_there_is():
    [version] = re.findall(r"^FROM python:([\d.]+)", DOCKERFILE, re.M)
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert tuple(map(int, version.split("."))) >= tuple(map(int, oldest.split(".")))
    [extra] = re.findall(r"/opt/cplab\[(\w+)\]", DOCKERFILE)
    assert extra in PROJECT["optional-dependencies"]
    command = json.loads(re.search(r"^CMD (.+)$", DOCKERFILE, re.M)[1])
    [lab] = re.findall(r"cplab-labs/(\S+)$", command[-1])
    assert (ROOT / "labs" / lab).exists()
    assert not any(re.search("token|password|allow-root", word) for word in command)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".venv/", ".git", ".data/"} <= {*ignored}
    assert not {"cplab", "labs", "pyproject.toml", "README.md", "LICENSE"} & {*ignored}


def test_the_devcontainer_is_installed_by_make():
    settings = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert settings["postCreateCommand"].endswith("make install")
    assert re.search(r"^install:", (ROOT / "Makefile").read_text(), re.M)
    vscode = settings["customizations"]["vscode"]["settings"]
    assert vscode["python.defaultInterpreterPath"].endswith("/.venv/bin/python")
