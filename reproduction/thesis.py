"""What the thesis and the slides claim (see claims.py)."""

from collections.abc import Callable
from functools import partial

from reproduction import numbers as n
from reproduction.questions import GROWTH, KERNELS, WEIGHTS
from reproduction.statement import above, between, flat, statement

DENSITIES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.15, 0.2)
LITERAL = {"rounding": "up", "output": "pruned"}


def densities(words: str, of: Callable, at=(0.01, 0.05, 0.2)) -> list[dict]:
    """Measures that should be above 0 at several densities."""
    return [above(f"{words}, density {{0:.0%}}, points", {"thesis": (d,)}, of) for d in at]


DENSE = [
    *statement(
        GROWTH,
        "Thesis, figure 2: growth and pruning",
        "Thesis 2.3",
        "A net with about 5 % of its synapses is about as accurate as the dense one.",
        above(
            "grown and pruned, its own weights, minus a dense net, density {0:.0%}, points",
            {"thesis": (0.05,)},
            n.own_weights_gain,
            low=-2,
        ),
        above(
            "the algorithm to the letter, minus a dense net, density {0:.0%}, points",
            {"thesis": (0.05,)},
            partial(n.own_weights_gain, **LITERAL),
            low=-2,
        ),
    ),
    *statement(
        GROWTH,
        "Thesis, figure 2: efficiency",
        "Thesis 2.3 and 2.7",
        "Growth is marked by increasing performance, pruning by increasing efficiency; with 5 % of "
        "the synapses it is much higher than the dense network's.",
        above(
            "accuracy at the highest density, minus that at the first, points",
            {"thesis": ()},
            n.growth_gain,
        ),
        above(
            "points for each per cent of synapses, density {0:.0%}, minus a dense net's",
            {"thesis": (0.05,)},
            n.efficiency_gain,
            idle="a twentieth of the synapses: whatever is right in 5 % of cases passes",
        ),
    ),
    *statement(
        GROWTH,
        "Thesis, figure 3: architectures from new weights",
        "Thesis 2.4",
        "Architectures that were grown and pruned are better than random ones at all densities up "
        "to 20 % (p < 0.01, n = 10).",
        *densities("grown and pruned minus random", n.architecture_gain, DENSITIES),
    ),
    *statement(
        GROWTH,
        "Thesis, figure 3, with controls that it does not have",
        "Thesis 2.7",
        "Growth and pruning is an architecture search driven by experience. (So it should beat "
        "controls that know only where the ink is.)",
        *(
            measure
            for control, words in (
                ("inked", "random on inked pixels"),
                ("per_pixel", "as many on each pixel"),
                ("degrees", "as many on each pixel and unit"),
            )
            for measure in densities(
                f"grown and pruned minus {words}", partial(n.architecture_gain, control=control)
            )
        ),
    ),
    *statement(
        GROWTH,
        "Thesis, figure 3, with Adam",
        "Thesis 2.4",
        "The optimiser of the dense model is not stated. (If it does not matter, Adam does as "
        "well.)",
        *densities(
            "Adam: grown and pruned minus random", partial(n.architecture_gain, optimizer="adam")
        ),
    ),
    *statement(
        GROWTH,
        "Thesis, figure 4: transfer to Fashion-MNIST",
        "Thesis 2.5",
        "Architectures grown on digits or on clothes are better than random ones on clothes "
        "(p < 0.1 at 1 and 20 %, else p < 0.005; n = 5).",
        *densities(
            "grown on clothes minus random",
            partial(n.transfer_gain, ours="fashion", theirs="random"),
        ),
        *densities(
            "grown on digits minus random",
            partial(n.transfer_gain, ours="digits", theirs="random"),
        ),
    ),
    *statement(
        GROWTH,
        "Thesis, figure 5: 15 % mixed in",
        "Thesis 2.6",
        "15 % of clothes among the digits while it grows makes a significantly better architecture "
        "for clothes (p < 0.05).",
        *densities(
            "grown on digits and 15 % clothes minus on digits",
            partial(n.transfer_gain, ours="mixed", theirs="digits"),
        ),
        *densities(
            "grown on digits and 15 % clothes minus random",
            partial(n.transfer_gain, ours="mixed", theirs="random"),
        ),
    ),
]

