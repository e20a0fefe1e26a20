"""What a student's own function is: its key, and the copy of it that trains."""

import importlib
import math
import os
import pathlib
import pickle
import subprocess
import sys
import threading
import traceback
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import cell, one_line
from IPython.core.interactiveshell import InteractiveShell

import cplab
from cplab import deficits, gallery, models
from cplab.measure import parse_measures
from cplab.runs import Run
from cplab.specs.digest import Reading, received


def digest(text, name="f", **names):
    return Reading(cell(text, **names)[name]).digest


def copied(function):
    """A function as another process gets it."""
    return received(Reading(function).definition())


# Equal keys, other keys ---------------------------------------------------------------------------

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
        ("K = 3", "K = 3\nJ = 4"),
    ],
)
def test_an_edit_that_changes_nothing_keeps_the_digest(old, new):
    assert old in PLAIN
    assert digest(PLAIN.replace(old, new, 1), TWO=2) == digest(PLAIN)


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
def test_an_edit_that_changes_the_result_changes_the_digest(old, new):
    assert old in PLAIN
    assert digest(PLAIN.replace(old, new, 1), J=1) != digest(PLAIN, J=1)


NET = (
    """class Base(torch.nn.Module):
    def forward(self, x):
        return self.one(x.mean((2, 3))) * K
class Net(Base):
    """
    + '"""Words."""'
    + """
    double = 2 * J
    def __init__(self, width=1, channels=1, size=1, classes=1):
        super().__init__()
        self.one = torch.nn.Linear(channels, classes)
"""
)


@pytest.mark.parametrize(
    ("text", "values"),
    [(NET.replace("mean", "amax"), (2, 1)), (NET, (3, 1)), (NET, (2, 5))],
    ids=["its base", "what its methods read", "what its body reads"],
)
def test_a_class_counts_with_all_that_it_is_made_of(text, values):
    K, J = values
    assert digest(text, "Net", K=K, J=J) != digest(NET, "Net", K=2, J=1)


def test_a_class_keeps_its_digest_when_its_words_change():
    reworded = NET.replace("Words.", "Other words.\n")
    assert digest(reworded, "Net", K=2, J=1) == digest(NET, "Net", K=2, J=1)


MASK = torch.tensor([[1.5, 0], [2, 3]])
VALUES = [
    2, 2.0, True, "2", b"2", None, -0.0, 0.0, math.nan, 2j, (1, 2), [1, 2], [2, 1], {"a": 1},
    {1, 2, 3}, {1, 2, 4}, frozenset("ab"), range(3), range(4), slice(1, 2), Path("a"), Path("b"),
    np.float64(0.2), np.float32(0.2), np.int64(2), np.arange(5)[3], np.array([1, 2], np.uint8),
    np.array([1, 2], np.int64), np.array([[1, 2]]), MASK, MASK + 1, MASK.half(), MASK.bfloat16(),
    torch.tensor(2), torch.float32, torch.device("cpu"), math, np, torch.relu, math.sqrt,
    partial(max, 1), partial(max, 2), torch.nn.Flatten(), torch.nn.Flatten(2),
    Run("blur", length=8), Run("blur", length=9), [Run("blur", length=8)], ..., os.path.join,
    np.random.default_rng(0), np.random.default_rng(1),
]  # fmt: skip


def test_values_that_are_read_have_digests_that_differ_as_they_do():
    texts = [digest("def f():\n    return K\n", K=value) for value in VALUES]
    assert len({*texts}) == len(VALUES)


ELSEWHERE = """
import pathlib, pickle, sys, torch, cplab
import numpy as np
from cplab.specs.digest import Reading
exec(compile(pathlib.Path("cell.py").read_text(), "<other cell>", "exec"))
print(Reading(f).digest, Reading(Net).digest)
sent = pickle.loads(bytes.fromhex(sys.argv[1]))
print(cplab.deficits.find_deficit("blur") in {sent})
"""
MANY = f"""J = np.float64(0.2)
{NET}
K = {{"b", "a", "c"}}
def f(x, y):
    if x in {{"one", "two", "three"}} or x in K:
        return [MASK, {{"k": range(3)}}, pathlib.Path("a"), Net]
    return x
MASK = torch.tensor([1.0, 2.0])
"""


