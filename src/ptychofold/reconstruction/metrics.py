"""How far two objects, or a model and its measurement, are apart.

Objects are compared after `align`; R needs no truth. Definitions and defaults follow ``ptychodus.api.metrics``, whose
values these equal on the same inputs.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Complex, Complex64, Float, Float64, Inexact, Int64, Integer

from ptychofold.errors import ConfigError, ShapeError
from ptychofold.optional import require
from ptychofold.physics import ForwardModel, Geometry
from ptychofold.raw_data import RawData

__all__ = [
    "RingCorrelation",
    "fourier_ring_correlation",
    "mean_absolute_error",
    "phase_error",
    "psnr",
    "relative_error",
    "root_mean_square_error",
    "scan_r_factor",
    "ssim",
]

PATTERNS_TOGETHER = 1 << 21
"""Pixels of patterns and modes that are modelled in one step."""
ROUNDING = 1e-12
"""Share of an image's sum below which a ring of its spectrum is empty."""


class _Progress(Protocol):
    def __call__(self, steps: int, /) -> object: ...


def scan_r_factor(
    scan: RawData,
    canvas: Complex64[np.ndarray, "H W"],
    probe: Complex64[np.ndarray, "mode N N"],
    positions: Float64[np.ndarray, "scan 2"],
    *,
    geometry: Geometry | None = None,
    rows: Integer[np.ndarray, " n"] | None = None,
    progress: _Progress | None = None,
) -> float:
    """Return ``R = Σ |A - √n| / Σ √n`` over the good pixels of patterns, of an object and a probe.

    Parameters
    ----------
    scan
        What was measured.
    canvas
        (H, W), the object.
    probe
        (mode, N, N).
    positions
        (scan, 2), (y, x) in pixels of the object.
    geometry
        Propagation; what the scan states if None.
    rows
        Scan points that count; all if None.
    progress
        Told the number of patterns done.
    """
    model = ForwardModel(torch.tensor(probe), propagator=(geometry or Geometry.of_scan(scan.metadata)).propagator())
    object_, at = torch.tensor(canvas), torch.tensor(positions)
    chosen = np.arange(len(scan)) if rows is None else rows.astype(np.int64)
    bad = None if scan.bad_pixels is None else torch.tensor(scan.bad_pixels)
    error = total = 0.0
    step = max(1, PATTERNS_TOGETHER // probe.size)
    with torch.no_grad():
        for start in range(0, len(chosen), step):
            part = chosen[start : start + step]
            measured = torch.from_numpy(scan.amplitude(part))
            difference = model.from_object(object_, at[part]).sub_(measured).abs_()
            if bad is not None:
                difference, measured = difference.masked_fill_(bad, 0), measured.masked_fill(bad, 0)
            error += float(difference.sum(dtype=torch.float64))
            total += float(measured.sum(dtype=torch.float64))
            if progress is not None:
                progress(len(part))
    return error / total


def psnr(
    test: Float[np.ndarray, "H W"], reference: Float[np.ndarray, "h w"], *, data_range: float | None = None
) -> float:
    """Return the peak signal-to-noise ratio in dB, ``10 log10(range² / MSE)``, by scikit-image; NaN without a range.

    Parameters
    ----------
    test, reference
        (H, W), real, such as phases after `align`.
    data_range
        Of the values; largest minus smallest of the reference if None.
    """
    _check_same(test, reference)
    wide = float(np.ptp(reference)) if data_range is None else data_range
    if wide == 0:
        return float("nan")
    if np.array_equal(test, reference):
        return float("inf")
    metrics = require("skimage.metrics", extra="plot")
    return float(metrics.peak_signal_noise_ratio(reference, test, data_range=wide))


def ssim(
    test: Float[np.ndarray, "H W"], reference: Float[np.ndarray, "h w"], *, data_range: float | None = None
) -> float:
    """Return the structural similarity of two real images by scikit-image, with windows of 7²; see `psnr`."""
    _check_same(test, reference)
    wide = float(np.ptp(reference)) if data_range is None else data_range
    if wide == 0:
        return float("nan")
    metrics = require("skimage.metrics", extra="plot")
    return float(metrics.structural_similarity(reference, test, data_range=wide))


def root_mean_square_error(test: Inexact[np.ndarray, "H W"], reference: Inexact[np.ndarray, "h w"]) -> float:
    """Return ``√(mean |test - reference|²)``."""
    _check_same(test, reference)
    return float(np.sqrt(np.mean(np.abs(test - reference) ** 2)))


def mean_absolute_error(test: Inexact[np.ndarray, "H W"], reference: Inexact[np.ndarray, "h w"]) -> float:
    """Return ``mean |test - reference|``."""
    _check_same(test, reference)
    return float(np.mean(np.abs(test - reference)))


def relative_error(test: Inexact[np.ndarray, "H W"], reference: Inexact[np.ndarray, "h w"]) -> float | None:
    """Return ``Σ |test - reference| / Σ |reference|``; None if the reference is zero everywhere."""
    _check_same(test, reference)
    total = float(np.abs(reference).sum())
    return float(np.abs(test - reference).sum()) / total if total else None


def phase_error(test: Complex[np.ndarray, "H W"], reference: Complex[np.ndarray, "h w"]) -> float:
    """Return the mean absolute difference of phases in radians, wrapped, of two aligned objects."""
    _check_same(test, reference)
    return float(np.abs(np.angle(test * reference.conj())).mean())


@dataclass(frozen=True, kw_only=True, eq=False)
class RingCorrelation:
    """Correlation of two images on rings of spatial frequency."""

    frequency: Float64[np.ndarray, " ring"]
    """Inner edge of each ring in cycles a pixel; 0.5 is the last that every direction has."""
    correlation: Float64[np.ndarray, " ring"]
    """-1 to 1; NaN for a ring without light."""
    n_pixels: Int64[np.ndarray, " ring"]
    """Fourier pixels of each ring."""

    def bit_threshold(self, bits: float = 0.5) -> Float64[np.ndarray, " ring"]:
        """Return what a ring must exceed to hold ``bits`` of information a pixel (van Heel and Schatz, 2005).

        With ``σ = (2^bits - 1)/2``, the share of signal to noise in each half,
        ``(σ + (2√σ + 1)/√n) / (σ + 1 + 2√σ/√n)``; NaN for an empty ring.
        """
        ratio = 0.5 * (2.0**bits - 1)
        with np.errstate(divide="ignore"):
            spread = np.where(self.n_pixels > 0, 1 / np.sqrt(self.n_pixels.astype(np.float64)), np.nan)
        root = 2 * np.sqrt(ratio)
        return np.asarray((ratio + (root + 1) * spread) / (ratio + 1 + root * spread))

    def snr(self) -> Float64[np.ndarray, " ring"]:
        """Return the spectral signal-to-noise ratio of the mean image, ``2 c / (1 - c)``, at least 0."""
        signal = np.clip(self.correlation, 0, None)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(signal < 1, 2 * signal / (1 - signal), np.where(signal >= 1, np.inf, np.nan)))

    def resolution(self, *, bits: float | None = None, snr: float | None = None) -> float | None:
        """Return the period in pixels at which the correlation first falls below a threshold; None if it never does.

        Rings below it before any is above do not count: the lowest hold a few pixels and what is left of a ramp. So
        there is none either if the correlation is below it all along, see `exceeds`.

        Parameters
        ----------
        bits
            Threshold by information, such as 0.5.
        snr
            Threshold by `snr`, such as 1.

        Raises
        ------
        ConfigError
            If not exactly one of them is given.
        """
        above = self._above(bits=bits, snr=snr)
        falls = np.flatnonzero((above[:-1] >= 0) & (above[1:] < 0))
        if not len(falls):
            return None
        last, ring = int(falls[0]), int(falls[0]) + 1
        share = above[last] / (above[last] - above[ring])
        return float(1 / (self.frequency[last] + share * (self.frequency[ring] - self.frequency[last])))

    def exceeds(self, *, bits: float | None = None, snr: float | None = None) -> bool:
        """Return whether most rings with light are above a threshold; see `resolution`, and its errors.

        Where nothing correlates, a last ring of a few pixels may still be above by chance.
        """
        above = self._above(bits=bits, snr=snr)
        return bool(2 * np.count_nonzero(above >= 0) > np.isfinite(above).sum())

    def _above(self, *, bits: float | None, snr: float | None) -> Float64[np.ndarray, " ring"]:
        if (bits is None) == (snr is None):
            raise ConfigError(f"expected a threshold by bits or by snr; found bits={bits} and snr={snr}. Give one.")
        threshold = np.full(len(self.frequency), 0.0 if snr is None else snr / (snr + 2))
        return np.asarray(self.correlation - (threshold if bits is None else self.bit_threshold(bits)))


