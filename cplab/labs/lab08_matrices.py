"""Lab 08's experiments by gradient descent: two eyes that are reared, and completed matrices.

Both train deep linear networks by full gradient descent on squared error. lab08.py solves the
equations of the two eyes; here their layers are trained. A `Rearing` says in which phases the eyes
live: what they see in each, and for how long, in half-learning times (see `half_time`).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from cplab.base.errors import CplabError, one_of, whole
from cplab.labs.lab08 import CLARITY, Course, Rearing, half_time

# The two eyes
EYE_INPUTS = 16
HIDDEN_UNITS = 16
OUTPUTS = 8
TARGET_NOISE = 0.5  # standard deviation
# Training has diverged when a strength is above this multiple of the strongest mode. It is high:
# eyes that hardly agree and see few samples may rightly come to a strength of 250
DIVERGENCE = 1000
SIGHTS = {  # by the kind of a phase: what eye a sees, and what eye b sees
    "clear": ("image", "image"),
    "blank": ("image", "nothing"),
    "noise": ("image", "noise"),
    "weak": ("image", "weak image"),
    "patch": ("nothing", "image"),
    "both blank": ("nothing", "nothing"),
    "both noise": ("noise", "noise"),
}

# Matrix completion
RANK = 3
OBSERVED_FRACTION = 0.35  # of the entries
FEW_FRACTION = 0.3  # of the observed entries, which the deficit "few" leaves
INITIAL_SIZE = 0.02  # of the product of the initial layers: the usual size of a singular value
RATES = {1: 0.5, 2: 0.1, 3: 0.05, 4: 0.03}  # by depth, for one observed entry a row


# Deep linear networks -----------------------------------------------------------------------------


def partial_products(layers: list[np.ndarray]) -> list[np.ndarray]:
    """The products of the first layer, the first two, …, all; each layer is (…, out, in)."""
    products = [layers[0]]
    for layer in layers[1:]:
        products.append(layer @ products[-1])
    return products


def take_gradient_step(
    layers: list[np.ndarray], products: list[np.ndarray], step: np.ndarray
) -> None:
    """Take a step of gradient descent: replace the layers W₁, …, W_D in their list.

    With the step G that the product of all layers would take, layer i takes
    (W_D … W_{i+1})ᵀ G (W_{i-1} … W₁)ᵀ.

    Arguments:
        layers: (…, out, in) each, from the first to the last.
        products: their `partial_products`.
        step: G, the rate times the negative gradient by the product of all layers.
    """
    backpropagated = step  # (W_D … W_{i+1})ᵀ G
    for i in reversed(range(1, len(layers))):
        layer = layers[i]
        layers[i] = layer + backpropagated @ products[i - 1].swapaxes(-1, -2)
        backpropagated = layer.swapaxes(-1, -2) @ backpropagated
    layers[0] = layers[0] + backpropagated


# Two eyes -----------------------------------------------------------------------------------------


class Covariances(NamedTuple):
    """The covariances of what the eyes see in a phase. With several seeds, the arrays have these
    as their first dimension."""

    with_targets: np.ndarray  # of the targets with each eye's inputs, (eyes, OUTPUTS, EYE_INPUTS)
    of_inputs: np.ndarray  # of the inputs, (eyes, eyes, EYE_INPUTS, EYE_INPUTS)


class Eyes(NamedTuple):
    """Two eyes, the modes that they are to learn, and what they see. With several seeds, the
    arrays have these as their first dimension."""

    out_modes: np.ndarray  # (OUTPUTS, modes)
    in_modes: np.ndarray  # (EYE_INPUTS, modes)
    layers: list[np.ndarray]  # from the first to the last, (eyes, out, in) each
    covariances: list[Covariances]  # of each phase


@np.errstate(all="ignore")  # steps that are too long raise an error in the end
def descend(
    rearing: Rearing,
    weights: str = "aligned",
    samples: int = 0,
    seeds: Sequence[int] = (0,),
    rate: float = 0.02,
) -> list[Course]:
    """Train two eyes, each a deep linear network.

    Arguments:
        rearing: their life, with up to 8 modes to be learned.
        weights: the initial ones: "aligned" with the modes in all layers; or "random", Gaussian
            and about as strong.
        samples: the number of images, with noise on their targets; or 0 for exact covariances.
        seeds: each with modes, weights and images of its own.
        rate: the learning rate; phases are filled by whole steps of about this length.

    Returns:
        the course of each mode, of one seed after another. Random weights may point against a mode,
        whose strengths are then below 0.

    Raises:
        CplabError: for other weights, and if the rate is too high.

    >>> from cplab.labs.lab08 import rear
    >>> rearing = Rearing(depth=2, length=1)
    >>> [trained] = descend(rearing)
    >>> [solved] = rear(rearing)
    >>> print(f"{trained.share[-1]:.3f}, {solved.share[-1]:.3f}")
    0.030, 0.029
    """
    one_of("weights", weights, ("aligned", "random"))
    samples = whole("samples", samples)
    eyes = stack_seeds([draw_eyes(seed, rearing, weights, samples) for seed in seeds])
    half_learning_time = half_time(rearing.depth, rearing.start)  # in steps, at a rate of 1
    times = []
    strengths_by_time = []  # (seeds, eyes, modes) at each of these times
    elapsed = 0.0
    for (_, duration), covariances in zip(rearing.phases, eyes.covariances, strict=True):
        steps = max(1, round(duration * half_learning_time / rate))
        exact_rate = duration * half_learning_time / steps  # so that whole steps fill the phase
        for step in range(steps):
            if step % 10 == 0:  # often enough for a smooth line
                times.append(elapsed + duration * step / steps)
                strengths_by_time.append(strengths_of(eyes))
            train_eyes(eyes.layers, covariances, exact_rate)
        elapsed += duration
        times.append(elapsed)
        strengths_by_time.append(strengths_of(eyes))
    strengths = np.array(strengths_by_time).transpose(1, 3, 2, 0)  # (seeds, modes, eyes, times)
    strongest = max(1, *rearing.modes)
    are_bounded = (abs(strengths) < DIVERGENCE * strongest).all()  # False for NaN as well
    if not are_bounded:
        raise CplabError(f"rate {rate:g} is too high for these modes: give a lower one")
    courses = []
    for strengths_of_seed in strengths:
        for eye_a, eye_b in strengths_of_seed:  # of a mode, (times,) each
            courses.append(Course(t=np.array(times), a=eye_a, b=eye_b))
    return courses


def strengths_of(eyes: Eyes) -> np.ndarray:
    """How strong each eye is in each mode now, (seeds, eyes, modes)."""
    answers = partial_products(eyes.layers)[-1]  # (seeds, eyes, OUTPUTS, EYE_INPUTS)
    # s: seeds, e: eyes, m: modes, o: OUTPUTS, i: EYE_INPUTS
    return np.einsum("som,seoi,sim->sem", eyes.out_modes, answers, eyes.in_modes)


def train_eyes(layers: list[np.ndarray], covariances: Covariances, rate: float) -> None:
    """Take a step of both eyes, whose layers (seeds, eyes, out, in) are replaced in the list."""
    products = partial_products(layers)
    answers = products[-1][:, :, None]  # of each eye, (seeds, eyes, 1, OUTPUTS, EYE_INPUTS)
    # Covariances of the sum of both eyes' answers with each eye's inputs
    answered = (answers @ covariances.of_inputs).sum(1)  # (seeds, eyes, OUTPUTS, EYE_INPUTS)
    negative_gradient = covariances.with_targets - answered
    take_gradient_step(layers, products, rate * negative_gradient)


def draw_eyes(seed: int, rearing: Rearing, weights: str, samples: int) -> Eyes:
    """Draw the eyes of a seed. Arguments are those of `descend`."""
    rng = np.random.default_rng(seed)
    out_modes = orthonormal(rng, OUTPUTS, len(rearing.modes))
    in_modes = orthonormal(rng, EYE_INPUTS, len(rearing.modes))
    teacher = (out_modes * rearing.modes) @ in_modes.T  # the target map (OUTPUTS, EYE_INPUTS)
    layers_a = initial_layers(rng, rearing, out_modes, in_modes, weights)
    layers_b = initial_layers(rng, rearing, out_modes, in_modes, weights)
    layers = [np.stack(of_both) for of_both in zip(layers_a, layers_b, strict=True)]
    covariances = []
    for kind, _ in rearing.phases:
        covariances.append(covariances_of(rng, kind, rearing.rho, teacher, samples))
    return Eyes(out_modes, in_modes, layers, covariances)


def stack_seeds(eyes_of_seeds: list[Eyes]) -> Eyes:
    """Stack the arrays of several seeds' eyes, which have the same rearing."""
    first, *_ = eyes_of_seeds
    layers = []
    for i in range(len(first.layers)):
        layers.append(np.stack([eyes.layers[i] for eyes in eyes_of_seeds]))
    covariances = []
    for phase in range(len(first.covariances)):
        with_targets = [eyes.covariances[phase].with_targets for eyes in eyes_of_seeds]
        of_inputs = [eyes.covariances[phase].of_inputs for eyes in eyes_of_seeds]
        covariances.append(Covariances(np.stack(with_targets), np.stack(of_inputs)))
    return Eyes(
        out_modes=np.stack([eyes.out_modes for eyes in eyes_of_seeds]),
        in_modes=np.stack([eyes.in_modes for eyes in eyes_of_seeds]),
        layers=layers,
        covariances=covariances,
    )


