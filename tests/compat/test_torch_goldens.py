"""The goldens of the PyTorch side: grouping, and the data set of several experiments."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.compat.claims import Outputs, claims, exercises, golden
from tests.contract.cases import assert_equal
from tests.golden_files import stored

from ptychofold.compat import PtychoDataset, get_neighbor_indices, get_relative_coords, group_coords
from ptychofold.compat.config_torch import DataConfig, ModelConfig

pytest.importorskip("tensordict")
OURS = {"q03_quadrant", "q04_min_dist"}
"""Deviation 10: the reference repeats members there."""


def data_config(params: dict[str, Any]) -> DataConfig:
    settings: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in params["data_config"].items()}
    return DataConfig(**settings, subsample_seed=params["global_preseed"])


def grouped(name: str) -> tuple[tuple[np.ndarray, ...], dict[str, np.ndarray], Outputs]:
    inputs, params, want = golden(name)
    x, y, valid = inputs["xcoords"], inputs["ycoords"], inputs["valid_indices"]
    found = group_coords(
        x, y, x[valid], y[valid], get_neighbor_indices, valid, data_config(params), return_center_indices=True
    )
    return found, inputs, want


@exercises("torch_group_coords", only=lambda name: name not in OURS)
def test_groups_are_those_of_the_reference_bit_for_bit(name: str) -> None:
    (members, coords, centres), _, want = grouped(name)
    np.testing.assert_array_equal(members, stored(want, "nn_indices"))
    np.testing.assert_array_equal(coords, stored(want, "coords_nn"))
    np.testing.assert_array_equal(centres, stored(want, "center_indices"))
    center, relative = get_relative_coords(coords)
    np.testing.assert_allclose(center, stored(want, "coords_center"), atol=1e-12)
    np.testing.assert_allclose(relative, stored(want, "coords_relative"), atol=1e-12)
    want.assert_all_compared()


@exercises("torch_group_coords", only=lambda name: name in OURS)
def test_10_distance_bounds_and_quadrants_repeat_no_member_where_the_reference_does(name: str) -> None:
    (members, coords, centres), inputs, want = grouped(name)
    theirs = stored(want, "nn_indices")
    assert any(len(set(group)) < 4 for group in theirs.tolist())
    assert all(len(set(group)) == 4 for group in members.tolist())
    assert set(members.ravel()) <= set(inputs["valid_indices"])
    assert not (members == centres[:, None]).any()
    assert len(members) <= 2 * len(inputs["valid_indices"])
    low, high = (1.0, 12.0) if name == "q04_min_dist" else (0.0, 4.0)
    points = np.stack([inputs["xcoords"], inputs["ycoords"]], axis=1)
    distance = np.linalg.norm(coords[:, :, 0] - points[centres][:, None], axis=2)
    assert distance.min() >= low
    assert distance.max() <= high
    np.testing.assert_array_equal(members, grouped(name)[0][0])


def made(name: str, folder: Path, **settings: Any) -> tuple[PtychoDataset, dict[str, Any], Outputs]:  # noqa: ANN401
    inputs, params, want = golden(name)
    (folder / "npz").mkdir()
    for number in range(params["n_files"]):
        arrays = {key.removeprefix(f"e{number}_"): a for key, a in inputs.items() if key.startswith(f"e{number}_")}
        np.savez(folder / "npz" / f"e{number}.npz", allow_pickle=False, **arrays)
    model = ModelConfig(**{**params["model_config"], **settings})
    dataset = PtychoDataset(folder / "npz", model, data_config(params), data_dir=folder / "map" / "memmap")
    return dataset, params, want


SINGLE = {"batch_nn_indices", "batch_coords_center", "mmap_nn_indices", "mmap_coords_center"}
"""Deviation 14: for single members the reference numbers the inner points and leaves the centers zero."""


@exercises("torch_memmap_dataset", only=lambda name: name != "m05_no_object")
def test_batches_are_those_of_the_reference(name: str, tmp_path: Path) -> None:
    dataset, params, want = made(name, tmp_path)
    assert len(dataset) == params["len"]
    batch, probes, scaling = dataset[params["read_indices"]]
    everything = dataset.mmap_ptycho
    deviating = SINGLE if name == "m03_c1" else set()
    for key in want.keys() - deviating:
        part, _, field = key.partition("_")
        if part not in ("batch", "mmap") or field in ("probe", "probe_scaling"):
            continue
        expected = want[key]
        found = (batch if part == "batch" else everything)[field].numpy()
        assert expected is not None
        assert found.dtype == expected.dtype, key
        assert_equal(found, expected, rtol=1e-5 if "scaling" in field else 2e-6, atol=2e-6)
    assert_equal(probes.numpy(), want["batch_probe"], rtol=1e-6)
    assert_equal(scaling.numpy(), want["batch_probe_scaling"], rtol=1e-6)
    for part in ("batch", "mmap"):
        want.assert_all_compared(deviating={key for key in deviating if key.startswith(part)}, within=part)


@exercises("torch_memmap_dataset", only=lambda name: name != "m05_no_object")
def test_what_belongs_to_whole_experiments_is_that_of_the_reference(name: str, tmp_path: Path) -> None:
    dataset, params, want = made(name, tmp_path)
    assert_equal(dataset.data_dict["probes"].numpy(), want["state_probes"], rtol=1e-6)
    assert_equal(dataset.data_dict["probe_scaling"].numpy(), want["state_probe_scaling"], rtol=1e-6)
    centres = dataset.data_dict["com"].numpy().reshape(-1, 2)
    assert len(centres) == params["n_files"]  # one an experiment, where the reference keeps the last alone
    np.testing.assert_allclose(centres[-1], stored(want, "state_com"), rtol=1e-6)
    if "state_scaling_constant" in want:
        found = dataset.data_dict["scaling_constant"].numpy()
        np.testing.assert_allclose(found, stored(want, "state_scaling_constant"), rtol=1e-5)
    if dataset.ci_contract_active:
        for key, values in dataset.get_ci_statistics().items():
            np.testing.assert_allclose(values.numpy(), stored(want, f"ci_{key}"), rtol=1e-5)
        assert_equal(dataset.data_dict["probes_physical"].numpy(), want["state_probes_physical"])
    for part in ("state", "ci"):
        want.assert_all_compared(within=part)


def test_17_each_experiment_has_its_center_where_the_reference_keeps_the_last_one_s(tmp_path: Path) -> None:
    dataset, params, want = made("m02_group_c4_two_files", tmp_path)
    centers = dataset.data_dict["com"].numpy()
    assert centers.shape == (params["n_files"], 2)
    np.testing.assert_allclose(centers[-1], stored(want, "state_com").ravel(), rtol=1e-6)
    assert np.abs(centers[0] - centers[-1]).max() > 0.1


@claims("m05_no_object")
def test_13_an_experiment_without_an_object_is_refused_only_where_ground_truth_is_needed(tmp_path: Path) -> None:
    assert golden("m05_no_object")[1]["expected_error"]["type"] == "ValueError"
    dataset, _, _ = made("m05_no_object", tmp_path)
    assert len(dataset) > 0
    (tmp_path / "again").mkdir()
    with pytest.raises(ValueError, match="expected a scan with an object or patches"):
        made("m05_no_object", tmp_path / "again", mode="Supervised")


def test_14_single_members_are_numbered_in_the_scan_and_are_their_own_centers(tmp_path: Path) -> None:
    dataset, _, want = made("m03_c1", tmp_path)
    everything = dataset.mmap_ptycho
    assert torch.equal(everything["nn_indices"][:, 0], everything["center_scan_id"])
    assert not np.array_equal(everything["nn_indices"].numpy(), stored(want, "mmap_nn_indices"))
    assert torch.equal(everything["coords_center"], everything["coords_global"])
    assert not stored(want, "mmap_coords_center").any()
