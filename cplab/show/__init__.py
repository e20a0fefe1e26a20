"""Figures, pictures and tables in one style. Labs use the names below; each is loaded, with
matplotlib, when it is first used.

>>> from cplab import show
>>> show.label("flip")
'vertical flip'
"""

from cplab.late import load_late

__all__, __getattr__, __dir__ = load_late(
    __name__,
    base="Figure figure save",
    styles="age colour label",
    figures="bars by_layer curves forest means table",
    runs="clear_epochs harm_curves harm_table over_epochs removal time_bars",
    polls="class_figure",
    pictures="strips what_it_sees",
)
