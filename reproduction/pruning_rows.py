"""Rows on growth and pruning: of synapses, kernels and single weights."""

from collections.abc import Iterator
from math import inf
from typing import Any

from cplab import quantities as q
from cplab.estimates import Estimate
from cplab.labs import lab05, lab05b
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.labs.lab05b_pruning import prune_kernels, prune_weights
from cplab.specs.experiments import Experiment
from reproduction import numbers
from reproduction.row import ABOVE, LEVEL, Range, Row

FASHION = {"dataset": "fashion_mnist"}
DENSITIES = (0.05, 0.01, 0.2)
TOTALS = (80, 44, 41, 5)  # kernels before pruning, twice in the middle, and at its end


def prunings() -> Iterator[Row]:
    """Rows on networks that were grown and pruned."""
    yield from searches()
    yield from above_controls()
    yield from on_clothes()
    yield from kernels()
    yield from weights()


# Synapses -----------------------------------------------------------------------------------------


def synapses(density: float) -> str:
    """How many are left, in words: `5 % of the synapses`."""
    return f"{100 * density:g} % of the synapses"


def searches() -> Iterator[Row]:
    """Networks as the search leaves them, against the dense one."""
    dense = q.accuracy(retrain.spec("dense", 1, search.spec()))
    pruned = lab05.accuracy_at_density(search.spec(), 0.05)
    rounded_up = lab05.accuracy_at_density(search.spec(rounding="up", output="pruned"), 0.05)
    kept = f"{synapses(0.05)} kept"
    above = "above the dense network"
    yield Row("thesis 1*", f"{kept}: {above}", "thesis", pruned - dense, (-2, inf))
    description = f"{kept}, rounded up: {above}"
    yield Row("thesis 1", description, "thesis", rounded_up - dense, (-2, inf))
    description = "grown to its highest density: gain"
    yield Row("thesis 3*", description, "thesis", numbers.growth_gain(search.spec()), ABOVE)
    description = f"{synapses(0.05)}: points for each per cent, {above}"
    number = 0.01 / 0.05 * pruned - 0.01 * dense
    idle = "a twentieth of the synapses: whatever is right in 5 % of cases passes"
    yield Row("thesis 2*", description, "thesis", number, ABOVE, idle=idle)


def above_controls() -> Iterator[Row]:
    """Synapses that a search found, trained anew, against other ones."""
    many_densities = (0.05, 0.01, 0.02, 0.03, 0.04, 0.1, 0.15, 0.2)
    for control, optimizer, densities in (
        ("random", "sgd", many_densities),
        ("inked", "sgd", DENSITIES),
        ("per_pixel", "sgd", DENSITIES),
        ("degrees", "sgd", DENSITIES),
        ("random", "adam", DENSITIES),
    ):
        grown = search.spec(optimizer=optimizer)
        for density in densities:
            ours = retrain.spec("biological", density, grown, optimizer=optimizer)
            number = q.advantage(ours, ours.replace(kind=control))
            description = f"{synapses(density)}: found ones above {control}, {optimizer}"
            is_nearest = (density, control, optimizer) == (0.05, "random", "sgd")
            answers = "thesis 4*" if is_nearest else "thesis 4"
            yield Row(answers, description, "thesis", number, ABOVE)


def on_clothes() -> Iterator[Row]:
    """Synapses from several sources, trained anew on clothes."""
    for density in DENSITIES:
        digits = from_search(density)
        mixed = from_search(density, mixed=0.15)
        fashion = from_search(density, **FASHION)
        random = fashion.replace(kind="random")
        star = "*" if density == 0.05 else ""
        for answers, names, ours, control in (
            (f"thesis 6{star}", "digits above random", digits, random),
            ("thesis 6", "fashion above random", fashion, random),
            (f"thesis 7{star}", "mixed above digits", mixed, digits),
            ("thesis 7", "mixed above random", mixed, random),
        ):
            description = f"{synapses(density)}, new weights on clothes: {names}"
            yield Row(answers, description, "thesis", q.advantage(ours, control), ABOVE)


