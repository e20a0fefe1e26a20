"""What the sources claim, exhibit by exhibit, and which of our numbers speaks to it.

A claim predicts where a number lies; `evidence.py` takes that number from the shipped records.
Nothing here is a result of ours.

Sources: A. Achille, M. Rovere, S. Soatto, Critical Learning Periods in Deep Networks (paper, and
its poster); D. Stothers, Turing's Child Machine (thesis); slides of A. Jose on the paper.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf

from cplab import evidence as e

SEEDS = range(10)  # those that are shipped of these


@dataclass(frozen=True)
class Claim:
    """One statement of a source that a number can speak for or against.

    exhibit: the figure or experiment, under which claims stand together.
    source, says: who states what, with the source's own number.
    what: our number in words, with {0}, {1} … for what stands in `at`.
    at: for each size, what the number is taken at (epochs, densities, kernels). A size is a
        profile, or `thesis`, the dense model's own.
    of: a function of evidence.py: of size, what stands in `at`, and seed.
    low, high: between these the number lies if the source is right. Where a source says "about" or
        "no effect", how near that is was chosen by us.
    stated: the source's number, where it gives one.
    digits: decimals of the number.
    """

    exhibit: str
    source: str
    says: str
    what: str
    at: Mapping[str, tuple]
    of: Callable[..., float]
    low: float = -inf
    high: float = inf
    stated: float | None = None
    digits: int = 1

    def numbers(self, size: str) -> list[float]:
        """One number for each seed whose records are shipped."""
        return [float(number) for number in each_seed(self.of, size, *self.at[size])]


def each_seed(of: Callable, *at) -> list:
    """What a function of evidence.py gives for each seed whose records are shipped."""
    found = []
    for seed in SEEDS:
        with suppress(e.Missing):
            found.append(of(*at, seed))
    return found


def stated(exhibit: str, source: str, says: str, *measures: dict) -> list[Claim]:
    """The claims that one statement makes."""
    return [Claim(exhibit, source, says, **measure) for measure in measures]


def below(what, at, of, **more) -> dict:
    return {"what": what, "at": at, "of": of, "high": 0, **more}


def above(what, at, of, **more) -> dict:
    return {"what": what, "at": at, "of": of, "low": 0, **more}


def near(number, margin, what, at, of, **more) -> dict:
    """The source's number, and how far from it is near."""
    return {"what": what, "at": at, "of": of, "low": number - margin, "high": number + margin,
            "stated": number, **more}  # fmt: skip


def flat(what, at, of, **more) -> dict:
    """No effect to speak of: at most a point is lost."""
    return {"what": what, "at": at, "of": of, "low": -1, **more}


LATE = {"paper": (140,), "course": (16,), "fit": (24,)}  # ends of long deficits
BIG = {"paper": (140,), "course": (16,)}
BORN = "{0} epochs of %s, minus the newborn, points"
EQUAL = "{0} epochs of blur, minus equal training, points"
CLEAR = {"paper": (0,)}

FIGURE_1 = [
    *stated(
        "Paper, figure 1 top: blur that is removed late",
        "Paper, Results",
        "The test error is about 6.4 % without a deficit, above 18 % with blur over 140 epochs.",
        near(6.4, 1, "test error without a deficit, %", CLEAR, e.error),
        {"what": "test error after {0} epochs of blur, %", "at": {"paper": (140,)}, "of": e.error,
         "low": 18, "stated": 18},
        below(BORN % "blur", BIG, e.gain),
    ),
    *stated(
        "Paper, figure 1 top: blur that is removed late",
        "Poster, note in the text",
        "In this plot the error without a deficit is 8 %; 6.4 % is the ResNet's.",
        near(8, 1, "test error without a deficit, %", CLEAR, e.error),
    ),
    *stated(
        "Paper, figure 1 top: blur that is removed late",
        "Paper, Results",
        "If the blur is not removed within the first 60 epochs, performance is severely decreased.",
        below(BORN % "blur", {"paper": (60,), "course": (8,), "fit": (24,)}, e.gain),
        above("points lost by epoch {0}, above those lost from there to {1}",
              {"paper": (60, 140), "course": (8, 16), "fit": (12, 24)}, e.first_part),
    ),
]  # fmt: skip

WINDOWS = {"paper": (40, tuple(range(0, 141, 20))), "course": (8, (0, 2, 4, 8, 12, 16, 24)),
           "fit": (4, (0, 2, 4, 6, 8, 12, 16, 20, 24))}  # fmt: skip
