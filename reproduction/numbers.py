"""Our numbers for the claims: what `cplab.quantities` says of the lives that a claim speaks of.

Each function takes a size (a profile, or the thesis's own), what its claim is taken at (epochs,
densities, kernels) and a seed. All raise `quantities.Missing` where a result is not there.
Accuracies are percentages, their differences points.

Differences of networks are `quantities.Terms`: what shares training is paired, seed by seed.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial, reduce
from operator import add

from cplab import quantities as q
from cplab.profiles import PROFILES
from cplab.runs import Run
from cplab.statistics import Contrast
from cplab.studies.pruning import KernelPruning, KernelSplit, Pruned, Retraining, Search

Cost = Callable[[Run], float]


def mean(numbers: Iterable[float]) -> float:
    """Of Terms it is Terms, with the same networks in their parts."""
    some = [*numbers]
    return 1 / len(some) * reduce(add, some)


# Lives of networks --------------------------------------------------------------------------------


def life(size: str, length: int, seed: int, deficit: str = "blur", **fields) -> Run:
    """So many epochs from birth with a deficit, or clear ones, then the recovery."""
    if deficit == "none":
        return Run(onset=length, profile=size, seed=seed, **fields)
    return Run(deficit, 0, length, profile=size, seed=seed, **fields)


def window(size: str, length: int, onset: int, seed: int, **fields) -> Run:
    return Run(fields.pop("deficit", "blur"), onset, length, profile=size, seed=seed, **fields)


def error(size, length, seed, **fields) -> float:
    """Final test error after blur until an epoch."""
    return 100 - q.accuracy(life(size, length, seed, **fields))


def newborn_gain(size, length, seed, deficit="blur", **fields) -> float:
    return q.gain_over_newborn(life(size, length, seed, deficit, **fields))


def running_newborn_gain(size, length, seed, deficit="blur", **fields) -> float:
    """Points above the newborn whose clock runs on while nothing is trained."""
    return -q.harm(life(size, length, seed, deficit, **fields), clock="running")


def equal_training_gain(size, length, seed, deficit="blur", **fields) -> float:
    return -q.equal_training_loss(life(size, length, seed, deficit, **fields))


def given_back(size, length, seed, deficit, kind="renorm") -> float:
    """Points that a treatment brings when a deficit from birth ends."""
    run = life(size, length, seed, deficit, treatments=f"{kind}@{length}")
    return q.advantage(run, run.untreated())


def advantage_over_blur(size, length, seed, deficit, **fields) -> float:
    """Points after one deficit above those after as much blur."""
    run = life(size, length, seed, deficit, **fields)
    return q.advantage(run, replace(run, deficit="blur"))


def early_excess(size, early, late, seed) -> float:
    """Points lost by an earlier epoch, above those that are lost from there to a later one."""
    first, both = (life(size, length, seed) for length in (early, late))
    return q.harm(first) - q.advantage(first, both)


def excess(size, length, seed, more, less, of: Cost = q.harm) -> float:
    """Points that blur costs one network above those that it costs another, by their fields."""
    one, other = (of(life(size, length, seed, **fields)) for fields in (more, less))
    return one - other


def float32_gain(size, length, seed, *lives) -> float:
    """Points in float32 above those in bfloat16: the mean over lives, of newborn, equal (training)
    and blur."""
    run = life(size, length, seed)
    runs = {"newborn": run.newborn(), "equal": run.equal_training(), "blur": run}
    gains = []
    for native in (runs[name] for name in lives):
        if q.result(native).precision != "bf16":
            raise q.Missing(f"{native} is not shipped in bfloat16")
        gains.append(q.advantage(replace(native, arithmetic="float32"), native))
    return mean(gains)


def float32_loss_excess(size, length, seed) -> float:
    """Points that blur takes from the newborn in float32, above those that it takes in bfloat16."""
    born, blurred = (float32_gain(size, length, seed, name) for name in ("newborn", "blur"))
    return born - blurred


# Windows ------------------------------------------------------------------------------------------


def window_cost(size, length, onset, seed, of: Cost = q.equal_training_loss, **fields) -> float:
    """What a window of blur costs at an onset, or the mean over several."""
    onsets = onset if isinstance(onset, tuple) else (onset,)
    return mean(of(window(size, length, each, seed, **fields)) for each in onsets)


def excess_over_birth(size, length, later, seed, **how) -> float:
    """What a window costs later, above what it costs at birth."""
    cost = partial(window_cost, size, length, seed=seed, **how)
    return cost(later) - cost(0)


def worst_onset(size, length, onsets, seed, **fields) -> int:
    return q.worst_onset(window(size, length, 0, seed, **fields), onsets)


# Fisher information -------------------------------------------------------------------------------


def traced(size, deficit, length, seed, **fields) -> Run:
    """A life along which the Fisher information is measured. In the paper's figure 4 nothing says
    how long the recovery is; the campaign takes 100 epochs."""
    fields |= {"recovery": 100} if size == "paper" else {}
    return life(size, length, seed, deficit, **fields)


def peak(size, length, seed, **fields) -> float:
    """The epoch, in the paper's, after which the trace is highest without a deficit."""
    run = traced(size, "none", length, seed, **fields)
    return run.settings.pace * q.trace_peak(run)


