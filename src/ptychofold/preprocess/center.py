"""A few patterns of a scan, what they are on average, and where their beam lies."""

import numpy as np
from jaxtyping import Bool, Float64, Num, Shaped

from ptychofold.conventions import intensity_from_amplitude
from ptychofold.reading import read_apart, spread_rows
from ptychofold.typing import ArraySource, Measurement

__all__ = ["beam_center", "sample_intensity"]

BEAM_SHARE = 0.05
"""Share of the brightest pixel's intensity above which a pixel belongs to the beam."""


def sample_intensity(source: ArraySource, measurement: Measurement, *, n_frames: int) -> Num[np.ndarray, "n H W"]:
    """Read patterns evenly spread over the scan, as intensity."""
    stored: Shaped[np.ndarray, "n H W"] = read_apart(source, spread_rows(source.shape[0], n_frames))
    return stored if measurement == "intensity" else intensity_from_amplitude(stored)


def beam_center(
    mean: Float64[np.ndarray, "H W"], bad_pixels: Bool[np.ndarray, "H W"] | None = None
) -> tuple[float, float]:
    """Return (row, column) of the beam: the center of mass of the bright part of a mean intensity.

    A 3 × 3 median takes out single hot pixels first.

    Examples
    --------
    >>> mean = np.zeros((32, 32))
    >>> mean[10:15, 20:25] = 7.0
    >>> beam_center(mean)
    (12.0, 22.0)
    """
    from scipy.ndimage import center_of_mass, median_filter

    good = mean if bad_pixels is None else np.where(bad_pixels, 0.0, mean)
    smooth = median_filter(good, 3, mode="nearest")
    if not smooth.any():
        smooth = good
    bright = np.where(smooth > BEAM_SHARE * smooth.max(), smooth, 0.0)
    row, column = center_of_mass(bright)
    return float(row), float(column)
