"""How far networks travel after a blur, and how far behind they are there: distance.csv.

Each row is a condition some epochs after the blur ended: what the blurred networks had come to, how
far they and those that had been upside down had travelled, and how far behind they were, after as
many epochs and at an equal path. `errors` then asks which number foretells their accuracy best, on
conditions that did not choose the curve.

    python -m reproduction.studies.distance
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cplab.estimates import Estimate
from cplab.labs.lab00b import (
    CONTROLS,
    accuracy_after,
    behind_after,
    behind_at,
    path_after,
    treated,
)
from cplab.quantities import control_of, quantity, result
from cplab.runs import Run
from reproduction.recipes import (
    NORMS,
    blurred_digits,
    blurred_photographs,
    ways_of_50_epochs,
)

OUT = Path(__file__).parent / "distance.csv"
DIGITS = ("drawn", "mnist")
ALL_EPOCHS = (1, 3, 10, 30, 100, 300, 1000)  # at which digits are read
PREDICTORS = ("path", "path_plain", "displaced", "epochs", "loss", "norm × epochs")


class Condition(NamedTuple):
    """A blurred run, and the epochs after the blur at which it is read."""

    images: str
    treatment: str  # in words
    run: Run
    epochs: tuple[int, ...]


@quantity
def loss_after(run: Run, epochs: int) -> float:
    """The training loss some epochs after the deficit's end."""
    return result(run).curve[run.end + epochs - 1]["train_loss"]


@quantity
def displaced_after(run: Run, epochs: int) -> float:
    """How far a network then is from where it was when the deficit ended."""
    return float(result(run).series("from_deficit")[run.end + epochs - 1])


def conditions_of_digits(images: str) -> Iterator[Condition]:
    """The conditions of a kind of digits."""
    blurred = blurred_digits(images)
    yield Condition(images, "nothing", blurred.replace(recovery=1000), ALL_EPOCHS)
    for norm in NORMS:
        recovery = 300 if norm in ("0.05", "0.1") else 100
        run = treated(blurred.replace(recovery=recovery), f"gradient-{norm}")
        epochs = tuple(each for each in ALL_EPOCHS if each <= recovery)
        yield Condition(images, f"norm {norm}", run, epochs)
    for temperature in ("4", "10"):
        run = treated(blurred, f"temper-{temperature}")
        yield Condition(images, f"temperature {temperature}", run, ALL_EPOCHS[:5])
        for norm in ("0.5", "1", "2"):
            run = treated(blurred, f"temper-{temperature} gradient-{norm}")
            words = f"temperature {temperature}, norm {norm}"
            yield Condition(images, words, run, ALL_EPOCHS[:5])
    for words, run in ways_of_50_epochs(images).items():
        yield Condition(images, f"50 epochs {words}", run, (50, 150))


def conditions_of_photographs() -> Iterator[Condition]:
    """The conditions of photographs."""
    blurred = blurred_photographs()
    epochs = (15, 20, 30, 40, 60)
    yield Condition("photographs", "nothing", blurred, epochs)
    short = treated(blurred.replace(recovery=120), "gradient-1")
    yield Condition("photographs", "norm 1", short, (*epochs, 80, 120))
    for norm in ("2", "4"):
        yield Condition("photographs", f"norm {norm}", treated(blurred, f"gradient-{norm}"), epochs)
    for temperature in ("4", "10"):
        run = treated(blurred, f"temper-{temperature}")
        yield Condition("photographs", f"temperature {temperature}", run, epochs)


def rows(conditions: Iterable[Condition]) -> Iterator[dict[str, object]]:
    """A row of the table for each condition and each time."""
    for images, treatment, run, all_epochs in conditions:
        flip = control_of(run, "flip")
        for epochs in all_epochs:
            accuracy = accuracy_after(run, epochs)
            if not accuracy.seeds:
                continue
            row: dict[str, object] = {"images": images, "treatment": treatment, "epochs": epochs}
            path = path_after(run, epochs)
            row |= column("accuracy", accuracy) | {"seeds": accuracy.seeds}
            row |= column("path", path) | column(
                "path_plain", path_after(run, epochs, "path_plain")
            )
            row |= column("path of the flip", path_after(flip, epochs))
            row |= {"displaced": number(displaced_after(run, epochs))}
            row |= {"loss": number(loss_after(run, epochs))}
            for words, control in CONTROLS.items():
                row |= column(f"behind {words}", behind_after(run, control, epochs))
                if path.seeds:
                    at_path = behind_at(run, control, float(f"{path.mean:.3g}"))
                    row |= column(f"behind {words}, equal path", at_path)
            yield row


def column(name: str, estimate: Estimate) -> dict[str, object]:
    """An estimate and half of its interval, as two columns; nothing without seeds."""
    if not estimate.seeds:
        return {}
    return {name: f"{estimate.mean:.4g}", f"{name} ±": f"{estimate.half:.2g}"}


def number(estimate: Estimate) -> str:
    """The mean of an estimate; "" without seeds."""
    return f"{estimate.mean:.4g}" if estimate.seeds else ""


# What foretells accuracy --------------------------------------------------------------------------


def errors(table: pd.DataFrame) -> pd.DataFrame:
    """How far accuracies of one half of the conditions are from a curve that was fitted on the
    other half, in points, by what the curve is a function of.

    A curve is a parabola of a logarithm. Halves are all conditions by turns, in the order of the
    table, so that neither half has been looked at.
    """
    table = table.assign(norm=table.treatment.str.extract(r"^norm (.*)")[0].astype(float))
    table["norm × epochs"] = table["norm"] * table["epochs"]
    names = [*dict.fromkeys(table.treatment)]
    found = {}
    for predictor in PREDICTORS:
        known = table.dropna(subset=[predictor, "accuracy"])
        known = known[known[predictor] > 0]
        first = known.treatment.isin(names[::2])
        if not first.any() or first.all():
            continue
        x = np.log(known[predictor].astype(float))
        y = known.accuracy.astype(float)
        misses = []
        for half in (first, ~first):
            curve = np.polyfit(x[half], y[half], 2)
            misses += [*np.abs(np.polyval(curve, x[~half]) - y[~half])]
        found[predictor] = {"error, points": float(np.mean(misses)), "points": len(misses)}
    return pd.DataFrame(found).T


def main() -> None:
    """Write the table, and print what foretells accuracy, left alone or with steps of one norm."""
    conditions = [each for images in DIGITS for each in conditions_of_digits(images)]
    conditions += conditions_of_photographs()
    pd.DataFrame(rows(conditions)).to_csv(OUT, index=False)
    table = pd.read_csv(OUT)
    for images, group in table.groupby("images"):
        usual = group[group.treatment.str.match("nothing|norm")]
        print(images)
        print(errors(usual).round(2).to_string())


if __name__ == "__main__":
    main()
