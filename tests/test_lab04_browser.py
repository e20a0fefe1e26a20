"""Lab 04 as a student has it: in JupyterLab, in a browser, with keyboard and mouse."""

from pathlib import Path

import lab_browser
import pytest

LAB = Path(__file__).parent.parent / "labs" / "04_fisher_trace.ipynb"

browser, opened, lab = lab_browser.browser, lab_browser.opened, lab_browser.lab


# A question, an answer, how many figures it covers, and what is said beneath them.
QUESTIONS = (
    ("5 % of the trace", "about 100", 1, r"5 % takes about [\d,]+ draws"),
    ("over a life without a deficit", "it stays", 2, r"Highest after epoch [\d.]+ .*is left: "),
    ("whose trace is the higher", "the flipped net's", 2, r"trace in the end\s+accuracy"),
    ("follow the trace", "no", 2, r"no deficit\s+2\s+-?[01]\.\d\d ± "),
    ("window of blur cost most", "while the trace rises", 1, r"r = -?[01]\.\d\d \(95 %"),
    ("lower later than at birth", "the same: it falls", 1, ""),
    ("has a macaque most", "at birth", 2, r"about 40% lost from 8 months"),
    ("do they tell the same", "other shares, another total", 0, r"farthest apart"),
    ("how does the shift change", "it grows", 2, r"right after, -?[\d.]+"),
    ("Which row saw blur", "I cannot tell", 0, r"A is .*; B is .*; C is "),
    ("the course network's trace", "it stays", 2, r"Blur against equal training"),
    ("these four consolidates", "all of them", 2, r"500 images, width 4: [01]\.\d\d of its"),
    ("in the flatter minimum", "yes: flat is good", 2, r"same life, other seed\s+-?[01]\.\d\d"),
    ("with Adam as well", "no", 2, r"Adam\s+blur"),
)


@pytest.mark.parametrize(("question", "choice", "figures", "words"), QUESTIONS)
def test_a_question_covers_what_was_measured(lab, question, choice, figures, words):
    lab.uncover(question, choice, figures, words)


def test_the_slider_over_the_end_of_the_deficit_moves_the_bars(lab):
    box = lab.answer("Long after its blur", "in the middle")
    lab.wait_for("the bars", lambda: lab.source("noise blur"))
    before = {tag: lab.source(f"{tag} blur")["mean"] for tag in ("noise", "trace")}
    assert lab.source("noise no deficit")["mean"] == before["noise"]  # nobody had a deficit
    assert sum(before["noise"]) == pytest.approx(1)
    lab.move_slider(".cplab-slide", +1)
    lab.wait_text(".cplab-slide-words", "^2$")
    for tag, bars in before.items():
        now = lambda tag=tag: lab.source(f"{tag} blur")["mean"]  # noqa: E731
        lab.wait_for("other bars", now, lambda means, bars=bars: means != bars)
    assert "on average" in box.inner_text()


def test_the_formula_is_fitted_and_its_parameters_are_said(lab):
    lab.click("Fit")
    lab.wait_text(".cplab-fit", r"(?s)a = .*b = .*c = .*4 points, 3 parameters|does not converge")


def test_a_run_is_trained_while_one_looks(lab):
    lab.wait_text(".cplab-live", r"^Blur from epoch 0 to 1, seed 2: 4 epochs, about \d+ s")
    lab.click("Train")
    lab.wait_text(".cplab-live", r"^live, seed 2: [\d.]+ %", timeout=200)
    live = lab.source("live trace")
    assert live["epoch"] == [1, 2, 3, 4]
    assert all(value > 0 for value in live["mean"])
