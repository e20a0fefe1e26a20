"""Lab 04b: what the trace does not tell: certainty, norms, the rate, age, sharpness, estimators."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.plotting import figure

from cplab import quantities, show, statistics
from cplab.quantities import harm, reading, trace_at
from cplab.runs import Run
from cplab.statistics import Contrast
from cplab.studies import sentences
from cplab.studies.fisher import doubled
from cplab.studies.sentences import after, each_result, table

__all__ = ["WITHOUT", "agreement", "by_rate", "dominant", "four_readings", "minima", "overall"]
__all__ += ["rises", "shares_agree", "sharpness", "total_ratio", "where_harm", "within"]

WITHOUT: dict[str, Any] = {"of": "jacobian", "scaled": True}  # norms and certainty
READINGS: dict[str, dict[str, Any]] = {
    "trace": {},
    "trace · ‖w‖²": {"scaled": True},
    "‖J‖²": {"of": "jacobian"},
    "‖J‖² · ‖w‖²": WITHOUT,
}


# Certainty and norms -----------------------------------------------------------------------------


def four_readings(run: Run) -> figure:
    """The trace of a run without a deficit, and what is left of it without norms and certainty."""
    curves = {}
    for words, how in READINGS.items():
        each = quantities.each_seed(quantities.trace_curve, run, **how)
        if len(each):
            at = np.flatnonzero(np.isfinite(each).all(0))
            parts = each[:, at] / each[:, at].max(1, keepdims=True)
            curves[words] = dict(zip((at + 1).tolist(), parts.T, strict=True))
    axes = ("epoch", "part of the highest")
    title = "The trace falls; what is behind it keeps rising"
    return sentences.lines(curves, axes, title, width=820)


def rises(run: Run) -> Contrast:
    """How often ‖J‖² · ‖w‖² doubles from about the trace's peak to the end."""
    return reading(run, risen)


def risen(run: Run) -> float:
    known = quantities.trace_by_layer(run, **WITHOUT)
    peak = min(known, key=lambda epoch: abs(epoch + 1 - quantities.trace_peak(run)))
    return float(np.log2(known[run.epochs - 1].sum() / known[peak].sum()))


# The rate, and age -------------------------------------------------------------------------------


def by_rate(runs: Mapping[str, Run]) -> figure:
    """The trace of some clear runs at several rates, as a part of its highest."""
    groups = {}
    for words, run in runs.items():
        traces = quantities.each_seed(quantities.trace_curve, run)
        if len(traces):
            groups[words] = dict(enumerate(traces.T / traces.max(axis=1), start=1))
    axes = ("epoch", "trace, part of its highest")
    title = "Where the rate is gone first, the trace stays"
    return sentences.lines(groups, axes, title, width=820, y_range=(0, 1.1))


def where_harm(runs: Mapping[int, Run], clear: Run) -> tuple[float, float]:
    """The onset at which the harm of some windows is highest, and the one nearest to the peak of
    the trace of a clear run; NaN where there are none."""
    harms = {onset: statistics.estimate(harm(run)) for onset, run in runs.items()}
    known = {onset: found.mean for onset, found in harms.items() if found.seeds}
    peak = statistics.estimate(reading(clear, quantities.trace_peak))
    if not known or not peak.seeds:
        return np.nan, np.nan
    return max(known, key=lambda n: known[n]), min(known, key=lambda n: abs(n - peak.mean))


# Estimators --------------------------------------------------------------------------------------


def noise_beside_trace(run: Run) -> float:
    ending = quantities.result(run, "ending").final("ending")
    return float(np.log2(sum(ending["information"]) / trace_at(run)))


def total_ratio(run: Run) -> Contrast:
    """All information by noise, in doublings of the trace."""
    return reading(run, noise_beside_trace)


def shares_agree(run: Run) -> float:
    """The correlation over layers of shares by noise and by the trace, means over seeds."""
    noise = quantities.each_seed(quantities.layer_shares, run)
    trace = quantities.each_seed(quantities.layer_shares, run, epoch=run.epochs - 1)
    if not len(noise) or not len(trace):
        return float("nan")
    return float(np.corrcoef(noise.mean(0), trace.mean(0))[0, 1])


def correlated(run: Run) -> float:
    result = quantities.result(run, "trace")
    return statistics.correlation(result.series("trace"), result.series("log_det")).r


def agreement(run: Run) -> Contrast:
    """The correlation of trace and log-determinant over the epochs of a run."""
    return reading(run, correlated)


def dominant(runs: Mapping[str, Run]) -> pd.DataFrame:
    """How often the trace of layers 1 to 3 doubled beyond equal training's by the end of blur, with
    norms and certainty and without, and which layer holds most then."""
    rows = {}
    for words, run in runs.items():
        end = run.length - 1
        shares = quantities.each_seed(quantities.layer_shares, run, epoch=end)
        rows[words] = {
            "layers 1 to 3, doublings": doubled(run, epoch=end, layers=3),
            "without norms and certainty": doubled(run, epoch=end, layers=3, **WITHOUT),
            "largest share": f"layer {1 + int(shares.mean(0).argmax())}" if len(shares) else "",
        }
    return table(rows)


# Flat minima -------------------------------------------------------------------------------------


def sharpness(run: Run) -> float:
    """The largest eigenvalue of the loss's Hessian, on the first 200 training images."""
    return float(quantities.result(run, "ending").final("ending")["sharpness"])


def log_and_accuracy(run: Run, of: Any) -> tuple[float, float]:
    """The logarithm of a measure, and final accuracy."""
    return float(np.log(of(run))), float(quantities.accuracy(run))


def pairs(ends: Sequence[int], profile: str, of: Any = sharpness) -> np.ndarray:
    """Log sharpness and accuracy of the runs of which most seeds are known, (runs, seeds, 2)."""
    runs = [after("none", ends[-1], profile)]
    runs += [after(kind, end, profile) for kind in ("blur", "flip") for end in ends]
    each = [quantities.each_seed(log_and_accuracy, run, of=of) for run in runs]
    most = max(map(len, each))
    return np.array([both for both in each if len(both) == most]).reshape(-1, most, 2)


def overall(ends: Sequence[int], profile: str, of: Any = sharpness) -> float:
    """The correlation of sharpness and accuracy over all networks."""
    return float(np.corrcoef(pairs(ends, profile, of).reshape(-1, 2).T)[0, 1])


def within(ends: Sequence[int], profile: str, of: Any = sharpness) -> np.ndarray:
    """The part of each seed in the correlation within the same run, which is their mean: networks
    of one seed begin with the same weights, so that only seeds are independent."""
    both = pairs(ends, profile, of)
    x, y = np.moveaxis(both - both.mean(1, keepdims=True), -1, 0)
    return np.mean(x * y, axis=0) / (x.std() * y.std())


def minima(ends: Sequence[int], profile: str) -> figure:
    """Accuracy against the sharpest direction, a dot a network."""
    some = {"none": ends[-1:], "blur": ends, "flip": ends}
    groups = {
        show.label(kind): [
            r for end in of for r in each_result(after(kind, end, profile), "ending")
        ]
        for kind, of in some.items()
    }
    words = "largest eigenvalue of the Hessian"
    title = "Impaired networks end in sharper minima"
    return show.minima(
        groups, lambda r: sharpness(r.spec), words, title=title, width=700, height=360
    )
