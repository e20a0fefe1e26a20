"""Questions and the explorer: as a file, without scripts, in JupyterLab, and there untrusted."""

import json
import re

import nbformat
import numpy as np
import pytest
from browser import axe_finds, jupyterlab, open_notebook, plain_page
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from playwright.sync_api import expect

import cplab
from cplab import estimates
from cplab.lab.explorer_data import Point

CELLS = (
    """import ipywidgets, pandas as pd
from IPython.display import display
import cplab
from cplab import lab, show
figures = {n: show.figure(f"n is {n}", "x", "y") for n in range(1, 8)}""",
    """lab.question("Which <one>?", {"this & that": 1, "neither": 0}, right=0,
    found="p < 0.05 it was.", figure=[figures[3], [figures[1], figures[2]]],
    more=pd.DataFrame({"a": [47]}),
    feedback={"this & that": "Then 1 < 0.", "neither": "Then nothing."})""",
    """lab.Prediction({"known": [65, 66]}, {"first": [60, 61, 62], "second": [50, 51, 52]},
    found="So it is.")""",
    "lab.slide(figures)",
    'lab.switch({"blur": figures[1], "flip": "<p>a flip</p>"})',
    "cplab.Explorer()",
    'lab.hand_in("02")',
    """called, button = ipywidgets.Output(), ipywidgets.Button(description="go")
def show_all(_):
    with called:
        print("by a callback")
        setting = cplab.Explorer("ci", schedule="fixed", onset=2, length=2, recovery=3)
        display(figures[2], lab.question("Question?", ["yes", "no"]), setting)
button.on_click(show_all)
display(ipywidgets.Accordion([ipywidgets.VBox([button, called])], selected_index=0))
ipywidgets.interact(lambda n: display(lab.question(f"Number {n}?", ["yes", "no"])), n=(1, 4));""",
)


@pytest.fixture(scope="module")
def executed():
    """The notebook as it is saved, but for its last cell."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in CELLS[:-1]])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    return NotebookClient(made, timeout=300, kernel_name="python3").execute()


@pytest.fixture(scope="module")
def file(executed, tmp_path_factory):
    """The notebook as nbconvert exports it."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    exporter = HTMLExporter(mathjax_url="", require_js_url="")
    path.write_text(exporter.from_notebook_node(executed)[0], "utf-8")
    return path


COLUMNS = """([name]) => [...Bokeh.documents].flatMap((doc) => [...doc._all_models.values()])
  .filter((model) => model.name === name && model.data).map(({data}) => data)[0]"""


@pytest.fixture
def page(chromium, file):
    """That file in a browser, at the width of a cell's output on a laptop."""
    with plain_page(chromium, viewport={"width": 1180, "height": 720}) as one:
        one.goto(file.as_uri())
        one.wait_for_function("globalThis.Bokeh?.documents?.length === 3")
        one.wait_for_function(f"({COLUMNS})(['own'])?.x?.length > 0")
        yield one


# Questions ----------------------------------------------------------------------------------------


def test_an_answer_is_judged_seen_and_kept_and_can_be_given_again(page):
    asked = page.locator("cplab-question").first
    asked.get_by_role("button", name="Reveal").click()  # before there is an answer
    assert not asked.locator("img").first.is_visible()
    asked.get_by_role("radio").nth(0).check()
    assert "It was: neither. You said: this & that." in asked.inner_text()
    assert "p < 0.05 it was." in asked.inner_text()
    assert "Then 1 < 0." in asked.inner_text()
    page.reload()
    assert "You said: this & that." in asked.inner_text()
    asked.get_by_role("button", name="again").click()
    assert "p < 0.05" not in asked.inner_text()
    page.evaluate("scrollTo(0, 0)")
    asked.get_by_role("radio").nth(1).check()
    asked.get_by_role("button", name="Reveal").click()
    assert "It was: neither ✓" in asked.inner_text()
    assert "Then" not in asked.inner_text()
    page.wait_for_function("""() => {  // question and picture are on one screen
      const asked = document.querySelector("cplab-question"), picture = asked.querySelector("img");
      return asked.getBoundingClientRect().top >= -1 && picture.complete
        && picture.getBoundingClientRect().bottom <= 720;
    }""")


