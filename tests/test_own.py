"""What a student's own function means, what is refused, and how it gets to other processes."""

import math

import numpy as np
import pytest
import torch
from conftest import cell, one_line
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell

import cplab
from cplab import deficits, gallery, models
from cplab.specs import own


def digest(text, name="f", **names):
    return own.source_digest(cell(text, **names)[name])[0]


PLAIN = """def f(x, y, k=2):
    x = x * k + K
    return help(x), y
def help(x):
    return -x
K = 3
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x = x * k + K", "x = x*k + K  # a comment"),
        ("k=2):\n", 'k=2) -> tuple:\n    """Words."""\n\n'),
        ("x, y, k=2", "x: torch.Tensor, y, k: int = 2"),
        ("def f", "def deficit(f): return f\n\n@deficit\ndef f"),
        ("k=2", "k=TWO"),
    ],
)
def test_what_changes_nothing_keeps_the_digest(old, new):
    assert old in PLAIN
    assert digest(PLAIN.replace(old, new, 1), TWO=2) == digest(PLAIN) == "1f0b7f09"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x * k", "k * x"),
        ("k=2", "k=2.0"),
        ("K = 3", "K = True"),
        ("return -x", "return x"),
        ("x = x * k + K", "x = x * k + [K for _ in x][0] * J"),
        ("x = x * k + K", "x = (lambda v: v * J)(x)"),
        ("    return help", "    def g(v):\n        return v * J\n    x = g(x)\n    return help"),
    ],
)
def test_what_changes_the_result_changes_the_digest(old, new):
    assert old in PLAIN
    assert digest(PLAIN.replace(old, new, 1), J=1) != digest(PLAIN)
    if "J" in new:
        assert len({digest(PLAIN.replace(old, new, 1), J=j) for j in (1, 2)}) == 2


def test_the_gallery_has_the_names_under_which_runs_of_it_are_shipped():
    shipped = "random_labels@2b137ed5 gaussian_blur@97304322 mirror@7049bd1b rename@31a48c26"
    assert gallery
    assert {*shipped.split()} <= {*deficits.DEFICITS}
    assert "plain@70cd51b5" in models.MODELS


numbers = st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text()
arrays = [torch.tensor([[1.5, 0], [2, last]]) for last in (3, 4)]
arrays += [torch.tensor([1, 2], dtype=of) for of in (torch.bfloat16, torch.float16)]
arrays += [np.array([1, 2], of) for of in (np.uint8, np.int64)]
values = st.lists(numbers, max_size=3).map(tuple) | st.sampled_from([*arrays, {"a": (1, 2.5)}])


@settings(max_examples=60)
@given(values, values)
def test_what_is_read_outside_comes_back_out_of_the_source_and_different_values_differ(one, other):
    """As a mask from a file that a cell above reads."""
    text = "def f():\n    return K\n"
    found = [own.source_digest(cell(text, K=value)["f"]) for value in (one, other)]
    back = own.rebuild(found[0][1], "f")()
    said = [(repr(value), getattr(value, "dtype", None)) for value in (back, one, other)]
    assert said[0] == said[1]
    assert (found[0] == found[1]) == (said[1] == said[2])


def test_libraries_count_by_name_and_sets_may_be_sorted_counted_or_asked():
    text = """import math
from torch.nn.functional import pad as more
from cplab.deficits import blur
def f(x):
    seen = set()
    seen.add(x)
    return more, blur, math.pi, sorted({1, 2} - {x}), len(seen), x in seen
"""
    source = own.source_digest(cell(text)["f"])[1]
    assert "from torch.nn.functional import pad as more" in source
    found = own.rebuild(source, "f")(2)
    assert found == (torch.nn.functional.pad, deficits.blur, math.pi, [1], 1, True)


def test_an_own_experiment_is_kept_under_its_text_and_never_taken_for_another():
    """Not for the package's of the same name, nor for itself before its cell was changed."""
    text = "@cplab.experiment(version=1)\ndef search(seed: int = 0):\n    return dict(at=seed%s\n)"
    first, same, other = (
        cell(text % more, cplab=cplab)["search"] for more in ("", "  # none", " + 1")
    )
    assert [one(seed=1) for one in (first, same, other)] == [{"at": n} for n in (1, 1, 2)]
    assert first.spec().key == same.spec().key != other.spec().key
    empty = cell(text % "*math.nan", cplab=cplab, math=math)["search"]
    one_line(lambda: empty(), "search.spec()", "finite")


SQUARE = """@cplab.experiment(version=1)
def square(n: int = 2, seed: int = 0):
    return {"y": n * n * K + seed}
"""


@pytest.fixture
def square():
    """A cell with an experiment that reads a constant K, 3 at first."""
    space = cell(SQUARE, cplab=cplab, K=3)
    space["square"](n=3)  # which has been used before K changes
    return space


def test_an_experiment_follows_a_constant_that_changes(square):
    square["K"] = 5
    assert square["square"](n=7, seed=1) == {"y": 246}


def test_what_was_described_before_a_constant_changed_keeps_the_old_one(square):
    described = square["square"].spec(n=4)
    square["K"] = 5
    assert cplab.run(described).values == {"y": 48}


def test_a_constant_that_changes_back_gives_the_same_key(square):
    first = square["square"].spec(n=4)
    square["K"] = 5
    assert square["square"].spec(n=4) != first
    square["K"] = 3
    assert square["square"].spec(n=4) == first


# An experiment that reads a run ------------------------------------------------------------------

AROUND = """@cplab.experiment(version=1)
def around(step: int = 4, seed: int = 0):
    return {"length": base.length + step, "key": base.key}
"""
BASE = cplab.Run("blur", length=8, model="depth3", treatments="renorm@8", profile="ci")


