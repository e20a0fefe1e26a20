"""Lab 05b: what its pruning refuses, and what its table lacks."""

from conftest import one_line

import cplab
from cplab import quantities
from cplab.lab import missing
from cplab.labs.lab05b_nets import kernel_net, kernels_to_keep
from cplab.labs.lab05b_pruning import prune_weights

UPSIDE_DOWN = prune_weights.spec(deficit="flip", length=8)


def test_a_density_needs_a_metric():
    one_line(lambda: prune_weights(density=0.5), "density 0.5")


def test_each_layer_keeps_a_kernel():
    one_line(lambda: kernels_to_keep(kernel_net((6, 10), (12, 8)), 15), "14")


def test_what_the_table_lacks_is_not_computed():
    one_line(lambda: cplab.run(UPSIDE_DOWN), "prune_weights is a table")


def test_what_the_table_lacks_is_not_offered_and_what_it_has_is_named():
    below = missing.offer([quantities.lack(UPSIDE_DOWN)])
    assert "table" in below.page
    assert "deficit = &#x27;blur&#x27;" in below.page
