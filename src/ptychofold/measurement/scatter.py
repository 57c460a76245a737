"""Whether whole multiples of a unit scatter as photon counts do.

Of two Poisson counts with the sum S, (a − b)² is S on average if their means agree, and more if they do not, whatever
the means are: given S, one of them is binomial. Numbers that were rounded to decimals or to the levels of an image
scatter less where they are smooth, and by no law where they are not.
"""

import numpy as np
from jaxtyping import Float64

__all__ = ["doubt_of_scatter"]

_LIMIT = 0.7
"""Scatter, as a share of that of counts, below which multiples are no counts."""
_MIN_PAIRS = 100
"""Pairs of counts that tell their scatter."""
_SIGMA = 4.0
"""Standard deviations by which the scatter lies below that of counts if it does."""
_DECIMALS = 0.05
"""Units of decimals below which numbers may have been rounded to them."""
_FULL, _FEW, _ODD = 16, 50, 0.25
"""Multiples of which half are odd unless they fill a float's digits, how many of them tell, and too small a share."""
_LEVELS = 255.0
"""Least number of levels of an image that was scaled to its largest value."""


def doubt_of_scatter(counts: Float64[np.ndarray, "row neighbor"], *, unit: float | None) -> str:
    """Say why multiples are no counts; empty if nothing speaks against it.

    Parameters
    ----------
    counts
        Whole numbers; neighbors are alike.
    unit
        What they are multiples of, if it is one for all.
    """
    a, b = counts[:, 0:-1:2].ravel(), counts[:, 1::2].ravel()
    total = a + b
    several = total > 1
    level = np.floor(np.log2(total[several])).astype(np.int64)
    n_pairs = np.bincount(level)
    scatter = np.bincount(level, np.square(a - b)[several] / total[several]) / np.maximum(n_pairs, 1)
    known = n_pairs >= _MIN_PAIRS
    too_low = known & (scatter < _LIMIT) & ((1 - scatter) * np.sqrt(n_pairs / 2) > _SIGMA)
    if too_low.any():
        return f"with {scatter[too_low].min():.2f} of the scatter of counts"
    return "that rounding may have left" if _may_be_rounded(counts, unit=unit) else ""


def _may_be_rounded(counts: Float64[np.ndarray, "row neighbor"], *, unit: float | None) -> bool:
    """Whether the multiples are levels of an image, or the unit one of decimals, or digits are empty as in a float."""
    largest = counts.max()
    if largest >= _LEVELS and any(np.log2(largest + more).is_integer() for more in (0, 1)):
        return True
    if unit is not None and unit < _DECIMALS and abs(np.log10(unit) - np.round(np.log10(unit))) < 1e-6:
        return True
    light = counts[counts > 0]
    bright = light[light >= max(_FULL, float(np.quantile(light, 0.75)))] if light.size else light
    return bool(len(bright) >= _FEW and (bright % 2 == 1).mean() < _ODD)
