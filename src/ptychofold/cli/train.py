"""``ptychofold train``: a network learns a scan."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptychofold.cli.common import (
    MeasurementChoice,
    MeasurementOption,
    check_folder,
    keep_inputs,
    new_table,
    plain,
    progress_of,
    quantity,
    show,
)
from ptychofold.cli.reading_options import with_reading_options
from ptychofold.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from ptychofold.config import ReadingConfig
    from ptychofold.reconstruction.run import RunConfig
    from ptychofold.reconstruction.training import TrainingRecord

__all__ = ["train"]


@with_reading_options
def train(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILES", help="A run's directory or TOML file; or scans and stores, one or many."),
    ],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Directory for the model and its settings.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", "-e", min=1, help="Passes over the groups.")] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", min=0.0, help="Stop after so many minutes.")] = None,
    gridsize: Annotated[
        int | None, typer.Option("--gridsize", "-g", min=1, help="Side of the grid: C = gridsize² members.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="Where to train: cpu, cuda, or auto, a GPU if there is one.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="NAME=VALUE", help="Any setting, such as training.mode=supervised."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run in DIR stopped.")] = False,
    measurement: MeasurementOption = MeasurementChoice.auto,
    reading: "ReadingConfig",
) -> None:
    """Train a network on scans: of one, or of several mixed, each with its own probe, mask and scale.

    The directory then holds model.safetensors, last.ckpt to resume from, and run.toml, which repeats the run.
    """
    from ptychofold.reconstruction.run import train_run

    overrides = [*(settings or ())]
    if output is not None:
        overrides.append(f"training.output_dir={str(output.absolute())!r}")
    if epochs is not None:
        overrides.append(f"training.epochs={epochs}")
    if minutes is not None:
        overrides.append(f"training.max_minutes={minutes}")
    if gridsize is not None:
        overrides.append(f"grouping.grid=[{gridsize}, {gridsize}]")
    if device is not None:
        overrides.append(f"training.accelerator={_accelerator(device)}")
    if measurement is not MeasurementChoice.auto:
        overrides.append(f"measurement={measurement.value}")
    run = open_run(files, overrides, gridsize=gridsize)
    run = run.replace(reading=run.reading.replace(**reading.model_dump(exclude_unset=True)))
    if run.training.output_dir is None:
        raise ConfigError("expected a directory for the model; found none. Give --output DIR or training.output_dir.")
    check_folder(run.training.output_dir, purpose="the model")
    keep_inputs(run.training.output_dir, *run.scans, reading=run.reading)
    with progress_of("training") as report:
        _, record = train_run(
            run,
            resume=run.training.output_dir if resume else None,
            on_step=lambda done, total, _loss: report(done, total),
        )
    show(losses_table(record), "")
    if not record.n_patterns:
        show("nothing was left to train: the run had ended", f"its model is {plain(record.model_file)}")
        return
    rate = quantity(record.patterns_per_second, "patterns/s")
    show(f"{record.n_steps} steps in {quantity(record.seconds, 's')}: {rate}", f"wrote {plain(record.model_file)}")


def _accelerator(device: str) -> str:
    from ptychofold.reconstruction.devices import device_named

    if device == "auto":
        return device
    found = device_named(device)
    if found.index:
        raise ConfigError(f"expected cpu, cuda or auto to train on; found {device}. Choose GPUs by training.devices.")
    return "gpu" if found.type == "cuda" else "cpu"


def open_run(files: list[Path], overrides: list[str], *, gridsize: int | None = None) -> "RunConfig":
    """Read a run's file or directory; or make the run of scans, with the usual settings and neighbors enough."""
    from ptychofold.config import GroupingConfig
    from ptychofold.reconstruction.run import RUN_FILE, RunConfig

    files = [file / RUN_FILE if (file / RUN_FILE).is_file() else file for file in files]
    if any(file.suffix == ".toml" for file in files):
        if len(files) > 1:
            raise ConfigError(
                f"expected one run's TOML file, or scans; found {len(files)} files and .toml among them. The scans "
                "of a run stand in its file, as scan = [...]."
            )
        return RunConfig.from_file(files[0], overrides=overrides)
    names = [str(file) for file in files]
    settings: dict[str, object] = {"scan": names[0] if len(names) == 1 else names}
    if gridsize is not None and gridsize**2 > GroupingConfig().n_neighbors:
        settings["grouping"] = {"n_neighbors": gridsize**2}
    return RunConfig.from_mapping(settings, overrides=overrides)


def losses_table(record: "TrainingRecord") -> "Table":
    """Return a table of the first, some middle and the last epochs."""
    names = [name for name in record.epochs[-1] if name != "epoch"]
    table = new_table("epoch", *names, numbers=("epoch", *names))
    n = len(record.epochs)
    for i in sorted({round(k * (n - 1) / 7) for k in range(8)}):
        losses = record.epochs[i]
        table.add_row(str(int(losses["epoch"]) + 1), *(f"{losses[name]:.5g}" for name in names))
    return table
