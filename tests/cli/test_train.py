import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from typer import Typer
from typer.testing import CliRunner

from ptychofold.cli.main import app
from ptychofold.cli.train import train
from ptychofold.config import ReadingConfig
from ptychofold.data.store import PatternStore
from ptychofold.errors import CheckpointError, ConfigError, DivergenceError, FormatError
from ptychofold.grouping import split_scan
from ptychofold.models import PtychographyModel
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import load_checkpoint, predict_object
from ptychofold.reconstruction.run import RunConfig, prepare_run, read_history, train_run
from ptychofold.reconstruction.training import fit
from ptychofold.testing import make_scan

runner = Typer()
runner.command()(train)
QUICK = ["--set", "model.lift_steps=1", "--set", "loader.batch_size=9", "--set", "training.accelerator=cpu"]

SHORT = ["training.epochs=3", "model.lift_steps=1", "loader.batch_size=25", "training.accelerator=cpu"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "scan.npz"
    make_scan(n_scan=25, N=16).to_file(path)
    return path


def test_a_scan_becomes_a_model_and_the_settings_that_repeat_it(file: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    result = CliRunner().invoke(runner, [str(file), "-o", str(first), "-e", "2", "-g", "2", *QUICK])
    assert result.exit_code == 0, result.output
    assert "patterns/s" in result.stdout
    again = CliRunner().invoke(runner, [str(first / "run.toml"), "-o", str(second)])
    assert again.exit_code == 0, again.output
    models = [load_checkpoint(folder / "model.safetensors") for folder in (first, second)]
    assert models[0].contract.C == 4
    weights = [model.state_dict() for model in models]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_run_goes_on_where_it_stopped(file: Path, tmp_path: Path) -> None:
    arguments = [str(file), "-o", str(tmp_path), *QUICK, "--set", 'training.schedule="constant"']
    assert CliRunner().invoke(runner, [*arguments, "-e", "1"]).exit_code == 0
    result = CliRunner().invoke(runner, [*arguments, "-e", "2", "--resume"])
    assert result.exit_code == 0, result.output
    assert "6 steps" in result.stdout


def test_a_run_that_had_ended_is_left_as_it_is(file: Path, tmp_path: Path) -> None:
    arguments = [str(file), "-o", str(tmp_path), "-e", "2", *QUICK]
    assert CliRunner().invoke(runner, arguments).exit_code == 0
    model = tmp_path / "model.safetensors"
    whole, before = model.read_bytes(), model.stat().st_mtime_ns
    again = CliRunner().invoke(runner, [*arguments, "--resume"])
    assert again.exit_code == 0, again.output
    assert "nothing was left to train: the run had ended" in again.stdout
    assert model.stat().st_mtime_ns == before
    model.unlink()
    assert CliRunner().invoke(runner, [*arguments, "--resume"]).exit_code == 0
    assert model.read_bytes() == whole
    model.write_bytes(b"damaged")
    assert CliRunner().invoke(runner, [*arguments, "--resume"]).exit_code == 0
    assert model.read_bytes() == whole


def test_the_losses_of_an_interrupted_run_are_kept(file: Path, tmp_path: Path) -> None:
    run = RunConfig.from_mapping({"scan": str(file)}, overrides=[*SHORT, f"training.output_dir={str(tmp_path)!r}"])

    def stop(done: int, _total: int, _loss: float) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(run, on_step=stop)
    told = CliRunner().invoke(app, ["predict", str(tmp_path), str(file), "-o", str(tmp_path / "object.npz")])
    assert told.exit_code == 3
    assert f"Its training has not ended: ptychofold train {tmp_path / 'run.toml'} --resume." in told.stderr
    assert len(read_history(tmp_path)["train_loss"]) == 1
    _, record = train_run(run, resume=tmp_path)
    assert len(record.epochs) == 2
    assert len(read_history(tmp_path)["train_loss"]) == 3


def test_a_run_that_is_refused_leaves_the_directory_as_it_was(file: Path, tmp_path: Path) -> None:
    run = RunConfig.from_mapping({"scan": str(file)}, overrides=[*SHORT, f"training.output_dir={str(tmp_path)!r}"])
    train_run(run)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before.keys() == {"run.toml", "model.safetensors", "history.json", "last.ckpt"}
    other = run.replace(training=run.training.replace(learning_rate=0.5))
    with pytest.raises(CheckpointError, match=r"learning_rate was 0.003 and is 0.5"):
        train_run(other, resume=tmp_path)
    steady = run.replace(training=run.training.replace(schedule="constant"))
    with pytest.raises(CheckpointError, match=r"schedule was one_cycle and is constant\. Resume"):
        train_run(steady, resume=tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_directory_never_holds_files_of_two_runs(file: Path, tmp_path: Path) -> None:
    run = RunConfig.from_mapping({"scan": str(file)}, overrides=[*SHORT, f"training.output_dir={str(tmp_path)!r}"])
    train_run(run)
    diverging = ["training.learning_rate=1e30", "training.gradient_clip=1e30", "training.schedule=constant"]
    other = RunConfig.from_file(tmp_path / "run.toml", overrides=diverging)
    with pytest.raises(DivergenceError):
        train_run(other)
    assert RunConfig.from_file(tmp_path / "run.toml").training.learning_rate == 1e30
    assert not (tmp_path / "model.safetensors").exists()
    assert len(read_history(tmp_path).get("train_loss", [])) < 3


def test_a_run_is_repeated_in_its_own_directory_wherever_it_is_moved(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train_run(RunConfig.from_mapping({"scan": str(file)}, overrides=[*SHORT, "training.output_dir=first"]))
    (tmp_path / "first").rename(tmp_path / "second")
    again = RunConfig.from_file("second/run.toml")
    assert again.training.output_dir == Path("second")
    train_run(again)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["second"]


def test_a_model_needs_a_place(file: Path) -> None:
    result = CliRunner().invoke(runner, [str(file)])
    assert isinstance(result.exception, ConfigError)
    assert "a directory for the model" in str(result.exception)


def test_a_file_is_no_place_for_a_model(file: Path) -> None:
    before = file.read_bytes()
    file.with_name("taken").touch()
    for output, code, says in (
        ("taken", 2, "taken is a file"),
        ("taken/run", 3, "taken is a file. Name another place"),
    ):
        result = CliRunner().invoke(app, ["train", str(file), "-o", str(file.parent / output)])
        assert result.exit_code == code
        assert says in result.stderr
    file.with_name("taken").unlink()
    assert file.read_bytes() == before


def test_a_larger_grid_takes_as_many_neighbors_as_it_needs(file: Path, tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["train", str(file), "-o", str(tmp_path), "-g", "3", "-e", "1", *QUICK])
    assert told.exit_code == 0, told.output
    assert RunConfig.from_file(tmp_path / "run.toml").grouping.n_neighbors == 9


def test_bits_are_taken_as_a_number_too(file: Path) -> None:
    run = RunConfig.from_mapping({"scan": str(file)}, overrides=["training.precision=32"])
    assert run.training.precision == "32"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model.size=huge", "RunConfig: model.size: Input should be 'small', 'base' or 'large'; found 'huge'."),
        ("training.nothing=1", "RunConfig: training: unknown setting 'nothing'"),
        ("grouping.grid=[3, 3]", "RunConfig: grouping: a grid of (3, 3) with seed_role='excluded' needs n_neighbors"),
    ],
)
def test_a_wrong_setting_is_told_once_by_its_full_name(file: Path, override: str, says: str) -> None:
    with pytest.raises(ConfigError, match=r"^RunConfig: ") as caught:
        RunConfig.from_mapping({"scan": str(file)}, overrides=[override])
    assert str(caught.value).startswith(says)
    assert str(caught.value).count("found") <= 1


def test_an_override_below_what_is_no_group_is_refused_and_leaves_the_settings_alone(file: Path) -> None:
    settings = {"scan": str(file), "training": {"epochs": 3}}
    with pytest.raises(ConfigError, match=r"a group of settings as scan in 'scan\.name=1'; it is '"):
        RunConfig.from_mapping(settings, overrides=["training.epochs=5", "scan.name=1"])
    assert settings["training"] == {"epochs": 3}


def test_validation_and_true_patches_come_from_the_settings(file: Path) -> None:
    run = RunConfig.from_mapping(
        {"scan": str(file)},
        overrides=["split.validation=0.2", "training.mode=supervised", "training.epochs=1", "grouping.seed=3"],
    )
    model, training, validation = prepare_run(run)
    assert validation is not None
    assert (len(training.batch_order.source), len(validation.batch_order.source)) == (18, 5)
    assert model.scaling.n_patterns == 18
    _, record = train_run(run)
    assert "validation_patch_loss" in record.epochs[0]


def test_positions_are_refined_for_the_training_points_and_used_for_the_object(file: Path) -> None:
    run = RunConfig.from_mapping(
        {"scan": str(file)},
        overrides=[
            *("split.validation=0.3", "model.refine_positions=true", "model.lift_steps=1", "grouping.grid=[2, 2]"),
            *("training.epochs=1", "training.position_learning_rate=0.5", "training.accelerator='cpu'"),
        ],
    )
    scan = RawData.from_file(file)
    split = split_scan(scan.positions, fractions=run.split.fractions, method=run.split.method, seed=run.split.seed)
    model, _ = train_run(run)
    moved = np.abs(model.refined(scan).positions - scan.positions).max(axis=1)
    assert np.mean(moved[split["train"]] > 0) > 0.9
    assert moved[split["validation"]].max() == 0
    result = predict_object(model, scan)
    np.testing.assert_allclose(result.positions - result.shift, model.refined(scan).positions)


def test_positions_are_not_refined_of_points_that_groups_do_not_count(file: Path) -> None:
    run = RunConfig.from_mapping({"scan": str(file)}, overrides=["split.validation=0.3", "model.refine_positions=true"])
    _, training, _ = prepare_run(run)
    whole = PtychographyModel.for_scan(RawData.from_file(file), run.model)
    with pytest.raises(ConfigError, match="the 25 scan points whose positions are refined; found groups of 1"):
        fit(whole, training, None, run.training)


def test_what_a_file_lacks_is_given_once_and_kept_with_the_run(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "probe.npy", RawData.from_file(file).probe)
    monkeypatch.chdir(tmp_path)
    command = [str(file), "-o", "run", "-e", "1", *QUICK, "--probe", "probe.npy", "--energy-ev", "9000"]
    result = CliRunner().invoke(runner, command)
    assert result.exit_code == 0, result.output
    run = RunConfig.from_file("run/run.toml")
    assert (run.reading.probe, run.reading.energy_ev) == (tmp_path / "probe.npy", 9000)
    prepare_run(run)
    (tmp_path / "probe.npy").unlink()
    with pytest.raises(FormatError, match=r"probe\.npy"):
        prepare_run(run)


def test_a_store_is_not_completed(file: Path, tmp_path: Path) -> None:
    store = PatternStore.create(RawData.from_file(file), tmp_path / "store")
    run = RunConfig(scan=store.directory, reading=ReadingConfig(energy_ev=9000))
    with pytest.raises(ConfigError, match="as a store is whole; found some in reading"):
        prepare_run(run)


def test_settings_survive_the_way_through_a_file(file: Path, tmp_path: Path) -> None:
    run = RunConfig.from_mapping(
        {"scan": str(file)},
        overrides=[
            "model.size=base",
            "reading.detector_pixel_m=[1e-4, 2e-4]",
            "training.output_dir=out",
            "training.max_minutes=1.5",
            "training.loggers=['csv']",
        ],
    )
    path = tmp_path / "run.toml"
    path.write_text(run.to_toml())
    assert tomllib.loads(run.to_toml())["model"]["size"] == "base"
    found = RunConfig.from_file(path)
    assert found.training.output_dir == tmp_path / "out"
    assert found.replace(training=run.training) == run


def test_groups_without_a_seed_are_drawn_by_one_so_that_the_run_can_be_repeated(file: Path) -> None:
    run = RunConfig.from_mapping({"scan": file, "grouping": {"n_neighbors": 5}})
    assert (run.grouping.seed, run.grouping.n_neighbors) == (0, 5)


def test_an_unknown_setting_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match="colour"):
        RunConfig.from_mapping({"scan": str(file)}, overrides=["model.colour=red"])


def test_the_command_is_registered() -> None:
    assert "train" in CliRunner().invoke(app, ["--help"]).stdout
