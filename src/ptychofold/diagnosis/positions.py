"""Checks of positions and optics: units, outliers, overlap, sampling, near or far field."""

from collections.abc import Iterator

import numpy as np

from ptychofold.coverage import probe_diameter
from ptychofold.diagnosis.finding import Finding, Level
from ptychofold.errors import MissingFieldError
from ptychofold.preprocess.points import isolated_positions, repeated_positions
from ptychofold.raw_data import RawData
from ptychofold.survey import LEAST_OVERLAP, Survey

__all__ = ["optics_findings", "position_findings"]

LOST_OVERLAP = 0.3
"""Overlap below which neighbors share nearly nothing."""
SMALL_STEP = 0.01
"""Step over probe diameter below which the unit of the positions must be wrong."""
LEAST_POINTS = 16
"""Different scan points that a reconstruction should have at least."""
THIN = 0.05
"""Width of all positions over the probe's diameter below which they lie on a line."""
LEAST_COVERED = 0.7
"""Share of the field that should be lit."""
LEAST_SAMPLING = 1.2
"""Width of the probe's window over the probe's diameter below which the probe is cut off."""
SIZE_TOLERANCE = 0.02
"""Relative difference of two pixel sizes that agree."""


def position_findings(scan: RawData, found: Survey) -> Iterator[Finding]:
    """Look at unit, outliers, duplicates, overlap and coverage of the scan points."""
    n_scan = len(scan)
    step, diameter = found.step, found.probe_diameter
    different = len(np.unique(scan.positions, axis=0))
    if step is None or found.overlap is None:
        yield Finding(
            subject="overlap", level="no-go", says="a single scan point: nothing overlaps", fix="scan more points"
        )
        return
    says = f"span {found.extent[0]:.4g} × {found.extent[1]:.4g} px, step {step:.3g} px, probe d90 {diameter:.3g} px"
    if different > 1 and (max(found.extent) < 1 or (step < SMALL_STEP * diameter and different > n_scan / 2)):
        yield Finding(
            subject="position unit",
            level="no-go",
            says=f"{says}: far too small for object pixels",
            fix="divide by the object pixel's size (metres?), or multiply by the power of ten that is missing",
        )
    elif found.covered is None or step > 10 * diameter:
        yield Finding(
            subject="position unit",
            level="no-go",
            says=f"{says}: far too large for object pixels",
            fix="check the unit (nanometres?) and the object pixel's size",
        )
    else:
        yield Finding(subject="position unit", level="go", says=says)
    yield _duplicates(scan, different)
    yield _outliers(scan)
    yield _points(scan, different, diameter)
    if different > 1:
        yield _overlap(found.overlap)
        yield from _coverage(scan, found)


def _duplicates(scan: RawData, different: int) -> Finding:
    repeated = int(repeated_positions(scan.positions).sum())
    if not repeated:
        return Finding(subject="duplicates", level="go", says="none")
    return Finding(
        subject="duplicates",
        level="no-go" if different == 1 and len(scan) > 1 else "fix",
        says=f"{repeated} of {len(scan)} positions repeat another one exactly",
        fix="ptychofold preprocess --clean-positions, or look for the column that was read twice",
    )


def _outliers(scan: RawData) -> Finding:
    isolated = isolated_positions(scan.positions)
    if not isolated.any():
        return Finding(subject="outliers", level="go", says="no position lies far from all others")
    first = int(np.argmax(isolated))
    return Finding(
        subject="outliers",
        level="fix",
        says=f"{int(isolated.sum())} positions lie far from all others, the first in row {first}",
        fix="ptychofold preprocess --clean-positions",
    )


def _points(scan: RawData, different: int, diameter: float) -> Finding:
    """Look for scan points that are too few, or that lie on a straight line."""
    around = scan.positions - scan.positions.mean(axis=0)
    across = float(np.ptp(around @ np.linalg.svd(around, full_matrices=False)[2][1]))
    if different > 1 and across < THIN * diameter:
        return Finding(
            subject="scan points",
            level="no-go",
            says=f"{different} lie on a straight line, {across:.2g} px wide: any factor that changes only across it "
            "can move from the probe to the object",
            fix="scan an area; or check that both coordinates were read",
        )
    if different < LEAST_POINTS:
        return Finding(
            subject="scan points",
            level="fix",
            says=f"{different} different ones: too few to tell an object from a probe",
            fix=f"scan {LEAST_POINTS} or more; or check that the whole scan was read",
        )
    return Finding(subject="scan points", level="go", says=f"{different} over an area")


