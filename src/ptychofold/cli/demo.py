"""``ptychofold demo``: the whole road on the shipped scan, from detector counts to an object that anyone recognises."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptychofold.atomic import check_place
from ptychofold.cli.common import (
    check_folder,
    open_scan,
    plain,
    progress,
    progress_of,
    quantity,
    show,
    stopwatch,
    summarise,
)
from ptychofold.cli.group import grouped_table
from ptychofold.cli.inspect_ import show_scan
from ptychofold.cli.plot import draw
from ptychofold.errors import DependencyError

if TYPE_CHECKING:
    from ptychofold.grouping import ScanGroups
    from ptychofold.raw_data import RawData
    from ptychofold.reconstruction import Reconstruction
    from ptychofold.survey import PatternSummary

__all__ = ["FULL", "QUICK", "DemoSettings", "demo", "run_demo"]

N_NEIGHBORS, SEED = 7, 0
N_CONTRACT_GROUPS = 64


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """How long the demo works."""

    network_epochs: int
    """Passes of the network over the patterns."""
    network_minutes: float
    """Time after which the network stops learning at the latest."""
    refinement_epochs: int
    """Passes of the gradient engine, from the network's object."""
    n_modes: int
    """Incoherent probe modes that the refinement fits."""
    batch_size: int = 16
    """Patterns of a training step."""
    held_out: float = 0.05
    """Share of the patterns that the refinement never sees."""


QUICK = DemoSettings(network_epochs=4, network_minutes=4.0, refinement_epochs=20, n_modes=3)
FULL = DemoSettings(network_epochs=60, network_minutes=120.0, refinement_epochs=60, n_modes=5)


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Directory for what is made.")] = Path(
        "demo_output"
    ),
    *,
    full: Annotated[bool, typer.Option("--full", help="Train and refine several times as long.")] = False,
) -> None:
    """Take the shipped scan (a measured Siemens star) all the way: inspect, group, train, stitch, refine, report."""
    from ptychofold import samples

    check_folder(output, purpose="what is made")
    check_place(output)
    run_demo(open_scan(samples.path("siemens"), lazy=False), output, FULL if full else QUICK)


def run_demo(scan: "RawData", output: Path, settings: DemoSettings) -> None:
    """Take a scan all the way.

    Parameters
    ----------
    scan
        In memory.
    output
        Where pictures, results and the report go.
    settings
        How long to work.
    """
    with stopwatch() as seconds:
        summary = inspect_step(scan)
        groups = group_step(scan)
        contract_step(scan)
        network = network_step(scan, settings)
        refined = refinement_step(scan, network, settings)
        picture_step(scan, summary, groups, output)
        result_step(scan, summary, output, stages=_stages(network, refined))
        refined.save(output / "reconstruction.npz")
    show("", f"done in {quantity(seconds(), 's')}")


def inspect_step(scan: "RawData") -> "PatternSummary":
    """Show what the scan holds, and whether it is fit for a reconstruction."""
    from ptychofold.reconstruction.doctor import examine
    from ptychofold.survey import survey

    _headline("The scan")
    summary = summarise(scan)
    show_scan(scan, survey(scan, summary))
    verdict = examine(scan, trials=False)
    worst = [f"{finding.subject}: {finding.says}" for finding in verdict.findings if finding.level in {"fix", "no-go"}]
    why = plain(f" ({'; '.join(worst)})" if worst else "")
    show("", f"doctor, without trial reconstructions: [bold]{verdict.verdict}[/]{why}")
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
    n_groups = min(N_CONTRACT_GROUPS, len(scan))
    _headline(f"The contract's dictionary of {n_groups} groups")
    grouped = scan.generate_grouped_data(scan.N, K=N_NEIGHBORS, nsamples=n_groups, seed=SEED, gridsize=2)
    show(grouped_table(grouped))


