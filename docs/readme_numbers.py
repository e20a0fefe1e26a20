"""The numbers of the README that have an interval, from the shipped results.

`python docs/readme_numbers.py` writes them into the README, in its order; a test holds them there.
"""

import re
from pathlib import Path

from cplab import Run, quantities
from cplab.quantities import statistics
from cplab.runs import FLAGSHIP
from cplab.studies import early_blur, pruning

README = Path(__file__).parent.parent / "README.md"
NUMBER = r"−?\d+\.\d+ ± \d+\.\d+"


def harm(deficit: str, **setting: object) -> quantities.Contrast:
    """What 16 epochs of a deficit from birth do, in points, with the course profile."""
    return quantities.harm(Run(deficit, length=16, **setting))


def ahead_at_one_percent(other: str) -> quantities.Contrast:
    """Points that grown and pruned nets are ahead of another kind of architecture."""
    kinds = (pruning.Retraining(k, 0.01, pruning.Search("mnist")) for k in ("biological", other))
    return quantities.advantage(*kinds)


def numbers() -> list[str]:
    """Each number with half its 95 % interval, as the README has them."""
    with quantities.shipped_only():
        return read_numbers()


def read_numbers() -> list[str]:
    """The same, from whatever results there are."""
    flagship = {name: getattr(FLAGSHIP, name) for name in ("model", "schedule", "recovery")}
    held = harm("noise") - harm("noise", treatments="held@0")
    estimates = [
        (statistics.estimate(harm("blur", **flagship)), 1),
        (early_blur.harm(Run("blur", 24, 16, **flagship), 60), 1),
        (statistics.estimate(harm("flip", **flagship)), 1),
        (statistics.estimate(harm("blur", **flagship | {"recovery": 240})), 1),
        (statistics.estimate(harm("blur", treatments="rate-3@16")), 1),
        (statistics.estimate(held), 1),
        (quantities.each_seed(quantities.trace_remaining, Run(onset=24, profile="fit")), 2),
        (statistics.estimate(ahead_at_one_percent("per_pixel")), 1),
        (statistics.estimate(harm("noise") - harm("blur")), 1),
    ]
    return [re.search(NUMBER, statistics.describe(*each))[0] for each in estimates]


def fill(text: str) -> str:
    """A README that has today's numbers."""
    today = iter(numbers())
    return re.sub(NUMBER, lambda _: next(today), text)


if __name__ == "__main__":
    README.write_text(fill(README.read_text()))
