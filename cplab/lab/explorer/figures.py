"""The explorer's figures and sliders, which `bokeh.plotting` makes, as Bokeh's JSON.

They are empty: `explorer.js` fills their sources, which it finds by their names, when a point is
chosen.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bokeh.core.properties import value
from bokeh.embed import json_item
from bokeh.models import ColumnDataSource, HoverTool, Slider
from bokeh.palettes import RdBu11
from bokeh.plotting import figure
from bokeh.transform import linear_cmap

from cplab.base import palette

FONT = "system-ui, sans-serif"  # of labels, which explorer.js measures
WHITE = {"background_fill_color": palette.WHITE, "background_fill_alpha": 0.75}  # behind words
LOOK = """
:host { color: var(--ink); }
.noUi-target { background: var(--soft); border-color: var(--edge); box-shadow: none; }
.noUi-connect { background: var(--edge); }
.noUi-handle { background: var(--paper); border-color: var(--ink); box-shadow: none; }
"""  # of a slider, in the colours of screen.css
# The colour and the dashes of each curve, as on the first screen. That of `own` is its deficit's.
CURVES: dict[str, tuple[str, list[int]]] = {
    "clear": (palette.CLEAR, [3, 3]),
    "other": (palette.SECOND, [14, 3]),
    "own": (palette.CLEAR, []),
}


def figures(
    accuracy: tuple[float, float], longest: int, axes: Mapping[str, Sequence[str]], last: int
) -> dict[str, Any]:
    """The figures and sliders by name, each as `Bokeh.embed.embed_item` takes it.

    Arguments:
        accuracy: the ends of its axis, in percent.
        longest: the most clear epochs of a curve.
        axes: the onsets and lengths of the map.
        last: the largest recovery, in epochs.
    """
    onsets = [int(onset) for onset in axes["onset"]]
    lengths = [int(length) for length in axes["length"]]
    models = {
        "life": life(accuracy, longest),
        "map": harm_map(axes),
        "onset": slider("onset", 0, max(8, *onsets)),
        "length": slider("length", 1, max(8, *lengths)),
        "recovery": slider("recovery", 1, last),
    }
    return {name: json_item(model) for name, model in models.items()}


def life(accuracy: tuple[float, float], longest: int) -> figure:
    """Test accuracy against clear epochs seen: without a deficit (`clear`), under the first window
    (`own`), whose colour follows its deficit, and under the second one (`other`); `bracket` and
    `tag` are the harms at their ends, `live` is what is being trained."""
    low, high = accuracy
    fig = empty(
        x_range=(-1, 1.16 * longest),
        y_range=(low - 3, high + 4),
        x_axis_label="clear epochs seen",
        y_axis_label="test accuracy, %",
    )
    lines = []
    for name, (colour, dash) in CURVES.items():
        band = empty_source(name, "x", "low", "mean", "high", "words")
        seeds = empty_source(f"{name} seeds", "xs", "ys")
        fig.varea("x", "low", "high", source=band, name=name, color=colour, alpha=0.2)
        fig.multi_line("xs", "ys", source=seeds, name=name, color=colour, alpha=0.5)
        line = fig.line(
            "x", "mean", source=band, name=name, color=colour, line_dash=dash, line_width=2.5
        )
        lines.append(line)
    live = empty_source("live", "xs", "ys", "hue")
    fig.multi_line("xs", "ys", source=live, color="hue", line_width=2)
    places = empty_source("bracket", "x", "low", "high")
    fig.segment("x", "low", "x", "high", source=places, color=palette.INK, line_width=2.5)
    for end in ("low", "high"):
        fig.scatter(
            "x", end, source=places, marker="dash", size=9, color=palette.INK, line_width=2.5
        )
    tags = empty_source("tag", "x", "y", "text", "right", "down", "weight")
    fig.text(
        "x",
        "y",
        text="text",
        source=tags,
        text_baseline="top",
        x_offset={"field": "right"},
        y_offset={"field": "down"},
        text_font=value(FONT),
        text_font_style={"field": "weight"},
        text_font_size="14px",
        text_color=palette.INK,
        **WHITE,
    )
    fig.add_tools(HoverTool(renderers=lines, tooltips="@words"))
    return fig


def harm_map(axes: Mapping[str, Sequence[str]]) -> figure:
    """Harm by onset and length; hatched where it is level. `mark` is around each window's place,
    dashed as its line."""
    fig = empty(
        x_range=[*axes["onset"]],
        y_range=[*axes["length"]],
        x_axis_label="onset",
        y_axis_label="length",
    )
    fig.grid.visible = False
    columns = ("onset", "length", "value", "text", "hue", "alpha", "hatch", "words")
    cells = empty_source("cells", *columns)
    rects = fig.rect(
        "onset",
        "length",
        0.94,
        0.9,
        source=cells,
        fill_color=linear_cmap("value", RdBu11, -1, 1),
        fill_alpha="alpha",
        line_color=palette.FAINT,
        hatch_pattern="/",
        hatch_color=palette.FAINT,
        hatch_alpha="hatch",
        hatch_scale=16,
    )
    fig.text(
        "onset",
        "length",
        text="text",
        source=cells,
        text_color="hue",
        text_font_size="13px",
        text_align="center",
        text_baseline="middle",
    )
    mark = empty_source("mark", "onset", "length", "dash")
    fig.rect(
        "onset",
        "length",
        0.94,
        0.9,
        source=mark,
        line_color=palette.INK,
        line_dash={"field": "dash"},
        line_width=3,
        fill_alpha=0,
    )
    fig.add_tools(HoverTool(renderers=[rects], tooltips="@words"))
    return fig


def empty_source(name: str, *columns: str) -> ColumnDataSource:
    """A source of a name, whose columns have no rows."""
    return ColumnDataSource({column: [] for column in columns}, name=name)


def empty(**options: Any) -> figure:
    """A figure without lines, as large as its place."""
    fig = figure(
        sizing_mode="stretch_both",
        min_width=200,
        min_border=4,
        tools="",
        toolbar_location=None,
        outline_line_color=None,
        background_fill_alpha=0,
        border_fill_alpha=0,
        **options,
    )
    fig.grid.grid_line_alpha = 0.35
    fig.axis.axis_label_text_font_style = "normal"
    fig.axis.axis_label_text_font_size = "12px"
    fig.axis.major_label_text_font_size = "11px"
    fig.axis.minor_tick_line_color = None
    fig.axis.axis_label_text_color = palette.INK
    fig.axis.major_label_text_color = palette.INK
    return fig


def slider(name: str, start: int, end: int) -> Slider:
    """A slider of epochs."""
    return Slider(
        title=name, start=start, end=end, value=start, step=1, width=130, stylesheets=[LOOK]
    )
