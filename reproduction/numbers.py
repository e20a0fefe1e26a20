"""Our numbers for the claims: contrasts of the lives that a claim speaks of.

Each function takes a size (a profile, or the thesis's own) and what its claim is taken at (epochs,
densities, kernels). Accuracies are percentages, their differences points.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import add

import numpy as np
from scipy.stats import spearmanr

from cplab import quantities as q
from cplab.quantities.statistics import Contrast, Estimate, estimate
from cplab.runs import Run
from cplab.specs.profiles import PROFILES
from cplab.studies import early_blur, eyes, pruning
from cplab.studies.paper_schedule import longest_harmless_window
from cplab.studies.pruning import KernelPruning, Pruned, Retraining, Search
from reproduction.recipes import BOTTLENECK, FLAGSHIP, SINGLE

Cost = Callable[[Run], Contrast]


def mean(numbers: Iterable[Contrast]) -> Contrast:
    some = [*numbers]
    return 1 / len(some) * reduce(add, some)


# Lives of networks --------------------------------------------------------------------------------


def life(size: str, length: int, deficit: str = "blur", **fields) -> Run:
    """So many epochs from birth with a deficit, or clear ones, then the recovery."""
    if deficit == "none":
        return Run(onset=length, profile=size, **fields)
    return Run(deficit, 0, length, profile=size, **fields)


def window(size: str, length: int, onset: int, **fields) -> Run:
    return Run(fields.pop("deficit", "blur"), onset, length, profile=size, **fields)


def error(size, length, **fields) -> Contrast:
    """Final test error after blur until an epoch."""
    return 100 - q.accuracy(life(size, length, **fields))


def newborn_gain(size, length, deficit="blur", clock="stopped", **fields) -> Contrast:
    """Points above the newborn; or above the one whose clock runs on while nothing is trained."""
    return -q.harm(life(size, length, deficit, **fields), clock)


def given_back(size, length, deficit, kind="renorm", lasts="", **fields) -> Contrast:
    """Points that a treatment brings when a deficit from birth ends."""
    run = life(size, length, deficit, treatments=f"{kind}@{length}{lasts}", **fields)
    return unpaired(q.advantage(run, run.untreated()))


def beyond_sham(size, length, deficit) -> Contrast:
    """Points of renorm above a sham that empties the momentum and changes no weight."""
    kinds = ("renorm", "shrink-1")
    renormed, sham = (life(size, length, deficit, treatments=f"{k}@{length}") for k in kinds)
    return unpaired(q.advantage(renormed, sham))


@dataclass(frozen=True)
class Unpaired(q.Reading):
    """A term that stands alone, though its network began as another did: on other machines."""

    @property
    def group(self) -> "Unpaired":
        return self


def unpaired(contrast: Contrast) -> Contrast:
    """The same sum without pairs, for runs that different kinds of machine trained."""
    return Contrast({Unpaired(t.spec, t.of, t.options): w for t, w in contrast.weights.items()})


def advantage_over_blur(size, length, deficit, **fields) -> Contrast:
    """Points after one deficit above those after as much blur."""
    run = life(size, length, deficit, **fields)
    return q.advantage(run, replace(run, deficit="blur"))


def early_excess(size, early, late) -> Contrast:
    """Points lost by an earlier epoch, above those that are lost from there to a later one."""
    first, both = life(size, early), life(size, late)
    return q.harm(first) - q.advantage(first, both)


def excess(size, length, more, less, of: Cost = q.harm) -> Contrast:
    """Points that blur costs one network above those that it costs another, by their fields."""
    return of(life(size, length, **more)) - of(life(size, length, **less))


# Windows ------------------------------------------------------------------------------------------


def window_cost(size, length, onset, of: Cost = q.equal_training_loss, **fields) -> Contrast:
    """What a window of blur costs at an onset, or the mean over several."""
    onsets = onset if isinstance(onset, tuple) else (onset,)
    return mean(of(window(size, length, each, **fields)) for each in onsets)


def over_birth(size, length, later, number=window_cost, **how) -> Contrast:
    """What a window costs later, or another number of it, above that of one at birth."""
    return number(size, length, later, **how) - number(size, length, 0, **how)


def in_clear_epochs(size, length, onset, **fields) -> Contrast:
    """Harm of a window, over what one of the clear epochs that it displaced would have taught: the
    ratio of two means, with the interval of its first derivative (the delta method)."""
    with q.shipped_only():
        run = window(size, length, onset, **fields)
        harm, lost = q.harm(run), q.lost_time(run)
        slope = estimate(lost).mean / length
        ratio = estimate(harm).mean / slope
    return 1 / slope * harm - ratio / slope / length * lost + ratio


def longest_harmless(size, longest, deficit="blur") -> Estimate:
    """Epochs that a deficit from birth may last before its harm is a point."""
    each = {run.length: run for run in q.every_length(life(size, longest, deficit))}
    harms = {n: estimate(q.harm(run)) for n, run in each.items() if n <= longest}
    seeds = min(harm.counts[-1] for harm in harms.values() if harm.seeds)
    return with_farther_end(longest_harmless_window(harms), seeds)


def with_farther_end(found: tuple[float, float, float], seeds: int) -> Estimate:
    """A number and the two ends of its interval, as symmetric as its farther end."""
    number, *ends = found
    half = max(abs(number - end) for end in ends)
    return Estimate(number, half, (seeds,), seeds - 1, np.array([number]))


def costliest(window: Run, onsets: tuple) -> int:
    return onsets[int(np.argmax(q.sensitivity(window, onsets)))]


def worst_onset(size, length, onsets, **fields) -> Contrast:
    return q.reading(window(size, length, 0, **fields), costliest, onsets=onsets)


# Three blocks at a rate that never changes --------------------------------------------------------


def flagship_harm(size, length, onset, of="blur", **other) -> Contrast:
    """Points by which a run lies below one without a deficit, after as many clear epochs."""
    return early_blur.harm(Run(of, onset, length, profile=size, **{**FLAGSHIP, **other}))


def flagship_behind(size, length, onset) -> Estimate:
    """How many clear epochs a run is behind one without a deficit."""
    behind = early_blur.clear_epochs_behind(Run("blur", onset, length, profile=size, **FLAGSHIP))
    return with_farther_end(behind, estimate(flagship_harm(size, length, onset)).seeds)


def milder(size, length, onset, kind) -> Contrast:
    """Points by which blur harms more than another deficit."""
    return flagship_harm(size, length, onset) - flagship_harm(size, length, onset, kind)


def image_half(size, length, onset) -> Estimate:
    """Half of the interval that harm would have if the test images were drawn anew."""
    run = Run("blur", onset, length, profile=size, **FLAGSHIP)
    return early_blur.half_by_images(run, 24)


def noise_lasts(size, long, short) -> Contrast:
    """How much more harm the last epochs of noise do than those of blur."""
    kinds = ("noise", "blur")
    noise, blur = (q.harm(life(size, long, k)) - q.harm(life(size, short, k)) for k in kinds)
    return noise - blur


def error_doublings(size, length, clock="stopped") -> Contrast:
    def error_of(run: Run) -> float:
        return 100 - float(q.accuracy(run))

    run = life(size, length)
    return q.doublings(run, run.without_window(clock), of=error_of)


# Fisher information -------------------------------------------------------------------------------


def traced(size, deficit, length, **fields) -> Run:
    """A life along which the Fisher information is measured. In the paper's figure 4 nothing says
    how long the recovery is; the campaign takes 100 epochs."""
    fields |= {"recovery": 100} if size == "paper" else {}
    return life(size, length, deficit, **fields)


def peak(size, length, **fields) -> Contrast:
    """The epoch, in the paper's, after which the trace is highest without a deficit."""
    return PROFILES[size].pace * q.reading(traced(size, "none", length, **fields), q.trace_peak)


