"""What is not allowed is refused in one line: each row is a call, and words of its error."""

import inspect
import re
from dataclasses import fields
from functools import partial

import pytest
import torch
from conftest import one_line
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from torch import nn

import cplab
from cplab import CplabError, Run, estimates, lab, quantities, results, show
from cplab.labs.lab04 import short_run
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.labs.lab07_measurements import measure_eye_shares
from cplab.labs.lab08_matrices import Rearing, descend
from cplab.measure import fisher

CI = Run(profile="ci", recovery=1)
PAPER = Run(schedule="paper")
IMAGES = torch.zeros(2, 1, 8, 8)
LINEAR = nn.Linear(4, 4)
TWICE = nn.Sequential(LINEAR, LINEAR)
NORMED = nn.Sequential(nn.LayerNorm(4))
ONES = torch.ones(3, 4)
DEEP = Rearing(depth=4, modes=(90,))

# What an error names, and the call that it comes from
NOT_ALLOWED = {
    "blur has no length": partial(Run, "blur", 8),
    "onset nan": partial(Run, onset=float("nan")),
    "seed 2147483648": partial(Run, seed=2**31),
    r"model 'vgg\nnet'": partial(Run, model="vgg\nnet"),
    "did you mean length?": partial(Run, lenght=3),
    "deficit 'flip-9'": partial(Run, "flip-9", length=1),
    "deficit 'blur:left'": partial(Run, "blur:left", length=1),
    "length 3": partial(Run, "none", length=3),
    "a run of 12000 epochs": partial(Run, onset=6_000, recovery=6_000),
    "window 'blank'": partial(Run, windows="blank"),
    "strength of shrink '2'": partial(Run, treatments="shrink-2@1"),
    "decay-0@0+2 and decay-0.5@1": partial(Run, treatments="decay-0@0+2 decay-0.5@1"),
    "device 'tpu'": partial(cplab.run, CI, device="tpu"),
    "trace at (400,)": partial(cplab.run, CI, measure={"trace": 400}),
    "no eye_shares": partial(cplab.run, CI, measure=measure_eye_shares, fresh=True),
    "field of a run 'nonsense'": partial(cplab.results_table, nonsense=1),
    "no result has the key": partial(results.by_key, "../../etc/passwd"),
    "no accuracy that is a number": partial(quantities.accuracy, search.spec()),
    "clock 'late'": partial(quantities.harm, PAPER, clock="late"),
    "after 3": partial(quantities.harm, PAPER, 3),
    "in windows": partial(quantities.harm, Run(onset=4, windows="blur@0+4")),
    "gives [1]": partial(quantities.quantity(lambda run: [1]), CI),
    "[[1.0, 2.0]]": partial(estimates.estimate, [[1.0, 2.0]]),
    "one figure for each": partial(show.clear_epochs, {"a": CI, "b": Run(schedule="fixed")}),
    "fixed": partial(show.clear_epochs, {"falling rates": Run("blur", length=8)}),
    "0 has no place": partial(show.means, {"blur": {0: [1.0]}}, ("x", "y"), log="x"),
    "-1 has no place": partial(show.curves, {"blur": ([-1, 2], [3, 4])}, "x", "y", log="xy"),
    "all in groups": partial(show.bars, {"blur": [1.0], "late": {"blur": [1.0]}}, "y"),
    "profile 'CI'": partial(lab.setting, "CI", among=("ci", "course")),
    "schedule 'paper'": partial(cplab.Explorer, schedule="paper"),
    "normalised": partial(cplab.apply_deficit, IMAGES.byte(), torch.arange(2), "blur"),
    "'0' is used 2 times": partial(fisher.trace, TWICE, ONES),
    "'0' (LayerNorm)": partial(fisher.jacobian, NORMED, ONES),
    "no images": partial(fisher.log_determinant, LINEAR, torch.ones(0, 4)),
    "not finite": partial(fisher.diagonal, LINEAR, ONES * torch.inf),
    "count 5000": partial(short_run.spec, count=5000),
    "would reach 125 %": partial(search.spec, gamma=0.03),
    "mixed images": partial(search.spec, "practice", mixed=0.1),
    "density 0.5": partial(retrain.spec, density=0.5),
    "kind 'blurred'": partial(Rearing, kind="blurred"),
    "rate 1": partial(descend, DEEP, rate=1),
    "weights 'align'": partial(descend, Rearing(), "align"),
}


