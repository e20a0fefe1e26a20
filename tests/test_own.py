"""What a student's own function means, what is refused, and how it gets to other processes."""

import math
import pickle
import sys

import pytest
import torch
from conftest import cell
from hypothesis import given, settings
from hypothesis import strategies as st

from cplab import CplabError, deficits, models, own


def digest(text, name="f", **names):
    return own.meaning(cell(text, **names)[name])[0]


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
        ("k=2):\n", 'k=2):\n    """Words."""\n\n'),
        ("x, y, k=2", "x: torch.Tensor, y, k: int = 2"),
        ("k=2):", "k=2) -> tuple:"),
        ("return help(x), y", "return (\n        help(x),\n        y,\n    )"),
        ("def f", "def deficit(f): return f\n\n@deficit\ndef f"),
        ("return -x", "return -x  # why"),
        ("k=2", "k=TWO"),
        ("K = 3", "K = 3\nOTHER = 5"),
        ("x = x * k + K", "x: int = x * k + K"),
    ],
)
def test_what_changes_nothing_keeps_the_digest(old, new):
    assert old in PLAIN
    assert digest(PLAIN.replace(old, new, 1), TWO=2) == digest(PLAIN)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x * k", "k * x"),
        ("k=2", "k=2.0"),
        ("K = 3", "K = 4"),
        ("K = 3", "K = True"),
        ("return -x", "return x"),
        ("k=2", "k=2, j=0"),
        ("x = x * k + K", "x = x * k + [K for _ in x][0] * J"),
    ],
)
def test_what_changes_the_result_changes_the_digest(old, new):
    assert old in PLAIN
    assert digest(PLAIN.replace(old, new, 1), J=1) != digest(PLAIN)


def test_a_global_that_only_an_inner_function_reads_counts():
    text = "def f(x, y):\n    return [(lambda v: v * J)(v) for v in x], y\n"
    assert digest(text, J=1) != digest(text, J=2)
    assert digest("def f(x, y):\n    return x.J, y\n", J=1) == digest(
        "def f(x, y):\n    return x.J, y\n", J=[]
    )


def test_what_a_function_closes_over_counts():
    text = "def make(k):\n    def f(x, y):\n        return x * k, y\n    return f\n"
    one, two, again = (cell(text)["make"](k) for k in (1, 2, 1))
    assert own.meaning(one) == own.meaning(again) != own.meaning(two)
    assert own.rebuild(own.meaning(two)[1], "f")(3, 0) == (6, 0)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)


def same(a, b):
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    return type(a) is type(b) and a == b and str(a) == str(b)


@settings(max_examples=60, deadline=None)
@given(plain, plain)
def test_constants_come_back_out_of_the_source_and_different_ones_differ(one, other):
    """As a global and as a default."""
    for text in ("def f():\n    return K\n", "def f(k=K):\n    return k\n"):
        found = [own.meaning(cell(text, K=value)["f"]) for value in (one, other)]
        assert same(own.rebuild(found[0][1], "f")(), one)
        assert (found[0] == found[1]) == same(one, other)


def test_helpers_that_call_each_other_are_taken_once():
    text = "def f(n):\n    return n == 0 or g(n - 1)\ndef g(n):\n    return n != 0 and f(n - 1)\n"
    again = own.rebuild(own.meaning(cell(text)["f"])[1], "f")
    assert [again(n) for n in range(4)] == [True, False, True, False]


def test_libraries_count_by_name():
    text = (
        "import math\nimport torch.nn.functional as F\n"
        "from torch.nn.functional import pad as more\n"
        "from torch import rand, Tensor\nfrom cplab.deficits import blur\n"
        "def f(x):\n    return F.relu(x), more, rand, Tensor, blur, math.pi\n"
    )
    source = own.meaning(cell(text)["f"])[1]
    assert "from torch.nn.functional import pad as more" in source
    result = own.rebuild(source, "f")(torch.ones(1))
    assert result[2:] == (torch.rand, torch.Tensor, deficits.blur, math.pi)


def test_a_class_counts_with_its_bases_and_what_its_methods_read():
    text = (
        "class Base(torch.nn.Module):\n    def forward(self, x):\n        return x * K\n"
        "class Net(Base):\n    scale: float = J\n    double = 2 * scale\n    def __init__(self):\n"
        '        """Words."""\n        super().__init__()\n'
    )
    found = [
        own.meaning(cell(text, K=k, J=j, scale=[])["Net"]) for k, j in ((2, 1), (3, 1), (2, 5))
    ]
    assert len({digest for digest, _ in found}) == 3
    again = own.rebuild(found[2][1], "Net")()
    assert again(4) == 8
    assert again.scale == 5


