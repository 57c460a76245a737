"""What speaks against patterns being amplitudes, where no value is a whole multiple of one count.

Corrections (gain, background, a monitor, readout noise) leave no whole multiples, but they leave the physics:

- The illumination's energy: Σ A² of a pattern is Σ |P·O|² of the exit wave that the file's own probe and object give
  (a unitary transform keeps it). Where Σ of the stored numbers agrees instead, they are intensities.
- Photon noise: the variance of an intensity grows as its mean, that of its square root does not (Anscombe, Biometrika
  35, 1948). Noise is told from the speckle by its whiteness: neighboring pixels share speckle, not noise.
- Conservation of energy: an object that mostly shifts the phase leaves Σ A² of all patterns alike, while the sum of
  the squares of intensities follows how widely each pattern is spread.
- Fully developed speckle has contrast² 1 in intensity and 4/π − 1 = 0.27 in amplitude (Goodman, Speckle Phenomena in
  Optics, 2nd ed., chapter 3).
- Bandwidth: the Fourier transform of a far-field intensity is the autocorrelation of the exit wave and vanishes beyond
  twice its extent, which that of its square root does not.

None of it proves that patterns are amplitudes: a probe may be scaled to anything, an object may absorb.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from ptychofold.measurement.bandwidth import FAR

__all__ = ["ExitEnergy", "contradiction_of_amplitude"]

_AGREEING = 1.5
"""Largest ratio of two energies that agree."""
_APART = 2.0
"""Least ratio of two energies that disagree."""
_WHITE = 0.95
"""Least ratio of a mixed difference's variance to that of first differences where noise alone is left; 1 for noise."""
_LEAST_SNR = 4.0
"""Least mean² over variance; below it amplitudes of single photons behave as intensities."""
_MIN_QUADS = 100
"""Noisy places below which no exponent is fitted."""
_NOISE_EXPONENTS = (0.7, 1.6)
"""Exponents of variance against mean that are an intensity's: 1 for photons, more where speckle is left."""
_FLUCTUATION_LIMIT = 4.0
"""Relative spread of Σ x² over that of Σ x above which x is an intensity; a common factor alone gives 2."""
_CONTRAST_LIMIT = 0.6
"""Contrast² of the brightest quarter above which patterns are not amplitudes."""
_BAND_LIMIT = 0.05
"""Ratio of energies at the largest lags, patterns to their squares, below which patterns are not amplitudes."""

_LEAST_TRANSMISSION = 0.2
"""Share of the probe's light that an unknown object lets through at least, on average."""

_Patterns = Float64[np.ndarray, "n H W"]


@dataclass(frozen=True, kw_only=True)
class ExitEnergy:
    """Σ |P·O|² of the exit waves of some patterns, their mean, or what bounds it."""

    value: float
    """The energy; that of the probe alone where the object is unknown."""
    exact: bool
    """Whether the object is known."""

    def misfit(self, patterns: _Patterns) -> float:
        """Return by which factor, at least 1, the mean sum of patterns is off; NaN if there is no energy."""
        if not 0 < self.value < np.inf:
            return np.nan
        ratio = float(patterns.sum()) / len(patterns) / self.value
        return max(ratio, (1 if self.exact else _LEAST_TRANSMISSION) / ratio, 1.0)


def contradiction_of_amplitude(values: _Patterns, *, exit_energy: ExitEnergy | None = None) -> str:
    """Say what contradicts that patterns are amplitudes; empty if nothing does.

    Parameters
    ----------
    values
        Some patterns, not negative, not all dark.
    exit_energy
        What the probe and the object beside the patterns say of their energy; None if nothing does.
    """
    return next(filter(None, _contradictions(values, exit_energy)), "")


def _contradictions(values: _Patterns, exit_energy: ExitEnergy | None) -> Iterator[str]:
    energy = exit_energy or ExitEnergy(value=np.nan, exact=False)
    of_values, of_squares = energy.misfit(values), energy.misfit(np.square(values))
    if of_values < _AGREEING and of_squares > _APART:
        known = "probe and object" if energy.exact else "probe"
        yield f"patterns that sum to the energy of the {known} beside them, as intensity does"
    exponent = _noise_exponent(values)
    if _NOISE_EXPONENTS[0] < exponent < _NOISE_EXPONENTS[1]:
        yield f"noise whose variance grows as the mean to the power {exponent:.1f}, as that of intensity does"
    if len(values) < 4:
        yield _band_contradiction(values)
        return
    if (ratio := _fluctuation_ratio(values)) > _FLUCTUATION_LIMIT:
        yield f"sums over each pattern that are {ratio:.0f} times steadier than those of its squares, as of intensity"
    confirmed = of_squares < _AGREEING and of_values > _APART
    if not confirmed and (contrast := _bright_contrast(values)) > _CONTRAST_LIMIT:
        yield f"bright pixels with a contrast² of {contrast:.2f} over the scan, which is that of intensity"
    yield _band_contradiction(values)


def _noise_exponent(values: _Patterns) -> float:
    """Return d log variance / d log mean over the places where noise alone changes from pattern to pattern.

    What does not change (gain, flat field, the mean pattern) is no part of the variances, and differences of neighbors
    leave out what they share.
    """
    if len(values) < 8:
        return np.nan
    a, b, c, d = values[:, :-1, :-1], values[:, :-1, 1:], values[:, 1:, :-1], values[:, 1:, 1:]
    mean = (a + b + c + d).mean(axis=0) / 4
    mixed = (a - b - c + d).var(axis=0) / 4
    first = sum(difference.var(axis=0) for difference in (a - b, c - d, a - c, b - d)) / 8
    noisy = (mixed > _WHITE * first) & (np.square(mean) > _LEAST_SNR * mixed) & (mixed > 0)
    if noisy.sum() < _MIN_QUADS:
        return np.nan
    x, y = np.log(mean[noisy]), np.log(mixed[noisy])
    return float(((x - x.mean()) * (y - y.mean())).sum() / np.square(x - x.mean()).sum()) if np.ptp(x) else np.nan


def _fluctuation_ratio(values: _Patterns) -> float:
    spreads = [sums.std() / sums.mean() for sums in (values.sum(axis=(1, 2)), np.square(values).sum(axis=(1, 2)))]
    return float(spreads[1] / spreads[0]) if spreads[0] > 0 else 0.0


def _bright_contrast(values: _Patterns) -> float:
    mean = values.mean(axis=0).ravel()
    bright = np.argsort(mean)[-max(1, len(mean) // 4) :]
    bright = bright[mean[bright] > 0]
    variance = values.var(axis=0).ravel()
    return float(np.median(variance[bright] / np.square(mean[bright]))) if len(bright) else 0.0


def _band_contradiction(values: _Patterns) -> str:
    limited = _band_ratio(values) < _BAND_LIMIT
    return "patterns that are limited in bandwidth, as intensity is and amplitude is not" if limited else ""


def _band_ratio(values: _Patterns) -> float:
    """Return the share of energy at the largest lags, divided by that of the squared patterns."""
    height, width = values.shape[1:]
    row, column = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
    far = np.maximum(np.abs(row), np.abs(column)) > FAR
    squares = np.square(values)

    def share(patterns: _Patterns) -> float:
        energy = np.square(np.abs(np.fft.fft2(patterns))).mean(axis=0)
        return float(energy[far].sum() / energy.sum())

    at_far, squared_at_far = share(values), share(squares)
    return at_far / squared_at_far if squared_at_far > 0 else np.inf
