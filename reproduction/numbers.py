"""Our numbers for the claims: estimates from the runs that a claim is about.

Each function takes a size (a profile, or the thesis's own) and what its claim is taken at (epochs,
densities, kernels). Accuracies are percentages, their differences points.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import reduce
from operator import add, sub

import numpy as np
from scipy.stats import spearmanr

from cplab import quantities as q
from cplab.labs import lab02, lab05, lab05b, lab07
from cplab.labs.lab02b import longest_harmless_window
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.labs.lab05b_pruning import prune_kernels, prune_weights
from cplab.runs import Run
from cplab.specs.experiments import Experiment
from cplab.specs.profiles import PROFILES
from cplab.statistics import Estimate, Interval, seed_by_seed
from reproduction.recipes import BOTTLENECK, FLAGSHIP, SINGLE

Cost = Callable[[Run], Estimate]


def mean(numbers: Iterable[Estimate]) -> Estimate:
    """The mean of estimates, an estimate."""
    terms = [*numbers]
    return 1 / len(terms) * reduce(add, terms)


# Deficits from birth ------------------------------------------------------------------------------


def from_birth(size: str, length: int, deficit: str = "blur", **fields) -> Run:
    """A run with a deficit, or with clear epochs, from birth, and then recovery."""
    if deficit == "none":
        return Run(onset=length, profile=size, **fields)
    return Run(deficit, 0, length, profile=size, **fields)


def window(size: str, length: int, onset: int, **fields) -> Run:
    """A run with a window of a deficit, blur if not given, from an onset."""
    return Run(fields.pop("deficit", "blur"), onset, length, profile=size, **fields)


def error(size, length, **fields) -> Estimate:
    """Final test error after blur until an epoch."""
    return 100 - q.accuracy(from_birth(size, length, **fields))


def newborn_gain(size, length, deficit="blur", clock="stopped", **fields) -> Estimate:
    """Points above the newborn, whose clock stops or runs on while nothing is trained."""
    return -q.harm(from_birth(size, length, deficit, **fields), clock=clock)


def given_back(size, length, deficit, kind="renorm", lasts="", **fields) -> Estimate:
    """Points that a treatment gains when a deficit from birth ends."""
    run = from_birth(size, length, deficit, treatments=f"{kind}@{length}{lasts}", **fields)
    return q.advantage(run, run.untreated())


def beyond_sham(size, length, deficit) -> Estimate:
    """Points of renorm above a sham that clears the momentum and changes no weight."""
    kinds = ("renorm", "shrink-1")
    renormed, sham = (from_birth(size, length, deficit, treatments=f"{k}@{length}") for k in kinds)
    return q.advantage(renormed, sham)


def advantage_over_blur(size, length, deficit, **fields) -> Estimate:
    """Points after a deficit above those after as much blur."""
    run = from_birth(size, length, deficit, **fields)
    return q.advantage(run, replace(run, deficit="blur"))


def early_excess(size, early, late) -> Estimate:
    """Points lost until an early epoch, above those lost from there to a later one."""
    first, both = from_birth(size, early), from_birth(size, late)
    return q.harm(first) - q.advantage(first, both)


def excess(size, length, more, less, of: Cost = q.harm) -> Estimate:
    """Points that blur costs a network of the fields `more` above those it costs one of `less`."""
    return of(from_birth(size, length, **more)) - of(from_birth(size, length, **less))


def added_excess(size, long, short, more, less) -> Estimate:
    """Points that a deficit's epochs from `short` to `long` add to its excess of harm."""
    return excess(size, long, more, less) - excess(size, short, more, less)


# Windows ------------------------------------------------------------------------------------------


def window_cost(size, length, onset, of: Cost = q.equal_training_loss, **fields) -> Estimate:
    """The cost of a window of blur at an onset, or the mean over several."""
    onsets = onset if isinstance(onset, tuple) else (onset,)
    return mean(of(window(size, length, epoch, **fields)) for epoch in onsets)


def over_birth(size, length, later, number=window_cost, **how) -> Estimate:
    """The cost of a later window, or another number of it, above that of one at birth."""
    return number(size, length, later, **how) - number(size, length, 0, **how)


