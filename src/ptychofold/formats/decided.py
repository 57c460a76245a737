"""What patterns are before a scan has passed the door: steps and estimates on what a reader found ask here."""

from math import prod

import numpy as np
from jaxtyping import Int64

from ptychofold.formats.fields import ScanFields
from ptychofold.measurement import decide_measurement
from ptychofold.reading import read_apart, spread_rows
from ptychofold.typing import ArraySource, Measurement, RequestedMeasurement

__all__ = ["decided_measurement", "inspected_rows"]

N_INSPECTED = 64
"""Most patterns, evenly spread over the scan, that are read when a scan is opened."""
LEAST_INSPECTED = 8
"""Fewest such patterns, however large they are."""
INSPECTED_PIXELS = 1 << 22
"""Pixels that are read between the two, so that large frames cost little memory."""


def inspected_rows(shape: tuple[int, ...]) -> Int64[np.ndarray, " n"]:
    """Return the rows of patterns (scan, H, W) that tell of all what nothing declares.

    Examples
    --------
    >>> len(inspected_rows((1000, 64, 64))), len(inspected_rows((1000, 2048, 2048)))
    (64, 8)
    """
    n_wanted = min(N_INSPECTED, max(LEAST_INSPECTED, INSPECTED_PIXELS // max(1, prod(shape[1:]))))
    return spread_rows(shape[0], n_wanted)


def decided_measurement(
    found: ScanFields, patterns: ArraySource, *, requested: RequestedMeasurement = "auto"
) -> tuple[Measurement, str | None]:
    """Return what the patterns of a scan are and why: as requested, else as declared, else as their numbers tell.

    Raises
    ------
    DomainError
        If none of the three tells.
    """
    if found.measurement is not None and requested in ("auto", found.measurement):
        return found.measurement, found.measurement_reason
    return decide_measurement(
        read_apart(patterns, inspected_rows(patterns.shape)),
        requested=requested,
        expected=found.measurement_expected,
        path=found.path,
    )
