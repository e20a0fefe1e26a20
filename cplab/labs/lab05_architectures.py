"""Which synapses of a network of 784, 16 and 10 units are alive, and controls with as many.

An architecture is a list of two boolean arrays, (16, 784) and (10, 16).
"""

import base64
import math
from collections.abc import Sequence

import numpy as np

from cplab.errors import CplabError

SHAPES = ((784, 16), (16, 10))  # units below and above, of both layers of a net

Architecture = list[np.ndarray]


def dense() -> Architecture:
    """The architecture with all synapses alive."""
    return [np.ones((b, a), bool) for a, b in SHAPES]


def pack_architecture(arrays: Sequence[np.ndarray]) -> str:
    """Pack booleans as base64 text, a bit each."""
    bits = np.packbits(np.concatenate([array.ravel() for array in arrays]))
    return base64.b64encode(bits.tobytes()).decode()


def unpack_architecture(text: str) -> Architecture:
    """Unpack an architecture from text: booleans, (16, 784) and (10, 16).

    >>> [layer.shape for layer in unpack_architecture(pack_architecture(dense()))]
    [(16, 784), (10, 16)]
    """
    bits = np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8)).astype(bool)
    cuts = np.cumsum([math.prod(shape) for shape in SHAPES])
    layers = np.split(bits, cuts)[:-1]  # the last byte may be filled up
    return [layer.reshape(b, a) for layer, (a, b) in zip(layers, SHAPES, strict=True)]


# Controls -----------------------------------------------------------------------------------------


def draw_synapses(allowed: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw `count` of the allowed synapses at random; both arrays are booleans of one shape."""
    places = np.flatnonzero(allowed)
    if count > len(places):
        raise CplabError(f"{count} synapses do not fit: give {len(places)} at most")
    alive = np.zeros(allowed.size, bool)
    alive[random.choice(places, count, replace=False)] = True
    return alive.reshape(allowed.shape)


def move_targets(alive: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Move each synapse to a random unit above; each unit below keeps its number of synapses."""
    return random.random(alive.shape).argsort(0).argsort(0) < alive.sum(0)


def trade_targets(alive: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Shuffle synapses by curveball trades, which keep the number on each unit below and above."""
    alive = alive.copy()
    for _ in range(50 * len(alive)):  # 5 a unit suffice for mixing
        a, b = random.choice(len(alive), 2, replace=False)
        places = np.flatnonzero(alive[a] != alive[b])
        traded = random.permutation(alive[a, places])
        alive[a, places], alive[b, places] = traded, ~traded
    return alive


def make_control(
    kind: str, alive: Architecture, ink: np.ndarray, random: np.random.Generator
) -> Architecture:
    """The architecture with which a kind of retraining begins, from the one that the search left;
    ink, booleans (784,), the pixels that some image inks."""
    if kind in ("biological", "magnitude"):
        return alive
    if kind == "per_pixel":
        return [move_targets(layer, random) for layer in alive]
    if kind == "degrees":
        return [trade_targets(layer, random) for layer in alive]
    allowed = [np.ones_like(layer) for layer in alive]  # random, set
    if kind == "inked":
        allowed[0] &= ink
    return [draw_synapses(a, int(b.sum()), random) for a, b in zip(allowed, alive, strict=True)]
