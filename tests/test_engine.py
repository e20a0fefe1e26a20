"""The engine: the data of an epoch, the steps of training, events, measurements, and trees of lives
that equal each life trained alone, bit for bit."""

import gc
import hashlib
import itertools
import math
import random
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import a_run, one_line, runs, train_epoch, train_stretch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cplab import data, devices, models
from cplab.deficits import DEFICITS, Batch, find_deficit
from cplab.engine import train
from cplab.engine.stack import is_stacked
from cplab.engine.sweep import Context, train_all, training_of, usual_workers
from cplab.engine.tree import plan
from cplab.errors import Cancelled, Diverged
from cplab.gallery import occlude
from cplab.measure import MEASUREMENTS, Measurement
from cplab.measure.measurements import AT_BIRTH
from cplab.results.result import without_times
from cplab.runs import Run, tasks
from cplab.specs.profiles import PROFILES

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")


# Runs that share beginnings in every way: branches at each epoch, ends inside other runs, two runs
# of the same steps, two seeds, a second window.
GRID = [
    *(a_run("blur", 0, length) for length in (0, 1, 3)),
    *(a_run("noise", 1, length) for length in (1, 2)),
    a_run("flip", 0, 2),
    a_run("flip", 0, 2, windows=[("blank", 2, 1)]),
    a_run("permute", 2, 1),
    a_run("blur", 0, 3, seed=1),
    a_run(schedule="fixed", onset=1, recovery=0),
    a_run(schedule="fixed", onset=1, recovery=2),
    a_run(schedule="fixed", onset=0, recovery=3),
]


def trained(spec, **how):
    """The rows of a run that is trained alone, without times."""
    return without_times(train_stretch(spec, len(spec.timeline), device="cpu", **how).rows)


def grown(specs, measures=None, workers=1, **context):
    """What training runs as a tree gives, by spec, without times; and what diverged."""
    found, diverged = {}, {}
    for spec, one in train_all(specs, Context("cpu", workers=workers, **context), measures):
        if isinstance(one, Diverged):
            diverged[spec] = one
        else:
            found[spec] = without_times(one.values), without_times(one.measured)
    return found, diverged


def alone(spec, measures=None):
    """What the life of a spec gives that is trained alone, without times."""
    end = len(spec.timeline)
    one = training_of(spec, train_stretch(spec, end, device="cpu", measures=measures, last=True))
    return without_times(one.values), without_times(one.measured)


@pytest.fixture(scope="session")
def each_alone(elsewhere):
    return elsewhere(lambda: {run: alone(run) for run in GRID})[0]


def files():
    return sorted((data.cache_dir() / "checkpoints").glob("*"))


# The data of an epoch -----------------------------------------------------------------------------


