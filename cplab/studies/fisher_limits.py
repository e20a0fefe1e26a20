"""Lab 04b: what the trace does not tell: certainty, norms, the rate, age, sharpness, estimators."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.plotting import figure

from cplab import quantities, show, statistics
from cplab.lab.widgets import Switch
from cplab.quantities import harm, reading, trace_at
from cplab.runs import Run
from cplab.show.theme import EQUAL, reference_line
from cplab.statistics import Contrast
from cplab.studies.fisher import CLEAR_AND_DEPRIVED, after, compare_with_trace, doubled, each_result
from cplab.studies.sentences import seeds, side, spread

__all__ = ["WITHOUT", "adam_in_words", "agreement", "by_rate", "certainty", "dominant"]
__all__ += ["estimators", "first_layers", "flip_harms", "four_readings", "fraction_left"]
__all__ += ["harm_and_trace", "log_determinant", "mark_left", "marks", "marks_in_words", "minima"]
__all__ += ["rates_in_words", "rises", "same_shares", "sharpness_table", "three_rates"]
__all__ += ["what_agrees", "what_falls", "where_harm", "with_adam", "within"]

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
    how = {"percent": False, "legend": "right", "width": 820, "height": 340}
    return show.means(curves, axes, title="The trace falls; what is behind it keeps rising", **how)


def rises(run: Run) -> Contrast:
    """How often ‖J‖² · ‖w‖² doubles from about the trace's peak to the end."""
    return reading(run, risen)


def risen(run: Run) -> float:
    """The same of one run."""
    known = quantities.trace_by_layer(run, **WITHOUT)
    peak = min(known, key=lambda epoch: abs(epoch + 1 - quantities.trace_peak(run)))
    return float(np.log2(known[run.epochs - 1].sum() / known[peak].sum()))


def what_falls(run: Run) -> str:
    """What falls with the trace, as an answer to choose from."""
    let_go = "how strongly its raw scores depend on the weights"
    return side(rises(run), "nothing: it has become sure", let_go, let_go)


def certainty(run: Run) -> str:
    """What becomes of the trace with and without certainty, in one sentence."""
    grown = np.exp2(statistics.estimate(rises(run)).mean)
    return (
        "The trace falls because the network becomes sure of its answers: how strongly its raw "
        f"scores hang on the weights grows to {grown:.1f} times meanwhile."
    )


def marks(end: int, profile: str) -> figure:
    """A deficit's mark in the end, with norms and certainty and without them."""
    values = {}
    for kind in ("blur", "flip"):
        run = after(kind, end, profile)
        values[f"{show.label(kind)}: trace"] = doubled(run)
        values[f"{show.label(kind)}: without both"] = doubled(run, **WITHOUT)
    known = {words: points for words, points in values.items() if seeds(points)}
    words = "doublings beyond equal training"
    fig = show.bars(known, words, percent=False, width=700, height=340)
    fig.title.text = "Most of the mark is certainty and the size of weights"
    return fig


def marks_in_words(end: int, profile: str) -> str:
    """The mark of blur with both and without, in one sentence."""
    run = after("blur", end, profile)
    whole, left = (np.exp2(statistics.estimate(doubled(run, **how)).mean) for how in ({}, WITHOUT))
    return (
        f"After blur {whole:.0f} times the trace is left; take certainty and the size of the "
        f"weights out, and it is {left:.1f} times."
    )


def mark_left(end: int, profile: str) -> str:
    """What is left of the mark of blur without norms and certainty, as an answer to choose from."""
    run = after("blur", end, profile)
    gone = not side(doubled(run, **WITHOUT), True, False, True)
    smaller = side(doubled(run) - doubled(run, **WITHOUT), True, False, False)
    return "gone" if gone else "much smaller, but there" if smaller else "as large"


# The rate ----------------------------------------------------------------------------------------


def three_rates(end: int, profile: str) -> dict[str, tuple[Run, str]]:
    """A flip in three experiments: the run, and the clock of its control."""
    held = after("flip", min(end, 16), profile if profile == "ci" else "matched")
    falling = after("flip", end, profile)
    return {
        "rate falls; control starts fresh": (falling, "stopped"),
        "rate falls; control overslept": (falling, "running"),
        "rate held until the deficit ends": (held, "stopped"),
    }


def flip_harms(end: int, profile: str) -> figure:
    """The harm of a flip in these three."""
    values = {
        words: harm(run, clock=clock) for words, (run, clock) in three_rates(end, profile).items()
    }
    known = {words: points for words, points in values.items() if seeds(points)}
    fig = show.bars(known, "harm of the flip, points", percent=False, width=700, height=320)
    fig.title.text = "A flip harms only beside a control with larger steps"
    reference_line(fig, "width", EQUAL.colour)
    return fig


def rates_in_words(end: int, profile: str) -> str:
    """The harm of a flip with a falling rate and a held one, in one sentence."""
    each = [harm(run, clock=clock) for run, clock in three_rates(end, profile).values()]
    return (
        f"Beside one that starts fresh a flip harms by {spread(each[0])} points; where the rate is "
        f"held, by {spread(each[2])}."
    )


