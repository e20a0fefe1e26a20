"""Growth and pruning of synapses: counts, masks, gradients, controls, and what is kept of them."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cplab import CplabError, results
from cplab.labs import lab05_architectures as architectures
from cplab.labs import lab05_growth as growth
from cplab.labs import lab05_nets as nets
from cplab.labs.lab05_architectures import SHAPES
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import ORIGINS, prune_once, retrain

SHORT = {"n": 60, "gamma": 2.0}  # of 85 steps, at most 80 % dense


@pytest.fixture(autouse=True)
def alone(one_thread, small_mnist):
    """Equal bits, 300 invented digits."""


@pytest.fixture
def random():
    return np.random.default_rng(0)


def sparse(count, random):
    """An architecture of `count` synapses in the first layer."""
    full = [np.ones((b, a), bool) for a, b in SHAPES]
    return [architectures.draw_synapses(full[0], count, random), full[1]]


def observed(monkeypatch, spec):
    """What every step of a search's training found: [weights, alive] of both layers."""
    seen, step = [], nets.take_step

    def look(net, *batch):
        before = [each.clone() for each in net.alive]
        step(net, *batch)
        seen.append(([w.clone() for w in net.weights], [a[:, :-1] > 0 for a in before]))

    monkeypatch.setattr(nets, "take_step", look)
    search.compute(**spec.arguments)
    return seen


# The search -------------------------------------------------------------------------------------


def test_the_thesis_numbers():
    assert growth.search_steps() == 13_125
    assert growth.expected_density(5000) == 90
    # of 12,544, all but half of 12,560
    assert (growth.born_synapses(50, 1), growth.born_synapses(50, 2)) == ([6264], [6264, 75])
    _, changes = growth.draw_changes(search.spec(rounding="up", output="pruned"))
    assert {*changes[:1000, 0].tolist()} == {3, -3}
    grows, changes = growth.draw_changes(search.spec(seed=3))
    first = np.abs(changes[:9000, 0])  # rounded at random, with the right expectation
    assert {*first.tolist()} == {2, 3}
    assert first.mean() == pytest.approx(2.0096, abs=4 * math.sqrt(0.0096 / 9000))
    assert (np.sign(changes[:9000, 0]) == np.where(grows[:9000], 1, -1)).all()


