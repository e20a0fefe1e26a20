"""Growth and pruning of synapses: counts, masks, gradients, controls, and what is kept of them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cplab import CplabError, devices, results
from cplab.errors import Diverged
from cplab.runs import Run
from cplab.studies.pruning import growth, nets
from cplab.studies.pruning.specs import ORIGINS, SHAPES, OneShot, Retraining, Search

SHORT = {"n": 60, "gamma": 2.0}  # of 85 steps, at most 80 % dense


@pytest.fixture(autouse=True)
def alone(one_thread, small_mnist):
    """Equal bits, 300 invented digits."""


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture
def wide(monkeypatch):
    """Training in float32, so that sums differ in their last bits alone."""
    monkeypatch.setattr(devices, "has_bf16", lambda device: False)


def sparse(count, random):
    """An architecture of `count` synapses in the first layer."""
    full = [np.ones((b, a), bool) for a, b in SHAPES]
    return [growth.draw_synapses(full[0], count, random), full[1]]


def observed(monkeypatch, spec):
    """A search, with what every step of training found: [weights, alive] of both layers."""
    seen, step = [], nets.take_step

    def look(group, *batch):
        before = [each.clone() for each in group.alive]
        step(group, *batch)
        seen.append(([w[0].clone() for w in group.weights], [a[0, :, :-1] > 0 for a in before]))

    monkeypatch.setattr(nets, "take_step", look)
    return growth.grow_and_prune(spec), seen


# The search -------------------------------------------------------------------------------------


def test_the_thesis_numbers():
    spec = Search()
    assert (spec.steps, spec.peak) == (13_125, 90)
    assert spec.shares == pytest.approx([2.0096])
    assert spec.born == [6264]  # of 12,544, all but half of 12,560
    literal = Search(rounding="up", output="pruned")
    assert literal.shares == pytest.approx([2.0096, 0.0272])
    assert literal.born == [6264, 75]
    _, changes = growth.draw_changes(literal)
    assert {*changes[:1000, 0].tolist()} == {3, -3}
    grows, changes = growth.draw_changes(Search(seed=3))
    first = np.abs(changes[:9000, 0])  # rounded at random, with the right expectation
    assert {*first.tolist()} == {2, 3}
    assert first.mean() == pytest.approx(2.0096, abs=4 * math.sqrt(0.0096 / 9000))
    assert (np.sign(changes[:9000, 0]) == np.where(grows[:9000], 1, -1)).all()


def test_the_expected_density_is_the_mean_of_many_searches():
    spec, lives = Search(n=400, gamma=0.2), []
    for seed in range(300):
        _, changes = growth.draw_changes(replace(spec, seed=seed))
        lives.append(100 * (spec.born[0] + changes[:500, 0].cumsum()) / 12_544)
    mean, error = np.mean(lives, 0), np.std(lives, 0) / math.sqrt(300)
    expected = growth.expected_density(spec, np.arange(1, 501))
    assert (abs(mean - expected) < 4 * error + 0.3).all()
    assert expected.max() == pytest.approx(spec.peak)
    assert growth.expected_density(spec, 10_000) == 0


@pytest.mark.parametrize("output", ["dense", "pruned"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_masks_counts_and_disjoint_sets_at_every_step(monkeypatch, output, optimizer):
    spec = Search(**SHORT, output=output, optimizer=optimizer)
    _, changes = growth.draw_changes(spec)
    _, seen = observed(monkeypatch, spec)
    assert len(seen) == len(changes)
    changes, previous = np.pad(changes, ((0, 0), (0, 2)))[:, :2], None
    counts = [*spec.born, 160][:2] + changes.cumsum(0)
    for (weights, alive), change, count in zip(seen, changes, counts, strict=True):
        for layer in range(2):
            assert alive[layer].sum() == count[layer]
            assert (weights[layer][:, :-1][~alive[layer]] == 0).all()
            if previous is None:
                continue
            grown = alive[layer] & ~previous[1][layer]
            gone = previous[1][layer] & ~alive[layer]
            assert grown.sum() == max(change[layer], 0)
            assert gone.sum() == max(-change[layer], 0)
            before = previous[0][layer][:, :-1].abs()
            if gone.any() and alive[layer].any():
                assert before[gone].max() <= before[alive[layer]].min()
        previous = weights, alive


def test_grown_weights_begin_at_zero_with_a_new_optimiser(random):
    group = nets.build_nets([sparse(400, random)] * 2, 0, "adam", torch.device("cpu"))
    x, y = torch.rand(50, 784) * 255, torch.arange(50) % 10
    for _ in range(3):
        nets.take_step(group, x, y, 0.001)
    index = group.weakest_synapses(0, 1, 10)
    others = group.state[0].clone()
    group.set_alive(0, 1, index, False)
    group.set_alive(0, 1, index, True)
    others[:, 1].view(4, -1)[:, index] = 0
    assert (group.weights[0][1].view(-1)[index] == 0).all()
    assert torch.equal(group.state[0], others)
    nets.take_step(group, x, y, 0.001)
    moved = group.weights[0][1].view(-1)[index].abs()
    assert moved.max() == pytest.approx(0.001, rel=0.01)  # Adam's first step is its rate


def test_adam_is_torchs(random):
    group = nets.build_nets([sparse(12_544, random)], 0, "adam", torch.device("cpu"))
    own = [w[0].clone().requires_grad_() for w in group.weights]
    optimizer = torch.optim.Adam(own, 0.001, eps=1e-7)
    x, y = torch.rand(50, 784) * 255, torch.arange(50) % 10
    for _ in range(5):
        nets.take_step(group, x, y, 0.001)
        hidden = (x / 255 @ own[0][:, :-1].T + own[0][:, -1]).relu()
        loss = F.cross_entropy(hidden @ own[1][:, :-1].T + own[1][:, -1], y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for ours, theirs in zip(group.weights, own, strict=True):
        torch.testing.assert_close(ours[0], theirs.detach(), atol=2e-5, rtol=1e-3)


def test_the_written_gradient_is_autograds():
    random = torch.Generator().manual_seed(0)
    weights = [torch.randn(3, b, a + 1, generator=random).double() / 20 for a, b in SHAPES]
    x = torch.randint(256, (40, 784), generator=random).double()
    y = torch.randint(10, (40,), generator=random)
    own = [w.clone().requires_grad_() for w in weights]
    loss = 0
    for first, last in zip(*own, strict=True):
        hidden = (x / 255 @ first[:, :-1].T + first[:, -1]).relu()
        loss = loss + F.cross_entropy(hidden @ last[:, :-1].T + last[:, -1], y)
    loss.backward()
    for ours, theirs in zip(nets.written_gradients(weights, x, y), own, strict=True):
        torch.testing.assert_close(ours, theirs.grad, rtol=1e-10, atol=1e-14)


def test_a_search_keeps_what_it_passes_and_is_reproducible():
    spec, moments = Search(n=200, gamma=0.8, keep=(0.1, 0.3)), []
    values = growth.grow_and_prune(spec, report=moments.append)
    assert values == growth.grow_and_prune(spec) != growth.grow_and_prune(replace(spec, seed=1))
    assert [*values["architectures"]] == ["0.3", "0.1"]
    for density, kept in values["architectures"].items():
        alive = nets.unpack_architecture(kept["alive"])
        assert [int(each.sum()) for each in alive] == kept["counts"]
        assert 0 <= float(density) - alive[0].mean() < 0.009  # the last step went below it
        assert alive[1].all()
    assert [m["step"] for m in moments] == values["steps"]
    assert all(m["pixels"].sum() == m["counts"][0] == round(m["density"] * 12_544) for m in moments)
    assert max(values["accuracy"]) > 0.9  # the invented digits are easy


def test_digits_at_random_places_are_whole_and_nowhere_more_often():
    flat, moved = (nets.flat_images(name)["train"] for name in ("mnist", "mnist_shifted"))
    assert torch.equal(moved.y, flat.y)
    power = [torch.fft.fft2(each.x.view(-1, 28, 28).double()).abs() for each in (flat, moved)]
    torch.testing.assert_close(*power)  # whatever is rolled around keeps its spectrum
    one = np.zeros((20_000, 28, 28), np.uint8)
    one[:, :3, :3] = 1
    share = nets.wrap_randomly(one, 0).mean(0) / (9 / 784)
    assert abs(share - 1).max() < 0.35  # five standard deviations


# Retraining -------------------------------------------------------------------------------------


def test_side_by_side_is_as_one_by_one(random, wide):
    several = [sparse(count, random) for count in (100, 1000, 5000)]
    together, curve = growth.train_side_by_side(several, steps=40)
    for net, each in enumerate(several):
        own, alone = growth.train_side_by_side([each], steps=40)
        torch.testing.assert_close(
            own.weights[1][0], together.weights[1][net], atol=1e-5, rtol=1e-4
        )
        assert alone["accuracy"][0] == pytest.approx(curve["accuracy"][net], abs=0.01)
    assert np.shape(curve["accuracy"]) == (3, len(curve["steps"]))


def test_set_rewires_at_constant_density_whatever_stands_beside_it(random):
    several = [sparse(count, random) for count in (100, 1000)]
    group, _ = growth.train_side_by_side(several, steps=100, rewire=True)
    for net, before in enumerate(several):
        after = group.architecture(net)
        assert after[0].sum() == before[0].sum()
        assert (after[0] & ~before[0]).sum() > 0.1 * before[0].sum()
        own, _ = growth.train_side_by_side([before], steps=100, rewire=True)
        assert (own.architecture(0)[0] == after[0]).mean() > 0.99


# Controls ---------------------------------------------------------------------------------------


@pytest.fixture
def found(random):
    """An architecture with a structure: more synapses at some pixels and units than at others."""
    chance = np.linspace(0, 0.5, 784) * np.linspace(0.2, 1, 16)[:, None]
    return [random.random((16, 784)) < chance, random.random((10, 16)) < 0.7]


@pytest.mark.parametrize("kind", ["random", "inked", "per_pixel", "degrees", "set"])
def test_controls_keep_what_they_claim_and_nothing_else(kind, found, random):
    ink = np.arange(784) >= 100
    other = growth.make_control(kind, found, ink, random)
    for layer, (ours, theirs) in enumerate(zip(other, found, strict=True)):
        assert ours.dtype == bool
        assert ours.sum() == theirs.sum()
        assert (ours != theirs).any()
        per_pixel, per_unit = ((ours.sum(a) == theirs.sum(a)).all() for a in (0, 1))
        assert per_pixel == (kind in ("per_pixel", "degrees"))
        assert per_unit == (kind == "degrees")
        if kind == "inked" and layer == 0:
            assert not ours[:, ~ink].any()


def test_controls_are_drawn_evenly(random):
    """Every place of a small architecture is as likely as its degrees allow."""
    alive = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], bool)
    for draw in (growth.trade_targets, growth.move_targets):
        mean = np.mean([draw(alive, random) for _ in range(200)], 0)
        assert mean == pytest.approx(0.5, abs=0.15)


# What is kept -----------------------------------------------------------------------------------


def test_retrainings_are_kept_with_their_searches():
    search = Search(**SHORT, keep=(0.1, 0.2))
    wanted = [Retraining(kind, 0.2, search, steps=20) for kind in ORIGINS]
    wanted += [Retraining("random", 0.1, search, steps=20), search]
    found = dict(results.collect(wanted))
    assert {*found} == {*wanted}  # and not what one of them begins with
    counts = {s.kind: found[s].values["counts"] for s in wanted[:-2]}
    assert counts.pop("dense") == [12_544, 160]
    assert counts.pop("magnitude") == [2508, 160]
    assert len({*map(tuple, counts.values())}) == 1
    assert dict(results.collect(wanted)) == found
    kept = results.find(search)
    alive = nets.unpack_architecture(kept.values["architectures"]["0.2"]["alive"])
    assert alive[0].sum() == counts["set"][0]
    rewired = nets.unpack_architecture(found[wanted[ORIGINS.index("set")]].values["alive"])
    assert [each.sum() for each in rewired] == counts["set"]
    assert (kept.copy, kept.threads) == ("small", 1)
    assert results.find(OneShot("mnist", 20, "sgd", (0.1, 0.2), 0))


def test_what_diverges_takes_only_what_begins_with_it(monkeypatch):
    def diverge(*rest, **how):
        raise Diverged("the loss is nan")

    monkeypatch.setattr(growth, "grow_and_prune", diverge)
    search = Search(**SHORT, keep=0.2)
    lost = [search, Retraining("random", 0.2, search, steps=20)]
    sound = [Run(profile="ci", model="fc-20", dataset="mnist", recovery=1)]
    sound += [OneShot(steps=20, keep=0.2), Retraining("magnitude", 0.2, search, steps=20)]
    for wanted in (lost + sound, [lost[1], sound[2]]):  # also of sources that nobody asked for
        with pytest.raises(Diverged, match="the loss is nan"):
            dict(results.collect(wanted, fresh=True))
    assert all(map(results.find, sound))
    assert not any(map(results.find, lost))


def test_magnitude_keeps_the_strongest(monkeypatch):
    groups, train = [], growth.train_side_by_side

    def look(architectures, **how):
        groups.append(train(architectures, **how))
        return groups[0]

    monkeypatch.setattr(growth, "train_side_by_side", look)
    values = growth.prune_once(OneShot("mnist", 10, "sgd", (0.25,), 0))
    alive = nets.unpack_architecture(values["architectures"]["0.25"]["alive"])[0]
    strength = groups[0][0].weights[0][0, :, :-1].abs().numpy()
    assert strength[alive].min() >= strength[~alive].max()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Search("cifar10"), "unknown dataset"),
        (lambda: Search(gamma=0.03), "reach start .* = 125 %, above 100"),
        (lambda: Search("practice", mixed=0.1), "take mnist"),
        (lambda: Retraining(density=0.5), "not kept by the search: choose one"),
    ],
)
def test_what_is_not_allowed_is_one_clear_line(make, words):
    with pytest.raises(CplabError, match=words) as raised:
        make()
    assert "\n" not in str(raised.value)
