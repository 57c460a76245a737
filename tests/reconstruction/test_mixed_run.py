"""A run of several scans: one model, each scan with its own probe and scale, and the same again from its file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from ptychofold.cli.main import app
from ptychofold.config import ModelConfig
from ptychofold.data import MixtureDataset
from ptychofold.errors import CheckpointError, ConfigError
from ptychofold.models import PtychographyModel
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import load_checkpoint, predict_object
from ptychofold.reconstruction.run import RunConfig, prepare_run
from ptychofold.testing import make_scan

QUICK = ["--set", "model.lift_steps=1", "--set", "loader.batch_size=9", "--set", "training.accelerator=cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with two scans that fit, the second also with its probe in another unit, and a larger one."""
    path = tmp_path_factory.mktemp("scans")
    make_scan(n_scan=25, N=16, n_photons=1e5, seed=1).to_file(path / "first.npz")
    second = make_scan(n_scan=36, N=16, n_photons=4e5, seed=2)
    second.to_file(path / "second.npz")
    replace(second, probe=second.probe / np.abs(second.probe).max()).to_file(path / "units.npz")
    make_scan(n_scan=25, N=32).to_file(path / "larger.npz")
    return path


def _run(folder: Path, *names: str, overrides: tuple[str, ...] = ()) -> RunConfig:
    scans = [str(folder / name) for name in names]
    return RunConfig.from_mapping(
        {"scan": scans}, overrides=["model.lift_steps=1", "training.accelerator=cpu", *overrides]
    )


def test_scans_become_one_model_and_the_file_that_repeats_it(folder: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    scans = [str(folder / name) for name in ("first.npz", "second.npz")]
    told = CliRunner().invoke(app, ["train", *scans, "-o", str(first), "-e", "2", "-g", "2", *QUICK])
    assert told.exit_code == 0, told.output
    assert RunConfig.from_file(first / "run.toml").scans == tuple(map(Path, scans))
    again = CliRunner().invoke(app, ["train", str(first / "run.toml"), "-o", str(second)])
    assert again.exit_code == 0, again.output
    weights = [load_checkpoint(path / "model.safetensors").state_dict() for path in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    for scan in scans:
        assert predict_object(load_checkpoint(first / "model.safetensors"), RawData.from_file(scan)).r_factor < 1


def test_where_every_probe_tells_the_photons_all_share_one_scale(folder: Path) -> None:
    model, train, _ = prepare_run(_run(folder, "first.npz", "second.npz"))
    source = train.batch_order.source
    assert isinstance(source, MixtureDataset)
    energies = [RawData.from_file(folder / name).energies() for name in ("first.npz", "second.npz")]
    assert model.config.probe_scaling == "given"
    assert model.scaling.n_patterns == 61
    assert model.scaling.mean_energy == pytest.approx(np.concatenate(energies).mean(), rel=1e-9)
    np.testing.assert_allclose(source.scales, model.scaling.rms_input_scale, rtol=1e-6)


def test_where_one_does_not_each_probe_gets_the_energy_of_its_own_patterns(folder: Path) -> None:
    model, train, _ = prepare_run(_run(folder, "first.npz", "units.npz"))
    source = train.batch_order.source
    assert model.config.probe_scaling == "match"
    batch = source.__getitems__([0, len(source) - 1])
    powers = model.illumination(batch).probe.abs().square().sum(dim=(-3, -2, -1)).flatten()
    expected = [RawData.from_file(folder / name).energies().mean() for name in ("first.npz", "units.npz")]
    np.testing.assert_allclose(powers.numpy(), expected, rtol=1e-4)


def test_each_scan_is_split_and_may_be_seen_equally_often(folder: Path) -> None:
    split = "split.validation=0.2"
    _, train, validation = prepare_run(
        _run(folder, "first.npz", "second.npz", overrides=(split, 'mixture.policy="uniform"'))
    )
    assert validation is not None
    alone = [prepare_run(_run(folder, name, overrides=(split,))) for name in ("first.npz", "second.npz")]
    lengths = [len(found[1].batch_order.source) for found in alone]
    assert len(train.batch_order.source) == sum(lengths)
    assert len(validation.batch_order.source) == sum(len(found[2].batch_order.source) for found in alone if found[2])
    order = train.batch_order.source.order(np.random.default_rng(0))
    of_the_first = int((order < lengths[0]).sum())
    assert abs(len(order) - 2 * of_the_first) <= 1
    judged = validation.batch_order.source
    assert sorted(judged.order(None).tolist()) == list(range(len(judged)))


def test_scans_in_a_file_are_found_from_where_it_lies(folder: Path) -> None:
    file = folder / "run.toml"
    file.write_text('scan = ["first.npz", "second.npz"]\n', encoding="utf-8")
    assert RunConfig.from_file(file).scans == (folder / "first.npz", folder / "second.npz")
    with pytest.raises(ConfigError, match="scan"):
        RunConfig.from_mapping({"scan": []})


def test_what_does_not_go_together_is_refused_before_training(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"larger\.npz: expected a scan with N = 16"):
        prepare_run(_run(folder, "first.npz", "larger.npz"))
    with pytest.raises(ConfigError, match="expected one scan, as trainable_probe is set; found 2"):
        prepare_run(_run(folder, "first.npz", "second.npz", overrides=("model.trainable_probe=true",)))
    with pytest.raises(ConfigError, match="expected at least one scan"):
        PtychographyModel.for_scans([], ModelConfig())
    (tmp_path / "run.toml").write_text('scan = "x.npz"\n')
    told = CliRunner().invoke(app, ["train", str(folder / "first.npz"), str(tmp_path / "run.toml"), "-o", "m"])
    assert told.exit_code == 2
    assert "expected one run's TOML file, or scans; found 2 files" in told.stderr
