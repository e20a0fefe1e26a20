"""How figures and widgets reach a page, in JupyterLab, Notebook 6 and 7, Colab, Kaggle and VS Code,
with Python, and without it in a notebook that was saved, in exported HTML and on the site.

`surface.js` beside this file draws all of it. An output holds what was last seen three times: as
text that this module draws, alive also without Python (`application/javascript`); as a picture for
who runs no JavaScript (`image/png`); and as words (`text/markdown`). On Colab, where each output is
a page of its own and states of widgets are saved, it is the widget's view in place of the first.
"""

import base64
import gzip
import hashlib
import html
import json
import re
import secrets
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import bokeh
import bokeh.io
import IPython
import ipywidgets as w
import pandas as pd
import traitlets
from bokeh.core.json_encoder import serialize_json
from bokeh.core.serialization import Serializer
from bokeh.document import Document, events
from bokeh.models import Column, LayoutDOM
from bokeh.plotting import figure

from cplab.errors import require
from cplab.show.still import still
from cplab.show.theme import side_by_side

HEIGHT = 320  # pixels of a figure that says none
MODULE = Path(__file__).with_suffix(".js").read_text("utf-8")
PAGE = "cplab" + hashlib.sha256(f"{MODULE}{bokeh.__version__}".encode()).hexdigest()[:8]
SESSION = secrets.token_hex(8)  # of this kernel
SHARED = f"(globalThis.{PAGE} ??= {{boxes: {{}}, managers: {{}}, waiting: {{}}, due: []}})"
COLAB = "google.colab"
WIDGET = "application/vnd.jupyter.widget-view+json"
NEEDS_PYTHON = "This picture is as it was last seen: moving it needs Python. Run the cell above."
CHANGES: tuple[type[events.DocumentPatchedEvent], ...]
CHANGES = (events.ModelChangedEvent, events.ColumnDataChangedEvent)
CHANGES += (events.ColumnsStreamedEvent, events.ColumnsPatchedEvent)

# What an output runs. The element is where a host says it is, or else (VS Code) around this script.
PLACE = """(() => {
  const shown = %s, page = %s;
  const own = () => [...document.scripts].find((one) => one.text.includes(shown.id)).parentNode;
  const given = typeof element === "undefined" ? own() : element;
  const at = given[0] ?? given;
  at.style.minHeight = `${shown.height}px`;
  page.place ? page.place(at, shown) : page.due.push([at, shown]);
})();"""
HIDE = 'typeof element === "undefined" || (element[0] ?? element).classList.add("cplab-none");'
LIBRARY = (
    HIDE
    + """(async () => {
  const page = %s;
  if (page.version) return;
  page.version = "%s";
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const code = new Blob([new TextDecoder().decode(bytes("%s"))], {type: "text/javascript"});
  const {load, place} = await import(URL.createObjectURL(code));
  await load(bytes("%s"), page.version);
  page.place = (at, shown) => place(page, at, shown);
  page.due.splice(0).forEach((task) => page.place(...task));
})();"""
)
BRIDGE = """export default {initialize({model}) {
  const page = %s, session = model.get("session"), manager = model.widget_manager;
  page.managers[session] = manager;
  (page.waiting[session] ?? []).splice(0).forEach((attach) => attach(manager));
}}"""


# Content: what is shown, as plain data ------------------------------------------------------------


def as_document(layout: LayoutDOM) -> dict[str, Any]:
    """A layout as plain data, which `surface.js` draws: `doc`, the Bokeh document as text, whose
    order must stay; `root_id`, the layout's id in it; `version`, of Bokeh; `alt`, what it shows in
    words; `height` in pixels."""
    about = {"root_id": layout.id, "version": bokeh.__version__, "alt": alt_text(layout)}
    doc = serialize_json(own_document(layout).to_json(deferred=False))
    return {"doc": doc, "height": height(layout), **about}


def own_document(layout: LayoutDOM) -> Document:
    """The document of a layout. Figures that stood in another one leave it: a picture of them that
    is on a page stays as it is."""
    if layout.document is None:
        for other in {part.document for part in layout.references()} - {None}:
            other.clear()
        Document().add_root(layout)
    return layout.document


