"""Numbers under the mask that are no measurement, such as a Pilatus' −1 or NaN: zero as the patterns are read."""

import logging
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, Num

from ptychofold.formats.transformed import FrameTransform, TransformedSource
from ptychofold.reading import spread_rows
from ptychofold.typing import ArraySource
from ptychofold.validation import wrong_numbers

__all__ = ["Cleared", "cleared"]

logger = logging.getLogger(__name__)

N_INSPECTED = 8
"""Patterns that are looked at."""


@dataclass(frozen=True, eq=False)
class Cleared(FrameTransform):
    """Put 0 in place of what is negative, not finite or too large in bad pixels; every other number stays.

    Examples
    --------
    >>> frames = np.array([[[-1.0, 3.0], [np.nan, 4.0]]])
    >>> bad_pixels = np.array([[True, True], [True, False]])
    >>> Cleared(bad_pixels).apply(frames, np.array([0])).tolist()
    [[[0.0, 3.0], [0.0, 4.0]]]
    """

    bad_pixels: Bool[np.ndarray, "H W"]

    def apply(self, frames: Num[np.ndarray, "n H W"], rows: Int64[np.ndarray, " n"]) -> Num[np.ndarray, "n H W"]:
        """Clear bad pixels; frames without such numbers are returned as they are."""
        del rows
        values = frames[:, self.bad_pixels]
        wrong = wrong_numbers(values)
        if not wrong.any():
            return frames
        changed = frames.copy()
        values[wrong] = 0
        changed[:, self.bad_pixels] = values
        return changed


def cleared(patterns: ArraySource, bad_pixels: Bool[np.ndarray, "..."] | None) -> ArraySource:
    """Return the patterns, cleared under the mask as they are read if some of them need it.

    Unsigned counts have no such numbers, and nothing is read of them. A mask of another shape than the frames changes
    nothing: what checks the scan names it.

    Parameters
    ----------
    patterns
        (scan, N, M), any real dtype.
    bad_pixels
        True where the detector is bad.
    """
    if bad_pixels is None or bad_pixels.shape != patterns.shape[1:] or patterns.dtype.kind not in "if":
        return patterns
    if not bad_pixels.any() or not patterns.shape[0]:
        return patterns
    transform = Cleared(bad_pixels)
    rows = spread_rows(patterns.shape[0], N_INSPECTED)
    sample = patterns.read(rows)
    if transform.apply(sample, rows) is sample:
        return patterns
    logger.info("bad pixels hold numbers that are no measurement; they are read as 0")
    return TransformedSource(patterns, transform)
