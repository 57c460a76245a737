"""Amplitude or intensity: what is declared, what the numbers tell, and what contradicts either."""

from ptychofold.measurement.decision import decide_measurement
from ptychofold.measurement.evidence import ExitEnergy, contradiction_of_amplitude

__all__ = ["ExitEnergy", "contradiction_of_amplitude", "decide_measurement"]
