"""Lab 08: gradient descent on matrices: two eyes without their equations, and matrix completion.

The product of D square layers is trained by full gradient descent on the observed entries, from a
small start, and tested on the others. Depth prefers low rank (Arora, Cohen, Hu and Luo 2019), which
is why it can be right there; Kleinman, Achille & Soatto (2024) added deficits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from cplab.errors import one_of, require
from cplab.labs.lab08 import CLARITY, Course, Rearing, half_time

__all__ = ["Completed", "complete", "descend"]

EYE_INPUTS, HIDDEN_UNITS, OUTPUTS = 16, 16, 8  # inputs of an eye, units of a layer, outputs
NOISE = 0.5  # standard deviation of the noise on the targets
FAR = 1000  # times the greatest mode or 1: few samples of eyes that hardly agree lead to 250
# Of matrix completion
DEFICITS = ("few", "noise", "other")
RATES = {1: 0.5, 2: 0.1, 3: 0.05, 4: 0.03}  # by depth
RANK, OBSERVED, SPARSE, START = 3, 0.35, 0.3, 0.02


@np.errstate(all="ignore")  # steps that are too long raise an error in the end
def descend(
    rearing: Rearing, begin: str = "aligned", samples: int = 0, seed: int = 0, rate: float = 0.02
) -> list[Course]:
    """Train two deep linear eyes, of up to 8 modes, by full gradient descent on squared error, and
    return the course of each mode (random weights may point against one: strengths below 0).

    Arguments: begin, aligned (all layers are aligned with the modes) or random (Gaussian weights of
        that size); samples, the number of images, with noise on their targets, or 0 for their exact
        covariances; rate, of learning.
    Raises: CplabError if the rate is too high.

    >>> [course] = descend(Rearing(depth=2, length=1))  # solved: 0.0293
    >>> bool(abs(course.share[-1] - 0.0293) < 1e-3)
    True
    """
    count = len(rearing.modes)
    rng = np.random.default_rng(seed)
    out_modes, in_modes = frame(rng, OUTPUTS, count), frame(rng, EYE_INPUTS, count)
    teacher = out_modes * rearing.modes @ in_modes.T
    pairs = zip(*(weights(rng, rearing, out_modes, in_modes, begin) for _ in "ab"), strict=True)
    layers = [np.stack(pair) for pair in pairs]  # (2, out, in) each: both eyes in one step
    unit, start, rows = half_time(rearing.depth, rearing.start), 0.0, []
    for kind, time in rearing.phases:
        if not time:
            continue
        target, power = covariances(rng, kind, rearing.rho, teacher, samples)
        steps = max(1, round(time * unit / rate))
        for step in range(steps + 1):
            chain = multiply(layers)
            if step == steps or step % 10 == 0:
                strengths = np.einsum("ij,eij->ej", out_modes, chain[-1] @ in_modes)
                rows.append((start + time * step / steps, *strengths))
            if step == steps:
                break
            error = target - chain[-1].transpose(1, 0, 2).reshape(OUTPUTS, 2 * EYE_INPUTS) @ power
            error = error.reshape(OUTPUTS, 2, EYE_INPUTS).transpose(1, 0, 2)
            take_gradient_step(layers, chain, error * (time * unit / steps))
        start += time
    t, a, b = (np.array(column) for column in zip(*rows, strict=True))
    far = FAR * max(1, *rearing.modes)
    fine = (abs(a) < far).all() and (abs(b) < far).all()  # false for NaN too
    require(fine, f"rate {rate:g} is too high for these modes: give a lower one")
    return [Course(t, a[:, i], b[:, i]) for i in range(count)]


def multiply(layers: list[np.ndarray]) -> list[np.ndarray]:
    """The products of the first layer, the first two, …, all; each layer is (networks, out, in)."""
    return [*accumulate(layers, lambda below, layer: layer @ below)]


def take_gradient_step(layers: list[np.ndarray], chain: list[np.ndarray], step: np.ndarray) -> None:
    """Update layers whose products are `chain`; step: the rate times the error of the last one."""
    for i in reversed(range(len(layers))):
        layer = layers[i]
        layers[i] = layer + (step @ chain[i - 1].swapaxes(1, 2) if i else step)
        step = layer.swapaxes(1, 2) @ step


def frame(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Random orthonormal columns (rows, columns)."""
    return np.linalg.qr(rng.standard_normal((rows, columns)))[0]


def weights(
    rng: np.random.Generator, rearing: Rearing, out: np.ndarray, into: np.ndarray, begin: str
) -> list[np.ndarray]:
    """The initial layers of an eye, (out, in) each."""
    depth, size = rearing.depth, rearing.start ** (1 / rearing.depth)
    if begin == "random":
        widths = [EYE_INPUTS, *[HIDDEN_UNITS] * (depth - 1), OUTPUTS]
        shapes = zip(widths[1:], widths, strict=False)
        return [size / HIDDEN_UNITS**0.5 * rng.standard_normal(shape) for shape in shapes]
    frames = [into, *(frame(rng, HIDDEN_UNITS, out.shape[1]) for _ in range(depth - 1)), out]
    return [size * above @ below.T for above, below in zip(frames[1:], frames, strict=False)]


