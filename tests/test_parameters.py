"""Labs are played: a student runs all cells of one, then changes a visible cell, runs a cell again,
or solves an exercise.

A lab's code is run here once on shipped results, and what it showed is kept for the tests that
follow. Nothing is trained or drawn: of a figure its title, its axes and its legend are read.
"""

import ast
import html
import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import nbformat
import pytest
from conftest import ROOT, forget_lookups
from IPython.core.compilerop import CachingCompiler

import cplab
from cplab import quantities, show, teach
from cplab.deficits import DEFICITS
from cplab.show import Figure

LABS = sorted(ROOT.glob("labs/*.ipynb"))

# A lab, what stands in a visible cell of it, what a student writes there, and words with the old
# value that hold all the same, since they are of something else.
CHANGES: list[tuple[str, ...]] = [
    ("01", '    "blur",', '    "noise",'),
    ("01", "epochs = 16", "epochs = 8"),
    ("01", "[60, 6]", "[60]"),
    ("01", "12, 16, 24)", "12, 16)", "an epoch stands for: 24"),
    ("02", '    "blur",', '    "noise",', "clear, 32 pixels: 6 images; blur: 6 images"),
    ("02", 'deficit="flip"', 'deficit="permute"'),
    ("02", "onset=24", "onset=8"),
    ("02", 'deficit="noise"', 'deficit="permute"'),
    ("02", "4 * early.recovery", "2 * early.recovery"),
    ("02", 'small = Run("blur"', 'small = Run("noise"'),
    ("02", "60, 120, 240)", "60, 120)"),
    ("02b", 'Run("flip"', 'Run("permute"'),
    ("02b", 'until("flip", 140)', 'until("flip", 60)'),
    ("02b", "end = 140", "end = 60"),
    ("02b", 'until("blur", 40)', 'until("noise", 40)'),
    ("02b", 'kind in ("blur", "flip")', 'kind in ("blur", "noise")'),
    ("02b", "(0, 20, 40, 80)", "(20, 40, 80)"),
    ("02b", "length=140", "length=60"),
    ("02b", "length=16", "length=8"),
    ("03", "long = 16", "long = 8"),
    ("03", "long = 16", "long = 5"),
    ("03", '"noise", "permute"]\nnewborn', '"permute"]\nnewborn', "Here the harm of noise"),
    ("03", 'Run("blur", length=16, model', 'Run("flip", length=5, model'),
    ("03", '"fresh_noise", "blank"', '"blank", "flip"'),
    ("03", "times = 8", "times = 4", "## 8"),
    ("03", "length=200", "length=100"),
    ("03b", "length = 32", "length = 1"),
    ("03b", 'deficit="blur"', 'deficit="flip"', "newborn, blur, vertical flip"),
    ("03b", "length=480", "length=240", "up to 480 epochs"),
    ("04", "onset=24", "onset=8"),
    ("04", '("blur", "flip"):', '("blur", "noise"):'),
    ("04", '("mosaic", "flip")', '("blur", "flip")'),
    ("04b", "onset=24", "onset=8"),
    ("04b", 'Run("blur", length=24', 'Run("blur", length=12'),
    ("04b", "length=16", "length=8"),
    ("05", "left = 0.05", "left = 0.2"),
    ("05b", "left = 25", "left = 50"),
    ("05b", "half = 0.5", "half = 0.2"),
    ("05b", 'deficit="blur"', 'deficit="flip"'),
    ("06", 'Run("blur", length=16, model', 'Run("flip", length=16, model'),
    ("06", "length=16, profile=size)\nways", "length=8, profile=size)\nways"),
    ("06", 'Run("blur", length=8', 'Run("flip", length=8'),
    ("06", "length=8, profile=size)\nimages", "length=16, profile=size)\nimages"),
    ("07", "days = 8", "days = 4"),
    ("07", "(4, 8, 16):", "(4, 8):"),
    ("07", "(0, 4, 8, 12)", "(0, 4, 8)", "from epoch 8 to 12"),
    ("07", "length=8, onset=0", "length=4, onset=8"),
    ("08", "closed = 1 ", "closed = 3 ", "depth 1", "## 1", "layers 1 %"),
    ("08", "onset=2)", "onset=1)", "depth 2"),
    ("08", "depth = 2", "depth = 3"),
    ("09", "harm(Run(deficit, length=16", "harm(Run(deficit, length=8"),
    ("09", 'blurred = Run("blur"', 'blurred = Run("noise"'),
    ("09", 'noisy = Run("noise"', 'noisy = Run("blur"'),
    ("09", 'deprived = Run("blur"', 'deprived = Run("noise"'),
    ("09", '("noise", "blur")}\ncured', '("flip", "blur")}\ncured'),
    ("09", 'Run("blur", length=16, model', 'Run("noise", length=16, model'),
    ("09", "onset=8", "onset=4"),
    ("09", '("blur", "noise", gallery', '("noise", gallery'),
]
# What trains, and what only a person moves, is not shown.
BY_HAND = re.compile(
    r"move_eyes\(|lab\.live\(|\.grow\(|grow_and_prune\(|Nursery\(|Explorer\(|clinic\(waiting"
)
PARAMETER = re.compile(r'\b(onset|length|deficit|days|long|left|half|lengths|ends)\b ?= ?[\d"(]')
LIST = re.compile(r"(?:(?<=in )|(?<== ))\((\d+(?:, \d+){2,})\)")  # of numbers
TRAINED = ("00-1", "00-2", "00-3", "00-4", "02-2", "02-4", "03b-2")  # exercises that have to be