def test_a_digest_is_the_same_after_a_restart_in_a_copied_file_and_under_any_hash_seed(tmp_path):
    """Here the seed is another one each time. A deficit that is sent there is found there."""
    space = cell(MANY, np=np, pathlib=pathlib)
    (tmp_path / "cell.py").write_text("\n" + MANY)
    blur = deficits.find_deficit("blur")
    assert blur in {blur}  # which computes its hash, that of texts here
    script = [sys.executable, "-c", ELSEWHERE, pickle.dumps(blur).hex()]
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    there = subprocess.check_output(script, cwd=tmp_path, env=environment, text=True)
    digests = [Reading(space[name]).digest for name in ("f", "Net")]
    assert there.split() == [*digests, "True"]


# What a student may write -------------------------------------------------------------------------

ACCEPTED = {
    "a file of IPython's open": "def f(x, y):\n    open(__file__).close()\n    return -x, y",
    "a strength of linspace": "k = np.linspace(0.2, 0.8, 4)[1]\ndef f(x, y):\n    return x * k, y",
    "absolute": "def f(x, y):\n    return x.absolute(), y",
    "a sum over a set": "def f(x, y):\n    return x * sum(c for c in {2, 3, 4}), y",
    "a set of labels": "def f(x, y):\n    return x * len({*y.tolist()}), y",
    "a set in a dict": (
        "def f(x, y):\n    d = {}\n    d['k'] = set(y.tolist())\n    return x * max(d['k']), y"
    ),
    "a folder": (
        "def f(x, y):\n    if not os.path.exists('.'):\n        os.makedirs('.')\n    return -x, y"
    ),
    "garbage": "def f(x, y):\n    gc.collect(0)\n    return -x, y",
    "a clock": "def f(x, y):\n    time.perf_counter()\n    return -x, y",
    "a list of what was seen": "seen = []\ndef f(x, y):\n    seen.append(x[0])\n    return -x, y",
    "in place": "def f(x, y):\n    x[..., -2:, :] = 0\n    return x, y",
    "numpy's random numbers": "def f(x, y):\n    return x * np.random.rand(), y",
    "Python's random numbers": "def f(x, y):\n    return x * random.random(), y",
    "lambda": "f = lambda x, y: (-x, y)",
    "partial": "def g(k, x, y):\n    return x * k, y\nf = partial(g, 0.5)",
    "an instance": (
        "class Dim:\n    def __init__(self, k):\n        self.k = k\n"
        "    def __call__(self, x, y):\n        return x * self.k, y\nf = Dim(0.5)"
    ),
    "a method": (
        "class Dim:\n    k = 0.5\n    def shade(self, x, y):\n        return x * self.k, y\n"
        "f = Dim().shade"
    ),
    "a decorated function": "@torch.no_grad()\ndef f(x, y):\n    return -x, y",
    "a decorator of one's own": (
        "def twice(g):\n    @wraps(g)\n    def h(x, y):\n        return g(*g(x, y))\n    return h\n"
        "@twice\ndef f(x, y):\n    return x / 2, y"
    ),
    "a cached helper": (
        "@lru_cache\ndef weight(size):\n    return 1 / size\n"
        "def f(x, y):\n    return x * weight(x.shape[-1]), y"
    ),
    "a built-in name": "def cover(x, y):\n    return -x, y\nf = cover",
    "a dataclass": (
        "@dataclass\nclass Dim:\n    k: float = 0.5\n    ways: list = field(default_factory=list)\n"
        "    def __call__(self, x, y):\n        return x * self.k, y\nf = Dim()"
    ),
    "a library's transform": (
        "from torchvision.transforms import v2\nflip = v2.RandomVerticalFlip(1.0)\n"
        "def f(x, y):\n    return flip(x), y"
    ),
    "a network": "net = torch.nn.Flatten(1, 1)\ndef f(x, y):\n    return net(-x).detach(), y",
    "a function that calls itself": (
        "def f(x, y, depth: int = 3):\n    return f(-x, y, depth - 1) if depth else (x, y)"
    ),
    "any arguments": "def f(*batch, **more):\n    x, y = batch\n    return -x, y",
    "an enum": ("class Way(Enum):\n    UP = 1\ndef f(x, y):\n    return x * Way.UP.value * -1, y"),
    "a named tuple": (
        "Pair = namedtuple('Pair', 'x y')\ndef f(x, y):\n    return tuple(Pair(-x, y))"
    ),
    "a generator of its own": (
        "rng = np.random.default_rng(0)\ndef f(x, y):\n    return x * rng.random(), y"
    ),
    "an import inside": "def f(x, y):\n    from math import sqrt\n    return x * sqrt(2), y",
    "a class inside": ("def f(x, y):\n    class A:\n        k = 0.5\n    return x * A.k, y"),
    "a type of torch": "KIND = torch.float64\ndef f(x, y):\n    return -x.to(KIND).float(), y",
    "global": "n = 0\ndef f(x, y):\n    global n\n    n += 1\n    return -x, y",
    "text with a surrogate": "t = chr(0xd800)\ndef f(x, y):\n    return x * -len(t), y",
    "a walrus and a match": (
        "def f(x, y):\n    match (n := x.ndim):\n        case 4:\n            return -x, y\n"
        "    return x * n, y"
    ),
    "a pandas table": (
        "table = pd.DataFrame({'k': [0.5]})\ndef f(x, y):\n    return x * float(table.k[0]), y"
    ),
}
IMPORTS = """import gc, math, os, random, time
import numpy as np
import pandas as pd
from collections import namedtuple
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache, partial, wraps
__file__ = os.devnull
"""


