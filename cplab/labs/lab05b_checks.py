"""The answers to lab 05b's exercises."""

from cplab.lab.questions.checks import Answer, exercise
from cplab.labs import lab05b
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.labs.lab05b_pruning import PLANS
from cplab.quantities import accuracy


@exercise("05b-1", "kernels that the first layer keeps", tolerance=1.3)
def first_layer_of_newborns() -> Answer:
    """How many kernels the first layer of an untrained network keeps when the first five go."""
    large = PLANS["course"]
    first, second = large.kernels
    in_proportion = first - 5 * first / (first + second)
    mistakes = {
        "That is all of them, as if the second layer lost its kernels first": first,
        "That is how many are gone from it: how many stay?": 5.0,
        "That is in proportion to the layers' sizes: take the smallest norms of both layers": (
            in_proportion
        ),
    }
    return Answer(lab05b.first_of_newborns(large, 5), mistakes)


@exercise("05b-3", "points for each per cent", tolerance=0.05)
def efficiency() -> Answer:
    """Points above chance for each per cent of the synapses, of a grown and pruned network."""
    right = accuracy(retrain.spec("biological", 0.05, search.spec())).mean
    mistakes = {
        "Guessing names one digit in ten: count from 10 % on": right / 5,
        "That is of the random network": lab05b.efficiency("random", 0.05),
        "That is of the dense network": lab05b.efficiency("dense", 1),
    }
    return Answer(lab05b.efficiency(), mistakes)