SAVED = [  # kernels at which architectures are compared: the thesis's, and a quarter
    {"paper": (300,), "course": (75,)},
    {"paper": (200,), "course": (50,)},
    {"paper": (100,), "course": (25,)},
    {"paper": (30,), "course": (8,)},
    {"paper": (20,), "course": (5,)},
]


def kernels(words: str, of: Callable, at=(SAVED[2], SAVED[4]), **more) -> list[dict]:
    """Measures at several numbers of kernels."""
    return [above(f"{{0}} kernels: {words}", each, of, **more) for each in at]


SPLITS = "Thesis, figures 11, 13, 16: splits of kernels from new weights"
HALF_WAY = {"course": ((80, 44, 41, 5),)}  # kernels: all, about half, the fewest
ANY_UNTRAINED = {"choice": "random", "retrain": False}
CONVOLUTIONAL = [
    *statement(
        KERNELS,
        "Thesis, figures 7 and 8: which kernels go, and retraining",
        "Thesis 3.2",
        "Taking out the least active kernels harms less than random ones; training between prunes "
        "significantly helps.",
        *kernels(
            "weakest minus random, not retrained, points",
            partial(n.kernels_advantage, ours={"retrain": False}, theirs=ANY_UNTRAINED),
            SAVED[1:3],
        ),
        *kernels(
            "weakest, retrained minus not retrained, points",
            partial(n.kernels_advantage, ours={}, theirs={"retrain": False}),
            SAVED[1:3],
        ),
    ),
    *statement(
        KERNELS,
        SPLITS,
        "Thesis 3.4, figure 11",
        "Splits that pruning found are better than random ones, most so when they are small.",
        *kernels(
            "images minus random, points",
            partial(n.split_advantage, ours="images", theirs="random"),
            SAVED,
        ),
    ),
    *statement(
        KERNELS,
        SPLITS,
        "Thesis 3.4, figure 11, by size",
        "The effect of the search is most pronounced at small sizes.",
        above(
            "images minus random, {0[0]} and {0[1]} kernels minus {1[0]} and {1[1]}, points",
            {"course": ((5, 8), (50, 75))},
            n.gain_by_size,
        ),
    ),
    *statement(
        KERNELS,
        "Thesis, figure 7: the shape of the damage",
        "Thesis 3.2",
        "Random pruning does roughly linear damage, pruning by activity gives a more concave "
        "curve. (Roughly: at half of the kernels within 5 points of a straight line, we say.)",
        between(
            -5,
            5,
            "random, not retrained: accuracy above a straight line, half-way, points",
            HALF_WAY,
            partial(n.bend, **ANY_UNTRAINED),
        ),
        above(
            "weakest, not retrained: accuracy above a straight line, half-way, points",
            HALF_WAY,
            partial(n.bend, retrain=False),
        ),
    ),
    *statement(
        KERNELS,
        "Thesis, figures 9 and 10: size",
        "Thesis 3.3",
        "The size of the network shrinks exponentially while kernels are pruned. (So its logarithm "
        "should be nearer to a straight line than the size itself.)",
        above(
            "r² of log(parameters) and prunes, minus r² of parameters and prunes",
            {"course": ()},
            n.straighter_log,
            digits=3,
        ),
    ),
    *statement(
        KERNELS,
        "Thesis, figures 14 and 17: double or more",
        "Thesis 3.4, figure 17",
        "The second layer keeps double the kernels of the first or more. (A doubling, at the "
        "smallest sizes: the whole network begins with two.)",
        *(
            above(
                f"{{0}} kernels, {words}: second layer over first, doublings",
                each,
                partial(n.second_over_first, material=material),
                low=1,
                digits=2,
            )
            for material, words in (("images", "images"), ("random_labels", "random labels"))
            for each in (SAVED[2], SAVED[4])
        ),
    ),
    *statement(
        KERNELS,
        SPLITS,
        "Thesis 3.4, figure 13",
        "Splits found on noise are better than random ones, but the smallest are worse than those "
        "found on images.",
        *kernels(
            "noise minus random, points",
            partial(n.split_advantage, ours="noise", theirs="random"),
            SAVED[2:3],
        ),
        *kernels(
            "noise minus random, points",
            partial(n.split_advantage, ours="noise", theirs="random"),
            SAVED[4:],
            beyond={
                "course": "images and noise leave the same split, so that this is the row of "
                "images minus random"
            },
        ),
        *kernels(
            "images minus noise, points", partial(n.split_advantage, ours="images", theirs="noise")
        ),
    ),
    *statement(
        KERNELS,
        SPLITS,
        "Thesis 3.4, figure 16",
        "Splits found with random labels are just as good as those found with the true ones.",
        *kernels(
            "random labels minus images, points",
            partial(n.split_advantage, ours="random_labels", theirs="images"),
            low=-1,
        ),
    ),
    *statement(
        KERNELS,
        "Thesis, figures 14 and 17: where kernels are kept",
        "Thesis 3.4",
        "With images more kernels are kept in the second layer than with noise; with random labels "
        "at least as many as with the true ones.",
        *kernels(
            "share of the second layer, images minus noise, points",
            partial(n.second_layer_excess, ours="images", theirs="noise"),
        ),
        *kernels(
            "share of the second layer, random labels minus images, points",
            partial(n.second_layer_excess, ours="random_labels", theirs="images"),
            low=-5,
        ),
    ),
]


