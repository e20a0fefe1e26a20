"""What a page does with questions and the explorer: as a file without Python, without scripts, in
JupyterLab with Python, and in a copy there that nobody trusts."""

import json

import lab_browser
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

import cplab

CELLS = (
    """import ipywidgets, pandas as pd
from IPython.display import display
import cplab
from cplab import lab, show
early = cplab.Run("blur", length=16, model="depth3-16", schedule="fixed", recovery=60)
figures = {n: show.figure(f"n is {n}", "x", "y") for n in range(1, 8)}""",
    """lab.question("Which <one>?", {"this & that": 1, "neither": 0}, right=0,
    found="p < 0.05 it was.", figure=[figures[3], [figures[1], figures[2]]],
    more=pd.DataFrame({"a": [47]}))""",
    """lab.Prediction({"known": [65, 66]}, {"first": [60, 61, 62], "second": [50, 51, 52]},
    found="So it is.")""",
    "lab.slide(figures)",
    'lab.switch({"blur": figures[1], "flip": "<p>a flip</p>"})',
    "cplab.Explorer()",
    """print("before")
out, later = ipywidgets.Output(), ipywidgets.Output()
with out:
    print("printed inside")
    display(lab.question("Inside?", ["yes", "no"], right="yes"), figures[1])
button = ipywidgets.Button(description="go")
@button.on_click
def go(_):
    with later:
        print("called back")
        display(cplab.Explorer("ci", schedule="fixed", onset=2, length=2, recovery=3))
display(ipywidgets.Tab([ipywidgets.VBox([out, button, later])]))
ipywidgets.interact(lambda n: display(lab.question(f"Number {n}?", ["yes", "no"])), n=(1, 4));""",
    """import threading
folded, drawn, called = (ipywidgets.Output() for _ in range(3))
def show_all(name):
    print(f"printed {name}")
    setting = cplab.Explorer("ci", schedule="fixed", onset=2, length=2, recovery=3)
    display(figures[2], lab.question(f"Question {name}?", ["yes", "no"]), setting)
with folded:
    show_all("folded")
def work(where, name):
    with where:
        show_all(name)
press = ipywidgets.Button(description="press")
press.on_click(lambda _: work(called, "called"))
inner = ipywidgets.VBox([folded, drawn, press, called])
display(ipywidgets.Accordion([inner], selected_index=0))
thread = threading.Thread(target=work, args=(drawn, "drawn"))
thread.start()
thread.join()""",
    "print('the end')",
)


@pytest.fixture(scope="module")
def chromium():
    with lab_browser.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def notebook():
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in CELLS])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    return made


@pytest.fixture(scope="module")
def executed(notebook):
    some = nbformat.from_dict(notebook)
    some.cells = some.cells[:-3]
    return NotebookClient(some, timeout=300, kernel_name="python3").execute()


@pytest.fixture(scope="module")
def file(executed, tmp_path_factory):
    """The notebook as nbconvert exports it."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    exporter = HTMLExporter(mathjax_url="", require_js_url="")
    path.write_text(exporter.from_notebook_node(executed)[0], "utf-8")
    return path


@pytest.fixture
def page(chromium, file):
    """That file in a browser, at the width of a cell's output on a laptop."""
    with lab_browser.plain_page(chromium, viewport={"width": 1180, "height": 720}) as one:
        one.goto(file.as_uri())
        one.wait_for_function("globalThis.Bokeh?.documents?.length === 3")
        one.wait_for_function(f"({COLUMNS})(['own'])?.x?.length > 0")
        yield one


# Questions ----------------------------------------------------------------------------------------


def answer(page, place=1):
    asked = page.locator("cplab-question").first
    asked.get_by_role("radio").nth(place).check()
    asked.get_by_role("button", name="Reveal").click()
    return asked


def test_an_answer_is_judged_and_kept_and_can_be_given_again(page):
    asked = page.locator("cplab-question").first
    asked.get_by_role("button", name="Reveal").click()  # before there is an answer
    assert not asked.locator("img").first.is_visible()
    assert "p < 0.05" not in asked.inner_text()
    asked.get_by_role("radio").nth(0).check()
    assert "It was: neither. You said: this & that." in asked.inner_text()
    assert "p < 0.05 it was." in asked.inner_text()
    page.reload()
    assert "You said: this & that." in asked.inner_text()
    asked.get_by_role("button", name="again").click()
    assert "p < 0.05" not in asked.inner_text()
    assert "It was: neither ✓" in answer(page).inner_text()


