"""REPRODUCTION.md: what the sources claim, what the shipped results say to it, and the verdict.

Every number and every verdict is computed here from the shipped results; the claims are in
claims.toml, the ten questions in questions.py, the pictures in pictures.py, the other pages in
pages.py.
"""

import re
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from functools import cache, partial
from math import inf
from pathlib import Path
from typing import NamedTuple

from cplab import quantities as q
from cplab.errors import CplabError
from cplab.profiles import PROFILES
from cplab.statistics import Contrast, Estimate, detectable, estimate
from reproduction import numbers as n
from reproduction import pages
from reproduction.campaign import EXHIBITS, SEEDS
from reproduction.claims import CLAIMS, Claim, shipped
from reproduction.layout import head, line, measurement
from reproduction.questions import QUESTIONS, Question

ROOT = Path(__file__).parent.parent
PICTURES = "docs/pictures"  # beside the file
KINDS = ("reproduced", "not harmed", "contradicted", "undecided", "out of range")
KINDS += ("one seed", "missing")
COUNTED = KINDS[:4]
MIXED = "†"  # a deficit and its control are of different kinds of machine

PREFACE = """# Reproduction

Each row is one prediction of a source, our number for it, and whether it fits.

![One row, read](docs/pictures/example.png)

- **measured**: the mean over seeds, with half its 95 % interval. ± says how far the number \
moves when we train again from other random starts.
- **predicted**: where the number lies if the source is right. Where a source says "about" or \
"no effect", how near that is was our choice.
- **harm**: points of accuracy that a deficit took: the same life with the window cut out, minus \
this one. From birth that is the *newborn*, a network that begins when the deficit ends.
- **lost time**: points that the window's epochs would have brought if they had been clear. Harm \
and lost time add up to what is lost against *equal training*.
- **size**: `course`, `fit`, `matched` and `mnist` are small, `slim` has all images at half the \
pixels, `thesis` is the thesis's own, `linear` is trained while this is written. A verdict is as \
much about the size as about the claim.

**Verdicts.** *Reproduced*: the whole interval lies within what is predicted. *Contradicted*: \
all of it lies outside. *Undecided*: it holds the border. *Not harmed*: the source says "no \
effect", and the number is above −1 but not within a point of 0. *Out of range*: this size \
cannot answer, for the reason in the row. *No test*: the row cannot fail, and is not counted. \
Nothing is corrected for the number of rows: of a hundred true statements two or three would \
come out as contradicted.

Three things hold in all rows. Our blur leaves 4 × 4 of 16 × 16 pixels, which is harsher than \
the paper's 8 × 8 of 32; it is antialiased, and acts after shift and mirror. Intervals pair two \
networks only where these share training, else they are Welch's, with all seeds that each side \
has. All seeds see the same images, so that nothing is said of others. A dagger (†) marks \
numbers some of whose networks were trained on different kinds of machine.

`python -m reproduction report` writes this file; no number and no verdict in it was typed. \
Longer pages stand beside it: [every window](reproduction/decomposition.md), [the \
ladders](reproduction/ladders.md), [forecasts](reproduction/forecasts.md) written before \
training, and [which verdicts changed](reproduction/verdicts.md).
"""

UNTRAINED = """## What was not trained

These predictions want the paper's own size: 50,000 images of 32 pixels, All-CNN of width 96, \
300 epochs of recovery. Nobody here could train that. `python -m reproduction train NAME` trains \
an exhibit, five seeds, and goes on where it stopped. Costs stand in epochs: what one takes \
depends on the machine.
"""


# The verdict ------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """kind: one of KINDS; words: the same, with what belongs to it."""

    kind: str
    words: str


def verdict(
    found: Estimate, low: float, high: float, digits: int = 1, unaffected: bool = False
) -> Verdict:
    """What an estimate says to the prediction that it lies between low and high.

    Arguments: unaffected, whether the source says that there is no effect, see `Claim`.
    """
    if not found.seeds:
        return Verdict("missing", "missing")
    if found.same:
        return Verdict(
            "out of range", "out of range: in every seed both sides are the same network"
        )
    if found.seeds < 2:
        return Verdict("one seed", "one seed, no interval")
    least, most = found.mean - found.half, found.mean + found.half
    if low < least and most < high:
        return Verdict("reproduced", "unaffected" if unaffected else "reproduced")
    if unaffected and low < least:
        return Verdict("not harmed", "not harmed")
    if most < low or least > high:
        return Verdict("contradicted", "contradicted")
    could = detectable(found.half, found.freedom + 1)
    return Verdict("undecided", f"undecided; {could:.{digits}f} would show in four of five")


