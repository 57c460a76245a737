"""Candidates for members: the nearest scan points around seeds, within bounds or one a quadrant."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Float64, Int, Int8, Int32, Int64
from scipy.spatial import cKDTree

from ptychofold.grouping.combinations import n_combinations, unrank_colexicographic
from ptychofold.typing import Positions

__all__ = [
    "Candidates",
    "NearestCandidates",
    "QuadrantCandidates",
    "build_tree",
    "nearest_candidates",
    "nearest_neighbors",
    "quadrant_candidates",
]

SeedRole = Literal["excluded", "candidate", "member"]

_CHUNK = 1 << 16
"""Seeds whose neighbors are queried at a time, which bounds the memory of the query."""

_NO_QUADRANT = 4


class Candidates(Protocol):
    """The groups that can be formed around each of some seeds, by number."""

    @property
    def seeds(self) -> Int32[np.ndarray, " seed"]:
        """Scan points that the candidates surround."""
        ...

    def totals(self) -> Int64[np.ndarray, " seed"]:
        """Return how many groups each seed has; 0 where none can be formed."""
        ...

    def members(
        self, rows: Int[np.ndarray, " group"], ranks: Int[np.ndarray, " group"]
    ) -> Int32[np.ndarray, "group C"]:
        """Return group number ``ranks[i]``, below its total, of seed number ``rows[i]``."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class NearestCandidates:
    """Groups that are combinations of the nearest scan points; members are in order of distance."""

    seeds: Int32[np.ndarray, " seed"]
    """Scan points that the candidates surround."""
    table: Int32[np.ndarray, "seed P"]
    """Scan points around each seed, nearest first."""
    first: Int32[np.ndarray, " seed"]
    """Column of the table where the seed's candidates begin."""
    count: Int32[np.ndarray, " seed"]
    """How many candidates the seed has."""
    C: int
    """Members of a group."""
    with_seed: bool
    """Whether the seed is the first member of each of its groups."""

    @property
    def n_chosen(self) -> int:
        """Members that are chosen among the candidates."""
        return self.C - self.with_seed

    def totals(self) -> Int64[np.ndarray, " seed"]:
        """Return count choose C for each seed."""
        by_count = [n_combinations(count, self.n_chosen) for count in range(self.table.shape[1] + 1)]
        totals: Int64[np.ndarray, " seed"] = np.array(by_count, np.int64)[self.count]
        return totals

    def members(
        self, rows: Int[np.ndarray, " group"], ranks: Int[np.ndarray, " group"]
    ) -> Int32[np.ndarray, "group C"]:
        """Return the combination number ``ranks[i]`` of seed number ``rows[i]``."""
        P = self.table.shape[1]
        columns = unrank_colexicographic(ranks, P, self.n_chosen)
        columns += (rows * P + self.first[rows])[:, None]
        members = np.empty((len(rows), self.C), np.int32)
        members[:, self.C - self.n_chosen :] = self.table.ravel().take(columns)
        if self.with_seed:
            members[:, 0] = self.seeds[rows]
        return members


@dataclass(frozen=True, kw_only=True, eq=False)
class QuadrantCandidates:
    """Groups of one candidate from each quadrant around the seed.

    The quadrants, in the order of the members, begin at +x and turn towards +y; each holds the half-axis that it
    begins with, so that every other scan point lies in exactly one. A point on the seed itself lies in none.
    """

    seeds: Int32[np.ndarray, " seed"]
    """Scan points that the candidates surround."""
    table: Int32[np.ndarray, "seed K"]
    """Scan points around each seed, nearest first."""
    quadrant: Int8[np.ndarray, "seed K"]
    """Quadrant 0 to 3 of each; 4 if it is no candidate."""

    def totals(self) -> Int64[np.ndarray, " seed"]:
        """Return the product of the candidates in the four quadrants, for each seed."""
        totals: Int64[np.ndarray, " seed"] = np.ones(len(self.seeds), np.int64)
        for number in range(4):
            totals *= (self.quadrant == number).sum(axis=1)
        return totals

    def members(
        self, rows: Int[np.ndarray, " group"], ranks: Int[np.ndarray, " group"]
    ) -> Int32[np.ndarray, "group 4"]:
        """Return the choice number ``ranks[i]`` of seed number ``rows[i]``."""
        members = np.empty((len(rows), 4), np.int32)
        quadrant = self.quadrant[rows]
        rest = ranks
        for number in range(4):
            inside = quadrant == number
            rest, choice = np.divmod(rest, inside.sum(axis=1))
            column = (inside.cumsum(axis=1) == choice[:, None] + 1).argmax(axis=1)
            members[:, number] = self.table[rows, column]
        return members


