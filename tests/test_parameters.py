"""A student changes a visible cell: titles, legends, questions, answers and what was found then say
the new value, and not the old one.

A lab's code is run here on shipped results, section by section, and each once more for each change;
in the end each exercise is solved as its solution does, which its check calls right. Nothing is
trained or drawn: of a figure its title, its axes and its legend are read.
"""

import ast
import html
import re
from unittest.mock import patch

import nbformat
import pytest
from conftest import ROOT
from IPython.core.compilerop import CachingCompiler

import cplab
from cplab import show, teach
from cplab.deficits import DEFICITS
from cplab.show import Figure

LABS = sorted(ROOT.glob("labs/*.ipynb"))

# A lab, what stands in a visible cell of it, what a student writes there, and words with the old
# value that hold all the same, since they are of something else.
CHANGES: list[tuple[str, ...]] = [
    ("01", 'Run("blur"', 'Run("noise"'),
    ("01", '"stripes", 16', '"stripes", 8'),
    ("01", "[60, 6]", "[60]"),
    ("02", 'Run("blur"', 'Run("noise"', "clear, 32 pixels: 6 images; blur: 6 images"),
    ("02", 'deficit="flip"', 'deficit="permute"'),
    ("02", "onset=24", "onset=8"),
    ("02", 'deficit="noise"', 'deficit="permute"'),
    ("02", "4 * early.recovery", "2 * early.recovery"),
    ("02", 'one = Run("blur"', 'one = Run("noise"'),
    ("02", "60, 120, 240)", "60, 120)"),
    ("02b", 'Run("flip"', 'Run("permute"'),
    ("02b", 'until("flip", 140)', 'until("flip", 60)'),
    ("02b", "140, (10, 5, 2, 1)", "60, (10, 5, 2, 1)"),
    ("02b", 'until("blur", 40)', 'until("noise", 40)'),
    ("02b", '("blur", "flip")}', '("blur", "noise")}'),
    ("02b", "(0, 20, 40, 80)", "(20, 40, 80)"),
    ("02b", "length=140", "length=60"),
    ("02b", "length=16", "length=8"),
    ("03", "long = 16", "long = 8"),
    ("03", "long = 16", "long = 5"),
    ("03", '"blur", "noise"]\nnewborn', '"blur"]\nnewborn', "Here the harm of noise"),
    ("03", 'Run("blur", length=16, **', 'Run("flip", length=5, **'),
    ("03", '"fresh_noise", "blank"', '"blank", "flip"'),
    ("03", "times = 8", "times = 4", "## 8"),
    ("03", "length=200", "length=100"),
    ("03b", "length = 32", "length = 1"),
    ("03b", 'deficit="blur"', 'deficit="flip"', "newborn, blur, vertical flip"),
    ("03b", "length=480", "length=240", "up to 480 epochs"),
    ("04", "onset=24", "onset=8"),
    ("04", '("blur", "flip")}', '("blur", "noise")}'),
    ("04", '("mosaic", "flip")', '("blur", "flip")'),
    ("04b", "onset=24", "onset=8"),
    ("04b", "0, 24, profile=fit", "0, 12, profile=fit"),
    ("04b", "length=16", "length=8"),
    ("05", "left = 0.05", "left = 0.2"),
    ("05b", "left = 25", "left = 50"),
    ("05b", "half = 0.5", "half = 0.2"),
    ("05b", 'deficit="blur"', 'deficit="flip"'),
    ("06", 'Run("blur", length=16, model', 'Run("flip", length=16, model'),
    ("06", "length=16, profile=profile)\nways", "length=8, profile=profile)\nways"),
    ("06", 'Run("blur", length=8', 'Run("flip", length=8'),
    ("06", "length=8, profile=profile)\nimages", "length=16, profile=profile)\nimages"),
    ("07", "days = 8", "days = 4"),
    ("07", "(4, 8, 16)}", "(4, 8)}"),
    ("07", "(0, 4, 8, 12)", "(0, 4, 8)", "from epoch 8 to 12"),
    ("07", "length=8, onset=0", "length=4, onset=8"),
    ("08", "closed = 1 ", "closed = 3 ", "depth 1", "## 1", "layers 1 %"),
    ("08", "onset=2)", "onset=1)", "depth 2"),
    ("08", '2, "few"', '3, "few"'),
    ("09", "length=16, profile=size)) for", "length=8, profile=size)) for"),
    ("09", 'blurred = Run("blur"', 'blurred = Run("noise"'),
    ("09", 'noisy = Run("noise"', 'noisy = Run("blur"'),
    ("09", 'deprived = Run("blur"', 'deprived = Run("noise"'),
    ("09", '("noise", "blur")}\ncured', '("flip", "blur")}\ncured'),
    ("09", 'Run("blur", length=16, model', 'Run("noise", length=16, model'),
    ("09", "onset=8", "onset=4"),
    ("09", '("blur", "noise", gallery', '("noise", gallery'),
]
# What trains, and what only a person moves, is not shown.
BY_HAND = re.compile(r"lab\.live\(|\.grow\(|grow_and_prune\(|Nursery\(|Explorer\(|clinic\(waiting")
PARAMETER = re.compile(r'\b(onset|length|deficit|days|long|left|half|lengths|ends)\b ?= ?[\d"(]')
LIST = re.compile(r"(?:(?<=in )|(?<== ))\((\d+(?:, \d+){2,})\)")  # of numbers
TRAINED = ("00-1", "00-2", "00-3", "02-2", "02-4", "03b-2")  # exercises that have to be


