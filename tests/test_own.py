"""What a student's own function means, what is refused, and how it gets to other processes."""

import math
from typing import NamedTuple

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
    return own.read_source(cell(text, **names)[name])[0]


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
def test_an_edit_that_changes_nothing_keeps_the_digest(old, new):
    assert old in PLAIN
    assert digest(PLAIN.replace(old, new, 1), TWO=2) == digest(PLAIN) == "1f0b7f09"


@pytest.mark.parametrize(
    ("old", "new"),
    [("x * k", "k * x"), ("k=2", "k=2.0"), ("K = 3", "K = True"), ("return -x", "return x")],
)
def test_an_edit_that_changes_the_result_changes_the_digest(old, new):
    assert old in PLAIN
    assert digest(PLAIN.replace(old, new, 1), J=1) != digest(PLAIN)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x = x * k + K", "x = x * k + [K for _ in x][0] * J"),
        ("x = x * k + K", "x = (lambda v: v * J)(x)"),
        ("    return help", "    def g(v):\n        return v * J\n    x = g(x)\n    return help"),
    ],
    ids=["beside a comprehension", "in a lambda", "in a function of its own"],
)
def test_a_constant_that_is_read_anywhere_changes_the_digest(old, new):
    text = PLAIN.replace(old, new, 1)
    assert digest(text, J=1) != digest(text, J=2)


@pytest.mark.parametrize(
    "name",
    ["random_labels@2b137ed5", "gaussian_blur@97304322", "mirror@7049bd1b", "rename@31a48c26"],
)
def test_a_deficit_of_the_gallery_has_the_name_under_which_runs_of_it_are_shipped(name):
    assert gallery
    assert name in deficits.DEFICITS


def test_a_network_of_the_gallery_has_the_name_under_which_runs_of_it_are_shipped():
    assert gallery
    assert "plain@70cd51b5" in models.MODELS


numbers = st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text()
arrays = [
    torch.tensor([[1.5, 0], [2, 3]]),
    torch.tensor([[1.5, 0], [2, 4]]),
    torch.tensor([1, 2], dtype=torch.bfloat16),
    torch.tensor([1, 2], dtype=torch.float16),
    np.array([1, 2], np.uint8),
    np.array([1, 2], np.int64),
]
values = st.lists(numbers, max_size=3).map(tuple) | st.sampled_from([*arrays, {"a": (1, 2.5)}])

# As a mask from a file that a cell above reads
READS_OUTSIDE = """def f():
    return K
"""


def written(value):
    """A value as one tells it from others: as it is printed, and the type of an array's numbers."""
    return repr(value), getattr(value, "dtype", None)


@settings(max_examples=60)
@given(values)
def test_a_value_that_is_read_outside_comes_back_out_of_the_source(value):
    _, source = own.read_source(cell(READS_OUTSIDE, K=value)["f"])
    assert written(own.rebuild(source, "f")()) == written(value)


@settings(max_examples=60)
@given(values, values)
def test_functions_that_read_different_values_differ(one, other):
    first = own.read_source(cell(READS_OUTSIDE, K=one)["f"])
    second = own.read_source(cell(READS_OUTSIDE, K=other)["f"])
    assert (first == second) == (written(one) == written(other))


LIBRARIES = """import math
from torch.nn.functional import pad as more
from cplab.deficits import blur
def f():
    return more, blur, math.pi
"""


def test_libraries_count_by_name():
    _, source = own.read_source(cell(LIBRARIES)["f"])
    assert "from torch.nn.functional import pad as more" in source


def test_libraries_are_the_same_ones_in_another_process():
    _, source = own.read_source(cell(LIBRARIES)["f"])
    assert own.rebuild(source, "f")() == (torch.nn.functional.pad, deficits.blur, math.pi)


@pytest.mark.parametrize(
    ("use", "value"),
    [("sorted({1, 2} - {x})", [1]), ("len({1, 2, x})", 2), ("x in {1, 2}", True)],
    ids=["sorted", "counted", "asked"],
)
def test_a_set_may_be_used_where_its_order_does_not_matter(use, value):
    _, source = own.read_source(cell(f"def f(x):\n    return {use}\n")["f"])
    assert own.rebuild(source, "f")(2) == value


SEARCH = """@cplab.experiment(version=1)
def search(seed: int = 0):
    return dict(at=seed)
"""


def search_cell(text=SEARCH):
    return cell(text, cplab=cplab)["search"]


def test_an_own_experiment_is_not_taken_for_the_package_s_of_the_same_name():
    assert search_cell()(seed=1) == {"at": 1}


