"""Everything that can be told of a scan before a reconstruction, and whether it is fit for one."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ptychofold.config import GroupingConfig, ReadingConfig
from ptychofold.diagnosis import Diagnosis, Finding, optics_findings, pattern_findings, position_findings
from ptychofold.door import RequestedMeasurement
from ptychofold.errors import DataError, FormatError, GroupingError
from ptychofold.grouping import group_scan
from ptychofold.physics import Geometry
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.orientation import OrientationRanking, rank_orientations
from ptychofold.reconstruction.trials import Trial
from ptychofold.survey import summarise_patterns, survey

__all__ = ["examine", "examine_file", "rank_scales"]

SCALES = (0.5, 0.71, 0.84, 1.0, 1.19, 1.41, 2.0)
"""Factors of the distance that are tried."""
CLEAR_RISE = 1.1
"""R beside the best distance over R at it, above which the distance is told."""
EPOCHS = 20
"""Passes over the patterns that a time is predicted for."""
BATCH = 16
"""Groups in a batch that a memory is predicted for."""

Progress = Callable[[str], object]
"""Told what is looked at next."""


def examine_file(
    path: str | Path,
    *,
    measurement: RequestedMeasurement = "auto",
    reading: ReadingConfig | None = None,
    grouping: GroupingConfig | None = None,
    trials: bool = True,
    on_stage: Progress | None = None,
) -> Diagnosis:
    """Open a scan file and examine it; a file that does not open is no-go, with the reason.

    Parameters
    ----------
    path, measurement, reading
        As `RawData.from_file` takes them.
    grouping, trials, on_stage
        As `examine` takes them.
    """
    try:
        scan = RawData.from_file(path, measurement=measurement, reading=reading)
        return examine(scan, grouping=grouping, trials=trials, on_stage=on_stage)
    except (DataError, FormatError) as error:
        says, _, fix = str(error).removeprefix(f"{path}: ").partition(". ")
        cure = fix or "repair the file"
        if isinstance(error, DataError) and error.field == "positions" and "non-finite" in says:
            cure = "ptychofold preprocess --clean-positions drops these scan points"
        return Diagnosis(findings=(Finding(subject="file", level="no-go", says=says, fix=cure),))


def examine(
    scan: RawData,
    *,
    grouping: GroupingConfig | None = None,
    trials: bool = True,
    on_stage: Progress | None = None,
) -> Diagnosis:
    """Examine a scan.

    Parameters
    ----------
    scan
        The scan.
    grouping
        Grouping whose memory is predicted and which must be possible; 2 × 2 of the 7 nearest if None.
    trials
        Also reconstruct the middle of the scan a few times, to tell orientation and distance.
    on_stage
        Told what is looked at next.

    Examples
    --------
    >>> from ptychofold.testing import make_scan
    >>> diagnosis = examine(make_scan(n_scan=100, step=2.0), trials=False)
    >>> diagnosis.verdict, diagnosis.findings[0].subject
    ('go', 'measurement')
    """
    tell = on_stage or (lambda _stage: None)
    tell("patterns")
    summary = summarise_patterns(scan)
    found = [*pattern_findings(scan, summary)]
    tell("positions")
    numbers = survey(scan, summary)
    found += [*position_findings(scan, numbers), *optics_findings(scan)]
    if trials and not any(f.level == "no-go" and f.subject in {"position unit", "overlap", "file"} for f in found):
        found += _trial_findings(scan, tell)
    found += _costs(scan, grouping or GroupingConfig(grid=(2, 2), n_neighbors=7, seed=0))
    return Diagnosis(findings=tuple(found))


@dataclass(frozen=True, kw_only=True)
class _Scales:
    """R of the distances tried."""

    factors: tuple[float, ...]
    r_factors: tuple[float, ...]

    @property
    def best(self) -> float:
        return self.factors[int(np.argmin(self.r_factors))]

    @property
    def told(self) -> bool:
        """Whether R rises clearly on both sides of the best."""
        at = int(np.argmin(self.r_factors))
        if at in (0, len(self.r_factors) - 1):
            return False
        return min(self.r_factors[at - 1], self.r_factors[at + 1]) > CLEAR_RISE * self.r_factors[at]


def rank_scales(scan: RawData, *, geometry: Geometry | None = None, n_patterns: int = 100, epochs: int = 8) -> _Scales:
    """Reconstruct the middle of a scan as if the detector stood nearer or further, and compare R of held-out patterns.

    The object pixel grows with the distance, so that positions in pixels shrink.
    """
    trial = Trial.of(scan, geometry=geometry, n_patterns=n_patterns, epochs=epochs)
    r_factors = []
    for factor in SCALES:
        middle = trial.scan.positions.mean(axis=0)
        positions = (trial.scan.positions - middle) / factor + middle + trial.scan.N
        r_factors.append(trial.r_factor_held_out(replace(trial.scan, positions=positions, positions_nominal=positions)))
    return _Scales(factors=SCALES, r_factors=tuple(r_factors))


def _trial_findings(scan: RawData, tell: Progress) -> Iterator[Finding]:
    tell("orientation")
    started = time.process_time()
    ranking = rank_orientations(scan)
    seconds = (time.process_time() - started) / 8
    yield _orientation(ranking)
    tell("distance")
    if ranking.allows("identity") is not False:
        yield _distance(rank_scales(scan))
    epochs_each = 8 * ranking.n_patterns
    side = min(scan.N, 64) if Geometry.of_scan(scan.metadata).propagation == "far_field" else scan.N
    total = seconds / epochs_each * EPOCHS * len(scan) * (scan.N / side) ** 2
    yield Finding(
        subject="time",
        level="go",
        says=f"about {total:.3g} s of one core for {EPOCHS} epochs of the gradient engine, measured on this machine",
    )


def _orientation(ranking: OrientationRanking) -> Finding:
    ranked = ", ".join(f"{turn} {r:.4f}" for turn, r in zip(ranking.turns[:3], ranking.r_factors[:3], strict=True))
    says = f"{ranking.verdict}: R {ranked} … {ranking.r_factors[-1]:.4f} (margin {ranking.margin:.1%})"
    right = ranking.allows("identity")
    if right is False:
        return Finding(
            subject="orientation",
            level="no-go",
            says=says,
            fix=f"ptychofold preprocess --turn {ranking.best}, or exchange or mirror the positions alike",
        )
    if right is None:
        return Finding(
            subject="orientation",
            level="unknown",
            says=f"{says}: the data cannot tell" + (" an object from its twin" if ranking.verdict == "twin" else ""),
            fix="a probe from an earlier reconstruction tells more; else trust the beamline's convention",
        )
    return Finding(subject="orientation", level="go", says=says)


def _distance(scales: _Scales) -> Finding:
    ranked = ", ".join(f"× {f:g}: {r:.4f}" for f, r in zip(scales.factors, scales.r_factors, strict=True))
    if not scales.told:
        return Finding(subject="distance", level="unknown", says=f"the data cannot tell: R {ranked}")
    if scales.best == 1.0:
        return Finding(subject="distance", level="go", says=f"as it is, explains held-out patterns best: R {ranked}")
    return Finding(
        subject="distance",
        level="no-go",
        says=f"× {scales.best:g} explains held-out patterns better: R {ranked}",
        fix="check distance, energy and pixel sizes, and the unit of the positions",
    )


def _costs(scan: RawData, grouping: GroupingConfig) -> Iterator[Finding]:
    rows, columns = grouping.grid
    C = rows * columns
    stored = int(np.prod(scan.patterns.shape)) * scan.patterns.dtype.itemsize
    try:
        groups = group_scan(scan.positions, grouping)
    except GroupingError as error:
        says, _, fix = str(error).partition(". ")
        yield Finding(subject="grouping", level="fix", says=says, fix=fix or "choose a smaller grid")
        return
    batch = BATCH * C * scan.N**2 * 4
    yield Finding(
        subject="memory",
        level="go",
        says=f"{stored / 1e6:.3g} MB of patterns, {groups.members.nbytes / 1e6:.2g} MB of indices for "
        f"{len(groups.members)} groups of {rows} × {columns}, {batch / 1e6:.3g} MB a batch of {BATCH}",
    )
