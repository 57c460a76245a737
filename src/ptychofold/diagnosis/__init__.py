"""What is wrong with a scan, finding by finding; trials by reconstruction are in `ptychofold.reconstruction.doctor`."""

from ptychofold.diagnosis.finding import Diagnosis, Finding, Level, Verdict
from ptychofold.diagnosis.patterns import lit_rows, pattern_findings
from ptychofold.diagnosis.positions import optics_findings, position_findings

__all__ = [
    "Diagnosis",
    "Finding",
    "Level",
    "Verdict",
    "lit_rows",
    "optics_findings",
    "pattern_findings",
    "position_findings",
]
