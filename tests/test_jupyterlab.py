"""Labs in JupyterLab: questions by keyboard, output of callbacks, training; and one not trusted.

One page opens both notebooks, and nearly all tests share one, since opening one with its kernel
takes seconds. A fixture for each state, such as `answered`, leads there from the one before, so
that any test can be run alone. Python is restarted last, since no state is left after it.
"""

import re

import nbformat
import pytest
from browser import jupyterlab, open_jupyterlab, open_notebook, plain_page
from IPython.core.formatters import DisplayFormatter
from playwright.sync_api import expect

from cplab import lab, show

LAPTOP = {"width": 1366, "height": 768}

LIBRARIES = """import ipywidgets
from IPython.display import display
from cplab import Explorer, Run, lab, show
figures = {n: show.figure(f"n is {n}", "x", "y") for n in range(1, 4)}"""
QUESTION = """lab.question("Which <one>?", {"this & that": 1, "neither": 0}, right=0,
    finding="p < 0.05 it was.", figure=figures[3])"""
SLIDE = "lab.slide(figures)"
CALLBACK = """called, button = ipywidgets.Output(), ipywidgets.Button(description="go")
def show_all(_):
    with called:
        print("by a callback")
        small = Explorer("tiny", ["mosaic"], schedule="fixed", onset=2, length=2, recovery=3)
        display(figures[2], lab.question("Question?", ["yes", "no"]), small)
button.on_click(show_all)
display(ipywidgets.Accordion([ipywidgets.VBox([button, called])], selected_index=0))
ipywidgets.interact(lambda n: display(lab.question(f"Number {n}?", ["yes", "no"])), n=(1, 4));"""

SHORT = """run = Run("mosaic", length=1, recovery=1, profile="tiny")
lab.live({"blurred": [run, run.replace(seed=1)]})"""
LONG = """lab.live({"blurred": Run("mosaic", length=9000, recovery=1, profile="tiny")})"""
SCREEN = "screen = lab.Nursery(networks=2, length=5, compare=True); screen"
HARM = "print(screen.harm.seeds, 'pairs have grown up')"


def write_notebook(path, cells):
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)


def code(source):
    return nbformat.v4.new_code_cell(source)


def hidden(source):
    """A cell whose code is folded, as in a lab. A visible one has JupyterLab's own buttons between
    it and its output."""
    cell = code(source)
    cell.metadata.jupyter = {"source_hidden": True}
    return cell


def saved_by_somebody():
    """A cell with a question as its output, which this JupyterLab has not run."""
    question = lab.question("Which?", {"this": 1, "neither": 0}, right=0, figure=show.figure("n"))
    formats, _ = DisplayFormatter().format(question)
    output = nbformat.v4.new_output("display_data", formats)
    return nbformat.v4.new_code_cell(QUESTION, outputs=[output])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A JupyterLab whose folder has all notebooks."""
    folder = tmp_path_factory.mktemp("notebooks")
    others = [SLIDE, SCREEN, HARM, SHORT, LONG, CALLBACK]
    write_notebook(folder / "lab.ipynb", [code(LIBRARIES), hidden(QUESTION), *map(code, others)])
    write_notebook(folder / "untrusted.ipynb", [saved_by_somebody()])
    with jupyterlab(folder) as server:
        yield server


@pytest.fixture(scope="module")
def requests():
    """The addresses that the page asks for."""
    return []


@pytest.fixture(scope="module")
def page(chromium, server, requests):
    """JupyterLab, with no notebook."""
    with plain_page(chromium, viewport=LAPTOP) as page:
        page.on("request", lambda request: requests.append(request.url))
        open_jupyterlab(page, server)
        yield page


RUN_ALL = "jupyterapp.commands.execute('notebook:run-all-cells')"
RUN = "jupyterapp.commands.execute('notebook:run-cell')"  # and wait until it has run
RESTART = "jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
SELECT = """(at) => {
  const notebook = jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = at;
  notebook.activeCell.node.focus();
}"""
ACTIVE = "(at) => jupyterapp.shell.currentWidget.content.activeCellIndex === at"
FOCUSED = "jupyterapp.shell.currentWidget.content.activeCell.node === document.activeElement"


# Questions, by keyboard ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def notebook(page):
    """A lab whose first two cells were run by keys."""
    notebook = open_notebook(page, "lab.ipynb")
    page.keyboard.press("Escape")
    for cell in (0, 1):
        page.keyboard.press("Shift+Enter")
        page.wait_for_function(ACTIVE, arg=cell + 1)
    notebook.locator("cplab-question").first.get_by_role("radio").first.wait_for()
    return notebook


@pytest.fixture(scope="module")
def asked(notebook):
    return notebook.locator("cplab-question").first


@pytest.mark.parametrize(
    ("cell", "key"), [(1, "Tab"), (2, "Shift+Tab")], ids=["its own", "the one below"]
)
def test_a_key_leads_from_a_cell_to_the_question(cell, key, page, asked):
    page.evaluate(SELECT, cell)
    page.wait_for_function(FOCUSED)
    page.keyboard.press(key)
    assert page.evaluate("document.activeElement.type") == "radio"


@pytest.fixture(scope="module")
def answered(page, asked):
    """The question, after an answer by keys that are not the notebook's."""
    asked.get_by_role("radio").first.focus()
    page.keyboard.press("Space")
    while not asked.get_by_role("radio").nth(1).is_checked():
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    return asked