def height(layout: LayoutDOM) -> int:
    """Pixels that a layout takes at least."""
    if layout.min_height:
        return layout.min_height
    parts = [height(part) for part in getattr(layout, "children", ()) if hasattr(part, "height")]
    if parts:
        return sum(parts) if isinstance(layout, Column) else max(parts)
    return layout.height or HEIGHT


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


def as_list(made: Any) -> list:
    """A list or tuple as a list; anything else is its only part."""
    return [*made] if isinstance(made, list | tuple) else [made]


def as_content(parts: Sequence) -> list[dict[str, Any]]:
    """Parts as plain data: texts (HTML), tables, anything with an HTML form, widgets that are kept,
    Bokeh layouts, and lists of these, to stand side by side."""
    made: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Kept):
            made.append({"model": part.model_id, **part.saved()})
        elif isinstance(part, LayoutDOM | list | tuple):
            made.append({"item": as_document(side_by_side(part))})
        else:
            made.append({"html": as_html(part)})
    return made


def as_html(part: Any) -> str:
    """A text, a table, or anything else that has a form as HTML."""
    if isinstance(part, pd.Series):
        part = part.to_frame()
    if isinstance(part, pd.DataFrame):
        return part.to_html(border=0)
    if hasattr(part, "_repr_html_"):
        return str(part._repr_html_())
    require(isinstance(part, str), f"{type(part).__name__} is nothing to show: give a figure")
    return part


def as_words(parts: Sequence) -> str:
    """Parts in words, as Markdown: texts without their tags, tables, what figures show."""
    lines = []
    for part in parts:
        if isinstance(part, pd.DataFrame | pd.Series):
            lines.append(as_markdown(part if isinstance(part, pd.DataFrame) else part.to_frame()))
        elif isinstance(part, LayoutDOM | list | tuple):
            lines.append(alt_text(side_by_side(part)))
        elif isinstance(part, Kept):
            lines.append(as_words(part.seen()))
        else:
            text = re.sub(r"<style.*?</style>|<br>", "\n", as_html(part), flags=re.S)
            text = re.sub(r"</(p|div|td|li)>", " ", text)
            lines.append(html.unescape(re.sub(r"<[^>]+>", "", text)).strip())
    return "\n\n".join(filter(None, lines))


