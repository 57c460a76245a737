"""``ptychofold verify``: every byte of a store against its checksums."""

from pathlib import Path
from typing import Annotated

import typer

from ptychofold.cli.common import counted, plain, progress_of, quantity, show, stopwatch

__all__ = ["verify"]


def verify(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="A store made by ptychofold ingest.")],
) -> None:
    """Read every byte of STORE and compare every checksum; damage is named by array and rows."""
    from ptychofold.data.store import PatternStore

    opened = PatternStore.open(store, check_source=False)
    total = sum(record.shape[0] * record.row_bytes for record in opened.manifest.arrays.values())
    with progress_of("verifying") as report, stopwatch() as seconds:
        opened.verify(on_progress=report)
    speed = quantity(total / 1e6 / seconds(), "MB/s")
    state = f"live, {opened.n_dropped} patterns dropped so far" if opened.is_live else "whole"
    patterns = counted(len(opened), "pattern")
    show(f"{plain(store)}: {patterns}, every checksum agrees ({quantity(total / 1e6, 'MB')} at {speed}); {state}")
