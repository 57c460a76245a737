"""``ptychofold ingest``: scan files into stores."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptychofold.atomic import check_place
from ptychofold.cli.common import (
    MeasurementChoice,
    MeasurementOption,
    check_folder,
    new_table,
    plain,
    progress,
    quantity,
    show,
)
from ptychofold.cli.reading_options import with_reading_options
from ptychofold.errors import StoreError

if TYPE_CHECKING:
    from rich.table import Table

    from ptychofold.cli.common import Advance
    from ptychofold.config import ReadingConfig
    from ptychofold.data.bulk import Ingested

__all__ = ["ingest", "ingested_table"]

STEPS = 1000
"""Steps of the progress bar for each file."""
MOST_PROCESSES = 8


@with_reading_options
def ingest(
    files: Annotated[list[Path], typer.Argument(metavar="FILES", help="Scan files; recognised by their content.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the stores go, one a file.")],
    measurement: MeasurementOption = MeasurementChoice.auto,
    processes: Annotated[
        int | None, typer.Option("--processes", "-p", min=1, help="Files at the same time; one a core if not given.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option("--dask", metavar="ADDRESS", help="Let the workers of this Dask scheduler ingest.")
    ] = None,
    reading: "ReadingConfig",
) -> None:
    """Copy scans into stores that train at the machine's speed: patterns once, in the detector's own numbers.

    A file that fails stops no other. Run the same command again after a failure or an interrupt: stores that are there
    are passed over, those that were begun go on where they stopped.
    """
    from ptychofold.data.bulk import ingest_many

    check_folder(output, purpose="the stores")
    check_place(output / "store")
    n_processes = processes or min(len(files), os.cpu_count() or 1, MOST_PROCESSES)
    with progress("ingesting", total=STEPS * len(files)) as advance:
        bar = _Bar(advance)
        results = ingest_many(
            files,
            output,
            measurement=measurement.value,
            reading=reading,
            processes=n_processes,
            dask=dask,
            on_done=bar.on_done,
            on_progress=bar.on_progress,
        )
    failed = [result.error for result in results if result.error is not None]
    if len(results) == len(failed) == 1:
        raise failed[0]
    show(ingested_table(results))
    if failed:
        reasons = " · ".join(str(error) for error in failed)
        raise StoreError(f"{len(failed)} of {len(results)} files were not ingested: {reasons}")


def ingested_table(results: "Sequence[Ingested]") -> "Table":
    """Return a table of what became of each file."""
    table = new_table("file", "patterns", "size", "speed", "store", numbers=("patterns", "size", "speed"))
    for result in results:
        if result.error is not None:
            table.add_row(plain(result.file.name), "", "", "", "failed")
            continue
        megabytes = result.n_bytes / 1e6
        speed = quantity(megabytes / result.seconds, "MB/s")
        row = (plain(result.file.name), quantity(result.n_scan), quantity(megabytes, "MB"), speed, plain(result.store))
        table.add_row(*row)
    return table


class _Bar:
    """Turns the patterns of the current file into steps of one bar for all files."""

    def __init__(self, advance: "Advance") -> None:
        self._advance = advance
        self._steps = 0

    def on_progress(self, done: int, total: int) -> None:
        steps = STEPS * done // total
        self._advance(steps - self._steps)
        self._steps = steps

    def on_done(self, _result: "Ingested") -> None:
        self._advance(STEPS - self._steps)
        self._steps = 0