def _overlap(overlap: float) -> Finding:
    level: Level = "go"
    if overlap < LEAST_OVERLAP:
        level = "no-go" if overlap < LOST_OVERLAP else "fix"
    return Finding(
        subject="overlap",
        level=level,
        says=f"{overlap:.0%} of the probe's d90 between nearest neighbors",
        fix=None if level == "go" else f"scan with smaller steps: {LEAST_OVERLAP:.0%} or more are needed",
    )


def _coverage(scan: RawData, found: Survey) -> Iterator[Finding]:
    if found.covered is None or found.probes_per_pixel is None:
        return
    dose = found.dose_median * len(scan) / max(1.0, found.covered * (found.extent[0] + 1) * (found.extent[1] + 1))
    enough = found.covered >= LEAST_COVERED
    yield Finding(
        subject="coverage",
        level="go" if enough else "fix",
        says=f"{found.covered:.0%} of the field, {found.probes_per_pixel:.3g} probes and {dose:.3g} counts a pixel",
        fix=None if enough else "fill the gaps of the scan, or reconstruct its parts alone",
    )


def optics_findings(scan: RawData) -> Iterator[Finding]:
    """Look at sampling, the pixel size, and near or far field."""
    diameter = probe_diameter(scan.probe)
    ratio = scan.N / diameter
    enough = ratio >= LEAST_SAMPLING
    yield Finding(
        subject="sampling",
        level="go" if enough else "no-go" if ratio < 1 else "fix",
        says=f"the window of {scan.N} px is {ratio:.2g} times the probe's d90",
        fix=None if enough else "a smaller probe, a longer distance, or finer detector pixels (no binning)",
    )
    yield _pixel_size(scan)
    yield _field(scan)


def _pixel_size(scan: RawData) -> Finding:
    """Compare the pixel size that the file gives with the one that follows from distance and wavelength."""
    geometry, stated = scan.metadata.geometry, scan.metadata.pixel_size_m
    if stated is None:
        return Finding(
            subject="object pixel",
            level="unknown",
            says="its size is not known: no scale bar, no check of distance and wavelength",
            fix="--energy-ev, --distance-m and --detector-pixel-m supply it",
        )
    says = f"{1e9 * stated[0]:.4g} × {1e9 * stated[1]:.4g} nm"
    try:
        derived = None if geometry is None else geometry.replace(pixel_size_m=None).object_pixel_m((scan.N, scan.N))
    except MissingFieldError:
        derived = None
    if derived is None:
        return Finding(subject="object pixel", level="go", says=f"{says}, as the file gives it")
    apart = max(abs(a / b - 1) for a, b in zip(stated, derived, strict=True))
    if apart > SIZE_TOLERANCE:
        return Finding(
            subject="object pixel",
            level="no-go",
            says=f"{says}, but distance, wavelength and detector pixel give {1e9 * derived[0]:.4g} nm",
            fix="correct --distance-m, --energy-ev or --detector-pixel-m; positions in pixels depend on it",
        )
    return Finding(subject="object pixel", level="go", says=f"{says}, as distance and wavelength give")


def _field(scan: RawData) -> Finding:
    """Compare the stated propagation with the Fresnel number of the probe, (d90 / 2)² / (λ z)."""
    geometry, pixel = scan.metadata.geometry, scan.metadata.pixel_size_m
    distance = None if geometry is None else geometry.effective_distance_m
    if geometry is None or geometry.wavelength is None or distance is None or pixel is None:
        return Finding(
            subject="propagation",
            level="unknown",
            says="far field is taken; wavelength, distance or pixel size are missing for the Fresnel number",
            fix="--energy-ev, --distance-m and --detector-pixel-m supply them; --near-field says otherwise",
        )
    number = (probe_diameter(scan.probe) * min(pixel) / 2) ** 2 / (geometry.wavelength * distance)
    stated = geometry.field.replace("_", " ")
    wrong = number > 1 if geometry.field == "far_field" else number < 1
    return Finding(
        subject="propagation",
        level="fix" if wrong else "go",
        says=f"{stated}, Fresnel number {number:.3g} (far field below 1)",
        fix="check distance and pixel sizes, or say --near-field" if wrong else None,
    )
