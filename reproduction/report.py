"""REPRODUCTION.md: what the sources claim, what the shipped results say to it, and the verdict.

Every number and every verdict is computed here from the shipped results; the claims are in
claims.py and thesis.py, the pictures in pictures.py.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection
from itertools import groupby
from math import inf, isnan
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from cplab.checks import CplabError
from cplab.statistics import mean_half
from reproduction.claims import CLAIMS
from reproduction.statement import Claim

ROOT = Path(__file__).parent.parent
PICTURES = "docs/pictures"  # beside the file
ORIGINAL = ("paper", "thesis")  # sizes at which a source's number and ours can be compared
KINDS = ("reproduced", "contradicted", "undecided", "one seed", "missing")

PREFACE = """# Reproduction

What the sources claim, what our shipped results say to it, and what follows. `python -m \
reproduction report` writes this file from the results in `cplab/shipped` and the claims in \
`reproduction/claims.py` and `thesis.py`; no measured number and no verdict in it was typed.

**How to read it.** Each row holds one number, taken once for each seed: the mean with its 95 % \
interval (Student's t over the seeds, which all see the same images). *Predicted* is where it lies \
if the source is right. Where a source says "about" or "no effect", how near that is was our \
choice, and the column says it. The *newborn* (recovery-only control) has the recovery epochs \
alone, *equal training* (matched-epochs control) as many epochs without a deficit, both with the \
same seed. Points lost against equal training are *lost time*, what the displaced clear epochs \
would have taught, plus *harm*, what the deficit did: the same life with the window cut out, minus \
this one. At onset 0 that life is the newborn. A *doubling* of a trace is a factor of two; the \
paper's *clock* counts epochs by how far they anneal the learning rate.

**How a verdict comes about.** If the whole interval lies within what is predicted: *reproduced*. \
If all of it lies outside: *contradicted*. If it contains the border: *undecided*, with the number \
of seeds and half the interval, which is the distance from the border that they would have shown. \
If every seed gives exactly 0 (for example, an architecture compared with itself), a one-sided \
prediction is *undecided*. With one seed there is no interval, with none the number is *missing*. \
Nothing is corrected for the number of rows: of a hundred true statements two or three would come \
out as contradicted.

**Sizes.** `paper` is the paper's own protocol (50,000 images of 32 pixels, All-CNN of width 96, \
300 epochs of recovery) or the thesis's convolutional model at its full size, `thesis` its dense \
model. There, and only there, our number is compared with the source's. `course`, `fit` and \
`mnist` are small (see the README), their recoveries short, their images a JPEG copy (the digits \
are not): a verdict there is as much about the size as about the claim.

**What is missing** is trained by the campaign, for the paper's size on a GPU: `python -m \
reproduction campaign status` lists it, `python -m reproduction campaign next --budget 540` goes \
on with it for 540 seconds, again and again. To change machines copy the cache (`$CPLAB_CACHE`); \
`cplab results merge PATHS` takes in results from other caches. `python -m reproduction recipes \
list` names everything that is shipped, and computes and ships it again.
"""


# The verdict ------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """kind: one of KINDS; words: the same, with what belongs to it."""

    kind: str
    words: str


def verdict(values: list[float], low: float, high: float, digits: int = 1) -> Verdict:
    """What numbers, one a seed, say to the prediction that theirs lies between low and high.

    If every seed gives exactly 0 (for example, an architecture compared with itself), a one-sided
    prediction is undecided.
    """
    if not values:
        return Verdict("missing", "missing")
    if len(values) < 2:
        return Verdict("one seed", "one seed, no interval")
    mean, half = mean_half(values)
    if any(values) or inf not in (-low, high):
        if low < mean - half and mean + half < high:
            return Verdict("reproduced", "reproduced")
        if mean + half < low or mean - half > high:
            return Verdict("contradicted", "contradicted")
    could = f"which would have shown a difference of {half:.{digits}f}"
    could = could if half else "all of them the same"
    return Verdict("undecided", f"undecided with {len(values)} seeds, {could}")


def judge(claim: Claim, size: str) -> tuple[list[float], Verdict]:
    """Our numbers at a size, and what they say to the claim."""
    values = claim.values(size)
    return values, verdict(values, claim.low, claim.high, claim.digits)


# The text ---------------------------------------------------------------------------------------


def prediction(claim: Claim) -> str:
    """`above 0`, `between 7 and 9`."""
    low, high = (f"{number:g}".replace("-", "−") for number in (claim.low, claim.high))
    if claim.high == inf:
        return f"above {low}"
    return f"below {high}" if claim.low == -inf else f"between {low} and {high}"


def measurement(values: list[float], digits: int) -> str:
    """`−2.3 ± 1.9 (5 seeds)`; a dash where there is none."""
    if not values:
        return "–"
    mean, half = mean_half(values)
    seeds = f"({len(values)} seed{'s' if len(values) > 1 else ''})"
    interval = "" if isnan(half) else f" ± {half:.{digits}f}"
    return f"{round(mean, digits) + 0.0:.{digits}f}{interval} {seeds}".replace("-", "−")


def distance(claim: Claim, size: str, values: list[float]) -> str:
    """Ours minus the source's number, where sizes are the same."""
    if size not in ORIGINAL:
        return "another size"
    if claim.number is None:
        return "no number given"
    if not values:
        return "–"
    return f"{mean_half(values)[0] - claim.number:+.{claim.digits}f}".replace("-", "−")


def row(claim: Claim, size: str) -> str:
    """A line of the table of one exhibit."""
    values, found = judge(claim, size)
    what = re.sub(r"(\d)%", r"\1 %", claim.what.format(*claim.at[size])).replace("|", "\\|")
    ours, apart = measurement(values, claim.digits), distance(claim, size, values)
    words = f"**{found.words}**" if found.kind in KINDS[:2] else found.words
    return line(what, prediction(claim), size, ours, apart, words)


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def head(*cells: str) -> list[str]:
    return [line(*cells), line(*["---"] * len(cells))]


def exhibits() -> dict[str, list[Claim]]:
    """The claims, by their exhibit."""
    return {name: list(some) for name, some in groupby(CLAIMS, attrgetter("exhibit"))}


def tally(claims: list[Claim], sizes: Callable[[str], bool]) -> str:
    """`2 reproduced, 1 missing`: the verdicts of claims at the sizes that fit."""
    kinds = Counter(judge(c, size)[1].kind for c in claims for size in c.at if sizes(size))
    return ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind]) or "–"