@pytest.mark.parametrize(("old", "new"), [("x + 1", "x + 2"), ("scale = 1", "scale = 2")])
def test_a_class_counts_whole_though_its_first_method_stays(old, new):
    text = (
        "class Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "    scale = 1\n    def forward(self, x):\n        return x + 1\n"
    )
    assert digest(text.replace(old, new), "Net") != digest(text, "Net") == digest(text, "Net")


@pytest.mark.parametrize(
    ("text", "names", "words"),
    [
        ("def f(x, y):\n    return x * K[0], y\n", {"K": [1]}, ["'K'", "list"]),
        ("def f(x, y):\n    return x * K, y\n", {"K": torch.ones(1)}, ["'K'", "Tensor"]),
        ("def f(x, y, k={}):\n    return x, y\n", {}, ["dict", "default"]),
        ("def f(x, y):\n    return K(x), y\n", {"K": cell("k = lambda x: x")["k"]}, ["lambda"]),
        ("def f(x, y):\n    return K(x), y\n", {"K": torch.nn.ReLU()}, ["'K'", "ReLU"]),
        ("f = lambda x, y: (x, y)\n", {}, ["def"]),
        ("from functools import partial\nf = partial(print)\n", {}, ["partial", "def"]),
        ("f = abs\n", {}, ["abs", "def"]),
        ("def f(x, y):\n    return K(x), y\n", {}, ["'K'", "not defined"]),
        ("def f(x, y):\n    global K\n    K = 1\n    return x, y\n", {}, ["'K'", "changes"]),
        ("@torch.no_grad()\ndef f(x, y):\n    return x, y\n", {}, ["decorator"]),
        ("def own(g): return g\n@own\ndef f(x, y):\n    return x, y\n", {}, ["decorator"]),
        ("import conftest\ndef f(x, y):\n    return conftest.x, y\n", {}, ["conftest", "import"]),
        ("def f(x, y):\n    import conftest\n    return x, y\n", {}, ["conftest", "import"]),
        ("exec('def f(x, y): return x, y')\n", {}, ["source", "cell"]),
        ("import numpy as np\ndef f(x, y):\n    return x * np.load('k.npy'), y\n", {}, ["file"]),
        ("def f(x, y):\n    with open('k') as k:\n        return x + len(k), y\n", {}, ["file"]),
        ("import os\ndef f(x, y):\n    return x * len(os.environ), y\n", {}, ["environment"]),
        (
            "def make():\n    n = 0\n    def f(x, y):\n        nonlocal n\n        n += 1\n"
            "        return x, y\n    return f\nf = make()\n",
            {},
            ["cannot stand alone"],
        ),
        (
            "def outer():\n    K = 1\n    def g():\n        return K\n    return g\ng = outer()\n"
            "K = 2\ndef f(x, y):\n    return g() * K, y\n",
            {},
            ["two things", "'K'"],
        ),
    ],
)
def test_what_the_source_does_not_tell_is_refused_in_one_line(text, names, words):
    with pytest.raises(CplabError) as error:
        own.meaning(cell(text, **names)["f"])
    line = str(error.value)
    assert "\n" not in line
    assert [word for word in words if word not in line] == []


