"""Lab 00: why the early blur leaves a mark: what the networks never learned, and what cures them.

What is done to a network when its deficit ends is a treatment of the run: `other@200` gives it
other digits from epoch 200 on. The control was never blurred and had the same treatment.
"""

from cplab.estimates import Estimate, compare, estimate
from cplab.labs import lab00
from cplab.quantities import accuracy, advantage, gain_over_newborn, quantity, result
from cplab.runs import Run


@quantity
def detail_share(run: Run, side: int = 3) -> float:
    """The share of the first layer's squared change, from birth to the end, that is in the detail
    which a mosaic of this side (in pixels) removes, in percent.

    >>> detail_share(Run("mosaic", length=200, profile="tiny"))
    2.3 ± 0.5 (20 seeds)
    """
    last = run.epochs - 1
    shares = result(run, {"detail_share": (last,)}).measured["detail_share"]
    by_side = shares[last]  # {side: fraction}
    return 100 * by_side[str(side)]


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
    return -gain_over_newborn(run)


def cures(blurred: Run, treatments: dict[str, str]) -> dict[str, dict[str, Estimate]]:
    """Points behind a newborn with the same treatment, for the blurred network and for one that was
    never blurred, by what is done when the blur ends.

    Arguments: blurred, the run; treatments, {words: treatment without its epoch, or ""}.

    >>> rows = cures(Run("mosaic", length=200, profile="tiny"), {"layer 1 set back": "reset-1"})
    >>> [*rows["layer 1 set back"]]
    ['blurred', 'never blurred']
    """
    rows = {}
    for words, treatment in treatments.items():
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


def own_left_beside(run: Run) -> Estimate:
    """`left_beside` for the student's own twenty seeds, which have to be trained first.

    >>> own_left_beside(Run("mosaic", length=3, recovery=2, profile="tiny"))
    not trained yet
    """
    never_blurred = accuracy(run.equal_training(), seeds=lab00.SEEDS)
    blurred = accuracy(run, seeds=lab00.SEEDS)
    return estimate((never_blurred - blurred).values)


def left_beside_never(blurred: Run, treatments: dict[str, str]) -> dict[str, Estimate]:
    """The harm that is `left_beside` the control, for each of several treatments of a blurred run.

    Arguments: as in `cures`.

    >>> blurred = Run("mosaic", length=200, profile="tiny")
    >>> left_beside_never(blurred, {"shifts by a pixel": "shift-1"})
    {'shifts by a pixel': 3.3 ± 1.5 (20 seeds)}
    """
    left = {}
    for words, treatment in treatments.items():
        left[words] = left_beside(treated(blurred, treatment))
    return left


def least_left_in_words(left: dict[str, Estimate]) -> str:
    """Say which treatment leaves the least harm and which the most; nothing if none is trained.

    >>> least_left_in_words({"shifts": estimate([3.0, 4.0]), "shrinking": estimate([0.0, 0.0])})
    'The least harm is left with shrinking, 0.0 ± 0.0 points; the most with shifts, 3.5 ± 6.4.'
    """
    means = {words: points.mean for words, points in left.items() if points.seeds}
    if not means:
        return ""
    best = min(means, key=lambda words: means[words])
    worst = max(means, key=lambda words: means[words])
    return (
        f"The least harm is left with {best}, {left[best]} points; "
        f"the most with {worst}, {left[worst]}."
    )


def best_layer(layers: dict[str, dict[str, Estimate]]) -> int | None:
    """The row of `cures`, counted from 1, in which the blurred network ends nearest to the newborn;
    None if one is not trained."""
    blurred = [row["blurred"] for row in layers.values()]
    if not blurred or not all(points.seeds for points in blurred):
        return None
    means = [points.mean for points in blurred]
    nearest = min(means)
    return 1 + means.index(nearest)


def best_layer_in_words(layers: dict[str, dict[str, Estimate]], untreated: Estimate) -> str:
    """Say which layer brings most back when it is set back, and how far behind both networks still
    end.

    Arguments: layers, rows of `cures`, a layer each; untreated, points that the blurred network
        ends behind a newborn without a treatment.
    """
    number = best_layer(layers)
    if number is None:
        return "Not all of these networks are trained yet."
    words = [*layers][number - 1]
    behind = layers[words]
    blurred = compare(-behind["blurred"], "a newborn")
    never_blurred = compare(-behind["never blurred"], "that newborn")
    return (
        f"With {words} the network ends {blurred}; "
        f"untreated, it ended {untreated} points behind one. "
        f"Its control, never blurred, ends {never_blurred}."
    )


def beside_controls(blurred: Run) -> dict[str, dict[str, Estimate]]:
    """What several childhoods cost, with drawn and with handwritten digits: a row for each of both.

    Each row has points behind a newborn on the same digits; and, if other digits follow, behind a
    newborn, behind a network that was upside down for as long, and behind one that was never
    blurred. The last childhood is clear: half of the digits are first learned by heart.

    >>> [*beside_controls(Run("mosaic", length=200, profile="tiny"))][0]
    'drawn digits: 3 × 3 for 200 epochs'
    """
    half_clear = f"images-0.5@0+{blurred.length}"
    childhoods = {
        f"3 × 3 for {blurred.length} epochs": blurred,
        "3 × 3 for 50 epochs": blurred.replace(length=50),
        f"2 × 2 for {blurred.length} epochs": blurred.replace(deficit="mosaic-2"),
        f"upside down for {blurred.length} epochs": blurred.replace(deficit="flip"),
        "half of them, by heart and clear": blurred.equal_training().replace(treatments=half_clear),
    }
    datasets = {"drawn digits": "drawn", "handwritten digits": "mnist"}
    rows = {}
    for digits, dataset in datasets.items():
        for words, childhood in childhoods.items():
            run = childhood.replace(dataset=dataset)
            row = {"its own digits again, behind a newborn": behind_newborn(run)}
            if not run.treatments:
                row |= costs_on_other_digits(run, blurred.length)
            rows[f"{digits}: {words}"] = row
    return rows


def costs_on_other_digits(run: Run, flipped_length: int) -> dict[str, Estimate]:
    """What a run costs if other digits follow its deficit, in points behind its controls. A network
    that was upside down is one of them if it was so for as long, which is `flipped_length` epochs.
    """
    exchanged = treated(run, "other")
    costs = {"other digits, behind a newborn": behind_newborn(exchanged)}
    if run.length == flipped_length and run.deficit != "flip":
        upside_down = exchanged.replace(deficit="flip")
        costs["other digits, behind upside down"] = advantage(upside_down, exchanged)
    costs["other digits, behind never blurred"] = left_beside(exchanged)
    return costs
