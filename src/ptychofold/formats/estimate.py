"""A first probe for a scan that has none: the wave at the sample that belongs to the mean pattern."""

from pathlib import Path

import numpy as np
from jaxtyping import Complex64, Complex128, Float64

from ptychofold.config import ScanGeometry
from ptychofold.errors import MissingFieldError, ShapeError
from ptychofold.formats.decided import decided_measurement
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.origins import check_rows
from ptychofold.typing import ArraySource, Measurement, RequestedMeasurement
from ptychofold.validation import check_patterns_shape

__all__ = ["estimated_probe", "mean_intensity"]

BLOCK_BYTES = 1 << 23


def estimated_probe(
    found: ScanFields,
    geometry: ScanGeometry,
    *,
    pixel_size_m: tuple[float, float] | None,
    measurement: RequestedMeasurement = "auto",
) -> Complex64[np.ndarray, "1 N N"]:
    """Return the wave whose intensity on the detector is the scan's mean pattern, with a flat phase there.

    In the far field that is the inverse transform of √mean, focused, or defocused by ``geometry.defocus_m``; in the
    near field √mean propagated back by the effective distance. Bad pixels count as dark. The power is that of the mean
    pattern.

    Raises
    ------
    MissingFieldError
        If there are no patterns, or the propagation lacks a wavelength, a distance or a pixel size.
    DataError
        If the patterns are none that a scan may have, or the mask of bad pixels has another shape than the frames.
    """
    if found.patterns is None:
        raise MissingFieldError(
            "expected patterns to estimate a probe from; found none.", path=found.path, field="probe"
        )
    check_patterns_shape(found.patterns.shape, found.patterns.dtype, path=found.path)
    decided, _ = decided_measurement(found, found.patterns, requested=measurement)
    mean = mean_intensity(found.patterns, measurement=decided, path=found.path)
    if found.bad_pixels is not None:
        if found.bad_pixels.shape != mean.shape:
            raise ShapeError(
                f"expected bad_pixels of the frames' shape {mean.shape}; found {found.bad_pixels.shape}. Supply a mask "
                "that fits by --bad-pixels.",
                path=found.path,
                field="bad_pixels",
            )
        mean = np.where(found.bad_pixels, 0.0, mean)
    wave = np.fft.ifftshift(np.sqrt(mean))
    if geometry.field == "near_field":
        spectrum = np.fft.fft2(wave) * _transfer(found, geometry, -(geometry.effective_distance_m or 0.0), pixel_size_m)
        probe = np.fft.ifft2(spectrum)
    else:
        spectrum = wave * wave.size**0.5
        if geometry.defocus_m:
            spectrum = spectrum * _transfer(found, geometry, geometry.defocus_m, pixel_size_m)
        probe = np.fft.ifft2(spectrum)
    return np.fft.fftshift(probe)[None].astype(np.complex64)


def _transfer(
    found: ScanFields, geometry: ScanGeometry, distance_m: float, pixel_size_m: tuple[float, float] | None
) -> Complex128[np.ndarray, "N N"]:
    """Return exp(-i π λ z |k|²), which moves a wave downstream by z."""
    wavelength_m = geometry.wavelength
    if wavelength_m is None or pixel_size_m is None or not distance_m or found.patterns is None:
        missing = {"wavelength_m": wavelength_m, "pixel_size_m": pixel_size_m, "distance_m": distance_m or None}
        names = ", ".join(name for name, value in missing.items() if value is None)
        raise MissingFieldError(
            f"expected {names} to propagate the estimated probe; found none. Supply --energy-ev, --distance-m, "
            "--detector-pixel-m and, behind a focus, --focus-m.",
            path=found.path,
            field="probe",
        )
    rows, columns = found.patterns.shape[1:]
    ky, kx = np.fft.fftfreq(rows, pixel_size_m[0])[:, None], np.fft.fftfreq(columns, pixel_size_m[1])[None]
    transfer: np.ndarray = np.exp(-1j * np.pi * wavelength_m * distance_m * (ky**2 + kx**2))
    return transfer


def mean_intensity(
    patterns: ArraySource, *, measurement: Measurement, path: Path | None = None
) -> Float64[np.ndarray, "N N"]:
    """Return the mean intensity of all patterns, read a block at a time.

    Raises
    ------
    DomainError
        If a pattern holds a negative or a non-finite number; the message names its row in the file.
    """
    n_scan, frame = patterns.shape[0], patterns.shape[1:]
    total = np.zeros(frame)
    step = max(1, BLOCK_BYTES // max(1, int(np.prod(frame)) * 8))
    for start in range(0, n_scan, step):
        rows = np.arange(start, min(start + step, n_scan))
        stored = patterns.read(slice(start, start + len(rows)))
        check_rows(stored, source=patterns, rows=rows, path=path)
        block = stored.astype(np.float64)
        total += (block if measurement == "intensity" else block**2).sum(axis=0)
    return total / max(1, n_scan)