def network_step(scan: "RawData", settings: DemoSettings) -> "Reconstruction | None":
    """Train the small network on the patterns alone, predict every patch and stitch; None without Lightning."""
    from ptychofold.config import GroupingConfig, LoaderConfig, ModelConfig, TrainingConfig
    from ptychofold.data import GroupedDataset, make_loader
    from ptychofold.models import PtychographyModel
    from ptychofold.optional import require
    from ptychofold.reconstruction import predict_object

    _headline("A network learns the scan from its patterns, without seeing the object")
    try:
        require("lightning", extra="train")
    except DependencyError as missing:
        show(f"left out: {plain(missing)}")
        return None
    from ptychofold.reconstruction.training import fit

    model = PtychographyModel.for_scan(scan, ModelConfig())
    grid = (2, 2) if len(scan) >= N_CONTRACT_GROUPS else (1, 1)
    C = grid[0] * grid[1]
    grouping = GroupingConfig(
        grid=grid, n_neighbors=N_NEIGHBORS, n_groups=len(scan) // C, seed=SEED, seed_role="member"
    )
    dataset = GroupedDataset(scan, grouping, scale=model.scaling.rms_input_scale)
    loader = make_loader(dataset, LoaderConfig(batch_size=max(1, settings.batch_size // C), seed=SEED, regroup=C > 1))
    config = TrainingConfig(epochs=settings.network_epochs, max_minutes=settings.network_minutes, accelerator="cpu")
    with progress_of("training") as report:
        record = fit(model, loader, None, config, on_step=lambda done, total, _loss: report(done, total))
    n_weights = sum(weight.numel() for weight in model.network_parameters())
    show(
        f"{quantity(n_weights)} weights, {len(record.epochs)} epochs in {quantity(record.seconds, 's')}: "
        f"{quantity(record.patterns_per_second, 'patterns/s')}"
    )
    with stopwatch() as seconds, progress("predicting", total=None):
        result = predict_object(model, scan)
    show(f"predicted and stitched {len(scan)} patches in {quantity(seconds(), 's')}: R = {result.r_factor:.4f}")
    return result


def refinement_step(scan: "RawData", network: "Reconstruction | None", settings: DemoSettings) -> "Reconstruction":
    """Fit object and probe to the patterns by gradients, from the network's object."""
    from ptychofold.cli.reconstruct import result_table
    from ptychofold.config import GradientConfig
    from ptychofold.reconstruction.iterative import reconstruct

    _headline("Gradient refinement" + (" from the network's object" if network else " from a flat object"))
    config = GradientConfig(
        epochs=settings.refinement_epochs, n_modes=settings.n_modes, held_out=settings.held_out, seed=SEED
    )
    with progress("refining", total=config.epochs) as advance:
        result = reconstruct(scan, config, start=network, on_epoch=lambda _: advance(1))
    result_table(result)
    return result


def picture_step(scan: "RawData", summary: "PatternSummary", groups: "ScanGroups", folder: Path) -> None:
    """Draw the scan."""
    _headline("Pictures")
    for path in draw(scan, summary, folder, groups):
        show(plain(path))


def result_step(
    scan: "RawData", summary: "PatternSummary", folder: Path, *, stages: "list[tuple[str, Reconstruction]]"
) -> None:
    """Draw the results and write the report."""
    from ptychofold.cli.report import scan_page, write_report
    from ptychofold.plotting import Picture, plot_before_after, plot_reconstruction
    from ptychofold.plotting.style import save_figure

    pictures = [(name, Picture.of(result)) for name, result in stages]
    name, last = pictures[-1]
    with progress("drawing", total=3) as advance:
        show(plain(save_figure(plot_before_after(pictures), folder / "before_after.png")))
        advance(1)
        show(plain(save_figure(plot_reconstruction(last, name=name), folder / "reconstruction.png")))
        advance(1)
        sections = scan_page(scan, summary, stages=pictures)
        write_report(sections, folder / "report.html", title="Siemens star", subtitle="ptychofold demo")
        advance(1)
    show(f"[bold]{plain(folder / 'report.html')}[/], the whole story on one page")


def _stages(network: "Reconstruction | None", refined: "Reconstruction") -> "list[tuple[str, Reconstruction]]":
    if network is None:
        return [("Gradients from a flat object", refined)]
    return [("Network alone, stitched", network), ("Network, then gradients", refined)]


def _headline(text: str) -> None:
    from rich.rule import Rule

    show("", Rule(f"[bold]{text}[/]", align="left", style="dim"))
