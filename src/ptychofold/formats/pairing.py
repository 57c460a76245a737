"""Join a scan that has no patterns with the file that holds them."""

import logging
from dataclasses import replace

import numpy as np
from jaxtyping import Int64, Shaped

from ptychofold.config import ScanGeometry
from ptychofold.errors import MissingFieldError, ShapeError
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.view import RowView

__all__ = ["with_patterns"]

logger = logging.getLogger(__name__)


def with_patterns(scan: ScanFields, other: ScanFields) -> ScanFields:
    """Return the scan with the patterns of another file.

    If both record scan point numbers, the rows with equal numbers are joined, in the order of the scan's positions, and
    rows without a partner are left out (one logged line says how many). Otherwise the counts must agree and the order
    is kept.

    Raises
    ------
    MissingFieldError
        If the other file has no patterns, or the scan no positions.
    ShapeError
        If the counts disagree and cannot be matched, or no number is common.
    """
    if other.patterns is None:
        raise MissingFieldError(
            f"expected patterns in this {other.format} file; it holds {', '.join(other.names)}.",
            path=other.path,
            field="patterns",
        )
    placed = scan.positions if scan.positions is not None else scan.positions_m
    if placed is None:
        raise MissingFieldError(
            f"expected positions in this {scan.format} file; it holds {', '.join(scan.names)}.",
            path=scan.path,
            field="positions",
        )
    patterns, joined = other.patterns, scan
    if scan.point_numbers is not None and other.point_numbers is not None:
        here, there = _common(scan.point_numbers, other.point_numbers, other)
        patterns, joined = RowView(other.patterns, there), _rows(scan, here)
    elif len(placed) != patterns.shape[0]:
        raise ShapeError(
            f"expected {len(placed)} patterns, one a position of {scan.path}; found {patterns.shape[0]} and no "
            "scan point numbers to match them by.",
            path=other.path,
            field="patterns",
        )
    return replace(
        joined,
        patterns=patterns,
        bad_pixels=other.bad_pixels if scan.bad_pixels is None else scan.bad_pixels,
        measurement=other.measurement,
        measurement_reason=other.measurement_reason,
        measurement_expected=other.measurement_expected,
        metadata=replace(scan.metadata, geometry=_geometry(scan, other)),
        names=(*scan.names, *other.names),
    )


def _geometry(scan: ScanFields, other: ScanFields) -> ScanGeometry | None:
    """Return what the two files state together; the scan's own word counts where both have one."""
    own, others = scan.metadata.geometry, other.metadata.geometry
    return own if others is None else others if own is None else others.updated(own)


def _common(
    here: Shaped[np.ndarray, " n"], there: Shaped[np.ndarray, " m"], other: ScanFields
) -> tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]:
    numbers, rows_here, rows_there = np.intersect1d(here, there, return_indices=True)
    if not len(numbers):
        raise ShapeError(
            f"expected scan point numbers in common; found {_span(here)} beside {_span(there)}. The two files are not "
            "of one scan.",
            path=other.path,
            field="patterns",
        )
    if len(numbers) < max(len(here), len(there)):
        logger.info(
            "%d scan points in both files; %d positions and %d patterns without partner left out",
            len(numbers),
            len(here) - len(numbers),
            len(there) - len(numbers),
        )
    order = np.argsort(rows_here)
    return rows_here[order].astype(np.int64), rows_there[order].astype(np.int64)


def _span(numbers: Shaped[np.ndarray, " n"]) -> str:
    return f"{numbers.min()} to {numbers.max()}" if len(numbers) else "none"


def _rows(scan: ScanFields, rows: Int64[np.ndarray, " k"]) -> ScanFields:
    def cut(values: Shaped[np.ndarray, "..."] | None) -> Shaped[np.ndarray, "..."] | None:
        return None if values is None else values[rows]

    return replace(
        scan,
        positions=cut(scan.positions),
        positions_nominal=cut(scan.positions_nominal),
        positions_m=cut(scan.positions_m),
        positions_nominal_m=cut(scan.positions_nominal_m),
        patches=cut(scan.patches),
        scan_index=cut(scan.scan_index),
        point_numbers=cut(scan.point_numbers),
    )