def other_clock(claim: Claim, size: str) -> Contrast | None:
    """The number against the second control, whose clock runs on during the deficit, where the
    rate falls with the epochs and the number is against the first alone."""
    of, how = getattr(claim.of, "func", claim.of), getattr(claim.of, "keywords", {})
    own = PROFILES[size].schedule if size in PROFILES else ""
    if how.get("schedule", own) != "paper":
        return None
    if of is n.newborn_gain:
        return n.running_newborn_gain(size, *claim.at[size], **how)
    if of is n.window_cost and how.get("of") is q.harm:
        running = how | {"of": partial(q.harm, clock="running")}
        return n.window_cost(size, *claim.at[size], **running)
    return None


@cache
def judge(claim: Claim, size: str) -> tuple[Estimate, Verdict]:
    """Our number at a size, and what it says to the claim."""
    found = claim.estimate(size)
    how = (claim.low, claim.high, claim.digits, claim.unaffected)
    said, reason = verdict(found, *how), claim.beyond.get(size, "")
    other = other_clock(claim, size) if found.seeds and not reason else None
    if other is not None:
        with q.shipped_only():
            second = estimate(other)
        if not second.seeds:
            reason = (
                "the rate falls with the epochs, and the control whose clock runs on is missing"
            )
        elif verdict(second, *how).kind != said.kind:
            reason = f"with the clock running on it is {measurement(second, claim.digits)}"
    if reason and found.seeds:
        return found, Verdict("out of range", f"out of range: {reason}")
    if claim.idle and found.seeds:
        return found, Verdict("no test", f"no test: {claim.idle}")
    return found, said


def numbers(every: int = 1, skip: Collection[str] = ()) -> dict[tuple[str, str, str], tuple]:
    """Numbers of the report, by exhibit, in words, and size: mean, half its interval, seeds.

    Arguments: every, of how many rows one is taken; skip, sizes that are left out.
    """
    rows = [(claim, size) for claim in CLAIMS for size in claim.at if size not in skip]
    found = {}
    for claim, size in rows[::every]:
        ours, what = claim.estimate(size), claim.what.format(*claim.at[size])
        found[claim.exhibit, what, size] = (ours.mean, ours.half, ours.seeds)
    return found


# The text ---------------------------------------------------------------------------------------


def prediction(claim: Claim) -> str:
    """`above 0`, `between 7 and 9`."""
    low, high = (f"{number:g}".replace("-", "−") for number in (claim.low, claim.high))
    if claim.high == inf:
        return f"above {low}"
    return f"below {high}" if claim.low == -inf else f"between {low} and {high}"


def in_words(claim: Claim, size: str) -> str:
    """What a row's number is of."""
    return re.sub(r"(\d)%", r"\1 %", claim.what.format(*claim.at[size])).replace("|", "\\|")


def row(claim: Claim, size: str) -> str:
    """A line of the table of one question."""
    found, said = judge(claim, size)
    ours = measurement(found, claim.digits) + (f" {MIXED}" if mixes_machines(claim, size) else "")
    words = f"**{said.words}**" if said.kind in KINDS[:3] else said.words
    return line(claim.exhibit, in_words(claim, size), prediction(claim), size, ours, words)


def mixes_machines(claim: Claim, size: str) -> bool:
    """Whether networks of one seed in a claim's number were trained on different kinds of machine
    or in different number formats."""
    weights = getattr(claim.of(size, *claim.at[size]), "weights", ())  # an estimate has none
    specs = [term.spec for term in weights if hasattr(getattr(term, "spec", 0), "newborn")]
    with q.shipped_only():
        for seed in range(10):
            kinds = set()
            for spec in specs:
                with suppress(q.Missing):
                    found = q.result(q.with_seed(spec, seed))
                    kinds.add((found.device, found.precision))
            if len(kinds) > 1:
                return True
    return False


