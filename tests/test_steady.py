"""A student's own function follows from its arguments alone: what hides something is refused where
it is defined, in one line that says what."""

import datetime
import os
import random
import sys
import time
import types
import uuid
from os import getenv
from pathlib import Path
from time import perf_counter as clock
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import one_line
from torch import Tensor, nn

import cplab
from cplab import deficits, models
from cplab.deficits import Batch, apply_deficit, find_deficit
from cplab.errors import CplabError
from cplab.measure import MEASUREMENTS, parse_measures
from cplab.models import MODELS
from cplab.specs import steady

COUNT = 0
SEEN = []
TALLY = {"calls": 0}
LEFT = {"a": 1, "b": 2}
RIGHT = {"b": 2, "a": 1}
REMEMBERED = {}
MASK = torch.ones(12, 12)
MASK[6:] = 0
LARGE_MASK = torch.ones(28, 28)
LATE = 10_000  # calls: more than a trial has


# What differs from run to run ---------------------------------------------------------------------


def reads_time(x, y):
    return x * (time.time() % 7 > 8), y


def reads_a_clock_by_another_name(x, y):
    return x * (clock() < 0), y


def reads_a_clock_within(x, y):
    from time import monotonic

    return x * (monotonic() < 0), y


def reads_today(x, y):
    return x * (datetime.date.today().year < 0), y


def reads_the_environment(x, y):
    return x * len(os.environ.get("CPLAB_NOWHERE", "")), y


def reads_a_variable(x, y):
    return x * len(getenv("CPLAB_NOWHERE", "")), y


def reads_its_process(x, y):
    return x * (os.getpid() < 0), y


def reads_the_machine(x, y):
    return x * (torch.get_num_threads() < 0), y


def reads_an_identity(x, y):
    return x * (uuid.uuid4().int < 0), y


def reads_a_hash(x, y):
    return x * ("a".__hash__() % 7), y


def reads_now_from_numpy(x, y):
    return x * (np.datetime64("now") < np.datetime64("1999-01-01")), y


def reads_a_place_in_memory(x, y):
    return x * (x.data_ptr() < 0), y


def imports_a_clock_by_hand(x, y):
    return x * (__import__("time").time() < 0), y


def sets_threads(x, y):
    torch.set_num_threads(1)
    return x, y


def sets_the_default_type(x, y):
    torch.set_default_dtype(torch.float32)
    return x, y


def looks_into_a_folder(x, y):
    return x * len(os.listdir(".")), y


def asks_for_a_file(x, y):
    return x * (2 if Path("flag").exists() else 1), y


def reads_the_home_folder(x, y):
    return x * len(os.path.expanduser("~")), y


def reads_the_time_zone(x, y):
    return x * (1 + datetime.datetime.fromtimestamp(0).hour), y


def reads_the_program(x, y):
    return x * len(sys.executable), y


def reads_the_default_type(x, y):
    return x * (1 if torch.get_default_dtype() == torch.float32 else 2), y


UNSTEADY = {
    looks_into_a_folder: "os.listdir",
    asks_for_a_file: "exists",
    reads_the_home_folder: "os.path.expanduser",
    reads_the_time_zone: "fromtimestamp",
    reads_the_program: "sys.executable",
    reads_the_default_type: "torch.get_default_dtype",
    reads_now_from_numpy: "datetime64('now')",
    reads_a_place_in_memory: "data_ptr",
    imports_a_clock_by_hand: "time",
    sets_threads: "torch.set_num_threads",
    sets_the_default_type: "torch.set_default_dtype",
    reads_time: "time.time",
    reads_a_clock_by_another_name: "time.perf_counter",
    reads_a_clock_within: "monotonic",
    reads_today: "datetime.date.today",
    reads_the_environment: "os.environ",
    reads_a_variable: "getenv",
    reads_its_process: "os.getpid",
    reads_the_machine: "torch.get_num_threads",
    reads_an_identity: "uuid.uuid4",
    reads_a_hash: "__hash__",
}


