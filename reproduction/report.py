"""REPRODUCTION.md: the claims of the sources, our numbers for them, and the verdicts.

Every number and every verdict is computed here from the shipped results; the claims are in
claims.toml, the ten questions and all texts in report.toml, the pictures in pictures.py, the other
pages in pages.py.
"""

import re
from collections import Counter
from collections.abc import Collection
from functools import cache, partial
from math import inf
from pathlib import Path
from typing import NamedTuple

from cplab import quantities as q
from cplab import show
from cplab.engine.tree import plan
from cplab.errors import CplabError
from cplab.runs import Run
from cplab.specs.profiles import PROFILES
from cplab.statistics import Estimate, detectable
from reproduction import numbers as n
from reproduction.claims import CLAIMS, QUESTIONS, SIDES, TEXTS, Claim, Question, read_file, shipped
from reproduction.pages import PAGES, head, line, measurement
from reproduction.pictures import FIGURES
from reproduction.recipes import EXHIBITS

PICTURES = "docs/pictures"  # beside the file
FOUND = ("reproduced", "unaffected", "not harmed", "contradicted")
KINDS = (*FOUND, "undecided", "out of range", "one seed", "missing")
MIXED = "†"  # a deficit and its control are of different kinds of machine


# The verdict ------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """A verdict. kind: one of KINDS; words: the same, with details."""

    kind: str
    words: str


def verdict(
    number: Estimate, low: float, high: float, digits: int = 1, unaffected: bool = False
) -> Verdict:
    """Judge the prediction that an estimate lies between low and high; unaffected: see `Claim`."""
    if not number.seeds:
        return Verdict("missing", "missing")
    if number.same:
        reason = "in every seed both sides are the same network"
        return Verdict("out of range", f"out of range: {reason}")
    if number.seeds < 2:
        return Verdict("one seed", "one seed, no interval")
    least, most = number.mean - number.half, number.mean + number.half
    if low < least and most < high:
        kind = "unaffected" if unaffected else "reproduced"
        return Verdict(kind, kind)
    if unaffected and low < least:
        return Verdict("not harmed", "not harmed")
    if most < low or least > high:
        return Verdict("contradicted", "contradicted")
    effect = detectable(number.half, number.freedom + 1)
    return Verdict("undecided", f"undecided; {effect:.{digits}f} would show in four of five")


def other_clock(claim: Claim, size: str) -> Estimate | None:
    """The number against the control with the other clock (the clock of the learning rate runs on
    during the deficit, or stops); None where the rate does not fall with the epochs."""
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
    """Our number at a size, and the verdict."""
    number, reason = claim.estimate(size), claim.beyond.get(size, "")
    prediction = (claim.low, claim.high, claim.digits, claim.unaffected)
    plain = verdict(number, *prediction)
    if not number.seeds:
        return number, plain
    with q.shipped_only():
        second = None if reason else other_clock(claim, size)
    if second is not None:
        if not second.seeds:
            reason = "the rate falls with the epochs, and the control of the other clock is missing"
        elif verdict(second, *prediction).kind != plain.kind:
            reason = f"by the other clock it is {measurement(second, claim.digits)}"
    if reason:
        return number, Verdict("out of range", f"out of range: {reason}")
    idle, sides = claim.idle, {verdict(number, *ends).kind for ends in SIDES.values()}
    if claim.early is not None and sides == {"reproduced"}:
        idle = "above 0 and within a point of it, so that it passes on either side of the border"
    if idle:
        return number, Verdict("no test", f"no test: {idle}")
    return number, plain


def numbers(every: int = 1, skip: Collection[str] = ()) -> dict[tuple[str, str, str], tuple]:
    """Numbers of the report, (mean, half its interval, seeds) by exhibit, description and size: of
    one in `every` rows, without the sizes to skip."""
    rows = [(claim, size) for claim in CLAIMS for size in claim.at if size not in skip]
    estimates = {}
    for claim, size in rows[::every]:
        ours, what = claim.estimate(size), claim.what.format(*claim.at[size])
        estimates[claim.exhibit, what, size] = (ours.mean, ours.half, ours.seeds)
    return estimates


# The text ---------------------------------------------------------------------------------------


def prediction(claim: Claim) -> str:
    """The bounds of a claim as text: `above 0`, `between 7 and 9`."""
    low, high = (f"{number:g}".replace("-", "−") for number in (claim.low, claim.high))
    if claim.high == inf:
        return f"above {low}"
    return f"below {high}" if claim.low == -inf else f"between {low} and {high}"


def in_words(claim: Claim, size: str) -> str:
    """The description of a row's number."""
    return re.sub(r"(\d)%", r"\1 %", claim.what.format(*claim.at[size])).replace("|", "\\|")


def row(claim: Claim, size: str) -> str:
    """A line of a question's table."""
    number, judged = judge(claim, size)
    ours = measurement(number, claim.digits) + (f" {MIXED}" if mixes_machines(claim, size) else "")
    words = f"**{judged.words}**" if judged.kind in FOUND else judged.words
    return line(claim.exhibit, in_words(claim, size), prediction(claim), size, ours, words)


