"""generate_grouped_data against the outputs of the reference pipeline, key by key."""

from pathlib import Path

import numpy as np
import pytest
from tests.contract.cases import assert_equal, grouped_as_reference, scan_of
from tests.contract.deviations import MIRRORED_TRUTH
from tests.golden_files import golden, golden_names

from ptychofold.errors import GroupingError
from ptychofold.raw_data import RawData

CASES = golden_names("grouping", prefix="g")
ERRORS = golden_names("grouping", prefix="e")
FLOAT32_ULP = 2.0**-23


@pytest.mark.parametrize("name", CASES)
def test_indices_are_those_of_the_reference_bit_for_bit(name: str) -> None:
    inputs, params, want = golden(name)
    found = grouped_as_reference(inputs, params)
    assert found["nn_indices"].dtype == np.int32
    expected = want["nn_indices"]
    assert isinstance(expected, np.ndarray)
    np.testing.assert_array_equal(found["nn_indices"], expected)


@pytest.mark.parametrize("name", CASES)
def test_patterns_and_their_scale_are_those_of_the_reference(name: str) -> None:
    inputs, params, want = golden(name)
    found = grouped_as_reference(inputs, params)
    assert found["diffraction"].dtype == found["X_full"].dtype == np.float32
    assert want["diffraction"] is not None
    assert want["X_full"] is not None
    exact_dtype = want["diffraction"].dtype == np.float32
    assert_equal(found["diffraction"], want["diffraction"], rtol=0.0 if exact_dtype else FLOAT32_ULP)
    assert_equal(found["X_full"], want["X_full"], rtol=FLOAT32_ULP)


@pytest.mark.parametrize("name", CASES)
def test_coordinates_are_those_of_the_reference(name: str) -> None:
    inputs, params, want = golden(name)
    found = grouped_as_reference(inputs, params)
    for key in (
        "coords_nn",
        "coords_offsets",
        "coords_relative",
        "coords_start_nn",
        "coords_start_offsets",
        "coords_start_relative",
    ):
        expected = want[key]
        assert isinstance(expected, np.ndarray)
        array = np.asarray(found[key])
        assert array.dtype == np.float64
        single = expected.dtype == np.float32
        assert_equal(array, expected, rtol=1e-5 if single else 1e-12, atol=1e-4 if single else 1e-10)


@pytest.mark.parametrize("name", [name for name in CASES if name not in MIRRORED_TRUTH])
def test_ground_truth_is_that_of_the_reference(name: str) -> None:
    inputs, params, want = golden(name)
    found = grouped_as_reference(inputs, params)
    if want["Y"] is None:
        assert found["Y"] is None
        return
    assert found["Y"] is not None
    assert found["Y"].dtype == np.complex64
    assert_equal(found["Y"], want["Y"], atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_the_keys_come_in_the_order_of_the_reference(name: str) -> None:
    inputs, params, _ = golden(name)
    assert list(grouped_as_reference(inputs, params)) == params["out_key_order"]


@pytest.mark.parametrize("name", CASES)
def test_the_object_is_passed_through(name: str) -> None:
    inputs, params, want = golden(name)
    found = grouped_as_reference(inputs, params)["objectGuess"]
    if want["objectGuess"] is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found, inputs["objectGuess"])


@pytest.mark.parametrize("name", [name for name in ERRORS if name != "e06_nsamples_none"])
def test_what_the_reference_refuses_is_refused(name: str) -> None:
    inputs, params, _ = golden(name)
    assert params["expected_error"]["type"] == "ValueError"
    with pytest.raises(GroupingError, match=r"expected|need"):
        grouped_as_reference(inputs, params)


def test_a_number_of_groups_that_is_none_is_a_type_error() -> None:
    inputs, params, _ = golden("e06_nsamples_none")
    with pytest.raises(TypeError, match="nsamples"):
        grouped_as_reference(inputs, params)


def test_patterns_are_a_channels_last_view_of_channels_first_memory() -> None:
    inputs, params, _ = golden("g06_n49_gs2")
    found = grouped_as_reference(inputs, params)
    assert np.moveaxis(found["diffraction"], -1, 1).flags.c_contiguous
    assert found["diffraction"].base is not None


def test_the_same_call_through_a_file_gives_the_same_dictionary(tmp_path: Path) -> None:
    inputs, params, want = golden("g13_n300_N32_gs2_start")
    np.savez(tmp_path / "scan.npz", allow_pickle=False, **inputs)
    found = RawData.from_file(tmp_path / "scan.npz").generate_grouped_data(**params["call"])
    np.testing.assert_array_equal(found["nn_indices"], want["nn_indices"])
    np.testing.assert_array_equal(found["coords_start_nn"], want["coords_start_nn"])


def test_a_size_that_is_not_the_patterns_own_is_refused() -> None:
    scan = scan_of(golden("g06_n49_gs2")[0])
    with pytest.raises(ValueError, match="expected N = 16"):
        scan.generate_grouped_data(32)


def test_a_grid_below_one_is_refused() -> None:
    scan = scan_of(golden("g06_n49_gs2")[0])
    with pytest.raises(GroupingError, match="gridsize of at least 1"):
        scan.generate_grouped_data(16, gridsize=0)
