"""The samplers of the data contract, bit for bit: one `numpy.random.RandomState` stream, one group after another.

They exist so that the contract call gives the very groups of the reference pipeline. Members come in random order,
and oversampling favours the first seeds; `group_scan` is free of both.
"""

from math import ceil

import numpy as np
from jaxtyping import Int, Int64, Real
from scipy.spatial import cKDTree

from ptychofold.conventions import xy_from_yx
from ptychofold.errors import ConfigError, DtypeError, GroupingError
from ptychofold.grouping.combinations import n_combinations, unrank_combinations
from ptychofold.grouping.groups import ScanGroups, fresh_seed, groups_from_members

__all__ = ["group_size", "oversampled_groups", "reference_groups", "standard_groups", "stream_of"]


def reference_groups(
    points_xy: Real[np.ndarray, "scan 2"],
    *,
    K: int,
    C: int,
    nsamples: int | None,
    seed: int | None,
    sequential: bool = False,
    enable_oversampling: bool = False,
    neighbor_pool_size: int | None = None,
    seed_indices: Int[np.ndarray, " seed"] | None = None,
) -> ScanGroups:
    """Draw the groups of the contract's ``generate_grouped_data``.

    The standard sampler draws unless more groups than scan points are asked for and C > 1.

    Parameters
    ----------
    points_xy
        (x, y) of each scan point in object pixels, in this order, as it decides how ties of distance are broken.
    K
        Nearest neighbors that members are drawn from.
    C
        Members of a group.
    nsamples
        Groups to draw; for C = 1 at most as many as there are scan points. None is refused, as by the reference.
    seed
        Seed of the stream, below 2³²; None draws a fresh one, which is logged and returned.
    sequential
        Take the first scan points as seeds; the standard sampler then uses the seed 0.
    enable_oversampling
        Allow more groups than scan points when C > 1.
    neighbor_pool_size
        Neighbors that oversampling draws from; None means K.
    seed_indices
        Scan points to draw around, instead of drawing seeds.

    Returns
    -------
    groups
        Centers and offsets are (y, x), as everywhere.

    Raises
    ------
    GroupingError
        If the scan is smaller than a group, K or the pool is smaller than C, or oversampling is needed and not enabled.
    ConfigError
        If the seed or ``nsamples`` is out of range.
    DtypeError
        If a number is not whole.

    Examples
    --------
    >>> points_xy = np.random.default_rng(0).uniform(0, 50, (20, 2))
    >>> reference_groups(points_xy, K=7, C=4, nsamples=2, seed=42).members.tolist()
    [[5, 15, 6, 12], [0, 11, 15, 14]]
    """
    n_scan, n_groups = len(points_xy), _n_groups(nsamples)
    if C == 1 or n_groups <= n_scan:
        return standard_groups(
            points_xy, K=K, C=C, nsamples=nsamples, seed=seed, sequential=sequential, seed_indices=seed_indices
        )
    if not enable_oversampling:
        raise GroupingError(
            f"expected at most {n_scan} groups, one for each scan point; nsamples is {n_groups}. "
            f"Set enable_oversampling=True (--oversample) with a neighbor_pool_size (--pool-size) of at least {C}, or "
            "lower nsamples (--n-groups)."
        )
    if seed_indices is None and sequential:
        seed_indices = np.arange(n_scan)
    pool = K if neighbor_pool_size is None else neighbor_pool_size
    return oversampled_groups(points_xy, K=pool, C=C, nsamples=nsamples, seed=seed, seed_indices=seed_indices)


def standard_groups(
    points_xy: Real[np.ndarray, "scan 2"],
    *,
    K: int,
    C: int,
    nsamples: int | None,
    seed: int | None,
    sequential: bool = False,
    seed_indices: Int[np.ndarray, " seed"] | None = None,
) -> ScanGroups:
    """Draw one group around each seed, without replacement from its K nearest; see `reference_groups`.

    A group does not contain its own seed, unless the scan has no more than K points.
    """
    n_scan, n_groups = len(points_xy), _n_groups(nsamples)
    _check_sizes(n_scan, K=K, C=C)
    n_seeds = min(n_groups, n_scan)
    if seed_indices is None and sequential:
        seed_indices = np.arange(n_seeds)
    seed, stream = (0, np.random.RandomState(0)) if seed_indices is not None else stream_of(seed)
    if seed_indices is None:
        seed_indices = _draw_seeds(stream, n_scan, n_seeds)
    if C == 1:
        return _complete(points_xy, seed_indices[:, None], seed_indices, seed)
    rows = _neighbors(points_xy, seed_indices, K)
    rows = np.ascontiguousarray(rows[:, 1:] if rows.shape[1] > K else rows)
    for row in rows:
        stream.shuffle(row)  # the draws of choice(row, C, replace=False), which shuffles all of row to keep C
    return _complete(points_xy, rows[:, :C], seed_indices, seed)