def test_what_was_answered_first_is_handed_in_as_one_line_without_a_name(page):
    handed = page.locator("cplab-hand-in")
    line = handed.get_by_label("what is handed in")
    assert json.loads(line.input_value())["answers"] == []
    asked = page.locator("cplab-question").first
    for place in (0, 1):  # once more, when the answer was seen
        asked.get_by_role("radio").nth(place).check()
        asked.get_by_role("button", name="Reveal").click()
        asked.get_by_role("button", name="again").click()
    guess = page.locator("cplab-prediction")
    for slider in guess.get_by_role("slider").all():
        slider.press("ArrowRight")
    guess.get_by_role("slider").last.press("Enter")
    content = json.loads(line.input_value())
    [answer] = content["answers"]
    assert answer == {"asked": "Which <one>?", "said": "this & that", "right": "neither"}
    first, second = content["guesses"]
    assert (first["of"], first["said"], first["measured"]) == ("first", 50.5, 61)
    assert (second["said"], second["unit"], content["passed"]) == (50.5, "%", [])
    assert "name" not in content
    handed.get_by_label("Name").fill("Ada")
    with page.expect_download() as download:
        handed.get_by_role("button", name="Download").click()
    text = download.value.path().read_text("utf-8")
    assert json.loads(text) == content | {"name": "Ada"}
    assert text.count("\n") == 1


def test_a_guess_is_near_or_off_by_so_much_and_frames_move(page):
    page.add_style_tag(content="main { height: 260px; overflow: auto }")  # as in JupyterLab
    guess = page.locator("cplab-prediction")
    for slider in guess.get_by_role("slider").all():
        assert "Covered" in guess.inner_text()
        slider.press("ArrowRight")  # from the middle: 50 to 50.5
    guess.get_by_role("slider").last.press("Enter")
    expect(guess.locator(".cplab-found")).to_be_in_viewport(ratio=0.9)
    said = guess.inner_text()
    assert "first: measured 61.0 ± 2.5 %, you 50.5 %: 10.5 too low" in said
    assert "you 50.5 %: near" in said
    slide = page.locator("cplab-slide")
    slide.get_by_role("slider").press("ArrowRight")
    assert slide.locator(".cplab-now img").get_attribute("alt").startswith("n is 2")
    slide.get_by_role("button", name="play").click()
    page.wait_for_function("document.querySelector('cplab-slide input').value === '6'")
    switch = page.locator("cplab-switch")
    switch.get_by_role("button", name="flip").click()
    assert switch.get_by_text("a flip", exact=True).is_visible()
    assert not switch.locator("img").is_visible()


def test_without_scripts_all_is_there_and_what_is_covered_can_be_unfolded(chromium, file):
    with plain_page(chromium, java_script_enabled=False) as page:
        page.goto(file.as_uri())
        asked = page.locator("cplab-question")
        assert not asked.locator("img").first.is_visible()
        asked.locator("summary").first.click()
        assert asked.locator("img").first.is_visible()
        assert page.locator("cplab-slide img:visible").count() == 1
        assert "points behind" in page.locator("cplab-explorer").inner_text()
        assert page.locator("cplab-explorer img").is_visible()


# The explorer -------------------------------------------------------------------------------------

CELL = """([onset, length]) => {
  const map = [...Bokeh.index.query((v) => v.frame && v.model.x_range.factors)][0];
  const box = map.el.getBoundingClientRect(), {x_scale, y_scale} = map.frame;
  return [box.x + x_scale.compute(onset), box.y + y_scale.compute(length)];
}"""


