"""Is it errors that are missing after a deficit, or steps?

From the end of the deficit on, the gradient of each step is scaled to one norm, or the last layer
is shrunk once. The blurred network is read beside three controls that are treated alike: one that
was upside down, one that was never blurred, and a newborn. A treatment that costs all of them is no
cure, so accuracies stand beside the points.

    python -m reproduction train steps-digits steps-photographs
    python -m reproduction.studies.steps      # writes reproduction/steps.csv of what is trained

Intervals are those of the package. Rows of forty seeds (40 to 79), whose results do not ship, stand
as they were written: their intervals are of differences seed by seed.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from cplab import quantities
from cplab.estimates import Estimate
from cplab.labs.lab00b import treated
from cplab.runs import Run
from reproduction.recipes import STEPS, blurred_digits, blurred_photographs

TABLE = Path(__file__).parent.parent / "steps.csv"
FRESH = range(40, 80)  # seeds of digits, which no figure shows
CURED = range(20, 40)  # of lab 00's treatments
CURES = ("shift-1", "scale-0.4", "shrink-0.4", "reset-1", "reset-2", "reset-3", "rate-3", "other")
PHOTOGRAPHED = range(10, 18)
NORMS = ("", "gradient-0.5", "gradient-1", "gradient-2", "gradient-4")
CONTROLS = ("upside down", "never blurred", "newborn")


def arms(blurred: Run) -> dict[str, Run]:
    """A blurred run and its three controls, by their names."""
    return {
        "blurred": blurred,
        "upside down": blurred.replace(deficit="flip"),
        "never blurred": blurred.equal_training(),
        "newborn": blurred.newborn(),
    }


def accuracies(blurred: Run, treatment: str, seeds: range) -> dict[str, Estimate]:
    """The accuracy in percent of each of the four networks, by their names."""
    by_arm = {}
    for name, run in arms(treated(blurred, treatment)).items():
        by_arm[name] = quantities.accuracy(run, seeds)
    return by_arm


def row(images: str, blurred: Run, treatment: str, seeds: range) -> dict | None:
    """A row of the table: accuracies of the four networks, points behind the three controls, and
    how many of these the treatment takes away, each with half of its interval. None if fewer than
    two of the blurred seeds are trained."""
    by_arm = accuracies(blurred, treatment, seeds)
    untreated = accuracies(blurred, "", seeds)
    if by_arm["blurred"].seeds < 2:
        return None
    columns = dict(by_arm)
    for name in CONTROLS:
        points = by_arm[name] - by_arm["blurred"]
        columns[f"behind {name}"] = points
        columns[f"gone beside {name}"] = untreated[name] - untreated["blurred"] - points
    recovery = blurred.recovery
    values: dict = {"images": images, "recovery": recovery, "treatment": treatment or "nothing"}
    for name, number in columns.items():
        values |= {name: number.mean, f"{name} ±": number.half}
        if name in by_arm:
            values[f"{name}, seeds"] = number.seeds
    return values


def table() -> pd.DataFrame:
    """All rows of what is trained."""
    rows = []
    for dataset in ("drawn", "mnist"):
        for treatment in STEPS:
            rows.append(row(dataset, blurred_digits(dataset), treatment, FRESH))
        for treatment in CURES:
            rows.append(row(dataset, blurred_digits(dataset), treatment, CURED))
    for treatment in NORMS:
        rows.append(row("photographs", blurred_photographs(), treatment, PHOTOGRAPHED))
    return pd.DataFrame([found for found in rows if found])


if __name__ == "__main__":
    found = table()
    for column in found.columns:
        if found[column].dtype == np.float64:
            found[column] = found[column].round(2)
    found.to_csv(TABLE, index=False)
    print(found.to_string(index=False))
