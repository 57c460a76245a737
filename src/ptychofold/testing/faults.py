"""Scan files with one fault planted in each, of the kinds that beamlines make: what a diagnosis must not pass."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float64, Shaped
from scipy.spatial.distance import cdist

from ptychofold.coverage import probe_diameter
from ptychofold.raw_data import RawData

__all__ = ["FAULTS", "Fault", "plant_fault"]

Fault = Literal[
    "swapped axes",
    "flipped axis",
    "intensity declared amplitude",
    "positions in the wrong unit (÷ 1000)",
    "positions in the wrong unit (× 1000)",
    "off-center beam",
    "30 % of the patterns saturated",
    "one dead quadrant",
    "duplicate positions",
    "NaN positions",
    "low overlap",
    "wrong distance",
    "frames last (N, N, scan)",
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
"""Every fault that can be planted."""

WRONG_DISTANCE = 1.5
"""Times that the detector is said to be further away than it is."""


def plant_fault(fault: Fault, scan: RawData, path: Path) -> Path:
    """Write a scan as the contract's NPZ with a fault in it, and return the file's path.

    Parameters
    ----------
    fault
        One of `FAULTS`.
    scan
        A clean scan; its patterns are read into memory.
    path
        The file to write, ending in ``.npz``.
    """
    whole = scan.with_patterns(np.asarray(scan.patterns.read(np.arange(len(scan)))))
    if fault == "frames last (N, N, scan)":
        return _frames_last(whole, path)
    if fault == "NaN positions":
        return _with_nan(whole, path)
    _PLANTS[fault](whole).to_file(path)
    return path


def _numbers(scan: RawData) -> Shaped[np.ndarray, "scan N N"]:
    return np.array(scan.patterns.read(np.arange(len(scan))))


def _moved(scan: RawData, positions: Float64[np.ndarray, "scan 2"]) -> RawData:
    return replace(scan, positions=positions, positions_nominal=positions, object=None, patches=None)


def _flipped(scan: RawData) -> RawData:
    positions = scan.positions.copy()
    positions[:, 1] = positions[:, 1].max() + positions[:, 1].min() - positions[:, 1]
    return _moved(scan, positions)


def _misdeclared(scan: RawData) -> RawData:
    counts = _numbers(scan)
    counts = counts if scan.measurement == "intensity" else np.round(np.square(counts.astype(np.float64)))
    return replace(scan.with_patterns(counts.astype(np.float32)), measurement="amplitude")


def _off_center(scan: RawData) -> RawData:
    return scan.with_patterns(np.roll(_numbers(scan), (scan.N // 6, -(scan.N // 8)), axis=(1, 2)))


def _saturated(scan: RawData) -> RawData:
    patterns = _numbers(scan)
    limit = np.quantile(patterns.max(axis=(1, 2)), 0.7)
    return scan.with_patterns(np.minimum(patterns, limit.astype(patterns.dtype)))


def _half_dead(scan: RawData) -> RawData:
    patterns = _numbers(scan)
    patterns[:, : scan.N // 2, scan.N // 2 :] = 0
    return scan.with_patterns(patterns)


def _duplicated(scan: RawData) -> RawData:
    positions = scan.positions.copy()
    positions[1::10] = positions[::10][: len(positions[1::10])]
    return _moved(scan, positions)


def _sparse(scan: RawData) -> RawData:
    """Keep points that are more than half a probe apart."""
    apart = 0.55 * probe_diameter(scan.probe)
    distance = cdist(scan.positions, scan.positions)
    kept: Bool[np.ndarray, " scan"] = np.zeros(len(scan), bool)
    for row in range(len(scan)):
        kept[row] = not kept.any() or bool(distance[row, kept].min() > apart)
    return scan.subset(np.flatnonzero(kept))


def _further(scan: RawData) -> RawData:
    middle = scan.positions.mean(axis=0)
    return _moved(scan, (scan.positions - middle) / WRONG_DISTANCE + middle)


_PLANTS: Mapping[Fault, Callable[[RawData], RawData]] = {
    "swapped axes": lambda scan: _moved(scan, np.ascontiguousarray(scan.positions[:, ::-1])),
    "flipped axis": _flipped,
    "intensity declared amplitude": _misdeclared,
    "positions in the wrong unit (÷ 1000)": lambda scan: _moved(scan, scan.positions / 1000),
    "positions in the wrong unit (× 1000)": lambda scan: _moved(scan, scan.positions * 1000),
    "off-center beam": _off_center,
    "30 % of the patterns saturated": _saturated,
    "one dead quadrant": _half_dead,
    "duplicate positions": _duplicated,
    "low overlap": _sparse,
    "wrong distance": _further,
}


def _arrays(scan: RawData) -> dict[str, np.ndarray]:
    patterns = _numbers(scan)
    named = {"xcoords": scan.positions[:, 1].copy(), "ycoords": scan.positions[:, 0].copy(), "probeGuess": scan.probe}
    return {**named, ("counts" if scan.measurement == "intensity" else "diff3d"): patterns}


def _frames_last(scan: RawData, path: Path) -> Path:
    arrays = _arrays(scan)
    name = "counts" if "counts" in arrays else "diff3d"
    arrays[name] = np.ascontiguousarray(np.moveaxis(arrays[name], 0, -1))
    return _save(path, arrays)


def _with_nan(scan: RawData, path: Path) -> Path:
    arrays = _arrays(scan)
    arrays["xcoords"][len(scan) // 3] = np.nan
    return _save(path, arrays)


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]  # savez's keywords are arrays
    return path
