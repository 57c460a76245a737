"""Positions, settings and checks that the tests of grouping share."""

from typing import Literal, get_args

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from ptychofold.config import GroupingConfig
from ptychofold.grouping import ScanGroups

Role = Literal["excluded", "candidate", "member"]
roles = st.sampled_from(get_args(Role))
seeds = st.integers(0, 2**16)


@st.composite
def scattered(draw: st.DrawFn, min_size: int = 12, max_size: int = 40) -> np.ndarray:
    """Draw positions at random, on a raster, on a line, or with duplicates."""
    positions = np.random.default_rng(draw(seeds)).uniform(0, 30, (draw(st.integers(min_size, max_size)), 2))
    kind = draw(st.sampled_from(["random", "raster", "line"]))
    if kind == "raster":
        positions = np.round(positions / 5) * 5
    if kind == "line":
        positions[:, 1] = 3.0
    return positions


def raster(side: int) -> np.ndarray:
    return np.argwhere(np.ones((side, side))).astype(np.float64)


def config(**settings: object) -> GroupingConfig:
    return GroupingConfig.from_mapping({"grid": (2, 2), "n_neighbors": 7, "seed": 0, **settings})


def jittered(side: int, *, seed: int = 0) -> np.ndarray:
    jitter: np.ndarray = np.random.default_rng(seed).normal(size=(side * side, 2))
    jitter += 5.0 * raster(side)
    return jitter


def as_sets(groups: ScanGroups) -> list[frozenset[int]]:
    return [frozenset(row) for row in groups.members.tolist()]


def check_geometry(positions: np.ndarray, groups: ScanGroups) -> None:
    at = positions[groups.members]
    np.testing.assert_allclose(groups.centers, at.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(groups.offsets, at - at.mean(axis=1, keepdims=True), atol=1e-12)


def check_nearest(positions: np.ndarray, groups: ScanGroups, K: int) -> None:
    """Members other than the seed are no farther than the K-th nearest other scan point."""
    distances = cdist(positions, positions)
    np.fill_diagonal(distances, np.inf)
    reach = np.sort(distances, axis=1)[groups.seeds, min(K, len(positions) - 1) - 1]
    found = np.where(groups.members == groups.seeds[:, None], 0.0, distances[groups.seeds[:, None], groups.members])
    assert (found <= reach[:, None] * (1 + 1e-12)).all()
