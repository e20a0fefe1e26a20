"""Rows on Fisher information: its trace, and the layers that it is in."""

from collections.abc import Iterator
from dataclasses import replace
from math import inf
from typing import TypedDict

from cplab import quantities as q
from cplab.labs import lab04, lab04_trace, lab04b
from cplab.runs import Run
from cplab.specs.profiles import PROFILES
from reproduction import numbers
from reproduction.row import ABOVE, BELOW, LEVEL, Row
from reproduction.run_rows import ENDS, MORE, describe, run, title


class Reading(TypedDict, total=False):
    """What is read in place of the trace. measure: `jacobian` leaves the network's certainty out;
    scaled: the norms of weights are left out."""

    measure: str
    scaled: bool


LESS: dict[str, Reading] = {  # what is left out of the trace
    "norms": {"scaled": True},
    "certainty": {"measure": "jacobian"},
    "certainty and norms": {"measure": "jacobian", "scaled": True},
}

# Trace --------------------------------------------------------------------------------------------


def trace() -> Iterator[Row]:
    """Rows on the trace along training."""
    yield from trace_and_onset()
    for size in ("fit", "matched", "course"):
        if size != "course":
            yield from traces_in_the_end(size)
        blurred = run(ENDS[size], size=size)
        description = "trace as the blur ends, over that after as many clear epochs, doublings"
        number = lab04.doubled(blurred, blurred.length - 1)
        yield Row("paper 35*", description, size, number, ABOVE, 2)
    blurred = run(24, size="fit")
    description = "correlation over epochs of the trace and the log-determinant"
    yield Row("paper 31*", description, "fit", lab04b.agreement(blurred), (0.5, inf), 2)
    clear = Run(onset=24, profile="fit")
    description = "rank correlation of single weights at epochs 13 and 43"
    ranks = numbers.kept_ranks(clear, 13, 43).only(MORE)
    yield Row("paper 37*", description, "fit", ranks, (0.5, inf), 2)
    description = "sharpness in the end, of its highest"
    sharpness = numbers.sharpness(clear).only(MORE)
    yield Row("paper 44, poster 7", description, "fit", sharpness, (-inf, 0.9), 2)
    description = "the paper's epoch of the highest sharpness"
    peak = numbers.sharpness(clear, True).only(MORE)
    yield Row("paper 44*, poster 7*", description, "fit", peak, (20, 40), 0)


def trace_and_onset() -> Iterator[Row]:
    """Whether the trace at an onset tells what a blur costs there."""
    blurred = [run(12, onset, "matched") for onset in (0, 4, 8, 16, 24)]
    clear = Run(onset=24, profile="matched")
    for answers, cost in (("paper 33", q.equal_training_loss), ("paper 33*", q.harm)):
        description = f"correlation of the trace and {title(cost)} over onsets"
        number = numbers.trace_match(blurred, clear, cost)
        yield Row(answers, description, "matched", number, ABOVE, 2)
    description = "variance that a·exp(c·S) + b explains"
    number = numbers.trace_match(blurred, clear, fit=True)
    yield Row("paper 34*", description, "matched", number, (0.9, inf), 2)


def traces_in_the_end(size: str) -> Iterator[Row]:
    """Traces of one size after training; and without the networks' certainty, or their norms."""
    end = ENDS[size]
    clear = Run(onset=24, profile=size)
    description = "trace in the end, of its highest, no deficit"
    number = lab04_trace.trace_remaining(clear)
    yield Row("paper 32*", description, size, number, (-inf, 0.9), 2)
    if size == "fit":  # whose rate falls by the epoch
        peak = PROFILES[size].pace * lab04_trace.trace_peak(clear)
        yield Row(
            "paper 33", "the paper's epoch at which the trace is highest", size, peak, (20, 40), 0
        )
    blurred = run(end, size=size)
    equal_training = blurred.equal_training()
    flipped = replace(blurred, deficit="flip")
    for answers, other in (("paper 36*", equal_training), ("paper 43*", flipped)):
        ratio = f"trace after {describe(blurred)} over that after {other.deficit}, doublings"
        number = lab04.doubled(blurred, control=other)
        yield Row(answers, ratio, size, number, ABOVE, 2)
        for left_out, reading in LESS.items():
            number = lab04.doubled(blurred, control=other, **reading)
            yield Row("", f"{ratio}, without {left_out}", size, number, ABOVE, 2)
    for left_out, reading in LESS.items():
        number = lab04_trace.trace_remaining(Run(onset=end, profile=size), **reading)
        yield Row("", f"{description}, without {left_out}", size, number, (-inf, 0.9), 2)


# Layers -------------------------------------------------------------------------------------------


def layers() -> Iterator[Row]:
    """Rows on the layers that the information is in."""
    for size, short in {"fit": 4, "matched": 4, "course": 4, "slim": 40}.items():
        blurred = run(ENDS[size], size=size)
        yield from shifts(blurred, run(short, size=size))
        if size != "slim":
            yield from layers_as_blur_ends(blurred)


def shifts(blurred: Run, shorter: Run) -> Iterator[Row]:
    """By how many layers deficits move information, the longer of two blurs and a flip."""
    size = blurred.profile
    end = blurred.length
    clear = blurred.equal_training()
    in_upper = numbers.share_of_layers(clear, 3, 4, 5)
    yield Row("paper 38*", "percent in layers 3, 4 and 5", size, in_upper, (50, inf))
    description = "layers by which blur moves it"
    in_the_end = lab04_trace.information_shift(blurred, clear)
    yield Row("paper 40*", f"{description}, in the end", size, in_the_end, ABOVE, 2)
    as_it_ends = lab04_trace.information_shift(blurred, clear, end - 1)
    yield Row("paper 39", f"{description}, as it ends", size, as_it_ends, ABOVE, 2)
    by_shorter = lab04_trace.information_shift(shorter, shorter.equal_training())
    description = f"layers by which blur until {end} moves it, minus until {shorter.length}"
    yield Row("paper 40", description, size, in_the_end - by_shorter, ABOVE, 2)
    by_flip = lab04_trace.information_shift(replace(blurred, deficit="flip"), clear)
    yield Row("paper 42*", "layers by which a flip moves it", size, by_flip, (-0.5, 0.5), 2)


def layers_as_blur_ends(blurred: Run) -> Iterator[Row]:
    """The highest layers and the lowest ones at the end of a blur."""
    size = blurred.profile
    last = blurred.length - 1  # epoch of the blur
    in_sixth = numbers.share_of_layers(blurred, 6, epoch=last)
    in_fifth = numbers.share_of_layers(blurred, 5, epoch=last)
    description = "percent in layer 6 above layer 5, as the blur ends"
    yield Row("paper 39*", description, size, in_sixth - in_fifth, ABOVE)
    description = "trace of the first three layers as the blur ends, over equal training, doublings"
    number = lab04.doubled(blurred, last, layers=3)
    yield Row("paper 41*", description, size, number, LEVEL, 2)
    yield Row("poster 4*", description, size, number, BELOW, 2)
