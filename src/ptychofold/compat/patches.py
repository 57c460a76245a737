"""Patches under the reference's names: channels last, offsets [x, y].

These prepare and show data: they take anything that NumPy sees as an array and return arrays. What a model needs,
with gradients, is in `ptychofold.physics`.
"""

import numpy as np
from jaxtyping import Float64, Inexact
from numpy.typing import ArrayLike

from ptychofold.config.dialects import expect
from ptychofold.conventions import channels_first, channels_last, xy_from_yx
from ptychofold.patches import extract_patches
from ptychofold.views import moved_views, sum_around_mean

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
    images = np.asarray(imgs)[..., 0]
    height, width = images.shape[1:]
    moved = moved_views(images, xy_from_yx(np.asarray(offsets)), max(height, width))
    return moved[:, :height, :width, None]


def extract_patches_position(
    imgs: ArrayLike, offsets_xy: ArrayLike, *, N: int, gridsize: int | None = None
) -> Inexact[np.ndarray, "BC N N 1"]:
    """Cut the views of each region (B, M, M, 1) at its relative coordinates (B, 1, 2, C): flat (B·C, N, N, 1)."""
    offsets = xy_from_yx(_by_member(np.asarray(offsets_xy), gridsize=gridsize))
    regions = np.repeat(np.asarray(imgs)[..., 0], offsets.shape[1], axis=0)
    return moved_views(regions, offsets.reshape(-1, 2), N)[..., None]


def center_channels(channels: ArrayLike, offsets_xy: ArrayLike) -> Patches:
    """Lay patches (B, N, N, C) into the frame of their group's centre: undo their relative coordinates."""
    flat = channels_first(np.asarray(channels))
    offsets = xy_from_yx(_by_member(np.asarray(offsets_xy))).reshape(-1, 2)
    return channels_last(moved_views(flat.reshape(-1, *flat.shape[2:]), -offsets, flat.shape[-1]).reshape(flat.shape))


def shift_and_sum(obj_tensor: ArrayLike, global_offsets: ArrayLike, M: int = 10) -> Inexact[np.ndarray, "S S 1"]:
    """Add the central M² of each patch (B, N, N, 1) onto a canvas at its offset from the mean offset.

    Offsets are (B, 1, 1, 2) or (B, 1, 2, 1). S is M plus twice the largest of them, rounded up to even.
    """
    patches = np.asarray(obj_tensor)
    middle = slice(patches.shape[1] // 2 - M // 2, patches.shape[1] // 2 + M // 2)
    positions = xy_from_yx(np.asarray(global_offsets, np.float64).reshape(-1, 2))
    return sum_around_mean(patches[:, middle, middle, 0], positions)[..., None]


def reassemble_position(obj_tensor: ArrayLike, global_offsets: ArrayLike, M: int = 10) -> Inexact[np.ndarray, "S S 1"]:
    """Average the central M² of patches where they overlap; see `shift_and_sum`."""
    total = shift_and_sum(obj_tensor, global_offsets, M)
    coverage = shift_and_sum(np.ones(np.shape(obj_tensor), np.float32), global_offsets, M)
    return np.asarray(total / (coverage + 1e-9), total.dtype)


def _by_member(offsets: Inexact[np.ndarray, "B 1 2 C"], *, gridsize: int | None = None) -> Float64[np.ndarray, "B C 2"]:
    C = offsets.shape[3]
    expect(gridsize is None or gridsize**2 == C, "gridsize", f"one whose square is the {C} channels", gridsize)
    return np.moveaxis(offsets[:, 0].astype(np.float64), 1, 2)
