"""Outputs of cells as HTML: figures, tables and texts."""

import base64
import html
import io
import re
from typing import Any

from PIL import Image

from cplab.base.errors import CplabError

IMAGE_TAG = re.compile(  # its width on the page, if that is said, and its bytes
    r'<img (?=[^>]*?width="(?P<width>\d+)")?[^>]*?src="data:image/\w+;base64,(?P<code>[^"]+)"'
)
FRAME = re.compile(r"<details open>.*?</details>", re.S)
SCRIPT_TAG = re.compile(r"<script\b.*?</script>", re.S)  # which may name what it makes
MOST_COLOURS = 32  # of the picture that stands in for HTML
ROW = "display: flex; flex-wrap: wrap; gap: 12px; align-items: flex-start"


def as_html(content: Any) -> str:
    """Write content as HTML that needs no scripts.

    Arguments:
        content: a figure (or anything else that shows itself as HTML), a figure of matplotlib, a
            table, HTML as a str, a number, or a list of these, which are one below the other. The
            entries of a list in a list are side by side.

    Raises:
        CplabError: for anything else.

    >>> as_html(["<p>two words</p>", 3])
    '<p>two words</p>\\n<p>3</p>'
    >>> from matplotlib.figure import Figure
    >>> "data:image/png" in as_html(Figure())
    True
    """
    if isinstance(content, list | tuple):
        rows = []
        for part in content:
            is_row = isinstance(part, list | tuple)
            rows.append(side_by_side(part) if is_row else as_html(part))
        return "\n".join(rows)
    if isinstance(content, str):
        return content
    if hasattr(content, "to_frame"):  # a column of pandas, which is loaded late
        content = content.to_frame()
    if hasattr(content, "to_html"):
        return wide(content.to_html(border=0))
    shown = content._repr_html_() if hasattr(content, "_repr_html_") else None
    if shown is not None:
        return shown
    if hasattr(content, "savefig"):  # a figure of matplotlib's, of a student's own
        file = io.BytesIO()
        content.savefig(file, format="png", bbox_inches="tight")
        code = base64.b64encode(file.getvalue()).decode()
        return wide(f'<img src="data:image/png;base64,{code}" alt="a figure of your own">')
    if isinstance(content, int | float):
        return f"<p>{html.escape(str(content))}</p>"
    name = type(content).__name__
    raise CplabError(f"{name} is nothing to show: give a figure of cplab.show, a table or a text")


Bundle = dict[str, str]  # an output in several forms, by MIME type


def bundle(text: str, page: str) -> Bundle:
    """An output in several forms: in words, as HTML, and as a picture for PDF, LaTeX or rst, in
    which HTML is lost.

    >>> sorted(bundle("words", "<p>two words</p>"))
    ['text/html', 'text/plain']
    """
    forms = {"text/plain": text, "text/html": page}
    still = page_picture(page)
    if still is not None:
        forms["image/png"] = base64.b64encode(still).decode()
    return forms


def page_picture(page: str) -> bytes | None:
    """The pictures of a page, one below the other, as a PNG with one dot for each pixel of the
    page; only the open one of several frames. None if there are no pictures."""
    page = SCRIPT_TAG.sub("", page)
    if opened := FRAME.search(page):
        page = opened[0]
    pictures = []
    for match in IMAGE_TAG.finditer(page):
        with Image.open(io.BytesIO(base64.b64decode(match["code"]))) as stored:
            picture = stored.convert("RGBA")
        width = int(match["width"] or picture.width)
        height = round(picture.height * width / picture.width)
        pictures.append(picture.resize((width, height), Image.Resampling.BOX))
    if not pictures:
        return None
    widest = max(picture.width for picture in pictures)
    stack = Image.new("RGBA", (widest, sum(picture.height for picture in pictures)))
    top = 0
    for picture in pictures:
        stack.paste(picture, (0, top))
        top += picture.height
    file = io.BytesIO()
    few = stack.quantize(MOST_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(file, "png", optimize=True)
    return file.getvalue()


def wide(content: str) -> str:
    """Write HTML that scrolls in its own box if the page is too narrow. `questions.js` makes the
    box usable by keyboard."""
    return f'<cplab-wide style="display:block;overflow-x:auto">{content}</cplab-wide>'


def side_by_side(parts: list | tuple) -> str:
    """Write contents side by side, or one below the other if the page is too narrow."""
    columns = "".join(f'<div style="min-width: 0">{as_html(part)}</div>' for part in parts)
    return f'<div style="{ROW}">{columns}</div>'
