"""Labs 04 and 04b: the trace of the Fisher information in time and by layer, from results."""

import numpy as np

from cplab.estimates import Estimate, seed_by_seed
from cplab.quantities import quantity, result
from cplab.runs import Run


def trace_by_layer(run: Run, measure: str = "trace", scaled: bool = False) -> dict[int, np.ndarray]:
    """Each layer's part of the Fisher information's trace in one run, by epoch.

    Arguments:
        measure: trace, or jacobian for E ‖∂ logits / ∂ weights‖², which leaves out how certain the
            outputs are.
        scaled: whether each part is multiplied by the square of the layer's norm. Under batch norm
            the outputs do not depend on that norm, while the layer's part falls with its square.

    Returns:
        (layers,) for each epoch at which it was measured.

    Raises:
        Missing.

    >>> len(trace_by_layer(Run(onset=16))[30])
    9
    """
    needed = [measure]
    if scaled:
        needed.append("weight_norms")
    last = (run.epochs - 1,)  # has to be stored; other epochs are read if they are
    stored = result(run, dict.fromkeys(needed, last))
    measured = sorted(stored.measured[measure].items())
    parts = {epoch: np.array(row[measure]) for epoch, row in measured}
    if not scaled:
        return parts
    weight_norms = stored.measured["weight_norms"]
    scaled_parts = {}
    for epoch, part in parts.items():
        if epoch in weight_norms:
            scaled_parts[epoch] = np.square(weight_norms[epoch]["norms"]) * part
    return scaled_parts


def trace_curve(
    run: Run, layers: int | None = None, measure: str = "trace", scaled: bool = False
) -> np.ndarray:
    """The Fisher information's trace in one run after each epoch, (epochs,), NaN where it was not
    measured.

    Arguments:
        run: the run.
        layers: how many it is summed over, from the first one on; by default all.
        measure, scaled: as in `trace_by_layer`.

    >>> trace_curve(Run(onset=16)).shape
    (31,)
    """
    curve = np.full(run.epochs, np.nan)
    for epoch, parts in trace_by_layer(run, measure, scaled).items():
        curve[epoch] = parts[:layers].sum()
    return curve


def peak_of(curve: np.ndarray) -> int | None:
    """The epoch of the highest value of a curve with at least five values, or None.

    >>> peak_of(np.array([0.0, 2, 5, 4, 3])), peak_of(np.array([0.0] + 4 * [np.nan]))
    (2, None)
    """
    measured = np.isfinite(curve).sum()
    if measured < min(5, len(curve)):
        return None
    return int(np.nanargmax(curve))


@quantity
def trace_peak(run: Run) -> float:
    """The number of epochs until the highest trace (paper, figure 4: about 30 without a deficit),
    among at least five that were measured.

    >>> trace_peak(Run(onset=24, profile="fit"))
    12.6 ± 1.7 (5 seeds)
    """
    peak = peak_of(trace_curve(run))
    return np.nan if peak is None else peak + 1.0


@quantity
def trace_remaining(
    run: Run, layers: int | None = None, measure: str = "trace", scaled: bool = False
) -> float:
    """The last trace as a fraction of the highest, 0 to 1 (paper, figure 4: it rises and falls).

    Arguments:
        run, layers, measure, scaled: as in `trace_curve`.

    >>> print(f"{trace_remaining(Run(onset=24, profile='fit')):.2f}")
    0.09 ± 0.01
    """
    curve = trace_curve(run, layers, measure, scaled)
    peak = peak_of(curve)
    return np.nan if peak is None else float(curve[-1] / curve[peak])


@quantity
def trace_at(
    run: Run,
    epoch: int = -1,
    layers: int | None = None,
    measure: str = "trace",
    scaled: bool = False,
) -> float:
    """The trace after an epoch, counted from 0, by default the last. The other arguments are those
    of `trace_curve`.

    >>> trace_at(Run(onset=24, profile="fit"), 99)
    not trained yet
    """
    curve = trace_curve(run, layers, measure, scaled)
    epoch = int(epoch)
    if not -len(curve) <= epoch < len(curve):
        return np.nan
    return float(curve[epoch])


def layer_shares(run: Run, epoch: int | None = None) -> np.ndarray:
    """Each layer's share of the information in one run, from the image to the answer.

    Arguments:
        run: the run.
        epoch: after which the trace is shared out. Without one, the information in the weights at
            the end is, by their noise (paper, figure 5).

    Returns:
        (layers,), of sum 1; empty where it was not measured.

    >>> print(layer_shares(Run(onset=24, profile="fit")).round(2))
    [0.03 0.06 0.13 0.25 0.27 0.21 0.04 0.01 0.  ]
    """
    if epoch is not None:
        parts = trace_by_layer(run).get(epoch, np.empty(0))
        return parts / parts.sum()
    information = np.array(result(run, "ending").final("ending")["information"])
    return information / information.sum()


def information_shift(run: Run, control: Run | None = None, epoch: int | None = None) -> Estimate:
    """How many layers later the information lies, on average, than in a control, by default equal
    training; above 0, nearer to the answer (paper, figure 5). epoch: as in `layer_shares`.

    >>> information_shift(Run(deficit="blur", length=24, profile="fit"))
    0.3 ± 0.1 (5 and 10 seeds)
    """
    if control is None:
        control = run.equal_training()
    return layer_centre(run, epoch) - layer_centre(control, epoch)


@quantity
def layer_centre(run: Run, epoch: int | None = None) -> float:
    """The mean position of the information among the layers, counted from 0."""
    shares = layer_shares(run, epoch)
    if not len(shares):
        return np.nan
    layers = np.arange(len(shares))
    return float(shares @ layers)


def doublings(number: Estimate, start: Estimate) -> Estimate:
    """How many times a number doubles from a start, over the seeds in which both are above 0.

    >>> blur = Run(deficit="blur", length=24, profile="fit")
    >>> doublings(trace_at(blur), trace_at(blur.equal_training()))
    3.9 ± 0.3 (5 seeds)
    """
    with np.errstate(all="ignore"):  # no logarithm: not finite, so that the seed counts as missing
        return seed_by_seed(np.log2, number) - seed_by_seed(np.log2, start)
