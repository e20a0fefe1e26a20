"""The pictures of REPRODUCTION.md, from the shipped results, and their photographs."""

import runpy
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from cplab import quantities as q
from cplab import show, windows
from cplab.runs import Run
from reproduction import numbers as n
from reproduction import questions as asked
from reproduction.claims import CLAIMS, FIXED
from reproduction.fisher import AFTER, ENDS, WINDOWS
from reproduction.statement import shipped_values
from reproduction.thesis import DENSITIES

BROWSER = Path(__file__).parent.parent / "tests" / "browser.py"
SIZE = {"width": 640, "height": 340}


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

    Arguments: groups_of, from a size to {words: {x: one number a seed}}.
    """
    for size in sizes:
        groups = {w: group for w, group in groups_of(size).items() if any(map(len, group.values()))}
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
            words: {
                at: shipped_values(partial(n.window_cost, of=of), size, length, at) for at in onsets
            }
            for words, of in costs.items()
        }

    return bands(("onset, epochs", "points lost"), ("paper", "course"), lines, legend="top_right")


def depth():
    lengths = {"paper": (40, 80, 120, 160, 240), "course": (4, 8, 16)}

    def lines(size):
        gains = {k: partial(n.newborn_gain, model=f"depth{k}", **FIXED) for k in (1, 2, 3)}
        return {
            f"n = {k}": {end: shipped_values(gain, size, end) for end in lengths[size]}
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
                found.append(q.result(n.traced(size, deficit, length, seed), ("trace", "ending")))
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
                100 * d: shipped_values(partial(n.architecture_gain, kind=kind), size, d)
                for d in DENSITIES
            }
            for kind in ("biological", "inked", "per_pixel", "degrees")
        }

    axes = ("density, %", "points above random")
    return bands(axes, ("thesis",), lines, legend="top_right", log=True)


def splits():
    def lines(size):
        totals = [claim.at[size][0] for claim in CLAIMS if "figure 11" in claim.source]
        return {
            task: {
                total: shipped_values(
                    partial(n.split_advantage, ours=task, theirs="random"), size, total
                )
                for total in totals
            }
            for task in ("images", "random_labels", "noise")
        }

    axes = ("kernels", "points above random splits")
    return bands(axes, ("paper", "course"), lines, legend="top_right", log=True)


FIGURES: dict[str, tuple[str, Callable]] = {  # by question: the file's name, and what draws it
    asked.HARM: ("removal", removal),
    asked.AGE: ("window", sliding),
    asked.DEPTH: ("depth", depth),
    asked.TRACE: ("trace", traces),
    asked.LAYERS: ("layers", layers),
    asked.GROWTH: ("architectures", architectures),
    asked.KERNELS: ("splits", splits),
}


def draw() -> dict[str, object]:
    """The Bokeh figures of the exhibits that have results for one."""
    made = {name: build() for name, (_, build) in FIGURES.items()}
    return {name: fig for name, fig in made.items() if fig is not None}


def photograph(figs: dict[str, object], folder: Path) -> None:
    """Write figures as PNG. Raises LookupError, which says what to install, where there is no
    browser to draw them."""
    if not BROWSER.exists():
        raise LookupError("pictures are drawn in a clone of the repository alone")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise LookupError("playwright is not installed: pip install 'cplab[test]'") from error
    browser = runpy.run_path(str(BROWSER))["find"]()
    if browser is None:
        raise LookupError("there is no browser: install Chromium or Google Chrome")
    from bokeh.embed import file_html
    from bokeh.resources import INLINE

    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser)
        page = chromium.new_page(viewport={"width": 700, "height": 400})
        for name, fig in figs.items():
            page.set_content(file_html(fig, INLINE))
            page.wait_for_function("window.Bokeh?.documents?.[0]?.is_idle")
            page.locator(".bk-Figure").screenshot(path=folder / f"{FIGURES[name][0]}.png")
        chromium.close()