def in_clear_epochs(size, length, onset, **fields) -> Estimate:
    """Harm of a window, divided by what a clear epoch in its place would have taught: the ratio of
    two means, with the interval of its first derivative (the delta method)."""
    with q.shipped_only():
        run = window(size, length, onset, **fields)
        harm, lost = q.harm(run), q.lost_time(run)
    slope = lost.mean / length
    ratio = harm.mean / slope
    return 1 / slope * harm - ratio / slope / length * lost + ratio


def longest_harmless(size, longest, deficit="blur") -> Estimate:
    """Epochs that a deficit from birth may last before its harm is a point."""
    runs = {run.length: run for run in q.every_length(from_birth(size, longest, deficit))}
    harms = {n: q.harm(run) for n, run in runs.items() if n <= longest}
    seeds = min(harm.counts[-1] for harm in harms.values() if harm.seeds)
    return with_farther_end(longest_harmless_window(harms), seeds)


def with_farther_end(interval: tuple[float, float, float], seeds: int) -> Estimate:
    """An estimate from a number and the two ends of its interval: half is to the farther end."""
    number, *ends = interval
    half = max(abs(number - end) for end in ends)
    return Estimate(given=Interval(number, half, (seeds,), seeds - 1, {0: number}))


def worst_onset(size, length, onsets, **fields) -> Estimate:
    """The onset at which a window of blur costs most."""
    costs = (q.equal_training_loss(window(size, length, onset, **fields)) for onset in onsets)
    return seed_by_seed(lambda *points: onsets[int(np.argmax(points))], *costs)


# Three blocks at a rate that never changes --------------------------------------------------------


def flagship_harm(size, length, onset, of="blur", **other) -> Estimate:
    """Points by which a run lies below one without a deficit, after as many clear epochs."""
    return q.harm(Run(of, onset, length, profile=size, **{**FLAGSHIP, **other}))


def flagship_behind(size, length, onset) -> Estimate:
    """The clear epochs by which a run is behind one without a deficit."""
    behind = lab02.clear_epochs_behind(Run("blur", onset, length, profile=size, **FLAGSHIP))
    return with_farther_end(behind, flagship_harm(size, length, onset).seeds)


def milder(size, length, onset, kind) -> Estimate:
    """Points by which blur harms more than another deficit."""
    return flagship_harm(size, length, onset) - flagship_harm(size, length, onset, kind)


def image_half(size, length, onset) -> Estimate:
    """Half of the interval that harm would have if only the test images were drawn anew."""
    run = Run("blur", onset, length, profile=size, **FLAGSHIP)
    return lab02.half_by_images(run, 24)


def error_doublings(size, length, clock="stopped") -> Estimate:
    """log₂ of the test error after blur, over that without it."""

    run = from_birth(size, length)
    return q.doublings(100 - q.accuracy(run), 100 - q.accuracy(run.without_window(clock)))


# Fisher information -------------------------------------------------------------------------------


def traced(size, deficit, length, **fields) -> Run:
    """A run along which the Fisher information is measured. The paper's figure 4 does not give the
    recovery; at its size we take 100 epochs."""
    fields |= {"recovery": 100} if size == "paper" else {}
    return from_birth(size, length, deficit, **fields)


def peak(size, length, **fields) -> Estimate:
    """The epoch of the paper after which the trace is highest without a deficit."""
    return PROFILES[size].pace * q.trace_peak(traced(size, "none", length, **fields))


def remaining(size, length, how=None, **fields) -> Estimate:
    """The final trace without a deficit, as a fraction of its highest."""
    return q.trace_remaining(traced(size, "none", length, **fields), **(how or {}))


def doublings(size, length, other="none", how=None, **fields) -> Estimate:
    """log₂ of the final trace after blur, over that after another deficit; how, options of
    `quantities.trace_by_layer`."""
    runs = (traced(size, deficit, length, **fields) for deficit in ("blur", other))
    return q.doublings(*(q.trace_at(run, **(how or {})) for run in runs))


