"""Which pixels a detector's own file calls bad."""

import h5py
import numpy as np
from jaxtyping import Bool, Shaped

from ptychofold.formats.hdf5 import open_array
from ptychofold.formats.hdf5_items import find, numbers

__all__ = ["NEXUS_MASKS", "bad_pixels_of"]

SIGNAL_ABOVE_BACKGROUND = 0x1000
"""The value of CXI's mask that marks a good pixel with signal (CXI 1.6, table of pixel masks)."""
NEXUS_MASKS = ("pixel_mask", "detectorSpecific/pixel_mask", "pixel_mask_1")
"""Where NXdetector has its mask, relative to it; 0 is good (NeXus, "NXdetector")."""


def bad_pixels_of(group: h5py.Group, *, cxi: tuple[str, ...], nexus: tuple[str, ...]) -> Bool[np.ndarray, "N M"] | None:
    """Return True where the masks of a group mark a pixel as bad, in any frame of a mask per frame.

    Parameters
    ----------
    group
        Where the names begin.
    cxi
        Names of a mask with CXI's bits, of which "signal above background" is none of a bad pixel.
    nexus
        Names of a mask that is 0 where pixels are good.
    """
    found = [
        _any_frame(item, harmless)
        for item, harmless in ((find(group, *cxi), SIGNAL_ABOVE_BACKGROUND), (find(group, *nexus), 0))
        if item is not None
    ]
    if len(found) == 2 and found[0].shape == found[1].shape:
        joined: np.ndarray = found[0] | found[1]
        return joined
    return found[0] if found else None


def _any_frame(item: h5py.Dataset, harmless: int) -> Bool[np.ndarray, "..."]:
    if item.ndim <= 2:
        return _bad(numbers(item), harmless)
    masks = open_array(item)
    bad = np.zeros(item.shape[-2:], bool)
    for row in range(masks.shape[0]):
        bad |= _bad(masks.read(slice(row, row + 1)), harmless).any(axis=tuple(range(item.ndim - 2)))
    return bad


def _bad(mask: Shaped[np.ndarray, "..."], harmless: int) -> Bool[np.ndarray, "..."]:
    return np.asarray((mask.astype(np.int64) & ~harmless) != 0)