def words_of(shown):
    """What one reads in an output: all but a fold with more numbers, and the words of figures."""
    if not hasattr(shown, "_repr_html_"):
        return "" if shown is None else repr(shown)
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", shown._repr_html_(), flags=re.S)
    for found in re.findall('<p class="cplab-found">.*?</p>', page):
        assert found.count("±") <= 3, f"too many numbers for one sentence: {found}"
        assert "trained" in found or "measured <b>not trained yet" not in page, found
        assert not re.search(r"(?<!\d)1 epochs", page), page
        assert "Not all of these" not in found or "It was: " not in page, "verdict without results"
    page = re.sub(r"<details><summary>more numbers.*?</details>", " ", page, flags=re.S)
    page = re.sub(r'<img [^>]*alt="([^"]*)"[^>]*>', r" \1 ", page)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def run(source, space):
    """Run a cell, and give the words of its output."""
    file, tree = CachingCompiler().cache(source), ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, file, "exec"), space)
    if last is None or BY_HAND.search(ast.unparse(last)):
        return ""
    return words_of(eval(compile(ast.Expression(last.value), file, "eval"), space))


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
    """The numbers and kinds of deficits that stand in code, as one reads them."""
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
        after, prose = after.replace(word, ""), prose.replace(word, "")
    for value in gone:
        if found := said(value, after):
            yield f"still says {value!r}: …{found}…"
        if value.isdigit() and (found := said(value, prose)):
            yield f"its text says {value}: …{found}…"
    yield from (f"nothing says {value!r}" for value in come if not said(value, after))


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_words_follow_what_a_student_changes_and_solutions_are_right(path, monkeypatch, capsys):
    monkeypatch.setattr(Figure, "_repr_html_", lambda self: f'<img alt="{html.escape(self.alt)}">')
    monkeypatch.setattr(cplab, "sweep", lambda runs, **how: [])
    number, parts = path.name.partition("_")[0], sections(nbformat.read(path, 4))
    changes = [change for lab, *change in CHANGES if lab == number]
    space, wrong, left = {"__name__": "__main__"}, [], changes[:]
    with patch.dict(DEFICITS):
        for prose, code in parts:
            spaces, words = [], []
            for _, source in code:
                spaces.append(dict(space))
                words.append(run(source, space))
            lists = {s[0]: s[1].split(", ") for v, one in code if v for s in LIST.finditer(one)}
            others = [(old, f"({', '.join(new[::-1])},)") for old, new in lists.items()]
            others += [(old, f"({first},)") for old, (first, *_) in lists.items()]
            for change in [c for c in left + others if any(v and c[0] in s for v, s in code)]:
                old, new, *stays = change
                left = [other for other in left if other != change]
                first = next(i for i, (v, s) in enumerate(code) if v and old in s)  # others stay
                changed = [s.replace(old, new, 1) if v else s for v, s in code[first:]]
                with patch.dict(space, spaces[first], clear=True):
                    after = " ".join([*words[:first], *(run(source, space) for source in changed)])
                found = complaints(old, new, " ".join(words), after, "\n".join(prose), stays)
                if change in others:  # the other way round it says the same
                    was, now = (sorted(re.findall(r"\w+", s)) for s in (" ".join(words), after))
                    found = [after] if len(new) > len(old) and was != now else []
                wrong += [f"after {old!r} → {new!r}, {line}" for line in found]
        copy = teach.copy_for(nbformat.read(path, 4), path.stem, "instructor")
        sources = {cell.id: cell.source for cell in copy.cells}
        for key in [key.removeprefix("check-") for key in sources if key.startswith("check-")]:
            run(sources[f"check-{key}"], space | {"answer": ...})  # a student's, not yet solved
            if key not in TRAINED:
                run(sources[f"solution-{key}"], space)
                run(sources[f"check-{key}"], space)
                if not capsys.readouterr().out.endswith("right.\n"):
                    wrong.append(f"the solution of exercise {key} is not right by its check")
    wrong += [f"no visible cell has {old!r} any more" for old, *_ in left]
    # a visible cell that sets a parameter, which no change changes
    for source in (source for _, code in parts for visible, source in code if visible):
        sets = PARAMETER.search(re.sub(r"^(def|    ).*$", "", source, flags=re.M))
        if sets and not any(old in source for old, *_ in changes):
            wrong.append(f"no change in CHANGES is of\n{source}")
    assert not wrong, "\n".join(wrong)
