"""Lab 08: gradient descent on matrices: two eyes without their equations, and matrix completion.

The product of D square layers is trained by full gradient descent on the observed entries, from a
small start, and tested on the others. Depth prefers low rank (Arora, Cohen, Hu and Luo 2019), so
it can be right on these; Kleinman, Achille & Soatto (2024) added deficits.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np

from cplab.errors import CplabError, one_of
from cplab.labs.lab08 import CLARITY, Course, Rearing, half_time

EYE_INPUTS = 16  # of one eye
HIDDEN_UNITS = 16  # of a layer
OUTPUTS = 8
NOISE = 0.5  # standard deviation of the noise on the targets
# A strength of so many times the greatest mode, or 1, says that the steps were too long. A strength
# of 250 may be right, with few samples of eyes that hardly agree
FAR = 1000

# Matrix completion
RATES = {1: 0.5, 2: 0.1, 3: 0.05, 4: 0.03}  # by depth
RANK = 3
OBSERVED = 0.35  # part of the entries
SPARSE = 0.3  # part of these that is seen under the deficit few
START = 0.02  # size of the product of the initial layers


class Covariances(NamedTuple):
    """The covariances of what the eyes see in a phase."""

    with_targets: np.ndarray  # of the targets with each eye's inputs, (eyes, OUTPUTS, EYE_INPUTS)
    of_inputs: np.ndarray  # of the inputs, (eyes, eyes, EYE_INPUTS, EYE_INPUTS)


class Eyes(NamedTuple):
    """The arrays of one seed: the target's modes, both eyes' layers, and what they see."""

    out_modes: np.ndarray  # (OUTPUTS, modes)
    in_modes: np.ndarray  # (EYE_INPUTS, modes)
    layers: list[np.ndarray]  # the initial ones, (eyes, out, in) each
    phases: list[Covariances]


@np.errstate(all="ignore")  # steps that are too long raise an error in the end
def descend(
    rearing: Rearing,
    begin: str = "aligned",
    samples: int = 0,
    seeds: Sequence[int] = (0,),
    rate: float = 0.02,
) -> list[Course]:
    """Train two deep linear eyes, of up to 8 modes, by full gradient descent on squared error.

    Arguments: begin, aligned (all layers are aligned with the modes) or random (Gaussian weights of
        that size); samples, the number of images, with noise on their targets, or 0 for their exact
        covariances; rate, of learning.
    Returns: the course of each mode, of one seed after another; random weights may point against a
        mode, whose strengths are then below 0.
    Raises: CplabError for another beginning, and if the rate is too high.

    >>> [course] = descend(Rearing(depth=2, length=1))  # solved: 0.0293
    >>> bool(abs(course.share[-1] - 0.0293) < 1e-3)
    True
    """
    one_of("begin", begin, ("aligned", "random"))
    pairs = [make_eyes(seed, rearing, begin, samples) for seed in seeds]
    out_modes = np.array([eyes.out_modes for eyes in pairs])  # (seeds, OUTPUTS, modes)
    in_modes = np.array([eyes.in_modes for eyes in pairs])  # (seeds, EYE_INPUTS, modes)
    layers = []  # from the first to the last, (seeds, eyes, out, in) each
    for depth in range(rearing.depth):
        layers.append(np.array([eyes.layers[depth] for eyes in pairs]))
    unit = half_time(rearing.depth, rearing.start)
    start = 0.0
    times = []
    strengths_so_far = []  # at each of these times, (seeds, eyes, modes)
    for phase, (_, time) in enumerate(rearing.phases):
        # As in Covariances, with the seeds first
        target = np.array([eyes.phases[phase].with_targets for eyes in pairs])
        power = np.array([eyes.phases[phase].of_inputs for eyes in pairs])
        steps = max(1, round(time * unit / rate))
        exact_rate = time * unit / steps  # so that whole steps fill the phase
        for step in range(steps + 1):
            products = multiply(layers)
            answers = products[-1]  # of each eye, (seeds, eyes, OUTPUTS, EYE_INPUTS)
            if step == steps or step % 10 == 0:
                times.append(start + time * step / steps)
                strengths_so_far.append(
                    np.einsum("som,seoi,sim->sem", out_modes, answers, in_modes)
                )
            if step < steps:
                error = target - (answers[:, :, None] @ power).sum(1)
                take_gradient_step(layers, products, error * exact_rate)
        start += time
    strengths = np.array(strengths_so_far).transpose(1, 3, 2, 0)  # (seeds, modes, eyes, times)
    limit = FAR * max(1, *rearing.modes)
    are_small = (abs(strengths) < limit).all()  # False for NaN as well
    if not are_small:
        raise CplabError(f"rate {rate:g} is too high for these modes: give a lower one")
    courses = []
    for modes in strengths:
        for a, b in modes:
            courses.append(Course(np.array(times), a, b))
    return courses


def multiply(layers: list[np.ndarray]) -> list[np.ndarray]:
    """The products of the first layer, the first two, …, all; each layer is (…, out, in)."""
    return [*accumulate(layers, lambda below, layer: layer @ below)]


def take_gradient_step(
    layers: list[np.ndarray], products: list[np.ndarray], step: np.ndarray
) -> None:
    """Take a step of gradient descent: replace the layers in the list, from the last to the first.

    Arguments: products, of the layers (see `multiply`); step, the rate times the error of the last
        product.
    """
    for i in reversed(range(1, len(layers))):
        layer = layers[i]
        layers[i] = layer + step @ products[i - 1].swapaxes(-1, -2)
        step = layer.swapaxes(-1, -2) @ step
    layers[0] = layers[0] + step


def orthonormal(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Random orthonormal columns (rows, columns)."""
    q, _ = np.linalg.qr(rng.standard_normal((rows, columns)))
    return q


