"""Lab 05b: what pruning of kernels and of weights leaves, read from results, one number a seed."""

from collections.abc import Iterable
from contextlib import suppress

import numpy as np

from cplab.errors import CplabError, one_of, quote
from cplab.estimates import Estimate, Term
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.labs.lab05b_pruning import (
    PLANS,
    PruningPlan,
    prune_kernels,
    prune_weights,
    random_split,
    train_split,
)
from cplab.quantities import Missing, accuracy, by_seed, quantity, result
from cplab.specs.experiments import Experiment

MOMENTS = ("trained", "pruned", "retrained", "end")  # of prune_weights


@quantity
def accuracy_at_moment(spec: Experiment, moment: int | str) -> float:
    """Test accuracy in percent at a moment of pruning: of prune_kernels, the number of kernels
    left; of prune_weights, trained, pruned, retrained or end.

    >>> print(accuracy_at_moment(prune_kernels.spec(), 25))
    50.4 ± 1.3
    """
    at_moments = accuracies(spec)
    if spec.address == prune_kernels.address:
        moment = counted_kernels(spec, moment)
    elif spec.address == prune_weights.address:
        one_of("moment", moment, MOMENTS)
    right = at_moments.get(moment)
    if right is None:
        raise Missing(f"{spec.call()} was not measured at {moment}: see help(accuracy_at_moment)")
    return 100 * right


def accuracies(spec: Experiment) -> dict[int | str, float | None]:
    """Test accuracies of one pruning, as fractions, by the moment of `accuracy_at_moment`. Other
    experiments have none."""
    values = result(spec).values
    if spec.address == prune_kernels.address:
        rows = kernel_rows(values)
        return {kernels: values["accuracy"][row] for kernels, row in rows.items()}
    if spec.address == prune_weights.address:
        return values["accuracy"]
    return {}


# Kernels ------------------------------------------------------------------------------------------


def kernel_rows(values: dict) -> dict[int, int]:
    """The last row of a pruning's values with each number of kernels, {kernels: row}.

    >>> kernel_rows({"first": [4, 3, 3], "second": [4, 4, 4]})
    {8: 0, 7: 2}
    """
    kernels = np.add(values["first"], values["second"]).tolist()
    last_rows = {}
    for row, count in enumerate(kernels):
        last_rows[count] = row
    return last_rows


def counted_kernels(pruning: Experiment, kernels: object) -> int:
    """A number of kernels with which a pruning is measured. Raises: CplabError for another one.

    >>> counted_kernels(prune_kernels.spec("ci"), 6)
    6
    """
    plan = PLANS[pruning.size]
    counts = [sum(plan.kernels)]
    for removed in plan.removals:
        counts.append(counts[-1] - removed)
    for count in counts:
        if count == kernels:
            return count
    listed = ", ".join(map(str, counts))
    line = f"{quote(kernels)} kernels are not what this pruning leaves: give one of {listed}"
    raise CplabError(line)


def kernel_split(pruning: Experiment, kernels: int) -> tuple[int, int]:
    """Kernels that the first and the second layer keep when `kernels` are left. Raises: Missing.

    >>> sum(kernel_split(prune_kernels.spec(), 25))
    25
    """
    values = result(pruning).values  # the smallest size, which is never shipped, has fewer kernels
    kernels = counted_kernels(pruning, kernels)
    row = kernel_rows(values).get(kernels)
    if row is None:
        raise Missing(f"{pruning.call()} was not measured at {kernels} kernels: give fewer")
    return values["first"][row], values["second"][row]


@quantity
def in_first(pruning: Experiment, kernels: int) -> float:
    """How many kernels the first layer has when so many are left in both.

    >>> print(in_first(prune_kernels.spec(), 25))
    13.5 ± 0.9
    """
    first, _ = kernel_split(pruning, kernels)
    return first


def splits_from(size: str, kernels: int, origin: str, seed: int) -> list[tuple[int, int]]:
    """The splits of `kernels` over two layers that come from an origin, see `accuracy_of_split`.
    Raises: Missing."""
    large = PLANS[size].kernels
    if origin == "ratio":
        first = max(1, round(kernels * large[0] / sum(large)))
        return [(first, kernels - first)]
    if origin == "random":
        return [random_split(kernels, 100 * draw + seed, large) for draw in range(3)]
    pruning = prune_kernels.spec(size, material=origin, seed=seed)
    return [kernel_split(pruning, kernels)]