def words_of(shown):
    """What a student reads in an output: all but a fold with more numbers, and figures' words."""
    if shown is None:
        return ""
    if not hasattr(shown, "_repr_html_"):
        return re.sub(r" at 0x\w+", "", repr(shown))
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", shown._repr_html_(), flags=re.S)
    check_sentences(page)
    page = re.sub(r"<details><summary>more numbers.*?</details>", " ", page, flags=re.S)
    page = re.sub(r'<img [^>]*alt="([^"]*)"[^>]*>', r" \1 ", page)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def check_sentences(page):
    """Assert that the sentences about what was found can be read, and say what is missing."""
    for sentence in re.findall('<p class="cplab-found">.*?</p>', page):
        assert sentence.count("±") <= 3, f"too many numbers for one sentence: {sentence}"
        assert "trained" in sentence or "measured <b>not trained yet" not in page, sentence
        assert not re.search(r"(?<!\d)1 epochs", page), page
        undecided = "Not all of these" in sentence
        assert not (undecided and "It was: " in page), "verdict without results"


def run(source, space):
    """Run a cell, and give the words of its output: what it prints, and what it ends with."""
    file = CachingCompiler().cache(source)
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    words = ""
    with redirect_stdout(printed):
        exec(compile(tree, file, "exec"), space)
        if last is not None and not BY_HAND.search(ast.unparse(last)):
            words = words_of(eval(compile(ast.Expression(last.value), file, "eval"), space))
    return f"{printed.getvalue()} {words}".strip()


def sections(lab):
    """The cells of each section: what a student reads, (visible, source) of what is run."""
    found = [([], [])]
    for cell in lab.cells:
        if cell.cell_type == "code":
            folded = cell.metadata.get("jupyter", {}).get("source_hidden", False)
            found[-1][1].append((not folded, cell.source))
        else:
            before, *headed = re.split(r"^(?=## )", cell.source, flags=re.M)
            found[-1][0].append(before)
            found += [([part], []) for part in headed]
    return found


def values(code):
    """The numbers and kinds of deficits that stand in code, as a student reads them."""
    found = []
    for match in re.finditer(r'"(\w+)"|(onset=0)\b|(?<![\w.])(\d+(?:\.\d+)?)(?![\w.])', code):
        kind, birth, number = match.groups()
        if birth:
            found.append("from birth")
        elif number:
            found.append(f"{100 * float(number):g}" if "." in number else number)
        elif kind.partition(":")[0] in DEFICITS:
            found.append(show.label(kind))
    return found


def said(value, words):
    """Where words name a value, a number alone or a kind of deficit, with what stands around it."""
    number = rf"(?<![\d.,×–−-]){value}(?![\d–]|[.,]\d)"
    named = number if value.isdigit() else rf"\b{re.escape(value)}"
    found = re.search(f".{{,60}}{named}.{{,60}}", words, re.I | re.S)
    return found and found[0]


def complaints(old, new, before, after, prose, stays):
    """What is wrong with a section's words after a change in it."""
    gone = [value for value in values(old) if value not in values(new)]
    come = [value for value in values(new) if value not in values(old)]
    if not any(said(value, before) for value in gone):
        return  # it says nothing of it
    for word in stays:
        after = after.replace(word, "")
        prose = prose.replace(word, "")
    for value in gone:
        if found := said(value, after):
            yield f"still says {value!r}: …{found}…"
        if value.isdigit() and (found := said(value, prose)):
            yield f"its text says {value}: …{found}…"
    yield from (f"nothing says {value!r}" for value in come if not said(value, after))


class Section(NamedTuple):
    """A section of a lab that was run to its end."""

    prose: list[str]
    code: list[tuple[bool, str]]  # of each cell whether it is visible, and its source
    before: list[dict]  # the names that stood when each cell was run
    words: list[str]  # what each cell showed


class Played(NamedTuple):
    """A lab that was run to its end, with the names that stand then."""

    path: Path
    sections: list[Section]
    space: dict

    @property
    def number(self):
        return self.path.name.partition("_")[0]

    @property
    def changes(self):
        return [change for lab, *change in CHANGES if lab == self.number]


