"""The contract's samplers against the goldens, and against a loop of ``choice`` where there is no golden."""

import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from tests.golden_files import golden, golden_names

from ptychofold.errors import ConfigError, DtypeError, GroupingError
from ptychofold.grouping import ScanGroups, reference_groups
from ptychofold.grouping.reference import oversampled_groups, standard_groups


def points_of(inputs: dict[str, np.ndarray]) -> np.ndarray:
    return np.column_stack([inputs["xcoords"], inputs["ycoords"]])


def contract_groups(inputs: dict[str, np.ndarray], params: dict[str, Any]) -> ScanGroups:
    call = params["call"]
    gridsize = call["gridsize"] or params["legacy_cfg"]["gridsize"]
    return reference_groups(
        points_of(inputs),
        K=call["K"],
        C=gridsize**2,
        nsamples=call["nsamples"],
        # a golden without seed was drawn from the process-wide stream, whose seed it names
        seed=params["global_preseed"] if call["seed"] is None else call["seed"],
        sequential=call.get("sequential_sampling", False),
        enable_oversampling=call.get("enable_oversampling", False),
        neighbor_pool_size=call.get("neighbor_pool_size"),
    )


@pytest.mark.parametrize("name", golden_names("grouping", prefix="g"))
def test_contract_groups_equal_the_goldens_bit_for_bit(name: str) -> None:
    inputs, params, outputs = golden(name)
    groups = contract_groups(inputs, params)
    np.testing.assert_array_equal(groups.members, outputs["nn_indices"])
    assert groups.members.shape == tuple(params["out"]["nn_indices"]["shape"])
    assert groups.members.dtype == np.int32


@pytest.mark.parametrize("name", golden_names("grouping", prefix="e"))
def test_contract_errors_have_the_type_of_the_goldens(name: str) -> None:
    inputs, params, _ = golden(name)
    expected = {"ValueError": ValueError, "TypeError": TypeError}[params["expected_error"]["type"]]
    with pytest.raises(expected, match="expected"):
        contract_groups(inputs, params)


@pytest.mark.parametrize("name", golden_names("groups_only"))
def test_samplers_equal_the_goldens_bit_for_bit(name: str) -> None:
    inputs, params, outputs = golden(name)
    call = params["call"]
    sampler = {"standard": standard_groups, "oversampling": oversampled_groups}[params["method"]]
    groups = sampler(
        points_of(inputs),
        K=call["K"],
        C=call["C"],
        nsamples=call["nsamples"],
        seed=call["seed"],
        seed_indices=inputs.get("seed_indices"),
    )
    np.testing.assert_array_equal(groups.members, outputs["nn_indices"])


@given(
    n_scan=st.integers(9, 40),
    K=st.integers(4, 20),
    nsamples=st.integers(0, 40),
    seed=st.integers(0, 2**32 - 1),
    raster=st.booleans(),
)
def test_the_standard_sampler_equals_a_loop_of_choice(
    n_scan: int, K: int, nsamples: int, seed: int, raster: bool
) -> None:
    points = np.random.default_rng(seed).uniform(0, 20, (n_scan, 2))
    if raster:
        points -= points % 5
    stream = np.random.RandomState(seed)
    m = min(nsamples, n_scan)
    seeds = stream.choice(np.arange(n_scan), m, replace=False) if m < n_scan else np.arange(n_scan)
    table = np.asarray(cKDTree(points).query(points[seeds], k=min(K + 1, n_scan))[1])
    table = table[:, 1:] if table.shape[1] > K else table
    expected = [stream.choice(row, 4, replace=False) for row in table]
    groups = standard_groups(points, K=K, C=4, nsamples=nsamples, seed=seed)
    np.testing.assert_array_equal(groups.members, np.reshape(expected, (m, 4)))
    np.testing.assert_array_equal(groups.seeds, seeds)


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_coordinates_of_other_dtypes_group_as_their_float64_values(dtype: type) -> None:
    points: np.ndarray = np.random.default_rng(2).uniform(0, 90, (30, 2)).astype(dtype)
    given = reference_groups(points, K=6, C=4, nsamples=30, seed=5)
    cast = reference_groups(points.astype(np.float64), K=6, C=4, nsamples=30, seed=5)
    np.testing.assert_array_equal(given.members, cast.members)


def test_centers_and_offsets_are_in_row_column_order() -> None:
    points = np.random.default_rng(0).uniform(0, 50, (20, 2))
    groups = reference_groups(points, K=7, C=4, nsamples=20, seed=0)
    np.testing.assert_allclose(groups.centers[:, None] + groups.offsets, points[groups.members][..., ::-1])


def test_a_missing_seed_is_drawn_logged_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    points = np.random.default_rng(0).uniform(0, 50, (20, 2))
    with caplog.at_level(logging.INFO, "ptychofold"):
        groups = reference_groups(points, K=7, C=4, nsamples=10, seed=None)
    assert str(groups.seed) in caplog.text
    again = reference_groups(points, K=7, C=4, nsamples=10, seed=groups.seed)
    np.testing.assert_array_equal(again.members, groups.members)


def test_the_process_wide_stream_is_untouched() -> None:
    before = np.random.get_state(legacy=False)  # noqa: NPY002
    reference_groups(np.random.default_rng(0).uniform(0, 50, (20, 2)), K=7, C=4, nsamples=10, seed=3)
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    np.testing.assert_equal(before, after)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_beyond_32_bits_is_refused(seed: int) -> None:
    with pytest.raises(ConfigError, match=r"a seed from 0 to 2\*\*32 - 1"):
        reference_groups(np.zeros((9, 2)), K=4, C=4, nsamples=1, seed=seed)


def test_a_negative_number_of_groups_is_refused() -> None:
    with pytest.raises(ConfigError, match="nsamples of at least 0; found -1"):
        reference_groups(np.zeros((9, 2)), K=4, C=4, nsamples=-1, seed=0)


def test_a_number_of_groups_that_is_no_number_is_refused() -> None:
    with pytest.raises(DtypeError, match="nsamples as a whole number; found None"):
        reference_groups(np.zeros((9, 2)), K=4, C=4, nsamples=None, seed=0)


def test_a_scan_smaller_than_a_group_is_refused() -> None:
    with pytest.raises(GroupingError, match="at least C = 4 scan points for a group; found 3"):
        reference_groups(np.zeros((3, 2)), K=4, C=4, nsamples=2, seed=0)


def test_fewer_neighbors_than_members_are_refused() -> None:
    with pytest.raises(GroupingError, match="at least C = 4 neighbors to draw from; found 3"):
        reference_groups(np.zeros((9, 2)), K=3, C=4, nsamples=2, seed=0)


def test_oversampling_is_opt_in() -> None:
    with pytest.raises(GroupingError, match="enable_oversampling=True"):
        reference_groups(np.zeros((9, 2)), K=4, C=4, nsamples=10, seed=0)


def test_oversampling_needs_more_neighbors_than_the_scan_may_have() -> None:
    with pytest.raises(GroupingError, match="at least C = 4 neighbors of each seed; the scan has 4 points"):
        reference_groups(np.eye(4)[:, :2], K=7, C=4, nsamples=5, seed=0, enable_oversampling=True)
