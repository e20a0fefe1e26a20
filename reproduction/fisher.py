"""What the paper claims of the Fisher information (see claims.py)."""

from functools import partial
from math import inf

from cplab import quantities as q
from reproduction import numbers as n
from reproduction.questions import LAYERS, TRACE
from reproduction.statement import Claim, above, between, near, statement

# Why a size cannot answer.
SHORT_LIFE = "the whole life has as many steps as 8 epochs of the paper, whose peak is at 30"
NO_CLOCK = "the rate does not fall by the epoch, so that there is no such clock"
NO_FIT = "width 32 does not fit 50,000 images, so that the trace is highest when most is over"
SHORT_WINDOW = "4 epochs are 12 of the paper's, a third of its window"
RESNET = {"model": "resnet18"}

WINDOWS: dict[str, tuple] = {
    "course": (8, (0, 2, 4, 8, 12, 16, 24)),
    "fit": (4, (0, 2, 4, 6, 8, 12, 16, 20, 24)),
    "matched": (12, (0, 4, 8, 16, 24)),
    "slim": (40, (0, 20, 40, 80)),
    "paper": (40, tuple(range(0, 141, 20))),
}
SHORT = {"fit": SHORT_WINDOW}
ENDS = {"course": (24,), "fit": (24,), "matched": (24,)}  # of the clear life
ENDS |= {"slim": (140,), "paper": (220,)}
AFTER = {"course": (16,), "fit": (24,), "matched": (16,)}  # of blur
AFTER |= {"slim": (140,), "paper": (100,)}
BOTH = {size: (*WINDOWS[size], *ENDS[size]) for size in ENDS}
READINGS = {
    "trace · ‖w‖²": {"scaled": True},
    "‖J‖²": {"of": "jacobian"},
    "‖J‖² · ‖w‖²": {"of": "jacobian", "scaled": True},
}
TOO_SHORT, WITHOUT_CLOCK = (
    {"course": SHORT_LIFE, "slim": NO_FIT},
    dict.fromkeys(("course", "matched"), NO_CLOCK),
)


def figure_4(exhibit: str, sizes: tuple[str, ...], **fields) -> list[Claim]:
    """The claims of figure 4 for one network."""
    ends, after, windows = ({s: at[s] for s in sizes} for at in (ENDS, AFTER, BOTH))
    return [
        *statement(
            TRACE,
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
                beyond=TOO_SHORT,
            ),
            near(
                30,
                10,
                "epoch (of the paper's clock) of the highest trace",
                ends,
                partial(n.peak, **fields),
                digits=0,
                beyond=WITHOUT_CLOCK | {"slim": NO_FIT},
            ),
            between(
                -20,
                20,
                "epochs (of that clock) from there to the onset at which a window of {0} costs "
                "most",
                windows,
                partial(n.peak_to_worst, **fields),
                digits=0,
                beyond=WITHOUT_CLOCK | SHORT | {"slim": NO_FIT},
            ),
            above(
                "correlation of trace and sensitivity over the onsets after birth",
                windows,
                partial(n.trace_match, **fields),
                digits=2,
                beyond=TOO_SHORT | SHORT,
            ),
            above(
                "correlation of trace and harm over the onsets after birth",
                {size: at for size, at in windows.items() if size != "fit"},
                partial(n.trace_match, of=q.harm, **fields),
                digits=2,
                beyond=TOO_SHORT,
            ),
        ),
        *statement(
            TRACE,
            exhibit,
            "Paper, figure 4 and Methods",
            "Trace and sensitivity follow F = a·exp(c·S) + b. (At least nine tenths of the "
            "variance, we say; with three free numbers at four onsets a good fit says little.)",
            above(
                "part of the trace's variance over the onsets after birth that a·exp(c·S) + b "
                "takes",
                windows,
                partial(n.exponential_fit, **fields),
                low=0.9,
                digits=2,
                beyond=TOO_SHORT | SHORT,
            ),
        ),
        *statement(
            TRACE,
            exhibit,
            "Paper, figure 4 right",
            "With blur the trace grows much more, and remains substantially higher after the blur "
            "is removed.",
            above(
                "{0} epochs of blur: trace in the end against equal training, doublings",
                after,
                partial(n.doublings, **fields),
                digits=2,
                beyond=TOO_SHORT,
            ),
        ),
    ]


