"""Groups as indices: which scan points are reconstructed together."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int32, Int64
from numpy.typing import ArrayLike

from ptychofold.config import GroupingConfig
from ptychofold.errors import GroupingError
from ptychofold.grouping.combinations import draw_ranks
from ptychofold.grouping.neighbors import Candidates, build_tree, nearest_candidates, quadrant_candidates
from ptychofold.typing import Positions
from ptychofold.validation import as_array, check_positions

__all__ = ["ScanGroups", "fresh_seed", "group_scan", "groups_from_members"]

logger = logging.getLogger(__name__)

_CHUNK = 1 << 14
"""Groups that are made at a time, so that intermediate arrays stay in the cache."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ScanGroups:
    """Groups of C scan points: indices and geometry, no pixels."""

    members: Int32[np.ndarray, "group C"]
    """Scan points of each group, as indices into the scan."""
    seeds: Int32[np.ndarray, " group"]
    """Scan point that each group was drawn around."""
    centers: Float64[np.ndarray, "group 2"]
    """Mean member position, (y, x) in object pixels."""
    offsets: Float64[np.ndarray, "group C 2"]
    """Member position minus center."""
    seed: int | None = None
    """Seed of the random stream that drew the groups; None if a caller's generator did."""
    n_left_out: int = 0
    """Scan points that no group can be formed around, within the distance bounds or quadrants asked for."""

    def __len__(self) -> int:
        return len(self.members)


def group_scan(
    positions: ArrayLike, config: GroupingConfig, *, rng: np.random.Generator | None = None, workers: int = -1
) -> ScanGroups:
    """Draw groups of C neighboring scan points.

    Around each seed, all combinations of C candidates are equally likely; the groups of one seed differ as long as
    it has that many. With ``config.oversample`` and more groups than ``groups_per_seed`` around every scan point,
    all pairs of seed and combination are equally likely, no pair is drawn twice, and no two groups have the same
    members while different ones exist. Every scan point that is a candidate of some seed can be drawn; one that is
    nobody's neighbor, such as an outlier, needs ``seed_role`` "candidate" or "member". Scan points around which no
    group can be formed are left out and counted.

    Groups are in the order of their seeds. Members are nearest to the seed first; with quadrants, one a quadrant in
    the order of `QuadrantCandidates`. The same seed gives the same groups, whatever the number of workers.

    Parameters
    ----------
    positions
        (scan, 2) array or list, (y, x) of each scan point in object pixels.
    config
        What to draw. If it asks for more neighbors than there are other scan points, all are neighbors.
    rng
        Source of randomness, used instead of ``config.seed``.
    workers
        Threads that query the tree; -1 means one for each processor.

    Returns
    -------
    groups
        Indices into ``positions``, also if ``config.n_scan_points`` keeps only some of them.

    Raises
    ------
    GroupingError
        If the scan is too small, or fewer groups exist than are asked for.
    DataError
        If the positions are not finite numbers of shape (scan, 2).

    Examples
    --------
    >>> positions = np.stack(np.mgrid[:8.0, :8.0], axis=-1).reshape(-1, 2)
    >>> groups = group_scan(positions, GroupingConfig(grid=(2, 2), n_neighbors=7, seed=0))
    >>> groups.members.shape
    (64, 4)
    """
    given = as_array(positions, field="positions")
    positions = check_positions(given, n_scan=len(np.atleast_1d(given)))
    seed = None
    if rng is None:
        seed = fresh_seed() if config.seed is None else config.seed
        rng = np.random.default_rng(seed)
    kept = _kept(rng, len(positions), config.n_scan_points)
    draw = _draw_single_points if config.C == 1 else _draw_combinations
    seeds, members, n_left_out = draw(rng, positions if kept is None else positions[kept], config, workers)
    if kept is not None:
        seeds, members = kept[seeds], kept[members]
    n_unused = len(positions) - np.count_nonzero(np.bincount(members.ravel(), minlength=len(positions)))
    logger.info(
        "drew %d groups of %d from %d scan points; %d are in no group",
        len(members),
        config.C,
        len(positions),
        n_unused,
    )
    return groups_from_members(positions, members=members, seeds=seeds, seed=seed, n_left_out=n_left_out)


def groups_from_members(
    positions: Positions,
    *,
    members: Int32[np.ndarray, "group C"],
    seeds: Int32[np.ndarray, " group"],
    seed: int | None = None,
    n_left_out: int = 0,
) -> ScanGroups:
    """Complete groups with their geometry: centers and offsets in object pixels, (y, x).

    Examples
    --------
    >>> pair = np.array([[0, 1]], np.int32)
    >>> groups_from_members(np.array([[0.0, 0.0], [0.0, 2.0]]), members=pair, seeds=pair[:, 0]).centers.tolist()
    [[0.0, 1.0]]
    """
    n_groups, C = members.shape
    offsets = np.empty((n_groups, C, 2))
    centers = np.empty((n_groups, 2))
    for chunk in _chunks(n_groups):
        positions.take(members[chunk], axis=0, out=offsets[chunk], mode="clip")
        np.einsum("gcd->gd", offsets[chunk], out=centers[chunk])
        centers[chunk] /= C
        offsets[chunk] -= centers[chunk, None]
    return ScanGroups(members=members, seeds=seeds, centers=centers, offsets=offsets, seed=seed, n_left_out=n_left_out)


