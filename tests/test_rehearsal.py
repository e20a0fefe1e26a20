"""All labs as a student has them: in JupyterLab, in a browser, with keyboard and mouse.

One server, one browser, and each notebook is run once, in the ci profile, on what test_labs.py has
trained if that ran before. Lab 02's explorer is gone through in depth; what else is tested here is
what only a real page can show: clicks that come early, and errors that JupyterLab shows to nobody.
"""

import re
import shutil
from pathlib import Path

import lab_browser
import nbformat
import pytest

LABS = {path.stem[:2]: path for path in sorted(Path("labs").glob("*.ipynb"))}

# Of each lab: a question, an answer, how many figures it covers, what is said beneath them.
QUESTIONS = {
    "01": (
        ("Which closed eye sees well", "neither", 0, "the eye remains blind"),
        ("to day 60", "about 2.5", 1, "Printed: 4–5 cycles/degree"),
        ("total darkness", "both alike", 1, "Timney"),
        ("do most?", "in the second month", 1, "Olson"),
        ("5 points, 2 parameters", "within 5 %", 2, "squared residuals"),
        ("cost a network most", "late", 2, r"([+-][\d.]+ ± [\d.]+ at \d;? ?){4}"),
        ("filters of the first layer prefer", "vertical stripes", 4, "of the lean|are still there"),
        ("lie on the network's curve", "no", 2, r"1 epoch = 6 days · \d of 5 points"),
    ),
    "03": (
        ("as if it had seen clear images", "after none of them", 1, "After 4 epochs, in points"),
        ("leave this spectrum", "all but noise", 1, "vertical flip: 100 to 100 %; permuted"),
        ("learned from blurred images", "much less often", 1, ""),
        ("Under which darkness", "blank", 2, r"blank images: 2\.[23]\d"),
        ("of clear digits: how far", "above", 1, ""),
    ),
    "04": (
        ("5 % of the trace", "about 100", 1, r"5 % takes about [\d,]+ draws"),
        ("over a life without a deficit", "it stays", 2, r"Highest after epoch [\d.]+ .*is left: "),
        ("whose trace is the higher", "the flipped net's", 2, r"trace in the end\s+accuracy"),
        ("follow the trace", "no", 2, r"no deficit\s+2\s+-?[01]\.\d\d ± "),
        ("window of blur cost most", "while the trace rises", 1, r"r = -?[01]\.\d\d \(95 %"),
        ("lower later than at birth", "the same: it falls", 1, ""),
        ("has a macaque most", "at birth", 2, r"about 40% lost from 8 months"),
        ("Long after its blur", "in the middle", 2, "on average"),
        ("do they tell the same", "other shares, another total", 0, r"farthest apart"),
        ("how does the shift change", "it grows", 2, r"right after, -?[\d.]+"),
        ("Which row saw blur", "I cannot tell", 0, r"A is .*; B is .*; C is "),
        ("the course network's trace", "it stays", 2, r"Blur against equal training"),
        ("these four consolidates", "all of them", 2, r"500 images, width 4: [01]\.\d\d of its"),
        ("in the flatter minimum", "yes: flat is good", 2, r"same life, other seed\s+-?[01]\.\d\d"),
        ("with Adam as well", "no", 2, r"Adam\s+blur"),
    ),
    "05": (
        ("When are there most of them", "after half of them", 1, r"Most after step \d+ of n = 600"),
        ("one of 160 output synapses", "nearly the same", 3, r"Accuracy in the end: [\d.]+ ± "),
        ("how many synapses each pixel has", "none of it", 1, r"of the gain: 5 %: -?\w+ %"),
        ("Search with Adam", "worse", 2, "only the search differs"),
        ("Grown on digits, retrained", "worse than random", 1, ""),
        ("Half of all kernels go", "which kernels go", 1, ""),
        ("Which childhood leaves", "noise", 1, ""),
        ("A tenth of the weights is kept", "no difference", 2, r"trained on as long: [\d.]+ ± "),
        ("Who loses more to it", "the whole network", 1, r"points more than the whole network"),
    ),
    "06": (
        ("From n = 1 to n = 3", "they stay", 1, r"(?s)equal training, n = 2.+newborn, n = 2 minus"),
        ("Which of the three ways", "Adam", 1, r"Adam: -?[\d.]+ ± [\d.]+ \(\d seeds\) points"),
        ("Does early blur cost it less", "more", 1, ""),
    ),
}