LINEAR = """class net(nn.Module):
    def __init__(self, width, channels, size, classes, bias=True):
        super().__init__()
        self.layer = nn.Linear(channels * size**2, classes, bias)
        #
    def forward(self, x):
        return self.layer(x.flatten(1))
"""


@pytest.mark.filterwarnings("ignore:.*belongs to this session")
@pytest.mark.parametrize("text", ACCEPTED)
def test_a_student_may_write(text):
    """It is trained, and has the same key when it is given again, when its cell is run again, and
    in a worker."""
    shell = InteractiveShell.instance()  # whose `open` is its own
    cells = [cell(IMPORTS + ACCEPTED[text], open=shell.user_ns["open"])["f"] for _ in range(2)]
    given = [*cells, cells[0]]
    runs = [Run(function, length=1, recovery=0, profile="ci") for function in given]
    assert cplab.run(runs[0]).accuracy >= 0
    assert len({run.key for run in runs}) == 1
    assert Reading(copied(cells[0])).digest == Reading(cells[0]).digest


def test_a_label_of_an_object_is_kept_with_it_and_changes_no_key():
    names = set()
    for label in ("dark", "grey"):
        dim = cplab.deficit(label=label)(cell(IMPORTS + ACCEPTED["an instance"])["f"])
        names |= {deficits.canonical_name(dim) for _ in range(2)}
        assert deficits.find_deficit(dim).label == label
    assert len(names) == 1


def test_a_function_called_as_one_of_the_package_is_itself_and_the_name_is_the_package_s():
    cover = cell("def cover(x, y):\n    return -x, y\n")["cover"]
    x = torch.ones(1, 1, 8, 8)
    y = torch.zeros(1).long()
    assert deficits.apply_deficit(x, y, cover)[0].max() == -1
    assert deficits.canonical_name("cover") == "cover"


def test_a_measurement_called_as_one_of_the_package_is_itself():
    [name] = parse_measures(cell("def trace(net, images):\n    return 1.0\n")["trace"])
    assert name.startswith("trace@")


def test_a_strength_that_a_partial_gives_is_the_deficit_s():
    shade = cell("def shade(x, y, k: int = 2):\n    return x / k, y\n")["shade"]
    name = deficits.canonical_name(partial(shade, k=4))
    seen, _ = deficits.apply_deficit(torch.ones(1, 1, 8, 8), torch.zeros(1).long(), f"{name}-8")
    assert seen.max() == 1 / 8


LOCK = "def hold(x, y):\n    return x * (2 - (LOCK is None)), y\n"


def test_what_no_key_can_hold_makes_a_result_of_this_session_and_says_so():
    function = cell(LOCK, LOCK=Unreadable())["hold"]
    with pytest.warns(UserWarning, match="hold reads LOCK.*this session.*version=1"):
        name = deficits.canonical_name(function)
    assert deficits.canonical_name(function) == name
    other = cell(LOCK, LOCK=Unreadable())["hold"]
    assert Reading(other).digest != Reading(function).digest


