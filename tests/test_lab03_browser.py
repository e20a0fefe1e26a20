"""Lab 03 as a student has it: in JupyterLab, in a browser, with keyboard and mouse."""

import re
from pathlib import Path

import lab_browser

LAB = Path(__file__).parent.parent / "labs" / "03_high_level_deficits.ipynb"
PLACES = ("best", "2", "3", "4", "worst")
ORDER = ("permuted labels", "vertical flip", "newborn", "blur", "noise")

browser, opened, lab = lab_browser.browser, lab_browser.opened, lab_browser.lab


def question(lab, words):
    """The box that asks so."""
    return lab.find(f".cplab-prediction:has-text({words!r})")


def answer(lab, words, label):
    """Choose an answer, reveal, and wait for what is revealed."""
    box = question(lab, words)
    assert box.locator(".cplab-revealed").count() == 0
    reveal = box.locator(".jupyter-button:text-is('Reveal')")
    assert reveal.is_disabled()
    box.locator(f"label:has-text({label!r}) input").check()
    lab.wait_for("Reveal to be enabled", reveal.is_enabled)
    reveal.click()
    lab.wait_for("the answer", box.locator(".cplab-revealed").all_inner_texts)
    lab.wait_for("its figure", box.locator("canvas").count)
    assert f"You said: {label}" in box.inner_text()
    return box


def test_the_order_is_asked_for_before_it_is_shown(lab):
    box, reveal = lab.find(".cplab-ranking"), lab.find(".cplab-ranking .jupyter-button")
    for place, name in zip(PLACES, ORDER[:-1] + ORDER[:1], strict=True):
        assert reveal.is_disabled()
        lab.control(place).locator("select").select_option(label=name)
    lab.wait_text(".cplab-ranking", "One place each: permuted labels")
    assert reveal.is_disabled()
    lab.control("worst").locator("select").select_option(label="noise")
    lab.wait_for("Reveal to be enabled", reveal.is_enabled)
    reveal.click()
    words = lab.wait_text(".cplab-ranking .cplab-revealed", "Of 10 pairs")
    assert re.search(r"the seeds tell \d+ apart \(95 %\); \d+ of these \d+ stand", words)
    assert "live · PRACTICE images, ci" in words
    assert box.locator("canvas").count()


def test_three_views_of_the_removal_curves(lab):
    box = answer(lab, "as if it had seen clear images all along", "after none of them")
    assert re.search(
        r"After 4 epochs, .*: vertical flip [+-][\d.]+ ± [\d.]+ \(\d seeds\);", box.inner_text()
    )
    for control in ("newborn", "equal training"):
        lab.click(f"against {control}")
        drawn = lab.wait_for("its curve", lambda: lab.source(f"blur against {control}"))  # noqa: B023
        assert drawn["length"] == [2, 4]


def test_the_spectrum_is_computed_and_revealed(lab):
    box = answer(lab, "leave this spectrum exactly as it was", "all but noise")
    words = box.inner_text()
    assert "vertical flip: 100 to 100 %; permuted labels: 100 to 100 %" in words
    blurred = re.search(r"blur: (\d+) to (\d+) %", words)
    assert int(blurred[1]) < 50


def test_what_a_classifier_finds_is_revealed(lab):
    answer(lab, "The classifier that learned from blurred images", "much less often")


def test_the_darknesses_are_guessed_with_sliders(lab):
    box = question(lab, "Known:")
    assert "The figure is covered until you have moved every slider" in box.inner_text()
    [reveal] = box.locator(".jupyter-button:text-is('Reveal')").all()
    for name in ("noise", "fresh noise", "blank images"):
        assert reveal.is_disabled()
        lab.move_slider(f"4 epochs of {name}", 2)
    lab.wait_for("Reveal to be enabled", reveal.is_enabled)
    reveal.click()
    [words] = lab.wait_for("what was measured", box.locator(".cplab-revealed").all_inner_texts)
    assert "4 epochs of fresh noise: you 51.0, measured" in words
    assert re.search(r"4 epochs of blank images: you 51.0, measured [\d.]+ ± [\d.]+ %", words)


def test_the_loss_of_a_blank_stays_at_ln_10(lab):
    box = answer(lab, "Under which darkness does the training loss fall", "blank")
    lost = dict(re.findall(r"(noise|fresh noise|blank images): (\d\.\d\d)", box.inner_text()))
    assert abs(float(lost["blank images"]) - 2.30) < 0.1


def test_digits_are_guessed_and_then_train_live(lab):
    answer(lab, "2 epochs of blur, then 3 of clear digits", "above")
    lab.wait_text(".cplab-readout", "^Blur from epoch 0 to 2 ends at")
    assert lab.move_slider(".cplab-length", +1) == 3
    lab.wait_text(".cplab-readout", "^Not trained: Blur from epoch 0 to 3")
    lab.click("Train this point")
    lab.wait_text(".cplab-estimate", r"^live, seed 0: [\d.]+ %", timeout=120)
    lab.wait_text(".cplab-readout", r"^Blur from epoch 0 to 3 ends at [\d.]+ % \(1 seed\)")
    assert "model='fc-104'" in lab.text(".cplab-code")
