"""REPRODUCTION.md: what the sources claim, what the shipped records say to it, and the verdict.

Everything measured, and every verdict, is computed here from the shipped records; the claims are in
claims.py.
"""

import re
import runpy
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from itertools import groupby
from math import inf
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cplab import charts, evidence, figures, intervals, records
from cplab.claims import AFTER, CLAIMS, DENSITIES, ENDS, WINDOWS, Claim, each_seed
from cplab.experiment import CplabError, Run

ROOT = Path(__file__).parent.parent
PICTURES = "docs/pictures"  # beside the file
ORIGINAL = ("paper", "thesis")  # sizes at which a source's number and ours can be compared
KINDS = ("reproduced", "contradicted", "undecided", "one seed", "missing")

PREFACE = """# Reproduction

What the sources claim, what our shipped records say to it, and what follows. `cplab reproduction` \
writes this file from the records in `cplab/shipped` and the claims in `cplab/claims.py`; no \
measured number and no verdict in it was typed.

**How to read it.** Each row holds one number, taken once for each seed: the mean with its 95 % \
interval (Student's t over the seeds). *Predicted* is where it lies if the source is right. Where \
a source says "about" or "no effect", how near that is was our choice, and the column says it. The \
*newborn* has the recovery epochs alone, *equal training* as many epochs without a deficit, both \
with the same seed. A *doubling* of a trace is a factor of two; the paper's *clock* counts epochs \
by how far they anneal the learning rate.

**How a verdict comes about.** If the whole interval lies within what is predicted: *reproduced*. \
If all of it lies outside: *contradicted*. If it holds the border: *undecided*, with the number of \
seeds and the distance from the border that they would have shown, half the interval. A \
difference of exactly 0 for every seed compares what is the same, and is undecided as well, unless \
the prediction has a border on either side. With one seed there is no interval, with none the \
number is *missing*. Nothing is corrected for the number of rows: of a hundred true statements two \
or three would come out as contradicted.

**Sizes.** `paper` is the paper's own protocol (50,000 images of 32 pixels, All-CNN of width 96, \
300 epochs of recovery) or the thesis's convolutional model at its full size, `thesis` its dense \
model. There, and only there, our number is compared with the source's. `course`, `fit` and \
`mnist` are small (see the README), their recoveries short, their images a JPEG copy (the digits \
are not): a verdict there is as much about the size as about the claim.

**What is missing** is trained by the campaign, for the paper's size on a GPU: `cplab campaign \
status` lists it, `cplab campaign next --budget 540 --out carried` goes on with it, `cplab \
campaign merge carried` and `cplab records ship paper --profile paper` bring it here. Studies of \
growth and pruning come from lab 05.
"""


# The verdict ------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """kind: one of KINDS; words: the same, with what belongs to it."""

    kind: str
    words: str


def verdict(values: list[float], low: float, high: float, digits: int = 1) -> Verdict:
    """What numbers, one a seed, say to the prediction that theirs lies between low and high.

    A difference of exactly 0 for every seed compares what is the same, say an architecture with
    itself: that speaks for no `above` or `below`, only for a `between`.
    """
    if not values:
        return Verdict("missing", "missing")
    if len(values) < 2:
        return Verdict("one seed", "one seed, no interval")
    mean, half = intervals.mean_half(values)
    if any(values) or inf not in (-low, high):
        if low < mean - half and mean + half < high:
            return Verdict("reproduced", "reproduced")
        if mean + half < low or mean - half > high:
            return Verdict("contradicted", "contradicted")
    could = f"which would have shown a difference of {half:.{digits}f}"
    could = could if half else "all of them the same"
    return Verdict("undecided", f"undecided with {len(values)} seeds, {could}")


def judged(claim: Claim, size: str) -> tuple[list[float], Verdict]:
    values = claim.numbers(size)
    return values, verdict(values, claim.low, claim.high, claim.digits)


def predicted(claim: Claim) -> str:
    """`above 0`, `between 7 and 9`."""
    if claim.high == inf:
        return f"above {signed(claim.low)}"
    if claim.low == -inf:
        return f"below {signed(claim.high)}"
    return f"between {signed(claim.low)} and {signed(claim.high)}"


def signed(number: float) -> str:
    return f"{number:g}".replace("-", "−")


# The text ---------------------------------------------------------------------------------------


def ours(values: list[float], digits: int) -> str:
    """`−2.3 ± 1.9 (5 seeds)`; a dash where there is none."""
    if not values:
        return "–"
    mean, half = intervals.mean_half(values)
    seeds = f"({len(values)} seed{'s' if len(values) > 1 else ''})"
    known = "" if np.isnan(half) else f" ± {half:.{digits}f}"
    return f"{round(mean, digits) + 0.0:.{digits}f}{known} {seeds}".replace("-", "−")