def numbered(count=300, size=8, channels=3):
    """Random images that are each their own class, left as they are by normalising."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(1, 256, (count, size, size, channels), generator=generator).byte()
    y = torch.arange(count)
    zero, one = torch.zeros(channels), torch.ones(channels)
    return data.Images("numbered", "test", x, y, x, y, zero, one)


def batches(run, epoch, images=None):
    """What the loop gives the network: images and labels under the deficit of the epoch."""
    images, step = images or numbered(), run.timeline[epoch]
    count = len(images.train_y)
    return [
        step.deficit(x, images.train_y[index], Batch(index, run.seed, epoch, count))
        for index, x in run.task.batches(epoch, step, images)
    ]


def epoch_of(run, epoch, images=None):
    """Images and labels of an epoch, as long tensors."""
    some = batches(run, epoch, images)
    return torch.cat([x for x, _ in some]), torch.cat([y for _, y in some])


@pytest.mark.parametrize(("batch", "sizes"), [(None, [128, 128, 44]), (200, [200, 100])])
def test_an_epoch_shows_every_image_once_in_batches_of_the_profile_s_size_or_its_own(batch, sizes):
    for epoch in range(3):
        labels = [y for _, y in batches(a_run(onset=3, batch=batch), epoch)]
        assert [len(y) for y in labels] == sizes
        assert sorted(torch.cat(labels).tolist()) == list(range(300))
    one_line(lambda: batches(a_run(onset=3, batch=299), 0), "300", "one image")


def test_an_image_is_a_crop_of_its_zero_padded_self_half_of_the_time_mirrored():
    profile, shift = "paper", 4
    size = PROFILES[profile].size
    images = numbered(size=size)
    padded = np.pad(images.train_x.numpy(), ((0, 0), *[(shift, shift)] * 2, (0, 0)))
    x, y = epoch_of(Run(profile=profile, onset=1), 0, images)
    found = []
    for image, label in zip(x.permute(0, 2, 3, 1).numpy(), y, strict=True):
        for mirrored in (False, True):
            whole = np.flip(image, 1) if mirrored else image
            for row in range(2 * shift + 1):
                for column in range(2 * shift + 1):
                    crop = padded[label, row : row + size, column : column + size]
                    if np.array_equal(whole, crop):
                        found.append((row, column, mirrored))
    assert len(found) == 300  # exactly one way for each image
    rows, columns, mirrors = zip(*found, strict=True)
    assert set(rows) == set(columns) == set(range(2 * shift + 1))
    assert 100 < sum(mirrors) < 200
    assert len(set(found)) > 0.7 * min(300, 2 * (2 * shift + 1) ** 2)  # independent of each other


def test_the_data_are_a_function_of_seed_and_epoch():
    x, y = epoch_of(a_run(seed=3), 1)
    torch.manual_seed(9)
    again, labels = epoch_of(a_run("blur", 4, 2, seed=3), 1)
    assert torch.equal(again, x)
    assert torch.equal(labels, y)
    for other in ((a_run(seed=4), 1), (a_run(seed=3), 0)):
        different, labels = epoch_of(*other)
        assert not torch.equal(labels, y)
        back = different[labels.argsort()], x[y.argsort()]
        assert not torch.equal(*back)  # crops differ as well as the order


def test_the_data_of_an_epoch_stay_what_they_are():
    """Order, crops and mirroring, to the pixel: all results depend on them."""
    x, y = epoch_of(a_run(seed=3), 1)
    digest = hashlib.sha256(x.byte().numpy().tobytes() + y.numpy().tobytes()).hexdigest()[:12]
    assert digest == "64b4849eba20", (
        "the same run is now shown other data: if that is on purpose, raise Run.version by one, "
        "train and ship the results again, and pin the new value here"
    )


# The loop -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "native"),
    [
        ({"momentum": 0.9}, False),
        ({"momentum": 0, "model": "depth2"}, False),
        ({"model": "resnet18", "weight_decay": 0.15}, False),
        ({"optimizer": "adam"}, False),
        ({"schedule": "fixed", "batch": 100}, True),
    ],
    ids=str,
)
def test_training_is_torch_s_optimizer_batch_by_batch(fields, native, monkeypatch):
    """In bfloat16, which torch can do on any machine, each batch meets the weights of the step
    before, too."""
    monkeypatch.setattr(devices, "has_bf16", lambda device: native)
    run = a_run("blur", 1, 1, **{"schedule": "paper", "weight_decay": 0.3, **fields})
    images, net = data.images("mnist", "ci"), run.task.birth(CPU).net
    kind = {"sgd": partial(torch.optim.SGD, momentum=run.momentum), "adam": torch.optim.Adam}
    optimizer = kind[run.optimizer](net.parameters(), weight_decay=run.settings.weight_decay)
    losses = []
    for epoch in range(run.epochs):
        net.train()
        optimizer.param_groups[0]["lr"] = run.timeline[epoch].lr
        losses.append(0.0)
        for x, y in batches(run, epoch, images):
            with torch.autocast("cpu", torch.bfloat16, enabled=native):
                loss = nn.functional.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1] += loss.item() * len(y) / 300
    rows, rel = trained(run), 1e-4 if not native and "resnet" not in run.model else 3e-3
    assert [row["train_loss"] for row in rows] == pytest.approx(losses, rel=rel)
    assert [row["lr"] for row in rows] == [step.lr for step in run.timeline]
    assert [row["epoch"] for row in rows] == [row["part"] for row in rows] == list(range(4))


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("two_threads")
def test_trainings_that_overlap_leave_the_number_of_threads_as_it_was():
    first, second = devices.torch_defaults(1), devices.torch_defaults(1)
    first.__enter__()
    second.__enter__()
    for each in (first, second):
        each.__exit__(None, None, None)
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_a_small_network_has_one_thread_and_a_result_says_how_many():
    small, two = train_stretch(a_run(), 1), train_stretch(a_run(), 1, threads=2)
    assert (small.how["threads"], two.how["threads"]) == (1, 2)
    assert devices.usual_threads("paper", torch.device("cpu")) == 2
    begun = train_stretch(a_run(), 2, [two.content], threads=1)  # which begins at birth
    assert begun.rows[0]["train_loss"] == small.rows[0]["train_loss"]


def test_a_network_learns_and_is_tested_on_clear_images_with_true_labels():
    assert trained(a_run(onset=30))[-1]["test_accuracy"] > 0.5
    permuted = trained(a_run("permute", 0, 30, recovery=0))[-1]
    assert permuted["train_loss"] < 1.5  # it learned, but the wrong labels
    assert permuted["test_accuracy"] < 0.1


def test_seeded_gives_each_thread_its_own_numbers():
    """The explorer trains in a thread."""
    from concurrent.futures import ThreadPoolExecutor

    def draw(seed):
        with tasks.seeded(seed):
            return [torch.rand(1).item() for _ in range(50)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(draw, [seed % 4 for seed in range(64)]))
    assert found == [draw(seed % 4) for seed in range(64)]


def test_training_leaves_the_global_generators_alone():
    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()

    before = states()
    trained(a_run("noise", 0, 1, model="fc-20"))
    assert states() == before


class Sum(nn.Module):
    """Names an image by the parity of its sum of pixels."""

    def forward(self, x):
        self.modes = {*getattr(self, "modes", ()), self.training}
        odd = x.sum((1, 2, 3)).long() % 2
        return nn.functional.one_hot(odd, 10).float()


@pytest.mark.parametrize("batch", [7, None])
def test_accuracy_is_the_fraction_of_images_named_rightly(batch):
    images = numbered()
    x, y = images.test_x, images.test_y % 2
    right = sum(int(a.sum(dtype=torch.long)) % 2 == int(b) for a, b in zip(x, y, strict=True))
    net = Sum()
    assert tasks.evaluate(net, x, y, images.normal, "native", batch) == right / 300
    assert net.modes == {False}  # in the mode in which batch norm has no batch


def test_the_number_format_is_used_and_said(monkeypatch):
    formats, entropy, said = [], tasks.Classification.loss, []

    def loss(task, x, y):
        formats.append(x.dtype)
        return entropy(task, x, y)

    monkeypatch.setattr(tasks.Classification, "loss", loss)
    for native, arithmetic in ((True, "native"), (False, "native"), (True, "float32")):
        monkeypatch.setattr(devices, "has_bf16", lambda device, native=native: native)
        stretch = train_stretch(a_run(arithmetic=arithmetic), 1, device="cpu")
        said.append((stretch.how["precision"], stretch.rows[0]["train_loss"]))
    assert formats == [torch.bfloat16] * 3 + [torch.float32] * 6
    assert [precision for precision, _ in said] == ["bf16", "float32", "float32"]
    assert said[1] == said[2] != said[0]


# Trees --------------------------------------------------------------------------------------------


def beginnings(specs):
    """Every epoch that must be trained, as all that led to it."""
    return {(s.prefix_key, s.timeline[: i + 1]) for s in specs for i in range(len(s.timeline))}


@given(st.lists(runs(), max_size=12))
def test_a_plan_has_each_beginning_once_and_leads_to_each_run_by_its_own_steps(some):
    roots = plan(some)
    assert sum(root.epochs for root in roots) == len(beginnings(some))
    segments = [segment for root in roots for segment in root.subtree()]
    ends = [spec for segment in segments for spec in segment.ends]
    assert len(ends) == len({*some})
    assert {*ends} == {*some}
    for segment in segments:
        assert segment.begin < segment.end
        assert segment.begin == (segment.parent.end if segment.parent else 0)
        assert segment.ends or len(segment.branches) > 1  # as long as it can be
        for spec in segment.ends:
            assert spec.timeline == segment.spec.timeline[: segment.end]


def test_a_sweep_equals_each_run_trained_alone_bit_for_bit_and_trains_no_epoch_twice(
    each_alone, epochs_trained
):
    reports = []
    found, diverged = grown(GRID, report=lambda spec, row: reports.append((spec, row["epoch"])))
    assert not diverged
    assert found == each_alone
    assert len(epochs_trained) == len(reports) == len(beginnings(GRID))
    assert not files()
    losses = [tuple(row["train_loss"] for row in values["curve"]) for values, _ in found.values()]
    assert len({*losses}) == len(GRID) - 1  # two of them have the same steps


@pytest.mark.usefixtures("each_part_saved")
def test_a_stopped_sweep_goes_on_where_it_was(each_alone, stop_after, epochs_trained):
    found, growing = {}, train_all(GRID, Context("cpu", workers=1, stop=stop_after(45)))
    with pytest.raises(Cancelled):
        found.update((run, (without_times(one.values), {})) for run, one in growing)
    found |= grown([run for run in GRID if run not in found])[0]
    assert found == each_alone
    assert len(epochs_trained) == len(beginnings(GRID)) + 1  # the one that was broken off


def test_a_life_that_diverges_takes_only_what_grows_on_it(each_alone, monkeypatch):
    once = train.train_epoch

    def diverge(lives, step, *rest):
        rows = once(lives, step, *rest)
        return (
            [row | {"train_loss": math.nan} for row in rows]
            if step.deficit.name == "noise"
            else rows
        )

    monkeypatch.setattr(train, "train_epoch", diverge)
    found, diverged = grown(GRID)
    assert {*diverged} == {run for run in GRID if run.deficit == "noise"}
    assert found == {run: one for run, one in each_alone.items() if run not in diverged}
    assert not files()


# Seeds side by side -------------------------------------------------------------------------------

TINY: dict = {"profile": "tiny", "recovery": 2}


def side_by_side(deficit, **fields):
    """Runs of twenty seeds that grow up in one stack: two that branch, and the control."""
    lengths = (0, 2, 3)
    named = [(deficit if length else "none", 1, length) for length in lengths]
    return [Run(*one, seed=s, **{**TINY, **fields}) for one in named for s in range(20)]


@pytest.mark.parametrize(
    ("deficit", "fields"),
    [
        ("mosaic", {}),
        ("noise", {"model": "mlp3-20", "images": 50, "momentum": 0.9, "weight_decay": 0.01}),
        ("permute", {"optimizer": "adam", "rate": 0.05, "model": "mlp1-20"}),
        ("fresh_noise", {"treatments": "shrink-0.5@2 rate-2@1", "batch": 100}),
    ],
    ids=str,
)
def test_a_seed_s_bits_do_not_depend_on_which_others_are_trained_beside_it(deficit, fields):
    specs, measures = side_by_side(deficit, **fields), {"own_images_right": "every"}
    twenty, _ = grown(specs, measures)
    assert {values["accuracy"] for values, _ in twenty.values()} != {0.1}
    for seeds in ({3}, {1, 3, 7, 8, 19}):
        fewer = grown([spec for spec in specs if spec.seed in seeds], measures)[0]
        assert fewer == {spec: twenty[spec] for spec in fewer}
    assert alone(specs[23], measures) == twenty[specs[23]]


def test_a_deficit_of_each_image_is_the_same_whether_of_a_batch_or_of_all():
    """To the bit, as a stack applies it."""
    x = torch.randn(300, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    y, index = torch.arange(300) % 10, torch.randperm(300)[:32]
    found = {name for name, one in DEFICITS.items() if one.of_each_image}
    assert {"none", "blur", "mosaic", "flip", "stripes", "blank"} <= found
    assert not found & {"noise", "permute", "fresh_noise", "strabismus", find_deficit(occlude).name}
    for name in found:
        both = find_deficit(name)(x, y, Batch(torch.arange(300)))
        some = find_deficit(name)(x[index], y[index], Batch(index))
        assert all(map(torch.equal, some, (part[index] for part in both)))


def test_a_stack_is_torch_s_optimizer_network_by_network():
    run = Run("mosaic", 1, 1, **TINY, momentum=0.9, seed=4)
    images, net = run.task.images(CPU), run.task.birth(CPU).net
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for epoch, step in enumerate(run.timeline):
        losses.append(0.0)
        for index, x in run.task.batches(epoch, step, images):
            x, y = step.deficit(x, images.train_y[index], run.task.batch(index, epoch, images))
            loss = nn.functional.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1] += loss.item() * len(y) / 300
    beside = [replace(run, seed=seed) for seed in range(6)]
    values, _ = grown(beside)[0][run]
    assert [row["train_loss"] for row in values["curve"]] == pytest.approx(losses, rel=1e-4)


class Counting(nn.Module):
    """A network that looks at its numbers, which vmap cannot take."""

    def __init__(self, size, classes):
        super().__init__()
        self.last = nn.Linear(size * size, classes)

    def forward(self, x):
        return self.last(x.flatten(1)) * (1 + float(x.sum() > 1e9))


def test_a_network_that_cannot_be_stacked_is_trained_alone(monkeypatch):
    model = models.Model("counting", lambda w, c, size, classes: Counting(size, classes), "")
    monkeypatch.setitem(models.MODELS, "counting", model)
    for name in ("counting-1", "depth1-2", "fc-20"):
        specs = [Run("mosaic", 0, 1, seed=seed, model=name, **TINY) for seed in range(3)]
        assert not is_stacked(specs[0], specs[0].timeline[0])
        assert grown(specs)[0] == {spec: alone(spec) for spec in specs}


@pytest.mark.usefixtures("each_part_saved")
def test_a_stopped_stack_goes_on_where_it_was_and_one_that_is_behind_catches_up(
    stop_after, epochs_trained
):
    specs = [Run("noise", 0, 3, seed=seed, **TINY) for seed in range(4)]
    whole, _ = grown(specs)
    del epochs_trained[:]
    with pytest.raises(Cancelled):
        grown(specs[:2], stop=stop_after(2 * 25))  # 10 batches an epoch, of two networks
    assert grown(specs)[0] == whole
    assert len(epochs_trained) == 4 * 5 + 2  # the epoch that was broken off, of two


def test_one_that_diverges_leaves_the_others_as_they_are(monkeypatch):
    specs = [Run(seed=seed, **TINY) for seed in range(3)]
    whole, once = grown(specs)[0], train.train_epoch

    def diverge(lives, *rest):
        rows = once(lives, *rest)
        for life, row in zip(lives, rows, strict=True):
            row["train_loss"] *= math.nan if life.run.seed == 1 else 1
        return rows

    monkeypatch.setattr(train, "train_epoch", diverge)
    found, diverged = grown(specs)
    assert {*diverged} == {specs[1]}
    assert found == {spec: whole[spec] for spec in (specs[0], specs[2])}


def test_an_early_blur_harms_a_late_one_does_not_and_the_images_are_known_by_then():
    """The critical period itself: seeds that nobody looked at when the digits were chosen."""
    seeds, (length, late, recovery) = range(40, 45), (150, 40, 60)
    how = {"profile": "tiny", "recovery": recovery, "images": 100}
    points = {"early": ("mosaic", 0, length), "late": ("mosaic", late, length)}
    points |= {"newborn": ("none", 0, 0), "older": ("none", late, 0), "flip": ("flip", 0, length)}
    specs = {(name, s): Run(*point, seed=s, **how) for name, point in points.items() for s in seeds}
    found, _ = grown(specs.values(), {"own_images_right": (length - 1,)})

    def mean(name, read=lambda values, measured: 100 * values["accuracy"]):
        return np.mean([read(*found[specs[name, seed]]) for seed in seeds])

    known = {n: mean(n, lambda v, m: m["own_images_right"][length - 1]) for n in ("early", "flip")}
    harm = mean("newborn") - mean("early")
    assert harm > 4
    assert mean("older") - mean("late") < harm - 2
    assert mean("newborn") - mean("flip") < harm - 3
    assert known["early"] > 0.8 > 0.5 > known["flip"]


def tensors():
    gc.collect()
    return sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, RuntimeError])
def test_whatever_ends_a_training_no_tensor_stays_alive(error, monkeypatch):
    specs, caught = [Run("mosaic", 0, 1, seed=seed, **TINY) for seed in range(3)], []
    grown(specs)  # images stay, for the next training
    before, enough = tensors(), itertools.count()

    def step(*given, **more):
        if next(enough) == 5:
            raise error("no more")
        return once(*given, **more)

    once = torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step", step)
    try:
        grown(specs)
    except BaseException as ended:
        caught.append(ended)  # as a notebook keeps the last error, with its frames
    assert caught
    assert tensors() <= before


# Measurements -------------------------------------------------------------------------------------


@pytest.fixture
def measuring(monkeypatch):
    """A function that makes another a measurement, for this test."""

    def make(name, function, **options):
        monkeypatch.setitem(MEASUREMENTS, name, Measurement(name, function, name, **options))

    return make


@pytest.fixture
def norm(measuring):
    """The measurement `norm`, of all weights; a list of its calls, but for those before any
    training."""
    calls = []

    def measure(net, images):
        if len(images.train_y) > AT_BIRTH:  # which a newborn is shown
            calls.append(net)
        return {"norm": sum(w.double().norm().item() for w in net.parameters())}

    measuring("norm", measure)
    return calls


@pytest.mark.parametrize(("when", "epochs"), [((0, 2, 9), {0, 2}), ("end", {2})])
def test_measuring_changes_nothing_and_is_of_its_epochs_alone(norm, when, epochs):
    run = a_run("blur", 0, 1, optimizer="adam")
    values, measured = alone(run, {"norm": when})
    assert values == alone(run)[0]
    assert {*measured.get("norm", {})} == epochs
    assert len(norm) == len(epochs)


def test_what_is_measured_is_the_network_after_that_epoch(norm):
    run = a_run("blur", 0, 1)
    measured = alone(run, {"norm": "every"})[1]["norm"]
    images, state = data.images("mnist", "ci"), run.task.birth(CPU)
    for epoch, step in enumerate(run.timeline):
        train_epoch(run.task, epoch, step, state, images)
        expected = sum(w.double().norm().item() for w in state.net.parameters())
        assert measured[epoch] == {"norm": expected}


def test_branches_of_a_tree_are_measured_as_the_life_alone(norm):
    some, measures = GRID[:5], {"norm": "end"}
    found, _ = grown(some, measures)
    assert len(norm) == len(some)  # at the end, and not where a trunk ends
    assert found == {run: alone(run, measures) for run in some}


@pytest.mark.parametrize(
    ("first", "then", "again"),
    [({}, {"norm": "end"}, 2), ({"norm": (0,)}, {"norm": (0, 1)}, 4)],
    ids=str,
)
@pytest.mark.usefixtures("norm", "each_part_saved")
def test_a_checkpoint_without_a_wanted_measurement_is_not_used(
    stop_after, epochs_trained, monkeypatch, first, then, again
):
    run = a_run(onset=2)
    with pytest.raises(Cancelled):
        grown([run], first, stop=stop_after(7))  # two epochs of three batches are done
    del epochs_trained[:]
    values, measured = grown([run], then)[0][run]
    assert len(epochs_trained) == again
    monkeypatch.setenv("CPLAB_CACHE", str(data.cache_dir() / "another"))
    expected = alone(run, then)
    assert values == expected[0]
    for name in then:
        assert expected[1][name].items() <= measured[name].items()


def test_what_cannot_be_measured_on_a_network_is_refused_before_it_is_trained(epochs_trained):
    run = a_run(model="fc-20")
    words = ("eye_shares", "two eyes", run.canonical(), "ask without it")
    error = one_line(lambda: grown([run], {"eye_shares": "end"}), *words)
    assert error.exit_code == 2
    assert not epochs_trained


# Cards that this machine does not have ------------------------------------------------------------


CUDA = torch.device("cuda")


@pytest.mark.parametrize(
    ("card", "capability", "native"), [("Tesla T4", (7, 5), False), ("NVIDIA A100", (8, 0), True)]
)
def test_a_card_without_bfloat16_trains_in_float32(monkeypatch, card, capability, native):
    """A T4 can hold bfloat16 and compute with it slowly, which torch calls supported."""
    about = SimpleNamespace(name=card, major=capability[0], minor=capability[1])
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device=None: about)
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda device: True)
    assert torch.cuda.is_bf16_supported()
    assert devices.in_bf16("native", CUDA) == native
    assert not devices.in_bf16("float32", CUDA)
    with devices.autocast(CUDA):
        assert torch.is_autocast_enabled("cuda") == native


@pytest.mark.parametrize(
    ("profile", "cuda", "cpu"), [("course", 8, 16), ("slim", 1, 16), ("ci", 1, 1)]
)
def test_small_networks_share_a_card_and_large_ones_have_it_alone(monkeypatch, profile, cuda, cpu):
    monkeypatch.setattr(devices, "pick", torch.device)
    monkeypatch.setattr(devices, "usable_cores", lambda: 16)
    runs = [Run(seed=seed, profile=profile) for seed in range(20)]
    assert [usual_workers(runs, place) for place in ("cuda", "mps", "cpu")] == [cuda, 1, cpu]
    assert usual_workers(runs[:1], "cuda") == 1