def as_markdown(table: pd.DataFrame) -> str:
    """A table as Markdown."""
    flat = table.reset_index() if not isinstance(table.index, pd.RangeIndex) else table
    heads = [" ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in flat]
    heads = ["" if head in ("index", "level_0", "level_1") else head for head in heads]
    rows = [heads, ["---"] * len(heads), *flat.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def layouts_in(parts: Sequence) -> list[LayoutDOM]:
    """The figures of parts, rows and columns as they are."""
    found = []
    for part in parts:
        if isinstance(part, Kept):
            found += layouts_in(part.seen())
        elif isinstance(part, LayoutDOM | list | tuple):
            found.append(side_by_side(part))
    return found


# Outputs ------------------------------------------------------------------------------------------


class Output:
    """One output of a cell: what was last seen, written again when that changes."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(8)

    def write(self, widget: "Kept", new: bool) -> None:
        """Display what a widget shows by now, or write it again if it is not new."""
        parts = widget.seen()
        layouts, words = layouts_in(parts), as_words(parts)
        bundle: dict[str, Any] = {"text/plain": words}
        # a picture for pages without JavaScript is not worth a lab that stops
        with suppress(ArithmeticError, LookupError, TypeError, ValueError):
            if layouts:
                bundle["image/png"] = base64.b64encode(still(layouts)).decode()
        if COLAB in sys.modules:
            view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
            return self.publish(bundle | {WIDGET: view}, "", new)
        shown = {"id": self.id, "session": SESSION, "model": widget.model_id, **widget.saved()}
        shown["height"] = 80 + sum(map(height, layouts)) if layouts else 30
        bundle["application/javascript"] = PLACE % (as_script(shown), SHARED)
        self.publish({"text/markdown": words, "application/javascript": HIDE}, "words", new)
        self.publish(bundle, "", new)

    def publish(self, bundle: dict, name: str, new: bool) -> None:
        transient = {"display_id": self.id + name}
        IPython.display.publish_display_data(bundle, transient=transient, update=not new)


def as_script(value: Any) -> str:
    """Plain data as JavaScript, which may stand in HTML."""
    return json.dumps(value).replace("</", "<\\/").replace("<!--", "<\\!--")


class Kept(w.Widget):
    """Of widgets: displayed so that a saved notebook shows what was last seen.

    A box of ipywidgets needs Python; without it, its figures and words stand as they were. An
    anywidget lives on, if `alive` names the traits that its module needs.
    """

    alive: tuple[str, ...] = ()

    def seen(self) -> list:
        """What is seen by now: texts, tables and figures."""
        return [*seen_in(self)]

    def saved(self) -> dict[str, Any]:
        """For a page without Python: traits, and the texts of a module and of its style, where
        these are not those of this file."""
        if self.alive:
            own = {"esm": str(getattr(self, "_esm", "")), "css": str(getattr(self, "_css", ""))}
            own = {} if own["esm"] == Module._esm else own
            return own | {"traits": {name: getattr(self, name) for name in self.alive}}
        content = {"kind": "still", "parts": as_content(self.seen()), "note": NEEDS_PYTHON}
        return {"traits": {"content": json.dumps(content), "version": bokeh.__version__}}

    def keep(self, *change: Any) -> None:
        """Write what is seen by now into the outputs that show it."""
        for output in getattr(self, "_outputs", ()):
            output.write(self, new=False)

    def keep_soon(self, seconds: float = 0.5) -> None:
        """Keep it once nothing has moved for a while."""
        if timer := getattr(self, "_timer", None):
            timer.cancel()
        if getattr(self, "_outputs", ()):
            self._timer = threading.Timer(seconds, self.keep)
            self._timer.daemon = True
            with suppress(RuntimeError):  # in a browser's Python there are no threads
                self._timer.start()

    def _ipython_display_(self, **more: Any) -> None:
        load_page()
        output = Output()
        self._outputs = [*getattr(self, "_outputs", ()), output]
        output.write(self, new=True)


def seen_in(widget: w.Widget, top: bool = True) -> Iterator[Any]:
    """The texts and figures in a box of widgets, and in what is in it."""
    if isinstance(widget, w.HTML):
        yield from [widget.value] if "<style" not in widget.value else []
    elif isinstance(widget, Surface):
        yield widget.page
    elif isinstance(widget, Kept) and not top:
        yield widget
    else:
        for part in getattr(widget, "children", ()):
            if part.layout.display != "none":
                yield from seen_in(part, False)


class Module(anywidget.AnyWidget):
    """What `surface.js` shows. Sends BokehJS to a page that has none."""

    # as text: anywidget would keep every widget that has its module as a path
    _esm = MODULE + "export default widget;"
    version = traitlets.Unicode(bokeh.__version__).tag(sync=True)
    library = traitlets.Any().tag(sync=True, **w.widget_serialization)

    def __init__(self, **traits: Any) -> None:
        super().__init__(library=library(), **traits)
        self.on_msg(self._hear)

    def _hear(self, widget: Any, content: dict, buffers: Any) -> None:
        if "library" in content:
            self.send({"library": True}, [packed_library()])


class Shown(Kept, Module):
    """A widget with finitely many states, which were sent once: it needs no Python to be moved.

    Arguments: content, plain data with its `kind` (see surface.js); state, of what is moved.
    Subclasses say in `seen` what their state shows.
    """

    alive = ("content", "state", "version")
    content = traitlets.Unicode().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, content: Mapping, state: Mapping | None = None) -> None:
        super().__init__(content=json.dumps(content), state=dict(state or {}))
        self.observe(self.keep, "state")


class Stills(Shown):
    """Figures that nothing moves."""

    def __init__(self, parts: Sequence) -> None:
        self._parts = parts
        super().__init__({"kind": "still", "parts": as_content(parts)})

    def seen(self) -> list:
        return [*self._parts]


class Surface(Module):
    """Shows a Bokeh layout (its `page`) as it is by now, wherever it is put, and answers clicks.

    What is changed in Python is drawn, also from a thread: each change by itself, or several in one
    go (`batch_changes`). Closing it frees everything but the figures.
    """

    item = traitlets.Any().tag(sync=True, to_json=lambda _, own: own.make_item())

    def __init__(self, layout: LayoutDOM) -> None:
        self.page, self._document = layout, own_document(layout)
        self._lock, self._late = threading.RLock(), list[events.DocumentChangedEvent]()
        self._held = 0  # by how many changes are held back
        self._document.on_change(self._note)
        # room is kept before it is there, so that no button below moves away from a click
        super().__init__(layout={"min_height": f"{height(layout)}px"})

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
        late, self._late = self._late, []
        serializer = Serializer(references=self._known, deferred=False)
        message = {"patch": serialize_json({"events": serializer.encode(late)})}
        self._known = set(self._document.models)
        alt = alt_text(self.page)
        if alt != self._item["alt"]:
            message["alt"] = self._item["alt"] = alt
        self.send(message)

    def _hear(self, widget: Any, content: dict, buffers: Any) -> None:
        super()._hear(widget, content, buffers)
        if "library" not in content:
            self._document.apply_json_patch(content, setter=self)


def surface(drawn: Any) -> Surface:
    """A widget that shows a Bokeh figure or layout (its `page`), or a list of them side by side."""
    return Surface(side_by_side(drawn))


# The page's library -------------------------------------------------------------------------------


@cache
def packed_library() -> bytes:
    """BokehJS out of the installed package, compressed."""
    code = Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"
    return gzip.compress(code.read_bytes(), 6)


class Library(w.Widget):
    """A text that widgets on a page share."""

    code = traitlets.Bytes().tag(sync=True)


@cache
def colab_library() -> w.Widget:
    return Library(code=packed_library())


def library() -> w.Widget | None:
    """BokehJS as a widget, on Colab, where each output is a page of its own."""
    return colab_library() if COLAB in sys.modules else None


class Bridge(anywidget.AnyWidget):
    """Tells a page of the widgets that Python has: one for each kernel, and never displayed."""

    _esm = BRIDGE % SHARED
    session = traitlets.Unicode(SESSION).tag(sync=True)


def kernel() -> Any:
    """The kernel of a notebook, None in a script, a terminal's IPython or a test."""
    return getattr(IPython.get_ipython(), "kernel", None)


bridge = cache(Bridge)
loaded_by: list[Any] = []  # the cell whose output holds the library


def load_page(again: bool = False) -> None:
    """Have the page's library in the output of a cell: of the first that shows something, of that
    cell again when it is run again, or of this one."""
    if COLAB in sys.modules or kernel() is None:
        return
    parent = own.get_parent() if hasattr(own := kernel(), "get_parent") else {}
    header, metadata = parent.get("header", {}), parent.get("metadata", {})
    cell = (metadata.get("cellId") or header.get("msg_id"), header.get("msg_id"))
    if loaded_by and not again and (cell[0] != loaded_by[0][0] or cell == loaded_by[0]):
        return
    loaded_by[:] = [cell]
    bridge()
    module, code = (base64.b64encode(text).decode() for text in (MODULE.encode(), packed_library()))
    script = LIBRARY % (SHARED, bokeh.__version__, module, code)
    bundle = {"application/javascript": script, "text/markdown": "", "text/plain": ""}
    IPython.display.publish_display_data(bundle)


def load_bokeh() -> None:
    """Send BokehJS to the notebook's page now, which its first figure does otherwise.

    >>> load_bokeh()
    """
    if kernel() is not None:
        load_page(again=True)


def display(*figs: Any) -> None:
    """Show Bokeh figures side by side in the notebook, else in a browser.

    >>> from cplab.show.theme import plain_figure
    >>> display(plain_figure("", "", ""))  # doctest: +SKIP
    """
    require(figs, "there is nothing to show: give one figure or more")
    layout = side_by_side(figs if len(figs) > 1 else figs[0])
    if kernel() is None:
        bokeh.io.show(layout)
    else:
        Stills([layout])._ipython_display_()