# Small notebooks, cell by cell.
ASK = """from cplab import lab
lab.choice("Which?", ["this", "that"], lambda: ["the truth"])"""
BROKEN = """import cplab
from cplab.lab import Points

def broken(*arguments):
    raise ZeroDivisionError("broken")

chosen = cplab.Explorer(profile="ci")
Points.neighbours = broken
chosen"""
LONG = """import cplab
cplab.Explorer(profile="ci", deficits=("flip",), onset=2000, length=1)"""
EXPLORER = """import os
os.environ["CPLAB_CACHE"] = os.environ["GRID"]  # where blur and flip were trained
import cplab
cplab.Explorer(profile="ci", length=4)"""
SMALL = {
    "explorer": (EXPLORER,),
    "busy": (ASK, "import time; time.sleep(3600)"),
    "broken": (BROKEN,),
    "long": (LONG,),
}


@pytest.fixture(scope="module")
def served(labs_cache, small_grid, tmp_path_factory):
    """A browser, and a JupyterLab that serves all labs in the ci profile."""
    folder = tmp_path_factory.mktemp("rehearsal") / "labs"
    folder.mkdir()
    shutil.copytree(small_grid, folder.parent / "grid")
    for name, sources in SMALL.items():
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in sources])
        made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(made, folder / f"{name}.ipynb")
    for number, path in LABS.items():
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            cell.source = cell.source.replace('profile = "auto"', 'profile = "ci"')
        nbformat.write(notebook, folder / f"{number}.ipynb")
    env = {"CPLAB_CACHE": str(labs_cache), "CPLAB_DATA": "", "OMP_NUM_THREADS": "1"}
    env["GRID"] = str(folder.parent / "grid")
    with (
        lab_browser.chromium() as browser,
        lab_browser.jupyterlab(folder, env=env) as server,
    ):
        yield browser, server


@pytest.fixture
def place(served):
    """An empty page; whatever goes wrong on it fails its test."""
    with lab_browser.open_lab(*served) as lab:
        yield lab


@pytest.mark.parametrize("number", LABS)
def test_a_student_goes_through_the_lab(place, number):
    place.open(f"{number}.ipynb")
    place.run_all(timeout=600)
    for i, question in enumerate(QUESTIONS.get(number, ())):
        place.answer(*question, first="reveal" if i % 3 == 2 else "answer")
    globals()[f"play_with_lab_{number}"](place)


def reveal_guesses(lab, box):
    """Move every slider of a prediction, reveal, and return what was measured."""
    for knob in box.locator(".noUi-handle").all():
        knob.press("ArrowRight")
    lab.press(box.locator(".jupyter-button:text-is('Reveal')"))
    lab.wait_for("what was measured", box.text_content, lambda t: ": you 50.5, measured" in t)
    lab.wait_drawn(box, 1)
    return box.text_content()


def play_with_lab_01(lab):
    box = lab.find(".cplab-prediction:has-text('5 points, 2 parameters')")
    before = box.text_content()
    lab.move_slider("tau", +5)
    lab.wait_for("other residuals", box.text_content, lambda text: text != before)
    lab.press(box.locator(".jupyter-button:text-is('Fit')"))
    lab.wait_for("tau", box.text_content, lambda text: re.search(r"tau = 136 ± 88", text))
    told = reveal_guesses(lab, lab.find(".cplab-prediction:has-text('Known:')"))
    assert re.search(r"2 epochs of stripes, then recovery: .* measured [\d.]+ ± [\d.]+ %", told)
    at = lab.source("animal0")["x"]
    lab.move_slider("days", +3)
    half = pytest.approx([value / 2 for value in at])  # 12 days an epoch where there were 6
    lab.wait_for("the points", lambda: lab.source("animal0")["x"], lambda x: x == half)


def play_with_lab_02(lab):
    reveal_guesses(lab, lab.find(".cplab-prediction"))
    lab.click("paper")
    titles = """() => [...Bokeh.index.query(v => v.model.title?.text && v.el.isConnected)]
      .map(view => view.model.title.text.replace(/\\s+/g, ' '))"""
    shown = lambda: lab.page.evaluate(titles)  # noqa: E731
    lab.wait_for("its figure", shown, lambda all_of: any("paper schedule" in t for t in all_of))


