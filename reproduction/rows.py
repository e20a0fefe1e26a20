"""The rows of rows.csv: our numbers, and where each lies if a source is right.

Nothing here is a result. Bounds come from what the source says, never from our forecasts; how near
"about" or "no effect" is was our choice. A row names what it answers: statements of
REPRODUCTION.md, or another work. Of rows of one size a star marks the one whose conditions are
nearest to the source's.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from itertools import pairwise, product
from math import inf
from typing import Any

from cplab import quantities as q
from cplab.estimates import Estimate
from cplab.gallery import gaussian_blur, random_labels
from cplab.labs import lab02, lab04, lab04_trace, lab04b, lab05, lab05b, lab07
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.labs.lab05b_pruning import prune_kernels, prune_weights
from cplab.runs import Run
from cplab.specs.profiles import PROFILES
from reproduction import linear
from reproduction import numbers as n
from reproduction.row import ABOVE, BELOW, LEVEL, Range, Row

# Seeds that nobody had looked at when a row was asked
FRESH, LATER, MORE = range(15, 30), range(5, 30), range(5, 10)
NO_LATE = "harm from birth alone: no late window was trained"
STEPS = "by steps, onset 4 is the paper's epoch 0.8: its worst onset, near 30, is not reached"
FIXED: dict[str, Any] = {"schedule": "fixed"}
FLAGSHIP: dict[str, Any] = {"model": "depth3", **FIXED, "recovery": 60}
WHOLE: dict[str, Any] = {"schedule": "paper", "pace": 1, "recovery": 160}
ENDS = {"course": 16, "slim": 140, "paper": 140, "fit": 24, "matched": 16}  # of a long deficit


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
    answers: str, run: Run, between=ABOVE, seeds: Iterable = (), clock="stopped", **how: Any
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


def by_age(answers: str, run: Run, early: bool | None) -> Row:
    """A row with the harm of a run that begins early, late or from birth (None), see `Row`."""
    return harm(answers, run, LEVEL if early is False else ABOVE, early=early)


def loss(answers: str, run: Run, between: Range, of=q.equal_training_loss, **how: Any) -> Row:
    """A row with what a run loses against equal training, or another of its costs."""
    what = f"{of.__name__.replace('_', ' ')} of {words(run)}"
    return Row(answers, what, run.profile, of(run), between, **how)


def over_blur(answers: str, deficit: str, length: int, **other: Any) -> Row:
    """A row with the points after a deficit above those after as much blur."""
    ours = run(length, deficit=deficit, **other)
    number = q.advantage(ours, replace(ours, deficit="blur"))
    return Row(answers, f"{words(ours)}, above as much blur", ours.profile, number, ABOVE)


def more(
    answers: str, one: Run, other: Run, between=ABOVE, of=q.harm, seeds: Sequence = (), **how: Any
) -> Row:
    """A row with the points that one run costs above those that another costs."""
    number, what = of(one) - of(other), f"{of.__name__.replace('_', ' ')} of {words(one)}"
    what += f", minus that of {words(other)}"
    if seeds:
        number, what = number.only(seeds), f"{what}, seeds from {seeds[0]}"
    return Row(answers, what, one.profile, number, between, **how)


def doubled(run: Run, clock: str = "stopped") -> Estimate:
    """log₂ of the test error after a deficit, over that without it."""
    return lab04_trace.doublings(100 - q.accuracy(run), 100 - q.accuracy(run.without_window(clock)))


def harm_left() -> Iterator[Row]:
    """Does an early blur leave harm?"""
    for size, end in {"paper": 140, "slim": 140, "course": 16}.items():
        blurred, clear = run(end, size=size), Run(onset=end, profile=size)
        for name, one, where in (("paper 1*", blurred, (18, inf)), ("poster 6*", clear, (7, 9))):
            what = f"test error {f'after {end} epochs of blur' if one is blurred else 'clear'}, %"
            limit = "fewer pixels, and fewer images or kernels" if size == "slim" else ""
            if size != "course":
                yield Row(name, what, size, 100 - q.accuracy(one), where, limit=limit)
        other = doubled(blurred, "running") if blurred.schedule == "paper" else None
        what = f"test error after {end} epochs of blur, above the newborn's, doublings"
        yield Row("paper 2*", what, size, doubled(blurred), (1, 2), 2, other)
    yield harm("paper 3*", flagship())
    lengths = {"course": (16, 8), "slim": (140, 60), "matched": (16, 8), "fit": (24,)}
    for size, ends in lengths.items():
        yield from (harm("paper 3, paper 6", run(end, size=size)) for end in ends)
    for size in ("matched", "course"):
        first, both = run(8, size=size), run(16, size=size)
        what = f"harm of {words(first)}, minus what blur adds to it until 16"
        number = q.harm(first) - q.advantage(first, both)
        yield Row("paper 4", what, size, number, ABOVE)
    yield more("paper 4*", flagship(48), flagship(16), seeds=FRESH)
    yield more("paper 4", flagship(64), flagship(48), LEVEL, seeds=FRESH)
    for shorter, longer in pairwise((2, 4, 8, 16, 24, 32, 48)):
        yield more("paper 4", flagship(longer), flagship(shorter), seeds=FRESH)
    for length in (2, 4, 8, 16, 24, 32, 48, 64):
        yield harm("", flagship(length), seeds=FRESH)
    for length in (48, 16):
        late, soon = flagship(length, recovery=240), flagship(length)
        star = "*" if length == 48 else ""
        yield more(f"paper 5{star}", late, soon, LEVEL, seeds=FRESH)
        yield harm("paper 5", late, seeds=FRESH)
    for recovery in (120, 240):
        yield harm("paper 5", run(16, recovery=recovery))
    yield loss("paper 6*", flagship(), LEVEL, q.lost_time)
    for size, end in {"course": 16, "paper": 180}.items():
        yield harm("paper 21*", run(end, size=size, model="resnet18"), part=NO_LATE)
    half = [("paper", "fc-1250", end) for end in (480, 240)]
    for size, model, end in (*half, ("paper", "fc", 480), ("mnist", "fc", 32)):
        blurred = run(end, size=size, model=model, dataset="mnist", **FIXED)
        yield harm("paper 23*", blurred, digits=2, part=NO_LATE)
        for one in (blurred, blurred.newborn()) if size == "paper" and end == 480 else ():
            what = f"{words(blurred)}: {'' if one.length else 'newborn, '}test error, %"
            yield Row("paper 23", what, size, 100 - q.accuracy(one), (0.8, 1.4), 2)
    for size, end in {"course": 16, "fit": 12, "paper": 140}.items():
        yield harm("poster 1", run(end, size=size, optimizer="adam"), part=NO_LATE)
    for rate, star in ((2, ""), (5, ""), (10, "*")):
        yield harm(f"poster 1{star}", run(16, optimizer="adam", rate=rate), part=NO_LATE)
    yield harm("paper 51", run(140, size="paper", momentum=0))
    what = "longest blur from birth with less than a point of harm, of 24 epochs at most"
    idle = "a definition, which predicts no number"
    yield Row("slides 1*", what, "course", n.longest_harmless(run(24)), (0, 24), idle=idle)


def age() -> Iterator[Row]:
    """Does it matter when the blur comes?"""
    yield harm("", flagship(), ABOVE, LATER)
    yield harm("paper 13", flagship(), ABOVE, range(5))
    yield unharmed("paper 11*, slides 2", flagship(onset=24), LATER)
    yield more("paper 13*, slides 2", flagship(), flagship(onset=24))
    yield harm("slides 2*", run(32, size="mnist", model="fc", dataset="mnist", **FIXED), digits=2)
    for onset in (2, 4, 8, 16):
        yield harm("paper 13", flagship(onset=onset), ABOVE, LATER)
        yield more("paper 13", flagship(), flagship(onset=onset), seeds=FRESH)
    for length, seeds in product((16, 48), (LATER, FRESH)):
        yield more("paper 13", flagship(length), flagship(length, 24), seeds=seeds)
    yield unharmed("paper 11", flagship(onset=48), FRESH)
    yield harm("paper 11", flagship(48))
    for seeds in (FRESH, MORE):
        for onset in (24, 48):
            yield unharmed("paper 11", flagship(48, onset), seeds)
    for images in ("cifar10-part2", "cifar10-part3", "cifar10-part4"):
        one, other = (flagship(onset=onset, dataset=images) for onset in (0, 24))
        yield harm("slides 2", one, ABOVE, FRESH)
        yield more("slides 2", one, other)
    yield harm("slides 2", flagship(dataset="fashion_mnist"), ABOVE, FRESH)
    yield unharmed("slides 2", flagship(onset=24, dataset="fashion_mnist"), FRESH)
    idle = "it says how much is lost, not in which phase of learning"
    for onset, between, half in ((0, (16, inf), (0.25, 0.45)), (24, (-16, 16), (0.2, 0.4))):
        one = flagship(onset=onset)
        number, what = n.clear_epochs_behind(one), f"clear epochs behind after {words(one)}"
        yield Row("paper 8", what, "course", number, between, looked=True, idle=idle)
        number, what = lab02.half_by_images(one, 24), "half the interval over other test images"
        yield Row("", f"{what}, {words(one)}", "course", number, half, 2)
    early = {0: None, 2: True, 4: True, 8: True, 12: True, 16: True, 24: False}
    for onset, when in early.items():
        one, between = run(8, onset), LEVEL if when is False else ABOVE
        number, what = n.in_clear_epochs(one), f"harm of {words(one)}, in clear epochs"
        yield Row("paper 8", what, "course", number, between, early=when, looked=True)
        yield by_age("paper 13", one, when)
    yield more("paper 8*", run(8), run(8, 24), of=n.in_clear_epochs, looked=True)
    for onset in (4, 8, 16, 24, 0):
        yield by_age("paper 13", run(12, onset, "matched"), early[onset])
    clothes = [run(8, onset, dataset="fashion_mnist") for onset in (0, 4, 8, 16, 24)]
    for one, when in zip(clothes, (None, True, True, False, False), strict=True):
        yield by_age("slides 2", one, when)
    yield more("slides 2", clothes[0], clothes[-1])
    for size, length in {"course": 8, "matched": 12}.items():
        yield harm("poster 3*", run(length, size=size), LEVEL, limit=STEPS)
    for size, length, middle in (("course", 8, (2, 4)), ("matched", 12, (4, 8))):
        first, *others, late = (run(length, onset, size) for onset in (0, *middle, 24))
        for of in (q.equal_training_loss, q.harm):
            number = 0.5 * (of(others[0]) + of(others[1])) - of(first)
            what = f"{of.__name__.replace('_', ' ')} of {length} epochs of blur at {middle[0]} and "
            what += f"{middle[1]}, minus that from birth"
            yield Row("paper 10*, paper 12*", what, size, number, ABOVE, limit=STEPS)
        yield loss("paper 11", late, LEVEL)
        yield more("paper 13", first, late)
    birth, soon, late = (run(40, onset, **WHOLE) for onset in (0, 20, 80))
    limit = "the rate falls with the epochs, and of this number there is no second control"
    yield loss("paper 9*", birth, (1, 3), limit=limit)
    for one, when in ((birth, None), (soon, True), (late, False)):
        yield by_age("paper 9", one, when)
    yield harm("paper 9", replace(soon, deficit="flip"), LEVEL)


def kinds() -> Iterator[Row]:
    """Is it only low-level deficits that harm?"""
    yield harm("paper 7", flagship(deficit=gaussian_blur))
    yield more("paper 7*", flagship(), flagship(deficit=gaussian_blur), (-1.5, 1.5))
    for deficit, star in {"flip": "*", "permute": ""}.items():
        yield unharmed(f"paper 14{star}", flagship(deficit=deficit), LATER)
        yield from (unharmed("paper 14", flagship(*w, deficit), FRESH) for w in ((48, 0), (16, 24)))
        for size, end in ENDS.items():
            one = run(end, size=size, deficit=deficit)
            if deficit == "flip" or size not in ("fit", "matched"):
                yield unharmed("paper 14", one)
                if one.schedule == "recovery":
                    yield replace(loss("paper 14", one, LEVEL), harmless=True)
                yield over_blur("paper 14", deficit, end, size=size)
    yield harm("paper 16*", flagship(deficit="noise"), ABOVE, LATER)
    yield harm("paper 16", flagship(48, 0, "noise"), ABOVE, FRESH)
    yield more("paper 16", flagship(16, 0, "noise"), flagship(16, 24, "noise"), seeds=FRESH)
    for size, end in {"course": 16, "slim": 140, "paper": 160}.items():
        yield harm("paper 16", run(end, size=size, deficit="noise"))
        yield over_blur("paper 17", "noise", min(end, 140), size=size)
    for end in (16, 48):
        yield more("paper 17*", flagship(end), flagship(end, 0, "noise"))
    yield from (over_blur("paper 17", "noise", 16, recovery=r) for r in (120, 240))
    yield harm("paper 16", run(16, deficit="fresh_noise"))
    for star, of, ends in (("", run, (24, 16)), ("*", flagship, (48, 16))):
        long, short = (q.harm(of(e, deficit="noise")) - q.harm(of(e)) for e in ends)
        what = f"what epochs {ends[1]} to {ends[0]} add to noise's harm above blur's"
        what += ", three blocks" * (of is flagship)
        yield Row(f"paper 18{star}", what, "course", long - short, ABOVE, looked=of is flagship)
    for deficit in ("flip", "permute"):
        one = flagship(deficit=deficit)
        what = f"clear epochs until a newborn's end is reached, after {words(one)}"
        yield Row("paper 15*", what, "course", n.epochs_to_newborn(one), (-inf, 60), 0)
    yield harm("paper 19*", run(16, deficit="blank", model="plain"))
    random = partial(run, 40, deficit=random_labels)
    by_decay = [random(0, "matched", weight_decay=decay) for decay in (0, 0.01)]
    cures = [f"decay-0@0{until} unaugmented@0{until}" for until in ("", "+40")]
    by_both = [random(model="allcnn-32", treatments=cure) for cure in cures]
    for without, cured in (by_decay, by_both):
        yield harm("Liu 2020", without)
        yield harm("Liu 2020", cured, (-inf, 1))
        yield more("Liu 2020", without, cured)


def rate() -> Iterator[Row]:
    """Does it come of the falling learning rate?"""
    yield harm("Pawlak 2025", flagship(treatments="rate-3@16+20"), LEVEL)
    clear = Run(**FLAGSHIP, treatments="rate-3@0+20")
    number = q.advantage(clear, replace(clear, treatments=""))
    what = "a clear run whose rate starts three times as high: gain"
    yield Row("", what, "course", number, (-1, 2))
    yield harm("paper 24*", flagship())
    idle = "less harm after 8 epochs is not a longer time scale"
    yield more("paper 25*", run(8, **FIXED), run(8), BELOW, idle=idle)
    shorter, longer = (q.harm(run(e, **FIXED)) - q.harm(run(e)) for e in (8, 16))
    what = "what epochs 8 to 16 of blur add to the harm at a fixed rate above one that falls"
    yield Row("paper 25", what, "course", longer - shorter, ABOVE)
    for size, schedule in product(("course", "paper"), ("fixed", "paper", "recovery")):
        if PROFILES[size].schedule != schedule:
            one = run(ENDS[size], size=size, schedule=schedule)
            yield harm("paper 24", one)
            yield over_blur("paper 24", "flip", one.length, size=size, schedule=schedule)
    yield harm("paper 24", run(400, size="paper", **FIXED))
    for pace in (10, 5, 2, 1):
        how = WHOLE | {"pace": pace, "recovery": 160 // pace}
        yield over_blur("paper 24", "flip", 140 // pace, **how)
    for varied in ({"momentum": 0.0}, {"augment": False}):
        yield over_blur("paper 24", "flip", 140, **WHOLE, **varied)
    for deficit, pace in product(("flip", "permute"), (10, 1)):
        how = WHOLE | {"pace": pace, "recovery": 160 // pace}
        yield unharmed("paper 14", run(140 // pace, deficit=deficit, **how))
    for deficit, end in product(("blur", "noise", "flip", "permute"), (60, 140)):
        of = harm if deficit in ("blur", "noise") else unharmed
        yield of("", run(end, deficit=deficit, **WHOLE), clock="running")
    for size, ends in {"fit": (8, 24), "slim": (60, 140)}.items():
        yield from (harm("", run(end, size=size), clock="running") for end in ends)


def networks() -> Iterator[Row]:
    """Which networks are harmed?"""
    long = {"recovery": 60}
    for size, end, other in (("course", 16, long), ("course", 16, {}), ("paper", 240, {})):
        how = {"size": size, **FIXED, **other}
        one, two, three = nets = [run(end, model=f"depth{depth}", **how) for depth in (1, 2, 3)]
        yield from (harm("slides 3", each) for each in nets)
        for of in (q.harm, q.equal_training_loss)[: 1 if other else 2]:
            yield more("paper 26*, slides 3" if other else "paper 26", three, two, of=of)
            yield more("paper 26, slides 3*" if other else "paper 26", two, one, of=of)
        if size == "course":
            yield more("paper 26", three, replace(three, model="depth1-68"))
    for depth in (1, 2):
        model = f"depth{depth}"
        yield harm("slides 3", flagship(model=model), ABOVE, FRESH)
        yield unharmed("slides 3", flagship(onset=24, model=model), FRESH)
        yield unharmed("slides 3", flagship(deficit="flip", model=model), FRESH)
    yield more("paper 22*", run(16, model="resnet18"), run(16))
    yield more("page 1*", run(16, model="allcnn-48"), run(16, model="allcnn-8"))
    for field, value in (("rate", 0.5), ("rate", 2), ("batch", 64), ("batch", 256)):
        yield harm("poster 2*", run(16, **{field: value}))
    decays = [run(16, weight_decay=decay) for decay in (0, 0.01)]
    yield more("poster 2, slides 3", *decays, looked=True)


READINGS: dict[str, dict[str, Any]] = {  # of the trace: what is left out
    "": {},
    ", without norms": {"scaled": True},
    ", without certainty": {"measure": "jacobian"},
    ", without certainty and norms": {"measure": "jacobian", "scaled": True},
}


def trace() -> Iterator[Row]:
    """Does the trace of the Fisher information tell it?"""
    clear, windows = Run(onset=24, profile="matched"), (0, 4, 8, 16, 24)
    match = partial(n.trace_match, [run(12, onset, "matched") for onset in windows], clear)
    for star, of in (("", q.equal_training_loss), ("*", q.harm)):
        what = f"correlation of the trace and {of.__name__.replace('_', ' ')} over onsets"
        yield Row(f"paper 33{star}", what, "matched", match(of), ABOVE, 2)
    what = "variance that a·exp(c·S) + b explains"
    yield Row("paper 34*", what, "matched", match(fit=True), (0.9, inf), 2)
    for size in ("fit", "matched", "course"):
        if size != "course":
            yield from traces(size)
        blurred = run(ENDS[size], size=size)
        what = "trace as the blur ends, over that after as many clear epochs, doublings"
        number = lab04.doubled(blurred, blurred.length - 1)
        yield Row("paper 35*", what, size, number, ABOVE, 2)
    blurred, clear = run(24, size="fit"), Run(onset=24, profile="fit")
    what = "correlation over epochs of the trace and the log-determinant"
    yield Row("paper 31*", what, "fit", lab04b.agreement(blurred), (0.5, inf), 2)
    ranks, sharp, peak = n.kept_ranks(clear, 13, 43), n.sharpness(clear), n.sharpness(clear, True)
    what = "rank correlation of single weights at epochs 13 and 43"
    yield Row("paper 37*", what, "fit", ranks.only(MORE), (0.5, inf), 2)
    what = "sharpness in the end, of its highest"
    yield Row("paper 44, poster 7", what, "fit", sharp.only(MORE), (-inf, 0.9), 2)
    what = "the paper's epoch of the highest sharpness"
    yield Row("paper 44*, poster 7*", what, "fit", peak.only(MORE), (20, 40), 0)


def traces(size: str) -> Iterator[Row]:
    """Traces of one size; and without the networks' certainty, or their norms."""
    clear, blurred = Run(onset=24, profile=size), run(ENDS[size], size=size)
    remaining = "trace in the end, of its highest, no deficit"
    yield Row("paper 32*", remaining, size, lab04_trace.trace_remaining(clear), (-inf, 0.9), 2)
    if size == "fit":  # whose rate falls by the epoch
        what = "the paper's epoch at which the trace is highest"
        peak = PROFILES[size].pace * lab04_trace.trace_peak(clear)
        yield Row("paper 33", what, size, peak, (20, 40), 0)
    equal, flipped = blurred.equal_training(), replace(blurred, deficit="flip")
    for other, name in ((equal, "paper 36*"), (flipped, "paper 43*")):
        what = f"trace after {words(blurred)} over that after {other.deficit}, doublings"
        for left_out, how in READINGS.items():
            number, answers = lab04.doubled(blurred, other=other, **how), "" if how else name
            yield Row(answers, f"{what}{left_out}", size, number, ABOVE, 2)
    for left_out, how in [*READINGS.items()][1:]:
        number = lab04_trace.trace_remaining(Run(onset=blurred.length, profile=size), **how)
        yield Row("", f"{remaining}{left_out}", size, number, (-inf, 0.9), 2)


