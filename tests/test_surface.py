"""The surface: what a page has of a figure is what Python has of it, whoever changes it."""

import gc
import json
import threading
import weakref

import bokeh
import numpy as np
import pytest
from bokeh import layouts
from bokeh.document import Document
from bokeh.events import Tap
from bokeh.models import ColumnDataSource
from hypothesis import given, settings
from hypothesis import strategies as st

from cplab import CplabError, show
from cplab.lab.surface import surface
from cplab.show.surface import as_document
from cplab.show.theme import plain_figure

pytestmark = pytest.mark.usefixtures("errors_raise")


class Page:
    """A page that shows a surface: a document of its own, to which it applies what it is told."""

    def __init__(self, shown):
        self.item, self.heard = shown.get_state()["item"], []
        self.document = Document.from_json(json.loads(self.item["doc"]))
        shown.send = self.hear

    def hear(self, message, buffers=None):
        self.heard.append(message)
        if "patch" in message:
            self.document.apply_json_patch(json.loads(message["patch"]))

    def find(self, name):
        return self.document.get_model_by_name(name)


def drawn(name="it"):
    """A figure with a source of this name."""
    fig = plain_figure("a title", "x", "y", name=f"{name} figure")
    source = ColumnDataSource({"x": [1, 2], "y": np.array([3.0, np.nan])}, name=name)
    fig.line("x", "y", source=source, legend_label="a line")
    return fig, source


def same(one, other):
    return [*one] == [*other] and all(np.array_equal(one[k], other[k], equal_nan=True) for k in one)


def test_a_page_gets_the_figure_as_it_is_when_it_asks():
    fig, source = drawn()
    shown = surface(fig)
    source.data = {"x": [5], "y": [6.5]}
    page = Page(shown)  # as after a reload
    assert same(page.find("it").data, source.data)
    assert page.item["root_id"] == fig.id
    assert page.item["version"] == bokeh.__version__


@given(
    st.lists(
        st.one_of(
            st.lists(st.floats(width=32), max_size=4),
            st.text(max_size=5),
            st.sampled_from(["solid", "dashed", "dotted"]).map(lambda dash: (dash,)),
        ),
        max_size=8,
    ),
    st.booleans(),
)
@settings(max_examples=40)
def test_a_page_has_what_python_has(changes, at_once):
    fig, source = drawn()
    shown = surface(fig)
    page = Page(shown)

    def change():
        for one in changes:
            if isinstance(one, list):
                source.data = {"x": np.arange(len(one)), "y": np.array(one)}
            elif isinstance(one, str):
                fig.title.text = one
            else:
                fig.renderers[0].glyph.line_dash = one[0]

    if at_once:
        with shown.batch_changes():
            change()
            assert page.heard == []
        assert len(page.heard) <= 1
    else:
        change()
    theirs = page.find("it figure")
    assert same(page.find("it").data, source.data)
    assert theirs.title.text == fig.title.text
    assert theirs.renderers[0].glyph.line_dash == fig.renderers[0].glyph.line_dash


titles = st.text(st.characters(codec="utf-8"), max_size=4)


def test_what_is_new_in_a_figure_reaches_the_page_and_can_be_changed_there():
    fig, _ = drawn()
    page = Page(surface(fig))
    more = ColumnDataSource({"x": [0], "y": [0]}, name="more")
    fig.line("x", "y", source=more)
    more.data = {"x": [1], "y": [2]}
    assert same(page.find("more").data, more.data)