def difference(claim: Claim, size: str, values: list[float]) -> str:
    """Ours minus the source's number, where sizes are the same."""
    if size not in ORIGINAL:
        return "another size"
    if claim.stated is None:
        return "no number given"
    if not values:
        return "–"
    return f"{intervals.mean_half(values)[0] - claim.stated:+.{claim.digits}f}".replace("-", "−")


def row(claim: Claim, size: str) -> str:
    """A line of the table of one exhibit."""
    values, found = judged(claim, size)
    what = re.sub(r"(\d)%", r"\1 %", claim.what.format(*claim.at[size])).replace("|", "\\|")
    mine, apart = ours(values, claim.digits), difference(claim, size, values)
    return line(what, predicted(claim), size, mine, apart, words(found))


def words(found: Verdict) -> str:
    return f"**{found.words}**" if found.kind in KINDS[:2] else found.words


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def head(*cells: str) -> list[str]:
    return [line(*cells), line(*["---"] * len(cells))]


def exhibits() -> dict[str, list[Claim]]:
    return {name: list(some) for name, some in groupby(CLAIMS, attrgetter("exhibit"))}


def counted(claims: list[Claim], sizes: Callable[[str], bool]) -> str:
    """`2 reproduced, 1 missing`: the verdicts of claims at the sizes that fit."""
    kinds = Counter(judged(c, size)[1].kind for c in claims for size in c.at if sizes(size))
    return ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind]) or "–"


def summary() -> list[str]:
    """One line for each exhibit, one for each size in it, and one for all."""
    rows = exhibits()
    lines = head("exhibit", "the source's size", "smaller sizes")
    for name, claims in [*rows.items(), ("**all**", CLAIMS)]:
        small = dict.fromkeys(size for c in claims for size in c.at if size not in ORIGINAL)
        each = [f"{size}: {counted(claims, size.__eq__)}" for size in small]
        where = name if name not in rows else f"[{name}](#{anchor(name)})"
        lines.append(line(where, counted(claims, ORIGINAL.__contains__), "; ".join(each) or "–"))
    return lines