MIDDLE = {"paper": (40, (20, 40)), "course": (8, (2, 4)), "fit": (4, (6, 12))}
PAPER_WINDOWS = {"paper": WINDOWS["paper"]}
FIGURE_1 += stated(
    "Paper, figure 1 bottom: a window of blur that slides",
    "Paper, Results",
    "A window of 40 epochs costs up to about 2 points, most when it begins around epoch 30, in the "
    "middle of the rapid learning phase; later ones have little or no effect.",
    near(2, 1, "points lost to a window of {0} at its worst, mean of onsets {1[0]} and {1[1]}",
         {"paper": MIDDLE["paper"]}, e.sensitivity),
    near(30, 20, "onset at which a window of {0} costs most, epochs", PAPER_WINDOWS, e.worst),
    above("window of {0}: points lost at onsets {1[0]} and {1[1]}, minus those lost at birth",
          MIDDLE, e.not_at_birth),
    {"what": "points lost to a window of {0} at onset {1}", "low": -1, "high": 1,
     "at": {"paper": (40, 140), "course": (8, 24), "fit": (4, 24)}, "of": e.sensitivity},
)  # fmt: skip

FIGURE_2 = [
    *stated(
        "Paper, figure 2: flip and permuted labels",
        "Paper, Results",
        "Vertical flips and permuted labels leave the network largely unaffected: it recovers its "
        "baseline performance.",
        flat(BORN % "flip", LATE, partial(e.gain, deficit="flip")),
        flat(BORN % "permuted labels", BIG, partial(e.gain, deficit="permute")),
        above("{0} epochs of flip, minus as many of blur, points", LATE,
              partial(e.apart, deficit="flip")),
        above("{0} epochs of permuted labels, minus as many of blur, points", BIG,
              partial(e.apart, deficit="permute")),
    ),
    *stated(
        "Paper, figure 2: noise",
        "Paper, Results",
        "With noise in place of images a critical period still exists, but it is milder than "
        "blur's.",
        below(BORN % "noise", {**BIG, "paper": (160,)}, partial(e.gain, deficit="noise")),
        above("{0} epochs of noise, minus as many of blur, points", BIG,
              partial(e.apart, deficit="noise")),
    ),
]  # fmt: skip

RESNET, FIXED, ADAM = {"model": "resnet18"}, {"schedule": "fixed"}, {"optimizer": "adam"}
DIGITS = {"model": "fc", "dataset": "mnist", **FIXED}
DEEP = {"paper": (240,), "course": (16,)}
FIGURE_3 = [
    *stated(
        "Paper, figure 3: ResNet-18",
        "Paper, Results; poster, note in the text",
        "A ResNet-18 has a critical period too, shown up to epoch 180; its error without a deficit "
        "is 6.4 %.",
        near(6.4, 1, "test error without a deficit, %", CLEAR, partial(e.error, **RESNET)),
        below(BORN % "blur", {"paper": (180,), "course": (16,)}, partial(e.gain, **RESNET)),
        below(EQUAL, {"paper": (180,), "course": (16,)}, partial(e.gain, equal=True, **RESNET)),
    ),
    *stated(
        "Paper, figure 3: full connections, MNIST",
        "Paper, Results; axes of the figure",
        "A deep fully connected network has a critical period for blur, at accuracies between 98.6 "
        "and 99.2 %, shown up to epoch 480.",
        {"what": "test error without a deficit, %", "at": CLEAR, "of": partial(e.error, **DIGITS),
         "low": 0.8, "high": 1.4, "digits": 2},
        {"what": "test error after {0} epochs of blur, %", "at": {"paper": (480,)},
         "of": partial(e.error, **DIGITS), "low": 0.8, "high": 1.4, "digits": 2},
        below(BORN % "blur", {"paper": (480,), "mnist": (32,)}, partial(e.gain, **DIGITS),
              digits=2),
        below(EQUAL, {"paper": (480,), "mnist": (32,)}, partial(e.gain, equal=True, **DIGITS),
              digits=2),
    ),
    *stated(
        "Paper, figure 3: fixed learning rate",
        "Paper, Results",
        "A critical period exists also when the learning rate is kept constant, on a longer scale.",
        below(BORN % "blur", {"paper": (400,), "course": (16,)}, partial(e.gain, **FIXED)),
    ),
    *stated(
        "Paper, figure 3: depth",
        "Paper, figure 3",
        "Adding convolutional blocks (n = 1, 2, 3) increases the effect of the deficit.",
        *(below(f"n = {n}: " + BORN % "blur", DEEP,
                partial(e.gain, model=f"depth{n}", **FIXED)) for n in (1, 2, 3)),
        *(above(f"points lost to {{0}} epochs of blur against {words}, n = {a} minus n = {b}", DEEP,
                partial(e.deeper, deep=a, shallow=b, equal=equal))
          for equal, words in ((False, "the newborn"), (True, "equal training"))
          for a, b in ((2, 1), (3, 2), (3, 1))),
    ),
    *stated(
        "Poster: Adam",
        "Poster",
        "Critical periods are observed for different optimisers, SGD and Adam.",
        below(BORN % "blur", {**BIG, "fit": (12,)}, partial(e.gain, **ADAM)),
        below(EQUAL, {**BIG, "fit": (12,)}, partial(e.gain, equal=True, **ADAM)),
    ),
]  # fmt: skip