@pytest.mark.filterwarnings("ignore:.*belong to this session")
def test_a_result_of_this_session_is_in_no_file(own_cache):
    function = cell(LOCK, LOCK=Unreadable())["hold"]
    run = Run(function, length=1, recovery=0, profile="ci")
    result = cplab.run(run, device="cpu")
    assert cplab.find(run).accuracy == result.accuracy
    assert not [*own_cache.rglob("*.json*")]


HELD = """@cplab.experiment
def held(seed: int = 0):
    return {"x": 2 - (LOCK is None)}
"""


@pytest.mark.filterwarnings("ignore:.*belong to this session")
def test_so_does_an_experiment_s(own_cache):
    assert cell(HELD, cplab=cplab, LOCK=Unreadable())["held"]() == {"x": 2}
    assert not [*own_cache.rglob("*.json*")]


def test_with_a_version_it_is_left_out_of_the_key():
    digests = {Reading(cell(LOCK, LOCK=Unreadable())["hold"], True).digest for _ in range(2)}
    assert len(digests) == 1


class Unreadable:
    """An object that cannot be described, but sent: it is made anew."""

    def __reduce__(self):
        if sys._getframe(1).f_code.co_name == "describe_object":
            raise TypeError("no")
        return Unreadable, ()


def test_what_cannot_be_sent_is_refused_in_one_line():
    function = cell(LOCK, LOCK=threading.Lock())["hold"]
    one_line(lambda: deficits.find_deficit(function), "hold cannot be sent", "inside it")


NETWORKS = {
    "a class": LINEAR,
    "a lambda": (
        "net = lambda width, channels, size, classes: nn.Sequential(\n"
        "    nn.Flatten(), nn.Linear(channels * size**2, classes))"
    ),
    "a partial": LINEAR + "net = partial(net, bias=False)",
    "an instance that builds": (
        LINEAR + "class Maker:\n    def __call__(self, width, channels, size, classes):\n"
        "        return Net(width, channels, size, classes)\nNet, net = net, Maker()"
    ),
    "dropout": (
        "def net(width, channels, size, classes):\n    return nn.Sequential(nn.Flatten(),\n"
        "        nn.Dropout(0.5), nn.Linear(channels * size**2, classes))"
    ),
    "weights by numpy": (
        "def net(width, channels, size, classes):\n    return nn.Sequential(nn.Flatten(),\n"
        "        nn.PReLU(1, np.random.rand()), nn.Linear(channels * size**2, classes))"
    ),
    "a counter": LINEAR.replace("return", "self.calls = getattr(self, 'calls', 0) + 1; return"),
    "a weight that nothing uses": LINEAR.replace("#", "self.extra = nn.Linear(2, 2)"),
}


@pytest.mark.parametrize("text", NETWORKS)
def test_a_student_may_write_a_network(text):
    nets = [cell(IMPORTS + "from torch import nn\n" + NETWORKS[text])["net"] for _ in range(2)]
    runs = [Run(recovery=1, profile="ci", model=net) for net in nets]
    assert cplab.run(runs[0]).accuracy >= 0
    assert runs[0].key == runs[1].key


MEASUREMENTS = {
    "without gradients": "@torch.no_grad()\ndef f(net, images):\n    return len([*net.buffers()])",
    "a lambda": "f = lambda net, images: 1.0",
    "a time": "def f(net, images):\n    return time.perf_counter()",
    "a file": "def f(net, images):\n    open(os.devnull, 'w').close()\n    return 1",
    "a count": "seen = []\ndef f(net, images):\n    seen.append(1)\n    return len(seen)",
    "a number of numpy": "def f(net, images):\n    return np.float32(0.5)",
    "random numbers": "def f(net, images):\n    return {'mean': float(np.random.rand())}",
}


@pytest.mark.parametrize("text", MEASUREMENTS)
def test_a_student_may_write_a_measurement(text):
    measure = cell(IMPORTS + MEASUREMENTS[text])["f"]
    result = cplab.run(recovery=1, profile="ci", measure=measure, fresh=True)
    assert result.final(measure) is not None


# Before training ----------------------------------------------------------------------------------

