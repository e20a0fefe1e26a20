"""The scripts of pages as browsers read them: `python tests/joined.py FOLDER` writes each, with all
files that are joined in it, for eslint, which then knows every name."""

import sys
from pathlib import Path

from cplab.lab.buttons import button
from cplab.lab.explorer import explorer
from cplab.lab.nursery import nursery
from cplab.lab.questions import questions

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for module in (button, explorer, nursery, questions):
        name = module.__name__.rpartition(".")[2]
        (folder / f"{name}.js").write_text(module.SCRIPT, "utf-8")
