"""What the paper and the poster claim, and which of our numbers speaks to it.

A claim predicts where a number lies; `numbers.py` takes that number from the shipped results.
Nothing here is a result of ours. Claims stand under the question that they answer, and two that
would read the same numbers are one. Those of the Fisher information stand in `fisher.py`, those of
the thesis and the slides in `thesis.py`, of two eyes in `twoeyes.py`, on treatments in
`reopening.py`, of deep linear networks in `linear.py`.

Sources: A. Achille, M. Rovere, S. Soatto, Critical Learning Periods in Deep Networks (paper, and
its poster); D. Stothers, Turing's Child Machine (thesis); slides of A. Jose on the paper.
"""

from functools import partial
from typing import Any

from cplab import quantities as q
from reproduction import numbers as n
from reproduction.fisher import BY_LAYER, RESNET, SHORT, TRACES, WINDOWS
from reproduction.linear import LINEAR_CLAIMS
from reproduction.questions import ACCURACY, AGE, DEPTH, ENGINE, HARM, KIND, LOST, RATE
from reproduction.reopening import REOPENINGS
from reproduction.statement import Claim, above, below, between, flat, near, statement
from reproduction.thesis import CONVOLUTIONAL, DENSE, SLIDES
from reproduction.twoeyes import CLOSED_EYES, INTEGRATION, NO_GRADIENT

# Why a size cannot answer, and why a row cannot fail.
ANNEALED = "the rate falls with the epochs, and of this number there is no second control"
LOSES_TIME = "a blank screen passes as well: equal training has seen more clear images"
SLEPT_LONG = "a newborn that begins at 1.4 % of the rate hardly learns"

BIG = {"course": (16,), "slim": (140,), "paper": (140,)}
LATE = BIG | {"fit": (24,), "matched": (16,)}  # ends of long deficits
BLURRED = BIG | {"matched": (16,)}
OWN = {"course": (16,), "paper": (140,)}
COURSE, PAPER = {"course": (16,)}, {"paper": (140,)}
CLEAR = {"paper": (0,)}
BORN = "{0} epochs of %s, minus the newborn, points"
EQUAL = "{0} epochs of %s, minus equal training, points"
PATIENT = "%s epochs of recovery in place of 15: "
ERROR = "test error without a deficit, %"
FIXED, ADAM = {"schedule": "fixed"}, {"optimizer": "adam"}
DIGITS = {"model": "fc", "dataset": "mnist", **FIXED}
CLOTHES: dict[str, Any] = {"dataset": "fashion_mnist"}
LONG_RESNET, LONG_DIGITS = {"course": (16,), "paper": (180,)}, {"mnist": (32,), "paper": (480,)}
FIT_TOO = {"course": (16,), "fit": (12,), "paper": (140,)}

FIGURE_1, WINDOW = "Paper, figure 1 top", "Paper, figure 1 bottom"
RES, FC, FIX = "Paper, figure 3: ResNet-18", "Paper, figure 3: MNIST", "Paper, figure 3: fixed rate"

LEVELS = [
    *statement(
        ACCURACY,
        FIGURE_1,
        "Paper, Results; poster, note in the text",
        "The test error is about 6.4 % without a deficit, above 18 % with blur over 140 epochs. "
        "The poster: in this plot it is 8 % without one, and 6.4 % is the ResNet's. (The rows take "
        "the poster's.)",
        near(8, 1, ERROR, CLEAR, n.error),
        above("test error after {0} epochs of blur, %", PAPER, n.error, low=18, number=18),
        near(6.4, 1, f"ResNet-18: {ERROR}", CLEAR, partial(n.error, **RESNET)),
    ),
    *statement(
        ACCURACY,
        FC,
        "Paper, axes of the figure",
        "Accuracies lie between 98.6 and 99.2 %.",
        between(0.8, 1.4, ERROR, CLEAR, partial(n.error, **DIGITS), digits=2),
        between(
            0.8,
            1.4,
            "test error after {0} epochs of blur, %",
            {"paper": (480,)},
            partial(n.error, **DIGITS),
            digits=2,
        ),
    ),
    *statement(
        ACCURACY,
        "Momentum 0",
        "Paper, Methods",
        "SGD; a momentum is not mentioned. (Everything else here has 0.9.)",
        near(8, 1, ERROR, CLEAR, partial(n.error, momentum=0)),
    ),
]

