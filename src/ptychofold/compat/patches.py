"""Patches under the reference's names: channels last, offsets [x, y].

These prepare and show data: they take anything that NumPy sees as an array and return arrays. What a model needs,
with gradients, is in `ptychofold.physics`.
"""

import numpy as np
from jaxtyping import Float64, Inexact
from numpy.typing import ArrayLike

from ptychofold.conventions import channels_first, channels_last, xy_from_yx
from ptychofold.errors import ConfigError, ShapeError
from ptychofold.patches import extract_patches, place_patches

__all__ = [
    "center_channels",
    "extract_patches_position",
    "get_image_patches",
    "reassemble_position",
    "shift_and_sum",
    "translate",
]

Patches = Inexact[np.ndarray, "B N N C"]


def get_image_patches(
    gt_image: ArrayLike, global_offsets: ArrayLike, local_offsets: ArrayLike, N: int, gridsize: int | None = None
) -> Patches:
    """Cut the patch of every member at its own position out of an image (H, W).

    Offsets are group means (B, 1, 2, 1) and relative coordinates (B, 1, 2, C), −(position − mean).
    """
    positions = _by_member(np.asarray(global_offsets) - np.asarray(local_offsets), gridsize=gridsize)
    cut = extract_patches(np.asarray(gt_image), xy_from_yx(positions).reshape(-1, 2), N)
    return channels_last(cut.reshape(*positions.shape[:2], N, N))


def translate(imgs: ArrayLike, offsets: ArrayLike) -> Inexact[np.ndarray, "B H W 1"]:
    """Move images (B, H, W, 1) by offsets (B, 2): ``out[y, x] = in[y − dy, x − dx]``, bilinear, zeros outside."""
    height, width = np.shape(imgs)[1:3]
    return _views(np.asarray(imgs), np.asarray(offsets), size=max(height, width))[:, :height, :width]


def extract_patches_position(
    imgs: ArrayLike, offsets_xy: ArrayLike, *, N: int, gridsize: int | None = None
) -> Inexact[np.ndarray, "BC N N 1"]:
    """Cut the views of each region (B, M, M, 1) at its relative coordinates (B, 1, 2, C): flat (B·C, N, N, 1)."""
    offsets = _by_member(np.asarray(offsets_xy), gridsize=gridsize)
    return _views(np.repeat(np.asarray(imgs), offsets.shape[1], axis=0), offsets.reshape(-1, 2), size=N)


def center_channels(channels: ArrayLike, offsets_xy: ArrayLike) -> Patches:
    """Lay patches (B, N, N, C) into the frame of their group's centre: undo their relative coordinates."""
    flat = channels_first(np.asarray(channels))
    offsets = _by_member(np.asarray(offsets_xy)).reshape(-1, 2)
    return channels_last(
        _views(flat.reshape(-1, *flat.shape[2:], 1), -offsets, size=flat.shape[-1]).reshape(flat.shape)
    )


def shift_and_sum(obj_tensor: ArrayLike, global_offsets: ArrayLike, M: int = 10) -> Inexact[np.ndarray, "S S 1"]:
    """Add the central M² of each patch (B, N, N, 1) onto a canvas at its offset from the mean offset.

    Offsets are (B, 1, 1, 2) or (B, 1, 2, 1). S is M plus twice the largest of them, rounded up to even.
    """
    patches = np.asarray(obj_tensor)
    offsets = np.asarray(global_offsets, np.float64).reshape(-1, 2)
    offsets = offsets - offsets.mean(axis=0)
    reach = int(np.ceil(np.abs(offsets).max()))
    side = M + 2 * (reach + reach % 2)
    middle = slice(patches.shape[1] // 2 - M // 2, patches.shape[1] // 2 + M // 2)
    return place_patches(patches[:, middle, middle, 0], xy_from_yx(offsets) + side // 2, (side, side))[..., None]


def reassemble_position(obj_tensor: ArrayLike, global_offsets: ArrayLike, M: int = 10) -> Inexact[np.ndarray, "S S 1"]:
    """Average the central M² of patches where they overlap; see `shift_and_sum`."""
    total = shift_and_sum(obj_tensor, global_offsets, M)
    coverage = shift_and_sum(np.ones(np.shape(obj_tensor), np.float32), global_offsets, M)
    return np.asarray(total / (coverage + 1e-9), total.dtype)


def _views(
    imgs: Inexact[np.ndarray, "image H W 1"], shifts_xy: Inexact[np.ndarray, "shift 2"], *, size: int
) -> Inexact[np.ndarray, "image N N 1"]:
    """Cut the middle of each image after moving the image by its shift."""
    if len(imgs) != len(shifts_xy):
        raise ShapeError(f"expected an image for each of {len(shifts_xy)} offsets; found {len(imgs)}.", field="imgs")
    positions = max(imgs.shape[1:3]) // 2 - xy_from_yx(shifts_xy)
    views = [extract_patches(image[..., 0], place[None], size) for image, place in zip(imgs, positions, strict=True)]
    return np.concatenate(views)[..., None]


def _by_member(offsets: Inexact[np.ndarray, "B 1 2 C"], *, gridsize: int | None = None) -> Float64[np.ndarray, "B C 2"]:
    C = offsets.shape[3]
    if gridsize is not None and gridsize**2 != C:
        raise ConfigError(f"gridsize: expected one whose square is the {C} channels of the offsets; found {gridsize}.")
    return np.moveaxis(offsets[:, 0].astype(np.float64), 1, 2)
