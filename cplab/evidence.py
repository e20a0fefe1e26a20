"""The numbers of ours that speak to what the sources claim (see claims.py), one a seed.

Each function takes a size (a profile, or the thesis's own), what its claim is taken at (epochs,
densities, kernels) and a seed, looks the shipped records and studies up, and raises Missing where
one is not there. Accuracies and their differences are in percent and points.
"""

from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from math import log2

import numpy as np

from cplab import records, studies
from cplab.experiment import PROFILES, Run


class Missing(LookupError):
    """A run or study that is not shipped."""


@lru_cache(maxsize=4000)
def shipped(asked):
    """The shipped record of a run, or study of a spec. A run's record may be one that measured the
    Fisher information on the way, which leaves training as it is."""
    if isinstance(asked, Run):
        found = [records.find(run) for run in dict.fromkeys((asked, replace(asked, trace="every")))]
    else:
        found = [studies.find(asked)]
    for one in found:
        if one and one.source == "shipped":
            return one if isinstance(asked, Run) else one.values
    raise Missing(asked)


# Numbers from records ---------------------------------------------------------------------------


def accuracy(run: Run) -> float:
    return 100 * shipped(run).accuracy


def error(size, length, seed, **how):
    """Final test error in percent after blur until an epoch."""
    kind = "blur" if length else "none"
    return 100 - accuracy(Run(deficit=kind, length=length, profile=size, seed=seed, **how))


def gain(size, length, seed, deficit="blur", equal=False, **how):
    """Points above a control of the same seed: the newborn, or equal training."""
    run = Run(deficit=deficit, length=length, profile=size, seed=seed, **how)
    return accuracy(run) - accuracy(run.equal_training() if equal else run.newborn())


def apart(size, length, seed, deficit, other="blur", **how):
    """Points after one deficit above those after another of the same length."""
    of = partial(gain, size, length, seed, **how)
    return of(deficit) - of(other)


def first_part(size, early, late, seed):
    """Points lost by an earlier epoch, above those that are lost from there to a later one."""
    at_first, in_all = (-gain(size, epoch, seed) for epoch in (early, late))
    return at_first - (in_all - at_first)


def deeper(size, length, seed, deep, shallow, **how):
    """Points that blur costs one depth above those that it costs another."""
    lost = {n: -gain(size, length, seed, model=f"depth{n}", schedule="fixed", **how)
            for n in (deep, shallow)}  # fmt: skip
    return lost[deep] - lost[shallow]


def rounding(size, length, seed, *lives):
    """Points in float32 above those in bfloat16: the mean over lives, which are newborn, equal (the
    control of equal training) or a deficit of this length."""
    found = []
    for life in lives:
        run = Run(deficit="blur", length=length, profile=size, seed=seed)
        run = {"newborn": run.newborn(), "equal": run.equal_training(), "blur": run}[life]
        if shipped(run).precision != "bf16":
            raise Missing(run)
        found.append(accuracy(replace(run, arithmetic="float32")) - accuracy(run))
    return np.mean(found)


def rounded_loss(size, length, seed):
    """Points that blur takes from the newborn in float32, above those that it takes in bfloat16."""
    return rounding(size, length, seed, "newborn") - rounding(size, length, seed, "blur")


def lost(size, window, onset, seed, **how):
    """Sensitivity: points that a window of blur costs against equal training."""
    run = Run(deficit="blur", onset=onset, length=window, profile=size, seed=seed, **how)
    return accuracy(run.equal_training()) - accuracy(run)


def sensitivity(size, window, onset, seed, **how):
    """The same, of one onset or the mean of several."""
    onsets = onset if isinstance(onset, tuple) else (onset,)
    return np.mean([lost(size, window, each, seed, **how) for each in onsets])


def not_at_birth(size, window, middle, seed):
    return sensitivity(size, window, middle, seed) - sensitivity(size, window, 0, seed)


def worst(size, window, onsets, seed, **how):
    """The onset at which a window costs most."""
    return max(onsets, key=lambda onset: lost(size, window, onset, seed, **how))


def traced(size, deficit, length, seed, **how):
    """The record of a life along which the Fisher information was measured. In the paper's figure
    4 nothing says how long the recovery is; the campaign takes 100 epochs."""
    when = {"onset": length} if deficit == "none" else {"deficit": deficit, "length": length}
    how |= {"recovery": 100} if size == "paper" else {}
    return shipped(Run(**when, profile=size, seed=seed, trace="every", **how))


def peak(size, length, seed, **how):
    """The epoch, in the paper's, after which the trace is highest without a deficit."""
    trace = traced(size, "none", length, seed, **how).series("trace")
    return PROFILES[size].pace * (int(np.argmax(trace)) + 1)


def remaining(size, length, seed, **how):
    trace = traced(size, "none", length, seed, **how).series("trace")
    return trace[-1] / trace.max()


def doublings(size, length, seed, other="none", **how):
    """log2 of the trace in the end after blur, over that after another life."""
    ends = [traced(size, d, length, seed, **how).series("trace")[-1] for d in ("blur", other)]
    return log2(ends[0] / ends[1])


def coincide(size, window, onsets, length, seed, **how):
    """Epochs, the paper's, from the trace's peak to the onset at which blur costs most."""
    onset = worst(size, window, onsets, seed, **how)
    return PROFILES[size].pace * onset - peak(size, length, seed, **how)


