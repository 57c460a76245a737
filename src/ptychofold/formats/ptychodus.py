"""What the three HDF5 formats of Ptychodus share.

Ptychodus counts object pixels with the object's centre at ``(n - 1) / 2`` and lays the centre of the probe array, at
``(N - 1) / 2``, on the position. Here the pixel ``N // 2`` of a patch lies on its position, so that a position grows by
``N // 2 - (N - 1) / 2``: half a pixel where N is even, nothing where it is odd.
"""

import numpy as np
from jaxtyping import Shaped

from ptychofold.config.geometry import HC_EV_M

__all__ = ["COUNTS_REASON", "centre_shift", "wavelength_from_energy"]

COUNTS_REASON = "Ptychodus keeps detector counts"


def wavelength_from_energy(energy_ev: float | None) -> float | None:
    """Return λ = h c / E in metres; None for an energy that is absent or zero, which Ptychodus writes for unknown."""
    return HC_EV_M / energy_ev if energy_ev else None


def centre_shift(size: tuple[int, int]) -> Shaped[np.ndarray, " 2"]:
    """Return what a Ptychodus pixel position (y, x) grows by for a probe of this size."""
    sides = np.asarray(size, np.float64)
    return sides // 2 - (sides - 1) / 2
