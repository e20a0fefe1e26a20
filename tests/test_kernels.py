"""The convolutional model of growth and pruning: what is taken out, and what is left."""

import threading
from collections import Counter
from itertools import accumulate, islice, pairwise

import pytest
import torch
from torch import nn

from cplab import checkpoints, data, kernels, studies, train
from cplab.experiment import CplabError
from cplab.kernels import SIZES, Network, Pruning, Split

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = Network((6, 10), (12, 8), channels=3, pixels=16).double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.normal_()
            module.bias.data.normal_()
    return net.eval()


def masked(net, x, first, second):
    """The whole network with the outputs of all other kernels set to zero after batch norm."""
    for i, layer in enumerate(net):
        x = layer(x)
        for at, kept in ((3, first), (7, second)):
            if i == at:
                keep = torch.zeros(x.shape[1], 1, 1, dtype=x.dtype)
                keep[kept] = 1
                x = x * keep
    return x


@pytest.mark.parametrize("pixels", [16, 17, 18, 32])
def test_the_smaller_network_gives_what_the_masked_one_gives(pixels):
    torch.manual_seed(1)
    net = Network((6, 10), (12, 8), pixels=pixels).double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.bias.data.normal_()
    x = torch.randn(5, 3, pixels, pixels, dtype=torch.double)
    first, second = torch.tensor([0, 2, 5]), torch.tensor([1, 2, 3, 9])
    small = kernels.take_out(net.eval(), first, second)
    small = small.double()
    # copied through float32 parameters, so to single precision
    assert torch.allclose(small(x), masked(net, x, first, second), atol=1e-5)
    assert small.kernels == (3, 4)


def test_less_is_left_of_the_network_too(net):
    small = kernels.take_out(net, torch.arange(3), torch.arange(4))
    count = sum(p.numel() for p in small.parameters())
    assert count < sum(p.numel() for p in net.parameters())
    assert small[9].in_features == 4 * 9
    assert small[4].in_channels == 3


def test_the_weakest_of_both_layers_go_first(net):
    first, second = kernels.norms(net)
    by_hand = [(n.item(), 0, i) for i, n in enumerate(first)]
    by_hand += [(n.item(), 1, i) for i, n in enumerate(second)]
    gone = {(layer, i) for _, layer, i in sorted(by_hand)[:5]}
    kept = kernels.weakest(net, 5)
    left = {(layer, int(i)) for layer, some in enumerate(kept) for i in some}
    assert left == {(layer, i) for _, layer, i in by_hand} - gone
    net[0].weight.data[2] = 0
    assert 2 not in kernels.weakest(net, 1)[0]


def test_one_kernel_is_left_in_each_layer_even_if_all_of_it_are_weak(net):
    net[0].weight.data *= 1e-3
    first, second = kernels.weakest(net, 14)
    assert (len(first), len(second)) == (1, 1)
    first, second = kernels.weakest(net, 8)
    assert (len(first), len(second)) == (1, 7)
    assert int(first) == int(kernels.norms(net)[0].argmax())


def test_random_choice_is_even_and_from_its_generator(net):
    counts = Counter()
    for seed in range(300):
        generator = torch.Generator().manual_seed(seed)
        first, second = kernels.weakest(net, 4, "random", generator)
        counts.update([(0, int(i)) for i in first] + [(1, int(i)) for i in second])
    share = [counts[layer, i] / 300 for layer, n in ((0, 6), (1, 10)) for i in range(n)]
    assert max(abs(s - 12 / 16) for s in share) < 0.12
    again = [
        kernels.weakest(net, 4, "random", torch.Generator().manual_seed(3))[1].tolist()
        for _ in range(2)
    ]
    assert again[0] == again[1]


@pytest.mark.parametrize("count", [15, -1])
def test_more_kernels_than_there_are_cannot_go(net, count):
    with pytest.raises(CplabError, match=r"take 14 or fewer") as raised:
        kernels.weakest(net, count)
    assert "\n" not in str(raised.value)


def test_the_thesis_network_has_the_thesis_layers():
    paper = SIZES["paper"]
    net = Network(paper.kernels, paper.units)
    shapes = [tuple(p.shape) for name, p in net.named_parameters() if p.ndim > 1]
    assert shapes == [(64, 3, 5, 5), (256, 64, 5, 5), (382, 256 * 49), (194, 382), (10, 194)]
    assert paper.rates == ((100, 0.1), (100, 0.01), (50, 0.001))
    assert (paper.at_once, paper.retraining) == (10, (15, 0.001))
    assert paper.saved == (300, 200, 100, 30, 20)
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("task", kernels.TASKS)
def test_a_critical_period_ends_at_few_kernels_and_passes_all_that_are_kept(task):
    size = SIZES["ci"]
    rows = list(kernels.develop(Pruning("ci", task)))
    totals = [row["first"] + row["second"] for row in rows]
    assert totals[0] == sum(size.kernels)
    assert totals[-1] == min(size.saved)
    assert {*size.saved} <= {*totals}
    steps = [a - b for a, b in pairwise(totals)]
    assert min(steps) >= 0
    assert max(steps) <= size.at_once
    assert [r["phase"] for r in rows].count("training") == sum(n for n, _ in size.rates)
    parameters = [row["parameters"] for row in rows]
    assert parameters == sorted(parameters, reverse=True)
    assert all(0 <= row["accuracy"] <= 1 for row in rows)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_all_numbers_of_kernels_that_are_kept_are_passed(size):
    left = list(accumulate((-count for count in size.taken), initial=sum(size.kernels)))
    assert {*size.saved} <= {*left}
    assert left[-1] == min(size.saved)
    assert all(0 < count <= size.at_once for count in size.taken)
    less = [count for count in size.taken if count < size.at_once]
    assert len(less) <= len(size.saved)  # as many at once as the next of these allows