def layers() -> Iterator[Row]:
    """In which layers is the information?"""
    for size, short in {"fit": 4, "matched": 4, "course": 4, "slim": 40}.items():
        early, late = run(short, size=size), run(ENDS[size], size=size)
        clear, end = late.equal_training(), late.length
        moved = lab04_trace.information_shift(late, clear)
        number = n.share_of_layers(clear, 3, 4, 5)
        yield Row("paper 38*", "percent in layers 3, 4 and 5", size, number, (50, inf))
        blur, flip = "layers by which blur moves it", "layers by which a flip moves it"
        yield Row("paper 40*", f"{blur}, in the end", size, moved, ABOVE, 2)
        number = lab04_trace.information_shift(late, clear, end - 1)
        yield Row("paper 39", f"{blur}, as it ends", size, number, ABOVE, 2)
        number = moved - lab04_trace.information_shift(early, early.equal_training())
        what = f"layers by which blur until {end} moves it, minus until {short}"
        yield Row("paper 40", what, size, number, ABOVE, 2)
        number = lab04_trace.information_shift(replace(late, deficit="flip"), clear)
        yield Row("paper 42*", flip, size, number, (-0.5, 0.5), 2)
        if size != "slim":
            what = "percent in layer 6 above layer 5, as the blur ends"
            sixth, fifth = (n.share_of_layers(late, i, epoch=end - 1) for i in (6, 5))
            yield Row("paper 39*", what, size, sixth - fifth, ABOVE)
            what = "trace of the first three layers as the blur ends, over equal training"
            number = lab04.doubled(late, end - 1, layers=3)
            for answers, where in {"paper 41*": LEVEL, "poster 4*": BELOW}.items():
                yield Row(answers, f"{what}, doublings", size, number, where, 2)


