"""Two eyes: the network, what it is shown, what is measured on it, and how a student meets them."""

import copy

import numpy as np
import pytest
import torch
from conftest import lively

from cplab import Run, models, quantities
from cplab.deficits import apply_deficit
from cplab.labs import lab07
from cplab.measure import MEASUREMENTS
from cplab.pictures.data import Images


def measured(what, net, x, y):
    rows = x.permute(0, 2, 3, 1)
    return MEASUREMENTS[what](net, Images("", "", rows, y, rows, y, x.new_zeros(3), x.new_ones(3)))


def network(name="eyes-8"):
    torch.manual_seed(0)
    return lively(models.build(name, size=16)).eval()


def pictures(count=60, size=16, seed=1):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def squinting():
    """Images, their labels, and what a squint makes of both."""
    x = pictures(128)
    y = torch.arange(128) % 10
    seen, labels = apply_deficit(torch.stack([x, x], 1), y, "strabismus:right")
    return x, y, seen, labels


def test_a_squinting_eye_sees_another_image():
    x, _, seen, _ = squinting()
    assert torch.equal(seen, torch.stack([x, x.roll(1, 0)], 1))


def test_either_eye_s_image_names_a_pair():
    _, y, _, labels = squinting()
    by_left = labels == y
    by_right = labels == y.roll(1)
    assert (by_left | by_right).all()
    assert 0.3 < by_left.float().mean() < 0.7


def test_an_eye_sees_its_part_of_the_columns():
    net = network()
    x = pictures(4)
    views = torch.stack([x, x], 1)
    before = net.feature_maps(views)
    views[..., 6:10] += 1  # both eyes see these
    both = net.feature_maps(views)
    assert not any(torch.equal(a, b) for a, b in zip(before, both, strict=True))
    views[:, 0, ..., 10:] = 7  # what the left eye does not see
    views[:, 1, ..., :6] = 7
    assert all(torch.equal(a, b) for a, b in zip(both, net.feature_maps(views), strict=True))


def by_hand(net, x):
    """Shares by closing each eye in turn before the first shared layer, in float64."""
    net = copy.deepcopy(net).double().train()
    maps = net.feature_maps(torch.stack([x, x], 1).double())
    conv = net.shared[0]
    found = []
    for eye in (0, 1):
        shown = [h if i == eye else torch.zeros_like(h) for i, h in enumerate(maps)]
        found.append(conv(torch.cat(shown, 1)).transpose(0, 1).flatten(1).var(1))
    return found[1] / (found[0] + found[1])


@pytest.mark.parametrize("name", ["eyes-8", "eyes_whole-6"])
def test_shares_are_those_of_each_eye_s_part_of_the_sum(name):
    net = network(name)
    x = pictures()
    found = measured("eye_shares", net, x, torch.arange(60))
    assert found == pytest.approx(by_hand(net, x).tolist(), abs=1e-4)


@torch.no_grad()
def test_one_eyes_accuracy_is_the_networks_without_the_other():
    net = network("eyes_whole-8").double()
    x = pictures(70).double()
    y = net(torch.stack([x, x], 1)).argmax(1)
    y[::3] = (y[::3] + 1) % 10

    def right(net, *pair):
        return (net(torch.stack(pair, 1)).argmax(1) == y).double().mean().item()

    found = measured("each_eye", net, x, y)
    grey = torch.zeros_like(x)
    used = copy.deepcopy(net)
    used.shared.train()
    assert found["both"] == right(net, x, x)
    assert found["closed"] == [right(net, x, grey), right(net, grey, x)]
    assert found["adapted"] == [right(used, x, grey), right(used, grey, x)]


CLOSED = Run("blank:right", length=8, model="eyes")
PATCHED = lab07.patch(4, CLOSED)


def heights(figure):
    """The heights of its bars, from left to right."""
    bars = sorted(figure.ax.patches, key=lambda bar: bar.get_x())
    return [bar.get_height() for bar in bars]


def test_a_histogram_shows_the_shares_of_all_neurons():
    shares = quantities.each_seed(lab07.neuron_shares, CLOSED, epochs=3)
    counts, _ = np.histogram(shares, np.linspace(0, 1, 8))
    [figure] = lab07.histogram({"closed": CLOSED}, 3)
    assert heights(figure) == pytest.approx(100 * counts / shares.size)


def test_a_clinic_says_when_the_patch_is_worn():
    words, _ = lab07.clinic(PATCHED)
    assert "left eye closed from epoch 8 to 12" in words


def test_a_clinic_s_curve_shows_the_mean_share():
    _, (_, curve, _) = lab07.clinic(PATCHED)
    shares = quantities.each_seed(lab07.neuron_shares, PATCHED, epochs=3)
    assert curve.ax.lines[0].get_ydata()[2] == pytest.approx(shares.mean())


def test_a_clinic_s_bars_show_what_each_eye_is_worth():
    _, (_, _, worth) = lab07.clinic(PATCHED)
    means = [lab07.acuity(PATCHED, eye).mean for eye in ("both", "left", "right")]
    assert heights(worth)[::2] == pytest.approx(means)