def test_an_experiment_may_read_a_run_made_above_it():
    around = cell(AROUND, cplab=cplab, base=BASE)["around"]
    assert around(step=2) == {"length": 10, "key": BASE.key}


def test_another_run_makes_another_experiment_and_an_equal_one_the_same():
    space = cell(AROUND, cplab=cplab, base=BASE)
    first = space["around"].spec()
    space["base"] = BASE.replace(length=9)
    assert space["around"].spec() != first
    space["base"] = BASE.replace()
    assert space["around"].spec() == first


def test_an_experiment_described_before_its_run_changed_keeps_the_old_run():
    space = cell(AROUND, cplab=cplab, base=BASE)
    described = space["around"].spec(step=3)
    space["base"] = BASE.replace(length=9)
    assert cplab.run(described).values["length"] == 11


@pytest.mark.parametrize("several", [[BASE], (BASE,), {"early": BASE, 4: [BASE, 1.5]}])
def test_runs_in_a_list_a_tuple_or_a_dict_come_back_out_of_the_source(several):
    function = cell("def f():\n    return K\n", K=several)["f"]
    assert own.rebuild(own.source_digest(function)[1], "f")() == several


def test_a_run_of_an_own_function_is_refused_with_a_remedy():
    space = cell("def shade(x, y):\n    return x / 2, y\n")
    base = cplab.Run(cplab.deficit(space["shade"]), length=8, profile="ci")
    around = cell(AROUND, cplab=cplab, base=base)["around"]
    one_line(around.spec, "around reads 'base'", "make it inside around", "as an argument")


NUMBERS = {"np.int64(3)": 3, "np.float32(0.5)": 0.5, "np.bool_(True)": True}


@pytest.mark.parametrize("number", NUMBERS)
def test_an_experiment_may_return_a_number_of_numpy(number):
    text = f"@cplab.experiment(version=1)\ndef give(seed: int = 0):\n    return dict(x={number})\n"
    assert cell(text, cplab=cplab, np=np)["give"]() == {"x": NUMBERS[number]}


def test_an_array_is_refused_in_words_that_say_what_to_write():
    text = "@cplab.experiment(version=1)\ndef give(seed: int = 0):\n    return dict(x=np.ones(3))\n"
    one_line(cell(text, cplab=cplab, np=np)["give"], "ndarray", ".tolist()")


# Read off under Python 3.11, 3.12, 3.13 and 3.14
F_STRINGS = {
    "f'{x[\"k\"]}'": "68cafd0b",
    "f'{len(x):>{3}}'": "6fb5b782",
    "f'{{}}{len(x)}{{'": "dd570e89",
    "f'{x!r:^20}'": "7efd8196",
    'f"plain"': "cf12e880",
    "f\"{f'{len(x)}':>4}\"": "8f6a9eeb",
}


@pytest.mark.parametrize("text", F_STRINGS)
def test_an_f_string_has_one_digest_under_every_python(text):
    assert digest(f"def f(x):\n    return {text}\n") == F_STRINGS[text]


@pytest.mark.parametrize("text", F_STRINGS)
def test_an_f_string_says_the_same_in_another_process(text):
    function = cell(f"def f(x):\n    return {text}\n")["f"]
    _, source = own.source_digest(function)
    assert own.rebuild(source, "f")({"k": 1}) == function({"k": 1})


def test_a_cell_that_is_timed_defines_as_any_other():
    """Used in the cell, and after another cell has another of its name."""
    shell, body = InteractiveShell.instance(), "def shade(x, y):\n    return x * 0.5, y\n"
    shell.user_ns |= {"own": own, "found": []}
    use, other = "found.append(own.source_digest(kept)[0])\n", body.replace("0.5", "0.25")
    for code in (f"%%time\n{body}kept = shade\n{use}", f"%%time\n{other}", use):
        assert shell.run_cell(code, store_history=True).success
    assert {*shell.user_ns["found"]} == {digest(body, "shade")}


NET = """class Base(torch.nn.Module):
    def forward(self, x):
        return self.one(x.mean((2, 3))) * K
class Net(Base):
    double = 2 * J
    def __init__(self, width=1, channels=1, size=1, classes=1):
        super().__init__()
        self.one = torch.nn.Linear(channels, classes)
"""


def test_a_class_counts_with_its_bases_its_body_and_what_its_methods_read():
    found = [
        own.source_digest(cell(NET.replace("mean", of), K=k, J=j)["Net"])
        for of, k, j in (("mean", 2, 1), ("mean", 3, 1), ("mean", 2, 5), ("amax", 2, 1))
    ]
    assert len({digest for digest, _ in found}) == 4
    assert own.rebuild(found[2][1], "Net")().double == 10


def test_a_version_makes_another_key_of_the_same_text():
    text = "def f(x, y):\n    return x * 1, y\n"
    names = [cell(text)["f"] for _ in range(3)]
    for function, options in zip(names, ({}, {"version": 1}, {"version": 2}), strict=True):
        cplab.deficit(**options)(function)
    found = [deficits.canonical_name(function) for function in names]
    assert found[0] == found[1] != found[2]
    one_line(lambda: cplab.deficit(version="new")(names[0]), "version 'new'")


def test_a_global_that_changes_makes_another_one_and_the_first_stays_what_it_was():
    text = "def hide(x, y, rows: int = 2):\n    return x * K, y\n"
    space, x = cell(text, K=1.0), torch.ones(6, 3, 8, 8)
    first = deficits.canonical_name(space["hide"])
    space["K"] = 2.0
    second = deficits.canonical_name(space["hide"])
    for name, value in ((first, 1), (second, 2)):
        assert (deficits.apply_deficit(x, torch.arange(6), name)[0] == value).all()
    assert deficits.canonical_name("blur+hide-3") == f"blur+{second}-3"  # the last one
