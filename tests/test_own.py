"""What a student's own function means, what is refused, and how it gets to other processes."""

import numpy as np
import pytest
import torch
from conftest import cell, one_line
from hypothesis import given, settings
from hypothesis import strategies as st

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
        ("return help(x), y", "return (\n        help(x),\n        y,\n    )"),
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
    ],
)
def test_what_changes_the_result_changes_the_digest(old, new):
    assert old in PLAIN
    assert digest(PLAIN.replace(old, new, 1), J=1) != digest(PLAIN)
    if "J" in new:
        assert len({digest(PLAIN.replace(old, new, 1), J=j) for j in (1, 2)}) == 2


def test_what_a_function_closes_over_counts():
    text = "def make(k):\n    def f(x, y):\n        return x * k, y\n    return f\n"
    one, two, again = (cell(text)["make"](k) for k in (1, 2, 1))
    assert own.source_digest(one) == own.source_digest(again) != own.source_digest(two)
    assert own.rebuild(own.source_digest(two)[1], "f")(3, 0) == (6, 0)


def test_the_gallery_has_the_names_under_which_runs_of_it_are_shipped():
    shipped = "random_labels@2b137ed5 gaussian_blur@97304322 mirror@7049bd1b rename@31a48c26"
    assert gallery
    assert {*shipped.split()} <= {*deficits.DEFICITS}
    assert "plain@70cd51b5" in models.MODELS


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=60)
@given(plain, plain)
def test_constants_come_back_out_of_the_source_and_different_ones_differ(one, other):
    """As a global and as a default."""
    for text in ("def f():\n    return K\n", "def f(k=K):\n    return k\n"):
        found = [own.source_digest(cell(text, K=value)["f"]) for value in (one, other)]
        assert repr(own.rebuild(found[0][1], "f")()) == repr(one)
        assert (found[0] == found[1]) == (repr(one) == repr(other))


def test_libraries_count_by_name():
    text = (
        "import math\nimport torch.nn.functional as F\n"
        "from torch.nn.functional import pad as more\n"
        "from torch import rand, Tensor\nfrom cplab.deficits import blur\n"
        "def f(x):\n    return F.relu(x), more, rand, Tensor, blur, math.pi\n"
    )
    source = own.source_digest(cell(text)["f"])[1]
    assert "from torch.nn.functional import pad as more" in source
    result = own.rebuild(source, "f")(torch.ones(1))
    assert result[2:] == (torch.rand, torch.Tensor, deficits.blur, 3.141592653589793)


NET = """class Base(torch.nn.Module):
    def forward(self, x):
        return self.one(x.mean((2, 3))) * K
class Net(Base):
    scale: float = J
    double = 2 * scale
    def __init__(self, width=1, channels=1, size=1, classes=1):
        \"\"\"Words.\"\"\"
        super().__init__()
        self.one = torch.nn.Linear(channels, classes)
"""


def test_a_class_counts_with_its_bases_its_body_and_what_its_methods_read():
    found = [
        own.source_digest(cell(NET.replace("mean", of), K=k, J=j, scale=[])["Net"])
        for of, k, j in (("mean", 2, 1), ("mean", 3, 1), ("mean", 2, 5), ("amax", 2, 1))
    ]
    assert len({digest for digest, _ in found}) == 4
    assert own.rebuild(found[2][1], "Net")().double == 10


FUNCTION = "def f(x, y):\n    return K(x), y\n"
NONLOCAL = (
    "def make():\n    n = 0\n    def f(x, y):\n        nonlocal n\n        n += 1\n"
    "        return x, y\n    return f\nf = make()\n"
)
TWICE = (
    "def outer():\n    K = 1\n    def g():\n        return K\n    return g\ng = outer()\nK = 2\n"
    "def f(x, y):\n    return g() * K, y\n"
)