def remaining(size, length, how=None, **fields) -> Contrast:
    return q.reading(traced(size, "none", length, **fields), q.trace_remaining, **(how or {}))


def doublings(size, length, other="none", how=None, **fields) -> Contrast:
    """log₂ of the trace in the end after blur, over that after another life; how, as in
    `quantities.trace_by_layer`."""
    blurred, control = (traced(size, d, length, **fields) for d in ("blur", other))
    return q.doublings(blurred, control, partial(q.trace_at, **(how or {})))


def peak_to_worst(size, length, onsets, end, **fields) -> Contrast:
    """Epochs, the paper's, from the trace's peak to the onset at which blur costs most."""
    blurred = window(size, length, 0, **fields)

    def onset_after_peak(clear: Run) -> float:
        return costliest(replace(blurred, seed=clear.seed), onsets) - q.trace_peak(clear)

    return PROFILES[size].pace * q.reading(traced(size, "none", end, **fields), onset_after_peak)


def trace_match(size, length, onsets, end, of=q.equal_training_loss, fit=False, **fields):
    """Pearson's correlation, over onsets after birth, of what a window costs and the trace of a
    clear life at that age (paper, figure 4 left); or, with `fit`, the share of the trace's variance
    that F = a·exp(c·S) + b takes, S being that cost, with the best of a and c above 0."""
    clear, after = traced(size, "none", end, **fields), [onset for onset in onsets if onset]
    scales = np.geomspace(0.01, 10, 200)[:, None]

    def match(window: Run) -> float:
        trace = q.trace_curve(replace(clear, seed=window.seed))[[onset - 1 for onset in after]]
        cost = q.sensitivity(window, after, of)
        with np.errstate(invalid="ignore"):  # of constants there is none
            if fit:
                return max(0, *(np.corrcoef(x, trace)[0, 1] for x in np.exp(scales * cost))) ** 2
            return np.corrcoef(cost, trace)[0, 1]

    return q.reading(window(size, length, 0, **fields), match)


