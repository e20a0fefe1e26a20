"""The ten questions of the report: which claims answer each, and what was found in plain words."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from cplab import quantities as q
from reproduction import numbers as n

# Under these the claims stand; a question of the report takes one or several of them.
ACCURACY, HARM, LOST = "Accuracy", "Harm of blur", "Loss against equal training"
AGE, KIND, RATE, DEPTH = "Age", "Kind of deficit", "Learning rate", "Depth"
TRACE, LAYERS, ENGINE = "The trace", "Where the information sits", "Our engine"
GROWTH, KERNELS = "Growth and pruning of synapses", "Pruning of kernels"
WEIGHTS, EYES, REOPEN = "Pruning of weights", "Two eyes", "Opening again"
LINEAR = "Deep linear networks"


@dataclass(frozen=True)
class Question:
    """A question of the report.

    claims: names under which its claims stand. found: plain sentences with {}, and the number for
    each of them: a function of numbers.py, and what it is taken at.
    """

    claims: tuple[str, ...]
    found: str
    numbers: tuple[tuple, ...] = ()


def at_course(of: Any, *at: Any, **fields: Any) -> tuple:
    return (partial(of, **fields), "course", *at)


window_harm = partial(n.window_cost, of=q.harm)
lost_time = partial(n.window_cost, of=q.lost_time)
flagship = n.flagship_harm
QUESTIONS = {
    "Does an early blur leave harm?": Question(
        (HARM,),
        "Yes, and how long it stays depends on the learning rate. In the small course network "
        "16 epochs of blur from birth harm by {} points. A recovery eight times as long leaves "
        "{}, one sixteen times as long {}. Three blocks at a rate that never changes keep {} "
        "points after 60 clear epochs. There the time that the blur took is no longer missed: "
        "lost time is {}.",
        (
            at_course(window_harm, 16, 0),
            at_course(window_harm, 16, 0, recovery=120),
            at_course(window_harm, 16, 0, recovery=240),
            at_course(flagship, 16, 0),
            at_course(n.time_left, 16),
        ),
    ),
    "Does it matter when the blur comes?": Question(
        (AGE, LOST),
        "At one constant rate it does. Three blocks that are blurred from birth stay {} points "
        "behind; blurred after 24 clear epochs they are behind by {}. In the smaller course "
        "network 8 epochs harm by {} points from birth and by {} from epoch 24 on. There the "
        "lost time falls in the same proportion, so that this pair alone shows no critical "
        "period.",
        (
            at_course(flagship, 16, 0),
            at_course(flagship, 16, 24),
            at_course(window_harm, 8, 0),
            at_course(window_harm, 8, 24),
        ),
    ),
    "Is it only low-level deficits that harm?": Question(
        (KIND,),
        "Blur and noise harm, a flip and permuted labels do not. After 16 epochs from birth "
        "the course network loses {} points to blur and {} to fixed noise. A flip brings it {} "
        "points of gain, for something is learned upside down. The paper calls noise milder "
        "than blur; here it is worse.",
        (
            at_course(window_harm, 16, 0),
            at_course(window_harm, 16, 0, deficit="noise"),
            at_course(n.newborn_gain, 16, deficit="flip"),
        ),
    ),
    "Does it come of the falling learning rate?": Question(
        (RATE,),
        "Not alone: blur also harms where the rate never changes. Sixteen epochs of a flip end "
        "above as many of blur by {} points where the rate is held and then falls, and by {} "
        "where it is fixed. Under the paper's own schedule every late deficit leaves a network "
        "with small steps to recover by. So rows there are read against two newborns: one "
        "starts with fresh rates, one with the rates that are left. Where these disagree the "
        "row is out of range.",
        tuple(
            at_course(n.advantage_over_blur, 16, deficit="flip", schedule=name)
            for name in ("recovery", "fixed")
        ),
    ),
    "Which networks are harmed?": Question(
        (DEPTH,),
        "The deeper the network, the more an early blur leaves. At a fixed rate and after 60 "
        "clear epochs one block has lost {} points, two {}, three {}. A wide shallow network "
        "with as many weights loses {}. Depth here also halves the image once more, which is "
        "not told apart.",
        tuple(
            at_course(window_harm, 16, 0, model=f"depth{k}", schedule="fixed", recovery=60)
            for k in (1, 2, 3, "1-68")
        ),
    ),
    "Does the trace of the Fisher information tell it?": Question(
        (TRACE,),
        "The trace rises and falls, and after blur it stays higher, as the paper says. But a "
        "trace also falls as answers become sure and as weights grow. After 24 epochs of blur "
        "it ends {} doublings above equal training. Without the weights' norms that is {}, "
        "without certainty {}. Every trace is taken on clear images, with BatchNorm in eval "
        "mode and labels drawn from the network.",
        (
            (n.doublings, "fit", 24),
            (partial(n.doublings, how={"scaled": True}), "fit", 24),
            (partial(n.doublings, how={"of": "jacobian"}), "fit", 24),
        ),
    ),
    "In which layers is the information?": Question(
        (LAYERS,),
        "Without a deficit most of it is in the middle layers. Blur moves it towards the "
        "answer, by {} layers after 16 epochs. A flip moves it by {}. While the network sees "
        "blur the fifth layer leads, counted from 0, where the paper names the sixth.",
        (
            at_course(n.information_shift, 16),
            at_course(n.information_shift, 16, deficit="flip"),
        ),
    ),
    "Do growth and pruning find good networks?": Question(
        (GROWTH, KERNELS, WEIGHTS),
        "They beat chance, mostly because they find where the ink is. Grown and pruned "
        "networks with 5 % of the synapses end {} points above random ones. Above ones with as "
        "many synapses on each pixel it is {}. Of weights, those with little Fisher "
        "information can go: {} points better than chance with a tenth kept, and {} than by "
        "size.",
        (
            (n.architecture_gain, "thesis", 0.05),
            (partial(n.architecture_gain, control="per_pixel"), "thesis", 0.05),
            at_course(n.saliency_gain, 0.1, other="random", moment="retrained"),
            at_course(n.saliency_gain, 0.1, other="magnitude", moment="retrained"),
        ),
    ),
    "Do two eyes compete?": Question(
        (EYES, LINEAR),
        "An eye that is closed early loses to the one that sees. Eight closed epochs from "
        "birth cost the right eye {} points of what it is worth alone. Blur of both eyes costs "
        "it less than blur of it alone, by {} points. Networks without any non-linearity show "
        "the same, if they have at least two layers.",
        (
            at_course(lambda *at: -1 * n.eye_gain(*at), 8, 0),
            at_course(n.both_gain, 8),
        ),
    ),
    "What is lost if something is missing early, and what gives it back?": Question(
        (REOPEN,),
        "Regularisation that is missing early costs little here. After 16 epochs of noise the "
        "weights have grown: bringing back their norms, which changes no answer, gives back {} "
        "points. After blur it gives back {}. Most treated networks were trained on another kind "
        "of machine than the untreated ones, so that seeds are no pairs here.",
        tuple(at_course(n.given_back, 16, deficit=name) for name in ("noise", "blur")),
    ),
}