HARMS = [
    *statement(
        HARM,
        FIGURE_1,
        "Paper, Results",
        "If the blur is not removed within the first 60 epochs, performance is severely decreased, "
        "more so the later it is removed.",
        below(BORN % "blur", BLURRED, n.newborn_gain),
        *(
            below(PATIENT % more + BORN % "blur", COURSE, partial(n.newborn_gain, recovery=more))
            for more in (120, 240)
        ),
        below(
            BORN % "blur",
            {"course": (8,), "fit": (24,), "matched": (8,), "slim": (60,), "paper": (60,)},
            n.newborn_gain,
        ),
        above(
            "harm done by epoch {0}, minus what the blur adds to it from there to {1}, points",
            {"matched": (8, 16), "fit": (12, 24)}
            | {"course": (8, 16), "slim": (60, 140), "paper": (60, 140)},
            n.early_excess,
            beyond=dict.fromkeys(("fit", "slim", "paper"), ANNEALED),
        ),
    ),
    *statement(
        HARM,
        RES,
        "Paper, Results",
        "A ResNet-18 has a critical period too, shown up to epoch 180.",
        below(BORN % "blur", LONG_RESNET, partial(n.newborn_gain, **RESNET)),
    ),
    *statement(
        HARM,
        FC,
        "Paper, Results",
        "A deep fully connected network has a critical period for blur, shown up to epoch 480.",
        below(BORN % "blur", LONG_DIGITS, partial(n.newborn_gain, **DIGITS), digits=2),
    ),
    *statement(
        HARM,
        "Poster: Adam",
        "Poster",
        "Critical periods are observed for different optimisers, SGD and Adam.",
        below(BORN % "blur", FIT_TOO, partial(n.newborn_gain, **ADAM)),
        *(
            below(
                f"at {rate} times that rate: {BORN % 'blur'}",
                COURSE,
                partial(n.newborn_gain, rate=rate, **ADAM),
            )
            for rate in (2, 5, 10)
        ),
    ),
    *statement(
        HARM,
        "Momentum 0",
        "Paper, Methods",
        "SGD; a momentum is not mentioned. (Everything else here has 0.9.)",
        below(BORN % "blur", PAPER, partial(n.newborn_gain, momentum=0)),
    ),
]

