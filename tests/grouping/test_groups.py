"""Native grouping: what is promised about members, seeds, bounds, quadrants, chance and errors."""

import logging
import tracemalloc
from collections import Counter
from itertools import combinations
from typing import get_args

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import chisquare
from tests.grouping.helpers import (
    Role,
    as_sets,
    check_geometry,
    check_nearest,
    config,
    jittered,
    raster,
    roles,
    scattered,
    seeds,
)

from ptychofold.config import GroupingConfig
from ptychofold.errors import ConfigError, GroupingError, ShapeError
from ptychofold.grouping import group_scan

every_seed = st.builds(
    GroupingConfig,
    grid=st.sampled_from([(2, 2), (1, 3), (3, 2)]),
    n_neighbors=st.integers(6, 15),
    seed_role=roles,
    groups_per_seed=st.integers(1, 4),
    seed=seeds,
)


@given(scattered(), every_seed)
def test_groups_are_different_nearest_scan_points_around_every_scan_point(
    positions: np.ndarray, wanted: GroupingConfig
) -> None:
    groups = group_scan(positions, wanted)
    np.testing.assert_array_equal(groups.seeds, np.repeat(np.arange(len(positions)), wanted.groups_per_seed))
    assert groups.members.shape == (len(groups.seeds), wanted.C)
    assert groups.n_left_out == 0
    assert all(len(members) == wanted.C for members in as_sets(groups))
    is_seed = groups.members == groups.seeds[:, None]
    if wanted.seed_role == "excluded":
        assert not is_seed.any()
    if wanted.seed_role == "member":
        assert is_seed[:, 0].all()
    check_nearest(positions, groups, wanted.n_neighbors)
    check_geometry(positions, groups)


def test_a_candidate_seed_is_in_some_of_its_groups_and_comes_first() -> None:
    groups = group_scan(jittered(20), config(seed_role="candidate"))
    is_seed = groups.members == groups.seeds[:, None]
    assert 0.3 < is_seed.any(axis=1).mean() < 0.7
    assert not is_seed[:, 1:].any()


def test_members_are_nearest_first() -> None:
    positions = jittered(12)
    groups = group_scan(positions, config())
    distances = np.linalg.norm(positions[groups.members] - positions[groups.seeds, None], axis=2)
    assert (np.diff(distances, axis=1) >= 0).all()


@given(scattered(), st.integers(0, 12), roles, seeds)
def test_sampling_then_grouping_draws_each_seed_once(
    positions: np.ndarray, n_groups: int, role: Role, seed: int
) -> None:
    groups = group_scan(positions, config(n_groups=n_groups, seed_role=role, seed=seed))
    assert len(groups) == n_groups
    assert len(set(groups.seeds.tolist())) == n_groups
    check_nearest(positions, groups, 7)


def test_random_seeds_are_drawn_from_the_whole_scan_and_sequential_seeds_from_its_start() -> None:
    positions = jittered(10)
    sequential = group_scan(positions, config(n_groups=9, sampling="sequential"))
    np.testing.assert_array_equal(sequential.seeds, np.arange(9))
    drawn = {tuple(group_scan(positions, config(n_groups=9, seed=seed)).seeds) for seed in range(5)}
    assert len(drawn) == 5


def test_groups_per_seed_share_the_groups_asked_for() -> None:
    groups = group_scan(jittered(10), config(n_groups=10, groups_per_seed=4))
    assert sorted(np.unique(groups.seeds, return_counts=True)[1].tolist()) == [2, 4, 4]


def test_groups_of_one_seed_repeat_only_when_all_combinations_are_used() -> None:
    groups = group_scan(jittered(6), config(n_neighbors=5, groups_per_seed=7))
    for seed in range(36):
        counts = np.unique(np.sort(groups.members[groups.seeds == seed], axis=1), axis=0, return_counts=True)[1]
        assert sorted(counts.tolist()) == [1, 1, 1, 2, 2]


bounds = st.tuples(st.floats(0, 8), st.floats(1, 20)).map(lambda pair: (pair[0], sum(pair)))
ways = st.sampled_from([("quadrants", "excluded"), *(("nearest", role) for role in get_args(Role))])


