"""Amplitude is told by its bandwidth where the detector samples finely enough, and only there."""

import numpy as np
import pytest

from ptychofold.errors import DomainError
from ptychofold.measurement import ExitEnergy, decide_measurement
from ptychofold.measurement.bandwidth import only_squares_are_limited


def _intensity(*, width: float, N: int = 64) -> np.ndarray:
    """Return far-field intensities of random phase under a round probe of a width, as a share of the window."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:N, :N] - N / 2
    probe = np.exp(-(row**2 + column**2) / (2 * (width * N) ** 2))
    exit_waves = probe * np.exp(1j * rng.normal(size=(12, N, N)))
    return np.abs(np.fft.fftshift(np.fft.fft2(exit_waves), axes=(-2, -1))) ** 2


def test_the_bandwidth_tells_amplitude_from_intensity_whatever_the_pixels_gains_and_dead_pixels_are() -> None:
    intensity = _intensity(width=0.06)
    flux = np.random.default_rng(1).normal(1, 0.1, (12, 1, 1))
    dead = np.ones((64, 64))
    dead[:, 20] = 0
    for kept in (intensity, intensity * flux, intensity * dead, intensity[:, 8:, :50]):
        assert only_squares_are_limited(np.sqrt(kept))
        assert not only_squares_are_limited(kept)


def test_patterns_that_are_sampled_too_coarsely_or_hardly_lit_tell_nothing() -> None:
    coarse = _intensity(width=0.4)
    few = np.zeros_like(coarse)
    few[:, :10, :10] = coarse[:, :10, :10]
    for patterns in (coarse, np.sqrt(coarse), few, np.sqrt(few), np.zeros((4, 32, 32))):
        assert not only_squares_are_limited(patterns)


def test_amplitude_without_counts_is_answered_and_smooth_patterns_that_may_be_amplitude_are_not() -> None:
    intensity = _intensity(width=0.06)
    found, why = decide_measurement(np.sqrt(intensity).astype(np.float32))
    assert found == "amplitude"
    assert "limited in bandwidth" in why
    with pytest.raises(DomainError, match="cannot tell"):
        decide_measurement(intensity)
    smoothed = np.sqrt(intensity)
    for axis in (1, 2):
        for _ in range(6):
            smoothed = (smoothed + np.roll(smoothed, 1, axis)) / 2
    with pytest.raises(DomainError, match="cannot tell"):
        decide_measurement(smoothed)


def test_a_bandwidth_against_the_energy_of_the_exit_waves_or_against_counts_is_refused() -> None:
    amplitude = np.sqrt(_intensity(width=0.06))
    energy = ExitEnergy(value=float(amplitude.sum(axis=(1, 2)).mean()), exact=True)
    with pytest.raises(DomainError, match=r"limited in bandwidth.*, but also patterns that sum to the energy"):
        decide_measurement(amplitude, exit_energy=energy)
    levels = np.round(amplitude / amplitude.max() * 77_777) * 1.2345
    with pytest.raises(DomainError, match="as counts are, but only the squares of the patterns are limited"):
        decide_measurement(levels)
