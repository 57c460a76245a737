"""``ptychofold demo``: the whole road on the shipped scan, one small step after the other."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptychofold.cli.common import open_scan, plain, progress, quantity, show, stopwatch, summarise
from ptychofold.cli.group import grouped_table
from ptychofold.cli.inspect_ import show_scan
from ptychofold.cli.plot import check_folder, draw

if TYPE_CHECKING:
    from ptychofold.grouping import ScanGroups
    from ptychofold.raw_data import RawData
    from ptychofold.survey import PatternSummary

__all__ = ["demo"]

N_NEIGHBORS, SEED = 7, 0
N_CONTRACT_GROUPS = 64
BATCH_SIZE = 32


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Directory for the pictures.")] = Path(
        "demo_output"
    ),
) -> None:
    """Take the shipped scan (a measured Siemens star) all the way: inspect, group, contract, batches, pictures."""
    from ptychofold import samples

    check_folder(output)
    scan = open_scan(samples.path("siemens"), lazy=False)
    summary = inspect_step(scan)
    groups = group_step(scan)
    contract_step(scan)
    batch_step(scan, groups)
    picture_step(scan, summary, groups, output)


def inspect_step(scan: "RawData") -> "PatternSummary":
    """Show what the scan holds."""
    from ptychofold.survey import survey

    _headline("The scan")
    summary = summarise(scan)
    show_scan(scan, survey(scan, summary))
    return summary


def group_step(scan: "RawData") -> "ScanGroups":
    """Draw groups of 2 × 2 neighbors: indices and geometry, no pixels."""
    from ptychofold.config import GroupingConfig
    from ptychofold.grouping import group_scan

    _headline("Groups")
    config = GroupingConfig(grid=(2, 2), n_neighbors=N_NEIGHBORS, seed=SEED)
    with stopwatch() as seconds:
        groups = group_scan(scan.positions, config)
    show(f"{len(groups)} groups of {config.C} of the {N_NEIGHBORS} nearest neighbors in {1e3 * seconds():.1f} ms")
    return groups


def contract_step(scan: "RawData") -> None:
    """Show the shapes of the contract's grouped dictionary."""
    _headline(f"The contract's dictionary of {N_CONTRACT_GROUPS} groups")
    grouped = scan.generate_grouped_data(scan.N, K=N_NEIGHBORS, nsamples=N_CONTRACT_GROUPS, seed=SEED, gridsize=2)
    show(grouped_table(grouped))


def batch_step(scan: "RawData", groups: "ScanGroups") -> None:
    """Deliver one epoch of training batches and show its rate."""
    from ptychofold.config import LoaderConfig
    from ptychofold.data import GroupedDataset, make_loader

    _headline("One epoch of batches")
    dataset = GroupedDataset(scan, groups)
    loader = make_loader(dataset, LoaderConfig(batch_size=BATCH_SIZE, seed=SEED))
    n_patterns = 0
    shape: tuple[int, ...] = ()
    with progress("delivering batches", total=len(loader)) as advance, stopwatch() as seconds:
        for batch in loader:
            n_patterns += batch.members.numel()
            shape = max(shape, tuple(batch.diffraction.shape))
            advance(1)
    show(
        f"{len(loader)} batches of {' × '.join(map(str, shape))} float32 amplitude in {seconds():.2f} s: "
        f"{quantity(n_patterns / seconds())} patterns/s"
    )


def picture_step(scan: "RawData", summary: "PatternSummary", groups: "ScanGroups", folder: Path) -> None:
    """Draw the report."""
    _headline("Pictures")
    for path in draw(scan, summary, folder, groups):
        show(plain(path))


def _headline(text: str) -> None:
    from rich.rule import Rule

    show("", Rule(f"[bold]{text}[/]", align="left", style="dim"))