@pytest.mark.parametrize("function", UNSTEADY, ids=lambda f: f.__name__)
def test_a_deficit_that_differs_from_run_to_run_is_refused(function):
    one_line(lambda: cplab.deficit(function), UNSTEADY[function], "leave it out")


def test_a_method_of_images_is_allowed_while_another_thread_loads_torch(monkeypatch):
    half_loaded = types.ModuleType("torch")
    monkeypatch.setitem(sys.modules, "torch", half_loaded)
    steady.check_reads("covers", "def covers(x, y):\n    return x.clone(), y", {}, "")


def reads_a_class(x, y):
    return x * isinstance(x, Tensor), y


def test_a_class_of_a_library_may_be_read():
    assert find_deficit(reads_a_class).source


def meets_keys(x, y):
    return x * next(LEFT[key] for key in LEFT.keys() & RIGHT.keys()), y


def subtracts_keys(x, y):
    alone = LEFT.keys() - RIGHT.keys()
    return x * len(next(iter(alone), "")), y


def meets_keys_with_names(x, y):
    left = LEFT.keys()
    right = RIGHT.keys()
    return x * next(LEFT[key] for key in left & right), y


ORDERED_BY_HASH = [meets_keys, subtracts_keys, meets_keys_with_names]


@pytest.mark.parametrize("function", ORDERED_BY_HASH, ids=lambda f: f.__name__)
def test_the_order_of_keys_that_two_dicts_share_is_refused(function):
    one_line(lambda: cplab.deficit(function), "set", "sorted")


def sorts_keys(x, y):
    return x * next(LEFT[key] for key in sorted(LEFT.keys() & RIGHT.keys())), y


def test_keys_that_two_dicts_share_may_be_sorted():
    assert apply_deficit(torch.ones(2, 1, 4, 4), torch.arange(2), sorts_keys)[0].mean() == 1


# Random numbers -----------------------------------------------------------------------------------


def draws_from_python(x, y):
    return x * (random.random() < 2), y


def draws_from_numpy(x, y):
    return x * (np.random.rand() < 2), y


def makes_a_generator_of_numpy(x, y):
    return x * (np.random.default_rng().random() < 2), y


def makes_a_generator_of_numpy_with_no_seed(x, y):
    return x * (np.random.default_rng(seed=None).random() < 2), y


def makes_a_generator_of_python(x, y):
    return x * (random.Random().random() < 2), y


def seeds_by_chance(x, y, *, generator):
    generator.seed()
    return x * (torch.rand((), generator=generator) < 2), y


def seeds_torch(x, y):
    torch.manual_seed(0)
    return x, y


def draws_within_a_library(x, y):
    from scipy import stats

    return x * float(stats.norm.rvs() < 99), y


CHANCE = [draws_from_python, draws_from_numpy, makes_a_generator_of_numpy]
CHANCE += [makes_a_generator_of_numpy_with_no_seed, makes_a_generator_of_python, seeds_by_chance]
CHANCE += [seeds_torch, draws_within_a_library]


class Trial(NamedTuple):
    """A deficit that was tried and refused, and all streams of random numbers before and after."""

    error: CplabError
    before: tuple
    after: tuple


def streams_of_random_numbers():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


@pytest.fixture(scope="module", params=CHANCE, ids=lambda function: function.__name__)
def trial(request):
    before = streams_of_random_numbers()
    with pytest.raises(CplabError) as refused:
        cplab.deficit(request.param)
    return Trial(refused.value, before, streams_of_random_numbers())


def test_chance_that_no_seed_decides_is_refused(trial):
    def refuse():
        raise trial.error

    one_line(refuse, "generator")


def test_a_trial_leaves_all_streams_of_random_numbers_as_they_were(trial):
    assert trial.after == trial.before


def makes_generators_with_seeds(x, y, *, context):
    first = np.random.default_rng(context.seed).random()
    second = random.Random(context.epoch).random()
    return x * first * second, y


def test_generators_with_a_seed_are_allowed():
    assert find_deficit(makes_generators_with_seeds).source


