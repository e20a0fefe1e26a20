"""The labs, the explorer and the report as pages: they need no Python and no network.

Each lab is run, and written by nbconvert; what its outputs hold is alive on the page as it is in a
notebook that was saved (cplab.show.surface).
"""

import os
import pkgutil
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from cplab.errors import CplabError

TITLE = "Critical learning periods in deep networks"
LEAD = (
    "A network that sees blurred images in its first epochs may never see as well as one that did "
    "not. Every figure comes from networks that were really trained."
)
TEMPLATE = """{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_css -%}{{ super() }}
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>@media (prefers-color-scheme: dark) { {{ resources.dark }} }
main { max-width: 1100px; margin: 0 auto; padding: 0 12px; }
nav { padding: 10px; } nav a { margin-right: 18px; }
details.code > summary { cursor: pointer; opacity: .7; font-size: 13px; }
.jp-OutputPrompt, .jp-InputPrompt { display: none; }
.jp-RenderedHTMLCommon table { display: block; overflow-x: auto; }
@media print { nav { display: none; } }
</style>{%- endblock -%}
{%- block body_header -%}<body class="jp-Notebook" data-jp-theme-light="true"><script>
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
if (dark) document.body.dataset.jpThemeLight = "false";
</script>{{ resources.menu }}<main>{%- endblock -%}
{%- block input -%}<details class="code"><summary>Python</summary>{{ super() }}</details>
{%- endblock -%}"""


def build_site(folder: Path, lab: str = "") -> list[Path]:
    """Write the site, and return its pages.

    Arguments: folder, to be made; lab, only the labs whose file names begin so.
    Raises: CplabError where a lab cannot be run or a file cannot be written.
    """
    from cplab import teach

    labs = teach.labs(lab)
    report = teach.CLONE.parent / "REPRODUCTION.md"
    places = {"index.html": "cplab", "explorer.html": "Explorer"}
    places |= {"reproduction.html": "Results"} if report.exists() else {}
    menu = "".join(f'<a href="{place}">{text}</a>' for place, text in places.items())
    try:
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        for picture in report.parent.glob("docs/pictures/*"):
            (folder / "pictures" / picture.name).write_bytes(picture.read_bytes())
        for path in labs:
            write(folder / f"{path.stem.lower()}.html", run_lab(path), menu)
        if report.exists():
            write(folder / "reproduction.html", text_page(report.read_text("utf-8")), menu)
        explorer = code_page("import cplab\ncplab.Explorer()", "Explorer")
        write(folder / "explorer.html", explorer, menu)
        write(folder / "index.html", text_page(front(labs)), menu)
    except OSError as error:
        raise CplabError(f"{folder} cannot be written ({error}): name another folder") from error
    return sorted(folder.glob("*.html"))


@contextmanager
def no_photographs() -> Iterator[None]:
    """Leave out the images of data sets, which a page may not show: drawn ones stand for them."""
    known = os.environ.get("CPLAB_DATA")
    with tempfile.TemporaryDirectory() as empty:
        os.environ["CPLAB_DATA"] = empty
        try:
            yield
        finally:
            os.environ.pop("CPLAB_DATA")
            os.environ |= {"CPLAB_DATA": known} if known else {}


def run_lab(path: Path) -> Any:
    """A notebook with what its cells displayed."""
    import nbformat

    return executed(nbformat.read(path, as_version=4), path.parent)


def executed(notebook: Any, folder: Path) -> Any:
    """Run the cells of a notebook in a kernel of its own; the first that fails is a CplabError."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    with no_photographs():
        client = NotebookClient(
            notebook, timeout=1200, kernel_name="python3", store_widget_state=False
        )
        try:
            return client.execute(cwd=str(folder))
        except CellExecutionError as error:
            raise CplabError(f"a cell of {folder} fails: {error.ename}: {error.evalue}") from error


def code_page(source: str, title: str) -> Any:
    """A notebook of one cell, which was run."""
    from nbformat import v4

    cells = [v4.new_markdown_cell(f"# {title}"), v4.new_code_cell(source)]
    return executed(v4.new_notebook(cells=cells), Path())


def text_page(text: str) -> Any:
    """A notebook of one text."""
    from nbformat import v4

    return v4.new_notebook(cells=[v4.new_markdown_cell(text)])


def write(path: Path, notebook: Any, menu: str) -> None:
    """Write a notebook as a page, its formulas as MathML."""
    from jinja2 import DictLoader
    from latex2mathml.converter import convert
    from nbconvert import HTMLExporter

    def formula(found: re.Match) -> str:
        block = found[1] is not None
        return convert(found[1] or found[2], display="block" if block else "inline")

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", formula, cell.source, flags=re.S)
            cell.source = re.sub(
                r"\((?:\.\./)*(?:labs/)?([\w-]+)\.(?:ipynb|md)", r"(\1.html", cell.source
            )
    loader = DictLoader({"cplab.html.j2": TEMPLATE})
    exporter = HTMLExporter(extra_loaders=[loader], template_file="cplab.html.j2")
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    dark = next(
        file
        for base in exporter.template_paths
        if (file := Path(base) / "static/theme-dark.css").exists()
    )
    menu = f'<nav aria-label="pages">{menu}</nav>'
    more = {"dark": dark.read_text("utf-8"), "menu": menu, "metadata": {"name": title_of(notebook)}}
    path.write_text(exporter.from_notebook_node(notebook, resources=more)[0], "utf-8")


def title_of(notebook: Any) -> str:
    """The first heading of a notebook."""
    texts = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return next((text.partition("\n")[0].lstrip("# ") for text in texts), TITLE)


def front(labs: list[Path]) -> str:
    """The first page, as Markdown: a picture, and the labs."""
    import base64

    import nbformat

    from cplab import show

    picture = pkgutil.resolve_name(pkgutil.resolve_name("cplab.studies:FRONT"))
    shown = base64.b64encode(show.still(picture())).decode()
    rows = [
        f"- [{escape(title_of(nbformat.read(path, as_version=4)))}]({path.stem.lower()}.html)"
        for path in labs
    ]
    words = "test accuracy against clear epochs seen: never blurred, blurred early, blurred late"
    lines = [f"# {TITLE}", LEAD, f"![{words}](data:image/png;base64,{shown})", "## The labs"]
    return "\n\n".join([*lines, "\n".join(rows), "[Open the explorer](explorer.html)"])