def looked_up_once():
    """A function that finds results, each only once: nothing is trained meanwhile."""
    results = {}

    def find(spec, measure=()):
        place = spec.key, repr(measure)
        if place not in results:
            results[place] = cplab.find(spec, measure)
        return results[place]

    return find


@pytest.fixture(scope="module", params=LABS, ids=[path.stem for path in LABS])
def played(request, tmp_path_factory):
    """A lab whose cells were all run, in a folder without images or results of one's own."""
    space = {"__name__": "__main__"}
    done = []
    with pytest.MonkeyPatch.context() as context, patch.dict(DEFICITS):
        context.setenv("CPLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        context.delenv("CPLAB_DATA", raising=False)
        forget_lookups()
        draw = lambda figure: f'<img alt="{html.escape(figure.alt)}">'  # noqa: E731
        context.setattr(Figure, "_repr_html_", draw)
        context.setattr(cplab, "sweep", lambda runs, **how: [])
        context.setattr(quantities, "find", looked_up_once())
        for prose, code in sections(nbformat.read(request.param, 4)):
            before = []
            words = []
            for _, source in code:
                before.append(dict(space))
                words.append(run(source, space))
            done.append(Section(prose, code, before, words))
        yield Played(request.param, done, space)
    forget_lookups()


def test_a_cell_that_is_run_again_after_the_last_shows_what_it_showed(played):
    different = []
    for section in played.sections:
        for (_, source), words in zip(section.code, section.words, strict=True):
            with patch.dict(played.space):
                again = run(source, played.space)
            if again != words:
                different.append(f"{source}\nshowed {words!r}\nand now {again!r}")
    assert not different, "\n\n".join(different)


def lists_changed(code):
    """Changes of the lists of numbers in visible cells: turned round, and their first alone."""
    for visible, source in code:
        if visible:
            for match in LIST.finditer(source):
                numbers = match[1].split(", ")
                yield match[0], f"({', '.join(numbers[::-1])},)"
                yield match[0], f"({numbers[0]},)"


def after_change(played, section, old, new):
    """What a section says once `new` stands for `old` in its visible cells. Cells before stay."""
    first = next(
        place for place, (visible, source) in enumerate(section.code) if visible and old in source
    )
    words = section.words[:first]
    with patch.dict(played.space, section.before[first], clear=True):
        for visible, source in section.code[first:]:
            changed = source.replace(old, new, 1) if visible else source
            words.append(run(changed, played.space))
    return " ".join(words)


def visible_in(section):
    """The sources of a section's visible cells."""
    return [source for visible, source in section.code if visible]


def section_of(played, text):
    """The first section that has a text in a visible cell."""
    for section in played.sections:
        if any(text in source for source in visible_in(section)):
            return section
    raise AssertionError(f"no visible cell has {text!r} any more")


def test_words_follow_what_a_student_changes(played):
    wrong = []
    for old, new, *stays in played.changes:
        section = section_of(played, old)
        before = " ".join(section.words)
        after = after_change(played, section, old, new)
        prose = "\n".join(section.prose)
        for line in complaints(old, new, before, after, prose, stays):
            wrong.append(f"after {old!r} → {new!r}, {line}")
    assert not wrong, "\n".join(wrong)


def test_a_list_that_is_turned_round_changes_no_word(played):
    for section in played.sections:
        before = sorted(re.findall(r"\w+", " ".join(section.words)))
        for old, new in dict.fromkeys(lists_changed(section.code)):
            after = after_change(played, section, old, new)  # of one number alone it raises nothing
            is_turned = len(new) > len(old)
            if is_turned:
                assert sorted(re.findall(r"\w+", after)) == before, f"after {old!r} → {new!r}"


@pytest.fixture
def solutions(played):
    """The sources of the cells of a teacher's copy, by their names, while the lab's names stand."""
    copy = teach.copy_for(nbformat.read(played.path, 4), played.path.stem, "instructor")
    with patch.dict(played.space):
        yield {cell.id: cell.source for cell in copy.cells}


def test_a_check_runs_before_its_exercise_is_solved(played, solutions):
    for name, source in solutions.items():
        if name.startswith("check-"):
            run(source, played.space | {"answer": ...})


def test_solutions_are_right(played, solutions):
    wrong = []
    for name in solutions:
        key = name.removeprefix("check-")
        if key != name and key not in TRAINED:
            run(solutions[f"solution-{key}"], played.space)
            if not run(solutions[name], played.space).endswith("right."):
                wrong.append(key)
    assert not wrong


def test_every_parameter_in_sight_is_changed_here(played):
    for section in played.sections:
        for source in visible_in(section):
            own = re.sub(r"^(def|    ).*$", "", source, flags=re.M)
            if PARAMETER.search(own) and not BY_HAND.search(source):
                assert any(old in source for old, *_ in played.changes), source
