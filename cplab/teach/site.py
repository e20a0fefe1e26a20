"""The labs, the explorer and the report as pages: they need no Python and no network.

Each lab is run, and written by nbconvert; its outputs work on the page as in a saved notebook.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import warnings
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cplab import teach
from cplab.errors import CplabError, installed
from cplab.output import wide
from cplab.show.base import PHONES
from cplab.version import REPOSITORY

if TYPE_CHECKING:
    from nbformat import NotebookNode

TITLE = "Critical learning periods in deep networks"
FRONT = """Each network learns {count} digits of its own by heart. Its *twin* has the same initial
weights and the same digits, and is spared the blur. *Harm* is how many points more test digits the
twin gets right in the end (95 % interval over networks). All of it is trained in your browser.

1. Move the same blur to a later age. From when on are they safe?
2. Make it shorter. How much blur leaves no mark?
3. Turn the digits **upside down** instead. Does that leave one? The small figure tells why.

## The labs

{labs}

In photographs it is less simple. [The explorer](explorer.html) has those networks: they took hours.

![{words}](pictures/flagship.png)
"""
WORDS = "Test accuracy by clear epochs: never blurred, blurred early, blurred late"
# The modules whose public names are for everybody
EXERCISES = r"^(## \d+ · Exercises)$"
NEED_PYTHON = "*They need Python: open the lab in Jupyter.*"
PARTS = "lab show quantities estimates results measure models gallery"
PUBLIC = ("cplab", *(f"cplab.{part}" for part in PARTS.split()))
BACK = """{%- extends "default/module.html.jinja2" -%}{%- block module_list_link -%}
<a href="{{ '../' * (module.modulename.count('.') + 1) }}reference.html">Reference</a>
{%- endblock -%}"""
TEMPLATE = """{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_css -%}{{ super() }}
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>@media (prefers-color-scheme: dark) { {{ resources.dark }} }
main { max-width: 1240px; margin: 0 auto; padding: 0 12px; }
nav { padding: 10px; } nav a { margin-right: 18px; }
details.code > summary { cursor: pointer; opacity: .7; font-size: 13px; }
.jp-OutputPrompt, .jp-InputPrompt { display: none; }
.jp-RenderedHTMLCommon :is(p, li) a:link { text-decoration: underline; }
.jp-RenderedHTMLCommon table { display: block; overflow-x: auto; }
@media (max-width: 600px) { .cplab-phone img { min-width: 0 !important; } }
@media print { nav { display: none; } }
</style>{%- endblock -%}
{%- block body_header -%}<body class="jp-Notebook" data-jp-theme-light="true"><script>
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
if (dark) document.body.dataset.jpThemeLight = "false";
</script>{{ resources.menu }}<main>{%- endblock -%}
{%- block input -%}{%- if cell.source -%}
<details class="code"><summary>Python</summary>{{ super() }}</details>{%- endif -%}
{%- endblock -%}"""


def build_site(folder: Path, lab: str = "") -> list[Path]:
    """Write the site, and return its pages.

    Arguments: folder, which is made; lab, the beginning of the file names of the labs to write.
    Raises: CplabError where a lab cannot be run or a file cannot be written.
    """
    with installed():
        from nbformat import read, v4

    labs = {path: read(path, as_version=4) for path in teach.labs(lab)}
    absent = "|".join(path.stem for path in teach.labs() if path not in labs)
    for cell in (cell for notebook in labs.values() for cell in notebook.cells):
        cell.source = re.sub(rf"\[([^]]+)\]\((?:{absent})\.ipynb\)", r"\1", cell.source)
    report = teach.CLONE.parent / "REPRODUCTION.md"
    menu = '<a href="index.html">cplab</a><a href="explorer.html">Explorer</a>'
    menu += '<a href="reproduction.html">Results</a>' if report.exists() else ""
    menu += '<a href="reference.html">Reference</a>'
    menu += f'<a href="{REPOSITORY}">Code</a>' if REPOSITORY else ""
    try:
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        for picture in teach.labs()[0].parents[1].glob("docs/pictures/*"):
            (folder / "pictures" / picture.name).write_bytes(picture.read_bytes())
        for path, notebook in labs.items():
            if question := questions().get(path.stem.partition("_")[0]):
                ask_below_the_title(notebook, question)
            write(folder / f"{path.stem.lower()}.html", run_cells(notebook, path.parent), menu)
        explorer = [
            v4.new_markdown_cell("# Explorer"),
            v4.new_code_cell("import cplab\ncplab.Explorer()"),
        ]
        pages = {"index": front(labs)}
        pages["explorer"] = run_cells(v4.new_notebook(cells=explorer), Path())
        if report.exists():
            text = v4.new_markdown_cell(report.read_text("utf-8"))
            pages["reproduction"] = v4.new_notebook(cells=[text])
            (folder / "reproduction").mkdir(exist_ok=True)
            for name in ("forecasts.md", "rows.csv"):  # to which it links
                shutil.copy(report.parent / "reproduction" / name, folder / "reproduction")
        pages["reference"] = v4.new_notebook(cells=[v4.new_markdown_cell(write_reference(folder))])
        for name, notebook in pages.items():
            write(folder / f"{name}.html", notebook, menu)
    except OSError as error:
        raise CplabError(f"{folder} cannot be written ({error}): name another folder") from error
    return sorted(folder.glob("*.html"))


def run_cells(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run a notebook in a kernel without results of this machine, and without images of data sets,
    which a page may not show; drawn pictures replace them. Returns the notebook with its
    outputs."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    quiet = ["--IPKernelApp.log_level=40"]  # errors alone, not that its port has no encryption
    client = NotebookClient(notebook, timeout=1200, kernel_name="python3", extra_arguments=quiet)
    try:
        with TemporaryDirectory() as empty:
            alone = os.environ | {"CPLAB_DATA": "none", "CPLAB_CACHE": empty}
            alone |= {"CPLAB_TRAINS": "no", PHONES: "1"}
            return without_widgets(client.execute(cwd=str(folder), env=alone))
    except CellExecutionError as error:
        raise CplabError(f"a cell in {folder} fails: {error.ename}: {error.evalue}") from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise CplabError(
            f"a cell in {folder} does not end ({error}): free some memory and time"
        ) from error


def without_widgets(notebook: NotebookNode) -> NotebookNode:
    """Replace what only Python can move by a sentence, where it has no HTML of its own, say of
    exercises what they need, and leave out how cells are run and how far they were. A cell's
    metadata may have the text that it has on a page instead."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.source = cell.metadata.get("page", cell.source)
        cell.source = cell.source.replace("*Shift+Enter, cell by cell.* ", "")
        cell.source = re.sub(EXERCISES, rf"\1\n\n{NEED_PYTHON}", cell.source, flags=re.MULTILINE)
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            widget = data.pop("application/vnd.jupyter.widget-view+json", None)
            if widget and "text/html" not in data:
                data["text/html"] = "<p><i>This part needs Python: open the lab in Jupyter.</i></p>"
    return notebook


