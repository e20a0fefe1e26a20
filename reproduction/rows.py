"""The rows of rows.csv: our numbers, and where each lies if a source is right.

Nothing here is a result. Where a source says "about" or "no effect", how near that is was our
choice. A row names the statements of statements.toml that it answers; a star marks our best number.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from functools import partial
from itertools import product
from math import inf
from typing import Any

from cplab import quantities as q
from cplab.gallery import gaussian_blur, random_labels
from cplab.labs import lab02, lab05, lab05b, lab07
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.labs.lab05b_pruning import prune_kernels, prune_weights
from cplab.results import every_result
from cplab.runs import Run
from cplab.statistics import Estimate
from reproduction import linear
from reproduction import numbers as n
from reproduction.recipes import FLAGSHIP, MORE, paced
from reproduction.row import ABOVE, BELOW, LEVEL, Range, Row

FRESH, LATER = range(15, 30), range(5, 30)  # seeds that nobody had looked at when a row was asked
# Why a size cannot answer
ANNEALED = "the rate falls with the epochs, and of this number there is no second control"
BRIEF = "the whole run has as many steps as 8 epochs of the paper, whose peak is at 30"
NO_CLOCK = "the rate does not fall by the epoch, so that there is no such clock"
NO_FIT = "width 32 does not fit 50,000 images, so that the trace is highest when most is over"
SHORT_WINDOW = "4 epochs are 12 of the paper's, a third of its window"
SMALL = "fewer pixels, and fewer images or kernels"
NO_GRADIENT = "through BatchNorm a blank image gives no gradient: a newborn by construction"


def run(length: int, onset: int = 0, size: str = "course", **other: Any) -> Run:
    """A run with a deficit, blur by default, of the course's size."""
    return Run(other.pop("deficit", "blur"), onset, length, profile=size, **other)


def flagship(length: int = 16, onset: int = 0, deficit: Any = "blur", **other: Any) -> Run:
    """A run of three blocks at a rate that never changes."""
    return Run(deficit, onset, length, **FLAGSHIP | other)


PLACE = ("deficit", "onset", "length", "seed", "profile")  # fields that `words` says in words


def words(run: Run) -> str:
    """A run in words: its window, and the fields that differ from those of its profile."""
    three = Run(**FLAGSHIP, profile=run.profile)
    blocks = (run.model, run.schedule) == (three.model, three.schedule)
    usual = three if blocks else Run(profile=run.profile)
    names = [f.name for f in fields(Run) if f.name not in PLACE]
    differing = [name for name in names if getattr(run, name) != getattr(usual, name)]
    start = f"at onset {run.onset}" if run.onset else "from birth"
    what = f"{run.length} epochs of {run.deficit} {start}{', three blocks' * blocks}"
    what += "".join(f", {name} {getattr(run, name)}" for name in differing)
    return re.sub(r"@[0-9a-f]{8}", "", what)


def harm(
    answers: str, run: Run, between: Range | None, seeds: Iterable = (), clock="stopped", **how: Any
) -> Row:
    """A row with the harm of a run; by both clocks, where its rate falls with the epochs."""
    number, other, what = q.harm(run, clock=clock), None, f"harm of {words(run)}"
    if run.schedule == "paper":
        other = q.harm(run, clock="stopped" if clock == "running" else "running")
        what += f", clock {clock}"
    if seeds:
        number, what = number.only(seeds), f"{what}, seeds {min(seeds)} to {max(seeds)}"
    return Row(answers, what, run.profile, number, between, other=other, **how)


def unharmed(answers: str, run: Run, seeds: Iterable = (), **how: Any) -> Row:
    """A row of a run that the source says is left unaffected."""
    return harm(answers, run, LEVEL, seeds, harmless=True, **how)


def loss(answers: str, run: Run, between: Range, of=q.equal_training_loss, **how: Any) -> Row:
    """A row with what a run loses against equal training, or another of its costs."""
    what = f"{of.__name__.replace('_', ' ')} of {words(run)}"
    return Row(answers, what, run.profile, of(run), between, **how)


def over_blur(answers: str, deficit: str, length: int, between=ABOVE, **other: Any) -> Row:
    """A row with the points after a deficit above those after as much blur."""
    ours = run(length, deficit=deficit, **other)
    number = q.advantage(ours, replace(ours, deficit="blur"))
    return Row(answers, f"{words(ours)}, above as much blur", ours.profile, number, between)


def more(answers: str, one: Run, other: Run, between=ABOVE, of=q.harm, **how: Any) -> Row:
    """A row with the points that one run costs above those that another costs."""
    what = f"{of.__name__.replace('_', ' ')} of {words(one)}, minus that of {words(other)}"
    return Row(answers, what, one.profile, of(one) - of(other), between, **how)


def doubled(run: Run, clock: str = "stopped") -> Estimate:
    """log₂ of the test error after a deficit, over that without it."""
    return q.doublings(100 - q.accuracy(run), 100 - q.accuracy(run.without_window(clock)))


