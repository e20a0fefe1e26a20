"""Our numbers for the claims: what `cplab.quantities` says of the lives that a claim speaks of.

Each function takes a size (a profile, or the thesis's own), what its claim is taken at (epochs,
densities, kernels) and a seed. All raise `quantities.Missing` where a result is not there.
Accuracies are percentages, their differences points.

A number that compares networks is a tuple of parts, whose sum it is. Terms of networks that share
their beginning stand in one part, since what that beginning gave them cancels there, seed by seed;
networks that share nothing stand in parts of their own (see cplab.statistics.interval).
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from cplab import quantities as q
from cplab.profiles import PROFILES
from cplab.pruning import KernelPruning, KernelSplit, Pruned, Retraining, Search
from cplab.runs import Run

Parts = tuple[float, ...]


def combine(*terms: tuple[float, Any], of: Callable[[Any], float] | None = None) -> Parts:
    """Σ factor · number of a spec (its accuracy, if nothing else is given), as parts."""
    parts: dict[Any, float] = defaultdict(float)
    for factor, spec in terms:
        parts[q.beginning(spec)] += factor * (of or q.accuracy)(spec)
    return tuple(parts.values())


# Lives of networks --------------------------------------------------------------------------------


def life(size: str, length: int, seed: int, deficit: str = "blur", **fields) -> Run:
    """So many epochs from birth with a deficit, or clear ones, then the recovery."""
    if deficit == "none":
        return Run(onset=length, profile=size, seed=seed, **fields)
    return Run(deficit, 0, length, profile=size, seed=seed, **fields)


def window(size: str, length: int, onset: int, seed: int, **fields) -> Run:
    return Run(fields.pop("deficit", "blur"), onset, length, profile=size, seed=seed, **fields)


def loss_terms(run: Run) -> list[tuple[float, Run]]:
    """Points lost against equal training: lost time and harm."""
    return [(1, run.equal_training()), (-1, run)]


def lost_time_terms(run: Run) -> list[tuple[float, Run]]:
    return [(1, run.equal_training()), (-1, run.without_window()), (0, run)]  # of harm's seeds


def harm_terms(run: Run) -> list[tuple[float, Run]]:
    return [(1, run.without_window()), (-1, run)]


Terms = Callable[[Run], list[tuple[float, Run]]]


def error(size, length, seed, **fields) -> float:
    """Final test error after blur until an epoch."""
    return 100 - q.accuracy(life(size, length, seed, **fields))


def newborn_gain(size, length, seed, deficit="blur", **fields) -> Parts:
    run = life(size, length, seed, deficit, **fields)
    return combine((1, run), (-1, run.newborn()))


def equal_training_gain(size, length, seed, deficit="blur", **fields) -> Parts:
    run = life(size, length, seed, deficit, **fields)
    return combine((1, run), (-1, run.equal_training()))


def given_back(size, length, seed, deficit, kind="renorm") -> Parts:
    """Points that a treatment brings when a deficit from birth ends."""
    run = life(size, length, seed, deficit, treatments=f"{kind}@{length}")
    return combine((1, run), (-1, run.untreated()))


def advantage_over_blur(size, length, seed, deficit, **fields) -> Parts:
    """Points after one deficit above those after as much blur."""
    run = life(size, length, seed, deficit, **fields)
    return combine((1, run), (-1, replace(run, deficit="blur")))


def early_excess(size, early, late, seed) -> Parts:
    """Points lost by an earlier epoch, above those that are lost from there to a later one."""
    first, both = (life(size, length, seed) for length in (early, late))
    return combine((1, first.newborn()), (-2, first), (1, both))


def excess(size, length, seed, more, less, of: Terms = harm_terms) -> Parts:
    """Points that blur costs one network above those that it costs another, by their fields."""
    one, other = (of(life(size, length, seed, **fields)) for fields in (more, less))
    return combine(*one, *((-factor, run) for factor, run in other))


def float32_gain(size, length, seed, *lives) -> Parts:
    """Points in float32 above those in bfloat16: the mean over lives, of newborn, equal (training)
    and blur."""
    run = life(size, length, seed)
    runs = {"newborn": run.newborn(), "equal": run.equal_training(), "blur": run}
    terms = []
    for native in (runs[name] for name in lives):
        if q.result(native).precision != "bf16":
            raise q.Missing(f"{native} is not shipped in bfloat16")
        exact = replace(native, arithmetic="float32")
        terms += [(1 / len(lives), exact), (-1 / len(lives), native)]
    return combine(*terms)


def float32_loss_excess(size, length, seed) -> Parts:
    """Points that blur takes from the newborn in float32, above those that it takes in bfloat16."""
    born, blurred = (float32_gain(size, length, seed, name) for name in ("newborn", "blur"))
    return (*born, *(-part for part in blurred))


# Windows ------------------------------------------------------------------------------------------


def window_cost(size, length, onset, seed, of: Terms = loss_terms, **fields) -> Parts:
    """What a window of blur costs at an onset, or the mean over several."""
    onsets = onset if isinstance(onset, tuple) else (onset,)
    runs = [window(size, length, each, seed, **fields) for each in onsets]
    return combine(*((factor / len(runs), one) for run in runs for factor, one in of(run)))


def excess_over_birth(size, length, later, seed, of: Terms = loss_terms, **fields) -> Parts:
    """What a window costs later, above what it costs at birth."""
    onsets = later if isinstance(later, tuple) else (later,)
    runs = [(1 / len(onsets), window(size, length, each, seed, **fields)) for each in onsets]
    runs.append((-1, window(size, length, 0, seed, **fields)))
    return combine(*((share * factor, one) for share, run in runs for factor, one in of(run)))


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


def remaining(size, length, seed, **fields) -> float:
    return q.trace_remaining(traced(size, "none", length, seed, **fields))


def doublings(size, length, seed, other="none", how=None, **fields) -> Parts:
    """log₂ of the trace in the end after blur, over that after another life; how, as in
    `quantities.trace_by_layer`."""
    blurred, control = (traced(size, d, length, seed, **fields) for d in ("blur", other))
    of = partial(q.trace_at, **(how or {}))
    return tuple(q.doublings(blurred, control, of).parts.values())


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


def information_shift(size, length, seed, deficit="blur", at_removal=False) -> Parts:
    """How many layers later the information sits than after equal training."""
    ours, clear = (traced(size, d, length, seed) for d in (deficit, "none"))
    centre = partial(q.information_centre, epoch=length - 1 if at_removal else None)
    return combine((1, ours), (-1, clear), of=centre)


def shift_excess(size, early, late, seed) -> Parts:
    """Layers by which more blur moves the information, above those by which less of it does."""
    lives = {at: [traced(size, d, at, seed) for d in ("blur", "none")] for at in (early, late)}
    terms = [(1, lives[late][0]), (-1, lives[late][1]), (-1, lives[early][0]), (1, lives[early][1])]
    return combine(*terms, of=q.information_centre)


# Growth and pruning of synapses -------------------------------------------------------------------


def own_weights_gain(size, density, seed, **fields) -> Parts:
    """Points of a grown and pruned net, with its own weights, above a dense one."""
    dense = Retraining("dense", 1, Search(seed=seed))
    return q.accuracy_at(Search(seed=seed, **fields), density), -q.accuracy(dense)


def architecture_gain(size, density, seed, kind="biological", control="random", optimizer="sgd"):
    """Points of a kind of architecture above another of the same search and new weights."""
    ours = Retraining(kind, density, Search(seed=seed, optimizer=optimizer), optimizer=optimizer)
    return combine((1, ours), (-1, replace(ours, kind=control)))


ORIGINS: dict[str, tuple[str, dict]] = {
    "digits": ("biological", {}),
    "mixed": ("biological", {"mixed": 0.15}),
    "fashion": ("biological", {"dataset": "fashion_mnist"}),
    "random": ("random", {"dataset": "fashion_mnist"}),
}


def transfer_gain(size, density, seed, ours, theirs) -> Parts:
    """Points on Fashion-MNIST of architectures of one origin above those of another."""
    both = [
        Retraining(kind, density, Search(seed=seed, **fields), dataset="fashion_mnist")
        for kind, fields in (ORIGINS[ours], ORIGINS[theirs])
    ]
    return combine((1, both[0]), (-1, both[1]))


# Pruning of kernels and of weights ----------------------------------------------------------------


def kernels_advantage(size, total, seed, ours, theirs) -> Parts:
    """Points of one way to prune above another, when so many kernels are left."""
    both = [KernelPruning(size, seed=seed, **way) for way in (ours, theirs)]
    return combine((1, both[0]), (-1, both[1]), of=partial(q.accuracy_at, moment=total))


def split_accuracy(size, origin, total, seed) -> float:
    """Of a split that pruning left, or the mean of up to three random ones, from new weights."""
    if origin == "random":
        return q.random_splits_accuracy(size, total, seed)
    split = q.kernel_split(KernelPruning(size, material=origin, seed=seed), total)
    return q.accuracy(KernelSplit(size, *split, seed))


def split_advantage(size, total, seed, ours, theirs) -> Parts:
    return split_accuracy(size, ours, total, seed), -split_accuracy(size, theirs, total, seed)


def second_layer_excess(size, total, seed, ours, theirs) -> Parts:
    """Percent of the kernels that are in the second layer, of one material above another."""
    both = [KernelPruning(size, material=material, seed=seed) for material in (ours, theirs)]
    kept = [100 * q.kernel_split(pruning, total)[1] / total for pruning in both]
    return kept[0], -kept[1]


def saliency_gain(size, density, seed, other, moment, **fields) -> Parts:
    """Points kept by pruning by w² F above another ranking, or above what was there before."""
    ours = Pruned(size, "fisher", density, seed=seed, **fields)
    if other == "before":
        return (q.accuracy_at(ours, moment) - q.accuracy_at(ours, "trained"),)
    theirs = replace(ours, metric=other)
    return combine((1, ours), (-1, theirs), of=partial(q.accuracy_at, moment=moment))


def plasticity_excess(size, density, seed, length=8) -> Parts:
    """Points that later blur costs a pruned network above those that it costs the whole one."""
    whole = Pruned(size, deficit="blur", length=length, seed=seed)
    pruned = replace(whole, metric="fisher", density=density)
    return (q.plasticity_loss(pruned) - q.plasticity_loss(whole),)
