"""The pictures of REPRODUCTION.md, from the shipped results."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import product
from typing import Any

from bokeh.models import BoxAnnotation
from bokeh.plotting import figure

from cplab import quantities as q
from cplab import show
from cplab.profiles import PROFILES
from cplab.results import Result
from cplab.runs import Run
from cplab.show.theme import plain_figure
from cplab.studies.pruning import DENSITIES
from reproduction import numbers as n
from reproduction.claims import shipped
from reproduction.recipes import FIXED

SIZE = {"width": 640, "height": 340}


def example() -> figure:
    """One prediction, above 0, and three intervals with their verdicts."""
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


def removal() -> figure:
    with q.shipped_only():
        return show.removal(Run(), ("blur", "flip", "permute", "noise"), **SIZE)


def means(axes: tuple[str, str], groups: dict, size: str = "", **options: Any) -> figure:
    """Means with intervals of the numbers that there are, {words: {x: an Estimate}}."""
    known = {
        words: {x: found for x, found in group.items() if found.seeds}
        for words, group in groups.items()
    }
    fig = show.means(known, axes, percent=False, **SIZE, **options)
    fig.title.text = f"{size}: {fig.title.text}" if size else fig.title.text
    return fig


def sliding() -> figure:
    """What a window costs by onset: in all, and the harm of it."""
    costs = {"against equal training": q.equal_training_loss, "harm": q.harm}
    groups = {
        words: {at: shipped(n.window_cost, "course", 8, at, of) for at in (0, 2, 4, 8, 12, 16, 24)}
        for words, of in costs.items()
    }
    return means(("onset, epochs", "points lost"), groups, "course")


def kinds() -> figure:
    """Harm of each deficit from birth by its length."""
    groups = {
        kind: {end: shipped(n.window_cost_of_harm, "course", end, kind) for end in (4, 8, 16, 24)}
        for kind in ("blur", "noise", "flip", "permute")
    }
    return means(("epochs from birth", "harm, points"), groups, "course")


def depth() -> figure:
    gains = {k: partial(n.newborn_gain, model=f"depth{k}", **FIXED) for k in (1, 2, 3)}
    groups = {
        f"n = {k}": {end: shipped(gain, "course", end) for end in (4, 8, 16)}
        for k, gain in gains.items()
    }
    axes = ("epochs of blur, fixed rate", "points above the newborn")
    return means(axes, groups, "course")


def architectures() -> figure:
    groups = {
        kind: {100 * d: shipped(n.architecture_gain, "thesis", d, kind) for d in DENSITIES}
        for kind in ("biological", "inked", "per_pixel", "degrees")
    }
    axes = ("density, %", "points above random")
    return means(axes, groups, "thesis", log=True)


def eyes() -> figure:
    """The share of an eye that was closed for 8 epochs, by onset."""
    share = partial(n.eye_gain, of=n.percent_share)
    group = {onset: shipped(share, "course", 8, onset) for onset in (0, 4, 8, 16)}
    axes = ("onset, epochs", "share of the neurons, percent above the control")
    return means(axes, {"closed from an onset": group})


def cures() -> figure:
    """What renorm gives back after 16 epochs of a deficit."""
    both = enumerate((n.window_cost_of_harm, n.given_back))
    groups: dict[str, dict] = {"noise": {}, "blur": {}}
    for (x, of), kind in product(both, groups):
        groups[kind][x] = shipped(of, "course", 16, kind)
    axes = ("0: harm of 16 epochs, 1: what renorm gives back", "points")
    return means(axes, groups)


def traced() -> dict[str, list[Result]]:
    """The shipped results of lives along which the trace was measured, one a seed, by words."""
    kinds = {"no deficit": "none"}
    kinds |= {f"{show.label(kind)} until 24": kind for kind in ("blur", "flip")}
    groups: dict[str, list[Result]] = {words: [] for words in kinds}
    with q.shipped_only():
        for (words, kind), seed in product(kinds.items(), q.SEEDS):
            with suppress(q.Missing):
                run = q.with_seed(n.traced("fit", kind, 24), seed)
                groups[words].append(q.result(run, ("trace", "ending")))
    return groups


def traces() -> figure:
    return show.over_epochs(traced(), **SIZE)


def layers() -> figure:
    groups = traced()
    parts = {words: [q.layer_shares(r.spec) for r in some] for words, some in groups.items()}
    hues = {words: show.colour(some[0].spec.deficit) for words, some in groups.items()}
    fig = show.by_layer(9, parts, hues, **SIZE)
    line = show.source_line([r for some in groups.values() for r in some])
    fig.title.text = f"share of the information; {line}"
    return fig


def rates() -> figure:
    """Harm of blur against the strong steps that are left when it ends, in all settings."""
    slow: dict[str, Any] = {"schedule": "paper", "pace": 1, "recovery": 160}
    settings = {
        "course, by recovery": [Run("blur", 0, 16, recovery=r) for r in (15, 30, 60, 120, 240)],
        "slim, by length": [Run("blur", 0, e, profile="slim") for e in (20, 40, 60, 100, 140)],
        "paper's schedule, pace 1": [Run("blur", 0, end, **slow) for end in (60, 140)],
        "three blocks, fixed": [
            Run("blur", 0, 16, recovery=r, model="depth3", **FIXED) for r in (15, 60)
        ],
    }
    groups = {
        words: {
            left: shipped(q.harm, run) for left, run in sorted((steps_left(r), r) for r in runs)
        }
        for words, runs in settings.items()
    }
    axes = ("rate × steps left when the blur ends", "harm, points")
    return means(axes, groups, log=True)


def steps_left(run: Run) -> float:
    """The sum of the rates of all steps after a window."""
    batches = -(-PROFILES[run.profile].train_images // PROFILES[run.profile].batch)
    return batches * sum(step.lr for step in run.timeline[run.end :])


FIGURES: dict[str, Callable[[], figure]] = {  # by the file's name
    "example": example,
    "removal": removal,
    "window": sliding,
    "kinds": kinds,
    "rates": rates,
    "depth": depth,
    "trace": traces,
    "layers": layers,
    "architectures": architectures,
    "eyes": eyes,
    "cures": cures,
}
