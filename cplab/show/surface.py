"""One widget for Bokeh's figures in JupyterLab, Notebook 6 and 7, Colab, Kaggle and VS Code.

`as_document` turns a layout into plain data, and `surface.js` beside this file draws them, also
without a notebook. The widget adds what goes to and fro: changes that Python makes, from any
thread, and clicks on a figure.
"""

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import bokeh.io
import IPython
import ipywidgets as w
import traitlets
from bokeh.core.json_encoder import serialize_json
from bokeh.core.serialization import Serializer
from bokeh.document import Document, events
from bokeh.models import Column, LayoutDOM
from bokeh.plotting import figure

from cplab.checks import require
from cplab.show.theme import side_by_side

HEIGHT = 320  # pixels of a figure that says none
CHANGES: tuple[type[events.DocumentPatchedEvent], ...]
CHANGES = (events.ModelChangedEvent, events.ColumnDataChangedEvent)
CHANGES += (events.ColumnsStreamedEvent, events.ColumnsPatchedEvent)


def as_document(layout: LayoutDOM) -> dict[str, Any]:
    """A layout as plain data, which `surface.js` draws: `doc`, the Bokeh document; `root_id`, the
    layout's id in it; `version`, of Bokeh; `alt`, what it shows in words."""
    about = {"root_id": layout.id, "version": bokeh.__version__, "alt": alt_text(layout)}
    return {"doc": own_document(layout).to_json(deferred=False), **about}


def own_document(layout: LayoutDOM) -> Document:
    """The document of a layout. Figures that stood in another one leave it: a picture of them that
    is on a page stays as it is."""
    if layout.document is None:
        for other in {part.document for part in layout.references()} - {None}:
            other.clear()
        Document().add_root(layout)
    return layout.document


def alt_text(layout: LayoutDOM) -> str:
    """What a layout shows, for who does not see it: of each figure in sight the title, the words of
    its axes and of its legend."""
    if not isinstance(layout, figure):
        return "; ".join(filter(None, map(alt_text, getattr(layout, "children", ()))))
    if not layout.visible:
        return ""
    title = " ".join(layout.title.text.split()) if layout.title else ""
    x, y = (next((one.axis_label for one in side), "") for side in (layout.xaxis, layout.yaxis))
    axes = f"{y} against {x}" if x and y else x or y or ""
    legend = [item.label.value for one in layout.legend for item in one.items if item.visible]
    named = ", ".join(filter(None, legend))
    return ": ".join(part for part in (title, axes if axes != title else "", named) if part)


@cache
def library() -> w.Widget:
    """BokehJS out of the installed package, as a widget of its own: a page has it once, before its
    first figure, also while Python is busy."""
    code = Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"
    return Library(code=gzip.compress(code.read_bytes(), 6))


class Library(w.Widget):
    """A text that widgets on a page share."""

    code = traitlets.Bytes().tag(sync=True)


