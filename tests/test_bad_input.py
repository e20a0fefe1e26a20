"""What is not allowed is refused in one line: each row is a call and what its error names."""

import re
from collections import ChainMap
from dataclasses import fields
from functools import partial
from importlib import import_module
from inspect import isfunction, signature

import numpy as np
import pytest
from conftest import cell, one_line
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from torch import nn

import cplab
from cplab import CplabError, Run, estimates, gallery, lab, quantities, results, show
from cplab.deficits import DEFICITS
from cplab.measure import MEASUREMENTS, fisher
from cplab.models import MODELS

# One of each kind, with names of this file, of fisher and of labs' modules.
LABS = "lab04 lab05_growth lab05_retraining lab05b_nets lab05b_pruning lab08 lab08_matrices"
MODULES = [fisher, *(import_module(f"cplab.labs.{name}") for name in LABS.split())]
CALLS = r"""
Run("blur", 8)  ->  blur has no length: give
Run(onset=float("nan"))  ->  onset nan is not allowed: it should be a finite number
Run(seed=2**31)  ->  seed 2147483648 is not allowed: it should be less than 2147483648
Run(model="vgg\nnet")  ->  model 'vgg\nnet'
Run(lenght=3)  ->  argument 'lenght' of Run (did you mean length?)
Run(deficit="flip-9", length=1)  ->  deficit 'flip-9'
Run(deficit="blur:left", length=1)  ->  deficit 'blur:left'
Run(deficit="none", length=3)  ->  length 3
Run(deficit=print, length=3)  ->  print (builtin_function_or_method)
Run(onset=6_000, recovery=6_000)  ->  a run of 12000 epochs
Run(windows="blank")  ->  window 'blank' is not allowed: write it like blank@8+4
Run(treatments="shrink-2@1")  ->  strength of shrink '2'
cplab.apply_deficit(torch.zeros(2, 1, 8, 8).byte(), torch.arange(2), "blur")  ->  images
cplab.apply_deficit(torch.zeros(2, 1, 8, 8), torch.tensor([0, 10]), "blur")  ->  from 0 to 9
Run(treatments="decay-0@0+2 decay-0.5@1")  ->  decay-0@0+2 and decay-0.5@1
cplab.run("blur")  ->  'blur' is no run: give cplab.Run(...)
cplab.run(CI, device="tpu")  ->  device 'tpu'
cplab.run(CI, measure={"trace": 400})  ->  trace at (400,) measures nothing
cplab.run(CI, measure="eye_shares", fresh=True)  ->  no eye_shares after epoch 0 or later
cplab.sweep(CI)  ->  give a list of runs
cplab.sweep([CI], threads=10**6)  ->  threads 1000000 is not allowed: give a whole number from 1 to
lab.Prediction({}, {"a": [0.55, 0.6]})  ->  in this unit
lab.setting("CI", among=("ci", "course"))  ->  profile 'CI': choose one of auto, ci, course
lab.live([CI])  ->  is not allowed: give dict[str, Run | list[Run]]
quantities.accuracy(search.spec())  ->  accuracy_at
quantities.harm(PAPER, clock="late")  ->  clock 'late'
quantities.harm(PAPER, 3)  ->  after 3 cannot be read
quantities.harm(Run(onset=4, windows="blur@0+4"))  ->  has its deficit in windows
quantities.harm(CI) / quantities.harm(CI)  ->  estimates.seed_by_seed
quantities.quantity(lambda run: [1])(CI)  ->  gives [1]: return one number
cplab.images("ci")  ->  fashion_mnist, drawn, practice
show.clear_epochs({"a": CI, "b": Run(schedule="fixed")})  ->  draw one figure for each
show.save(show.figure(), "none/a.png")  ->  none/a.png cannot be written
show.forest({"blur": "many"}, "y")  ->  give
show.means({"blur": {1: "many"}}, ("x", "y"))  ->  give
show.means({"blur": {0: [1.0]}}, ("x", "y"), log="x")  ->  0 has no place on a logarithmic axis
show.curves({"blur": ([-1, 2], [3, 4])}, "x", "y", log="xy")  ->  -1 has no place on a logarithmic
show.curves({"blur": "many"}, "x", "y")  ->  give
show.by_layer({"blur": "many"})  ->  give
show.bars({}, "y", titel="x")  ->  argument 'titel' of figure (did you mean title?)
show.bars({"blur": [1.0], "late": {"blur": [1.0]}}, "y")  ->  all in groups
cplab.Explorer(schedule="paper")  ->  schedule 'paper'
cplab.Explorer("ci").choose(count=0)  ->  count 0 is not allowed: give a whole number from 1 to
cplab.table(nonsense=1)  ->  field of a run 'nonsense'
short_run.spec(count=5000)  ->  count 5000 is not allowed: it should be less
results.by_key("../../etc/passwd")  ->  no result has the key
list(results.every_result("Serach"))  ->  kind of result 'Serach'
results.ship([], "../x")  ->  name '../x'
trace(nn.Sequential(*2 * [nn.Linear(4, 4)]), torch.ones(3, 4))  ->  '0' is used 2 times
jacobian(nn.Sequential(nn.LayerNorm(4)), torch.ones(3, 4))  ->  '0' (LayerNorm)
log_determinant(nn.Linear(4, 4), torch.ones(0, 4))  ->  no images
diagonal(nn.Linear(4, 4), torch.full((3, 4), torch.inf))  ->  not finite
search(gamma=0.03)  ->  125 %
search("practice", mixed=0.1)  ->  mixed
retrain(density=0.5, search=search.spec(gamma=2.0))  ->  keep
prune_weights(density=0.5)  ->  density 0.5
kernels_to_keep(kernel_net((6, 10), (12, 8)), 15)  ->  14
Rearing(kind="blurred")  ->  kind 'blurred'
descend(Rearing(depth=4, modes=(90,)), rate=1)  ->  rate 1
"""


