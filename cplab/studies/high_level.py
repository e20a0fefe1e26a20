"""Figures of lab 03 alone: spectra of images, and what a classifier gets right."""

from collections.abc import Mapping, Sequence

import numpy as np
from bokeh.models import FactorRange, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from cplab.show import theme

__all__ = ["grouped_marks", "spectra"]


def spectra(powers: Mapping[str, ArrayLike]) -> figure:
    """Radially averaged power spectra, by deficit: power against cycles an image, both on
    logarithmic axes; cycles 0, the mean brightness, are left out, and so is a spectrum of zeros."""
    words = ("power of the images by fineness", "cycles per image", "mean power")
    both = {"x_axis_type": "log", "y_axis_type": "log"}
    fig = theme.plain_figure(*words, **both, width=620, height=380)
    # What lies on another line is dashed, what lies under it is broad.
    looks = {"none": ("solid", 7, 0.35), "flip": ("dashed", 2.5, 1), "permute": ("dotted", 3.5, 1)}
    for deficit, values in powers.items():
        look = theme.style(deficit)
        dash, width, alpha = looks.get(deficit, (look.dash, 2, 1))
        power = np.asarray(values, dtype=float)[1:]
        if (power > 0).any():
            how = {"line_dash": dash, "line_width": width, "alpha": alpha}
            at = np.arange(1, len(power) + 1)
            fig.line(at, power, color=look.colour, legend_label=look.label, **how)
    fig.xaxis.ticker = [1, 2, 4, 8, 16]
    return theme.place_legend(fig, "bottom_left")


def grouped_marks(rows: Sequence[str], columns: Mapping[str, Sequence], chance: float) -> figure:
    """What a classifier gets right on up to three sets of images: a mark for each row and set, and
    a dotted line for one who guesses.

    Arguments: rows, words; columns, one fraction a row by the words for the set.
    """
    words = ("images that the classifier gets right", "named rightly", "")
    fig = theme.plain_figure(*words, y_range=FactorRange(*rows[::-1]), width=760, height=330)
    looks = (("circle", "#0072B2"), ("square", theme.LIVE.colour), ("triangle", "#009E73"))
    for (text, values), (marker, hue) in zip(columns.items(), looks, strict=False):
        how = {"color": hue, "fill_alpha": 0.5, "marker": marker, "legend_label": text}
        fig.scatter(list(values), list(rows), size=13, **how)
    theme.reference_line(fig, "height", theme.EQUAL.colour, chance)
    fig.x_range = Range1d(0, 1.05 * max([chance, *map(max, columns.values())]))
    theme.percent_axis(fig.xaxis)
    return theme.place_legend(fig, "above")
