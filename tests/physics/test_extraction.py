import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.physics.fields import random_field, random_positions

from ptychofold.errors import DataError
from ptychofold.physics import extract_patches, place_patches


def _ramp(height: int, width: int) -> torch.Tensor:
    rows, columns = torch.arange(height, dtype=torch.float64), torch.arange(width, dtype=torch.float64)
    return torch.complex(rows[:, None].expand(height, width), columns.expand(height, width).contiguous())


@settings(deadline=None, max_examples=25)
@given(y=st.floats(4, 15), x=st.floats(4, 17), size=st.integers(3, 8))
def test_a_patch_of_the_coordinate_ramp_names_its_own_pixels(y: float, x: float, size: int) -> None:
    patch = extract_patches(_ramp(20, 22), torch.tensor([[y, x]], dtype=torch.float64), size)[0]
    torch.testing.assert_close(patch[size // 2, size // 2].item(), complex(y, x))
    torch.testing.assert_close(patch - patch[0, 0], _ramp(size, size), rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", [5, 6])
@pytest.mark.parametrize("real", [False, True])
def test_extraction_has_the_gradients_of_finite_differences(size: int, real: bool) -> None:
    canvas = random_field(11, 12)
    positions = random_positions(3, low=1.1, high=9.9).requires_grad_()
    canvas = (canvas.real.clone() if real else canvas).requires_grad_()
    assert torch.autograd.gradcheck(lambda c, p: extract_patches(c, p, size), (canvas, positions), fast_mode=True)


def test_every_entry_of_the_jacobians_is_that_of_finite_differences() -> None:
    canvas = random_field(4, 4).requires_grad_()
    positions = random_positions(2, low=0.6, high=2.4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda c, p: extract_patches(c, p, 2), (canvas, positions))
    patches = random_field(2, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda q, p: place_patches(q, p, (4, 4)), (patches, positions))


@pytest.mark.parametrize("size", [5, 6])
@pytest.mark.parametrize("real", [False, True])
def test_placement_has_the_gradients_of_finite_differences(size: int, real: bool) -> None:
    patches = random_field(3, size, size)
    positions = random_positions(3, low=1.1, high=9.9).requires_grad_()
    patches = (patches.real.clone() if real else patches).requires_grad_()
    assert torch.autograd.gradcheck(lambda c, p: place_patches(c, p, (11, 12)), (patches, positions), fast_mode=True)


def test_the_position_gradient_of_the_ramp_is_one_pixel_a_pixel_also_on_whole_pixels() -> None:
    positions = torch.tensor([[5.0, 6.0], [5.25, 6.5]], dtype=torch.float64, requires_grad=True)
    torch.autograd.backward(extract_patches(_ramp(12, 12), positions, 4).real.sum())
    torch.testing.assert_close(positions.grad, torch.tensor([[16.0, 0.0], [16.0, 0.0]], dtype=torch.float64))


def test_gradients_have_the_dtypes_of_what_they_belong_to() -> None:
    canvas = random_field(12, 12).to(torch.complex64).requires_grad_()
    positions = torch.full((1, 2), 5.5, dtype=torch.float64, requires_grad=True)
    torch.autograd.backward(extract_patches(canvas, positions, 4).abs().sum())
    assert canvas.grad is not None
    assert positions.grad is not None
    assert (canvas.grad.dtype, positions.grad.dtype) == (torch.complex64, torch.float64)


def test_a_position_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match="finite"):
        extract_patches(random_field(8, 8), torch.tensor([[float("nan"), 2.0]], dtype=torch.float64), 4)