MIDDLE: dict[str, tuple] = {
    "course": (8, (2, 4)),
    "fit": (4, (6, 12)),
    "matched": (12, (4, 8)),
    "slim": (40, (20, 40)),
    "paper": (40, (20, 40)),
}
LAST = {"course": (8, 24), "fit": (4, 24), "matched": (12, 24)}
LAST |= {"slim": (40, 80), "paper": (40, 140)}
NOT_FIT = ("course", "matched", "slim", "paper")
# "Later" begins where a clear run has made nine tenths of its rise above chance, epochs.
RAPID = {"course": 14, "matched": 17, "slim": 60, "paper": 60}
ONSETS: dict[str, tuple[int, tuple[int, ...]]] = {
    "course": (8, (2, 4, 8, 12, 16, 24)),
    "matched": (12, (0, 4, 8, 16, 24)),
    "slim": (40, (0, 20, 40, 80)),
    "paper": (40, (0, 20, 40, 80, 120, 140)),
}
SLIDING = (
    "A window of 40 epochs costs up to about 2 points, most when it begins around epoch 30, in the "
    "middle of the rapid learning phase; later ones have little or no effect."
)
window_harm = partial(n.window_cost, of=q.harm)
window_time = partial(n.window_cost, of=q.lost_time)
HARMS += statement(
    HARM,
    FIGURE_1,
    "Paper, Results",
    "Blur that is not removed raises the error by about 300 %, to nearly three times. (Doublings "
    "of the error, within half of one.)",
    near(
        1.5,
        0.5,
        "test error after {0} epochs of blur, above the newborn's, doublings",
        BIG,
        n.error_doublings,
        digits=2,
    ),
)
HARMS += statement(
    AGE,
    "Poster: phases",
    "Poster",
    "Deficits with an early onset have no effect either: those of epochs 20 to 60 do.",
    between(
        -1,
        1,
        "harm of a window of {0} at onset {1}, early, points",
        {"course": (8, 0), "matched": (12, 0)},
        window_harm,
    ),
)
HARMS += statement(
    HARM,
    "Operational length",
    "Slides",
    "The critical period is the longest deficit that leaves no penalty. (Less than a point of "
    "harm, we say. That is a definition; it predicts only that some deficit that was trained is "
    "longer.)",
    *(
        between(
            0,
            longest,
            "longest blur from birth with less than a point of harm, of {0} epochs at most",
            {size: (longest,)},
            n.longest_harmless,
            beyond={"matched": "of no length that was trained is the harm surely above a point"},
        )
        for size, longest in (("course", 24), ("matched", 24))
    ),
)
LOSSES = [
    *statement(
        LOST,
        WINDOW,
        "Paper, Results",
        SLIDING,
        near(
            2,
            1,
            "points lost to a window of {0} at its worst, mean of onsets {1[0]} and {1[1]}",
            {size: MIDDLE[size] for size in ("slim", "paper")},
            n.window_cost,
        ),
        near(
            30,
            20,
            "onset at which a window of {0} costs most, epochs",
            {size: WINDOWS[size] for size in ("slim", "paper")},
            n.worst_onset,
        ),
        above(
            "window of {0}: points lost at onsets {1[0]} and {1[1]}, minus those lost at birth",
            MIDDLE,
            n.excess_over_birth,
            beyond=SHORT,
        ),
        between(
            -1, 1, "points lost to a window of {0} at onset {1}", LAST, n.window_cost, beyond=SHORT
        ),
    ),
    *(
        claim
        for exhibit, says, at, fields, digits in (
            (FIGURE_1, "Blur that is removed late costs accuracy.", BIG, {}, 1),
            (RES, "A ResNet-18 has a critical period too.", LONG_RESNET, RESNET, 1),
            (FC, "So has a fully connected network.", LONG_DIGITS, DIGITS, 2),
            ("Poster: Adam", "So has one that Adam trains.", FIT_TOO, ADAM, 1),
        )
        for claim in statement(
            LOST,
            exhibit,
            "The same against equal training, a control that the sources do not have",
            says,
            below(
                EQUAL % "blur",
                at,
                partial(n.equal_training_gain, **fields),
                digits=digits,
                idle=LOSES_TIME,
            ),
        )
    ),
    *statement(
        LOST,
        WINDOW,
        "Ours",
        "A window costs the clear epochs that it displaces as well, whatever it shows: lost time, "
        "which sleep would cost too.",
        *(
            above(
                "lost time of a window of {0} at onset {1}, points",
                at,
                window_time,
                idle="clear epochs teach something",
            )
            for at in ({"course": (8, 0)}, {"course": (8, 24)})
        ),
    ),
]
HARM_AT = "harm of a window of {0} at onset {1}, points"
AGES = [
    *statement(
        AGE,
        WINDOW,
        "Paper, Results; without lost time",
        SLIDING + " (Points lost against equal training hold the clear epochs that the window "
        "displaced. What the blur itself did is the harm.)",
        *(
            above(HARM_AT, {size: (length, onset)}, window_harm)
            if onset < RAPID[size]
            else between(-1, 1, HARM_AT, {size: (length, onset)}, window_harm)
            for size, (length, onsets) in ONSETS.items()
            for onset in onsets
        ),
        above(
            "window of {0}: harm at onsets {1[0]} and {1[1]}, minus harm at birth",
            {size: MIDDLE[size] for size in NOT_FIT},
            partial(n.excess_over_birth, of=q.harm),
            beyond=dict.fromkeys(("slim", "paper"), ANNEALED),
        ),
        below(
            "window of {0}: harm at onset {1}, minus harm at birth",
            {size: LAST[size] for size in NOT_FIT},
            partial(n.excess_over_birth, of=q.harm),
            beyond=dict.fromkeys(("slim", "paper"), ANNEALED),
        ),
    ),
    *statement(
        AGE,
        "Other images",
        "Ours",
        "What a window of blur does is no matter of one set of images: on pictures of clothes "
        "(Fashion-MNIST) it harms as well, and less the later it comes. (Our forecast.)",
        *(
            above("clothes: " + HARM_AT, {"course": (8, onset)}, partial(window_harm, **CLOTHES))
            for onset in (0, 4, 8, 16, 24)
        ),
        below(
            "clothes, window of {0}: harm at onset {1}, minus harm at birth",
            {"course": (8, 24)},
            partial(n.excess_over_birth, of=q.harm, **CLOTHES),
        ),
    ),
]

