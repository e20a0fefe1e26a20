"""What other threads do to torch changes no result, and training changes nothing of theirs."""

import functools
import sys
import threading
from contextlib import contextmanager, suppress
from functools import partial
from typing import NamedTuple
from unittest import mock

import pytest
import torch
from conftest import a_run, grown, one_line
from torch import nn

import cplab
from cplab import devices, models, patches
from cplab.deficits import Batch, find_deficit
from cplab.errors import CplabError
from cplab.runs import Run
from cplab.seeding import Seeded

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")

MOSAIC = Run("mosaic", 0, 3, recovery=3, profile="tiny", dataset="mnist", images=100)
TINY = [MOSAIC.with_seed(seed) for seed in range(8)]
LARGER = [a_run("noise", 1, 1, model=model) for model in ("allcnn", "fc", "resnet18-4")]


@contextmanager
def meanwhile(act):
    """Another thread that acts without pause; Python switches between the two ten times a
    millisecond."""
    usual = sys.getswitchinterval()
    stop = threading.Event()

    def work():
        while not stop.is_set():
            act()

    thread = threading.Thread(target=work)
    sys.setswitchinterval(1e-4)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(usual)


@contextmanager
def default_type(kind):
    """torch with another default type, as a cell above may have set it."""
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def switch_default_type():
    torch.set_default_dtype(torch.float64)
    nn.Linear(3, 3)
    torch.set_default_dtype(torch.float32)


def switch(setting, *values):
    """Set a setting of torch to each value in turn."""
    for value in values:
        setting(value)


def switch_determinism():
    torch.use_deterministic_algorithms(True)
    nn.Linear(3, 3)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def undisturbed(elsewhere):
    return elsewhere(lambda: grown(TINY + LARGER))[0]


DISTURBANCES = {
    "draws": lambda: torch.rand(7),
    "builds networks": lambda: nn.Linear(7, 7),
    "seeds": lambda: torch.manual_seed(1),
    "seeds and draws": lambda: torch.manual_seed(1).initial_seed() + torch.rand(3).sum(),
    "sets the default type": switch_default_type,
    "asks for deterministic algorithms": switch_determinism,
    "sets the number of threads": partial(switch, torch.set_num_threads, 2, 3),
    "sets the default device": partial(switch, torch.set_default_device, "meta", "cpu"),
    "flushes denormals": partial(switch, torch.set_flush_denormal, True, False),
    "forbids gradients": partial(switch, torch.set_grad_enabled, False, True),
    "defines a network": lambda: models.MODELS["mlp1"].make(3, 1, 4, 10),
}


@pytest.mark.parametrize("disturbance", DISTURBANCES)
def test_runs_have_the_same_bits_whatever_another_thread_does(disturbance, undisturbed):
    with meanwhile(DISTURBANCES[disturbance]):
        disturbed = grown(TINY)
    assert disturbed == {run: undisturbed[run] for run in TINY}


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16], ids=str)
def test_a_default_type_of_the_user_s_changes_no_bit(kind, undisturbed):
    runs = TINY[:3] + LARGER
    with default_type(kind):
        assert grown(runs) == {run: undisturbed[run] for run in runs}


class Overlapping(NamedTuple):
    """What two trainings that overlap find, and the user's settings of torch after them."""

    outcomes: dict
    threads_meanwhile: int  # when the shorter one has ended
    default_type: torch.dtype
    threads: int
    products: str


def train_two():
    """Train in two threads, one of which ends while the other goes on."""
    outcomes = {}
    began = threading.Event()

    def train_in_thread():
        outcomes.update(grown(TINY[:5], report=lambda *_: began.set()))

    thread = threading.Thread(target=train_in_thread)
    thread.start()
    began.wait(60)
    outcomes.update(grown(LARGER[:1]))
    threads_meanwhile = torch.get_num_threads()
    thread.join()
    return Overlapping(
        outcomes,
        threads_meanwhile,
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
    )


@pytest.fixture(scope="module")
def overlapping(elsewhere):
    """Of a user whose settings are unusual."""
    torch.set_num_threads(2)
    torch.set_float32_matmul_precision("high")
    try:
        with default_type(torch.float64):
            return elsewhere(train_two)[0]
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.set_num_threads(1)


def test_trainings_that_overlap_change_no_bit(overlapping, undisturbed):
    runs = (*TINY[:5], *LARGER[:1])
    assert overlapping.outcomes == {run: undisturbed[run] for run in runs}


def test_trainings_that_overlap_leave_the_default_type(overlapping):
    assert overlapping.default_type == torch.float64


