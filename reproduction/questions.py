"""The questions under which claims stand together, and what was found in a sentence each."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from cplab import quantities as q
from reproduction import numbers as n

ACCURACY, HARM, LOST = "Accuracy", "Harm of blur", "Loss against equal training"
AGE, KIND, RATE, DEPTH = "Age", "Kind of deficit", "Learning rate", "Depth"
TRACE, LAYERS, ENGINE = "The trace", "Where the information sits", "Our engine"
GROWTH, KERNELS = "Growth and pruning of synapses", "Pruning of kernels"
WEIGHTS, EYES, REOPEN = "Pruning of weights", "Two eyes", "Opening again"
LINEAR = "Deep linear networks"


@dataclass(frozen=True)
class Question:
    """What claims that stand together ask. found: words with {}, and the number for each of them:
    a function of numbers.py, and what it is taken at."""

    asks: str
    found: str = ""
    numbers: tuple[tuple, ...] = ()


def at_course(of: Any, *at: Any, **fields: Any) -> tuple:
    return (partial(of, **fields), "course", *at)


window_harm = partial(n.window_cost, of=q.harm)
lost_time = partial(n.window_cost, of=q.lost_time)
QUESTIONS = {
    ACCURACY: Question("How accurate are networks with a deficit and without?"),
    HARM: Question(
        "What does blur from birth take beyond the clear epochs that it displaces?",
        "At course size 8 epochs of blur harm by {} points, 16 by {}, and 16 before a recovery "
        "eight times as long by {}, sixteen times as long by {}.",
        (
            at_course(window_harm, 8, 0),
            at_course(window_harm, 16, 0),
            at_course(window_harm, 16, 0, recovery=120),
            at_course(window_harm, 16, 0, recovery=240),
        ),
    ),
    LOST: Question(
        "What is lost against a life of as many clear epochs? Most of it is lost time, which a "
        "blank screen costs as well, so that a row says little about the deficit.",
        "At course size 8 epochs of blur from birth cost {} points, of them {} lost time; from "
        "epoch 24 on {}, of them {}.",
        tuple(at_course(of, 8, at) for at in (0, 24) for of in (n.window_cost, lost_time)),
    ),
    AGE: Question(
        "Does the harm of blur depend on when it comes?",
        "At course size, where the rate is the same at every onset, 8 epochs of blur harm by {} "
        "points from birth, {} from epoch 8, {} from epoch 24.",
        tuple(at_course(window_harm, 8, at) for at in (0, 8, 24)),
    ),
    KIND: Question(
        "Is it low-level deficits alone that harm?",
        "Harm of 16 epochs at course size, in points (below 0: something was learned): blur {}, "
        "fixed noise {}, fresh noise {}, a flip {}, permuted labels {}.",
        tuple(
            at_course(window_harm, 16, 0, deficit=name)
            for name in ("blur", "noise", "fresh_noise", "flip", "permute")
        ),
    ),
    RATE: Question(
        "Does the critical period come of the schedule of the learning rate?",
        "16 epochs of a flip minus as many of blur, at course size: {} points where the rate is "
        "held and then annealed, {} where it is fixed, {} where it anneals by the epoch.",
        tuple(
            at_course(n.advantage_over_blur, 16, deficit="flip", schedule=name)
            for name in ("recovery", "fixed", "paper")
        ),
    ),
    DEPTH: Question(
        "Do deeper networks lose more? (Depth changes the size of the network as well, and how far "
        "the newborn has come.)",
        "Harm of 16 epochs of blur at course size, n = 1, 2, 3: {}, {}, {} points; before a "
        "recovery four times as long {}, {}, {}.",
        tuple(
            at_course(window_harm, 16, 0, model=f"depth{k}", schedule="fixed", recovery=recovery)
            for recovery in (15, 60)
            for k in (1, 2, 3)
        ),
    ),
    TRACE: Question(
        "Does the trace of the Fisher information rise and fall, and does blur raise it for good? "
        "(A trace also falls as answers become sure, and as weights grow, which under BatchNorm "
        "changes nothing else: so it is read without both as well.)",
        "After 24 epochs of blur at the size fit the trace ends {} doublings above equal training; "
        "without norms {}, without certainty {}.",
        (
            (n.doublings, "fit", 24),
            (partial(n.doublings, how={"scaled": True}), "fit", 24),
            (partial(n.doublings, how={"of": "jacobian"}), "fit", 24),
        ),
    ),
    LAYERS: Question(
        "In which layers is the information, and does blur move it?",
        "16 epochs of blur move it by {} layers towards the answer at course size, as many of flip "
        "by {}.",
        (
            at_course(n.information_shift, 16),
            at_course(n.information_shift, 16, deficit="flip"),
        ),
    ),
    GROWTH: Question(
        "Is an architecture that experience grew better than one that chance made?",
        "At a density of 5 % by {} points over random ones, by {} over those with as many synapses "
        "on each pixel.",
        (
            (n.architecture_gain, "thesis", 0.05),
            (partial(n.architecture_gain, control="per_pixel"), "thesis", 0.05),
        ),
    ),
    KERNELS: Question("Do the kernels that pruning leaves make a better architecture?"),
    WEIGHTS: Question(
        "Does Fisher information tell which weights can go?",
        "With 10 % of the weights kept and trained on, w² F minus |w| is {} points, w² F minus "
        "chance {}.",
        tuple(
            at_course(n.saliency_gain, 0.1, other=other, moment="retrained")
            for other in ("magnitude", "random")
        ),
    ),
    EYES: Question("Does a closed eye lose to an open one, and is that so later as well?"),
    LINEAR: Question(
        "Are depth and competition enough for a critical period? (Networks without any "
        "non-linearity, trained whenever this is written; lab 08 solves them.)"
    ),
    REOPEN: Question(
        "What is lost if something is missing only early, and what gives back what a deficit took?",
        "After 16 epochs of noise renorm, which changes no answer, gives back {} points, after as "
        "many of blur {}.",
        tuple(at_course(n.given_back, 16, deficit=name) for name in ("noise", "blur")),
    ),
    ENGINE: Question("Do our numbers depend on bfloat16?"),
}
