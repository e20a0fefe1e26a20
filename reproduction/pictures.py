"""The pictures of REPRODUCTION.md, from the shipped results."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from cplab import quantities as q
from cplab import show, windows
from cplab.profiles import PROFILES
from cplab.runs import Run
from cplab.studies.pruning import DENSITIES
from reproduction import numbers as n
from reproduction import questions as asked
from reproduction.campaign import FIXED
from reproduction.claims import shipped

MEASURED = ("trace", "ending")
SIZE = {"width": 640, "height": 340}
WINDOWS = {"course": (8, (0, 2, 4, 8, 12, 16, 24)), "paper": (40, tuple(range(0, 141, 20)))}
ENDS = {"fit": (24,), "paper": (220,)}  # of the clear life
AFTER = {"fit": (24,), "paper": (100,)}  # of blur


def removal():
    """The removal curves of the largest profile that has all four."""
    deficits = ("blur", "flip", "permute", "noise")
    for size in ("paper", "course"):
        rows = windows.same_setting(like := Run(profile=size))
        rows = rows[rows.source == "shipped"]
        if set(deficits) <= set(rows.deficit):
            return show.removal(like, deficits, rows, **SIZE)
    return None


def bands(axes: tuple[str, str], sizes: tuple, groups_of: Callable[[str], dict], **options):
    """Means with intervals, of the first size that has any numbers.

    Arguments: groups_of, from a size to {words: {x: an Estimate}}.
    """
    for size in sizes:
        groups = {
            words: {x: found for x, found in group.items() if found.seeds}
            for words, group in groups_of(size).items()
        }
        groups = {words: group for words, group in groups.items() if group}
        if groups:
            fig = show.means(groups, axes, percent=False, **SIZE, **options)
            fig.title.text = f"{size}: {fig.title.text}"
            return fig
    return None


def sliding():
    """What a window costs by onset: in all, and the harm of it."""
    costs = {"against equal training": q.equal_training_loss, "harm": q.harm}

    def lines(size):
        length, onsets = WINDOWS[size]
        return {
            words: {at: shipped(partial(n.window_cost, of=of), size, length, at) for at in onsets}
            for words, of in costs.items()
        }

    return bands(("onset, epochs", "points lost"), ("paper", "course"), lines, legend="top_right")


def depth():
    lengths = {"paper": (40, 80, 120, 160, 240), "course": (4, 8, 16)}

    def lines(size):
        gains = {k: partial(n.newborn_gain, model=f"depth{k}", **FIXED) for k in (1, 2, 3)}
        return {
            f"n = {k}": {end: shipped(gain, size, end) for end in lengths[size]}
            for k, gain in gains.items()
        }

    axes = ("epochs of blur, fixed rate", "points above the newborn")
    return bands(axes, tuple(lengths), lines, legend="bottom_left")


def lives(size: str, clear: int) -> dict[str, list]:
    """Results with traces, by their words, where there are some.

    Arguments: clear, the epochs before recovery of the life without a deficit.
    """
    [end] = AFTER[size]
    asked = {"no deficit": ("none", clear)}
    asked |= {f"{show.label(kind)} until {end}": (kind, end) for kind in ("blur", "flip")}
    return {words: group for words, life in asked.items() if (group := traced(size, *life))}


def traced(size: str, deficit: str, length: int) -> list:
    """The shipped results of a life along which the trace was measured, one a seed."""
    found = []
    with q.shipped_only():
        for seed in q.SEEDS:
            with suppress(q.Missing):
                found.append(q.result(q.with_seed(n.traced(size, deficit, length), seed), MEASURED))
    return found


def traces():
    for size in ("paper", "fit"):
        if groups := lives(size, *ENDS[size]):
            return show.over_epochs(groups, **SIZE)
    return None


def layers():
    for size in ("paper", "fit"):
        if groups := lives(size, *AFTER[size]):
            parts = {w: [q.layer_shares(r.spec) for r in some] for w, some in groups.items()}
            hues = {w: show.colour(some[0].spec.deficit) for w, some in groups.items()}
            names = show.layer_labels(len(next(iter(parts.values()))[0]))
            fig = show.by_layer(names, parts, hues, **SIZE)
            line = show.source_line([r for some in groups.values() for r in some])
            fig.title.text = f"share of the information; {line}"
            return fig
    return None


def architectures():
    def lines(size):
        return {
            kind: {
                100 * d: shipped(partial(n.architecture_gain, kind=kind), size, d)
                for d in DENSITIES
            }
            for kind in ("biological", "inked", "per_pixel", "degrees")
        }

    axes = ("density, %", "points above random")
    return bands(axes, ("thesis",), lines, legend="top_right", log=True)


def kinds():
    """Harm of each deficit from birth by its length."""

    def lines(size):
        return {
            kind: {
                length: shipped(partial(n.window_cost, of=q.harm, deficit=kind), size, length, 0)
                for length in (4, 8, 16, 24)
            }
            for kind in ("blur", "noise", "flip", "permute")
        }

    axes = ("epochs from birth", "harm, points")
    return bands(axes, ("course",), lines, legend="top_left")


def rates():
    """Harm of blur against the strong steps that are left when it ends, in all settings."""
    groups: dict[str, dict[float, Any]] = {}
    for words, runs in LEFT.items():
        known = {steps_left(run): shipped(q.harm, run) for run in runs}
        groups[words] = {left: found for left, found in sorted(known.items()) if found.seeds}
    axes = ("rate × steps left when the blur ends", "harm, points")
    return show.means(groups, axes, percent=False, legend="top_right", log=True, **SIZE)


def steps_left(run: Run) -> float:
    """The sum of the rates of all steps after a window."""
    batches = -(-PROFILES[run.profile].train_images // PROFILES[run.profile].batch)
    return batches * sum(step.lr for step in run.timeline[run.end :])


PACED = {"schedule": "paper", "profile": "course"}
DEEP = {"model": "depth3", "schedule": "fixed"}
LEFT = {
    "course, by recovery": [Run("blur", 0, 16, recovery=r) for r in (15, 30, 60, 120, 240)],
    "slim, by length": [Run("blur", 0, e, profile="slim") for e in (20, 40, 60, 100, 140)],
    "paper's schedule, pace 1": [Run("blur", 0, e, 160, pace=1, **PACED) for e in (60, 140)],
    "three blocks, fixed": [Run("blur", 0, 16, recovery=r, **DEEP) for r in (15, 60)],
}


def eyes():
    """The share of an eye that was closed for 8 epochs, by onset."""
    born = {"closed from an onset": {}}
    for onset in (0, 4, 8, 16):
        found = shipped(partial(n.eye_gain, of=n.percent_share), "course", 8, onset)
        if found.seeds:
            born["closed from an onset"][onset] = found
    axes = ("onset, epochs", "share of the neurons, percent above the control")
    return show.means(born, axes, percent=False, legend="bottom_right", **SIZE)


def cures():
    """What renorm gives back after each length of deficit."""
    given: dict[str, dict[float, Any]] = {}
    for kind in ("noise", "blur"):
        harm = shipped(n.window_cost_of_harm, "course", 16, kind)
        back = shipped(partial(n.given_back, deficit=kind), "course", 16)
        given[kind] = {0: harm, 1: back}
    axes = ("0: harm of 16 epochs, 1: what renorm gives back", "points")
    return show.means(given, axes, percent=False, legend="top_right", **SIZE)


def example():
    """One prediction, above 0, and four intervals with their verdicts."""
    from bokeh.models import BoxAnnotation

    from cplab.show.theme import plain_figure

    names = ["contradicted", "undecided", "reproduced"]
    fig = plain_figure("predicted: above 0 (shaded)", "points", "", **SIZE | {"height": 240})
    fig.add_layout(BoxAnnotation(left=0, fill_alpha=0.15))
    for y, (middle, half) in enumerate(((-2.0, 0.9), (0.4, 0.9), (1.8, 0.5))):
        fig.segment([middle - half], [y], [middle + half], [y], line_width=3)
        fig.scatter([middle], [y], size=10)
        fig.text([middle + half + 0.15], [y], [names[y]], text_baseline="middle")
    fig.x_range.start, fig.x_range.end = -4, 4
    fig.yaxis.visible = False
    return fig


(HARM, AGE, KIND, RATE, DEPTH, TRACE, LAYERS, PRUNING, SOURCES, REOPEN) = asked.QUESTIONS
FIGURES: dict[str, tuple[str, Callable]] = {  # by question: the file's name, and what draws it
    HARM: ("removal", removal),
    AGE: ("window", sliding),
    KIND: ("kinds", kinds),
    RATE: ("rates", rates),
    DEPTH: ("depth", depth),
    TRACE: ("trace", traces),
    LAYERS: ("layers", layers),
    PRUNING: ("architectures", architectures),
    SOURCES: ("eyes", eyes),
    REOPEN: ("cures", cures),
}


def draw() -> dict[str, object]:
    """The Bokeh figures of the questions that have results for one."""
    made = {name: build() for name, (_, build) in FIGURES.items()}
    return {name: fig for name, fig in made.items() if fig is not None}
