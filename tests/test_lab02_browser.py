"""Lab 02 as a student has it: in JupyterLab, in a browser, with keyboard and mouse."""

import re
import shutil
from pathlib import Path

import lab_browser
import nbformat
import pytest
from lab_browser import jupyterlab, open_lab

from cplab import Run, records

LAB = Path(__file__).parent.parent / "labs" / "02_blur_critical_period.ipynb"
LONG = """import cplab
explorer = cplab.Explorer(profile="ci", deficits=("flip",), onset=2000, length=1)
explorer"""
BREAK = """def broken(*arguments):
    raise ZeroDivisionError("broken")

explore.Explorer._words = broken"""
TITLES = """() => [...Bokeh.index.query(view => view.model.title?.text && view.el.isConnected)]
  .map(view => view.model.title.text)"""

browser = lab_browser.browser


def notebook(*sources):
    """A notebook of cells of code."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in sources])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    return made


def code(lab):
    return [cell.source for cell in lab.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def server(small_grid, tmp_path_factory):
    """JupyterLab with lab.ipynb (lab 02 in the ci profile), shipped.ipynb (lab 02 as it is),
    long.ipynb (an explorer of a point that takes long to train) and broken.ipynb (the explorer of
    lab 02 with a callback that raises), on the records of the small grid."""
    home = tmp_path_factory.mktemp("browser")
    shutil.copytree(small_grid, home / "cache")
    folder = home / "labs"
    folder.mkdir()
    shutil.copy(LAB, folder / "shipped.ipynb")
    small = nbformat.read(LAB, as_version=4)
    for cell in small.cells:
        cell.source = cell.source.replace('profile = "auto"', 'profile = "ci"')
    nbformat.write(small, folder / "lab.ipynb")
    needed = [one for one in code(small) if re.search("profile|cplab.Explorer", one)]
    explorer = next(i for i, one in enumerate(needed) if "cplab.Explorer" in one)
    begin = [one for one in needed[:explorer] if "Prediction" not in one]
    nbformat.write(notebook(*begin, needed[explorer], BREAK), folder / "broken.ipynb")
    nbformat.write(notebook(LONG), folder / "long.ipynb")
    env = {"CPLAB_CACHE": str(home / "cache"), "CPLAB_DATA": "", "OMP_NUM_THREADS": "1"}
    with jupyterlab(folder, env=env) as running:
        yield running


@pytest.fixture(scope="module")
def opened(browser, server):
    """The lab in the ci profile, all its cells run. One for all tests of it, to spare time."""
    with open_lab(browser, server) as lab:
        lab.open("lab.ipynb")
        lab.run_all(timeout=600)
        yield lab


@pytest.fixture
def lab(opened):
    yield opened
    opened.check()


def choose(lab, onset, length):
    lab.fill(".cplab-onset-box", onset)
    lab.fill(".cplab-length-box", length)


def value(lab, css):
    """Where a slider stands on the screen."""
    return float(lab.find(f"{css} .noUi-handle").get_attribute("aria-valuenow"))


def test_the_prediction_is_covered_and_then_revealed(lab):
    assert "covered until you have moved every slider" in lab.text(".cplab-prediction")
    assert lab.find(".cplab-revealed").count() == 0
    reveal = lab.find(".jupyter-button:text-is('Reveal')")
    assert reveal.is_disabled()
    assert lab.move_slider("16 epochs upside down, then recovery", -3) == 48.5
    lab.page.wait_for_timeout(500)
    assert reveal.is_disabled()
    lab.move_slider("16 epochs of blur, then recovery", +2)
    lab.click("Reveal")
    words = lab.wait_text(".cplab-revealed", "measured")
    assert "16 epochs upside down, then recovery: you 48.5, measured" in words
    assert re.search(
        r"16 epochs of blur, then recovery: you 51\.0, measured [\d.]+ ± [\d.]+ %", words
    )
    assert "live · PRACTICE images, ci" in words
    assert lab.find(".cplab-prediction canvas").count()
    assert "covered" not in lab.text(".cplab-prediction")


def test_the_keyboard_moves_a_slider_and_the_read_out_follows(lab):
    choose(lab, 0, 8)
    lab.wait_text(".cplab-readout", "^Not trained: Blur from epoch 0 to 8")
    assert lab.move_slider(".cplab-length", -4) == 4
    lab.wait_text(".cplab-readout", r"^Blur from epoch 0 to 4 ends at .* \(2 seeds\): .* a newborn")
    lab.wait_for("the number", lambda: lab.find(".cplab-length-box input").input_value() == "4")
    lab.wait_for("the curve", lambda: len(lab.source("this")["epoch"]) == 7)
    lab.wait_for("the ring", lambda: lab.source("chosen")["length"] == [4])
    assert lab.move_slider(".cplab-onset", +2) == 2
    lab.wait_text(".cplab-readout", "^Blur from epoch 2 to 6 ends at")
    lab.wait_text(".cplab-status", "live · PRACTICE images, ci · practice")
    lab.wait_text(".cplab-code", "deficit='blur', onset=2, length=4, profile='ci'")


def test_a_number_typed_beside_a_slider_moves_it(lab):
    choose(lab, 2, 2)
    lab.wait_text(".cplab-readout", "^Blur from epoch 2 to 4 ends at")
    for css in (".cplab-onset", ".cplab-length"):
        lab.wait_for(css, lambda css=css: value(lab, css), lambda shown: shown == 2)


def test_a_button_chooses_the_deficit(lab):
    choose(lab, 0, 4)
    lab.click("vertical flip")
    lab.wait_text(".cplab-readout", "^Vertical flip from epoch 0 to 4 ends at")
    lab.click("blur")
    lab.wait_text(".cplab-readout", "^Blur from epoch 0 to 4 ends at")


def test_a_click_on_the_map_chooses_the_point(lab):
    choose(lab, 1, 1)
    lab.wait_text(".cplab-readout", "^Not trained")
    lab.tap("map", "2", "4")
    lab.wait_text(".cplab-readout", "^Blur from epoch 2 to 6 ends at")
    lab.tap("map", "0", "2")
    lab.wait_text(".cplab-readout", "^Blur from epoch 0 to 2 ends at")
    lab.wait_for("the slider", lambda: value(lab, ".cplab-onset") == 0)


def test_train_trains_a_point_between_and_puts_it_on_the_map(lab):
    choose(lab, 1, 3)
    lab.wait_text(".cplab-readout", "^Not trained: Blur from epoch 1 to 4. Its trained neighbours")
    lab.click("Train this point")
    lab.wait_text(".cplab-estimate", r"^live, seed 0: [\d.]+ %", timeout=120)
    lab.wait_text(".cplab-readout", r"^Blur from epoch 1 to 4 ends at [\d.]+ % \(1 seed\)")
    live = lab.wait_for(
        "the whole curve", lambda: lab.source("live"), lambda live: len(live["epoch"]) == 7
    )
    lab.wait_for("the same curve", lambda: live["mean"] == lab.source("this")["mean"])
    again = lab.find(".jupyter-button:text-is('Train it again')")
    lab.wait_for("Train it again", lambda: again.count() and again.is_enabled())
    lab.wait_for("no Stop", lab.find(".jupyter-button:text-is('Stop')").is_disabled)
    lab.tap("map", "2", "2")
    lab.wait_text(".cplab-readout", "^Blur from epoch 2 to 4 ends at")
    lab.tap("map", "1", "3")
    lab.wait_text(".cplab-readout", "^Blur from epoch 1 to 4 ends at")


def test_the_code_of_the_chosen_point_can_be_copied(lab):
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    choose(lab, 2, 4)
    lab.wait_text(".cplab-code", "onset=2, length=4")
    lab.find(".cplab-code a").click()
    copied = lab.page.evaluate("navigator.clipboard.readText()")
    assert copied == "cplab.run(deficit='blur', onset=2, length=4, profile='ci', seed=0)"


def titles(lab, begin):
    """The titles of the figures on the page that begin so."""
    return [title for title in lab.page.evaluate(TITLES) if title.startswith(begin)]


def test_the_buttons_choose_the_schedule_of_the_figures(lab):
    lab.wait_for("its figure", lambda: len(titles(lab, "recovery schedule: live")) == 2)
    lab.click("paper")
    lab.wait_for("its figure", lambda: titles(lab, "paper schedule: no records yet"))
    assert len(titles(lab, "recovery schedule: live")) == 1  # that of section 4


def test_stop_ends_a_long_training_and_train_goes_on(browser, server):
    with open_lab(browser, server) as lab:
        lab.open("long.ipynb")
        lab.run_all()
        lab.wait_text(".cplab-readout", "^Not trained: Vertical flip from epoch 2000 to 2001")
        for _ in range(2):
            lab.click("Train this point")
            lab.wait_text(".cplab-estimate", "^epoch [0-9]+ of 2004", timeout=60)
            lab.wait_for("a curve that grows", lambda: len(lab.source("live")["epoch"]) > 2)
            lab.click("Stop")
            lab.wait_text(".cplab-estimate", "^stopped: Train goes on", timeout=60)
            lab.wait_for("no Stop", lab.find(".jupyter-button:text-is('Stop')").is_disabled)
        assert lab.text(".cplab-readout").startswith("Not trained")


def test_a_broken_callback_turns_this_suite_red(browser, server):
    """JupyterLab shows nobody what a callback raises; these tests must."""
    with open_lab(browser, server) as lab:
        lab.open("broken.ipynb")
        lab.run_all()
        lab.move_slider(".cplab-length", -1)
        with pytest.raises(AssertionError, match="ZeroDivisionError: broken"):
            lab.wait_text(".cplab-readout", "Blur from epoch 0 to 7")
        lab.problems.clear()


def test_the_shipped_records_are_there_with_five_seeds(browser, server):
    plain = Run(profile="course")
    usual = {n: getattr(plain, n) for n in ("model", "optimizer", "arithmetic", "trace")}
    rows = records.table(profile="course", dataset="cifar10", deficit="blur", onset=0)
    rows = rows[(rows[[*usual]] == [*usual.values()]).all(axis=1) & (rows.source == "shipped")]
    seeds = rows.groupby(["schedule", "length"]).seed.nunique()
    lengths = [length for schedule, length in seeds[seeds >= 5].index if schedule == "recovery"]
    if len(lengths) < 2:
        pytest.skip("course records with five seeds are not shipped yet")
    with open_lab(browser, server) as lab:
        lab.open("shipped.ipynb")
        lab.run_all()  # in two minutes, so without training
        assert "not trained yet" not in lab.text(".cplab-prediction")
        assert re.match("cached · course · cifar10", lab.text(".cplab-status"))
        for length in lengths:
            choose(lab, 0, length)
            words = lab.wait_text(".cplab-readout", f"^Blur from epoch 0 to {length} ends at")
            assert f"({seeds['recovery', length]} seeds)" in words
        for schedule in {schedule for schedule, _ in seeds.index}:
            lab.click(schedule)
            lab.wait_for(
                f"the figure of {schedule}",
                lambda schedule=schedule: titles(lab, f"{schedule} schedule: cached · course"),
            )
