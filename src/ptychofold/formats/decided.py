"""What patterns are before a scan has passed the door: steps and estimates on what a reader found ask here."""

from ptychofold.formats.fields import ScanFields
from ptychofold.measurement import decide_measurement
from ptychofold.reading import read_apart, spread_rows
from ptychofold.typing import ArraySource, Measurement, RequestedMeasurement

__all__ = ["decided_measurement"]

N_INSPECTED = 64
"""Patterns that tell amplitude from intensity where nothing declares it."""


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
        read_apart(patterns, spread_rows(patterns.shape[0], N_INSPECTED)),
        requested=requested,
        expected=found.measurement_expected,
        path=found.path,
    )