def test_after_a_reveal_question_and_picture_are_on_one_screen(page):
    page.evaluate("scrollTo(0, 0)")
    answer(page)
    page.wait_for_function("""() => {
      const asked = document.querySelector("cplab-question"), picture = asked.querySelector("img");
      return asked.getBoundingClientRect().top >= -1 && picture.complete
        && picture.getBoundingClientRect().bottom <= 720;
    }""")


def test_a_guess_is_near_or_off_by_so_much(page):
    guess = page.locator("cplab-prediction")
    sliders = guess.get_by_role("slider").all()
    for slider in sliders:
        assert "Covered" in guess.inner_text()
        slider.press("ArrowRight")  # from the middle: 50 to 50.5
    guess.get_by_role("slider").last.press("Enter")
    said = guess.inner_text()
    assert "first: measured 61.0 ± 2.5 %, you 50.5 %: 10.5 too low" in said
    assert "you 50.5 %: near" in said
    assert guess.locator(".cplab-truth").count() == 2


def test_frames_move_by_keys_by_buttons_and_by_themselves(page):
    slide = page.locator("cplab-slide")
    bar = slide.get_by_role("slider")
    bar.press("ArrowRight")
    assert slide.locator(".cplab-now img").get_attribute("alt").startswith("n is 2")
    slide.get_by_role("button", name="play").click()
    page.wait_for_function("document.querySelector('cplab-slide input').value === '6'")
    slide.get_by_role("button", name="play").wait_for()  # it has stopped
    switch = page.locator("cplab-switch")
    switch.get_by_role("button", name="flip").click()
    assert switch.get_by_text("a flip", exact=True).is_visible()
    assert not switch.locator("img").is_visible()


def test_without_scripts_all_is_there_and_what_is_covered_can_be_unfolded(chromium, file):
    with lab_browser.plain_page(chromium, java_script_enabled=False) as page:
        page.goto(file.as_uri())
        asked = page.locator("cplab-question")
        assert asked.locator("li").all_inner_texts() == ["this & that", "neither"]
        assert not asked.locator("img").first.is_visible()
        asked.locator("summary").first.click()
        assert asked.locator("img").first.is_visible()
        assert "It was: neither" in asked.inner_text()
        page.locator("cplab-prediction summary").click()
        assert "second: measured 51.0" in page.locator("cplab-prediction").inner_text()
        assert page.locator("cplab-slide img:visible").count() == 1
        assert "points behind" in page.locator("cplab-explorer").inner_text()
        assert page.locator("cplab-explorer img").is_visible()


# The explorer -------------------------------------------------------------------------------------

COLUMNS = """([name]) => [...Bokeh.documents].flatMap((doc) => [...doc._all_models.values()])
  .filter((model) => model.name === name && model.data).map(({data}) => data)[0]"""
CELL = """([onset, length]) => {
  const map = [...Bokeh.index.query((v) => v.frame && v.model.x_range.factors)][0];
  const box = map.el.getBoundingClientRect(), {x_scale, y_scale} = map.frame;
  return [box.x + x_scale.compute(onset), box.y + y_scale.compute(length)];
}"""


TAG = """() => {
  const life = [...Bokeh.index.query((v) => v.frame && v.model.renderers.some(
    ({data_source}) => data_source.name === "tag"))][0];
  const {x, text, align} = life.model.renderers.find(
    ({data_source}) => data_source.name === "tag").data_source.data;
  const pen = document.createElement("canvas").getContext("2d"), {x_scale, bbox} = life.frame;
  pen.font = `bold 15px ${life.model.title?.text_font ?? "helvetica"}`;
  const {width} = pen.measureText(text[0]), at = x_scale.compute(x[0]);
  const left = align[0] === "left" ? at : at - width;
  return text[0] && bbox.left <= left && left + width <= bbox.right + 1;
}"""


@pytest.fixture(scope="module")
def explorer():
    return cplab.Explorer()


def columns(page, name):
    return page.evaluate(COLUMNS, [name])


def place(page):
    names = ("onset", "length", "recovery")
    return {name: int(page.locator(f"input.cplab-x-{name}").input_value()) for name in names}


def assert_says_what_python_does(page, explorer):
    explorer.choose(**place(page))
    head, small = (page.locator(f".cplab-x-{name}").inner_text() for name in ("head", "small"))
    assert explorer.words == f"{head} ({small})"


