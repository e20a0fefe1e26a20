"""How things look in all figures: a label, a colour (Okabe and Ito's colour-blind-safe set, with
one of Tol's and greys for controls) and a second cue beside colour: the dashes of a line and the
shape of a point. Those of deficits stand in cplab.deficits. Nothing here draws.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import cycle
from typing import Any, NamedTuple

from cplab import deficits
from cplab.errors import CplabError
from cplab.quantities.statistics import INTERVALS, count_seeds


class Style(NamedTuple):
    """How one thing looks in every figure. Dash and marker are Bokeh's names."""

    label: str
    colour: str
    dash: str = "solid"
    marker: str = "circle"


EQUAL = Style("equal training", "#555555", "dashed", "square_x")
NEWBORN = Style("newborn", "#999999", "dotted", "diamond_cross")
LIVE = Style("live", "#D55E00", "solid", "star")

DASHES = ("solid", "dashed", "dotted", "dotdash", "dashdot")
CUES = {  # of each colour, the dashes and the marker
    "#0072B2": ("solid", "circle"),
    "#E69F00": ("dashed", "square"),
    "#009E73": ("dotdash", "triangle"),
    "#CC79A7": ("dotted", "diamond"),
    "#332288": ("dashdot", "inverted_triangle"),
    "#56B4E9": ("dashed", "hex"),
    "#D55E00": ("solid", "star"),
    "#000000": ("dotdash", "plus"),
    "#777777": ("dotted", "x"),
}
COPIES = {"cifar10": "CIFAR-10", "cifar10-jpeg": "CIFAR-10 (JPEG)", "mnist": "MNIST"}
COPIES |= {"fashion_mnist": "Fashion-MNIST"}
LOOKS = {one.label: one for one in (EQUAL, NEWBORN, LIVE)}
LOOKS |= {  # networks that no deficit tells apart: the words for them and their colour
    kind: Style(words, hue, *CUES[hue])
    for kind, words, hue in (
        ("biological", "grown and pruned", "#009E73"),
        ("random", "random", "#777777"),
        ("inked", "random, inked pixels", "#56B4E9"),
        ("per_pixel", "same number a pixel", "#0072B2"),
        ("degrees", "same degrees", "#332288"),
        ("set", "SET", "#E69F00"),
        ("magnitude", "pruned dense net", "#D55E00"),
        ("dense", "dense", "#000000"),
        ("images", "images", "#009E73"),
        ("random_labels", "random labels", "#E69F00"),
    )
}


def style(kind: str | Callable) -> Style:
    """The look of a deficit, a control or another kind of network, by its name or label; grey if it
    has none."""
    return known_style(kind) or Style(str(kind), EQUAL.colour)


def known_style(kind: str | Callable) -> Style | None:
    """The look of a kind, or None if it has none."""
    if kind in LOOKS:
        return LOOKS[kind]
    labels = {one.label: one for one in deficits.DEFICITS.values()}
    try:
        found = labels.get(str(kind)) or deficits.find_deficit(kind, strict=False)
    except CplabError:
        return None
    return Style(found.label, found.colour, found.dash, found.marker)


def styles(kinds: Iterable[str]) -> dict[str, Style]:
    """The style of each kind; kinds without one of their own get different ones, in order."""
    looks = {kind: known_style(kind) for kind in kinds}
    found = {kind: look or style(kind) for kind, look in looks.items()}
    bare = [kind for kind, look in looks.items() if look is None]
    used = {look.colour for look in looks.values() if look}
    free = [hue for hue in CUES if hue not in used] or list(CUES)
    for kind, hue in zip(bare, cycle(free), strict=False):
        found[kind] = Style(kind, hue, *CUES[hue])
    return found


def label(kind: str | Callable) -> str:
    """The words for a deficit, a student's own too, or for another `kind` of network.

    >>> label("flip"), label("blur-2"), label("biological")
    ('vertical flip', 'blur (2×)', 'grown and pruned')
    """
    return style(kind).label


def colour(kind: str | Callable) -> str:
    """The colour of a deficit, a student's own too, or of another `kind` of network.

    >>> colour("blur")
    '#0072B2'
    """
    return style(kind).colour


def source_line(of: Any) -> str:
    """Write one line that says where a figure's numbers come from.

    Arguments: of, results.

    >>> source_line([])
    'no results yet'
    """
    if not len(of):
        return "no results yet"
    copies = {re.sub(r"-[0-9a-f]{8,}$", "", one.copy) for one in of}  # no digests
    named = ", ".join(sorted(COPIES.get(copy, copy) for copy in copies))
    practice = {one.spec.dataset for one in of} == {"practice"}
    images = "PRACTICE images" if practice else f"images {named}"
    seeds = defaultdict(set)
    for run in (one.spec for one in of):
        seeds[run.deficit, run.onset, run.length].add(run.seed)
    profiles = f"profile {', '.join(sorted({one.spec.profile for one in of}))}"
    sources = " and ".join(sorted({one.source for one in of}, reverse=True))
    return " · ".join([sources, profiles, images, count_seeds(*map(len, seeds.values()))])


def source_note(of: Any) -> str:
    """Write the small line below a figure with bands: the source of its numbers, and what bands
    are."""
    return f"{source_line(of)} · {INTERVALS}" if len(of) else source_line(of)
