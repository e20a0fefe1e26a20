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
from cplab import PROFILES, CplabError, Run, estimates, lab, quantities, results, show
from cplab.gallery import plain
from cplab.labs import lab02b, lab03, lab05, lab07
from cplab.labs.lab04 import short_run
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.labs.lab08_matrices import Rearing, descend
from cplab.labs.lab09_path import linear_path
from cplab.measure import fisher

CI = Run(profile="ci", recovery=1)
PAPER = Run(schedule="paper")
IMAGES = torch.zeros(2, 1, 8, 8)
LINEAR = nn.Linear(4, 4)


def refused(*table):
    """A test for each call, by the words that its error must have."""
    return pytest.mark.parametrize(
        ("call", "words"), [pytest.param(call, words, id=words) for call, words in table]
    )


@refused(
    (lambda: Run("blur", 8), "blur has no length: give"),
    (lambda: Run(onset=float("nan")), "onset nan is not allowed: it should be a finite number"),
    (lambda: Run(seed=2**31), "seed 2147483648 is not allowed: it should be less than 2147483648"),
    (lambda: Run(model="vgg\nnet"), r"model 'vgg\nnet'"),
    (lambda: Run(lenght=3), "argument 'lenght' of Run (did you mean length?)"),
    (lambda: Run(deficit="flip-9", length=1), "deficit 'flip-9'"),
    (lambda: Run(deficit="blur:left", length=1), "deficit 'blur:left'"),
    (lambda: Run(deficit="none", length=3), "length 3"),
    (lambda: Run(onset=6_000, recovery=6_000), "a run of 12000 epochs"),
    (lambda: Run(windows="blank"), "window 'blank' is not allowed: write it like blank@8+4"),
    (lambda: Run(treatments="shrink-2@1"), "strength of shrink '2'"),
    (lambda: Run(treatments="decay-0@0+2 decay-0.5@1"), "decay-0@0+2 and decay-0.5@1"),
)
def test_an_impossible_run_is_refused_in_one_line(call, words):
    one_line(call, words)


@refused(
    (lambda: cplab.run(CI, device="tpu"), "device 'tpu'"),
    (lambda: cplab.run(CI, measure={"trace": 400}), "trace at (400,) measures nothing"),
    (
        lambda: cplab.run(CI, measure="eye_shares", fresh=True),
        "no eye_shares after epoch 0 or later",
    ),
    (
        lambda: cplab.sweep([CI], threads=10**6),
        "threads 1000000 is not allowed: give a whole number from 1 to",
    ),
    (lambda: cplab.results_table(nonsense=1), "field of a run 'nonsense'"),
    (lambda: short_run.spec(count=5000), "count 5000 is not allowed: it should be less"),
    (lambda: results.by_key("../../etc/passwd"), "no result has the key"),
    (lambda: list(results.every_result("Serach")), "kind of result 'Serach'"),
)
def test_a_question_to_the_results_is_refused_in_one_line(call, words):
    one_line(call, words)


@refused(
    (lambda: quantities.accuracy(search.spec()), "accuracy_at"),
    (lambda: quantities.harm(PAPER, clock="late"), "clock 'late'"),
    (lambda: quantities.harm(PAPER, 3), "after 3 cannot be read"),
    (lambda: quantities.harm(Run(onset=4, windows="blur@0+4")), "has its deficit in windows"),
    (lambda: quantities.harm(CI) / quantities.harm(CI), "estimates.seed_by_seed"),
    (lambda: quantities.quantity(lambda run: [1])(CI), "gives [1]: return one number"),
    (lambda: estimates.estimate([[1.0, 2.0]]), "[[1.0, 2.0]] are not a row of numbers"),
)
def test_a_quantity_is_refused_in_one_line(call, words):
    one_line(call, words)


@refused(
    (
        lambda: show.clear_epochs({"a": CI, "b": Run(schedule="fixed")}),
        "draw one figure for each",
    ),
    (lambda: show.save(show.figure(), "none/a.png"), "none/a.png cannot be written"),
    (
        lambda: show.means({"blur": {0: [1.0]}}, ("x", "y"), log="x"),
        "0 has no place on a logarithmic axis",
    ),
    (
        lambda: show.curves({"blur": ([-1, 2], [3, 4])}, "x", "y", log="xy"),
        "-1 has no place on a logarithmic",
    ),
    (lambda: show.bars({"blur": [1.0], "late": {"blur": [1.0]}}, "y"), "all in groups"),
)
def test_a_figure_is_refused_in_one_line(call, words):
    one_line(call, words)