def make_eyes(seed: int, rearing: Rearing, begin: str, samples: int) -> Eyes:
    """Draw the arrays of one seed."""
    rng = np.random.default_rng(seed)
    count = len(rearing.modes)
    out_modes = orthonormal(rng, OUTPUTS, count)
    in_modes = orthonormal(rng, EYE_INPUTS, count)
    teacher = out_modes * rearing.modes @ in_modes.T  # the target map (OUTPUTS, EYE_INPUTS)
    eye_a = weights(rng, rearing, out_modes, in_modes, begin)
    eye_b = weights(rng, rearing, out_modes, in_modes, begin)
    layers = [np.array(pair) for pair in zip(eye_a, eye_b, strict=True)]
    phases = []
    for kind, _ in rearing.phases:
        phases.append(covariances(rng, kind, rearing.rho, teacher, samples))
    return Eyes(out_modes, in_modes, layers, phases)


def weights(
    rng: np.random.Generator,
    rearing: Rearing,
    out_modes: np.ndarray,
    in_modes: np.ndarray,
    begin: str,
) -> list[np.ndarray]:
    """The initial layers of an eye, (out, in) each; begin, aligned or random, as in `descend`."""
    hidden_layers = rearing.depth - 1
    size = rearing.start ** (1 / rearing.depth)
    layers = []
    if begin == "random":
        widths = [EYE_INPUTS] + hidden_layers * [HIDDEN_UNITS] + [OUTPUTS]
        scale = size / HIDDEN_UNITS**0.5
        for below, above in pairwise(widths):
            layers.append(scale * rng.standard_normal((above, below)))
        return layers
    modes = [in_modes]  # in the inputs, in each hidden layer and in the outputs
    for _ in range(hidden_layers):
        modes.append(orthonormal(rng, HIDDEN_UNITS, out_modes.shape[1]))
    modes.append(out_modes)
    for modes_below, modes_above in pairwise(modes):
        layers.append(size * modes_above @ modes_below.T)
    return layers


