from collections.abc import Callable

import numpy as np
import pytest

from ptychofold import testing

Draw = Callable[..., np.ndarray]
RANDOM: list[Draw] = [testing.dead_leaves, testing.lines, testing.random_phase]


@pytest.mark.parametrize("draw", [testing.siemens_star, *RANDOM])
@pytest.mark.parametrize("shape", [(40, 60), (61, 33)])
def test_a_phantom_is_a_complex64_transmission_with_contrast(draw: Draw, shape: tuple[int, int]) -> None:
    phantom = draw(shape)
    assert phantom.shape == shape
    assert phantom.dtype == np.complex64
    assert np.abs(phantom).max() <= 1 + 1e-6
    assert np.angle(phantom).std() > 0.05


@pytest.mark.parametrize("draw", RANDOM)
def test_a_random_phantom_is_fixed_by_its_seed(draw: Draw) -> None:
    np.testing.assert_array_equal(draw((30, 30), 3), draw((30, 30), 3))
    np.testing.assert_array_equal(draw((30, 30), 3), draw((30, 30), np.random.default_rng(3)))
    assert (draw((30, 30), 3) != draw((30, 30), 4)).any()


def test_the_coordinate_ramp_is_row_plus_i_column() -> None:
    ramp = testing.coordinate_ramp((5, 7))
    assert ramp.dtype == np.complex64
    assert ramp.shape == (5, 7)
    np.testing.assert_array_equal(ramp.real[:, 2], np.arange(5))
    np.testing.assert_array_equal(ramp.imag[3], np.arange(7))