def accuracy_of_split(
    size: str, kernels: int, origin: str, seed: int, labelled: int | None = None
) -> float:
    """Accuracy, in percent, of a split of `kernels`, trained from new weights on all images or on
    the first `labelled` ones, of one seed.

    Arguments: origin, the material on which pruning found the split; or random, the mean of three
        random splits (thesis, figure 11); or ratio, the split in the large network's own.
    Raises: Missing.
    """
    percentages = []
    for first, second in splits_from(size, kernels, origin, seed):
        with suppress(Missing):
            training = result(train_split.spec(size, first, second, seed, labelled))
            percentages.append(100 * training.values["accuracy"])
    if not percentages:
        raise Missing(f"no {origin} split of {kernels} kernels was trained")
    return float(np.mean(percentages))


def split_accuracy(
    size: str, kernels: int, origin: str = "random", labelled: int | None = None
) -> Estimate:
    """The accuracy of splits of `kernels`, over seeds (see `accuracy_of_split`). Splits of two
    origins share no training, unless both are the same in all seeds: then they are one network.

    >>> split_accuracy("course", 50)
    54.2 ± 3.0 (6 seeds)
    """
    percentages = by_seed(lambda seed: accuracy_of_split(size, kernels, origin, seed, labelled))
    splits = {seed: splits_from(size, kernels, origin, seed) for seed in percentages}
    name = ("split", size, labelled, str(splits))  # equal splits are one training
    return Estimate({Term(name, name, percentages): 1.0})


@quantity
def above(pruning: Experiment, kernels: int, control: str) -> float:
    """How many points the split that pruning found is above a control, random or ratio, seed by
    seed.

    >>> print(above(prune_kernels.spec(), 25, "ratio"))
    2.6 ± 0.7
    """
    pruned = accuracy_of_split(pruning.size, kernels, pruning.material, pruning.seed)
    usual = accuracy_of_split(pruning.size, kernels, control, pruning.seed)
    return pruned - usual


def tally(estimates: Iterable[Estimate]) -> int | None:
    """Count signs: 2 where all estimates are above zero, 1 where some are, 0 where none differs
    from zero, -1 otherwise; None without an interval.

    >>> from cplab.estimates import estimate
    >>> tally([estimate([1.0, 1.1, 1.2]), estimate([-1.0, 0.0, 1.0])])
    1
    """
    signs = {points.sign for points in estimates if points.sign is not None}
    if not signs:
        return None
    if signs == {1}:
        return 2
    if 1 in signs:
        return 1
    return 0 if signs == {0} else -1


# Weights ------------------------------------------------------------------------------------------


def plasticity_loss(spec: Experiment) -> Estimate:
    """Points of accuracy that a deficit after pruning costs against as many clear epochs.

    >>> plasticity_loss(prune_weights.spec(deficit="blur", length=8))
    2.6 ± 0.3 (10 seeds)
    """
    clear = spec.replace(deficit="none")
    return accuracy_at_moment(clear, "end") - accuracy_at_moment(spec, "end")


def first_of_newborns(plan: PruningPlan, gone: int) -> float:
    """How many kernels the first layer keeps of `gone` fewer, the mean over ten newborn networks.

    >>> first_of_newborns(PLANS["ci"], 0)
    4.0
    """
    import torch

    from cplab.labs.lab05b_nets import kernels_to_keep, newborn_kernels

    x = torch.zeros(1, 3, 32, 32, dtype=torch.float32)
    counts = []
    for seed in range(10):
        net = newborn_kernels(plan.kernels, plan.dense_units, x, seed)
        first, _ = kernels_to_keep(net, gone)
        counts.append(len(first))
    return float(np.mean(counts))


def efficiency(kind: str = "biological", density: float = 0.05) -> float:
    """Points above chance for each per cent of the synapses alive, of a kind of architecture that
    was trained from new weights.

    >>> round(efficiency("dense", 1), 2)
    0.84
    """
    trained = accuracy(retrain.spec(kind, density, search.spec()))
    above_chance = trained.mean - 10  # of ten digits one is right by chance
    return above_chance / (100 * density)
