"""The goldens of RawData, load_data and the container, called as a user of the reference calls them."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.compat.claims import Outputs, claims, exercises, golden
from tests.contract.cases import assert_equal
from tests.golden_files import golden_dir, golden_json, stored

from ptychofold.compat import (
    PtychoDataContainerTorch,
    RawData,
    RawDataTorch,
    load,
    load_data,
    oversampled_groups,
    standard_groups,
)
from ptychofold.compat.config_tf import ModelConfig, TrainingConfig
from ptychofold.compat.patches import center_channels
from ptychofold.errors import GroupingError, MissingFieldError, PtychoError, ShapeError
from ptychofold.patches import extract_patches

MIRRORED = {"g24_object_gs2", "c03_gs2_object"}
"""Deviation 1: the reference cuts Y at 2·mean − position."""
UINT16 = {"g12_n300_gs2_uint16", "c07_uint16"}
"""Deviation 4: integers are counts unless they are declared amplitudes."""


def raw_data(name: str) -> tuple[RawData, dict[str, Any], Outputs]:
    inputs, params, want = golden(name)
    x, y = inputs["xcoords"], inputs["ycoords"]
    raw = RawData(
        x, y, inputs.get("xcoords_start", x), inputs.get("ycoords_start", y), inputs["diff3d"], inputs["probeGuess"],
        inputs["scan_index"], inputs.get("objectGuess"), inputs.get("Y"),
        measurement="amplitude" if name in UINT16 else "auto",
    )  # fmt: skip
    return raw, params, want


def grouped(raw: RawData, params: dict[str, Any]) -> Any:  # noqa: ANN401 (the dictionary of the contract)
    call = dict(params["call"])
    call["gridsize"] = call["gridsize"] or params["legacy_cfg"]["gridsize"]
    call["seed"] = params["global_preseed"] if call["seed"] is None else call["seed"]
    return raw.generate_grouped_data(**call)


def own_patches(raw: RawData, members: np.ndarray) -> np.ndarray:
    assert raw.objectGuess is not None
    cut = extract_patches(raw.objectGuess, raw.scan.positions[members.ravel()], raw.scan.N)
    return np.moveaxis(cut.reshape(*members.shape, raw.scan.N, raw.scan.N), 1, -1)


@exercises("grouping", prefix="g")
def test_grouping_through_raw_data_gives_the_dictionary_of_the_reference(name: str) -> None:
    raw, params, want = raw_data(name)
    found = grouped(raw, params)
    order = params["out_key_order"]
    assert [key for key in found if key in order] == [key for key in order if key in found]
    np.testing.assert_array_equal(found["nn_indices"], stored(want, "nn_indices"))
    for key in (key for key in want if key.startswith("coords")):
        single = stored(want, key).dtype == np.float32
        assert_equal(found[key], stored(want, key), rtol=1e-5 if single else 1e-12, atol=1e-4 if single else 1e-10)
    for key in ("diffraction", "X_full"):
        assert found[key].dtype == np.float32
        assert_equal(found[key], want[key], rtol=2.0**-23)
    if name not in MIRRORED and want["Y"] is not None:
        assert_equal(found["Y"], want["Y"], atol=1e-5)
    elif name in MIRRORED:
        assert_equal(found["Y"], own_patches(raw, found["nn_indices"]), atol=1e-6)
        assert want["Y"].shape == found["Y"].shape
    else:
        assert found["Y"] is None
    assert (found["objectGuess"] is None) == (want["objectGuess"] is None)
    if found["objectGuess"] is not None:
        assert_equal(found["objectGuess"], want["objectGuess"])
    if "norm_const" in want:  # without groups there is none
        factor = np.float32(want["norm_const"])
        np.testing.assert_allclose(found["X_full"], found["diffraction"] * factor, rtol=2.0**-21)
    subset = ["sample_indices"] if name == "g34_sample_indices" else []  # compared by the test of subsets
    want.assert_all_compared(deviating=subset)


@claims("g34_sample_indices")
def test_grouping_of_a_subset_names_the_rows_of_the_file(tmp_path: Path) -> None:
    inputs, params, want = golden("g34_sample_indices")
    rows = inputs["sample_indices"]
    assert params["call"]["gridsize"] == 2
    n_file = int(rows.max()) + 5
    arrays = {key: np.zeros((n_file, *inputs[key].shape[1:]), inputs[key].dtype) for key in ("diff3d",)}
    arrays |= {key: np.arange(n_file, dtype=np.float64) for key in ("xcoords", "ycoords")}
    for key in arrays:
        arrays[key][rows] = inputs[key]
    np.savez(tmp_path / "scan.npz", allow_pickle=False, probeGuess=inputs["probeGuess"], **arrays)
    raw = RawData.of(RawData.from_file(tmp_path / "scan.npz", measurement="amplitude").scan.subset(rows))
    found = raw.generate_grouped_data(**params["call"])
    np.testing.assert_array_equal(found["sample_indices"], stored(want, "sample_indices"))
    np.testing.assert_array_equal(found["nn_indices"], stored(want, "nn_indices"))


@exercises("grouping", prefix="e")
def test_what_the_reference_refuses_is_refused_with_its_type(name: str) -> None:
    raw, params, _ = raw_data(name)
    kind = {"ValueError": ValueError, "TypeError": TypeError}[params["expected_error"]["type"]]
    with pytest.raises(kind) as raised:
        raw.generate_grouped_data(**params["call"])
    assert isinstance(raised.value, PtychoError) or kind is TypeError  # which the run-time type checker may raise, too


def test_the_grid_of_a_configuration_replaces_the_reference_s_global() -> None:
    inputs, params, want = golden("g33_gridsize_from_cfg")
    arrays = [inputs[key] for key in ("xcoords", "ycoords", "diff3d", "probeGuess", "scan_index")]
    config = TrainingConfig(model=ModelConfig(N=16, gridsize=params["legacy_cfg"]["gridsize"]))
    call = params["call"]
    found = RawDataTorch(*arrays, config=config).generate_grouped_data(
        call["N"], call["K"], call["nsamples"], call["seed"]
    )
    np.testing.assert_array_equal(found["nn_indices"], stored(want, "nn_indices"))


@exercises("groups_only")
def test_the_samplers_draw_the_groups_of_the_reference(name: str) -> None:
    inputs, params, want = golden(name)
    points = np.stack([inputs["xcoords"], inputs["ycoords"]], axis=1)
    draw = {"standard": standard_groups, "oversampling": oversampled_groups}[params["method"]]
    found = draw(points, **{**params["call"], "seed_indices": inputs.get("seed_indices")})
    np.testing.assert_array_equal(found.members, stored(want, "nn_indices"))
    want.assert_all_compared()


def contained(name: str, framework: str = "torch") -> tuple[Any, RawData, dict[str, Any], Outputs]:
    raw, params, want = raw_data(name)
    call = {**params["call"]}
    how = params.get("load", {"create_split": False, "which": None})
    dictionary = raw.generate_grouped_data(**call)
    container = load(
        lambda: (dictionary, how["train_frac"]) if how["create_split"] else dictionary,
        raw.probeGuess,
        how["which"],
        how["create_split"],
        n_photons=params.get("nphotons", 1e9),
        framework=framework,
    )
    return container, raw, params, want


@exercises("container")
def test_the_container_has_the_numbers_of_the_reference(name: str) -> None:
    container, raw, params, want = contained(name)
    assert len(container) == params["len"]
    how = params["load"]
    assert_equal(container.X.numpy(), want["X"], rtol=2.0**-23)
    for key in ("coords", "coords_nominal"):
        assert_equal(getattr(container, key).numpy(), want[key], atol=1e-5)
    np.testing.assert_array_equal(container.probe.numpy(), stored(want, "probe"))
    assert float(container.norm_Y_I) == pytest.approx(float(stored(want, "norm_Y_I")), rel=1e-5)
    deviating = [] if want["YY_full"] is not None or raw.objectGuess is None else ["YY_full"]  # deviation 16
    assert (container.YY_full is None) == (raw.objectGuess is None)
    if not np.array_equal(raw.xcoords, raw.xcoords_start):
        deviating.append("coords_true")  # deviation 6
        assert np.abs(container.coords_true.numpy() - container.local_offsets.numpy()).max() < 1e-5
    else:
        assert_equal(container.coords_true.numpy(), want["coords_true"], atol=1e-5)
    if name in MIRRORED:
        deviating += ["Y", "Y_I", "Y_phi"]  # deviation 1
        assert_equal(container.Y.numpy(), own_patches(raw, container.nn_indices.numpy()), atol=1e-6)
    else:
        assert_equal(container.Y_I.numpy(), want["Y_I"], atol=1e-5)
        phases = np.exp(1j * container.Y_phi.numpy()) - np.exp(1j * stored(want, "Y_phi"))
        assert np.abs(container.Y_I.numpy() * phases).max() < 2e-5
        assert_equal(container.Y.numpy(), want["Y"], atol=1e-5)
    side = slice(None)
    if how["create_split"]:  # deviation 5: the reference leaves these whole
        n_train = int(len(stored(want, "nn_indices")) * how["train_frac"])
        side = slice(n_train) if how["which"] == "train" else slice(n_train, None)
    np.testing.assert_array_equal(container.nn_indices.numpy(), stored(want, "nn_indices")[side])
    np.testing.assert_allclose(container.global_offsets.numpy(), stored(want, "global_offsets")[side], rtol=1e-12)
    np.testing.assert_allclose(container.local_offsets.numpy(), stored(want, "local_offsets")[side], atol=1e-10)
    want.assert_all_compared(deviating=[key for key in deviating if key not in want.looked_at])


def test_16_the_object_is_shown_where_it_is_known_and_the_reference_shows_none() -> None:
    container, raw, _, want = contained("c03_gs2_object")
    assert want["YY_full"] is None
    np.testing.assert_array_equal(container.YY_full.numpy(), raw.objectGuess)


def test_tensors_are_views_and_what_is_filled_takes_no_memory() -> None:
    container, raw, _, _ = contained("c02_gs2_noY")
    for name, key in (("X", "X_full"), ("local_offsets", "coords_relative"), ("nn_indices", "nn_indices")):
        assert getattr(container, name).data_ptr() == container.grouped[key].ctypes.data
    for name in ("Y", "Y_I", "Y_phi"):
        tensor = getattr(container, name)
        assert tensor.shape == container.X.shape
        assert tensor.untyped_storage().nbytes() <= 8
    assert PtychoDataContainerTorch(container.grouped, raw.probeGuess).X.data_ptr() == container.X.data_ptr()


def test_a_container_writes_what_it_knows(tmp_path: Path) -> None:
    container, _, _, want = contained("c03_gs2_object")
    container.to_npz(tmp_path / "container.npz")
    with np.load(tmp_path / "container.npz", allow_pickle=False) as file:
        assert set(file.files) == {key for key in want if key not in ("coords",)}
        np.testing.assert_array_equal(file["X"], container.X.numpy())
    with pytest.raises(AttributeError, match="no attribute 'Z'"):
        _ = container.Z


@exercises("tf_dataset")
def test_what_a_tensorflow_data_set_yields_follows_from_the_container(name: str) -> None:
    container, _, params, want = contained(name, framework="numpy")
    scale = np.float32(params["intensity_scale"])
    for batch in range(params["n_batches"]):
        rows = slice(batch * params["batch_size"], (batch + 1) * params["batch_size"])
        scaled = container.X[rows] * scale
        for key in ("in_X", "out_Xs"):
            assert_equal(scaled, want[f"b{batch}_{key}"], rtol=1e-5)
        assert_equal(scaled * scaled, want[f"b{batch}_out_Xs2"], rtol=2e-5)
        assert_equal(container.coords[rows], want[f"b{batch}_in_coords"], atol=1e-5)
        centred = center_channels(container.Y_I[rows], container.coords[rows])[..., :1]
        assert_equal(centred, want[f"b{batch}_out_Yc"], atol=2e-5)
    want.assert_all_compared()


@exercises("npz_load", only=lambda name: "expected_error" not in golden(name)[1])
def test_an_npz_is_loaded_as_by_the_reference(name: str, tmp_path: Path) -> None:
    inputs, params, want = golden(name)
    np.savez(tmp_path / "scan.npz", allow_pickle=False, **inputs)
    call = {"from_file": RawData.from_file, "load_data": load_data}[params["function"]]
    raw = call(tmp_path / "scan.npz", **params["kwargs"])
    for key, expected in want.each():
        found = getattr(raw, key)
        if key == "Y" and name == "l02_from_file_full":
            assert expected is None  # deviation 9: the file's Y is used
            np.testing.assert_array_equal(found, inputs["Y"])
        elif expected is None:
            assert found is None, key
        else:
            np.testing.assert_array_equal(found, expected, err_msg=key)
    want.assert_all_compared()


@exercises("npz_load", only=lambda name: "expected_error" in golden(name)[1])
def test_12_15_files_that_follow_the_contract_are_read_though_the_reference_refuses_them(
    name: str, tmp_path: Path
) -> None:
    inputs, params, _ = golden(name)
    assert params["expected_error"]["type"] == "KeyError"
    np.savez(tmp_path / "scan.npz", allow_pickle=False, **inputs)
    call = {"from_file": RawData.from_file, "load_data": load_data}[params["function"]]
    raw = call(tmp_path / "scan.npz")
    np.testing.assert_array_equal(raw.xcoords_start, inputs["xcoords"])
    np.testing.assert_array_equal(raw.diff3d, inputs["diffraction" if "diffraction" in inputs else "diff3d"])


@pytest.mark.parametrize("case", golden_json("diffraction_layout.json")["cases"], ids=str)
def test_either_layout_of_the_patterns_is_loaded_where_it_fits_the_positions(
    case: dict[str, Any], tmp_path: Path
) -> None:
    shape, n_scan = tuple(case["shape"]), case["n_coords"]
    patterns = np.square(np.arange(np.prod(shape), dtype=np.float32).reshape(shape) % 7)
    arrays = {"diff3d": patterns, "probeGuess": np.ones((16, 16), np.complex64)}
    if n_scan is None:  # nothing to lay patterns out for: positions are required
        np.savez(tmp_path / "a.npz", allow_pickle=False, **arrays)
        with pytest.raises(MissingFieldError, match="expected xcoords and ycoords"):
            load_data(tmp_path / "a.npz")
        return
    positions = np.arange(n_scan, dtype=np.float64)
    np.savez(tmp_path / "a.npz", allow_pickle=False, xcoords=positions, ycoords=positions, **arrays)
    result = case.get("result")
    fits = result is not None and result[0][0] == n_scan and result[0][1] == result[0][2]
    if not fits:  # deviation 8: extra positions and frames that are not square are errors at the door
        with pytest.raises(ShapeError, match="expected"):
            load_data(tmp_path / "a.npz", measurement="amplitude")
        return
    raw = load_data(tmp_path / "a.npz", measurement="amplitude")
    np.testing.assert_array_equal(
        raw.diff3d, patterns.transpose(2, 0, 1) if result is not None and result[1] else patterns
    )


def test_metadata_that_the_reference_wrote_is_shown_and_compared(caplog: pytest.LogCaptureFixture) -> None:
    want = golden_json("metadata_upstream_written.json")
    path = golden_dir() / "metadata_upstream_written.npz"
    raw = RawData.from_file(path)
    assert json.loads(json.dumps(dict(raw.metadata or {}))) == want["metadata"]
    for case in want["validate"]:
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="ptychofold.compat"):
            config = TrainingConfig(model=ModelConfig(**case["model"]), **case["config"])
            RawData.from_file(path, validate_config=True, current_config=config)
        said = [record.getMessage() for record in caplog.records if "mismatch" in record.getMessage()]
        assert said == case["warnings"]


def test_a_grouping_error_is_one_of_ours() -> None:
    raw, _, _ = raw_data("e01_n_lt_C")
    with pytest.raises(GroupingError, match="at least C = 4"):
        raw.generate_grouped_data(16, K=4, nsamples=1, gridsize=2)


def test_a_number_is_a_torch_scalar() -> None:
    container, _, _, _ = contained("c01_gs1_noY")
    assert isinstance(container.norm_Y_I, torch.Tensor)
    assert "X=(8, 16, 16, 1)" in repr(container)
