"""Training: the data of an epoch, equal bits however a run comes about, the tree, interruptions."""

import hashlib
import multiprocessing
import os
import random
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import digits
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cplab import checkpoints as kept
from cplab import data, deficits, devices, fisher, models, train, tree
from cplab.experiment import DEFICITS, PROFILES, CplabError, Run

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped", "one_thread")


def a_run(**fields):
    return Run(**{"profile": "ci", "dataset": "mnist", "recovery": 2, **fields})


# Runs that share beginnings in every way: branches at each epoch, ends inside other runs, two runs
# of the same steps, two seeds.
GRID = [
    *(a_run(deficit="blur", length=length) for length in (0, 1, 3)),
    *(a_run(deficit="noise", onset=1, length=length) for length in (1, 2)),
    a_run(deficit="flip", length=2),
    a_run(deficit="permute", onset=2, length=1),
    a_run(deficit="blur", length=3, seed=1),
    a_run(schedule="fixed", onset=1, recovery=0),
    a_run(schedule="fixed", onset=1, recovery=2),
    a_run(schedule="fixed", onset=0, recovery=3),
]


def curve(rows):
    """Rows without what is different each time."""
    return [{n: v for n, v in row.items() if n not in ("seconds", "trace_seconds")} for row in rows]


def trained(run, **how):
    return curve(train.advance(run, run.epochs, device=CPU, **how).rows)


def sweep(runs, workers=1, **how):
    """The curves of runs that are trained as a tree; errors as they are."""
    done = tree.trajectories(list(runs), device="cpu", workers=workers, **how)
    return {run: r if isinstance(r, Exception) else curve(r.rows) for run, r in done}


@pytest.fixture(scope="session")
def alone(tmp_path_factory):
    """The curve of each run of the grid, trained by itself."""
    folder, threads = tmp_path_factory.mktemp("alone"), torch.get_num_threads()
    np.savez(folder / "mnist.npz", **digits(), copy="small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPLAB_CACHE", str(folder))
        patch.setenv("CPLAB_DATA", str(folder))
        torch.set_num_threads(1)
        curves = {run: trained(run) for run in GRID}
        torch.set_num_threads(threads)
    return curves


@pytest.fixture
def epochs_trained(monkeypatch):
    """A list that grows by (run, epoch) when an epoch is begun in this process."""
    begun, train_epoch = [], train.train_epoch

    def spy(run, epoch, *rest):
        begun.append((run, epoch))
        return train_epoch(run, epoch, *rest)

    monkeypatch.setattr(train, "train_epoch", spy)
    return begun


@pytest.fixture
def checkpoint_each_epoch(monkeypatch):
    monkeypatch.setattr(train.checkpoints, "SECONDS", -1)


def checkpoints():
    return sorted((data.cache_dir() / "checkpoints").glob("*"))


# The data of an epoch -----------------------------------------------------------------------------


