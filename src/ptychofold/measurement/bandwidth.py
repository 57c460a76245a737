"""Tell amplitude by its bandwidth, whatever gain, corrections and dose are: it is the root of what a probe diffracts.

The Fourier transform of a far-field intensity is the autocorrelation of the exit wave and ends at twice its extent;
that of its root ends nowhere, as the root has a cusp wherever the intensity vanishes. So the squares of amplitudes have
far less energy at the largest lags than the amplitudes, if the detector samples finely enough; the squares of
intensities have more. Where the probe fills its window or noise hides it, both are alike and nothing is told. That
intensities have less than their squares tells nothing: so have amplitudes that were smoothed or that vanish nowhere.

A window keeps the energy at small lags from leaking to the largest (Kaiser's with β = 14: sidelobes below −100 dB).
"""

import numpy as np
from jaxtyping import Bool, Float64

__all__ = ["FAR", "only_squares_are_limited"]

_N_PATTERNS, _MOST_SIDE, _LEAST_SIDE = 16, 128, 16
"""Patterns that are looked at, and the sides of the part of them."""
_KAISER_BETA = 14.0
FAR = 0.44
"""Lags that are large, as a share of the window in real space."""
_LIMITED = 0.1
"""Energy of the squares at large lags, in that of the patterns, below which only the squares are limited."""


def only_squares_are_limited(values: Float64[np.ndarray, "n H W"]) -> bool:
    """Whether the squares of patterns are limited in bandwidth and the patterns are not, so that these are amplitudes.

    Parameters
    ----------
    values
        Some patterns, not negative.
    """
    some = values[np.unique(np.linspace(0, len(values) - 1, _N_PATTERNS).astype(np.int64))]
    some = some[some.any(axis=(1, 2))]
    rows, columns = _lit_square(np.asarray((some > 0).any(axis=0)))
    part = some[:, rows, columns]
    if min(part.shape[1:]) < _LEAST_SIDE:
        return False
    part = part / part.max(axis=(1, 2), keepdims=True).clip(np.finfo(np.float64).tiny)
    return _share_at_large_lags(np.square(part)) < _LIMITED * _share_at_large_lags(part)


def _share_at_large_lags(patterns: Float64[np.ndarray, "n H W"]) -> float:
    height, width = patterns.shape[1:]
    window = np.outer(np.kaiser(height, _KAISER_BETA), np.kaiser(width, _KAISER_BETA))
    lags = np.maximum(np.abs(np.fft.fftfreq(height))[:, None], np.fft.rfftfreq(width))
    energy = np.square(np.abs(np.fft.rfft2(patterns * window))).mean(axis=0)
    return float(energy[lags > FAR].sum() / energy.sum())


def _lit_square(lit: Bool[np.ndarray, "H W"]) -> tuple[slice, slice]:
    """Return the rows and columns of one of the largest squares without dark pixels."""
    from scipy.ndimage import distance_transform_cdt

    reach = distance_transform_cdt(np.pad(lit, 1), metric="chessboard")[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(reach)), reach.shape)
    half = min(int(reach[row, column]), _MOST_SIDE // 2) - 1
    return slice(int(row) - half, int(row) + half + 1), slice(int(column) - half, int(column) + half + 1)