def fresh_seed() -> int:
    """Draw a 32-bit seed from the operating system and log it, so that the run can be repeated."""
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    logger.info("drew the seed %d; pass it to repeat these groups", seed)
    return seed


def _kept(rng: np.random.Generator, n_scan: int, n_kept: int | None) -> Int32[np.ndarray, " kept"] | None:
    if n_kept is None or n_kept >= n_scan:
        return None
    return np.sort(rng.choice(n_scan, n_kept, replace=False)).astype(np.int32)


def _draw_single_points(
    rng: np.random.Generator, points: Positions, config: GroupingConfig, workers: int
) -> tuple[Int32[np.ndarray, " group"], Int32[np.ndarray, "group 1"], int]:
    """Draw seeds that are their own groups."""
    n_scan, n_groups = len(points), config.n_groups
    if not n_scan:
        raise GroupingError("expected at least one scan point to group; found none.")
    if n_groups is not None and n_groups > n_scan * config.groups_per_seed:
        raise GroupingError(
            f"expected at most {n_scan * config.groups_per_seed} groups of one scan point each, "
            f"groups_per_seed = {config.groups_per_seed} for each of {n_scan} scan points; n_groups is {n_groups}. "
            "Lower n_groups, or use a grid such as (2, 2)."
        )
    seeds = np.repeat(_seed_order(rng, n_scan, config), config.groups_per_seed)[:n_groups]
    seeds = np.sort(seeds).astype(np.int32)
    return seeds, seeds[:, None], 0