def test_threads_that_change_a_figure_at_once_lose_nothing():
    figs, sources = zip(*(drawn(f"source {i}") for i in range(8)), strict=True)
    shown = surface(layouts.row(*figs))
    page, begin = Page(shown), threading.Barrier(8)

    def work(source):
        begin.wait()
        for i in range(30):
            with shown.batch_changes():
                source.data = {"x": [i, i], "y": [i, -i]}

    threads = [threading.Thread(target=work, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(8):
        assert list(page.find(f"source {i}").data["x"]) == [29, 29]


def test_what_is_to_be_drawn_at_once_is_not_mixed_with_what_another_thread_changes():
    fig, source = drawn()
    shown, done = surface(fig), threading.Event()
    page = Page(shown)

    def work():
        source.data = {"x": [2], "y": [2]}
        done.set()

    with shown.batch_changes():
        thread = threading.Thread(target=work)
        thread.start()
        assert not done.wait(0.3)
        fig.title.text = "another"
    thread.join(10)
    assert len(page.heard) == 2
    assert page.find("it figure").title.text == "another"
    assert list(page.find("it").data["x"]) == [2]


def click(shown, fig, x, y):
    """What the page sends for a click."""
    values = {"type": "map", "entries": [["model", {"id": fig.id}], ["x", x], ["y", y]]}
    event = {"type": "event", "name": "tap", "values": values}
    say(shown, {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": event})


def say(shown, message):
    """A message from the page."""
    shown._handle_custom_msg({"events": [message]}, [])


def test_a_click_reaches_python_and_what_it_changes_the_page_but_it_is_not_echoed():
    (fig, source), seen = drawn(), []
    fig.on_event(Tap, lambda event: seen.append((event.x, event.y)))
    shown = surface(fig)
    page = Page(shown)
    click(shown, fig, 1, 2)
    model = {"id": fig.title.id}
    say(shown, {"kind": "ModelChanged", "model": model, "attr": "text", "new": "from the page"})
    assert (seen, fig.title.text, page.heard) == ([(1, 2)], "from the page", [])
    fig.on_event(Tap, lambda event: source.update(data={"x": [event.x], "y": [event.y]}))
    click(shown, fig, 3, 4)
    assert list(page.find("it").data["x"]) == [3]


def test_a_closed_surface_says_nothing_more_and_is_forgotten_with_its_figure():
    fig, source = drawn()
    shown = surface(fig)
    page = Page(shown)
    shown.close()
    source.data = {"x": [], "y": []}
    assert page.heard == []
    left = [weakref.ref(one) for one in (shown, fig, source, fig.document)]
    del shown, fig, source, page
    gc.collect()
    assert [one() for one in left] == [None] * 4


def test_a_figure_can_be_shown_again_alone_or_beside_others():
    (one, source), (other, _) = drawn("one"), drawn("other")
    first, second = surface(one), surface(one)
    pages = [Page(first), Page(second)]
    source.data = {"x": [7], "y": [8]}
    assert [list(page.find("one").data["x"]) for page in pages] == [[7], [7]]
    third = Page(surface([one, other]))
    source.data = {"x": [9], "y": [9]}
    assert list(third.find("one").data["x"]) == [9]
    assert list(pages[0].find("one").data["x"]) == [7]  # it stays as it was
    again = Page(first)  # also where that page is loaded again
    assert [root.id for root in again.document.roots] == [again.item["root_id"]]
    source.data = {"x": [0], "y": [0]}
    assert list(third.find("one").data["x"]) == [0]  # which takes nothing from the others


def test_room_is_kept_for_a_figure_before_it_is_there():
    figs = [plain_figure("", "", "", height=h) for h in (100, 200, 300)]
    layout = layouts.row(figs[0], layouts.column(*figs[1:]))
    assert surface(layout).layout.min_height == "500px"


def test_a_figure_is_said_in_words_which_follow_it():
    (one, source), other = drawn(), plain_figure("", "", "accuracy")
    shown = surface([one, other])
    page = Page(shown)
    assert page.item["alt"] == "a title: y against x: a line; accuracy"
    one.title.text = "another\ntitle"
    assert page.heard[-1]["alt"] == "another title: y against x: a line; accuracy"
    source.data = {"x": [], "y": []}
    assert "alt" not in page.heard[-1]
    other.visible = False
    assert as_document(shown.page)["alt"] == "another title: y against x: a line"


def test_what_is_no_figure_is_said():
    with pytest.raises(Exception, match="is no figure"):
        surface("a figure")
    with pytest.raises(CplabError, match="nothing to show"):
        show.display()