DIGITS: dict[str, Any] = {"dataset": "mnist", "schedule": "fixed"}
WHOLE: dict[str, Any] = {"schedule": "paper", "pace": 1, "recovery": 160}


def harm_left() -> Iterator[Row]:
    """Does an early blur leave harm?"""
    for size, end in {"slim": 140, "course": 16, "paper": 140}.items():
        blurred, clear = run(end, size=size), Run(onset=end, profile=size)
        for name, one, where in (("paper 1*", blurred, (18, inf)), ("poster 6*", clear, (7, 9))):
            what = f"test error {f'after {end} epochs of blur' if one is blurred else 'clear'}, %"
            limit = "" if size == "paper" else SMALL
            yield Row(name, what, size, 100 - q.accuracy(one), where, limit=limit)
        other = doubled(blurred, "running") if blurred.schedule == "paper" else None
        what = f"test error after {end} epochs of blur, above the newborn's, doublings"
        yield Row("paper 2*", what, size, doubled(blurred), (1, 2), 2, other)
    yield harm("paper 3*", flagship(), ABOVE)
    lengths = {"course": (16, 8), "slim": (140, 60), "matched": (16, 8), "fit": (24,)}
    for size, ends in lengths.items():
        yield from (harm("paper 3, paper 6", run(end, size=size), ABOVE) for end in ends)
    windows = {"matched": (8, 16), "course": (8, 16), "fit": (12, 24), "slim": (60, 140)}
    for size, ends in windows.items():
        first, both = (run(end, size=size) for end in ends)
        what = f"harm of {words(first)}, minus what blur adds to it until {ends[1]}"
        number = q.harm(first) - q.advantage(first, both)
        limit = "" if size in ("matched", "course") else ANNEALED
        yield Row("paper 4", what, size, number, ABOVE, limit=limit)
    forecast = {2: (0.3, 1.5), 4: (1, 2.5), 8: (2, 3.5), 16: (3.3, 5), 24: (5, 8), 32: (7.5, 10)}
    for length, between in (forecast | {48: (10, 13), 64: (11, 15)}).items():
        answers = "paper 4*" if length == 48 else "paper 4"
        yield harm(answers, flagship(length), between, FRESH)
    for length, between in {16: (1, 3.5), 48: (6, 11)}.items():
        yield harm("paper 5*", flagship(length, recovery=240), between, FRESH)
    yield unharmed("paper 5", flagship(onset=24, recovery=240), FRESH)
    yield from (harm("paper 5", run(16, recovery=r), ABOVE) for r in (120, 240))
    yield loss("paper 6*", flagship(), LEVEL, q.lost_time)
    for size, end in {"course": 16, "paper": 180}.items():
        yield harm("paper 21*", run(end, size=size, model="resnet18"), ABOVE)
    for size, model, end in (
        ("paper", "fc-1250", 480),
        ("paper", "fc-1250", 240),
        ("paper", "fc", 480),
        ("mnist", "fc", 32),
    ):
        blurred = run(end, size=size, model=model, **DIGITS)
        yield harm("paper 23*", blurred, ABOVE, digits=2)
        for one in (blurred, blurred.newborn()) if size == "paper" and end == 480 else ():
            what = f"{words(blurred)}: {'' if one.length else 'newborn, '}test error, %"
            yield Row("paper 23", what, size, 100 - q.accuracy(one), (0.8, 1.4), 2)
    for size, end in {"course": 16, "fit": 12, "paper": 140}.items():
        adam = run(end, size=size, optimizer="adam")
        yield harm("poster 1", adam, ABOVE)
    yield from (
        harm(f"poster 1{star}", run(16, optimizer="adam", rate=rate), ABOVE)
        for rate, star in ((2, ""), (5, ""), (10, "*"))
    )
    yield harm("paper 51", run(140, size="paper", momentum=0), ABOVE)
    for size, idle, limit in (
        ("course", "a definition, which predicts no number", ""),
        ("matched", "", "of no length that was trained is the harm surely above a point"),
    ):
        what = f"longest blur from birth with less than a point of harm, of {24} epochs at most"
        number = n.longest_harmless(run(24, size=size))
        yield Row("slides 1*", what, size, number, (0, 24), idle=idle, limit=limit)