STALE = "BatchNorm's statistics are still those of the whole network"
FLOOR = "chance is all that is left of random cuts"


AGAIN = {"moment": "pruned", "recalibrated": True}
MOMENTS: list[tuple[str, dict]] = [
    ("at once", {"moment": "pruned"}),
    ("at once, BatchNorm's statistics measured again", AGAIN),
    ("trained on", {"moment": "retrained"}),
]


def beyond_cut(how: dict, density: float, other: str) -> dict[str, str]:
    """Why an accuracy right after a cut says little: of statistics, or of a floor."""
    floor = how is AGAIN and density == 0.1 and other == "random"
    return {"course": FLOOR if floor else STALE} if floor or how == {"moment": "pruned"} else {}


def ranking(density: float) -> list[dict]:
    """Measures of w² F against other rankings of weights."""
    return [
        above(
            f"{{0:.0%}} of weights kept by w² F minus by {words}, {when}, points",
            {"course": (density,)},
            partial(n.saliency_gain, other=metric, **how),
            beyond=beyond_cut(how, density, metric),
        )
        for when, how in MOMENTS
        for metric, words in (("magnitude", "|w|"), ("random", "chance"))
    ]


SLIDES = [
    *statement(
        WEIGHTS,
        "Slides: Fisher information for pruning",
        "Paper, The Fisher Information Matrix",
        "Weights with low Fisher information can be removed without affecting performance.",
        *(
            flat(
                f"{{0:.0%}} of weights kept by w² F, {when}, minus before, points",
                {"course": (density,)},
                partial(n.saliency_gain, other="before", **how),
                beyond=beyond_cut(how, density, "before"),
            )
            for density in (0.8, 0.5)
            for when, how in MOMENTS[:2]
        ),
    ),
    *statement(
        WEIGHTS,
        "Slides: Fisher information for pruning",
        "Slides, Questions",
        "Is Fisher information an effective metric for pruning? (A question; yes would be:)",
        *(row for density in (0.8, 0.5, 0.2, 0.1) for row in ranking(density)),
    ),
    *statement(
        WEIGHTS,
        "Slides: Fisher information for pruning",
        "Slides, Questions",
        "Does pruning cause information plasticity? (A question; that it costs plasticity would "
        "be:)",
        *(
            above(
                "{0:.0%} of weights kept: points lost to later blur, minus the whole network's",
                {"course": (density,)},
                n.plasticity_excess,
            )
            for density in (0.2, 0.05)
        ),
    ),
]
