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

from cplab.estimates import Estimate, estimate
from cplab.results import find
from cplab.runs import Run
from reproduction.recipes import STEPS, blurred_digits, blurred_photographs, treated

TABLE = Path(__file__).parent.parent / "steps.csv"
FRESH = range(40, 80)  # seeds of digits, which no figure shows
CURED = range(20, 40)  # of lab 00's treatments
CURES = ("shift-1", "scale-0.4", "shrink-0.4", "reset-1", "reset-2", "reset-3", "rate-3", "other")
PHOTOGRAPHED = range(10, 18)
NORMS = ("", "gradient-0.5", "gradient-1", "gradient-2", "gradient-4")
BySeed = Mapping[int, float]


def arms(blurred: Run) -> dict[str, Run]:
    """A blurred run and its three controls, by their names."""
    return {
        "blurred": blurred,
        "upside down": blurred.replace(deficit="flip"),
        "never blurred": blurred.equal_training(),
        "newborn": blurred.newborn(),
    }


def percent(run: Run, seeds: range) -> dict[int, float]:
    """The final accuracy by seed, of the seeds that have a result."""
    found = {}
    for seed in seeds:
        result = find(run.replace(seed=seed))
        if result:
            found[seed] = 100 * result.accuracy
    return found


def behind(control: BySeed, blurred: BySeed) -> Estimate:
    """Points by which the blurred networks are behind their controls, which begin with the same
    weights and see the same images: pairs by seed."""
    return estimate([control[seed] - blurred[seed] for seed in blurred if seed in control])


def row(images: str, blurred: Run, treatment: str, seeds: range) -> dict | None:
    """A row of the table: accuracies of the four networks, and points behind the three controls,
    each with half of its interval. None if two of the blurred seeds are not trained yet."""
    by_arm = {name: percent(run, seeds) for name, run in arms(treated(blurred, treatment)).items()}
    if len(by_arm["blurred"]) < 2:
        return None
    values: dict = {"images": images, "treatment": treatment or "nothing"}
    values["seeds"] = f"{min(by_arm['blurred'])} to {max(by_arm['blurred'])}"
    for name, found in by_arm.items():
        accuracy = estimate([*found.values()])
        values |= {name: accuracy.mean, f"{name} ±": accuracy.half}
    for name in [*by_arm][1:]:
        points = behind(by_arm[name], by_arm["blurred"])
        count = len(by_arm["blurred"].keys() & by_arm[name].keys())
        values |= {f"behind {name}": points.mean, f"behind {name} ±": points.half}
        values[f"behind {name}, seeds"] = count
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