def related(size, window, onsets, length, seed, **how):
    """Correlation of sensitivity and trace over the onsets after birth."""
    trace = traced(size, "none", length, seed, **how).series("trace")
    after = [onset for onset in onsets if onset]
    costs = [lost(size, window, onset, seed, **how) for onset in after]
    return np.corrcoef(costs, [trace[onset - 1] for onset in after])[0, 1]


def shares(record, at_end_of: int = 0) -> np.ndarray:
    """Each layer's part of the information in the end, or of the trace after an epoch."""
    row = record.curve[at_end_of - 1]["trace"] if at_end_of else record.final["information"]
    return np.array(row) / np.sum(row)


def middle_part(size, length, seed):
    return 100 * shares(traced(size, "none", length, seed))[3:6].sum()


def later(size, length, seed, deficit="blur", at_end=False):
    """How many layers later the information sits on average than after equal training."""
    both = [shares(traced(size, d, length, seed), length * at_end) for d in (deficit, "none")]
    return float((both[0] - both[1]) @ np.arange(len(both[0])))


def stays(size, early, late, seed):
    return later(size, late, seed) - later(size, early, seed)


# Numbers from studies ---------------------------------------------------------------------------


def search(seed, **how):
    from cplab.pruning import Search

    return Search(seed=seed, **how)


def retrained(kind, density, source, **how):
    """Accuracy in percent of an architecture from new weights."""
    from cplab.pruning import Retraining

    return 100 * shipped(Retraining(kind, density, source, **how))["accuracy"]


def developed(size, density, seed, **how):
    """Points of a developed net, with its own weights, above a dense one."""
    kept = shipped(search(seed, **how))["architectures"]
    if f"{density:g}" not in kept:
        raise Missing(density)
    own = 100 * kept[f"{density:g}"]["accuracy"]
    return own - retrained("dense", 1, search(seed))


def worth(size, density, seed, kind="biological", control="random", optimizer="sgd"):
    """Points of a kind of architecture above another of the same search, new weights the same."""
    of = partial(retrained, density=density, source=search(seed, optimizer=optimizer),
                 optimizer=optimizer)  # fmt: skip
    return of(kind) - of(control)


def abroad(size, density, seed, ours, theirs):
    """Points on Fashion-MNIST of architectures of one origin above those of another."""
    sources = {
        "digits": ("biological", {}),
        "mixed": ("biological", {"mixed": 0.15}),
        "fashion": ("biological", {"dataset": "fashion_mnist"}),
        "random": ("random", {"dataset": "fashion_mnist"}),
    }
    a, b = (
        retrained(kind, density, search(seed, **how), dataset="fashion_mnist")
        for kind, how in (sources[ours], sources[theirs])
    )
    return a - b


def left(size, task, total, seed):
    """(kernels of the first, of the second layer) when so many are left."""
    from cplab.kernels import Pruning

    values = shipped(Pruning(size, task=task, seed=seed))
    both = zip(values["first"], values["second"], strict=True)
    return {a + b: (a, b) for a, b in both}[total]


def while_pruned(size, total, seed, **how):
    """Accuracy in percent when so many kernels are left."""
    from cplab.kernels import Pruning

    values = shipped(Pruning(size, seed=seed, **how))
    both = zip(values["first"], values["second"], strict=True)
    rows = {a + b: row for row, (a, b) in enumerate(both)}
    return 100 * values["accuracy"][rows[total]]


def manners(size, total, seed, ours, theirs):
    return while_pruned(size, total, seed, **ours) - while_pruned(size, total, seed, **theirs)


def from_scratch(size, origin, total, seed):
    """Accuracy in percent of a split from new weights; of up to three random ones the mean."""
    from cplab.kernels import SIZES, Split, random_split

    if origin != "random":
        return 100 * shipped(Split(size, *left(size, origin, total, seed), seed))["accuracy"]
    found = []
    for draw in range(3):
        first, second = random_split(total, 100 * draw + seed, SIZES[size].kernels)
        with suppress(Missing):
            found.append(100 * shipped(Split(size, first, second, seed))["accuracy"])
    if not found:
        raise Missing(total)
    return np.mean(found)


def splits(size, total, seed, ours, theirs):
    return from_scratch(size, ours, total, seed) - from_scratch(size, theirs, total, seed)


def second_layer(size, total, seed, ours, theirs):
    """Percent of the kernels that are in the second layer, of one task above another."""
    parts = [100 * left(size, task, total, seed)[1] / total for task in (ours, theirs)]
    return parts[0] - parts[1]


def life(size, metric, density, seed, **how):
    from cplab.saliency import Pruned

    return shipped(Pruned(size, metric=metric, density=density, seed=seed, **how))["accuracy"]


def salient(size, density, seed, other, moment):
    """Points kept by pruning by w² F above another ranking, or above what was there before."""
    ours = life(size, "fisher", density, seed)
    theirs = ours["trained"] if other == "before" else life(size, other, density, seed)[moment]
    return 100 * (ours[moment] - theirs)


def dearer(size, density, seed, length=8):
    """Points that later blur costs a pruned network above those that it costs the whole one."""

    def cost(metric, density):
        clear, blur = (
            life(size, metric, density, seed, deficit=d, length=length)["end"]
            for d in ("none", "blur")
        )
        return 100 * (clear - blur)

    return cost("fisher", density) - cost("none", 1.0)
