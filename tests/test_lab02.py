"""Lab 02: accuracies by image; and its first screen, as the lab itself makes it, on a page."""

import re

import nbformat
import pytest
from browser import FORGET, axe_finds, plain_page
from conftest import ROOT
from exported import FITS, PHONE, answer, darken, export, output_of
from playwright.sync_api import expect

from cplab import Run, quantities
from cplab.labs import lab02

EARLY = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)
LAPTOP = {"width": 1366, "height": 625}


def test_the_mean_accuracy_by_image_is_that_of_the_network():
    """Of the two seeds that were measured, over the last five epochs, up to some images."""
    by_seed = quantities.accuracy(EARLY).by_seed
    by_image = lab02.image_accuracies(EARLY).deprived
    assert by_image.mean(1) == pytest.approx([by_seed[5], by_seed[6]], abs=0.1)


# Its first screen ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab():
    """The names of the lab after its first question, and the question."""
    [path] = ROOT.glob("labs/02_*.ipynb")
    space = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        if "lab.question(" in cell.source:
            before, _, asked = cell.source.partition("lab.question(")
            exec(before, space)
            return space, eval(f"lab.question({asked}", space)
        exec(cell.source, space)
    raise AssertionError("the lab asks nothing")


@pytest.fixture(scope="module")
def file(lab, tmp_path_factory):
    _, question = lab
    return export(tmp_path_factory.mktemp("lab02") / "page.html", [output_of(question)])


@pytest.fixture(scope="module")
def page(chromium, file):
    with plain_page(chromium, viewport=LAPTOP) as page:
        page.goto(file.as_uri())
        yield page


@pytest.fixture
def asked(page):
    """The question, which nobody has answered, below the line of life."""
    page.evaluate(FORGET)
    page.reload()
    page.wait_for_function("globalThis.Bokeh?.documents?.length")
    return page.locator("cplab-question")


TELLS = re.compile(r"points|level|±")  # what only those read who have answered


def head(asked):
    """The sentence above the line of life."""
    return asked.locator("[data-is=head]")


def answer_and_watch(asked):
    """Answer, and wait until the lives have been shown as they grew."""
    answer(asked, 0)
    expect(head(asked)).to_contain_text("points of harm")


def test_before_an_answer_the_line_of_life_stands_there_alone(asked):
    lanes = asked.locator("[data-is=line]")
    assert [lane.inner_text().split() for lane in lanes.all()] == [
        ["blur", "16", "clear", "60"],
        ["clear", "24", "blur", "16", "clear", "60"],
    ]
    assert asked.get_by_role("slider").count() == 0
    assert not TELLS.search(asked.inner_text())
    assert not asked.locator("[data-is=life]").is_visible()


def test_show_waits_for_an_answer_and_then_tells_the_harm_that_python_has(asked, lab):
    asked.get_by_role("button", name="Show").click()
    assert "until you have answered" in asked.inner_text()
    assert not TELLS.search(asked.inner_text())
    asked.get_by_role("radio").first.check()
    space, _ = lab
    early, late = (f"{space['harm'](space[name])}" for name in ("early", "late"))
    expect(head(asked)).to_have_text(f"From birth: {early} points of harm; at epoch 24: {late}")
    assert asked.locator("[data-is=life]").is_visible()
    assert asked.locator("[data-is=life]").get_attribute("aria-label").endswith(late)


def test_a_question_that_is_asked_again_covers_its_screen(asked):
    answer_and_watch(asked)
    asked.get_by_role("button", name="answer again").click()
    assert not TELLS.search(asked.inner_text())
    assert not asked.locator("[data-is=life]").is_visible()


def test_after_a_reload_what_was_seen_stays_in_sight(asked):
    answer_and_watch(asked)
    with_answer = head(asked).inner_text()
    asked.page.reload()
    expect(head(asked)).to_have_text(with_answer)


@pytest.mark.parametrize("viewport", [LAPTOP, PHONE], ids=["a dark laptop", "a phone"])
def test_it_fits_and_axe_finds_nothing_serious(viewport, asked):
    page = asked.page
    page.set_viewport_size(viewport)
    if viewport == LAPTOP:
        darken(page)
    for act in (lambda _: None, answer_and_watch):
        act(asked)
        page.wait_for_function(FITS, arg=viewport["width"])
        findings = axe_finds(page, "cplab-question")
        assert not [finding for finding in findings if finding[0] in ("serious", "critical")]
    page.set_viewport_size(LAPTOP)


def test_without_scripts_it_tells_nothing_until_it_is_unfolded(chromium, file):
    with plain_page(chromium, java_script_enabled=False) as page:
        page.goto(file.as_uri())
        asked = page.locator("cplab-question")
        assert not TELLS.search(asked.inner_text())
        asked.locator("summary").first.click()
        assert "points behind its twin" in asked.inner_text()
        assert asked.locator("img").first.is_visible()