def test_keys_a_drag_and_clicks_move_it(page, explorer):
    assert_says_what_python_does(page, explorer)
    trained = {(o, n) for d, o, n in explorer.setting.points() if d == "blur"}
    keys = {"right": "ArrowRight", "block": "ArrowRight", "left": "ArrowLeft", "rest": "ArrowLeft"}
    for grip, key in keys.items():
        before = place(page)
        page.locator(f".cplab-x-grip.cplab-x-{grip}").press(key)
        now = place(page)
        assert now != before
        assert (now["onset"], now["length"]) in trained
        assert grip in ("block", "left") or now["onset"] == before["onset"]
        assert_says_what_python_does(page, explorer)
    box = page.locator(".cplab-x-grip.cplab-x-block").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    page.mouse.down()
    seen = set()
    for step in range(12):  # it answers while it is dragged, at trained points alone
        page.mouse.move(box["x"] + box["width"] / 2 + 40 * (step - 6), box["y"] + 10)
        seen.add((place(page)["onset"], place(page)["length"]))
    page.mouse.up()
    assert len(seen) > 1
    assert seen <= trained
    for onset, length in (("0", "8"), ("24", "16")):
        page.mouse.click(*page.evaluate(CELL, [onset, length]))
        page.wait_for_function(f"document.querySelector('input.cplab-x-onset').value == {onset}")
        assert place(page)["length"] == int(length)
        assert_says_what_python_does(page, explorer)


def test_seeds_units_and_what_nobody_trained(page, explorer):
    curves = explorer.setting.curves(("blur", 0, 16), 60)
    mean = np.mean([curve[16:] for curve in curves.values()], axis=0)
    assert columns(page, "own")["mean"] == pytest.approx(mean, abs=0.051)
    page.locator("input.cplab-x-seeds").check()
    assert len(columns(page, "own seeds")["xs"]) == len(curves)
    page.get_by_role("button", name="clear epochs").click()
    bracket = columns(page, "bracket")
    stood = explorer.setting.clear_epochs_to(0, 60, explorer.setting.harm(("blur", 0, 16), 60).mean)
    assert (bracket["x0"][0], bracket["x1"][0]) == pytest.approx((stood, 60), abs=0.01)
    page.locator("input.cplab-x-onset").fill("3")
    page.locator("input.cplab-x-onset").press("Enter")
    assert "Nobody has trained" in page.locator(".cplab-x-head").inner_text()
    for name in ("own", "own seeds", "dip", "bracket", "tag"):
        assert not any(columns(page, name).values()), name
    assert not page.locator(".cplab-x-train").is_visible()
    assert "needs Python" in page.locator(".cplab-x-message").inner_text()


# How it looks -------------------------------------------------------------------------------------

GROUND = {"light": "#ffffff", "dark": "#111111"}
OURS = ":is(cplab-question, cplab-prediction, cplab-slide, cplab-switch, cplab-explorer)"


@pytest.mark.parametrize("scheme", GROUND)
@pytest.mark.parametrize("width", [1180, 390])
def test_it_fits_and_axe_finds_nothing(page, scheme, width):
    page.set_viewport_size({"width": width, "height": 720})
    page.evaluate("bright => (document.body.dataset.jpThemeLight = bright)", scheme == "light")
    ink = GROUND["light" if scheme == "dark" else "dark"]
    rule = f"{{ background: {GROUND[scheme]}; color: {ink}; }}"
    page.add_style_tag(content=f"body, .jp-RenderedHTMLCommon {rule}")
    answer(page)
    # figures follow the window in a moment, which may be long on a busy machine
    wide = "wide => [...document.querySelectorAll('cplab-explorer, cplab-question')].every((box) =>"
    wide += " box.scrollWidth <= wide && box.getBoundingClientRect().right <= wide)"
    page.wait_for_function(wide, arg=width)
    page.wait_for_function(TAG)  # the words beside the line are not cut
    high = page.evaluate("document.querySelector('.cplab-x').offsetHeight")
    assert high <= 640 or width == 390
    texts = f"""[...document.querySelectorAll("{OURS} *")].map((one) =>
      parseFloat(getComputedStyle(one).fontSize))"""
    assert min(page.evaluate(texts)) >= 11
    assert (
        page.locator("cplab-question img:visible").first.bounding_box()["width"] >= 640
    )  # 13 pixels become 11
    found = lab_browser.axe_finds(page, OURS)
    assert not [one for one in found if one["impact"] in ("serious", "critical")]


