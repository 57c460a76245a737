"""One view from each of several images, and patches added up around their own mean position."""

import numpy as np
from jaxtyping import Inexact, Shaped

from ptychofold.errors import ShapeError
from ptychofold.patches import extract_patches, place_patches

__all__ = ["moved_views", "sum_around_mean"]


def moved_views(
    images: Inexact[np.ndarray, "image H W"], shifts: Inexact[np.ndarray, "shift 2"], size: int
) -> Inexact[np.ndarray, "image N N"]:
    """Cut the middle of each image after moving the image by its own shift, bilinear, zeros outside.

    Parameters
    ----------
    images
        (image, H, W), real or complex.
    shifts
        (image, 2), (y, x) in pixels: ``out[y, x] = in[y − dy, x − dx]`` around the middle of the longer side.
    size
        N, the side of a view.

    Raises
    ------
    ShapeError
        If there is not one image a shift.

    Examples
    --------
    >>> moved_views(np.eye(4)[None], np.array([[0.0, 1.0]]), 4)[0].argmax(axis=1).tolist()
    [1, 2, 3, 0]
    """
    if len(images) != len(shifts):
        raise ShapeError(f"expected an image for each of {len(shifts)} offsets; found {len(images)}.", field="imgs")
    positions = max(images.shape[1:]) // 2 - shifts
    views = [extract_patches(image, place[None], size) for image, place in zip(images, positions, strict=True)]
    return np.concatenate(views)


def sum_around_mean(
    patches: Inexact[np.ndarray, "patch N N"], positions: Shaped[np.ndarray, "patch 2"]
) -> Inexact[np.ndarray, "S S"]:
    """Add patches onto a canvas whose middle ``[S//2, S//2]`` is their mean position.

    S is N plus twice the largest distance along an axis from the mean, rounded up to even.
    """
    offsets = positions - positions.mean(axis=0)
    reach = int(np.ceil(np.abs(offsets).max()))
    side = patches.shape[-1] + 2 * (reach + reach % 2)
    return place_patches(patches, offsets + side // 2, (side, side))