ENDS = {"paper": (220,), "fit": (24,), "course": (24,)}  # of the clear life that is traced
AFTER = {"paper": (100,), "fit": (24,), "course": (16,)}  # of blur that is traced
BOTH = {size: (*WINDOWS[size], *ENDS[size]) for size in ENDS}


def figure_4(exhibit: str, sizes: tuple, **how) -> list[Claim]:
    """The claims of figure 4 for one network."""
    ends, after, windows = ({s: at[s] for s in sizes} for at in (ENDS, AFTER, BOTH))
    return [
        *stated(
            exhibit,
            "Paper, figure 4 left",
            "Without a deficit the trace rises and then falls while performance stays; sensitivity "
            "is maximal precisely when it peaks (around epoch 30), and follows it.",
            {"what": "trace in the end, of its highest", "at": ends, "digits": 2,
             "of": partial(e.remaining, **how), "high": 0.9},
            near(30, 10, "epoch (of the paper's clock) of the highest trace", ends,
                 partial(e.peak, **how), digits=0),
            {"what": "epochs (of that clock) from there to the onset at which a window of {0} "
                     "costs most", "at": windows, "of": partial(e.coincide, **how), "low": -20,
             "high": 20, "digits": 0},
            above("correlation of trace and sensitivity over the onsets after birth", windows,
                  partial(e.related, **how), digits=2),
        ),
        *stated(
            exhibit,
            "Paper, figure 4 right",
            "With blur the trace grows much more, and remains substantially higher after the blur "
            "is removed.",
            above("{0} epochs of blur: trace in the end against equal training, doublings", after,
                  partial(e.doublings, **how), digits=2),
        ),
    ]  # fmt: skip


FIGURE_4 = [
    *figure_4("Paper, figure 4: Fisher trace, ResNet-18", ("paper",), **RESNET),
    *figure_4("Paper, figure 4: Fisher trace, All-CNN", tuple(ENDS)),
    *stated(
        "Paper, figure 4: Fisher trace, All-CNN",
        "Paper, Discussion",
        "Networks impaired by the deficit end in sharper minima, those with a high-level deficit "
        "are not impaired.",
        above("{0} epochs of blur: trace in the end against as many of flip, doublings", AFTER,
              partial(e.doublings, other="flip"), digits=2),
    ),
    *stated(
        "Paper, figure 5: information by layer",
        "Paper, figure 5",
        "Without a deficit most of the information is in the middle layers (3, 4, 5).",
        {"what": "information in layers 3, 4, 5 (from 0), %", "at": AFTER, "of": e.middle_part,
         "low": 50},
    ),
    *stated(
        "Paper, figure 5: information by layer",
        "Paper, figure 5",
        "With blur until epoch 100 more is in the higher layers, and stays there; blur until 40 "
        "has no such lasting consequence; a flip does not affect the relative quantities.",
        above("at the end of {0} epochs of blur: the trace sits later than without, layers", AFTER,
              partial(e.later, at_end=True), digits=2),
        above("in the end, after {0} epochs of blur: the information sits later, layers", AFTER,
              e.later, digits=2),
        above("the same, after {1} epochs minus after {0}",
              {"paper": (40, 100), "fit": (4, 24), "course": (4, 16)}, e.stays, digits=2),
        {"what": "in the end, after {0} epochs of flip: the information sits later, layers",
         "at": AFTER, "of": partial(e.later, deficit="flip"), "low": -0.5, "high": 0.5,
         "digits": 2},
    ),
]  # fmt: skip

