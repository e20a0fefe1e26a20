"""Lab 06 as a student has it: in JupyterLab, in a browser, with keyboard and mouse."""

from pathlib import Path

import lab_browser
import pytest

LAB = Path(__file__).parent.parent / "labs" / "06_depth_and_optimisers.ipynb"

browser, opened, lab = lab_browser.browser, lab_browser.opened, lab_browser.lab


QUESTIONS = (
    (
        "From n = 1 to n = 3",
        "they stay",
        r"(?s)equal training, n = 2 minus n = 1: -?[\d.]+ ± [\d.]+ \(2 seeds\); n = 3 minus n = 2: "
        r".+against newborn, n = 2 minus n = 1: -?[\d.]+ ± ",
    ),
    ("Which of the three ways", "Adam", r"Adam: -?[\d.]+ ± [\d.]+ \(2 seeds\) points against"),
    ("Does early blur cost it less", "more", ""),
)


@pytest.mark.parametrize(("question", "choice", "words"), QUESTIONS)
def test_a_question_covers_what_was_measured(lab, question, choice, words):
    lab.uncover(question, choice, 1, words)


def test_the_other_control_gives_other_costs(lab):
    box = lab.find(".cplab-prediction:has-text('Does early blur cost it less')")
    before = lab.source("band ResNet-18")["mean"]
    box.get_by_text("against the newborn", exact=True).click()
    lab.wait_for(
        "other costs",
        lambda: lab.page.evaluate(
            "() => Bokeh.documents.map(d => d.get_model_by_name('band ResNet-18')?.data.mean)"
        ),
        lambda all_of: any(mean and list(mean) != before for mean in all_of),
    )


def test_the_slider_over_depth_changes_the_curves(lab):
    slide = lab.find(".jupyter-widgets:has(> .cplab-slide)").first
    before = {what: lab.source(f"band {what}")["mean"] for what in ("blur", "none")}
    slide.locator(".noUi-handle").press("ArrowRight")
    lab.wait_text(".cplab-slide-words", r"^n = 2: blur until 2 costs -?[\d.]+ ± ")
    for what, mean in before.items():
        now = lambda what=what: lab.source(f"band {what}")["mean"]  # noqa: E731
        lab.wait_for("another curve", now, lambda other, mean=mean: other != mean)


def test_another_network_is_trained_live(lab):
    lab.click("Train it again")
    lab.wait_text(".cplab-estimate", r"^live, seed 0: [\d.]+ %", timeout=120)
    assert "model='depth1" in lab.text(".cplab-code")
