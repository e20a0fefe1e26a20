"""Is it errors that are missing after a deficit, or steps?

From the end of the deficit on, the gradient of each step is scaled to one norm, or the last layer
is shrunk once. The blurred network is read beside three controls that are treated alike: one that
was upside down, one that was never blurred, and a newborn. A treatment that costs all of them is no
cure, so accuracies stand beside the points.

    python -m reproduction train steps-digits steps-photographs
    python -m reproduction.studies.steps      # writes reproduction/steps.csv of what is trained
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from cplab import quantities
from cplab.estimates import Estimate, estimate
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
BySeed = Mapping[int, float]


def arms(blurred: Run) -> dict[str, Run]:
    """A blurred run and its three controls, by their names."""
    return {
        "blurred": blurred,
        "upside down": blurred.replace(deficit="flip"),
        "never blurred": blurred.equal_training(),
        "newborn": blurred.newborn(),
    }


def behind(control: BySeed, blurred: BySeed) -> dict[int, float]:
    """Points by which the blurred networks are behind their controls, by seed: both begin with the
    same weights and see the same images."""
    return {seed: control[seed] - blurred[seed] for seed in blurred if seed in control}


def accuracies(blurred: Run, treatment: str, seeds: range) -> dict[str, BySeed]:
    """The accuracy in percent of each of the four networks by seed, by their names."""
    by_arm = {}
    for name, run in arms(treated(blurred, treatment)).items():
        by_arm[name] = quantities.accuracy(run, seeds).by_seed
    return by_arm


def row(images: str, blurred: Run, treatment: str, seeds: range) -> dict | None:
    """A row of the table: accuracies of the four networks, points behind the three controls, and
    how many of these the treatment takes away, each with half of its interval. None if fewer than
    two of the blurred seeds are trained."""
    by_arm = accuracies(blurred, treatment, seeds)
    untreated = accuracies(blurred, "", seeds)
    if len(by_arm["blurred"]) < 2:
        return None
    columns: dict[str, Estimate] = {}
    for name, found in by_arm.items():
        columns[name] = estimate([*found.values()])
    for name in CONTROLS:
        points = behind(by_arm[name], by_arm["blurred"])
        before = behind(untreated[name], untreated["blurred"])
        gone = [before[seed] - points[seed] for seed in points if seed in before]
        columns[f"behind {name}"] = estimate([*points.values()])
        columns[f"gone beside {name}"] = estimate(gone)
    recovery = blurred.recovery
    values: dict = {"images": images, "recovery": recovery, "treatment": treatment or "nothing"}
    for name, number in columns.items():
        values |= {name: number.mean, f"{name} ±": number.half}
        if name in by_arm:
            values[f"{name}, seeds"] = len(by_arm[name])
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
