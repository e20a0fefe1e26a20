"""Lab 00b: random directions, and what is left to a goal against the path."""

import numpy as np
import pytest
import torch
from torch import nn

from cplab.labs import lab00, lab00b
from cplab.quantities import accuracy


def gradients(net):
    """The gradient of a network as one row, (weights,)."""
    return torch.cat([weight.grad.flatten() for weight in net.parameters()])


def test_a_random_direction_has_norm_one_half_and_knows_nothing_of_the_loss():
    net = nn.Sequential(nn.Linear(40, 30), nn.Linear(30, 20))
    loss = net(torch.ones(5, 40)).square().sum()
    loss.backward()
    learned = gradients(net)
    drawn = []
    for _ in range(2):
        lab00b.wander(net, loss, None)
        drawn.append(gradients(net))
        assert drawn[-1].norm().item() == pytest.approx(0.5)
    pairs = torch.stack([learned, *drawn])
    cosines = torch.corrcoef(pairs)  # (3, 3)
    assert cosines[~torch.eye(3, dtype=bool)].abs().max() < 0.15


def test_nothing_is_left_to_a_run_that_is_its_own_goal_when_it_ends():
    flip = lab00.childhood("flip")
    points = lab00b.left_by_path(flip, accuracy(flip), (10, 100, 300))
    early, end = points.values()  # a run has no points after its end
    assert (end.mean, end.half) == pytest.approx((0, 0))
    assert early.mean > 5
    paths = [*points]
    assert paths == sorted(paths)
    assert paths[-1] == pytest.approx(lab00b.path_after(flip, 100).mean, rel=0.01)


def test_a_figure_has_the_points_that_it_was_given_and_a_line_through_others():
    blurred = lab00.childhood()
    goal = accuracy(blurred.replace(deficit="flip"))
    points = lab00b.left_by_path(blurred, goal, (1, 3, 10, 30, 100))
    fig = lab00b.against_distance({"a": {"told": points}, "b": {}}, {"b": [points]})
    told, other = fig.axes
    drawn = told.containers[0].lines[0]
    assert [*drawn.get_xdata()] == [*points]
    assert [*drawn.get_ydata()] == [left.mean for left in points.values()]
    line = other.lines[-1]
    heights = np.interp([*points], line.get_xdata(), line.get_ydata())
    misses = heights - [left.mean for left in points.values()]
    assert np.abs(misses).mean() < 2
    assert "told" in fig.alt
    assert "line through other ways" in fig.alt