def nearest_neighbors(
    tree: cKDTree,
    seeds: Int[np.ndarray, " seed"],
    K: int,
    *,
    max_distance: float | None = None,
    workers: int = -1,
) -> Iterator[tuple[Int64[np.ndarray, " chunk"], Int64[np.ndarray, "chunk K"], Float64[np.ndarray, "chunk K"]]]:
    """Query the K nearest other scan points around each seed, some seeds at a time.

    Equal distances come in the order in which the tree finds them, which depends on the positions alone. The seed
    itself is removed wherever it occurs among scan points that coincide with it.

    Parameters
    ----------
    tree
        Tree of the positions.
    seeds
        Scan points to query around, each once.
    K
        Neighbors of each; fewer if the scan has fewer others.
    max_distance
        Largest distance in object pixels; None means no bound.
    workers
        Threads; -1 means one for each processor. The result does not depend on it.

    Yields
    ------
    rows, neighbors, distances
        Numbers of the seeds in this chunk, their neighbors, nearest first, and the distances in object pixels. A
        neighbor that does not exist within the bound is given as the number of scan points, at infinity.
    """
    K = min(K, tree.n - 1)
    bound = np.inf if max_distance is None else np.nextafter(max_distance, np.inf)
    order = _by_leaf(tree, seeds)
    for start in range(0, len(seeds), _CHUNK):
        rows = order[start : start + _CHUNK]
        distances, neighbors = tree.query(tree.data[seeds[rows]], k=K + 1, distance_upper_bound=bound, workers=workers)
        yield rows, *_without_seed(np.asarray(neighbors), np.asarray(distances), seeds[rows])


def nearest_candidates(
    tree: cKDTree,
    seeds: Int[np.ndarray, " seed"],
    *,
    K: int,
    C: int,
    role: SeedRole,
    min_distance: float,
    max_distance: float | None,
    workers: int,
) -> NearestCandidates:
    """Find the K nearest within the distance bounds, which are in object pixels.

    The bounds are for the others: a seed that is a candidate or a member is so at distance 0.
    """
    K = min(K, tree.n - 1)
    joins = role == "candidate"
    table = np.empty((len(seeds), K + joins), np.int32)
    first = np.zeros(len(seeds), np.int32)
    count = np.full(len(seeds), K + joins, np.int32)
    for rows, neighbors, distances in nearest_neighbors(tree, seeds, K, max_distance=max_distance, workers=workers):
        table[rows, joins:] = neighbors
        if min_distance > 0:
            first[rows] = (distances < min_distance).sum(axis=1)
        if max_distance is not None:
            count[rows] = (distances <= max_distance).sum(axis=1) + joins
    count -= first
    if joins:
        table[np.arange(len(seeds)), first] = seeds
    return NearestCandidates(
        seeds=seeds.astype(np.int32), table=table, first=first, count=count, C=C, with_seed=role == "member"
    )


def quadrant_candidates(
    tree: cKDTree,
    seeds: Int[np.ndarray, " seed"],
    *,
    K: int,
    min_distance: float,
    max_distance: float | None,
    workers: int,
) -> QuadrantCandidates:
    """Sort the K nearest into the four quadrants around each seed; bounds are in object pixels."""
    K = min(K, tree.n - 1)
    table = np.empty((len(seeds), K), np.int32)
    quadrant = np.empty((len(seeds), K), np.int8)
    for rows, neighbors, distances in nearest_neighbors(tree, seeds, K, max_distance=max_distance, workers=workers):
        table[rows] = neighbors
        found = np.isfinite(distances)
        places = tree.data[np.where(found, neighbors, 0)] - tree.data[seeds[rows], None]
        quadrant[rows] = np.where(found & (distances >= min_distance), _quadrants(places), _NO_QUADRANT)
    return QuadrantCandidates(seeds=seeds.astype(np.int32), table=table, quadrant=quadrant)


def build_tree(positions: Positions) -> cKDTree:
    """Build the tree that the native grouping queries; splitting at midpoints is faster than at medians."""
    return cKDTree(positions, balanced_tree=False, compact_nodes=False)


def _by_leaf(tree: cKDTree, seeds: Int[np.ndarray, " seed"]) -> Int64[np.ndarray, " seed"]:
    """Return the numbers of the seeds, those of one leaf together, so that they are queried while it is in the cache.

    No scan point may be a seed twice.
    """
    number = np.full(tree.n, -1, np.int32)
    number[seeds] = np.arange(len(seeds), dtype=np.int32)
    by_leaf = number[tree.indices]
    return by_leaf[by_leaf >= 0].astype(np.int64)


def _quadrants(places: Float64[np.ndarray, "seed K 2"]) -> Int8[np.ndarray, "seed K"]:
    y, x = places[..., 0], places[..., 1]
    conditions = [(x > 0) & (y >= 0), (x <= 0) & (y > 0), (x < 0) & (y <= 0), (x >= 0) & (y < 0)]
    return np.select(conditions, [0, 1, 2, 3], default=_NO_QUADRANT).astype(np.int8)


def _without_seed(
    neighbors: Int64[np.ndarray, "seed K1"], distances: Float64[np.ndarray, "seed K1"], seeds: Int[np.ndarray, " seed"]
) -> tuple[Int64[np.ndarray, "seed K"], Float64[np.ndarray, "seed K"]]:
    """Drop the seed from its neighbors; the last one where more scan points coincide with it than were queried."""
    misplaced = np.flatnonzero(neighbors[:, 0] != seeds)
    if len(misplaced):
        is_seed = neighbors[misplaced] == seeds[misplaced, None]
        is_seed[:, -1] |= ~is_seed.any(axis=1)
        neighbors[misplaced, 1:] = neighbors[misplaced][~is_seed].reshape(len(misplaced), -1)
        distances[misplaced, 1:] = distances[misplaced][~is_seed].reshape(len(misplaced), -1)
    return neighbors[:, 1:], distances[:, 1:]
