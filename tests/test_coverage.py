import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptychofold.coverage import (
    coverage_map,
    linear_overlap,
    median_step,
    probe_diameter,
    probe_footprint,
    scan_field,
)
from ptychofold.errors import DomainError
from ptychofold.patches import place_patches
from ptychofold.testing import make_positions, make_probe


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), N=st.integers(1, 12), shape=st.tuples(st.integers(1, 30), st.integers(1, 30)))
def test_the_map_is_what_laying_the_same_patch_at_every_position_gives(
    seed: int, N: int, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    positions, weight = rng.uniform(-20, 50, (40, 2)), rng.random((N, N)).astype(np.float32)
    laid = place_patches(np.repeat(weight[None], 40, axis=0), positions, shape)
    np.testing.assert_allclose(coverage_map(positions, weight, shape), laid, atol=2e-6)


def test_a_map_that_no_memory_holds_is_refused() -> None:
    with pytest.raises(DomainError, match=r"field of 100000 × 100000. Check the unit"):
        coverage_map(np.zeros((1, 2)), np.ones((2, 2), np.float32), (100_000, 100_000))


def test_the_footprint_holds_just_the_share_of_the_power() -> None:
    probe = make_probe(32, n_modes=2)
    intensity = (abs(probe) ** 2).sum(axis=0)
    inside = probe_footprint(probe, power=0.9) > 0
    assert intensity[inside].sum() >= 0.9 * intensity.sum()
    assert intensity[inside].sum() - intensity[inside].min() < 0.9 * intensity.sum()
    assert intensity[inside].min() >= intensity[~inside].max()


def test_the_diameter_of_a_gaussian_probe_is_known() -> None:
    sigma = 64 / 8 / np.sqrt(2)
    expected = 2 * sigma * np.sqrt(2 * np.log(10))
    assert probe_diameter(make_probe(64)) == pytest.approx(expected, rel=0.02)


def test_the_step_of_a_raster_is_its_own_and_of_one_point_zero() -> None:
    assert median_step(make_positions(25, grid="raster", step=3.0)) == 3.0
    assert median_step(np.zeros((1, 2))) == 0.0


def test_probes_that_are_apart_do_not_overlap() -> None:
    assert linear_overlap(10.0, 4.0) == 0.0


def test_the_field_holds_every_patch_whole() -> None:
    positions = np.array([[8.0, 8.0], [20.5, 30.0]])
    assert scan_field(positions, 16) == (29, 38)


def test_the_footprint_of_a_flat_probe_has_no_holes() -> None:
    y, x = np.indices((32, 32)) - 16
    disc = np.hypot(y, x) < 10
    rounded = 1 + 1e-6 * np.random.default_rng(0).random((32, 32))
    footprint = probe_footprint((disc * rounded)[None].astype(np.complex64))
    np.testing.assert_array_equal(footprint > 0, disc)


def test_positions_that_came_from_metres_need_no_larger_object() -> None:
    positions = np.array([[8.0, 8.0], [12.0, 20.0]]) * 1e-8 / 1e-8 + 3e-12
    assert scan_field(positions, 16) == (20, 28)