def summary_table() -> list[str]:
    """One line for each exhibit, one for each size in it, and one for all."""
    rows = exhibits()
    lines = head("exhibit", "the source's size", "smaller sizes")
    for name, claims in [*rows.items(), ("**all**", CLAIMS)]:
        small = dict.fromkeys(size for c in claims for size in c.at if size not in ORIGINAL)
        each = [f"{size}: {tally(claims, size.__eq__)}" for size in small]
        where = name if name not in rows else f"[{name}](#{anchor(name)})"
        lines.append(line(where, tally(claims, ORIGINAL.__contains__), "; ".join(each) or "–"))
    return lines


def anchor(title: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def section(name: str, claims: list[Claim], picture: str | None) -> list[str]:
    """What the source says, our numbers, verdicts, the picture."""
    lines = [f"## {name}", ""]
    lines += dict.fromkeys(f"- *{c.source}.* {c.says}" for c in claims)
    lines += ["", *head("ours", "predicted", "size", "measured", "minus the source's", "verdict")]
    lines += [row(claim, size) for claim in claims for size in claim.at]
    if picture:
        lines += ["", f"![{name}]({PICTURES}/{picture}.png)"]
    return [*lines, ""]


def text(pictures: Collection[str]) -> str:
    """REPRODUCTION.md, from the shipped results alone.

    Arguments: pictures, exhibits that have one.
    """
    from reproduction.pictures import FIGURES

    lines = [PREFACE, "## Summary", "", *summary_table(), ""]
    for name, claims in exhibits().items():
        lines += section(name, claims, FIGURES[name][0] if name in pictures else None)
    return "\n".join(lines)


def write(out: Path) -> str:
    """Write the file and its pictures; returns a line that says what was done.

    Raises: CplabError where it cannot be written.
    """
    from reproduction.pictures import draw, photograph

    try:
        out.open("a").close()  # before the work, which takes seconds
        figs = draw()
        out.write_text(text(figs), encoding="utf-8")
        photograph(figs, out.parent / PICTURES)
    except OSError as error:
        raise CplabError(
            f"{out} cannot be written ({error.strerror}): name another file"
        ) from error
    except LookupError as error:
        return f"{out}; its pictures were left as they are ({error})"
    return f"{out}, with {len(figs)} pictures in {out.parent / PICTURES}"