COVER = """def cover(x, y, rows: int = 2):
    x = x.clone()
    x[..., -rows:, :] = K
    return x, y
"""
DRAW = """def draw(x, y, *, generator):
    return x + torch.rand(len(x), 1, 1, 1, generator=generator), y
"""
NET = """class Net(torch.nn.Module):
    def __init__(self, width, channels, size, classes):
        super().__init__()
        self.one = torch.nn.Linear(channels, classes)
    def forward(self, x):
        return self.one(x.mean((2, 3)))
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


def test_the_same_meaning_is_one_entry_and_takes_the_later_label():
    for label in ("one", "two"):
        space = cell("import cplab\n@cplab.deficit(label=LABEL)\n" + COVER, K=3.0, LABEL=label)
        name = deficits.canonical_name(space["cover"])
        assert deficits.find_deficit(name, strict=False).label == label
    assert [entry.name for entry in own.own_functions()].count(name) == 1
    space["K"] = 3.5
    assert (
        deficits.find_deficit(deficits.canonical_name(space["cover"]), strict=False).label == "two"
    )


def test_a_view_is_written_and_no_option():
    with pytest.raises(CplabError, match="option of cover 'view'"):
        cell("import cplab\n@cplab.deficit(view='left')\n" + COVER, K=5.0)


def test_without_its_digest_a_students_own_is_the_last_that_was_defined():
    for value in (6.0, 7.0):
        space = cell("import cplab\n@cplab.deficit\n" + COVER, K=value)
        name = deficits.canonical_name(space["cover"])
        assert deficits.canonical_name("cover") == name
        assert deficits.canonical_name("blur+cover-3") == f"blur+{name}-3"


ELSEWHERE = """
import pickle
import sys
from pathlib import Path
import torch
from cplab import deficits, models, own
folder = Path(sys.argv[1])
own.load_own(pickle.loads((folder / "own").read_bytes()))
x, y, index = torch.load(folder / "batch")
cover, draw, net = sys.argv[2:]
torch.manual_seed(0)
logits = models.build(net, size=8).eval()(x)
found = [*deficits.apply_deficit(x, y, cover + "-3+" + draw, index=index, seed=5, epoch=2), logits]
torch.save(found, folder / "found")
print(deficits.find_deficit(cover, strict=False).label)
"""


def test_another_process_does_the_same_without_the_cell(tmp_path, python):
    cover = deficits.canonical_name(cell(COVER, K=5.0)["cover"])
    draw = deficits.canonical_name(cell(DRAW)["draw"])
    net = models.model_name(cell(NET)["Net"]) + "-2"
    (tmp_path / "own").write_bytes(pickle.dumps(own.dumps_own()))
    x, y, index = *batch(), torch.arange(10, 16)
    torch.save((x, y, index), tmp_path / "batch")
    process = python(ELSEWHERE, tmp_path, cover, draw, net)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.strip() == "cover"
    torch.manual_seed(0)
    logits = models.build(net, size=8).eval()(x)
    here = deficits.apply_deficit(x, y, f"{cover}-3+{draw}", index=index, seed=5, epoch=2)
    for mine, theirs in zip((*here, logits), torch.load(tmp_path / "found"), strict=True):
        assert torch.equal(mine, theirs)


def test_a_source_alone_is_enough_to_register_again():
    name = deficits.canonical_name(cell(COVER, K=6.0)["cover"])
    entry = deficits.DEFICITS.pop(name)
    with pytest.raises(CplabError, match="not defined here"):
        deficits.find_deficit(name)
    assert deficits.find_deficit(name, strict=False).label == "cover"
    own.load_own([(deficits.Deficit, {"name": name, "source": entry.source, "label": "again"})])
    again = deficits.DEFICITS[name]
    assert again.label == "again"
    assert deficits.find_deficit(name) is again
    assert torch.equal(again.apply(*batch())[0], entry.apply(*batch())[0])


def test_names_words_and_looks_cost_no_torch(python):
    code = (
        "import sys; from cplab import deficits, models, own\n"
        "deficits.find_deficit('blur-2+flip:left').label, models.MODELS['fc'].width\n"
        "deficits.canonical_name('blur-4', 16), models.model_name('allcnn-96')\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    _, err = (process := python(code)).communicate(timeout=60)
    assert process.returncode == 0, err


@pytest.mark.parametrize(
    ("place", "metadata", "library"),
    [
        ("overlay/lib/python3/site-packages", True, True),  # uv run --with
        ("modules/torch/2.1", True, True),  # a cluster's
        ("modules/torch/2.1", False, True),
        ("work/libraries", True, True),  # pip install --target
        ("work", False, False),  # a student's own file
    ],
)
def test_what_counts_as_a_library_is_what_somebody_installed_wherever_it_lies(
    tmp_path, monkeypatch, place, metadata, library
):
    folder = tmp_path / place
    (folder / "shades").mkdir(parents=True)
    (folder / "shades" / "__init__.py").write_text("def darken(x):\n    return x / 2\n")
    if metadata:
        (folder / "shades-1.0.dist-info").mkdir()
    (tmp_path / "work").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.syspath_prepend(folder)
    try:
        space = cell("import shades\ndef f(x, y):\n    return shades.darken(x), y\n")
        if library:
            assert own.meaning(space["f"])[1].startswith("import shades")
        else:
            with pytest.raises(CplabError, match="your own"):
                own.meaning(space["f"])
    finally:
        sys.modules.pop("shades", None)
