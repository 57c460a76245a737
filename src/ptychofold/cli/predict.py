"""``ptychofold predict``: a trained network turns a scan into an object, in one pass over its patterns."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptychofold.cli.common import (
    DeviceOption,
    MeasurementChoice,
    MeasurementOption,
    ScanArgument,
    keep_inputs,
    open_scan,
    plain,
    progress,
    quantity,
    show,
)
from ptychofold.cli.reading_options import with_reading_options
from ptychofold.cli.reconstruct import result_table
from ptychofold.errors import CheckpointError, MissingFieldError

if TYPE_CHECKING:
    from ptychofold.config import ReadingConfig
    from ptychofold.models import PtychographyModel
    from ptychofold.raw_data import RawData

__all__ = ["how_to_end", "model_file", "positions_line", "predict"]


@with_reading_options
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A training run's directory, or its checkpoint.")],
    file: ScanArgument,
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="OUT", help="Result: .npz is a scan with an object, .h5 a product."),
    ],
    every_point: Annotated[
        bool, typer.Option("--every-point", help="Average about C views of each scan point: C times the work.")
    ] = False,
    apart: Annotated[
        bool,
        typer.Option("--streamed", help="Keep one batch in memory; phases of groups stay as the network gives them."),
    ] = False,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "-b", min=1, help="Groups that are predicted at once.")
    ] = None,
    device: DeviceOption = "auto",
    measurement: MeasurementOption = MeasurementChoice.auto,
    reading: "ReadingConfig",
) -> None:
    """Predict the object of the scan FILE with a trained network, and say how well it explains the patterns.

    The result is a start for `reconstruct --start`, ground truth for supervised training, and what `evaluate`, `plot`
    and `report` take.
    """
    from ptychofold.config import LoaderConfig
    from ptychofold.reconstruction import load_checkpoint, predict_object
    from ptychofold.reconstruction.devices import device_named
    from ptychofold.reconstruction.result import check_output

    where = device_named(device)
    keep_inputs(output, file, model_file(model), reading=reading)
    network = load_checkpoint(model_file(model)).to(where)
    scan = open_scan(file, measurement, reading=reading)
    network.contract.check(scan)
    check_output(output, scan)
    views = (network.contract.C or 1) if every_point else 1
    with progress("predicting", total=views * len(scan)) as advance:
        result = predict_object(
            network,
            scan,
            every_seed=every_point,
            synchronize=not apart,
            loader=None if batch_size is None else LoaderConfig(batch_size=batch_size),
            progress=advance,
        )
    left_out = result.save(output)
    result_table(result)
    show(
        *filter(None, [positions_line(network, scan)]),
        f"{quantity(views * len(scan) / result.seconds, 'patterns/s')}, phases, stitching and R included",
        f"wrote {plain(output)}" + (f"; it cannot hold {', '.join(left_out)}" if left_out else ""),
    )


def positions_line(model: "PtychographyModel", scan: "RawData") -> str | None:
    """Say whether positions that the model learned were used; None if it learned none."""
    if model.refinement is None:
        return None
    if not model.refinement.belongs_to(scan):
        return "positions as the scan has them: the model learned those of another scan, which do not apply"
    moved = model.refined(scan).positions - scan.positions
    return f"positions as training found them: moved by {float((moved**2).mean()) ** 0.5:.3g} px (root mean square)"


def model_file(path: Path) -> Path:
    """Return the checkpoint of a run's directory, or the file itself.

    Raises
    ------
    CheckpointError
        If it is a file of another kind, such as the scan.
    MissingFieldError
        If the directory has no trained model.
    """
    from ptychofold.reconstruction.run_folder import MODEL_FILE

    if path.is_file() and path.suffix != Path(MODEL_FILE).suffix:
        raise CheckpointError(
            f"expected a trained model, which is a run's directory or its {MODEL_FILE}; found {path}. MODEL comes "
            "first, then the scan FILE."
        )
    if not path.is_dir():
        return path
    if not (path / MODEL_FILE).is_file():
        raise MissingFieldError(
            f"expected a trained model in the run's directory; found none. {how_to_end(path)}.",
            path=path / MODEL_FILE,
            field="model",
        )
    return path / MODEL_FILE


def how_to_end(folder: Path) -> str:
    """Say which command ends the training of a run that has not ended."""
    from ptychofold.reconstruction.run_folder import RESUME_FILE, RUN_FILE

    if (folder / RESUME_FILE).is_file():
        return f"Its training has not ended: ptychofold train {folder / RUN_FILE} --resume"
    return "Train it with ptychofold train" + (f" {folder / RUN_FILE}" if (folder / RUN_FILE).is_file() else "")