def draws_in_later_epochs(x, y, *, context):
    if context.epoch < 1:
        return -x, y
    return x + torch.randn_like(x), y


def draws_for_whole_batches(x, y):
    if len(x) < 8:
        return -x, y
    order = torch.randperm(len(x))
    return x[order], y[order]


CAREFREE = [draws_in_later_epochs, draws_for_whole_batches]


@pytest.mark.parametrize("function", CAREFREE, ids=lambda f: f.__name__)
def test_equal_seeds_give_equal_numbers_wherever_torch_is_drawn_from(function):
    run = cplab.Run(function, length=2, recovery=1, profile="ci")
    first = cplab.run(run, fresh=True)
    torch.manual_seed(99)
    assert cplab.run(run, fresh=True).curve[-1]["train_loss"] == first.curve[-1]["train_loss"]


# What is kept from call to call -------------------------------------------------------------------


def counts(x, y):
    global COUNT
    COUNT += 1
    return x * (1 if COUNT < LATE else 2), y


def fills_a_list(x, y):
    SEEN.append(1)
    return x * (1 if len(SEEN) < LATE else 2), y


def fills_a_dict(x, y):
    TALLY["calls"] += 1
    return x * (1 if TALLY["calls"] < LATE else 2), y


class Tally:
    calls = 0

    def many(self):
        return self.calls > LATE


def counts_in_a_class(x, y):
    Tally.calls += 1
    return x * (2 if Tally().many() else 1), y


def fills_a_default(x, y, seen=[]):  # noqa: B006
    seen.append(1)
    return x * (1 if len(seen) < LATE else 2), y


def marks_itself(x, y):
    marks_itself.calls = getattr(marks_itself, "calls", 0) + 1
    return x * (1 if marks_itself.calls < LATE else 2), y


KEEPING = [counts, counts_in_a_class, fills_a_list, fills_a_dict, fills_a_default, marks_itself]


@pytest.mark.parametrize("function", KEEPING, ids=lambda f: f.__name__)
def test_a_deficit_that_keeps_something_from_call_to_call_is_refused(function):
    one_line(lambda: cplab.deficit(function), "keeps something", "only on what it is given")


def keeps_the_first_batch(x, y):
    if "mean" not in REMEMBERED:
        REMEMBERED["mean"] = x.mean()
    return x - REMEMBERED["mean"], y


def test_a_deficit_that_depends_on_the_batches_before_is_refused():
    one_line(lambda: cplab.deficit(keeps_the_first_batch), "other batches came before")


def looks_up(x, y, *, context):
    if context.seed not in REMEMBERED:
        random = torch.Generator().manual_seed(context.seed)
        REMEMBERED[context.seed] = torch.rand(1, generator=random)
    return x * REMEMBERED[context.seed], y


def test_a_look_up_that_is_always_the_same_is_allowed():
    assert find_deficit(looks_up).source


def test_a_trial_leaves_nothing_in_the_function_that_trains():
    assert find_deficit(looks_up).apply.__globals__["REMEMBERED"] == {}


@pytest.fixture
def odd_calls_differ():
    """A deficit whose every other call gives something else."""
    calls = []

    def alternate(x, y):
        calls.append(1)
        return x * (-1) ** len(calls), y

    return deficits.Deficit("alternate@00000000", alternate, "alternate", source="text")


def test_in_training_a_batch_is_asked_for_twice(odd_calls_differ):
    x = torch.ones(3, 1, 4, 4)
    y = torch.arange(3)
    batch = Batch(torch.arange(3), seed=4, epoch=7, images=3)
    words = "alternate", "epoch 7", "seed 4"
    answer = odd_calls_differ(x, y, batch)
    one_line(lambda: odd_calls_differ.check_again(x, y, batch, answer), *words)


# What no trial reaches ----------------------------------------------------------------------------


def counts_late_short_batches(x, y, *, context):
    if context.epoch > 2 and len(x) == 18:  # the last batch, which no trial has
        SEEN.append(1)
        return x * (1 + len(SEEN)), y
    return -x, y