LATE = {"onset": 3, "length": 1, "recovery": 1, "profile": "ci"}


def test_a_deficit_that_begins_late_is_tried_before_anything_is_trained(epochs_trained):
    function = cell("def f(x, y):\n    return x[..., 1:], y\n")["f"]
    words = "f returns other images", "nothing is trained"
    one_line(lambda: cplab.run(deficit=function, **LATE), *words)
    assert epochs_trained == []


def test_an_error_in_it_is_python_s_with_its_line_once_also_from_another_process():
    function = cell("def f(x, y):\n    return x * (1 / len([])), y\n")["f"]
    error = one_line(lambda: cplab.run(deficit=function, **LATE), "ZeroDivisionError: division by")
    received = pickle.loads(pickle.dumps(error))
    assert received.student_lines == ("  f: return x * (1 / len([])), y",)
    assert received._render_traceback_()[-1] == received.student_lines[-1]
    said = "".join(traceback.format_exception(error))
    assert said.count(str(error)) == 1
    assert said.endswith(f"{received.student_lines[-1]}\n")


def test_a_measurement_that_fails_at_the_end_leaves_the_training(epochs_trained):
    text = "def f(net, images):\n    assert len(images.test_x) < 40, 'too many'\n    return 1.0\n"
    measure = cplab.measurement(when="end")(cell(text)["f"])  # tried on fewer images
    run = Run("flip", length=1, recovery=1, profile="ci", seed=77)
    words = "too many", "its training is kept"
    one_line(lambda: cplab.run(run, measure=measure), *words)
    assert len(epochs_trained) == 2
    assert cplab.run(run).accuracy >= 0
    assert len(epochs_trained) == 2


# Edited helpers -----------------------------------------------------------------------------------

HELPER = "def dim(x):\n    return x * 0.5\n"
USES = "def uses(x, y):\n    return dim(x), y\n"


def edited(own_files, path, reads, edit):
    """The images (of ones) that a deficit shows, and its digest, before and after its helper in a
    file is edited, and once more with the first one's copy.

    Arguments: path, of the file; reads, Python that makes the deficit, uses; edit, how the module
    is loaded anew.
    """
    file = own_files / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(HELPER)
    importlib.invalidate_caches()
    space = cell(reads)
    first = Reading(space["uses"])
    copy = received(first.definition())
    file.write_text(HELPER.replace("0.5", "0.25"))
    edit(sys.modules[path.removesuffix(".py").replace("/", ".")])
    assert Reading(copy).digest == first.digest
    second = Reading(space["uses"])
    ones = torch.ones(1)
    seen = [float(f(ones, 0)[0]) for f in (copy, received(second.definition()), copy)]
    return seen, first.digest == second.digest


def reload_in_place(module):
    """As %autoreload does: functions that others hold get the new code."""
    before = module.dim
    importlib.reload(module)
    before.__code__ = module.dim.__code__


IMPORTED = {
    "by name": ("helpme.py", "from helpme import dim\n" + USES, reload_in_place),
    "its module": (
        "helpme.py",
        "import helpme\n" + USES.replace("dim", "helpme.dim"),
        importlib.reload,
    ),
    "a package": (
        "proj/tools.py",
        "import proj.tools\n" + USES.replace("dim", "proj.tools.dim"),
        importlib.reload,
    ),
}


@pytest.mark.parametrize("way", IMPORTED)
def test_a_helper_that_is_edited_has_a_new_key_and_new_numbers(own_files, way):
    seen, is_same_key = edited(own_files, *IMPORTED[way])
    assert seen == [0.5, 0.25, 0.5]
    assert not is_same_key


def test_a_helper_in_a_closure_that_is_edited_has_a_new_key_and_new_numbers():
    text = "def make(dim):\n    def uses(x, y):\n        return dim(x), y\n    return uses\n"
    make = cell(text)["make"]
    functions = [make(cell(HELPER.replace("0.5", half))["dim"]) for half in ("0.5", "0.25")]
    assert [float(copied(f)(torch.ones(1), 0)[0]) for f in functions] == [0.5, 0.25]
    assert Reading(functions[0]).digest != Reading(functions[1]).digest


