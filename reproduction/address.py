"""Where the repository lives: said once, in pyproject.toml, and written from there into all that
needs it: the README's ways in, the first cell of each lab, CITATION.cff. Unknown, nobody claims
one.
"""

import json
import re
import tomllib
from pathlib import Path

from cplab.errors import CplabError, quote

ROOT = Path(__file__).parent.parent

FORM = r"https://github\.com/([\w.-]+/[\w.-]+?)"  # Binder's and Colab's links are made of it
LACKING = "lmfit asteval dill uncertainties loky"  # what Colab has not, with what these need
FIRST_CELL = """\
# On Colab this installs cplab, {where}
# and what Colab lacks for it. torch, numpy, ipywidgets and ipykernel stay as they are there.
# Elsewhere it does nothing.
import sys

if "google.colab" in sys.modules:
    %pip install --quiet --no-deps {wheel} {lacking}"""
BEGIN, END = "<!-- written by `python -m reproduction address` -->", "<!-- until here -->"


def project_of(root: Path) -> dict:
    """What pyproject.toml says of the project."""
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]


def known(root: Path = ROOT) -> str | None:
    """The address that pyproject.toml says, if it says one."""
    return project_of(root).get("urls", {}).get("Repository")


def wheel_of(address: str | None, folder: str, root: Path = ROOT) -> str:
    """The wheel of this version: as a release of the repository has it, else in a folder."""
    project = project_of(root)
    name = f"{project['name']}-{project['version']}-py3-none-any.whl"
    return f"{address}/releases/download/v{project['version']}/{name}" if address else folder + name


def first_cell(address: str | None, root: Path = ROOT) -> str:
    """The source of each lab's first cell of code."""
    where = "from its repository," if address else "from its wheel, which you upload first,"
    wheel = wheel_of(address, "/content/", root)
    return FIRST_CELL.format(where=where, wheel=wheel, lacking=LACKING)


def ways_in(address: str | None, root: Path = ROOT) -> str:
    """The README's lines about starting without a clone, and the badges."""
    wheel = wheel_of(address, "dist/", root)
    spec = f"cplab[lab] @ {wheel}" if address else f"{wheel}[lab]"
    lines = [
        "```",
        f'uvx --torch-backend cpu --from "{spec}" cplab lab',
        f'pipx run --spec "{spec}" cplab lab   # without uv',
        "```",
    ]
    if not address:
        made = "`pip wheel --no-deps --wheel-dir dist .` makes the wheel."
        return "\n".join([*lines, "", f"The name is on no index yet: {made}"])
    place = re.fullmatch(FORM, address)
    home = place[1] if place else ""
    binder = f"https://mybinder.org/v2/gh/{home}/HEAD?urlpath=lab/tree/labs"
    badges = [f"[![Binder](https://mybinder.org/badge_logo.svg)]({binder})"]
    for lab in sorted(root.glob("labs/[0-9][0-9]_*.ipynb")):
        colab = f"https://colab.research.google.com/github/{home}/blob/HEAD/labs/{lab.name}"
        badges.append(f"[Colab {lab.name[:2]}]({colab})")
    return "\n".join([*lines, "", " · ".join(badges)])


def texts(address: str | None, root: Path = ROOT) -> dict[Path, str]:
    """All files that hold the address, as they should be.

    Raises: CplabError for an address that is none of a repository.
    """
    if address is not None and not re.fullmatch(FORM, address):
        form = "https://github.com/OWNER/NAME"
        raise CplabError(f"address {quote(address)} is not allowed: write it like {form}")
    found = {}
    project = (root / "pyproject.toml").read_text("utf-8")
    project = re.sub(r'\[project\.urls\]\nRepository = ".*"\n\n', "", project)
    urls = f'[project.urls]\nRepository = "{address}"\n\n' if address else ""
    found[root / "pyproject.toml"] = project.replace(
        "[project.scripts]", f"{urls}[project.scripts]"
    )
    citation = (root / "CITATION.cff").read_text("utf-8")
    citation = re.sub(r"^repository-code: .*\n", "", citation, flags=re.M)
    line = f"repository-code: {address}\n" if address else ""
    found[root / "CITATION.cff"] = citation.replace("references:", f"{line}references:", 1)
    readme = (root / "README.md").read_text("utf-8")
    before, _, rest = readme.partition(BEGIN)
    after = rest.partition(END)[2]
    if not after:
        raise CplabError(f"README.md has no place for it: put {BEGIN} and {END} there")
    found[root / "README.md"] = f"{before}{BEGIN}\n{ways_in(address, root)}\n{END}{after}"
    for path in sorted(root.glob("labs/*.ipynb")):
        notebook = json.loads(path.read_text("utf-8"))
        code = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
        code["source"] = first_cell(address, root).splitlines(keepends=True)
        found[path] = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    return found


def write(address: str | None, root: Path = ROOT) -> list[Path]:
    """Write the address, or that none is known, wherever it belongs. Returns what has changed."""
    wanted = texts(address, root)
    changed = [path for path in wanted if wanted[path] != path.read_text("utf-8")]
    for path in changed:
        path.write_text(wanted[path], "utf-8")
    return changed
