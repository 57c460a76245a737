"""Scan positions: where the probe is put on an object so that no patch reaches beyond it."""

from collections.abc import Callable, Mapping
from math import ceil, sqrt
from types import MappingProxyType

import numpy as np
from jaxtyping import Float64

from ptychofold.errors import ConfigError

__all__ = ["SCAN_PATTERNS", "fermat_spiral", "jittered_raster", "make_positions", "object_side", "raster"]

GOLDEN_ANGLE_RAD = np.pi * (3 - np.sqrt(5))


def raster(shape: tuple[int, int], *, size: int, step: float) -> Float64[np.ndarray, "scan 2"]:
    """Return a rectangular grid, row by row.

    Parameters
    ----------
    shape
        (H, W) of the object in pixels.
    size
        N, the side of a patch.
    step
        Distance of neighbors in pixels.

    Raises
    ------
    ConfigError
        If the object is smaller than a patch or the step is not positive.

    Examples
    --------
    >>> raster((10, 9), size=8, step=2.0).tolist()
    [[4.0, 4.0], [6.0, 4.0]]
    """
    low, high = _bounds(shape, size=size, step=step)
    y, x = (np.arange(a, b + 1e-9, step) for a, b in zip(low, high, strict=True))
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)


def jittered_raster(
    shape: tuple[int, int], *, size: int, step: float, seed: int, jitter: float = 0.3
) -> Float64[np.ndarray, "scan 2"]:
    """Return a grid whose points are displaced at random, which avoids the artefacts of a raster's period.

    Parameters
    ----------
    shape, size, step
        See `raster`.
    seed
        Seed of the displacements.
    jitter
        Largest displacement on each axis, as a share of the step.
    """
    positions = raster(shape, size=size, step=step)
    low, high = _bounds(shape, size=size, step=step)
    shift = np.random.default_rng(seed).uniform(-jitter * step, jitter * step, positions.shape)
    return np.clip(positions + shift, low, high)


def fermat_spiral(shape: tuple[int, int], *, size: int, step: float) -> Float64[np.ndarray, "scan 2"]:
    """Return a sunflower spiral, dense and without period (Huang et al., Opt. Express 22, 12634, 2014).

    Point n lies at radius ``step √(n/π)`` and n golden angles, so each point has the area step².

    Parameters
    ----------
    shape, size, step
        See `raster`; the spiral is cut at the border of the positions that fit.
    """
    low, high = _bounds(shape, size=size, step=step)
    middle, half = (low + high) / 2, (high - low) / 2
    n = np.arange(ceil(np.pi * float(half @ half) / step**2) + 1)
    radius, angle = step * np.sqrt(n / np.pi), n * GOLDEN_ANGLE_RAD
    positions = middle + radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    inside = ((positions >= low) & (positions <= high)).all(axis=1)
    return np.asarray(positions[inside])


SCAN_PATTERNS: Mapping[str, Callable[[tuple[int, int], int, float, int], Float64[np.ndarray, "scan 2"]]] = (
    MappingProxyType(
        {
            "fermat": lambda shape, size, step, _: fermat_spiral(shape, size=size, step=step),
            "jittered": lambda shape, size, step, seed: jittered_raster(shape, size=size, step=step, seed=seed),
            "raster": lambda shape, size, step, _: raster(shape, size=size, step=step),
        }
    )
)
"""Scan patterns by name, each a function of (shape, size, step, seed)."""


def make_positions(
    name: str, shape: tuple[int, int], *, size: int, step: float, seed: int
) -> Float64[np.ndarray, "scan 2"]:
    """Return the positions of a named scan pattern; see `raster` for the parameters.

    Raises
    ------
    ConfigError
        If no pattern has this name, or none fits onto the object.
    """
    if name not in SCAN_PATTERNS:
        raise ConfigError(f"expected a scan pattern named {', '.join(SCAN_PATTERNS)}; found {name!r}.")
    return SCAN_PATTERNS[name](shape, size, step, seed)


def object_side(n_scan: int, *, size: int, step: float) -> int:
    """Return the side of a square object on which about ``n_scan`` positions fit, never fewer on a raster.

    Examples
    --------
    >>> len(raster((object_side(100, size=64, step=5.5),) * 2, size=64, step=5.5))
    100
    """
    return size + ceil((ceil(sqrt(n_scan)) - 1) * step)


def _bounds(shape: tuple[int, int], *, size: int, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and last (y, x) whose patch lies inside the object."""
    if not step > 0:
        raise ConfigError(f"expected a positive step; found {step} pixels.")
    low = np.full(2, size // 2, np.float64)
    high = np.asarray(shape, np.float64) - size + size // 2
    if (high < low).any():
        raise ConfigError(f"expected an object of at least {size} by {size} pixels; found {shape}.")
    return low, high
