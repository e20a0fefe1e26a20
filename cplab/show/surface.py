"""Display of figures and widgets on a page, in JupyterLab, Notebook 6 and 7, Colab, Kaggle and VS
Code, with Python, and without it in a saved notebook, in exported HTML and on the site.

`surface.js` beside this file draws it. An output holds what was last shown in three forms: as text
that this script draws, live even without Python (`application/javascript`); as a picture
for pages without JavaScript (`image/png`); and as words (`text/markdown`). On Colab, where each
output is a page of its own and saves the states of widgets, the first form is the widget's view.
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
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import anywidget
import bokeh
import IPython
import ipywidgets as w
import numpy as np
import traitlets

from cplab.errors import require

if TYPE_CHECKING:  # loaded late, so that cplab is imported quickly
    import pandas as pd
    from bokeh.models import LayoutDOM

HERE = Path(__file__).parent
STYLE = (HERE / "surface.css").read_text("utf-8")
MODULE = f"const STYLE = {json.dumps(STYLE)};\n"
MODULE += (HERE / "surface.js").read_text("utf-8")
PAGE = "cplab" + hashlib.sha256(f"{MODULE}{bokeh.__version__}".encode()).hexdigest()[:8]
SESSION = secrets.token_hex(8)  # names this kernel
SHARED = f"(globalThis.{PAGE} ??= {{boxes: {{}}, managers: {{}}, waiting: {{}}, due: []}})"
COLAB = "google.colab"
FOLLOWED = {"data", "start", "end", "left", "right", "visible"}  # properties that Python changes
NEEDS_PYTHON = "This picture is as it was last seen: moving it needs Python. Run the cell above."

# The script of an output. Its element is the host's `element`, or (VS Code) the script's parent.
PLACE = """(() => {
  const shown = %s, page = %s;
  const parent = () => [...document.scripts].find((s) => s.text.includes(shown.id)).parentNode;
  const output = typeof element === "undefined" ? parent() : element;
  const at = output[0] ?? output;
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


# Content: the parts of an output, as plain data ---------------------------------------------------


def is_layout(part: Any) -> bool:
    """Whether something is a Bokeh figure or layout."""
    return hasattr(part, "references")


def is_picture(part: Any) -> bool:
    """Whether something shows itself as HTML, as a figure of `cplab.show` does."""
    return hasattr(part, "_repr_html_") and not is_layout(part) and not hasattr(part, "to_html")


def as_document(layout: "LayoutDOM") -> dict[str, Any]:
    """Turn a layout into plain data for `surface.js`: `doc`, the Bokeh document as text, since its
    order matters; `root_id`, the layout's id in it; `version`, of Bokeh; `alt`, its content in
    words; `height` in pixels. The layout can be shown elsewhere as well."""
    from bokeh.core.json_encoder import serialize_json
    from bokeh.embed.util import OutputDocumentFor

    about = {"root_id": layout.id, "version": bokeh.__version__, "alt": alt_text(layout)}
    with OutputDocumentFor([layout], always_new=True) as document:
        doc = serialize_json(document.to_json(deferred=False))
    return {"doc": doc, "height": height(layout), **about}


def height(layout: "LayoutDOM") -> int:
    """The least height of a layout, in pixels."""
    parts = [height(part) for part in getattr(layout, "children", ()) if hasattr(part, "height")]
    if parts:
        return sum(parts) if type(layout).__name__ == "Column" else max(parts)
    return layout.min_height or layout.height or 320


def alt_text(layout: "LayoutDOM") -> str:
    """Describe a layout for those who do not see it: each visible figure's title, axes and
    legend."""
    if not hasattr(layout, "xaxis"):
        return "; ".join(filter(None, map(alt_text, getattr(layout, "children", ()))))
    if not layout.visible:
        return ""
    title = " ".join(layout.title.text.split()) if layout.title else ""
    x, y = (next((axis.axis_label for axis in side), "") for side in (layout.xaxis, layout.yaxis))
    axes = f"{y} against {x}" if x and y else x or y or ""
    legend = [item.label.value for axis in layout.legend for item in axis.items if item.visible]
    named = ", ".join(filter(None, legend))
    return ": ".join(part for part in (title, axes if axes != title else "", named) if part)


def as_parts(content: Any) -> list:
    """Split content, one thing or a list, into the parts of an output: widgets that are kept,
    layouts (the figures of an inner list stand side by side), tables, and texts (HTML)."""
    parts = []
    for part in content if isinstance(content, list | tuple) else [content]:
        if isinstance(part, list | tuple) and all(map(is_picture, part)):
            row = "".join(f"<div>{fig._repr_html_()}</div>" for fig in part)
            part = f'<div style="display:flex;flex-wrap:wrap;gap:8px">{row}</div>'
        elif is_layout(part) or isinstance(part, list | tuple):
            from cplab.show.theme import side_by_side

            part = side_by_side(part)
        elif is_picture(part):
            part = part._repr_html_()
        allowed = isinstance(part, Kept | str) or is_layout(part) or hasattr(part, "to_html")
        require(allowed, f"{type(part).__name__} is nothing to show: give a figure")
        parts.append(part)
    return parts


class Html(IPython.display.HTML):
    """HTML; where HTML is not shown, as in a PDF, its words or a PNG."""

    def __init__(self, data: str, picture: bytes | None = None) -> None:
        super().__init__(data)
        self.picture = picture

    def __repr__(self) -> str:
        return as_words([self.data])

    def _repr_png_(self) -> bytes | None:
        return self.picture


def as_content(parts: Sequence) -> list[dict[str, Any]]:
    """Turn parts into plain data for `surface.js`."""
    content: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Kept):
            content.append({"model": part.model_id, "traits": part.saved()})
        elif is_layout(part):
            content.append(as_document(part))
        else:
            content.append({"html": part if isinstance(part, str) else part.to_html(border=0)})
    return content


def as_words(parts: Sequence) -> str:
    """Write parts as Markdown: texts without tags, tables, and what figures show."""
    lines = []
    for part in parts:
        if isinstance(part, Kept):
            lines.append(as_words(part.seen()))
        elif is_layout(part):
            lines.append(alt_text(part))
        elif not isinstance(part, str):
            lines.append(as_markdown(part))
        else:
            text = re.sub(r'<img [^>]*?alt="([^"]*)"[^>]*>', r"\1", part)
            text = re.sub(r"<style.*?</style>|<br>|</tr>", "\n", text, flags=re.S)
            text = re.sub(r"<[^>]+>", "", re.sub(r"</(p|div|td|li|span)>", " ", text))
            lines.append(html.unescape(text).strip())
    return "\n\n".join(filter(None, lines))


def as_markdown(table: "pd.DataFrame") -> str:
    """Write a table as Markdown."""
    flat = table if type(table.index).__name__ == "RangeIndex" else table.reset_index()
    heads = [" ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in flat]
    heads = ["" if head in ("index", "level_0", "level_1") else head for head in heads]
    rows = [heads, ["---"] * len(heads), *flat.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def layouts_in(parts: Sequence) -> Iterator["LayoutDOM"]:
    """Yield the figures among parts; rows and columns stay together."""
    for part in parts:
        if isinstance(part, Kept):
            yield from layouts_in(part.seen())
        elif is_layout(part):
            yield part


def plain(columns: Mapping[str, Any]) -> dict[str, list]:
    """Turn columns into lists for JSON, with None for NaN."""
    lists = {name: np.asarray(values, dtype=object).tolist() for name, values in columns.items()}
    return {name: [None if v != v else v for v in values] for name, values in lists.items()}


# Widgets ------------------------------------------------------------------------------------------


displayed: WeakSet["Kept"] = WeakSet()
due: dict["Kept", threading.Timer] = {}  # widgets that changed and are not written yet


def keep_all(*event: Any) -> None:
    """Write all outputs that have changed and are not written yet."""
    for widget in [*due]:
        widget.keep()


def holds(box: w.Widget, part: w.Widget) -> bool:
    """Whether a widget is `part`, or contains it."""
    return box is part or any(holds(child, part) for child in getattr(box, "children", ()))


class Kept(w.Widget):
    """A widget whose last state stays visible in a saved notebook.

    A box of ipywidgets needs Python; without it, its figures and words stay as they were.
    """

    def seen(self) -> list:
        """The parts that are visible now: texts, tables, figures, and widgets like this."""
        return [*seen_in(self)]

    def saved(self) -> dict[str, Any]:
        """The traits from which surface.js rebuilds the widget on a page without Python."""
        content = {"kind": "still", "parts": as_content(self.seen()), "note": NEEDS_PYTHON}
        return {"content": json.dumps(content), "version": bokeh.__version__}

    def keep(self, *change: Any) -> None:
        """Write the visible parts into the outputs that show this widget."""
        if timer := due.pop(self, None):
            timer.cancel()
        for name in getattr(self, "_outputs", ()):
            self._write(name, update=True)

    def keep_soon(self, seconds: float = 0.5) -> None:
        """Keep it when nothing has changed for some seconds, or when the cell that changes it ends:
        an output that is written later may not reach the notebook."""
        if timer := due.pop(self, None):
            timer.cancel()
        if getattr(self, "_outputs", ()):
            due[self] = threading.Timer(seconds, self.keep)
            due[self].daemon = True
            try:
                due[self].start()
            except RuntimeError:  # in a browser's Python there are no threads
                self.keep()

    def _ipython_display_(self, **more: Any) -> None:
        load_page()
        displayed.add(self)
        self._outputs = [*getattr(self, "_outputs", ()), secrets.token_hex(8)]
        # the picture follows when the cell ends; Colab makes the view anew at each writing
        self._write(self._outputs[-1], update=False, picture=COLAB in sys.modules)
        if COLAB not in sys.modules:
            self.keep_soon()

    def _write(self, name: str, update: bool, picture: bool = True) -> None:
        """Display an output under a name, or replace it if `update`; with a picture or without."""

        def publish(bundle: dict, name: str) -> None:
            transient = {"display_id": name}
            IPython.display.publish_display_data(bundle, transient=transient, update=update)

        layouts, words = [*layouts_in(self.seen())], as_words(self.seen())
        bundle: dict[str, Any] = {"text/plain": words}
        # a picture that cannot be drawn must not stop the lab
        with suppress(ArithmeticError, LookupError, TypeError, ValueError):
            if layouts and picture:
                from cplab.show.still import still

                bundle["image/png"] = base64.b64encode(still(layouts)).decode()
        if COLAB in sys.modules:
            view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
            return publish({**bundle, "application/vnd.jupyter.widget-view+json": view}, name)
        shown = {"id": name, "session": SESSION, "model": self.model_id, "traits": self.saved()}
        shown["height"] = 80 + sum(map(height, layouts)) if layouts else 30
        # as JavaScript that may stand in HTML
        text = json.dumps(shown).replace("</", "<\\/").replace("<!--", "<\\!--")
        publish({"text/markdown": words, "application/javascript": HIDE}, f"{name}words")
        publish({**bundle, "application/javascript": PLACE % (text, SHARED)}, name)


def seen_in(widget: w.Widget, top: bool = True) -> Iterator[Any]:
    """Yield the texts and the kept widgets within a box of widgets."""
    if isinstance(widget, w.HTML):
        yield from [widget.value] if "<style" not in widget.value else []
    elif isinstance(widget, Kept) and not top:
        yield widget
    else:
        for part in getattr(widget, "children", ()):
            if part.layout.display != "none":
                yield from seen_in(part, False)


class Shown(Kept, anywidget.AnyWidget):
    """A widget with finitely many states, all sent at first, so that it works without Python.

    Arguments: content, plain data with its `kind` (see surface.js); state, of its controls.
    Subclasses override `seen` with the parts that a state shows.
    """

    # as text: anywidget keeps every widget alive whose module is a path
    _esm = MODULE
    content = traitlets.Unicode().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    version = traitlets.Unicode(bokeh.__version__).tag(sync=True)
    library = traitlets.Any().tag(sync=True, **w.widget_serialization)

    def __init__(self, content: Mapping, state: Mapping, **traits: Any) -> None:
        text = json.dumps(content, separators=(",", ":"))
        super().__init__(content=text, state=dict(state), library=library(), **traits)
        self.observe(self.keep, ["state", "content"])

    def saved(self) -> dict[str, Any]:
        return {"content": self.content, "state": self.state, "version": self.version}


class Surface(Shown):
    """Shows parts. Its figures follow changes in Python to data sources, ends of ranges and boxes.

    Arguments: content, a Bokeh figure, a text, a table, or a list of these.
    """

    def __init__(self, content: Any) -> None:
        from bokeh.models import BoxAnnotation, ColumnDataSource, Range1d

        self.parts, self.changes = as_parts(content), dict[str, dict]()
        layouts = [*layouts_in(self.parts)]
        room = {"min_height": f"{sum(map(height, layouts))}px"}  # until it is drawn
        super().__init__({"kind": "still", "parts": as_content(self.parts)}, {}, layout=room)
        for layout in layouts:
            for model in layout.select({"type": (ColumnDataSource, Range1d, BoxAnnotation)}):
                for name in FOLLOWED & model.properties():
                    model.on_change(name, partial(self._follow, model.id))
        self.on_msg(lambda *message: self.send(self.changes))

    def seen(self) -> list:
        return self.parts

    def saved(self) -> dict[str, Any]:
        return {**super().saved(), "state": self.changes}

    def _follow(self, model: str, name: str, old: Any, new: Any) -> None:
        change = {name: plain(new) if name == "data" else new}
        self.changes[model] = {**self.changes.get(model, {}), **change}
        self.send({model: change})
        for widget in [*displayed]:
            # not after each epoch of training: a picture takes long, and Colab makes a new view
            if COLAB not in sys.modules and holds(widget, self):
                widget.keep_soon(3)


# The page's library -------------------------------------------------------------------------------


@cache
def packed_library() -> bytes:
    """BokehJS of the installed package, compressed."""
    code = Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"
    return gzip.compress(code.read_bytes(), 6)


class Library(w.Widget):
    """A text that the widgets of a page share."""

    code = traitlets.Bytes().tag(sync=True)


@cache
def library() -> w.Widget | None:
    """A widget that holds BokehJS on Colab, where each output is a page of its own, or None."""
    return Library(code=packed_library()) if COLAB in sys.modules else None


class Bridge(anywidget.AnyWidget):
    """Connects a page to the widgets in Python. Each kernel has one; it is never displayed."""

    _esm = BRIDGE % SHARED
    session = traitlets.Unicode(SESSION).tag(sync=True)


def kernel() -> Any:
    """The kernel of a notebook; None in a script, a terminal's IPython or a test."""
    return getattr(IPython.get_ipython(), "kernel", None)


bridge = cache(Bridge)
loaded_by: list[Any] = []  # the cell whose output holds the library


def load_page(again: bool = False) -> None:
    """Put the page's library into the output of a cell: the first cell that shows something, that
    cell again when it is run again, or the present cell if `again`."""
    if COLAB in sys.modules or kernel() is None:
        return
    parent = this_kernel.get_parent() if hasattr(this_kernel := kernel(), "get_parent") else {}
    header, metadata = parent.get("header", {}), parent.get("metadata", {})
    cell = (metadata.get("cellId") or header.get("msg_id"), header.get("msg_id"))
    if loaded_by and not again and (cell[0] != loaded_by[0][0] or cell == loaded_by[0]):
        return
    loaded_by[:] = [cell]
    bridge()
    IPython.get_ipython().events.register("post_run_cell", keep_all)
    module, code = (base64.b64encode(text).decode() for text in (MODULE.encode(), packed_library()))
    script = LIBRARY % (SHARED, bokeh.__version__, module, code)
    bundle = {"application/javascript": script, "text/markdown": "", "text/plain": ""}
    IPython.display.publish_display_data(bundle)


def display(*figures: Any) -> None:
    """Show Bokeh figures side by side, in the notebook or else in a browser.

    >>> from cplab.show.theme import plain_figure
    >>> display(plain_figure("", "", ""))  # doctest: +SKIP
    """
    from cplab.show.theme import side_by_side

    require(figures, "there is nothing to show: give one figure or more")
    if all(map(is_picture, figures)):
        return IPython.display.display(Html("".join(as_parts([figures]))))
    layout = side_by_side(figures if len(figures) > 1 else figures[0])
    if kernel() is None:
        from bokeh.io import show

        show(layout)
    else:
        Surface(layout)._ipython_display_()
