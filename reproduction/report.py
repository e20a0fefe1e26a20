"""REPRODUCTION.md: what the sources claim, what the shipped results say to it, and the verdict.

Every number and every verdict is computed here from the shipped results; the claims are in
claims.py, fisher.py, thesis.py and linear.py, the pictures in pictures.py, the other pages in
pages.py.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import cache
from math import inf
from pathlib import Path
from typing import NamedTuple

from cplab.errors import CplabError
from cplab.statistics import detectable, interval
from reproduction import pages
from reproduction.claims import CLAIMS
from reproduction.layout import head, line, measurement
from reproduction.questions import QUESTIONS, Question
from reproduction.statement import Claim, shipped_values

ROOT = Path(__file__).parent.parent
PICTURES = "docs/pictures"  # beside the file
ORIGINAL = ("paper", "thesis")  # sizes at which a source's number and ours can be compared
KINDS = ("reproduced", "contradicted", "undecided", "out of range", "one seed", "missing")
NOT_YET = {"slim": "not trained yet: `python -m reproduction ladder C D`"}

PREFACE = """# Reproduction

What the sources claim, what our shipped results say to it, and what follows. `python -m \
reproduction report` writes this file from the results in `cplab/shipped` and the claims in \
`reproduction/claims.py` and the files beside it that it names; no measured number and no \
verdict in it was typed. Three more pages come of the same command: [the decomposition for all \
shipped windows](reproduction/decomposition.md), [the ladders](reproduction/ladders.md), for which \
[forecasts](reproduction/forecasts.md) were written first, and [what the campaign \
costs](reproduction/cost.md). [Which verdicts changed since the first report, and \
why](reproduction/verdicts.md), is told apart.

**How to read it.** Rows stand under the question that they answer. Each holds one number, taken \
once for each seed: the mean with its 95 % interval over the seeds, which all see the same images, \
so that nothing is said of other images. Seeds pair two networks only where these share training \
or stem from the same network (a window that begins later and its control; two ways to prune one \
net; one life in two arithmetics); else the interval is Welch's, by variances that add up. That \
is settled by how they are trained and not by how they end. At a fixed learning rate a network is \
read over its last five epochs. *Predicted* is where the number lies if the source is right; \
where a source says "about" or "no effect", how near that is was our choice, and the column says \
it. The *newborn* (recovery-only control) has the recovery epochs alone, *equal training* \
(matched-epochs control) as many epochs without a deficit. Where the rate falls with the epochs \
the newborn begins at the first rate, as the first point of the paper's own curves does, so that \
at the paper's own pace (`slim`, pace 1) its rows compare as the paper does; rows with a clock \
that runs on say what is left when both recover at the same rates. Points lost against equal \
training are *lost time*, what the displaced clear epochs would have taught, plus *harm*, what the \
deficit did: the same life with the window cut out, minus this one. At onset 0 that life is the \
newborn. A *doubling* of a trace is a factor of two; the paper's *clock* counts epochs by how far \
they anneal the learning rate.

**How a verdict comes about.** If the whole interval lies within what is predicted: *reproduced*. \
If all of it lies outside: *contradicted*. If it contains the border: *undecided*, with the \
smallest distance from the border that as many seeds, as far apart as these, show with 80 % power \
(in four of five experiments). *Out of range*: this size cannot answer, for the reason that the \
row gives, whatever its number is; so too where every seed gives exactly 0, since there both \
sides are the same network. With one seed there is no interval, with none the number is \
*missing*. No two rows take the same number. Nothing is corrected for the number of rows: of a \
hundred true statements up to two or three would come out as contradicted.

**Sizes.** `paper` is the paper's own protocol (50,000 images of 32 pixels, All-CNN of width 96, \
300 epochs of recovery) or the thesis's convolutional model at its full size, `thesis` its dense \
model. There, and only there, our number is compared with the source's. `slim` stands between: \
all images at half the pixels and a third of the width, with the paper's rates. `course`, `fit`, \
`matched` (4,000 images, fitted; the rate is held until the deficit ends) and `mnist` (whose \
digits are shifted and mirrored in training) are small (see the README), their recoveries short, \
their images a JPEG copy (the digits are not): a verdict there is as much about the size as about \
the claim. `linear` is nothing that is shipped: deep linear networks, trained in seconds whenever \
this file is written (lab 08).

