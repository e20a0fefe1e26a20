"""Lab 06: the harm of an early blur in other networks, by other rules, on other images."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from scipy import stats

from cplab import models, show
from cplab.base.errors import CplabError
from cplab.estimates import CONFIDENCE, PERCENT
from cplab.output.styles import style
from cplab.quantities import accuracy, harm, lost_time
from cplab.runs import Run
from cplab.show import Figure
from cplab.show.base import GREY, SMALL, styled

if TYPE_CHECKING:
    import pandas as pd


def costs(runs: Mapping[str, Run]) -> "pd.DataFrame":
    """Make a table of harm, lost time (both in points) and the twin's accuracy."""
    rows = {}
    for words, run in runs.items():
        rows[words] = {
            "harm": harm(run),
            "lost time": lost_time(run),
            "twin, %": accuracy(run.newborn()),
        }
    return show.table(rows)


def newborn_and_harm(runs: Sequence[Run]) -> str:
    """Say how harm and the twin's accuracy correlate over settings with photographs; those with
    digits (the profile mnist) are left out."""
    twins = []
    harms = []
    for run in runs:
        points = harm(run)
        if points.seeds and run.profile != "mnist":
            twins.append(accuracy(run.newborn()).mean)
            harms.append(points.mean)
    if len(harms) < 4:
        return "Too few settings have been trained for a correlation."
    pearson = stats.pearsonr(twins, harms)
    r = pearson.statistic
    low, high = pearson.confidence_interval(CONFIDENCE)
    sentence = (
        "Over the settings with these images, harm correlates with the twin's accuracy: "
        f"r = {r:.2f} ({PERCENT}: {low:.2f} to {high:.2f}, as if settings were independent). "
        "Part of that is arithmetic, since harm is the twin's accuracy minus the deprived "
        "network's."
    )
    return sentence.replace("-", "−")


def parameters(run: Run) -> int | None:
    """How many parameters a run's network has; None without torch, which is needed to count them.

    >>> parameters(Run("blur", length=16, model="depth1", schedule="fixed"))
    18170
    """
    with suppress(CplabError):
        net = models.build(run.model, 3, run.settings.size)
        return sum(parameter.numel() for parameter in net.parameters())
    return None


def by_end(run: Run, ends: Sequence[int]) -> Figure:
    """Draw final accuracy by the length of a deficit, and, in grey, that of equal training.

    Arguments:
        run: with the deficit.
        ends: its lengths.
    """
    deprived = {}
    clear = {}
    for length in ends:
        window = replace(run, length=length)
        deprived[length] = accuracy(window)
        clear[length] = accuracy(window.equal_training())
    groups = {run.deficit: deprived, "none": clear}
    axes = (f"epochs of {show.label(run.deficit)}, or of clear images", "final test accuracy, %")
    title = f"Harm after a recovery of {run.recovery} epochs, points: {harm(run)}"
    return show.means(groups, axes, title, y_range=(30, 66), width=620, height=340)


# The picture under the title ---------------------------------------------------------------------


@styled
def first_picture() -> Figure:
    """Draw the networks of one, two and three blocks as they are built, layer by layer: as high as
    the image is there, and as wide as there are channels."""
    fig = show.figure(height=300)
    left = 0.0
    for blocks in (1, 2, 3):
        layers = [(3, 16), (16, 16)]  # channels and pixels a side: the image, and the first layer
        for block in range(1, blocks + 1):
            layers.append((16 * 2 ** (block - 1), 16 // 2 ** (block - 1)))
            layers.append((16 * 2**block, 16 // 2**block))
        first = left
        for place, (channels, side) in enumerate(layers):
            hue = GREY if place == 0 else style("blur").colour
            fig.ax.bar(left, side, channels / 16, -side / 2, align="edge", color=hue, alpha=0.75)
            left += channels / 16 + 0.4
        words = "1 block" if blocks == 1 else f"{blocks} blocks"
        fig.ax.text((first + left - 0.4) / 2, 10, words, ha="center", fontsize=SMALL + 2)
        left += 3
    fig.ax.set_ylim(-9, 12)
    fig.ax.set_axis_off()
    return fig
