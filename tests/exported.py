"""Outputs of cells on a page that nbconvert exported, for tests: what is done there, and looks."""

import nbformat
from IPython.core.formatters import DisplayFormatter
from nbconvert import HTMLExporter

PHONE = {"width": 390, "height": 720}
FITS = """(wide) => [...document.querySelectorAll("cplab-explorer, cplab-question")].every(
  (box) => box.scrollWidth <= wide && box.getBoundingClientRect().right <= wide)"""


def output_of(shown):
    """An output as a notebook keeps it."""
    formats, _ = DisplayFormatter().format(shown)
    return nbformat.v4.new_output("display_data", formats)


def export(path, outputs):
    """Write a notebook of some outputs as nbconvert exports it."""
    cells = [nbformat.v4.new_code_cell("shown", outputs=[output]) for output in outputs]
    exporter = HTMLExporter(mathjax_url="", require_js_url="")
    page, _ = exporter.from_notebook_node(nbformat.v4.new_notebook(cells=cells))
    path.write_text(page, "utf-8")
    return path


def answer(asked, place):
    """Choose an answer, and reveal what is right."""
    asked.get_by_role("radio").nth(place).check()
    asked.get_by_role("button", name="Reveal").click()


def darken(page):
    """Set a page's colours as JupyterLab's dark theme does."""
    page.evaluate("document.body.dataset.jpThemeLight = false")
    page.add_style_tag(content="body, .jp-RenderedHTMLCommon {background: #111; color: #fff}")


def lighten(page):
    page.evaluate("document.body.dataset.jpThemeLight = true")
    page.add_style_tag(content="body, .jp-RenderedHTMLCommon {background: #fff; color: #111}")