def play_with_lab_03(lab):
    box = lab.find(".cplab-ranking")
    order = ("permuted labels", "vertical flip", "newborn", "blur", "noise")
    for place, name in zip(("best", "2", "3", "4", "worst"), order[:-1] + order[:1], strict=True):
        lab.control(place).locator("select").select_option(label=name)
    lab.press(box.locator(".jupyter-button"))
    lab.wait_text(".cplab-ranking", "One place each: permuted labels. It opens by itself then")
    lab.control("worst").locator("select").select_option(label="noise")  # it opens by itself
    lab.wait_text(".cplab-ranking .cplab-revealed", r"Of 10 pairs the seeds tell \d+ apart")
    lab.click("against newborn")
    lab.wait_for("its curve", lambda: lab.source("blur against newborn"))
    reveal_guesses(lab, lab.find(".cplab-prediction:has-text('epochs of fresh noise')"))
    # your own deficit
    mine = lab.find(".cplab-prediction:has-text('with the lower half covered')")
    assert "1 seed" in reveal_guesses(lab, mine)
    lab.click("lower half covered")
    readouts = lab.find(".cplab-readout").all_text_contents
    words = "Lower half covered from epoch 0 to 4 ends at"
    lab.wait_for("the own deficit", readouts, lambda texts: any(words in t for t in texts))


def play_with_lab_04(lab):
    before = {tag: lab.source(f"{tag} blur")["mean"] for tag in ("noise", "trace")}
    lab.move_slider(".cplab-slide", +1)
    lab.wait_text(".cplab-slide-words", "^2$")
    for tag, bars in before.items():
        now = lambda tag=tag: lab.source(f"{tag} blur")["mean"]  # noqa: E731
        lab.wait_for("other bars", now, lambda means, bars=bars: means != bars)
    lab.click("Fit")
    lab.wait_text(".cplab-fit", r"(?s)a = .*b = .*c = .*4 points, 3 parameters|does not converge")
    lab.wait_text(".cplab-live", r"^Blur from epoch 0 to 1, seed 2: 4 epochs, about \d+ s")
    lab.click("Train")
    lab.wait_text(".cplab-live", r"^live, seed 2: [\d.]+ %")
    live = lab.wait_for(
        "the whole curve", lambda: lab.source("live trace"), lambda c: len(c["epoch"]) == 4
    )
    assert all(value > 0 for value in live["mean"])


def play_with_lab_05(lab):
    reveal_guesses(lab, lab.find(".cplab-prediction:has-text('Known:')"))
    lab.move_slider(".cplab-final", +1)
    lab.wait_text(".cplab-live", "then down to 20 %")
    lab.click("Grow and prune")
    words = lab.wait_text(".cplab-live", r"^at 20 %: [\d.]+ % right. From new weights")
    assert re.search(r"grown and pruned [\d.]+, random [\d.]+, same number a pixel [\d.]+ %", words)
    live = lab.wait_for("the search", lambda: lab.source("live search"), lambda s: s["step"])
    assert min(live["density"]) <= 20 < max(live["density"])
    slide = lab.find(".jupyter-widgets:has(> .cplab-slide)").first
    slide.locator(".noUi-handle").press("ArrowRight")
    said = r"20 %: grown and pruned against random [+-]?[\d.]+ ± "
    lab.wait_for("the words", slide.text_content, lambda text: re.search(said, text))


def play_with_lab_06(lab):
    reveal_guesses(lab, lab.find(".cplab-prediction:has-text('Known:')"))
    before = lab.source("band blur")["mean"]
    slide = lab.find(".jupyter-widgets:has(> .cplab-slide)").first
    slide.locator(".noUi-handle").press("ArrowRight")
    lab.wait_text(".cplab-slide-words", r"^n = 2: blur until 2 costs -?[\d.]+ ± ")
    lab.wait_for("other curves", lambda: lab.source("band blur")["mean"], lambda c: c != before)
    lab.click("Train it again")
    lab.wait_text(".cplab-estimate", r"^live, seed 0: [\d.]+ %")
    assert "model='depth1" in lab.text(".cplab-code")


# By themselves ---------------------------------------------------------------------------------


def choose(lab, onset, length):
    lab.fill(".cplab-onset-box", onset)
    lab.fill(".cplab-length-box", length)


