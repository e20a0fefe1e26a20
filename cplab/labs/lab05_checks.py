"""The answers to lab 05's exercises."""

import numpy as np

from cplab.estimates import NORMAL_FACTOR, Estimate, seeds_needed
from cplab.lab.questions.checks import Answer, exercise
from cplab.labs import lab05, lab05_growth
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.quantities import accuracy


@exercise("05-1", "the peak density, in percent", tolerance=0.5)
def peak_density() -> Answer:
    """The highest expected density with γ = 0.05, N = 30 and n = 4,000."""
    gamma = 0.05
    start = 30
    n = 4000
    steps = lab05_growth.search_steps(gamma, n, start)
    right = lab05_growth.expected_density(np.arange(steps), gamma, n, start).max()
    mistakes = {
        "That is the step at which it peaks: how dense is it then?": n / 2,
        "That is the step after which nothing is left: how dense is it at the peak?": steps,
        "Growth slows down evenly to nothing at n/2, so it adds only half as much": (
            start + gamma * n / 2
        ),
    }
    return Answer(right, mistakes)


@exercise("05-3", "percent of the synapses on blank pixels", tolerance=3, images="mnist")
def on_blank_pixels() -> Answer:
    """The share of pixels that no image inks; chance leaves the same share of synapses on them."""
    from cplab.labs import lab05_nets

    images = lab05_nets.flat_images("mnist")["train"]
    right = lab05.blank_share(images.x[:10_000] / 255)
    border = 100 - 100 * (20 / 28) ** 2
    mistakes = {
        "That is what dropping the weakest leaves there. Does chance know where the ink is?": 0,
        "That is the share on pixels that some image inks": 100 - right,
        "That is the share of the outer four pixels, some of which have ink": border,
    }
    return Answer(right, mistakes)


def ahead(density: float) -> Estimate:
    """Points that grown and pruned networks end above ones with as many synapses on each pixel."""
    grown = retrain.spec("biological", density, search.spec())
    per_pixel = retrain.spec("per_pixel", density, search.spec())
    return accuracy(grown) - accuracy(per_pixel)


@exercise("05-2", "seeds, at 5 % density")
def seeds_for_a_point() -> Answer:
    """The seeds whose interval is shorter than a point on each side."""
    points = ahead(0.05)
    spread = points.values.std(ddof=1) if points.seeds > 1 else np.nan
    by_normal = np.ceil((NORMAL_FACTOR * spread) ** 2)
    mistakes = {
        "That is at 1 % density": seeds_needed(1, ahead(0.01)),
        "A point is half of the interval, not all of it": seeds_needed(0.5, points),
        f"{NORMAL_FACTOR} is the factor for many seeds: for a few, take Student's t": by_normal,
    }
    return Answer(seeds_needed(1, points), mistakes)
