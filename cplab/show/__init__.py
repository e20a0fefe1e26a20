"""Figures, pictures and tables in one style.

>>> from cplab import show
>>> show.label("flip")
'vertical flip'
"""

from cplab.base.errors import installed

with installed():
    from cplab.output.styles import age, colour, label
    from cplab.show.base import Figure, figure, save
    from cplab.show.figures import bars, by_layer, curves, forest, means, table
    from cplab.show.handed_in import class_figure, class_networks, class_table
    from cplab.show.pictures import strips, what_it_sees
    from cplab.show.runs import clear_epochs, harm_by, harm_curves, over_epochs, removal

__all__ = ["Figure", "age", "bars", "by_layer", "class_figure", "class_networks", "class_table"]
__all__ += ["clear_epochs", "colour", "curves", "figure", "forest", "harm_by", "harm_curves"]
__all__ += ["label", "means", "over_epochs", "removal", "save", "strips", "table", "what_it_sees"]