def test_an_own_experiment_keeps_its_results_when_its_cell_gets_a_comment():
    commented = search_cell(SEARCH.replace("seed)", "seed)  # a comment"))
    assert commented.spec().key == search_cell().spec().key


def test_an_own_experiment_is_another_one_when_its_cell_is_changed():
    changed = search_cell(SEARCH.replace("seed)", "seed + 1)"))
    assert search_cell()(seed=1) == {"at": 1}
    assert changed(seed=1) == {"at": 2}


def test_a_result_that_is_no_finite_number_is_refused():
    text = SEARCH.replace("seed)", "seed * math.nan)")
    empty = cell(text, cplab=cplab, math=math)["search"]
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


def test_an_experiment_described_before_a_constant_changed_keeps_the_old_one(square):
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


def test_another_run_makes_another_experiment():
    space = cell(AROUND, cplab=cplab, base=BASE)
    first = space["around"].spec()
    space["base"] = BASE.replace(length=9)
    assert space["around"].spec() != first


def test_an_equal_run_makes_the_same_experiment():
    space = cell(AROUND, cplab=cplab, base=BASE)
    first = space["around"].spec()
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
    assert own.rebuild(own.read_source(function)[1], "f")() == several


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
    _, source = own.read_source(function)
    assert own.rebuild(source, "f")({"k": 1}) == function({"k": 1})


SHADE = """def shade(x, y):
    return x * 0.5, y
"""


def test_a_cell_that_is_timed_defines_as_any_other():
    """Used in the cell, and after another cell has another of its name."""
    use = "digests.append(own.read_source(kept)[0])\n"
    shell = InteractiveShell.instance()
    shell.user_ns |= {"own": own, "digests": []}
    timed = f"%%time\n{SHADE}kept = shade\n{use}"
    another = f"%%time\n{SHADE.replace('0.5', '0.25')}"
    for source in (timed, another, use):
        assert shell.run_cell(source, store_history=True).success
    assert shell.user_ns["digests"] == [digest(SHADE, "shade")] * 2


NET = """class Base(torch.nn.Module):
    def forward(self, x):
        return self.one(x.mean((2, 3))) * K
class Net(Base):
    double = 2 * J
    def __init__(self, width=1, channels=1, size=1, classes=1):
        super().__init__()
        self.one = torch.nn.Linear(channels, classes)
"""


def net_source(text=NET, K=2, J=1):
    """The digest and the source of a class."""
    return own.read_source(cell(text, K=K, J=J)["Net"])


@pytest.mark.parametrize(
    "other",
    [{"text": NET.replace("mean", "amax")}, {"K": 3}, {"J": 5}],
    ids=["its base", "what its methods read", "what its body reads"],
)
def test_a_class_counts_with_all_that_it_is_made_of(other):
    assert net_source(**other)[0] != net_source()[0]


def test_a_class_comes_back_out_of_its_source_with_the_values_of_its_body():
    _, source = net_source(J=5)
    assert own.rebuild(source, "Net")().double == 10


def named(**options):
    """The name of one and the same deficit that is defined with options."""
    function = cell(SHADE)["shade"]
    cplab.deficit(**options)(function)
    return deficits.canonical_name(function)


def test_a_version_makes_another_key_of_the_same_text():
    assert named(version=2) != named()


def test_the_first_version_needs_not_be_written():
    assert named(version=1) == named()


def test_a_version_is_a_number():
    one_line(lambda: cplab.deficit(version="new")(cell(SHADE)["shade"]), "version 'new'")


class Hidden(NamedTuple):
    """The names of a deficit that multiplies images by a constant, 1 at first and then 2."""

    first: str
    second: str


@pytest.fixture
def hidden():
    space = cell("def hide(x, y, rows: int = 2):\n    return x * K, y\n", K=1.0)
    first = deficits.canonical_name(space["hide"])
    space["K"] = 2.0
    return Hidden(first, deficits.canonical_name(space["hide"]))


def factor(name):
    """By what a deficit multiplies an image of ones."""
    seen, _ = deficits.apply_deficit(torch.ones(6, 3, 8, 8), torch.arange(6), name)
    [value] = seen.unique().tolist()
    return value


def test_a_global_that_changes_makes_another_deficit(hidden):
    assert factor(hidden.second) == 2


def test_a_deficit_stays_what_it_was_when_its_global_changes(hidden):
    assert factor(hidden.first) == 1


def test_a_name_is_that_of_the_last_deficit_of_this_name(hidden):
    assert deficits.canonical_name("blur+hide-3") == f"blur+{hidden.second}-3"
