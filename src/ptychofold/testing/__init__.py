"""Scans of known truth for tests and examples; hypothesis strategies are in `ptychofold.testing.strategies`."""

from ptychofold.testing.phantoms import coordinate_ramp, dead_leaves, lines, random_phase, siemens_star
from ptychofold.testing.scans import make_positions, make_probe, make_scan

__all__ = [
    "coordinate_ramp",
    "dead_leaves",
    "lines",
    "make_positions",
    "make_probe",
    "make_scan",
    "random_phase",
    "siemens_star",
]