CONTROLS = [
    claim
    for schedule, words in (
        ("paper", "rate annealed by epoch, as in the paper"),
        ("fixed", "rate fixed"),
        ("recovery", "rate held, then annealed over the recovery"),
    )
    for claim in stated(
        "Three schedules, two controls",
        "Paper, Results",
        "The critical period does not come of annealing, and depends on the kind of deficit. (The "
        "paper has no control of equal training.)",
        below(f"{words}: " + BORN % "blur", BIG, partial(e.gain, schedule=schedule)),
        below(f"{words}: {EQUAL}", BIG, partial(e.gain, schedule=schedule, equal=True)),
        above(f"{words}: {{0}} epochs of flip, minus as many of blur, points", BIG,
              partial(e.apart, deficit="flip", schedule=schedule)),
    )
] + stated(
    "Momentum 0",
    "Paper, Methods",
    "SGD; a momentum is not mentioned. (Everything else here has 0.9.)",
    near(8, 1, "test error without a deficit, %", CLEAR, partial(e.error, momentum=0)),
    below(BORN % "blur", {"paper": (140,)}, partial(e.gain, momentum=0)),
)  # fmt: skip


def rounded(words: str, of: Callable) -> dict:
    return {"what": f"{words}, float32 minus bfloat16, points", "at": BIG, "of": of,
            "low": -1, "high": 1}  # fmt: skip


ROUNDED = stated(
    "Our engine: bfloat16 and float32",
    "Ours",
    "Networks whose products are taken in bfloat16 end within a point of those in float32.",
    rounded("the newborn", lambda *at: e.rounding(*at, "newborn")),
    rounded("after {0} epochs of blur", lambda *at: e.rounding(*at, "blur")),
    rounded("after equal training with these", lambda *at: e.rounding(*at, "equal")),
    rounded("mean of the three", lambda *at: e.rounding(*at, "newborn", "blur", "equal")),
    rounded("what {0} epochs of blur take from the newborn", e.rounded_loss),
)

DENSITIES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.15, 0.2)
SOME = (0.01, 0.05, 0.2)


def densities(words: str, of: Callable, some=SOME) -> list[dict]:
    """Measures that should be above 0 at several densities."""
    return [above(f"{words}, density {{0:.0%}}, points", {"thesis": (d,)}, of) for d in some]


LITERAL = {"rounding": "up", "output": "pruned"}
DENSE = [
    *stated(
        "Thesis, figure 2: growth and pruning",
        "Thesis 2.3",
        "A net with about 5 % of its synapses is about as accurate as the dense one.",
        {"what": "grown and pruned, its own weights, minus a dense net, density {0:.0%}, points",
         "at": {"thesis": (0.05,)}, "of": e.developed, "low": -2},
        {"what": "the algorithm to the letter, minus a dense net, density {0:.0%}, points",
         "at": {"thesis": (0.05,)}, "of": partial(e.developed, **LITERAL), "low": -2},
    ),
    *stated(
        "Thesis, figure 3: architectures from new weights",
        "Thesis 2.4",
        "Architectures that were grown and pruned are better than random ones at all densities up "
        "to 20 % (p < 0.01, n = 10).",
        *densities("grown and pruned minus random", partial(e.worth, control="random"), DENSITIES),
    ),
    *stated(
        "Thesis, figure 3, with controls that it does not have",
        "Thesis 2.7",
        "Growth and pruning is an architecture search driven by experience. (So it should beat "
        "controls that know only where the ink is.)",
        *(measure for control, words in (
              ("inked", "random on inked pixels"),
              ("per_pixel", "as many on each pixel"),
              ("degrees", "as many on each pixel and unit"))
          for measure in densities(f"grown and pruned minus {words}",
                                   partial(e.worth, control=control))),
    ),
    *stated(
        "Thesis, figure 3, with Adam",
        "Thesis 2.4",
        "The optimiser of the dense model is not stated. (If it does not matter, Adam does as "
        "well.)",
        *densities("Adam: grown and pruned minus random",
                   partial(e.worth, control="random", optimizer="adam")),
    ),
    *stated(
        "Thesis, figure 4: transfer to Fashion-MNIST",
        "Thesis 2.5",
        "Architectures grown on digits or on clothes are better than random ones on clothes "
        "(p < 0.1 at 1 and 20 %, else p < 0.005; n = 5).",
        *densities("grown on clothes minus random", partial(e.abroad, ours="fashion",
                                                            theirs="random")),
        *densities("grown on digits minus random", partial(e.abroad, ours="digits",
                                                           theirs="random")),
    ),
    *stated(
        "Thesis, figure 5: 15 % mixed in",
        "Thesis 2.6",
        "15 % of clothes among the digits while it grows makes a significantly better architecture "
        "for clothes (p < 0.05).",
        *densities("grown on digits and 15 % clothes minus on digits",
                   partial(e.abroad, ours="mixed", theirs="digits")),
    ),
]  # fmt: skip