@given(scattered(), bounds, ways, seeds)
def test_bounds_hold_for_all_members_and_seeds_without_group_are_counted(
    positions: np.ndarray, bounds: tuple[float, float], way: tuple[str, Role], seed: int
) -> None:
    (low, high), (candidates, role) = bounds, way
    wanted = config(
        n_neighbors=10, min_distance=low, max_distance=high, candidates=candidates, seed_role=role, seed=seed
    )
    try:
        groups = group_scan(positions, wanted)
    except GroupingError:
        assume(False)
    assert len(groups) + groups.n_left_out == len(positions)
    assert all(len(members) == 4 for members in as_sets(groups))
    distances = np.linalg.norm(positions[groups.members] - positions[groups.seeds, None], axis=2)
    others = groups.members != groups.seeds[:, None]
    assert (distances[others] >= low).all()
    assert (distances[others] <= high).all()
    assert others.all() or role != "excluded"
    check_nearest(positions, groups, 10)


def test_seeds_are_left_out_exactly_if_too_few_neighbors_lie_within_the_bounds() -> None:
    positions = jittered(12)
    groups = group_scan(positions, config(n_neighbors=20, min_distance=4.0, max_distance=7.0))
    distances = np.sort(cdist(positions, positions), axis=1)[:, 1:21]
    has_group = ((distances >= 4.0) & (distances <= 7.0)).sum(axis=1) >= 4
    assert 0 < has_group.sum() < len(positions)
    np.testing.assert_array_equal(groups.seeds, np.flatnonzero(has_group))


def test_a_neighbor_on_a_bound_is_a_candidate() -> None:
    positions = np.array([[0.0, 0.0], [0.0, 3.0], [3.0, 0.0], [-3.0, 0.0], [0.0, -3.0]])
    groups = group_scan(positions, config(n_neighbors=4, min_distance=3.0, max_distance=3.0000001, n_groups=1))
    assert groups.seeds.tolist() == [0]
    assert group_scan(positions, config(n_neighbors=4, min_distance=1.0, max_distance=3.0)).seeds.tolist() == [0]


