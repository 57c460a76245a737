from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from ptychofold.cli.main import app
from ptychofold.cli.reconstruct import Engine, reconstruct
from ptychofold.config import PtychiConfig
from ptychofold.errors import ConfigError, DependencyError, ShapeError
from ptychofold.physics import Geometry
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.result import Reconstruction
from ptychofold.reconstruction.run import RunConfig, prepare_run
from ptychofold.testing import make_scan

runner = Typer()
runner.command()(reconstruct)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan, its reconstruction by the usual settings as NPZ and as product."""
    path = tmp_path_factory.mktemp("reconstruct")
    scan = make_scan(n_scan=36, N=16, seed=4)
    # a frame in which patches reach beyond the first row, so that a result has a frame of its own
    replace(scan, object=None, positions=scan.positions - 5, positions_nominal=scan.positions - 5).to_file(
        path / "scan.npz"
    )
    for name in ("result.npz", "result.h5"):
        output = CliRunner().invoke(runner, [str(path / "scan.npz"), "-o", str(path / name), "-e", "4"])
        assert output.exit_code == 0, output.output
    return path


def test_a_scan_becomes_a_result_whose_r_factor_is_told(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.npz"
    told = CliRunner().invoke(runner, [str(folder / "scan.npz"), "-o", str(output), "-e", "2", "--held-out", "0.1"])
    assert told.exit_code == 0, told.output
    result = Reconstruction.from_file(output)
    assert f"{result.r_factor:.4f}" in told.stdout
    assert f"{result.r_factor_held_out:.4f}" in told.stdout
    assert "R of 4 held out" in told.stdout
    assert result.provenance["engine"] == "gradient"
    assert len(result.losses) == 2


@pytest.mark.parametrize("start", ["result.npz", "result.h5", "result.npz:objectGuess"])
def test_a_fit_goes_on_from_a_saved_result(folder: Path, tmp_path: Path, start: str) -> None:
    first = Reconstruction.from_file(folder / "result.npz")
    scan = folder / ("result.npz" if ":" in start else "scan.npz")
    settings = ["-e", "1", "-s", "learning_rate=0.01", "-s", "probe_learning_rate=0.01"]
    output = CliRunner().invoke(
        runner, [str(scan), "-o", str(tmp_path / "on.npz"), "--start", str(folder / start), *settings]
    )
    assert output.exit_code == 0, output.output
    second = RawData.from_file(tmp_path / "on.npz")
    found = Reconstruction.from_scan(second)
    assert found.losses[0] < 1.05 * first.losses[-1]
    np.testing.assert_allclose(second.positions, first.positions, atol=1e-3)
    np.testing.assert_allclose(second.positions_nominal, second.positions, atol=1e-3)


def test_a_result_is_ground_truth_for_training(folder: Path) -> None:
    run = RunConfig.from_mapping({"scan": str(folder / "result.npz")}, overrides=["training.mode=supervised"])
    _, training, _ = prepare_run(run)
    batch = next(iter(training))
    truth = Reconstruction.from_file(folder / "result.npz")
    assert batch.patches is not None
    row = int(batch.members[0, 0])
    top, left = np.floor(truth.positions[row]).astype(int) - 8
    cut = truth.object[top : top + 17, left : left + 17]
    fy, fx = truth.positions[row] % 1
    rows = (1 - fy) * cut[:-1] + fy * cut[1:]
    np.testing.assert_allclose(batch.patches[0, 0].numpy(), (1 - fx) * rows[:, :-1] + fx * rows[:, 1:], atol=1e-4)


def test_the_near_field_is_taken_from_the_file(tmp_path: Path) -> None:
    from ptychofold.config import ScanGeometry

    scan = make_scan(n_scan=9, N=16)
    stated = ScanGeometry(wavelength_m=1e-10, propagation="near_field", distance_m=2e-3, detector_pixel_m=(1e-7, 1e-7))
    near = replace(scan, metadata=replace(scan.metadata, geometry=stated, pixel_size_m=(1e-7, 1e-7)))
    near.to_file(tmp_path / "near.npz")
    output = CliRunner().invoke(runner, [str(tmp_path / "near.npz"), "-o", str(tmp_path / "out.npz"), "-e", "1"])
    assert output.exit_code == 0, output.output
    assert Reconstruction.from_file(tmp_path / "out.npz").geometry == Geometry(
        propagation="near_field", wavelength_m=1e-10, distance_m=2e-3, pixel_size_m=(1e-7, 1e-7)
    )


def test_wrong_starts_and_outputs_are_refused_before_the_work(folder: Path, tmp_path: Path) -> None:
    def refused(*arguments: str, output: str = "out.npz") -> BaseException | None:
        told = CliRunner().invoke(runner, [str(folder / "scan.npz"), "-o", str(tmp_path / output), *arguments])
        assert told.exit_code != 0
        assert not list(tmp_path.iterdir())
        return told.exception

    error = refused("--start", f"{folder / 'result.npz'}:nothing")
    assert isinstance(error, ConfigError)
    assert "an array 'nothing'" in str(error)
    error = refused("--start", f"{folder / 'result.npz'}:xcoords")
    assert isinstance(error, ShapeError)
    assert "an object of shape (H, W)" in str(error)
    error = refused("--start", "run/model.safetensors")
    assert isinstance(error, ConfigError)
    assert "is a trained model. Let it predict the scan first: ptychofold predict run/model" in str(error)
    make_scan(n_scan=9, N=16).to_file(folder / "other.npz")
    error = refused("--start", str(folder / "other.npz"))
    assert isinstance(error, ShapeError)
    assert "a reconstruction of 36 positions" in str(error)
    assert ".npz" in str(refused(output="out.tiff"))


def test_bad_numbers_and_divergence_leave_no_result_and_an_exit_code(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.npz"
    diverging = ["-e", "3", "-s", "learning_rate=1e30", "-s", "loss=amplitude"]
    told = CliRunner().invoke(app, ["reconstruct", str(folder / "scan.npz"), "-o", str(output), *diverging])
    assert told.exit_code == 4
    assert "expected a finite fit" in told.output
    with np.load(folder / "scan.npz") as file:
        arrays = {name: file[name] for name in file}
    amplitude = np.sqrt(arrays.pop("diff3d").astype(np.float32))
    amplitude[3, 2, 1] = np.nan
    np.savez(tmp_path / "nan.npz", diff3d=amplitude, **arrays)
    told = CliRunner().invoke(app, ["reconstruct", str(tmp_path / "nan.npz"), "-m", "amplitude", "-o", str(output)])
    assert told.exit_code == 3
    assert "nan" in told.output.lower()
    assert not output.exists()


def test_every_engine_of_pty_chi_has_a_name_and_needs_the_package(folder: Path, tmp_path: Path) -> None:
    methods = PtychiConfig.model_json_schema()["properties"]["method"]["enum"]
    assert [engine.value for engine in Engine] == ["gradient", *(f"ptychi:{method}" for method in methods)]
    if find_spec("ptychi") is None:
        told = CliRunner().invoke(
            runner, [str(folder / "scan.npz"), "-o", str(tmp_path / "out.npz"), "--engine", "ptychi:rpie"]
        )
        assert isinstance(told.exception, DependencyError)
        assert "ptychofold[iterative]" in str(told.exception)