@pytest.mark.parametrize(
    ("text", "names", "words"),
    [
        (FUNCTION, {"K": object()}, ["'K'", "object", "array"]),
        (FUNCTION, {"K": torch.zeros(101, 100)}, ["'K'", "Tensor"]),
        (FUNCTION, {"K": cell("k = lambda x: x")["k"]}, ["lambda"]),
        (FUNCTION, {}, ["'K'", "not defined"]),
        ("f = lambda x, y: (x, y)\n", {}, ["def"]),
        ("import conftest\ndef f(x, y):\n    return conftest.x, y\n", {}, ["conftest", "import"]),
        ("exec('def f(x, y): return x, y')\n", {}, ["source", "cell"]),
        (NONLOCAL, {}, ["nonlocal"]),
        (TWICE, {}, ["two things", "'K'"]),
    ],
)
def test_what_the_source_does_not_tell_is_refused_in_one_line(text, names, words):
    function = cell(text, **names)["f"]
    one_line(lambda: own.source_digest(function), *words)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": (1, 2.5)}, {"a": (1, 2)}),
        (torch.tensor([[1.5, 0], [2, 3]]), torch.tensor([[1.5, 0], [2, 4]])),
        (np.array([1, 2], np.uint8), np.array([1, 2], np.int64)),
        (torch.tensor([1, 2], dtype=torch.bfloat16), torch.tensor([1, 2], dtype=torch.float16)),
    ],
    ids=str,
)
def test_numbers_that_are_read_outside_count_by_their_content_and_keep_it(one, other):
    """As a mask from a file that a cell above reads."""
    text = "def f():\n    return K\n"
    texts = [own.source_digest(cell(text, K=value)["f"])[1] for value in (one, other)]
    assert texts[0] != texts[1]
    for text, value in zip(texts, (one, other), strict=True):
        found = own.rebuild(text, "f")()
        assert repr(found) == repr(value)
        assert getattr(found, "dtype", None) == getattr(value, "dtype", None)


def test_a_version_makes_another_key_of_the_same_text():
    text = "def f(x, y):\n    return x * 1, y\n"
    names = [cell(text)["f"] for _ in range(3)]
    for function, options in zip(names, ({}, {"version": 1}, {"version": 2}), strict=True):
        cplab.deficit(**options)(function)
    found = [deficits.canonical_name(function) for function in names]
    assert found[0] == found[1] != found[2]
    one_line(lambda: cplab.deficit(version="new")(names[0]), "version 'new'")
    one_line(lambda: cplab.deficit(colr="red")(names[0]), "colr", "version")


LAZY = """class Late(torch.nn.Module):
    def __init__(self, width, channels, size, classes):
        super().__init__()
        self.classes, self.head = classes, None
    def forward(self, x):
        x = x.flatten(1)
        if self.head is None:
            self.head = torch.nn.Linear(x.shape[1], self.classes)
        return self.head(x)
"""


def test_a_layer_that_the_first_pass_makes_is_the_seeds_and_learns():
    run = cplab.Run(model=cell(LAZY)["Late"], profile="ci", recovery=2)
    births = [run.task.birth(torch.device("cpu")) for _ in range(2)]
    weights = [dict(state.net.named_parameters())["head.weight"] for state in births]
    assert torch.equal(*weights)
    known = [p for group in births[0].optimizer.param_groups for p in group["params"]]
    assert any(p is weights[0] for p in known)


COVER = """def cover(x, y, rows: int = 2):
    x = x.clone()
    x[..., -rows:, :] = K
    return x, y
"""


def batch():
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1)), torch.arange(6)


def test_a_global_that_changes_makes_another_one_and_the_first_stays_what_it_was():
    space = cell(COVER, K=1.0)
    first = deficits.canonical_name(space["cover"])
    space["K"] = 2.0
    second = deficits.canonical_name(space["cover"])
    assert first != second
    seen = [deficits.apply_deficit(*batch(), name)[0][..., -1, 0] for name in (first, second)]
    assert [set(s.flatten().tolist()) for s in seen] == [{1.0}, {2.0}]
    assert deficits.canonical_name("blur+cover-3") == f"blur+{second}-3"  # the last one