def age() -> Iterator[Row]:
    """Does it matter when the blur comes?"""
    yield harm("", flagship(), ABOVE, LATER)
    yield harm("paper 13", flagship(), ABOVE, range(5))
    yield unharmed("paper 11*, slides 2", flagship(onset=24), LATER)
    yield more("paper 13*, slides 2*", flagship(), flagship(onset=24))
    for onset, between in {2: (3, 5), 4: (2.5, 5), 8: (1, 4), 16: (0, 2)}.items():
        yield harm("paper 13", flagship(onset=onset), between, LATER)
        one = more("paper 13", flagship(), flagship(onset=onset))
        yield replace(one, number=one.number.only(FRESH), what=f"{one.what}, seeds from 15")
    for onset, seeds in product((0, 24), (LATER, FRESH)):
        one = more("paper 13", flagship(48 if onset else 16), flagship(48 if onset else 16, 24))
        yield replace(one, number=one.number.only(seeds), what=f"{one.what}, seeds from {seeds[0]}")
    yield unharmed("paper 11", flagship(onset=48), FRESH)
    for onset, between, seeds in (
        (0, ABOVE, ()),
        (24, (0, 3), FRESH),
        (48, (-1, 1.5), FRESH),
        (24, (0, 3), MORE),
        (48, (-0.5, 1.5), MORE),
    ):
        yield harm("paper 11", flagship(48, onset), between, seeds)
    for images in ("cifar10-part2", "cifar10-part3", "cifar10-part4"):
        one, other = (flagship(onset=onset, dataset=images) for onset in (0, 24))
        yield harm("slides 2", one, (3, 5.5), FRESH)
        yield more("slides 2", one, other)
    yield harm("slides 2", flagship(dataset="fashion_mnist"), (0.5, 2), FRESH)
    yield unharmed("slides 2", flagship(onset=24, dataset="fashion_mnist"), FRESH)
    for onset, between in {0: (16, inf), 24: (-16, 16)}.items():
        number, what = n.clear_epochs_behind(flagship(onset=onset)), words(flagship(onset=onset))
        yield Row("paper 8*", f"clear epochs behind after {what}", "course", number, between)
        number = lab02.half_by_images(flagship(onset=onset), 24)
        between = (0.2, 0.4) if onset else (0.25, 0.45)
        what = f"half the interval over other test images, {what}"
        yield Row("", what, "course", number, between, 2)
    for onset, early in {0: None, 2: True, 4: True, 8: True, 12: True, 16: True, 24: False}.items():
        number, between = n.in_clear_epochs(run(8, onset)), LEVEL if early is False else ABOVE
        what = f"harm of {words(run(8, onset))}, in clear epochs"
        yield Row("paper 8", what, "course", number, between, early=early)
        yield harm("paper 13", run(8, onset), between, early=early)
    yield more("paper 8", run(8), run(8, 24), of=n.in_clear_epochs)
    for onset, early in {4: True, 8: True, 12: True, 16: True, 24: False, 0: None}.items():
        if onset != 12:
            between = LEVEL if early is False else ABOVE
            yield harm("paper 13", run(12, onset, "matched"), between, early=early)
    for onset, early in {0: None, 4: True, 8: True, 16: False, 24: False}.items():
        clothes = run(8, onset, dataset="fashion_mnist")
        yield harm("slides 2", clothes, LEVEL if early is False else ABOVE, early=early)
    yield more("slides 2", run(8, dataset="fashion_mnist"), run(8, 24, dataset="fashion_mnist"))
    for size, length in {"course": 8, "matched": 12}.items():
        yield harm("poster 3*", run(length, size=size), LEVEL)
    windows = {"course": (8, (2, 4), 24), "matched": (12, (4, 8), 24), "fit": (4, (6, 12), 24)}
    for size, (length, middle, late) in windows.items():
        early, *others = (run(length, onset, size) for onset in (0, *middle))
        limit = SHORT_WINDOW if size == "fit" else ""
        for of in (q.equal_training_loss, q.harm):
            if of is q.harm and size == "fit":
                continue
            number = n.mean(*map(of, others)) - of(early)
            what = f"{of.__name__.replace('_', ' ')} of {length} epochs of blur at {middle[0]} and "
            what += f"{middle[1]}, minus that from birth"
            yield Row("paper 10*, paper 12*", what, size, number, ABOVE, limit=limit)
        yield loss("paper 11", run(length, late, size), LEVEL, limit=limit)
        if size != "fit":
            yield more("paper 13", early, run(length, late, size))
    slow = [run(40, onset, **WHOLE) for onset in (0, 20, 40, 80)]
    limit = "counted in steps, all four windows end before the paper's epoch 30"
    worst = n.worst_onset(slow)
    yield Row(
        "paper 10", "onset at which 40 epochs cost most", "course", worst, (10, 50), limit=limit
    )
    yield loss("paper 9*", slow[0], (1, 3), limit=ANNEALED)
    yield loss("paper 9", slow[3], LEVEL, limit=ANNEALED)
    for one, early in zip(slow, (None, True, True, False), strict=True):
        if one.onset != 40:
            yield harm("paper 9", one, LEVEL if early is False else ABOVE, early=early)
    yield harm("paper 9", replace(slow[1], deficit="flip"), LEVEL)


