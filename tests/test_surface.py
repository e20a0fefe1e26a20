"""What a page is told of figures: all of them once, and then what Python changes."""

import json

import bokeh
import numpy as np
import pytest
from bokeh import layouts
from bokeh.document import Document
from bokeh.models import BoxAnnotation, ColumnDataSource, Range1d
from hypothesis import given, settings
from hypothesis import strategies as st

from cplab import CplabError, show
from cplab.show.surface import Surface, as_document
from cplab.show.theme import plain_figure


class Page:
    """A page that shows a surface, and does with what it is told what surface.js does."""

    def __init__(self, shown):
        [self.item] = json.loads(shown.content)["parts"]
        self.document = Document.from_json(json.loads(self.item["doc"]))
        shown.send = self.hear
        shown._handle_custom_msg({}, [])  # it asks what has changed by now

    def hear(self, changes, buffers=None):
        for model, change in json.loads(json.dumps(changes, allow_nan=False)).items():
            self.document.models[model].update(**change)

    def find(self, name):
        return self.document.get_model_by_name(name)


def drawn(name="it"):
    """A figure with a source of this name."""
    fig = plain_figure("a title", "x", "y", name=f"{name} figure", x_range=Range1d(0, 1))
    source = ColumnDataSource({"x": [1, 2], "y": np.array([3.0, np.nan])}, name=name)
    fig.line("x", "y", source=source, legend_label="a line")
    return fig, source


def same(theirs, ours):
    values = {name: [np.nan if v is None else v for v in of] for name, of in theirs.items()}
    return [*values] == [*ours] and all(
        np.array_equal(values[name], [*ours[name]], equal_nan=True) for name in values
    )


@given(st.lists(st.lists(st.floats(width=32, allow_infinity=False), max_size=4), max_size=4))
@settings(max_examples=20)
def test_a_page_has_what_python_has_whenever_it_looks(changes):
    fig, source = drawn()
    shade = BoxAnnotation(left=0, right=0)
    fig.add_layout(shade)
    shown = Surface(fig)
    early = Page(shown)
    for row in changes:
        source.data = {"x": np.arange(len(row)), "y": np.array(row)}
        shade.update(left=len(row), visible=len(row) > 1)
        fig.x_range.end = len(row)
    late = Page(shown)  # as after a reload
    for page in (early, late):
        assert same(page.find("it").data, source.data)
        assert page.find("it figure").x_range.end == fig.x_range.end
        assert page.document.models[shade.id].left == shade.left
    assert late.item["root_id"] == fig.id
    assert late.item["version"] == bokeh.__version__


def test_room_is_kept_for_a_figure_before_it_is_there():
    figs = [plain_figure("", "", "", height=h) for h in (100, 200, 300)]
    layout = layouts.row(figs[0], layouts.column(*figs[1:]))
    assert Surface(layout).layout.min_height == "500px"


def test_a_figure_is_said_in_words():
    (one, _), other = drawn(), plain_figure("", "", "accuracy")
    layout = layouts.row(one, other)
    assert as_document(layout)["alt"] == "a title: y against x: a line; accuracy"
    one.title.text, other.visible = "another\ntitle", False
    assert as_document(layout)["alt"] == "another title: y against x: a line"


def test_what_is_no_figure_is_said():
    with pytest.raises(CplabError, match="nothing to show"):
        Surface(7)
    with pytest.raises(CplabError, match="nothing to show"):
        show.display()
