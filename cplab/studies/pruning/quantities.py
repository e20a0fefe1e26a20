"""Quantities of networks that grow and prune, one a seed, read from results (labs 05 and 05b).

Nothing is trained here (see `cplab.quantities`).
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cplab.labs.lab05_growth import search
from cplab.labs.lab05b_pruning import SIZES, prune_kernels, random_split, train_split
from cplab.quantities import final_accuracy, quantity, result
from cplab.specs.experiments import Experiment
from cplab.statistics import Estimate, Missing

DRAWS = 3  # of random splits


@quantity
def accuracy_at(spec: Any, moment: float | str) -> float:
    """Test accuracy in percent at a moment of pruning. A moment of search is a density of
    synapses (the net has its own weights then); of prune_kernels, the number of kernels left; of
    prune_weights, trained, pruned, retrained or end.

    >>> print(f"{accuracy_at(search.spec(), 0.05):.1f}")
    92.6 ± 0.6, 50 ± 1
    """
    values = result(spec).values
    try:
        if spec.address == search.address:
            return 100 * values["architectures"][f"{moment:g}"]["accuracy"]
        row = kernel_rows(values)[moment] if spec.address == prune_kernels.address else moment
        return 100 * values["accuracy"][row]
    except (KeyError, TypeError, ValueError):
        line = f"{spec.call()} was not measured at {moment}: see help(accuracy_at)"
        raise Missing(line) from None


def kernel_rows(values: dict) -> dict[Any, int]:
    """The last row with each number of kernels."""
    return {n: row for row, n in enumerate(np.add(values["first"], values["second"]).tolist())}


def kernel_split(pruning: Experiment, kernels: int) -> tuple[int, int]:
    """Kernels that the first and the second layer keep when `kernels` are left. Raises: Missing.

    >>> sum(kernel_split(prune_kernels.spec(), 25))
    25
    """
    values = result(pruning).values
    row = kernel_rows(values).get(kernels)
    if row is None:
        raise Missing(f"{pruning.call()} was not measured at {kernels} kernels: give fewer")
    return values["first"][row], values["second"][row]


@dataclass(frozen=True)
class Splits:
    """Splits of `kernels` between the layers, found by pruning on a material, or random."""

    size: Any
    kernels: int
    material: str
    seed: int
    labelled: int | None = None

    def with_seed(self, seed: int) -> "Splits":
        """The same splits with another seed."""
        return replace(self, seed=seed)

    @property
    def shares(self) -> "Splits":
        """What is equal for terms that share training."""
        return self

    def accuracy(self) -> float:
        """Mean accuracy, in percent, of the splits trained from new weights. Raises: Missing."""
        pruning, trained = prune_kernels.spec(self.size, seed=self.seed), []
        if self.material == "random":
            seeds = [100 * draw + self.seed for draw in range(DRAWS)]
            pairs = [random_split(self.kernels, seed, SIZES[self.size].kernels) for seed in seeds]
        else:
            pairs = [kernel_split(pruning.replace(material=self.material), self.kernels)]
        for pair in pairs:
            with suppress(Missing):
                split = train_split.spec(self.size, *pair, self.seed, self.labelled)
                trained.append(100 * final_accuracy(result(split)))
        if not trained:
            raise Missing(f"no {self.material} split of {self.kernels} kernels was trained")
        return float(np.mean(trained))


def split_accuracy(
    size: str,
    kernels: int,
    material: str = "random",
    seed: int = 0,
    labelled: int | None = None,
) -> Estimate:
    """Accuracy, in percent, of the split of `kernels` that pruning on a material found, trained
    from new weights on all images or on the first `labelled` ones; material random, the control:
    the mean of three random splits (thesis, figure 11).

    >>> split_accuracy("course", 50)
    54.2 ± 3.0 (6 seeds)
    """
    return quantity(Splits.accuracy)(Splits(size, kernels, material, seed, labelled))


def plasticity_loss(spec: Experiment) -> Estimate:
    """Points of accuracy that a deficit after pruning costs against as many clear epochs.

    >>> from cplab.labs.lab05b_pruning import prune_weights
    >>> plasticity_loss(prune_weights.spec(deficit="blur", length=8))
    2.6 ± 0.3 (10 seeds)
    """
    return accuracy_at(spec.replace(deficit="none"), "end") - accuracy_at(spec, "end")