def test_the_explorer_follows_every_control(place):
    lab = place
    lab.open("explorer.ipynb")
    lab.run_all()
    choose(lab, 0, 8)  # the number beside the slider, and the keyboard
    lab.wait_text(".cplab-readout", "^Not trained: Blur from epoch 0 to 8")
    lab.move_slider(".cplab-length", -4)
    lab.wait_text(".cplab-readout", r"^Blur from epoch 0 to 4 ends at .* points \w+ equal training")
    lab.wait_for("the curve", lambda: len(lab.source("this")["epoch"]) == 7)
    lab.wait_for("the ring", lambda: lab.source("chosen")["length"] == [4])
    lab.wait_text(".cplab-code", "deficit='blur', onset=0, length=4, profile='ci'")
    lab.click("vertical flip")
    lab.wait_text(".cplab-readout", "^Vertical flip from epoch 0 to 4 ends at")
    lab.click("blur")
    lab.wait_text(".cplab-readout", "^Blur from epoch 0 to 4 ends at")
    choose(lab, 1, 3)  # what nobody trained
    lab.wait_text(".cplab-readout", "^Not trained: Blur from epoch 1 to 4. Its trained neighbours")
    lab.click("Train this point")
    lab.wait_text(".cplab-estimate", r"^live, seed 0: [\d.]+ %")
    lab.wait_text(".cplab-readout", r"^Blur from epoch 1 to 4 ends at [\d.]+ % \(1 seed\)")
    live = lab.wait_for(
        "the whole curve", lambda: lab.source("live"), lambda live: len(live["epoch"]) == 7
    )
    lab.wait_for("the same curve", lambda: live["mean"] == lab.source("this")["mean"])
    lab.tap("map", "2", "4")  # a click on the map
    lab.wait_text(".cplab-readout", "^Blur from epoch 2 to 6 ends at")
    lab.tap("map", "1", "3")
    lab.wait_text(".cplab-readout", "^Blur from epoch 1 to 4 ends at")
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.press(lab.find(".cplab-code a"))
    copied = "cplab.run(deficit='blur', onset=1, length=3, profile='ci', seed=0)"
    lab.wait_for("the line of code", lambda: lab.page.evaluate("navigator.clipboard.readText()"),
                 lambda text: text == copied)  # fmt: skip


def test_a_click_on_reveal_counts_while_python_is_busy(place):
    """Answer and Reveal are clicked while a cell runs; the page says that Python is waited for, and
    opens what is covered once the cell has ended."""
    place.open("busy.ipynb")
    place.page.evaluate(lab_browser.RUN_ALL)
    box = place.find(".cplab-prediction")
    place.wait_for("the question", box.count)
    place.wait_for("the second cell", lambda: place.page.evaluate(lab_browser.RUNNING),
                   lambda running: "sleep" in str(running))  # fmt: skip
    reveal = box.locator(".jupyter-button:text-is('Reveal')")
    place.press(box.get_by_label("that", exact=True))
    place.press(reveal)
    said = """e => { const after = getComputedStyle(e, '::after');
      return after.content !== 'none' && after.opacity === '1' && after.content }"""
    told = place.wait_for("the notice", lambda: reveal.evaluate(said), lambda text: text)
    assert "waiting for Python" in told
    assert "the truth" not in box.text_content()
    place.page.evaluate("jupyterapp.commands.execute('notebook:interrupt-kernel')")
    place.wait_for("the truth", box.text_content, lambda t: "the truth" in t, ignore="Interrupt")


def test_stop_ends_a_long_training_and_train_goes_on(place):
    place.open("long.ipynb")
    place.run_all()
    place.wait_text(".cplab-readout", "^No.* trained:? Vertical flip from epoch 2000 to 2001")
    for _ in range(2):
        place.click("Train this point")
        place.wait_text(".cplab-estimate", "^epoch [0-9]+ of 2004")
        place.wait_for("a curve that grows", lambda: len(place.source("live")["epoch"]) > 2)
        place.click("Stop")
        place.wait_text(".cplab-estimate", "^stopped: Train goes on")


def test_a_broken_callback_turns_this_suite_red(place):
    """JupyterLab shows nobody what a callback raises; these tests must."""
    place.open("broken.ipynb")
    place.run_all()
    choose(place, 7, 7)
    with pytest.raises(AssertionError, match="ZeroDivisionError: broken"):
        place.wait_text(".cplab-readout", "Blur from epoch 7 to 14")
    place.page.evaluate("allSaid()")
    place.problems.clear()
