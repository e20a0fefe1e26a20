"""Figures, pictures and words in one style. Labs use the names below; each is loaded, with Bokeh,
when it is first used.

>>> from cplab import show
>>> show.label("flip")
'vertical flip'
"""

from cplab import load_late

__all__, __getattr__, __dir__ = load_late(
    __name__,
    surface="display",
    styles="colour label source_line",
    results="bars by_layer curves layer_columns means over_epochs removal",
    predictions="class_figure",
    still="save",
    pictures="strips to_pixels",
)