def test_with_forced_colours_one_sees_what_is_pressed_and_the_axes(chromium, file):
    with lab_browser.plain_page(chromium, forced_colors="active", color_scheme="dark") as page:
        page.goto(file.as_uri())
        page.wait_for_function("globalThis.Bokeh?.documents?.length === 3")
        colour = "button => getComputedStyle(button).backgroundColor"
        for box in (".cplab-x", "cplab-switch"):
            pressed = page.locator(f"{box} button[aria-pressed=true]").first.evaluate(colour)
            assert pressed != page.locator(f"{box} button[aria-pressed=false]").first.evaluate(
                colour
            )
        assert page.locator(".cplab-x figure").first.evaluate(colour) == "rgb(255, 255, 255)"


# In JupyterLab ------------------------------------------------------------------------------------

AT = "jupyterapp.shell.currentWidget.content.activeCellIndex"


def test_in_jupyterlab_the_keyboard_goes_on_and_nothing_vanishes(
    notebook, executed, chromium, tmp_path
):
    nbformat.write(notebook, tmp_path / "live.ipynb")
    nbformat.write(executed, tmp_path / "untrusted.ipynb")
    env = {"CPLAB_CACHE": str(tmp_path / "cache")}
    with (
        lab_browser.jupyterlab(tmp_path, env) as server,
        lab_browser.page(chromium, server, 1366, 768) as lab,
    ):
        lab.open("live.ipynb")
        keys = lab.page.keyboard
        keys.press("Escape")

        def run_cell(number):
            keys.press("Shift+Enter")
            lab.wait_for("the next cell", lambda: lab.page.evaluate(AT) == number + 1)

        run_cell(0)
        run_cell(1)
        asked = lab.find("cplab-question").first
        asked.wait_for()
        focus = "document.activeElement.type"

        def back():
            keys.press("Shift+Tab")
            return lab.page.evaluate(focus)

        lab.wait_for("an answer", back, lambda found: found == "radio")  # by way of Reveal
        keys.press("Space")
        for _ in range(2):
            keys.press("ArrowUp")  # which is not the notebook's
        assert asked.get_by_role("radio").nth(1).is_checked()
        keys.press("Enter")
        assert "It was: neither ✓" in asked.inner_text()
        run_cell(1)  # the question again, and on
        said = lab.find("cplab-question").first
        lab.wait_for("what was answered", lambda: "It was: neither ✓" in said.inner_text())
        lab.run_all()
        inside = lab.find(".jp-Cell").nth(6)
        inside.scroll_into_view_if_needed()
        lab.wait_for("the question inside", lambda: "Inside?" in inside.inner_text())
        lab.click("go")
        small = inside.locator(".cplab-x")
        small.wait_for()
        for words in ("before", "printed inside", "Number 2?", "called back"):
            lab.wait_for(words, lambda words=words: words in inside.inner_text())
        fold = lab.find(".jp-Cell").nth(7)
        lab.click("press")
        for name in ("folded", "drawn", "called"):  # in an Accordion; by a thread, by a callback
            box = fold.locator(".jp-OutputArea").filter(has_text=f"Question {name}?").last
            lab.wait_for(f"all of {name}", lambda box=box: box.locator(".cplab-x").is_visible())
            assert f"printed {name}" in box.inner_text()
            for part in ("img[alt^='n is 2']", "cplab-question"):
                box.locator(part).wait_for()
        small.get_by_role("button").first.focus()
        for key in [*["Tab"] * 6, "Enter"]:  # over three numbers, seeds, units
            keys.press(key)
        head, message = small.locator(".cplab-x-head"), small.locator(".cplab-x-message")
        lab.wait_for("a start", lambda: "Nobody" not in head.inner_text())
        lab.wait_for("an interval", lambda: "3 seeds" in head.inner_text())
        lab.wait_for("the end", lambda: "trained seeds 0, 1, 2" in message.inner_text())
        assert lab.page.evaluate("document.activeElement.textContent") == "Train"
        lab.leave()

        lab.open("untrusted.ipynb")
        cells = lab.find(".jp-Notebook")
        asked = lab.find("details").filter(has_text="It was: neither").first
        lab.wait_for("plain HTML", lambda: "Which <one>?" in cells.inner_text())
        assert not asked.locator("img").first.is_visible()
        asked.locator("summary").first.click()
        lab.wait_for("the picture", lambda: asked.locator("img").first.is_visible())
        assert lab.find("cplab-question").count() == 0
        lab.leave()


def test_an_explorer_carries_its_library_and_a_question_does_not(executed):
    sizes = [len(json.dumps(cell.outputs)) for cell in executed.cells]
    assert max(sizes[1:5]) < 250_000
    assert 400_000 < sizes[5] < 1_200_000
