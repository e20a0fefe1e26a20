"""Lab 05b: what its pruning refuses."""

from conftest import one_line

from cplab.labs.lab05b_nets import kernel_net, kernels_to_keep
from cplab.labs.lab05b_pruning import prune_weights


def test_a_density_needs_a_metric():
    one_line(lambda: prune_weights(density=0.5), "density 0.5")


def test_each_layer_keeps_a_kernel():
    one_line(lambda: kernels_to_keep(kernel_net((6, 10), (12, 8)), 15), "14")
