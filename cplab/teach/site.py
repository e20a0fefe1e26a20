"""The labs, the explorer and the report as pages: they need no Python and no network.

Each lab is run, and written by nbconvert; its outputs work on the page as in a saved notebook.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import re
import shutil
import sys
import warnings
from html import escape
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

from cplab import teach
from cplab.base import late
from cplab.base.errors import EXTRAS, CplabError, why_missing
from cplab.engine.workers import usable_cores
from cplab.estimates import PERCENT
from cplab.output.markup import wide

if TYPE_CHECKING:
    from nbformat import NotebookNode

REPOSITORY = ""  # its address, which `python docs/release.py` writes
SITE_TITLE = "Critical learning periods in deep networks"
# What stands below the first screen, in HTML, which Markdown takes as well
ABOUT = """<p>Each network learns {count} digits of its own by heart. Its <em>twin</em> has the same
initial weights and the same digits, and is spared the blur. <em>Harm</em> is how far ahead the twin
ends on test digits, in points ({percent} interval over networks). All of it is trained in your
browser.</p>
<ol>
<li>Move the second blur to other ages. From what age are they safe?</li>
<li>Make the first one shorter. How much blur does no harm?</li>
<li>Turn the digits <strong>upside down</strong> instead. Does that do harm?</li>
<li>Open <em>Why? A look inside one of them</em>. What has a blurred network left to learn?</li>
</ol>
"""
FRONT = """{about}
## The labs

{labs}

In photographs it is less simple. [The explorer](explorer.html) has those networks, which took
hours to train.