DENSITIES = (0.05, 0.01, 0.2)
FASHION = {"dataset": "fashion_mnist"}
SOURCES: dict[str, tuple[str, dict[str, Any]]] = {
    "digits": ("biological", {}),
    "mixed": ("biological", {"mixed": 0.15}),
    "fashion": ("biological", FASHION),
    "random": ("random", FASHION),
}


def prunings() -> Iterator[Row]:
    """Do growth and pruning find good networks?"""
    dense = q.accuracy(retrain.spec("dense", 1, search.spec()))
    size, kept = "thesis", "of the synapses"
    for options in ({}, {"rounding": "up", "output": "pruned"}):
        number = lab05.accuracy_at(search.spec(**options), 0.05) - dense
        what = f"5 % {kept} kept{', rounded up' * bool(options)}: above the dense network"
        yield Row("thesis 1*", what, size, number, (-2, inf))
    what, number = "grown to its highest density: gain", n.growth_gain(search.spec())
    yield Row("thesis 3*", what, size, number, ABOVE)
    what = f"5 % {kept}: points for each per cent, above the dense network"
    number = 0.01 / 0.05 * lab05.accuracy_at(search.spec(), 0.05) - 0.01 * dense
    idle = "a twentieth of the synapses: whatever is right in 5 % of cases passes"
    yield Row("thesis 2*", what, size, number, ABOVE, idle=idle)
    for control, optimizer, densities in (
        ("random", "sgd", (0.05, 0.01, 0.02, 0.03, 0.04, 0.1, 0.15, 0.2)),
        *((control, "sgd", DENSITIES) for control in ("inked", "per_pixel", "degrees")),
        ("random", "adam", DENSITIES),
    ):
        found = search.spec(optimizer=optimizer)
        for density in densities:
            ours = retrain.spec("biological", density, found, optimizer=optimizer)
            number = q.advantage(ours, ours.replace(kind=control))
            what = f"{100 * density:g} % {kept}: found ones above {control}, {optimizer}"
            yield Row("thesis 4*", what, size, number, ABOVE)
    pairs = (("6*", "digits", "random"), ("6", "fashion", "random"))
    pairs += (("7*", "mixed", "digits"), ("7", "mixed", "random"))
    for density, (name, *both) in product(DENSITIES, pairs):
        one, other = (
            retrain.spec(kind, density, search.spec(**of), **FASHION)
            for kind, of in map(SOURCES.get, both)
        )
        what = f"{100 * density:g} % {kept}, new weights on clothes: {both[0]} above {both[1]}"
        yield Row(f"thesis {name}", what, size, q.advantage(one, other), ABOVE)
    yield from kernels()
    yield from weights()