def test_trainings_that_overlap_leave_the_precision_of_products(overlapping):
    assert overlapping.products == "high"


def test_trainings_that_overlap_leave_the_number_of_threads(overlapping):
    assert overlapping.threads == 2


def test_a_training_leaves_the_number_of_threads_while_another_goes_on(overlapping):
    assert overlapping.threads_meanwhile == 2


def test_the_user_s_own_random_numbers_are_the_same_with_a_training_in_between():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    grown(TINY[:2])
    assert torch.equal(torch.rand(3), expected)


DRAWS = {
    "layers": lambda: nn.Linear(30, 20).weight.detach(),
    "rand": lambda: torch.rand(20),
    "randn": lambda: torch.randn(3, 20),
    "randint": lambda: torch.randint(2, 9, (20,)),
    "randperm": lambda: torch.randperm(20),
    "like another": lambda: torch.randn_like(torch.ones(20)) + torch.rand_like(torch.ones(20)),
    "normal": lambda: torch.normal(0.0, 1.0, (20,)),
    "dropout": lambda: nn.functional.dropout(torch.ones(20)),
    "orthogonal": lambda: nn.init.orthogonal_(torch.empty(4, 4)),
    "truncated": lambda: nn.init.trunc_normal_(torch.empty(20)),
    "multinomial": lambda: torch.multinomial(torch.ones(20), 5),
    "a distribution": lambda: torch.distributions.Exponential(torch.ones(20)).sample(),
}


@pytest.mark.parametrize("draw", DRAWS)
def test_seeded_draws_are_those_of_torch_s_own_generator(draw):
    torch.manual_seed(5)
    expected = DRAWS[draw]()
    with Seeded(5):
        assert torch.equal(DRAWS[draw](), expected)


@pytest.mark.parametrize("draw", DRAWS)
def test_seeded_floats_are_float32_where_the_default_type_is_another(draw):
    torch.manual_seed(5)
    expected = DRAWS[draw]()
    with default_type(torch.float64), Seeded(5):
        drawn = DRAWS[draw]()
    assert drawn.dtype == expected.dtype
    assert torch.equal(drawn, expected)


FLOATS = {
    "of Python": lambda: torch.tensor([1, 0.3]),
    "a quotient": lambda: torch.arange(5) / 3,
    "a product": lambda: torch.arange(5) * 0.3,
    "a root": lambda: torch.arange(5).sqrt(),
    "a grid": lambda: torch.linspace(0, 1, 7),
    "frequencies": lambda: torch.fft.fftfreq(5),
    "whole numbers": lambda: torch.full((2,), 3),
    "double, since it is asked for": lambda: torch.arange(3).double() / 7,
    "of a double": lambda: torch.tensor([0.1], dtype=torch.float64) / 3,
}


@pytest.mark.parametrize("make", FLOATS)
def test_under_seeded_the_default_type_decides_no_type(make):
    expected = FLOATS[make]()
    with default_type(torch.float64), Seeded(0):
        made = FLOATS[make]()
    assert made.dtype == expected.dtype
    assert torch.equal(made, expected)


@pytest.mark.parametrize("model", models.MODELS)
def test_every_network_begins_with_the_bits_of_a_seeded_torch(model):
    size = 32
    torch.manual_seed(7)
    expected = models.build(f"{model}-4", 3, size).state_dict()
    with default_type(torch.float64), Seeded(7):
        weights = models.build(f"{model}-4", 3, size).state_dict()
    for name, value in expected.items():
        assert torch.equal(weights[name], value)


def grainy(x, y):
    """A student's deficit that draws from torch."""
    return x + 0.1 * torch.randn_like(x), y


def grains_of(batch):
    """What it draws for a batch of black images."""
    x, _ = find_deficit(grainy)(torch.zeros(4, 1, 5, 5), torch.arange(4), batch)
    return x


BATCH = Batch(torch.arange(4), seed=1, epoch=2)


def test_draws_of_a_student_s_deficit_are_decided_by_the_batch():
    expected = grains_of(BATCH)
    torch.manual_seed(3)
    assert torch.equal(grains_of(BATCH), expected)


def test_draws_of_a_student_s_deficit_are_new_in_each_epoch():
    later = Batch(torch.arange(4), seed=1, epoch=3)
    assert not torch.equal(grains_of(later), grains_of(BATCH))


def test_a_deficit_can_be_defined_while_another_thread_draws():
    def coarse(x, y):
        return x + 0.2 * torch.randn_like(x), y

    with meanwhile(lambda: torch.rand(3)):
        name = cplab.deficits.canonical_name(coarse)
    assert name.startswith("coarse@")