def test_a_question_is_answered_by_keys(answered):
    expect(answered).to_contain_text("It was: neither ✓")


@pytest.fixture(scope="module")
def run_again(page, notebook, answered):
    """The notebook, all of whose cells were run after an answer."""
    page.evaluate(RUN_ALL)
    notebook.locator(".jp-Cell").last.get_by_role("button", name="go").wait_for()
    return notebook


def test_an_answer_stays_when_all_cells_are_run_again(run_again):
    asked = run_again.locator("cplab-question").first
    expect(asked).to_contain_text("It was: neither ✓")


# Output of callbacks ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def last_cell(run_again):
    """The cell with widgets, whose button was pressed."""
    cell = run_again.locator(".jp-Cell").last
    cell.scroll_into_view_if_needed()
    cell.get_by_role("button", name="go").press("Enter")
    return cell


@pytest.mark.parametrize("part", ["img[alt^='n is 2']", "cplab-question", ".cplab-x"])
def test_the_display_of_a_callback_is_shown(part, last_cell):
    output = last_cell.locator(".jp-OutputArea").filter(has_text="by a callback").last
    output.locator(part).first.wait_for()


def test_the_display_of_interact_is_shown(last_cell):
    expect(last_cell).to_contain_text("Number 2?")


@pytest.fixture(scope="module")
def explorer(last_cell):
    """The explorer of a callback, once Python has answered."""
    explorer = last_cell.locator(".cplab-x").last
    explorer.get_by_role("button", name="Train").wait_for()
    return explorer


@pytest.fixture(scope="module")
def trained(page, explorer):
    """The explorer after a press on Train, to which the key Tab has led."""
    explorer.get_by_role("button").first.focus()
    while page.evaluate("document.activeElement.textContent") != "Train":
        page.keyboard.press("Tab")  # by way of other buttons
    page.keyboard.press("Enter")
    return explorer


def test_the_explorer_trains_by_keys(trained):
    expect(trained.locator("[data-is=small]")).to_contain_text("3 seeds")


def test_the_explorer_says_what_it_trained(trained):
    expect(trained.locator("[data-is=message]")).to_contain_text("trained seeds 0, 1, 2")


def test_after_training_the_focus_is_where_it_was(page, trained):
    expect(trained.locator("[data-is=message]")).to_contain_text("trained seeds 0, 1, 2")
    assert page.evaluate("document.activeElement.textContent") == "Train"


def test_nothing_is_written_as_an_error(trained, notebook):
    assert notebook.locator("[data-mime-type$=stderr]").count() == 0


# The nursery --------------------------------------------------------------------------------------

SCREEN_CELL, HARM_CELL = 3, 4
SHORT_LIVES = "(screen) => screen.turn({recovery: 5, digits: 100})"


@pytest.fixture(scope="module")
def nursery(page, run_again):
    """The notebook after networks have grown up on its screen, and Python was told."""
    screen = run_again.locator("cplab-nursery")
    screen.locator("canvas").first.wait_for()
    screen.evaluate(SHORT_LIVES)
    screen.locator("[data-is=start]").click()
    screen.get_by_text("took").wait_for()
    page.wait_for_function("document.querySelector('cplab-nursery').model")
    return run_again


def test_a_cell_that_reads_what_has_grown_too_early_says_what_to_do(run_again):
    run_again.get_by_text("press Train, then run this cell again").wait_for()


def test_a_screen_in_a_notebook_gives_its_harm_to_python(page, nursery):
    page.evaluate(SELECT, HARM_CELL)
    page.keyboard.press("Shift+Enter")
    nursery.get_by_text("2 pairs have grown up").wait_for()


def test_a_picture_of_what_has_grown_is_saved_and_hidden_beside_the_screen(nursery):
    picture = nursery.locator("[data-still] img")
    picture.wait_for(state="attached")
    expect(picture).to_be_hidden()


@pytest.fixture(scope="module")
def screen_again(page, nursery):
    """The notebook after the next Shift+Enter, which runs the cell of the screen again: a click on
    Train has chosen that cell."""
    screen = nursery.locator("cplab-nursery")
    screen.evaluate("(screen) => (screen.hidden = true)")
    page.evaluate(SELECT, SCREEN_CELL)
    page.keyboard.press("Shift+Enter")
    screen.get_by_text("Train 2 more").wait_for()  # not the hidden one
    nursery.locator("[data-still] img").wait_for(state="attached")  # Python has been told
    return nursery


def test_what_has_grown_is_there_when_the_cell_of_its_screen_is_run_again(screen_again):
    expect(screen_again.locator("cplab-nursery [data-is=head]")).to_contain_text("points")


