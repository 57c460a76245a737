"""Survey: what a scan measured, in numbers and in warnings, from one pass over its patterns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from ptychofold.conventions import intensity_from_amplitude
from ptychofold.coverage import (
    EDGE,
    coverage_map,
    linear_overlap,
    median_step,
    probe_diameter,
    probe_footprint,
    scan_field,
)
from ptychofold.errors import DomainError
from ptychofold.formats.origins import check_rows
from ptychofold.raw_data import RawData
from ptychofold.validation import check_not_dark

__all__ = ["PatternSummary", "Survey", "summarise_patterns", "survey"]

CHUNK_BYTES = 8 << 20
"""Stored bytes that are read in one step."""
LEAST_OVERLAP = 0.6
"""Linear overlap below which phase retrieval is known to become ambiguous (Bunk et al., Ultramicroscopy 108, 2008)."""

Progress = Callable[[int], None]
"""Called with the number of patterns that were read since the last call."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PatternSummary:
    """Sums over the patterns of a scan, bad pixels left out; intensities, whatever the file stores."""

    dose: Float64[np.ndarray, " scan"]
    """Σ intensity of each pattern."""
    mean: Float64[np.ndarray, "N N"]
    """Mean intensity of each pixel; 0 where bad."""
    largest: float
    """Largest stored value."""
    n_largest: int
    """Times that it occurs."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a scan measured; lengths in object pixels."""

    dose_median: float
    """Median Σ intensity of a pattern."""
    dose_range: tuple[float, float]
    """Smallest and largest Σ intensity of a pattern."""
    largest: float
    """Largest stored value of the patterns."""
    probe_diameter: float
    """d90: diameter of the disc as large as the pixels that hold 90 % of the probe's power."""
    mode_powers: tuple[float, ...]
    """Share of each probe mode in the power."""
    step: float | None
    """Median distance to the nearest neighbor; None for a single scan point."""
    overlap: float | None
    """1 − step / d90; None for a single scan point."""
    extent: tuple[float, float]
    """Height and width of the box around the positions."""
    covered: float | None
    """Share of that box lit by at least one probe (d90); None if the box is too large to map."""
    probes_per_pixel: float | None
    """Median number of probes over a pixel of that box."""
    warnings: tuple[str, ...]
    """What looks wrong or needs care, a sentence each."""


def summarise_patterns(scan: RawData, *, progress: Progress | None = None) -> PatternSummary:
    """Read every pattern once, a few megabytes at a time.

    Parameters
    ----------
    scan
        The scan.
    progress
        Told how many patterns each step has read.

    Raises
    ------
    DomainError
        If a pattern holds a negative or non-finite number, or all are dark.
    """
    source, good = scan.patterns, None if scan.bad_pixels is None else ~scan.bad_pixels
    dose, total = np.empty(len(scan)), np.zeros((scan.N, scan.N))
    largest, n_largest = -np.inf, 0
    for rows in _chunks(scan):
        stored = source.read(rows)
        check_rows(stored, source=source, rows=np.arange(rows.start, rows.stop), path=scan.path)
        if good is not None:
            stored = stored * good
        intensity = stored if scan.measurement == "intensity" else intensity_from_amplitude(stored)
        dose[rows] = intensity.sum(axis=(1, 2), dtype=np.float64)
        total += intensity.sum(axis=0, dtype=np.float64)
        peak = float(stored.max())
        if peak >= largest:
            n_largest = int((stored == peak).sum()) + (n_largest if peak == largest else 0)
            largest = peak
        if progress is not None:
            progress(len(stored))
    check_not_dark(dose, path=scan.path)
    return PatternSummary(dose=dose, mean=total / len(scan), largest=largest, n_largest=n_largest)


def survey(scan: RawData, summary: PatternSummary | None = None) -> Survey:
    """Measure a scan: dose, probe, step, overlap, coverage, and what looks wrong.

    Parameters
    ----------
    scan
        The scan.
    summary
        Its `summarise_patterns`, if there is one already.
    """
    found = summarise_patterns(scan) if summary is None else summary
    powers = (np.abs(scan.probe.astype(np.complex128)) ** 2).sum(axis=(1, 2))
    diameter, step = probe_diameter(scan.probe), median_step(scan.positions)
    extent = np.ptp(scan.positions, axis=0)
    counts = _probes_in_field(scan)
    return Survey(
        dose_median=float(np.median(found.dose)),
        dose_range=(float(found.dose.min()), float(found.dose.max())),
        largest=found.largest,
        probe_diameter=diameter,
        mode_powers=tuple((powers / powers.sum()).tolist()),
        step=step if len(scan) > 1 else None,
        overlap=linear_overlap(step, diameter) if len(scan) > 1 else None,
        extent=(float(extent[0]), float(extent[1])),
        covered=None if counts is None else float((counts > 0.5).mean()),
        probes_per_pixel=None if counts is None else float(np.median(counts)),
        warnings=(*_position_warnings(scan, diameter, step), *_pattern_warnings(scan, found)),
    )


