"""The first minute: from `git clone` to a first line that grows in lab 00, in Chromium.

Home and caches are empty. Beside it stands what anybody has to wait for who opens a notebook: a
bare `uv pip install` of JupyterLab. What is downloaded is what Linux counts, of the whole machine.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
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
KERNEL = ".jp-Notebook-ExecutionIndicator[data-status=idle]"
LINE = "[data-is=large] path.thin"
CLOSED = ("--no-browser", "--LabApp.news_url=None", "--LabApp.extension_manager=readonly")


def opening(device: torch.device, dataset: str) -> Iterator[Row]:
    """Measure the first minute, and the same where all is installed."""
    with tempfile.TemporaryDirectory(prefix="cplab-opening-") as folder:
        plain, ours = Path(folder, "plain"), Path(folder, "ours")
        plain.mkdir()
        ours.mkdir()
        baseline = Measured(partial(install_jupyterlab, plain))
        first = Measured(partial(first_line, ours))
        again = seconds(partial(first_line, ours))
    whole = "clone to the first line, all caches empty / uv pip install of JupyterLab"
    yield make_row("opening", "s", [Pair(first.seconds, baseline.seconds)], whole)
    downloads = Pair(first.megabytes, baseline.megabytes)
    yield make_row("opening_bytes", "MB", [downloads], f"downloaded: {whole}")
    at_20 = Pair(first.on_slow_line, baseline.on_slow_line)
    yield make_row("opening_slow", "s", [at_20], f"computed for 20 Mbit/s: {whole}")
    yield make_row(
        "opening_again", "s", [Pair(again, baseline.seconds)], "make lab again / the same"
    )


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


def first_line(folder: Path) -> None:
    """Clone this repository into a folder, unless that is done, open lab 00, run its first cells,
    press Train, and wait for the first line in the figure."""
    if not (folder / "cplab").exists():
        clone = ["git", "clone", "--quiet", "--depth", "1", ROOT.as_uri(), str(folder / "cplab")]
        subprocess.run(clone, check=True)
    with opened_lab(folder) as page:
        press_train(page)
        page.wait_for_selector(LINE, state="attached")


@contextmanager
def opened_lab(folder: Path) -> Iterator[Any]:
    """A page of Chromium with lab 00, which `make lab` has opened in a clone in the folder."""
    from playwright.sync_api import sync_playwright

    log = folder / "lab.log"
    make = ["make", "lab", f"ARGS={' '.join(CLOSED)}"]
    with open(log, "w") as file:
        lab = subprocess.Popen(
            make,
            cwd=folder / "cplab",
            env=surroundings(folder),
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
            page = browser.new_page()
            page.set_default_timeout(1000 * PATIENCE)
            page.goto(address_in(log))
            yield page
            browser.close()
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
    """The address that JupyterLab prints, as soon as it does."""
    for _ in range(10 * PATIENCE):
        if found := re.search(r"http://127\S+token=\S+", log.read_text()):
            return found[0]
        time.sleep(0.1)
    raise TimeoutError(log.read_text())


def press_train(page: Any) -> None:
    """Run the first cells of lab 00, and press Train on its screen."""
    title = page.locator(".jp-Notebook .jp-RenderedMarkdown h1").first
    title.wait_for()
    page.locator(KERNEL).first.wait_for(state="attached")
    title.click()
    for _ in range(FIRST_CELLS):
        page.keyboard.press("Shift+Enter")
    page.locator("[data-is=pictures] canvas").first.wait_for()
    page.locator("[data-is=start]").first.click()