def test_a_deficit_that_counts_where_no_trial_looks_ends_without_a_result():
    run = cplab.Run(counts_late_short_batches, 0, 5, 1, profile="tiny", images=50)
    one_line(lambda: cplab.run(run, fresh=True), "counts_late_short_batches keeps something")
    one_line(lambda: cplab.run(run), "keeps something")  # nothing of the first is left in it


def uses_numbers_of_nobody(x, y):
    return x + torch.empty(x.shape), y


def test_numbers_of_torch_empty_are_refused():
    one_line(lambda: cplab.deficit(uses_numbers_of_nobody), "not finite")


# Sizes --------------------------------------------------------------------------------------------


def covers_tiny_images(x, y):
    return x * MASK, y


def test_a_mask_of_twelve_pixels_fits_the_profile_that_has_them():
    result = cplab.run(deficit=covers_tiny_images, length=1, recovery=1, profile="tiny")
    assert result.accuracy > 0


def test_a_mask_of_another_size_says_on_which_images_it_failed():
    def train():
        cplab.run(deficit=covers_tiny_images, length=1, recovery=1, profile="ci", fresh=True)

    one_line(train, "covers_tiny_images fails", "(12)", "epoch 0", "8, 8)")


def covers_large_images(x, y):
    return x * LARGE_MASK, y


def test_a_mask_that_fits_no_profile_is_refused():
    one_line(lambda: cplab.deficit(covers_large_images), "covers_large_images fails", "28")


# Names --------------------------------------------------------------------------------------------


def blur(x, y):
    return x, y


def test_a_deficit_called_as_one_of_the_package_is_refused():
    one_line(lambda: cplab.deficit(blur), "blur is built in", "another name")


def trace(net, images):
    return 1.0


def test_a_measurement_called_as_one_of_the_package_is_refused():
    one_line(lambda: parse_measures(trace), "trace is built in", "another name")


def allcnn(width, channels, size, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, classes))


def test_a_model_called_as_one_of_the_package_is_refused():
    one_line(lambda: models.model_name(allcnn), "allcnn is built in", "another name")


def test_the_package_keeps_its_own_of_that_name():
    one_line(lambda: cplab.deficit(blur))
    assert find_deficit("blur").source == ""


# Networks and measurements ------------------------------------------------------------------------


class Linear(nn.Module):
    def __init__(self, width, channels, size, classes):
        super().__init__()
        self.layer = nn.Linear(channels * size * size, classes)
        self.calls = 0

    def forward(self, x):
        return self.layer(x.flatten(1))


class Counting(Linear):
    def forward(self, x):
        self.calls += 1
        return self.layer(x.flatten(1)) * (1 if self.calls < LATE else 2)


class NoisyInATest(Linear):
    def forward(self, x):
        logits = self.layer(x.flatten(1))
        return logits if self.training else logits + torch.randn_like(logits)


REFUSED_NETWORKS = {Counting: "keeps something", NoisyInATest: "draws random numbers"}


@pytest.mark.parametrize("network", REFUSED_NETWORKS, ids=lambda c: c.__name__)
def test_a_network_that_counts_or_draws_when_it_is_used_is_refused(network):
    known = [*MODELS]
    one_line(lambda: models.model_name(network), network.__name__, REFUSED_NETWORKS[network])
    assert [*MODELS] == known


class CountingLate(Linear):
    def forward(self, x):
        if len(x) not in (4, 128):  # no trial's
            self.calls += 1
        return self.layer(x.flatten(1)) * (1 + self.calls / 100)


class GoingOn(Linear):
    def __init__(self, *size):
        super().__init__(*size)
        self.random = np.random.default_rng(0)

    def forward(self, x):
        chance = self.random.random() if len(x) not in (4, 128) else 0
        return self.layer(x.flatten(1)) * (1 + chance)