def doublings_at_removal(size, length, **how) -> Contrast:
    """log₂ of the trace when the blur ends, over that after as many clear epochs."""
    blurred, clear = (traced(size, d, length) for d in ("blur", "none"))
    return q.doublings(blurred, clear, partial(q.trace_at, epoch=length - 1, **how))


def agreement(size, length) -> Contrast:
    """The correlation over epochs of the trace and the log-determinant."""

    def follows(run: Run) -> float:
        result = q.result(run, "trace")
        both = np.array([result.series("trace"), result.series("log_det")])
        return float(np.corrcoef(both[:, np.isfinite(both).all(0)])[0, 1])

    return q.reading(traced(size, "blur", length), follows)


def sharpness(size, length, peak=False) -> Contrast:
    """The sharpness in the end, of its highest along a clear life; or when that is, on the paper's
    clock."""

    def read(run: Run) -> float:
        found = q.result(run, {"ending": BOTTLENECK}).series("sharpness")
        highest = PROFILES[size].pace * (np.nanargmax(found) + 1.0)
        return highest if peak else float(found[-1] / np.nanmax(found))

    return q.reading(life(size, length, "none"), read)


def kept_ranks(size, length, early, late) -> Contrast:
    """The rank correlation of single weights' Fisher information after two epochs, a mean over
    layers."""

    def kept(run: Run) -> float:
        found = q.result(run, SINGLE).measured["connections"]
        layers = zip(found[early].values(), found[late].values(), strict=True)
        return np.mean([spearmanr(*layer).statistic for layer in layers])

    return q.reading(life(size, length, "none"), kept)


def layer_6_lead(size, length) -> Contrast:
    def lead(run: Run) -> float:
        shares = q.layer_shares(run, length - 1)
        return 100 * float(shares[6] - shares[5])

    return q.reading(traced(size, "blur", length), lead)


def middle_share(size, length) -> Contrast:
    """Percent of the information that is in layers 3, 4 and 5, from 0."""

    def middle(run: Run) -> float:
        return 100 * float(q.layer_shares(run)[3:6].sum())

    return q.reading(traced(size, "none", length), middle)