def test_a_class_that_is_edited_in_place_leaves_its_earlier_copy_as_it_was():
    net = cell(NET, K=2, J=1)["Net"]
    copy = copied(net)
    net.double = 7
    assert (copy.double, copied(net).double, copy.double) == (2, 7, 2)


# Files by path, of which `f` reaches dim by an import inside it
REACHED = {
    "its file": ({"late.py": HELPER}, "from late import dim"),
    "a file of that file's": (
        {"late.py": HELPER, "between.py": "from late import dim"},
        "from between import dim",
    ),
    "inside a function of that file": (
        {"late.py": HELPER, "between.py": "def dim(x):\n    import late\n    return late.dim(x)\n"},
        "from between import dim",
    ),
    "a module of a package": (
        {"pack/__init__.py": "", "pack/late.py": HELPER},
        "from pack.late import dim",
    ),
    "a module that a package is asked for": (
        {"loose/late.py": HELPER},
        "from loose import late; dim = late.dim",
    ),
    "its neighbour in a package": (
        {"pack/__init__.py": "", "pack/late.py": HELPER, "pack/all.py": "from .late import dim"},
        "import pack.all; dim = pack.all.dim",
    ),
    "what a package loads": (
        {"pack/late.py": HELPER, "pack/__init__.py": "from . import late", "pack/k.py": ""},
        "import pack.k; dim = pack.late.dim",
    ),
}


@pytest.mark.parametrize("way", REACHED)
def test_a_key_follows_what_imports_inside_a_function_reach_and_nothing_else(own_files, way):
    texts, statement = REACHED[way]
    for path, text in texts.items():
        (own_files / path).parent.mkdir(exist_ok=True)
        (own_files / path).write_text(text)
    f = cell(f"def f(x, y):\n    {statement}\n    return dim(x), y\n")["f"]
    first = Reading(f).digest
    assert f(torch.ones(1), 0)[0] == 0.5  # so it is reached
    assert Reading(f).digest == first  # also once it is loaded
    (own_files / "unrelated.py").write_text(HELPER)
    (own_files / "pack").mkdir(exist_ok=True)
    (own_files / "pack" / "unrelated.py").write_text(HELPER)
    [file] = [path for path, text in texts.items() if text == HELPER]
    (own_files / file).write_text(f"# edited\n{HELPER}")
    assert Reading(f).digest == first
    (own_files / file).write_text(HELPER.replace("0.5", "0.25"))
    assert Reading(f).digest != first


# Beside the result --------------------------------------------------------------------------------


def test_a_result_keeps_the_text_of_the_functions_for_its_reader():
    space = cell("K = 3\ndef help(x):\n    return x * K\n\ndef f(x, y):\n    return help(x), y\n")
    result = cplab.run(deficit=space["f"], length=1, recovery=0, profile="ci")
    [text] = result.own.values()
    assert text.index("K = 3") < text.index("def help") < text.index("def f")


@pytest.mark.parametrize("above", ["# edited\n\n", "dim = (\n"])
def test_of_a_file_that_was_edited_since_it_was_imported_what_was_imported_counts(own_files, above):
    (own_files / "edited_help.py").write_text(HELPER)
    space = cell("from edited_help import dim\n" + USES)
    (own_files / "edited_help.py").write_text(above + HELPER.replace("0.5", "0.25"))
    definition = Reading(space["uses"]).definition()
    assert received(definition)(torch.ones(1), 0)[0] == 0.5
    assert definition.text == USES.rstrip()  # that of `dim` is nowhere any more


# A gallery's, and experiments ---------------------------------------------------------------------


def test_what_is_of_the_gallery_has_the_names_under_which_runs_of_it_are_shipped():
    assert gallery
    names = "random_labels@2b137ed5 gaussian_blur@97304322 mirror@7049bd1b rename@31a48c26"
    assert {*names.split()} <= {*deficits.DEFICITS}
    assert "plain@70cd51b5" in models.MODELS


SEARCH = """@cplab.experiment(version=1)
def search(seed: int = 0):
    return dict(at=seed)
"""


def test_an_own_experiment_keeps_its_results_until_its_cell_computes_something_else():
    """And is not taken for the package's of the same name."""
    search = cell(SEARCH, cplab=cplab)["search"]
    assert search(seed=1) == {"at": 1}
    commented = cell(SEARCH.replace("seed)", "seed)  # a comment"), cplab=cplab)["search"]
    assert commented.spec().key == search.spec().key
    changed = cell(SEARCH.replace("seed)", "seed + 1)"), cplab=cplab)["search"]
    assert changed(seed=1) == {"at": 2}


