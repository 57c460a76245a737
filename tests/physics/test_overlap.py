import pytest
import torch
from tests.physics.fields import random_field, random_positions

from ptychofold.errors import DomainError, ShapeError
from ptychofold.physics import apply_overlap, extract_patches, merge_group_patches, region_size, split_region


def _groups(*, whole: bool) -> tuple[torch.Tensor, torch.Tensor]:
    offsets = random_positions(12, low=-3.4, high=3.4, seed=1).reshape(3, 4, 2)
    offsets = offsets.round() if whole else offsets
    canvas = random_field(40, 40, seed=2)
    centers = torch.tensor([[15.0, 20.0], [21.0, 16.0], [18.0, 22.0]], dtype=torch.float64)
    patches = extract_patches(canvas, (centers[:, None] + offsets).flatten(0, 1), 8).reshape(3, 4, 8, 8)
    return patches, offsets


def test_patches_that_agree_stay_as_they_are() -> None:
    patches, offsets = _groups(whole=True)
    torch.testing.assert_close(apply_overlap(patches, offsets), patches, rtol=1e-12, atol=1e-12)


def test_a_region_shows_the_object_around_the_center() -> None:
    patches, offsets = _groups(whole=True)
    region = merge_group_patches(patches, offsets)
    canvas = random_field(40, 40, seed=2)
    R = region.shape[-1]
    seen = region[0] != 0
    window = canvas[15 - R // 2 : 15 - R // 2 + R, 20 - R // 2 : 20 - R // 2 + R]
    torch.testing.assert_close(region[0][seen], window[seen], rtol=1e-12, atol=1e-12)
    assert seen.sum() > 64


def test_the_overlap_of_constant_patches_is_constant_up_to_the_edge_at_any_offset() -> None:
    _, offsets = _groups(whole=False)
    patches = torch.full((3, 4, 8, 8), 2 - 1j, dtype=torch.complex128)
    torch.testing.assert_close(apply_overlap(patches, offsets), patches, rtol=1e-12, atol=1e-12)


def test_groups_do_not_see_one_another() -> None:
    patches, offsets = _groups(whole=False)
    alone = apply_overlap(patches[1:2], offsets[1:2])
    torch.testing.assert_close(apply_overlap(patches, offsets)[1:2], alone, rtol=1e-12, atol=1e-12)


def test_a_trusted_pixel_overrules_the_others() -> None:
    patches = torch.stack([torch.full((4, 4), 1 + 0j), torch.full((4, 4), 3 + 0j)])[None]
    offsets = torch.tensor([[[0.0, 0.0], [0.0, 1.0]]])
    weight = torch.zeros(4, 4)
    weight[:, 0] = 1
    region = merge_group_patches(patches, offsets, weight=weight)
    middle = region.shape[-1] // 2
    assert region[0, middle, middle - 2 : middle + 1].tolist() == [1, 3, 0]


def test_the_merge_has_the_gradients_of_finite_differences() -> None:
    patches, offsets = (tensor[:2, :2].clone().requires_grad_() for tensor in _groups(whole=False))
    weight = torch.rand(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    assert torch.autograd.gradcheck(
        lambda p, o: merge_group_patches(p, o, weight=weight, size=18), (patches, offsets), fast_mode=True
    )


def test_single_precision_offsets_do_not_lose_their_fraction_on_the_tall_canvas() -> None:
    patches = random_field(64, 1, 8, 8, seed=3).to(torch.complex64)
    offsets = torch.full((64, 1, 2), 0.3)
    merged = merge_group_patches(patches, offsets)
    alone = merge_group_patches(patches[63:], offsets[63:])
    torch.testing.assert_close(merged[63:], alone, rtol=1e-6, atol=1e-6)


def test_a_region_too_small_for_the_offsets_is_refused() -> None:
    patches, offsets = _groups(whole=False)
    with pytest.raises(ShapeError, match="region of at least 18 pixels for patches of 8"):
        merge_group_patches(patches, offsets, size=16)
    with pytest.raises(ShapeError, match="found 12"):
        split_region(random_field(3, 12, 12), offsets, size=8)


def test_offsets_that_are_not_finite_are_refused() -> None:
    with pytest.raises(DomainError, match="finite offsets"):
        region_size(torch.tensor([[[0.0, float("nan")]]]), size=8)
