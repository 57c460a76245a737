"""GroupBatch: what a network sees in one step."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from jaxtyping import Bool, Complex64, Float32, Int32, Int64
from torch import Tensor

__all__ = ["GroupBatch", "GroupNumbers"]

GroupNumbers = Sequence[int] | Int64[np.ndarray, " B"]
"""Which groups a batch shall hold."""


class GroupBatch(NamedTuple):
    """B groups of C patterns and all that belongs to them; axes are (group, member, row, column).

    Coordinates are (y, x) in object pixels. What belongs to a whole scan (probe, mask) is stored once a scan and
    indexed by ``experiment``: ``batch.probe[batch.experiment]`` is the probe of every group.
    """

    diffraction: Float32[Tensor, "B C N N"]
    """Amplitude of the members' patterns, unscaled (or counts, if the dataset was asked for them)."""
    centers: Float32[Tensor, "B 2"]
    """Mean position of each group."""
    offsets: Float32[Tensor, "B C 2"]
    """Position minus center."""
    offsets_nominal: Float32[Tensor, "B C 2"]
    """Nominal position minus its own mean over the group."""
    members: Int32[Tensor, "B C"]
    """Scan points, as indices into their scan."""
    experiment: Int32[Tensor, " B"]
    """Number of the scan in a mixture; 0 for a single scan."""
    scale: Float32[Tensor, " B"]
    """Factor that brings amplitude to the RMS that networks are fed with."""
    probe: Complex64[Tensor, "experiment mode N N"]
    """Illumination of each scan; scans with fewer modes than others have zeros in the rest."""
    bad_pixels: Bool[Tensor, "experiment N N"] | None = None
    """True where a detector is bad; None where no scan has a mask."""
    patches: Complex64[Tensor, "B C N N"] | None = None
    """True object patches, where the dataset was asked for them."""

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """Return the batch on a device; tensors already there are not copied."""
        moved = (None if value is None else value.to(device, non_blocking=non_blocking) for value in self)
        return type(self)(*moved)  # type: ignore[arg-type]  # None stays None, field by field
