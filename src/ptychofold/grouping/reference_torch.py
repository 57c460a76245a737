"""The sampler of PtychoPINN's PyTorch side, bit for bit: one `numpy.random.RandomState` stream through all scans.

There every seed is one of its own candidates, groups are drawn around each point of the field's inner part, and
neighbors are sought in that part only.
"""

import numpy as np
from jaxtyping import Float64, Int, Int64
from scipy.spatial import cKDTree

from ptychofold.config import GroupingConfig
from ptychofold.conventions import xy_from_yx
from ptychofold.errors import ConfigError, GroupingError
from ptychofold.grouping.groups import group_scan
from ptychofold.grouping.reference import stream_of
from ptychofold.typing import Positions

__all__ = ["Bounds", "draw_inner_groups", "draw_members", "inner_points", "nearest_with_self", "random_stream"]

Bounds = tuple[float, float]
"""Lower and upper end of a range, as fractions of the field's extent."""


def inner_points(positions: Positions, *, x_bounds: Bounds, y_bounds: Bounds) -> Int64[np.ndarray, " inner"]:
    """Return the scan points inside fractions of the field's width and height, in their order.

    Raises
    ------
    ConfigError
        If the bounds are no rising fractions.
    GroupingError
        If no scan point lies inside.

    Examples
    --------
    >>> positions = np.stack([np.zeros(5), np.arange(5.0)], axis=1)
    >>> inner_points(positions, x_bounds=(0.25, 0.75), y_bounds=(0.0, 1.0)).tolist()
    [1, 2, 3]
    """
    for name, (low, high) in (("x_bounds", x_bounds), ("y_bounds", y_bounds)):
        if not 0 <= low < high <= 1:
            raise ConfigError(f"{name}: expected rising fractions from 0 to 1; found {(low, high)}.")
    first, extent = positions.min(axis=0), np.ptp(positions, axis=0)
    low, high = (first + np.array([y_bounds[end], x_bounds[end]]) * extent for end in (0, 1))
    level = extent == 0
    inside = ((positions >= low) & (positions <= high)) | level
    inner = np.flatnonzero(inside.all(axis=1))
    if not len(inner):
        raise GroupingError(
            f"expected a scan point inside x_bounds={x_bounds} and y_bounds={y_bounds} of the field; found none of "
            f"{len(positions)}. Widen the bounds."
        )
    return inner


def random_stream(seed: int | None) -> np.random.RandomState:
    """Return the stream of a seed; None draws a fresh one, which is logged.

    Raises
    ------
    ConfigError
        If the seed is negative or has more than 32 bits.
    """
    return stream_of(seed)[1]


def draw_inner_groups(
    positions: Positions, inner: Int[np.ndarray, " inner"], config: GroupingConfig, *, stream: np.random.RandomState
) -> tuple[Int64[np.ndarray, "group C"], Int64[np.ndarray, " group"]]:
    """Draw ``groups_per_seed`` groups around each point of the inner field, among the points of that field.

    Seeds that are candidates draw as the reference does; any other role, bounds and quadrants are `group_scan`'s.

    Parameters
    ----------
    positions
        (y, x) of every scan point.
    inner
        The scan points of the inner field.
    config
        Members, neighbors, their bounds and the groups of a seed.
    stream
        Goes on from scan to scan.

    Returns
    -------
    members, seeds
        Indices into ``positions``.

    Raises
    ------
    GroupingError
        If groups cannot be formed.
    """
    seeds = np.repeat(inner, config.groups_per_seed).astype(np.int64)
    if config.C == 1:
        return seeds[:, None], seeds
    if config.seed_role == "candidate":
        candidates = inner[nearest_with_self(xy_from_yx(positions[inner]), config.n_neighbors)]
        return draw_members(candidates, C=config.C, per_seed=config.groups_per_seed, stream=stream), seeds
    groups = group_scan(positions[inner], config, rng=np.random.default_rng(stream.randint(2**31)))
    return inner[groups.members].astype(np.int64), inner[groups.seeds].astype(np.int64)


def nearest_with_self(points_xy: Float64[np.ndarray, "scan 2"], K: int) -> Int64[np.ndarray, "scan K1"]:
    """Return each point and its K nearest, nearest first; equal distances in the order of the tree's defaults.

    Raises
    ------
    GroupingError
        If there are not K others.
    """
    points = np.ascontiguousarray(points_xy, np.float64)
    if len(points) <= K:
        raise GroupingError(
            f"expected more than K = {K} scan points; found {len(points)}. Lower K or widen the bounds."
        )
    return np.asarray(cKDTree(points).query(points, k=K + 1)[1], np.int64).reshape(len(points), K + 1)


def draw_members(
    candidates: Int[np.ndarray, "seed candidate"], *, C: int, per_seed: int, stream: np.random.RandomState
) -> Int64[np.ndarray, "group C"]:
    """Draw ``per_seed`` groups of C different candidates around each seed, seed after seed.

    Raises
    ------
    GroupingError
        If there are fewer than C candidates.
    """
    n_seeds, n_candidates = candidates.shape
    if n_candidates < C:
        raise GroupingError(f"expected at least C = {C} candidates around a seed; found {n_candidates}. Raise K.")
    order = np.tile(np.arange(n_candidates), (n_seeds * per_seed, 1))
    for row in order:
        stream.shuffle(row)  # the draws of choice(candidates, C, replace=False), which shuffles all to keep C
    return np.take_along_axis(np.repeat(candidates, per_seed, axis=0), order[:, :C], axis=1).astype(np.int64)
