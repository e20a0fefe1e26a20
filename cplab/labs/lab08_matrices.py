"""Lab 08: gradient descent on matrices: two eyes without their equations, and matrix completion.

The product of D square layers is trained by full gradient descent on the observed entries, from a
small start, and tested on the others. Depth prefers low rank (Arora, Cohen, Hu and Luo 2019), which
is why it can be right there; Kleinman, Achille & Soatto (2024) added deficits.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from cplab.errors import one_of, require, whole
from cplab.labs.lab08 import CLARITY, Course, Rearing, half_time

EYE_INPUTS, HIDDEN_UNITS, OUTPUTS = 16, 16, 8  # inputs of an eye, units of a layer, outputs
NOISE = 0.5  # standard deviation of the noise on the targets
FAR = 1000  # times the greatest mode or 1: few samples of eyes that hardly agree lead to 250
# Of matrix completion
RATES = {1: 0.5, 2: 0.1, 3: 0.05, 4: 0.03}  # by depth
RANK, OBSERVED, SPARSE, START = 3, 0.35, 0.3, 0.02


@np.errstate(all="ignore")  # steps that are too long raise an error in the end
def descend(
    rearing: Rearing,
    begin: str = "aligned",
    samples: int = 0,
    seeds: Sequence[int] = (0,),
    rate: float = 0.02,
) -> list[Course]:
    """Train two deep linear eyes, of up to 8 modes, by full gradient descent on squared error, and
    return the course of each mode (random weights may point against one: strengths below 0), of
    one seed after another.

    Arguments: begin, aligned (all layers are aligned with the modes) or random (Gaussian weights of
        that size); samples, the number of images, with noise on their targets, or 0 for their exact
        covariances; rate, of learning.
    Raises: CplabError if the rate is too high.

    >>> [course] = descend(Rearing(depth=2, length=1))  # solved: 0.0293
    >>> bool(abs(course.share[-1] - 0.0293) < 1e-3)
    True
    """
    made = [make_eyes(seed, rearing, begin, samples) for seed in seeds]
    out_modes, in_modes, initial, seen = zip(*made, strict=True)
    layers = [np.array(each) for each in zip(*initial, strict=True)]  # (seeds, 2, out, in)
    unit, start, times, found = half_time(rearing.depth, rearing.start), 0.0, [], []
    for (_, time), phase in zip(rearing.phases, zip(*seen, strict=True), strict=True):
        target, power = map(np.array, zip(*phase, strict=True))
        steps = max(1, round(time * unit / rate))
        for step in range(steps + 1):
            products = multiply(layers)
            if step == steps or step % 10 == 0:
                times.append(start + time * step / steps)
                found.append(np.einsum("som,seoi,sim->sem", out_modes, products[-1], in_modes))
            if step < steps:
                error = target - (products[-1][:, :, None] @ power).sum(1)
                take_gradient_step(layers, products, error * (time * unit / steps))
        start += time
    strengths = np.array(found).transpose(1, 3, 2, 0)  # (seeds, modes, eyes, times)
    fine = (abs(strengths) < FAR * max(1, *rearing.modes)).all()  # false for NaN too
    require(fine, f"rate {rate:g} is too high for these modes: give a lower one")
    return [Course(np.array(times), *eyes) for modes in strengths for eyes in modes]


def multiply(layers: list[np.ndarray]) -> list[np.ndarray]:
    """The products of the first layer, the first two, …, all; each layer is (…, out, in)."""
    return [*accumulate(layers, lambda below, layer: layer @ below)]


def take_gradient_step(layers: list[np.ndarray], chain: list[np.ndarray], step: np.ndarray) -> None:
    """Update layers whose products are `chain`; step: the rate times the error of the last one."""
    for i in reversed(range(1, len(layers))):
        layer = layers[i]
        layers[i] = layer + step @ chain[i - 1].swapaxes(-1, -2)
        step = layer.swapaxes(-1, -2) @ step
    layers[0] = layers[0] + step


def frame(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Random orthonormal columns (rows, columns)."""
    return np.linalg.qr(rng.standard_normal((rows, columns)))[0]