def numbered(count=300, size=8, channels=3):
    """Random images that are each their own class, left as they are by normalising."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(1, 256, (count, size, size, channels), generator=generator).byte()
    y = torch.arange(count)
    zero, one = torch.zeros(channels), torch.ones(channels)
    return data.Images("numbered", "test", x, y, x, y, zero, one)


def epoch_of(run, epoch, images=None):
    """Images and labels of an epoch, as long tensors."""
    some = list(train.batches(run, epoch, images or numbered()))
    return torch.cat([x for x, _ in some]), torch.cat([y for _, y in some])


def test_an_epoch_shows_every_image_once_in_batches_of_the_profile_s_size():
    for epoch in range(3):
        labels = [y for _, y in train.batches(a_run(onset=3), epoch, numbered())]
        assert [len(y) for y in labels] == [128, 128, 44]
        assert sorted(torch.cat(labels).tolist()) == list(range(300))


@pytest.mark.parametrize(("profile", "shift"), [("ci", 1), ("course", 2), ("paper", 4)])
def test_an_image_is_a_crop_of_its_zero_padded_self_half_of_the_time_mirrored(profile, shift):
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


def test_without_shift_and_mirror_images_stay_as_they_are(monkeypatch):
    monkeypatch.setitem(PROFILES, "ci", replace(PROFILES["ci"], shift=0, mirror=False))
    images = numbered()
    x, y = epoch_of(a_run(), 0, images)
    assert torch.equal(x.permute(0, 2, 3, 1).byte(), images.train_x[y])


def test_the_data_are_a_function_of_seed_and_epoch():
    x, y = epoch_of(a_run(seed=3), 1)
    torch.manual_seed(9)
    again, labels = epoch_of(a_run(seed=3, onset=4, deficit="blur", length=2), 1)
    assert torch.equal(again, x)
    assert torch.equal(labels, y)
    for other in ((a_run(seed=4), 1), (a_run(seed=3), 0)):
        different, labels = epoch_of(*other)
        assert not torch.equal(labels, y)
        back = different[labels.argsort()], x[y.argsort()]
        assert not torch.equal(*back)  # crops differ as well as the order


def test_the_data_of_an_epoch_stay_what_they_are():
    """Order, crops and mirroring, to the pixel: all records depend on them."""
    x, y = epoch_of(a_run(seed=3), 1)
    digest = hashlib.sha256(x.byte().numpy().tobytes() + y.numpy().tobytes()).hexdigest()[:12]
    assert digest == "64b4849eba20", (
        "the same run is now shown other data: if that is on purpose, raise experiment.PROTOCOL "
        "by one, train and ship the records again, and pin the new value here"
    )


@pytest.mark.parametrize("deficit", [*DEFICITS[1:], "blur-2"])
def test_the_deficit_is_applied_in_its_epochs_alone(deficit):
    run = a_run(deficit=deficit, onset=2, length=2)
    images = data.images("mnist", "ci")
    patterns = set()
    for epoch in range(run.epochs):
        for clear, given in zip(
            train.batches(run.equal_training(), epoch, images),
            train.batches(run, epoch, images),
            strict=True,
        ):
            if run.phase(epoch) != "deficit":
                assert torch.equal(given[0], clear[0])
                assert torch.equal(given[1], clear[1])
            elif "noise" in deficit:
                patterns |= {x.numpy().tobytes() for x in given[0]}
                assert torch.equal(given[1], clear[1])
            else:
                x, y = deficits.see(*clear, deficit)
                assert torch.equal(given[0], x)
                assert torch.equal(given[1], y)
                assert not (torch.equal(x, clear[0]) and torch.equal(y, clear[1]))
    if deficit == "noise":  # the same 300 in both epochs, one for each image
        assert len(patterns) == 300
    if deficit == "fresh_noise":
        assert len(patterns) == 600


def test_noise_stays_with_its_image_from_epoch_to_epoch():
    run = a_run(deficit="noise", length=3)
    x, y = epoch_of(run, 0)
    for epoch in (1, 2):
        later, labels = epoch_of(run, epoch)
        assert torch.equal(later[labels.argsort()], x[y.argsort()])
    other, labels = epoch_of(replace(run, seed=1), 0)
    assert not torch.equal(other[labels.argsort()], x[y.argsort()])


# The loop -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "momentum"), [("allcnn", 0.9), ("allcnn", 0), ("resnet18", 0.9), ("depth2", 0.5)]
)
def test_training_is_sgd_with_momentum_and_weight_decay_at_the_rates_of_the_run(
    model, momentum, monkeypatch
):
    """Against the update written out: v ← m·v + g + d·w, w ← w − lr·v."""
    monkeypatch.setattr(devices, "has_bf16", lambda device: False)
    monkeypatch.setitem(PROFILES, "ci", replace(PROFILES["ci"], weight_decay=0.3))  # to be seen
    run = a_run(deficit="blur", onset=1, length=1, schedule="paper", model=model, momentum=momentum)
    images, p = data.images("mnist", "ci"), run.settings
    net, _ = train.start(run, CPU)
    velocity = [torch.zeros_like(w) for w in net.parameters()]
    losses = []
    for epoch in range(run.epochs):
        net.train()
        total = 0.0
        for x, y in train.batches(run, epoch, images):
            loss = -nn.functional.log_softmax(net(x), 1)[torch.arange(len(y)), y].mean()
            gradients = torch.autograd.grad(loss, list(net.parameters()))
            with torch.no_grad():
                for w, v, g in zip(net.parameters(), velocity, gradients, strict=True):
                    v.mul_(momentum).add_(g + p.weight_decay * w)
                    w.sub_(run.steps[epoch].lr * v)
            total += loss.item() * len(y)
        losses.append(total / 300)
    rows, rel = trained(run), 3e-3 if model == "resnet18" else 1e-4  # at twice the rate errors grow
    assert [row["train_loss"] for row in rows] == pytest.approx(losses, rel=rel)
    assert [row["lr"] for row in rows] == [step.lr for step in run.steps]
    assert [row["epoch"] for row in rows] == list(range(run.epochs))


def test_adam_is_the_update_of_kingma_and_ba_with_weight_decay_in_the_gradient(monkeypatch):
    """m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², w ← w − lr · m̂ / (√v̂ + ε)."""
    monkeypatch.setattr(devices, "has_bf16", lambda device: False)
    monkeypatch.setitem(PROFILES, "ci", replace(PROFILES["ci"], weight_decay=0.3))  # to be seen
    run = a_run(onset=1, recovery=1, schedule="paper", optimizer="adam")
    images = data.images("mnist", "ci")
    net, _ = train.start(run, CPU)
    mean, square = ([torch.zeros_like(w) for w in net.parameters()] for _ in range(2))
    losses, t = [], 0
    for epoch in range(run.epochs):
        net.train()
        total = 0.0
        for x, y in train.batches(run, epoch, images):
            loss, t = nn.functional.cross_entropy(net(x), y), t + 1
            gradients = torch.autograd.grad(loss, list(net.parameters()))
            with torch.no_grad():
                for w, m, v, g in zip(net.parameters(), mean, square, gradients, strict=True):
                    g = g + 0.3 * w
                    m.mul_(0.9).add_(0.1 * g)
                    v.mul_(0.999).add_(0.001 * g * g)
                    root = (v / (1 - 0.999**t)).sqrt() + 1e-8
                    w.sub_(run.steps[epoch].lr * m / (1 - 0.9**t) / root)
            total += loss.item() * len(y)
        losses.append(total / 300)
    assert run.steps[0].lr == pytest.approx(0.001)
    assert [row["train_loss"] for row in trained(run)] == pytest.approx(losses, rel=1e-4)


def test_a_network_learns_and_is_tested_on_clear_images_with_true_labels():
    last = trained(a_run(onset=30))[-1]
    assert last["test_accuracy"] > 0.5
    permuted = trained(a_run(deficit="permute", length=30, recovery=0))[-1]
    assert permuted["train_loss"] < 1.5  # it learned, but the wrong labels
    assert permuted["test_accuracy"] < 0.1


def test_initial_weights_are_those_of_the_seed():
    def weights(run):
        return torch.cat([w.flatten() for w in train.start(run, CPU)[0].parameters()])

    before = weights(a_run())
    torch.manual_seed(7)
    for run in (a_run(deficit="noise", length=3), a_run(schedule="fixed", onset=5)):
        assert torch.equal(weights(run), before)
    assert not torch.equal(weights(a_run(seed=1)), before)


def test_initial_weights_are_those_of_the_seed_in_every_thread(monkeypatch):
    """The explorer trains in a thread, and estimates times in another."""
    built, build = [], models.build

    def slow_build(*arguments, **fields):
        time.sleep(0.02)  # where another thread may come between
        return build(*arguments, **fields)

    monkeypatch.setattr(models, "build", slow_build)
    runs = [a_run(seed=seed) for seed in (0, 1, 2, 0, 1, 2)]

    def start(run):
        built.append((run, train.start(run, CPU)[0][0].weight))

    threads = [threading.Thread(target=start, args=(run,)) for run in runs]
    timing = ("allcnn-4", "ci", "mnist", "cpu")
    threads.append(threading.Thread(target=train.timed_epoch.__wrapped__, args=timing))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for run, weight in built:
        assert torch.equal(weight, train.start(run, CPU)[0][0].weight)


def test_training_leaves_the_global_generators_alone():
    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()

    before = states()
    trained(a_run(deficit="noise", length=1, trace="0"))
    for timed in (train.timed_epoch, train.timed_trace, train.timed_end):
        timed.__wrapped__("fc-20", "ci", "mnist", "cpu")
    assert states() == before


class Sum(nn.Module):
    """Names an image by the parity of its sum of pixels."""

    def forward(self, x):
        self.modes = {*getattr(self, "modes", ()), self.training}
        odd = x.sum((1, 2, 3)).long() % 2
        return nn.functional.one_hot(odd, 10).float()


@pytest.mark.parametrize("batch", [1, 7, 300, 500])
def test_accuracy_is_the_fraction_of_test_images_named_rightly(batch):
    images = numbered()
    images = replace(images, test_y=images.test_y % 2)
    right = sum(
        int(x.sum(dtype=torch.long)) % 2 == int(y)
        for x, y in zip(images.test_x, images.test_y, strict=True)
    )
    net = Sum()
    assert train.evaluate(net, images, batch=batch) == right / 300
    assert net.modes == {False}  # in the mode in which batch norm has no batch


def test_a_device_may_have_batches_of_its_own_for_testing(monkeypatch):
    images, sizes = data.images("mnist", "ci"), []
    net, _ = train.start(a_run(), CPU)
    net.register_forward_hook(lambda net, x, y: sizes.append(len(y)))
    plain = train.evaluate(net, images)
    monkeypatch.setitem(train.EVALUATED, "cpu", 50)
    assert train.evaluate(net, images) == pytest.approx(plain, abs=0.02)
    assert sizes == [120, 50, 50, 20]


def test_accuracy_of_a_network_agrees_with_one_image_at_a_time(monkeypatch):
    monkeypatch.setattr(devices, "has_bf16", lambda device: False)
    images = data.images("mnist", "ci")
    net, _ = train.start(a_run(), CPU)
    right = 0
    with torch.no_grad():
        for x, y in zip(images.test_x, images.test_y, strict=True):
            logits = net.eval()(images.normal(x[None]))[0].tolist()
            right += logits.index(max(logits)) == int(y)
    assert train.evaluate(net.train(), images) == right / 120


@pytest.mark.parametrize(
    ("native", "arithmetic", "precision"),
    [(True, "native", "bf16"), (False, "native", "float32"), (True, "float32", "float32")],
)
def test_the_number_format_is_used_and_recorded(monkeypatch, native, arithmetic, precision):
    monkeypatch.setattr(devices, "has_bf16", lambda device: native)
    formats, entropy = set(), torch.nn.functional.cross_entropy
    monkeypatch.setattr(
        train.F, "cross_entropy", lambda x, y: formats.add(x.dtype) or entropy(x, y)
    )
    trajectory = train.advance(a_run(arithmetic=arithmetic), 1, device=CPU)
    assert trajectory.precision == precision
    assert formats == {torch.bfloat16 if precision == "bf16" else torch.float32}


def test_float32_is_the_same_with_and_without_native_bfloat16(monkeypatch):
    ends = []
    for native in (True, False):
        monkeypatch.setattr(devices, "has_bf16", lambda device, native=native: native)
        run = a_run(arithmetic="float32" if native else "native")
        ends.append(train.advance(run, run.epochs, device=CPU).rows)
    same = ("train_loss", "test_accuracy")
    assert [[row[n] for n in same] for row in ends[0]] == [
        [row[n] for n in same] for row in ends[1]
    ]


def test_float32_on_a_gpu_is_not_tf32():
    around = [torch.backends.cudnn.allow_tf32]
    with devices.autocast(CPU, "float32"):
        assert torch.backends.cudnn.enabled
        assert not torch.backends.cudnn.allow_tf32
    with devices.autocast(CPU):
        around.append(torch.backends.cudnn.allow_tf32)
    assert around == [True, True]  # torch's own default, left alone


def test_a_trajectory_says_how_it_came_about():
    trajectory = train.advance(a_run(), 2, device=CPU)
    assert (trajectory.copy, trajectory.threads) == ("small", 1)
    assert trajectory.device == devices.machine(CPU)
    assert trajectory.device.startswith("cpu ")
    assert trajectory.checkpoint is None
    assert all(row["seconds"] > 0 for row in trajectory.rows)


# Equal bits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_of_a_sweep_equals_the_run_trained_alone_bit_for_bit(alone, monkeypatch, workers):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)  # one thread for each of two workers
    reports = []
    found = sweep(GRID, workers, report=lambda run, row: reports.append((run, row["epoch"])))
    assert found == alone
    assert len(reports) == sum(root.epochs for root in tree.plan(GRID))  # each epoch once
    assert not checkpoints()


def test_a_sweep_trains_no_epoch_twice(epochs_trained):
    sweep(GRID)
    assert len(epochs_trained) == len(prefixes(GRID)) < sum(run.epochs for run in GRID)


def test_seeds_and_deficits_make_a_difference(alone):
    curves = [str(alone[run]) for run in GRID]
    assert len(set(curves)) == len(GRID) - 1  # two of them have the same steps


# The tree -----------------------------------------------------------------------------------------


def prefixes(runs):
    """Every epoch that must be trained, as all that led to it."""
    return {
        (run.dataset, run.model, run.profile, run.seed, run.optimizer, run.trace,
         run.steps[: epoch + 1])
        for run in runs
        for epoch in range(run.epochs)
    }  # fmt: skip


def sets_of(random_runs):
    """Sets of 0 to 30 runs, some with the same run twice."""
    rng = random.Random(2)
    return [rng.choices(random_runs[:300], k=rng.randrange(31)) for _ in range(300)]


def test_a_plan_has_each_distinct_beginning_once(random_runs):
    for runs in sets_of(random_runs):
        assert sum(root.epochs for root in tree.plan(runs)) == len(prefixes(runs))


def test_a_plan_leads_to_each_run_once_by_its_own_steps(random_runs):
    for runs in sets_of(random_runs):
        segments = [segment for root in tree.plan(runs) for segment in root.below()]
        ends = [run for segment in segments for run in segment.done]
        assert len(ends) == len(set(ends))
        assert set(ends) == set(runs)
        for segment in segments:
            assert segment.begin < segment.end
            assert segment.begin == (segment.parent.end if segment.parent else 0)
            assert segment in segment.parent.branches if segment.parent else True
            assert segment.done or len(segment.branches) > 1  # as long as it can be
            for run in segment.done:
                assert run.epochs == segment.end
                assert run.steps == segment.run.steps[: segment.end]


def test_a_sweep_of_nothing_is_over_at_once():
    assert tree.plan([]) == []
    assert sweep([]) == {}
    assert sweep([], workers=None) == {}


@pytest.mark.parametrize("workers", [0, -1, 1.5, "x", True])
def test_a_number_of_workers_that_is_none_is_refused(workers):
    with pytest.raises(CplabError) as error:
        sweep([a_run()], workers)
    assert repr(workers) in one_line(error)
    assert "workers" in one_line(error)


# Interruptions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3, 4, 11, 15])
@pytest.mark.usefixtures("checkpoint_each_epoch")
def test_a_cancelled_run_goes_on_and_equals_an_undisturbed_one(stop_after, epochs_trained, batch):
    run = a_run(deficit="blur", onset=1, length=2)
    undisturbed = trained(run)
    stop = stop_after(batch)
    with pytest.raises(train.Cancelled):
        trained(run, stop=stop)
    del epochs_trained[:]
    assert trained(run) == undisturbed
    complete = (batch - 1) // 3  # three batches an epoch
    assert [epoch for _, epoch in epochs_trained] == list(range(complete, run.epochs))
    assert not checkpoints()


@pytest.mark.parametrize("batch", [2, 20, 45])
@pytest.mark.usefixtures("checkpoint_each_epoch")
def test_a_cancelled_sweep_goes_on_where_it_was(alone, stop_after, epochs_trained, batch):
    found, left = {}, tree.trajectories(GRID, device="cpu", workers=1, stop=stop_after(batch))
    with pytest.raises(train.Cancelled):
        found.update((run, curve(result.rows)) for run, result in left)
    found |= sweep([run for run in GRID if run not in found])
    assert found == alone
    assert len(epochs_trained) == len(prefixes(GRID)) + 1  # the one that was broken off
    assert not [path for path in checkpoints() if "on-the-way" in path.name]


def test_checkpoints_that_nobody_came_back_for_are_forgotten(stop_after):
    runs = [a_run(onset=onset) for onset in (2, 4)]
    with pytest.raises(train.Cancelled):
        sweep(runs, stop=stop_after(11))  # three epochs are shared
    [left] = checkpoints()
    sweep([a_run(seed=5)])
    assert checkpoints() == [left]
    week_ago = time.time() - 7.1 * 24 * 3600
    os.utime(left, (week_ago, week_ago))
    sweep([a_run(seed=5)])
    assert not checkpoints()


def test_a_stop_is_heard_by_workers(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    stop, reports = threading.Event(), []

    def report(run, row):
        reports.append(row)
        stop.set()

    with pytest.raises(train.Cancelled):
        sweep([a_run(onset=10_000, seed=seed) for seed in (0, 1)], 2, stop=stop, report=report)
    assert len(reports) < 5_000  # of 20,000


KILLED = """
import sys, time, torch, cplab
from cplab import train