def remaining(size, length, seed, how=None, **fields) -> float:
    return q.trace_remaining(traced(size, "none", length, seed, **fields), **(how or {}))


def doublings(size, length, seed, other="none", how=None, **fields) -> float:
    """log₂ of the trace in the end after blur, over that after another life; how, as in
    `quantities.trace_by_layer`."""
    blurred, control = (traced(size, d, length, seed, **fields) for d in ("blur", other))
    return q.doublings(blurred, control, partial(q.trace_at, **(how or {})))


def peak_to_worst(size, length, onsets, end, seed, **fields) -> float:
    """Epochs, the paper's, from the trace's peak to the onset at which blur costs most."""
    onset = worst_onset(size, length, onsets, seed, **fields)
    return PROFILES[size].pace * onset - peak(size, end, seed, **fields)


def trace_match(size, length, onsets, end, seed, of=q.equal_training_loss, **fields) -> float:
    clear = traced(size, "none", end, seed, **fields)
    return q.trace_match(window(size, length, 0, seed, **fields), clear, onsets, of)


def middle_share(size, length, seed) -> float:
    """Percent of the information that is in layers 3, 4 and 5, from 0."""
    return 100 * float(q.layer_shares(traced(size, "none", length, seed))[3:6].sum())


def information_shift(size, length, seed, deficit="blur", at_removal=False) -> float:
    """How many layers later the information sits than after equal training."""
    ours, clear = (traced(size, d, length, seed) for d in (deficit, "none"))
    return q.information_shift(ours, clear, length - 1 if at_removal else None)


def shift_excess(size, early, late, seed) -> float:
    """Layers by which more blur moves the information, above those by which less of it does."""
    return information_shift(size, late, seed) - information_shift(size, early, seed)


# Growth and pruning of synapses -------------------------------------------------------------------


def own_weights_gain(size, density, seed, **fields) -> float:
    """Points of a grown and pruned net, with its own weights, above a dense one."""
    dense = Retraining("dense", 1, Search(seed=seed))
    return q.accuracy_at(Search(seed=seed, **fields), density) - q.accuracy(dense)


def architecture_gain(size, density, seed, kind="biological", control="random", optimizer="sgd"):
    """Points of a kind of architecture above another of the same search and new weights."""
    ours = Retraining(kind, density, Search(seed=seed, optimizer=optimizer), optimizer=optimizer)
    return q.advantage(ours, replace(ours, kind=control))


ORIGINS: dict[str, tuple[str, dict]] = {
    "digits": ("biological", {}),
    "mixed": ("biological", {"mixed": 0.15}),
    "fashion": ("biological", {"dataset": "fashion_mnist"}),
    "random": ("random", {"dataset": "fashion_mnist"}),
}


def transfer_gain(size, density, seed, ours, theirs) -> float:
    """Points on Fashion-MNIST of architectures of one origin above those of another."""
    one, other = (
        Retraining(kind, density, Search(seed=seed, **fields), dataset="fashion_mnist")
        for kind, fields in (ORIGINS[ours], ORIGINS[theirs])
    )
    return q.advantage(one, other)


# Pruning of kernels and of weights ----------------------------------------------------------------


def kernels_advantage(size, total, seed, ours, theirs) -> float:
    """Points of one way to prune above another, when so many kernels are left."""
    one, other = (KernelPruning(size, seed=seed, **way) for way in (ours, theirs))
    return q.accuracy_at(one, total) - q.accuracy_at(other, total)


def split_accuracy(size, origin, total, seed) -> float:
    """Of a split that pruning left, or the mean of up to three random ones, from new weights."""
    if origin == "random":
        return q.random_splits_accuracy(size, total, seed)
    split = q.kernel_split(KernelPruning(size, material=origin, seed=seed), total)
    return q.accuracy(KernelSplit(size, *split, seed))


def split_advantage(size, total, seed, ours, theirs) -> float:
    return split_accuracy(size, ours, total, seed) - split_accuracy(size, theirs, total, seed)


def second(pruning: KernelPruning, total: int) -> float:
    return 100 * q.kernel_split(pruning, total)[1] / total


def second_layer_excess(size, total, seed, ours, theirs) -> float:
    """Percent of the kernels that are in the second layer, of one material above another."""

    def kept(material: str) -> Contrast:
        return q.reading(KernelPruning(size, material=material, seed=seed), second, total=total)

    return kept(ours) - kept(theirs)


def saliency_gain(size, density, seed, other, moment, **fields) -> float:
    """Points kept by pruning by w² F above another ranking, or above what was there before."""
    ours = Pruned(size, "fisher", density, seed=seed, **fields)
    if other == "before":
        return q.accuracy_at(ours, moment) - q.accuracy_at(ours, "trained")
    return q.accuracy_at(ours, moment) - q.accuracy_at(replace(ours, metric=other), moment)


def plasticity_excess(size, density, seed, length=8) -> float:
    """Points that later blur costs a pruned network above those that it costs the whole one."""
    whole = Pruned(size, deficit="blur", length=length, seed=seed)
    pruned = replace(whole, metric="fisher", density=density)
    return q.plasticity_loss(pruned) - q.plasticity_loss(whole)
