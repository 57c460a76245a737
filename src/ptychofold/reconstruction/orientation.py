"""Which way the detector is turned against the scan axes, told by a few gradient steps on a few patterns.

Only the turn of patterns *against* positions matters: turning both with the probe changes nothing. So the eight turns
of the patterns stand for all mistakes of axes: exchanged coordinates are a transpose, one wrong sign a flip, and both
signs wrong, which is the sign of the motion, half a turn.

In the far field, half a turn of all patterns is also what the conjugate probe and object would give (the twin image).
So it is told only as far as the probe's own phase is known and right.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ptychofold.config import OrientStep, PreprocessConfig, Turn
from ptychofold.physics import Geometry
from ptychofold.preprocess import D4, TURNS
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.trials import LEAST_RISE, Trial, stands_out

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
    """R of each after the same few steps; of held-out patterns, the mean of all parts, if parts were compared."""
    n_patterns: int
    """Patterns that were fitted at a time."""
    parts: tuple[tuple[float, ...], ...] = ()
    """R of each turn in each part of the scan, where the middle alone did not tell."""

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
        if self._stand_out(1):
            return "told"
        is_twin = self.turns[1] == (D4.named("rotate_180") @ D4.named(self.best)).name
        return "twin" if is_twin and self._stand_out(2) else "untold"

    def allows(self, turn: Turn) -> bool | None:
        """Whether patterns are right after this turn; None if the data cannot tell."""
        if self.verdict == "told":
            return turn == self.best
        return None if self.verdict == "untold" or turn in self.turns[:2] else False

    def _stand_out(self, n_best: int) -> bool:
        """Tell whether the best lie below the others: clearly in the middle of the scan, or in all of its parts."""
        if self.parts:
            return all(min(part[n_best:]) > LEAST_RISE * max(part[:n_best]) for part in self.parts)
        return stands_out(self.r_factors[n_best - 1], self.r_factors[n_best:])


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

    Where no turn stands out, R of held-out patterns is compared in two parts of the scan.

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
    ranking = _ranked((tuple(trial.r_factor(scan) for scan in _turned(trial)),), n_patterns=len(trial.scan))
    if ranking.verdict != "untold":
        return ranking
    pair = Trial.pair(scan, geometry=geometry, n_patterns=n_patterns, size=size, epochs=epochs)
    parts = tuple(tuple(part.r_factor_held_out(scan) for scan in _turned(part)) for part in pair)
    return _ranked(parts, n_patterns=len(trial.scan))


def _turned(trial: Trial) -> Iterator[RawData]:
    for turn in TURNS:
        turned = trial.scan.preprocessed(PreprocessConfig(steps=(OrientStep(turn=turn.name),)))
        yield turned.with_patterns(turned.patterns.read(np.arange(len(turned))))


def _ranked(parts: tuple[tuple[float, ...], ...], *, n_patterns: int) -> OrientationRanking:
    mean = np.mean(np.array(parts), axis=0)
    order = np.argsort(mean, kind="stable").tolist()
    return OrientationRanking(
        turns=tuple(TURNS[i].name for i in order),
        r_factors=tuple(float(mean[i]) for i in order),
        n_patterns=n_patterns,
        parts=tuple(tuple(part[i] for i in order) for part in parts) if len(parts) > 1 else (),
    )