def peak_to_worst(size, length, onsets, end, **fields) -> Estimate:
    """Epochs of the paper from the trace's peak to the onset at which blur costs most."""
    worst = worst_onset(size, length, onsets, **fields)
    peak = q.trace_peak(traced(size, "none", end, **fields))
    return PROFILES[size].pace * seed_by_seed(sub, worst, peak)


def trace_match(size, length, onsets, end, of=q.equal_training_loss, fit=False, **fields):
    """Pearson's correlation, over onsets after birth, of the cost of a window and the trace without
    a deficit at that age (paper, figure 4 left); or, with `fit`, the fraction of the trace's
    variance that F = a·exp(c·S) + b explains, S being the cost, with the best a and c above 0."""
    clear, after = traced(size, "none", end, **fields), [onset for onset in onsets if onset]
    costs = [of(window(size, length, onset, **fields)) for onset in after]
    traces = [q.trace_at(clear, onset - 1) for onset in after]
    scales = np.geomspace(0.01, 10, 200)[:, None]

    def match(*numbers: float) -> float:
        cost, trace = np.split(np.array(numbers), 2)
        with np.errstate(invalid="ignore"):  # constants have no correlation
            if fit:
                return max(0, *(np.corrcoef(x, trace)[0, 1] for x in np.exp(scales * cost))) ** 2
            return np.corrcoef(cost, trace)[0, 1]

    return seed_by_seed(match, *costs, *traces)


def doublings_at_removal(size, length, **how) -> Estimate:
    """log₂ of the trace when the blur ends, over that after as many clear epochs."""
    runs = (traced(size, deficit, length) for deficit in ("blur", "none"))
    return q.doublings(*(q.trace_at(run, length - 1, **how) for run in runs))


def agreement(size, length) -> Estimate:
    """The correlation over epochs of the trace and the log-determinant."""

    @q.quantity
    def correlation(run: Run) -> float:
        result = q.result(run, "trace")
        both = np.array([result.series("trace"), result.series("log_det")])
        return float(np.corrcoef(both[:, np.isfinite(both).all(0)])[0, 1])

    return correlation(traced(size, "blur", length))


def sharpness(size, length, peak=False) -> Estimate:
    """The final sharpness without a deficit, as a fraction of its highest; or, with `peak`, the
    epoch of the paper at which it is highest."""

    @q.quantity
    def read(run: Run) -> float:
        series = q.result(run, {"ending": BOTTLENECK}).series("sharpness")
        highest = PROFILES[size].pace * (np.nanargmax(series) + 1.0)
        return highest if peak else float(series[-1] / np.nanmax(series))

    return read(from_birth(size, length, "none"))


def kept_ranks(size, length, early, late) -> Estimate:
    """The rank correlation between two epochs of single weights' Fisher information, the mean over
    layers."""

    @q.quantity
    def correlation(run: Run) -> float:
        epochs = q.result(run, SINGLE).measured["connections"]
        layers = zip(epochs[early].values(), epochs[late].values(), strict=True)
        return np.mean([spearmanr(*layer).statistic for layer in layers])

    return correlation(from_birth(size, length, "none"))


def layer_6_lead(size, length) -> Estimate:
    """Percent of the information in layer 6, from 0, above layer 5, when the blur ends."""

    @q.quantity
    def lead(run: Run) -> float:
        shares = q.layer_shares(run, length - 1)
        return 100 * float(shares[6] - shares[5]) if len(shares) else np.nan

    return lead(traced(size, "blur", length))


def middle_share(size, length) -> Estimate:
    """Percent of the information that is in layers 3, 4 and 5, from 0."""

    @q.quantity
    def middle(run: Run) -> float:
        shares = q.layer_shares(run)
        return 100 * float(shares[3:6].sum()) if len(shares) else np.nan

    return middle(traced(size, "none", length))


def information_shift(size, length, deficit="blur", at_removal=False) -> Estimate:
    """Layers by which the information sits later than after equal training."""
    ours, clear = (traced(size, d, length) for d in (deficit, "none"))
    return q.information_shift(ours, clear, length - 1 if at_removal else None)