def test_python_has_the_harm_when_the_cell_of_its_screen_is_run_again(page, screen_again):
    page.evaluate(SELECT, HARM_CELL)
    page.evaluate(RUN)
    expect(screen_again.locator(".jp-Cell").nth(HARM_CELL)).to_contain_text("2 pairs have grown up")


# Whether the lower edge of a part of a screen can be seen, in the middle
IN_SIGHT = """(part) => {
  const all = [...document.querySelectorAll(`cplab-nursery [data-is=${part}]`)];
  const box = all.at(-1).getBoundingClientRect();
  const seen = document.elementFromPoint(box.x + box.width / 2, box.bottom - 3);
  return Boolean(seen?.closest(`[data-is=${part}]`));
}"""
SEEN = """[...document.querySelectorAll("cplab-nursery")].at(-1)?.model?.get("state").seen"""
SETTLED = 1000  # milliseconds, after which the screen has come into sight
SMALL = {"width": 1366, "height": 625}  # a laptop, without the bars of its browser


def test_the_button_and_the_figure_are_in_sight_on_a_small_laptop(page, nursery):
    """After Shift+Enter, which scrolls to the next cell."""
    page.set_viewport_size(SMALL)
    page.evaluate(SELECT, SCREEN_CELL)
    page.keyboard.press("Shift+Enter")
    page.wait_for_function(SEEN)
    page.wait_for_timeout(SETTLED)
    in_sight = [page.evaluate(IN_SIGHT, part) for part in ("start", "large")]
    page.set_viewport_size(LAPTOP)
    assert in_sight == [True, True]


# Training -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def short(run_again):
    """Short training, after a press."""
    element = run_again.locator("cplab-train").first
    element.get_by_role("button", name="Train").click()
    return element


@pytest.fixture(scope="module")
def long(run_again):
    return run_again.locator("cplab-train").last


def test_a_press_trains(short):
    expect(short.get_by_role("status")).to_contain_text("trained in")


def test_a_training_is_drawn(short):
    expect(short.locator("img")).to_have_attribute("alt", re.compile("blurred"))


@pytest.fixture(scope="module")
def at_work(long):
    """Training that has begun, and has far to go."""
    long.get_by_role("button", name="Train").click()
    expect(long.locator("[data-is=count]")).to_contain_text("of 9,001 epochs")
    return long


def test_the_count_of_epochs_is_not_spoken(at_work):
    assert at_work.get_by_role("status").inner_text() == ""


# Wait until a press is no longer the second of a double one.
PRESS_COUNTS = """async ({pressed}) => {
  while (Date.now() < pressed + 600) await new Promise((resolve) => setTimeout(resolve, 10));
}"""


@pytest.fixture(scope="module")
def stopped(at_work):
    """Training that was stopped by a press."""
    at_work.evaluate(PRESS_COUNTS)
    at_work.get_by_role("button", name="Stop").click()
    return at_work


def test_training_that_is_stopped_says_so(stopped):
    expect(stopped.get_by_role("status")).to_contain_text("stopped")


@pytest.fixture(scope="module")
def held(stopped):
    """Training that was begun again by a key which was held."""
    page = stopped.page
    expect(stopped.get_by_role("status")).to_contain_text("stopped")
    stopped.evaluate(PRESS_COUNTS)
    stopped.get_by_role("button", name="Train").focus()
    for _ in range(6):
        page.keyboard.down("Enter")  # again and again, as a held key does
    page.keyboard.up("Enter")
    return stopped


def test_enter_that_is_held_presses_once(held):
    expect(held.get_by_role("button", name="Stop")).to_be_visible()
    expect(held.locator("[data-is=count]")).to_contain_text("of 9,001 epochs")


@pytest.fixture(scope="module")
def restarted(page, held, trained):
    """The notebook after a restart in the middle of training."""
    expect(held.get_by_role("button", name="Stop")).to_be_visible()
    page.evaluate(RESTART)
    return held


def test_a_restart_in_the_middle_of_training_is_reported(restarted):
    expect(restarted.get_by_role("status")).to_contain_text("Python was restarted")
    assert not restarted.get_by_role("button").is_visible()


@pytest.mark.usefixtures("restarted")
def test_after_a_restart_an_explorer_trains_nothing(trained):
    expect(trained.locator("[data-is=message]")).to_contain_text("restarted")
    assert not trained.get_by_role("button", name="Train").is_visible()


# Not trusted --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def untrusted(page):
    return open_notebook(page, "untrusted.ipynb")


def test_where_a_notebook_is_not_trusted_what_is_covered_can_be_unfolded(untrusted):
    covered = untrusted.locator("details").filter(has_text="It was: neither").first
    covered.wait_for()
    assert not covered.locator("img").first.is_visible()
    covered.locator("summary").first.click()
    covered.locator("img").first.wait_for()


def test_where_a_notebook_is_not_trusted_no_script_runs(untrusted):
    assert untrusted.locator("cplab-question").count() == 0


@pytest.mark.usefixtures("trained", "restarted", "untrusted")
def test_nothing_was_asked_of_another_computer(requests, server):
    address, _ = server
    assert requests
    for request in requests:
        assert request.startswith((address, "data:", "blob:"))
