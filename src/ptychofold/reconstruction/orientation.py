"""Which way the detector is turned against the scan axes, told by a few gradient steps on a few patterns.

Only the turn of patterns *against* positions matters: turning both with the probe changes nothing. So the eight turns
of the patterns stand for all mistakes of axes: exchanged coordinates are a transpose, one wrong sign a flip, and both
signs wrong, which is the sign of the motion, half a turn.

In the far field, half a turn of all patterns is also what the conjugate probe and object would give (the twin image).
So it is told only as far as the probe's own phase is known and right.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ptychofold.config import OrientStep, PreprocessConfig, Turn
from ptychofold.physics import Geometry
from ptychofold.preprocess import D4, TURNS
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.trials import Trial, stands_out

__all__ = ["OrientationRanking", "rank_orientations"]


@dataclass(frozen=True, kw_only=True)
class OrientationRanking:
    """The eight turns of the patterns, best first.

    Examples
    --------
    >>> ranking = OrientationRanking(
    ...     turns=("transpose", "identity", "flip_rows", "rotate_90"), r_factors=(0.1, 0.21, 0.22, 0.2), n_patterns=64
    ... )
    >>> ranking.verdict, ranking.best, round(ranking.margin, 2)
    ('told', 'transpose', 1.1)
    """

    turns: tuple[Turn, ...]
    """What has to be done to the patterns."""
    r_factors: tuple[float, ...]
    """R of each after the same few steps."""
    n_patterns: int
    """Patterns that were fitted."""

    @property
    def best(self) -> Turn:
        """Turn with the least R."""
        return self.turns[0]

    @property
    def margin(self) -> float:
        """How far the second R lies above the best, as a share of the best."""
        return self.r_factors[1] / self.r_factors[0] - 1

    @property
    def verdict(self) -> Literal["told", "twin", "untold"]:
        """Whether the best stands out, or only together with its twin, half a turn away, or not at all."""
        if stands_out(self.r_factors[0], self.r_factors[1:]):
            return "told"
        is_twin = self.turns[1] == (D4.named("rotate_180") @ D4.named(self.best)).name
        return "twin" if is_twin and stands_out(self.r_factors[1], self.r_factors[2:]) else "untold"

    def allows(self, turn: Turn) -> bool | None:
        """Whether patterns are right after this turn; None if the data cannot tell."""
        if self.verdict == "told":
            return turn == self.best
        return None if self.verdict == "untold" or turn in self.turns[:2] else False


def rank_orientations(
    scan: RawData,
    *,
    geometry: Geometry | None = None,
    n_patterns: int = 100,
    size: int = 64,
    epochs: int = 8,
    seed: int = 0,
) -> OrientationRanking:
    """Reconstruct the middle of a scan with its patterns turned in all eight ways, and compare R.

    Parameters
    ----------
    scan
        With a probe; the nearer it is to the truth, the clearer the answer. Its object is not looked at.
    geometry
        Propagation; what the scan states if None.
    n_patterns
        Patterns nearest to the middle of the scan that are fitted.
    size
        Side in pixels that far-field patterns are cropped to: fine detail does not tell directions better.
    epochs
        Passes over the patterns.
    seed
        Of the order of patterns.

    Examples
    --------
    >>> from ptychofold.testing import make_scan
    >>> recipe = PreprocessConfig(steps=(OrientStep(turn="transpose"),))
    >>> ranking = rank_orientations(make_scan(n_scan=36, N=24, step=2.0).preprocessed(recipe), epochs=3)
    >>> ranking.best, ranking.verdict
    ('transpose', 'told')
    """
    trial = Trial.of(scan, geometry=geometry, n_patterns=n_patterns, size=size, epochs=epochs, seed=seed)
    found: list[tuple[float, Turn]] = []
    for turn in TURNS:
        turned = trial.scan.preprocessed(PreprocessConfig(steps=(OrientStep(turn=turn.name),)))
        turned = turned.with_patterns(turned.patterns.read(np.arange(len(turned))))
        found.append((trial.r_factor(turned), turn.name))
    found.sort(key=lambda pair: pair[0])
    return OrientationRanking(
        turns=tuple(name for _, name in found), r_factors=tuple(r for r, _ in found), n_patterns=len(trial.scan)
    )