class Surface(anywidget.AnyWidget):
    """Shows a Bokeh layout (its `page`) as it is by now, wherever it is put, and answers clicks.

    What is changed in Python is drawn, also from a thread: each change by itself, or several in one
    go (`batch_changes`). Closing it frees everything but the figures.
    """

    # as text: anywidget would keep every widget that has its module as a path
    _esm = Path(__file__).with_suffix(".js").read_text("utf-8")
    library = traitlets.Any().tag(sync=True, **w.widget_serialization)
    item = traitlets.Any().tag(sync=True, to_json=lambda _, own: own.make_item())

    def __init__(self, layout: LayoutDOM) -> None:
        self.page, self._document = layout, own_document(layout)
        self._lock, self._late = threading.RLock(), list[events.DocumentChangedEvent]()
        self._held = self._number = 0  # by how many changes are held back; of the page's states
        self._document.on_change(self._note)
        # room is kept before it is there, so that no button below moves away from a click
        super().__init__(library=library(), layout={"min_height": f"{height(layout)}px"})
        self.on_msg(self._hear)

    def make_item(self) -> dict[str, Any]:
        """The layout as it is, or as it was before another one took its figures away."""
        with self._lock:
            if self.page.document is self._document:
                self._item, self._known = as_document(self.page), set(self._document.models)
            return self._item

    @contextmanager
    def batch_changes(self) -> Iterator[None]:
        """What is changed within is sent and drawn in one go; other threads wait for that."""
        with self._lock:
            self._held += 1
            try:
                yield
            finally:
                self._held -= 1
                self._tell()

    def precompute(
        self,
        there: Callable[[], Any],
        back: Callable[[], Any],
        values: dict[w.Widget, Any],
        words: dict[w.Widget, dict[str, Any]],
        base: dict[w.Widget, Any],
    ) -> None:
        """Tell the page what it would show if controls had other values, so that it need not wait
        for Python then. It is forgotten as soon as anything else is drawn, and undone if Python
        says something else then.

        Arguments: there and back, which draw that, and what was drawn last; values, of all controls
            that change what is drawn, as they would be; words, traits that other widgets had then;
            base, the values that these controls have now.
        """
        moved = {"base": by_id(base), "values": by_id(values), "words": by_id(words)}
        with self.batch_changes():
            try:
                there()
                more = self._message() if self._late else {}
                self.send({"after": self._number, **moved, **more})
            finally:
                back()
                self._late.clear()  # the page is as it was

    def discard_precomputed(self) -> None:
        """What was foreseen does not hold any more."""
        with self._lock:
            self._number += 1
            self.send({"number": self._number})

    def close(self) -> None:
        """Close it, once: Python closes what it forgets."""
        if self.comm is not None:
            self._document.remove_on_change(self._note)
            super().close()

    def _note(self, event: events.DocumentChangedEvent) -> None:
        if isinstance(event, CHANGES) and event.setter is not self:
            with self._lock:
                if not any(before.combine(event) for before in self._late):
                    self._late.append(event)
                self._tell()

    def _tell(self) -> None:
        if self._held or not self._late:
            return
        self._number += 1
        message = {"number": self._number, **self._message()}
        self._item["alt"] = message.get("alt", self._item["alt"])
        self.send(message)

    def _message(self) -> dict[str, Any]:
        """What is new, as the page is told."""
        late, self._late = self._late, []
        serializer = Serializer(references=self._known, deferred=False)
        patch = serialize_json({"events": serializer.encode(late)})
        self._known = set(self._document.models)
        alt = alt_text(self.page)
        return {"patch": patch} | ({"alt": alt} if alt != self._item["alt"] else {})

    def _hear(self, widget: Any, content: dict, buffers: Any) -> None:
        if "library" in content:
            self.send({"library": True}, [self.library.code])
        else:
            self._document.apply_json_patch(content, setter=self)


def by_id(what: dict[w.Widget, Any]) -> dict[str, Any]:
    """With the ids of widgets' models, as a page knows them, in place of the widgets."""
    return {str(widget.model_id): value for widget, value in what.items()}


def surface(drawn: Any) -> Surface:
    """A widget that shows a Bokeh figure or layout (its `page`), or a list of them side by side."""
    return Surface(side_by_side(drawn))


def height(layout: LayoutDOM) -> int:
    """Pixels that a layout takes at least."""
    if layout.min_height:
        return layout.min_height
    parts = [height(part) for part in getattr(layout, "children", ()) if hasattr(part, "height")]
    if parts:
        return sum(parts) if isinstance(layout, Column) else max(parts)
    return layout.height or HEIGHT


def display(*figs: Any) -> None:
    """Show Bokeh figures side by side in the notebook, else in a browser.

    >>> from cplab.show.theme import plain_figure
    >>> display(plain_figure("", "", ""))  # doctest: +SKIP
    """
    require(figs, "there is nothing to show: give one figure or more")
    layout = side_by_side(figs if len(figs) > 1 else figs[0])
    if IPython.get_ipython() is None:
        bokeh.io.show(layout)
    else:
        IPython.display.display(surface(layout))


def load_bokeh() -> None:
    """Send BokehJS to the notebook's page now, which its first figure does otherwise.

    >>> load_bokeh()
    """
    library()
