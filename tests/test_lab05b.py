"""Lab 05b: what its pruning refuses, and what its results do not depend on."""

import pytest
import torch
from conftest import one_line

from cplab.labs.lab05b_nets import kernel_net, kernels_to_keep
from cplab.labs.lab05b_pruning import prune_weights
from cplab.results.result import without_times


def test_a_density_needs_a_metric():
    one_line(lambda: prune_weights(density=0.5), "density 0.5")


def test_each_layer_keeps_a_kernel():
    one_line(lambda: kernels_to_keep(kernel_net((6, 10), (12, 8)), 15), "14")


@pytest.fixture
def in_float64():
    """Another default type, as a cell above may have set it."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def pruned():
    values = prune_weights.compute("ci", "magnitude", density=0.3, training=1, retraining=1)
    return without_times(values)


@pytest.fixture
def usual(small_mnist):
    """What a pruning gives with torch's own default type."""
    return pruned()


def test_values_do_not_depend_on_the_default_type(usual, in_float64):
    assert pruned() == usual
