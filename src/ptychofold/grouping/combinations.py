"""Numbers for combinations: draw a K-choose-C combination by its rank, without listing the others."""

from math import comb

import numpy as np
from jaxtyping import Int

from ptychofold.errors import GroupingError

__all__ = ["draw_ranks", "n_combinations", "rank_combinations", "unrank_colexicographic", "unrank_combinations"]

_LARGEST = 2**63 - 1


def n_combinations(K: int, C: int) -> int:
    """Return K choose C.

    Raises
    ------
    GroupingError
        If the number does not fit 63 bits.

    Examples
    --------
    >>> n_combinations(7, 4)
    35
    """
    count = comb(K, C)
    if count > _LARGEST:
        raise GroupingError(
            f"expected fewer than 2**63 combinations of C = {C} out of K = {K} neighbors; found {count}. "
            "Lower n_neighbors or pool_size."
        )
    return count


def unrank_combinations(ranks: Int[np.ndarray, " n"], K: int, C: int) -> Int[np.ndarray, "n C"]:
    """Return the combinations of C out of ``0 … K-1`` that have the given ranks in lexicographic order.

    This is the order of `itertools.combinations`.

    Parameters
    ----------
    ranks
        Numbers from 0 to K-choose-C less one, in any order, repeats allowed.
    K, C
        How many there are to choose from, and how many are chosen.

    Returns
    -------
    combinations
        int64, each row ascending.

    Raises
    ------
    GroupingError
        If a rank is out of range, or K choose C does not fit 63 bits.

    Examples
    --------
    >>> unrank_combinations(np.array([0, 1, 5]), 4, 2).tolist()
    [[0, 1], [0, 2], [2, 3]]
    """
    # Counting the elements from the other end turns colexicographic order into the reverse of lexicographic order.
    return K - 1 - unrank_colexicographic(n_combinations(K, C) - 1 - ranks, K, C)[:, ::-1]


def unrank_colexicographic(ranks: Int[np.ndarray, " n"], K: int, C: int) -> Int[np.ndarray, "n C"]:
    """Return the combinations that have the given ranks in colexicographic order (compared from the last element).

    The rank of a combination ``c_1 < … < c_C`` is ``Σ comb(c_i, i)`` (Knuth, TAOCP 4A, 7.2.1.3), whatever K is, so
    the ranks below k-choose-C are the combinations of the first k elements. Parameters, result and errors are those
    of `unrank_combinations`.

    Examples
    --------
    >>> unrank_colexicographic(np.array([0, 1, 5]), 4, 2).tolist()
    [[0, 1], [0, 2], [2, 3]]
    """
    total = n_combinations(K, C)
    if len(ranks) and not (ranks.min() >= 0 and ranks.max() < total):
        raise GroupingError(
            f"expected ranks from 0 to {total - 1}, as {K} choose {C} is {total}; found {ranks.min()} to {ranks.max()}."
        )
    if total < len(ranks):
        table = unrank_colexicographic(np.arange(total), K, C)
        return table.take(ranks, axis=0)
    rest = ranks.astype(np.int64)
    combinations = np.empty((len(ranks), C), np.int64)
    for size in range(C, 0, -1):
        first_rank = _binomials(K, size)
        combinations[:, size - 1] = np.searchsorted(first_rank, rest, side="right") - 1
        rest -= first_rank[combinations[:, size - 1]]
    return combinations


def rank_combinations(combinations: Int[np.ndarray, "n C"], K: int) -> Int[np.ndarray, " n"]:
    """Return the lexicographic ranks of ascending combinations; the inverse of `unrank_combinations`.

    Examples
    --------
    >>> rank_combinations(np.array([[0, 1], [2, 3]]), 4).tolist()
    [0, 5]
    """
    C = combinations.shape[1]
    mirrored = K - 1 - combinations[:, ::-1].astype(np.int64)
    ranks: Int[np.ndarray, " n"] = np.full(len(mirrored), n_combinations(K, C) - 1)
    for size in range(1, C + 1):
        ranks -= _binomials(K, size)[mirrored[:, size - 1]]
    return ranks


def draw_ranks(
    rng: np.random.Generator, totals: Int[np.ndarray, " seed"], n_draws: int
) -> Int[np.ndarray, "seed n_draws"]:
    """Draw ``n_draws`` ranks below each total, uniformly; no rank of a row repeats before all were used.

    Distinct ranks are drawn by Floyd's method, one column at a time for all rows (Bentley and Floyd, CACM 30, 1987,
    p. 754), in O(n_draws²) operations a row.

    Parameters
    ----------
    rng
        Source of randomness.
    totals
        How many ranks each row has; at least 1.
    n_draws
        Ranks to draw in each row.

    Examples
    --------
    >>> sorted(draw_ranks(np.random.default_rng(0), np.array([3]), 3)[0].tolist())
    [0, 1, 2]
    """
    if n_draws == 1:
        return rng.integers(totals)[:, None]
    ranks = np.empty((len(totals), n_draws), np.int64)
    distinct = np.full((n_draws, len(totals)), -1, np.int64)
    n_distinct = n_draws % totals
    for column in range(n_draws):
        step = column - (n_draws - n_distinct)
        largest = np.where(step >= 0, totals - n_distinct + step, 0)
        drawn = rng.integers(largest + 1)
        drawn = np.where((distinct[:column] == drawn).any(axis=0), largest, drawn)
        distinct[column] = np.where(step >= 0, drawn, -1)
        ranks[:, column] = np.where(step >= 0, drawn, column % totals)
    return ranks


def _binomials(K: int, size: int) -> Int[np.ndarray, " K"]:
    """Return m choose ``size`` for m from 0 to K-1, cut at the largest int64."""
    return np.array([min(comb(m, size), _LARGEST) for m in range(K)], np.int64)