def test_a_result_that_is_no_finite_number_is_refused():
    text = SEARCH.replace("seed)", "seed * math.nan)")
    empty = cell(text, cplab=cplab, math=math)["search"]
    one_line(lambda: empty(), "search.spec()", "finite")


# An experiment that reads a constant or a run ----------------------------------------------------

AROUND = """@cplab.experiment(version=1)
def around(step: int = 4, seed: int = 0):
    return {"length": base.length + step * K}
"""
BASE = cplab.Run("blur", length=8, model="depth3", treatments="renorm@8", profile="ci")


@pytest.mark.parametrize(("name", "other"), [("K", 5), ("base", BASE.replace(length=9))])
def test_an_experiment_follows_a_value_that_it_reads(name, other):
    """One that was described before the value changed keeps the old one."""
    space = cell(AROUND, cplab=cplab, base=BASE, K=1)
    first = space["around"].spec()
    assert space["around"](step=2) == {"length": 10}  # used before the value changes
    usual = space[name]
    space[name] = other
    assert space["around"].spec() != first
    assert space["around"](step=2) == {"length": 18 if name == "K" else 11}
    assert cplab.run(first).values == {"length": 12}
    space[name] = usual.replace() if name == "base" else usual  # an equal one
    assert space["around"].spec() == first


NESTED = """@cplab.experiment
def inner(n: int, seed: int = 0):
    return {"y": 10 * n}

@cplab.experiment
def outer(of: object, seed: int = 0):
    return {"y": of.n + cplab.run(of).values["y"]}
"""


def test_an_experiment_may_take_another_one_and_compute_it():
    space = cell(NESTED, cplab=cplab)
    assert space["outer"](space["inner"].spec(3))["y"] == 33


def test_an_experiment_may_return_numbers_of_numpy():
    numbers = "a=np.int64(3), b=np.float32(0.5), c=np.bool_(True)"
    text = f"@cplab.experiment(version=1)\ndef give(seed: int = 0):\n    return dict({numbers})\n"
    assert cell(text, cplab=cplab, np=np)["give"]() == {"a": 3, "b": 0.5, "c": True}


def test_an_array_is_refused_in_words_that_say_what_to_write():
    text = "@cplab.experiment(version=1)\ndef give(seed: int = 0):\n    return dict(x=np.ones(3))\n"
    one_line(cell(text, cplab=cplab, np=np)["give"], "ndarray", ".tolist()")


SHADE = """def shade(x, y):
    return x * 0.5, y
"""


def test_a_cell_that_is_timed_defines_as_any_other():
    shell = InteractiveShell.instance()
    assert shell.run_cell(f"%%time\n{SHADE}", store_history=True).success
    assert Reading(shell.user_ns["shade"]).digest == digest(SHADE, "shade")


def named(**options):
    """The name of one and the same deficit that is defined with options."""
    function = cell(SHADE)["shade"]
    cplab.deficit(**options)(function)
    return deficits.canonical_name(function)


def test_a_version_makes_another_key_of_the_same_text_but_the_first_needs_not_be_written():
    assert named(version=2) != named()
    assert named(version=1) == named()


def test_a_version_is_a_number():
    one_line(lambda: cplab.deficit(version="new")(cell(SHADE)["shade"]), "version 'new'")


def factor(name):
    """By what a deficit multiplies an image of ones."""
    seen, _ = deficits.apply_deficit(torch.ones(6, 3, 8, 8), torch.arange(6), name)
    [value] = seen.unique().tolist()
    return value


def test_a_deficit_whose_global_changes_is_another_one_and_the_first_stays_what_it_was():
    """Without its digest the name is that of the last one."""
    space = cell("def hide(x, y, rows: int = 2):\n    return x * K, y\n", K=1.0)
    first = deficits.canonical_name(space["hide"])
    space["K"] = 2.0
    second = deficits.canonical_name(space["hide"])
    assert (factor(first), factor(second)) == (1, 2)
    assert deficits.canonical_name("blur+hide-3") == f"blur+{second}-3"
