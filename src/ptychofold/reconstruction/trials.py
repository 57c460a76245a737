"""A few gradient steps on the middle of a scan: how well a hypothesis explains it, in a second."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from jaxtyping import Int64
from scipy.spatial import cKDTree

from ptychofold.config import CropStep, GradientConfig, PreprocessConfig
from ptychofold.physics import Geometry
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.iterative import reconstruct
from ptychofold.typing import Positions

__all__ = ["CLEAR_RISE", "LEAST_RISE", "Trial", "stands_out"]

APART = 4.0
"""Standard deviations of the others' R by which the best must lie below them."""
HELD_OUT = 0.15
"""Share of the patterns that is foretold."""
LEAST_MARGIN = 0.003
"""Share of the best R by which the others must exceed it."""
CLEAR_RISE = 1.1
"""The others' R over the best that is never chance, however far the others lie apart."""
LEAST_RISE = 1.02
"""The others' R over the best that two parts of a scan must both show."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Some neighboring patterns in memory, and the settings of the steps taken on them."""

    scan: RawData
    geometry: Geometry
    config: GradientConfig

    @classmethod
    def of(
        cls,
        scan: RawData,
        *,
        geometry: Geometry | None = None,
        n_patterns: int = 100,
        size: int = 64,
        epochs: int = 8,
        seed: int = 0,
    ) -> Self:
        """Take the patterns nearest to the middle of a scan, far-field ones cropped; see `rank_orientations`."""
        geometry = Geometry.of_scan(scan.metadata) if geometry is None else geometry
        part = scan if len(scan) <= n_patterns else scan.subset(_nearest(scan.positions, n_patterns))
        if geometry.propagation == "far_field" and size < part.N:
            middle = (float(part.N // 2), float(part.N // 2))
            crop = CropStep(size=size, center=middle, probe="with_patterns", propagation="far_field")
            part = part.preprocessed(PreprocessConfig(steps=(crop,)))
        part = replace(part.with_patterns(part.patterns.read(np.arange(len(part)))), object=None, patches=None)
        return cls(scan=part, geometry=geometry, config=GradientConfig(epochs=epochs, seed=seed))

    @classmethod
    def pair(
        cls, scan: RawData, *, geometry: Geometry | None, n_patterns: int, epochs: int, size: int = 64
    ) -> tuple[Self, Self]:
        """Take patterns from two halves of a scan, or all twice with others held out if it has too few."""
        order = np.argsort(scan.positions[:, int(np.argmax(np.ptp(scan.positions, axis=0)))], kind="stable")
        half = len(scan) // 2
        parts = (scan, scan)
        if half >= n_patterns:
            parts = scan.subset(np.sort(order[:half])), scan.subset(np.sort(order[half:]))
        first, second = (
            cls.of(part, geometry=geometry, n_patterns=n_patterns, size=size, epochs=epochs, seed=seed)
            for seed, part in enumerate(parts)
        )
        return first, second

    def at(self, positions: Positions) -> RawData:
        """Return the patterns as if they had been taken elsewhere."""
        return replace(self.scan, positions=positions, positions_nominal=positions)

    def r_factor(self, scan: RawData) -> float:
        """Return R after the steps on a changed scan."""
        return reconstruct(scan, self.config, geometry=self.geometry).r_factor

    def r_factor_held_out(self, scan: RawData) -> float:
        """Return R of patterns that the steps did not see: those that share little foretell none."""
        result = reconstruct(scan, self.config.replace(held_out=HELD_OUT), geometry=self.geometry)
        return result.r_factor if result.r_factor_held_out is None else result.r_factor_held_out


def stands_out(best: float, others: tuple[float, ...]) -> bool:
    """Tell whether an R lies below all others by more than chance.

    Chance is four standard deviations of the others, or a tenth of the best if that is less: others that are nearly
    right lie far apart without being chance.
    """
    lead = min(others) - best
    return lead > max(min(APART * float(np.std(others)), (CLEAR_RISE - 1) * best), LEAST_MARGIN * best)


def _nearest(positions: Positions, n_patterns: int) -> Int64[np.ndarray, " n"]:
    _, rows = cKDTree(positions).query(np.median(positions, axis=0), k=list(range(1, n_patterns + 1)))
    return np.sort(np.asarray(rows, np.int64))