def shift_excess(size, early, late) -> Estimate:
    """Layers by which more blur moves the information, above those by which less of it does."""
    return information_shift(size, late) - information_shift(size, early)


# Growth and pruning of synapses -------------------------------------------------------------------

DENSE = retrain.spec("dense", 1, search.spec())


def own_weights_gain(size, density, **fields) -> Estimate:
    """Points of a grown and pruned net, with its own weights, above a dense one."""
    return lab05.accuracy_at(search.spec(**fields), density) - q.accuracy(DENSE)


def efficiency_gain(size, density) -> Estimate:
    """Points for each per cent of the synapses, of a grown and pruned net above a dense one."""
    return 0.01 / density * lab05.accuracy_at(search.spec(), density) - 0.01 * q.accuracy(DENSE)


def growth_gain(size) -> Estimate:
    """Points of accuracy at the highest density above those at the start."""

    @q.quantity
    def grown(found: Experiment) -> float:
        density, accuracy = (q.result(found).values[name] for name in ("density", "accuracy"))
        return 100 * (accuracy[int(np.argmax(density))] - accuracy[0])

    return grown(search.spec())


def architecture_gain(size, density, kind="biological", control="random", optimizer="sgd"):
    """Points of one kind of architecture above another, both retrained, of the same search."""
    ours = retrain.spec(kind, density, search.spec(optimizer=optimizer), optimizer=optimizer)
    return q.advantage(ours, ours.replace(kind=control))


ORIGINS: dict[str, tuple[str, dict]] = {
    "digits": ("biological", {}),
    "mixed": ("biological", {"mixed": 0.15}),
    "fashion": ("biological", {"dataset": "fashion_mnist"}),
    "random": ("random", {"dataset": "fashion_mnist"}),
}


def transfer_gain(size, density, ours, theirs) -> Estimate:
    """Points on Fashion-MNIST of architectures of one origin above those of another."""
    first, second = (
        retrain.spec(kind, density, search.spec(**fields), dataset="fashion_mnist")
        for kind, fields in (ORIGINS[ours], ORIGINS[theirs])
    )
    return q.advantage(first, second)


# Pruning of kernels and of weights ----------------------------------------------------------------


def kernels_advantage(size, total, ours, theirs) -> Estimate:
    """Points of one way to prune above another, when `total` kernels are left."""
    first, second = (prune_kernels.spec(size, **way) for way in (ours, theirs))
    return lab05b.accuracy_at(first, total) - lab05b.accuracy_at(second, total)


def split_advantage(size, total, ours, theirs, **few) -> Estimate:
    """Points of the split that pruning on one material found above that of another."""
    first, second = (lab05b.split_accuracy(size, total, name, **few) for name in (ours, theirs))
    return first - second


def gain_by_size(size, small, large) -> Estimate:
    """Points of splits found on images above random ones: the mean of small totals minus large."""

    def gain(totals: Iterable[int]) -> Estimate:
        return mean(split_advantage(size, total, "images", "random") for total in totals)

    return gain(small) - gain(large)


def bend(size, totals, **way) -> Estimate:
    """Points by which accuracy in the middle of pruning lies above the straight line between its
    ends; totals, of kernels: before pruning, in the middle, at the end."""
    net = prune_kernels.spec(size, **way)
    whole, *middle, last = (lab05b.accuracy_at(net, total) for total in totals)
    return mean(middle) - mean([whole, last])


def straighter_log(size) -> Estimate:
    """How much straighter over prunes the logarithm of the number of parameters is than the number
    itself: a difference of squared correlations."""

    @q.quantity
    def exponential(net: Experiment) -> float:
        parameters = np.unique(q.result(net).values["parameters"])[::-1]
        prunes = np.arange(len(parameters))
        log, plain = (np.corrcoef(prunes, y)[0, 1] ** 2 for y in (np.log(parameters), parameters))
        return float(log - plain)

    return exponential(prune_kernels.spec(size))


