"""``ptychofold bench``: how fast this machine delivers batches of a scan, beside its own limits."""

from typing import Annotated

import typer

from ptychofold.cli.common import (
    GridOption,
    NeighborsOption,
    ScanArgument,
    neighbors_for,
    new_table,
    open_scan,
    plain,
    quantity,
    show,
)

__all__ = ["bench"]


def bench(
    file: ScanArgument,
    *,
    gridsize: GridOption = 2,
    neighbors: NeighborsOption = None,
    batch_size: Annotated[int, typer.Option("--batch-size", "-b", min=1, help="Groups in a batch.")] = 64,
    workers: Annotated[
        list[int] | None, typer.Option("--workers", "-w", min=0, help="Worker processes to try; may be repeated.")
    ] = None,
) -> None:
    """Deliver batches every way there is and compare with what memory copies and gathers reach here."""
    from ptychofold.config import GroupingConfig, LoaderConfig
    from ptychofold.data.dataset import GroupedDataset
    from ptychofold.data.rates import measure_rates

    opened = open_scan(file)
    n_neighbors = neighbors_for(gridsize, neighbors)
    dataset = GroupedDataset(opened, GroupingConfig(grid=(gridsize, gridsize), n_neighbors=n_neighbors, seed=0))
    rates = measure_rates(dataset, LoaderConfig(batch_size=batch_size, seed=0), workers=tuple(workers or (0, 1, 2)))
    limit = max(rate.patterns_per_s for rate in rates if rate.is_limit and "cast" in rate.name)
    table = new_table("way", "patterns/s", "of the gather limit", numbers=("patterns/s", "of the gather limit"))
    for rate in rates:
        style = "dim" if rate.is_limit else "bold"
        table.add_row(
            f"[{style}]{rate.name}[/]", quantity(rate.patterns_per_s), f"{100 * rate.patterns_per_s / limit:.0f} %"
        )
    N = opened.N
    show(f"{plain(file)}: {len(opened)} patterns of {N} × {N} {opened.patterns.dtype}, {opened.patterns.access}", table)
