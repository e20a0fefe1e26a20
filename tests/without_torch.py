"""A process without torch, as on a Mac with an Intel chip, or a small hub without a network. Labs
are played there: a student runs all cells of one, then changes a visible cell, or runs one again.

Nothing is drawn: of a figure its title, its axes and its legend are read.
"""

import ast
import atexit
import html
import io
import os
import re
import socket
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.machinery import PathFinder
from multiprocessing import get_context
from types import CodeType, FunctionType
from typing import NamedTuple
from unittest.mock import patch

import nbformat
from IPython.core.compilerop import CachingCompiler

ABSENT = {"torch", "torchvision", "loky", "jupyterlab"}


@contextmanager
def process_without_torch(folder):
    """One such process. Its cache is a folder, which has neither results nor images."""
    with ProcessPoolExecutor(1, get_context("spawn"), begin, [folder]) as process:
        yield process


def begin(folder):
    """Let Python find no module of those that are absent, nor a network, and draw no figure."""
    find = PathFinder.find_spec

    def find_others(name, *more):
        return None if name.partition(".")[0] in ABSENT else find(name, *more)

    PathFinder.find_spec = find_others
    socket.socket.connect = None
    os.environ["CPLAB_CACHE"] = str(folder)
    os.environ.pop("CPLAB_DATA", None)
    os.chdir(folder)
    atexit.register(os._exit, 0)  # at once: to tidy all objects up takes seconds
    from cplab.show import Figure

    Figure._repr_html_ = words_alone


def words_alone(figure):
    """The HTML of a figure that is not drawn: its words alone."""
    return f'<img alt="{html.escape(figure.alt)}">'


# What a student reads -----------------------------------------------------------------------------

# What only a person moves says nothing of its own that follows a change.
BY_HAND = re.compile(r"lab\.live\(|\.grow\(|grow_and_prune\(|Nursery\(|Explorer\(|clinic\(waiting")


def words_of(shown, trained):
    """What a student reads in an output: all but a fold with more numbers, and figures' words.

    Arguments: trained, whether there are results.
    """
    from cplab.estimates import lacking_in
    from cplab.lab.questions.questions import SOME_NOT_TRAINED

    if shown is None:
        return ""
    if not hasattr(shown, "_repr_html_"):
        return re.sub(r" at 0x\w+", "", repr(shown))
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", shown._repr_html_(), flags=re.S)
    if trained:
        check_sentences(page)
        UNEXPLAINED.extend(unexplained(page))
    # what is said to be missing is offered below: `lab.question` may have to be told `of=`
    assert SOME_NOT_TRAINED not in page or lacking_in(shown), page
    page = re.sub(r"<details><summary>more numbers.*?</details>", " ", page, flags=re.S)
    page = re.sub(r'<img [^>]*alt="([^"]*)"[^>]*>', r" \1 ", page)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


UNEXPLAINED = []  # questions that say nothing to one of their wrong answers


def unexplained(page):
    """The texts of such questions in a page of HTML."""
    for question in re.findall("<cplab-question .*?</cplab-question>", page, re.S):
        asked, answers, decided = re.search(
            r"<p><b>(.*?)</b></p>\n<ul( data-right)?.*?>(.*?)</ul>", question, re.S
        ).group(1, 3, 2)
        wrong = answers.count("<li>") - 1
        if decided and question.count('class="cplab-feedback"') < wrong:
            yield asked


def check_sentences(page):
    """Assert that the sentences about what was found can be read, and say what is missing."""
    for sentence in re.findall('<p class="cplab-found">.*?</p>', page):
        assert sentence.count("±") <= 3, f"too many numbers for one sentence: {sentence}"
        assert "trained" in sentence or "measured <b>not trained yet" not in page, sentence
        assert not re.search(r"(?<!\d)1 epochs", page), page
        undecided = "Not all of these" in sentence
        assert not (undecided and "It was: " in page), "verdict without results"


def run(source, space):
    """Run a cell's source. Returns: the words that it prints, and those of what it ends with."""
    file = CachingCompiler().cache(source)
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    words = ""
    with redirect_stdout(printed), redirect_stderr(printed):
        exec(compile(tree, file, "exec"), space)
        if last is not None:
            shown = eval(compile(ast.Expression(last.value), file, "eval"), space)
            words = words_of(shown, trained=space.get("profile") != "ci")
    by_hand = last is not None and BY_HAND.search(ast.unparse(last))
    return f"{printed.getvalue()} {'' if by_hand else words}".strip()


# Playing a lab ------------------------------------------------------------------------------------


class Cell(NamedTuple):
    """A cell of code in a lab."""

    source: str
    visible: bool


class Section(NamedTuple):
    """A section of a lab, from one heading to the next, and what its cells showed."""

    prose: list[str]
    cells: list[Cell]
    before: list[dict]  # the names that stood when each cell was run
    words: list[str]  # what each cell showed

    @property
    def visible_sources(self):
        return [cell.source for cell in self.cells if cell.visible]


class Change(NamedTuple):
    """What a student changes in a visible cell of a lab."""

    old: str
    new: str
    stays: Sequence[str] = ()  # words with the old value that are about something else


class Played(NamedTuple):
    """What tests read of a lab that was run to its end."""

    shown: list[tuple[str, str]]  # the source of each cell, and the words that it showed
    again: list[str]  # of cells that were run again and showed something else
    wrong: list[str]  # of changes that words do not follow
    unexplained: list[str]  # questions that say nothing to one of their wrong answers


