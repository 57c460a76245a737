"""``ptychofold preprocess``: a scan, cropped, binned, cleaned or turned, into a file or a store."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptychofold.cli.common import (
    MeasurementChoice,
    MeasurementOption,
    ScanArgument,
    check_scan_output,
    is_store,
    keep_inputs,
    new_table,
    open_scan,
    plain,
    progress,
    progress_of,
    show,
)
from ptychofold.cli.reading_options import with_reading_options
from ptychofold.errors import ConfigError

if TYPE_CHECKING:
    from ptychofold.config import PreprocessConfig, ReadingConfig
    from ptychofold.raw_data import RawData

__all__ = ["history_rows", "preprocess"]


class PatternKind(StrEnum):
    """What patterns can be stored as."""

    amplitude = "amplitude"
    intensity = "intensity"


LONGEST = 60
"""Characters of a parameter that are shown."""


@with_reading_options
def preprocess(
    file: ScanArgument,
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Scan file to write, or the directory of a new store."),
    ],
    steps: Annotated[
        Path | None, typer.Option("--steps", metavar="TOML", help="Recipe: a list of [\\[steps]], done first to last.")
    ] = None,
    clean_positions: Annotated[
        bool, typer.Option("--clean-positions", help="Drop positions that are NaN, outliers or repeated.")
    ] = False,
    find_bad_pixels: Annotated[bool, typer.Option("--find-bad-pixels", help="Mask hot and dead pixels.")] = False,
    crop: Annotated[
        int | None, typer.Option("--crop", min=1, help="Side of the square to keep around the beam, in pixels.")
    ] = None,
    center: Annotated[
        tuple[float, float] | None,
        typer.Option("--center", metavar="ROW COLUMN", help="The beam in pixels, for --crop; estimated if not given."),
    ] = None,
    turn: Annotated[
        str | None, typer.Option("--turn", help="Turn the frames: rotate_90, flip_rows, transpose and the like.")
    ] = None,
    bin_: Annotated[int | None, typer.Option("--bin", min=2, help="Add up blocks of this side in pixels.")] = None,
    pad: Annotated[
        int | None, typer.Option("--pad", min=1, help="Side to pad the frames to, in pixels; new ones are bad.")
    ] = None,
    to: Annotated[
        PatternKind | None,
        typer.Option("--to", help="Store roots of intensities, or squares of amplitudes, as other programs want them."),
    ] = None,
    measurement: MeasurementOption = MeasurementChoice.auto,
    reading: "ReadingConfig",
) -> None:
    """Preprocess the scan FILE; probe, object, positions, mask and pixel size follow, and each step is noted.

    The steps of the recipe come first, then those of the options in the order in which --help lists them.
    """
    from ptychofold.raw_data import RawData

    if center is not None and crop is None:
        raise ConfigError("expected --crop with --center; found --center alone. Say the size to keep.")
    asked: tuple[tuple[object, dict[str, object]], ...] = (
        (clean_positions, {"step": "positions"}),
        (find_bad_pixels, {"step": "bad_pixels"}),
        (crop, {"step": "crop", "size": crop, "center": center}),
        (turn, {"step": "orient", "turn": turn}),
        (bin_, {"step": "bin", "factor": bin_}),
        (pad, {"step": "pad", "size": pad}),
        (to, {"step": "convert", "to": to and to.value}),
    )
    keep_inputs(output, file, steps, reading=reading)
    check_scan_output(output)
    recipe = _recipe(steps, [step for value, step in asked if value not in (None, False)])
    if is_store(file):
        scan = open_scan(file, measurement, reading=reading).preprocessed(recipe)
    else:
        scan = RawData.from_file(file, measurement=measurement.value, steps=recipe, reading=reading)
    _write(scan, output)
    table = new_table("step", "parameters", title=plain(file.name))
    for name, parameters in history_rows(scan.metadata.history):
        table.add_row(f"[bold]{name}[/]", plain(parameters))
    shape = " × ".join(map(str, scan.patterns.shape))
    show(table, "", f"wrote {plain(output)}: patterns of {shape}, {scan.patterns.dtype}")


def history_rows(history: Sequence[Mapping[str, object]]) -> list[tuple[str, str]]:
    """Return name and parameters of each step, for people."""
    rows = []
    for step in history:
        known = {name: json.dumps(value) for name, value in step.items() if name != "step"}
        parts = [f"{name} = {text[:LONGEST]}{'…' * (len(text) > LONGEST)}" for name, text in known.items()]
        rows.append((str(step.get("step", "unknown")), ", ".join(parts)))
    return rows


def _recipe(path: Path | None, options: list[dict[str, object]]) -> "PreprocessConfig":
    from ptychofold.config import PreprocessConfig

    chosen = PreprocessConfig.from_mapping({"steps": options})
    if path is not None:
        chosen = PreprocessConfig(steps=(*PreprocessConfig.from_toml(path).steps, *chosen.steps))
    if not chosen.steps:
        raise ConfigError(
            "expected at least one step; found none. Give --steps recipe.toml, or an option such as --crop."
        )
    return chosen


def _write(scan: "RawData", output: Path) -> None:
    if output.suffix:
        with progress("writing", total=None):
            left_out = scan.to_file(output)
        if left_out:
            show(f"{plain(output)} cannot hold {', '.join(left_out)}")
        return
    from ptychofold.data.store import PatternStore

    with progress_of("writing") as report:
        PatternStore.create(scan, output, on_progress=report)
