"""Each deliberate deviation from the reference; the table is in `tests.contract.deviations`."""

import logging
import re
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from tests.contract import deviations
from tests.contract.cases import assert_equal, grouped_as_reference, scan_of
from tests.contract.deviations import MIRRORED_TRUTH
from tests.golden_files import golden

from ptychofold.compat.container import load
from ptychofold.config import GroupingConfig
from ptychofold.contract import GroupedData, seed_of
from ptychofold.errors import DataError, DomainError, ShapeError
from ptychofold.grouping import group_scan
from ptychofold.patches import extract_patches
from ptychofold.raw_data import RawData


@pytest.mark.parametrize("name", sorted(MIRRORED_TRUTH))
def test_1_ground_truth_is_cut_at_the_member_and_the_reference_s_at_its_mirror_image(name: str) -> None:
    inputs, params, want = golden(name)
    found = grouped_as_reference(inputs, params)
    members, scan = found["nn_indices"], scan_of(inputs)
    assert scan.object is not None
    assert found["Y"] is not None
    assert want["Y"] is not None

    def cut(positions: np.ndarray) -> np.ndarray:
        assert scan.object is not None
        patches = extract_patches(scan.object, positions.reshape(-1, 2), scan.N)
        return np.moveaxis(patches.reshape(*members.shape, scan.N, scan.N), 1, -1)

    own = scan.positions[members]
    assert_equal(found["Y"], cut(own), atol=1e-6)
    assert_equal(cut(2 * own.mean(axis=1, keepdims=True) - own), want["Y"], atol=1e-5)
    assert not np.allclose(cut(own), found["Y"][..., ::-1])


def test_2_indices_are_int32_on_every_path() -> None:
    for name in ("g05_n49_gs1_more", "g19_oversample_replacement"):
        inputs, params, want = golden(name)
        assert want["nn_indices"] is not None
        assert want["nn_indices"].dtype == np.int64
        assert grouped_as_reference(inputs, params)["nn_indices"].dtype == np.int32


def test_3_a_gridsize_of_none_is_one() -> None:
    inputs, params, _ = golden("g33_gridsize_from_cfg")
    grouped = scan_of(inputs).generate_grouped_data(**params["call"])
    assert grouped["nn_indices"].shape == (5, 1)


def test_4_integers_become_float32_and_their_squares_do_not_wrap() -> None:
    inputs, params, want = golden("g12_n300_gs2_uint16")
    found = grouped_as_reference(inputs, params)
    assert want["diffraction"] is not None
    assert want["diffraction"].dtype == np.uint16
    assert found["diffraction"].dtype == np.float32
    energy = found["X_full"].astype(np.float64) ** 2
    assert energy.sum(axis=(1, 2)).mean() == pytest.approx(64, rel=1e-5)
    counts = RawData.from_arrays(
        patterns=inputs["diff3d"],
        positions=np.stack([inputs["ycoords"], inputs["xcoords"]], axis=1),
        probe=inputs["probeGuess"],
    )
    assert counts.measurement == "intensity"
    np.testing.assert_allclose(counts.amplitude([0])[0] ** 2, inputs["diff3d"][0], rtol=1e-6)


def test_5_a_split_separates_indices_and_offsets_too() -> None:
    inputs, params, want = golden("c06_split_test")
    grouped = grouped_as_reference(inputs, params)
    container = load(lambda: (grouped, params["load"]["train_frac"]), inputs["probeGuess"], "test", True)
    assert isinstance(want["nn_indices"], np.ndarray)
    assert len(want["nn_indices"]) == 10
    assert len(container.nn_indices) == len(container.global_offsets) == len(container.local_offsets) == 3


def test_6_true_coordinates_differ_from_nominal_ones() -> None:
    inputs, params, want = golden("c04_gs2_start")
    container = load(lambda: grouped_as_reference(inputs, params), inputs["probeGuess"])
    assert isinstance(want["coords_true"], np.ndarray)
    np.testing.assert_array_equal(want["coords_true"], want["coords_nominal"])
    assert not np.allclose(np.asarray(container.coords_true), want["coords_true"])


def test_7_a_seed_of_none_is_drawn_afresh_logged_and_leaves_the_process_wide_stream_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inputs, params, _ = golden("g30_seed_none")
    np.random.seed(123)  # noqa: NPY002 (what is tested is that nothing draws from it)
    before = str(np.random.get_state())  # noqa: NPY002
    with caplog.at_level(logging.INFO, logger="ptychofold"):
        first = scan_of(inputs).generate_grouped_data(**params["call"])
    second = scan_of(inputs).generate_grouped_data(**params["call"])["nn_indices"]
    assert str(np.random.get_state()) == before  # noqa: NPY002
    assert not np.array_equal(first["nn_indices"], second)
    assert "seed" in caplog.text
    drawn = seed_of(first)
    assert drawn is not None
    assert f"drew the seed {drawn}" in caplog.text
    again = scan_of(inputs).generate_grouped_data(**{**params["call"], "seed": drawn})
    np.testing.assert_array_equal(again["nn_indices"], first["nn_indices"])
    assert seed_of(cast(GroupedData, dict(first))) is None


