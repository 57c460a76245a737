"""Everything that can be told of a scan before a reconstruction, and whether it is fit for one."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ptychofold.config import GroupingConfig, LoaderConfig, ReadingConfig
from ptychofold.diagnosis import (
    Diagnosis,
    Finding,
    lit_rows,
    optics_findings,
    pattern_findings,
    position_findings,
)
from ptychofold.errors import DataError, FormatError, GroupingError
from ptychofold.grouping import group_scan
from ptychofold.physics import Geometry
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.frame_order import rank_delays
from ptychofold.reconstruction.orientation import OrientationRanking, rank_orientations
from ptychofold.reconstruction.scales import ScaleRanking, rank_scales
from ptychofold.reconstruction.trials import CLEAR_RISE
from ptychofold.survey import summarise_patterns, survey
from ptychofold.typing import RequestedMeasurement

__all__ = ["examine", "examine_file"]

CHECK_DISTANCE = "check distance, energy and pixel sizes, and the unit of the positions"
UNFIT_FOR_TRIALS = frozenset({"position unit", "overlap", "scan points"})
"""Findings of positions that leave nothing to reconstruct."""
LEAST_PATTERNS = 4
"""Patterns with light in them that trials need: some to fit, and one that is foretold."""
LEAST_ORDERED = 40
"""Patterns that a scan must have for its order to be looked at."""
EPOCHS = 20
"""Passes over the patterns that a time is predicted for."""

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
        return Diagnosis(findings=(Finding(subject="file", level="no-go", says=says, fix=cure),), tried=trials)


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
        Grouping whose memory, in batches of the usual size, is predicted and which must be possible; 2 × 2 of the 7
        nearest if None.
    trials
        Also reconstruct the middle of the scan a few times, to tell orientation and distance.
    on_stage
        Told what is looked at next.

    Examples
    --------
    >>> from ptychofold.testing import make_scan
    >>> diagnosis = examine(make_scan(n_scan=100, step=2.0), trials=False)
    >>> diagnosis.verdict, diagnosis.findings[0].subject
    ('untried', 'measurement')
    """
    tell = on_stage or (lambda _stage: None)
    tell("patterns")
    summary = summarise_patterns(scan)
    found = [*pattern_findings(scan, summary)]
    tell("positions")
    numbers = survey(scan, summary)
    found += [*position_findings(scan, numbers), *optics_findings(scan)]
    if not trials:
        found += _untried("no trial reconstructions were made", "ptychofold doctor FILE makes them")
    elif any(f.level == "no-go" and f.subject in UNFIT_FOR_TRIALS for f in found):
        found += _untried("the positions are unfit for trial reconstructions", "mend the positions first")
    elif len(lit := lit_rows(summary)) < LEAST_PATTERNS:
        found += _untried(f"only {len(lit)} patterns have light in them", "look for the others")
    else:
        found += _trial_findings(scan.subset(lit), tell)
    found += _costs(scan, grouping or GroupingConfig(grid=(2, 2), n_neighbors=7, seed=0))
    return Diagnosis(findings=tuple(found), tried=trials)


def _trial_findings(scan: RawData, tell: Progress) -> Iterator[Finding]:
    tell("orientation")
    started = time.process_time()
    ranking = rank_orientations(scan)
    seconds = (time.process_time() - started) / (len(ranking.turns) * (1 + len(ranking.parts)))
    yield _orientation(ranking)
    tell("distance")
    if ranking.allows("identity") is False:
        yield Finding(
            subject="distance", level="unknown", says="not tried: the orientation is wrong", fix="mend that first"
        )
    else:
        yield _distance(rank_scales(scan))
        yield from _frame_order(scan)
    epochs_each = 8 * ranking.n_patterns
    side = min(scan.N, 64) if Geometry.of_scan(scan.metadata).propagation == "far_field" else scan.N
    total = seconds / epochs_each * EPOCHS * len(scan) * (scan.N / side) ** 2
    yield Finding(
        subject="time",
        level="go",
        says=f"about {total:.3g} s of one core for {EPOCHS} epochs of the gradient engine, measured on this machine",
    )


def _orientation(ranking: OrientationRanking) -> Finding:
    in_parts = zip(*(ranking.parts or (ranking.r_factors,)), strict=True)
    of_turns = [
        f"{turn} {' and '.join(f'{r:.4f}' for r in rs)}" for turn, rs in zip(ranking.turns, in_parts, strict=True)
    ]
    says = f"{ranking.verdict}: R {', '.join(of_turns[:3])} … {ranking.r_factors[-1]:.4f} (margin {ranking.margin:.1%})"
    right = ranking.allows("identity")
    if right is False:
        return Finding(
            subject="orientation",
            level="no-go",
            says=says,
            fix=f"ptychofold preprocess --turn {ranking.best}, or exchange or mirror the positions alike",
        )
    if right is None:
        twin = ranking.verdict == "twin"
        return Finding(
            subject="orientation",
            level="unknown" if twin else "fix",
            says=f"{says}: the data cannot tell" + (" an object from its twin" if twin else "; could not be verified"),
            fix="a probe from an earlier reconstruction tells more; else check the beamline's convention",
        )
    return Finding(subject="orientation", level="go", says=says)


def _distance(ranking: ScaleRanking) -> Finding:
    ranked = ", ".join(f"× {f:g}: {' and '.join(f'{r:.4f}' for r in rs)}" for f, rs in ranking.r_factors.items())
    if ranking.verdict == "stated":
        return Finding(
            subject="distance",
            level="go",
            says=f"as it is, of steps of a fifth, explains held-out patterns best: R {ranked}",
        )
    if ranking.verdict == "untold":
        return Finding(
            subject="distance",
            level="fix",
            says=f"could not be verified, the data cannot tell: R {ranked}",
            fix=f"{CHECK_DISTANCE}, against the beamline's log",
        )
    return Finding(
        subject="distance",
        level="no-go" if ranking.lead > CLEAR_RISE and ranking.is_plain else "fix",
        says=f"× {ranking.best:g} explains held-out patterns better: R {ranked}",
        fix=CHECK_DISTANCE,
    )


def _frame_order(scan: RawData) -> Iterator[Finding]:
    """Say if the last patterns belong to the positions of their neighbors in time; nothing if they do not."""
    if len(scan) < LEAST_ORDERED:
        return
    ranking = rank_delays(scan)
    if ranking.best:
        found = " and ".join(
            f"{r:.4f} {'as they are' if delay == 0 else f'{delay:+d}'}" for delay, r in ranking.r_factors.items()
        )
        yield Finding(
            subject="frame order",
            level="no-go",
            says=f"the last {ranking.n_patterns} patterns fit positions {ranking.best:+d} frame on better: R {found}",
            fix="a frame or a position was lost: pair them by their numbers or times, and drop the one that has none",
        )


def _untried(why: str, fix: str) -> Iterator[Finding]:
    for subject in ("orientation", "distance"):
        yield Finding(subject=subject, level="unknown", says=f"not tried: {why}", fix=fix)


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
    n_groups = LoaderConfig().batch_size
    batch = n_groups * C * scan.N**2 * 4
    yield Finding(
        subject="memory",
        level="go",
        says=f"{stored / 1e6:.3g} MB of patterns, {groups.members.nbytes / 1e6:.2g} MB of indices for "
        f"{len(groups.members)} groups of {rows} × {columns}, {batch / 1e6:.3g} MB a batch of {n_groups}",
    )
