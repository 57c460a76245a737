"""Oversampling: distinct combinations, all equally likely, every position reached."""

from collections import Counter
from math import comb
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from tests.grouping.helpers import Role, as_sets, check_nearest, config, jittered, scattered, seeds

from ptychofold.errors import GroupingError
from ptychofold.grouping import group_scan


@given(scattered(), st.integers(0, 2), st.integers(40, 80), seeds)
@settings(max_examples=40)
def test_oversampling_repeats_no_group_while_others_exist(
    positions: np.ndarray, extra: int, n_groups: int, seed: int
) -> None:
    wanted = config(n_neighbors=6, pool_size=6 + extra, oversample=True, n_groups=n_groups + 1, seed=seed)
    groups = group_scan(positions, wanted)
    assert len(groups) == n_groups + 1
    per_seed = comb(6 + extra, 4)
    existing = set(as_sets(group_scan(positions, config(n_neighbors=6 + extra, groups_per_seed=per_seed))))
    found = as_sets(groups)
    assert set(found) <= existing
    assert len(set(found)) == min(len(found), len(existing))
    pairs = set(zip(groups.seeds.tolist(), found, strict=True))
    assert len(pairs) == len(found)
    check_nearest(positions, groups, 6 + extra)


@pytest.mark.parametrize("n_groups", [21, 60])
def test_all_combinations_can_be_drawn_and_no_more(n_groups: int, caplog: pytest.LogCaptureFixture) -> None:
    five = np.random.default_rng(0).uniform(0, 1, (5, 2))
    positions = np.concatenate([five, five + 100])
    wanted = config(grid=(1, 2), n_neighbors=4, oversample=True, n_groups=n_groups)
    groups = group_scan(positions, wanted)
    assert len(set(as_sets(groups))) == 20
    assert len(set(zip(groups.seeds.tolist(), as_sets(groups), strict=True))) == n_groups
    assert f"only 20 different groups exist; {n_groups - 20} are repeated" in caplog.text
    with pytest.raises(GroupingError, match="at most 60 groups, the combinations around all seeds"):
        group_scan(positions, wanted.replace(n_groups=61))


def test_oversampling_of_a_vast_pool_needs_no_list_of_it() -> None:
    groups = group_scan(jittered(10), config(grid=(3, 3), pool_size=60, oversample=True, n_neighbors=9, n_groups=500))
    assert len(set(as_sets(groups))) == 500


def test_a_pool_beyond_62_bits_is_refused() -> None:
    with pytest.raises(GroupingError, match=r"fewer than 2\*\*62"):
        group_scan(jittered(10), config(grid=(5, 6), pool_size=66, oversample=True, n_neighbors=30, n_groups=101))


@pytest.mark.parametrize("role", get_args(Role))
def test_oversampling_reaches_every_position(role: Role) -> None:
    positions = jittered(20)
    groups = group_scan(positions, config(seed_role=role, oversample=True, n_groups=5 * len(positions)))
    np.testing.assert_array_equal(np.unique(groups.members), np.arange(len(positions)))


def test_an_outlier_is_reached_if_seeds_may_be_members() -> None:
    positions = np.concatenate([jittered(6), [[500.0, 500.0]]])
    everything = {"oversample": True, "n_neighbors": 5, "pool_size": 5}
    excluded = group_scan(positions, config(**everything, n_groups=37 * 5))
    assert 36 not in excluded.members
    candidate = group_scan(positions, config(**everything, n_groups=37 * 15, seed_role="candidate"))
    assert 36 in candidate.members


def test_oversampled_groups_are_equally_likely() -> None:
    five = np.random.default_rng(0).uniform(0, 1, (5, 2))
    positions = np.concatenate([five, five + 100])
    wanted = config(grid=(1, 2), n_neighbors=4, oversample=True, n_groups=11)
    rng = np.random.default_rng(1)
    counts = Counter[frozenset[int]]()
    for _ in range(300):
        counts.update(as_sets(group_scan(positions, wanted, rng=rng, workers=1)))
    assert len(counts) == 20
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_more_groups_than_scan_points_need_oversampling() -> None:
    with pytest.raises(GroupingError, match="Set oversample=True"):
        group_scan(jittered(5), config(n_groups=26))
