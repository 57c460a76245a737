"""Checks of the patterns: what they are, their dose, and what is wrong with their pixels."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float64, Int64, Num, Shaped

from ptychofold.diagnosis.finding import Finding
from ptychofold.errors import DomainError
from ptychofold.measurement import contradiction_of_amplitude, decide_measurement
from ptychofold.preprocess.center import beam_center, sample_intensity
from ptychofold.preprocess.pixels import dead_pixels, hot_pixels
from ptychofold.preprocess.points import typical_dose
from ptychofold.raw_data import RawData
from ptychofold.reading import read_apart, spread_rows
from ptychofold.survey import PatternSummary

__all__ = ["lit_rows", "pattern_findings"]

SAMPLE_BYTES = 1 << 26
"""Bytes of float32 patterns that are looked at pixel by pixel."""
MOST_SAMPLED, LEAST_SAMPLED = 200, 16
"""Bounds of the number of such patterns."""
DIM_DOSE = 100.0
"""Counts in a pattern below which it says little."""
WEAK, STRONG = 0.3, 3.0
"""Share of the median dose below and above which a pattern is an outlier."""
OFF_CENTER = 0.03
"""Distance of the beam from the middle, as a share of N, above which it is off."""
DEAD_COUNTS = 20.0
"""Counts over the scan on the mirrored side that make a dark pixel dead."""
DEAD_SHARE, DEAD_LIMIT = 1e-3, 0.1
"""Share of the light that falls on dead areas: above the first mend it, above the second the scan is unfit."""
SATURATED_LIMIT = 0.1
"""Share of the patterns with saturated pixels above which the scan is unfit."""
LOWER_VALUES = 2
"""Distinct values below the largest that it is compared with."""
PILED_PIXELS, PILED_SIGMA = 5, 5.0
"""Pixels at the largest value, and standard deviations above the number at those values, that make a pile."""

DIM_PIXELS, LEAST_CHANGE = 0.1, 0.15
"""Share of the pixels, the dimmest, that tell a background; squared contrast below which they do not change."""
BACKGROUND_SHARE, LIGHT_SHARE = 0.01, 0.3
"""Light that a background as dim as they are would be: below the first it is no harm, above the second it is light."""


def lit_rows(summary: PatternSummary) -> Int64[np.ndarray, " lit"]:
    """Return the rows of a scan whose patterns are not far weaker than its others."""
    return np.flatnonzero(summary.dose >= WEAK * typical_dose(summary.dose))


def pattern_findings(scan: RawData, summary: PatternSummary) -> Iterator[Finding]:
    """Look at the measurement, access, dose, beam, saturation, and dead and hot pixels of a scan."""
    bytes_each = 4 * scan.N**2
    n_sampled = int(np.clip(SAMPLE_BYTES // bytes_each, LEAST_SAMPLED, MOST_SAMPLED))
    sample = sample_intensity(scan.patterns, scan.measurement, n_frames=n_sampled)
    good = np.ones((scan.N, scan.N), bool) if scan.bad_pixels is None else ~scan.bad_pixels
    hot = hot_pixels(sample * good) & good
    yield _measurement(scan)
    yield _access(scan)
    yield from _dose(scan, summary)
    yield _saturation(scan, sample, good & ~hot)
    yield _background(scan, sample, good & ~hot)
    yield _hot(hot)
    yield _dead(scan, summary, sample, good)
    yield _center(scan, summary, good & ~hot)


def _measurement(scan: RawData) -> Finding:
    """Compare what the patterns are taken as with what their numbers alone say."""
    taken, reason = scan.measurement, scan.metadata.measurement_reason
    sample: Shaped[np.ndarray, "n N N"] = read_apart(scan.patterns, spread_rows(len(scan), 64))
    other = "intensity" if taken == "amplitude" else "amplitude"
    try:
        told, why = decide_measurement(sample)
    except DomainError:
        told, why = taken, ""
        if taken == "amplitude" and (why := contradiction_of_amplitude(sample.astype(np.float64))):
            told, why = "intensity", f"they show {why}"
    if told != taken:
        return Finding(
            subject="measurement",
            level="no-go",
            says=f"taken as {taken} ({reason}), but {why}",
            fix=f"say --measurement {other}, or correct what the file declares",
        )
    if "neither confirm" in reason:
        return Finding(
            subject="measurement",
            level="fix",
            says=reason,
            fix=f"say --measurement {taken} if that is right, --measurement {other} if not",
        )
    return Finding(subject="measurement", level="go", says=f"{taken}: {reason}")


def _access(scan: RawData) -> Finding:
    """Say whether a read costs more than what it reads."""
    access = scan.patterns.access
    if "interleaved" in access or "whole member" in access:
        return Finding(
            subject="access",
            level="fix",
            says=f"frames are stored last, (N, N, scan): {access}; every read costs the whole array",
            fix="ptychofold ingest FILE -o DIR, and go on with the store",
        )
    return Finding(subject="access", level="go", says=access)


def _dose(scan: RawData, summary: PatternSummary) -> Iterator[Finding]:
    median = typical_dose(summary.dose)
    low, high = float(summary.dose.min()) / median, float(summary.dose.max()) / median
    says = f"{median:.4g} a pattern (median of lit ones), {low:.2g} to {high:.3g} times that over the scan"
    recorded = scan.metadata.n_photons
    if recorded is not None and not 0.5 < median / recorded < 2:
        yield Finding(
            subject="dose",
            level="fix",
            says=f"{says}; the file records {recorded:.4g} photons: the patterns are scaled, or the record is wrong",
            fix="convert with the right scale, or correct the record; losses on photon counts need it",
        )
    elif median < DIM_DOSE:
        yield Finding(
            subject="dose",
            level="fix",
            says=says,
            fix="measure longer, bin (--bin 2), or check that these are counts",
        )
    else:
        yield Finding(subject="dose", level="go", says=says)
    n_weak, n_strong = len(summary.dose) - len(lit_rows(summary)), int((summary.dose > STRONG * median).sum())
    if n_weak + n_strong:
        yield Finding(
            subject="frames",
            level="fix",
            says=f"{n_weak} patterns below {WEAK:g} and {n_strong} above {STRONG:g} times the median dose",
            fix="drop them: a step 'frames' with least_dose and most_dose (ptychofold preprocess --steps)",
        )


def _saturation(scan: RawData, sample: Num[np.ndarray, "n N N"], good: Bool[np.ndarray, "N N"]) -> Finding:
    """Look for a pile-up at the largest value, which counts do not have: their numbers fall towards it."""
    light = sample[:, good]
    values, counts = np.unique(light[light >= np.quantile(light, 0.99)], return_counts=True)
    top, n_top = values[-1], int(counts[-1])
    below = float(counts[-1 - LOWER_VALUES : -1].mean()) if len(values) > 1 else np.inf
    piled = n_top >= PILED_PIXELS and n_top > below + PILED_SIGMA * np.sqrt(below + 1)
    dtype = scan.patterns.dtype
    full = dtype.kind in "ui" and scan.measurement == "intensity" and top == np.iinfo(dtype).max
    if not (piled or full):
        return Finding(subject="saturation", level="go", says=f"none: the largest intensity, {top:.4g}, is rare")
    share = float((light == top).any(axis=1).mean())
    return Finding(
        subject="saturation",
        level="no-go" if share > SATURATED_LIMIT else "fix",
        says=f"{share:.0%} of the patterns reach {top:.4g}, {n_top} pixels pile up there",
        fix="attenuate the beam and measure again, or mask those pixels (a step 'mask')",
    )


def _background(scan: RawData, sample: Num[np.ndarray, "n N N"], good: Bool[np.ndarray, "N N"]) -> Finding:
    """Look whether the dimmest pixels change over the scan, as speckle does and a background does not.

    Noise is independent from pixel to pixel and speckle is not: the covariance of neighbors is that of the light.
    """
    geometry = scan.metadata.geometry
    if geometry is not None and geometry.field == "near_field":
        return Finding(subject="background", level="unknown", says="near field: light falls everywhere in the frame")
    mean = sample.mean(axis=0, dtype=np.float64)
    dim = good & (mean <= np.quantile(mean[good], DIM_PIXELS))
    pairs = dim[:, 1:] & dim[:, :-1]
    left, right = sample[:, :, :-1][:, pairs].astype(np.float64), sample[:, :, 1:][:, pairs].astype(np.float64)
    product = float((left.mean(axis=0) * right.mean(axis=0)).sum())
    level, typical = float(mean[dim].mean()), float(mean[good].mean())
    if product == 0 or not BACKGROUND_SHARE * typical < level < LIGHT_SHARE * typical:
        return Finding(subject="background", level="go", says=f"none: {level:.3g} in the dimmest pixels")
    change = float(((left * right).mean(axis=0).sum() - product) / product)
    share = level / typical
    says = f"{level:.3g} in the dimmest pixels, {share:.1%} of the light if it is in all, squared contrast {change:.2g}"
    if change > LEAST_CHANGE:
        return Finding(subject="background", level="go", says=f"none: {says}, as of light")
    return Finding(
        subject="background",
        level="fix",
        says=f"{says}: it does not change with the scan",
        fix="subtract it: a step 'background' with a dark frame or a level (ptychofold preprocess --steps)",
    )


def _hot(hot: Bool[np.ndarray, "N N"]) -> Finding:
    if not hot.any():
        return Finding(subject="hot pixels", level="go", says="none")
    return Finding(
        subject="hot pixels",
        level="fix",
        says=f"{int(hot.sum())}, at {_places(hot)}",
        fix="ptychofold preprocess --find-bad-pixels",
    )


def _dead(
    scan: RawData, summary: PatternSummary, sample: Num[np.ndarray, "n N N"], good: Bool[np.ndarray, "N N"]
) -> Finding:
    """Look for dark pixels among lit ones, and for dark areas whose mirror image through the middle is lit."""
    mirrored = np.roll(summary.mean[::-1, ::-1], (1, 1) if scan.N % 2 == 0 else (0, 0), axis=(0, 1))
    area = (summary.mean == 0) & good & (mirrored * len(scan) > DEAD_COUNTS)
    share = float(mirrored[area].sum() / summary.mean.sum())
    single = dead_pixels(sample) & good
    if share > DEAD_SHARE:
        return Finding(
            subject="dead pixels",
            level="no-go" if share > DEAD_LIMIT else "fix",
            says=f"{int(area.sum())} pixels are dark where {share:.1%} of the light should fall, by the other side",
            fix="mark them bad (a step 'mask'), or repair the detector module",
        )
    if single.any():
        return Finding(
            subject="dead pixels",
            level="fix",
            says=f"{int(single.sum())} dark among lit ones, at {_places(single)}",
            fix="ptychofold preprocess --find-bad-pixels",
        )
    n_bad = int((~good).sum())
    return Finding(subject="dead pixels", level="go", says=f"none beside the {n_bad} marked bad" if n_bad else "none")


def _center(scan: RawData, summary: PatternSummary, good: Bool[np.ndarray, "N N"]) -> Finding:
    """Compare where the beam lies with where the probe would put it, else with the middle."""
    geometry = scan.metadata.geometry
    if geometry is not None and geometry.field == "near_field":
        return Finding(subject="beam center", level="go", says="near field: the frame is an image, without a center")
    if _in_corners(summary.mean):
        return Finding(
            subject="beam center",
            level="no-go",
            says="most of the intensity lies at the corners of the frames",
            fix="shift the frames by half their size (fftshift) before writing the file",
        )
    row, column = beam_center(summary.mean, ~good)
    spectrum = np.fft.fftshift(np.fft.fft2(scan.probe.astype(np.complex128)), axes=(-2, -1))
    expected: Float64[np.ndarray, " 2"] = np.array(beam_center((np.abs(spectrum) ** 2).sum(axis=0)))
    limit = 1 + OFF_CENTER * scan.N
    off = float(np.hypot(row - scan.N // 2, column - scan.N // 2))
    off_probe = float(np.hypot(row - expected[0], column - expected[1]))
    says = f"({row:.1f}, {column:.1f}), {off:.1f} px from the middle, {off_probe:.1f} px from where the probe puts it"
    if min(off, off_probe) > limit or off > 4 * limit:
        return Finding(
            subject="beam center",
            level="fix",
            says=says,
            fix="ptychofold preprocess --crop N (about the beam as found)",
        )
    return Finding(subject="beam center", level="go", says=says)


def _in_corners(mean: Float64[np.ndarray, "N N"]) -> bool:
    quarter = len(mean) // 4
    middle = slice(quarter, len(mean) - quarter)
    return float(np.fft.fftshift(mean)[middle, middle].sum()) > 4 * float(mean[middle, middle].sum())


def _places(mask: Bool[np.ndarray, "N N"]) -> str:
    found = np.argwhere(mask)[:3].tolist()
    more = int(mask.sum()) - len(found)
    return ", ".join(f"({row}, {column})" for row, column in found) + (f" and {more} more" if more else "")