def information_shift(size, length, deficit="blur", at_removal=False) -> Contrast:
    """How many layers later the information sits than after equal training."""
    ours, clear = (traced(size, d, length) for d in (deficit, "none"))
    return q.information_shift(ours, clear, length - 1 if at_removal else None)


def shift_excess(size, early, late) -> Contrast:
    """Layers by which more blur moves the information, above those by which less of it does."""
    return information_shift(size, late) - information_shift(size, early)


# Growth and pruning of synapses -------------------------------------------------------------------


DENSE = Retraining("dense", 1, Search())


def own_weights_gain(size, density, **fields) -> Contrast:
    """Points of a grown and pruned net, with its own weights, above a dense one."""
    return pruning.accuracy_at(Search(**fields), density) - q.accuracy(DENSE)


def efficiency_gain(size, density) -> Contrast:
    """Points for each per cent of the synapses, of a grown and pruned net above a dense one."""
    return 0.01 / density * pruning.accuracy_at(Search(), density) - 0.01 * q.accuracy(DENSE)


def growth_gain(size) -> Contrast:
    """Points of accuracy at the highest density above those at the first."""

    def grown(search: Search) -> float:
        density, accuracy = (q.result(search).values[name] for name in ("density", "accuracy"))
        return 100 * (accuracy[int(np.argmax(density))] - accuracy[0])

    return q.reading(Search(), grown)


def architecture_gain(size, density, kind="biological", control="random", optimizer="sgd"):
    """Points of a kind of architecture above another of the same search and new weights."""
    ours = Retraining(kind, density, Search(optimizer=optimizer), optimizer=optimizer)
    return q.advantage(ours, replace(ours, kind=control))


ORIGINS: dict[str, tuple[str, dict]] = {
    "digits": ("biological", {}),
    "mixed": ("biological", {"mixed": 0.15}),
    "fashion": ("biological", {"dataset": "fashion_mnist"}),
    "random": ("random", {"dataset": "fashion_mnist"}),
}


def transfer_gain(size, density, ours, theirs) -> Contrast:
    """Points on Fashion-MNIST of architectures of one origin above those of another."""
    one, other = (
        Retraining(kind, density, Search(**fields), dataset="fashion_mnist")
        for kind, fields in (ORIGINS[ours], ORIGINS[theirs])
    )
    return q.advantage(one, other)


# Pruning of kernels and of weights ----------------------------------------------------------------


def kernels_advantage(size, total, ours, theirs) -> Contrast:
    """Points of one way to prune above another, when so many kernels are left."""
    one, other = (KernelPruning(size, **way) for way in (ours, theirs))
    return pruning.accuracy_at(one, total) - pruning.accuracy_at(other, total)


def split_advantage(size, total, ours, theirs, **few) -> Contrast:
    """Points of the split that pruning on one material left above that of another."""
    one, other = (pruning.split_accuracy(size, total, name, **few) for name in (ours, theirs))
    return one - other


def gain_by_size(size, small, large) -> Contrast:
    """Points of splits found on images above random ones: mean of small sizes minus large ones."""

    def gain(totals: Iterable[int]) -> Contrast:
        return mean(split_advantage(size, total, "images", "random") for total in totals)

    return gain(small) - gain(large)


def bend(size, totals, **way) -> Contrast:
    """Points by which the accuracy at the middle of pruning, of two totals, is above a straight
    line from the whole network to the last."""
    net = KernelPruning(size, **way)
    whole, *middle, last = (pruning.accuracy_at(net, total) for total in totals)
    return mean(middle) - mean([whole, last])


def straighter_log(size) -> Contrast:
    """How much nearer to a straight line over prunes the logarithm of the number of parameters is
    than that number: a difference of squared correlations."""

    def exponential(net: KernelPruning) -> float:
        parameters = np.unique(q.result(net).values["parameters"])[::-1]
        prunes = np.arange(len(parameters))
        log, plain = (np.corrcoef(prunes, y)[0, 1] ** 2 for y in (np.log(parameters), parameters))
        return float(log - plain)

    return q.reading(KernelPruning(size), exponential)