@given(scattered(max_size=60), st.integers(1, 3), seeds)
def test_each_member_lies_in_its_own_quadrant(positions: np.ndarray, per_seed: int, seed: int) -> None:
    wanted = config(candidates="quadrants", n_neighbors=20, groups_per_seed=per_seed, seed=seed)
    try:
        groups = group_scan(positions, wanted)
    except GroupingError:
        assume(False)
    assert len(groups) == (len(positions) - groups.n_left_out) * per_seed
    y, x = np.moveaxis(positions[groups.members] - positions[groups.seeds, None], -1, 0)
    angle = np.mod(np.arctan2(y, x), 2 * np.pi)
    assert (np.hypot(y, x) > 0).all()
    assert (angle // (np.pi / 2) == [0, 1, 2, 3]).all()


def test_a_scan_point_without_neighbor_in_some_quadrant_is_left_out_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    positions = raster(5)
    groups = group_scan(positions, config(candidates="quadrants", n_neighbors=8))
    assert groups.n_left_out == 16
    assert "16 of 25 scan points: left out" in caplog.text


def test_combinations_around_a_seed_are_equally_likely() -> None:
    positions = jittered(100)
    groups = group_scan(positions, config(grid=(1, 2), n_neighbors=4))
    order = np.argsort(cdist(positions[::7], positions), axis=1)[:, 1:5]
    counts = Counter(
        tuple(np.flatnonzero(np.isin(near, members)).tolist())
        for near, members in zip(order, groups.members[::7], strict=True)
    )
    assert set(counts) == set(combinations(range(4), 2))
    assert chisquare(list(counts.values())).pvalue > 1e-3


@given(scattered(), st.sampled_from([None, 5, 60]), roles, st.sampled_from([None, 12]), seeds)
def test_the_same_seed_gives_the_same_groups_whatever_the_workers(
    positions: np.ndarray, n_groups: int | None, role: Role, n_scan_points: int | None, seed: int
) -> None:
    wanted = config(n_groups=n_groups, seed_role=role, oversample=True, n_scan_points=n_scan_points, seed=seed)
    first, second = (group_scan(positions, wanted, workers=workers) for workers in (1, 2))
    np.testing.assert_array_equal(first.members, second.members)
    np.testing.assert_array_equal(first.seeds, second.seeds)
    assert first.seed == seed


def test_other_seeds_give_other_groups() -> None:
    positions = jittered(6)
    assert len({group_scan(positions, config(seed=seed)).members.tobytes() for seed in range(5)}) == 5


def test_a_missing_seed_is_drawn_logged_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    positions = jittered(6)
    with caplog.at_level(logging.INFO, "ptychofold"):
        groups = group_scan(positions, config(seed=None))
    assert f"drew the seed {groups.seed}" in caplog.text
    again = group_scan(positions, config(seed=groups.seed))
    np.testing.assert_array_equal(again.members, groups.members)


def test_a_generator_replaces_the_seed_of_the_configuration() -> None:
    positions = jittered(6)
    groups = group_scan(positions, config(seed=0), rng=np.random.default_rng(5))
    assert groups.seed is None
    np.testing.assert_array_equal(groups.members, group_scan(positions, config(seed=5)).members)


@given(scattered(min_size=30), st.integers(8, 60), st.sampled_from([(1, 1), (2, 2)]), seeds)
def test_members_of_a_kept_subset_are_indices_into_the_whole_scan(
    positions: np.ndarray, n_scan_points: int, grid: tuple[int, int], seed: int
) -> None:
    groups = group_scan(positions, config(grid=grid, n_scan_points=n_scan_points, seed=seed))
    kept = np.unique(groups.seeds)
    assert len(kept) == min(n_scan_points, len(positions))
    assert set(groups.members.ravel().tolist()) <= set(kept.tolist())
    check_geometry(positions, groups)


@pytest.mark.parametrize("per_seed", [1, 7])
def test_grouping_holds_less_than_three_times_its_output(per_seed: int) -> None:
    positions = np.random.default_rng(0).uniform(0, 1500, (90_000, 2))
    tracemalloc.start()
    groups = group_scan(positions, config(groups_per_seed=per_seed))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    output = groups.members.nbytes + groups.seeds.nbytes + groups.centers.nbytes + groups.offsets.nbytes
    assert peak < 3 * output


def test_single_points_are_their_own_groups() -> None:
    positions = jittered(5)
    groups = group_scan(positions, config(grid=(1, 1), groups_per_seed=2))
    np.testing.assert_array_equal(groups.members[:, 0], np.repeat(np.arange(25), 2))
    np.testing.assert_array_equal(groups.centers, positions[groups.seeds])
    drawn = group_scan(positions, config(grid=(1, 1), n_groups=7))
    assert len(set(drawn.seeds.tolist())) == 7


def test_no_groups_are_an_empty_result() -> None:
    groups = group_scan(jittered(5), config(n_groups=0))
    assert groups.members.shape == (0, 4)
    assert groups.offsets.shape == (0, 4, 2)


def test_scan_points_that_coincide_are_grouped_without_the_seed() -> None:
    positions = np.zeros((40, 2))
    groups = group_scan(positions, config())
    assert not (groups.members == groups.seeds[:, None]).any()


@pytest.mark.parametrize(("role", "smallest"), [("excluded", 5), ("candidate", 4), ("member", 4)])
def test_a_scan_too_small_for_a_group_is_refused(role: Role, smallest: int) -> None:
    positions = np.random.default_rng(0).uniform(0, 9, (smallest, 2))
    assert len(group_scan(positions, config(seed_role=role))) == smallest
    with pytest.raises(GroupingError, match=f"at least {smallest} scan points .* found {smallest - 1}"):
        group_scan(positions[1:], config(seed_role=role))


def test_an_empty_scan_is_refused() -> None:
    with pytest.raises(GroupingError, match="at least one scan point"):
        group_scan(np.empty((0, 2)), config(grid=(1, 1)))


def test_more_single_points_than_exist_are_refused() -> None:
    with pytest.raises(GroupingError, match="at most 25 groups of one scan point"):
        group_scan(jittered(5), config(grid=(1, 1), n_groups=26, oversample=True))


def test_bounds_that_leave_no_group_are_refused() -> None:
    with pytest.raises(GroupingError, match="at least 1 seeds; found 0, as 25 scan points"):
        group_scan(jittered(5), config(min_distance=400.0))


def test_bounds_that_leave_too_few_seeds_are_refused() -> None:
    positions = raster(5)
    wanted = config(candidates="quadrants", n_neighbors=8)
    assert len(group_scan(positions, wanted.replace(n_groups=9))) == 9
    with pytest.raises(GroupingError, match="at least 10 seeds; found 9"):
        group_scan(positions, wanted.replace(n_groups=10))


def test_positions_of_another_shape_are_refused() -> None:
    with pytest.raises((ShapeError, TypeError), match="positions"):
        group_scan(np.zeros((9, 3)), config())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_neighbors": 3}, "needs n_neighbors of at least 4; found 3"),
        ({"n_neighbors": 2, "seed_role": "member"}, "needs n_neighbors of at least 3; found 2"),
        ({"pool_size": 3}, "needs pool_size of at least 4; found 3"),
        ({"grid": (1, 3), "candidates": "quadrants"}, r"needs grid \(2, 2\)"),
        ({"candidates": "quadrants", "seed_role": "member"}, "seed_role must be 'excluded'"),
        ({"min_distance": 3.0, "max_distance": 3.0}, "max_distance must exceed min_distance"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**settings)
