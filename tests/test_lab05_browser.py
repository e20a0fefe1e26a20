"""Lab 05 as a student has it: in JupyterLab, in a browser, with keyboard and mouse."""

import re
from pathlib import Path

import lab_browser
import pytest

LAB = Path(__file__).parent.parent / "labs" / "05_developmental_pruning.ipynb"

browser, opened, lab = lab_browser.browser, lab_browser.opened, lab_browser.lab


# A question, an answer, how many figures it covers, and what is said beneath them.
QUESTIONS = (
    ("When are there most of them", "after half of them", 1, r"Most after step \d+ of n = 600"),
    ("one of 160 output synapses", "nearly the same", 3, r"Accuracy in the end: [\d.]+ ± "),
    ("how many synapses each pixel has", "none of it", 1, r"this much of the gain: 5 %: -?\d+ %"),
    ("Search with Adam", "worse", 2, "only the search differs"),
    ("Grown on digits, retrained", "worse than random", 1, ""),
    ("Half of all kernels go", "which kernels go", 1, ""),
    ("Which childhood leaves", "noise", 1, ""),
    ("A tenth of the weights is kept", "no difference", 2, r"trained on as long: [\d.]+ ± "),
    ("Who loses more to it", "the whole network", 1, r"points more than the whole network"),
)


@pytest.mark.parametrize(("question", "choice", "figures", "words"), QUESTIONS)
def test_a_question_covers_what_was_measured(lab, question, choice, figures, words):
    lab.uncover(question, choice, figures, words)


def test_a_network_is_grown_and_pruned_while_one_looks(lab):
    lab.wait_text(".cplab-live", r"^n = 50 steps until growth has faded out, then down to 5 %: 66")
    lab.move_slider(".cplab-final", +1)
    lab.wait_text(".cplab-live", "then down to 20 %")
    assert max(lab.source("expected")["density"]) == pytest.approx(90, abs=0.2)
    lab.click("Grow and prune")
    words = lab.wait_text(".cplab-live", r"^at 20 %: [\d.]+ % right. From new weights", timeout=120)
    assert re.search(r"grown and pruned [\d.]+, random [\d.]+, same number a pixel [\d.]+ %", words)
    live = lab.source("live search")
    assert live["step"] == sorted(live["step"])
    assert min(live["density"]) <= 20 < max(live["density"])
    assert len(lab.source("pixels")["count"]) == 784


def test_a_search_under_way_is_stopped(lab):
    lab.move_slider(".cplab-gamma", -1)  # slower: there is time to stop it
    lab.click("Grow and prune")
    lab.wait_text(".cplab-live", "^step ")
    lab.click("Stop")
    lab.wait_text(".cplab-live", "^stopped: nothing is kept of it")


RINGS = "() => Bokeh.documents.map(d => d.get_model_by_name('chosen')?.data.x).filter(x => x)"


def test_the_slider_over_densities_moves_the_rings(lab):
    """The first of the two, which stands by itself; the other is under a question."""
    rings = lambda: [set(x) for x in lab.page.evaluate(RINGS)]  # noqa: E731
    before = rings()
    assert {5} in before
    assert {20} not in before
    slide = lab.find(".jupyter-widgets:has(> .cplab-slide)").nth(0)
    slide.locator(".noUi-handle").press("ArrowRight")
    lab.wait_for("the rings", rings, lambda now: {20} in now)
    words = r"^20 %: grown and pruned against random [+-][\d.]+ ± "
    lab.wait_for("the words", slide.inner_text, lambda text: re.search(words, text.strip(), re.M))


def test_the_slider_over_pruning_takes_kernels_out(lab):
    slide = lab.find(".jupyter-widgets:has(> .cplab-slide):has-text('kernels left')").last
    before = lab.source("left")["mean"]
    slide.locator(".noUi-handle").press("ArrowRight")
    lab.wait_for(
        "fewer kernels", lambda: lab.source("left")["mean"], lambda now: sum(now) < sum(before)
    )
    words = r"^\d+ kernels left: images "
    lab.wait_for("the words", slide.inner_text, lambda text: re.search(words, text.strip(), re.M))


def test_the_prediction_names_what_was_measured(lab):
    box = lab.find(".cplab-prediction:has-text('Known:')")
    for knob in box.locator(".noUi-handle").all():
        knob.press("ArrowRight")
    box.locator(".jupyter-button:text-is('Reveal')").click()
    lab.wait_for(
        "the truth",
        box.inner_text,
        lambda text: re.search(r"grown and pruned, 5 %: you [\d.]+, measured [\d.]+ ± ", text),
    )