@refused(
    (lambda: lab.Prediction({}, {"a": [0.55, 0.6]}), "in this unit"),
    (lambda: lab.setting("CI", among=("ci", "course")), "profile 'CI': choose one of auto, ci"),
    (lambda: cplab.Explorer(schedule="paper"), "schedule 'paper'"),
    (
        lambda: cplab.Explorer("ci").choose(count=0),
        "count 0 is not allowed: give a whole number from 1 to",
    ),
)
def test_a_part_of_a_lab_is_refused_in_one_line(call, words):
    one_line(call, words)


@refused(
    (lambda: cplab.apply_deficit(IMAGES.byte(), torch.arange(2), "blur"), "give normalised ones"),
    (lambda: cplab.apply_deficit(IMAGES, torch.tensor([0, 10]), "blur"), "from 0 to 9"),
)
def test_images_are_refused_in_one_line(call, words):
    one_line(call, words)


TWICE = nn.Sequential(LINEAR, LINEAR)
NORMED = nn.Sequential(nn.LayerNorm(4))
ONES = torch.ones(3, 4)


@refused(
    (lambda: fisher.trace(TWICE, ONES), "'0' is used 2 times"),
    (lambda: fisher.jacobian(NORMED, ONES), "'0' (LayerNorm)"),
    (lambda: fisher.log_determinant(LINEAR, torch.ones(0, 4)), "no images"),
    (lambda: fisher.diagonal(LINEAR, torch.full((3, 4), torch.inf)), "not finite"),
)
def test_a_measurement_is_refused_in_one_line(call, words):
    one_line(call, words)


@refused(
    (lambda: search.spec(gamma=0.03), "would reach 125 %"),
    (lambda: search.spec("practice", mixed=0.1), "mixed images are not allowed with practice"),
    (lambda: retrain.spec(density=0.5), "density 0.5 is not kept by the search"),
    (lambda: linear_path.spec("blur"), "length 0 is not allowed"),
    (lambda: Rearing(kind="blurred"), "kind 'blurred'"),
    (lambda: descend(Rearing(depth=4, modes=(90,)), rate=1), "rate 1 is too high"),
    (lambda: descend(Rearing(), "align"), "weights 'align': choose one of aligned, random"),
    (lambda: descend(Rearing(), samples=-4), "samples -4 is not allowed"),
    (lambda: lab02b.until("flip", 140, pace=0), "pace 0 is not allowed"),
    (lambda: lab03.blurred_accuracy(Run(), "dark"), "choose one of clear, blurred, adapted"),
    (
        lambda: lab05.accuracy_at_density(search.spec(), 0.07),
        "density 0.07 is not kept",
    ),
    (lambda: lab05.synapses_by_pixel(search.spec(), "few"), "density 'few'"),
    (lambda: lab05.check_loop(-1, 33), "n -1 is not allowed"),
    (lambda: lab05.check_loop(600, 0), "count 0 is not allowed"),
    (lambda: lab05.grow_and_prune(fastest=0), "fastest 0 is not allowed"),
    (lambda: lab07.views(PROFILES["ci"], ["blur:middle"]), "eye 'middle': choose one of"),
)
def test_an_experiment_of_a_lab_is_refused_in_one_line(call, words):
    one_line(call, words)


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


def reads_a_name_that_is_nowhere(x, y):
    return UNKNOWN(x), y  # noqa: F821


def gives_tensors(net, images):
    return [w.norm() for w in net.parameters()]


def gives_what_is_not_finite(net, images):
    return [1.0, {"mean": float("nan")}]


def no_module(width, channels, size, classes):
    return torch.relu


def other_answers(width, channels, size, classes):
    return nn.Flatten()


def takes_its_arguments_in_another_order(channels, width, size, classes):
    return plain(width, channels, size, classes)


def takes_too_few(channels, size, classes):
    return plain(8, channels, size, classes)


