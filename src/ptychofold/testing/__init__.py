"""Scans of known truth for tests and examples; hypothesis strategies are in `ptychofold.testing.strategies`."""

from ptychofold.testing.faults import FAULTS, plant_fault
from ptychofold.testing.phantoms import coordinate_ramp, dead_leaves, lines, random_phase, siemens_star
from ptychofold.testing.scans import make_positions, make_probe, make_scan

__all__ = [
    "FAULTS",
    "coordinate_ramp",
    "dead_leaves",
    "lines",
    "make_positions",
    "make_probe",
    "make_scan",
    "plant_fault",
    "random_phase",
    "siemens_star",
]