@pytest.fixture(scope="module")
def explorer():
    return cplab.Explorer()


def place(page):
    names = ("onset", "length", "recovery")
    return {name: int(page.locator(f"[type=number][name={name}]").input_value()) for name in names}


def assert_says_what_python_does(page, explorer):
    explorer.choose(**place(page))
    head, small = page.locator(".cplab-x > p").all_inner_texts()
    assert explorer.words == f"{head} ({small})"


def test_keys_a_drag_and_clicks_move_it(page, explorer):
    assert_says_what_python_does(page, explorer)
    trained = {(o, n) for d, o, n in explorer.setting.points() if d == "blur"}
    page.locator("[type=number][name=onset]").fill("-5")
    page.keyboard.press("Enter")
    keys = {"length": "ArrowRight", "onset": "ArrowUp", "begin": "ArrowLeft", "rest": "ArrowLeft"}
    for grip, key in keys.items():
        before = place(page)
        page.locator(f"[data-grip={grip}]").press(key)
        now = place(page)
        assert now != before
        assert grip != "length" or now["onset"] == before["onset"] == 0
        assert (now["onset"], now["length"]) in trained
        assert_says_what_python_does(page, explorer)
    box = page.locator("[data-grip=onset]").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    page.mouse.down()
    seen = set()
    for step in range(12):  # it answers while it is dragged, at trained points alone
        page.mouse.move(box["x"] + box["width"] / 2 + 40 * (step - 6), box["y"] + 10)
        seen.add((place(page)["onset"], place(page)["length"]))
    page.mouse.up()
    assert len(seen) > 1
    assert seen <= trained
    page.mouse.click(*page.evaluate(CELL, ["24", "16"]))
    page.wait_for_function("document.querySelector('[type=number][name=onset]').value == 24")
    assert_says_what_python_does(page, explorer)


def read(page, figure):
    """What a figure says of the place that is looked at."""
    return page.locator(".cplab-x h4 small").nth(figure).inner_text()


def test_a_curve_says_its_value_interval_and_seeds_under_the_pointer_and_with_keys(page, explorer):
    life = page.locator("[data-is=life]")
    life.hover()
    under = re.search(r"after (\d+) clear epochs: this one ([\d.]+) ± ([\d.]+) %", read(page, 0))
    life.press("ArrowRight")
    beside = re.search(r"after (\d+) clear epochs: this one", read(page, 0))
    assert int(beside[1]) == int(under[1]) + 1
    curves = explorer.setting.curves(Point("blur", 0, 16), 60)
    mean, half = estimates.mean_of_curves([*curves.values()])
    at = 16 + int(under[1]) - 1
    assert float(under[2]) == pytest.approx(mean[at], abs=0.11)
    assert float(under[3]) == pytest.approx(half[at], abs=0.11)
    assert f"({len(curves)} seeds), clear " in read(page, 0)


def test_the_map_says_a_cell_s_harm_interval_and_seeds_under_the_pointer_and_with_keys(
    page, explorer
):
    harm = explorer.setting.harm(Point("blur", 24, 16), 60)
    words = f"onset 24, length 16: {harm} points ({harm.seeds} seeds"
    said = page.locator(".cplab-x h4 small").nth(2)
    cells = page.locator("[data-is=map]")
    cells.scroll_into_view_if_needed()
    page.mouse.move(*page.evaluate(CELL, ["24", "16"]), steps=4)
    expect(said).to_contain_text(words)
    cells.press("ArrowLeft")
    expect(said).not_to_contain_text(words)
    cells.press("ArrowRight")
    expect(said).to_contain_text(words)


def test_a_finger_reads_a_curve(chromium, file):
    with plain_page(chromium, has_touch=True, viewport={"width": 1180, "height": 720}) as page:
        page.goto(file.as_uri())
        page.wait_for_function(f"({COLUMNS})(['own'])?.x?.length > 0")
        page.locator("[data-is=life]").tap()
        expect(page.locator(".cplab-x h4 small").first).to_contain_text("clear epochs: this one")


