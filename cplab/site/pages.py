"""The pages of the site, and `build_site`, which writes them all."""

import re
import shutil
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

import ipywidgets as w
from bokeh.models import LayoutDOM

from cplab.checks import CplabError, quote
from cplab.lab.explorer import Explorer, explorer_page
from cplab.site.notebooks import cells_of, practice_pictures, run_notebook
from cplab.site.plots import Pool
from cplab.site.replay import replay
from cplab.site.words import display_html, markdown, python, reference

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
REPORTS = ("REPRODUCTION", "decomposition", "ladders", "forecasts", "cost")
LEAD = (
    "A network that sees blurred images in its first epochs may never see as well as one that "
    "did not. Drag the onset and the length of a deficit, and read what it does, from results "
    "that were really trained."
)


class Site:
    """What is written: the pages in a folder, and what they share."""

    def __init__(self, folder: Path, links: Mapping[str, str]) -> None:
        self.folder, self.links = folder, links
        self.explorers: dict[str, str] = {}  # the file of data of each

    def write(self, name: str, title: str, body: str, scripts: Iterable[str] = ()) -> None:
        """One page. Arguments: scripts, the names of its data, each once."""
        tags = "".join(f'<script src="{one}" defer></script>' for one in dict.fromkeys(scripts))
        places = [("index.html", "cplab"), ("explorer.html", "Explorer")]
        places += [("reproduction.html", "Results"), ("api.html", "Reference")]
        menu = "".join(
            f'<a href="{place}"{" aria-current=page" * (place == name)}>{text}</a>'
            for place, text in places
            if place in {*self.links.values(), "index.html"}
        )
        text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)} · cplab</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><link rel="stylesheet" href="page.css">
<script src="page.js" defer></script>{tags}</head>
<body><a class="skip" href="#main">To the text</a>
<header><nav aria-label="pages">{menu}</nav></header>
<main id="main">
{body}
</main>
<footer>Every figure comes from networks that were really trained. This page chooses among what the
package cplab drew and said; only what is called live
is computed in it.</footer></body></html>
"""
        (self.folder / name).write_text(text, encoding="utf-8")

    def data(self, name: str, pool: Pool, widgets: Mapping[str, str]) -> str:
        """A file of data, named from the folder."""
        marks = ",".join(f'"{key}":"{mark}"' for key, mark in widgets.items())
        text = f"cplab({{pool:{pool.json()},widgets:{{{marks}}}}})\n"
        (self.folder / "data" / f"{name}.js").write_text(text, encoding="utf-8")
        return f"data/{name}.js"

    def lab(self, path: Path) -> None:
        """The page of a notebook."""
        pool, widgets, scripts, body = Pool(), dict[str, str](), list[str](), list[str]()
        for cell in run_notebook(path):
            if not cell.python:
                body.append(markdown(cell.source, self.links))
                continue
            if "google.colab" not in cell.source:
                body.append(
                    f"<details class=code><summary>Python</summary>{python(cell.source)}</details>"
                )
            for value in cell.shown:
                if isinstance(value, Explorer):
                    body.append('<p><a class="button" href="explorer.html">The explorer</a></p>')
                elif isinstance(value, w.Widget | LayoutDOM):
                    key = f"w{len(widgets) + 1}"
                    widgets[key] = replay(value, pool)
                    body.append(place_of(key))
                else:
                    body.append(display_html(value))
        body.append(in_notebook(path))
        scripts.insert(0, self.data(path.stem, pool, widgets))
        self.write(self.links[path.name], title_of(path), "\n".join(body), scripts)
        shutil.copy(path, self.folder / "labs" / path.name)


def place_of(key: str) -> str:
    """Where page.js puts a widget."""
    return f'<section class="widget" id="{key}"></section>'


def in_notebook(path: Path) -> str:
    """How the lab is opened that a page shows."""
    number = path.name.partition("_")[0]
    return f"""<section id="open-notebook"><h2>In a notebook</h2>
<p>What trains needs Python. With cplab installed, <code>cplab lab {number}</code> opens this lab in
JupyterLab; the notebook is also <a href="labs/{path.name}" download>here</a>. The explorer there
takes a link of this page: <code>cplab.Explorer(at="…")</code> opens at the same point.</p>
</section>"""


def title_of(path: Path) -> str:
    text = next((cell.source for cell in cells_of(path) if not cell.python), path.stem)
    return heading_of(text)


def heading_of(text: str) -> str:
    return text.partition("\n")[0].lstrip("# ")


def build_site(folder: Path, lab: str = "", labs: Path = ROOT / "labs") -> list[Path]:
    """Write the site, and return its pages.

    Arguments: folder, to be made; lab, only the labs whose file names begin so, or "explorer";
        labs, where the notebooks are.
    """
    every = sorted(labs.glob("*.ipynb"))
    chosen = [path for path in every if path.name.startswith(lab)]
    if not chosen and lab != "explorer":
        names = ", ".join(["explorer", *(path.stem for path in every)])
        raise CplabError(f"no lab {quote(lab)} in {labs}: choose one of {names}")
    written = [ROOT / "REPRODUCTION.md", *(ROOT / "reproduction").glob("*.md")]
    reports = [p for n in REPORTS for p in written if p.stem == n and p.exists() and not lab]
    links = {path.name: f"{path.stem.lower()}.html" for path in [*chosen, *reports]}
    links |= {"explorer": "explorer.html"} if lab in ("", "explorer") else {}
    links |= {} if lab else {"api": "api.html"}
    for name in ("data", "labs", "pictures"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for asset in ("page.js", "page.css"):
        shutil.copy(HERE / asset, folder / asset)
    site = Site(folder, links)
    with practice_pictures():
        for path in chosen:
            site.lab(path)
        if "explorer" in links:
            explorer_page(folder / "explorer.html")
    for path in reports:
        text = path.read_text(encoding="utf-8")
        site.write(links[path.name], heading_of(text), markdown(text, links))
    for picture in (ROOT / "docs" / "pictures").glob("*.png") if reports else ():
        shutil.copy(picture, folder / "pictures" / picture.name)
    if not lab:
        site.write("api.html", "Reference", "<h1>Reference</h1>" + "".join(reference()))
    site.write("index.html", "Critical learning periods in deep networks", front(chosen, links))
    return sorted(folder.glob("*.html"))


def front(labs: list[Path], links: Mapping[str, str]) -> str:
    """The first page: what there is."""
    rows = []
    for path in labs:
        sources = [cell.source for cell in cells_of(path) if not cell.python]
        goals = re.findall(r"^\d+\. (.+)", sources[0], re.M)
        items = "".join(f"<li>{escape(re.sub('[*`]', '', one))}</li>" for one in goals)
        link = f'<a href="{links[path.name]}">{escape(title_of(path))}</a>'
        rows.append(f"<li><h3>{link}</h3><ul>{items}</ul></li>")
    listed = f'<h2>The labs</h2><ol class="labs">{"".join(rows)}</ol>' if rows else ""
    return f"""<h1>Critical learning periods in deep networks</h1><p class="lead">{LEAD}</p>
{'<p><a class="button" href="explorer.html">Open the explorer</a></p>' * ("explorer" in links)}
{listed}"""