def sections(lab):
    """The sections of a notebook, before they are run."""
    parts = [Section([], [], [], [])]
    for cell in lab.cells:
        if cell.cell_type == "code":
            folded = cell.metadata.get("jupyter", {}).get("source_hidden", False)
            parts[-1].cells.append(Cell(cell.source, not folded))
        else:
            before, *headed = re.split(r"^(?=## )", cell.source, flags=re.M)
            parts[-1].prose.append(before)
            for prose in headed:
                parts.append(Section([prose], [], [], []))
    return parts


def play(lab, changes=(), again=True):
    """Run all cells of a notebook, then each again, and then make each change by itself.

    Arguments: again, whether to do more than run them once.
    """
    from cplab.deficits import DEFICITS

    space = {"__name__": "__main__"}
    UNEXPLAINED.clear()
    with patch.dict(DEFICITS):
        parts = sections(lab)
        for section in parts:
            for cell in section.cells:
                section.before.append(dict(space))
                section.words.append(run(cell.source, space))
        silent = [*UNEXPLAINED]
        shown = []
        for section in parts:
            sources = [cell.source for cell in section.cells]
            shown.extend(zip(sources, section.words, strict=True))
        again = [*differences(parts, space)] if again else []
        wrong = [line for change in changes for line in complaints(change, parts)]
    return Played(shown, again, wrong, silent)


def differences(parts, space):
    """What cells show otherwise when they are run again after the last one: those that read a name
    which stands for something else by then."""
    for section in parts:
        for cell, before, words in zip(section.cells, section.before, section.words, strict=True):
            names = names_read(compile(cell.source, "cell", "exec"), space)
            if all(before[name] is space[name] for name in names & before.keys()):
                continue
            with patch.dict(space):
                now = run(cell.source, space)
            if now != words:
                yield f"{cell.source}\nshowed {words!r}\nand now {now!r}"


def names_read(code, space):
    """The names that code uses, and the functions in it, and those of the lab that it calls."""
    names = {*code.co_names}
    for value in code.co_consts:
        if isinstance(value, CodeType):
            names |= names_read(value, space)
    for name in names & space.keys():
        value = space[name]
        if (
            isinstance(value, FunctionType)
            and value.__globals__ is space
            and value.__code__ != code
        ):
            names = names | names_read(value.__code__, space)
    return names


# A visible cell is changed ------------------------------------------------------------------------


def section_of(parts, text):
    """The first section that has a text in a visible cell."""
    for section in parts:
        if any(text in source for source in section.visible_sources):
            return section
    raise AssertionError(f"no visible cell has {text!r} any more")


def after_change(section, old, new):
    """What a section says once `new` stands for `old` in its visible cells."""
    changed = [old in cell.source and cell.visible for cell in section.cells]
    first = changed.index(True)
    words = section.words[:first]
    space = dict(section.before[first])
    for cell in section.cells[first:]:
        source = cell.source.replace(old, new, 1) if cell.visible else cell.source
        words.append(run(source, space))
    return " ".join(words)


def values(code):
    """The numbers and kinds of deficits that stand in code, as a student reads them."""
    from cplab import show
    from cplab.deficits import DEFICITS

    read = []
    for match in re.finditer(r'"(\w+)"|(onset=0)\b|(?<![\w.])(\d+(?:\.\d+)?)(?![\w.])', code):
        kind, birth, number = match.groups()
        if birth:
            read.append("from birth")
        elif number:
            read.append(f"{100 * float(number):g}" if "." in number else number)
        elif kind.partition(":")[0] in DEFICITS:
            read.append(show.label(kind))
    return read


def said(value, words):
    """Where words name a value, a number alone or a kind of deficit, with what stands around it."""
    number = rf"(?<![\d.,×–−-]){value}(?![\d–]|[.,]\d)"
    named = number if value.isdigit() else rf"\b{re.escape(value)}"
    place = re.search(f".{{,60}}{named}.{{,60}}", words, re.I | re.S)
    return place[0] if place else ""


def complaints(change, parts):
    """What is wrong with a section's words, and with its text, after a change in it."""
    section = section_of(parts, change.old)
    before = " ".join(section.words)
    prose = "\n".join(section.prose)
    after = after_change(section, change.old, change.new)
    gone = [value for value in values(change.old) if value not in values(change.new)]
    come = [value for value in values(change.new) if value not in values(change.old)]
    if not any(said(value, before) for value in gone):
        return  # it says nothing of it
    for words in change.stays:
        after = after.replace(words, "")
        prose = prose.replace(words, "")
    changed = f"after {change.old!r} → {change.new!r}"
    for value in gone:
        if place := said(value, after):
            yield f"{changed}, it still says {value!r}: …{place}…"
        if value.isdigit() and (place := said(value, prose)):
            yield f"{changed}, its text says {value}: …{place}…"
    for value in come:
        if not said(value, after):
            yield f"{changed}, nothing says {value!r}"


def read(path, profile="auto"):
    """A lab's notebook, at a size."""
    lab = nbformat.read(path, as_version=4)
    for cell in lab.cells:
        cell.source = cell.source.replace('profile = "auto"', f'profile = "{profile}"')
    return lab