def kernels(size: str = "course") -> Iterator[Row]:
    """Pruning of kernels, and architectures that it finds."""
    untrained, chance = {"retrain": False}, {"choice": "random", "retrain": False}
    ways = [prune_kernels.spec(size, **way) for way in ({}, untrained, chance)]
    for total in (25, 50):
        whole, without, random = (lab05b.accuracy_at(way, total) for way in ways)
        left = f"{total} kernels left"
        what = f"{left}, without retraining: least active minus random"
        yield Row("thesis 9", what, size, without - random, ABOVE)
        what = f"{left}: trained between prunes minus not"
        yield Row("thesis 9*", what, size, whole - without, ABOVE)
    number = n.bend(ways[2], (80, 44, 41, 5))
    yield Row("thesis 8", "pruned at random: above a straight line", size, number, (-5, 5))
    number = n.bend(ways[1], (80, 44, 41, 5))
    yield Row("thesis 8*", "pruned by activity: above a straight line", size, number, ABOVE)
    number = n.straighter_log(ways[0])
    yield Row("thesis 10*", "log of the size against size, R²", size, number, ABOVE, 3)

    def gain(total: int, ours: str, theirs: str, **few: int) -> Estimate:
        one, other = (lab05b.split_accuracy(size, total, of, **few) for of in (ours, theirs))
        return one - other

    five, eight, fifty, most = (gain(total, "images", "random") for total in (5, 8, 50, 75))
    what = "splits above random: 5 and 8 kernels minus 50 and 75"
    yield Row("thesis 11*", what, size, 0.5 * (five + eight - fifty - most), ABOVE)
    for name, total, ours, theirs, between in (
        *(("11", total, "images", "random", ABOVE) for total in (75, 50, 25, 8, 5)),
        ("12*", 25, "noise", "random", ABOVE),
        *(("12", total, "images", "noise", ABOVE) for total in (25, 5)),
        *(("12", total, "images", "noise", LEVEL) for total in (75, 50)),
        *(("14*", total, "random_labels", "images", (-1, inf)) for total in (25, 5)),
        ("14", 8, "random_labels", "images", ABOVE),
    ):
        what = f"{total} kernels, new weights: {ours} above {theirs}"
        yield Row(f"thesis {name}", what, size, gain(total, ours, theirs), between)
    number = gain(25, "random_labels", "random", labelled=2000)
    what = "25 kernels, 2,000 labelled images: found with random labels, above random"
    yield Row("thesis 15*", what, size, number, ABOVE)
    for total in (25, 5):
        images, noise, labels = (
            prune_kernels.spec(size, material=m) for m in ("images", "noise", "random_labels")
        )
        for net in (images, labels):
            what = f"{total} kernels: second layer over first, doublings, {net.material}"
            yield Row("thesis 13*", what, size, n.second_over_first(net, total), (1, inf), 2)
        for one, other, between in ((images, noise, ABOVE), (labels, images, (-5, inf))):
            fewer = lab05b.in_first(other, total) - lab05b.in_first(one, total)
            what = f"{total} kernels: percent in layer 2, {one.material} minus {other.material}"
            yield Row("thesis 13", what, size, 100 / total * fewer, between)