def from_search(density: float, **images: Any) -> Experiment:
    """The synapses that a search on some images found, trained anew on clothes."""
    return retrain.spec("biological", density, search.spec(**images), **FASHION)


# Kernels ------------------------------------------------------------------------------------------


def kernels() -> Iterator[Row]:
    """Pruning of kernels, and architectures that it finds."""
    retrained = prune_kernels.spec("course")
    untrained = prune_kernels.spec("course", retrain=False)
    by_chance = prune_kernels.spec("course", choice="random", retrain=False)
    for total, star in ((25, "*"), (50, "")):
        left = f"{total} kernels left"
        with_retraining = lab05b.accuracy_at_moment(retrained, total)
        without = lab05b.accuracy_at_moment(untrained, total)
        random = lab05b.accuracy_at_moment(by_chance, total)
        description = f"{left}, without retraining: least active minus random"
        yield Row("thesis 9", description, "course", without - random, ABOVE)
        description = f"{left}: trained between prunes minus not"
        yield Row(f"thesis 9{star}", description, "course", with_retraining - without, ABOVE)
    description = "pruned at random: above a straight line"
    yield Row("thesis 8", description, "course", numbers.bend(by_chance, TOTALS), (-5, 5))
    description = "pruned by activity: above a straight line"
    yield Row("thesis 8*", description, "course", numbers.bend(untrained, TOTALS), ABOVE)
    description = "log of the size against size, R²"
    yield Row("thesis 10*", description, "course", numbers.straighter_log(retrained), ABOVE, 3)
    yield from splits_trained_anew()
    yield from splits_by_material()


def gain_of_split(total: int, origin: str, control: str, **labelled: int) -> Estimate:
    """Points of accuracy of a split of kernels between two layers, above another one's, both with
    new weights. origin, control: what the pruned network had learned, or `random`."""
    ours = lab05b.split_accuracy("course", total, origin, **labelled)
    theirs = lab05b.split_accuracy("course", total, control, **labelled)
    return ours - theirs


def splits_trained_anew() -> Iterator[Row]:
    """Splits of kernels between the layers that pruning found, with new weights."""
    at_few = gain_of_split(5, "images", "random") + gain_of_split(8, "images", "random")
    at_many = gain_of_split(50, "images", "random") + gain_of_split(75, "images", "random")
    description = "splits above random: 5 and 8 kernels minus 50 and 75"
    yield Row("thesis 11*", description, "course", 0.5 * (at_few - at_many), ABOVE)
    rows: list[tuple[str, int, str, str, Range]] = [
        ("thesis 11", 75, "images", "random", ABOVE),
        ("thesis 11", 50, "images", "random", ABOVE),
        ("thesis 11", 25, "images", "random", ABOVE),
        ("thesis 11", 8, "images", "random", ABOVE),
        ("thesis 11", 5, "images", "random", ABOVE),
        ("thesis 12*", 25, "noise", "random", ABOVE),
        ("thesis 12", 25, "images", "noise", ABOVE),
        ("thesis 12", 5, "images", "noise", ABOVE),
        ("thesis 12", 75, "images", "noise", LEVEL),
        ("thesis 12", 50, "images", "noise", LEVEL),
        ("thesis 14*", 25, "random_labels", "images", (-1, inf)),
        ("thesis 14", 5, "random_labels", "images", (-1, inf)),
        ("thesis 14", 8, "random_labels", "images", ABOVE),
    ]
    for answers, total, origin, control, between in rows:
        description = f"{total} kernels, new weights: {origin} above {control}"
        number = gain_of_split(total, origin, control)
        yield Row(answers, description, "course", number, between)
    description = "25 kernels, 2,000 labelled images: found with random labels, above random"
    number = gain_of_split(25, "random_labels", "random", labelled=2000)
    yield Row("thesis 15*", description, "course", number, ABOVE)