CHOSEN, FRESH = range(5), range(5, 30)  # seeds that were looked at before it was asked, and others
WORDS_OF_SEEDS = {CHOSEN: "seeds that chose it", FRESH: "fresh seeds"}
ONE_RATE = "Three blocks, one rate"
NEVER_CHANGES = (
    "A critical period is more than lost time: an early deficit harms, a late one does not, and a "
    "flip does neither. (Three blocks at a rate that never changes, 60 clear epochs after 16 of a "
    "deficit, where lost time is gone. The setting was picked on seeds 0 to 4; the others test it.)"
)


def flagship(*some: tuple) -> list[dict]:
    """Rows of fresh seeds and of those that chose the setting: (measure, deficit, onset, words)."""
    return [
        measure(f"{words}, points ({WORDS_OF_SEEDS[seeds]})", {"course": at}, of, seeds=seeds)
        for measure, words, at, of in some
        for seeds in (FRESH, CHOSEN)
    ]


AGES += statement(
    AGE,
    ONE_RATE,
    "Ours",
    NEVER_CHANGES,
    *flagship(
        (above, "{0} epochs of blur from epoch {1} on: harm", (16, 0), n.flagship_harm),
        (flat, "{0} epochs of blur from epoch {1} on: gain", (16, 24), n.later_gain),
        (above, "harm from birth minus harm from epoch {1} on, {0} epochs", (16, 24), n.age_effect),
    ),
    above(
        "{0} epochs of blur from epoch {1} on: harm after 60 clear epochs (all seeds)",
        {"course": (48, 0)},
        n.flagship_harm,
    ),
    between(
        -1, 1, "{0} epochs from birth: lost time after 60 epochs", {"course": (16,)}, n.time_left
    ),
)
BEHIND = (
    "An early deficit harms and a late one does not. (Points are worth more late in a life, so "
    "harm is counted in clear epochs here: at a rate that stays, those by which a run is behind; "
    "in the course windows, harm over what one displaced clear epoch would have taught.)"
)
AGES += statement(
    AGE,
    "Harm in clear epochs",
    "Ours, after looking",
    BEHIND,
    *(
        (above if onset < RAPID["course"] else partial(between, -1, 1))(
            "harm of a window of {0} at onset {1}, clear epochs",
            {"course": (8, onset)},
            n.in_clear_epochs,
        )
        for onset in (0, *ONSETS["course"][1])
    ),
    below(
        "window of {0}: harm at onset {1}, minus harm at birth, clear epochs",
        {"course": (8, 24)},
        n.epochs_over_birth,
    ),
    above(
        "three blocks, one rate, {0} epochs of blur from epoch {1} on: clear epochs behind, more "
        "than it lasted",
        {"course": (16, 0)},
        n.flagship_behind,
        low=16,
    ),
    between(
        -16,
        16,
        "three blocks, one rate, {0} epochs of blur from epoch {1} on: clear epochs behind, fewer "
        "than it lasted",
        {"course": (16, 24)},
        n.flagship_behind,
    ),
)
FLIP_LABELS, NOISE = "Paper, figure 2: flip and labels", "Paper, figure 2: noise"
KINDS = [
    *statement(
        KIND,
        FLIP_LABELS,
        "Paper, Results",
        "Vertical flips and permuted labels leave the network largely unaffected: it recovers its "
        "baseline performance. (Read against both controls.)",
        flat(BORN % "flip", LATE, partial(n.newborn_gain, deficit="flip")),
        flat(EQUAL % "flip", LATE, partial(n.equal_training_gain, deficit="flip")),
        flat(BORN % "permuted labels", BIG, partial(n.newborn_gain, deficit="permute")),
        flat(EQUAL % "permuted labels", BIG, partial(n.equal_training_gain, deficit="permute")),
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
        KIND,
        NOISE,
        "Paper, Results",
        "With noise in place of images a critical period still exists, but it is milder than "
        "blur's.",
        below(BORN % "noise", BIG | {"paper": (160,)}, partial(n.newborn_gain, deficit="noise")),
        above(
            "{0} epochs of noise, minus as many of blur, points",
            BIG,
            partial(n.advantage_over_blur, deficit="noise"),
        ),
        above(
            PATIENT % 120 + "{0} epochs of noise, minus as many of blur, points",
            COURSE,
            partial(n.advantage_over_blur, deficit="noise", recovery=120),
        ),
        below(
            BORN % "noise that is new in every epoch",
            COURSE,
            partial(n.newborn_gain, deficit="fresh_noise"),
        ),
    ),
    *statement(
        KIND,
        "Paper: blank input",
        "Paper, Results",
        "A blank input makes the network unable to train on new data.",
        below(
            BORN % "blank",
            COURSE,
            partial(n.newborn_gain, deficit="blank"),
            beyond={"course": NO_GRADIENT},
        ),
    ),
]