def make_eyes(seed: int, rearing: Rearing, begin: str, samples: int) -> tuple:
    """The arrays of one seed: the modes in the outputs (OUTPUTS, modes) and in the inputs
    (EYE_INPUTS, modes), the initial layers of both eyes, and the covariances of each phase."""
    rng, count = np.random.default_rng(seed), len(rearing.modes)
    out, into = frame(rng, OUTPUTS, count), frame(rng, EYE_INPUTS, count)
    teacher = out * rearing.modes @ into.T
    both = zip(*(weights(rng, rearing, out, into, begin) for _ in "ab"), strict=True)
    layers = [np.array(pair) for pair in both]  # (2, out, in) each
    seen = [covariances(rng, kind, rearing.rho, teacher, samples) for kind, _ in rearing.phases]
    return out, into, layers, seen


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
    """Covariances in a phase, of samples or exact: of targets with the inputs of each eye
    (2, OUTPUTS, EYE_INPUTS), and of these inputs (2, 2, EYE_INPUTS, EYE_INPUTS)."""
    if samples:
        signals = rng.standard_normal((6, EYE_INPUTS, samples))
    else:  # each of unit power, and uncorrelated with all others, to the last digit
        samples = 6 * EYE_INPUTS
        signals = (frame(rng, samples, samples) * samples**0.5).reshape(6, EYE_INPUTS, samples)
        signals[5] = 0
    common, own_a, own_b, rest_a, rest_b, noise = signals
    a, b = (rho**0.5 * common + (1 - rho) ** 0.5 * own for own in (own_a, own_b))
    targets = teacher @ (common / rho**0.5 if rho else a + b) + NOISE * noise[:OUTPUTS]
    weak = CLARITY * b + (1 - CLARITY**2) ** 0.5 * rest_b
    a = {"patch": 0 * a, "both blank": 0 * a, "both noise": rest_a}.get(kind, a)
    b = {"blank": 0 * b, "noise": rest_b, "weak": weak}.get(kind.removeprefix("both "), b)
    inputs = np.stack([a, b])
    across = inputs.swapaxes(1, 2)
    return targets @ across / samples, inputs[:, None] @ across / samples


def complete(
    depth: int,
    deficit: str,
    onset: int = 0,
    length: int = 300,
    seeds: Sequence[int] = range(5),
    recovery: int = 2000,
    size: int = 40,
) -> np.ndarray:
    """Complete matrices of rank 3, 35 % of whose entries are observed, after a deficit.

    Arguments: depth, layers, 1 to 4; deficit: few (three in ten of the observed entries are seen),
        noise (a fixed random matrix in their place), other (another matrix of that rank); onset,
        length and recovery, in steps; size, rows and columns of the matrix.
    Returns: the root mean square error on the entries that were never observed, divided by their
        root mean square, (seeds,).

    >>> errors = complete(2, "few", onset=200, seeds=(0, 1), recovery=500, size=12)
    >>> errors.shape, bool((errors > 0.1).all())
    ((2,), True)
    """
    one_of("deficit", deficit, ("few", "noise", "other"))
    rate = np.float32(RATES[whole("depth", depth, 1, 4)] / (size * OBSERVED))
    problems = [make_problem(seed, size, depth, deficit) for seed in seeds]
    true, observed, wrong, visible, *layers = map(np.array, zip(*problems, strict=True))
    for step in range(onset + length + recovery):
        inside = onset <= step < onset + length
        target, mask = (wrong, visible) if inside else (true, observed)
        products = multiply(layers)
        take_gradient_step(layers, products, (target - products[-1]) * mask * rate)
    missed = (multiply(layers)[-1] - true) * (1 - observed)
    return np.linalg.norm(missed, axis=(1, 2)) / np.linalg.norm(true * (1 - observed), axis=(1, 2))


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
