"""A folder as a student has it: files called like modules of Python, data of another course, a
blank and an umlaut in its name, and two notebooks that are open at once."""

import asyncio

import pytest
from notebook import open_notebook
from person import command

# What a student wrote in earlier lessons.
FILES = {
    "random.py": "numbers = [4, 8, 15]\nprint('my dice')\n",
    "queue.py": "class Queue:\n    pass\n",
    "data/weights.csv": "kitten,grams\n1,96\n",
    "covers.py": "def lower_half(x):\n    x = x.clone()\n    x[..., -6:, :] = 0\n    return x\n",
    "mine.py": "from covers import lower_half\nprint(lower_half.__name__)\n",
}
OWN = """import sys
import cplab
from covers import lower_half

@cplab.deficit
def covered(x, y):
    return lower_half(x), y

run = cplab.Run(covered, length=40, recovery=5, profile="tiny")"""
TRAIN = """print("{:.4f}".format(cplab.run(run, fresh=True).accuracy))"""


@pytest.fixture
def folder(tmp_path):
    """The folder, with copies of the labs."""
    command(tmp_path, "cplab", "lab", "--copy", "--folder", "Übung 1")
    folder = tmp_path / "Übung 1"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


async def two_notebooks(folder):
    """What two notebooks print that are open at once: the key of a run, its accuracy, and what else
    is asked in the first one."""
    async with open_notebook(folder) as first, open_notebook(folder) as second:
        keys = [await notebook(f"{OWN}\nprint(run.key)") for notebook in (first, second)]
        accuracies = await asyncio.gather(first(TRAIN), second(TRAIN))
        neighbour = await first("!{sys.executable} mine.py")
        commands = await first("%run -m cplab data")  # as remedies name them
        return keys, accuracies, neighbour, commands


def test_an_own_deficit_trains_there_alike_in_two_notebooks_at_once(folder):
    keys, accuracies, neighbour, commands = asyncio.run(two_notebooks(folder))
    assert keys[0] == keys[1]
    assert accuracies[0] == accuracies[1]
    assert 0.1 < float(accuracies[0]) < 1
    assert neighbour.split() == ["lower_half"]
    assert "fetch" in commands
