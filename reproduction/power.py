"""How often networks of a class's own show that an early blur does more harm than a late one:
python -m reproduction.power. By the noncentral t distribution, from seeds that ship."""

import numpy as np
from scipy import stats

from cplab import Run
from cplab.quantities import harm

SMALL = Run("blur", length=16, profile="small")
LATE = SMALL.replace(onset=24)
COUNTS = (4, 8, 12)  # networks of each age


def power(mean: float, deviation: float, count: int) -> float:
    """How often a 95 % interval of a difference lies off zero, as a fraction.

    Arguments:
        mean: of the difference.
        deviation: its standard deviation over seeds, in the same unit.
        count: the number of seeds.

    >>> round(power(0, 1.5, 4), 3)
    0.05
    """
    freedom = count - 1
    limit = stats.t.ppf(0.975, freedom)
    shift = mean / deviation * count**0.5
    above = stats.nct.sf(limit, freedom, shift)
    below = stats.nct.cdf(-limit, freedom, shift)
    return float(above + below)


def main() -> None:
    early, late = harm(SMALL), harm(LATE)
    seeds = sorted({*early.by_seed} & {*late.by_seed})
    differences = np.array([early.by_seed[seed] - late.by_seed[seed] for seed in seeds])  # (seeds,)
    mean, deviation = differences.mean(), differences.std(ddof=1)
    print(f"from birth {early}, at epoch 24 {late}; {len(seeds)} seeds differ by {mean:.1f}")
    print(f"with a standard deviation of {deviation:.1f}")
    for count in COUNTS:
        print(f"{count} networks of each age: {power(mean, deviation, count):.0%}")


if __name__ == "__main__":
    main()
