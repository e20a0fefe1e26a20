"""Texts as HTML: Markdown with its formulas as MathML, what cells print and display, docstrings."""

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import mistune
import pandas as pd
from latex2mathml.converter import convert

# Whose public names, beside the door's, are for everybody: labs, README, and the reference here.
ROOMS = (
    *("fits", "gallery", "lab", "measure", "models", "quantities", "results", "show"),
    *("statistics", "windows", "studies.kitten", "studies.pruning", "studies.eyes"),
    *("studies.linear", "studies.reopening"),
)


class Renderer(mistune.HTMLRenderer):
    """Markdown as it stands in labs and reports: HTML within it is kept."""

    def __init__(self, links: Mapping[str, str]) -> None:
        super().__init__(escape=False)
        self.links, self.slugs = links, dict[str, int]()

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        plain = re.sub(r"<[^>]+>", "", text).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        count = self.slugs[slug] = self.slugs.get(slug, -1) + 1
        return f'<h{level} id="{slug}{f"-{count}" if count else ""}">{text}</h{level}>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        place, mark, part = url.partition("#")
        name = place.rpartition("/")[2]
        known = self.links.get(name, place if ":" in place else "")
        return f'<a href="{escape(known + mark + part)}">{text}</a>' if known or part else text

    def image(self, text: str, url: str, title: str | None = None) -> str:
        place = escape(url.rpartition("/")[2])
        return f'<img src="pictures/{place}" alt="{escape(text)}" loading="lazy">'

    def table(self, text: str) -> str:
        return scrollable(f"<table>{text}</table>")

    def block_code(self, code: str, info: str | None = None) -> str:
        return python(code)

    def inline_math(self, text: str) -> str:
        return str(convert(text))

    def block_math(self, text: str) -> str:
        return f'<p class="formula" tabindex="0">{convert(text, display="block")}</p>'


def markdown(text: str, links: Mapping[str, str]) -> str:
    """Markdown as HTML. Arguments: text; links, the pages of files by the files' names."""
    renderer = Renderer(links)
    plugins = ["table", "math", "strikethrough"]
    return str(mistune.create_markdown(renderer=renderer, plugins=plugins)(text))


def scrollable(text: str) -> str:
    """HTML whose tables can be scrolled, also with keys, and have no empty heads."""
    start = '<div class="wide" tabindex="0" role="group" aria-label="table"><table'
    text = text.replace("<table", start).replace("</table>", "</table></div>")
    return re.sub("<th([^>]*)></th>", r"<td\1></td>", text)


def python(source: str) -> str:
    return f'<pre tabindex="0"><code>{escape(source.strip())}</code></pre>'


def display_html(value: Any) -> str:
    """A table, a picture or any other object as HTML."""
    value = value.to_frame() if isinstance(value, pd.Series) else value
    if isinstance(value, pd.DataFrame):
        return scrollable(value.to_html(border=0))
    if hasattr(value, "_repr_html_"):
        return scrollable(str(value._repr_html_()))
    text = (value if isinstance(value, str) else repr(value)).rstrip()
    return f'<pre tabindex="0" class="printed">{escape(text)}</pre>' if text else ""


def reference() -> Iterator[str]:
    """What each public name of each room says of itself, as HTML."""
    for room in ("cplab", *(f"cplab.{name}" for name in ROOMS)):
        module = importlib.import_module(room)
        name = module.__name__
        yield f'<section><h2 id="{name}">{name}</h2>{docstring(module)}'
        for own in module.__all__:
            value = getattr(module, own)
            yield f'<h3 id="{name}.{own}"><code>{own}</code></h3>'
            yield signature_of(own, value) + docstring(value)
        yield "</section>"


def signature_of(name: str, value: Any) -> str:
    """The line that calls it, for functions and classes; a constant's value."""
    if not callable(value):
        return python(f"{name} = {value!r:.300}")
    try:
        found = str(inspect.signature(value))
    except (TypeError, ValueError):
        return ""
    return python(f"{name}{re.sub(r' at 0x[0-9a-f]+', '', found)}")


def docstring(value: Any) -> str:
    """Its paragraphs; lists and examples keep their lines."""
    text = inspect.getdoc(value) if callable(value) or inspect.ismodule(value) else ""
    parts = [part for part in (text or "").split("\n\n") if part.strip()]
    return "".join(
        python(part) if ">>>" in part or "\n  " in part else f"<p>{escape(part)}</p>"
        for part in parts
    )
