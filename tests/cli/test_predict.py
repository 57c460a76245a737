"""``ptychofold predict``: a checkpoint and a scan in, a result out; or one line that says why not."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from ptychofold.cli.main import app
from ptychofold.config import ConvertStep, ModelConfig, PreprocessConfig
from ptychofold.data.store import PatternStore
from ptychofold.errors import CheckpointError, MissingFieldError, UnsupportedFormatError
from ptychofold.models import PtychographyModel
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import Reconstruction, load_checkpoint, predict_object, save_checkpoint
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


def test_patterns_of_the_other_kind_are_refused_with_the_command_that_converts_them(
    folder: Path, tmp_path: Path
) -> None:
    kind = RawData.from_file(folder / "scan.npz").measurement
    other = "intensity" if kind == "amplitude" else "amplitude"

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / arguments[0]) + ".npz"])

    call("preprocess", str(folder / "scan.npz"), "--to", other)
    made = RawData.from_file(tmp_path / "preprocess.npz")
    assert made.measurement == other
    refused = call("predict", str(folder / "model"), str(tmp_path / "preprocess.npz"))
    assert (refused.exit_code, refused.stderr.count(f"ptychofold preprocess SCAN --to {kind} -o OUT")) == (3, 1)
    made.preprocessed(PreprocessConfig(steps=(ConvertStep(to=kind),))).to_file(tmp_path / "back.npz")
    assert call("predict", str(folder / "model"), str(tmp_path / "back.npz")).exit_code == 0


def test_the_scan_is_not_replaced_by_its_object(folder: Path) -> None:
    before = (folder / "scan.npz").read_bytes()
    scan = str(folder / "scan.npz")
    told = CliRunner().invoke(app, ["predict", str(folder / "model"), scan, "-o", scan])
    assert told.exit_code == 2
    assert "scan.npz" in told.stderr
    assert (folder / "scan.npz").read_bytes() == before


def told(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert code == 0 or len(result.stderr.splitlines()) == 1
    return " ".join((result.stdout if code == 0 else result.stderr).split())


@pytest.fixture(scope="module")
def refined(folder: Path) -> Path:
    """Return the directory of a run that learned positions of the scan."""
    settings = ("model.lift_steps=1", "model.refine_positions=true", "training.position_learning_rate=0.5")
    options = [option for setting in settings for option in ("-s", setting)]
    told("train", folder / "scan.npz", "-o", folder / "refined", "-e", "1", "-g", "2", *options)
    return folder / "refined"


def test_a_scan_is_predicted_where_training_found_its_positions(folder: Path, refined: Path, tmp_path: Path) -> None:
    said = told("predict", refined, folder / "scan.npz", "-o", tmp_path / "net.npz")
    assert "positions as training found them: moved by" in said
    scan = RawData.from_file(folder / "scan.npz")
    expected = load_checkpoint(refined / "model.safetensors").refined(scan).positions
    assert abs(expected - scan.positions).max() > 0.01
    np.testing.assert_allclose(Reconstruction.from_file(tmp_path / "net.npz").positions, expected, atol=1e-6)
    told("reconstruct", folder / "scan.npz", "-o", tmp_path / "on.npz", "--start", tmp_path / "net.npz", "-e", "1")
    PatternStore.create(scan, tmp_path / "store")
    assert "positions as training found them" in told(
        "predict", refined, tmp_path / "store", "-o", tmp_path / "again.npz"
    )


def test_positions_that_were_learned_of_another_scan_are_said_not_to_apply(
    folder: Path, refined: Path, tmp_path: Path
) -> None:
    said = told("predict", refined, folder / "other.npz", "-o", tmp_path / "net.npz")
    assert "positions as the scan has them: the model learned those of another scan, which do not apply" in said
    positions = RawData.from_file(folder / "other.npz").positions
    np.testing.assert_allclose(Reconstruction.from_file(tmp_path / "net.npz").positions, positions, atol=1e-6)


@pytest.mark.parametrize("command", [["train"], ["reconstruct"], ["predict", "model"]])
def test_work_begins_only_on_a_device_that_is_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(folder)
    arguments = [*command, "scan.npz", "-o", str(tmp_path / "out.npz"), "--device"]
    assert "expected 65 CUDA GPUs for cuda:64" in told(*arguments, "cuda:64", code=2)
    assert not list(tmp_path.iterdir())
    told(*arguments, "cpu", *([] if command[0] == "predict" else ["-e", "1"]))


def test_training_takes_one_kind_of_device(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    said = told("train", folder / "scan.npz", "-o", tmp_path / "run", "--device", "cuda:1", code=2)
    assert "expected cpu, cuda or auto to train on; found cuda:1" in said