def test_a_link_keeps_the_point(page, explorer):
    before = place(page)
    page.get_by_role("button", name="vertical flip").click()
    page.locator("[type=number][name=length]").press("ArrowUp")
    here = place(page)
    page.reload()
    assert place(page) == here != before
    assert "upside-down" in page.locator(".cplab-x [data-is=head]").inner_text()
    page.evaluate("location.hash = '#deficit=noise&onset=24&length=16&recovery=30'")
    page.wait_for_function("document.querySelector('[type=number][name=onset]').value == 24")
    explorer.choose(deficit="noise")
    assert_says_what_python_does(page, explorer)


def test_lines_are_those_of_python_and_what_nobody_trained_has_none(page, explorer):
    def columns(name):
        return page.evaluate(COLUMNS, [name])

    curves = explorer.setting.curves(Point("blur", 0, 16), 60)
    mean = np.mean([curve[16:] for curve in curves.values()], axis=0)
    assert columns("own")["mean"] == pytest.approx(mean, abs=0.051)
    page.locator("[name=seeds]").check()
    assert len(columns("own seeds")["xs"]) == len(curves)
    page.get_by_role("button", name="clear epochs").click()
    bracket = columns("bracket")
    harm = explorer.setting.harm(Point("blur", 0, 16), 60)
    stood = explorer.setting.clear_epochs_to(0, 60, harm.mean)
    assert (bracket["x0"][0], bracket["x1"][0]) == pytest.approx((stood, 60), abs=0.01)
    page.locator("[type=number][name=onset]").fill("3")
    page.locator("[type=number][name=onset]").press("Enter")
    assert "No results" in page.locator(".cplab-x [data-is=head]").inner_text()
    for name in ("own", "own seeds", "dip", "bracket", "tag"):
        assert not any(columns(name).values()), name
    assert "needs Python" in page.locator(".cplab-x [data-is=message]").inner_text()


# How it looks -------------------------------------------------------------------------------------

OURS = ":is(cplab-question, cplab-prediction, cplab-slide, cplab-switch, cplab-explorer)"
FITS = """wide => [...document.querySelectorAll('cplab-explorer, cplab-question')].every((box) =>
  box.scrollWidth <= wide && box.getBoundingClientRect().right <= wide)"""


@pytest.mark.parametrize(
    ("width", "ground", "ink"), [(1180, "#111", "#fff"), (390, "#fff", "#111")]
)
def test_it_fits_and_axe_finds_nothing(page, width, ground, ink):
    page.set_viewport_size({"width": width, "height": 720})
    page.evaluate("bright => (document.body.dataset.jpThemeLight = bright)", ground == "#fff")
    rule = f"{{ background: {ground}; color: {ink}; }}"
    page.add_style_tag(content=f"body, .jp-RenderedHTMLCommon {rule}")
    page.locator("cplab-question").first.get_by_role("radio").first.check()
    page.locator("cplab-question").first.get_by_role("button", name="Reveal").click()
    page.wait_for_function(FITS, arg=width)  # figures follow the window in a moment
    assert width < 1000 or page.locator(".cplab-x").bounding_box()["height"] <= 640
    texts = f"""[...document.querySelectorAll("{OURS} *")].map((one) =>
      parseFloat(getComputedStyle(one).fontSize))"""
    assert min(page.evaluate(texts)) >= 11
    picture = page.locator("cplab-question img:visible").first.bounding_box()
    assert picture["width"] >= 640  # 13 pixels become 11
    found = axe_finds(page, OURS)
    assert not [one for one in found if one[0] in ("serious", "critical")]


# In JupyterLab ------------------------------------------------------------------------------------

