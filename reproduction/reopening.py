"""What is claimed of warm starts and of regularisation that is missing early (see claims.py)."""

from collections.abc import Callable
from functools import partial

from cplab import quantities as q
from cplab.runs import Run
from cplab.statistics import Contrast
from reproduction import numbers as n
from reproduction.questions import REOPEN
from reproduction.statement import below, between, flat, statement

EARLY = {"course": (8,)}
LONG = {"course": (16,)}


def regularised(size: str, length: int, kind: str, when: str) -> Run:
    """A clear life that lacks something: early (before recovery), late (from then on) or ever."""
    written = {"early": f"{kind}@0+{length}", "late": f"{kind}@{length}", "ever": f"{kind}@0"}
    return Run(onset=length, profile=size, treatments=written[when])


def missing_gain(size: str, length: int, kind: str, when: str) -> Contrast:
    """Points of a clear life in which something is missing, early or late, above one without
    that."""
    run = regularised(size, length, kind, when)
    return q.advantage(run, run.untreated())


def only_late_gain(size: str, length: int, kind: str) -> Contrast:
    """Points of a clear life that has something only later above one that never has it."""
    late, never = (regularised(size, length, kind, when) for when in ("early", "ever"))
    return q.advantage(late, never)


def warm_start_gain(size: str, length: int, shrunk: bool = False) -> Contrast:
    """Points of a life that began with half of the images, and was then shrunk and perturbed or
    not, above one that had all, from new weights, for the rest of it."""
    kinds = f"images-0.5@0+{length}" + (f" shrink-0.4@{length}" if shrunk else "")
    run = Run(onset=length, profile=size, treatments=kinds)
    return q.gain_over_newborn(run)


def shrunk_gain(size: str, length: int) -> Contrast:
    """Points of a blurred life that was shrunk and perturbed above a newborn treated alike."""
    run = n.life(size, length, treatments=f"shrink-0.4@{length}")
    return -q.harm(run)


REGULARISERS = {"weight decay": "decay-0", "augmentation": "unaugmented"}
even = partial(between, -1, 1)


def both(what: str, measure: Callable, of: Callable) -> list[dict]:
    """A number of weight decay, and of augmentation."""
    return [
        measure(what.format(words), EARLY, partial(of, kind=kind))
        for words, kind in REGULARISERS.items()
    ]


REOPENINGS = [
    *statement(
        REOPEN,
        "Renorm",
        "Ours, forecast H",
        "Bringing back the norms of the weights helps after noise, which makes them grow, and not "
        "after blur. (Most untreated networks were trained on another kind of machine, so that "
        "seeds are not pairs here.)",
        *(
            between(low, high, f"renorm after {{0}} epochs of {kind}: given back, points", LONG, of)
            for kind, low, high in (("noise", 2.5, 4.5), ("blur", -0.5, 0.7))
            for of in (partial(n.given_back, deficit=kind),)
        ),
    ),
    *statement(
        REOPEN,
        "Warm starts",
        "Ash and Adams 2020, abstract and section 2",
        "Networks that begin with half of the images and go on with all generalise worse than new "
        "ones that see all, although their training losses end alike.",
        below("half of the images for {0} epochs, minus the newborn", EARLY, warm_start_gain),
    ),
    *statement(
        REOPEN,
        "Shrink and perturb",
        "Ash and Adams 2020, section 4",
        "Shrinking the weights and adding noise closes the gap to new weights. (Theirs were of a "
        "warm start; ours are of that and of blur.)",
        flat(
            "half of the images for {0} epochs, then λ = 0.4, minus the newborn, points",
            EARLY,
            partial(warm_start_gain, shrunk=True),
        ),
        flat(
            "λ = 0.4 after {0} epochs of blur, minus a newborn treated alike, points",
            LONG,
            shrunk_gain,
        ),
    ),
    *statement(
        REOPEN,
        "Regularisation missing early",
        "Golatkar, Achille and Soatto 2019, abstract",
        "Regularisation that is there only after the initial epochs has no effect: one generalises "
        "as badly as if it had never been. (So what misses it early should lose.)",
        *both(
            "{0} off in the first {{0}} epochs, minus on, points",
            below,
            partial(missing_gain, when="early"),
        ),
        *both("{0} on only after epoch {{0}}, minus never, points", even, only_late_gain),
    ),
    *statement(
        REOPEN,
        "Regularisation missing late",
        "Golatkar, Achille and Soatto 2019, abstract",
        "Taking regularisation away after the initial epochs has little effect. (At most a point, "
        "we say.)",
        *both(
            "{0} off from epoch {{0}} on, minus on, points",
            even,
            partial(missing_gain, when="late"),
        ),
    ),
]