**What is missing** is trained by the campaign, for the paper's size on a GPU: `python -m \
reproduction campaign status` lists it, `campaign cost` says what it takes, and `python -m \
reproduction campaign next --budget 540` goes on with it for 540 seconds, again and again. To \
change machines copy the cache (`$CPLAB_CACHE`); `cplab results merge PATHS` takes in results from \
other caches. `python -m reproduction recipes list` names everything that is shipped, and computes \
and ships it again.
"""


# The verdict ------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """kind: one of KINDS; words: the same, with what belongs to it."""

    kind: str
    words: str


def verdict(
    values: Sequence, low: float, high: float, digits: int = 1, beyond: str = ""
) -> Verdict:
    """What numbers, or their parts, one row a seed, say to the prediction that their sum lies
    between low and high; beyond, why this size cannot answer."""
    if not len(values):
        return Verdict("missing", "missing")
    found = interval(values)
    if beyond or found.same:
        reason = beyond or "in every seed both sides are the same network"
        return Verdict("out of range", f"out of range: {reason}")
    if found.seeds < 2:
        return Verdict("one seed", "one seed, no interval")
    if low < found.mean - found.half and found.mean + found.half < high:
        return Verdict("reproduced", "reproduced")
    if found.mean + found.half < low or found.mean - found.half > high:
        return Verdict("contradicted", "contradicted")
    least = detectable(found.half, found.freedom + 1)
    could = f"which show a difference of {least:.{digits}f} with 80 % power"
    return Verdict("undecided", f"undecided with {found.seeds} seeds, {could}")


@cache
def judge(claim: Claim, size: str) -> tuple[Sequence, Verdict]:
    """Our numbers at a size, and what they say to the claim."""
    values, reason = claim.values(size), claim.beyond.get(size, "")
    found = verdict(values, claim.low, claim.high, claim.digits, reason)
    if found.kind == "missing" and size in NOT_YET:
        found = Verdict("missing", NOT_YET[size])
    return values, found


def numbers(every: int = 1, skip: Collection[str] = ()) -> dict[tuple[str, str, str], tuple]:
    """Numbers of the report, by exhibit, in words, and size: mean, half its interval, seeds.

    Arguments: every, of how many rows one is taken; skip, sizes that are left out.
    """
    rows = [(claim, size) for claim in CLAIMS for size in claim.at if size not in skip]
    found = {}
    for claim, size in rows[::every]:
        ours, what = interval(claim.values(size)), claim.what.format(*claim.at[size])
        found[claim.exhibit, what, size] = (ours.mean, ours.half, ours.seeds)
    return found


# The text ---------------------------------------------------------------------------------------


def prediction(claim: Claim) -> str:
    """`above 0`, `between 7 and 9`."""
    low, high = (f"{number:g}".replace("-", "−") for number in (claim.low, claim.high))
    if claim.high == inf:
        return f"above {low}"
    return f"below {high}" if claim.low == -inf else f"between {low} and {high}"


def distance(claim: Claim, size: str, values: Sequence) -> str:
    """Ours minus the source's number, where sizes are the same."""
    if size not in ORIGINAL:
        return "another size"
    if claim.number is None:
        return "no number given"
    if not len(values):
        return "–"
    return f"{interval(values).mean - claim.number:+.{claim.digits}f}".replace("-", "−")


def row(claim: Claim, size: str) -> str:
    """A line of the table of one question."""
    values, found = judge(claim, size)
    what = re.sub(r"(\d)%", r"\1 %", claim.what.format(*claim.at[size])).replace("|", "\\|")
    ours, apart = measurement(values, claim.digits), distance(claim, size, values)
    words = f"**{found.words}**" if found.kind in KINDS[:2] else found.words
    return line(claim.exhibit, what, prediction(claim), size, ours, apart, words)


def by_question() -> dict[str, list[Claim]]:
    """The claims, by their question."""
    return {name: [c for c in CLAIMS if c.question == name] for name in QUESTIONS}


def tally(claims: list[Claim], sizes: Callable[[str], bool]) -> str:
    """`2 reproduced, 1 missing`: the verdicts of claims at the sizes that fit."""
    kinds = Counter(judge(c, size)[1].kind for c in claims for size in c.at if sizes(size))
    return ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind]) or "–"


def summary_table() -> list[str]:
    """One line for each question, with each size in it, and one for all."""
    rows = by_question()
    lines = head("question", "the source's size", "smaller sizes")
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


def sum_up(question: Question, claims: list[Claim]) -> str:
    """What was found, in a line: numbers, and the verdicts of all sizes together."""
    numbers = [measurement(shipped_values(*at), seeds=False) for at in question.numbers]
    found = question.found.format(*numbers) if question.found else ""
    return f"**In sum:** {found} {tally(claims, lambda size: True)}.".replace("  ", " ")


def section(name: str, claims: list[Claim], pictures: list[str]) -> list[str]:
    """What is asked and found, what the sources say, our numbers and verdicts, the pictures."""
    question = QUESTIONS[name]
    lines = [f"## {name}", "", question.asks, "", sum_up(question, claims), ""]
    lines += dict.fromkeys(f"- *{c.exhibit} ({c.source}).* {c.says}" for c in claims)
    columns = ("of", "ours", "predicted", "size", "measured", "minus the source's", "verdict")
    lines += ["", *head(*columns)]
    lines += [row(claim, size) for claim in claims for size in claim.at]
    for picture in pictures:
        lines += ["", f"![{name}]({PICTURES}/{picture}.png)"]
    return [*lines, ""]


def text(pictures: Collection[str]) -> str:
    """REPRODUCTION.md, from the shipped results alone.

    Arguments: pictures, questions that have one.
    """
    from reproduction.pictures import FIGURES

    lines = [PREFACE, "## Summary", "", *summary_table(), ""]
    for name, claims in by_question().items():
        lines += section(name, claims, [FIGURES[name][0]] if name in pictures else [])
    return "\n".join(lines)


def write(out: Path) -> str:
    """Write the file, its pictures, and beside it in `reproduction` the other pages; returns a
    line that says what was done.

    Raises: CplabError where it cannot be written.
    """
    from reproduction.pictures import draw, photograph

    try:
        out.open("a").close()  # before the work, which takes seconds
        figs = draw()
        out.write_text(text(figs), encoding="utf-8")
        for name, page in pages.PAGES.items():
            (out.parent / name).parent.mkdir(exist_ok=True)
            (out.parent / name).write_text(page(), encoding="utf-8")
        photograph(figs, out.parent / PICTURES)
    except OSError as error:
        raise CplabError(
            f"{out} cannot be written ({error.strerror}): name another file"
        ) from error
    except LookupError as error:
        return f"{out}; its pictures were left as they are ({error})"
    return f"{out}, with {len(figs)} pictures in {out.parent / PICTURES}"
