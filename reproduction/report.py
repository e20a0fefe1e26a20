"""REPRODUCTION.md: what the sources claim, what the shipped results say to it, and the verdict.

Every number and every verdict is computed here from the shipped results; the claims are in
claims.toml, the ten questions and all texts in report.toml, the pictures in pictures.py, the other
pages in pages.py.
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
from cplab import show
from cplab.engine.tree import plan
from cplab.errors import CplabError
from cplab.quantities.statistics import Contrast, Estimate, detectable, estimate
from cplab.runs import Run
from cplab.specs.profiles import PROFILES
from reproduction import numbers as n
from reproduction.claims import CLAIMS, QUESTIONS, SIDES, TEXTS, Claim, Question, read_file, shipped
from reproduction.pages import PAGES, head, line, measurement
from reproduction.pictures import FIGURES
from reproduction.recipes import EXHIBITS

PICTURES = "docs/pictures"  # beside the file
KINDS = ("reproduced", "not harmed", "contradicted", "undecided", "out of range")
KINDS += ("one seed", "missing")
MIXED = "†"  # a deficit and its control are of different kinds of machine


# The verdict ------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """kind: one of KINDS; words: the same, with what belongs to it."""

    kind: str
    words: str


def verdict(
    found: Estimate, low: float, high: float, digits: int = 1, unaffected: bool = False
) -> Verdict:
    """What an estimate says to the prediction that it lies between low and high; unaffected: see
    `Claim`."""
    if not found.seeds:
        return Verdict("missing", "missing")
    if found.same:
        words = "in every seed both sides are the same network"
        return Verdict("out of range", f"out of range: {words}")
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
    """The number against the other newborn, or life without the window, where the rate falls with
    the epochs: that whose clock runs on during the deficit, or else the one whose clock stops."""
    of, how = getattr(claim.of, "func", claim.of), getattr(claim.of, "keywords", {})
    own = PROFILES[size].schedule if size in PROFILES else ""
    if how.get("schedule", own) != "paper":
        return None
    clock = "stopped" if how.get("clock") == "running" else "running"
    if of in (n.newborn_gain, n.error_doublings):
        return of(size, *claim.at[size], **how | {"clock": clock})
    if of is n.window_cost and how.get("of") is q.harm:
        return of(size, *claim.at[size], **how | {"of": partial(q.harm, clock=clock)})
    return None


@cache
def judge(claim: Claim, size: str) -> tuple[Estimate, Verdict]:
    """Our number at a size, and what it says to the claim."""
    found, reason = claim.estimate(size), claim.beyond.get(size, "")
    about = (claim.low, claim.high, claim.digits, claim.unaffected)
    said = verdict(found, *about)
    if not found.seeds:
        return found, said
    if not reason and (other := other_clock(claim, size)) is not None:
        with q.shipped_only():
            second = estimate(other)
        if not second.seeds:
            reason = "the rate falls with the epochs, and the control of the other clock is missing"
        elif verdict(second, *about).kind != said.kind:
            reason = f"by the other clock it is {measurement(second, claim.digits)}"
    if reason:
        return found, Verdict("out of range", f"out of range: {reason}")
    idle, sides = claim.idle, {verdict(found, *ends).kind for ends in SIDES.values()}
    if claim.early is not None and sides == {"reproduced"}:
        idle = "above 0 and within a point of it, so that it passes on either side of the border"
    if idle:
        return found, Verdict("no test", f"no test: {idle}")
    return found, said


def numbers(every: int = 1, skip: Collection[str] = ()) -> dict[tuple[str, str, str], tuple]:
    """Numbers of the report, by exhibit, in words, and size: mean, half its interval, seeds; of one
    in every so many rows, without the sizes to skip."""
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
        for seed in q.SEEDS:
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
    rows = ((c, s) for name in question.claims for c in CLAIMS for s in c.at if c.question == name)
    return [each for each in rows if each[1] != "paper"]


def tally(rows: list[tuple[Claim, str]]) -> str:
    """`2 reproduced, 1 undecided`: the verdicts of rows that can fail."""
    kinds = Counter(judge(*each)[1].kind for each in rows)
    return ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind]) or "–"


def summary_table() -> list[str]:
    """One line for each question and size; nothing is added up over questions."""
    lines = head("question", "size", "rows that can fail")
    for question in QUESTIONS:
        rows = claims_of(question)
        for size in dict.fromkeys(size for _, size in rows):
            counted = tally([each for each in rows if each[1] == size])
            lines.append(line(f"[{question.name}](#{anchor(question.name)})", size, counted))
    return lines


def anchor(title: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def section(question: Question) -> list[str]:
    """What was found in a few sentences, a picture, and folded what the sources say, our numbers
    and verdicts."""
    name, rows = question.name, claims_of(question)
    ours = [measurement(shipped(*at), seeds=False) for at in question.numbers]
    lines = [f"## {name}", "", question.found.format(*ours), ""]
    lines += [f"![{name}]({PICTURES}/{question.picture}.png)", ""]
    lines += ["<details>", f"<summary>{len(rows)} rows: {tally(rows)}</summary>", ""]
    lines += dict.fromkeys(f"- *{c.exhibit} ({c.source}).* {c.says}" for c, _ in rows)
    lines += ["", *head("of", "ours", "predicted", "size", "measured", "verdict")]
    return [*lines, *(row(*each) for each in rows), "", "</details>", ""]


def coverage() -> str:
    """The page of the sources' statements, with the rows that answer each."""
    lines = [TEXTS["coverage"]]
    for part in read_file("coverage.toml")["part"]:
        lines += [f"## {part['title']}", "", *head("", "statement", "our rows")]
        for number, (says, why) in enumerate(part["statements"], 1):
            name = f"{part['name']} {number}"
            rows = [(c, size) for c in CLAIMS if name in c.answers for size in c.at]
            rows = [each for each in rows if each[1] != "paper"]
            lines.append(line(str(number), says, answer(rows, why)))
        lines.append("")
    return "\n".join(lines)