def orthonormal(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Random orthonormal columns (rows, columns)."""
    q, _ = np.linalg.qr(rng.standard_normal((rows, columns)))
    return q


def initial_layers(
    rng: np.random.Generator,
    rearing: Rearing,
    out_modes: np.ndarray,
    in_modes: np.ndarray,
    weights: str,
) -> list[np.ndarray]:
    """Draw the layers of an eye, (out, in) each. Arguments are those of `descend` and `Eyes`."""
    hidden_layers = rearing.depth - 1
    strength = rearing.start ** (1 / rearing.depth)  # of a layer, so that the product's is `start`
    layers = []
    if weights == "random":
        widths = [EYE_INPUTS] + hidden_layers * [HIDDEN_UNITS] + [OUTPUTS]
        deviation = strength / HIDDEN_UNITS**0.5
        for width_below, width_above in pairwise(widths):
            layers.append(deviation * rng.standard_normal((width_above, width_below)))
    else:
        modes = [in_modes]  # in the inputs, in each hidden layer and in the outputs
        for _ in range(hidden_layers):
            modes.append(orthonormal(rng, HIDDEN_UNITS, len(rearing.modes)))
        modes.append(out_modes)
        for modes_below, modes_above in pairwise(modes):
            layers.append(strength * modes_above @ modes_below.T)
    return layers


def covariances_of(
    rng: np.random.Generator, kind: str, rho: float, teacher: np.ndarray, samples: int
) -> Covariances:
    """Draw images, and return the covariances of what the eyes see of them in a phase.

    Arguments:
        kind: of the phase, a key of SIGHTS.
        rho: the correlation of what both eyes see.
        teacher: the target map (OUTPUTS, EYE_INPUTS).
        samples: the number of images; or 0 for exact covariances.
    """
    is_exact = samples == 0
    if is_exact:  # signals of power 1, which are uncorrelated to the last digit
        samples = 6 * EYE_INPUTS
        columns = orthonormal(rng, samples, samples) * samples**0.5
        signals = columns.reshape(6, EYE_INPUTS, samples)
    else:
        signals = rng.standard_normal((6, EYE_INPUTS, samples))
    common, private_a, private_b, noise_a, noise_b, target_noise = signals
    view_a = rho**0.5 * common + (1 - rho) ** 0.5 * private_a
    view_b = rho**0.5 * common + (1 - rho) ** 0.5 * private_b
    # The targets depend on what has a covariance of 1 with each view
    image = common / rho**0.5 if rho > 0 else view_a + view_b
    targets = teacher @ image  # (OUTPUTS, samples)
    if not is_exact:
        targets += TARGET_NOISE * target_noise[:OUTPUTS]
    sight_a, sight_b = SIGHTS[kind]
    inputs = np.stack([see(sight_a, view_a, noise_a), see(sight_b, view_b, noise_b)])
    transposed = inputs.swapaxes(1, 2)  # (eyes, samples, EYE_INPUTS)
    return Covariances(
        with_targets=targets @ transposed / samples,
        of_inputs=inputs[:, None] @ transposed / samples,  # each eye's inputs with each eye's
    )


def see(sight: str, view: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """What reaches an eye (EYE_INPUTS, samples): its view, a weak image of it, noise or nothing."""
    if sight == "nothing":
        return np.zeros_like(view)
    if sight == "noise":
        return noise
    if sight == "weak image":
        return CLARITY * view + (1 - CLARITY**2) ** 0.5 * noise
    return view


# Matrix completion --------------------------------------------------------------------------------


class Problem(NamedTuple):
    """A matrix of one seed that is to be completed. Arrays are float32."""

    true: np.ndarray  # the matrix, (rows, rows)
    observed: np.ndarray  # 1 for its observed entries, else 0, (rows, rows)
    shown: np.ndarray  # the matrix that is shown during the deficit, (rows, rows)
    shown_entries: np.ndarray  # 1 for the entries of it that are shown, else 0, (rows, rows)
    layers: np.ndarray  # the initial ones, (depth, rows, rows)


def complete(
    depth: int,
    deficit: str,
    onset: int = 0,
    length: int = 300,
    seeds: Sequence[int] = range(5),
    recovery: int = 2000,
    size: int = 40,
) -> np.ndarray:
    """Complete square matrices of rank RANK after a deficit.

    The product of some square layers is trained on the observed entries, from a small start, and
    tested on the others. Depth prefers low rank, so it can be right on these (Arora, Cohen, Hu and
    Luo 2019); Kleinman, Achille and Soatto (2024) added deficits.

    Arguments:
        depth: the number of layers, 1 to 4.
        deficit: what is shown in place of the observed entries: few of them; noise, a fixed random
            matrix; or other, another matrix of the same rank.
        onset, length, recovery: steps before, with and after the deficit.
        seeds: each with a matrix and initial layers of its own.
        size: the number of rows and columns.

    Returns:
        the root mean square error on the entries that were never observed, divided by their root
        mean square, (seeds,).

    >>> errors = complete(2, "few", onset=200, seeds=(0, 1), recovery=500, size=12)
    >>> errors.shape
    (2,)
    """
    one_of("deficit", deficit, ("few", "noise", "other"))
    depth = whole("depth", depth, 1, 4)
    observed_in_a_row = size * OBSERVED_FRACTION
    rate = np.float32(RATES[depth] / observed_in_a_row)  # in float32, as all arrays
    problems = [draw_problem(seed, size, depth, deficit) for seed in seeds]
    # Arrays of all seeds, (seeds, rows, rows) each
    true = np.stack([problem.true for problem in problems])
    observed = np.stack([problem.observed for problem in problems])
    shown = np.stack([problem.shown for problem in problems])
    shown_entries = np.stack([problem.shown_entries for problem in problems])
    layers = []
    for layer in range(depth):
        layers.append(np.stack([problem.layers[layer] for problem in problems]))
    for step in range(onset + length + recovery):
        products = partial_products(layers)
        if onset <= step < onset + length:
            negative_gradient = (shown - products[-1]) * shown_entries
        else:
            negative_gradient = (true - products[-1]) * observed
        take_gradient_step(layers, products, rate * negative_gradient)
    unobserved = 1 - observed
    missed = (partial_products(layers)[-1] - true) * unobserved
    return np.linalg.norm(missed, axis=(1, 2)) / np.linalg.norm(true * unobserved, axis=(1, 2))


def draw_problem(seed: int, size: int, depth: int, deficit: str) -> Problem:
    """Draw the problem of a seed. Arguments are those of `complete`."""
    rng = np.random.default_rng(seed)
    true = low_rank(rng, size)
    another = low_rank(rng, size)
    noise = rng.standard_normal((size, size))
    observed = rng.random((size, size)) < OBSERVED_FRACTION
    few = observed & (rng.random((size, size)) < FEW_FRACTION)
    deviation = INITIAL_SIZE ** (1 / depth) / size**0.5  # of a layer's weights
    layers = deviation * rng.standard_normal((depth, size, size))
    shown = {"few": true, "noise": noise, "other": another}[deficit]
    shown_entries = few if deficit == "few" else observed
    return Problem(
        true.astype(np.float32),
        observed.astype(np.float32),
        shown.astype(np.float32),
        shown_entries.astype(np.float32),
        layers.astype(np.float32),
    )


def low_rank(rng: np.random.Generator, size: int) -> np.ndarray:
    """A random matrix (size, size) of rank RANK, whose root mean square is 1."""
    matrix = rng.standard_normal((size, RANK)) @ rng.standard_normal((RANK, size))
    return matrix / np.sqrt((matrix**2).mean())