def covariances(
    rng: np.random.Generator, kind: str, rho: float, teacher: np.ndarray, samples: int
) -> Covariances:
    """The covariances of what eyes see in a phase: those of samples, or without samples exact ones.

    Arguments: kind, of phase, a key of lab 08's COVARIANCES; rho, the correlation of what the eyes
        see; teacher, the target map (OUTPUTS, EYE_INPUTS).
    """
    if samples:
        signals = rng.standard_normal((6, EYE_INPUTS, samples))
    else:  # each of unit power, and uncorrelated with all others, to the last digit
        samples = 6 * EYE_INPUTS
        columns = orthonormal(rng, samples, samples) * samples**0.5
        signals = columns.reshape(6, EYE_INPUTS, samples)
        signals[5] = 0  # no noise on the targets
    common, private_a, private_b, noise_a, noise_b, noise = signals
    a = rho**0.5 * common + (1 - rho) ** 0.5 * private_a
    b = rho**0.5 * common + (1 - rho) ** 0.5 * private_b
    image = common / rho**0.5 if rho else a + b  # what the targets depend on
    targets = teacher @ image + NOISE * noise[:OUTPUTS]
    if kind in ("patch", "both blank"):
        a = 0 * a
    elif kind == "both noise":
        a = noise_a
    sight_b = kind.removeprefix("both ")
    if sight_b == "blank":
        b = 0 * b
    elif sight_b == "noise":
        b = noise_b
    elif sight_b == "weak":
        b = CLARITY * b + (1 - CLARITY**2) ** 0.5 * noise_b
    inputs = np.stack([a, b])  # (eyes, EYE_INPUTS, samples)
    transposed = inputs.swapaxes(1, 2)
    return Covariances(
        with_targets=targets @ transposed / samples,
        of_inputs=inputs[:, None] @ transposed / samples,
    )


def complete(
    depth: int,
    deficit: str,
    onset: int = 0,
    length: int = 300,
    seeds: Sequence[int] = range(5),
    recovery: int = 2000,
    size: int = 40,
) -> np.ndarray:
    """Complete matrices of rank 3 after a deficit; 35 % of their entries are observed.

    Arguments: depth, layers, 1 to 4; deficit: few (three in ten of the observed entries are seen),
        noise (a fixed random matrix in their place), other (another matrix of that rank); onset,
        length and recovery, in steps; size, rows and columns of the matrix.
    Returns: the root mean square error on the entries that were never observed, divided by their
        root mean square, (seeds,).

    >>> errors = complete(2, "few", onset=200, seeds=(0, 1), recovery=500, size=12)
    >>> errors.shape, bool((errors > 0.1).all())
    ((2,), True)
    """
    rate = np.float32(RATES[depth] / (size * OBSERVED))
    problems = [make_problem(seed, size, depth, deficit) for seed in seeds]
    # Arrays of all seeds, (seeds, size, size) each
    true = np.array([problem.true for problem in problems])
    observed = np.array([problem.observed for problem in problems])
    wrong = np.array([problem.wrong for problem in problems])
    visible = np.array([problem.visible for problem in problems])
    layers = []
    for layer in range(depth):
        layers.append(np.array([problem.layers[layer] for problem in problems]))
    for step in range(onset + length + recovery):
        products = multiply(layers)
        if onset <= step < onset + length:
            error = (wrong - products[-1]) * visible
        else:
            error = (true - products[-1]) * observed
        take_gradient_step(layers, products, error * rate)
    hidden = 1 - observed
    missed = (multiply(layers)[-1] - true) * hidden
    return np.linalg.norm(missed, axis=(1, 2)) / np.linalg.norm(true * hidden, axis=(1, 2))


class Problem(NamedTuple):
    """A matrix to be completed, of one seed: arrays in float32, (size, size) but for the layers."""

    true: np.ndarray  # the matrix
    observed: np.ndarray  # 1 for its observed entries, else 0
    wrong: np.ndarray  # the matrix that is shown under the deficit
    visible: np.ndarray  # 1 for the entries that are seen of it, else 0
    layers: np.ndarray  # the initial ones, (depth, size, size)


def make_problem(seed: int, size: int, depth: int, deficit: str) -> Problem:
    """Draw a matrix, what is seen of it, and initial layers."""
    rng = np.random.default_rng(seed)
    shape = (size, size)

    def low_rank() -> np.ndarray:
        matrix = rng.standard_normal((size, RANK)) @ rng.standard_normal((RANK, size))
        return matrix / np.sqrt((matrix**2).mean())

    true = low_rank()
    another = low_rank()
    noise = rng.standard_normal(shape)
    observed = rng.random(shape) < OBSERVED
    few = observed & (rng.random(shape) < SPARSE)
    layers = START ** (1 / depth) / size**0.5 * rng.standard_normal((depth, *shape))
    wrong = {"few": true, "noise": noise, "other": another}[deficit]
    visible = few if deficit == "few" else observed
    return Problem(
        true.astype(np.float32),
        observed.astype(np.float32),
        wrong.astype(np.float32),
        visible.astype(np.float32),
        layers.astype(np.float32),
    )