@pytest.mark.parametrize("named", NOT_ALLOWED)
def test_what_is_not_allowed_is_named_in_one_line(named):
    one_line(NOT_ALLOWED[named], named)


# Functions of one's own ---------------------------------------------------------------------------


def no_labels(x, y):
    return x


def double_precision(x, y):
    return x.double(), y


def eleven_classes(x, y):
    return x, y + 1


def divides_by_zero(x, y):
    return x / 0, y


def raises_two_lines(x, y):
    raise ValueError("no\nmore")


def gives_tensors(net, images):
    return [w.norm() for w in net.parameters()]


def no_module(width, channels, size, classes):
    return torch.relu


def other_answers(width, channels, size, classes):
    return nn.Flatten()


def fits_no_images(width, channels, size, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size, classes))


REFUSED = (
    ("deficit", no_labels, "return x, y"),
    ("deficit", double_precision, "other images"),
    ("deficit", eleven_classes, "from 0 to 9"),
    ("deficit", divides_by_zero, "not finite"),
    ("deficit", raises_two_lines, "ValueError: no"),
    ("measure", gives_tensors, "Tensor"),
    ("model", no_module, "network"),
    ("model", other_answers, "logits (2, 10)"),
    ("model", LINEAR, "takes 2 positional arguments but 5 were given"),
    ("model", fits_no_images, "shapes cannot be multiplied"),
)


@pytest.mark.parametrize(("field", "function", "named"), REFUSED)
def test_a_students_function_is_refused_in_one_line(field, function, named):
    length = 1 if field == "deficit" else 0
    one_line(lambda: cplab.run(CI, **{field: function, "length": length}), named)


# Anything at all ----------------------------------------------------------------------------------

# Classes of what others made; and functions that take any text, or leave it to Python to say what
# is wrong
OTHERS = {
    *("CplabError", "Result", "Figure", "Answer", "deficit", "measurement", "model", "treatment"),
    *("experiment", "exercise", "hand_in", "if_possible", "age", "colour", "figure", "label"),
    *("over_epochs", "question", "slide", "switch", "what_it_sees", "save", "class_figure"),
    *("class_networks", "class_table", "images_from", "harm_table"),
}
QUANTITIES = ("accuracy", "advantage", "equal_training_loss", "harm", "lost_time")


def public_functions():
    """The public functions and how many arguments each has to be given."""
    counts = {}
    for module, names in ((cplab, None), (lab, None), (show, None), (quantities, QUANTITIES)):
        for name in names or module.__all__:
            function = getattr(module, name)
            if name not in OTHERS and callable(function):
                parameters = inspect.signature(function).parameters.values()
                positional = [p for p in parameters if p.kind < p.VAR_POSITIONAL]
                counts[function] = max(1, sum(p.default is p.empty for p in positional))
    return counts


@pytest.mark.parametrize(("function", "count"), public_functions().items())
def test_junk_is_refused_in_one_line(function, count):
    one_line(lambda: function(*["many"] * count))
    one_line(lambda: function(*[0.5] * count))


ANY_VALUE = st.one_of(
    st.text(max_size=20),
    st.integers() | st.floats() | st.none() | st.booleans(),
    st.sampled_from([10**400, 2**63, 1e308, "\ud800", b"a", {"a": None}]),
    st.lists(st.integers(), max_size=3),
    st.tuples(st.text(max_size=5), st.integers(), st.integers()),
    st.sampled_from(["blur", "blur-2", "blur:left", "none+none", "allcnn-7", "ci", "blank@1+1"]),
)


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from([f.name for f in fields(Run)]), ANY_VALUE, max_size=3))
def test_fields_of_any_values_are_refused_in_one_line_or_make_a_run_again(values):
    """The run that they make is the one that its plain fields make."""
    make = partial(Run, **{"profile": "ci", **values})
    try:
        run = make()
    except CplabError:
        one_line(make)
    else:
        assert Run(**run.plain()).key == run.key


# In a notebook ------------------------------------------------------------------------------------

CELL = """import cplab
def mine():
    return cplab.Run(seed=-1)
mine()"""


def test_a_notebook_shows_an_error_in_three_lines_with_the_students_own(capsys):
    InteractiveShell.instance().run_cell(CELL)
    text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    said, _, own = [line for line in text.splitlines() if line.strip()]
    assert said.startswith("CplabError: seed -1 is not allowed")
    assert "return cplab.Run(seed=-1)" in own
