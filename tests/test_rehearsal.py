"""All labs as a student has them: in JupyterLab, in a browser, with keyboard and mouse.

One server, one page, and each notebook is run once: as it is stored where all that it shows is
shipped, else in the ci profile. An explorer is gone through in depth; what else is tested here is
what only a real page can show: clicks that come early, and errors that JupyterLab shows to nobody.
"""

import re
import shutil
from pathlib import Path

import lab_browser
import nbformat
import numpy as np
import pytest
from conftest import digits
from labs_by_hand import PEAK, assert_small

SHIPPED = ("01", "02", "05")  # all that these show is shipped, so they are run as they are stored
ROOT = Path(__file__).parent.parent
PATHS = {path.stem[:2]: path for path in sorted(ROOT.glob("labs/*.ipynb"))}
# The others train, and come last: by then test_labs.py has trained, if it runs beside.
LABS = dict(sorted(PATHS.items(), key=lambda item: item[0] not in SHIPPED))

# Small notebooks, cell by cell.
ASK = """from cplab import lab
lab.choice("Which?", ["this", "that"], lambda: ["the truth"])"""
BROKEN = """import cplab
from cplab.lab import Points

found = Points.neighbours

def broken(points, run):
    if run.onset != 7:  # what is drawn in advance, of this explorer and of those above
        return found(points, run)
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
SWITCH = """import threading
from bokeh.models import ColumnDataSource
from cplab.lab import Switch
from cplab.lab.surface import surface
from cplab.show.theme import plain_figure

def drawn(number):
    fig = plain_figure("a title", "", "", name="drawn")
    fig.line("x", "y", source=ColumnDataSource({"x": [0, 1], "y": [number, 1]}, name="line"))
    return fig

Switch(["zero", "one"], lambda words: drawn(["zero", "one"].index(words)))"""
AGAIN = """fig = drawn(5)
shown = surface(fig)
shown"""
THREADS = """source = fig.select_one({"name": "line"})
fig.title.text = "a title\\nof two lines"
def work(n):
    for i in range(20):
        source.data = {"x": [0, 1], "y": [n, i]}
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for one in threads:
    one.start()
for one in threads:
    one.join()