class LeavingOut(Linear):
    def __init__(self, *size):
        super().__init__(*size)
        self.register_buffer("passes", torch.zeros(()), persistent=False)

    def forward(self, x):
        if len(x) not in (4, 128):
            self.passes = self.passes + 1
        return self.layer(x.flatten(1)) * (1 + self.passes / 100)


@pytest.mark.parametrize("network", [CountingLate, GoingOn, LeavingOut], ids=lambda c: c.__name__)
def test_a_network_that_keeps_more_than_its_checkpoint_ends_without_a_result(network):
    run = cplab.Run("blur", 0, 1, 1, profile="ci", model=network)
    one_line(lambda: cplab.run(run, fresh=True), f"{network.__name__} keeps something")


class Remembering(Linear):
    def forward(self, x):
        self.last = self.layer(x.flatten(1))
        return self.last


class Averaging(Linear):
    def __init__(self, *size):
        super().__init__(*size)
        self.register_buffer("average", torch.zeros(10))

    def forward(self, x):
        logits = self.layer(x.flatten(1))
        if self.training:
            self.average = 0.9 * self.average + 0.1 * logits.detach().mean(0)
        return logits - self.average


class DrawingLate(Linear):
    def forward(self, x):
        logits = self.layer(x.flatten(1))
        if len(x) in (4, 128):  # a trial's
            return logits
        return logits + torch.rand_like(logits)


@pytest.mark.parametrize("profile", ["tiny", "ci"])
@pytest.mark.parametrize("network", [Remembering, Averaging], ids=lambda c: c.__name__)
def test_a_network_may_keep_what_its_checkpoint_holds_or_each_pass_writes_anew(network, profile):
    run = cplab.Run("blur", 0, 1, 1, profile=profile, model=network)
    beside = cplab.sweep([run, run.with_seed(1)], fresh=True)
    assert beside[0].curve[-1]["train_loss"] == cplab.run(run, fresh=True).curve[-1]["train_loss"]


@pytest.mark.parametrize("profile", ["tiny", "ci"])
def test_a_network_that_draws_where_no_trial_looks_is_decided_by_its_seed(profile):
    run = cplab.Run("blur", 0, 1, 1, profile=profile, model=DrawingLate)
    beside = cplab.sweep([run.with_seed(1), run], fresh=True)
    torch.manual_seed(99)
    assert beside[1].curve[-1]["train_loss"] == cplab.run(run, fresh=True).curve[-1]["train_loss"]


class DrawingLater(Linear):
    def forward(self, x):
        logits = self.layer(x.flatten(1))
        return logits if len(x) in (4, 40, 128) else logits + torch.rand_like(logits)


def test_a_network_in_a_stack_that_draws_after_all_is_refused():
    run = cplab.Run("blur", 0, 1, 1, profile="tiny", model=DrawingLater)
    one_line(lambda: cplab.run(run, fresh=True), "DrawingLater draws random numbers")


class Hollow(Linear):
    def __init__(self, width, channels, size, classes):
        super().__init__(width, channels, size, classes)
        self.factor = nn.Parameter(torch.empty(classes))

    def forward(self, x):
        return self.layer(x.flatten(1)) * self.factor


def test_a_weight_without_numbers_is_named():
    one_line(lambda: models.model_name(Hollow), "weights without numbers", "factor")


def of_twelve_pixels(width, channels, size, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(144, classes))


def test_a_network_for_one_size_alone_fits_the_profile_that_has_it():
    assert cplab.Run(profile="tiny", model=of_twelve_pixels).model.startswith("of_twelve_pixels@")


def measures_a_clock(net, images):
    return {"seconds": time.perf_counter()}


def counts_measurements(net, images):
    SEEN.append(1)
    return len(SEEN) > LATE


@pytest.mark.parametrize(
    ("function", "word"),
    [(measures_a_clock, "perf_counter"), (counts_measurements, "keeps something")],
)
def test_a_measurement_that_hides_something_is_refused(function, word):
    known = [*MEASUREMENTS]
    one_line(lambda: parse_measures(function), function.__name__, word)
    assert [*MEASUREMENTS] == known