@pytest.mark.parametrize("output", ["dense", "pruned"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_masks_counts_and_disjoint_sets_at_every_step(monkeypatch, output, optimizer):
    spec = search.spec(**SHORT, output=output, optimizer=optimizer)
    _, changes = growth.draw_changes(spec)
    seen = observed(monkeypatch, spec)
    assert len(seen) == len(changes)
    born = [*growth.born_synapses(50, changes.shape[1]), 160][:2]
    changes, previous = np.pad(changes, ((0, 0), (0, 2)))[:, :2], None
    counts = born + changes.cumsum(0)
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


def loss_of(weights, x, y):
    """The loss by torch's own layers."""
    hidden = F.linear(x / 255, weights[0][:, :-1], weights[0][:, -1]).relu()
    return F.cross_entropy(F.linear(hidden, weights[1][:, :-1], weights[1][:, -1]), y)


def test_adam_is_torchs(random):
    whole = sparse(12_544, random)
    net = nets.build_net(whole, 0, "adam", nets.EVERY_PIXEL, torch.device("cpu"))
    own = [w.clone().requires_grad_() for w in net.weights]
    optimizer = torch.optim.Adam(own, 0.001, eps=1e-7)
    x, y = torch.rand(50, 784) * 255, torch.arange(50) % 10
    for _ in range(5):
        nets.take_step(net, x, y, 0.001)
        optimizer.zero_grad()
        loss_of(own, x, y).backward()
        optimizer.step()
    for ours, theirs in zip(net.weights, own, strict=True):
        torch.testing.assert_close(ours, theirs.detach(), atol=2e-5, rtol=1e-3)


def test_the_written_gradient_is_autograds():
    random = torch.Generator().manual_seed(0)
    weights = [torch.randn(b, a + 1, generator=random).double() / 20 for a, b in SHAPES]
    x = torch.randint(256, (40, 784), generator=random).double()
    y = torch.randint(10, (40,), generator=random)
    own = [w.clone().requires_grad_() for w in weights]
    loss_of(own, x, y).backward()
    for ours, theirs in zip(nets.written_gradients(weights, x, y), own, strict=True):
        torch.testing.assert_close(ours, theirs.grad, rtol=1e-10, atol=1e-14)


def test_a_search_keeps_what_it_passes_and_is_reproducible():
    moments, some = [], {"n": 200, "gamma": 0.8, "keep": (0.1, 0.3)}
    values = search.compute(**some, report=moments.append)
    assert values == search.compute(**some) != search.compute(**some, seed=1)
    assert [*values["architectures"]] == ["0.3", "0.1"]
    for density, kept in values["architectures"].items():
        alive = architectures.unpack_architecture(kept["alive"])
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


# Controls ---------------------------------------------------------------------------------------


@pytest.fixture
def found(random):
    """An architecture with a structure: more synapses at some pixels and units than at others."""
    chance = np.linspace(0, 0.5, 784) * np.linspace(0.2, 1, 16)[:, None]
    return [random.random((16, 784)) < chance, random.random((10, 16)) < 0.7]


@pytest.mark.parametrize("kind", ["random", "inked", "per_pixel", "degrees", "set"])
def test_controls_keep_what_they_claim_and_nothing_else(kind, found, random):
    ink = np.arange(784) >= 100
    other = architectures.make_control(kind, found, ink, random)
    for layer, (ours, theirs) in enumerate(zip(other, found, strict=True)):
        assert ours.dtype == bool
        assert ours.sum() == theirs.sum()
        assert (ours != theirs).any()
        per_pixel, per_unit = ((ours.sum(a) == theirs.sum(a)).all() for a in (0, 1))
        assert per_pixel == (kind in ("per_pixel", "degrees"))
        assert per_unit == (kind == "degrees")
        if kind == "inked" and layer == 0:
            assert not ours[:, ~ink].any()


# What is kept -----------------------------------------------------------------------------------


def test_retrainings_are_kept_with_their_searches():
    source = search.spec(**SHORT, keep=(0.1, 0.2))
    wanted = [retrain.spec(kind, 0.2, source, steps=20) for kind in ORIGINS]
    wanted += [retrain.spec("random", 0.1, source, steps=20), source]
    found = dict(results.collect(wanted, workers=1))
    assert {*found} == {*wanted}  # and not what one of them begins with
    counts = {spec.kind: found[spec].values["counts"] for spec in wanted[:-2]}
    assert counts.pop("dense") == [12_544, 160]
    assert counts.pop("magnitude") == [2508, 160]
    assert len({*map(tuple, counts.values())}) == 1
    assert dict(results.collect(wanted)) == found
    kept = results.find(source)
    alive = architectures.unpack_architecture(kept.values["architectures"]["0.2"]["alive"])
    assert alive[0].sum() == counts["set"][0]
    rewired = architectures.unpack_architecture(found[wanted[ORIGINS.index("set")]].values["alive"])
    assert [each.sum() for each in rewired] == counts["set"]
    assert (kept.copy, kept.threads) == ("small", 1)
    assert results.find(prune_once.spec("mnist", 20, "sgd", (0.1, 0.2), 0))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: search(gamma=0.03), "reach start .* = 125 %, above 100"),
        (lambda: retrain(density=0.5, search=search.spec(**SHORT)), "search's keep"),
    ],
)
def test_what_is_not_allowed_is_one_clear_line(make, words):
    with pytest.raises(CplabError, match=words) as raised:
        make()
    assert "\n" not in str(raised.value)
