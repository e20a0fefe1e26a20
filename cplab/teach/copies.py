"""The labs as files, and copies of them to work in.

A copy never takes the place of a file that is there. It knows from which text it was made: if the
lab has changed since, a fresh copy is written beside it.
"""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from cplab.base.errors import CplabError, quote
from cplab.base.files import atomic_file

CLONE = Path(__file__).parents[2] / "labs"  # in a clone of the repository
INSTALLED = Path(__file__).parents[1] / "labs"  # in an installed wheel

# A picture in a lab's text: ![words](../docs/pictures/name)
LAB_PICTURE = re.compile(r"(?P<words>!\[.*?\])\(\.\./(?P<place>docs/pictures/(?P<name>[\w.]+))\)")
ATTACHED = r"\g<words>(attachment:\g<name>)"  # it in a copy

COURSE = ("00", "01", "02", "03", "04", "05")  # labs that make the course; the others go further
LAST_PAGE = "what_you_know_now"  # the last page of the course
PAGES = (LAST_PAGE, "from_nothing")  # notebooks beside the labs, which have no number
FURTHER = "going-further"  # where these are in a folder of copies


def in_course(path: Path) -> bool:
    """Whether a lab or a page belongs to the course.

    >>> [in_course(path) for path in labs("00") + labs("00b")]
    [True, False]
    """
    return path.stem.partition("_")[0] in COURSE or path.stem == LAST_PAGE


def folder_of(folder: Path, path: Path) -> Path:
    """The folder of a lab's copy in a folder of copies: those that go further have one below it.

    >>> [folder_of(Path("mine"), path).name for path in labs("00") + labs("00b")]
    ['mine', 'going-further']
    """
    return folder if in_course(path) else folder / FURTHER


def labs(name: str = "") -> list[Path]:
    """The notebooks of the labs whose file names begin with `name`, or the one whose number it is,
    in order.

    >>> [path.name[:3] for path in labs()][:3]
    ['00_', '00b', '01_']
    >>> [path.name for path in labs("02")]
    ['02_blur_critical_period.ipynb']
    """
    paths = sorted((CLONE if CLONE.is_dir() else INSTALLED).glob("[0-9][0-9]*_*.ipynb"))
    numbered = [path for path in paths if path.name.partition("_")[0] == name]
    chosen = numbered or [path for path in paths if path.name.startswith(name)]
    if not chosen:
        names = ", ".join(path.stem for path in paths)
        raise CplabError(f"no lab {quote(name)}: choose one of {names}")
    return chosen


def pages() -> list[Path]:
    """The notebooks beside the labs: the last page of the course, and lab 00 without cplab.

    >>> [path.name for path in pages()]
    ['what_you_know_now.ipynb', 'from_nothing.ipynb']
    """
    beside_labs = labs()[0].parents[1] / "docs"
    return [beside_labs / f"{name}.ipynb" for name in PAGES]


def lab_digest(path: Path) -> str:
    """Eight digits of a hash of a lab's cells. They change when a student would see a change."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:8]


def portable(path: Path) -> str:
    """Read a lab as the text of a notebook that works in any folder.

    Its pictures are in it. It knows from which text of the lab it was made.
    """
    notebook = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        for match in LAB_PICTURE.finditer(text):
            picture = b64encode((path.parents[1] / match["place"]).read_bytes()).decode()
            cell.setdefault("attachments", {})[match["name"]] = {"image/png": picture}
            cell["source"] = LAB_PICTURE.sub(ATTACHED, text)
    notebook["metadata"]["cplab"] = {"digest": lab_digest(path)}
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


class Copied(NamedTuple):
    """What became of copies: names of new files, names of fresh ones beside copies of an earlier
    text, and how many copies were there already and are up to date."""

    new: list[str]
    fresh: list[str]
    stay: int

    def __str__(self) -> str:
        words = [f"{len(self.new)} new, {self.stay} were there already and stay"]
        if self.fresh:
            words.append(
                f"{len(self.fresh)} labs have changed since you copied them: your copies stay as "
                f"they are, and beside them is now {', '.join(self.fresh)}"
            )
        return ". ".join(words)


def copy_labs(
    folder: Path,
    copy: Callable[[Path], str] = portable,
    paths: Sequence[Path] = (),
    place: Callable[[Path, Path], Path] = folder_of,
) -> Copied:
    """Copy the labs into a folder, never over a file that is there. Beside a copy of an earlier
    text, or one that cannot be read, a fresh one is written, with a number after its name.

    Arguments:
        folder: the folder.
        copy: from a lab's path to the text of its copy, by default the lab's own.
        paths: of the labs, by default all labs and pages.
        place: from the folder and a lab's path to the folder of its copy.

    Raises:
        CplabError: where they cannot be written.
        each file is written whole or not at all.
    """
    new = list[str]()
    fresh = list[str]()
    stay = 0
    try:
        for path in paths or [*labs(), *pages()]:
            home = place(folder, path)
            home.mkdir(parents=True, exist_ok=True)
            copies = copies_in(home, path)
            if any(made_from(file) == lab_digest(path) for file in copies):
                stay += 1
            elif copies:
                file = home / f"{path.stem}-{len(copies) + 1}.ipynb"
                write_whole(file, copy(path))
                fresh.append(file.name)
            else:
                write_whole(home / path.name, copy(path))
                new.append(path.name)
    except OSError as error:
        raise CplabError(
            f"{folder} cannot be written ({error}): make room, or name another folder with --folder"
        ) from error
    return Copied(new, fresh, stay)


def copies_of(folder: Path, name: str = "") -> list[Path]:
    """The copies in a folder of the labs that `labs(name)` gives, in order."""
    copies = []
    for path in labs(name):
        copies += copies_in(folder_of(folder, path), path)
    return copies


def copies_in(folder: Path, path: Path) -> list[Path]:
    """The copies of a lab in a folder: under its own name, and with a number after it."""
    first = folder / path.name
    numbered = sorted(folder.glob(f"{path.stem}-[0-9]*.ipynb"))
    return [first, *numbered] if first.exists() else numbered


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with atomic_file(path) as partial:
        partial.write_text(text, "utf-8")


def made_from(path: Path) -> str | None:
    """The digest of the lab from which a copy was made; None where it does not say."""
    try:
        return json.loads(path.read_text("utf-8"))["metadata"]["cplab"]["digest"]
    except (ValueError, KeyError, TypeError, OSError):
        # half a file, a copy of last term, or none that can be read, as a folder of that name
        return None
