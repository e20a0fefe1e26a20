"""Play labs in forks of one process that has loaded their libraries: `python tests/player.py`.

With `--without-torch`, torch and what comes with it cannot be imported, and nothing is fetched.
With `--unpainted`, figures are made but not painted.

It waits for lines of JSON on its standard input: a notebook's path, a folder, and variables of the
environment. A notebook is played in a process of its own, as a kernel plays it, with the folder as
its working directory. `played.json` in there then says what each cell showed and which ones failed.
The answer, on standard output, is the exit code of that process.
"""

import base64
import gc
import json
import os
import socket
import sys
from importlib.machinery import PathFinder
from multiprocessing import get_context
from pathlib import Path

ABSENT = {"torch", "torchvision", "loky"}


class WithoutTorch:
    """Python's finder of modules, but for those that are absent."""

    find_distributions = PathFinder.find_distributions
    invalidate_caches = PathFinder.invalidate_caches

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            return None
        return PathFinder.find_spec(name, path, target)


def open_shell():
    """Open a shell that notebooks take for a kernel's. What a widget tells a page is JSON."""
    import comm
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Comm(comm.base_comm.BaseComm):
        def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
            json.dumps([data, metadata])

    comm.create_comm = Comm
    config = Config()
    config.HistoryManager.enabled = False  # its thread would not survive a fork
    shell = InteractiveShell.instance(config=config)
    shell.kernel = object()
    return shell


def load_libraries(with_torch, painted):
    """Import what labs import, and compute and read what they do, so that each fork has it at once.
    Modules of one lab are left to it. Returns: the shell."""
    sys.modules["rfc3987_syntax"] = None  # which takes long to load, as in conftest.py
    import nbformat  # noqa: F401

    if with_torch:
        import torch  # noqa: F401
    else:
        sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutTorch
        socket.socket.connect = None
    shell = open_shell()

    import bokeh.plotting  # noqa: F401
    import ipywidgets  # noqa: F401
    import matplotlib.figure  # noqa: F401
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import scipy.stats  # noqa: F401

    from cplab import digits, lab, show  # noqa: F401
    from cplab.data import practice
    from cplab.lab.explorer import packed_bokeh

    read_shipped_results()
    packed_bokeh()
    practice()
    digits.drawn()

    if not painted:
        show.Figure.drawn = unpainted
    gc.collect()
    gc.freeze()  # what is loaded is looked through for garbage no more
    return shell


def read_shipped_results():
    """Read the results that the explorers of several labs show."""
    from cplab.lab.explorer_data import Setting
    from cplab.runs import FLAGSHIP, Run

    Setting(FLAGSHIP, ["blur", "flip", "permute", "noise"])
    Setting(Run(profile="tiny", schedule="fixed"), ["mosaic"])


def unpainted(figure, width=0):
    """Give a picture of two dots for a figure's own. Painting takes a quarter of a lab's time."""
    from PIL import Image

    return Image.new("RGBA", (2, 2))


def as_text(image):
    """An image's bytes as a kernel sends them."""
    if isinstance(image, bytes):
        return base64.b64encode(image).decode()
    raise TypeError(f"{type(image)} is no JSON")


def peak_memory():
    """The most memory that this process had, in kB; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


def play_cell(shell, cell):
    """What a cell shows: what it prints, what it says as an error, its outputs, how it failed."""
    from IPython.utils.capture import capture_output

    with capture_output() as shown:
        shell.display_trap.hook = sys.displayhook  # which run_cell takes for what a cell ends with
        result = shell.run_cell(cell.source, store_history=True)
    error = result.error_before_exec or result.error_in_exec
    return {
        "id": cell.id,
        "printed": shown.stdout,
        "warned": shown.stderr,
        "outputs": [output.data for output in shown.outputs],
        "failed": None if error is None else repr(error),
    }


def play(shell, notebook, folder, environment):
    """Run all cells of a notebook, and write what they showed into the folder."""
    import nbformat

    os.chdir(folder)
    os.environ.update(environment)
    cells = nbformat.read(notebook, as_version=4).cells
    shown = [play_cell(shell, cell) for cell in cells if cell.cell_type == "code"]
    played = {"cells": shown, "peak": peak_memory()}
    Path("played.json").write_text(json.dumps(played, default=as_text), "utf-8")
    os._exit(0)  # as a kernel ends, without waiting for its workers, which leave with it


def play_anew(with_torch, painted, request):
    """Play in a process that has nothing loaded."""
    play(load_libraries(with_torch, painted), *request)


def play_requests(with_torch, painted):
    """Play what is asked for, one request after another, until there are no more."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what threads of a lab print is no answer
    forks = sys.platform == "linux"  # what Apple's libraries hold does not survive a fork
    shell = load_libraries(with_torch, painted) if forks else None
    for line in sys.stdin:
        request = json.loads(line)
        if forks:
            process = get_context("fork").Process(target=play, args=(shell, *request))
        else:
            given = (with_torch, painted, request)
            process = get_context("spawn").Process(target=play_anew, args=given)
        process.start()
        process.join()
        print(process.exitcode, file=answers, flush=True)


if __name__ == "__main__":
    play_requests(
        with_torch="--without-torch" not in sys.argv, painted="--unpainted" not in sys.argv
    )
