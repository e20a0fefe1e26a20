"""What the sources claim, exhibit by exhibit, and which of our numbers speaks to it.

A claim predicts where a number lies; `numbers.py` takes that number from the shipped results.
Nothing here is a result of ours. The claims of the thesis and the slides stand in `thesis.py`.

Sources: A. Achille, M. Rovere, S. Soatto, Critical Learning Periods in Deep Networks (paper, and
its poster); D. Stothers, Turing's Child Machine (thesis); slides of A. Jose on the paper.
"""

from functools import partial
from math import inf

from cplab import quantities
from reproduction import numbers as n
from reproduction.statement import Claim, above, below, between, flat, near, statement
from reproduction.thesis import CONVOLUTIONAL, DENSE, SLIDES

LATE = {"paper": (140,), "course": (16,), "fit": (24,)}  # ends of long deficits
BIG = {"paper": (140,), "course": (16,)}
CLEAR = {"paper": (0,)}
BORN = "{0} epochs of %s, minus the newborn, points"
EQUAL = "{0} epochs of blur, minus equal training, points"
ERROR = "test error without a deficit, %"

FIGURE = "Paper, figure 1 top: blur that is removed late"
FIGURE_1 = [
    *statement(
        FIGURE,
        "Paper, Results",
        "The test error is about 6.4 % without a deficit, above 18 % with blur over 140 epochs.",
        near(6.4, 1, ERROR, CLEAR, n.error),
        above(
            "test error after {0} epochs of blur, %",
            {"paper": (140,)},
            n.error,
            low=18,
            number=18,
        ),
        below(BORN % "blur", BIG, n.newborn_gain),
    ),
    *statement(
        FIGURE,
        "Poster, note in the text",
        "In this plot the error without a deficit is 8 %; 6.4 % is the ResNet's.",
        near(8, 1, ERROR, CLEAR, n.error),
    ),
    *statement(
        FIGURE,
        "Paper, Results",
        "If the blur is not removed within the first 60 epochs, performance is severely decreased.",
        below(BORN % "blur", {"paper": (60,), "course": (8,), "fit": (24,)}, n.newborn_gain),
        above(
            "points lost by epoch {0}, above those lost from there to {1}",
            {"paper": (60, 140), "course": (8, 16), "fit": (12, 24)},
            n.early_excess,
        ),
    ),
]

WINDOWS = {
    "paper": (40, tuple(range(0, 141, 20))),
    "course": (8, (0, 2, 4, 8, 12, 16, 24)),
    "fit": (4, (0, 2, 4, 6, 8, 12, 16, 20, 24)),
}
MIDDLE = {"paper": (40, (20, 40)), "course": (8, (2, 4)), "fit": (4, (6, 12))}
LAST = {"paper": (40, 140), "course": (8, 24), "fit": (4, 24)}
EARLY = [{"paper": (40, 10 * onset), "course": (8, onset)} for onset in (0, 2, 4, 8, 12)]
HARM = "harm of a window of {0} at onset {1}, points"
window_harm = partial(n.window_cost, of=quantities.harm)
FIGURE = "Paper, figure 1 bottom: a window of blur that slides"
FIGURE_1 += [
    *statement(
        FIGURE,
        "Paper, Results",
        "A window of 40 epochs costs up to about 2 points, most when it begins around epoch 30, in "
        "the middle of the rapid learning phase; later ones have little or no effect.",
        near(
            2,
            1,
            "points lost to a window of {0} at its worst, mean of onsets {1[0]} and {1[1]}",
            {"paper": MIDDLE["paper"]},
            n.window_cost,
        ),
        near(
            30,
            20,
            "onset at which a window of {0} costs most, epochs",
            {"paper": WINDOWS["paper"]},
            n.worst_onset,
        ),
        above(
            "window of {0}: points lost at onsets {1[0]} and {1[1]}, minus those lost at birth",
            MIDDLE,
            n.excess_over_birth,
        ),
        between(-1, 1, "points lost to a window of {0} at onset {1}", LAST, n.window_cost),
    ),
    *statement(
        FIGURE,
        "The same, without lost time",
        "Points lost against equal training hold the clear epochs that the window displaced. What "
        "the blur itself did is the *harm*: the same life with the window cut out, minus this one.",
        *(above(HARM, at, window_harm) for at in (*EARLY, {"course": (8, 16)})),
        between(-1, 1, HARM, {s: LAST[s] for s in BIG}, window_harm),
        above(
            "window of {0}: harm at onsets {1[0]} and {1[1]}, minus harm at birth",
            {s: MIDDLE[s] for s in BIG},
            partial(n.excess_over_birth, of=quantities.harm),
        ),
        below(
            "window of {0}: harm at onset {1}, minus harm at birth",
            {s: LAST[s] for s in BIG},
            partial(n.excess_over_birth, of=quantities.harm),
        ),
    ),
]

