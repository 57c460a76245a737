"""``ptychofold convert``: a scan in another format, completed by what the user knows."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptychofold.cli.common import (
    MeasurementChoice,
    MeasurementOption,
    ScanArgument,
    keep_inputs,
    open_scan,
    plain,
    show,
)
from ptychofold.cli.reading_options import with_reading_options

if TYPE_CHECKING:
    from ptychofold.config import ReadingConfig
    from ptychofold.raw_data import RawData

__all__ = ["convert"]


@with_reading_options
def convert(
    file: ScanArgument,
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The file to write; its ending chooses the format.")],
    *,
    format: Annotated[str | None, typer.Option("--format", "-f", help="Name of the format to write.")] = None,
    measurement: MeasurementOption = MeasurementChoice.auto,
    reading: "ReadingConfig",
) -> None:
    """Write a scan FILE in another format, whole or not at all, and say what that format cannot hold."""
    from ptychofold.formats import write_fields

    keep_inputs(output, file, reading=reading)
    scan = open_scan(file, measurement, reading=reading)
    lost = write_fields(scan.to_fields(), output, format=format)
    known = scan.metadata
    show(f"read    {plain(file)} as [bold]{plain(known.format)}[/] ({plain(known.format_reason)})")
    show(f"written {plain(output)}: {_written(scan, lost)}")
    show(_verdict(lost))


def _written(scan: "RawData", lost: Sequence[str]) -> str:
    """Return what was written of the patterns; a format of intensities holds amplitudes squared."""
    if "patterns" in lost:
        return f"{len(scan)} scan points, no patterns"
    squared = scan.measurement == "amplitude" and "measurement" in lost
    return f"{len(scan)} patterns of {scan.N} × {scan.N}, {'intensity (squared)' if squared else scan.measurement}"


def _verdict(lost: Sequence[str]) -> str:
    if not lost:
        return "everything was representable"
    count = "this field was" if len(lost) == 1 else f"these {len(lost)} fields were"
    return f"[yellow bold]{count} not representable:[/] {plain(', '.join(lost))}"
