"""Simulated scans in memory: true far-field patterns of a known object, probe and positions.

Examples
--------
>>> scan = make_scan(n_scan=9, N=16)
>>> scan.patterns.shape, str(scan.patterns.dtype), scan.probe.shape
((9, 16, 16), 'uint16', (1, 16, 16))
"""

from math import ceil, sqrt
from typing import Literal

import numpy as np
from jaxtyping import Bool, Complex64, Float32, Float64, Int64, Num

from ptychofold.metadata import Metadata
from ptychofold.patches import extract_patches
from ptychofold.physics.scan_patterns import GOLDEN_ANGLE_RAD
from ptychofold.raw_data import RawData
from ptychofold.testing import phantoms
from ptychofold.typing import Measurement

__all__ = ["Grid", "Phantom", "make_positions", "make_probe", "make_scan"]

Grid = Literal["raster", "jitter", "fermat"]
Phantom = Literal["dead_leaves", "siemens_star", "lines", "random_phase", "coordinate_ramp"]

MARGIN = 2
"""Object pixels left free around the outermost patches."""
SIMULATED_TOGETHER = 64
"""Patterns that are simulated in one step."""


def make_probe(N: int, *, n_modes: int = 1, defocus: float = 1.0) -> Complex64[np.ndarray, "mode N N"]:
    """Return a localised, defocused Gaussian probe and, above it, orthogonal Hermite-like modes.

    Parameters
    ----------
    N
        Side in pixels; the centre is pixel ``[N//2, N//2]`` and the standard deviation of its amplitude N / 8.
    n_modes
        Number of modes, each with half the power of the one before; the total power is 1.
    defocus
        Phase of the wavefront at √2 standard deviations, in radians.

    Examples
    --------
    >>> probe = make_probe(32, n_modes=2)
    >>> probe.shape, round(float((abs(probe) ** 2).sum()), 5)
    ((2, 32, 32), 1.0)
    """
    y, x = (np.indices((N, N), dtype=np.float64) - N // 2) / (N / 8)
    wave = np.exp((1j * defocus - 1) * (y**2 + x**2) / 2)
    orders = sorted(((a, b) for a in range(n_modes) for b in range(n_modes)), key=lambda order: (sum(order), order))
    shapes = np.stack([(wave * y**a * x**b).ravel() for a, b in orders[:n_modes]], axis=1)
    orthonormal, triangle = np.linalg.qr(shapes)
    diagonal = np.diag(triangle)
    power = 0.5 ** np.arange(n_modes)
    modes = orthonormal * (diagonal / np.abs(diagonal)) * np.sqrt(power / power.sum())
    probe: Complex64[np.ndarray, "mode N N"] = modes.T.reshape(n_modes, N, N).astype(np.complex64)
    return probe


def make_positions(
    n_scan: int, *, grid: Grid = "jitter", step: float = 4.0, seed: int | np.random.Generator = 0
) -> Float64[np.ndarray, "scan 2"]:
    """Return scan positions (y, x) in object pixels whose smallest coordinates are 0.

    Parameters
    ----------
    n_scan
        Number of positions.
    grid
        Square raster, raster with every point moved by up to 0.3 steps, or Fermat spiral of the same density.
    step
        Distance of neighbors in pixels.
    seed
        Where the randomness of "jitter" comes from.

    Examples
    --------
    >>> make_positions(3, grid="raster", step=4.0).tolist()
    [[0.0, 0.0], [0.0, 4.0], [4.0, 0.0]]
    """
    number = np.arange(n_scan)
    if grid == "fermat":
        radius, angle = step * np.sqrt(number / np.pi), number * GOLDEN_ANGLE_RAD
        positions = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    else:
        positions = np.stack(np.divmod(number, ceil(sqrt(n_scan))), axis=1) * step
    if grid == "jitter":
        positions = positions + np.random.default_rng(seed).uniform(-0.3, 0.3, positions.shape) * step
    from_zero: Float64[np.ndarray, "scan 2"] = positions - positions.min(axis=0)
    return from_zero


def make_scan(
    *,
    n_scan: int = 49,
    N: int = 32,
    measurement: Measurement = "intensity",
    grid: Grid = "jitter",
    step: float = 4.0,
    n_modes: int = 1,
    n_photons: float = 1e5,
    noise: bool = True,
    phantom: Phantom = "dead_leaves",
    object: bool = True,
    patches: bool = False,
    n_bad_pixels: int = 0,
    nominal_error: float = 0.0,
    seed: int = 0,
) -> RawData:
    """Simulate a scan; the probe it holds is in √photons, so that it reproduces the noise-free patterns.

    Parameters
    ----------
    n_scan, grid, step
        As in `make_positions`; the positions are moved so that every patch lies inside the object.
    N, n_modes
        As in `make_probe`; modes add incoherently.
    measurement, noise
        Poisson counts (uint16, or uint32 if they need it) or their square root (float32); without noise both float32.
    n_photons
        Photons in a pattern, on average over the scan.
    phantom
        Name of the object, see `ptychofold.testing.phantoms`.
    object, patches
        Whether the scan carries its object, and its true patches.
    n_bad_pixels
        Detector pixels that are bad and read zero.
    nominal_error
        Standard deviation of nominal against true positions in pixels; 0 leaves the two equal.
    seed
        Of all randomness.
    """
    rng = np.random.default_rng(seed)
    positions = make_positions(n_scan, grid=grid, step=step, seed=rng) + N // 2 + MARGIN
    truth = _phantom(phantom, np.ceil(positions.max(axis=0)).astype(int) + N - N // 2 + MARGIN, rng)
    probe, cut = make_probe(N, n_modes=n_modes), extract_patches(truth, positions, N)
    intensity = _far_field_intensity(probe, cut)
    gain = np.float32(n_photons / intensity.sum(axis=(1, 2), dtype=np.float64).mean())
    bad_pixels = _bad_pixels(n_bad_pixels, N, rng) if n_bad_pixels else None
    return RawData.from_arrays(
        patterns=_measured(
            intensity * gain, measurement=measurement, bad_pixels=bad_pixels, rng=rng if noise else None
        ),
        positions=positions,
        probe=probe * np.sqrt(gain),
        measurement=measurement,
        positions_nominal=positions + rng.normal(0, nominal_error, positions.shape) if nominal_error else None,
        object=truth if object else None,
        patches=cut if patches else None,
        bad_pixels=bad_pixels,
        metadata=Metadata(wavelength_m=1.24e-10, pixel_size_m=(1e-8, 1e-8), n_photons=n_photons),
    )


def _phantom(name: Phantom, extent: Int64[np.ndarray, " 2"], rng: np.random.Generator) -> Complex64[np.ndarray, "H W"]:
    shape = (int(extent[0]), int(extent[1]))
    if name == "coordinate_ramp":
        return phantoms.coordinate_ramp(shape)
    if name == "siemens_star":
        return phantoms.siemens_star(shape)
    if name == "lines":
        return phantoms.lines(shape, rng)
    if name == "random_phase":
        return phantoms.random_phase(shape, rng)
    return phantoms.dead_leaves(shape, rng)


def _far_field_intensity(
    probe: Complex64[np.ndarray, "mode N N"], patches: Complex64[np.ndarray, "scan N N"]
) -> Float32[np.ndarray, "scan N N"]:
    """Return Σ_mode |F(P_mode · O)|² of the centred, unitary Fourier transform F."""
    intensity = np.zeros(patches.shape, np.float32)
    axes = (-2, -1)
    for start in range(0, len(patches), SIMULATED_TOGETHER):
        part = slice(start, start + SIMULATED_TOGETHER)
        for mode in probe:
            exit_waves = np.fft.ifftshift(mode * patches[part], axes=axes)
            wave = np.fft.fftshift(np.fft.fft2(exit_waves, norm="ortho"), axes=axes)
            intensity[part] += wave.real**2 + wave.imag**2
    return intensity


def _measured(
    intensity: Float32[np.ndarray, "scan N N"],
    *,
    measurement: Measurement,
    bad_pixels: Bool[np.ndarray, "N N"] | None,
    rng: np.random.Generator | None,
) -> Num[np.ndarray, "scan N N"]:
    """Return what a detector makes of intensity: with Poisson noise if there is an ``rng``."""
    patterns: Num[np.ndarray, "scan N N"] = intensity if rng is None else rng.poisson(intensity)
    if bad_pixels is not None:
        patterns = np.where(bad_pixels, patterns.dtype.type(0), patterns)
    dtype: type[np.generic] = np.float32
    if measurement == "amplitude":
        patterns = np.sqrt(patterns)
    elif rng is not None:
        dtype = np.uint16 if patterns.max() <= np.iinfo(np.uint16).max else np.uint32
    return patterns.astype(dtype, copy=False)


def _bad_pixels(n_bad: int, N: int, rng: np.random.Generator) -> Bool[np.ndarray, "N N"]:
    mask = np.zeros(N * N, bool)
    mask[rng.choice(N * N, n_bad, replace=False)] = True
    return mask.reshape(N, N)