def test_it_is_reproducible_from_its_seed():
    def life(**how):
        return [(r["first"], r["loss"], r["accuracy"]) for r in kernels.develop(Pruning(**how))]

    assert life(size="ci") == life(size="ci") != life(size="ci", seed=1)


def test_without_retraining_nothing_is_learned_while_pruning():
    rows = list(kernels.develop(Pruning("ci", retrain=False)))
    assert {r["epochs"] for r in rows if r["phase"] == "pruning"} == {2}
    again = list(kernels.develop(Pruning("ci")))
    assert again[-1]["epochs"] > 2


def test_the_tasks_are_what_they_are_called():
    images = data.images("practice", "ci")
    for task, pictures, labels in (
        ("images", True, True),
        ("noise", False, False),
        ("random_labels", True, False),
    ):
        made = kernels.material(Pruning("ci", task), torch.device("cpu"))
        assert torch.equal(made.train_x, images.normal(images.train_x)) is pictures
        assert torch.equal(made.train_y, images.train_y) is labels
        assert made.train_x.mean().abs() < 0.05
        assert abs(made.train_x.std() - 1) < 0.05
        assert made.train_y.bincount(minlength=10).min() > 10


def test_random_splits_are_all_that_can_be_reached_and_no_others():
    found = {kernels.random_split(12, seed, (4, 10)) for seed in range(100)}
    assert found == {(2, 10), (3, 9), (4, 8)}
    assert kernels.random_split(2, 0, (4, 10)) == (1, 1)
    for total in (1, 15):
        with pytest.raises(CplabError, match="give 2 to 14"):
            kernels.random_split(total, 0, (4, 10))


def test_it_can_be_stopped():
    stop = threading.Event()
    life = kernels.develop(Pruning("ci"), stop=stop)
    next(life)
    stop.set()
    with pytest.raises(train.Cancelled):
        next(life)


@pytest.fixture
def trained(monkeypatch, own_cache):
    """The seeds of the epochs that are trained, in a list; a checkpoint after each row; what is
    set as `trained.stop` is set after each epoch."""

    class Seeds(list):
        stop = threading.Event()

    seeds, epoch = Seeds(), kernels.epoch

    def spy(net, optimizer, images, size, seed, *rest):
        loss = epoch(net, optimizer, images, size, seed, *rest)
        seeds.append(seed)
        seeds.stop.set()
        return loss

    monkeypatch.setattr(kernels, "epoch", spy)
    monkeypatch.setattr(checkpoints, "SECONDS", -1)
    return seeds


def kept_checkpoints():
    return [*(data.cache_dir() / "checkpoints").glob("*")]


LIVES = [
    Pruning("ci"),
    Pruning("ci", choice="random"),
    Pruning("ci", "noise", retrain=False),
    Split("ci", 2, 3),
]


@pytest.mark.parametrize("spec", LIVES, ids=studies.canonical)
def test_what_is_broken_off_goes_on_after_its_last_row_and_ends_the_same(spec, trained):
    [(_, whole)] = kernels.compute([spec])
    alone = trained[:]
    del trained[:]
    for broken in range(len(alone) - 1):
        trained.stop.clear()
        with pytest.raises(train.Cancelled):
            list(kernels.compute([spec], stop=trained.stop))
        assert trained == alone[: broken + 1]  # no epoch twice
        assert len(kept_checkpoints()) == 1
    [(_, found)] = kernels.compute([spec])
    assert found == whole
    assert not kept_checkpoints()


@pytest.mark.parametrize("spec", LIVES[:3], ids=studies.canonical)
def test_rows_are_the_same_wherever_it_goes_on(spec, trained):
    whole = list(kernels.develop(spec))
    for count in range(1, len(whole) + 1):
        again = list(islice(kernels.develop(spec), count))
        assert repr(again) == repr(whole[:count])  # NaN included


def test_critical_periods_go_on_from_one_training(trained):
    specs = [Pruning("ci"), Pruning("ci", "noise"), Pruning("ci", choice="random"),
             Pruning("ci", retrain=False)]  # fmt: skip
    alone = {}
    for spec in specs:
        alone |= kernels.compute([spec])
    del trained[:]
    together = {}
    for number, (spec, values) in enumerate(kernels.compute(specs)):
        together[spec] = values
        assert len(kept_checkpoints()) == (number < 3)
    assert together == alone
    longest = len(SIZES["ci"].training)
    assert Counter(trained)["epoch", 0, 0] == 2  # images and noise
    assert sum(seed[2] < longest for seed in trained) == 2 * longest


def test_studies_of_it_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("CPLAB_CACHE", str(tmp_path))
    specs = [Pruning("ci"), Split("ci", 2, 3)]
    made = dict(studies.collect(specs, kernels.compute))
    again = dict(studies.collect(specs, None))
    assert made == again
    assert made[specs[1]].values["accuracy"] == made[specs[1]].values["curve"][-1]
    assert len(made[specs[0]].values["first"]) == len(made[specs[0]].values["accuracy"])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Pruning("huge"), "ci, course, paper"),
        (lambda: Pruning(task="sleep"), "images, noise, random_labels"),
        (lambda: Pruning(choice="worst"), "activity, random"),
        (lambda: Split("ci", 0, 3), "1 or more"),
    ],
)
def test_bad_input_is_one_clear_line(make, said):
    with pytest.raises(CplabError, match=said) as raised:
        make()
    assert "\n" not in str(raised.value)