TRACES = [
    *figure_4("Paper, figure 4: All-CNN", tuple(ENDS)),
    *statement(
        TRACE,
        "Paper, figure 4: All-CNN",
        "Paper, Discussion",
        "Networks impaired by the deficit end in sharper minima, those with a high-level deficit "
        "are not impaired.",
        above(
            "{0} epochs of blur: trace in the end against as many of flip, doublings",
            AFTER,
            partial(n.doublings, other="flip"),
            digits=2,
            beyond=TOO_SHORT,
        ),
    ),
    *statement(
        TRACE,
        "Figure 4 without norms and certainty",
        "Ours",
        "What blur leaves in the trace is connections, and neither smaller weights nor less sure "
        "answers. (‖J‖² · ‖w‖², which leaves both out, read as figure 4.)",
        *(
            above(
                f"{{0}} epochs of blur: {words} in the end against {against}, doublings",
                {size: AFTER[size] for size in ("course", "fit", "matched", "slim")},
                partial(n.doublings, other=other, how=how),
                digits=2,
                beyond=TOO_SHORT,
            )
            for words, how in READINGS.items()
            for against, other in (("equal training", "none"), ("as many of flip", "flip"))
        ),
        *(
            between(
                -inf,
                0.9,
                f"{words} in the end, of its highest",
                {"fit": (24,), "matched": (16,), "slim": (140,)},
                partial(n.remaining, how=how),
                digits=2,
                beyond={"slim": NO_FIT},
            )
            for words, how in READINGS.items()
        ),
    ),
    *statement(
        TRACE,
        "Paper, figure 4: All-CNN",
        "Paper, figure 4 right",
        "While the network sees blur its trace grows much more than without. (On clear images.)",
        above(
            "at the end of {0} epochs of blur: trace against as many clear ones, doublings",
            {"fit": (24,), "matched": (16,), "course": (16,)},
            n.doublings_at_removal,
            digits=2,
        ),
    ),
    *statement(
        TRACE,
        "Log-determinant",
        "Paper, supplement",
        "The log-determinant of the Fisher information (K-FAC) follows the trace.",
        above(
            "correlation of the two over {0} epochs of blur and the recovery",
            {"fit": (24,)},
            n.agreement,
            digits=2,
            low=0.5,
        ),
    ),
    *figure_4("Paper, figure 4: ResNet-18", ("paper",), **RESNET),
]

FIGURE_5 = "Paper, figure 5"
BY_LAYER = [
    *statement(
        LAYERS,
        FIGURE_5,
        FIGURE_5,
        "Without a deficit most of the information is in the middle layers (3, 4, 5).",
        above("information in layers 3, 4, 5 (from 0), %", AFTER, n.middle_share, low=50),
    ),
    *statement(
        LAYERS,
        FIGURE_5,
        FIGURE_5,
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
            {"course": (4, 16), "fit": (4, 24), "matched": (4, 16)}
            | {"slim": (40, 140), "paper": (40, 100)},
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
    *statement(
        LAYERS,
        FIGURE_5,
        FIGURE_5,
        "While the network sees blur, layer 6 dominates. (Counted from 0, on clear images.)",
        above(
            "at the end of {0} epochs of blur: share of layer 6 minus that of layer 5, percent",
            {size: AFTER[size] for size in ("course", "fit", "matched")},
            n.layer_6_lead,
        ),
    ),
    *statement(
        LAYERS,
        "Paper and poster: first layers",
        "Paper, Discussion",
        "Low-level layers are virtually untouched by the deficit. (The poster says the opposite: "
        "blur prevents connections in the first layers.)",
        between(
            -1,
            1,
            "end of {0} epochs of blur: trace of layers 1 to 3 against clear ones, doublings",
            {size: AFTER[size] for size in ("course", "fit", "matched")},
            partial(n.doublings_at_removal, layers=3),
            digits=2,
        ),
    ),
]
