"""Illuminations to simulate with; each (1, N, N) complex64 of unit power, ``Σ |P|² = 1``."""

from collections.abc import Callable, Mapping
from math import ceil
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Complex, Complex64, Float64, Real
from scipy.ndimage import gaussian_filter

from ptychofold.errors import ConfigError
from ptychofold.physics.fourier import centered_ifft2

__all__ = [
    "PROBES",
    "disk_probe",
    "focused_probe",
    "gaussian_probe",
    "inverse_mean_amplitude",
    "make_probe",
    "soft_disk",
]


def gaussian_probe(N: int, *, fwhm: float | None = None) -> Complex64[np.ndarray, "1 N N"]:
    """Return a Gaussian beam with a flat phase.

    Parameters
    ----------
    N
        Side in pixels.
    fwhm
        Full width of the intensity at half maximum, in pixels; N/4 if None.
    """
    radius = _radius(N)
    width = N / 4 if fwhm is None else fwhm
    return _unit_power(np.exp(-2 * np.log(2) * (radius / width) ** 2).astype(np.complex128))


def disk_probe(N: int, *, diameter: float | None = None, curvature_rad: float = 4.0) -> Complex64[np.ndarray, "1 N N"]:
    """Return an evenly lit disk with a spherical phase, such as behind a pinhole.

    Parameters
    ----------
    N
        Side in pixels.
    diameter
        In pixels; N/2 if None. The edge falls over two pixels.
    curvature_rad
        Phase at the edge against the centre. A curved phase spreads each pattern over the detector.
    """
    radius = _radius(N)
    edge = (N / 2 if diameter is None else diameter) / 2
    disk = np.clip((edge - radius) / 2 + 0.5, 0, 1)
    return _unit_power(disk * np.exp(1j * curvature_rad * (radius / edge) ** 2))


def focused_probe(
    N: int, *, aperture: float = 0.35, defocus_rad: float | None = None
) -> Complex64[np.ndarray, "1 N N"]:
    """Return the beam of a lens with a round aperture, out of focus.

    Parameters
    ----------
    N
        Side in pixels.
    aperture
        Diameter of the lens as seen from the detector, as a share of its side; the focus is about 1.2/aperture wide.
    defocus_rad
        Phase at the aperture's edge against its centre, which widens the beam; N/8, for about half the frame, if None.
    """
    radius = _radius(N) / (aperture * N / 2)
    phase = (N / 8 if defocus_rad is None else defocus_rad) * radius**2
    lens = np.clip((1 - radius) * aperture * N / 4 + 0.5, 0, 1) * np.exp(1j * phase)
    return _unit_power(centered_ifft2(torch.from_numpy(lens)).numpy())


PROBES: Mapping[str, Callable[[int], Complex64[np.ndarray, "1 N N"]]] = MappingProxyType(
    {"disk": disk_probe, "focused": focused_probe, "gaussian": gaussian_probe}
)
"""Illuminations by name, made for a side of N pixels."""


def make_probe(name: str, N: int) -> Complex64[np.ndarray, "1 N N"]:
    """Return a named illumination with its default settings.

    Raises
    ------
    ConfigError
        If no illumination has this name.
    """
    if name not in PROBES:
        raise ConfigError(f"expected a probe named {', '.join(PROBES)}; found {name!r}.")
    return PROBES[name](N)


def soft_disk(N: int, *, diameter: float, sigma: float) -> Float64[np.ndarray, "N N"]:
    """Return a mask that is 1 in a disk around the corner of the four middle pixels and falls off like a Gaussian.

    Parameters
    ----------
    N
        Side in pixels.
    diameter
        In pixels.
    sigma
        Standard deviation of the edge in pixels; 0 makes it sharp.
    """
    axis = np.arange(N) - N // 2 + 0.5
    disk = (np.hypot(axis[:, None], axis) < diameter / 2).astype(np.float64)
    if sigma > 0:
        disk = gaussian_filter(disk, sigma, mode="constant", radius=ceil(3 * sigma))
    return np.asarray(disk / disk.max())


def inverse_mean_amplitude(
    probe: Complex64[np.ndarray, "mode N N"], *, mask: Real[np.ndarray, "N N"] | None = None
) -> float:
    """Return 1 / ⟨|P|⟩, the mean over all modes and pixels, those outside a mask counted as dark.

    Examples
    --------
    >>> inverse_mean_amplitude(np.full((1, 4, 4), 2j, np.complex64))
    0.5
    """
    return 1 / float((np.abs(probe) if mask is None else np.abs(probe) * mask).mean())


def _radius(N: int) -> np.ndarray:
    axis = np.arange(N) - N // 2
    return np.hypot(axis[:, None], axis)


def _unit_power(probe: Complex[np.ndarray, "N N"]) -> Complex64[np.ndarray, "1 N N"]:
    return np.asarray(probe / np.linalg.norm(probe), np.complex64)[None]
