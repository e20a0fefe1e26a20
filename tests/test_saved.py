"""What is left of a notebook without Python: exported, saved and opened the next day, on a page."""

import base64
import io
import json
import re

import lab_browser
import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter
from PIL import Image

CELLS = (
    """import pandas as pd
from bokeh.models import ColumnDataSource
from cplab import lab, show
from cplab.studies import kitten
from cplab.show.theme import plain_figure

def point(n):
    fig = plain_figure(f"n = {n}", "x", "y", x_range=(0, 5), y_range=(0, 20), name=f"point {n}")
    fig.scatter("x", "y", source=ColumnDataSource({"x": [n], "y": [n * n]}, name="it"))
    return fig

show.display(point(1))""",
    """asked = lab.choice("Which?", ["this", "that"], lambda: [point(2), pd.DataFrame({"a": [47]})],
                   right="that", found="That </script> it was.", more="even more")
asked""",
    """guess = lab.Prediction({"known": [0.5]}, {"first": [0.6, 0.62]}, source="here")
guess""",
    "lab.Switch(['one', 'two'], lambda word: point(len(word)))",
    """slide = lab.Slide(
    point(1), [1, 2, 3], lambda n: {"it": {"x": [n], "y": [n * n]}}, "n is {}".format
)
slide""",
    "kitten.Fitting(lambda t, a: a * t, [0, 1, 2], [0, 1.1, 1.9], {'a': 0.5}, {'a': (0, 2)})",
)


@pytest.fixture(scope="module")
def notebook():
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in CELLS])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    return made


@pytest.fixture(scope="module")
def executed(notebook):
    """As papermill and nbconvert run it, written and read again."""
    ran = NotebookClient(nbformat.from_dict(notebook), timeout=300, kernel_name="python3").execute()
    return nbformat.reads(nbformat.writes(ran), as_version=4)


def test_each_output_has_a_picture_and_words_and_no_object(executed):
    for cell in executed.cells:
        data = [output.data for output in cell.outputs]
        assert not any("object at 0x" in one.get("text/plain", "") for one in data)
        assert not any("widget-view" in mime for one in data for mime in one)
        [picture] = [one["image/png"] for one in data if "image/png" in one]
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            assert image.size[0] >= 400
            assert len(image.convert("RGB").getcolors(100_000)) > 5
        assert any(one.get("text/markdown") for one in data)


def test_markdown_has_the_pictures_and_the_words(executed):
    text, resources = MarkdownExporter().from_notebook_node(executed)
    assert len(re.findall(r"!\[png\]", text)) == len(CELLS) == len(resources["outputs"])
    for words in ("Which?", "That </script> it was.", "| 47 |", "measured 61", "n is 1"):
        assert words in text


MOVED = (
    """import cplab
run = cplab.Run(profile="ci", recovery=1)
live = lab.Live({"it": run}, lambda run: {}, ["test_accuracy"], measure=())
live""",
    """asked.answer, asked.revealed, slide.index = "this", True, 2
live.train.click()
live.job.wait(200)""",
)


def test_a_widget_is_written_again_as_it_was_last_seen(executed):
    """From Python, as from the page, also if the last cell moves it: it stands in the file."""
    ran = nbformat.from_dict(executed)
    ran.cells = [nbformat.v4.new_code_cell(one) for one in (*CELLS[:2], CELLS[4], *MOVED)]
    NotebookClient(ran, timeout=300, kernel_name="python3").execute()
    wanted = ("You said: this.", "n is 3", "live, seed 0: ")
    for cell, words in zip(ran.cells[1:], wanted, strict=False):
        assert words in "\n".join(one.data.get("text/plain", "") for one in cell.outputs)


@pytest.fixture(scope="module")
def chromium():
    with lab_browser.chromium() as browser:
        yield browser