def weights(size: str = "course") -> Iterator[Row]:
    """Pruning of single weights."""
    again = "at once, BatchNorm's statistics measured again"
    for moment, when in {"pruned": again, "retrained": "trained on"}.items():
        for density in (0.8, 0.5, 0.2, 0.1):
            ours = prune_weights.spec(size, "fisher", density, recalibrated=moment == "pruned")
            kept = f"{100 * density:g} % of weights kept by w² F, {when}"
            number = lab05b.accuracy_at(ours, moment)
            if density >= 0.5 and moment == "pruned":
                lost = lab05b.accuracy_at(ours, "trained") - number
                yield Row("paper 29*", f"{kept}: loss", size, lost, LEVEL, harmless=True)
            for metric in ("magnitude", "random"):
                above = number - lab05b.accuracy_at(ours.replace(metric=metric), moment)
                few = density == 0.1
                if moment == "retrained" or metric == "magnitude" or not few:  # else it is chance
                    name = "slides 5*" if moment == "retrained" and few else "slides 5"
                    yield Row(name, f"{kept}: above {metric}", size, above, ABOVE)
    whole = prune_weights.spec(size, deficit="blur", length=8)
    for density in (0.2, 0.05):
        ours = whole.replace(metric="fisher", density=density)
        number = lab05b.plasticity_loss(ours) - lab05b.plasticity_loss(whole)
        what = f"{100 * density:g} % of weights kept: loss to later blur, minus the whole network's"
        yield Row("slides 6*", what, size, number, ABOVE)


