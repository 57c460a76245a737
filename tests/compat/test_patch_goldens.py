"""The goldens of patch extraction, translation and reassembly, under the reference's names."""

import numpy as np
import pytest
import torch
from tests.compat.claims import exercises, golden
from tests.contract.cases import assert_equal
from tests.golden_files import stored

from ptychofold.compat import get_image_patches, get_relative_coords, reassemble_position
from ptychofold.compat.patches import center_channels, extract_patches_position, shift_and_sum, translate
from ptychofold.errors import ConfigError, ShapeError
from ptychofold.testing import coordinate_ramp


@exercises("image_patches")
def test_image_patches_are_those_of_the_reference_after_mirroring_back(name: str) -> None:
    inputs, params, want = golden(name)
    mirrored = -inputs["local_offsets"]  # deviation 1: the reference cuts at global + local
    found = get_image_patches(
        inputs["objectGuess"], inputs["global_offsets"], mirrored, N=params["N"], gridsize=params["gridsize"]
    )
    assert_equal(found, stored(want, "patches"), atol=params["tolerance"]["abs"])
    want.assert_all_compared()


def test_image_patches_sit_on_the_member_s_own_position() -> None:
    coords = np.array([[[[6.0, 9.0], [8.0, 10.0]]]])
    offsets, relative = get_relative_coords(coords)
    found = get_image_patches(coordinate_ramp((24, 24)), offsets, relative, 8)
    np.testing.assert_allclose(found[0, 4, 4], [8 + 6j, 10 + 9j], atol=1e-5)


@exercises("translate")
def test_translation_is_that_of_the_reference(name: str) -> None:
    inputs, _, want = golden(name)
    assert_equal(translate(inputs["images"], inputs["offsets"]), stored(want, "translated"), atol=2e-5)
    want.assert_all_compared()


@exercises("extract_patches_position")
def test_views_of_a_region_and_their_centring_are_those_of_the_reference(name: str) -> None:
    inputs, params, want = golden(name)
    found = extract_patches_position(inputs["images"], inputs["offsets_xy"], N=params["N"], gridsize=params["gridsize"])
    assert_equal(found, stored(want, "extracted"), atol=2e-5)
    channels = np.moveaxis(found[..., 0].reshape(2, 4, params["N"], params["N"]), 1, -1)
    assert_equal(center_channels(channels, inputs["offsets_xy"]), stored(want, "centered"), atol=2e-5)
    want.assert_all_compared()


@exercises("reassembly")
def test_reassembly_is_that_of_the_reference(name: str) -> None:
    inputs, params, want = golden(name)
    patches, offsets = inputs["patches"], inputs["global_offsets"]
    assert_equal(shift_and_sum(patches, offsets, M=params["M"]), stored(want, "shift_and_sum"), rtol=2e-5, atol=2e-5)
    found = reassemble_position(patches, offsets, M=params["M"])
    assert found.dtype == stored(want, "reassembled").dtype
    assert_equal(found, stored(want, "reassembled"), rtol=1e-5, atol=2e-5)
    want.assert_all_compared()


def test_tensors_are_taken_as_arrays() -> None:
    inputs, params, _ = golden("r01_basic")
    patches, offsets = torch.from_numpy(inputs["patches"]), torch.from_numpy(inputs["global_offsets"])
    found = reassemble_position(patches, offsets, M=params["M"])
    np.testing.assert_array_equal(found, reassemble_position(inputs["patches"], inputs["global_offsets"], params["M"]))


def test_offsets_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="whose square is the 2 channels"):
        get_image_patches(np.ones((9, 9)), np.zeros((1, 1, 2, 1)), np.zeros((1, 1, 2, 2)), 4, gridsize=2)
    with pytest.raises(ShapeError, match="an image for each of 3 offsets; found 2"):
        translate(np.ones((2, 4, 4, 1)), np.zeros((3, 2)))
    with pytest.raises(ShapeError, match=r"expected shape \(B, 1, 2, C\) or \(B, C, 1, 2\)"):
        get_relative_coords(np.zeros((2, 3, 4, 5)))