def by_rate(profile: str, end: int = 24) -> figure:
    """The trace of the same clear run at five rates, as a part of its highest."""
    rates: dict[str, dict[str, Any]] = {"held, then falling": {}}
    rates |= {"never changes": {"schedule": "fixed"}}
    rates |= {f"falls, {n} times": {"schedule": "paper", "pace": n} for n in (1, 3, 10)}
    groups = {}
    for words, fields in rates.items():
        run = Run(onset=end, profile=profile, **fields)
        traces = quantities.each_seed(quantities.trace_curve, run)
        if len(traces):
            groups[words] = dict(enumerate(traces.T / traces.max(axis=1), start=1))
    how = {"percent": False, "legend": "right", "y_range": (0, 1.1), "width": 820, "height": 340}
    axes = ("epoch", "trace, part of its highest")
    return show.means(groups, axes, title="Where the rate is gone first, the trace stays", **how)


def fraction_left(profile: str, end: int = 24) -> str:
    """What of the trace is left at a rate that never falls and at one that is gone, in words."""
    fixed, gone = (
        Run(onset=end, profile=profile, **fields)
        for fields in ({"schedule": "fixed"}, {"schedule": "paper", "pace": 10})
    )
    left = [spread(100 * reading(run, quantities.trace_remaining), 0) for run in (fixed, gone)]
    return (
        f"At a rate that never falls {left[0]} % of the trace is left; at one that is gone early, "
        f"{left[1]} %."
    )


# Age ---------------------------------------------------------------------------------------------


def harm_and_trace(profile: str, onsets: Sequence[int], length: int) -> figure:
    """The trace of a clear run, and the harm of a window of blur by its onset, in one network."""
    runs = {onset: Run("blur", onset, length, profile=profile) for onset in onsets}
    points = statistics.mean_columns({onset: harm(run) for onset, run in runs.items()})
    columns = {"onset": points.pop("x"), **points}
    clear = each_result(Run(onset=onsets[-1], profile=profile))
    fig = compare_with_trace(clear, columns, 0, "harm", width=820, height=340)
    fig.title.text = "Harm does not peak where the trace does"
    return fig


def where_harm(profile: str, onsets: Sequence[int], length: int) -> str:
    """Whether harm is highest at the trace's peak, at birth or elsewhere."""
    harms = {
        onset: statistics.estimate(harm(Run("blur", onset, length, profile=profile))).mean
        for onset in onsets
    }
    known = {onset: mean for onset, mean in harms.items() if np.isfinite(mean)}
    clear = Run(onset=onsets[-1], profile=profile)
    peak = statistics.estimate(reading(clear, quantities.trace_peak)).mean
    if not known or not np.isfinite(peak):
        return "elsewhere"
    worst = max(known, key=lambda onset: known[onset])
    nearest = min(known, key=lambda onset: abs(onset - peak))
    return "where the trace is highest, as in the paper" if worst == nearest else "elsewhere"


# Estimators --------------------------------------------------------------------------------------


def total_ratio(run: Run) -> float:
    """All information by noise, in doublings of the trace."""
    ending = quantities.result(run, "ending").final("ending")
    return float(np.log2(sum(ending["information"]) / trace_at(run)))


def shares_agree(run: Run) -> float:
    """The correlation over layers of shares by noise and by the trace, means over seeds."""
    noise = quantities.each_seed(quantities.layer_shares, run)
    trace = quantities.each_seed(quantities.layer_shares, run, epoch=run.epochs - 1)
    if not len(noise) or not len(trace):
        return float("nan")
    return float(np.corrcoef(noise.mean(0), trace.mean(0))[0, 1])


def estimators(end: int, profile: str) -> figure:
    """How much more information noise finds than the trace, by kind of network."""
    values = {k: reading(after(k, end, profile), total_ratio) for k in CLEAR_AND_DEPRIVED}
    known = {k: points for k, points in values.items() if seeds(points)}
    words = "noise beside trace, doublings"
    fig = show.bars(known, words, percent=False, width=560, height=320)
    fig.title.text = "Two estimators, two totals"
    return fig


def same_shares(end: int, profile: str) -> str:
    """Whether noise and trace share the information out alike, in one sentence."""
    least = min(shares_agree(after(kind, end, profile)) for kind in CLEAR_AND_DEPRIVED)
    return (
        f"Which layer holds how much is the same by both (r is {least:.2f} at least); how much "
        "there is, is not."
    )


def what_agrees(end: int, profile: str) -> str:
    """Whether shares and totals agree, as an answer to choose from."""
    if min(shares_agree(after(kind, end, profile)) for kind in CLEAR_AND_DEPRIVED) < 0.9:
        return "other shares"
    apart = [reading(after(kind, end, profile), total_ratio) for kind in CLEAR_AND_DEPRIVED]
    same = not any(side(each, True, False, True) for each in apart)
    return f"the same shares, {'the same' if same else 'another'} total"