def second_over_first(size, total, material) -> Estimate:
    """log₂ of the kernels of the second layer, over those of the first."""

    @q.quantity
    def deepening(net: Experiment) -> float:
        first, second = lab05b.kernel_split(net, total)
        return float(np.log2(second / first))

    return deepening(prune_kernels.spec(size, material=material))


def second_layer_excess(size, total, ours, theirs) -> Estimate:
    """Percent of the kernels that one material leaves in the second layer, above another."""

    @q.quantity
    def percent(net: Experiment) -> float:
        return 100 * lab05b.kernel_split(net, total)[1] / total

    first, second = (prune_kernels.spec(size, material=material) for material in (ours, theirs))
    return percent(first) - percent(second)


def saliency_gain(size, density, other, moment, **fields) -> Estimate:
    """Points after pruning by w² F above another ranking, or above the network before pruning."""
    ours = prune_weights.spec(size, "fisher", density, **fields)
    theirs = ours if other == "before" else ours.replace(metric=other)
    before = "trained" if other == "before" else moment
    return lab05b.accuracy_at(ours, moment) - lab05b.accuracy_at(theirs, before)


def plasticity_excess(size, density, length=8) -> Estimate:
    """Points that blur after pruning costs a pruned network above those it costs the whole one."""
    whole = prune_weights.spec(size, deficit="blur", length=length)
    pruned = whole.replace(metric="fisher", density=density)
    return lab05b.plasticity_loss(pruned) - lab05b.plasticity_loss(whole)


# Two eyes ---------------------------------------------------------------------------------------


def closed(size, length, onset, deficit="blank:right") -> Run:
    """A run in which the right eye is closed, or has another deficit, for a while."""
    return Run(deficit, onset, length, profile=size, model="eyes")


def percent_share(run: Run) -> Estimate:
    """The right eye's share of the neurons, in percent."""
    return 100 * lab07.eye_share(run)


def eye_gain(size, length, onset, deficit="blank:right", of=lab07.acuity) -> Estimate:
    """The acuity of an eye with a deficit, or another number of it, above the run without it."""
    run = closed(size, length, onset, deficit)
    return of(run) - of(run.without_window())


def both_gain(size, length, kind="blur") -> Estimate:
    """The right eye's acuity after a deficit of both eyes, above that after its own deficit."""
    alone = closed(size, length, 0, f"{kind}:right")
    return lab07.acuity(replace(alone, deficit=kind)) - lab07.acuity(alone)


def longer_gain(size: str, long: int, short: int) -> Estimate:
    """Percent of the neurons that an eye has after a long closure above those after a short one."""
    return percent_share(closed(size, long, 0)) - percent_share(closed(size, short, 0))


# Treatments ---------------------------------------------------------------------------------------


def regularised(size: str, length: int, kind: str, when: str) -> Run:
    """A clear run with a treatment: early (before recovery), late (from then on) or ever."""
    written = {"early": f"{kind}@0+{length}", "late": f"{kind}@{length}", "ever": f"{kind}@0"}
    return Run(onset=length, profile=size, treatments=written[when])


def missing_gain(size: str, length: int, kind: str, when: str) -> Estimate:
    """Points of a clear run with a treatment, early, late or ever, above one without."""
    run = regularised(size, length, kind, when)
    return q.advantage(run, run.untreated())


def only_late_gain(size: str, length: int, kind: str) -> Estimate:
    """Points of a clear run with a treatment only early above one with it all along."""
    early_only, ever = (regularised(size, length, kind, when) for when in ("early", "ever"))
    return q.advantage(early_only, ever)


def warm_start_gain(size: str, length: int, shrunk: bool = False) -> Estimate:
    """Points of a run that began with half of the images, and was then shrunk and perturbed or not,
    above a run from new weights that had all images for the rest of the epochs."""
    kinds = f"images-0.5@0+{length}" + (f" shrink-0.4@{length}" if shrunk else "")
    return q.gain_over_newborn(Run(onset=length, profile=size, treatments=kinds))


def shrunk_gain(size: str, length: int) -> Estimate:
    """Points of a blurred run that was shrunk and perturbed above a newborn treated alike."""
    return -q.harm(from_birth(size, length, treatments=f"shrink-0.4@{length}"))