def second_over_first(size, total, material) -> Contrast:
    """Doublings of the kernels from the first layer to the second."""

    def deepening(net: KernelPruning) -> float:
        first, later = pruning.kernel_split(net, total)
        return float(np.log2(later / first))

    return q.reading(KernelPruning(size, material=material), deepening)


def second_layer_excess(size, total, ours, theirs) -> Contrast:
    """Percent of the kernels that are in the second layer, of one material above another."""

    def second(net: KernelPruning) -> float:
        return 100 * pruning.kernel_split(net, total)[1] / total

    one, other = (KernelPruning(size, material=material) for material in (ours, theirs))
    return q.reading(one, second) - q.reading(other, second)


def saliency_gain(size, density, other, moment, **fields) -> Contrast:
    """Points kept by pruning by w² F above another ranking, or above what was there before."""
    ours = Pruned(size, "fisher", density, **fields)
    theirs = ours if other == "before" else replace(ours, metric=other)
    before = "trained" if other == "before" else moment
    return pruning.accuracy_at(ours, moment) - pruning.accuracy_at(theirs, before)


def plasticity_excess(size, density, length=8) -> Contrast:
    """Points that later blur costs a pruned network above those that it costs the whole one."""
    whole = Pruned(size, deficit="blur", length=length)
    pruned = replace(whole, metric="fisher", density=density)
    return pruning.plasticity_loss(pruned) - pruning.plasticity_loss(whole)


# Two eyes ---------------------------------------------------------------------------------------


def closed(size, length, onset, deficit="blank:right") -> Run:
    """A life in which the right eye is closed, or worse off, for a while."""
    return Run(deficit, onset, length, profile=size, model="eyes")


def percent_share(run: Run) -> Contrast:
    return 100 * eyes.eye_share(run)


def eye_gain(size, length, onset, deficit="blank:right", of=eyes.acuity) -> Contrast:
    """What an eye that was worse off is worth, or another number, above the life without that."""
    run = closed(size, length, onset, deficit)
    return of(run) - of(run.without_window())


def both_gain(size, length, kind="blur") -> Contrast:
    """What the right eye is worth after both had a deficit, above where it had it alone."""
    alone = closed(size, length, 0, f"{kind}:right")
    return eyes.acuity(replace(alone, deficit=kind)) - eyes.acuity(alone)


def longer_gain(size: str, long: int, short: int) -> Contrast:
    """An eye's share after a long closure, above that after a short one."""
    return percent_share(closed(size, long, 0)) - percent_share(closed(size, short, 0))


# Treatments ---------------------------------------------------------------------------------------


def regularised(size: str, length: int, kind: str, when: str) -> Run:
    """A clear life that lacks something: early (before recovery), late (from then on) or ever."""
    written = {"early": f"{kind}@0+{length}", "late": f"{kind}@{length}", "ever": f"{kind}@0"}
    return Run(onset=length, profile=size, treatments=written[when])


def missing_gain(size: str, length: int, kind: str, when: str) -> Contrast:
    """Points of a clear life in which something is missing, early or late, above a whole one."""
    run = regularised(size, length, kind, when)
    return q.advantage(run, run.untreated())


def only_late_gain(size: str, length: int, kind: str) -> Contrast:
    """Points of a clear life that has something only later above one that never has it."""
    late, never = (regularised(size, length, kind, when) for when in ("early", "ever"))
    return q.advantage(late, never)


def warm_start_gain(size: str, length: int, shrunk: bool = False) -> Contrast:
    """Points of a life that began with half of the images, and was then shrunk and perturbed or
    not, above one that had all, from new weights, for the rest of it."""
    kinds = f"images-0.5@0+{length}" + (f" shrink-0.4@{length}" if shrunk else "")
    return q.gain_over_newborn(Run(onset=length, profile=size, treatments=kinds))


def shrunk_gain(size: str, length: int) -> Contrast:
    """Points of a blurred life that was shrunk and perturbed above a newborn treated alike."""
    return -q.harm(life(size, length, treatments=f"shrink-0.4@{length}"))