def two_eyes(size: str = "course") -> Iterator[Row]:
    """Do two eyes compete?"""

    def closed(length: int = 8, onset: int = 0, deficit: str = "blank:right") -> Run:
        return run(length, onset, deficit=deficit, model="eyes")

    whole, squint, blurred = (closed(deficit=f"{d}:right") for d in ("blank", "strabismus", "blur"))
    for star, of, what, number in (
        ("*", whole, "that eye alone", -lab07.acuity_loss(whole)),
        ("", whole, "its share of the neurons", n.share_gain(whole)),
        ("", squint, "both eyes", -lab07.acuity_loss(squint, "both")),
        ("", blurred, "its share of the neurons", n.share_gain(blurred)),
    ):
        what = f"right eye, 8 epochs of {of.deficit[:-6]}: {what}, above the newborn"
        yield Row(f"page 3{star}", what, size, number, BELOW)
    number = n.share_gain(closed(8, 16)) - n.share_gain(whole)
    what = "share lost to 8 closed epochs from birth, minus that lost at onset 16"
    yield Row("page 3", what, size, number, ABOVE)
    number = n.share_gain(closed(16)) - n.share_gain(closed(4))
    yield Row("page 3", "share of an eye closed for 16 epochs, minus 4", size, number, BELOW)
    number = lab07.acuity(closed(deficit="blur")) - lab07.acuity(closed(deficit="blur:right"))
    what = "right eye after 8 epochs of blur of both eyes, above blur of it alone"
    yield Row("paper 20*", what, size, number, ABOVE)
    yield from linear.rows()