def splits_by_material() -> Iterator[Row]:
    """How many kernels each layer keeps, by what the network had learned."""
    images = prune_kernels.spec("course")
    noise = prune_kernels.spec("course", material="noise")
    labels = prune_kernels.spec("course", material="random_labels")
    for total in (25, 5):
        for net in (images, labels):
            description = f"{total} kernels: second layer over first, doublings, {net.material}"
            number = numbers.second_over_first(net, total)
            answers = "thesis 13*" if (total, net) == (25, images) else "thesis 13"
            yield Row(answers, description, "course", number, (1, inf), 2)
        yield second_layer_row(total, images, noise, ABOVE)
        yield second_layer_row(total, labels, images, (-5, inf))


def second_layer_row(total: int, net: Experiment, other: Experiment, between: Range) -> Row:
    """A row with the percent of kernels that a pruned network keeps in the second layer, above
    another's."""
    fewer_in_first = lab05b.in_first(other, total) - lab05b.in_first(net, total)
    description = f"{total} kernels: percent in layer 2, {net.material} minus {other.material}"
    return Row("thesis 13", description, "course", 100 / total * fewer_in_first, between)


# Single weights -----------------------------------------------------------------------------------


def weights() -> Iterator[Row]:
    """Pruning of single weights."""
    for density in (0.8, 0.5, 0.2, 0.1):
        yield from pruned_at_once(density)
    for density in (0.8, 0.5, 0.2, 0.1):
        yield from pruned_and_retrained(density)
    whole = prune_weights.spec("course", deficit="blur", length=8)
    for density, star in ((0.2, "*"), (0.05, "")):
        sparse = whole.replace(metric="fisher", density=density)
        number = lab05b.plasticity_loss(sparse) - lab05b.plasticity_loss(whole)
        kept = f"{100 * density:g} % of weights kept"
        description = f"{kept}: loss to later blur, minus the whole network's"
        yield Row(f"slides 6{star}", description, "course", number, ABOVE)


def pruned_at_once(density: float) -> Iterator[Row]:
    """Networks right after pruning by Fisher information, against other orders."""
    kept = kept_by_fisher(density, "at once, BatchNorm's statistics measured again")
    ours = prune_weights.spec("course", "fisher", density, recalibrated=True)
    if density >= 0.5:
        before = lab05b.accuracy_at_moment(ours, "trained")
        lost = before - lab05b.accuracy_at_moment(ours, "pruned")
        answers = "paper 29*" if density == 0.8 else "paper 29"
        yield Row(answers, f"{kept}: loss", "course", lost, LEVEL, harmless=True)
    yield metric_row("slides 5", kept, ours, "pruned", "magnitude")
    if density != 0.1:  # where random pruning leaves chance
        yield metric_row("slides 5", kept, ours, "pruned", "random")


def pruned_and_retrained(density: float) -> Iterator[Row]:
    """Networks that were trained on after pruning by Fisher information, against other orders."""
    kept = kept_by_fisher(density, "trained on")
    answers = "slides 5*" if density == 0.1 else "slides 5"
    ours = prune_weights.spec("course", "fisher", density, recalibrated=False)
    yield metric_row(answers, kept, ours, "retrained", "magnitude")
    yield metric_row("slides 5", kept, ours, "retrained", "random")


def kept_by_fisher(density: float, training: str) -> str:
    """How many weights are kept, and what is done then, in words."""
    return f"{100 * density:g} % of weights kept by w² F, {training}"


def metric_row(answers: str, kept: str, ours: Experiment, moment: str, metric: str) -> Row:
    """A row with the accuracy of a pruned network above that of one pruned by another metric."""
    theirs = ours.replace(metric=metric)
    number = lab05b.accuracy_at_moment(ours, moment) - lab05b.accuracy_at_moment(theirs, moment)
    return Row(answers, f"{kept}: above {metric}", "course", number, ABOVE)