FEW = ({"paper": (100,), "course": (25,)}, {"paper": (20,), "course": (5,)})
SAVED = ({"paper": (300,), "course": (75,)}, {"paper": (200,), "course": (50,)}, FEW[0],
         {"paper": (30,), "course": (8,)}, FEW[1])  # fmt: skip


def kernels(words: str, of: Callable, some=FEW, **more) -> list[dict]:
    """Measures at several numbers of kernels."""
    return [above(f"{{0}} kernels: {words}", at, of, **more) for at in some]


SPLITS = "Thesis, figures 11, 13, 16: splits of kernels from new weights"
CONVOLUTIONAL = [
    *stated(
        "Thesis, figures 7 and 8: which kernels go, and retraining",
        "Thesis 3.2",
        "Taking out the least active kernels harms less than random ones; training between prunes "
        "significantly helps.",
        *kernels("weakest minus random, not retrained, points",
                 partial(e.manners, ours={"retrain": False},
                         theirs={"choice": "random", "retrain": False}), SAVED[1:3]),
        *kernels("weakest, retrained minus not retrained, points",
                 partial(e.manners, ours={}, theirs={"retrain": False}), SAVED[1:3]),
    ),
    *stated(
        SPLITS,
        "Thesis 3.4, figure 11",
        "Splits that pruning found are better than random ones, most so when they are small.",
        *kernels("images minus random, points", partial(e.splits, ours="images", theirs="random"),
                 SAVED),
    ),
    *stated(
        SPLITS,
        "Thesis 3.4, figure 13",
        "Splits found on noise are better than random ones, but the smallest are worse than those "
        "found on images.",
        *kernels("noise minus random, points", partial(e.splits, ours="noise", theirs="random")),
        *kernels("images minus noise, points", partial(e.splits, ours="images", theirs="noise")),
    ),
    *stated(
        SPLITS,
        "Thesis 3.4, figure 16",
        "Splits found with random labels are just as good as those found with the true ones.",
        *kernels("random labels minus images, points",
                 partial(e.splits, ours="random_labels", theirs="images"), low=-1),
    ),
    *stated(
        "Thesis, figures 14 and 17: where kernels are kept",
        "Thesis 3.4",
        "With images more kernels are kept in the second layer than with noise; with random labels "
        "at least as many as with the true ones.",
        *kernels("share of the second layer, images minus noise, points",
                 partial(e.second_layer, ours="images", theirs="noise")),
        *kernels("share of the second layer, random labels minus images, points",
                 partial(e.second_layer, ours="random_labels", theirs="images"), low=-5),
    ),
]  # fmt: skip


def ranking(density: float) -> list[dict]:
    return [
        above(f"{{0:.0%}} of weights kept by w² F minus by {words}, {when}, points",
              {"course": (density,)}, partial(e.salient, other=metric, moment=moment))
        for moment, when in (("pruned", "at once"), ("retrained", "trained on"))
        for metric, words in (("magnitude", "|w|"), ("random", "chance"))
    ]  # fmt: skip


SLIDES = [
    *stated(
        "Slides: Fisher information for pruning",
        "Paper, The Fisher Information Matrix",
        "Weights with low Fisher information can be removed without affecting performance.",
        flat("{0:.0%} of weights kept by w² F, at once, minus before, points", {"course": (0.5,)},
             partial(e.salient, other="before", moment="pruned")),
    ),
    *stated(
        "Slides: Fisher information for pruning",
        "Slides, Questions",
        "Is Fisher information an effective metric for pruning? (A question; yes would be:)",
        *ranking(0.1),
    ),
    *stated(
        "Slides: Fisher information for pruning",
        "Slides, Questions",
        "Does pruning cause information plasticity? (A question; that it costs plasticity would "
        "be:)",
        *(above("{0:.0%} of weights kept: points lost to later blur, minus the whole network's",
                {"course": (d,)}, e.dearer) for d in (0.2, 0.05)),
    ),
]  # fmt: skip

CLAIMS = [
    *FIGURE_1, *FIGURE_2, *FIGURE_3, *FIGURE_4, *CONTROLS, *ROUNDED, *DENSE, *CONVOLUTIONAL,
    *SLIDES,
]  # fmt: skip