def agreement(run: Run) -> float:
    """The correlation of trace and log-determinant over the epochs of a run."""
    result = quantities.result(run, "trace")
    return statistics.correlation(result.series("trace"), result.series("log_det")).r


def log_determinant(ends: Sequence[int], profile: str) -> pd.DataFrame:
    """The correlation of trace and log-determinant over the epochs."""
    rows = {
        (show.label(kind), end): {
            "r over the epochs": spread(reading(after(kind, end, profile), agreement), 2),
            "seeds": seeds(reading(after(kind, end, profile), agreement)),
        }
        for kind in CLEAR_AND_DEPRIVED
        for end in (ends if kind != "none" else ends[-1:])
    }
    return pd.DataFrame(rows).T


def first_layers(run: Run, epoch: int, **how: Any) -> Contrast:
    """How often the trace of layers 1 to 3 doubled beyond equal training's after an epoch."""
    return doubled(run, epoch=epoch, layers=3, **how)


def dominant(runs: Mapping[str, Run]) -> pd.DataFrame:
    """Which layer holds most right after blur, and what of the first three is left."""
    rows = {}
    for words, run in runs.items():
        shares = quantities.each_seed(quantities.layer_shares, run, epoch=run.length - 1)
        if len(shares):
            first = (first_layers(run, run.length - 1, **how) for how in ({}, WITHOUT))
            trace, without = (spread(each) for each in first)
            rows[words] = {
                "largest share": f"layer {1 + int(shares.mean(0).argmax())}",
                "layers 1 to 3, doublings": trace,
                "without norms and certainty": without,
            }
    return pd.DataFrame(rows).T


# Flat minima -------------------------------------------------------------------------------------


def sharpness(run: Run) -> float:
    """The largest eigenvalue of the loss's Hessian, on the first 200 training images."""
    return float(quantities.result(run, "ending").final("ending")["sharpness"])


def log_and_accuracy(run: Run, of: Any) -> tuple[float, float]:
    """The logarithm of a measure, and final accuracy."""
    return float(np.log(of(run))), float(quantities.accuracy(run))


def pairs(ends: Sequence[int], profile: str, of: Any = sharpness) -> list[np.ndarray]:
    """Log sharpness and accuracy of each kind of run, (seeds, 2)."""
    runs = [after("none", ends[-1], profile)]
    runs += [after(kind, end, profile) for kind in ("blur", "flip") for end in ends]
    each = [quantities.each_seed(log_and_accuracy, run, of=of) for run in runs]
    return [both for both in each if len(both) > 1]


def within(ends: Sequence[int], profile: str, centred: bool, of: Any = sharpness) -> Any:
    """The correlation of sharpness and accuracy, over all networks or within the same run."""
    known = [each - centred * each.mean(0) for each in pairs(ends, profile, of)]
    if not known or sum(map(len, known)) < 4:
        return None
    return statistics.correlation(*np.concatenate(known).T)


def minima(ends: Sequence[int], profile: str) -> figure:
    """Accuracy against the sharpest direction, a dot a network."""
    groups = {"no deficit": each_result(after("none", ends[-1], profile), "ending")}
    groups |= {
        show.label(kind): [
            one for end in ends for one in each_result(after(kind, end, profile), "ending")
        ]
        for kind in ("blur", "flip")
    }
    words = "largest eigenvalue of the Hessian"
    fig = show.minima(groups, lambda r: sharpness(r.spec), words, width=700, height=360)
    fig.title.text = "Impaired networks end in sharper minima"
    return fig


def sharpness_table(ends: Sequence[int], profile: str) -> pd.DataFrame:
    """The correlations of two measures of sharpness with accuracy."""
    rows = {}
    for words, of in (("largest eigenvalue", sharpness), ("trace", trace_at)):
        every, same = (within(ends, profile, centred, of) for centred in (False, True))
        if every and same:
            rows[words] = {
                "r over all networks": f"{every.r:.2f}",
                "r within the same run": f"{same.r:.2f} ({same.low:.2f} to {same.high:.2f})",
            }
    return pd.DataFrame(rows).T


def with_adam(length: int, profile: str) -> Switch:
    """The trace with SGD and with Adam, with buttons."""

    def draw(name: str) -> figure:
        fields = {"optimizer": "adam"} if name == "Adam" else {}
        groups = {
            show.label(k): each_result(after(k, length, profile, **fields))
            for k in CLEAR_AND_DEPRIVED
        }
        fig = show.over_epochs(groups, "trace", width=700, height=340)
        fig.title.text = f"{name}: the trace after {length} epochs of a deficit"
        return fig

    return Switch(["SGD", "Adam"], draw)


def adam_in_words(length: int, profile: str) -> str:
    """The trace that blur leaves with both optimisers, in one sentence."""
    left = []
    for fields in ({}, {"optimizer": "adam"}):
        mark = statistics.estimate(doubled(after("blur", length, profile, **fields)))
        left.append(f"{np.exp2(mark.mean):.1f}")
    return f"Blur leaves {left[0]} times the trace with SGD, and {left[1]} times with Adam."
