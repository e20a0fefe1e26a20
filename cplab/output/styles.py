"""Styles: how things look in all figures.

Each has a label, a colour of the palette (cplab.base.palette), and cues besides colour: the dashes
of a line and the marker of a point. The styles of deficits are in cplab.deficits. Nothing is drawn
here.
"""

from collections.abc import Callable, Iterable
from itertools import cycle
from typing import NamedTuple

from cplab import deficits
from cplab.base import palette
from cplab.base.errors import CplabError
from cplab.runs import Run


class Style(NamedTuple):
    """How a thing looks in every figure. Dash and marker have Bokeh's names."""

    label: str
    colour: str
    dash: str = "solid"
    marker: str = "circle"


EQUAL = Style("equal training", palette.CLEAR, "dashed", "square_x")
TWIN = Style("twin", palette.TWIN, "dotted", "diamond_cross")
LIVE = Style("live", palette.LIVE, "solid", "star")

DASHES = ("solid", "dashed", "dotted", "dotdash", "dashdot")
# The dashes and the marker of each colour
CUES = {
    palette.BLUE: ("solid", "circle"),
    palette.ORANGE: ("dashed", "square"),
    palette.GREEN: ("dotdash", "triangle"),
    palette.PINK: ("dotted", "diamond"),
    palette.INDIGO: ("dashdot", "inverted_triangle"),
    palette.SKY: ("dashed", "hex"),
    palette.VERMILION: ("solid", "star"),
    palette.BROWN: ("dotdash", "plus"),
    palette.GREY: ("dotted", "x"),
}
# Labels of quantities that are drawn by epoch
QUANTITIES = {
    "trace": "trace of the Fisher information",
    "log_det": "log det (F / damping + I)",
    "test_accuracy": "test accuracy",
    "train_loss": "training loss",
}


def cued(label: str, colour: str) -> Style:
    """The style of a label in a colour of CUES, with this colour's dashes and marker.

    >>> cued("dense", "#885533").dash
    'dotdash'
    """
    dash, marker = CUES[colour]
    return Style(label, colour, dash, marker)


# Styles of controls, and of kinds of networks that are not named by a deficit
LOOKS = {
    EQUAL.label: EQUAL,
    TWIN.label: TWIN,
    LIVE.label: LIVE,
    "biological": cued("grown and pruned", palette.GREEN),
    "random": cued("random", palette.GREY),
    "inked": cued("inked pixels", palette.SKY),
    "per_pixel": cued("same number on each pixel", palette.BLUE),
    "degrees": cued("same degrees", palette.INDIGO),
    "dense": cued("dense", palette.BROWN),
    "images": cued("images", palette.GREEN),
    "random_labels": cued("random labels", palette.ORANGE),
}


def style(kind: str | Callable) -> Style:
    """The style of a deficit, a control or another kind of network, found by its name or label;
    grey if it has none.

    >>> style("blur").marker, style("something else").colour
    ('circle', '#666666')
    """
    return find_style(kind) or Style(str(kind), EQUAL.colour)


def find_style(kind: str | Callable) -> Style | None:
    """Find the style of a kind by its name or label; None if it has none."""
    if kind in LOOKS:
        return LOOKS[kind]
    by_label = {deficit.label: deficit for deficit in deficits.DEFICITS.values()}
    try:
        deficit = by_label.get(str(kind)) or deficits.find_deficit(kind)
    except CplabError:
        return None
    return Style(deficit.label, deficit.colour, deficit.dash, deficit.marker)


def styles(kinds: Iterable[str]) -> dict[str, Style]:
    """The style of each kind. Kinds without one get colours that none of the others has, in order,
    as long as there are any.

    >>> {kind: look.colour for kind, look in styles(["mine", "blur", "yours"]).items()}
    {'mine': '#E69F00', 'blur': '#0072B2', 'yours': '#009E73'}
    """
    named = {kind: find_style(kind) for kind in kinds}
    used = {look.colour for look in named.values() if look}
    unused = [colour for colour in CUES if colour not in used]
    colours = cycle(unused or CUES)
    looks = {}
    for kind, look in named.items():
        looks[kind] = look or cued(kind, next(colours))
    return looks


def label(kind: str | Callable) -> str:
    """The label of a deficit, also of a student's own, or of another `kind` of network.

    >>> label("flip"), label("blur-2"), label("biological")
    ('vertical flip', 'blur (2×)', 'grown and pruned')
    """
    return style(kind).label


def age(run: Run) -> str:
    """Say when a run's deficit begins.

    >>> from cplab import Run
    >>> age(Run("blur", length=16)), age(Run("blur", onset=24, length=16))
    ('from birth', 'at epoch 24')
    """
    if run.onset == 0:
        return "from birth"
    return f"at epoch {run.onset}"


def colour(kind: str | Callable) -> str:
    """The colour of a deficit, also of a student's own, or of another `kind` of network.

    >>> colour("blur")
    '#0072B2'
    """
    return style(kind).colour


def ink(colour: str) -> str:
    """White or black, whichever is more legible on a colour.

    >>> ink("#0072B2"), ink("#E69F00")
    ('#FFFFFF', '#000000')
    """
    red = linear_light(colour[1:3])
    green = linear_light(colour[3:5])
    blue = linear_light(colour[5:7])
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # WCAG's relative luminance
    return palette.BLACK if luminance > 0.18 else palette.WHITE


def linear_light(channel: str) -> float:
    """The light of a channel of sRGB, from 0 to 1, from its two hexadecimal digits.

    >>> linear_light("ff"), round(linear_light("80"), 2)
    (1.0, 0.22)
    """
    value = int(channel, 16) / 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
