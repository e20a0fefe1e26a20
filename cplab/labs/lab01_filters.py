"""Lab 01: the orientation of filters, by their Fourier components."""

import numpy as np
from numpy.typing import ArrayLike

from cplab.errors import require, whole

__all__ = ["orientation"]


def orientation(filters: ArrayLike, size: int = 33) -> np.ndarray:
    """The stripes that each filter answers to best: a complex number for each.

    Each Fourier component of a filter is stripes, with a tilt from the vertical; the result is the
    mean of e^(2i · tilt) over all components but the constant, weighted by power. Its modulus is
    how selective the filter is, 0 to 1; half its angle is the tilt; its real part is 1 for vertical
    stripes, −1 for horizontal ones and 0 for a filter that prefers neither.

    Arguments: filters (out, C, H, W), as the measurement "ending" holds them, or (out, H, W); size,
        pixels a side to which zeros are added.
    Returns: (out,); 0 for a filter of zeros.

    >>> upright = [[-1, 2, -1]] * 3
    >>> float(orientation([upright]).real[0].round(2))
    0.78
    """
    f = np.asarray(filters, dtype=float)
    allowed, how = f.ndim in (3, 4) and f.size, "give (out, C, H, W) or (out, H, W)"
    require(allowed, f"filters of shape {f.shape} are not allowed: {how}")
    size = whole("size", size, max(f.shape[-2:]), 256)
    power = np.abs(np.fft.fft2(f, s=(size, size))) ** 2
    power = power.sum(1) if f.ndim == 4 else power
    power[:, 0, 0] = 0
    wave = np.fft.fftfreq(size) + 1j * np.fft.fftfreq(size)[:, None]
    turn = (wave / np.where(wave == 0, 1, np.abs(wave))) ** 2
    total = power.sum((1, 2))
    return (power * turn).sum((1, 2)) / np.where(total > 0, total, 1)
