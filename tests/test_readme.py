"""What the README says and shows holds."""

import importlib.util
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cplab import cli, results

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = "\n".join(path.read_text() for path in [ROOT / "README.md", ROOT / "docs/reference.md"])
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGES, re.S | re.M)
LINES = [line for language, text in BLOCKS if not language for line in text.splitlines()]
COMMANDS = [line.partition(" #")[0].strip() for line in LINES if line.strip()]


def test_it_is_short():
    assert len(README.split()) <= 900


def test_its_numbers_are_those_of_the_shipped_results():
    found = importlib.util.spec_from_file_location("page_numbers", ROOT / "docs/page_numbers.py")
    script = importlib.util.module_from_spec(found)
    found.loader.exec_module(script)
    for page in script.PAGES:  # else: python docs/page_numbers.py
        assert script.written(page) == script.numbers(page)


@pytest.mark.timeout(500)
def test_its_python_runs_and_trains_nothing_long(tmp_path):
    script = tmp_path / "readme.py"
    script.write_text("\n".join(re.findall(r"^```python\n(.*?)^```", README, re.S | re.M)))
    runpy.run_path(str(script))
    trained = [found.spec for found in results.every_result("Run", "live")]
    assert trained
    assert {spec.profile for spec in trained} == {"tiny"}


@pytest.mark.parametrize("line", COMMANDS)
def test_its_commands_can_be_given(line):
    program, *words = shlex.split(line)
    if program == "cplab":
        assert callable(cli.parse_words(words))
    elif program == "python":
        plain = words[: next((i for i, w in enumerate(words) if w[:2] == "--"), len(words))]
        subprocess.run([sys.executable, *plain, "--help"], cwd=ROOT, check=True, timeout=100)
    elif program == "make" and shutil.which("make"):
        subprocess.run(["make", "--dry-run", *words], cwd=ROOT, check=True, timeout=100)
    else:
        assert program in ("make", "conda", "pip", "git", "docker")


def test_its_links_lead_somewhere():
    for page in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", page.read_text()):
            assert (page.parent / link).exists() or (ROOT / link).exists(), (page.name, link)