def _chunks(scan: RawData) -> Iterator[slice]:
    step = max(1, CHUNK_BYTES // (scan.N**2 * scan.patterns.dtype.itemsize))
    return (slice(start, min(start + step, len(scan))) for start in range(0, len(scan), step))


def _probes_in_field(scan: RawData) -> np.ndarray | None:
    """Count the probes over each pixel of the box around the positions."""
    first = np.floor(scan.positions.min(axis=0))
    shape = tuple((np.ptp(np.floor(scan.positions), axis=0) + 1).astype(int).tolist())
    try:
        return coverage_map(scan.positions - first, probe_footprint(scan.probe), shape)
    except DomainError:
        return None


def _position_warnings(scan: RawData, diameter: float, step: float) -> Iterator[str]:
    extent = np.ptp(scan.positions, axis=0)
    n_different = len(np.unique(scan.positions, axis=0))
    if n_different == 1 and len(scan) > 1:
        yield f"All {len(scan)} positions are identical: nothing was scanned, or the wrong data set was read."
    elif n_different < len(scan):
        yield f"{len(scan) - n_different} of {len(scan)} positions repeat another one exactly."
    if n_different > 1 and extent.max() < 1:
        size = scan.metadata.pixel_size_m
        yield f"The positions span {extent.max():.3g} pixels: their unit may be metres, not object pixels" + (
            "." if size is None else f"; or the pixel, {1e9 * max(size):.4g} nm, is wrong: energy, distance, detector."
        )
    if n_different > 1 and 1 - step / diameter < LEAST_OVERLAP:
        yield (
            f"Neighboring probes overlap by {max(0.0, 1 - step / diameter):.0%} (step {step:.1f} px, probe d90 "
            f"{diameter:.1f} px); phase retrieval usually needs {LEAST_OVERLAP:.0%} or more."
        )
    if scan.object is not None:
        yield from _object_warnings(scan, scan.object.shape)


def _object_warnings(scan: RawData, shape: tuple[int, ...]) -> Iterator[str]:
    low = scan.positions - scan.N // 2
    outside = ((low < -EDGE) | (low + scan.N > np.array(shape) + EDGE)).any(axis=1)
    if outside.any():
        height, width = scan_field(scan.positions, scan.N)
        yield (
            f"The object of {shape[0]} × {shape[1]} pixels does not hold the patches of {int(outside.sum())} positions "
            f"(they need {height} × {width} from the first pixel on): patches are zero outside the object."
        )


def _pattern_warnings(scan: RawData, found: PatternSummary) -> Iterator[str]:
    n_dark = int((found.dose == 0).sum())
    if n_dark:
        yield f"{n_dark} of {len(scan)} patterns are dark (every pixel is zero)."
    if _is_saturated(scan.patterns.dtype, found.largest, found.n_largest, len(scan)):
        yield f"The largest value, {found.largest:g}, occurs {found.n_largest} times: the detector may be saturated."
    if _is_unshifted(found.mean):
        yield "Most of the intensity lies at the corners of the mean pattern: the frames may need an fftshift."
    median = float(np.median(found.dose))
    if scan.metadata.n_photons is not None and not 0.5 < median / scan.metadata.n_photons < 2:
        yield (
            f"The file records {scan.metadata.n_photons:.3g} photons a pattern, but the patterns sum to {median:.3g}: "
            "they are scaled, or the record is wrong."
        )


def _is_saturated(dtype: np.dtype, largest: float, n_largest: int, n_scan: int) -> bool:
    """Whether many pixels stop at the largest value, or some at the last value that the dtype holds."""
    if dtype.kind in "ui" and largest == np.iinfo(dtype).max:
        return True
    return largest > 1 and n_largest > max(20, n_scan)


def _is_unshifted(mean: Float64[np.ndarray, "N N"]) -> bool:
    """Whether the middle quarter of the mean pattern holds less than the corners' quarter, by far."""
    n, quarter = len(mean), len(mean) // 4
    middle = slice(quarter, n - quarter)
    in_middle = float(mean[middle, middle].sum())
    in_corners = float(np.fft.fftshift(mean)[middle, middle].sum())
    return in_corners > 4 * in_middle


def median_pattern(summary: PatternSummary) -> int:
    """Return the scan point whose dose is the median: a typical pattern."""
    order: Int64[np.ndarray, " scan"] = np.argsort(summary.dose, kind="stable")
    return int(order[len(order) // 2])
