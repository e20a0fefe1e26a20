"""What the tests of labs' widgets share."""

import html
import math
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
from scipy.stats import ttest_1samp, ttest_ind

from cplab import results

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


def accuracies(run):
    """Of both seeds of the small grid."""
    return np.array([results.find(replace(run, seed=seed)).accuracy for seed in range(2)])


def interval(pair):
    """Mean of two seeds and half its 95 % interval: Student's t of one degree is a tangent."""
    return np.mean(pair), math.tan(0.475 * math.pi) * abs(pair[0] - pair[1]) / 2


def difference(run, ours, other):
    """Mean of what other lives have above a run, and half its interval. Seeds are pairs where the
    two share training; what begins with a deficit shares none, and the interval is Welch's."""
    both = ~np.isnan(other - ours)
    ours, other = ours[both], other[both]
    if len(ours) < 2:
        return np.mean(other - ours) if len(ours) else math.nan, math.nan
    shared = run.onset or run.deficit == "none"
    test = ttest_1samp(other - ours, 0) if shared else ttest_ind(other, ours, equal_var=False)
    low, high = test.confidence_interval()
    return np.mean(other - ours), (high - low) / 2


def said(mean, half):
    """In percent, with one digit behind the point where the interval leaves it."""
    digits = 0 if half >= 0.1 else 1
    return f"{100 * mean:.{digits}f} ± {100 * half:.{digits}f}".replace("-", "−")