FIGURE_2 = [
    *statement(
        "Paper, figure 2: flip and permuted labels",
        "Paper, Results",
        "Vertical flips and permuted labels leave the network largely unaffected: it recovers its "
        "baseline performance.",
        flat(BORN % "flip", LATE, partial(n.newborn_gain, deficit="flip")),
        flat(BORN % "permuted labels", BIG, partial(n.newborn_gain, deficit="permute")),
        above(
            "{0} epochs of flip, minus as many of blur, points",
            LATE,
            partial(n.advantage_over_blur, deficit="flip"),
        ),
        above(
            "{0} epochs of permuted labels, minus as many of blur, points",
            BIG,
            partial(n.advantage_over_blur, deficit="permute"),
        ),
    ),
    *statement(
        "Paper, figure 2: noise",
        "Paper, Results",
        "With noise in place of images a critical period still exists, but it is milder than "
        "blur's.",
        below(BORN % "noise", {**BIG, "paper": (160,)}, partial(n.newborn_gain, deficit="noise")),
        above(
            "{0} epochs of noise, minus as many of blur, points",
            BIG,
            partial(n.advantage_over_blur, deficit="noise"),
        ),
    ),
]

RESNET, FIXED, ADAM = {"model": "resnet18"}, {"schedule": "fixed"}, {"optimizer": "adam"}
DIGITS = {"model": "fc", "dataset": "mnist", **FIXED}
LONG_RESNET, LONG_DIGITS = {"paper": (180,), "course": (16,)}, {"paper": (480,), "mnist": (32,)}
DEEP = {"paper": (240,), "course": (16,)}
FIGURE_3 = [
    *statement(
        "Paper, figure 3: ResNet-18",
        "Paper, Results; poster, note in the text",
        "A ResNet-18 has a critical period too, shown up to epoch 180; its error without a deficit "
        "is 6.4 %.",
        near(6.4, 1, ERROR, CLEAR, partial(n.error, **RESNET)),
        below(BORN % "blur", LONG_RESNET, partial(n.newborn_gain, **RESNET)),
        below(EQUAL, LONG_RESNET, partial(n.equal_training_gain, **RESNET)),
    ),
    *statement(
        "Paper, figure 3: full connections, MNIST",
        "Paper, Results; axes of the figure",
        "A deep fully connected network has a critical period for blur, at accuracies between 98.6 "
        "and 99.2 %, shown up to epoch 480.",
        between(0.8, 1.4, ERROR, CLEAR, partial(n.error, **DIGITS), digits=2),
        between(
            0.8,
            1.4,
            "test error after {0} epochs of blur, %",
            {"paper": (480,)},
            partial(n.error, **DIGITS),
            digits=2,
        ),
        below(BORN % "blur", LONG_DIGITS, partial(n.newborn_gain, **DIGITS), digits=2),
        below(EQUAL, LONG_DIGITS, partial(n.equal_training_gain, **DIGITS), digits=2),
    ),
    *statement(
        "Paper, figure 3: fixed learning rate",
        "Paper, Results",
        "A critical period exists also when the learning rate is kept constant, on a longer scale.",
        below(BORN % "blur", {"paper": (400,), "course": (16,)}, partial(n.newborn_gain, **FIXED)),
    ),
    *statement(
        "Paper, figure 3: depth",
        "Paper, figure 3",
        "Adding convolutional blocks (n = 1, 2, 3) increases the effect of the deficit.",
        *(
            below(
                f"n = {depth}: {BORN % 'blur'}",
                DEEP,
                partial(n.newborn_gain, model=f"depth{depth}", **FIXED),
            )
            for depth in (1, 2, 3)
        ),
        *(
            above(
                f"points lost to {{0}} epochs of blur against {words}, n = {a} minus n = {b}",
                DEEP,
                partial(n.depth_excess, deep=a, shallow=b, of=gain),
            )
            for gain, words in (
                (n.newborn_gain, "the newborn"),
                (n.equal_training_gain, "equal training"),
            )
            for a, b in ((2, 1), (3, 2), (3, 1))
        ),
    ),
    *statement(
        "Poster: Adam",
        "Poster",
        "Critical periods are observed for different optimisers, SGD and Adam.",
        below(BORN % "blur", {**BIG, "fit": (12,)}, partial(n.newborn_gain, **ADAM)),
        below(EQUAL, {**BIG, "fit": (12,)}, partial(n.equal_training_gain, **ADAM)),
    ),
]

ENDS = {"paper": (220,), "fit": (24,), "course": (24,)}  # of the clear life that is traced
AFTER = {"paper": (100,), "fit": (24,), "course": (16,)}  # of blur that is traced
BOTH = {size: (*WINDOWS[size], *ENDS[size]) for size in ENDS}