def covariances(
    rng: np.random.Generator, kind: str, rho: float, teacher: np.ndarray, samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Covariances in a phase, of samples or exact: of targets with the inputs of both eyes
    (OUTPUTS, 2 EYE_INPUTS), and of these inputs (2 EYE_INPUTS, 2 EYE_INPUTS)."""
    if samples:
        signals = rng.standard_normal((6, EYE_INPUTS, samples))
    else:  # each of unit power, and uncorrelated with all others, to the last digit
        size = 6 * EYE_INPUTS
        signals = (frame(rng, size, size) * size**0.5).reshape(6, EYE_INPUTS, size)
    common, own_a, own_b, rest_a, rest_b, noise = signals
    a, b = (rho**0.5 * common + (1 - rho) ** 0.5 * own for own in (own_a, own_b))
    target = teacher @ (common / rho**0.5 if rho else a + b)
    if samples:
        target = target + NOISE * noise[:OUTPUTS]
    weak = CLARITY * b + (1 - CLARITY**2) ** 0.5 * rest_b
    a = {"patch": 0 * a, "both blank": 0 * a, "both noise": rest_a}.get(kind, a)
    b = {"blank": 0 * b, "noise": rest_b, "weak": weak}.get(kind.removeprefix("both "), b)
    inputs = np.vstack([a, b])
    return target @ inputs.T / inputs.shape[1], inputs @ inputs.T / inputs.shape[1]


# Matrix completion --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Completed:
    """Errors of completed matrices, (onsets, seeds): error, root mean square error on the entries
    that were never observed, divided by their root mean square; without, of the same run with the
    window cut out; train, on the observed entries."""

    onsets: tuple[int, ...]
    error: np.ndarray
    without: np.ndarray
    train: np.ndarray


def complete(
    depth: int,
    deficit: str,
    onsets: Sequence[int] = (0,),
    length: int = 300,
    seeds: Sequence[int] = range(5),
    recovery: int = 2000,
    size: int = 40,
) -> Completed:
    """Complete matrices of rank 3, 35 % of whose entries are observed, with a deficit and without.

    Arguments: depth, layers, 1 to 4; deficit: few (three in ten of the observed entries are seen),
        noise (a fixed random matrix in their place), other (another matrix of that rank); onsets,
        length and recovery, in steps; size, rows and columns of the matrix.

    >>> matrices = complete(2, "few", onsets=(0, 200), seeds=(0, 1), recovery=500, size=12)
    >>> matrices.error.shape, bool((matrices.train < 0.1).all())
    ((2, 2), True)
    """
    rate, onsets = RATES[depth], tuple(onsets)
    one_of("deficit", deficit, DEFICITS)
    groups = len(onsets) + 1  # the last has no window, and is the control of all others
    problems = [make_problem(seed, size, depth, deficit) for seed in seeds]
    true, observed, wrong, visible, *layers = (
        np.array([*part] * groups) for part in zip(*problems, strict=True)
    )
    begin = np.repeat([*onsets, np.inf], len(seeds))
    cut = np.array(onsets) + recovery  # as many clear steps as with a window
    ends = cut + length
    kept = np.empty((2, len(onsets), len(seeds), size, size), dtype=np.float32)
    for step in range(int(ends.max()) + 1):
        if step == 0 or step in begin or step - length in begin:
            inside = ((begin <= step) & (step < begin + length))[:, None, None]
            target, mask = np.where(inside, wrong, true), np.where(inside, visible, observed)
        products = multiply(layers)
        matrices = products[-1].reshape(groups, len(seeds), size, size)
        kept[0, ends == step] = matrices[:-1][ends == step]
        kept[1, cut == step] = matrices[-1]
        residual = (target - products[-1]) * mask * np.float32(rate / (size * OBSERVED))
        take_gradient_step(layers, products, residual)
    true, observed = true[: len(seeds)], observed[: len(seeds)]
    error, without = norms((kept - true) * (1 - observed)) / norms(true * (1 - observed))
    train = (norms((kept[0] - true) * observed) / norms(observed)).astype(float)
    return Completed(onsets, error, without, train)


def norms(matrices: np.ndarray) -> np.ndarray:
    """The Frobenius norm of each matrix."""
    return np.sqrt((matrices**2).sum((-2, -1)))


def make_problem(seed: int, size: int, depth: int, deficit: str) -> list[np.ndarray]:
    """The arrays of one seed, float32, (size, size) each: the matrix, the mask of its observed
    entries, the matrix and the mask under the deficit, and the initial layers."""
    rng = np.random.default_rng(seed)
    shape = (size, size)

    def low_rank() -> np.ndarray:
        matrix = rng.standard_normal((size, RANK)) @ rng.standard_normal((RANK, size))
        return matrix / np.sqrt((matrix**2).mean())

    true, other, noise = low_rank(), low_rank(), rng.standard_normal(shape)
    observed = rng.random(shape) < OBSERVED
    few = observed & (rng.random(shape) < SPARSE)
    layers = START ** (1 / depth) / size**0.5 * rng.standard_normal((depth, *shape))
    wrong = {"few": true, "noise": noise, "other": other}[deficit]
    visible = few if deficit == "few" else observed
    return [array.astype(np.float32) for array in (true, observed, wrong, visible, *layers)]
