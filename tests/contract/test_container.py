"""PtychoDataContainer against the outputs of the reference loader."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from tests.contract.cases import assert_equal, grouped_as_reference, scan_of
from tests.golden_files import golden, golden_names

from ptychofold.compat.container import PtychoDataContainer, load
from ptychofold.contract import GroupedData
from ptychofold.data.frameworks import as_framework
from ptychofold.errors import ConfigError, DataError, DtypeError, MissingFieldError, ShapeError
from ptychofold.patches import extract_patches
from ptychofold.testing import make_scan

CASES = golden_names("container")
WHOLE = [name for name in CASES if "split" not in name]


def contained(name: str) -> tuple[PtychoDataContainer, dict, dict]:  # type: ignore[type-arg]
    inputs, params, want = golden(name)
    grouped = grouped_as_reference(inputs, params)
    how = params["load"]
    callback: Callable[[], GroupedData | tuple[GroupedData, float]] = lambda: grouped  # noqa: E731
    if how["create_split"]:
        callback = lambda: (grouped, how["train_frac"])  # noqa: E731
    container = load(callback, inputs["probeGuess"], how["which"], how["create_split"], n_photons=params["nphotons"])
    return container, params, want


def numbers(tensor: object) -> np.ndarray:
    assert isinstance(tensor, torch.Tensor)
    return tensor.numpy()


@pytest.mark.parametrize("name", CASES)
def test_tensors_have_the_values_of_the_reference(name: str) -> None:
    container, params, want = contained(name)
    assert len(container) == params["len"]
    assert_equal(numbers(container.X), want["X"], rtol=2.0**-23)
    assert_equal(numbers(container.coords_nominal), want["coords_nominal"], rtol=1e-6, atol=1e-6)
    assert_equal(numbers(container.probe), want["probe"])
    assert numbers(container.norm_Y_I) == pytest.approx(float(want["norm_Y_I"]), rel=1e-5)


@pytest.mark.parametrize("name", WHOLE)
def test_indices_and_offsets_have_the_values_of_the_reference(name: str) -> None:
    container, _, want = contained(name)
    assert_equal(numbers(container.nn_indices), want["nn_indices"])
    assert_equal(numbers(container.global_offsets), want["global_offsets"], rtol=1e-12)
    assert_equal(numbers(container.local_offsets), want["local_offsets"], atol=1e-10)


@pytest.mark.parametrize("name", WHOLE)
def test_tensors_have_the_shapes_and_dtypes_of_the_torch_twin(name: str) -> None:
    container, params, _ = contained(name)
    twin = params.get("torch_container", {})
    described = {key: how for key, how in twin.items() if isinstance(how, list) and key != "coords_relative"}
    for key, (shape, dtype) in described.items():
        tensor = getattr(container, key)
        assert list(tensor.shape) == shape, key
        assert str(tensor.dtype) == dtype, key


def test_ground_truth_is_amplitude_and_phase_of_the_member_s_own_patch() -> None:
    container, _, _ = contained("c03_gs2_object")
    scan = scan_of(golden("c03_gs2_object")[0])
    members = numbers(container.nn_indices)
    assert scan.object is not None
    own = extract_patches(scan.object, scan.positions[members.ravel()], scan.N).reshape(*members.shape, 16, 16)
    found = numbers(container.Y_I) * np.exp(1j * numbers(container.Y_phi))
    np.testing.assert_allclose(found, np.moveaxis(own, 1, -1), atol=2e-5)
    assert container.has_ground_truth
    assert_equal(numbers(container.YY_full), golden("c03_gs2_object")[0]["objectGuess"])


def test_without_ground_truth_amplitude_is_one_phase_zero_and_neither_takes_memory() -> None:
    container, _, want = contained("c02_gs2_noY")
    assert not container.has_ground_truth
    grouped = container.grouped
    assert_equal(numbers(container.Y_I), want["Y_I"])
    assert_equal(numbers(container.Y_phi), want["Y_phi"])
    assert container.YY_full is None
    assert grouped["Y"] is None


def test_a_split_splits_every_array_together() -> None:
    train, _, want = contained("c05_split_train")
    test, _, _ = contained("c06_split_test")
    whole = want["nn_indices"]
    joined = np.concatenate([numbers(train.nn_indices), numbers(test.nn_indices)])
    np.testing.assert_array_equal(joined, whole)
    for container in (train, test):
        lengths = {
            len(getattr(container, name))
            for name in ("X", "Y", "Y_I", "Y_phi", "coords_true", "nn_indices", "global_offsets", "local_offsets")
        }
        assert lengths == {len(container)}


def test_true_coordinates_come_from_the_corrected_positions() -> None:
    container, _, _ = contained("c04_gs2_start")
    np.testing.assert_allclose(numbers(container.coords_true), numbers(container.local_offsets), atol=1e-5)
    assert not np.array_equal(numbers(container.coords_true), numbers(container.coords_nominal))
    assert container.coords is container.coords_nominal


def test_tensors_are_views_of_the_grouped_arrays() -> None:
    inputs, params, _ = golden("c02_gs2_noY")
    grouped = grouped_as_reference(inputs, params)
    container = PtychoDataContainer(grouped, inputs["probeGuess"])
    assert numbers(container.X).ctypes.data == grouped["X_full"].ctypes.data
    assert numbers(container.local_offsets).ctypes.data == grouped["coords_relative"].ctypes.data


def test_a_container_of_numpy_arrays_holds_the_same_numbers() -> None:
    inputs, params, _ = golden("c03_gs2_object")
    grouped = grouped_as_reference(inputs, params)
    ours = PtychoDataContainer(grouped, inputs["probeGuess"], framework="numpy")
    theirs = PtychoDataContainer(grouped, inputs["probeGuess"])
    for name in ("X", "Y", "Y_I", "Y_phi", "coords", "probe", "norm_Y_I"):
        np.testing.assert_array_equal(getattr(ours, name), numbers(getattr(theirs, name)))


def test_a_container_is_made_from_arrays_without_nominal_positions() -> None:
    inputs, _, _ = golden("g06_n49_gs2")
    container = PtychoDataContainer.from_raw_data_without_pc(
        inputs["xcoords"], inputs["ycoords"], inputs["diff3d"], inputs["probeGuess"], inputs["scan_index"],
        K=4, nsamples=20, gridsize=2, seed=42, measurement="amplitude",
    )  # fmt: skip
    np.testing.assert_array_equal(numbers(container.nn_indices), golden("g06_n49_gs2")[2]["nn_indices"])
    assert "X=(20, 16, 16, 4)" in repr(container)


def test_wrong_dtypes_and_missing_keys_are_named() -> None:
    inputs, params, _ = golden("c02_gs2_noY")
    grouped = grouped_as_reference(inputs, params)
    with pytest.raises(DtypeError, match="expected X_full of float32; found float64"):
        PtychoDataContainer({**grouped, "X_full": grouped["X_full"].astype(np.float64)}, inputs["probeGuess"])
    with pytest.raises(DtypeError, match="expected Y of complex64; found float64"):
        PtychoDataContainer({**grouped, "Y": grouped["X_full"].astype(np.float64)}, inputs["probeGuess"])
    partial = {key: value for key, value in grouped.items() if key != "X_full"}
    with pytest.raises(MissingFieldError, match="X_full missing"):
        PtychoDataContainer(cast(GroupedData, partial), inputs["probeGuess"])
    with pytest.raises(ConfigError, match="framework"):
        as_framework(grouped["X_full"], framework="jax", device="cpu")


def test_load_refuses_a_callback_that_disagrees_with_create_split() -> None:
    inputs, params, _ = golden("c02_gs2_noY")
    grouped = grouped_as_reference(inputs, params)
    with pytest.raises(ConfigError, match=r"the pair .grouped, fraction., as create_split=True; found a dictionary"):
        load(lambda: grouped, inputs["probeGuess"], "train", True)
    with pytest.raises(ConfigError, match="which='train' or 'test'"):
        load(lambda: (grouped, 0.5), inputs["probeGuess"], None, True)
    with pytest.raises(ConfigError, match="leaves groups on both sides"):
        load(lambda: (grouped, 1.0), inputs["probeGuess"], "test", True)


def test_arrays_that_are_not_numpy_s_or_disagree_are_refused() -> None:
    inputs, params, _ = golden("c03_gs2_object")
    grouped = grouped_as_reference(inputs, params)
    assert grouped["Y"] is not None
    changes: list[tuple[str, object, type[DataError], str]] = [
        (
            "Y",
            torch.from_numpy(grouped["Y"]).to(torch.complex128),
            DtypeError,
            "Y as a NumPy array; found torch.Tensor",
        ),
        ("X_full", grouped["X_full"].tolist(), DtypeError, "X_full as a NumPy array; found builtins.list"),
        ("Y", grouped["Y"][:, :8], ShapeError, r"expected Y of shape .* as X_full; found \(\d+, 8, 16, 4\)"),
        ("Y", grouped["Y"][:-1], ShapeError, "expected Y for each of the"),
        ("nn_indices", grouped["nn_indices"][:-1], ShapeError, "expected nn_indices for each of the"),
        ("nn_indices", np.array(3), ShapeError, r"expected nn_indices for each of the .* found \(\)"),
        ("nn_indices", None, DtypeError, "nn_indices as a NumPy array; found builtins.NoneType"),
        ("X_full", grouped["X_full"][0], ShapeError, r"expected X_full of shape \(B, N, N, C\)"),
    ]
    for key, wrong, error, message in changes:
        with pytest.raises(error, match=message):
            PtychoDataContainer(cast(GroupedData, {**grouped, key: wrong}), inputs["probeGuess"])


def test_a_dictionary_that_went_through_a_file_makes_the_same_container(tmp_path: Path) -> None:
    scan = make_scan(n_scan=30, N=16)
    grouped = replace(scan, object=None).generate_grouped_data(16, K=6, nsamples=9, gridsize=2, seed=1)
    arrays = {key: values for key, values in grouped.items() if isinstance(values, np.ndarray)}
    assert not {"Y", "objectGuess"} & arrays.keys()
    np.savez(tmp_path / "groups.npz", allow_pickle=False, **arrays)
    with np.load(tmp_path / "groups.npz") as archive:
        read = PtychoDataContainer(cast(GroupedData, dict(archive)), scan.probe[0])
    direct = PtychoDataContainer(grouped, scan.probe[0])
    for name in ("X", "Y", "coords_nominal", "nn_indices"):
        np.testing.assert_array_equal(numbers(getattr(read, name)), numbers(getattr(direct, name)))


def test_arrays_that_run_backwards_are_taken() -> None:
    scan = make_scan(n_scan=30, N=16)
    grouped = scan.generate_grouped_data(16, K=6, nsamples=9, gridsize=2, seed=1)
    turned = PtychoDataContainer(cast(GroupedData, {**grouped, "X_full": grouped["X_full"][:, ::-1]}), scan.probe[0])
    np.testing.assert_array_equal(numbers(turned.X), grouped["X_full"][:, ::-1])