def anchor(title: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def section(name: str, claims: list[Claim], picture: bool) -> list[str]:
    """What the source says, our numbers, verdicts, the picture."""
    lines = [f"## {name}", ""]
    lines += dict.fromkeys(f"- *{c.source}.* {c.says}" for c in claims)
    lines += ["", *head("ours", "predicted", "size", "measured", "minus the source's", "verdict")]
    lines += [row(claim, size) for claim in claims for size in claim.at]
    if picture:
        lines += ["", f"![{name}]({PICTURES}/{FIGURES[name][0]}.png)"]
    return [*lines, ""]


def text(pictures: Collection[str]) -> str:
    """REPRODUCTION.md, from the shipped records alone.

    Arguments: pictures, exhibits that have one.
    """
    lines = [PREFACE, "## Summary", "", *summary(), ""]
    for name, claims in exhibits().items():
        lines += section(name, claims, name in pictures)
    return "\n".join(lines)


# Pictures ---------------------------------------------------------------------------------------

SIZE = {"width": 640, "height": 340}


def removal():
    """The removal curves of the largest profile that has all four."""
    table, deficits = records.table(), ("blur", "flip", "permute", "noise")
    table = table[table.source == "shipped"]
    for size in ("paper", "course"):
        like = Run(profile=size)
        if set(deficits) <= set(intervals.select(table, like).deficit):
            fig = figures.removal(like, deficits, table, **SIZE)
            fig.title.text = f"{size}, {fig.title.text}"
            return fig
    return None


def bands(axes: tuple[str, str], sizes: tuple, groups_of: Callable[[str], dict], **options):
    """Means with intervals, of the first size that has any numbers.

    Arguments: groups_of, from a size to {words: {x: one number a seed}}.
    """
    for size in sizes:
        groups = groups_of(size)
        groups = {words: group for words, group in groups.items() if any(group.values())}
        if groups:
            fig = charts.bands(groups, axes, percent=False, **SIZE, **options)
            fig.title.text = f"{size}: {fig.title.text}"
            return fig
    return None


def sliding():
    def lines(size):
        window, onsets = WINDOWS[size]
        return {"blur": {at: each_seed(evidence.lost, size, window, at) for at in onsets}}

    return bands(("onset, epochs", "points lost"), tuple(WINDOWS), lines, legend="top_right")


def depth():
    lengths = {"paper": (40, 80, 120, 160, 240), "course": (4, 8, 16)}
    for size, ends in lengths.items():
        found = {}
        for n in (1, 2, 3):
            cost = partial(evidence.gain, model=f"depth{n}", schedule="fixed")
            found[n] = charts.summary({end: each_seed(cost, size, end) for end in ends})
        if any(len(columns["x"]) for columns in found.values()):
            axes = ("epochs of blur", "points above the newborn")
            fig = figures.plain_figure(f"{size}, fixed rate", *axes, **SIZE)
            for hue, (n, columns) in zip(figures.STATED, found.items(), strict=False):
                source = figures.ColumnDataSource(columns)
                figures.band(fig, source, "x", hue, f"n = {n}", points=True)
            return figures.tidy_legend(fig, "bottom_left")
    return None


def lives(size: str, clear: int) -> dict[str, list]:
    """Records with traces, by their words, where there are some.

    Arguments: clear, the epochs before recovery of the life without a deficit.
    """
    [end] = AFTER[size]
    asked = {"no deficit": ("none", clear)}
    asked |= {f"{figures.name(kind)} until {end}": (kind, end) for kind in ("blur", "flip")}
    found = {words: each_seed(evidence.traced, size, *life) for words, life in asked.items()}
    return {words: group for words, group in found.items() if group}


def traces():
    for size in ("paper", "fit"):
        if groups := lives(size, *ENDS[size]):
            return figures.over_epochs(groups, **SIZE)
    return None


def layers():
    for size in ("paper", "fit"):
        if groups := lives(size, *AFTER[size]):
            parts = {words: [evidence.shares(r) for r in some] for words, some in groups.items()}
            hues = {words: figures.colour(some[0].run.deficit) for words, some in groups.items()}
            names = figures.layer_words(len(next(iter(parts.values()))[0]))
            fig = figures.by_layer(names, parts, hues, **SIZE)
            fig.title.text = figures.label([r for some in groups.values() for r in some])
            return fig
    return None


def architectures():
    kinds = ("biological", "inked", "per_pixel", "degrees")

    def lines(size):
        return {
            kind: {100 * d: each_seed(partial(evidence.worth, kind=kind), size, d)
                   for d in DENSITIES} for kind in kinds
        }  # fmt: skip

    axes = ("density, %", "points above random")
    return bands(axes, ("thesis",), lines, legend="top_right", log=True)


def kernels():
    def lines(size):
        totals = [claim.at[size][0] for claim in CLAIMS if "figure 11" in claim.source]
        return {
            task: {
                n: each_seed(partial(evidence.splits, ours=task, theirs="random"), size, n)
                for n in totals
            }
            for task in ("images", "random_labels", "noise")
        }

    axes = ("kernels", "points above random splits")
    return bands(axes, ("paper", "course"), lines, legend="top_right", log=True)


FIGURES = {  # by exhibit: the name of the file, and what draws it
    "Paper, figure 1 top: blur that is removed late": ("removal", removal),
    "Paper, figure 1 bottom: a window of blur that slides": ("window", sliding),
    "Paper, figure 3: depth": ("depth", depth),
    "Paper, figure 4: Fisher trace, All-CNN": ("trace", traces),
    "Paper, figure 5: information by layer": ("layers", layers),
    "Thesis, figure 3, with controls that it does not have": ("architectures", architectures),
    "Thesis, figures 11, 13, 16: splits of kernels from new weights": ("splits", kernels),
}


def drawn() -> dict[str, object]:
    """The Bokeh figures of the exhibits that have records for one."""
    made = {name: draw() for name, (_, draw) in FIGURES.items()}
    return {name: fig for name, fig in made.items() if fig is not None}


def photograph(figs: dict[str, object], folder: Path) -> None:
    """Write figures as PNG. Raises LookupError where there is no browser to draw them."""
    try:
        browser = runpy.run_path(str(ROOT / "tests" / "browser.py"))["find"]()
        from playwright.sync_api import sync_playwright
    except (OSError, ImportError) as error:
        raise LookupError("playwright is not installed: pip install cplab[test]") from error
    if browser is None:
        raise LookupError("there is no browser: install Chromium")
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


def write(out: Path) -> str:
    """Write the file and its pictures; returns a line that says what was done.

    Raises: CplabError where it cannot be written.
    """
    try:
        out.open("a").close()  # before the work, which takes seconds
        figs = drawn()
        out.write_text(text(figs), encoding="utf-8")
        photograph(figs, out.parent / PICTURES)
    except OSError as error:
        raise CplabError(
            f"{out} cannot be written ({error.strerror}): name another file"
        ) from error
    except LookupError as error:
        return f"{out}; its pictures were left as they are ({error})"
    return f"{out}, with {len(figs)} pictures in {out.parent / PICTURES}"
