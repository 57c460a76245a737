import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ptychofold.config import GroupingConfig, ModelConfig, TrainingConfig
from ptychofold.data import GroupedDataset
from ptychofold.errors import CheckpointError, DivergenceError
from ptychofold.metadata import Metadata
from ptychofold.models import PtychographyModel
from ptychofold.physics import Geometry, simulate
from ptychofold.reconstruction import (
    load_checkpoint,
    predict,
    prediction_loader,
    read_description,
    save_checkpoint,
    stitch,
)
from ptychofold.reconstruction.metrics import scan_r_factor
from ptychofold.testing import make_scan

SCAN = make_scan(n_scan=9, N=16)


def model_for(**settings: object) -> PtychographyModel:
    return PtychographyModel.for_scan(SCAN, ModelConfig.from_mapping({"lift_steps": 1, **settings}))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"head": "amplitude_phase", "size": "base"},
        {"trainable_probe": True, "refine_positions": True},
        {"passes": 2},
    ],
)
def test_a_model_comes_back_bit_for_bit(tmp_path: Path, settings: dict[str, object]) -> None:
    model = model_for(**settings)
    save_checkpoint(tmp_path / "m.safetensors", model)
    found = load_checkpoint(tmp_path / "m.safetensors")
    assert (found.config, found.contract, found.scaling) == (model.config, model.contract, model.scaling)
    batch = GroupedDataset(SCAN, GroupingConfig(seed=0)).load()
    assert torch.equal(found.predict_patches(batch).patches, model.eval().predict_patches(batch).patches)


def test_a_checkpoint_tells_all_that_must_be_known_without_a_pickle(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    training = TrainingConfig(epochs=7)
    save_checkpoint(path, model_for(), training=training, losses={"train_loss": 0.5}, provenance={"scan": "a.npz"})
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["ptychofold"])
    assert header == read_description(path)
    assert header["contract"]["N"] == 16
    assert header["training"]["epochs"] == 7
    assert header["losses"] == {"train_loss": 0.5}
    assert header["provenance"]["scan"] == "a.npz"
    assert header["scaling"]["scale_contract_version"] == "legacy_v1"
    assert {"ptychofold", "torch", "python"} <= header["provenance"].keys()


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    model, path = model_for(), tmp_path / "m.safetensors"
    save_checkpoint(path, model)
    before = path.read_bytes()
    with torch.no_grad():
        next(model.network.parameters()).fill_(torch.nan)
    with pytest.raises(DivergenceError, match=r"finite weights to save; found NaN or infinity in network\."):
        save_checkpoint(path, model)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("scan", "says"),
    [
        (make_scan(n_scan=9, N=32), "N = 16.*found 32"),
        (make_scan(n_scan=9, N=16, measurement="amplitude"), "measurement = intensity.*found amplitude"),
        (make_scan(n_scan=9, N=16, n_modes=2), "n_modes = 1.*found 2"),
    ],
)
def test_a_scan_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, scan: "object", says: str) -> None:
    save_checkpoint(tmp_path / "m.safetensors", model_for())
    model = load_checkpoint(tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match=says) as caught:
        prediction_loader(model, scan)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert "train a model for it" in str(caught.value)


def test_another_grid_or_propagation_is_refused(tmp_path: Path) -> None:
    model = model_for()
    model.contract = model.contract.with_groups_of(4)
    save_checkpoint(tmp_path / "m.safetensors", model)
    found = load_checkpoint(tmp_path / "m.safetensors")
    from ptychofold.reconstruction import covering_groups

    with pytest.raises(CheckpointError, match="groups of 4, as the model was trained on; found groups of 1"):
        prediction_loader(found, SCAN, groups=covering_groups(SCAN.positions, C=1))
    near = Geometry(propagation="near_field", wavelength_m=1e-10, distance_m=1e-4, pixel_size_m=(1e-7, 1e-7))
    with pytest.raises(CheckpointError, match=r"geometry = far_field.*found near_field"):
        prediction_loader(found, SCAN, geometry=near)


def test_the_near_field_that_a_scan_states_is_learned_and_asked_for() -> None:
    assert SCAN.object is not None
    near = Geometry(propagation="near_field", wavelength_m=1e-10, distance_m=1e-4, pixel_size_m=(1e-7, 1e-7))
    scan, farther = (
        simulate(SCAN.object, SCAN.probe, SCAN.positions, seed=0, n_photons=1e4, geometry=geometry)
        for geometry in (near, near.replace(distance_m=2e-4))
    )
    model = PtychographyModel.for_scan(scan, ModelConfig(lift_steps=1))
    assert model.contract.geometry == near
    assert Geometry.of(model.forward_model.propagator) == near
    result = stitch(predict(model, prediction_loader(model, scan)), scan)
    assert result.geometry == near
    explained = scan_r_factor(scan, SCAN.object, scan.probe, scan.positions)
    assert explained < 0.5 * scan_r_factor(scan, SCAN.object, scan.probe, scan.positions, geometry=Geometry())
    with pytest.raises(CheckpointError, match=r"geometry = far_field.*found near_field over 0.0001 m"):
        prediction_loader(model_for(), scan)
    with pytest.raises(CheckpointError, match=r"near_field over 0.0001 m.*found near_field over 0.0002 m"):
        prediction_loader(model, farther)
    silent = replace(scan, metadata=Metadata())
    prediction_loader(model, silent)
    wavelength_given = Geometry(wavelength_m=1e-10)
    prediction_loader(model_for(), silent, geometry=wavelength_given)


