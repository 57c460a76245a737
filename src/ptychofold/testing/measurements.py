"""Patterns of known kind as detectors and their software leave them, to try a detector of amplitude and intensity on.

Examples
--------
>>> case = make_case(3)
>>> case.patterns.shape, case.measurement
((16, 64, 64), 'amplitude')
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Num

from ptychofold.typing import Measurement

__all__ = ["MeasurementCase", "far_field_intensity", "make_case"]

EXTENT = 32
"""Pixels that patches may lie apart on the object."""


@dataclass(frozen=True, kw_only=True)
class MeasurementCase:
    """Some patterns and the truth about them."""

    patterns: Num[np.ndarray, "n N N"]
    measurement: Measurement
    dose: float
    """Photons in a pattern before anything was done to it."""
    done: tuple[str, ...]
    """What was done to the counts."""


def far_field_intensity(rng: np.random.Generator, *, N: int, n: int, strength: float) -> Float64[np.ndarray, "n N N"]:
    """Return n far-field intensities of a random object under a round probe, one photon a pattern on average.

    Parameters
    ----------
    rng
        Where object, probe and places come from.
    N
        Side of a pattern.
    n
        Number of patterns.
    strength
        Phase shift of the object in radians, as a standard deviation.
    """
    row, column = np.mgrid[:N, :N] - N / 2
    radius = np.hypot(row, column)
    probe = np.exp(-(radius**2) / (2 * (rng.uniform(0.05, 0.2) * N) ** 2)) * np.exp(
        1j * rng.uniform(0, 2) * radius**2 / N
    )
    frequency = np.hypot(np.fft.fftfreq(N + EXTENT)[:, None], np.fft.fftfreq(N + EXTENT))
    noise = np.fft.fft2(rng.normal(size=(2, N + EXTENT, N + EXTENT))) * np.exp(-(frequency**2) * rng.uniform(5, 300))
    absorption, phase = np.fft.ifft2(noise).real / np.fft.ifft2(noise).real.std()
    canvas = np.exp(strength * (1j * phase - 0.3 * np.abs(absorption)))
    corners = rng.integers(0, EXTENT, (n, 2))
    exit_waves = np.stack([probe * canvas[y : y + N, x : x + N] for y, x in corners])
    intensity = np.abs(np.fft.fftshift(np.fft.fft2(exit_waves), axes=(-2, -1))) ** 2
    return np.asarray(intensity / intensity.sum(axis=(1, 2)).mean())


def make_case(seed: int, *, corrected: bool = False, noisy: bool = True, rounded: bool = False) -> MeasurementCase:
    """Return patterns of a dose from 10 to 10⁹ photons, after what beamstops, detectors, binning and scaling do.

    Parameters
    ----------
    seed
        Of everything; even seeds give intensity, odd ones amplitude.
    corrected
        Also apply a gain map, a background, a monitor or readout noise, which leave no whole multiple of one count.
    noisy
        Draw counts; False leaves the mean intensity, as simulations without noise do.
    rounded
        Save decimals, or the levels of an 8 or 16 bit image, of what the largest value is 1 of.
    """
    rng = np.random.default_rng(seed)
    truth: Measurement = "amplitude" if seed % 2 else "intensity"
    N, n = int(rng.choice([32, 64])), int(rng.choice([16, 32]))
    dose = 10 ** rng.uniform(1, 9)
    mean = far_field_intensity(rng, N=N, n=n, strength=float(rng.choice([0.3, 1.0, 2.0]))) * dose
    counts = rng.poisson(mean).astype(np.float64) if noisy else mean
    counts, done = _masked(counts, rng)
    if corrected:
        name = str(rng.choice(["gain", "background", "monitor", "noise"]))
        counts, done = _corrected(counts, name, rng), [*done, name]
    values = np.sqrt(counts) if truth == "amplitude" else counts
    if truth == "amplitude":
        done.append("square root")
    name, scale = _scale(values, rng)
    dtype = str(rng.choice(["f4", "f8"]))
    values, done = values * scale, [*done, name] if name else done
    if rounded:
        levels = float(rng.choice([255, 1000, 10_000, 65_535]))
        values = np.round(values / max(values.max(), 1e-300) * levels) / levels
        done = [*done, f"{levels:.0f} levels"]
    return MeasurementCase(patterns=values.astype(dtype), measurement=truth, dose=dose, done=tuple(done))


def _masked(
    counts: Float64[np.ndarray, "n N N"], rng: np.random.Generator
) -> tuple[Float64[np.ndarray, "n M M"], list[str]]:
    """Put in a beamstop and dead pixels, crop and bin, each in some cases."""
    N, done = counts.shape[-1], []
    if rng.random() < 0.3:
        stop = slice(N // 2 - N // 8, N // 2 + N // 8)
        counts[:, stop, stop] = 0
        done.append("beamstop")
    if rng.random() < 0.3:
        counts[:, rng.integers(0, N, 8), rng.integers(0, N, 8)] = 0
        done.append("dead pixels")
    if rng.random() < 0.25:
        counts = counts[:, N // 4 : -N // 4, N // 4 : -N // 4]
        done.append("crop")
    if rng.random() < 0.25:
        n, side = len(counts), counts.shape[-1]
        counts = counts.reshape(n, side // 2, 2, side // 2, 2).sum(axis=(2, 4))
        done.append("binning")
    return counts, done


def _corrected(
    counts: Float64[np.ndarray, "n N N"], name: str, rng: np.random.Generator
) -> Float64[np.ndarray, "n N N"]:
    gain, flux = np.ones(counts.shape[1:]), np.ones((len(counts), 1, 1))
    added: Float64[np.ndarray, "n N N"] = np.zeros_like(counts)
    if name == "gain":
        gain = rng.normal(1, 0.05, gain.shape).clip(0.5)
    elif name == "monitor":
        flux = rng.normal(1, 0.05, flux.shape).clip(0.5)
    elif name == "noise":
        added = rng.normal(0, 0.3, counts.shape)
    else:
        gain, added = rng.normal(1, 0.02, gain.shape), added - 0.3
    changed: Float64[np.ndarray, "n N N"] = np.maximum(counts * gain / flux + added, 0)
    return changed


def _scale(values: Float64[np.ndarray, "n N N"], rng: np.random.Generator) -> tuple[str, float | np.ndarray]:
    """Choose a factor: none, or one that normalises, or that a detector's gain would give."""
    largest, energy = max(values.max(), 1e-9), max(np.square(values).sum(axis=(1, 2)).mean(), 1e-9)
    each = values.max(axis=(1, 2), keepdims=True)
    names = ("", "largest 1", "mean 1", "gain", "unit energy", "each largest 1")
    chosen = str(rng.choice(names, p=[0.3, 0.15, 0.15, 0.15, 0.15, 0.1]))
    factors: dict[str, float | np.ndarray] = {
        "": 1.0,
        "largest 1": 1 / largest,
        "mean 1": 1 / max(values.mean(), 1e-9),
        "gain": float(rng.uniform(0.1, 30)),
        "unit energy": 1 / np.sqrt(energy),
        "each largest 1": 1 / np.where(each > 0, each, 1),
    }
    return chosen, factors[chosen]
