"""All labs with the versions that Colab has: ipywidgets, kernel, Bokeh; in classic Notebook 6.

They need an environment of their own, whose Python `CPLAB_COLAB` names: see docs/release.md. A
module `google.colab` without anything in it stands for Colab's own, so what Colab's page makes of
it all has still to be looked at by hand.
"""

import os
import re
from pathlib import Path

import lab_browser
import nbformat
import pytest

ROOT = Path(__file__).parent.parent
LABS = {path.stem.split("_")[0]: path for path in sorted(ROOT.glob("labs/*.ipynb"))}
PYTHON = os.environ.get("CPLAB_COLAB")
pytestmark = pytest.mark.skipif(
    not PYTHON, reason="CPLAB_COLAB names no Python with Colab's versions: see docs/release.md"
)

STUB = 'import sys, types\nsys.modules["google.colab"] = types.ModuleType("google.colab")'

# Notebook 6 asks for a font that has no address, and for a file that ipywidgets once had.
HARMLESS = (
    r"^Access to font at 'about:blank'|^Failed to load resource: (net::ERR_FAILED|.* 404 )"
    "|^Refused to execute script from .*/nbextensions/widgets/"
)
SLOWLY = "window.require = {waitSeconds: 0}"  # Notebook waits 7 s for its own parts
READY = """path => {
  const {notebook} = window.Jupyter ?? {};
  if (!notebook || notebook.notebook_path !== path || !notebook._fully_loaded) return null;
  const {kernel} = notebook;
  if (!kernel?.is_connected() || !kernel.info_reply.status) return null;
  if (!window.cplabHears) {
    window.cplabHears = true;
    for (const kind of ['stream', 'error']) {
      const known = kernel._iopub_handlers[kind];
      kernel._iopub_handlers[kind] = message => {
        const {name, text, traceback} = message.content;
        if (traceback) console.error(traceback.join('\\n'));
        if (name === 'stderr' && /Traceback/.test(text)) console.error(text);
        return known.call(kernel, message);
      };
    }
  }
  return notebook.session.id;
}"""
RUN = "() => Jupyter.notebook.execute_all_cells()"
RUNNING = """() => {
  const due = document.querySelectorAll('.code_cell .input_prompt');
  const busy = [...due].find(prompt => prompt.textContent.includes('*'));
  return !busy || `running: ${busy.closest('.cell').innerText.slice(0, 200)}`;
}"""


class Classic(lab_browser.Lab):
    """The same page in classic Notebook: one notebook a page."""

    NOTEBOOK, RUN, RUNNING = "#notebook-container", RUN, RUNNING

    def __init__(self, page, server):
        super().__init__(page, server)
        page.add_init_script(SLOWLY)

    def open(self, path, timeout=300):
        self.page.goto(f"{self.server.url}/notebooks/{path}?token={self.server.token}")
        self.session = self.wait_for(
            f"{path} and its kernel", lambda: self.page.evaluate(READY, path), timeout=timeout
        )

    def _problem(self, text):
        if not re.search(HARMLESS, text):
            super()._problem(text)

    def leave(self):
        self.check()
        self.page.goto("about:blank")
        self.server.request("DELETE", f"/api/sessions/{self.session}")
        self.session, self.problems = None, []


@pytest.fixture(scope="module")
def page(labs_cache, tmp_path_factory):
    """Classic Notebook in a browser, with all labs, as if on Colab."""
    folder = tmp_path_factory.mktemp("colab")
    for number, path in LABS.items():
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            cell.source = re.sub(r"^( *)%pip .*$", r"\1pass", cell.source, flags=re.M)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(STUB))
        nbformat.write(notebook, folder / f"{number}.ipynb")
    env = {"CPLAB_CACHE": str(labs_cache), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    env["JUPYTER_PLATFORM_DIRS"] = "0"
    program = [PYTHON, "-m", "notebook"]
    with (
        lab_browser.chromium() as browser,
        lab_browser.serve(folder, program, "NotebookApp", {}, env) as server,
        lab_browser.page(browser, server, kind=Classic) as lab,
    ):
        yield lab


@pytest.mark.parametrize("number", LABS)
def test_a_student_goes_through_the_lab(page, number):
    page.open(f"{number}.ipynb")
    page.run_all()
    counts = [-1]  # widgets are drawn after their cells have run
    while page.wait_for("questions", lambda: len(page.covered())) != counts[-1]:
        counts.append(len(page.covered()))
        page.page.wait_for_timeout(5000)
    asked = [box for box in page.covered() if box.get_by_role("radio").count()]
    for i, box in enumerate(asked):
        page.answer(box, i % box.get_by_role("radio").count())
    for box in reversed(asked):  # from below, where the page stands
        page.wait_for(
            "its finding", box.text_content, lambda text: re.search("It was: |You said: ", text)
        )
    page.leave()
