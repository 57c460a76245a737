"""``ptychofold reconstruct``: a scan becomes an object."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptychofold.cli.common import (
    DeviceOption,
    MeasurementChoice,
    MeasurementOption,
    ScanArgument,
    is_store,
    keep_inputs,
    new_table,
    open_scan,
    plain,
    progress,
    quantity,
    show,
)
from ptychofold.cli.reading_options import with_reading_options
from ptychofold.errors import ConfigError, MissingFieldError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Complex64

    from ptychofold.config import GradientConfig, PtychiConfig, ReadingConfig
    from ptychofold.physics import Geometry
    from ptychofold.raw_data import RawData
    from ptychofold.reconstruction.result import Reconstruction

__all__ = ["read_probe", "reconstruct", "result_table"]


class Engine(StrEnum):
    """What does the work."""

    gradient = "gradient"
    lsqml = "ptychi:lsqml"
    rpie = "ptychi:rpie"
    epie = "ptychi:epie"


@with_reading_options
def reconstruct(
    file: ScanArgument,
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="OUT", help="Result: .npz is a scan with an object, .h5 a product."),
    ],
    engine: Annotated[
        Engine, typer.Option("--engine", help="What does the work; pty-chi's need it.")
    ] = Engine.gradient,
    epochs: Annotated[int | None, typer.Option("--epochs", "-e", min=1, help="Passes over the patterns.")] = None,
    modes: Annotated[int | None, typer.Option("--modes", min=1, help="Incoherent probe modes.")] = None,
    refine_positions: Annotated[bool, typer.Option("--refine-positions", help="Move the positions too.")] = False,
    held_out: Annotated[
        float | None,
        typer.Option("--held-out", min=0.0, max=0.5, help="Share of patterns kept from the fit as a test."),
    ] = None,
    from_object: Annotated[bool, typer.Option("--from-object", help="Begin with the scan's object.")] = False,
    start: Annotated[
        str | None,
        typer.Option("--start", metavar="FILE[:NAME]", help="Begin with the object, probe and positions of a result."),
    ] = None,
    probe_from: Annotated[
        str | None, typer.Option("--probe-from", metavar="FILE[:NAME]", help="Begin with the probe of another file.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="NAME=VALUE", help="Any setting of the engine, such as loss=poisson."),
    ] = None,
    device: DeviceOption = "auto",
    measurement: MeasurementOption = MeasurementChoice.auto,
    reading: "ReadingConfig",
) -> None:
    """Reconstruct object and probe of the scan FILE, and say how well they explain it."""
    from ptychofold.reconstruction.devices import device_named
    from ptychofold.reconstruction.iterative import reconstruct as run
    from ptychofold.reconstruction.result import check_output

    named = {"epochs": epochs, "n_modes": modes, "held_out": held_out}
    overrides = [f"{name}={value}" for name, value in named.items() if value is not None]
    where = device_named(device)
    config = _config(
        engine, [*(settings or ()), *overrides, *["start=scan"] * from_object], refine_positions=refine_positions
    )
    keep_inputs(output, file, *(_file_of(where) for where in (start, probe_from)), reading=reading)
    scan = open_scan(file, measurement, reading=reading)
    check_output(output, scan)
    first = None if start is None else read_start(start, patterns=file)
    with progress(f"{engine.value} engine", total=config.epochs) as advance:
        result = run(
            scan,
            config,
            geometry=_stated_geometry(reading, scan),
            start=first,
            probe=None if probe_from is None else read_probe(probe_from),
            on_epoch=lambda _: advance(1),
            device=where,
        )
    left_out = result.save(output)
    result_table(result)
    show(f"wrote {plain(output)}" + (f"; it cannot hold {', '.join(left_out)}" if left_out else ""))


def result_table(result: "Reconstruction") -> None:
    """Show how well a reconstruction explains its scan."""
    table = new_table("quantity", "value")
    table.add_row("R of all patterns", f"{result.r_factor:.4f}")
    if result.r_factor_held_out is not None:
        table.add_row(f"R of {len(result.held_out)} held out", f"{result.r_factor_held_out:.4f}")
    table.add_row("power of the modes", ", ".join(f"{100 * share:.1f} %" for share in result.mode_shares))
    table.add_row("object", " × ".join(map(str, result.object.shape)) + " px")
    if result.seconds:
        table.add_row("time", f"{quantity(result.seconds, 's')}, {quantity(result.cpu_seconds, 's')} of processor")
    show(table)


def read_probe(where: str) -> "Complex64[np.ndarray, 'mode N N']":
    """Read the probe of a scan file, or the array NAME of an NPZ or HDF5 file given as FILE:NAME."""
    path, colon, _ = where.rpartition(":")
    if not colon or Path(where).exists():
        return open_scan(Path(where)).probe
    from ptychofold.preprocess.sources import read_side_array
    from ptychofold.validation import check_probe

    probe = read_side_array(where)
    return check_probe(probe, N=probe.shape[-1], path=Path(path))


def read_start(where: str, *, patterns: Path) -> "Reconstruction | Complex64[np.ndarray, 'H W']":
    """Read what a fit begins with: a result, a scan with an object, or an array given as FILE:NAME.

    A product has no patterns; those of the scan that is to be reconstructed are taken.
    """
    from ptychofold.reconstruction.result import Reconstruction
    from ptychofold.reconstruction.run_folder import MODEL_FILE, RUN_FILE

    if Path(where).suffix == Path(MODEL_FILE).suffix or (Path(where) / RUN_FILE).is_file():
        raise ConfigError(
            f"expected a result to begin with; {where} is a trained model. Let it predict the scan first: ptychofold "
            f"predict {where} {patterns} -o start.npz."
        )
    path, colon, _ = where.rpartition(":")
    if colon and not Path(where).exists():
        from ptychofold.preprocess.sources import read_side_array
        from ptychofold.validation import check_object

        return check_object(read_side_array(where), path=Path(path))
    if is_store(Path(where)):
        return Reconstruction.from_scan(open_scan(Path(where)))
    try:
        return Reconstruction.from_file(where)
    except MissingFieldError as error:
        if error.field != "patterns":
            raise
        return Reconstruction.from_file(where, patterns=patterns)


def _file_of(where: str | None) -> Path | None:
    """Return the file of FILE or FILE:NAME."""
    if where is None or Path(where).exists():
        return None if where is None else Path(where)
    return Path(where.rpartition(":")[0] or where)


def _config(engine: Engine, overrides: list[str], *, refine_positions: bool) -> "GradientConfig | PtychiConfig":
    from ptychofold.config import GradientConfig, PtychiConfig

    if engine is Engine.gradient:
        return GradientConfig.from_mapping({}, overrides=["position_learning_rate=1"] * refine_positions + overrides)
    method = f"method={engine.value.removeprefix('ptychi:')}"
    return PtychiConfig.from_mapping({}, overrides=["position_step=0.3"] * refine_positions + [*overrides, method])


def _stated_geometry(reading: "ReadingConfig", scan: "RawData") -> "Geometry | None":
    """Return the near field that the options state, which goes before that of a start."""
    from ptychofold.physics import Geometry

    stated = reading.propagation is not None or reading.focus_m is not None
    return Geometry.stated_by(scan.metadata) if stated else None
