"""What a person does: gives commands, presses Train, answers, hands in. Nothing is made by hand
that a command, a page or a lab writes.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock


def command(folder, name, *words):
    """Give a command in a folder, with the programs of this Python, and return what it prints."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [name, *words],
        cwd=folder,
        env=os.environ | {"PATH": programs},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def site(worker_id, tmp_path_factory):
    """The folder of the site's pages with lab 00. They are written once for all workers."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent
    with FileLock(folder / "pages.lock"):
        if not (folder / "pages" / "reference.html").exists():
            command(folder, "cplab", "site", "pages", "00_")
    return folder / "pages"


@pytest.fixture
def answers(tmp_path):
    """The teacher's folder, which is empty."""
    folder = tmp_path / "answers"
    folder.mkdir()
    return folder


class Said(NamedTuple):
    """What a page says that is handed in, and the file that was saved."""

    answers: int
    guesses: int
    checks: int
    file: Path


def train(place):
    """Choose the fewest digits on the first screen of a page or notebook, which takes a third of
    the time; press Train, and wait until all have grown up."""
    screen = place.locator("cplab-nursery").first
    screen.locator("canvas").first.wait_for()
    screen.locator("[data-is=more] > summary").click()
    screen.locator("select[name=digits]").select_option("100")
    screen.locator("[data-is=start]").click()
    screen.get_by_text(re.compile(r"took .* s")).wait_for()
    return screen.locator("[data-is=head]").inner_text()


def answer(place, choice=0):
    """Answer what is not answered yet in a page or notebook.

    Arguments: choice, which answer of each question; of fewer ones it goes round. Sliders are moved
        by as many steps and one more.
    """
    for question in place.locator("cplab-question").all():
        reveal = question.get_by_role("button", name="Reveal")
        if reveal.is_visible():
            radios = question.get_by_role("radio")
            radios.nth(choice % radios.count()).check()
            reveal.click()
    for prediction in place.locator("cplab-prediction").all():
        reveal = prediction.get_by_role("button", name="Reveal")
        if reveal.is_visible():
            for slider in prediction.get_by_role("slider").all():
                for _ in range(choice + 1):
                    slider.press("ArrowRight")
            reveal.click()


TO_THE_TOP = "jupyterapp.shell.currentWidget.content.activeCellIndex = 0"
SHIFT_ENTER = """async () => {
  await jupyterapp.commands.execute("notebook:run-cell-and-select-next");
}"""


def run_all(page, notebook, after_each=lambda: None):
    """Run the cells of a lab in JupyterLab one by one until it can be handed in, and answer what
    they ask. A click on an answer selects its cell, which then runs once more. after_each is done
    after each cell."""
    page.evaluate(TO_THE_TOP)
    while not notebook.locator("cplab-hand-in").count():
        page.evaluate(SHIFT_ENTER)
        answer(notebook)
        after_each()


def hand_in(page, place, name, folder):
    """Write a name, press Download, and keep the file in a folder."""
    box = place.locator("cplab-hand-in")
    box.get_by_label("Name").fill(name)
    counts = re.findall(r"(\d+) (?:answer|guess|check)", box.inner_text())
    with page.expect_download() as download:
        box.get_by_role("button", name="Download").click()
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    return Said(*map(int, counts), file)
