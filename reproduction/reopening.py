"""What is claimed of warm starts and of regularisation that is missing early (see claims.py)."""

from functools import partial

from cplab.runs import Run
from reproduction import numbers as n
from reproduction.questions import REOPEN
from reproduction.statement import below, flat, statement

EARLY = {"course": (8,)}
LONG = {"course": (16,)}


def early_gain(size: str, length: int, seed: int, kind: str) -> n.Parts:
    """Points of a clear life with something missing in its first epochs above one without that."""
    run = Run(onset=length, profile=size, seed=seed, treatments=f"{kind}@0+{length}")
    return n.combine((1, run), (-1, run.untreated()))


def warm_start_gain(size: str, length: int, seed: int, kind: str = "images-0.5") -> n.Parts:
    """Points of a life that began with half of the images above one that had all, from new
    weights, for the rest of it."""
    run = Run(onset=length, profile=size, seed=seed, treatments=f"{kind}@0+{length}")
    return n.combine((1, run), (-1, run.newborn()))


def harm_left(size: str, length: int, seed: int, kind: str, deficit: str = "blur") -> n.Parts:
    """Points below a newborn that had the same treatment."""
    run = Run(deficit, 0, length, profile=size, seed=seed, treatments=f"{kind}@{length}")
    return n.combine(*n.harm_terms(run))


REOPENINGS = [
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
        "warm start, ours are of blur.)",
        flat(
            "λ = 0.4 after {0} epochs of blur, minus a newborn treated alike, points",
            LONG,
            lambda *at: tuple(-part for part in harm_left(*at, kind="shrink-0.4")),
        ),
    ),
    *statement(
        REOPEN,
        "Regularisation missing early",
        "Golatkar, Achille and Soatto 2019, abstract",
        "Regularisation matters in the initial epochs: weight decay or augmentation that is there "
        "only afterwards has little or no effect. (So what misses it early should lose.)",
        *(
            below(
                f"{words} off in the first {{0}} epochs, minus on, points",
                EARLY,
                partial(early_gain, kind=kind),
            )
            for words, kind in (("weight decay", "decay-0"), ("augmentation", "unaugmented"))
        ),
    ),
]
