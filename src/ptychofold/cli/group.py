"""``ptychofold group``: the contract's grouped dictionary as a file."""

from collections.abc import Mapping
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
    keep_inputs,
    neighbors_for,
    new_table,
    open_scan,
    plain,
    progress,
    quantity,
    show,
    stopwatch,
)
from ptychofold.cli.reading_options import with_reading_options
from ptychofold.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from ptychofold.config import ReadingConfig

__all__ = ["group", "grouped_table"]


@with_reading_options
def group(
    file: ScanArgument,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="NPZ", help="File to write; replaced as a whole.")],
    n_groups: Annotated[
        int | None, typer.Option("--n-groups", "-n", min=1, help="Groups to draw; as many as scan points if not given.")
    ] = None,
    neighbors: NeighborsOption = None,
    gridsize: GridOption = 2,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of the random draw.")] = 0,
    sequential: Annotated[
        bool, typer.Option("--sequential", help="Seed points in the order of the file, not at random.")
    ] = False,
    oversample: Annotated[
        bool, typer.Option("--oversample", help="Allow more groups than scan points, by combinations of neighbors.")
    ] = False,
    pool_size: Annotated[
        int | None, typer.Option("--pool-size", min=1, help="Neighbors that oversampling draws from; K if not given.")
    ] = None,
    measurement: MeasurementOption = MeasurementChoice.auto,
    patterns: PatternsOption = None,
    reading: "ReadingConfig",
) -> None:
    """Group the scan points of FILE and write the grouped dictionary of the data contract as NPZ.

    The groups are those that PtychoPINN's own sampler draws from the same settings, bit for bit.
    """
    import numpy as np

    from ptychofold.formats.npz_write import write_arrays

    if output.suffix != ".npz":
        raise ConfigError(f"expected an output file that ends in .npz; found {output}.")
    if output.is_dir():
        raise ConfigError(f"expected an output file; {output} is a directory. Name a file in it.")
    keep_inputs(output, file, patterns, reading=reading)
    scan = open_scan(file, measurement, patterns=patterns, reading=reading)
    wanted = len(scan) if n_groups is None else n_groups
    with progress("grouping", total=None), stopwatch() as seconds:
        grouped = scan.generate_grouped_data(
            scan.N,
            K=neighbors_for(gridsize, neighbors),
            nsamples=wanted,
            seed=seed,
            sequential_sampling=sequential,
            gridsize=gridsize,
            enable_oversampling=oversample,
            neighbor_pool_size=pool_size,
        )
    arrays = {name: np.asarray(value) for name, value in grouped.items() if value is not None}
    with progress("writing", total=len(arrays)) as advance:
        write_arrays(output, arrays, on_written=lambda: advance(1))
    n_made, C = grouped["nn_indices"].shape
    elapsed = seconds()
    rates = f"{quantity(n_made / elapsed)} groups/s, {quantity(n_made * C / elapsed)} patterns/s"
    show(grouped_table(grouped), "", f"{n_made} groups of {C} in {elapsed:.2f} s: {rates}", f"wrote {plain(output)}")


def grouped_table(grouped: Mapping[str, object]) -> "Table":
    """Return a table of the dictionary's keys, shapes and dtypes."""
    import numpy as np

    table = new_table("key", "shape", "dtype")
    for name, value in grouped.items():
        if isinstance(value, np.ndarray):
            table.add_row(f"[bold]{name}[/]", " × ".join(map(str, value.shape)), str(value.dtype))
        else:
            table.add_row(f"[bold]{name}[/]", "none", "")
    return table