def _draw_combinations(
    rng: np.random.Generator, points: Positions, config: GroupingConfig, workers: int
) -> tuple[Int32[np.ndarray, " group"], Int32[np.ndarray, "group C"], int]:
    """Draw combinations of neighbors around seeds."""
    n_scan, n_groups, per_seed = len(points), config.n_groups, config.groups_per_seed
    smallest = config.C + (config.seed_role == "excluded")
    if n_scan < smallest:
        raise GroupingError(
            f"expected at least {smallest} scan points for groups of {config.C} with seed_role = "
            f"{config.seed_role!r}; found {n_scan}. Use a smaller grid or more scan points."
        )
    oversampled = n_groups is not None and n_groups > n_scan * per_seed
    if oversampled and not config.oversample:
        raise GroupingError(
            f"expected at most {n_scan * per_seed} groups, groups_per_seed = {per_seed} around each of {n_scan} scan "
            f"points; n_groups is {n_groups}. Set oversample=True, raise groups_per_seed or lower n_groups."
        )
    n_seeds = n_scan if n_groups is None or oversampled else -(-n_groups // per_seed)
    order = _seed_order(rng, n_scan, config)
    query_all = oversampled or _is_restricted(config)
    queried = np.arange(n_scan) if query_all else _sorted(order[:n_seeds], n_scan)
    candidates = _candidates(points, queried, config, oversampled=oversampled, workers=workers)
    totals = candidates.totals()
    n_left_out = int(np.count_nonzero(totals == 0))
    if n_left_out:
        logger.warning("no group can be formed around %d of %d scan points: left out", n_left_out, n_scan)
    if n_groups is not None and oversampled:
        rows, ranks = _draw_distinct(rng, candidates, totals, n_groups)
    else:
        rows = order[totals[order] > 0][:n_seeds] if query_all else np.arange(n_seeds)
        _check_enough_seeds(len(rows), n_seeds, n_left_out, config)
        rows = _sorted(rows, n_scan)
        ranks = draw_ranks(rng, totals[rows], per_seed).ravel()[:n_groups]
        rows = np.repeat(rows, per_seed)[:n_groups]
    return candidates.seeds[rows], _members(candidates, rows, ranks, config.C), n_left_out


def _seed_order(rng: np.random.Generator, n_scan: int, config: GroupingConfig) -> Int64[np.ndarray, " scan"]:
    if config.n_groups is None or config.sampling == "sequential":
        return np.arange(n_scan)
    return rng.permutation(n_scan)


def _sorted(numbers: Int64[np.ndarray, " n"], length: int) -> Int64[np.ndarray, " n"]:
    """Sort different numbers below ``length`` in one pass."""
    present = np.zeros(length, bool)
    present[numbers] = True
    return np.flatnonzero(present)


def _is_restricted(config: GroupingConfig) -> bool:
    """Whether some scan points may have no group around them."""
    return config.candidates != "nearest" or config.min_distance > 0 or config.max_distance is not None


def _candidates(
    points: Positions, seeds: Int64[np.ndarray, " seed"], config: GroupingConfig, *, oversampled: bool, workers: int
) -> Candidates:
    K = config.pool_size if oversampled and config.pool_size is not None else config.n_neighbors
    tree = build_tree(points)
    low, high = config.min_distance, config.max_distance
    if config.candidates == "quadrants":
        return quadrant_candidates(tree, seeds, K=K, min_distance=low, max_distance=high, workers=workers)
    return nearest_candidates(
        tree, seeds, K=K, C=config.C, role=config.seed_role, min_distance=low, max_distance=high, workers=workers
    )


def _check_enough_seeds(found: int, n_seeds: int, n_left_out: int, config: GroupingConfig) -> None:
    wanted = 1 if config.n_groups is None else n_seeds
    if found < wanted:
        raise GroupingError(
            f"expected a group around each of at least {wanted} seeds; found {found}, as {n_left_out} scan points have "
            f"none of {config.C} among their {config.n_neighbors} nearest within the distance bounds and quadrants. "
            "Raise n_neighbors, widen min_distance and max_distance, or lower n_groups."
        )


def _members(
    candidates: Candidates, rows: Int[np.ndarray, " group"], ranks: Int[np.ndarray, " group"], C: int
) -> Int32[np.ndarray, "group C"]:
    members = np.empty((len(rows), C), np.int32)
    for chunk in _chunks(len(rows)):
        members[chunk] = candidates.members(rows[chunk], ranks[chunk])
    return members


def _draw_distinct(
    rng: np.random.Generator, candidates: Candidates, totals: Int64[np.ndarray, " seed"], n_groups: int
) -> tuple[Int64[np.ndarray, " group"], Int64[np.ndarray, " group"]]:
    """Draw pairs of seed and combination uniformly, those whose members were drawn before only if no others are left.

    Returns the number of the seed and the rank of the combination of each group, in the order of the seeds.
    """
    if not n_groups <= totals.sum(dtype=np.float64) < 2**62:
        raise GroupingError(
            f"expected at most {totals.sum(dtype=np.float64):.6g} groups, the combinations around all seeds, and these "
            f"to be fewer than 2**62; n_groups is {n_groups}. Lower n_groups, or change pool_size or n_neighbors."
        )
    ends = np.cumsum(totals)
    total = int(ends[-1])

    def split(numbers: Int64[np.ndarray, " n"]) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
        rows = np.searchsorted(ends, numbers, side="right")
        return rows, numbers - (ends - totals)[rows]

    numbers = np.empty(0, np.int64)
    for drawn in _pair_numbers(rng, total, n_groups):
        numbers = np.concatenate([numbers, drawn])
        numbers = numbers[_first_occurrences(candidates.members(*split(numbers)))[:n_groups]]
        if len(numbers) == n_groups:
            break
    else:
        logger.warning("only %d different groups exist; %d are repeated", len(numbers), n_groups - len(numbers))
        others = np.setdiff1d(np.arange(total), numbers)
        numbers = np.concatenate([numbers, rng.choice(others, n_groups - len(numbers), replace=False)])
    return split(np.sort(numbers))


def _pair_numbers(rng: np.random.Generator, total: int, n_groups: int) -> Iterator[Int64[np.ndarray, " n"]]:
    """Draw numbers below ``total`` in batches: at random while most are new, then all in random order."""
    size = n_groups + n_groups // 4
    if total > 4 * size:
        for _ in range(16):
            yield rng.integers(total, size=size)
    order = rng.permutation(total)
    for start in range(0, total, size):
        yield order[start : start + size]


def _first_occurrences(members: Int32[np.ndarray, "group C"]) -> Int64[np.ndarray, " distinct"]:
    """Return the numbers of the groups whose members, in any order, occur in no earlier group."""
    columns = np.sort(members, axis=1).astype(np.int64).T
    bits = int(members.max(initial=1)).bit_length()
    words = []  # as many members as fit are packed into a word, since sorting by few keys is faster
    for start in range(0, len(columns), 63 // bits):
        word = np.zeros(len(members), np.int64)
        for column in columns[start : start + 63 // bits]:
            word = (word << bits) | column
        words.append(word)
    by_content = np.lexsort(words)
    is_first = np.ones(len(members), bool)
    is_first[1:] = np.any([word[by_content[1:]] != word[by_content[:-1]] for word in words], axis=0)
    return np.sort(by_content[is_first])


def _chunks(n_groups: int) -> Iterator[slice]:
    for start in range(0, n_groups, _CHUNK):
        yield slice(start, start + _CHUNK)
