"""Steps on scan points: which are left out, and what the monitor says of their flux."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped
from scipy.spatial import cKDTree

from ptychofold.config.preprocess import FrameStep, MonitorStep, PositionStep
from ptychofold.errors import DomainError, ShapeError
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.transformed import TransformedSource
from ptychofold.formats.view import RowView, length_in_file, rows_in_file
from ptychofold.preprocess.frames import Rescaled
from ptychofold.preprocess.sources import checked_side_array, known_measurement, patterns_of, positions_of
from ptychofold.scaling import energy_sums

__all__ = [
    "apply_frames",
    "apply_monitor",
    "apply_positions",
    "isolated_positions",
    "repeated_positions",
    "resolve_frames",
    "resolve_positions",
    "typical_dose",
]


def resolve_frames(step: FrameStep, found: ScanFields) -> FrameStep:
    """Look for scan points whose dose is out of bounds."""
    if step.dropped is not None:
        return step
    drop = np.zeros(patterns_of(found).shape[0], bool)
    rows = np.array(step.drop, np.int64)
    if len(rows) and rows.max() >= len(drop):
        raise ShapeError(
            f"frames: expected rows below {len(drop)} to drop; found {rows.max()}.", path=found.path, field="patterns"
        )
    drop[rows] = True
    if step.least_dose > 0 or step.most_dose is not None:
        dose = _dose(found)
        share = dose / typical_dose(dose)
        drop |= (share < step.least_dose) | (share > (np.inf if step.most_dose is None else step.most_dose))
    return step.replace(dropped=tuple(np.flatnonzero(drop).tolist()))


def apply_frames(step: FrameStep, found: ScanFields) -> ScanFields:
    """Leave out the scan points found."""
    return _without(found, step.dropped or ())


def resolve_positions(step: PositionStep, found: ScanFields) -> PositionStep:
    """Look for positions that are no numbers, isolated or repeated."""
    if step.dropped is not None:
        return step
    positions = positions_of(found).astype(np.float64)
    finite: Bool[np.ndarray, " scan"] = np.asarray(np.isfinite(positions).all(axis=1))
    drop = ~finite
    drop[finite] = isolated_positions(positions[finite], isolation=step.isolation)
    if step.duplicates == "drop":
        drop[finite] |= repeated_positions(positions[finite])
    return step.replace(dropped=tuple(np.flatnonzero(drop).tolist()))


def apply_positions(step: PositionStep, found: ScanFields) -> ScanFields:
    """Leave out the scan points found."""
    return _without(found, step.dropped or ())


def apply_monitor(step: MonitorStep, found: ScanFields) -> ScanFields:
    """Divide intensities by the monitor's value relative to its median.

    A monitor of all patterns of the file also fits a scan of which points have been left out.
    """
    patterns = patterns_of(found)
    flux: Shaped[np.ndarray, ...] = checked_side_array(step.file, step.checksum)
    rows: Int64[np.ndarray, " n"] = np.arange(patterns.shape[0])
    if flux.shape != rows.shape and flux.shape == (length_in_file(patterns),):
        flux = flux[rows_in_file(patterns, rows)]
    if flux.shape != rows.shape:
        raise ShapeError(
            f"monitor: expected one value for each of {patterns.shape[0]} patterns; found shape {flux.shape}.",
            path=step.file,
        )
    values = flux.astype(np.float64)
    if not (np.isfinite(values) & (values > 0)).all():
        raise DomainError(
            f"monitor: expected positive values; found {values.min()} at row {int(np.argmin(values))}. Drop these "
            "scan points first.",
            path=step.file,
        )
    transform = Rescaled(known_measurement(found), each=np.median(values) / values)
    return replace(found, patterns=TransformedSource(patterns, transform))


def isolated_positions(positions: Float64[np.ndarray, "scan 2"], *, isolation: float = 10.0) -> Bool[np.ndarray, " n"]:
    """Tell which positions are further from all others than ``isolation`` medians of that distance.

    Examples
    --------
    >>> line = np.stack([np.zeros(9), np.array([0, 1, 2, 3, 4, 5, 6, 7, 99.0])], axis=1)
    >>> np.flatnonzero(isolated_positions(line)).tolist()
    [8]
    """
    different, inverse = np.unique(positions, axis=0, return_inverse=True)
    if len(different) < 3:
        return np.zeros(len(positions), bool)
    distance = np.asarray(cKDTree(different).query(different, k=[2])[0], np.float64)[:, 0]
    isolated = distance > isolation * np.median(distance)
    return np.asarray(isolated)[inverse.ravel()]


def repeated_positions(positions: Float64[np.ndarray, "scan 2"]) -> Bool[np.ndarray, " n"]:
    """Tell which positions have occurred before.

    Examples
    --------
    >>> repeated_positions(np.array([[0.0, 1.0], [2.0, 2.0], [0.0, 1.0]])).tolist()
    [False, False, True]
    """
    _, first = np.unique(positions, axis=0, return_index=True)
    repeated = np.ones(len(positions), bool)
    repeated[first] = False
    return repeated


def typical_dose(dose: Float64[np.ndarray, " scan"]) -> float:
    """Return the median dose of the patterns that are not dark; 0 if all are.

    Examples
    --------
    >>> typical_dose(np.array([0.0, 0.0, 0.0, 5.0, 7.0]))
    6.0
    """
    lit = dose[dose > 0]
    return float(np.median(lit)) if len(lit) else 0.0


def _dose(found: ScanFields) -> Float64[np.ndarray, " scan"]:
    bad = None if found.bad_pixels is None else found.bad_pixels.astype(bool)
    return energy_sums(patterns_of(found), measurement=known_measurement(found), bad_pixels=bad, path=found.path)


def _without(found: ScanFields, dropped: tuple[int, ...]) -> ScanFields:
    if not dropped:
        return found
    patterns = patterns_of(found)
    keep = np.setdiff1d(np.arange(patterns.shape[0]), np.array(dropped))
    if not len(keep):
        raise ShapeError(
            f"expected scan points to keep; all {patterns.shape[0]} would be dropped. Widen the bounds of the step.",
            path=found.path,
            field="patterns",
        )

    def kept(array: Shaped[np.ndarray, "scan ..."] | None) -> Shaped[np.ndarray, "n ..."] | None:
        return None if array is None else array[keep]

    return replace(
        found,
        patterns=RowView(patterns, keep),
        positions=kept(found.positions),
        positions_nominal=kept(found.positions_nominal),
        positions_m=kept(found.positions_m),
        positions_nominal_m=kept(found.positions_nominal_m),
        patches=kept(found.patches),
        scan_index=kept(found.scan_index),
        point_numbers=kept(found.point_numbers),
    )