@pytest.mark.parametrize(
    ("field", "change", "error", "message"),
    [
        ("positions", lambda a: a[:-1], ShapeError, "one row of positions for each of the 49 patterns; found 48"),
        ("positions", lambda a: np.where(a == a[3], np.nan, a), DomainError, "expected finite positions"),
        ("probe", lambda a: a[:8, :8], ShapeError, r"probe of shape \(mode, 16, 16\)"),
        ("patterns", lambda a: a * 0, DomainError, "zeros everywhere"),
        ("patterns", lambda a: a[:, :8], ShapeError, "square frames"),
        ("patterns", lambda a: -a, DomainError, "not negative"),
    ],
)
def test_8_wrong_content_is_one_error_at_the_door(field: str, change, error: type[DataError], message: str) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    inputs, _, _ = golden("g06_n49_gs2")
    arrays = {
        "patterns": inputs["diff3d"],
        "positions": np.stack([inputs["ycoords"], inputs["xcoords"]], axis=1),
        "probe": inputs["probeGuess"],
    }
    arrays[field] = change(arrays[field])
    with pytest.raises(error, match=message) as caught:
        RawData.from_arrays(
            patterns=arrays["patterns"],
            positions=arrays["positions"],
            probe=arrays["probe"],
            measurement="amplitude",
        )
    assert caught.value.field == field


def test_9_ground_truth_in_a_file_is_used(tmp_path: Path) -> None:
    inputs, _, _ = golden("l02_from_file_full")
    np.savez(tmp_path / "scan.npz", allow_pickle=False, **inputs)
    scan = RawData.from_file(tmp_path / "scan.npz", measurement="amplitude")
    grouped = scan.generate_grouped_data(8, nsamples=3, seed=0)
    assert grouped["Y"] is not None
    np.testing.assert_array_equal(grouped["Y"][..., 0], inputs["Y"][grouped["nn_indices"][:, 0]])


def test_10_distance_bounds_and_quadrants_repeat_no_member_and_invent_none() -> None:
    inputs, _, _ = golden("q03_quadrant")
    positions = np.stack([inputs["ycoords"], inputs["xcoords"]], axis=1)
    for config in (
        GroupingConfig(grid=(2, 2), n_neighbors=12, candidates="quadrants", seed=0),
        GroupingConfig(grid=(2, 2), n_neighbors=8, min_distance=1.0, seed=0),
    ):
        members = group_scan(positions, config).members
        assert members.min() >= 0
        assert all(len(set(group)) == 4 for group in members.tolist())
        np.testing.assert_array_equal(members, group_scan(positions, config).members)


def test_11_coordinates_are_float64_whatever_the_file_held() -> None:
    for name in ("g28_int_coords", "g29_float32_coords_float64_diff"):
        inputs, params, _ = golden(name)
        found = grouped_as_reference(inputs, params)
        assert found["coords_nn"].dtype == found["coords_relative"].dtype == np.float64


def test_12_both_names_of_the_patterns_are_read(tmp_path: Path) -> None:
    inputs, _, _ = golden("l03_from_file_diffraction_key")
    np.savez(tmp_path / "scan.npz", allow_pickle=False, **inputs)
    scan = RawData.from_file(tmp_path / "scan.npz", measurement="amplitude")
    np.testing.assert_array_equal(scan.patterns.read(slice(None)), inputs["diffraction"])


def test_a_batch_keeps_what_the_contract_calls_amplitude() -> None:
    inputs, params, _ = golden("c02_gs2_noY")
    container = load(lambda: grouped_as_reference(inputs, params), inputs["probeGuess"])
    assert isinstance(container.X, torch.Tensor)
    assert float(container.X.double().square().sum(dim=(1, 2)).mean()) == pytest.approx(64, rel=1e-6)


def test_the_table_numbers_every_deviation_once_and_each_number_has_a_test_here_or_beside_the_faces() -> None:
    rows = [int(number) for number in re.findall(r"^\| (\d+) ", deviations.__doc__ or "", flags=re.MULTILINE)]
    assert rows == list(range(1, len(rows) + 1))
    assert len(rows) >= 10  # those of the contract
    folder = Path(__file__).parent
    tests = [
        path.read_text(encoding="utf-8") for part in (folder, folder.parent / "compat") for path in part.glob("*.py")
    ]
    names = [name for text in tests for name in re.findall(r"^def test_((?:\d+_)+)", text, flags=re.MULTILINE)]
    assert {int(number) for name in names for number in name.rstrip("_").split("_")} == set(rows)