def reopening(size: str = "course") -> Iterator[Row]:
    """What is lost if something is missing early, and what gives it back?"""
    expected = {"noise": ((2.5, 4.5), (3.5, 5)), "blur": ((-0.5, 0.7), (0.3, 1.8))}
    for deficit, (renorm, gain) in expected.items():
        plain = run(16, deficit=deficit)
        one, sham = (replace(plain, treatments=f"{kind}@16") for kind in ("renorm", "shrink-1"))
        for what, other, against, between in (
            ("renorm", one, plain, renorm),
            ("the sham of renorm", sham, plain, (-0.7, 0.7)),
            ("renorm above its sham", one, sham, gain),
        ):
            number = q.advantage(other, against)
            yield Row("", f"{what} after 16 epochs of {deficit}", size, number, between)
    never, g = ", above never", "Golatkar 2019"
    for name, onset, kinds, against, what, between in (
        ("poster 5*", 2, "shrink-0.9@2", "", "weights perturbed after 2 epochs", ABOVE),
        ("poster 5", 24, "shrink-0.9@24", "", "weights perturbed after 24 epochs", LEVEL),
        (g, 8, "decay-0@0+8", "", "no weight decay in the first 8 epochs", ABOVE),
        (g, 8, "unaugmented@0+8", "", "no augmentation in the first 8 epochs", ABOVE),
        (g, 8, "decay-0@0+8", "decay-0@0", f"weight decay only after 8 epochs{never}", LEVEL),
        (g, 8, "unaugmented@0+8", "unaugmented@0", f"augmentation only after 8{never}", LEVEL),
        (g, 8, "decay-0@8", "", "no weight decay from epoch 8 on", LEVEL),
        (g, 8, "unaugmented@8", "", "no augmentation from epoch 8 on", LEVEL),
    ):
        treated = Run(onset=onset, treatments=kinds)
        number = q.advantage(replace(treated, treatments=against), treated)
        yield Row(name, f"{what}: loss", size, number, between, harmless=onset == 24)
    for kinds, between in (("", ABOVE), (" shrink-0.4@8", LEVEL)):
        number = -q.gain_over_newborn(Run(onset=8, treatments=f"images-0.5@0+8{kinds}"))
        what = f"half of the images for 8 epochs{kinds and ', then shrunk and perturbed'}"
        what += ": loss against the newborn"
        yield Row("Ash 2020", what, size, number, between, harmless=bool(kinds))
    yield unharmed("Ash 2020", run(16, treatments="shrink-0.4@16"))


ASKED = (harm_left, age, kinds, rate, networks, trace, layers, prunings, two_eyes, reopening)
QUESTIONS = {str(of.__doc__): of for of in ASKED}
