"""Random numbers that a seed decides, in code that draws them as it likes."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A context in which a seed decides what Python, numpy and torch draw. Their generators then go
    on as before.

    >>> with seeded(0):
    ...     weights = torch.nn.Linear(3, 2).weight
    >>> with seeded(0):
    ...     torch.equal(torch.nn.Linear(3, 2).weight, weights)
    True
    """
    cards = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    python_state = random.getstate()
    numpy_state = np.random.get_state()
    with torch.random.fork_rng(cards):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed)
        for card in cards:
            torch.cuda.default_generators[card].manual_seed(seed)
        if torch.backends.mps.is_available():
            torch.mps.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