def figure_4(exhibit: str, sizes: tuple[str, ...], **fields) -> list[Claim]:
    """The claims of figure 4 for one network."""
    ends, after, windows = ({s: at[s] for s in sizes} for at in (ENDS, AFTER, BOTH))
    return [
        *statement(
            exhibit,
            "Paper, figure 4 left",
            "Without a deficit the trace rises and then falls while performance stays; sensitivity "
            "is maximal precisely when it peaks (around epoch 30), and follows it.",
            between(
                -inf,
                0.9,
                "trace in the end, of its highest",
                ends,
                partial(n.remaining, **fields),
                digits=2,
            ),
            near(
                30,
                10,
                "epoch (of the paper's clock) of the highest trace",
                ends,
                partial(n.peak, **fields),
                digits=0,
            ),
            between(
                -20,
                20,
                "epochs (of that clock) from there to the onset at which a window of {0} costs "
                "most",
                windows,
                partial(n.peak_to_worst, **fields),
                digits=0,
            ),
            above(
                "correlation of trace and sensitivity over the onsets after birth",
                windows,
                partial(n.trace_match, **fields),
                digits=2,
            ),
        ),
        *statement(
            exhibit,
            "Paper, figure 4 right",
            "With blur the trace grows much more, and remains substantially higher after the blur "
            "is removed.",
            above(
                "{0} epochs of blur: trace in the end against equal training, doublings",
                after,
                partial(n.doublings, **fields),
                digits=2,
            ),
        ),
    ]


FIGURE_4 = [
    *figure_4("Paper, figure 4: Fisher trace, ResNet-18", ("paper",), **RESNET),
    *figure_4("Paper, figure 4: Fisher trace, All-CNN", tuple(ENDS)),
    *statement(
        "Paper, figure 4: Fisher trace, All-CNN",
        "Paper, Discussion",
        "Networks impaired by the deficit end in sharper minima, those with a high-level deficit "
        "are not impaired.",
        above(
            "{0} epochs of blur: trace in the end against as many of flip, doublings",
            AFTER,
            partial(n.doublings, other="flip"),
            digits=2,
        ),
    ),
    *statement(
        "Paper, figure 5: information by layer",
        "Paper, figure 5",
        "Without a deficit most of the information is in the middle layers (3, 4, 5).",
        above("information in layers 3, 4, 5 (from 0), %", AFTER, n.middle_share, low=50),
    ),
    *statement(
        "Paper, figure 5: information by layer",
        "Paper, figure 5",
        "With blur until epoch 100 more is in the higher layers, and stays there; blur until 40 "
        "has no such lasting consequence; a flip does not affect the relative quantities.",
        above(
            "at the end of {0} epochs of blur: the trace sits later than without, layers",
            AFTER,
            partial(n.information_shift, at_removal=True),
            digits=2,
        ),
        above(
            "in the end, after {0} epochs of blur: the information sits later, layers",
            AFTER,
            n.information_shift,
            digits=2,
        ),
        above(
            "the same, after {1} epochs minus after {0}",
            {"paper": (40, 100), "fit": (4, 24), "course": (4, 16)},
            n.shift_excess,
            digits=2,
        ),
        between(
            -0.5,
            0.5,
            "in the end, after {0} epochs of flip: the information sits later, layers",
            AFTER,
            partial(n.information_shift, deficit="flip"),
            digits=2,
        ),
    ),
]

CONTROLS = [
    *(
        claim
        for schedule, words in (
            ("paper", "rate annealed by epoch, as in the paper"),
            ("fixed", "rate fixed"),
            ("recovery", "rate held, then annealed over the recovery"),
        )
        for claim in statement(
            "Three schedules, two controls",
            "Paper, Results",
            "The critical period does not come of annealing, and depends on the kind of deficit. "
            "(The paper has no control of equal training.)",
            below(f"{words}: {BORN % 'blur'}", BIG, partial(n.newborn_gain, schedule=schedule)),
            below(f"{words}: {EQUAL}", BIG, partial(n.equal_training_gain, schedule=schedule)),
            above(
                f"{words}: {{0}} epochs of flip, minus as many of blur, points",
                BIG,
                partial(n.advantage_over_blur, deficit="flip", schedule=schedule),
            ),
        )
    ),
    *statement(
        "Momentum 0",
        "Paper, Methods",
        "SGD; a momentum is not mentioned. (Everything else here has 0.9.)",
        near(8, 1, ERROR, CLEAR, partial(n.error, momentum=0)),
        below(BORN % "blur", {"paper": (140,)}, partial(n.newborn_gain, momentum=0)),
    ),
]


def rounding(words: str, of) -> dict:
    return between(-1, 1, f"{words}, float32 minus bfloat16, points", BIG, of)


def float32_gain(*lives: str):
    return lambda *at: n.float32_gain(*at, *lives)


ROUNDING = statement(
    "Our engine: bfloat16 and float32",
    "Ours",
    "Networks whose products are taken in bfloat16 end within a point of those in float32.",
    rounding("the newborn", float32_gain("newborn")),
    rounding("after {0} epochs of blur", float32_gain("blur")),
    rounding("after equal training with these", float32_gain("equal")),
    rounding("mean of the three", float32_gain("newborn", "blur", "equal")),
    rounding("what {0} epochs of blur take from the newborn", n.float32_loss_excess),
)

CLAIMS = [
    *(*FIGURE_1, *FIGURE_2, *FIGURE_3, *FIGURE_4, *CONTROLS, *ROUNDING),
    *(*DENSE, *CONVOLUTIONAL, *SLIDES),
]
