"""Objects to simulate with: complex transmissions made from a pattern t between 0 and 1.

``O = (1 - absorption · t) · exp(i · phase_rad · t)``, so t = 0 is vacuum.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Complex64, Float64
from scipy.ndimage import gaussian_filter

from ptychofold.errors import ConfigError

__all__ = ["OBJECTS", "dead_leaves", "lines", "make_object", "random_phase", "siemens_star", "transmission"]


Seed = int | np.random.Generator
"""Where randomness comes from."""


def transmission(
    pattern: Float64[np.ndarray, "H W"], *, absorption: float = 0.2, phase_rad: float = 1.0
) -> Complex64[np.ndarray, "H W"]:
    """Return the transmission of a pattern of material.

    Parameters
    ----------
    pattern
        (H, W), 0 for vacuum to 1 for the full thickness.
    absorption
        Share of the amplitude that the full thickness takes away, 0 to 1.
    phase_rad
        Phase that the full thickness adds.

    Examples
    --------
    >>> transmission(np.array([[0.0, 1.0]]), absorption=0.5, phase_rad=0.0).tolist()
    [[(1+0j), (0.5+0j)]]
    """
    field = (1 - absorption * pattern) * np.exp(1j * phase_rad * pattern)
    return np.asarray(field, np.complex64)


def siemens_star(
    shape: tuple[int, int], *, n_spokes: int = 36, rotation_rad: float = 0.1
) -> Float64[np.ndarray, "H W"]:
    """Draw a star of spokes that narrow towards the centre; edges are one pixel soft.

    Parameters
    ----------
    shape
        (H, W) in pixels; the star fills it.
    n_spokes
        Spokes around the circle.
    rotation_rad
        Angle of the first spoke's edge.
    """
    y, x = _axes(shape)
    radius = np.hypot(y, x)
    to_edge = radius / n_spokes * np.sin(n_spokes * (np.arctan2(y, x) - rotation_rad))
    rim = np.clip(0.48 * min(shape) - radius + 0.5, 0, 1)
    spokes: Float64[np.ndarray, "H W"] = np.clip(to_edge + 0.5, 0, 1) * rim
    return spokes


def dead_leaves(
    shape: tuple[int, int], *, seed: Seed, smallest: float = 3.0, largest: float = 0.15
) -> Float64[np.ndarray, "H W"]:
    """Draw disks of all sizes that cover one another like leaves; its statistics resemble natural images.

    Radii r are drawn with density ∝ r⁻³ (Lee, Mumford and Huang, Int. J. Comput. Vision 41, 35, 2001).

    Parameters
    ----------
    shape
        (H, W) in pixels.
    seed
        Seed of the drawing.
    smallest
        Smallest radius in pixels.
    largest
        Largest radius as a share of the shorter side.
    """
    rng = np.random.default_rng(seed)
    low, high = smallest, max(largest * min(shape), smallest + 1)
    mean_area = 2 * np.pi * np.log(high / low) / (low**-2 - high**-2)
    n_leaves = int(5 * shape[0] * shape[1] / mean_area)
    u = rng.random(n_leaves)
    radii = (low**-2 - u * (low**-2 - high**-2)) ** -0.5
    centers = rng.random((n_leaves, 2)) * shape
    canvas = np.zeros(shape)
    for (row, column), radius, shade in zip(centers, radii, rng.random(n_leaves), strict=True):
        rows = slice(max(0, int(row - radius) - 1), int(row + radius) + 2)
        columns = slice(max(0, int(column - radius) - 1), int(column + radius) + 2)
        area = canvas[rows, columns]
        y = np.arange(rows.start, rows.start + area.shape[0]) - row
        x = np.arange(columns.start, columns.start + area.shape[1]) - column
        cover = np.clip(radius - np.hypot(y[:, None], x) + 0.5, 0, 1)
        area += cover * (shade - area)
    return canvas


def random_phase(shape: tuple[int, int], *, seed: Seed, feature: float = 4.0) -> Float64[np.ndarray, "H W"]:
    """Draw smooth noise without edges.

    Parameters
    ----------
    shape
        (H, W) in pixels.
    seed
        Seed of the drawing.
    feature
        Standard deviation of the Gaussian that smooths white noise, in pixels.
    """
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), feature, mode="wrap")
    spread = float(np.ptp(noise))
    return (noise - noise.min()) / spread if spread else np.zeros(shape)


def lines(
    shape: tuple[int, int], *, seed: Seed, spacing: float = 12.0, width: tuple[float, float] = (1.0, 4.0)
) -> Float64[np.ndarray, "H W"]:
    """Draw straight lines in random places and directions.

    Parameters
    ----------
    shape
        (H, W) in pixels.
    seed
        Seed of the drawing.
    spacing
        Mean distance of lines along any cut, in pixels.
    width
        Smallest and largest width of a line, in pixels; edges are one pixel soft.
    """
    rng = np.random.default_rng(seed)
    y, x = _axes(shape)
    reach = np.hypot(*shape) / 2
    canvas = np.zeros(shape)
    for _ in range(max(1, round(np.pi * reach / spacing))):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-reach, reach)
        distance = np.abs(x * np.cos(angle) + y * np.sin(angle) - offset)
        np.maximum(canvas, np.clip(rng.uniform(*width) / 2 - distance + 0.5, 0, 1) * rng.uniform(0.3, 1), out=canvas)
    return canvas


OBJECTS: Mapping[str, Callable[[tuple[int, int], int], Float64[np.ndarray, "H W"]]] = MappingProxyType(
    {
        "dead_leaves": lambda shape, seed: dead_leaves(shape, seed=seed),
        "lines": lambda shape, seed: lines(shape, seed=seed),
        "random_phase": lambda shape, seed: random_phase(shape, seed=seed),
        "siemens": lambda shape, seed: siemens_star(
            shape, rotation_rad=float(np.random.default_rng(seed).uniform(0, 2 * np.pi))
        ),
    }
)
"""Patterns of material by name, each a function of (shape, seed)."""


def make_object(
    name: str, shape: tuple[int, int], *, seed: int, absorption: float = 0.2, phase_rad: float = 1.0
) -> Complex64[np.ndarray, "H W"]:
    """Return a named object; see `transmission` for the contrast.

    Raises
    ------
    ConfigError
        If no object has this name.
    """
    if name not in OBJECTS:
        raise ConfigError(f"expected an object named {', '.join(OBJECTS)}; found {name!r}.")
    return transmission(OBJECTS[name](shape, seed), absorption=absorption, phase_rad=phase_rad)


def _axes(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    height, width = shape
    return np.arange(height)[:, None] - height / 2, np.arange(width)[None] - width / 2