KINDS += statement(
    KIND,
    ONE_RATE,
    "Ours",
    NEVER_CHANGES,
    *flagship(
        *(
            (
                flat,
                f"{{0}} epochs of {words} from birth: gain",
                (16, 0),
                partial(n.later_gain, of=of),
            )
            for of, words in (("flip", "a flip"), ("permute", "permuted labels"))
        ),
        (
            above,
            "{0} epochs of noise from birth: harm",
            (16, 0),
            partial(n.flagship_harm, of="noise"),
        ),
    ),
)
KINDS += statement(
    KIND,
    NOISE,
    "Paper, Results",
    "The critical period for noise is milder than blur's but lasts longer.",
    above(
        "harm of noise, {0} epochs minus {1}, minus the same of blur: does its period last longer?",
        {"course": (24, 16)},
        n.noise_lasts,
    ),
)
THREE = "Three schedules"
HIGH_LEVEL = {"flip": "flip", "permute": "permuted labels"}
PACE_1 = {"schedule": "paper", "pace": 1, "recovery": 160}
SAYS = "The critical period does not come of annealing, and depends on the kind of deficit."
FLIP_OVER_BLUR = "{0} epochs of flip, minus as many of blur, points"


def schedule(name: str, words: str, born: dict, others: dict, **more: Any) -> list[Claim]:
    """Claims of one schedule: against the newborn, and others where they stand nowhere else."""
    fields = {"schedule": name}
    return statement(
        RATE,
        THREE,
        "Paper, Results",
        SAYS,
        below(f"{words}: {BORN % 'blur'}", born, partial(n.newborn_gain, **fields), **more),
        below(
            f"{words}: {EQUAL % 'blur'}",
            others,
            partial(n.equal_training_gain, **fields),
            idle=LOSES_TIME,
        ),
        above(
            f"{words}: {FLIP_OVER_BLUR}",
            others,
            partial(n.advantage_over_blur, deficit="flip", **fields),
        ),
    )


