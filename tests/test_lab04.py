"""Lab 04: what it says of traces that a student computed."""

import numpy as np
import pytest
import torch

from cplab import models
from cplab.estimates import estimate
from cplab.labs import lab04
from cplab.measure import fisher


def traces_of(last, seeds=3):
    """Traces of some seeds, by epoch, that end near a value."""
    return [np.array([[1.0, 2.0], [1.0, last * (1 + 0.01 * seed)]]) for seed in range(seeds)]


@pytest.mark.parametrize(("last", "alike"), [(40.0, True), (10.0, False)])
def test_your_own_traces_are_compared_with_those_above(last, alike):
    above = {"blur": estimate([1.9, 2.0, 2.1])}  # four times
    lines = {"no deficit": traces_of(10.0), "mosaic": traces_of(last)}
    _, sentence = lab04.own_traces(lines, above)
    assert ("cannot be told apart" in sentence) is alike


def test_nothing_is_said_of_traces_before_all_have_ended():
    lines = {"no deficit": traces_of(10.0), "mosaic": [np.zeros((2, 0))] * 3}
    assert len(lab04.own_traces(lines, {"blur": estimate([2.0, 2.1])})) == 1


def test_the_empirical_trace_is_the_trace_where_labels_are_the_network_s_own():
    torch.manual_seed(0)
    net = models.build("allcnn-2", channels=1, size=8).eval()
    x = torch.randn(3, 1, 8, 8)
    total = 0.0
    for image in x:
        for label, chance in enumerate(net(image[None]).softmax(1)[0].tolist()):
            total += chance * lab04.empirical_trace(net, image[None], torch.tensor([label]))
    assert total / len(x) == pytest.approx(fisher.trace(net, x).total, rel=1e-4)