AT = "at => jupyterapp.shell.currentWidget.content.activeCellIndex === at"
SELECT = """at => {
  const notebook = jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = at;
  notebook.activeCell.node.focus();
}"""
FOCUSED = "jupyterapp.shell.currentWidget.content.activeCell.node === document.activeElement"


def test_in_jupyterlab_the_keyboard_goes_on_and_nothing_vanishes(executed, chromium, tmp_path):
    nbformat.write(executed, tmp_path / "untrusted.ipynb")
    live, asks = nbformat.from_dict(executed), []
    live.cells = [nbformat.v4.new_code_cell(one) for one in CELLS]
    # as in a lab; a visible cell has JupyterLab's own buttons between it and its output
    live.cells[1].metadata.jupyter = {"source_hidden": True}
    nbformat.write(live, tmp_path / "live.ipynb")
    with (
        jupyterlab(tmp_path) as server,
        plain_page(chromium, viewport={"width": 1366, "height": 768}) as page,
    ):
        page.on("request", lambda asked: asks.append(asked.url))
        notebook, keys = open_notebook(page, server, "live.ipynb"), page.keyboard
        keys.press("Escape")
        for cell in (0, 1):
            keys.press("Shift+Enter")
            page.wait_for_function(AT, arg=cell + 1)
        asked = notebook.locator("cplab-question").first
        asked.get_by_role("radio").first.wait_for()
        for cell, key in ((1, "Tab"), (2, "Shift+Tab")):  # its own, and the one below it
            page.evaluate(SELECT, cell)
            page.wait_for_function(FOCUSED)
            keys.press(key)
            assert page.evaluate("document.activeElement.type") == "radio"
        keys.press("Space")
        while not asked.get_by_role("radio").nth(1).is_checked():
            keys.press("ArrowUp")  # which is not the notebook's
        keys.press("Enter")
        expect(asked).to_contain_text("It was: neither ✓")

        page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
        expect(asked).to_contain_text("It was: neither ✓")  # as it was answered
        last = notebook.locator(".jp-Cell").last
        last.scroll_into_view_if_needed()
        last.get_by_role("button", name="go").press("Enter")
        box = last.locator(".jp-OutputArea").filter(has_text="by a callback").last
        for part in ("img[alt^='n is 2']", "cplab-question", ".cplab-x"):
            box.locator(part).first.wait_for()
        expect(last).to_contain_text("Number 2?")
        small = last.locator(".cplab-x").last
        small.get_by_role("button", name="Train").wait_for()  # Python has answered
        small.get_by_role("button").first.focus()
        while page.evaluate("document.activeElement.textContent") != "Train":
            keys.press("Tab")  # by way of numbers, units and figures
        keys.press("Enter")
        expect(small.locator("[data-is=head]")).to_contain_text("3 seeds")
        expect(small.locator("[data-is=message]")).to_contain_text("trained seeds 0, 1, 2")
        assert page.evaluate("document.activeElement.textContent") == "Train"
        assert notebook.locator("[data-mime-type$=stderr]").count() == 0
        page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        expect(small.locator("[data-is=message]")).to_contain_text("restarted")
        assert not small.get_by_role("button", name="Train").is_visible()

        notebook = open_notebook(page, server, "untrusted.ipynb")
        asked = notebook.locator("details").filter(has_text="It was: neither").first
        asked.wait_for()
        assert not asked.locator("img").first.is_visible()
        asked.locator("summary").first.click()
        asked.locator("img").first.wait_for()
        assert notebook.locator("cplab-question").count() == 0
    near = (server[0], "data:", "blob:")  # nothing is asked of another computer
    assert not [url for url in asks if not url.startswith(near)]


def test_an_explorer_carries_its_library_and_a_question_does_not(executed):
    sizes = [len(json.dumps(cell.outputs)) for cell in executed.cells]
    assert max(sizes[1:5]) < 250_000
    assert 400_000 < sizes[5] < 1_200_000