def test_a_file_that_is_missing_cut_or_foreign_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(CheckpointError, match=r"no such file\. Train a model first"):
        load_checkpoint(path)
    save_checkpoint(path, model_for())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="whole safetensors file"):
        load_checkpoint(path)
    save_file({"a": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="safetensors file of another kind"):
        load_checkpoint(path)


def rewritten(path: Path, **changes: object) -> None:
    with safe_open(path, framework="pt") as file:
        header = {**json.loads(file.metadata()["ptychofold"]), **changes}
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    save_file(weights, path, metadata={"ptychofold": json.dumps(header)})


def test_another_schema_or_settings_that_do_not_fit_the_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, model_for())
    rewritten(path, schema=2)
    with pytest.raises(CheckpointError, match="schema 1; found 2"):
        load_checkpoint(path)
    rewritten(path, schema=1, model={**model_for().config.model_dump(mode="json"), "size": "base"})
    with pytest.raises(CheckpointError, match="weights and settings that fit one another") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
    rewritten(path, model={"colour": "red"})
    with pytest.raises(CheckpointError, match="unknown setting 'colour'"):
        load_checkpoint(path)


def test_any_changed_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, model_for(refine_positions=True))
    whole = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"m\.safetensors: expected") as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(whole)
    rewritten(path, losses={"train_loss": 0.0})
    with pytest.raises(CheckpointError, match="their checksum is another"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("name", "changed", "says"),
    [
        ("network.exit.bias", lambda value: value * float("nan"), "network.exit.bias holds NaN or infinity"),
        ("network.exit.bias", lambda value: value.to(torch.int8), r"is of torch.float32, and torch.int8 was found"),
        ("network.exit.bias", lambda value: value[:-1].clone(), "size mismatch"),
        ("network.exit.bias", None, "Missing key"),
        ("forward_model.probe", None, "forward_model.probe"),
        ("refinement.rows", lambda value: value + 1, r"expected rows \(n,\) of positions \(scan, 2\)"),
        ("refinement.rows", lambda _: torch.tensor(1), r"expected rows \(n,\)"),
        ("refinement.positions", lambda value: value[:, :1].clone(), r"expected rows \(n,\)"),
        ("refinement.positions", lambda _: torch.tensor(1.0), r"expected rows \(n,\)"),
        ("refinement.energy", lambda _: torch.tensor(1.0), r"and energies \(m,\)"),
        ("refinement.energy", None, "'energy'"),
    ],
)
def test_weights_of_another_kind_are_refused(
    tmp_path: Path, name: str, changed: Callable[[torch.Tensor], torch.Tensor] | None, says: str
) -> None:
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, model_for(refine_positions=True))
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
        weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    value = weights.pop(name)
    save_file(weights if changed is None else {**weights, name: changed(value)}, path, metadata=header)
    with pytest.raises(CheckpointError, match=says) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_may_be_read_by_whom_files_of_this_user_may(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "m.safetensors", model_for())
    (tmp_path / "other").touch()
    assert (tmp_path / "m.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_directory_and_an_empty_file_are_no_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found no such file"):
        load_checkpoint(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(CheckpointError, match="whole safetensors file"):
        load_checkpoint(tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("schema", True, "schema 1; found True"),
        ("contract", {"wavelength_m": -1.0}, "where wavelength_m is wrong"),
        ("contract", {"pixel_size_m": [1e-8, float("nan")]}, "where pixel_size_m.1 is wrong"),
        ("model", {"seed": 10**30}, "seed: Input should be less than"),
        ("model", None, "settings of model in the checkpoint; found None"),
        ("scaling", None, "settings of scaling in the checkpoint; found None"),
        ("scaling", {}, "weights and settings that fit"),
        ("contract", None, "settings of contract in the checkpoint; found None"),
        ("contract", {"N": "a"}, "where N is wrong"),
        ("contract", {"N": None}, "where N is wrong"),
        ("contract", {"N": 64}, r"probe is of shape \(1, 16, 16\)"),
        ("contract", {"n_modes": 2}, r"probe is of shape \(1, 16, 16\)"),
        ("contract", {"C": -1}, "where C is wrong"),
        ("contract", {"measurement": "light"}, "where measurement is wrong"),
        ("contract", {"pixel_size_m": [1]}, "where pixel_size_m"),
        ("contract", {"wavelength_m": "long"}, "where wavelength_m is wrong"),
        ("contract", {"geometry": {"a": 1}}, "where geometry is wrong"),
        ("contract", {"geometry": None}, "where geometry is wrong"),
        ("contract", {"colour": "red"}, "facts of a data contract; found colour too"),
    ],
)
def test_facts_of_a_wrong_kind_are_refused_in_one_line(tmp_path: Path, name: str, value: object, says: str) -> None:
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, model_for())
    whole = read_description(path)[name]
    rewritten(path, **{name: {**whole, **value} if isinstance(value, dict) and value else value})
    with pytest.raises(CheckpointError, match=says) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