![{words}](pictures/flagship.png)
"""
WORDS = "Test accuracy by clear epochs: blurred from birth, blurred at epoch 24, and their twin"
EXERCISE_HEADING = re.compile(r"^(## \d+ · Exercises)$", re.M)  # the heading of a lab's exercises
# In Markdown: a formula in LaTeX, $$of its own$$ or $in a line$; a picture; the beginning of a link
# to a notebook or a document
FORMULA = re.compile(r"\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$\n]+?)\$", re.S)
PICTURE_LINK = re.compile(r"!\[(?P<words>.*?)\]\((?P<place>.*?)\)")
LINK = re.compile(r"\((?:\.\./)*(?:labs/)?(?P<name>[\w-]+)\.(?:ipynb|md)")
SECTION = re.compile(r"## (?P<words>.+)\n*")  # a heading at the beginning of a text
FOLDED = "jp-MarkdownHeadingCollapsed"  # in the metadata of a heading whose section is folded
SCREEN = "<cplab-nursery"
UP = '<p>On this page, <a href="#screen">the screen above</a> is for this as well.</p>'
SECTIONS = "<!--sections-->"  # where their links stand on a page
SECTION_HEADING = re.compile(r'<h2[^>]* id="([^"]+)"[^>]*>(.*?)<a class="anchor-link"', re.S)
TAG = re.compile(r"<[^>]*>")
HOW_TO_RUN = re.compile(r"\*Shift\+Enter, cell by cell.*?\* ")  # in a notebook
NEED_PYTHON = "*They need Python: open the lab in Jupyter.*"
PUBLIC = (  # the modules whose public names are for everybody
    "cplab",
    "cplab.lab",
    "cplab.show",
    "cplab.quantities",
    "cplab.estimates",
    "cplab.results",
    "cplab.measure",
    "cplab.models",
    "cplab.gallery",
)
# Of pdoc's pages: a link back to the list of names
BACK = """{%- extends "default/module.html.jinja2" -%}{%- block module_list_link -%}
<a href="{{ '../' * (module.modulename.count('.') + 1) }}reference.html">Reference</a>
{%- endblock -%}"""


def build_site(folder: Path, lab: str = "") -> list[Path]:
    """Write the site, and return its pages. A bar says which page is written.

    Arguments:
        folder: which is made.
        lab: the beginning of the file names of the labs to write.

    Raises:
        CplabError: where a library is missing, or a file cannot be written.
    """
    ask_for_libraries(lab)
    try:
        with asyncio.Runner(loop_factory=Interruptible) as runner:
            runner.run(write_pages(folder, lab))
    except OSError as error:
        raise CplabError(f"{folder} cannot be written ({error}): name another folder") from error
    return sorted(folder.glob("*.html"))


class Interruptible(asyncio.SelectorEventLoop):
    """A loop in which Ctrl+C ends all notebooks: nbclient would have it end the last one alone."""

    def add_signal_handler(self, *_: Any) -> NoReturn:  # type: ignore[override]
        """Refuse, as on Windows, whereupon nbclient goes on without."""
        raise NotImplementedError


def ask_for_libraries(lab: str) -> None:
    """Raise a CplabError that names all libraries that a site needs and that are not here, before
    the first page takes its time. Beside the labs is a page that trains networks as it is written.

    Arguments:
        lab: as of `build_site`.
    """
    missing = [name for name, extra in EXTRAS.items() if extra == "site" and not find_spec(name)]
    if missing:
        raise CplabError(
            f"pages need libraries that are not installed ({', '.join(missing)}): "
            "pip install 'cplab[site]'"
        )
    if not lab and not find_spec("torch"):
        raise CplabError(f"the page From nothing trains networks. {why_missing('torch')}")


async def write_pages(folder: Path, lab: str) -> None:
    """Write all pages of the site: those with cells to run side by side, one on each core.

    Arguments:
        folder, lab: as of `build_site`.
    """
    # With it jsonschema, which checks notebooks, compiles a grammar of addresses for a second
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    from nbformat import read
    from tqdm import tqdm

    paths = teach.labs(lab)
    if not lab:
        paths += teach.pages()
    labs = {path: read(path, as_version=4) for path in paths}
    report = teach.CLONE.parent / "REPRODUCTION.md"
    menu = make_menu(report.exists())
    copy_pictures(folder)
    places = asyncio.Semaphore(usable_cores())
    # Where the output is no terminal, a line for each page
    line = None if sys.stderr.isatty() else "{n_fmt} of {total_fmt} pages, {desc}{elapsed}\n"
    count = len(labs) + 3 + report.exists()
    bar = tqdm(total=count, unit="page", mininterval=0, bar_format=line)

    def write(name: str, notebook: NotebookNode, below: str = "") -> None:
        """Write a page."""
        write_page(folder / name, notebook, menu, below)
        bar.set_description(name, refresh=False)
        bar.update()

    async def run(name: str, notebook: NotebookNode, home: Path, below: str = "") -> None:
        """Run the cells of a page when there is a core for it, and write it."""
        async with places:
            write(name, await run_cells(notebook, home), below)

    pages = []
    for path, notebook in labs.items():
        question = questions().get(path.stem.partition("_")[0])
        if question:
            ask_below_the_title(notebook, question)
        pages.append(run(page_of(path), notebook, path.parent, neighbours(labs, path)))
    with bar:
        await asyncio.gather(run("explorer.html", explorer(), Path()), *pages)
        write("index.html", front(labs))
        if report.exists():
            (folder / "reproduction").mkdir(exist_ok=True)
            for name in ("forecasts.md", "rows.csv"):  # to which it links
                shutil.copy(report.parent / "reproduction" / name, folder / "reproduction")
            write("reproduction.html", text_alone(results(report)))
        write("reference.html", text_alone(write_reference(folder)))


def copy_pictures(folder: Path) -> None:
    """Copy the pictures of the labs into a folder of pages."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for picture in teach.labs()[0].parents[1].glob("docs/pictures/*"):
        (folder / "pictures" / picture.name).write_bytes(picture.read_bytes())


def make_menu(has_report: bool) -> str:
    """The links above each page, in HTML."""
    pages = {"index.html": "cplab", "explorer.html": "Explorer"}
    if has_report:
        pages["reproduction.html"] = "Results"
    pages["reference.html"] = "Reference"
    if REPOSITORY:
        pages[REPOSITORY] = "Code"
    return "".join(f'<a href="{address}">{words}</a>' for address, words in pages.items())


def explorer() -> NotebookNode:
    """The page with the explorer, as a notebook that has to be run."""
    from nbformat import v4

    title = v4.new_markdown_cell("# Explorer")
    code = v4.new_code_cell("import cplab\ncplab.Explorer(compare=True)")
    return v4.new_notebook(cells=[title, code])


def results(report: Path) -> str:
    """The report as the menu calls it, in Markdown."""
    _, text = report.read_text("utf-8").split("\n", 1)
    return f"# Results\n{text}"


def neighbours(labs: dict[Path, NotebookNode], path: Path) -> str:
    """Links to the labs before and after one, in HTML: first the course, then those that go
    further."""
    paths = sorted(labs, key=lambda lab: not teach.in_course(lab))
    place = paths.index(path)
    links = ""
    if place > 0:
        before = paths[place - 1]
        links += f'<a rel="prev" href="{page_of(before)}">← {escape(title_of(labs[before]))}</a>'
    if place + 1 < len(paths):
        after = paths[place + 1]
        links += f'<a rel="next" href="{page_of(after)}">{escape(title_of(labs[after]))} →</a>'
    return f'<nav class="labs" aria-label="labs before and after">{links}</nav>'


def page_of(lab: Path) -> str:
    """The file name of a lab's page."""
    return f"{lab.stem.lower()}.html"


def text_alone(markdown: str) -> NotebookNode:
    """A page of text as a notebook."""
    from nbformat import v4

    return v4.new_notebook(cells=[v4.new_markdown_cell(markdown)])


async def run_cells(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run a notebook in a kernel, without results of this machine and without images of data sets,
    which a page may not show: drawn pictures replace them.

    Arguments:
        folder: in which it runs.

    Returns:
        the notebook with its outputs.

    Raises:
        an error of nbclient's that shows the cell, where one fails or does not end.
    """
    from nbclient import NotebookClient

    quiet = ["--IPKernelApp.log_level=40"]  # errors alone, not that its port has no encryption
    client = NotebookClient(notebook, timeout=1200, kernel_name="python3", extra_arguments=quiet)
    with TemporaryDirectory() as empty:
        settings = {
            "CPLAB_DATA": "none",
            "CPLAB_CACHE": empty,
            "CPLAB_TRAINS": "no",
        }
        done = await client.async_execute(cwd=str(folder), env=os.environ | settings)
        return fit_for_a_page(done)


def fit_for_a_page(notebook: NotebookNode) -> NotebookNode:
    """Make a notebook that was run fit for a page, and return it.

    Exercises say that they need Python. How cells are run, and their progress, is left out. A
    cell's metadata may hold `page`, its text on a page, or `code_open` if its code is the point.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.source = cell.metadata.get("page", cell.source)
        cell.source = HOW_TO_RUN.sub("", cell.source)
        cell.source = EXERCISE_HEADING.sub(rf"\1\n\n{NEED_PYTHON}", cell.source)
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    keep_one_screen(notebook)
    fold_further(notebook)
    return notebook


def fold_further(notebook: NotebookNode) -> None:
    """Mark where a section that is folded in a notebook begins and ends, so that it is folded on a
    page as well. Its heading becomes the words of the fold."""
    last = None  # cell of a section that is folded
    for cell in notebook.cells:
        heading = SECTION.match(cell.source) if cell.cell_type == "markdown" else None
        if heading and last:
            last.metadata.fold_ends = True
            last = None
        if heading and cell.metadata.get(FOLDED):
            cell.metadata.fold = heading["words"]
            cell.source = cell.source[heading.end() :]
            last = cell
        elif last:
            last = cell
    if last:
        last.metadata.fold_ends = True


def keep_one_screen(notebook: NotebookNode) -> None:
    """Replace the first screens of a notebook after the first one by a link up to that."""
    found = False
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            page = data.get("text/html", "")
            if SCREEN not in page:
                continue
            data["text/html"] = UP if found else f'<div id="screen">{page}</div>'
            found = True


def write_reference(folder: Path) -> str:
    """Write a page for each module with public names, made from their docstrings by pdoc.

    Returns:
        the page that lists these names, as Markdown.
    """
    from jinja2 import BaseLoader, ChoiceLoader, DictLoader
    from pdoc import pdoc, render

    render.configure(docformat="google", show_source=False, search=False)
    loaders: list[BaseLoader] = [DictLoader({"module.html.jinja2": BACK})]
    if render.env.loader:
        loaders.append(render.env.loader)
    render.env.loader = ChoiceLoader(loaders)
    late_names = {library: library.__name__ for library in (late.torch, late.nn, late.F)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of types that only a type checker reads
        pdoc(*PUBLIC, output_directory=folder / "reference")
    for library, name in late_names.items():  # pdoc took them for parts of the package
        library.__name__ = name
    lines = ["# Reference"]
    for name in PUBLIC:
        page = f"reference/{name.replace('.', '/')}.html"
        module = importlib.import_module(name)
        lines += [f"\n## {name}\n", f"[{summary(module)}]({page})\n"]
        for public in module.__all__:
            what = summary(getattr(module, public))
            lines.append(f"- [{public}]({page}#{public}){': ' if what else ''}{what}")
    return "\n".join(lines)


def summary(thing: object) -> str:
    """The first sentence of a docstring; empty for a value, which has none of its own."""
    if not (inspect.isroutine(thing) or inspect.isclass(thing) or inspect.ismodule(thing)):
        return ""
    paragraph, *_ = (inspect.getdoc(thing) or "").split("\n\n")
    sentence, *_ = " ".join(paragraph.split()).split(". ")
    return escape(sentence.rstrip("."), quote=False)


def write_page(path: Path, notebook: NotebookNode, menu: str, below: str = "") -> None:
    """Write a notebook as a page, with the links of a menu above it, its sections at the side, and
    other links below."""
    from jinja2 import FileSystemLoader
    from nbconvert import HTMLExporter

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = text_for_page(cell.source)
    beside_this_file = FileSystemLoader(Path(__file__).parent)
    exporter = HTMLExporter(extra_loaders=[beside_this_file], template_file="page.html.j2")
    exporter.exclude_input_prompt = True
    exporter.exclude_output_prompt = True
    sheets = [Path(base) / "static/theme-dark.css" for base in exporter.template_paths]
    dark_sheet = next(sheet for sheet in sheets if sheet.exists())
    resources = {
        "dark": dark_sheet.read_text("utf-8"),
        "menu": f'<nav class="menu" aria-label="pages">{menu}</nav>',
        "labs": below,
        "sections": SECTIONS,
        "metadata": {"name": title_of(notebook)},
    }
    page, _ = exporter.from_notebook_node(notebook, resources=resources)
    # Tab skips a notebook's boxes, since what is in them can be reached by itself.
    page = re.sub(r'(<div class="jp-[^"]*"[^>]*?) tabindex="0"', r"\1", page)
    path.write_text(page.replace(SECTIONS, sections(page)), "utf-8")


def sections(page: str) -> str:
    """Links to the sections of a page, in HTML; nothing if it has not even two."""
    headings = SECTION_HEADING.findall(page)
    if len(headings) < 2:
        return ""
    links = ""
    for anchor, words in headings:
        links += f'<a href="#{anchor}">{TAG.sub("", words)}</a>'
    return f'<nav class="sections" aria-label="sections">{links}</nav>'


def text_for_page(markdown: str) -> str:
    """A notebook's text for a page: formulas as MathML, pictures that scroll on a phone,
    and links to pages in place of notebooks and documents."""
    text = FORMULA.sub(formula, markdown)
    text = PICTURE_LINK.sub(lambda match: picture(match["words"], match["place"]), text)
    return LINK.sub(r"(\g<name>.html", text)


def formula(match: re.Match) -> str:
    """A FORMULA as MathML, since nbconvert's MathJax would come from a network."""
    from latex2mathml.converter import convert

    if match["block"] is None:
        return convert(match["inline"], display="inline")
    return convert(match["block"], display="block")


def picture(words: str, place: str) -> str:
    """A picture in HTML, as it is in a folder of pages.

    Arguments:
        words: for readers who cannot see it.
        place: of its file, as a notebook has it.
    """
    source = re.sub(r"^(\.\./)*docs/", "", place)  # the pictures were copied beside the page
    size = "max-width:100%;min-width:700px"  # its words were drawn for 760 pixels
    return wide(f'<img alt="{escape(words)}" src="{source}" style="{size}">')


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
    """The first line of a notebook's first text, without the marks of a heading."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            return cell.source.partition("\n")[0].lstrip("# ")
    return SITE_TITLE


def front(labs: dict[Path, NotebookNode]) -> NotebookNode:
    """The first page as a notebook: networks that grow up in the browser, and the labs."""
    from nbformat import v4

    from cplab.lab.nursery import nursery

    by_number = questions()
    rows: dict[bool, list[str]] = {True: [], False: []}  # by whether a lab belongs to the course
    for path, lab in labs.items():
        question = by_number.get(path.stem.partition("_")[0], "")
        row = f"- [{escape(title_of(lab))}]({page_of(path)})  \n  {question}"
        rows[teach.in_course(path)].append(row)
    listed = "\n".join(rows[True])
    if rows[False]:
        listed += "\n\n**Going further**\n\n" + "\n".join(rows[False])
    text = FRONT.format(about=about(), labs=listed, words=WORDS)
    page = f"{nursery.page()}<script>{nursery.SCRIPT}</script>"
    live = v4.new_code_cell(outputs=[v4.new_output("display_data", {"text/html": page})])
    cells = [v4.new_markdown_cell(f"# {SITE_TITLE}"), live, v4.new_markdown_cell(text)]
    return v4.new_notebook(cells=cells)


def about() -> str:
    """What stands below the first screen, as HTML."""
    from cplab.lab.nursery import nursery

    return ABOUT.format(count=nursery.KNOBS["digits"], percent=PERCENT)