def write_reference(folder: Path) -> str:
    """Write a page for each module with public names, made from their docstrings by pdoc. Returns
    the page that lists these names, as Markdown."""
    from jinja2 import ChoiceLoader, DictLoader
    from pdoc import pdoc, render

    render.configure(docformat="google", show_source=False, search=False)
    back = DictLoader({"module.html.jinja2": BACK})
    render.env.loader = ChoiceLoader([back, *([render.env.loader] if render.env.loader else [])])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of types that only a type checker reads
        pdoc(*PUBLIC, output_directory=folder / "reference")
    lines = ["# Reference"]
    for module in PUBLIC:
        page = f"reference/{module.replace('.', '/')}.html"
        names = (f"[{name}]({page}#{name})" for name in importlib.import_module(module).__all__)
        lines.append(f"- [**{module}**]({page}): {', '.join(names)}")
    return "\n".join(lines)


def write(path: Path, notebook: NotebookNode, menu: str) -> None:
    """Write a notebook as a page, its formulas as MathML."""
    from jinja2 import DictLoader
    from latex2mathml.converter import convert
    from nbconvert import HTMLExporter

    def formula(match: re.Match) -> str:
        return convert(match[1] or match[2], display="inline" if match[1] is None else "block")

    def picture(match: re.Match) -> str:  # its words were drawn for 760 pixels
        size = "max-width:100%;min-width:700px"
        source = re.sub(r"^(\.\./)*docs/", "", match[2])  # the pictures were copied beside the page
        image = f'<img alt="{escape(match[1])}" src="{source}" style="{size}">'
        narrow = source.replace(".png", "-phone.png")
        if not (path.parent / narrow).exists():
            return wide(image)
        other = f'<source media="(max-width: 600px)" srcset="{narrow}">'
        return wide(f'<picture class="cplab-phone">{other}{image}</picture>')

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", formula, cell.source, flags=re.S)
            text = re.sub(r"!\[(.*?)\]\((.*?)\)", picture, text)
            cell.source = re.sub(r"\((?:\.\./)*(?:labs/)?([\w-]+)\.(?:ipynb|md)", r"(\1.html", text)
    loader = DictLoader({"cplab.html.j2": TEMPLATE})
    exporter = HTMLExporter(extra_loaders=[loader], template_file="cplab.html.j2")
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    sheets = (Path(base) / "static/theme-dark.css" for base in exporter.template_paths)
    dark = next(sheet for sheet in sheets if sheet.exists()).read_text("utf-8")
    menu = f'<nav aria-label="pages">{menu}</nav>'
    resources = {"dark": dark, "menu": menu, "metadata": {"name": title_of(notebook)}}
    text = exporter.from_notebook_node(notebook, resources=resources)[0]
    # The boxes of a notebook are no stops of Tab on a page: what is in them has its own.
    text = re.sub(r'(<div class="jp-[^"]*"[^>]*?) tabindex="0"', r"\1", text)
    path.write_text(text, "utf-8")


