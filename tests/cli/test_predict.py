"""``ptychofold predict``: a checkpoint and a scan in, a result out; or one line that says why not."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ptychofold.cli.main import app
from ptychofold.config import ModelConfig
from ptychofold.errors import CheckpointError, MissingFieldError, UnsupportedFormatError
from ptychofold.models import PtychographyModel
from ptychofold.reconstruction import Reconstruction, predict_object, save_checkpoint
from ptychofold.testing import make_scan


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a scan, another of the same kind, one of another size, and a model of the first."""
    path = tmp_path_factory.mktemp("run")
    scan = make_scan(n_scan=25, N=16, step=2.0, seed=1)
    scan.to_file(path / "scan.npz")
    make_scan(n_scan=25, N=16, step=2.0, seed=2).to_file(path / "other.npz")
    make_scan(n_scan=25, N=32).to_file(path / "larger.npz")
    (path / "model").mkdir()
    model = PtychographyModel.for_scan(scan, ModelConfig(lift_steps=2))
    model.contract = model.contract.with_groups_of(4)
    save_checkpoint(path / "model" / "model.safetensors", model)
    return path


@pytest.mark.parametrize(
    ("model", "scan", "options"),
    [
        ("model", "scan.npz", []),
        ("model/model.safetensors", "other.npz", ["--batch-size", "3"]),
        ("model", "other.npz", ["--every-point"]),
        ("model", "other.npz", ["--streamed"]),
    ],
)
def test_a_scan_becomes_an_object(folder: Path, tmp_path: Path, model: str, scan: str, options: list[str]) -> None:
    output = tmp_path / "object.npz"
    told = CliRunner().invoke(app, ["predict", str(folder / model), str(folder / scan), "-o", str(output), *options])
    assert told.exit_code == 0, told.output
    result = Reconstruction.from_file(output)
    assert f"{result.r_factor:.4f}" in told.stdout
    assert "patterns/s" in told.stdout
    settings = result.provenance["settings"]
    assert isinstance(settings, dict)
    assert settings["every_seed"] == ("--every-point" in options)
    assert settings["synchronize"] != ("--streamed" in options)


def test_it_is_what_python_makes_of_it(folder: Path, tmp_path: Path) -> None:
    from ptychofold.raw_data import RawData
    from ptychofold.reconstruction import load_checkpoint

    output = tmp_path / "object.npz"
    CliRunner().invoke(app, ["predict", str(folder / "model"), str(folder / "scan.npz"), "-o", str(output)])
    model = load_checkpoint(folder / "model" / "model.safetensors")
    expected = predict_object(model, RawData.from_file(folder / "scan.npz"))
    np.testing.assert_array_equal(Reconstruction.from_file(output).object, expected.object)


@pytest.mark.parametrize(
    ("model", "scan", "output", "error", "says"),
    [
        ("model", "larger.npz", "object.npz", CheckpointError, "N = 16"),
        ("scan.npz", "scan.npz", "object.npz", CheckpointError, "safetensors"),
        (".", "scan.npz", "object.npz", MissingFieldError, "a trained model in the run's directory"),
        ("model", "scan.npz", "object.txt", UnsupportedFormatError, "expected one of"),
    ],
)
def test_what_does_not_fit_is_one_line_and_nothing_is_written(
    folder: Path, tmp_path: Path, model: str, scan: str, output: str, *, error: type[Exception], says: str
) -> None:
    arguments = ["predict", str(folder / model), str(folder / scan), "-o", str(tmp_path / output)]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 3
    assert says in told.stderr
    assert told.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    debug = CliRunner().invoke(app, ["--debug", *arguments])
    assert error.__name__ in debug.stderr


def test_the_scan_is_not_replaced_by_its_object(folder: Path) -> None:
    before = (folder / "scan.npz").read_bytes()
    scan = str(folder / "scan.npz")
    told = CliRunner().invoke(app, ["predict", str(folder / "model"), scan, "-o", scan])
    assert told.exit_code == 2
    assert "scan.npz" in told.stderr
    assert (folder / "scan.npz").read_bytes() == before
