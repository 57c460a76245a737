"""Whether the distance of the detector is right, told by a few gradient steps on a few patterns.

The object pixel grows with the distance (or shrinks with the energy), so that positions in pixels shrink: a wrong
distance, energy or pixel size shows as positions at the wrong scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ptychofold.physics import Geometry
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.trials import CLEAR_RISE, LEAST_RISE, Trial

__all__ = ["ScaleRanking", "rank_scales"]

SCALES = (0.5, 0.71, 0.84, 1.0, 1.19, 1.41, 2.0)
"""Factors of the distance that are tried."""
LONGER = 3
"""Times the epochs of the last round: a first guess of the probe that is too narrow or too wide has then adapted."""


@dataclass(frozen=True, kw_only=True)
class ScaleRanking:
    """R of held-out patterns for factors of the stated distance, one for each part of the scan that was tried.

    Examples
    --------
    >>> ranking = ScaleRanking(r_factors={0.71: (0.10, 0.11), 1.0: (0.15, 0.16), 1.41: (0.2, 0.21)}, epochs=24)
    >>> ranking.best, ranking.is_plain, ranking.verdict, round(ranking.lead, 2)
    (0.71, True, 'other', 1.45)
    """

    r_factors: Mapping[float, tuple[float, ...]]
    epochs: int
    """Passes over the patterns in each trial."""

    @property
    def best(self) -> float:
        """Factor with the least R."""
        return min(self.r_factors, key=lambda factor: sum(self.r_factors[factor]))

    @property
    def is_plain(self) -> bool:
        """Whether the best is neither a neighbor of the stated distance nor the end of what is tried.

        A neighbor may be best by a poor first guess of the probe. The positions of a larger distance lie closer
        together, so that patterns foretell each other better even where nothing is explained.
        """
        at = SCALES.index(1.0)
        return self.best in SCALES[1:-1] and self.best not in SCALES[at - 1 : at + 2]

    @property
    def lead(self) -> float:
        """R at the stated distance over R at the best, in the part where that is least."""
        return self._least_ratio(1.0, self.best)

    @property
    def verdict(self) -> Literal["stated", "other", "untold"]:
        """Whether the stated distance is best by more than chance, or another, or neither."""
        alone = len(self.r_factors[1.0]) == 1
        rise = min(self._least_ratio(factor, 1.0) for factor in self.r_factors if factor != 1.0)
        if rise > (CLEAR_RISE if alone else LEAST_RISE):
            return "stated"
        return "other" if not alone and self.lead > LEAST_RISE else "untold"

    def _least_ratio(self, factor: float, other: float) -> float:
        return min(a / b for a, b in zip(self.r_factors[factor], self.r_factors[other], strict=True))


def rank_scales(
    scan: RawData, *, geometry: Geometry | None = None, n_patterns: int = 100, epochs: int = 8
) -> ScaleRanking:
    """Reconstruct parts of a scan as if the detector stood nearer or further, and compare R of held-out patterns.

    First in the middle of the scan. Unless the stated distance is clearly best there, the best and the stated one
    and its neighbors are compared in two parts, at last for three times the epochs.

    Parameters
    ----------
    scan
        With a probe. Its object is not looked at.
    geometry
        Propagation; what the scan states if None.
    n_patterns, epochs
        Patterns of a part, and passes over them.

    Examples
    --------
    >>> from ptychofold.testing import make_scan
    >>> ranking = rank_scales(make_scan(n_scan=64, N=32, step=2.0), epochs=4)
    >>> ranking.best, ranking.verdict
    (1.0, 'stated')
    """
    middle = Trial.of(scan, geometry=geometry, n_patterns=n_patterns, epochs=epochs)
    ranking = _ranked((middle,), SCALES)
    if ranking.verdict == "stated":
        return ranking
    at = SCALES.index(1.0)
    contenders = tuple(sorted({ranking.best, *SCALES[at - 1 : at + 2]}))
    if ranking.best == 1.0:
        ranking = _ranked(Trial.pair(scan, geometry=geometry, n_patterns=n_patterns, epochs=epochs), contenders)
        if ranking.verdict == "stated":
            return ranking
    longer = Trial.pair(scan, geometry=geometry, n_patterns=n_patterns, epochs=LONGER * epochs)
    return _ranked(longer, contenders)


def _ranked(trials: tuple[Trial, ...], factors: tuple[float, ...]) -> ScaleRanking:
    return ScaleRanking(
        r_factors={factor: tuple(_r_factor(trial, factor) for trial in trials) for factor in factors},
        epochs=trials[0].config.epochs,
    )


def _r_factor(trial: Trial, factor: float) -> float:
    middle = trial.scan.positions.mean(axis=0)
    positions = (trial.scan.positions - middle) / factor + middle + trial.scan.N
    return trial.r_factor_held_out(trial.at(positions))