def kinds() -> Iterator[Row]:
    """Is it only low-level deficits that harm?"""
    yield harm("paper 7*", flagship(deficit=gaussian_blur), ABOVE)
    yield more("paper 7", flagship(), flagship(deficit=gaussian_blur), (-1.5, 1.5))
    for deficit, stars in {"flip": "paper 14*", "permute": "paper 14"}.items():
        yield unharmed(stars, flagship(deficit=deficit), LATER)
        yield from (unharmed("paper 14", flagship(*w, deficit), FRESH) for w in ((48, 0), (16, 24)))
        sizes = {"course": 16, "slim": 140, "paper": 140}
        for size, end in (
            sizes | ({"fit": 24, "matched": 16} if deficit == "flip" else {})
        ).items():
            one = run(end, size=size, deficit=deficit)
            yield unharmed("paper 14", one)
            limit = "" if size in ("course", "matched") else ANNEALED
            yield replace(loss("paper 14", one, LEVEL, limit=limit), harmless=True)
            yield over_blur("paper 14", deficit, end, size=size)
    yield harm("paper 16*", flagship(deficit="noise"), ABOVE, LATER)
    yield harm("paper 16", flagship(48, 0, "noise"), (5, 15), FRESH)
    yield harm("paper 16", flagship(16, 24, "noise"), (0, 3), FRESH)
    for size, end in {"course": 16, "slim": 140, "paper": 160}.items():
        yield harm("paper 16", run(end, size=size, deficit="noise"), ABOVE)
        yield over_blur("paper 17", "noise", min(end, 140), size=size)
    for end in (16, 48):
        yield more("paper 17*", flagship(end), flagship(end, 0, "noise"))
    yield from (over_blur("paper 17", "noise", 16, recovery=r) for r in (120, 240))
    yield harm("paper 16", run(16, deficit="fresh_noise"), ABOVE)
    for star, of, ends in (("", run, (24, 16)), ("*", flagship, (48, 16))):
        long, short = (q.harm(of(e, deficit="noise")) - q.harm(of(e)) for e in ends)
        what = f"what epochs {ends[1]} to {ends[0]} add to noise's harm above blur's"
        what += ", three blocks" * (of is flagship)
        yield Row(f"paper 18{star}", what, "course", long - short, ABOVE)
    yield harm("paper 19", run(16, deficit="blank"), ABOVE, limit=NO_GRADIENT)
    yield harm("paper 19*", run(16, deficit="blank", model="plain"), ABOVE)
    pairs = (
        [run(40, 0, "matched", weight_decay=decay) for decay in (0, 0.01)],
        [
            run(40, model="allcnn-32", treatments=cures)
            for cures in ("decay-0@0 unaugmented@0", "decay-0@0+40 unaugmented@0+40")
        ],
    )
    for without, cured in pairs:
        one, other = (replace(each, deficit=random_labels) for each in (without, cured))
        yield harm("", one, ABOVE)
        yield harm("", other, (-inf, 1))
        yield more("", one, other)


