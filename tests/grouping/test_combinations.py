"""Ranks of combinations and distinct draws of them."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from ptychofold.errors import GroupingError
from ptychofold.grouping.combinations import (
    draw_ranks,
    n_combinations,
    rank_combinations,
    unrank_colexicographic,
    unrank_combinations,
)

sizes = st.integers(1, 9).flatmap(lambda K: st.tuples(st.just(K), st.integers(1, K)))


@given(sizes)
def test_all_ranks_give_the_order_of_itertools(size: tuple[int, int]) -> None:
    K, C = size
    found = unrank_combinations(np.arange(comb(K, C)), K, C)
    assert [tuple(row) for row in found.tolist()] == list(combinations(range(K), C))


@given(sizes)
def test_colexicographic_order_compares_from_the_last_element(size: tuple[int, int]) -> None:
    K, C = size
    found = unrank_colexicographic(np.arange(comb(K, C)), K, C)
    assert [tuple(row) for row in found.tolist()] == sorted(combinations(range(K), C), key=lambda row: row[::-1])


@given(st.data())
def test_ranking_inverts_unranking_up_to_63_bits(data: st.DataObject) -> None:
    K = data.draw(st.integers(1, 66))
    C = data.draw(st.integers(1, K))
    ranks = np.array(data.draw(st.lists(st.integers(0, comb(K, C) - 1), min_size=1, max_size=5)), np.int64)
    found = unrank_combinations(ranks, K, C)
    assert (np.diff(found, axis=1) > 0).all()
    assert found.min() >= 0
    assert found.max() < K
    np.testing.assert_array_equal(rank_combinations(found, K), ranks)


def test_a_table_for_many_ranks_agrees_with_single_ranks() -> None:
    ranks = np.random.default_rng(0).integers(comb(9, 4), size=1000)
    many = unrank_combinations(ranks, 9, 4)
    np.testing.assert_array_equal(many[:5], unrank_combinations(ranks[:5], 9, 4))


@pytest.mark.parametrize("rank", [-1, 35])
def test_a_rank_out_of_range_is_refused(rank: int) -> None:
    with pytest.raises(GroupingError, match="ranks from 0 to 34"):
        unrank_combinations(np.array([rank]), 7, 4)


def test_more_than_63_bits_of_combinations_are_refused() -> None:
    with pytest.raises(GroupingError, match="Lower n_neighbors or pool_size"):
        n_combinations(70, 35)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=8), st.integers(0, 20), st.integers(0, 1000))
def test_no_rank_repeats_in_a_row_before_all_were_used(totals: list[int], n_draws: int, seed: int) -> None:
    ranks = draw_ranks(np.random.default_rng(seed), np.array(totals), n_draws)
    assert ranks.shape == (len(totals), n_draws)
    for row, total in zip(ranks, totals, strict=True):
        uses = np.bincount(row, minlength=total)
        assert len(uses) == total
        assert uses.max() - uses.min() <= 1


def test_every_subset_of_ranks_is_equally_likely() -> None:
    ranks = np.sort(draw_ranks(np.random.default_rng(3), np.full(20_000, 6), 3), axis=1)
    counts = np.bincount(rank_combinations(ranks, 6), minlength=20)
    assert chisquare(counts).pvalue > 1e-3
