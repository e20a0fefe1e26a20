"""What the tests of labs' widgets share."""

import html
import re
import subprocess
import sys
from functools import cache

# The most memory that a process had, in kB, or bytes on a Mac.
PEAK = '__import__("resource").getrusage(0).ru_maxrss'


@cache
def torch_alone():
    """Peak of a process that loads torch and does nothing: Binder's build, for CPUs, takes less
    than one with the libraries of a GPU, which a machine of the tests may have."""
    words = [sys.executable, "-c", f"import torch\nprint({PEAK})"]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def assert_small(peak):
    """That a kernel's peak leaves room on a Binder machine, which has 1 to 2 GB, JupyterLab
    included."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    mine, alone = float(peak) / unit, torch_alone() / unit
    assert mine - alone < 600, f"{mine:.0f} MB, {alone:.0f} of them torch's"


def text(widget):
    """What an HTML widget says."""
    return html.unescape(re.sub(r"<[^>]*>", "", widget.value))