def oversampled_groups(
    points_xy: Real[np.ndarray, "scan 2"],
    *,
    K: int,
    C: int,
    nsamples: int | None,
    seed: int | None,
    seed_indices: Int[np.ndarray, " seed"] | None = None,
) -> ScanGroups:
    """Draw from the combinations around some seeds, at most ``2 · nsamples`` of them; see `reference_groups`.

    The pool of combinations is not listed: its entry e is combination ``e % comb`` of seed ``e // comb``.
    """
    n_scan, n_groups = len(points_xy), _n_groups(nsamples)
    _check_sizes(n_scan, K=K, C=C)
    seed, stream = stream_of(seed)
    if C == 1:
        points = np.arange(n_scan) if seed_indices is None else seed_indices
        drawn = stream.choice(points, n_groups, replace=n_groups > len(points))
        return _complete(points_xy, drawn[:, None], drawn, seed)
    n_needed = max(1, ceil(n_groups / n_combinations(K, C)))
    n_seeds = min(2 * n_needed, n_scan)
    if seed_indices is not None and len(seed_indices) >= n_needed:
        seed_indices = seed_indices[:n_seeds]
    else:
        seed_indices = _draw_seeds(stream, n_scan, n_seeds)
    rows = _neighbors(points_xy, seed_indices, K)[:, 1:]
    per_seed = n_combinations(rows.shape[1], C)
    if not per_seed:
        raise GroupingError(
            f"expected at least C = {C} neighbors of each seed; the scan has {n_scan} points. Use a smaller grid."
        )
    n_pool = min(per_seed * len(rows), 2 * n_groups)
    entries = stream.choice(n_pool, n_groups, replace=n_groups > n_pool)
    row, rank = np.divmod(entries, per_seed)
    members = np.take_along_axis(rows[row], unrank_combinations(rank, rows.shape[1], C), axis=1)
    return _complete(points_xy, members, seed_indices[row], seed)


def group_size(gridsize: int | None) -> int:
    """Return C = gridsize² of the contract's square grid; None means 1.

    Raises
    ------
    GroupingError
        If the side is below one.
    DtypeError
        If it is not a whole number.
    """
    side = 1 if gridsize is None else _whole_number(gridsize, "gridsize")
    if side < 1:
        raise GroupingError(f"expected gridsize of at least 1; found {side}.")
    return side * side


def _whole_number(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise DtypeError(f"expected {name} as a whole number; found {value!r}. Pass it as an int.", field=name)
    return int(value)


def _n_groups(nsamples: object) -> int:
    n_groups = _whole_number(nsamples, "nsamples")
    if n_groups < 0:
        raise ConfigError(f"expected nsamples of at least 0; found {n_groups}.")
    return n_groups


def _check_sizes(n_scan: int, *, K: int, C: int) -> None:
    _whole_number(K, "K, the number of neighbors,")
    if n_scan < C:
        raise GroupingError(
            f"expected at least C = {C} scan points for a group; found {n_scan}. Use a smaller gridsize (--gridsize)."
        )
    if K < C:
        raise GroupingError(
            f"expected at least C = {C} neighbors to draw from; found {K}. Raise K (--neighbors) or neighbor_pool_size "
            f"(--pool-size) to {C}."
        )


def stream_of(seed: int | None) -> tuple[int, np.random.RandomState]:
    """Return a seed, a fresh one for None, and its local MT19937 stream."""
    if seed is None:
        seed = fresh_seed()
    seed = _whole_number(seed, "seed")
    if not 0 <= seed < 2**32:
        raise ConfigError(f"expected a seed from 0 to 2**32 - 1, as the contract's stream takes; found {seed}.")
    return seed, np.random.RandomState(seed)


def _draw_seeds(stream: np.random.RandomState, n_scan: int, n_seeds: int) -> Int64[np.ndarray, " seed"]:
    if n_seeds == n_scan:
        return np.arange(n_scan)
    return stream.choice(n_scan, n_seeds, replace=False).astype(np.int64)


def _neighbors(
    points_xy: Real[np.ndarray, "scan 2"], seeds: Int[np.ndarray, " seed"], K: int
) -> Int64[np.ndarray, "seed K1"]:
    """Query K + 1 with the tree's defaults: these and the order of the coordinates decide the order of ties."""
    points = np.ascontiguousarray(points_xy, np.float64)
    return np.asarray(cKDTree(points).query(points[seeds], k=min(K + 1, len(points)), workers=-1)[1], np.int64)


def _complete(
    points_xy: Real[np.ndarray, "scan 2"],
    members: Int[np.ndarray, "group C"],
    seeds: Int[np.ndarray, " group"],
    seed: int,
) -> ScanGroups:
    return groups_from_members(
        np.ascontiguousarray(xy_from_yx(points_xy), np.float64),
        members=members.astype(np.int32),
        seeds=seeds.astype(np.int32),
        seed=seed,
    )