RATES = [
    *statement(
        RATE,
        FIX,
        "Paper, Results",
        "At a fixed rate the critical period has a longer time scale. (So a short deficit should "
        "harm less there.)",
        below(
            "harm of {0} epochs of blur, fixed minus held and annealed, points",
            {"course": (8,)},
            partial(n.excess, more=FIXED, less={}),
        ),
    ),
    *statement(
        RATE,
        FIX,
        "Paper, Results",
        "A critical period exists also when the learning rate is kept constant, on a longer scale.",
        below(BORN % "blur", {"paper": (400,)}, partial(n.newborn_gain, **FIXED)),
    ),
    # each profile's own schedule stands under Harm, Loss and Kind
    *schedule("paper", "annealed by epoch", COURSE, COURSE),
    *statement(
        RATE,
        THREE,
        "Paper, Results",
        SAYS + " (How much of a flip's loss does the compression make? At pace 10 an epoch stands "
        "for ten of the paper's; a deficit lasts until 140 of these, the recovery 160.)",
        *(
            above(
                f"annealed by epoch, pace {pace}: {FLIP_OVER_BLUR}",
                {"course": (140 // pace,)},
                partial(
                    n.advantage_over_blur,
                    deficit="flip",
                    schedule="paper",
                    pace=pace,
                    recovery=160 // pace,
                ),
            )
            for pace in (10, 5, 2, 1)
        ),
    ),
    *statement(
        RATE,
        THREE,
        "Paper, Results",
        SAYS + " (Is it the momentum, which the paper does not state, or the augmentation? Without "
        "one or the other, at the paper's own pace, until its epoch 140.)",
        *(
            above(
                f"annealed by epoch, pace 1, {words}: {FLIP_OVER_BLUR}",
                {"course": (140,)},
                partial(n.advantage_over_blur, deficit="flip", **PACE_1, **fields),
            )
            for words, fields in (
                ("momentum 0", {"momentum": 0.0}),
                ("no augmentation", {"augment": False}),
            )
        ),
    ),
    *statement(
        RATE,
        "High-level deficits by pace",
        "Paper, figure 2",
        "A flip and permuted labels leave no lasting mark. (Under its schedule, with ten of its "
        "epochs in one of ours, and one in one.)",
        *(
            flat(
                f"annealed by epoch, pace {pace}: {{0}} epochs of {words}, minus the newborn",
                {"course": (140 // pace,)},
                partial(
                    n.newborn_gain,
                    deficit=deficit,
                    schedule="paper",
                    pace=pace,
                    recovery=160 // pace,
                ),
            )
            for deficit, words in HIGH_LEVEL.items()
            for pace in (10, 1)
        ),
    ),
    *statement(
        RATE,
        "A clock that runs on",
        "Ours; the source has no such control",
        "A deficit that lasts harms, and a high-level one does not. (Against a newborn whose clock "
        "runs on while nothing is trained: it recovers at the rates that the other has.)",
        *(
            (flat if deficit in HIGH_LEVEL else below)(
                f"annealed by epoch, pace 1: {{0}} epochs of {words}, minus that newborn",
                {"course": (end,)},
                partial(n.running_newborn_gain, deficit=deficit, **PACE_1),
                idle=SLEPT_LONG if deficit in HIGH_LEVEL and end == 140 else "",
            )
            for deficit, words in (("blur", "blur"), ("noise", "noise"), *HIGH_LEVEL.items())
            for end in (60, 140)
        ),
        *(
            below(
                "{0} epochs of blur, minus that newborn",
                {"fit": (ends[0],), "slim": (ends[1],)},
                n.running_newborn_gain,
            )
            for ends in ((8, 60), (24, 140))
        ),
    ),
    *schedule("fixed", "fixed", OWN, OWN),
    *schedule("recovery", "held, then annealed over the recovery", PAPER, PAPER),
]

DEEP = {"course": (16,), "paper": (240,)}


LONGER: dict[str, Any] = {"recovery": 60}


def deep(n: int | str) -> dict[str, Any]:
    return {"model": f"depth{n}", **FIXED}


DEPTHS = statement(
    DEPTH,
    "Paper, figure 3: depth",
    "Paper, figure 3",
    "Adding convolutional blocks (n = 1, 2, 3) increases the effect of the deficit.",
    *(
        below(
            f"n = {depth}: {BORN % 'blur'}",
            DEEP,
            partial(n.newborn_gain, **deep(depth)),
        )
        for depth in (1, 2, 3)
    ),
    *(
        above(
            f"points lost to {{0}} epochs of blur against {words}, n = {a} minus n = {b}",
            DEEP,
            partial(n.excess, more=deep(a), less=deep(b), of=of),
        )
        for of, words in ((q.harm, "the newborn"), (q.equal_training_loss, "equal training"))
        for a, b in ((2, 1), (3, 2))
    ),
    *(
        above(
            f"{more}points lost to {{0}} epochs of blur against the newborn, n = 3 minus n = 1 "
            "with as many parameters",
            COURSE,
            partial(n.excess, more=deep(3) | how, less=deep("1-68") | how),
        )
        for more, how in (("", {}), (PATIENT % 60, LONGER))
    ),
    *(
        below(
            f"{PATIENT % 60}n = {depth}, {BORN % 'blur'}",
            COURSE,
            partial(n.newborn_gain, **deep(depth), **LONGER),
        )
        for depth in (1, 2, 3)
    ),
    *(
        above(
            f"{PATIENT % 60}points lost to {{0}} epochs of blur against the newborn, "
            f"n = {a} minus n = {b}",
            COURSE,
            partial(n.excess, more=deep(a) | LONGER, less=deep(b) | LONGER),
        )
        for a, b in ((2, 1), (3, 2))
    ),
)
DEPTHS += statement(
    DEPTH,
    ONE_RATE,
    "Ours",
    "The deeper the network, the more an early deficit leaves, and a late one leaves nothing.",
    *(
        above(
            f"harm of {{0}} epochs of blur from birth after 60 clear ones, n = 3 minus n = {b}",
            {"course": (16,)},
            partial(n.depth_effect, shallow=b),
        )
        for b in (1, 2)
    ),
)
DEPTHS += statement(
    DEPTH,
    RES,
    "Paper, Results",
    "The critical period of a ResNet-18 is sharper. (We read it as more harm.)",
    above(
        "harm of {0} epochs of blur, ResNet-18 minus All-CNN, points",
        COURSE,
        partial(n.excess, more=RESNET, less={}),
    ),
)
SIZES = statement(
    DEPTH,
    "Paper: size of the network",
    "Paper, abstract of the preprint of 2017",
    "How much a deficit impairs depends on the size of the network. (It does not say which way; we "
    "ask whether the harm grows.)",
    above(
        "harm of {0} epochs of blur, All-CNN of width 48 minus width 8, points",
        COURSE,
        partial(n.excess, more={"model": "allcnn-48"}, less={"model": "allcnn-8"}),
    ),
) + statement(
    DEPTH,
    "Weight decay",
    "Ours, after looking",
    "What a deficit leaves depends on the hyperparameters, say the slides, but not which way. "
    "(That much weight decay leaves less harm was asked once the numbers were known.)",
    below(
        "harm of {0} epochs of blur, weight decay 0.01 minus 0, points",
        COURSE,
        partial(n.excess, more={"weight_decay": 0.01}, less={"weight_decay": 0}),
    ),
)


def rounding(words: str, of) -> dict:
    idle = "a check of our engine, and nothing that a source says"
    return between(-1, 1, f"{words}, float32 minus bfloat16, points", COURSE, of, idle=idle)


def float32_gain(*lives: str):
    return lambda *at: n.float32_gain(*at, *lives)


ROUNDING = statement(
    ENGINE,
    "bfloat16 and float32",
    "Ours",
    "Networks whose products are taken in bfloat16 end within a point of those in float32.",
    rounding("the newborn", float32_gain("newborn")),
    rounding("after {0} epochs of blur", float32_gain("blur")),
    rounding("after equal training with these", float32_gain("equal")),
    rounding("mean of the three", float32_gain("newborn", "blur", "equal")),
    rounding("what {0} epochs of blur take from the newborn", n.float32_loss_excess),
)

CLAIMS = [
    *(*LEVELS, *HARMS, *LOSSES, *AGES, *KINDS, *RATES, *DEPTHS, *SIZES, *TRACES, *BY_LAYER),
    *(*DENSE, *CONVOLUTIONAL, *SLIDES, *CLOSED_EYES, *INTEGRATION, *LINEAR_CLAIMS),
    *(*REOPENINGS, *ROUNDING),
]
