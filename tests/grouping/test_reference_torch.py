"""The PyTorch side's sampler against the outputs of the reference."""

import numpy as np
import pytest
from tests.golden_files import golden, stored

from ptychofold.errors import ConfigError, GroupingError
from ptychofold.grouping.reference_torch import draw_members, inner_points, nearest_with_self


def test_members_are_those_of_the_reference_bit_for_bit() -> None:
    inputs, params, want = golden("q01_nearest_c4")
    valid = inputs["valid_indices"]
    points = np.stack([inputs["xcoords"], inputs["ycoords"]], axis=1)[valid]
    stream = np.random.RandomState(params["global_preseed"])
    candidates = valid[nearest_with_self(points, params["data_config"]["K"])]
    members = draw_members(candidates, C=4, per_seed=2, stream=stream)
    np.testing.assert_array_equal(members, stored(want, "nn_indices"))


def test_every_seed_is_its_own_nearest_candidate() -> None:
    points = np.random.default_rng(0).uniform(0, 50, (20, 2))
    np.testing.assert_array_equal(nearest_with_self(points, 4)[:, 0], np.arange(20))


def test_a_level_field_is_bounded_along_its_extent_only() -> None:
    positions = np.stack([np.full(5, 3.0), np.arange(5.0)], axis=1)
    assert inner_points(positions, x_bounds=(0.1, 0.9), y_bounds=(0.1, 0.9)).tolist() == [1, 2, 3]


def test_impossible_bounds_and_too_few_points_are_refused() -> None:
    positions = np.random.default_rng(0).uniform(0, 50, (6, 2))
    with pytest.raises(ConfigError, match="x_bounds: expected rising fractions"):
        inner_points(positions, x_bounds=(0.9, 0.1), y_bounds=(0.0, 1.0))
    with pytest.raises(GroupingError, match="Widen the bounds"):
        inner_points(positions, x_bounds=(0.5, 0.5001), y_bounds=(0.5, 0.5001))
    with pytest.raises(GroupingError, match="more than K = 6"):
        nearest_with_self(positions, 6)
    with pytest.raises(GroupingError, match="at least C = 4 candidates"):
        draw_members(np.zeros((2, 3), np.int64), C=4, per_seed=1, stream=np.random.RandomState(0))
