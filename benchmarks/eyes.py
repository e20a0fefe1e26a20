"""How fast the lab of two eyes answers a move, against scipy on the same equations, and trains what
it solves."""

import numpy as np
from scipy.integrate import solve_ivp

from benchmarks.timing import Row, in_turn, row
from cplab.studies import linear

LIFE = linear.Rearing(depth=3, modes=(4, 2, 1, 0.5))


def rows() -> list[Row]:
    """A move of a slider, four modes at once; real gradient descent on the same life."""
    pairs = in_turn(lambda: linear.grow(LIFE), by_scipy)
    move = row("eyes_move", "ms", pairs, "value < 20", "four modes solved / scipy's DOP853", 1000)
    pairs = in_turn(lambda: linear.descend(LIFE), lambda: linear.grow(LIFE))
    return [move, row("eyes_descent", "s", pairs, "value < 0.5", "matrices trained / solved")]


def by_scipy() -> list[np.ndarray]:
    """The same strengths in the end, at a tolerance that gives the same digits."""
    depth, unit, found = LIFE.depth, linear.half_time(LIFE.depth, 1.0, LIFE.start), []
    for mode in LIFE.modes:
        u = np.full(2, LIFE.start ** (1 / depth))
        for seen, time in ((np.array([1, 0]), LIFE.length), (np.ones(2), LIFE.recovery)):

            def slopes(_: float, u: np.ndarray, seen: np.ndarray = seen, s: float = mode):
                return seen * u ** (depth - 1) * (s - (seen * u**depth).sum())

            how = {"method": "DOP853", "rtol": 1e-8, "atol": 1e-10}
            u = solve_ivp(slopes, (0, time * unit), u, **how).y[:, -1]
        found.append(u**depth)
    return found
