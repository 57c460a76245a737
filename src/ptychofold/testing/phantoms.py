"""Objects to simulate scans of, and the coordinate ramp that shows misplaced patches at once.

Apart from the ramp, every phantom is a complex transmission with |O| ≤ 1, made of a pattern of `ptychofold.physics`.
Random ones take an int seed or a `numpy.random.Generator`, which they draw from.
"""

import numpy as np
from jaxtyping import Complex64

from ptychofold.physics import objects

__all__ = ["coordinate_ramp", "dead_leaves", "lines", "random_phase", "siemens_star"]

Seed = int | np.random.Generator
ABSORPTION = 0.5
"""Share of the amplitude that the thickest part takes away."""


def coordinate_ramp(shape: tuple[int, int]) -> Complex64[np.ndarray, "H W"]:
    """Return row + i·column: a patch of it tells where it was cut, and bilinear interpolation reproduces it exactly.

    Examples
    --------
    >>> complex(coordinate_ramp((4, 5))[3, 2])
    (3+2j)
    """
    rows, columns = np.indices(shape, dtype=np.float32)
    return rows + np.complex64(1j) * columns


def siemens_star(shape: tuple[int, int], *, n_spokes: int = 24, phase: float = 1.0) -> Complex64[np.ndarray, "H W"]:
    """Return a star of absorbing, phase-shifting spokes.

    Parameters
    ----------
    shape
        (H, W) in pixels.
    n_spokes
        Number of spokes.
    phase
        Phase shift of a spoke in radians.
    """
    star = objects.siemens_star(shape, n_spokes=n_spokes, rotation_rad=0.0)
    return objects.transmission(star, absorption=ABSORPTION, phase_rad=phase)


def dead_leaves(
    shape: tuple[int, int], seed: Seed = 0, *, n_leaves: int = 300, phase: float = 1.5
) -> Complex64[np.ndarray, "H W"]:
    """Return discs of random size and thickness that cover one another: sharp edges at every scale.

    Unlike `ptychofold.physics.objects.dead_leaves` it has as many discs, down to one pixel, on the smallest field as on
    the largest, so that a scan of a few patterns of 16² has something to tell.

    Parameters
    ----------
    shape
        (H, W) in pixels.
    seed
        Where the randomness comes from.
    n_leaves
        Number of discs; the last one lies on top.
    phase
        Phase shift of the thickest disc in radians.
    """
    rng = np.random.default_rng(seed)
    thickness = np.zeros(shape)
    smallest, largest = max(1.0, min(shape) / 60), max(2.0, min(shape) / 5)
    radii = 1 / rng.uniform(1 / largest, 1 / smallest, n_leaves)
    centers, leaves = rng.uniform(0, shape, (n_leaves, 2)), rng.uniform(0, 1, n_leaves)
    for radius, center, leaf in zip(radii, centers, leaves, strict=True):
        low = np.maximum(np.floor(center - radius), 0).astype(int)
        high = np.minimum(np.ceil(center + radius) + 1, shape).astype(int)
        y, x = np.ogrid[low[0] : high[0], low[1] : high[1]]
        inside = (y - center[0]) ** 2 + (x - center[1]) ** 2 <= radius**2
        thickness[low[0] : high[0], low[1] : high[1]][inside] = leaf
    return objects.transmission(thickness, absorption=ABSORPTION, phase_rad=phase)


def lines(shape: tuple[int, int], seed: Seed = 0, *, phase: float = 1.0) -> Complex64[np.ndarray, "H W"]:
    """Return straight lines of random place, direction and width: a circuit-like object.

    Parameters
    ----------
    shape
        (H, W) in pixels.
    seed
        Where the randomness comes from.
    phase
        Phase shift of the thickest line in radians.
    """
    return objects.transmission(objects.lines(shape, seed=seed), absorption=ABSORPTION, phase_rad=phase)


def random_phase(
    shape: tuple[int, int], seed: Seed = 0, *, smoothness: float = 3.0, phase: float = 1.0
) -> Complex64[np.ndarray, "H W"]:
    """Return a smooth random pure phase object, |O| = 1.

    Parameters
    ----------
    shape
        (H, W) in pixels.
    seed
        Where the randomness comes from.
    smoothness
        Width of the Gaussian that smooths white noise, in pixels.
    phase
        Standard deviation of the phase in radians.
    """
    pattern = objects.random_phase(shape, seed=seed, feature=smoothness)
    return objects.transmission(pattern, absorption=0.0, phase_rad=phase / max(float(pattern.std()), 1e-12))