def rows(table):
    """The lines of a table: (call or text, what its error names)."""
    return [line.split("  ->  ") for line in table.strip().splitlines()]


@pytest.mark.parametrize(("call", "named"), rows(CALLS))
def test_a_call_is_refused_in_one_line(call, named):
    runs = {"CI": Run(profile="ci", recovery=1), "PAPER": Run(schedule="paper")}
    names = ChainMap(globals(), runs, *map(vars, MODULES))
    one_line(lambda: eval(call, {}, names), named)


@pytest.mark.parametrize("module", [cplab, lab, show, quantities, estimates, results])
def test_a_public_function_says_what_is_missing(module):
    for of in (getattr(module, name) for name in module.__all__):
        needed = isfunction(of) and [p for p in signature(of).parameters.values() if p.kind < 2]
        if needed and needed[0].default is needed[0].empty:
            one_line(of, "missing", of.__name__)


# A function of one's own (% ends a line), and what its error names.
FUNCTIONS = r"""
deficit: def f(x, y): return x  ->  return x, y
deficit: def f(x, y): return x.double(), y  ->  16]) torch.float64
deficit: def f(x, y): return x, y + 1  ->  0 to 9
deficit: def f(x, y): return x / 0, y  ->  finite
deficit: def f(x, y): return x.mul_(2), y  ->  clone
deficit: def f(x, y): return x + np.random.rand(), y  ->  generator
deficit: def f(x, y):%    torch.manual_seed(0)%    return x + torch.rand_like(x), y  ->  generator
deficit: def f(x, y): raise ValueError('no\nmore')  ->  ValueError: no
deficit: def f(x, y): return K(x), y  ->  'K'
deficit: K = object()%def f(x, y): return K, y  ->  object
deficit: f = lambda x, y: (x, y)  ->  def
deficit: def f(x, y): return x * hash('a'), y  ->  each process
deficit: def f(x, y):%    seen = {1, 2}%    return x * [n for n in seen][0], y  ->  sorted
deficit: import conftest%def f(x, y): return conftest.x, y  ->  conftest
measurement: def f(net, images): return [w.norm() for w in net.parameters()]  ->  Tensor
measurement: def f(net, images): return [1.0, {'mean': float('nan')}]  ->  not finite
measurement: def f(net, images): return np.random.rand()  ->  Generator
model: def f(*of): return torch.relu  ->  network
model: def f(*of): return nn.Flatten()  ->  (4, 10)
model: def f(*of): return nn.Sequential(plain(*of), nn.Dropout())  ->  dropout
model: def f(*of): net = plain(*of); net[-1].extra = nn.Linear(2, 2); return net  ->  extra.
model: def f(*of): return nn.Sequential(plain(*of), nn.PReLU(1, np.random.rand()))  ->  torch alone
"""


@pytest.mark.parametrize(("text", "named"), rows(FUNCTIONS))
def test_a_function_of_ones_own_is_refused_before_it_is_registered(text, named):
    kind, _, source = text.partition(": ")
    function = cell(source.replace("%", "\n"), nn=nn, np=np, plain=gallery.plain)["f"]
    known = [*DEFICITS, *MEASUREMENTS, *MODELS]
    one_line(lambda: getattr(cplab, kind)(function), named)
    assert [*DEFICITS, *MEASUREMENTS, *MODELS] == known


NASTY = st.one_of(
    st.text(max_size=20),
    st.integers() | st.floats() | st.none() | st.booleans(),
    st.sampled_from([10**400, 2**63, 1e308, "\ud800", b"a", {"a": None}]),
    st.lists(st.integers(), max_size=3),
    st.tuples(st.text(max_size=5), st.integers(), st.integers()),
    st.sampled_from(["blur", "blur-2", "blur:left", "none+none", "allcnn-7", "ci", "blank@1+1"]),
)


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from([f.name for f in fields(Run)]), NASTY, max_size=3))
def test_whatever_a_field_is_given_a_run_is_made_or_refused_in_one_line(values):
    make = partial(Run, **{"profile": "ci", **values})
    try:
        run = make()
    except CplabError:
        one_line(make)
    else:
        assert Run(**run.plain()).key == run.key


def test_a_notebook_shows_the_line_and_where_it_arose_in_the_students_own_code(capsys):
    shell = InteractiveShell.instance()
    shell.run_cell("import cplab\ndef mine():\n    return cplab.Run(seed=-1)\nmine()")
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    lines = [line for line in out.splitlines() if line.strip()]
    assert lines[0].startswith("CplabError: seed -1 is not allowed")
    assert len(lines) == 3
    assert "return cplab.Run(seed=-1)" in lines[2]
