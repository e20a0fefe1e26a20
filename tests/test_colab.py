"""All labs with the versions that Colab has: of ipywidgets, kernel, Bokeh and others.

They need an environment of their own, whose Python `CPLAB_COLAB` names: see docs/release.md. A
module `google.colab` without anything in it stands for Colab's own, so what Colab's page makes of
it all has still to be looked at by hand.
"""

import json
import os

import nbformat
import pytest
from nbclient import NotebookClient
from test_labs import LABS, ROOT

PYTHON = os.environ.get("CPLAB_COLAB")
STUB = 'import sys, types\nsys.modules["google.colab"] = types.ModuleType("google.colab")'


@pytest.mark.skipif(not PYTHON, reason="CPLAB_COLAB names no Python: see docs/release.md")
@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_it_runs(path, labs_cache, tmp_path, monkeypatch):
    kernel = tmp_path / "kernels/colab"
    kernel.mkdir(parents=True)
    start = {"argv": [PYTHON, "-m", "ipykernel_launcher", "-f", "{connection_file}"]}
    (kernel / "kernel.json").write_text(json.dumps(start | {"display_name": "Colab"}))
    names = {"JUPYTER_PATH": tmp_path, "CPLAB_CACHE": labs_cache, "PYTHONPATH": ROOT}
    for name, value in names.items():
        monkeypatch.setenv(name, str(value))
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("get_ipython().run_line_magic", "print")  # pip's
    notebook.cells.insert(0, nbformat.v4.new_code_cell(STUB))
    NotebookClient(notebook, timeout=600, kernel_name="colab").execute()
