"""How a probe covers an object: its size, the step between scan points, and how often each object pixel is lit."""

from math import ceil

import numpy as np
from jaxtyping import Complex64, Float32, Float64, Shaped
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.spatial import cKDTree

from ptychofold.errors import DomainError
from ptychofold.typing import Positions

__all__ = [
    "EDGE",
    "coverage_map",
    "linear_overlap",
    "median_step",
    "object_shape",
    "probe_diameter",
    "probe_footprint",
    "scan_field",
]

EDGE = 1e-6
"""Pixels by which a patch may reach over the border of an object that holds it: positions may come from metres."""
EQUAL = 1e-3
"""Share by which intensities may differ and be taken as one."""
LARGEST_MAP = 1 << 26
"""Object pixels of the largest map that is made."""


def probe_footprint(probe: Complex64[np.ndarray, "mode N N"], *, power: float = 0.9) -> Float32[np.ndarray, "N N"]:
    """Return 1 on the brightest pixels that hold a share of the probe's power, 0 elsewhere.

    Pixels as bright as the dimmest of them belong to it, so that a flat probe has no holes.

    Parameters
    ----------
    probe
        Illumination; the power of its modes adds up.
    power
        Share of the power, 0 < power ≤ 1.
    """
    intensity = (np.abs(probe.astype(np.complex128)) ** 2).sum(axis=0)
    falling = np.sort(intensity, axis=None)[::-1]
    sums = np.cumsum(falling)
    dimmest = falling[min(int(np.searchsorted(sums, power * sums[-1])), len(falling) - 1)]
    return np.where(intensity >= (1 - EQUAL) * dimmest, np.float32(1), np.float32(0))


def probe_diameter(probe: Complex64[np.ndarray, "mode N N"], *, power: float = 0.9) -> float:
    """Return the diameter in pixels of the disc as large as `probe_footprint`: d90 for ``power=0.9``.

    Examples
    --------
    >>> probe = np.zeros((1, 32, 32), np.complex64)
    >>> probe[:, 10:20, 10:20] = 1
    >>> round(probe_diameter(probe, power=1.0), 2)
    11.28
    """
    return float(2 * np.sqrt(probe_footprint(probe, power=power).sum() / np.pi))


def median_step(positions: Positions) -> float:
    """Return the median distance in pixels from a scan point to its nearest neighbor; 0 for a single one."""
    if len(positions) < 2:
        return 0.0
    distances, _ = cKDTree(positions).query(positions, k=[2])
    return float(np.median(distances))


def linear_overlap(step: float, diameter: float) -> float:
    """Return 1 − step / diameter, the overlap of neighboring probes along the line between them; 0 if they are apart.

    Examples
    --------
    >>> linear_overlap(2.0, 8.0)
    0.75
    """
    return max(0.0, 1 - step / diameter)


def scan_field(positions: Positions, N: int) -> tuple[int, int]:
    """Return (H, W), the smallest object with its first pixel at 0 that holds the patches of all positions."""
    height, width = (max(1, ceil(last - EDGE) + N - N // 2) for last in positions.max(axis=0).tolist())
    return height, width


def object_shape(canvas: Shaped[np.ndarray, "H W"]) -> tuple[int, int]:
    """Return (H, W) of an object, or of a map of it, as the pair that others take as its shape."""
    height, width = canvas.shape
    return height, width


def coverage_map(
    positions: Positions, weight: Float32[np.ndarray, "N N"], shape: tuple[int, int]
) -> Float32[np.ndarray, "H W"]:
    """Return Σ over scan points of the weight laid at each position: what `place_patches` gives for equal patches.

    The positions are spread over whole pixels by bilinear interpolation, and this map is convolved with the weight,
    so that the cost does not depend on the number of scan points times N².

    Parameters
    ----------
    positions
        (y, x) of each scan point; patches may reach over the border.
    weight
        Not negative, such as `probe_footprint`; its pixel ``[N//2, N//2]`` comes to lie on the position.
    shape
        (H, W) of the map.

    Raises
    ------
    DomainError
        If the map would have more than 2²⁶ pixels.
    """
    H, W = shape
    N = len(weight)
    if H * W > LARGEST_MAP:
        raise DomainError(
            f"expected positions in object pixels that span at most {LARGEST_MAP} of them; found a field of {H} × {W}. "
            "Check the unit of the positions.",
            field="positions",
        )
    points = _spread(positions + N, (H + 2 * N, W + 2 * N))
    size = [next_fast_len(n + N, real=True) for n in points.shape]
    laid = irfft2(rfft2(points, size) * rfft2(weight.astype(np.float64), size), size)
    first = N + N // 2
    found: Float64[np.ndarray, "H W"] = laid[first : first + H, first : first + W]
    noise = 1e-9 * max(1.0, float(found.max()))
    return np.where(found > noise, found, 0).astype(np.float32)


def _spread(positions: Positions, shape: tuple[int, int]) -> Float64[np.ndarray, "H W"]:
    """Lay a unit at each position on its four neighboring pixels; positions off the map are left out."""
    points = np.zeros(shape)
    whole = np.floor(positions)
    fraction = positions - whole
    inside = ((whole >= 0) & (whole < np.array(shape) - 1)).all(axis=1)
    row, column = whole[inside].astype(np.int64).T
    down, right = fraction[inside].T
    for rows, columns, part in (
        (row, column, (1 - down) * (1 - right)),
        (row, column + 1, (1 - down) * right),
        (row + 1, column, down * (1 - right)),
        (row + 1, column + 1, down * right),
    ):
        np.add.at(points, (rows, columns), part)
    return points
