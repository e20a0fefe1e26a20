"""The lab of docs/your_own_lab.md: from nothing to its check."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

LAB = Path(__file__).parent.parent / "docs" / "your_own_lab.ipynb"


@pytest.mark.usefixtures("own_cache")
def test_a_lab_of_five_cells_asks_shows_and_checks():
    lab = nbformat.read(LAB, as_version=4)
    code = [cell for cell in lab.cells if cell.cell_type == "code"]
    assert not any(cell.outputs for cell in code)
    code[-1].source = code[-1].source.replace("...", "(harm - quantities.harm(flip)).mean")
    NotebookClient(lab, timeout=300, kernel_name="python3").execute()
    pages = ["".join(out.get("data", {}).get("text/html", "") for out in c.outputs) for c in code]
    assert "<img" in pages[0]
    assert 'data-right="2"' in pages[1]  # behind: the mosaic harms, and five seeds can tell
    assert "not trained yet" not in "".join(pages)
    assert code[-1].outputs[0].text == "Exercise 1: right.\n"