def answer(page):
    """Answer both questions, move the slide and the switch, with the keyboard and the mouse."""
    choice, guess = page.locator(".cplab-prediction").all()
    choice.get_by_role("radio").nth(0).check()
    choice.get_by_role("button", name="Reveal").click()
    guess.get_by_role("button", name="Reveal").click()  # also before it is answered
    guess.locator("input[type=range]").press("ArrowRight")
    page.get_by_role("button", name="two").click()
    for _ in range(2):
        page.locator(".cplab-slide input").press("ArrowRight")


def seen(page):
    """What the page says of it, once it is there."""
    page.wait_for_function("document.querySelectorAll('.cplab-verdict').length === 2")
    page.wait_for_function("document.querySelectorAll('.cplab-figure').length >= 6")
    judged = page.locator(".cplab-verdict").all_text_contents()
    return *judged, page.locator(".cplab-slide-words").text_content()


SAID = ("It was: that. You said: this.", "first: you 50.5, measured 61 ± 13 %", "n is 3")
DATA = (
    "name => [...Bokeh.documents].flatMap(d => [...d._all_models.values()])"
    ".filter(m => m.name === name && m.data).map(m => [...m.data.x])"
)


def test_exported_html_is_alive_without_python_and_without_a_network(executed, chromium, tmp_path):
    exporter = HTMLExporter(mathjax_url="", require_js_url="")
    path = tmp_path / "page.html"
    path.write_text(exporter.from_notebook_node(executed)[0], "utf-8")
    page, problems = chromium.new_page(), []
    page.on("pageerror", lambda error: problems.append(error.stack))
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelectorAll('.cplab-figure').length >= 4")
    assert page.locator(".cplab-found").count() == 0  # covered
    answer(page)
    assert seen(page) == SAID
    assert page.evaluate(DATA, "guess") == [[0.505]]
    assert [3] in page.evaluate(DATA, "it")
    assert page.locator(".cplab-found").all_text_contents() == ["That  it was."]  # HTML
    assert page.get_by_text("needs Python").count() == 1  # the fit
    assert not problems
    page.close()


def test_what_was_answered_in_jupyterlab_is_there_the_next_day(notebook, chromium, tmp_path):
    """And while Python is there, it knows what was answered, and a fit is a fit."""
    nbformat.write(notebook, tmp_path / "saved.ipynb")
    with (
        lab_browser.jupyterlab(tmp_path, env={"OMP_NUM_THREADS": "1"}) as server,
        lab_browser.page(chromium, server) as lab,
    ):
        lab.open("saved.ipynb")
        lab.run_all()
        answer(lab.page)
        assert seen(lab.page) == SAID
        lab.click("Fit")
        lab.page.get_by_text("R² =").wait_for()
        ends = f"() => ({DATA.replace('m.data.x', 'm.data.mean.slice(-1)')})('curve')"
        lab.wait_for(  # which Python changed meanwhile: 0.98 t, up to 2.3
            "its curve",
            lambda: lab.page.evaluate(ends),
            lambda rows: rows == [[pytest.approx(0.98 * 2.3)]],
        )
        told = "asked.answer, asked.revealed, guess.answer, slide.index"
        wanted = "('this', True, {'first': 50.5}, 2)"
        lab.wait_for("the answers in Python", lambda: lab.value(told), lambda v: v == wanted)
        saved = server.folder / "saved.ipynb"
        save = "jupyterapp.commands.execute('docmanager:save')"
        lab.wait_for(
            "the file",
            lambda: (lab.page.evaluate(save), saved.read_text("utf-8"))[1],
            lambda text: SAID[0] in text and "R² =" in text,
        )
        lab.leave()
        assert "widget-view" not in json.dumps(nbformat.read(saved, as_version=4).cells)
        lab.page.goto(f"{server.url}/lab/tree/saved.ipynb?reset&token={server.token}")
        assert seen(lab.page) == SAID
        lab.page.get_by_text("needs Python").wait_for()
        assert lab.page.get_by_text("model not found").count() == 0
        lab.check()
