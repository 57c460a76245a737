"""``ptychofold plot``: the pictures of a scan."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptychofold.cli.common import (
    GridOption,
    MeasurementChoice,
    MeasurementOption,
    NeighborsOption,
    PatternsOption,
    ScanArgument,
    check_folder,
    is_store,
    keep_inputs,
    neighbors_for,
    open_scan,
    plain,
    progress,
    show,
    summarise,
)
from ptychofold.cli.reading_options import with_reading_options

if TYPE_CHECKING:
    from ptychofold.config import ReadingConfig
    from ptychofold.grouping import ScanGroups
    from ptychofold.plotting import Picture
    from ptychofold.raw_data import RawData
    from ptychofold.survey import PatternSummary

__all__ = ["draw", "draw_result", "plot"]


@with_reading_options
def plot(
    file: ScanArgument,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Directory for the pictures.")],
    gridsize: GridOption = 2,
    neighbors: NeighborsOption = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the groups drawn.")] = 0,
    measurement: MeasurementOption = MeasurementChoice.auto,
    patterns: PatternsOption = None,
    reading: "ReadingConfig",
) -> None:
    """Draw a FILE into DIR: of a scan overview, groups, patterns, probe, coverage; of a result object and losses."""
    from ptychofold.config import GroupingConfig
    from ptychofold.formats import read_fields
    from ptychofold.grouping import group_scan
    from ptychofold.plotting import Picture
    from ptychofold.raw_data import RawData

    check_folder(output, purpose="the pictures")
    keep_inputs(output, file, patterns, reading=reading)
    found = (
        None if is_store(file) else read_fields(file, patterns=patterns, reading=reading, measurement=measurement.value)
    )
    picture = None if found is None else Picture.of_fields(found)
    if found is not None and picture is not None and found.patterns is None:
        draw_result(picture, output)
        return
    if found is None:
        scan = open_scan(file, measurement, patterns=patterns, reading=reading)
    else:
        scan = RawData.from_fields(found, measurement=measurement.value)
    config = GroupingConfig(grid=(gridsize, gridsize), n_neighbors=neighbors_for(gridsize, neighbors), seed=seed)
    groups = group_scan(scan.positions, config) if len(scan) > config.C else None
    for path in draw(scan, summarise(scan), output, groups):
        show(f"wrote {plain(path)}")
    if picture is not None and (picture.losses or picture.r_factor is not None):
        draw_result(picture, output, without=("object", "probe"))


def draw_result(picture: "Picture", folder: Path, *, without: Collection[str] = ()) -> None:
    """Write the pictures of a result under a progress bar."""
    from ptychofold.plotting import save_result_pictures

    with progress("drawing", total=4) as advance:
        paths = save_result_pictures(picture, folder, without=without, progress=advance)
    for path in paths:
        show(f"wrote {plain(path)}")


def draw(scan: "RawData", summary: "PatternSummary", folder: Path, groups: "ScanGroups | None") -> tuple[Path, ...]:
    """Write the pictures under a progress bar."""
    from ptychofold.plotting.report import n_pictures, save_pictures

    with progress("drawing", total=n_pictures(scan)) as advance:
        return save_pictures(scan, summary, folder, groups=groups, progress=advance)
