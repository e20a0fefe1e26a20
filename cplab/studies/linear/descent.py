"""Two eyes trained by real gradient descent on matrices, without the equations of pathways.py."""

from itertools import accumulate

import numpy as np

from cplab.errors import require
from cplab.studies.linear.pathways import CLARITY, Course, Rearing, half_time

EYE_INPUTS, HIDDEN_UNITS, OUTPUTS = 16, 16, 8  # inputs of an eye, units of a layer, outputs
NOISE = 0.5  # standard deviation of the noise on the targets
FAR = 1000  # times the greatest mode or 1: few samples of eyes that hardly agree lead to 250


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
