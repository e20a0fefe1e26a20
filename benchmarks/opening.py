"""The first minute: from `git clone` to a first line that grows in lab 00, in Chromium.

Home and caches are empty. Beside it stands what anybody has to wait for who opens a notebook: a
bare `uv pip install` of JupyterLab. What is downloaded is what Linux counts, of the whole machine.
torch is left out: it comes while a student reads, and the first screen does without it.

Where all is installed, bare JupyterLab stands beside it, from its start to the first output.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import Pair, Row, make_row, seconds

ROOT = Path(__file__).resolve().parents[1]
SLOW_LINE = 20e6 / 8  # bytes a second
PATIENCE = 600  # seconds
FIRST_CELLS = 5  # from the top of lab 00, to its screen
# What is run before that may be lost
KERNEL = """() => {
  const kernel = globalThis.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""
TITLE = ".jp-Notebook .jp-RenderedMarkdown h1"
SCREEN = "[data-is=pictures] canvas"
LINE = "[data-is=large] path.thin"
CLOSED = (
    "--no-browser",
    "--LabApp.news_url=None",
    "--LabApp.extension_manager=readonly",
    "--LabApp.expose_app_in_browser=True",  # which has `jupyterapp`
)
BARE = """{"cells": [
  {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Bare"},
  {"cell_type": "code", "id": "b", "metadata": {}, "source": "print('here')", "outputs": [],
   "execution_count": null}],
 "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
 "nbformat": 4, "nbformat_minor": 5}"""

Marks = dict[str, float]  # seconds from the start until something is there, in this order


def opening(device: torch.device, dataset: str) -> Iterator[Row]:
    """Measure the first minute, and then, where all is installed, its parts."""
    with tempfile.TemporaryDirectory(prefix="cplab-opening-") as folder, open_page() as page:
        plain, ours = Path(folder, "plain"), Path(folder, "ours")
        plain.mkdir()
        ours.mkdir()
        baseline = Measured(partial(install_jupyterlab, plain))
        first = Measured(partial(first_line, ours, page))
        first_output(plain, page)  # which compiles JupyterLab
        bare = first_output(plain, page)
        again = first_line(ours, page)
    whole = "clone to the first line, all caches empty / uv pip install of JupyterLab"
    yield make_row("opening", "s", [Pair(first.seconds, baseline.seconds)], whole)
    downloads = Pair(first.megabytes, baseline.megabytes)
    yield make_row("opening_bytes", "MB", [downloads], f"downloaded: {whole}")
    at_20 = Pair(first.on_slow_line, baseline.on_slow_line)
    yield make_row("opening_slow", "s", [at_20], f"computed for 20 Mbit/s: {whole}")
    for until, ours_at in again.items():
        pair = Pair(ours_at, bare.get(until, bare["an output"]))
        words = f"all is installed, from the start to {until} / the same of bare JupyterLab"
        yield make_row(f"again_{until.split()[-1]}", "s", [pair], words)


class Measured:
    """The seconds of some work, and the megabytes that the machine received meanwhile.

    `on_slow_line` has the seconds that it would take with 20 Mbit/s, if all that was downloaded
    came before anything else was done.
    """

    def __init__(self, work: partial) -> None:
        before = received()
        self.seconds = seconds(work)
        self.megabytes = (received() - before) / 1e6
        self.on_slow_line = self.seconds + 1e6 * self.megabytes / SLOW_LINE


def received() -> int:
    """The bytes that this machine has received from others, as Linux counts them."""
    lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    counts = [line.replace(":", " ").split() for line in lines]
    return sum(int(count[1]) for count in counts if count[0] != "lo")


def surroundings(home: Path) -> dict[str, str]:
    """The environment variables of somebody who has nothing of cplab yet, and an empty home."""
    ours = ("CPLAB_", "JUPYTER", "IPYTHON", "XDG_", "UV_", "VIRTUAL_ENV", "PYTHON")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    return kept | {"HOME": str(home)}


def install_jupyterlab(folder: Path) -> None:
    """Install JupyterLab and nothing else into an environment of its own, with uv."""
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    environment = surroundings(folder)
    python = str(folder / "env/bin/python")
    for words in (
        ["venv", str(folder / "env")],
        ["pip", "install", "--python", python, "jupyterlab"],
    ):
        subprocess.run([uv, *words], env=environment, capture_output=True, check=True)


def first_line(folder: Path, page: Any) -> Marks:
    """Clone this repository into a folder, unless that is done, open lab 00 with its start.py, run
    its first cells, press Train, and wait for the first line in the figure."""
    began = time.monotonic()
    clone = folder / "cplab"
    if not clone.exists():
        words = ["git", "clone", "--quiet", "--depth", "1", ROOT.as_uri(), str(clone)]
        subprocess.run(words, check=True)
    with opened(folder, clone, ["python3", "start.py", "--no-torch", "--", *CLOSED]) as address:
        marks = open_notebook(page, address, began)
        for _ in range(FIRST_CELLS):
            page.keyboard.press("Shift+Enter")
        page.locator(SCREEN).first.wait_for()
        marks["an output"] = time.monotonic() - began
        page.locator("[data-is=start]").first.click()
        page.wait_for_selector(LINE, state="attached")
        return marks | {"a line": time.monotonic() - began}


def first_output(folder: Path, page: Any) -> Marks:
    """Open a notebook in bare JupyterLab, run its cells, and wait for the first output."""
    began = time.monotonic()
    (folder / "bare.ipynb").write_text(BARE)
    words = [str(folder / "env/bin/python"), "-m", "jupyterlab", "--allow-root", *CLOSED]
    with opened(folder, folder, [*words, "--LabApp.default_url=/lab/tree/bare.ipynb"]) as address:
        marks = open_notebook(page, address, began)
        for _ in range(2):
            page.keyboard.press("Shift+Enter")
        page.locator(".jp-OutputArea-output").first.wait_for()
        return marks | {"an output": time.monotonic() - began}


def open_notebook(page: Any, address: str, began: float) -> Marks:
    """Open the notebook at an address, wait for its kernel, and click its title."""
    marks = {"an address": time.monotonic() - began}
    page.goto(address)
    title = page.locator(TITLE).first
    title.wait_for()
    marks["a notebook"] = time.monotonic() - began
    page.wait_for_function(KERNEL)
    marks["a kernel"] = time.monotonic() - began
    title.click()
    return marks


@contextmanager
def open_page() -> Iterator[Any]:
    """A page of Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        yield page
        browser.close()


@contextmanager
def opened(home: Path, folder: Path, words: Sequence[str]) -> Iterator[str]:
    """The address of JupyterLab, which a command has started in a folder, with an empty home."""
    log = home / "lab.log"
    with open(log, "w") as file:
        lab = subprocess.Popen(
            words,
            cwd=folder,
            env=surroundings(home),
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield address_in(log)
    finally:
        end_all(lab)


def end_all(process: subprocess.Popen) -> None:
    """End a process and all of its group, and wait until they are gone."""
    with suppress(ProcessLookupError):
        while True:
            os.killpg(process.pid, signal.SIGTERM)
            process.poll()  # which takes note of its end
            time.sleep(1)


def address_in(log: Path) -> str:
    """The address that JupyterLab prints, as soon as it answers there."""
    for _ in range(100 * PATIENCE):
        if found := re.search(r"paste one of these URLs:\s+(\S+)\s", log.read_text()):
            return found[1]
        time.sleep(0.01)
    raise TimeoutError(log.read_text())
