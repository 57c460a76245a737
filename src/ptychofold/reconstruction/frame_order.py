"""Whether patterns and positions keep step to the end of a scan, told by a few gradient steps on its last patterns.

A frame that a detector lost, or a position that was recorded twice, puts every later pattern at the position of its
neighbor in time. Where lines of a scan run to and fro, or in no order, that does not fit together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

import numpy as np

from ptychofold.physics import Geometry
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.trials import CLEAR_RISE, Trial

__all__ = ["DelayRanking", "rank_delays"]

DELAYS = (-1, 0, 1)
"""Frames by which positions are moved against patterns."""
LEAST_LINES, LEAST_PATTERNS = 3, 36
"""Lines of a square raster, and patterns, that the end of a scan has at least."""


@dataclass(frozen=True, kw_only=True)
class DelayRanking:
    """R of the last patterns of a scan, for positions that are some frames on.

    Examples
    --------
    >>> DelayRanking(r_factors={-1: 0.2, 0: 0.16, 1: 0.1}, n_patterns=40).best
    1
    """

    r_factors: Mapping[int, float]
    """By the number of frames that a pattern's position comes later in the list."""
    n_patterns: int
    """Patterns that were tried."""

    @property
    def best(self) -> int:
        """Frames by which positions lie better than as they are, by more than chance; else 0."""
        best = min(self.r_factors, key=lambda delay: self.r_factors[delay])
        return best if self.r_factors[0] > CLEAR_RISE * self.r_factors[best] else 0


def rank_delays(scan: RawData, *, geometry: Geometry | None = None, epochs: int = 8) -> DelayRanking:
    """Reconstruct the last patterns of a scan at their positions, and at those of the frame before and after.

    Parameters
    ----------
    scan
        With a probe, frames in the order of measurement. Its object is not looked at.
    geometry
        Propagation; what the scan states if None.
    epochs
        Passes over the patterns.

    Examples
    --------
    >>> from ptychofold.testing import make_scan
    >>> rank_delays(make_scan(n_scan=64, N=32, step=3.0), epochs=4).best
    0
    """
    n_patterns = min(len(scan) - 2, max(LEAST_PATTERNS, LEAST_LINES * isqrt(len(scan))))
    rows = np.arange(len(scan) - 1 - n_patterns, len(scan) - 1)
    trial = Trial.of(scan.subset(rows), geometry=geometry, n_patterns=n_patterns, epochs=epochs)
    return DelayRanking(
        r_factors={delay: trial.r_factor(trial.at(scan.positions[rows + delay])) for delay in DELAYS},
        n_patterns=n_patterns,
    )
