"""Lab 00: why the early blur stays. Its controls, what a blurred network never learned, and cures.

Anything done when a deficit ends is a treatment of the run: `other@200` gives it other digits from
epoch 200 on. Its control is a network that was never blurred and had the same treatment.
"""

from dataclasses import replace

from cplab.estimates import Estimate
from cplab.quantities import Missing, advantage, gain_over_newborn, quantity, result
from cplab.runs import Run

# What can be done to a network when its blur ends, by its words in a figure
CURES = {
    "nothing": "",
    "shifts by a pixel": "shift-1",
    "weights × 0.4": "scale-0.4",
    "layer 1 set back": "reset-1",
    "layer 2 set back": "reset-2",
    "layer 3 set back": "reset-3",
    "rate × 3": "rate-3",
}


@quantity
def detail_share(run: Run, side: int = 3) -> float:
    """Percent of the first layer's squared change since birth that lies in the detail which a
    mosaic of this side removes, in the end.

    >>> detail_share(Run("mosaic", length=200, profile="tiny"))
    2.3 ± 0.5 (20 seeds)
    """
    shares = result(run).measured.get("detail_share", {})
    last = run.epochs - 1
    if last not in shares:
        raise Missing(f"the detail share of {run.call()} is not measured yet")
    return 100 * shares[last][str(side)]


def treated(run: Run, treatment: str) -> Run:
    """A run that is treated from the end of its deficit on; an empty text means no treatment.

    >>> treated(Run("mosaic", length=50, profile="tiny"), "shift-1").treatments[0].words
    'shift-1@50+100'
    """
    words = f"{treatment}@{run.end}" if treatment else ""
    return run.replace(treatments=words)


def behind_newborn(run: Run) -> Estimate:
    """Points that a run ends behind a newborn with the same treatment; below 0 it is ahead.

    >>> behind_newborn(Run(onset=200, profile="tiny", treatments="other@200"))
    −5.9 ± 0.9 (20 seeds)
    """
    return -1 * gain_over_newborn(run)


def cures(blurred: Run) -> dict[str, dict[str, Estimate]]:
    """Points behind a newborn that is treated alike, of the blurred network and of one that was
    never blurred, by what is done when the blur ends.

    >>> [*cures(Run("mosaic", length=200, profile="tiny"))["layer 1 set back"]]
    ['blurred', 'never blurred']
    """
    rows = {}
    for words, treatment in CURES.items():
        run = treated(blurred, treatment)
        rows[words] = {
            "blurred": behind_newborn(run),
            "never blurred": behind_newborn(run.equal_training()),
        }
    return rows


def left_beside(run: Run) -> Estimate:
    """Points that a run ends behind one that was never blurred and had the same treatment: the harm
    that is left beside this control.

    >>> left_beside(Run("mosaic", length=200, profile="tiny", treatments="other@200"))
    4.1 ± 0.9 (20 seeds)
    """
    return advantage(run.equal_training(), run)


def left_beside_never(blurred: Run) -> dict[str, dict[str, Estimate]]:
    """Points that are left beside a network that was never blurred and is treated alike, by what is
    done when the blur ends.

    >>> [*left_beside_never(Run("mosaic", length=200, profile="tiny"))][:2]
    ['nothing', 'shifts by a pixel']
    """
    rows = {}
    for words, treatment in CURES.items():
        left = left_beside(treated(blurred, treatment))
        rows[words] = {"left beside never blurred, points": left}
    return rows


def best_layer(rows: dict[str, dict[str, Estimate]]) -> int | None:
    """The layer of `cures`, from 1, that brings a blurred network most when it is set back; None
    if that is not trained."""
    behind = {number: rows[f"layer {number} set back"]["blurred"] for number in (1, 2, 3)}
    if not all(estimate.seeds for estimate in behind.values()):
        return None
    return min(behind, key=lambda number: behind[number].mean)


def beside_controls(blurred: Run) -> dict[str, dict[str, Estimate]]:
    """What other digits leave, on drawn and on handwritten digits: points behind a newborn on the
    same digits, and behind one that was never blurred; and beside them what half of the digits,
    learned by heart and clear, cost.

    >>> [*beside_controls(Run("mosaic", length=200, profile="tiny"))][0]
    'drawn digits: 3 × 3 for 200 epochs'
    """
    childhoods = {
        f"3 × 3 for {blurred.length} epochs": blurred,
        "3 × 3 for 50 epochs": replace(blurred, length=50),
        f"2 × 2 for {blurred.length} epochs": replace(blurred, deficit="mosaic-2"),
        "half of them, by heart and clear": blurred.equal_training().replace(
            treatments=f"images-0.5@0+{blurred.length}"
        ),
    }
    rows = {}
    for dataset, digits in (("drawn", "drawn digits"), ("mnist", "handwritten digits")):
        for words, run in childhoods.items():
            own = replace(run, dataset=dataset)
            row = {"its own digits again, behind a newborn": behind_newborn(own)}
            if not own.treatments:
                other = treated(own, "other")
                row["other digits, behind a newborn"] = behind_newborn(other)
                row["other digits, behind never blurred"] = left_beside(other)
            rows[f"{digits}: {words}"] = row
    return rows