def mixes_machines(claim: Claim, size: str) -> bool:
    """Whether networks of one seed in a claim's number were trained on different kinds of machine,
    so that they are not paired."""
    with q.shipped_only():
        machines = [term.machines for term in claim.of(size, *claim.at[size]).terms]
    return any(len({m[s] for m in machines if s in m}) > 1 for s in q.SEEDS)


def claims_of(question: Question) -> list[tuple[Claim, str]]:
    """The rows (claim, size) of a question, but for those that nobody trained."""
    rows = ((c, s) for name in question.claims for c in CLAIMS for s in c.at if c.question == name)
    return [row for row in rows if not beyond_us(*row)]


def beyond_us(claim: Claim, size: str) -> bool:
    """Whether a row is at the paper's own size and nobody has trained what it needs."""
    return size == "paper" and judge(claim, size)[1].kind == "missing"


def tally(rows: list[tuple[Claim, str]]) -> str:
    """Count the verdicts of rows that can fail: `2 reproduced, 1 undecided`."""
    kinds = Counter(judge(claim, size)[1].kind for claim, size in rows)
    return ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind]) or "–"


def summary_table() -> list[str]:
    """A table of the verdicts by question and size; nothing is added up over questions."""
    lines = head("question", "size", "rows that can fail")
    for question in QUESTIONS:
        rows = claims_of(question)
        for size in dict.fromkeys(size for _, size in rows):
            verdicts = tally([row for row in rows if row[1] == size])
            lines.append(line(f"[{question.name}](#{anchor(question.name)})", size, verdicts))
    return lines


def anchor(title: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def section(question: Question) -> list[str]:
    """The section of a question: our findings in a few sentences, a picture, and, folded, what the
    sources say, our numbers and verdicts."""
    name, rows = question.name, claims_of(question)
    ours = [measurement(shipped(*at), seeds=False) for at in question.numbers]
    lines = [f"## {name}", "", question.found.format(*ours), ""]
    lines += [f"![{name}]({PICTURES}/{question.picture}.png)", ""]
    lines += ["<details>", f"<summary>{len(rows)} rows: {tally(rows)}</summary>", ""]
    says = ((c.exhibit, c.source, c.says.replace("|", "\\|")) for c, _ in rows)
    lines += [*head("of", "source", "what it says"), *(line(*each) for each in dict.fromkeys(says))]
    lines += ["", *head("of", "ours", "predicted", "size", "measured", "verdict")]
    return [*lines, *(row(claim, size) for claim, size in rows), "", "</details>", ""]


def coverage() -> str:
    """The page of the sources' statements, with the rows that answer each."""
    lines = [TEXTS["coverage"]]
    for part in read_file("coverage.toml")["part"]:
        lines += [f"## {part['title']}", "", *head("", "statement", "our rows")]
        for number, (says, why) in enumerate(part["statements"], 1):
            name = f"{part['name']} {number}"
            answering = ((c, s) for c in CLAIMS if name in c.answers for s in c.at)
            rows = [row for row in answering if not beyond_us(*row)]
            lines.append(line(str(number), says, answer(rows, why)))
        lines.append("")
    return "\n".join(lines)


def answer(rows: list[tuple[Claim, str]], why: str) -> str:
    """The answer to a statement: why rows are lacking; three rows; a tally of the others."""
    parts = [why] if why else []
    for claim, size in rows[:3]:
        number, judged = judge(claim, size)
        ours = measurement(number, claim.digits)
        parts.append(f"{in_words(claim, size)}, `{size}`: {ours}, {judged.kind}")
    if rows[3:]:
        parts.append(f"{len(rows) - 3} more: {tally(rows[3:])}")
    return "<br>".join(parts) or "at the paper's size, untrained"


def untrained() -> list[str]:
    """The list of predictions for the paper's size, and the cost of each exhibit in epochs."""
    lines = [TEXTS["untrained"], *head("exhibit", "of", "epochs, five seeds")]
    for name, exhibit in EXHIBITS.items():
        specs = dict.fromkeys(spec for part, _ in exhibit.parts("paper") for spec in part)
        epochs = sum(root.epochs for root in plan(spec for spec in specs if isinstance(spec, Run)))
        if specs:
            cost = f"{epochs:,}" if epochs else f"{len(specs)} networks pruned or trained"
            lines.append(line(f"`{name}`", exhibit.words, cost))
    lines += ["", "<details>", "<summary>What they would answer</summary>", ""]
    lines += head("of", "ours", "predicted")
    for claim in CLAIMS:
        if "paper" in claim.at and beyond_us(claim, "paper"):
            lines.append(line(claim.exhibit, in_words(claim, "paper"), prediction(claim)))
    return [*lines, "", "</details>", ""]


def text() -> str:
    """REPRODUCTION.md, from the shipped results alone."""
    sections = (part for question in QUESTIONS for part in section(question))
    top = [TEXTS["preface"], *summary_table(), "", "</details>", ""]
    return "\n".join([*top, *sections, *untrained()])


def write(out: Path) -> str:
    """Write the file, its pictures, and the other pages in `reproduction` beside it. Returns a line
    that says what was written. Raises: CplabError where it cannot be written."""
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