def fits_no_images(width, channels, size, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size, classes))


def gives_a_pair(width, channels, size, classes):
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    return Pair()


REFUSED = (
    ("deficit", no_labels, "end it with return x, y"),
    ("deficit", double_precision, "returns other images"),
    ("deficit", eleven_classes, "values that are not labels: they go from 0 to 9"),
    ("deficit", divides_by_zero, "images that are not finite"),
    ("deficit", raises_two_lines, "ValueError: no"),
    ("deficit", reads_a_name_that_is_nowhere, "name 'UNKNOWN' is not defined"),
    ("measure", gives_tensors, "Object of type Tensor"),
    ("model", no_module, "does not return a network"),
    ("model", other_answers, "return logits (2, 10)"),
    ("model", takes_its_arguments_in_another_order, "take (width, channels, size, classes)"),
    ("model", LINEAR, "Linear is a network itself: give what makes one"),
    ("model", takes_too_few, "takes (channels, size, classes): take (width, channels"),
    ("model", fits_no_images, "does not fit images (N, 3, 8, 8) of 10 classes: take (width"),
    ("model", gives_a_pair, "for 2 images of 10 classes: return logits (2, 10)"),
)


@pytest.mark.parametrize(("field", "function", "words"), REFUSED)
def test_a_students_function_is_refused_in_one_line(field, function, words):
    options = {"length": 1} if field == "deficit" else {}
    one_line(lambda: cplab.run(recovery=1, profile="ci", **{field: function}, **options), words)


# Anything at all ----------------------------------------------------------------------------------

JUNK = ("many", 0.5)
# Classes of what others made; and functions that take any text, or leave it to Python to say what
# is wrong
OTHERS = {
    *("CplabError", "Result", "Figure", "Answer"),
    *(
        "deficit",
        "measurement",
        "model",
        "treatment",
        "experiment",
        "exercise",
        "hand_in",
        "if_possible",
    ),
    *("age", "colour", "figure", "label", "over_epochs", "question", "slide", "switch"),
    *("what_it_sees", "save", "class_figure", "class_table", "images_from", "harm_table"),
}
QUANTITIES = ("accuracy", "advantage", "equal_training_loss", "harm", "lost_time")


def public_functions():
    """The public functions and how many arguments each has to be given."""
    counts = {}
    names_of = {module: module.__all__ for module in (cplab, lab, show)}
    names_of[quantities] = QUANTITIES
    for module, names in names_of.items():
        for name in names:
            function = getattr(module, name)
            if name not in OTHERS and callable(function):
                parameters = inspect.signature(function).parameters.values()
                given = [
                    p for p in parameters if p.default is p.empty and p.kind < p.VAR_POSITIONAL
                ]
                counts[function] = max(1, len(given))
    return counts


@pytest.mark.parametrize("junk", JUNK, ids=str)
@pytest.mark.parametrize(("function", "count"), public_functions().items())
def test_junk_is_refused_in_one_line(function, count, junk):
    one_line(lambda: function(*[junk] * count))


ANY_VALUE = st.one_of(
    st.text(max_size=20),
    st.integers() | st.floats() | st.none() | st.booleans(),
    st.sampled_from([10**400, 2**63, 1e308, "\ud800", b"a", {"a": None}]),
    st.lists(st.integers(), max_size=3),
    st.tuples(st.text(max_size=5), st.integers(), st.integers()),
    st.sampled_from(["blur", "blur-2", "blur:left", "none+none", "allcnn-7", "ci", "blank@1+1"]),
)


@settings(max_examples=60)
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


@pytest.fixture
def shown(capsys):
    """The lines that a notebook shows of an error in a student's function."""
    InteractiveShell.instance().run_cell(CELL)
    text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    return [line for line in text.splitlines() if line.strip()]


def test_a_notebook_shows_an_error_in_three_lines(shown):
    assert len(shown) == 3


def test_a_notebook_shows_first_what_is_wrong(shown):
    assert shown[0].startswith("CplabError: seed -1 is not allowed")


def test_a_notebook_shows_where_an_error_arose_in_the_students_own_code(shown):
    assert "return cplab.Run(seed=-1)" in shown[2]