SETTINGS = {
    "oneDNN": partial(switch, torch.backends.mkldnn.set_flags, False, True),
    "products": partial(switch, torch.set_float32_matmul_precision, "medium", "highest"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_another_thread_changes_ends_in_one_line_or_changes_no_bit(
    name, undisturbed
):
    trained = {}
    with meanwhile(SETTINGS[name]), suppress(CplabError):
        trained = grown(TINY[:5])
    assert trained in ({}, {run: undisturbed[run] for run in TINY[:5]})


def test_precision_says_what_is_unusual_of_torch_s_settings():
    cpu = torch.device("cpu")
    usual = devices.precision("float32", cpu)
    torch.backends.mkldnn.set_flags(False)
    try:
        assert devices.precision("float32", cpu) == f"{usual}, oneDNN off"
    finally:
        torch.backends.mkldnn.set_flags(True)


def test_a_type_that_is_given_by_its_place_is_taken():
    def scale(count, x):
        return x * (1 + (count + 1) / 100)

    with torch.inference_mode(), Seeded(0):
        scaled = torch.func.vmap(scale)(torch.zeros(2), torch.ones(2, 3))
    assert scaled.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bool])
def test_a_tensor_without_numbers_is_always_the_same(dtype):
    with Seeded(0):
        first = torch.empty(9, dtype=dtype)
        second = torch.empty(9, dtype=dtype)
    assert torch.equal(first.nan_to_num(), second.nan_to_num())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tensor_without_numbers_has_none_that_is_finite(dtype):
    with Seeded(0):
        assert not torch.empty(9, dtype=dtype).isfinite().any()


def doubled(layer, x, y):
    return y * 2


@contextmanager
def hooked():
    """torch with a hook of other code on all layers."""
    hook = nn.modules.module.register_module_forward_hook(doubled)
    try:
        yield
    finally:
        hook.remove()


def bent(home, name, value):
    """torch in which other code has put something else in the place of its own."""
    return mock.patch.object(home, name, value)


def wrapped(function):
    """A function as a decorator makes it, with the name and the module of the one inside."""

    @functools.wraps(function)
    def inner(*args, **options):
        return function(*args, **options) * 2

    return inner


F = nn.functional
PATCHES = {
    "a hook on all layers": hooked,
    "one of torch's functions for another": lambda: bent(F, "relu", F.gelu),
    "a function of one's own": lambda: bent(F, "relu", lambda x, inplace=False: x * 0),
    "a wrapper": lambda: bent(F, "cross_entropy", wrapped(F.cross_entropy)),
    "a layer": lambda: bent(F, "relu", nn.GELU()),
    "a partial function": lambda: bent(F, "relu", functools.partial(F.leaky_relu)),
    "a function of torch's own": lambda: bent(torch, "relu", torch.sigmoid),
    "a builtin of torch's in Python": lambda: bent(torch, "where", wrapped(torch.where)),
    "a layer's pass": lambda: bent(nn.ReLU, "forward", nn.GELU.forward),
    "a layer's pass of one's own": lambda: bent(nn.Conv2d, "forward", lambda self, x: x),
}


@pytest.mark.parametrize("patch", PATCHES)
def test_nothing_is_trained_where_other_code_has_replaced_what_torch_computes(patch):
    with PATCHES[patch]():
        one_line(lambda: grown(TINY[:1]), "other code has", "restart Python")


def test_a_function_that_is_replaced_in_mid_training_ends_it():
    def replace(number, rows):
        F.relu = bend

    def bend(x, inplace=False):
        return x

    original = F.relu
    try:
        one_line(lambda: grown(TINY[:1], report=replace), "torch.nn.functional.relu")
    finally:
        F.relu = original


def test_torch_put_back_trains_the_same_numbers(undisturbed):
    with bent(F, "relu", F.gelu):
        one_line(lambda: grown(TINY[:1]), "other code")
    assert grown(TINY[:1]) == {TINY[0]: undisturbed[TINY[0]]}


def test_a_name_that_other_code_adds_to_torch_changes_nothing(undisturbed):
    with mock.patch.object(F, "swash", lambda x: x, create=True):
        assert grown(TINY[:1]) == {TINY[0]: undisturbed[TINY[0]]}


def test_every_function_of_this_torch_is_taken_for_its_own():
    replaced = [
        place for place, *function in patches.functions_of_torch() if patches.is_replaced(*function)
    ]
    assert replaced == []
    assert len(list(patches.functions_of_torch())) > 500
