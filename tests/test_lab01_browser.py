"""Lab 01 as a student has it: in JupyterLab, in a browser, with keyboard and mouse."""

import re
from pathlib import Path

import lab_browser
import pytest

LAB = Path(__file__).parent.parent / "labs" / "01_kitten_analogy.ipynb"

browser, opened, lab = lab_browser.browser, lab_browser.opened, lab_browser.lab


def answer(lab, question, choice):
    """Answer a covered question and reveal what is under it; returns the box as a locator."""
    box = lab.find(f".cplab-prediction:has-text({question!r})")
    assert "Covered until you have answered" in box.inner_text()
    reveal = box.locator(".jupyter-button:text-is('Reveal')")
    assert reveal.is_disabled()
    box.get_by_text(choice, exact=True).click()
    reveal.click()
    lab.wait_for(f"what is under {question!r}", box.inner_text, lambda t: "You said: " in t)
    assert f"You said: {choice}" in box.inner_text()
    return box


def shows(lab, box, pattern):
    return lab.wait_for(pattern, box.inner_text, lambda text: re.search(pattern, text))


def canvases(lab, box, count):
    lab.wait_for("its figures", box.locator("canvas").count, lambda found: found >= count)


def test_the_kittens_acuity_is_covered_and_then_shown_with_its_sources(lab):
    box = answer(lab, "to day 60", "about 2.5")
    text = shows(lab, box, "Printed: 4–5 cycles/degree")
    assert "Mitchell, Cynader & Movshon 1977" in text
    assert "Smith & Holdefer 1985" in text
    canvases(lab, box, 2)
    assert "declines about exponentially with the length of closure" in lab.source("words")["text"]


def test_the_grown_cats_eye_is_told_in_words(lab):
    box = answer(lab, "of a grown cat", "neither")
    assert "the eye remains blind" in shows(lab, box, "Closed in the adult")


def test_a_slider_moves_the_curve_and_fit_finds_it_with_an_interval(lab):
    box = answer(lab, "5 points, 2 parameters", "within 5 %")
    canvases(lab, box, 2)
    before = lab.source("curve")["mean"]
    assert lab.move_slider("tau", +5) > 65
    moved = lab.wait_for("the curve", lambda: lab.source("curve"), lambda c: c["mean"] != before)
    shows(lab, box, "squared residuals")
    box.locator(".jupyter-button:text-is('Fit')").click()
    text = shows(lab, box, "5 points, 2 parameters; R² = 0.9")
    assert re.search(r"tau = 136 ± 88", text)
    found = lab.wait_for("the fit", lambda: lab.source("curve"), lambda c: c["low"] != c["mean"])
    assert found["mean"] != moved["mean"]
    rest = lab.source("residuals")["mean"]
    assert len(rest) == 5
    assert sum(value**2 for value in rest) < 1


def test_the_networks_sensitivity_has_the_papers_curve(lab):
    box = answer(lab, "cost a network most", "late")
    text = shows(lab, box, r"1 epochs of blur cost most at onset \d: [-\d.]+ points")
    assert len(re.findall(r"[+-][\d.]+ ± [\d.]+ at \d", text)) == 4  # onsets after birth
    canvases(lab, box, 2)
    lab.move_slider("tau1", +3)
    shows(lab, box, "squared residuals")
    box.locator(".jupyter-button:text-is('Fit')").click()
    shows(lab, box, "tau2 = |does not converge|at the points")


def test_stripes_are_guessed_before_they_are_measured(lab):
    box = lab.find(".cplab-prediction:has-text('clear epochs, then recovery')")
    assert "covered until you have moved every slider" in box.inner_text()
    assert lab.move_slider("2 epochs of stripes, then recovery", -4) == 48
    box.locator(".jupyter-button:text-is('Reveal')").click()
    shows(lab, box, r"2 epochs of stripes, then recovery: you 48.0, measured [\d.]+ ± [\d.]+ %")


def test_the_filters_are_drawn_and_their_lean_is_said(lab):
    box = answer(lab, "filters of the first layer prefer", "vertical stripes")
    text = shows(lab, box, "after the recovery")
    assert len(re.findall(r"vertical stripes: bias [+-][\d.]+ ± [\d.]+, against", text)) == 2
    assert re.search(r"Of the lean that the stripes left, \S+ ± \S+ % are still there", text)
    canvases(lab, box, 4)
    assert len(lab.source("fan")["x"]) == 2 * 4  # seeds and filters


def test_the_kittens_points_follow_the_days_of_an_epoch(lab):
    box = answer(lab, "lie on the network's curve", "no")
    canvases(lab, box, 2)
    at = lab.source("animal0")["x"]
    shows(lab, box, r"1 epoch = 6 days · \d of 5 points within the curve · distance")
    assert lab.move_slider("days", +3) == 3
    shows(lab, box, "1 epoch = 12 days")
    moved = lab.wait_for("the points", lambda: lab.source("animal0")["x"], lambda x: x != at)
    assert moved == pytest.approx([value / 2 for value in at])
    assert lab.source("animal1")["x"] == pytest.approx(moved)