def fourier_ring_correlation(
    first: Inexact[np.ndarray, "H W"], second: Inexact[np.ndarray, "h w"], *, taper: float = 0.2
) -> RingCorrelation:
    """Correlate two aligned images ring by ring, ``Σ Re F₁ conj(F₂) / √(Σ |F₁|² Σ |F₂|²)``.

    The mean is taken out first, and the border tapered, so that neither the background nor the frame correlates.

    Parameters
    ----------
    first, second
        (H, W), real or complex, of square pixels.
    taper
        Share of each axis over which a cosine falls to the border, both ends together; 0 does not taper.
    """
    _check_same(first, second)
    height, width = first.shape
    window = np.multiply.outer(_tukey(height, taper), _tukey(width, taper))
    spectra = [np.fft.fft2((image - (image * window).sum() / window.sum()) * window) for image in (first, second)]
    # what rounding leaves of a mean that was taken out is no light
    rounding = [(ROUNDING * float(np.abs(image * window).sum())) ** 2 for image in (first, second)]
    y, x = np.fft.fftfreq(height), np.fft.fftfreq(width)
    radius = np.hypot(y[:, None], x).ravel()
    inside = radius <= 0.5 * (1 + 1e-9)
    inside[0] = False
    step = max(abs(y[1]), abs(x[1]))
    # edges are exact multiples of the step only in real arithmetic
    ring = np.floor(radius[inside] / step + 1e-9).astype(np.int64)
    a, b = (spectrum.ravel()[inside] for spectrum in spectra)
    cross = np.bincount(ring, a.real * b.real + a.imag * b.imag)
    powers = [np.bincount(ring, np.abs(values) ** 2) for values in (a, b)]
    lit = (powers[0] > rounding[0]) & (powers[1] > rounding[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.where(lit, cross / np.sqrt(powers[0] * powers[1]), np.nan)
    return RingCorrelation(
        frequency=np.arange(len(cross)) * step,
        correlation=np.clip(correlation, -1, 1),
        n_pixels=np.bincount(ring),
    )


def _tukey(length: int, taper: float) -> Float64[np.ndarray, " length"]:
    from scipy.signal.windows import tukey

    return np.asarray(tukey(length, taper), np.float64)


def _check_same(first: np.ndarray, second: np.ndarray) -> None:
    if first.shape != second.shape:
        raise ShapeError(f"expected images of one shape; found {first.shape} and {second.shape}. Use align() first.")