def answer(rows: list[tuple[Claim, str]], why: str) -> str:
    """Three rows, in words and with number and verdict, how many others there are, and why not."""
    some = [
        f"{in_words(*each)}, `{each[1]}`: {measurement(judge(*each)[0], each[0].digits)}, "
        f"{judge(*each)[1].kind}"
        for each in rows[:3]
    ]
    more = [f"{len(rows) - 3} more: {tally(rows[3:])}"] if rows[3:] else []
    return "<br>".join([*([why] if why else []), *some, *more]) or "at the paper's size, untrained"


def untrained() -> list[str]:
    """The predictions for the paper's size, in one list, and what each exhibit costs."""
    lines = [TEXTS["untrained"], *head("exhibit", "of", "epochs, five seeds")]
    for name, exhibit in EXHIBITS.items():
        runs = dict.fromkeys(run for runs, _ in exhibit.parts("paper") for run in runs)
        if epochs := sum(root.epochs for root in plan(run for run in runs if isinstance(run, Run))):
            lines.append(line(f"`{name}`", exhibit.words, f"{epochs:,}"))
    lines += ["", "<details>", "<summary>What they would answer</summary>", ""]
    for claim in CLAIMS:
        if "paper" in claim.at:
            what = in_words(claim, "paper")
            lines.append(f"- {claim.exhibit}: {what}; predicted {prediction(claim)}")
    return [*lines, "", "</details>", ""]


def text() -> str:
    """REPRODUCTION.md, from the shipped results alone."""
    sections = (each for question in QUESTIONS for each in section(question))
    top = [TEXTS["preface"], *summary_table(), "", "</details>", ""]
    return "\n".join([*top, *sections, *untrained()])


def write(out: Path) -> str:
    """Write the file, its pictures, and beside it in `reproduction` the other pages; returns a
    line that says what was done. Raises: CplabError where it cannot be written."""
    try:
        out.open("a").close()  # before the work, which takes minutes
        (out.parent / PICTURES).mkdir(parents=True, exist_ok=True)
        for name, draw in FIGURES.items():
            show.save(draw(), out.parent / PICTURES / f"{name}.png", width=960)
        pages = PAGES | {"reproduction/coverage.md": coverage}
        for path, page in {out: text, **{out.parent / n: p for n, p in pages.items()}}.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(page(), encoding="utf-8")
    except OSError as error:
        line = f"{out} cannot be written ({error.strerror}): name another file"
        raise CplabError(line) from error
    return f"{out}, with {len(FIGURES)} pictures in {out.parent / PICTURES}"
