"""The look of things in all figures: a label, a colour (Okabe and Ito's colour-blind-safe set, with
one of Tol's, and greys for controls) and a second cue beside colour, the dashes of a line and the
marker of a point. Deficits have theirs in cplab.deficits. Nothing is drawn here.
"""

from collections.abc import Callable, Iterable
from itertools import cycle
from typing import NamedTuple

from cplab import deficits
from cplab.errors import CplabError
from cplab.runs import Run


class Style(NamedTuple):
    """How one thing looks in every figure. Dash and marker are Bokeh's names."""

    label: str
    colour: str
    dash: str = "solid"
    marker: str = "circle"


EQUAL = Style("equal training", "#666666", "dashed", "square_x")
NEWBORN = Style("newborn", "#949494", "dotted", "diamond_cross")
LIVE = Style("live", "#D55E00", "solid", "star")

DASHES = ("solid", "dashed", "dotted", "dotdash", "dashdot")
CUES = {  # the dashes and the marker of each colour
    "#0072B2": ("solid", "circle"),
    "#E69F00": ("dashed", "square"),
    "#009E73": ("dotdash", "triangle"),
    "#CC79A7": ("dotted", "diamond"),
    "#7722DD": ("dashdot", "inverted_triangle"),
    "#56B4E9": ("dashed", "hex"),
    "#D55E00": ("solid", "star"),
    "#885533": ("dotdash", "plus"),
    "#777777": ("dotted", "x"),
}
QUANTITIES = {  # over the epochs
    "trace": "trace of the Fisher information",
    "log_det": "log det (F / damping + I)",
    "test_accuracy": "test accuracy",
    "train_loss": "training loss",
}
LOOKS = {look.label: look for look in (EQUAL, NEWBORN, LIVE)}
LOOKS |= {  # kinds of networks other than deficits: label and colour
    kind: Style(words, hue, *CUES[hue])
    for kind, words, hue in (
        ("biological", "grown and pruned", "#009E73"),
        ("random", "random", "#777777"),
        ("inked", "random, inked pixels", "#56B4E9"),
        ("per_pixel", "same number a pixel", "#0072B2"),
        ("degrees", "same degrees", "#7722DD"),
        ("dense", "dense", "#885533"),
        ("images", "images", "#009E73"),
        ("random_labels", "random labels", "#E69F00"),
    )
}


def style(kind: str | Callable) -> Style:
    """The look of a deficit, a control or another kind of network, by its name or label; grey if it
    has none."""
    return find_style(kind) or Style(str(kind), EQUAL.colour)


def find_style(kind: str | Callable) -> Style | None:
    """Find the look of a kind by its name or label; None if it has none."""
    if kind in LOOKS:
        return LOOKS[kind]
    labels = {deficit.label: deficit for deficit in deficits.DEFICITS.values()}
    try:
        deficit = labels.get(str(kind)) or deficits.find_deficit(kind, strict=False)
    except CplabError:
        return None
    return Style(deficit.label, deficit.colour, deficit.dash, deficit.marker)


def styles(kinds: Iterable[str]) -> dict[str, Style]:
    """The look of each kind; kinds without one of their own get looks that differ, in order."""
    looks = {kind: find_style(kind) for kind in kinds}
    complete = {kind: look or style(kind) for kind, look in looks.items()}
    unstyled = [kind for kind, look in looks.items() if look is None]
    used = {look.colour for look in looks.values() if look}
    unused = [hue for hue in CUES if hue not in used] or list(CUES)
    for kind, hue in zip(unstyled, cycle(unused), strict=False):
        complete[kind] = Style(kind, hue, *CUES[hue])
    return complete


def label(kind: str | Callable) -> str:
    """The words for a deficit, a student's own too, or for another `kind` of network.

    >>> label("flip"), label("blur-2"), label("biological")
    ('vertical flip', 'blur (2×)', 'grown and pruned')
    """
    return style(kind).label


def age(run: Run) -> str:
    """Say in words when a run's deficit begins.

    >>> from cplab import Run
    >>> age(Run("blur", length=16)), age(Run("blur", onset=24, length=16))
    ('from birth', 'after 24 clear epochs')
    """
    return f"after {run.onset} clear epoch{'s' * (run.onset > 1)}" if run.onset else "from birth"


def colour(kind: str | Callable) -> str:
    """The colour of a deficit, a student's own too, or of another `kind` of network.

    >>> colour("blur")
    '#0072B2'
    """
    return style(kind).colour


def ink(colour: str) -> str:
    """White or black, whichever is more legible on a colour.

    >>> ink("#0072B2"), ink("#E69F00")
    ('#FFFFFF', '#000000')
    """
    light = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in light)
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else "#FFFFFF"