def report(run, row):
    print(row["epoch"], flush=True)
    if row["epoch"] == 5:
        time.sleep(600)

torch.set_num_threads(1)
train.checkpoints.SECONDS = -1
cplab.run(profile="ci", dataset="mnist", deficit="blur", length=4, recovery=4, seed=77,
          device="cpu", report=report)
"""


def test_a_killed_run_goes_on_and_equals_an_undisturbed_one(python, epochs_trained):
    import cplab

    process = python(KILLED)
    while process.stdout.readline().strip() != "5":
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGKILL)
    process.wait()
    [left] = checkpoints()
    left.with_suffix(".1.2.partial").write_bytes(left.read_bytes()[:1000])  # killed while writing
    run = a_run(deficit="blur", length=4, recovery=4, seed=77)
    record = cplab.run(run, device="cpu")
    assert [epoch for _, epoch in epochs_trained] == [6, 7]
    assert not left.exists()
    plain = [{n: v for n, v in row.items() if n != "phase"} for row in curve(record.curve)]
    assert plain == trained(run)


@pytest.mark.parametrize("batch", [4, 8])
@pytest.mark.parametrize(
    "fields", [{"optimizer": "adam"}, {"trace": "every"}, {"optimizer": "adam", "trace": "0,3"}],
    ids=str,
)  # fmt: skip
@pytest.mark.usefixtures("checkpoint_each_epoch")
def test_adam_and_traces_go_on_from_a_checkpoint(stop_after, epochs_trained, batch, fields):
    run = a_run(deficit="flip", onset=1, length=1, model="fc-20", **fields)
    whole = train.advance(run, run.epochs, device=CPU)
    with pytest.raises(train.Cancelled):
        trained(run, stop=stop_after(batch))
    del epochs_trained[:]
    again = train.advance(run, run.epochs, device=CPU)
    assert [epoch for _, epoch in epochs_trained] == list(range((batch - 1) // 3, run.epochs))
    assert curve(again.rows) == curve(whole.rows)
    assert end(again) == end(whole)
    assert not checkpoints()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("model", ["allcnn-4", "fc-20", "resnet18-3", "depth2-4"])
def test_a_checkpoint_holds_every_bit_of_net_and_optimizer(tmp_path, optimizer, model):
    run, path = a_run(optimizer=optimizer, model=model), tmp_path / "one.safetensors"
    images = data.images("mnist", "ci")
    net, before = train.start(run, CPU)
    train.train_epoch(run, 0, images, net, before)
    kept.save(path, kept.tensors_of(net, before), [{"epoch": 0}])
    other, after = train.start(replace(run, seed=1), CPU)
    rows, state, on_the_way = kept.read([tmp_path / "none", path])
    assert (rows, on_the_way) == ([{"epoch": 0}], None)
    kept.load(state, other, after)
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        states = before.state[one], after.state[two]
        names = {"sgd": {"momentum_buffer"}, "adam": {"step", "exp_avg", "exp_avg_sq"}}[optimizer]
        assert {*states[0]} == {*states[1]} == names
        for name in names:
            a, b = (state[name] for state in states)
            assert torch.equal(a, b)
            assert (a.dtype, a.stride(), a.device) == (b.dtype, b.stride(), b.device)
    for opt, net_ in ((before, net), (after, other)):
        train.train_epoch(run, 1, images, net_, opt)
    for one, two in zip(net.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(one, two)


DAMAGE = {
    "empty": lambda content: b"",
    "header": lambda content: content[:100],
    "half": lambda content: content[: len(content) // 2],
    "last byte": lambda content: content[:-1],
    "garbage": lambda content: bytes(range(256)) * 10,
    "nothing said": lambda content: b"\x08\0\0\0\0\0\0\0{}      ",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.usefixtures("checkpoint_each_epoch")
def test_a_damaged_checkpoint_is_ignored(stop_after, epochs_trained, damage):
    run = a_run(onset=3)
    undisturbed = trained(run)
    with pytest.raises(train.Cancelled):
        trained(run, stop=stop_after(10))
    [path] = checkpoints()
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    del epochs_trained[:]
    assert trained(run) == undisturbed
    assert len(epochs_trained) == run.epochs
    assert not checkpoints()


@pytest.mark.usefixtures("checkpoint_each_epoch")
def test_training_goes_on_without_checkpoints_where_none_can_be_written(
    alone, monkeypatch, tmp_path
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CPLAB_CACHE", str(tmp_path / "file" / "cache"))
    assert sweep(GRID) == alone


def test_a_checkpoint_of_other_bits_is_not_taken(monkeypatch, small_mnist):
    def names(run):
        return train.checkpoint_names(run, CPU)

    run = a_run(deficit="blur", onset=1, length=2)
    usual = names(run)
    assert len(usual) == len(set(usual)) == run.epochs + 1
    shared = a_run(deficit="blur", onset=1, length=3)
    assert names(shared)[:4] == usual[:4]
    assert not {*names(shared)[4:]} & {*usual[4:]}
    torch.set_num_threads(2)
    assert not {*names(run)} & {*usual}
    torch.set_num_threads(1)
    for field in (
        {"seed": 1}, {"model": "allcnn-8"}, {"schedule": "paper"}, {"optimizer": "adam"},
        {"trace": "0"},
    ):  # fmt: skip
        assert not {*names(replace(run, **field))} & {*usual[1:]}
    other = not devices.has_bf16(CPU)
    with monkeypatch.context() as patch:
        patch.setattr(devices, "has_bf16", lambda device: other)
        assert not {*names(run)} & {*usual}
    np.savez(small_mnist, **digits(), copy="another copy")
    data._images.cache_clear()
    assert not {*names(run)} & {*usual}


# Failures -----------------------------------------------------------------------------------------


def test_a_run_whose_loss_is_not_finite_has_no_result_and_the_others_go_on(monkeypatch):
    monkeypatch.setitem(PROFILES, "ci", replace(PROFILES["ci"], recovery_lr=1e30))
    runs = [a_run(schedule=schedule, onset=2) for schedule in ("recovery", "fixed")]
    absurd, sound = (sweep(runs)[run] for run in runs)
    assert isinstance(absurd, train.Diverged)
    assert "1e+30" in str(absurd)
    assert runs[0].canonical in str(absurd)
    assert "\n" not in str(absurd)
    assert sound == trained(runs[1])


def test_a_branch_that_diverges_takes_only_what_grows_on_it(alone, monkeypatch):
    train_epoch = train.train_epoch

    def diverge(run, epoch, *rest):
        if run.steps[epoch].deficit == "noise":
            raise train.Diverged("the loss is nan")
        return train_epoch(run, epoch, *rest)

    monkeypatch.setattr(train, "train_epoch", diverge)
    found = sweep(GRID)
    assert set(found) == set(GRID)
    for run in GRID:
        if run.deficit == "noise":
            assert isinstance(found[run], train.Diverged)
        else:
            assert found[run] == alone[run]
    assert not checkpoints()


def test_runs_that_nobody_wants_any_more_leave_nothing_behind():
    """Another process trained them meanwhile."""
    wanted = [run for run in GRID if run.deficit != "noise"]
    found = sweep(GRID, claim=lambda ending: [run for run in ending if run in wanted])
    assert set(found) == set(wanted)
    assert not checkpoints()


def test_a_worker_that_dies_ends_in_one_clear_line(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    runs = [a_run(onset=10_000, seed=seed) for seed in (0, 1)]

    def kill(run, row):
        for child in multiprocessing.active_children():
            child.kill()  # if it has not died already

    with pytest.raises(devices.Exhausted) as error:
        sweep(runs, 2, report=kill)
    for words in ("worker", "kept", "workers=1", "--device cpu"):
        assert words in one_line(error)


@pytest.mark.parametrize(
    "cause",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.\nGPU 0 has less."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried\nmore"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
        MemoryError(),
    ],
    ids=lambda cause: str(cause)[:20] or "MemoryError",
)
def test_too_little_memory_ends_in_one_clear_line(monkeypatch, cause):
    def starve(*arguments):
        raise cause

    monkeypatch.setattr(train, "train_epoch", starve)
    with pytest.raises(devices.Exhausted) as error:
        sweep([a_run()])
    for words in ("memory", "kept", "fewer workers", "--device cpu"):
        assert words in one_line(error)


GONE = [
    "CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported",
    "CUDA error: no kernel image is available for execution on the device",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    "CUDA driver version is insufficient for CUDA runtime version",
    "The NVIDIA driver on your system is too old (found version 11040).",
]


@pytest.mark.parametrize("said", GONE)
@pytest.mark.parametrize("kind", [RuntimeError, getattr(torch, "AcceleratorError", RuntimeError)])
@pytest.mark.parametrize("where", ["train_epoch", "start"])
def test_a_gpu_that_fails_ends_in_one_clear_line(monkeypatch, said, kind, where):
    def fail(*arguments):
        raise kind(said)

    monkeypatch.setattr(train, where, fail)
    with pytest.raises(devices.Exhausted) as error:
        sweep([a_run()])
    for words in (said.partition("\n")[0], "GPU failed", "kept", "--device cpu"):
        assert words in one_line(error)


def test_a_gpu_that_fails_while_times_are_measured_is_one_clear_line(monkeypatch):
    def fail(*arguments):
        raise RuntimeError(GONE[0])

    monkeypatch.setattr(train, "stand_in", fail)
    with pytest.raises(devices.Exhausted) as error:
        tree.estimate([a_run(trace="every")], "cpu")
    assert "--device cpu" in one_line(error)


def test_another_error_stays_what_it_is(monkeypatch):
    def fail(*arguments):
        raise RuntimeError("unsupported memory format")

    monkeypatch.setattr(train, "train_epoch", fail)
    with pytest.raises(RuntimeError, match="format"):
        sweep([a_run()])


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


# Traces -------------------------------------------------------------------------------------------


def end(trajectory):
    final = trajectory.final or {}
    return {name: value for name, value in final.items() if name != "seconds"}


def without_trace(rows):
    return [{n: v for n, v in row.items() if n not in ("trace", "log_det")} for row in rows]


@pytest.mark.parametrize(
    "fields", [{}, {"optimizer": "adam"}, {"model": "fc-20", "deficit": "stripes"}], ids=str
)
@pytest.mark.parametrize("trace", ["every", "0,2", "9"])
def test_training_is_the_same_with_a_trace_which_is_of_its_epochs_alone(fields, trace):
    run = a_run(**{"deficit": "blur", "length": 2, "recovery": 1, **fields})
    traced = replace(run, trace=trace)
    found = train.advance(traced, run.epochs, device=CPU)
    rows = curve(found.rows)
    assert without_trace(rows) == trained(run)
    for row in found.rows:
        measured = {"trace", "log_det", "trace_seconds"} & {*row}
        assert len(measured) == (3 if traced.traced(row["epoch"]) else 0)
    assert {"layers", "information", "information_error", "sharpness", "seconds"} <= {*found.final}
    assert train.advance(run, 1, device=CPU).final is None


def test_a_trace_is_what_fisher_finds_in_the_network_of_that_epoch():
    run = a_run(deficit="blur", length=1, trace="every")
    found = train.advance(run, run.epochs, device=CPU)
    images = data.images("mnist", "ci")
    net, optimizer = train.start(run, CPU)
    x = images.normal(images.train_x)  # fewer than are traced
    for epoch in range(run.epochs):
        train.train_epoch(run, epoch, images, net, optimizer)
        row = found.rows[epoch]
        assert row["trace"] == list(fisher.trace(net, x).layers.values())
        nothing = sum(w.numel() for n, w in net.named_parameters() if w.ndim > 1) * np.log(1e-3)
        logs = fisher.log_determinant(net, x[:50]).total
        assert row["log_det"] == pytest.approx(logs - nothing, rel=1e-9)
        assert row["log_det"] > 0
    noisy = fisher.information(net, x)
    assert found.final["layers"] == list(noisy.trace.layers)
    assert found.final["information"] == list(noisy.trace.layers.values())
    assert found.final["information_error"] == list(noisy.trace.errors.values())
    assert found.final["sharpness"] == fisher.sharpness(net, x[:200], images.train_y[:200])
    assert torch.equal(torch.tensor(found.final["filters"]), net[0].weight)


TRACED = [
    *(a_run(deficit="blur", length=length, trace="every", model="fc-20") for length in (0, 2)),
    a_run(schedule="fixed", onset=1, recovery=0, trace="every", model="fc-20"),
    a_run(schedule="fixed", onset=1, recovery=2, trace="every", model="fc-20"),
    a_run(optimizer="adam", onset=1, recovery=1, trace="0", model="fc-20"),
    a_run(deficit="blur", length=2, model="fc-20"),
]


@pytest.mark.parametrize("workers", [1, 2])
def test_branches_of_a_tree_have_the_traces_of_the_run_trained_alone(monkeypatch, workers):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    if "alone" not in ALONE:
        ALONE["alone"] = {run: train.advance(run, run.epochs, device=CPU) for run in TRACED}
    found = dict(tree.trajectories(TRACED, device="cpu", workers=workers))
    for run, alone in ALONE["alone"].items():
        assert curve(found[run].rows)[: run.epochs] == curve(alone.rows)
        assert end(found[run]) == end(alone)
        assert bool(end(alone)) == (run.trace != "none")
    assert not checkpoints()


ALONE = {}  # trained once for both


def test_what_nobody_ends_at_is_not_measured_at_its_end(monkeypatch):
    measured, at_end = [], fisher.at_end
    monkeypatch.setattr(fisher, "at_end", lambda *_: measured.append(1) or at_end(*_))
    sweep([a_run(deficit=d, onset=1, length=1, trace="0", model="fc-20") for d in ("blur", "flip")])
    assert len(measured) == 2  # and not at the trunk's


@pytest.mark.parametrize("where", ["along", "at_end"])
def test_a_network_with_nothing_to_measure_has_no_result_and_the_others_go_on(monkeypatch, where):
    runs = [a_run(deficit=d, onset=1, length=1, trace="1", model="fc-20") for d in ("blur", "flip")]
    runs.append(a_run(onset=1, recovery=0, trace="1", model="fc-20"))  # ends at the trunk's end
    runs.append(replace(runs[0], trace="none"))
    measure = getattr(fisher, where)

    def spoil(net, images):
        if spoil.run.deficit == "blur" or (where == "at_end" and spoil.run.epochs == 1):
            with torch.no_grad():
                net[-1].bias.fill_(torch.inf)
        return measure(net, images)

    def spy(what, net, images, run, epoch):
        spoil.run = run
        return checked(what, net, images, run, epoch)

    checked = train.measured
    monkeypatch.setattr(fisher, where, spoil)
    monkeypatch.setattr(train, "measured", spy)
    found = sweep(runs)
    assert isinstance(found[runs[0]], train.Diverged)
    assert "not finite" in str(found[runs[0]])
    assert runs[0].canonical in str(found[runs[0]])
    assert "\n" not in str(found[runs[0]])
    assert found[runs[3]] == trained(runs[3])
    if where == "along":
        assert isinstance(found[runs[1]], list)
    assert not checkpoints()


# The machine --------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [(), ("mps",), ("cuda",), ("cuda", "mps")])
def test_auto_takes_the_first_device_that_is_there(monkeypatch, there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in there)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int("cuda" in there))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)
    assert devices.pick("auto").type == (*there, "cpu")[0]
    assert devices.pick().type == (*there, "cpu")[0]
    for name in (*there, "cpu"):
        assert devices.pick(name).type == name


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps", "tpu", "", "cpu:x", "CPU", None, 3])
def test_a_device_that_is_not_there_is_refused(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(CplabError) as error:
        devices.pick(name)
    assert repr(name) in one_line(error)
    assert "has cpu" in one_line(error)
    assert "--device cpu" in one_line(error)


@pytest.mark.parametrize("kind", [RuntimeError, AssertionError])
def test_a_driver_that_does_not_fit_is_said(monkeypatch, kind):
    def init():
        raise kind("The NVIDIA driver on your system is too old\n(found 11040).")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)
    with pytest.raises(CplabError) as error:
        devices.pick("cuda")
    for words in ("The NVIDIA driver on your system is too old", "--device cpu"):
        assert words in one_line(error)


def test_a_second_gpu_is_refused_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert devices.pick("cuda:0") == torch.device("cuda:0")
    with pytest.raises(CplabError, match="cuda:1"):
        devices.pick("cuda:1")


def test_an_estimate_counts_shared_epochs_once():
    short, long = a_run(onset=2), a_run(onset=4)
    one = tree.estimate([short], "cpu") / short.epochs
    assert one > 0
    assert tree.estimate([short, long], "cpu") == pytest.approx(one * len(prefixes([short, long])))
    assert tree.estimate([], "cpu") == 0


def test_an_estimate_takes_in_what_is_measured(monkeypatch):
    monkeypatch.setattr(tree, "seconds_per_epoch", lambda run, device: 1)
    monkeypatch.setattr(tree, "seconds_per_trace", lambda run, device: 100)
    monkeypatch.setattr(tree, "seconds_per_end", lambda run, device: 10_000)
    short, long = (a_run(onset=onset, trace="0,2") for onset in (2, 4))
    assert tree.estimate([short], "cpu") == 10_204
    assert tree.estimate([short, long], "cpu") == 20_000 + 100 * 2 + 7  # three epochs are shared
    assert tree.estimate([replace(short, trace="none")], "cpu") == 4


def operations(work) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


@pytest.mark.parametrize("model", ["allcnn-4", "fc-20"])
def test_estimates_of_measurements_count_all_of_their_work(model, monkeypatch):
    """In operations: seconds depend on what else the machine is doing."""
    run = a_run(model=model, dataset="practice")
    images = data.images(run.dataset, run.profile)
    net, _ = train.stand_in(run.model, run.profile, run.dataset, CPU, 1)
    monkeypatch.setattr(train.timeit, "repeat", lambda work, **_: [operations(work)])
    monkeypatch.setattr(train.timeit, "timeit", lambda work, **_: operations(work))
    arguments = (run.model, run.profile, run.dataset, "cpu")
    for measure, estimate in (
        (fisher.along, train.timed_trace.__wrapped__),
        (fisher.at_end, train.timed_end.__wrapped__),
    ):
        assert operations(lambda m=measure: m(net, images)) == pytest.approx(
            estimate(*arguments), rel=0.1
        )


def test_a_crew_has_a_process_for_each_core_where_that_pays(monkeypatch):
    monkeypatch.setattr(tree.os, "cpu_count", lambda: 4)
    course = [Run(seed=s) for s in range(6)]
    assert tree.crew_size(course, "cpu") == 4
    assert tree.crew_size(course[:3], "cpu") == 3
    assert tree.crew_size(course[:1], "cpu") == 1
    tiny = [replace(run, profile="ci", recovery=None, dataset=None, model=None) for run in course]
    assert tree.crew_size(tiny, "cpu") == 1
    assert tree.crew_size([*tiny, *course], "cpu") == 4