def questions() -> dict[str, str]:
    """Each lab's question, by its number, from README's table; empty if there is no README, as in
    an installed wheel."""
    readme = teach.CLONE.parent / "README.md"
    text = readme.read_text("utf-8") if readme.exists() else ""
    return dict(re.findall(r"^\| \[(\w+) [^]]+\]\(labs/[^)]+\) \| (.+?) \|$", text, re.M))


def ask_below_the_title(notebook: NotebookNode, question: str) -> None:
    """Write a lab's question below its title."""
    first = notebook.cells[0]
    title, rest = first.source.split("\n", 1)
    first.source = f"{title}\n\n*{question}*\n{rest}"


def title_of(notebook: NotebookNode) -> str:
    """The first heading of a notebook."""
    texts = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return next((text.partition("\n")[0].lstrip("# ") for text in texts), TITLE)


def front(labs: dict[Path, NotebookNode]) -> NotebookNode:
    """The first page as a notebook: networks that grow up in the browser, and the labs."""
    from nbformat import v4

    from cplab.lab import tiny

    asked, rows = questions(), []
    for path, lab in labs.items():
        question = asked.get(path.stem.partition("_")[0], "")
        rows.append(f"- [{escape(title_of(lab))}]({path.stem.lower()}.html)  \n  {question}")
    text = FRONT.format(labs="\n".join(rows), words=WORDS, count=tiny.PLACE["digits"])
    page = f"{tiny.page()}<script>{tiny.SCRIPT}</script>"
    live = v4.new_code_cell(outputs=[v4.new_output("display_data", {"text/html": page})])
    cells = [v4.new_markdown_cell(f"# {TITLE}"), live, v4.new_markdown_cell(text)]
    return v4.new_notebook(cells=cells)