source.data = {"x": [0, 1], "y": [7, 8]}
shown"""
IDLE = "import asyncio; await asyncio.sleep(0.5)"  # Python has nothing else to do for a moment
LOST = """from cplab.show.surface import library
library().comm.close()  # as for a page that is opened again, beside a kernel that goes on
surface(drawn(9))"""
EXPLORED, FAR, FAULTY, ASKED, SWITCHED, SHOWN, CHANGED, BUSY, IDLED, OPENED = range(10)
SMALL = (EXPLORER, LONG, BROKEN, ASK, SWITCH, AGAIN, THREADS, "import time; time.sleep(3600)", IDLE)
SMALL += (LOST,)


@pytest.fixture(scope="module")
def page(labs_cache, small_grid, tmp_path_factory):
    """JupyterLab in a browser, with all labs, and the small cells as small.ipynb."""
    folder, env = labs_to_serve(tmp_path_factory.mktemp("rehearsal"), labs_cache)
    shutil.copytree(small_grid, folder.parent / "grid")
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in SMALL])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(made, folder / "small.ipynb")
    env["GRID"] = str(folder.parent / "grid")
    with (
        lab_browser.chromium() as browser,
        lab_browser.jupyterlab(folder, env=env) as server,
        lab_browser.page(browser, server) as lab,
    ):
        yield lab


def labs_to_serve(home, cache):
    """A folder with all labs as 01.ipynb …, and the environment that they need."""
    folder = home / "labs"
    folder.mkdir()
    for number, path in LABS.items():
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if number not in SHIPPED:
                cell.source = cell.source.replace('profile = "auto"', 'profile = "ci"')
        nbformat.write(notebook, folder / f"{number}.ipynb")
    np.savez(home / "mnist.npz", **digits(3000), copy="small")
    env = {"CPLAB_CACHE": str(cache), "CPLAB_DATA": str(home), "OMP_NUM_THREADS": "1"}
    return folder, env


@pytest.fixture
def place(page, request):
    """The page; a notebook that a failed test has left open is closed."""
    failed = request.session.testsfailed
    yield page
    if request.session.testsfailed > failed:
        page.give_up()


@pytest.fixture(scope="module")
def small(page):
    """The page with the small notebook, whose cells the tests below run."""
    page.open("small.ipynb")
    yield page
    page.leave()


@pytest.mark.parametrize("number", LABS)
def test_a_student_goes_through_the_lab(place, number):
    place.open(f"{number}.ipynb")
    place.run_all()
    answer_all(place)
    if number in SHIPPED:
        assert_small(place.value(PEAK))
    globals()[f"play_with_lab_{number}"](place)
    place.leave()


def answer_all(lab):
    """Answer each question, as quickly as they can be clicked, and ask for each finding, from where
    the page stands; then look at all."""
    asked = []  # each with what is said once it is open
    for i, box in enumerate(lab.covered()):
        if answers := box.get_by_role("radio").count():
            lab.answer(box, i % answers, first="reveal" if i % 3 == 2 else "answer")
            asked.append((box, "You said: "))
        elif (found := lab.button("What was found", box)).count():
            found.dispatch_event("click")  # without a look at each, which takes a second
            asked.append((box, "What was found."))
    for box, words in reversed(asked):  # from below, where the page stands
        said = (words, "First answer")  # of a prediction, which is played with later
        lab.wait_for(
            "what is covered", box.text_content, lambda t, said=said: any(one in t for one in said)
        )
        if words == "You said: ":  # the others are words alone
            lab.wait_drawn(box)


def reveal_guesses(lab, box):
    """Move every slider of a prediction, reveal, and return what was measured."""
    for knob in box.locator(lab.HANDLE).all():
        knob.press("ArrowRight")
    lab.press(lab.button("Reveal", box))
    lab.wait_for("what was measured", box.text_content, lambda t: ": you 50.5, measured" in t)
    lab.wait_drawn(box)
    return box.text_content()


def play_with_lab_01(lab):
    box = lab.find(".cplab-prediction:has-text('5 points, 2 parameters')")
    before = box.text_content()
    lab.move_slider("tau", +5)
    lab.wait_for("other residuals", box.text_content, lambda text: text != before)
    lab.press(lab.button("Fit", box))
    lab.wait_for("tau", box.text_content, lambda text: re.search(r"tau = 136 ± 88", text))
    told = reveal_guesses(lab, lab.find(".cplab-prediction:has-text('Known:')"))
    assert re.search(r"16 epochs of stripes, then recovery: .* measured [\d.]+ ± [\d.]+ %", told)
    at = lab.source("animal0")["x"]
    lab.move_slider("days", +3)
    half = pytest.approx([value / 2 for value in at])  # 12 days an epoch where there were 6
    lab.wait_for("the points", lambda: lab.source("animal0")["x"], lambda x: x == half)


def play_with_lab_02(lab):
    reveal_guesses(lab, lab.find(f".cplab-prediction:has({lab.HANDLE})").first)
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
    lab.move_slider(".cplab-gamma", +2)  # the quickest
    lab.move_slider(".cplab-final", +1)
    lab.wait_text(".cplab-live", "n = 250 steps until growth has faded out, then down to 10 %")
    lab.click("Grow and prune")
    words = lab.wait_text(".cplab-live", r"^at 10 %: [\d.]+ % right. From new weights")
    assert re.search(r"grown and pruned [\d.]+, random [\d.]+, same number a pixel [\d.]+ %", words)
    live = lab.wait_for("the search", lambda: lab.source("live search"), lambda s: s["step"])
    assert min(live["density"]) <= 10 < max(live["density"])
    slide = lab.find(".jupyter-widgets:has(> .cplab-slide)").first
    slide.locator(lab.HANDLE).press("ArrowRight")
    said = r"2 %: grown and pruned against random [+-]?[\d.]+ ± "
    lab.wait_for("the words", slide.text_content, lambda text: re.search(said, text))


def play_with_lab_06(lab):
    reveal_guesses(lab, lab.find(".cplab-prediction:has-text('Known:')"))
    before = lab.source("band blur")["mean"]
    slide = lab.find(".jupyter-widgets:has(> .cplab-slide)").first
    slide.locator(lab.HANDLE).press("ArrowRight")
    lab.wait_text(".cplab-slide-words", r"^n = 2: blur until 2 costs −?[\d.]+ ± ")
    lab.wait_for("other curves", lambda: lab.source("band blur")["mean"], lambda c: c != before)
    lab.click("Train it again")
    lab.wait_text(".cplab-estimate", r"^live, seed 0: [\d.]+ %")
    assert "model='depth1" in lab.text(".cplab-code")
    table = lab.find(".cplab-prediction:has-text('as far as SGD')").text_content()
    assert re.search(r"Adam × 10\s*[\d.]+ ± ", table)


def play_with_lab_07(lab):
    told = reveal_guesses(lab, lab.find(".cplab-prediction:has-text('Known:')").first)
    assert "epochs closed: the right eye alone: you 50.5, measured" in told
    lab.wait_text(".cplab-readout", "^right eye closed from epoch 0 to 2: share")
    before = lab.source("clinic")["mean"]
    lab.move_slider(".cplab-onset", +1)
    lab.wait_for("other classes", lambda: lab.source("clinic")["mean"], lambda c: c != before)
    lab.move_slider(".cplab-wait", +1)  # before a patch that is not worn
    lab.click("blurred")
    lab.wait_text(".cplab-readout", "^Nobody has trained this life yet: right eye blurred from")
    lab.click("Train this life")
    lab.wait_text(".cplab-live", r"^live, seed 0: share [\d.]+, both eyes [\d.]+ %")
    lab.wait_for("the whole curve", lambda: len(lab.source("live")["mean"]) == 6)
    lab.wait_text(".cplab-readout", "^right eye blurred from epoch 1 to 3: share")
    winks = lab.find(".cplab-prediction:has-text('The network winks')")
    assert winks.text_content().count("not trained yet") == 4
    lab.click("Train")  # the newborn, which winks
    lab.wait_text(".cplab-live", r"^live, seed 0: [\d.]+ %, after")
    lab.press(lab.button("Reveal", winks))
    known = lambda: winks.text_content().count("not trained yet")  # noqa: E731
    lab.wait_for("what the winker sees", known, lambda count: count == 2)


def play_with_lab_08(lab):
    reveal_guesses(lab, lab.find(".cplab-prediction:has-text('Known:')"))
    before = lab.source("eyes b")["p"]
    lab.move_slider("layers of each eye", +1)
    lab.wait_text(".cplab-eyes", r"With eye b alone \d+ % .* solved in \d+ ms")
    lab.wait_for("other curves", lambda: lab.source("eyes b")["p"], lambda p: p != before)
    lab.click("Check with gradient descent")
    lab.wait_text(".cplab-checked", r"largest difference from the curves is [\d.]+ points")
    lab.wait_for("circles", lambda: lab.source("descent b")["t"])
    box = lab.find(".cplab-prediction:has-text('Two layers, p₀ = 0.01')")
    box.locator("input").fill("0.5")
    box.locator("input").press("Enter")
    lab.press(lab.button("Reveal", box))
    lab.wait_for("the number", box.text_content, lambda text: "It does not hold" in text)
    assert "It does not hold yet" in lab.text(".cplab-holds")
    lab.click("another matrix")
    lab.click("Complete")
    lab.wait_text(".cplab-live", r"^2 seeds\. Error on what was observed: at most [\d.]+ %")
    lab.wait_for("medians", lambda: lab.source("completing median")["y"])


def play_with_lab_09(lab):
    reveal_guesses(lab, lab.find(".cplab-prediction:has-text('Known:')"))
    before = lab.source("growth blur")["mean"]
    lab.move_slider(".cplab-slide", +1)
    lab.wait_text(".cplab-slide-words", "^after epoch 2 of the deficit")
    lab.wait_for("other bars", lambda: lab.source("growth blur")["mean"], lambda b: b != before)
    decay = {"label": "weight decay from then on"}
    lab.control("treatment").locator("select").select_option(**decay)
    lab.wait_text(".cplab-bench", "^Points, harm left: not trained yet; lost time: not trained yet")
    lab.click("Train this one")
    lab.wait_text(".cplab-live", r"^trained: \d lives of seed 0")
    lab.wait_text(".cplab-bench", r"^Points, harm left: −?[\d.]+ \(1 seed\)")
    assert len(lab.source("bench")["row"]) == 4


# By themselves ---------------------------------------------------------------------------------


def choose(lab, onset, length):
    lab.fill(".cplab-onset-box", onset)
    lab.fill(".cplab-length-box", length)


def test_the_explorer_follows_every_control(small):
    lab = small
    lab.run_cell(EXPLORED)
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
    lab.tap("map of harm", "2", "4")  # a click on the map
    lab.wait_text(".cplab-readout", "^Blur from epoch 2 to 6 ends at")
    lab.tap("map of harm", "1", "3")
    lab.wait_text(".cplab-readout", "^Blur from epoch 1 to 4 ends at")
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.press(lab.find(".cplab-code button"))
    copied = "cplab.run(deficit='blur', onset=1, length=3, profile='ci', seed=0)"
    lab.wait_for("the line of code", lambda: lab.page.evaluate("navigator.clipboard.readText()"),
                 lambda text: text == copied)  # fmt: skip


def test_the_next_step_of_a_slider_is_drawn_before_python_answers(small):
    """Python is busy for an hour: what one step shows has come to the page before."""
    small.run_cell(EXPLORED)
    choose(small, 0, 4)
    small.wait_text(".cplab-readout", "^Blur from epoch 0 to 4 ends at")
    small.run_cell(IDLED)
    small.run_cell(BUSY, wait=False)
    small.cell = EXPLORED
    small.wait_for("the next cell", small.running, lambda running: "3600" in str(running))
    ring = lambda: small.source("chosen")["length"]  # noqa: E731
    assert ring() == [4]
    small.move_slider(".cplab-length", -1)
    small.wait_text(".cplab-readout", "^Not trained: Blur from epoch 0 to 3")
    small.wait_text(".cplab-code", "onset=0, length=3")
    small.wait_for("no ring", ring, lambda r: r == [])
    small.move_slider(".cplab-length", 1)  # and back
    small.wait_text(".cplab-readout", "^Blur from epoch 0 to 4 ends at")
    small.wait_for("the ring", ring, lambda r: r == [4])
    small.move_slider(".cplab-length", -2)  # two steps take Python
    small.page.evaluate("void jupyterapp.commands.execute('notebook:interrupt-kernel')")
    read = lambda: small.text(".cplab-readout")  # noqa: E731
    small.wait_for("Python", read, lambda t: "Blur from epoch 0 to 2 ends" in t, ignore="Interrupt")
    small.wait_for("the ring of 2", ring, lambda r: r == [2])
    small.move_slider(".cplab-length", 2)
    small.wait_text(".cplab-readout", "^Blur from epoch 0 to 4 ends at")
    small.wait_for("the ring of 4", ring, lambda r: r == [4])


def test_stop_ends_a_long_training_and_train_goes_on(small):
    small.run_cell(FAR)
    small.wait_text(".cplab-readout", "^No.* trained:? Vertical flip from epoch 2000 to 2001")
    for _ in range(2):
        small.click("Train this point")
        small.wait_text(".cplab-estimate", "^epoch [0-9]+ of 2004")
        small.wait_for("a curve that grows", lambda: len(small.source("live")["epoch"]) > 2)
        small.click("Stop")
        small.wait_text(".cplab-estimate", "^stopped: Train goes on")


def test_a_broken_callback_turns_this_suite_red(small):
    """JupyterLab shows nobody what a callback raises; these tests must."""
    small.run_cell(FAULTY)
    with pytest.raises(AssertionError, match="ZeroDivisionError: broken"):  # at either number
        small.wait_for("the error", lambda: choose(small, 7, 7), lambda _: False)
    small.page.evaluate("hearAll()")
    small.problems.clear()


PLACES = """() => {
  const views = Bokeh.index.query(view => view.model.name === 'drawn' && view.el.isConnected);
  return [...views].map(({frame, model}) =>
    [frame.bbox.top, Array.from(model.renderers[0].data_source.data.y)]);
}"""


def test_figures_that_are_replaced_are_freed_on_the_page(small):
    small.run_cell(SWITCHED)
    small.wait_for("the figure", lambda: small.source("line")["y"] == [0, 1])
    before = small.page.evaluate("Bokeh.documents.length")
    for i in range(1, 7):
        small.click(("zero", "one")[i % 2])
        small.wait_for("the other", lambda i=i: small.source("line")["y"] == [i % 2, 1])
    now = lambda: small.page.evaluate("Bokeh.documents.length")  # noqa: E731
    small.wait_for("no more documents", now, lambda count: count <= before)


def test_a_figure_in_two_places_follows_python_in_both_and_makes_room_for_its_title(small):
    small.run_cell(SHOWN)
    small.wait_for("the figure", lambda: small.source("line")["y"] == [5, 1])
    tops = lambda data: [top for top, y in small.page.evaluate(PLACES) if y == data]  # noqa: E731
    [before] = tops([5, 1])
    small.run_cell(CHANGED)
    now = lambda: tops([7, 8])  # noqa: E731
    small.wait_for("both", now, lambda found: len(found) == 2 and min(found) > before)


def test_a_click_on_reveal_counts_while_python_is_busy(small):
    """Answer and Reveal are clicked while a cell runs; the page says that Python is waited for, and
    opens what is covered once the cell has ended."""
    small.run_cell(ASKED)
    small.run_cell(BUSY, wait=False)
    small.cell = ASKED
    small.wait_for("the next cell", small.running, lambda running: "sleep" in str(running))
    box = small.find(".cplab-prediction")
    reveal = small.button("Reveal", box)
    small.press(box.get_by_label("that", exact=True))
    small.press(reveal)
    said = """e => { const after = getComputedStyle(e, '::after');
      return after.content !== 'none' && after.opacity === '1' && after.content }"""
    told = small.wait_for("the notice", lambda: reveal.evaluate(said), lambda text: text)
    assert "waiting for Python" in told
    assert "the truth" not in box.text_content()
    small.page.evaluate("void jupyterapp.commands.execute('notebook:interrupt-kernel')")
    small.wait_for("the truth", box.text_content, lambda t: "the truth" in t, ignore="Interrupt")


def test_jupyterlab_has_its_own_windowing(small):
    """Cells out of sight are laid out when JupyterLab wants it, as on a student's machine."""
    setting = small.page.evaluate("""async () => {
      const tracker = '@jupyterlab/notebook-extension:tracker';
      const {schema, raw} = await jupyterapp.serviceManager.settings.fetch(tracker);
      const used = jupyterapp.shell.currentWidget.content.notebookConfig.windowingMode;
      return {own: schema.properties.windowingMode.default, raw, used};
    }""")
    assert "windowingMode" not in setting["raw"]
    assert setting["used"] == setting["own"]


def test_a_page_that_has_no_library_asks_for_it(small):
    small.page.evaluate(
        "() => { delete globalThis.Bokeh; for (const v in cplabBokeh) delete cplabBokeh[v] }"
    )
    small.run_cell(OPENED)
    small.wait_for("Bokeh", lambda: small.page.evaluate("!!globalThis.Bokeh"), lambda known: known)
    small.wait_for("the figure", lambda: small.source("line")["y"] == [9, 1])
