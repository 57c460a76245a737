"""Splits of scan points: disjoint, complete, exact, compact."""

from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptychofold.errors import ConfigError, GroupingError
from ptychofold.grouping import split_scan

Method = Literal["random", "blocks", "stripes"]
methods = st.sampled_from(get_args(Method))
THREE = {"train": 0.7, "validation": 0.2, "test": 0.1}


def raster(n_rows: int, n_columns: int) -> np.ndarray:
    return np.argwhere(np.ones((n_rows, n_columns))).astype(np.float64)


@given(
    n_scan=st.integers(40, 200),
    shares=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    method=methods,
    seed=st.integers(0, 99),
)
def test_parts_are_disjoint_complete_ascending_and_exact(
    n_scan: int, shares: list[int], method: Method, seed: int
) -> None:
    fractions = {f"part {number}": share / sum(shares) for number, share in enumerate(shares)}
    positions = np.random.default_rng(seed).uniform(0, 50, (n_scan, 2))
    parts = split_scan(positions, fractions=fractions, method=method, seed=seed)
    assert list(parts) == list(fractions)
    np.testing.assert_array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(n_scan))
    for name, indices in parts.items():
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all()
        assert abs(len(indices) - n_scan * fractions[name]) < 1


@given(methods, st.integers(0, 99))
def test_the_same_seed_gives_the_same_parts(method: Method, seed: int) -> None:
    positions = raster(10, 10)
    first, second = (split_scan(positions, fractions=THREE, method=method, seed=seed) for _ in range(2))
    for name in THREE:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize("method", get_args(Method))
def test_other_seeds_give_other_parts(method: Method) -> None:
    positions = np.random.default_rng(0).uniform(0, 50, (100, 2))
    tests = {tuple(split_scan(positions, fractions=THREE, method=method, seed=seed)["test"]) for seed in range(20)}
    assert len(tests) > 1


@given(st.integers(0, 99), st.booleans())
def test_stripes_are_bands_side_by_side_along_the_longer_axis(seed: int, tall: bool) -> None:
    positions = np.random.default_rng(seed).uniform(0, 1, (90, 2)) * ([60, 20] if tall else [20, 60])
    parts = split_scan(positions, fractions=THREE, method="stripes", seed=seed)
    along = positions[:, 0 if tall else 1]
    bands = sorted((along[part].min(), along[part].max()) for part in parts.values())
    assert all(low[1] <= high[0] for low, high in pairwise(bands))


def n_borders(parts: dict[str, np.ndarray], side: int) -> int:
    """Count the pairs of adjacent points of a square raster that lie in different parts."""
    label = np.empty(side * side, int)
    for number, part in enumerate(parts.values()):
        label[part] = number
    grid = label.reshape(side, side)
    return int((grid[1:] != grid[:-1]).sum() + (grid[:, 1:] != grid[:, :-1]).sum())


def test_blocks_are_compact_and_spread() -> None:
    fractions = {"train": 0.8, "test": 0.2}
    positions = raster(40, 40)
    shuffled = n_borders(split_scan(positions, fractions=fractions, method="random", seed=0), 40)
    for seed in range(5):
        parts = split_scan(positions, fractions=fractions, method="blocks", seed=seed)
        assert n_borders(parts, 40) < shuffled / 4
        assert np.ptp(positions[parts["test"]], axis=0).min() > 10


def test_a_part_of_zero_is_empty() -> None:
    parts = split_scan(raster(3, 3), fractions={"train": 1.0, "test": 0.0}, method="blocks", seed=0)
    assert len(parts["train"]) == 9
    assert len(parts["test"]) == 0


def test_fractions_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="sum to 1"):
        split_scan(raster(3, 3), fractions={"train": 0.8, "test": 0.1}, method="random", seed=0)


@pytest.mark.parametrize("fractions", [{}, {"train": 1.5, "test": -0.5}, {"train": np.nan}])
def test_missing_and_negative_fractions_are_refused(fractions: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="none negative"):
        split_scan(raster(3, 3), fractions=fractions, method="random", seed=0)


def test_a_part_that_would_be_empty_is_refused() -> None:
    with pytest.raises(GroupingError, match="leave test empty"):
        split_scan(raster(1, 3), fractions={"train": 0.9, "test": 0.1}, method="random", seed=0)


def test_an_unknown_method_is_refused() -> None:
    method: Any = "checkerboard"
    with pytest.raises((ConfigError, TypeError), match="method"):
        split_scan(raster(3, 3), fractions={"train": 1.0}, method=method, seed=0)