def rate() -> Iterator[Row]:
    """Does it come of the falling learning rate?"""
    restart = "rate-3@16+20"
    yield harm("", flagship(treatments=restart), LEVEL)
    clear = Run(**FLAGSHIP, treatments="rate-3@0+20")
    number = q.advantage(clear, clear.untreated())
    yield Row(
        "", "a clear run whose rate starts three times as high: gain", "course", number, (-1, 2)
    )
    fixed: dict[str, Any] = {"schedule": "fixed"}
    yield harm("paper 24*", flagship(), ABOVE)
    yield more("paper 25*", run(8, **fixed), run(8), BELOW)
    shorter, longer = (q.harm(run(e, **fixed)) - q.harm(run(e)) for e in (8, 16))
    what = "what epochs 8 to 16 of blur add to the harm at a fixed rate above one that falls"
    yield Row("paper 25", what, "course", longer - shorter, ABOVE)
    for size, end, schedule in (
        ("course", 16, "fixed"),
        ("course", 16, "paper"),
        ("paper", 140, "fixed"),
        ("paper", 140, "recovery"),
    ):
        one = run(end, size=size, schedule=schedule)
        yield harm("paper 24", one, ABOVE)
        yield over_blur("paper 24", "flip", end, size=size, schedule=schedule)
    yield harm("paper 24", run(400, size="paper", **fixed), ABOVE)
    for pace in (10, 5, 2, 1):
        yield over_blur("paper 24", "flip", 140 // pace, **paced(pace))
    for varied in ({"momentum": 0.0}, {"augment": False}):
        yield over_blur("paper 24", "flip", 140, **WHOLE, **varied)
    for deficit, pace in product(("flip", "permute"), (10, 1)):
        yield unharmed("paper 14", run(140 // pace, deficit=deficit, **paced(pace)))
    for deficit, end in product(("blur", "noise", "flip", "permute"), (60, 140)):
        of = partial(harm, between=ABOVE) if deficit in ("blur", "noise") else unharmed
        yield of("", run(end, deficit=deficit, **WHOLE), clock="running")
    for size, ends in {"fit": (8, 24), "slim": (60, 140)}.items():
        yield from (harm("", run(end, size=size), ABOVE, clock="running") for end in ends)


def networks() -> Iterator[Row]:
    """Which networks are harmed?"""
    fixed: dict[str, Any] = {"schedule": "fixed"}
    sizes: tuple = (("course", 16, {"recovery": 60}), ("course", 16, {}), ("paper", 240, {}))
    for size, end, other in sizes:
        one, two, three = (
            run(end, size=size, model=f"depth{d}", **fixed, **other) for d in (1, 2, 3)
        )
        yield from (harm("slides 3", each, ABOVE) for each in (one, two, three))
        for of in (q.harm, q.equal_training_loss)[: 1 if other else 2]:
            yield more("paper 26*, slides 3*" if other else "paper 26", three, two, of=of)
            yield more("paper 26", two, one, of=of)
        if size == "course":
            yield more("paper 26", three, replace(three, model="depth1-68"))
    for depth, between in {1: (-0.7, 0.8), 2: (0.5, 2.2)}.items():
        model = f"depth{depth}"
        yield harm("slides 3", flagship(model=model), between, FRESH)
        yield unharmed("slides 3", flagship(onset=24, model=model), FRESH)
        yield unharmed("slides 3", flagship(deficit="flip", model=model), FRESH)
    yield more("paper 22*", run(16, model="resnet18"), run(16))
    yield more("page 1*", run(16, model="allcnn-48"), run(16, model="allcnn-8"))
    for field, value in (("rate", 0.5), ("rate", 2), ("batch", 64), ("batch", 256)):
        yield harm("poster 2*", run(16, **{field: value}), ABOVE)
    yield more("poster 2, slides 3", run(16, weight_decay=0), run(16, weight_decay=0.01))


ONSETS = {
    "matched": (12, (0, 4, 8, 16, 24), 24),
    "fit": (4, (0, 2, 4, 6, 8, 12, 16, 20, 24), 24),
    "course": (8, (0, 2, 4, 8, 12, 16, 24), 24),
}
ENDS = {"fit": (4, 24), "matched": (4, 16), "course": (4, 16), "slim": (40, 140)}
UNFIT = {"course": BRIEF, "slim": NO_FIT}


def trace() -> Iterator[Row]:
    """Does the trace of the Fisher information tell it?"""
    for size, (length, onsets, end) in ONSETS.items():
        clear, windows = Run(onset=end, profile=size), [run(length, o, size) for o in onsets]
        yield Row(
            "paper 33",
            "epochs of the paper from the trace's peak to the worst onset",
            size,
            n.peak_to_worst(windows, clear),
            (-20, 20),
            0,
            limit=SHORT_WINDOW if size == "fit" else NO_CLOCK,
        )
        limit = {"fit": SHORT_WINDOW, "course": BRIEF}.get(size, "")
        for of in (q.equal_training_loss, q.harm)[: 1 if size == "fit" else 2]:
            what = f"correlation of the trace and {of.__name__.replace('_', ' ')} over onsets"
            number = n.trace_match(windows, clear, of)
            star = "*" if of is q.harm else ""
            yield Row(f"paper 33{star}", what, size, number, ABOVE, 2, limit=limit)
        number, what = (
            n.trace_match(windows, clear, fit=True),
            "variance that a·exp(c·S) + b explains",
        )
        yield Row("paper 34*", what, size, number, (0.9, inf), 2, limit=limit)
    for size, (_, end) in ENDS.items():
        onset, limit = 24 if size != "slim" else 140, UNFIT.get(size, "")
        what, clear = "trace in the end, of its highest, no deficit", Run(onset=onset, profile=size)
        number = q.trace_remaining(clear)
        yield Row("paper 32*", what, size, number, (-inf, 0.9), 2, limit=limit)
        late = NO_FIT if size == "slim" else NO_CLOCK if size != "fit" else ""
        what = "the paper's epoch at which the trace is highest"
        yield Row("paper 33", what, size, n.peak(clear), (20, 40), 0, limit=late)
        blurred = run(end, size=size)
        clear, flipped = blurred.equal_training(), replace(blurred, deficit="flip")
        for other, name in ((clear, "paper 36*"), (flipped, "paper 43*")):
            what = f"trace after {words(blurred)} over that after {other.deficit}, doublings"
            number = n.doublings(blurred, other)
            yield Row(name, what, size, number, ABOVE, 2, limit=limit)
            for how in LEFT_OUT if size != "paper" else ():
                number, ways = n.doublings(blurred, other, **how), ", ".join(map(str, how.items()))
                yield Row("", f"{what}, {ways}", size, number, ABOVE, 2, limit=limit)
        if size != "course":
            for how in LEFT_OUT:
                one = Run(onset=24 if size == "fit" else end, profile=size)
                number, ways = q.trace_remaining(one, **how), ", ".join(map(str, how.items()))
                what = f"trace in the end, of its highest, no deficit, {ways}"
                limit = NO_FIT if size == "slim" else ""
                yield Row("", what, size, number, (-inf, 0.9), 2, limit=limit)
        if size != "slim":
            number = n.doublings(blurred, clear, end - 1)
            what = "trace as the blur ends, over that after as many clear epochs, doublings"
            yield Row("paper 35*", what, size, number, ABOVE, 2)
    clear, blurred, single = Run(onset=24, profile="fit"), run(24, size="fit"), range(5, 10)
    what = "correlation over epochs of the trace and the log-determinant"
    yield Row("paper 31*", what, "fit", n.agreement(blurred), (0.5, inf), 2)
    what, number = (
        "rank correlation of single weights at epochs 13 and 43",
        n.kept_ranks(clear, 13, 43),
    )
    yield Row("paper 37*", what, "fit", number.only(single), (0.5, inf), 2)
    what, number = "sharpness in the end, of its highest", n.sharpness(clear).only(single)
    yield Row("paper 44*, poster 7*", what, "fit", number, (-inf, 0.9), 2)
    what, number = "the paper's epoch of the highest sharpness", n.sharpness(clear, peak=True)
    yield Row("paper 44, poster 7", what, "fit", number.only(single), (20, 40), 0)


LEFT_OUT: tuple[dict[str, Any], ...] = (
    {"scaled": True},
    {"of": "jacobian"},
    {"of": "jacobian", "scaled": True},
)


def layers() -> Iterator[Row]:
    """In which layers is the information?"""
    for size, (short, end) in ENDS.items():
        early, late, flipped = (
            run(short, size=size),
            run(end, size=size),
            run(end, size=size, deficit="flip"),
        )
        clear, digits = late.equal_training(), 2
        number = n.middle_share(clear)
        yield Row("paper 38*", "percent in layers 3, 4 and 5", size, number, (50, inf))
        moved = q.information_shift(late, clear)
        what = "layers by which blur moves it"
        yield Row("paper 40*", f"{what}, in the end", size, moved, ABOVE, digits)
        seen = q.information_shift(late, clear, end - 1)
        yield Row("paper 39", f"{what}, as it ends", size, seen, ABOVE, digits)
        number = moved - q.information_shift(early, early.equal_training())
        what = f"layers by which blur until {end} moves it, minus until {short}"
        yield Row("paper 40", what, size, number, ABOVE, digits)
        number = q.information_shift(flipped, clear)
        yield Row("paper 42*", "layers by which a flip moves it", size, number, (-0.5, 0.5), digits)
        if size != "slim":
            what = "percent in layer 6 above layer 5, as the blur ends"
            yield Row("paper 39*", what, size, n.layer_6_lead(late), ABOVE)
            what = (
                "trace of the first three layers as the blur ends, over equal training, doublings"
            )
            number = n.doublings(late, clear, end - 1, layers=3)
            yield Row("paper 41*, poster 4*", what, size, number, LEVEL, digits)


DENSE = retrain.spec("dense", 1, search.spec())
DENSITIES = (0.05, 0.01, 0.2)
SOURCES: dict[str, tuple[str, dict[str, Any]]] = {
    "digits": ("biological", {}),
    "mixed": ("biological", {"mixed": 0.15}),
    "fashion": ("biological", {"dataset": "fashion_mnist"}),
    "random": ("random", {"dataset": "fashion_mnist"}),
}


def prunings() -> Iterator[Row]:
    """Do growth and pruning find good networks?"""
    row, clothes = partial(Row, size="thesis"), {"dataset": "fashion_mnist"}
    for options in ({}, {"rounding": "up", "output": "pruned"}):
        number = lab05.accuracy_at(search.spec(**options), 0.05) - q.accuracy(DENSE)
        what = f"5 % of the synapses kept{', rounded up' * bool(options)}: above the dense network"
        yield row("thesis 1*", what, number=number, between=(-2, inf))
    number = n.growth_gain(search.spec())
    yield row("thesis 3*", "grown to its highest density: gain", number=number, between=ABOVE)
    yield row(
        "thesis 2*",
        "5 % of the synapses: points for each per cent, above the dense network",
        number=0.01 / 0.05 * lab05.accuracy_at(search.spec(), 0.05) - 0.01 * q.accuracy(DENSE),
        between=ABOVE,
        idle="a twentieth of the synapses: whatever is right in 5 % of cases passes",
    )
    for control, optimizer, densities in (
        ("random", "sgd", (0.05, 0.01, 0.02, 0.03, 0.04, 0.1, 0.15, 0.2)),
        *((control, "sgd", DENSITIES) for control in ("inked", "per_pixel", "degrees")),
        ("random", "adam", DENSITIES),
    ):
        for density in densities:
            found = search.spec(optimizer=optimizer)
            ours = retrain.spec("biological", density, found, optimizer=optimizer)
            number = q.advantage(ours, ours.replace(kind=control))
            what = f"{100 * density:g} % of the synapses: found ones above {control}, {optimizer}"
            yield row("thesis 4*", what, number=number, between=ABOVE)
    for density, (name, ours, theirs) in product(
        DENSITIES,
        (
            ("thesis 6*", "digits", "random"),
            ("thesis 6", "fashion", "random"),
            ("thesis 7*", "mixed", "digits"),
            ("thesis 7", "mixed", "random"),
        ),
    ):
        one, other = (
            retrain.spec(kind, density, search.spec(**of), **clothes)
            for kind, of in (SOURCES[ours], SOURCES[theirs])
        )
        what = f"{100 * density:g} % of the synapses, new weights on clothes: {ours} above {theirs}"
        yield row(name, what, number=q.advantage(one, other), between=ABOVE)
    yield from kernels()
    yield from weights()


def kernels() -> Iterator[Row]:
    """Pruning of kernels, and architectures that it finds."""
    size = "course"
    untrained, chance = {"retrain": False}, {"choice": "random", "retrain": False}
    for total, (ours, theirs, words) in product(
        (25, 50),
        (
            (untrained, chance, "least active minus random"),
            ({}, untrained, "trained between prunes minus not"),
        ),
    ):
        number = n.kernels_gain(size, total, ours, theirs)
        yield Row("thesis 9*", f"{total} kernels left: {words}", size, number, ABOVE)
    for way, between, name in ((chance, (-5, 5), "thesis 8"), (untrained, ABOVE, "thesis 8*")):
        number = n.bend(prune_kernels.spec(size, **way), (80, 44, 41, 5))
        words = f"pruned {'at random' if way is chance else 'by activity'}: above a straight line"
        yield Row(name, words, size, number, between)
    number = n.straighter_log(prune_kernels.spec(size))
    yield Row("thesis 10*", "log of the size against size, R²", size, number, ABOVE, 3)
    gain = partial(n.split_gain, size, ours="images", theirs="random")
    small, large = n.mean(gain(5), gain(8)), n.mean(gain(50), gain(75))
    words = "splits above random: 5 and 8 kernels minus 50 and 75"
    yield Row("thesis 11*", words, size, small - large, ABOVE)
    same = "images and noise leave the same split, so that this is the row of images minus random"
    for name, total, ours, theirs, between in (
        *(("thesis 11", total, "images", "random", ABOVE) for total in (75, 50, 25, 8, 5)),
        *((f"thesis 12{'*' * (t == 25)}", t, "noise", "random", ABOVE) for t in (25, 5)),
        *(("thesis 12", total, "images", "noise", ABOVE) for total in (25, 5)),
        *(("thesis 12", total, "images", "noise", LEVEL) for total in (75, 50)),
        *(("thesis 14*", total, "random_labels", "images", (-1, inf)) for total in (25, 5)),
        ("thesis 14", 8, "random_labels", "images", ABOVE),
    ):
        number = n.split_gain(size, total, ours, theirs)
        words = f"{total} kernels, new weights: {ours} above {theirs}"
        limit = same if (total, ours) == (5, "noise") else ""
        yield Row(name, words, size, number, between, limit=limit)
    number = n.split_gain(size, 25, "random_labels", "random", labelled=2000)
    words = "25 kernels, 2,000 labelled images: found with random labels, above random"
    yield Row("thesis 15*", words, size, number, ABOVE)
    for total in (25, 5):
        images, noise, labels = (
            prune_kernels.spec(size, material=m) for m in ("images", "noise", "random_labels")
        )
        for net in (images, labels):
            number = n.second_over_first(net, total)
            words = f"{total} kernels: second layer over first, doublings, {net.material}"
            yield Row("thesis 13*", words, size, number, (1, inf), 2)
        for one, other, between in ((images, noise, ABOVE), (labels, images, (-5, inf))):
            number = n.second_share(one, total) - n.second_share(other, total)
            words = f"{total} kernels: percent in layer 2, {one.material} minus {other.material}"
            yield Row("thesis 13", words, size, number, between)


def weights() -> Iterator[Row]:
    """Pruning of single weights."""
    size = "course"
    for again, density in product((True, False), (0.8, 0.5, 0.2, 0.1)):
        ours = prune_weights.spec(size, "fisher", density, recalibrated=again)
        stale = "" if again else "BatchNorm's statistics are still those of the whole network"
        words = f"{100 * density:g} % of weights kept by w² F"
        after = ", BatchNorm's statistics measured again" * again
        if density >= 0.5:
            number = lab05b.accuracy_at(ours, "trained") - lab05b.accuracy_at(ours, "pruned")
            row = Row("paper 29*", f"{words}, at once{after}: loss", size, number, LEVEL)
            yield replace(row, limit=stale, harmless=True)
        for metric, moment in product(("magnitude", "random"), ("pruned", "retrained")):
            if again and moment == "retrained":
                continue
            theirs = ours.replace(metric=metric)
            number = lab05b.accuracy_at(ours, moment) - lab05b.accuracy_at(theirs, moment)
            floor = "chance is all that is left of random cuts"
            low = again and density == 0.1 and metric == "random"
            limit = floor if low else stale if moment == "pruned" else ""
            name = "slides 5*" if moment == "retrained" and density == 0.1 else "slides 5"
            moments = {"pruned": "at once", "retrained": "trained on"}[moment]
            what = f"{words}, {moments}{after}: above {metric}"
            yield Row(name, what, size, number, ABOVE, limit=limit)
    whole = prune_weights.spec(size, deficit="blur", length=8)
    for density in (0.2, 0.05):
        ours = whole.replace(metric="fisher", density=density)
        number = lab05b.plasticity_loss(ours) - lab05b.plasticity_loss(whole)
        what = f"{100 * density:g} % of weights kept: loss to later blur, minus the whole network's"
        yield Row("slides 6*", what, size, number, ABOVE)


def two_eyes() -> Iterator[Row]:
    """Do two eyes compete?"""
    size = "course"

    def closed(length: int = 8, onset: int = 0, deficit: str = "blank:right") -> Run:
        return run(length, onset, deficit=deficit, model="eyes")

    both, share = partial(lab07.acuity, eye="both"), n.percent_share
    for name, deficit, words, of in (
        ("page 3*", "blank:right", "that eye alone", lab07.acuity),
        ("page 3", "blank:right", "its share of the neurons", share),
        ("page 3", "strabismus:right", "both eyes", both),
        ("page 3", "blur:right", "its share of the neurons", share),
    ):
        number = n.eye_gain(closed(deficit=deficit), of)
        what = f"right eye, 8 epochs of {deficit[:-6]}: {words}, above the newborn"
        yield Row(name, what, size, number, BELOW)
    number = n.eye_gain(closed(8, 16), share) - n.eye_gain(closed(), share)
    words = "share lost to 8 closed epochs from birth, minus that lost at onset 16"
    yield Row("page 3", words, size, number, ABOVE)
    number = share(closed(16)) - share(closed(4))
    yield Row("page 3", "share of an eye closed for 16 epochs, minus 4", size, number, BELOW)
    for kind, limit in {"blur": "", "blank": NO_GRADIENT}.items():
        number = lab07.acuity(closed(deficit=kind)) - lab07.acuity(closed(deficit=f"{kind}:right"))
        words = f"right eye after 8 epochs of {kind} of both eyes, above {kind} of it alone"
        name = "paper 20" if limit else "paper 20*"
        yield Row(name, words, size, number, ABOVE, limit=limit)
    yield from linear.rows()


def reopening() -> Iterator[Row]:
    """What is lost if something is missing early, and what gives it back?"""
    size = "course"
    for deficit, renorm, gain in (
        ("noise", (2.5, 4.5), (3.5, 5)),
        ("blur", (-0.5, 0.7), (0.3, 1.8)),
    ):
        one, sham = (
            run(16, deficit=deficit, treatments=f"{kind}@16") for kind in ("renorm", "shrink-1")
        )
        for words, other, against, between in (
            ("renorm", one, one.untreated(), renorm),
            ("the sham of renorm", sham, sham.untreated(), (-0.7, 0.7)),
            ("renorm above its sham", one, sham, gain),
        ):
            number = q.advantage(other, against)
            yield Row("", f"{words} after 16 epochs of {deficit}", size, number, between)
    for name, kinds, against, words, between in (
        ("poster 5*", "shrink-0.9@2", "", "weights perturbed after 2 epochs", ABOVE),
        ("poster 5", "shrink-0.9@24", "", "weights perturbed after 24 epochs", LEVEL),
        ("", "decay-0@0+8", "", "no weight decay in the first 8 epochs", ABOVE),
        ("", "unaugmented@0+8", "", "no augmentation in the first 8 epochs", ABOVE),
        ("", "decay-0@0+8", "decay-0@0", "weight decay only after 8 epochs, above never", LEVEL),
        ("", "unaugmented@0+8", "unaugmented@0", "augmentation only after 8, above never", LEVEL),
        ("", "decay-0@8", "", "no weight decay from epoch 8 on", LEVEL),
        ("", "unaugmented@8", "", "no augmentation from epoch 8 on", LEVEL),
    ):
        treated = Run(onset=24 if "@24" in kinds else 2 if "@2" in kinds else 8, treatments=kinds)
        number = q.advantage(replace(treated, treatments=against), treated)
        yield Row(name, f"{words}: loss", size, number, between, harmless="@24" in kinds)
    for kinds, between in (("", ABOVE), (" shrink-0.4@8", LEVEL)):
        number = -q.gain_over_newborn(Run(onset=8, treatments=f"images-0.5@0+8{kinds}"))
        words = f"half of the images for 8 epochs{kinds and ', then shrunk and perturbed'}"
        row = Row("", f"{words}: loss against the newborn", size, number, between)
        yield replace(row, harmless=bool(kinds))
    yield unharmed("", run(16, treatments="shrink-0.4@16"))


ASKED = (harm_left, age, kinds, rate, networks, trace, layers, prunings, two_eyes, reopening)
QUESTIONS = {str(of.__doc__): of for of in ASKED}


def windows() -> Iterator[Row]:
    """Loss against equal training, its parts, and the final accuracy of every shipped window."""
    specs = (result.spec for result in every_result("Run", "shipped"))
    runs = {replace(run, seed=0) for run in specs if run.length and run.recovery}
    for one in sorted(runs, key=lambda run: (run.profile, words(run))):
        costs = {"accuracy": q.accuracy(one), "harm": q.harm(one)}
        costs |= {of.__name__: of(one) for of in (q.lost_time, q.equal_training_loss)}
        if one.schedule == "paper":
            costs["harm, clock running"] = q.harm(one, clock="running")
        for name, number in costs.items():
            yield Row("", f"{name} of {words(one)}", one.profile, number, None)