def claims_of(question: Question) -> list[tuple[Claim, str]]:
    """The rows of a question: all sizes but the paper's own, which nobody trained."""
    return [
        (claim, size)
        for name in question.claims
        for claim in CLAIMS
        if claim.question == name
        for size in claim.at
        if size != "paper"
    ]


def tally(rows: list[tuple[Claim, str]]) -> str:
    """`2 reproduced, 1 undecided`: the verdicts of rows that can fail."""
    kinds = Counter(judge(*each)[1].kind for each in rows)
    return ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind]) or "–"


def summary_table() -> list[str]:
    """One line for each question and size; nothing is added up over questions."""
    lines = head("question", "size", "rows that can fail")
    for name, question in QUESTIONS.items():
        rows = claims_of(question)
        for size in dict.fromkeys(size for _, size in rows):
            counted = tally([each for each in rows if each[1] == size])
            lines.append(line(f"[{name}](#{anchor(name)})", size, counted))
    return lines


def anchor(title: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def section(name: str, picture: str | None) -> list[str]:
    """What was found in a few sentences, a picture, and folded what the sources say, our numbers
    and verdicts."""
    question, rows = QUESTIONS[name], claims_of(QUESTIONS[name])
    ours = [measurement(shipped(*at), seeds=False) for at in question.numbers]
    lines = [f"## {name}", "", question.found.format(*ours), ""]
    lines += [f"![{name}]({PICTURES}/{picture}.png)", ""] if picture else []
    lines += ["<details>", f"<summary>{len(rows)} rows: {tally(rows)}</summary>", ""]
    lines += dict.fromkeys(f"- *{c.exhibit} ({c.source}).* {c.says}" for c, _ in rows)
    lines += ["", *head("of", "ours", "predicted", "size", "measured", "verdict")]
    return [*lines, *(row(*each) for each in rows), "", "</details>", ""]


def untrained() -> list[str]:
    """The predictions for the paper's size, in one list, and what each exhibit costs."""
    from cplab.engine.tree import plan

    lines = [UNTRAINED, *head("exhibit", "of", "epochs, five seeds")]
    for exhibit in EXHIBITS.values():
        specs = [spec for seed in range(SEEDS) for spec in exhibit.of("paper", seed)]
        epochs = sum(root.epochs for root in plan(s for s in specs if hasattr(s, "newborn")))
        if epochs:
            lines.append(line(f"`{exhibit.name}`", exhibit.words, f"{epochs:,}"))
    lines += ["", "<details>", "<summary>What they would answer</summary>", ""]
    for claim in CLAIMS:
        if "paper" in claim.at:
            what = in_words(claim, "paper")
            lines.append(f"- {claim.exhibit}: {what}; predicted {prediction(claim)}")
    return [*lines, "", "</details>", ""]


def text(pictures: Collection[str]) -> str:
    """REPRODUCTION.md, from the shipped results alone.

    Arguments: pictures, questions that have one.
    """
    from reproduction.pictures import FIGURES

    lines = [PREFACE, "## Summary", "", "<details>", "<summary>Verdicts by size</summary>", ""]
    lines += [*summary_table(), "", "</details>", ""]
    for name in QUESTIONS:
        lines += section(name, FIGURES[name][0] if name in pictures else None)
    return "\n".join([*lines, *untrained()])


def write(out: Path) -> str:
    """Write the file, its pictures, and beside it in `reproduction` the other pages; returns a
    line that says what was done.

    Raises: CplabError where it cannot be written.
    """
    from cplab import show
    from reproduction.pictures import FIGURES, draw, example

    try:
        out.open("a").close()  # before the work, which takes seconds
        figs = draw()
        out.write_text(text(figs), encoding="utf-8")
        for name, page in pages.PAGES.items():
            (out.parent / name).parent.mkdir(exist_ok=True)
            (out.parent / name).write_text(page(), encoding="utf-8")
        folder = out.parent / PICTURES
        folder.mkdir(parents=True, exist_ok=True)
        for name, fig in {
            "example": example(),
            **{FIGURES[n][0]: f for n, f in figs.items()},
        }.items():
            show.save(fig, folder / f"{name}.png", width=960)
    except OSError as error:
        raise CplabError(
            f"{out} cannot be written ({error.strerror}): name another file"
        ) from error
    return f"{out}, with {len(figs) + 1} pictures in {out.parent / PICTURES}"
