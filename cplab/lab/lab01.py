"""Figures of lab 01 alone: filters by their stripes, and a network beside an animal."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh import layouts
from bokeh.models import ColumnDataSource, Range1d

from cplab.show.theme import EQUAL, Style, band, place_legend, plain_figure, reference_line


def fans(
    groups: Mapping[str, Sequence[np.ndarray]], hues: Mapping[str, str], **options: Any
) -> Any:
    """Each filter of several networks as a line through the centre: along the stripes that it
    answers to best, the longer the more selective.

    Arguments: groups, results of `cplab.measure.orientation`, one a network, by the words for them.
    Returns: a Bokeh row of figures; a source `fan` has the ends of the lines, x and y.
    """
    figs = []
    for text, networks in groups.items():
        ranges = {"x_range": Range1d(-1, 1), "y_range": Range1d(-1, 1)}
        options = {**ranges, "width": 150, "height": 172, "min_border": 4, **options}
        fig = plain_figure(text, "", "", **options)
        z = np.concatenate(networks) if len(networks) else np.empty(0)
        end = np.abs(z) * np.exp(1j * (np.pi / 2 - np.angle(z) / 2))  # half the angle: to the right
        columns = {"x": end.real, "y": end.imag, "x0": -end.real, "y0": -end.imag}
        source = ColumnDataSource(columns, name="fan")
        fig.circle(0, 0, radius=1, fill_color=None, line_color="#cccccc")
        fig.segment("x0", "y0", "x", "y", source=source, color=hues[text], width=1.5, alpha=0.7)
        fig.axis.visible = fig.grid.visible = False
        figs.append(fig)
    return layouts.row(*figs)


def beside_animals(
    networks: Sequence[dict], animals: Sequence[dict], titles: Sequence[str], x: str, hue: str
) -> Any:
    """Figures that each show a network's curve with its band beside an animal's points.

    Arguments: networks, columns x, mean, low, high for each figure; animals, columns x, left,
        right, mean, low, high; titles; x, the words of the horizontal axis; hue, the network's.
    Returns: a Bokeh row; the animals' sources are named animal0, animal1 …, for a slider to move.
    """
    figs = []
    for i, (network, animal, title) in enumerate(zip(networks, animals, titles, strict=True)):
        fig = plain_figure(title, x, "", width=410, height=330)
        band(fig, ColumnDataSource(network), "x", Style("network", hue), points=True)
        source = ColumnDataSource(animal, name=f"animal{i}")
        look = {"source": source, "color": "black"}
        fig.segment("left", "mean", "right", "mean", width=1.5, **look)
        fig.segment("x", "low", "x", "high", width=1.5, **look)
        mark = {"fill_color": "white", "size": 10, "marker": "triangle"}
        fig.scatter("x", "mean", legend_label="kitten", **look, **mark)
        reference_line(fig, "width", EQUAL.colour, 1)
        figs.append(place_legend(fig, "bottom_left"))
    return layouts.row(*figs)
